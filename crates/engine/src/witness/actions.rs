//! Questions about single actions, as the witness sees them: who was asked about what, and whether it was done without their word.

use super::{Breach, Rule, Said, Witness};
use ephor_core::event::{ApprovalAsked, ApprovalWord, Assigned};
use ephor_core::work::WorkKey;
use std::collections::HashMap;

/// A question, and its answer once there is one.
#[derive(Clone, Debug)]
struct Asked {
    digest: Box<str>,
    until: i64,
    answer: Option<ApprovalWord>,
}

/// The questions of one task, by step.
#[derive(Clone, Debug, Default)]
pub(super) struct Actions {
    asked: HashMap<Box<str>, Asked>,
    /// The step whose parameters the last event changed.
    pub(super) changed: Option<Box<str>>,
}

impl Actions {
    /// What was asked about this step, and the parts of it where it is a list, counts no more.
    pub(super) fn forget(&mut self, step: &str) {
        let of_it = |path: &str| path.strip_prefix(step).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.asked.retain(|path, _| !of_it(path));
    }

    /// Another plan: questions that nobody answered are about nothing.
    pub(super) fn replan(&mut self) {
        self.asked.retain(|_, asked| asked.answer.is_some());
    }

    /// Whether a step may be given away, and on whose word.
    pub(super) fn given(&self, step: &str, assigned: &Assigned) -> Option<Breach> {
        let asked = self.asked.get(step);
        let skipped = |what: &str| Some(Breach { rule: Rule::Skipped, what: format!("step {step} was given away {what}") });
        match (asked, &assigned.approved) {
            (Some(Asked { answer: None, .. }), _) => skipped("while a person is asked about it"),
            (Some(asked), Some(done)) if asked.answer == Some(ApprovalWord::Approved) => {
                if asked.digest == *done {
                    None
                } else {
                    skipped("as something else than was approved")
                }
            }
            (_, Some(_)) => skipped("as approved, which it is not"),
            (_, None) => None,
        }
    }
}

impl Witness {
    pub(super) fn approval_asked(&mut self, asked: &ApprovalAsked) {
        if self.leases.contains_key(&WorkKey::Step(asked.step.clone())) {
            self.breach(Rule::Late, format!("a person is asked about step {} while it is held", asked.step));
        }
        let open = Asked { digest: asked.digest.clone(), until: asked.until.0, answer: None };
        self.actions.asked.insert(asked.step.clone(), open);
    }

    pub(super) fn approval_answered(&mut self, step: &str, digest: &str, answer: ApprovalWord, said: &Said<'_>) {
        let changed = self.actions.changed.as_deref() == Some(step);
        let Some(open) = self.actions.asked.get_mut(step).filter(|open| open.answer.is_none()) else {
            return self.breach(Rule::Undecided, format!("step {step} was {answer:?} though nobody was asked"));
        };
        let late = said.at >= open.until;
        let other = *open.digest != *digest && !changed;
        open.answer = Some(answer);
        open.digest = digest.into();
        let wrong = match answer {
            ApprovalWord::Approved if !said.is_human() => "approved by nobody",
            ApprovalWord::Approved if late => "approved after its time",
            ApprovalWord::Approved if other => "approved as something else than was asked about",
            ApprovalWord::Denied if !said.is_human() => "denied by nobody",
            ApprovalWord::Expired if !late => "called expired before its time",
            ApprovalWord::Approved | ApprovalWord::Denied | ApprovalWord::Expired => return,
        };
        self.breach(Rule::Undecided, format!("step {step} was {wrong}"));
    }
}
