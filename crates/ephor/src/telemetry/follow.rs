//! Reads on behind the events, makes spans of them, and brings them to the collector.

use super::fold::{Fold, Happened, WANTED};
use super::sender::{Came, Sender};
use super::span::Span;
use super::{Options, Tally, finish, otlp};
use crate::api::ApiError;
use crate::http::Server;
use crate::local::{blocking, store};
use ephor_core::event::{self, SCHEMA};
use ephor_core::id::{AgentId, StreamId, StreamKind};
use ephor_engine::Engine;
use ephor_engine::store::{Fact, Reader, StoreError};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How many events are looked at at once.
const PAGE: u32 = 1_000;
/// How many spans are sent at once.
const BATCH: usize = 512;
/// How many events of a task are read anew at most, to know what had begun in it.
const READ_ANEW_MAX: usize = 20_000;
/// How many of them at once.
const READ_ANEW: u32 = 1_000;
/// The longest a collector may ask to be left alone.
const LEFT_ALONE_MAX: Duration = Duration::from_secs(300);
/// How long it rests when the database does not answer.
const TROUBLED: Duration = Duration::from_secs(5);

/// What became of spans.
enum Brought {
    /// They arrived, or the collector would not have them.
    Done,
    /// It is away, and what came meanwhile is more than is waited with.
    GivenUp,
}

/// Follows the events of one engine.
pub(super) struct Courier {
    server: Arc<Server>,
    sender: Arc<Sender>,
    resource: Arc<Value>,
    linger: Duration,
    waits: (Duration, Duration),
    behind_max: u64,
    told: watch::Receiver<bool>,
    after: u64,
    fold: Fold,
}

impl Courier {
    /// Begins behind what there is.
    pub(super) fn new(
        server: Arc<Server>,
        sender: Arc<Sender>,
        resource: Arc<Value>,
        options: &Options,
        told: watch::Receiver<bool>,
    ) -> Self {
        let Options { otlp: _, linger, first_wait, longest_wait, behind_max } = options;
        let (after, fold) = (server.engine().position(), Fold::default());
        let (linger, waits, behind_max) = (*linger, (*first_wait, *longest_wait), *behind_max);
        Self { server, sender, resource, linger, waits, behind_max, told, after, fold }
    }

    /// Until it is told to finish, and then to the last event there is.
    pub(super) async fn run(mut self) {
        loop {
            let mut feed = self.server.engine().feed(self.after);
            let last = tokio::select! {
                biased;
                () = finish(&mut self.told) => true,
                // Nothing comes once the engine has stopped.
                came = feed.next(1) => !came.is_ok_and(|came| !came.is_empty()),
            };
            if !last {
                // What happens at nearly the same time goes in one request.
                tokio::select! {
                    biased;
                    () = finish(&mut self.told) => {}
                    () = tokio::time::sleep(self.linger) => {}
                }
            }
            while let Some(spans) = self.read().await {
                self.bring(spans).await;
            }
            if last {
                return;
            }
        }
    }

    /// The spans that are over with the next events; nothing where there are none.
    async fn read(&mut self) -> Option<Vec<Span>> {
        let (engine, after, fold) = (self.server.engine().clone(), self.after, std::mem::take(&mut self.fold));
        let read = blocking(move || Ok(page(&engine, after, fold)));
        match read.await.and_then(|(fold, read)| {
            self.fold = fold;
            read
        }) {
            Ok((_, position)) if position == self.after => None,
            Ok((spans, position)) => {
                self.after = position;
                Some(spans)
            }
            Err(error) => {
                tracing::warn!(%error, "telemetry has to wait");
                tokio::select! {
                    biased;
                    () = finish(&mut self.told) => {}
                    () = tokio::time::sleep(TROUBLED) => {}
                }
                None
            }
        }
    }

    async fn bring(&mut self, spans: Vec<Span>) {
        for (n, batch) in spans.chunks(BATCH).enumerate() {
            match self.deliver(batch).await {
                Brought::Done => {}
                Brought::GivenUp => {
                    let (tally, now) = (self.server.sent(), self.server.engine().position());
                    Tally::add(&tally.dropped, (spans.len() - n * BATCH) as u64);
                    Tally::add(&tally.skipped, now.saturating_sub(self.after));
                    tracing::warn!(
                        events = now.saturating_sub(self.after),
                        "telemetry: given up what the collector has not heard of"
                    );
                    self.after = now;
                    self.fold = Fold::default();
                    return;
                }
            }
        }
    }

