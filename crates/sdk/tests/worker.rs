//! The worker against an engine that loses answers, takes leases away and is asked too often. Time is paused: it moves when
//! everybody waits.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use ephor_core::id::{AgentId, ClaimId, EffectId, TaskId};
use ephor_core::spec::ErrorClass;
use ephor_core::status::Status;
use ephor_core::work::*;
use ephor_sdk::agent::{Acted, Agent, Effected, Job, Running, Stop};
use ephor_sdk::transport::{Refused, Transport, TransportError};
use ephor_sdk::worker::{Drained, Options, Worker};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

/// An engine in memory: hands out what was offered, remembers what it heard.
#[derive(Default)]
struct Engine {
    offered: Mutex<VecDeque<WorkItem>>,
    news: Notify,
    claims: Mutex<Vec<ClaimRequest>>,
    granted: Mutex<BTreeMap<ClaimId, Vec<WorkItem>>>,
    beats: Mutex<Vec<(Instant, Vec<Heartbeat>)>>,
    /// What the next signs of life are answered; `Continue` once it is empty.
    then: Mutex<VecDeque<Then>>,
    reports: Mutex<Vec<Vec<Report>>>,
    reported: Notify,
    refuse_once: Mutex<Option<Refused>>,
    /// Why nobody gets work any more.
    revoked: Mutex<Option<Refused>>,
    /// How many answers of each kind still get lost.
    lost: [AtomicU32; 3],
    outcomes: Mutex<Vec<EffectOutcome>>,
    effects_refused: bool,
}

const CLAIM: usize = 0;
const REPORT: usize = 1;
const EFFECT: usize = 2;

impl Engine {
    fn lose(self, what: usize, times: u32) -> Self {
        self.lost[what].store(times, Ordering::SeqCst);
        self
    }

    fn lost(&self, what: usize) -> Result<(), TransportError> {
        let lost = self.lost[what].fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if lost { Err(TransportError("connection reset".into())) } else { Ok(()) }
    }

    fn offer(&self, items: impl IntoIterator<Item = WorkItem>) {
        self.offered.lock().unwrap().extend(items);
        self.news.notify_one();
    }

    /// All reports in the order of their arrival, once there are `n`.
    async fn heard(&self, n: usize) -> Vec<Report> {
        loop {
            let reports = self.reports.lock().unwrap().concat();
            if reports.len() >= n {
                return reports;
            }
            timeout(Duration::from_secs(600), self.reported.notified()).await.expect("a report");
        }
    }
}

impl Transport for Engine {
    async fn claim(&self, wish: ClaimRequest) -> Result<Result<Vec<WorkItem>, Refused>, TransportError> {
        self.claims.lock().unwrap().push(wish.clone());
        if let Some(why) = self.revoked.lock().unwrap().clone() {
            return self.lost(CLAIM).map(|()| Err(why));
        }
        if let Some(items) = self.granted.lock().unwrap().get(&wish.claim_id) {
            return self.lost(CLAIM).map(|()| Ok(items.clone()));
        }
        if self.offered.lock().unwrap().is_empty() {
            let _ = timeout(Duration::from_millis(wish.wait_ms), self.news.notified()).await;
        }
        let mut offered = self.offered.lock().unwrap();
        let n = offered.len().min(wish.max as usize);
        let items: Vec<_> = offered.drain(..n).collect();
        self.granted.lock().unwrap().insert(wish.claim_id, items.clone());
        self.lost(CLAIM).map(|()| Ok(items))
    }

    async fn heartbeat(&self, beats: Vec<Heartbeat>) -> Result<Vec<HeartbeatAnswer>, TransportError> {
        let mut then = self.then.lock().unwrap();
        let answers = beats
            .iter()
            .map(|_| HeartbeatAnswer { then: then.pop_front().unwrap_or(Then::Continue), guidance: vec!["mind the gap".into()] });
        let answers = answers.collect();
        self.beats.lock().unwrap().push((Instant::now(), beats));
        Ok(answers)
    }

    async fn report(&self, reports: Vec<Report>) -> Result<Vec<Result<ReportAnswer, Refused>>, TransportError> {
        sleep(Duration::from_millis(5)).await; // one fsync
        self.lost(REPORT)?;
        let refused = self.refuse_once.lock().unwrap().take();
        let answers = reports.iter().map(|_| refused.clone().map_or(Ok(ReportAnswer { status: Status::InProgress }), Err));
        let answers = answers.collect();
        self.reports.lock().unwrap().push(reports);
        self.reported.notify_one();
        Ok(answers)
    }

