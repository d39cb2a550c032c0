//! A step that runs a command on the machine of the server tries to approve of something itself. A real server, the built-in agents, the
//! sandbox as it is; each way is tried by a command, and what that command saw is looked at. None leads to an answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{House, Server, text};
use serde_json::{Value, json};
use std::path::Path;

const LAW: &str = "constitution: A house
articles:
  - id: money
    title: Money
    rules:
      - {at: [action], when: 'action.name == \"echo\"', verdict: ESCALATE, message: somebody looks first}
";

/// A house with a question nobody has answered.
struct Asked {
    house: House,
    server: Server,
    task: String,
    /// Where the database, the token and the configuration are.
    here: String,
}

impl Asked {
    fn open() -> Self {
        let house = House::new();
        std::fs::write(house.path("law.yaml"), LAW).unwrap();
        std::fs::write(house.path("ephor.yaml"), "constitution: law.yaml\n").unwrap();
        // What a step must not find in its environment.
        let server = house.serve_with("127.0.0.1:0", &[], &[("EPHOR_SECRET_CANARY", "canary-in-the-environment")]);
        let task = house.submit(
            &server,
            &json!({"title": "pay", "plan": {"steps": [{"id": "pay", "action": "echo", "params": {"text": "x"}}]}}),
        );
        let here = house.folder.path().canonicalize().unwrap().display().to_string();
        let asked = Self { house, server, task, here };
        asked.until_asked();
        asked
    }

    fn get(&self, path: &str) -> Value {
        self.house.json(&["api", "GET", path, "--server", &self.server.url])
    }

