//! The account of a task that has a budget. What a step needs is set aside when it is given out; what its attempt says it has used is
//! counted in its place, and where it says nothing, or falls silent, what was set aside counts as used. A task that is born from a step is
//! lent a part, and what it has used comes back with the letter of its end. What is not there is neither set aside nor lent.
//!
//! Steps that could begin if others use less than was set aside for them wait, offered to nobody. Where even that would not suffice the
//! budget is crossed, and its terms say what follows.

use super::decide::invalid;
use super::{Draft, Task};
use crate::board::Offer;
use crate::budget::{Amount, Budget, BudgetOf, BudgetTerms, OnBudget, Usage, cost_of};
use crate::command::{Context, Refusal};
use crate::event::{ActorKind, BudgetCrossed, EndReason, Event, ModelCause, ModelChanged};
use crate::id::TaskId;
use crate::models::is_by_model;
use crate::plan::{Does, Step};
use crate::planted::{self, Fault};
use crate::status::StepStatus;
use crate::time::{Time, WireDuration};
use crate::timers::Timer;
use crate::view::BudgetView;
use crate::work::WorkKey;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a task with a budget keeps beside its terms and what it has used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Purse {
    /// Set aside for attempts that are under way, by step.
    reserved: BTreeMap<Box<str>, Amount>,
    /// Lent to tasks that were born from its steps and have not ended.
    lent: BTreeMap<TaskId, Amount>,
    /// Steps that wait for what others have set aside.
    waiting: BTreeSet<u32>,
    /// What a person is asked about, and since when.
    asked: Option<(BudgetOf, Time)>,
    /// It is to fail.
    stopping: bool,
}

impl Purse {
    /// Set aside and lent.
    fn committed(&self) -> Amount {
        self.reserved.values().chain(self.lent.values()).fold(Amount::default(), |sum, n| sum.plus(*n))
    }
}

impl Task {
    /// Whether a person is asked about its budget: nothing begins before there is an answer.
    pub(super) fn budget_asked(&self) -> bool {
        self.budget_question().is_some()
    }

    /// What that is about, and since when. Where nothing is left to be done, nothing more is used either.
    pub(super) fn budget_question(&self) -> Option<(BudgetOf, Time)> {
        self.purse.as_ref()?.asked.filter(|_| !(self.planned && self.board.is_done()))
    }

    /// What it has used so far, tasks that were born from it and have ended among it.
    pub fn spent(&self) -> Amount {
        self.spent
    }

    /// What is set aside before an attempt of a step; nothing where there is no budget.
    pub(super) fn to_reserve(&self, i: u32) -> Option<Amount> {
        let terms = self.facts.budget.as_deref()?;
        let step = &self.board.steps[i as usize];
        let by_model = step.model.is_some() || is_by_model(&step.action);
        let own = step.reserve.as_deref().copied();
        let said = own.unwrap_or(if by_model { terms.reserve } else { Amount::default() });
        let cost = if said.cost > 0 { said.cost } else { cost_of(said.tokens, self.price_of(step).unwrap_or(0)) };
        // A model cannot be asked for nothing.
        Some(Amount { tokens: said.tokens.max(u64::from(by_model)), cost, ..said })
    }

    fn price_of(&self, step: &Step) -> Option<u64> {
        self.facts.models.as_ref()?.prices.get(step.model.as_ref()?).copied()
    }

    /// What an attempt has used, as it says.
    pub(super) fn used(&self, path: &str, usage: Option<&Usage>) -> Option<Amount> {
        let usage = usage?;
        let i = self.board.find(path);
        let price = i.and_then(|i| {
            let used = self.board.cell(i).used.as_ref().or(self.board.steps[i as usize].model.as_ref())?;
            self.facts.models.as_ref()?.prices.get(used).copied()
        });
        Some(usage.amount(price))
    }

    /// Of what there is not enough for a step beside this much, and the limit.
    fn misses(&self, i: u32, beside: Amount) -> Option<(BudgetOf, u64)> {
        let terms = self.facts.budget.as_deref()?;
        let needs = match self.board.steps[i as usize].does() {
            Does::Task => {
                self.board.steps[i as usize].reserve.as_deref().copied().unwrap_or(Amount { tokens: 1, cost: 1, tool_calls: 0 })
            }
            Does::Work | Does::Group | Does::WaitFor | Does::WaitUntil | Does::WaitSignal => self.to_reserve(i)?,
        };
        terms.cap.exceeded_by(beside.plus(needs))
    }

