//! What a commit that was refused has left in the journal of an open store.
//!
//! A commit that finds no room has written as far as the room went. SQLite takes none of it back: it
//! relies on the end being missing, so that the next start takes it for nothing. But a part of the
//! last page is enough if the rest of it stands in the file already, from an earlier time. Then the
//! whole of it is there, and the next start executes what was refused.

use super::{FRAME_HEADER_BYTES, Format, HEADER_BYTES, stored_sums, word};
use crate::store::files::ReadAt;
use std::io;

/// Why a commit for which there was no room must not be told as refused.
#[derive(Debug, thiserror::Error)]
pub enum NotRefused {
    /// All of it stands in the journal.
    #[error(
        "the disk was full, and a commit stands in the journal all the same: the next start executes it"
    )]
    IsWhole,
    /// What stands in the journal cannot be read.
    #[error("the disk was full, and the journal cannot be read: {0}")]
    Unread(#[from] io::Error),
}

/// The journal of an open store, read beside SQLite.
pub struct Leftover {
    journal: Box<dyn ReadAt>,
    /// The salts of the journal whose commits are all in the main file, if that was the case once. Its
    /// frames stand there until SQLite begins it anew, and executing them changes nothing.
    spent: Option<[u8; 8]>,
}

impl Leftover {
    /// Of a journal that has nothing in it that is not in the main file.
    pub fn of(journal: Box<dyn ReadAt>) -> Self {
        Self { journal, spent: None }
    }

    /// All commits of the journal, of which there are some, are in the main file now.
    pub fn all_moved(&mut self) {
        // If it cannot be read, its frames count as those of a refused commit: the safe side.
        let format = self.format();
        self.spent = format.ok().flatten().map(|format| format.salts);
    }

    /// Refuses a whole commit behind the `frames` of those that are not in the main file yet.
    ///
    /// # Errors
    /// See [`NotRefused`].
    pub fn require_none_behind(&self, frames: u32) -> Result<(), NotRefused> {
        let Some(format) = self.format()? else { return Ok(()) };
        if frames == 0 && Some(format.salts) == self.spent {
            return Ok(());
        }
        let mut frame = vec![0; FRAME_HEADER_BYTES + format.page_bytes];
        let length = frame.len() as u64;
        let mut sums = format.sums;
        let mut at = HEADER_BYTES as u64 + u64::from(frames) * length;
        if frames > 0 {
            if !self.journal.fill(&mut frame, at - length)? {
                return Ok(());
            }
            sums = stored_sums(&frame);
        }
        while self.journal.fill(&mut frame, at)? && format.follows(sums, &frame) {
            if word(&frame, 4) != 0 {
                return Err(NotRefused::IsWhole);
            }
            sums = stored_sums(&frame);
            at += length;
        }
        Ok(())
    }

    /// What the header says, if there is one.
    fn format(&self) -> io::Result<Option<Format>> {
        let mut header = [0; HEADER_BYTES];
        let is_there = self.journal.fill(&mut header, 0)?;
        Ok(is_there.then(|| Format::read(&header)).flatten())
    }
}
