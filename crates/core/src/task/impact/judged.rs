//! What the constitution would say about a task, where that can be known.

use super::{Known, Task};
use crate::constitution::{About, Judged, Law, Point, Said};
use crate::event::Submitted;
use crate::impact::ImpactVerdict;
use crate::plan::{Does, Plan};
use crate::status::StepStatus;
use crate::time::Time;
use std::collections::BTreeSet;

/// What the rules would say.
#[derive(Default)]
pub(super) struct Expected {
    /// Each time they would be asked.
    pub(super) verdicts: Vec<ImpactVerdict>,
    /// The same as it was judged, where it could be, for the risks they see.
    pub(super) judged: Vec<Judged>,
    /// Where a rule that may apply wants a person, by the path of the step.
    pub(super) may_ask: BTreeSet<(Point, String)>,
}

impl Task {
    /// What the rules would say.
    pub(super) fn expected_verdicts(
        &self,
        earnest: &Submitted,
        plan: &Plan,
        known: &[Known],
        law: Option<&Law>,
        now: Time,
    ) -> Expected {
        let mut expected = Expected::default();
        let Some(law) = law else { return expected };
        let task = About::the_task(earnest, &self.contents.text, now);
        let mut may_ask = BTreeSet::new();
        let mut say = |at: Point, step: Option<&str>, judged: Judged, undecided: Option<String>| {
            let ruling = Some(judged.ruling).filter(|_| undecided.is_none());
            let said: Vec<Said> = judged.said.iter().filter(|_| undecided.is_none()).cloned().collect();
            expected.verdicts.push(ImpactVerdict { at, step: step.map(Into::into), ruling, said, undecided: undecided.clone() });
            if undecided.is_none() {
                expected.judged.push(judged);
            }
        };
        say(Point::Admission, None, law.judge(Point::Admission, &task), None);
        if self.planned {
            let whole = About { plan: Some((plan, self.contents.steps())), ..task };
            say(Point::Plan, None, law.judge(Point::Plan, &whole), None);
        }
        for one in known {
            let step = &self.board.steps[one.i as usize];
            // What waits, or is a task of its own, is nothing an agent does: that task is judged itself.
            if step.does() != Does::Work {
                continue;
            }
            let act = self.as_action(one.i, &one.params);
            let about = About { action: Some(&act), ..task };
            for at in [Point::Action, Point::Result].into_iter().filter(|at| law.may_ask(*at, &about)) {
                may_ask.insert((at, one.path.clone()));
            }
            let hidden =
                |at: Point| one.unresolved.clone().filter(|_| law.concerns(at, &about) && law.reads(at, "action", "params"));
            say(Point::Action, Some(&one.path), law.judge(Point::Action, &about), hidden(Point::Action));
            if !law.concerns(Point::Result, &about) {
                continue;
            }
            match self
                .contents
                .outputs
                .get(&self.step_name(one.i))
                .filter(|_| self.board.cell(one.i).status == StepStatus::Completed)
            {
                Some(success) => {
                    let judged = law.judge(Point::Result, &About { result: Some(success), ..about });
                    say(Point::Result, Some(&one.path), judged, hidden(Point::Result));
                }
                None => {
                    let why = "its result is not there".to_owned();
                    say(Point::Result, Some(&one.path), Judged::default(), Some(why));
                }
            }
        }
        expected.may_ask = may_ask;
        expected
    }
}
