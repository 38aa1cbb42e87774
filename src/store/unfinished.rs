//! Files on their way: they have another name until they are whole, and disappear if they never are.

use super::files::{OF_A_DATABASE, beside, sync_name};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tempfile::{Builder, NamedTempFile};

/// Where files were begun. One that is finished has no longer this name.
static BEGUN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A file on its way. If it is dropped before it is finished it is removed, and what a database has beside it.
pub struct UnfinishedFile {
    file: NamedTempFile,
    /// Dropped after the file.
    beside: WhatIsBeside,
}

/// What SQLite leaves beside a database that it could not close as it should. Removed when this is dropped.
struct WhatIsBeside(PathBuf);

impl UnfinishedFile {
    /// Begins a file in `folder`, empty, which nobody else can read.
    ///
    /// # Errors
    /// None can be made there.
    pub fn begin(folder: &Path) -> io::Result<Self> {
        // Locked while it is made: [`remove_unfinished`] sees all that there are.
        let mut begun = begun();
        let file = Builder::new().prefix(".octostore-unfinished-").tempfile_in(folder)?;
        begun.push(file.path().to_owned());
        let beside = WhatIsBeside(file.path().to_owned());
        Ok(Self { file, beside })
    }

    /// Where it is while it is not finished.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// To write it.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Puts it at `path`, in the place of another one only if `replace` says so. When this returns it is on disk.
    ///
    /// # Errors
    /// The system refuses, or there is a file now.
    pub fn finish(self, path: &Path, replace: bool) -> io::Result<()> {
        let Self { file, beside: _beside } = self;
        file.as_file().sync_all()?;
        let placed = if replace { file.persist(path) } else { file.persist_noclobber(path) };
        placed.map_err(|error| error.error)?;
        sync_name(path)
    }
}

impl Drop for WhatIsBeside {
    fn drop(&mut self) {
        for end in OF_A_DATABASE {
            // Most are not there. The file itself is gone too, or has another name.
            let _gone = std::fs::remove_file(beside(&self.0, end));
        }
    }
}

/// Removes what is not finished, as the process ends without tidying up. No other can be begun while
/// what is returned is there.
pub fn remove_unfinished() -> impl Sized {
    let begun = begun();
    for path in &*begun {
        for end in OF_A_DATABASE {
            // Most are not there, and nobody is left to be told of one that stays.
            let _gone = std::fs::remove_file(beside(path, end));
        }
    }
    begun
}

fn begun() -> MutexGuard<'static, Vec<PathBuf>> {
    BEGUN.lock().unwrap_or_else(PoisonError::into_inner)
}
