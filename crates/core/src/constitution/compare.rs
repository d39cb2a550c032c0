//! What one document says otherwise than another.

use super::amendment::Terms;
use super::document::{Article, Document, Rule};
use super::shown::Changed;
use serde_json::Value;
use std::collections::BTreeMap;

/// What the second document changes about the first, in the order in which it is written; what is gone comes last.
pub fn compare(before: &Document, after: &Document) -> Vec<Changed> {
    let mut changes = Vec::new();
    let mut one = |what: String, before: Option<String>, after: Option<String>| {
        if before != after {
            changes.push(Changed { what, before, after });
        }
    };
    one("name".into(), Some(before.name.clone()), Some(after.name.clone()));
    one("preamble".into(), some(&before.preamble), some(&after.preamble));
    let known: BTreeMap<&str, &Article> = before.articles.iter().map(|article| (&*article.id, article)).collect();
    for article in &after.articles {
        let id = &article.id;
        let Some(was) = known.get(&**id) else {
            one(format!("article {id}"), None, Some(article.title.clone()));
            article.rules.iter().for_each(|rule| one(format!("rule {}", rule.id), None, Some(told(rule))));
            continue;
        };
        one(format!("article {id} title"), Some(was.title.clone()), Some(article.title.clone()));
        one(format!("article {id} text"), some(&was.text), some(&article.text));
        for n in 0..was.rules.len().max(article.rules.len()) {
            match (was.rules.get(n), article.rules.get(n)) {
                (Some(was), Some(rule)) => {
                    for ((name, was), (_, is)) in fields(was).into_iter().zip(fields(rule)) {
                        one(format!("rule {} {name}", rule.id), was, is);
                    }
                }
                (was, is) => {
                    let id = was.or(is).map(|rule| rule.id.clone()).unwrap_or_default();
                    one(format!("rule {id}"), was.map(told), is.map(told));
                }
            }
        }
    }
    for gone in before.articles.iter().filter(|gone| after.articles.iter().all(|article| article.id != gone.id)) {
        one(format!("article {}", gone.id), Some(gone.title.clone()), None);
        gone.rules.iter().for_each(|rule| one(format!("rule {}", rule.id), Some(told(rule)), None));
    }
    let terms = |document: &Document| terms(document.amendments.clone().unwrap_or_default());
    for ((name, was), (_, is)) in terms(before).into_iter().zip(terms(after)) {
        one(format!("amendments {name}"), Some(was), Some(is));
    }
    changes
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn fields(rule: &Rule) -> [(&'static str, Option<String>); 5] {
    let at: Vec<_> = rule.at.iter().map(|point| point.word()).collect();
    [
        ("at", Some(at.join(", "))),
        ("when", Some(rule.when.split_whitespace().collect::<Vec<_>>().join(" "))),
        ("verdict", Some(rule.verdict.word().into())),
        ("message", Some(rule.message.clone())),
        ("risk", rule.risk.map(|risk| risk.word().to_owned())),
    ]
}

/// A rule in one line.
fn told(rule: &Rule) -> String {
    let fields = fields(rule).into_iter();
    fields.filter_map(|(name, value)| Some(format!("{name}: {}", value?))).collect::<Vec<_>>().join(", ")
}

fn terms(terms: Terms) -> Vec<(String, String)> {
    let Ok(Value::Object(fields)) = serde_json::to_value(&terms) else { return Vec::new() };
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    fields.into_iter().map(|(name, value)| (name, text(value))).collect()
}
