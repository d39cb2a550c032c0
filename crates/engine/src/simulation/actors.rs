//! Clients and agents: honest ones, slow ones, dying ones and liars.

use super::answers::What;
use super::chance::Chance;
use super::requests::{self, Around};
use super::world::{Checked, World};
use crate::clock::Clock;
use ephor_core::agent::{AgentCommand, Registration};
use ephor_core::budget::Usage;
use ephor_core::command::{Command, Refusal};
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, ClaimId, EffectId, TaskId};
use ephor_core::spec::{ErrorClass, GateKind, OnUnknown};
use ephor_core::status::StepStatus;
use ephor_core::work::{
    Advice, ClaimRequest, EffectGrant, EffectOutcome, EffectRequest, Failure, Heartbeat, Judgement, Outcome, Report, Success,
    Then, Unguarded, WorkItem, WorkKey,
};
use serde_json::json;

/// How an agent behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Honest,
    /// Shows no sign of life and reports late.
    Slow,
    /// Takes work and is never heard of again.
    Dying,
    /// Reports what is not its own, what is long over, and what it said otherwise before.
    Lying,
}

/// Work in somebody's hands.
pub(super) struct InHand {
    pub(super) item: WorkItem,
    effect: Option<EffectId>,
    /// What it was granted last.
    wish: Option<EffectRequest>,
    acting: bool,
    pub(super) told_to_stop: bool,
    pub(super) reporting: bool,
}

/// An agent.
pub(super) struct Worker {
    pub(super) id: AgentId,
    name: String,
    pub(super) skills: Vec<Box<str>>,
    pub(super) manner: Manner,
    in_process: bool,
    /// The wish that was last asked, until it is answered.
    pub(super) wish: Option<ClaimRequest>,
    /// Whether an answer to it is under way.
    pub(super) waiting: bool,
    pub(super) held: Vec<InHand>,
    /// Reports whose answer was lost.
    pub(super) lost: Vec<Report>,
    /// What it said before, latest last.
    past: Vec<Report>,
}

impl Worker {
    pub(super) fn new(chance: &mut Chance, n: u64, skills: &[&str]) -> Self {
        let manner = match chance.below(10) {
            0..5 => Manner::Honest,
            5..6 => Manner::Slow,
            6..8 => Manner::Dying,
            _ => Manner::Lying,
        };
        let mut skills: Vec<Box<str>> = skills.iter().map(|s| (*s).into()).collect();
        skills.sort();
        skills.dedup();
        Self {
            id: AgentId::new(1_000 + n as i64, chance.bytes()),
            name: format!("agent{n}"),
            skills,
            manner,
            in_process: chance.percent(20),
            wish: None,
            waiting: false,
            held: Vec::new(),
            lost: Vec::new(),
            past: Vec::new(),
        }
    }

    pub(super) fn is(&self, skill: &str) -> bool {
        self.skills.iter().any(|s| **s == *skill)
    }

    pub(super) fn learn(&mut self, skills: &[&str]) {
        self.skills.extend(skills.iter().map(|s| Box::from(*s)));
        self.skills.sort();
        self.skills.dedup();
    }

    /// The engine's process ended: so did the agents in it, and nobody hears back.
    pub(super) fn process_ended(&mut self) {
        if self.in_process {
            self.held.clear();
            self.wish = None;
            self.lost.clear();
        }
    }

    /// Whether it said just this before.
    pub(super) fn repeats(&self, report: &Report) -> bool {
        self.past.contains(report) || self.lost.contains(report)
    }

    pub(super) fn said(&mut self, report: Report) {
        self.held.retain(|h| (h.item.task_id, &h.item.work, h.item.attempt) != (report.task_id, &report.work, report.attempt));
        self.lost.retain(|r| *r != report);
        if !self.past.contains(&report) {
            self.past.push(report);
        }
    }
}

impl World {
    /// Somebody submits something, or asks again.
    pub(super) fn client(&mut self) {
        let actor = if self.chance.percent(80) {
            self.somebody()
        } else {
            self.workers.first().map_or_else(Actor::settle, |w| Actor::agent(w.id))
        };
        if self.chance.percent(20)
            && let Some((key, request)) = self.chance.pick(&self.keys).cloned()
        {
            let request = if self.chance.percent(80) { request } else { self.request() };
            self.ask(What::Submit { request: Box::new(request), key: Some(key), actor });
            return;
        }
        let request = self.request();
        let key = self.chance.percent(40).then(|| format!("idem:{}", self.keys.len()));
        if let Some(key) = &key {
            self.keys.push((key.clone(), request.clone()));
        }
        self.ask(What::Submit { request: Box::new(request), key, actor });
    }

