//! A fault run over the watch for silent agents: how often it accuses the living, and how soon it finds the dead. Agents whose signs of
//! life are late, lost, held up by pauses and suspensions, an observer that sleeps itself, and wall clocks that jump; all of it on a
//! clock of its own, so that a year takes seconds and the same seed is the same run.

use super::chance::Chance;
use crate::leases::{Granted, Leases};
use crate::ticker;
use ephor_core::id::{AgentId, ClaimId, TaskId};
use ephor_core::work::{Heartbeat, WorkKey};
use std::collections::BTreeMap;

/// What agents and machines do in a run. Times are milliseconds, rates are once in so many milliseconds of one agent's life.
#[derive(Clone, Copy, Debug)]
pub struct House {
    /// How many agents hold a lease at any time.
    pub agents: usize,
    /// How long the run lasts.
    pub lasts_ms: u64,
    /// How long a lease lasts without a sign of life.
    pub lease_ms: u64,
    /// How often an agent gives one.
    pub beat_ms: u64,
    /// How long a sign of life is on its way at most.
    pub way_ms: u64,
    /// How many of 100 signs of life are lost on the way.
    pub lost_percent: u64,
    /// How often an agent stands still for a moment (a collection of garbage, a busy machine), and for how long at most.
    pub pause_every_ms: u64,
    /// The longest of these.
    pub pause_ms: u64,
    /// How often the process of an agent is suspended, and for how long at most.
    pub suspend_every_ms: u64,
    /// The longest of these.
    pub suspend_ms: u64,
    /// How often an agent dies.
    pub die_every_ms: u64,
    /// How often the process of the observer is suspended.
    pub observer_every_ms: u64,
    /// How long at most.
    pub observer_ms: u64,
    /// How often the wall clock of the observer's machine jumps; the watch does not look at it.
    pub jump_every_ms: u64,
}

impl Default for House {
    /// A lease of a minute with a sign of life every 20 s. Each agent stands still for up to 5 s every 10 minutes, is suspended for up to
    /// 90 s every 6 hours and dies every 12 hours; the observer is suspended for up to 10 minutes once a day.
    fn default() -> Self {
        Self {
            agents: 100,
            lasts_ms: 24 * HOUR,
            lease_ms: 60_000,
            beat_ms: 20_000,
            way_ms: 500,
            lost_percent: 1,
            pause_every_ms: HOUR / 6,
            pause_ms: 5_000,
            suspend_every_ms: 6 * HOUR,
            suspend_ms: 90_000,
            die_every_ms: 12 * HOUR,
            observer_every_ms: 24 * HOUR,
            observer_ms: 600_000,
            jump_every_ms: HOUR,
        }
    }
}

const HOUR: u64 = 3_600_000;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarms {
    /// Signs of life that arrived.
    pub beats: u64,
    /// How often an agent stood still or was suspended.
    pub held_up: u64,
    /// Of these, how often for so long that nobody could tell it from a death.
    pub beyond_telling: u64,
    /// How often the wall clock jumped.
    pub jumps: u64,
    /// How often the observer itself slept, and knew it.
    pub slept: u64,
    /// Agents that died.
    pub died: u64,
    /// Of these, how many were found.
    pub found: u64,
    /// How long each of them had been dead, in milliseconds, in ascending order.
    pub after_ms: Vec<u64>,
    /// Lapses that hit a living agent.
    pub false_alarms: u64,
    /// Of these, those that hit one that had not been held up beyond telling: its signs of life were lost on the way.
    pub unfounded: u64,
    /// Hours of agents' lives, all together.
    pub agent_hours: u64,
}

impl Alarms {
    /// How long the dead had been dead, of a hundred that many at most.
    pub fn within(&self, percent: usize) -> Option<u64> {
        self.after_ms.get((self.after_ms.len() * percent).div_ceil(100).checked_sub(1)?).copied()
    }
}

/// One agent at its work.
struct Life {
    id: AgentId,
    task: TaskId,
    attempt: u32,
    next_beat: u64,
    /// When it last gave a sign of life, whether that arrived or not.
    last_beat: u64,
    /// Until when it stands still.
    still_until: u64,
    /// Whether it was held up for longer than anybody could tell.
    beyond: bool,
    /// Whether its work was taken from it; it claims again once it goes on.
    idle: bool,
    died_at: Option<u64>,
    next_pause: u64,
    next_suspension: u64,
    next_death: u64,
}

/// One run.
pub fn run(house: &House, seed: u64) -> Alarms {
    let mut run = Run::new(house, seed);
    while run.mono < house.lasts_ms {
        run.step();
    }
    run.alarms.agent_hours = (house.agents as u64 * house.lasts_ms) / HOUR;
    run.alarms.after_ms.sort_unstable();
    run.alarms
}

