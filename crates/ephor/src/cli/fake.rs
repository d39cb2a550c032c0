//! An engine for tests of the command line: tasks in memory, decided by the rules themselves, and one agent that does what a script
//! says whenever somebody waits for events. Nothing is kept, nothing sleeps longer than the paused clock of a test.

use super::terminal::{Interrupter, Interrupts, Stream, Terminal, Wishes};
use super::{Exit, main};
use crate::api::{Answer, Api, ApiError, EventQuery, Kind, Page, TaskFilter};
use crate::host::{Check, Host, Migration, MigrationView, Need, Place, Served, Serving, Session};
use ephor_core::ask::Ask;
use ephor_core::command::{Answer as Said, Claim, Command, Context, Handled, Refusal};
use ephor_core::event::{Actor, SCHEMA};
use ephor_core::id::{AgentId, ClaimId, TaskId};
use ephor_core::inbox::{Asked, InboxFilter};
use ephor_core::policy::Policy;
use ephor_core::quality::GateResult;
use ephor_core::spec::{ErrorClass, Request};
use ephor_core::status::Status;
use ephor_core::task::Task;
use ephor_core::time::{Time, WireTime};
use ephor_core::view::{EffectView, EventView, OutputView, PlanView, ReviewView, StepView, TaskRow, TaskView, Waiting};
use ephor_core::work::{Failure, Outcome, Success, WorkItem};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use tokio::time::{Duration, Instant};

/// When the world of the tests begins.
pub(super) const BEGIN: &str = "2026-01-02T03:04:00Z";

/// Tasks in memory.
pub(super) struct World {
    state: Mutex<State>,
    begun: Instant,
    /// Whether agents do the work; there as long as an engine is open that was opened to work.
    working: Mutex<bool>,
    /// Presses Ctrl-C at the n-th piece of work.
    pub(super) interrupt_at: Mutex<Option<u32>>,
    interrupter: Mutex<Option<Interrupter>>,
    /// What engines were opened for.
    pub(super) opened: Mutex<Vec<Need>>,
    pub(super) closed: Mutex<u32>,
}

#[derive(Default)]
struct State {
    tasks: BTreeMap<TaskId, Task>,
    events: Vec<EventView>,
    done: u32,
}

impl World {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            begun: Instant::now(),
            working: Mutex::new(false),
            interrupt_at: Mutex::new(None),
            interrupter: Mutex::new(None),
            opened: Mutex::default(),
            closed: Mutex::new(0),
        })
    }

    fn now(&self) -> Time {
        let begin = Time::parse(BEGIN).unwrap();
        begin.plus(u64::try_from(self.begun.elapsed().as_millis()).unwrap())
    }

    fn handle(&self, id: TaskId, command: Command, actor: &Actor) -> Handled {
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        let (now, policy) = (self.now(), Policy { solo: true, ..Policy::default() });
        let judges = [ephor_core::review::Judge { id: "operator".into(), weight: 1, veto: false }];
        let cx = Context {
            now,
            actor,
            own: false,
            policy: &policy,
            counter: 0,
            judges: &judges,
            analyst: false,
            ended: &[],
            births: &ephor_core::command::Unhindered,
            agents: &ephor_core::command::Strangers,
            held_back: false,
            told_to_stop: false,
            shut_models: &[],
        };
        let task = state.tasks.entry(id).or_insert_with(|| Task::unborn(id));
        let before = task.version;
        let handled = task.handle(command, &cx);
        for (made, version) in handled.moves.iter().zip(before + 1..) {
            state.events.push(EventView {
                position: state.events.len() as u64 + 1,
                stream: id.to_string(),
                version,
                at: WireTime(now),
                actor_type: made.actor.kind,
                actor_id: made.actor.id.to_string(),
                kind: made.event.kind().into(),
                data: EventView::data_of(&made.event),
                private: serde_json::to_value(&made.private).unwrap(),
                status_before: (version > 1).then_some(made.before),
                status_after: Some(made.after),
                schema: SCHEMA,
            });
        }
        handled
    }

    /// Wakes what is due and does the next piece of work. Answers whether anything happened.
    fn turn(&self) -> bool {
        let ids: Vec<TaskId> = self.state.lock().unwrap().tasks.keys().copied().collect();
        let moved = ids.iter().map(|id| self.handle(*id, Command::Wake, &Actor::clock()).moves.len()).sum::<usize>() > 0;
        if !*self.working.lock().unwrap() {
            return moved;
        }
        let agent = AgentId::new(1, [1; 10]);
        let claim = || Claim {
            agent,
            able: ephor_core::matching::Able::of_words(["echo", "fail.once", "fail.always", "noop"].map(Into::into)),
            closed: [].into(),
            claim: ClaimId::new(1, [1; 10]),
            start: true,
            limits: Vec::new(),
        };
        for id in ids {
            let Ok(Said::Work(item)) = self.handle(id, Command::Claim(claim()), &Actor::agent(agent)).answer else { continue };
            let done = {
                let mut state = self.state.lock().unwrap();
                state.done += 1;
                state.done
            };
            if *self.interrupt_at.lock().unwrap() == Some(done) {
                return self.interrupter.lock().unwrap().as_ref().unwrap().interrupt();
            }
            let outcome = Box::new(outcome(&item));
            let report = Command::Report { work: item.work, attempt: item.attempt, outcome, plan: None };
            assert!(self.handle(id, report, &Actor::agent(agent)).answer.is_ok());
            return true;
        }
        moved
    }

    fn with<T>(&self, id: TaskId, look: impl FnOnce(&Task) -> T) -> Result<T, ApiError> {
        let state = self.state.lock().unwrap();
        let missing = || ApiError::from(Refusal::NotFound { what: "task", id: id.to_string() });
        state.tasks.get(&id).map(look).ok_or_else(missing)
    }

    /// What a process leaves that was killed: nobody works, nothing was said.
    pub(super) fn kill(&self) {
        *self.working.lock().unwrap() = false;
    }

    pub(super) fn tasks_known(&self) -> Vec<TaskView> {
        self.state.lock().unwrap().tasks.values().map(Task::view).collect()
    }
}