    async fn effect(&self, wish: EffectRequest) -> Result<Result<EffectGrant, Refused>, TransportError> {
        self.lost(EFFECT)?;
        assert_eq!(wish.args_digest.len(), 64);
        if self.effects_refused {
            return Ok(Err(Refused { code: "POLICY".into(), message: "not today".into() }));
        }
        let effect_id = EffectId::new(0, [7; 10]);
        Ok(Ok(EffectGrant { effect_id, idempotency_key: "key".into(), expires_in_ms: 1_000, already_done: false }))
    }

    async fn effect_outcome(
        &self,
        _: EffectRequest,
        _: EffectId,
        outcome: EffectOutcome,
    ) -> Result<Result<(), Refused>, TransportError> {
        self.outcomes.lock().unwrap().push(outcome);
        Ok(Ok(()))
    }
}

/// Does what its action says.
#[derive(Default)]
struct Puppet {
    running: AtomicUsize,
    most: AtomicUsize,
    stopped: Mutex<Vec<Stop>>,
    guidance: Mutex<Vec<String>>,
}

impl Agent for Puppet {
    fn actions(&self) -> Vec<String> {
        ["work", "obey", "ignore", "panic", "act", "tell"].map(String::from).into()
    }

    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        Box::pin(async move {
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            let outcome = self.play(job).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            outcome
        })
    }
}

impl Puppet {
    async fn play(&self, job: Job<'_>) -> Outcome {
        let ms = job.item().params.get("ms").and_then(Value::as_u64).unwrap_or(0);
        match job.item().action.as_str() {
            "work" => sleep(Duration::from_millis(ms)).await,
            "tell" => {
                job.progress(0.5, "half way");
                sleep(Duration::from_millis(ms)).await;
                *self.guidance.lock().unwrap() = job.guidance();
            }
            "obey" => {
                let why = job.stopped().await;
                self.stopped.lock().unwrap().push(why);
                return Outcome::Failed(Failure::new(ErrorClass::Other, "in the middle of it"));
            }
            "ignore" => std::future::pending().await,
            "panic" => panic!("out of cheese"),
            "act" => match job.effect("mail", &json!({"to": "x"}), |grant| async { Acted::Done(grant.idempotency_key) }).await {
                Ok(Effected::Now(key)) => assert_eq!(key, "key"),
                Ok(Effected::Before(_)) => unreachable!("the engine knows of none"),
                Err(failure) => return Outcome::Failed(failure),
            },
            other => unreachable!("{other}"),
        }
        Outcome::Succeeded(Success::default())
    }
}

fn item(n: u8, action: &str) -> WorkItem {
    WorkItem {
        task_id: TaskId::new(1, [n; 10]),
        work: WorkKey::Step("1".into()),
        attempt: 0,
        lease_ms: 60_000,
        timeout_ms: None,
        namespace: "default".into(),
        action: action.into(),
        title: String::new(),
        description: String::new(),
        requirements: Vec::new(),
        model: None,
        models: None,
        last_error: None,
        params: Map::new(),
        resources: Default::default(),
        may_act: true,
        approved_args: None,
        probe: None,
        probes: Vec::new(),
        guidance: vec!["be kind".into()],
        traceparent: None,
        subject: Value::Null,
    }
}

fn lasting(ms: u64, mut item: WorkItem) -> WorkItem {
    item.params.insert("ms".into(), ms.into());
    item
}

/// A running worker; dropping the sender drains it.
struct Started {
    engine: Arc<Engine>,
    puppet: Arc<Puppet>,
    drain: tokio::sync::oneshot::Sender<()>,
    worker: tokio::task::JoinHandle<Drained>,
}

fn start(engine: Engine, options: impl FnOnce(&mut Options)) -> Started {
    let (engine, puppet) = (Arc::new(engine), Arc::new(Puppet::default()));
    let mut chosen = Options::new(AgentId::new(1, [9; 10]));
    options(&mut chosen);
    let serial = AtomicU32::new(0);
    let ids = move || {
        let mut random = [0; 10];
        random[..4].copy_from_slice(&serial.fetch_add(1, Ordering::SeqCst).to_be_bytes());
        ClaimId::new(1, random)
    };
    let worker = Worker::new(engine.clone(), chosen, [puppet.clone() as Arc<dyn Agent>], ids);
    let (drain, drained) = tokio::sync::oneshot::channel();
    let worker = tokio::spawn(worker.run(async { drop(drained.await) }));
    Started { engine, puppet, drain, worker }
}

