//! Names in a submission: whoever asks for a task may name its agent and the tasks it belongs to by their own names, as on every path. What
//! the caller may not see is told like what does not exist.

use super::older;
use crate::api::ApiError;
use crate::http::agents::found;
use crate::http::auth::Principal;
use crate::http::body::{plain, read_as};
use crate::http::server::Server;
use crate::local::{Within, blocking, only};
use axum::body::Bytes;
use ephor_core::id::{AgentId, TaskId};
use ephor_core::plan::Problem;
use ephor_core::request::DEPENDS_MAX;
use ephor_core::spec::Request;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The fields of a request that name one task.
const TASKS: [&str; 3] = ["parent_task_id", "retry_of", "related_task_id"];
/// How deep steps may stand in steps; JSON as a whole may not be deeper.
const DEPTH_MAX: usize = 32;

/// A request in any form it may come in, and whether it was written in camelCase. One that is plain is read at once; whatever has to be
/// looked up is looked up where that may take its time.
pub(super) async fn request(bytes: &Bytes, server: &Arc<Server>, who: &Arc<Principal>) -> Result<(Request, bool), ApiError> {
    if let Some(request) = plain(bytes) {
        return Ok((request, false));
    }
    let (bytes, server, who) = (bytes.clone(), server.clone(), who.clone());
    blocking(move || request_now(&bytes, &server, &who)).await
}

/// The same, on a thread that may wait for the store.
pub(super) fn request_now(bytes: &[u8], server: &Server, who: &Principal) -> Result<(Request, bool), ApiError> {
    read_as(bytes, |map| {
        let older = older::reshape(map, server.engine().now(), &server.engine().policy())?;
        Ok(Names { server, who, within: within(map, who) }.resolve(map)? || older)
    })
}

/// Where names of tasks are looked for: in the namespace of the caller, else in that of the request, else everywhere.
fn within(map: &Map<String, Value>, who: &Principal) -> Within {
    let said = map.get("namespace").and_then(Value::as_str);
    Within { namespace: who.namespace.as_deref().or(said).map(Into::into), source: None }
}

struct Names<'a> {
    server: &'a Server,
    who: &'a Principal,
    within: Within,
}

impl Names<'_> {
    /// Puts ids in the place of names. Says whether there were any.
    fn resolve(&self, map: &mut Map<String, Value>) -> Result<bool, Problem> {
        let mut any = self.agent("", map)?;
        for field in TASKS {
            if let Some(value) = map.get_mut(field) {
                any |= self.task(value, || field.into())?;
            }
        }
        // Of a list that is too long nothing is looked up: it is refused anyway.
        if let Some(Value::Array(all)) =
            map.get_mut("depends_on").filter(|v| v.as_array().is_some_and(|a| a.len() <= DEPENDS_MAX))
        {
            for (place, value) in all.iter_mut().enumerate() {
                any |= self.task(value, || format!("depends_on[{place}]"))?;
            }
        }
        if let Some(Value::Object(plan)) = map.get_mut("plan") {
            any |= self.steps("plan", plan, DEPTH_MAX)?;
        }
        Ok(any)
    }

    fn steps(&self, path: &str, of: &mut Map<String, Value>, deep: usize) -> Result<bool, Problem> {
        let mut any = false;
        let Some(Value::Array(steps)) = of.get_mut("steps").filter(|_| deep > 0) else { return Ok(false) };
        for (place, step) in steps.iter_mut().enumerate() {
            let Value::Object(step) = step else { continue };
            let path = format!("{path}.steps[{place}]");
            any |= self.agent(&format!("{path}."), step)?;
            any |= self.steps(&path, step, deep - 1)?;
        }
        Ok(any)
    }

    fn agent(&self, path: &str, map: &mut Map<String, Value>) -> Result<bool, Problem> {
        let Some(name) = map.get("agent").and_then(Value::as_str).filter(|name| name.parse::<AgentId>().is_err()) else {
            return Ok(false);
        };
        let agent = found(self.server, self.who, name);
        let agent = agent.map_err(|error| Problem::new(format!("{path}agent"), error.message))?;
        map.insert("agent".into(), agent.id.to_string().into());
        Ok(true)
    }

    fn task(&self, value: &mut Value, field: impl Fn() -> String) -> Result<bool, Problem> {
        let Some(name) = value.as_str().filter(|name| name.parse::<TaskId>().is_err()) else { return Ok(false) };
        let told = |error: ApiError| {
            let why = error.why.map(|why| format!(": {why}")).unwrap_or_default();
            Problem::new(field(), format!("{}{why}", error.message))
        };
        let called = self.server.look().called(name, self.within.clone()).map_err(told)?;
        let id = only(name, &called, |apart| apart.id.to_string()).map_err(told)?;
        *value = id.to_string().into();
        Ok(true)
    }
}
