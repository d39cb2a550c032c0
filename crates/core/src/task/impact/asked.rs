//! Whom a task would ask before it goes on.

use super::{Known, Task};
use crate::constitution::{Judged, Point, Ruling};
use crate::event::{CheckResult, Submitted};
use crate::impact::{ApprovalKind, ImpactApproval, ImpactVerdict};
use crate::policy::Policy;
use crate::review::Question;
use crate::spec::{Autonomy, ExecutionMode, GateKind, Risk};
use crate::time::WireDuration;
use std::collections::BTreeSet;

/// Who is asked about a result.
const ANYBODY: &str = "a person who may decide";

impl Task {
    /// Whom it would ask, in the order in which it would. `may_ask` says where a rule that may apply wants a person.
    pub(super) fn expected_approvals(
        &self,
        earnest: &Submitted,
        known: &[Known],
        verdicts: &[ImpactVerdict],
        may_ask: &BTreeSet<(Point, String)>,
        policy: &Policy,
    ) -> Vec<ImpactApproval> {
        // Before it starts only what is seen then counts; what an action is about shows later.
        let entry = verdicts.iter().filter(|v| matches!(v.at, Point::Admission | Point::Plan));
        let risk = entry.flat_map(|v| &v.said).filter_map(|said| said.risk).max().unwrap_or_default().max(self.facts.risk);
        let council = match policy.solo {
            true => "the council; where it has too few judges, the operator alone",
            false => "the council",
        };
        let decides = match policy.solo {
            true => "a person who may decide; here also whoever submitted it",
            false => "a person who may decide, other than whoever submitted it",
        };
        let mut asked = Vec::new();
        let why = self.why_reviewed(earnest, verdicts, risk);
        if !why.is_empty() {
            let verdict = self.verdict_on(Question::Admission);
            asked.push(whole(ApprovalKind::Admission, council, why.join(", and "), Some(policy.review_wait), verdict));
        }
        if self.acceptance_owed {
            let why = "its plan was read with too little confidence, or holds what somebody has to see".to_owned();
            asked.push(whole(ApprovalKind::Plan, decides, why, None, None));
        }
        for one in known {
            self.ask_about_step(one, earnest, risk, verdicts, may_ask, decides, policy, &mut asked);
        }
        if self.facts.final_review {
            let (why, verdict) = ("the request asks for it".to_owned(), self.verdict_on(Question::Result));
            asked.push(whole(ApprovalKind::FinalReview, council, why, Some(policy.review_wait), verdict));
        }
        asked
    }

    fn verdict_on(&self, question: Question) -> Option<crate::review::Verdict> {
        self.reviews.iter().rev().find(|review| review.question == question).map(|review| review.verdict)
    }

    /// Why it is reviewed before it starts.
    fn why_reviewed(&self, earnest: &Submitted, verdicts: &[ImpactVerdict], risk: Risk) -> Vec<String> {
        let wanted = |v: &ImpactVerdict| matches!(v.at, Point::Admission | Point::Plan) && v.ruling == Some(Ruling::Escalate);
        let mut why = Vec::new();
        if risk >= Risk::High {
            why.push(format!("its risk is {}", risk.word()));
        }
        if earnest.mode == ExecutionMode::Strict {
            why.push("it is STRICT".into());
        }
        if verdicts.iter().any(wanted) {
            why.push("rules of the constitution want people to look first".into());
        }
        if self.facts.findings.iter().any(|finding| finding.result == CheckResult::RequiresReview) {
            why.push("validation wants people to look first".into());
        }
        if self.facts.review_owed && why.is_empty() {
            why.push("it was so when it was submitted".into());
        }
        why
    }

    /// Whom a step would ask: before it is done, and about its result.
    #[allow(clippy::too_many_arguments)] // All that a question hangs on; a struct for one caller would only rename it.
    fn ask_about_step(
        &self,
        one: &Known,
        earnest: &Submitted,
        risk: Risk,
        verdicts: &[ImpactVerdict],
        may_ask: &BTreeSet<(Point, String)>,
        decides: &str,
        policy: &Policy,
        asked: &mut Vec<ImpactApproval>,
    ) {
        let step = &self.board.steps[one.i as usize];
        // Where it is left out, nobody is asked.
        let always = step.when.is_none() && step.for_each.is_none();
        let mut ask = |of, who: &str, why: String, waits: WireDuration, certain: bool| {
            asked.push(ImpactApproval {
                of,
                step: Some(one.path.clone()),
                who: who.into(),
                why,
                waits: Some(waits),
                certain: certain && always,
                verdict: None,
            });
        };
        let at = |at: Point| verdicts.iter().find(|v| v.at == at && v.step.as_deref() == Some(&one.path));
        let may = |at: Point| may_ask.contains(&(at, one.path.clone()));
        let sentence = |found: &ImpactVerdict| Judged { said: found.said.clone(), ..Judged::default() }.sentence();
        let acts = earnest.autonomy != Autonomy::Suggestion;
        let before = at(Point::Action);
        let risk = before.iter().flat_map(|found| &found.said).filter_map(|said| said.risk).max().unwrap_or_default().max(risk);
        if acts && earnest.autonomy == Autonomy::Assisted && step.acts && risk >= Risk::High {
            let why = format!("its risk is {}, and its autonomy ASSISTED", risk.word());
            ask(ApprovalKind::Action, decides, why, policy.approval_wait, true);
        } else if let Some(found) = before.filter(|_| acts) {
            match &found.undecided {
                Some(why) if may(Point::Action) => {
                    let why = format!("rules that may want a person cannot be asked about it yet: {why}");
                    ask(ApprovalKind::Action, decides, why, policy.approval_wait, false);
                }
                None if found.ruling == Some(Ruling::Escalate) => {
                    ask(ApprovalKind::Action, decides, sentence(found), policy.approval_wait, true);
                }
                Some(_) | None => {}
            }
        }
        for gate in step.gates.iter().filter(|gate| gate.kind == GateKind::ManualReview && !gate.advisory) {
            let why = "its plan has a person look at the result".to_owned();
            ask(ApprovalKind::Result, gate.reviewer.as_deref().unwrap_or(ANYBODY), why, policy.review_wait, true);
        }
        let Some(found) = at(Point::Result) else { return };
        match &found.undecided {
            Some(why) if may(Point::Result) => {
                let why = format!("rules about results may want a person, and {why}");
                ask(ApprovalKind::Result, ANYBODY, why, policy.review_wait, false);
            }
            None if found.ruling == Some(Ruling::Escalate) => {
                ask(ApprovalKind::Result, ANYBODY, sentence(found), policy.review_wait, true);
            }
            Some(_) | None => {}
        }
    }
}

/// A question about the whole of it.
fn whole(
    of: ApprovalKind,
    who: &str,
    why: String,
    waits: Option<WireDuration>,
    verdict: Option<crate::review::Verdict>,
) -> ImpactApproval {
    ImpactApproval { of, step: None, who: who.into(), why, waits, certain: true, verdict }
}
