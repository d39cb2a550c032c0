//! Who submits, and what their tasks may hang on to. The one place that keeps who belongs to a namespace from naming a task of another's,
//! however the request came in.

use crate::store::{Filter, Reader, StoreError};
use ephor_core::command::Refusal;
use ephor_core::event::{Actor, Submitted};
use ephor_core::id::TaskId;

/// Who submits.
#[derive(Clone, Debug, PartialEq)]
pub struct Submitter {
    /// How they are named in events.
    pub actor: Actor,
    /// The only namespace they reach; all where it is missing. What lies in another does not exist for them.
    pub within: Option<Box<str>>,
}

impl From<Actor> for Submitter {
    fn from(actor: Actor) -> Self {
        Self { actor, within: None }
    }
}

/// The tasks a submission names, each by the field that does.
pub(crate) fn named(facts: &Submitted) -> impl Iterator<Item = (&'static str, TaskId)> {
    let parent = facts.parent.as_ref().map(|parent| ("parent_task_id", parent.task));
    let others = facts.depends_on.iter().map(|id| ("depends_on", *id)).chain(parent);
    let tried = facts.retry_of.map(|id| ("retry_of", id));
    others.chain(tried).chain(facts.related.map(|id| ("related_task_id", id)))
}

/// A no where a submission is for another namespace than its author's, or names a task that is not there for them. Tasks stay in their
/// namespace and are never deleted, so that what is seen here still holds when the writer decides.
pub(crate) fn check(reader: &dyn Reader, facts: &Submitted, own: &str) -> Result<Result<(), Refusal>, StoreError> {
    if *facts.namespace != *own {
        let why = format!("nothing may be submitted to {:?} with a key for {own:?}", facts.namespace);
        return Ok(Err(Refusal::Forbidden(why)));
    }
    let within = Filter { namespace: Some(own.to_owned()), ..Filter::default() };
    for (field, id) in named(facts) {
        if reader.listed(id.into(), &within)?.is_none() {
            return Ok(Err(Refusal::NoSuchTask { field, id }));
        }
    }
    Ok(Ok(()))
}
