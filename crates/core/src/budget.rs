//! What a task may use, and what it has used: tokens, cost, calls of tools and time. Wire types and arithmetic; `task::budget` keeps the
//! account of a task.
//!
//! Before an attempt an amount is set aside, after it what was really used is counted in its place. Sums saturate; nothing falls below
//! zero, and nothing is set aside that is not there.

use crate::time::WireDuration;
use serde::{Deserialize, Serialize};

/// What a task may use at most. What is missing has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Tokens of models, read and written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Cost, in micro-dollars: a million is a dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<u64>,
    /// Calls of tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<u64>,
    /// How long from its first start, whatever it waits for meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_time: Option<WireDuration>,
}

/// An amount of what can be used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Amount {
    /// Tokens of models, read and written.
    #[serde(skip_serializing_if = "is_zero")]
    pub tokens: u64,
    /// Cost, in micro-dollars.
    #[serde(skip_serializing_if = "is_zero")]
    pub cost: u64,
    /// Calls of tools.
    #[serde(skip_serializing_if = "is_zero")]
    pub tool_calls: u64,
}

/// What an attempt says it has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// Tokens of models, read and written.
    #[serde(skip_serializing_if = "is_zero")]
    pub tokens: u64,
    /// Cost, in micro-dollars; from the tokens and the price of the model where it is missing and that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<u64>,
    /// Calls of tools.
    #[serde(skip_serializing_if = "is_zero")]
    pub tool_calls: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BudgetOf {
    /// Tokens.
    Tokens,
    /// Micro-dollars.
    Cost,
    /// Calls of tools.
    ToolCalls,
    /// Milliseconds.
    WallTime,
}

impl BudgetOf {
    /// The word of its field.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Cost => "cost",
            Self::ToolCalls => "tool_calls",
            Self::WallTime => "wall_time",
        }
    }
}

/// What follows when a budget does not suffice for what comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnBudget {
    /// A person is asked: the task is BLOCKED (BUDGET) until the budget is raised or the task is cancelled.
    #[default]
    Ask,
    /// The task fails.
    Stop,
    /// A cheaper model that the house chose takes the place of the one its step asks for; where there is none, a person is asked.
    DegradeModel,
}

/// A budget as a task lives by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetTerms {
    /// What it may use.
    pub cap: Budget,
    /// What is set aside before an attempt of a step that uses a model and does not say.
    #[serde(default, skip_serializing_if = "Amount::is_nothing")]
    pub reserve: Amount,
    /// What follows when it does not suffice.
    #[serde(default)]
    pub on_crossing: OnBudget,
    /// Whether it is a part of the budget of the task it was born from.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drawn: bool,
}

impl Amount {
    /// Whether it is none of anything.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(more.tokens),
            cost: self.cost.saturating_add(more.cost),
            tool_calls: self.tool_calls.saturating_add(more.tool_calls),
        }
    }

    /// What there is of each by the name of a figure, so that receipts and figures add it up.
    pub fn figures(self) -> impl Iterator<Item = (&'static str, u64)> {
        let name = |of: BudgetOf| if of == BudgetOf::Cost { "cost_micro_usd" } else { of.word() };
        self.parts().into_iter().filter(|(_, n)| *n > 0).map(move |(of, n)| (name(of), n))
    }

    /// How much there is of each, by what it counts against.
    pub fn parts(self) -> [(BudgetOf, u64); 3] {
        [(BudgetOf::Tokens, self.tokens), (BudgetOf::Cost, self.cost), (BudgetOf::ToolCalls, self.tool_calls)]
    }
}

impl Usage {
    /// What was used, where a thousand tokens cost this much.
    pub fn amount(self, price: Option<u64>) -> Amount {
        let cost = self.cost.unwrap_or_else(|| cost_of(self.tokens, price.unwrap_or(0)));
        Amount { tokens: self.tokens, cost, tool_calls: self.tool_calls }
    }
}

/// What tokens cost, in micro-dollars, rounded up, where a thousand of them cost this much.
pub fn cost_of(tokens: u64, price: u64) -> u64 {
    u64::try_from((u128::from(tokens) * u128::from(price)).div_ceil(1_000)).unwrap_or(u64::MAX)
}

