//! Checks a receipt, with nothing at hand but its bytes. Nothing in it is believed that can be derived: the hashes are computed anew, the
//! votes counted anew, the summary made anew from the events, and the events asked the rules a second time by the witness.
//!
//! What cannot be known from a receipt alone is said as well: whether events followed, and whether somebody made the whole of it up.

use super::{BYTES_MAX, hex, locate, place, render, summarised, unhex};
use crate::codec::{self, GENESIS};
use crate::examine::Examined;
use crate::store::{PrivateBody, PrivatePart, StoredEvent};
use crate::witness::Rule;
use ephor_core::event::{ApprovalWord, Event};
use ephor_core::id::TaskId;
use ephor_core::receipt::derive::{Known, ballot, summary};
use ephor_core::receipt::{FORM, Receipt, ReceiptEvent};
use ephor_core::status::Status;
use ephor_core::task::Task;
use ephor_core::time::Time;
use serde_json::Value;
use std::collections::BTreeSet;

/// How many findings are told; more would hide the first.
const FOUND_MAX: usize = 100;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where: `event 3: actor`, `commit 1: root`, `summary.effects[0].outcome`, `line 7, column 3 (event 1: at)`.
    pub place: String,
    /// What, in one sentence.
    pub what: String,
}

/// What a receipt is worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The task it is about, where that can be read.
    pub task: Option<TaskId>,
    /// Where the task is by its last event.
    pub status: Option<Status>,
    /// How many events were checked.
    pub events: u64,
    /// How many commits.
    pub commits: u64,
    /// How many decisions were counted or derived anew: verdicts of the council and digests of approvals.
    pub decisions: u64,
    /// The hash of its last commit, for comparison with a database (`audit verify --head`).
    pub head: Option<[u8; 32]>,
    /// What is wrong; empty where all holds.
    pub found: Vec<Found>,
    /// What cannot be known from this receipt.
    pub unknown: Vec<String>,
}

impl Verdict {
    /// Whether it is as it was written.
    pub fn is_whole(&self) -> bool {
        self.found.is_empty()
    }

    fn found(&mut self, place: impl Into<String>, what: impl Into<String>) {
        let found = Found { place: place.into(), what: what.into() };
        if self.found.len() < FOUND_MAX && !self.found.contains(&found) {
            self.found.push(found);
        }
    }
}

/// Checks a receipt. `kept` is a head that was kept elsewhere: it has to be that of a commit in it.
pub fn verify(bytes: &[u8], kept: Option<[u8; 32]>) -> Verdict {
    let mut verdict = Verdict::default();
    let Some((text, receipt)) = read(bytes, &mut verdict) else { return verdict };
    let task = named(&receipt, &mut verdict);
    verdict.task = Some(task);
    let broken = chain(task, &receipt, &mut verdict);
    words(&receipt.events, &mut verdict);
    commits(&receipt, &broken, &mut verdict);
    heads(&receipt, kept, &mut verdict);
    if let Some(known) = decoded(&receipt.events, &mut verdict) {
        rules(task, &known, &mut verdict);
        approvals(task, &known, &mut verdict);
        let derived = summary(task, &known);
        verdict.status = Some(derived.task.status);
        for (i, review) in derived.reviews.iter().enumerate() {
            let (Some(tally), Some(said), Some(decided)) = (review.tally, review.verdict, &review.decided) else { continue };
            verdict.decisions += 1;
            let place = format!("event {}: data", decided.event);
            if tally != review.counted {
                verdict.found(place.clone(), format!("the votes of review {} counted anew are not those of its verdict", i + 1));
            }
            if ballot(review).verdict(decided.at.0) != Some(said) {
                verdict.found(place, format!("the verdict of review {} does not follow from its votes and terms", i + 1));
            }
        }
        let derived = summarised(task, &known);
        differences("summary", &receipt.summary, &derived, &mut verdict);
        // Names out of order, other blanks, another way to write a number: the same content, but not the bytes that were written.
        let written = render(&Receipt { task, summary: derived, ..receipt.clone() });
        if verdict.is_whole() && written != text {
            let at = written.bytes().zip(text.bytes()).take_while(|(one, other)| one == other).count();
            let (line, column) = place::line_of(text, at);
            let place = format!("line {line}, column {column} ({})", place::of(text, at));
            verdict.found(place, "it says what it should, but in other bytes than a receipt is written in");
        }
    }
    unknown(&receipt, kept, &mut verdict);
    verdict
}

