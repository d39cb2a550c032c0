//! Work handed out: which piece an agent gets, and all it needs to know about it.

use super::approval::Before;
use super::undo::Undoing;
use super::{Decided, Draft, Task};
use crate::board::Offer;
use crate::command::{Answer, Claim, Context, Refusal};
use crate::event::{ApprovalWord, Assigned, EscalationReason, Event, Failed};
use crate::id::EffectId;
use crate::matching::{fits, is_special};
use crate::models::is_by_model;
use crate::planted::{self, Fault};
use crate::spec::{Autonomy, ErrorClass, ExecutionMode, GateSpec, OnUnknown};
use crate::work::{EffectOutcome, EffectProbe, WorkItem, WorkKey};
use serde_json::Value;
use std::collections::BTreeSet;

/// What an agent hears that the rules let do something else.
const FOR_OTHERS: Refusal = Refusal::NoWork("the constitution does not let this agent do it");

impl Task {
    /// Grants the best piece of work the agent can do here.
    pub(super) fn claim(&self, claim: &Claim, cx: &Context<'_>) -> Result<Decided, Refusal> {
        let Some(offer) = self.best_offer(claim) else {
            return Err(Refusal::NoWork("nothing this agent can do is open in this task"));
        };
        let work = self.offered_work(offer);
        let attempt = match offer {
            Offer::Step(i) => self.board.cell(i).attempt + u32::from(!planted::is(Fault::TokenReused)),
            Offer::Gate(_) | Offer::Plan | Offer::Analysis | Offer::Undo => self.side_attempts + 1,
        };
        let params = match offer {
            Offer::Step(i) => self.params(i),
            Offer::Undo => self.undo_params(),
            Offer::Gate(i) => self.check_params(i),
            Offer::Plan | Offer::Analysis => Ok(Default::default()),
        };
        let params = match params {
            Ok(params) => params,
            Err(why) => {
                if let Offer::Gate(i) = offer {
                    return Ok(Decided {
                        drafts: vec![self.cannot_check(i, &why, cx)],
                        answer: Err(Refusal::NoWork("its check refers to nothing")),
                    });
                }
                // Parameters that refer to nothing cannot be handed out, and trying again cannot help.
                let failed = Failed {
                    work,
                    attempt,
                    class: ErrorClass::BadInput,
                    retry_at: None,
                    retry_after_ms: None,
                    used: None,
                    unguarded: Vec::new(),
                };
                return Ok(Decided {
                    drafts: vec![Draft::because(Event::AttemptFailed(Box::new(failed)), &why)],
                    answer: Err(Refusal::NoWork("its parameters refer to nothing")),
                });
            }
        };
        let mut drafts = Vec::with_capacity(1);
        if self.stalled {
            // What had stalled goes on with the agent that came.
            drafts.push(Draft::new(Event::Unstalled));
        }
        let (rulings, approved) = match offer {
            Offer::Step(i) => match self.before_step(i, &params, Some(claim.agent), cx) {
                Before::Nothing { rulings, approved } => (rulings, approved),
                Before::Instead(draft, why) => {
                    drafts.push(draft);
                    return Ok(Decided { drafts, answer: Err(Refusal::NoWork(why)) });
                }
                Before::ForOthers => return Err(FOR_OTHERS),
            },
            Offer::Undo if !self.may_undo(&params, claim.agent, cx) => return Err(FOR_OTHERS),
            Offer::Undo => match self.before_undo(&params, cx) {
                None => Default::default(),
                Some(why) => {
                    drafts.push(Draft::because(self.escalated(EscalationReason::CompensationFailed, cx), &why));
                    return Ok(Decided { drafts, answer: Err(Refusal::NoWork("a person has to look at what is undone")) });
                }
            },
            Offer::Gate(_) | Offer::Plan | Offer::Analysis => Default::default(),
        };
        let step = if let Offer::Step(i) = offer { Some(&self.board.steps[i as usize]) } else { None };
        let undo = self.undoing.next().filter(|_| offer == Offer::Undo);
        let own = step.and_then(|s| s.timeout_ms).or(undo.and_then(|u| u.how.timeout_ms));
        let limit = own.unwrap_or(cx.policy.attempt_timeout.ms);
        let assigned = Assigned {
            work: work.clone(),
            attempt,
            agent: claim.agent,
            claim: claim.claim,
            lease_ms: step.and_then(|s| s.lease_ms.or(self.facts.lease_ms)).unwrap_or(cx.policy.lease.ms),
            started: claim.start,
            start_by: step.and_then(|s| s.start_ms).filter(|_| !claim.start).map(|ms| cx.now.plus(ms)),
            timeout_at: claim.start.then(|| cx.now.plus(limit)),
            limits: claim.limits.clone(),
            rulings,
            approved,
            model: step.and_then(|s| s.model.clone()),
            reserved: if let Offer::Step(i) = offer { self.to_reserve(i) } else { None },
        };
        let item = self.item(offer, &work, attempt, assigned.lease_ms, Some(limit));
        drafts.push(Draft::new(Event::Assigned(Box::new(assigned))));
        Ok(Decided { drafts, answer: Ok(Answer::Work(Box::new(item))) })
    }