    fn request(&mut self) -> ephor_core::spec::Request {
        // A plan of thousands of steps costs as much as all else; now and then is enough.
        if self.step == 7 && self.chance.percent(2) {
            return requests::large(&mut self.chance);
        }
        let (now, agents) = (self.now(), self.agent_ids());
        let around = Around { now, tasks: self.observer.order(), agents: &agents };
        requests::request(&mut self.chance, &around)
    }

    pub(super) fn proposal(&mut self) -> ephor_core::spec::PlanSpec {
        let (now, agents) = (self.now(), self.agent_ids());
        requests::proposal(&mut self.chance, &Around { now, tasks: self.observer.order(), agents: &agents })
    }

    pub(super) fn register(&mut self, worker: usize) {
        let Worker { id, name, skills, in_process, .. } = &self.workers[worker];
        let said = Registration {
            name: name.clone(),
            capabilities: skills.clone(),
            external_id: Some(name.clone()),
            // Some have little room, some say what they have; nobody lacks what steps ask for.
            slots: [None, Some(1), None, Some(2)][worker % 4],
            models: if worker % 4 == 2 { vec!["m1".into(), "m2".into()] } else { Vec::new() },
            resources: if worker % 4 == 2 { [("memory_mb".into(), 4_096)].into() } else { Default::default() },
            in_process: *in_process,
            ..Registration::default()
        };
        let what = What::Agent { id: *id, command: AgentCommand::Register(Box::new(said)) };
        self.ask(what);
    }

    /// Some agent does something.
    pub(super) fn agent(&mut self) {
        let i = self.chance.below(self.workers.len() as u64) as usize;
        match self.chance.below(100) {
            0..40 => self.claim(i),
            40..60 => self.beat(i),
            60..97 => self.work(i),
            97..98 => drop(self.ask(What::Agent { id: self.workers[i].id, command: AgentCommand::Drain })),
            _ => self.register(i),
        }
        if self.workers[i].manner == Manner::Lying && self.chance.percent(40) {
            self.lie(i);
        }
    }

    /// Asks for work; where the answer to an earlier wish was lost, with the same wish again.
    pub(super) fn claim(&mut self, i: usize) {
        let mono = self.clock.mono_ms();
        if self.workers[i].waiting || self.workers[i].held.len() > 3 {
            return;
        }
        let wish = match self.workers[i].wish.clone() {
            Some(wish) => wish,
            None => ClaimRequest {
                agent_id: self.workers[i].id,
                claim_id: ClaimId::new(self.now().0, self.chance.bytes()),
                max: self.chance.between(1, 3) as u32,
                wait_ms: if self.chance.percent(40) { self.chance.below(30_000) } else { 0 },
                start: self.chance.percent(75),
            },
        };
        let until = mono + wish.wait_ms;
        let worker = &mut self.workers[i];
        worker.wish = Some(wish.clone());
        worker.waiting = true;
        if !self.ask(What::Claim { worker: i, wish, until }) {
            self.workers[i].waiting = false;
        }
    }

    /// Work came, or none did in time.
    pub(super) fn given(&mut self, i: usize, wish: &ClaimRequest, items: Result<Vec<WorkItem>, Refusal>) -> Checked {
        self.workers[i].waiting = false;
        self.workers[i].wish = None;
        let Ok(items) = items else { return Ok(()) };
        if items.len() > wish.max as usize {
            return Err(format!("{} asked for {} and got {}", wish.agent_id, wish.max, items.len()));
        }
        let told = |(task, work, attempt): &&(TaskId, WorkKey, u32)| {
            items.iter().any(|i| (i.task_id, &i.work, i.attempt) == (*task, work, *attempt))
        };
        if let Some((task, work, attempt)) = self.observer.held_by(wish.claim_id).find(|held| !told(held)) {
            return Err(format!("{} holds attempt {attempt} of {work} of {task} and was not told", wish.agent_id));
        }
        for item in items {
            self.has_its_probe(&item)?;
            if !self.observer.was_given(item.task_id, &item.work, item.attempt) {
                return Err(format!(
                    "attempt {} of {} of {} was handed out and is nowhere",
                    item.attempt, item.work, item.task_id
                ));
            }
            if self.workers[i]
                .held
                .iter()
                .any(|h| h.item.task_id == item.task_id && h.item.work == item.work && h.item.attempt == item.attempt)
            {
                return Err(format!("{} was given {} twice", wish.agent_id, item.work));
            }
            if self.workers[i].manner != Manner::Dying || self.calm {
                self.workers[i].held.push(InHand {
                    item,
                    effect: None,
                    wish: None,
                    acting: false,
                    told_to_stop: false,
                    reporting: false,
                });
            }
        }
        Ok(())
    }

