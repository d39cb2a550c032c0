//! A receipt says what happened to a task and can be checked with nothing else at hand; whatever byte of it is changed, that is found, and
//! where. More changes: `FLIPS=100000 cargo test --release -p ephor-engine --test receipts -- --nocapture`

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use ephor_core::agent::Registration;
use ephor_core::command::{Approve, Command};
use ephor_core::constitution::Law;
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, ClaimId, StreamId, TaskId};
use ephor_core::policy::Policy;
use ephor_core::receipt::Receipt;
use ephor_core::review::VoteWord;
use ephor_core::spec::{GateKind, Request};
use ephor_core::status::Status;
use ephor_core::work::{
    ClaimRequest, EffectOutcome, EffectRequest, Judgement, Outcome, Report, Success, Unguarded, WorkItem, args_digest,
};
use ephor_engine::codec::{self, Hashed};
use ephor_engine::receipt::{Verdict, export, verify};
use ephor_engine::{Engine, Settings};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use support::count;
use support::traffic::{Crew, Dice, hasty};

const LAW: &str = r#"
constitution: A house
articles:
  - id: money
    title: Money
    rules:
      - {at: [action], when: 'action.name == "pay"', verdict: ESCALATE, message: money moves}
      - {at: [result], when: 'action.name == "tell"', verdict: WARN, message: it was told}
"#;

fn open(folder: &Path) -> Engine {
    let policy = Policy { law: Some(Arc::new(Law::read(LAW).unwrap())), ..Policy::default() };
    Engine::open(Settings { policy, ..Settings::new(folder.join("ephor.db")) }).unwrap()
}

async fn agent(engine: &Engine, name: &str, able: &[&str]) -> AgentId {
    let capabilities = able.iter().map(|able| (*able).into()).collect();
    let said = Registration { name: name.into(), capabilities, ..Registration::default() };
    engine.register(None, said, Actor::human("test")).await.unwrap()
}

async fn claim(engine: &Engine, agent: AgentId) -> Vec<WorkItem> {
    static CLAIMS: AtomicI64 = AtomicI64::new(1);
    let claim_id = ClaimId::new(CLAIMS.fetch_add(1, Ordering::Relaxed), [3; 10]);
    engine.claim(ClaimRequest { agent_id: agent, claim_id, max: 1, wait_ms: 0, start: true }).await.unwrap()
}

async fn vote(engine: &Engine, task: TaskId, judge: AgentId, vote: VoteWord) {
    let (judge, reason) = (judge.to_string().into(), "seen".to_owned());
    let said = Command::Vote { review: None, judge, vote, confidence: Some(0.75), reason, opinion: Box::default() };
    engine.command(task, said, Actor::human("test")).await.unwrap();
}

async fn report(engine: &Engine, item: &WorkItem, agent: AgentId, success: Success) {
    let outcome = Outcome::Succeeded(success);
    let report = Report { task_id: item.task_id, work: item.work.clone(), attempt: item.attempt, outcome };
    engine.report(vec![report], agent).await.unwrap().remove(0).unwrap();
}

