//! The map of legal moves, held against the documents.

use super::world::*;
use crate::command::{Changes, Command};
use crate::event::{Actor, OverrideWord, TextChanges};
use crate::policy::{OnAgentLost, StallStrategy};
use crate::review::VoteWord;
use crate::status::Status::{self, *};
use crate::work::{Advice, Outcome, Success, WorkKey};
use serde_json::json;
use std::collections::BTreeSet;

/// REQUIREMENTS, "Legal transitions".
const REQUIREMENTS: [(Status, &[Status]); 11] = [
    (Pending, &[Deliberating, Scheduled, Blocked, Paused, Stalled, Escalated, Cancelled, Stopped]),
    (Deliberating, &[Scheduled, Escalated, Cancelled, Stopped]),
    (Scheduled, &[Assigned, InProgress, Pending, Blocked, Paused, Stalled, Escalated, Cancelled, Stopped]),
    (Assigned, &[InProgress, Scheduled, Blocked, Paused, Escalated, Cancelled, Stopped]),
    (InProgress, &[Review, Completed, Failed, Blocked, Paused, Retrying, Escalated, Scheduled, Cancelled, Stopped]),
    (Review, &[Completed, InProgress, Blocked, Retrying, Escalated, Failed, Cancelled, Stopped]),
    (Blocked, &[InProgress, Scheduled, Pending, Paused, Retrying, Escalated, Failed, Cancelled, Stopped]),
    (Paused, &[Pending, Scheduled, Assigned, InProgress, Blocked, Cancelled, Stopped]),
    (Retrying, &[Scheduled, InProgress, Paused, Escalated, Failed, Cancelled, Stopped]),
    (Escalated, &[Scheduled, InProgress, Completed, Failed, Cancelled, Stopped]),
    (Stalled, &[Pending, Scheduled, Escalated, Cancelled, Stopped]),
];

/// DESIGN §3, "completed by", but for its two rules about every status.
const DESIGN: [(Status, &[Status]); 11] = [
    (Deliberating, &[Paused, Pending, Assigned, InProgress, Retrying, Blocked, Review]),
    (Review, &[Paused, Scheduled]),
    (Escalated, &[Paused, Deliberating]),
    (Stalled, &[Paused]),
    (Retrying, &[Paused, Deliberating, Blocked]),
    (Blocked, &[Review, Deliberating]),
    (Scheduled, &[Deliberating, Review, Completed]),
    (InProgress, &[Deliberating, Assigned]),
    (Assigned, &[InProgress, Retrying]),
    (Paused, &[Deliberating, Review, Escalated, Stalled, Retrying]),
    (Pending, &[]),
];

/// What real paths need besides; each is walked below.
const BESIDES: [(Status, &[Status]); 7] = [
    (Scheduled, &[Retrying]),
    (Assigned, &[Deliberating, Review]),
    (Review, &[Deliberating]),
    (Blocked, &[Assigned]),
    (Retrying, &[Review]),
    (Escalated, &[Pending, Assigned, Review, Blocked, Retrying]),
    (Stalled, &[Deliberating, Blocked]),
];

fn pairs(table: &[(Status, &[Status])]) -> BTreeSet<(Status, Status)> {
    table.iter().flat_map(|(from, all)| all.iter().map(|to| (*from, *to))).collect()
}

#[test]
fn the_published_map_is_that_of_the_documents_and_no_more_than_real_paths_need() {
    let mut expected = pairs(&REQUIREMENTS);
    expected.extend(pairs(&DESIGN));
    expected.extend(pairs(&BESIDES));
    for status in Status::ALL.into_iter().filter(|s| !s.is_final()) {
        // "Every waiting or held status -> FAILED"; "PAUSED -> any status the facts beneath it call for".
        expected.insert((status, Failed));
    }
    expected.extend(Status::ALL.into_iter().filter(|s| *s != Paused).map(|to| (Paused, to)));
    let published: BTreeSet<_> =
        Status::ALL.into_iter().flat_map(|from| from.successors().iter().map(move |to| (from, *to))).collect();
    assert_eq!(published, expected);
}

/// The moves between statuses that a life makes.
struct Walk {
    world: World,
    seen: BTreeSet<(Status, Status)>,
}

impl Walk {
    fn does(mut self, act: impl FnOnce(&mut World)) -> Self {
        let before = self.world.status();
        act(&mut self.world);
        self.seen.insert((before, self.world.status()));
        self.seen.extend(self.world.done.moves.iter().map(|m| (m.before, m.after)));
        self
    }
}

fn walk(world: World) -> Walk {
    Walk { world, seen: BTreeSet::new() }
}

