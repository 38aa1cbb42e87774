//! One machine and all that a test asks of it.

use crate::common::{account, acquire, at, get, list, release, renew, token};
use octostore_actors::{
    domain::{
        Effects, Machine, Moment, Record, Room, Ticket,
        lock::{Holder, Lease, LockCommand, LockMachine, LockOutcome, LockRecord, Tokens},
        page::Selection,
        values::FencingToken,
    },
    progress::Seq,
    time::Instant,
};

/// A machine, the time, and everything it wanted written.
pub struct World {
    pub machine: LockMachine,
    pub effects: Effects<LockOutcome>,
    pub now: Instant,
    pub room: Room,
    tickets: u64,
    leases: u64,
    /// What is on disk.
    durable: Seq,
    /// The answers that wait for the disk, in order.
    on_their_way: Vec<(LockOutcome, Seq)>,
}

/// What a machine learns first of a refused commit.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// That it must rewind.
    RewindFirst,
    /// That the refused answers reached nobody.
    AnswersFirst,
}

impl Order {
    pub const BOTH: [Self; 2] = [Self::RewindFirst, Self::AnswersFirst];
}

impl World {
    /// An empty one with more tokens than anybody needs.
    pub fn new() -> Self {
        Self::with([], Tokens::new(FencingToken::ZERO, token(1_000_000), 1_000_000))
    }

    pub fn with(leases: impl IntoIterator<Item = Lease>, tokens: Tokens) -> Self {
        Self {
            machine: LockMachine::new(leases, tokens),
            effects: Effects::default(),
            now: at(0),
            room: Room::Available,
            tickets: 0,
            leases: 0,
            durable: Seq::NONE,
            on_their_way: Vec::new(),
        }
    }

    /// Asks, and sees to it that there is one answer, with the ticket of the question.
    pub fn ask(&mut self, command: LockCommand) -> (LockOutcome, Seq) {
        let ticket = Ticket::new(self.tickets);
        self.tickets += 1;
        let moment = Moment { now: self.now, room: self.room };
        self.machine.apply(moment, ticket, command, &mut self.effects);
        let mut answers: Vec<_> = self.effects.take_answers().collect();
        assert_eq!(answers.len(), 1, "every command has one answer");
        let answer = answers.remove(0);
        assert_eq!(answer.ticket, ticket);
        assert!(
            answer.depends_on <= self.effects.last(),
            "an answer waits for what will never come"
        );
        if answer.depends_on > self.durable {
            self.on_their_way.push((answer.outcome.clone(), answer.depends_on));
        }
        (answer.outcome, answer.depends_on)
    }

    pub fn outcome(&mut self, command: LockCommand) -> LockOutcome {
        self.ask(command).0
    }

    pub fn depends_on(&mut self, command: LockCommand) -> Seq {
        self.ask(command).1
    }

    /// Acquires with a lease id of its own.
    pub fn acquire(&mut self, lock: &str, holder: Holder, seconds: u64) -> LockOutcome {
        self.leases += 1;
        self.outcome(acquire(lock, holder, seconds, self.leases))
    }

    pub fn grant(&mut self, lock: &str, holder: Holder, seconds: u64) -> Lease {
        match self.acquire(lock, holder, seconds) {
            LockOutcome::Granted(lease) => lease,
            other => panic!("{lock} was not granted: {other:?}"),
        }
    }

    pub fn confirm(&mut self, lock: &str, holder: Holder, seconds: u64) -> Lease {
        match self.acquire(lock, holder, seconds) {
            LockOutcome::Confirmed(lease) => lease,
            other => panic!("{lock} was not confirmed: {other:?}"),
        }
    }

    pub fn renew(&mut self, lease: &Lease, seconds: u64) -> LockOutcome {
        self.outcome(renew(lease.name.as_str(), lease.holder.account, lease.id, seconds))
    }

    pub fn release(&mut self, lease: &Lease) -> LockOutcome {
        self.outcome(release(lease.name.as_str(), lease.holder.account, lease.id))
    }

    pub fn get(&mut self, lock: &str) -> Option<Lease> {
        match self.outcome(get(lock)) {
            LockOutcome::Status(lease) => lease,
            other => panic!("{lock} has no status: {other:?}"),
        }
    }

    /// The names on one page, how many there are in all, and whether more follow.
    pub fn list(&mut self, number: u8, selection: Selection) -> (Vec<String>, usize, bool) {
        match self.outcome(list(account(number), selection)) {
            LockOutcome::Leases(page) => (
                page.items.iter().map(|lease| lease.name.to_string()).collect(),
                page.total,
                page.more,
            ),
            other => panic!("no list: {other:?}"),
        }
    }

    pub fn expire(&mut self) {
        self.machine.on_deadline(self.now, &mut self.effects);
    }

    /// An answer that was let go reached nobody.
    pub fn undelivered(&mut self, outcome: LockOutcome) {
        // If it was not, it is now, and comes home once.
        let waiting = self.on_their_way.iter().position(|(waiting, _)| *waiting == outcome);
        if let Some(place) = waiting {
            self.on_their_way.remove(place);
        }
        self.machine.undelivered(outcome, &mut self.effects);
    }

    /// The store takes everything so far. The machine does not know yet.
    pub fn commit(&mut self) {
        self.effects.take_records();
        self.durable = self.effects.last();
        self.on_their_way.clear();
    }

    /// The store has taken everything so far.
    pub fn settle(&mut self) {
        self.commit();
        self.machine.settle(self.durable);
    }

    /// The store refuses all that is on its way; so ends every answer that waits for it.
    pub fn refuse(&mut self) {
        self.refuse_in(Order::RewindFirst);
    }

    pub fn refuse_in(&mut self, order: Order) {
        self.effects.take_records();
        match order {
            Order::RewindFirst => {
                self.machine.rewind(self.durable);
                self.refused_come_home();
            }
            Order::AnswersFirst => {
                self.refused_come_home();
                // What the machine wants of the state that is to be undone is refused too.
                self.effects.take_records();
                self.machine.rewind(self.durable);
            }
        }
    }

    fn refused_come_home(&mut self) {
        for (outcome, depends_on) in std::mem::take(&mut self.on_their_way) {
            assert!(depends_on > self.durable, "{outcome:?} was let go");
            self.machine.undelivered(outcome, &mut self.effects);
        }
    }

    /// What is wanted on disk since the last look.
    pub fn records(&mut self) -> Vec<LockRecord> {
        let lock = |record| match record {
            Record::Lock(record) => record,
            other => panic!("not of this domain: {other:?}"),
        };
        self.effects.take_records().into_iter().map(lock).collect()
    }

    /// Everything anybody can learn of the machine, up to the end of its last lease.
    pub fn life(mut self, locks: &[&str]) -> Vec<String> {
        let mut life = Vec::new();
        loop {
            for lock in locks {
                life.push(format!("{:?}", self.outcome(get(lock))));
            }
            for number in 0..4 {
                let all = list(account(number), Selection::default());
                life.push(format!("{:?}", self.outcome(all)));
            }
            let Some(deadline) = self.machine.next_deadline() else {
                return life;
            };
            life.push(format!("{deadline:?}"));
            self.now = deadline;
            self.expire();
            assert_ne!(self.machine.next_deadline(), Some(deadline), "it is due");
        }
    }
}
