//! `http.request`: one HTTP request, bounded in every direction and blind to private networks.

pub mod address;
pub(crate) mod probe;

use crate::confine::sha256;
use crate::probe::cannot_look;
use crate::secrets::{self, Source, Used};
use address::Guard;
use ephor_core::spec::ErrorClass;
use ephor_core::time::WireDuration;
use ephor_core::work::{EffectGrant, Failure, Outcome, Success};
use ephor_sdk::agent::{Acted, Agent, Effected, Job, Running};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The most redirects followed, each judged like the first address. Only GET and HEAD follow any.
pub const REDIRECTS_MAX: u32 = 5;

/// The largest body sent, in bytes.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// The header that says of which trace a request is (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";
/// Headers that the connection itself decides about.
const FIXED: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "idempotency-key"];

/// What `http.request` may do.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether loopback, private and link-local addresses may be reached.
    pub allow_private: bool,
    /// How long a request may take in all, in milliseconds, unless it asks for less.
    pub timeout_ms: u64,
    /// How much of an answer is read, in bytes, unless less is asked for.
    pub answer_bytes_max: usize,
}

/// Public addresses only, 30 s, 1 MiB.
impl Default for Config {
    fn default() -> Self {
        Self { allow_private: false, timeout_ms: 30_000, answer_bytes_max: 1024 * 1024 }
    }
}

/// The TLS library could not start.
#[derive(Debug, thiserror::Error)]
#[error("http.request is not available: {0}")]
pub struct NotReady(#[source] pub(crate) reqwest::Error);

/// `http.request {method, url, headers, body | json, timeout, max_bytes, expect_status: [200, 204]}` → `{status, url, headers,
/// body, bytes, truncated}`; a JSON answer is given as JSON.
///
/// Anything but GET and HEAD is an effect: it needs a token, carries its idempotency key, and says whether it happened. Where
/// a redirect leads to another host, no header goes along.
pub struct Http {
    config: Config,
    secrets: Source,
    client: Client,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    #[serde(default = "get")]
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    json: Option<Value>,
    timeout: Option<WireDuration>,
    max_bytes: Option<usize>,
    #[serde(default)]
    expect_status: Vec<u16>,
}

fn get() -> String {
    "GET".into()
}

/// A request with its secrets, ready to be sent.
struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    expect_status: Vec<u16>,
    answer_bytes_max: usize,
    until: Instant,
}

