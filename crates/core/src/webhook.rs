//! Webhooks: who is told of what by a call over HTTP. Subscriptions are no facts of a task and stand in no event; what they tell is.

use crate::id::WebhookId;
use crate::plan::{Problem, is_word};
use crate::time::WireTime;
use serde::{Deserialize, Serialize};

/// The longest address, in bytes.
const URL_MAX: usize = 2_048;
/// How many types of tasks a subscription may name.
const TYPES_MAX: usize = 50;

/// What a subscription may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Topic {
    /// A task completed.
    #[serde(rename = "task.completed")]
    Completed,
    /// A task failed.
    #[serde(rename = "task.failed")]
    Failed,
    /// A task was cancelled.
    #[serde(rename = "task.cancelled")]
    Cancelled,
    /// A task was stopped.
    #[serde(rename = "task.stopped")]
    Stopped,
    /// A task is blocked: nothing of it moves without something from outside.
    #[serde(rename = "task.blocked")]
    Blocked,
    /// A task waits too long for an agent.
    #[serde(rename = "task.stalled")]
    Stalled,
    /// A decision about a task is owed.
    #[serde(rename = "task.escalated")]
    Escalated,
    /// A person has to approve of a single action.
    #[serde(rename = "approval.owed")]
    ApprovalOwed,
    /// A question to people stays open: the next on the ladder are told.
    #[serde(rename = "question.raised")]
    QuestionRaised,
    /// The council has to look.
    #[serde(rename = "review.opened")]
    ReviewOpened,
    /// Nothing happened: somebody tries whether messages arrive.
    #[serde(rename = "webhook.test")]
    Test,
}

impl Topic {
    /// Each that one may subscribe to.
    pub const ALL: [Self; 10] = [
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Stopped,
        Self::Blocked,
        Self::Stalled,
        Self::Escalated,
        Self::ApprovalOwed,
        Self::QuestionRaised,
        Self::ReviewOpened,
    ];

    /// Its word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Completed => "task.completed",
            Self::Failed => "task.failed",
            Self::Cancelled => "task.cancelled",
            Self::Stopped => "task.stopped",
            Self::Blocked => "task.blocked",
            Self::Stalled => "task.stalled",
            Self::Escalated => "task.escalated",
            Self::ApprovalOwed => "approval.owed",
            Self::QuestionRaised => "question.raised",
            Self::ReviewOpened => "review.opened",
            Self::Test => "webhook.test",
        }
    }

    /// The topic of a word; the test is none to subscribe to.
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.word() == word)
    }
}

/// In which form messages are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// As Standard Webhooks has them: `{type, timestamp, data}`.
    #[default]
    Standard,
    /// As a CloudEvent 1.0 in structured mode. The headers and the signature are the same.
    Cloudevents,
}

/// The wish to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// A name for people: letters, digits, `_`, `-`, `.`.
    pub name: String,
    /// Where messages go: `https://…`.
    pub url: String,
    /// Of what: words like `task.failed`; completion, failure, block, escalation and approvals owed where nothing is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Topic>,
    /// Only of tasks of these types; of all where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub task_types: Vec<String>,
    /// Only of tasks of this namespace; of all where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// In which form.
    #[serde(default)]
    pub format: Format,
}

impl NewWebhook {
    /// What is wrong with it, if anything is. Whether the address may be reached is another matter.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |field: &str, message: String| problems.push(Problem::new(field, message));
        if !is_word(&self.name) {
            problem("name", "1 to 128 letters, digits, `_`, `-`, `.`, `:`".into());
        }
        if self.url.len() > URL_MAX || !(self.url.starts_with("https://") || self.url.starts_with("http://")) {
            problem("url", format!("an address that begins with https:// or http://, of at most {URL_MAX} bytes"));
        }
        if self.events.contains(&Topic::Test) {
            problem("events", format!("{} is told to whoever is tried", Topic::Test.word()));
        }
        if self.task_types.len() > TYPES_MAX || !self.task_types.iter().all(|name| is_word(name)) {
            problem("task_types", format!("at most {TYPES_MAX}, each 1 to 128 letters, digits, `_`, `-`, `.`, `:`"));
        }
        if let Some(name) = self.namespace.as_deref().filter(|name| !is_word(name)) {
            problem("namespace", format!("{name:?}: 1 to 128 letters, digits, `_`, `-`, `.`, `:`"));
        }
        problems
    }

    /// Of what it is told.
    pub fn topics(&self) -> Vec<Topic> {
        match self.events.is_empty() {
            true => vec![Topic::Completed, Topic::Failed, Topic::Blocked, Topic::Escalated, Topic::ApprovalOwed],
            false => {
                let mut topics = self.events.clone();
                topics.sort_unstable();
                topics.dedup();
                topics
            }
        }
    }
}

/// Whether a subscription is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WebhookState {
    /// Messages go out.
    Active,
    /// The last message did not arrive; it is tried again.
    Failing,
    /// Somebody paused it. What happens meanwhile is told once it goes on.
    Paused,
    /// It failed for too long, or its receiver said that it is gone. Resuming goes on where it ended.
    Off,
}

/// A subscription, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookView {
    /// Its id.
    pub id: WebhookId,
    /// Its name.
    pub name: String,
    /// Where messages go. What stands behind a `?` may be a secret and is left out.
    pub url: String,
    /// Of what it is told.
    pub events: Vec<Topic>,
    /// Of which types of tasks alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub task_types: Vec<String>,
    /// Of which namespace alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// In which form.
    pub format: Format,
    /// Whether it is served.
    pub state: WebhookState,
    /// Why it is off, or how the last message failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Since when nothing has arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<WireTime>,
    /// When the next try is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<WireTime>,
    /// The position up to which everything was told.
    pub position: u64,
    /// How many events have happened since that were not looked at yet.
    pub behind: u64,
    /// When it was made.
    pub created_at: WireTime,
}

/// A subscription that was just made, with its secret: it is shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MadeWebhook {
    /// What signs its messages: `whsec_` and base 64.
    pub secret: String,
    /// The subscription.
    #[serde(flatten)]
    pub view: WebhookView,
}

/// One try to deliver a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryView {
    /// Its number: redelivered by this.
    pub id: u64,
    /// The id of the message, the same in each try.
    pub message_id: String,
    /// What it told.
    pub event: Topic,
    /// The position of the event behind it; 0 for a test.
    pub position: u64,
    /// The task it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<crate::id::TaskId>,
    /// Which try of this message, from 1.
    pub attempt: u32,
    /// Whether it arrived.
    pub delivered: bool,
    /// The status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// When.
    pub at: WireTime,
}
