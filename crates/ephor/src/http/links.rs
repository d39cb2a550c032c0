//! Links that answer one question about one action, once (DESIGN §4): for somebody who has no key, on whatever device they read their mail.
//!
//! A link is worth nothing but its answer: it names the task, the step, the digest of what would be done, when that was asked, who is
//! meant and until when, and is signed with a key that follows from the operator's token. Nothing of it is kept: once the question is
//! answered, or asked anew, the link is about no open question any more. Looking at it changes nothing, for mail programs look ahead.

mod page;

use super::auth::{Caller, Principal};
use super::body::{Body, Patience};
use super::errors::Errors;
use super::query::Query;
use super::server::Server;
use super::tasks::TaskPath;
use crate::api::{Api, ApiError, EventQuery, Kind};
use crate::local::trouble;
use axum::body::Bytes;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ephor_core::ask::Ask;
use ephor_core::command::Refusal;
use ephor_core::event::{Actor, ActorKind};
use ephor_core::id::TaskId;
use ephor_core::inbox::{Asked, AskedFor, MadeLink, NewLink};
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::time::WireTime;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How long a link lasts where nobody says, and at most.
const LASTS_MS: u64 = 24 * 3_600_000;
const LASTS_MAX_MS: u64 = 7 * LASTS_MS;
/// The largest form, in bytes.
const FORM_MAX: usize = 64 * 1024;
/// What the signing key is made for: another use of the operator's token gives another key.
const PURPOSE: &str = "ephor answer link 1";

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(make)).routes(routes!(show, answer))
}

/// What a link says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Said {
    task: TaskId,
    step: String,
    digest: String,
    /// When the question was asked, in milliseconds: the same question asked anew is another one.
    asked: i64,
    /// Who is meant.
    who: String,
    /// Who made it.
    by: String,
    /// Until when it may be used, in milliseconds.
    until: i64,
}

/// Make a link that answers one question about one action, once
///
/// Whoever has the link may answer in the name it was made for; it works until the question is answered or asked anew, or its time is over.
/// Whoever submitted the task makes none.
#[utoipa::path(post, path = "/api/v1/tasks/{id}/links", tag = "deciding", params(("id" = String, Path, description = "The task")),
    request_body = NewLink, responses((status = 201, body = MadeLink), Errors))]
async fn make(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    Body(NewLink { step, who: meant, valid }): Body<NewLink>,
) -> Result<(StatusCode, axum::Json<MadeLink>), ApiError> {
    let mut problems = Vec::new();
    let meant = meant.trim().to_owned();
    if meant.is_empty() || meant.len() > 128 || meant.chars().any(char::is_control) {
        problems.push(FieldProblem::new("for", "the name of a person, 1 to 128 bytes"));
    }
    let lasts = valid.map_or(LASTS_MS, |valid| valid.ms);
    if !(60_000..=LASTS_MAX_MS).contains(&lasts) {
        problems.push(FieldProblem::new("valid", "1m to 7d"));
    }
    if !problems.is_empty() {
        return Err(ApiError::invalid("no link was made", problems));
    }
    if who.kind != ActorKind::Human {
        return Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", "only a person makes links that approve of actions"));
    }
    let api = server.api(&who);
    let asked = api.asked(task).await?;
    let none =
        || ApiError::new(Kind::Conflict, "ILLEGAL_TRANSITION", format!("nobody is asked about step {step:?} of {task} now"));
    let open = asked.iter().find(|asked| is_about(asked, &step)).ok_or_else(none)?;
    let first = api.events(EventQuery { task: Some(task), limit: 1, ..EventQuery::default() }).await?;
    let own = first.first().is_some_and(|born| *born.actor_id == *who.name || born.actor_id == meant);
    if own && !server.engine().policy().solo {
        return Err(ApiError::new(
            Kind::Forbidden,
            "FORBIDDEN",
            "whoever submitted a task does not approve of what it does, by a link neither",
        )
        .because("somebody else has to, or the house decides alone (`policy.solo`)"));
    }
    let approval = open.approval.as_ref().ok_or_else(none)?;
    let until = api.now().plus(lasts).min(approval.until.0);
    let said = Said {
        task,
        step: open.step.clone().unwrap_or_default(),
        digest: approval.digest.clone(),
        asked: approval.asked_at.0.0,
        who: meant.clone(),
        by: who.name.to_string(),
        until: until.0,
    };
    let made = MadeLink {
        path: format!("/answer?code={}", server.sealed(&said)?),
        who: meant,
        step: said.step,
        digest: said.digest,
        expires_at: WireTime(until),
        url: None,
    };
    tracing::info!(%task, step = %made.step, by = %who.name, r#for = %made.who, "a link was made");
    Ok((StatusCode::CREATED, axum::Json(made)))
}

/// The code of the link.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Code {
    /// As it stands in the link.
    #[serde(default)]
    code: String,
}

/// Show what a link is about; this changes nothing
#[utoipa::path(get, path = "/answer", tag = "deciding", params(Code),
    responses((status = 200, description = "A page with the question and the ways to answer", content_type = "text/html"), Errors))]
async fn show(State(server): State<Arc<Server>>, Query(Code { code }): Query<Code>) -> Response {
    match server.question(&code).await {
        Ok((said, asked)) => page::question(&said, &asked, &code),
        Err(why) => page::refused(&why),
    }
}

/// What the page sends.
#[derive(Debug, Default, PartialEq)]
struct Form {
    code: String,
    answer: String,
    reason: String,
}

