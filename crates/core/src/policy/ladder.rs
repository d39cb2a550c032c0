//! The ladder: who else is told of a question to people that stays open.

use super::{Policy, TIME_MAX_MS};
use crate::plan::Problem;
use crate::time::WireDuration;
use serde::{Deserialize, Serialize};

/// The most rungs of the ladder.
const RUNGS_MAX: usize = 10;
/// The most names on one.
const NAMES_MAX: usize = 20;
/// The longest name, in bytes.
const NAME_MAX: usize = 128;

/// One rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// How long a question is open by then.
    pub after: WireDuration,
    /// Who is told: names that mean something to the house, of people, teams, or a channel.
    pub tell: Vec<Box<str>>,
}

impl Policy {
    /// What makes no sense in the ladder.
    pub(super) fn problems_of_the_ladder(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.ladder.len() > RUNGS_MAX {
            problems.push(Problem::new("ladder", format!("has {} rungs; allowed are {RUNGS_MAX}", self.ladder.len())));
        }
        let mut before = None;
        for (n, rung) in self.ladder.iter().enumerate() {
            let after = rung.after.ms;
            if after > TIME_MAX_MS || before.is_some_and(|before| after <= before) {
                let why = format!("is {}; allowed are times up to 365d, each later than the one before", rung.after);
                problems.push(Problem::new(format!("ladder[{n}].after"), why));
            }
            before = Some(after);
            let names = 1..=NAMES_MAX;
            if !names.contains(&rung.tell.len()) || rung.tell.iter().any(|name| name.trim().is_empty() || name.len() > NAME_MAX) {
                let why = format!("takes 1 to {NAMES_MAX} names of 1 to {NAME_MAX} bytes");
                problems.push(Problem::new(format!("ladder[{n}].tell"), why));
            }
        }
        problems
    }
}
