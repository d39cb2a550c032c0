//! `ephor review`: the words of judges and of people on results.

use super::failure::{Exit, Failure};
use super::style::{Hue, Line};
use super::{Cx, find, show, table, text, words};
use crate::host::Need;
use clap::{ArgGroup, Args, Subcommand};
use ephor_core::ask::Ask;
use ephor_core::id::ReviewId;
use ephor_core::inbox::NewLink;
use ephor_core::review::{Condition, VoteWord};
use ephor_core::time::{Time, WireDuration};
use ephor_core::view::{JudgeReview, ReviewView};

#[derive(Debug, Subcommand)]
pub(super) enum ReviewCommand {
    /// Vote in the open review of a task
    Vote {
        /// The task
        task: String,
        /// approve, reject, abstain or conditional
        #[arg(value_parser = words::word::<VoteWord>)]
        vote: VoteWord,
        /// Why; needed to reject
        #[arg(long, default_value = "", required_if_eq_any([("vote", "reject"), ("vote", "REJECT"), ("vote", "Reject")]))]
        reason: String,
        /// How sure, from 0 to 1
        #[arg(long)]
        confidence: Option<f64>,
        /// Whose vote it is, where it is not yours
        #[arg(long)]
        judge: Option<String>,
        /// In which review, where it is not the open one
        #[arg(long)]
        review: Option<ReviewId>,
        #[command(flatten)]
        more: More,
    },
    /// Say whether the result of a step is good, where a person is asked
    #[command(group(ArgGroup::new("answer").required(true)))]
    Confirm {
        /// The task
        task: String,
        /// The step
        step: String,
        /// It is good
        #[arg(long, group = "answer")]
        pass: bool,
        /// It is not
        #[arg(long, group = "answer", requires = "reason")]
        fail: bool,
        /// Why; needed to say no
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let a step be done as it stands, where a person is asked first
    Approve {
        /// The task
        task: String,
        /// The step
        step: String,
        /// What the answer is about, as `ephor task show --steps --json` shows it; it counts for nothing else
        #[arg(long)]
        digest: Option<String>,
        /// Do it with these parameters instead (a JSON object); they are judged by the rules again
        #[arg(long, value_parser = words::json_object)]
        params: Option<serde_json::Map<String, serde_json::Value>>,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Do not let a step be done, where a person is asked first
    Deny {
        /// The task
        task: String,
        /// The step
        step: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Make a link with which somebody without a key answers the question about a step, once
    Link {
        /// The task
        task: String,
        /// The step, by its path
        step: String,
        /// In whose name it answers
        #[arg(long = "for", value_name = "NAME")]
        who: String,
        /// How long it works at most, 1m to 7d; 24h where nothing is said
        #[arg(long, value_name = "DURATION", value_parser = WireDuration::parse)]
        valid: Option<WireDuration>,
    },
    /// Show the reviews of a task
    Show {
        /// The task
        task: String,
    },
}

/// What a judge says beside the vote.
#[derive(Debug, Args)]
pub(super) struct More {
    /// What a conditional yes depends on, up to five times: in words, or as a gate (a JSON object with `kind`); else its reason
    #[arg(long = "condition", value_name = "TEXT", value_parser = condition)]
    conditions: Vec<Condition>,
    /// What the vote rests on; may be given more than once
    #[arg(long, value_name = "TEXT")]
    evidence: Vec<String>,
    /// What would make it better; may be given more than once
    #[arg(long = "recommend", value_name = "TEXT")]
    recommendations: Vec<String>,
    /// How well it keeps to the constitution, from 0 to 1
    #[arg(long, value_name = "SCORE")]
    compliance: Option<f64>,
    /// How good it is, from 0 to 1
    #[arg(long, value_name = "SCORE")]
    quality: Option<f64>,
}

/// A condition as it is typed.
fn condition(text: &str) -> Result<Condition, String> {
    match text.trim_start().starts_with('{') {
        true => serde_json::from_str(text).map(|gate| Condition::Gate(Box::new(gate))).map_err(|error| error.to_string()),
        false => Ok(Condition::Words(text.to_owned())),
    }
}

pub(super) async fn run(command: ReviewCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    match command {
        ReviewCommand::Vote { task, vote, reason, confidence, judge, review, more } => {
            let More { conditions, evidence, recommendations, compliance: compliance_score, quality: quality_score } = more;
            let said = Ask::Vote {
                review,
                judge,
                vote,
                confidence,
                reason,
                evidence,
                recommendations,
                conditions,
                compliance_score,
                quality_score,
            };
            super::task::ask(&task, said, cx).await
        }
        ReviewCommand::Confirm { task, step, pass, fail: _, reason } => {
            super::task::ask(&task, Ask::Confirm { step, passed: pass, reason: reason.unwrap_or_default() }, cx).await
        }
        ReviewCommand::Approve { task, step, digest, params, reason } => {
            super::task::ask(&task, Ask::Approve { step, approved: true, digest, params, reason }, cx).await
        }
        ReviewCommand::Deny { task, step, reason } => {
            super::task::ask(&task, Ask::Approve { step, approved: false, digest: None, params: None, reason }, cx).await
        }
        ReviewCommand::Link { task, step, who, valid } => {
            let wish = NewLink { step, who, valid };
            let made = cx.with_api(Need::Decide, async |_, api| Ok(api.make_link(find(api, &task).await?, wish).await?)).await?;
            if cx.output().is_json() {
                cx.terminal.out.line(table::json(&made));
            } else {
                cx.say(format!("whoever has this link answers as {}, once, until {}:", made.who, made.expires_at.0));
                cx.terminal.out.line(made.url.unwrap_or(made.path));
            }
            Ok(Exit::Done)
        }
        ReviewCommand::Show { task } => {
            let (reviews, now) =
                cx.with_api(Need::Read, async |_, api| Ok((api.reviews(find(api, &task).await?).await?, api.now()))).await?;
            tell(&reviews, now, cx);
            Ok(Exit::Done)
        }
    }
}

fn tell(reviews: &[ReviewView], now: Time, cx: &mut Cx<'_>) {
    if cx.output().is_json() {
        return cx.terminal.out.line(table::json(&reviews));
    }
    let (style, columns) = (cx.style(), cx.columns());
    if reviews.is_empty() {
        cx.say("no review of it was opened");
    }
    for review in reviews {
        let verdict = review.verdict.as_ref().map_or("OPEN".into(), show::word_of);
        let alone = if review.self_decided { "  (the operator decided alone)" } else { "" };
        let head = Line::new().with(Hue::Gov, verdict).plain(format!("  {}{alone}", show::word_of(&review.question)));
        let tally = &review.tally;
        let against = if tally.vetoed { ", with a veto" } else { "" };
        let counted = format!("  {} in favour, {} against{against}, {} open", tally.approve, tally.reject, tally.open);
        let mut lines = vec![head.with(Hue::Idle, format!("  {}", review.id)), Line::new().plain(counted)];
        if let Some(terms) = &review.terms {
            let over = text::until(terms.deadline.0, now);
            lines
                .push(Line::new().plain(format!("  takes {} in favour and {} votes, over {over}", terms.required, terms.quorum)));
            lines.extend(terms.judges.iter().map(|judge| {
                let vote = judge.vote.as_ref().map_or("has not voted".into(), show::word_of);
                Line::new().plain(format!("  {}: {vote}", judge.id)).with(Hue::Idle, if judge.veto { "  veto" } else { "" })
            }));
        }
        lines.extend(review.judge_reviews.iter().flat_map(said));
        lines.extend(review.conditions.iter().map(|condition| {
            let met = if condition.met { "met" } else { "not met yet" };
            let gate = &condition.gate;
            let what = if gate.criteria.is_empty() { String::new() } else { format!(": {}", gate.criteria.join("; ")) };
            Line::new().plain(format!("  depends on {}{what}  ", gate.kind.word())).with(Hue::Gov, met)
        }));
        let score = |name: &str, score: Option<f64>| score.map(|score| format!("{name} {score:.2}"));
        let scores: Vec<String> = [score("compliance", review.compliance_score), score("quality", review.quality_score)]
            .into_iter()
            .flatten()
            .collect();
        if !scores.is_empty() {
            lines.push(Line::new().with(Hue::Idle, format!("  {}", scores.join(", "))));
        }
        lines.iter().for_each(|line| cx.terminal.out.line(line.show(columns, style)));
    }
}

/// What a judge said, in a line and one for each piece of advice; nothing of a constitution that said nothing.
fn said(review: &JudgeReview) -> Vec<Line> {
    if review.advisory && review.evidence.is_empty() {
        return Vec::new();
    }
    let sure = review.confidence.map(|sure| format!(" ({sure:.2} sure)")).unwrap_or_default();
    let aside = if review.advisory { ", advice" } else { "" };
    let why = if review.reasoning.is_empty() { String::new() } else { format!(": {}", review.reasoning) };
    let head = format!("  {} says {}{sure}{aside}{why}", review.judge_id, show::word_of(&review.verdict));
    let evidence = review.evidence.iter().filter(|_| !review.advisory).map(|line| format!("    evidence: {line}"));
    let advice = review.recommendations.iter().map(|line| format!("    recommends: {line}"));
    std::iter::once(head).chain(evidence).chain(advice).map(|line| Line::new().plain(line)).collect()
}
