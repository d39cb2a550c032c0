//! Text on its way to a terminal: made inert, measured, cut, and lengths of time as people say them.

use ephor_core::time::Time;
use unicode_width::UnicodeWidthChar;

/// Makes text that somebody else wrote safe to show on one line: no control characters, no escape sequences, nothing that turns the
/// direction of reading or hides. Line breaks and tabs become spaces.
pub(super) fn inert(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_escape(&mut rest),
            // The one-character form of the commonest escape sequence.
            '\u{9b}' => skip_until_final(&mut rest),
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => safe.push(' '),
            c if c.is_control() || is_invisible(c) => {}
            c => safe.push(c),
        }
    }
    safe
}

/// The same for text of several lines, which stay apart.
pub(super) fn inert_lines(text: &str) -> impl Iterator<Item = String> {
    text.lines().map(inert)
}

/// Whether a character changes how others are read without showing itself.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Skips what belongs to an escape character.
fn skip_escape(rest: &mut std::str::Chars<'_>) {
    match rest.clone().next() {
        Some('[') => {
            rest.next();
            skip_until_final(rest);
        }
        // Commands with a text of their own, ended by BEL or ESC \.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = rest.next() {
                match c {
                    '\u{7}' | '\u{9c}' => return,
                    '\u{1b}' => {
                        rest.next();
                        return;
                    }
                    _ => {}
                }
            }
        }
        Some(c) if c.is_ascii_graphic() => {
            rest.next();
        }
        _ => {}
    }
}

/// Skips parameters up to the letter that ends a sequence, and nothing else where there is none.
fn skip_until_final(rest: &mut std::str::Chars<'_>) {
    while let Some(c) = rest.clone().next().filter(|c| (' '..='~').contains(c)) {
        rest.next();
        if ('@'..='~').contains(&c) {
            return;
        }
    }
}

/// How many columns a text takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The text in at most so many columns; where it is cut, `mark` says so.
pub(super) fn cut(text: &str, columns: usize, mark: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(mark));
    let mut taken = 0;
    let mut short: String = text
        .chars()
        .take_while(|c| {
            taken += c.width().unwrap_or(0);
            taken <= room
        })
        .collect();
    if width(mark) <= columns {
        short.push_str(mark);
    }
    short
}

/// A length of time with its two largest units: `0.4 s`, `12 s`, `2 m 52 s`, `3 h 5 m`, `2 d 4 h`.
pub(super) fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..10 if !ms.is_multiple_of(1_000) => format!("{}.{} s", seconds, ms % 1_000 / 100),
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} m {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// How long ago, roughly.
pub(super) fn ago(at: Time, now: Time) -> String {
    match now.since(at) / 1_000 {
        0..60 => "just now".into(),
        s @ 60..3_600 => format!("{} min ago", s / 60),
        s @ 3_600..86_400 => format!("{} h ago", s / 3_600),
        s => format!("{} d ago", s / 86_400),
    }
}

/// How long until then; `now` once it has come.
pub(super) fn until(at: Time, now: Time) -> String {
    // Rounded up: what is due in 300 ms is not due "in 0 s".
    match at.since(now).div_ceil(1_000) {
        0 => "now".into(),
        seconds => format!("in {}", duration(seconds * 1_000)),
    }
}

/// How much, with the unit that fits: `812 B`, `2.3 KB`.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.1} KB", n as f64 / 1e3),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_cannot_steer_the_terminal() {
        for (text, shown) in [
            ("plain ünïcode ✓", "plain ünïcode ✓"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}]8;;http://evil\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{9b}2Jgone", "gone"),
            ("two\nlines\tand\r\u{8}more\u{0}", "two lines and more"),
            ("abc\u{202e}txt.exe\u{202c}\u{2066}", "abctxt.exe"),
            ("zero\u{200b}width\u{feff}", "zerowidth"),
            ("\u{1b}", ""),
            ("\u{1b}[", ""),
            ("\u{1b}[31", ""),
            ("\u{1b}[3ü1m", "ü1m"),
        ] {
            assert_eq!(inert(text), shown, "{text:?}");
        }
    }

    #[test]
    fn text_is_cut_by_columns_not_by_bytes() {
        assert_eq!(cut("überlang", 5, "…"), "über…");
        assert_eq!(cut("日本語", 5, "…"), "日本…");
        assert_eq!(cut("kurz", 4, "…"), "kurz");
        assert_eq!(cut("long", 2, "..."), "");
    }

    #[test]
    fn lengths_of_time_have_two_units_at_most() {
        for (ms, text) in
            [(0, "0 s"), (400, "0.4 s"), (9_950, "9.9 s"), (12_345, "12 s"), (172_000, "2 m 52 s"), (11_100_000, "3 h 5 m")]
        {
            assert_eq!(duration(ms), text);
        }
        assert_eq!(until(Time(1_300), Time(1_000)), "in 1 s");
        assert_eq!(until(Time(1_000), Time(1_000)), "now");
        assert_eq!(ago(Time(0), Time(540_000)), "9 min ago");
    }
}
