//! A request is checked before it becomes a task: what is wrong refuses it, what is odd is recorded, what is risky is reviewed.
//! Pure and without state, so that any number of requests can be checked at once, before the writer's queue.

use crate::budget::BudgetTerms;
use crate::command::{CheckedPlan, Submission};
use crate::event::{CheckResult, Finding, Parent, RequestText, Submitted};
use crate::matching::is_model;
use crate::models::catalogue::Wanted;
use crate::models::choose::{Asked, choose};
use crate::namespace::DEFAULT_NAMESPACE;
use crate::plan::{Plan, Problem, check_retry, is_word};
use crate::policy::{Policy, RETRIES_MAX};
use crate::recurrence;
use crate::spec::{Affinity, ExecutionMode, PlanSpec, RecurrenceKind, Request, Risk};
use crate::time::TIME_MIN_MS;
use crate::time::Time;
use crate::validation::{self, Surroundings};
use serde_json::Value;
use std::sync::Arc;

/// The longest title, in characters; longer ones are cut, not refused.
pub const TITLE_MAX: usize = 200;
/// The longest description, in bytes.
const DESCRIPTION_MAX: usize = 64 * 1024;
/// The largest payload, in bytes of JSON.
const PAYLOAD_MAX: usize = 1024 * 1024;
/// The most entries of any list of words.
const LIST_MAX: usize = 1_000;
/// The most tasks one may depend on.
pub const DEPENDS_MAX: usize = 1_000;

/// Checks a request of which nobody knows where it will be carried out: its words alone.
///
/// # Errors
/// As [`check_in`].
pub fn check(request: &Request, now: Time, policy: &Policy) -> Result<Submission, Vec<Problem>> {
    check_in(request, now, policy, &validation::Unknown)
}

