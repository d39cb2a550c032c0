//! Runs the simulation for as many seeds as wanted: `simulate [count] [first seed]`. `simulate tell SEED` tells the whole story of one.

use ephor_engine::simulation::{Length, missing, run_many, tell};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if(|w| w == "tell").is_some() {
        let seed = words.next().and_then(|w| w.parse().ok()).unwrap_or(1);
        return match tell(seed, Length::default()) {
            Ok(_) => ExitCode::SUCCESS,
            Err(failure) => {
                println!("{failure}");
                ExitCode::FAILURE
            }
        };
    }
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