    /// Brings spans, again and again where the collector is away.
    async fn deliver(&mut self, batch: &[Span]) -> Brought {
        let body = otlp::traces(&self.resource, batch);
        let (mut wait, longest) = self.waits;
        let (count, tally) = (batch.len() as u64, self.server.clone());
        let tally = tally.sent();
        loop {
            let finishing = *self.told.borrow();
            let asked = match self.sender.send("traces", body.clone()).await {
                Came::Taken { rejected } => {
                    let rejected = rejected.min(count);
                    Tally::add(&tally.delivered, count - rejected);
                    Tally::add(&tally.dropped, rejected);
                    return Brought::Done;
                }
                Came::Never => {
                    Tally::add(&tally.dropped, count);
                    return Brought::Done;
                }
                Came::Later(asked) => asked,
            };
            let behind = self.server.engine().position().saturating_sub(self.after);
            if finishing || behind > self.behind_max {
                return Brought::GivenUp;
            }
            let rest = asked.map_or_else(|| jittered(wait), |asked| asked.min(LEFT_ALONE_MAX));
            tokio::select! {
                biased;
                () = finish(&mut self.told) => {}
                () = tokio::time::sleep(rest) => {}
            }
            wait = wait.saturating_mul(2).min(longest);
        }
    }
}

/// Up to a quarter more by chance, so that servers that lost a collector together do not come back all at once.
fn jittered(wait: Duration) -> Duration {
    let mut chance = [0u8; 1];
    // Without randomness it is just that long.
    let _none = getrandom::fill(&mut chance);
    wait + wait * u32::from(chance[0]) / 1_024
}

/// Spans, and the position up to which all was read.
type Page = (Vec<Span>, u64);

/// Reads the next events; blocks. What is followed is given back in any case.
fn page(engine: &Engine, after: u64, mut fold: Fold) -> (Fold, Result<Page, ApiError>) {
    let reader = engine.reader();
    let named = |agent: AgentId| Some(engine.agent_of(agent)?.registration.as_ref()?.name.clone());
    let mut out = Vec::new();
    let mut read = || -> Result<u64, StoreError> {
        let mut position = after;
        for fact in reader.facts(after, PAGE, &WANTED)? {
            position = fact.position;
            if fact.stream.kind != StreamKind::Task {
                continue;
            }
            if fact.before.is_some_and(|before| !before.is_final()) && !fold.knows(fact.stream.bits) {
                anew(&*reader, &fact, &mut fold, &named)?;
            }
            fold.take(&happened(&fact), &named, &mut out);
        }
        Ok(position)
    };
    let read = read().map_err(store);
    (fold, read.map(|position| (out, position)))
}

fn happened(fact: &Fact) -> Happened<'_> {
    // What a newer release wrote, or a damaged store holds, is not told of.
    let event = if fact.data.is_empty() { None } else { event::read(SCHEMA, &fact.data).ok() };
    Happened {
        task: fact.stream.bits,
        position: fact.position,
        at: fact.at,
        kind: &fact.kind,
        before: fact.before,
        after: fact.after,
        event,
        namespace: &fact.namespace,
        task_type: &fact.task_type,
        created_at: fact.created_at,
    }
}

/// Takes in what a task did before: what is over by then was told, or will not be.
fn anew(reader: &dyn Reader, fact: &Fact, fold: &mut Fold, named: super::fold::Named<'_>) -> Result<(), StoreError> {
    let stream = StreamId { kind: StreamKind::Task, bits: fact.stream.bits };
    let (mut version, mut read) = (0, 0);
    while read < READ_ANEW_MAX {
        let events = reader.stream_events(stream, version, READ_ANEW)?;
        let Some(last) = events.last() else { break };
        (version, read) = (last.version, read + events.len());
        let mut over = Vec::new();
        for before in &events {
            if before.position >= fact.position {
                return Ok(());
            }
            let wanted = WANTED.contains(&&*before.kind);
            let event = if wanted { event::read(before.schema, &before.data).ok() } else { None };
            let happened = Happened {
                task: fact.stream.bits,
                position: before.position,
                at: before.at,
                kind: &before.kind,
                before: before.before,
                after: before.after,
                event,
                namespace: &fact.namespace,
                task_type: &fact.task_type,
                created_at: fact.created_at,
            };
            fold.take(&happened, named, &mut over);
        }
    }
    Ok(())
}
