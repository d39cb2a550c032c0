//! A small agent in a program of its own: it works for a server over HTTP until Ctrl-C.
//!
//! ```sh
//! cargo run -p ephor-sdk --example agent
//! ```
//!
//! `EPHOR_SERVER` and `EPHOR_TOKEN` name another server and who asks.

use ephor_core::agent::Registration;
use ephor_core::spec::ErrorClass;
use ephor_core::work::{Failure, Outcome, Success};
use ephor_sdk::agent::{Agent, Job, Running};
use ephor_sdk::client::{Client, ClientError, Config};
use ephor_sdk::http::{Http, new_claim_id};
use ephor_sdk::worker::{Options, Worker};
use std::sync::Arc;

/// Greets whom the task names.
struct Greeter;

impl Agent for Greeter {
    fn actions(&self) -> Vec<String> {
        vec!["greet".into()]
    }

    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        Box::pin(async move {
            job.progress(0.5, "looking for words");
            match job.item().title.as_str() {
                "" => Outcome::Failed(Failure::final_(ErrorClass::BadInput, "there is nobody to greet")),
                title => {
                    Outcome::Succeeded(Success { output: format!("Hello! You asked: {title}").into(), ..Success::default() })
                }
            }
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let config = Config::of_environment();
    let registration: Registration = serde_json::from_value(serde_json::json!({
        "name": "greeter",
        "external_id": "greeter-1",
        "capabilities": Greeter.actions(),
    }))
    .expect("a registration is written as the page about agents says");
    let id = Client::new(config.clone())?.register(&registration).await?.id;
    println!("working as {id}");

    let transport = Arc::new(Http::new(config, id)?);
    let worker = Worker::new(transport, Options::new(id), [Arc::new(Greeter) as Arc<dyn Agent>], new_claim_id);
    // Ctrl-C drains: what runs is finished and reported first.
    let drained = worker.run(async { drop(tokio::signal::ctrl_c().await) }).await;
    println!("done, {} unreported", drained.unreported);
    Ok(())
}
