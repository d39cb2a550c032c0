//! Who is given work: by what agents have, how much room there is, and whether they, their tools and their models are trusted.

#![allow(clippy::unwrap_used)] // A test may panic, its helpers too.

use ephor_core::agent::Registration;
use ephor_core::breaker::{BreakerOf, BreakerPolicy, BreakerState};
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, ClaimId, TaskId};
use ephor_core::models::catalogue::Catalogue;
use ephor_core::policy::Policy;
use ephor_core::spec::{ErrorClass, Request};
use ephor_core::time::WireDuration;
use ephor_core::work::{ClaimRequest, Failure, Outcome, Report, Success, WorkItem};
use ephor_engine::query::{self, AsOf};
use ephor_engine::{Engine, Settings};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

struct House {
    engine: Engine,
    folder: tempfile::TempDir,
    claims: AtomicU64,
}

fn open(folder: &tempfile::TempDir, recovery_ms: u64) -> Engine {
    let breaker = BreakerPolicy { recovery_timeout: WireDuration { ms: recovery_ms }, ..BreakerPolicy::default() };
    let policy = Policy { breaker, ..Policy::default() };
    Engine::open(Settings { policy, ..Settings::new(folder.path().join("ephor.db")) }).unwrap()
}

/// A rest of an hour is one that does not end within a test.
const LONG: u64 = 3_600_000;

impl House {
    fn new(recovery_ms: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { engine: open(&folder, recovery_ms), folder, claims: AtomicU64::new(0) }
    }

    async fn agent(&self, name: &str, said: Value) -> AgentId {
        let mut body = json!({"name": name, "external_id": name, "capabilities": ["work", "send"]});
        body.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        let said: Registration = serde_json::from_value(body).unwrap();
        self.engine.register(None, said, Actor::human("test")).await.unwrap()
    }

    async fn submit(&self, request: Value) -> TaskId {
        let request: Request = serde_json::from_value(request).unwrap();
        self.engine.submit(&request, Actor::human("ann"), None).await.unwrap().task.unwrap()
    }

    async fn claim(&self, agent: AgentId, max: u32, wait_ms: u64) -> Vec<WorkItem> {
        let n = self.claims.fetch_add(1, Ordering::Relaxed);
        let claim_id = ClaimId::new(n as i64, [1; 10]);
        self.engine.claim(ClaimRequest { agent_id: agent, claim_id, max, wait_ms, start: true }).await.unwrap()
    }

    async fn report(&self, agent: AgentId, item: &WorkItem, outcome: Outcome) {
        let report = Report { task_id: item.task_id, work: item.work.clone(), attempt: item.attempt, outcome };
        self.engine.report(vec![report], agent).await.unwrap().remove(0).unwrap();
    }

    async fn succeed(&self, agent: AgentId, item: &WorkItem) {
        self.report(agent, item, Outcome::Succeeded(Success::default())).await;
    }

    /// An agent fails so many tasks of an action, one after the other, all in this way.
    async fn fail(&self, agent: AgentId, tasks: usize, action: &str, class: ErrorClass) {
        for _ in 0..tasks {
            self.submit(json!({"title": "bad", "action": action, "max_retries": 0})).await;
            let items = self.claim(agent, 1, 5_000).await;
            self.report(agent, &items[0], Outcome::Failed(Failure::final_(class, "no"))).await;
        }
    }

    fn state(&self, agent: AgentId) -> BreakerState {
        self.engine.agent_of(agent).unwrap().breaker.state(self.engine.now())
    }

    fn task(&self, id: TaskId) -> ephor_core::task::Task {
        query::task(&*self.engine.reader(), id, AsOf::Now).unwrap().unwrap()
    }
}

