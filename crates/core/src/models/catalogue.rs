//! What a house has and prefers: its models, the rules by which one is chosen, and what tasks are given by how much there is to them.

use super::{Complexity, ModelSelection};
use crate::matching::{CAPACITIES, is_model};
use crate::plan::{Problem, is_word};
use crate::time::WireDuration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// The most models, rules, fallbacks of a rule and special models of a rule: what is written by hand.
const MODELS_MAX: usize = 1_000;
const RULES_MAX: usize = 200;
const FALLBACKS_MAX: usize = 16;
const SPECIAL_MAX: usize = 100;
/// The longest reason of a rule and the longest word it is about, in bytes.
const REASON_MAX: usize = 500;
const WORD_MAX: usize = 128;
/// The dearest a thousand tokens may be, in micro-dollars: a million dollars.
const PRICE_MAX: u64 = 1_000_000_000_000;

/// The section `models` of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Catalogue {
    /// What is known of models, by name. Rules may name others.
    pub catalogue: BTreeMap<Box<str>, Model>,
    /// Which models for which work; the first rule whose condition holds counts.
    pub rules: Vec<Rule>,
    /// Which models for everything else; none are chosen where it is missing.
    pub default: Option<Choice>,
    /// What tasks are given by how much there is to them.
    pub complexity: Levels,
    /// Whether its rules are those Ephor ships: advice alone, for a house that has said nothing about which model it wants.
    #[serde(skip)]
    pub advice: bool,
}

/// What is known of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// What a thousand tokens it reads cost, in micro-dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_in: Option<u64>,
    /// What a thousand tokens it writes cost, in micro-dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_out: Option<u64>,
    /// How many tokens it takes in at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<u64>,
    /// Who offers it, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Box<str>>,
    /// What kind of model it is, in a word: `strong`, `fast`, `local`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Box<str>>,
    /// What it needs beside what its task is given, by the names of S1-40.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<Box<str>, u64>,
}

impl Model {
    /// What a thousand tokens cost at most, in micro-dollars: the dearer of reading and writing, so that nothing is estimated too low.
    pub fn price(&self) -> Option<u64> {
        self.cost_in.max(self.cost_out)
    }
}

/// Which models for which work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// For which; all that is said has to hold.
    pub when: When,
    /// The one that is asked for.
    pub primary: Box<str>,
    /// Those that take its place, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<Box<str>>,
    /// Those that are asked for instead, by type of step or task.
    #[serde(default, alias = "specialized", skip_serializing_if = "BTreeMap::is_empty")]
    pub specialised: BTreeMap<Box<str>, Box<str>>,
    /// Why these.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Box<str>,
}

/// For which work a rule is; what is missing holds always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// A word that stands in one of the requirements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requirement: Option<Box<str>>,
    /// A word that stands in the title, the description or the requirements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub word: Option<Box<str>>,
    /// The type of the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_type: Option<Box<str>>,
}

/// Models where no rule says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The one that is asked for.
    pub primary: Box<str>,
    /// Those that take its place, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<Box<str>>,
    /// Those that are asked for instead, by type of step or task.
    #[serde(default, alias = "specialized", skip_serializing_if = "BTreeMap::is_empty")]
    pub specialised: BTreeMap<Box<str>, Box<str>>,
    /// Why these.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Box<str>,
}

/// What tasks are given by how much there is to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Levels {
    /// Where there is little (S1-41).
    #[serde(alias = "SIMPLE")]
    pub simple: Size,
    /// Something between.
    #[serde(alias = "MODERATE")]
    pub moderate: Size,
    /// Where there is much (S1-42).
    #[serde(alias = "COMPLEX")]
    pub complex: Size,
}

/// How large a machine, and how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Cores.
    pub cpu_cores: u64,
    /// Memory, in MiB.
    pub memory_mb: u64,
    /// Memory of graphics processors, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_memory_mb: Option<u64>,
    /// Network, in megabits a second.
    pub network_bandwidth_mbps: u64,
    /// Disk, in GB.
    pub storage_gb: u64,
    /// How long an attempt may take.
    pub execution_timeout: WireDuration,
}

impl Default for Levels {
    fn default() -> Self {
        let size = |cpu_cores, memory_mb, gpu_memory_mb, network_bandwidth_mbps, storage_gb, hours: u64| Size {
            cpu_cores,
            memory_mb,
            gpu_memory_mb,
            network_bandwidth_mbps,
            storage_gb,
            execution_timeout: WireDuration { ms: hours * 3_600_000 },
        };
        Self {
            simple: size(2, 4_096, None, 10, 10, 1),
            moderate: size(4, 16_384, None, 50, 50, 4),
            complex: size(8, 32_768, Some(16_384), 100, 100, 8),
        }
    }
}

