//! Work under hard conditions: tasks that nobody can do among those that anybody can, and a great many that wait for people.

use super::{House, TASKS, request};
use ephor_core::event::Actor;
use ephor_core::spec::{ErrorClass, Request, StepSpec};
use ephor_core::work::{Failure, Outcome, Report, WorkItem};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Every so manieth task fails each of its attempts.
const POISON: usize = 10;
/// How many tasks wait for people.
const WAITING: usize = 100_000;

fn poison(n: usize, action: &str) -> Request {
    let step = StepSpec { action: Some(action.into()), id: Some("bad".into()), ..StepSpec::default() };
    let plan = ephor_core::spec::PlanSpec { steps: vec![step], ..Default::default() };
    Request { action: None, plan: Some(plan), title: Some(format!("poison {n}")), max_retries: Some(1), ..request(n) }
}

/// What is mixed with work that anybody can do.
#[derive(Clone, Copy)]
enum Mixed {
    /// Nothing.
    Nothing,
    /// For every nine healthy tasks one poison task that asks for the same.
    Alike,
    /// For every nine healthy tasks one poison task that asks for something else.
    OfItsOwnKind,
}

impl Mixed {
    fn request(self, n: usize) -> Option<Request> {
        match self {
            Self::Nothing => (!n.is_multiple_of(POISON)).then(|| request(n)),
            _ if !n.is_multiple_of(POISON) => Some(request(n)),
            Self::Alike => Some(poison(n, "noop")),
            Self::OfItsOwnKind => Some(poison(n, "bad")),
        }
    }
}

/// The same healthy tasks alone and with poison among them: as much as the engine can do, and at a steady pace of half of that.
pub(crate) async fn poisoned(folder: &Path) {
    let healthy = TASKS - TASKS / POISON;
    let mut rates = Vec::new();
    for (name, mixed) in [("h1", Mixed::Nothing), ("h2", Mixed::OfItsOwnKind), ("h3", Mixed::Alike)] {
        let house = House::able(folder, name, &["noop", "bad"]).await;
        let all: Vec<Request> = (0..TASKS).filter_map(|n| mixed.request(n)).collect();
        for part in all.chunks(1_000) {
            house.engine.submit_many(part, &Actor::human("bench")).await.expect("a batch");
        }
        let began = super::now();
        work(&house, healthy).await;
        rates.push(healthy as f64 / began.elapsed().as_secs_f64());
        house.close();
    }
    let of = |rate: f64| 100.0 * rate / rates[0];
    println!(
        "(h) as much as it can: healthy tasks alone {:.0}/s; one in ten poison, of its own kind {:.0} %, of the same kind {:.0} %",
        rates[0],
        of(rates[1]),
        of(rates[2])
    );
    let every = Duration::from_millis(10);
    let at_once = (rates[0] / 2.0 * every.as_secs_f64() * TASKS as f64 / healthy as f64) as usize;
    let mut steady = Vec::new();
    for (name, mixed) in [("h4", Mixed::Nothing), ("h5", Mixed::Alike)] {
        let house = House::able(folder, name, &["noop", "bad"]).await;
        let began = super::now();
        let submits = async {
            let mut pace = tokio::time::interval(every);
            for first in (0..TASKS).step_by(at_once) {
                pace.tick().await;
                let some: Vec<Request> = (first..TASKS.min(first + at_once)).filter_map(|n| mixed.request(n)).collect();
                house.engine.submit_many(&some, &Actor::human("bench")).await.expect("a batch");
            }
        };
        tokio::join!(submits, work(&house, healthy));
        steady.push(healthy as f64 / began.elapsed().as_secs_f64());
        house.close();
    }
    println!(
        "(h) at a steady pace: healthy tasks alone {:.0}/s, with one in ten poison of the same kind {:.0}/s: {:.0} %",
        steady[0],
        steady[1],
        100.0 * steady[1] / steady[0]
    );
}

/// Works until so many healthy tasks are done; whatever is poison fails.
async fn work(house: &Arc<House>, healthy: usize) {
    let done = Arc::new(AtomicUsize::new(0));
    let workers = (0..super::CALLERS).map(|w| {
        let (house, done) = (house.clone(), done.clone());
        tokio::spawn(async move {
            while done.load(Ordering::Relaxed) < healthy {
                let items = house.engine.claim(house.wish(w, 1, 20)).await.expect("a claim");
                for item in items {
                    let bad = item.title.starts_with("poison");
                    let report = if bad { failed(&item) } else { super::report(&item) };
                    house.engine.report(vec![report], house.agents[w]).await.expect("a report");
                    done.fetch_add(usize::from(!bad), Ordering::Relaxed);
                }
            }
        })
    });
    super::join(workers).await;
}

fn failed(item: &WorkItem) -> Report {
    let outcome = Outcome::Failed(Failure::new(ErrorClass::Timeout, "it never works"));
    Report { task_id: item.task_id, work: item.work.clone(), attempt: item.attempt, outcome }
}

/// What this process costs while nothing happens, with few and with many tasks that wait for people. Their reviews have deadlines, which
/// the clock knows.
pub(crate) async fn waiting(folder: &Path) {
    let house = House::new(folder, "i").await;
    let strict = |n: usize| Request { execution_mode: Some(ephor_core::spec::ExecutionMode::Strict), ..request(n) };
    let mut count = 0;
    for more in [100, WAITING - 100] {
        let all: Vec<Request> = (count..count + more).map(strict).collect();
        for part in all.chunks(1_000) {
            for answer in house.engine.submit_many(part, &Actor::human("bench")).await.expect("a batch") {
                answer.expect("a task");
            }
        }
        count += more;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (before, position) = (cpu_ms(), house.position());
        tokio::time::sleep(Duration::from_secs(20)).await;
        let used = cpu_ms() - before;
        println!(
            "(i) {count} tasks wait for people: {used:.0} ms of processor time in 20 s, {} events written",
            house.position() - position
        );
    }
    house.close();
}

/// The processor time of this process so far, in milliseconds; the kernel counts it in hundredths of a second.
fn cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> =
        text.rsplit(')').next().unwrap_or_default().split_whitespace().filter_map(|f| f.parse().ok()).collect();
    // After the name in brackets and the letter of the state, user and system time are the 11th and 12th number.
    fields.get(10).zip(fields.get(11)).map_or(0.0, |(user, system)| (user + system) * 10.0)
}
