//! Promise 24: every operation, by everybody, on what is theirs and on what is another's. What is expected follows from the table of
//! operations alone, so that a new one is tested without another word.

use super::house::{Answer, House, TOKEN};
use crate::http::auth::{Permission, permissions};
use crate::http::operations::{OPERATIONS, PAGES};
use ephor_core::agent::AgentCommand;
use ephor_core::breaker::{Opened, Turn};
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, TaskId};
use ephor_core::key::Role;
use ephor_core::spec::ErrorClass;
use ephor_core::time::Time;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Somebody who asks.
struct Asker {
    name: String,
    key: Option<String>,
    /// What they may; `None` for whoever shows a key that is worth nothing.
    may: Option<Vec<Permission>>,
    /// The namespace of what is theirs.
    own: &'static str,
    /// Whether they reach the other one.
    everywhere: bool,
    /// Whether they may speak as no other agent than their own.
    bound: bool,
    /// Whether they reach no other tasks than those this agent holds work of; here it holds none.
    alone: bool,
}

/// What every path needs, in each namespace.
struct Things {
    of: HashMap<&'static str, Named>,
}

struct Named {
    task: String,
    agent: String,
    key: String,
}

/// Everybody there is on a server, with keys of every kind.
async fn askers(house: &House, local: bool) -> Vec<Asker> {
    let mut all = Vec::new();
    let anonymous = if local { [Role::Operator, Role::Agent].as_slice() } else { &[] };
    let may = |roles: &[Role]| Some(roles.iter().flat_map(|role| permissions(*role)).copied().collect());
    let open = |name: &str, key: Option<String>, may| Asker {
        name: name.into(),
        key,
        may,
        own: "a",
        everywhere: true,
        bound: false,
        alone: false,
    };
    all.push(open("nobody", None, may(anonymous)));
    all.push(open("the operator", Some(TOKEN.into()), may(&[Role::Admin])));
    all.push(open("a stranger", Some("ephor_key_00".into()), None));
    for role in Role::ALL {
        let key = house.key(json!({"name": format!("{role:?}"), "roles": [role]})).await;
        all.push(open(&format!("{role:?} everywhere"), Some(key), may(&[role])));
        let key = house.key(json!({"name": format!("{role:?}-a"), "roles": [role], "namespace": "a"})).await;
        let scoped = open(&format!("{role:?} of a"), Some(key), may(&[role]));
        all.push(Asker { everywhere: false, ..scoped });
        let wish = json!({"name": format!("{role:?}-agent"), "roles": [role], "namespace": "a", "agent": "worker-a"});
        let key = house.key(wish).await;
        let bound = open(&format!("{role:?}, bound to an agent"), Some(key), may(&[role]));
        all.push(Asker { everywhere: false, bound: true, alone: role == Role::Agent, ..bound });
    }
    let expired = house.key(json!({"name": "expired", "roles": ["admin"], "expires_in": "1ms"})).await;
    let begun = house.server.engine().now();
    while house.server.engine().now().since(begun) < 2 {
        tokio::task::yield_now().await;
    }
    all.push(open("an expired key", Some(expired), None));
    let revoked = house.ask("POST", "/api/v1/keys", Some(TOKEN), Some(json!({"name": "revoked", "roles": ["admin"]}))).await;
    let path = format!("/api/v1/keys/{}", revoked.json["id"].as_str().unwrap());
    assert_eq!(house.ask("DELETE", &path, Some(TOKEN), None).await.status, 200);
    all.push(open("a revoked key", revoked.json["key"].as_str().map(str::to_owned), None));
    all
}

async fn things(house: &House) -> Things {
    let mut of = HashMap::new();
    for namespace in ["a", "b"] {
        let agent = house.agent(&format!("worker-{namespace}"), Some(namespace)).await;
        let wish = json!({"name": format!("some-{namespace}"), "roles": ["viewer"], "namespace": namespace});
        let key = house.ask("POST", "/api/v1/keys", Some(TOKEN), Some(wish)).await.json["id"].as_str().unwrap().to_owned();
        of.insert(namespace, Named { task: house.task(namespace).await, agent, key });
    }
    Things { of }
}

