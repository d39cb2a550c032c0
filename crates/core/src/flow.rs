//! What may be handed out now: holds that keep work back until a person lifts them, and limits on how much is done at once or begun in
//! a time. Both are facts of a namespace, or of everything; here is what they say about a task, and nothing about who waits where.

use crate::id::{AgentId, HoldId};
use crate::namespace::NamespaceEvent;
use crate::planted::{self, Fault};
use crate::time::{Time, WireDuration, WireTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

mod wish;

pub use wish::{HoldView, LimitView, NewHold, NewLimit, NewRelease, Rate};

/// The stream of what is said about every namespace. No namespace can be named so.
pub const EVERYWHERE: &str = "*";
/// How many holds may stand at once.
pub const HOLDS_MAX: usize = 1_000;
/// How many exceptions one hold may have.
pub const RELEASES_MAX: usize = 100;
/// How many limits there may be: each is asked for every piece of work that is handed out.
pub const LIMITS_MAX: usize = 200;
/// The highest number of a limit.
pub const MAX_MAX: u32 = 1_000_000;
/// The highest number of a limit on a rate: so many instants are remembered for each of its keys.
pub const RATE_MAX: u32 = 100_000;
/// The longest time a rate may speak of, in milliseconds: so much of the log is read again after a restart.
pub const WINDOW_MAX: u64 = 24 * 3_600_000;
/// What a key may be taken from, beside the payload.
const KEYS: [&str; 5] = ["namespace", "task_type", "owner_id", "source", "subject_ref_id"];

/// What a hold is about. Everything where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Scope {
    /// Only what belongs there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Box<str>>,
    /// Only tasks of this type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_type: Option<Box<str>>,
    /// Only what this agent does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
}

impl Scope {
    /// Whether every task there is belongs to it.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a task belongs to it, whoever does its work.
    pub fn covers(&self, namespace: &str, task_type: &str) -> bool {
        self.agent.is_none() && matches(&self.namespace, namespace) && matches(&self.task_type, task_type)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_everything() {
            return f.write_str("everything");
        }
        let mut parts = Vec::new();
        parts.extend(self.task_type.as_ref().map(|name| format!("type {name}")));
        parts.extend(self.agent.as_ref().map(|id| format!("agent {id}")));
        parts.extend(self.namespace.as_ref().map(|name| format!("namespace {name}")));
        f.write_str(&parts.join(" in "))
    }
}

fn matches(wanted: &Option<Box<str>>, is: &str) -> bool {
    wanted.as_deref().is_none_or(|wanted| wanted == is)
}

/// What becomes of attempts that run when a hold is placed over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Running {
    /// Their holders are told to stop with their next sign of life, and may not act on the outside any more.
    #[default]
    Stop,
    /// They go on to their end, outside effects included.
    Finish,
}

/// A hold that was placed: a fact of its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Hold {
    /// Which one.
    pub id: HoldId,
    /// What it is about.
    #[serde(default)]
    pub scope: Scope,
    /// What becomes of attempts that run.
    #[serde(default)]
    pub running: Running,
    /// Why, for people.
    #[serde(default)]
    pub reason: Box<str>,
}

impl Hold {
    /// The stream its events are in.
    pub fn stream(&self) -> &str {
        self.scope.namespace.as_deref().unwrap_or(EVERYWHERE)
    }
}

/// An exception from a hold: what goes on although it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Release {
    /// From which hold.
    pub id: HoldId,
    /// Only tasks of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Box<str>>,
    /// Only tasks of this type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_type: Option<Box<str>>,
    /// How many pieces of work may begin, in which time; any number where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "10/1m"))]
    pub rate: Option<Rate>,
}

/// A limit: at most so many pieces of work at once, or begun in a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Limit {
    /// By which it is changed and removed.
    pub name: Box<str>,
    /// Only tasks of this namespace; of all together where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Box<str>>,
    /// Only tasks of this type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_type: Option<Box<str>>,
    /// How many pieces of work.
    pub max: u32,
    /// Where it is given: how many may begin in any span of so many milliseconds. Else: how many may be in the hands of agents at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<u64>,
    /// What each value of has a count of its own: `payload.customer_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Box<str>>,
}

impl Limit {
    /// The stream its events are in.
    pub fn stream(&self) -> &str {
        self.namespace.as_deref().unwrap_or(EVERYWHERE)
    }

    fn covers(&self, namespace: &str, task_type: &str) -> bool {
        matches(&self.namespace, namespace) && matches(&self.task_type, task_type)
    }
}