#[tokio::test]
async fn an_agent_holds_no_more_than_it_has_slots_and_gets_the_next_when_one_is_free() {
    let house = House::new(LONG);
    let agent = house.agent("two hands", json!({"slots": 2})).await;
    for n in 0..4 {
        house.submit(json!({"title": format!("{n}"), "action": "work"})).await;
    }
    let items = house.claim(agent, 10, 0).await;
    assert_eq!(items.len(), 2);
    assert!(house.claim(agent, 1, 0).await.is_empty(), "in a claim of its own as well");
    let (next, ()) = tokio::join!(house.claim(agent, 10, 10_000), async {
        while house.engine.gauges().parked == 0 {
            tokio::task::yield_now().await;
        }
        house.succeed(agent, &items[0]).await;
    });
    assert_eq!(next.len(), 1, "a free slot wakes who waits for one");
    house.engine.stop();
}

#[tokio::test]
async fn an_agent_that_fails_five_tasks_in_a_row_is_left_alone_and_the_others_are_not() {
    let house = House::new(LONG);
    let bad = house.agent("bad", json!({})).await;
    let good = house.agent("good", json!({})).await;
    house.fail(bad, 4, "work", ErrorClass::BadOutput).await;
    house.fail(bad, 3, "work", ErrorClass::BadInput).await;
    assert_eq!(house.state(bad), BreakerState::Closed, "nonsense in a request is not its fault");
    house.fail(bad, 1, "work", ErrorClass::BadOutput).await;
    while house.state(bad) != BreakerState::Open {
        tokio::task::yield_now().await;
    }
    let task = house.submit(json!({"title": "x", "action": "work"})).await;
    assert!(house.claim(bad, 1, 0).await.is_empty());
    let beside = house.engine.candidates(&house.task(task));
    let of = |id| beside.iter().find(|c| c.agent_id == id).unwrap();
    assert!(of(good).may && !of(bad).may && of(bad).why.contains("its breaker is open"), "{beside:#?}");
    assert_eq!(beside[0].agent_id, good, "who may have it stands first");
    assert_eq!(of(bad).failed, 8);
    assert_eq!(house.claim(good, 1, 0).await.len(), 1);

    let told = house.engine.breakers();
    assert_eq!((told.len(), told[0].of, told[0].failures, told[0].class), (1, BreakerOf::Agent, 5, ErrorClass::BadOutput));
    house.engine.stop();
    let house = House { engine: open(&house.folder, LONG), ..house };
    assert_eq!(house.state(bad), BreakerState::Open, "a restart forgets nothing");
    house.engine.reset_agent(bad, Actor::human("ann")).await.unwrap();
    assert_eq!((house.state(bad), house.engine.breakers().len()), (BreakerState::Closed, 0));
    house.submit(json!({"title": "y", "action": "work"})).await;
    assert_eq!(house.claim(bad, 1, 0).await.len(), 1);
    house.engine.stop();
}

#[tokio::test]
async fn after_its_rest_an_agent_is_tried_with_one_piece_at_a_time_until_two_went_well() {
    let house = House::new(50);
    let agent = house.agent("unlucky", json!({})).await;
    house.fail(agent, 5, "work", ErrorClass::Timeout).await;
    for n in 0..6 {
        house.submit(json!({"title": format!("{n}"), "action": "work"})).await;
    }
    // Its rest ends while it waits.
    let first = house.claim(agent, 10, 30_000).await;
    assert_eq!(first.len(), 1);
    assert!(house.claim(agent, 1, 0).await.is_empty());
    house.succeed(agent, &first[0]).await;
    let second = house.claim(agent, 10, 30_000).await;
    assert_eq!(second.len(), 1);
    house.succeed(agent, &second[0]).await;
    while house.state(agent) != BreakerState::Closed {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.claim(agent, 10, 0).await.len(), 4);
    let kinds: Vec<String> =
        house.engine.reader().stream_events(agent.into(), 0, 100).unwrap().into_iter().map(|e| e.kind).collect();
    assert_eq!(kinds, ["AGENT_REGISTERED", "BREAKER_OPENED", "BREAKER_HALF_OPENED", "BREAKER_CLOSED"]);
    house.engine.stop();
}

