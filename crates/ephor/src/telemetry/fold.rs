//! Spans from events. What has begun is kept until what ends it comes; whoever has to be followed and is not known (the server was started
//! in between, or too much was followed) is read anew from its events.

use super::ids::{self, SpanId, TraceId};
use super::span::{Attributes, EVENTS_MAX, Kind, Moment, Span};
use ephor_core::event::{Event, Letter, Submitted};
use ephor_core::id::{AgentId, EffectId, ReviewId, TaskId};
use ephor_core::plan::Plan;
use ephor_core::status::Status;
use ephor_core::work::{EffectOutcome, WorkKey};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// How many steps and things under way are kept in mind, of all tasks together: some tens of megabytes.
const KEPT_MAX: usize = 200_000;
/// How many spans of other traces one span leads to.
const LINKS_MAX: usize = 32;

/// The events of which more is asked than what they did to the status.
pub(super) const WANTED: [&str; 25] = [
    "SUBMITTED",
    "PLANNED",
    "ASSIGNED",
    "STARTED",
    "ATTEMPT_SUCCEEDED",
    "ATTEMPT_FAILED",
    "STEP_BLOCKED",
    "STEP_SKIPPED",
    "WAIT_STARTED",
    "WAIT_ENDED",
    "CHILD_BORN",
    "MAIL_TAKEN",
    "APPROVAL_ASKED",
    "APPROVAL_ANSWERED",
    "GATE_OPENED",
    "GATE_JUDGED",
    "REVIEW_OPENED",
    "VOTE_CAST",
    "REVIEW_DECIDED",
    "ESCALATED",
    "ESCALATION_DECIDED",
    "REASSIGNED",
    "EFFECT_GRANTED",
    "EFFECT_SETTLED",
    "MODEL_CHANGED",
];

/// An event, as far as spans are about it.
pub(super) struct Happened<'f> {
    pub(super) task: u128,
    pub(super) position: u64,
    /// In milliseconds since the Unix epoch.
    pub(super) at: i64,
    pub(super) kind: &'f str,
    pub(super) before: Option<Status>,
    pub(super) after: Option<Status>,
    /// What it says; nothing where it is not wanted or not understood.
    pub(super) event: Option<Event>,
    pub(super) namespace: &'f str,
    pub(super) task_type: &'f str,
    pub(super) created_at: i64,
}

/// What has begun.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Attempt(WorkKey),
    Gate(Box<str>, u16),
    Review(ReviewId),
    Approval(Box<str>),
    Effect(EffectId),
    Wait(Box<str>),
    Child(TaskId),
    Pause,
    Escalation,
}

/// A span that is not over.
struct Open {
    id: SpanId,
    parent: Option<SpanId>,
    name: String,
    kind: Kind,
    from: i64,
    attributes: Attributes,
    moments: Vec<Moment>,
    left_out: u32,
    links: Vec<(TraceId, SpanId, &'static str)>,
}

impl Open {
    fn new(id: SpanId, parent: Option<SpanId>, name: impl Into<String>, from: i64, attributes: Attributes) -> Self {
        let (name, kind) = (name.into(), Kind::Internal);
        Self { id, parent, name, kind, from, attributes, moments: Vec::new(), left_out: 0, links: Vec::new() }
    }

    fn moment(&mut self, at: i64, name: &'static str, attributes: Attributes) {
        match self.moments.len() < EVENTS_MAX {
            true => self.moments.push(Moment { at, name, attributes }),
            false => self.left_out = self.left_out.saturating_add(1),
        }
    }

    fn over(self, trace: TraceId, to: i64, error: Option<Box<str>>) -> Span {
        let Self { id, parent, name, kind, from, attributes, moments, left_out, links } = self;
        Span { trace, id, parent, name, kind, from, to: to.max(from), attributes, moments, left_out, links, error }
    }
}

/// How something ended.
#[derive(Default)]
struct End {
    outcome: Box<str>,
    error: Option<Box<str>>,
    more: Attributes,
}

impl End {
    fn well(outcome: impl Into<Box<str>>) -> Self {
        Self { outcome: outcome.into(), ..Self::default() }
    }