    /// The best offer this agent can take. Keys of one capability are looked up; only the others are gone through.
    fn best_offer(&self, claim: &Claim) -> Option<Offer> {
        if !self.can_be_claimed() {
            return None;
        }
        let pick = |set: &BTreeSet<Offer>| {
            set.iter()
                .take_while(|o| !matches!(o, Offer::Step(_)))
                .chain(set.iter().find(|o| matches!(o, Offer::Step(_))))
                .copied()
                .find(|o| {
                    // The verifier is not the doer.
                    let doer = if let Offer::Gate(i) = o { self.board.gates.get(i).and_then(|g| g.doer) } else { None };
                    self.is_open(*o) && (doer != Some(claim.agent) || planted::is(Fault::DoerJudges))
                })
        };
        let is_open = |key: &str| !claim.closed.iter().any(|closed| **closed == *key);
        let single = claim.able.capabilities.iter().filter(|c| is_open(c)).filter_map(|c| self.board.offers.get(c));
        let fits = |key: &str| is_special(key) && is_open(key) && fits(key, claim.agent, &claim.able);
        let special = self.board.offers.iter().filter(|(key, _)| fits(key));
        single.chain(special.map(|(_, set)| set)).filter_map(pick).min()
    }

    fn offered_work(&self, offer: Offer) -> WorkKey {
        let path = |i: u32| self.board.steps[i as usize].path.clone();
        match offer {
            Offer::Step(i) => WorkKey::Step(path(i)),
            Offer::Gate(i) => WorkKey::Gate(path(i), self.board.gates.get(&i).map_or(0, |g| g.gate)),
            Offer::Plan => WorkKey::Plan,
            Offer::Analysis => WorkKey::Analysis,
            Offer::Undo => WorkKey::Undo(self.undoing.next().map(|undo| undo.path.clone()).unwrap_or_default()),
        }
    }

    /// Work under a live lease, again: for a claim whose answer was lost.
    pub fn held_work(&self, work: &WorkKey) -> Option<WorkItem> {
        let lease = self.lease(work).filter(|_| self.end.is_none())?;
        let offer = match work {
            WorkKey::Step(path) => Offer::Step(self.board.find(path)?),
            WorkKey::Gate(path, _) => Offer::Gate(self.board.find(path)?),
            WorkKey::Plan => Offer::Plan,
            WorkKey::Analysis => Offer::Analysis,
            WorkKey::Undo(_) => Offer::Undo,
        };
        let limit = lease.timeout_at.map(|at| at.since(lease.since));
        Some(self.item(offer, work, lease.attempt, lease.lease_ms, limit))
    }

