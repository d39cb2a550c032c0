//! `shell.run`: a command in a sandbox, in a fresh folder, within limits.

pub(crate) mod check;
mod folder;
mod output;

use crate::blocking;
use crate::confine::{OutFolder, relative};
use crate::probe::cannot_look;
use crate::sandbox::outside::{Running as Command, Sandbox};
use crate::sandbox::usage::{Over, exceeded};
use crate::sandbox::{self, Evidence, Limits, Order, Word};
use crate::secrets::{self, Source, Used};
use ephor_core::spec::ErrorClass;
use ephor_core::time::WireDuration;
use ephor_core::work::{Failure, Outcome, Success};
use ephor_sdk::agent::{Acted, Agent, Effected, Job, Running, Stop};
use folder::Folder;
use output::{Collector, HeadTail};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The most files put in, and the most read back.
pub const FILES_MAX: usize = 100;

/// The largest file read back into the output, in bytes.
pub const TEXT_BYTES_MAX: u64 = 256 * 1024;

/// The largest file copied to the out folder, in bytes.
pub const COPY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How much of the error output is shown in a failure, in characters.
const SHOWN_CHARS_MAX: usize = 2_000;

/// How long a command that was told to end may take before it is killed. Well below the grace of the worker.
const GRACE: Duration = Duration::from_secs(2);

/// Where commands are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What `shell.run` may do.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the folders of attempts are made and removed. Nothing else should be in it.
    pub folder: PathBuf,
    /// How commands are kept apart.
    pub sandbox: sandbox::Config,
    /// The most a step may use; it may ask for less.
    pub limits: Limits,
}

/// `shell.run {command | argv, env, workdir, stdin, files, network, timeout, limits, outputs}` → `{exit_code, stdout, stderr,
/// stdout_omitted_bytes, stderr_omitted_bytes, files, sandbox}`.
///
/// The command sees a clean environment: PATH, HOME (its work folder), TMPDIR, LANG, and what `env` declares. Secrets may
/// stand in `env` and `stdin`, nowhere else: arguments can be seen by every process of the machine. `outputs` names files it
/// leaves: `{report: "report.md"}` for their text, `{report: {path: "report.md", out: "2026/report.md"}}` for a copy. With
/// `network: true` it can act on the outside, and asks for the right to. Any exit code but 0 is a failure.
pub struct Shell {
    config: Config,
    sandbox: Sandbox,
    secrets: Source,
    out: OutFolder,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    command: Option<String>,
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    /// Below the work folder.
    workdir: Option<String>,
    stdin: String,
    files: BTreeMap<String, String>,
    network: bool,
    timeout: Option<WireDuration>,
    limits: Asked,
    outputs: BTreeMap<String, Wish>,
}

/// Limits below those of the agent.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    cpu_seconds: Option<u64>,
    memory_mb: Option<u64>,
    file_mb: Option<u64>,
    processes: Option<u64>,
}

/// A file the command should leave.
#[derive(Deserialize)]
#[serde(untagged)]
enum Wish {
    Text(String),
    Copy { path: String, out: String },
}

impl Wish {
    fn path(&self) -> &str {
        match self {
            Self::Text(path) | Self::Copy { path, .. } => path,
        }
    }

    fn bytes_max(&self) -> u64 {
        match self {
            Self::Text(_) => TEXT_BYTES_MAX,
            Self::Copy { .. } => COPY_BYTES_MAX,
        }
    }
}

/// Why a command ended.
enum End {
    Itself,
    TimedOut,
    Told(Stop),
    Over(Over),
}

/// All that is known of a command that ended.
struct Ended {
    end: End,
    word: Option<Word>,
    evidence: Evidence,
    stdout: HeadTail,
    stderr: HeadTail,
    took: Duration,
}

impl Shell {
    pub(crate) fn new(config: Config, secrets: Source, out: OutFolder) -> Self {
        Self { sandbox: Sandbox::new(config.sandbox.clone()), config, secrets, out }
    }

