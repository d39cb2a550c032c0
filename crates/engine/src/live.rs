//! A live task in memory: decoded, with the hash its next event follows, and how it is written back.

use crate::codec::{self, GENESIS, Hashed};
use crate::store::{Loaded, NewEvent, PrivateBody, PrivatePart, Reader, Row, StoreError, StoredEvent};
use ephor_core::command::Move;
use ephor_core::event::{self, ActorKind, Private, SCHEMA};
use ephor_core::id::{StreamId, TaskId};
use ephor_core::planted::{self, Fault};
use ephor_core::review::Judge;
use ephor_core::spec::Autonomy;
use ephor_core::task::Task;
use ephor_core::time::Time;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A decoded task and where its chain stands.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) task: Task,
    /// The hash of its last event.
    pub(crate) hash: [u8; 32],
    /// Its index row as the store has it; `None` before birth.
    pub(crate) row: Option<Arc<Row>>,
    /// Who submitted it, and so does not judge it.
    author: Box<str>,
    /// Other people who wrote its plan or its words: they are its authors too.
    hands: BTreeSet<Box<str>>,
    /// The version of its last snapshot; 0 where it has none.
    snapshot_at: u64,
}

/// A stream gets a snapshot after so many events, and again after as many. A larger plan waits for twice as many events as it has
/// steps: so writing it whole never costs more than a few bytes for each event.
pub(crate) const SNAPSHOT_EVERY: u64 = 1_000;
/// The form of a snapshot: the release that wrote it. Others read the events instead.
const SNAPSHOT_FORM: &str = concat!(env!("CARGO_PKG_VERSION"), "/7");

/// About as much room as most events take: to grow into it bit by bit would cost more.
const USUAL_BYTES: usize = 384;

impl Live {
    pub(crate) fn unborn(id: TaskId) -> Self {
        Self::of(Task::unborn(id))
    }

    /// A task as the store holds it now; `None` when there is no such stream.
    pub(crate) fn recall(reader: &dyn Reader, id: TaskId) -> Result<Option<Self>, StoreError> {
        let Some(mut loaded) = reader.load(id.into())? else { return Ok(None) };
        if loaded.snapshot.as_ref().is_some_and(|(version, body)| Self::thaw(*version, body).is_none()) {
            // Of another release, or damaged: the events are read from the first one on.
            loaded.snapshot = None;
            loaded.events = reader.stream_events(id.into(), 0, u32::MAX)?;
        }
        Self::replay(id, &loaded).map(Some)
    }

    /// Rebuilds a task from what the store holds: a snapshot this release can read, if there is one, and the events after it. Without
    /// a snapshot in `loaded` the events have to be all there are.
    pub(crate) fn replay(id: TaskId, loaded: &Loaded) -> Result<Self, StoreError> {
        let mut live =
            loaded.snapshot.as_ref().and_then(|(version, body)| Self::thaw(*version, body)).unwrap_or_else(|| Self::unborn(id));
        live.hash = loaded.head.hash;
        live.row = Some(Arc::new(loaded.row.clone()));
        let hidden = usize::from(loaded.snapshot.is_some() && planted::is(Fault::SnapshotStale));
        for stored in loaded.events.iter().skip(hidden) {
            let (event, private) = decode(stored)?;
            live.task.take_in(&event, private.as_ref(), Time(stored.at));
            let (kind, who) = stored.actor.split_once('/').unwrap_or_default();
            live.note_author(&event, kind == ActorKind::Human.word(), who);
        }
        Ok(live)
    }

    /// The whole as a snapshot, if it is time for one. Disposable: the events alone say what is true.
    pub(crate) fn freeze(&mut self, every: u64) -> Option<Vec<u8>> {
        let every = every.max(2 * self.task.size() as u64);
        if self.task.version < self.snapshot_at + every || self.task.end().is_some() {
            return None;
        }
        let body = rmp_serde::to_vec_named(&(SNAPSHOT_FORM, &self.author, &self.hands, &self.task)).ok()?;
        self.snapshot_at = self.task.version;
        Some(body)
    }

