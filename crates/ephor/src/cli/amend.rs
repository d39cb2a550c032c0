//! `ephor constitution` where it is about a house rather than a file: what was in force, amendments, and what a document would change.

use super::constitution::text_of;
use super::failure::{Exit, Failure};
use super::table::{self, cell, column, maybe, wide};
use super::{Cx, text};
use crate::api::{Api, ApiError};
use crate::host::Need;
use ephor_core::constitution::{
    AmendmentImpact, AmendmentView, Candidate, Changed, ImpactReport, Judged, Law, NewAmendment, NewVote, ReplayReport,
    VersionHead, compare,
};
use ephor_core::id::AmendmentId;
use ephor_core::review::VoteWord;
use ephor_core::time::{Time, WireTime};
use serde_json::json;
use std::path::Path;

/// What is done to an amendment that is there.
pub(super) enum Act {
    Sponsor,
    Vote(NewVote),
    Withdraw(String),
}

/// Every version there was.
pub(super) async fn history(cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let (versions, now) = cx.with_api(Need::Read, async |_, api| Ok((api.constitution_versions().await?, api.now()))).await?;
    let form = (cx.output(), cx.globals.ascii);
    let columns =
        [column("VERSION"), column("DIGEST"), column("NAME"), column("FROM"), column("SINCE"), column("BY"), wide("AMENDMENT")];
    table::list(
        cx.terminal,
        form,
        &versions,
        &columns,
        |head: &VersionHead| head.number.to_string(),
        |head, _| {
            vec![
                cell(head.number),
                cell(&head.digest),
                cell(&head.name),
                cell(word(&head.from)),
                cell(text::ago(head.at.0, now)),
                cell(&head.by),
                maybe(head.amendment),
            ]
        },
    );
    if versions.is_empty() && !cx.output().is_json() {
        cx.say("the document that comes with Ephor is in force, and nobody ever amended it");
    }
    Ok(Exit::Done)
}

/// The words of one version.
pub(super) async fn version(number: u32, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let view = cx.with_api(Need::Read, async |_, api| Ok(api.constitution_version(number).await?)).await?;
    match cx.output().is_json() {
        true => cx.terminal.out.line(table::json(&view)),
        false => view.text.lines().for_each(|line| cx.terminal.out.line(line)),
    }
    Ok(Exit::Done)
}

/// Amendments, or one with its document.
pub(super) async fn amendments(id: Option<AmendmentId>, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let Some(id) = id else {
        let (all, now) = cx.with_api(Need::Read, async |_, api| Ok((api.amendments().await?, api.now()))).await?;
        let form = (cx.output(), cx.globals.ascii);
        let columns = [
            column("AMENDMENT"),
            column("STATE"),
            column("NAME"),
            column("BY"),
            column("FOR"),
            column("AGAINST"),
            column("OPEN"),
            column("UNTIL"),
            wide("DIGEST"),
        ];
        table::list(
            cx.terminal,
            form,
            &all,
            &columns,
            |one: &AmendmentView| one.id.to_string(),
            |one, _| {
                let until = one.decided_at.is_none().then(|| text::until(one.vote_until.0, now));
                vec![
                    cell(one.id),
                    cell(one.state.word()),
                    cell(&one.name),
                    cell(&one.proposed_by),
                    cell(one.tally.approve),
                    cell(one.tally.reject),
                    cell(one.tally.open),
                    maybe(until),
                    cell(&one.digest),
                ]
            },
        );
        return Ok(Exit::Done);
    };
    let (one, now) = cx.with_api(Need::Read, async |_, api| Ok((api.amendment(id).await?, api.now()))).await?;
    match cx.output().is_json() {
        true => cx.terminal.out.line(table::json(&one)),
        false => {
            tell(&one, now, cx);
            for line in one.text.iter().flat_map(|text| text.lines()) {
                cx.terminal.out.line(format!("  | {line}"));
            }
        }
    }
    Ok(Exit::Done)
}

