use super::catalogue::{Catalogue, Wanted};
use super::choose::{Asked, choose};
use super::{Complexity, ModelRole, ModelSelection};
use crate::plan::Plan;
use crate::time::WireDuration;
use serde_json::{Value, json};

fn house(said: Value) -> Catalogue {
    let written: Catalogue = serde_json::from_value(said).unwrap();
    let problems = written.problems();
    assert!(problems.is_empty(), "{problems:?}");
    Catalogue::of_house(written)
}

fn for_requirements(house: &Catalogue, requirements: &[&str], task_type: &str) -> Option<ModelSelection> {
    let requirements: Vec<String> = requirements.iter().map(|text| (*text).to_owned()).collect();
    house.select(&Wanted { requirements: &requirements, words: ["Write it", "as told"], task_type })
}

/// The plan after the choice, and what was chosen.
fn chosen(house: &Catalogue, request: Value, steps: Value) -> (Plan, super::choose::Chosen) {
    let request: crate::spec::Request = serde_json::from_value(request).unwrap();
    let spec = serde_json::from_value(json!({"steps": steps})).unwrap();
    let (mut plan, _) = Plan::check(&spec).unwrap();
    let asked = Asked {
        wanted: Wanted {
            requirements: &request.requirements,
            words: ["", request.description.as_deref().unwrap_or_default()],
            task_type: request.task_type.as_deref().unwrap_or("general"),
        },
        model: request.model.as_deref(),
        complexity: request.complexity,
    };
    let chosen = choose(&mut plan, &asked, house);
    (plan, chosen)
}

fn models(plan: &Plan) -> Vec<Option<&str>> {
    plan.steps.iter().map(|step| step.model.as_deref()).collect()
}

#[test]
fn the_printed_rule_for_code_is_shipped_with_its_reason() {
    let found = for_requirements(&Catalogue::shipped(), &["working code", "tested"], "general").unwrap();
    assert_eq!((&*found.primary_model, &*found.fallback_models), ("claude-3-opus", &["gpt-4-turbo".into()][..]));
    assert_eq!((found.for_type("CodeReview"), found.for_type("Testing")), ("gpt-4", "claude-3-sonnet"));
    assert_eq!(found.for_type("Implementation"), "claude-3-opus");
    assert!(found.reasoning.starts_with("shipped rule 1: a requirement says \"code\"; "), "{}", found.reasoning);
    assert!(found.advice);
    assert!(for_requirements(&Catalogue::shipped(), &["Creative writing"], "general").unwrap().reasoning.contains("creative"));
    assert_eq!(for_requirements(&Catalogue::shipped(), &["decode it"], "general"), None, "a word, and no part of another one");
}

#[test]
fn the_first_rule_that_holds_counts_and_says_by_what() {
    let house = house(json!({
        "catalogue": {"a": {"cost_in": 3, "cost_out": 15}, "c": {"cost_in": 2}},
        "rules": [
            {"when": {"requirement": "code", "task_type": "Testing"}, "primary": "a", "fallbacks": ["b", "c"], "reason": "so"},
            {"when": {"word": "write"}, "primary": "w"},
        ],
        "default": {"primary": "d"},
    }));
    let reasons = |requirements: &[&str], task_type: &str| {
        let found = for_requirements(&house, requirements, task_type).unwrap();
        (found.primary_model.to_string(), found.reasoning.to_string())
    };
    let both = ("a".into(), "rule 1: a requirement says \"code\" and its type is Testing; so".into());
    assert_eq!(reasons(&["CODE, please"], "testing"), both);
    assert_eq!(reasons(&["code"], "general"), ("w".into(), "rule 2: its words say \"write\"".into()));
    let first = for_requirements(&house, &["code"], "Testing").unwrap();
    assert_eq!(first.prices.iter().map(|(name, price)| (&**name, *price)).collect::<Vec<_>>(), [("a", 15), ("c", 2)]);
    assert!(!first.advice);
    let plain = Wanted { requirements: &[], words: ["", ""], task_type: "general" };
    assert_eq!(house.select(&plain).unwrap().reasoning.to_string(), "no rule is about it; the default of the house");
}