    /// What an agent needs to know about a piece of work.
    fn item(&self, offer: Offer, work: &WorkKey, attempt: u32, lease_ms: u64, timeout_ms: Option<u64>) -> WorkItem {
        let text = &self.contents.text;
        let mut item = WorkItem {
            task_id: self.id,
            work: work.clone(),
            attempt,
            lease_ms,
            timeout_ms,
            namespace: self.facts.namespace.to_string(),
            action: String::new(),
            title: text.title.clone(),
            description: text.description.clone(),
            requirements: text.requirements.clone(),
            model: None,
            models: None,
            last_error: None,
            params: Default::default(),
            resources: Default::default(),
            may_act: self.may_act(),
            approved_args: None,
            probe: None,
            probes: Vec::new(),
            guidance: self.contents.guidance.clone(),
            traceparent: None,
            subject: Value::Null,
        };
        match offer {
            Offer::Step(i) => {
                let step = &self.board.steps[i as usize];
                item.action = step.action.to_string();
                // What is held is done with what it was given out with.
                let cell = self.board.cell(i);
                let model = if cell.lease.is_some() { &cell.used } else { &step.model };
                item.model = model.as_deref().map(Into::into);
                if step.model.is_some() || is_by_model(&step.action) {
                    item.models.clone_from(&self.facts.models);
                }
                if let Some(words) = self.contents.steps().get(i as usize) {
                    if !words.title.is_empty() {
                        item.title.clone_from(&words.title);
                    }
                    // A step that says no more of itself is done for what its task says, in the words of now.
                    if !words.description.is_empty() {
                        item.description.clone_from(&words.description);
                    }
                    item.resources = self.resources(words);
                }
                item.params = self.params(i).unwrap_or_default();
                let approval = self.approvals.get(&step.path);
                item.approved_args =
                    approval.filter(|a| a.answer == Some(ApprovalWord::Approved)).map(|a| a.args_digest.to_string());
                item.probes = self.probes(&step.path);
                item.last_error = self.step_error(i);
            }
            Offer::Gate(i) => {
                let step = &self.board.steps[i as usize];
                let gate = self.board.gates.get(&i).and_then(|g| step.gates.get(usize::from(g.gate)));
                item.action = gate.map_or("gate", GateSpec::capability).to_owned();
                item.params = self.check_params(i).unwrap_or_default();
                let result = self.contents.outputs.get(&self.step_name(i)).map(|s| &**s);
                item.subject = serde_json::json!({"gate": gate, "step": step.path, "result": result});
            }
            Offer::Plan => {
                item.action = "plan".into();
                item.subject = serde_json::json!({"title": text.title, "description": text.description,
                    "requirements": text.requirements, "payload": text.payload});
            }
            Offer::Analysis => {
                item.action = "analyse".into();
                item.subject = self.failure_facts();
            }
            Offer::Undo => {
                let Some(undo) = self.undoing.next() else { return item };
                item.action = undo.how.action.to_string();
                item.params = self.undo_params().unwrap_or_default();
                item.probes = self.probes(&Undoing::name(&undo.path));
                let output = self.contents.undone.get(&undo.path).and_then(|kept| kept.output.as_deref());
                item.subject = serde_json::json!({"undoes": undo.path, "result": output});
            }
        }
        item.probe = item.probes.first().cloned();
        item
    }

    /// Whether outside effects are allowed at all (DESIGN §4, modes).
    pub(crate) fn may_act(&self) -> bool {
        let drafts = self.facts.mode == ExecutionMode::DryRun || self.facts.autonomy == Autonomy::Suggestion;
        !drafts || planted::is(Fault::DryRunActs)
    }

    /// The effects of this step that may or may not have happened and have to be looked for first.
    fn probes(&self, path: &str) -> Vec<EffectProbe> {
        let open = self.open_effects.get(path).filter(|_| !planted::is(Fault::ProbeDropped));
        let unknown = |id: &&EffectId| {
            let effect = &self.effects[id];
            effect.outcome == Some(EffectOutcome::Unknown) && effect.on_unknown == OnUnknown::Probe
        };
        let probe = |id: &EffectId| EffectProbe {
            effect_id: *id,
            idempotency_key: id.to_string(),
            action: self.effects[id].action.to_string(),
            args_digest: self.effects[id].args_digest.to_string(),
        };
        open.into_iter().flatten().filter(unknown).map(probe).collect()
    }
}
