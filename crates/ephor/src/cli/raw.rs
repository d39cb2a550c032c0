//! `ephor api`: one request to the server, as it is written.

use super::Cx;
use super::failure::{Exit, Failure};
use crate::remote::told;
use clap::Args;
use serde_json::Value;
use std::io::Read as _;

/// The largest body that is read from a file.
const BODY_MAX: u64 = 64 << 20;

#[derive(Debug, Args)]
pub(super) struct RawArgs {
    /// GET, POST, PUT, PATCH or DELETE
    #[arg(value_name = "METHOD")]
    method: String,
    /// The path, with its query: /api/v1/tasks?live=true
    path: String,
    /// The body: JSON, @FILE, or @- for standard input
    #[arg(short, long, value_name = "BODY")]
    data: Option<String>,
}

pub(super) async fn run(args: RawArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let body = args.data.as_deref().map(body).transpose()?;
    let client = cx.host.server(&cx.place()).await?;
    let (_, kind, answer) = client.raw(&args.method, &args.path, body).await.map_err(told)?;
    let json = kind.contains("json").then(|| serde_json::from_slice::<Value>(&answer).ok()).flatten();
    match json {
        Some(value) => cx.terminal.out.line(super::table::json(&value)),
        // What is no JSON goes out as it came, unless a person would see it.
        None if cx.terminal.out.tty => {
            super::text::inert_lines(&String::from_utf8_lossy(&answer)).for_each(|line| cx.terminal.out.line(line));
        }
        None => cx.terminal.out.raw(&String::from_utf8_lossy(&answer)),
    }
    Ok(Exit::Done)
}

/// The body, and of which type it is.
fn body(data: &str) -> Result<(&'static str, Vec<u8>), Failure> {
    let bytes = match data.strip_prefix('@') {
        None => data.as_bytes().to_vec(),
        Some(name) => {
            let path = std::path::Path::new(if name == "-" { "/dev/stdin" } else { name });
            let mut bytes = Vec::new();
            let file = std::fs::File::open(path).map_err(|e| Failure::file(path, &e))?;
            file.take(BODY_MAX).read_to_end(&mut bytes).map_err(|e| Failure::file(path, &e))?;
            bytes
        }
    };
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
    let kind = match (is_json, data.starts_with('@')) {
        (true, _) => "application/json",
        // Lines of JSON, as batches are.
        (false, true) => "application/x-ndjson",
        (false, false) => return Err(Failure::usage("the body is no JSON; @FILE sends a file")),
    };
    Ok((kind, bytes))
}
