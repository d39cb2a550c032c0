//! What a store promises, proven for each: one suite, a backend is a line.

#![allow(clippy::unwrap_used, reason = "the tests' own functions fail the test they are called from")]

mod support;

use ephor_core::id::{StreamId, StreamKind};
use ephor_core::spec::{Autonomy, Risk};
use ephor_core::status::Status;
use ephor_engine::codec::{GENESIS, commit_hash, commit_root};
use ephor_engine::store::memory::MemoryStore;
use ephor_engine::store::*;
use std::sync::Arc;
use support::*;

macro_rules! suite {
    ($($test:ident)*) => {
        suite!(sqlite: Kit::sqlite(); $($test)*);
        suite!(memory: Kit::memory(); $($test)*);
    };
    ($backend:ident: $kit:expr; $($test:ident)*) => {
        mod $backend {
            use super::Kit;
            $(#[test] fn $test() { super::$test($kit); })*
        }
    };
}

suite! {
    an_empty_store_holds_nothing
    a_birth_can_be_read_back
    everything_written_is_there_after_opening_again
    positions_have_no_gap_and_follow_the_order_of_the_groups
    a_group_at_another_version_is_refused_whole_and_alone
    changes_to_one_stream_in_one_batch_follow_each_other
    births_given_with_a_change_stand_or_fall_with_it
    a_stream_is_born_but_once_also_when_nobody_remembers_it
    a_row_may_change_without_an_event
    streams_of_two_kinds_may_share_their_bits
    an_ended_task_keeps_its_status
    every_batch_with_events_is_one_link_of_the_commit_log
    large_data_comes_back_as_it_was
    a_blob_is_stored_once_and_resolved_in_its_event
    a_snapshot_spares_the_events_before_it
    a_unique_key_has_one_holder_until_it_runs_out
    a_unique_key_is_refused_within_a_batch_and_within_a_group
    what_ran_out_is_swept_and_the_rest_is_not
    a_counter_does_not_grow_beyond_its_limit
    a_counter_always_takes_back_and_never_falls_below_zero
    a_guard_sees_those_before_it_in_its_group
    an_epoch_that_has_moved_refuses
    mail_waits_in_order_until_it_is_taken
    mail_to_the_dead_and_the_unborn_is_dropped
    telemetry_keeps_the_latest_and_ends_with_its_task
    the_high_water_mark_never_falls
    erasing_takes_what_was_private_and_keeps_the_chain
    what_is_told_after_an_erasure_stays
    an_erasure_stands_or_falls_with_its_group
    what_has_not_ended_cannot_be_erased
    events_can_be_read_from_any_position_of_all_or_of_one_stream
    who_counts_sees_the_same_events_without_their_words
    lists_are_newest_first_and_every_filter_narrows_them
    streams_of_a_kind_come_in_order_of_birth
    it_is_known_when_a_stream_was_touched_and_who_was_born_before
    what_is_due_comes_earliest_first
    open_work_comes_best_first_and_a_cursor_walks_all_of_it
    counts_follow_the_tasks
    those_that_ask_people_come_longest_first_and_a_cursor_walks_all_of_them
}

/// A store, how to read it, and how to open it again.
struct Kit {
    store: Box<dyn Store>,
    reader: Arc<dyn Reader>,
    again: Box<dyn Fn() -> Box<dyn Store>>,
}

impl Kit {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::new(move || Box::new(open(&folder.path().join("data/ephor.db"), None).unwrap()))
    }

    fn memory() -> Self {
        let held = MemoryStore::new();
        Self::new(move || Box::new(held.crash()))
    }

    fn new(again: impl Fn() -> Box<dyn Store> + 'static) -> Self {
        let store = again();
        Self { reader: store.reader(), store, again: Box::new(again) }
    }

    fn open_again(self) -> Self {
        let Self { store, reader, again } = self;
        drop((store, reader));
        let store = again();
        Self { reader: store.reader(), store, again }
    }

    fn commit(&mut self, groups: impl Into<Vec<Group>>) -> Vec<Result<Written, Conflict>> {
        self.store.commit(groups.into(), NOW).unwrap()
    }

    /// Commits one group that stands.
    fn write(&mut self, group: Group) -> Written {
        self.commit([group]).remove(0).unwrap()
    }

    /// Commits one group that is refused, and proves that nothing of it was written.
    fn refused(&mut self, group: Group) -> Conflict {
        let before = self.everything();
        let conflict = self.commit([group]).remove(0).unwrap_err();
        assert_eq!(self.everything(), before);
        conflict
    }

    /// All that a refused group could have touched.
    fn everything(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let reader = &self.reader;
        let mail: Vec<_> = reader.mail_targets(9).unwrap().into_iter().map(|to| reader.mail(to, 9).unwrap()).collect();
        let events = reader.events(0, 1000, None).unwrap();
        (events, reader.list(&Filter::default(), 1000).unwrap(), mail, reader.counters().unwrap(), reader.commits(0, 99).unwrap())
    }

    fn texts(&self, stream: StreamId) -> Vec<String> {
        let events = self.reader.load(stream).unwrap().map_or(Vec::new(), |loaded| loaded.events);
        events.into_iter().map(|event| event.data.split('"').nth(3).unwrap().to_owned()).collect()
    }

    fn listed(&self, filter: Filter) -> Vec<i64> {
        self.reader.list(&filter, 100).unwrap().into_iter().map(|listed| listed.number).collect()
    }
}

