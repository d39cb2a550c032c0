//! `ephor constitution`: looking at the rules that bind tasks, checking a document, trying it on examples. What is about a house is in
//! `amend`; the rest needs no engine.

use super::amend::{self, Act};
use super::failure::{Exit, Failure};
use super::{Cx, table, words};
use crate::api::{ApiError, Kind};
use clap::Subcommand;
use ephor_core::constitution::{DEFAULT, Flaw, Law, cases};
use ephor_core::id::AmendmentId;
use ephor_core::plan::Problem;
use ephor_core::review::VoteWord;
use ephor_core::time::WireTime;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(super) enum ConstitutionCommand {
    /// Print the document that is in force here: what the house says, else the file named under `constitution` in ephor.yaml, else the shipped one
    Show {
        /// Another version of it, by its number
        version: Option<u32>,
    },
    /// Every version there was, and how it came into force
    History,
    /// What a document says otherwise than the one in force
    Diff {
        /// The document
        file: PathBuf,
        /// List live tasks about which it says otherwise, and what would follow
        #[arg(long)]
        impact: bool,
    },
    /// Make recorded decisions again by a document, and list those that flip
    Replay {
        /// The document
        file: PathBuf,
        /// Only tasks that were submitted since: 2026-01-31T00:00:00Z
        #[arg(long, value_name = "TIME", value_parser = words::start)]
        since: Option<WireTime>,
    },
    /// Propose another document; it is decided on the terms of the one in force
    Propose {
        /// The document
        file: PathBuf,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Amendments, or one with its votes and its document
    Amendments {
        /// Which
        amendment: Option<AmendmentId>,
    },
    /// Stand behind an amendment
    Sponsor {
        /// Which
        amendment: AmendmentId,
    },
    /// Vote on an amendment
    Vote {
        /// Which
        amendment: AmendmentId,
        /// What
        #[arg(value_parser = words::word::<VoteWord>)]
        vote: VoteWord,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        /// Whose vote it is, where it is not yours
        #[arg(long, value_name = "JUDGE")]
        judge: Option<String>,
    },
    /// Take an amendment back that you proposed
    Withdraw {
        /// Which
        amendment: AmendmentId,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Say what is wrong with a document, each with its line
    Check {
        /// The document
        file: PathBuf,
    },
    /// Try a document on examples: requests, and the ruling that is expected
    Test {
        /// The examples: a list of `name`, `request`, `expect`
        cases: PathBuf,
        /// The document; the one in force here where it is missing
        #[arg(long, value_name = "FILE")]
        constitution: Option<PathBuf>,
    },
    /// Write a constitution of another system as a document
    Import {
        /// Its JSON: `preamble`, `articles`, `prohibited_actions`
        file: PathBuf,
    },
}

pub(super) async fn run(command: ConstitutionCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    match command {
        ConstitutionCommand::Show { version: None } => show(cx).await,
        ConstitutionCommand::Show { version: Some(number) } => amend::version(number, cx).await,
        ConstitutionCommand::History => amend::history(cx).await,
        ConstitutionCommand::Diff { file, impact } => amend::diff(&file, impact, cx).await,
        ConstitutionCommand::Replay { file, since } => amend::replay(&file, since, cx).await,
        ConstitutionCommand::Propose { file, reason } => amend::propose(&file, reason, cx).await,
        ConstitutionCommand::Amendments { amendment } => amend::amendments(amendment, cx).await,
        ConstitutionCommand::Sponsor { amendment } => amend::act(amendment, Act::Sponsor, cx).await,
        ConstitutionCommand::Vote { amendment, vote, reason, judge } => {
            amend::act(amendment, amend::vote(vote, judge, reason), cx).await
        }
        ConstitutionCommand::Withdraw { amendment, reason } => amend::act(amendment, Act::Withdraw(reason), cx).await,
        ConstitutionCommand::Check { file } => {
            let law = read(&file)?;
            tell(&law, cx);
            Ok(Exit::Done)
        }
        ConstitutionCommand::Test { cases, constitution } => test(&cases, constitution.as_deref(), cx),
        ConstitutionCommand::Import { file } => import(&file, cx),
    }
}

pub(super) fn text_of(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { Kind::NotFound } else { Kind::Invalid };
        ApiError::new(kind, "FILE", format!("{}: {error}", file.display())).into()
    })
}

/// A document that is in order.
pub(super) fn read(file: &Path) -> Result<Law, Failure> {
    Law::read(&text_of(file)?).map_err(|flaws| refused(file, &flaws))
}

fn refused(file: &Path, flaws: &[Flaw]) -> Failure {
    let place = |line| if line == 0 { "document".to_owned() } else { format!("line {line}") };
    let problems = flaws.iter().map(|flaw| Problem::new(place(flaw.line), flaw.message.clone())).collect();
    ApiError::invalid(format!("{}: the constitution cannot be used as it is", file.display()), problems).into()
}

