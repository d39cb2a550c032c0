//! One courier for each subscription: it reads on from where everything was told, and brings one message after the other. A message that
//! does not arrive is tried again after growing waits, and what comes behind it waits: that is the price of order. A receiver that says
//! that it will not have a message, and says so again, is not offered it for ever.

use super::{Message, Webhooks, message};
use crate::api::ApiError;
use crate::local::{blocking, store};
use ephor_agents::outgoing::{Answered, Trouble};
use ephor_core::id::WebhookId;
use ephor_core::time::Time;
use ephor_core::webhook::Topic;
use ephor_engine::Engine;
use ephor_engine::outbox::{Delivery, Standing, Subscription};
use ephor_engine::store::{Fact, Filter, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How many events are looked at at once.
const PAGE: u32 = 1_000;
/// How often a message is offered to a receiver that answers that it is wrong.
const REFUSED_MAX: u32 = 5;
/// The longest a receiver may ask to be left alone.
const LEFT_ALONE_MAX: Duration = Duration::from_secs(3_600);
/// How much of a receiver's words is kept, in characters.
const SAID_MAX: usize = 200;
/// How long a courier rests whose database does not answer.
const TROUBLED: Duration = Duration::from_secs(5);

/// What became of a try.
pub(super) struct Sent {
    pub(super) tried: Delivery,
    outcome: Outcome,
}

/// What follows from it.
enum Outcome {
    /// It arrived.
    Arrived,
    /// It may arrive later.
    Lost {
        /// How long the receiver asks to be left alone.
        after: Option<Duration>,
    },
    /// The receiver will not have it.
    Refused,
    /// The receiver is gone.
    Gone,
}

/// Serves a subscription until it is paused, off or gone, or the engine stops.
pub(super) async fn run(hooks: Arc<Webhooks>, id: WebhookId) {
    loop {
        match turn(&hooks, id).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(webhook = %id, %error, "a webhook has to wait");
                tokio::time::sleep(TROUBLED).await;
            }
        }
    }
}

/// Looks at the next events and tells those that are wanted, up to the first that does not arrive. Whether it goes on.
async fn turn(hooks: &Arc<Webhooks>, id: WebhookId) -> Result<bool, ApiError> {
    let Some(mut to) = hooks.with(move |outbox| outbox.one(id).map_err(store)).await? else { return Ok(false) };
    if to.paused || to.off.is_some() {
        return Ok(false);
    }
    if let Some(at) = to.next_try_at {
        tokio::time::sleep(Duration::from_millis(Time(at).since(hooks.engine.now()))).await;
    }
    let (engine, after) = (hooks.engine.clone(), to.position);
    let page: Vec<Fact> = blocking(move || engine.reader().facts(after, PAGE, &message::WANTED).map_err(store)).await?;
    if page.is_empty() {
        // Nothing comes once the engine has stopped.
        return Ok(hooks.engine.feed(after).next(1).await.is_ok_and(|came| !came.is_empty()));
    }
    for fact in &page {
        let Some(topic) = message::wanted(&to, fact) else { continue };
        let (engine, of, position) = (hooks.engine.clone(), to.clone(), fact.position);
        let message = blocking(move || message_at(&engine, &of, topic, position)).await?;
        let Some(message) = message else { continue };
        let sent = send(hooks, &to, &message, to.failures + 1).await?;
        let arrived = settle(hooks, &mut to, sent, fact.position).await?;
        if !arrived {
            return Ok(true);
        }
    }
    let last = page.last().map_or(to.position, |fact| fact.position);
    if last > to.position {
        let standing = Standing { position: last, ..Standing::default() };
        hooks.with(move |outbox| outbox.keep(id, &standing, None).map_err(store)).await?;
    }
    Ok(true)
}

/// The message about an event; none where it is gone.
pub(super) fn message_at(engine: &Engine, to: &Subscription, topic: Topic, position: u64) -> Result<Option<Message>, ApiError> {
    let reader = engine.reader();
    let told = || -> Result<Option<Message>, StoreError> {
        let found =
            reader.facts(position.saturating_sub(1), 1, &message::WANTED)?.into_iter().find(|fact| fact.position == position);
        let Some(fact) = found else { return Ok(None) };
        let listed = reader.listed(fact.stream, &Filter::default())?;
        Ok(listed.map(|listed| Message::of(to, topic, &fact, &listed.row)))
    };
    told().map_err(store)
}

