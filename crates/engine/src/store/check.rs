//! Whether a group still stands: its versions, then its guards. One meaning for every store.

use super::{Conflict, Group, Guard, StoreError, UniqueRow};
use ephor_core::id::StreamId;
use ephor_core::status::Status;

/// What a group is checked against: the store, with the groups of the same batch that came before.
pub(super) trait Facts {
    /// Where a stream is; `None` when there is no such stream.
    fn standing(&mut self, stream: StreamId) -> Result<Option<Standing>, StoreError>;

    /// Where a counter stands.
    fn counter(&self, key: &str) -> i64;

    /// Who holds a unique key at this instant.
    fn holder(&mut self, key: &str, at: i64) -> Result<Option<UniqueRow>, StoreError>;
}

/// Where a stream is.
#[derive(Clone, Copy)]
pub(super) struct Standing {
    pub(super) version: u64,
    pub(super) status: Option<Status>,
}

/// Where the counters of a group will stand, in the order of its guards; the last word on a key counts.
pub(super) type Counters = Vec<(String, i64)>;

/// Why a group is not written.
pub(super) enum Stop {
    /// It alone is refused.
    Refused(Conflict),
    /// The whole batch is lost.
    Failed(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// Checks a group that would be written at `at`. Changes nothing.
pub(super) fn check(group: &Group, at: i64, facts: &mut impl Facts) -> Result<Counters, Stop> {
    versions(group, facts)?;
    erasures(group, facts)?;
    guards(group, at, facts)
}

/// Only what has ended, or ends in this very group, is erased.
fn erasures(group: &Group, facts: &mut impl Facts) -> Result<(), Stop> {
    for erasure in &group.erase {
        let stream = erasure.stream;
        let own = group.changes.iter().find(|change| change.stream == stream).and_then(|change| change.row.as_ref());
        let status = match own {
            Some(row) => row.status,
            None => facts.standing(stream)?.and_then(|s| s.status),
        };
        if !status.is_some_and(Status::is_final) {
            return Err(Stop::Refused(Conflict::Alive { stream }));
        }
    }
    Ok(())
}

fn versions(group: &Group, facts: &mut impl Facts) -> Result<(), Stop> {
    for change in &group.changes {
        let stands = facts.standing(change.stream)?;
        let is = stands.map_or(0, |s| s.version);
        if is != change.follows {
            return Err(Stop::Refused(Conflict::Version { stream: change.stream, is }));
        }
        let ended = stands.and_then(|s| s.status).filter(|s| s.is_final());
        if let (Some(status), Some(row)) = (ended, &change.row)
            && row.status != Some(status)
        {
            return Err(Stop::Refused(Conflict::Ended { stream: change.stream, status }));
        }
    }
    Ok(())
}

/// Checks the guards of a group alone.
pub(super) fn guards(group: &Group, at: i64, facts: &mut impl Facts) -> Result<Counters, Stop> {
    let mut counters = Counters::new();
    for (i, guard) in group.guards.iter().enumerate() {
        match guard {
            Guard::Unique { key, .. } => {
                let earlier = group.guards[..i].iter().find_map(|guard| guard.held(key));
                if let Some(holder) = earlier.map_or_else(|| facts.holder(key, at), |row| Ok(Some(row)))? {
                    return Err(Stop::Refused(Conflict::Unique(holder)));
                }
            }
            Guard::Counter { key, add, max } => {
                let is = stands(&counters, facts, key);
                let becomes = is.saturating_add(*add).max(0);
                // What is given back is always taken, also above a limit that was lowered meanwhile.
                if *add > 0 && becomes > *max {
                    return Err(Stop::Refused(Conflict::Counter { key: key.clone(), is, max: *max }));
                }
                counters.push((key.clone(), becomes));
            }
            Guard::Epoch { key, seen } => {
                let is = stands(&counters, facts, key);
                if is != *seen {
                    return Err(Stop::Refused(Conflict::Epoch { key: key.clone(), is }));
                }
            }
        }
    }
    Ok(counters)
}

/// Where a counter stands after the guards before.
fn stands(counters: &Counters, facts: &impl Facts, key: &str) -> i64 {
    let earlier = counters.iter().rev().find(|(k, _)| k == key);
    earlier.map_or_else(|| facts.counter(key), |(_, value)| *value)
}

impl Guard {
    /// The unique key as it is held once this guard stands, if it is about that key.
    fn held(&self, wanted: &str) -> Option<UniqueRow> {
        match self {
            Self::Unique { key, until, value, stream } if key == wanted => {
                Some(UniqueRow { key: key.clone(), until: *until, value: value.clone(), stream: *stream })
            }
            Self::Unique { .. } | Self::Counter { .. } | Self::Epoch { .. } => None,
        }
    }
}
