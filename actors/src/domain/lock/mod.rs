//! Locks: leases with fencing tokens.
//!
//! What always holds, and what the tests try to break:
//! - a lock has at most one lease; it ends by its release, by its expiry, by the word of an
//!   administrator, or because nobody was ever told of it;
//! - a lease never ends by itself before an `expires` that anybody was told: extending only adds;
//! - every grant's token is greater than every earlier one, and never above the high-water mark
//!   that is on disk;
//! - expiry is an event of its own, [`Machine::on_deadline`](super::Machine::on_deadline): until it is handled the lock is
//!   held, so whatever was queued before it comes first.

mod machine;
mod tokens;

pub use machine::LockMachine;
pub use tokens::{Tokens, after_restore};

use super::{
    RecordKey,
    audit::{AuditText, Provenance},
    page::{Page, Selection},
    values::{AccountId, FencingToken, LeaseId, LockName, Metadata, Owner, Quota, Ttl},
};
use crate::time::Instant;

/// What the lock domain can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockCommand {
    /// Grant the lock if it is free; confirm it if `holder` has it.
    Acquire {
        /// Which lock.
        name: LockName,
        /// For whom.
        holder: Holder,
        /// For how long from now.
        ttl: Ttl,
        /// The lease a fresh grant gets: new, and unlike any other.
        lease: LeaseId,
        /// What others are told about it.
        metadata: Option<Metadata>,
        /// How many locks the account may hold.
        quota: Quota,
    },
    /// End a lease.
    Release {
        /// Which lock.
        name: LockName,
        /// The account that asks.
        account: AccountId,
        /// The lease it was granted.
        lease: LeaseId,
    },
    /// Extend a lease.
    Renew {
        /// Which lock.
        name: LockName,
        /// The account that asks.
        account: AccountId,
        /// The lease it was granted.
        lease: LeaseId,
        /// For how long from now.
        ttl: Ttl,
    },
    /// End the lease of whoever has it, in the name of an administrator.
    ForceRelease {
        /// Which lock.
        name: LockName,
        /// Why, for the audit log.
        reason: AuditText,
        /// Who asks.
        by: Provenance,
    },
    /// How does a lock stand?
    Get {
        /// Which lock.
        name: LockName,
    },
    /// Which locks does an account hold?
    List {
        /// The account that asks.
        account: AccountId,
        /// Which of them.
        selection: Selection,
    },
    /// How many locks does each of these hold?
    Use {
        /// The accounts.
        accounts: Vec<AccountId>,
    },
}

/// What the lock domain answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockOutcome {
    /// A new lease.
    Granted(Lease),
    /// The caller's own lease, extended.
    Confirmed(Lease),
    /// Somebody else's lease is in the way.
    Held(Lease),
    /// The account holds as many locks as it may.
    OverQuota(Quota),
    /// The store has no room for a new lease.
    NoRoom,
    /// All fencing tokens that may be given are given.
    NoToken,
    /// The lease has ended.
    Released,
    /// The account has no such lease of that lock.
    NotOwned,
    /// An administrator has ended this lease.
    ForceReleased(Lease),
    /// Nobody holds the lock.
    NotHeld,
    /// The lock as it stands: `None` is free.
    Status(Option<Lease>),
    /// The account's leases.
    Leases(Page<Lease>),
    /// How many locks each holds, in the order in which they were asked for.
    Use(Vec<usize>),
}

/// Who holds a lock. Two different owners of one account exclude each other; no owner is an
/// owner of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// Who pays for it.
    pub account: AccountId,
    /// Who in the account.
    pub owner: Option<Owner>,
}

/// One grant of one lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The lock.
    pub name: LockName,
    /// Who holds it.
    pub holder: Holder,
    /// The capability to release and renew it.
    pub id: LeaseId,
    /// The fencing token of the grant.
    pub token: FencingToken,
    /// What was asked for when `expires` was set. After a reboot the lease has all of it again.
    pub ttl: Ttl,
    /// When it ends by itself. Nobody else is granted the lock before.
    pub expires: Instant,
    /// What the holder wants others to know.
    pub metadata: Option<Metadata>,
}

/// A row of the lock domain as it must be on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockRecord {
    /// The lock is held so.
    Held(Lease),
    /// The lock is free.
    Free(LockName),
    /// No token above this one was ever granted, nor will be before a higher mark is on disk.
    TokenMark(FencingToken),
}

impl LockRecord {
    /// What the record is the state of.
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Held(lease) => RecordKey::Lock(lease.name.clone()),
            Self::Free(name) => RecordKey::Lock(name.clone()),
            Self::TokenMark(_) => RecordKey::TokenMark,
        }
    }
}
