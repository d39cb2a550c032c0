//! Calls that the server itself makes to addresses that people gave it: the same guard as that of [`crate::http`], no redirect, an end to
//! every wait and to every answer.

use crate::http::address::{self, Guard};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How much of an answer is read; what is longer is cut.
const ANSWER_MAX: usize = 4 << 10;

/// Sends.
#[derive(Clone, Debug)]
pub struct Outgoing {
    client: Client,
    allow_private: bool,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// How long the receiver asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The beginning of what it said.
    pub said: String,
}

/// Why nothing came back. Holds no address, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The address may not be reached.
    #[error("{0}")]
    Refused(String),
    /// The receiver could not be reached, or did not answer in time.
    #[error("{0}")]
    Lost(String),
}

impl Outgoing {
    /// Reaches public addresses alone, unless others are allowed.
    ///
    /// # Errors
    /// What the TLS library says when it cannot start.
    pub fn new(allow_private: bool) -> Result<Self, crate::http::NotReady> {
        let client = Client::builder()
            .no_proxy() // a proxy would be asked for addresses the guard refuses
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(CONNECT)
            .user_agent(concat!("ephor/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(Guard { allow_private }));
        Ok(Self { client: client.build().map_err(crate::http::NotReady)?, allow_private })
    }

    /// Whether an address makes sense and is none that is refused as it stands. A name is judged when it is resolved.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, url: &str) -> Result<(), Trouble> {
        read(url, self.allow_private).map(drop)
    }

    /// Sends a body, once, and waits for the answer no longer than `patience` in all.
    ///
    /// # Errors
    /// That it may not be reached, or could not.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: String,
        patience: Duration,
    ) -> Result<Answered, Trouble> {
        let url = read(url, self.allow_private)?;
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let wrong = || Trouble::Refused(format!("{name} cannot be sent"));
            let value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            all.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
        }
        let until = Instant::now() + patience;
        let late = |_| Trouble::Lost("no answer in time".into());
        let sent = timeout_at(until, self.client.post(url).headers(all).body(body).send()).await.map_err(late)?;
        let mut response = sent.map_err(|error| lost(&error))?;
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let (status, mut said) = (response.status().as_u16(), Vec::new());
        // What it says beside its status is for people: as much of it as comes, and no more than fits.
        while said.len() < ANSWER_MAX {
            match timeout_at(until, response.chunk()).await {
                Ok(Ok(Some(chunk))) => said.extend_from_slice(&chunk[..chunk.len().min(ANSWER_MAX - said.len())]),
                Ok(Ok(None) | Err(_)) | Err(_) => break,
            }
        }
        let said = String::from_utf8_lossy(&said).into_owned();
        Ok(Answered { status, retry_after: retry_after.map(Duration::from_secs), said })
    }
}

/// Reads an address, where it makes sense and is none that is refused as it stands.
///
/// # Errors
/// Why not.
pub fn read(url: &str, allow_private: bool) -> Result<Url, Trouble> {
    let url: Url = url.parse().map_err(|e| Trouble::Refused(format!("this is no address: {e}")))?;
    address::check(&url, allow_private).map_err(|failure| Trouble::Refused(failure.message))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Trouble::Refused("an address must not hold a name and a password".into()));
    }
    Ok(url)
}

fn lost(error: &reqwest::Error) -> Trouble {
    if let Some(why) = address::refused(error) {
        return Trouble::Refused(why);
    }
    let (mut causes, mut cause) = (Vec::new(), error.source());
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    Trouble::Lost(format!("it could not be reached: {}", causes.join(": ")))
}
