//! The last that can happen to a disk: it loses the journal, and with it commits that were told. No
//! fencing token may come again all the same, because the mark is in the main file.

use super::{Step, World, clients::PEEK};
use crate::{
    oracle::{End, Ended, Promise, Violation, require},
    server::{Answer, Ask},
};
use octostore_actors::domain::lock::LockOutcome;

impl World {
    /// Grants go on for a while; then the process dies, and the journal is gone. Nothing else is
    /// asked afterwards but for one more grant. Nothing must be wrong with the disk, and no lock
    /// held.
    pub(super) fn lose_journal(&mut self) -> Step {
        for _ in 0..self.dice.within(1..=20) {
            for ask in self.clients.take_and_release(&self.plan).into_iter().flatten() {
                self.ask(PEEK, Ask::Lock(ask))?;
                self.flow()?;
            }
        }
        self.lose_server(Ended::Crashed);
        self.mounted.disk().get().shut_down();
        self.mounted.disk().get().lose("db-wal");
        self.trace.note(format_args!("the journal is lost"));
        match self.start() {
            Ok(server) => self.server = Some(server),
            Err(error) => {
                let what = format!("without its journal no server starts: {}", self.plain(&error));
                return Err(Violation::new(Promise::Recovery, what).into());
            }
        }
        self.serves();
        self.tally.lost_journals += 1;
        let asked = self.oracle.requests.len();
        let Some(ask) = self.clients.take_another() else { return Ok(()) };
        self.ask(PEEK, Ask::Lock(ask))?;
        self.flow()?;
        // The grant itself was judged when it was told.
        let end = &self.oracle.requests[asked].end;
        let fair = matches!(
            end,
            End::Told(Answer::Lock(LockOutcome::Granted(_) | LockOutcome::NoToken), _)
        );
        require(fair, Promise::OneOutcome, || {
            format!("a lock that nobody holds is not granted: {end:?}")
        })?;
        Ok(())
    }
}
