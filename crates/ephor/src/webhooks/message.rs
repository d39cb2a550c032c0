//! What a webhook says: which events are told, in which words, and how a receiver knows who said it (Standard Webhooks).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ephor_core::event::Event;
use ephor_core::id::{TaskId, WebhookId};
use ephor_core::status::Status;
use ephor_core::time::{Time, WireTime};
use ephor_core::webhook::{Format, Topic};
use ephor_engine::outbox::Subscription;
use ephor_engine::store::{Fact, Row};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// What stands before a secret.
const SECRET: &str = "whsec_";

/// A message on its way to one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its id: the same in each try, so that whoever hears it twice can tell.
    pub(crate) id: String,
    /// What it tells.
    pub(crate) topic: Topic,
    /// The position of the event behind it; 0 for a test.
    pub(crate) position: u64,
    /// The task it is about.
    pub(crate) task: Option<TaskId>,
    /// What is sent.
    pub(crate) body: String,
    /// In which form.
    pub(crate) content_type: &'static str,
}

/// The event whose structure is needed to tell of it.
const RAISED: &str = "QUESTION_RAISED";
/// The events whose structure is read.
pub(super) const WANTED: [&str; 1] = [RAISED];

/// Who is told of a question that stays open; nobody where an event tells of something else.
fn told_now(fact: &Fact) -> Vec<Box<str>> {
    match serde_json::from_str(&fact.data) {
        Ok(Event::QuestionRaised(raised)) if fact.kind == RAISED => raised.to,
        _ => Vec::new(),
    }
}

/// What an event is told as, the most particular first.
pub(crate) fn topics_of(fact: &Fact) -> impl Iterator<Item = Topic> {
    let became = |status| fact.after == Some(status) && fact.before != Some(status);
    let is = |kind: &str| fact.kind == kind;
    [
        (is("APPROVAL_ASKED"), Topic::ApprovalOwed),
        (is(RAISED) && !told_now(fact).is_empty(), Topic::QuestionRaised),
        (is("REVIEW_OPENED"), Topic::ReviewOpened),
        (became(Status::Completed), Topic::Completed),
        (became(Status::Failed), Topic::Failed),
        (became(Status::Cancelled), Topic::Cancelled),
        (became(Status::Stopped), Topic::Stopped),
        (became(Status::Escalated), Topic::Escalated),
        (became(Status::Stalled) || is("STALL_NOTED") || is("STALL_ESCALATED"), Topic::Stalled),
        (became(Status::Blocked), Topic::Blocked),
    ]
    .into_iter()
    .filter(|(told, _)| *told)
    .map(|(_, topic)| topic)
}

/// As what a subscription is told of an event, if it is.
pub(crate) fn wanted(of: &Subscription, fact: &Fact) -> Option<Topic> {
    fact.stream.task()?;
    let here = of.namespace.as_deref().is_none_or(|namespace| namespace == fact.namespace);
    let such = of.task_types.is_empty() || of.task_types.contains(&fact.task_type);
    topics_of(fact).find(|topic| here && such && of.topics.contains(topic))
}

impl Message {
    /// What is told of an event. Of the task only what lists show.
    pub(crate) fn of(to: &Subscription, topic: Topic, fact: &Fact, row: &Row) -> Self {
        let task = fact.stream.task();
        let data = json!({
            "task_id": task,
            "external_id": row.external_id,
            "namespace": fact.namespace,
            "task_type": fact.task_type,
            "title": row.title,
            "source": row.source,
            "owner_id": row.owner_id,
            "status": fact.after,
            "status_before": fact.before,
            "event": fact.kind,
            "position": fact.position,
            "told": Some(told_now(fact)).filter(|told| !told.is_empty()),
        });
        let id = format!("msg_{}_{}", bare(to.id), fact.position);
        Self::written(to, id, topic, (fact.position, task), fact.at, data)
    }

    /// A message that tells nothing: whether messages arrive.
    pub(crate) fn test(to: &Subscription, at: Time) -> Self {
        let id = format!("msg_{}_test_{}", bare(to.id), at.0);
        Self::written(to, id, Topic::Test, (0, None), at.0, json!({"webhook_id": to.id, "name": to.name}))
    }

    fn written(
        to: &Subscription,
        id: String,
        topic: Topic,
        (position, task): (u64, Option<TaskId>),
        at: i64,
        mut data: Value,
    ) -> Self {
        if let Some(fields) = data.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        let at = WireTime(Time(at));
        let (body, content_type) = match to.format {
            Format::Standard => (json!({"type": topic, "timestamp": at, "data": data}), "application/json"),
            Format::Cloudevents => {
                let mut event = json!({"specversion": "1.0", "id": id, "source": "/ephor", "type": format!("ephor.{}", topic.word()),
                    "time": at, "datacontenttype": "application/json", "data": data});
                if let Some(task) = task {
                    event["subject"] = json!(task);
                }
                (event, "application/cloudevents+json")
            }
        };
        Self { id, topic, position, task, body: body.to_string(), content_type }
    }

    /// The headers of a try, signed. `None` where the secret is none.
    pub(crate) fn headers(&self, secret: &str, at: Time) -> Option<Vec<(&'static str, String)>> {
        let timestamp = at.0.div_euclid(1_000);
        let signature = sign(secret, &self.id, timestamp, &self.body)?;
        Some(vec![
            ("content-type", self.content_type.into()),
            ("webhook-id", self.id.clone()),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signature),
        ])
    }
}

/// A subscription's id without the word before it.
fn bare(id: WebhookId) -> String {
    id.to_string().rsplit('_').next().unwrap_or_default().to_owned()
}

/// The signature over id, time and body; `None` where the secret is none.
fn sign(secret: &str, id: &str, timestamp: i64, body: &str) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix(SECRET)?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// A new secret of 256 random bits; `None` where there is no randomness.
pub(crate) fn new_secret() -> Option<String> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(format!("{SECRET}{}", STANDARD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_standard() {
        // The example of the Standard Webhooks libraries.
        let signed = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            "{\"test\": 2432232314}",
        );
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(sign("no secret", "a", 1, "b"), None);
        let secret = new_secret().unwrap();
        assert!(secret != new_secret().unwrap() && sign(&secret, "a", 1, "b").is_some());
    }
}