/// Checks a request that comes to this house.
///
/// # Errors
/// Every problem found, each with its field and what is allowed. Where all fields are in order, what validation refuses.
pub fn check_in(request: &Request, now: Time, policy: &Policy, house: &dyn Surroundings) -> Result<Submission, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut wrong = |field: &str, message: String| problems.push(Problem::new(field, message));

    let description = request.description.clone().unwrap_or_default();
    let title = title_of(request, &description);
    if title.is_empty() {
        wrong("description", "say what is to be done: `description` or `title` must hold some text".into());
    }
    if description.len() > DESCRIPTION_MAX {
        wrong(
            "description",
            format!("has {} bytes; allowed are {DESCRIPTION_MAX}. Put the rest into `payload`", description.len()),
        );
    }
    let payload_size = if request.payload.is_null() { 0 } else { json_bytes(&request.payload) };
    if payload_size > PAYLOAD_MAX {
        wrong("payload", format!("has {payload_size} bytes; allowed are {PAYLOAD_MAX}"));
    }
    for (field, list) in [
        ("requirements", &request.requirements),
        ("acceptance_criteria", &request.acceptance_criteria),
        ("stakeholders", &request.stakeholders),
        ("tags", &request.tags),
    ] {
        if list.len() > LIST_MAX {
            wrong(field, format!("has {} entries; allowed are {LIST_MAX}", list.len()));
        }
    }
    for (field, word) in [("namespace", &request.namespace), ("task_type", &request.task_type)] {
        if word.as_ref().is_some_and(|w| !is_word(w)) {
            wrong(field, "1 to 128 letters, digits, `_`, `-`, `.`, `:`".into());
        }
    }
    for (field, text) in [
        ("external_id", &request.external_id),
        ("source", &request.source),
        ("owner_type", &request.owner_type),
        ("owner_id", &request.owner_id),
        ("subject_ref_type", &request.subject_ref_type),
        ("subject_ref_id", &request.subject_ref_id),
    ] {
        if text.as_ref().is_some_and(|t| t.is_empty() || t.len() > 256 || t.chars().any(char::is_control)) {
            wrong(field, "1 to 256 bytes without control characters".into());
        }
    }
    if request.depends_on.len() > DEPENDS_MAX {
        wrong("depends_on", format!("names {} tasks; allowed are {DEPENDS_MAX}", request.depends_on.len()));
    }
    if request.max_retries.is_some_and(|n| n > RETRIES_MAX) {
        wrong("max_retries", format!("allowed are 0 to {RETRIES_MAX}"));
    }
    if let Some(time) = request.heartbeat_timeout.filter(|time| time.ms < TIME_MIN_MS) {
        wrong("heartbeat_timeout", format!("is {time}; allowed are 500ms and more"));
    }
    if let Some(retry) = &request.retry_policy {
        check_retry(retry).into_iter().for_each(|why| wrong("retry_policy", why));
    }
    if request.plan.is_some() && (request.plan_by_agent || request.action.is_some() || !request.capabilities.is_empty()) {
        wrong("plan", "a request has either a `plan`, or `plan_by_agent`, or `action` and `capabilities` of its one step".into());
    }
    for word in request.capabilities.iter().chain(&request.action) {
        if !is_word(word) {
            wrong("action", format!("{word:?}: 1 to 128 letters, digits, `_`, `-`, `.`, `:`"));
        }
    }

    if let Some(name) = request.model.as_ref().filter(|name| !is_model(name)) {
        wrong("model", format!("{name:?}: 1 to 128 letters, digits, `_`, `-`, `.`, `:`, `/`; or `auto`"));
    }

    if let Some(Err((field, why))) = request.budget.as_ref().map(crate::task::check_budget) {
        wrong(&field, why);
    }

    // Whether it comes again is no kind of work, though some say it there.
    let said = request.task_type.as_deref().and_then(RecurrenceKind::read);
    match (said, &request.recurrence) {
        (Some(RecurrenceKind::Recurring), None) => {
            wrong("recurrence", "RECURRING says not when; give `every` or `cron`".into());
        }
        (Some(RecurrenceKind::OneTime), Some(_)) => {
            wrong("task_type", "ONE_TIME contradicts `recurrence`; give one of them".into())
        }
        (Some(RecurrenceKind::OneTime), None) | (Some(RecurrenceKind::Recurring), Some(_)) | (None, _) => {}
    }
    let task_type = request.task_type.as_deref().filter(|_| said.is_none());
    problems.extend(request.recurrence.iter().flat_map(|recurrence| recurrence::check(recurrence, now)));

    let mode = request.execution_mode.unwrap_or(policy.default_mode);
    // What the house knows how to do need not be said by whoever asks for it.
    let says_nothing = !request.plan_by_agent && request.action.is_none() && request.capabilities.is_empty();
    let known = policy.plan_for(task_type.unwrap_or("general")).filter(|_| says_nothing);
    let mut plan = match (request.plan.as_ref().or(known), request) {
        (Some(spec), _) => lay_out(spec, mode).map_err(|found| problems.extend(found)).ok(),
        (None, Request { plan_by_agent: true, .. }) => None,
        (None, Request { action, capabilities, .. }) => {
            let action = action.as_deref().or(capabilities.first().map(String::as_str)).unwrap_or("work");
            let (mut plan, mut texts) = Plan::one_step(action, capabilities, &title);
            texts[0].takes_payload = request.payload.is_object();
            confirm_each_step(&mut plan, mode);
            Some(CheckedPlan { plan, texts, confidence: None, findings: Vec::new() })
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }

    let asked = Asked {
        wanted: Wanted {
            requirements: &request.requirements,
            words: [&title, &description],
            task_type: task_type.unwrap_or("general"),
        },
        model: request.model.as_deref(),
        complexity: request.complexity,
    };
    let chosen = plan.as_mut().map(|checked| choose(&mut checked.plan, &asked, &policy.models)).unwrap_or_default();

    let mut findings = validation::validate(request, plan.as_ref().map(|checked| &checked.plan), policy, house)?;
    let doubtful = findings.iter().any(|finding| finding.result == CheckResult::RequiresReview);

    let (plan, steps, confidence) = match plan {
        Some(checked) => (Some(checked.plan), checked.texts, checked.confidence),
        None => (None, Vec::new(), None),
    };
    let deadline = request.deadline.map(|d| d.0);
    if deadline.is_some_and(|d| d <= now) {
        findings.push(Finding {
            check: "deadline".into(),
            result: CheckResult::Warning,
            reason: "the deadline has passed; it is ignored".into(),
        });
    }
    let house = policy.for_type(task_type.unwrap_or("general"));
    let risk = request.risk.unwrap_or_default();
    let review_owed = risk >= Risk::High || mode == ExecutionMode::Strict || doubtful;
    let acceptance_owed = confidence.is_some_and(|c| c < policy.confidence_min);
    let (due_at, release_at) = match &request.recurrence {
        None => (request.due_at.map(|d| d.0), request.scheduled_at.map(|at| at.0)),
        // What comes again counts from its due time, and what has passed does not come.
        Some(recurrence) => {
            let asked = request.scheduled_at.or(request.due_at).map(|d| d.0).filter(|d| *d > now);
            // By the calendar also the first run waits for its time.
            let first = recurrence.cron.as_ref().and_then(|_| recurrence::first_from(recurrence, asked.unwrap_or(now)));
            (first.or(asked).filter(|d| *d > now), None)
        }
    };
    let waits = release_at.or(due_at).is_some_and(|at| at > now);
    let facts = Submitted {
        namespace: request.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE).into(),
        task_type: task_type.unwrap_or("general").into(),
        priority: request.priority,
        mode,
        autonomy: request.autonomy.unwrap_or(mode.autonomy()),
        autonomy_given: request.autonomy.is_some(),
        due_at,
        release_at,
        deadline: deadline.filter(|d| *d > now),
        timeout_ms: request.timeout.map(|d| d.ms),
        queue_ms: request.queue_timeout.map(|d| d.ms),
        lease_ms: request.heartbeat_timeout.map(|d| d.ms),
        on_agent_lost: request.on_agent_lost.or(house.and_then(|own| own.on_agent_lost)),
        agent: request.agent,
        session_ms: (request.affinity == Affinity::Session).then_some(policy.session_wait.ms),
        external_id: request.external_id.as_deref().map(Into::into),
        source: request.source.as_deref().map(Into::into),
        owner_type: request.owner_type.as_deref().map(Into::into),
        owner_id: request.owner_id.as_deref().map(Into::into),
        subject_ref_type: request.subject_ref_type.as_deref().map(Into::into),
        subject_ref_id: request.subject_ref_id.as_deref().map(Into::into),
        parent: request.parent_task_id.map(|task| Parent { task, step: None, again: 0 }),
        depends_on: request.depends_on.clone(),
        retry_of: request.retry_of,
        related: request.related_task_id,
        plan,
        confidence,
        acceptance_owed,
        model: request.model.as_deref().map(Into::into),
        complexity: request.complexity,
        budget: request.budget.or(policy.budget.cap).map(|cap| {
            let on_crossing = request.on_budget.unwrap_or(policy.budget.on_crossing);
            Box::new(BudgetTerms { cap, reserve: policy.budget.reserve, on_crossing, drawn: false })
        }),
        models: chosen.models,
        allocation: chosen.allocation,
        max_retries: request.max_retries.or(house.and_then(|own| own.max_retries)).unwrap_or(policy.max_retries),
        retry: request.retry_policy.as_ref().or(house.and_then(|own| own.retry_policy.as_ref())).cloned(),
        recurrence: request.recurrence.clone(),
        run: request.recurrence.as_ref().map(|_| 1),
        previous_run: None,
        author: None,
        risk,
        risk_reasons: request.risk.iter().map(|r| format!("the caller says {}", r.word()).into()).collect(),
        findings,
        constitution: None,
        rulings: Vec::new(),
        review_owed,
        final_review: request.final_review,
        released: !waits && !review_owed && request.depends_on.is_empty(),
        stall_ms: policy.stall_watch.then(|| house.and_then(|own| own.stall_after).unwrap_or(policy.stall_after).ms),
        depth: 0,
        healed: Default::default(),
    };
    let text = RequestText {
        title,
        description,
        requirements: request.requirements.clone(),
        acceptance_criteria: request.acceptance_criteria.clone(),
        stakeholders: request.stakeholders.clone(),
        tags: request.tags.clone(),
        constitutional_basis: request.constitutional_basis.clone(),
        payload: request.payload.clone(),
        resource_limits: request.resource_limits.clone(),
        confidence_reasons: request.plan.as_ref().map(|p| p.confidence_reasons.clone()).unwrap_or_default(),
        steps,
    };
    let mut submission = Submission { facts, text: Arc::new(text) };
    if let Some(law) = &policy.law {
        law.bind(&mut submission, now)?;
    }
    Ok(submission)
}

