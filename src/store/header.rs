//! The first bytes of a file: whose it is, before SQLite opens it.

use super::{
    files::{FIRST_TOKEN, Files, OF_A_DATABASE, SystemFiles},
    open::{Opening, VERSION},
    refusal::OpenError,
};
use std::{ffi::OsStr, io::Read, ops::Range, os::unix::ffi::OsStrExt, path::Path};

/// "octo": says in the header of a SQLite file whose file it is.
pub const APPLICATION_ID: u32 = 0x6f63_746f;

/// "octb": the same of a backup. No server serves it before it was restored, because the tokens that
/// were granted since it was made would come twice.
pub const BACKUP_ID: u32 = 0x6f63_7462;

/// Where in the header that is ("The Database Header" in the documentation of SQLite's file format).
pub const ID_AT: usize = 68;

/// Where in it the version of the schema is.
const VERSION_AT: usize = 60;

/// How a journal begins by which SQLite takes back a transaction that was interrupted ("Rollback
/// Journal Format" in the documentation of its file format).
const ROLLBACK_JOURNAL: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// Where in that is how many pages the file had before.
const PAGES_BEFORE: Range<usize> = 16..20;

/// What a file is by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing yet: a database can be made of it.
    Nothing,
    /// A database.
    Database,
    /// A backup of one.
    Backup,
}

/// Whether the file at `path` is a database, which a server may have open, or belongs to one. A backup
/// does not, nor does what is not ours.
///
/// # Errors
/// It is there, and nobody can say.
pub fn belongs_to_a_database(path: &Path) -> Result<bool, OpenError> {
    let name = path.as_os_str().as_bytes();
    let ends = OF_A_DATABASE.iter().chain([&FIRST_TOKEN]);
    let of = ends.filter_map(|end| name.strip_suffix(end.as_bytes()));
    for name in of {
        if is_a_database(Path::new(OsStr::from_bytes(name)))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_a_database(path: &Path) -> Result<bool, OpenError> {
    let Ok(path) = SystemFiles.real_path(path) else { return Ok(false) };
    let opening = Opening { files: &SystemFiles, path: &path };
    match opening.kind() {
        // It may just be being made.
        Ok(Kind::Nothing) => Ok(path.exists() && opening.beside("-lock").exists()),
        Ok(Kind::Backup)
        | Err(OpenError::Foreign { .. } | OpenError::IsFolder { .. } | OpenError::NoFile { .. }) => {
            Ok(false)
        }
        Ok(Kind::Database)
        | Err(
            OpenError::Lost { .. }
            | OpenError::OtherNames { .. }
            | OpenError::Newer { .. }
            | OpenError::Damaged { .. },
        ) => Ok(true),
        Err(
            error @ (OpenError::NotAllowed { .. }
            | OpenError::Io { .. }
            | OpenError::InUse { .. }
            | OpenError::Locked { .. }
            | OpenError::Backup { .. }
            | OpenError::NoLockFile { .. }
            | OpenError::NoRoom { .. }
            | OpenError::NoFolder { .. }
            | OpenError::Sqlite { .. }),
        ) => Err(error),
    }
}

impl Opening<'_> {
    /// Refuses what is not ours, is damaged there, or newer than this program; a database that has other
    /// names; and nothing at all where something was.
    pub fn kind(&self) -> Result<Kind, OpenError> {
        let kind = self.kind_by_header()?;
        match kind {
            // Its journal and its lock go by one of its names.
            Kind::Nothing | Kind::Database if self.has_other_names()? => {
                return Err(OpenError::OtherNames { path: self.path.to_owned() });
            }
            Kind::Nothing => self.refuse_remains()?,
            Kind::Database | Kind::Backup => {}
        }
        Ok(kind)
    }

    fn has_other_names(&self) -> Result<bool, OpenError> {
        Ok(self.files.names(self.path).map_err(|source| self.io(source))? > 1)
    }

    fn kind_by_header(&self) -> Result<Kind, OpenError> {
        let header = self.begin_of(self.path, 100)?;
        if header.is_empty() {
            return Ok(Kind::Nothing);
        }
        let number = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let path = self.path.to_owned();
        let whole = header.len() == 100 && header.starts_with(b"SQLite format 3\0");
        let kind = match whole.then(|| number(ID_AT)) {
            Some(APPLICATION_ID) => Kind::Database,
            Some(BACKUP_ID) => Kind::Backup,
            Some(_) | None => {
                let nothing_yet = header.iter().all(|&byte| byte == 0);
                let being_made = nothing_yet && self.is_being_made()?;
                return if being_made {
                    Ok(Kind::Nothing)
                } else {
                    Err(OpenError::Foreign { path })
                };
            }
        };
        // In any other mode SQLite would not look at the journal: ours is a write-ahead log, or was
        // about to become one.
        if !matches!(header[18..20], [2, 2] | [1, 1]) {
            return Err(self.damaged("its header names another journal".to_owned()));
        }
        match number(VERSION_AT) {
            // It is written together with the name of the kind: whoever has that has a version too.
            0 => Err(self.damaged("its header has no schema version".to_owned())),
            1..=VERSION => Ok(kind),
            found => Err(OpenError::Newer { path, found }),
        }
    }

    /// Whether the power went while the file was made. The journal that is there as long as that
    /// takes says so; SQLite goes by it and takes back what there is of the file.
    fn is_being_made(&self) -> Result<bool, OpenError> {
        Ok(self.begin_of(&self.beside("-journal"), 8)? == ROLLBACK_JOURNAL)
    }

    /// Refuses a file that is gone, or empty, while a journal of it is there: what was acknowledged may
    /// be in that, and SQLite would drop it.
    ///
    /// A first start that was interrupted leaves nothing like that. Its main file is on disk before
    /// there is a write-ahead log, and until then its journal takes back what was no file before.
    fn refuse_remains(&self) -> Result<(), OpenError> {
        let lost = |journal| Err(OpenError::Lost { path: self.path.to_owned(), journal });
        let log = self.journal();
        if !self.begin_of(&log, 1)?.is_empty() {
            return lost(log);
        }
        let journal = self.beside("-journal");
        let begin = self.begin_of(&journal, PAGES_BEFORE.end as u64)?;
        if begin.get(PAGES_BEFORE).is_some_and(|pages| pages != [0; 4]) {
            return lost(journal);
        }
        Ok(())
    }

    fn begin_of(&self, path: &Path, bytes: u64) -> Result<Vec<u8>, OpenError> {
        let mut begin = Vec::new();
        let read = self.files.read(path).and_then(|file| file.take(bytes).read_to_end(&mut begin));
        read.map_err(|source| self.io(source))?;
        Ok(begin)
    }
}
