//! The log goes to standard error on a thread of its own. Nobody else waits for whoever reads it: as many
//! lines as there is room for do, and those that find none are lost, and counted.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, Write},
    mem, panic,
    sync::{
        Mutex, OnceLock, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder};

/// How many lines there is room for.
const ROOM: usize = 10_000;

/// How long the last lines may take to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Comes after the last line that is waited for. No line is empty.
const MARK: &[u8] = b"";

static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    lines: NonBlocking,
    lost: ErrorCounter,
    /// A mark was reached.
    marks: Mutex<Receiver<()>>,
}

/// Starts the thread. What is returned never waits, and what a panic has to say goes the same way.
pub fn start() -> NonBlocking {
    let (reached, marks) = sync_channel(1);
    let (lines, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(ROOM)
        .lossy(true)
        .thread_name("log")
        .finish(StandardError { reached, told: 0 });
    // It would wait for the last lines too, but tell standard output if they are not written, which may
    // be the very pipe that nobody reads.
    mem::forget(guard);
    let marks = Mutex::new(marks);
    LOG.get_or_init(|| Log { lost: lines.error_counter(), lines: lines.clone(), marks });
    panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let trace = Backtrace::capture();
        let trace = if trace.status() == BacktraceStatus::Captured {
            trace.to_string()
        } else {
            String::new()
        };
        say(&format!("thread '{}' {panic}\n{trace}", thread.name().unwrap_or_default()));
    }));
    lines
}

/// Says something in its place among the lines, or at once where there is no log.
pub fn say(text: &str) {
    // If nobody can hear it there is the exit code.
    let _unheard = match LOG.get() {
        Some(log) => log.lines.clone().write_all(text.as_bytes()),
        None => io::stderr().write_all(text.as_bytes()),
    };
}

/// Waits until all that was said before is written, but not for long: for the end of the process.
pub fn end() {
    let Some(log) = LOG.get() else { return };
    let marks = log.marks.lock().unwrap_or_else(PoisonError::into_inner);
    let _lost = log.lines.clone().write_all(MARK);
    let _late = marks.recv_timeout(LAST_LINES);
}

/// Is dropped at the end of the process: see [`end`].
#[derive(Debug)]
pub struct AtTheEnd;

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        end();
    }
}

/// Where the thread writes to.
struct StandardError {
    reached: SyncSender<()>,
    /// Of how many lost lines there was already word.
    told: usize,
}

impl Write for StandardError {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write(line)
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        if line == MARK {
            // Whoever waited for an earlier one has given up.
            let _given_up = self.reached.try_send(());
            return Ok(());
        }
        io::stderr().write_all(line)
    }

    /// Nothing waits any more, so there is room to say what was lost.
    fn flush(&mut self) -> io::Result<()> {
        let lost = LOG.get().map_or(0, |log| log.lost.dropped_lines());
        if lost > self.told {
            tracing::warn!(
                lines = lost - self.told,
                "lines of this log are lost: nobody read them in time"
            );
            self.told = lost;
        }
        Ok(())
    }
}
