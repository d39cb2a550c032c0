//! What is watched: tasks that run too long, attempts that fail too often, memory that runs out. Each crossing of a threshold is told once
//! in the log, and so is the way back; between them it stands in the figures.

use super::Scope;
use crate::config::Thresholds;
use ephor_core::figures::Alert;
use ephor_core::id::TaskId;
use ephor_core::time::{Time, WireDuration, WireTime};
use ephor_engine::figures::{Fold, error_rate};

/// Over how long attempts are looked at, and how many there have to be before a part of them says anything.
const RATE_MS: u64 = 3_600_000;
const ATTEMPTS_MIN: u64 = 20;
/// How many tasks that run too long one look names; the rest are counted.
const NAMED_MAX: usize = 20;

/// One threshold.
#[derive(Clone, Copy, Debug, Default)]
struct Crossing {
    since: Option<Time>,
    crossings: u64,
}

impl Crossing {
    /// It stands there now; whether that is another side than before.
    fn stands(&mut self, over: bool, now: Time) -> bool {
        let turned = over != self.since.is_some();
        if turned {
            self.since = over.then_some(now);
            self.crossings += u64::from(over);
        }
        turned
    }
}

/// Where things stand against their thresholds.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    duration: Crossing,
    error_rate: Crossing,
    memory: Crossing,
    /// Tasks that were started up to then and run too long have been named.
    named: Option<Time>,
}

impl Alerts {
    /// Looks, and says in the log what has turned.
    pub(super) fn look(&mut self, fold: &Fold, thresholds: &Thresholds, memory: Option<f64>, now: Time) {
        let Thresholds { duration_warning, memory_warning, error_rate_warning } = thresholds;
        self.too_long(fold, *duration_warning, now);
        let (rate, over) = failing(fold, None, thresholds, now);
        if self.error_rate.stands(over, now) {
            let rate = percent(rate.unwrap_or(0.0));
            match over {
                true => {
                    tracing::warn!(alert = "error_rate_warning", %rate, threshold = %error_rate_warning, "attempts fail too often")
                }
                false => tracing::info!(alert = "error_rate_warning", %rate, "attempts fail less often again"),
            }
        }
        let over = memory.is_some_and(|used| used > memory_warning.part());
        if self.memory.stands(over, now) {
            let used = percent(memory.unwrap_or(0.0));
            match over {
                true => tracing::warn!(alert = "memory_warning", %used, threshold = %memory_warning, "memory runs out"),
                false => tracing::info!(alert = "memory_warning", %used, "there is memory again"),
            }
        }
    }

    /// Each task is named once, when it has run too long.
    fn too_long(&mut self, fold: &Fold, threshold: WireDuration, now: Time) {
        let line = Time(now.0.saturating_sub(i64::try_from(threshold.ms).unwrap_or(i64::MAX)));
        let all: Vec<_> = fold.running_since(None, line).collect();
        let fresh = || all.iter().filter(|(_, from)| self.named.is_none_or(|named| *from > named));
        for (bits, from) in fresh().take(NAMED_MAX) {
            let (task, runs) = (TaskId::from_bits(*bits), WireDuration { ms: now.since(*from) });
            tracing::warn!(alert = "duration_warning", %task, %runs, %threshold, "a task runs for long");
        }
        let more = fresh().count().saturating_sub(NAMED_MAX);
        if more > 0 {
            tracing::warn!(alert = "duration_warning", more, %threshold, "more tasks run for long");
        }
        self.named = Some(line);
        if self.duration.stands(!all.is_empty(), now) && all.is_empty() {
            tracing::info!(alert = "duration_warning", "no task runs for long any more");
        }
    }

    /// How things stand now, within a scope.
    pub(super) fn told(&self, fold: &Fold, thresholds: &Thresholds, memory: Option<f64>, now: Time, scope: &Scope) -> Vec<Alert> {
        let namespace = scope.namespace.as_deref();
        let line = Time(now.0.saturating_sub(i64::try_from(thresholds.duration_warning.ms).unwrap_or(i64::MAX)));
        let long = fold.running_since(namespace, line).count();
        let (rate, failing) = failing(fold, namespace, thresholds, now);
        // Of a part of the whole nobody keeps when it went beyond.
        let known = |crossing: Crossing| if namespace.is_none() { crossing } else { Crossing::default() };
        let alert = |name: &str, threshold: String, value: String, over: bool, crossing: Crossing| Alert {
            name: name.into(),
            threshold,
            value,
            over,
            since: crossing.since.filter(|_| over).map(WireTime),
            crossings: crossing.crossings,
        };
        let tasks = format!("{long} {}", if long == 1 { "task" } else { "tasks" });
        let rate = rate.map_or("no attempts".into(), percent);
        let mut all = vec![
            alert("duration_warning", thresholds.duration_warning.to_string(), tasks, long > 0, known(self.duration)),
            alert("error_rate_warning", thresholds.error_rate_warning.to_string(), rate, failing, known(self.error_rate)),
        ];
        if let Some(used) = memory.filter(|_| !scope.bound) {
            let over = used > thresholds.memory_warning.part();
            all.push(alert("memory_warning", thresholds.memory_warning.to_string(), percent(used), over, self.memory));
        }
        all
    }
}

/// Which part of the attempts fails, and whether that is too much. Of a few it says nothing.
fn failing(fold: &Fold, namespace: Option<&str>, thresholds: &Thresholds, now: Time) -> (Option<f64>, bool) {
    let counts = fold.within(namespace, RATE_MS, now).all;
    let rate = error_rate(&counts);
    let enough = counts.all_failed() + counts.attempts_succeeded >= ATTEMPTS_MIN;
    (rate, enough && rate.is_some_and(|rate| rate > thresholds.error_rate_warning.part()))
}

fn percent(part: f64) -> String {
    format!("{:.1}%", part * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crossing_counts_once_until_it_is_crossed_back() {
        let mut crossing = Crossing::default();
        let turned: Vec<bool> =
            [false, true, true, false, false, true].iter().zip(1..).map(|(over, at)| crossing.stands(*over, Time(at))).collect();
        assert_eq!(turned, [false, true, false, true, false, true]);
        assert_eq!((crossing.crossings, crossing.since), (2, Some(Time(6))));
    }
}
