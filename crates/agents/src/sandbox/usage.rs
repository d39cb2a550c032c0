//! What a command and everything it started use right now, read from `/proc`.

use super::Limits;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often it is looked at. A look costs about a millisecond for each hundred processes of the machine.
const EVERY: Duration = Duration::from_millis(100);

/// The processes of the sandbox itself: `unshare` and the launcher.
const OWN_PROCESSES: u64 = 2;

/// Which limit was crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Memory,
    Processes,
}

#[derive(Debug, Default, PartialEq)]
struct Usage {
    processes: u64,
    resident_bytes: u64,
}

/// Waits until the descendants of `root` use more than they may. Limits of single processes are the kernel's; these hold for
/// all of them together.
pub(crate) async fn exceeded(root: Option<u32>, limits: &Limits) -> Over {
    let (Some(root), mut ticks) = (root, tokio::time::interval(EVERY)) else { return std::future::pending().await };
    loop {
        ticks.tick().await;
        let usage = tokio::task::spawn_blocking(move || look(root)).await.unwrap_or_default();
        if usage.resident_bytes > limits.memory_bytes {
            return Over::Memory;
        }
        if usage.processes > limits.processes + OWN_PROCESSES {
            return Over::Processes;
        }
    }
}

/// Adds up `root` and its descendants. A process whose parent ended has the launcher for one, so the tree holds together.
fn look(root: u32) -> Usage {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut children: BTreeMap<u32, Vec<(u32, u64)>> = BTreeMap::new();
    let mut usage = Usage::default();
    for pid in pids {
        let Some((parent, pages)) = stat(pid) else { continue };
        if pid == root {
            usage = Usage { processes: 1, resident_bytes: bytes(pages) };
        }
        children.entry(parent).or_default().push((pid, pages));
    }
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for (pid, pages) in children.remove(&parent).unwrap_or_default() {
            usage.processes += 1;
            usage.resident_bytes += bytes(pages);
            open.push(pid);
        }
    }
    usage
}

fn bytes(pages: u64) -> u64 {
    pages * rustix::param::page_size() as u64
}

/// The parent and the resident pages of a process, if it still lives.
fn stat(pid: u32) -> Option<(u32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything, brackets too; what follows the last one are numbers.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let pages = fields.nth(19)?.parse().ok()?;
    Some((parent, pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_child_are_counted() {
        let own = std::process::id();
        let before = look(own);
        assert!(before.resident_bytes > 100_000, "{before:?}");
        let mut child = std::process::Command::new("/bin/sleep").arg("5").spawn().unwrap();
        let after = look(own);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(after.processes > before.processes);
    }
}
