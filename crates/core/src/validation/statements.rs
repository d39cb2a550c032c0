//! What is wanted, as far as it can be read without understanding it: whether it can be tested, and whether it contradicts itself.
//!
//! English only, and cautious: two sentences contradict each other where one forbids word for word what the other demands, or where
//! their bounds on the same thing cannot both hold. Everything else is left to the council.

use super::place::Place;
use super::scan::{Hit, Hits, Rule, is_one_of, whole_word};
use super::{DESCRIPTION, Found, REQUIREMENTS};
use crate::event::CheckResult;
use crate::spec::Request;
use std::collections::HashMap;

/// How many sentences are compared; of more, the first.
const SENTENCES_MAX: usize = 200;
/// How many words of a sentence are compared.
const WORDS_MAX: usize = 40;

/// What nobody can test, since it names no measure.
const VAGUE: [&str; 22] = [
    "as fast as possible",
    "as soon as possible",
    "as good as possible",
    "as much as possible",
    "as cheap as possible",
    "user friendly",
    "user-friendly",
    "easy to use",
    "state of the art",
    "state-of-the-art",
    "and so on",
    "if possible",
    "as appropriate",
    "as needed",
    "where applicable",
    "world-class",
    "best possible",
    "highest quality",
    "in a timely manner",
    "reasonable time",
    "good performance",
    "looks good",
];

/// What stands where something is still to be said.
const PLACEHOLDERS: [&str; 5] = ["lorem ipsum", "tbd", "to be determined", "to be defined", "<insert"];

/// What sentences that bind hold.
const BINDING: [&str; 9] =
    ["must", "shall", "never", "at least", "at most", "no more than", "no fewer than", "no less than", "do not"];

pub(super) fn anchors() -> Vec<(&'static str, Rule)> {
    let vague = VAGUE.iter().map(|word| (*word, Rule::Vague));
    let placeholders = PLACEHOLDERS.iter().map(|word| (*word, Rule::Placeholder));
    vague.chain(placeholders).chain(BINDING.iter().map(|word| (*word, Rule::Binding))).collect()
}

/// A vague word: bearable where its sentence gives a measure.
pub(super) fn vague(text: &str, at: usize, end: usize, hits: &mut Hits) {
    let from = text[..at].rfind(['.', '\n', ';']).map_or(0, |p| p + 1);
    let to = text[end..].find(['\n', ';']).map_or(text.len(), |p| end + p);
    let measured = text[from..to].bytes().any(|b| b.is_ascii_digit());
    if whole_word(text, at, end) && !measured {
        hits.push(Hit { vague: true, ..Hit::new("untestable.vague", CheckResult::Warning, at, end) });
    }
}

/// Words that wait for others.
pub(super) fn placeholder(text: &str, at: usize, end: usize, hits: &mut Hits) {
    let short = end - at > 3 || text[at..end].bytes().all(|b| b.is_ascii_uppercase());
    if short && (whole_word(text, at, end) || text.as_bytes()[at] == b'<') {
        hits.push(Hit { vague: true, ..Hit::new("empty.placeholder", CheckResult::Warning, at, end) });
    }
}

/// Looks at requirements and criteria one beside the other, and at a description that binds.
pub(super) fn check(request: &Request, found: &mut Found) {
    let wanted = request.requirements.len() + request.acceptance_criteria.len();
    if wanted == 0 && !found.binding {
        return;
    }
    let mut sentences = Vec::new();
    for (name, list) in [("requirements", &request.requirements), ("acceptance_criteria", &request.acceptance_criteria)] {
        for (n, text) in list.iter().enumerate() {
            let at = Place::field(name);
            if text.trim().is_empty() {
                found.note(REQUIREMENTS, CheckResult::Warning, || format!("empty.nothing_said in {}", at.item(n)));
            }
            take_apart(text, Where { name, n: Some(n) }, &mut sentences);
        }
    }
    if let Some(description) = request.description.as_deref().filter(|_| found.binding) {
        take_apart(description, Where { name: "description", n: None }, &mut sentences);
    }
    repeated(&sentences, found);
    forbidden(&sentences, found);
    bounds(&sentences, found);
}

/// Where a sentence stands.
#[derive(Clone, Copy, PartialEq)]
struct Where {
    name: &'static str,
    n: Option<usize>,
}

impl std::fmt::Display for Where {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = Place::field(self.name);
        match self.n {
            Some(n) => write!(f, "{}", at.item(n)),
            None => write!(f, "{at}"),
        }
    }
}

impl Where {
    fn check(self, other: Self) -> &'static str {
        if self.n.is_none() && other.n.is_none() { DESCRIPTION } else { REQUIREMENTS }
    }
}

/// A sentence: its words in lower case, without what only joins them.
struct Sentence {
    at: Where,
    words: Vec<String>,
    /// Whether it demands, forbids, or only says.
    tone: Tone,
}

#[derive(Clone, Copy, PartialEq)]
enum Tone {
    Demands,
    Forbids,
    Says,
}

