//! Going back to a step that is done: what needs it and has begun is to be done again. Looks at nothing but that and what it needs.

use super::Board;
use crate::planted::{self, Fault};
use crate::status::StepStatus;
use std::collections::BTreeSet;

impl Board {
    /// What has to be done again when one goes back to a step: what needs it, directly or through others, and has begun; and what
    /// failed. What a person left out stays so, and so does what is in a group that was left out.
    pub(crate) fn behind(&self, checkpoint: u32) -> BTreeSet<u32> {
        let mut back = BTreeSet::new();
        let needing = if planted::is(Fault::CheckpointIgnored) { BTreeSet::new() } else { self.needing(checkpoint) };
        // Groups stand before their parts.
        for i in &needing {
            let cell = self.cell(*i);
            let left_out = cell.status == StepStatus::Skipped && cell.overruled;
            let list = self.steps[*i as usize].for_each.is_some() && cell.group;
            if (cell.status != StepStatus::Pending || list) && !left_out && !self.is_in_what_was_left_out(*i, &back) {
                back.insert(*i);
            }
        }
        // A group of which no part is done again has nothing to open for.
        for i in needing.iter().rev() {
            let kids = self.kids(*i);
            if !kids.is_empty() && kids.iter().all(|kid| self.has_ended(*kid) && !back.contains(kid)) {
                back.remove(i);
            }
        }
        back.extend(&self.failed);
        back
    }

    /// Of steps that are to be done again, those whose work stands and can be undone, what was done last first.
    pub(crate) fn to_undo(&self, back: &BTreeSet<u32>) -> Vec<u32> {
        if planted::is(Fault::CompensationSkipped) {
            return Vec::new();
        }
        let undone = |i: &u32| self.steps[*i as usize].compensation.is_some() && !self.cells[*i as usize].group;
        let done = back.iter().copied().filter(undone).filter_map(|i| Some((self.cells[i as usize].done_no?, i)));
        let mut done: Vec<(u32, u32)> = done.collect();
        done.sort_unstable();
        if !planted::is(Fault::CompensationOutOfOrder) {
            done.reverse();
        }
        done.into_iter().map(|(_, i)| i).collect()
    }

    /// The completed step of this checkpoint, key or path.
    pub(crate) fn checkpoint(&self, name: &str) -> Option<u32> {
        let named = || self.all().find(|i| self.steps[*i as usize].checkpoint.as_deref() == Some(name));
        self.find(name).or_else(named).filter(|i| self.cells[*i as usize].status == StepStatus::Completed)
    }

    /// Checkpoints that were named, are done, and that a step needs, directly or through others; the nearest first.
    pub(crate) fn checkpoints_before(&self, i: u32) -> Vec<u32> {
        let (mut seen, mut found, mut level) = (BTreeSet::new(), Vec::new(), vec![i]);
        while !level.is_empty() {
            let mut next = Vec::new();
            for each in level {
                let mut needs = self.steps[each as usize].needs.clone();
                needs.extend(self.steps[each as usize].parent);
                for need in needs {
                    if !seen.insert(need) {
                        continue;
                    }
                    // A group that is needed was done by its parts; of the one it is in only what that needs counts.
                    if self.cells[need as usize].status == StepStatus::Completed {
                        next.extend(self.kids(need).iter().filter(|kid| seen.insert(**kid)));
                    }
                    next.push(need);
                }
            }
            let done = |i: &&u32| {
                self.steps[**i as usize].checkpoint.is_some() && self.cells[**i as usize].status == StepStatus::Completed
            };
            found.extend(next.iter().filter(done));
            level = next;
        }
        found
    }

    /// What needs a step, directly or through others. What needs a group needs all that is in it, and what is in a group needs what
    /// the group needs.
    fn needing(&self, checkpoint: u32) -> BTreeSet<u32> {
        let (mut needing, mut asked, mut open) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        self.followers(checkpoint, &mut asked, &mut open);
        while let Some(i) = open.pop() {
            if needing.insert(i) {
                open.extend(self.kids(i));
                self.followers(i, &mut asked, &mut open);
            }
        }
        needing
    }

