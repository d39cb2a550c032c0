//! What is told: every metric with its name, what it means, and its values.

use super::{Families, Family, seconds, waited};
use crate::local::figures::Now;
use crate::telemetry::Sent;
use ephor_core::breaker::BreakerOf;
use ephor_core::status::Status;

/// All of it; with what became of spans that were to be sent on.
pub(crate) fn families(now: &Now, sent: &Sent) -> Vec<Family> {
    let mut page = Families::default();
    page.gauge("ephor_build_info", "The release; always 1").of(&[("version", env!("CARGO_PKG_VERSION"))], 1_u64);
    tasks(&mut page, now);
    work(&mut page, now);
    people(&mut page, now);
    engine(&mut page, now);
    telemetry(&mut page, sent);
    page.0
}

fn tasks(page: &mut Families, now: &Now) {
    let figures = &now.figures;
    let by_status = page.gauge("ephor_tasks", "Tasks in each status now");
    for status in Status::ALL {
        by_status.of(&[("status", status.word())], figures.tasks.by_status.get(&status).copied().unwrap_or(0));
    }
    // In an order that stays, for people who compare.
    let mut cells: Vec<_> = now.totals.iter().map(|(cell, counts)| ((cell.namespace(), cell.task_type()), counts)).collect();
    cells.sort_unstable_by_key(|(name, _)| *name);
    let submitted = page.counter("ephor_tasks_submitted_total", "Tasks that were submitted");
    for ((namespace, task_type), counts) in cells.iter().filter(|(_, counts)| counts.submitted > 0) {
        submitted.of(&[("namespace", namespace), ("type", task_type)], counts.submitted);
    }
    let ended = page.counter("ephor_tasks_ended_total", "Tasks that ended, by how");
    for ((namespace, task_type), counts) in &cells {
        for (outcome, n) in &counts.ended {
            ended.of(&[("namespace", namespace), ("type", task_type), ("outcome", outcome)], *n);
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

fn work(page: &mut Families, now: &Now) {
    let total = &now.total;
    let attempts = page.counter("ephor_attempts_total", "Attempts at steps that ended, by how");
    attempts.of(&[("outcome", "succeeded")], total.attempts_succeeded).of(&[("outcome", "failed")], total.all_failed());
    page.counter("ephor_attempt_failures_total", "Attempts that failed, by the class of the error")
        .each("class", &total.attempts_failed);
    page.histogram("ephor_attempt_duration_seconds", "From the claim to the report, of attempts that worked", &total.attempt);
    let gates = page.counter("ephor_gates_judged_total", "Gates that were judged, by what and how");
    for (kind, judged) in &total.gates {
        gates.of(&[("kind", kind), ("result", "passed")], judged.passed);
        gates.of(&[("kind", kind), ("result", "failed")], judged.failed);
    }
    let agents = page.gauge("ephor_agents", "Agents by how they look; UNSEEN were not heard of since the start");
    for (word, n) in &now.figures.agents.by_liveness {
        agents.of(&[("liveness", word)], *n);
    }
    page.gauge("ephor_agents_draining", "Agents that get no new work").is(now.figures.agents.draining);
    page.gauge("ephor_leases", "Pieces of work in the hands of agents").is(now.figures.agents.leases);
}

fn people(page: &mut Families, now: &Now) {
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

fn engine(page: &mut Families, now: &Now) {
    let open = page.gauge("ephor_breakers_open", "Agents, tools and models that are left alone because they failed");
    let figures = &now.figures;
    for (of, word) in [(BreakerOf::Agent, "agent"), (BreakerOf::Tool, "tool"), (BreakerOf::Model, "model")] {
        open.of(&[("of", word)], figures.breakers.iter().filter(|one| one.of == of).count() as u64);
    }
    let alerts = page.gauge("ephor_alert", "Whether something is beyond its threshold: 1, else 0");
    for one in &figures.alerts {
        alerts.of(&[("name", &one.name)], u64::from(one.over));
    }
    let crossings = page.counter("ephor_alert_crossings_total", "How often something went beyond its threshold");
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

fn telemetry(page: &mut Families, sent: &Sent) {
    let Sent { delivered, dropped, skipped } = *sent;
    let spans = page.counter("ephor_telemetry_spans_total", "Spans for a collector, by what became of them");
    spans.of(&[("outcome", "delivered")], delivered).of(&[("outcome", "dropped")], dropped);
    page.counter("ephor_telemetry_skipped_events_total", "Events of which no spans were made: the collector was away too long")
        .is(skipped);
}
