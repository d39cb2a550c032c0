//! Requests as an older interface writes them, brought into the present form: `type` is the task type, `mode` is the autonomy or the
//! execution mode by its word. Whoever writes `type` also means that interface's way of life: the clock releases the task, nobody
//! gives signs of life, the work of whoever is lost waits for a person, and what failed has failed.

use ephor_core::plan::Problem;
use ephor_core::policy::Policy;
use ephor_core::spec::OnAgentLost;
use ephor_core::time::{Time, WireDuration};
use serde_json::{Map, Value, json};

/// How long after its submission the clock releases a task that is due already, in milliseconds. Until then it is PENDING, as its
/// submission was answered.
pub(crate) const RELEASE_AFTER_MS: u64 = 1_000;
/// How long whoever took such a task may be silent, in milliseconds. With the grace of a quarter on top it is held to be lost after 30
/// minutes (S3-97).
pub(crate) const SILENCE_MS: u64 = 24 * 60_000;

/// Brings a request into the present form. Says whether anything had to be changed.
pub(super) fn reshape(request: &mut Map<String, Value>, now: Time, policy: &Policy) -> Result<bool, Problem> {
    let mode = mode(request)?;
    // What the house knows how to do needs no step of its own.
    let known = request.get("type").and_then(Value::as_str).is_some_and(|word| policy.plan_for(word).is_some());
    let Some(task_type) = request.remove("type") else { return Ok(mode) };
    if request.contains_key("task_type") {
        return Err(Problem::new("type", "is the older word for `task_type`; give one of them"));
    }
    if !request.contains_key("title") && !request.contains_key("description") {
        let subject = request.get("subject_ref_id").and_then(Value::as_str).unwrap_or_default();
        let title = format!("{} {subject}", task_type.as_str().unwrap_or_default());
        request.insert("title".into(), title.trim().into());
    }
    request.insert("task_type".into(), task_type);
    let soon = now.plus(RELEASE_AFTER_MS);
    let due = request.get("due_at").and_then(Value::as_str).and_then(|text| Time::parse_start(text).ok());
    // The clock releases it, at its due time or soon; the due time itself stays as it was said.
    if due.is_none_or(|due| due < soon) {
        request.entry("scheduled_at").or_insert(soon.to_string().into());
    }
    request.entry("max_retries").or_insert(json!(0));
    request.entry("heartbeat_timeout").or_insert(json!(WireDuration { ms: SILENCE_MS }));
    request.entry("on_agent_lost").or_insert(json!(OnAgentLost::Block));
    if !known && !["plan", "plan_by_agent", "action", "capabilities"].iter().any(|field| request.contains_key(*field)) {
        let params = request.get("payload").filter(|payload| payload.is_object()).cloned().unwrap_or_else(|| json!({}));
        let title = request.get("title").or(request.get("description")).cloned().unwrap_or_default();
        let step = json!({"title": title, "action": "work", "params": params});
        request.insert("plan".into(), json!({"steps": [step]}));
    }
    Ok(true)
}

/// `mode` under the name that its word belongs to.
fn mode(request: &mut Map<String, Value>) -> Result<bool, Problem> {
    let Some(mode) = request.remove("mode") else { return Ok(false) };
    let word = mode.as_str().unwrap_or_default().to_ascii_uppercase().replace(['-', ' '], "_");
    let field = match word.as_str() {
        "SUGGESTION" | "ASSISTED" | "AUTONOMOUS" => "autonomy",
        "STRICT" | "AUTO" | "DRY_RUN" => "execution_mode",
        _ => {
            let known = "SUGGESTION, ASSISTED, AUTONOMOUS (the autonomy) and STRICT, AUTO, DRY_RUN (the execution mode)";
            return Err(Problem::new("mode", format!("{mode} is no mode; there are {known}")));
        }
    };
    match request.insert(field.into(), word.into()) {
        None => Ok(true),
        Some(_) => Err(Problem::new("mode", format!("and `{field}` say the same thing; give one of them"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reshaped(request: Value) -> Result<Value, String> {
        let Value::Object(mut map) = request else { panic!("an object") };
        reshape(&mut map, Time(1_000), &Policy::default()).map_err(|problem| problem.to_string())?;
        Ok(Value::Object(map))
    }

    #[test]
    fn the_mode_is_told_by_its_word() {
        assert_eq!(reshaped(json!({"mode": "assisted"})).unwrap(), json!({"autonomy": "ASSISTED"}));
        assert_eq!(reshaped(json!({"mode": "dry-run"})).unwrap(), json!({"execution_mode": "DRY_RUN"}));
        assert!(reshaped(json!({"mode": "fast"})).unwrap_err().contains("SUGGESTION"));
        assert!(reshaped(json!({"mode": "AUTO", "execution_mode": "STRICT"})).unwrap_err().contains("give one"));
    }

    #[test]
    fn a_request_with_a_type_is_released_by_the_clock_and_fails_once() {
        let request = reshaped(json!({"type": "T", "subject_ref_id": "INV-1", "payload": {"a": 1}})).unwrap();
        assert_eq!((&request["task_type"], &request["title"]), (&json!("T"), &json!("T INV-1")));
        assert_eq!((&request["scheduled_at"], &request["max_retries"]), (&json!("1970-01-01T00:00:02Z"), &json!(0)));
        assert_eq!(request["due_at"], Value::Null);
        let past = reshaped(json!({"type": "T", "due_at": "1970-01-01T00:00:00Z"})).unwrap();
        assert_eq!((&past["due_at"], &past["scheduled_at"]), (&json!("1970-01-01T00:00:00Z"), &json!("1970-01-01T00:00:02Z")));
        assert_eq!(request["plan"]["steps"][0]["params"], json!({"a": 1}));
        assert_eq!((&request["heartbeat_timeout"], &request["on_agent_lost"]), (&json!("24m"), &json!("block")));
        let later = reshaped(json!({"type": "T", "due_at": "2099-01-01T00:00:00Z", "max_retries": 2})).unwrap();
        assert_eq!((&later["due_at"], &later["max_retries"]), (&json!("2099-01-01T00:00:00Z"), &json!(2)));
        assert_eq!(later["scheduled_at"], Value::Null);
    }
}
