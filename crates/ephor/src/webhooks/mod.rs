//! Telling others over HTTP what happened to tasks. The events are the outbox: for each subscription it is kept up to which position
//! everything was told, and one courier reads on from there. So nothing is written on the way of a command, what happened while a receiver
//! or the server was away is told afterwards, and what was told is told again only where the position was lost on the way to disk.
//!
//! A courier has one message under way, so that a receiver hears everything in order, and one that hangs holds up nobody else.

mod courier;
mod message;

pub(crate) use message::Message;

use crate::api::{ApiError, Kind};
use crate::local::{blocking, store};
use ephor_agents::outgoing::Outgoing;
use ephor_core::id::WebhookId;
use ephor_core::plan::Problem;
use ephor_core::time::{Time, WireDuration, WireTime};
use ephor_core::webhook::{DeliveryView, MadeWebhook, NewWebhook, WebhookState, WebhookView};
use ephor_engine::Engine;
use ephor_engine::outbox::{Delivery, Outbox, Subscription, WEBHOOKS_MAX};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

/// How many messages people may have under way that ask for one at once.
const BY_HAND_MAX: usize = 8;

/// How a server tells others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookOptions {
    /// Whether private addresses may be told.
    pub allow_private: bool,
    /// How long a receiver may take to answer, in all.
    pub timeout: Duration,
    /// After how long without any success a subscription is switched off.
    pub off_after: Duration,
    /// The wait before the second try; each further one is twice as long.
    pub first_wait: Duration,
    /// The longest wait between two tries.
    pub longest_wait: Duration,
}

impl Default for HookOptions {
    fn default() -> Self {
        Self {
            allow_private: false,
            timeout: Duration::from_secs(10),
            off_after: Duration::from_secs(3 * 86_400),
            first_wait: Duration::from_secs(5),
            longest_wait: Duration::from_secs(600),
        }
    }
}

/// The subscriptions of a server, and whoever serves them.
pub(crate) struct Webhooks {
    engine: Engine,
    options: HookOptions,
    /// Where they are kept; none for an engine without a file.
    file: Option<PathBuf>,
    outbox: Mutex<Option<Arc<Outbox>>>,
    outgoing: Option<Outgoing>,
    couriers: Mutex<HashMap<WebhookId, AbortHandle>>,
    by_hand: Semaphore,
}

impl Webhooks {
    /// Of an engine; nobody is told before [`Self::start`].
    pub(crate) fn new(engine: Engine, options: HookOptions) -> Self {
        let about = engine.reader().about().unwrap_or_default();
        let database = about.into_iter().find(|(name, _)| *name == "path").map(|(_, path)| PathBuf::from(path));
        let outgoing = Outgoing::new(options.allow_private);
        let outgoing = outgoing.map_err(|error| tracing::error!(%error, "webhooks are not served")).ok();
        Self {
            file: database.map(|database| database.with_file_name("webhooks.db")),
            engine,
            options,
            outbox: Mutex::default(),
            outgoing,
            couriers: Mutex::default(),
            by_hand: Semaphore::new(BY_HAND_MAX),
        }
    }

    /// Begins to serve what is there already.
    pub(crate) async fn start(self: &Arc<Self>) -> Result<(), ApiError> {
        if !self.file.as_ref().is_some_and(|file| file.exists()) {
            return Ok(());
        }
        for known in self.with(|outbox| outbox.all().map_err(store)).await? {
            self.serve(known.id);
        }
        Ok(())
    }

    /// Ends all couriers. What they had under way is told again after the next start.
    pub(crate) fn stop(&self) {
        self.running().drain().for_each(|(_, courier)| courier.abort());
    }

    fn running(&self) -> MutexGuard<'_, HashMap<WebhookId, AbortHandle>> {
        self.couriers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has one served from where it stands, by a fresh courier.
    fn serve(self: &Arc<Self>, id: WebhookId) {
        let courier = tokio::spawn(courier::run(self.clone(), id)).abort_handle();
        if let Some(before) = self.running().insert(id, courier) {
            before.abort();
        }
    }

