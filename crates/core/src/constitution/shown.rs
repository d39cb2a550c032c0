//! The constitution, its amendments, and what a document would change, as they go over the wire.

use super::amendment::{AmendmentOutcome, Terms, VersionHead};
#[cfg(feature = "rules")]
use super::assembly::Amendment;
use super::rulings::{Judged, Point, Ruling};
use crate::id::{AmendmentId, TaskId};
use crate::review::{Judge, Tally, VoteWord};
use crate::status::Status;
use crate::time::WireTime;
use serde::{Deserialize, Serialize};

/// Where an amendment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AmendmentState {
    /// It is debated, and may be sponsored and voted on; nothing is decided before the debate is over.
    Debate,
    /// It is voted on.
    Voting,
    /// It is the constitution now, or was.
    Adopted,
    /// Too few were in favour, or too few voted.
    Rejected,
    /// Too few stood behind it when its debate was over.
    Lapsed,
    /// Who proposed it took it back.
    Withdrawn,
    /// Another document came into force than the one it was to replace.
    Overtaken,
}

impl AmendmentState {
    /// Its word: `VOTING`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Debate => "DEBATE",
            Self::Voting => "VOTING",
            Self::Adopted => "ADOPTED",
            Self::Rejected => "REJECTED",
            Self::Lapsed => "LAPSED",
            Self::Withdrawn => "WITHDRAWN",
            Self::Overtaken => "OVERTAKEN",
        }
    }
}

impl From<AmendmentOutcome> for AmendmentState {
    fn from(outcome: AmendmentOutcome) -> Self {
        match outcome {
            AmendmentOutcome::Adopted => Self::Adopted,
            AmendmentOutcome::Rejected => Self::Rejected,
            AmendmentOutcome::Lapsed => Self::Lapsed,
            AmendmentOutcome::Withdrawn => Self::Withdrawn,
            AmendmentOutcome::Overtaken => Self::Overtaken,
        }
    }
}

/// One vote on an amendment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AmendmentVote {
    /// Whose.
    pub voter: String,
    /// What.
    pub vote: VoteWord,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// An amendment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AmendmentView {
    /// Which.
    pub id: AmendmentId,
    /// Where it stands.
    pub state: AmendmentState,
    /// What the document is called.
    pub name: String,
    /// The beginning of the digest of what it says.
    pub digest: String,
    /// The document it is to replace.
    pub replaces: String,
    /// Why.
    pub reason: String,
    /// Who proposed it.
    pub proposed_by: String,
    /// When.
    pub proposed_at: WireTime,
    /// Who stands behind it.
    pub sponsors: Vec<String>,
    /// Until when it is debated.
    pub debate_until: WireTime,
    /// Until when may be voted.
    pub vote_until: WireTime,
    /// When it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<WireTime>,
    /// The terms on which it is decided: those of the document it is to replace.
    pub terms: Terms,
    /// Who may vote.
    pub voters: Vec<Judge>,
    /// The last word of each who voted.
    pub votes: Vec<AmendmentVote>,
    /// How the votes stand.
    pub tally: Tally,
    /// Whether one person decides alone, because too few could vote.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub solo: bool,
    /// The document as it was written; only where one amendment is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

#[cfg(feature = "rules")]
impl AmendmentView {
    /// How it stands now.
    pub fn of(amendment: &Amendment, now: crate::time::Time) -> Self {
        let Amendment { proposed, by, at, sponsors, votes, decided } = amendment;
        let state = match decided {
            Some((outcome, _)) => (*outcome).into(),
            None if now < proposed.debate_until => AmendmentState::Debate,
            None => AmendmentState::Voting,
        };
        Self {
            id: proposed.amendment,
            state,
            name: proposed.paper.name.to_string(),
            digest: proposed.paper.digest.to_string(),
            replaces: proposed.replaces.to_string(),
            reason: proposed.reason.to_string(),
            proposed_by: by.to_string(),
            proposed_at: WireTime(*at),
            sponsors: sponsors.iter().map(ToString::to_string).collect(),
            debate_until: WireTime(proposed.debate_until),
            vote_until: WireTime(proposed.vote_until),
            decided_at: decided.map(|(_, at)| WireTime(at)),
            terms: proposed.under.clone(),
            voters: proposed.voters.clone(),
            votes: votes
                .iter()
                .map(|(voter, (vote, reason))| AmendmentVote {
                    voter: voter.to_string(),
                    vote: *vote,
                    reason: reason.to_string(),
                })
                .collect(),
            tally: amendment.tally(),
            solo: proposed.solo,
            text: None,
        }
    }
}

