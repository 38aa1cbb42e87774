//! Signals to a command that makes a file: nothing half done is left behind.

use crate::store::remove_unfinished;
use std::io;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

/// As long as what is returned is there, SIGINT and SIGTERM remove what is not finished before they end
/// the process. SIGHUP is left alone: `nohup` has it ignored.
///
/// # Errors
/// The system has no thread for it, or does not let signals be handled.
pub fn tidy_up_on_signals() -> io::Result<Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let inside = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    drop(inside);
    runtime.spawn(async move {
        let signal = tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
        };
        let _none_is_begun = remove_unfinished();
        std::process::exit(128 + signal.as_raw_value());
    });
    Ok(runtime)
}