impl Http {
    pub(crate) fn new(config: Config, secrets: Source) -> Result<Self, NotReady> {
        let client = Client::builder()
            .no_proxy() // a proxy would be asked for addresses this agent refuses
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(CONNECT)
            .user_agent(concat!("ephor/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(Guard { allow_private: config.allow_private }));
        Ok(Self { client: client.build().map_err(NotReady)?, config, secrets })
    }

    async fn go(&self, job: Job<'_>, used: &mut Used) -> Result<Outcome, Failure> {
        let params: Params = job.params()?;
        let mut request = self.request(&params, used)?;
        // Whoever is asked may tell of it within the trace of the task; what the plan says goes before.
        let traced = job.item().traceparent.as_deref().and_then(|parent| HeaderValue::from_str(parent).ok());
        if let Some(parent) = traced.filter(|_| !request.headers.contains_key(TRACEPARENT)) {
            request.headers.insert(TRACEPARENT, parent);
        }
        if request.method == Method::GET || request.method == Method::HEAD {
            return tokio::select! {
                answer = self.read(&request, used) => answer.map(Outcome::Succeeded),
                why = job.stopped() => Err(Failure::new(ErrorClass::Cancelled, format!("told to end: {why:?}"))),
            };
        }
        match cannot_look(job) {
            Some(blocked) => Ok(blocked),
            None => self.change(job, &params, &request, used).await.map(Outcome::Succeeded),
        }
    }

    /// Sends a request that may change something, if it may.
    async fn change(&self, job: Job<'_>, params: &Params, request: &Request, used: &Used) -> Result<Success, Failure> {
        // What the token is bound to must not tell the secrets: the parameters as they came, before they were put in.
        let args = Value::Object(job.item().params.clone());
        match job.effect("http.request", &args, |grant| self.act(job, request, grant, used)).await {
            Ok(Effected::Now(answer)) => answer,
            Ok(Effected::Before(grant)) => {
                let output = json!({"already_done": true, "idempotency_key": grant.idempotency_key});
                Ok(Success { output, ..Success::default() })
            }
            Err(failure) if failure.class == ErrorClass::Refused && !job.item().may_act => {
                Err(Failure { message: format!("{}; {}", failure.message, would_have_sent(params, request)), ..failure })
            }
            Err(failure) => Err(failure),
        }
    }

    fn request(&self, params: &Params, used: &mut Used) -> Result<Request, Failure> {
        let method = Method::from_bytes(params.method.to_ascii_uppercase().as_bytes());
        let method = method.map_err(|_| bad(format!("{:?} is no method", params.method)))?;
        let url = self.secrets.reveal(&params.url, used)?;
        let url = url.parse::<Url>().map_err(|e| bad(format!("{url:?} is no address: {e}")))?;
        let (body, json) = match (&params.body, &params.json) {
            (Some(_), Some(_)) => return Err(bad("give either body or json".into())),
            (Some(body), None) => (self.secrets.reveal(body, used)?.into_bytes(), false),
            (None, Some(value)) => (reveal_in(&self.secrets, value, used)?.to_string().into_bytes(), true),
            (None, None) => (Vec::new(), false),
        };
        if body.len() > BODY_BYTES_MAX {
            return Err(bad(format!("the body has {} bytes; {BODY_BYTES_MAX} are allowed", body.len())));
        }
        let mut headers = HeaderMap::new();
        if json {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in &params.headers {
            let known: HeaderName = name.parse().map_err(|_| bad(format!("{name:?} is no header")))?;
            if FIXED.contains(&known.as_str()) {
                return Err(bad(format!("the header {name} cannot be set")));
            }
            let value = HeaderValue::from_str(&self.secrets.reveal(value, used)?);
            headers.insert(known, value.map_err(|_| bad(format!("the value of {name} is no header value")))?);
        }
        let timeout_ms = params.timeout.map_or(self.config.timeout_ms, |t| t.ms.min(self.config.timeout_ms));
        Ok(Request {
            method,
            url,
            headers,
            body,
            expect_status: params.expect_status.clone(),
            answer_bytes_max: params.max_bytes.unwrap_or(usize::MAX).min(self.config.answer_bytes_max),
            until: Instant::now() + Duration::from_millis(timeout_ms),
        })
    }

    /// Sends a request that changes nothing, and follows where it is led.
    async fn read(&self, request: &Request, used: &Used) -> Result<Success, Failure> {
        let (mut url, mut headers) = (request.url.clone(), request.headers.clone());
        for _ in 0..=REDIRECTS_MAX {
            let response = self.send(request, &url, headers.clone()).await.map_err(|lost| lost.failure)?;
            let Some(next) = redirect(&response)? else {
                return self.answer(request, response, used).await;
            };
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(Failure::final_(ErrorClass::Refused, format!("{url} redirects to an unencrypted address")));
            }
            if next.origin() != url.origin() {
                headers = HeaderMap::new(); // they were meant for the first host only
            }
            url = next;
        }
        Err(Failure::final_(ErrorClass::External, format!("more than {REDIRECTS_MAX} redirects")))
    }

    /// Sends it, once, with its token.
    async fn act(&self, job: Job<'_>, request: &Request, grant: EffectGrant, used: &Used) -> Acted<Result<Success, Failure>> {
        let mut headers = request.headers.clone();
        if let Ok(key) = HeaderValue::from_str(&grant.idempotency_key) {
            headers.insert("idempotency-key", key);
        }
        let sent = tokio::select! {
            sent = self.send(request, &request.url, headers) => sent,
            why = job.stopped() => return Acted::Unknown(Failure::new(ErrorClass::Cancelled, format!("told to end: {why:?}"))),
        };
        let response = match sent {
            Ok(response) => response,
            Err(Lost { failure, sent: true }) => return Acted::Unknown(failure),
            Err(Lost { failure, sent: false }) => return Acted::NotDone(failure),
        };
        let status = response.status();
        let answer = self.answer(request, response, used).await;
        match answer {
            Err(failure) if status.is_server_error() => Acted::Unknown(failure),
            Err(failure) if status.is_client_error() => Acted::NotDone(failure),
            answer => Acted::Done(answer),
        }
    }

    async fn send(&self, request: &Request, url: &Url, headers: HeaderMap) -> Result<Response, Lost> {
        address::check(url, self.config.allow_private).map_err(|failure| Lost { failure, sent: false })?;
        let call = self.client.request(request.method.clone(), url.clone()).headers(headers).body(request.body.clone());
        match timeout_at(request.until, call.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Lost { sent: !error.is_connect() && !error.is_builder(), failure: failure(&error) }),
            Err(_) => Err(Lost { failure: Failure::new(ErrorClass::Timeout, "no answer in time"), sent: true }),
        }
    }

    /// Reads an answer and judges its status.
    async fn answer(&self, request: &Request, mut response: Response, used: &Used) -> Result<Success, Failure> {
        let (status, url, headers) = (response.status(), response.url().clone(), response.headers().clone());
        let mut body = Vec::new();
        let mut truncated = false;
        while !truncated {
            let chunk = timeout_at(request.until, response.chunk()).await;
            let chunk = chunk.map_err(|_| Failure::new(ErrorClass::Timeout, "the answer did not end in time"))?;
            let Some(chunk) = chunk.map_err(|e| failure(&e))? else { break };
            body.extend_from_slice(&chunk);
            truncated = body.len() > request.answer_bytes_max;
        }
        body.truncate(request.answer_bytes_max);
        let text = used.mask(&String::from_utf8_lossy(&body));
        let expected = request.expect_status.contains(&status.as_u16());
        if !(expected || request.expect_status.is_empty() && status.is_success()) {
            return Err(unexpected(status, &headers, &text));
        }
        let is_json = headers.get(CONTENT_TYPE).is_some_and(|kind| String::from_utf8_lossy(kind.as_bytes()).contains("json"));
        let parsed = if is_json && !truncated { serde_json::from_str(&text).ok() } else { None };
        let shown = headers
            .iter()
            .map(|(name, value)| (name.to_string(), Value::String(used.mask(&String::from_utf8_lossy(value.as_bytes())))));
        let output = json!({
            "status": status.as_u16(),
            "url": used.mask(url.as_str()),
            "headers": shown.collect::<Map<_, _>>(),
            "bytes": body.len(),
            "truncated": truncated,
            "body": parsed.unwrap_or(Value::String(text)),
        });
        Ok(Success { output, ..Success::default() })
    }
}

impl Agent for Http {
    fn actions(&self) -> Vec<String> {
        vec!["http.request".into()]
    }

    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        Box::pin(async move {
            let mut used = Used::default();
            let result = self.go(job, &mut used).await;
            result.unwrap_or_else(|failure| Outcome::Failed(used.mask_failure(failure)))
        })
    }
}

