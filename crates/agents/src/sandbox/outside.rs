//! The sandbox as Ephor sees it: a launcher to start, to ask to end, to end, and to read the evidence of.

use super::{Config, Enforcement, Evidence, Order, Word};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// Where `unshare` of util-linux lies; looked up by its place, since the caller's PATH is nobody's promise.
const UNSHARE: [&str; 2] = ["/usr/bin/unshare", "/bin/unshare"];

/// How long a launcher may take to end once its lifeline is cut. It only takes longer on a machine that hardly runs.
const END: Duration = Duration::from_secs(2);

/// The evidence of one attempt is two lines; anything larger is not ours.
const EVIDENCE_BYTES_MAX: u64 = 64 * 1024;

/// Starts sandboxes.
pub(crate) struct Sandbox {
    config: Config,
    /// Whether this kernel gives an ordinary user namespaces; tried once.
    namespaces: OnceCell<bool>,
}

/// A command under way.
pub(crate) struct Running {
    child: Child,
    /// Cut by dropping it, on purpose or with everything else.
    lifeline: Option<ChildStdin>,
    evidence: PathBuf,
}

impl Sandbox {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, namespaces: OnceCell::new() }
    }

    /// What the sandbox decides about an order, before it is given.
    pub(crate) async fn complete(&self, order: &mut Order) {
        order.namespaces = self.config.namespaces && *self.namespaces.get_or_init(|| self.try_namespaces()).await;
        order.required = self.config.enforcement == Enforcement::Required;
        order.readable = self.config.readable.clone();
    }

    async fn try_namespaces(&self) -> bool {
        let Some(mut command) = unshare(false) else { return false };
        let tried = command.arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        let works = tried.is_ok_and(|status| status.success());
        if !works {
            tracing::warn!("no unprivileged namespaces on this machine: shell steps are kept apart by Landlock alone");
        }
        works
    }

    /// Starts the command. Dropping what comes back ends it.
    pub(crate) async fn start(&self, order: &Order) -> io::Result<Running> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no launcher is configured");
        let (program, args) = self.config.launcher.split_first().ok_or_else(missing)?;
        let outer = if order.namespaces { unshare(order.network) } else { None };
        let mut command = match outer {
            Some(mut unshare) => {
                unshare.arg("--").arg(program);
                unshare
            }
            None => Command::new(program),
        };
        command.args(args).env_clear().process_group(0).kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut lifeline = child.stdin.take().expect("its input is a pipe");
        let line = serde_json::to_string(order).expect("an order is plain data") + "\n";
        lifeline.write_all(line.as_bytes()).await?;
        Ok(Running { child, lifeline: Some(lifeline), evidence: order.evidence.clone() })
    }
}

/// `unshare` with the namespaces of a step. The user stays who they are, without any new right.
fn unshare(network: bool) -> Option<Command> {
    let program = UNSHARE.into_iter().find(|path| Path::new(path).exists())?;
    let mut flags: Vec<OsString> = ["--map-current-user", "--pid", "--ipc", "--fork", "--kill-child"].map(Into::into).into();
    if !network {
        flags.push("--net".into());
    }
    let mut command = Command::new(program);
    command.args(flags).env_clear();
    Some(command)
}

impl Running {
    /// The two output streams; given once.
    pub(crate) fn streams(&mut self) -> (ChildStdout, ChildStderr) {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        (stdout.expect("its output is a pipe"), stderr.expect("its output is a pipe"))
    }

    /// Its process, from which all others descend; `None` once it has ended.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the end of the command and of all it started.
    pub(crate) async fn ended(&mut self) {
        if let Err(error) = self.child.wait().await {
            tracing::error!(%error, "a command cannot be waited for");
        }
    }

    /// Asks the command to end, and ends it when the grace is over.
    pub(crate) async fn stop(&mut self, grace: Duration) {
        self.signal(Signal::TERM);
        if timeout(grace, self.ended()).await.is_err() {
            self.kill().await;
        }
    }

    /// Ends the command and all it started. With the lifeline cut the launcher ends only after all others did, which a
    /// signal to it would not wait for.
    pub(crate) async fn kill(&mut self) {
        self.lifeline = None;
        if timeout(END, self.ended()).await.is_err() {
            self.signal(Signal::KILL);
            self.ended().await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            kill_process_group(group, signal).ok(); // it may have ended by itself
        }
    }

    /// What the launcher said: how well the command was kept apart, and how it ended.
    pub(crate) fn evidence(&self) -> (Evidence, Option<Word>) {
        let content = crate::confine::read(&self.evidence, "evidence", EVIDENCE_BYTES_MAX).unwrap_or_default();
        let words = content.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        let (mut evidence, mut end) = (Evidence::default(), None);
        for word in words {
            match word {
                Word::Confined(confined) => evidence = confined,
                Word::Refused(_) | Word::NotStarted(_) | Word::Ended { .. } => end = Some(word),
            }
        }
        (evidence, end)
    }
}
