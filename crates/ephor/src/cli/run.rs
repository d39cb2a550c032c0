//! `ephor run`: a job from its file to its end, in this process, before the eyes of whoever asked.
//!
//! The same command goes on where it was stopped. Each request is submitted under a source that names the file and what stands in it,
//! and under a number that counts its runs: the newest run of a source is taken up again unless it has ended. A process that was
//! killed left its task in the database; one that was interrupted left it paused. One that completed while nobody looked is shown and
//! archived, not done again.

use super::failure::{Exit, Failure};
use super::follow::{self, Ended, Followed, Until};
use super::{Cx, show, words};
use crate::api::{Api, ApiError, TaskFilter};
use crate::host::{Need, Workshop};
use clap::Args;
use ephor_core::ask::Ask;
use ephor_core::id::TaskId;
use ephor_core::spec::Request;
use ephor_core::status::Status;
use ephor_core::time::Time;
use ephor_core::view::OutputView;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Where results are written that name no place: below this, in a folder with the name of the file.
const OUT: &str = "ephor-out";
/// How often a submission is tried that another process was quicker with. Once is enough unless several fight over one file.
const SUBMITS_MAX: u32 = 3;
/// Why a task is on hold that was interrupted here.
const INTERRUPTED: &str = "interrupted at the terminal";

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// A plan or request in YAML or JSON, or a plan of another system; or a folder of one
    path: PathBuf,
    /// Where results are written; ephor-out/<name of the file> where it is missing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Set a value of the payload: read as JSON where it reads as JSON, else as text
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = words::pair)]
    params: Vec<(String, Value)>,
    /// Begin anew although an earlier run of this file has not ended
    #[arg(long)]
    new: bool,
    /// Do not show what happens meanwhile
    #[arg(long)]
    no_progress: bool,
    /// How many steps at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    agents: Option<u32>,
}

pub(super) async fn run(args: RunArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let path = std::path::absolute(&args.path).map_err(|e| Failure::file(&args.path, &e))?;
    let here = std::env::current_dir().map_err(|e| Failure::file(Path::new("."), &e))?;
    let out = match &args.out {
        Some(out) => std::path::absolute(out).map_err(|e| Failure::file(out, &e))?,
        None => here.join(OUT).join(path.file_stem().unwrap_or_default()),
    };
    // A server's agents know its folders, not those of this process: there results go below its own out folder.
    let server = cx.place().server;
    let out = if server.is_some() { PathBuf::from(path.file_stem().unwrap_or_default()) } else { out };
    if let Some(server) = server {
        cx.say(format!("the agents of {server} do the work: files are read and written there, as that server allows"));
    }
    let jobs = read(&args, &path, &out, cx)?;
    let config = cx.config()?;
    let agents = Some(args.agents.unwrap_or(config.task_execution.max_concurrent_tasks));
    let (reach, mail) = (config.reach, config.mail);
    let work = Workshop { agents, read: vec![here, out.clone()], out: out.clone(), reach, mail };
    let no_progress = args.no_progress;
    let (followed, outputs, now) = cx
        .with_api(Need::Work(work), async |cx, api| {
            let mut tasks = Vec::with_capacity(jobs.len());
            for job in &jobs {
                tasks.push(begin(job, args.new, api, cx).await?);
            }
            let quiet = cx.output() == super::Output::Id;
            let show = follow::show(cx.terminal, cx.output().is_json(), quiet, no_progress);
            let until = Until { blocked: true, nobody: true, ..Until::default() };
            let mut followed = follow::follow(api, &tasks, (show, cx.globals.ascii), until, cx.terminal).await?;
            // In this process the work ends with it; a server goes on with it.
            if followed.ended == Ended::Interrupted && !api.is_remote() {
                pause(&tasks, api, cx).await?;
                followed.scenes = follow::scenes(api, &tasks).await?;
            }
            let mut outputs = Vec::with_capacity(tasks.len());
            for task in &tasks {
                outputs.push(api.outputs(*task).await?);
            }
            archive(&mut followed, api).await?;
            Ok((followed, outputs, api.now()))
        })
        .await?;
    tell((&followed, &outputs, now), &out, &args, cx);
    if followed.ended == Ended::Interrupted && cx.place().server.is_some() {
        cx.say("the server goes on with it; ephor task watch @last looks again");
    }
    Ok(followed.exit())
}