fn an_empty_store_holds_nothing(kit: Kit) {
    let reader = &kit.reader;
    assert!(reader.load(task(1)).unwrap().is_none());
    assert_eq!(reader.head(task(1)).unwrap(), None);
    assert_eq!((reader.position().unwrap(), reader.high_water().unwrap(), reader.next_wake().unwrap()), (0, 0, None));
    assert_eq!(reader.events(0, 10, Some(task(1))).unwrap(), []);
    assert_eq!(reader.stream_events(task(1), 0, 10).unwrap(), []);
    assert_eq!(reader.mail(task(1), 10).unwrap(), []);
    assert_eq!(reader.blob("none").unwrap(), None);
    assert_eq!(reader.check().unwrap(), Vec::<String>::new());
    assert!(reader.about().unwrap().iter().any(|(name, _)| *name == "store"));
}

fn a_birth_can_be_read_back(mut kit: Kit) {
    let full = Row {
        namespace: "other".into(),
        status: Some(Status::Blocked),
        priority: -3,
        rank: 12,
        wake_at: Some(13),
        open: Some("write\nread\n".into()),
        created_at: 14,
        ended_at: Some(15),
        due_at: Some(16),
        title: "straße".into(),
        task_type: "REPORT".into(),
        external_id: Some("x-1".into()),
        source: Some("jira".into()),
        owner_id: Some("ann".into()),
        parent: Some(u128::MAX - 1),
        risk: Risk::Critical,
        owner_type: Some("AI".into()),
        subject_ref_type: Some("INVOICE".into()),
        subject_ref_id: Some("INV-1".into()),
        autonomy: Some(Autonomy::Assisted),
        archived: true,
        asks_since: Some(17),
    };
    let told = NewEvent { before: Some(Status::Pending), ..confided("born", PrivateBody::Inline(b"secret".to_vec())) };
    let change = Change { events: vec![told.clone()], row: Some(full.clone().into()), ..birth(1) };
    assert_eq!(kit.write(group([change])), Written { positions: vec![1] });

    let Loaded { head, row, snapshot, events } = kit.reader.load(task(1)).unwrap().unwrap();
    assert_eq!(head, Head { number: 1, version: 1, hash: told.hash });
    assert_eq!(kit.reader.head(task(1)).unwrap(), Some(head));
    assert_eq!((row, snapshot), (full, None));
    let NewEvent { at, kind, actor, before, after, schema, data, private, hash } = told;
    let (stream, kind) = (task(1), kind.into());
    let stored = StoredEvent { position: 1, stream, version: 1, at, kind, actor, before, after, schema, data, private, hash };
    assert_eq!(events, [stored]);
}

fn everything_written_is_there_after_opening_again(mut kit: Kit) {
    kit.write(Group { mail: vec![mail(2, 1, 1)], ..guarded(1, [counter("slots", 2, 5), unique("key", None, 1)]) });
    kit.store.save_high_water(77).unwrap();
    let before = kit.everything();

    let mut kit = kit.open_again();
    assert_eq!(kit.everything(), before);
    assert_eq!(kit.reader.high_water().unwrap(), 77);
    assert!(matches!(kit.refused(guarded(2, [counter("slots", 4, 5)])), Conflict::Counter { is: 2, .. }));
    assert!(matches!(kit.refused(guarded(2, [unique("key", None, 2)])), Conflict::Unique(_)));
    assert_eq!(kit.write(group([birth(2)])), Written { positions: vec![2] });
    assert_eq!(kit.reader.head(task(2)).unwrap().unwrap().number, 2);
    assert_eq!(kit.reader.commits(0, 9).unwrap().len(), 2);
}

fn positions_have_no_gap_and_follow_the_order_of_the_groups(mut kit: Kit) {
    kit.write(group([birth(1)]));
    let two = Change { row: Some(row(Status::Scheduled).into()), ..change(task(2), 0, &["a", "b"]) };
    let written = kit.commit([
        group([two, Change { events: vec![], row: None, ..change(task(1), 1, &[]) }, change(task(3), 0, &["c"])]),
        group([change(task(1), 9, &["refused"])]),
        group([change(task(1), 1, &["d"])]),
    ]);
    assert_eq!(written[0], Ok(Written { positions: vec![2, 0, 4] }));
    assert_eq!(written[1], Err(Conflict::Version { stream: task(1), is: 1 }));
    assert_eq!(written[2], Ok(Written { positions: vec![5] }));
    let positions: Vec<_> = kit.reader.events(0, 10, None).unwrap().iter().map(|event| event.position).collect();
    assert_eq!(positions, [1, 2, 3, 4, 5]);
    assert_eq!(kit.reader.position().unwrap(), 5);
}

fn a_group_at_another_version_is_refused_whole_and_alone(mut kit: Kit) {
    kit.write(group([birth(1)]));
    let guards = vec![counter("slots", 1, 9), unique("key", None, 2)];
    let stale = Group { guards, mail: vec![mail(2, 1, 1)], ..group([birth(2), change(task(1), 0, &["again"])]) };
    assert_eq!(kit.refused(stale.clone()), Conflict::Version { stream: task(1), is: 1 });
    assert_eq!(kit.refused(group([change(task(9), 3, &["of nobody"])])), Conflict::Version { stream: task(9), is: 0 });
    assert_eq!(kit.reader.unique("key", NOW).unwrap(), None);

    let answers = kit.commit([stale, group([birth(3)])]);
    assert!(answers[0].is_err() && answers[1].is_ok());
    assert_eq!(kit.texts(task(3)), ["born"]);
}

fn changes_to_one_stream_in_one_batch_follow_each_other(mut kit: Kit) {
    let answers = kit.commit([
        group([birth(1)]),
        group([change(task(1), 1, &["second", "third"])]),
        group([change(task(1), 1, &["late"])]),
        group([change(task(1), 3, &["fourth"])]),
    ]);
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true]);
    assert_eq!(kit.texts(task(1)), ["born", "second", "third", "fourth"]);
}

