//! A panic while a request is answered: a bug, and no reason for anybody else to suffer. Whoever asked is answered, the connection lives,
//! and the log has one line about it that says where it happened.

use crate::api::{ApiError, Kind};
use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::pin;
use std::sync::Once;
use std::task::Poll;

/// The longest backtrace that is told, in bytes; the beginning says where it happened.
const BACKTRACE_BYTES_MAX: usize = 16 * 1024;

/// What is known of a panic.
#[derive(Debug)]
pub(super) struct Crash {
    /// What it said.
    pub(super) message: String,
    /// File, line and column.
    pub(super) place: String,
    /// The functions it came through, the innermost first.
    pub(super) backtrace: String,
}

thread_local! {
    /// Whether this thread answers a request just now.
    static ANSWERS: Cell<bool> = const { Cell::new(false) };
    /// The panic that ended it.
    static LAST: RefCell<Option<Crash>> = const { RefCell::new(None) };
}

/// Lets a request be answered to its end, or to the panic that ends it.
pub(super) async fn survive<T>(answering: impl Future<Output = T>) -> Result<T, Crash> {
    look_out();
    let mut answering = pin!(answering);
    poll_fn(|cx| {
        ANSWERS.set(true);
        // What a handler shares with others is behind locks that are poisoned, or in the engine, which only takes what is whole.
        let polled = catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(cx)));
        ANSWERS.set(false);
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(LAST.take().unwrap_or_else(|| Crash::of(&*panic)))),
        }
    })
    .await
}

/// What somebody is answered whose request ended so.
pub(super) fn told(request: &str) -> ApiError {
    ApiError::new(Kind::Failed, "INTERNAL", "something broke while this was answered; it may have been done or not")
        .because(format!("the server's log tells it under the request {request}"))
        .then("say it again with the same Idempotency-Key")
}

/// Notes where a panic comes from while a request is answered; any other is told as before.
fn look_out() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match ANSWERS.get() {
            true => LAST.set(Some(Crash::at(info))),
            false => before(info),
        }));
    });
}

impl Crash {
    fn at(info: &PanicHookInfo<'_>) -> Self {
        let mut backtrace = Backtrace::force_capture().to_string();
        if let Some((cut, _)) = backtrace.char_indices().find(|(at, _)| *at >= BACKTRACE_BYTES_MAX) {
            backtrace.truncate(cut);
        }
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        Self { place, backtrace, ..Self::of(info.payload()) }
    }

    /// Where nobody noted more than what it carries.
    fn of(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it said nothing".into());
        Self { message, place: String::new(), backtrace: String::new() }
    }
}