    /// What follows where the budget does not suffice for what comes next.
    pub(super) fn budget_follows(&self, cx: &Context<'_>) -> Option<Draft> {
        let purse = self.purse.as_deref()?;
        if purse.stopping {
            return Some(Draft::new(Event::Failed { reason: EndReason::Budget, recoverable: true }));
        }
        if purse.asked.is_some() || !self.may_settle_steps() {
            return None;
        }
        let step = |offer: &Offer| if let Offer::Step(i) = offer { Some(*i) } else { None };
        let offered = self.board.offers.values().flatten().filter_map(step);
        let born = self.board.fresh.iter().copied().filter(|i| {
            let step = &self.board.steps[*i as usize];
            let looked_at = step.when.is_none() || self.board.cell(*i).condition_met;
            step.does() == Does::Task && looked_at && step.for_each.is_none()
        });
        let next = offered.chain(purse.waiting.iter().copied()).chain(born);
        let (i, (of, limit)) = next.filter_map(|i| Some((i, self.misses(i, self.spent)?))).min_by_key(|(i, _)| *i)?;
        Some(self.crossed(i, of, limit, cx))
    }

    fn crossed(&self, i: u32, of: BudgetOf, limit: u64, cx: &Context<'_>) -> Draft {
        let on_crossing = self.facts.budget.as_deref().map_or(OnBudget::Ask, |terms| terms.on_crossing);
        let cheaper = (on_crossing == OnBudget::DegradeModel && of == BudgetOf::Cost).then(|| self.cheaper(i, cx)).flatten();
        if let Some(draft) = cheaper {
            return draft;
        }
        let part = |amount: Amount| amount.parts().into_iter().find(|(kind, _)| *kind == of).map_or(0, |(_, n)| n);
        let crossed = BudgetCrossed {
            step: Some(self.board.steps[i as usize].path.clone()),
            of,
            limit,
            used: part(self.spent),
            needed: part(self.to_reserve(i).unwrap_or_default()),
            then: if on_crossing == OnBudget::Stop { OnBudget::Stop } else { OnBudget::Ask },
        };
        Draft::new(Event::BudgetCrossed(Box::new(crossed)))
    }

    /// A cheaper model in the place of the one a step asks for, where the house chose it and knows what both cost.
    fn cheaper(&self, i: u32, cx: &Context<'_>) -> Option<Draft> {
        let step = &self.board.steps[i as usize];
        let models =
            self.facts.models.as_ref().filter(|_| step.model_chosen && step.reserve.as_ref().is_none_or(|own| own.cost == 0))?;
        let (from, price) = (step.model.as_ref()?, self.price_of(step)?);
        let is_cheaper = |name: &str| models.prices.get(name).is_some_and(|other| *other < price);
        let to = models.after(from).iter().find(|name| is_cheaper(name) && !cx.shut_models.contains(name))?;
        let changed = ModelChanged {
            steps: vec![step.path.clone()],
            from: from.clone(),
            to: to.clone(),
            cause: ModelCause::Budget,
            class: None,
        };
        Some(Draft::new(Event::ModelChanged(Box::new(changed))))
    }

    /// Its time is up.
    pub(super) fn time_is_up(&self, now: Time) -> Option<Draft> {
        let terms = self.facts.budget.as_deref()?;
        let crossed = BudgetCrossed {
            step: None,
            of: BudgetOf::WallTime,
            limit: terms.cap.of(BudgetOf::WallTime)?,
            used: now.since(self.started_at?),
            needed: 0,
            then: if terms.on_crossing == OnBudget::Stop { OnBudget::Stop } else { OnBudget::Ask },
        };
        Some(Draft::new(Event::BudgetCrossed(Box::new(crossed))))
    }

