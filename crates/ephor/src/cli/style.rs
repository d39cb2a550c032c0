//! The looks: an icon, a hue and a word for every status, and lines that know how wide they are. Colour is never the only sign.

use super::text::{cut, inert, width};
use ephor_core::status::{BlockReason, Status, StepStatus};

/// What the terminal can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Colours are wanted.
    pub color: bool,
    /// Only ASCII can be shown.
    pub ascii: bool,
}

/// The six hues of Ephor, and plain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hue {
    /// As the text around it.
    #[default]
    Plain,
    /// What stands out without meaning more.
    Strong,
    /// It went well.
    Done,
    /// It moves.
    Run,
    /// Something has to come from outside.
    Block,
    /// It did not go well.
    Fail,
    /// The council or a decision.
    Gov,
    /// Nothing happens.
    Idle,
}

impl Hue {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "1",
            Self::Done => "32",
            Self::Run => "34",
            Self::Block => "33",
            Self::Fail => "31",
            Self::Gov => "35",
            Self::Idle => "2",
        }
    }
}

impl Style {
    /// The text in its hue.
    pub(super) fn paint(self, hue: Hue, text: &str) -> String {
        match (self.color, hue.code()) {
            (false, _) | (_, "") => text.to_owned(),
            (true, code) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }

    /// One of two forms of a sign.
    pub(super) fn sign(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.ascii { ascii } else { unicode }
    }

    /// What stands where text was cut.
    pub(super) fn ellipsis(self) -> &'static str {
        self.sign("…", "~")
    }

    /// Our own words, in what can be shown.
    pub(super) fn own(self, text: &str) -> String {
        if self.ascii {
            text.replace('…', "...").replace('→', "->").replace('≈', "~").replace('·', "-")
        } else {
            text.to_owned()
        }
    }
}

/// How a status shows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Its hue.
    pub(super) hue: Hue,
    unicode: &'static str,
    ascii: &'static str,
}

impl Mark {
    const fn new(hue: Hue, unicode: &'static str, ascii: &'static str) -> Self {
        Self { hue, unicode, ascii }
    }

    /// Its icon.
    pub(super) fn icon(self, style: Style) -> &'static str {
        style.sign(self.unicode, self.ascii)
    }
}

const DONE: Mark = Mark::new(Hue::Done, "✓", "+");
const PARTLY: Mark = Mark::new(Hue::Done, "◐", "+");
const RUNS: Mark = Mark::new(Hue::Run, "▶", ">");
const AGAIN: Mark = Mark::new(Hue::Run, "↻", "@");
const BLOCKED: Mark = Mark::new(Hue::Block, "⊖", "!");
const PERSON: Mark = Mark::new(Hue::Block, "☻", "?");
const FAILED: Mark = Mark::new(Hue::Fail, "✕", "x");
const COUNCIL: Mark = Mark::new(Hue::Gov, "⌂", "%");
const ESCALATED: Mark = Mark::new(Hue::Gov, "⇑", "^");
const PENDING: Mark = Mark::new(Hue::Idle, "◌", ".");
const QUEUED: Mark = Mark::new(Hue::Idle, "⋯", ":");
const SCHEDULED: Mark = Mark::new(Hue::Idle, "◷", "o");
const PAUSED: Mark = Mark::new(Hue::Idle, "‖", "=");
const ENDED: Mark = Mark::new(Hue::Idle, "⊘", "/");
const SKIPPED: Mark = Mark::new(Hue::Idle, "⤳", "-");

/// How the status of a task shows itself; `partly` is one that completed with gaps.
pub(super) fn task_mark(status: Status, block: Option<BlockReason>, partly: bool) -> Mark {
    match status {
        Status::Pending => PENDING,
        Status::Deliberating => COUNCIL,
        Status::Scheduled => SCHEDULED,
        Status::Assigned => QUEUED,
        Status::InProgress => RUNS,
        Status::Review => COUNCIL,
        Status::Blocked if is_for_a_person(block) => PERSON,
        Status::Blocked => BLOCKED,
        Status::Paused => PAUSED,
        Status::Retrying => AGAIN,
        Status::Escalated => ESCALATED,
        Status::Stalled => BLOCKED,
        Status::Completed if partly => PARTLY,
        Status::Completed => DONE,
        Status::Failed => FAILED,
        Status::Cancelled | Status::Stopped => ENDED,
    }
}

