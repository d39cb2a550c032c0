//! The constitution in the writer: what is asked of it, and the law that follows. A law counts from the command on that put it in force;
//! where that is not written, the one before counts again.

use super::batch::{Ask, Batch, GroupNo};
use super::decide::plain_event;
use super::{Done, Job, Jobs, Writer};
use crate::codec::GENESIS;
use crate::house::{self, House};
use crate::store::{NewEvent, Reader, Store, StoreError};
use ephor_core::command::{Answer, Refusal};
use ephor_core::constitution::{AdoptedFrom, Assembly, Constitution, ConstitutionCommand, ConstitutionEvent, Law};
use ephor_core::event::Actor;
use ephor_core::id::{StreamId, StreamKind};
use ephor_core::status::Status;
use ephor_core::time::Time;
use std::sync::Arc;

/// The name of the one stream there is of a constitution.
pub(crate) const NAME: &str = "constitution";

/// The constitution as it is written.
pub(super) struct Standing {
    pub(super) house: Arc<House>,
    state: Arc<Constitution>,
    hash: [u8; 32],
    law: Option<Arc<Law>>,
    /// How often the numbers of the house had been exchanged when they were taken over last.
    exchanged: u64,
}

/// The constitution where a batch has touched it.
pub(super) struct TouchedConstitution {
    state: Constitution,
    hash: [u8; 32],
    pub(super) follows: u64,
    pub(super) group: GroupNo,
    pub(super) events: Vec<NewEvent>,
    /// The law in force by now.
    law: Option<Arc<Law>>,
}

impl Standing {
    pub(super) fn new(house: Arc<House>) -> Self {
        let law = house.policy().law.clone();
        Self { house, state: Arc::default(), hash: GENESIS, law, exchanged: 0 }
    }
}

/// The stream of the constitution.
pub(crate) fn stream() -> StreamId {
    StreamId::named(StreamKind::Constitution, NAME)
}

/// Tells every event of the constitution in order, with who did it; answers the hash of the last.
pub(crate) fn each_event(
    reader: &dyn Reader,
    mut tell: impl FnMut(&ConstitutionEvent, u64, Time, &str),
) -> Result<[u8; 32], StoreError> {
    let Some(head) = reader.head(stream())? else { return Ok(GENESIS) };
    let mut after = 0;
    loop {
        let events = reader.stream_events(stream(), after, 100)?;
        let Some(last) = events.last() else { return Ok(head.hash) };
        after = last.version;
        for stored in &events {
            let event = serde_json::from_str(&stored.data).map_err(|e| corrupt(stored.version, e.to_string()))?;
            tell(&event, stored.position, Time(stored.at), &stored.actor);
        }
    }
}

fn corrupt(version: u64, why: String) -> StoreError {
    StoreError::Corrupt { stream: stream(), version, why }
}

impl<S: Store> Writer<S> {
    /// Reads what is in force, and lets the document that the configuration names count where it may. A house without a law has no
    /// constitution.
    pub(super) fn read_constitution(&mut self, now: Time, mono: u64) -> Result<(), StoreError> {
        let Some(configured) = self.policy.law.clone() else { return Ok(()) };
        let mut state = Constitution::default();
        let hash = each_event(&*self.reader, |event, _, at, by| state.evolve(event, at, by))?;
        let law = match &state.in_force {
            Some(paper) => Some(law_of(&paper.text, state.version)?),
            None => Some(configured.clone()),
        };
        if configured.digest() == Law::shipped().digest() && state.in_force.is_none() {
            configured.paper().into_iter().for_each(|paper| state.assume(paper));
        }
        self.standing.state = Arc::new(state);
        self.standing.hash = hash;
        self.standing.law = law;
        self.obey_what_stands();
        if let Some(job) = configuring(&configured) {
            self.batch(&mut Jobs::from([(0, job)]), now, mono)?;
        }
        Ok(())
    }