    async fn go(&self, job: Job<'_>, used: &mut Used) -> Result<Outcome, Failure> {
        let params: Arc<Params> = Arc::new(job.params()?);
        let folder = Arc::new(Folder::make(&self.config.folder, job.item())?);
        folder.fill(&params.files)?;
        let mut order = self.order(&params, &job.item().resources, &folder, used)?;
        if let Some(parent) = &job.item().traceparent {
            // As programs that make spans of their own look for it; what the plan says goes before.
            order.env.entry("TRACEPARENT".to_owned()).or_insert_with(|| parent.clone());
        }
        self.sandbox.complete(&mut order).await;
        if !params.network {
            let ended = self.run(job, &order).await?;
            return self.judge(job, &params, &folder, &ended, used).await.map(Outcome::Succeeded);
        }
        if let Some(blocked) = cannot_look(job) {
            return Ok(blocked);
        }
        let args = Value::Object(job.item().params.clone());
        let act = |_| async {
            let ended = match self.run(job, &order).await {
                Ok(ended) => ended,
                Err(failure) => return Acted::NotDone(failure),
            };
            let started = !matches!(ended.word, Some(Word::Refused(_) | Word::NotStarted(_)));
            match self.judge(job, &params, &folder, &ended, used).await {
                Ok(success) => Acted::Done(success),
                Err(failure) if started => Acted::Unknown(failure),
                Err(failure) => Acted::NotDone(failure),
            }
        };
        Ok(Outcome::Succeeded(match job.effect("shell.run", &args, act).await? {
            Effected::Now(success) => success,
            Effected::Before(_) => Success { output: json!({"already_done": true}), ..Success::default() },
        }))
    }