/// A request without an answer.
struct Lost {
    failure: Failure,
    /// Whether it may have arrived.
    sent: bool,
}

/// Puts secrets into every text of a JSON value.
fn reveal_in(secrets: &Source, value: &Value, used: &mut Used) -> Result<Value, Failure> {
    Ok(match value {
        Value::String(text) if secrets::wanted(text) => Value::String(secrets.reveal(text, used)?),
        Value::Array(items) => items.iter().map(|item| reveal_in(secrets, item, used)).collect::<Result<_, _>>()?,
        Value::Object(map) => {
            let fields = map.iter().map(|(name, value)| Ok((name.clone(), reveal_in(secrets, value, used)?)));
            Value::Object(fields.collect::<Result<_, Failure>>()?)
        }
        plain => plain.clone(),
    })
}

/// What is said of a request that was withheld: enough to judge it, nothing secret.
fn would_have_sent(params: &Params, request: &Request) -> String {
    let Request { method, body, .. } = request;
    format!("would have sent {method} {} with {} bytes (SHA-256 {})", params.url, body.len(), sha256(body))
}

/// Where an answer sends its reader.
fn redirect(response: &Response) -> Result<Option<Url>, Failure> {
    let Some(to) = response.headers().get(LOCATION).filter(|_| response.status().is_redirection()) else { return Ok(None) };
    let to = String::from_utf8_lossy(to.as_bytes());
    response.url().join(&to).map(Some).map_err(|e| Failure::final_(ErrorClass::External, format!("redirected to {to:?}: {e}")))
}

/// How much of an answer is shown in an error, in characters.
const SHOWN_CHARS_MAX: usize = 300;

/// A status nobody hoped for, as a failure.
fn unexpected(status: StatusCode, headers: &HeaderMap, text: &str) -> Failure {
    let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    let message = format!("answered {status}: {shown}");
    match status.as_u16() {
        429 | 503 if headers.contains_key(RETRY_AFTER) || status == StatusCode::TOO_MANY_REQUESTS => {
            // The date form of Retry-After is left to the retry policy: this agent has no clock.
            let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
            Failure { retry_after_ms: seconds.map(|s| s.saturating_mul(1_000)), ..Failure::new(ErrorClass::RateLimit, message) }
        }
        401 | 403 => Failure::final_(ErrorClass::Refused, message),
        404 | 410 => Failure::new(ErrorClass::NotFound, message),
        408 | 504 => Failure::new(ErrorClass::Timeout, message),
        400..=499 => Failure::final_(ErrorClass::BadInput, message),
        _ => Failure::new(ErrorClass::External, message),
    }
}

/// A request that failed before its answer, without its address, which may hold a secret.
fn failure(error: &reqwest::Error) -> Failure {
    if let Some(refused) = address::refused(error) {
        return Failure::final_(ErrorClass::Refused, refused);
    }
    let class = if error.is_timeout() { ErrorClass::Timeout } else { ErrorClass::External };
    let (mut causes, mut cause) = (Vec::new(), error.source());
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    Failure::new(class, format!("the request failed: {}", causes.join(": ")))
}

fn bad(message: String) -> Failure {
    Failure::final_(ErrorClass::BadInput, format!("http.request: {message}"))
}
