//! Where commands of steps run: apart from the rest of the machine, within limits, and never longer than they may.
//!
//! Three processes stand one inside the other:
//!
//! ```text
//! Ephor ─► unshare ─► launcher ─► the command and whatever it starts
//!          (its own    (limits, Landlock, then
//!          namespaces)  waits as their init)
//! ```
//!
//! `unshare` gives user, process, IPC and, unless the step declares the network, network namespaces. The *launcher* is this
//! program again, started as [`Config::launcher`] says; it reads an order from its standard input, sets the limits, takes
//! rights from itself by Landlock, starts the command and waits. Its standard input then stays open as a lifeline: when it
//! closes, by will or because Ephor died, the launcher ends, and with the first process of its namespace the kernel ends every
//! other one. What could not be enforced stands in the evidence and in `gaps`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

mod inside;
pub(crate) mod outside;
pub(crate) mod usage;

/// What a command may use. All of it holds for one attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
    /// Processor time of one process, in seconds.
    pub cpu_s: u64,
    /// Resident memory of all its processes together, in bytes; sampled, so a short peak above it is possible.
    pub memory_bytes: u64,
    /// Address space of one process, in bytes: the hard bound behind the sampled one.
    pub address_bytes: u64,
    /// The largest file it may write, in bytes.
    pub file_bytes: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// Processes at once. Where Ephor runs as root the kernel bounds them less tightly (about 300 more, and not at all before
    /// Linux 6.14); sampling then ends the command.
    pub processes: u64,
    /// How much of each output stream is kept, in bytes: the first half and the last half of it.
    pub output_bytes: usize,
}

/// Ten minutes, five of them on the processor; 1 GiB resident, 8 GiB of addresses, files of 1 GiB; 256 open files, 128
/// processes; 64 KiB of each output. Enough for a build or a test suite, not enough to hurt a small machine.
impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout_ms: 600_000,
            cpu_s: 300,
            memory_bytes: 1 << 30,
            address_bytes: 8 << 30,
            file_bytes: 1 << 30,
            open_files: 256,
            processes: 128,
            output_bytes: 64 * 1024,
        }
    }
}

/// What happens where the kernel cannot enforce the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// Steps are refused with the reason.
    #[default]
    Required,
    /// Steps run with what there is; the gaps stand in the evidence.
    BestEffort,
}

/// How the sandbox is started.
#[derive(Clone, Debug)]
pub struct Config {
    /// The command line that calls [`exec_main`]: `[current_exe, "sandbox-exec"]`.
    pub launcher: Vec<OsString>,
    /// What happens where the kernel cannot enforce it.
    pub enforcement: Enforcement,
    /// Whether to use namespaces where the kernel gives them; `false` leaves everything to Landlock.
    pub namespaces: bool,
    /// More paths that commands may read and execute, such as a tool chain; those that do not exist are passed over.
    pub readable: Vec<PathBuf>,
}

/// What the launcher is told, as one line of JSON on its standard input. Secrets are in it, so it is never an argument.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) argv: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) stdin: String,
    pub(crate) workdir: PathBuf,
    pub(crate) writable: Vec<PathBuf>,
    pub(crate) readable: Vec<PathBuf>,
    /// Where the launcher writes what it did: a line of [`Word`] each.
    pub(crate) evidence: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) network: bool,
    /// Whether it runs in namespaces of its own.
    pub(crate) namespaces: bool,
    pub(crate) required: bool,
}

/// What the launcher says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Word {
    /// The command was started, this well kept apart.
    Confined(Evidence),
    /// The command was not started.
    Refused(String),
    /// The command was not found, or is nothing that can be run.
    NotStarted(String),
    /// The command ended by itself: its exit code, or the signal it died of.
    Ended { code: Option<i32>, signal: Option<i32> },
}

/// How well a command was kept apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Evidence {
    /// The Landlock version in force; 0 for none.
    pub(crate) landlock_abi: u8,
    pub(crate) namespaces: bool,
    /// `open`, `closed` (no network at all) or `closed_tcp` (only TCP is refused).
    pub(crate) network: String,
    /// What is not enforced here, in words.
    pub(crate) gaps: Vec<String>,
}

/// The body of the hidden subcommand that [`Config::launcher`] names. Must run in a process of its own, before any thread is
/// started: it takes rights from itself, and does not give them back.
pub fn exec_main() -> ExitCode {
    inside::main()
}
