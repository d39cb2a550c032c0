//! A task as outsiders see it. Reads everything and changes nothing; may look at every step, so no rule calls it.

use super::Task;
use crate::board::Offer;
use crate::id::{AgentId, PlanId};
use crate::plan::{Plan, Step};
use crate::recurrence;
use crate::spec::{Affinity, ErrorClass, GateSpec, RecurrenceKind, RetryPolicy};
use crate::status::{BlockReason, Status, StepStatus};
use crate::time::{Time, WireDuration, WireTime};
use crate::timers::Timer;
use crate::view::{EffectView, GateStatus, GateView, OutputView, PlanView, StepCounts, StepView, TaskView};
use crate::work::{Unguarded, WorkKey};
use serde_json::Value;

/// How many characters of an output its summary shows.
const SUMMARY_CHARS_MAX: usize = 120;
/// How many tasks a view names; the others are found by listing.
const NAMED_MAX: usize = 1_000;
/// How many runs of a recurring task that are to come are told.
const NEXT_RUNS: usize = 5;

/// The statuses of steps that say where a task is, most telling first.
const TELLING: [StepStatus; 6] = [
    StepStatus::Running,
    StepStatus::Assigned,
    StepStatus::Checking,
    StepStatus::Retrying,
    StepStatus::Blocked,
    StepStatus::Ready,
];

impl Task {
    /// The part of its steps that are done or were left out, from 0 to 1; 1 once it is COMPLETED.
    pub fn progress(&self) -> f64 {
        self.progress_of(&self.step_counts())
    }

    fn progress_of(&self, steps: &StepCounts) -> f64 {
        if self.status == Status::Completed { 1.0 } else { steps.progress() }
    }

    /// The task as outsiders see it. Who knows what time it is adds `next_runs`, who knows telemetry adds to `progress`, who knows
    /// the other tasks says its place among them.
    pub fn view(&self) -> TaskView {
        let (facts, text) = (&self.facts, &self.contents.text);
        let word = |text: &Option<Box<str>>| text.as_deref().map(String::from);
        let current = self.current_step();
        let steps = self.step_counts();
        TaskView {
            id: self.id,
            external_id: word(&facts.external_id),
            source: word(&facts.source),
            namespace: facts.namespace.to_string(),
            parent_task_id: facts.parent.as_ref().map(|p| p.task),
            hierarchical_id: None,
            execution_plan_id: self.plan_id(),
            claimed_by: self.claimed_by(current),
            retry_of: facts.retry_of,
            related_task_id: facts.related,
            title: text.title.clone(),
            description: text.description.clone(),
            task_type: facts.task_type.to_string(),
            priority: facts.priority,
            risk_level: facts.risk,
            risk_reasons: facts.risk_reasons.iter().map(ToString::to_string).collect(),
            execution_mode: facts.mode,
            autonomy: facts.autonomy,
            requirements: text.requirements.clone(),
            acceptance_criteria: text.acceptance_criteria.clone(),
            constitutional_basis: text.constitutional_basis.clone(),
            stakeholders: text.stakeholders.clone(),
            tags: text.tags.clone(),
            owner_type: word(&facts.owner_type),
            owner_id: word(&facts.owner_id),
            subject_ref_type: word(&facts.subject_ref_type),
            subject_ref_id: word(&facts.subject_ref_id),
            payload: text.payload.clone(),
            resource_limits: text.resource_limits.clone(),
            model: word(&facts.model),
            budget: self.budget_view(),
            usage: self.spent,
            models: facts.models.as_deref().cloned(),
            allocation: facts.allocation.as_deref().cloned(),
            findings: crate::validation::shown(&facts.findings, self.estimated_plan().as_ref()),
            constitution: word(&facts.constitution),
            rulings: facts.rulings.clone(),
            status: self.status,
            block_reason: self.block_reason().filter(|_| self.status == Status::Blocked),
            waiting_reason: self.waiting().into_iter().next().map(|w| w.reason).filter(|w| w != "RUNNING"),
            escalation_reason: self.escalated,
            reason: self.reason(),
            cancelling: self.cancelling && self.end.is_none(),
            version: self.version,
            request_version: self.request_version,
            plan_version: self.plan_version,
            confidence: facts.confidence,
            progress: self.progress_of(&steps),
            current_step: current,
            current_step_id: current.map(|i| self.path_of(i)),
            steps,
            retry_count: self.retries,
            max_retries: facts.max_retries,
            retry_at: self.soft.get(Timer::TaskRetry).map(WireTime),
            last_error: self.last_error(),
            unguarded_effects: self.effects.values().filter(|e| e.unguarded.is_some()).count() as u32,
            gaps: self.gaps.iter().map(ToString::to_string).collect(),
            result: if self.end.is_some() { self.result() } else { Value::Null },
            dependencies: self.dependencies.iter().take(NAMED_MAX).copied().collect(),
            children: self.spawned.values().chain(&self.children).take(NAMED_MAX).copied().collect(),
            recurrence_kind: facts.recurrence.as_ref().map_or(RecurrenceKind::OneTime, |_| RecurrenceKind::Recurring),
            recurrence: facts.recurrence.clone(),
            next_runs: Vec::new(),
            previous_run: facts.previous_run,
            run: facts.run,
            created_at: self.born_at.map(WireTime),
            updated_at: self.born_at.map(|_| WireTime(self.touched_at)),
            started_at: self.started_at.map(WireTime),
            due_at: facts.due_at.map(WireTime),
            scheduled_at: self.released_at.or(facts.release_at).map(WireTime),
            deadline: facts.deadline.map(WireTime),
            timeout: facts.timeout_ms.map(|ms| WireDuration { ms }),
            heartbeat_timeout: facts.lease_ms.map(|ms| WireDuration { ms }),
            on_agent_lost: facts.on_agent_lost,
            agent: facts.agent,
            affinity: if facts.session_ms.is_some() { Affinity::Session } else { Affinity::None },
            session: self.board.session(),
            wake_at: self.wake_at().map(WireTime),
            ended_at: self.end.as_ref().map(|end| WireTime(end.at)),
            end_reason: self.end.as_ref().and_then(|end| end.reason),
            recoverable: self.end.as_ref().is_some_and(|end| end.recoverable),
            archived: self.archived,
            erased: self.erased,
        }
    }

