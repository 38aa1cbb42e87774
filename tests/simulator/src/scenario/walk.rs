//! One step after the other, as chance has it.

use super::{Step as Done, World, plan::Step};
use crate::{
    disk::{Kind, Trap, Trouble},
    oracle::{Promise, RequestId, Violation},
    server::{Ask, Domain},
};
use octostore_actors::{
    domain::{
        account::{AccountCommand, Change},
        audit::AuditQuery,
    },
    reply::Lost,
};
use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// More clients than this do not wait at once.
const MOST_PENDING: usize = 14;

impl World {
    /// Something happens.
    pub(super) fn step(&mut self) -> Done {
        let step = Step::ALL[self.dice.weighted(self.plan.weights.iter().copied())].0;
        match step {
            Step::Ask => self.somebody_asks()?,
            Step::AskTogether => self.several_ask(),
            Step::Turn => {
                let domain = if self.dice.one_in(4) {
                    *self.dice.pick(&Domain::ALL)
                } else {
                    self.plan.domain(&mut self.dice)
                };
                self.turn(domain)?;
            }
            Step::Commit => self.commit()?,
            Step::Rest => self.rest()?,
            Step::Flow => self.flow()?,
            Step::Deliver => self.something_arrives()?,
            Step::HangUp if !self.pending.is_empty() => {
                let index = self.dice.below(self.pending.len());
                self.hang_up(index);
            }
            Step::LoseOnTheWay if !self.under_way.is_empty() => {
                let index = self.dice.below(self.under_way.len());
                self.lose(index);
            }
            Step::HangUp | Step::LoseOnTheWay => {}
            Step::PassLittle => self.pass(1..=60),
            Step::PassSome => self.pass(100..=3_000),
            Step::PassLong => {
                self.tally.stalls += 1;
                self.pass(3_000..=60_000);
            }
            Step::SetWall => self.set_wall(),
            Step::Present => {
                let index = self.dice.below(self.clients.wallet.len());
                self.present(index)?;
            }
            Step::ReadAudit => self.read_audit()?,
            Step::Trap => self.trap(),
            Step::Fill => self.fill(),
            Step::NoRoom => self.no_room()?,
            Step::LookAhead => self.look_ahead()?,
            Step::Mend => self.mend(),
            Step::Crash => self.crash()?,
            Step::CrashSoon => self.crash_soon(),
            Step::Stop => self.stop()?,
        }
        Ok(())
    }

    fn somebody_asks(&mut self) -> Done {
        if self.pending.len() >= MOST_PENDING {
            return Ok(());
        }
        let wall = self.wall();
        if let Some((client, ask)) = self.clients.think(&self.plan, &mut self.dice, wall)
            && self.may_ask(&ask)
        {
            self.ask(client, ask)?;
        }
        Ok(())
    }

    fn several_ask(&mut self) {
        let domain = self.plan.domain(&mut self.dice);
        self.several_ask_of(domain);
    }

    fn several_ask_of(&mut self, domain: Domain) {
        if self.pending.len() >= MOST_PENDING {
            return;
        }
        let wall = self.wall();
        let mut asks = self.clients.think_together(domain, &self.plan, &mut self.dice, wall);
        asks.retain(|(_, ask)| !is_standing(ask));
        self.ask_together(asks);
    }

    /// Of an account one thing is changed at a time, so that what was told last is known.
    fn may_ask(&self, ask: &Ask) -> bool {
        let pending = self.pending.iter().map(|pending| pending.request);
        let under_way = self.under_way.iter().map(|(request, _)| *request);
        let changing = |request: RequestId| is_standing(&self.oracle.requests[request].ask);
        !is_standing(ask) || !pending.chain(under_way).any(changing)
    }

    fn something_arrives(&mut self) -> Done {
        let all = self.pending.len() + self.under_way.len();
        let index = self.dice.below(all);
        if index < self.pending.len() {
            return self.deliver(index, false);
        }
        let index = index - self.pending.len();
        if index < self.under_way.len() {
            let (request, answer) = self.under_way.remove(index);
            self.arrives(request, answer)?;
        }
        Ok(())
    }

    /// Every actor takes a turn, what they want is committed, and every answer arrives.
    pub(super) fn flow(&mut self) -> Done {
        for domain in Domain::ALL {
            self.turn(domain)?;
        }
        self.commit()?;
        self.deliver_all()
    }

    fn rest(&mut self) -> Done {
        let Some(server) = &mut self.server else { return Ok(()) };
        let rested = server.rest();
        self.trace.note(format_args!("the store rests"));
        self.survive(rested)
    }

