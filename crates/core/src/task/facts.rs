//! What those who hand out work ask about a task: where it stands in the order, and by which key it is counted.

use super::Task;
use serde_json::Value;

/// What one level of priority is worth, in milliseconds of waiting: a task of lower priority that has waited so much longer comes first.
/// So a high priority goes ahead of whatever came within the hour, and a low one is served in the end.
pub const AGEING_MS: i64 = 3_600_000;

impl Task {
    /// Its place in the order of its namespace, lowest first: when it was due or born, moved ahead by its priority. It does not change
    /// while the task waits, and still those that have waited long come first.
    pub fn rank(&self) -> i64 {
        let born = self.born_at.unwrap_or_default();
        // Nobody gets ahead by having been due before they came.
        let since = self.facts.release_at.or(self.facts.due_at).map_or(born, |at| at.max(born));
        since.0.saturating_sub(self.priority() as i64 * AGEING_MS)
    }

    /// What a limit may be counted by: a field of the payload, or of the task itself. Missing and null are none.
    pub fn key(&self, path: &str) -> Option<String> {
        let facts = &self.facts;
        if let Some(path) = path.strip_prefix("payload.") {
            let value = path.split('.').try_fold(&self.contents.text.payload, |value, part| value.get(part))?;
            return match value {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
        }
        let own = match path {
            "namespace" => Some(&facts.namespace),
            "task_type" => Some(&facts.task_type),
            "owner_id" => facts.owner_id.as_ref(),
            "source" => facts.source.as_ref(),
            "subject_ref_id" => facts.subject_ref_id.as_ref(),
            _ => None,
        };
        own.map(ToString::to_string)
    }
}
