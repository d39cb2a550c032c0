//! The memory of this process and of its machine, as Linux tells it; elsewhere nothing is known.

use std::fs::read_to_string;

/// The memory this process holds, in bytes.
pub(super) fn memory_of_process() -> Option<u64> {
    kib(&read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The part of the memory that is in use, from 0 to 1: of what this process and its like may use where that is bounded (a container), else of
/// the machine's. What can be given back at once counts as free.
pub(super) fn memory_used() -> Option<f64> {
    let machine = read_to_string("/proc/meminfo").ok()?;
    let (total, free) = (kib(&machine, "MemTotal:")?, kib(&machine, "MemAvailable:")?);
    let bounded = || {
        let number = |file: &str| read_to_string(format!("/sys/fs/cgroup/{file}")).ok()?.trim().parse::<u64>().ok();
        let max = number("memory.max").filter(|max| *max > 0 && *max < total)?;
        let given_back = read_to_string("/sys/fs/cgroup/memory.stat").ok().and_then(|stat| plain(&stat, "inactive_file "));
        Some(part(number("memory.current")?.saturating_sub(given_back.unwrap_or(0)), max))
    };
    Some(bounded().unwrap_or_else(|| part(total.saturating_sub(free), total)))
}

fn part(used: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { used as f64 / of as f64 }
}

/// A number of KiB behind a name, in bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    plain(text, name).map(|kib| kib << 10)
}

/// The number behind a name at the beginning of a line.
fn plain(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)).and_then(|rest| rest.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_behind_their_names() {
        let text = "MemTotal:       2048 kB\nMemAvailable:   512 kB\ninactive_file 77\n";
        assert_eq!(
            (kib(text, "MemTotal:"), plain(text, "inactive_file "), kib(text, "Gone:")),
            (Some(2_097_152), Some(77), None)
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_tells_its_own() {
        assert!(memory_of_process().is_some_and(|bytes| bytes > 1 << 20));
        assert!(memory_used().is_some_and(|part| part > 0.0 && part <= 1.0));
    }
}
