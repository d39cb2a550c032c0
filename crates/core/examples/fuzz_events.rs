//! Throws damaged events at the codec and at replay: nothing may panic, whatever a disk or an attacker made of a stream.
//!
//! `cargo run --release -p ephor-core --example fuzz_events -- SECONDS [SEED]`
//!
//! Seeded and without coverage: lives of tasks are played, their events written as JSON, bytes and fields of them changed, and what
//! can still be read is taken in by a task, in order and out of order.

use ephor_core::command::{Claim, Command, Context};
use ephor_core::event::{self, Actor, Private, SCHEMA};
use ephor_core::id::{AgentId, ClaimId, TaskId};
use ephor_core::policy::Policy;
use ephor_core::request;
use ephor_core::spec::Request;
use ephor_core::task::Task;
use ephor_core::time::Time;
use ephor_core::work::{Failure, Outcome, Success};
use serde_json::{Value, json};

/// splitmix64: small, and the same on every machine.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// An event as it stands in a store.
pub(crate) type Stored = (String, Option<String>);

/// Lives that between them hold most kinds of events.
pub(crate) fn lives() -> Vec<Vec<Stored>> {
    let requests = [
        json!({"title": "one", "action": "x"}),
        json!({"title": "strict", "execution_mode": "STRICT", "action": "x"}),
        json!({"title": "again", "action": "x", "recurrence": {"every": "1s", "times": 3}}),
        json!({"title": "planned", "plan_by_agent": true}),
        json!({"title": "many", "payload": {"list": [1, 2]}, "plan": {"steps": [
            {"id": "a", "action": "x", "gates": [{"kind": "PERFORMANCE_TEST", "metric": "ms", "threshold": 5}]},
            {"id": "b", "action": "x", "when": "task.payload.list.size() > 1", "depends_on": ["a"]},
            {"id": "c", "action": "x", "for_each": "task.payload.list"},
            {"id": "d", "steps": [{"action": "wait.for", "params": {"duration": "1s"}}, {"action": "wait.signal", "params": {"name": "go"}}]},
            {"id": "e", "action": "task.run", "params": {"request": {"title": "child"}}, "optional": true},
        ]}}),
    ];
    requests.into_iter().enumerate().map(|(n, r)| live(n as u64, serde_json::from_value(r).expect("a request"))).collect()
}

/// Plays one life: work is claimed and ends well or badly, people interfere, time passes.
fn live(seed: u64, request: Request) -> Vec<Stored> {
    let mut dice = Dice(seed);
    let policy = Policy { solo: true, ..Policy::default() };
    let agent = AgentId::new(1, [1; 10]);
    let mut task = Task::unborn(TaskId::new(1, [seed as u8; 10]));
    let mut now = Time(1_000);
    let mut stored = Vec::new();
    let submission = request::check(&request, now, &policy).expect("a good request");
    let mut held = Vec::new();
    let mut ask = |task: &mut Task, command: Command, actor: Actor, now: Time| {
        let cx = Context {
            now,
            actor: &actor,
            own: false,
            policy: &policy,
            counter: 0,
            judges: &[],
            analyst: false,
            ended: &[],
            births: &ephor_core::command::Unhindered,
            agents: &ephor_core::command::Strangers,
            held_back: false,
            told_to_stop: false,
            shut_models: &[],
        };
        let done = task.handle(command, &cx);
        for made in done.moves {
            let private = made.private.map(|p| serde_json::to_string(&p).expect("plain data"));
            stored.push((serde_json::to_string(&made.event).expect("plain data"), private));
        }
        done.answer
    };
    let _born = ask(&mut task, Command::Submit(Box::new(submission)), Actor::human("a"), now);
    for _ in 0..300 {
        now = now.plus(dice.next() % 4_000);
        let person = Actor::human("a");
        let (command, actor) = match dice.below(14) {
            0 => (Command::Pause { reason: "r".into(), stop_running: false }, person),
            1 | 2 => (Command::Resume { reason: String::new() }, person),
            3 => (Command::Signal { name: "go".into(), payload: json!({"n": 1}) }, person),
            4 => (Command::Guide { text: "mind".into() }, person),
            5 => (
                Command::Vote {
                    review: None,
                    judge: "a".into(),
                    vote: ephor_core::review::VoteWord::Approve,
                    confidence: None,
                    reason: String::new(),
                    opinion: Box::default(),
                },
                person,
            ),
            6 => (Command::Wake, Actor::clock()),
            7..=9 => {
                let capabilities: Vec<Box<str>> = vec!["plan".into(), "work".into(), "x".into()];
                let claim = Claim {
                    agent,
                    able: ephor_core::matching::Able::of_words(capabilities),
                    closed: [].into(),
                    claim: ClaimId::new(now.0, [2; 10]),
                    start: true,
                    limits: Vec::new(),
                };
                (Command::Claim(claim), Actor::agent(agent))
            }
            _ => {
                let Some(lease) = task.live_leases().pop() else { continue };
                let outcome = match dice.below(4) {
                    0 => Outcome::Failed(Failure::new(ephor_core::spec::ErrorClass::External, "e")),
                    _ => Outcome::Succeeded(Success {
                        output: json!({"n": 1}),
                        metrics: json!({"ms": 1}).as_object().cloned().unwrap_or_default(),
                        ..Success::default()
                    }),
                };
                held.push(lease.attempt);
                (
                    Command::Report { work: lease.work, attempt: lease.attempt, outcome: Box::new(outcome), plan: None },
                    Actor::agent(agent),
                )
            }
        };
        let _either = ask(&mut task, command, actor, now);
        if task.end().is_some() {
            break;
        }
    }
    stored
}

