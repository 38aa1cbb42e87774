//! How often what happened.

use crate::{disk::Counts, server::Answer};
use octostore_actors::domain::{
    account::AccountOutcome, config::ConfigOutcome, flag::FlagOutcome, limiter::LimitOutcome,
    lock::LockOutcome,
};
use std::ops::AddAssign;

/// A struct of counters that can be added up.
macro_rules! counters {
    ($(#[$about:meta])* pub struct $name:ident { $($(#[$doc:meta])* $counter:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $counter: u64,)*
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                $(self.$counter += other.$counter;)*
            }
        }
    };
}

counters! {
    /// What a scenario, or a campaign of them, has been through.
    pub struct Tally {
        /// Scenarios.
        scenarios,
        /// Scenarios in which a server died, another one started on what was left, and everything
        /// that had been told was looked for.
        recovered,
        /// Requests that were sent.
        requests,
        /// Answers that arrived.
        answers,
        /// Commits that were synced.
        commits,
        /// Servers that were killed, and the machine ran on.
        kills,
        /// Power cuts.
        cuts,
        /// Reboots in good order, after the server was killed or had stopped.
        reboots,
        /// Servers, running or starting, that died in the middle of a write, a sync or a cut.
        inside,
        /// Servers that ended because their store failed.
        failures,
        /// Servers that were stopped in good order.
        stops,
        /// Starts that succeeded.
        starts,
        /// Starts that were interrupted, or refused because the disk failed or was full.
        failed_starts,
        /// Scenarios that ended because a start took what a failed write or sync had left for
        /// damage.
        refusals,
        /// Disk operations that failed on purpose.
        faults,
        /// Writes that found no room.
        full,
        /// Journals that were lost, where a server started without.
        lost_journals,
        /// Times the wall clock was set.
        jumps,
        /// Times when nothing ran for seconds.
        stalls,
        /// Clients that hung up, or never got their answer.
        hang_ups,
        /// Grants and confirmations of leases that were told.
        grants,
        /// Checks of limits that were told.
        limit_checks,
        /// Requests that were refused because of a quota or a full mailbox.
        bounded,
        /// Bearer tokens that were presented.
        presented,
        /// Readings of the audit log.
        audits,
        /// Answers, tokens and readings that were judged.
        checks,
        /// Histories of one lock, key or flag that were explained.
        histories,
        /// Those where an explanation was looked for in vain, but not to the end.
        undecided,
    }
}

impl Tally {
    /// Machines and processes that went down.
    pub fn crashes(&self) -> u64 {
        self.kills + self.cuts + self.reboots
    }

    /// Adds an answer that was told.
    pub fn answer(&mut self, answer: &Answer) {
        match answer {
            Answer::Lock(LockOutcome::Granted(_) | LockOutcome::Confirmed(_)) => self.grants += 1,
            Answer::Limit(LimitOutcome::Admitted(_) | LimitOutcome::Refused(..)) => {
                self.limit_checks += 1;
            }
            Answer::Lock(LockOutcome::OverQuota(_))
            | Answer::Limit(LimitOutcome::OverQuota(_))
            | Answer::Flag(FlagOutcome::OverQuota(_))
            | Answer::Config(ConfigOutcome::OverQuota(_))
            | Answer::Account(AccountOutcome::OverQuota(_)) => self.bounded += 1,
            Answer::Lock(_)
            | Answer::Limit(_)
            | Answer::Flag(_)
            | Answer::Config(_)
            | Answer::Account(_) => {}
        }
    }

    /// Adds what happened on a disk.
    pub fn disk(&mut self, counts: Counts) {
        self.faults += counts.faults;
        self.full += counts.full;
    }
}