    /// What needs a step or a group that it is in, where nobody has asked yet.
    fn followers(&self, i: u32, asked: &mut BTreeSet<u32>, found: &mut Vec<u32>) {
        for each in std::iter::successors(Some(i), |i| self.steps[*i as usize].parent) {
            if !asked.insert(each) {
                return;
            }
            found.extend(&self.dependents[each as usize]);
        }
    }

    /// Whether a step is in a group that was left out and stays so.
    fn is_in_what_was_left_out(&self, i: u32, back: &BTreeSet<u32>) -> bool {
        std::iter::successors(self.steps[i as usize].parent, |g| self.steps[*g as usize].parent)
            .take_while(|group| !back.contains(group))
            .any(|group| self.has_ended(group) && self.cells[group as usize].status != StepStatus::Completed)
    }

    /// These are to be done again. They wait for the task to be tried again, whatever they were; what needs them waits for them.
    pub(crate) fn roll_back(&mut self, back: &BTreeSet<u32>) {
        let mut waiting = BTreeSet::new();
        for i in back {
            if self.cells[*i as usize].gone {
                continue;
            }
            waiting.extend(&self.dependents[*i as usize]);
            let had_ended = self.has_ended(*i);
            self.take_back(*i);
            self.unlay(*i);
            self.set(*i, StepStatus::RolledBack);
            self.rolled_back.insert(*i);
            let cell = &mut self.cells[*i as usize];
            cell.start_count();
            (cell.gate, cell.condition_met, cell.overruled) = (0, false, false);
            (cell.started_at, cell.ended_at, cell.done_no) = (None, None, None);
            if had_ended {
                self.is_open_again(self.steps[*i as usize].parent, back, &mut waiting);
            }
            waiting.extend(self.kids(*i));
        }
        for i in back {
            let open = self.kids(*i).iter().filter(|kid| !self.has_ended(**kid)).count();
            self.cells[*i as usize].open_kids = open as u32;
        }
        for i in waiting.iter().chain(back) {
            self.cells[*i as usize].unmet = self.unmet(*i);
        }
    }

    /// A part of a group is to be done again: unless the group is so itself, it is open again, and so are those that it is in.
    fn is_open_again(&mut self, group: Option<u32>, back: &BTreeSet<u32>, waiting: &mut BTreeSet<u32>) {
        let Some(i) = group else {
            self.left += 1;
            return;
        };
        if back.contains(&i) {
            return;
        }
        let had_ended = self.has_ended(i);
        self.cells[i as usize].open_kids += 1;
        if had_ended {
            self.set(i, StepStatus::Ready);
            self.cells[i as usize].ended_at = None;
            waiting.extend(&self.dependents[i as usize]);
            self.is_open_again(self.steps[i as usize].parent, back, waiting);
        }
    }

    /// How much a step waits for: what it needs, and its group to open.
    fn unmet(&self, i: u32) -> u32 {
        let step = &self.steps[i as usize];
        let needs = step.needs.iter().filter(|need| !self.has_ended(**need)).count() as u32;
        let shut = |group: u32| self.cells[group as usize].status != StepStatus::Ready || self.fresh.contains(&group);
        needs + u32::from(step.parent.is_some_and(shut))
    }

    /// What was rolled back starts over. Answers with what is free at once.
    pub(crate) fn start_over(&mut self) -> BTreeSet<u32> {
        let again = std::mem::take(&mut self.rolled_back);
        for i in &again {
            self.set(*i, StepStatus::Pending);
        }
        for i in &again {
            let cell = &self.cells[*i as usize];
            if cell.unmet == 0 && cell.status == StepStatus::Pending {
                self.free(*i);
            }
        }
        again
    }
}
