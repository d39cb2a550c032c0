//! `email.send`: one mail, over the SMTP server of the house, with a grant or not at all.

use crate::probe::cannot_look;
use crate::secrets::{self, Source, Used};
use ephor_core::spec::ErrorClass;
use ephor_core::work::{EffectGrant, Failure, Outcome, Success};
use ephor_sdk::agent::{Acted, Agent, Effected, Job, Running};
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::timeout;

/// The most recipients of one mail.
pub const RECIPIENTS_MAX: usize = 100;

/// The largest text of a mail, in bytes; HTML beside it as much again.
pub const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// The longest subject, in characters.
pub const SUBJECT_CHARS_MAX: usize = 500;

/// The name under which the password of the server is looked up.
const PASSWORD: &str = "${secrets.SMTP_PASSWORD}";

/// How much of an answer of the server is shown, in characters.
const SHOWN_CHARS_MAX: usize = 300;

/// The SMTP server of the house.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from others.
    pub security: Security,
    /// Who mails are from, as `Name <address>`.
    pub from: String,
    /// Who signs in; the password is the secret SMTP_PASSWORD. Nobody where it is missing.
    pub username: Option<String>,
    /// How long the conversation up to the mail, and the mail itself, may each take.
    pub timeout: Duration,
    /// A file of certificates in PEM to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
}

/// Whether a text may say who mails are from.
///
/// # Errors
/// Why it may not.
pub fn check_sender(text: &str) -> Result<(), String> {
    text.parse::<Mailbox>().map(drop).map_err(|e| format!("{text:?} is no address: {e}; write it as Name <name@example.org>"))
}

/// How a connection is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Security {
    /// It begins in the clear and is encrypted before anything is said; a server that cannot do that is not used.
    Starttls,
    /// It is encrypted from the start.
    Tls,
    /// It is not encrypted. No password is sent, unless the server is this machine.
    None,
}

/// `email.send {to, cc, bcc, subject, text, html, reply_to}` → `{message_id, recipients, answer}`.
///
/// It is an effect: it needs a token. The id of the message is made of the effect's idempotency key, so that the same mail has the same id
/// whoever sends it again. Where the server does not say whether it took the mail, the effect is UNKNOWN.
pub struct Email {
    server: Server,
    secrets: Source,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    to: Addresses,
    #[serde(default)]
    cc: Addresses,
    #[serde(default)]
    bcc: Addresses,
    subject: String,
    text: String,
    html: Option<String>,
    reply_to: Option<String>,
}

/// One address or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Addresses {
    One(String),
    Many(Vec<String>),
}

impl Default for Addresses {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Addresses {
    fn mailboxes(&self, field: &str) -> Result<Vec<Mailbox>, Failure> {
        let texts: &[String] = match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        };
        texts
            .iter()
            .map(|text| text.parse::<Mailbox>().map_err(|e| bad(format!("{field}: {text:?} is no address: {e}"))))
            .collect()
    }
}

/// A mail that is ready but for its id.
struct Draft {
    from: Mailbox,
    to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    bcc: Vec<Mailbox>,
    reply_to: Option<Mailbox>,
    subject: String,
    text: String,
    html: Option<String>,
}

/// A mail that was not taken.
enum Lost {
    /// It was not.
    NotSent(Failure),
    /// Nobody knows.
    Unknown(Failure),
}

impl Email {
    pub(crate) fn new(server: Server, secrets: Source) -> Self {
        Self { server, secrets }
    }

