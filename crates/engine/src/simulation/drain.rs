//! The faults have stopped, everybody does their best: now everything must come to its end.

use super::actors::{Manner, Worker};
use super::answers::What;
use super::requests::{GATES, SIGNALS, SKILLS};
use super::world::{Checked, World};
use crate::{audit, doctor};
use ephor_core::command::{Command, Decision};
use ephor_core::event::{DecisionWord, TextChanges};
use ephor_core::id::TaskId;
use ephor_core::status::Status;
use ephor_core::work::WorkKey;
use serde_json::json;

/// How many rounds it may take. Far more than it takes; reached only when something goes round in circles.
const ROUNDS_MAX: u32 = 600;
/// From which round on people have no more patience with what goes on for ever by its own rules.
const PATIENCE: u32 = 120;

impl World {
    /// Until every task has ended.
    pub(super) fn drain(&mut self) -> Checked {
        self.calm = true;
        self.say("calm".into());
        self.let_all_go();
        let all: Vec<&str> = SKILLS.iter().chain(&GATES).copied().chain(["plan", "analyse"]).collect();
        for n in 0..2 {
            let worker = Worker::new(&mut self.chance, 100 + n, &all);
            self.workers.push(worker);
        }
        for i in 0..self.workers.len() {
            self.workers[i].manner = Manner::Honest;
            // Some work is for one agent alone: it learns what it takes.
            self.workers[i].learn(&all);
            // Whoever was given work that was lost on the way asks for it again, and so hears of it.
            self.register(i);
            self.turn()?;
        }
        for round in 0..ROUNDS_MAX {
            self.step += 1;
            // What nobody heard of is said again.
            if self.process.writer.flow().facts().holds().next().is_some() {
                self.let_all_go();
            }
            if self.observer.unfinished().next().is_none() && self.asked.iter().all(|a| matches!(a.what, What::Claim { .. })) {
                return Ok(());
            }
            let before = self.observer.position();
            self.work_off()?;
            self.people_help(round)?;
            self.turn()?;
            if self.observer.position() == before {
                self.wait_for_the_next()?;
            } else {
                self.clock.pass(1_000);
            }
        }
        let left: Vec<String> =
            self.observer.unfinished().map(|(id, e)| format!("{id} {} {:?}", e.task.status(), e.task.waiting())).collect();
        let asked: Vec<&What> =
            self.asked.iter().map(|asked| &asked.what).filter(|what| !matches!(what, What::Claim { .. })).collect();
        Err(format!("it never ends: {}; unanswered: {asked:?}", left.join("; ")))
    }

    /// Every agent takes what it can and does it.
    fn work_off(&mut self) -> Checked {
        for i in 0..self.workers.len() {
            self.beat(i);
            self.claim(i);
            self.turn()?;
            if let Some(report) = self.workers[i].lost.pop() {
                self.ask(What::Report { worker: i, report });
            }
            for h in 0..self.workers[i].held.len() {
                if !self.workers[i].held[h].reporting {
                    let (told, id) = (self.workers[i].held[h].told_to_stop, self.workers[i].id);
                    let item = &self.workers[i].held[h].item;
                    let (task, work, attempt) = (item.task_id, item.work.clone(), item.attempt);
                    let started = self.observer.task(task).and_then(|e| e.witness.leases.get(&work)).is_some_and(|l| l.started);
                    if !started && matches!(work, WorkKey::Step(_) | WorkKey::Undo(_)) {
                        let actor = ephor_core::event::Actor::agent(id);
                        self.ask(What::Command { task, command: Command::Start { work, attempt }, actor });
                    }
                    self.finish(i, h, told);
                }
            }
            self.turn()?;
        }
        Ok(())
    }

