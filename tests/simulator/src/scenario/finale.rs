//! The end of a scenario: everything comes to rest, and what must be true then is.

use super::{Step, World};
use crate::{
    oracle::{End, Promise, Violation, require},
    server::{Answer, Ask},
};
use octostore_actors::domain::lock::{LockCommand, LockOutcome};
use std::time::Duration;

/// Longer than it takes until the store is asked again whether it has room.
const ROOM_RETRY: Duration = Duration::from_millis(1_100);

/// Longer than nothing expires after a stall, and no stall.
const GRACE: Duration = Duration::from_millis(110);

/// Longer than any lease and any window.
const LONG: Duration = Duration::from_secs(4_000);

impl World {
    /// Brings everything to rest.
    pub(super) fn finish(&mut self) -> Step {
        self.mend();
        self.mounted.disk().get().die_after(u32::MAX);
        // Some hang up, the others are answered.
        for index in (0..self.pending.len()).rev() {
            if self.dice.one_in(2) {
                self.hang_up(index);
            }
        }
        for index in (0..self.under_way.len()).rev() {
            if self.dice.one_in(2) {
                self.lose(index);
            }
        }
        self.settle()?;
        if let Some(pending) = self.pending.first() {
            let ask = &self.oracle.requests[pending.request].ask;
            return Err(Violation::new(
                Promise::OneOutcome,
                format!("#{} is not answered: {ask:?}", pending.request),
            )
            .into());
        }
        self.no_ghosts()?;
        self.read_audit()?;
        // No scenario is without a crash.
        if self.tally.recovered == 0 || self.dice.one_in(2) {
            self.crash()?
        } else {
            self.stop()?
        }
        self.mend();
        self.read_audit()?;
        // Whatever is left ends by itself.
        self.time.pass(LONG);
        self.time_moved();
        self.settle()?;
        for (name, held) in self.held()? {
            require(held.is_none(), Promise::Time, || {
                format!("{name} is still held, long after its time: {held:?}")
            })?;
        }
        self.all_hang_up();
        Ok(())
    }

    /// Goes on until nothing is left to be done.
    fn settle(&mut self) -> Step {
        for span in [ROOM_RETRY, GRACE, GRACE] {
            self.flow()?;
            self.time.pass(span);
            self.time_moved();
        }
        self.flow()
    }

    /// Every lock that is held is known to somebody.
    pub(super) fn no_ghosts(&mut self) -> Step {
        for (name, held) in self.held()? {
            if let Some(lease) = held {
                self.oracle.rests(&name, &lease)?;
            }
        }
        Ok(())
    }

    /// How every lock stands.
    fn held(&mut self) -> Step<Vec<(String, Option<octostore_actors::domain::lock::Lease>)>> {
        let names = self.plan.locks.clone();
        let asks = names.iter().map(|name| LockCommand::Get { name: name.clone() });
        let asks = asks.map(|command| (super::clients::PEEK, Ask::Lock(command))).collect();
        let requests = self.ask_together(asks);
        self.flow()?;
        let mut all = Vec::new();
        for (name, request) in names.iter().zip(requests) {
            let end = &self.oracle.requests[request].end;
            let End::Told(Answer::Lock(LockOutcome::Status(lease)), _) = end else {
                let what = format!("{name} has no status: {end:?}");
                return Err(Violation::new(Promise::OneOutcome, what).into());
            };
            all.push((name.to_string(), lease.clone()));
        }
        Ok(all)
    }
}