/// What the agent makes of a piece of work.
fn outcome(item: &WorkItem) -> Outcome {
    match item.action.as_str() {
        "fail.once" if item.attempt == 1 => Outcome::Failed(Failure::new(ErrorClass::NotFound, "not there yet")),
        "fail.always" => Outcome::Failed(Failure::final_(ErrorClass::BadInput, "makes no sense")),
        _ => Outcome::Succeeded(Success { output: json!(item.params), ..Success::default() }),
    }
}

fn ready<'a, T: Send + 'a>(answer: Result<T, ApiError>) -> Answer<'a, T> {
    Box::pin(std::future::ready(answer))
}

impl Api for World {
    fn now(&self) -> Time {
        self.now()
    }

    fn position(&self) -> Answer<'_, u64> {
        ready(Ok(self.state.lock().unwrap().events.len() as u64))
    }

    fn find_from<'a>(&'a self, name: &'a str, source: Option<&'a str>) -> Answer<'a, TaskId> {
        let state = self.state.lock().unwrap();
        let meant = |(id, task): &(&TaskId, &Task)| {
            (id.to_string().starts_with(name) || task.facts.external_id.as_deref() == Some(name))
                && (source.is_none() || task.facts.source.as_deref() == source)
        };
        let found: Vec<TaskId> = match name {
            "@last" => state.tasks.keys().next_back().copied().into_iter().collect(),
            _ => state.tasks.iter().filter(meant).map(|(id, _)| *id).collect(),
        };
        ready(match found.as_slice() {
            [only] => Ok(*only),
            [] => Err(Refusal::NotFound { what: "task", id: name.into() }.into()),
            _ => Err(ApiError::new(Kind::Invalid, "AMBIGUOUS", format!("{name} may mean several tasks"))),
        })
    }

    fn counts(&self, namespace: Option<String>) -> Answer<'_, Vec<(Status, u64)>> {
        let state = self.state.lock().unwrap();
        let own = |task: &&Task| namespace.as_deref().is_none_or(|name| *task.facts.namespace == *name);
        let mut counts = std::collections::BTreeMap::new();
        state.tasks.values().filter(own).for_each(|task| *counts.entry(task.status()).or_default() += 1);
        ready(Ok(counts.into_iter().collect()))
    }

    fn task_as_of(&self, task: TaskId, _: Option<u64>, _: Option<WireTime>) -> Answer<'_, TaskView> {
        self.task(task)
    }

    fn agent<'a>(&'a self, name: &'a str) -> Answer<'a, AgentId> {
        ready(name.parse().map_err(|_| ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no agent {name:?}"))))
    }

    fn submit(&self, request: Request) -> Answer<'_, TaskView> {
        let now = self.now();
        let taken = |task: &Task| {
            request.external_id.is_some()
                && task.facts.external_id.as_deref() == request.external_id.as_deref()
                && task.facts.source.as_deref() == request.source.as_deref()
        };
        let (number, existing) = {
            let state = self.state.lock().unwrap();
            (state.tasks.len() as u8, state.tasks.values().find(|t| taken(t)).map(|t| t.id))
        };
        if let Some(existing) = existing {
            return ready(Err(Refusal::NameTaken { existing }.into()));
        }
        let id = TaskId::new(now.0 + i64::from(number), [number; 10]);
        let checked = ephor_core::request::check(&request, now, &Policy::default());
        ready(checked.map_err(|problems| Refusal::Invalid(problems).into()).and_then(|submission| {
            self.handle(id, Command::Submit(Box::new(submission)), &Actor::human("operator"));
            self.with(id, Task::view)
        }))
    }

    fn rerun(&self, task: TaskId) -> Answer<'_, TaskView> {
        let now = self.now();
        let number = self.state.lock().unwrap().tasks.len() as u8;
        let again = self.with(task, |t| t.rerun(now)).and_then(|again| Ok(again?));
        ready(again.and_then(|submission| {
            let id = TaskId::new(now.0 + i64::from(number), [number; 10]);
            self.handle(id, Command::Submit(Box::new(submission)), &Actor::human("operator"));
            self.with(id, Task::view)
        }))
    }

    fn ask(&self, task: TaskId, ask: Ask) -> Answer<'_, TaskView> {
        let actor = Actor::human("operator");
        let answer = self.with(task, |t| t.facts.mode).and_then(|mode| {
            let command = ask.command(&actor, mode).map_err(Refusal::Invalid)?;
            self.handle(task, command, &actor).answer.map_err(|refusal| ApiError::refused(refusal, task))?;
            self.with(task, Task::view)
        });
        ready(answer)
    }

    fn task(&self, task: TaskId) -> Answer<'_, TaskView> {
        ready(self.with(task, Task::view))
    }

    fn tasks(&self, filter: TaskFilter) -> Answer<'_, Page<TaskRow>> {
        let state = self.state.lock().unwrap();
        let wanted = |view: &TaskView| {
            (filter.status.is_empty() || filter.status.contains(&view.status))
                && (!filter.live || !view.status.is_final())
                && (filter.source.is_none() || view.source == filter.source)
                && (filter.external_id.is_none() || view.external_id == filter.external_id)
        };
        let row = |view: TaskView| TaskRow {
            id: view.id,
            external_id: view.external_id,
            source: view.source,
            namespace: view.namespace,
            title: view.title,
            task_type: view.task_type,
            status: view.status,
            priority: view.priority,
            risk_level: view.risk_level,
            parent_task_id: view.parent_task_id,
            owner_type: view.owner_type,
            owner_id: view.owner_id,
            updated_at: None,
            claimed_by: None,
            subject_ref_type: view.subject_ref_type,
            subject_ref_id: view.subject_ref_id,
            autonomy: Some(view.autonomy),
            archived: view.archived,
            progress: Some(view.progress),
            created_at: view.created_at.unwrap(),
            due_at: view.due_at,
            wake_at: view.wake_at,
            ended_at: view.ended_at,
        };
        let limit = if filter.limit == 0 { 100 } else { filter.limit as usize };
        let items = state.tasks.values().rev().map(Task::view).filter(wanted).map(row).take(limit).collect();
        ready(Ok(Page { items, next: None }))
    }

    fn steps(&self, task: TaskId) -> Answer<'_, Vec<StepView>> {
        ready(self.with(task, Task::step_views))
    }

    fn plan(&self, task: TaskId) -> Answer<'_, PlanView> {
        ready(self.with(task, Task::plan_view))
    }

    fn outputs(&self, task: TaskId) -> Answer<'_, Vec<OutputView>> {
        ready(self.with(task, Task::output_views))
    }

    fn reviews(&self, task: TaskId) -> Answer<'_, Vec<ReviewView>> {
        ready(self.with(task, Task::review_views))
    }

    fn effects(&self, task: TaskId) -> Answer<'_, Vec<EffectView>> {
        ready(self.with(task, Task::effect_views))
    }

    fn gates(&self, _: TaskId) -> Answer<'_, Vec<GateResult>> {
        ready(Ok(Vec::new()))
    }

    fn waiting(&self, task: TaskId) -> Answer<'_, Vec<Waiting>> {
        ready(self.with(task, Task::waiting))
    }

    fn inbox(&self, _filter: InboxFilter) -> Answer<'_, Page<Asked>> {
        let mut asking: Vec<(Time, Vec<Asked>)> = {
            let state = self.state.lock().unwrap();
            state.tasks.values().filter_map(|task| Some((task.asks_since()?, task.questions()))).collect()
        };
        asking.sort_by_key(|(since, _)| *since);
        ready(Ok(Page { items: asking.into_iter().flat_map(|(_, asked)| asked).collect(), next: None }))
    }

    fn asked(&self, task: TaskId) -> Answer<'_, Vec<Asked>> {
        ready(self.with(task, Task::questions))
    }

    fn events(&self, wanted: EventQuery) -> Answer<'_, Vec<EventView>> {
        Box::pin(async move {
            let stream = wanted.task.map(|id| id.to_string());
            let known = || {
                let state = self.state.lock().unwrap();
                let behind = state.events.iter().filter(|e| e.position > wanted.after);
                let mine = behind.filter(|e| stream.as_ref().is_none_or(|s| *s == e.stream));
                mine.take(wanted.limit.max(1) as usize).cloned().collect::<Vec<_>>()
            };
            let until = Instant::now() + Duration::from_millis(wanted.wait_ms);
            loop {
                let events = known();
                if !events.is_empty() || wanted.wait_ms == 0 || Instant::now() >= until {
                    return Ok(events);
                }
                if !self.turn() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        })
    }
}

