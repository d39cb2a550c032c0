//! `Api` over a client.

use super::error::told;
use crate::api::{Answer, Api, EventQuery, FiguresQuery, Page, TaskFilter};
use ephor_core::ask::Ask;
use ephor_core::constitution::{
    AmendmentView, Candidate, ImpactReport, InForce, NewAmendment, NewVote, ReplayReport, VersionHead, VersionView,
};
use ephor_core::figures::Figures;
use ephor_core::flow::{HoldView, LimitView, NewHold, NewLimit, NewRelease};
use ephor_core::id::{AgentId, AmendmentId, HoldId, KeyId, TaskId};
use ephor_core::impact::Impact;
use ephor_core::inbox::{Asked, InboxFilter, MadeLink, NewLink};
use ephor_core::key::{KeyView, MadeKey, NewKey};
use ephor_core::quality::GateResult;
use ephor_core::spec::Request;
use ephor_core::status::Status;
use ephor_core::time::{Time, WireTime};
use ephor_core::view::{EffectView, EventView, OutputView, PlanView, ReviewView, StepView, TaskRow, TaskView, Waiting};
use ephor_engine::clock::{Clock, SystemClock};
use ephor_sdk::client::{Client, ClientError, EventFilter, EventStream};
use futures_util::FutureExt;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How many events come in one answer where nobody says.
const EVENTS: usize = 500;

/// A server, asked over HTTP.
pub(super) struct RemoteApi {
    client: Client,
    /// The stream that is followed, kept open between two questions: whoever asks again with the last position goes on in it.
    stream: Mutex<Option<Following>>,
}

struct Following {
    task: Option<TaskId>,
    stream: EventStream,
}

impl RemoteApi {
    pub(super) fn new(client: Client) -> Self {
        Self { client, stream: Mutex::default() }
    }

    /// Asks, and tells trouble in the words of the interfaces.
    fn asking<'a, T: Send + 'a>(&'a self, answer: impl Future<Output = Result<T, ClientError>> + Send + 'a) -> Answer<'a, T> {
        Box::pin(async move { answer.await.map_err(told) })
    }

    /// The same about one task.
    fn about<'a, T, F>(&'a self, task: TaskId, ask: impl FnOnce(&'a Client, String) -> F) -> Answer<'a, T>
    where
        T: Send + 'a,
        F: Future<Output = Result<T, ClientError>> + Send + 'a,
    {
        self.asking(ask(&self.client, task.to_string()))
    }

    /// Events that are there, page by page up to the limit.
    async fn past(&self, wanted: EventQuery) -> Result<Vec<EventView>, ClientError> {
        let most = if wanted.limit == 0 { EVENTS } else { wanted.limit as usize };
        let mut events: Vec<EventView> = Vec::new();
        let mut after = wanted.after;
        loop {
            let limit = u32::try_from(most - events.len()).unwrap_or(u32::MAX);
            let page = self.client.events(&filter(EventQuery { after, limit, ..wanted })).await?;
            events.extend(page.items);
            match page.next.and_then(|next| next.parse().ok()) {
                Some(next) if next > after && events.len() < most => after = next,
                _ => return Ok(events),
            }
        }
    }

    /// Events that come within the wait, from the stream that is open or from one opened at this position.
    async fn follow(&self, wanted: EventQuery) -> Result<Vec<EventView>, ClientError> {
        let mut open = self.stream.lock().await;
        let goes_on = |f: &Following| f.task == wanted.task && f.stream.position() == wanted.after;
        if !open.as_ref().is_some_and(goes_on) {
            *open = None;
            let past = self.past(wanted).await?;
            if !past.is_empty() {
                return Ok(past);
            }
        }
        let following =
            open.get_or_insert_with(|| Following { task: wanted.task, stream: self.client.event_stream(filter(wanted)) });
        // Opening takes as long as the way to the server does, whatever the wait.
        following.stream.open().await?;
        let Ok(first) = timeout(Duration::from_millis(wanted.wait_ms), following.stream.try_next()).await else {
            return Ok(Vec::new());
        };
        let mut events = vec![first?];
        let most = if wanted.limit == 0 { EVENTS } else { wanted.limit as usize };
        // What has come already goes along; an error comes back with the next question.
        while events.len() < most
            && let Some(Ok(event)) = following.stream.try_next().now_or_never()
        {
            events.push(event);
        }
        Ok(events)
    }
}

