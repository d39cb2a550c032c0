//! What is asked, how it is asked again when the answer is lost, and what an answer promises.

use super::world::{Checked, World};
use crate::engine::plan_in;
use crate::writer::{Claim, Done, Idempotency, Job, Reply, Submit};
use ephor_core::agent::AgentCommand;
use ephor_core::command::{Answer, Command, Refusal};
use ephor_core::constitution::ConstitutionCommand;
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, TaskId};
use ephor_core::namespace::NamespaceEvent;
use ephor_core::request;
use ephor_core::spec::Request;
use ephor_core::validation;
use ephor_core::work::{ClaimRequest, Report};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot::{self, error::TryRecvError};

/// Something that was asked and not yet answered.
pub(super) struct Asked {
    pub(super) what: What,
    pub(super) answer: oneshot::Receiver<Reply>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum What {
    Submit { request: Box<Request>, key: Option<String>, actor: Actor },
    Command { task: TaskId, command: Command, actor: Actor },
    Report { worker: usize, report: Report },
    Claim { worker: usize, wish: ClaimRequest, until: u64 },
    Agent { id: AgentId, command: AgentCommand },
    Erase { task: TaskId },
    Fact { event: NamespaceEvent },
    Amend { command: ConstitutionCommand },
}

impl World {
    /// What the writer is asked for; `None` when it is refused before it comes that far.
    pub(super) fn job(&mut self, what: &What) -> Option<(Box<str>, Job)> {
        let shared = || "default".into();
        Some(match what.clone() {
            What::Submit { request, key, actor } => {
                let submission = request::check(&request, self.now(), &self.policy).ok()?;
                let idempotency = key.map(|key| Idempotency { key, digest: digest(&request) });
                let namespace = submission.facts.namespace.clone();
                let submit = Submit { id: self.task_id(), submission, words: None, actor, idempotency };
                (namespace, Job::Submit(Box::new(submit)))
            }
            What::Command { task, mut command, actor } => {
                validation::command(&mut command).ok()?;
                (shared(), Job::Task { task, command, actor })
            }
            What::Report { worker, report: Report { task_id, work, attempt, outcome } } => {
                let plan = plan_in(&outcome).ok()?.map(Box::new);
                let command = Command::Report { work, attempt, outcome: Box::new(outcome), plan };
                (shared(), Job::Task { task: task_id, command, actor: Actor::agent(self.workers[worker].id) })
            }
            What::Claim { wish, until, .. } => (shared(), Job::Claim(Claim { wish, until, held_first: false })),
            What::Agent { id, command } => (shared(), Job::Agent { id, command, actor: Actor::human("ann") }),
            What::Fact { event } => (shared(), Job::Namespace { name: "*".into(), event, actor: Actor::human("ann") }),
            What::Amend { command } => (shared(), Job::Constitution { command, actor: Actor::human("ann") }),
            What::Erase { task } => (shared(), Job::Erase { task, actor: Actor::human("ann") }),
        })
    }

    /// Hears what has been answered, and asks again where an answer was lost.
    pub(super) fn hear(&mut self) -> Checked {
        for mut asked in std::mem::take(&mut self.asked) {
            match asked.answer.try_recv() {
                Ok(reply) => {
                    if self.talkative {
                        self.say(format!("    answer: {reply:?}"));
                    }
                    self.answered(asked.what, reply)?;
                }
                Err(TryRecvError::Closed) => self.unanswered(asked.what),
                Err(TryRecvError::Empty) => self.asked.push(asked),
            }
        }
        Ok(())
    }

    /// The answer was lost, or the process ended: nobody knows whether it was done. What can be asked again is asked again.
    fn unanswered(&mut self, what: What) {
        match &what {
            What::Submit { key: None, .. } | What::Fact { .. } | What::Amend { .. } => {}
            What::Claim { worker, .. } => self.workers[*worker].waiting = false,
            What::Report { worker, report } => {
                let (worker, report) = (*worker, report.clone());
                self.workers[worker].lost.push(report);
            }
            What::Command { command: Command::Effect(_) | Command::SettleEffect { .. }, .. }
            | What::Submit { .. }
            | What::Agent { .. }
            | What::Erase { .. } => drop(self.ask(what)),
            What::Command { .. } => {
                if self.chance.percent(50) {
                    self.ask(what);
                }
            }
        }
    }