    /// When the next runs of a recurring task are due, this one included while it waits for its time; none once it has ended, as the
    /// next one stands for itself then.
    pub fn next_runs(&self, now: Time) -> Vec<WireTime> {
        let Some((recurrence, from)) = self.facts.recurrence.as_ref().zip(self.facts.due_at.or(self.born_at)) else {
            return Vec::new();
        };
        if self.end.is_some() {
            return Vec::new();
        }
        let own = (!self.released).then_some(from);
        let left = recurrence.times.map_or(NEXT_RUNS, |times| times.saturating_sub(self.facts.run.unwrap_or(1)) as usize);
        let to_come = recurrence::upcoming(recurrence, from, from.max(now), left.min(NEXT_RUNS));
        own.into_iter().chain(to_come).take(NEXT_RUNS).map(WireTime).collect()
    }

    /// Its steps and groups as they are now, those that came of a list included; every group before its parts, parts in order.
    pub fn step_views(&self) -> Vec<StepView> {
        let tops = (0..self.board.steps.len() as u32).filter(|i| self.board.steps[*i as usize].parent.is_none());
        let mut open: Vec<u32> = tops.collect();
        open.reverse();
        let mut views = Vec::with_capacity(self.board.steps.len());
        while let Some(i) = open.pop() {
            open.extend(self.board.kids(i).iter().rev());
            views.push(self.step_view(i));
        }
        views
    }

    /// The step of this path or key as it is now.
    pub fn step_view_of(&self, name: &str) -> Option<StepView> {
        self.board.find(name).map(|i| self.step_view(i))
    }

    /// The first step, in the order of the plan, that an agent can claim now.
    pub fn next_step(&self) -> Option<StepView> {
        let step = |offer: &Offer| if let Offer::Step(i) = offer { Some(*i) } else { None };
        let first = self.board.offers.values().flatten().filter_map(step).min()?;
        self.can_be_claimed().then(|| self.step_view(first))
    }