struct Run<'a> {
    house: &'a House,
    chance: Chance,
    leases: Leases,
    lives: Vec<Life>,
    /// Signs of life on their way, by when they arrive.
    on_the_way: BTreeMap<(u64, u64), Heartbeat>,
    sent: u64,
    mono: u64,
    looked: u64,
    next_jump: u64,
    next_sleep: u64,
    alarms: Alarms,
}

/// When something happens next that happens once in so long.
fn next(chance: &mut Chance, mono: u64, every: u64) -> u64 {
    mono + chance.between(1, 2 * every.max(1))
}

impl<'a> Run<'a> {
    fn new(house: &'a House, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let (next_jump, next_sleep) = (next(&mut chance, 0, house.jump_every_ms), next(&mut chance, 0, house.observer_every_ms));
        let mut run = Self {
            house,
            chance,
            leases: Leases::default(),
            lives: Vec::new(),
            on_the_way: BTreeMap::new(),
            sent: 0,
            mono: 0,
            looked: 0,
            next_jump,
            next_sleep,
            alarms: Alarms::default(),
        };
        for _ in 0..house.agents {
            let life = run.birth();
            run.lives.push(life);
        }
        run
    }

    /// An agent claims its work.
    fn birth(&mut self) -> Life {
        let (house, mono) = (self.house, self.mono);
        let life = Life {
            id: AgentId::new(1, self.chance.bytes()),
            task: TaskId::new(1, self.chance.bytes()),
            attempt: 1,
            next_beat: mono + self.chance.between(1, house.beat_ms),
            last_beat: mono,
            still_until: 0,
            beyond: false,
            idle: false,
            died_at: None,
            next_pause: next(&mut self.chance, mono, house.pause_every_ms),
            next_suspension: next(&mut self.chance, mono, house.suspend_every_ms),
            next_death: next(&mut self.chance, mono, house.die_every_ms),
        };
        self.grant(life.task, life.id, life.attempt);
        life
    }

    fn grant(&mut self, task: TaskId, agent: AgentId, attempt: u32) {
        let claim = ClaimId::new(1, self.chance.bytes());
        let granted = Granted { work: work(), attempt, agent, claim, lease_ms: self.house.lease_ms, action: None, told: 0 };
        self.leases.grant(task, granted, self.mono);
    }

    /// Time goes on by as much as the clock's thread sleeps; then it looks.
    fn step(&mut self) {
        let tick = ticker::tick(self.leases.shortest());
        let mut most = tick;
        if self.next_sleep <= self.mono {
            most = self.chance.between(1, self.house.observer_ms);
            self.next_sleep = next(&mut self.chance, self.mono, self.house.observer_every_ms);
        }
        if self.next_jump <= self.mono {
            // Neither the leases nor their watch ever ask for it.
            self.alarms.jumps += 1;
            self.next_jump = next(&mut self.chance, self.mono, self.house.jump_every_ms);
        }
        // Agents live on while the observer sleeps.
        let until = self.mono + most;
        while self.mono < until {
            self.mono = until.min(self.mono + tick);
            for i in 0..self.lives.len() {
                self.live(i);
            }
        }
        self.arrive();
        let slept = ticker::slept(self.mono, self.looked, tick);
        self.looked = self.mono;
        if slept {
            self.alarms.slept += 1;
            self.leases.begin_anew(self.mono);
            return;
        }
        for lapsed in self.leases.lapsed(self.mono) {
            self.accuse(lapsed.task);
        }
    }

    /// What an agent has done up to now.
    fn live(&mut self, i: usize) {
        let (house, mono) = (self.house, self.mono);
        let grace = house.lease_ms + house.lease_ms / ephor_core::liveness::GRACE_PART;
        let life = &mut self.lives[i];
        if life.died_at.is_some() {
            return;
        }
        if life.idle {
            if life.still_until > mono {
                return;
            }
            (life.idle, life.beyond, life.attempt) = (false, false, life.attempt + 1);
            (life.last_beat, life.next_beat) = (mono, mono + house.beat_ms);
            let (task, agent, attempt) = (life.task, life.id, life.attempt);
            self.grant(task, agent, attempt);
            return;
        }
        if life.next_death <= mono {
            life.died_at = Some(life.next_death);
            self.alarms.died += 1;
            return;
        }
        for (due, most) in [(life.next_pause, house.pause_ms), (life.next_suspension, house.suspend_ms)] {
            if due <= mono {
                let until = due + self.chance.between(1, most);
                life.still_until = life.still_until.max(until);
                // One hold may follow the other.
                life.beyond |= life.still_until.saturating_sub(life.last_beat) + house.way_ms > grace;
                self.alarms.held_up += 1;
                self.alarms.beyond_telling += u64::from(life.beyond);
            }
        }
        if life.next_pause <= mono {
            life.next_pause = next(&mut self.chance, mono, house.pause_every_ms);
        }
        if life.next_suspension <= mono {
            life.next_suspension = next(&mut self.chance, mono, house.suspend_every_ms);
        }
        while life.next_beat <= mono {
            // Who stands still gives its sign of life afterwards.
            let at = life.next_beat.max(life.still_until);
            if at > mono {
                life.next_beat = at;
                break;
            }
            (life.last_beat, life.next_beat) = (at, at + house.beat_ms);
            if self.chance.percent(house.lost_percent) {
                continue;
            }
            let beat = Heartbeat { task_id: life.task, work: work(), attempt: life.attempt, progress: None, message: None };
            self.sent += 1;
            self.on_the_way.insert((at + self.chance.below(house.way_ms.max(1)), self.sent), beat);
        }
    }