    /// People do what is called for, task by task.
    fn people_help(&mut self, round: u32) -> Checked {
        let waiting: Vec<(TaskId, Status)> = self.observer.unfinished().map(|(id, e)| (id, e.task.status())).collect();
        for (task, status) in waiting {
            match status {
                _ if round > PATIENCE && round.is_multiple_of(10) => {
                    self.impatient(task);
                }
                Status::Paused | Status::Stalled => self.person_asks(task, Command::Resume { reason: String::new() }),
                // What fails whenever it is tried cannot be tried for ever.
                Status::Escalated if round > PATIENCE / 4 => {
                    let text = TextChanges { reason: "enough".into(), ..TextChanges::default() };
                    self.person_asks(
                        task,
                        Command::Decide(Box::new(Decision { word: DecisionWord::Liquidate, text, council: false })),
                    );
                }
                Status::Escalated => self.decide(task),
                Status::Deliberating => self.vote(task),
                Status::Blocked => self.unblock(task),
                Status::Pending
                | Status::Scheduled
                | Status::Assigned
                | Status::InProgress
                | Status::Review
                | Status::Retrying
                | Status::Completed
                | Status::Failed
                | Status::Cancelled
                | Status::Stopped => {
                    if self.observer.task(task).is_some_and(|e| e.task.open_review().is_some()) {
                        self.vote(task);
                    }
                    self.confirm(task);
                    self.approve(task);
                    let blocked = |w: &ephor_core::task::Waiting| {
                        matches!(w.reason.as_str(), "AGENT_OFFLINE" | "EXTERNAL" | "HUMAN_REVIEW" | "BUDGET")
                    };
                    if self.observer.task(task).is_some_and(|e| e.task.waiting().iter().any(blocked)) {
                        self.unblock(task);
                    }
                    for name in SIGNALS {
                        let waits = self.observer.task(task).map(|e| e.task.waiting()).unwrap_or_default();
                        if waits.iter().any(|w| w.reason == "SIGNAL" && w.what.ends_with(name)) {
                            self.person_asks(task, Command::Signal { name: name.into(), payload: json!({"ok": true}) });
                        }
                    }
                }
            }
            self.turn()?;
        }
        Ok(())
    }

    /// What waits for an agent that does not come any more is ended by hand; nothing else should need it.
    fn impatient(&mut self, task: TaskId) {
        let waiting = self.observer.task(task).map(|e| e.task.waiting()).unwrap_or_default();
        let nobody = |w: &ephor_core::task::Waiting| {
            matches!(w.reason.as_str(), "NO_AGENT" | "UNDO" | "STALLED" | "DEPENDENCY" | "CHILD" | "RETRY" | "GATE" | "ESCALATED")
        };
        // The rest moves by itself or is answered in every other round; what does neither meets `ROUNDS_MAX`.
        if !waiting.iter().all(nobody) {
            return;
        }
        self.person_asks(task, Command::Cancel { reason: "nobody comes".into(), force: true });
    }

    /// Nothing happened: time has to pass until something is due.
    fn wait_for_the_next(&mut self) -> Checked {
        let now = self.now();
        let next = self.reader.next_wake().map_err(|e| e.to_string())?;
        let wait = next.map_or(5_000, |at| u64::try_from(at - now.0).unwrap_or(0) + 1);
        // Leases lapse while the clock's thread watches, in steps it does not take for sleep.
        let mut left = wait.min(86_400_000);
        while left > 0 {
            let ms = left.min(if left > 600_000 { left } else { 7_000 });
            self.clock.pass(ms);
            left -= ms;
            for i in 0..self.workers.len() {
                self.beat(i);
            }
            self.turn()?;
        }
        Ok(())
    }

    /// At the end everything is looked at once more, from the store alone.
    pub(super) fn last_look(&mut self) -> Checked {
        self.look()?;
        self.observer.whole()?;
        let report = audit::verify(&*self.reader).map_err(|e| e.to_string())?;
        if let Some(finding) = report.findings.first() {
            return Err(format!("the chain: {finding:?}"));
        }
        let report = doctor::doctor(&*self.reader, self.now()).map_err(|e| e.to_string())?;
        if let Some(finding) = report.findings.first() {
            return Err(format!("doctor: {finding:?}"));
        }
        Ok(())
    }
}