    /// What is lent to a task that is born from a step: what the step sets aside, else what the request of the task asks for, else all
    /// that is free; of nothing more than is free.
    pub(super) fn lend(&self, i: u32, asked: Option<Budget>, now: Time) -> Result<Option<(BudgetTerms, Amount)>, String> {
        let Some((terms, purse)) = self.facts.budget.as_deref().zip(self.purse.as_deref()) else { return Ok(None) };
        let committed = self.spent.plus(purse.committed());
        if let Some((of, _)) = self.misses(i, committed) {
            return Err(format!("of the budget of its task not enough is free for it: {}", of.word()));
        }
        let mut free = terms.cap.left(committed);
        let ends = terms.cap.wall_time.zip(self.started_at).map(|(time, from)| from.plus(time.ms).since(now));
        free.wall_time = ends.map(|ms| WireDuration { ms: ms.max(1) }).or(terms.cap.wall_time);
        let some = |n: u64| (n > 0).then_some(n);
        let own = self.board.steps[i as usize].reserve.as_deref().map(|own| Budget {
            tokens: some(own.tokens),
            cost: some(own.cost),
            tool_calls: some(own.tool_calls),
            wall_time: None,
        });
        let cap = own.unwrap_or_default().changed(asked.unwrap_or_default()).within(free);
        let cap = own.map_or(cap, |own| cap.within(own));
        let lent = Budget {
            tokens: cap.tokens.filter(|_| terms.cap.tokens.is_some()),
            cost: cap.cost.filter(|_| terms.cap.cost.is_some()),
            tool_calls: cap.tool_calls.filter(|_| terms.cap.tool_calls.is_some()),
            wall_time: None,
        };
        Ok(Some((BudgetTerms { cap, drawn: true, ..*terms }, lent.amount())))
    }

    /// The budget somebody wants it to have from now on.
    ///
    /// # Errors
    /// Who may not, and what makes no sense.
    pub(super) fn rebudgeted(&self, anew: Option<Budget>, cx: &Context<'_>) -> Result<Option<Box<BudgetTerms>>, Refusal> {
        let Some(anew) = anew else { return Ok(None) };
        if cx.actor.kind != ActorKind::Human {
            return Err(Refusal::Forbidden("only a person may change a budget".into()));
        }
        check(&anew).map_err(|(field, why)| invalid(&field, &why))?;
        let house = &cx.policy.budget;
        let before = self.facts.budget.as_deref().copied();
        let before =
            before.unwrap_or(BudgetTerms { reserve: house.reserve, on_crossing: house.on_crossing, ..BudgetTerms::default() });
        let cap = before.cap.changed(anew);
        if before.drawn && cap != cap.within(before.cap) {
            let parent = self.facts.parent.as_ref().map(|parent| parent.task.to_string()).unwrap_or_default();
            let why = format!("it is a part of the budget of {parent}: raise that one, and retry the step this task stands for");
            return Err(invalid("budget", &why));
        }
        if let Some((time, from)) = cap.wall_time.zip(self.started_at).filter(|_| anew.wall_time.is_some())
            && from.plus(time.ms) <= cx.now
        {
            let why = format!("it has taken {} already", WireDuration { ms: cx.now.since(from) });
            return Err(invalid("budget.wall_time", &why));
        }
        Ok(Some(Box::new(BudgetTerms { cap, ..before })))
    }

    /// Takes in what its budget is from now on.
    pub(super) fn budget_is(&mut self, terms: &BudgetTerms) {
        self.facts.budget = Some(Box::new(*terms));
        let purse = self.purse.get_or_insert_default();
        purse.asked = None;
        self.mind_its_time();
    }

    /// Notes when its time is up.
    pub(super) fn mind_its_time(&mut self) {
        let time = self.facts.budget.as_ref().and_then(|terms| terms.cap.wall_time);
        if let Some((time, from)) = time.zip(self.started_at) {
            self.firm.set(Timer::Budget, from.plus(time.ms));
        }
    }

    /// Takes in that it was crossed.
    pub(super) fn budget_crossed(&mut self, crossed: &BudgetCrossed, at: Time) {
        if crossed.of == BudgetOf::WallTime {
            self.firm.clear(Timer::Budget);
        }
        let Some(purse) = &mut self.purse else { return };
        match crossed.then {
            OnBudget::Stop => purse.stopping = true,
            OnBudget::Ask | OnBudget::DegradeModel => purse.asked = Some((crossed.of, at)),
        }
    }

    /// Takes in what was set aside for an attempt.
    pub(super) fn reserved(&mut self, path: &str, amount: Option<Amount>) {
        if let Some(purse) = &mut self.purse {
            purse.reserved.insert(path.into(), amount.unwrap_or_default());
        }
    }

    /// Takes in what an attempt has used; what was set aside for it where it did not say.
    pub(super) fn settle_budget(&mut self, path: &str, used: Option<Amount>) {
        let held =
            self.purse.as_mut().and_then(|purse| purse.reserved.remove(path)).filter(|_| !planted::is(Fault::ReserveForgotten));
        self.spent = self.spent.plus(used.or(held).unwrap_or_default());
    }