/// A way to the tasks in memory, counted when it closes.
struct Way(Arc<World>);

impl Session for Way {
    fn api(&self) -> &dyn Api {
        &*self.0
    }

    fn close(self: Box<Self>) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        *self.0.working.lock().unwrap() = false;
        *self.0.closed.lock().unwrap() += 1;
        Box::pin(std::future::ready(()))
    }
}

/// A host over tasks in memory.
pub(super) struct FakeHost(pub(super) Arc<World>);

impl Host for FakeHost {
    fn open<'a>(&'a self, _: &'a Place, need: Need) -> Answer<'a, Box<dyn Session>> {
        if matches!(need, Need::Work(_)) {
            *self.0.working.lock().unwrap() = true;
        }
        self.0.opened.lock().unwrap().push(need);
        ready(Ok(Box::new(Way(self.0.clone())) as Box<dyn Session>))
    }

    fn serve<'a>(&'a self, _: &'a Place, _: Serving) -> Answer<'a, Box<dyn Served>> {
        ready(Err(ApiError::new(Kind::Unreachable, "NO_ENGINE", "a fake has no socket")))
    }

    fn doctor<'a>(&'a self, _: &'a Place) -> Answer<'a, Vec<Check>> {
        let check = |name: &str, passed| Check { name: name.into(), passed, detail: String::new() };
        ready(Ok(vec![check("replay equals the stored state", true), check("no work has two leases", false)]))
    }

