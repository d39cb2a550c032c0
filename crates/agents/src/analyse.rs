//! `analyse`: the failure analyst that is built in. A table of rules: it tells causes apart, by the class of the failure and, where that
//! says little, by its words; for each it proposes what could help, and where nothing of its own could, a person. It reads the facts in
//! the work item and touches nothing.
//!
//! | cause | what it proposes, the first that is possible |
//! |---|---|
//! | rate limit | try again after the wait the outside named, else a minute, doubling |
//! | agent lost | try again after half a minute, doubling; a person after three times |
//! | timeout | another declared way; once more as planned; the same plan with twice the time; a person |
//! | out of memory | another declared way; the same plan with twice the memory; a person |
//! | refused, missing capability | another declared way; a person |
//! | not found | another declared way; once more after half a minute; a person |
//! | bad output, gate failed | back to the nearest checkpoint; another declared way; once more; a person |
//! | bad input | back to the nearest checkpoint; another declared way; the end: the request itself is at fault |
//! | the outside failed | another declared way; try again after half a minute, doubling; a person after three times |
//! | anything else | another declared way; twice more as planned; back to the nearest checkpoint; a person |

use ephor_core::event::Healed;
use ephor_core::spec::{AlternativeSpec, ErrorClass, PlanSpec, StepSpec};
use ephor_core::time::WireDuration;
use ephor_core::work::{Advice, Failure, Outcome};
use ephor_sdk::agent::{Agent, Job, Running};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The wait before the first new try where the outside named none, in milliseconds.
const PATIENCE_MS: u64 = 30_000;
/// The same after the refusal for the sake of a rate.
const RATE_LIMIT_MS: u64 = 60_000;
/// The longest wait it proposes, in milliseconds: an hour. Who names a longer one is heard up to a day.
const WAIT_MAX_MS: u64 = 3_600_000;
const NAMED_MAX_MS: u64 = 24 * 3_600_000;
/// How often it goes back before it tries something else: what went wrong twice from the same point goes wrong there.
const BACK_MAX: u32 = 2;
/// How often it says to try again before a person should look.
const AGAIN_MAX: u32 = 3;
/// The most time and memory it gives a step by itself, in milliseconds and MiB; more is for a person to allow.
const TIMEOUT_MAX_MS: u64 = 24 * 3_600_000;
const MEMORY_MAX_MB: u64 = 64 * 1_024;

/// The agent. See the table above.
pub struct Analyst;

impl Agent for Analyst {
    fn actions(&self) -> Vec<String> {
        vec!["analyse".into()]
    }

    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        let facts = serde_json::from_value::<Facts>(job.item().subject.clone());
        Box::pin(async move {
            match facts {
                Ok(facts) => Outcome::Advised(facts.advice()),
                Err(error) => {
                    Outcome::Failed(Failure::final_(ErrorClass::BadInput, format!("the failure cannot be read: {error}")))
                }
            }
        })
    }
}

/// What the work item tells of the failure; fields it does not use are left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Facts {
    step: String,
    class: ErrorClass,
    error: String,
    retries: u32,
    healed: Healed,
    retry_after_ms: Option<u64>,
    capabilities: Vec<String>,
    action: String,
    resources: Map<String, Value>,
    alternatives: Vec<AlternativeSpec>,
    checkpoints: Vec<Checkpoint>,
    plan: Option<PlanSpec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Checkpoint {
    name: String,
}

impl Facts {
    fn advice(&self) -> Advice {
        let cause = self.cause();
        let proposed = match cause {
            ErrorClass::RateLimit => Some(self.later(self.retry_after_ms, RATE_LIMIT_MS)),
            ErrorClass::AgentLost => self.again_later(),
            ErrorClass::Timeout => self.other_way(cause).or(self.again(1)).or_else(|| self.more_time()),
            ErrorClass::OutOfMemory => self.other_way(cause).or_else(|| self.more_memory()),
            ErrorClass::Refused | ErrorClass::MissingCapability => self.other_way(cause),
            ErrorClass::NotFound => {
                self.other_way(cause).or_else(|| self.again(1).map(|_| self.later(self.retry_after_ms, PATIENCE_MS)))
            }
            ErrorClass::BadOutput | ErrorClass::GateFailed => self.back().or_else(|| self.other_way(cause)).or(self.again(1)),
            ErrorClass::BadInput => {
                let reason =
                    format!("{}: nothing that came before can be done otherwise; submit it again, corrected", self.error);
                self.back().or_else(|| self.other_way(cause)).or(Some(Advice::Abort { reason }))
            }
            ErrorClass::External => self.other_way(cause).or_else(|| self.again_later()),
            ErrorClass::Cancelled => Some(Advice::Retry),
            ErrorClass::Other => self.other_way(cause).or(self.again(2)).or_else(|| self.back()),
        };
        proposed.unwrap_or_else(|| self.person(cause))
    }