/// A task with everything a receipt tells of: a council that votes twice, an approval with other parameters, an effect that was granted and
/// one that was not, a gate, figures, words of people, a constitution.
async fn told(engine: &Engine) -> TaskId {
    let worker = agent(engine, "payer", &["pay", "tell"]).await;
    let mut judges = Vec::new();
    for name in ["j1", "j2", "j3"] {
        judges.push(agent(engine, name, &["judge"]).await);
    }
    let request: Request = serde_json::from_value(json!({
        "title": "pay the bill", "description": "the bill of may is paid and the partner told", "risk": "HIGH", "final_review": true,
        "plan": {"steps": [
            {"id": "pay", "action": "pay", "acts": true, "params": {"amount": 10}},
            {"id": "tell", "action": "tell", "needs": ["pay"], "gates": [{"kind": "FUNCTIONAL_TEST"}]},
        ]},
    }))
    .unwrap();
    let task = engine.submit(&request, Actor::human("ann"), None).await.unwrap().task.unwrap();
    vote(engine, task, judges[0], VoteWord::Reject).await;
    vote(engine, task, judges[0], VoteWord::Approve).await;
    vote(engine, task, judges[1], VoteWord::Approve).await;
    assert!(claim(engine, worker).await.is_empty());
    let params = json!({"amount": 9}).as_object().cloned();
    let word = Approve {
        step: "pay".into(),
        approved: true,
        digest: None,
        params,
        reason: "a little less".into(),
        findings: Vec::new(),
    };
    engine.command(task, Command::Approve(Box::new(word)), Actor::human("bea")).await.unwrap();
    let item = claim(engine, worker).await.remove(0);
    let args = args_digest(&json!({"amount": 9}));
    let (work, attempt) = (item.work.clone(), item.attempt);
    let wish = EffectRequest { task_id: task, work: work.clone(), attempt, action: "pay".into(), args_digest: args };
    let effect = engine.effect(wish, worker).await.unwrap().effect_id;
    engine.settle_effect(task, effect, Some((work, attempt)), EffectOutcome::Done, Actor::agent(worker)).await.unwrap();
    let cost = json!({"cost_usd": 0.5, "output_tokens": 1200}).as_object().cloned().unwrap();
    report(engine, &item, worker, Success { output: json!({"paid": 9}), metrics: cost, ..Success::default() }).await;
    let item = claim(engine, worker).await.remove(0);
    let judgement = Judgement {
        kind: GateKind::FunctionalTest,
        passed: true,
        score: Some(0.9),
        violations: vec![],
        recommendations: vec![],
        evidence: Vec::new(),
    };
    let unguarded = Unguarded { action: "call".into(), description: "by telephone".into(), key: None };
    let told = Success { output: json!("told"), evidence: vec![judgement], unguarded: vec![unguarded], ..Success::default() };
    report(engine, &item, worker, told).await;
    vote(engine, task, judges[2], VoteWord::Approve).await;
    vote(engine, task, judges[1], VoteWord::Conditional).await;
    task
}

fn receipt(engine: &Engine, task: TaskId) -> String {
    export(&*engine.reader(), task).unwrap().unwrap()
}