    /// Whoever may do again what may have happened is told to look for it first.
    fn has_its_probe(&self, item: &WorkItem) -> Checked {
        let open = |e: &ephor_core::task::Effect| {
            e.work == item.work && e.on_unknown == OnUnknown::Probe && e.outcome == Some(EffectOutcome::Unknown)
        };
        let held = self.observer.holds(item.task_id, &item.work, item.attempt);
        let examined = self.observer.task(item.task_id).filter(|_| held);
        let told = |id: &EffectId| item.probes.iter().any(|probe| probe.effect_id == *id);
        match examined.is_some_and(|e| e.task.effects().iter().any(|(id, effect)| open(effect) && !told(id))) {
            true => Err(format!("{} of {} was given away, but not what to look for first", item.work, item.task_id)),
            false => Ok(()),
        }
    }

    /// Gives signs of life. An attempt that is not the live one hears that it is stale, and only that one.
    pub(super) fn beat(&mut self, i: usize) {
        let mono = self.clock.mono_ms();
        if self.workers[i].manner == Manner::Slow && !self.calm {
            return;
        }
        let mut wrong = None;
        let worker = &mut self.workers[i];
        for held in &mut worker.held {
            let WorkItem { task_id, work, attempt, .. } = &held.item;
            let lies = worker.manner == Manner::Lying && !self.calm && self.chance.percent(30);
            let attempt = if lies { attempt.wrapping_sub(1) } else { *attempt };
            let beat = Heartbeat { task_id: *task_id, work: work.clone(), attempt, progress: None, message: None };
            let answer = self.process.leases.lock().expect("nobody panics while holding the leases").beat(&beat, worker.id, mono);
            let live = self.observer.holds(*task_id, work, attempt);
            if live != (answer.then != Then::Stale) {
                wrong =
                    Some(format!("a sign of life of attempt {attempt} of {work} of {task_id} was answered {:?}", answer.then));
            }
            if live {
                self.observer.heard(*task_id, work, attempt, mono);
            }
            held.told_to_stop |= answer.then == Then::Cancel;
        }
        if let Some(wrong) = wrong {
            self.wrong.get_or_insert(wrong);
        }
    }

    /// Goes on with something in hand: begins, acts, reports.
    fn work(&mut self, i: usize) {
        if let Some(report) = self.workers[i].lost.pop() {
            self.count("report repeated after a loss");
            self.say_again(i, report);
            return;
        }
        let free: Vec<usize> = (0..self.workers[i].held.len()).filter(|h| !self.workers[i].held[*h].reporting).collect();
        let Some(&h) = self.chance.pick(&free) else { return };
        if self.workers[i].manner == Manner::Slow && !self.calm && self.chance.percent(60) {
            return;
        }
        let InHand { item, effect, acting, told_to_stop, .. } = &self.workers[i].held[h];
        let (item, effect, acting, told) = (item.clone(), *effect, *acting, *told_to_stop);
        let actor = Actor::agent(self.workers[i].id);
        let (task, work, attempt) = (item.task_id, item.work.clone(), item.attempt);
        let started = self.observer.task(task).and_then(|e| e.witness.leases.get(&work)).is_some_and(|l| l.started);
        if !started && self.chance.percent(80) {
            self.ask(What::Command { task, command: Command::Start { work, attempt }, actor });
            return;
        }
        if let (Some(effect), true) = (effect, self.chance.percent(70)) {
            let outcome = match self.chance.below(10) {
                0..5 => EffectOutcome::Done,
                5..7 => EffectOutcome::NotDone,
                _ => EffectOutcome::Unknown,
            };
            self.workers[i].held[h].effect = None;
            // Some do not trust their own memory and ask for the same again.
            self.workers[i].held[h].acting = self.chance.percent(50);
            let command = Command::SettleEffect { effect, holder: Some((work, attempt)), outcome };
            self.ask(What::Command { task, command, actor });
            return;
        }
        if !acting && matches!(work, WorkKey::Step(_) | WorkKey::Undo(_)) {
            let again = self.workers[i].held[h].wish.clone();
            if let Some(wish) = again.filter(|_| self.chance.percent(60)) {
                self.workers[i].held[h].acting = true;
                self.ask(What::Command { task, command: Command::Effect(wish), actor });
                return;
            }
            if self.chance.percent(55) {
                self.workers[i].held[h].acting = true;
                let approved = item.approved_args.map(|args| (item.action, args));
                self.wish_to_act(task, work, attempt, actor, approved);
                return;
            }
        }
        self.finish(i, h, told);
    }

