//! An engine in a process of its own is killed at random moments under load. Whoever asked wrote down what was answered, here, outside;
//! after every kill all of it has to be in the database. Longer: `KILLS=2000 cargo test --release -p ephor-engine --test kills -- --nocapture`

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use ephor_engine::store::sqlite::{Options, SqliteReader};
use ephor_engine::{Engine, Settings};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;
use support::count;
use support::ledger::{Ledger, Told};
use support::traffic::{Crew, Dice, hasty};

/// How many speak to the engine at once.
const CALLERS: usize = 16;
/// How many kills one database lives through.
const LIVES: u64 = 20;
/// The most answers that are waited for before a kill.
const ANSWERS_MAX: u64 = 400;
/// Where the killed process finds its database, and what it decides by.
const DATABASE: &str = "EPHOR_TEST_DATABASE";
const SEED: &str = "EPHOR_TEST_SEED";

/// The process that will be killed, at the latest when the test fails.
struct Victim(Child);

impl Victim {
    fn start(database: &Path, seed: u64) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "the_process_that_is_killed"])
            .env(DATABASE, database)
            .env(SEED, seed.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Reads answers until there are so many, kills, and reads those that were given before.
    fn kill_after(mut self, answers: u64, ledger: &mut Ledger) -> u64 {
        let mut lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let mut read = 0;
        let mut left = answers;
        while left > 0 {
            let line = lines.next().expect("it goes on until it is killed").unwrap();
            left -= u64::from(take(&line, ledger, &mut read));
        }
        self.0.kill().unwrap();
        for line in lines {
            take(&line.unwrap(), ledger, &mut read);
        }
        self.0.wait().unwrap();
        read
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _gone = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Takes a line down. Answers whether it counts towards the kill: beginnings do, so that some kills come very early.
fn take(line: &str, ledger: &mut Ledger, read: &mut u64) -> bool {
    let Some(said) = line.strip_prefix("> ") else { return false };
    if said != "opening" && said != "open" {
        ledger.take(said.parse::<Told>().unwrap());
        *read += 1;
    }
    true
}

#[test]
fn no_answer_is_lost_and_no_token_runs_back_when_the_process_is_killed_at_any_moment() {
    let kills = count("KILLS", 20);
    let (mut answers, mut looked_up, mut early) = (0, 0, 0);
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut dice = Dice(count("SEED", 1));
    let mut done = 0;
    while done < kills {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("ephor.db");
        let mut ledger = Ledger::default();
        for life in 0..LIVES.min(kills - done) {
            // Half of the moments are early ones: while it opens, recovers, registers.
            let most = if dice.roll(2) == 0 { 40 } else { ANSWERS_MAX };
            let after = 1 + dice.roll(most);
            let read = Victim::start(&database, done + life).kill_after(after, &mut ledger);
            early += u64::from(read == 0);
            if database.exists() {
                match SqliteReader::open(&Options::new(&database)) {
                    Ok(reader) => looked_up += ledger.verify(&reader, &format!("kill {} after {after} lines", done + life)),
                    Err(error) => assert_eq!(ledger.answers, 0, "after answers the database opens: {error}"),
                }
            }
        }
        // What is left can go on, and what the dead held is taken from them.
        let engine = Engine::open(Settings { policy: hasty(), ..Settings::new(&database) }).unwrap();
        runtime().block_on(async {
            let crew = Crew::enter(engine.clone(), 1, |_| ()).await.unwrap();
            crew.live(0, u64::MAX, 1).await.unwrap();
            let freed = async {
                while engine.gauges().leases > 0 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), freed).await.expect("silence ends every lease");
        });
        engine.stop();
        looked_up += ledger.verify(&*engine.reader(), "opened again");
        answers += ledger.answers;
        ledger.seen.into_iter().for_each(|(kind, n)| *seen.entry(kind).or_default() += n);
        done += LIVES.min(kills - done);
    }
    println!(
        "{done} kills, {early} before the first answer: {answers} answers, looked up {looked_up} times, none lost; {seen:?}"
    );
    for kind in ["ATTEMPT_FAILED", "AGENT_LOST", "VOTE_CAST", "GATE_JUDGED", "CHILD_BORN", "MAIL_TAKEN", "COMPLETED"] {
        assert!(seen.contains_key(kind), "{kind} never happened: nothing is proven about it");
    }
    assert!(answers > kills * 20, "hardly anything was answered: {answers}");
}

#[test]
#[ignore = "the other half of the test above"]
fn the_process_that_is_killed() -> ExitCode {
    let Some(database) = std::env::var_os(DATABASE) else { return ExitCode::SUCCESS };
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let runtime = runtime();
    say("opening");
    let engine = Engine::open(Settings { policy: hasty(), ..Settings::new(database) }).unwrap();
    say("open");
    runtime.block_on(async {
        let crew = Crew::enter(engine, CALLERS, |told| say(&told.to_string())).await.unwrap();
        let callers: Vec<_> = (0..CALLERS).map(|n| tokio::spawn(crew.clone().live(n, seed, u64::MAX))).collect();
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
    });
    ExitCode::FAILURE
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

/// One line, out of this process before anything else is done.
fn say(line: &str) {
    if writeln!(std::io::stdout(), "> {line}").is_err() {
        // Nobody reads: the test is over.
        std::process::exit(1);
    }
}
