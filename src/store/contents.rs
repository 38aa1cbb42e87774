//! What a file says, row by row, each of them checked; and what rows must be true of each other.

use super::{account, boot as boot_row, config, flag, limiter, lock, row::BadRow};
use crate::clock::BootId;
use octostore_actors::domain::{
    account::{Account, Token},
    config::Entry,
    flag::Flag,
    limiter::Reservation,
    lock::Lease,
    values::FencingToken,
};
use rusqlite::Connection;
use std::collections::HashSet;

/// Everything in a file but the audit log, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The boot that its lease clock belongs to.
    pub boot: BootId,
    /// No fencing token above this was ever granted.
    pub mark: FencingToken,
    /// The leases.
    pub leases: Vec<Lease>,
    /// The rate limiters.
    pub limits: Vec<Reservation>,
    /// The flags.
    pub flags: Vec<Flag>,
    /// All versions of the config keys, those of one key in their order.
    pub config: Vec<Entry>,
    /// The accounts.
    pub accounts: Vec<Account>,
    /// Their bearer tokens, by their hashes.
    pub tokens: Vec<Token>,
}

/// What no file of ours says.
#[derive(Debug, thiserror::Error)]
pub enum Contradiction {
    /// A row by itself.
    #[error(transparent)]
    Row(#[from] BadRow),
    /// A token was granted that the mark knows nothing of.
    #[error("a fencing token is above the mark")]
    TokenAboveMark,
    /// Two rows of what there is one of.
    #[error("two locks have one fencing token")]
    TokenTwice,
    /// Whose is it?
    #[error("a lock or a token is of an account that is not")]
    NoAccount,
}

impl From<rusqlite::Error> for Contradiction {
    fn from(error: rusqlite::Error) -> Self {
        Self::Row(error.into())
    }
}

impl Contents {
    /// Reads and checks all of it.
    ///
    /// # Errors
    /// SQLite cannot read it, or it says what no server wrote.
    pub fn read(connection: &Connection) -> Result<Self, Contradiction> {
        let contents = Self {
            boot: boot_row::of(connection)?,
            mark: lock::token_mark(connection)?,
            accounts: account::accounts(connection)?,
            tokens: account::tokens(connection)?,
            leases: lock::leases(connection)?,
            limits: limiter::reservations(connection)?,
            flags: flag::flags(connection)?,
            config: config::entries(connection)?,
        };
        contents.verify()?;
        Ok(contents)
    }

    /// Checks what rows must be true of each other.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn verify(&self) -> Result<(), Contradiction> {
        let mut granted = HashSet::new();
        for lease in &self.leases {
            if lease.token > self.mark {
                return Err(Contradiction::TokenAboveMark);
            }
            if !granted.insert(lease.token.get()) {
                return Err(Contradiction::TokenTwice);
            }
        }
        let known: HashSet<_> = self.accounts.iter().map(|account| account.id).collect();
        let held_by = self.leases.iter().map(|lease| lease.holder.account);
        let opened_by = self.tokens.iter().map(|token| token.account);
        if held_by.chain(opened_by).all(|account| known.contains(&account)) {
            Ok(())
        } else {
            Err(Contradiction::NoAccount)
        }
    }
}