    fn answered(&mut self, what: What, reply: Reply) -> Checked {
        let wrong = |reply: &Reply| Err(format!("{what:?} was answered with {reply:?}"));
        match reply {
            Reply::Full => {
                self.count("disk full");
                self.unanswered(what);
                Ok(())
            }
            Reply::Busy | Reply::Conflict | Reply::Many(_) => wrong(&reply),
            Reply::One(Err(Refusal::Corrupt { .. })) | Reply::Work(Err(Refusal::Corrupt { .. })) => wrong(&reply),
            Reply::One(answer) => self.one(what, answer),
            Reply::Work(items) => match what {
                What::Claim { worker, wish, .. } => self.given(worker, &wish, items),
                other => Err(format!("{other:?} was answered with work")),
            },
        }
    }

    fn one(&mut self, what: What, answer: Result<Done, Refusal>) -> Checked {
        match (what, answer) {
            (What::Submit { request, key, .. }, answer) => self.submitted(&request, key, answer),
            (What::Command { task, command, actor }, answer) => self.commanded(task, &command, &actor, answer),
            (What::Report { worker, report }, answer) => self.reported(worker, report, answer),
            (What::Agent { id, .. }, Ok(done)) => self.observer.agent_reached(id, done.version),
            (What::Agent { .. }, Err(_)) | (What::Fact { .. }, Ok(_)) => Ok(()),
            (What::Amend { .. }, _) => Ok(()),
            (What::Fact { event }, Err(refusal)) => Err(format!("{event:?} was refused: {refusal}")),
            (What::Erase { task }, Ok(done)) => {
                self.observer.reached(task, done.version)?;
                let events = self.reader.stream_events(task.into(), 0, u32::MAX).map_err(|e| e.to_string())?;
                let told = events.iter().filter(|e| e.version <= done.version).filter_map(|e| e.private.as_ref());
                let left = told.into_iter().any(|p| p.body != crate::store::PrivateBody::Erased);
                if left { Err(format!("{task} was erased, but not all of it")) } else { Ok(()) }
            }
            (What::Erase { .. }, Err(_)) => Ok(()),
            (What::Claim { .. }, answer) => Err(format!("a claim was answered with {answer:?}")),
        }
    }

    fn submitted(&mut self, request: &Request, key: Option<String>, answer: Result<Done, Refusal>) -> Checked {
        let known = key.as_ref().and_then(|key| self.workers_keys(key));
        match answer {
            Ok(done) => {
                let task = done.task.ok_or("a submission was answered without a task")?;
                self.observer.reached(task, done.version)?;
                if done.repeated {
                    self.count("idempotent answer repeated");
                }
                if let Some(key) = key {
                    match known {
                        Some((digest_then, then, until)) if until > self.now().0 => {
                            if then != task {
                                return Err(format!("{key} stands for {then} and for {task}"));
                            }
                            if digest_then != digest(request) {
                                return Err(format!("{key} was used for two requests"));
                            }
                        }
                        _ => self.remember(key, digest(request), task),
                    }
                }
                Ok(())
            }
            Err(Refusal::Duplicate { existing } | Refusal::NameTaken { existing } | Refusal::RunAgain { existing, .. }) => {
                self.count("duplicate refused");
                self.observer.reached(existing, 1)
            }
            Err(Refusal::IdempotencyMismatch) => {
                self.count("idempotency mismatch");
                match known {
                    Some((then, ..)) if then == digest(request) => {
                        Err(format!("{} was refused for the request it was first used for", key.unwrap_or_default()))
                    }
                    _ => Ok(()),
                }
            }
            Err(_) => Ok(()),
        }
    }

    /// An acknowledged command has left its event; a refused one has not been carried out.
    fn commanded(&mut self, task: TaskId, command: &Command, actor: &Actor, answer: Result<Done, Refusal>) -> Checked {
        let done = match answer {
            Ok(done) => done,
            Err(refusal) => {
                match (command, refusal) {
                    (Command::Effect(_), Refusal::NoEffect(_)) => self.count("effect refused"),
                    (Command::Vote { .. }, Refusal::AlreadySettled { .. }) => self.count("vote after the end"),
                    _ => {}
                }
                return Ok(());
            }
        };
        match (command, &done.answer) {
            (Command::Effect(wish), Answer::Effect(grant)) => {
                self.observer.reached(task, done.version)?;
                if !self.observer.was_granted(task, grant.effect_id) {
                    return Err(format!("{} of {task} was granted and is nowhere", grant.effect_id));
                }
                if grant.already_done {
                    self.count("effect not done twice");
                }
                self.effect_granted(actor, wish, grant);
                Ok(())
            }
            (Command::SettleEffect { effect, outcome, .. }, _) => match self.observer.was_settled(task, *effect, *outcome) {
                true => self.observer.reached(task, done.version),
                false => Err(format!("{effect} of {task} was settled as {outcome:?} and nobody wrote it down")),
            },
            _ => self.observer.acknowledge(task, done.version, leaves(command)),
        }
    }

