//! The terminal, or whatever stands in its place: where data and words go, how wide it is, what it can show.

use super::style::Style;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// How wide text is set where nobody says.
const WIDTH: usize = 100;
/// How high it is taken to be where nobody says.
const HEIGHT: usize = 24;
/// Narrower than this nothing can be read; lines are set this wide and the terminal wraps them.
const WIDTH_MIN: usize = 20;

/// Standard output and error, and what is known about them.
pub struct Terminal {
    /// Where data goes.
    pub out: Stream,
    /// Where everything else goes.
    pub err: Stream,
    /// Whether somebody can answer.
    pub answers: bool,
    /// Columns and lines.
    pub size: Box<dyn Fn() -> (usize, usize) + Send + Sync>,
    /// What is wanted by the environment.
    pub wishes: Wishes,
    /// Ctrl-C.
    pub interrupts: Interrupts,
    /// The file of profiles; none where there is no place for one.
    pub config: Option<PathBuf>,
}

/// Ctrl-C, for a command that ends in its own way. Where none waits for it, whoever catches the signal ends the process.
#[derive(Debug)]
pub struct Interrupts {
    came: mpsc::UnboundedReceiver<()>,
    wanted: Arc<AtomicBool>,
}

/// The other end of `Interrupts`, for whoever catches the signal.
#[derive(Clone, Debug)]
pub struct Interrupter {
    tell: mpsc::UnboundedSender<()>,
    wanted: Arc<AtomicBool>,
}

impl Interrupts {
    /// Both ends.
    pub fn new() -> (Interrupter, Self) {
        let (tell, came) = mpsc::unbounded_channel();
        let wanted = Arc::new(AtomicBool::new(false));
        (Interrupter { tell, wanted: wanted.clone() }, Self { came, wanted })
    }

    /// Waits for the next one. Never comes back where nobody catches the signal.
    pub async fn next(&mut self) {
        self.wanted.store(true, Ordering::SeqCst);
        if self.came.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

impl Interrupter {
    /// Passes one on. `false` where no command waits for it, or where one already came: then the process should end at once.
    pub fn interrupt(&self) -> bool {
        self.wanted.swap(false, Ordering::SeqCst) && self.tell.send(()).is_ok()
    }
}

/// One way out.
pub struct Stream {
    to: Box<dyn Write + Send>,
    /// Whether a person looks at it.
    pub tty: bool,
    /// Whether its reader has gone.
    closed: bool,
}

/// What the environment says about colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `NO_COLOR`.
    pub no_color: bool,
    /// `CLICOLOR_FORCE`.
    pub force_color: bool,
    /// `TERM=dumb`.
    pub dumb: bool,
}

impl Wishes {
    /// As the variables of this process say.
    pub fn of_process() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        Self {
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            force_color: set("CLICOLOR_FORCE"),
            dumb: std::env::var_os("TERM").is_some_and(|term| term == "dumb"),
        }
    }

    /// The style for a stream.
    pub fn style(self, tty: bool, ascii: bool) -> Style {
        let color = !self.no_color && (self.force_color || (tty && !self.dumb));
        Style { color, ascii: ascii || (self.dumb && tty) }
    }
}

impl Stream {
    /// A stream that writes there.
    pub fn new(to: Box<dyn Write + Send>, tty: bool) -> Self {
        Self { to, tty, closed: false }
    }

    /// Writes a line.
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.raw(&format!("{}\n", text.as_ref()));
    }

    /// Writes text as it is. A reader that has gone wants no more, which is no error; nor is there anybody to tell of another one.
    pub fn raw(&mut self, text: &str) {
        if !self.closed && self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush()).is_err() {
            self.closed = true;
        }
    }

    /// Whether its reader has gone.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

impl Terminal {
    /// That of this process.
    pub fn of_process(interrupts: Interrupts) -> Self {
        Self {
            out: Stream::new(Box::new(io::stdout()), io::stdout().is_terminal()),
            err: Stream::new(Box::new(io::stderr()), io::stderr().is_terminal()),
            answers: io::stdin().is_terminal() && io::stderr().is_terminal(),
            size: Box::new(|| match terminal_size::terminal_size_of(io::stderr()) {
                Some((width, height)) => (usize::from(width.0), usize::from(height.0)),
                None => (WIDTH, HEIGHT),
            }),
            wishes: Wishes::of_process(),
            interrupts,
            config: super::settings::file_of_process(),
        }
    }

    /// How wide lines may be, and how many there are.
    pub fn space(&self) -> (usize, usize) {
        let (width, height) = (self.size)();
        (width.max(WIDTH_MIN), height.max(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_interrupt_counts_once_and_only_where_a_command_waits_for_it() {
        let (interrupter, mut interrupts) = Interrupts::new();
        assert!(!interrupter.interrupt(), "nobody waits yet");
        let came = tokio::join!(interrupts.next(), async { interrupter.interrupt() }).1;
        assert!(came && !interrupter.interrupt(), "the second ends the process");
    }

    #[test]
    fn colours_follow_the_environment_and_who_looks() {
        let none = Wishes::default();
        assert!(none.style(true, false).color && !none.style(false, false).color);
        assert!(!Wishes { no_color: true, force_color: true, ..none }.style(true, false).color);
        assert!(Wishes { force_color: true, ..none }.style(false, false).color);
        let dumb = Wishes { dumb: true, ..none }.style(true, false);
        assert!(!dumb.color && dumb.ascii);
    }
}
