//! The report of what a task would do, from a dry run that was really run, and that nothing of it could act.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use ephor_core::agent::Registration;
use ephor_core::command::{Approve, Changes, Command};
use ephor_core::constitution::{Law, Point, Ruling};
use ephor_core::event::{Actor, OverrideWord, TextChanges};
use ephor_core::id::{AgentId, ClaimId, EffectId, TaskId};
use ephor_core::impact::{ApprovalKind, DurationSource, Impact};
use ephor_core::policy::Policy;
use ephor_core::spec::{ErrorClass, ExecutionMode, Request};
use ephor_core::status::Status;
use ephor_core::work::{
    ClaimRequest, EffectOutcome, EffectRequest, Failure, Outcome, Report, Success, WorkItem, WorkKey, args_digest,
};
use ephor_engine::query::{self, AsOf};
use ephor_engine::{Engine, Settings};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const LAW: &str = r#"
constitution: A house
articles:
  - id: money
    title: Money
    rules:
      - {at: [plan], when: 'plan.does(["pay"])', verdict: WARN, message: this plan pays}
      - {at: [action], when: 'action.name == "pay" && action.params.amount > 100', verdict: ESCALATE, message: much money moves, risk: HIGH}
      - {at: [result], when: 'action.name == "find" && size(result.output.bills) > 1', verdict: WARN, message: more than one bill}
"#;

fn open(folder: &Path) -> Engine {
    let policy = Policy { law: Some(Arc::new(Law::read(LAW).unwrap())), ..Policy::default() };
    Engine::open(Settings { policy, ..Settings::new(folder.join("ephor.db")) }).unwrap()
}

async fn agent(engine: &Engine, name: &str, able: &[&str]) -> AgentId {
    let capabilities = able.iter().map(|able| (*able).into()).collect();
    let said = Registration { name: name.into(), capabilities, ..Registration::default() };
    engine.register(None, said, Actor::human("test")).await.unwrap()
}

async fn submit(engine: &Engine, request: Value) -> TaskId {
    let request: Request = serde_json::from_value(request).unwrap();
    engine.submit(&request, Actor::human("ann"), None).await.unwrap().task.unwrap()
}

async fn claim(engine: &Engine, agent: AgentId) -> Option<WorkItem> {
    static CLAIMS: AtomicI64 = AtomicI64::new(1);
    let claim_id = ClaimId::new(CLAIMS.fetch_add(1, Ordering::Relaxed), [3; 10]);
    engine.claim(ClaimRequest { agent_id: agent, claim_id, max: 1, wait_ms: 0, start: true }).await.unwrap().pop()
}

async fn report(engine: &Engine, item: &WorkItem, agent: AgentId, outcome: Outcome) {
    let report = Report { task_id: item.task_id, work: item.work.clone(), attempt: item.attempt, outcome };
    engine.report(vec![report], agent).await.unwrap().remove(0).unwrap();
}

fn impact(engine: &Engine, task: TaskId) -> Impact {
    engine.impact(&query::task(&*engine.reader(), task, AsOf::Now).unwrap().unwrap())
}