/// The words of the document that is in force: as the house says, else as it will say once it starts.
pub(super) async fn in_force(cx: &mut Cx<'_>) -> Result<String, Failure> {
    if let Some(text) = amend::of_house(cx).await? {
        return Ok(text);
    }
    let config = cx.config()?;
    config.constitution.as_deref().map_or_else(|| Ok(DEFAULT.to_owned()), text_of)
}

async fn show(cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let text = in_force(cx).await?;
    let law = Law::read(&text).map_err(|flaws| refused(Path::new("the document in force"), &flaws))?;
    if cx.output().is_json() {
        tell(&law, cx);
    } else {
        text.lines().for_each(|line| cx.terminal.out.line(line));
    }
    Ok(Exit::Done)
}

/// What a document holds.
fn tell(law: &Law, cx: &mut Cx<'_>) {
    let document = law.document();
    if cx.output().is_json() {
        cx.terminal.out.line(table::json(&json!({"digest": law.digest(), "document": document})));
        return;
    }
    let rules = document.rules().count();
    cx.terminal.out.line(format!("{} · {} articles, {rules} rules · {}", document.name, document.articles.len(), law.digest()));
    for article in &document.articles {
        cx.terminal.out.line(format!("{}  {}", article.id, article.title));
        for rule in &article.rules {
            let at: Vec<_> = rule.at.iter().map(|point| point.word()).collect();
            let risk = rule.risk.map(|risk| format!(", risk {}", risk.word())).unwrap_or_default();
            cx.terminal.out.line(format!(
                "  {}  {} at {}{risk}: {}",
                rule.id,
                rule.verdict.word(),
                at.join(" and "),
                rule.message
            ));
        }
    }
}

fn test(file: &Path, constitution: Option<&Path>, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let law = match constitution {
        Some(file) => std::sync::Arc::new(read(file)?),
        None => cx.config()?.policy.law.clone().unwrap_or_else(Law::shipped),
    };
    let cases =
        cases(&text_of(file)?).map_err(|flaw| ApiError::new(Kind::Invalid, "CASES", format!("{}: {flaw}", file.display())))?;
    let tried: Vec<_> = cases.iter().map(|case| (case, law.test(case))).collect();
    let failed = tried.iter().filter(|(_, came)| came.is_err()).count();
    if cx.output().is_json() {
        let told = tried.iter().map(|(case, came)| match came {
            Ok(judged) => json!({"name": case.name, "holds": true, "judged": judged}),
            Err(why) => json!({"name": case.name, "holds": false, "why": why.to_string()}),
        });
        let told: Vec<Value> = told.collect();
        cx.terminal.out.line(table::json(&json!({"constitution": law.digest(), "failed": failed, "cases": told})));
    } else {
        for (case, why) in tried.iter().filter_map(|(case, came)| came.as_ref().err().map(|why| (case, why))) {
            cx.terminal.out.line(format!("✗ {}: {why}", case.name));
        }
        let [said, all] = [tried.len() - failed, tried.len()];
        cx.terminal.out.line(format!(
            "{said} of {all} cases are ruled as expected by {} ({})",
            law.document().name,
            law.digest()
        ));
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Error })
}

/// The form of Agentium (ORIGINS §1): articles of text, and what is prohibited. None of it is a rule yet, and that is said.
fn import(file: &Path, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let wrong = |what: String| Failure::from(ApiError::new(Kind::Invalid, "IMPORT", format!("{}: {what}", file.display())));
    let source: Value = serde_json::from_str(&text_of(file)?).map_err(|error| wrong(format!("no JSON: {error}")))?;
    let articles = source.get("articles").and_then(Value::as_object).ok_or_else(|| wrong("holds no object `articles`".into()))?;
    // A text in JSON's quotes is one in YAML's.
    let quoted = |value: Option<&Value>| Value::from(value.and_then(Value::as_str).unwrap_or_default()).to_string();
    let mut lines = vec![
        format!("constitution: {}", Value::from(file.file_stem().unwrap_or_default().to_string_lossy())),
        format!("preamble: {}", quoted(source.get("preamble"))),
        "articles:".to_owned(),
    ];
    for (id, article) in articles {
        let id: String = id.chars().map(|c| if c.is_ascii_alphanumeric() || "_-.:".contains(c) { c } else { '_' }).collect();
        lines.push(format!("  - id: {}", Value::from(id)));
        lines.push(format!("    title: {}", quoted(article.get("title"))));
        lines.push(format!("    text: {}", quoted(article.get("content").or_else(|| article.get("text")))));
    }
    let prohibited = source.get("prohibited_actions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (n, text) in (1..).zip(prohibited) {
        lines.push(format!("  - id: prohibited_{n}"));
        lines.push(format!("    title: {}", quoted(Some(text))));
    }
    let text = lines.join("\n");
    let law = Law::read(&text).map_err(|flaws| refused(file, &flaws))?;
    cx.terminal.out.line(text);
    let n = law.document().articles.len();
    cx.say(format!("{n} articles taken as text. None has a rule: give those that should bind `rules`, with `at`, `when`, `verdict`, `message`"));
    Ok(Exit::Done)
}
