//! The server is killed again and again while agents work for it over HTTP and act on an outside that keeps books of its own. Nothing may be
//! lost, and nothing done twice. Longer: `KILLS=200 TASKS=1000 cargo test --release -p ephor --test server_kills -- --nocapture`; with
//! `AT_ONCE=1000` that many steps are in the hands of agents at once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{House, text};
use ephor_core::agent::Registration;
use ephor_core::spec::Request;
use ephor_core::status::Status;
use ephor_core::work::{Outcome, Success};
use ephor_sdk::agent::{Acted, Agent, Job, Running};
use ephor_sdk::client::{Client, Config, TaskFilter};
use ephor_sdk::http::{Http, new_claim_id};
use ephor_sdk::worker::{Options, Worker};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// How many agents work.
const AGENTS: usize = 3;
/// How many steps they do at once together where the environment does not say.
const AT_ONCE: u64 = 24;
/// The steps of a task, each of which acts on the outside.
const STEPS: usize = 2;
/// How long everything may take to come to its end after the last kill.
const PATIENCE: Duration = Duration::from_secs(300);

/// A service that counts what it was asked for, and does what carries the same key once.
#[derive(Default)]
struct Outside {
    /// How many steps are in the hands of agents now, and at most were.
    in_hand: AtomicU64,
    most_in_hand: AtomicU64,
    /// Which step of which task each key was for.
    done: Mutex<BTreeMap<String, String>>,
    asked: AtomicU64,
}

impl Outside {
    fn deliver(&self, key: &str, what: &str) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let before = self.done.lock().unwrap().insert(key.into(), what.into());
        assert!(before.is_none_or(|before| before == what), "one key stands for two acts");
    }
}

struct Sender(Arc<Outside>);

impl Agent for Sender {
    fn actions(&self) -> Vec<String> {
        vec!["send".into()]
    }

    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        Box::pin(async move {
            let now = self.0.in_hand.fetch_add(1, Ordering::Relaxed) + 1;
            self.0.most_in_hand.fetch_max(now, Ordering::Relaxed);
            let what = format!("{} {}", job.item().task_id, job.item().work);
            let args = json!({"to": what});
            let acted = job.effect("send", &args, |grant| async move {
                self.0.deliver(&grant.idempotency_key, &what);
                // The answer takes a while: some kills come between the act and the word about it.
                tokio::time::sleep(Duration::from_millis(5)).await;
                Acted::Done(())
            });
            // Where many are wanted at once each takes long enough for the others to begin.
            tokio::time::sleep(Duration::from_millis(count("WORK_MS", 0))).await;
            let acted = acted.await;
            self.0.in_hand.fetch_sub(1, Ordering::Relaxed);
            match acted {
                Ok(_) => Outcome::Succeeded(Success::default()),
                Err(failure) => Outcome::Failed(failure),
            }
        })
    }
}

fn count(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// A task whose steps act on the outside, one after the other; what may have happened is done again with the same key.
fn request(n: u64) -> Request {
    let step = json!({"action": "send", "on_unknown": "same_key", "retry_policy": {"max_attempts": 50, "initial": "50ms"}});
    let plan = json!({"sequential": true, "steps": vec![step; STEPS]});
    serde_json::from_value(json!({"title": format!("letter {n}"), "external_id": format!("letter-{n}"), "plan": plan})).unwrap()
}

/// An agent at work until it is told to end.
async fn work(config: Config, n: usize, outside: Arc<Outside>, mut over: watch::Receiver<bool>) {
    let said = json!({"name": format!("sender {n}"), "capabilities": ["send"]});
    let said: Registration = serde_json::from_value(said).unwrap();
    let id = Client::new(config.clone()).unwrap().register(&said).await.unwrap().id;
    let each = count("AT_ONCE", AT_ONCE).div_ceil(AGENTS as u64) as u32;
    let options = Options { concurrency: each, wait_ms: 1_000, ..Options::new(id) };
    let transport = Arc::new(Http::new(config, id).unwrap());
    let worker = Worker::new(transport, options, [Arc::new(Sender(outside)) as Arc<dyn Agent>], new_claim_id);
    let drained = worker.run(async move { drop(over.wait_for(|over| *over).await) }).await;
    assert_eq!((drained.unreported, drained.refused), (0, None));
}

/// How many tasks have not ended, and how many completed.
async fn counted(client: &Client) -> (usize, usize) {
    let mut filter = TaskFilter { limit: 500, ..TaskFilter::default() };
    let (mut live, mut completed) = (0, 0);
    loop {
        let page = client.tasks(&filter).await.unwrap();
        live += page.items.iter().filter(|task| !task.status.is_final()).count();
        completed += page.items.iter().filter(|task| task.status == Status::Completed).count();
        match page.next {
            Some(next) => filter.after = Some(next),
            None => return (live, completed),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_is_done_twice_when_the_server_is_killed_again_and_again() {
    let (kills, tasks) = (count("KILLS", 6), count("TASKS", 60));
    let house = House::new();
    let mut server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let address = server.address().to_owned();
    let config = Config { tries: 20, ..Config::new(server.url.clone()) };
    let client = Client::new(config.clone()).unwrap();
    let requests: Vec<Request> = (0..tasks).map(request).collect();
    let accepted = client.submit_many(&requests).await.unwrap();
    assert!(accepted.iter().all(Result::is_ok));

    let outside = Arc::new(Outside::default());
    let (end, over) = watch::channel(false);
    let workers: Vec<_> = (0..AGENTS).map(|n| tokio::spawn(work(config.clone(), n, outside.clone(), over.clone()))).collect();
    let (mut under_way, mut seed) = (0, count("SEED", 1));
    for _ in 0..kills {
        // splitmix64, for moments that nobody chose.
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        tokio::time::sleep(Duration::from_millis(20 + (z >> 33) % 200)).await;
        server.kill();
        under_way += u64::from(outside.done.lock().unwrap().len() < tasks as usize * STEPS);
        server = house.serve(&address, &["--no-agents"]);
    }
    let all = async {
        while counted(&client).await.0 > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("everything comes to its end");
    end.send(true).unwrap();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(counted(&client).await, (0, tasks as usize), "every task completed");
    server.kill();

    let done = outside.done.lock().unwrap();
    let acts: BTreeSet<&String> = done.values().collect();
    assert_eq!(acts.len(), tasks as usize * STEPS, "every step has acted");
    assert_eq!(done.len(), acts.len(), "and none of them under two keys");
    let doctor = house.run(&["doctor"]);
    assert!(doctor.status.success(), "{}{}", text(&doctor.stdout), text(&doctor.stderr));
    let audit = house.run(&["audit", "verify"]);
    assert!(audit.status.success(), "{}{}", text(&audit.stdout), text(&audit.stderr));
    println!(
        "{kills} kills, {under_way} of them with work left: {} acts of {tasks} tasks, asked for {} times, at most {} steps in hand at once",
        done.len(),
        outside.asked.load(Ordering::Relaxed),
        outside.most_in_hand.load(Ordering::Relaxed)
    );
}
