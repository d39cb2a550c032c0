//! A small SMTP server: real enough for a real conversation, and it can refuse, hang and break off.

#![allow(dead_code, reason = "every test takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server does with a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Takes it.
    Takes,
    /// Does not know a recipient.
    RefusesRecipient,
    /// Is busy, and says so.
    IsBusy,
    /// Reads the mail and then does not want it.
    RefusesMail,
    /// Reads the mail and says nothing any more.
    Hangs,
    /// Reads the mail and breaks off.
    BreaksOff,
    /// Takes it from who signs in alone.
    WantsPassword,
    /// Says nothing from the start.
    IsDumb,
}

/// A mail that was taken, or read and not taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Got {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) data: String,
}

impl Got {
    /// A header, in one line.
    pub(crate) fn header(&self, name: &str) -> String {
        let head = self.data.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
        let begins = format!("{name}: ");
        head.lines().find_map(|line| line.strip_prefix(&begins)).unwrap_or_default().to_owned()
    }
}

/// The server; it goes on until the test ends.
#[derive(Clone)]
pub(crate) struct Smtp {
    pub(crate) port: u16,
    mails: Arc<Mutex<Vec<Got>>>,
    does: Arc<Mutex<Does>>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Smtp {
    pub(crate) fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            mails: Arc::default(),
            does: Arc::new(Mutex::new(does)),
            said: Arc::default(),
        };
        let own = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || drop(own.talk(stream)));
            }
        });
        server
    }

    /// From now on.
    pub(crate) fn now(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    /// The mails it has taken.
    pub(crate) fn mails(&self) -> Vec<Got> {
        self.mails.lock().unwrap().clone()
    }

    /// Every line that was said to it.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    fn talk(&self, stream: TcpStream) -> std::io::Result<()> {
        let does = *self.does.lock().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut answer = stream.try_clone()?;
        let mut lines = BufReader::new(stream).lines();
        if does == Does::IsDumb {
            std::thread::sleep(Duration::from_secs(30));
            return Ok(());
        }
        answer.write_all(b"220 test ESMTP\r\n")?;
        let mut got = Got { from: String::new(), to: Vec::new(), data: String::new() };
        let mut signed_in = false;
        while let Some(Ok(line)) = lines.next() {
            self.said.lock().unwrap().push(line.clone());
            let word = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            let said = match word.as_str() {
                "EHLO" if does == Does::WantsPassword => "250-test\r\n250-AUTH PLAIN\r\n250 8BITMIME",
                "EHLO" => "250-test\r\n250 8BITMIME",
                "AUTH" => {
                    signed_in = true;
                    "235 welcome"
                }
                "MAIL" if does == Does::IsBusy => "451 later",
                "MAIL" if does == Does::WantsPassword && !signed_in => "530 sign in first",
                "MAIL" => {
                    got.from = address(&line);
                    "250 well"
                }
                "RCPT" if does == Does::RefusesRecipient => "550 nobody of that name",
                "RCPT" => {
                    got.to.push(address(&line));
                    "250 well"
                }
                "DATA" => {
                    answer.write_all(b"354 go on\r\n")?;
                    got.data = read_mail(&mut lines);
                    match does {
                        Does::Hangs => {
                            std::thread::sleep(Duration::from_secs(30));
                            return Ok(());
                        }
                        Does::BreaksOff => return Ok(()),
                        Does::RefusesMail => "554 not wanted",
                        Does::Takes | Does::RefusesRecipient | Does::IsBusy | Does::WantsPassword | Does::IsDumb => {
                            self.mails.lock().unwrap().push(got.clone());
                            "250 taken as 42"
                        }
                    }
                }
                "QUIT" => {
                    answer.write_all(b"221 bye\r\n")?;
                    return Ok(());
                }
                _ => "502 what?",
            };
            answer.write_all(format!("{said}\r\n").as_bytes())?;
        }
        Ok(())
    }
}

/// What stands between the angles.
fn address(line: &str) -> String {
    line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(address, _)| address.to_owned()).unwrap_or_default()
}

/// Up to the line with a single dot; a dot before a dot is taken away.
fn read_mail(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> String {
    let mut data = String::new();
    for line in lines.by_ref().map_while(Result::ok) {
        if line == "." {
            break;
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
        data.push_str("\r\n");
    }
    data
}