/// The document, if it is one.
fn read<'a>(bytes: &'a [u8], verdict: &mut Verdict) -> Option<(&'a str, Receipt)> {
    if bytes.len() > BYTES_MAX {
        verdict.found("the document", format!("it has {} bytes; a receipt has at most {BYTES_MAX}", bytes.len()));
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let (at, lossy) = (error.valid_up_to(), String::from_utf8_lossy(bytes));
            // Up to there it is text, so the offset is the same in both.
            let (line, column) = place::line_of(&lossy, at);
            verdict.found(
                format!("line {line}, column {column} ({})", place::of(&lossy, at)),
                "a byte that is no text stands there",
            );
            return None;
        }
    };
    match serde_json::from_str::<Receipt>(text) {
        Ok(receipt) if receipt.receipt != FORM => {
            let form = receipt.receipt;
            verdict.found("receipt", format!("it says that its form is {form}; this release knows {FORM}"));
            None
        }
        Ok(receipt) => Some((text, receipt)),
        Err(error) => {
            let at = place::offset(text, error.line(), error.column());
            let place = format!("line {}, column {} ({})", error.line(), error.column(), place::of(text, at));
            verdict.found(place, format!("it cannot be read: {error}"));
            None
        }
    }
}

/// The task it is about. Where it calls itself by another name than its summary, and its first event goes with that one, it is the name
/// that was changed.
fn named(receipt: &Receipt, verdict: &mut Verdict) -> TaskId {
    let said = receipt.summary["task"]["id"].as_str().and_then(|id| id.parse::<TaskId>().ok());
    let fits = |task| {
        receipt
            .events
            .first()
            .is_some_and(|first| locate::hash_after(task, &GENESIS, first).map(|h| hex(&h)) == Some(first.hash.clone()))
    };
    match said {
        Some(other) if other != receipt.task && fits(other) && !fits(receipt.task) => {
            verdict.found("task", format!("the events are those of {other}"));
            other
        }
        Some(_) | None => receipt.task,
    }
}

/// Each event follows the one before it. Answers with the hash each really has, where it was the hash that was changed.
fn chain(task: TaskId, receipt: &Receipt, verdict: &mut Verdict) -> Vec<Option<[u8; 32]>> {
    let events = &receipt.events;
    let mut made = vec![None; events.len()];
    if events.is_empty() {
        verdict.found("events", "there are none");
    }
    let mut previous = GENESIS;
    for (i, event) in events.iter().enumerate() {
        verdict.events += 1;
        let number = i + 1;
        let (computed, said) = (locate::hash_after(task, &previous, event), unhex::<32>(&event.hash));
        if event.version != number as u64 {
            verdict.found(format!("event {number}: version"), format!("it says it is number {}", event.version));
        }
        if let (Some(computed), true) = (computed, computed != said) {
            // Where what comes after was made over the hash it should have, it is the hash that was changed.
            let next = events.get(i + 1);
            let goes_on = match next {
                Some(next) => locate::hash_after(task, &computed, next).is_some_and(|hash| hex(&hash) == next.hash),
                None => receipt.commits.iter().any(|commit| commit.hashes.contains(&hex(&computed))),
            };
            if goes_on {
                verdict.found(format!("event {number}: hash"), "it is not the hash of this event");
                made[i] = Some(computed);
                previous = computed;
                continue;
            }
            for field in locate::fields(events, i, &receipt.summary) {
                verdict.found(
                    format!("event {number}: {field}"),
                    "its hash does not follow from it and the event before: it is not the event that was written",
                );
            }
        } else if computed.is_none() {
            verdict.found(format!("event {number}: digest"), "it is no SHA-256 in hexadecimal");
        }
        previous = said.unwrap_or_else(|| {
            verdict.found(format!("event {number}: hash"), "it is no SHA-256 in hexadecimal");
            computed.unwrap_or(GENESIS)
        });
    }
    made
}