fn take_apart(text: &str, at: Where, sentences: &mut Vec<Sentence>) {
    // A point within a number ends nothing.
    let ends = |text: &str| {
        let mut from = 0;
        let mut parts = Vec::new();
        for (i, c) in text.char_indices() {
            let stop =
                matches!(c, ';' | '\n' | '!' | '?') || c == '.' && text[i + 1..].chars().next().is_none_or(char::is_whitespace);
            if stop {
                parts.push((from, i));
                from = i + c.len_utf8();
            }
        }
        parts.push((from, text.len()));
        parts
    };
    for (from, to) in ends(text) {
        if sentences.len() >= SENTENCES_MAX {
            return;
        }
        let sentence = text[from..to].trim();
        if sentence.is_empty() {
            continue;
        }
        let mut tone = Tone::Says;
        let mut words = Vec::new();
        let split = sentence.split(|c: char| !(c.is_alphanumeric() || "'’._%-".contains(c))).filter(|w| !w.is_empty());
        for word in split.take(WORDS_MAX) {
            let word = word.trim_matches(['.', '-', '_', '\'', '’']).to_lowercase().replace('’', "'");
            match word.as_str() {
                "" => {}
                "not" | "never" | "cannot" => tone = Tone::Forbids,
                word if word.ends_with("n't") => tone = Tone::Forbids,
                "must" | "shall" | "should" | "has" | "have" | "needs" | "always" if tone == Tone::Says => tone = Tone::Demands,
                "must" | "shall" | "should" | "has" | "have" | "needs" | "always" => {}
                word if is_one_of(
                    word,
                    &["the", "a", "an", "to", "be", "is", "are", "do", "does", "of", "it", "please", "will", "we"],
                ) => {}
                _ => words.push(word),
            }
        }
        sentences.push(Sentence { at, words, tone });
    }
}

/// The same said twice. A sentence may come again in a description; a requirement has no reason to.
fn repeated(sentences: &[Sentence], found: &mut Found) {
    let mut seen: HashMap<(&[String], bool), Where> = HashMap::new();
    for sentence in sentences.iter().filter(|s| s.at.n.is_some() && !s.words.is_empty()) {
        let key = (&sentence.words[..], sentence.tone == Tone::Forbids);
        match seen.get(&key) {
            Some(first) if *first != sentence.at => {
                let first = *first;
                found.note(REQUIREMENTS, CheckResult::Warning, || format!("repeated in {first} and {}", sentence.at));
            }
            Some(_) => {}
            None => {
                seen.insert(key, sentence.at);
            }
        }
    }
}

/// What one forbids and another demands, word for word.
fn forbidden(sentences: &[Sentence], found: &mut Found) {
    let no: HashMap<&[String], Where> =
        sentences.iter().filter(|s| s.tone == Tone::Forbids && !s.words.is_empty()).map(|s| (&s.words[..], s.at)).collect();
    if no.is_empty() {
        return;
    }
    for sentence in sentences.iter().filter(|s| s.tone != Tone::Forbids) {
        if let Some(other) = no.get(&sentence.words[..]) {
            found.note(sentence.at.check(*other), CheckResult::RequiresReview, || {
                format!("contradiction.forbidden: {} demands what {other} forbids", sentence.at)
            });
        }
    }
}

/// A bound: on what, and how much.
struct Bound<'s> {
    at: Where,
    /// What is counted: the word behind the number.
    of: &'s str,
    /// What else the sentence says.
    about: Vec<&'s str>,
    least: f64,
    most: f64,
}

/// Bounds on the same thing that cannot both hold.
fn bounds(sentences: &[Sentence], found: &mut Found) {
    let all: Vec<Bound<'_>> = sentences.iter().flat_map(of_sentence).collect();
    for (n, a) in all.iter().enumerate() {
        let other = all[..n].iter().find(|b| {
            let same = same_thing(a.of, b.of) && (within(&a.about, &b.about) || within(&b.about, &a.about));
            same && (a.least > b.most || b.least > a.most)
        });
        if let Some(b) = other {
            found.note(a.at.check(b.at), CheckResult::RequiresReview, || {
                format!("contradiction.bounds: {} and {} cannot both hold", b.at, a.at)
            });
        }
    }
}

fn of_sentence(sentence: &Sentence) -> Vec<Bound<'_>> {
    let words: Vec<&str> = sentence.words.iter().map(String::as_str).collect();
    let mut bounds = Vec::new();
    let mut i = 0;
    while i < words.len() {
        // "not" was taken for a tone; "no more than" is none.
        let (used, least) = match &words[i..] {
            ["at", "least", ..] => (2, true),
            ["at", "most", ..] | ["up", "to", ..] => (2, false),
            ["no", "more", "than", ..] | ["no", "longer", "than", ..] => (3, false),
            ["no", "fewer", "than", ..] | ["no", "less", "than", ..] => (3, true),
            ["minimum", ..] => (1, true),
            ["maximum", ..] => (1, false),
            _ => (0, false),
        };
        let number = words.get(i + used).filter(|_| used > 0).and_then(|word| amount(word));
        let Some((value, unit)) = number else {
            i += 1;
            continue;
        };
        let behind = words.get(i + used + 1).copied().unwrap_or_default();
        let (of, taken) = if unit.is_empty() { (behind, used + 2) } else { (unit, used + 1) };
        if !of.is_empty() && amount(of).is_none() && !is_one_of(of, &["and", "or", "at", "in"]) {
            let about = words.iter().enumerate().filter(|(n, _)| *n < i || *n >= i + taken).map(|(_, word)| *word).collect();
            let (low, high) = if least { (value, f64::INFINITY) } else { (f64::NEG_INFINITY, value) };
            // A bound that is denied says something else, and what it says is left to people.
            if sentence.tone != Tone::Forbids {
                bounds.push(Bound { at: sentence.at, of, about, least: low, most: high });
            }
        }
        i += taken.max(1);
    }
    bounds
}

/// A number, and the unit that is written onto it.
fn amount(word: &str) -> Option<(f64, &str)> {
    let digits = word.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(word.len());
    let value: f64 = word[..digits].parse().ok()?;
    Some((value, &word[digits..]))
}

/// Whether two words name the same, one or many of it.
fn same_thing(a: &str, b: &str) -> bool {
    a == b || a.strip_suffix('s') == Some(b) || b.strip_suffix('s') == Some(a)
}

fn within(few: &[&str], many: &[&str]) -> bool {
    few.iter().all(|word| many.iter().any(|other| same_thing(word, other)))
}
