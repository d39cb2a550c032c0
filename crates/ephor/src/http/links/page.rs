//! The pages of a link: plain HTML without a script, so that they work in whatever opens them.

use super::{Refused, Said};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ephor_core::inbox::Asked;
use ephor_core::time::Time;

/// What such a page may do: show itself, and send its form to this server.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The question, and the ways to answer.
pub(super) fn question(said: &Said, asked: &Asked, code: &str) -> Response {
    let (until, risk, title) = (Time(said.until), asked.risk_level.word(), text(&asked.title));
    let params = asked.approval.as_ref().map(|approval| serde_json::to_string_pretty(&approval.params).unwrap_or_default());
    let params = params.map(|params| format!("<h2>With these parameters</h2><pre>{}</pre>", text(&params))).unwrap_or_default();
    let why: String = asked.why.iter().map(|why| format!("<li>{}</li>", text(why))).collect();
    let why = if why.is_empty() { why } else { format!("<h2>Why a person is asked</h2><ul>{why}</ul>") };
    let (task, step, action) = (asked.task_id, text(&said.step), text(asked.action.as_deref().unwrap_or_default()));
    let (what, unanswered) = (text(&asked.what), text(&asked.unanswered));
    let (who, by, code) = (text(&said.who), text(&said.by), text(code));
    let html = format!(
        "<h1>May this be done?</h1><p class=\"first\">{what}.</p>\
         <dl><dt>Task</dt><dd>{title} <code>{task}</code></dd><dt>Risk</dt><dd>{risk}</dd><dt>Step</dt><dd>{step}</dd>\
         <dt>Action</dt><dd><code>{action}</code></dd></dl>{params}{why}\
         <p>You answer as <strong>{who}</strong>, by a link that {by} made. Your answer counts for exactly this, and once. \
         The link works until {until}; if nobody answers: {unanswered}.</p>\
         <form method=\"post\" action=\"/answer\"><input type=\"hidden\" name=\"code\" value=\"{code}\">\
         <p><label for=\"reason\">Why (needed for a no)</label><br>\
         <textarea id=\"reason\" name=\"reason\" rows=\"3\" cols=\"40\" maxlength=\"2000\"></textarea></p>\
         <p><button name=\"answer\" value=\"approve\">Approve of just this</button> \
         <button name=\"answer\" value=\"deny\">Deny it</button></p></form>"
    );
    page(StatusCode::OK, "May this be done?", &html)
}

/// What was taken down.
pub(super) fn taken(said: &Said, approved: bool) -> Response {
    let (title, what) = match approved {
        true => ("Approved", "It may be done, just as it was shown."),
        false => ("Denied", "It is not done."),
    };
    let html = format!(
        "<h1>{title}</h1><p>{what} Taken down as the word of <strong>{}</strong>. This link is used up.</p>",
        text(&said.who)
    );
    page(StatusCode::OK, title, &html)
}

/// Why nothing was done.
pub(super) fn refused(why: &Refused) -> Response {
    page(why.status, "Nothing was done", &format!("<h1>Nothing was done</h1><p>{}</p>", text(&why.why)))
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"referrer\" content=\"no-referrer\"><title>{title} · Ephor</title><link rel=\"stylesheet\" href=\"/ui/base.css\">\
         <link rel=\"stylesheet\" href=\"/ui/answer.css\"></head><body><main class=\"answer\">{body}</main></body></html>"
    );
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    (status, headers, html).into_response()
}

/// A text in HTML.
fn text(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
