//! The steps of a plan as the witness sees them: which are over, which gates still stand before the others.

use super::{Breach, Rule};
use ephor_core::event::{GateJudged, Succeeded};
use ephor_core::id::{AgentId, TaskId};
use ephor_core::plan::{Does, Plan, Step};
use ephor_core::spec::{ErrorClass, GateKind, GateSpec, RetryPolicy};
use ephor_core::status::Status;
use ephor_core::work::Judgement;
use std::collections::{HashMap, HashSet};

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// To be done.
    Open,
    /// Its agent says it is done; gates look at it.
    Checking,
    /// Done, all gates passed.
    Done,
    /// Left out.
    Skipped,
    /// Its attempts are spent.
    Failed,
    /// To be done again once the task is tried again.
    RolledBack,
}

/// One step.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(super) step: Step,
    pub(crate) stage: Stage,
    pub(super) kids: Vec<usize>,
    /// The attempt that last worked.
    pub(crate) succeeded: Option<u32>,
    failures: HashMap<ErrorClass, u32>,
    /// The place of its work among all that was done and stands.
    done_no: Option<u32>,
    gate: u16,
    pub(crate) doer: Option<AgentId>,
    condition_met: bool,
    child: Option<TaskId>,
    evidence: Vec<Judgement>,
    metrics: serde_json::Map<String, serde_json::Value>,
    /// What the judge of the open gate said.
    said: Option<bool>,
}

impl Watched {
    pub(super) fn new(step: Step) -> Self {
        Self {
            step,
            stage: Stage::Open,
            kids: Vec::new(),
            succeeded: None,
            failures: HashMap::new(),
            done_no: None,
            gate: 0,
            doer: None,
            condition_met: false,
            child: None,
            evidence: Vec::new(),
            metrics: serde_json::Map::new(),
            said: None,
        }
    }

    /// A person looks at its result.
    fn confirm(&mut self) {
        let asked = self.step.gates.iter().any(|g| g.kind == GateKind::ManualReview && !g.advisory);
        if self.step.does() == Does::Work && !asked {
            let confirm = serde_json::json!({"kind": "MANUAL_REVIEW"});
            self.step.gates.push(serde_json::from_value(confirm).expect("a gate of one word"));
        }
    }

    fn count(&mut self, class: ErrorClass) {
        *self.failures.entry(class).or_default() += 1;
    }

    /// Whether no attempt is left after a failure of this class: classes with a number of their own are counted by themselves.
    fn is_spent(&self, policy: &RetryPolicy, class: ErrorClass) -> bool {
        let own = |class: &ErrorClass| policy.by_class.get(class).and_then(|own| own.max_attempts);
        let spent = match own(&class) {
            Some(most) => self.failures.get(&class).is_some_and(|n| *n >= most),
            None => self.failures.iter().filter(|(of, _)| own(of).is_none()).map(|(_, n)| n).sum::<u32>() >= policy.max_attempts,
        };
        spent || policy.never_on.contains(&class)
    }

    fn name(&self) -> &str {
        self.step.key.as_deref().unwrap_or(&self.step.path)
    }
}

/// All steps of the present plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    pub(super) list: Vec<Watched>,
    pub(super) places: HashMap<Box<str>, usize>,
    retry: Option<RetryPolicy>,
    laid: bool,
    /// How often work was done.
    done: u32,
    /// What the council's yes depends on.
    conditions: Vec<GateSpec>,
    /// What of it no gate has let through yet.
    unmet: Vec<GateSpec>,
}

impl Steps {
    pub(super) fn new(retry: Option<RetryPolicy>) -> Self {
        Self { retry, ..Self::default() }
    }

    /// Whether there is a plan.
    pub(super) fn are_laid(&self) -> bool {
        self.laid
    }

