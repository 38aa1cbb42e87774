//! OctoStore: distributed locks with fencing tokens over plain HTTP, in one process, with SQLite
//! inside.
//!
//! To serve from a program of your own:
//!
//! ```no_run
//! use octostore::{serve, http::Listener, settings::Settings};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::from_args_alone(["octostore", "--database", "locks.db"])?;
//! let listener = Listener::bind(&settings.bind[0]).await?;
//! serve(vec![listener], &settings, async { /* until this is done */ }).await?;
//! # Ok(())
//! # }
//! ```
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