fn births_given_with_a_change_stand_or_fall_with_it(mut kit: Kit) {
    kit.write(group([birth(1)]));
    kit.refused(group([change(task(1), 7, &["parent"]), birth(2), birth(3)]));
    kit.write(group([change(task(1), 1, &["parent"]), birth(2), birth(3)]));
    assert_eq!(kit.listed(Filter::default()), [3, 2, 1]);
}

fn a_stream_is_born_but_once_also_when_nobody_remembers_it(mut kit: Kit) {
    kit.write(group([birth(1)]));
    kit.write(group([change(task(1), 1, &["second"])]));
    let mut kit = kit.open_again();
    let named = Group { guards: vec![unique("name", None, 1)], ..group([birth(1)]) };
    assert_eq!(kit.refused(named), Conflict::Version { stream: task(1), is: 2 });
    assert_eq!(kit.reader.unique("name", NOW).unwrap(), None);
    kit.write(group([birth(2)]));
    assert_eq!(kit.listed(Filter::default()), [2, 1]);
}

fn a_row_may_change_without_an_event(mut kit: Kit) {
    kit.write(group([birth(1)]));
    let later = Row { wake_at: Some(5), title: "renamed".into(), ..row(Status::Blocked) };
    let written = kit.write(group([Change { row: Some(later.clone().into()), ..change(task(1), 1, &[]) }]));
    assert_eq!(written, Written { positions: vec![0] });
    let loaded = kit.reader.load(task(1)).unwrap().unwrap();
    assert_eq!((loaded.row, loaded.head.version), (later, 1));
    assert_eq!(kit.reader.commits(0, 9).unwrap().len(), 1);
}

fn streams_of_two_kinds_may_share_their_bits(mut kit: Kit) {
    let agent = StreamId { kind: StreamKind::Agent, ..task(1) };
    kit.write(group([birth(1), change(agent, 0, &["registered"])]));
    assert_eq!((kit.texts(task(1)), kit.texts(agent)), (vec!["born".into()], vec!["registered".into()]));
}

fn an_ended_task_keeps_its_status(mut kit: Kit) {
    kit.write(group([birth(1)]));
    kit.write(group([end(1)]));
    let revived = Change { row: Some(row(Status::InProgress).into()), ..change(task(1), 2, &["revived"]) };
    assert_eq!(kit.refused(group([revived])), Conflict::Ended { stream: task(1), status: Status::Completed });
    let archived =
        Change { row: Some(Row { due_at: Some(1), ..row(Status::Completed) }.into()), ..change(task(1), 2, &["archived"]) };
    kit.write(group([archived]));
    assert_eq!(kit.texts(task(1)), ["born", "done", "archived"]);
}

fn every_batch_with_events_is_one_link_of_the_commit_log(mut kit: Kit) {
    kit.commit([group([birth(1)]), group([birth(2)])]);
    kit.commit([group([change(task(1), 9, &["refused"])])]);
    kit.commit([]);
    kit.write(group([end(1)]));
    let links = kit.reader.commits(0, 9).unwrap();
    assert_eq!(links.iter().map(|link| (link.first, link.last)).collect::<Vec<_>>(), [(1, 2), (3, 3)]);
    let mut previous = GENESIS;
    for link in &links {
        let events = kit.reader.events(link.first - 1, (link.last + 1 - link.first) as u32, None).unwrap();
        assert_eq!(link.root, commit_root(events.iter().map(|event| &event.hash)));
        assert_eq!(link.hash, commit_hash(&previous, link.first, link.last, &link.root));
        previous = link.hash;
    }
    assert_eq!(kit.reader.commits(1, 9).unwrap(), links[1..]);
}

fn large_data_comes_back_as_it_was(mut kit: Kit) {
    let large = format!("{{\"text\":\"{}\"}}", "long ".repeat(COMPRESS_ABOVE));
    let told = NewEvent { data: large.clone(), ..event("") };
    kit.write(group([Change { events: vec![told], ..birth(1) }]));
    assert_eq!(kit.reader.stream_events(task(1), 0, 1).unwrap()[0].data, large);
}

fn a_blob_is_stored_once_and_resolved_in_its_event(mut kit: Kit) {
    let told = confided("born", PrivateBody::Blob("key".into()));
    let blob = |body: &[u8]| vec![Blob { key: "key".into(), body: body.to_vec() }];
    kit.write(group([Change { events: vec![told], blobs: blob(b"large"), ..birth(1) }]));
    kit.write(group([Change { blobs: blob(b"other"), ..change(task(1), 1, &["again"]) }]));
    assert_eq!(kit.reader.blob("key").unwrap().unwrap(), b"large");
    let private = kit.reader.stream_events(task(1), 0, 1).unwrap()[0].private.clone().unwrap();
    assert_eq!((private.salt, private.body), ([7; 16], PrivateBody::Inline(b"large".to_vec())));
}

fn a_snapshot_spares_the_events_before_it(mut kit: Kit) {
    kit.write(group([birth(1)]));
    for (follows, body) in [(1, b"first"), (2, b"later")] {
        kit.write(group([Change { snapshot: Some(body.to_vec()), ..change(task(1), follows, &["more"]) }]));
    }
    kit.write(group([change(task(1), 3, &["after"])]));
    let loaded = kit.reader.load(task(1)).unwrap().unwrap();
    assert_eq!(loaded.snapshot, Some((3, b"later".to_vec())));
    assert_eq!((loaded.head.version, kit.texts(task(1))), (4, vec!["after".into()]));
}

