//! The constitution: articles that people wrote, with rules in CEL that bind tasks and their plans (DESIGN §4).
//!
//! A document is read and checked whole (`document`), compiled once (`law`), and asked about requests in the caller's thread, before the
//! writer's queue; about single actions and results where they are handed out and come in, for these are known there alone.
//! `walk` looks through conditions, `facts` says what a rule can see, `graph` and `questions` answer for the shape of a plan. Pure: the same document and the same request give the same
//! ruling, so that anybody can ask again.

mod amendment;
#[cfg(feature = "rules")]
mod assembly;
#[cfg(feature = "rules")]
mod cases;
#[cfg(feature = "rules")]
mod compare;
#[cfg(feature = "rules")]
mod document;
#[cfg(feature = "rules")]
mod facts;
#[cfg(feature = "rules")]
mod graph;
#[cfg(feature = "rules")]
mod law;
#[cfg(feature = "rules")]
mod questions;
mod rulings;
mod shown;
#[cfg(test)]
#[cfg(feature = "rules")]
mod tests;
#[cfg(feature = "rules")]
mod walk;

pub use amendment::{Adopted, AdoptedFrom, AmendmentOutcome, ConstitutionEvent, Paper, Percent, Proposed, Terms, VersionHead};
#[cfg(feature = "rules")]
pub use assembly::{Amendment, Assembly, Constitution, ConstitutionCommand, OPEN_MAX};
#[cfg(feature = "rules")]
pub use cases::{Case, CaseFailed, cases};
#[cfg(feature = "rules")]
pub use compare::compare;
#[cfg(feature = "rules")]
pub use document::{Article, Document, Flaw, Rule};
#[cfg(feature = "rules")]
pub use facts::{About, Act, Who};
#[cfg(feature = "rules")]
pub use law::Law;
#[cfg(feature = "rules")]
pub(crate) use law::Transformed;
pub use rulings::{Judged, Point, Ruling, Said};
pub use shown::{
    AmendmentImpact, AmendmentState, AmendmentView, AmendmentVote, Candidate, Changed, Flip, Follows, ImpactReport, InForce,
    NewAmendment, NewVote, ReplayReport, StepImpact, VersionView,
};

#[cfg(feature = "rules")]
/// The document that stands where a house has none of its own.
pub const DEFAULT: &str = include_str!("default.yaml");