    /// Takes another plan; what the one before finished under the same name, doing the same, stays finished.
    pub(super) fn replan(&mut self, plan: &Plan) {
        // What is in a group that was left out was left out with it.
        let left_out: Vec<usize> = (0..self.list.len()).filter(|i| self.is_left_out(*i)).collect();
        left_out.into_iter().for_each(|i| self.list[i].stage = Stage::Skipped);
        let before = std::mem::replace(&mut self.list, plan.steps.iter().cloned().map(Watched::new).collect());
        let by_name: HashMap<&str, &Watched> = before.iter().map(|w| (w.name(), w)).collect();
        self.laid = true;
        let by_path: HashMap<&str, &Watched> = before.iter().map(|w| (&*w.step.path, w)).collect();
        for watched in &mut self.list {
            // A task that stands for a step goes on where the new plan has such a step at the same place.
            if watched.step.does() == Does::Task {
                watched.child = by_path.get(&*watched.step.path).and_then(|w| w.child);
            }
            let was = by_name
                .get(watched.name())
                .filter(|w| w.step.action == watched.step.action && w.step.for_each == watched.step.for_each);
            if let Some(was) = was.filter(|w| watched.step.children == 0 && w.kids.is_empty())
                && matches!(was.stage, Stage::Done | Stage::Skipped)
            {
                (watched.stage, watched.succeeded, watched.doer) = (was.stage, was.succeeded, was.doer);
                watched.done_no = was.done_no;
            }
        }
        // The parts of a list that was laid out stay with it, and those to be done are done as the new plan says.
        let lists: Vec<(usize, &Watched)> = (0..self.list.len())
            .filter_map(|i| {
                let (is, was) = (&self.list[i].step, *by_name.get(self.list[i].name())?);
                let same = was.step.for_each.is_some()
                    && was.step.for_each == is.for_each
                    && was.step.action == is.action
                    && was.step.path == is.path;
                (same && is.children == 0 && !was.kids.is_empty()).then_some((i, was))
            })
            .collect();
        self.index();
        for (i, was) in lists {
            self.list[i].condition_met = was.condition_met && was.step.when == self.list[i].step.when;
            for before in was.kids.iter().map(|k| &before[*k]) {
                let mut part = self.part(i, before.step.path.clone());
                // A task that stands for a part goes on.
                part.child = before.child;
                if matches!(before.stage, Stage::Done | Stage::Skipped) {
                    (part.stage, part.succeeded, part.doer) = (before.stage, before.succeeded, before.doer);
                    part.done_no = before.done_no;
                }
                self.push(part);
            }
        }
        self.bind();
    }

    /// A part of a list, to be done as the list says.
    fn part(&self, list: usize, path: Box<str>) -> Watched {
        let pattern = self.list[list].step.clone();
        let parent = Some(list as u32);
        Watched::new(Step { path, key: None, parent, needs: Vec::new(), when: None, for_each: None, checkpoint: None, ..pattern })
    }

    fn index(&mut self) {
        self.places = self.list.iter().enumerate().map(|(i, w)| (w.step.path.clone(), i)).collect();
        for i in 0..self.list.len() {
            if let Some(parent) = self.list[i].step.parent {
                self.list[parent as usize].kids.push(i);
            }
        }
    }

    fn push(&mut self, part: Watched) {
        let i = self.list.len();
        let parent = part.step.parent.expect("parts have a group") as usize;
        self.list[parent].kids.push(i);
        self.places.insert(part.step.path.clone(), i);
        self.list.push(part);
    }

    pub(super) fn expand(&mut self, path: &str, count: u32) {
        let Some(&i) = self.places.get(path) else { return };
        for kid in std::mem::take(&mut self.list[i].kids) {
            self.places.remove(&self.list[kid].step.path);
        }
        if count == 0 {
            self.list[i].stage = Stage::Done;
        }
        for n in 1..=count {
            let part = self.part(i, format!("{path}.{n}").into());
            self.push(part);
        }
    }

    fn at(&mut self, path: &str) -> Option<&mut Watched> {
        self.list.get_mut(*self.places.get(path)?)
    }

    /// The step of this path.
    pub(crate) fn get(&self, path: &str) -> Option<&Watched> {
        self.list.get(*self.places.get(path)?)
    }

    pub(super) fn set(&mut self, path: &str, stage: Stage) {
        if let Some(step) = self.at(path) {
            step.stage = stage;
            step.child = None;
        }
    }

    pub(super) fn condition_met(&mut self, path: &str) {
        if let Some(step) = self.at(path) {
            step.condition_met = true;
        }
    }

    pub(super) fn child(&mut self, path: &str, child: TaskId) {
        if let Some(step) = self.at(path) {
            step.child = Some(child);
        }
    }

