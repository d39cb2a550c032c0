//! The names of traces and spans. Both follow from what they are about, so that nothing has to be kept: whoever tells the same thing again
//! tells it under the same name, and the span of an attempt is known before the attempt has ended.

use ephor_core::id::TaskId;
use ephor_core::work::{WorkItem, WorkKey};
use sha2::{Digest, Sha256};

/// The trace of a task: its id, which is random enough where samplers look (the last seven bytes).
pub(super) type TraceId = u128;
/// A span of it; never 0.
pub(super) type SpanId = u64;

/// The span of a task itself.
pub(super) fn root(task: u128) -> SpanId {
    span(task, "task")
}

/// The span of an attempt at a piece of work.
pub(super) fn attempt(task: u128, work: &WorkKey, attempt: u32) -> SpanId {
    span(task, &format!("attempt {attempt} {work}"))
}

/// The span of something that began with the event at this position.
pub(super) fn at(task: u128, position: u64) -> SpanId {
    span(task, &format!("event {position}"))
}

fn span(task: u128, what: &str) -> SpanId {
    let mut hash = Sha256::new();
    hash.update(task.to_be_bytes());
    hash.update(what);
    let digest = hash.finalize();
    let mut first = [0u8; 8];
    first.copy_from_slice(&digest[..8]);
    // 0 means that there is none.
    u64::from_be_bytes(first).max(1)
}

/// What is handed to an agent with a piece of work, so that its own spans become part of the trace (W3C Trace Context, sampled).
fn traceparent(task: TaskId, work: &WorkKey, number: u32) -> String {
    format!("00-{:032x}-{:016x}-01", task.bits(), attempt(task.bits(), work, number))
}

/// Says of which trace work is.
pub(crate) fn named(mut items: Vec<WorkItem>) -> Vec<WorkItem> {
    for item in &mut items {
        item.traceparent = Some(traceparent(item.task_id, &item.work, item.attempt));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_what_they_are_about() {
        let task = TaskId::new(1_790_000_000_000, [7; 10]);
        let step = WorkKey::Step("1.2".into());
        let parent = traceparent(task, &step, 3);
        let parts: Vec<&str> = parent.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2], "{parent}");
        assert_eq!(parent, traceparent(task, &step, 3));
        let others = [root(task.bits()), at(task.bits(), 3), attempt(task.bits(), &step, 4), attempt(1, &step, 3)];
        let own = attempt(task.bits(), &step, 3);
        assert_eq!(parts[2], format!("{own:016x}"));
        assert!(others.iter().all(|other| *other != own) && own != 0, "{others:?}");
    }
}
