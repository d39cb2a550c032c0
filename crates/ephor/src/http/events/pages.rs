//! Parts of the list of events, upwards or downwards, and what of it a caller sees.

use super::rows::{EventRow, Form};
use super::{LOOKED_AT_MAX, PAGE, REMEMBERED_MAX, Shown};
use crate::api::ApiError;
use crate::http::auth::Principal;
use crate::local::{event_view, store};
use ephor_core::event::Event;
use ephor_core::id::{StreamId, StreamKind, TaskId};
use ephor_engine::query;
use ephor_engine::store::{Filter, Reader, StoredEvent};
use std::collections::HashMap;

/// A page in the order of what happened, and where the next one begins. The rows of one event stay together.
pub(super) fn upwards(
    reader: &dyn Reader,
    task: Option<TaskId>,
    mut after: u64,
    before: u64,
    limit: usize,
    mut narrowed: Narrowed,
) -> Result<(Vec<Shown>, Option<u64>), ApiError> {
    let mut page = Vec::new();
    let mut looked_at = 0;
    loop {
        let found = reader.events(after, PAGE, task.map(Into::into)).map_err(store)?;
        let last = found.len() < PAGE as usize;
        for stored in found.into_iter() {
            if stored.position >= before {
                return Ok((page, None));
            }
            if page.len() >= limit {
                return Ok((page, Some(after)));
            }
            after = stored.position;
            looked_at += 1;
            page.extend(narrowed.shown(reader, &stored)?);
        }
        if last {
            return Ok((page, None));
        }
        if looked_at >= LOOKED_AT_MAX {
            return Ok((page, Some(after)));
        }
    }
}

/// A page with the last first, and where the next one begins. Positions have no gaps, so that windows can be counted out backwards.
pub(super) fn downwards(
    reader: &dyn Reader,
    task: Option<TaskId>,
    after: u64,
    before: u64,
    limit: usize,
    mut narrowed: Narrowed,
) -> Result<(Vec<Shown>, Option<u64>), ApiError> {
    let mut page = Vec::new();
    let mut looked_at = 0;
    let mut upper = before;
    // Of one task they are few, but far apart: all of them are read.
    let own = task.map(|task| own_events(reader, task, after, before)).transpose()?;
    let mut own = own.map(|events| events.into_iter().rev().peekable());
    loop {
        let window = match &mut own {
            Some(events) => events.by_ref().take(PAGE as usize).collect::<Vec<_>>(),
            None => {
                let lower = upper.saturating_sub(1 + u64::from(PAGE)).max(after);
                let mut window = reader.events(lower, PAGE, None).map_err(store)?;
                window.retain(|stored| stored.position < upper);
                window.reverse();
                window
            }
        };
        if window.is_empty() {
            return Ok((page, None));
        }
        for stored in window {
            if page.len() >= limit {
                return Ok((page, Some(upper)));
            }
            upper = stored.position;
            looked_at += 1;
            page.extend(narrowed.shown(reader, &stored)?.into_iter().rev());
        }
        if looked_at >= LOOKED_AT_MAX {
            return Ok((page, Some(upper)));
        }
    }
}

/// The events of a task between two positions.
fn own_events(reader: &dyn Reader, task: TaskId, after: u64, before: u64) -> Result<Vec<StoredEvent>, ApiError> {
    let mut events: Vec<StoredEvent> = Vec::new();
    loop {
        let from = events.last().map_or(after, |e| e.position);
        let found = reader.events(from, PAGE, Some(task.into())).map_err(store)?;
        let last = found.len() < PAGE as usize;
        events.extend(found.into_iter().filter(|stored| stored.position < before));
        if last {
            return Ok(events);
        }
    }
}

/// What of the events is shown, and how.
pub(super) struct Narrowed {
    form: Form,
    types: Vec<String>,
    actor: Option<String>,
    sight: Sight,
    /// Where tasks come from, for rows.
    sources: HashMap<StreamId, Option<String>>,
}

impl Narrowed {
    /// These types by this actor, as far as this caller sees.
    pub(super) fn new(form: Form, types: Vec<String>, actor: Option<String>, who: &Principal) -> Self {
        Self { form, types, actor, sight: Sight::of(who), sources: HashMap::new() }
    }

    /// Where the task of an event comes from.
    fn source(&mut self, reader: &dyn Reader, stored: &StoredEvent) -> Result<Option<String>, ApiError> {
        if let Some(known) = self.sources.get(&stored.stream) {
            return Ok(known.clone());
        }
        let listed = reader.listed(stored.stream, &Filter::default()).map_err(store)?;
        let source = listed.and_then(|listed| listed.row.source);
        if self.sources.len() >= REMEMBERED_MAX {
            self.sources.clear();
        }
        self.sources.insert(stored.stream, source.clone());
        Ok(source)
    }

    /// What is shown of an event, in order.
    pub(super) fn shown(&mut self, reader: &dyn Reader, stored: &StoredEvent) -> Result<Vec<Shown>, ApiError> {
        let wanted = |kind: &String| kind.eq_ignore_ascii_case(&stored.kind);
        if self.form == Form::Events && !self.types.is_empty() && !self.types.iter().any(wanted) {
            return Ok(Vec::new());
        }
        if let Some(actor) = &self.actor {
            let (kind, id) = stored.actor.split_once('/').unwrap_or_default();
            if id != actor && !kind.eq_ignore_ascii_case(actor) {
                return Ok(Vec::new());
            }
        }
        if !self.sight.sees(reader, stored)? {
            return Ok(Vec::new());
        }
        let view = event_view(stored)?;
        Ok(match self.form {
            Form::Events => vec![Shown::Event(Box::new(view))],
            Form::Rows => EventRow::of(&view, self.source(reader, stored)?.as_deref())
                .into_iter()
                .filter(|row| row.is_among(&self.types))
                .map(Shown::Row)
                .collect(),
        })
    }
}

/// What a caller may see of all events: everything, or what belongs to its namespace.
struct Sight {
    namespace: Option<Box<str>>,
    known: HashMap<StreamId, bool>,
}

impl Sight {
    fn of(who: &Principal) -> Self {
        Self { namespace: who.namespace.clone(), known: HashMap::new() }
    }

    fn sees(&mut self, reader: &dyn Reader, stored: &StoredEvent) -> Result<bool, ApiError> {
        let Some(own) = &self.namespace else { return Ok(true) };
        if let Some(known) = self.known.get(&stored.stream) {
            return Ok(*known);
        }
        let sees = match stored.stream.kind {
            StreamKind::Namespace => stored.stream == StreamId::named(StreamKind::Namespace, own),
            StreamKind::Task => {
                let first = reader.stream_events(stored.stream, 0, 1).map_err(store)?;
                let first = first.first().map(query::event).transpose().map_err(store)?;
                matches!(first, Some((Event::Submitted(facts), _)) if facts.namespace == *own)
            }
            _ => false,
        };
        if self.known.len() >= REMEMBERED_MAX {
            self.known.clear();
        }
        self.known.insert(stored.stream, sees);
        Ok(sees)
    }
}