fn whole(text: &str) -> Verdict {
    let verdict = verify(text.as_bytes(), None);
    assert_eq!(verdict.found, [], "{text}");
    verdict
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_tells_what_happened_and_holds() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let task = told(&engine).await;
    let text = receipt(&engine, task);
    let verdict = whole(&text);
    assert_eq!((verdict.task, verdict.status), (Some(task), Some(Status::Completed)));
    // Two verdicts of the council, a question and an answer.
    assert_eq!(verdict.decisions, 4);
    let read: Receipt = serde_json::from_str(&text).unwrap();
    let said = &read.summary;
    assert_eq!((said["task"]["submitted_by"].as_str(), said["task"]["status"].as_str()), (Some("HUMAN/ann"), Some("COMPLETED")));
    assert_eq!(said["plans"][0]["steps"][0]["params"], json!({"amount": 10}));
    assert_eq!(said["constitution"][0]["at"], "admission");
    assert!(said["constitution"][0]["document"].is_string());
    let points: Vec<&Value> = said["constitution"].as_array().unwrap().iter().map(|one| &one["at"]).collect();
    assert_eq!(points, ["admission", "action", "result"]);
    let reviews = said["reviews"].as_array().unwrap();
    assert_eq!(reviews.len(), 2);
    assert_eq!(reviews[0]["votes"].as_array().unwrap().len(), 3);
    assert_eq!((&reviews[0]["counted"], reviews[0]["counted"]["approve"].as_u64()), (&reviews[0]["tally"], Some(2)));
    assert_eq!(reviews[1]["verdict"], "APPROVED_WITH_CONDITIONS");
    let approval = &said["approvals"][0];
    assert_eq!((approval["answer"].as_str(), approval["answered"]["by"].as_str()), (Some("APPROVED"), Some("HUMAN/bea")));
    assert_eq!((&approval["params_changed"], approval["reason"].as_str()), (&json!(true), Some("a little less")));
    assert_eq!(approval["answered_args_digest"].as_str(), Some(&*args_digest(&json!({"amount": 9}))));
    let rights: Vec<&Value> = said["effects"].as_array().unwrap().iter().map(|one| &one["right"]).collect();
    assert!(rights.contains(&&json!("GRANTED")) && rights.contains(&&json!("UNGUARDED")), "{rights:?}");
    assert!(said["effects"].as_array().unwrap().iter().all(|one| one["granted"].as_array().unwrap().len() == 1));
    assert_eq!((&said["gates"][0]["kind"], said["gates"][0]["score"].as_f64()), (&json!("FUNCTIONAL_TEST"), Some(0.9)));
    assert_eq!(said["usage"]["totals"], json!({"cost_usd": 0.5, "output_tokens": 1200.0}));
    assert_eq!(said["usage"]["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(said["timeline"].as_array().unwrap().len(), read.events.len());
    // It is linked to the log: its last commit is one the database passes through.
    assert_eq!(ephor_engine::audit::verify_through(&*engine.reader(), verdict.head).unwrap().findings, []);
    assert_eq!(verify(text.as_bytes(), verdict.head).found, []);
    let other = verify(text.as_bytes(), Some([7; 32]));
    assert_eq!(other.found[0].place, "commits");
    engine.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_of_an_erased_task_holds_and_says_what_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let task = told(&engine).await;
    let before = receipt(&engine, task);
    engine.erase(task, Actor::human("ann")).await.unwrap();
    let after = receipt(&engine, task);
    assert!(before.contains("the bill of may") && !after.contains("the bill of may"));
    let verdict = whole(&after);
    assert!(verdict.unknown.iter().any(|line| line.contains("erased")), "{:?}", verdict.unknown);
    // Words that somebody took out without erasing them are missed.
    let mut taken: Receipt = serde_json::from_str(&before).unwrap();
    let at = taken.events.iter().position(|event| event.words.is_some()).unwrap();
    (taken.events[at].words, taken.events[at].salt) = (None, None);
    let found = verify(pretty(&taken).as_bytes(), None).found;
    assert_eq!(found[0].place, format!("event {}: words", at + 1));
    engine.stop();
}

/// Each task that lived a life of its own, with failures, silence, cancellations and votes, has a receipt that holds, at its end and
/// before.
#[test]
fn receipts_of_many_lives_hold() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(Settings { policy: hasty(), ..Settings::new(folder.path().join("ephor.db")) }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let crew = Crew::enter(engine.clone(), 4, |_| ()).await.unwrap();
        let callers: Vec<_> = (0..4).map(|n| tokio::spawn(crew.clone().live(n, 5, 12))).collect();
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
    });
    let tasks = engine.reader().list(&Default::default(), 500).unwrap();
    assert!(tasks.len() > 20, "{}", tasks.len());
    for listed in tasks {
        whole(&receipt(&engine, listed.stream.task().unwrap()));
    }
    engine.stop();
}

fn pretty(receipt: &Receipt) -> String {
    serde_json::to_string_pretty(receipt).unwrap() + "\n"
}

/// What a line of a receipt belongs to: an event and its field, a commit, or a part of the summary. Told by the depth of the lines, not as
/// `receipt` does it.
fn owner(text: &str, at: usize) -> (String, String) {
    let (mut part, mut item, mut field) = (String::new(), 0, String::new());
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        let depth = line.len() - line.trim_start_matches(' ').len();
        let name = line.trim().strip_prefix('"').and_then(|rest| rest.split_once("\":")).map(|(name, _)| name.to_owned());
        match depth {
            2 if name.is_some() => (part, item, field) = (name.unwrap(), 0, String::new()),
            4 if line.trim_start().starts_with('{') => (item, field) = (item + 1, String::new()),
            4 if name.is_some() => field = name.unwrap(),
            6 if name.is_some() && part != "summary" => field = name.unwrap(),
            _ => {}
        }
        begin += line.len();
        if at < begin {
            break;
        }
    }
    match part.as_str() {
        "events" => (format!("event {item}"), field),
        "commits" => (format!("commit {item}"), field),
        _ => (part, field),
    }
}

/// Whether something that was found is said to be where a byte was changed: in this part, or where it can no longer be read, in this
/// line or the one it runs over into.
fn located(found: &[ephor_engine::receipt::Found], line: usize, part: &str, field: &str) -> bool {
    found.iter().any(|found| {
        let place = &found.place;
        if place.contains(&format!("line {line},")) || place.contains(&format!("line {},", line + 1)) {
            return true;
        }
        match part {
            part if part.starts_with("event ") => place.contains(&format!("{part}:")) || place.contains(&format!("{part})")),
            part if part.starts_with("commit ") => place.contains(part),
            "summary" => place.contains(&format!("summary.{field}")),
            other => place.contains(other) || place.contains("the document"),
        }
    })
}