    fn wish_to_act(&mut self, task: TaskId, work: WorkKey, attempt: u32, actor: Actor, approved: Option<(String, String)>) {
        let digit = self.chance.word(&["a", "b"]);
        // What was approved is mostly what is done.
        let (action, args_digest) = match approved {
            Some(just_so) if digit == "a" => just_so,
            _ => ("send".into(), digit.repeat(64)),
        };
        let wish = EffectRequest { task_id: task, work, attempt, action, args_digest };
        self.ask(What::Command { task, command: Command::Effect(wish), actor });
    }

    pub(super) fn effect_granted(&mut self, actor: &Actor, wish: &EffectRequest, grant: &EffectGrant) {
        let of = |h: &&mut InHand| h.item.task_id == wish.task_id && h.item.work == wish.work && h.item.attempt == wish.attempt;
        let worker = self.workers.iter_mut().find(|w| *w.id.to_string() == *actor.id);
        if let Some(held) = worker.and_then(|w| w.held.iter_mut().find(of)) {
            held.effect = (!grant.already_done).then_some(grant.effect_id);
            held.wish = Some(wish.clone());
        }
    }

    /// Reports what is in hand.
    pub(super) fn finish(&mut self, i: usize, h: usize, told_to_stop: bool) {
        let item = self.workers[i].held[h].item.clone();
        let mut outcome = if told_to_stop { Outcome::Cancelled } else { self.outcome(&item) };
        // Some act with credentials of their own, and say so.
        if let Outcome::Succeeded(success) = &mut outcome
            && item.attempt.is_multiple_of(3)
        {
            let act = Unguarded { action: "send".into(), ..Unguarded::default() };
            success.unguarded.push(act);
        }
        let report = Report { task_id: item.task_id, work: item.work, attempt: item.attempt, outcome };
        self.workers[i].held[h].reporting = true;
        if !self.ask(What::Report { worker: i, report }) {
            // The queue was full, or what was to be said made no sense.
            self.workers[i].held[h].reporting = false;
        }
    }

    fn say_again(&mut self, i: usize, report: Report) {
        if !self.ask(What::Report { worker: i, report: report.clone() }) {
            self.workers[i].lost.push(report);
        }
    }

    fn outcome(&mut self, item: &WorkItem) -> Outcome {
        let good = if self.calm { 100 } else { 75 };
        match &item.work {
            // Seldom enough that anything has to be undone: every second time it cannot be.
            WorkKey::Undo(_) if item.attempt % 2 == 1 => {
                Outcome::Failed(Failure::final_(ErrorClass::External, "it cannot be undone"))
            }
            WorkKey::Step(_) | WorkKey::Undo(_) => match self.chance.below(100) {
                // Every third says nothing of what it used, and every third used more than was set aside.
                n if n < good => {
                    let tokens = [0, 10, 60][(item.attempt % 3) as usize];
                    let usage = (tokens > 0).then_some(Usage { tokens, ..Usage::default() });
                    Outcome::Succeeded(Success { usage, ..self.success() })
                }
                75..93 => {
                    let classes = [ErrorClass::External, ErrorClass::Other, ErrorClass::BadOutput, ErrorClass::RateLimit];
                    let class = self.chance.pick(&classes).copied().unwrap_or_default();
                    match self.chance.percent(85) {
                        true => Outcome::Failed(Failure::new(class, "it did not work")),
                        false => Outcome::Failed(Failure::final_(class, "it cannot work")),
                    }
                }
                93..97 => Outcome::Blocked { message: "the door is locked".into() },
                _ => Outcome::Cancelled,
            },
            WorkKey::Gate(..) => {
                let kind = serde_json::from_value(item.subject["gate"]["kind"].clone()).unwrap_or(GateKind::CodeStyle);
                let passed = self.calm || self.chance.percent(70);
                let score = (self.calm || self.chance.percent(80)).then_some(if passed { 0.9 } else { 0.2 });
                Outcome::Judged(Judgement { score, ..Judgement::of(kind, passed) })
            }
            WorkKey::Plan => Outcome::Proposed(Box::new(self.proposal())),
            WorkKey::Analysis => Outcome::Advised(match self.chance.below(10) {
                0..1 => Advice::Retry,
                1..2 => Advice::RetryAfter { delay_ms: self.chance.below(60_000), reason: "not so soon".into() },
                2..5 => self.go_back(item),
                5..7 => Advice::AlternativePath(Box::new(self.proposal())),
                7..9 => Advice::HumanIntervention { reason: "nobody knows".into() },
                _ => Advice::Abort { reason: "no way".into() },
            }),
        }
    }

