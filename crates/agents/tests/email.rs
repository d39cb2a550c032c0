//! Mails over real conversations with an SMTP server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;
#[path = "common/smtp.rs"]
mod smtp;

use common::Place;
use ephor_agents::email::{Security, Server};
use ephor_core::spec::ErrorClass;
use ephor_core::work::{EffectOutcome, Failure, Outcome, Success};
use ephor_sdk::trial::Trial;
use serde_json::{Value, json};
use smtp::{Does, Smtp};
use std::time::Duration;

fn server(smtp: &Smtp) -> Server {
    Server {
        host: "127.0.0.1".into(),
        port: smtp.port,
        security: Security::None,
        from: "Accounts <accounts@example.com>".into(),
        username: None,
        timeout: Duration::from_millis(500),
        ca_file: None,
    }
}

fn place(server: Server) -> Place {
    Place::with(|config| {
        config.mail = Some(server);
        config.secrets = ephor_agents::secrets::Source {
            env: |name| (name == "EPHOR_SECRET_SMTP_PASSWORD").then(|| common::TOKEN.into()),
            file: None,
        };
    })
}

fn mail() -> Value {
    json!({"to": "Ann <ann@example.org>", "subject": "Rechnung über 5 €", "text": "Dear Ann,\n.\nplease pay.\n"})
}

async fn send(place: &Place, params: Value) -> (Trial, Result<Success, Failure>) {
    let trial = Trial::new("email.send", params);
    let outcome = trial.run(&*place.agent("email.send")).await;
    let result = match outcome {
        Outcome::Succeeded(success) => Ok(success),
        Outcome::Failed(failure) => Err(failure),
        other => panic!("{other:?}"),
    };
    (trial, result)
}

#[tokio::test]
async fn a_mail_arrives_once_and_carries_the_key_of_its_effect() {
    let smtp = Smtp::start(Does::Takes);
    let place = place(server(&smtp));
    let params = json!({"to": ["Ann <ann@example.org>", "bob@example.org"], "cc": "eve@example.org", "bcc": "dan@example.org",
        "subject": "Rechnung über 5 €", "text": "Dear Ann,\n.\nplease pay.\n", "html": "<p>Dear Ann</p>", "reply_to": "desk@example.com"});
    let (trial, sent) = send(&place, params).await;
    let output = sent.unwrap().output;
    let mails = smtp.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!((mails[0].from.as_str(), mails[0].to.len()), ("accounts@example.com", 4));
    assert!(
        mails[0].to.contains(&"dan@example.org".to_owned()) && !mails[0].data.contains("dan@example.org"),
        "bcc is not shown"
    );
    let id = output["message_id"].as_str().unwrap();
    assert_eq!(mails[0].header("Message-ID"), id);
    assert!(id.starts_with("<effect_"), "{id}");
    assert_eq!((output["recipients"].as_u64(), output["answer"].as_str()), (Some(4), Some("taken as 42")));
    assert!(mails[0].header("Reply-To").contains("desk@example.com") && mails[0].data.contains("please pay"));
    assert_eq!(trial.outcomes(), [EffectOutcome::Done]);
    assert_eq!(trial.asked()[0].action, "email.send");
}

#[tokio::test]
async fn without_a_grant_nothing_is_said_to_the_server() {
    let smtp = Smtp::start(Does::Takes);
    let place = place(server(&smtp));
    let trial = Trial::new("email.send", mail()).dry();
    let Outcome::Failed(failure) = trial.run(&*place.agent("email.send")).await else { panic!("it was not refused") };
    assert_eq!(failure.class, ErrorClass::Refused);
    assert!(failure.message.contains("would have sent \"Rechnung"), "{}", failure.message);
    assert!(smtp.said().is_empty(), "{:?}", smtp.said());
}