/// Proposes a document.
pub(super) async fn propose(file: &Path, reason: String, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let document = text_of(file)?;
    let (one, now) = cx
        .with_api(Need::Decide, async |_, api| Ok((api.propose_amendment(NewAmendment { document, reason }).await?, api.now())))
        .await?;
    told(&one, now, cx);
    if !cx.output().is_json() && one.decided_at.is_none() {
        cx.say(format!("ephor constitution vote {} approve", one.id));
    }
    Ok(Exit::Done)
}

/// Sponsors it, votes on it, or takes it back.
pub(super) async fn act(id: AmendmentId, act: Act, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let (one, now) = cx
        .with_api(Need::Decide, async |_, api| {
            let one = match act {
                Act::Sponsor => api.sponsor_amendment(id).await?,
                Act::Vote(vote) => api.vote_on_amendment(id, vote).await?,
                Act::Withdraw(reason) => api.withdraw_amendment(id, reason).await?,
            };
            Ok((one, api.now()))
        })
        .await?;
    told(&one, now, cx);
    Ok(Exit::Done)
}

fn told(one: &AmendmentView, now: Time, cx: &mut Cx<'_>) {
    match cx.output().is_json() {
        true => cx.terminal.out.line(table::json(one)),
        false => tell(one, now, cx),
    }
}

fn tell(one: &AmendmentView, now: Time, cx: &mut Cx<'_>) {
    let mut line = |text: String| cx.terminal.out.line(text);
    line(format!("{}  {}  {} ({})", one.id, one.state.word(), one.name, one.digest));
    line(format!("  replaces  {}", one.replaces));
    line(format!("  why       {}", one.reason));
    line(format!("  by        {}, {}", one.proposed_by, text::ago(one.proposed_at.0, now)));
    line(format!("  sponsors  {} of {}: {}", one.sponsors.len(), one.terms.sponsors, one.sponsors.join(", ")));
    let alone = if one.solo { "; one person decides alone, because too few could vote" } else { "" };
    line(format!(
        "  votes     {} for, {} against, {} open; it takes {}% of them, and {}% of those for and against{alone}",
        one.tally.approve, one.tally.reject, one.tally.open, one.terms.quorum.0, one.terms.majority.0
    ));
    for vote in &one.votes {
        let why = if vote.reason.is_empty() { String::new() } else { format!(": {}", vote.reason) };
        line(format!("            {} {}{why}", vote.voter, word(&vote.vote)));
    }
    match one.decided_at {
        Some(at) => line(format!("  decided   {}", text::ago(at.0, now))),
        None => {
            line(format!("  debate    {}", text::until(one.debate_until.0, now)));
            line(format!("  vote      {}", text::until(one.vote_until.0, now)));
        }
    }
}

/// What a document says otherwise than the one in force, and with `impact` what that would change for live tasks.
pub(super) async fn diff(file: &Path, impact: bool, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let document = text_of(file)?;
    let candidate = super::constitution::read(file)?;
    if impact {
        let tried = Candidate { document, since: None };
        let report = cx.with_api(Need::Read, async |_, api| Ok(api.constitution_impact(tried).await?)).await?;
        impact_told(&report, cx);
        return Ok(Exit::Done);
    }
    let in_force = super::constitution::in_force(cx).await?;
    let law = Law::read(&in_force).map_err(|flaws| ApiError::new(crate::api::Kind::Failed, "CONSTITUTION", flaws[0].clone()))?;
    let changes = compare(law.document(), candidate.document());
    match cx.output().is_json() {
        true => {
            let told = json!({"digest": candidate.digest(), "in_force": law.digest(), "changes": changes});
            cx.terminal.out.line(table::json(&told));
        }
        false => changes_told(&changes, cx),
    }
    Ok(Exit::Done)
}

