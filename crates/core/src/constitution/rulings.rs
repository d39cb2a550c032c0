//! What a constitution says about something, and where it is asked.

use crate::spec::Risk;
use serde::{Deserialize, Serialize};

/// Where a rule is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// When a task is submitted. Sees `task` and `now`.
    #[serde(alias = "ADMISSION")]
    Admission,
    /// When it has a plan. Sees `plan` as well.
    #[serde(alias = "PLAN")]
    Plan,
    /// When a step is about to be handed out, its parameters known. Sees `action` beside `task` and `now`.
    #[serde(alias = "ACTION")]
    Action,
    /// When a step says that it is done. Sees `result` as well.
    #[serde(alias = "RESULT")]
    Result,
}

impl Point {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Admission, Self::Plan, Self::Action, Self::Result];

    /// Its word: `admission`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Plan => "plan",
            Self::Action => "action",
            Self::Result => "result",
        }
    }
}

/// What a rule says where its condition holds, the mildest first. Of several the strictest counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Ruling {
    /// Nothing stands in the way; the article is named as what it rests on.
    #[default]
    Allow,
    /// It is told, and nothing follows.
    Warn,
    /// It is done with other parameters, which the rule makes and which are judged again. At `action` alone.
    Transform,
    /// People have to look first: the council before a task starts, a person before an action, or at a result.
    Escalate,
    /// It does not become a task; it is not done; it does not count.
    Deny,
}

impl Ruling {
    /// All of them, the mildest first.
    pub const ALL: [Self; 5] = [Self::Allow, Self::Warn, Self::Transform, Self::Escalate, Self::Deny];

    /// Its word: `DENY`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Warn => "WARN",
            Self::Transform => "TRANSFORM",
            Self::Escalate => "ESCALATE",
            Self::Deny => "DENY",
        }
    }
}

/// What one rule said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Said {
    /// The rule: `money.2`.
    pub rule: Box<str>,
    /// What it says.
    pub ruling: Ruling,
    /// Why, in the words of the document; or why it could not be judged.
    pub message: Box<str>,
    /// The risk it sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// Which condition held: the beginning of the SHA-256 of its text, in hexadecimal. A rule with another condition says something else,
    /// though in the same words. Missing in logs of earlier releases.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub when: Box<str>,
}

impl Said {
    /// The risk it sees, as a reason: which risk, why, by which rule.
    pub fn sees_risk(&self) -> Box<str> {
        format!("{}: {} ({})", self.risk.unwrap_or_default().word(), self.message, self.rule).into()
    }

    /// The article it stands in.
    pub fn article(&self) -> &str {
        self.rule.rsplit_once('.').map_or(&*self.rule, |(article, _)| article)
    }
}

/// What the whole constitution says about something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Judged {
    /// The strictest of what was said; ALLOW where nobody said anything.
    pub ruling: Ruling,
    /// What each rule said whose condition held, or that could not be judged; in the order of the document.
    pub said: Vec<Said>,
}

impl Judged {
    /// One more rule has spoken.
    pub fn add(&mut self, said: Said) {
        self.ruling = self.ruling.max(said.ruling);
        self.said.push(said);
    }

    /// Everything that was said, in one sentence.
    pub fn sentence(&self) -> String {
        self.said.iter().map(|said| format!("{} ({})", said.message, said.rule)).collect::<Vec<_>>().join("; ")
    }

    /// The highest risk that was seen.
    pub fn risk(&self) -> Risk {
        self.said.iter().filter_map(|said| said.risk).max().unwrap_or_default()
    }
}