/// Checks a plan that comes alone: proposed by an agent or a person.
///
/// # Errors
/// What is wrong with its shape. Where nothing is, what validation refuses: a secret in its words.
pub fn check_plan(spec: &PlanSpec, mode: ExecutionMode) -> Result<CheckedPlan, Vec<Problem>> {
    let checked = lay_out(spec, mode)?;
    Ok(CheckedPlan { findings: validation::plan(spec)?, ..checked })
}

/// The plan alone; its words are not looked at.
fn lay_out(spec: &PlanSpec, mode: ExecutionMode) -> Result<CheckedPlan, Vec<Problem>> {
    let (mut plan, texts) = Plan::check(spec)?;
    confirm_each_step(&mut plan, mode);
    Ok(CheckedPlan { plan, texts, confidence: spec.confidence, findings: Vec::new() })
}

/// In STRICT mode a person confirms each step (S1-93).
pub(crate) fn confirm_each_step(plan: &mut Plan, mode: ExecutionMode) {
    if mode == ExecutionMode::Strict {
        plan.steps.iter_mut().for_each(crate::plan::Step::confirm_by_person);
    }
}

/// How long a value is as JSON.
fn json_bytes(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).expect("a value is JSON, and counting cannot fail");
    count.0
}

/// One line: the title, else the first line of the description that says something.
fn title_of(request: &Request, description: &str) -> String {
    let given = request.title.as_deref().unwrap_or_default();
    one_line(std::iter::once(given).chain(description.lines()).map(str::trim).find(|l| !l.is_empty()).unwrap_or_default())
}

