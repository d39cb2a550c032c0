//! The text that Prometheus reads (exposition format 0.0.4), written by hand.

use super::{Family, Number, seconds};
use ephor_engine::figures::{BOUNDS_MS, Histogram};
use std::fmt::Write;

/// All of it as text.
pub(crate) fn text(families: &[Family]) -> String {
    let mut page = String::with_capacity(16 << 10);
    families.iter().for_each(|family| write(&mut page, family));
    page
}

fn write(page: &mut String, family: &Family) {
    let Family { name, help, kind, samples, seen } = family;
    // Writing to a string cannot fail.
    let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {}", kind.word());
    for (labels, value) in samples {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = match value {
            Number::Whole(n) => writeln!(page, "{name}{labels} {n}"),
            Number::Real(n) => writeln!(page, "{name}{labels} {n}"),
        };
    }
    seen.iter().for_each(|seen| histogram(page, name, seen));
}

fn histogram(page: &mut String, name: &str, seen: &Histogram) {
    let mut so_far = 0;
    for (bound, count) in BOUNDS_MS.iter().zip(seen.counts) {
        so_far += u64::from(count);
        let _ = writeln!(page, "{name}_bucket{{le=\"{}\"}} {so_far}", seconds(*bound));
    }
    let _ = writeln!(page, "{name}_bucket{{le=\"+Inf\"}} {}", seen.count());
    let _ = writeln!(page, "{name}_sum {}\n{name}_count {}", seconds(seen.sum_ms), seen.count());
}

/// A label's value: what would end it is written so that it does not.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::Families;
    use super::*;

    #[test]
    fn a_label_cannot_end_before_its_time() {
        let mut families = Families::default();
        families.gauge("a", "b").of(&[("x", "say \"no\"\n\\")], 1_u64);
        assert_eq!(text(&families.0), "# HELP a b\n# TYPE a gauge\na{x=\"say \\\"no\\\"\\n\\\\\"} 1\n");
    }

    #[test]
    fn the_classes_of_a_histogram_hold_those_below_them_too() {
        let mut seen = Histogram::default();
        seen.counts[1] = 2;
        seen.counts[BOUNDS_MS.len()] = 1;
        seen.sum_ms = 1_500;
        let mut families = Families::default();
        families.histogram("a", "b", &seen);
        let page = text(&families.0);
        for line in
            ["a_bucket{le=\"0.01\"} 0", "a_bucket{le=\"0.025\"} 2", "a_bucket{le=\"604800\"} 2", "a_bucket{le=\"+Inf\"} 3"]
        {
            assert!(page.lines().any(|found| found == line), "{line} in {page}");
        }
        assert!(page.ends_with("a_sum 1.5\na_count 3\n"));
    }
}