    /// A snapshot read back; `None` when another release wrote it or it does not say what it should.
    pub(crate) fn thaw(version: u64, body: &[u8]) -> Option<Self> {
        let (form, author, hands, task): (String, Box<str>, BTreeSet<Box<str>>, Task) = rmp_serde::from_slice(body).ok()?;
        if form != SNAPSHOT_FORM || task.version != version {
            return None;
        }
        Some(Self { author, hands, snapshot_at: version, ..Self::of(task) })
    }

    fn of(task: Task) -> Self {
        Self { hash: GENESIS, row: None, author: "".into(), hands: BTreeSet::new(), snapshot_at: 0, task }
    }

    /// Notes whose task it is: of one that another gave birth to, whose that one is. What a person planned or put into other words is
    /// theirs too.
    fn note_author(&mut self, event: &event::Event, human: bool, actor: &str) {
        let wrote = match event {
            event::Event::Submitted(facts) => {
                self.author = facts.author.clone().unwrap_or_else(|| actor.into());
                return;
            }
            event::Event::Planned(planned) => planned.work.is_none(),
            event::Event::Modified(modified) => modified.text,
            _ => false,
        };
        if wrote && human && *self.author != *actor && !self.hands.contains(actor) {
            self.hands.insert(actor.into());
        }
    }

    /// Whether somebody is among its authors.
    pub(crate) fn is_own(&self, actor: &str) -> bool {
        *self.author == *actor || self.hands.contains(actor)
    }

    /// Whose task it is.
    pub(crate) fn author(&self) -> &str {
        &self.author
    }

    /// Of those who may vote at all, those who did not submit this task (DESIGN §4); who did some of it the task knows itself.
    /// `author` is who submits it just now, if somebody does.
    pub(crate) fn impartial(&self, judges: &[Judge], author: Option<&str>) -> Vec<Judge> {
        let own = author.unwrap_or(&self.author);
        let wrote = |judge: &&Judge| *judge.id == *own || self.hands.contains(&judge.id);
        judges.iter().filter(|judge| !wrote(judge) || planted::is(Fault::AuthorVotes)).cloned().collect()
    }

    /// One move as the store takes it, with its words sealed; the chain moves on.
    pub(crate) fn encode(&mut self, made: &Move, at: Time, version: u64, private: Option<PrivatePart>) -> NewEvent {
        self.note_author(&made.event, made.actor.kind == ActorKind::Human, &made.actor.id);
        let mut data = Vec::with_capacity(USUAL_BYTES);
        serde_json::to_writer(&mut data, &made.event).expect("an event is plain data");
        let data = String::from_utf8(data).expect("JSON is text");
        let stream = StreamId::from(self.task.id);
        let actor = [made.actor.kind.word(), "/", &made.actor.id].concat();
        let before = (version > 1).then_some(made.before);
        let hash = codec::event_hash(
            &self.hash,
            &Hashed {
                stream,
                version,
                at: at.0,
                kind: made.event.kind(),
                actor: &actor,
                before,
                after: Some(made.after),
                schema: SCHEMA,
                data: &data,
                private: private.as_ref().map(|p| &p.digest),
            },
        );
        if !(planted::is(Fault::ChainSkips) && matches!(made.event, event::Event::AttemptFailed(_))) {
            self.hash = hash;
        }
        NewEvent {
            at: at.0,
            kind: made.event.kind(),
            actor,
            before,
            after: Some(made.after),
            schema: SCHEMA,
            data,
            private,
            hash,
        }
    }

