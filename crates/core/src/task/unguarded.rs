//! Acts on the outside that nobody asked a grant for: what agents say they did with credentials of their own, and what a step is
//! declared to do that worked without a grant. They happened; nothing is prevented here, only told (DESIGN §3, effects are honest).

use super::decide::invalid;
use super::effects::EFFECTS_MAX;
use super::{Effect, Task};
use crate::command::Refusal;
use crate::id::EffectId;
use crate::planted::{self, Fault};
use crate::spec::OnUnknown;
use crate::work::{EffectOutcome, Unguarded, WorkKey};

/// The most acts one report may tell of.
const TOLD_MAX: usize = 100;
/// The longest description and key of one, in bytes.
const WORDS_MAX: usize = 2_000;

impl Task {
    /// What an attempt did on the outside without asking, by its actions. `worked` says whether it did what it was for.
    pub(super) fn unguarded(
        &self,
        work: &WorkKey,
        attempt: u32,
        told: &[Unguarded],
        worked: bool,
    ) -> Result<Vec<Box<str>>, Refusal> {
        if told.is_empty() {
            let silent = worked && !planted::is(Fault::ActUnsaid);
            return Ok(if silent { self.acted_unasked(work, attempt).into_iter().collect() } else { Vec::new() });
        }
        if !matches!(work, WorkKey::Step(_) | WorkKey::Undo(_)) {
            return Err(invalid("unguarded", "only a step, and what undoes one, acts on the outside"));
        }
        if told.len() > TOLD_MAX {
            return Err(invalid("unguarded", &format!("tells of {} acts; allowed are {TOLD_MAX}", told.len())));
        }
        for act in told {
            if !crate::plan::is_word(&act.action) {
                return Err(invalid("unguarded.action", "1 to 128 letters, digits, `_`, `-`, `.`, `:`"));
            }
            if act.description.len() > WORDS_MAX || act.key.as_ref().is_some_and(|key| key.len() > WORDS_MAX) {
                return Err(invalid("unguarded.description", &format!("and `key` have at most {WORDS_MAX} bytes each")));
            }
        }
        Ok(told.iter().map(|act| act.action.as_str().into()).collect())
    }

    /// The action of a step that is declared to act, where nothing was granted to this attempt and nothing is known to be done by an
    /// earlier one. Where nothing may happen outside, a draft is all that was wanted.
    fn acted_unasked(&self, work: &WorkKey, attempt: u32) -> Option<Box<str>> {
        let WorkKey::Step(path) = work else { return None };
        let step = &self.board.steps[self.board.find(path)? as usize];
        let granted = |effect: &Effect| {
            effect.unguarded.is_none()
                && effect.work == *work
                && (effect.attempt == attempt || effect.outcome == Some(EffectOutcome::Done))
        };
        (step.acts && self.may_act() && !self.effects.values().any(granted)).then(|| step.action.clone())
    }

    /// Keeps what was done without a grant among the effects.
    pub(super) fn note_unguarded(&mut self, work: &WorkKey, attempt: u32, actions: &[Box<str>]) {
        for (n, action) in (0..).zip(actions) {
            if self.effects.len() >= EFFECTS_MAX {
                return;
            }
            let effect = Effect {
                work: work.clone(),
                attempt,
                action: action.clone(),
                args_digest: "".into(),
                outcome: Some(EffectOutcome::Done),
                on_unknown: OnUnknown::Ask,
                unguarded: Some(n),
            };
            self.effects.insert(EffectId::derived(self.id, self.version, n), effect);
        }
    }
}
