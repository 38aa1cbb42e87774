//! A whole server inside a test of one of its parts.

use super::{App, Service};
use crate::{
    clock::{SystemClock, TimeSource},
    settings::Settings,
};
use std::{path::Path, sync::Arc};
use tempfile::TempDir;

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
        let database = folder.path().join("octostore.db");
        let arguments = ["octostore".as_ref(), "--database".as_ref(), database.as_os_str()];
        let settings = Settings::from_args(arguments).unwrap();
        let time: Arc<dyn TimeSource> = Arc::new(SystemClock);
        let app = App::start(&settings, Vec::new(), &time).unwrap();
        Self { service: Arc::clone(&app.service), _app: app, folder }
    }

    /// Where the test may put a socket.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}