#[test]
fn only_steps_that_leave_it_open_ask_for_what_the_house_chooses() {
    let house = house(json!({"default": {"primary": "p", "fallbacks": ["q"], "specialised": {"CodeReview": "r"}}}));
    let steps = json!([
        {"action": "model.generate"},
        {"action": "model.generate", "task_type": "CodeReview"},
        {"action": "model.generate", "model": "mine"},
        {"action": "shell.run"},
        {"action": "draw"},
        {"action": "shell.run", "model": "auto"},
        {"action": "wait.for", "params": {"duration": "1s"}},
    ]);
    let (plan, of) = chosen(&house, json!({}), steps.clone());
    assert_eq!(models(&plan), [Some("p"), Some("r"), Some("mine"), None, None, Some("p"), None]);
    let by_house: Vec<bool> = plan.steps.iter().map(|step| step.model_chosen).collect();
    assert_eq!(by_house, [true, true, false, false, false, true, false]);
    let behind: Vec<String> = of.models.unwrap().after("r").iter().map(ToString::to_string).collect();
    assert_eq!(behind, ["q"]);
    let (plan, _) = chosen(&house, json!({"model": "auto"}), steps.clone());
    assert_eq!(models(&plan)[3..5], [None, Some("p")], "what the built-in agents do needs no model");
    let (plan, of) = chosen(&house, json!({"model": "named", "task_type": "CodeReview"}), steps.clone());
    assert_eq!(models(&plan), [Some("named"), Some("named"), Some("mine"), None, Some("named"), Some("named"), None]);
    assert!(of.models.is_none() && plan.steps.iter().all(|step| !step.model_chosen));
    let (plan, of) = chosen(&house, json!({}), json!([{"action": "draw"}]));
    assert_eq!((models(&plan), of), (vec![None], Default::default()), "who asks for nothing gets nothing");
}

#[test]
fn advice_binds_nobody() {
    let shipped = Catalogue::shipped();
    let (plan, of) = chosen(
        &shipped,
        json!({"requirements": ["code"]}),
        json!([{"action": "model.generate"}, {"action": "x", "model": "auto"}]),
    );
    assert_eq!(models(&plan), [None, None]);
    assert!(plan.steps.iter().all(|step| step.demands.is_empty() && step.timeout_ms.is_none()));
    assert!(of.models.unwrap().advice && of.allocation.unwrap().advice);
    let (_, of) = chosen(&shipped, json!({}), json!([{"action": "model.generate"}]));
    assert_eq!(of.models, None, "nobody has said anything about such work");
}

#[test]
fn the_sizes_are_those_that_are_printed_and_one_between() {
    let given =
        |word: &str| *chosen(&Catalogue::shipped(), json!({"complexity": word}), json!([{"action": "x"}])).1.allocation.unwrap();
    let sizes = |word: &str| {
        let of = given(word);
        let hours = of.execution_timeout.ms / 3_600_000;
        (of.cpu_cores, of.memory_mb, of.gpu_memory_mb, of.network_bandwidth_mbps, of.storage_gb, hours)
    };
    assert_eq!(sizes("SIMPLE"), (2, 4_096, None, 10, 10, 1));
    assert_eq!(sizes("COMPLEX"), (8, 32_768, Some(16_384), 100, 100, 8));
    assert_eq!(sizes("MODERATE"), (4, 16_384, None, 50, 50, 4));
    assert_eq!(&*given("COMPLEX").reasoning, "the submitter says COMPLEX");
    let (plan, _) = chosen(
        &Catalogue::shipped(),
        json!({"complexity": "SIMPLE"}),
        json!([{"action": "x", "resources": {"cpu_cores": 1}, "timeout": "5s"}, {"action": "y"}]),
    );
    let asks = |i: usize, name: &str| plan.steps[i].demands.get(name).copied();
    assert_eq!((asks(0, "cpu_cores"), asks(0, "memory_mb"), plan.steps[0].timeout_ms), (Some(1), Some(4_096), Some(5_000)));
    assert_eq!((asks(1, "cpu_cores"), asks(1, "gpu_memory_mb"), plan.steps[1].timeout_ms), (Some(2), None, Some(3_600_000)));
}

