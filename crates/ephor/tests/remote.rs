//! Commands and programs that ask a running server: the same words, the same exit codes, and a watch that outlives the server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{House, text};
use ephor_core::work::{Outcome, Report, Success};
use ephor_sdk::agent::{Agent, Job, Running};
use ephor_sdk::client::{Claim, Client, Config, TaskFilter};
use ephor_sdk::executor::TaskExecutor;
use ephor_sdk::http::{Http, new_claim_id};
use ephor_sdk::worker::{Options, Worker};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Arc;
use tokio::sync::Notify;

/// A task that waits for a signal in its first step.
fn waiting() -> Value {
    json!({"title": "Wait for word", "plan": {"sequential": true, "steps": [
        {"id": "word", "action": "wait.signal", "params": {"name": "go"}},
        {"id": "say", "action": "echo", "params": {"text": "hello"}},
    ]}})
}

#[test]
fn a_watch_outlives_a_killed_server_and_tells_every_event_once() {
    let house = House::new();
    let mut server = house.serve("127.0.0.1:0", &[]);
    let task = house.submit(&server, &waiting());
    let mut watch = house
        .ephor(&["task", "watch", &task, "--json", "--server", &server.url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut events = vec![told.next().unwrap().unwrap()];

    server.kill();
    let mut words = BufReader::new(watch.stderr.take().unwrap()).lines();
    assert!(words.next().unwrap().unwrap().starts_with("reconnecting in "));
    let server = house.serve(server.address(), &[]);
    assert!(house.run(&["task", "signal", &task, "go", "--server", &server.url]).status.success());

    events.extend(told.map(Result::unwrap));
    assert_eq!(watch.wait().unwrap().code(), Some(0), "{}", words.map(Result::unwrap).collect::<Vec<_>>().join("\n"));
    let seen: Vec<u64> = events.iter().map(|e| serde_json::from_str::<Value>(e).unwrap()["position"].as_u64().unwrap()).collect();
    let all = house.json(&["task", "events", &task, "--json", "--server", &server.url]);
    let all: Vec<u64> = all.as_array().unwrap().iter().map(|e| e["position"].as_u64().unwrap()).collect();
    let ended = all.len().min(seen.len());
    assert_eq!(seen, all[..ended], "every event up to the end, once, in order");
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["status_after"], "COMPLETED");
}

#[test]
fn commands_end_over_a_server_as_they_end_without_one() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &[]);
    let ask = |args: &[&str]| {
        let args: Vec<&str> = args.iter().chain(&["--server", &server.url]).copied().collect();
        house.run(&args)
    };
    let code = |args: &[&str]| ask(args).status.code().unwrap();
    let task = house.submit(&server, &waiting());

    assert_eq!(code(&["task", "show", &task]), 0);
    assert_eq!(code(&["task", "status", &task[..20], "--verbose"]), 0);
    assert_eq!(code(&["task", "show", "ghost"]), 3);
    assert_eq!(code(&["task", "list"]), 0);
    assert!(text(&ask(&["task", "list", "-q"]).stdout).contains(&task));
    assert_eq!(code(&["task", "graph", "@last"]), 0);
    assert_eq!(code(&["why", "@last"]), 0);
    assert_eq!(code(&["inbox"]), 0);
    assert_eq!(code(&["task", "pause", &task, "--reason", "lunch"]), 0);
    assert!(text(&ask(&["task", "show", &task, "--json"]).stdout).contains("\"status\": \"PAUSED\""));
    assert_eq!(code(&["task", "watch", &task, "--until", "blocked", "--no-progress"]), 6);
    assert_eq!(code(&["task", "watch", &task, "--timeout", "1s", "--no-progress"]), 7);
    assert_eq!(code(&["task", "resume", &task]), 0);
    assert_eq!(code(&["task", "modify", &task, "--priority", "high"]), 0);
    assert_eq!(code(&["task", "signal", &task, "go"]), 0);
    assert_eq!(code(&["task", "watch", &task, "--no-progress"]), 0);
    assert_eq!(text(&ask(&["task", "outputs", &task, "say"]).stdout).matches("hello").count(), 1);
    let late = ask(&["task", "pause", &task, "--json"]);
    assert_eq!(late.status.code(), Some(8));
    let told: Value = serde_json::from_slice(&late.stderr).unwrap();
    assert_eq!(told["code"], "TERMINAL_STATE");
    assert_eq!(code(&["task", "create", "--description", "x", "--deadline", "soon"]), 2);
    assert_eq!(house.run(&["task", "list", "--server", "http://127.0.0.1:1"]).status.code(), Some(9));
}