impl Named {
    /// A path with its places filled in, and a query that waits for nothing.
    fn path(&self, path: &str) -> String {
        let noun = path.trim_start_matches("/api/v1/").trim_start_matches("/api/").split('/').next();
        let id = match noun {
            Some("agents") => &self.agent,
            Some("keys") => &self.key,
            _ => &self.task,
        };
        let filled = path.replace("{id}", id).replace("{wid}", &format!("{}:step:1", self.task)).replace("{*rest}", "index.css");
        let parts = filled.split('/').map(|part| if part.starts_with('{') { "none" } else { part });
        let filled = parts.collect::<Vec<_>>().join("/");
        match filled.starts_with("/api/v1/payloads") {
            true => format!("{filled}?task_id={}", self.task),
            false => filled,
        }
    }
}

/// Whether a path names something that belongs to a namespace.
fn names_something(path: &str) -> bool {
    path.contains("/tasks/{id}")
        || path.contains("/v1/payloads")
        || path.contains("/executions/{id}")
        || path.contains("{wid}")
        || path.contains("/agents/{id}")
        || path.contains("/keys/{id}")
}

/// Whether it was refused for what it needs. That a rule leaves something to people alone is another matter.
fn refused_at_the_door(answer: &Answer) -> bool {
    let why = answer.json["error"].as_str().unwrap_or_default();
    match answer.json["code"].as_str() {
        Some("UNAUTHENTICATED") => true,
        Some("FORBIDDEN") => why.contains("it needs"),
        _ => false,
    }
}

async fn holds(local: bool) {
    let house = House::new(local);
    let things = things(&house).await;
    let askers = askers(&house, local).await;
    let mut asked = 0;
    for asker in &askers {
        for (method, path, needed) in OPERATIONS {
            for namespace in ["a", "b"] {
                if *path == "/login" || (*method == "DELETE" && asker.may.as_ref().is_some_and(|may| may.contains(needed))) {
                    // One takes a code, the other would take away what the next one asks about.
                    continue;
                }
                let takes_all = path.ends_with("/revoke") || path.ends_with("/drain");
                if takes_all
                    && asker.may.as_ref().is_some_and(|may| may.contains(needed))
                    && (asker.everywhere || namespace == "a")
                {
                    continue;
                }
                let body = matches!(*method, "POST" | "PUT" | "PATCH").then(|| match path.ends_with("/claim") {
                    true => json!({"wait": "0s", "max": 0}),
                    false => json!({}),
                });
                let answer = house.ask(method, &things.of[namespace].path(path), asker.key.as_deref(), body).await;
                let told = format!("{} {method} {path} in {namespace}: {} {}", asker.name, answer.status, answer.json);
                let Some(may) = &asker.may else {
                    // A key that is worth nothing is refused wherever it is shown.
                    assert_eq!(answer.status, 401, "{told}");
                    continue;
                };
                if !may.contains(needed) && *needed != Permission::Open {
                    let wanted = if asker.key.is_some() { 403 } else { 401 };
                    assert_eq!(answer.status, wanted, "{told}");
                } else if namespace != asker.own && !asker.everywhere && names_something(path) {
                    assert!(matches!(answer.status.as_u16(), 403 | 404), "{told}");
                } else {
                    assert!(!refused_at_the_door(&answer), "{told}");
                    assert!(
                        answer.status != 404
                            || path.contains("{eid}")
                            || path.contains("{payload}")
                            || path.matches('{').count() > 1
                            || (asker.alone && !path.contains("/agents/{id}"))
                            || !names_something(path),
                        "{told}"
                    );
                }
                assert!(!answer.status.is_server_error() || answer.status == 503, "{told}");
                asked += 1;
            }
        }
        for page in PAGES {
            let answer = house.ask("GET", &things.of["a"].path(page), asker.key.as_deref(), None).await;
            let looks = asker.may.as_ref().is_some_and(|may| may.contains(&Permission::Read));
            assert_eq!(answer.status != 401, looks, "{} {page}: {}", asker.name, answer.status);
        }
        assert!(!asker.bound || asker.own == "a");
    }
    assert!(asked > 500, "only {asked} were asked");
}

