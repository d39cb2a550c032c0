//! Looks at a whole database and says what is wrong with it: each task is folded from its events and compared with everything that was
//! derived from them (DESIGN §7). Reads only, page by page; beside one page and one task it keeps for each stream where its chain
//! stands, and the letters that are on their way.

use crate::audit::{Chain, Finding, Severity};
use crate::examine::{self, Examined};
use crate::live;
use crate::store::{Listed, PrivateBody, Reader, StoreError, StoredEvent};
use crate::witness::{Breach, Rule};
use crate::writer::amending;
use crate::writer::decide::{Envelope, external_key};
use ephor_core::agent::{Agent, AgentEvent};
use ephor_core::constitution::ConstitutionEvent;
use ephor_core::event::{Event, Letter};
use ephor_core::id::{AgentId, StreamId, StreamKind, TaskId};
use ephor_core::status::Status;
use ephor_core::time::Time;
use flow::{Kept, Ledger};
use std::collections::HashMap;

mod flow;

/// How many rows or events are read at once.
const PAGE: u32 = 500;
/// How many findings are told; more would hide the first.
const FOUND_MAX: usize = 1_000;

/// What was looked at, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many streams were folded.
    pub streams: u64,
    /// How many events they have.
    pub events: u64,
    /// What is wrong, gravest first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.findings.is_empty()
    }
}

/// What to do about each kind of finding.
fn then(rule: Rule) -> &'static str {
    match rule {
        Rule::Chain | Rule::Time => {
            "keep the database as it is, compare it with a backup or an exported head, and find out who could write to it"
        }
        Rule::Storage => "stop the engine, copy the database and its log, and restore the latest good backup",
        Rule::Differs => "stop the engine and report it; the events are right, what was derived from them can be rebuilt",
        Rule::Abandoned => "`ephor task override` ends or frees the task; report how it came here",
        Rule::Lost
        | Rule::TwoLeases
        | Rule::Late
        | Rule::EndChanged
        | Rule::Undecided
        | Rule::Skipped
        | Rule::Effect
        | Rule::Swallowed => "report it with this stream's events; nothing of it may be relied on until it is understood",
    }
}

/// Examines a database. `now` is the engine's time, for keys that have run out.
pub fn doctor(reader: &dyn Reader, now: Time) -> Result<Report, StoreError> {
    let mut doctor = Doctor { reader, now, report: Report::default(), letters: HashMap::new(), ledger: None, laws: Vec::new() };
    doctor.laws = laws(reader)?;
    doctor.ledger = Ledger::begin(reader)?;
    doctor.tasks()?;
    for Kept { stream, version, what } in doctor.ledger.take().map(Ledger::judge).unwrap_or_default() {
        doctor.wrong(Rule::Skipped, stream, version, what);
    }
    doctor.agents()?;
    for kind in [StreamKind::Constitution, StreamKind::Schedule, StreamKind::Namespace] {
        doctor.pages(kind, |doctor, listed| doctor.links(listed.stream, |_, _| ()))?;
    }
    doctor.mail()?;
    doctor.counters()?;
    doctor.chain()?;
    for complaint in reader.check()? {
        doctor.found(Severity::Grave, Rule::Storage, None, None, complaint);
    }
    let mut report = doctor.report;
    report.findings.sort_by_key(|f| std::cmp::Reverse(f.severity));
    Ok(report)
}

/// Letters to a task that were sent and not taken, by their text: how many more were sent than taken.
type OnTheirWay = HashMap<String, i64>;

/// From which position on which constitution was in force.
fn laws(reader: &dyn Reader) -> Result<Vec<(u64, Box<str>)>, StoreError> {
    let mut laws = Vec::new();
    amending::each_event(reader, |event, position, _, _| {
        if let ConstitutionEvent::ConstitutionAdopted(adopted) = event {
            laws.push((position, adopted.paper.digest.clone()));
        }
    })?;
    Ok(laws)
}

struct Doctor<'a> {
    reader: &'a dyn Reader,
    now: Time,
    report: Report,
    letters: HashMap<TaskId, OnTheirWay>,
    /// What was handed out, where there ever was a hold or a limit.
    ledger: Option<Ledger>,
    /// From which position on which constitution was in force.
    laws: Vec<(u64, Box<str>)>,
}

