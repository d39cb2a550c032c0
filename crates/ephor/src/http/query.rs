//! Parameters behind the `?`: each known by name, in snake_case or camelCase; what is unknown or makes no sense is an error that names
//! it. One given several times counts as a list.

use super::case;
use super::tasks::{NARROWING, names_a_task};
use crate::api::ApiError;
use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::spec::Risk;
use ephor_core::status::Status;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// The parameters, read into `T`.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // What says which task the path names was read with it.
        let of_path = parts.extensions.get::<MatchedPath>().is_some_and(|path| names_a_task(path.as_str()));
        let query = parts.uri.query().unwrap_or_default();
        let is_camel = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| case::snake(&name).is_some());
        if let (true, Some(wanted)) = (is_camel, parts.extensions.get::<case::Wanted>()) {
            wanted.camel_unless_said();
        }
        read(query, if of_path { &NARROWING[..] } else { &[] }).map(Self)
    }
}

fn read<T: DeserializeOwned>(query: &str, but: &[&str]) -> Result<T, ApiError> {
    let mut given: Vec<(String, Cow<'_, str>)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let name = case::snake(&name).unwrap_or_else(|| name.into_owned());
        match given.iter_mut().find(|(known, _)| *known == name) {
            // `case` is for every request alike, and was read before.
            _ if name == "case" || but.contains(&name.as_str()) => {}
            Some((_, before)) => *before = format!("{before},{value}").into(),
            None => given.push((name, value)),
        }
    }
    let written = form_urlencoded::Serializer::new(String::new()).extend_pairs(&given).finish();
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(written.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|e| {
        let path = e.path().to_string();
        let field = if path == "." { "query".into() } else { path };
        ApiError::invalid("the query was refused", vec![FieldProblem::new(field, e.inner().to_string())])
    })
}

/// Several statuses, separated by commas, in any case and in the words of older interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statuses(pub(crate) Vec<Status>);

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(|word| Status::read(word).ok_or_else(|| D::Error::custom(no_status(word)))).collect::<Result<_, _>>().map(Self)
    }
}

/// That a word is no status, and which ones are.
pub(crate) fn no_status(word: &str) -> String {
    format!("{word:?} is no status; there are {}", Status::ALL.map(Status::word).join(", "))
}

/// Several risks, separated by commas, in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Risks(pub(crate) Vec<Risk>);

impl<'de> Deserialize<'de> for Risks {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let unknown = |word| format!("{word:?} is no risk; there are {}", Risk::ALL.map(Risk::word).join(", "));
        words.map(|word| Risk::read(word).ok_or_else(|| D::Error::custom(unknown(word)))).collect::<Result<_, _>>().map(Self)
    }
}

/// Several words, separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Ok(Self(text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Wanted {
        status: Statuses,
        owner_id: Option<String>,
        limit: Option<u32>,
    }

    #[test]
    fn parameters_are_read_in_either_case_and_several_times() {
        let wanted: Wanted =
            read("status=pending&ownerId=A%20I&status=RUNNING&limit=5&case=camel&source=x", &["source"]).unwrap();
        let expected =
            Wanted { status: Statuses(vec![Status::Pending, Status::InProgress]), owner_id: Some("A I".into()), limit: Some(5) };
        assert_eq!(wanted, expected);
    }

    #[test]
    fn what_is_unknown_or_makes_no_sense_is_named() {
        let wrong = |query| read::<Wanted>(query, &[]).unwrap_err().problems[0].to_string();
        assert!(wrong("stauts=x").contains("unknown field `stauts`, expected one of `status`"), "{}", wrong("stauts=x"));
        assert!(wrong("limit=many").starts_with("limit: "));
        assert!(wrong("status=happy").contains("PENDING"));
    }
}
