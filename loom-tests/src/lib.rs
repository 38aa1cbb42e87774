//! Models of the concurrency that ships.
//!
//! A scenario is a plain function over [`octostore_actors::sync`]. Built with `--cfg loom` it
//! runs once for every interleaving and every memory order that loom finds within its bound;
//! built without, many times on real threads, on the real channel. Each scenario takes the
//! part it checks as a parameter, so that its twin can hand in one of [`flawed`], where the
//! bug is put in on purpose: a model that does not catch it proves nothing.
//!
//! One file a subject: [`mailbox`], [`bell`], [`reply`], [`gather`], [`station`], [`desk`], [`grant`],
//! [`commit`], [`close`]. Most of these run on [`service`]: the shipped machine, event loop and persistence actor over a disk in
//! memory, with a clock that stands still.

pub mod bell;
pub mod close;
pub mod commit;
pub mod desk;
pub mod flawed;
pub mod gather;
pub mod grant;
pub mod mailbox;
pub mod reply;
pub mod service;
pub mod station;

use octostore_actors::sync::thread::{self, JoinHandle};
use std::{
    env,
    io::{self, Write as _},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// How often a scenario runs on real threads.
#[cfg(not(loom))]
const RUNS: u64 = 1000;

/// Context switches that loom forces on a running thread, at most, in one execution. Those at
/// which a thread waits are all explored, whatever the bound.
#[cfg(loom)]
const PREEMPTIONS: usize = 2;

/// Runs `scenario` in every way there is, then prints how many that were, for `run.sh` to count.
///
/// # Panics
/// If one of them panics or, under loom, ends with every thread waiting.
pub fn explore(model: &str, scenario: impl Fn() + Send + Sync + 'static) {
    // Not a loom atomic: it counts executions, so it must outlive each of them.
    let executions = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&executions);
    let how = in_every_way(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    let executions = executions.load(Ordering::Relaxed);
    println!("{how}: {model}: {executions}");
    if cfg!(loom) {
        // At once, past the test runner, which keeps the line above to itself until all have run.
        let _unheard = writeln!(io::stderr(), "explored: {model}: {executions}");
    }
}

/// Runs the `scenario` of a twin, which must panic.
///
/// When loom finds a deadlock it panics in the midst of the code that waits. The destructors
/// that run then find no loom any more, panic in turn, and the process aborts. So under loom
/// each twin has a process of its own: the same test, started once more.
///
/// # Panics
/// As the scenario does.
pub fn explore_twin(scenario: impl Fn() + Send + Sync + 'static) {
    if cfg!(loom) && env::var_os(IN_CHILD).is_none() {
        if let Some(panic) = panic_in_child(&test_of(&scenario)) {
            panic!("{panic}");
        }
    } else {
        in_every_way(scenario);
    }
}

/// Set for the process of one twin.
const IN_CHILD: &str = "OCTOSTORE_LOOM_TWIN";

/// The path of the test that `_closure` was written in, without its crate. Not the name of the
/// thread: a test runner with one thread does not name it.
fn test_of<F>(_closure: &F) -> String {
    let path = std::any::type_name::<F>();
    let path = path.split_once("::").map_or(path, |(_crate, path)| path);
    path.trim_end_matches("::{{closure}}").to_owned()
}

/// Runs one test of this very binary by itself; what its first panic said, if it did.
fn panic_in_child(test: &str) -> Option<String> {
    let child = env::current_exe()
        .and_then(|this| {
            Command::new(this)
                .args([test, "--exact", "--nocapture"])
                .env(IN_CHILD, "1")
                .env("RUST_BACKTRACE", "0")
                .output()
        })
        .expect("a test binary can be started again");
    let said = String::from_utf8_lossy(&child.stderr);
    let mut lines = said.lines();
    let is_head = |line: &str| line.contains("panicked at");
    lines.find(|line| is_head(line))?;
    let message: Vec<_> =
        lines.take_while(|line| !is_head(line) && !line.starts_with("note:")).collect();
    Some(message.join("\n"))
}

#[cfg(loom)]
fn in_every_way(scenario: impl Fn() + Send + Sync + 'static) -> &'static str {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS);
    // These three end a run early, and with success: then it would have proved nothing.
    builder.max_duration = None;
    builder.max_permutations = None;
    builder.checkpoint_file = None;
    // The scheduling points of one execution; more is a panic, not an early end.
    builder.max_branches = 10_000;
    builder.check(scenario);
    "explored by loom"
}

#[cfg(not(loom))]
fn in_every_way(scenario: impl Fn() + Send + Sync + 'static) -> &'static str {
    (0..RUNS).for_each(|_| scenario());
    "ran on threads"
}

/// Waits for a future. Under loom whoever waits is also woken once without cause, at any moment, and
/// every use of its waker is a step of its own. That multiplies the ways there are.
#[cfg(loom)]
pub(crate) use loom::future::block_on as wait_restlessly;
#[cfg(not(loom))]
pub(crate) use octostore_actors::sync::block_on as wait_restlessly;

/// Starts a thread of a scenario. loom allows for five, the one that runs the scenario included.
#[cfg_attr(
    not(loom),
    expect(
        clippy::disallowed_methods,
        reason = "the models are about threads, so they start some"
    )
)]
pub(crate) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::spawn(work)
}

/// Waits for a thread, and panics as it did if it did.
pub(crate) fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
