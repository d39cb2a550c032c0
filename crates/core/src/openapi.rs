//! How the wire types with a text form of their own look in an OpenAPI document. The others derive it.

use crate::id::{Id, Kind};
use crate::time::{Time, WireDuration, WireTime};
use crate::work::WorkKey;
use std::borrow::Cow;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A text, what it means, and an example.
fn text(description: &str, example: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).examples([example])
}

impl<K: Kind> PartialSchema for Id<K> {
    fn schema() -> RefOr<Schema> {
        let example = format!("{}_01k9zq5v3ze8rt6a0w1m2n3p4q", K::PREFIX);
        let pattern = format!("^{}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$", K::PREFIX);
        text("A typed id; sorts by the time it was made.", &example).pattern(Some(pattern)).into()
    }
}

impl<K: Kind> ToSchema for Id<K> {
    fn name() -> Cow<'static, str> {
        let mut letters = K::PREFIX.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase());
        format!("{}{}Id", first.unwrap_or_default(), letters.as_str()).into()
    }
}

impl PartialSchema for WireTime {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        text("RFC 3339 in UTC.", "2026-01-31T12:00:00Z").format(Some(format)).into()
    }
}

impl ToSchema for WireTime {
    fn name() -> Cow<'static, str> {
        "Time".into()
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Integer).description(Some("Milliseconds since the Unix epoch.")).into()
    }
}

impl ToSchema for Time {
    fn name() -> Cow<'static, str> {
        "Milliseconds".into()
    }
}

impl PartialSchema for WireDuration {
    fn schema() -> RefOr<Schema> {
        text("A length of time: `500ms`, `10s`, `30m`, `2h`, `30d`.", "30m").into()
    }
}

impl ToSchema for WireDuration {
    fn name() -> Cow<'static, str> {
        "Duration".into()
    }
}

impl PartialSchema for WorkKey {
    fn schema() -> RefOr<Schema> {
        text("Which piece of work of a task: a step, a gate of a step, a plan or an analysis.", "step:1.2").into()
    }
}

impl ToSchema for WorkKey {
    fn name() -> Cow<'static, str> {
        "WorkKey".into()
    }
}
