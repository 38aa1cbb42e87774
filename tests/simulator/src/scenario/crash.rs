//! How servers end, and how they come back.

use super::{Ending, Step, World};
use crate::{
    breaks::Break,
    oracle::{End, Ended, Promise, Violation, require},
    server::{Domain, NotStarted, NotStopped, Server},
};
use octostore::clock::BootId;
use octostore_actors::domain::account::AccountRecord;
use std::time::Duration;

/// After so many starts that came to nothing, the next one is left in peace.
const HARD_STARTS: usize = 3;

impl World {
    /// The process dies here and now; perhaps the machine with it.
    pub(super) fn crash(&mut self) -> Step {
        self.lose_server(Ended::Crashed);
        self.misfortune();
        self.bring_up()
    }

    /// The store has failed: the persistence actor ends, the actors live on for a moment, and then
    /// the process ends.
    pub(super) fn fail(&mut self) -> Step {
        let Some(server) = self.server.take() else { return Ok(()) };
        let mut actors = server.without_journal();
        for _ in 0..self.dice.below(4) {
            let domain = *self.dice.pick(&Domain::ALL);
            let turned = actors.turn(domain);
            self.turned(domain, turned);
        }
        for index in (0..self.pending.len()).rev() {
            self.deliver(index, true)?;
        }
        self.mounted.disk().get().kill();
        drop(actors);
        self.lose_server(Ended::Crashed);
        self.misfortune();
        self.bring_up()
    }

    /// The server is stopped in good order, and started again.
    pub(super) fn stop(&mut self) -> Step {
        if self.server.is_none() {
            return Ok(());
        }
        // Connections are drained for a while; whoever still waits then is hung up on.
        for _ in 0..self.dice.below(3) {
            self.flow()?;
        }
        while !self.pending.is_empty() {
            self.hang_up(self.pending.len() - 1);
        }
        while !self.under_way.is_empty() {
            self.lose(self.under_way.len() - 1);
        }
        let Some(server) = self.server.take() else { return Ok(()) };
        // Whatever was queued is handled, in the last turns.
        for domain in Domain::ALL {
            self.oracle.turned(domain, self.time.now());
        }
        let stopped = server.stop();
        self.trace.note(format_args!("stopped: {}", stopped.is_ok()));
        let died = !self.mounted.disk().get().is_alive();
        match stopped {
            Ok(()) if !died => {
                self.tally.stops += 1;
                let well = self.disk_was_well();
                self.lose_server(if well { Ended::Stopped } else { Ended::StoppedShort });
                if self.dice.one_in(3) {
                    self.power_off();
                }
            }
            Err(NotStopped::Hangs(domain)) if !died => {
                let what = format!("the actor of {domain:?} does not end");
                return Err(Violation::new(Promise::OneOutcome, what).into());
            }
            Ok(()) | Err(_) => {
                self.lose_server(Ended::Crashed);
                self.misfortune();
            }
        }
        self.bring_up()
    }

    /// Nothing of the server is left. Whoever waits has lost it.
    pub(super) fn lose_server(&mut self, ended: Ended) {
        // Before anything is dropped: what it does while it goes reaches nothing.
        self.mounted.disk().get().kill();
        self.oracle.ended(ended);
        // The waits first: an answer that comes of the rest going reaches nobody.
        self.pending.clear();
        self.under_way.clear();
        self.server = None;
    }

    /// What happens to the machine when a server has died.
    fn misfortune(&mut self) {
        if self.dice.below(8) < 3 {
            self.tally.kills += 1;
            self.trace.note(format_args!("killed"));
            self.pass(1..=4_000);
        } else {
            self.power_off();
        }
    }

    /// The machine goes down, mostly without warning.
    fn power_off(&mut self) {
        if self.dice.below(5) < 4 {
            self.tally.cuts += 1;
            self.trace.note(format_args!("the power goes"));
            self.mounted.disk().get().cut_power();
        } else {
            self.tally.reboots += 1;
            self.trace.note(format_args!("reboots"));
            self.mounted.disk().get().shut_down();
        }
        self.reboot();
    }

    fn reboot(&mut self) {
        let longest = *self.dice.pick(&[50, 1_000, 5_000, 100_000, 7_200_000]);
        let off = self.dice.within(1..=longest);
        let latest = *self.dice.pick(&[100, 5_000, 60_000]);
        let up = self.dice.within(1..=latest);
        self.time.reboot(Duration::from_millis(off), Duration::from_millis(up));
        self.tried.clear();
        self.new_boot = true;
        self.time_moved();
    }

    /// Starts a server, however often it takes.
    pub(super) fn bring_up(&mut self) -> Step {
        for tries in 0.. {
            self.disturb(tries);
            let before = self.mounted.disk().get().counts();
            let started = self.start();
            let (alive, after) = {
                let disk = self.mounted.disk().get();
                (disk.is_alive(), disk.counts())
            };
            match started {
                Ok(server) if alive => {
                    self.trace.note(format_args!("{:?} a server starts", self.time.now()));
                    self.server = Some(server);
                    return self.look_around();
                }
                Ok(server) => {
                    self.mounted.disk().get().kill();
                    drop(server);
                }
                Err(error) => {
                    let text = self.plain(&error);
                    self.trace.note(format_args!("no start: {text}"));
                    if is_damage(&error) && self.is_excused(&text) {
                        self.tally.refusals += 1;
                        return Err(Ending::Refused);
                    }
                    let disturbed = after.faults > before.faults || after.full > before.full;
                    require(disturbed || !alive, Promise::Recovery, || {
                        format!("nothing is wrong with the disk, and a start says: {text}")
                    })?;
                    if alive {
                        require(!is_damage(&error), Promise::Recovery, || {
                            format!("a disk that fails is taken for damage: {text}")
                        })?;
                        self.mend();
                    }
                }
            }
            self.tally.failed_starts += 1;
            self.mounted.disk().get().kill();
            if !alive {
                self.tally.inside += 1;
                self.misfortune();
            } else if self.dice.one_in(4) {
                self.power_off();
            }
        }
        Ok(())
    }

