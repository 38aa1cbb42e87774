//! A whole server inside a test of one of its parts.

use super::{App, Service, StartError};
use crate::{
    clock::{SystemClock, TimeSource},
    settings::Settings,
    store::OpenError,
};
use octostore_actors::domain::{
    lock::{Holder, LockCommand},
    values::{AccountId, LeaseId, LockName, Quota, Ttl},
};
use std::{path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    runtime::Builder,
    task::yield_now,
    time::{sleep, timeout},
};

/// What request handlers can reach, and all that is behind it; it listens nowhere.
pub(crate) struct Inside {
    pub(crate) service: Arc<Service>,
    _app: App,
    folder: TempDir,
}

impl Inside {
    /// Starts it, on the runtime of the test.
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let app = app(folder.path()).unwrap();
        Self { service: Arc::clone(&app.service), _app: app, folder }
    }

    /// Where the test may put a socket.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// One whose database is in `folder`.
fn app(folder: &Path) -> Result<App, StartError> {
    let database = folder.join("octostore.db");
    let arguments = ["octostore".as_ref(), "--database".as_ref(), database.as_os_str()];
    let settings = Settings::from_args(arguments).unwrap();
    let time: Arc<dyn TimeSource> = Arc::new(SystemClock);
    App::start(&settings, Vec::new(), &time)
}

/// Waits until another server may have the database in `folder`.
async fn until_free(folder: &Path) {
    let second = async {
        loop {
            match app(folder) {
                Ok(app) => return app,
                Err(error) => assert!(is_in_use(&error), "{error}"),
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    drop(timeout(Duration::from_secs(60), second).await.expect("the first runs for ever"));
}

fn is_in_use(error: &StartError) -> bool {
    matches!(error, StartError::Open(OpenError::InUse { .. }))
}

#[tokio::test]
async fn a_server_that_is_dropped_frees_its_file() {
    let folder = TempDir::new().unwrap();
    let first = app(folder.path()).unwrap();
    assert!(app(folder.path()).err().is_some_and(|error| is_in_use(&error)), "it runs");
    drop(first);
    until_free(folder.path()).await;
}

#[test]
fn a_server_stops_although_its_runtime_has_no_thread_for_what_blocks() {
    let runtime =
        Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    let folder = TempDir::new().unwrap();
    let (_held_until_the_end, until_then) = std::sync::mpsc::channel::<()>();
    runtime.block_on(async {
        tokio::task::spawn_blocking(move || until_then.recv());
        let first = app(folder.path()).unwrap();
        let stopped = timeout(Duration::from_secs(60), first.run_until(async {}));
        stopped.await.expect("it waits for ever").unwrap();
        drop(app(folder.path()).expect("the file is free"));
    });
}

#[tokio::test]
async fn a_panic_at_the_very_end_is_passed_on() {
    let folder = TempDir::new().unwrap();
    let app = app(folder.path()).unwrap();
    let stopping = tokio::spawn(app.threads.stop(|| panic!("the last words")));
    let panic = stopping.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref(), Some(&"the last words"));
}

/// Among the answers of the last commit are such as belong to tasks that nobody polls.
#[test]
fn a_server_that_is_dropped_frees_its_file_although_its_runtime_stands_still() {
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let (folder, still) = (TempDir::new().unwrap(), runtime());
    let first = still.block_on(async {
        let app = app(folder.path()).unwrap();
        let token = std::fs::read(app.first_token().unwrap()).unwrap();
        let now = app.service.calendar.wall();
        let admin = app.service.directory.authenticate(token.trim_ascii(), now).unwrap();
        for number in 0..100 {
            let (service, account) = (Arc::clone(&app.service), admin.account().id);
            tokio::spawn(async move { service.locks.ask(acquire(account, number)).await });
        }
        // They ask, and nobody comes back to them.
        yield_now().await;
        app
    });
    drop(first);
    runtime().block_on(until_free(folder.path()));
}

fn acquire(account: AccountId, number: u128) -> LockCommand {
    LockCommand::Acquire {
        name: LockName::new(&format!("lock-{number}")).unwrap(),
        holder: Holder { account, owner: None },
        ttl: Ttl::from_seconds(60).unwrap(),
        lease: LeaseId::from_bytes(number.to_be_bytes()),
        metadata: None,
        quota: Quota::new(1_000),
    }
}
