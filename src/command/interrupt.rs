//! Signals to a command that makes a file: nothing half done is left behind.

use crate::store::remove_unfinished;
use procfs::process::Process;
use rustix::process::Signal;
use std::{future::pending, io};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

/// From now on a file that has become as large as this process may make one fails its writer, where the system
/// would end the process without a word (`SIGXFSZ`).
///
/// Must be called on a tokio runtime with I/O.
///
/// # Errors
/// The system does not let signals be handled.
pub fn outlive_the_limit_of_file_sizes() -> io::Result<()> {
    // It is handled ever after, whether or not somebody asks for it.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}

/// As long as what is returned is there, SIGINT, SIGTERM and SIGHUP remove what is not finished before
/// they end the process. SIGHUP stays ignored if it is, as by `nohup`.
///
/// # Errors
/// The system has no thread for it, or does not let signals be handled.
pub fn tidy_up_on_signals() -> io::Result<Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let inside = runtime.enter();
    outlive_the_limit_of_file_sizes()?;
    let hangup = SignalKind::hangup();
    // Before it is asked for.
    let mut hangups = (!is_ignored(hangup)).then(|| signal(hangup)).transpose()?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    drop(inside);
    runtime.spawn(async move {
        let hung_up = async {
            match &mut hangups {
                Some(hangups) => hangups.recv().await,
                None => pending().await,
            }
        };
        let signal = tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
            _ = hung_up => hangup,
        };
        let _none_is_begun = remove_unfinished();
        std::process::exit(128 + signal.as_raw_value());
    });
    Ok(runtime)
}

/// Whether whoever started this process had it ignore that signal; so, too, if the system does not say.
fn is_ignored(signal: SignalKind) -> bool {
    let status = Process::myself().and_then(|process| process.status());
    status.map_or(true, |status| status.sigign & (1 << (signal.as_raw_value() - 1)) != 0)
}