    fn reported(&mut self, worker: usize, report: Report, answer: Result<Done, Refusal>) -> Checked {
        let repeated = self.workers[worker].repeats(&report);
        match answer {
            Ok(done) => {
                self.observer.reached(report.task_id, done.version)?;
                if !self.observer.was_given(report.task_id, &report.work, report.attempt) {
                    return Err(format!(
                        "a word about attempt {} of {} counted, but nobody was given it",
                        report.attempt, report.work
                    ));
                }
                if repeated {
                    self.count("report repeated");
                }
            }
            Err(Refusal::StaleAttempt { .. }) if repeated && self.still_stands(worker, &report) => {
                return Err(format!(
                    "the result of attempt {} of {} stands, but said again it is refused",
                    report.attempt, report.work
                ));
            }
            Err(_) => {}
        }
        self.workers[worker].said(report);
        Ok(())
    }

    /// Whether the step is as this very report left it.
    fn still_stands(&self, worker: usize, report: &Report) -> bool {
        use crate::witness::Stage;
        let ephor_core::work::WorkKey::Step(path) = &report.work else { return false };
        let step = self.observer.task(report.task_id).and_then(|e| e.witness.steps.get(path));
        matches!(report.outcome, ephor_core::work::Outcome::Succeeded(_))
            && step.is_some_and(|s| {
                s.doer == Some(self.workers[worker].id)
                    && s.succeeded == Some(report.attempt)
                    && matches!(s.stage, Stage::Done | Stage::Checking)
            })
    }

    fn workers_keys(&self, key: &str) -> Option<(String, TaskId, i64)> {
        self.remembered.get(key).cloned()
    }

    fn remember(&mut self, key: String, digest: String, task: TaskId) {
        let until = self.observer.task(task).and_then(|e| e.task.born_at()).map_or(0, |at| at.plus(7 * 24 * 3_600_000).0);
        self.remembered.insert(key, (digest, task, until));
    }
}

fn digest(request: &Request) -> String {
    let json = serde_json::to_vec(request).expect("a request is plain data");
    Sha256::digest(json).iter().map(|b| format!("{b:02x}")).collect()
}

/// What a command leaves in the log when it is carried out. Empty for those that may find it done already.
fn leaves(command: &Command) -> &'static [&'static str] {
    match command {
        Command::Pause { .. } => &["PAUSED"],
        Command::Resume { .. } => &["RESUMED", "UNBLOCKED", "UNSTALLED"],
        Command::Cancel { .. } => &["CANCEL_REQUESTED", "CANCELLED"],
        Command::Modify(_) => &["MODIFIED"],
        Command::Escalate { .. } => &["ESCALATED"],
        Command::Decide(decision) if decision.council => &["REVIEW_OPENED"],
        Command::Decide(_) => &["ESCALATION_DECIDED"],
        Command::Override { .. } => &["OVERRIDDEN"],
        Command::Reassign { .. } => &["REASSIGNED"],
        Command::Guide { .. } => &["GUIDED"],
        Command::Signal { .. } => &["SIGNAL_RECEIVED"],
        Command::Vote { .. } => &["VOTE_CAST"],
        Command::Confirm { .. } => &["GATE_JUDGED"],
        Command::Approve(_) => &["APPROVAL_ANSWERED"],
        Command::Propose(_) => &["PLANNED"],
        Command::AcceptPlan => &["PLAN_ACCEPTED"],
        Command::Note { .. } => &["REVIEW_NOTED"],
        Command::Submit(_)
        | Command::Claim(_)
        | Command::Start { .. }
        | Command::Report { .. }
        | Command::LeaseLapsed { .. }
        | Command::Wake
        | Command::Effect(_)
        | Command::SettleEffect { .. }
        | Command::Take { .. }
        | Command::Archive
        | Command::Erase => &[],
    }
}