/// Changes bytes: flips, cuts, doubles, swaps in pieces of others.
fn damage(text: &str, other: &str, dice: &mut Dice) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..1 + dice.below(4) {
        let at = dice.below(bytes.len());
        match dice.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
            1 => bytes.truncate(at),
            2 => {
                let piece = &other.as_bytes()[dice.below(other.len())..];
                let piece = piece[..dice.below(piece.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => {
                let digits = [&b"4294967295"[..], b"-1", b"0", b"1e400", b"18446744073709551616"][dice.below(5)];
                bytes.splice(at..at, digits.to_vec());
            }
            4 if !bytes.is_empty() => {
                bytes.remove(at);
            }
            _ => bytes.insert(at, b"\"{}[]:,0\\"[dice.below(9)]),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Changes fields but keeps the form: numbers become extreme, names become others.
fn bend(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Number(_) if dice.below(3) == 0 => {
            *value =
                [json!(0), json!(1), json!(65_535), json!(4_294_967_295u64), json!(i64::MAX), json!(7)][dice.below(6)].clone()
        }
        Value::String(text) if dice.below(6) == 0 => {
            *text = ["", "1", "2", "3.1", "step:1", "step:9", "gate:1:0", "gate:1:9", "a", "go", "plan", "analysis"]
                [dice.below(12)]
            .to_owned();
        }
        Value::Bool(b) if dice.below(3) == 0 => *b = !*b,
        Value::Array(items) => items.iter_mut().for_each(|v| bend(v, dice)),
        Value::Object(fields) => fields.values_mut().for_each(|v| bend(v, dice)),
        _ => {}
    }
}

/// One round: a stream with some events damaged, left out, repeated or exchanged is read and replayed.
pub(crate) fn round(lives: &[Vec<Stored>], dice: &mut Dice) -> (u64, u64) {
    let life = &lives[dice.below(lives.len())];
    let other = &lives[dice.below(lives.len())];
    let mut task = Task::unborn(TaskId::new(1, [9; 10]));
    let (mut read, mut refused) = (0, 0);
    for (n, own) in life.iter().enumerate().take(120) {
        let (data, private) = match dice.below(12) {
            0 => &other[dice.below(other.len())],
            1 => continue,
            _ => own,
        };
        let data = match dice.below(8) {
            0 => damage(data, &other[dice.below(other.len())].0, dice),
            1 => {
                let mut value: Value = serde_json::from_str(data).expect("it was written by serde");
                bend(&mut value, dice);
                value.to_string()
            }
            _ => data.clone(),
        };
        let private = private.as_ref().map(|p| if dice.below(8) == 0 { damage(p, data.as_str(), dice) } else { p.clone() });
        let private: Option<Private> = private.and_then(|p| serde_json::from_str(&p).ok());
        match event::read(SCHEMA, &data) {
            Ok(event) => {
                read += 1;
                for _ in 0..1 + usize::from(dice.below(20) == 0) {
                    task.take_in(&event, private.as_ref(), Time(1_000 + n as i64));
                }
            }
            Err(_) => refused += 1,
        }
    }
    // Whatever came out of it can still be looked at.
    std::hint::black_box((task.wake_at(), task.open_keys(), task.live_leases(), task.waiting(), task.result()));
    (read, refused)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds: f64 = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(10.0);
    let seed: u64 = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(1);
    let lives = lives();
    let kinds: std::collections::BTreeSet<String> =
        lives.iter().flatten().filter_map(|(data, _)| event::read(SCHEMA, data).ok()).map(|e| e.kind().to_owned()).collect();
    #[allow(clippy::disallowed_methods)] // How long it runs is asked for in seconds.
    let began = std::time::Instant::now();
    let (mut rounds, mut read, mut refused) = (0u64, 0u64, 0u64);
    while began.elapsed().as_secs_f64() < seconds {
        for _ in 0..100 {
            let dice_seed = seed.wrapping_mul(1_000_003).wrapping_add(rounds);
            let outcome = std::panic::catch_unwind(|| round(&lives, &mut Dice(dice_seed)));
            let Ok((r, x)) = outcome else {
                eprintln!("round {rounds} of seed {seed} panicked");
                std::process::exit(1);
            };
            (rounds, read, refused) = (rounds + 1, read + r, refused + x);
        }
    }
    println!(
        "{rounds} rounds of seed {seed}: {read} events read and taken in, {refused} refused, none panicked; kinds in the corpus: {}",
        kinds.into_iter().collect::<Vec<_>>().join(" ")
    );
}
