//! The launcher: sets limits, takes rights from itself, starts the command, and stays as the init of its namespace.

use super::{Evidence, Limits, Order, Word};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, geteuid, getrlimit, kill_current_process_group, setpriority_process, setrlimit,
    wait,
};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::process::{Child, Command, ExitCode, Stdio};

/// The newest version this was written for; older kernels enforce what they know.
const WANTED: ABI = ABI::V9;

/// The oldest version that keeps what it promises: before it, files elsewhere could be emptied.
const LEAST: ABI = ABI::V3;

/// How far commands stand back from other processes, from 0 to 19.
const NICE: i32 = 10;

/// How the launcher exits when it could not start the command.
const NOT_STARTED: u8 = 125;

/// How a process exits that somebody killed.
const KILLED: i32 = 137;

/// What every program needs to read: itself, its libraries, and the names of users, hosts and certificates.
const READABLE: [&str; 27] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc/alternatives",
    "/etc/ca-certificates.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/tls",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
];

/// Devices without a memory.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// The highest process id of this namespace.
const PID_MAX: &str = "/proc/sys/kernel/pid_max";

/// Once its ids have been used up, a namespace begins again from here; a highest id below it would leave none.
const RESERVED_PIDS: u64 = 300;

/// The threads of the launcher itself, which count as processes too, and `unshare`.
const OWN_PROCESSES: u64 = 8;

pub(super) fn main() -> ExitCode {
    let mut line = String::new();
    let order = io::stdin().lock().read_line(&mut line).map_err(|e| e.to_string());
    let order = order.and_then(|_| serde_json::from_str::<Order>(&line).map_err(|e| e.to_string()));
    let order = match order {
        Ok(order) => order,
        Err(error) => {
            eprintln!("sandbox: no order: {error}");
            return ExitCode::from(NOT_STARTED);
        }
    };
    match OpenOptions::new().append(true).create(true).open(&order.evidence) {
        Ok(evidence) => obey(order, &evidence),
        Err(error) => {
            eprintln!("sandbox: no evidence can be written: {error}");
            ExitCode::from(NOT_STARTED)
        }
    }
}

fn obey(order: Order, evidence: &File) -> ExitCode {
    let refuse = |word: Word| {
        say(evidence, &word);
        ExitCode::from(NOT_STARTED)
    };
    let bounded = limit_root(&order.limits, order.namespaces);
    match limit(&order.limits, order.namespaces).map_err(|e| e.to_string()).and_then(|()| confine(&order)) {
        Ok(mut confined) => {
            if !bounded {
                confined.gaps.push("processes: as root their number is only sampled".into());
            }
            say(evidence, &Word::Confined(confined));
        }
        Err(reason) => return refuse(Word::Refused(reason)),
    }
    watch_lifeline();
    // From here on behind everybody else: a busy step slows itself, not Ephor nor what is to end it. Linux does this by thread.
    setpriority_process(None, NICE).ok();
    let child = match start(&order) {
        Ok(child) => child,
        Err(error) => return refuse(Word::NotStarted(format!("{}: {error}", order.argv[0]))),
    };
    let (code, signal) = outlive(child, order);
    say(evidence, &Word::Ended { code, signal });
    end_all(code.unwrap_or_else(|| 128 + signal.unwrap_or(0)))
}

fn say(mut evidence: &File, word: &Word) {
    let line = serde_json::to_string(word).expect("words are plain data") + "\n";
    if let Err(error) = evidence.write_all(line.as_bytes()) {
        eprintln!("sandbox: {error}: {line}");
    }
}

fn limit(limits: &Limits, namespaces: bool) -> io::Result<()> {
    // Nobody may raise a limit that was set from outside.
    let possible = |resource, most: u64| Some(getrlimit(resource).maximum.map_or(most, |outer| most.min(outer)));
    let set_both = |resource, current, maximum| {
        setrlimit(resource, Rlimit { current: possible(resource, current), maximum: possible(resource, maximum) })
    };
    let set = |resource, most| set_both(resource, most, most);
    // One second between the warning and the end: a program may say what it was doing.
    set_both(Resource::Cpu, limits.cpu_s, limits.cpu_s + 1)?;
    set(Resource::As, limits.address_bytes)?;
    set(Resource::Fsize, limits.file_bytes)?;
    set(Resource::Nofile, limits.open_files)?;
    set(Resource::Core, 0)?;
    if namespaces {
        // Outside of a namespace this would count all processes of the user, not those of the step.
        set(Resource::Nproc, limits.processes + OWN_PROCESSES)?;
    }
    Ok(())
}

/// Bounds the number of processes where the user is root, whom the limit above does not bind. Since Linux 6.14 a process
/// namespace has a highest process id of its own, and root may lower it. `false` where it could not be done.
fn limit_root(limits: &Limits, namespaces: bool) -> bool {
    if !geteuid().is_root() {
        return true;
    }
    let highest = RESERVED_PIDS + limits.processes + OWN_PROCESSES;
    namespaces && own_pid_max() && fs::write(PID_MAX, highest.to_string()).is_ok()
}

