//! Orders to whoever reads the text: a model that is to forget what it was told, or to hide something from people.

use super::scan::{Hit, Hits, Rule, is_one_of, whole_word, words_after, words_before};
use crate::event::CheckResult;

#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// `ignore`, `disregard`, `forget`: what?
    Forget,
    /// `override`, `bypass`: what?
    Bypass,
    /// `you are now`: what?
    YouAre,
    /// `system prompt`: what about it?
    Prompt,
    /// `new instructions:`
    NewOrders,
    /// `without telling`, `do not tell`: whom?
    Secretly,
    /// `approve this`: by whom, and why say so here?
    Approve,
    /// What the templates of models use to tell who speaks.
    Marker,
    /// Words that are said for this purpose alone.
    Whole(&'static str),
}

/// How far behind or before an anchor its object may stand, in bytes.
const NEAR: usize = 90;

const FORGETTING: [&str; 9] = ["ignore", "disregard", "forget", "ignoriere", "vergiss", "ignorez", "oubliez", "ignora", "olvida"];
const ORDERS: [&str; 14] = [
    "instruction",
    "instructions",
    "prompt",
    "prompts",
    "guidelines",
    "directives",
    "directions",
    "orders",
    "rules",
    "constraints",
    "programming",
    "anweisungen",
    "instrucciones",
    "consignes",
];
const EARLIER: [&str; 19] = [
    "previous",
    "prior",
    "above",
    "earlier",
    "preceding",
    "foregoing",
    "your",
    "system",
    "original",
    "initial",
    "vorherigen",
    "bisherigen",
    "obigen",
    "deine",
    "précédentes",
    "anteriores",
    "previas",
    "tus",
    "vos",
];
const GUARDS: [&str; 10] = [
    "governance",
    "guardrails",
    "guardrail",
    "constitution",
    "council",
    "oversight",
    "safeguards",
    "safety",
    "moderation",
    "approvals",
];
const PEOPLE: [&str; 14] = [
    "user",
    "users",
    "operator",
    "operators",
    "human",
    "humans",
    "anyone",
    "anybody",
    "reviewer",
    "reviewers",
    "owner",
    "admin",
    "administrator",
    "council",
];
const BECOMES: [&str; 13] = [
    "dan",
    "unrestricted",
    "jailbroken",
    "unfiltered",
    "uncensored",
    "root",
    "admin",
    "administrator",
    "system",
    "developer",
    "god",
    "evil",
    "superuser",
];
const GIVING_AWAY: [&str; 12] =
    ["reveal", "show", "print", "repeat", "leak", "output", "display", "disclose", "expose", "dump", "recite", "ignore"];

pub(super) fn anchors() -> Vec<(&'static str, Rule)> {
    let order = |kind| move |word: &&'static str| (*word, Rule::Order(kind));
    let mut list: Vec<(&'static str, Rule)> = FORGETTING.iter().map(order(Kind::Forget)).collect();
    list.extend(["override", "bypass", "circumvent", "disable"].iter().map(order(Kind::Bypass)));
    list.extend(["you are now", "you're now", "you are no longer"].iter().map(order(Kind::YouAre)));
    list.extend(["system prompt", "your instructions", "hidden prompt", "initial prompt"].iter().map(order(Kind::Prompt)));
    list.extend(["new instructions", "updated instructions", "real instructions"].iter().map(order(Kind::NewOrders)));
    list.extend(
        ["without telling", "without informing", "do not tell", "don't tell", "never tell", "do not inform", "hide this from"]
            .iter()
            .map(order(Kind::Secretly)),
    );
    list.extend(["approve this", "mark this as approved", "vote approve"].iter().map(order(Kind::Approve)));
    list.extend(
        [
            "<|im_start|>",
            "<|im_end|>",
            "<|system|>",
            "<|assistant|>",
            "<|endoftext|>",
            "<|start_header_id|>",
            "[inst]",
            "<<sys>>",
            "\nsystem:",
            "### system:",
            "[system]:",
            "</system>",
        ]
        .iter()
        .map(order(Kind::Marker)),
    );
    for word in ["do anything now", "jailbreak mode", "developer mode enabled", "ignore everything above", "begin admin override"]
    {
        list.push((word, Rule::Order(Kind::Whole("injection.jailbreak"))));
    }
    list
}

pub(super) fn look(kind: Kind, text: &str, at: usize, end: usize, hits: &mut Hits) {
    let whole = whole_word(text, at, end);
    let after = || words_after(text, end, NEAR).take(7);
    let before = |n: usize| words_before(text, at, NEAR).rev().take(n);
    let warned_against = || before(2).any(|word| is_one_of(word, &["not", "never", "don't", "nicht", "cannot", "won't"]));
    let rule = match kind {
        Kind::Forget => {
            let object = after().any(|word| is_one_of(word, &ORDERS));
            let earlier = after().any(|word| is_one_of(word, &EARLIER));
            let all = after().take(3).any(|word| is_one_of(word, &["instructions", "guidelines"]))
                && after().next().is_some_and(|word| is_one_of(word, &["all", "alle"]));
            let told = after().take(6).any(|word| is_one_of(word, &["told", "learned", "said"]))
                && after().next().is_some_and(|word| is_one_of(word, &["everything", "what", "all"]))
                && after().any(|word| word.eq_ignore_ascii_case("you"));
            (whole && ((object && earlier) || all || told) && !warned_against()).then_some("injection.ignore_instructions")
        }
        Kind::Bypass => {
            let object = after().take(4).any(|word| is_one_of(word, &GUARDS));
            (whole && object && !warned_against()).then_some("injection.bypass_governance")
        }
        Kind::YouAre => {
            let becomes = after().take(5).any(|word| is_one_of(word, &BECOMES));
            let free = after().take(4).any(|word| is_one_of(word, &["bound", "restricted", "limited"]))
                && text[at..end].ends_with("longer");
            (becomes || free).then_some("injection.new_role")
        }
        Kind::Prompt => {
            let gives = before(4).any(|word| is_one_of(word, &GIVING_AWAY));
            let yours =
                before(3).any(|word| is_one_of(word, &["your", "me", "us", "full"])) || text[at..end].starts_with(['y', 'Y']);
            (gives && yours && !warned_against()).then_some("injection.reveal_prompt")
        }
        Kind::NewOrders => text[end..].trim_start().starts_with(':').then_some("injection.new_instructions"),
        Kind::Secretly => after().take(4).any(|word| is_one_of(word, &PEOPLE)).then_some("injection.secretly"),
        Kind::Approve => {
            let what = after().take(1).any(|word| is_one_of(word, &["task", "plan"]))
                || text[at..end].eq_ignore_ascii_case("vote approve");
            let at_once = after().any(|word| is_one_of(word, &["immediately", "automatically", "without"]))
                || before(4).any(|word| is_one_of(word, &["must", "you", "always"]));
            (what && at_once && !warned_against()).then_some("injection.approve")
        }
        Kind::Marker => Some("injection.role_marker"),
        Kind::Whole(rule) => whole.then_some(rule),
    };
    if let Some(rule) = rule {
        hits.push(Hit::new(rule, CheckResult::RequiresReview, at, end));
    }
}