    /// An administrator reads the audit log.
    pub(super) fn read_audit(&mut self) -> Done {
        let Some(server) = &self.server else { return Ok(()) };
        let mut waiting = server.audit.read(AuditQuery::default());
        let asked = self.oracle.server();
        self.commit()?;
        if self.oracle.server() != asked {
            return Ok(());
        }
        let told = Pin::new(&mut waiting).poll(&mut Context::from_waker(Waker::noop()));
        if told == Poll::Ready(Err(Lost::Overloaded)) {
            self.tally.bounded += 1;
            return Ok(());
        }
        let Poll::Ready(Ok(Ok(page))) = &told else {
            let what = format!("who reads the audit log is told {told:?}");
            return Err(Violation::new(Promise::OneOutcome, what).into());
        };
        self.trace.note(format_args!("the audit log has {:?}", page.entries));
        self.oracle.checks += 1;
        self.tally.audits += 1;
        let retention = self.plan.setup.retention;
        Ok(self.oracle.audit.read(page, retention, &self.oracle.requests)?)
    }

    /// Some milliseconds pass, to the nanosecond.
    pub(super) fn pass(&mut self, millis: std::ops::RangeInclusive<u64>) {
        let millis = self.dice.within(millis);
        let odd = if self.dice.one_in(2) { self.dice.within(0..=999_999) } else { 0 };
        self.time.pass(Duration::from_nanos(millis * 1_000_000 + odd));
        self.time_moved();
    }

    fn set_wall(&mut self) {
        let seconds = *self.dice.pick(&[1, 30, 3600, 100_000]);
        let back = self.dice.one_in(2);
        self.tally.jumps += 1;
        self.time.set_wall(Duration::from_secs(seconds), back);
        self.time_moved();
    }

    /// The disk will fail.
    pub(super) fn trap(&mut self) {
        let trap = Trap {
            after: u32::try_from(self.dice.within(0..=12)).unwrap_or(0),
            kind: *self.dice.pick(&[
                None,
                None,
                Some(Kind::Write),
                Some(Kind::Sync),
                Some(Kind::Sync),
                Some(Kind::Truncate),
            ]),
            trouble: *self.dice.pick(&[
                Trouble::Once,
                Trouble::Once,
                Trouble::Always,
                Trouble::Full,
                Trouble::StaysFull,
            ]),
        };
        self.trace.note(format_args!("{trap:?}"));
        self.mounted.disk().get().set_trap(trap);
    }

    fn fill(&mut self) {
        let left = *self.dice.pick(&[0, 0, 5_000, 20_000]);
        let mut disk = self.mounted.disk().get();
        let used = disk.used();
        disk.set_room(Some(used + left));
        drop(disk);
        self.trace.note(format_args!("the disk is full but for {left} bytes"));
    }

    /// What several want finds no room.
    fn no_room(&mut self) -> Done {
        let domain = self.plan.domain(&mut self.dice);
        self.several_ask_of(domain);
        self.turn(domain)?;
        if self.server.is_none() {
            return Ok(());
        }
        let after = u32::try_from(self.dice.within(0..=1)).unwrap_or(0);
        let trap = Trap { after, kind: Some(Kind::Write), trouble: Trouble::StaysFull };
        self.trace.note(format_args!("{trap:?}"));
        self.mounted.disk().get().set_trap(trap);
        // What follows may stand on what is about to be refused.
        if self.dice.one_in(2) {
            self.several_ask_of(domain);
            self.turn(domain)?;
        }
        self.commit()?;
        if self.dice.one_in(2) {
            self.mend();
        }
        self.turn(domain)
    }

    /// Whoever looks at what is not on disk must not hear of it.
    fn look_ahead(&mut self) -> Done {
        let domain = self.plan.domain(&mut self.dice);
        self.several_ask_of(domain);
        let mut looks = self.clients.look(&self.plan, self.wall());
        looks.retain(|(_, ask)| ask.domain() == domain);
        self.ask_together(looks);
        self.turn(domain)?;
        self.deliver_all()?;
        self.crash()
    }

    /// There is room again, and nothing fails.
    pub(super) fn mend(&mut self) {
        let mut disk = self.mounted.disk().get();
        disk.set_room(None);
        disk.clear_trap();
        drop(disk);
        self.trace.note(format_args!("the disk is mended"));
    }

    fn crash_soon(&mut self) {
        let operations = self.dice.within(0..=14);
        self.trace.note(format_args!("dies after {operations} operations"));
        self.mounted.disk().get().die_after(u32::try_from(operations).unwrap_or(0));
    }
}

fn is_standing(ask: &Ask) -> bool {
    matches!(ask, Ask::Account(AccountCommand::Change { change: Change::Standing(_), .. }))
}
