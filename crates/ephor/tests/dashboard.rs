//! The dashboard in a real browser, over a real server with its built-in agents.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod browser;
mod common;

use browser::Browser;
use common::House;
use serde_json::{Value, json};
use std::io::{BufRead, Read, Write};

/// How many elements the rows of the list of tasks may have, however many tasks there are, and a task's page, however many steps.
const LIST_NODES_MAX: u64 = 250;
const STEPS_NODES_MAX: u64 = 1_500;

/// The link that was printed by the server that was started as the n-th one.
fn login(house: &House, n: usize) -> String {
    for _ in 0..200 {
        let log = std::fs::read_to_string(house.path("server.log")).unwrap();
        let mut links = log
            .lines()
            .filter(|line| line.contains("/login?code="))
            .filter_map(|line| line.find("http://").map(|at| &line[at..]));
        // A line that is still being written has no end yet.
        if let Some(link) = links.nth(n - 1).filter(|_| log.ends_with('\n')) {
            return link.split_whitespace().next().unwrap().to_owned();
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the server printed no link");
}

/// What everybody who looks at a page relies on: it fits, it has one heading, whatever can be used has a name, text can be read.
const LOOKS: &str = r#"
    const wrong = [];
    if (document.documentElement.scrollWidth > innerWidth) wrong.push(`wider than the page: ${document.documentElement.scrollWidth}`);
    const bar = document.querySelector('nav.nav');
    if (bar && bar.scrollWidth > bar.clientWidth + 1) wrong.push(`the bar scrolls sideways: ${bar.scrollWidth} in ${bar.clientWidth}`);
    if (document.querySelectorAll('main h1').length !== 1) wrong.push(`${document.querySelectorAll('main h1').length} h1`);
    for (const one of document.querySelectorAll('button,a[href],input,select,textarea,summary,[tabindex="0"]')) {
      const name = one.getAttribute('aria-label') || one.getAttribute('title') || one.textContent.trim() || one.labels?.[0]?.textContent.trim();
      if (!name) wrong.push(`no name: ${one.outerHTML.slice(0, 120)}`);
    }
    if (document.querySelector('[onclick],main style,main script')) wrong.push('something written into the page');
    const light = (text) => {
      const [r, g, b] = text.match(/[0-9.]+/g).map(Number).map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (one) => {
      for (let at = one; at; at = at.parentElement) {
        const color = getComputedStyle(at).backgroundColor;
        if (!/rgba\(.*, 0\)/.test(color)) return color;
      }
      return 'rgb(255, 255, 255)';
    };
    for (const one of document.querySelectorAll('.st,.tag,.btn:not([disabled]),.muted,h1,h2,.chip,code,.live')) {
      if (!one.textContent.trim() || !one.getClientRects().length) continue;
      const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
      if ((a + 0.05) / (b + 0.05) < 4.4) wrong.push(`hard to read: ${one.className} ${one.textContent.slice(0, 30)} ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
    }
    return wrong;
"#;

fn looks_right(browser: &Browser, what: &str) {
    let wrong = browser.run(LOOKS, json!([]));
    assert_eq!(wrong, json!([]), "{what}");
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{what}: {complaints:?}");
}

const LIVE: &str = "document.querySelector('.live')?.dataset.state === 'live'";

fn status(word: &str) -> String {
    format!("document.querySelector('[data-status]')?.dataset.status === '{word}'")
}

fn step(path: &str, word: &str) -> String {
    format!("document.querySelector('[data-step=\"{path}\"]')?.dataset.stepStatus === '{word}'")
}

/// Writes a request into the form and sends it off.
fn create(browser: &Browser, request: &Value) {
    browser.press("n");
    browser.click("[role=tab]:nth-of-type(2)");
    browser.write("textarea[name=json]", &request.to_string());
    browser.click("form button[type=submit]");
    browser.until("the task is shown", "location.pathname.startsWith('/tasks/task_')");
}

#[test]
fn a_task_is_created_watched_paused_approved_and_cancelled_and_the_page_outlives_the_server() {
    let Some(browser) = Browser::open(1280, 900) else { return };
    let house = House::new();
    let mut server = house.serve("127.0.0.1:0", &[]);
    browser.go(&login(&house, 1));
    browser.until("the first visit", &format!("{LIVE} && document.querySelector('h1')?.textContent === 'Welcome'"));
    looks_right(&browser, "the first visit");

    // What somebody wrote is text, whatever it looks like.
    let title = "<img src=x onerror=\"window.hacked=1\"> & <b>bold</b>";
    create(
        &browser,
        &json!({"title": title, "plan": {"steps": [
            {"id": "first", "action": "echo", "params": {"html": title}},
            {"id": "wait", "action": "wait.for", "needs": ["first"], "params": {"duration": "1s"}},
            {"id": "go", "action": "wait.signal", "needs": ["wait"], "params": {"name": "go"}},
            {"id": "last", "action": "echo", "needs": ["go"], "gates": [{"kind": "MANUAL_REVIEW"}]},
        ]}}),
    );
    browser.until("its title is text", &format!("document.querySelector('h1')?.textContent === {}", json!(title)));
    // It moves without anybody looking again.
    browser.until("the first step is done", &step("1", "COMPLETED"));
    browser.until("the wait is over", &format!("{} && {}", step("2", "COMPLETED"), step("3", "RUNNING")));
    assert_eq!(
        browser.run("return [window.hacked ?? null, document.querySelectorAll('main img, main b b').length]", json!([])),
        json!([null, 0])
    );
    for tab in ["graph", "events", "outputs", "governance", "plan", "timeline"] {
        browser.click(&format!("[role=tab][href*='{}']", if tab == "timeline" { "/tasks/" } else { tab }));
        let drawn = match tab {
            "graph" => "document.querySelectorAll('.node').length === 4 && document.querySelectorAll('.edge').length === 3",
            "events" => "document.querySelectorAll('.evs li').length > 5",
            "outputs" => "document.querySelector('pre.code')?.textContent.includes('<img')",
            "governance" => "document.body.innerText.includes('Rulings of the constitution')",
            "plan" => "document.querySelectorAll('[role=tabpanel] tbody tr').length === 4",
            _ => "document.querySelectorAll('.tlrow[data-step]').length === 4",
        };
        browser.until(tab, drawn);
        looks_right(&browser, tab);
    }

    // Held and let go again.
    let at = browser.run("return location.pathname", json!([])).as_str().unwrap().to_owned();
    let task = at.trim_start_matches("/tasks/").to_owned();
    browser.click("[data-act=pause]");
    browser.write("dialog [name=reason]", "a look at it");
    browser.click("dialog button[type=submit]");
    browser.until("it is paused", &status("PAUSED"));
    browser.click("[data-act=resume]");
    browser.click("dialog button[type=submit]");
    browser.until("it goes on", &status("IN_PROGRESS"));
    // Somebody else does something meanwhile.
    house.run(&["api", "POST", &format!("/api/v1/tasks/{task}/signals/go"), "-d", "{}", "--server", &server.url]);
    browser.until("the gate is open", &step("4", "CHECKING"));

    // A person's look at the result, from the inbox.
    browser.click("nav a[href='/inbox']");
    browser.until("it is asked", "document.querySelectorAll('.q a').length === 1");
    looks_right(&browser, "the inbox");
    browser.click(".dec button:not(.danger)");
    browser.click("dialog button[type=submit]");
    browser.until("nothing is asked any more", "document.querySelectorAll('.q a').length === 0");
    browser.go(&format!("{}{at}", server.url));
    browser.until("it is done", &status("COMPLETED"));

    // The server goes and comes back; the page stays.
    create(&browser, &json!({"title": "waits", "plan": {"steps": [{"action": "wait.signal", "params": {"name": "go"}}]}}));
    browser.until("it runs", &status("IN_PROGRESS"));
    browser.run("window.same = true", json!([]));
    // What people's own pages use tells the same.
    let watch = "import('/ui/monitor.js').then(({ TaskMonitor }) => { \
                 window.monitor = new TaskMonitor(location.pathname.split('/').pop()).onProgress((told) => { window.told = told; }); });";
    browser.run(watch, json!([]));
    browser.until("the monitor tells", "window.told?.overall_progress === 0 && location.pathname.endsWith(window.told.task_id)");
    browser.run("window.monitor.close()", json!([]));
    let address = server.address().to_owned();
    server.kill();
    browser
        .until("the line is lost", "document.querySelector('.banner') && document.querySelector('[data-act=cancel]').disabled");
    // What could not be loaded while nobody was there is no error of the page.
    browser.complaints();
    let server = house.serve(&address, &[]);
    browser.click(".banner button");
    browser.until("it is live again", &format!("{LIVE} && !document.querySelector('.banner') && window.same"));
    // Looking and steering take no session on this machine; deciding does, and the old one went with the server.
    browser.until("deciding is off", "document.querySelector('[data-act=override]').disabled");
    browser.click("[data-act=cancel]");
    browser.click("dialog button[type=submit]");
    browser.until("a reason is asked for", "document.querySelector('dialog[open] [name=reason]:invalid')");
    browser.write("dialog [name=reason]", "no longer needed");
    browser.click("dialog button[type=submit]");
    browser.until("it is cancelled", &status("CANCELLED"));
    browser.complaints();

    // Every page, wide and narrow, light and dark.
    browser.go(&login(&house, 2));
    for (width, theme) in [(2560, "light"), (1280, "dark"), (768, "light"), (320, "dark")] {
        browser.resize(width, 900);
        browser.run("document.documentElement.dataset.theme = arguments[0]", json!([theme]));
        for path in [
            "/",
            "/tasks",
            &at,
            "/inbox",
            "/agents",
            "/council",
            "/constitution",
            "/automation",
            "/models",
            "/figures",
            "/flow",
            "/admin",
            "/new",
        ] {
            let open = "history.pushState(null, '', arguments[0]); dispatchEvent(new PopStateEvent('popstate'))";
            browser.run(open, json!([path]));
            let shown = format!("document.querySelector('main').dataset.page === '{path}'");
            let whole = "document.querySelector('main h1')?.textContent && !document.querySelector('main').innerText.includes('Looking…')";
            browser.until(path, &format!("{LIVE} && {shown} && {whole}"));
            looks_right(&browser, &format!("{path} at {width}, {theme}"));
        }
    }
    // What has no place in the bar at the bottom is behind its last entry, which closes once it was used.
    let (menu, gone) = ("document.querySelector('.nav .more')", "!document.querySelector('.nav .more').open");
    browser.click(".nav .more summary");
    browser.until("the rest of the pages", &format!("{menu}.open && {menu}.querySelectorAll('a').length === 7"));
    browser.click(".nav .more a[href='/figures']");
    browser.until(
        "one of them",
        &format!("location.pathname === '/figures' && {gone} && document.querySelector('h1')?.textContent === 'Metrics'"),
    );
    drop(server);
}

#[test]
fn ten_thousand_tasks_and_a_thousand_steps_stay_usable() {
    let Some(browser) = Browser::open(1280, 900) else { return };
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let lines: String = (0..10_000).map(|n| format!("{}\n", json!({"title": format!("number {n}"), "action": "work"}))).collect();
    std::fs::write(house.path("tasks.ndjson"), lines).unwrap();
    let url = format!("{}/api/v1/tasks/batch", server.url);
    let mut curl = house.command(
        "curl",
        &["--silent", "--fail", "-H", "content-type: application/x-ndjson", "--data-binary", "@tasks.ndjson", &url],
    );
    assert!(curl.output().expect("curl is needed for this test; .ci/run installs it").status.success());
    let steps: Vec<Value> = (0..1_000).map(|n| json!({"id": format!("s{n}"), "action": "work", "needs": if n == 0 { vec![] } else { vec![format!("s{}", n / 2), format!("s{}", n - 1)].into_iter().filter(|id| *id != format!("s{n}")).collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>() }})).collect();
    let large = house.submit(&server, &json!({"title": "a thousand steps", "plan": {"steps": steps}}));

    browser.go(&format!("{}/tasks", server.url));
    browser.until("the first rows", &format!("{LIVE} && document.querySelectorAll('[data-task]').length > 5"));
    let nodes =
        |of: &str| browser.run("return document.querySelectorAll(`${arguments[0]} *`).length", json!([of])).as_u64().unwrap();
    assert!(nodes(".rows") <= LIST_NODES_MAX, "at its beginning: {}", nodes(".rows"));
    // Down to the end of ten pages of the list.
    browser.until("the second thousand", "(scrollTo(0, document.documentElement.scrollHeight), document.querySelector('main [role=status]').textContent.startsWith('2'))");
    browser.run("scrollTo(0, document.documentElement.scrollHeight / 2)", json!([]));
    browser.until("rows in the middle", "document.elementFromPoint(640, 450)?.closest('[data-task]')");
    let drawn = nodes(".rows");
    assert!((100..=LIST_NODES_MAX).contains(&drawn), "rows out of sight are not in the page: {drawn}");
    browser.write(".tools input[type=search]", "number 9999");
    browser.until(
        "the one that is looked for",
        "document.querySelectorAll('[data-task]').length === 1 && location.search.includes('q=')",
    );

    browser.go(&format!("{}/tasks/{large}", server.url));
    browser.until("the first steps", "document.querySelectorAll('.tlrow[data-step]').length > 10");
    assert!(nodes("main") <= STEPS_NODES_MAX, "a thousand steps: {}", nodes("main"));
    browser.press("2");
    browser.until("the graph", "document.querySelectorAll('.node').length === 1000");

    // The same number in groups begins folded, in the tree and in the graph, and a group opens.
    let of = |group: usize| (0..100).map(|n| json!({"id": format!("g{group}s{n}"), "action": "work"})).collect::<Vec<_>>();
    let groups: Vec<Value> = (0..10).map(|group| json!({"id": format!("g{group}"), "steps": of(group)})).collect();
    let grouped = house.submit(&server, &json!({"title": "ten groups", "plan": {"steps": groups}}));
    browser.go(&format!("{}/tasks/{grouped}", server.url));
    browser.until("groups", "document.querySelectorAll('.tlrow[data-step]').length === 10");
    assert!(nodes("main") <= STEPS_NODES_MAX, "ten groups: {}", nodes("main"));
    browser.click("[data-step='1'] .fold");
    browser.until("what is in one", "document.querySelector('[data-step=\"1.1\"]')");
    assert!(nodes("main") <= STEPS_NODES_MAX, "one open group: {}", nodes("main"));
    browser.press("2");
    browser.until("the folded graph", "document.querySelectorAll('.node').length === 10");
    assert!(browser.complaints().is_empty());
}

/// Answers each message with 204, for as long as the test goes on.
fn receiver() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = std::io::BufReader::new(stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            // Whoever asked may have gone meanwhile.
            let _ = reader.read_exact(&mut body);
            let _ = reader.into_inner().write_all(b"HTTP/1.1 204 X\r\nconnection: close\r\n\r\n");
        }
    });
    port
}

const CONFIG: &str = r#"
policy: {breaker: {failure_threshold: 1, recovery_timeout: 1h}}
webhooks: {allow_private: true}
models:
  catalogue: {big: {provider: acme, cost_in: 3000, cost_out: 15000, context: 200000, tier: strong}}
  rules: [{when: {requirement: code}, primary: big, fallbacks: [small], reason: strong at code}]
"#;

/// An agent that fails one piece of work by its model's fault.
fn failing(house: &House, url: &str) {
    let api =
        |method: &str, path: &str, body: &Value| house.json(&["api", method, path, "-d", &body.to_string(), "--server", url]);
    api(
        "POST",
        "/api/v1/agents",
        &json!({"name": "a", "external_id": "a", "capabilities": ["model.generate"], "models": ["big"]}),
    );
    let item = api("POST", "/api/v1/agents/a/work/claim", &json!({"max": 1, "wait": "10s", "start": true}));
    let (task, work) = (item[0]["task_id"].as_str().unwrap(), item[0]["work"].as_str().unwrap());
    let failed = json!({"class": "RATE_LIMIT", "message": "too much", "retryable": false, "usage": {"tokens": 400}});
    let report = json!({"agent_id": "a", "attempt": item[0]["attempt"], "outcome": {"FAILED": failed}});
    api("POST", &format!("/api/v1/work/{task}:{work}/report"), &report);
}

#[test]
fn models_are_trusted_again_series_held_receivers_told_and_budgets_raised() {
    let Some(browser) = Browser::open(1440, 900) else { return };
    let house = House::new();
    std::fs::write(house.path("ephor.yaml"), CONFIG).unwrap();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let steps = json!([{"action": "model.generate", "reserve": {"tokens": 500}}]);
    let request = json!({"title": "by a model", "requirements": ["code"], "max_retries": 0, "budget": {"tokens": 1000, "wall_time": "2h"}, "plan": {"steps": steps}});
    let task = house.submit(&server, &request);
    browser.go(&login(&house, 1));
    let told = |what: &str, selector: &str, text: &str| {
        let found = format!("document.querySelector({})?.innerText.includes({})", json!(selector), json!(text));
        browser.until(what, &found);
    };
    let yes = "dialog button[type=submit]";

    // A budget: what is set aside, what was used, another limit.
    browser.go(&format!("{}/tasks/{task}?tab=plan", server.url));
    told("the limit", "[data-budget] [data-kind=tokens]", "1\u{202f}000");
    told("the time", "[data-budget] [data-kind=wall_time]", "2 h 00 m");
    failing(&house, &server.url);
    told("what was used", "[data-budget] [data-kind=tokens]", "400");
    looks_right(&browser, "the budget");
    let open = house.submit(&server, &json!({"title": "waits", "action": "model.generate", "budget": {"tokens": 10}}));
    browser.go(&format!("{}/tasks/{open}?tab=plan", server.url));
    browser.click("[data-do=raise]");
    browser.write("dialog [name=tokens]", "2000");
    browser.click(yes);
    told("the new limit", "[data-budget] [data-kind=tokens]", "2\u{202f}000");

    // A model that failed is left alone until somebody trusts it again. Pages that were left hold no line to the server: a browser has six.
    for _ in 0..8 {
        browser.go(&format!("{}/models", server.url));
        told("it is left alone", "[data-model=big]", "Left alone");
    }
    browser.click("[data-model=big] a");
    told("how it is chosen", "main", "a requirement says");
    told("what went wrong", "main", "Rate limit");
    looks_right(&browser, "a model");
    browser.click("[data-trust=big]");
    browser.click(yes);
    told("it is trusted", "[data-model=big]", "Trusted");

    // A series is made, held, let go on and ended.
    browser.go(&format!("{}/automation", server.url));
    browser.click("[data-do=schedule]");
    for (name, text) in [("title", "each morning"), ("action", "echo"), ("cron", "0 9 * * 1-5"), ("time_zone", "Europe/Berlin")] {
        browser.write(&format!("dialog [name={name}]"), text);
    }
    browser.click(yes);
    let row = "[data-schedule]";
    told("the series", row, "each morning");
    browser.until("five runs", "document.querySelectorAll('[data-schedule] li time').length === 5");
    browser.click("[data-schedule] [data-act=pause]");
    browser.click(yes);
    told("it is held", row, "Paused");
    browser.click("[data-schedule] [data-act=resume]");
    browser.click(yes);
    told("it goes on", row, "Pending");

    // Somebody is told, tried, told again, held, and forgotten.
    let port = receiver();
    browser.click("[data-do=webhook]");
    browser.write("dialog [name=name]", "ours");
    browser.write("dialog [name=url]", &format!("http://127.0.0.1:{port}/hook"));
    browser.write("dialog [name=events]", "task.cancelled, task.failed");
    browser.click(yes);
    told("its secret", "dialog[open]", "whsec_");
    browser.click(yes);
    told("it is told", "[data-webhook]", "Told");
    browser.click("[data-do=test]");
    browser.click(yes);
    told("it arrived", "dialog[open]", "It arrived: 204");
    browser.click(yes);
    browser.click("[data-do=log]");
    told("the try", "[data-try]", "webhook.test");
    looks_right(&browser, "automation");
    browser.click("[data-schedule] [data-act=cancel]");
    browser.write("dialog [name=reason]", "no longer");
    browser.click(yes);
    browser.until("the series has ended", "!document.querySelector('[data-schedule]')");
    told("that was told", "[data-try]", "task.cancelled");
    browser.click("[data-try] [data-do=redeliver]");
    browser.click(yes);
    told("it arrived again", "dialog[open]", "It arrived: 204");
    browser.click(yes);
    for (act, state) in [("pause", "PAUSED"), ("resume", "ACTIVE")] {
        browser.click(&format!("[data-webhook] [data-do={act}]"));
        browser.click(yes);
        browser.until(state, &format!("document.querySelector('[data-webhook] [data-state]')?.dataset.state === '{state}'"));
    }
    browser.click("[data-do=delete]");
    browser.click(yes);
    browser.until("it is forgotten", "!document.querySelector('[data-webhook]') && !document.querySelector('[data-try]')");
    assert!(browser.complaints().is_empty());
}