/// One request of the file, ready to be submitted, and the name of its runs.
struct Job {
    request: Request,
    source: String,
    name: String,
}

/// Reads the file and gives each request what this run adds.
fn read(args: &RunArgs, path: &Path, out: &Path, cx: &mut Cx<'_>) -> Result<Vec<Job>, Failure> {
    let imported = super::plan::import(path)?;
    if imported.requests.iter().any(|r| r.plan.as_ref().is_some_and(|p| p.confidence.is_some())) {
        super::plan::tell_report(&imported.report, cx);
    }
    let mut requests = imported.requests;
    if requests.is_empty() {
        return Err(ApiError::new(
            crate::api::Kind::Invalid,
            "NOTHING_TO_DO",
            format!("nothing is left to be done in {}", path.display()),
        )
        .because("all that it holds is done already")
        .into());
    }
    let params = words::object(args.params.clone());
    for request in &mut requests {
        add_payload(request, &params, out)?;
        request.namespace = request.namespace.take().or_else(|| cx.namespace());
    }
    Ok(requests.into_iter().enumerate().map(|(i, request)| job(request, i, path)).collect())
}

/// The command that goes on with the same job: with all that made it this job.
fn again(args: &RunArgs, globals: &super::Globals) -> String {
    let mut words = vec!["ephor".to_owned(), "run".to_owned(), quoted(&args.path.to_string_lossy())];
    let mut say = |name: &str, value: &str| words.extend([format!("--{name}"), quoted(value)]);
    for (name, value) in &args.params {
        // Text that would be read as something else stands as JSON.
        let plain = value.as_str().filter(|text| serde_json::from_str::<Value>(text).is_err());
        say("param", &format!("{name}={}", plain.map_or_else(|| value.to_string(), ToOwned::to_owned)));
    }
    if let Some(out) = &args.out {
        say("out", &out.to_string_lossy());
    }
    let said = |name: &str| globals.origins.get(name).is_some_and(|origin| *origin == super::settings::Origin::Flag);
    for (name, value) in [
        ("database", &globals.database),
        ("server", &globals.server),
        ("profile", &globals.profile),
        ("namespace", &globals.namespace),
    ] {
        if let Some(value) = value.as_ref().filter(|_| said(name)) {
            say(name, value);
        }
    }
    words.join(" ")
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// Puts parameters into the payload, and, for a plan, the folder its steps write to, as `${task.payload.out}`.
fn add_payload(request: &mut Request, params: &Map<String, Value>, out: &Path) -> Result<(), Failure> {
    let is_plan = request.plan.is_some();
    if request.payload.is_null() && (is_plan || !params.is_empty()) {
        request.payload = Value::Object(Map::new());
    }
    match &mut request.payload {
        Value::Object(payload) => {
            payload.extend(params.clone());
            if is_plan {
                payload.entry("out").or_insert_with(|| Value::String(out.to_string_lossy().into_owned()));
            }
        }
        _ if !params.is_empty() => return Err(Failure::usage("--param needs a payload with names; this one is no object")),
        _ => {}
    }
    Ok(())
}

/// The name of a request's runs: which file, which of its requests, and what stands in it.
fn job(request: Request, index: usize, path: &Path) -> Job {
    let mut hash = Sha256::new();
    hash.update(path.to_string_lossy().as_bytes());
    hash.update(index.to_le_bytes());
    hash.update(serde_json::to_vec(&request).expect("a request is plain data"));
    let digest: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let stem: String =
        path.file_stem().unwrap_or_default().to_string_lossy().chars().filter(|c| !c.is_control()).take(64).collect();
    Job { request, source: format!("ephor run {digest}"), name: format!("{stem}-{}", &digest[..6]) }
}

/// Takes up the newest run that has not ended, or submits another.
async fn begin(job: &Job, anew: bool, api: &dyn Api, cx: &mut Cx<'_>) -> Result<TaskId, Failure> {
    for attempt in 1.. {
        let filter = TaskFilter {
            source: Some(job.source.clone()),
            namespace: job.request.namespace.clone(),
            limit: 1,
            ..TaskFilter::default()
        };
        let newest = api.tasks(filter).await?.items.into_iter().next();
        if let Some(row) = newest.as_ref().filter(|row| row.status == Status::Completed && !anew)
            && !api.task(row.id).await?.archived
        {
            // It ended elsewhere: in a person's hands, or as this command was killed before it could say so.
            cx.say(format!("{} has completed; to begin anew say --new", row.id));
            return Ok(row.id);
        }
        if let Some(row) = newest.as_ref().filter(|row| !row.status.is_final() && !anew) {
            let was_paused = row.status == Status::Paused;
            let task =
                if was_paused { api.ask(row.id, Ask::Resume { reason: String::new() }).await? } else { api.task(row.id).await? };
            cx.say(format!("going on with {}, begun {}", task.id, super::text::ago(row.created_at.0, api.now())));
            return Ok(task.id);
        }
        let runs = newest.and_then(|row| row.external_id).and_then(|id| id.rsplit_once('.')?.1.parse::<u32>().ok()).unwrap_or(0);
        let external_id = Some(format!("{}.{}", job.name, runs + 1));
        match api.submit(Request { external_id, source: Some(job.source.clone()), ..job.request.clone() }).await {
            // Another process was quicker with the same number: look again.
            Err(error) if error.kind == crate::api::Kind::Conflict && attempt < SUBMITS_MAX => {}
            Err(error) => return Err(error.into()),
            Ok(task) => return Ok(task.id),
        }
    }
    unreachable!("the last attempt answers")
}

/// What went well leaves the live set: the job is done, from submission to archive. What did not stays in sight.
async fn archive(followed: &mut Followed, api: &dyn Api) -> Result<(), Failure> {
    for scene in followed.scenes.iter_mut().filter(|s| s.task.status == Status::Completed) {
        scene.task = api.ask(scene.task.id, Ask::Archive).await?;
    }
    Ok(())
}

/// Puts a hold on what has not ended, so that nothing is under way when this process ends.
async fn pause(tasks: &[TaskId], api: &dyn Api, cx: &mut Cx<'_>) -> Result<(), Failure> {
    cx.say("pausing… (Ctrl-C again to leave at once; nothing is lost either way)");
    for task in tasks {
        match api.ask(*task, Ask::Pause { reason: INTERRUPTED.into(), stop_running: true }).await {
            // It has ended or is on hold already.
            Err(error) if error.kind == crate::api::Kind::Conflict => {}
            answer => drop(answer?),
        }
    }
    Ok(())
}

/// What came of it, where it is, and how to go on.
fn tell((followed, outputs, now): (&Followed, &[Vec<OutputView>], Time), out: &Path, args: &RunArgs, cx: &mut Cx<'_>) {
    match cx.output() {
        super::Output::Json | super::Output::Ndjson => return,
        super::Output::Id => return followed.scenes.iter().for_each(|s| cx.terminal.out.line(s.task.id.to_string())),
        super::Output::Table | super::Output::Wide => {}
    }
    let (style, columns) = (cx.style(), cx.columns());
    for (scene, outputs) in followed.scenes.iter().zip(outputs) {
        let mut lines = show::task(scene, false, columns, now, style);
        lines.extend(show::results(outputs, out, columns, style));
        lines.into_iter().for_each(|line| cx.terminal.out.line(line));
    }
    let again = again(args, &cx.globals);
    let unfinished = followed.scenes.iter().filter(|s| !s.task.status.is_final());
    let next: Vec<String> = match followed.ended {
        Ended::Interrupted if cx.place().server.is_some() => Vec::new(),
        Ended::Interrupted => unfinished.map(|s| format!("to go on: {again}    or    ephor task resume {}", s.task.id)).collect(),
        Ended::Waiting => {
            let acts = unfinished.flat_map(|s| s.waiting.iter().filter_map(|w| w.act.clone()));
            acts.map(|act| format!("next: {act}")).chain([format!("then: {again}")]).collect()
        }
        Ended::Finished | Ended::TimedOut => Vec::new(),
    };
    next.into_iter().for_each(|line| cx.say(line));
}
