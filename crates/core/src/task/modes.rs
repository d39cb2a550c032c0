//! What withholds every act on the outside, and what it takes to let a task act that could not.

use super::Task;
use crate::command::{Context, Refusal};
use crate::constitution::{About, Judged, Point, Ruling};
use crate::event::{CheckResult, Finding, Submitted};
use crate::plan::{Plan, Problem};
use crate::spec::{Autonomy, ExecutionMode, Request, Risk};

impl Task {
    /// A task that this one gives birth to may do no more than it may itself: each step confirmed where its own are, asked about where it
    /// is, and as risky at least where that decides who is asked.
    pub(super) fn hand_down(&self, request: &mut Request) {
        request.execution_mode = match (self.facts.mode, request.execution_mode) {
            (ExecutionMode::DryRun, _) | (_, Some(ExecutionMode::DryRun)) => Some(ExecutionMode::DryRun),
            (ExecutionMode::Strict, _) => Some(ExecutionMode::Strict),
            (ExecutionMode::Auto, own) => own,
        };
        // A dry run acts on nothing; its autonomy says something where somebody said it.
        let own = self.facts.mode != ExecutionMode::DryRun || self.facts.autonomy_given;
        request.autonomy = match (self.facts.autonomy, request.autonomy) {
            (_, wanted) if !own => wanted,
            (Autonomy::Suggestion, _) | (_, Some(Autonomy::Suggestion)) => Some(Autonomy::Suggestion),
            (Autonomy::Assisted, _) => Some(Autonomy::Assisted),
            (Autonomy::Autonomous, own) => own,
        };
        if self.facts.autonomy == Autonomy::Assisted {
            request.risk = request.risk.max(Some(self.facts.risk));
        }
    }

    /// What has to be looked at first where another mode lets a task act that could not: it was let in as one that does not. It is judged
    /// anew as it would be in earnest, and reviewed where it would have been.
    ///
    /// # Errors
    /// Where the constitution refuses it so.
    pub(super) fn let_act(&self, mode: ExecutionMode, cx: &Context<'_>) -> Result<Option<Finding>, Refusal> {
        let autonomy = self.autonomy_under(mode).unwrap_or(self.facts.autonomy);
        let withholds = mode == ExecutionMode::DryRun || autonomy == Autonomy::Suggestion;
        // Freer than it was reviewed as: what nobody looked at so is looked at.
        let freer = strictness(mode, autonomy) < strictness(self.facts.mode, self.facts.autonomy);
        let unseen = !self.may_act() || (freer && self.facts.review_owed);
        if !unseen || withholds {
            return Ok(None);
        }
        let facts = Submitted { mode, autonomy, plan: None, ..(*self.facts).clone() };
        let mut judged = Judged::default();
        if let Some(law) = &cx.policy.law {
            let task = About::the_task(&facts, &self.contents.text, cx.now);
            let plan = Plan { steps: self.board.steps.clone() };
            let whole = About { plan: Some((&plan, self.contents.steps())), ..task };
            let of_plan = if self.planned { law.judge(Point::Plan, &whole).said } else { Vec::new() };
            law.judge(Point::Admission, &task).said.into_iter().chain(of_plan).for_each(|said| judged.add(said));
        }
        let refuses = judged.said.iter().filter(|said| said.ruling == Ruling::Deny);
        let problems: Vec<Problem> =
            refuses.map(|said| Problem::new(format!("constitution {}", said.rule), &*said.message)).collect();
        if !problems.is_empty() {
            return Err(Refusal::Invalid(problems));
        }
        let risk = facts.risk.max(judged.risk());
        let why = if judged.ruling >= Ruling::Escalate {
            format!("rules want people to look first: {}", judged.sentence())
        } else if risk >= Risk::High {
            format!("its risk is {}", risk.word())
        } else if self.facts.review_owed && self.may_act() {
            format!("it was reviewed as {}", self.facts.mode.word())
        } else if self.facts.review_owed {
            "it was reviewed as one that does not act".into()
        } else {
            return Ok(None);
        };
        let reason = match self.may_act() {
            true => format!("{} lets it do more by itself: {why}", mode.word()),
            false => format!("it could not act on the outside, and {} lets it: {why}", mode.word()),
        };
        let reason = reason.into();
        Ok(Some(Finding { check: "execution_mode".into(), result: CheckResult::RequiresReview, reason }))
    }
}

/// How much stands between a task and the outside: its autonomy first, then whether each step is confirmed.
fn strictness(mode: ExecutionMode, autonomy: Autonomy) -> (u8, bool) {
    let autonomy = match autonomy {
        Autonomy::Autonomous => 0,
        Autonomy::Assisted => 1,
        Autonomy::Suggestion => 2,
    };
    (autonomy, mode != ExecutionMode::Auto)
}
