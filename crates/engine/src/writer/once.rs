//! What is asked of an agent, or said about a namespace, under a key that makes it harmless to say again. The key is taken in the commit
//! that does what was asked, and remembers what that was about; what was refused takes none.

use super::batch::{Ask, Batch};
use super::decide::unreadable;
use super::{Done, IDEMPOTENCY_MS, Idempotency, Job, Writer};
use crate::store::{Guard, Store, StoreError, UniqueRow};
use ephor_core::command::{Answer, Refusal};
use ephor_core::id::{StreamId, StreamKind};
use ephor_core::status::Status;
use serde::{Deserialize, Serialize};

/// Something that is done once, however often it is said.
#[derive(Debug)]
pub(crate) struct Once {
    /// Of an agent or a namespace; nothing else is done so.
    pub(crate) what: Job,
    pub(crate) idempotency: Idempotency,
    /// What it is about: the id that is made by it.
    pub(crate) of: String,
}

/// What the holder of such a key leaves for whoever asks again.
#[derive(Serialize, Deserialize)]
struct Noted {
    digest: String,
    of: String,
}

/// What something was about that was done under this key.
pub(crate) fn about(row: &UniqueRow) -> Result<String, StoreError> {
    serde_json::from_str(&row.value).map(|noted: Noted| noted.of).map_err(|e| unreadable(row, &e))
}

impl<S: Store> Writer<S> {
    pub(super) fn once(&mut self, batch: &mut Batch, ask: Ask, once: Once) -> Result<Result<Done, Refusal>, StoreError> {
        let Once { what, idempotency: Idempotency { key, digest }, of } = once;
        let stream = match &what {
            Job::Agent { id, .. } => StreamId::from(*id),
            Job::Namespace { name, .. } => StreamId::named(StreamKind::Namespace, name),
            Job::Submit(_)
            | Job::Task { .. }
            | Job::Asked(_)
            | Job::Keep { .. }
            | Job::Many(_)
            | Job::Constitution { .. }
            | Job::Claim(_)
            | Job::Once(_)
            | Job::Erase { .. } => return Ok(Err(Refusal::NoWork("tasks have terms of their own"))),
        };
        if let Some(held) = self.holder(batch, &key)? {
            let known: Noted = serde_json::from_str(&held.value).map_err(|e| unreadable(&held, &e))?;
            if known.digest != digest {
                return Ok(Err(Refusal::IdempotencyMismatch));
            }
            // Where it was said in this very batch, both stand or fall together.
            if let Some(group) = group_of(batch, held.stream) {
                batch.depends.push((ask, group));
            }
            return Ok(Ok(Done { task: None, status: Status::Pending, version: 0, answer: Answer::Done, repeated: true }));
        }
        let done = match self.decide_one(batch, ask, what)? {
            Ok(done) => done,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let group = group_of(batch, stream).expect("what was done touched it");
        let value = serde_json::to_string(&Noted { digest, of }).expect("plain data");
        let until = Some(batch.now.plus(IDEMPOTENCY_MS).0);
        batch.hold(group, Guard::Unique { key, until, value, stream });
        Ok(Ok(done))
    }
}

/// The group of this batch that an agent or a namespace is in.
fn group_of(batch: &Batch, stream: StreamId) -> Option<super::batch::GroupNo> {
    let agent = batch.agents.iter().find(|(id, _)| StreamId::from(**id) == stream).map(|(_, touched)| touched.group);
    let of_name = |name: &str| StreamId::named(StreamKind::Namespace, name) == stream;
    agent.or_else(|| batch.namespaces.iter().find(|(name, _)| of_name(name)).map(|(_, touched)| touched.group))
}