/// What a piece of work is counted under: a limit or a release with a rate, and a digest of its key where each value has a count of its
/// own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Place {
    /// `namespace/name` of a limit, `hold_…#n` of a release.
    pub limit: Box<str>,
    /// A digest of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
}

/// How much may be counted under a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How many pieces of work.
    pub max: u32,
    /// Begun in so many milliseconds; else at once.
    pub window_ms: Option<u64>,
}

/// A hold that stands, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The hold.
    pub hold: Hold,
    /// Since when.
    pub since: Time,
    /// Who placed it, as in events.
    pub by: Box<str>,
    /// Its exceptions, in order.
    pub releases: Vec<Release>,
}

/// A limit as it is set, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// The limit.
    pub limit: Limit,
    /// Since when.
    pub since: Time,
    /// Who set it, as in events.
    pub by: Box<str>,
}

/// What holds and limits say about a piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pass<'a> {
    /// A hold is over it.
    Held(&'a Standing),
    /// It may be handed out where there is room in all of these.
    Through(Vec<Place>),
    /// The task itself has to be looked at for a key.
    Unread,
}

/// Reads a key from a task, by its path.
pub type ReadKey<'a> = &'a dyn Fn(&str) -> Option<String>;

/// All holds and limits that stand: the fold of the events about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    holds: BTreeMap<HoldId, Standing>,
    /// By `namespace/name`.
    limits: BTreeMap<Box<str>, Set>,
}

impl Facts {
    /// Takes in what has happened in a namespace. Answers whether it was about holds or limits.
    pub fn evolve(&mut self, event: &NamespaceEvent, at: Time, by: &str) -> bool {
        match event {
            NamespaceEvent::HoldPlaced(hold) => {
                let standing = Standing { hold: (**hold).clone(), since: at, by: by.into(), releases: Vec::new() };
                self.holds.entry(hold.id).or_insert(standing);
            }
            NamespaceEvent::HoldReleased(release) => {
                if let Some(standing) = self.holds.get_mut(&release.id) {
                    standing.releases.push((**release).clone());
                }
            }
            NamespaceEvent::HoldLifted { id } => drop(self.holds.remove(id)),
            NamespaceEvent::LimitSet(limit) => {
                let set = Set { limit: (**limit).clone(), since: at, by: by.into() };
                self.limits.insert(limit_id(limit.namespace.as_deref(), &limit.name), set);
            }
            NamespaceEvent::LimitRemoved { namespace, name } => {
                self.limits.remove(&limit_id(namespace.as_deref(), name));
            }
            NamespaceEvent::BreakerOpened { .. }
            | NamespaceEvent::BreakerHalfOpened { .. }
            | NamespaceEvent::BreakerClosed { .. }
            | NamespaceEvent::SubmissionRefused { .. }
            | NamespaceEvent::KeyCreated(_)
            | NamespaceEvent::KeyRevoked { .. } => {
                return false;
            }
        }
        true
    }

