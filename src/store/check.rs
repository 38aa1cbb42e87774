//! Whether a file is whole, without changing it.

use super::{
    audit,
    backup::BackupError,
    boot as boot_row,
    contents::{Contents, Contradiction},
    files::{Files, SystemFiles},
    header::Kind,
    journal::Standing,
    lock_file::LockFile,
    open::{Opening, VERSION},
    refusal::OpenError,
    row::natural,
};
use crate::clock::BootId;
use octostore_actors::domain::{
    audit::{AuditEntry, AuditId, AuditQuery},
    page::PageLimit,
};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// A file that was found whole, to be read. It stays as it is.
pub struct Checked {
    /// Whether it is a backup.
    pub is_backup: bool,
    /// The version of its tables.
    pub version: u32,
    /// How many pages it has, of which every one was read.
    pub pages: u32,
    /// How many bytes of a journal belong to it.
    pub journal_bytes: u64,
    /// What it says; `None` in a file of an older version, which says it in other tables.
    pub contents: Option<Contents>,
    /// How many entries its audit log has.
    pub audit_entries: u64,
    connection: Connection,
    _lock: Option<LockFile>,
}

/// Reads all of the file at `path`, a database that no server has open or a backup, and checks it:
/// its header and journal, every page, the tables, the checksum of every row, and what rows must be
/// true of each other. What no server would take in the present `boot` is refused here too.
///
/// # Errors
/// See [`BackupError`].
pub fn check(path: &Path, boot: &BootId) -> Result<Checked, BackupError> {
    let path = SystemFiles.real_path(path)?;
    let opening = Opening { files: &SystemFiles, path: &path };
    let kind = opening.kind()?;
    if kind == Kind::Nothing {
        return Err(BackupError::Nothing(path));
    }
    let journal_bytes = opening.journal_bytes();
    // A server keeps its journal, so nobody serves a file that has none; and what has none can be
    // read where nothing may be written.
    let (lock, journal, connection) = if journal_bytes == 0 {
        (None, Standing::Whole, opening.connect_for_good()?)
    } else {
        let lock = LockFile::take(&path).map_err(|why| OpenError::not_locked(&path, why))?;
        let journal = require_whole_journal(&opening)?;
        (Some(lock), journal, opening.connect()?)
    };
    let version = opening.version(&connection)?;
    opening.verify(&connection)?;
    opening.refuse_unclear_in(&connection, journal, boot)?;
    let pages = connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .map_err(|error| opening.refuse(error))?;
    let mut checked = Checked {
        is_backup: kind == Kind::Backup,
        version,
        pages,
        journal_bytes,
        contents: None,
        audit_entries: 0,
        connection,
        _lock: lock,
    };
    if version == VERSION {
        opening.verify_schema(&checked.connection)?;
        let contents = Contents::read(&checked.connection);
        checked.contents = Some(contents.map_err(|error| opening.contradiction(error))?);
        let mut entries = 0;
        let read = checked.each_audit_entry(|_, _| {
            entries += 1;
            Ok::<(), Contradiction>(())
        });
        read.map_err(|error| opening.contradiction(error))?;
        checked.audit_entries = entries;
    }
    Ok(checked)
}

impl Checked {
    /// Hands every entry of the audit log to `each`, the latest first.
    ///
    /// # Errors
    /// One cannot be read, or `each` fails.
    pub fn each_audit_entry<E: From<Contradiction>>(
        &self,
        mut each: impl FnMut(AuditId, &AuditEntry) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut query = AuditQuery { limit: PageLimit::MAX, ..AuditQuery::default() };
        loop {
            let page = audit::read(&self.connection, super::Retention::default(), &query)
                .map_err(Contradiction::from)?;
            for (id, entry) in &page.entries {
                each(*id, entry)?;
            }
            let Some(next) = page.next else { return Ok(()) };
            query.before = Some(next);
        }
    }

    /// The highest place that its audit log ever gave.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn last_audit_place(&self) -> Result<u64, Contradiction> {
        let highest = "SELECT max(seq) FROM sqlite_sequence WHERE name = 'audit'";
        let last: Option<i64> = self.connection.query_one(highest, [], |row| row.get(0))?;
        Ok(last.and_then(|last| natural(last).ok()).unwrap_or(0))
    }
}

/// Refuses a journal that is not whole, and leaves it so.
fn require_whole_journal(opening: &Opening<'_>) -> Result<Standing, OpenError> {
    match opening.inspect_journal()? {
        Standing::OneBit(_) => Err(opening.damaged(
            "one bit of its journal (-wal) is wrong; the next start of a server puts it right"
                .to_owned(),
        )),
        standing @ (Standing::Whole | Standing::Unclear(_)) => Ok(standing),
    }
}

impl Opening<'_> {
    /// How long its journal is.
    pub fn journal_bytes(&self) -> u64 {
        std::fs::metadata(self.journal()).map_or(0, |meta| meta.len())
    }

    /// [`Opening::refuse_unclear`], of a file that was opened and no more.
    pub fn refuse_unclear_in(
        &self,
        connection: &Connection,
        journal: Standing,
        boot: &BootId,
    ) -> Result<(), OpenError> {
        match journal {
            Standing::Whole | Standing::OneBit(_) => Ok(()),
            Standing::Unclear(_) => {
                let of = boot_row::of(connection).map_err(|row| self.contradiction(row.into()))?;
                self.refuse_unclear(journal, &of, boot)
            }
        }
    }

    /// Opens a file that nobody changes, not even by reading.
    pub fn connect_for_good(&self) -> Result<Connection, OpenError> {
        let mut uri = "file:".to_owned();
        for byte in self.path.as_os_str().as_encoded_bytes() {
            match byte {
                b'%' | b'?' | b'#' => uri += &format!("%{byte:02x}"),
                byte if byte.is_ascii() => uri.push((*byte).into()),
                byte => uri += &format!("%{byte:02x}"),
            }
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(uri + "?immutable=1", flags).map_err(|error| self.refuse(error))
    }
}