    /// When a failed attempt of a step is repeated.
    pub fn retry_policy_of(&self, name: &str) -> Option<RetryPolicy> {
        let own = self.board.steps[self.board.find(name)? as usize].retry.as_ref();
        Some(own.or(self.facts.retry.as_ref()).cloned().unwrap_or_default())
    }

    /// One step as it is now.
    pub(super) fn step_view(&self, i: u32) -> StepView {
        let (step, cell) = (&self.board.steps[i as usize], self.board.cell(i));
        let text = self.contents.steps().get(i as usize);
        let output = self.contents.outputs.get(&self.step_name(i));
        let error = self.contents.errors.get(&format!("step:{}", step.path)).cloned();
        let policy = step.retry.as_ref().or(self.facts.retry.as_ref());
        StepView {
            path: step.path.to_string(),
            key: step.key.as_deref().map(Into::into),
            parent: step.parent.map(|p| self.path_of(p)),
            children: step.children,
            title: text.map(|t| t.title.clone()).unwrap_or_default(),
            description: text.map(|t| t.description.clone()).unwrap_or_default(),
            action: if step.children > 0 { String::new() } else { step.action.to_string() },
            capabilities: step.capabilities.iter().map(ToString::to_string).collect(),
            task_type: step.task_type.as_deref().map(Into::into),
            model: step.model.as_deref().map(Into::into),
            model_chosen: step.model_chosen,
            resources: text.filter(|_| step.children == 0).map(|t| self.resources(t)).unwrap_or_default(),
            timeout: step.timeout_ms.map(|ms| WireDuration { ms }),
            needs: step.needs.iter().map(|n| self.path_of(*n)).collect(),
            when: step.when.as_deref().map(Into::into),
            for_each: step.for_each.as_deref().map(Into::into),
            optional: step.optional,
            status: cell.status,
            block_reason: match self.board.asked.contains(&i) {
                true => Some(BlockReason::Approval),
                false => self.board.blocked.get(&i).copied(),
            },
            approval: self.approval_shown(i),
            attempt: cell.attempt,
            failures: cell.failures,
            max_attempts: policy.map_or_else(|| RetryPolicy::default().max_attempts, |p| p.max_attempts),
            agent: cell.lease.as_ref().map(|l| l.agent).or(cell.doer),
            started_at: cell.started_at.map(WireTime),
            ended_at: cell.ended_at.map(WireTime),
            timeout_at: cell.lease.as_ref().and_then(|l| l.timeout_at).map(WireTime),
            retry_at: self.soft.get(Timer::StepRetry(i)).map(WireTime),
            until: self.soft.get(Timer::StepWait(i)).map(WireTime),
            signal: self.listeners.iter().find(|(_, steps)| steps.contains(&i)).map(|(name, _)| name.to_string()),
            child: self.spawned.get(&i).copied(),
            gates: step.gates.iter().enumerate().map(|(n, spec)| self.gate_view(i, n, spec)).collect(),
            // What went wrong before it worked after all is history, not its state.
            error: error.filter(|_| !matches!(cell.status, StepStatus::Completed | StepStatus::Skipped)),
            output_summary: output.map(|s| summary(&s.output)),
            estimate: step.estimate_ms.map(|ms| WireDuration { ms }),
            progress: None,
            message: output.map(|s| s.message.clone()).filter(|said| !said.is_empty()),
        }
    }

    fn gate_view(&self, i: u32, n: usize, spec: &GateSpec) -> GateView {
        let cell = self.board.cell(i);
        let open = self.board.gates.get(&i).is_some_and(|g| usize::from(g.gate) == n);
        let passed = cell.status == StepStatus::Completed || (cell.status == StepStatus::Checking && n < usize::from(cell.gate));
        let again = matches!(cell.status, StepStatus::Assigned | StepStatus::Running | StepStatus::Checking);
        let failed = cell.trouble == Some(ErrorClass::GateFailed) && n == usize::from(cell.gate) && !again;
        GateView {
            kind: spec.kind,
            status: match (passed, open) {
                (true, _) => GateStatus::Passed,
                (false, true) => GateStatus::Open,
                (false, false) if failed => GateStatus::Failed,
                (false, false) => GateStatus::Pending,
            },
            checked: spec.check.is_some(),
            reviewer: spec.reviewer.clone(),
            until: self.soft.get(Timer::Gate(i)).filter(|_| open).map(WireTime),
        }
    }