fn a_unique_key_has_one_holder_until_it_runs_out(mut kit: Kit) {
    kit.write(guarded(1, [unique("idem", Some(NOW + 10), 1)]));
    let held = UniqueRow { key: "idem".into(), until: Some(NOW + 10), value: "answer 1".into(), stream: task(1) };
    assert_eq!(kit.refused(guarded(2, [unique("idem", None, 2)])), Conflict::Unique(held.clone()));
    let again = Group { guards: vec![unique("idem", None, 1)], ..group([change(task(1), 1, &["again"])]) };
    assert_eq!(kit.refused(again), Conflict::Unique(held.clone()));
    assert_eq!(kit.reader.unique("idem", NOW + 9).unwrap(), Some(held));
    assert_eq!(kit.reader.unique("idem", NOW + 10).unwrap(), None);

    let later = guarded(2, [unique("idem", None, 2)]);
    kit.store.commit(vec![later], NOW + 10).unwrap().remove(0).unwrap();
    assert_eq!(kit.reader.unique("idem", i64::MAX).unwrap().unwrap().stream, task(2));
}

fn a_unique_key_is_refused_within_a_batch_and_within_a_group(mut kit: Kit) {
    let answers = kit.commit([guarded(1, [unique("key", None, 1)]), guarded(2, [unique("key", None, 2)])]);
    assert!(answers[0].is_ok());
    assert!(matches!(&answers[1], Err(Conflict::Unique(row)) if row.stream == task(1)));
    let twice = kit.refused(guarded(3, [unique("other", None, 3), unique("other", None, 3)]));
    assert!(matches!(twice, Conflict::Unique(row) if row.key == "other"));
}

fn what_ran_out_is_swept_and_the_rest_is_not(mut kit: Kit) {
    let keys = [("a", Some(NOW + 1)), ("b", Some(NOW + 2)), ("c", Some(NOW + 3)), ("d", Some(NOW + 4)), ("e", None)];
    kit.write(guarded(1, keys.map(|(key, until)| unique(key, until, 1))));
    assert_eq!(kit.store.sweep(NOW + 3, 2).unwrap(), 2);
    assert_eq!(kit.store.sweep(NOW + 3, 2).unwrap(), 1);
    assert_eq!(kit.store.sweep(NOW + 3, 2).unwrap(), 0);
    let left = keys.map(|(key, _)| kit.reader.unique(key, NOW).unwrap().is_some());
    assert_eq!(left, [false, false, false, true, true]);
}

fn a_counter_does_not_grow_beyond_its_limit(mut kit: Kit) {
    let answers = kit.commit([1, 2, 3].map(|n| guarded(n, [counter("slots", 1, 2)])));
    assert_eq!(answers[2], Err(Conflict::Counter { key: "slots".into(), is: 2, max: 2 }));
    assert_eq!(kit.reader.counters().unwrap(), [("slots".into(), 2)]);
    kit.refused(guarded(3, [counter("other", 1, 9), counter("slots", 1, 2)]));
    kit.write(guarded(3, [counter("slots", 1, 3)]));
    assert_eq!(kit.reader.counters().unwrap(), [("slots".into(), 3)]);
}

fn a_counter_always_takes_back_and_never_falls_below_zero(mut kit: Kit) {
    kit.write(guarded(1, [counter("slots", 5, 5)]));
    kit.write(guarded(2, [counter("slots", -1, 2)]));
    assert_eq!(kit.reader.counters().unwrap(), [("slots".into(), 4)]);
    kit.write(guarded(3, [counter("slots", -9, 2)]));
    assert_eq!(kit.reader.counters().unwrap(), []);
    kit.write(guarded(4, [counter("slots", 2, 2)]));
    assert_eq!(kit.reader.counters().unwrap(), [("slots".into(), 2)]);
}

fn a_guard_sees_those_before_it_in_its_group(mut kit: Kit) {
    let twice = kit.refused(guarded(1, [counter("slots", 1, 1), counter("slots", 1, 1)]));
    assert_eq!(twice, Conflict::Counter { key: "slots".into(), is: 1, max: 1 });
    kit.write(guarded(1, [counter("slots", 1, 1), counter("slots", -1, 1), counter("slots", 1, 1), epoch("slots", 1)]));
    assert_eq!(kit.reader.counters().unwrap(), [("slots".into(), 1)]);
}

fn an_epoch_that_has_moved_refuses(mut kit: Kit) {
    let answers = kit.commit([
        guarded(1, [epoch("epoch:law", 0)]),
        guarded(2, [counter("epoch:law", 1, i64::MAX)]),
        guarded(3, [epoch("epoch:law", 0)]),
        guarded(4, [epoch("epoch:law", 1)]),
    ]);
    assert_eq!(answers[2], Err(Conflict::Epoch { key: "epoch:law".into(), is: 1 }));
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
}

fn mail_waits_in_order_until_it_is_taken(mut kit: Kit) {
    kit.write(group([birth(1), birth(2), birth(3)]));
    let letters = [mail(1, 3, 9), mail(1, 3, 2), mail(2, 3, 5), mail(1, 2, 7)];
    for (letter, follows) in letters.iter().zip(1..) {
        kit.write(Group { mail: vec![letter.clone(), letter.clone()], ..group([change(task(1), follows, &["sent"])]) });
    }
    assert_eq!(kit.reader.mail(task(3), 9).unwrap(), letters[..3]);
    assert_eq!(kit.reader.mail(task(3), 2).unwrap(), letters[..2]);
    assert_eq!(kit.reader.mail_targets(9).unwrap(), [task(2), task(3)]);
    assert_eq!(kit.reader.mail_targets(1).unwrap(), [task(2)]);

    kit.write(group([Change { mail_taken: vec![[9; 16], [5; 16], [7; 16]], ..change(task(3), 1, &["taken"]) }]));
    assert_eq!(kit.reader.mail(task(3), 9).unwrap(), letters[1..2]);
    assert_eq!(kit.reader.mail(task(2), 9).unwrap(), letters[3..], "what is another's is not taken");
}

