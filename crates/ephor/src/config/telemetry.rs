//! Whether traces and figures are sent to a collector, and to which. The variables that OpenTelemetry has for it outrank the file; what they
//! say that makes no sense is passed over with a word in the log, because they are often set for other programs too.

use super::Setting;
use ephor_core::time::WireDuration;
use serde::Deserialize;

/// The shortest and longest time a collector may take to answer.
const TIMEOUT_MS: (u64, u64) = (100, 60_000);
/// The shortest and longest time between two looks at the figures.
const INTERVAL_MS: (u64, u64) = (1_000, 3_600_000);

/// The section `telemetry`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// OTLP over HTTP.
    pub otlp: Otlp,
}

/// The section `telemetry.otlp`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Otlp {
    /// The address of the collector, before `/v1/traces` and `/v1/metrics`; nothing is sent where it is missing.
    pub endpoint: Option<String>,
    /// Whether a span is sent for what was done.
    pub traces: bool,
    /// Whether figures are sent.
    pub metrics: bool,
    /// How often figures are sent.
    pub metrics_interval: WireDuration,
    /// How long the collector may take to answer.
    pub timeout: WireDuration,
    /// The name under which this server is known there.
    pub service_name: String,
    /// Headers of each request, as `OTEL_EXPORTER_OTLP_HEADERS` says them: they may be secrets and stand in no file.
    #[serde(skip)]
    pub headers: Vec<(String, String)>,
    /// What else is said about this server, as `OTEL_RESOURCE_ATTRIBUTES` says it.
    #[serde(skip)]
    pub resource: Vec<(String, String)>,
    /// What the environment says that makes no sense.
    #[serde(skip)]
    pub passed_over: Vec<String>,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            endpoint: None,
            traces: true,
            metrics: true,
            metrics_interval: WireDuration { ms: 60_000 },
            timeout: WireDuration { ms: 10_000 },
            service_name: "ephor".into(),
            headers: Vec::new(),
            resource: Vec::new(),
            passed_over: Vec::new(),
        }
    }
}

impl Telemetry {
    /// What is wrong with it, with the name of the key; nothing where all is well.
    pub(super) fn problem(&self) -> Option<String> {
        let of = |name: &str, said: WireDuration, (from, to): (u64, u64)| {
            let told = |ms| WireDuration { ms };
            let wrong = || format!("telemetry.otlp.{name} is {said}; allowed are {} to {}", told(from), told(to));
            (!(from..=to).contains(&said.ms)).then(wrong)
        };
        let Otlp { endpoint, metrics_interval, timeout, service_name, .. } = &self.otlp;
        let address = endpoint.as_deref().and_then(|said| address(said).err());
        let address = address.map(|why| format!("telemetry.otlp.endpoint: {why}"));
        address
            .or_else(|| of("metrics_interval", *metrics_interval, INTERVAL_MS))
            .or_else(|| of("timeout", *timeout, TIMEOUT_MS))
            .or_else(|| service_name.is_empty().then(|| "telemetry.otlp.service_name is empty; leave it out for ephor".into()))
    }

    /// The same with what the environment says.
    pub(super) fn with(mut self, env: impl Fn(&str) -> Option<String>) -> Self {
        let own = &mut self.otlp;
        let mut wrong = Vec::new();
        if let Some(said) = env("OTEL_EXPORTER_OTLP_ENDPOINT") {
            match address(&said) {
                Ok(()) => own.endpoint = Some(said),
                Err(why) => wrong.push(format!("OTEL_EXPORTER_OTLP_ENDPOINT: {why}")),
            }
        }
        if let Some(said) = env("OTEL_EXPORTER_OTLP_PROTOCOL").filter(|said| said != "http/json") {
            wrong.push(format!("OTEL_EXPORTER_OTLP_PROTOCOL is {said:?}; spoken is http/json alone"));
        }
        for (name, kept, (from, to)) in [
            ("OTEL_EXPORTER_OTLP_TIMEOUT", &mut own.timeout, TIMEOUT_MS),
            ("OTEL_METRIC_EXPORT_INTERVAL", &mut own.metrics_interval, INTERVAL_MS),
        ] {
            match env(name).map(|said| (said.parse::<u64>().ok().filter(|ms| (from..=to).contains(ms)), said)) {
                Some((Some(ms), _)) => kept.ms = ms,
                Some((None, said)) => wrong.push(format!("{name} is {said:?}; allowed are {from} to {to} milliseconds")),
                None => {}
            }
        }
        if let Some(name) = env("OTEL_SERVICE_NAME") {
            own.service_name = name;
        }
        for (name, kept) in [("OTEL_EXPORTER_OTLP_HEADERS", &mut own.headers), ("OTEL_RESOURCE_ATTRIBUTES", &mut own.resource)] {
            match env(name).map(|said| pairs(&said)) {
                Some(Some(all)) => *kept = all,
                // What stands there may be a secret.
                Some(None) => wrong.push(format!("{name} does not read name=value,name=value")),
                None => {}
            }
        }
        if env("OTEL_SDK_DISABLED").is_some_and(|said| said.eq_ignore_ascii_case("true")) {
            own.endpoint = None;
        }
        // Of what is for others alone nothing is said.
        let concerns = own.endpoint.is_some() || env("OTEL_EXPORTER_OTLP_ENDPOINT").is_some();
        own.passed_over = if concerns { wrong } else { Vec::new() };
        self
    }