    /// The class of the failure; where it says little, what the words of the error say.
    fn cause(&self) -> ErrorClass {
        if !matches!(self.class, ErrorClass::Other | ErrorClass::External) {
            return self.class;
        }
        let words = self.error.to_lowercase();
        let says = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
        if says(&["429", "too many requests", "rate limit", "quota exceeded"]) {
            ErrorClass::RateLimit
        } else if says(&["out of memory", "cannot allocate memory", "memoryerror", "bad_alloc", "oom"]) {
            ErrorClass::OutOfMemory
        } else if says(&["timed out", "timeout", "deadline exceeded"]) {
            ErrorClass::Timeout
        } else if says(&["permission denied", "forbidden", "unauthorized", "access denied"]) {
            ErrorClass::Refused
        } else if says(&["no such file", "not found", "does not exist"]) {
            ErrorClass::NotFound
        } else {
            self.class
        }
    }

    fn again(&self, times: u32) -> Option<Advice> {
        (self.retries < times).then_some(Advice::Retry)
    }

    fn again_later(&self) -> Option<Advice> {
        (self.retries < AGAIN_MAX).then(|| self.later(self.retry_after_ms, PATIENCE_MS))
    }

    /// After the wait that was named, else one that doubles with each try.
    fn later(&self, named: Option<u64>, first: u64) -> Advice {
        let grown = first.saturating_mul(1 << self.retries.min(16)).min(WAIT_MAX_MS);
        let delay_ms = named.map_or(grown, |named| named.min(NAMED_MAX_MS));
        Advice::RetryAfter { delay_ms, reason: format!("{}; tried again in {}", self.error, WireDuration { ms: delay_ms }) }
    }

    /// Back to the nearest checkpoint: what the step works on may be what is wrong.
    fn back(&self) -> Option<Advice> {
        let nearest = self.checkpoints.first().filter(|_| self.healed.rollbacks < BACK_MAX)?;
        Some(Advice::Rollback {
            checkpoint: nearest.name.clone(),
            reason: format!("{}; what led there is done again", self.error),
        })
    }

    /// The first other way that is declared for such a failure. It is taken off the list, so that each is tried once.
    fn other_way(&self, cause: ErrorClass) -> Option<Advice> {
        let fits = |way: &AlternativeSpec| way.on.is_empty() || way.on.contains(&cause);
        let n = self.alternatives.iter().position(fits)?;
        let way = self.alternatives[n].clone();
        self.refined(|step, part| {
            // A part of a list is done as its list says: another action would do finished parts again.
            if part && way.action.is_some() {
                return false;
            }
            if let Some(action) = way.action {
                step.action = Some(action);
                step.capabilities.clear();
            }
            if !way.capabilities.is_empty() {
                step.capabilities = way.capabilities;
            }
            step.params = way.params.unwrap_or(std::mem::take(&mut step.params));
            step.timeout = way.timeout.or(step.timeout);
            step.title = way.title.or(step.title.take());
            step.alternatives.remove(n);
            true
        })
    }

    fn more_time(&self) -> Option<Advice> {
        self.refined(|step, _| match step.timeout {
            Some(now) if now.ms * 2 <= TIMEOUT_MAX_MS => {
                step.timeout = Some(WireDuration { ms: now.ms * 2 });
                true
            }
            Some(_) | None => false,
        })
    }

    fn more_memory(&self) -> Option<Advice> {
        self.refined(|step, _| {
            let asked = step.params.get("limits").and_then(|limits| limits.get("memory_mb"));
            let Some(now) = self.resources.get("memory_mb").or(asked).and_then(Value::as_u64) else { return false };
            let (more, own) = (now.saturating_mul(2), step.resources.get("memory_mb").and_then(Value::as_u64));
            // Where the step already asks for more than it gets, somebody allocated less on purpose.
            if more > MEMORY_MAX_MB || own.is_some_and(|own| own > now) {
                return false;
            }
            step.resources.insert("memory_mb".into(), json!(more));
            true
        })
    }

    /// The plan with this step otherwise; none where the plan is too large to have come along, or the change cannot be made.
    fn refined(&self, change: impl FnOnce(&mut StepSpec, bool) -> bool) -> Option<Advice> {
        let mut plan = self.plan.clone()?;
        let (step, part) = step_at(&mut plan.steps, &self.step)?;
        change(step, part).then(|| Advice::AlternativePath(Box::new(plan)))
    }