    /// Tries once to start a server.
    pub(super) fn start(&mut self) -> Result<Server, NotStarted> {
        self.mounted.disk().get().revive();
        self.tried.push(self.time.now());
        let (setup, path) = (&self.plan.setup, self.mounted.path());
        Server::start(setup, &self.files, &path, &self.boot(), &self.time.clocks())
    }

    /// What a start says, wherever this scenario's disk is mounted.
    pub(super) fn plain(&self, error: &NotStarted) -> String {
        error.to_string().replace(&*self.mounted.path().to_string_lossy(), "db")
    }

    /// Whether damage may be seen where there is none. What a failed sync did not write no later one
    /// writes either. And what was in the place of an interrupted write may differ from it in one
    /// bit: then nobody can say that it was interrupted.
    fn is_excused(&self, text: &str) -> bool {
        let counts = self.mounted.disk().get().counts();
        counts.failed_syncs > 0 || text.contains("has a wrong bit")
    }

    fn boot(&self) -> BootId {
        match self.broken {
            Some(Break::SameBoot) => BootId::named("the only boot"),
            Some(Break::NewBoot) => BootId::named(&format!("server {}", self.tally.starts)),
            Some(_) | None => self.time.boot(),
        }
    }

    /// Some starts are interrupted, or meet a disk that fails.
    fn disturb(&mut self, tries: usize) {
        if tries >= HARD_STARTS {
            self.mend();
        } else if self.dice.one_in(self.plan.hard_starts) {
            if self.dice.one_in(4) {
                self.trap();
            } else {
                let operations = u32::try_from(self.dice.within(0..=40)).unwrap_or(0);
                self.trace.note(format_args!("dies after {operations} operations"));
                self.mounted.disk().get().die_after(operations);
            }
        }
    }

    /// A server has started: everything that was told must be found, before anything expires.
    fn look_around(&mut self) -> Step {
        let before = self.oracle.lives.last().map(|life| life.ended);
        self.serves();
        if self.tally.starts == 1 {
            self.introduce();
        }
        let asks = self.clients.look(&self.plan, self.wall());
        self.ask_together(asks);
        for domain in Domain::ALL {
            self.turn(domain)?;
        }
        self.deliver_all()?;
        if let Some(pending) = self.pending.first() {
            let ask = &self.oracle.requests[pending.request].ask;
            return Err(Violation::new(
                Promise::OneOutcome,
                format!("what is on disk is not told at once: {ask:?}"),
            )
            .into());
        }
        for index in 0..self.clients.wallet.len() {
            self.present(index)?;
        }
        self.read_audit()?;
        match before {
            Some(Ended::Crashed) => self.tally.recovered = 1,
            // Whatever reached nobody came back before it stopped.
            Some(Ended::Stopped) => self.no_ghosts()?,
            Some(Ended::StoppedShort | Ended::Runs) | None => {}
        }
        Ok(())
    }

    /// A server has started.
    pub(super) fn serves(&mut self) {
        self.mounted.disk().get().die_after(u32::MAX);
        self.tally.starts += 1;
        let now = self.stamp();
        let tried = std::mem::take(&mut self.tried);
        let recovered = std::mem::take(&mut self.new_boot).then_some(tried);
        let booted = self.time.truth_of(octostore_actors::time::Instant::default());
        self.oracle.started(booted, recovered, now);
    }

    /// Whether nothing has been wrong with the disk so far.
    fn disk_was_well(&self) -> bool {
        let counts = self.mounted.disk().get().counts();
        counts.faults == 0 && counts.full == 0
    }

    /// The accounts and tokens that are there from the beginning are known to all.
    fn introduce(&mut self) {
        let now = self.stamp();
        let first = self.plan.setup.first.clone();
        for record in &first {
            if let AccountRecord::Token(token) = record
                && let Some(account) = first.iter().find_map(|record| match record {
                    AccountRecord::Account(account) if account.id == token.account => Some(account),
                    AccountRecord::Account(_)
                    | AccountRecord::Token(_)
                    | AccountRecord::NoToken(_) => None,
                })
            {
                self.oracle.tokens.given(account, token, now);
            }
        }
    }

    /// Whoever waits hangs up.
    pub(super) fn all_hang_up(&mut self) {
        while !self.pending.is_empty() {
            self.hang_up(self.pending.len() - 1);
        }
        while !self.under_way.is_empty() {
            self.lose(self.under_way.len() - 1);
        }
        debug_assert!(self.oracle.requests.iter().all(|request| request.end != End::Waits));
    }
}

fn is_damage(error: &NotStarted) -> bool {
    use octostore::store::OpenError;
    matches!(
        error,
        NotStarted::Open(
            OpenError::Damaged { .. } | OpenError::Foreign { .. } | OpenError::Newer { .. }
        )
    )
}
