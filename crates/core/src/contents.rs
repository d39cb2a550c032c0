//! What people and agents wrote in the course of a task: the private side, kept apart from its state. Rules decide by the state; the
//! contents only fill in parameters, conditions and views.

use crate::event::{ApprovalWord, EscalationReason, Event, Letter, Private, RequestText};
use crate::expr::{Scope, walk};
use crate::id::ReviewId;
use crate::plan::StepText;
use crate::plan::difference::Difference;
use crate::review::Grounds;
use crate::status::{Status, StepStatus};
use crate::work::Success;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Signals that came before anybody waited for them, at most this many for each name; the oldest make room.
pub const SIGNALS_MAX: usize = 1_000;

/// The private side of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Contents {
    /// The words of the request as they stand now. Most tasks live with the very words they were submitted with.
    pub text: Arc<RequestText>,
    /// The words of the plan, step by step, expanded steps included, once they are no longer those of the request.
    steps: Vec<StepText>,
    /// Results by step name.
    pub outputs: HashMap<Box<str>, Arc<Success>>,
    /// Items by path of the step they belong to.
    pub items: HashMap<Box<str>, Value>,
    /// Signals that wait to be used.
    pub signals: HashMap<Box<str>, VecDeque<Value>>,
    /// What steps that are being undone left behind, by path.
    pub undone: HashMap<Box<str>, Undone>,
    /// Resources that were allocated since it was submitted: they count above those of steps.
    pub allocated: Map<String, Value>,
    /// The words of the decision that the council votes on.
    pub proposal: crate::event::TextChanges,
    /// How the latest plans differ from those before, latest last.
    pub differences: VecDeque<Difference>,
    /// What people said.
    pub guidance: Vec<String>,
    /// Why each piece of work last failed, by work.
    pub errors: HashMap<String, String>,
    /// The last reason somebody gave: for a decision, a try, an end.
    pub reason: Option<String>,
    /// Why it is on hold; gone with the hold.
    pub hold: Option<String>,
    /// Why a decision about it is owed; gone with the escalation.
    pub escalation: Option<String>,
    /// The words of judges, of each the last in each review.
    #[serde(default)]
    grounds: Vec<(ReviewId, Box<str>, Grounds)>,
}

/// What a step that is being undone left behind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Undone {
    /// The name its result was kept under.
    pub name: Box<str>,
    /// Parameters of its compensation, references unresolved.
    pub params: Map<String, Value>,
    /// Its result.
    pub output: Option<Arc<Success>>,
}