#[tokio::test]
async fn every_way_a_server_can_answer_says_whether_the_mail_was_sent() {
    for (does, class, outcome, again) in [
        (Does::RefusesRecipient, ErrorClass::BadInput, EffectOutcome::NotDone, false),
        (Does::IsBusy, ErrorClass::RateLimit, EffectOutcome::NotDone, true),
        (Does::RefusesMail, ErrorClass::BadInput, EffectOutcome::NotDone, false),
        (Does::WantsPassword, ErrorClass::Refused, EffectOutcome::NotDone, false),
        (Does::IsDumb, ErrorClass::Timeout, EffectOutcome::NotDone, true),
        (Does::Hangs, ErrorClass::Timeout, EffectOutcome::Unknown, true),
        (Does::BreaksOff, ErrorClass::External, EffectOutcome::Unknown, true),
    ] {
        let smtp = Smtp::start(does);
        let (trial, sent) = send(&place(server(&smtp)), mail()).await;
        let failure = sent.unwrap_err();
        assert_eq!((failure.class, failure.retryable), (class, again), "{does:?}: {}", failure.message);
        assert_eq!(trial.outcomes(), [outcome], "{does:?}: {}", failure.message);
        assert!(smtp.mails().is_empty());
    }
    let gone = Server { port: 1, ..server(&Smtp::start(Does::Takes)) };
    let (trial, sent) = send(&place(gone), mail()).await;
    assert_eq!((sent.unwrap_err().class, trial.outcomes()), (ErrorClass::External, vec![EffectOutcome::NotDone]));
}

#[tokio::test]
async fn who_signs_in_is_let_in_and_the_password_stays_secret() {
    let smtp = Smtp::start(Does::WantsPassword);
    let with = Server { username: Some("accounts".into()), ..server(&smtp) };
    let (_, sent) = send(&place(with), mail()).await;
    let told = format!("{:?}", sent.unwrap());
    assert!(!told.contains(common::TOKEN), "{told}");
    assert!(smtp.said().iter().any(|line| line.starts_with("AUTH PLAIN")), "{:?}", smtp.said());
    assert_eq!(smtp.mails().len(), 1);
}

#[tokio::test]
async fn a_server_that_cannot_encrypt_hears_nothing() {
    let smtp = Smtp::start(Does::Takes);
    let with = Server { security: Security::Starttls, username: Some("accounts".into()), ..server(&smtp) };
    let (trial, sent) = send(&place(with), mail()).await;
    assert_eq!((sent.unwrap_err().class, trial.outcomes()), (ErrorClass::Refused, vec![EffectOutcome::NotDone]));
    assert!(smtp.said().iter().all(|line| line.starts_with("EHLO") || line.starts_with("QUIT")), "{:?}", smtp.said());
    let with = Server { security: Security::Tls, ..server(&smtp) };
    let (trial, sent) = send(&place(with), mail()).await;
    assert!(sent.is_err() && trial.outcomes() == [EffectOutcome::NotDone] && smtp.mails().is_empty());
}

#[tokio::test]
async fn what_makes_no_mail_is_refused_before_anything_is_asked() {
    let smtp = Smtp::start(Does::Takes);
    let place = place(server(&smtp));
    for (field, value) in [
        ("to", json!([])),
        ("to", json!("no address")),
        ("subject", json!("a\r\nBcc: eve@example.org")),
        ("subject", json!(" ")),
        ("text", json!("")),
        ("text", json!("${secrets.SMTP_PASSWORD}")),
        ("attachment", json!("x")),
        ("to", json!(vec!["a@example.org"; 101])),
    ] {
        let mut params = mail();
        params[field] = value;
        let (trial, sent) = send(&place, params).await;
        assert_eq!(sent.unwrap_err().class, ErrorClass::BadInput, "{field}");
        assert!(trial.asked().is_empty() && smtp.said().is_empty(), "{field}");
    }
    assert!(!Place::new().capabilities.contains(&"email.send".to_owned()), "without a server it is left to others");
}
