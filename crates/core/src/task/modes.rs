//! What withholds every act on the outside, and what it takes to let a task act that could not.

use super::Task;
use crate::command::{Context, Refusal};
use crate::constitution::{About, Judged, Point, Ruling};
use crate::event::{CheckResult, Finding, Submitted};
use crate::plan::{Plan, Problem};
use crate::spec::{Autonomy, ExecutionMode, Request, Risk};

impl Task {
    /// A task that this one gives birth to may do no more than it may itself.
    pub(super) fn hand_down(&self, request: &mut Request) {
        if self.may_act() {
            return;
        }
        match self.facts.mode {
            ExecutionMode::DryRun => request.execution_mode = Some(ExecutionMode::DryRun),
            ExecutionMode::Auto | ExecutionMode::Strict => request.autonomy = Some(Autonomy::Suggestion),
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
        if self.may_act() || withholds {
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
        } else if self.facts.review_owed {
            "it was reviewed as one that does not act".into()
        } else {
            return Ok(None);
        };
        let reason = format!("it could not act on the outside, and {} lets it: {why}", mode.word()).into();
        Ok(Some(Finding { check: "execution_mode".into(), result: CheckResult::RequiresReview, reason }))
    }
}