impl Contents {
    /// Takes in what came with an event. `name` turns a path into the name results are kept under.
    pub(crate) fn absorb(&mut self, event: &Event, private: Option<&Private>, name: impl Fn(&str) -> Box<str>) {
        match (event, private) {
            (Event::Submitted(_), Some(Private::Request(text))) => {
                self.text = text.clone();
                self.steps = Vec::new();
            }
            (Event::Planned(_), Some(Private::Plan(texts))) => {
                self.own_steps();
                self.steps = texts.clone();
            }
            (Event::Expanded { step, .. }, Some(Private::Items(items))) => {
                for (n, item) in items.iter().enumerate() {
                    self.items.insert(format!("{step}.{}", n + 1).into(), item.clone());
                }
            }
            (Event::AttemptSucceeded(done), Some(Private::Success(success))) => {
                if let crate::work::WorkKey::Step(path) = &done.work {
                    self.outputs.insert(name(path), success.clone());
                }
            }
            (Event::AttemptFailed(failed), Some(Private::Text(why))) => {
                self.errors.insert(failed.work.to_string(), why.clone());
            }
            (Event::StepFailed { step, .. }, Some(Private::Text(why))) => {
                self.errors.insert(format!("step:{step}"), why.clone());
            }
            (Event::StepBlocked { step, .. }, Some(Private::Text(why))) => {
                self.errors.insert(format!("step:{step}"), why.clone());
            }
            (
                Event::ApprovalAnswered { step, answer: ApprovalWord::Denied | ApprovalWord::Expired, .. },
                Some(Private::Text(why)),
            ) => {
                self.errors.insert(format!("step:{step}"), why.clone());
            }
            (Event::ApprovalAnswered { .. }, _) => {}
            // What a gate found is why its step failed; what an advising one found stands in its event.
            (Event::GateJudged(judged), words) if !(judged.passed || judged.advisory) => {
                let work = format!("step:{}", judged.step);
                match words {
                    Some(Private::Text(why)) => self.errors.insert(work, why.clone()),
                    Some(_) | None => self.errors.remove(&work),
                };
            }
            (Event::Retried { .. }, _) => self.undone.clear(),
            (Event::ReviewOpened(opened), Some(Private::Changes(words))) if opened.proposal.is_some() => {
                self.proposal = (**words).clone();
            }
            (Event::RolledBack { steps, .. }, why) => {
                for step in steps {
                    self.outputs.remove(&name(step));
                }
                if let Some(Private::Text(why)) = why {
                    self.reason = Some(why.clone());
                }
            }
            (Event::SignalReceived { name }, Some(Private::Items(payload))) => {
                let waiting = self.signals.entry(name.clone()).or_default();
                waiting.extend(payload.iter().cloned());
                while waiting.len() > SIGNALS_MAX {
                    waiting.pop_front();
                }
            }
            (Event::WaitEnded { step, signal }, _) => {
                let payload = signal.as_ref().and_then(|s| self.signals.get_mut(s)?.pop_front()).unwrap_or(Value::Null);
                self.outputs.insert(name(step), Arc::new(Success { output: payload, ..Success::default() }));
            }
            (Event::MailTaken { letters }, Some(Private::Outputs(outputs))) => {
                for (letter, output) in letters.iter().zip(outputs) {
                    if let Letter::ChildEnded { child, step: Some(step), status, .. } = letter {
                        let output = json!({"task_id": child, "status": status, "output": output});
                        self.outputs.insert(name(step), Arc::new(Success { output, ..Success::default() }));
                        if *status != Status::Completed {
                            self.errors.insert(format!("step:{step}"), format!("{child} ended {status}"));
                        }
                    }
                }
            }
            (Event::Modified(_), Some(Private::Changes(changes)))
            | (Event::EscalationDecided { .. }, Some(Private::Changes(changes))) => {
                let text = Arc::make_mut(&mut self.text);
                if let Some(title) = &changes.title {
                    text.title.clone_from(title);
                }
                if let Some(basis) = &changes.constitutional_basis {
                    text.constitutional_basis = Some(basis.clone());
                }
                if let Some(description) = &changes.description {
                    text.description.clone_from(description);
                }
                if let Some(requirements) = &changes.requirements {
                    text.requirements.clone_from(requirements);
                }
                if let Some(limits) = &changes.resource_limits {
                    text.resource_limits.extend(limits.clone());
                    self.allocated.extend(limits.clone());
                }
                if matches!(event, Event::EscalationDecided { .. }) && !changes.reason.is_empty() {
                    self.reason = Some(changes.reason.clone());
                }
            }
            // What somebody said about the task in passing is evidence, and no reason for where it is.
            (Event::LateReportKept { .. } | Event::ReviewNoted, _) => {}
            (Event::VoteCast { review, judge, .. }, words) => self.voted(*review, judge, words),
            (Event::CancelRequested { .. }, words) => {
                self.reason = words.and_then(|words| if let Private::Text(text) = words { Some(text.clone()) } else { None });
            }
            (Event::Guided, Some(Private::Text(text))) => self.guidance.push(text.clone()),
            (Event::Paused { .. }, Some(Private::Text(text))) => self.hold = Some(text.clone()),
            (Event::Escalated { reason, .. }, words) => {
                if let Some(Private::Text(text)) = words {
                    self.reason = Some(text.clone());
                }
                // Whoever asks for a decision says why, or nothing; what happens by itself follows from what was said last.
                let said = if words.is_some() || *reason != EscalationReason::Requested { self.reason.clone() } else { None };
                self.escalation = said.or(self.escalation.take());
            }
            (Event::Failed { reason, .. } | Event::Cancelled { reason } | Event::Stopped { reason }, None)
                if reason.explains_itself() =>
            {
                self.reason = None;
            }
            (_, Some(Private::Text(text))) => self.reason = Some(text.clone()),
            _ => {}
        }
    }

    /// Takes in the words of a vote, in place of those of the vote before.
    fn voted(&mut self, review: ReviewId, judge: &str, words: Option<&Private>) {
        self.grounds.retain(|(of, by, _)| !(*of == review && **by == *judge));
        match words {
            Some(Private::Vote(grounds)) => self.grounds.push((review, judge.into(), (**grounds).clone())),
            Some(Private::Text(reason)) => {
                let grounds = Grounds { reason: reason.clone(), ..Grounds::default() };
                self.grounds.push((review, judge.into(), grounds));
            }
            Some(_) | None => {}
        }
    }

    /// The words of a judge in a review.
    pub(crate) fn grounds_of(&self, review: ReviewId, judge: &str) -> Option<&Grounds> {
        self.grounds.iter().find(|(of, by, _)| *of == review && **by == *judge).map(|(_, _, words)| words)
    }

    /// The words of the plan, step by step, expanded steps included.
    pub fn steps(&self) -> &[StepText] {
        if self.steps.is_empty() { &self.text.steps } else { &self.steps }
    }