#[tokio::test]
async fn a_tool_that_fails_is_left_alone_where_it_failed_and_everything_else_goes_on() {
    let house = House::new(LONG);
    let agent = house.agent("sender", json!({})).await;
    house.fail(agent, 5, "send", ErrorClass::External).await;
    assert_eq!(house.state(agent), BreakerState::Closed, "it is not the agent's fault");
    while house.engine.breakers().is_empty() {
        tokio::task::yield_now().await;
    }
    let shut = house.submit(json!({"title": "x", "action": "send"})).await;
    assert!(house.claim(agent, 1, 0).await.is_empty());
    let why = house.engine.waiting_for(&house.task(shut));
    assert!(why.iter().any(|w| w.reason == "CIRCUIT_OPEN" && w.what.contains("send") && w.until.is_some()), "{why:#?}");

    // A task that offers both is asked for the other.
    house.submit(json!({"title": "y", "plan": {"steps": [{"action": "send"}, {"action": "work"}]}})).await;
    let items = house.claim(agent, 5, 0).await;
    assert_eq!(items.iter().map(|i| i.action.as_str()).collect::<Vec<_>>(), ["work"]);
    house.submit(json!({"title": "z", "action": "send", "namespace": "elsewhere"})).await;
    assert_eq!(house.claim(agent, 5, 0).await.len(), 1, "another namespace has its own experience");

    house.engine.stop();
    let house = House { engine: open(&house.folder, LONG), ..house };
    assert!(house.claim(agent, 5, 0).await.is_empty(), "a restart forgets nothing");
    let (got, reset) = tokio::join!(house.claim(agent, 5, 30_000), async {
        while house.engine.gauges().parked == 0 {
            tokio::task::yield_now().await;
        }
        house.engine.reset_tool(BreakerOf::Tool, "send", "default", Actor::human("ann")).await.unwrap()
    });
    assert!(reset && !got.is_empty(), "whoever waited is served");
    assert!(!house.engine.reset_tool(BreakerOf::Tool, "send", "default", Actor::human("ann")).await.unwrap());
    house.engine.stop();
}

#[tokio::test]
async fn a_model_that_fails_is_left_alone_and_the_same_action_with_another_is_not() {
    let house = House::new(LONG);
    let agent = house.agent("writer", json!({})).await;
    let with = |model: &str| json!({"title": "x", "max_retries": 0, "plan": {"steps": [{"action": "work", "model": model}]}});
    for _ in 0..5 {
        house.submit(with("large")).await;
        let items = house.claim(agent, 1, 5_000).await;
        house.report(agent, &items[0], Outcome::Failed(Failure::final_(ErrorClass::RateLimit, "slow down"))).await;
        // The action itself went well elsewhere in between.
        house.submit(with("small")).await;
        let items = house.claim(agent, 1, 5_000).await;
        house.succeed(agent, &items[0]).await;
    }
    while house.engine.breakers().is_empty() {
        tokio::task::yield_now().await;
    }
    let told = house.engine.breakers();
    assert_eq!((told.len(), told[0].of, told[0].name.as_str()), (1, BreakerOf::Model, "large"));
    house.submit(with("large")).await;
    assert!(house.claim(agent, 1, 0).await.is_empty());
    house.submit(with("small")).await;
    assert_eq!(house.claim(agent, 1, 0).await.len(), 1);
    house.engine.stop();
}

#[tokio::test]
async fn work_goes_to_who_has_what_it_needs_and_the_others_are_told_why_not() {
    let house = House::new(LONG);
    let small =
        house.agent("cpu", json!({"resources": {"cpu_cores": 32, "memory_mb": 131072}, "models": ["claude-3-sonnet"]})).await;
    let large =
        house.agent("gpu", json!({"resources": {"cpu_cores": 8, "gpu_memory_mb": 16384}, "models": ["stable-diffusion"]})).await;
    let step = json!({"action": "work", "resources": {"gpu_memory_mb": 16384}, "model": "stable-diffusion"});
    let task = house.submit(json!({"title": "draw", "plan": {"steps": [step]}})).await;
    assert!(house.claim(small, 1, 0).await.is_empty());
    let beside = house.engine.candidates(&house.task(task));
    let why = |id| beside.iter().find(|c| c.agent_id == id).unwrap().why.clone();
    assert_eq!(why(small), "it does not have the model stable-diffusion");
    assert_eq!(house.claim(large, 1, 0).await.len(), 1);

    let huge = json!({"title": "y", "plan": {"steps": [{"action": "work", "resources": {"gpu_memory_mb": 99999}}]}});
    let task = house.submit(huge).await;
    let why = house.engine.waiting_for(&house.task(task));
    assert_eq!(why[0].reason, "NO_AGENT");
    assert!(why[0].what.contains("it has 16384 gpu_memory_mb and 99999 are needed"), "{why:#?}");
    house.engine.stop();
}

