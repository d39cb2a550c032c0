//! The text that Prometheus reads (exposition format 0.0.4), written by hand: a table of names, and values beside them. Names and what they
//! mean are told in docs/metrics.md, which a test compares. Labels are words of closed sets, or names of namespaces and types of which no
//! more than so many are told apart; no label is an id.

use crate::local::figures::Now;
use ephor_core::status::Status;
use ephor_core::time::WireDuration;
use ephor_engine::figures::{BOUNDS_MS, Histogram, Tallies};
use std::fmt::{Display, Write};

/// Text that grows by one metric after the other.
struct Page(String);

/// A metric with its values.
struct Metric<'p> {
    page: &'p mut String,
    name: &'static str,
}

impl Page {
    fn metric(&mut self, name: &'static str, kind: &str, help: &str) -> Metric<'_> {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Metric { page: &mut self.0, name }
    }

    /// One that only grows.
    fn counter(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.metric(name, "counter", help)
    }

    /// One that stands at something now.
    fn gauge(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.metric(name, "gauge", help)
    }

    /// Durations in seconds, by their classes.
    fn histogram(&mut self, name: &'static str, help: &str, seen: &Histogram) {
        let metric = self.metric(name, "histogram", help);
        let mut so_far = 0;
        for (bound, count) in BOUNDS_MS.iter().zip(seen.counts) {
            so_far += u64::from(count);
            let _ = writeln!(metric.page, "{name}_bucket{{le=\"{}\"}} {so_far}", seconds(*bound));
        }
        let _ = writeln!(metric.page, "{name}_bucket{{le=\"+Inf\"}} {}", seen.count());
        let _ = writeln!(metric.page, "{name}_sum {}\n{name}_count {}", seconds(seen.sum_ms), seen.count());
    }
}

impl Metric<'_> {
    fn is(self, value: impl Display) {
        let _ = writeln!(self.page, "{} {value}", self.name);
    }

    /// A value under labels.
    fn of(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let _ = writeln!(self.page, "{}{{{}}} {value}", self.name, labels.join(","));
        self
    }

    fn each(mut self, label: &str, tallies: &Tallies) {
        for (word, n) in tallies {
            self.of(&[(label, word)], n);
        }
    }
}

/// A label's value: what would end it is written so that it does not.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// How long the oldest has waited, in seconds; 0 where nothing waits.
fn waited(oldest: Option<WireDuration>) -> f64 {
    oldest.map_or(0.0, |oldest| seconds(oldest.ms))
}

