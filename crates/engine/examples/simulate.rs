//! Runs the simulation for as many seeds as wanted: `simulate [count] [first seed]`. `simulate tell SEED` tells the whole story of one;
//! `simulate --planted [count]` plants each fault there is and says which seed finds it.

use ephor_engine::simulation::{Fault, Length, find, missing, run_many, tell};
use std::process::ExitCode;

/// How many seeds a planted fault gets to show itself.
const PLANTED_SEEDS: u64 = 400;

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
    if words.next_if(|w| w == "--planted").is_some() {
        return planted(words.next().and_then(|w| w.parse().ok()).unwrap_or(PLANTED_SEEDS));
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

/// Every fault, the first seed that finds it, and what is found.
fn planted(seeds: u64) -> ExitCode {
    let mut all = true;
    for fault in Fault::ALL {
        match find(*fault, 1, seeds, Length::default()) {
            Some(found) => println!("{:<20} {:>4}  {}", format!("{fault:?}"), found.seed, found.what),
            None => {
                all = false;
                println!("{:<20}    -  not found in {seeds} seeds", format!("{fault:?}"));
            }
        }
    }
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
