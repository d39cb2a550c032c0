//! Characters nobody sees: those that turn the direction of a text around, stand inside of words, or carry another text.
//!
//! Many of them are needed: joiners in Persian, Indic scripts and emoji, marks and isolates in text that runs from right to left, tags in
//! the flags of regions, selectors behind emoji. Those are left alone.

use super::scan::{Hit, Hits};
use crate::event::CheckResult;

/// How many selectors in a row no sign of any script needs.
const SELECTORS_MAX: usize = 2;

/// Looks for them. Where some were found, the text without them, and with wide letters narrow, is given back.
pub(super) fn look(text: &str, hits: &mut Hits) -> Option<String> {
    if text.is_ascii() {
        control(text, hits);
        return None;
    }
    control(text, hits);
    let mut found = false;
    let mut wide = false;
    let (mut right_to_left, mut known) = (false, false);
    let mut before: Option<char> = None;
    let mut selectors = 0;
    // A flag of a region: a black flag, then tags, then the tag that ends it.
    let mut in_flag = false;
    let mut word = Scripts::default();
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        let mut hit = |rule, result| {
            found = true;
            hits.push(Hit::new(rule, result, at, end));
        };
        selectors = if is_selector(c) { selectors + 1 } else { 0 };
        match c {
            '\u{202D}' | '\u{202E}' => hit("hidden.direction_override", CheckResult::RequiresReview),
            '\u{202A}' | '\u{202B}' | '\u{2066}'..='\u{2068}' => {
                if !known {
                    (right_to_left, known) = (text.chars().any(is_right_to_left), true);
                }
                if !right_to_left {
                    hit("hidden.direction", CheckResult::RequiresReview);
                }
            }
            '\u{200B}'..='\u{200D}'
            | '\u{2060}'..='\u{2064}'
            | '\u{FEFF}'
            | '\u{180E}'
            | '\u{034F}'
            | '\u{115F}'
            | '\u{1160}'
            | '\u{3164}'
            | '\u{FFA0}' => {
                let next = text[end..].chars().find(|c| !is_invisible(*c));
                if before.is_some_and(is_latin) && next.is_some_and(is_latin) {
                    hit("hidden.inside_a_word", CheckResult::RequiresReview);
                }
            }
            '\u{E0000}'..='\u{E007F}' if !in_flag => hit("hidden.tags", CheckResult::RequiresReview),
            c if is_selector(c) && selectors == SELECTORS_MAX + 1 => hit("hidden.selectors", CheckResult::RequiresReview),
            '\u{FF01}'..='\u{FF5E}' => wide = true,
            _ => {}
        }
        in_flag = c == '\u{1F3F4}' || (in_flag && ('\u{E0020}'..='\u{E007E}').contains(&c));
        if word.mixes(c) {
            hits.push(Hit::new("hidden.mixed_script", CheckResult::Warning, at, end));
            found = true;
        }
        if !is_invisible(c) {
            before = Some(c);
        }
    }
    (found || wide).then(|| text.chars().filter(|c| !is_invisible(*c)).map(narrow).collect())
}

/// Control characters: a terminal obeys some of them.
fn control(text: &str, hits: &mut Hits) {
    let odd = |b: u8| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r');
    if let Some(at) = text.bytes().position(odd) {
        hits.push(Hit::new("hidden.control", CheckResult::Warning, at, at + 1));
    }
}

/// Which scripts the word at hand is written in.
#[derive(Default)]
struct Scripts {
    latin: bool,
    cyrillic: bool,
    told: bool,
}

impl Scripts {
    /// Whether this character makes it a word of Latin and Cyrillic letters, of which many look alike.
    fn mixes(&mut self, c: char) -> bool {
        if is_invisible(c) {
            return false;
        }
        if !c.is_alphanumeric() {
            *self = Self::default();
            return false;
        }
        self.latin |= c.is_ascii_alphabetic();
        self.cyrillic |= ('\u{0400}'..='\u{04FF}').contains(&c);
        let mixes = self.latin && self.cyrillic && !self.told;
        self.told |= mixes;
        mixes
    }
}

fn is_latin(c: char) -> bool {
    c.is_ascii_alphanumeric() || ('\u{00C0}'..='\u{024F}').contains(&c)
}

fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{0590}'..='\u{08FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}' | '\u{10800}'..='\u{10FFF}' | '\u{1E800}'..='\u{1EFFF}')
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}')
}

/// What nobody sees.
fn is_invisible(c: char) -> bool {
    is_selector(c)
        || matches!(c, '\u{00AD}' | '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{2069}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' | '\u{E0000}'..='\u{E007F}')
}

/// A wide letter as it is meant.
fn narrow(c: char) -> char {
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        c => c,
    }
}
