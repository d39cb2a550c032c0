//! The ladder: who else is told of a question that nobody answers. It is measured from the oldest question a task asks, and its deadlines
//! stay what they are: at their end silence is a no, whoever was told.

use super::{Draft, Task};
use crate::command::Context;
use crate::event::{Event, QuestionRaised};
use crate::inbox::Raised;
use crate::time::{Time, WireTime};

impl Task {
    /// The next rung of the ladder, once its time has come.
    pub(super) fn ladder_follows(&self, cx: &Context<'_>) -> Option<Draft> {
        let asking = self.asking.as_ref()?;
        self.asks_since()?;
        let known = asking.raised.as_ref();
        let due = known.and_then(|raised| raised.next_at).is_some_and(|at| at <= cx.now);
        if cx.policy.ladder.is_empty() && !due {
            return None;
        }
        let since = self.oldest_question()?;
        let known = known.filter(|raised| raised.since == since);
        let reached = cx.policy.ladder.iter().take_while(|rung| since.plus(rung.after.ms) <= cx.now).count();
        let before = known.map_or(0, |raised| raised.rung as usize);
        let rung = reached.max(before);
        if known.is_some() && rung == before && !due {
            return None;
        }
        let to = cx.policy.ladder.iter().take(reached).skip(before).flat_map(|rung| rung.tell.iter().cloned()).collect();
        let next_at = cx.policy.ladder.get(rung).map(|rung| since.plus(rung.after.ms)).filter(|at| *at > cx.now);
        Some(Draft::new(Event::QuestionRaised(Box::new(QuestionRaised { since, rung: rung as u32, to, next_at }))))
    }

    /// Since when the oldest of its questions to people is open; what waits for a signal is asked of nobody by name.
    fn oldest_question(&self) -> Option<Time> {
        let asking = self.asking.as_deref()?;
        let whole =
            [asking.escalated, asking.review, asking.plan, asking.stalled, self.budget_question().map(|(_, since)| since)];
        let blocked = self.board.blocked.keys().filter_map(|i| self.board.cell(*i).troubled_at);
        let actions =
            self.board.asked.iter().filter_map(|i| Some(self.approvals.get(&self.board.steps[*i as usize].path)?.asked_at));
        let results = self.board.gates.iter().filter(|(_, gate)| gate.manual).filter_map(|(i, _)| asking.gates.get(i).copied());
        whole.into_iter().flatten().chain(blocked).chain(actions).chain(results).min()
    }

    /// What was told of another question says nothing about the one that is the oldest now.
    pub(super) fn mind_the_ladder(&mut self) {
        let Some(since) = self.asking.as_ref().and_then(|asking| asking.raised.as_ref()).map(|raised| raised.since) else {
            return;
        };
        if self.oldest_question() != Some(since)
            && let Some(asking) = &mut self.asking
        {
            asking.raised = None;
        }
    }

    /// When the next rung has to be looked at.
    pub(super) fn ladder_at(&self) -> Option<Time> {
        self.asks_since()?;
        self.asking.as_ref()?.raised.as_ref()?.next_at
    }

    /// Takes in that the next people were told.
    pub(super) fn question_raised(&mut self, told: &QuestionRaised) {
        let Some(asking) = &mut self.asking else { return };
        let before = asking.raised.take().filter(|raised| raised.since == told.since);
        let mut to = before.map(|raised| raised.to).unwrap_or_default();
        to.extend(told.to.iter().filter(|name| !to.contains(name)).cloned().collect::<Vec<_>>());
        asking.raised = Some(Box::new(QuestionRaised { to, ..told.clone() }));
    }

    /// How far up the question that has been open since then is.
    pub(super) fn raised(&self, since: Time) -> Option<Raised> {
        let raised = self.asking.as_ref()?.raised.as_ref().filter(|raised| raised.since == since && raised.rung > 0)?;
        Some(Raised {
            rung: raised.rung,
            told: raised.to.iter().map(ToString::to_string).collect(),
            next_at: raised.next_at.map(WireTime),
        })
    }
}
