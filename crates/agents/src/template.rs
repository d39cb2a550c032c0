//! `template.render`: a text from a template and data.

use crate::blocking;
use crate::confine::{self, OutFolder, Roots};
use ephor_core::spec::ErrorClass;
use ephor_core::work::{Failure, Outcome, Success};
use ephor_sdk::agent::{Agent, Job, Running};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io;

/// The largest template, in bytes.
pub const TEMPLATE_BYTES_MAX: u64 = 256 * 1024;

/// The largest text, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most instructions a template may take: some seconds of loops at most.
pub const FUEL_MAX: u64 = 2_000_000;

/// `template.render {template | template_file, data, out?, escape?}` → `{text, bytes}`, or with `out` `{path, bytes, sha256}`.
///
/// A name that is not in the data is an error. `escape` is `none`, `html` or `json`; where it is missing the ending of `out`
/// decides. Beside minijinja's own filters there is `md`, which takes the meaning from Markdown's marks. A template cannot
/// include others and reaches nothing but its data.
pub struct Template {
    roots: Roots,
    out: OutFolder,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    template: Option<String>,
    template_file: Option<String>,
    #[serde(default)]
    data: Value,
    out: Option<String>,
    escape: Option<Escape>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Escape {
    None,
    Html,
    Json,
}

impl Template {
    pub(crate) fn new(roots: Roots, out: OutFolder) -> Self {
        Self { roots, out }
    }

    async fn go(&self, job: Job<'_>) -> Result<Success, Failure> {
        let params: Params = job.params()?;
        let (roots, out, may_act) = (self.roots.clone(), self.out.clone(), job.item().may_act);
        let output = blocking::run(job, move |_| {
            let text = render(&source(&params, &roots)?, &params)?;
            Ok(match &params.out {
                Some(path) => json!(out.write(path, text.as_bytes(), may_act)?),
                None => json!({"bytes": text.len(), "text": text}),
            })
        });
        Ok(Success { output: output.await?, ..Success::default() })
    }
}

impl Agent for Template {
    fn actions(&self) -> Vec<String> {
        vec!["template.render".into()]
    }

    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        Box::pin(async move { Outcome::from(self.go(job).await) })
    }
}

fn source(params: &Params, roots: &Roots) -> Result<String, Failure> {
    let wrong = |what: &str| Failure::final_(ErrorClass::BadInput, format!("template.render: {what}"));
    match (&params.template, &params.template_file) {
        (Some(text), None) if text.len() as u64 <= TEMPLATE_BYTES_MAX => Ok(text.clone()),
        (Some(_), None) => Err(wrong("the template is larger than 256 KiB")),
        (None, Some(path)) => {
            let content = confine::read(&roots.resolve(path)?, path, TEMPLATE_BYTES_MAX)?;
            String::from_utf8(content).map_err(|_| wrong("the template is not UTF-8"))
        }
        _ => Err(wrong("give either template or template_file")),
    }
}

fn render(source: &str, params: &Params) -> Result<String, Failure> {
    let escape = params.escape.unwrap_or_else(|| by_ending(params.out.as_deref().unwrap_or("")));
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL_MAX));
    environment.add_filter("md", markdown);
    environment.set_auto_escape_callback(move |_| match escape {
        Escape::None => AutoEscape::None,
        Escape::Html => AutoEscape::Html,
        Escape::Json => AutoEscape::Json,
    });
    let name = params.template_file.as_deref().unwrap_or("template");
    let template = environment.template_from_named_str(name, source).map_err(|e| failure(&e))?;
    let mut text = Bounded(Vec::new());
    template.render_captured_to(minijinja::value::Serde(&params.data), &mut text).map_err(|e| failure(&e))?;
    Ok(String::from_utf8(text.0).expect("templates, data and filters are text"))
}

fn by_ending(out: &str) -> Escape {
    match out.rsplit_once('.') {
        Some((_, "html" | "htm" | "xml")) => Escape::Html,
        Some((_, "json")) => Escape::Json,
        _ => Escape::None,
    }
}

/// Takes the meaning from the marks of Markdown, and from line breaks, so that data stays one piece of text.
fn markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\r' | '\n' => safe.push(' '),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '(' | ')' | '#' | '+' | '-' | '!' | '|' | '~' => {
                safe.extend(['\\', c]);
            }
            _ => safe.push(c),
        }
    }
    safe
}

fn failure(error: &minijinja::Error) -> Failure {
    let class = match error.kind() {
        ErrorKind::OutOfFuel => ErrorClass::Timeout,
        ErrorKind::WriteFailure => ErrorClass::BadOutput,
        _ => ErrorClass::BadInput,
    };
    let line = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
    Failure::final_(class, format!("{}{line}: {error}", error.name().unwrap_or("template")))
}

/// Takes a bounded text.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_BYTES_MAX {
            return Err(io::Error::other(format!("the text is larger than {OUTPUT_BYTES_MAX} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephor_sdk::trial::Trial;

    async fn run(dir: &tempfile::TempDir, params: Value) -> Result<Value, Failure> {
        let agent = Template::new(Roots::new(vec![dir.path().into()]), OutFolder::new(dir.path().join("out")));
        match Trial::new("template.render", params).run(&agent).await {
            Outcome::Succeeded(success) => Ok(success.output),
            Outcome::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_template_becomes_a_text_or_a_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("t.txt"), "{% for x in xs %}- {{ x | md }}\n{% endfor %}").unwrap();
        let data = json!({"xs": ["a", "**b**\n# c"]});
        let text = run(&dir, json!({"template_file": "t.txt", "data": data})).await.unwrap();
        assert_eq!(text["text"], "- a\n- \\*\\*b\\*\\* \\# c\n");
        let written = run(&dir, json!({"template": "<p>{{ x }}</p>", "data": {"x": "<b>"}, "out": "r/x.html"})).await.unwrap();
        assert_eq!(written["path"], "r/x.html");
        assert_eq!(std::fs::read_to_string(dir.path().join("out/r/x.html")).unwrap(), "<p>&lt;b&gt;</p>");
        let text = run(&dir, json!({"template": "{\"x\": {{ x }}}", "data": {"x": "\"}"}, "escape": "json"})).await.unwrap();
        assert_eq!(text["text"], "{\"x\": \"\\\"}\"}");
    }

    #[tokio::test]
    async fn a_template_is_bounded_and_honest() {
        let dir = tempfile::tempdir().unwrap();
        for (params, class, word) in [
            (json!({"template": "{{ missing }}"}), ErrorClass::BadInput, "undefined"),
            (json!({"template": "{% if"}), ErrorClass::BadInput, "line 1"),
            (json!({}), ErrorClass::BadInput, "either"),
            (json!({"template": "{% include '/etc/passwd' %}"}), ErrorClass::BadInput, "include"),
            (
                json!({"template": "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}"}),
                ErrorClass::Timeout,
                "fuel",
            ),
            (json!({"template": "{% for i in range(9999) %}{{ 'x' * 9999 }}{% endfor %}"}), ErrorClass::BadOutput, "write"),
            (json!({"template": "x", "out": "../x"}), ErrorClass::Refused, "outside"),
            (json!({"template_file": "/etc/passwd"}), ErrorClass::Refused, "outside"),
        ] {
            let failure = run(&dir, params.clone()).await.unwrap_err();
            assert!(failure.class == class && failure.message.contains(word), "{params}: {failure:?}");
        }
    }
}