    /// The index row as it should be now; `None` when the store's is good enough.
    pub(crate) fn row(&self, open: Option<&str>, now: Time) -> Option<Row> {
        let (task, facts) = (&self.task, &self.task.facts);
        let late = if planted::is(Fault::WakeLate) { 60_000 } else { 0 };
        let wake_at = task.wake_at().map(|t| t.0 + late);
        let ended_at = task.end().map(|e| e.at.0);
        let rank = task.rank();
        let title = if task.is_erased() { "" } else { &task.contents.text.title };
        let Some(old) = &self.row else {
            return Some(row_of(task, open.map(str::to_owned)));
        };
        // An index entry that rings too early only costs a look; so a later deadline alone is not worth a write.
        let rings_in_time = match (old.wake_at, wake_at) {
            (old, new) if old == new => true,
            (Some(old), Some(new)) => old > now.0 && old <= new,
            (Some(_), None) | (None, _) => false,
        };
        let same = rings_in_time
            && old.status == Some(task.status())
            && old.open.as_deref() == open
            && old.priority == task.priority() as i64
            && old.rank == rank
            && old.ended_at == ended_at
            && old.risk == facts.risk
            && old.due_at == facts.due_at.map(|t| t.0)
            && old.archived == task.is_archived()
            && old.asks_since == task.asks_since().map(|t| t.0)
            // What a database of before could not say.
            && old.autonomy == autonomy(facts)
            && old.owner_type.as_deref() == facts.owner_type.as_deref()
            && old.subject_ref_type.as_deref() == facts.subject_ref_type.as_deref()
            && old.subject_ref_id.as_deref() == facts.subject_ref_id.as_deref()
            && old.title == title;
        (!same).then(|| Row {
            status: Some(task.status()),
            priority: task.priority() as i64,
            rank,
            wake_at,
            open: open.map(str::to_owned),
            ended_at,
            due_at: facts.due_at.map(|t| t.0),
            title: title.to_owned(),
            risk: facts.risk,
            owner_type: facts.owner_type.as_deref().map(str::to_owned),
            subject_ref_type: facts.subject_ref_type.as_deref().map(str::to_owned),
            subject_ref_id: facts.subject_ref_id.as_deref().map(str::to_owned),
            autonomy: autonomy(facts),
            archived: task.is_archived(),
            asks_since: task.asks_since().map(|t| t.0),
            ..(**old).clone()
        })
    }

    /// About how many bytes it takes in memory, for the bound of the cache.
    pub(crate) fn weight(&self) -> usize {
        4_096 + 1_024 * self.task.size()
    }
}

/// The index row that follows from a task and what it offers.
pub(crate) fn row_of(task: &Task, open: Option<String>) -> Row {
    let facts = &task.facts;
    let born = task.born_at().unwrap_or_default();
    Row {
        namespace: facts.namespace.to_string(),
        status: Some(task.status()),
        priority: task.priority() as i64,
        rank: task.rank(),
        wake_at: task.wake_at().map(|t| t.0),
        open,
        created_at: born.0,
        ended_at: task.end().map(|e| e.at.0),
        due_at: facts.due_at.map(|t| t.0),
        title: if task.is_erased() { String::new() } else { task.contents.text.title.clone() },
        task_type: facts.task_type.to_string(),
        external_id: facts.external_id.as_deref().map(str::to_owned),
        source: facts.source.as_deref().map(str::to_owned),
        owner_id: facts.owner_id.as_deref().map(str::to_owned),
        parent: facts.parent.as_ref().map(|p| p.task.bits()),
        risk: facts.risk,
        owner_type: facts.owner_type.as_deref().map(str::to_owned),
        subject_ref_type: facts.subject_ref_type.as_deref().map(str::to_owned),
        subject_ref_id: facts.subject_ref_id.as_deref().map(str::to_owned),
        autonomy: autonomy(facts),
        archived: task.is_archived(),
        asks_since: task.asks_since().map(|t| t.0),
    }
}

/// Its autonomy, where it is not the ordinary one.
fn autonomy(facts: &event::Submitted) -> Option<Autonomy> {
    Some(facts.autonomy).filter(|autonomy| *autonomy != Autonomy::Autonomous)
}

/// Reads a stored event back.
pub(crate) fn decode(stored: &StoredEvent) -> Result<(event::Event, Option<Private>), StoreError> {
    let corrupt = |why: String| StoreError::Corrupt { stream: stored.stream, version: stored.version, why };
    let event = event::read(stored.schema, &stored.data).map_err(corrupt)?;
    Ok((event, open_private(stored)?))
}

/// The words beside an event, if they are there.
pub(crate) fn open_private(stored: &StoredEvent) -> Result<Option<Private>, StoreError> {
    match stored.private.as_ref().map(|p| &p.body) {
        Some(PrivateBody::Inline(body)) => serde_json::from_slice(body).map(Some).map_err(|e| StoreError::Corrupt {
            stream: stored.stream,
            version: stored.version,
            why: format!("private part: {e}"),
        }),
        Some(PrivateBody::Blob(key)) => {
            Err(StoreError::Corrupt { stream: stored.stream, version: stored.version, why: format!("blob {key} is missing") })
        }
        Some(PrivateBody::Erased) | None => Ok(None),
    }
}