    pub(super) fn child_ended(&mut self, path: &str, child: TaskId, status: Status) {
        self.done += u32::from(status == Status::Completed);
        let done = self.done;
        if let Some(step) = self.at(path).filter(|s| s.child == Some(child)) {
            step.done_no = if status == Status::Completed { Some(done) } else { step.done_no };
            step.stage = if status == Status::Completed { Stage::Done } else { Stage::Failed };
            step.child = None;
        }
    }

    /// Failed steps, and those that were rolled back, are to be done again.
    pub(super) fn revive(&mut self) {
        let again = |s: &Watched| s.stage == Stage::RolledBack || (s.stage == Stage::Failed && !s.step.optional);
        for step in self.list.iter_mut().filter(|s| again(s)) {
            step.stage = Stage::Open;
            step.failures.clear();
        }
    }

    /// Of steps that one goes back behind, those that were done and can be undone, what was done last first.
    pub(super) fn owed_back(&self, back: &[Box<str>]) -> Vec<Box<str>> {
        let of = |path: &str| {
            let step = self.get(path)?;
            let undone = step.step.compensation.is_some() && step.kids.is_empty();
            Some((step.done_no.filter(|_| undone)?, path.into()))
        };
        let mut done: Vec<(u32, Box<str>)> = back.iter().filter_map(|path| of(path)).collect();
        done.sort();
        done.into_iter().rev().map(|(_, path)| path).collect()
    }

    /// A person is asked about a step: it has not failed for good.
    pub(super) fn held_up(&mut self, path: &str) {
        if let Some(step) = self.at(path).filter(|s| s.stage == Stage::Failed && !s.step.optional) {
            step.stage = Stage::Open;
        }
    }

    pub(super) fn retry(&mut self, path: &str) {
        if let Some(step) = self.at(path) {
            step.stage = Stage::Open;
            step.failures.clear();
        }
    }

    /// Whether a step holds the task up because its attempts are spent, or because it was rolled back.
    pub(super) fn any_failed(&self) -> bool {
        let failed = |i: usize| match self.list[i].stage {
            Stage::Failed => !self.list[i].step.optional,
            Stage::RolledBack => true,
            Stage::Open | Stage::Checking | Stage::Done | Stage::Skipped => false,
        };
        // What is in a group that was left out was left out with it.
        (0..self.list.len()).any(|i| failed(i) && !self.is_left_out(i))
    }

    /// Gives an agent, or anybody, the steps that were for another one, or for any.
    pub(super) fn hand_over(&mut self, from: Option<AgentId>, to: Option<AgentId>) {
        for step in self.list.iter_mut().filter(|s| s.step.agent == from) {
            step.step.agent = to;
        }
    }

    /// From now on a person confirms each step that has not ended.
    pub(super) fn confirm_each(&mut self) {
        let ended = |s: &Watched| match s.stage {
            Stage::Done | Stage::Skipped => true,
            Stage::Failed => s.step.optional,
            Stage::Open | Stage::Checking | Stage::RolledBack => false,
        };
        self.list.iter_mut().filter(|s| !ended(s)).for_each(Watched::confirm);
    }

    /// From now on a person confirms this step.
    pub(super) fn confirm_one(&mut self, path: &str) {
        if let Some(i) = self.places.get(path) {
            self.list[*i].confirm();
        }
    }

    /// The council's yes depends on this: the last steps have it among their gates.
    pub(super) fn depend_on(&mut self, gates: impl Iterator<Item = GateSpec>) {
        let mut new: Vec<GateSpec> = Vec::new();
        gates.for_each(|gate| {
            if !new.contains(&gate) {
                new.push(gate)
            }
        });
        self.conditions.extend(new.iter().cloned());
        self.unmet.extend(new);
        self.bind();
    }

    /// Whether some of it was never found to be so.
    pub(super) fn anything_unmet(&self) -> bool {
        !self.unmet.is_empty()
    }