    /// Whether nothing stands.
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty() && self.limits.is_empty()
    }

    /// Every hold that stands, the oldest first.
    pub fn holds(&self) -> impl Iterator<Item = &Standing> {
        self.holds.values()
    }

    /// One of them.
    pub fn hold(&self, id: HoldId) -> Option<&Standing> {
        self.holds.get(&id)
    }

    /// Every limit, by namespace and name.
    pub fn limits(&self) -> impl Iterator<Item = &Set> {
        self.limits.values()
    }

    /// One of them.
    pub fn limit(&self, namespace: Option<&str>, name: &str) -> Option<&Set> {
        self.limits.get(&limit_id(namespace, name))
    }

    /// What stands in the way of work of a task. `key` reads a key from it; without, limits by key cannot be told.
    pub fn pass(&self, namespace: &str, task_type: &str, key: Option<ReadKey<'_>>) -> Pass<'_> {
        let mut over = self.holds.values().filter(|s| s.hold.scope.covers(namespace, task_type));
        let held = over.find(|s| s.release_for(namespace, task_type).is_none());
        match (held.filter(|_| !planted::is(Fault::HoldIgnored)), key) {
            (Some(standing), _) => Pass::Held(standing),
            (None, Some(key)) => Pass::Through(self.places(namespace, task_type, key)),
            (None, None) if self.covering(namespace, task_type).any(|(_, limit)| limit.by.is_some()) => Pass::Unread,
            (None, None) => Pass::Through(self.places(namespace, task_type, &|_| None)),
        }
    }

    /// What work of a task is counted under, whether or not it may be handed out now.
    pub fn places(&self, namespace: &str, task_type: &str, key: ReadKey<'_>) -> Vec<Place> {
        let over = self.holds.values().filter(|s| s.hold.scope.covers(namespace, task_type));
        let released = over.filter_map(|standing| {
            let (n, release) = standing.release_for(namespace, task_type)?;
            release.rate.map(|_| Place { limit: format!("{}#{n}", standing.hold.id).into(), key: None })
        });
        let limited = self.covering(namespace, task_type).map(|(id, limit)| {
            let key = limit.by.as_ref().map(|by| digest(id, key(by).as_deref().unwrap_or_default()));
            Place { limit: id.clone(), key }
        });
        released.chain(limited).collect()
    }

    fn covering(&self, namespace: &str, task_type: &str) -> impl Iterator<Item = (&Box<str>, &Limit)> {
        let all = self.limits.iter().map(|(id, set)| (id, &set.limit));
        all.filter(move |(_, limit)| limit.covers(namespace, task_type))
    }

    /// The hold over what an agent does.
    pub fn over_agent(&self, agent: AgentId) -> Option<&Standing> {
        self.holds.values().find(|s| s.hold.scope.agent == Some(agent))
    }

    /// The hold that tells whoever works on such a task to stop, and forbids them to act on the outside.
    pub fn stops(&self, namespace: &str, task_type: &str, agent: Option<AgentId>) -> Option<&Standing> {
        self.holds.values().filter(|s| s.hold.running == Running::Stop).find(|s| match s.hold.scope.agent {
            Some(held) => agent == Some(held),
            None => s.hold.scope.covers(namespace, task_type) && s.release_for(namespace, task_type).is_none(),
        })
    }

    /// How much may be counted under a place; `None` where what it was counted for stands no longer. Under a hold itself: nothing.
    pub fn rule(&self, place: &Place) -> Option<Rule> {
        if let Some(set) = self.limits.get(&place.limit) {
            return Some(Rule { max: set.limit.max, window_ms: set.limit.window_ms });
        }
        let (hold, n) = place.limit.split_once('#').map_or((&*place.limit, None), |(hold, n)| (hold, Some(n)));
        let standing = self.holds.get(&hold.parse().ok()?)?;
        match n {
            None => Some(Rule { max: 0, window_ms: None }),
            Some(n) => {
                let rate = standing.releases.get(n.parse::<usize>().ok()?)?.rate?;
                Some(Rule { max: rate.count, window_ms: Some(rate.window_ms) })
            }
        }
    }

    /// The longest span of time a limit or release speaks of, in milliseconds; 0 where none does.
    pub fn longest_window(&self) -> u64 {
        let limits = self.limits.values().filter_map(|set| set.limit.window_ms);
        let releases = self.holds.values().flat_map(|s| &s.releases).filter_map(|r| r.rate).map(|rate| rate.window_ms);
        limits.chain(releases).max().unwrap_or(0)
    }
}

impl Standing {
    /// The place that stands for all it keeps back.
    pub fn place(&self) -> Place {
        Place { limit: self.hold.id.to_string().into(), key: None }
    }

    /// The exception a task goes by, and its number: one without a rate before those with one.
    fn release_for(&self, namespace: &str, task_type: &str) -> Option<(usize, &Release)> {
        let mut fit = self
            .releases
            .iter()
            .enumerate()
            .filter(|(_, r)| matches(&r.namespace, namespace) && matches(&r.task_type, task_type));
        let first = fit.next()?;
        if first.1.rate.is_none() {
            return Some(first);
        }
        Some(fit.find(|(_, r)| r.rate.is_none()).unwrap_or(first))
    }

    /// As outsiders see it.
    pub fn view(&self) -> HoldView {
        HoldView {
            id: self.hold.id,
            scope: self.hold.scope.clone(),
            running: self.hold.running,
            reason: self.hold.reason.to_string(),
            since: WireTime(self.since),
            by: who(&self.by),
            releases: self.releases.clone(),
        }
    }
}

