//! File systems of our own: one that loses what was not synced when its power goes, and small ones.

use crate::{Outcome, lab::run};
use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// An ext4 file system in a file, which is in memory: there is nothing that could be slow or wear out.
/// Dropping it unmounts it.
#[derive(Debug)]
pub struct Disk {
    memory: PathBuf,
    image: PathBuf,
    mounted: PathBuf,
}

/// Shuts a file system down at once, without writing its journal: `EXT4_IOC_SHUTDOWN` with
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`. From there on every write fails, and what was not on the disk never
/// comes there.
const CUT: &str = "import fcntl, os, struct, sys\n\
    folder = os.open(sys.argv[1], os.O_RDONLY)\n\
    sys.stdin.readline()\n\
    fcntl.ioctl(folder, 0x8004587D, struct.pack('I', 2))\n";

impl Disk {
    /// A new one of so many MiB, mounted in `folder`.
    ///
    /// # Errors
    /// This machine or this user cannot.
    pub fn new(folder: &Path, mebibytes: u64) -> Outcome<Self> {
        let (memory, mounted) = (folder.join("memory"), folder.join("mounted"));
        let image = memory.join("image");
        std::fs::create_dir(&memory)?;
        let size = format!("size={}m", mebibytes + 1);
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(&memory))?;
        File::create(&image)?.set_len(mebibytes << 20)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        std::fs::create_dir(&mounted)?;
        let disk = Self { memory, image, mounted };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mounted
    }

    fn mount(&self) -> Outcome<()> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mounted))?;
        Ok(())
    }

    fn unmount(&self) -> Outcome<()> {
        run(Command::new("umount").arg(&self.mounted))?;
        Ok(())
    }

    /// Cuts the power after `wait`.
    ///
    /// # Errors
    /// It is still there.
    pub fn cut_after(&self, wait: Duration) -> Outcome<()> {
        // It is there and waits, so that the instant is a matter of `wait` alone.
        let mut python = Command::new("python3")
            .args(["-c", CUT])
            .arg(&self.mounted)
            .stdin(Stdio::piped())
            .spawn()?;
        std::thread::sleep(wait);
        let written = python.stdin.take().map(|mut stdin| stdin.write_all(b"\n"));
        let status = python.wait()?;
        written.transpose()?;
        if status.success() { Ok(()) } else { Err("the power cannot be cut".into()) }
    }

    /// The power is back: the file system recovers, and holds what it held when it was cut.
    ///
    /// # Errors
    /// Somebody still uses it, or it cannot be mounted.
    pub fn restore(&self) -> Outcome<()> {
        self.unmount()?;
        self.mount()
    }

    /// Sees to it that a cut loses what was not synced, and keeps what was.
    ///
    /// # Errors
    /// It does not.
    pub fn prove(&self) -> Outcome<()> {
        let (synced, lost) = (self.mounted.join("synced"), self.mounted.join("lost"));
        for (path, sync) in [(&synced, true), (&lost, false)] {
            let mut file = File::create(path)?;
            file.write_all(b"something")?;
            if sync {
                file.sync_all()?;
                File::open(&self.mounted)?.sync_all()?;
            }
        }
        self.cut_after(Duration::ZERO)?;
        self.restore()?;
        let read = |path| std::fs::read(path).unwrap_or_default();
        if read(&synced) == b"something" && read(&lost) != b"something" {
            return Ok(());
        }
        Err("a cut does not lose what was not synced, and keep what was".into())
    }

    /// Takes all the room that is left, but for `left` bytes.
    ///
    /// # Errors
    /// There is no reason why it should not be full.
    pub fn fill(&self, left: u64) -> Outcome<()> {
        let mut file = OpenOptions::new().append(true).create(true).open(self.filler())?;
        while file.write_all(&[1; 1024]).is_ok() {}
        let length = file.metadata()?.len();
        Ok(file.set_len(length.saturating_sub(left))?)
    }

    /// Makes room again.
    ///
    /// # Errors
    /// It was not full.
    pub fn empty(&self) -> Outcome<()> {
        Ok(std::fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.mounted.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whatever fails goes with the name space.
        let _unmounted = self.unmount();
        let _forgotten = run(Command::new("umount").arg(&self.memory));
    }
}