fn modify(world: &mut World) {
    let text = TextChanges { description: Some("otherwise".into()), ..TextChanges::default() };
    world.ann(Command::Modify(Box::new(Changes { text, ..Changes::default() }))).unwrap();
}

fn assign(world: &mut World) {
    let claim = world.wish(1, &["a"], false);
    world.by(&Actor::agent(agent(1)), Command::Claim(claim)).unwrap();
}

fn escalate(world: &mut World) {
    world.ann(Command::Escalate { priority: None, reason: "look".into() }).unwrap();
}

fn approve(world: &mut World) {
    world.overrule(OverrideWord::Approve, None).unwrap();
}

/// A task of high risk with these steps, approved.
fn approved(steps: serde_json::Value) -> World {
    let mut world = World::new();
    world.policy.solo = true;
    world.policy.stall_watch = true;
    world.policy.stall_strategy = StallStrategy::MarkStalled;
    world.submit(json!({"title": "x", "risk": "HIGH", "plan": {"steps": steps}}));
    world.vote("operator", VoteWord::Approve).unwrap();
    world
}

#[test]
fn every_move_besides_the_documents_belongs_to_a_real_path() {
    let one = json!([{"action": "a"}]);
    let mut seen = BTreeSet::new();

    let queue = given_steps(json!([{"action": "a", "queue_timeout": "1m"}]));
    seen.extend(walk(queue).does(|w| w.pass("1m")).does(escalate).does(approve).seen);

    seen.extend(walk(approved(one.clone())).does(assign).does(modify).seen);
    let gate = given_steps(json!([{"action": "a", "gates": [{"kind": "CODE_STYLE"}]}]));
    let report = |w: &mut World| {
        let item = w.task.held_work(&WorkKey::Step("1".into())).unwrap();
        w.report(&item, Outcome::Succeeded(Success::default())).unwrap();
    };
    seen.extend(walk(gate).does(assign).does(report).does(escalate).does(approve).seen);

    let gate = approved(json!([{"action": "a", "gates": [{"kind": "CODE_STYLE"}]}]));
    seen.extend(walk(gate).does(assign).does(report).does(modify).seen);

    let mut held_up = World::new();
    held_up.policy.on_agent_lost = OnAgentLost::Block;
    held_up.submit(json!({"title": "x", "plan": {"steps": [{"action": "a"}, {"action": "a"}]}}));
    let lapse = |w: &mut World| {
        drop(w.by(&Actor::settle(), Command::LeaseLapsed { work: WorkKey::Step("1".into()), attempt: 1, counter: 0 }).unwrap());
    };
    seen.extend(walk(held_up).does(assign).does(lapse).does(assign).does(escalate).does(approve).seen);

    let mut hopeless = World::new();
    hopeless.analyst = true;
    hopeless
        .submit(json!({"title": "x", "plan": {"steps": [{"id": "one", "action": "b"}, {"action": "a", "depends_on": ["one"]}]}}));
    let without = |w: &mut World| {
        w.work_off("b");
        let item = w.claim(1, "a");
        w.fail_for_good(&item);
        let analysis = w.claim(2, "analyse");
        let plan = serde_json::from_value(json!({"steps": [{"id": "one", "action": "b"}]})).unwrap();
        w.report(&analysis, Outcome::Advised(Advice::AlternativePath(Box::new(plan)))).unwrap();
    };
    seen.extend(walk(hopeless).does(without).seen);

    let pending = given(json!({"title": "x", "due_at": START.plus(1_000).to_string()}));
    seen.extend(walk(pending).does(escalate).does(approve).seen);
    let blocked = given(json!({"title": "x", "plan": {"steps": one, "confidence": 0.1}}));
    seen.extend(walk(blocked).does(escalate).does(approve).seen);

    seen.extend(walk(approved(one.clone())).does(|w| w.pass("61m")).does(modify).seen);
    let mut stalled = World::new();
    stalled.policy.stall_watch = true;
    stalled.policy.stall_strategy = StallStrategy::MarkStalled;
    stalled.submit(json!({"title": "x"}));
    let doubtful = |w: &mut World| {
        let plan = checked(json!({"steps": [{"action": "a"}], "confidence": 0.1}));
        w.by(&Actor::agent(agent(1)), Command::Propose(Box::new(plan))).unwrap();
    };
    seen.extend(walk(stalled).does(|w| w.pass("61m")).does(doubtful).seen);

    let missing: Vec<_> = pairs(&BESIDES).into_iter().filter(|pair| !seen.contains(pair)).collect();
    assert!(missing.is_empty(), "no path walks {missing:?}");
}
