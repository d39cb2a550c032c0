//! One job at a time: the task is loaded, takes its mail, decides, and what came of it is encoded into the batch.

use super::batch::{Ask, Batch, GroupNo, LeaseChange, Mail, Stall, Touched, TouchedAgent, TouchedNamespace};
use super::births::Nursery;
use super::turns::held;
use super::{Done, IDEMPOTENCY_MS, Idempotency, Job, Known, LETTERS_MAX, MAIL_MAX, Reply, Roll, Submit, Ticket, Writer};
use crate::clock::Entropy;
use crate::codec::{self, GENESIS, Hashed};
use crate::leases::Granted;
use crate::live::Live;
use crate::sealed::Sealed;
use crate::store::{Guard, MailRow, NewEvent, Store, StoreError, UniqueRow};
use ephor_core::agent::{Agent, AgentCommand};
use ephor_core::command::{Answer, Birth, Command, Context, Handled, Hindered, Move, Refusal};
use ephor_core::event::{Actor, Assigned, Event, Letter, Private, ReassignCause, SCHEMA};
use ephor_core::id::{AgentId, StreamId, StreamKind, TaskId};
use ephor_core::namespace::NamespaceEvent;
use ephor_core::planted::{self, Fault};
use ephor_core::spec::ErrorClass;
use ephor_core::status::{BlockReason, Status};
use ephor_core::task::Task;
use ephor_core::time::Time;
use ephor_core::work::WorkKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Letters on their way, as the store keeps them.
#[derive(Serialize, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) letter: Letter,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) output: Value,
}

/// What the holder of an idempotency key leaves for whoever asks again.
#[derive(Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) digest: String,
    pub(super) task: TaskId,
    pub(super) status: Status,
    /// At which version; earlier releases did not say, and answered 1.
    #[serde(default = "one")]
    pub(super) version: u64,
}

fn one() -> u64 {
    1
}

impl<S: Store> Writer<S> {
    /// Decides one job and notes its answer.
    pub(super) fn decide(&mut self, batch: &mut Batch, ticket: Ticket, job: Job) -> Result<(), StoreError> {
        if let Some(instead) = &self.undone {
            // What this would be decided on was not written.
            batch.replies.push((ticket, instead.clone()));
            return Ok(());
        }
        match job {
            Job::Claim(claim) => {
                batch.jobs += 1;
                self.claim(batch, ticket, claim)
            }
            Job::Many(jobs) => {
                let mut answers = Vec::with_capacity(jobs.len());
                for (item, job) in jobs.into_iter().enumerate() {
                    answers.push(self.decide_one(batch, Ask { ticket, item }, job)?);
                }
                batch.replies.push((ticket, Reply::Many(answers)));
                Ok(())
            }
            one => {
                let answer = self.decide_one(batch, Ask { ticket, item: 0 }, one)?;
                if ticket != 0 {
                    batch.replies.push((ticket, Reply::One(answer)));
                }
                Ok(())
            }
        }
    }

    pub(super) fn decide_one(&mut self, batch: &mut Batch, ask: Ask, job: Job) -> Result<Result<Done, Refusal>, StoreError> {
        batch.jobs += 1;
        match job {
            Job::Submit(submit) => self.submit(batch, ask, *submit),
            Job::Task { task, command, actor } => self.command(batch, ask, task, command, &actor),
            Job::Asked(asked) => self.asked(batch, ask, *asked),
            Job::Keep { task, blob } => self.keep(batch, ask, task, blob),
            Job::Agent { id, command, actor } => self.agent(batch, ask, id, command, &actor),
            Job::Erase { task, actor } => {
                let done = self.command(batch, ask, task, Command::Erase, &actor)?;
                if let Ok(done) = &done {
                    batch.erase.push((task, done.version));
                }
                Ok(done)
            }
            Job::Namespace { name, event, actor } => self.namespace(batch, ask, &name, &event, &actor),
            Job::Constitution { command, actor } => self.amend(batch, ask, command, &actor),
            Job::Once(once) => {
                // What it wraps counts.
                batch.jobs -= 1;
                self.once(batch, ask, *once)
            }
            Job::Claim(_) | Job::Many(_) => Ok(Err(Refusal::NoWork("claims and batches do not nest"))),
        }
    }