fn changes_told(changes: &[Changed], cx: &mut Cx<'_>) {
    if changes.is_empty() {
        cx.terminal.out.line("it says what the one in force says");
    }
    for Changed { what, before, after } in changes {
        cx.terminal.out.line(what);
        for (mark, words) in [('-', before), ('+', after)] {
            for line in words.iter().flat_map(|words| words.lines()) {
                cx.terminal.out.line(format!("  {mark} {line}"));
            }
        }
    }
}

fn impact_told(report: &ImpactReport, cx: &mut Cx<'_>) {
    if cx.output().is_json() {
        cx.terminal.out.line(table::json(report));
        return;
    }
    changes_told(&report.changes, cx);
    cx.terminal.out.line("");
    for AmendmentImpact { task_id, title, status, follows, before, after, steps } in &report.tasks {
        cx.terminal.out.line(format!("{task_id}  {status}  {}  {title}", follows.word()));
        if before != after {
            cx.terminal.out.line(format!("  {} → {}", said(before), said(after)));
        }
        for step in steps {
            cx.terminal.out.line(format!(
                "  step {} ({}): {} → {}",
                step.step,
                step.action,
                said(&step.before),
                said(&step.after)
            ));
        }
    }
    let more = if report.more { ", and there are more" } else { "" };
    cx.terminal.out.line(format!("{} of {} live tasks would be judged otherwise{more}", report.tasks.len(), report.looked_at));
}

/// What was said, in a few words.
fn said(judged: &Judged) -> String {
    let rules: Vec<_> = judged.said.iter().map(|said| &*said.rule).collect();
    match &rules[..] {
        [] => judged.ruling.word().to_owned(),
        rules => format!("{} by {}", judged.ruling.word(), rules.join(", ")),
    }
}

/// Recorded decisions that a document would have made otherwise.
pub(super) async fn replay(file: &Path, since: Option<WireTime>, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    super::constitution::read(file)?;
    let tried = Candidate { document: text_of(file)?, since };
    let report: ReplayReport = cx.with_api(Need::Read, async |_, api| Ok(api.constitution_replay(tried).await?)).await?;
    if cx.output().is_json() {
        cx.terminal.out.line(table::json(&report));
        return Ok(Exit::Done);
    }
    for flip in &report.flips {
        let step = flip.step.as_ref().map(|step| format!(" of step {step}")).unwrap_or_default();
        let by = if flip.by.is_empty() { String::new() } else { format!(" by {}", flip.by.join(", ")) };
        cx.terminal.out.line(format!("{}  v{}  {}  {}", flip.task_id, flip.version, flip.at.0, flip.title));
        cx.terminal.out.line(format!("  at {}{step}: {}{by} → {}", flip.point.word(), flip.recorded.word(), said(&flip.now)));
    }
    let more = if report.more { ", and there are more tasks" } else { "" };
    let erased = if report.erased > 0 { format!(", {} were erased", report.erased) } else { String::new() };
    cx.terminal.out.line(format!(
        "{} of {} decisions about {} tasks would be others{erased}{more}",
        report.flips.len(),
        report.decisions,
        report.tasks
    ));
    Ok(Exit::Done)
}

/// A word as on the wire.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The document that is in force as a house says; `None` where no house is there, or none has put another in force than its file names.
pub(super) async fn of_house(cx: &mut Cx<'_>) -> Result<Option<String>, Failure> {
    let asked = cx
        .with_api(Need::Read, async |_, api: &dyn Api| {
            let told = api.constitution().await?;
            Ok(told.text.filter(|_| told.version.is_some() || api.is_remote()))
        })
        .await;
    match asked {
        Ok(text) => Ok(text),
        Err(failure) if failure.error.kind == crate::api::Kind::NotFound => Ok(None),
        Err(other) => Err(other),
    }
}

/// A vote as it is typed.
pub(super) fn vote(vote: VoteWord, judge: Option<String>, reason: String) -> Act {
    Act::Vote(NewVote { vote, judge, reason })
}
