//! How commands end: exit codes, and errors that say what, why and what next.

use super::style::{Hue, Style};
use super::terminal::Terminal;
use super::text::inert;
use crate::api::{ApiError, Kind};
use serde_json::json;
use std::process::ExitCode;

/// The exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All went well.
    Done = 0,
    /// Something broke, or a request makes no sense.
    Error = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// The caller may not.
    NotAllowed = 4,
    /// A task ended without success.
    NoSuccess = 5,
    /// A task is blocked or needs a person.
    NeedsSomebody = 6,
    /// The time that was given is over.
    TimedOut = 7,
    /// Not in the state it is in.
    Conflict = 8,
    /// The server could not be reached.
    Unreachable = 9,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<&ApiError> for Exit {
    fn from(error: &ApiError) -> Self {
        match error.kind {
            Kind::NotFound => Self::NotFound,
            Kind::Forbidden => Self::NotAllowed,
            Kind::Conflict => Self::Conflict,
            Kind::Unreachable => Self::Unreachable,
            Kind::Invalid | Kind::Busy | Kind::Failed => Self::Error,
        }
    }
}

/// What went wrong, and how the command ends because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the command ends.
    pub exit: Exit,
    /// What is said. Boxed: an answer is far more often no error.
    pub error: Box<ApiError>,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self { exit: Exit::from(&error), error: Box::new(error) }
    }
}

impl Failure {
    /// A command line that makes no sense although it could be read.
    pub fn usage(message: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Usage, error: Box::new(ApiError::new(Kind::Invalid, "USAGE", message)) }
    }

    /// A file or folder that could not be used.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { Kind::NotFound } else { Kind::Failed };
        ApiError::new(kind, "FILE", format!("{}: {error}", path.display())).into()
    }

    /// Says it on standard error.
    pub fn tell(&self, terminal: &mut Terminal, as_json: bool, ascii: bool) {
        let style = terminal.wishes.style(terminal.err.tty, ascii);
        if as_json {
            let ApiError { code, message, why, next, problems, .. } = &*self.error;
            let told =
                json!({"code": code, "message": message, "why": why, "hint": next.join("    or    "), "details": problems});
            terminal.err.line(told.to_string());
        } else {
            self.lines(style).into_iter().for_each(|line| terminal.err.line(line));
        }
    }

    /// `error[code]: what`, then problems, why and what next, each on lines of its own.
    fn lines(&self, style: Style) -> Vec<String> {
        let ApiError { code, message, why, next, problems, .. } = &*self.error;
        let label = style.paint(Hue::Fail, &format!("error[{}]:", inert(code).to_lowercase()));
        let mut lines = vec![format!("{label} {}", inert(message))];
        let label = |word: &str| style.paint(Hue::Strong, word);
        lines.extend(problems.iter().map(|p| format!("  {}: {}", inert(&p.field), inert(&p.message))));
        lines.extend(why.iter().map(|why| format!("  {}  {}", label("why:"), inert(why))));
        if !next.is_empty() {
            let next: Vec<String> = next.iter().map(|n| inert(n)).collect();
            lines.push(format!("  {} {}", label("next:"), next.join("    or    ")));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephor_core::plan::Problem;

    #[test]
    fn an_error_says_what_why_and_what_next() {
        let error = ApiError::new(Kind::Conflict, "TERMINAL_STATE", "task\u{1b}[2J x cannot be paused")
            .because("it is COMPLETED, and nothing follows that")
            .then("ephor task show x")
            .then("ephor task list");
        let failure = Failure::from(error);
        assert_eq!(failure.exit, Exit::Conflict);
        assert_eq!(
            failure.lines(Style::default()),
            [
                "error[terminal_state]: task x cannot be paused",
                "  why:  it is COMPLETED, and nothing follows that",
                "  next: ephor task show x    or    ephor task list",
            ]
        );
    }

    #[test]
    fn problems_are_told_one_by_one() {
        let failure = Failure::from(ApiError::invalid("the plan was refused", vec![Problem::new("step 1.id", "is taken")]));
        assert_eq!(failure.exit, Exit::Error);
        assert_eq!(failure.lines(Style::default()), ["error[validation_failed]: the plan was refused", "  step 1.id: is taken"]);
    }

    #[test]
    fn every_kind_of_trouble_has_its_exit_code() {
        for (kind, exit) in [
            (Kind::Invalid, 1),
            (Kind::NotFound, 3),
            (Kind::Forbidden, 4),
            (Kind::Conflict, 8),
            (Kind::Busy, 1),
            (Kind::Unreachable, 9),
            (Kind::Failed, 1),
        ] {
            assert_eq!(Exit::from(&ApiError::new(kind, "X", "x")) as u8, exit, "{kind:?}");
        }
    }
}