    fn badly(outcome: impl Into<Box<str>>, error: impl Into<Box<str>>) -> Self {
        Self { outcome: outcome.into(), error: Some(error.into()), ..Self::default() }
    }
}

/// A task that is followed.
struct Live {
    task: u128,
    root: Open,
    /// What each step does, by its path.
    actions: BTreeMap<Box<str>, Box<str>>,
    open: BTreeMap<Of, Open>,
}

impl Live {
    fn of(happened: &Happened<'_>) -> Self {
        let Happened { task, namespace, task_type, created_at, .. } = *happened;
        let said = Attributes::default()
            .with("ephor.task.id", TaskId::from_bits(task).to_string())
            .with("ephor.namespace", namespace)
            .with("ephor.task.type", task_type);
        let root = Open::new(ids::root(task), None, format!("task {task_type}"), created_at, said);
        Self { task, root, actions: BTreeMap::new(), open: BTreeMap::new() }
    }

    fn kept(&self) -> usize {
        1 + self.actions.len() + self.open.len()
    }

    fn learn(&mut self, plan: Option<&Plan>) {
        let Some(plan) = plan else { return };
        let named = plan.steps.iter().filter(|step| !step.action.is_empty());
        self.actions = named.map(|step| (step.path.clone(), step.action.clone())).collect();
    }

    /// What a step does; of one that a list was laid out into, what the list does.
    fn action(&self, path: &str) -> Option<&str> {
        let mut path = path;
        loop {
            if let Some(action) = self.actions.get(path) {
                return Some(action);
            }
            path = &path[..path.rfind('.')?];
        }
    }

    fn submitted(&mut self, facts: &Submitted) {
        self.learn(facts.plan.as_ref());
        let mut link = |to: TaskId, how| {
            if self.root.links.len() < LINKS_MAX {
                self.root.links.push((to.bits(), ids::root(to.bits()), how));
            }
        };
        facts.parent.iter().for_each(|parent| link(parent.task, "parent"));
        facts.retry_of.iter().for_each(|task| link(*task, "retry_of"));
        facts.previous_run.iter().for_each(|task| link(*task, "previous_run"));
        facts.related.iter().for_each(|task| link(*task, "related"));
        facts.depends_on.iter().for_each(|task| link(*task, "depends_on"));
        self.root.attributes.add("ephor.task.risk", word_of(&facts.risk));
        self.root.attributes.add("ephor.task.mode", word_of(&facts.mode));
    }

    /// Something begins, as part of the task.
    fn begin(&mut self, of: Of, happened: &Happened<'_>, name: impl Into<String>, attributes: Attributes) -> &mut Open {
        let id = ids::at(self.task, happened.position);
        let open = Open::new(id, Some(self.root.id), name, happened.at, attributes);
        self.open.insert(of.clone(), open);
        self.open.get_mut(&of).expect("it was just put there")
    }

    fn end(&mut self, of: &Of, at: i64, end: End, out: &mut Vec<Span>) {
        let Some(mut open) = self.open.remove(of) else { return };
        let End { outcome, error, more } = end;
        open.attributes.add("ephor.outcome", outcome);
        open.attributes.0.extend(more.0);
        out.push(open.over(self.task, at, error));
    }

    fn assigned(&mut self, facts: &ephor_core::event::Assigned, happened: &Happened<'_>, named: Named<'_>, out: &mut Vec<Span>) {
        let (work, number) = (&facts.work, facts.attempt);
        let of = Of::Attempt(work.clone());
        // Whoever held it before has not been heard of again.
        self.end(&of, happened.at, End::badly("LOST", "lost"), out);
        let action = match work {
            WorkKey::Step(path) | WorkKey::Undo(path) => self.action(path).map(str::to_owned),
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis => None,
        };
        let (word, path) = match work {
            WorkKey::Step(path) => ("step", Some(path)),
            WorkKey::Undo(path) => ("undo", Some(path)),
            WorkKey::Gate(path, _) => ("judge", Some(path)),
            WorkKey::Plan => ("plan", None),
            WorkKey::Analysis => ("analysis", None),
        };
        let name = action.as_ref().map_or(word.to_owned(), |action| format!("{word} {action}"));
        let agent = facts.agent.to_string();
        let mut said = Attributes::default().with("ephor.work", work.to_string()).with("ephor.attempt", number);
        said.add_some("ephor.step", path.cloned());
        said.add_some("ephor.action", action);
        said.add("ephor.agent.id", agent.clone());
        let name_of = named(facts.agent);
        said.add_some("ephor.agent.name", name_of.clone());
        if let Some(model) = &facts.model {
            said.add("gen_ai.operation.name", "invoke_agent");
            said.add("gen_ai.agent.id", agent);
            said.add_some("gen_ai.agent.name", name_of);
            said.add("gen_ai.request.model", model.clone());
        }
        let mut open = Open::new(ids::attempt(self.task, work, number), Some(self.root.id), name, happened.at, said);
        open.kind = Kind::Client;
        if facts.started {
            open.moment(happened.at, "started", Attributes::default());
        }
        self.open.insert(of, open);
    }

