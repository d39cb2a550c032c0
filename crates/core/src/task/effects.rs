//! Acting on the outside: who may, what it is called, and what became of it.

use super::approval::NotSo;
use super::decide::invalid;
use super::report::may_speak_for;
use super::undo::Undoing;
use super::{Decided, Draft, Task};
use crate::board::Lease;
use crate::command::{Answer, Context, Refusal};
use crate::event::{ActorKind, EffectGranted, Event};
use crate::id::{EffectId, TaskId};
use crate::planted::{self, Fault};
use crate::spec::{ExecutionMode, OnUnknown};
use crate::work::{EffectGrant, EffectOutcome, EffectRequest, WorkKey};

/// The most effects one task may have.
pub(super) const EFFECTS_MAX: usize = 10_000;

impl Task {
    /// Grants the right to act once. The same act asked for again has the same id and key, whatever attempt asks.
    pub(super) fn effect(&self, wish: &EffectRequest, cx: &Context<'_>) -> Result<Decided, Refusal> {
        let stale = || Refusal::StaleAttempt { work: wish.work.clone(), attempt: wish.attempt };
        let live = |l: &&Lease| l.attempt == wish.attempt || planted::is(Fault::UnfencedEffect);
        let mine = |l: &&Lease| live(l) && may_speak_for(cx.actor, l.agent);
        let lease = self.lease(&wish.work).filter(mine).ok_or_else(stale)?;
        let (path, asks) = match &wish.work {
            WorkKey::Step(path) => {
                let on_unknown = self.board.find(path).and_then(|i| self.board.steps[i as usize].on_unknown);
                (path.to_string(), on_unknown)
            }
            WorkKey::Undo(path) => (Undoing::name(path), self.undoing.next().and_then(|undo| undo.on_unknown)),
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis => {
                return Err(Refusal::NoEffect("only a step acts on the outside".into()));
            }
        };
        if !lease.started {
            return Err(self.not_now("act for", "start the attempt first"));
        }
        if !self.may_act() {
            let why = if self.facts.mode == ExecutionMode::DryRun { "it is a DRY_RUN" } else { "its autonomy is SUGGESTION" };
            return Err(Refusal::NoEffect(format!("nothing acts on the outside for this task: {why}")));
        }
        if self.cancelling || self.is_held() || self.is_deliberating() {
            return Err(Refusal::NoEffect("the task is held".into()));
        }
        if !crate::plan::is_word(&wish.action)
            || wish.args_digest.len() != 64
            || !wish.args_digest.bytes().all(|b| b.is_ascii_hexdigit())
        {
            return Err(invalid(
                "args_digest",
                "the SHA-256 of the arguments in 64 hexadecimal digits, with the action as a word",
            ));
        }
        match &wish.work {
            WorkKey::Step(path) => match self.may_act_so(path, wish, cx) {
                Ok(()) => {}
                Err(NotSo::Refused(refusal)) => return Err(refusal),
                Err(NotSo::AskAnew) => return Ok(self.ask_anew(&wish.work, wish.attempt, cx)),
            },
            WorkKey::Undo(_) => self.may_undo_so(wish, cx)?,
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis => {}
        }
        let id = effect_id(self.id, &self.in_this_round(&wish.work, path), &wish.action, &wish.args_digest);
        let grant = |already_done| EffectGrant {
            effect_id: id,
            idempotency_key: id.to_string(),
            expires_in_ms: cx.policy.effect_ttl.ms,
            already_done,
        };
        if let Some(known) = self.effects.get(&id) {
            let decided = |drafts, answer| Ok(Decided { drafts, answer: Ok(Answer::Effect(answer)) });
            match known.outcome {
                Some(EffectOutcome::Done) => return decided(Vec::new(), grant(true)),
                None if known.attempt == wish.attempt => return decided(Vec::new(), grant(false)),
                Some(EffectOutcome::Unknown) if known.on_unknown == OnUnknown::Ask => {
                    return Err(Refusal::NoEffect("nobody knows whether it happened before; a person has to say".into()));
                }
                // Not done, or unknown and to be done again with the same key, or looked for: granted anew below.
                None | Some(EffectOutcome::NotDone | EffectOutcome::Unknown) => {}
            }
        } else if self.effects.len() >= EFFECTS_MAX {
            return Err(Refusal::LimitReached { key: "effects".into(), max: EFFECTS_MAX as i64 });
        }
        let on_unknown = asks.unwrap_or(OnUnknown::Ask);
        let granted = EffectGranted {
            effect: id,
            work: wish.work.clone(),
            attempt: wish.attempt,
            action: wish.action.as_str().into(),
            args_digest: wish.args_digest.as_str().into(),
            on_unknown,
        };
        Ok(Decided {
            drafts: vec![Draft::new(Event::EffectGranted(Box::new(granted)))],
            answer: Ok(Answer::Effect(grant(false))),
        })
    }