/// How the status of a step shows itself.
pub(super) fn step_mark(status: StepStatus, block: Option<BlockReason>) -> Mark {
    match status {
        StepStatus::Pending => PENDING,
        StepStatus::Ready | StepStatus::Assigned => QUEUED,
        StepStatus::Running => RUNS,
        StepStatus::Checking => COUNCIL,
        StepStatus::Blocked if is_for_a_person(block) => PERSON,
        StepStatus::Blocked => BLOCKED,
        StepStatus::Retrying | StepStatus::RolledBack => AGAIN,
        StepStatus::Completed => DONE,
        StepStatus::Failed => FAILED,
        StepStatus::Skipped => SKIPPED,
        StepStatus::Cancelled => ENDED,
    }
}

fn is_for_a_person(block: Option<BlockReason>) -> bool {
    matches!(block, Some(BlockReason::Approval | BlockReason::HumanReview | BlockReason::Decomposition))
}

/// A line in pieces of different hue, cut as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Vec<(Hue, String)>);

impl Line {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a piece. What it says is made inert here, so that nothing unsafe reaches a terminal by way of a line.
    #[must_use]
    pub(super) fn with(mut self, hue: Hue, text: impl AsRef<str>) -> Self {
        let text = inert(text.as_ref());
        if !text.is_empty() {
            self.0.push((hue, text));
        }
        self
    }

    /// Adds a plain piece.
    #[must_use]
    pub(super) fn plain(self, text: impl AsRef<str>) -> Self {
        self.with(Hue::Plain, text)
    }

    /// Adds the pieces of another line.
    #[must_use]
    pub(super) fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Fills up to a column.
    #[must_use]
    pub(super) fn to(self, column: usize) -> Self {
        let missing = column.saturating_sub(self.width());
        self.plain(" ".repeat(missing))
    }

    /// How many columns it takes.
    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| width(text)).sum()
    }

    /// The line in at most so many columns, without spaces at its end.
    pub(super) fn show(&self, columns: usize, style: Style) -> String {
        if self.width() <= columns {
            let last = self.0.iter().rposition(|(_, text)| !text.trim_end().is_empty());
            let pieces = self.0.iter().take(last.map_or(0, |i| i + 1)).enumerate();
            return pieces
                .map(|(i, (hue, text))| style.paint(*hue, if Some(i) == last { text.trim_end() } else { text }))
                .collect();
        }
        let mut left = columns.saturating_sub(1);
        let mut shown = String::new();
        for (hue, text) in &self.0 {
            let piece = cut(text, left, "");
            if piece.len() < text.len() {
                shown.push_str(&style.paint(*hue, &format!("{piece}{}", style.ellipsis())));
                break;
            }
            left -= width(text);
            shown.push_str(&style.paint(*hue, text));
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_as_a_whole_and_painted_in_pieces() {
        let line = Line::new().with(Hue::Done, "✓ done").plain("  and more  ");
        let (plain, color) = (Style::default(), Style { color: true, ascii: false });
        assert_eq!(line.show(80, plain), "✓ done  and more");
        assert_eq!(line.show(80, color), "\u{1b}[32m✓ done\u{1b}[0m  and more");
        assert_eq!(line.show(9, plain), "✓ done  …");
        assert_eq!(line.show(7, plain), "✓ done…");
        assert_eq!(line.show(6, color), "\u{1b}[32m✓ don…\u{1b}[0m");
    }

    #[test]
    fn nothing_unsafe_gets_into_a_line() {
        assert_eq!(Line::new().plain("a\u{1b}[2Jb\nc").show(80, Style::default()), "ab c");
    }

    #[test]
    fn every_status_has_a_mark_in_ascii_too() {
        for status in Status::ALL {
            let mark = task_mark(status, None, false);
            assert!(mark.icon(Style { ascii: true, color: false }).is_ascii(), "{status}");
            assert_eq!(width(mark.icon(Style::default())), 1, "{status}");
        }
    }
}