/// The constitution that is in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InForce {
    /// The beginning of the digest of what it says; tasks name it. Missing where none is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Its `name`, `preamble` and `articles`; each has `id`, `title`, `text` and `rules`, a rule its `id`, `at`, `when`, `verdict`,
    /// `message` and `risk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub document: Option<serde_json::Value>,
    /// The document as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Which version it is; missing where it is the shipped one and nobody ever amended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionHead>,
    /// The terms on which it is amended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
}

/// A version of the constitution with its words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionView {
    /// Which it is, and how it came into force.
    #[serde(flatten)]
    pub head: VersionHead,
    /// The document as it was written.
    pub text: String,
}

/// What somebody proposes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewAmendment {
    /// The document, in YAML or JSON.
    pub document: String,
    /// Why.
    pub reason: String,
}

/// A vote on an amendment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewVote {
    /// What.
    pub vote: VoteWord,
    /// In whose name: a judge's; one's own where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A document that is tried before it is proposed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// The document, in YAML or JSON.
    pub document: String,
    /// For recorded decisions: only those since this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<WireTime>,
}

/// What a document changes about another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Changed {
    /// What: `article money`, `rule money.1 when`, `amendments quorum`.
    pub what: String,
    /// What it was; missing where it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it would be; missing where it would be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What would follow for a live task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Follows {
    /// It is noted, and nothing else.
    Noted,
    /// The council looks at it before it goes on.
    Review,
    /// It is refused: a decision about it is owed.
    Refused,
}

impl Follows {
    /// Its word: `REVIEW`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Noted => "NOTED",
            Self::Review => "REVIEW",
            Self::Refused => "REFUSED",
        }
    }
}

/// A step that would be judged otherwise when an agent comes for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepImpact {
    /// Its path.
    pub step: String,
    /// What it does.
    pub action: String,
    /// What the constitution in force says.
    pub before: Judged,
    /// What the document would say.
    pub after: Judged,
}

/// A live task about which a document would say something else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AmendmentImpact {
    /// Which.
    pub task_id: TaskId,
    /// Its title.
    pub title: String,
    /// Where it is.
    pub status: Status,
    /// What would follow.
    pub follows: Follows,
    /// What the constitution in force says about its request and plan.
    pub before: Judged,
    /// What the document would say.
    pub after: Judged,
    /// Steps it still has before it that would be judged otherwise, as far as their parameters are known already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepImpact>,
}

/// What a document would change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImpactReport {
    /// The digest of the document.
    pub digest: String,
    /// The digest of the one in force.
    pub in_force: String,
    /// What it says otherwise.
    pub changes: Vec<Changed>,
    /// Live tasks about which it says otherwise, the youngest first.
    pub tasks: Vec<AmendmentImpact>,
    /// How many live tasks were looked at.
    pub looked_at: u64,
    /// Whether there are more than were looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A recorded decision that a document would have made otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Flip {
    /// Of which task.
    pub task_id: TaskId,
    /// Its title.
    pub title: String,
    /// When.
    pub at: WireTime,
    /// The version of the task it was recorded with.
    pub version: u64,
    /// At which point.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub point: Point,
    /// The step, where it was about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What was said then.
    pub recorded: Ruling,
    /// By which rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// What the document says.
    pub now: Judged,
}

/// Recorded decisions, made again by a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayReport {
    /// The digest of the document.
    pub digest: String,
    /// Those it would have made otherwise, those of the youngest task first.
    pub flips: Vec<Flip>,
    /// How many decisions were made again.
    pub decisions: u64,
    /// Of how many tasks.
    pub tasks: u64,
    /// Tasks of which nothing can be said any more, for their words were erased.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub erased: u64,
    /// Whether there are more tasks than were looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}
