//! How often the watch for silent agents accuses the living, and how soon it finds the dead: a fault run on a clock of its own.
//!
//! ```sh
//! cargo run --release -p ephor-engine --features simulation --example false_alarms -- 30 1000
//! ```
//!
//! The first number is how many days are lived through, the second how many agents work all the while, the third the first seed.

use ephor_engine::simulation::alarms::{Alarms, House, run};
use std::process::ExitCode;

const DAY: u64 = 24 * 3_600_000;

fn main() -> ExitCode {
    let mut numbers = Vec::new();
    for arg in std::env::args().skip(1) {
        match arg.parse::<u64>() {
            Ok(number) if number > 0 => numbers.push(number),
            Ok(_) | Err(_) => {
                eprintln!("{arg:?} is no number above 0; give days, agents and a seed");
                return ExitCode::from(2);
            }
        }
    }
    let number = |place: usize, otherwise: u64| numbers.get(place).copied().unwrap_or(otherwise);
    let (days, agents, seed) = (number(0, 7), number(1, 100), number(2, 1));
    let usual = House { agents: usize::try_from(agents).unwrap_or(usize::MAX), lasts_ms: days * DAY, ..House::default() };
    println!("{days} days, {agents} agents, seed {seed}; a lease of 60 s, a sign of life every 20 s");
    println!();
    println!(
        "| what agents and networks do | lapses of the living | in 1,000 agent hours | of these, by lost signs alone | dead, found | found within (half, 99 %) |"
    );
    println!("|---|---|---|---|---|---|");
    let calm = House { lost_percent: 0, suspend_ms: 54_000, ..usual };
    let houses = [
        ("nothing is lost, pauses up to 5 s, suspensions up to 54 s", calm),
        ("1 % of the signs is lost, suspensions up to 90 s", usual),
        ("10 % of the signs is lost, suspensions up to 90 s", House { lost_percent: 10, ..usual }),
        ("1 % is lost, suspensions up to 10 min", House { suspend_ms: 600_000, ..usual }),
    ];
    for (what, house) in houses {
        println!("{}", line(what, &run(&house, seed)));
    }
    ExitCode::SUCCESS
}

fn line(what: &str, alarms: &Alarms) -> String {
    let rate = alarms.false_alarms as f64 * 1_000.0 / alarms.agent_hours.max(1) as f64;
    let seconds = |percent: usize| alarms.within(percent).map_or("-".into(), |ms| format!("{} s", ms.div_ceil(1_000)));
    format!(
        "| {what} | {} | {rate:.2} | {} | {}, {} | {}, {} |",
        alarms.false_alarms,
        alarms.unfounded,
        alarms.died,
        alarms.found,
        seconds(50),
        seconds(99),
    )
}