/// Whether the file is about this namespace. Older kernels had one for the whole machine, which is not ours to change.
fn own_pid_max() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(14))
}

/// Takes from this process, and from all it will start, every right that the order does not name.
fn confine(order: &Order) -> Result<Evidence, String> {
    let confined = landlock(order).map_err(|error| format!("Landlock failed: {error}"));
    let status = match (confined, order.required) {
        (Ok(abi), false) => abi,
        (Ok(abi), true) if abi >= LEAST => abi,
        (Ok(ABI::Unsupported), true) => return Err("this kernel has no Landlock; `sandbox: best_effort` runs without".into()),
        (Ok(abi), true) => return Err(format!("this kernel's Landlock is too old ({abi:?}); {LEAST:?} is needed")),
        (Err(reason), true) => return Err(reason),
        (Err(_), false) => ABI::Unsupported,
    };
    let network = match (order.network, order.namespaces) {
        (true, _) => "open",
        (false, true) => "closed",
        (false, false) if status >= ABI::V4 => "closed_tcp",
        (false, false) if order.required => {
            return Err("this kernel can close the network neither by a namespace nor by Landlock".into());
        }
        (false, false) => "open",
    };
    Ok(Evidence { landlock_abi: status as u8, namespaces: order.namespaces, network: network.into(), gaps: gaps(order, status) })
}

fn landlock(order: &Order) -> Result<ABI, RulesetError> {
    let mut rules = Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(AccessFs::from_all(WANTED))?;
    if !order.network {
        rules = rules.handle_access(AccessNet::from_all(WANTED))?; // no rule follows: every port is refused
    }
    let readable = READABLE.iter().map(std::path::Path::new).chain(order.readable.iter().map(|path| path.as_path()));
    let restricted = rules
        .scope(Scope::from_all(WANTED))?
        .create()?
        .add_rules(path_beneath_rules(readable, AccessFs::from_read(WANTED)))?
        .add_rules(path_beneath_rules(DEVICES, AccessFs::ReadFile | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(&order.writable, AccessFs::from_all(WANTED)))?
        .restrict_self()?;
    Ok(match (restricted.ruleset, restricted.landlock) {
        (RulesetStatus::NotEnforced, _) => ABI::Unsupported,
        (_, LandlockStatus::Available { effective_abi, .. }) => effective_abi,
        (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => ABI::Unsupported,
    })
}

/// What a reader of the evidence should know is not enforced.
fn gaps(order: &Order, abi: ABI) -> Vec<String> {
    let gaps = [
        (abi == ABI::Unsupported, "files: everything the user may read and write is open"),
        (abi < ABI::V9, "sockets: those with a path that the user may write to can be reached"),
        (!order.network && !order.namespaces, "network: only TCP is refused, other protocols are open"),
        (!order.namespaces, "processes: one that leaves its group may outlive the step"),
        (!order.namespaces && abi < ABI::V6, "signals: other processes of the user can be ended"),
    ];
    gaps.into_iter().filter(|(open, _)| *open).map(|(_, gap)| gap.to_string()).collect()
}

fn start(order: &Order) -> io::Result<Child> {
    let (program, args) = order.argv.split_first().expect("the order names a program");
    let stdin = if order.stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
    Command::new(program).args(args).env_clear().envs(&order.env).current_dir(&order.workdir).stdin(stdin).spawn()
}

/// Ends everything as soon as nobody is at the other end of the lifeline.
fn watch_lifeline() {
    std::thread::spawn(|| {
        io::stdin().lock().read_to_end(&mut Vec::new()).ok(); // nothing comes but the end
        end_all(KILLED)
    });
}

/// Feeds the command and waits for its end, as the init of all it starts.
fn outlive(mut child: Child, order: Order) -> (Option<i32>, Option<i32>) {
    ignore_termination();
    let stdin = child.stdin.take();
    std::thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            stdin.write_all(order.stdin.as_bytes()).ok(); // the command may close its input whenever it likes
        }
    });
    let own = Pid::from_child(&child);
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == own && (status.exited() || status.signaled()) => {
                return (status.exit_status(), status.terminating_signal());
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {} // an orphan, or our own signal
            Err(_) => return (None, None),
        }
    }
}

/// The command is asked to end by a signal to its whole group; the launcher has to stay until it did.
fn ignore_termination() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    if let Ok(runtime) = runtime {
        let _entered = runtime.enter();
        // The handler outlives the runtime and does nothing without it.
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map(drop).ok();
    }
}

/// Ends every process of the step and this one. In a namespace the kernel does it when its first process ends.
fn end_all(code: i32) -> ! {
    if rustix::process::getpid() != Pid::INIT {
        kill_current_process_group(Signal::KILL).ok();
    }
    std::process::exit(code)
}
