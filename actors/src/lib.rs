//! The core of OctoStore, without a socket, a database or a clock of its own.
//!
//! One request passes through these files in this order:
//!
//! 1. [`mailbox`]: a handler puts its command into the bounded mailbox of one actor.
//! 2. [`actor`]: the event loop takes it out and hands it to the state machine.
//! 3. [`domain`]: the machine decides, purely: `apply(moment, ticket, command, effects)`.
//! 4. [`commit`]: the persistence actor writes what was decided, many decisions at a time.
//! 5. [`reply`]: only then is the answer let go, to the handler that waits for it.
//!
//! The crate knows no tokio, no hyper, no rusqlite, no serde and no OS clock, so that the
//! very same code runs on threads, under loom, in property tests and in a simulator.

pub mod actor;
pub mod bell;
pub mod commit;
pub mod domain;
pub mod gather;
pub mod mailbox;
pub mod progress;
pub mod reply;
pub mod snapshot;
pub mod sync;
pub mod time;
pub mod watch;
mod work;