    async fn go(&self, job: Job<'_>, used: &mut Used) -> Result<Outcome, Failure> {
        let params: Params = job.params()?;
        let server = &self.server;
        let draft = draft(&params, server)?;
        if let Some(blocked) = cannot_look(job) {
            return Ok(blocked);
        }
        let password = match &server.username {
            Some(_) => Some(self.secrets.reveal(PASSWORD, used)?),
            None => None,
        };
        // What the grant is bound to: the parameters as they came.
        let args = Value::Object(job.item().params.clone());
        let act = |grant: EffectGrant| async move {
            let id = format!("<{}@{}>", grant.idempotency_key, server.host);
            let message = match draft.message(&id) {
                Ok(message) => message,
                Err(failure) => return Acted::NotDone(failure),
            };
            let sent = tokio::select! {
                sent = deliver(server, password.as_deref(), &message) => sent,
                why = job.stopped() => Err(Lost::Unknown(Failure::new(ErrorClass::Cancelled, format!("told to end: {why:?}")))),
            };
            match sent {
                Ok(answer) => Acted::Done((id, message.envelope().to().len(), answer)),
                Err(Lost::NotSent(failure)) => Acted::NotDone(failure),
                Err(Lost::Unknown(failure)) => Acted::Unknown(failure),
            }
        };
        let output = match job.effect("email.send", &args, act).await {
            Ok(Effected::Now((message_id, recipients, answer))) => {
                json!({"message_id": message_id, "recipients": recipients, "answer": answer})
            }
            Ok(Effected::Before(grant)) => {
                let message_id = format!("<{}@{}>", grant.idempotency_key, server.host);
                json!({"message_id": message_id, "already_done": true})
            }
            Err(failure) if failure.class == ErrorClass::Refused && !job.item().may_act => {
                let subject = &params.subject;
                return Err(Failure { message: format!("{}; would have sent {subject:?}", failure.message), ..failure });
            }
            Err(failure) => return Err(failure),
        };
        Ok(Outcome::Succeeded(Success { output, ..Success::default() }))
    }
}

impl Agent for Email {
    fn actions(&self) -> Vec<String> {
        vec!["email.send".into()]
    }

    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        Box::pin(async move {
            let mut used = Used::default();
            let result = self.go(job, &mut used).await;
            result.unwrap_or_else(|failure| Outcome::Failed(used.mask_failure(failure)))
        })
    }
}

/// Checks the parameters before anything is asked.
fn draft(params: &Params, server: &Server) -> Result<Draft, Failure> {
    let Params { subject, text, html, .. } = params;
    let (to, cc, bcc) = (params.to.mailboxes("to")?, params.cc.mailboxes("cc")?, params.bcc.mailboxes("bcc")?);
    let recipients = to.len() + cc.len() + bcc.len();
    if to.is_empty() || recipients > RECIPIENTS_MAX {
        return Err(bad(format!("{recipients} recipients; allowed are 1 to {RECIPIENTS_MAX}, one of them in `to`")));
    }
    if subject.trim().is_empty() || subject.chars().count() > SUBJECT_CHARS_MAX || subject.chars().any(char::is_control) {
        return Err(bad(format!("subject: 1 to {SUBJECT_CHARS_MAX} characters on one line")));
    }
    if text.trim().is_empty() || text.len() > TEXT_BYTES_MAX || html.as_ref().is_some_and(|html| html.len() > TEXT_BYTES_MAX) {
        return Err(bad(format!("text and html: some text, at most {TEXT_BYTES_MAX} bytes each")));
    }
    let written = [Some(subject), Some(text), html.as_ref()];
    if written.into_iter().flatten().any(|text| secrets::wanted(text)) {
        return Err(bad("a secret does not belong into a mail".into()));
    }
    let from = server.from.parse::<Mailbox>().map_err(|e| bad(format!("mail.from: {:?} is no address: {e}", server.from)))?;
    let reply_to =
        params.reply_to.as_ref().map(|text| text.parse::<Mailbox>().map_err(|e| bad(format!("reply_to: {text:?}: {e}"))));
    Ok(Draft {
        from,
        to,
        cc,
        bcc,
        reply_to: reply_to.transpose()?,
        subject: subject.clone(),
        text: text.clone(),
        html: html.clone(),
    })
}

impl Draft {
    fn message(&self, id: &str) -> Result<Message, Failure> {
        let mut builder = Message::builder().from(self.from.clone()).subject(&self.subject).message_id(Some(id.to_owned()));
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        for cc in &self.cc {
            builder = builder.cc(cc.clone());
        }
        for bcc in &self.bcc {
            builder = builder.bcc(bcc.clone());
        }
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        let built = match &self.html {
            Some(html) => builder.multipart(MultiPart::alternative_plain_html(self.text.clone(), html.clone())),
            None => builder.singlepart(SinglePart::plain(self.text.clone())),
        };
        built.map_err(|e| bad(format!("no mail can be made of it: {e}")))
    }
}