    /// The word to go back to a step that is done, where there is one.
    fn go_back(&mut self, item: &WorkItem) -> Advice {
        let steps = self.observer.task(item.task_id).map(|e| e.task.step_views()).unwrap_or_default();
        let done: Vec<String> = steps.into_iter().filter(|s| s.status == StepStatus::Completed).map(|s| s.path).collect();
        match self.chance.pick(&done) {
            Some(checkpoint) => Advice::Rollback { checkpoint: checkpoint.clone(), reason: "it went wrong there".into() },
            None => Advice::Retry,
        }
    }

    fn success(&mut self) -> Success {
        let mut success =
            Success { output: json!({"ok": self.chance.percent(60), "n": self.chance.below(9)}), ..Success::default() };
        if self.calm || self.chance.percent(50) {
            let p99 = if self.calm || self.chance.percent(60) { 12 } else { 40 };
            success.metrics.insert("p99".into(), json!(p99));
        }
        for kind in [GateKind::CodeStyle, GateKind::FunctionalTest, GateKind::SecurityScan, GateKind::ManualReview] {
            if self.chance.percent(30) {
                let passed = self.calm || self.chance.percent(60);
                success.evidence.push(Judgement { score: Some(0.8), ..Judgement::of(kind, passed) });
            }
        }
        success
    }

    /// Says what is not so, about what is not its own.
    fn lie(&mut self, i: usize) {
        let actor = Actor::agent(self.workers[i].id);
        let others: Vec<(TaskId, WorkKey, u32)> =
            self.workers.iter().flat_map(|w| &w.held).map(|h| (h.item.task_id, h.item.work.clone(), h.item.attempt)).collect();
        let past = self.chance.pick(&self.workers[i].past).cloned();
        match (self.chance.below(6), past, self.chance.pick(&others).cloned()) {
            // The same again.
            (0, Some(report), _) => drop(self.ask(What::Report { worker: i, report })),
            // Something else about an attempt that is over.
            (1, Some(report), _) => {
                let outcome = match report.outcome {
                    Outcome::Succeeded(_) => Outcome::Failed(Failure::new(ErrorClass::Other, "it did not work after all")),
                    _ => Outcome::Succeeded(Success::default()),
                };
                self.ask(What::Report { worker: i, report: Report { outcome, ..report } });
            }
            // What another holds, or an attempt that is not.
            (2, _, Some((task_id, work, attempt))) => {
                let attempt = if self.chance.percent(50) { attempt } else { attempt + 1 };
                let outcome = Outcome::Succeeded(Success::default());
                self.ask(What::Report { worker: i, report: Report { task_id, work, attempt, outcome } });
            }
            (3, Some(report), _) => self.wish_to_act(report.task_id, report.work, report.attempt, actor, None),
            (3, None, Some((task, work, attempt))) => self.wish_to_act(task, work, attempt, actor, None),
            (4, _, Some((task, work, attempt))) => {
                self.ask(What::Command { task, command: Command::Start { work, attempt }, actor });
            }
            (5, _, Some((task, work, attempt))) => {
                let effect = self.observer.task(task).and_then(|e| e.task.effects().keys().next().copied());
                if let Some(effect) = effect {
                    let holder = self.chance.percent(50).then_some((work, attempt));
                    let command = Command::SettleEffect { effect, holder, outcome: EffectOutcome::Done };
                    self.ask(What::Command { task, command, actor });
                }
            }
            _ => {}
        }
    }
}