/// All of it, with how many breakers are not closed.
pub(super) fn text(now: &Now, breakers: &[(&str, u64)]) -> String {
    let mut page = Page(String::with_capacity(16 << 10));
    page.gauge("ephor_build_info", "The release; always 1").of(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    tasks(&mut page, now);
    work(&mut page, now);
    people(&mut page, now);
    engine(&mut page, now, breakers);
    page.0
}

fn tasks(page: &mut Page, now: &Now) {
    let figures = &now.figures;
    let mut by_status = page.gauge("ephor_tasks", "Tasks in each status now");
    for status in Status::ALL {
        by_status.of(&[("status", status.word())], figures.tasks.by_status.get(&status).copied().unwrap_or(0));
    }
    // In an order that stays, for people who compare.
    let mut cells: Vec<_> = now.totals.iter().map(|(cell, counts)| ((cell.namespace(), cell.task_type()), counts)).collect();
    cells.sort_unstable_by_key(|(name, _)| *name);
    let mut submitted = page.counter("ephor_tasks_submitted_total", "Tasks that were submitted");
    for ((namespace, task_type), counts) in cells.iter().filter(|(_, counts)| counts.submitted > 0) {
        submitted.of(&[("namespace", namespace), ("type", task_type)], counts.submitted);
    }
    let mut ended = page.counter("ephor_tasks_ended_total", "Tasks that ended, by how");
    for ((namespace, task_type), counts) in &cells {
        for (outcome, n) in &counts.ended {
            ended.of(&[("namespace", namespace), ("type", task_type), ("outcome", outcome)], n);
        }
    }
    let total = &now.total;
    page.counter("ephor_tasks_retried_total", "How often a task was tried again").is(total.retried);
    page.counter("ephor_tasks_escalated_total", "How often a task escalated").is(total.escalated);
    page.counter("ephor_tasks_stalled_total", "How often work waited too long for an agent").is(total.stalled);
    page.histogram("ephor_task_duration_seconds", "From submission to the end, of tasks that completed", &total.duration);
    page.histogram("ephor_task_execution_seconds", "From the first start to the end, of tasks that completed", &total.execution);
    page.histogram("ephor_task_queue_seconds", "How long tasks were queued until somebody came", &total.queued);
    page.gauge("ephor_queue_tasks", "Tasks that are released and that nobody has begun").is(figures.queue.depth);
    page.gauge("ephor_queue_oldest_seconds", "How long the oldest of them has waited").is(waited(figures.queue.oldest));
}

fn work(page: &mut Page, now: &Now) {
    let total = &now.total;
    let mut attempts = page.counter("ephor_attempts_total", "Attempts at steps that ended, by how");
    attempts.of(&[("outcome", "succeeded")], total.attempts_succeeded).of(&[("outcome", "failed")], total.all_failed());
    page.counter("ephor_attempt_failures_total", "Attempts that failed, by the class of the error")
        .each("class", &total.attempts_failed);
    page.histogram("ephor_attempt_duration_seconds", "From the claim to the report, of attempts that worked", &total.attempt);
    let mut gates = page.counter("ephor_gates_judged_total", "Gates that were judged, by what and how");
    for (kind, judged) in &total.gates {
        gates.of(&[("kind", kind), ("result", "passed")], judged.passed);
        gates.of(&[("kind", kind), ("result", "failed")], judged.failed);
    }
    let mut agents = page.gauge("ephor_agents", "Agents by how they look; UNSEEN were not heard of since the start");
    for (word, n) in &now.figures.agents.by_liveness {
        agents.of(&[("liveness", word)], n);
    }
    page.gauge("ephor_agents_draining", "Agents that get no new work").is(now.figures.agents.draining);
    page.gauge("ephor_leases", "Pieces of work in the hands of agents").is(now.figures.agents.leases);
}

fn people(page: &mut Page, now: &Now) {
    let (total, figures) = (&now.total, &now.figures);
    page.gauge("ephor_reviews_open", "Reviews of the council that are open").is(figures.council.open);
    page.gauge("ephor_reviews_oldest_seconds", "How long the oldest of them has been").is(waited(figures.council.oldest));
    page.counter("ephor_reviews_opened_total", "Reviews that were opened").is(total.reviews_opened);
    page.counter("ephor_reviews_decided_total", "Reviews that were decided, by verdict").each("verdict", &total.verdicts);
    page.histogram("ephor_review_duration_seconds", "From the opening of a review to its verdict", &total.deciding);
    page.gauge("ephor_approvals_owed", "Questions about single actions that wait for an answer").is(figures.approvals.owed);
    page.gauge("ephor_approvals_oldest_seconds", "How long the oldest of them has waited").is(waited(figures.approvals.oldest));
    page.counter("ephor_approvals_asked_total", "Questions about single actions").is(total.approvals_asked);
    page.counter("ephor_approvals_answered_total", "Answers to them, by what").each("answer", &total.approvals_answered);
    page.histogram("ephor_approval_duration_seconds", "From such a question to its answer", &total.answering);
    page.gauge("ephor_people_asked_tasks", "Tasks that ask something of people, counted up to 1000")
        .is(figures.people.tasks_asking);
    page.gauge("ephor_people_asked_oldest_seconds", "How long the one has asked that has asked longest")
        .is(waited(figures.people.oldest));
}

fn engine(page: &mut Page, now: &Now, breakers: &[(&str, u64)]) {
    let mut open = page.gauge("ephor_breakers_open", "Agents, tools and models that are left alone because they failed");
    for (of, n) in breakers {
        open.of(&[("of", of)], n);
    }
    let figures = &now.figures;
    let mut alerts = page.gauge("ephor_alert", "Whether something is beyond its threshold: 1, else 0");
    for one in &figures.alerts {
        alerts.of(&[("name", &one.name)], u8::from(one.over));
    }
    let mut crossings = page.counter("ephor_alert_crossings_total", "How often something went beyond its threshold");
    for one in &figures.alerts {
        crossings.of(&[("name", &one.name)], one.crossings);
    }
    page.counter("ephor_events_total", "Events that were ever written").is(figures.position + figures.behind);
    page.gauge("ephor_figures_behind_events", "Events that are not in these figures yet").is(figures.behind);
    let Some(engine) = &figures.engine else { return };
    page.counter("ephor_commits_total", "Commits").is(engine.commits);
    page.gauge("ephor_writer_waiting", "Requests that wait for the writer").is(engine.waiting);
    page.gauge("ephor_claims_parked", "Agents that wait for work").is(engine.parked);
    page.gauge("ephor_tasks_cached", "Tasks that are decoded in memory").is(engine.cached);
    page.gauge("ephor_uptime_seconds", "How long the server has run").is(seconds(engine.uptime.ms));
    let known = [
        ("ephor_database_bytes", "The size of the database", engine.database_bytes),
        ("ephor_database_log_bytes", "The size of its write-ahead log", engine.log_bytes),
        ("process_resident_memory_bytes", "The memory of this process", engine.memory_bytes),
    ];
    for (name, help, bytes) in known {
        bytes.into_iter().for_each(|bytes| page.gauge(name, help).is(bytes));
    }
    let used = engine.memory_used;
    used.into_iter().for_each(|used| page.gauge("ephor_memory_used_ratio", "The part of the machine's memory in use").is(used));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_before_its_time() {
        let mut page = Page(String::new());
        page.gauge("a", "b").of(&[("x", "say \"no\"\n\\")], 1);
        assert_eq!(page.0, "# HELP a b\n# TYPE a gauge\na{x=\"say \\\"no\\\"\\n\\\\\"} 1\n");
    }

    #[test]
    fn the_classes_of_a_histogram_hold_those_below_them_too() {
        let mut seen = Histogram::default();
        seen.counts[1] = 2;
        seen.counts[BOUNDS_MS.len()] = 1;
        seen.sum_ms = 1_500;
        let mut page = Page(String::new());
        page.histogram("a", "b", &seen);
        for line in
            ["a_bucket{le=\"0.01\"} 0", "a_bucket{le=\"0.025\"} 2", "a_bucket{le=\"604800\"} 2", "a_bucket{le=\"+Inf\"} 3"]
        {
            assert!(page.0.lines().any(|found| found == line), "{line} in {}", page.0);
        }
        assert!(page.0.ends_with("a_sum 1.5\na_count 3\n"));
    }
}
