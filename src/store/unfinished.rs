//! Files on their way: they have another name until they are whole, and disappear if they never are.

use super::files::{OF_A_DATABASE, beside};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tempfile::{Builder, NamedTempFile};

/// Where files were begun. One that is finished has no longer this name.
static BEGUN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Begins a file in `folder`, empty, which nobody else can read.
///
/// # Errors
/// None can be made there.
pub fn begin_file(folder: &Path) -> io::Result<NamedTempFile> {
    // Locked while it is made: [`remove_unfinished`] sees all that there are.
    let mut begun = begun();
    let file = Builder::new().prefix(".octostore-unfinished-").tempfile_in(folder)?;
    begun.push(file.path().to_owned());
    Ok(file)
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