/// The words are those the events were written with, where they are there; and where they are not, somebody erased them.
fn words(events: &[ReceiptEvent], verdict: &mut Verdict) {
    let erased = events.iter().rposition(|event| event.kind == "ERASED");
    let mut gone = 0_u64;
    for (i, event) in events.iter().enumerate() {
        let place = |field: &str| format!("event {}: {field}", i + 1);
        match (&event.digest, &event.salt, &event.words) {
            (None, None, None) => {}
            (Some(_), None, None) if erased.is_some_and(|erased| i < erased) => gone += 1,
            (Some(_), None, None) => verdict.found(place("words"), "its words are gone, but nobody erased them"),
            (Some(digest), Some(salt), Some(words)) => {
                let Some(salt) = unhex::<16>(salt) else {
                    verdict.found(place("salt"), "it is no salt: 32 hexadecimal digits");
                    continue;
                };
                if hex(&codec::private_digest(&salt, words.as_bytes())) != *digest {
                    // Where the digest itself is the one that was changed, the chain has said so.
                    let said = place("digest");
                    if !verdict.found.iter().any(|found| found.place == said) {
                        verdict.found(place("words"), "the words, or their salt, are not those it was written with");
                    }
                }
            }
            (None, ..) => verdict.found(place("digest"), "there are words, but no digest of them"),
            (Some(_), None, Some(_)) => verdict.found(place("salt"), "there are words, but no salt"),
            (Some(_), Some(_), None) => verdict.found(place("words"), "there is a salt, but no words"),
        }
    }
    if gone > 0 {
        verdict.unknown.push(format!("what the words of {gone} events said: they were erased, only their digests are left"));
    }
}

/// Every event stands where it says in a commit, and each commit is over the events it says.
fn commits(receipt: &Receipt, made: &[Option<[u8; 32]>], verdict: &mut Verdict) {
    let mut sound = BTreeSet::new();
    for (i, commit) in receipt.commits.iter().enumerate() {
        verdict.commits += 1;
        let number = i + 1;
        let hashes: Option<Vec<[u8; 32]>> = commit.hashes.iter().map(|hash| unhex(hash)).collect();
        let (previous, root, hash) = (unhex::<32>(&commit.previous), unhex::<32>(&commit.root), unhex::<32>(&commit.hash));
        let holds = match (hashes, previous, root, hash) {
            (Some(hashes), Some(previous), Some(root), Some(hash)) => {
                hashes.len() as u64 == (commit.last + 1).saturating_sub(commit.first)
                    && codec::commit_root(&hashes) == root
                    && codec::commit_hash(&previous, commit.first, commit.last, &root) == hash
            }
            _ => false,
        };
        if !holds {
            let mut field = locate::of_commit(&receipt.commits, i).to_owned();
            if field == "hashes"
                && let Some(at) = changed_hash(receipt, i, made)
            {
                field = format!("hashes[{at}]");
            }
            verdict.found(format!("commit {number}: {field}"), "its hash does not follow from it and the commit before");
        } else {
            sound.insert(i);
        }
        if let Some(before) = i.checked_sub(1).map(|before| &receipt.commits[before]) {
            if commit.first <= before.last {
                verdict.found(format!("commit {number}: first"), "it begins before the one before it ends");
            } else if commit.first == before.last + 1 && commit.previous != before.hash && sound.contains(&i) {
                verdict.found(format!("commit {number}: previous"), "it does not follow the commit before it");
            }
        }
    }
    let mut used = BTreeSet::new();
    let mut last = 0;
    for (i, event) in receipt.events.iter().enumerate() {
        let place = format!("event {}: position", i + 1);
        let within = receipt.commits.iter().position(|commit| (commit.first..=commit.last).contains(&event.position));
        if event.position <= last {
            verdict.found(place.clone(), "it stands before the event it follows");
        }
        last = last.max(event.position);
        let Some(c) = within else {
            // A commit whose borders were changed covers something else.
            if sound.len() == receipt.commits.len() {
                verdict.found(place, "no commit of the receipt covers it");
            }
            continue;
        };
        used.insert(c);
        let hash = made[i].map_or_else(|| event.hash.clone(), |hash| hex(&hash));
        let commit = &receipt.commits[c];
        let there = commit.hashes.get(usize::try_from(event.position - commit.first).unwrap_or(usize::MAX));
        let doubted = verdict.found.iter().any(|found| found.place.starts_with(&format!("event {}:", i + 1)));
        if sound.contains(&c) && !doubted && there != Some(&hash) {
            verdict.found(place, "another event stands there in its commit");
        }
    }
    for c in (0..receipt.commits.len()).filter(|c| !used.contains(c) && sound.contains(c)) {
        verdict.found(format!("commit {}", c + 1), "none of the events was written in it");
    }
}

