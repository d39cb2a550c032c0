//! How what a store holds looks in SQLite: columns and values, to and fro.

use super::StoreError;
use crate::codec;
use crate::store::{Fact, MailRow, NewEvent, PrivateBody, PrivatePart, Row, StoredEvent, Telemetry, UniqueRow};
use ephor_core::id::{StreamId, StreamKind};
use ephor_core::spec::{Autonomy, Risk};
use ephor_core::status::Status;
use rusqlite::types::{FromSql, ToSqlOutput, Value, ValueRef};
use std::sync::LazyLock;

/// A column of `streams` that follows from a `Row`.
pub(super) type Column = (&'static str, fn(&Row) -> ToSqlOutput<'_>);

/// Every column that follows from a `Row`. Rows are written and read in this order, and updated by what differs.
pub(super) const COLUMNS: [Column; 22] = [
    ("namespace", |row| text(&row.namespace)),
    ("status", |row| optional(row.status.map(Status::word))),
    ("priority", |row| row.priority.into()),
    ("rank", |row| row.rank.into()),
    ("wake_at", |row| number(row.wake_at)),
    ("open", |row| optional(row.open.as_deref())),
    ("created_at", |row| row.created_at.into()),
    ("ended_at", |row| number(row.ended_at)),
    ("due_at", |row| number(row.due_at)),
    ("title", |row| text(&row.title)),
    ("task_type", |row| text(&row.task_type)),
    ("external_id", |row| optional(row.external_id.as_deref())),
    ("source", |row| optional(row.source.as_deref())),
    ("owner_id", |row| optional(row.owner_id.as_deref())),
    ("parent", |row| row.parent.map_or(ToSqlOutput::Owned(Value::Null), |bits| bits.to_be_bytes().to_vec().into())),
    // Most tasks are of low risk: that is no word, and stands in no index.
    ("risk", |row| optional((row.risk != Risk::Low).then(|| row.risk.word()))),
    ("owner_type", |row| optional(row.owner_type.as_deref())),
    ("subject_ref_type", |row| optional(row.subject_ref_type.as_deref())),
    ("subject_ref_id", |row| optional(row.subject_ref_id.as_deref())),
    ("autonomy", |row| optional(row.autonomy.and_then(autonomy))),
    ("archived", |row| number(row.archived.then_some(1))),
    ("asks_since", |row| number(row.asks_since)),
];

/// The columns of a row, for a select, behind `no, kind, id`.
pub(super) static ROW: LazyLock<String> =
    LazyLock::new(|| format!("s.no, s.kind, s.id, {}", COLUMNS.map(|(name, _)| format!("s.{name}")).join(", ")));

fn text(text: &str) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))
}

fn optional(words: Option<&str>) -> ToSqlOutput<'_> {
    words.map_or(ToSqlOutput::Owned(Value::Null), text)
}

fn number(number: Option<i64>) -> ToSqlOutput<'static> {
    ToSqlOutput::Owned(number.map_or(Value::Null, Value::Integer))
}

/// A row selected as `ROW`: its number, its stream and itself.
pub(super) fn read_row(row: &rusqlite::Row<'_>) -> Result<(i64, StreamId, Row), StoreError> {
    let stream = read_stream(row, 1)?;
    let status = read_status(row, 4).map_err(|why| corrupt(stream, 0, why))?;
    let parent: Option<[u8; 16]> = row.get(17)?;
    let found = Row {
        namespace: row.get(3)?,
        status,
        priority: row.get(5)?,
        rank: row.get(6)?,
        wake_at: row.get(7)?,
        open: row.get(8)?,
        created_at: row.get(9)?,
        ended_at: row.get(10)?,
        due_at: row.get(11)?,
        title: row.get(12)?,
        task_type: row.get(13)?,
        external_id: row.get(14)?,
        source: row.get(15)?,
        owner_id: row.get(16)?,
        parent: parent.map(u128::from_be_bytes),
        risk: read_risk(row, 18).map_err(|why| corrupt(stream, 0, why))?,
        owner_type: row.get(19)?,
        subject_ref_type: row.get(20)?,
        subject_ref_id: row.get(21)?,
        autonomy: read_autonomy(row, 22).map_err(|why| corrupt(stream, 0, why))?,
        archived: row.get::<_, Option<i64>>(23)?.is_some(),
        asks_since: row.get(24)?,
    };
    Ok((row.get(0)?, stream, found))
}