impl Levels {
    /// What a level is given.
    pub fn of(&self, complexity: Complexity) -> &Size {
        match complexity {
            Complexity::Simple => &self.simple,
            Complexity::Moderate => &self.moderate,
            Complexity::Complex => &self.complex,
        }
    }
}

/// What a choice is made by.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What the result has to satisfy.
    pub requirements: &'a [String],
    /// Title and description.
    pub words: [&'a str; 2],
    /// The type of the task.
    pub task_type: &'a str,
}

impl When {
    /// What holds of the work, in words; nothing where something does not hold.
    fn holds(&self, wanted: &Wanted<'_>) -> Option<String> {
        let Self { requirement, word, task_type } = self;
        let texts = || wanted.words.into_iter().chain(wanted.requirements.iter().map(String::as_str));
        let all = requirement.as_ref().is_none_or(|word| wanted.requirements.iter().any(|text| says(text, word)))
            && word.as_ref().is_none_or(|word| texts().any(|text| says(text, word)))
            && task_type.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(wanted.task_type));
        all.then(|| self.told())
    }
}

/// Whether a text holds a word, in any case, not as a part of another one.
fn says(text: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let (text, word) = (text.to_lowercase(), word.to_lowercase());
    text.match_indices(&word)
        .any(|(at, found)| !is_part(text[..at].chars().next_back()) && !is_part(text[at + found.len()..].chars().next()))
}

static SHIPPED: LazyLock<Arc<Catalogue>> = LazyLock::new(|| {
    let names = |list: &[&str]| list.iter().map(|name| (*name).into()).collect::<Vec<Box<str>>>();
    let rule = |word: &str, primary: &str, fallbacks: &[&str], specialised: &[(&str, &str)], reason: &str| Rule {
        when: When { requirement: Some(word.into()), ..When::default() },
        primary: primary.into(),
        fallbacks: names(fallbacks),
        specialised: specialised.iter().map(|(of, name)| ((*of).into(), (*name).into())).collect(),
        reason: reason.into(),
    };
    let code = rule(
        "code",
        "claude-3-opus",
        &["gpt-4-turbo"],
        &[("CodeReview", "gpt-4"), ("Testing", "claude-3-sonnet")],
        "strong at code, with another house's model to fall back on; reviews by a model that did not write it",
    );
    let creative = rule(
        "creative",
        "claude-3-opus",
        &["gpt-4-turbo"],
        &[("Review", "gpt-4")],
        "strong at prose; reviews by a model that did not write it",
    );
    Arc::new(Catalogue { rules: vec![code, creative], advice: true, ..Catalogue::default() })
});

impl Catalogue {
    /// What stands where a house has said nothing: the rules of S1-37 and S1-38, as advice.
    pub fn shipped() -> Arc<Self> {
        SHIPPED.clone()
    }

    /// What a house wrote. Where it says nothing about which model it wants, the shipped rules go on to advise.
    pub fn of_house(written: Self) -> Self {
        if !written.rules.is_empty() || written.default.is_some() {
            return written;
        }
        Self { rules: SHIPPED.rules.clone(), advice: true, ..written }
    }

