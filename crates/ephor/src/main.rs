//! The program: sets up what the command line needs and goes.

use ephor::cli::{Exit, Interrupts, Terminal, main as command_line};
use ephor::host::Host;
use ephor::local::LocalHost;
use std::process::ExitCode;

/// Tasks are made on one thread and dropped on another, which the system's allocator is slow at: with it, batches of submissions took
/// half as long again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    let host = LocalHost;
    if ephor::cli::is_sandbox_exec(&args) {
        return host.sandbox_exec();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error[runtime]: {error}");
            return ExitCode::FAILURE;
        }
    };
    let exit = runtime.block_on(async {
        let (interrupter, interrupts) = Interrupts::new();
        tokio::spawn(async move {
            while asked_to_end().await {
                if !interrupter.interrupt() {
                    std::process::exit(Exit::Interrupted as i32);
                }
            }
        });
        let mut terminal = Terminal::of_process(interrupts);
        command_line(args, &host, &mut terminal).await
    });
    exit.into()
}

/// Waits for Ctrl-C or SIGTERM. `false` where neither can be caught.
async fn asked_to_end() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return tokio::signal::ctrl_c().await.is_ok() };
    tokio::select! {
        came = tokio::signal::ctrl_c() => came.is_ok(),
        came = terminate.recv() => came.is_some(),
    }
}