    fn verify<'a>(&'a self, _: &'a Place, _: Option<[u8; 32]>) -> Answer<'a, Vec<Check>> {
        ready(Ok(vec![Check { name: "chain".into(), passed: true, detail: "12 events".into() }]))
    }

    fn selftest(&self) -> Answer<'_, Vec<Check>> {
        ready(Ok(Vec::new()))
    }

    fn migrate<'a>(&'a self, _: &'a Place, _: Migration) -> Answer<'a, Vec<MigrationView>> {
        ready(Ok(vec![MigrationView { number: 1, name: "store".into(), applied_at: Some(WireTime(self.0.now())) }]))
    }

    fn sandbox_exec(&self) -> ExitCode {
        ExitCode::SUCCESS
    }
}

/// What a command did: its exit code and what it wrote.
pub(super) struct Ran {
    pub(super) exit: Exit,
    pub(super) out: String,
    pub(super) err: String,
}

/// A buffer that can be read while it is written.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a command line off a terminal; `tty` has somebody look at standard error.
pub(super) async fn ephor(world: &Arc<World>, tty: bool, line: &[&str]) -> Ran {
    let (interrupter, interrupts) = Interrupts::new();
    *world.interrupter.lock().unwrap() = Some(interrupter);
    let (out, err) = (Shared::default(), Shared::default());
    let mut terminal = Terminal {
        out: Stream::new(Box::new(out.clone()), false),
        err: Stream::new(Box::new(err.clone()), tty),
        answers: false,
        size: Box::new(|| (80, 12)),
        wishes: Wishes { no_color: true, ..Wishes::default() },
        interrupts,
        config: None,
    };
    let args = std::iter::once("ephor").chain(line.iter().copied()).map(Into::into);
    let exit = main(args.collect::<Vec<std::ffi::OsString>>(), &FakeHost(world.clone()), &mut terminal).await;
    let text = |shared: Shared| String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
    Ran { exit, out: text(out), err: text(err) }
}
