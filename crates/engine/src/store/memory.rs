//! A store in memory: deterministic, fast, and able to fail where a disk would. For simulations and tests, and for trying things out.

use super::check::{Counters, Facts, Standing, Stop, check};
use super::*;
use crate::codec::{self, GENESIS};
use ephor_core::id::StreamKind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// A store in memory. Clones share what it holds, so that a clone kept aside survives the process that a simulation ends.
#[derive(Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    /// Which process this handle belongs to. Those of processes that have crashed write no more.
    process: u64,
}

/// How a commit goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written, and nobody is told whether it was.
    FailBefore,
    /// Everything is written, and nobody is told whether it was.
    FailAfter,
    /// There is no space: nothing is written, and that is said.
    Full,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a commit go wrong, counted from the first one ever, which is 1.
    pub fn plan(&self, commit: u64, fault: Fault) {
        self.state().faults.insert(commit, fault);
    }

    /// Lets the next reads of streams, lists, keys, mail and open work find the store locked by another program, or no longer.
    pub fn keep_locked(&self, locked: bool) {
        self.state().locked = locked;
    }

    /// How many commits have been tried.
    pub fn commits_tried(&self) -> u64 {
        self.state().commits_tried
    }

    /// The index row of a stream.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn row(&self, stream: StreamId) -> Option<Row> {
        let state = self.state();
        state.number(stream).map(|number| state.stream(number).row.clone())
    }

    /// Whether a commit found no space since this was last asked.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn was_full(&self) -> bool {
        std::mem::take(&mut self.state().was_full)
    }

    /// Ends the process that writes. What was committed stays; telemetry noted since the last commit is lost; handles to this store
    /// write no more. Answers the handle of the next process.
    pub fn crash(&self) -> Self {
        let mut state = self.state();
        state.process += 1;
        state.stopped = false;
        for (key, before) in std::mem::take(&mut state.unsaved) {
            match before {
                Some(beat) => state.telemetry.insert(key, beat),
                None => state.telemetry.remove(&key),
            };
        }
        Self { state: self.state.clone(), process: state.process }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The state, if this handle may still write.
    fn writable(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state();
        match state.stopped || state.process != self.process {
            true => Err(StoreError::Unavailable("stopped after an earlier failure".into())),
            false => Ok(state),
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("a panic while the state changes is a bug of the store")
}

/// The state, for those who may find it locked by another program.
fn readable(state: &Mutex<State>) -> Result<MutexGuard<'_, State>, StoreError> {
    let state = lock(state);
    match state.locked {
        true => Err(StoreError::Busy("it is locked, as planned".into())),
        false => Ok(state),
    }
}

impl Store for MemoryStore {
    fn commit(&mut self, groups: Vec<Group>, at: i64) -> Result<Vec<Result<Written, Conflict>>, StoreError> {
        let mut state = self.writable()?;
        state.commits_tried += 1;
        let call = state.commits_tried;
        let fault = state.faults.remove(&call);
        let unknown = || StoreError::Unavailable(format!("commit {call} failed as planned"));
        match fault {
            Some(Fault::Full) => {
                state.was_full = true;
                return Err(StoreError::Full(format!("commit {call} found no space as planned")));
            }
            Some(Fault::FailBefore) => {
                state.stopped = true;
                return Err(unknown());
            }
            Some(Fault::FailAfter) | None => {}
        }
        let first = state.events.len();
        let answers = groups.into_iter().map(|group| state.take(group, at)).collect();
        state.chain(first, at);
        state.unsaved.clear();
        if fault == Some(Fault::FailAfter) {
            state.stopped = true;
            return Err(unknown());
        }
        Ok(answers)
    }

    fn note(&mut self, beats: &[Telemetry]) -> Result<(), StoreError> {
        let mut state = self.writable()?;
        for beat in beats {
            if let Some(number) = state.number(beat.stream).filter(|number| !state.stream(*number).has_ended()) {
                let key = (number, beat.work.clone());
                let before = state.telemetry.insert(key.clone(), beat.clone());
                state.unsaved.entry(key).or_insert(before);
            }
        }
        Ok(())
    }

    fn save_high_water(&mut self, at: i64) -> Result<(), StoreError> {
        let mut state = self.writable()?;
        state.high_water = state.high_water.max(at);
        Ok(())
    }

    fn sweep(&mut self, at: i64, limit: u32) -> Result<u32, StoreError> {
        let mut state = self.writable()?;
        let mut over: Vec<_> = state.uniques.values().filter_map(|row| Some((row.until?, row.key.clone()))).collect();
        over.retain(|(until, _)| *until <= at);
        over.sort_unstable();
        over.truncate(limit as usize);
        for (_, key) in &over {
            state.uniques.remove(key);
        }
        Ok(u32::try_from(over.len()).expect("no more than the limit"))
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(MemoryReader(self.state.clone()))
    }
}

/// Everything there is. Streams are numbered from 1, in order of birth, and events likewise.
#[derive(Default)]
struct State {
    streams: Vec<Stream>,
    numbers: BTreeMap<StreamId, i64>,
    events: Vec<StoredEvent>,
    commits: Vec<CommitEntry>,
    uniques: BTreeMap<String, UniqueRow>,
    counters: BTreeMap<String, i64>,
    blobs: BTreeMap<String, (i64, Vec<u8>)>,
    high_water: i64,

    /// Mail by target, in the order it was sent.
    mail: BTreeMap<(i64, u64), MailRow>,
    mail_sent: u64,

    telemetry: BTreeMap<(i64, String), Telemetry>,
    /// What telemetry was before the notes that a crash would lose.
    unsaved: BTreeMap<(i64, String), Option<Telemetry>>,

    /// By `wake_at` and number.
    due: BTreeSet<(i64, i64)>,
    /// By priority, rank and number.
    open: BTreeSet<(i64, i64)>,
    /// Those that ask something of people, by since when and number.
    asking: BTreeSet<(i64, i64)>,
    /// How many tasks there are in each status.
    counts: BTreeMap<Status, u64>,

    process: u64,
    stopped: bool,
    /// Whether another program keeps it locked to those who read.
    locked: bool,
    commits_tried: u64,
    was_full: bool,
    faults: BTreeMap<u64, Fault>,
}

struct Stream {
    id: StreamId,
    row: Row,
    /// The positions of its events.
    positions: Vec<u64>,
    snapshot: Option<(u64, Vec<u8>)>,
}

impl Stream {
    fn version(&self) -> u64 {
        self.positions.len() as u64
    }

    fn has_ended(&self) -> bool {
        self.row.status.is_some_and(Status::is_final)
    }
}

/// The place in a list of what is numbered from 1.
fn place(number: u64) -> usize {
    usize::try_from(number - 1).expect("what is in memory can be counted")
}

impl State {
    fn number(&self, stream: StreamId) -> Option<i64> {
        self.numbers.get(&stream).copied()
    }

    fn stream(&self, number: i64) -> &Stream {
        &self.streams[place(number.unsigned_abs())]
    }

    fn stream_mut(&mut self, number: i64) -> &mut Stream {
        &mut self.streams[place(number.unsigned_abs())]
    }

    fn take(&mut self, group: Group, at: i64) -> Result<Written, Conflict> {
        match check(&group, at, self) {
            Ok(counters) => Ok(self.write(group, counters)),
            Err(Stop::Refused(conflict)) => Err(conflict),
            Err(Stop::Failed(error)) => unreachable!("memory does not fail: {error}"),
        }
    }

    fn write(&mut self, group: Group, counters: Counters) -> Written {
        let positions = group.changes.into_iter().map(|change| self.change(change)).collect();
        for guard in group.guards {
            if let Guard::Unique { key, until, value, stream } = guard {
                self.uniques.insert(key.clone(), UniqueRow { key, until, value, stream });
            }
        }
        for (key, value) in counters {
            match value {
                0 => self.counters.remove(&key),
                _ => self.counters.insert(key, value),
            };
        }
        for mail in group.mail {
            self.send(mail);
        }
        for erasure in group.erase {
            self.erase(erasure);
        }
        Written { positions }
    }

    fn change(&mut self, change: Change) -> u64 {
        let number = self.number(change.stream).unwrap_or_else(|| self.birth(change.stream));
        if let Some(row) = change.row {
            self.index(number, Arc::unwrap_or_clone(row));
        }
        let first = if change.events.is_empty() { 0 } else { self.events.len() as u64 + 1 };
        for event in change.events {
            self.append(number, event);
        }
        let taken = |mail: &MailRow| change.mail_taken.contains(&mail.id);
        if !change.mail_taken.is_empty() {
            let keys: Vec<_> = self.mail_of(number).filter(|(_, mail)| taken(mail)).map(|(key, _)| *key).collect();
            keys.iter().for_each(|key| drop(self.mail.remove(key)));
        }
        for Blob { key, body } in change.blobs {
            self.blobs.entry(key).or_insert((number, body));
        }
        if let Some(body) = change.snapshot {
            let stream = self.stream_mut(number);
            stream.snapshot = Some((stream.version(), body));
        }
        first
    }

    fn birth(&mut self, id: StreamId) -> i64 {
        self.streams.push(Stream { id, row: Row::default(), positions: Vec::new(), snapshot: None });
        let number = i64::try_from(self.streams.len()).expect("what is in memory can be counted");
        self.numbers.insert(id, number);
        number
    }

    /// Puts a row in the place of the one before, in every index too.
    fn index(&mut self, number: i64, row: Row) {
        let had_ended = self.stream(number).has_ended();
        let before = std::mem::replace(&mut self.stream_mut(number).row, row);
        let Row { wake_at, ref open, rank, status, asks_since, .. } = before;
        asks_since.map(|at| self.asking.remove(&(at, number)));
        wake_at.map(|at| self.due.remove(&(at, number)));
        open.as_ref().map(|_| self.open.remove(&(rank, number)));
        status.and_then(|status| self.counts.get_mut(&status)).into_iter().for_each(|count| *count -= 1);

        let Row { wake_at, ref open, rank, status, asks_since, .. } = self.streams[place(number.unsigned_abs())].row;
        asks_since.map(|at| self.asking.insert((at, number)));
        wake_at.map(|at| self.due.insert((at, number)));
        open.as_ref().map(|_| self.open.insert((rank, number)));
        status.into_iter().for_each(|status| *self.counts.entry(status).or_default() += 1);

        if self.stream(number).has_ended() && !had_ended {
            self.forget(number);
        }
    }

    /// Who has ended gets no more mail and shows no more signs of life.
    fn forget(&mut self, number: i64) {
        self.mail.retain(|(target, _), _| *target != number);
        self.telemetry.retain(|(stream, _), _| *stream != number);
    }

    fn append(&mut self, number: i64, event: NewEvent) {
        let NewEvent { at, kind, actor, before, after, schema, data, private, hash } = event;
        let position = self.events.len() as u64 + 1;
        let stream = self.stream_mut(number);
        stream.positions.push(position);
        let (stream, version, kind) = (stream.id, stream.version(), kind.into());
        self.events.push(StoredEvent { position, stream, version, at, kind, actor, before, after, schema, data, private, hash });
    }

    fn send(&mut self, mail: MailRow) {
        let Some(target) = self.number(mail.target).filter(|number| !self.stream(*number).has_ended()) else { return };
        if self.mail_of(target).all(|(_, waiting)| waiting.id != mail.id) {
            self.mail_sent += 1;
            self.mail.insert((target, self.mail_sent), mail);
        }
    }

    fn mail_of(&self, target: i64) -> impl Iterator<Item = (&(i64, u64), &MailRow)> {
        self.mail.range((target, 0)..=(target, u64::MAX))
    }

    /// Enters what a batch wrote, from the first of its events, in the commit log.
    fn chain(&mut self, first: usize, at: i64) {
        let written = &self.events[first..];
        if let [head, .., last] | [head @ last] = written {
            let (first, last) = (head.position, last.position);
            let root = codec::commit_root(written.iter().map(|event| &event.hash));
            let previous = self.commits.last().map_or(GENESIS, |commit| commit.hash);
            let hash = codec::commit_hash(&previous, first, last, &root);
            self.commits.push(CommitEntry { first, last, at, root, hash });
        }
    }

    fn erase(&mut self, Erasure { stream, version }: Erasure) {
        let Some(number) = self.number(stream) else { return };
        let stream = self.stream_mut(number);
        stream.row.title.clear();
        stream.snapshot = None;
        for position in stream.positions.iter().take(usize::try_from(version).unwrap_or(usize::MAX)).copied().collect::<Vec<_>>()
        {
            if let Some(private) = &mut self.events[place(position)].private {
                let body = std::mem::replace(&mut private.body, PrivateBody::Erased);
                private.salt = [0; 16];
                if let PrivateBody::Blob(key) = body {
                    self.blobs.remove(&key);
                }
            }
        }
        self.forget(number);
    }

    /// An event as a reader sees it.
    fn read(&self, position: u64) -> StoredEvent {
        let mut event = self.events[place(position)].clone();
        if let Some(PrivatePart { body, .. }) = &mut event.private
            && let PrivateBody::Blob(key) = body
        {
            *body = self.blobs.get(key).map_or(PrivateBody::Erased, |(_, bytes)| PrivateBody::Inline(bytes.clone()));
        }
        event
    }

    fn events_of(&self, number: i64, from: usize, limit: u32) -> Vec<StoredEvent> {
        let positions = self.stream(number).positions.iter().skip(from).take(limit as usize);
        positions.map(|position| self.read(*position)).collect()
    }

    fn head(&self, number: i64) -> Head {
        let stream = self.stream(number);
        let hash = stream.positions.last().map_or(GENESIS, |position| self.events[place(*position)].hash);
        Head { number, version: stream.version(), hash }
    }

    fn listed(&self) -> impl DoubleEndedIterator<Item = (i64, &Stream)> {
        self.streams.iter().enumerate().map(|(i, stream)| (i as i64 + 1, stream))
    }
}

impl Facts for State {
    fn standing(&mut self, stream: StreamId) -> Result<Option<Standing>, StoreError> {
        let found = self.number(stream).map(|number| self.stream(number));
        Ok(found.map(|stream| Standing { version: stream.version(), status: stream.row.status }))
    }

    fn counter(&self, key: &str) -> i64 {
        self.counters.get(key).copied().unwrap_or(0)
    }

    fn holder(&mut self, key: &str, at: i64) -> Result<Option<UniqueRow>, StoreError> {
        Ok(self.uniques.get(key).filter(|row| row.until.is_none_or(|until| until > at)).cloned())
    }
}

struct MemoryReader(Arc<Mutex<State>>);

impl Reader for MemoryReader {
    fn load(&self, stream: StreamId) -> Result<Option<Loaded>, StoreError> {
        let state = readable(&self.0)?;
        Ok(state.number(stream).map(|number| {
            let Stream { row, snapshot, .. } = state.stream(number);
            let seen = snapshot.as_ref().map_or(0, |(version, _)| *version as usize);
            let events = state.events_of(number, seen, u32::MAX);
            Loaded { head: state.head(number), row: row.clone(), snapshot: snapshot.clone(), events }
        }))
    }

    fn snapshot(&self, stream: StreamId) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let state = lock(&self.0);
        Ok(state.number(stream).and_then(|number| state.stream(number).snapshot.clone()))
    }

    fn head(&self, stream: StreamId) -> Result<Option<Head>, StoreError> {
        let state = lock(&self.0);
        Ok(state.number(stream).map(|number| state.head(number)))
    }

    fn status(&self, stream: StreamId) -> Result<Option<Status>, StoreError> {
        let state = lock(&self.0);
        Ok(state.number(stream).and_then(|number| state.stream(number).row.status))
    }

    fn position(&self) -> Result<u64, StoreError> {
        Ok(lock(&self.0).events.len() as u64)
    }

    fn events(&self, after: u64, limit: u32, stream: Option<StreamId>) -> Result<Vec<StoredEvent>, StoreError> {
        let state = lock(&self.0);
        let Some(stream) = stream else {
            return Ok((after + 1..=state.events.len() as u64)
                .take(limit as usize)
                .map(|position| state.read(position))
                .collect());
        };
        let Some(number) = state.number(stream) else { return Ok(Vec::new()) };
        let seen = state.stream(number).positions.partition_point(|position| *position <= after);
        Ok(state.events_of(number, seen, limit))
    }

    fn stream_events(&self, stream: StreamId, after_version: u64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        let state = lock(&self.0);
        let number = state.number(stream);
        Ok(number.map_or(Vec::new(), |number| state.events_of(number, after_version as usize, limit)))
    }

    fn listed(&self, task: StreamId, filter: &Filter) -> Result<Option<Listed>, StoreError> {
        let state = lock(&self.0);
        let found = state.number(task).map(|number| (number, state.stream(number)));
        Ok(found.filter(|(number, stream)| filter.matches(stream.id, *number, &stream.row)).map(listed))
    }

    fn touched(&self, stream: StreamId) -> Result<Option<i64>, StoreError> {
        let state = lock(&self.0);
        let last = state.number(stream).and_then(|number| state.stream(number).positions.last().copied());
        Ok(last.map(|position| state.read(position).at))
    }

    fn born_before(&self, task: StreamId) -> Result<Option<u64>, StoreError> {
        let state = lock(&self.0);
        let Some(number) = state.number(task) else { return Ok(None) };
        let Some(parent) = state.stream(number).row.parent else { return Ok(None) };
        let older = state.listed().filter(|(other, stream)| *other < number && stream.row.parent == Some(parent));
        Ok(Some(older.count() as u64))
    }

    fn list(&self, filter: &Filter, limit: u32) -> Result<Vec<Listed>, StoreError> {
        let state = readable(&self.0)?;
        let matches = |(number, stream): &(i64, &Stream)| filter.matches(stream.id, *number, &stream.row);
        Ok(match filter.oldest_first {
            true => state.listed().filter(matches).take(limit as usize).map(listed).collect(),
            false => state.listed().rev().filter(matches).take(limit as usize).map(listed).collect(),
        })
    }

    fn streams(&self, kind: StreamKind, after: i64, limit: u32) -> Result<Vec<Listed>, StoreError> {
        let state = lock(&self.0);
        let matching = state.listed().filter(|(number, stream)| *number > after && stream.id.kind == kind);
        Ok(matching.take(limit as usize).map(listed).collect())
    }

    fn due(&self, at: i64, limit: u32) -> Result<Vec<StreamId>, StoreError> {
        let state = lock(&self.0);
        let due = state.due.range(..=(at, i64::MAX)).take(limit as usize);
        Ok(due.map(|(_, number)| state.stream(*number).id).collect())
    }

    fn next_wake(&self) -> Result<Option<i64>, StoreError> {
        Ok(lock(&self.0).due.first().map(|(at, _)| *at))
    }

    fn open_work(&self, after: Option<Cursor>, limit: u32) -> Result<Vec<OpenWork>, StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let state = readable(&self.0)?;
        let from = after.map_or(Unbounded, |c| Excluded((c.rank, c.number)));
        let work = state.open.range((from, Unbounded)).take(limit as usize).map(|(rank, number)| {
            let Stream { id, row, .. } = state.stream(*number);
            OpenWork {
                stream: *id,
                cursor: Cursor { rank: *rank, number: *number },
                open: row.open.clone().expect("only rows with open work are in its index"),
                namespace: row.namespace.clone(),
                task_type: row.task_type.clone(),
            }
        });
        Ok(work.collect())
    }

    fn asking(&self, after: Option<Cursor>, namespace: Option<&str>, limit: u32) -> Result<Vec<Listed>, StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let state = lock(&self.0);
        let from = after.map_or(Unbounded, |c| Excluded((c.rank, c.number)));
        let all = state.asking.range((from, Unbounded)).map(|(_, number)| (*number, state.stream(*number)));
        let wanted = all.filter(|(_, stream)| namespace.is_none_or(|name| stream.row.namespace == name));
        let listed = |(number, stream): (i64, &Stream)| Listed { stream: stream.id, number, row: stream.row.clone() };
        Ok(wanted.take(limit as usize).map(listed).collect())
    }

    fn ahead(&self, of: Cursor, namespace: &str, open: &str, most: u32) -> Result<u64, StoreError> {
        let state = lock(&self.0);
        let before = state.open.range(..(of.rank, of.number)).map(|(_, number)| &state.stream(*number).row);
        let alike = before.filter(|row| row.namespace == namespace && row.open.as_deref() == Some(open));
        Ok(alike.take(most as usize).count() as u64)
    }

    fn counts(&self, namespace: Option<&str>) -> Result<Vec<(Status, u64)>, StoreError> {
        let state = lock(&self.0);
        if let Some(namespace) = namespace {
            let mut counts = std::collections::BTreeMap::new();
            let own =
                state.listed().filter(|(_, stream)| stream.id.kind == StreamKind::Task && stream.row.namespace == namespace);
            own.filter_map(|(_, stream)| stream.row.status).for_each(|status| *counts.entry(status).or_default() += 1);
            return Ok(counts.into_iter().collect());
        }
        Ok(state.counts.iter().filter(|(_, count)| **count > 0).map(|(status, count)| (*status, *count)).collect())
    }

    fn unique(&self, key: &str, at: i64) -> Result<Option<UniqueRow>, StoreError> {
        readable(&self.0)?.holder(key, at)
    }

    fn counters(&self) -> Result<Vec<(String, i64)>, StoreError> {
        Ok(lock(&self.0).counters.iter().map(|(key, value)| (key.clone(), *value)).collect())
    }

    fn mail(&self, target: StreamId, limit: u32) -> Result<Vec<MailRow>, StoreError> {
        let state = readable(&self.0)?;
        let Some(number) = state.number(target) else { return Ok(Vec::new()) };
        Ok(state.mail_of(number).take(limit as usize).map(|(_, mail)| mail.clone()).collect())
    }

    fn mail_targets(&self, limit: u32) -> Result<Vec<StreamId>, StoreError> {
        let state = readable(&self.0)?;
        let targets: BTreeSet<_> = state.mail.keys().map(|(target, _)| *target).collect();
        Ok(targets.into_iter().take(limit as usize).map(|number| state.stream(number).id).collect())
    }

    fn blob(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(lock(&self.0).blobs.get(key).map(|(_, body)| body.clone()))
    }

    fn telemetry(&self, stream: StreamId) -> Result<Vec<Telemetry>, StoreError> {
        let state = lock(&self.0);
        let Some(number) = state.number(stream) else { return Ok(Vec::new()) };
        let beats = state.telemetry.range((number, String::new())..(number + 1, String::new()));
        Ok(beats.map(|(_, beat)| beat.clone()).collect())
    }

    fn commits(&self, after: u64, limit: u32) -> Result<Vec<CommitEntry>, StoreError> {
        let state = lock(&self.0);
        Ok(state.commits.iter().filter(|commit| commit.first > after).take(limit as usize).cloned().collect())
    }

    fn high_water(&self) -> Result<i64, StoreError> {
        Ok(lock(&self.0).high_water)
    }

    fn about(&self) -> Result<Vec<(&'static str, String)>, StoreError> {
        Ok(vec![("store", "memory".into()), ("synchronous", "nothing is kept".into())])
    }

    fn check(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

fn listed((number, stream): (i64, &Stream)) -> Listed {
    Listed { stream: stream.id, number, row: stream.row.clone() }
}