    /// Its steps as they are followed now. What is gone was part of a list: nothing refers to it, and everything that others refer to
    /// stands before it.
    fn plan(&self) -> Plan {
        Plan { steps: self.board.all().map(|i| self.board.steps[i as usize].clone()).collect() }
    }

    /// The same for an estimate of what it takes; looking at a task should not take longer the larger it is.
    fn estimated_plan(&self) -> Option<Plan> {
        (self.planned && self.board.steps.len() <= crate::validation::ESTIMATED_STEPS_MAX).then(|| self.plan())
    }

    /// Its plan as it is followed now, with what follows from its shape.
    pub fn plan_view(&self) -> PlanView {
        let plan = self.plan();
        let texts: Vec<_> = self.board.all().filter_map(|i| self.contents.steps().get(i as usize)).cloned().collect();
        PlanView {
            execution_plan_id: self.plan_id(),
            plan_version: self.plan_version,
            confidence: self.facts.confidence,
            confidence_reasons: self.contents.text.confidence_reasons.clone(),
            acceptance_owed: self.acceptance_owed,
            changes: self.contents.differences.iter().cloned().collect(),
            findings: self.doubts.clone(),
            ..PlanView::of(&plan, &texts)
        }
    }

    /// The results of its steps, in the order of the plan.
    pub fn output_views(&self) -> Vec<OutputView> {
        let of = |i: u32| {
            let name = self.step_name(i);
            let success = self.contents.outputs.get(&name)?;
            let (output, metrics, message) = (success.output.clone(), success.metrics.clone(), success.message.clone());
            Some(OutputView { step: self.path_of(i), name: name.into(), output, metrics, message })
        };
        self.board.all().filter_map(of).collect()
    }

    /// The result of a step, by its path or its name.
    pub fn output_of(&self, name: &str) -> Option<&Value> {
        let i = self.board.find(name)?;
        self.contents.outputs.get(&self.step_name(i)).map(|success| &success.output)
    }

    /// Its effects on the outside.
    pub fn effect_views(&self) -> Vec<EffectView> {
        let view = |(id, e): (&crate::id::EffectId, &super::Effect)| {
            let said = self.words_of(e).cloned().unwrap_or_default();
            EffectView {
                id: *id,
                work: e.work.clone(),
                attempt: e.attempt,
                action: e.action.to_string(),
                args_digest: e.args_digest.to_string(),
                outcome: e.outcome,
                on_unknown: e.on_unknown,
                guarded: e.unguarded.is_none(),
                description: said.description,
                key: said.key,
            }
        };
        self.effects.iter().map(view).collect()
    }

    /// What was said about an unguarded effect, in the result of its attempt.
    fn words_of(&self, effect: &super::Effect) -> Option<&Unguarded> {
        let (n, WorkKey::Step(path)) = (effect.unguarded?, &effect.work) else { return None };
        let i = self.board.find(path).filter(|i| self.board.cell(*i).attempt == effect.attempt)?;
        let said = self.contents.outputs.get(&self.step_name(i))?.unguarded.get(n as usize)?;
        (*said.action == *effect.action).then_some(said)
    }

    pub(super) fn path_of(&self, i: u32) -> String {
        self.board.steps[i as usize].path.to_string()
    }

    pub(super) fn leaves(&self) -> impl Iterator<Item = (u32, &Step)> {
        self.board.all().map(|i| (i, &self.board.steps[i as usize])).filter(|(_, step)| step.children == 0)
    }

    fn step_counts(&self) -> StepCounts {
        StepCounts::of(self.leaves().map(|(i, _)| self.board.cell(i).status))
    }

    /// The step that tells where the task is, if one does.
    fn current_step(&self) -> Option<u32> {
        if self.end.is_some() {
            return None;
        }
        let first = |status| self.leaves().map(|(i, _)| i).find(|i| self.board.cell(*i).status == status);
        TELLING.into_iter().filter(|status| self.board.count(*status) > 0).find_map(first)
    }

