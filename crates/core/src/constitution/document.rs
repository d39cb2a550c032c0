//! The document as people write it: YAML, or JSON, which is YAML. What is wrong with it is told with its line.

use super::amendment::Terms;
use super::rulings::{Point, Ruling};
use crate::spec::Risk;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The largest document, in bytes.
const BYTES_MAX: usize = 1 << 20;
/// The most rules in one.
const RULES_MAX: usize = 1_000;
/// The longest condition, in bytes.
const WHEN_MAX: usize = 4_096;
/// The most parameters one rule sets.
const SET_MAX: usize = 20;
/// How deep its values may nest.
const DEPTH_MAX: usize = 16;

/// A constitution.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Document {
    /// What it is called.
    pub name: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub preamble: String,
    /// Its articles, in order.
    pub articles: Vec<Article>,
    /// The terms on which it is amended; those of [`Terms::default`] where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amendments: Option<Terms>,
}

/// One article.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Article {
    /// A word, unique in the document.
    pub id: String,
    /// One line.
    pub title: String,
    /// What it says, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// What of it is checked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// One rule of an article.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// Its article and its place in it: `money.2`.
    pub id: String,
    /// Where it is asked.
    pub at: Vec<Point>,
    /// When it applies: CEL over what can be seen there.
    pub when: String,
    /// What it says then.
    pub verdict: Ruling,
    /// Why, for who is refused.
    pub message: String,
    /// The risk it sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// TRANSFORM: the parameters it sets, by name, each in CEL over what its condition sees; one that comes to null is taken away.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// The line of its condition.
    #[serde(skip)]
    pub line: u64,
}

/// Something wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Flaw {
    /// The line it stands in, from 1; 0 where it is about the whole.
    pub line: u64,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl Flaw {
    pub(super) fn new(line: u64, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.message),
            line => write!(f, "line {line}: {}", self.message),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    constitution: String,
    #[serde(default)]
    preamble: String,
    articles: Vec<Spanned<WrittenArticle>>,
    #[serde(default)]
    amendments: Option<Spanned<Terms>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenArticle {
    id: Spanned<String>,
    title: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    rules: Vec<Spanned<WrittenRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    at: Vec<Point>,
    when: Spanned<String>,
    verdict: Ruling,
    message: String,
    risk: Option<Risk>,
    #[serde(default)]
    set: BTreeMap<String, String>,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// Everything wrong with its form, each with its line. Whether its conditions make sense, `Law::compile` says.
    pub fn read(text: &str) -> Result<Self, Vec<Flaw>> {
        if text.len() > BYTES_MAX {
            return Err(vec![Flaw::new(0, format!("has {} bytes; allowed are {BYTES_MAX}", text.len()))]);
        }
        let options = serde_saphyr::options! {
            strict_booleans: true,
            budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, flow_nesting_limit: DEPTH_MAX, max_documents: 1 },
        };
        let written: Written = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let line = error.location().map_or(0, |at| at.line());
            let told = error.without_snippet().to_string();
            let message = told.split(" at line ").next().unwrap_or_default().trim_start_matches("error: ");
            vec![Flaw::new(line, message)]
        })?;
        let mut flaws = Vec::new();
        let mut ids = BTreeSet::new();
        let mut articles = Vec::with_capacity(written.articles.len());
        for article in written.articles {
            let (line, article) = (article.referenced.line(), article.value);
            let id = article.id.value;
            if !crate::plan::is_word(&id) {
                flaws.push(Flaw::new(line, format!("id {id:?}: 1 to 128 letters, digits, `_`, `-`, `.`, `:`")));
            }
            if !ids.insert(id.clone()) {
                flaws.push(Flaw::new(line, format!("two articles have the id {id:?}")));
            }
            let mut rules = Vec::with_capacity(article.rules.len());
            for (n, rule) in (1..).zip(article.rules) {
                let (at, rule) = (rule.referenced.line(), rule.value);
                let line = rule.when.referenced.line().max(at);
                if rule.at.is_empty() {
                    flaws.push(Flaw::new(
                        at,
                        format!("`at` names no point; allowed are {}", Point::ALL.map(Point::word).join(", ")),
                    ));
                }
                if rule.message.trim().is_empty() {
                    flaws.push(Flaw::new(at, "`message` is empty; whoever is refused has to be told why"));
                }
                if rule.when.value.len() > WHEN_MAX {
                    flaws.push(Flaw::new(line, format!("`when` has {} bytes; allowed are {WHEN_MAX}", rule.when.value.len())));
                }
                let transforms = rule.verdict == Ruling::Transform;
                if transforms && (rule.set.is_empty() || rule.at != [Point::Action]) {
                    flaws.push(Flaw::new(
                        at,
                        "TRANSFORM is for `at: [action]` alone, and says in `set` which parameters become what",
                    ));
                }
                if !transforms && !rule.set.is_empty() {
                    flaws.push(Flaw::new(at, "`set` belongs to the verdict TRANSFORM"));
                }
                if rule.set.len() > SET_MAX || rule.set.values().any(|text| text.len() > WHEN_MAX) {
                    flaws.push(Flaw::new(at, format!("`set` has at most {SET_MAX} parameters, each of up to {WHEN_MAX} bytes")));
                }
                rules.push(Rule {
                    id: format!("{id}.{n}"),
                    at: rule.at,
                    when: rule.when.value,
                    verdict: rule.verdict,
                    message: rule.message,
                    risk: rule.risk,
                    set: rule.set,
                    line,
                });
            }
            articles.push(Article { id, title: article.title, text: article.text, rules });
        }
        let count: usize = articles.iter().map(|article| article.rules.len()).sum();
        if count > RULES_MAX {
            flaws.push(Flaw::new(0, format!("has {count} rules; allowed are {RULES_MAX}")));
        }
        if let Some(terms) = &written.amendments {
            let line = terms.referenced.line();
            flaws.extend(terms.value.flaws().into_iter().map(|flaw| Flaw::new(line, format!("amendments: {flaw}"))));
        }
        let amendments = written.amendments.map(|terms| terms.value);
        let document = Self { name: written.constitution, preamble: written.preamble, articles, amendments };
        if flaws.is_empty() { Ok(document) } else { Err(flaws) }
    }

    /// Its rules, in order.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.articles.iter().flat_map(|article| &article.rules)
    }
}

/// A task and a plan of which nothing odd is said, for trying rules on.
pub(super) fn sample() -> crate::command::Submission {
    let request = serde_json::json!({
        "title": "Count the files",
        "source": "SAMPLE",
        "payload": {},
        "requirements": ["the count is a number"],
        "tags": ["sample"],
        "plan": {"steps": [
            {"id": "count", "action": "shell.run", "params": {"command": "ls"}, "gates": [{"kind": "FUNCTIONAL_TEST"}]},
            {"id": "tell", "action": "http.request", "params": {"url": "http://127.0.0.1/"}, "acts": true, "depends_on": ["count"]},
        ]},
    });
    let request = serde_json::from_value(request).expect("the sample is a request");
    crate::request::check(&request, crate::time::Time(0), &crate::policy::Policy::without_law()).expect("and one in order")
}