impl Set {
    /// As outsiders see it.
    pub fn view(&self) -> LimitView {
        LimitView {
            limit: NewLimit {
                namespace: self.limit.namespace.as_deref().map(str::to_owned),
                task_type: self.limit.task_type.as_deref().map(str::to_owned),
                max: self.limit.max,
                per: self.limit.window_ms.map(|ms| WireDuration { ms }),
                by: self.limit.by.as_deref().map(str::to_owned),
            },
            name: self.limit.name.to_string(),
            since: WireTime(self.since),
            set_by: who(&self.by),
            counted: 0,
            full: 0,
        }
    }
}

/// The name of an actor as events keep it.
fn who(by: &str) -> String {
    by.split_once('/').map_or(by, |(_, name)| name).to_owned()
}

/// What a limit is known by among all.
pub fn limit_id(namespace: Option<&str>, name: &str) -> Box<str> {
    format!("{}/{name}", namespace.unwrap_or(EVERYWHERE)).into()
}

/// A key as events keep it: they tell one from another, and not what was written.
fn digest(limit: &str, key: &str) -> Box<str> {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("{limit}\n{key}"));
    digest[..10].iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> HoldId {
        HoldId::new(1, [n; 10])
    }
    fn facts(events: impl IntoIterator<Item = NamespaceEvent>) -> Facts {
        let mut facts = Facts::default();
        for event in events {
            assert!(facts.evolve(&event, Time(7), "HUMAN/ann"));
        }
        facts
    }
    fn placed(n: u8, scope: Scope) -> NamespaceEvent {
        NamespaceEvent::HoldPlaced(Box::new(Hold { id: id(n), scope, running: Running::Stop, reason: "fire".into() }))
    }
    fn released(n: u8, task_type: Option<&str>, rate: Option<&str>) -> NamespaceEvent {
        let rate = rate.map(|text| text.parse().unwrap());
        NamespaceEvent::HoldReleased(Box::new(Release { id: id(n), namespace: None, task_type: task_type.map(Into::into), rate }))
    }
    fn limit(name: &str, by: Option<&str>) -> NamespaceEvent {
        let wish = NewLimit { namespace: None, task_type: None, max: 2, per: None, by: by.map(Into::into) };
        assert_eq!(wish.problems(name), []);
        NamespaceEvent::LimitSet(Box::new(wish.limit(name)))
    }

    #[test]
    fn a_hold_covers_its_scope_until_it_is_lifted() {
        let scope = Scope { task_type: Some("mail".into()), ..Scope::default() };
        let mut all = facts([placed(1, scope)]);
        assert!(matches!(all.pass("default", "mail", None), Pass::Held(_)));
        assert_eq!(all.pass("default", "other", None), Pass::Through(vec![]));
        assert!(all.stops("default", "mail", None).is_some());
        all.evolve(&NamespaceEvent::HoldLifted { id: id(1) }, Time(8), "HUMAN/ann");
        assert!(all.is_empty());
    }

    #[test]
    fn a_hold_on_an_agent_leaves_tasks_alone() {
        let agent = AgentId::new(1, [9; 10]);
        let all = facts([placed(1, Scope { agent: Some(agent), ..Scope::default() })]);
        assert_eq!(all.pass("default", "mail", None), Pass::Through(vec![]));
        assert!(all.over_agent(agent).is_some() && all.stops("default", "mail", Some(agent)).is_some());
        assert!(all.stops("default", "mail", Some(AgentId::new(1, [8; 10]))).is_none());
    }

    #[test]
    fn what_is_released_goes_on_at_its_rate_and_freely_where_one_release_says_so() {
        let all = facts([placed(1, Scope::default()), released(1, None, Some("10/min")), released(1, Some("mail"), None)]);
        assert_eq!(all.pass("default", "mail", None), Pass::Through(vec![]));
        let Pass::Through(places) = all.pass("default", "other", None) else { panic!("it is released") };
        assert_eq!(all.rule(&places[0]), Some(Rule { max: 10, window_ms: Some(60_000) }));
        assert!(all.stops("default", "other", None).is_none());
    }

    #[test]
    fn each_value_of_a_key_has_a_place_of_its_own() {
        let all = facts([limit("each", Some("payload.customer"))]);
        assert_eq!(all.pass("default", "mail", None), Pass::Unread);
        let place = |customer: &str| match all.pass("default", "mail", Some(&|_: &str| Some(customer.to_owned()))) {
            Pass::Through(places) => places,
            other => panic!("{other:?}"),
        };
        assert_eq!(place("a"), place("a"));
        assert_ne!(place("a"), place("b"));
        assert_eq!(all.rule(&place("a")[0]), Some(Rule { max: 2, window_ms: None }));
    }
}