    /// Everything that has begun ends with the task.
    fn over(mut self, happened: &Happened<'_>, out: &mut Vec<Span>) {
        let rest: Vec<Of> = self.open.keys().cloned().collect();
        rest.iter().for_each(|of| self.end(of, happened.at, End::well("ENDED"), out));
        let status = happened.after.map_or("", Status::word);
        self.root.attributes.add("ephor.task.status", status);
        let error = matches!(happened.after, Some(Status::Failed | Status::Stopped)).then(|| status.to_ascii_lowercase().into());
        out.push(self.root.over(self.task, happened.at, error));
    }
}

/// What agents are called.
pub(super) type Named<'n> = &'n dyn Fn(AgentId) -> Option<String>;

/// What is followed.
#[derive(Default)]
pub(super) struct Fold {
    live: HashMap<u128, Live>,
    kept: usize,
}

impl Fold {
    /// Whether a task is followed.
    pub(super) fn knows(&self, task: u128) -> bool {
        self.live.contains_key(&task)
    }

    /// An event; the spans that are over with it are put to `out`.
    pub(super) fn take(&mut self, happened: &Happened<'_>, named: Named<'_>, out: &mut Vec<Span>) {
        if happened.before.is_some_and(Status::is_final) {
            return;
        }
        let mut live = self.forget(happened.task).unwrap_or_else(|| Live::of(happened));
        live.take(happened, named, out);
        if happened.after.is_some_and(Status::is_final) {
            return live.over(happened, out);
        }
        self.kept += live.kept();
        self.live.insert(happened.task, live);
        while self.kept > KEPT_MAX
            && let Some(other) = self.live.keys().find(|task| **task != happened.task).copied()
        {
            self.forget(other);
        }
    }

