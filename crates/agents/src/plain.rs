//! `echo` and `noop`: the smallest agents, for first steps, tests and measurements.

use ephor_core::work::{Outcome, Success};
use ephor_sdk::agent::{Agent, Job, Running};
use serde_json::Value;

/// `echo` gives its parameters back as output; `noop` succeeds with nothing.
pub struct Plain;

impl Agent for Plain {
    fn actions(&self) -> Vec<String> {
        vec!["echo".into(), "noop".into()]
    }

    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        let item = job.item();
        let output = if item.action == "echo" { Value::Object(item.params.clone()) } else { Value::Null };
        Box::pin(async { Outcome::Succeeded(Success { output, ..Success::default() }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephor_sdk::trial::Trial;
    use serde_json::json;

    #[tokio::test]
    async fn echo_gives_its_parameters_back_and_noop_nothing() {
        let output = |output| Outcome::Succeeded(Success { output, ..Success::default() });
        assert_eq!(Trial::new("echo", json!({"a": [1]})).run(&Plain).await, output(json!({"a": [1]})));
        assert_eq!(Trial::new("noop", json!({"a": [1]})).run(&Plain).await, output(Value::Null));
    }
}
