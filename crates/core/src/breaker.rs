//! Circuit breakers (S1-120, S1-121): an agent, a tool or a model that fails one task after the other is left alone for a while, then
//! tried with one piece of work at a time, and trusted again once that went well.
//!
//! Counting is no event and lives in memory; that a breaker opened, half-opened and closed is one, in the stream of the agent, or of the
//! namespace in which the tool or model was used.

use crate::id::TaskId;
use crate::spec::ErrorClass;
use crate::time::{Time, WireDuration, WireTime};
use serde::{Deserialize, Serialize};

/// When breakers open and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct BreakerPolicy {
    /// After how many tasks in a row that failed through its fault, none between them having gone well; 0 switches breakers off. One task
    /// counts once, so that a task nobody can do says nothing about those who try.
    pub failure_threshold: u32,
    /// How long it is left alone.
    pub recovery_timeout: WireDuration,
    /// How many attempts in a row have to go well before it is trusted again.
    pub success_threshold: u32,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self { failure_threshold: 5, recovery_timeout: WireDuration { ms: 60_000 }, success_threshold: 2 }
    }
}

/// Whose breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BreakerOf {
    /// An agent.
    Agent,
    /// What steps ask for: their capabilities, or their action.
    Tool,
    /// A model.
    Model,
}

impl BreakerOf {
    /// Whether a failure of this kind speaks against it. A no, nonsense in the request, a judgement and the unknown speak against the task.
    pub fn is_to_blame(self, class: ErrorClass) -> bool {
        use ErrorClass::*;
        match class {
            Timeout => true,
            AgentLost | OutOfMemory => self == Self::Agent,
            BadOutput => self != Self::Tool,
            External | RateLimit => self != Self::Agent,
            Refused | NotFound | BadInput | MissingCapability | GateFailed | Cancelled | Other => false,
        }
    }
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BreakerState {
    /// Trusted: it gets work.
    #[default]
    Closed,
    /// It gets none.
    Open,
    /// It gets one piece of work at a time.
    HalfOpen,
}

/// That a breaker opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Opened {
    /// Until when it gets no work.
    pub until: Time,
    /// How many tasks in a row had failed.
    pub failures: u32,
    /// How the last of them failed.
    pub class: ErrorClass,
}

/// A breaker that is not closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BreakerView {
    /// An agent, a tool or a model.
    pub of: BreakerOf,
    /// Which one: the id of an agent, the words of a tool, the name of a model.
    pub name: String,
    /// Where it is left alone; an agent is everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Where it stands.
    pub state: BreakerState,
    /// Until when it gets nothing to do.
    pub until: WireTime,
    /// How many tasks in a row had failed.
    pub failures: u32,
    /// How the last of them failed.
    pub class: ErrorClass,
}

/// What happens to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It opens.
    Open(Opened),
    /// Its rest is over and it is given something to try.
    HalfOpen,
    /// It is trusted again.
    Close,
}

/// A breaker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    state: BreakerState,
    opened: Option<Opened>,
    /// The tasks that failed since the last one that went well.
    failed: Vec<TaskId>,
    /// How many attempts went well since it half-opened.
    went_well: u32,
}

impl Breaker {
    /// Where it stands: a rest that is over is over, whether anything was tried since or not.
    pub fn state(&self, now: Time) -> BreakerState {
        match (self.state, self.opened) {
            (BreakerState::Open, Some(opened)) if now >= opened.until => BreakerState::HalfOpen,
            (state, _) => state,
        }
    }

    /// Whether it was not tried since it opened.
    pub fn is_untried(&self) -> bool {
        self.state == BreakerState::Open
    }

    /// Why it is not closed.
    pub fn opened(&self) -> Option<Opened> {
        self.opened
    }

    /// Whether it has nothing to remember: trusted, and nothing failed lately.
    pub fn is_calm(&self) -> bool {
        self.state == BreakerState::Closed && self.failed.is_empty()
    }

    /// An attempt at some task ended: well, or through its fault. What that makes of it is for the caller to write down, and to `turn`.
    pub fn heard(&mut self, task: TaskId, fault: Option<ErrorClass>, now: Time, policy: &BreakerPolicy) -> Option<Turn> {
        let open = |failures, class| Turn::Open(Opened { until: now.plus(policy.recovery_timeout.ms), failures, class });
        match (self.state(now), fault) {
            (BreakerState::Closed, None) => self.failed.clear(),
            (BreakerState::Closed, Some(class)) => {
                if policy.failure_threshold == 0 {
                    return None;
                }
                if !self.failed.contains(&task) {
                    self.failed.push(task);
                }
                let failures = self.failed.len() as u32;
                return (failures >= policy.failure_threshold).then(|| open(failures, class));
            }
            (BreakerState::HalfOpen, None) => {
                self.went_well += 1;
                return (self.went_well >= policy.success_threshold).then_some(Turn::Close);
            }
            (BreakerState::HalfOpen, Some(class)) => return Some(open(1, class)),
            // What was begun before it opened says nothing new.
            (BreakerState::Open, _) => {}
        }
        None
    }

