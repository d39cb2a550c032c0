//! The constitution as it is now, asked about what is live: where another document is in force than the one a task was judged by, or its
//! words have changed since, it is judged again before anything else of it happens.
//!
//! That is part of what follows by itself, so that no way a task goes on passes it by: the first thing anybody asks of it leads here.

use super::{Draft, Task};
use crate::command::Context;
use crate::constitution::{About, Act, AmendmentImpact, Follows, Judged, Law, Point, Ruling, Said, StepImpact};
use crate::event::{EscalationReason, Event, JudgedAnew, Submitted};
use crate::planted::{self, Fault};
use crate::spec::Risk;
use crate::time::Time;
use crate::work::Success;

/// The most steps of one task that are told of.
const STEPS_TOLD: usize = 100;

impl Task {
    /// What the constitution says, where it has not been asked about the task as it is.
    pub(super) fn judged_anew(&self, cx: &Context<'_>) -> Option<Draft> {
        let law = cx.policy.law.as_ref()?;
        if self.facts.constitution.as_deref() == Some(law.digest()) || planted::is(Fault::AmendmentIgnored) {
            return None;
        }
        let judged = self.judged_by(law, cx.now);
        let (review_owed, refused) = self.follows(&judged);
        let anew = JudgedAnew { constitution: law.digest().into(), rulings: judged.said, review_owed, refused };
        Some(Draft::new(Event::JudgedAnew(Box::new(anew))))
    }

    /// Whether the council has to look at it, and whether it is refused: for what has been said before nothing follows again.
    fn follows(&self, judged: &Judged) -> (bool, bool) {
        let unknown = |said: &Said| !self.facts.rulings.contains(said);
        let asks = |said: &&Said| said.ruling == Ruling::Escalate || said.risk >= Some(Risk::High);
        let review_owed = judged.said.iter().filter(asks).any(unknown);
        (review_owed, judged.said.iter().filter(|said| said.ruling == Ruling::Deny).any(unknown))
    }

    /// What another document would say about it; `None` where that is what the one in force says.
    pub fn amendment_impact(&self, in_force: &Law, candidate: &Law, now: Time) -> Option<AmendmentImpact> {
        let (before, after) = (self.judged_by(in_force, now), self.judged_by(candidate, now));
        let open = self.board.all().filter(|i| self.board.kids(*i).is_empty() && !self.board.has_ended(*i));
        let steps = open.filter_map(|i| {
            let step = &self.board.steps[i as usize];
            // Where they rest on what is still to come, nobody knows yet.
            let params = self.params(i).ok()?;
            let act = self.as_action(i, &params);
            let [before, after] = [in_force, candidate].map(|law| self.action_judged_by(law, &act, now));
            let (path, action) = (step.path.to_string(), step.action.to_string());
            (before != after).then_some(StepImpact { step: path, action, before, after })
        });
        let steps: Vec<_> = steps.take(STEPS_TOLD).collect();
        if before == after && steps.is_empty() {
            return None;
        }
        let follows = match self.follows(&after) {
            (_, true) => Follows::Refused,
            (true, false) => Follows::Review,
            (false, false) => Follows::Noted,
        };
        let (title, status) = (self.contents.text.title.clone(), self.status);
        Some(AmendmentImpact { task_id: self.id, title, status, follows, before, after, steps })
    }

    /// What a constitution says about the plan it follows, where that took the place of another.
    pub fn plan_judged_by(&self, law: &Law, now: Time) -> Judged {
        let (plan, steps) = self.plan_laid();
        let about = About::the_task(&self.facts, &self.contents.text, now);
        law.judge(Point::Plan, &About { plan: Some((&plan, &steps)), ..about })
    }

    /// What a constitution says about a step as it stands, before an agent gets it; `None` where its parameters are not known.
    pub fn step_judged_by(&self, path: &str, law: &Law, now: Time) -> Option<Judged> {
        let i = self.board.find(path)?;
        let params = self.params(i).ok()?;
        Some(self.action_judged_by(law, &self.as_action(i, &params), now))
    }

    /// What a constitution says about a result.
    pub fn result_judged_by(&self, path: &str, success: &Success, law: &Law, now: Time) -> Option<Judged> {
        let i = self.board.find(path)?;
        let params = self.params(i).unwrap_or_default();
        let about = About::the_task(&self.facts, &self.contents.text, now);
        Some(law.judge(Point::Result, &About { action: Some(&self.as_action(i, &params)), result: Some(success), ..about }))
    }

    fn action_judged_by(&self, law: &Law, act: &Act<'_>, now: Time) -> Judged {
        law.judge(Point::Action, &About { action: Some(act), ..About::the_task(&self.facts, &self.contents.text, now) })
    }

    /// What a constitution says about its request and the plan it follows.
    pub fn judged_by(&self, law: &Law, now: Time) -> Judged {
        let (plan, steps) = self.plan_laid();
        let facts = Submitted { plan: self.planned.then_some(plan), ..(*self.facts).clone() };
        let about = About::the_task(&facts, &self.contents.text, now);
        let mut judged = law.judge(Point::Admission, &about);
        if let Some(plan) = &facts.plan {
            let about = About { plan: Some((plan, &steps)), ..about };
            law.judge(Point::Plan, &about).said.into_iter().for_each(|said| judged.add(said));
        }
        judged
    }

    /// A decision about what the constitution refuses is owed.
    pub(super) fn outlawed_follows(&self, cx: &Context<'_>) -> Option<Draft> {
        if !self.outlawed {
            return None;
        }
        let refuses = self.facts.rulings.iter().filter(|said| said.ruling == Ruling::Deny);
        let judged = Judged { said: refuses.cloned().collect(), ..Judged::default() };
        Some(Draft::because(self.escalated(EscalationReason::Constitution, cx), &judged.sentence()))
    }

    pub(super) fn was_judged_anew(&mut self, anew: &JudgedAnew) {
        let JudgedAnew { constitution, rulings, review_owed, refused } = anew;
        rulings.iter().for_each(|said| self.risk_seen(said));
        let facts = &mut self.facts;
        facts.constitution = Some(constitution.clone());
        facts.rulings.clone_from(rulings);
        if *review_owed && !planted::is(Fault::ReviewSkipped) {
            facts.review_owed = true;
            self.ask_again();
        }
        self.outlawed = *refused;
    }

    /// Takes in the risk that a rule sees.
    pub(super) fn risk_seen(&mut self, said: &Said) {
        let Some(risk) = said.risk.filter(|risk| *risk > Risk::Low) else { return };
        let why = said.sees_risk();
        if !self.facts.risk_reasons.contains(&why) {
            self.facts.risk_reasons.push(why);
        }
        self.facts.risk = self.facts.risk.max(risk);
    }

    /// It is no longer what was judged. What was refused and let go on nevertheless is not pardoned for what it is now.
    pub(super) fn unjudge(&mut self) {
        self.facts.constitution = None;
        self.facts.rulings.retain(|said| said.ruling != Ruling::Deny);
    }
}
