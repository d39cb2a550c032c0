//! Which models a house knows: those of its catalogue and those its rules name. Pure; for people who look.

use super::catalogue::{Catalogue, Choice, When};
use super::view::{ModelRole, ModelView, NamedBy};
use std::collections::BTreeMap;

impl Catalogue {
    /// Every model it says something of, or that one of its rules names, by name: what it says, and which rules name it.
    pub fn known(&self) -> BTreeMap<Box<str>, ModelView> {
        let mut found: BTreeMap<Box<str>, ModelView> = BTreeMap::new();
        for (name, model) in &self.catalogue {
            let view = ModelView {
                name: name.to_string(),
                catalogued: true,
                provider: model.provider.clone(),
                tier: model.tier.clone(),
                context: model.context,
                cost_in: model.cost_in,
                cost_out: model.cost_out,
                resources: model.resources.clone(),
                ..ModelView::default()
            };
            found.insert(name.clone(), view);
        }
        let whose = if self.advice { "shipped rule" } else { "rule" };
        let rules =
            self.rules.iter().enumerate().map(|(n, rule)| (format!("{whose} {}", n + 1), rule.when.told(), rule.choice()));
        let rest = self.default.iter().map(|choice| ("default".to_owned(), "no rule is about it".to_owned(), choice.clone()));
        for (rule, when, choice) in rules.chain(rest) {
            for (name, role, task_types) in named(&choice) {
                let by = NamedBy {
                    rule: rule.clone(),
                    when: when.clone(),
                    role,
                    task_types,
                    fallbacks: choice.after(name).to_vec(),
                    reason: choice.reason.clone(),
                    advice: self.advice,
                };
                let view = found.entry(name.into());
                view.or_insert_with(|| ModelView { name: name.into(), ..ModelView::default() }).named_by.push(by);
            }
        }
        found
    }
}

/// The models of a choice, each with as what it is named; one that is so for several types of steps stands once.
fn named(choice: &Choice) -> Vec<(&str, ModelRole, Vec<Box<str>>)> {
    let mut special: BTreeMap<&str, Vec<Box<str>>> = BTreeMap::new();
    for (task_type, name) in &choice.specialised {
        special.entry(name).or_default().push(task_type.clone());
    }
    let first = std::iter::once((&*choice.primary, ModelRole::Primary, Vec::new()));
    let special = special.into_iter().map(|(name, types)| (name, ModelRole::Specialised, types));
    let fallbacks = choice.fallbacks.iter().map(|name| (&**name, ModelRole::Fallback, Vec::new()));
    first.chain(special).chain(fallbacks).collect()
}

impl When {
    /// What has to hold of the work, in words.
    pub(super) fn told(&self) -> String {
        let Self { requirement, word, task_type } = self;
        let parts = [
            requirement.as_ref().map(|word| format!("a requirement says {word:?}")),
            word.as_ref().map(|word| format!("its words say {word:?}")),
            task_type.as_ref().map(|name| format!("its type is {name}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }
}
