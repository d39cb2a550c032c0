//! What is asked of a live task: which path, and what goes with it.

use super::call::Call;
use super::{Client, ClientError};
use ephor_core::ask::{Ask, Modification};
use ephor_core::event::{DecisionWord, OverrideWord, TextChanges};
use ephor_core::id::AgentId;
use ephor_core::spec::{PlanSpec, Priority};
use ephor_core::view::TaskView;
use reqwest::Method;
use serde_json::{Value, json};

impl Client {
    /// Takes the open work of a task as an agent, and begins; an agent that nobody has heard of becomes known by this. Where it holds work of
    /// it already, nothing happens.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn begin_as(&self, task: &str, agent: &str) -> Result<TaskView, ClientError> {
        let wish = serde_json::json!({"status": "IN_PROGRESS", "actor_type": "AI", "actor_id": agent});
        self.fetch(Call::new(reqwest::Method::PATCH, ["tasks", task]).json(&wish)).await
    }

    /// Asks something of a task; answers with where it is then.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn ask(&self, task: &str, ask: &Ask) -> Result<TaskView, ClientError> {
        self.fetch(call(task, ask)).await
    }

    /// Holds a task; its running attempts may finish.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn pause(&self, task: &str, reason: &str) -> Result<TaskView, ClientError> {
        self.ask(task, &Ask::Pause { reason: reason.into(), stop_running: false }).await
    }

    /// Lets a task go on.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn resume(&self, task: &str) -> Result<TaskView, ClientError> {
        self.ask(task, &Ask::Resume { reason: String::new() }).await
    }

    /// Ends a task without success.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn cancel(&self, task: &str, reason: &str) -> Result<TaskView, ClientError> {
        self.ask(task, &Ask::Cancel { reason: reason.into(), force: false }).await
    }

    /// Changes what was submitted.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn modify(&self, task: &str, change: Modification) -> Result<TaskView, ClientError> {
        self.ask(task, &Ask::Modify(Box::new(change))).await
    }

    /// Asks for a decision.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn escalate(&self, task: &str, reason: &str, priority: Option<Priority>) -> Result<TaskView, ClientError> {
        self.ask(task, &Ask::Escalate { priority, reason: reason.into() }).await
    }

    /// Takes a task's work from the agents it is with, was with or is kept for, and offers it to one alone or to anybody.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn reassign(&self, task: &str, agent: Option<AgentId>, reason: &str) -> Result<TaskView, ClientError> {
        self.ask(task, &Ask::Reassign { agent, reason: reason.into() }).await
    }

    /// Decides about an escalated task.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn decide(&self, task: &str, decision: DecisionWord, changes: TextChanges) -> Result<TaskView, ClientError> {
        self.ask(task, &Ask::Decide { decision, changes, council: false }).await
    }

    /// Overrules a verdict, a gate or a step.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn overrule(
        &self,
        task: &str,
        decision: OverrideWord,
        step: Option<&str>,
        reason: &str,
    ) -> Result<TaskView, ClientError> {
        self.ask(task, &Ask::Override { decision, step: step.map(Into::into), reason: reason.into() }).await
    }

    /// Says something the agents of a task should keep in mind.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn guide(&self, task: &str, text: &str) -> Result<TaskView, ClientError> {
        self.ask(task, &Ask::Guide { text: text.into() }).await
    }

    /// Tells a task that something has happened.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn signal(&self, task: &str, name: &str, payload: Value) -> Result<TaskView, ClientError> {
        self.ask(task, &Ask::Signal { name: name.into(), payload }).await
    }

    /// Gives a task another plan for what is not finished.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn replace_plan(&self, task: &str, plan: PlanSpec) -> Result<TaskView, ClientError> {
        self.ask(task, &Ask::ReplacePlan { plan: Box::new(plan) }).await
    }

    /// Tries a step again, or the one that failed last.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn retry(&self, task: &str, step: Option<&str>, reason: &str) -> Result<TaskView, ClientError> {
        self.fetch(Call::post(["tasks", task, "retry"]).json(&json!({"step": step, "reason": reason}))).await
    }
}

/// The call that carries what is asked.
fn call(task: &str, ask: &Ask) -> Call {
    let verb = match ask {
        Ask::Pause { .. } => "pause",
        Ask::Resume { .. } => "resume",
        Ask::Cancel { .. } => "cancel",
        Ask::Modify(_) => "modify",
        Ask::Escalate { .. } => "escalate",
        Ask::Decide { .. } => "council-decision",
        // Trying again overrules nobody: it takes no more than steering does.
        Ask::Override { decision: OverrideWord::RetryStep, step, reason } => {
            return Call::post(["tasks", task, "retry"]).json(&json!({"step": step, "reason": reason}));
        }
        Ask::Override { .. } => "override",
        Ask::Reassign { .. } => "reassign",
        Ask::Guide { .. } => "guide",
        Ask::Signal { name, payload } => return Call::post(["tasks", task, "signals", name]).json(payload),
        Ask::Vote { .. } => "vote",
        Ask::Confirm { .. } => "confirm",
        Ask::Approve { .. } => "approve",
        Ask::AcceptPlan => "accept-plan",
        Ask::ReplacePlan { plan } => return Call::new(Method::PUT, ["tasks", task, "plan"]).json(plan),
        Ask::SettleEffect { effect, outcome } => {
            let effect = effect.to_string();
            return Call::post(["tasks", task, "effects", &effect, "outcome"]).json(&json!({"outcome": outcome}));
        }
        Ask::Archive => "archive",
        Ask::Erase => "erase",
        Ask::Note { .. } => "note",
    };
    Call::post(["tasks", task, verb]).json(&fields(ask))
}

/// What is asked, without its word: that is in the path.
fn fields(ask: &Ask) -> Value {
    let mut fields = serde_json::to_value(ask).expect("what is asked is plain data");
    if let Value::Object(map) = &mut fields {
        map.remove("ask");
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_in_the_path_and_the_rest_in_the_body() {
        assert_eq!(fields(&Ask::Cancel { reason: "x".into(), force: false }), json!({"reason": "x", "force": false}));
        let change = Modification { priority: Some(Priority::High), ..Modification::default() };
        assert_eq!(fields(&Ask::Modify(Box::new(change))), json!({"priority": "HIGH"}));
        assert_eq!(fields(&Ask::Resume { reason: String::new() }), json!({}));
    }
}