    fn forget(&mut self, task: u128) -> Option<Live> {
        let live = self.live.remove(&task)?;
        self.kept -= live.kept();
        Some(live)
    }
}

impl Live {
    fn take(&mut self, happened: &Happened<'_>, named: Named<'_>, out: &mut Vec<Span>) {
        let at = happened.at;
        if let Some(status) = happened.after.filter(|after| happened.before != Some(*after)) {
            self.root.moment(at, "status", Attributes::default().with("ephor.task.status", status.word()));
        }
        match happened.kind {
            "PAUSED" => drop(self.begin(Of::Pause, happened, "paused", Attributes::default())),
            "RESUMED" => self.end(&Of::Pause, at, End::well("RESUMED"), out),
            // What the analyst said about the failure, if it was asked.
            "TASK_ATTEMPT_FAILED" => self.end(&Of::Attempt(WorkKey::Analysis), at, End::well("ADVISED"), out),
            "RETRIED" | "ROLLED_BACK" => {
                self.end(&Of::Attempt(WorkKey::Analysis), at, End::well("ADVISED"), out);
                self.root.moment(at, if happened.kind == "RETRIED" { "retried" } else { "rolled back" }, Attributes::default());
            }
            "STALLED" | "STALL_NOTED" | "STALL_ESCALATED" => self.root.moment(at, "stalled", Attributes::default()),
            "MODIFIED" => self.root.moment(at, "modified", Attributes::default()),
            "OVERRIDDEN" => self.root.moment(at, "overridden", Attributes::default()),
            "BUDGET_CROSSED" => self.root.moment(at, "budget crossed", Attributes::default()),
            _ => {}
        }
        let Some(event) = &happened.event else { return };
        match event {
            Event::Submitted(facts) => self.submitted(facts),
            Event::Planned(planned) => {
                self.learn(Some(&planned.plan));
                planned.work.iter().for_each(|work| self.end(&Of::Attempt(work.clone()), at, End::well("PROPOSED"), out));
            }
            Event::Assigned(facts) => self.assigned(facts, happened, named, out),
            Event::Started { work, .. } => {
                let open = self.open.get_mut(&Of::Attempt(work.clone()));
                open.into_iter().for_each(|open| open.moment(at, "started", Attributes::default()));
            }
            Event::AttemptSucceeded(facts) => {
                let mut end = End::well("SUCCEEDED");
                end.more = used(facts.used.as_ref());
                if let Some(open) = self.open.get_mut(&Of::Attempt(facts.work.clone())) {
                    open.attributes.add_gen_ai(&facts.metrics);
                }
                self.end(&Of::Attempt(facts.work.clone()), at, end, out);
            }
            Event::AttemptFailed(facts) => {
                let class = facts.class.word();
                let mut end = End::badly("FAILED", class);
                end.more = used(facts.used.as_ref()).with("error.type", class);
                self.end(&Of::Attempt(facts.work.clone()), at, end, out);
            }
            Event::StepBlocked { step, reason, .. } => {
                let mut end = End::well("BLOCKED");
                end.more = Attributes::default().with("ephor.block.reason", word_of(reason));
                self.end(&Of::Attempt(WorkKey::Step(step.clone())), at, end, out);
            }
            Event::StepSkipped { step, reason } => {
                self.end(&Of::Wait(step.clone()), at, End::well("SKIPPED"), out);
                let said = Attributes::default().with("ephor.step", step.clone()).with("ephor.reason", word_of(reason));
                self.root.moment(at, "step skipped", said);
            }
            Event::WaitStarted { step, .. } => {
                self.begin(Of::Wait(step.clone()), happened, "wait", Attributes::default().with("ephor.step", step.clone()));
            }
            Event::WaitEnded { step, signal } => {
                let outcome = if signal.is_some() { "SIGNAL" } else { "TIME" };
                self.end(&Of::Wait(step.clone()), at, End::well(outcome), out);
            }
            Event::ChildBorn { step, child, .. } => {
                let said = Attributes::default().with("ephor.step", step.clone()).with("ephor.child.id", child.to_string());
                let open = self.begin(Of::Child(*child), happened, "child task", said);
                open.links.push((child.bits(), ids::root(child.bits()), "child"));
            }
            Event::MailTaken { letters } => self.letters(letters, at, out),
            Event::ApprovalAsked(facts) => {
                let mut said = Attributes::default().with("ephor.step", facts.step.clone());
                said.add_some("ephor.action", self.action(&facts.step).map(str::to_owned));
                self.begin(Of::Approval(facts.step.clone()), happened, "approval", said);
            }
            Event::ApprovalAnswered { step, answer, .. } => {
                self.end(&Of::Approval(step.clone()), at, End::well(word_of(answer)), out);
            }
            Event::GateOpened { step, gate, .. } => {
                let said = Attributes::default().with("ephor.step", step.clone()).with("ephor.gate", u32::from(*gate));
                self.begin(Of::Gate(step.clone(), *gate), happened, "gate", said);
            }
            Event::GateJudged(facts) => {
                let said = Attributes::default()
                    .with("ephor.step", facts.step.clone())
                    .with("ephor.gate", u32::from(facts.gate))
                    .with("ephor.gate.passed", facts.passed)
                    .with("ephor.gate.by", facts.by.clone());
                let mut end = End::well("JUDGED");
                end.more = Attributes::default().with("ephor.gate.passed", facts.passed);
                self.end(&Of::Attempt(WorkKey::Gate(facts.step.clone(), facts.gate)), at, end, out);
                let mut end = End::well(if facts.passed { "PASSED" } else { "FAILED" });
                end.more = Attributes::default().with("ephor.gate.by", facts.by.clone());
                self.end(&Of::Gate(facts.step.clone(), facts.gate), at, end, out);
                self.root.moment(at, "gate judged", said);
            }
            Event::ReviewOpened(facts) => {
                let said = Attributes::default()
                    .with("ephor.review.id", facts.review.to_string())
                    .with("ephor.review.question", word_of(&facts.question))
                    .with("ephor.review.judges", facts.judges.len() as u64)
                    .with("ephor.review.quorum", facts.quorum);
                self.begin(Of::Review(facts.review), happened, "review", said);
            }
            Event::VoteCast { review, vote, .. } => {
                let open = self.open.get_mut(&Of::Review(*review));
                let said = || Attributes::default().with("ephor.vote", word_of(vote));
                open.into_iter().for_each(|open| open.moment(at, "vote", said()));
            }
            Event::ReviewDecided { review, verdict, .. } => {
                self.end(&Of::Review(*review), at, End::well(word_of(verdict)), out);
            }
            Event::Escalated { reason, .. } => {
                self.end(&Of::Attempt(WorkKey::Analysis), at, End::well("ADVISED"), out);
                let said = Attributes::default().with("ephor.reason", word_of(reason));
                self.begin(Of::Escalation, happened, "escalation", said);
            }
            Event::EscalationDecided { decision, .. } => {
                self.end(&Of::Escalation, at, End::well(word_of(decision)), out);
            }
            Event::Reassigned(facts) => {
                for step in &facts.steps {
                    self.end(&Of::Attempt(WorkKey::Step(step.clone())), at, End::well("REASSIGNED"), out);
                }
            }
            Event::EffectGranted(facts) => {
                let parent = ids::attempt(self.task, &facts.work, facts.attempt);
                let said = Attributes::default()
                    .with("ephor.effect.id", facts.effect.to_string())
                    .with("ephor.work", facts.work.to_string())
                    .with("ephor.action", facts.action.clone());
                let open = self.begin(Of::Effect(facts.effect), happened, format!("effect {}", facts.action), said);
                (open.parent, open.kind) = (Some(parent), Kind::Client);
            }
            Event::EffectSettled { effect, outcome } => {
                let end = match outcome {
                    EffectOutcome::Done => End::well("DONE"),
                    EffectOutcome::NotDone => End::well("NOT_DONE"),
                    EffectOutcome::Unknown => End::badly("UNKNOWN", "unknown"),
                };
                self.end(&Of::Effect(*effect), at, end, out);
            }
            Event::ModelChanged(facts) => {
                let said = Attributes::default()
                    .with("gen_ai.request.model", facts.to.clone())
                    .with("ephor.reason", word_of(&facts.cause));
                self.root.moment(at, "model changed", said);
            }
            // What these did to the status is told; more is not asked of them.
            Event::Released
            | Event::RunMissed { .. }
            | Event::PlanAccepted
            | Event::PlanRequested { .. }
            | Event::StepFailed { .. }
            | Event::ConditionMet { .. }
            | Event::Reoffered { .. }
            | Event::Expanded { .. }
            | Event::Unblocked
            | Event::BudgetCrossed(_)
            | Event::ParamsChanged { .. }
            | Event::ResultJudged { .. }
            | Event::JudgedAnew(_)
            | Event::TaskAttemptFailed { .. }
            | Event::RolledBack { .. }
            | Event::Retried { .. }
            | Event::Paused { .. }
            | Event::Resumed
            | Event::CancelRequested { .. }
            | Event::Modified(_)
            | Event::Overridden { .. }
            | Event::Guided
            | Event::SignalReceived { .. }
            | Event::Stalled
            | Event::StallNoted
            | Event::StallPutOff
            | Event::StallEscalated { .. }
            | Event::Unstalled
            | Event::SessionEnded
            | Event::Completed { .. }
            | Event::Failed { .. }
            | Event::Cancelled { .. }
            | Event::Stopped { .. }
            | Event::QuestionRaised(_)
            | Event::LateReportKept { .. }
            | Event::Archived
            | Event::Erased
            | Event::ReviewNoted => {}
        }
    }