    /// The database of subscriptions; made with the first one.
    fn outbox(&self) -> Result<Arc<Outbox>, ApiError> {
        let mut known = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outbox) = &*known {
            return Ok(outbox.clone());
        }
        let none = || ApiError::new(Kind::Invalid, "NOT_SUPPORTED", "an engine without a file has no webhooks");
        let opened = Arc::new(Outbox::open(self.file.as_deref().ok_or_else(none)?).map_err(store)?);
        *known = Some(opened.clone());
        Ok(opened)
    }

    /// Asks the database where it may block.
    async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        ask: impl FnOnce(&Outbox) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let own = self.clone();
        blocking(move || ask(&*own.outbox()?)).await
    }

    fn outgoing(&self) -> Result<&Outgoing, ApiError> {
        self.outgoing.as_ref().ok_or_else(|| ApiError::new(Kind::Failed, "INTERNAL", "webhooks are not served: see the log"))
    }

    /// All that somebody may see.
    pub(crate) async fn all(self: &Arc<Self>, namespace: Option<String>) -> Result<Vec<WebhookView>, ApiError> {
        if self.file.as_ref().is_some_and(|file| !file.exists()) {
            return Ok(Vec::new());
        }
        let all = self.with(|outbox| outbox.all().map_err(store)).await?;
        Ok(all.iter().filter(|one| reaches(namespace.as_deref(), one)).map(|one| self.view(one)).collect())
    }

    /// One of those somebody may see.
    pub(crate) async fn one(self: &Arc<Self>, id: WebhookId, namespace: Option<&str>) -> Result<Subscription, ApiError> {
        let unknown = || ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no webhook {id}"));
        let found = self.with(move |outbox| outbox.one(id).map_err(store)).await?;
        found.filter(|one| reaches(namespace, one)).ok_or_else(unknown)
    }

    /// Makes one: it is told what happens from now on. Its secret is in the answer and in no other.
    pub(crate) async fn make(self: &Arc<Self>, wish: NewWebhook) -> Result<MadeWebhook, ApiError> {
        let mut problems = wish.problems();
        if let Err(why) = self.outgoing()?.check(&wish.url)
            && problems.iter().all(|problem| problem.field != "url")
        {
            problems.push(Problem::new("url", why.to_string()));
        }
        if !problems.is_empty() {
            return Err(ApiError::invalid("the webhook was refused", problems));
        }
        let secret = message::new_secret().ok_or_else(|| ApiError::new(Kind::Failed, "INTERNAL", "no randomness"))?;
        let mut random = [0u8; 10];
        getrandom::fill(&mut random).map_err(|e| ApiError::new(Kind::Failed, "INTERNAL", format!("no randomness: {e}")))?;
        let topics = wish.topics();
        let NewWebhook { name, url, events: _, task_types, namespace, format } = wish;
        let now = self.engine.now();
        let new = Subscription {
            id: WebhookId::new(now.0, random),
            name,
            url,
            secret: secret.clone(),
            namespace,
            topics,
            task_types,
            format,
            paused: false,
            off: None,
            failing_since: None,
            failures: 0,
            why: None,
            next_try_at: None,
            position: self.engine.position(),
            created_at: now.0,
        };
        let kept = new.clone();
        self.with(move |outbox| {
            if outbox.all().map_err(store)?.len() >= WEBHOOKS_MAX {
                return Err(ApiError::new(Kind::Busy, "LIMIT_REACHED", format!("there are {WEBHOOKS_MAX} webhooks already")));
            }
            match outbox.add(&kept).map_err(store)? {
                true => Ok(()),
                false => {
                    let taken = Problem::new("name", "a webhook of this name is there; delete it, or choose another");
                    Err(ApiError::invalid("the webhook was refused", vec![taken]))
                }
            }
        })
        .await?;
        self.serve(new.id);
        Ok(MadeWebhook { secret, view: self.view(&new) })
    }

    /// Pauses one, or lets it go on from where it ended.
    pub(crate) async fn pause(self: &Arc<Self>, id: WebhookId, paused: bool) -> Result<WebhookView, ApiError> {
        self.with(move |outbox| outbox.pause(id, paused).map_err(store)).await?;
        match paused {
            true => self.dismiss(id),
            false => self.serve(id),
        }
        let known = self.one(id, None).await?;
        Ok(self.view(&known))
    }

    /// Removes one, with what is known of its tries.
    pub(crate) async fn remove(self: &Arc<Self>, id: WebhookId) -> Result<(), ApiError> {
        self.dismiss(id);
        self.with(move |outbox| outbox.remove(id).map_err(store)).await.map(drop)
    }

    fn dismiss(&self, id: WebhookId) {
        if let Some(courier) = self.running().remove(&id) {
            courier.abort();
        }
    }

    /// The last tries of one, the newest first.
    pub(crate) async fn deliveries(
        self: &Arc<Self>,
        id: WebhookId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<DeliveryView>, ApiError> {
        let found = self.with(move |outbox| outbox.deliveries(id, before, limit).map_err(store)).await?;
        Ok(found.into_iter().map(delivery_view).collect())
    }

    /// Sends a message that tells nothing, once and at once.
    pub(crate) async fn test(self: &Arc<Self>, to: Subscription) -> Result<DeliveryView, ApiError> {
        let message = Message::test(&to, self.engine.now());
        self.send_by_hand(to, message).await
    }

    /// Sends again what was told in a try, once and at once, beside what is under way.
    pub(crate) async fn redeliver(self: &Arc<Self>, to: Subscription, no: u64) -> Result<DeliveryView, ApiError> {
        let id = to.id;
        let unknown = || ApiError::new(Kind::NotFound, "NOT_FOUND", format!("no delivery {no} of {id} is remembered"));
        let tried = self.with(move |outbox| outbox.delivery(id, no).map_err(store)).await?.ok_or_else(unknown)?;
        let message = match tried.position {
            0 => Message::test(&to, self.engine.now()),
            position => {
                let (engine, of) = (self.engine.clone(), to.clone());
                blocking(move || courier::message_at(&engine, &of, tried.topic, position)).await?.ok_or_else(unknown)?
            }
        };
        self.send_by_hand(to, message).await
    }

    async fn send_by_hand(self: &Arc<Self>, to: Subscription, message: Message) -> Result<DeliveryView, ApiError> {
        let _place = self.by_hand.try_acquire().map_err(|_| {
            let what = format!("{BY_HAND_MAX} messages are under way that people asked for");
            ApiError::new(Kind::Busy, "LIMIT_REACHED", what).because("ask again when one has ended")
        })?;
        let mut tried = courier::send(self, &to, &message, 1).await?.tried;
        let (id, kept) = (to.id, tried.clone());
        tried.no = self.with(move |outbox| outbox.note(id, &kept).map_err(store)).await?;
        Ok(delivery_view(tried))
    }

    /// As people see one.
    pub(crate) fn view(&self, one: &Subscription) -> WebhookView {
        let state = match (&one.off, one.paused, one.failing_since) {
            (Some(_), _, _) => WebhookState::Off,
            (None, true, _) => WebhookState::Paused,
            (None, false, Some(_)) => WebhookState::Failing,
            (None, false, None) => WebhookState::Active,
        };
        let at = |at: i64| WireTime(Time(at));
        WebhookView {
            id: one.id,
            name: one.name.clone(),
            url: one.url.split(['?', '#']).next().unwrap_or_default().to_owned(),
            events: one.topics.clone(),
            task_types: one.task_types.clone(),
            namespace: one.namespace.clone(),
            format: one.format,
            state,
            why: one.off.clone().or_else(|| one.why.clone()),
            failing_since: one.failing_since.map(at),
            next_try_at: one.next_try_at.filter(|_| state == WebhookState::Failing).map(at),
            position: one.position,
            behind: self.engine.position().saturating_sub(one.position),
            created_at: at(one.created_at),
        }
    }
}

/// Whether one is within what somebody reaches.
fn reaches(namespace: Option<&str>, one: &Subscription) -> bool {
    namespace.is_none_or(|own| one.namespace.as_deref() == Some(own))
}

fn delivery_view(tried: Delivery) -> DeliveryView {
    let Delivery { no, message_id, topic, position, task, attempt, delivered, status, error, took_ms, at } = tried;
    let at = WireTime(Time(at));
    DeliveryView { id: no, message_id, event: topic, position, task_id: task, attempt, delivered, status, error, took_ms, at }
}

/// As the configuration says it.
impl From<&crate::config::Hooks> for HookOptions {
    fn from(said: &crate::config::Hooks) -> Self {
        let length = |said: WireDuration| Duration::from_millis(said.ms);
        Self {
            allow_private: said.allow_private,
            timeout: length(said.timeout),
            off_after: length(said.off_after),
            ..Self::default()
        }
    }
}