/// A title as it is kept.
pub(crate) fn one_line(title: &str) -> String {
    title.trim().chars().filter(|c| !c.is_control()).take(TITLE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: Value) -> Result<Submission, String> {
        let request = serde_json::from_value(json).unwrap();
        check(&request, Time(1_000), &Policy::default())
            .map_err(|ps| ps.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_request_of_one_line_is_a_task_of_one_step_released_at_once() {
        let submission = checked(serde_json::json!({"description": "\n Count the files\nin the folder"})).unwrap();
        assert_eq!(submission.text.title, "Count the files");
        assert_eq!(submission.facts.plan.as_ref().unwrap().steps.len(), 1);
        assert!(submission.facts.released);
        assert_eq!(submission.facts.max_retries, 5);
    }

    #[test]
    fn problems_name_the_field_and_what_is_allowed() {
        let problems =
            checked(serde_json::json!({"description": " ", "recurrence": {"every": "1ms", "times": 0}, "max_retries": 5000}))
                .unwrap_err();
        for part in ["description", "recurrence.every", "recurrence.times", "max_retries: allowed are 0 to 1000"] {
            assert!(problems.contains(part), "{part} missing in {problems}");
        }
    }

    #[test]
    fn a_past_due_time_means_now_and_a_past_deadline_is_a_warning() {
        let submission =
            checked(serde_json::json!({"title": "x", "due_at": "1970-01-01T00:00:00Z", "deadline": "1970-01-01T00:00:00Z"}))
                .unwrap();
        assert!(submission.facts.released && submission.facts.deadline.is_none());
        // It is kept as it was said all the same.
        assert_eq!(submission.facts.due_at, Some(Time(0)));
        let held =
            checked(serde_json::json!({"title": "x", "due_at": "1970-01-01T00:00:00Z", "scheduled_at": "1970-01-01T00:00:09Z"}));
        let facts = held.unwrap().facts;
        assert_eq!((facts.released, facts.due_at, facts.release_at), (false, Some(Time(0)), Some(Time(9_000))));
        assert_eq!(submission.facts.findings[0].result, CheckResult::Warning);
    }

    #[test]
    fn a_type_that_the_house_knows_brings_its_plan() {
        let own = serde_json::json!({"by_type": {"T": {"plan": {"steps": [{"action": "a"}, {"action": "b"}]}}}});
        let policy: Policy = serde_json::from_value(own).unwrap();
        let actions = |request: Value| {
            let request = serde_json::from_value(request).unwrap();
            let plan = check(&request, Time(1_000), &policy).unwrap().facts.plan;
            plan.map(|plan| plan.steps.iter().map(|step| step.action.to_string()).collect::<Vec<_>>())
        };
        let of = |more: Value| {
            let mut request = serde_json::json!({"title": "x", "task_type": "T"});
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            actions(request)
        };
        assert_eq!(of(serde_json::json!({})).unwrap(), ["a", "b"]);
        assert_eq!(of(serde_json::json!({"action": "c"})).unwrap(), ["c"]);
        assert_eq!(of(serde_json::json!({"capabilities": ["d"]})).unwrap(), ["d"]);
        assert_eq!(of(serde_json::json!({"plan": {"steps": [{"action": "e"}]}})).unwrap(), ["e"]);
        assert_eq!(of(serde_json::json!({"plan_by_agent": true})), None);
        assert_eq!(actions(serde_json::json!({"title": "x"})).unwrap(), ["work"]);
        let broken = serde_json::json!({"by_type": {"T": {"plan": {"steps": [{"action": "a", "needs": ["b"]}]}}}});
        let problems = serde_json::from_value::<Policy>(broken).unwrap().problems();
        assert!(problems[0].to_string().contains("by_type.T.plan, step 1.depends_on"), "{problems:?}");
    }

    #[test]
    fn high_risk_and_strict_mode_are_reviewed_before_the_start() {
        for json in
            [serde_json::json!({"title": "x", "risk": "HIGH"}), serde_json::json!({"title": "x", "execution_mode": "STRICT"})]
        {
            let submission = checked(json).unwrap();
            assert!(submission.facts.review_owed && !submission.facts.released);
        }
    }
}
