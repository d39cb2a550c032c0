//! Who is told of what over HTTP, and how far each has been told: a small database of its own beside the engine's, so that telling others
//! never takes the writer's turn. What is told stands in the events alone; here is only a position for each subscription, its secret,
//! and the last tries. Losing the newest of it tells something twice.

use crate::store::StoreError;
use ephor_core::id::{TaskId, WebhookId};
use ephor_core::webhook::{Format, Topic};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The number of the form of this database.
const FORM: i64 = 1;
/// How many tries are remembered of each subscription.
pub const DELIVERIES_MAX: u32 = 200;
/// How many subscriptions there may be.
pub const WEBHOOKS_MAX: usize = 100;
/// How long one waits for another that writes.
const PATIENCE: Duration = Duration::from_secs(5);

const TABLES: &str = "
create table webhooks (
    id            text primary key,
    name          text not null unique,
    url           text not null,
    secret        text not null,
    namespace     text,
    topics        text not null,
    task_types    text not null,
    format        text not null,
    paused        integer not null default 0,
    off           text,
    failing_since integer,
    failures      integer not null default 0,
    why           text,
    next_try_at   integer,
    position      integer not null,
    created_at    integer not null
) strict;
create table deliveries (
    no         integer primary key autoincrement,
    webhook    text not null references webhooks (id) on delete cascade,
    message_id text not null,
    topic      text not null,
    position   integer not null,
    task       text,
    attempt    integer not null,
    delivered  integer not null,
    status     integer,
    error      text,
    took_ms    integer not null,
    at         integer not null
) strict;
create index deliveries_webhook on deliveries (webhook, no);
";

/// A subscription as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: WebhookId,
    /// Its name; no other has it.
    pub name: String,
    /// Where messages go.
    pub url: String,
    /// What signs them.
    pub secret: String,
    /// Of which namespace alone.
    pub namespace: Option<String>,
    /// Of what.
    pub topics: Vec<Topic>,
    /// Of which types of tasks alone.
    pub task_types: Vec<String>,
    /// In which form.
    pub format: Format,
    /// Whether somebody paused it.
    pub paused: bool,
    /// Why it is off.
    pub off: Option<String>,
    /// Since when nothing has arrived.
    pub failing_since: Option<i64>,
    /// How many tries in a row have failed.
    pub failures: u32,
    /// How the last of them did.
    pub why: Option<String>,
    /// When the next is.
    pub next_try_at: Option<i64>,
    /// Up to where everything was told.
    pub position: u64,
    /// When it was made.
    pub created_at: i64,
}

/// One try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its number; 0 where it has none yet.
    pub no: u64,
    /// The id of the message.
    pub message_id: String,
    /// What it told.
    pub topic: Topic,
    /// The position of the event behind it.
    pub position: u64,
    /// The task it is about.
    pub task: Option<TaskId>,
    /// Which try, from 1.
    pub attempt: u32,
    /// Whether it arrived.
    pub delivered: bool,
    /// The status of the answer.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// When.
    pub at: i64,
}

/// How a subscription stands after a try.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Up to where everything was told.
    pub position: u64,
    /// Since when nothing has arrived.
    pub failing_since: Option<i64>,
    /// How many tries in a row have failed.
    pub failures: u32,
    /// How the last of them did.
    pub why: Option<String>,
    /// When the next is.
    pub next_try_at: Option<i64>,
    /// Why it is off from now on.
    pub off: Option<String>,
}

/// The subscriptions and their last tries. Every call blocks.
pub struct Outbox {
    db: Mutex<Connection>,
}