    /// Signs of life arrive.
    fn arrive(&mut self) {
        while let Some(entry) = self.on_the_way.first_entry() {
            if entry.key().0 > self.mono {
                return;
            }
            let ((at, _), beat) = entry.remove_entry();
            let Some(life) = self.lives.iter_mut().find(|life| life.task == beat.task_id) else { continue };
            // One that was on its way when it stood still says nothing of now.
            life.beyond &= at <= life.still_until;
            self.alarms.beats += 1;
            self.leases.beat(&beat, life.id, at);
        }
    }

    /// Somebody is said to be dead. Whoever lives claims again once it goes on; the dead are replaced.
    fn accuse(&mut self, task: TaskId) {
        let Some(i) = self.lives.iter().position(|life| life.task == task) else { return };
        self.leases.end(task, &work(), self.lives[i].attempt);
        match self.lives[i].died_at {
            Some(at) => {
                self.alarms.found += 1;
                self.alarms.after_ms.push(self.mono - at);
                self.lives[i] = self.birth();
            }
            None => {
                self.alarms.false_alarms += 1;
                self.alarms.unfounded += u64::from(!self.lives[i].beyond);
                self.lives[i].idle = true;
            }
        }
    }
}

fn work() -> WorkKey {
    WorkKey::Step("1".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing is lost, and nobody stands still for longer than the watch allows.
    fn orderly() -> House {
        let suspend_ms = 60_000 + 15_000 - 20_000 - 5_000 - 500 - 1;
        House { agents: 40, lasts_ms: 6 * HOUR, die_every_ms: 2 * HOUR, lost_percent: 0, suspend_ms, ..House::default() }
    }

    #[test]
    fn nobody_who_lives_is_accused_and_all_the_dead_are_found() {
        let house = orderly();
        for seed in 1..=5 {
            let alarms = run(&house, seed);
            assert_eq!((alarms.false_alarms, alarms.unfounded, alarms.beyond_telling), (0, 0, 0), "{seed}: {alarms:?}");
            assert!(alarms.died > 50 && alarms.held_up > 1_000 && alarms.jumps > 0, "{seed}: {alarms:?}");
            // Those who died at the very end are still within their lease.
            assert!(alarms.died - alarms.found <= 5, "{seed}: {alarms:?}");
            // Lease and grace behind the last sign of life, and one tick; an observer that slept begins anew.
            let soon = alarms.after_ms.iter().filter(|after| **after <= 75_000 + 500 + 1_000).count() as u64;
            assert!(alarms.found - soon <= 40 * alarms.slept, "{seed}: {soon} of {alarms:?}");
        }
    }

    #[test]
    fn who_stands_still_beyond_lease_and_grace_is_called_dead() {
        let house = House { suspend_ms: 600_000, suspend_every_ms: HOUR, ..orderly() };
        let alarms = run(&house, 1);
        assert!(alarms.beyond_telling > 0 && alarms.false_alarms > 0, "{alarms:?}");
        assert_eq!(alarms.unfounded, 0, "{alarms:?}");
    }

    #[test]
    fn an_observer_that_forgets_that_it_slept_would_accuse_everybody() {
        // The fault run would see it: without the rule about sleep the same house has false alarms.
        let mut leases = Leases::default();
        let (task, agent) = (TaskId::new(1, [1; 10]), AgentId::new(1, [2; 10]));
        let claim = ClaimId::new(1, [3; 10]);
        leases.grant(task, Granted { work: work(), attempt: 1, agent, claim, lease_ms: 60_000, action: None, told: 0 }, 0);
        assert_eq!(leases.lapsed(600_000).len(), 1);
        assert!(ticker::slept(600_000, 0, ticker::tick(leases.shortest())));
    }

    #[test]
    fn the_same_seed_is_the_same_run() {
        let house = House { agents: 10, lasts_ms: 2 * HOUR, ..House::default() };
        assert_eq!(run(&house, 7), run(&house, 7));
    }
}