#[tokio::test]
async fn nobody_reaches_what_is_not_theirs_on_this_machine() {
    holds(true).await;
}

#[tokio::test]
async fn nobody_reaches_what_is_not_theirs_from_elsewhere() {
    holds(false).await;
}

/// What gives away that something in a namespace is there: its tasks, agents, keys, holds, limits and breakers.
async fn marks(house: &House, namespace: &str, agent: &str, task: String, key: Option<String>) -> Vec<String> {
    let (hold, limit) = (format!("held-{agent}"), format!("limit-{agent}"));
    let wish = json!({"namespace": namespace, "agent": agent, "reason": hold});
    assert_eq!(house.ask("POST", "/api/v1/holds", Some(TOKEN), Some(wish)).await.status, 201);
    let id: AgentId = house.server.engine().agent_named(agent).unwrap();
    let opened = Opened { until: Time(i64::MAX / 2), failures: 5, class: ErrorClass::Timeout };
    let turn = AgentCommand::Breaker(Turn::Open(opened));
    house.server.engine().agent(id, turn, Actor::human("test")).await.unwrap();
    let wish = json!({"namespace": namespace, "max": 5});
    let set = house.ask("PUT", &format!("/api/v1/limits/{limit}"), Some(TOKEN), Some(wish)).await;
    assert_eq!(set.status, 200, "{}", set.json);
    [task, id.to_string(), hold].into_iter().chain(key).chain((namespace == "b").then_some(limit)).collect()
}

#[tokio::test]
async fn lists_show_nothing_of_anothers() {
    let house = House::new(false);
    let things = things(&house).await;
    let askers = askers(&house, false).await;
    house.agent("beside-a", Some("a")).await;
    let theirs = &things.of["b"];
    let elsewhere = marks(&house, "b", "worker-b", theirs.task.clone(), Some(theirs.key.clone())).await;
    let beside = marks(&house, "a", "beside-a", things.of["a"].task.clone(), None).await;
    let lists = OPERATIONS.iter().filter(|(method, path, _)| *method == "GET" && !path.contains('{') && *path != "/login");
    let lists: Vec<&str> = lists.map(|(_, path, _)| *path).collect();
    assert!(lists.contains(&"/api/executions") && lists.contains(&"/api/v1/tasks") && lists.len() > 10, "{lists:?}");
    let mut told = String::new();
    for path in &lists {
        told += &house.ask("GET", path, Some(TOKEN), None).await.json.to_string();
    }
    for mark in elsewhere.iter().chain(&beside) {
        assert!(told.contains(mark.as_str()), "no list shows {mark}, so this test says nothing about it");
    }
    let mut asked = 0;
    for asker in askers.iter().filter(|asker| !asker.everywhere) {
        let hidden: Vec<&String> = elsewhere.iter().chain(beside.iter().filter(|_| asker.alone)).collect();
        for path in &lists {
            for query in ["", "?namespace=b", "?limit=100"] {
                let answer = house.ask("GET", &format!("{path}{query}"), asker.key.as_deref(), None).await;
                let told = answer.json.to_string();
                let seen: Vec<_> = hidden.iter().filter(|mark| told.contains(mark.as_str())).collect();
                assert!(seen.is_empty(), "{} sees {seen:?} at {path}{query}: {told}", asker.name);
                asked += 1;
            }
        }
    }
    assert!(asked > 300, "only {asked} were asked");
}