impl Outbox {
    /// Opens the database, readable by its owner alone; makes it where it is missing.
    ///
    /// # Errors
    /// That it cannot be opened, or is of a newer release.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        let unusable = |why: &dyn std::fmt::Display| StoreError::Unusable(format!("{}: {why}", file.display()));
        // Made with its rights before anything stands in it: there are secrets.
        OpenOptions::new().create(true).append(true).mode(0o600).open(file).map_err(|e| unusable(&e))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(file, flags).map_err(|e| unusable(&e))?;
        db.busy_timeout(PATIENCE)?;
        db.execute_batch("pragma journal_mode = wal; pragma synchronous = normal; pragma foreign_keys = on")?;
        let form: i64 = db.query_row("pragma user_version", [], |row| row.get(0))?;
        match form {
            0 => db.execute_batch(&format!("begin immediate; {TABLES} pragma user_version = {FORM}; commit"))?,
            FORM => {}
            newer => return Err(unusable(&format!("its form {newer} is newer than {FORM}, the newest this release knows"))),
        }
        Ok(Self { db: Mutex::new(db) })
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, in the order they were made.
    ///
    /// # Errors
    /// The trouble of the database, here and below.
    pub fn all(&self) -> Result<Vec<Subscription>, StoreError> {
        let db = self.db();
        let mut found = db.prepare_cached(&format!("select {SUBSCRIPTION} from webhooks order by created_at, id"))?;
        found.query_and_then([], read_subscription)?.collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// See [`Self::all`].
    pub fn one(&self, id: WebhookId) -> Result<Option<Subscription>, StoreError> {
        let db = self.db();
        let mut found = db.prepare_cached(&format!("select {SUBSCRIPTION} from webhooks where id = ?1"))?;
        found.query_and_then([id.to_string()], read_subscription)?.next().transpose()
    }

    /// Adds one. `false` where its name is taken.
    ///
    /// # Errors
    /// See [`Self::all`].
    pub fn add(&self, new: &Subscription) -> Result<bool, StoreError> {
        let sql =
            "insert or ignore into webhooks (id, name, url, secret, namespace, topics, task_types, format, position, created_at)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let changed = self.db().execute(
            sql,
            params![
                new.id.to_string(),
                new.name,
                new.url,
                new.secret,
                new.namespace,
                json(&new.topics),
                json(&new.task_types),
                json(&new.format),
                int(new.position),
                new.created_at
            ],
        )?;
        Ok(changed > 0)
    }

    /// Pauses one, or lets it go on: then it is no longer off either. `false` where there is none.
    ///
    /// # Errors
    /// See [`Self::all`].
    pub fn pause(&self, id: WebhookId, paused: bool) -> Result<bool, StoreError> {
        let on = "update webhooks set paused = 0, off = null, failing_since = null, failures = 0, why = null, next_try_at = null
             where id = ?1";
        let sql = if paused { "update webhooks set paused = 1, next_try_at = null where id = ?1" } else { on };
        Ok(self.db().execute(sql, [id.to_string()])? > 0)
    }

    /// Removes one, with its tries. `false` where there is none.
    ///
    /// # Errors
    /// See [`Self::all`].
    pub fn remove(&self, id: WebhookId) -> Result<bool, StoreError> {
        Ok(self.db().execute("delete from webhooks where id = ?1", [id.to_string()])? > 0)
    }

    /// Keeps how one stands, and the try that led there where there was one, in one transaction. Older tries are forgotten.
    ///
    /// # Errors
    /// See [`Self::all`].
    pub fn keep(&self, id: WebhookId, standing: &Standing, tried: Option<&Delivery>) -> Result<(), StoreError> {
        let mut db = self.db();
        let change = db.transaction()?;
        let Standing { position, failing_since, failures, why, next_try_at, off } = standing;
        let sql = "update webhooks set position = ?2, failing_since = ?3, failures = ?4, why = ?5, next_try_at = ?6,
             off = coalesce(?7, off) where id = ?1";
        let known =
            change.execute(sql, params![id.to_string(), int(*position), failing_since, failures, why, next_try_at, off])? > 0;
        if let Some(tried) = tried.filter(|_| known) {
            log(&change, id, tried)?;
        }
        Ok(change.commit()?)
    }

