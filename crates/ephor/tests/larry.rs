//! A plan of another system runs to its end in the order it was written in (S3-73), its capabilities played by simulated agents on
//! the worker loop, over a transport that loses answers. Between them somebody lies: reports under wrong attempt numbers, and too late.

#![allow(clippy::unwrap_used)] // A test may panic, its helpers too.

use ephor::import;
use ephor::local::InProcess;
use ephor_core::agent::Registration;
use ephor_core::event::{Actor, Event};
use ephor_core::id::{EffectId, TaskId};
use ephor_core::status::Status;
use ephor_core::work::{
    ClaimRequest, EffectGrant, EffectOutcome, EffectRequest, Heartbeat, HeartbeatAnswer, Outcome, Report, ReportAnswer, Success,
    WorkItem, WorkKey,
};
use ephor_engine::query::{self, AsOf};
use ephor_engine::{Engine, Settings};
use ephor_sdk::agent::{Agent, Job, Running};
use ephor_sdk::transport::{Refused, Transport, TransportError};
use ephor_sdk::worker::{Options, Worker};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// An outline as people write it: phases, tasks, subtasks, and a task without any.
const OUTLINE: &str = "# Bakery plan

Goal: Find ten cafés that want our bread

PHASE 1: Research (Week 1)
├─ Task 1.1: Identify cafés in town
│  └─ Subtask 1.1.1: Search Google Maps (5 terms)
│  └─ Subtask 1.1.2: Compile CAFES.csv with contact info
└─ Task 1.2: Prioritize top 5 for cold outreach

PHASE 2: Outreach (Week 2)
├─ Task 2.1: Call top 5 cafés
│  └─ Subtask 2.1.1: Verify who decides
│  └─ Subtask 2.1.2: Document responses
└─ Task 2.2: Send follow-up emails
   └─ Subtask 2.2.1: Draft personalized email
   └─ Subtask 2.2.2: Schedule tasting call
";

/// Does whatever it is asked, at once, and remembers in which order.
struct Player {
    actions: Vec<String>,
    done: Arc<Mutex<Vec<WorkItem>>>,
}

impl Agent for Player {
    fn actions(&self) -> Vec<String> {
        self.actions.clone()
    }
    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        Box::pin(async move {
            self.done.lock().unwrap().push(job.item().clone());
            let output = serde_json::json!({"played": job.item().title});
            Outcome::Succeeded(Success { output, ..Success::default() })
        })
    }
}

/// Delivers every word, but loses every third answer to a claim and to a report.
struct Lossy {
    inner: InProcess,
    calls: AtomicU32,
    lost: Arc<AtomicU32>,
}

impl Lossy {
    fn lose<T>(&self, answer: T) -> Result<T, TransportError> {
        if self.calls.fetch_add(1, Ordering::Relaxed) % 3 == 1 {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Err(TransportError("the answer got lost".into()));
        }
        Ok(answer)
    }
}

impl Transport for Lossy {
    async fn claim(&self, wish: ClaimRequest) -> Result<Result<Vec<WorkItem>, Refused>, TransportError> {
        let items = self.inner.claim(wish).await?;
        self.lose(items)
    }
    async fn heartbeat(&self, beats: Vec<Heartbeat>) -> Result<Vec<HeartbeatAnswer>, TransportError> {
        self.inner.heartbeat(beats).await
    }
    async fn report(&self, reports: Vec<Report>) -> Result<Vec<Result<ReportAnswer, Refused>>, TransportError> {
        let answers = self.inner.report(reports).await?;
        self.lose(answers)
    }
    async fn effect(&self, wish: EffectRequest) -> Result<Result<EffectGrant, Refused>, TransportError> {
        self.inner.effect(wish).await
    }
    async fn effect_outcome(
        &self,
        wish: EffectRequest,
        effect: EffectId,
        outcome: EffectOutcome,
    ) -> Result<Result<(), Refused>, TransportError> {
        self.inner.effect_outcome(wish, effect, outcome).await
    }
}

