//! The words of how a constitution comes into force and is amended: its stream holds every document that ever was in force, who proposed
//! what, how they voted, and by which terms that was counted. The terms stand in the document itself (ORIGINS §1 has those of Agentium).

use crate::id::AmendmentId;
use crate::review::{Judge, Tally, VoteWord};
use crate::time::{Time, WireDuration, WireTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// The longest debate or vote: a year.
const WAIT_MAX_MS: u64 = 366 * 86_400_000;
/// The most sponsors a document may ask for.
const SPONSORS_MAX: u32 = 100;

/// The terms on which a constitution is amended, as it says itself under `amendments`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Terms {
    /// How many have to stand behind an amendment when its debate is over, who proposed it among them.
    pub sponsors: u32,
    /// How long it is debated: before that nothing is decided.
    pub debate: WireDuration,
    /// How long may be voted after that.
    pub voting: WireDuration,
    /// How much of the weight of those who may vote has to have voted.
    pub quorum: Percent,
    /// How much of the weight that was cast for or against has to be in favour. A tie is never enough.
    pub majority: Percent,
    /// Whether the file that the configuration names may put another document in force without a vote.
    pub by_file: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            sponsors: 1,
            debate: WireDuration { ms: 0 },
            voting: WireDuration { ms: 72 * 3_600_000 },
            quorum: Percent(50),
            majority: Percent(50),
            by_file: true,
        }
    }
}

impl Terms {
    /// What is wrong with them, and what is allowed.
    pub fn flaws(&self) -> Vec<String> {
        let mut flaws = Vec::new();
        if !(1..=SPONSORS_MAX).contains(&self.sponsors) {
            flaws.push(format!("`sponsors` is {}; allowed are 1 to {SPONSORS_MAX}", self.sponsors));
        }
        if self.sponsors > 1 && self.debate.ms == 0 {
            flaws.push(
                "`sponsors` is more than 1 and `debate` 0s: nobody could join who proposes; allowed is a longer debate".into(),
            );
        }
        if self.debate.ms > WAIT_MAX_MS {
            flaws.push(format!("`debate` is {}; allowed are at most 366d", self.debate));
        }
        if !(1_000..=WAIT_MAX_MS).contains(&self.voting.ms) {
            flaws.push(format!("`voting` is {}; allowed are 1s to 366d", self.voting));
        }
        flaws
    }
}

/// A share of a hundred: `60%`, or 60.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u8);

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}%", self.0))
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        let number = match Written::deserialize(from)? {
            Written::Number(number) => Some(number),
            Written::Text(text) => text.trim().trim_end_matches('%').trim_end().parse().ok(),
        };
        let share = number.and_then(|number| u8::try_from(number).ok()).filter(|share| *share <= 100);
        share.map(Self).ok_or_else(|| serde::de::Error::custom("a share is written as 60%; allowed are 0% to 100%"))
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Percent {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        String::schema()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Percent {}

/// Where a document that came into force had come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AdoptedFrom {
    /// It is the one that comes with Ephor.
    Shipped,
    /// The file that the configuration names.
    File,
    /// An amendment.
    Amendment,
}

/// What became of an amendment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AmendmentOutcome {
    /// It is the constitution now.
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

/// What happens to the constitution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConstitutionEvent {
    /// A document is in force from now on.
    ConstitutionAdopted(Box<Adopted>),
    /// The configuration names a document that was in force already.
    ConstitutionConfigured {
        /// Which.
        digest: Box<str>,
    },
    /// Somebody wants another document in its place.
    AmendmentProposed(Box<Proposed>),
    /// Somebody stands behind an amendment.
    AmendmentSponsored {
        /// Which.
        amendment: AmendmentId,
        /// Who.
        by: Box<str>,
    },
    /// Somebody voted on it, or changed their vote.
    AmendmentVoted {
        /// Which.
        amendment: AmendmentId,
        /// Who.
        voter: Box<str>,
        /// What.
        vote: VoteWord,
        /// Why.
        #[serde(default, skip_serializing_if = "str::is_empty")]
        reason: Box<str>,
    },
    /// It was decided.
    AmendmentDecided {
        /// Which.
        amendment: AmendmentId,
        /// What became of it.
        outcome: AmendmentOutcome,
        /// How the votes stood.
        tally: Tally,
        /// Whether one person decided alone, because too few could vote.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        self_decided: bool,
        /// Why it was taken back.
        #[serde(default, skip_serializing_if = "str::is_empty")]
        reason: Box<str>,
    },
}

impl ConstitutionEvent {
    /// Its word on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ConstitutionAdopted(_) => "CONSTITUTION_ADOPTED",
            Self::ConstitutionConfigured { .. } => "CONSTITUTION_CONFIGURED",
            Self::AmendmentProposed(_) => "AMENDMENT_PROPOSED",
            Self::AmendmentSponsored { .. } => "AMENDMENT_SPONSORED",
            Self::AmendmentVoted { .. } => "AMENDMENT_VOTED",
            Self::AmendmentDecided { .. } => "AMENDMENT_DECIDED",
        }
    }
}

/// A document, its rules checked by whoever brings it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Paper {
    /// The beginning of the digest of its meaning.
    pub digest: Box<str>,
    /// What it is called.
    pub name: Box<str>,
    /// The terms on which it is amended itself.
    pub terms: Terms,
    /// As it was written.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub text: Arc<str>,
}

/// A document came into force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Adopted {
    /// Which version of the constitution it is, from 1.
    pub number: u32,
    /// Where it had come from.
    pub from: AdoptedFrom,
    /// The amendment, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amendment: Option<AmendmentId>,
    /// The document.
    #[serde(flatten)]
    pub paper: Paper,
}

/// An amendment, and the terms on which it is decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Proposed {
    /// Which.
    pub amendment: AmendmentId,
    /// The document it is to replace.
    pub replaces: Box<str>,
    /// Why.
    pub reason: Box<str>,
    /// The terms of that document.
    pub under: Terms,
    /// Who may vote.
    pub voters: Vec<Judge>,
    /// Whether one person decides alone, because too few could vote.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub solo: bool,
    /// Until when it is debated.
    pub debate_until: Time,
    /// Until when may be voted.
    pub vote_until: Time,
    /// The document.
    #[serde(flatten)]
    pub paper: Paper,
}

/// A version of the constitution, without its words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionHead {
    /// Which, from 1.
    pub number: u32,
    /// The beginning of the digest of its meaning.
    pub digest: String,
    /// What it is called.
    pub name: String,
    /// Where it came from.
    pub from: AdoptedFrom,
    /// The amendment, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amendment: Option<AmendmentId>,
    /// Since when it was in force.
    pub at: WireTime,
    /// Who put it in force.
    pub by: String,
}