fn failed(report: &Report) -> (ErrorClass, &str) {
    match &report.outcome {
        Outcome::Failed(failure) => (failure.class, &failure.message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_claim_is_repeated_with_its_id_and_gets_the_same_work() {
    let run = start(Engine::default().lose(CLAIM, 3), |_| {});
    run.engine.offer([item(1, "work")]);
    let reports = run.engine.heard(1).await;
    assert_eq!(reports[0].outcome, Outcome::Succeeded(Success::default()));
    run.drain.send(()).unwrap();
    run.worker.await.unwrap();
    let claims = run.engine.claims.lock().unwrap().clone();
    assert!(claims[..4].iter().all(|claim| claim.claim_id == claims[0].claim_id), "{claims:?}");
    assert_ne!(claims[4].claim_id, claims[0].claim_id, "the next wish has its own id");
}

#[tokio::test(start_paused = true)]
async fn a_lost_report_is_said_again_until_it_is_heard() {
    let run = start(Engine::default().lose(REPORT, 20), |_| {});
    run.engine.offer([item(1, "work")]);
    assert_eq!(run.engine.heard(1).await.len(), 1);
    assert!(run.engine.beats.lock().unwrap().len() > 1, "the lease is kept until the report is heard");
}

#[tokio::test(start_paused = true)]
async fn reports_that_end_together_travel_together() {
    let run = start(Engine::default(), |o| o.concurrency = 64);
    run.engine.offer((0..64).map(|n| item(n, "work")));
    run.engine.heard(64).await;
    let calls = run.engine.reports.lock().unwrap().len();
    assert!(calls <= 3, "64 reports took {calls} calls");
}

#[tokio::test(start_paused = true)]
async fn no_more_work_runs_than_there_are_places() {
    let run = start(Engine::default(), |o| o.concurrency = 3);
    run.engine.offer((0..20).map(|n| lasting(50, item(n, "work"))));
    run.engine.heard(20).await;
    assert_eq!(run.puppet.most.load(Ordering::SeqCst), 3);
    assert!(run.engine.claims.lock().unwrap().iter().all(|claim| claim.max <= 3));
}

#[tokio::test(start_paused = true)]
async fn leases_are_renewed_at_a_third_of_their_length_in_one_call() {
    let run = start(Engine::default(), |_| {});
    let begun = Instant::now();
    run.engine.offer((0..4).map(|n| lasting(70_000, item(n, "work"))));
    run.engine.heard(4).await;
    let beats = run.engine.beats.lock().unwrap().clone();
    let at: Vec<_> = beats.iter().map(|(at, beats)| ((*at - begun).as_secs(), beats.len())).collect();
    assert_eq!(at, [(20, 4), (40, 4), (60, 4)]);
}

#[tokio::test(start_paused = true)]
async fn progress_travels_within_a_second_and_guidance_comes_back() {
    let run = start(Engine::default(), |_| {});
    let begun = Instant::now();
    run.engine.offer([lasting(5_000, item(1, "tell"))]);
    run.engine.heard(1).await;
    let (at, beats) = run.engine.beats.lock().unwrap()[0].clone();
    assert!(at - begun <= Duration::from_millis(1_100), "{:?}", at - begun);
    assert_eq!((beats[0].progress, beats[0].message.as_deref()), (Some(0.5), Some("half way")));
    assert_eq!(*run.puppet.guidance.lock().unwrap(), ["be kind", "mind the gap"]);
}

#[tokio::test(start_paused = true)]
async fn cancelled_work_is_reported_cancelled_whether_it_obeys_or_not() {
    let run = start(Engine { then: Mutex::new([Then::Cancel; 2].into()), ..Engine::default() }, |_| {});
    let begun = Instant::now();
    run.engine.offer([item(1, "obey"), item(2, "ignore")]);
    let reports = run.engine.heard(2).await;
    assert!(reports.iter().all(|report| report.outcome == Outcome::Cancelled), "{reports:?}");
    assert_eq!(*run.puppet.stopped.lock().unwrap(), [Stop::Cancelled]);
    assert!(begun.elapsed() < Duration::from_secs(20 + 11), "a third of the lease and the grace");
}

#[tokio::test(start_paused = true)]
async fn stale_work_stops_and_reports_nothing() {
    let run = start(Engine { then: Mutex::new([Then::Stale; 2].into()), ..Engine::default() }, |_| {});
    run.engine.offer([item(1, "obey"), item(2, "ignore")]);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(*run.puppet.stopped.lock().unwrap(), [Stop::Stale]);
    assert_eq!(run.engine.beats.lock().unwrap().len(), 1, "a lost lease is not renewed");
    run.engine.offer([item(3, "work")]);
    assert_eq!(run.engine.heard(1).await[0].task_id, item(3, "work").task_id, "only the new work is reported");
}

#[tokio::test(start_paused = true)]
async fn work_beyond_its_time_ends_as_a_timeout() {
    let run = start(Engine::default(), |_| {});
    run.engine.offer([WorkItem { timeout_ms: Some(300), ..item(1, "obey") }]);
    assert_eq!(failed(&run.engine.heard(1).await[0]).0, ErrorClass::Timeout);
    assert_eq!(*run.puppet.stopped.lock().unwrap(), [Stop::TimedOut]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_of_the_attempt_and_the_loop_goes_on() {
    let run = start(Engine::default(), |_| {});
    run.engine.offer([item(1, "panic")]);
    assert_eq!(failed(&run.engine.heard(1).await[0]), (ErrorClass::Other, "the agent panicked: out of cheese"));
    run.engine.offer([item(2, "work")]);
    assert_eq!(run.engine.heard(2).await[1].outcome, Outcome::Succeeded(Success::default()));
}

#[tokio::test(start_paused = true)]
async fn work_nobody_here_can_do_is_given_back() {
    let run = start(Engine::default(), |_| {});
    run.engine.offer([item(1, "fly")]);
    assert_eq!(failed(&run.engine.heard(1).await[0]).0, ErrorClass::MissingCapability);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_the_engine_cannot_use_becomes_a_failure() {
    let no = Refused { code: "VALIDATION_FAILED".into(), message: "output is larger than 64 MiB".into() };
    let run = start(Engine { refuse_once: Mutex::new(Some(no)), ..Engine::default() }, |_| {});
    run.engine.offer([item(1, "work")]);
    assert_eq!(failed(&run.engine.heard(2).await[1]), (ErrorClass::BadOutput, "output is larger than 64 MiB"));
}

#[tokio::test(start_paused = true)]
async fn a_draining_worker_finishes_its_work_and_claims_no_more() {
    let run = start(Engine::default(), |o| o.concurrency = 1);
    run.engine.offer([lasting(5_000, item(1, "work")), item(2, "work")]);
    sleep(Duration::from_secs(1)).await;
    run.drain.send(()).unwrap();
    assert_eq!(run.worker.await.unwrap(), Drained::default());
    assert_eq!(run.engine.reports.lock().unwrap().concat().len(), 1);
    assert_eq!(run.engine.offered.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn draining_ends_by_its_deadline_and_says_so() {
    let run = start(Engine::default(), |_| {});
    run.engine.offer([item(1, "ignore"), item(2, "obey")]);
    sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    run.drain.send(()).unwrap();
    assert_eq!(run.worker.await.unwrap(), Drained::default());
    assert!(begun.elapsed() <= Duration::from_secs(41), "{:?}", begun.elapsed());
    let reports = run.engine.reports.lock().unwrap().concat();
    assert!(reports.iter().all(|report| failed(report).0 == ErrorClass::AgentLost), "{reports:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_without_an_engine_ends_and_counts_what_nobody_heard() {
    let run = start(Engine::default().lose(REPORT, u32::MAX), |_| {});
    run.engine.offer([item(1, "work")]);
    sleep(Duration::from_secs(1)).await;
    run.drain.send(()).unwrap();
    assert_eq!(run.worker.await.unwrap(), Drained { unreported: 1, refused: None });
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_agent_was_revoked_ends_its_work_and_stops_with_the_reason() {
    let run = start(Engine::default(), |o| o.wait_ms = 1_000);
    run.engine.offer([lasting(5_000, item(1, "work"))]);
    sleep(Duration::from_secs(1)).await;
    let why = Refused { code: "FORBIDDEN".into(), message: "agent_x was revoked".into() };
    *run.engine.revoked.lock().unwrap() = Some(why.clone());
    // Nobody told it to drain.
    let ended = timeout(Duration::from_secs(600), run.worker).await.expect("it asks no more").unwrap();
    assert_eq!(ended, Drained { unreported: 0, refused: Some(why) });
    assert_eq!(run.engine.reports.lock().unwrap().concat().len(), 1, "what it had begun it ended");
    let asked = run.engine.claims.lock().unwrap().len();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(run.engine.claims.lock().unwrap().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn an_effect_has_a_token_before_it_and_an_outcome_after_it() {
    let run = start(Engine::default().lose(EFFECT, 2), |_| {});
    run.engine.offer([item(1, "act")]);
    assert_eq!(run.engine.heard(1).await[0].outcome, Outcome::Succeeded(Success::default()));
    assert_eq!(*run.engine.outcomes.lock().unwrap(), [EffectOutcome::Done]);
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_acts() {
    let run = start(Engine { effects_refused: true, ..Engine::default() }, |_| {});
    run.engine.offer([item(1, "act")]);
    assert_eq!(failed(&run.engine.heard(1).await[0]), (ErrorClass::Refused, "mail was not allowed (POLICY): not today"));
    assert_eq!(*run.engine.outcomes.lock().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn work_that_may_not_act_does_not_even_with_a_token() {
    let run = start(Engine::default(), |_| {});
    run.engine.offer([WorkItem { may_act: false, ..item(1, "act") }]);
    assert_eq!(failed(&run.engine.heard(1).await[0]).0, ErrorClass::Refused);
    assert_eq!(*run.engine.outcomes.lock().unwrap(), [EffectOutcome::NotDone], "the token is given back unused");
}
