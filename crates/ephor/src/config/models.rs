//! The section `models`: what the house knows of models, which it prefers for which work, and what tasks are given by how much there is
//! to them.

use super::Setting;
use ephor_core::models::Complexity;
use ephor_core::models::catalogue::{Catalogue, Choice, Model, Rule};
use serde_json::Value;
use std::sync::Arc;

/// The section as it is written: as the rules read it.
pub(super) type Written = Catalogue;

/// What stands from then on. An error names the field and what is allowed.
pub(super) fn catalogue(written: Written) -> Result<Arc<Catalogue>, String> {
    match written.problems().into_iter().next() {
        Some(problem) => Err(format!("models.{problem}")),
        None => Ok(Arc::new(Catalogue::of_house(written))),
    }
}

/// Each value with its name.
pub(super) fn settings(house: &Catalogue, says: impl Fn(&str) -> bool) -> Vec<Setting> {
    let setting = |name: String, value: Option<String>, said: bool| Setting { name: format!("models.{name}"), value, said };
    let known = house.catalogue.iter().map(|(name, model)| setting(format!("catalogue.{name}"), Some(known(model)), true));
    let rules = house.rules.iter().enumerate().map(|(n, rule)| setting(format!("rules[{n}]"), Some(told(rule)), !house.advice));
    let default = setting("default".into(), house.default.as_ref().map(names), says("default"));
    let levels = Complexity::ALL.into_iter().map(|level| {
        let size = serde_json::to_value(house.complexity.of(level)).expect("a size is plain data");
        let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let parts: Vec<String> =
            size.as_object().into_iter().flatten().map(|(name, value)| format!("{name} {}", word(value))).collect();
        setting(format!("complexity.{}", level.word().to_lowercase()), Some(parts.join(", ")), says("complexity"))
    });
    known.chain(rules).chain([default]).chain(levels).collect()
}

/// What is known of a model, in one line.
fn known(model: &Model) -> String {
    let price = |way: &str, price: Option<u64>| price.map(|price| format!("{way} {price} micro-dollars"));
    let mut parts: Vec<String> = [price("in", model.cost_in), price("out", model.cost_out)].into_iter().flatten().collect();
    parts.extend(model.context.map(|tokens| format!("context {tokens}")));
    parts.extend(model.tier.as_ref().map(|tier| format!("tier {tier}")));
    parts.extend(model.resources.iter().map(|(name, n)| format!("{name} {n}")));
    parts.join(", ")
}

/// A rule in one line.
fn told(rule: &Rule) -> String {
    let when = &rule.when;
    let said = [("requirement", &when.requirement), ("word", &when.word), ("task_type", &when.task_type)];
    let when: Vec<String> = said.iter().filter_map(|(name, word)| Some(format!("{name} {}", word.as_ref()?))).collect();
    let choice = Choice {
        primary: rule.primary.clone(),
        fallbacks: rule.fallbacks.clone(),
        specialised: rule.specialised.clone(),
        reason: rule.reason.clone(),
    };
    format!("{}: {}", when.join(" and "), names(&choice))
}

/// The models of a choice.
fn names(choice: &Choice) -> String {
    let special = choice.specialised.iter().map(|(of, name)| format!("{of} {name}"));
    let fallbacks = choice.fallbacks.iter().map(|name| format!("then {name}"));
    std::iter::once(choice.primary.to_string()).chain(fallbacks).chain(special).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use ephor_core::models::catalogue::Catalogue;

    #[test]
    fn what_a_house_says_about_models_binds_and_what_it_leaves_out_is_advice() {
        let nothing = Config::from_text("policy: {}\n").unwrap();
        assert_eq!(nothing.policy.models, Catalogue::shipped());
        let sizes = "models:\n  complexity:\n    simple: {cpu_cores: 1, memory_mb: 512, network_bandwidth_mbps: 1, storage_gb: 1, execution_timeout: 5m}\n";
        let config = Config::from_text(sizes).unwrap();
        assert!(config.policy.models.advice && config.policy.models.rules.len() == 2, "{:?}", config.policy.models);
        assert_eq!(
            (config.policy.models.complexity.simple.memory_mb, config.policy.models.complexity.complex.cpu_cores),
            (512, 8)
        );
        let text = "models:\n  catalogue:\n    big/one: {cost_in: 15000, cost_out: 75000, context: 200000, tier: strong}\n  rules:\n    \
                    - {when: {requirement: code}, primary: big/one, fallbacks: [small], specialized: {Testing: tiny}, reason: why}\n  \
                    default: {primary: small}\n";
        let config = Config::from_text(text).unwrap();
        assert!(!config.policy.models.advice);
        let rows = config.settings();
        let row = |name: &str| rows.iter().find(|row| row.name == name).and_then(|row| row.value.clone()).unwrap();
        assert_eq!(row("models.rules[0]"), "requirement code: big/one, then small, Testing tiny");
        assert_eq!(row("models.default"), "small");
        assert_eq!(
            row("models.catalogue.big/one"),
            "in 15000 micro-dollars, out 75000 micro-dollars, context 200000, tier strong"
        );
        assert!(row("models.complexity.complex").contains("gpu_memory_mb 16384"), "{}", row("models.complexity.complex"));
    }

    #[test]
    fn what_makes_no_sense_names_the_field_and_what_is_allowed() {
        for (text, parts) in [
            ("models: {colour: red}\n", ["colour", "rules"]),
            ("models:\n  rules:\n    - {primary: a}\n", ["line 3", "when"]),
            ("models:\n  rules:\n    - {when: {}, primary: a}\n", ["models.rules[0].when", "requirement"]),
            ("models:\n  rules:\n    - {when: {word: x}, primary: 'a b'}\n", ["models.rules[0]", "a b"]),
            ("models:\n  default: {primary: a, fallbacks: [b, a]}\n", ["models.default.fallbacks[1]", "a"]),
            ("models:\n  default: {primary: auto}\n", ["models.default", "auto"]),
            ("models:\n  catalogue: {a: {cost_in: -1}}\n", ["line 2", "u64"]),
            ("models:\n  catalogue: {a: {resources: {wheels: 4}}}\n", ["models.catalogue.a.resources.wheels", "cpu_cores"]),
            ("models:\n  complexity: {simple: {cpu_cores: 1}}\n", ["line 2", "memory_mb"]),
        ] {
            let why = Config::from_text(text).unwrap_err();
            for part in parts {
                assert!(why.contains(part), "{part:?} is missing in {why:?} for {text:?}");
            }
        }
    }
}
