//! Patterns over paths: `*` and `?` within a name, `**` across folders, `{a,b}` for either.

use ephor_core::spec::ErrorClass;
use ephor_core::work::Failure;
use regex::RegexSet;

/// The longest pattern, in bytes; what people write is far shorter.
const PATTERN_BYTES_MAX: usize = 500;

/// Some patterns at once.
#[derive(Debug)]
pub(crate) struct Globs(RegexSet);

impl Globs {
    /// # Errors
    /// `BadInput`, naming the pattern.
    pub(crate) fn new(patterns: &[String]) -> Result<Self, Failure> {
        let wrong = |what: String| Failure::final_(ErrorClass::BadInput, what);
        if let Some(long) = patterns.iter().find(|pattern| pattern.len() > PATTERN_BYTES_MAX) {
            return Err(wrong(format!("a pattern has {} bytes; {PATTERN_BYTES_MAX} are allowed", long.len())));
        }
        let set = RegexSet::new(patterns.iter().map(|pattern| expression(pattern)));
        set.map(Self).map_err(|e| wrong(format!("{patterns:?} is no list of patterns: {e}")))
    }

    /// Whether a path with `/` between its names fits one of them.
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
}

/// The pattern as an expression over the whole path.
fn expression(pattern: &str) -> String {
    let mut out = String::from("^");
    let mut rest = pattern.strip_prefix("./").unwrap_or(pattern);
    let mut open = 0u32;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**/") {
            out.push_str("(?:.*/)?");
            rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix("**") {
            out.push_str(".*");
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '{' => {
                open += 1;
                out.push_str("(?:");
            }
            '}' if open > 0 => {
                open -= 1;
                out.push(')');
            }
            ',' if open > 0 => out.push('|'),
            _ => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push('$');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_people_expect() {
        for (pattern, yes, no) in [
            ("*.md", "a.md", "a/b.md"),
            ("**/*.md", "a.md", "a.mdx"),
            ("**/*.md", "a/b/c.md", "a/b/c.rs"),
            ("src/**", "src/a/b", "srcs/a"),
            ("a?.{rs,md}", "ab.md", "abc.md"),
            ("./x(1)", "x(1)", "x1"),
        ] {
            let globs = Globs::new(&[pattern.to_string()]).unwrap();
            assert!(globs.matches(yes), "{pattern} should fit {yes}");
            assert!(!globs.matches(no), "{pattern} should not fit {no}");
        }
        assert!(Globs::new(&["{a".into()]).is_err());
    }
}
