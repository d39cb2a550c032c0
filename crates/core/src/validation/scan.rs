//! One text, one pass: an automaton over what is worth a second look, then the rule that belongs to it.

use super::place::Place;
use super::{commands, encoded, hidden, injection, secrets, statements};
use crate::event::CheckResult;
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use std::sync::LazyLock;

/// How many hits of one text are kept; more say the same.
const HITS_MAX: usize = 8;
/// How much of a request is decoded to look into it, in bytes: what is hidden deeper or in more is rare, and looking has to end.
const DECODED_MAX: usize = 256 * 1024;

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stands {
    /// People and models read it.
    InProse,
    /// Some program carries it out.
    ToBeDone,
}

/// Something that a rule speaks to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hit {
    /// Which rule.
    pub(super) rule: &'static str,
    pub(super) result: CheckResult,
    /// Where it begins, in bytes.
    pub(super) at: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// How many of its first bytes are no secret: `AKIA`.
    pub(super) known: usize,
    /// What is hidden in it, by rule.
    pub(super) hides: Option<&'static str>,
    /// Whether it only matters where somebody says what is wanted.
    pub(super) vague: bool,
}

impl Hit {
    pub(super) fn new(rule: &'static str, result: CheckResult, at: usize, end: usize) -> Self {
        Self { rule, result, at, end, known: 0, hides: None, vague: false }
    }

    pub(super) fn secret(rule: &'static str, at: usize, end: usize, known: usize) -> Self {
        Self { known, ..Self::new(rule, CheckResult::Failed, at, end) }
    }

    /// The reason: rule and place.
    pub(super) fn told(&self, place: &Place<'_>) -> String {
        let hides = self.hides.map(|rule| format!(", hides {rule}")).unwrap_or_default();
        format!("{} in {place} at byte {}{hides}", self.rule, self.at)
    }
}

/// What a text holds.
pub(super) struct Hits {
    pub(super) list: Vec<Hit>,
    /// Whether it says what must be, must not be, or in which bounds.
    pub(super) binding: bool,
    /// How much may still be decoded.
    pub(super) decode_left: usize,
}

impl Default for Hits {
    fn default() -> Self {
        Self { list: Vec::new(), binding: false, decode_left: DECODED_MAX }
    }
}

impl Hits {
    pub(super) fn push(&mut self, hit: Hit) {
        let known = |other: &Hit| other.rule == hit.rule && (other.at < hit.end && hit.at < other.end);
        if self.list.len() < HITS_MAX && !self.list.iter().any(known) {
            self.list.push(hit);
        } else if hit.result == CheckResult::Failed && !self.list.iter().any(known) {
            // A secret is told whatever else there is.
            self.list[0] = hit;
        }
    }
}

/// What looks closer at a place the automaton stopped at.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    Secret(secrets::Kind),
    Order(injection::Kind),
    Command(commands::Kind),
    Vague,
    Placeholder,
    Binding,
}

struct Automaton {
    finder: AhoCorasick,
    rules: Vec<Rule>,
}

static AUTOMATON: LazyLock<Automaton> = LazyLock::new(|| {
    let lists = [secrets::anchors(), injection::anchors(), commands::anchors(), statements::anchors()];
    let (words, rules): (Vec<&str>, Vec<Rule>) = lists.into_iter().flatten().unzip();
    let finder = AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(words);
    Automaton { finder: finder.expect("a few hundred short words fit into an automaton"), rules }
});

/// Looks through a text. What it holds is added to `hits`.
pub(super) fn scan(text: &str, stands: Stands, hits: &mut Hits) {
    plain(text, stands, hits);
    if let Some(cleaned) = hidden::look(text, hits) {
        // Words that hidden characters tear apart are read as a model would read them. Places are those of the text as it came.
        let mut within = Hits { decode_left: 0, ..Hits::default() };
        plain(&cleaned, stands, &mut within);
        for hit in within.list.into_iter().filter(|hit| hit.result >= CheckResult::RequiresReview) {
            if hits.list.iter().all(|known| known.rule != hit.rule) {
                hits.push(Hit { at: 0, end: text.len(), known: 0, ..hit });
            }
        }
    }
    encoded::look(text, hits);
}

/// The automaton and the rules that belong to it.
pub(super) fn plain(text: &str, stands: Stands, hits: &mut Hits) {
    let automaton = &*AUTOMATON;
    for found in automaton.finder.find_overlapping_iter(text) {
        let (at, end) = (found.start(), found.end());
        match automaton.rules[found.pattern().as_usize()] {
            Rule::Secret(kind) => secrets::look(kind, text, at, end, hits),
            Rule::Order(kind) => injection::look(kind, text, at, end, hits),
            Rule::Command(kind) => commands::look(kind, text, at, end, stands, hits),
            Rule::Vague => statements::vague(text, at, end, hits),
            Rule::Placeholder => statements::placeholder(text, at, end, hits),
            Rule::Binding => hits.binding |= whole_word(text, at, end),
        }
    }
}

/// Whether what stands there is no part of a longer word.
pub(super) fn whole_word(text: &str, at: usize, end: usize) -> bool {
    let inner = |c: char| c.is_alphanumeric() || c == '_';
    !text[..at].chars().next_back().is_some_and(inner) && !text[end..].chars().next().is_some_and(inner)
}

/// The words behind a place, in lower case as far as they are ASCII, within so many bytes.
pub(super) fn words_after(text: &str, at: usize, within: usize) -> impl Iterator<Item = &str> {
    let end = text.floor_char_boundary(text.len().min(at.saturating_add(within)));
    words(&text[at..end.max(at)])
}

/// The words before a place, the nearest last, within so many bytes.
pub(super) fn words_before(text: &str, at: usize, within: usize) -> impl DoubleEndedIterator<Item = &str> {
    let from = text.floor_char_boundary(at.saturating_sub(within));
    words(&text[from..at])
}

fn words(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’').filter(|word| !word.is_empty())
}

/// Whether a word is among these, in any case.
pub(super) fn is_one_of(word: &str, list: &[&str]) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(word))
}