    /// What makes no sense in it: each with its field and what is allowed.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |field: String, message: String| problems.push(Problem::new(field, message));
        let many = |n: usize, most: usize| format!("there are {n}; allowed are {most}");
        if self.catalogue.len() > MODELS_MAX {
            wrong("catalogue".into(), many(self.catalogue.len(), MODELS_MAX));
        }
        if self.rules.len() > RULES_MAX {
            wrong("rules".into(), many(self.rules.len(), RULES_MAX));
        }
        let a_name = "a name has 1 to 128 letters, digits, `_`, `-`, `.`, `:`, `/`, and is not `auto`";
        let is_name = |name: &str| is_model(name) && name != super::AUTO;
        for (name, model) in &self.catalogue {
            let at = |field: &str| format!("catalogue.{name}{field}");
            if !is_name(name) {
                wrong(at(""), a_name.into());
            }
            for (field, price) in [(".cost_in", model.cost_in), (".cost_out", model.cost_out)] {
                if price.is_some_and(|price| price > PRICE_MAX) {
                    wrong(at(field), format!("allowed are up to {PRICE_MAX} micro-dollars"));
                }
            }
            if let Some(other) = model.resources.keys().find(|name| !CAPACITIES.contains(&&***name)) {
                wrong(at(&format!(".resources.{other}")), format!("allowed are {}", CAPACITIES.join(", ")));
            }
            for (field, said) in [(".provider", &model.provider), (".tier", &model.tier)] {
                if said.as_ref().is_some_and(|said| !is_word(said)) {
                    wrong(at(field), "a word of letters, digits, `_`, `-`, `.`, `:`".into());
                }
            }
        }
        for (n, rule) in self.rules.iter().enumerate() {
            let When { requirement, word, task_type } = &rule.when;
            if rule.when == When::default() {
                wrong(format!("rules[{n}].when"), "say for which work: by requirement, word or task_type".into());
            }
            for (field, said) in [("requirement", requirement), ("word", word)] {
                if said.as_ref().is_some_and(|word| word.trim().is_empty() || word.len() > WORD_MAX) {
                    wrong(format!("rules[{n}].when.{field}"), format!("allowed are 1 to {WORD_MAX} bytes"));
                }
            }
            if task_type.as_ref().is_some_and(|name| !is_word(name)) {
                wrong(format!("rules[{n}].when.task_type"), "a word of letters, digits, `_`, `-`, `.`, `:`".into());
            }
        }
        let choices = self.rules.iter().enumerate().map(|(n, rule)| (format!("rules[{n}]"), rule.choice()));
        for (at, choice) in choices.chain(self.default.iter().map(|choice| ("default".to_owned(), choice.clone()))) {
            let Choice { primary, fallbacks, specialised, reason } = &choice;
            if fallbacks.len() > FALLBACKS_MAX {
                wrong(format!("{at}.fallbacks"), many(fallbacks.len(), FALLBACKS_MAX));
            }
            if specialised.len() > SPECIAL_MAX {
                wrong(format!("{at}.specialised"), many(specialised.len(), SPECIAL_MAX));
            }
            if reason.len() > REASON_MAX {
                wrong(format!("{at}.reason"), format!("has {} bytes; allowed are {REASON_MAX}", reason.len()));
            }
            for name in std::iter::once(primary).chain(fallbacks).chain(specialised.values()).filter(|name| !is_name(name)) {
                wrong(at.clone(), format!("{name:?}: {a_name}"));
            }
            if let Some(twice) = fallbacks.iter().enumerate().find(|(n, name)| *name == primary || fallbacks[..*n].contains(name))
            {
                wrong(format!("{at}.fallbacks[{}]", twice.0), format!("{} stands before it already", twice.1));
            }
            if let Some(word) = specialised.keys().find(|word| !is_word(word)) {
                wrong(format!("{at}.specialised.{word}"), "a type has letters, digits, `_`, `-`, `.`, `:`".into());
            }
        }
        problems
    }

    /// Which models for this work: those of the first rule that holds, else those of the house; none where neither is there.
    pub fn select(&self, wanted: &Wanted<'_>) -> Option<ModelSelection> {
        let by_rule = self.rules.iter().enumerate().find_map(|(n, rule)| Some((n, rule, rule.when.holds(wanted)?)));
        let (choice, why) = match (by_rule, &self.default) {
            (Some((n, rule, why)), _) => {
                let whose = if self.advice { "shipped rule" } else { "rule" };
                (rule.choice(), format!("{whose} {}: {why}", n + 1))
            }
            (None, Some(choice)) => (choice.clone(), "no rule is about it; the default of the house".to_owned()),
            (None, None) => return None,
        };
        let reasoning = if choice.reason.is_empty() { why } else { format!("{why}; {}", choice.reason) };
        let named = std::iter::once(&choice.primary).chain(&choice.fallbacks).chain(choice.specialised.values());
        let prices = named.filter_map(|name| Some((name.clone(), self.catalogue.get(name)?.price()?))).collect();
        Some(ModelSelection {
            prices,
            primary_model: choice.primary,
            fallback_models: choice.fallbacks,
            specialized_models: choice.specialised,
            reasoning: reasoning.into(),
            advice: self.advice,
        })
    }
}

impl Choice {
    /// Those that may take the place of a model, in order.
    pub(super) fn after(&self, model: &str) -> &[Box<str>] {
        super::behind(&self.fallbacks, model)
    }
}

impl Rule {
    pub(super) fn choice(&self) -> Choice {
        Choice {
            primary: self.primary.clone(),
            fallbacks: self.fallbacks.clone(),
            specialised: self.specialised.clone(),
            reason: self.reason.clone(),
        }
    }
}