    fn bind(&mut self) {
        let needed: HashSet<u32> = self.list.iter().flat_map(|s| s.step.needs.iter().copied()).collect();
        for i in 0..self.list.len() {
            let mut up = vec![i];
            while let Some(parent) = self.list[*up.last().expect("it holds the step")].step.parent {
                up.push(parent as usize);
            }
            let step = &self.list[i];
            let ended = match step.stage {
                Stage::Done | Stage::Skipped => true,
                Stage::Failed => step.step.optional,
                Stage::Open | Stage::Checking | Stage::RolledBack => false,
            };
            let last = up.iter().all(|i| !needed.contains(&(*i as u32)));
            if ended || !last || step.step.does() != Does::Work || !step.kids.is_empty() {
                continue;
            }
            for gate in &self.conditions {
                if !self.list[i].step.gates.contains(gate) {
                    self.list[i].step.gates.push(gate.clone());
                }
            }
        }
    }

    /// Whether nothing is left to do in a step or group.
    pub(super) fn is_over(&self, i: usize) -> bool {
        let step = &self.list[i];
        match step.stage {
            Stage::Done | Stage::Skipped => true,
            // A child that was let go may still say how it ended.
            Stage::Failed => step.step.optional || self.is_left_out(i),
            Stage::RolledBack => self.is_left_out(i),
            Stage::Open | Stage::Checking => {
                self.is_left_out(i) || (!step.kids.is_empty() && step.kids.iter().all(|k| self.is_over(*k)))
            }
        }
    }

    /// Whether a group that it is in is left out.
    pub(super) fn is_left_out(&self, i: usize) -> bool {
        let above = |i: &usize| self.list[*i].step.parent.map(|p| p as usize);
        std::iter::successors(above(&i), above).any(|group| self.list[group].stage == Stage::Skipped)
    }

    /// What is left to do at the top of the plan.
    pub(super) fn unfinished(&self) -> Vec<Box<str>> {
        let open = (0..self.list.len()).filter(|i| self.list[*i].step.parent.is_none() && !self.is_over(*i));
        open.map(|i| self.list[i].step.path.clone()).collect()
    }

    /// A step may be given away when everything before it is over, and every condition on the way to it was found true.
    pub(super) fn given(&mut self, path: &str, agent: AgentId, session: Option<AgentId>) -> Vec<Breach> {
        let mut found = Vec::new();
        let Some(&i) = self.places.get(path) else {
            return vec![Breach { rule: Rule::Skipped, what: format!("step {path} was given away, but the plan has none") }];
        };
        let mut wrong = |what: String| found.push(Breach { rule: Rule::Skipped, what });
        if self.list[i].stage != Stage::Open {
            wrong(format!("step {path} was given away although it is {:?}", self.list[i].stage));
        }
        for on_the_way in std::iter::successors(Some(i), |i| self.list[*i].step.parent.map(|p| p as usize)) {
            let group = &self.list[on_the_way];
            for need in group.step.needs.iter().filter(|n| !self.is_over(**n as usize)) {
                wrong(format!("step {path} was given away before {} was over", self.list[*need as usize].step.path));
            }
            if group.step.when.is_some() && !group.condition_met {
                wrong(format!("step {path} was given away although nobody looked at the condition of {}", group.step.path));
            }
            if group.stage == Stage::Skipped {
                wrong(format!("step {path} was given away although {} is left out", group.step.path));
            }
        }
        if let Some(only) = self.list[i].step.agent.or(session)
            && only != agent
        {
            wrong(format!("step {path} is for {only} but was given to {agent}"));
        }
        self.list[i].doer = Some(agent);
        found
    }

    /// Whether doing a step means acting on the outside.
    pub(super) fn acts(&self, path: &str) -> bool {
        self.places.get(path).is_some_and(|i| self.list[*i].step.acts)
    }

    pub(super) fn succeeded(&mut self, path: &str, done: &Succeeded) -> Option<Breach> {
        self.done += 1;
        let done_no = self.done;
        let step = self.at(path)?;
        step.done_no = Some(done_no);
        if step.stage != Stage::Open {
            return Some(Breach { rule: Rule::Late, what: format!("step {path} worked although it is {:?}", step.stage) });
        }
        step.succeeded = Some(done.attempt);
        step.evidence.clone_from(&done.evidence);
        step.metrics.clone_from(&done.metrics);
        step.gate = 0;
        step.stage = if step.step.gates.is_empty() { Stage::Done } else { Stage::Checking };
        None
    }

