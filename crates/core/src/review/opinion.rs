//! What a judge says beside the vote (S1-83): grounds, advice, scores, and what a yes depends on.

use super::VoteWord;
use crate::plan::Problem;
use crate::spec::{GateKind, GateSpec};
use serde::{Deserialize, Serialize};

/// The most conditions of one vote.
const CONDITIONS_MAX: usize = 5;
/// The most pieces of evidence, and of advice, in one vote.
const LINES_MAX: usize = 20;
/// The longest of them, and the longest condition in words, in bytes.
const LINE_MAX: usize = 1_000;

/// What a judge says beside the vote and its reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Opinion {
    /// What the vote rests on: up to 20 lines of at most 1,000 bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What would make it better: up to 20 lines of at most 1,000 bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recommendations: Vec<String>,
    /// CONDITIONAL: what the yes depends on, up to 5. Where there is none, the reason of the vote is the condition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// How well it keeps to the constitution, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compliance_score: Option<f64>,
    /// How good it is, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality_score: Option<f64>,
}

/// What a conditional yes depends on: it becomes a gate of the last steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Condition {
    /// In words, for a person to look at: a MANUAL_REVIEW with it as its criterion.
    Words(String),
    /// A gate.
    Gate(Box<GateSpec>),
}

/// What a vote says in facts, beside its word.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Marks {
    /// What a conditional yes depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<GateSpec>,
    /// How well it keeps to the constitution, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compliance_score: Option<f64>,
    /// How good it is, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality_score: Option<f64>,
}

impl Marks {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The words of a vote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Grounds {
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What it rests on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What would make it better.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recommendations: Vec<String>,
}

impl Opinion {
    /// The facts of a vote.
    ///
    /// # Errors
    /// What makes no sense: each with its field and what is allowed.
    pub fn marks(&self, vote: VoteWord, reason: &str) -> Result<Marks, Vec<Problem>> {
        let mut problems = Vec::new();
        for (field, lines) in [("evidence", &self.evidence), ("recommendations", &self.recommendations)] {
            if lines.len() > LINES_MAX || lines.iter().any(|line| line.len() > LINE_MAX) {
                problems.push(Problem::new(field, format!("at most {LINES_MAX}, of up to {LINE_MAX} bytes each")));
            }
        }
        for (field, score) in [("compliance_score", self.compliance_score), ("quality_score", self.quality_score)] {
            if let Some(score) = score.filter(|score| !(0.0..=1.0).contains(score)) {
                problems.push(Problem::new(field, format!("is {score}; allowed are 0 to 1")));
            }
        }
        let conditions = match vote {
            VoteWord::Conditional => self.gates(reason, &mut problems),
            VoteWord::Approve | VoteWord::Reject | VoteWord::Abstain => {
                if !self.conditions.is_empty() {
                    problems.push(Problem::new("conditions", "only a CONDITIONAL vote has any"));
                }
                Vec::new()
            }
        };
        let marks = Marks { conditions, compliance_score: self.compliance_score, quality_score: self.quality_score };
        if problems.is_empty() { Ok(marks) } else { Err(problems) }
    }

    /// Its words.
    pub fn grounds(self, reason: &str) -> Grounds {
        Grounds { reason: reason.into(), evidence: self.evidence, recommendations: self.recommendations }
    }