    /// What has happened to it.
    pub fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Open(opened) => *self = Self { state: BreakerState::Open, opened: Some(opened), ..Self::default() },
            Turn::HalfOpen => self.state = BreakerState::HalfOpen,
            Turn::Close => *self = Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(n: u8) -> TaskId {
        TaskId::new(1, [n; 10])
    }

    fn after(breaker: &mut Breaker, n: u8, fault: Option<ErrorClass>, now: i64) -> Option<Turn> {
        let turn = breaker.heard(task(n), fault, Time(now), &BreakerPolicy::default());
        turn.into_iter().for_each(|turn| breaker.turn(turn));
        turn
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for n in 1..=5 {
            after(&mut breaker, n, Some(ErrorClass::Timeout), 1_000);
        }
        breaker
    }

    #[test]
    fn it_opens_when_five_tasks_in_a_row_failed_and_not_when_one_did_five_times() {
        let mut breaker = Breaker::default();
        for _ in 0..9 {
            assert_eq!(after(&mut breaker, 1, Some(ErrorClass::Timeout), 0), None, "one task");
        }
        for n in 2..=4 {
            assert_eq!(after(&mut breaker, n, Some(ErrorClass::Timeout), 0), None);
        }
        let turn = after(&mut breaker, 5, Some(ErrorClass::AgentLost), 7);
        assert_eq!(turn, Some(Turn::Open(Opened { until: Time(60_007), failures: 5, class: ErrorClass::AgentLost })));
        assert_eq!(breaker.state(Time(60_006)), BreakerState::Open);
        assert_eq!(breaker.state(Time(60_007)), BreakerState::HalfOpen);
    }

    #[test]
    fn one_that_went_well_in_between_starts_the_count_anew() {
        let mut breaker = Breaker::default();
        for n in 1..=4 {
            after(&mut breaker, n, Some(ErrorClass::Timeout), 0);
        }
        after(&mut breaker, 9, None, 0);
        assert!(breaker.is_calm());
        assert_eq!(after(&mut breaker, 5, Some(ErrorClass::Timeout), 0), None);
    }

    #[test]
    fn half_open_it_closes_after_two_that_went_well_and_opens_again_after_one_that_did_not() {
        let mut breaker = opened();
        assert_eq!(after(&mut breaker, 6, None, 2_000), None, "what was begun before says nothing");
        assert_eq!(breaker.state(Time(2_000)), BreakerState::Open);
        assert_eq!(after(&mut breaker, 7, None, 61_000), None);
        assert_eq!(after(&mut breaker, 8, None, 61_001), Some(Turn::Close));
        assert_eq!(breaker, Breaker::default());

        let mut breaker = opened();
        assert!(
            matches!(after(&mut breaker, 7, Some(ErrorClass::Timeout), 61_000), Some(Turn::Open(o)) if o.until == Time(121_000))
        );
        assert_eq!(breaker.state(Time(120_999)), BreakerState::Open);
    }

    #[test]
    fn a_threshold_of_nothing_switches_it_off() {
        let policy = BreakerPolicy { failure_threshold: 0, ..BreakerPolicy::default() };
        let mut breaker = Breaker::default();
        for n in 0..100 {
            assert_eq!(breaker.heard(task(n), Some(ErrorClass::Timeout), Time(0), &policy), None);
        }
        assert!(breaker.is_calm());
    }

    #[test]
    fn a_no_and_nonsense_speak_against_the_task_alone() {
        for class in [ErrorClass::Refused, ErrorClass::BadInput, ErrorClass::GateFailed, ErrorClass::Cancelled, ErrorClass::Other]
        {
            for of in [BreakerOf::Agent, BreakerOf::Tool, BreakerOf::Model] {
                assert!(!of.is_to_blame(class), "{of:?} {class:?}");
            }
        }
        assert!(BreakerOf::Agent.is_to_blame(ErrorClass::AgentLost) && !BreakerOf::Tool.is_to_blame(ErrorClass::AgentLost));
        assert!(!BreakerOf::Agent.is_to_blame(ErrorClass::RateLimit) && BreakerOf::Model.is_to_blame(ErrorClass::RateLimit));
        assert!(BreakerOf::Model.is_to_blame(ErrorClass::BadOutput) && !BreakerOf::Tool.is_to_blame(ErrorClass::BadOutput));
    }
}