    /// The constitution as it is written.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn constitution(&self) -> Arc<Constitution> {
        self.standing.state.clone()
    }

    /// The law that is written counts, and everybody may see it.
    fn obey_what_stands(&mut self) {
        let law = self.standing.law.clone();
        self.policy = house::under(&self.policy, law.clone());
        self.standing.house.put(self.standing.state.clone(), law);
    }

    /// Takes over the numbers of the house where others have taken their place; a batch that begins is decided by them.
    pub(super) fn take_numbers_over(&mut self) {
        let exchanged = self.standing.house.exchanged();
        if std::mem::replace(&mut self.standing.exchanged, exchanged) != exchanged {
            self.policy = house::under(&self.standing.house.policy(), self.policy.law.clone());
            // Who sits in the council may be other people now.
            self.count_helpers();
        }
    }

    pub(super) fn amend(
        &mut self,
        batch: &mut Batch,
        ask: Ask,
        command: ConstitutionCommand,
        actor: &Actor,
    ) -> Result<Result<Done, Refusal>, StoreError> {
        if self.standing.law.is_none() {
            return Ok(Err(Refusal::NotFound { what: "constitution", id: "in force".into() }));
        }
        let configures = matches!(command, ConstitutionCommand::Configure { .. });
        if batch.constitution.is_none() {
            let group = batch.group();
            let Standing { state, hash, law, .. } = &self.standing;
            batch.constitution = Some(TouchedConstitution {
                state: (**state).clone(),
                hash: *hash,
                follows: state.version,
                group,
                events: Vec::new(),
                law: law.clone(),
            });
        }
        let touched = batch.constitution.as_mut().expect("it was made sure of just now");
        let cx = Assembly { now: batch.now, actor, judges: &self.judges, solo: self.policy.solo };
        let (events, answer) = touched.state.handle(command, cx);
        for event in events {
            let version = touched.follows + touched.events.len() as u64 + 1;
            let data = serde_json::to_string(&event).expect("an event is plain data");
            let made = plain_event(stream(), version, &touched.hash, event.kind(), data, actor, batch.now);
            touched.hash = made.hash;
            touched.events.push(made);
            if let ConstitutionEvent::ConstitutionAdopted(adopted) = &event {
                let law = law_of(&adopted.paper.text, version)?;
                touched.law = Some(law.clone());
                self.policy = house::under(&self.policy, Some(law));
            }
        }
        let (group, version) = (touched.group, touched.follows + touched.events.len() as u64);
        batch.depends.push((ask, group));
        if let Err(refusal) = &answer
            && configures
        {
            tracing::warn!(%refusal, "the document that the configuration names is not put in force");
        }
        Ok(answer.map(|()| Done { task: None, status: Status::Pending, version, answer: Answer::Done, repeated: false }))
    }

    /// What was decided about the constitution is written, or is not.
    pub(super) fn amended(&mut self, touched: Option<TouchedConstitution>, stands: bool) {
        let Some(touched) = touched else { return };
        if stands && !touched.state_is(&self.standing) {
            let TouchedConstitution { state, hash, law, .. } = touched;
            self.standing.state = Arc::new(state);
            self.standing.hash = hash;
            self.standing.law = law;
        }
        self.obey_what_stands();
    }

    /// Nothing of what was decided last is written: the law before it counts.
    pub(super) fn obey_as_before(&mut self) {
        let same = self.policy.law.as_ref().map(|law| law.digest()) == self.standing.law.as_ref().map(|law| law.digest());
        if !same {
            self.obey_what_stands();
        }
    }
}

impl TouchedConstitution {
    fn state_is(&self, standing: &Standing) -> bool {
        self.state.version == standing.state.version
    }
}

/// Lets the document that a configuration names count where it may.
pub(crate) fn configuring(law: &Law) -> Option<Job> {
    let from = if law.digest() == Law::shipped().digest() { AdoptedFrom::Shipped } else { AdoptedFrom::File };
    let command = ConstitutionCommand::Configure { paper: law.paper()?, from };
    Some(Job::Constitution { command, actor: Actor::human("operator") })
}

/// A document that was in order when it was accepted.
fn law_of(text: &str, version: u64) -> Result<Arc<Law>, StoreError> {
    let law = Law::read(text).map_err(|flaws| {
        let flaws: Vec<_> = flaws.iter().map(ToString::to_string).collect();
        corrupt(version, format!("the constitution that is in force cannot be read by this release: {}", flaws.join("; ")))
    })?;
    Ok(Arc::new(law))
}