    /// What the launcher is told. The sandbox adds what is its own to decide.
    fn order(&self, params: &Params, resources: &Map<String, Value>, folder: &Folder, used: &mut Used) -> Result<Order, Failure> {
        let argv = match (&params.command, &params.argv[..]) {
            (Some(command), []) => vec!["/bin/sh".into(), "-c".into(), command.clone()],
            (None, [_, ..]) => params.argv.clone(),
            _ => return Err(bad("give either command or argv")),
        };
        if argv.iter().any(|arg| secrets::wanted(arg)) || params.files.values().any(|content| secrets::wanted(content)) {
            return Err(bad("secrets may stand in env and stdin only; give the command a variable"));
        }
        if params.files.len() > FILES_MAX || params.outputs.len() > FILES_MAX {
            return Err(bad("more than 100 files"));
        }
        let (work, tmp) = (folder.work(), folder.tmp());
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let mut env = BTreeMap::from([
            ("PATH".to_string(), PATH.to_string()),
            ("HOME".to_string(), text(&work)),
            ("TMPDIR".to_string(), text(&tmp)),
            ("LANG".to_string(), "C.UTF-8".to_string()),
        ]);
        for (name, value) in &params.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(bad("a variable has a name without = and no zero bytes"));
            }
            env.insert(name.clone(), self.secrets.reveal(value, used)?);
        }
        let workdir = params.workdir.as_deref().map(relative).transpose()?.map_or_else(|| work.clone(), |at| work.join(at));
        std::fs::create_dir_all(&workdir).map_err(|e| crate::confine::failure("workdir", &e))?;
        Ok(Order {
            argv,
            env,
            stdin: self.secrets.reveal(&params.stdin, used)?,
            workdir,
            writable: vec![work, tmp],
            readable: Vec::new(),
            evidence: folder.evidence(),
            limits: self.limits(params, resources),
            network: params.network,
            namespaces: false,
            required: true,
        })
    }

    /// What was allocated to the step counts above what its parameters ask for; neither exceeds what the agent may give.
    fn limits(&self, params: &Params, resources: &Map<String, Value>) -> Limits {
        let most = self.config.limits.clone();
        let given = |name: &str, asked: Option<u64>| resources.get(name).and_then(Value::as_u64).or(asked);
        let (cpu_seconds, memory_mb) =
            (given("cpu_seconds", params.limits.cpu_seconds), given("memory_mb", params.limits.memory_mb));
        let (file_mb, processes) = (given("file_mb", params.limits.file_mb), given("processes", params.limits.processes));
        let less = |most: u64, asked: Option<u64>, unit: u64| asked.map_or(most, |n| most.min(n.saturating_mul(unit)));
        Limits {
            timeout_ms: less(most.timeout_ms, params.timeout.map(|timeout| timeout.ms), 1),
            cpu_s: less(most.cpu_s, cpu_seconds, 1),
            memory_bytes: less(most.memory_bytes, memory_mb, 1 << 20),
            file_bytes: less(most.file_bytes, file_mb, 1 << 20),
            processes: less(most.processes, processes, 1),
            ..most
        }
    }

    /// Runs the command to its end: its own, or the one it is given.
    async fn run(&self, job: Job<'_>, order: &Order) -> Result<Ended, Failure> {
        let begun = Instant::now();
        let started = self.sandbox.start(order).await;
        let mut command = started.map_err(|e| Failure::new(ErrorClass::Other, format!("the sandbox did not start: {e}")))?;
        let (stdout, stderr) = command.streams();
        let (stdout, stderr) =
            (Collector::of(stdout, order.limits.output_bytes), Collector::of(stderr, order.limits.output_bytes));
        let end = watch(job, &mut command, &order.limits).await;
        match end {
            End::Itself => {}
            End::TimedOut | End::Told(_) => command.stop(GRACE).await,
            End::Over(_) => command.kill().await,
        }
        let (stdout, stderr) = (stdout.end().await, stderr.end().await);
        let (evidence, word) = command.evidence();
        Ok(Ended { end, word, evidence, stdout, stderr, took: begun.elapsed() })
    }

    /// Makes of the end of a command what is reported.
    async fn judge(
        &self,
        job: Job<'_>,
        params: &Arc<Params>,
        folder: &Arc<Folder>,
        ended: &Ended,
        used: &Used,
    ) -> Result<Success, Failure> {
        let stdout = shown(&ended.stdout, used);
        let stderr = shown(&ended.stderr, used);
        if let Some(failure) = ended.failure(&stderr, params) {
            return Err(failure);
        }
        let (wishes, left, out) = (params.clone(), folder.clone(), self.out.clone());
        let (secrets, may_act) = (used.clone(), job.item().may_act);
        let files = blocking::run(job, move |_| left.collect(&wishes.outputs, &out, &secrets, may_act)).await?;
        let output = json!({
            "exit_code": 0,
            "stdout": stdout,
            "stderr": stderr,
            "stdout_omitted_bytes": ended.stdout.omitted(),
            "stderr_omitted_bytes": ended.stderr.omitted(),
            "files": mask_in(files, used),
            "sandbox": ended.evidence,
        });
        let took_ms = u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX);
        Ok(Success { output, metrics: [("duration_ms".to_string(), took_ms.into())].into_iter().collect(), ..Success::default() })
    }
}

impl Agent for Shell {
    fn actions(&self) -> Vec<String> {
        vec!["shell.run".into()]
    }

    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        Box::pin(async move {
            let mut used = Used::default();
            let result = self.go(job, &mut used).await;
            result.unwrap_or_else(|failure| Outcome::Failed(used.mask_failure(failure)))
        })
    }
}

/// Waits for the first reason to end.
async fn watch(job: Job<'_>, command: &mut Command, limits: &Limits) -> End {
    let pid = command.pid();
    tokio::select! {
        () = command.ended() => End::Itself,
        () = sleep(Duration::from_millis(limits.timeout_ms)) => End::TimedOut,
        why = job.stopped() => End::Told(why),
        over = exceeded(pid, limits) => End::Over(over),
    }
}

/// Signals by number, where their meaning matters.
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;

/// What programs say when they get no more memory, in lower case.
const MEMORY_WORDS: [&str; 6] =
    ["memoryerror", "cannot allocate memory", "memory exhausted", "out of memory", "bad_alloc", "memory allocation of"];