    /// Each value, for those who look. Of an address not what stands behind its `?`.
    pub(super) fn settings(&self, said: impl Fn(&str) -> bool) -> Vec<Setting> {
        let Otlp { endpoint, traces, metrics, metrics_interval, timeout, service_name, .. } = &self.otlp;
        let shown = endpoint.as_ref().map(|url| url.split(['?', '#']).next().unwrap_or_default().to_owned());
        let of = |key: &str, value: Option<String>| Setting { name: format!("telemetry.otlp.{key}"), value, said: said(key) };
        vec![
            of("endpoint", shown),
            of("traces", Some(traces.to_string())),
            of("metrics", Some(metrics.to_string())),
            of("metrics_interval", Some(metrics_interval.to_string())),
            of("timeout", Some(timeout.to_string())),
            of("service_name", Some(service_name.clone())),
        ]
    }
}

/// Whether a text is an address a collector can have.
fn address(said: &str) -> Result<(), String> {
    match said.starts_with("http://") || said.starts_with("https://") {
        true => ephor_agents::outgoing::read(said, true).map(drop).map_err(|why| why.to_string()),
        false => Err(format!("{said:?} does not begin with http:// or https://; a collector listens for them on port 4318")),
    }
}

/// `name=value,name=value`, values written as in an address.
fn pairs(said: &str) -> Option<Vec<(String, String)>> {
    let one = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let name = name.trim();
        // A plus is a plus there, and no space.
        let value = value.trim().replace('+', "%2B");
        let value = form_urlencoded::parse(format!("v={value}").as_bytes()).next()?.1.into_owned();
        (!name.is_empty()).then(|| (name.to_owned(), value))
    };
    said.split(',').filter(|pair| !pair.trim().is_empty()).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str, env: &[(&str, &str)]) -> Otlp {
        let written: Telemetry = serde_saphyr::from_str(yaml).unwrap();
        assert_eq!(written.problem(), None);
        written.with(|name| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())).otlp
    }

    #[test]
    fn nothing_is_sent_unless_a_collector_is_named() {
        assert_eq!(read("{}", &[]).endpoint, None);
        let named = read("{otlp: {endpoint: http://127.0.0.1:4318}}", &[]);
        assert_eq!((named.endpoint.as_deref(), named.traces, named.metrics), (Some("http://127.0.0.1:4318"), true, true));
        let off = [("OTEL_SDK_DISABLED", "true")];
        assert_eq!(read("{otlp: {endpoint: http://127.0.0.1:4318}}", &off).endpoint, None);
    }

    #[test]
    fn the_environment_outranks_the_file_and_nonsense_in_it_is_passed_over() {
        let env = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel.example/x?key=1"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x-more=1+1"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
            ("OTEL_SERVICE_NAME", "mine"),
        ];
        let all = read("{otlp: {endpoint: http://127.0.0.1:4318, timeout: 1s}}", &env);
        assert_eq!(all.endpoint.as_deref(), Some("https://otel.example/x?key=1"));
        assert_eq!(all.headers, [("api-key".into(), "a b".into()), ("x-more".into(), "1+1".into())]);
        assert_eq!((all.timeout.ms, all.service_name.as_str(), all.resource.len()), (2_000, "mine", 1));
        assert_eq!(all.passed_over, Vec::<String>::new());
        let listed = Telemetry { otlp: all }.settings(|_| false);
        assert!(listed.iter().all(|one| !format!("{one:?}").contains("key=1")), "{listed:?}");

        let wrong = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ];
        let kept = read("{otlp: {endpoint: http://127.0.0.1:4318}}", &wrong);
        assert_eq!((kept.endpoint.as_deref(), kept.passed_over.len()), (Some("http://127.0.0.1:4318"), 4), "{kept:?}");
        assert!(kept.passed_over.iter().all(|why| !why.contains("secret")), "{kept:?}");
    }

    #[test]
    fn what_makes_no_sense_in_the_file_is_told() {
        for (yaml, told) in [
            ("{otlp: {endpoint: localhost:4317}}", "telemetry.otlp.endpoint: \"localhost:4317\" does not begin with"),
            ("{otlp: {endpoint: 'http://'}}", "telemetry.otlp.endpoint"),
            ("{otlp: {timeout: 1ms}}", "telemetry.otlp.timeout is 1ms; allowed are 100ms to 1m"),
            ("{otlp: {metrics_interval: 2h}}", "telemetry.otlp.metrics_interval"),
            ("{otlp: {service_name: ''}}", "telemetry.otlp.service_name"),
        ] {
            let written: Telemetry = serde_saphyr::from_str(yaml).unwrap();
            let why = written.problem().unwrap_or_default();
            assert!(why.contains(told), "{yaml}: {why}");
        }
    }
}
