//! How often what happened.

use crate::disk::Counts;
use std::ops::AddAssign;

/// What a scenario, or a campaign of them, has been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Scenarios.
    pub scenarios: u64,
    /// Requests that were sent.
    pub requests: u64,
    /// Answers that arrived.
    pub answers: u64,
    /// Commits that were synced.
    pub commits: u64,
    /// Processes that were killed.
    pub kills: u64,
    /// Power cuts.
    pub cuts: u64,
    /// Reboots in good order, after the process was killed.
    pub reboots: u64,
    /// Of these three, the ones in the middle of a write or a sync.
    pub inside: u64,
    /// Servers that ended because their store failed.
    pub failures: u64,
    /// Servers that were stopped in good order.
    pub stops: u64,
    /// Starts that succeeded.
    pub starts: u64,
    /// Starts that were interrupted, or refused because the disk failed or was full.
    pub failed_starts: u64,
    /// Scenarios that ended because a start took what a failed write or sync had left for damage.
    pub refusals: u64,
    /// Disk operations that failed on purpose.
    pub faults: u64,
    /// Writes that found no room.
    pub full: u64,
    /// Answers and tokens that were judged.
    pub checks: u64,
    /// Histories of one lock, key or flag that were explained.
    pub histories: u64,
    /// Those where an explanation was looked for in vain, but not to the end.
    pub undecided: u64,
}

impl Tally {
    /// Crashes of all kinds.
    pub fn crashes(&self) -> u64 {
        self.kills + self.cuts + self.reboots + self.failures
    }

    /// Adds what happened on a disk.
    pub fn disk(&mut self, counts: Counts) {
        self.faults += counts.faults;
        self.full += counts.full;
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self {
            scenarios,
            requests,
            answers,
            commits,
            kills,
            cuts,
            reboots,
            inside,
            failures,
            stops,
            starts,
            failed_starts,
            refusals,
            faults,
            full,
            checks,
            histories,
            undecided,
        } = other;
        self.scenarios += scenarios;
        self.requests += requests;
        self.answers += answers;
        self.commits += commits;
        self.kills += kills;
        self.cuts += cuts;
        self.reboots += reboots;
        self.inside += inside;
        self.failures += failures;
        self.stops += stops;
        self.starts += starts;
        self.failed_starts += failed_starts;
        self.refusals += refusals;
        self.faults += faults;
        self.full += full;
        self.checks += checks;
        self.histories += histories;
        self.undecided += undecided;
    }
}
