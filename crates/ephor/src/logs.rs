//! The log of a server: lines on standard error or in a file, as text or JSON, with nothing in them that somebody has to keep to themselves.
//!
//! What is logged is chosen where it happens; here it is written. Everything passes `mask`, whoever wrote it: keys, tokens and cookies,
//! the secrets of this process, addresses and numbers of people.

use regex::{Captures, Regex};
use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How much is logged where `EPHOR_LOG` does not say.
const LEVEL: &str = "info";
/// The shortest value in the environment that is masked; shorter ones would spoil every line.
const SECRET_BYTES_MIN: usize = 4;
/// What stands where something was.
const MASK: &str = "***";

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Begins to log: at the end of a file, which is made where it is missing, or on standard error. Where somebody has begun before, that
/// stays.
///
/// # Errors
/// The file cannot be written to.
pub fn start(format: Format, file: Option<&Path>) -> io::Result<()> {
    match file.map(open).transpose()? {
        Some(file) => start_on(format, Masked(file)),
        None => start_on(format, Masked(io::stderr)),
    }
    Ok(())
}

/// The log is for whoever runs the server: it tells who asked for what.
fn open(path: &Path) -> io::Result<Arc<File>> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(Arc::new)
}

fn start_on(format: Format, writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    let said = std::env::var("EPHOR_LOG").ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::try_new(said.as_deref().unwrap_or(LEVEL)).unwrap_or_else(|_| EnvFilter::new(LEVEL));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(writer);
    let _begun_before = match format {
        Format::Text => lines.try_init(),
        Format::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    };
}

/// An error with everything that led to it, as one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// Masks every line before it is written.
#[derive(Clone, Copy, Debug)]
pub struct Masked<M>(pub M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Masked<M> {
    type Writer = MaskedWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        MaskedWriter(self.0.make_writer())
    }
}

/// Where masked lines go.
#[derive(Debug)]
pub struct MaskedWriter<W>(W);

impl<W: io::Write> io::Write for MaskedWriter<W> {
    // A line comes whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match mask(&String::from_utf8_lossy(line)) {
            Cow::Borrowed(_) => self.0.write_all(line)?,
            Cow::Owned(masked) => self.0.write_all(masked.as_bytes())?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A text without what somebody has to keep to themselves.
pub fn mask(text: &str) -> Cow<'_, str> {
    static SECRETS: LazyLock<Vec<String>> = LazyLock::new(secrets);
    let text = known(text, &SECRETS);
    match PATTERN.is_match(&text) {
        false => text,
        true => Cow::Owned(PATTERN.replace_all(&text, masked).into_owned()),
    }
}

/// What looks like something to be masked: keys and tokens of this program; the values of headers and fields that hold secrets; the
/// addresses and telephone numbers of people.
static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    let parts = [
        r"(?P<own>ephor_[a-z]+_)[0-9a-f]{8,}",
        r"(?P<hook>whsec_)[A-Za-z0-9+/=]{8,}",
        r#"(?P<header>(?i:\b(?:proxy-)?authorization|\b(?:set-)?cookie|\bx-api-key)(?:\\?["'])?\s*[:=]\s*(?:\\?["'])?)[^"'\\\r\n]+"#,
        r"(?P<scheme>(?i:\b(?:bearer|basic)\s+))[A-Za-z0-9._~+/=-]{8,}",
        r#"(?P<field>(?i:\b[a-z_-]*(?:password|passwd|secret|token|api[_-]?key))(?:\\?["'])?\s*[:=]\s*(?:\\?["'])?)[^\s"'\\&,;}]+"#,
        r"(?P<mail>[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)",
        r"(?P<phone>\+\d[\d ()/.-]{6,}\d|\(\d{2,5}\) ?\d[\d -]{4,}\d|\b0\d{1,5}[ /-]\d[\d -]{4,}\d|\b\d{3}-\d{3}-\d{4}\b)",
    ];
    Regex::new(&parts.join("|")).expect("the pattern is written here")
});

fn masked(found: &Captures<'_>) -> String {
    let kept = ["own", "hook", "header", "scheme", "field"].iter().find_map(|name| found.name(name));
    format!("{}{MASK}", kept.map_or("", |part| part.as_str()))
}

/// Without the values of secrets that are known.
fn known<'a>(text: &'a str, secrets: &[String]) -> Cow<'a, str> {
    secrets
        .iter()
        .filter(|secret| text.contains(secret.as_str()))
        .fold(Cow::Borrowed(text), |text, secret| Cow::Owned(text.replace(secret, MASK)))
}

/// What `${secrets.NAME}` stands for in this process, the longest first.
fn secrets() -> Vec<String> {
    let named = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("EPHOR_SECRET_"));
    let mut values: Vec<String> = named.filter_map(|(_, value)| value.into_string().ok()).collect();
    values.retain(|value| value.len() >= SECRET_BYTES_MIN);
    values.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_be_seen_is_masked() {
        for (text, shown) in [
            ("key ephor_key_0123456789abcdef used", "key ephor_key_*** used"),
            ("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "signed with whsec_***"),
            ("authorization: Digest abc, def", "authorization: ***"),
            (r#"{"Cookie":"a=b; c=d","n":1}"#, r#"{"Cookie":"***","n":1}"#),
            ("got Bearer abcdefgh12345 from", "got Bearer *** from"),
            ("password=hunter2 next", "password=*** next"),
            (r#"{"access_token":"xyz"}"#, r#"{"access_token":"***"}"#),
            ("from=ann@example.org to", "from=*** to"),
            ("call +49 30 1234567 now", "call *** now"),
            ("call (555) 123-4567 now", "call *** now"),
            ("call 030/1234567 now", "call *** now"),
            ("call 555-123-4567 now", "call *** now"),
        ] {
            assert_eq!(mask(text), shown);
        }
    }

    #[test]
    fn what_programs_need_stays() {
        for text in [
            "2026-11-24T19:24:34.123456Z  INFO request id=\"0a1b2c3d-1\" path=\"/api/v1/tasks/{id}\" status=200 ms=0.12",
            "task=task_01k9zq5v3ze8rt6a0w1m2n3p4q:step:1.2 agent=agent_01k9zq5v3ze8rt6a0w1m2n3p4q",
            "listening on 127.0.0.1:4000, 192.0.2.1 and [::1]:80",
            "at 2026-01-02 03:04:05 +00:00, 1234567890 bytes, version 0.1.0",
        ] {
            assert!(matches!(mask(text), Cow::Borrowed(_)), "{}", mask(text));
        }
    }

    #[test]
    fn secrets_of_this_process_are_masked_wherever_they_stand() {
        let secrets = ["longer-secret".to_owned(), "secret".to_owned()];
        assert_eq!(known("a longer-secret and a secret", &secrets), "a *** and a ***");
    }

    #[test]
    fn an_error_is_told_with_everything_that_led_to_it() {
        let inner = io::Error::other("the cable is loose");
        let outer = io::Error::other(Outer(inner));
        assert_eq!(chain(&outer), "no network: the cable is loose");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("no network")]
    struct Outer(#[source] io::Error);
}
