//! What callers were told, kept outside the engine, and whether a database still says so.

use ephor_core::event::Event;
use ephor_core::id::{AgentId, TaskId};
use ephor_core::status::Status;
use ephor_core::time::Time;
use ephor_core::work::WorkKey;
use ephor_engine::clock::{Clock, SystemClock};
use ephor_engine::doctor::doctor;
use ephor_engine::store::{Reader, StoredEvent};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

/// One answer that a caller got.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// A task is at this version, in this status.
    Stands { task: TaskId, version: u64, status: Status },
    /// An agent holds this attempt of some work.
    Holds { task: TaskId, work: WorkKey, attempt: u32, agent: AgentId },
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stands { task, version, status } => write!(f, "stands {task} {version} {status}"),
            Self::Holds { task, work, attempt, agent } => write!(f, "holds {task} {work} {attempt} {agent}"),
        }
    }
}

impl FromStr for Told {
    type Err = String;
    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || format!("no answer: {line:?}");
        let words: Vec<&str> = line.split(' ').collect();
        Ok(match words[..] {
            ["stands", task, version, status] => Self::Stands {
                task: task.parse().map_err(|_| wrong())?,
                version: version.parse().map_err(|_| wrong())?,
                status: Status::read(status).ok_or_else(wrong)?,
            },
            ["holds", task, work, attempt, agent] => Self::Holds {
                task: task.parse().map_err(|_| wrong())?,
                work: work.parse()?,
                attempt: attempt.parse().map_err(|_| wrong())?,
                agent: agent.parse().map_err(|_| wrong())?,
            },
            _ => return Err(wrong()),
        })
    }
}

/// Every answer so far.
#[derive(Default)]
pub(crate) struct Ledger {
    tasks: BTreeMap<TaskId, Known>,
    /// How many answers there were.
    pub(crate) answers: u64,
    /// What was found of it in the events, and how often: a branch that never happened has proven nothing.
    pub(crate) seen: BTreeMap<String, u64>,
}

/// What was told of one task.
#[derive(Default)]
struct Known {
    stands: BTreeMap<u64, Status>,
    holds: BTreeMap<(WorkKey, u32), AgentId>,
    /// The hashes of its events as they were found before: a fact does not become another one.
    hashes: HashMap<u64, [u8; 32]>,
}

impl Ledger {
    /// Takes an answer down. Two answers that contradict each other are already a failure.
    pub(crate) fn take(&mut self, told: Told) {
        self.answers += 1;
        match told {
            Told::Stands { task, version, status } => {
                let before = self.tasks.entry(task).or_default().stands.insert(version, status);
                assert!(before.is_none_or(|b| b == status), "{task} at {version} was said to be {before:?} and {status}");
            }
            Told::Holds { task, work, attempt, agent } => {
                let before = self.tasks.entry(task).or_default().holds.insert((work.clone(), attempt), agent);
                assert_eq!(before, None, "attempt {attempt} of {work} of {task} was given away twice");
            }
        }
    }

    /// Every answer stands in the database, and `doctor` finds nothing else wrong with it. Answers how many were looked up.
    pub(crate) fn verify(&mut self, reader: &dyn Reader, what: &str) -> u64 {
        let mut looked_up = 0;
        self.seen.clear();
        for (task, known) in &mut self.tasks {
            let events = reader.stream_events((*task).into(), 0, u32::MAX).unwrap_or_else(|e| panic!("{what}: {task}: {e}"));
            for event in &events {
                let kind = if event.data.contains("AGENT_LOST") { "AGENT_LOST" } else { &event.kind };
                *self.seen.entry(kind.into()).or_default() += 1;
            }
            looked_up += known.verify(&events).unwrap_or_else(|e| panic!("{what}: {task}: {e}"));
        }
        let report = doctor(reader, Time(SystemClock::default().wall_ms())).unwrap_or_else(|e| panic!("{what}: doctor: {e}"));
        assert!(report.is_well(), "{what}: {:#?}", report.findings);
        looked_up
    }
}

impl Known {
    fn verify(&mut self, events: &[StoredEvent]) -> Result<u64, String> {
        for (version, status) in &self.stands {
            let index = usize::try_from(*version).expect("a few events") - 1;
            let event = events.get(index).ok_or(format!("version {version} ({status}) was answered and is lost"))?;
            if event.after != Some(*status) {
                return Err(format!("version {version} was answered as {status} and is {:?}", event.after));
            }
        }
        for event in events {
            let before = self.hashes.insert(event.version, event.hash);
            if before.is_some_and(|b| b != event.hash) {
                return Err(format!("version {} is another event than it was", event.version));
            }
        }
        if events.len() < self.hashes.len() {
            return Err(format!("{} events were seen and {} are left", self.hashes.len(), events.len()));
        }
        let mut given: BTreeMap<(WorkKey, u32), AgentId> = BTreeMap::new();
        let mut last: HashMap<WorkKey, u32> = HashMap::new();
        for event in events.iter().filter(|e| e.kind == "ASSIGNED") {
            let Event::Assigned(assigned) = ephor_core::event::read(event.schema, &event.data)? else { continue };
            let before = last.insert(assigned.work.clone(), assigned.attempt).unwrap_or(0);
            if assigned.attempt <= before {
                return Err(format!("attempt {} of {} follows attempt {before}", assigned.attempt, assigned.work));
            }
            given.insert((assigned.work, assigned.attempt), assigned.agent);
        }
        for ((work, attempt), agent) in &self.holds {
            if given.get(&(work.clone(), *attempt)) != Some(agent) {
                return Err(format!("{agent} was given attempt {attempt} of {work}, and nothing of it is known"));
            }
        }
        Ok((self.stands.len() + self.holds.len()) as u64)
    }
}
