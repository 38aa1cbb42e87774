//! SQLite on simulated disks: one VFS, and in it as many disks as there are scenarios under way.
//! The first part of a path says which disk it lies on.

use super::{Failed, SharedDisk};
use sqlite_plugin::{
    flags::{AccessFlags, CreateMode, LockLevel, OpenMode, OpenOpts},
    vars::{
        SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_IOCAP_POWERSAFE_OVERWRITE, SQLITE_IOERR_DELETE,
        SQLITE_IOERR_FSTAT, SQLITE_IOERR_FSYNC, SQLITE_IOERR_READ, SQLITE_IOERR_TRUNCATE,
        SQLITE_IOERR_WRITE,
    },
    vfs::{RegisterOpts, Vfs, VfsHandle, VfsResult, register_static},
};
use std::{
    collections::BTreeMap,
    ffi::CString,
    path::{Path, PathBuf},
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Parts of a page may be read: SQLite's own files of a Unix system say so.
const SQLITE_IOCAP_SUBPAGE_READ: i32 = 0x8000;

/// How SQLite knows the simulated disks.
pub const NAME: &str = "simulated";

static DISKS: LazyLock<Mutex<BTreeMap<u64, SharedDisk>>> = LazyLock::new(|| {
    let opts = RegisterOpts { make_default: false };
    let registered = register_static(CString::from(c"simulated"), Simulated, opts);
    assert!(registered.is_ok(), "SQLite takes no VFS");
    Mutex::default()
});

fn disks() -> MutexGuard<'static, BTreeMap<u64, SharedDisk>> {
    DISKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A disk that SQLite can reach, as long as this is there.
#[derive(Debug)]
pub struct Mounted {
    number: u64,
    disk: SharedDisk,
}

impl Mounted {
    /// Mounts `disk`.
    pub fn new(disk: SharedDisk) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        disks().insert(number, disk.clone());
        Self { number, disk }
    }

    /// The disk.
    pub fn disk(&self) -> &SharedDisk {
        &self.disk
    }

    /// Where the database lies.
    pub fn path(&self) -> PathBuf {
        format!("/{}/db", self.number).into()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        disks().remove(&self.number);
    }
}

struct Simulated;

/// An open file of one process.
struct Handle {
    disk: SharedDisk,
    name: String,
    process: u32,
}

impl VfsHandle for Handle {
    fn readonly(&self) -> bool {
        false
    }

    fn in_memory(&self) -> bool {
        false
    }
}

impl Handle {
    /// Does something to the file, if the process lives.
    fn with<T>(
        &self,
        error: i32,
        act: impl FnOnce(&mut super::Disk, &str) -> Result<T, Failed>,
    ) -> VfsResult<T> {
        let mut disk = self.disk.get();
        if disk.process != self.process {
            return Err(error);
        }
        act(&mut disk, &self.name).map_err(|failed| match failed {
            Failed::Io => error,
            Failed::Full => SQLITE_FULL,
        })
    }
}

/// The disk and the name of a file.
fn find(path: &str) -> Option<(SharedDisk, String)> {
    let path = Path::new(path.strip_prefix('/')?);
    let number = path.iter().next()?.to_str()?.parse().ok()?;
    let name = path.file_name()?.to_str()?;
    Some((disks().get(&number)?.clone(), name.to_owned()))
}

impl Vfs for Simulated {
    type Handle = Handle;

    fn open(&self, path: Option<&str>, opts: OpenOpts) -> VfsResult<Handle> {
        let (shared, name) = path.and_then(find).ok_or(SQLITE_CANTOPEN)?;
        let mut disk = shared.get();
        if let OpenMode::ReadWrite { create: CreateMode::Create | CreateMode::MustCreate } =
            opts.mode()
        {
            disk.create(&name).map_err(|_| SQLITE_CANTOPEN)?;
        }
        if !disk.exists(&name) {
            return Err(SQLITE_CANTOPEN);
        }
        let process = disk.process;
        drop(disk);
        Ok(Handle { disk: shared, name, process })
    }

    fn delete(&self, path: &str) -> VfsResult<()> {
        let (disk, name) = find(path).ok_or(SQLITE_IOERR_DELETE)?;
        disk.get().remove(&name).map_err(|_| SQLITE_IOERR_DELETE)
    }

    fn access(&self, path: &str, _: AccessFlags) -> VfsResult<bool> {
        Ok(find(path).is_some_and(|(disk, name)| disk.get().exists(&name)))
    }

    fn file_size(&self, handle: &mut Handle) -> VfsResult<usize> {
        handle.with(SQLITE_IOERR_FSTAT, |disk, name| disk.length(name))
    }

    fn truncate(&self, handle: &mut Handle, size: usize) -> VfsResult<()> {
        handle.with(SQLITE_IOERR_TRUNCATE, |disk, name| disk.cut_short(name, size))
    }

    fn write(&self, handle: &mut Handle, offset: usize, data: &[u8]) -> VfsResult<usize> {
        handle.with(SQLITE_IOERR_WRITE, |disk, name| disk.write(name, offset, data))?;
        Ok(data.len())
    }

    fn read(&self, handle: &mut Handle, offset: usize, data: &mut [u8]) -> VfsResult<usize> {
        handle.with(SQLITE_IOERR_READ, |disk, name| disk.read(name, offset, data))
    }

    fn lock(&self, _: &mut Handle, _: LockLevel) -> VfsResult<()> {
        Ok(())
    }

    fn unlock(&self, _: &mut Handle, _: LockLevel) -> VfsResult<()> {
        Ok(())
    }

    fn check_reserved_lock(&self, _: &mut Handle) -> VfsResult<bool> {
        Ok(false)
    }

    fn sync(&self, handle: &mut Handle) -> VfsResult<()> {
        handle.with(SQLITE_IOERR_FSYNC, |disk, name| disk.sync(name))
    }

    fn close(&self, handle: Handle) -> VfsResult<()> {
        // Nothing is written by it.
        drop(handle);
        Ok(())
    }

    /// As SQLite takes the disks of a Unix system to be.
    fn device_characteristics(&self, _: &mut Handle) -> VfsResult<i32> {
        Ok(SQLITE_IOCAP_POWERSAFE_OVERWRITE | SQLITE_IOCAP_SUBPAGE_READ)
    }
}
