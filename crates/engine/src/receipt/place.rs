//! Where in the text of a receipt a byte stands: by the lines, as receipts are written, so that it can also be said of a text that is no
//! longer JSON.

/// What a line opens.
struct Open {
    /// The name or index it stands under; none for the whole document.
    name: Option<String>,
    /// How many unnamed values it held so far.
    items: usize,
}

/// The place of a byte, for people: `event 3: actor`, `summary.effects[0].outcome`.
pub(super) fn of(text: &str, offset: usize) -> String {
    let mut open: Vec<Open> = Vec::new();
    let mut path = Vec::new();
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        path = open.iter().filter_map(|open| open.name.clone()).collect::<Vec<_>>();
        let bare = line.trim().trim_end_matches(',');
        let closes = bare.starts_with(['}', ']']);
        if closes {
            open.pop();
        } else if !bare.is_empty() {
            let name = match (named(bare), open.last_mut()) {
                (Some(name), _) => Some(name.to_owned()),
                (None, Some(within)) => {
                    within.items += 1;
                    Some(format!("[{}]", within.items - 1))
                }
                (None, None) => None,
            };
            path.extend(name.clone());
            if bare.ends_with(['{', '[']) {
                open.push(Open { name, items: 0 });
            }
        }
        begin += line.len();
        if offset < begin {
            break;
        }
    }
    told(&path)
}

/// The place of a line and column as a reader of JSON counts them, both from 1, as an offset.
pub(super) fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len().saturating_sub(1))
}

/// The line and column of an offset, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line, column)
}

/// The name before the colon of a line.
fn named(line: &str) -> Option<&str> {
    let rest = line.strip_prefix('"')?;
    let end = rest.find("\":")?;
    Some(&rest[..end]).filter(|name| !name.contains('"'))
}

/// A path, with events and commits counted from 1 as people do.
fn told(path: &[String]) -> String {
    let number = |index: &str| index.trim_matches(['[', ']']).parse::<usize>().map(|n| n + 1).ok();
    if let [list, index, rest @ ..] = path
        && let Some(number) = number(index)
        && (list == "events" || list == "commits")
    {
        let what = if list == "events" { "event" } else { "commit" };
        return match rest {
            [] => format!("{what} {number}"),
            rest => format!("{what} {number}: {}", joined(rest)),
        };
    }
    match path {
        // A name that is none any more.
        [] => "the document".into(),
        [first, ..] if first.starts_with('[') => "the document".into(),
        path => joined(path),
    }
}

fn joined(path: &[String]) -> String {
    path.iter().fold(String::new(), |mut text, part| {
        if !text.is_empty() && !part.starts_with('[') {
            text.push('.');
        }
        text + part
    })
}