    fn gates(&self, reason: &str, problems: &mut Vec<Problem>) -> Vec<GateSpec> {
        if self.conditions.len() > CONDITIONS_MAX {
            problems.push(Problem::new("conditions", format!("at most {CONDITIONS_MAX}")));
        }
        if self.conditions.is_empty() {
            if reason.trim().is_empty() {
                problems.push(Problem::new("conditions", "a CONDITIONAL vote says what it depends on, here or as its reason"));
            }
            return by_words("reason", reason, problems).into_iter().collect();
        }
        let each = self.conditions.iter().enumerate().filter_map(|(n, condition)| {
            let at = |field: &str| format!("conditions[{n}]{field}");
            match condition {
                Condition::Words(words) => by_words(&at(""), words, problems),
                Condition::Gate(gate) => {
                    if gate.advisory {
                        problems.push(Problem::new(at(".advisory"), "a condition binds; leave it out"));
                    }
                    if gate.check.is_some() {
                        let why = "a condition runs nothing of its own; name the kind, and what is judged in `criteria`";
                        problems.push(Problem::new(at(".check"), why));
                    }
                    let long = gate.criteria.len() > LINES_MAX || gate.criteria.iter().any(|line| line.len() > LINE_MAX);
                    if long {
                        problems
                            .push(Problem::new(at(".criteria"), format!("at most {LINES_MAX}, of up to {LINE_MAX} bytes each")));
                    }
                    Some((**gate).clone())
                }
            }
        });
        each.collect()
    }
}

/// A condition in words as a gate that a person judges.
fn by_words(field: &str, words: &str, problems: &mut Vec<Problem>) -> Option<GateSpec> {
    let words = words.trim();
    if words.is_empty() || words.len() > LINE_MAX {
        let why = format!("a condition has 1 to {LINE_MAX} bytes; this one has {}", words.len());
        problems.push(Problem::new(field, why));
        return None;
    }
    Some(GateSpec { criteria: vec![words.into()], ..GateSpec::of(GateKind::ManualReview) })
}

/// The mean of the scores that were given, by the weight of who gave them; `None` where nobody gave one.
pub fn mean(scores: impl IntoIterator<Item = (u32, Option<f64>)>) -> Option<f64> {
    let given = scores.into_iter().filter_map(|(weight, score)| Some((f64::from(weight), score?)));
    let (weights, sum) = given.fold((0.0, 0.0), |(weights, sum), (weight, score)| (weights + weight, sum + weight * score));
    (weights > 0.0).then(|| sum / weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn marks(vote: VoteWord, reason: &str, opinion: serde_json::Value) -> Result<Marks, Vec<String>> {
        let opinion: Opinion = serde_json::from_value(opinion).unwrap();
        opinion.marks(vote, reason).map_err(|wrong| wrong.into_iter().map(|p| p.field).collect())
    }

    #[test]
    fn conditions_are_gates_and_words_are_one_that_a_person_judges() {
        let said =
            json!({"conditions": ["the table is checked by hand", {"kind": "SECURITY_SCAN", "severity_threshold": "HIGH"}]});
        let gates = marks(VoteWord::Conditional, "", said).unwrap().conditions;
        assert_eq!(gates.iter().map(|g| g.kind).collect::<Vec<_>>(), [GateKind::ManualReview, GateKind::SecurityScan]);
        assert_eq!(gates[0].criteria, ["the table is checked by hand"]);
    }

    #[test]
    fn a_conditional_yes_says_on_what_it_depends() {
        assert_eq!(marks(VoteWord::Conditional, "with a backup", json!({})).unwrap().conditions[0].criteria, ["with a backup"]);
        assert_eq!(marks(VoteWord::Conditional, "  ", json!({})).unwrap_err(), ["conditions", "reason"]);
        assert_eq!(marks(VoteWord::Approve, "", json!({"conditions": ["x"]})).unwrap_err(), ["conditions"]);
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_place() {
        let gate = json!({"kind": "CODE_STYLE", "advisory": true, "check": {"command": "lint"}});
        let said =
            json!({"conditions": [gate, ""], "quality_score": 1.5, "compliance_score": -1.0, "evidence": ["x".repeat(1_001)]});
        let wrong = marks(VoteWord::Conditional, "", said).unwrap_err();
        let told =
            ["evidence", "compliance_score", "quality_score", "conditions[0].advisory", "conditions[0].check", "conditions[1]"];
        assert_eq!(wrong, told);
    }

    #[test]
    fn a_mean_goes_by_weight_and_counts_who_gave_a_score() {
        assert_eq!(mean([(1, Some(0.5)), (3, Some(0.9)), (5, None)]), Some(0.8));
        assert_eq!(mean([(0, Some(1.0)), (1, None)]), None);
    }
}
