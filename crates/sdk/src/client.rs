//! A typed client of a server over HTTP: tasks, their events, agents and their work, keys.
//!
//! Every call has a deadline. A call that is lost, or that a server had no time for, is said again with growing waits, as often as
//! [`Config::tries`] says and no sooner than the server asks; a POST carries a key of its own, so that saying it twice does it once.
//! A server's no is a [`Problem`].
//!
//! ```no_run
//! use ephor_core::spec::Request;
//! use ephor_sdk::client::{Client, Config};
//!
//! # async fn example() -> Result<(), ephor_sdk::client::ClientError> {
//! let client = Client::new(Config::new("http://127.0.0.1:4000"))?;
//! let request = Request { title: Some("Say hello".into()), action: Some("echo".into()), ..Request::default() };
//! let task = client.submit(&request).await?.id;
//! println!("{}", client.finished(&task.to_string()).await?.status);
//! # Ok(())
//! # }
//! ```

mod agents;
mod asks;
mod call;
mod constitution;
mod error;
mod figures;
mod flow;
mod models;
mod sse;
mod stream;
mod tasks;
mod views;
mod webhooks;
mod wire;

pub use error::{ClientError, Problem};
pub use stream::{EventStream, ProgressStream, pause};
pub use views::{Edge, Graph, Kept, Node, TaskResult, WorkLog};
pub use wire::{Accepted, AgentView, AssignedStep, Claim, EventFilter, Me, Page, Progress, ReportAnswers, Reported, TaskFilter};

pub(crate) use call::Call;

use reqwest::header::HeaderValue;
use reqwest::{Url, redirect};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The header that makes a repeated POST the same POST.
const KEY: &str = "idempotency-key";
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a call may take, unless somebody says.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often a call is tried, unless somebody says: with the waits between them about three seconds, which a restart takes.
const TRIES: u32 = 6;

/// How a client is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the server is: `http://127.0.0.1:4000`.
    pub server: String,
    /// What shows who asks.
    pub token: Option<Token>,
    /// Where tasks belong that do not say.
    pub namespace: Option<String>,
    /// How long a call may take, beyond what it asks the server to wait.
    pub timeout: Duration,
    /// How often a call is tried before it has failed; 1 for once.
    pub tries: u32,
}

impl Config {
    /// The defaults, for this server: no token, 30 s a call, six tries.
    pub fn new(server: impl Into<String>) -> Self {
        Self { server: server.into(), token: None, namespace: None, timeout: TIMEOUT, tries: TRIES }
    }

    /// As the environment says: `EPHOR_SERVER` (else `http://127.0.0.1:4000`), `EPHOR_TOKEN`, `EPHOR_NAMESPACE`.
    pub fn of_environment() -> Self {
        let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let config = Self::new(named("EPHOR_SERVER").unwrap_or_else(|| "http://127.0.0.1:4000".into()));
        Self { token: named("EPHOR_TOKEN").map(Token::new), namespace: named("EPHOR_NAMESPACE"), ..config }
    }

    /// With this token.
    #[must_use]
    pub fn with_token(self, token: impl Into<String>) -> Self {
        Self { token: Some(Token::new(token)), ..self }
    }
}

/// A secret that shows who asks. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// This secret; blanks around it do not count.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into().trim().to_owned())
    }

    fn bearer(&self) -> HeaderValue {
        // Checked when the client was made.
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0)).unwrap_or(HeaderValue::from_static("Bearer"));
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A way to a server. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    base: Url,
    token: Option<Token>,
    namespace: Option<String>,
    timeout: Duration,
    tries: u32,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.inner.base.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of this server. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Setup`] where the address or the token makes no sense.
    pub fn new(config: Config) -> Result<Self, ClientError> {
        let base = address(&config.server)?;
        if config.token.as_ref().is_some_and(|token| token.0.is_empty() || !token.0.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(ClientError::Setup("the token has to be letters, digits and marks, without blanks".into()));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            // A token is for this server alone; whoever points elsewhere gets nothing.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("ephor-sdk/", env!("CARGO_PKG_VERSION")));
        // A proxy of the network has no way to this machine.
        let http = if is_loopback(&base) { http.no_proxy() } else { http };
        let http = http.build().map_err(|e| ClientError::Setup(error::innermost(&e)))?;
        let Config { token, namespace, timeout, tries, server: _ } = config;
        Ok(Self { inner: Arc::new(Inner { http, base, token, namespace, timeout, tries: tries.max(1) }) })
    }

    /// The address of the server, as it goes into messages.
    pub fn server(&self) -> String {
        self.inner.base.as_str().trim_end_matches('/').to_owned()
    }

    /// Where tasks belong that do not say.
    pub fn namespace(&self) -> Option<&str> {
        self.inner.namespace.as_deref()
    }
}

/// The address of a server, as one that can be used.
fn address(text: &str) -> Result<Url, ClientError> {
    let wrong = |why: &str| ClientError::Setup(format!("{text:?} is no address of a server: {why}"));
    let url = Url::parse(text.trim()).map_err(|_| wrong("write it as http://127.0.0.1:4000"))?;
    match (url.scheme(), url.username(), url.password(), url.query(), url.fragment()) {
        ("http" | "https", "", None, None, None) => Ok(url),
        ("http" | "https", _, _, None, None) => Err(ClientError::Setup("the address of a server holds no secrets".into())),
        ("http" | "https", ..) => Err(wrong("it has no query")),
        _ => Err(wrong("it begins with http:// or https://")),
    }
}

/// Whether the address is of this machine, so that nobody else reads what is sent.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_sense_or_with_secrets_is_refused() {
        for wrong in ["", "127.0.0.1:4000", "ftp://x", "http://u:p@x", "http://x?a=b", "http://"] {
            assert!(matches!(Client::new(Config::new(wrong)), Err(ClientError::Setup(_))), "{wrong}");
        }
        let client = Client::new(Config::new("http://127.0.0.1:4000/")).unwrap();
        assert_eq!(client.server(), "http://127.0.0.1:4000");
    }

    #[test]
    fn a_token_is_never_printed() {
        let config = Config::new("http://x").with_token(" ephor_secret\n");
        assert!(!format!("{config:?}{:?}", Client::new(config.clone()).unwrap()).contains("secret"));
        assert!(Client::new(Config::new("http://x").with_token("two words")).is_err());
    }
}