    /// Counts a failure; it is repeated only while attempts are left.
    pub(super) fn failed_attempt(&mut self, path: &str, class: ErrorClass, again: bool) -> Option<Breach> {
        let policy = self.policy(path);
        let step = self.at(path)?;
        step.stage = if again { Stage::Open } else { Stage::Failed };
        // Whoever ended because it was told to is offered again whatever the policy says.
        if class == ErrorClass::Cancelled {
            return None;
        }
        step.count(class);
        (again && step.is_spent(&policy, class)).then(|| Breach {
            rule: Rule::Undecided,
            what: format!(
                "step {path} is offered again after {class:?} and {:?}, which {policy:?} does not allow",
                step.failures
            ),
        })
    }

    fn policy(&self, path: &str) -> RetryPolicy {
        let own = self.get(path).and_then(|s| s.step.retry.as_ref());
        own.or(self.retry.as_ref()).cloned().unwrap_or_default()
    }

    pub(super) fn gate_opened(&mut self, path: &str, gate: u16) -> Option<Breach> {
        let step = self.at(path)?;
        step.said = None;
        let right = step.stage == Stage::Checking && step.gate == gate;
        (!right).then(|| Breach { rule: Rule::Skipped, what: format!("gate {gate} of step {path} was opened out of turn") })
    }

    pub(super) fn gate_given(&mut self, path: &str, gate: u16, agent: AgentId) -> Option<Breach> {
        let step = self.at(path)?;
        let spec = step.step.gates.get(usize::from(gate));
        let what = if step.stage != Stage::Checking || step.gate != gate {
            "out of turn"
        } else if step.doer == Some(agent) {
            "to who did the step"
        } else if spec.is_none_or(|s| s.kind == GateKind::ManualReview) {
            "to an agent, but a person has to look"
        } else {
            return None;
        };
        Some(Breach { rule: Rule::Skipped, what: format!("gate {gate} of step {path} was given {what}") })
    }

    /// A judge has spoken; what it means is said by the judgement that follows.
    pub(super) fn reported(&mut self, path: &str, gate: u16, judgement: Option<&Judgement>) {
        if let Some(step) = self.at(path).filter(|s| s.gate == gate) {
            step.said = judgement.map(|j| j.passed);
        }
    }

    pub(super) fn judged(&mut self, judged: &GateJudged, by_person: bool, overruled: bool) -> Vec<Breach> {
        let policy = self.policy(&judged.step);
        let mut found = Vec::new();
        let path = &judged.step;
        let Some(step) = self.at(path) else { return found };
        let mut wrong = |what: &str| {
            found.push(Breach { rule: Rule::Skipped, what: format!("gate {} of step {path}: {what}", judged.gate) });
        };
        if step.stage != Stage::Checking || step.gate != judged.gate {
            wrong("judged out of turn");
        }
        let Some(spec) = step.step.gates.get(usize::from(judged.gate)) else {
            wrong("judged, but the step has none");
            return found;
        };
        if judged.advisory != spec.advisory {
            wrong("whether it only advises was changed");
        }
        let spoken = step.evidence.iter().any(|e| e.kind == spec.kind && e.passed);
        let measured = spec.metric.as_ref().and_then(|m| step.metrics.get(&**m)).and_then(serde_json::Value::as_f64);
        let spec = spec.clone();
        let allowed = match &*judged.by {
            // What whoever did the step says counts for nothing where the gate says how it is checked.
            "evidence" => spec.kind != GateKind::ManualReview && spec.check.is_none() && spoken,
            "metric" => spec.check.is_none() && measured.zip(spec.threshold).is_some_and(|(m, t)| m <= t),
            "agent" => spec.kind != GateKind::ManualReview && step.said == Some(true),
            "person" => by_person,
            "override" => by_person && overruled,
            _ => false,
        };
        if judged.passed && !allowed {
            wrong(&format!("passed by {}, which cannot be", judged.by));
        }
        step.said = None;
        if judged.passed || judged.advisory {
            step.gate += 1;
            if usize::from(step.gate) >= step.step.gates.len() {
                step.stage = Stage::Done;
            }
        } else {
            step.count(ErrorClass::GateFailed);
            if judged.retry_at.is_some() && step.is_spent(&policy, ErrorClass::GateFailed) {
                wrong("its step is offered again although its attempts are spent");
            }
            step.stage = if judged.retry_at.is_some() { Stage::Open } else { Stage::Failed };
        }
        if judged.passed {
            self.unmet.retain(|unmet| *unmet != spec);
        }
        found
    }
}