/// Speaks with the server. Up to the mail itself nothing is sent; from then on only its answer says whether it was.
async fn deliver(server: &Server, password: Option<&str>, message: &Message) -> Result<String, Lost> {
    let content = message.formatted();
    let greeted = timeout(server.timeout, introduce(server, password, message.envelope(), content.is_ascii())).await;
    let mut connection = match greeted {
        Ok(Ok(connection)) => connection,
        Ok(Err(failure)) => return Err(Lost::NotSent(failure)),
        Err(_) => {
            let late = format!("{} did not answer in {} ms", server.host, server.timeout.as_millis());
            return Err(Lost::NotSent(Failure::new(ErrorClass::Timeout, late)));
        }
    };
    let answer = match timeout(server.timeout, connection.message(&content)).await {
        Ok(Ok(response)) => response.message().collect::<Vec<_>>().join(" "),
        // It has answered, and it was a no.
        Ok(Err(error)) if error.is_permanent() || error.is_transient() => return Err(Lost::NotSent(failed(&error))),
        Ok(Err(error)) => return Err(Lost::Unknown(failed(&error))),
        Err(_) => {
            let late = format!("{} did not say in {} ms whether it took the mail", server.host, server.timeout.as_millis());
            return Err(Lost::Unknown(Failure::new(ErrorClass::Timeout, late)));
        }
    };
    // It has been taken; how the conversation ends changes nothing.
    drop(timeout(server.timeout, connection.quit()).await);
    Ok(answer.chars().take(SHOWN_CHARS_MAX).collect())
}

/// The conversation up to the mail itself.
async fn introduce(
    server: &Server,
    password: Option<&str>,
    envelope: &Envelope,
    ascii: bool,
) -> Result<AsyncSmtpConnection, Failure> {
    let name = ClientId::default();
    let tls = match server.security {
        Security::None => None,
        Security::Starttls | Security::Tls => Some(encrypted(server)?),
    };
    let from_start = tls.clone().filter(|_| server.security == Security::Tls);
    let at = (server.host.as_str(), server.port);
    let connected = AsyncSmtpConnection::connect_tokio1(at, Some(server.timeout), &name, from_start, None).await;
    let mut connection = connected.map_err(|e| failed(&e))?;
    if server.security == Security::Starttls
        && let Some(tls) = tls
    {
        connection.starttls(tls, &name).await.map_err(|e| failed(&e))?;
    }
    if let (Some(username), Some(password)) = (&server.username, password) {
        let credentials = Credentials::new(username.clone(), password.to_owned());
        connection.auth(DEFAULT_MECHANISMS, &credentials).await.map_err(|e| failed(&e))?;
    }
    let mut options = Vec::new();
    let plain = |address: &Address| address.to_string().is_ascii();
    if !envelope.to().iter().chain(envelope.from()).all(plain) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(bad("the server takes no addresses with other than ASCII characters".into()));
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    if !ascii {
        options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    connection.command(Mail::new(envelope.from().cloned(), options)).await.map_err(|e| failed(&e))?;
    for to in envelope.to() {
        // One who is not taken is reason enough: nobody gets half of a mail.
        connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(|e| failed(&e))?;
    }
    connection.command(Data).await.map_err(|e| failed(&e))?;
    Ok(connection)
}

fn encrypted(server: &Server) -> Result<TlsParameters, Failure> {
    let wrong =
        |e: &dyn std::fmt::Display| Failure::final_(ErrorClass::Refused, format!("the connection cannot be encrypted: {e}"));
    let mut builder = TlsParameters::builder(server.host.clone());
    if let Some(file) = &server.ca_file {
        let pem = std::fs::read(file).map_err(|e| wrong(&format!("{}: {e}", file.display())))?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|e| wrong(&e))?);
    }
    builder.build().map_err(|e| wrong(&e))
}

/// What the server said, or did not, as a failure. A no for good is not asked again, a no for now is.
fn failed(error: &lettre::transport::smtp::Error) -> Failure {
    let message: String = format!("the SMTP server: {error}").chars().take(SHOWN_CHARS_MAX).collect();
    let code = error.status().map(u16::from);
    match code {
        Some(421 | 450 | 451 | 452) => Failure::new(ErrorClass::RateLimit, message),
        Some(530 | 534 | 535 | 538) => Failure::final_(ErrorClass::Refused, message),
        Some(code) if code >= 500 => Failure::final_(ErrorClass::BadInput, message),
        Some(_) => Failure::new(ErrorClass::External, message),
        None if error.is_timeout() => Failure::new(ErrorClass::Timeout, message),
        None if error.is_client() => Failure::final_(ErrorClass::Refused, message),
        None => Failure::new(ErrorClass::External, message),
    }
}

fn bad(message: String) -> Failure {
    Failure::final_(ErrorClass::BadInput, message)
}
