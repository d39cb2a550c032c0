//! Going back to a step that is done, as the witness sees it.

use super::steps::{Stage, Steps, Watched};
use super::{Breach, Rule};
use std::collections::HashSet;

impl Steps {
    /// One may go back only to what is done; then all that needs it is undone, and nothing else but what had failed.
    pub(super) fn rolled_back(&mut self, checkpoint: &str, paths: &[Box<str>]) -> Vec<Breach> {
        let mut found = Vec::new();
        let mut wrong = |what: String| found.push(Breach { rule: Rule::Undecided, what });
        let Some(&to) = self.places.get(checkpoint) else {
            wrong(format!("it went back to {checkpoint}, which the plan does not have"));
            return found;
        };
        // What was done before its group was left out is done all the same.
        let done = match self.list[to].stage {
            Stage::Done => true,
            Stage::Skipped | Stage::Failed => false,
            Stage::Open | Stage::Checking | Stage::RolledBack => self.is_over(to) && !self.is_left_out(to),
        };
        if !done {
            wrong(format!("it went back to {checkpoint}, which is {:?}", self.list[to].stage));
        }
        let needing = self.needing(to);
        let back: HashSet<usize> = paths.iter().filter_map(|path| self.places.get(path).copied()).collect();
        if back.len() != paths.len() {
            wrong(format!("it rolled back steps that the plan does not have, or twice: {paths:?}"));
        }
        for i in &back {
            if !needing.contains(i) && self.list[*i].stage != Stage::Failed {
                wrong(format!("step {} was rolled back, but does not need {checkpoint}", self.list[*i].step.path));
            }
        }
        for i in needing.difference(&back) {
            let step = &self.list[*i];
            if matches!(step.stage, Stage::Done | Stage::Checking | Stage::Failed) && !self.is_left_out(*i) {
                wrong(format!("step {} needs {checkpoint}, but stays {:?}", step.step.path, step.stage));
            }
        }
        for i in back {
            self.undo(i);
        }
        found
    }

    /// A step is as if it had never begun; the parts of a list are gone.
    fn undo(&mut self, i: usize) {
        if self.list[i].step.for_each.is_some() {
            for part in std::mem::take(&mut self.list[i].kids) {
                self.places.remove(&self.list[part].step.path);
                self.list[part].stage = Stage::Skipped;
            }
        }
        let gone = self.list[i].step.for_each.is_none() && self.list[i].step.parent.is_some_and(|p| self.is_gone(p as usize, i));
        let step = &mut self.list[i];
        let kids = std::mem::take(&mut step.kids);
        *step = Watched::new(step.step.clone());
        step.kids = kids;
        // A part that is gone is nothing that could be done again.
        step.stage = if gone { Stage::Skipped } else { Stage::RolledBack };
    }

    /// Whether a part of a list is there no more.
    fn is_gone(&self, list: usize, part: usize) -> bool {
        self.list[list].step.for_each.is_some() && !self.list[list].kids.contains(&part)
    }

    /// What needs a step, directly or through others: what waits for it or a group that it is in, the parts of that, and so on.
    fn needing(&self, to: usize) -> HashSet<usize> {
        let mut waits: Vec<Vec<usize>> = vec![Vec::new(); self.list.len()];
        for (i, step) in self.list.iter().enumerate() {
            step.step.needs.iter().for_each(|need| waits[*need as usize].push(i));
        }
        let (mut needing, mut looked, mut open) = (HashSet::new(), HashSet::new(), vec![to]);
        while let Some(i) = open.pop() {
            if !looked.insert(i) {
                continue;
            }
            open.extend(self.list[i].step.parent.map(|p| p as usize));
            let mut inside = waits[i].clone();
            while let Some(next) = inside.pop() {
                if needing.insert(next) {
                    inside.extend(&self.list[next].kids);
                    open.push(next);
                }
            }
        }
        needing
    }
}