#[test]
fn who_decides_on_a_served_database_asks_its_server_and_who_runs_a_job_on_it_is_told_how() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &[]);
    let made = house.run(&["task", "create", "--title", "found", "--action", "echo", "-q"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let task = text(&made.stdout).trim().to_owned();
    let watched = house.run(&["task", "watch", &task, "--no-progress", "--json"]);
    assert!(watched.status.success(), "{}", text(&watched.stderr));
    // The file beside the database makes whoever may read it the operator.
    let shown = house.json(&["task", "events", &task, "--json"]);
    assert_eq!(shown[0]["actor_id"], "operator");

    std::fs::write(house.path("job.yaml"), "title: job\nplan: {steps: [{id: a, action: noop}]}\n").unwrap();
    let refused = house.run(&["run", "job.yaml"]);
    assert_eq!(refused.status.code(), Some(8));
    assert!(text(&refused.stderr).contains(&format!("--server {}", server.url)), "{}", text(&refused.stderr));
    let run = house.run(&["run", "job.yaml", "--server", &server.url]);
    assert!(run.status.success(), "{}", text(&run.stderr));
}

#[test]
fn a_profile_says_where_and_a_token_is_in_no_output() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &[]);
    let token = house.path("token");
    std::fs::write(&token, "ephor_no_such_secret").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let set = |pair: &str| assert!(house.run(&["profile", "set", "mine", pair]).status.success(), "{pair}");
    set(&format!("server={}", server.url));
    assert!(house.run(&["profile", "use", "mine"]).status.success());
    let settings = house.json(&["config", "list", "--json"]);
    let of = |name: &str| settings.as_array().unwrap().iter().find(|s| s["name"] == name).unwrap().clone();
    assert_eq!(
        (of("server")["value"].as_str(), of("server")["from"].as_str()),
        (Some(server.url.as_str()), Some("profile mine"))
    );
    assert_eq!(of("database")["from"], "default");
    assert!(house.run(&["task", "list"]).status.success());

    set(&format!("token_file={}", token.display()));
    let readable = house.run(&["task", "list"]);
    assert_eq!(readable.status.code(), Some(1), "others may read the file");
    assert!(text(&readable.stderr).contains("chmod 600"));
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let unknown = house.run(&["task", "list", "--json"]);
    assert_eq!(unknown.status.code(), Some(4), "the server does not know it");
    let listed = house.run(&["config", "list", "--json"]);
    for output in [readable, unknown, listed] {
        assert!(!text(&output.stdout).contains("no_such_secret") && !text(&output.stderr).contains("no_such_secret"));
    }
    assert_eq!(house.run(&["task", "list", "--profile", "other"]).status.code(), Some(3));
}