fn filter(wanted: EventQuery) -> EventFilter {
    EventFilter { task: wanted.task.map(|t| t.to_string()), after: wanted.after, types: Vec::new(), limit: wanted.limit }
}

impl Api for RemoteApi {
    fn now(&self) -> Time {
        Time(SystemClock::default().wall_ms())
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn position(&self) -> Answer<'_, u64> {
        self.asking(self.client.position())
    }

    fn find_from<'a>(&'a self, name: &'a str, source: Option<&'a str>) -> Answer<'a, TaskId> {
        self.asking(async move { Ok(self.client.task_from(name, source).await?.id) })
    }

    fn submit(&self, request: Request) -> Answer<'_, TaskView> {
        self.asking(async move {
            let accepted = self.client.submit(&request).await?;
            self.client.task(&accepted.id.to_string()).await
        })
    }

    fn rerun(&self, task: TaskId) -> Answer<'_, TaskView> {
        self.asking(async move {
            let accepted = self.client.rerun(&task.to_string()).await?;
            self.client.task(&accepted.id.to_string()).await
        })
    }

    fn ask(&self, task: TaskId, ask: Ask) -> Answer<'_, TaskView> {
        self.asking(async move { self.client.ask(&task.to_string(), &ask).await })
    }

    fn task(&self, task: TaskId) -> Answer<'_, TaskView> {
        self.about(task, async |client, task| client.task(&task).await)
    }

    fn tasks(&self, filter: TaskFilter) -> Answer<'_, Page<TaskRow>> {
        self.asking(async move { self.client.tasks(&filter).await })
    }

    fn counts(&self, namespace: Option<String>) -> Answer<'_, Vec<(Status, u64)>> {
        self.asking(async move { Ok(self.client.counts(namespace.as_deref()).await?.by_status.into_iter().collect()) })
    }

    fn task_as_of(&self, task: TaskId, version: Option<u64>, at: Option<WireTime>) -> Answer<'_, TaskView> {
        self.asking(async move { self.client.task_as_of(&task.to_string(), version, at).await })
    }

    fn agent<'a>(&'a self, name: &'a str) -> Answer<'a, AgentId> {
        self.asking(async move { Ok(self.client.agent(name).await?.id) })
    }

    fn steps(&self, task: TaskId) -> Answer<'_, Vec<StepView>> {
        self.about(task, async |client, task| client.steps(&task).await)
    }

    fn plan(&self, task: TaskId) -> Answer<'_, PlanView> {
        self.about(task, async |client, task| client.plan(&task).await)
    }

    fn outputs(&self, task: TaskId) -> Answer<'_, Vec<OutputView>> {
        self.about(task, async |client, task| client.outputs(&task).await)
    }

    fn reviews(&self, task: TaskId) -> Answer<'_, Vec<ReviewView>> {
        self.about(task, async |client, task| client.reviews(&task).await)
    }

    fn effects(&self, task: TaskId) -> Answer<'_, Vec<EffectView>> {
        self.about(task, async |client, task| client.effects(&task).await)
    }

    fn gates(&self, task: TaskId) -> Answer<'_, Vec<GateResult>> {
        self.about(task, async |client, task| client.gates(&task).await)
    }

    fn waiting(&self, task: TaskId) -> Answer<'_, Vec<Waiting>> {
        self.about(task, async |client, task| client.waiting(&task).await)
    }

    fn inbox(&self, filter: InboxFilter) -> Answer<'_, Page<Asked>> {
        self.asking(async move { self.client.inbox(&filter).await })
    }

    fn asked(&self, task: TaskId) -> Answer<'_, Vec<Asked>> {
        self.about(task, async |client, task| client.asked(&task).await)
    }

    fn make_link(&self, task: TaskId, wish: NewLink) -> Answer<'_, MadeLink> {
        self.about(task, async move |client, task| {
            let made = client.make_link(&task, &wish).await?;
            let url = format!("{}{}", client.server().trim_end_matches('/'), made.path);
            Ok(MadeLink { url: Some(url), ..made })
        })
    }

    fn events(&self, wanted: EventQuery) -> Answer<'_, Vec<EventView>> {
        self.asking(async move {
            match wanted.wait_ms {
                0 => self.past(wanted).await,
                _ => self.follow(wanted).await,
            }
        })
    }

    fn figures(&self, wanted: FiguresQuery) -> Answer<'_, Figures> {
        self.asking(async move { self.client.figures(wanted.namespace.as_deref(), wanted.window).await })
    }

    fn impact(&self, task: TaskId) -> Answer<'_, Impact> {
        self.about(task, async |client, task| client.impact(&task).await)
    }

    fn receipt(&self, task: TaskId) -> Answer<'_, String> {
        self.about(task, async |client, task| client.receipt(&task).await)
    }

    fn keys(&self) -> Answer<'_, Vec<KeyView>> {
        self.asking(self.client.keys())
    }

    fn make_key(&self, wish: NewKey) -> Answer<'_, MadeKey> {
        self.asking(async move { self.client.make_key(&wish).await })
    }

    fn revoke_key(&self, key: KeyId) -> Answer<'_, KeyView> {
        self.asking(self.client.revoke_key(key))
    }

    fn holds(&self) -> Answer<'_, Vec<HoldView>> {
        self.asking(self.client.holds())
    }

    fn place_hold(&self, wish: NewHold) -> Answer<'_, HoldView> {
        self.asking(async move { self.client.place_hold(&wish).await })
    }

    fn release_hold(&self, hold: HoldId, wish: NewRelease) -> Answer<'_, HoldView> {
        self.asking(async move { self.client.release_hold(hold, &wish).await })
    }

    fn lift_hold(&self, hold: HoldId) -> Answer<'_, HoldView> {
        self.asking(self.client.lift_hold(hold))
    }

    fn constitution(&self) -> Answer<'_, InForce> {
        self.asking(self.client.constitution())
    }

    fn constitution_versions(&self) -> Answer<'_, Vec<VersionHead>> {
        self.asking(self.client.constitution_versions())
    }

    fn constitution_version(&self, number: u32) -> Answer<'_, VersionView> {
        self.asking(self.client.constitution_version(number))
    }

    fn amendments(&self) -> Answer<'_, Vec<AmendmentView>> {
        self.asking(self.client.amendments())
    }

    fn amendment(&self, id: AmendmentId) -> Answer<'_, AmendmentView> {
        self.asking(self.client.amendment(id))
    }

    fn propose_amendment(&self, wish: NewAmendment) -> Answer<'_, AmendmentView> {
        self.asking(async move { self.client.propose_amendment(&wish).await })
    }

    fn sponsor_amendment(&self, id: AmendmentId) -> Answer<'_, AmendmentView> {
        self.asking(self.client.sponsor_amendment(id))
    }

    fn vote_on_amendment(&self, id: AmendmentId, vote: NewVote) -> Answer<'_, AmendmentView> {
        self.asking(async move { self.client.vote_on_amendment(id, &vote).await })
    }

    fn withdraw_amendment(&self, id: AmendmentId, reason: String) -> Answer<'_, AmendmentView> {
        self.asking(async move { self.client.withdraw_amendment(id, &reason).await })
    }

    fn constitution_impact(&self, candidate: Candidate) -> Answer<'_, ImpactReport> {
        self.asking(async move { self.client.constitution_impact(&candidate).await })
    }

    fn constitution_replay(&self, candidate: Candidate) -> Answer<'_, ReplayReport> {
        self.asking(async move { self.client.constitution_replay(&candidate).await })
    }

    fn limits(&self) -> Answer<'_, Vec<LimitView>> {
        self.asking(self.client.limits())
    }

    fn set_limit<'a>(&'a self, name: &'a str, wish: NewLimit) -> Answer<'a, LimitView> {
        self.asking(async move { self.client.set_limit(name, &wish).await })
    }

    fn remove_limit<'a>(&'a self, name: &'a str, namespace: Option<String>) -> Answer<'a, LimitView> {
        self.asking(async move { self.client.remove_limit(name, namespace.as_deref()).await })
    }
}
