//! JUnit XML, as test runners write it: how many tests there were, and what did not pass. A document is bounded before it comes here;
//! entities of its own are not resolved, so it cannot grow.

use super::findings::{Findings, SHOWN_CHARS_MAX};
use ephor_core::spec::Risk;
use ephor_core::work::Violation;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// How deep elements may nest; suites hold suites, but not so many.
const DEPTH_MAX: usize = 64;

/// What a report says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tests {
    /// Tests that were not left out.
    pub(super) run: u64,
    /// Tests that were left out.
    pub(super) skipped: u64,
    /// Those that did not pass, in order.
    pub(super) failed: Vec<Violation>,
    /// How many did not pass.
    pub(super) failures: u64,
}

/// A test that is being read.
#[derive(Default)]
struct Case {
    name: String,
    place: String,
    skipped: bool,
    failure: Option<(String, String)>,
    text: String,
}

impl Tests {
    /// Reads a report.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(text);
        let (mut tests, mut case, mut depth, mut suites) = (Self::default(), None::<Case>, 0usize, false);
        loop {
            let event = reader.read_event().map_err(|e| format!("no JUnit XML: {e} at byte {}", reader.error_position()))?;
            match event {
                Event::Start(start) => {
                    depth += 1;
                    if depth > DEPTH_MAX {
                        return Err(format!("elements nest deeper than {DEPTH_MAX}"));
                    }
                    suites |= matches!(start.name().as_ref(), "testsuite" | "testsuites");
                    tests.open(&start, &mut case)?;
                }
                Event::Empty(start) => {
                    suites |= matches!(start.name().as_ref(), "testsuite" | "testsuites");
                    tests.open(&start, &mut case)?;
                    if start.name().as_ref() == "testcase" {
                        tests.close(&mut case);
                    }
                }
                Event::End(end) => {
                    depth = depth.saturating_sub(1);
                    if end.name().as_ref() == "testcase" {
                        tests.close(&mut case);
                    }
                }
                Event::Text(text) => add(&mut case, &text),
                Event::CData(text) => add(&mut case, &text),
                Event::Eof if depth > 0 => return Err("no JUnit XML: it ends in the middle".into()),
                Event::Eof if !suites => return Err("no JUnit XML: it has neither testsuites nor testsuite".into()),
                Event::Eof => return Ok(tests),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::GeneralRef(_) => {}
            }
        }
    }

    fn open(&mut self, start: &BytesStart<'_>, case: &mut Option<Case>) -> Result<(), String> {
        match (start.name().as_ref(), &mut *case) {
            ("testcase", None) => {
                let (name, class) = (attribute(start, "name")?, attribute(start, "classname")?);
                let (file, line) = (attribute(start, "file")?, attribute(start, "line")?);
                let place = if line.is_empty() { file } else { format!("{file}:{line}") };
                let name = if class.is_empty() { name } else { format!("{class}.{name}") };
                *case = Some(Case { name, place, ..Case::default() });
            }
            ("testcase", Some(_)) => return Err("no JUnit XML: a testcase in a testcase".into()),
            ("skipped", Some(case)) => case.skipped = true,
            (word @ ("failure" | "error"), Some(case)) if case.failure.is_none() => {
                case.failure = Some((word.to_owned(), attribute(start, "message")?));
                case.text.clear();
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, case: &mut Option<Case>) {
        let Some(case) = case.take() else { return };
        if case.skipped && case.failure.is_none() {
            self.skipped += 1;
            return;
        }
        self.run += 1;
        let Some((word, message)) = case.failure else { return };
        self.failures += 1;
        let first = case.text.trim().lines().next().unwrap_or_default().to_owned();
        let message = [message, first].into_iter().find(|text| !text.is_empty()).unwrap_or_else(|| "it did not pass".into());
        let rule = if word == "error" { "test.error" } else { "test.failure" };
        let place = if case.place.is_empty() { case.name.clone() } else { format!("{} ({})", case.name, case.place) };
        if self.failed.len() < Findings::NAMED_MAX {
            self.failed.push(Violation { severity: Risk::High, rule: rule.into(), place, message });
        }
    }

    /// The part of the tests that passed; none where none was run.
    pub(super) fn score(&self) -> Option<f64> {
        (self.run > 0).then(|| (self.run - self.failures) as f64 / self.run as f64)
    }
}

/// Text inside of the first failure of a test; the beginning is enough.
fn add(case: &mut Option<Case>, text: &str) {
    if let Some(case) = case
        && case.failure.is_some()
        && case.text.len() < SHOWN_CHARS_MAX
    {
        case.text.extend(text.chars().take(SHOWN_CHARS_MAX));
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<String, String> {
    let wrong = |e: &dyn std::fmt::Display| format!("no JUnit XML: the attribute {name}: {e}");
    match start.try_get_attribute(name).map_err(|e| wrong(&e))? {
        Some(found) => Ok(found.normalized_value(XmlVersion::Implicit1_0).map_err(|e| wrong(&e))?.into_owned()),
        None => Ok(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_and_those_that_did_not_pass_are_named() {
        let report = r#"<?xml version="1.0"?><testsuites><testsuite name="s" tests="4">
            <testcase name="adds" classname="math"/>
            <testcase name="divides" classname="math" file="math.py" line="7"><failure message="1 &lt; 2">trace</failure></testcase>
            <testcase name="loads"><error><![CDATA[no such file
more]]></error></testcase>
            <testcase name="later"><skipped/></testcase>
        </testsuite></testsuites>"#;
        let tests = Tests::read(report).unwrap();
        assert_eq!((tests.run, tests.skipped, tests.failures), (3, 1, 2));
        let told = tests.failed.iter().map(|v| (v.rule.as_str(), v.place.as_str(), v.message.as_str()));
        let expected = [("test.failure", "math.divides (math.py:7)", "1 < 2"), ("test.error", "loads", "no such file")];
        assert!(told.eq(expected), "{:?}", tests.failed);
        assert!((tests.score().unwrap() - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for text in ["", "<html/>", "<testsuite><testcase>", "<testsuite><testcase><testcase/></testcase></testsuite>", "{}"] {
            assert!(Tests::read(text).is_err(), "{text}");
        }
        assert!(Tests::read(&"<testsuite>".repeat(100)).unwrap_err().contains("deeper"));
        assert_eq!(Tests::read("<testsuite/>").unwrap().score(), None);
    }

    #[test]
    fn entities_of_a_document_do_not_grow() {
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>"#;
        assert!(Tests::read(bomb).is_err());
    }
}
