//! Operations that fail, and the operation at which a process dies.

use super::{Disk, Failed};

/// What kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A write.
    Write,
    /// A sync.
    Sync,
    /// Cutting a file short.
    Truncate,
}

/// What happens to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The device fails this once.
    Once,
    /// The device fails from here on, until it is looked after.
    Always,
    /// There was no room for it, this once. As on a real system, a sync never says so.
    Full,
    /// There is no room for any write from here on, until it is looked after: some file systems
    /// need room to write over what is there, too.
    StaysFull,
}

/// The operation that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap {
    /// How many like it go well before.
    pub after: u32,
    /// Of what kind; `None` is any.
    pub kind: Option<Kind>,
    /// How.
    pub trouble: Trouble,
}

impl Disk {
    /// Lets an operation to come fail.
    pub fn set_trap(&mut self, trap: Trap) {
        self.trap = Some(trap);
    }

    /// No operation fails any more.
    pub fn clear_trap(&mut self) {
        self.trap = None;
    }

    /// Whether an operation is to fail.
    pub fn is_trapped(&self) -> bool {
        self.trap.is_some()
    }

    /// Lets the process die at an operation to come: so many go well before.
    pub fn die_after(&mut self, operations: u32) {
        self.dies_after = Some(operations);
    }

    /// What becomes of the next operation of this kind, if it does not go well.
    pub(super) fn strike(&mut self, kind: Kind) -> Option<Failed> {
        match &mut self.dies_after {
            Some(0) => {
                self.kill();
                return Some(Failed::Io);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let trap = self.trap.as_mut()?;
        let full = matches!(trap.trouble, Trouble::Full | Trouble::StaysFull);
        let full_sync = full && kind != Kind::Write;
        if trap.kind.is_some_and(|only| only != kind) || full_sync {
            return None;
        }
        if trap.after > 0 {
            trap.after -= 1;
            return None;
        }
        let failed = match trap.trouble {
            Trouble::Once => Failed::Io,
            Trouble::Always => {
                self.counts.faults += 1;
                return Some(Failed::Io);
            }
            Trouble::StaysFull => {
                self.counts.full += 1;
                return Some(Failed::Full);
            }
            Trouble::Full => Failed::Full,
        };
        self.counts.faults += 1;
        self.trap = None;
        Some(failed)
    }
}