    /// Keeps a try that changes nothing else.
    ///
    /// # Errors
    /// See [`Self::all`].
    pub fn note(&self, id: WebhookId, tried: &Delivery) -> Result<u64, StoreError> {
        let mut db = self.db();
        let change = db.transaction()?;
        let no = log(&change, id, tried)?;
        change.commit()?;
        Ok(no)
    }

    /// The last tries of one, the newest first, before a number where one is given.
    ///
    /// # Errors
    /// See [`Self::all`].
    pub fn deliveries(&self, id: WebhookId, before: Option<u64>, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let db = self.db();
        let sql = format!("select {DELIVERY} from deliveries where webhook = ?1 and no < ?2 order by no desc limit ?3");
        let mut found = db.prepare_cached(&sql)?;
        let before = before.map_or(i64::MAX, int);
        found.query_and_then(params![id.to_string(), before, limit], read_delivery)?.collect()
    }

    /// One try.
    ///
    /// # Errors
    /// See [`Self::all`].
    pub fn delivery(&self, id: WebhookId, no: u64) -> Result<Option<Delivery>, StoreError> {
        let db = self.db();
        let sql = format!("select {DELIVERY} from deliveries where webhook = ?1 and no = ?2");
        let mut found = db.prepare_cached(&sql)?;
        found.query_and_then(params![id.to_string(), int(no)], read_delivery)?.next().transpose()
    }
}

fn log(db: &Connection, id: WebhookId, tried: &Delivery) -> Result<u64, StoreError> {
    let sql =
        "insert into deliveries (webhook, message_id, topic, position, task, attempt, delivered, status, error, took_ms, at)
         select ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 where exists (select 1 from webhooks where id = ?1)";
    let task = tried.task.map(|task| task.to_string());
    let Delivery { no: _, message_id, topic, position, task: _, attempt, delivered, status, error, took_ms, at } = tried;
    let word = topic.word();
    db.execute(
        sql,
        params![id.to_string(), message_id, word, int(*position), task, attempt, delivered, status, error, int(*took_ms), at],
    )?;
    let no = db.last_insert_rowid();
    let oldest = "select no from deliveries where webhook = ?1 order by no desc limit 1 offset ?2";
    let oldest: Option<i64> = db.query_row(oldest, params![id.to_string(), DELIVERIES_MAX], |row| row.get(0)).optional()?;
    if let Some(oldest) = oldest {
        db.execute("delete from deliveries where webhook = ?1 and no <= ?2", params![id.to_string(), oldest])?;
    }
    Ok(no.unsigned_abs())
}

const SUBSCRIPTION: &str = "id, name, url, secret, namespace, topics, task_types, format, paused, off, failing_since, failures, why, \
     next_try_at, position, created_at";

fn read_subscription(row: &Row<'_>) -> Result<Subscription, StoreError> {
    Ok(Subscription {
        id: parsed(row, 0)?,
        name: row.get(1)?,
        url: row.get(2)?,
        secret: row.get(3)?,
        namespace: row.get(4)?,
        topics: from_json(row, 5)?,
        task_types: from_json(row, 6)?,
        format: from_json(row, 7)?,
        paused: row.get(8)?,
        off: row.get(9)?,
        failing_since: row.get(10)?,
        failures: row.get(11)?,
        why: row.get(12)?,
        next_try_at: row.get(13)?,
        position: row.get::<_, i64>(14)?.unsigned_abs(),
        created_at: row.get(15)?,
    })
}

const DELIVERY: &str = "no, message_id, topic, position, task, attempt, delivered, status, error, took_ms, at";

fn read_delivery(row: &Row<'_>) -> Result<Delivery, StoreError> {
    let (topic, task): (String, Option<String>) = (row.get(2)?, row.get(4)?);
    Ok(Delivery {
        no: row.get::<_, i64>(0)?.unsigned_abs(),
        message_id: row.get(1)?,
        topic: Topic::read(&topic).unwrap_or(Topic::Test),
        position: row.get::<_, i64>(3)?.unsigned_abs(),
        task: task.and_then(|task| task.parse().ok()),
        attempt: row.get(5)?,
        delivered: row.get(6)?,
        status: row.get(7)?,
        error: row.get(8)?,
        took_ms: row.get::<_, i64>(9)?.unsigned_abs(),
        at: row.get(10)?,
    })
}

fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> Result<T, StoreError> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| StoreError::Unusable(format!("the store of webhooks holds {text:?} where it makes no sense")))
}

fn from_json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, StoreError> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|e| StoreError::Unusable(format!("the store of webhooks: {e}")))
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("words and lists of words are plain data")
}

fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn subscription(n: u8) -> Subscription {
        Subscription {
            id: WebhookId::new(1, [n; 10]),
            name: format!("n{n}"),
            url: "https://example.org/".into(),
            secret: "whsec_x".into(),
            namespace: None,
            topics: vec![Topic::Failed],
            task_types: vec!["T".into()],
            format: Format::Cloudevents,
            paused: false,
            off: None,
            failing_since: None,
            failures: 0,
            why: None,
            next_try_at: None,
            position: 7,
            created_at: i64::from(n),
        }
    }

    fn tried(n: u32) -> Delivery {
        Delivery {
            no: 0,
            message_id: format!("m{n}"),
            topic: Topic::Failed,
            position: 9,
            task: Some(TaskId::new(1, [1; 10])),
            attempt: n,
            delivered: false,
            status: Some(500),
            error: Some("no".into()),
            took_ms: 3,
            at: 4,
        }
    }

    #[test]
    fn what_was_kept_is_there_after_opening_again_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("webhooks.db");
        let outbox = Outbox::open(&file).unwrap();
        assert!(outbox.add(&subscription(1)).unwrap() && outbox.add(&subscription(2)).unwrap());
        assert!(!outbox.add(&Subscription { id: WebhookId::new(2, [9; 10]), ..subscription(1) }).unwrap(), "the name is taken");
        let id = subscription(1).id;
        let standing =
            Standing { position: 9, failing_since: Some(3), failures: 2, off: Some("gone".into()), ..Standing::default() };
        outbox.keep(id, &standing, Some(&tried(1))).unwrap();
        drop(outbox);
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o077, 0);
        let outbox = Outbox::open(&file).unwrap();
        let known = outbox.one(id).unwrap().unwrap();
        assert_eq!((known.position, known.failures, known.off.as_deref()), (9, 2, Some("gone")));
        assert_eq!(outbox.all().unwrap()[1], subscription(2));
        let no = outbox.deliveries(id, None, 10).unwrap()[0].no;
        assert_eq!(outbox.delivery(id, no).unwrap(), Some(Delivery { no, ..tried(1) }));
        assert!(outbox.pause(id, false).unwrap());
        let known = outbox.one(id).unwrap().unwrap();
        assert_eq!((known.off, known.failures, known.position), (None, 0, 9));
        assert!(outbox.remove(id).unwrap() && !outbox.remove(id).unwrap());
        assert!(outbox.deliveries(id, None, 10).unwrap().is_empty());
        outbox.keep(id, &standing, Some(&tried(2))).unwrap();
        assert!(outbox.one(id).unwrap().is_none(), "what is gone does not come back");
    }

    #[test]
    fn only_the_last_tries_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(&folder.path().join("webhooks.db")).unwrap();
        (1..=2).for_each(|n| assert!(outbox.add(&subscription(n)).unwrap()));
        let (id, other) = (subscription(1).id, subscription(2).id);
        outbox.note(other, &tried(1)).unwrap();
        for n in 1..=DELIVERIES_MAX + 50 {
            outbox.note(id, &tried(n)).unwrap();
        }
        let known = outbox.deliveries(id, None, u32::MAX).unwrap();
        assert_eq!((known.len() as u32, known[0].attempt), (DELIVERIES_MAX, DELIVERIES_MAX + 50));
        assert_eq!(outbox.deliveries(id, Some(known[0].no), 1).unwrap()[0].attempt, DELIVERIES_MAX + 49);
        assert_eq!(outbox.deliveries(other, None, 9).unwrap().len(), 1);
    }
}