fn mail_to_the_dead_and_the_unborn_is_dropped(mut kit: Kit) {
    kit.write(Group { mail: vec![mail(1, 2, 1), mail(1, 9, 2)], ..group([birth(1), birth(2)]) });
    assert_eq!(kit.reader.mail_targets(9).unwrap(), [task(2)], "who is born in the same group gets mail");
    kit.write(group([end(2)]));
    kit.write(Group { mail: vec![mail(1, 2, 3)], ..group([birth(3)]) });
    kit.write(Group { mail: vec![mail(1, 3, 4)], ..group([end(3)]) });
    assert_eq!(kit.reader.mail_targets(9).unwrap(), []);
}

fn telemetry_keeps_the_latest_and_ends_with_its_task(mut kit: Kit) {
    kit.write(group([birth(1), birth(2)]));
    let beat = |n, work: &str, counter| Telemetry {
        stream: task(n),
        work: work.into(),
        attempt: 1,
        counter,
        progress: Some(0.5),
        message: Some("half".into()),
        heard: 3,
        at: NOW,
    };
    kit.store.note(&[beat(1, "b", 1), beat(1, "a", 1), beat(2, "a", 1), beat(9, "a", 1), beat(1, "b", 2)]).unwrap();
    assert_eq!(kit.reader.telemetry(task(1)).unwrap(), [beat(1, "a", 1), beat(1, "b", 2)]);
    assert_eq!(kit.reader.telemetry(task(9)).unwrap(), []);
    kit.write(group([end(1)]));
    kit.store.note(&[beat(1, "a", 3)]).unwrap();
    assert_eq!(kit.reader.telemetry(task(1)).unwrap(), []);
    assert_eq!(kit.reader.telemetry(task(2)).unwrap(), [beat(2, "a", 1)]);
}

fn the_high_water_mark_never_falls(mut kit: Kit) {
    for at in [5, 9, 3] {
        kit.store.save_high_water(at).unwrap();
    }
    assert_eq!(kit.reader.high_water().unwrap(), 9);
}

fn erased(n: u64, version: u64, by: Change) -> Group {
    Group { erase: vec![Erasure { stream: task(n), version }], ..group([by]) }
}

fn erasing_takes_what_was_private_and_keeps_the_chain(mut kit: Kit) {
    let inline = confided("born", PrivateBody::Inline(b"secret".to_vec()));
    let large = confided("more", PrivateBody::Blob("key".into()));
    let blobs = vec![Blob { key: "key".into(), body: b"large secret".to_vec() }];
    let told = Change { events: vec![inline, large, event("open")], blobs, snapshot: Some(b"secret".to_vec()), ..birth(1) };
    kit.write(group([told]));
    kit.write(group([Change { follows: 3, ..end(1) }]));
    let untitled = Row { title: String::new(), ..row(Status::Completed) };
    kit.write(erased(1, 5, Change { row: Some(untitled.into()), ..change(task(1), 4, &["erased"]) }));

    let Loaded { row, snapshot, events, .. } = kit.reader.load(task(1)).unwrap().unwrap();
    assert_eq!((row.title.as_str(), snapshot, kit.reader.blob("key").unwrap()), ("", None, None));
    let left: Vec<_> = events.iter().map(|event| event.private.as_ref().map(|private| &private.body)).collect();
    assert_eq!(left, [Some(&PrivateBody::Erased), Some(&PrivateBody::Erased), None, None, None]);
    assert_eq!(events[1].private.as_ref().unwrap().digest, [1; 32], "what the chain covers stays");
    kit.write(group([change(task(1), 5, &["noted"])]));
}

fn what_is_told_after_an_erasure_stays(mut kit: Kit) {
    let before = confided("born", PrivateBody::Inline(b"secret".to_vec()));
    kit.write(group([Change { events: vec![before], ..birth(1) }]));
    let large = confided("note", PrivateBody::Blob("note".into()));
    let later = vec![event("erased"), confided("noted", PrivateBody::Inline(b"open".to_vec())), large];
    let blobs = vec![Blob { key: "note".into(), body: b"a long note".to_vec() }];
    kit.write(erased(1, 2, Change { events: later, blobs, ..end(1) }));
    let events = kit.reader.load(task(1)).unwrap().unwrap().events;
    let left: Vec<_> = events.iter().map(|event| event.private.as_ref().map(|private| private.body.clone())).collect();
    let inline = |text: &str| Some(PrivateBody::Inline(text.as_bytes().to_vec()));
    assert_eq!(left, [Some(PrivateBody::Erased), None, inline("open"), inline("a long note")]);
}

fn an_erasure_stands_or_falls_with_its_group(mut kit: Kit) {
    let told = confided("born", PrivateBody::Inline(b"secret".to_vec()));
    kit.write(group([Change { events: vec![told], ..birth(1) }]));
    kit.write(group([end(1)]));
    kit.write(guarded(2, [unique("taken", None, 2)]));
    let refused = Group { guards: vec![unique("taken", None, 1)], ..erased(1, 3, change(task(1), 2, &["erased"])) };
    assert!(matches!(kit.refused(refused), Conflict::Unique(_)));
    let Loaded { row, events, .. } = kit.reader.load(task(1)).unwrap().unwrap();
    assert_eq!((events.len(), row.title.as_str()), (2, "a task"));
    assert_eq!(events[0].private.as_ref().unwrap().body, PrivateBody::Inline(b"secret".to_vec()));
}

