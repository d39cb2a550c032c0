//! How a plan is laid out, what is kept of an earlier one, and how a list becomes steps.

use super::{Board, Cell, slot};
use crate::plan::{Plan, Step};
use crate::status::StepStatus;
use crate::time::Time;

impl Board {
    /// Lays out a plan and frees what waits for nothing. Steps that an earlier plan finished under the same name stay finished.
    pub(crate) fn new(plan: Plan, earlier: Option<&Self>) -> Self {
        let fence = earlier.map_or(0, |old| old.cells.iter().map(|c| c.attempt).max().unwrap_or(0).max(old.fence));
        let n = plan.steps.len();
        let mut board = Self {
            steps: plan.steps,
            cells: Vec::with_capacity(n),
            dependents: vec![Vec::new(); n],
            kids: vec![Vec::new(); n],
            fence,
            done: earlier.map_or(0, |old| old.done),
            ..Self::default()
        };
        if n > 1 {
            for (i, step) in board.steps.iter().enumerate() {
                board.names.insert(step.path.clone(), i as u32);
            }
            for (i, step) in board.steps.iter().enumerate() {
                if let Some(key) = &step.key {
                    board.names.insert(key.clone(), i as u32);
                }
            }
        }
        for (i, step) in board.steps.iter().enumerate() {
            let unmet = step.needs.len() as u32 + u32::from(step.parent.is_some());
            board.cells.push(Cell { group: step.children > 0, unmet, open_kids: step.children, ..new_cell(fence) });
            for need in &step.needs {
                board.dependents[*need as usize].push(i as u32);
            }
            match step.parent {
                Some(parent) => board.kids[parent as usize].push(i as u32),
                None => board.left += 1,
            }
            if step.children == 0 {
                board.counts[slot(StepStatus::Pending)] += 1;
            }
        }
        if let Some(old) = earlier {
            for i in 0..n as u32 {
                board.keep(i, old);
            }
        }
        for i in 0..board.steps.len() as u32 {
            if board.cells[i as usize].unmet == 0 && board.cells[i as usize].status == StepStatus::Pending {
                board.free(i);
            }
        }
        board
    }

    /// What an earlier plan finished under the same name, doing the same, stays finished; so do the parts of a list.
    fn keep(&mut self, i: u32, old: &Self) {
        let step = &self.steps[i as usize];
        let Some(found) = old.find(step.key.as_deref().unwrap_or(&step.path)) else { return };
        let was = &old.steps[found as usize];
        if step.children > 0 || was.action != step.action || was.for_each != step.for_each {
            return;
        }
        if was.children == 0 {
            self.keep_finished(i, old.cell(found));
        } else if was.path == step.path {
            // The parts are known by their paths; so are the items they belong to.
            self.cells[i as usize].condition_met = old.cells[found as usize].condition_met && was.when == step.when;
            self.lay_parts(i, was.children);
            for (kid, before) in self.kids[i as usize].clone().into_iter().zip(old.kids(found)) {
                self.keep_finished(kid, old.cell(*before));
            }
        }
    }

    fn keep_finished(&mut self, i: u32, was: &Cell) {
        if !matches!(was.status, StepStatus::Completed | StepStatus::Skipped) {
            return;
        }
        let cell = &mut self.cells[i as usize];
        cell.unmet = 0;
        cell.attempt = was.attempt;
        cell.reported = was.reported;
        cell.overruled = was.overruled;
        cell.doer = was.doer;
        cell.started_at = was.started_at;
        cell.done_no = was.done_no;
        self.end(i, was.status, was.ended_at.unwrap_or_default());
    }

    /// Turns a step into a group of one step for each item.
    pub(crate) fn expand(&mut self, i: u32, count: u32, at: Time) {
        if self.cells[i as usize].group {
            return;
        }
        self.fresh.remove(&i);
        self.lay_parts(i, count);
        if count == 0 {
            self.end(i, StepStatus::Completed, at);
        } else {
            self.begin(i);
        }
    }

    fn lay_parts(&mut self, i: u32, count: u32) {
        let status = self.cells[i as usize].status;
        self.counts[slot(status)] -= 1;
        let pattern = self.steps[i as usize].clone();
        self.steps[i as usize].children = count;
        self.cells[i as usize].group = true;
        self.cells[i as usize].open_kids = count;
        // A plan of one step had no need of names until now.
        for name in pattern.key.iter().chain([&pattern.path]) {
            self.names.entry(name.clone()).or_insert(i);
        }
        let mut spares = self.spares.remove(&i).unwrap_or_default();
        for n in 1..=count {
            let path: Box<str> = format!("{}.{n}", pattern.path).into();
            let part = Step {
                path: path.clone(),
                key: None,
                parent: Some(i),
                children: 0,
                needs: Vec::new(),
                when: None,
                for_each: None,
                checkpoint: None,
                ..pattern.clone()
            };
            let index = self.place(part, &mut spares);
            self.names.insert(path, index);
            self.kids[i as usize].push(index);
        }
        if !spares.is_empty() {
            self.spares.insert(i, spares);
        }
    }

    /// Puts a part of a list where an earlier part of it was, or behind everything.
    fn place(&mut self, part: Step, spares: &mut Vec<u32>) -> u32 {
        let cell = Cell { unmet: 1, ..new_cell(self.fence) };
        self.counts[slot(StepStatus::Pending)] += 1;
        if let Some(index) = spares.pop() {
            self.steps[index as usize] = part;
            self.cells[index as usize] = cell;
            return index;
        }
        self.steps.push(part);
        self.cells.push(cell);
        self.dependents.push(Vec::new());
        self.kids.push(Vec::new());
        self.steps.len() as u32 - 1
    }

    /// A list will be laid out anew: its parts go, and no token of theirs is used again.
    pub(super) fn unlay(&mut self, i: u32) {
        if self.steps[i as usize].for_each.is_none() || !self.cells[i as usize].group {
            return;
        }
        let parts = std::mem::take(&mut self.kids[i as usize]);
        for part in &parts {
            self.take_back(*part);
            self.release(*part);
            let cell = &mut self.cells[*part as usize];
            self.counts[slot(cell.status)] -= 1;
            self.fence = self.fence.max(cell.attempt);
            cell.status = StepStatus::Cancelled;
            cell.gone = true;
            let path = &self.steps[*part as usize].path;
            if self.names.get(path) == Some(part) {
                self.names.remove(path);
            }
        }
        self.spares.entry(i).or_default().extend(parts.into_iter().rev());
        self.steps[i as usize].children = 0;
        let cell = &mut self.cells[i as usize];
        cell.group = false;
        cell.open_kids = 0;
        self.counts[slot(cell.status)] += 1;
    }
}

fn new_cell(fence: u32) -> Cell {
    Cell {
        status: StepStatus::Pending,
        group: false,
        unmet: 0,
        open_kids: 0,
        attempt: fence,
        failures: 0,
        by_class: Vec::new(),
        given_back: 0,
        trouble: None,
        troubled_at: None,
        retry_after_ms: None,
        done_no: None,
        gate: 0,
        reported: None,
        condition_met: false,
        overruled: false,
        gone: false,
        lease: None,
        doer: None,
        used: None,
        started_at: None,
        ended_at: None,
    }
}