/// Runs an imported plan to its end. Answers the paths of its steps in the order they were done, and how many attempts each took.
async fn play(imported: import::Imported) -> Vec<(String, u32)> {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(Settings::new(folder.path().join("ephor.db"))).unwrap();
    let mut request = imported.requests.into_iter().next().expect("one plan, one request");
    request.max_retries = Some(0);
    let actions: BTreeSet<String> = capabilities(request.plan.as_ref().unwrap());
    let task = engine.submit(&request, Actor::human("ann"), None).await.unwrap().task.unwrap();

    let said = |name: &str| Registration {
        name: name.into(),
        role: None,
        capabilities: actions.iter().map(|a| a.as_str().into()).collect(),
        external_id: Some(name.into()),
        ..Registration::default()
    };
    let larry = engine.register(None, said("larry"), Actor::human("ann")).await.unwrap();
    let liar = engine.register(None, said("liar"), Actor::human("ann")).await.unwrap();
    let done = Arc::new(Mutex::new(Vec::new()));
    let player: Arc<dyn Agent> = Arc::new(Player { actions: actions.iter().cloned().collect(), done: done.clone() });
    let lost = Arc::new(AtomicU32::new(0));
    let transport = Lossy { inner: InProcess::new(engine.clone(), larry), calls: AtomicU32::new(0), lost: lost.clone() };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let claims = engine.clone();
    let worker = Worker::new(Arc::new(transport), Options::new(larry), [player], move || claims.new_claim_id());
    let worker = tokio::spawn(worker.run(async move { drop(stopped.await) }));

    // While the work goes on somebody reports what was never claimed, and what has long ended.
    let mut feed = engine.feed(0);
    let mut lies = 0;
    'watching: loop {
        for stored in feed.next(50).await.unwrap() {
            if stored.stream.task() != Some(task) {
                continue;
            }
            let (event, _) = query::event(&stored).unwrap();
            if let Event::AttemptSucceeded(ended) = &event {
                lies += lie(&engine, liar, task, &ended.work, ended.attempt).await;
            }
            if stored.after.is_some_and(Status::is_final) {
                break 'watching;
            }
        }
    }
    drop(stop);
    worker.await.unwrap();
    assert!(lost.load(Ordering::Relaxed) > 3, "no answer was lost: the test has proven nothing about it");
    assert!(lies > 3, "nobody lied: the test has proven nothing about it");

    let reader = engine.reader();
    let ended = query::task(&*reader, task, AsOf::Now).unwrap().unwrap();
    assert_eq!(ended.status(), Status::Completed);
    let attempts = ended.step_views().into_iter().map(|s| (s.path, s.attempt)).collect::<std::collections::HashMap<_, _>>();
    let played = std::mem::take(&mut *done.lock().unwrap());
    engine.stop();
    let path = |item: &WorkItem| if let WorkKey::Step(path) = &item.work { path.to_string() } else { String::new() };
    played.iter().map(|item| (path(item), attempts[&path(item)])).collect()
}

/// A report under the next attempt's number, which nobody has claimed, and a failure of the one that has succeeded. Neither counts.
async fn lie(engine: &Engine, liar: ephor_core::id::AgentId, task: TaskId, work: &WorkKey, attempt: u32) -> u32 {
    let failed = Outcome::Failed(Default::default());
    let wrong =
        Report { task_id: task, work: work.clone(), attempt: attempt + 1, outcome: Outcome::Succeeded(Success::default()) };
    let late = Report { task_id: task, work: work.clone(), attempt, outcome: failed };
    let answers = engine.report(vec![wrong, late], liar).await.unwrap();
    for answer in &answers {
        assert_eq!(answer.as_ref().unwrap_err().code(), "STALE_ATTEMPT");
    }
    answers.len() as u32
}

fn capabilities(plan: &ephor_core::spec::PlanSpec) -> BTreeSet<String> {
    fn gather(steps: &[ephor_core::spec::StepSpec], found: &mut BTreeSet<String>) {
        for step in steps {
            found.extend(step.capabilities.iter().cloned());
            if step.steps.is_empty() {
                found.extend(step.action.clone());
            }
            gather(&step.steps, found);
        }
    }
    let mut found = BTreeSet::new();
    gather(&plan.steps, &mut found);
    found
}

/// Each step once, in the order written, in one attempt although answers got lost.
fn assert_in_order(played: &[(String, u32)]) {
    let key = |path: &String| path.split('.').map(|n| n.parse().unwrap()).collect::<Vec<u32>>();
    let order: Vec<_> = played.iter().map(|(path, _)| key(path)).collect();
    assert!(order.is_sorted(), "{played:?}");
    assert!(played.iter().all(|(_, attempts)| *attempts == 1), "a lost answer cost an attempt: {played:?}");
}

#[tokio::test]
async fn an_outline_runs_to_its_end_in_the_order_it_was_written() {
    let played = play(import::from_bytes("plan.md", OUTLINE.as_bytes()).unwrap()).await;
    assert_eq!(played.len(), 7);
    assert_in_order(&played);
}

#[tokio::test]
async fn the_prospecting_plan_runs_to_its_end_in_the_order_it_was_written() {
    let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/planexe_ax/larry_prospecting_plan.md");
    if !plan.exists() {
        eprintln!("{} is not here; the outline in this file stands for it", plan.display());
        return;
    }
    let played = play(import::from_path(&plan).unwrap()).await;
    assert_eq!(played.len(), 19);
    assert_in_order(&played);
}
