//! Files that are whole, or not there; and nobody else's to read.

use super::CommandError;
use crate::store::{UnfinishedFile, belongs_to_a_database, folder_of};
use std::{
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A file on its way. Until it is finished it has another name, and it disappears if it never is.
pub struct NewFile {
    file: UnfinishedFile,
    path: PathBuf,
    replace: bool,
}

impl NewFile {
    /// A file that is made of `database`. It is never put in the place of that, or of any database and what
    /// belongs to it, whatever `replace` says: a server may have it open, and would go on writing what
    /// nobody finds.
    ///
    /// # Errors
    /// As [`NewFile::at`]; or that is what `path` names.
    pub fn made_of(database: &Path, path: &Path, replace: bool) -> Result<Self, CommandError> {
        // What it is made of may also be a backup.
        if is_same(database, path) || belongs_to_a_database(path)? {
            return Err(CommandError::IsADatabase(path.to_owned()));
        }
        Self::at(path, replace)
    }

    /// A file that will be at `path`, in the place of another one only if `replace` says so.
    ///
    /// # Errors
    /// There is one, or none can be made there.
    pub fn at(path: &Path, replace: bool) -> Result<Self, CommandError> {
        if !replace && path.symlink_metadata().is_ok() {
            return Err(CommandError::Exists(path.to_owned()));
        }
        let folder = folder_of(path);
        let file = UnfinishedFile::begin(folder)
            .map_err(|source| CommandError::Write { path: path.to_owned(), source })?;
        Ok(Self { file, path: path.to_owned(), replace })
    }

    /// Where it is while it is not finished.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// To write it.
    pub fn file(&mut self) -> &mut File {
        self.file.file()
    }

    /// What is wrong if it cannot be written.
    pub fn failed(&self, source: io::Error) -> CommandError {
        CommandError::Write { path: self.path.clone(), source }
    }

    /// Puts it in its place. When this returns it is on disk.
    ///
    /// # Errors
    /// The system refuses, or there is a file now.
    pub fn finish(self) -> Result<(), CommandError> {
        let Self { file, path, replace } = self;
        file.finish(&path, replace).map_err(|source| {
            if source.kind() == io::ErrorKind::AlreadyExists {
                CommandError::Exists(path)
            } else {
                CommandError::Write { path, source }
            }
        })
    }
}

/// Whether both are the same file, or would be.
fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?));
    let identity = |path: &Path| path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    let is_one = |a: Option<_>, b: Option<_>| a.is_some() && a == b;
    place(one).is_some() && place(one) == place(other) || is_one(identity(one), identity(other))
}