    fn letters(&mut self, letters: &[Letter], at: i64, out: &mut Vec<Span>) {
        for letter in letters {
            match letter {
                Letter::ChildEnded { child, status, .. } => {
                    let end = match status {
                        Status::Completed => End::well(status.word()),
                        other => End::badly(other.word(), "child"),
                    };
                    self.end(&Of::Child(*child), at, end, out);
                }
                Letter::ChildJoined { .. }
                | Letter::DependentJoined { .. }
                | Letter::DependencyEnded { .. }
                | Letter::ParentEnded { .. }
                | Letter::GoesOn { .. }
                | Letter::Replaced { .. } => {}
            }
        }
    }
}

/// What an attempt says it has used.
fn used(amount: Option<&ephor_core::budget::Amount>) -> Attributes {
    let mut said = Attributes::default();
    let Some(amount) = amount else { return said };
    let all = [("tokens", amount.tokens), ("cost_microdollars", amount.cost), ("tool_calls", amount.tool_calls)];
    all.iter().filter(|(_, n)| *n > 0).for_each(|(name, n)| said.add(&format!("ephor.usage.{name}"), *n));
    said
}

/// A word of a closed set as it stands on the wire.
fn word_of(word: &impl Serialize) -> Box<str> {
    serde_json::to_value(word).ok().and_then(|word| Some(word.as_str()?.into())).unwrap_or_default()
}