    pub(super) fn settle_effect(
        &self,
        effect: EffectId,
        holder: Option<(WorkKey, u32)>,
        outcome: EffectOutcome,
        cx: &Context<'_>,
    ) -> Result<Decided, Refusal> {
        let known = self.effects.get(&effect).ok_or_else(|| Refusal::NotFound { what: "effect", id: effect.to_string() })?;
        match &holder {
            Some((work, attempt)) => {
                let mine = self.lease(work).is_some_and(|l| l.attempt == *attempt && may_speak_for(cx.actor, l.agent));
                if !mine {
                    return Err(Refusal::StaleAttempt { work: work.clone(), attempt: *attempt });
                }
                // What an earlier attempt left unknown is for whoever holds the work now to look for.
                if known.work != *work || (known.attempt != *attempt && known.outcome.is_none()) {
                    return Err(Refusal::NotFound { what: "effect of this work", id: effect.to_string() });
                }
            }
            None if cx.actor.kind != ActorKind::Human => {
                return Err(Refusal::Forbidden("only its holder or a person may say what became of an effect".into()));
            }
            None => {}
        }
        match known.outcome {
            Some(settled) if settled == outcome => Ok(Vec::new().into()),
            Some(EffectOutcome::Done | EffectOutcome::NotDone) => Err(Refusal::AlreadySettled { what: "the effect" }),
            None | Some(EffectOutcome::Unknown) => Ok(Draft::new(Event::EffectSettled { effect, outcome }).into()),
        }
    }

    /// What a person is asked about the effects of a step of which nobody knows, and how it is answered: one after the other.
    pub(super) fn effect_to_settle(&self, path: &str) -> (String, String) {
        let owed = self.effects_owed(path);
        let Some(first) = owed.first() else { return (String::new(), format!("ephor task effects {}", self.id)) };
        let more = match owed.len() - 1 {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        let what = format!("say whether {} happened ({first}{more})", self.effects[first].action);
        (what, format!("ephor task effects {} --settle {first} --outcome done|not-done", self.id))
    }

    /// The effects of a step of which a person has to say what became of them.
    pub(super) fn effects_owed(&self, path: &str) -> Vec<EffectId> {
        let owed = |id: &&EffectId| {
            let effect = &self.effects[id];
            effect.outcome == Some(EffectOutcome::Unknown) && effect.on_unknown == OnUnknown::Ask
        };
        self.open_effects.get(path).into_iter().flatten().filter(owed).copied().collect()
    }

    /// What was undone and is done anew is another act: it is not answered as done.
    fn in_this_round(&self, work: &WorkKey, name: String) -> String {
        let round = match work {
            WorkKey::Step(path) | WorkKey::Undo(path) => self.undoing.round(path),
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis => 0,
        };
        if round == 0 { name } else { format!("{name}#{round}") }
    }
}

/// The id of what is done with what: the same act has the same one, whatever attempt asks. Made of 80 bits of a digest, so that two
/// acts of one task never share it in practice; one of them would count as done.
fn effect_id(task: TaskId, path: &str, action: &str, args: &str) -> EffectId {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("{path}\n{action}\n{args}"));
    let (high, low) = (digest[..8].try_into(), digest[8..12].try_into());
    let whole = "a digest has 32 bytes";
    EffectId::derived(task, u64::from_be_bytes(high.expect(whole)), u32::from_be_bytes(low.expect(whole)))
}