/// One byte of every line is changed, and then bytes anywhere: each is found, and in the place it stands in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_changed_byte_anywhere_is_found_and_located() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let text = receipt(&engine, told(&engine).await);
    engine.stop();
    let mut dice = Dice(11);
    let mut begin = 0;
    let mut places = Vec::new();
    for line in text.split_inclusive('\n') {
        places.push(begin + dice.roll(line.len() as u64) as usize);
        begin += line.len();
    }
    places.extend((0..count("FLIPS", 1_500)).map(|_| dice.roll(text.len() as u64) as usize));
    let mut exact = 0;
    for at in &places {
        let mut bytes = text.clone().into_bytes();
        bytes[*at] ^= 1 << dice.roll(7);
        let verdict = verify(&bytes, None);
        let (part, field) = owner(&text, *at);
        let what = format!("byte {at} of {part}, {field}: {:?}", verdict.found);
        assert!(!verdict.is_whole(), "{what}");
        let line = 1 + text.as_bytes()[..*at].iter().filter(|byte| **byte == b'\n').count();
        assert!(located(&verdict.found, line, &part, &field), "line {line}, {what}");
        exact += u32::from(verdict.found[0].place.contains(&part) && verdict.found[0].place.contains(&field));
    }
    println!("{} changes, all found; the first finding names the very field {exact} times", places.len());
    assert!(f64::from(exact) > 0.75 * places.len() as f64, "{exact} of {}", places.len());
}

/// A value of an event, changed to another that reads well: the very field is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_field_of_any_event_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let text = receipt(&engine, told(&engine).await);
    engine.stop();
    let sound: Receipt = serde_json::from_str(&text).unwrap();
    let one_up = |hex: &str| hex.replacen(|c: char| c != '0', "0", 1);
    for i in 0..sound.events.len() {
        type Change<'a> = (&'static str, Box<dyn Fn(&mut ephor_core::receipt::ReceiptEvent) + 'a>);
        let changes: Vec<Change<'_>> = vec![
            ("version", Box::new(|event| event.version += 1)),
            ("position", Box::new(|event| event.position += 1)),
            ("at", Box::new(|event| event.at += 1)),
            ("kind", Box::new(|event| event.kind.push('X'))),
            ("actor", Box::new(|event| event.actor.push('x'))),
            (
                "before",
                Box::new(|event| event.before = if event.before == Some(Status::Paused) { None } else { Some(Status::Paused) }),
            ),
            ("after", Box::new(|event| event.after = Some(Status::Stalled))),
            ("schema", Box::new(|event| event.schema = 0)),
            ("data", Box::new(|event| event.data.push(' '))),
            ("digest", Box::new(|event| event.digest = event.digest.as_deref().map(one_up))),
            ("words", Box::new(|event| event.words = event.words.as_deref().map(|words| words.replacen('a', "b", 1)))),
            ("hash", Box::new(|event| event.hash = one_up(&event.hash))),
        ];
        for (field, change) in changes {
            let mut forged = sound.clone();
            change(&mut forged.events[i]);
            if forged == sound {
                continue;
            }
            let found = verify(pretty(&forged).as_bytes(), None).found;
            assert!(
                found.iter().any(|found| found.place == format!("event {}: {field}", i + 1)),
                "{field} of event {}: {found:?}",
                i + 1
            );
        }
    }
}

/// Makes the chain and the log of a forged receipt hold together again, as somebody may who has the code.
fn chained(mut forged: Receipt) -> Receipt {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let bytes = |hex: &str| -> [u8; 32] { std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()) };
    let mut previous = codec::GENESIS;
    for event in &mut forged.events {
        let digest = event.digest.as_deref().map(bytes);
        let hashed = Hashed {
            stream: StreamId::from(forged.task),
            version: event.version,
            at: event.at,
            kind: &event.kind,
            actor: &event.actor,
            before: event.before,
            after: event.after,
            schema: event.schema,
            data: &event.data,
            private: digest.as_ref(),
        };
        previous = codec::event_hash(&previous, &hashed);
        event.hash = hex(&previous);
    }
    for commit in &mut forged.commits {
        for event in forged.events.iter().filter(|event| (commit.first..=commit.last).contains(&event.position)) {
            commit.hashes[(event.position - commit.first) as usize] = event.hash.clone();
        }
        let hashes: Vec<[u8; 32]> = commit.hashes.iter().map(|hash| bytes(hash)).collect();
        let root = codec::commit_root(&hashes);
        commit.root = hex(&root);
        commit.hash = hex(&codec::commit_hash(&bytes(&commit.previous), commit.first, commit.last, &root));
    }
    forged
}

