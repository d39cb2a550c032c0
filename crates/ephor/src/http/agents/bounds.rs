//! What an agent may say anew of itself with a key of its own: as much as it was trusted with, or less. More of anything is for whoever
//! looks after agents, since a capability decides which tasks an agent is given, and so what it gets to see.

use crate::api::{ApiError, Kind};
use crate::http::auth::{Permission, Principal};
use ephor_core::agent::Registration;
use ephor_core::plan::Problem as FieldProblem;

/// What is registered where whoever is bound to an agent says this of it. Where it says nothing of its models, resources and slots, what
/// is known of them stands.
///
/// # Errors
///
/// FORBIDDEN with the field, where it asks for more than is known of it, or for another name of its own.
pub(super) fn bounded(who: &Principal, known: &Registration, mut said: Registration) -> Result<Registration, ApiError> {
    if who.agent.is_none() || who.may(Permission::Steer) {
        return Ok(said);
    }
    if said.external_id != known.external_id {
        return Err(wider(who, "external_id", "an agent keeps its own name".into()));
    }
    if let Some(word) = said.capabilities.iter().find(|word| !known.capabilities.contains(word)) {
        return Err(wider(who, "capabilities", format!("{word:?} is new; it has {}", known.capabilities.join(", "))));
    }
    match said.slots {
        None => said.slots = known.slots,
        some if some == known.slots => {}
        Some(slots) => {
            let has = known.slots.map_or("no limit".into(), |slots| slots.to_string());
            return Err(wider(who, "slots", format!("it says {slots} and has {has}")));
        }
    }
    if said.models.is_empty() {
        said.models.clone_from(&known.models);
    }
    // Any model goes where none is known.
    if let Some(model) = said.models.iter().find(|model| !known.models.is_empty() && !known.models.contains(model)) {
        return Err(wider(who, "models", format!("{model:?} is new; it has {}", known.models.join(", "))));
    }
    for (what, has) in &known.resources {
        let says = *said.resources.entry(what.clone()).or_insert(*has);
        if says > *has {
            return Err(wider(who, "resources", format!("{what}: it says {says} and has {has}")));
        }
    }
    Ok(said)
}

fn wider(who: &Principal, field: &str, message: String) -> ApiError {
    let error = ApiError::new(Kind::Forbidden, "FORBIDDEN", format!("{} may not widen what is known of its agent", who.name))
        .because(format!("{field}: {message}; whoever looks after agents may change it"));
    ApiError { problems: vec![FieldProblem::new(field, message)], ..error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephor_core::id::AgentId;
    use ephor_core::key::Role;

    fn known() -> Registration {
        Registration {
            name: "a".into(),
            capabilities: vec!["draw".into(), "gpu".into()],
            models: vec!["gpt-4".into(), "opus".into()],
            resources: [("cpu_cores".into(), 8)].into(),
            slots: Some(2),
            external_id: Some("own".into()),
            ..Registration::default()
        }
    }

    fn bound(roles: &[Role]) -> Principal {
        Principal { roles: roles.to_vec(), agent: Some(AgentId::new(1, [1; 10])), ..Principal::nobody() }
    }

    fn less() -> Registration {
        let capabilities = vec!["gpu".into()];
        Registration { name: "b".into(), capabilities, external_id: Some("own".into()), ..Registration::default() }
    }

    #[test]
    fn less_is_fine_and_what_is_not_said_stands() {
        let registered = bounded(&bound(&[Role::Agent]), &known(), less()).unwrap();
        assert_eq!(registered.capabilities, [Box::from("gpu")]);
        assert_eq!((registered.models, registered.resources, registered.slots), (known().models, known().resources, Some(2)));
        let fewer = Registration { models: vec!["opus".into()], resources: [("cpu_cores".into(), 4)].into(), ..less() };
        let registered = bounded(&bound(&[Role::Agent]), &known(), fewer.clone()).unwrap();
        assert_eq!((registered.models, registered.resources), (fewer.models, fewer.resources));
    }

    #[test]
    fn more_of_anything_is_refused_by_its_field_unless_the_key_may_look_after_agents() {
        let more: [(&str, Registration); 6] = [
            ("capabilities", Registration { capabilities: vec!["gpu".into(), "mail".into()], ..less() }),
            ("external_id", Registration { external_id: Some("other".into()), ..less() }),
            ("external_id", Registration { external_id: None, ..less() }),
            ("slots", Registration { slots: Some(3), ..less() }),
            ("models", Registration { models: vec!["haiku".into()], ..less() }),
            ("resources", Registration { resources: [("cpu_cores".into(), 9)].into(), ..less() }),
        ];
        for (field, said) in more {
            let error = bounded(&bound(&[Role::Agent]), &known(), said.clone()).unwrap_err();
            assert_eq!((error.kind, error.problems[0].field.as_str()), (Kind::Forbidden, field));
            assert_eq!(bounded(&bound(&[Role::Agent, Role::Operator]), &known(), said.clone()).as_ref(), Ok(&said), "{field}");
        }
    }
}
