//! A receiver of webhooks that does as it is told: answers, fails, hangs, redirects, or never stops talking.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a test waits for a message before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it does with a request.
#[derive(Clone, Debug)]
pub(super) enum Then {
    Answer(u16),
    /// Answers with this status, and asks to be left alone for a second.
    Later(u16),
    /// Answers 200 with this.
    Say(&'static str),
    Redirect(String),
    /// Never answers.
    Hang,
    /// Answers 200, and then goes on for as long as somebody listens.
    Talk,
}

/// A request it got.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Heard {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

pub(super) struct Receiver {
    pub(super) port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
    count: watch::Receiver<usize>,
    serving: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    /// Listens; what it does with the n-th request, from 0, is decided by `then`.
    pub(super) async fn open(then: impl Fn(usize) -> Then + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heard, (told, count)) = (Arc::<Mutex<Vec<Heard>>>::default(), watch::channel(0));
        let (kept, then, told) = (heard.clone(), Arc::new(then), Arc::new(told));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, then, told) = (kept.clone(), then.clone(), told.clone());
                tokio::spawn(async move { one(stream, &kept, &*then, &told).await });
            }
        });
        Self { port, heard, count, serving }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?token=abc", self.port)
    }

    /// All it got so far.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// All it got, once that is so many.
    pub(super) async fn until(&self, count: usize) -> Vec<Heard> {
        let mut changed = self.count.clone();
        let came = tokio::time::timeout(PATIENCE, changed.wait_for(|heard| *heard >= count)).await.is_ok();
        assert!(came, "only {} of {count} came", self.heard().len());
        self.heard()
    }
}

async fn one(
    mut stream: TcpStream,
    heard: &Mutex<Vec<Heard>>,
    then: &(dyn Fn(usize) -> Then + Sync),
    told: &watch::Sender<usize>,
) {
    let Some(request) = read(&mut stream).await else { return };
    let number = {
        let mut heard = heard.lock().unwrap();
        heard.push(request);
        heard.len() - 1
    };
    told.send_replace(number + 1);
    // Whoever asked may have left meanwhile.
    let _gone = match then(number) {
        Then::Answer(status) => {
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
            stream.write_all(head.as_bytes()).await
        }
        Then::Later(status) => {
            let head = format!("HTTP/1.1 {status} X\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await
        }
        Then::Say(what) => {
            let head = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{what}", what.len());
            stream.write_all(head.as_bytes()).await
        }
        Then::Redirect(to) => {
            let head = format!("HTTP/1.1 302 X\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await
        }
        Then::Hang => {
            std::future::pending::<()>().await;
            Ok(())
        }
        Then::Talk => {
            let mut sent = stream.write_all(b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n").await;
            while sent.is_ok() {
                sent = stream.write_all(&[b'x'; 64 << 10]).await;
            }
            sent
        }
    };
}

async fn read(stream: &mut TcpStream) -> Option<Heard> {
    let mut bytes = Vec::new();
    let head = loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let headers: BTreeMap<String, String> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let path = text.split(' ').nth(1)?.to_owned();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head + length {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
    }
    Some(Heard { path, headers, body: String::from_utf8(bytes[head..].to_vec()).unwrap() })
}
