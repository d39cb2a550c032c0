//! What agents say while they work: the last of it, in memory, for whoever looks. Telemetry: no event, and gone with the process.

use ephor_core::id::TaskId;
use ephor_core::time::Time;
use ephor_core::work::WorkKey;
use std::collections::BTreeMap;

/// How much is kept of one piece of work, in bytes (DESIGN §5).
const LOG_MAX: usize = 64 << 10;
/// How much is kept of all of them; beyond it what was longest silent is forgotten.
const LOGS_MAX: usize = 64 << 20;

/// The live output of pieces of work.
#[derive(Debug, Default)]
pub(crate) struct WorkLogs {
    logs: BTreeMap<(TaskId, WorkKey), Log>,
    /// Who spoke last is last.
    by_age: BTreeMap<u64, (TaskId, WorkKey)>,
    bytes: usize,
    spoken: u64,
}

#[derive(Debug)]
struct Log {
    attempt: u32,
    text: String,
    cut: bool,
    at: Time,
    spoken: u64,
}

/// The live output of a piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkLog {
    /// Which work.
    pub work: WorkKey,
    /// Which attempt said it.
    pub attempt: u32,
    /// The end of what it said.
    pub text: String,
    /// Whether the beginning is no longer there.
    pub cut: bool,
    /// When it last said something.
    pub at: Time,
}

impl WorkLogs {
    /// Notes what an attempt said; what an earlier one said is forgotten.
    pub(crate) fn append(&mut self, task: TaskId, work: &WorkKey, attempt: u32, said: &str, at: Time) {
        let key = (task, work.clone());
        let mut log = self.take(&key).filter(|log| log.attempt == attempt).unwrap_or_else(|| Log {
            attempt,
            text: String::new(),
            cut: false,
            at,
            spoken: 0,
        });
        log.text.push_str(tail(said));
        let excess = log.text.len() - tail(&log.text).len();
        log.cut |= excess > 0 || tail(said).len() < said.len();
        log.text.drain(..excess);
        self.spoken += 1;
        (log.at, log.spoken) = (at, self.spoken);
        self.bytes += log.text.len();
        self.by_age.insert(log.spoken, key.clone());
        self.logs.insert(key, log);
        while self.bytes > LOGS_MAX {
            let Some((_, oldest)) = self.by_age.first_key_value().map(|(age, key)| (*age, key.clone())) else { break };
            self.take(&oldest);
        }
    }

    /// What is kept of a task, in the order of its work.
    pub(crate) fn of(&self, task: TaskId) -> Vec<WorkLog> {
        let from = (task, WorkKey::Step("".into()));
        let mine = self.logs.range(from..).take_while(|((of, _), _)| *of == task);
        let view = |((_, work), log): (&(TaskId, WorkKey), &Log)| WorkLog {
            work: work.clone(),
            attempt: log.attempt,
            text: log.text.clone(),
            cut: log.cut,
            at: log.at,
        };
        mine.map(view).collect()
    }

    /// Forgets what was said in a task.
    pub(crate) fn forget(&mut self, task: TaskId) {
        let from = (task, WorkKey::Step("".into()));
        let mine: Vec<_> = self.logs.range(from..).map(|(key, _)| key).take_while(|(of, _)| *of == task).cloned().collect();
        for key in mine {
            self.take(&key);
        }
    }

    fn take(&mut self, key: &(TaskId, WorkKey)) -> Option<Log> {
        let log = self.logs.remove(key)?;
        self.by_age.remove(&log.spoken);
        self.bytes -= log.text.len();
        Some(log)
    }
}

/// The end of a text, as much as is kept of it.
fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(LOG_MAX);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(n: u8) -> TaskId {
        TaskId::new(1, [n; 10])
    }
    fn step() -> WorkKey {
        WorkKey::Step("1".into())
    }

    #[test]
    fn the_end_of_what_was_said_is_kept_and_a_new_attempt_begins_anew() {
        let mut logs = WorkLogs::default();
        logs.append(task(1), &step(), 1, "ü", Time(1));
        logs.append(task(1), &step(), 1, &"x".repeat(LOG_MAX - 1), Time(2));
        let kept = logs.of(task(1)).remove(0);
        assert_eq!((kept.text.len(), kept.cut, kept.at), (LOG_MAX - 1, true, Time(2)));
        logs.append(task(1), &step(), 2, "again", Time(3));
        let kept = logs.of(task(1)).remove(0);
        assert_eq!((kept.text.as_str(), kept.cut, kept.attempt), ("again", false, 2));
    }

    #[test]
    fn all_of_them_together_are_bounded_and_who_was_longest_silent_goes_first() {
        let mut logs = WorkLogs::default();
        let much = "x".repeat(LOG_MAX);
        for n in 0..=(LOGS_MAX / LOG_MAX) as u32 {
            logs.append(task(1), &WorkKey::Step(format!("{n}").into()), 1, &much, Time(0));
        }
        assert!(logs.bytes <= LOGS_MAX);
        assert!(logs.of(task(1)).iter().all(|log| log.work != WorkKey::Step("0".into())));
        logs.forget(task(1));
        assert_eq!((logs.bytes, logs.by_age.len(), logs.of(task(1)).len()), (0, 0, 0));
    }
}