impl Doctor<'_> {
    fn found(&mut self, severity: Severity, rule: Rule, stream: Option<StreamId>, version: Option<u64>, what: String) {
        if self.report.findings.len() < FOUND_MAX {
            let finding = Finding { severity, rule, stream, version, position: None, what, then: then(rule) };
            self.report.findings.push(finding);
        }
    }

    fn wrong(&mut self, rule: Rule, stream: StreamId, version: u64, what: String) {
        self.found(Severity::Grave, rule, Some(stream), Some(version), what);
    }

    fn breached(&mut self, stream: StreamId, version: u64, breaches: Vec<Breach>) {
        for Breach { rule, what } in breaches {
            self.wrong(rule, stream, version, what);
        }
    }

    fn pages(
        &mut self,
        kind: StreamKind,
        mut each: impl FnMut(&mut Self, Listed) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let page = self.reader.streams(kind, after, PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.number;
            for listed in page {
                self.report.streams += 1;
                each(self, listed)?;
            }
        }
    }

    fn tasks(&mut self) -> Result<(), StoreError> {
        self.pages(StreamKind::Task, Self::task)
    }

    /// One task: its events one by one, then what was derived from them.
    fn task(&mut self, listed: Listed) -> Result<(), StoreError> {
        let stream = listed.stream;
        let Some(id) = stream.task() else { return Ok(()) };
        let mut examined = Examined::new(id);
        self.ledger.as_mut().into_iter().for_each(Ledger::turn_page);
        let snapshot = self.reader.snapshot(stream)?;
        let mut after = 0;
        loop {
            let Some(page) = self.page(stream, after)? else { return Ok(()) };
            let Some(last) = page.last() else { break };
            after = last.version.max(after + 1);
            for stored in &page {
                self.event(id, &mut examined, stored)?;
                if let Some((at, body)) = snapshot.as_ref().filter(|(at, _)| *at == examined.task.version) {
                    self.snapshot(stream, *at, body, &examined);
                }
            }
        }
        if examined.task.version == 0 {
            self.wrong(Rule::Differs, stream, 0, "there is a row, but no event".into());
            return Ok(());
        }
        self.row(&listed, &examined);
        let at_rest = examined.witness.at_rest();
        // What more there is to settle at once waits for the clock.
        if examined.task.wake_at().is_none_or(|at| at > self.now) {
            self.breached(stream, examined.task.version, at_rest);
        }
        if !examined.task.waits_on_somebody() {
            let what = format!("it is {} and waits on nobody", examined.task.status());
            self.wrong(Rule::Abandoned, stream, examined.task.version, what);
        }
        self.privacy(stream, &examined)?;
        self.names(stream, &examined)
    }

    /// The next events of a stream; `None` when one of them cannot be read, which is told. The walk over the whole log goes on behind it.
    fn page(&mut self, stream: StreamId, after: u64) -> Result<Option<Vec<StoredEvent>>, StoreError> {
        match self.reader.stream_events(stream, after, PAGE) {
            Ok(page) => Ok(Some(page)),
            Err(StoreError::Corrupt { version, why, .. }) => {
                self.wrong(Rule::Storage, stream, version, format!("it cannot be read: {why}"));
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// A snapshot that this release would go on from says what the events say.
    fn snapshot(&mut self, stream: StreamId, version: u64, body: &[u8], examined: &Examined) {
        if live::Live::thaw(version, body).is_some_and(|frozen| frozen.task != examined.task) {
            self.wrong(Rule::Differs, stream, version, "its snapshot is not what its events say".into());
        }
    }

    fn event(&mut self, id: TaskId, examined: &mut Examined, stored: &StoredEvent) -> Result<(), StoreError> {
        self.report.events += 1;
        let taken = examined.take(stored);
        if matches!(taken.event, Some(Event::Assigned(_) | Event::EffectGranted(_))) {
            let in_force = self.laws.iter().rev().find(|(since, _)| *since < stored.position).map(|(_, digest)| digest);
            let by = examined.task.facts.constitution.as_ref();
            if let Some(in_force) = in_force.filter(|in_force| Some(*in_force) != by) {
                let what = format!("{} under the constitution {by:?}, and {in_force} was in force", stored.kind);
                self.wrong(Rule::Undecided, stored.stream, stored.version, what);
            }
        }
        if let (Some(ledger), Some(event)) = (&mut self.ledger, &taken.event) {
            ledger.see(stored, event, examined);
        }
        self.breached(stored.stream, stored.version, taken.breaches);
        for (target, letter) in taken.sent {
            *self.letters.entry(target).or_default().entry(text(&letter)).or_default() += 1;
        }
        if let Some(Event::MailTaken { letters }) = &taken.event {
            for letter in letters {
                *self.letters.entry(id).or_default().entry(text(letter)).or_default() -= 1;
            }
        }
        for child in taken.born {
            if self.reader.status(child.into())?.is_none() {
                self.wrong(Rule::Lost, stored.stream, stored.version, format!("{child} was born from it and is not there"));
            }
        }
        Ok(())
    }

    /// The index row is what the events say; it may only ring too early.
    fn row(&mut self, listed: &Listed, examined: &Examined) {
        let task = &examined.task;
        let wanted = live::row_of(task, task.open_keys());
        let row = &listed.row;
        let early = wanted.wake_at.is_none_or(|must| row.wake_at.is_some_and(|is| is <= must));
        let (stream, version) = (listed.stream, task.version);
        if !early || (task.end().is_some() && row.wake_at.is_some()) {
            self.wrong(
                Rule::Differs,
                stream,
                version,
                format!("it wakes at {:?} and should at {:?}", row.wake_at, wanted.wake_at),
            );
        }
        let differ = [
            ("status", row.status != wanted.status),
            ("open work", row.open != wanted.open),
            ("priority", row.priority != wanted.priority || row.rank != wanted.rank),
            ("times", (row.created_at, row.ended_at, row.due_at) != (wanted.created_at, wanted.ended_at, wanted.due_at)),
            ("title", row.title != wanted.title),
            ("risk", row.risk != wanted.risk),
            (
                "names",
                (&row.namespace, &row.task_type, &row.external_id) != (&wanted.namespace, &wanted.task_type, &wanted.external_id),
            ),
            (
                "subject",
                (&row.owner_type, &row.subject_ref_type, &row.subject_ref_id, row.autonomy)
                    != (&wanted.owner_type, &wanted.subject_ref_type, &wanted.subject_ref_id, wanted.autonomy),
            ),
            ("place in the live set", row.archived != wanted.archived),
            // What a database of before says may be too much.
            ("question to people", wanted.asks_since.is_some() && row.asks_since.is_none()),
            ("owner", (&row.source, &row.owner_id, row.parent) != (&wanted.source, &wanted.owner_id, wanted.parent)),
        ];
        for (what, _) in differ.iter().filter(|(_, differs)| *differs) {
            let rule = if *what == "status" && task.end().is_some() { Rule::EndChanged } else { Rule::Differs };
            self.wrong(rule, stream, version, format!("the {what} in its row is not what its events say"));
        }
    }

    /// What was erased is gone, and nothing else is.
    fn privacy(&mut self, stream: StreamId, examined: &Examined) -> Result<(), StoreError> {
        let erased = examined.task.is_erased();
        let mut after = 0;
        loop {
            let Some(page) = self.page(stream, after)? else { return Ok(()) };
            let Some(last) = page.last() else { return Ok(()) };
            after = last.version.max(after + 1);
            for stored in &page {
                let Some(private) = &stored.private else { continue };
                let gone = private.body == PrivateBody::Erased;
                if gone && !erased {
                    self.wrong(Rule::Lost, stream, stored.version, "its private part is gone, but nobody erased it".into());
                }
                // Nor are words told after that.
                if !gone && erased {
                    let what = "it was erased, but a private part is still there".into();
                    self.found(Severity::Minor, Rule::Swallowed, Some(stream), Some(stored.version), what);
                    if let Some(finding) = self.report.findings.last_mut() {
                        finding.then = "`ephor task erase` once more";
                    }
                }
            }
        }
    }

    /// A task that goes by a name of its caller's holds that name.
    fn names(&mut self, stream: StreamId, examined: &Examined) -> Result<(), StoreError> {
        let facts = &examined.task.facts;
        let Some(name) = &facts.external_id else { return Ok(()) };
        let key = external_key(&facts.namespace, facts.source.as_deref().unwrap_or(""), name);
        match self.reader.unique(&key, self.now.0)? {
            Some(row) if row.stream == stream => Ok(()),
            Some(row) => {
                self.wrong(Rule::Differs, stream, 1, format!("its name {name} is held by {}", row.stream));
                Ok(())
            }
            None => {
                self.wrong(Rule::Differs, stream, 1, format!("its name {name} is held by nobody"));
                Ok(())
            }
        }
    }

    fn agents(&mut self) -> Result<(), StoreError> {
        self.pages(StreamKind::Agent, |doctor, listed| {
            let mut agent = Agent::unknown(AgentId::from_bits(listed.stream.bits));
            doctor.links(listed.stream, |doctor, stored| match serde_json::from_str::<AgentEvent>(&stored.data) {
                Ok(event) => agent.evolve(&event),
                Err(error) => doctor.wrong(Rule::Storage, stored.stream, stored.version, error.to_string()),
            })
        })
    }

    /// A stream that is no task: its chain, and whatever else there is to say about each event.
    fn links(&mut self, stream: StreamId, mut each: impl FnMut(&mut Self, &StoredEvent)) -> Result<(), StoreError> {
        let (mut hash, mut version) = (crate::codec::GENESIS, 0);
        loop {
            let Some(page) = self.page(stream, version)? else { return Ok(()) };
            let Some(last) = page.last() else { return Ok(()) };
            let next = last.version.max(version + 1);
            for stored in &page {
                self.report.events += 1;
                version += 1;
                let breaches = examine::link(&mut hash, version, stored);
                self.breached(stream, stored.version, breaches);
                each(self, stored);
            }
            version = next;
        }
    }

    /// Counters are what events add up to. No event of this release changes one, so none may stand.
    fn counters(&mut self) -> Result<(), StoreError> {
        for (key, value) in self.reader.counters()? {
            let what = format!("the counter {key} stands at {value}, and no event explains it");
            self.found(Severity::Grave, Rule::Differs, None, None, what);
        }
        Ok(())
    }

    /// The mail in the store is what was sent and not taken; those who have ended get none.
    fn mail(&mut self) -> Result<(), StoreError> {
        let mut waiting: Vec<(TaskId, OnTheirWay)> = std::mem::take(&mut self.letters).into_iter().collect();
        waiting.sort_unstable_by_key(|(id, _)| *id);
        for (id, mut letters) in waiting {
            let stream = StreamId::from(id);
            letters.retain(|_, n| *n != 0);
            let live = self.reader.status(stream)?.is_some_and(|status: Status| !status.is_final());
            if let Some(letter) = letters.iter().find(|(_, n)| **n < 0).map(|(letter, _)| letter.clone()) {
                self.found(
                    Severity::Grave,
                    Rule::Differs,
                    Some(stream),
                    None,
                    format!("it took a letter that nobody sent: {letter}"),
                );
            }
            for row in self.reader.mail(stream, u32::MAX)? {
                let Ok(envelope) = serde_json::from_str::<Envelope>(&row.body) else {
                    self.found(Severity::Grave, Rule::Storage, Some(stream), None, "a letter to it cannot be read".into());
                    continue;
                };
                *letters.entry(text(&envelope.letter)).or_default() -= 1;
            }
            letters.retain(|_, n| *n != 0);
            let mut left: Vec<(String, i64)> = letters.into_iter().collect();
            left.sort_unstable();
            for (letter, n) in left {
                let what = if n > 0 { "is lost" } else { "waits, but nobody sent it, or it was taken already" };
                if live || n < 0 {
                    self.found(Severity::Grave, Rule::Lost, Some(stream), None, format!("the letter {letter} {what}"));
                }
            }
        }
        Ok(())
    }

    /// The whole log in order: positions, time, commits. The chain of each stream was followed with its fold.
    fn chain(&mut self) -> Result<(), StoreError> {
        let mut chain = Chain::new();
        chain.events(self.reader, |_, _| ())?;
        chain.commits(self.reader, None)?;
        let seen = self.report.events;
        if chain.report.events != seen {
            let what = format!("the log has {} events, the streams have {seen}", chain.report.events);
            self.found(Severity::Grave, Rule::Chain, None, None, what);
        }
        self.report.findings.extend(chain.report.findings);
        Ok(())
    }
}

fn text(letter: &Letter) -> String {
    serde_json::to_string(letter).expect("letters are plain data")
}