    /// The same for any kind of work; only for steps something is set aside.
    pub(super) fn settle_work(&mut self, work: &WorkKey, used: Option<Amount>) {
        match work {
            WorkKey::Step(path) => self.settle_budget(path, used),
            WorkKey::Undo(_) | WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis => {
                self.spent = self.spent.plus(used.unwrap_or_default());
            }
        }
    }

    /// Takes in what was lent to a task that was born.
    pub(super) fn lent(&mut self, child: TaskId, amount: Option<Amount>) {
        if let Some((purse, amount)) = self.purse.as_mut().zip(amount) {
            purse.lent.insert(child, amount);
        }
    }

    /// Takes in what a task that was part of it has used; what it was lent where it does not say.
    pub(super) fn child_used(&mut self, child: TaskId, used: Option<Amount>) {
        let lent = self.purse.as_mut().and_then(|purse| purse.lent.remove(&child));
        self.spent = self.spent.plus(used.or(lent).unwrap_or_default());
    }

    /// Attempts that ended without a word have used what was set aside; what does not fit beside the rest is offered to nobody until it does.
    /// Called after each event; costs nothing where there is no budget.
    pub(super) fn mind_the_budget(&mut self) {
        let Some(mut purse) = self.purse.take() else { return };
        let is_over = |path: &str| self.board.find(path).is_none_or(|i| self.board.cell(i).lease.is_none());
        let over: Vec<Box<str>> = purse.reserved.keys().filter(|path| is_over(path)).cloned().collect();
        for path in over {
            self.spent = self.spent.plus(purse.reserved.remove(&path).unwrap_or_default());
        }
        if self.end.is_some() {
            // Whoever it lent to goes on without it, and may use all of that.
            self.spent = purse.lent.values().fold(self.spent, |sum, n| sum.plus(*n));
            self.purse = Some(Box::default());
            return;
        }
        let taken = self.spent.plus(purse.committed());
        let step = |offer: &Offer| if let Offer::Step(i) = offer { Some(*i) } else { None };
        let offered: Vec<u32> = self.board.offers.values().flatten().filter_map(step).collect();
        for i in offered.into_iter().filter(|i| self.misses(*i, taken).is_some()).collect::<Vec<_>>() {
            self.board.withdraw(i);
            purse.waiting.insert(i);
        }
        for i in purse.waiting.clone() {
            let waits = self.board.steps.len() > i as usize
                && self.board.cell(i).status == StepStatus::Ready
                && self.board.cell(i).lease.is_none()
                && !self.board.fresh.contains(&i);
            let fits = waits && self.misses(i, taken).is_none();
            if fits {
                self.board.offer_again(i);
            }
            if fits || !waits {
                purse.waiting.remove(&i);
            }
        }
        self.purse = Some(purse);
    }

    /// Whether steps wait for what others have set aside.
    pub(super) fn waits_for_budget(&self) -> impl Iterator<Item = u32> + '_ {
        self.purse.iter().flat_map(|purse| purse.waiting.iter().copied())
    }

    /// Another plan: its steps are other ones.
    pub(super) fn replan_budget(&mut self) {
        if let Some(purse) = &mut self.purse {
            purse.waiting.clear();
        }
    }

    /// The account, as outsiders see it.
    pub(super) fn budget_view(&self) -> Option<BudgetView> {
        let (terms, purse) = self.facts.budget.as_deref().zip(self.purse.as_deref())?;
        let reserved = purse.reserved.values().fold(Amount::default(), |sum, n| sum.plus(*n));
        let lent = purse.lent.values().fold(Amount::default(), |sum, n| sum.plus(*n));
        let left = terms.cap.left(self.spent.plus(purse.committed()));
        Some(BudgetView {
            cap: terms.cap,
            used: self.spent,
            reserved,
            lent,
            left: Budget { wall_time: None, ..left },
            on_crossing: terms.on_crossing,
            drawn: terms.drawn,
        })
    }
}

/// What is wrong with a budget: the field, and what is allowed.
pub(crate) fn check(budget: &Budget) -> Result<(), (String, String)> {
    if budget.is_unlimited() {
        return Err(("budget".into(), "say at least one of tokens, cost, tool_calls, wall_time".into()));
    }
    for of in [BudgetOf::Tokens, BudgetOf::Cost, BudgetOf::ToolCalls, BudgetOf::WallTime] {
        if budget.of(of) == Some(0) {
            return Err((format!("budget.{}", of.word()), "is 0; allowed are numbers from 1, or nothing for no limit".into()));
        }
    }
    Ok(())
}
