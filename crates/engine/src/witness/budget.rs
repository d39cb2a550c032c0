//! The budget of a task, as the witness counts it: what was set aside, lent and used, and that nothing is given out beyond it.

use super::{Breach, Rule};
use ephor_core::budget::{Amount, BudgetTerms};
use ephor_core::event::{Assigned, BudgetCrossed};
use ephor_core::id::TaskId;
use ephor_core::work::WorkKey;
use std::collections::HashMap;

/// The account of one task; nothing is kept where it has no budget.
#[derive(Clone, Debug, Default)]
pub(super) struct Budgets {
    terms: Option<BudgetTerms>,
    spent: Amount,
    held: HashMap<WorkKey, Amount>,
    lent: HashMap<TaskId, Amount>,
    /// A person is asked, or it is to fail.
    crossed: bool,
}

impl Budgets {
    /// What it may use, from its birth on or from now on.
    pub(super) fn is(&mut self, terms: &BudgetTerms) {
        self.terms = Some(*terms);
        self.crossed = false;
    }

    pub(super) fn crossed(&mut self, _: &BudgetCrossed) {
        self.crossed = true;
    }

    pub(super) fn is_crossed(&self) -> bool {
        self.crossed
    }

    /// Whether there was enough for what is given out.
    pub(super) fn given(&mut self, step: &str, assigned: &Assigned) -> Option<Breach> {
        let terms = self.terms?;
        let skipped = |what: String| Some(Breach { rule: Rule::Skipped, what });
        let reserved = assigned.reserved.unwrap_or_default();
        self.held.insert(WorkKey::Step(step.into()), reserved);
        if self.crossed {
            return skipped(format!("step {step} was given away although the budget does not suffice"));
        }
        let sum = self.held.values().chain(self.lent.values()).fold(self.spent, |sum, n| sum.plus(*n));
        let (of, limit) = terms.cap.exceeded_by(sum)?;
        skipped(format!("step {step} was given away, and with it more than {limit} {} are set aside and used", of.word()))
    }

    /// What an attempt used.
    pub(super) fn used(&mut self, work: &WorkKey, used: Option<Amount>) {
        let held = self.held.remove(work);
        self.spent = self.spent.plus(used.or(held).unwrap_or_default());
    }

    /// What was set aside for attempts that nobody holds any more counts as used.
    pub(super) fn release(&mut self, is_held: impl Fn(&WorkKey) -> bool) {
        if self.held.is_empty() {
            return;
        }
        let over: Vec<WorkKey> = self.held.keys().filter(|work| !is_held(work)).cloned().collect();
        over.iter().for_each(|work| self.used(work, None));
    }

    pub(super) fn lent(&mut self, child: TaskId, amount: Option<Amount>) {
        if let Some(amount) = amount {
            self.lent.insert(child, amount);
        }
    }

    pub(super) fn child_used(&mut self, child: TaskId, used: Option<Amount>) {
        let lent = self.lent.remove(&child);
        self.spent = self.spent.plus(used.or(lent).unwrap_or_default());
    }

    /// Whoever it lent to goes on without it, and may use all of that.
    pub(super) fn end(&mut self) {
        self.spent = std::mem::take(&mut self.lent).values().fold(self.spent, |sum, n| sum.plus(*n));
    }

    /// What it has used, as the witness counts it; nothing where it has no budget.
    pub(super) fn spent(&self) -> Option<Amount> {
        self.terms.map(|_| self.spent)
    }
}
