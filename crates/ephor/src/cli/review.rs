//! `ephor review`: the words of judges and of people on results.

use super::failure::{Exit, Failure};
use super::style::{Hue, Line};
use super::{Cx, find, show, table, text, words};
use crate::host::Need;
use clap::{ArgGroup, Subcommand};
use ephor_core::ask::Ask;
use ephor_core::id::ReviewId;
use ephor_core::review::VoteWord;
use ephor_core::time::Time;
use ephor_core::view::ReviewView;

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
    /// Show the reviews of a task
    Show {
        /// The task
        task: String,
    },
}

pub(super) async fn run(command: ReviewCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    match command {
        ReviewCommand::Vote { task, vote, reason, confidence, judge, review } => {
            super::task::ask(&task, Ask::Vote { review, judge, vote, confidence, reason }, cx).await
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
        lines.iter().for_each(|line| cx.terminal.out.line(line.show(columns, style)));
    }
}