impl Budget {
    /// Whether it limits nothing.
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// The limit of one kind, times in milliseconds.
    pub fn of(&self, what: BudgetOf) -> Option<u64> {
        match what {
            BudgetOf::Tokens => self.tokens,
            BudgetOf::Cost => self.cost,
            BudgetOf::ToolCalls => self.tool_calls,
            BudgetOf::WallTime => self.wall_time.map(|time| time.ms),
        }
    }

    /// With the limits that others say anew.
    #[must_use]
    pub fn changed(self, anew: Self) -> Self {
        Self {
            tokens: anew.tokens.or(self.tokens),
            cost: anew.cost.or(self.cost),
            tool_calls: anew.tool_calls.or(self.tool_calls),
            wall_time: anew.wall_time.or(self.wall_time),
        }
    }

    /// No more of anything than both allow.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        let wall_time = least(self.of(BudgetOf::WallTime), other.of(BudgetOf::WallTime)).map(|ms| WireDuration { ms });
        Self {
            tokens: least(self.tokens, other.tokens),
            cost: least(self.cost, other.cost),
            tool_calls: least(self.tool_calls, other.tool_calls),
            wall_time,
        }
    }

    /// What is left of it after this much; time is not counted here.
    #[must_use]
    pub fn left(self, used: Amount) -> Self {
        let left = |limit: Option<u64>, used: u64| limit.map(|limit| limit.saturating_sub(used));
        Self {
            tokens: left(self.tokens, used.tokens),
            cost: left(self.cost, used.cost),
            tool_calls: left(self.tool_calls, used.tool_calls),
            wall_time: self.wall_time,
        }
    }

    /// The whole of it as an amount: what is lent to a child.
    pub fn amount(self) -> Amount {
        let all = |limit: Option<u64>| limit.unwrap_or(0);
        Amount { tokens: all(self.tokens), cost: all(self.cost), tool_calls: all(self.tool_calls) }
    }

    /// Of what there is not this much, and the limit.
    pub fn exceeded_by(&self, amount: Amount) -> Option<(BudgetOf, u64)> {
        amount.parts().into_iter().find_map(|(of, n)| self.of(of).filter(|limit| *limit < n).map(|limit| (of, limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(tokens: u64, cost: u64, tool_calls: u64) -> Amount {
        Amount { tokens, cost, tool_calls }
    }

    #[test]
    fn costs_are_whole_micro_dollars_and_never_told_too_low() {
        assert_eq!((cost_of(0, 15_000), cost_of(1, 15_000), cost_of(1_000, 15_000), cost_of(1, 1)), (0, 15, 15_000, 1));
        assert_eq!(cost_of(u64::MAX, u64::MAX), u64::MAX);
        let said = Usage { tokens: 500, cost: None, tool_calls: 2 };
        assert_eq!(said.amount(Some(3)), amount(500, 2, 2));
        assert_eq!(Usage { cost: Some(7), ..said }.amount(Some(3)).cost, 7, "who says what it cost knows better");
        assert_eq!(said.amount(None).cost, 0);
    }

    #[test]
    fn sums_saturate_and_nothing_is_left_of_what_is_overdrawn() {
        assert_eq!(amount(u64::MAX, 1, 0).plus(amount(1, 1, 1)), amount(u64::MAX, 2, 1));
        let budget = Budget { tokens: Some(10), cost: Some(5), ..Budget::default() };
        assert_eq!(budget.left(amount(12, 2, 100)), Budget { tokens: Some(0), cost: Some(3), ..Budget::default() });
        assert_eq!(budget.exceeded_by(amount(10, 5, 100)), None, "what has no limit is not exceeded");
        assert_eq!(budget.exceeded_by(amount(10, 6, 0)), Some((BudgetOf::Cost, 5)));
    }

    #[test]
    fn a_part_of_a_budget_is_within_it() {
        let whole = Budget { tokens: Some(10), wall_time: Some(WireDuration { ms: 9 }), ..Budget::default() };
        let asked = Budget { tokens: Some(20), cost: Some(1), ..Budget::default() };
        let part = asked.within(whole);
        assert_eq!((part.tokens, part.cost, part.wall_time.map(|t| t.ms)), (Some(10), Some(1), Some(9)));
        let raised = whole.changed(Budget { tokens: Some(30), ..Budget::default() });
        assert_eq!((raised.tokens, raised.wall_time), (Some(30), whole.wall_time));
    }
}