/// Which hash of a commit is not that of the event of the task that stands there.
fn changed_hash(receipt: &Receipt, c: usize, made: &[Option<[u8; 32]>]) -> Option<usize> {
    let commit = &receipt.commits[c];
    receipt.events.iter().zip(made).find_map(|(event, made)| {
        let at = usize::try_from(event.position.checked_sub(commit.first)?).ok()?;
        let hash = made.map_or_else(|| event.hash.clone(), |hash| hex(&hash));
        (*commit.hashes.get(at)? != hash).then_some(at)
    })
}

/// The last commit, and whether the receipt passes through a head that was kept.
fn heads(receipt: &Receipt, kept: Option<[u8; 32]>, verdict: &mut Verdict) {
    verdict.head = receipt.commits.last().and_then(|last| unhex(&last.hash));
    if let Some(kept) = kept
        && !receipt.commits.iter().any(|commit| commit.hash == hex(&kept))
    {
        verdict.found("commits", "the head that was kept is not that of a commit of this receipt");
    }
}

/// The events, read.
fn decoded<'a>(events: &'a [ReceiptEvent], verdict: &mut Verdict) -> Option<Vec<Known<'a>>> {
    let mut known = Vec::with_capacity(events.len());
    for (i, entry) in events.iter().enumerate() {
        let read = ephor_core::event::read(entry.schema, &entry.data);
        let event = match read {
            Ok(event) => event,
            Err(why) => {
                verdict.found(format!("event {}: data", i + 1), format!("it cannot be read: {why}"));
                return None;
            }
        };
        let words = match entry.words.as_deref().map(serde_json::from_str).transpose() {
            Ok(words) => words,
            Err(why) => {
                verdict.found(format!("event {}: words", i + 1), format!("they cannot be read: {why}"));
                return None;
            }
        };
        known.push(Known { stored: entry, event, words });
    }
    Some(known)
}

