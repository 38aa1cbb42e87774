//! A whole server inside a test of one of its parts.

use super::{App, Service, StartError};
use crate::{
    clock::{SystemClock, TimeSource},
    settings::Settings,
    store::OpenError,
};
use std::{path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

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

#[tokio::test]
async fn a_server_that_is_dropped_frees_its_file() {
    let folder = TempDir::new().unwrap();
    let first = app(folder.path()).unwrap();
    let in_use = |error| matches!(error, StartError::Open(OpenError::InUse { .. }));
    assert!(app(folder.path()).err().is_some_and(in_use), "it runs");
    drop(first);
    let second = async {
        loop {
            match app(folder.path()) {
                Ok(app) => return app,
                Err(error) => assert!(in_use(error)),
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    drop(timeout(Duration::from_secs(60), second).await.expect("the first runs for ever"));
}
