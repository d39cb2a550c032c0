//! Commands that destroy, commands that run what somebody else wrote, and files that are nobody's business. Where a program carries them
//! out the council looks; in prose they are noted.

use super::scan::{Hit, Hits, Rule, Stands, whole_word};
use crate::event::CheckResult;

#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// `rm -…`: how, and what?
    Remove,
    /// `dd of=/dev/…`, `> /dev/sda`.
    Device,
    /// `chmod`, `chown`: all of what?
    Rights,
    /// `git push`: by force?
    Push,
    /// `delete from`: all of it?
    DeleteFrom,
    /// `drop table`.
    Drop,
    /// `| sh`: what of?
    IntoShell,
    /// `$(curl`: for whom?
    FromShell,
    /// `../`: where to?
    Upwards,
    /// `.env`.
    Environment,
    /// Always.
    Whole(&'static str),
    /// Always, where a word begins and ends there.
    Word(&'static str),
}

/// How much of a command is looked at, in bytes.
const COMMAND_MAX: usize = 300;

pub(super) fn anchors() -> Vec<(&'static str, Rule)> {
    use Kind::{DeleteFrom, Device, Drop, Environment, FromShell, IntoShell, Push, Remove, Rights, Upwards, Whole, Word};
    let list: [(&'static str, Kind); 47] = [
        ("rm -", Remove),
        ("of=/dev/", Device),
        ("> /dev/sd", Device),
        (">/dev/sd", Device),
        ("> /dev/nvme", Device),
        ("chmod ", Rights),
        ("chown ", Rights),
        ("git push", Push),
        ("delete from ", DeleteFrom),
        ("drop table", Drop),
        ("drop database", Drop),
        ("drop schema", Drop),
        ("truncate table", Drop),
        ("| sh", IntoShell),
        ("|sh", IntoShell),
        ("| bash", IntoShell),
        ("|bash", IntoShell),
        ("| sudo", IntoShell),
        ("|sudo", IntoShell),
        ("| python", IntoShell),
        ("<(curl", FromShell),
        ("<(wget", FromShell),
        ("$(curl", FromShell),
        ("$(wget", FromShell),
        ("../../", Upwards),
        (".env", Environment),
        ("mkfs.", Whole("command.format")),
        ("mkfs -", Whole("command.format")),
        (":(){", Whole("command.fork_bomb")),
        (":() {", Whole("command.fork_bomb")),
        ("--no-preserve-root", Whole("command.remove_all")),
        ("/dev/tcp/", Whole("command.reverse_shell")),
        ("nc -e ", Word("command.reverse_shell")),
        ("ncat -e ", Word("command.reverse_shell")),
        ("/etc/shadow", Whole("path.system_secrets")),
        ("/etc/sudoers", Whole("path.system_secrets")),
        ("/etc/gshadow", Whole("path.system_secrets")),
        ("~/.ssh", Whole("path.keys")),
        ("/.ssh/", Whole("path.keys")),
        ("/.aws/credentials", Whole("path.keys")),
        ("/.kube/config", Whole("path.keys")),
        ("/.gnupg", Whole("path.keys")),
        ("/docker.sock", Whole("path.container_host")),
        ("169.254.169.254", Whole("path.cloud_metadata")),
        ("kubectl delete namespace", Whole("command.destroy")),
        ("terraform destroy", Whole("command.destroy")),
        ("crontab -r", Whole("command.destroy")),
    ];
    list.into_iter().map(|(word, kind)| (word, Rule::Command(kind))).collect()
}

pub(super) fn look(kind: Kind, text: &str, at: usize, end: usize, stands: Stands, hits: &mut Hits) {
    let line = rest_of(text, end);
    let begins = !text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-');
    let before = &text[text.floor_char_boundary(at.saturating_sub(COMMAND_MAX))..at];
    let same_line = before.rsplit('\n').next().unwrap_or(before);
    let rule = match kind {
        Kind::Remove => (begins && removes_all(line)).then_some("command.remove_all"),
        Kind::Device => {
            let harmless = line.starts_with("null") || line.starts_with("stdout") || line.starts_with("stderr");
            (!harmless).then_some("command.overwrite_device")
        }
        Kind::Rights => {
            let mut words = line.split_whitespace();
            let all = line.split_whitespace().any(|word| word == "-R" || word == "--recursive");
            (begins && all && words.any(is_root)).then_some("command.rights_of_all")
        }
        Kind::Push => {
            let forced =
                |word: &str| word == "--force" || word == "-f" || word == "--mirror" || word.starts_with('+') && word.len() > 1;
            line.split_whitespace().any(forced).then_some("command.push_by_force")
        }
        Kind::DeleteFrom => {
            let statement = line.split([';', '"', '\'', '`']).next().unwrap_or(line);
            let limited =
                statement.split_whitespace().any(|word| ["where", "using", "limit"].iter().any(|w| w.eq_ignore_ascii_case(word)));
            let one = statement.split_whitespace().count() == 1;
            (!limited && one && is_sql(text, at, end, line, stands)).then_some("command.delete_all_rows")
        }
        Kind::Drop => is_sql(text, at, end, line, stands).then_some("command.drop"),
        Kind::IntoShell => {
            let shell = line.split_whitespace().next().unwrap_or_default();
            let ends =
                shell.is_empty() || line.starts_with([' ', '\t', ';', '"', '\'', '3', '`', ')']) || text[..end].ends_with("sudo");
            // Python reads a program where it is given none by name; `-m json.tool` is one.
            let mut words = line.split_whitespace();
            let reads = !text[..end].ends_with("python") || {
                let version = if line.starts_with(char::is_whitespace) { None } else { words.next() };
                version.is_none_or(|v| v.starts_with('3')) && words.next().is_none_or(|word| word == "-")
            };
            let fetched = ["curl", "wget"].iter().any(|word| same_line.contains(word));
            let decoded = same_line.contains("base64 -d") || same_line.contains("base64 --decode");
            match (ends && reads, fetched, decoded) {
                (true, true, _) => Some("command.runs_what_it_fetched"),
                (true, false, true) => Some("command.runs_what_it_decoded"),
                (true, false, false) | (false, ..) => None,
            }
        }
        Kind::FromShell => {
            let by = same_line.trim_end_matches(['"', '\'', ' ']);
            ["sh", "-c", "eval", "source", "."].iter().any(|word| by.ends_with(word)).then_some("command.runs_what_it_fetched")
        }
        Kind::Upwards => {
            let target = text[end..].trim_start_matches("../");
            ["etc/", "root/", "proc/", "home/", ".ssh", "var/", "sys/"]
                .iter()
                .any(|dir| target.starts_with(dir))
                .then_some("path.traversal")
        }
        Kind::Environment => {
            let starts = text[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || "/\"'`=".contains(c));
            let ends = text[end..].chars().next().is_none_or(|c| c.is_whitespace() || "\"'`;|&)".contains(c));
            (stands == Stands::ToBeDone && starts && ends).then_some("path.environment")
        }
        Kind::Whole(rule) => Some(rule),
        Kind::Word(rule) => (begins && whole_word(text, at, end - 1)).then_some(rule),
    };
    if let Some(rule) = rule {
        let result = match stands {
            Stands::ToBeDone => CheckResult::RequiresReview,
            Stands::InProse => CheckResult::Warning,
        };
        hits.push(Hit::new(rule, result, at, end));
    }
}

/// The command behind an anchor: up to the end of its line.
fn rest_of(text: &str, end: usize) -> &str {
    let rest = &text[end..text.floor_char_boundary(text.len().min(end + COMMAND_MAX))];
    rest.split('\n').next().unwrap_or(rest)
}

/// Whether `rm` with these words takes everything: by force or in depth, from the root, a home, or a folder of the system.
fn removes_all(line: &str) -> bool {
    let command = line.split([';', '&', '|']).next().unwrap_or(line);
    // The first flag lost its dash to the anchor.
    let mut deep = false;
    for (n, word) in command.split_whitespace().enumerate() {
        let flag = word.strip_prefix('-').or((n == 0).then_some(word));
        match flag {
            Some(flag) => deep |= flag.contains(['r', 'R']),
            None if deep && is_root(word) => return true,
            None => {}
        }
    }
    false
}

/// Whether a path is the root, a home, or a folder of the system as a whole.
fn is_root(word: &str) -> bool {
    let path = word.trim_matches(['"', '\'', '`', ',', ')']).trim_end_matches(['/', '*']);
    let whole = word.trim_matches(['"', '\'', '`', ',', ')']);
    let system =
        ["/etc", "/usr", "/var", "/home", "/root", "/boot", "/lib", "/bin", "/sbin", "/opt", "~", "$HOME", "${HOME}", ".."];
    (path.is_empty() && whole.starts_with('/')) || system.contains(&path)
}

/// Whether these words are a statement and no sentence: carried out, or written as statements are.
fn is_sql(text: &str, at: usize, end: usize, line: &str, stands: Stands) -> bool {
    let shouted = text[at..end].bytes().all(|b| !b.is_ascii_lowercase());
    let statement = line.trim_end_matches(['"', '\'', '`']).trim_end().ends_with(';');
    let named = line.split_whitespace().next().is_some_and(|word| word.len() > 1 || word == ";");
    named && (stands == Stands::ToBeDone || shouted || statement)
}
