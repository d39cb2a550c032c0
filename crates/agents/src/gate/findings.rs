//! What a check has found so far, and what it comes to.

use crate::secrets::Used;
use ephor_core::spec::{GateKind, Risk};
use ephor_core::work::{GateEvidence, Judgement, Violation};

/// How much of a message is kept, in characters.
pub(super) const SHOWN_CHARS_MAX: usize = 500;

/// How many hints are given.
const HINTS_MAX: usize = 10;

/// What a check has found. The score is the lowest of its parts.
pub(super) struct Findings {
    kind: GateKind,
    passed: bool,
    score: Option<f64>,
    violations: Vec<Violation>,
    hints: Vec<String>,
    evidence: Vec<GateEvidence>,
}

impl Findings {
    /// How many violations are named, the most severe first; all are weighed.
    pub(super) const NAMED_MAX: usize = 100;

    pub(super) fn new(kind: GateKind) -> Self {
        Self { kind, passed: true, score: None, violations: Vec::new(), hints: Vec::new(), evidence: Vec::new() }
    }

    /// What one violation takes from the score.
    pub(super) fn weight(severity: Risk) -> f64 {
        match severity {
            Risk::Critical => 1.0,
            Risk::High => 0.2,
            Risk::Medium => 0.05,
            Risk::Low => 0.01,
        }
    }

    /// One part of the check: whether it passed, and how well from 0 to 1.
    pub(super) fn part(&mut self, passed: bool, score: f64) {
        self.passed &= passed;
        self.score = Some(self.score.map_or(score, |least| least.min(score)));
    }

    /// Something that is wrong whatever else was found.
    pub(super) fn fail(&mut self, rule: &str, place: impl Into<String>, message: impl Into<String>) {
        self.part(false, 0.0);
        self.note(rule, place, message);
    }

    /// A violation that its part has weighed already.
    pub(super) fn note(&mut self, rule: &str, place: impl Into<String>, message: impl Into<String>) {
        let violation = Violation { severity: Risk::High, rule: rule.into(), place: place.into(), message: message.into() };
        self.violations.push(violation);
    }

    pub(super) fn add(&mut self, violations: impl IntoIterator<Item = Violation>) {
        self.violations.extend(violations);
    }

    pub(super) fn hint(&mut self, hint: String) {
        if self.hints.len() < HINTS_MAX {
            self.hints.push(hint);
        }
    }

    pub(super) fn rests_on(&mut self, evidence: GateEvidence) {
        self.evidence.push(evidence);
    }

    /// The judgement, without secrets and of bearable size.
    pub(super) fn judgement(mut self, used: &Used) -> Judgement {
        let short = |text: &str| used.mask(&text.chars().take(SHOWN_CHARS_MAX).collect::<String>());
        self.violations.sort_by_key(|v| std::cmp::Reverse(v.severity));
        if let Some(more) = self.violations.len().checked_sub(Self::NAMED_MAX).filter(|more| *more > 0) {
            self.hints.push(format!("{more} more violations are not named"));
        }
        let violations = self.violations.iter().take(Self::NAMED_MAX).map(|v| Violation {
            severity: v.severity,
            rule: short(&v.rule),
            place: short(&v.place),
            message: short(&v.message),
        });
        let evidence = self.evidence.iter().map(|e| GateEvidence { what: short(&e.what), ..e.clone() });
        Judgement {
            score: self.score,
            violations: violations.collect(),
            recommendations: self.hints.iter().map(|hint| short(hint)).collect(),
            evidence: evidence.collect(),
            ..Judgement::of(self.kind, self.passed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_part_counts_and_the_worst_violations_are_named() {
        let mut findings = Findings::new(GateKind::CodeStyle);
        findings.part(true, 0.9);
        findings.part(true, 0.4);
        let of = |severity| Violation { severity, ..Violation::default() };
        findings.add((0..150).map(|_| of(Risk::Low)));
        findings.add([of(Risk::Critical)]);
        let judgement = findings.judgement(&Used::default());
        assert_eq!((judgement.passed, judgement.score), (true, Some(0.4)));
        assert_eq!((judgement.violations.len(), judgement.violations[0].severity), (Findings::NAMED_MAX, Risk::Critical));
        assert_eq!(judgement.recommendations, ["51 more violations are not named"]);
    }

    #[test]
    fn what_failed_leaves_nothing_of_the_score() {
        let mut findings = Findings::new(GateKind::FunctionalTest);
        findings.part(true, 1.0);
        findings.fail("exit_code", "", "x".repeat(10_000));
        let judgement = findings.judgement(&Used::default());
        assert_eq!((judgement.passed, judgement.score), (false, Some(0.0)));
        assert_eq!(judgement.violations[0].message.len(), SHOWN_CHARS_MAX);
    }
}