/// Find the bills, pay the largest, tell somebody by hand.
fn payment(more: Value) -> Value {
    let mut request = json!({
        "title": "Pay <b>the bill</b> | now", "description": "The bill of may is paid.", "resource_limits": {"memory_mb": 512},
        "plan": {"steps": [
            {"id": "find", "title": "Find the bills", "action": "find", "estimate": "2m", "resources": {"memory_mb": 256}},
            {"id": "pay", "action": "pay", "acts": true, "needs": ["find"], "model": "small",
             "params": {"amount": "${steps.find.output.amount}", "to": "shop"}},
            {"id": "tell", "action": "http.request", "needs": ["pay"], "optional": true,
             "params": {"method": "POST", "url": "https://example.org", "body": "paid"}, "gates": [{"kind": "MANUAL_REVIEW", "reviewer": "bea"}]},
        ]},
    });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_a_dry_run_the_report_says_what_is_not_known_and_after_it_what_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let worker = agent(&engine, "worker", &["find", "pay", "http.request"]).await;
    let task = submit(&engine, payment(json!({"execution_mode": "DRY_RUN"}))).await;

    let before = impact(&engine, task);
    assert!(before.task.withholds);
    assert_eq!((before.task.execution_mode, before.task.assumed_mode), (ExecutionMode::DryRun, ExecutionMode::Auto));
    // Steps, in order.
    let order: Vec<_> = before.steps.iter().map(|step| (step.label.as_str(), step.stage)).collect();
    assert_eq!(order, [("Find the bills", 1), ("pay", 2), ("tell", 3)]);
    // Duration: said by the plan for one, known of no other.
    assert_eq!((before.steps[0].expected.unwrap().ms, before.steps[0].expected_by), (120_000, DurationSource::Plan));
    assert_eq!((before.steps[1].expected, before.steps[1].expected_by), (None, DurationSource::Unknown));
    assert_eq!((before.duration.expected, &before.duration.unknown[..]), (None, &["2".to_owned(), "3".into()][..]));
    // Cost: nobody said.
    assert!(before.cost.reported.is_empty() && before.cost.unknown.len() == 3);
    // Resources.
    assert_eq!(before.resources.requirements["memory_mb"].largest, 256);
    assert_eq!(
        (before.resources.limits["memory_mb"].as_u64(), &before.resources.models[..]),
        (Some(512), &["small".to_owned()][..])
    );
    // Verdicts: what depends on the first step is not known.
    let at = |impact: &Impact, at: Point, step: Option<&str>| {
        impact.verdicts.iter().find(|verdict| verdict.at == at && verdict.step.as_deref() == step).unwrap().clone()
    };
    assert_eq!(at(&before, Point::Plan, None).ruling, Some(Ruling::Warn));
    assert_eq!(at(&before, Point::Action, Some("1")).ruling, Some(Ruling::Allow));
    let unknown = at(&before, Point::Action, Some("2"));
    assert_eq!((unknown.ruling, unknown.undecided.as_deref()), (None, Some("a step before it has not been done yet")));
    assert!(at(&before, Point::Result, Some("1")).undecided.is_some());
    // Approvals: one that hangs on what is not known, one that is certain and asked of somebody by name.
    let asked: Vec<_> = before.approvals.iter().map(|one| (one.of, one.step.as_deref(), one.certain)).collect();
    assert_eq!(asked, [(ApprovalKind::Action, Some("2"), false), (ApprovalKind::Result, Some("3"), true)]);
    assert_eq!(before.approvals[1].who, "bea");
    // Effects: two, both withheld; of one the arguments are known.
    assert!(before.effects.iter().all(|effect| effect.withheld));
    assert_eq!(before.effects[0].args_digest, None);
    assert_eq!(before.effects[1].params["url"], "https://example.org");
    let digest = args_digest(&json!({"method": "POST", "url": "https://example.org", "body": "paid"}));
    assert_eq!(before.effects[1].args_digest.as_deref(), Some(&*digest));
    assert_eq!(before.risk.not_undone, ["2"]);

    let item = claim(&engine, worker).await.unwrap();
    let metrics = json!({"cost_usd": 0.25, "speed": 7}).as_object().cloned().unwrap();
    let found = Success { output: json!({"amount": 120, "bills": [1, 2]}), metrics, ..Success::default() };
    report(&engine, &item, worker, Outcome::Succeeded(found)).await;
    let item = claim(&engine, worker).await.unwrap();
    assert!(!item.may_act);
    report(&engine, &item, worker, Outcome::Succeeded(Success { output: json!("a draft"), ..Success::default() })).await;
    let item = claim(&engine, worker).await.unwrap();
    let refused = Failure::final_(ErrorClass::Refused, "http.request was not allowed; would have sent POST https://example.org");
    report(&engine, &item, worker, Outcome::Failed(refused)).await;

    let after = impact(&engine, task);
    assert_eq!(after.task.status, Status::Completed);
    assert!(after.duration.took.is_some() && after.steps[0].took.is_some());
    assert_eq!(after.cost.reported.get("cost_usd"), Some(&0.25));
    assert_eq!(after.cost.unknown, ["2", "3"]);
    let paid = at(&after, Point::Action, Some("2"));
    assert_eq!((paid.ruling, paid.said[0].message.as_ref()), (Some(Ruling::Escalate), "much money moves"));
    assert_eq!(at(&after, Point::Result, Some("1")).ruling, Some(Ruling::Warn));
    assert_eq!(after.risk.level.word(), "HIGH");
    assert!(after.risk.reasons.iter().any(|why| why.contains("money.2")), "{:?}", after.risk.reasons);
    let asked: Vec<_> = after.approvals.iter().map(|one| (one.of, one.step.as_deref(), one.certain)).collect();
    assert_eq!(asked, [(ApprovalKind::Action, Some("2"), true), (ApprovalKind::Result, Some("3"), true)]);
    assert!(after.approvals[0].who.contains("other than whoever submitted it"), "{}", after.approvals[0].who);
    assert_eq!(after.effects[0].params, *json!({"amount": 120, "to": "shop"}).as_object().unwrap());
    assert_eq!(after.effects[0].args_digest.as_deref(), Some(&*args_digest(&json!({"amount": 120, "to": "shop"}))));
    assert!(after.steps[2].error.as_deref().unwrap_or_default().contains("would have sent") || after.steps[2].optional);

    // The page has all of it, and nothing of what others wrote is more than text there.
    let page = after.markdown();
    for part in [
        "# Impact of “Pay &lt;b&gt;the bill&lt;/b&gt; \\| now”",
        "## In short",
        "## Steps, in order",
        "## Duration",
        "## Cost\n\n- cost\\_usd: 0.25",
        "## Resources",
        "## Risk: HIGH",
        "## Verdicts of the constitution",
        "much money moves",
        "## Approvals that would be asked",
        "## Effects withheld",
        "https://example.org",
        "amount: 120",
        "Unknown for these steps: 2, 3.",
    ] {
        assert!(page.contains(part), "{part} is not in:\n{page}");
    }
    assert!(!page.contains("<b>"));
    let again: Impact = serde_json::from_value(serde_json::to_value(&after).unwrap()).unwrap();
    assert_eq!(again, after);
    engine.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_task_that_is_no_dry_run_the_report_says_what_it_will_do_and_history_says_how_long() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let worker = agent(&engine, "worker", &["find"]).await;
    for _ in 0..3 {
        submit(&engine, json!({"title": "x", "action": "find"})).await;
        let item = claim(&engine, worker).await.unwrap();
        report(&engine, &item, worker, Outcome::Succeeded(Success { output: json!({"bills": []}), ..Success::default() })).await;
    }
    let task = submit(&engine, json!({"title": "x", "action": "find", "execution_mode": "STRICT", "final_review": true})).await;
    let told = impact(&engine, task);
    assert!(!told.task.withholds && told.effects.is_empty());
    assert_eq!(told.steps[0].expected_by, DurationSource::History);
    assert_eq!(told.duration.expected, told.steps[0].expected);
    let kinds: Vec<_> = told.approvals.iter().map(|one| one.of).collect();
    assert_eq!(kinds, [ApprovalKind::Admission, ApprovalKind::Result, ApprovalKind::FinalReview]);
    let planless = submit(&engine, json!({"title": "x", "plan_by_agent": true})).await;
    let told = impact(&engine, planless);
    assert!(told.steps.is_empty() && told.task.no_plan.is_some());
    assert!(told.markdown().contains("no plan yet"));
    engine.stop();
}

