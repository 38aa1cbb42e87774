//! OctoStore: distributed locks with fencing tokens over plain HTTP, in one process, with SQLite
//! inside.
//!
//! To serve from a program of your own:
//!
//! ```no_run
//! use octostore::{http::Listener, serve, settings::Settings};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let settings = Settings::from_args_alone(["octostore", "--database", "locks.db"])?;
//!     let mut listeners = Vec::new();
//!     for bind in &settings.bind {
//!         listeners.push(Listener::bind(bind).await?);
//!     }
//!     let until_ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
//!     serve(listeners, &settings, until_ctrl_c).await?;
//!     Ok(())
//! }
//! ```
//!
//! [`App`] does the same in two steps, for whoever wants to know when requests are welcome, and where:
//!
//! ```no_run
//! use octostore::{
//!     app::App,
//!     clock::{SystemClock, TimeSource},
//!     http::Listener,
//!     settings::Settings,
//! };
//! use std::sync::Arc;
//!
//! async fn locks(until: impl Future<Output = ()>) -> Result<(), Box<dyn std::error::Error>> {
//!     let arguments = ["octostore", "--database", "locks.db", "--bind", "127.0.0.1:0"];
//!     let settings = Settings::from_args_alone(arguments)?;
//!     let mut listeners = Vec::new();
//!     for bind in &settings.bind {
//!         let listener = Listener::bind(bind).await?;
//!         println!("listening on {}", listener.address()); // with the port that the system chose
//!         listeners.push(listener);
//!     }
//!     let clocks: Arc<dyn TimeSource> = Arc::new(SystemClock);
//!     let starting = tokio::task::spawn_blocking(move || App::start(&settings, listeners, &clocks));
//!     let app = starting.await??;
//!     println!("ready");
//!     if let Some(file) = app.first_token() {
//!         println!("the token of the account admin is in {}", file.display());
//!     }
//!     app.run_until(until).await?;
//!     Ok(())
//! }
//! ```
//!
//! What is the program's own stays so:
//!
//! - **Environment:** [`Settings::from_args_alone`] reads none of it; [`Settings::from_args`] does, as the
//!   command `octostore` does.
//! - **Log, panics, signals:** nothing is set up for them. What there is to say goes to `tracing`. [`log`] and
//!   [`command`] are for the command `octostore`, which sets up all three.
//! - **File descriptors:** their limit stays as it is. At most 64 fewer connections than that are taken, whatever
//!   [`Settings::max_connections`] says.
//! - **Runtime:** it needs time and I/O. A start reads the whole database, so it is called with
//!   [`spawn_blocking`](tokio::task::spawn_blocking) above; stopping is done on a thread of its own. While one
//!   connection is open and the disk is quick, the thread that serves it waits for the disk itself: give the
//!   server a runtime of its own if nobody else may wait for that.
//!
//! The section "Embedding" of the README says how it is built.
//!
//! The way of one request: [`http`] reads it, [`auth`] says whose it is, the actors of
//! [`octostore_actors`] decide and order it, [`store`] keeps it.

mod alone;
pub mod app;
pub mod auth;
mod backups;
mod batching;
pub mod clock;
pub mod command;
pub mod http;
mod ids;
pub mod log;
mod metrics;
pub mod settings;
pub mod store;
pub mod systemd;
mod threads;
mod traces;

use app::{App, Failure, StartError};
use clock::{SystemClock, TimeSource};
use http::Listener;
use settings::Settings;
use std::sync::Arc;

/// Why [`serve`] ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It never began.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It ended by itself.
    #[error(transparent)]
    Failure(#[from] Failure),
}

/// Serves `listeners` until `shutdown` is done, on the clocks of this machine. Must be awaited on
/// a tokio runtime with time and I/O.
///
/// Only `shutdown` ends it in good order: what was taken is answered then, and the file is free when
/// this returns. If it is dropped instead, connections break off, and what was decided goes to disk
/// in the background: the file is free a little later, and what was granted to somebody who never
/// heard of it ends by itself, when its time is over.
///
/// # Errors
/// See [`ServeError`].
///
/// # Panics
/// As [`App::start`] does.
pub async fn serve(
    listeners: Vec<Listener>,
    settings: &Settings,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let time: Arc<dyn TimeSource> = Arc::new(SystemClock);
    let app = App::start(settings, listeners, &time)?;
    Ok(app.run_until(shutdown).await?)
}