impl Ended {
    /// Why the command did not do what it should, if so.
    fn failure(&self, stderr: &str, params: &Params) -> Option<Failure> {
        let because = |class, what: String| Some(Failure::new(class, with_last_words(&what, stderr)));
        match self.end {
            End::TimedOut => return because(ErrorClass::Timeout, format!("ended after {} ms", self.took.as_millis())),
            End::Told(why) => return because(ErrorClass::Cancelled, format!("told to end: {why:?}")),
            End::Over(Over::Memory) => return because(ErrorClass::OutOfMemory, "used more memory than it may".into()),
            End::Over(Over::Processes) => return because(ErrorClass::Other, "started more processes than it may".into()),
            End::Itself => {}
        }
        let (code, signal) = match &self.word {
            Some(Word::Ended { code, signal }) => (*code, *signal),
            Some(Word::Refused(reason)) => {
                return Some(Failure::final_(ErrorClass::Refused, format!("shell.run is refused here: {reason}")));
            }
            Some(Word::NotStarted(reason)) => return Some(Failure::new(ErrorClass::NotFound, reason.clone())),
            Some(Word::Confined(_)) | None if self.evidence == Evidence::default() => {
                return because(ErrorClass::Other, "the sandbox did not start".into());
            }
            // The launcher ended before the command did: only the kernel does that, for want of memory.
            Some(Word::Confined(_)) | None => (None, Some(SIGKILL)),
        };
        let exhausted = MEMORY_WORDS.iter().any(|words| stderr.to_lowercase().contains(words));
        match (code, signal) {
            (Some(0), _) => None,
            (_, Some(SIGKILL)) | (Some(137), _) => because(ErrorClass::OutOfMemory, "killed, probably for want of memory".into()),
            (_, Some(SIGXCPU)) | (Some(152), _) => because(ErrorClass::Timeout, "used more processor time than it may".into()),
            (_, Some(SIGXFSZ)) | (Some(153), _) => because(ErrorClass::Other, "wrote a larger file than it may".into()),
            (code, signal) if exhausted => {
                because(ErrorClass::OutOfMemory, format!("got no more memory ({})", status(code, signal)))
            }
            (Some(124), _) => because(ErrorClass::Timeout, "exit code 124".into()),
            (Some(126), _) if params.command.is_some() => {
                because(ErrorClass::Refused, "exit code 126: the command may not be executed".into())
            }
            (Some(127), _) if params.command.is_some() => {
                because(ErrorClass::NotFound, "exit code 127: command not found".into())
            }
            (code, signal) => because(ErrorClass::Other, status(code, signal)),
        }
    }
}

fn status(code: Option<i32>, signal: Option<i32>) -> String {
    match (code, signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended in an unknown way".into(),
    }
}

/// What happened, with the end of what the command complained about.
fn with_last_words(what: &str, stderr: &str) -> String {
    let words = stderr.trim_end();
    let skip = words.chars().count().saturating_sub(SHOWN_CHARS_MAX);
    let words: String = words.chars().skip(skip).collect();
    if words.is_empty() { what.into() } else { format!("{what}: {words}") }
}

/// A stream as it is shown: without secrets, with a mark where its middle was left out.
fn shown(stream: &HeadTail, used: &Used) -> String {
    let (head, tail) = stream.parts();
    if stream.omitted() == 0 {
        return used.mask(&head);
    }
    let (head, tail) = used.mask_cut(&head, &tail);
    format!("{head}\n[… {} bytes left out …]\n{tail}", stream.omitted())
}

/// Texts that were read back, without secrets.
fn mask_in(files: Value, used: &Used) -> Value {
    match files {
        Value::Object(map) => map.into_iter().map(|(name, file)| (name, mask_in(file, used))).collect(),
        Value::String(text) => Value::String(used.mask(&text)),
        other => other,
    }
}

fn bad(what: &str) -> Failure {
    Failure::final_(ErrorClass::BadInput, format!("shell.run: {what}"))
}