    fn person(&self, cause: ErrorClass) -> Advice {
        let needed = match cause {
            ErrorClass::MissingCapability => {
                let able = if self.capabilities.is_empty() { self.action.clone() } else { self.capabilities.join(" and ") };
                format!("register an agent able to {able}, or change the step")
            }
            ErrorClass::Refused => "allow what was refused, or change the step".into(),
            ErrorClass::OutOfMemory => "allocate memory_mb, or change the step".into(),
            ErrorClass::Timeout => "give it more time, or change the step".into(),
            ErrorClass::NotFound => "provide what is missing, or change the step".into(),
            ErrorClass::BadOutput | ErrorClass::GateFailed => "look at the result, or change the step".into(),
            ErrorClass::AgentLost => "look after the agents that do this".into(),
            ErrorClass::BadInput | ErrorClass::RateLimit | ErrorClass::External | ErrorClass::Cancelled | ErrorClass::Other => {
                "look into it".into()
            }
        };
        Advice::HumanIntervention { reason: format!("step {} failed ({}): {}; {needed}", self.step, cause.word(), self.error) }
    }
}

/// The step of this path; of a part of a list, the list, and that it is one.
fn step_at<'a>(steps: &'a mut [StepSpec], path: &str) -> Option<(&'a mut StepSpec, bool)> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let step = steps.get_mut(first.parse::<usize>().ok()?.checked_sub(1)?)?;
    match rest {
        None => Some((step, false)),
        Some(_) if step.steps.is_empty() => step.for_each.is_some().then_some((step, true)),
        Some(rest) => step_at(&mut step.steps, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephor_core::id::TaskId;
    use ephor_core::work::{WorkItem, WorkKey};
    use ephor_sdk::trial::Trial;

    async fn advice(mut facts: Value) -> Advice {
        let base = json!({"step": "2", "error": "it broke", "action": "b", "retries": 0,
            "plan": {"steps": [{"id": "a", "action": "a"}, {"id": "b", "action": "b", "depends_on": ["a"], "timeout": "10s"}]}});
        for (field, value) in base.as_object().unwrap() {
            facts.as_object_mut().unwrap().entry(field).or_insert(value.clone());
        }
        let item = WorkItem {
            task_id: TaskId::new(0, [0; 10]),
            work: WorkKey::Analysis,
            attempt: 1,
            lease_ms: 60_000,
            timeout_ms: None,
            namespace: "default".into(),
            action: "analyse".into(),
            title: String::new(),
            description: String::new(),
            requirements: Vec::new(),
            model: None,
            models: None,
            last_error: None,
            params: Map::new(),
            resources: Map::new(),
            may_act: true,
            approved_args: None,
            probe: None,
            probes: Vec::new(),
            guidance: Vec::new(),
            traceparent: None,
            subject: facts,
        };
        match Trial::of(item).run(&Analyst).await {
            Outcome::Advised(advice) => advice,
            other => panic!("{other:?}"),
        }
    }

    fn refined(advice: Advice) -> StepSpec {
        let Advice::AlternativePath(plan) = advice else { panic!("{advice:?}") };
        assert_eq!(plan.steps[0].action.as_deref(), Some("a"), "the rest stays as it is");
        plan.steps[1].clone()
    }

    fn delay(advice: Advice) -> u64 {
        let Advice::RetryAfter { delay_ms, .. } = advice else { panic!("{advice:?}") };
        delay_ms
    }

    fn asks_for(advice: &Advice) -> &str {
        let Advice::HumanIntervention { reason } = advice else { panic!("{advice:?}") };
        reason
    }

    #[tokio::test]
    async fn a_rate_limit_is_waited_for_as_long_as_the_outside_says() {
        assert_eq!(delay(advice(json!({"class": "RATE_LIMIT", "retry_after_ms": 7_000})).await), 7_000);
        assert_eq!(delay(advice(json!({"class": "RATE_LIMIT", "retries": 2})).await), 240_000);
        assert_eq!(delay(advice(json!({"class": "OTHER", "error": "answered 429 Too Many Requests"})).await), 60_000);
    }

    #[tokio::test]
    async fn a_lost_agent_is_given_time_and_then_a_person_is_asked() {
        assert_eq!(delay(advice(json!({"class": "AGENT_LOST"})).await), 30_000);
        assert!(asks_for(&advice(json!({"class": "AGENT_LOST", "retries": 3})).await).contains("agents"));
    }

    #[tokio::test]
    async fn a_timeout_is_tried_once_more_and_then_with_twice_the_time() {
        assert_eq!(advice(json!({"class": "TIMEOUT"})).await, Advice::Retry);
        let step = refined(advice(json!({"class": "TIMEOUT", "retries": 1})).await);
        assert_eq!(step.timeout, Some(WireDuration { ms: 20_000 }));
    }

    #[tokio::test]
    async fn want_of_memory_is_met_with_twice_as_much_and_where_nobody_knows_how_much_with_a_person() {
        let step = refined(advice(json!({"class": "OUT_OF_MEMORY", "resources": {"memory_mb": 64}})).await);
        assert_eq!(step.resources["memory_mb"], json!(128));
        let step = refined(advice(json!({"class": "OTHER", "error": "MemoryError", "resources": {"memory_mb": 64}})).await);
        assert_eq!(step.resources["memory_mb"], json!(128), "the words say what the class does not");
        assert!(asks_for(&advice(json!({"class": "OUT_OF_MEMORY"})).await).contains("allocate memory_mb"));
        let most = advice(json!({"class": "OUT_OF_MEMORY", "resources": {"memory_mb": 60_000}})).await;
        assert!(asks_for(&most).contains("allocate memory_mb"), "more is for a person to allow");
    }

    #[tokio::test]
    async fn a_no_and_a_missing_capability_are_for_a_person_unless_another_way_is_declared() {
        assert!(asks_for(&advice(json!({"class": "REFUSED"})).await).contains("REFUSED"));
        let missing = advice(json!({"class": "MISSING_CAPABILITY", "capabilities": ["gpu", "cuda"]})).await;
        assert!(asks_for(&missing).contains("able to gpu and cuda"));
        let ways = json!([{"on": ["TIMEOUT"], "action": "x"}, {"on": ["REFUSED"], "action": "c", "params": {"n": 1}}]);
        let plan = json!({"steps": [{"id": "a", "action": "a"}, {"id": "b", "action": "b", "alternatives": ways}]});
        let step = refined(advice(json!({"class": "REFUSED", "alternatives": ways, "plan": plan})).await);
        assert_eq!((step.action.as_deref(), &step.params["n"], step.id.as_deref()), (Some("c"), &json!(1), Some("b")));
        assert_eq!(step.alternatives.len(), 1, "each way is tried once");
    }

    #[tokio::test]
    async fn a_bad_result_leads_back_to_the_nearest_checkpoint_a_few_times() {
        for class in ["BAD_OUTPUT", "GATE_FAILED", "BAD_INPUT"] {
            let facts = json!({"class": class, "checkpoints": [{"name": "near", "step": "1"}, {"name": "far", "step": "0"}]});
            let Advice::Rollback { checkpoint, .. } = advice(facts.clone()).await else { panic!("{class}") };
            assert_eq!(checkpoint, "near");
            let mut again = facts;
            again["healed"] = json!({"rollbacks": 2});
            assert!(!matches!(advice(again).await, Advice::Rollback { .. }), "{class}");
        }
        assert_eq!(advice(json!({"class": "GATE_FAILED"})).await, Advice::Retry);
        assert!(asks_for(&advice(json!({"class": "BAD_OUTPUT", "retries": 1})).await).contains("look at the result"));
    }

    #[tokio::test]
    async fn nonsense_that_nothing_before_it_explains_ends_the_task() {
        let Advice::Abort { reason } = advice(json!({"class": "BAD_INPUT"})).await else { panic!() };
        assert!(reason.contains("it broke"));
    }

    #[tokio::test]
    async fn what_fails_outside_and_what_nobody_knows_is_tried_again_for_a_while() {
        assert_eq!(delay(advice(json!({"class": "EXTERNAL", "retries": 1})).await), 60_000);
        assert!(matches!(advice(json!({"class": "EXTERNAL", "retries": 3})).await, Advice::HumanIntervention { .. }));
        assert_eq!(advice(json!({"class": "OTHER", "retries": 1})).await, Advice::Retry);
        assert!(matches!(advice(json!({"class": "OTHER", "retries": 2})).await, Advice::HumanIntervention { .. }));
    }

    #[tokio::test]
    async fn a_part_of_a_list_keeps_the_action_of_its_list() {
        let ways = json!([{"action": "c"}, {"timeout": "1m"}]);
        let plan = json!({"steps": [{"id": "a", "action": "a"}, {"id": "b", "for_each": "[1]", "action": "b", "timeout": "10s", "alternatives": ways}]});
        let facts = json!({"step": "2.1", "class": "TIMEOUT", "retries": 1, "alternatives": ways, "plan": plan});
        let step = refined(advice(facts).await);
        assert_eq!((step.action.as_deref(), step.timeout), (Some("b"), Some(WireDuration { ms: 20_000 })));
    }
}