/// Every way there is to a right to act, tried on a task that has none. None leads to one, and none leaves an effect behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_way_leads_to_an_effect_token_in_a_dry_run_or_a_suggestion() {
    for more in [json!({"execution_mode": "DRY_RUN"}), json!({"autonomy": "SUGGESTION"})] {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path());
        let worker = agent(&engine, "worker", &["pay", "undo.pay"]).await;
        let other = agent(&engine, "other", &["pay"]).await;
        let mut request = json!({"title": "x", "plan": {"steps": [
            {"id": "pay", "action": "pay", "acts": true, "params": {"amount": 500}, "checkpoint": "paid"},
        ]}});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let task = submit(&engine, request).await;
        let mut ways = 0;
        let mut denied = |what: &str, answer: Result<(), String>| {
            ways += 1;
            assert!(answer.is_err(), "{more}: {what} led to a token");
        };
        let item = claim(&engine, worker).await.unwrap();
        assert!(!item.may_act && item.approved_args.is_none());
        let wish = |work: &WorkKey, attempt: u32, action: &str, args: &Value| EffectRequest {
            task_id: task,
            work: work.clone(),
            attempt,
            action: action.into(),
            args_digest: args_digest(args),
        };
        let args = json!({"amount": 500});
        let ask = async |wish: EffectRequest, who: AgentId| engine.effect(wish, who).await.map(drop).map_err(|e| e.to_string());
        let own = wish(&item.work, item.attempt, "pay", &args);
        denied("its own action", ask(own.clone(), worker).await);
        denied("another action", ask(wish(&item.work, item.attempt, "look", &json!({})), worker).await);
        denied("another agent", ask(own.clone(), other).await);
        denied("another attempt", ask(wish(&item.work, item.attempt + 1, "pay", &args), worker).await);
        denied("a gate", ask(wish(&WorkKey::Gate("1".into(), 0), item.attempt, "pay", &args), worker).await);
        denied("a plan", ask(wish(&WorkKey::Plan, item.attempt, "pay", &args), worker).await);
        denied("an analysis", ask(wish(&WorkKey::Analysis, item.attempt, "pay", &args), worker).await);
        denied("what undoes it", ask(wish(&WorkKey::Undo("1".into()), item.attempt, "pay", &args), worker).await);
        let as_person = engine.command(task, Command::Effect(own.clone()), Actor::human("bea")).await;
        denied("a person", as_person.map(drop).map_err(|e| e.to_string()));
        let word = Approve {
            step: "pay".into(),
            approved: true,
            digest: None,
            params: None,
            reason: String::new(),
            findings: Vec::new(),
        };
        let approved = engine.command(task, Command::Approve(Box::new(word)), Actor::human("bea")).await;
        denied("an approval nobody asked for", approved.map(drop).map_err(|e| e.to_string()));
        let guided = Command::Guide { text: "go on and pay".into() };
        engine.command(task, guided, Actor::human("bea")).await.unwrap();
        denied("guidance", ask(own.clone(), worker).await);
        let pause = Command::Pause { reason: String::new(), stop_running: false };
        engine.command(task, pause, Actor::human("bea")).await.unwrap();
        denied("a pause", ask(own.clone(), worker).await);
        engine.command(task, Command::Resume { reason: String::new() }, Actor::human("bea")).await.unwrap();
        denied("after a pause", ask(own.clone(), worker).await);
        // Another mode that acts no more than this one.
        let quiet = Changes {
            mode: Some(if more.get("autonomy").is_some() { ExecutionMode::Strict } else { ExecutionMode::DryRun }),
            text: TextChanges { reason: "still not in earnest".into(), ..TextChanges::default() },
            ..Changes::default()
        };
        engine.command(task, Command::Modify(Box::new(quiet)), Actor::human("bea")).await.unwrap();
        denied("another quiet mode", ask(own.clone(), worker).await);
        let made_up = engine.settle_effect(task, EffectId::new(1, [1; 10]), None, EffectOutcome::Done, Actor::human("bea")).await;
        denied("an effect that was never granted", made_up.map(drop).map_err(|e| e.to_string()));
        let failed = Failure::final_(ErrorClass::Other, "it did not work");
        report(&engine, &item, worker, Outcome::Failed(failed)).await;
        let again = Command::Override { decision: OverrideWord::RetryStep, step: Some("pay".into()), reason: "again".into() };
        let retried = engine.command(task, again, Actor::human("bea")).await;
        if let Some(item) = claim(&engine, worker).await.filter(|_| retried.is_ok()) {
            assert!(!item.may_act);
            denied("a step that was retried by force", ask(wish(&item.work, item.attempt, "pay", &args), worker).await);
        }
        denied("an attempt that is over", ask(own.clone(), worker).await);
        assert!(ways >= 16, "{ways}");
        assert!(query::task(&*engine.reader(), task, AsOf::Now).unwrap().unwrap().effects().is_empty());
        let events = engine.reader().stream_events(task.into(), 0, 1_000).unwrap();
        assert!(events.iter().all(|event| event.kind != "EFFECT_GRANTED"), "{more}");
        engine.stop();
    }
}