    fn submit(&mut self, batch: &mut Batch, ask: Ask, mut submit: Submit) -> Result<Result<Done, Refusal>, StoreError> {
        if let Some(idempotency) = &submit.idempotency
            && let Some(held) = self.holder(batch, &idempotency.key)?
        {
            let known: Remembered = serde_json::from_str(&held.value).map_err(|e| unreadable(&held, &e))?;
            if known.digest != idempotency.digest {
                return Ok(Err(Refusal::IdempotencyMismatch));
            }
            // The answer of then: it waits for the same commit where that is still under way.
            batch.rely_on(ask, known.task);
            let Remembered { task, status, version, digest: _ } = known;
            let done = Done { task: Some(task), status, version, answer: Answer::Done, repeated: true };
            return Ok(Ok(done));
        }
        if let Err(refusal) = self.another_try(batch, &mut submit.submission, &submit.actor)? {
            return Ok(Err(refusal));
        }
        let facts = &submit.submission.facts;
        let mut guards = Vec::new();
        for (key, until) in unique_keys(facts, batch.now.plus(self.policy.duplicate_window.ms).0) {
            if let Some(held) = self.holder(batch, &key)?
                && let Some(existing) = held.stream.task()
            {
                if facts.retry_of == Some(existing) && key.starts_with("dup:") {
                    // It says itself that it is about the same, and that one is over.
                    continue;
                }
                batch.rely_on(ask, existing);
                return Ok(Err(taken(facts, &key, existing).why));
            }
            guards.push(Guard::Unique { key, until, value: String::new(), stream: submit.id.into() });
        }
        let parent = facts.parent.as_ref().map(|p| p.task);
        if let Some(parent) = parent {
            match self.status_of(batch, parent)? {
                None => return Ok(Err(Refusal::NoSuchTask { field: "parent_task_id", id: parent })),
                Some(status) if status.is_final() => {
                    batch.rely_on(ask, parent);
                    return Ok(Err(Refusal::Ended { status }));
                }
                Some(_) => {}
            }
        }
        let depends_on = facts.depends_on.clone();
        let ended = match self.ended_of(batch, &depends_on)? {
            Ok(ended) => ended,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let group = batch.group();
        // What was decided by what this batch did to others stands or falls with that.
        for other in depends_on.into_iter().chain(parent) {
            batch.join_task(group, other);
        }
        // What it gives birth to at once finds its names taken.
        guards.into_iter().for_each(|guard| batch.hold(group, guard));
        let idempotency = submit.idempotency.take();
        let done = self.give_birth(
            batch,
            group,
            Birth { id: submit.id, submission: submit.submission },
            submit.words,
            &submit.actor,
            &ended,
        )?;
        batch.depends.push((ask, group));
        let Ok(done) = done else { return Ok(done) };
        if let Some(Idempotency { key, digest }) = idempotency {
            let remembered = Remembered { digest, task: submit.id, status: done.status, version: done.version };
            let value = serde_json::to_string(&remembered).expect("plain data");
            let until = Some(batch.now.plus(IDEMPOTENCY_MS).0);
            let guard = Guard::Unique { key, until, value, stream: submit.id.into() };
            match planted::is(Fault::KeyNotCommitted) {
                true => batch.remember(&guard),
                false => batch.hold(group, guard),
            }
        }
        Ok(Ok(done))
    }

    /// Of the tasks somebody wants to wait for, those that have ended; each of them has to exist.
    fn ended_of(&mut self, batch: &Batch, tasks: &[TaskId]) -> Result<Result<Vec<(TaskId, Status)>, Refusal>, StoreError> {
        let mut ended = Vec::new();
        for on in tasks {
            match self.status_of(batch, *on)? {
                None => return Ok(Err(Refusal::NoSuchTask { field: "depends_on", id: *on })),
                Some(status) if status.is_final() => ended.push((*on, status)),
                Some(_) => {}
            }
        }
        Ok(Ok(ended))
    }

    /// Who holds a unique key, in this batch or in the store.
    pub(super) fn holder(&mut self, batch: &Batch, key: &str) -> Result<Option<UniqueRow>, StoreError> {
        if let Some(row) = batch.holder(key) {
            return Ok(Some(row.clone()));
        }
        self.await_key(key)?;
        self.reader.unique(key, batch.now.0)
    }

    /// Where a task is, with what this batch has done to it.
    fn status_of(&mut self, batch: &Batch, task: TaskId) -> Result<Option<Status>, StoreError> {
        if let Some(status) = batch.status(task) {
            return Ok(Some(status));
        }
        self.await_task(task)?;
        self.reader.status(task.into())
    }

    /// Brings a task to life in this batch, and whatever is born with it.
    fn give_birth(
        &mut self,
        batch: &mut Batch,
        group: GroupNo,
        birth: Birth,
        words: Option<Sealed>,
        actor: &Actor,
        ended: &[(TaskId, Status)],
    ) -> Result<Result<Done, Refusal>, StoreError> {
        let Birth { id, submission } = birth;
        let touched = Touched {
            live: Box::new(Live::unborn(id)),
            follows: 0,
            group,
            events: Vec::new(),
            words,
            blobs: Vec::new(),
            mail: Mail::Unread,
            mail_taken: Vec::new(),
            leases: Vec::new(),
            open: None,
        };
        batch.insert(id, touched);
        self.run(batch, id, Command::Submit(Box::new(submission)), actor, ended)
    }

    /// Asks something of a task that was born before.
    pub(super) fn command(
        &mut self,
        batch: &mut Batch,
        ask: Ask,
        task: TaskId,
        command: Command,
        actor: &Actor,
    ) -> Result<Result<Done, Refusal>, StoreError> {
        if let Some(refusal) = self.corrupt(task) {
            return Ok(Err(refusal));
        }
        if !self.touch(batch, task)? {
            self.mailbox.remove(&task);
            return Ok(Err(Refusal::NotFound { what: "task", id: task.to_string() }));
        }
        batch.rely_on(ask, task);
        match self.take_mail(batch, task)? {
            Mail::Taken | Mail::Unread => {}
            // It must not go on, nor end, before it has heard the rest.
            Mail::Left => return Ok(Err(Refusal::QueueFull)),
        }
        if let Some(refusal) = self.corrupt(task) {
            return Ok(Err(refusal));
        }
        if self.turns.is_idle() {
            return self.run(batch, task, command, actor, &[]);
        }
        match self.admit(&batch.tasks[&task].live.task, command, actor, batch.now) {
            Ok((command, places)) => {
                let done = self.run(batch, task, command, actor, &[])?;
                if done.is_ok() {
                    self.began(&places, batch.now);
                }
                Ok(done)
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// What a task that contradicts the rules is answered with.
    fn corrupt(&self, task: TaskId) -> Option<Refusal> {
        self.quarantine.get(&task).map(|why| Refusal::Corrupt { task: task.to_string(), why: why.clone() })
    }

    /// A task contradicts the rules: it answers nothing until somebody looks, and what hangs together with it in this batch is not written.
    fn put_in_quarantine(&mut self, batch: &mut Batch, task: TaskId, why: String) -> Refusal {
        tracing::error!(%task, why, "a task contradicts the rules and is quarantined");
        if let Some(touched) = batch.tasks.get(&task) {
            batch.spoil(touched.group, task);
        }
        self.mailbox.remove(&task);
        self.quarantine.insert(task, why.clone());
        Refusal::Corrupt { task: task.to_string(), why }
    }

    /// Brings a task into the batch. Answers whether it exists.
    pub(super) fn touch(&mut self, batch: &mut Batch, task: TaskId) -> Result<bool, StoreError> {
        if batch.tasks.contains_key(&task) {
            return Ok(true);
        }
        let Some(live) = self.load(task)? else { return Ok(false) };
        let touched = Touched {
            follows: live.task.version,
            group: batch.group(),
            events: Vec::new(),
            words: None,
            blobs: Vec::new(),
            mail: Mail::Unread,
            mail_taken: Vec::new(),
            leases: Vec::new(),
            open: live.row.as_ref().and_then(|r| r.open.clone()),
            live,
        };
        batch.insert(task, touched);
        Ok(true)
    }

    /// Lets a task hear what others told it before anything is asked of it: so nobody ends without having heard who waits for it.
    fn take_mail(&mut self, batch: &mut Batch, task: TaskId) -> Result<Mail, StoreError> {
        let target = StreamId::from(task);
        let mut rows = Vec::new();
        self.await_mail(task)?;
        let touched = batch.tasks.get_mut(&task).expect("it was touched before");
        match touched.mail {
            Mail::Left => return Ok(Mail::Left),
            Mail::Taken => {}
            Mail::Unread if self.mail_unread || self.mailbox.contains(&task) => {
                rows = self.reader.mail(target, LETTERS_MAX + 1)?;
                touched.mail = if rows.len() > LETTERS_MAX as usize { Mail::Left } else { Mail::Taken };
                rows.truncate(LETTERS_MAX as usize);
                touched.mail_taken.extend(rows.iter().map(|r| r.id));
            }
            Mail::Unread => touched.mail = Mail::Taken,
        }
        let left = touched.mail;
        if left == Mail::Taken {
            self.mailbox.remove(&task);
            self.take_fresh(batch, task, &mut rows);
        }
        let mut letters = rows.into_iter().map(open_letter).collect::<Result<Vec<_>, _>>()?.into_iter().peekable();
        while letters.peek().is_some() && self.corrupt(task).is_none() {
            let (letters_now, outputs) = letters.by_ref().take(MAIL_MAX as usize).unzip();
            let more = letters.peek().is_some() || left == Mail::Left;
            let take = Command::Take { letters: letters_now, outputs, more };
            let _refused = self.run(batch, task, take, &Actor::settle(), &[])?;
        }
        Ok(left)
    }

    /// Letters of this very batch are not in the store yet; whoever takes them stands or falls with whoever wrote them.
    fn take_fresh(&self, batch: &mut Batch, task: TaskId, rows: &mut Vec<MailRow>) {
        let target = StreamId::from(task);
        let mut fresh = Vec::new();
        batch.mail.retain(|(group, row)| {
            let mine = row.target == target;
            if mine {
                fresh.push((*group, row.clone()));
            }
            !mine
        });
        for (group, row) in fresh {
            let own = batch.tasks[&task].group;
            batch.join(own, group);
            rows.push(row);
        }
    }

    /// Whether a touched task would do all of this, one after the other. Nothing happens: a copy of it decides.
    pub(super) fn would_do<'c>(
        &self,
        batch: &Batch,
        task: TaskId,
        asked: impl Iterator<Item = (&'c Command, &'c Actor)>,
    ) -> Result<Result<(), Refusal>, StoreError> {
        let live = &batch.tasks[&task].live;
        let judges = live.impartial(&self.judges, None);
        let nursery = Nursery::new(&*self.reader, batch, &self.cache, self.policy.duplicate_window.ms, self.underway.as_ref());
        let shut = self.trust.shut_models(&live.task.facts.namespace, batch.now);
        let roll = Roll(&self.agents);
        let mut copy = live.task.clone();
        let mut would = Ok(());
        for (command, actor) in asked {
            let context = Context {
                now: batch.now,
                actor,
                own: live.is_own(&actor.id),
                policy: &self.policy,
                counter: 0,
                judges: &judges,
                analyst: self.analysts > 0,
                ended: &[],
                births: &nursery,
                agents: &roll,
                held_back: self.is_held_back(&live.task, batch.now),
                told_to_stop: self.tells_to_stop(&live.task, command, actor),
                shut_models: &shut,
            };
            let Handled { answer, corrupt, .. } = copy.handle(command.clone(), &context);
            if corrupt.is_some() {
                // Done in earnest it is told, and the task is quarantined.
                break;
            }
            if let Err(refusal) = answer {
                would = Err(refusal);
                break;
            }
        }
        // What it would hold, nobody holds.
        nursery.close()?;
        Ok(would)
    }

    /// Lets a touched task decide, and encodes what came of it.
    fn run(
        &mut self,
        batch: &mut Batch,
        task: TaskId,
        command: Command,
        actor: &Actor,
        ended: &[(TaskId, Status)],
    ) -> Result<Result<Done, Refusal>, StoreError> {
        let mut touched = batch.tasks.remove(&task).expect("it was touched before");
        let held_before = held(&touched.live.task);
        let counter = match &command {
            Command::LeaseLapsed { work, attempt, .. } => self.leases().counter(task, work, *attempt).unwrap_or(0),
            _ => 0,
        };
        let author = match &command {
            Command::Submit(submission) => Some(submission.facts.author.clone().unwrap_or_else(|| actor.id.clone())),
            _ => None,
        };
        let namespace = match &command {
            Command::Submit(submission) => &submission.facts.namespace,
            _ => &touched.live.task.facts.namespace,
        };
        let shut = self.trust.shut_models(namespace, batch.now);
        let judges = touched.live.impartial(&self.judges, author.as_deref());
        let nursery = Nursery::new(&*self.reader, batch, &self.cache, self.policy.duplicate_window.ms, self.underway.as_ref());
        let roll = Roll(&self.agents);
        let context = Context {
            now: batch.now,
            actor,
            own: touched.live.is_own(&actor.id),
            policy: &self.policy,
            counter,
            judges: &judges,
            analyst: self.analysts > 0,
            ended,
            births: &nursery,
            agents: &roll,
            held_back: self.is_held_back(&touched.live.task, batch.now),
            told_to_stop: self.tells_to_stop(&touched.live.task, &command, actor),
            shut_models: &shut,
        };
        let Handled { moves, answer, unsettled, corrupt } = touched.live.task.handle(command, &context);
        let held = nursery.close();
        let group = touched.group;
        batch.tasks.insert(task, touched);
        if let Some(why) = corrupt {
            return Ok(Err(self.put_in_quarantine(batch, task, why)));
        }
        let (held, seen) = held?;
        held.into_iter().for_each(|guard| batch.hold(group, guard));
        // What was decided by what this batch did to others stands or falls with that.
        seen.into_iter().for_each(|other| batch.join_task(group, other));
        if unsettled {
            self.reach("settled in parts");
            batch.unsettled.push(task);
        }
        let moved = !moves.is_empty();
        let births = self.encode(batch, task, moves);
        for birth in births.into_iter().filter(|_| !planted::is(Fault::BirthLost)) {
            if let Err(refusal) = self.bear(batch, task, birth)? {
                // What may be born was asked before it was decided: a refusal here is a fault of the rules.
                return Ok(Err(self.put_in_quarantine(batch, task, format!("a birth was refused: {refusal}"))));
            }
        }
        let touched = batch.tasks.get_mut(&task).expect("it was touched before");
        touched.open = touched.live.task.open_keys();
        let (status, version) = (touched.live.task.status(), touched.live.task.version);
        if !planted::is(Fault::OfferForgotten) {
            self.offer(&touched.live.task, touched.open.as_deref(), held_before, moved, batch.now);
        }
        Ok(answer.map(|answer| Done { task: Some(task), status, version, answer, repeated: false }))
    }

    /// Brings a task to life that another one gave birth to. Whose that one is, this one is too.
    fn bear(&mut self, batch: &mut Batch, parent: TaskId, mut birth: Birth) -> Result<Result<Done, Refusal>, StoreError> {
        let touched = &batch.tasks[&parent];
        let (group, author) = (touched.group, touched.live.author());
        birth.submission.facts.author = Some(author.into()).filter(|_| !planted::is(Fault::AuthorForgotten));
        let depends_on = birth.submission.facts.depends_on.clone();
        let ended = match self.ended_of(batch, &depends_on)? {
            Ok(ended) => ended,
            Err(refusal) => return Ok(Err(refusal)),
        };
        for other in depends_on {
            batch.join_task(group, other);
        }
        self.give_birth(batch, group, birth, None, &Actor::settle(), &ended)
    }

    /// Turns moves into events of the batch, and notes what follows from them outside of the task.
    fn encode(&mut self, batch: &mut Batch, task: TaskId, moves: Vec<Move>) -> Vec<Birth> {
        let mut births = Vec::new();
        let source = StreamId::from(task);
        let touched = batch.tasks.get_mut(&task).expect("it was touched before");
        if touched.events.is_empty() {
            // Most tasks are asked one thing in a batch.
            touched.events.reserve_exact(moves.len());
        }
        for made in moves {
            self.note_attempt(task, &made.event, &made.actor, batch.mono);
            let version = touched.follows + touched.events.len() as u64 + 1;
            let sealed = made
                .private
                .as_ref()
                .map(|words| touched.words.take().unwrap_or_else(|| Sealed::new(source, words, salt(&mut *self.entropy))));
            let private = sealed.map(|Sealed { part, blob }| {
                touched.blobs.extend(blob);
                part
            });
            let event = touched.live.encode(&made, batch.now, version, private);
            touched.events.push(event);
            if let Event::Assigned(assigned) = &made.event {
                let action = touched.live.task.action_of(&assigned.work);
                let action =
                    action.and_then(|action| self.leases.lock().expect("nobody panics while holding the leases").name(action));
                touched.leases.push(LeaseChange::Grant(granted(assigned, action, touched.live.task.contents.guidance.len())));
            }
            lease_changes(&made.event, made.private.as_ref(), &mut touched.leases);
            batch.failures |= matches!(touched.leases.last(), Some(LeaseChange::Failed(..)));
            if is_held_up(made.before) != is_held_up(made.after) {
                touched.leases.push(LeaseChange::HoldUp(is_held_up(made.after)));
            }
            batch.stalls.extend(stall(&made.event, &touched.live.task).map(|then| (touched.group, task, then)));
            let mail = if planted::is(Fault::MailLost) { Vec::new() } else { made.mail };
            for (ordinal, (target, letter, output)) in mail.into_iter().enumerate() {
                let body = serde_json::to_string(&Envelope { letter, output }).expect("letters are plain data");
                let id = mail_id(source, version, ordinal as u32);
                let row = MailRow { target: target.into(), id, source, source_version: version, body };
                if planted::is(Fault::MailDoubled) {
                    batch.mail.push((touched.group, MailRow { id: mail_id(source, version, u32::MAX), ..row.clone() }));
                }
                batch.mail.push((touched.group, row));
            }
            births.extend(made.births);
        }
        births
    }

    fn agent(
        &mut self,
        batch: &mut Batch,
        ask: Ask,
        id: AgentId,
        command: AgentCommand,
        actor: &Actor,
    ) -> Result<Result<Done, Refusal>, StoreError> {
        if let AgentCommand::Register(said) = &command
            && let Some(name) = &said.external_id
        {
            let key = format!("agent:{name}");
            let held = self.holder(batch, &key)?.map(|row| row.stream);
            if held.is_some_and(|stream| stream != StreamId::from(id)) {
                return Ok(Err(Refusal::AlreadySettled { what: "the agent's external_id" }));
            }
            if held.is_none() {
                let row = UniqueRow { key: key.clone(), until: None, value: String::new(), stream: id.into() };
                batch.uniques.insert(key.clone(), row);
                let group = self.touch_agent(batch, id);
                batch.guards.push((group, Guard::Unique { key, until: None, value: String::new(), stream: id.into() }));
            }
        }
        let group = self.touch_agent(batch, id);
        batch.depends.push((ask, group));
        let touched = batch.agents.get_mut(&id).expect("it was touched just now");
        let event = match touched.agent.handle(command) {
            Ok(event) => event,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(event) = event {
            let data = serde_json::to_string(&event).expect("an event is plain data");
            let made = plain_event(id.into(), touched.agent.version, &touched.hash, event.kind(), data, actor, batch.now);
            touched.hash = made.hash;
            touched.events.push(made);
        }
        Ok(Ok(Done {
            task: None,
            status: Status::Pending,
            version: touched.agent.version,
            answer: Answer::Done,
            repeated: false,
        }))
    }

    /// Records a fact about a namespace. Few of them come, so where the stream stands is asked of the store each time.
    fn namespace(
        &mut self,
        batch: &mut Batch,
        ask: Ask,
        name: &str,
        event: &NamespaceEvent,
        actor: &Actor,
    ) -> Result<Result<Done, Refusal>, StoreError> {
        let stream = StreamId::named(StreamKind::Namespace, name);
        if !batch.namespaces.contains_key(name) {
            let head = self.reader.head(stream)?;
            let (follows, hash) = head.map_or((0, GENESIS), |h| (h.version, h.hash));
            let group = batch.group();
            let touched = TouchedNamespace { flow: Vec::new(), hash, follows, group, events: Vec::new(), facts: Vec::new() };
            batch.namespaces.insert(name.into(), touched);
        }
        let now = batch.now;
        let touched = batch.namespaces.get_mut(name).expect("it was made sure of just now");
        let version = touched.follows + touched.events.len() as u64 + 1;
        let data = serde_json::to_string(event).expect("an event is plain data");
        let made = plain_event(stream, version, &touched.hash, event.kind(), data, actor, now);
        touched.hash = made.hash;
        if event.kind().starts_with("HOLD_") || event.kind().starts_with("LIMIT_") {
            touched.flow.push((event.clone(), made.actor.clone()));
        }
        touched.events.push(made);
        touched.facts.push(event.clone());
        let group = touched.group;
        batch.depends.push((ask, group));
        Ok(Ok(Done { task: None, status: Status::Pending, version, answer: Answer::Done, repeated: false }))
    }

    fn touch_agent(&mut self, batch: &mut Batch, id: AgentId) -> GroupNo {
        if let Some(touched) = batch.agents.get(&id) {
            return touched.group;
        }
        let group = batch.group();
        let known = self.agents.get(&id).cloned().unwrap_or_else(|| Known::new(Agent::unknown(id), GENESIS));
        let touched =
            TouchedAgent { follows: known.agent.version, agent: known.agent, hash: known.hash, group, events: Vec::new() };
        batch.agents.insert(id, touched);
        group
    }
}

/// What makes a private part unlike any other of the same words.
fn salt(entropy: &mut dyn Entropy) -> [u8; 16] {
    let mut salt = [0; 16];
    entropy.fill(&mut salt);
    salt
}

/// An event of a stream that is no task: without status and without words.
pub(super) fn plain_event(
    stream: StreamId,
    version: u64,
    previous: &[u8; 32],
    kind: &'static str,
    data: String,
    actor: &Actor,
    now: Time,
) -> NewEvent {
    let actor = actor.to_string();
    let hashed = Hashed {
        stream,
        version,
        at: now.0,
        kind,
        actor: &actor,
        before: None,
        after: None,
        schema: SCHEMA,
        data: &data,
        private: None,
    };
    let hash = codec::event_hash(previous, &hashed);
    NewEvent { at: now.0, kind, actor, before: None, after: None, schema: SCHEMA, data, private: None, hash }
}

/// The keys that nobody else may hold for this submission to be accepted, and until when.
pub(super) fn unique_keys(facts: &ephor_core::event::Submitted, window_ends: i64) -> Vec<(String, Option<i64>)> {
    let source = facts.source.as_deref().unwrap_or("");
    let named = !planted::is(Fault::NameShared);
    let external = facts.external_id.as_ref().filter(|_| named).map(|id| (external_key(&facts.namespace, source, id), None));
    let windowed = !planted::is(Fault::WindowIgnored);
    let subject = facts.subject_ref_id.as_ref().filter(|_| windowed).map(|id| {
        let kind = facts.subject_ref_type.as_deref().unwrap_or("");
        // Parts are separated by a character that none of them may hold.
        (format!("dup:{}\n{}\n{kind}\n{id}\n{source}", facts.namespace, facts.task_type), Some(window_ends))
    });
    let rerun = facts.retry_of.map(|before| (super::rerun::key(before), None));
    // What is more to the point is told first.
    rerun.into_iter().chain(external).chain(subject).collect()
}

/// Who holds one of these keys, as a no to the field that is the reason.
pub(super) fn taken(facts: &ephor_core::event::Submitted, key: &str, existing: TaskId) -> Hindered {
    match facts.retry_of {
        Some(before) if key.starts_with("rerun:") => Hindered { field: "retry_of", why: Refusal::RunAgain { before, existing } },
        Some(_) | None if key.starts_with("ext:") => Hindered { field: "external_id", why: Refusal::NameTaken { existing } },
        Some(_) | None => Hindered { field: "subject_ref_id", why: Refusal::Duplicate { existing } },
    }
}

/// The key under which a caller's own name for a task is unique: per namespace and source.
pub(crate) fn external_key(namespace: &str, source: &str, external_id: &str) -> String {
    format!("ext:{namespace}\n{source}\n{external_id}")
}

/// A lease as an event grants it.
fn granted(assigned: &Assigned, action: Option<Arc<str>>, told: usize) -> Granted {
    Granted {
        work: assigned.work.clone(),
        attempt: assigned.attempt,
        agent: assigned.agent,
        claim: assigned.claim,
        lease_ms: assigned.lease_ms,
        action,
        told,
    }
}

/// Whether a person holds a task that is there: nothing is expected of who works on it but signs of life.
pub(super) fn is_held_up(status: Status) -> bool {
    matches!(status, Status::Paused | Status::Escalated | Status::Deliberating)
}

/// What an event means for those who hold leases. Which of them have ended the task itself says once all is written.
fn lease_changes(event: &Event, private: Option<&Private>, changes: &mut Vec<LeaseChange>) {
    match event {
        Event::CancelRequested { .. } | Event::Paused { stop_running: true } => changes.push(LeaseChange::Stop(true)),
        Event::Resumed => changes.push(LeaseChange::Stop(false)),
        Event::Guided => {
            if let Some(Private::Text(text)) = private {
                changes.push(LeaseChange::Guide(text.clone()));
            }
        }
        Event::AttemptFailed(failed) => changes.push(LeaseChange::Failed(failed.work.clone(), failed.attempt, failed.class)),
        // Silence that is left to people.
        Event::StepBlocked { step, attempt, reason: BlockReason::AgentOffline, .. } => {
            changes.push(LeaseChange::Failed(WorkKey::Step(step.clone()), *attempt, ErrorClass::AgentLost));
        }
        Event::Submitted(_)
        | Event::StepBlocked { .. }
        | Event::Assigned(_)
        | Event::Released
        | Event::RunMissed { .. }
        | Event::PlanAccepted
        | Event::PlanRequested { .. }
        | Event::Planned(_)
        | Event::Started { .. }
        | Event::AttemptSucceeded(_)
        | Event::StepFailed { .. }
        | Event::StepSkipped { .. }
        | Event::ConditionMet { .. }
        | Event::Reoffered { .. }
        | Event::Expanded { .. }
        | Event::WaitStarted { .. }
        | Event::WaitEnded { .. }
        | Event::ChildBorn { .. }
        | Event::Unblocked
        | Event::BudgetCrossed(_)
        | Event::ModelChanged(_)
        | Event::QuestionRaised(_)
        | Event::ApprovalAsked(_)
        | Event::ApprovalAnswered { .. }
        | Event::ParamsChanged { .. }
        | Event::ResultJudged { .. }
        | Event::JudgedAnew(_)
        | Event::GateOpened { .. }
        | Event::GateJudged(_)
        | Event::ReviewOpened(_)
        | Event::VoteCast { .. }
        | Event::ReviewDecided { .. }
        | Event::TaskAttemptFailed { .. }
        | Event::RolledBack { .. }
        | Event::Retried { .. }
        | Event::Escalated { .. }
        | Event::EscalationDecided { .. }
        | Event::Paused { stop_running: false }
        | Event::Modified(_)
        | Event::Overridden { .. }
        | Event::SignalReceived { .. }
        | Event::Stalled
        | Event::StallNoted
        | Event::StallPutOff
        | Event::StallEscalated { .. }
        | Event::Unstalled
        | Event::SessionEnded
        | Event::Reassigned(_)
        | Event::EffectGranted(_)
        | Event::EffectSettled { .. }
        | Event::MailTaken { .. }
        | Event::LateReportKept { .. }
        | Event::Completed { .. }
        | Event::Failed { .. }
        | Event::Cancelled { .. }
        | Event::Stopped { .. }
        | Event::Archived
        | Event::Erased
        | Event::ReviewNoted => {}
    }
}

/// What followed from a task having waited too long for an agent, where an event says so.
fn stall(event: &Event, task: &Task) -> Option<Stall> {
    match event {
        Event::StepBlocked { step, reason: BlockReason::AgentOffline, .. } => {
            task.step_view_of(step).and_then(|view| view.agent).map(Stall::Offline)
        }
        Event::StallNoted => Some(Stall::Noted),
        Event::Stalled => Some(Stall::Marked),
        Event::StallEscalated { task } => Some(Stall::Escalated(*task)),
        Event::Reassigned(what) if what.cause == ReassignCause::Stalled => Some(Stall::Reassigned),
        _ => None,
    }
}

/// A letter as it travelled, and the output it brings.
fn open_letter(row: MailRow) -> Result<(Letter, Value), StoreError> {
    let envelope: Envelope = serde_json::from_str(&row.body).map_err(|e| StoreError::Corrupt {
        stream: row.source,
        version: row.source_version,
        why: format!("letter: {e}"),
    })?;
    Ok((envelope.letter, envelope.output))
}

/// The id of a letter follows from where it was written: sending again sends the same.
pub(crate) fn mail_id(source: StreamId, version: u64, ordinal: u32) -> [u8; 16] {
    let digest = Sha256::digest(format!("{source}:{version}:{ordinal}"));
    digest[..16].try_into().expect("a digest has 32 bytes")
}

pub(super) fn unreadable(row: &UniqueRow, error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt { stream: row.stream, version: 0, why: format!("unique key {:?}: {error}", row.key) }
}