    /// The id of the version of the plan it follows.
    fn plan_id(&self) -> Option<PlanId> {
        self.planned.then(|| PlanId::derived(self.id, u64::from(self.plan_version), 0))
    }

    /// Who holds work of it: the step it is at before all else.
    fn claimed_by(&self, current: Option<u32>) -> Option<AgentId> {
        let here = current.and_then(|i| self.board.cell(i).lease.as_ref()).map(|lease| lease.agent);
        here.or_else(|| self.live_leases().first().map(|lease| lease.agent))
    }
}

/// The beginning of a value, on one line.
fn summary(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SUMMARY_CHARS_MAX + 1).collect();
    if line.chars().count() > SUMMARY_CHARS_MAX {
        line.pop();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::Task;
    use crate::command::{Command, Context};
    use crate::event::Actor;
    use crate::id::TaskId;
    use crate::policy::Policy;
    use crate::status::{Status, StepStatus};
    use crate::time::Time;
    use serde_json::json;

    fn submitted(request: serde_json::Value) -> Task {
        let policy = Policy::default();
        let request = serde_json::from_value(request).unwrap();
        let submission = crate::request::check(&request, Time(1_000), &policy).unwrap();
        let mut task = Task::unborn(TaskId::new(1_000, [7; 10]));
        let actor = Actor::human("ann");
        let cx = Context {
            now: Time(1_000),
            actor: &actor,
            own: false,
            policy: &policy,
            counter: 0,
            judges: &[],
            analyst: false,
            ended: &[],
            births: &crate::command::Unhindered,
            agents: &crate::command::Strangers,
            held_back: false,
            told_to_stop: false,
            shut_models: &[],
        };
        assert_eq!(task.handle(Command::Submit(Box::new(submission)), &cx).answer, Ok(Default::default()));
        task
    }

    #[test]
    fn a_view_counts_steps_without_groups_and_names_the_one_it_is_at() {
        let task = submitted(json!({"title": "Ship it", "plan": {"steps": [
            {"id": "build", "steps": [{"action": "a"}, {"id": "b", "action": "b"}]},
            {"action": "c", "needs": ["build"], "retry": {"max_attempts": 5}},
        ]}}));
        let view = task.view();
        assert_eq!((view.title.as_str(), view.status, view.progress), ("Ship it", Status::Scheduled, 0.0));
        assert_eq!((view.steps.total, view.steps.ready, view.steps.pending), (3, 2, 1));
        assert_eq!((view.current_step, view.current_step_id.as_deref()), (Some(1), Some("1.1")));
        assert_eq!(view.waiting_reason.as_deref(), Some("NO_AGENT"));
        let steps = task.step_views();
        assert_eq!(steps.iter().map(|s| s.path.as_str()).collect::<Vec<_>>(), ["1", "1.1", "1.2", "2"]);
        assert_eq!(
            (steps[3].needs.as_slice(), steps[3].max_attempts, steps[3].status),
            (&["1".to_owned()][..], 5, StepStatus::Pending)
        );
    }

    #[test]
    fn a_view_survives_its_json_and_leaves_out_what_is_missing() {
        let task = submitted(json!({"title": "x", "external_id": "e-1"}));
        let view = task.view();
        let text = serde_json::to_string(&view).unwrap();
        assert!(!text.contains("null") && text.contains(r#""created_at":"1970-01-01T00:00:01Z""#), "{text}");
        assert_eq!(serde_json::from_str::<crate::view::TaskView>(&text).unwrap(), view);
        let plan = task.plan_view();
        assert_eq!((plan.plan_version, plan.order.as_slice()), (1, &["1".to_owned()][..]));
    }

    #[test]
    fn an_event_is_shown_as_its_word_and_its_facts() {
        use crate::event::Event;
        use crate::view::EventView;
        let reason = crate::status::BlockReason::External;
        let event = Event::StepBlocked { step: "1.2".into(), attempt: 2, reason, reassign_at: None };
        assert_eq!(EventView::data_of(&event), json!({"step": "1.2", "attempt": 2, "reason": "EXTERNAL"}));
        assert_eq!(EventView::data_of(&Event::Resumed), serde_json::Value::Null);
    }
}
