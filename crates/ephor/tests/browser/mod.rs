//! A browser that is driven: chromedriver's WebDriver, spoken over a socket. One request, one connection, JSON both ways.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long the driver may take to answer one request.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// How long something on a page may take to come.
const COMES_WITHIN: Duration = Duration::from_secs(20);
/// How often it is looked for.
const STEP: Duration = Duration::from_millis(50);
/// Set where a browser has to be there, as in continuous integration.
const REQUIRED: &str = "EPHOR_BROWSER";

/// A browser with one page.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.ask("DELETE", "", &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    /// A new one of this size; `None`, with a word about it, where none is installed and none has to be.
    pub(crate) fn open(width: u32, height: u32) -> Option<Self> {
        let started = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut driver = match started {
            Ok(driver) => driver,
            Err(error) if std::env::var_os(REQUIRED).is_none() => {
                eprintln!("the browser was not driven: chromedriver is not installed ({error}); .ci/run installs it");
                return None;
            }
            Err(error) => panic!("chromedriver is needed for this test; .ci/run installs it: {error}"),
        };
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let said = lines.find(|line| line.contains("started successfully")).expect("chromedriver says where it listens");
        let port = said.rsplit(' ').next().unwrap().trim_end_matches('.').parse().unwrap();
        // Whatever else it says must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let args = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let wanted =
            json!({"browserName": "chrome", "goog:chromeOptions": {"args": args}, "goog:loggingPrefs": {"browser": "ALL"}});
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        let opened = browser.call("POST", "/session", &json!({"capabilities": {"alwaysMatch": wanted}}));
        browser.session = opened["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {opened}")).to_owned();
        Some(browser)
    }

    /// Asks the driver, and answers with the value it gives.
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(ANSWERS_WITHIN)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).unwrap();
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()["value"].clone()
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("/session/{}{path}", self.session), body)
    }

    /// Goes to an address.
    pub(crate) fn go(&self, url: &str) {
        let went = self.ask("POST", "/url", &json!({"url": url}));
        assert!(went.is_null(), "{url}: {went}");
    }

    /// Gives its page another size.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        let command = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics});
        self.ask("POST", "/goog/cdp/execute", &command);
    }

    /// Runs the body of a function in the page and answers with what it returns.
    pub(crate) fn run(&self, script: &str, args: Value) -> Value {
        let came = self.ask("POST", "/execute/sync", &json!({"script": script, "args": args}));
        assert!(came.get("error").is_none(), "{script}: {came}");
        came
    }

    /// Waits until an expression over the page is true, and says what stood there where it never was.
    pub(crate) fn until(&self, what: &str, expression: &str) {
        for _ in 0..COMES_WITHIN.as_millis() / STEP.as_millis() {
            if self.run(&format!("return Boolean({expression})"), json!([])) == true {
                return;
            }
            std::thread::sleep(STEP);
        }
        let shown = self.run("return document.body.innerText.slice(0, 3000)", json!([]));
        panic!("{what}: never was `{expression}`\n{}\n{:?}", shown.as_str().unwrap_or_default(), self.complaints());
    }

    /// Waits for an element that can be used, and clicks it.
    pub(crate) fn click(&self, selector: &str) {
        let found = format!("document.querySelector({})", json!(selector));
        self.until(selector, &format!("{found} && !{found}.disabled"));
        self.run("document.querySelector(arguments[0]).click()", json!([selector]));
    }

    /// Writes into a field as somebody who types does.
    pub(crate) fn write(&self, selector: &str, text: &str) {
        self.until(selector, &format!("document.querySelector({})", json!(selector)));
        let script = "const box = document.querySelector(arguments[0]); box.value = arguments[1]; \
                      box.dispatchEvent(new Event('input', { bubbles: true }));";
        self.run(script, json!([selector, text]));
    }

    /// Presses a key on the page.
    pub(crate) fn press(&self, key: &str) {
        let script = "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: arguments[0], bubbles: true }))";
        self.run(script, json!([key]));
    }

    /// The errors its pages met since it was last asked: scripts that failed, what the policy refused.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.ask("POST", "/se/log", &json!({"type": "browser"}));
        let severe = log.as_array().into_iter().flatten().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }
}
