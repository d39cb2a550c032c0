//! Models that took the place of others, as the witness sees them: what is given out later is done with them.

use super::{Breach, Rule};
use ephor_core::event::{Allocation, Assigned, ModelChanged};
use std::collections::HashMap;

/// The models that steps were to take, by step.
#[derive(Clone, Debug, Default)]
pub(super) struct Models {
    taken: HashMap<Box<str>, Box<str>>,
}

impl Models {
    /// Another plan says anew what is done with what.
    pub(super) fn forget(&mut self) {
        self.taken.clear();
    }

    /// So does whoever gives the task another model.
    pub(super) fn given(&mut self, allocation: &Allocation) {
        if allocation.model.is_some() || !allocation.models_by_type.is_empty() {
            self.forget();
        }
    }

    /// Steps take another model.
    pub(super) fn changed(&mut self, changed: &ModelChanged) -> Option<Breach> {
        self.taken.extend(changed.steps.iter().map(|step| (step.clone(), changed.to.clone())));
        let what = || format!("{} took the place of itself", changed.to);
        (changed.from == changed.to).then(|| Breach { rule: Rule::Differs, what: what() })
    }

    /// Whether a step is given out with the model it was to take.
    pub(super) fn used(&self, step: &str, assigned: &Assigned) -> Option<Breach> {
        let taken = self.taken.get(step).filter(|taken| assigned.model.as_ref() != Some(taken))?;
        let used = assigned.model.as_deref().unwrap_or("no model");
        Some(Breach { rule: Rule::Undecided, what: format!("step {step} was given out with {used}, but was to take {taken}") })
    }
}