/// Who makes all hashes anew still has to count the votes right, keep the rules, and pass through the head that somebody kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashes_made_anew_hide_no_miscounted_vote_and_no_missing_decision() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let text = receipt(&engine, told(&engine).await);
    engine.stop();
    let sound: Receipt = serde_json::from_str(&text).unwrap();
    let head = verify(text.as_bytes(), None).head;
    assert_eq!(chained(sound.clone()), sound);
    let forge = |kind: &str, from: &str, to: &str| {
        let mut forged = sound.clone();
        let event = forged.events.iter_mut().find(|event| event.kind == kind).unwrap();
        let changed = event.data.replace(from, to);
        assert_ne!(changed, event.data, "{kind} holds no {from}");
        event.data = changed;
        pretty(&chained(forged))
    };
    for (kind, from, to, says) in [
        ("REVIEW_DECIDED", r#""approve":2"#, r#""approve":3"#, "counted anew"),
        ("REVIEW_DECIDED", r#""verdict":"APPROVED""#, r#""verdict":"REJECTED""#, "does not follow from its votes"),
        ("VOTE_CAST", r#""vote":"REJECT""#, r#""vote":"ABSTAIN""#, "does not follow from the events"),
        ("APPROVAL_ANSWERED", r#""answer":"APPROVED""#, r#""answer":"DENIED""#, ""),
        ("ASSIGNED", r#""approved":""#, r#""limits":[],"approved":"0"#, ""),
        ("EFFECT_GRANTED", r#""action":"pay""#, r#""action":"pa_""#, ""),
    ] {
        let forged = forge(kind, from, to);
        let found = verify(forged.as_bytes(), None).found;
        assert!(found.iter().any(|found| found.what.contains(says)), "{kind} {to}: {found:?}");
        let found = verify(forged.as_bytes(), head).found;
        assert!(found.iter().any(|found| found.place == "commits"), "{kind}: {found:?}");
    }
    // An answer left out.
    let mut forged = sound.clone();
    let at = forged.events.iter().position(|event| event.kind == "APPROVAL_ANSWERED").unwrap();
    forged.events.remove(at);
    assert!(!verify(pretty(&chained(forged)).as_bytes(), None).is_whole());
}

/// Events left out, moved or doubled, commits left out, and a document that is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_out_moved_or_no_receipt_at_all_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let text = receipt(&engine, told(&engine).await);
    engine.stop();
    let sound: Receipt = serde_json::from_str(&text).unwrap();
    let last = sound.events.len() - 1;
    for i in 0..=last {
        let mut forged = sound.clone();
        forged.events.remove(i);
        assert!(!verify(pretty(&forged).as_bytes(), None).is_whole(), "without event {}", i + 1);
        let mut forged = sound.clone();
        forged.events.swap(i, last - i);
        assert!(forged == sound || !verify(pretty(&forged).as_bytes(), None).is_whole(), "event {} moved", i + 1);
    }
    for i in 0..sound.commits.len() {
        let mut forged = sound.clone();
        forged.commits.remove(i);
        assert!(!verify(pretty(&forged).as_bytes(), None).is_whole(), "without commit {}", i + 1);
    }
    for nonsense in ["", "{}", "[]", "null", "x", r#"{"receipt":2}"#, &text.replacen("\"receipt\": 1", "\"receipt\": 2", 1)] {
        assert!(!verify(nonsense.as_bytes(), None).is_whole(), "{nonsense:.40}");
    }
    assert!(!verify(&[0xff, 0xfe], None).is_whole());
    // The same content in other bytes is told apart from what was written.
    let compact = serde_json::to_string(&sound).unwrap();
    assert_eq!(verify(compact.as_bytes(), None).found.len(), 1);
    assert!(verify(compact.as_bytes(), None).found[0].what.contains("in other bytes"));
}