#[test]
fn what_a_model_needs_comes_on_top_and_is_told() {
    let house = house(json!({
        "catalogue": {"large": {"resources": {"gpu_memory_mb": 8192, "memory_mb": 1024}}},
        "default": {"primary": "large"},
        "complexity": {"simple": {"cpu_cores": 1, "memory_mb": 512, "network_bandwidth_mbps": 1, "storage_gb": 1, "execution_timeout": "5m"}},
    }));
    let of = |request: Value| *chosen(&house, request, json!([{"action": "model.generate"}])).1.allocation.unwrap();
    let simple = of(json!({"complexity": "SIMPLE"}));
    assert_eq!((simple.memory_mb, simple.gpu_memory_mb, simple.execution_timeout.ms), (1_536, Some(8_192), 300_000));
    assert_eq!(&*simple.reasoning, "the submitter says SIMPLE; large needs 8192 gpu_memory_mb, 1024 memory_mb beside");
    assert_eq!(of(json!({"complexity": "SIMPLE", "model": "other"})).gpu_memory_mb, None);
}

#[test]
fn how_much_there_is_to_a_task_is_found_by_the_fact_that_says_most() {
    let found = |request: Value, steps: Value| {
        let house = house(json!({"default": {"primary": "p"}}));
        let of = *chosen(&house, request, steps).1.allocation.unwrap();
        (of.complexity, of.reasoning.to_string())
    };
    let one = json!([{"action": "model.generate"}]);
    assert_eq!(found(json!({}), one.clone()), (Complexity::Simple, "SIMPLE: it has 1 step".into()));
    let many: Vec<Value> = (0..13).map(|_| json!({"action": "model.generate"})).collect();
    assert_eq!(
        found(json!({"requirements": ["a", "b", "c"]}), json!(many)),
        (Complexity::Complex, "COMPLEX: it has 13 steps".into())
    );
    let three = json!({"requirements": ["a", "b", "c"]});
    assert_eq!(found(three, one), (Complexity::Moderate, "MODERATE: it has 3 requirements".into()));
    let long = json!([{"action": "model.generate", "estimate": "5h"}]);
    let told = format!("COMPLEX: its steps are expected to take {}", WireDuration { ms: 5 * 3_600_000 });
    assert_eq!(found(json!({}), long), (Complexity::Complex, told));
}

#[test]
fn a_house_tells_of_every_model_it_knows_and_by_which_rules_it_comes() {
    let house = house(json!({
        "catalogue": {"a": {"cost_in": 3, "cost_out": 15, "provider": "acme", "tier": "strong", "context": 200000}},
        "rules": [
            {"when": {"requirement": "code", "task_type": "Testing"}, "primary": "a", "fallbacks": ["b", "c"], "reason": "so"},
            {"when": {"word": "write"}, "primary": "b", "specialised": {"Review": "c", "Testing": "c"}, "fallbacks": ["a"]},
        ],
        "default": {"primary": "c"},
    }));
    let known = house.known();
    assert_eq!(known.keys().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "c"]);
    let a = &known["a"];
    assert_eq!(
        (a.catalogued, a.provider.as_deref(), a.tier.as_deref(), a.context),
        (true, Some("acme"), Some("strong"), Some(200_000))
    );
    assert_eq!(a.named_by[0].when, "a requirement says \"code\" and its type is Testing");
    let told = |name: &str| -> Vec<_> {
        let by = known[name].named_by.iter();
        by.map(|by| (&*by.rule, by.role, by.task_types.join(" "), by.fallbacks.join(" "))).collect()
    };
    let none = String::new;
    assert_eq!(
        told("a"),
        [("rule 1", ModelRole::Primary, none(), "b c".into()), ("rule 2", ModelRole::Fallback, none(), none())]
    );
    assert_eq!(
        told("b"),
        [("rule 1", ModelRole::Fallback, none(), "c".into()), ("rule 2", ModelRole::Primary, none(), "a".into())]
    );
    assert_eq!(
        told("c"),
        [
            ("rule 1", ModelRole::Fallback, none(), none()),
            ("rule 2", ModelRole::Specialised, "Review Testing".into(), "a".into()),
            ("default", ModelRole::Primary, none(), none()),
        ]
    );
    let shipped = Catalogue::shipped().known();
    assert!(shipped.values().all(|model| model.named_by.iter().all(|by| by.advice && by.rule.starts_with("shipped rule"))));
    let wrong: Catalogue = serde_json::from_value(json!({"catalogue": {"a": {"provider": "two words"}}})).unwrap();
    assert_eq!(wrong.problems()[0].field, "catalogue.a.provider");
}
