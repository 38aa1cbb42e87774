//! A disk in memory that loses what was not synced.
//!
//! Every file is there twice: as processes see it, and as it lies on the platter. What was written
//! since the last sync is on its way between the two; [`cut`] says what becomes of it when the
//! power goes. [`trap`] makes the next operations fail. SQLite reaches the disk through [`vfs`],
//! the store through [`files`].
//!
//! What it takes for granted, as file systems with an ordered journal of their metadata have it
//! (ext4, xfs, btrfs):
//! - a file that was synced once is in its folder; a file that was removed stays removed once
//!   anything was synced afterwards;
//! - what was written into a file after it was cut short is not there unless it was cut short;
//! - a sector of 512 bytes is written whole or not at all, unless it is part of a longer write:
//!   then it may hold zeros or garbage, within the bytes that were being written. Where a file is
//!   being made longer it is never garbage: nobody is shown what was there before. The first sector
//!   of a file is always whole: it is what a file is known by;
//! - a write of up to a page is made whole, or not at all, when its process is killed; one that
//!   fails, or finds no room, may end at the end of a page.

mod cut;
mod files;
mod trap;
mod vfs;

pub use files::SimulatedFiles;
pub use trap::{Kind, Trap, Trouble};
pub use vfs::Mounted;

use crate::dice::Dice;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What the kernel handles at once.
const PAGE: usize = 4096;

/// A disk that several hold on to: the scenario, SQLite, and the store's files.
#[derive(Clone, Debug)]
pub struct SharedDisk(Arc<Mutex<Disk>>);

impl SharedDisk {
    /// Shares `disk`.
    pub fn new(disk: Disk) -> Self {
        Self(Arc::new(Mutex::new(disk)))
    }

    /// The disk itself.
    pub fn get(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What lies on a disk that nobody is writing to: its files, by name.
pub type Image = BTreeMap<String, Vec<u8>>;

/// How a disk treats a sync: truly, or as a negative control has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syncs {
    /// It does what it says.
    #[default]
    Honest,
    /// Says that it is done, and does nothing.
    Ignored,
    /// The same for journals, until the main file is written: `synchronous=NORMAL`.
    JournalLate,
}

/// How often something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Writes, of any length.
    pub writes: u64,
    /// Syncs that succeeded.
    pub syncs: u64,
    /// Syncs of a journal that succeeded: at least as many as commits.
    pub journal_syncs: u64,
    /// Operations that failed on purpose.
    pub faults: u64,
    /// Of these, syncs: since then the disk may not hold what processes see.
    pub failed_syncs: u64,
    /// Writes that found no room.
    pub full: u64,
}

/// The disk of one machine.
#[derive(Debug)]
pub struct Disk {
    files: BTreeMap<String, File>,
    /// Removed, and nothing was synced since: a power cut may bring them back.
    removed: Vec<(String, File)>,
    dice: Dice,
    syncs: Syncs,
    /// The process that uses the disk; whoever is left of an earlier one reaches nothing.
    process: u32,
    alive: bool,
    trap: Option<Trap>,
    /// The process dies at this operation, counted from here.
    dies_after: Option<u32>,
    /// How many bytes all files may have together.
    room: Option<usize>,
    counts: Counts,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The device says no, or the process is no more.
    Io,
    /// There is no room.
    Full,
}

#[derive(Debug, Default)]
struct File {
    /// As processes see it.
    seen: Vec<u8>,
    /// As it is after a power cut, if nothing of `pending` makes it.
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// Whether the folder knows it, after a power cut too.
    linked: bool,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Box<[u8]> },
    Cut(usize),
}

impl Disk {
    /// A disk with these files, synced.
    pub fn new(image: &Image, dice: Dice, syncs: Syncs) -> Self {
        let file = |content: &Vec<u8>| File {
            seen: content.clone(),
            durable: content.clone(),
            pending: Vec::new(),
            linked: true,
        };
        Self {
            files: image.iter().map(|(name, content)| (name.clone(), file(content))).collect(),
            removed: Vec::new(),
            dice,
            syncs,
            process: 0,
            alive: true,
            trap: None,
            dies_after: None,
            room: None,
            counts: Counts::default(),
        }
    }

    /// What processes see, file by file.
    pub fn image(&self) -> Image {
        self.files.iter().map(|(name, file)| (name.clone(), file.seen.clone())).collect()
    }

    /// How often what happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether the process that uses it lives.
    pub fn is_alive(&self) -> bool {
        self.alive
    }

    /// The process ends: what it still does reaches nothing.
    pub fn kill(&mut self) {
        self.alive = false;
        self.dies_after = None;
    }

    /// Another process uses the disk.
    pub fn revive(&mut self) {
        self.alive = true;
        self.process += 1;
    }

    /// How many bytes all files have together.
    pub fn used(&self) -> usize {
        self.files.values().map(|file| file.seen.len()).sum()
    }

    /// From now on there is room for so many bytes; `None` is without end.
    pub fn set_room(&mut self, room: Option<usize>) {
        self.room = room;
    }

    /// Whether there is an end to the room.
    pub fn is_bounded(&self) -> bool {
        self.room.is_some()
    }

    fn exists(&self, name: &str) -> bool {
        self.alive && self.files.contains_key(name)
    }

