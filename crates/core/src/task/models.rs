//! Another model in the place of the one a step was to be done with: because its breaker is open, because it failed, or because somebody
//! says so. What runs goes on with the model it was given; the next attempt is made with the other one, and what a person approved of
//! before is asked about anew, for the digest of an approval holds the model.

use super::decide::invalid;
use super::{Draft, Task};
use crate::board::Offer;
use crate::breaker::BreakerOf;
use crate::command::{Context, Refusal};
use crate::event::{Event, ModelCause, ModelChanged};
use crate::matching::{Key, is_model};
use crate::models::AUTO;
use crate::plan::{Does, is_word};
use crate::spec::ErrorClass;
use std::collections::BTreeMap;

/// How many types of steps somebody may name at once, and how many are told to who named another one.
const TYPES_MAX: usize = 100;
const TYPES_TOLD: usize = 20;

impl Task {
    /// The next model takes the place of one that failed, or that is not to be used now.
    pub(super) fn model_follows(&self, cx: &Context<'_>) -> Option<Draft> {
        // What somebody chose meanwhile did not fail.
        let failed = |i: &&u32| {
            let (step, used) = (&self.board.steps[**i as usize], &self.board.cell(**i).used);
            step.model_chosen && step.model == *used
        };
        if let Some(i) = self.model_failed.iter().find(failed) {
            return self.fall_back(&[*i], ModelCause::Failed, cx);
        }
        if cx.shut_models.is_empty() {
            return None;
        }
        self.board.offers.iter().find_map(|(key, offers)| {
            let model = Key::read(key).model.filter(|model| cx.shut_models.iter().any(|shut| **shut == **model))?;
            let chosen = |offer: &Offer| match offer {
                Offer::Step(i) => Some(*i).filter(|i| self.may_fall_back(*i, model)),
                Offer::Gate(_) | Offer::Plan | Offer::Analysis | Offer::Undo => None,
            };
            let steps: Vec<u32> = offers.iter().filter_map(chosen).collect();
            self.fall_back(&steps, ModelCause::BreakerOpen, cx)
        })
    }

    /// Whether a step asks for this model because the house chose it.
    fn may_fall_back(&self, i: u32, model: &str) -> bool {
        let step = &self.board.steps[i as usize];
        step.model_chosen && step.model.as_deref() == Some(model)
    }

    /// These steps, which ask for the same model, take the next one that may be used; where none is left and they were to fall back because
    /// of a failure, the next one all the same: it may be trusted again when its turn comes.
    fn fall_back(&self, steps: &[u32], cause: ModelCause, cx: &Context<'_>) -> Option<Draft> {
        let first = &self.board.steps[*steps.first()? as usize];
        let (from, models) = (first.model.as_ref()?, self.facts.models.as_ref()?);
        let is_shut = |name: &str| cx.shut_models.iter().any(|shut| **shut == *name);
        let behind = models.after(from).iter().filter(|name| *name != from);
        let to = behind.clone().find(|name| !is_shut(name)).or(behind.clone().next().filter(|_| cause == ModelCause::Failed))?;
        let failed = |i: &u32| self.board.cell(*i).trouble.unwrap_or_default();
        let changed = ModelChanged {
            steps: steps.iter().map(|i| self.board.steps[*i as usize].path.clone()).collect(),
            from: from.clone(),
            to: to.clone(),
            cause,
            class: steps.first().filter(|_| cause == ModelCause::Failed).map(failed),
        };
        Some(Draft::new(Event::ModelChanged(Box::new(changed))))
    }

    /// A step failed in a way that speaks against its model: another one is due, where the house chose it and has one.
    pub(super) fn note_model_failed(&mut self, i: u32, class: ErrorClass) {
        let step = &self.board.steps[i as usize];
        if !step.model_chosen || !BreakerOf::Model.is_to_blame(class) || self.board.has_ended(i) {
            return;
        }
        let Some((from, models)) = step.model.as_deref().zip(self.facts.models.as_ref()) else { return };
        let same = self.board.cell(i).used.as_deref() == Some(from);
        if same && models.after(from).iter().any(|name| **name != *from) {
            self.model_failed.insert(i);
        }
    }

    /// Another model was taken.
    pub(super) fn model_changed(&mut self, changed: &ModelChanged) {
        for path in &changed.steps {
            self.with_step(path, |task, i| {
                task.model_failed.remove(&i);
                task.board.change_model(i, &changed.to);
            });
        }
    }

    /// What somebody wants to be done with which models from now on, by type of step.
    ///
    /// # Errors
    /// Names that are none, and types of which no step is left.
    pub(super) fn wants_models(&self, models: &BTreeMap<Box<str>, Box<str>>) -> Result<(), Refusal> {
        if models.len() > TYPES_MAX {
            return Err(invalid("models_by_type", &format!("names {} types; allowed are {TYPES_MAX}", models.len())));
        }
        for (of, name) in models {
            if !is_model(name) || **name == *AUTO {
                let allowed = "1 to 128 letters, digits, `_`, `-`, `.`, `:`, `/`";
                return Err(invalid(&format!("models_by_type.{of}"), &format!("{name:?} is no name of a model: {allowed}")));
            }
            if **of != *"*" && !is_word(of) {
                return Err(invalid(
                    "models_by_type",
                    &format!("{of:?} is no type: an action, the task_type of a step, or `*` for all"),
                ));
            }
            let open = || (0..self.board.steps.len() as u32).filter(|i| self.is_open_work(*i));
            let is_of = |i: u32| self.board.steps[i as usize].is_of_type(of) || **of == *"*";
            if self.planned && !open().any(is_of) {
                let step = |i: u32| &self.board.steps[i as usize];
                let mut types: Vec<&str> = open().map(|i| step(i).task_type.as_deref().unwrap_or(&step(i).action)).collect();
                types.sort_unstable();
                types.dedup();
                types.truncate(TYPES_TOLD);
                let why = format!("no step of this type is left; there are {}", types.join(", "));
                return Err(invalid(&format!("models_by_type.{of}"), &why));
            }
        }
        Ok(())
    }

    fn is_open_work(&self, i: u32) -> bool {
        !self.board.has_ended(i) && self.board.steps[i as usize].does() == Does::Work
    }
}