fn what_has_not_ended_cannot_be_erased(mut kit: Kit) {
    kit.write(group([birth(1)]));
    let alive = kit.refused(erased(1, 2, change(task(1), 1, &["erased"])));
    assert_eq!(alive, Conflict::Alive { stream: task(1) });
    let nobody = Group { erase: vec![Erasure { stream: task(9), version: 1 }], ..Group::default() };
    assert_eq!(kit.refused(nobody), Conflict::Alive { stream: task(9) });
    kit.write(group([change(task(1), 1, &["and goes on"])]));
}

fn events_can_be_read_from_any_position_of_all_or_of_one_stream(mut kit: Kit) {
    for version in 0..20 {
        kit.commit([1, 2, 3].map(|n| group([change(task(n), version, &["told"])])));
    }
    for after in 0..=60 {
        let all = kit.reader.events(after, 7, None).unwrap();
        assert_eq!(all.len() as u64, (60 - after).min(7));
        assert!(all.iter().zip(after + 1..).all(|(event, position)| event.position == position));
        let one = kit.reader.events(after, 100, Some(task(2))).unwrap();
        assert!(one.iter().all(|event| event.stream == task(2) && event.position > after));
        // The second stream has every position that leaves 2 when divided by 3.
        assert_eq!(one.len() as u64, 20 - (after + 1) / 3);
    }
    let versions = kit.reader.stream_events(task(3), 17, 2).unwrap();
    assert_eq!(versions.iter().map(|event| event.version).collect::<Vec<_>>(), [18, 19]);
}

fn who_counts_sees_the_same_events_without_their_words(mut kit: Kit) {
    kit.commit([1, 2].map(|n| group([birth(n)])));
    let secret = confided("told", PrivateBody::Inline(b"a secret".to_vec()));
    let long = NewEvent { kind: "PLANNED", data: format!("\"{}\"", "long ".repeat(5_000)), ..event("long") };
    kit.write(group([Change { events: vec![secret, long.clone()], ..change(task(1), 1, &[]) }]));
    let namespace = StreamId { kind: StreamKind::Namespace, ..task(9) };
    kit.write(group([Change { row: Some(Arc::new(Row::default())), ..change(namespace, 0, &["made"]) }]));
    let (events, row) = (kit.reader.events(0, 9, None).unwrap(), row(Status::Scheduled));
    for (wanted, told) in [([].as_slice(), false), (&[long.kind], true)] {
        let facts = kit.reader.facts(0, 9, wanted).unwrap();
        assert_eq!(facts.len(), events.len());
        for (fact, event) in facts.iter().zip(&events) {
            assert_eq!((fact.position, fact.stream, fact.at, &fact.kind), (event.position, event.stream, event.at, &event.kind));
            assert_eq!((fact.before, fact.after), (event.before, event.after));
            assert_eq!(fact.data, if told && event.kind == long.kind { event.data.clone() } else { String::new() });
            let known = if fact.stream == namespace { ("", "", 0) } else { (&*row.namespace, &*row.task_type, row.created_at) };
            assert_eq!((&*fact.namespace, &*fact.task_type, fact.created_at), known);
        }
    }
    assert_eq!(kit.reader.facts(2, 1, &[]).unwrap()[0].position, 3);
}