#[tokio::test]
async fn of_those_who_wait_the_one_that_holds_less_is_chosen() {
    let house = House::new(LONG);
    let busy = house.agent("busy", json!({})).await;
    let idle = house.agent("idle", json!({})).await;
    house.submit(json!({"title": "first", "action": "work"})).await;
    assert_eq!(house.claim(busy, 1, 0).await.len(), 1);
    let parked = |n| {
        let house = &house;
        async move {
            while house.engine.gauges().parked < n {
                tokio::task::yield_now().await;
            }
        }
    };
    // The busy one has waited longer.
    let (of_busy, of_idle, ()) = tokio::join!(
        house.claim(busy, 1, 2_000),
        async {
            parked(1).await;
            house.claim(idle, 1, 30_000).await
        },
        async {
            parked(2).await;
            house.submit(json!({"title": "second", "action": "work"})).await;
        }
    );
    assert_eq!((of_busy.len(), of_idle.len()), (0, 1));
    house.engine.stop();
}

/// A house that chooses `large`, and `small` where that may not be used.
fn choosing(folder: &tempfile::TempDir) -> Engine {
    let said = json!({"default": {"primary": "large", "fallbacks": ["small"]}});
    let models = std::sync::Arc::new(Catalogue::of_house(serde_json::from_value(said).unwrap()));
    let breaker = BreakerPolicy { recovery_timeout: WireDuration { ms: LONG }, ..BreakerPolicy::default() };
    let policy = Policy { breaker, models, ..Policy::default() };
    Engine::open(Settings { policy, ..Settings::new(folder.path().join("ephor.db")) }).unwrap()
}

#[tokio::test]
async fn work_for_a_model_that_fails_takes_the_next_one_also_where_it_waits_already() {
    let folder = tempfile::tempdir().unwrap();
    let house = House { engine: choosing(&folder), folder, claims: AtomicU64::new(0) };
    let agent = house.agent("writer", json!({})).await;
    let failing = house.agent("failing", json!({"capabilities": ["work"]})).await;
    let one = |action: &str| json!({"title": "x", "max_retries": 0, "plan": {"steps": [{"action": action, "model": "auto"}]}});
    let waits = house.submit(one("send")).await;
    for _ in 0..5 {
        house.submit(one("work")).await;
        let items = house.claim(failing, 1, 5_000).await;
        assert_eq!(items[0].model.as_deref(), Some("large"));
        house.report(failing, &items[0], Outcome::Failed(Failure::final_(ErrorClass::RateLimit, "slow down"))).await;
    }
    // The breaker opened, and its being written wakes who waits for it.
    let taken = |task| house.task(task).steps().next().and_then(|step| step.model.clone());
    while taken(waits).as_deref() != Some("small") {
        tokio::task::yield_now().await;
    }
    let told = house.engine.breakers();
    let of: Vec<_> = told.iter().filter(|b| b.of == BreakerOf::Model).map(|b| b.name.as_str()).collect();
    assert_eq!(of, ["large"], "what took its place is not blamed: {told:?}");
    let next = house.submit(one("send")).await;
    assert_eq!(taken(next).as_deref(), Some("small"), "who comes later never asks for it");
    let named = house.submit(json!({"title": "x", "plan": {"steps": [{"action": "send", "model": "large"}]}})).await;
    let items = house.claim(agent, 9, 0).await;
    let models: Vec<_> = items.iter().map(|item| item.model.clone().unwrap()).collect();
    assert_eq!(models, ["small", "small"], "and {named}, which names it, waits");
    house.engine.stop();
}