/// A task is reached by its names as it is by its id: one's own, and no other's of the same name.
#[tokio::test]
async fn nobody_reaches_by_a_name_what_is_not_theirs() {
    let house = House::new(false);
    house.agent("worker-a", Some("a")).await;
    let askers = askers(&house, false).await;
    let mut ids = HashMap::new();
    for namespace in ["b", "a"] {
        for name in ["SAME".to_owned(), format!("ONLY-{namespace}")] {
            let made = json!({"title": "one", "action": "work", "namespace": namespace, "external_id": name});
            let made = house.ask("POST", "/api/v1/tasks", Some(TOKEN), Some(made)).await;
            ids.insert((namespace, name), made.json["id"].as_str().unwrap().to_owned());
        }
    }
    let id = |namespace, name: &str| ids[&(namespace, name.to_owned())].as_str();
    let beginning = |id: &str| id[..id.len() - 1].to_owned();
    let own = ["SAME".to_owned(), "@last".into(), beginning(id("a", "SAME"))];
    let foreign = ["ONLY-b".to_owned(), id("b", "SAME").to_owned(), beginning(id("b", "ONLY-b"))];
    let mut asked = 0;
    for asker in askers.iter().filter(|asker| !asker.everywhere) {
        let may = asker.may.as_ref().expect("keys of a namespace are good ones");
        let reached = |(method, path, needed): &&(&str, &str, Permission)| {
            *method != "DELETE" && may.contains(needed) && (path.contains("/tasks/{id}") || path.contains("/executions/{id}"))
        };
        for (method, path, _) in OPERATIONS.iter().filter(reached) {
            for (name, mine) in own.iter().map(|name| (name, true)).chain(foreign.iter().map(|name| (name, false))) {
                let parts = path.replace("{id}", name);
                let filled = parts.split('/').map(|part| if part.starts_with('{') { "none" } else { part });
                let filled = filled.collect::<Vec<_>>().join("/");
                let body = matches!(*method, "POST" | "PUT" | "PATCH").then(|| json!({}));
                let answer = house.ask(method, &filled, asker.key.as_deref(), body).await;
                let told = format!("{} {method} {filled}: {} {}", asker.name, answer.status, answer.json);
                if !mine {
                    assert_eq!(answer.status, 404, "{told}");
                } else if !asker.alone {
                    assert!(answer.status != 404 || path.matches('{').count() > 1, "{told}");
                    assert!(!refused_at_the_door(&answer), "{told}");
                    assert!(answer.json["detail"].as_str().is_none_or(|why| !why.contains("more than one")), "{told}");
                }
                assert!(!told.contains(id("b", "SAME")) || filled.contains(id("b", "SAME")), "{told}");
                asked += 1;
            }
        }
    }
    assert!(asked > 500, "only {asked} were asked");
}

#[tokio::test]
async fn a_key_of_an_agent_speaks_as_no_other() {
    let house = House::new(false);
    let (own, other) = (house.agent("own", Some("a")).await, house.agent("other", Some("a")).await);
    let key = house.key(json!({"name": "own", "roles": ["agent", "approver"], "namespace": "a", "agent": own})).await;
    house.task("a").await;
    for (method, path, body) in [
        ("GET", "work", None),
        ("POST", "work/claim", Some(json!({"wait": "0s"}))),
        ("POST", "work/heartbeat", Some(json!({"beats": []}))),
        ("POST", "work/report", Some(json!({"reports": []}))),
    ] {
        let answer = house.ask(method, &format!("/api/v1/agents/{other}/{path}"), Some(&key), body.clone()).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.json);
    }
    let taken = json!({"name": "x", "external_id": "other", "capabilities": ["work"]});
    assert_eq!(house.ask("POST", "/api/v1/agents", Some(&key), Some(taken)).await.status, 403);
    let again = json!({"name": "x", "external_id": "own", "capabilities": ["work"]});
    assert_eq!(house.ask("POST", "/api/v1/agents", Some(&key), Some(again)).await.status, 200);
    // Its key makes it no more than it was: it would be given, and so would see, the tasks of others.
    for (field, more) in [
        ("capabilities", json!({"name": "x", "external_id": "own", "capabilities": ["work", "more"]})),
        ("external_id", json!({"name": "x", "external_id": "renamed", "capabilities": ["work"]})),
        ("slots", json!({"name": "x", "capabilities": ["work"], "slots": 9})),
    ] {
        let answer = house.ask("POST", "/api/v1/agents", Some(&key), Some(more)).await;
        assert_eq!((answer.status.as_u16(), &answer.json["errors"][0]["field"]), (403, &json!(field)), "{}", answer.json);
    }
    let more = json!({"agent_id": "own", "name": "x", "capabilities": ["work", "more"]});
    assert_eq!(house.ask("POST", "/api/agents", Some(&key), Some(more)).await.status, 403);
    let known = house.ask("GET", &format!("/api/v1/agents/{own}"), Some(TOKEN), None).await.json;
    assert_eq!((&known["capabilities"], &known["external_id"]), (&json!(["work"]), &json!("own")));
    let work = house.ask("GET", &format!("/api/v1/agents/{own}/work"), Some(&key), None).await;
    assert_eq!(work.status, 200, "{}", work.json);
    let wid = work.json["id"].as_str().unwrap();
    let said = json!({"agent_id": other, "outcome": {"SUCCEEDED": {}}});
    assert_eq!(house.ask("POST", &format!("/api/v1/work/{wid}/report"), Some(&key), Some(said)).await.status, 403);
    let me = house.ask("GET", "/api/v1/me", Some(&key), None).await.json;
    assert_eq!((me["kind"].as_str(), me["name"].as_str(), me["agent"].as_str()), (Some("AI"), Some(&*own), Some(&*own)));
}