    /// The parameters of a step, references unresolved.
    pub(crate) fn params(&self, i: u32) -> Option<&Map<String, Value>> {
        let words = self.steps().get(i as usize)?;
        if words.takes_payload { self.text.payload.as_object() } else { Some(&words.params) }
    }

    /// Gives a step other parameters.
    pub(crate) fn change_params(&mut self, i: u32, params: Map<String, Value>) {
        self.own_steps();
        if let Some(words) = self.steps.get_mut(i as usize) {
            words.params = params;
            words.takes_payload = false;
        }
    }

    /// Adds the words of a step that came of a list.
    pub(crate) fn add_step(&mut self, words: StepText) {
        self.own_steps();
        self.steps.push(words);
    }

    /// The words of the plan part from those of the request, which then keeps none.
    fn own_steps(&mut self) {
        if !self.text.steps.is_empty() {
            self.steps = std::mem::take(&mut Arc::make_mut(&mut self.text).steps);
        }
    }

    /// The result of a step; of an expanded one, the results of its parts in order.
    pub fn output(&self, name: &str) -> Option<Value> {
        self.outputs.get(name).map(|s| s.output.clone())
    }
}

/// What one step's expressions can see.
pub(crate) struct StepScope<'a> {
    pub(crate) task: &'a crate::task::Task,
    /// The step, for `${item}`.
    pub(crate) path: &'a str,
}

impl StepScope<'_> {
    /// A step as expressions see it: its output and its status.
    fn step(&self, name: &str) -> Option<Value> {
        let task = self.task;
        // What is being undone is seen by what undoes it, though it is no result any more.
        if let Some(kept) = task.contents.undone.iter().find(|(path, kept)| ***path == *name || *kept.name == *name) {
            let output = kept.1.output.as_ref().map_or(Value::Null, |s| s.output.clone());
            return Some(json!({"output": output, "status": StepStatus::RolledBack}));
        }
        let i = task.board.find(name)?;
        let status = task.board.cell(i).status;
        let own = task.step_name(i);
        let output = match task.contents.outputs.get(&own) {
            Some(success) => success.output.clone(),
            // Of a list, the outputs of its parts; of an empty one, none.
            None if task.board.steps[i as usize].for_each.is_some()
                && (status == StepStatus::Completed || !task.board.kids(i).is_empty()) =>
            {
                let of = |kid: &u32| task.contents.output(&task.step_name(*kid)).unwrap_or(Value::Null);
                Value::Array(task.board.kids(i).iter().map(of).collect())
            }
            None => Value::Null,
        };
        Some(json!({"output": output, "status": status}))
    }

    fn task_value(&self) -> Value {
        let (task, text) = (self.task, &self.task.contents.text);
        json!({"id": task.id, "title": text.title, "description": text.description, "payload": text.payload,
               "requirements": text.requirements, "priority": task.facts.priority, "task_type": task.facts.task_type,
               "execution_mode": task.facts.mode, "autonomy": task.facts.autonomy, "may_act": task.may_act()})
    }
}

impl Scope for StepScope<'_> {
    fn value(&self, name: &str, text: &str) -> Value {
        match name {
            "steps" => {
                // Only what the text mentions: a plan may have many steps, and a step a large result.
                let mut seen = Map::new();
                for word in text.split(|c: char| !(c.is_alphanumeric() || "_-.:".contains(c))) {
                    let candidates = word.strip_prefix("steps.").into_iter().chain([word]);
                    for candidate in candidates {
                        let first = candidate.split('.').next().unwrap_or(candidate);
                        for name in [candidate, first] {
                            if !seen.contains_key(name)
                                && let Some(step) = self.step(name)
                            {
                                seen.insert(name.to_owned(), step);
                            }
                        }
                    }
                }
                Value::Object(seen)
            }
            "task" => self.task_value(),
            "item" => self.task.contents.items.get(self.path).cloned().unwrap_or(Value::Null),
            _ => Value::Null,
        }
    }

    fn lookup(&self, path: &str) -> Option<Value> {
        if path == "item" || path.starts_with("item.") {
            let item = self.task.contents.items.get(self.path)?;
            return walk(item, path.strip_prefix("item").unwrap_or_default()).cloned();
        }
        if let Some(rest) = path.strip_prefix("task.") {
            return walk(&self.task_value(), rest).cloned();
        }
        // `steps.NAME.output.x`, where NAME may itself hold dots: a path such as 1.2.
        let rest = path.strip_prefix("steps.")?;
        let (name, field) = ["output", "status"].iter().find_map(|word| {
            let at = rest.find(&format!(".{word}"))?;
            Some((&rest[..at], &rest[at + 1..]))
        })?;
        walk(&self.step(name)?, field).cloned()
    }
}