    fn create(&mut self, name: &str) -> Result<(), Failed> {
        self.check_alive()?;
        if !self.files.contains_key(name) {
            self.files.insert(name.to_owned(), File::default());
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), Failed> {
        self.check_alive()?;
        let file = self.files.remove(name).ok_or(Failed::Io)?;
        self.removed.push((name.to_owned(), file));
        Ok(())
    }

    /// A file is gone for good, whoever has written it.
    pub fn lose(&mut self, name: &str) {
        self.files.remove(name);
    }

    fn length(&self, name: &str) -> Result<usize, Failed> {
        self.check_alive()?;
        self.files.get(name).map(|file| file.seen.len()).ok_or(Failed::Io)
    }

    /// Fills `buffer` as far as the file goes; returns how far that is.
    fn read(&self, name: &str, at: usize, buffer: &mut [u8]) -> Result<usize, Failed> {
        self.check_alive()?;
        let seen = &self.files.get(name).ok_or(Failed::Io)?.seen;
        let from = &seen[at.min(seen.len())..];
        let length = from.len().min(buffer.len());
        buffer[..length].copy_from_slice(&from[..length]);
        Ok(length)
    }

    fn write(&mut self, name: &str, at: usize, bytes: &[u8]) -> Result<(), Failed> {
        self.check_alive()?;
        self.counts.writes += 1;
        let failed = self.strike(Kind::Write);
        let length = self.length(name)?;
        let growth = (at + bytes.len()).saturating_sub(length);
        let most = self.room.map(|room| length + room.saturating_sub(self.used()));
        let fits = most.is_none_or(|most| growth == 0 || at + bytes.len() <= most);
        // Some pages of it may be there.
        let whole_pages = |end: usize| (end / PAGE * PAGE).saturating_sub(at).min(bytes.len());
        let (written, failed) = match failed {
            Some(failed) if !self.alive && bytes.len() <= PAGE => {
                (if self.dice.one_in(2) { bytes.len() } else { 0 }, Some(failed))
            }
            Some(failed) => (whole_pages(at + self.dice.below(bytes.len() + 1)), Some(failed)),
            None if !fits => {
                self.counts.full += 1;
                (whole_pages(most.unwrap_or(length)), Some(Failed::Full))
            }
            None => (bytes.len(), None),
        };
        if self.syncs == Syncs::JournalLate && !name.ends_with("-wal") {
            self.files
                .iter_mut()
                .filter(|(name, _)| name.ends_with("-wal"))
                .for_each(|(_, file)| file.sync());
        }
        let file = self.files.get_mut(name).ok_or(Failed::Io)?;
        if written > 0 {
            file.write(at, &bytes[..written]);
        }
        failed.map_or(Ok(()), Err)
    }

    fn cut_short(&mut self, name: &str, length: usize) -> Result<(), Failed> {
        self.check_alive()?;
        let failed = self.strike(Kind::Truncate);
        let done = failed.is_none() || self.dice.one_in(2);
        let file = self.files.get_mut(name).ok_or(Failed::Io)?;
        if done {
            file.seen.resize(length, 0);
            file.pending.push(Change::Cut(length));
        }
        failed.map_or(Ok(()), Err)
    }

    fn sync(&mut self, name: &str) -> Result<(), Failed> {
        self.check_alive()?;
        let failed = self.strike(Kind::Sync);
        let Self { files, removed, dice, syncs, counts, alive, .. } = self;
        let file = files.get_mut(name).ok_or(Failed::Io)?;
        let is_journal = name.ends_with("-wal");
        match failed {
            // The machine was at it when the process died: it goes on with it, or the power goes.
            Some(failed) if !*alive => return Err(failed),
            Some(failed) => {
                counts.failed_syncs += 1;
                file.sync_badly(dice);
                return Err(failed);
            }
            None => {}
        }
        counts.syncs += 1;
        counts.journal_syncs += u64::from(is_journal);
        match syncs {
            Syncs::Ignored => {}
            Syncs::JournalLate if is_journal => {}
            Syncs::Honest | Syncs::JournalLate => {
                file.sync();
                removed.clear();
            }
        }
        Ok(())
    }

    /// What is seen of a file that need not be written any more is what lies on the disk.
    fn forget(&mut self, name: &str) -> Result<(), Failed> {
        self.check_alive()?;
        self.files.get_mut(name).ok_or(Failed::Io)?.forget();
        Ok(())
    }

    fn check_alive(&self) -> Result<(), Failed> {
        if self.alive { Ok(()) } else { Err(Failed::Io) }
    }
}

impl File {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        put(&mut self.seen, at, bytes);
        self.pending.push(Change::Write { at, bytes: bytes.into() });
    }

    /// Shows what is durable, if nothing is on its way. The file is as long as it was seen to be.
    fn forget(&mut self) {
        if self.pending.is_empty() {
            let length = self.seen.len();
            self.seen.clone_from(&self.durable);
            self.seen.resize(length, 0);
        }
    }

    /// Everything seen is durable.
    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
        self.linked = true;
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => put(content, *at, bytes),
            Self::Cut(length) => content.resize(*length, 0),
        }
    }
}

/// Writes `bytes` at `at`; what is skipped is zero.
fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}