/// Sends a message once.
pub(super) async fn send(hooks: &Webhooks, to: &Subscription, message: &Message, attempt: u32) -> Result<Sent, ApiError> {
    let (at, begun) = (hooks.engine.now(), Instant::now());
    let answer = match message.headers(&to.secret, at) {
        Some(headers) => hooks.outgoing()?.post(&to.url, &headers, message.body.clone(), hooks.options.timeout).await,
        None => Err(Trouble::Refused("its secret cannot be read".into())),
    };
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (outcome, status, error) = judged(answer);
    let tried = Delivery {
        no: 0,
        message_id: message.id.clone(),
        topic: message.topic,
        position: message.position,
        task: message.task,
        attempt,
        delivered: matches!(outcome, Outcome::Arrived),
        status,
        error,
        took_ms,
        at: at.0,
    };
    Ok(Sent { tried, outcome })
}

/// What an answer means, its status, and what went wrong.
fn judged(answer: Result<Answered, Trouble>) -> (Outcome, Option<u16>, Option<String>) {
    let Answered { status, retry_after, said } = match answer {
        Ok(answered) => answered,
        // An address that may not be reached today may be another tomorrow: names move.
        Err(Trouble::Refused(why) | Trouble::Lost(why)) => return (Outcome::Lost { after: None }, None, Some(why)),
    };
    let outcome = match status {
        200..=299 => return (Outcome::Arrived, Some(status), None),
        410 => Outcome::Gone,
        408 | 425 | 429 => Outcome::Lost { after: retry_after },
        400..=499 => Outcome::Refused,
        _ => Outcome::Lost { after: retry_after },
    };
    let said: String = said.chars().filter(|c| !c.is_control()).take(SAID_MAX).collect();
    let what = if (300..=399).contains(&status) { "it redirects, which is not followed" } else { "it did not take it" };
    let error = if said.is_empty() { format!("{what}: {status}") } else { format!("{what}: {status}, {said:?}") };
    (outcome, Some(status), Some(error))
}

/// Keeps what became of a try. Whether the next message has its turn.
async fn settle(hooks: &Arc<Webhooks>, to: &mut Subscription, sent: Sent, position: u64) -> Result<bool, ApiError> {
    let Sent { tried, outcome } = sent;
    let now = hooks.engine.now();
    let failures = to.failures.saturating_add(1);
    let through = Standing { position, ..Standing::default() };
    let (standing, goes_on) = match outcome {
        Outcome::Arrived => (through, true),
        Outcome::Refused if failures >= REFUSED_MAX => {
            tracing::warn!(webhook = %to.name, message = %tried.message_id, "a receiver will not have a message; it is left out");
            (through, true)
        }
        Outcome::Gone => {
            let why = "its receiver says that it is gone (410)".to_owned();
            tracing::warn!(webhook = %to.name, %why, "a webhook is switched off");
            (Standing { position: to.position, off: Some(why), ..Standing::default() }, false)
        }
        Outcome::Lost { .. } | Outcome::Refused => {
            let since = to.failing_since.unwrap_or(now.0);
            let wait = match outcome {
                Outcome::Lost { after: Some(after) } => after.min(LEFT_ALONE_MAX),
                Outcome::Lost { after: None } | Outcome::Refused | Outcome::Arrived | Outcome::Gone => wait(hooks, failures),
            };
            let over = now.since(Time(since)) >= millis(hooks.options.off_after);
            let off = over.then(|| format!("nothing has arrived since {}", Time(since)));
            if off.is_some() {
                let why = tried.error.as_deref().unwrap_or_default();
                tracing::warn!(webhook = %to.name, since = %Time(since), %why, "a webhook is switched off: nothing arrives");
            }
            let standing = Standing {
                position: to.position,
                failing_since: Some(since),
                failures,
                why: tried.error.clone(),
                next_try_at: Some(now.plus(millis(wait)).0),
                off,
            };
            (standing, false)
        }
    };
    (to.position, to.failing_since, to.failures) = (standing.position, standing.failing_since, standing.failures);
    let id = to.id;
    hooks.with(move |outbox| outbox.keep(id, &standing, Some(&tried)).map_err(store)).await?;
    Ok(goes_on)
}

/// How long to wait after so many failures: twice as long each time, up to a bound, and up to a quarter more by chance, so that
/// receivers that fell together are not met by all at once.
fn wait(hooks: &Webhooks, failures: u32) -> Duration {
    let options = &hooks.options;
    let doubled = options.first_wait.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(options.longest_wait);
    let mut chance = [0u8; 1];
    // Without randomness it is just that long.
    let _none = getrandom::fill(&mut chance);
    doubled + doubled * u32::from(chance[0]) / 1_024
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
