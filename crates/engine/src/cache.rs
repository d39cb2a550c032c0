//! Decoded tasks in memory, bounded by their weight; the one that was not needed for longest goes first.

use crate::ids::IdMap;
use crate::live::Live;
use ephor_core::id::TaskId;
use std::collections::BTreeMap;

/// Tasks that are not needed any more. They stay in their boxes: to take one out would copy kilobytes.
#[allow(clippy::vec_box)]
pub(crate) type Waste = Vec<Box<Live>>;

/// Decoded tasks, most recently used last.
pub(crate) struct Cache {
    tasks: IdMap<TaskId, Kept>,
    order: BTreeMap<u64, TaskId>,
    clock: u64,
    weight: usize,
    weight_max: usize,
}

struct Kept {
    live: Box<Live>,
    used: u64,
    weight: usize,
}

impl Cache {
    /// A cache that holds about this many bytes.
    pub(crate) fn new(weight_max: usize) -> Self {
        Self { tasks: IdMap::default(), order: BTreeMap::new(), clock: 0, weight: 0, weight_max }
    }

    /// Takes a task out, to be changed; whoever changes it puts it back once the change is written.
    pub(crate) fn take(&mut self, task: TaskId) -> Option<Box<Live>> {
        let kept = self.tasks.remove(&task)?;
        self.order.remove(&kept.used);
        self.weight -= kept.weight;
        Some(kept.live)
    }

    /// Looks at a task and leaves it where it is.
    pub(crate) fn peek(&self, task: TaskId) -> Option<&Live> {
        self.tasks.get(&task).map(|kept| &*kept.live)
    }

    /// Puts a task in. Answers those that had to make room for it.
    pub(crate) fn put(&mut self, task: TaskId, live: Box<Live>) -> Waste {
        let mut out: Waste = self.take(task).into_iter().collect();
        self.clock += 1;
        let weight = live.weight();
        self.weight += weight;
        self.order.insert(self.clock, task);
        self.tasks.insert(task, Kept { live, used: self.clock, weight });
        while self.weight > self.weight_max && self.tasks.len() > 1 {
            let oldest = *self.order.first_key_value().expect("every task has its place in the order").1;
            out.extend(self.take(oldest));
        }
        out
    }

    /// How many tasks it holds.
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_not_needed_for_longest_goes_first() {
        let id = |n: u8| TaskId::new(i64::from(n), [n; 10]);
        let one = Live::unborn(id(1)).weight();
        let mut cache = Cache::new(2 * one);
        for n in 1..=2 {
            cache.put(id(n), Box::new(Live::unborn(id(n))));
        }
        let again = cache.take(id(1)).unwrap();
        cache.put(id(1), again);
        cache.put(id(3), Box::new(Live::unborn(id(3))));
        assert!(cache.take(id(2)).is_none() && cache.take(id(1)).is_some() && cache.take(id(3)).is_some());
    }
}
