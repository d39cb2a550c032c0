//! The form of the database and its history: each migration is applied once, whole, and never changes once released.

use super::{Options, StoreError, connect_to_read, connect_to_write, unusable};
use rusqlite::{Connection, TransactionBehavior, params};
use sha2::{Digest, Sha256};

/// A step from one form to the next, and back.
struct Migration {
    name: &'static str,
    up: &'static str,
    down: &'static str,
}

macro_rules! migrations {
    ($($name:literal),*) => {
        [$(Migration {
            name: $name,
            up: include_str!(concat!("../../../migrations/sqlite/", $name, ".up.sql")),
            down: include_str!(concat!("../../../migrations/sqlite/", $name, ".down.sql")),
        }),*]
    };
}

/// Every migration there is, in order.
const MIGRATIONS: [Migration; 7] =
    migrations!["0001_store", "0002_end_once", "0003_risk", "0004_ageing", "0005_rows", "0006_inbox", "0007_heard"];

/// A migration and whether the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// When it was applied; `None` when it has not been.
    pub applied_at: Option<i64>,
}

/// Every migration of this release, and when a database got it.
pub fn status(options: &Options) -> Result<Vec<Status>, StoreError> {
    let applied = if options.path.exists() { verified(&connect_to_read(options)?)? } else { Vec::new() };
    Ok(MIGRATIONS
        .iter()
        .enumerate()
        .map(|(i, migration)| Status { name: migration.name.into(), applied_at: applied.get(i).map(|a| a.at) })
        .collect())
}

/// Applies what is missing. Answers the names.
pub fn up(options: &Options, at: i64) -> Result<Vec<&'static str>, StoreError> {
    apply_missing(&mut connect_to_write(options)?, at)
}

/// Takes back the last `steps` migrations, with the data that only they know. Answers the names.
pub fn down(options: &Options, steps: usize) -> Result<Vec<&'static str>, StoreError> {
    if !options.path.exists() {
        return Err(unusable(options, &"there is no such database"));
    }
    let mut db = connect_to_write(options)?;
    let applied = verified(&db)?.len();
    let mut taken = Vec::new();
    for migration in MIGRATIONS[..applied].iter().rev().take(steps) {
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        change.execute_batch(migration.down)?;
        change.execute("delete from migrations where name = ?1", [migration.name])?;
        change.commit()?;
        taken.push(migration.name);
    }
    Ok(taken)
}

/// Applies what a database is missing, each in a transaction of its own.
pub(super) fn apply_missing(db: &mut Connection, at: i64) -> Result<Vec<&'static str>, StoreError> {
    let applied = verified(db)?.len();
    let mut added = Vec::new();
    for migration in &MIGRATIONS[applied..] {
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        change.execute_batch(TABLE)?;
        change.execute_batch(migration.up)?;
        let sql = "insert into migrations (name, checksum, applied_at) values (?1, ?2, ?3)";
        change.execute(sql, params![migration.name, migration.checksum(), at])?;
        change.commit()?;
        added.push(migration.name);
    }
    Ok(added)
}

/// Refuses a database that is not exactly of this release's form.
pub(super) fn expect_current(db: &Connection) -> Result<(), StoreError> {
    match MIGRATIONS.get(verified(db)?.len()) {
        None => Ok(()),
        Some(next) => Err(StoreError::Unusable(format!("the database lacks the migration {}; migrate it first", next.name))),
    }
}

const TABLE: &str = "create table if not exists migrations (
    name       text primary key,
    checksum   text not null,
    applied_at integer not null
) strict, without rowid";

struct Applied {
    name: String,
    checksum: String,
    at: i64,
}

/// What a database has, if this release knows all of it by the same content.
fn verified(db: &Connection) -> Result<Vec<Applied>, StoreError> {
    let tables: i64 = super::rows::value(db, "select count(*) from sqlite_schema where type = 'table'")?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    let ours: bool = super::rows::value(db, "select exists (select 1 from sqlite_schema where name = 'migrations')")?;
    if !ours {
        return Err(StoreError::Unusable("the database holds tables, but none of Ephor's: it belongs to another program".into()));
    }
    let mut found = db.prepare("select name, checksum, applied_at from migrations order by name")?;
    let found = found.query_map([], |row| Ok(Applied { name: row.get(0)?, checksum: row.get(1)?, at: row.get(2)? }))?;
    let found = found.collect::<Result<Vec<_>, _>>()?;
    for (i, applied) in found.iter().enumerate() {
        match MIGRATIONS.get(i) {
            Some(known) if known.name == applied.name && known.checksum() == applied.checksum => {}
            Some(known) if known.name == applied.name => {
                let why = format!("the migration {} in the database is not the one this release knows by that name", known.name);
                return Err(StoreError::Unusable(why));
            }
            Some(_) | None => {
                let why =
                    format!("the database has the migration {}, which this release does not know; use a newer one", applied.name);
                return Err(StoreError::Unusable(why));
            }
        }
    }
    Ok(found)
}

impl Migration {
    /// SHA-256 of the way up, in hexadecimal.
    fn checksum(&self) -> String {
        Sha256::digest(self.up).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