#[test]
fn agents_of_this_machine_work_for_a_server_and_drain_on_an_interrupt() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let mut lent = house
        .ephor(&["agent", "run", "--capability", "echo,shell.run", "--external-id", "here", "--server", &server.url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let agent = BufReader::new(lent.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    assert!(agent.starts_with("agent_"), "{agent}");
    let listed = house.json(&["agent", "list", "--json", "--server", &server.url]);
    assert_eq!((listed[0]["id"].as_str(), listed[0]["external_id"].as_str()), (Some(agent.as_str()), Some("here")));

    let task = house.submit(&server, &json!({"title": "over there", "action": "echo", "payload": {"a": 1}}));
    let watched = house.run(&["task", "watch", &task, "--no-progress", "--server", &server.url]);
    assert!(watched.status.success(), "{}", text(&watched.stderr));

    assert!(house.command("/bin/kill", &["-INT", &lent.id().to_string()]).status().unwrap().success());
    assert_eq!(lent.wait().unwrap().code(), Some(0));
    let mut words = String::new();
    lent.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert!(words.contains("draining"), "{words}");
}

/// Holds its work until it is let go.
#[derive(Clone, Default)]
struct Holder {
    began: Arc<Notify>,
    let_go: Arc<Notify>,
}

impl Agent for Holder {
    fn actions(&self) -> Vec<String> {
        vec!["hold".into()]
    }
    fn run<'a>(&'a self, _: Job<'a>) -> Running<'a> {
        Box::pin(async move {
            self.began.notify_one();
            self.let_go.notified().await;
            Outcome::Succeeded(Success { output: "held".into(), ..Success::default() })
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_under_way_outlives_a_killed_server_and_is_reported_in_its_first_attempt() {
    let house = House::new();
    let mut server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let config = Config::new(&server.url);
    let client = Client::new(config.clone()).unwrap();
    let said = json!({"name": "holder", "external_id": "holder", "capabilities": ["hold"]});
    let id = client.register(&serde_json::from_value(said).unwrap()).await.unwrap().id;
    let holder = Holder::default();
    let transport = Arc::new(Http::new(config, id).unwrap());
    let options = Options { wait_ms: 1_000, ..Options::new(id) };
    let worker = Worker::new(transport, options, [Arc::new(holder.clone()) as Arc<dyn Agent>], new_claim_id);
    let (drain, drained) = tokio::sync::oneshot::channel::<()>();
    let working = tokio::spawn(worker.run(async move { drop(drained.await) }));

    let task = house.submit(&server, &json!({"title": "hold on", "action": "hold"}));
    holder.began.notified().await;
    server.kill();
    // It ends while nobody is there to hear of it.
    holder.let_go.notify_one();
    let _server = house.serve(server.address(), &["--no-agents"]);
    let ended = client.finished(&task).await.unwrap();
    assert_eq!(ended.status.word(), "COMPLETED");
    assert_eq!(client.steps(&task).await.unwrap()[0].attempt, 1);
    drop(drain);
    assert_eq!(working.await.unwrap().unreported, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_agent_was_revoked_stops_with_the_reason() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let config = Config::new(&server.url);
    let client = Client::new(config.clone()).unwrap();
    let token = std::fs::read_to_string(house.path("data/operator.token")).unwrap();
    let operator = Client::new(config.clone().with_token(&token)).unwrap();
    let said = json!({"name": "holder", "external_id": "holder", "capabilities": ["hold"]});
    let id = client.register(&serde_json::from_value(said).unwrap()).await.unwrap().id;
    let worker = Worker::new(
        Arc::new(Http::new(config, id).unwrap()),
        Options { wait_ms: 100, ..Options::new(id) },
        [Arc::new(Holder::default()) as Arc<dyn Agent>],
        new_claim_id,
    );
    let working = tokio::spawn(worker.run(std::future::pending()));
    operator.revoke_agent("holder").await.unwrap();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), working).await.expect("it asks no more").unwrap();
    let why = ended.refused.unwrap();
    assert_eq!((ended.unreported, why.code.as_str()), (0, "FORBIDDEN"));
    assert!(why.message.contains("was revoked"), "{why}");

    // The same of the program: it ends by itself, and says why.
    let mut lent = house
        .ephor(&["agent", "run", "--server", &server.url, "--external-id", "lent", "--capability", "echo"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut says = BufReader::new(lent.stdout.take().unwrap()).lines();
    assert!(says.next().unwrap().unwrap().starts_with("agent_"));
    operator.revoke_agent("lent").await.unwrap();
    assert_eq!(lent.wait().unwrap().code(), Some(4));
    let mut told = String::new();
    lent.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(told.contains("was revoked") && told.contains("ephor agent show"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_beside_a_task_is_read_by_the_client() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let client = Client::new(Config::new(&server.url)).unwrap();
    let said = json!({"name": "doer", "external_id": "doer", "capabilities": ["do"]});
    let agent = client.register(&serde_json::from_value(said).unwrap()).await.unwrap().id;
    let request = json!({"title": "Two parts", "plan": {"sequential": true, "steps": [
        {"id": "a", "action": "do"}, {"id": "b", "action": "do"},
    ]}});
    let task = house.submit(&server, &request);

    let graph = client.graph(&task).await.unwrap();
    assert_eq!((graph.nodes.len(), graph.edges[0].from.as_str(), graph.edges[0].to.as_str()), (2, "1", "2"));
    assert_eq!(graph.critical_path, ["1", "2"]);
    let before = client.result(&task).await.unwrap();
    assert!(!before.completed && before.completion_time.is_none());

    let bytes: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let kept = client.keep_payload(&task, bytes.clone()).await.unwrap();
    assert_eq!((kept.size, client.payload(&task, &kept.payload).await.unwrap()), (200_000, bytes));
    assert_eq!(client.payload(&task, "x").await.unwrap_err().code(), Some("NOT_FOUND"));

    client.pause(&task, "lunch").await.unwrap();
    client.resume(&task).await.unwrap();
    let done: Vec<String> = client.interventions(&task).await.unwrap().into_iter().map(|event| event.kind).collect();
    assert_eq!(done, ["PAUSED", "RESUMED"]);

    for (path, output) in [("1", json!("one")), ("2", json!("two"))] {
        let wish = Claim { claim_id: new_claim_id(), max: 1, wait: "10s".into(), start: true };
        let item = client.claim(agent, &wish, std::time::Duration::from_secs(10)).await.unwrap().remove(0);
        let listed = TaskFilter { agent: Some("doer".into()), ..TaskFilter::default() };
        assert_eq!(client.tasks(&listed).await.unwrap().items.len(), 1);
        let say = format!("/api/v1/work/{task}:{}/log?agent={agent}&attempt={}", item.work, item.attempt);
        client.raw("POST", &say, Some(("text/plain", format!("doing {path}").into()))).await.unwrap();
        let outcome = Outcome::Succeeded(Success { output, ..Success::default() });
        let report = Report { task_id: item.task_id, work: item.work, attempt: item.attempt, outcome };
        assert_eq!(client.report(agent, &[report]).await.unwrap().results.len(), 1);
    }
    let logs = client.logs(&task, None).await.unwrap();
    assert_eq!(logs.iter().map(|log| log.text.as_str()).collect::<Vec<_>>(), ["doing 1", "doing 2"]);
    assert_eq!(client.logs(&task, Some("2")).await.unwrap()[0].step.as_deref(), Some("2"));
    let result = client.result(&task).await.unwrap();
    assert_eq!((result.completed, result.status.as_str(), &result.outputs[1].output), (true, "COMPLETED", &json!("two")));
    let listed = TaskFilter { agent: Some("doer".into()), ..TaskFilter::default() };
    assert_eq!(client.tasks(&listed).await.unwrap().items.len(), 0);
    let found = TaskFilter { q: Some("PARTS two".into()), ..TaskFilter::default() };
    assert_eq!(client.tasks(&found).await.unwrap().items.len(), 1);
}

#[test]
fn lists_are_narrowed_alike_over_a_server_and_beside_it() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    house.submit(&server, &json!({"title": "Plain thing", "description": "about gardens", "action": "do"}));
    house.submit(&server, &json!({"title": "Risky thing", "risk": "HIGH", "action": "do"}));
    let said = json!({"name": "doer", "external_id": "doer", "capabilities": ["do"]}).to_string();
    house.json(&["api", "POST", "/api/v1/agents", "-d", &said, "--server", &server.url]);
    house.json(&["api", "GET", "/api/v1/agents/doer/work", "--server", &server.url]);
    // `--database` reads beside the server, and knows nothing of what it has in memory.
    for place in [["--server", server.url.as_str()], ["--database", "sqlite:data/ephor.db"]] {
        let of = |more: &[&str]| {
            let args: Vec<&str> = ["task", "list", "--json"].iter().chain(more).chain(&place).copied().collect();
            let rows = house.json(&args);
            rows.as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of(&["--risk", "high,critical"]), ["Risky thing"], "{place:?}");
        assert_eq!(of(&["--risk", "low", "--q", "thing"]), ["Plain thing"], "{place:?}");
        assert_eq!(of(&["--q", "GARDEN"]), ["Plain thing"], "{place:?}");
        assert_eq!(of(&["--agent", "doer"]), ["Plain thing"], "{place:?}");
        assert_eq!(of(&["--agent", "doer", "--risk", "high"]), [""; 0], "{place:?}");
        let nobody: Vec<&str> = ["task", "list", "--agent", "nobody"].iter().chain(&place).copied().collect();
        assert_eq!(house.run(&nobody).status.code(), Some(3), "{place:?}");
    }
}

/// A built example of the sdk, beside the program itself.
fn example(name: &str) -> std::path::PathBuf {
    let beside = std::path::Path::new(env!("CARGO_BIN_EXE_ephor")).parent().unwrap();
    beside.join("examples").join(name)
}

#[test]
fn the_examples_of_the_sdk_do_what_they_say() {
    let (agent, submit) = (example("sdk-agent"), example("sdk-submit"));
    assert!(agent.exists() && submit.exists(), "build them first: cargo build -p ephor --examples");
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let mut working = house.command(agent, &[]).env("EPHOR_SERVER", &server.url).stdout(Stdio::piped()).spawn().unwrap();
    let mut says = BufReader::new(working.stdout.take().unwrap()).lines();
    assert!(says.next().unwrap().unwrap().starts_with("working as agent_"));
    let submitted = house.command(submit, &[]).env("EPHOR_SERVER", &server.url).output().unwrap();
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    assert!(text(&submitted.stdout).contains("COMPLETED: \"Hello! You asked: Greet the reader\""), "{}", text(&submitted.stdout));
    assert!(house.command("/bin/kill", &["-INT", &working.id().to_string()]).status().unwrap().success());
    assert_eq!(says.next().unwrap().unwrap(), "done, 0 unreported");
    assert!(working.wait().unwrap().success());
}

#[test]
fn completions_and_manual_pages_name_the_commands() {
    let house = House::new();
    let script = house.run(&["completion", "bash"]);
    assert!(script.status.success() && text(&script.stdout).contains("_ephor"));
    assert!(house.run(&["man", "--out", "man"]).status.success());
    let page = std::fs::read_to_string(house.path("man/ephor-task-create.1")).unwrap();
    assert!(page.contains("requirements"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_executed_by_its_type_and_the_answer_is_whether_it_completed() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let client = Client::new(Config::new(&server.url)).unwrap();
    let executor = TaskExecutor::new(client.clone())
        .on("sum", async |task| Ok(json!(task.payload.as_array().unwrap().iter().filter_map(Value::as_i64).sum::<i64>())))
        .on("broken", async |_| Err("the well is dry".into()))
        .on("panics", async |_| panic!("a bug"));
    let submit = |task_type: &str| {
        house.submit(
            &server,
            &json!({"title": "x", "task_type": task_type, "payload": [1, 2, 3], "action": "do", "max_retries": 0}),
        )
    };
    let kinds = |task: &str| -> Vec<String> {
        let events = house.json(&["task", "events", task, "--json", "--server", &server.url]);
        events.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    };
    let sum = submit("sum");
    assert!(executor.execute_task(&sum, "larry").await);
    let done = client.task(&sum).await.unwrap();
    assert_eq!((done.status.word(), done.result), ("COMPLETED", json!(6)));
    assert_eq!(kinds(&sum), ["SUBMITTED", "ASSIGNED", "ATTEMPT_SUCCEEDED", "COMPLETED"], "recorded before it began");
    for (task_type, why) in [("broken", "the well is dry"), ("panics", "without a word")] {
        let task = submit(task_type);
        assert!(!executor.execute_task(&task, "larry").await);
        let failed = client.task(&task).await.unwrap();
        assert_eq!(failed.status.word(), "FAILED");
        assert!(failed.last_error.unwrap().message.contains(why), "{task_type}");
    }
    // What nobody knows, or nobody here can do, stays as it was.
    let position = client.position().await.unwrap();
    assert!(!executor.execute_task("ghost", "larry").await);
    let strange = submit("strange");
    assert!(!executor.execute_task(&strange, "larry").await);
    assert_eq!((kinds(&strange), client.position().await.unwrap()), (vec!["SUBMITTED".to_owned()], position + 1));
    assert!(executor.execute_task(&sum, "larry").await, "it has completed, and so it is said again");
}

#[test]
fn tasks_are_exported_as_a_file_that_is_read_back() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &[]);
    let steps = json!([{"action": "echo", "params": {"text": "hi"}}]);
    let echo = json!({"title": "Say it", "plan": {"steps": steps}, "tags": ["a", "b"], "priority": "HIGH"});
    let done = house.submit(&server, &echo);
    assert_eq!(house.run(&["task", "watch", &done, "--no-progress", "--server", &server.url]).status.code(), Some(0));
    let open = house.submit(&server, &json!({"title": "Later", "action": "nobody", "depends_on": [done]}));
    let out = house.run(&["task", "export", "tasks.json", "--server", &server.url]);
    assert!(out.status.success() && text(&out.stderr).contains("2 tasks"), "{}", text(&out.stderr));
    let file: Value = serde_json::from_slice(&std::fs::read(house.path("tasks.json")).unwrap()).unwrap();
    let of = |id: &str| file.as_array().unwrap().iter().find(|task| task["task_id"] == id).unwrap().clone();
    let (first, second) = (of(&done), of(&open));
    assert_eq!((&first["status"], &first["priority"], &first["tags"]), (&json!("completed"), &json!("high"), &json!(["a", "b"])));
    assert_eq!((&second["status"], &second["name"], &second["claimed_by"]), (&json!("pending"), &json!("Later"), &Value::Null));
    assert!(first["created_at"].is_string() && first["updated_at"].is_string() && first["result"] != Value::Null, "{first}");
    // Without a name it is data; the importer reads it, and what has ended is told as that.
    let told = house.json(&["task", "export", "--server", &server.url]);
    assert_eq!(told.as_array().unwrap().len(), 2);
    let read = house.run(&["plan", "import", "tasks.json", "--dry-run"]);
    assert!(read.status.success(), "{}", text(&read.stderr));
    let all = format!("{}{}", text(&read.stdout), text(&read.stderr));
    assert!(all.contains("Later") && all.contains("already COMPLETED"), "{all}");
}
