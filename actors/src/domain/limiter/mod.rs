//! Rate limits: exact sliding windows.
//!
//! What always holds:
//! - no interval of a window's length ever holds more admitted requests than its quota, over
//!   restarts and crashes too;
//! - rounding refuses, and never admits; it is less than a thousandth of the window in time;
//! - a check answers without waiting for the disk as long as what it admits was reserved there
//!   before. After a crash, what was reserved counts as spent.

mod history;
#[expect(clippy::module_inception, reason = "one limiter, of the limiter domain")]
mod limiter;
mod machine;
mod policy;

pub use history::{Admitted, History};
pub use machine::LimitMachine;
pub use policy::{Cost, InvalidPolicy, MaxRequests, Policy, Window};

use super::{
    RecordKey,
    page::{Page, Selection},
    values::{AccountId, Quota, text},
};
use crate::time::Instant;
use std::{borrow::Borrow, fmt, sync::Arc};

/// The name of a limiter: 1 to 100 characters of any kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitName(Arc<str>);

text!(
    LimitName,
    InvalidLimitName,
    |text| (1..=100).contains(&text.chars().count()),
    "the name of a limit has 1 to 100 characters"
);

/// What the limiter domain can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitCommand {
    /// Admit some requests, all or none.
    Check {
        /// Whose.
        account: AccountId,
        /// Which.
        name: LimitName,
        /// By what rule.
        policy: Policy,
        /// How many.
        cost: Cost,
        /// How many limiters the account may have.
        quota: Quota,
    },
    /// How does a limiter stand?
    Get {
        /// Whose.
        account: AccountId,
        /// Which.
        name: LimitName,
    },
    /// Forget what a limiter has admitted.
    Delete {
        /// Whose.
        account: AccountId,
        /// Which.
        name: LimitName,
    },
    /// Which limiters does an account have?
    List {
        /// Whose.
        account: AccountId,
        /// Which of them.
        selection: Selection,
    },
    /// How many limiters does each of these have?
    Use {
        /// The accounts.
        accounts: Vec<AccountId>,
    },
}

/// What the limiter domain answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitOutcome {
    /// The requests were admitted.
    Admitted(Standing),
    /// They were not, and can be after this many seconds.
    Refused(Standing, RetryAfter),
    /// How the limiter stands.
    Status(Standing),
    /// The limiter is gone.
    Deleted,
    /// There is no such limiter.
    NotFound,
    /// The account has as many limiters as it may.
    OverQuota(Quota),
    /// The store has no room.
    NoRoom,
    /// The account's limiters.
    Limits(Page<Standing>),
    /// How many limiters each has, in the order in which they were asked for.
    Use(Vec<usize>),
}

/// How a limiter stands under its latest policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub name: LimitName,
    /// The rule of the latest check.
    pub policy: Policy,
    /// How many requests lie in the window.
    pub count: u32,
    /// How many more could be admitted.
    pub remaining: u32,
    /// When the whole quota is free again, if nobody asks.
    pub reset_at: Instant,
    /// Seconds until one more could be admitted, if none can be now.
    pub retry_after: Option<RetryAfter>,
}

/// Whole seconds, at least one, after which a caller who is alone is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetryAfter(u32);

impl RetryAfter {
    fn from(now: Instant, until: Instant) -> Self {
        let seconds = until.since(now).as_nanos().div_ceil(1_000_000_000);
        Self(u32::try_from(seconds).unwrap_or(u32::MAX).max(1))
    }

    /// As a number.
    pub const fn as_seconds(self) -> u32 {
        self.0
    }
}

/// A row of the limiter domain as it must be on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitRecord {
    /// The limiter is so.
    Reserved(Reservation),
    /// There is no such limiter.
    Gone(AccountId, LimitName),
}

/// What is on disk of a limiter: what it has admitted, and how much more it may admit before the
/// next row is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Whose.
    pub account: AccountId,
    /// Its name.
    pub name: LimitName,
    /// The rule of the latest check.
    pub policy: Policy,
    /// How long admitted requests are remembered.
    pub horizon: Window,
    /// What was admitted when the row was made, oldest first.
    pub admitted: Vec<Admitted>,
    /// How many more may have been admitted since.
    pub credit: u32,
}

impl LimitRecord {
    /// What the record is the state of.
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Reserved(row) => RecordKey::Limit(row.account, row.name.clone()),
            Self::Gone(account, name) => RecordKey::Limit(*account, name.clone()),
        }
    }
}

impl Reservation {
    /// The row as it counts after a restart at `now`: what was reserved is spent, at the latest
    /// time it can have been. After a reboot the lease clock has begun again, and nobody knows
    /// how long ago anything was: then the latest request counts as made just now.
    #[must_use]
    pub fn recovered(mut self, now: Instant, rebooted: bool) -> Self {
        // Times are rounded up: the latest may have come up to a tick before its time.
        let latest = self.admitted.last().map_or(now, |last| last.at.minus(history::TICK));
        for admitted in &mut self.admitted {
            admitted.at =
                if rebooted { now.minus(latest.since(admitted.at)) } else { admitted.at.min(now) };
        }
        if self.credit > 0 {
            self.admitted.push(Admitted { at: now, count: self.credit });
            self.credit = 0;
        }
        self
    }
}