fn lists_are_newest_first_and_every_filter_narrows_them(mut kit: Kit) {
    let plain = || row(Status::Scheduled);
    let rows = [
        plain(),
        Row { status: Some(Status::Failed), ..plain() },
        Row { namespace: "other".into(), ..plain() },
        Row { task_type: "REPORT".into(), owner_id: Some("ann".into()), ..plain() },
        Row { status: Some(Status::Paused), parent: Some(7), due_at: Some(50), ..plain() },
        Row { external_id: Some("x".into()), source: Some("jira".into()), ..plain() },
        Row { status: Some(Status::Paused), due_at: Some(60), risk: Risk::High, ..plain() },
        Row { risk: Risk::Critical, ..plain() },
    ];
    for (row, n) in rows.into_iter().zip(1..) {
        kit.write(group([Change { row: Some(row.into()), ..birth(n) }]));
    }
    kit.write(group([change(StreamId::named(StreamKind::Agent, "a"), 0, &["no task"])]));

    const NONE: [i64; 0] = [];
    let all = Filter::default;
    assert_eq!(kit.listed(all()), [8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(kit.listed(Filter { live: true, ..all() }), [8, 7, 6, 5, 4, 3, 1]);
    assert_eq!(kit.listed(Filter { risks: vec![Risk::High], ..all() }), [7]);
    assert_eq!(kit.listed(Filter { risks: vec![Risk::Critical, Risk::Medium, Risk::High], ..all() }), [8, 7]);
    assert_eq!(kit.listed(Filter { risks: vec![Risk::Low, Risk::High], below: Some(8), ..all() }), [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(kit.listed(Filter { risks: vec![Risk::Low], statuses: vec![Status::Paused], ..all() }), [5]);
    assert_eq!(kit.listed(Filter { risks: vec![Risk::High], statuses: vec![Status::Scheduled], ..all() }), NONE);
    let one = |filter: &Filter| kit.reader.listed(task(7), filter).unwrap().map(|listed| listed.number);
    assert_eq!(one(&Filter { risks: vec![Risk::High], ..all() }), Some(7));
    assert_eq!(one(&Filter { below: Some(7), ..all() }), None);
    assert_eq!(kit.reader.listed(task(99), &all()).unwrap(), None);
    assert_eq!(kit.listed(Filter { statuses: vec![Status::Paused, Status::Failed], ..all() }), [7, 5, 2]);
    assert_eq!(kit.listed(Filter { statuses: vec![Status::Failed], live: true, ..all() }), NONE);
    assert_eq!(kit.listed(Filter { namespace: Some("other".into()), ..all() }), [3]);
    assert_eq!(kit.listed(Filter { task_type: Some("REPORT".into()), ..all() }), [4]);
    assert_eq!(kit.listed(Filter { owner_id: Some("ann".into()), ..all() }), [4]);
    assert_eq!(kit.listed(Filter { parent: Some(7), ..all() }), [5]);
    assert_eq!(kit.listed(Filter { external_id: Some("x".into()), ..all() }), [6]);
    assert_eq!(kit.listed(Filter { source: Some("jira".into()), ..all() }), [6]);
    assert_eq!(kit.listed(Filter { due_before: Some(60), ..all() }), [5]);
    // The oldest first, from one status and from several.
    let upwards = |statuses: Vec<Status>, above| Filter { statuses, above, oldest_first: true, ..all() };
    assert_eq!(kit.listed(upwards(vec![], Some(3))), [4, 5, 6, 7, 8]);
    assert_eq!(kit.listed(upwards(vec![Status::Paused, Status::Failed], None)), [2, 5, 7]);
    assert_eq!(kit.reader.list(&upwards(vec![Status::Paused, Status::Failed], Some(2)), 1).unwrap()[0].number, 5);
    // What was archived is left out, or is all there is.
    let archived = Row { status: Some(Status::Failed), archived: true, ..plain() };
    kit.write(group([Change { row: Some(archived.into()), ..change(task(2), 1, &["archived"]) }]));
    assert_eq!(kit.listed(Filter { archived: Some(false), ..all() }), [8, 7, 6, 5, 4, 3, 1]);
    assert_eq!(kit.listed(Filter { archived: Some(true), ..all() }), [2]);
    assert_eq!(kit.listed(Filter { due_after: Some(50), ..all() }), [7]);
    assert_eq!(kit.listed(Filter { below: Some(6), live: true, ..all() }), [5, 4, 3, 1]);
    assert_eq!(kit.listed(Filter { namespace: Some("other".into()), owner_id: Some("ann".into()), ..all() }), NONE);
    let page = kit.reader.list(&Filter { live: true, ..all() }, 2).unwrap();
    assert_eq!(page.iter().map(|listed| listed.stream).collect::<Vec<_>>(), [task(8), task(7)]);
}

fn it_is_known_when_a_stream_was_touched_and_who_was_born_before(mut kit: Kit) {
    let child = |n: u64, parent| Change { row: Some(Row { parent, ..row(Status::Scheduled) }.into()), ..birth(n) };
    for (n, parent) in [(1, None), (2, Some(7)), (3, Some(8)), (4, Some(7)), (5, Some(7))] {
        kit.write(group([child(n, parent)]));
    }
    let later = NewEvent { at: NOW + 5, ..event("later") };
    kit.write(group([Change { events: vec![later], ..change(task(2), 1, &[]) }]));
    let touched = |n| kit.reader.touched(task(n)).unwrap();
    assert_eq!((touched(1), touched(2), touched(9)), (Some(NOW), Some(NOW + 5), None));
    let before = |n| kit.reader.born_before(task(n)).unwrap();
    assert_eq!([1, 2, 3, 4, 5, 9].map(before), [None, Some(0), Some(0), Some(1), Some(2), None]);
}

fn streams_of_a_kind_come_in_order_of_birth(mut kit: Kit) {
    let agent = |name: &str| StreamId::named(StreamKind::Agent, name);
    for (name, n) in ["a", "b", "c"].into_iter().zip(1..) {
        kit.write(group([change(agent(name), 0, &["registered"]), birth(n)]));
    }
    let names = |kind, after, limit| -> Vec<_> {
        kit.reader.streams(kind, after, limit).unwrap().into_iter().map(|listed| (listed.number, listed.stream)).collect()
    };
    assert_eq!(names(StreamKind::Agent, 0, 2), [(1, agent("a")), (3, agent("b"))]);
    assert_eq!(names(StreamKind::Agent, 3, 9), [(5, agent("c"))]);
    assert_eq!(names(StreamKind::Task, 2, 9), [(4, task(2)), (6, task(3))]);
}

fn what_is_due_comes_earliest_first(mut kit: Kit) {
    let waking = |n, at| Change { row: Some(Row { wake_at: at, ..row(Status::Scheduled) }.into()), ..birth(n) };
    kit.write(group([waking(1, Some(30)), waking(2, Some(10)), waking(3, None), waking(4, Some(20)), waking(5, Some(10))]));
    assert_eq!(kit.reader.next_wake().unwrap(), Some(10));
    assert_eq!(kit.reader.due(20, 9).unwrap(), [task(2), task(5), task(4)]);
    assert_eq!(kit.reader.due(20, 1).unwrap(), [task(2)]);
    assert_eq!(kit.reader.due(9, 9).unwrap(), []);
    let woken = [2, 5].map(|n| Change { row: Some(row(Status::Scheduled).into()), ..change(task(n), 1, &[]) });
    kit.write(group(woken));
    assert_eq!(kit.reader.next_wake().unwrap(), Some(20));
}

fn open_work_comes_best_first_and_a_cursor_walks_all_of_it(mut kit: Kit) {
    let offering = |n: u64, open: Option<&str>| {
        let rank = (n / 2) as i64 % 5;
        Change { row: Some(Row { rank, open: open.map(Into::into), ..row(Status::Scheduled) }.into()), ..birth(n) }
    };
    kit.write(group((1..=24).map(|n| offering(n, (n % 7 != 0).then_some("step\n"))).collect::<Vec<_>>()));
    let whole = kit.reader.open_work(None, 99).unwrap();
    assert_eq!(whole.len(), 21);
    let order: Vec<_> = whole.iter().map(|work| (work.cursor.rank, work.cursor.number)).collect();
    assert!(order.is_sorted(), "{order:?}");
    for size in 1..=5 {
        let (mut walked, mut cursor) = (Vec::new(), None);
        while let [.., last] = &kit.reader.open_work(cursor, size).unwrap()[..] {
            walked.extend(kit.reader.open_work(cursor, size).unwrap());
            cursor = Some(last.cursor);
        }
        assert_eq!(walked, whole);
    }
    assert_eq!((whole[0].open.as_str(), whole[0].namespace.as_str()), ("step\n", "default"));
    for (place, work) in whole.iter().enumerate() {
        assert_eq!(kit.reader.ahead(work.cursor, "default", "step\n", 99).unwrap(), place as u64);
        assert_eq!(kit.reader.ahead(work.cursor, "other", "step\n", 99).unwrap(), 0);
    }
    assert_eq!(kit.reader.ahead(whole[20].cursor, "default", "step\n", 7).unwrap(), 7);

    let taken = Change { row: Some(row(Status::Assigned).into()), ..change(whole[0].stream, 1, &["claimed"]) };
    kit.write(group([taken]));
    assert_eq!(kit.reader.open_work(None, 99).unwrap(), whole[1..]);
}

fn counts_follow_the_tasks(mut kit: Kit) {
    kit.write(group([birth(1), birth(2), birth(3), change(StreamId::named(StreamKind::Agent, "a"), 0, &["no task"])]));
    kit.write(group([end(2)]));
    assert_eq!(kit.reader.counts(None).unwrap(), [(Status::Scheduled, 2), (Status::Completed, 1)]);
    let other = Row { namespace: "other".into(), ..row(Status::Scheduled) };
    kit.write(group([Change { row: Some(other.into()), ..birth(4) }]));
    assert_eq!(kit.reader.counts(Some("default")).unwrap(), [(Status::Scheduled, 2), (Status::Completed, 1)]);
    assert_eq!(kit.reader.counts(Some("other")).unwrap(), [(Status::Scheduled, 1)]);
    assert_eq!(kit.reader.counts(Some("nobody's")).unwrap(), []);
}

mod faults_of_memory {
    use super::*;
    use ephor_engine::store::memory::Fault;

    #[test]
    fn a_commit_without_space_writes_nothing_and_the_next_one_works() {
        let mut store = MemoryStore::new();
        store.plan(1, Fault::Full);
        assert!(matches!(store.commit(vec![group([birth(1)])], NOW), Err(StoreError::Full(_))));
        assert_eq!(store.reader().position().unwrap(), 0);
        assert!(store.commit(vec![group([birth(1)])], NOW).unwrap()[0].is_ok());
    }

    #[test]
    fn after_a_failure_only_the_next_process_knows_what_was_written() {
        for (fault, written) in [(Fault::FailBefore, 0), (Fault::FailAfter, 1)] {
            let mut store = MemoryStore::new();
            store.plan(store.commits_tried() + 1, fault);
            for _ in 0..2 {
                assert!(matches!(store.commit(vec![group([birth(1)])], NOW), Err(StoreError::Unavailable(_))));
            }
            let mut next = store.crash();
            assert_eq!(next.reader().position().unwrap(), written);
            assert_eq!(next.commit(vec![group([birth(1)])], NOW).unwrap()[0].is_ok(), fault == Fault::FailBefore);
            assert!(store.note(&[]).is_err(), "the process that failed writes no more");
        }
    }

    #[test]
    fn a_crash_loses_what_was_noted_since_the_last_commit() {
        let mut store = MemoryStore::new();
        let beat = |counter| Telemetry {
            stream: task(1),
            work: "a".into(),
            attempt: 1,
            counter,
            progress: None,
            message: None,
            heard: 3,
            at: NOW,
        };
        store.commit(vec![group([birth(1)])], NOW).unwrap();
        store.note(&[beat(1)]).unwrap();
        store.commit(vec![], NOW).unwrap();
        store.note(&[beat(2)]).unwrap();
        store.note(&[beat(3)]).unwrap();
        assert_eq!(store.crash().reader().telemetry(task(1)).unwrap(), [beat(1)]);
    }
}

fn those_that_ask_people_come_longest_first_and_a_cursor_walks_all_of_them(mut kit: Kit) {
    let asks = |n: u64, since: Option<i64>, namespace: &str| {
        let row = Row { asks_since: since, namespace: namespace.into(), ..row(Status::Blocked) };
        group([Change { row: Some(row.into()), ..birth(n) }])
    };
    let at = |n| Some(NOW + n);
    kit.commit([asks(1, at(5), "a"), asks(2, None, "a"), asks(3, at(1), "b"), asks(4, at(5), "a"), asks(5, at(3), "a")]);
    let found = |after, namespace, limit| {
        let found = kit.reader.asking(after, namespace, limit).unwrap();
        found.into_iter().map(|listed| (listed.number, listed.row.asks_since.unwrap() - NOW)).collect::<Vec<_>>()
    };
    assert_eq!(found(None, None, 9), [(3, 1), (5, 3), (1, 5), (4, 5)]);
    assert_eq!(found(None, Some("a"), 2), [(5, 3), (1, 5)]);
    let behind = |rank, number| Some(Cursor { rank: NOW + rank, number });
    assert_eq!(found(behind(3, 5), None, 1), [(1, 5)]);
    assert_eq!(found(behind(5, 1), None, 9), [(4, 5)]);
    assert_eq!(found(behind(1, 3), Some("b"), 9), []);
    // Who was answered asks no more.
    kit.write(group([Change { row: Some(row(Status::Scheduled).into()), ..change(task(5), 1, &["answered"]) }]));
    let left = kit.reader.asking(None, None, 9).unwrap();
    assert_eq!(left.iter().map(|listed| listed.number).collect::<Vec<_>>(), [3, 1, 4]);
}
