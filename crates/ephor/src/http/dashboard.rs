//! The dashboard: pages of HTML, CSS and modules that stand in the binary as they were written. They hold no data; what they show they
//! ask the interface for, in the name of who looks. So everybody gets them, also to sign in with.

use super::compress::{gzip, reads_gzip};
use super::server::Server;
use crate::api::{ApiError, Kind};
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

/// Addresses of pages. All of them are one document, that reads its own address; a test compares them with those its script knows.
pub(crate) const PAGES: &[&str] = &[
    "/",
    "/tasks",
    "/tasks/{id}",
    "/new",
    "/inbox",
    "/agents",
    "/agents/{id}",
    "/council",
    "/constitution",
    "/automation",
    "/models",
    "/figures",
    "/flow",
    "/admin",
];
/// Where what the pages are made of is found.
pub(crate) const ASSETS: &str = "/ui/{*file}";

/// What a page may do: load what this server gives, ask this server, and be shown alone. Nothing written into a page is run, and the
/// browser refuses text where it would become markup or script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The document.
const INDEX: &str = "index.html";

macro_rules! assets {
    ($($name:literal: $kind:ident),* $(,)?) => {
        &[$(($name, $kind, include_str!(concat!("../../dashboard/", $name)))),*]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Everything there is: name, kind and text.
pub(crate) const FILES: &[(&str, &str, &str)] = assets! {
    "index.html": HTML,
    "base.css": CSS,
    "pages.css": CSS,
    "answer.css": CSS,
    "theme.js": SCRIPT,
    "app.js": SCRIPT,
    "api.js": SCRIPT,
    "dom.js": SCRIPT,
    "live.js": SCRIPT,
    "keys.js": SCRIPT,
    "words.js": SCRIPT,
    "dialog.js": SCRIPT,
    "acts.js": SCRIPT,
    "monitor.js": SCRIPT,
    "rows.js": SCRIPT,
    "parts.js": SCRIPT,
    "trust.js": SCRIPT,
    "asked.js": SCRIPT,
    "pages/overview.js": SCRIPT,
    "pages/tasks.js": SCRIPT,
    "pages/new.js": SCRIPT,
    "pages/task.js": SCRIPT,
    "pages/timeline.js": SCRIPT,
    "pages/graph.js": SCRIPT,
    "pages/tabs.js": SCRIPT,
    "pages/budget.js": SCRIPT,
    "pages/inbox.js": SCRIPT,
    "pages/agents.js": SCRIPT,
    "pages/council.js": SCRIPT,
    "pages/constitution.js": SCRIPT,
    "pages/automation.js": SCRIPT,
    "pages/models.js": SCRIPT,
    "pages/figures.js": SCRIPT,
    "pages/flow.js": SCRIPT,
    "pages/admin.js": SCRIPT,
};

/// A file as it is given out.
struct Asset {
    kind: &'static str,
    text: &'static str,
    /// What it is known by, as it is and packed: another form is another thing.
    tags: [String; 2],
    packed: OnceLock<Bytes>,
}

impl Asset {
    /// Packed as small as it goes, once.
    fn packed(&self) -> Bytes {
        self.packed.get_or_init(|| gzip(self.text.as_bytes(), Compression::best()).into()).clone()
    }
}

fn asset(name: &str) -> Option<&'static Asset> {
    static ALL: LazyLock<HashMap<&str, Asset>> = LazyLock::new(|| {
        let tag = |text: &str| Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
        let named = |(name, kind, text): &(&'static str, &'static str, &'static str)| {
            let tags = ["", "-gzip"].map(|form| format!("\"{}{form}\"", tag(text)));
            (*name, Asset { kind, text, tags, packed: OnceLock::new() })
        };
        FILES.iter().map(named).collect()
    });
    ALL.get(name)
}

/// The pages and what they are made of.
pub(crate) fn routes() -> Router<Arc<Server>> {
    let pages = PAGES.iter().fold(Router::new(), |router, path| router.route(path, get(page)));
    pages.route(ASSETS, get(file))
}

async fn page(headers: HeaderMap) -> Response {
    give(INDEX, &headers)
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    give(&name, &headers)
}

fn give(name: &str, asked: &HeaderMap) -> Response {
    let Some(asset) = asset(name) else {
        return ApiError::new(Kind::NotFound, "NOT_FOUND", format!("the dashboard has no file {name:?}")).into_response();
    };
    let mut headers = secured(HeaderMap::new());
    // Kept, and asked about each time: a new binary is seen at once, an old one costs no bytes.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let packed = reads_gzip(asked);
    let tag = &asset.tags[usize::from(packed)];
    headers.insert(header::ETAG, HeaderValue::from_str(tag).expect("hexadecimal digits, a word and quotes"));
    let known = asked.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|tags| tags.split(',').any(|known| known.trim().trim_start_matches("W/") == tag)) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    if packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return (headers, asset.packed()).into_response();
    }
    (headers, asset.text).into_response()
}

/// What keeps others out of a page.
fn secured(mut headers: HeaderMap) -> HeaderMap {
    let all = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    headers.extend(all.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers
}
