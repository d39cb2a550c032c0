//! Work on files and the processor, kept off the threads that keep leases alive.

use ephor_core::spec::ErrorClass;
use ephor_core::work::Failure;
use ephor_sdk::agent::Job;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the work was told to end. Asked between files, since a thread cannot be dropped.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<AtomicBool>);

impl Told {
    /// # Errors
    /// `Cancelled` once the work was told to end.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.0.load(Ordering::Relaxed) { Err(Failure::new(ErrorClass::Cancelled, "told to end")) } else { Ok(()) }
    }
}

/// Ends the thread's work when the agent's future is dropped.
struct EndsWithIt(Told);

impl Drop for EndsWithIt {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Does `work` on a thread of its own, until its end or until the job is told to end.
///
/// # Errors
/// What `work` fails with; `Cancelled` where the job was told to end.
pub(crate) async fn run<T: Send + 'static>(
    job: Job<'_>,
    work: impl FnOnce(&Told) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let ends = EndsWithIt(Told::default());
    let told = ends.0.clone();
    let working = tokio::task::spawn_blocking(move || work(&told));
    tokio::select! {
        ended = working => match ended {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()), // nobody else can end a blocking thread
        },
        why = job.stopped() => Err(Failure::new(ErrorClass::Cancelled, format!("told to end: {why:?}"))),
    }
}
