//! The encoding of OTLP over HTTP in JSON: the protobuf messages of the specification by the JSON mapping it lays down (ids in hexadecimal,
//! 64-bit numbers as text, enumerations as numbers).

use super::span::{Attributes, Kind, Said, Span};
use crate::metrics::{self, Family, Number, seconds};
use ephor_core::time::Time;
use ephor_engine::figures::BOUNDS_MS;
use serde_json::{Value, json};

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u32 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: u32 = 2;

/// Who tells it: the name of the service, and what else was said about it.
pub(super) fn resource(service: &str, more: &[(String, String)]) -> Value {
    let mut said = vec![("service.name", service), ("service.version", env!("CARGO_PKG_VERSION"))];
    said.extend(more.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    json!({"attributes": said.into_iter().map(|(name, value)| text(name, value)).collect::<Vec<_>>()})
}

/// A request to `/v1/traces`.
pub(super) fn traces(resource: &Value, spans: &[Span]) -> String {
    let spans: Vec<Value> = spans.iter().map(span).collect();
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope(), "spans": spans}]}]}).to_string()
}

/// A request to `/v1/metrics`.
pub(super) fn metrics(resource: &Value, families: &[Family], began: Time, now: Time) -> String {
    let all: Vec<Value> = families.iter().map(|family| metric(family, began, now)).collect();
    json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"scope": scope(), "metrics": all}]}]}).to_string()
}

fn scope() -> Value {
    json!({"name": "ephor", "version": env!("CARGO_PKG_VERSION")})
}

fn span(span: &Span) -> Value {
    let Span { trace, id, parent, name, kind, from, to, attributes, moments, left_out, links, error } = span;
    let kind = match kind {
        Kind::Internal => 1,
        Kind::Client => 3,
    };
    let moments: Vec<Value> = moments
        .iter()
        .map(|moment| json!({"timeUnixNano": nanos(moment.at), "name": moment.name, "attributes": said(&moment.attributes)}))
        .collect();
    let links: Vec<Value> = links
        .iter()
        .map(|(trace, id, how)| {
            json!({"traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "attributes": [text("ephor.link", how)]})
        })
        .collect();
    let mut told = json!({
        "traceId": format!("{trace:032x}"),
        "spanId": format!("{id:016x}"),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": nanos(*from),
        "endTimeUnixNano": nanos(*to),
        "attributes": said(attributes),
        "events": moments,
        "links": links,
        "status": {},
    });
    if let Some(parent) = parent {
        told["parentSpanId"] = json!(format!("{parent:016x}"));
    }
    if *left_out > 0 {
        told["droppedEventsCount"] = json!(left_out);
    }
    if let Some(error) = error {
        told["status"] = json!({"code": ERROR, "message": error});
    }
    told
}

fn metric(family: &Family, began: Time, now: Time) -> Value {
    let (start, at) = (nanos(began.0), nanos(now.0));
    let mut told = json!({"name": family.name, "description": family.help});
    if let Some(unit) = family.unit() {
        told["unit"] = json!(unit);
    }
    let points = |cumulative: bool| -> Vec<Value> {
        let point = |(labels, number): &(Vec<(String, String)>, Number)| {
            let labels: Vec<Value> = labels.iter().map(|(name, value)| text(name, value)).collect();
            let mut point = json!({"timeUnixNano": at, "attributes": labels});
            match number {
                Number::Whole(n) => point["asInt"] = json!(n.to_string()),
                Number::Real(n) => point["asDouble"] = json!(n),
            }
            if cumulative {
                point["startTimeUnixNano"] = json!(start);
            }
            point
        };
        family.samples.iter().map(point).collect()
    };
    match family.kind {
        metrics::Kind::Gauge => told["gauge"] = json!({"dataPoints": points(false)}),
        metrics::Kind::Counter => {
            told["sum"] = json!({"aggregationTemporality": CUMULATIVE, "isMonotonic": true, "dataPoints": points(true)});
        }
        metrics::Kind::Histogram => {
            let seen = family.seen.clone().unwrap_or_default();
            let counts: Vec<String> = seen.counts.iter().map(ToString::to_string).collect();
            let point = json!({"startTimeUnixNano": start, "timeUnixNano": at, "count": seen.count().to_string(),
                "sum": seconds(seen.sum_ms), "bucketCounts": counts, "explicitBounds": BOUNDS_MS.map(seconds)});
            told["histogram"] = json!({"aggregationTemporality": CUMULATIVE, "dataPoints": [point]});
        }
    }
    told
}

fn said(attributes: &Attributes) -> Vec<Value> {
    let one = |(name, value): &(Box<str>, Said)| match value {
        Said::Text(words) => text(name, words),
        Said::Whole(n) => json!({"key": name, "value": {"intValue": n.to_string()}}),
        Said::Real(n) => json!({"key": name, "value": {"doubleValue": n}}),
        Said::Flag(flag) => json!({"key": name, "value": {"boolValue": flag}}),
    };
    attributes.0.iter().map(one).collect()
}

fn text(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

fn nanos(ms: i64) -> String {
    (i128::from(ms) * 1_000_000).max(0).to_string()
}
