//! Changing one value of a configuration file and nothing else of it: comments, order and blank lines stay as they were written. Sections are
//! blocks of indented lines, as the documented file has them; what is written in braces on one line is left to an editor.

/// The file with this value under this name (`policy.lease`), which is added where it is missing. An error says what stands in the way.
pub(super) fn set(text: &str, name: &str, value: &str) -> Result<String, String> {
    let parts: Vec<&str> = name.split('.').collect();
    if parts.iter().any(|part| part.is_empty() || !part.chars().all(is_of_a_name)) {
        return Err(format!("{name:?} is no name of a value; write it as policy.lease"));
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (mut from, mut to, mut indent) = (0, lines.len(), 0);
    for (n, part) in parts.iter().enumerate() {
        let last = n + 1 == parts.len();
        let Some(at) = (from..to).find(|at| key_of(&lines[*at], indent) == Some(part)) else {
            let rest: Vec<String> = parts[n..]
                .iter()
                .enumerate()
                .map(|(deeper, part)| {
                    let end = if n + deeper + 1 == parts.len() { format!(" {}", written(value)) } else { String::new() };
                    format!("{}{part}:{end}", " ".repeat(indent + 2 * deeper))
                })
                .collect();
            let place = (from..to).rev().find(|at| is_said(&lines[*at])).map_or(from, |at| at + 1);
            lines.splice(place..place, rest);
            return Ok(lines.join("\n") + "\n");
        };
        let end = (at + 1..to).find(|next| is_said(&lines[*next]) && depth(&lines[*next]) <= indent).unwrap_or(to);
        let own = (at + 1..end).find(|next| is_said(&lines[*next]));
        let (head, here, comment) = split(&lines[at]);
        if last {
            if own.is_some() {
                return Err(format!("{name} has several values of its own; name one of them, or change it in the file"));
            }
            lines[at] = format!("{head} {}{comment}", written(value));
            return Ok(lines.join("\n") + "\n");
        }
        let path = parts[..=n].join(".");
        match (here.as_str(), own) {
            ("" | "{}" | "~" | "null", _) => {
                lines[at] = if comment.is_empty() { head } else { format!("{head}{comment}") };
                indent = own.map_or(indent + 2, |own| depth(&lines[own]));
            }
            _ => return Err(format!("{path} is written on one line; change it in the file")),
        }
        (from, to) = (at + 1, end);
    }
    unreachable!("the last part of a name ends the search")
}

fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// Whether a line says something: it is neither blank nor a comment.
fn is_said(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with('#') && line != "---"
}

fn depth(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The key of a line at this depth.
fn key_of(line: &str, indent: usize) -> Option<&str> {
    let own = line.get(indent..)?;
    if depth(line) != indent || !is_said(line) {
        return None;
    }
    let (key, rest) = own.split_once(':')?;
    (rest.is_empty() || rest.starts_with(' ')).then(|| key.trim().trim_matches(['"', '\'']))
}

/// A line with a key: up to its colon, its value, and the comment behind it with the blanks before.
fn split(line: &str) -> (String, String, String) {
    let colon = line.find(':').map_or(line.len(), |at| at + 1);
    let (head, rest) = line.split_at(colon);
    let mut quote = None;
    let mut before = ' ';
    let mut end = rest.len();
    for (at, c) in rest.char_indices() {
        match (quote, c) {
            (None, '#') if before == ' ' => {
                end = at;
                break;
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        before = c;
    }
    let value = rest[..end].trim().to_owned();
    let comment = if end == rest.len() { String::new() } else { rest[rest[..end].trim_end().len()..].to_owned() };
    (head.to_owned(), value, comment)
}

/// A value as it is written: what could be taken for something else stands in quotes.
fn written(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '%' | '+');
    let listed = value.starts_with('[') || value.starts_with('{');
    match !value.is_empty() && (value.chars().all(plain) && !value.starts_with(['-', '%']) || listed) {
        true => value.to_owned(),
        false => serde_json::to_string(value).expect("a text is plain data"),
    }
}

#[cfg(test)]
mod tests {
    use super::set;

    const FILE: &str = "# The house.\npolicy:\n  lease: 60s    # as the agents need it\n  # How tasks are tried again.\n  task_retry:\n    initial: 5s\n\nlimits: {streams: 7}\nmonitoring: # later\n";

    #[test]
    fn one_value_changes_and_all_else_stays() {
        assert_eq!(set(FILE, "policy.lease", "30s").unwrap(), FILE.replace("60s ", "30s "));
        assert_eq!(set(FILE, "policy.task_retry.initial", "1s").unwrap(), FILE.replace("initial: 5s", "initial: 1s"));
        assert_eq!(
            set(FILE, "policy.gate_wait", "10m").unwrap(),
            FILE.replace("initial: 5s\n", "initial: 5s\n  gate_wait: 10m\n")
        );
        assert_eq!(
            set(FILE, "policy.task_retry.max", "1m").unwrap(),
            FILE.replace("initial: 5s\n", "initial: 5s\n    max: 1m\n")
        );
        assert_eq!(set(FILE, "monitoring.enabled", "false").unwrap(), FILE.to_owned() + "  enabled: false\n");
        assert_eq!(set(FILE, "log.file", "a b.log").unwrap(), FILE.to_owned() + "log:\n  file: \"a b.log\"\n");
        assert_eq!(set("", "policy.lease", "30s").unwrap(), "policy:\n  lease: 30s\n");
        assert_eq!(set("policy: {}\n", "policy.lease", "30s").unwrap(), "policy:\n  lease: 30s\n");
        assert_eq!(set("constitution: 'a # b' # c\n", "constitution", "d.yaml").unwrap(), "constitution: d.yaml # c\n");
    }

    #[test]
    fn what_cannot_be_changed_line_by_line_is_left_alone() {
        for (name, why) in [("limits.streams", "one line"), ("policy", "several"), ("policy..lease", "no name"), ("", "no name")]
        {
            assert!(set(FILE, name, "1").unwrap_err().contains(why), "{name}");
        }
    }
}