impl Form {
    fn read(body: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            match &*name {
                "code" => form.code = value.into_owned(),
                "answer" => form.answer = value.into_owned(),
                "reason" => form.reason = value.into_owned(),
                _ => {}
            }
        }
        form
    }
}

/// Answer the question a link is about; it works once
#[utoipa::path(post, path = "/answer", tag = "deciding",
    request_body(content = String, description = "`code`, `answer` (`approve` or `deny`) and `reason`, as a form", content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "A page that says what was taken down", content_type = "text/html"), Errors))]
async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    // Anybody may send one, so it has the same time as any other body, and no more.
    let reading = tokio::time::timeout(Patience::of(&request), Bytes::from_request(request, &()));
    let late = || worthless(StatusCode::REQUEST_TIMEOUT, "The answer took too long to arrive. Try again.");
    let large = || worthless(StatusCode::PAYLOAD_TOO_LARGE, "The answer could not be read. Try again, with fewer words.");
    let answered = match reading.await.map(|body| body.map_err(|_| large())) {
        Ok(Ok(body)) => server.take_answer(&body).await,
        Ok(Err(why)) => Err(why),
        Err(_) => Err(late()),
    };
    match answered {
        Ok((said, approved)) => page::taken(&said, approved),
        Err(why) => page::refused(&why),
    }
}

/// Whether a question is the one about this step.
fn is_about(asked: &Asked, step: &str) -> bool {
    asked.reason == AskedFor::ActionApproval && asked.step.as_deref() == Some(step)
}

fn worthless(status: StatusCode, why: &str) -> Refused {
    Refused { status, why: why.to_owned() }
}

/// Why a link does not work.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    why: String,
}

impl Server {
    fn signature(&self, text: &str) -> Result<Hmac<Sha256>, ApiError> {
        let failed = || ApiError::new(Kind::Failed, "INTERNAL", "a link could not be signed");
        let mut key = Hmac::<Sha256>::new_from_slice(self.operator_token().as_bytes()).map_err(|_| failed())?;
        key.update(PURPOSE.as_bytes());
        let mut mac = Hmac::<Sha256>::new_from_slice(&key.finalize().into_bytes()).map_err(|_| failed())?;
        mac.update(text.as_bytes());
        Ok(mac)
    }

    fn sealed(&self, said: &Said) -> Result<String, ApiError> {
        let text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(said).expect("a link is plain data"));
        let mac = self.signature(&text)?.finalize().into_bytes();
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac)))
    }

    /// What a link says, where it was signed here and its time is not over.
    fn opened(&self, code: &str) -> Result<Said, Refused> {
        let unknown = || worthless(StatusCode::FORBIDDEN, "This link is not known here. It may have been cut off on its way.");
        let (text, mac) = code.split_once('.').ok_or_else(unknown)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| unknown())?;
        let known = self.signature(text).map_err(|_| unknown())?;
        // Compared in constant time.
        known.verify_slice(&mac).map_err(|_| unknown())?;
        let said = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| serde_json::from_slice::<Said>(&bytes).ok());
        let said = said.ok_or_else(unknown)?;
        if self.api(&Principal::nobody()).now().0 >= said.until {
            return Err(worthless(StatusCode::GONE, "The time of this link is over."));
        }
        Ok(said)
    }

    /// The open question a link is about.
    async fn question(&self, code: &str) -> Result<(Said, Asked), Refused> {
        let said = self.opened(code)?;
        let over = || {
            worthless(
                StatusCode::GONE,
                "This question was answered, or what it is about has changed since. The link is worth nothing any more.",
            )
        };
        let asked = self.api(&Principal::nobody()).asked(said.task).await.map_err(|_| over())?;
        let same = |asked: &Asked| {
            let about = asked.approval.as_ref().is_some_and(|a| a.digest == said.digest && a.asked_at.0.0 == said.asked);
            is_about(asked, &said.step) && about
        };
        let open = asked.into_iter().find(same).ok_or_else(over)?;
        Ok((said, open))
    }

    async fn take_answer(&self, body: &[u8]) -> Result<(Said, bool), Refused> {
        if body.len() > FORM_MAX {
            return Err(worthless(StatusCode::PAYLOAD_TOO_LARGE, "The reason is too long."));
        }
        let Form { code, answer, reason } = Form::read(body);
        let (said, _) = self.question(&code).await?;
        let approved = match answer.as_str() {
            "approve" => true,
            "deny" => false,
            _ => return Err(worthless(StatusCode::BAD_REQUEST, "Say approve or deny.")),
        };
        if !approved && reason.trim().is_empty() {
            return Err(worthless(StatusCode::BAD_REQUEST, "A no says why. Go back and write a few words."));
        }
        let told = match reason.trim() {
            "" => String::new(),
            words => format!(": {words}"),
        };
        let ask = Ask::Approve {
            step: said.step.clone(),
            approved,
            digest: Some(said.digest.clone()),
            params: None,
            reason: format!("by a link that {} made for {}{told}", said.by, said.who),
        };
        let actor = Actor::human(&said.who);
        let refused = |error: ApiError| worthless(StatusCode::CONFLICT, &error.message);
        let command =
            ask.command(&actor, Default::default()).map_err(|problems| refused(ApiError::from(Refusal::Invalid(problems))))?;
        let done = self.engine().command(said.task, command, actor).await;
        done.map_err(|error| refused(trouble(error, Some(said.task))))?;
        tracing::info!(task = %said.task, step = %said.step, by = %said.who, approved, "a question was answered by a link");
        Ok((said, approved))
    }
}
