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

fn poison(n: usize) -> Request {
    let step = StepSpec { action: Some("noop".into()), id: Some("bad".into()), ..StepSpec::default() };
    let plan = ephor_core::spec::PlanSpec { steps: vec![step], ..Default::default() };
    Request { action: None, plan: Some(plan), title: Some(format!("poison {n}")), max_retries: Some(1), ..request(n) }
}

/// The same number of healthy tasks alone, and with one poison task for every nine of them. Answers are printed side by side.
pub(crate) async fn poisoned(folder: &Path) {
    let healthy = TASKS - TASKS / POISON;
    let mut rates = Vec::new();
    for with_poison in [false, true] {
        let house = House::new(folder, if with_poison { "h2" } else { "h1" }).await;
        let all: Vec<Request> = (0..TASKS)
            .filter(|n| with_poison || n % POISON != 0)
            .map(|n| if n % POISON == 0 { poison(n) } else { request(n) })
            .collect();
        for part in all.chunks(1_000) {
            house.engine.submit_many(part, &Actor::human("bench")).await.expect("a batch");
        }
        let began = super::now();
        work(&house, healthy).await;
        rates.push(healthy as f64 / began.elapsed().as_secs_f64());
        house.close();
    }
    println!(
        "(h) healthy tasks alone {:.0}/s, with 10 % poison among them {:.0}/s: {:.0} %",
        rates[0],
        rates[1],
        100.0 * rates[1] / rates[0]
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
    let strict = |n: usize| Request { execution_mode: ephor_core::spec::ExecutionMode::Strict, ..request(n) };
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