/// The witness: what must never happen, by the events alone.
fn rules(task: TaskId, known: &[Known<'_>], verdict: &mut Verdict) {
    let mut examined = Examined::new(task);
    for (i, known) in known.iter().enumerate() {
        let stored = restored(task, known.stored);
        for breach in examined.take(&stored).breaches.into_iter().filter(|breach| breach.rule != Rule::Chain) {
            // Which of its fields was changed has been said already, where one was.
            if !verdict.found.iter().any(|found| found.place.starts_with(&format!("event {}:", i + 1))) {
                let field = if breach.rule == Rule::Time { "at" } else { "data" };
                verdict.found(format!("event {}: {field}", i + 1), breach.what);
            }
        }
        if known.event.kind() != known.stored.kind {
            let place = format!("event {}: kind", i + 1);
            verdict.found(place, format!("its facts are those of {}", known.event.kind()));
        }
    }
}

/// An event as the store would give it.
fn restored(task: TaskId, entry: &ReceiptEvent) -> StoredEvent {
    let private = entry.digest.as_ref().map(|digest| PrivatePart {
        digest: unhex(digest).unwrap_or_default(),
        salt: entry.salt.as_deref().and_then(unhex).unwrap_or_default(),
        body: entry.words.as_ref().map_or(PrivateBody::Erased, |words| PrivateBody::Inline(words.clone().into_bytes())),
    });
    StoredEvent {
        position: entry.position,
        stream: super::stream(task),
        version: entry.version,
        at: entry.at,
        kind: entry.kind.clone(),
        actor: entry.actor.clone(),
        before: entry.before,
        after: entry.after,
        schema: entry.schema,
        data: entry.data.clone(),
        private,
        hash: unhex(&entry.hash).unwrap_or_default(),
    }
}

/// The digests approvals are bound to, derived anew from the task as it was then. Under which constitution it was asked is not in the
/// question; where none that the events name fits, that is said.
fn approvals(task: TaskId, known: &[Known<'_>], verdict: &mut Verdict) {
    let mut laws: BTreeSet<Option<Box<str>>> = BTreeSet::from([None]);
    let (mut fold, mut complete, mut foreign) = (Task::unborn(task), true, 0_u64);
    for (i, known) in known.iter().enumerate() {
        complete &= known.stored.digest.is_none() || known.words.is_some();
        let about = match &known.event {
            Event::Submitted(facts) => {
                laws.insert(facts.constitution.clone());
                None
            }
            Event::JudgedAnew(anew) => {
                laws.insert(Some(anew.constitution.clone()));
                None
            }
            Event::ApprovalAsked(asked) => Some((&asked.step, &asked.digest, &asked.args_digest)),
            // A no, and silence, are about what was asked, whatever has become of it since.
            Event::ApprovalAnswered { step, digest, args_digest, answer: ApprovalWord::Approved, .. } => {
                Some((step, digest, args_digest))
            }
            _ => None,
        };
        if let Some((step, digest, args)) = about.filter(|_| complete) {
            let bound: Vec<_> = laws.iter().filter_map(|law| fold.bound_to(step, law.as_deref())).collect();
            verdict.decisions += 1;
            if !bound.is_empty() && bound.iter().all(|(_, own)| own != args) {
                verdict
                    .found(format!("event {}: data", i + 1), format!("the parameters of step {step} were others than it says"));
            } else if bound.iter().all(|(own, _)| own != digest) {
                foreign += 1;
            }
        }
        fold.take_in(&known.event, known.words.as_ref(), Time(known.stored.at));
    }
    if foreign > 0 {
        verdict.unknown.push(format!(
            "under which constitution {foreign} digests of approvals were made: none that the events name gives them"
        ));
    }
    if !complete {
        verdict.unknown.push("whether the digests of approvals follow from the words of the task: some are gone".into());
    }
}

/// Where the summary differs from what follows from the events.
fn differences(path: &str, said: &Value, derived: &Value, verdict: &mut Verdict) {
    let what = "it does not follow from the events";
    match (said, derived) {
        (Value::Object(said), Value::Object(derived)) => {
            for (name, value) in derived {
                match said.get(name) {
                    Some(said) => differences(&format!("{path}.{name}"), said, value, verdict),
                    None => verdict.found(format!("{path}.{name}"), "it is missing"),
                }
            }
            for name in said.keys().filter(|name| !derived.contains_key(*name)) {
                verdict.found(format!("{path}.{name}"), what);
            }
        }
        (Value::Array(said), Value::Array(derived)) => {
            for (i, (said, derived)) in said.iter().zip(derived).enumerate() {
                differences(&format!("{path}[{i}]"), said, derived, verdict);
            }
            if said.len() != derived.len() {
                verdict.found(path, format!("it has {} entries; from the events follow {}", said.len(), derived.len()));
            }
        }
        (said, derived) if said == derived => {}
        _ => verdict.found(path, what),
    }
}

/// What a receipt cannot say.
fn unknown(receipt: &Receipt, kept: Option<[u8; 32]>, verdict: &mut Verdict) {
    let last = receipt.events.last().map_or(0, |last| last.version);
    let ended = receipt.events.last().and_then(|last| last.after).is_some_and(Status::is_final);
    let after = if ended { "remarks, or were erased" } else { "more events" };
    verdict.unknown.push(format!("whether after event {last} there were {after}: a receipt is of one moment"));
    if kept.is_none() {
        verdict.unknown.push(
            "whether somebody made up the whole of it: its hashes hold together, but only a head of the commit log that was kept elsewhere \
             (--head), or the database itself (ephor audit verify --receipt), shows that they were those of the log"
                .into(),
        );
    }
}
