//! The constitution in the engine, and in a database that nobody serves: shown, amended, and other documents tried on what there is.

use super::api::trouble;
use super::look::store;
use crate::api::{ApiError, Kind};
use ephor_core::constitution::{
    AmendmentView, Constitution, ConstitutionCommand, Flaw, InForce, Law, NewAmendment, NewVote, VersionView,
};
use ephor_core::event::Actor;
use ephor_core::id::AmendmentId;
use ephor_core::plan::Problem;
use ephor_core::time::Time;
use ephor_engine::store::Reader;
use ephor_engine::{Engine, judging};
use std::sync::Arc;

/// The document of a request, read; what is wrong with it is told line by line.
pub(crate) fn law_of(document: &str) -> Result<Law, ApiError> {
    Law::read(document).map_err(|flaws| {
        let problem = |flaw: &Flaw| {
            let place = if flaw.line == 0 { "document".to_owned() } else { format!("document line {}", flaw.line) };
            Problem::new(place, flaw.message.clone())
        };
        ApiError::invalid("the constitution cannot be used as it is", flaws.iter().map(problem).collect())
    })
}

/// The law that is in force.
pub(crate) fn in_force(engine: &Engine) -> Result<Arc<Law>, ApiError> {
    engine.policy().law.clone().ok_or_else(|| ApiError::new(Kind::NotFound, "NOT_FOUND", "no constitution is in force here"))
}

/// The same as it stands in a database that nobody serves; the one that comes with Ephor where none ever was put in force.
pub(crate) fn read(reader: &dyn Reader) -> Result<(Constitution, Arc<Law>), ApiError> {
    let state = judging::constitution(reader).map_err(store)?;
    let law = state.in_force.as_ref().map(|paper| law_of(&paper.text)).transpose()?;
    Ok((state, law.map_or_else(Law::shipped, Arc::new)))
}

/// The document that is in force, and since when.
pub(crate) fn shown(law: Option<&Law>, state: &Constitution) -> InForce {
    InForce {
        digest: law.map(|law| law.digest().to_owned()),
        document: law.map(|law| serde_json::to_value(law.document()).expect("a document is plain data")),
        text: law.and_then(|law| law.paper()).map(|paper| paper.text.to_string()),
        version: state.versions.last().cloned(),
        terms: law.map(|law| law.document().amendments.clone().unwrap_or_default()),
    }
}

/// One version with its words.
pub(crate) fn version(reader: &dyn Reader, number: u32) -> Result<VersionView, ApiError> {
    let found = judging::constitution_version(reader, number).map_err(store)?;
    found.ok_or_else(|| {
        ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no version {number}")).then("ephor constitution history")
    })
}

/// Amendments, the latest first.
pub(crate) fn amendments(state: &Constitution, now: Time) -> Vec<AmendmentView> {
    state.amendments.iter().rev().map(|amendment| AmendmentView::of(amendment, now)).collect()
}

/// One amendment with its document.
pub(crate) fn amendment(
    reader: &dyn Reader,
    state: &Constitution,
    id: AmendmentId,
    now: Time,
) -> Result<AmendmentView, ApiError> {
    let amendment = state.one(id).ok_or_else(|| no_amendment(id))?;
    // Once it is decided its words are in the stream alone.
    let text = judging::proposed_text(reader, id).map_err(store)?;
    Ok(AmendmentView { text, ..AmendmentView::of(amendment, now) })
}

/// Proposes another document.
pub(crate) async fn propose(engine: &Engine, wish: NewAmendment, actor: Actor) -> Result<AmendmentView, ApiError> {
    let paper = law_of(&wish.document)?.paper().expect("it was read from a text");
    let amendment = engine.new_amendment_id();
    ask(engine, amendment, ConstitutionCommand::Propose { amendment, paper, reason: wish.reason }, actor).await
}

/// Stands behind an amendment.
pub(crate) async fn sponsor(engine: &Engine, amendment: AmendmentId, actor: Actor) -> Result<AmendmentView, ApiError> {
    ask(engine, amendment, ConstitutionCommand::Sponsor { amendment }, actor).await
}

/// Votes on an amendment.
pub(crate) async fn vote(
    engine: &Engine,
    amendment: AmendmentId,
    wish: NewVote,
    actor: Actor,
) -> Result<AmendmentView, ApiError> {
    let NewVote { vote, judge, reason } = wish;
    let voter = judge.map(String::into_boxed_str);
    ask(engine, amendment, ConstitutionCommand::Vote { amendment, voter, vote, reason }, actor).await
}

/// Takes an amendment back.
pub(crate) async fn withdraw(
    engine: &Engine,
    amendment: AmendmentId,
    reason: String,
    actor: Actor,
) -> Result<AmendmentView, ApiError> {
    ask(engine, amendment, ConstitutionCommand::Withdraw { amendment, reason }, actor).await
}

async fn ask(
    engine: &Engine,
    amendment: AmendmentId,
    command: ConstitutionCommand,
    actor: Actor,
) -> Result<AmendmentView, ApiError> {
    engine.amend(command, actor).await.map_err(|error| trouble(error, None))?;
    let state = engine.constitution();
    let known = state.one(amendment).ok_or_else(|| no_amendment(amendment))?;
    Ok(AmendmentView::of(known, engine.now()))
}

fn no_amendment(id: AmendmentId) -> ApiError {
    ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no amendment {id}")).then("ephor constitution amendments")
}
