//! One call: what is sent, how long it may take, when it is said again, and what came back.

use super::error::{ClientError, Problem, innermost, passes};
use super::{Client, KEY};
use crate::backoff::Backoff;
use crate::random;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, LINK, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The largest answer that is read into memory.
const ANSWER_MAX: usize = 64 << 20;
/// The longest wait a server may ask for between two tries; one that asks for more is told on.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// What is asked of a server.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    /// A path and its query as somebody wrote them.
    written: Option<(String, String)>,
    body: Option<(&'static str, Vec<u8>)>,
    key: Option<String>,
    /// How long it may wait for work or events beyond the usual.
    patience: Duration,
    /// Whether saying it twice is as good as saying it once.
    repeatable: bool,
}

impl Call {
    /// A call to a path below `/api/v1`, segment by segment.
    pub(crate) fn new<'a>(method: Method, path: impl IntoIterator<Item = &'a str>) -> Self {
        let below = ["api", "v1"].into_iter().chain(path);
        Self::at(method, below)
    }

    /// A call to a path, segment by segment.
    pub(crate) fn at<'a>(method: Method, path: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            repeatable: method.is_idempotent() && method != Method::PATCH,
            method,
            path: path.into_iter().map(Into::into).collect(),
            query: Vec::new(),
            written: None,
            body: None,
            key: None,
            patience: Duration::ZERO,
        }
    }

    pub(crate) fn get<'a>(path: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Method::GET, path)
    }

    /// A POST under a key of its own: said again, it is answered again and done once.
    pub(crate) fn post<'a>(path: impl IntoIterator<Item = &'a str>) -> Self {
        Self { key: Some(random::key()), repeatable: true, ..Self::new(Method::POST, path) }
    }

    /// A POST whose body says by itself what must not happen twice.
    pub(crate) fn post_once<'a>(path: impl IntoIterator<Item = &'a str>) -> Self {
        Self { repeatable: false, ..Self::new(Method::POST, path) }
    }

    /// Under the key of the caller.
    pub(crate) fn under(self, key: Option<&str>) -> Self {
        match key {
            Some(key) => Self { key: Some(key.to_owned()), ..self },
            None => self,
        }
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// With a part of the query where there is something to say.
    pub(crate) fn maybe(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// To this path with this query, as they are written.
    pub(crate) fn written(self, path: &str, query: &str) -> Self {
        Self { written: Some((path.to_owned(), query.to_owned())), ..self }
    }

    pub(crate) fn json(self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("what goes over the wire is plain data");
        self.body("application/json", body)
    }

    pub(crate) fn body(self, kind: &'static str, body: Vec<u8>) -> Self {
        Self { body: Some((kind, body)), ..self }
    }

    pub(crate) fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Calls until there is an answer: a call that may be repeated is, with growing waits, as often as the client was told to.
    pub(crate) async fn call(&self, call: Call) -> Result<Reply, ClientError> {
        let mut backoff = Backoff::default();
        for tries in 1.. {
            let error = match self.once(&call).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let pause = error.problem().and_then(|p| p.retry_after).unwrap_or_default();
            if tries >= self.inner.tries || pause > RETRY_AFTER_MAX || !self.is_worth_repeating(&call, &error) {
                return Err(error);
            }
            tracing::debug!(%error, tries, "a call is said again");
            tokio::time::sleep(random::spread(backoff.step()).max(pause)).await;
        }
        unreachable!("the loop ends by its bound")
    }

    /// Whether saying it again can help and cannot harm: what was certainly not carried out may always be repeated.
    fn is_worth_repeating(&self, call: &Call, error: &ClientError) -> bool {
        match error {
            ClientError::Refused(problem) if matches!(problem.status, 429 | 503 | 507) => true,
            other => other.may_pass() && call.repeatable,
        }
    }

    async fn once(&self, call: &Call) -> Result<Reply, ClientError> {
        let limit = self.inner.timeout + call.patience;
        let answered = tokio::time::timeout(limit, async {
            let response = self.send(call, None).await?;
            self.read(response).await
        });
        answered.await.unwrap_or_else(|_| Err(self.unreachable(format!("no answer within {} s", limit.as_secs()))))
    }

    /// Sends it and waits for the head of the answer. `accept` names another form than JSON.
    pub(crate) async fn send(&self, call: &Call, accept: Option<&str>) -> Result<Response, ClientError> {
        let mut request = self.inner.http.request(call.method.clone(), self.url(call)?);
        request = request.header(ACCEPT, accept.unwrap_or("application/json"));
        if let Some(token) = &self.inner.token {
            request = request.header(AUTHORIZATION, token.bearer());
        }
        if let Some(key) = &call.key {
            request = request.header(KEY, key);
        }
        if let Some((kind, body)) = &call.body {
            request = request.header(CONTENT_TYPE, *kind).body(body.clone());
        }
        request.send().await.map_err(|e| self.unreachable(innermost(&e)))
    }

    async fn read(&self, response: Response) -> Result<Reply, ClientError> {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.body(response).await?;
        match status.is_success() {
            true => Ok(Reply { status, headers, body }),
            false => Err(ClientError::Refused(Box::new(Problem::read(status, &body, retry_after(&headers))))),
        }
    }

    /// The no in an answer that is not the stream that was asked for.
    pub(crate) async fn refusal(&self, response: Response) -> ClientError {
        let (status, pause) = (response.status(), retry_after(response.headers()));
        match tokio::time::timeout(self.inner.timeout, self.body(response)).await {
            Ok(Ok(body)) => ClientError::Refused(Box::new(Problem::read(status, &body, pause))),
            Ok(Err(error)) => error,
            Err(_) => self.unreachable("the answer did not end"),
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|e| self.unreachable(innermost(&e)))? {
            if body.len() + piece.len() > ANSWER_MAX {
                return Err(self.unreadable(format!("it is larger than {ANSWER_MAX} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn url(&self, call: &Call) -> Result<Url, ClientError> {
        let mut url = self.inner.base.clone();
        if let Some((path, query)) = &call.written {
            let below = url.path().trim_end_matches('/').to_owned();
            url.set_path(&format!("{below}/{}", path.trim_start_matches('/')));
            url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
            return Ok(url);
        }
        // `.` and `..` would be taken as steps in the path, whatever they name.
        if call.path.iter().any(|segment| matches!(segment.as_str(), "" | "." | "..")) {
            return Err(ClientError::Setup("a name in the path is missing".into()));
        }
        url.path_segments_mut().expect("an address of HTTP has a path").pop_if_empty().extend(&call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        Ok(url)
    }

    pub(crate) fn unreachable(&self, why: impl Into<String>) -> ClientError {
        ClientError::Unreachable { server: self.server(), why: why.into() }
    }

    pub(crate) fn unreadable(&self, why: impl Into<String>) -> ClientError {
        ClientError::Unreadable { server: self.server(), why: why.into() }
    }

    /// Calls and reads the answer.
    pub(crate) async fn fetch<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        let reply = self.call(call).await?;
        self.parse(&reply.body)
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(body).map_err(|e| self.unreadable(e.to_string()))
    }
}

impl Reply {
    /// The cursor of the next page, where there is one (`Link: <…?cursor=…>; rel="next"`).
    pub(crate) fn next(&self) -> Option<String> {
        let links = self.headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
        let next = links.filter(|link| link.contains("rel=\"next\"") || link.contains("rel=next"));
        let target = |link: &str| {
            let target = link.split_once('<')?.1.split_once('>')?.0.to_owned();
            let query = target.split_once('?')?.1.to_owned();
            let base = Url::parse(&format!("http://localhost/?{query}")).ok()?;
            base.query_pairs().find(|(name, _)| matches!(&**name, "cursor" | "after")).map(|(_, value)| value.into_owned())
        };
        next.filter_map(target).next()
    }
}

/// The wait a server asks for, in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Whether a status is one of a server that has no time: used where a stream is opened.
pub(crate) fn is_passing(status: StatusCode) -> bool {
    passes(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_in_the_link() {
        let mut headers = HeaderMap::new();
        let reply = |headers: &HeaderMap| Reply { status: StatusCode::OK, headers: headers.clone(), body: Vec::new() };
        assert_eq!(reply(&headers).next(), None);
        headers.insert(LINK, "</api/v1/tasks?limit=2&cursor=a%2Fb>; rel=\"next\"".parse().unwrap());
        assert_eq!(reply(&headers).next().as_deref(), Some("a/b"));
        headers.insert(LINK, "</x?cursor=1>; rel=\"prev\"".parse().unwrap());
        assert_eq!(reply(&headers).next(), None);
    }
}