/// A stream from two columns: its kind and its id.
pub(super) fn read_stream(row: &rusqlite::Row<'_>, first: usize) -> Result<StreamId, StoreError> {
    let word = word(row, first)?;
    let kind = StreamKind::ALL.into_iter().find(|kind| kind.word() == word);
    let kind = kind.ok_or_else(|| StoreError::Unusable(format!("the store names a kind of stream that is not known: {word}")))?;
    let id: [u8; 16] = row.get(first + 1)?;
    Ok(StreamId { kind, bits: u128::from_be_bytes(id) })
}

/// A status from a column; why not, if the word is none.
pub(super) fn read_status(row: &rusqlite::Row<'_>, column: usize) -> Result<Option<Status>, String> {
    let word: Option<&str> = row.get_ref(column).and_then(|v| Ok(v.as_str_or_null()?)).map_err(|e| e.to_string())?;
    let known = |word: &str| Status::ALL.into_iter().find(|status| status.word() == word);
    word.map(|word| known(word).ok_or_else(|| format!("{word} is no status"))).transpose()
}

/// A risk from a column; why not, if the word is none.
fn read_risk(row: &rusqlite::Row<'_>, column: usize) -> Result<Risk, String> {
    let word: Option<&str> = row.get_ref(column).and_then(|v| Ok(v.as_str_or_null()?)).map_err(|e| e.to_string())?;
    word.map_or(Ok(Risk::Low), |word| Risk::read(word).ok_or_else(|| format!("{word} is no risk")))
}

/// An autonomy as it is kept: the ordinary one is no word.
fn autonomy(autonomy: Autonomy) -> Option<&'static str> {
    match autonomy {
        Autonomy::Suggestion => Some("SUGGESTION"),
        Autonomy::Assisted => Some("ASSISTED"),
        Autonomy::Autonomous => None,
    }
}

fn read_autonomy(row: &rusqlite::Row<'_>, column: usize) -> Result<Option<Autonomy>, String> {
    let word: Option<&str> = row.get_ref(column).and_then(|v| Ok(v.as_str_or_null()?)).map_err(|e| e.to_string())?;
    let known = [Autonomy::Suggestion, Autonomy::Assisted];
    word.map(|word| {
        known.into_iter().find(|known| autonomy(*known) == Some(word)).ok_or_else(|| format!("{word} is no autonomy"))
    })
    .transpose()
}

fn word<'r>(row: &'r rusqlite::Row<'_>, column: usize) -> Result<&'r str, StoreError> {
    Ok(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?)
}

/// What an event's private part is in its columns: digest, the key of a blob, salt and body.
pub(super) type Private<'e> = (Option<&'e [u8; 32]>, Option<&'e str>, Option<Vec<u8>>);

/// The columns of an event's private part.
pub(super) fn write_private(event: &NewEvent) -> Private<'_> {
    let Some(PrivatePart { digest, salt, body }) = &event.private else { return (None, None, None) };
    match body {
        PrivateBody::Inline(body) => (Some(digest), None, Some([salt, body.as_slice()].concat())),
        PrivateBody::Blob(key) => (Some(digest), Some(key), Some(salt.to_vec())),
        PrivateBody::Erased => (Some(digest), None, None),
    }
}

/// The columns of an event, from `events e join streams s left join blobs b`.
pub(super) const EVENT: &str = "e.position, s.kind, s.id, e.version, e.at, e.kind, e.actor, e.status_before, e.status_after, \
     e.schema, e.data, e.digest, e.private, e.private_key is not null, b.body, e.hash";

/// An event selected as `EVENT`. One that cannot be read is named.
pub(super) fn read_event(row: &rusqlite::Row<'_>) -> Result<StoredEvent, StoreError> {
    read_columns(row).map_err(|error| match error {
        StoreError::Unusable(why) => match read_stream(row, 1) {
            Ok(stream) => corrupt(stream, read_u64(row, 3).unwrap_or(0), why),
            Err(unnamed) => unnamed,
        },
        other => other,
    })
}

fn read_columns(row: &rusqlite::Row<'_>) -> Result<StoredEvent, StoreError> {
    let stream = read_stream(row, 1)?;
    let version = read_u64(row, 3)?;
    let wrong = |why: String| corrupt(stream, version, why);
    let data = read_data(row, 10).map_err(wrong)?;
    Ok(StoredEvent {
        position: read_u64(row, 0)?,
        stream,
        version,
        at: row.get(4)?,
        kind: row.get(5)?,
        actor: row.get(6)?,
        before: read_status(row, 7).map_err(wrong)?,
        after: read_status(row, 8).map_err(wrong)?,
        schema: row.get(9)?,
        data,
        private: read_private(row).map_err(|e| wrong(format!("its private part: {e}")))?,
        hash: row.get(15).map_err(|e| wrong(format!("its hash: {e}")))?,
    })
}