#[tokio::test]
async fn who_belongs_to_a_namespace_brings_nothing_into_another() {
    let house = House::new(false);
    let key = house.key(json!({"name": "a", "roles": ["admin"], "namespace": "a"})).await;
    let elsewhere = [
        ("/api/v1/agents", json!({"name": "x", "capabilities": ["work"], "namespace": "b"})),
        ("/api/v1/keys", json!({"name": "x", "roles": ["admin"], "namespace": "b"})),
        ("/api/v1/tasks", json!({"title": "x", "namespace": "b"})),
    ];
    for (path, body) in elsewhere {
        let answer = house.ask("POST", path, Some(&key), Some(body)).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.json);
    }
    let made = house.ask("POST", "/api/v1/keys", Some(&key), Some(json!({"name": "x", "roles": ["admin"]}))).await;
    assert_eq!(made.json["namespace"], "a");
    let made = house.ask("POST", "/api/v1/agents", Some(&key), Some(json!({"name": "x", "capabilities": ["work"]}))).await;
    assert_eq!(made.json["namespace"], "a");
    let made = house.ask("POST", "/api/v1/tasks", Some(&key), Some(json!({"title": "x"}))).await;
    assert_eq!(made.status, 201, "{}", made.json);
    let task = house.ask("GET", &format!("/api/v1/tasks/{}", made.json["id"].as_str().unwrap()), Some(&key), None).await;
    assert_eq!(task.json["namespace"], "a");
    // Nor does a task of theirs hang on to one of another's, or hear whether it is there.
    let foreign = json!({"title": "theirs", "namespace": "b"});
    let foreign = house.ask("POST", "/api/v1/tasks", Some(TOKEN), Some(foreign)).await.json["id"].clone();
    let nowhere = json!(TaskId::new(1, [1; 10]));
    let own = made.json["id"].clone();
    for field in ["parent_task_id", "depends_on", "related_task_id", "retry_of"] {
        let request = |id: &Value| match field {
            "depends_on" => json!({"title": "x", field: [id]}),
            _ => json!({"title": "x", field: id}),
        };
        for id in [&foreign, &nowhere] {
            let answer = house.ask("POST", "/api/v1/tasks", Some(&key), Some(request(id))).await;
            assert_eq!(answer.status, 404, "{}", answer.json);
            assert_eq!(answer.json["errors"][0]["field"], field, "{}", answer.json);
            // By whatever way the request comes in.
            let mut plan = request(id);
            plan["steps"] = json!([{"action": "work"}]);
            let execution = json!({"plan_id": "p", "plan": plan});
            let answer = house.ask("POST", "/api/executions", Some(&key), Some(execution)).await;
            assert_eq!((answer.status.as_u16(), &answer.json["errors"][0]["field"]), (404, &json!(field)), "{}", answer.json);
        }
        if field != "retry_of" {
            assert_eq!(house.ask("POST", "/api/v1/tasks", Some(&key), Some(request(&own))).await.status, 201, "{field}");
        }
    }
}
