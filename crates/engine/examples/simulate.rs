//! Runs the simulation for as many seeds as wanted: `simulate [count] [first seed]`.

use ephor_engine::simulation::{Length, missing, run_many};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let mut number = |default: u64| words.next().map_or(Some(default), |w| w.parse().ok());
    let (Some(count), Some(first)) = (number(1_000), number(1)) else {
        eprintln!("simulate [count] [first seed]");
        return ExitCode::from(2);
    };
    match run_many(first, count, Length::default()) {
        Ok(counts) => {
            for (branch, n) in &counts {
                println!("{n:>10}  {branch}");
            }
            let missing = missing(&counts);
            if !missing.is_empty() {
                println!("never reached: {}", missing.join(", "));
            }
            println!("{count} seeds from {first} on: nothing that must not happen happened");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}
