//! Work that goes from thread to thread, and belongs to one of them.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

/// Work that whoever has it at the time goes on with, until it is over.
pub(crate) enum Work<W> {
    /// There is more to do.
    GoesOn(Box<W>),
    /// There is nothing left of it.
    Over,
    /// It panicked, with this, on whichever thread. Nothing of it is used any more.
    Panicked(Box<dyn Any + Send>),
}

impl<W> Work<W> {
    pub(crate) fn new(work: W) -> Self {
        Self::GoesOn(Box::new(work))
    }

    /// The work, unless it is over.
    pub(crate) fn get(&self) -> Option<&W> {
        match self {
            Self::GoesOn(work) => Some(work),
            Self::Over | Self::Panicked(_) => None,
        }
    }

    /// The same.
    pub(crate) fn get_mut(&mut self) -> Option<&mut W> {
        match self {
            Self::GoesOn(work) => Some(work),
            Self::Over | Self::Panicked(_) => None,
        }
    }

    /// Does something of it; `None` if it was over already, or ends with this.
    ///
    /// A panic is no matter of whoever happened to have it: it is kept, and goes on at [`Work::end`], on the
    /// thread that the work belongs to. That wakes because the mailbox is dropped with the work.
    pub(crate) fn have<T>(&mut self, something: impl FnOnce(&mut W) -> T) -> Option<T> {
        let work = self.get_mut()?;
        match catch_unwind(AssertUnwindSafe(|| something(work))) {
            Ok(done) => Some(done),
            Err(panic) => {
                *self = Self::Panicked(panic);
                None
            }
        }
    }

    /// Takes it, and leaves it over.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Over)
    }

    /// Ends it, and gives back what is left of it: for the thread that it belongs to.
    ///
    /// # Panics
    /// If it has.
    pub(crate) fn end(self) -> Option<W> {
        match self {
            Self::GoesOn(work) => Some(*work),
            Self::Over => None,
            Self::Panicked(panic) => resume_unwind(panic),
        }
    }
}