    /// The question is put when the built-in agents come for the step.
    fn until_asked(&self) {
        for _ in 0..400 {
            if self.get(&format!("/api/v1/tasks/{}", self.task))["status"] == "BLOCKED" {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        panic!("nobody was asked: {}", self.get(&format!("/api/v1/tasks/{}/steps", self.task)));
    }

    /// Runs a command as a step, to its end; what it wrote.
    fn sh(&self, params: &Value) -> Value {
        let request = json!({"title": "a step that wants to decide", "max_retries": 0, "plan": {"steps": [{"action": "shell.run", "params": params}]}});
        let task = self.house.submit(&self.server, &request);
        // What looks dangerous is reviewed first. Here it passes: what is tried is whether it could decide once it runs.
        if self.get(&format!("/api/v1/tasks/{task}"))["status"] == "DELIBERATING" {
            let vote = ["review", "vote", &task, "approve", "--reason", "let it try", "--server", &self.server.url];
            let voted = self.house.run(&[&vote[..], &["--token-file", "data/operator.token"]].concat());
            assert!(voted.status.success(), "{}", text(&voted.stderr));
        }
        let watched = self.house.run(&["task", "watch", &task, "--server", &self.server.url]);
        let outputs = self.get(&format!("/api/v1/tasks/{task}/outputs"));
        assert!(outputs[0]["output"].is_object(), "{params}: {}{}", text(&watched.stdout), text(&watched.stderr));
        outputs[0]["output"].clone()
    }

    /// The same of a line for the shell that says how each part of it ended.
    fn tries(&self, line: &str) -> String {
        let output = self.sh(&json!({"command": line}));
        format!("{}{}", output["stdout"].as_str().unwrap(), output["stderr"].as_str().unwrap())
    }

    /// The question stands as it stood, and the server with it.
    fn is_unanswered(&self, after: &str) {
        let events = self.get(&format!("/api/v1/tasks/{}/events?limit=500", self.task));
        let kinds: Vec<&str> = events.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert!(kinds.contains(&"APPROVAL_ASKED"), "{kinds:?}");
        assert!(!kinds.contains(&"APPROVAL_ANSWERED") && !kinds.contains(&"ASSIGNED"), "{after}: {kinds:?}");
        assert_eq!(self.get(&format!("/api/v1/tasks/{}", self.task))["status"], "BLOCKED", "{after}");
    }
}

#[test]
fn a_shell_step_cannot_approve_of_anything_in_any_of_the_ways_it_could_try() {
    let asked = Asked::open();
    let here = asked.here.clone();
    let token = std::fs::read_to_string(Path::new(&here).join("data/operator.token")).unwrap();
    let token = token.trim();
    let pid = asked.server.child.id();
    let failed = |evidence: &str, parts: usize| {
        assert_eq!(evidence.matches("ended=").count(), parts, "{evidence}");
        assert!(!evidence.contains("ended=0"), "one of them worked: {evidence}");
        assert!(!evidence.contains(token), "{evidence}");
    };

    // 1. To read the operator's token: by its path, through the process of the server, by a link in its own folder.
    let evidence = asked.tries(&format!(
        "cat {here}/data/operator.token; echo ended=$?; cat /proc/{pid}/root{here}/data/operator.token; echo ended=$?; \
         cat /proc/{pid}/cwd/data/operator.token; echo ended=$?; ln -s {here}/data/operator.token t; cat t; echo ended=$?; \
         cat ../../operator.token; echo ended=$?"
    ));
    failed(&evidence, 5);
    asked.is_unanswered("reading the token");

    // 2. To call the interface on the loopback address: the network is closed …
    let call = "import sys,urllib.request\n\
                url, task, token = sys.argv[1:4]\n\
                body = b'{\"step\": \"pay\", \"approved\": true}'\n\
                head = {'content-type': 'application/json'}\n\
                if token: head['authorization'] = 'Bearer ' + token\n\
                try: print('answered', urllib.request.urlopen(urllib.request.Request(url + '/api/v1/tasks/' + task + '/approve', body, head), timeout=5).status)\n\
                except urllib.error.HTTPError as e: print('refused', e.code)\n\
                except Exception as e: print('unreachable', e)\n";
    let run = |network: bool, token: &str| {
        let argv = ["python3", "-c", call, &asked.server.url, &asked.task, token];
        asked.sh(&json!({"argv": argv, "network": network}))["stdout"].as_str().unwrap().to_owned()
    };
    let closed = run(false, "");
    assert!(closed.starts_with("unreachable"), "{closed}");
    asked.is_unanswered("a call without the network");
    // … and where its plan opens it, deciding takes a token that it has not.
    for guess in ["", "guessed"] {
        let open = run(true, guess);
        assert_eq!(open.trim(), "refused 401", "{guess}");
        asked.is_unanswered("a call with the network");
    }

    // 3. To open the data folder and the database.
    let open = format!(
        "import sqlite3\ntry: print(sqlite3.connect('file:{here}/data/ephor.db?mode=rw', uri=True).execute('select count(*) from events').fetchone())\n\
         except Exception as e: print('failed', e)\n"
    );
    let output = asked.sh(&json!({"argv": ["python3", "-c", open]}));
    assert!(output["stdout"].as_str().unwrap().starts_with("failed"), "{output}");
    let evidence =
        asked.tries(&format!("ls {here}/data; echo ended=$?; cat {here}/data/ephor.db; echo ended=$?; ls {here}; echo ended=$?"));
    failed(&evidence, 3);
    asked.is_unanswered("opening the database");

    // 4. To write into the folder of the token, the configuration, the constitution, or beside them.
    let before = |name: &str| std::fs::read(Path::new(&here).join(name)).unwrap();
    let files = ["data/operator.token", "ephor.yaml", "law.yaml"];
    let were: Vec<Vec<u8>> = files.iter().map(|name| before(name)).collect();
    let evidence = asked.tries(&format!(
        "(echo mine > {here}/data/operator.token); echo ended=$?; (echo 'policy: {{solo: true}}' > {here}/ephor.yaml); echo ended=$?; \
         rm {here}/law.yaml; echo ended=$?; (echo x > {here}/data/ephor.db-wal); echo ended=$?; mkdir {here}/data/new; echo ended=$?; \
         mv {here}/data {here}/gone; echo ended=$?"
    ));
    failed(&evidence, 6);
    assert_eq!(files.iter().map(|name| before(name)).collect::<Vec<_>>(), were);
    asked.is_unanswered("writing");

    // 5. To reach into the process of the server: signals, its memory, its debugger's door.
    let reach = format!(
        "import ctypes, os, signal\n\
         for name, act in [('signal', lambda: os.kill({pid}, signal.SIGTERM)), ('hang up', lambda: os.kill({pid}, signal.SIGHUP)),\n\
         \x20                 ('memory', lambda: open('/proc/{pid}/mem', 'rb').read(1)), ('descriptors', lambda: os.listdir('/proc/{pid}/fd')),\n\
         \x20                 ('environment', lambda: open('/proc/{pid}/environ').read())]:\n\
         \x20   try: act(); print(name, 'worked')\n\
         \x20   except Exception as e: print(name, 'failed', e)\n\
         libc = ctypes.CDLL(None, use_errno=True)\n\
         print('ptrace', 'worked' if libc.ptrace(16, {pid}, 0, 0) == 0 else 'failed')\n"
    );
    let output = asked.sh(&json!({"argv": ["python3", "-c", reach]}));
    let seen = output["stdout"].as_str().unwrap();
    assert_eq!((seen.matches("failed").count(), seen.contains("worked")), (6, false), "{output}");
    asked.is_unanswered("reaching into the server");

    // 6. To use what it was born with: descriptors that were left open, the environment of the server.
    let born = "import os\n\
                for fd in range(3, 4096):\n\
                \x20   try: print('open', fd, '%d:%d' % (os.fstat(fd).st_dev, os.fstat(fd).st_ino))\n\
                \x20   except OSError: pass\n\
                for name, value in os.environ.items(): print('env', name, value)\n";
    let output = asked.sh(&json!({"argv": ["python3", "-c", born]}));
    let seen = output["stdout"].as_str().unwrap();
    // What this test was born with is handed on to everybody; nothing that the server opened is.
    for line in seen.lines().filter(|line| line.starts_with("open ")) {
        assert!(inherited().iter().any(|own| line.ends_with(own.as_str())), "{line} is there: {seen}");
    }
    for hidden in ["ephor.db", "operator.token", "EPHOR_", "canary"] {
        assert!(!seen.contains(hidden), "{hidden} is there: {seen}");
    }
    assert!(seen.contains("env PATH"), "{seen}");
    asked.is_unanswered("what it was born with");

    // 7. To be the program itself: the command line finds neither server nor token.
    let evidence =
        asked.tries(&format!("{} review approve {} pay --yes; echo ended=$?", env!("CARGO_BIN_EXE_ephor"), asked.task));
    failed(&evidence, 1);
    asked.is_unanswered("the command line");

    // A person may, with the token: the question was there to be answered all along.
    let answered = asked.house.run(&[
        "review",
        "approve",
        &asked.task,
        "pay",
        "--server",
        &asked.server.url,
        "--token-file",
        "data/operator.token",
    ]);
    assert!(answered.status.success(), "{}", text(&answered.stderr));
    assert!(asked.house.run(&["task", "watch", &asked.task, "--server", &asked.server.url]).status.success());
}

/// What this process has open beside its standard streams, by device and inode.
fn inherited() -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let open = (3..4096).filter_map(|fd| std::fs::metadata(format!("/proc/self/fd/{fd}")).ok());
    open.map(|what| format!(" {}:{}", what.dev(), what.ino())).collect()
}