/// An event for those who count; of tasks alone it is told where they belong.
pub(super) fn read_fact(row: &rusqlite::Row<'_>, wanted: &[&str]) -> Result<Fact, StoreError> {
    let stream = read_stream(row, 1)?;
    let wrong = |why: String| corrupt(stream, 0, why);
    let kind: String = row.get(4)?;
    let data = match wanted.contains(&&*kind) {
        true => read_data(row, 10).map_err(wrong)?,
        false => String::new(),
    };
    let (namespace, task_type, created_at) = match stream.kind {
        StreamKind::Task => (row.get(7)?, row.get(8)?, row.get(9)?),
        _ => (String::new(), String::new(), 0),
    };
    Ok(Fact {
        position: read_u64(row, 0)?,
        stream,
        at: row.get(3)?,
        before: read_status(row, 5).map_err(wrong)?,
        after: read_status(row, 6).map_err(wrong)?,
        kind,
        data,
        namespace,
        task_type,
        created_at,
    })
}

/// The structure of an event, unpacked.
fn read_data(row: &rusqlite::Row<'_>, column: usize) -> Result<String, String> {
    match row.get_ref(column).map_err(|e| e.to_string())? {
        ValueRef::Text(text) => String::from_utf8(text.to_vec()).map_err(|_| "its data is not text".into()),
        ValueRef::Blob(packed) => codec::decompress(packed),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => Err("its data is a number".into()),
    }
}

fn read_private(row: &rusqlite::Row<'_>) -> Result<Option<PrivatePart>, rusqlite::Error> {
    let Some(digest) = row.get::<_, Option<[u8; 32]>>(11)? else { return Ok(None) };
    let Some((salt, inline)) = row.get_ref(12)?.as_blob_or_null()?.and_then(<[u8]>::split_first_chunk::<16>) else {
        return Ok(Some(PrivatePart { digest, salt: [0; 16], body: PrivateBody::Erased }));
    };
    let body = match row.get::<_, bool>(13)? {
        false => PrivateBody::Inline(inline.to_vec()),
        true => row.get::<_, Option<Vec<u8>>>(14)?.map_or(PrivateBody::Erased, PrivateBody::Inline),
    };
    Ok(Some(PrivatePart { digest, salt: *salt, body }))
}

/// The columns of a unique key.
pub(super) const UNIQUE: &str = "key, until, value, stream";

/// A unique key selected as `UNIQUE`.
pub(super) fn read_unique(row: &rusqlite::Row<'_>) -> Result<UniqueRow, StoreError> {
    Ok(UniqueRow { key: row.get(0)?, until: row.get(1)?, value: row.get(2)?, stream: read_name(row, 3)? })
}

/// Mail selected as `id, source, source_version, body`.
pub(super) fn read_mail(target: StreamId, row: &rusqlite::Row<'_>) -> Result<MailRow, StoreError> {
    Ok(MailRow { target, id: row.get(0)?, source: read_name(row, 1)?, source_version: read_u64(row, 2)?, body: row.get(3)? })
}

/// Telemetry selected as `work, attempt, counter, progress, message, at, heard`.
pub(super) fn read_telemetry(stream: StreamId, row: &rusqlite::Row<'_>) -> Result<Telemetry, StoreError> {
    Ok(Telemetry {
        stream,
        work: row.get(0)?,
        attempt: row.get(1)?,
        counter: read_u64(row, 2)?,
        progress: row.get(3)?,
        message: row.get(4)?,
        at: row.get(5)?,
        heard: read_u64(row, 6)?,
    })
}

/// A stream from one column that names it.
fn read_name(row: &rusqlite::Row<'_>, column: usize) -> Result<StreamId, StoreError> {
    let name = word(row, column)?;
    name.parse().map_err(|e| StoreError::Unusable(format!("the store names a stream that cannot be: {e}")))
}

/// A number that is never negative.
pub(super) fn read_u64(row: &rusqlite::Row<'_>, column: usize) -> Result<u64, StoreError> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| StoreError::Unusable(format!("the store holds {number} where no number is negative")))
}

/// A version or position as SQLite keeps it.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).expect("nobody counts beyond 2^63")
}

/// One value from a query that has exactly one.
pub(super) fn value<T: FromSql>(db: &rusqlite::Connection, sql: &str) -> Result<T, rusqlite::Error> {
    db.query_row(sql, [], |row| row.get(0))
}

fn corrupt(stream: StreamId, version: u64, why: String) -> StoreError {
    StoreError::Corrupt { stream, version, why }
}
