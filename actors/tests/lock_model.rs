//! The lock machine against a reference that is too simple to be wrong: maps, scans, and a
//! copy of everything at every change.
//!
//! The reference says what each step answers and writes. Beside it, what was promised to
//! somebody is kept as those who were promised it see it, and must hold over refused commits,
//! crashes and reboots, whatever the reference says.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test that looks for it")]

mod common;

use common::{account, lease_id, metadata, name, seq, token, ttl};
use octostore_actors::{
    domain::{
        Effects, Machine, Moment, Record, Room, Ticket,
        lock::{Holder, Lease, LockCommand, LockMachine, LockOutcome, LockRecord, Tokens},
        page::{Page, PageLimit, Selection},
        values::{AccountId, FencingToken, LeaseId, LockName, LockQuota, Owner},
    },
    progress::Seq,
    time::Instant,
};
use proptest::{
    option,
    prelude::*,
    sample::{Index, select},
    strategy::ValueTree,
    test_runner::{RngAlgorithm, RngSeed, TestRng, TestRunner},
};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use std::{collections::BTreeMap, time::Duration};

/// Few of everything, so that they collide.
const NAMES: [&str; 5] = ["a", "a-b", "a/b", "b", "b.c"];
const OWNERS: [Option<&str>; 3] = [None, Some("x"), Some("y")];
const ACCOUNTS: u8 = 2;
const QUOTA: LockQuota = LockQuota::new(3);
const BLOCK: u64 = 4;

// What can happen.

#[derive(Clone, Debug)]
enum Transition {
    Acquire {
        name: &'static str,
        account: u8,
        owner: Option<&'static str>,
        seconds: u64,
        metadata: Option<&'static str>,
        room: Room,
    },
    Release {
        name: &'static str,
        account: u8,
        whose: Whose,
    },
    Renew {
        name: &'static str,
        account: u8,
        whose: Whose,
        seconds: u64,
    },
    Get {
        name: &'static str,
    },
    List {
        account: u8,
        selection: Selection,
    },
    /// Time passes.
    Pass(Duration),
    /// Time passes up to the very instant of the next expiry.
    PassToDeadline,
    Deadline,
    /// An answer that was let go comes back.
    Undelivered(Index),
    /// The disk takes some of what is on its way; the machine does not know yet.
    Commit(Index),
    /// The machine learns how far the disk is.
    Settle,
    /// The disk refuses all that is on its way.
    Refuse,
    /// What is not on disk is lost; the lease clock goes on.
    Crash,
    /// What is not on disk is lost; the lease clock starts again.
    Reboot,
    /// A clean end, and a new start.
    Stop,
}

/// Which lease id somebody comes with.
#[derive(Clone, Copy, Debug)]
enum Whose {
    /// The lock's latest.
    Latest,
    /// The one before.
    Earlier,
    /// One that nobody was granted.
    Nobody,
}

// The reference.

/// What is on disk, or would be.
#[derive(Clone, Debug, Default)]
struct Rows {
    locks: BTreeMap<LockName, Lease>,
    mark: u64,
}

/// An answer to somebody.
#[derive(Clone, Debug)]
struct Told {
    outcome: LockOutcome,
    depends_on: u64,
}

#[derive(Clone, Debug)]
struct Reference {
    now: Instant,
    /// The rows after each change since the start; the last are the present.
    history: Vec<Rows>,
    /// How many changes are on disk, and how many the machine knows to be.
    durable: u64,
    settled: u64,
    /// The last change of each lock since the start.
    changed: BTreeMap<LockName, u64>,
    /// The last token granted, the mark the machine knows to be on disk, and whether a higher
    /// one is on its way.
    last_token: u64,
    mark: u64,
    raising: Option<u64>,
    /// Granted and confirmed answers that did not come back, of each lease of this run.
    known: BTreeMap<LeaseId, u32>,
    /// Such answers on their way or with their receivers.
    answers: Vec<Told>,
    /// The change before which no commit is refused: an answer came back by then. What a
    /// refusal does to what came back has tests of its own.
    returned_at: u64,
    /// The leases each lock had, in order.
    granted: BTreeMap<LockName, Vec<LeaseId>>,
    leases: u64,
    step: Step,
}

/// What the latest transition comes to.
#[derive(Clone, Debug)]
struct Step {
    action: Action,
    records: Vec<LockRecord>,
}

#[derive(Clone, Debug)]
enum Action {
    Nothing,
    Ask { command: LockCommand, room: Room, outcome: LockOutcome, depends_on: Depends },
    Deadline,
    Undelivered(LockOutcome),
    Commit,
    Settle,
    Refuse,
    Restart(Restart),
}

#[derive(Clone, Copy, Debug)]
enum Depends {
    On(u64),
    /// On anything that covers what it saw.
    OnWhatItSaw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restart {
    Crash,
    Reboot,
    Stop,
}

impl Reference {
    fn new() -> Self {
        Self::on(Rows::default(), Instant::from_nanos(0))
    }

    /// Starts with what is on disk, and a block of tokens ahead of it.
    fn on(mut rows: Rows, now: Instant) -> Self {
        let last_token = rows.mark;
        rows.mark += BLOCK;
        Self {
            now,
            durable: 0,
            settled: 0,
            changed: BTreeMap::new(),
            last_token,
            mark: rows.mark,
            history: vec![rows],
            raising: None,
            known: BTreeMap::new(),
            answers: Vec::new(),
            returned_at: 0,
            granted: BTreeMap::new(),
            leases: 0,
            step: Step { action: Action::Nothing, records: Vec::new() },
        }
    }

    fn rows(&self) -> &Rows {
        self.history.last().unwrap()
    }

    fn on_disk(&self) -> &Rows {
        &self.history[usize::try_from(self.durable).unwrap()]
    }

    fn last(&self) -> u64 {
        self.history.len() as u64 - 1
    }

    fn lease(&self, name: &LockName) -> Option<Lease> {
        self.rows().locks.get(name).cloned()
    }

    fn record(&mut self, record: LockRecord) -> u64 {
        let mut rows = self.rows().clone();
        let seq = self.last() + 1;
        match &record {
            LockRecord::Held(lease) => {
                rows.locks.insert(lease.name.clone(), lease.clone());
                self.changed.insert(lease.name.clone(), seq);
            }
            LockRecord::Free(name) => {
                rows.locks.remove(name);
                self.changed.insert(name.clone(), seq);
            }
            LockRecord::TokenMark(mark) => rows.mark = mark.get(),
        }
        self.history.push(rows);
        self.step.records.push(record);
        seq
    }

    /// What must be on disk before anybody hears of `name`.
    fn seen(&self, name: &LockName) -> u64 {
        let changed = self.changed.get(name).copied().unwrap_or(0);
        if changed > self.settled { changed } else { 0 }
    }

    fn ask(&mut self, command: LockCommand, room: Room) {
        let (outcome, depends_on) = match command.clone() {
            LockCommand::Acquire { name, holder, ttl, lease, metadata, quota } => self.acquire(
                Lease {
                    name,
                    holder,
                    id: lease,
                    token: FencingToken::ZERO,
                    ttl,
                    expires: self.now + ttl.as_duration(),
                    metadata,
                },
                quota,
                room,
            ),
            LockCommand::Release { name, account, lease } => {
                match self.owned(&name, account, lease) {
                    Some(_) => {
                        (LockOutcome::Released, Depends::On(self.record(LockRecord::Free(name))))
                    }
                    None => (LockOutcome::NotOwned, Depends::On(self.seen(&name))),
                }
            }
            LockCommand::Renew { name, account, lease, ttl } => {
                match self.owned(&name, account, lease) {
                    Some(lease) => self.extend(lease, ttl),
                    None => (LockOutcome::NotOwned, Depends::On(self.seen(&name))),
                }
            }
            LockCommand::Get { name } => {
                (LockOutcome::Status(self.lease(&name)), Depends::On(self.seen(&name)))
            }
            LockCommand::List { account, selection } => {
                (LockOutcome::Leases(page(self.rows(), account, &selection)), Depends::OnWhatItSaw)
            }
        };
        if let (LockOutcome::Granted(lease) | LockOutcome::Confirmed(lease), Depends::On(seq)) =
            (&outcome, depends_on)
        {
            if let Some(known) = self.known.get_mut(&lease.id) {
                *known += 1;
            }
            self.answers.push(Told { outcome: outcome.clone(), depends_on: seq });
        }
        self.step.action = Action::Ask { command, room, outcome, depends_on };
    }

    fn acquire(&mut self, wanted: Lease, quota: LockQuota, room: Room) -> (LockOutcome, Depends) {
        if let Some(lease) = self.lease(&wanted.name) {
            if lease.holder == wanted.holder {
                return self.extend(lease, wanted.ttl);
            }
            let seen = self.seen(&lease.name);
            return (LockOutcome::Held(lease), Depends::On(seen));
        }
        let of_account = |lease: &&Lease| lease.holder.account == wanted.holder.account;
        let holding = self.rows().locks.values().filter(of_account).count();
        if holding >= quota.get() as usize {
            return (LockOutcome::OverQuota(quota), Depends::OnWhatItSaw);
        }
        if room == Room::Exhausted {
            return (LockOutcome::NoRoom, Depends::On(0));
        }
        if self.raising.is_none() && self.mark - self.last_token <= BLOCK / 2 {
            self.raising = Some(self.record(LockRecord::TokenMark(token(self.mark + BLOCK))));
        }
        if self.last_token == self.mark {
            return (LockOutcome::NoToken, Depends::On(0));
        }
        self.last_token += 1;
        let lease = Lease { token: token(self.last_token), ..wanted };
        self.known.insert(lease.id, 0);
        self.granted.entry(lease.name.clone()).or_default().push(lease.id);
        let seq = self.record(LockRecord::Held(lease.clone()));
        (LockOutcome::Granted(lease), Depends::On(seq))
    }

    fn extend(
        &mut self,
        lease: Lease,
        ttl: octostore_actors::domain::values::Ttl,
    ) -> (LockOutcome, Depends) {
        let expires = self.now + ttl.as_duration();
        if expires <= lease.expires {
            let seen = self.seen(&lease.name);
            return (LockOutcome::Confirmed(lease), Depends::On(seen));
        }
        let lease = Lease { expires, ttl, ..lease };
        let seq = self.record(LockRecord::Held(lease.clone()));
        (LockOutcome::Confirmed(lease), Depends::On(seq))
    }

    fn owned(&self, name: &LockName, account: AccountId, id: LeaseId) -> Option<Lease> {
        self.lease(name).filter(|lease| lease.holder.account == account && lease.id == id)
    }

    fn deadline(&mut self) {
        let mut due: Vec<_> =
            self.rows().locks.values().filter(|lease| lease.expires <= self.now).cloned().collect();
        due.sort_by_key(|lease| (lease.expires, lease.token));
        for lease in due {
            self.record(LockRecord::Free(lease.name));
        }
        self.step.action = Action::Deadline;
    }

    /// The answers that somebody has in hand.
    fn delivered(&self) -> impl Iterator<Item = usize> {
        let durable = self.durable;
        self.answers
            .iter()
            .enumerate()
            .filter(move |(_, told)| told.depends_on <= durable)
            .map(|(place, _)| place)
    }

    fn undelivered(&mut self, which: Index) {
        let delivered: Vec<_> = self.delivered().collect();
        if delivered.is_empty() {
            return;
        }
        let outcome = self.answers.remove(*which.get(&delivered)).outcome;
        let (LockOutcome::Granted(lease) | LockOutcome::Confirmed(lease)) = outcome.clone() else {
            unreachable!("no other answer is kept");
        };
        if let Some(known) = self.known.get_mut(&lease.id) {
            *known -= 1;
            let current = self.lease(&lease.name).map(|lease| lease.id);
            if self.known[&lease.id] == 0 && current == Some(lease.id) {
                self.record(LockRecord::Free(lease.name));
            }
        }
        self.returned_at = self.last();
        self.step.action = Action::Undelivered(outcome);
    }

    fn settle(&mut self) {
        self.settled = self.durable;
        if self.raising.is_some_and(|seq| seq <= self.durable) {
            self.raising = None;
            self.mark = self.on_disk().mark;
        }
    }

    fn may_refuse(&self) -> bool {
        self.returned_at <= self.durable
    }

    fn refuse(&mut self) {
        self.settle();
        self.raising = None;
        let durable = self.durable;
        self.answers.retain(|told| {
            let refused = told.depends_on > durable;
            if let LockOutcome::Granted(lease) | LockOutcome::Confirmed(lease) = &told.outcome
                && refused
                && let Some(known) = self.known.get_mut(&lease.id)
            {
                *known -= 1;
            }
            !refused
        });
        let on_disk = self.on_disk().clone();
        for rows in &mut self.history[usize::try_from(durable).unwrap()..] {
            *rows = on_disk.clone();
        }
        self.changed.retain(|_, changed| *changed <= durable);
        self.step.action = Action::Refuse;
    }

    fn restart(self, how: Restart) -> Self {
        let (mut rows, now) = match how {
            Restart::Crash => (self.on_disk().clone(), self.now),
            Restart::Reboot => (self.on_disk().clone(), Instant::from_nanos(0)),
            Restart::Stop => (Rows { mark: self.last_token, ..self.rows().clone() }, self.now),
        };
        if how == Restart::Reboot {
            for lease in rows.locks.values_mut() {
                lease.expires = now + lease.ttl.as_duration();
            }
        }
        let mut new = Self::on(rows, now);
        new.granted = self.granted;
        new.leases = self.leases;
        new.step.action = Action::Restart(how);
        new
    }

    fn id(&self, name: &LockName, whose: Whose) -> LeaseId {
        let mut granted = self.granted.get(name).into_iter().flatten().rev().copied();
        let id = match whose {
            Whose::Latest => granted.next(),
            Whose::Earlier => granted.nth(1),
            Whose::Nobody => None,
        };
        id.unwrap_or(lease_id(u64::MAX))
    }
}

/// One page of an account's leases.
fn page(rows: &Rows, account: AccountId, selection: &Selection) -> Page<Lease> {
    let mut all: Vec<_> = rows
        .locks
        .values()
        .filter(|lease| lease.holder.account == account)
        .filter(|lease| lease.name.as_str().starts_with(&*selection.prefix))
        .cloned()
        .collect();
    all.sort_by_key(|lease| lease.name.to_string());
    let total = all.len();
    if let Some(after) = &selection.after {
        all.retain(|lease| lease.name.as_str() > &**after);
    }
    let limit = (1..=1_000).find(|&limit| PageLimit::new(limit) == Some(selection.limit));
    let limit = usize::from(limit.unwrap());
    Page { more: all.len() > limit, items: all.into_iter().take(limit).collect(), total }
}

fn seconds() -> impl Strategy<Value = u64> {
    prop_oneof![1..=5u64, Just(60)]
}

fn whose() -> impl Strategy<Value = Whose> {
    prop_oneof![
        8 => Just(Whose::Latest),
        1 => Just(Whose::Earlier),
        1 => Just(Whose::Nobody),
    ]
}

fn selection() -> impl Strategy<Value = Selection> {
    let prefix = select(vec!["", "a", "a/", "b", "c"]);
    let after = option::of(select(NAMES.to_vec()));
    let limit = prop_oneof![1..=3u16, Just(1_000)];
    (prefix, after, limit).prop_map(|(prefix, after, limit)| Selection {
        prefix: prefix.into(),
        after: after.map(Into::into),
        limit: PageLimit::new(limit).unwrap(),
    })
}

impl ReferenceStateMachine for Reference {
    type State = Self;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::new()).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Transition> {
        let name = || select(NAMES.to_vec());
        let room = prop_oneof![9 => Just(Room::Available), 1 => Just(Room::Exhausted)];
        let text = option::of(Just("metadata"));
        let acquire = (name(), 0..ACCOUNTS, select(OWNERS.to_vec()), seconds(), text, room)
            .prop_map(|(name, account, owner, seconds, metadata, room)| Transition::Acquire {
                name,
                account,
                owner,
                seconds,
                metadata,
                room,
            });
        let release = (name(), 0..ACCOUNTS, whose())
            .prop_map(|(name, account, whose)| Transition::Release { name, account, whose });
        let renew = (name(), 0..ACCOUNTS, whose(), seconds()).prop_map(
            |(name, account, whose, seconds)| Transition::Renew { name, account, whose, seconds },
        );
        let list = (0..ACCOUNTS, selection())
            .prop_map(|(account, selection)| Transition::List { account, selection });
        let pass = (0..3_000u64).prop_map(|millis| Transition::Pass(Duration::from_millis(millis)));
        let refuse = if state.may_refuse() { Transition::Refuse } else { Transition::Settle };
        prop_oneof![
            40 => acquire,
            10 => release,
            10 => renew,
            5 => name().prop_map(|name| Transition::Get { name }),
            5 => list,
            6 => pass,
            4 => Just(Transition::PassToDeadline),
            8 => Just(Transition::Deadline),
            10 => any::<Index>().prop_map(Transition::Undelivered),
            20 => any::<Index>().prop_map(Transition::Commit),
            15 => Just(Transition::Settle),
            4 => Just(refuse),
            1 => Just(Transition::Crash),
            1 => Just(Transition::Reboot),
            1 => Just(Transition::Stop),
        ]
        .boxed()
    }

    fn preconditions(state: &Self, transition: &Transition) -> bool {
        !matches!(transition, Transition::Refuse) || state.may_refuse()
    }

    fn apply(mut state: Self, transition: &Transition) -> Self {
        state.step = Step { action: Action::Nothing, records: Vec::new() };
        match transition.clone() {
            Transition::Acquire {
                name: text,
                account: number,
                owner,
                seconds,
                metadata: note,
                room,
            } => {
                state.leases += 1;
                let command = LockCommand::Acquire {
                    name: name(text),
                    holder: Holder {
                        account: account(number),
                        owner: owner.map(|owner| Owner::new(owner).unwrap()),
                    },
                    ttl: ttl(seconds),
                    lease: lease_id(state.leases),
                    metadata: note.map(metadata),
                    quota: QUOTA,
                };
                state.ask(command, room);
            }
            Transition::Release { name: text, account: number, whose } => {
                let command = LockCommand::Release {
                    name: name(text),
                    account: account(number),
                    lease: state.id(&name(text), whose),
                };
                state.ask(command, Room::Available);
            }
            Transition::Renew { name: text, account: number, whose, seconds } => {
                let command = LockCommand::Renew {
                    name: name(text),
                    account: account(number),
                    lease: state.id(&name(text), whose),
                    ttl: ttl(seconds),
                };
                state.ask(command, Room::Available);
            }
            Transition::Get { name: text } => {
                state.ask(LockCommand::Get { name: name(text) }, Room::Available);
            }
            Transition::List { account: number, selection } => {
                let account = account(number);
                state.ask(LockCommand::List { account, selection }, Room::Available);
            }
            Transition::Pass(span) => state.now = state.now + span,
            Transition::PassToDeadline => {
                let next = state.rows().locks.values().map(|lease| lease.expires).min();
                state.now = next.map_or(state.now, |next| next.max(state.now));
            }
            Transition::Deadline => state.deadline(),
            Transition::Undelivered(which) => state.undelivered(which),
            Transition::Commit(upto) => {
                let on_their_way = usize::try_from(state.last() - state.durable).unwrap();
                state.durable += upto.index(on_their_way + 1) as u64;
                state.step.action = Action::Commit;
            }
            Transition::Settle => {
                state.settle();
                state.step.action = Action::Settle;
            }
            Transition::Refuse => state.refuse(),
            Transition::Crash => return state.restart(Restart::Crash),
            Transition::Reboot => return state.restart(Restart::Reboot),
            Transition::Stop => return state.restart(Restart::Stop),
        }
        state
    }
}

// The machine, its disk, and those who were promised something.

/// What somebody was told, and may count on.
#[derive(Clone, Debug)]
struct Promise {
    lease: Lease,
    /// The latest end anybody was told, on the present lease clock.
    until: Instant,
}

struct Subject {
    machine: LockMachine,
    effects: Effects<LockOutcome>,
    now: Instant,
    tickets: u64,
    /// What was wanted since the start, and is not on disk.
    journal: Vec<(u64, LockRecord)>,
    last: u64,
    durable: u64,
    locks: BTreeMap<LockName, Lease>,
    mark: FencingToken,
    /// Answers that wait for the disk.
    held: Vec<(LockOutcome, Seq)>,
    promises: Vec<Promise>,
    /// The leases that were released, or came back: by the change at this place.
    ended: BTreeMap<LeaseId, u64>,
    highest_told: FencingToken,
    highest_decided: FencingToken,
}

impl Subject {
    fn new() -> Self {
        let mark = token(BLOCK);
        Self {
            machine: LockMachine::new([], Tokens::new(FencingToken::ZERO, mark, BLOCK)),
            effects: Effects::default(),
            now: Instant::from_nanos(0),
            tickets: 0,
            journal: Vec::new(),
            last: 0,
            durable: 0,
            locks: BTreeMap::new(),
            mark,
            held: Vec::new(),
            promises: Vec::new(),
            ended: BTreeMap::new(),
            highest_told: FencingToken::ZERO,
            highest_decided: FencingToken::ZERO,
        }
    }

    fn ask(&mut self, command: LockCommand, room: Room) -> (LockOutcome, Seq) {
        let ticket = Ticket::new(self.tickets);
        self.tickets += 1;
        let moment = Moment { now: self.now, room };
        self.machine.apply(moment, ticket, command, &mut self.effects);
        let mut answers: Vec<_> = self.effects.take_answers().collect();
        assert_eq!(answers.len(), 1);
        let answer = answers.remove(0);
        assert_eq!(answer.ticket, ticket);
        (answer.outcome, answer.depends_on)
    }

    /// Takes what the step wanted on disk on its way there.
    fn records(&mut self) -> Vec<LockRecord> {
        let mut records = Vec::new();
        for record in self.effects.take_records() {
            let Record::Lock(record) = record else {
                panic!("not of this domain: {record:?}");
            };
            self.last += 1;
            self.journal.push((self.last, record.clone()));
            records.push(record);
        }
        assert_eq!(self.effects.last(), seq(self.last));
        records
    }

    fn write(&mut self, upto: u64) {
        self.durable = upto;
        let later = self.journal.iter().position(|(place, _)| *place > upto);
        let later = later.unwrap_or(self.journal.len());
        for (_, record) in self.journal.drain(..later) {
            match record {
                LockRecord::Held(lease) => {
                    self.locks.insert(lease.name.clone(), lease);
                }
                LockRecord::Free(name) => {
                    self.locks.remove(&name);
                }
                LockRecord::TokenMark(mark) => self.mark = mark,
            }
        }
        let durable = seq(upto);
        let (told, held): (Vec<_>, Vec<_>) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|(_, depends_on)| *depends_on <= durable);
        self.held = held;
        for (outcome, _) in told {
            self.tell(&outcome);
        }
    }

    /// Somebody learns of `outcome`, and counts on it.
    fn tell(&mut self, outcome: &LockOutcome) {
        if let LockOutcome::Granted(lease) = outcome {
            assert!(
                lease.token > self.highest_told,
                "fencing: {:?} was told after {:?}",
                lease.token,
                self.highest_told
            );
            self.highest_told = lease.token;
        }
        if let LockOutcome::Granted(lease) | LockOutcome::Confirmed(lease) = outcome {
            let known = self.promises.iter_mut().find(|promise| promise.lease.id == lease.id);
            match known {
                Some(promise) => promise.until = promise.until.max(lease.expires),
                None => self.promises.push(Promise { lease: lease.clone(), until: lease.expires }),
            }
        }
    }

    /// What was on its way is lost, and with it the ends of promises.
    fn lose(&mut self) {
        let durable = self.durable;
        self.journal.clear();
        self.held.clear();
        self.ended.retain(|_, place| *place <= durable);
    }

    fn in_force(&self) -> impl Iterator<Item = &Promise> {
        self.promises
            .iter()
            .filter(|promise| !self.ended.contains_key(&promise.lease.id))
            .filter(|promise| promise.until > self.now)
    }

    /// A decision must not break what somebody was promised.
    fn check_decision(&mut self, outcome: &LockOutcome, depends_on: Seq) {
        if let LockOutcome::Granted(lease) = outcome {
            for promise in self.in_force() {
                assert_ne!(
                    promise.lease.name, lease.name,
                    "exclusion: granted to {lease:?} although promised: {promise:?}"
                );
            }
            assert!(lease.token > self.highest_decided, "fencing: a token twice");
            assert!(lease.token <= self.mark, "fencing: above the mark on disk");
            self.highest_decided = lease.token;
        }
        assert!(
            self.says_what_is_on_disk(outcome) || depends_on > seq(self.durable),
            "durability: {outcome:?} would be told before it is on disk"
        );
    }

    /// Whether `outcome` would be no lie if the process ended now.
    fn says_what_is_on_disk(&self, outcome: &LockOutcome) -> bool {
        match outcome {
            LockOutcome::Granted(_) | LockOutcome::Released => false,
            LockOutcome::Confirmed(lease) | LockOutcome::Held(lease) => {
                self.locks.get(&lease.name) == Some(lease)
            }
            // Judged with the command.
            LockOutcome::OverQuota(_)
            | LockOutcome::NotOwned
            | LockOutcome::Status(_)
            | LockOutcome::Leases(_)
            | LockOutcome::NoRoom
            | LockOutcome::NoToken => true,
        }
    }

    /// The same for what cannot be judged without the question.
    fn check_answer(&self, command: &LockCommand, outcome: &LockOutcome, depends_on: Seq) {
        let rows = Rows { locks: self.locks.clone(), mark: self.mark.get() };
        let owned = |name: &LockName, account: &AccountId, id: &LeaseId| {
            let row = rows.locks.get(name);
            row.is_some_and(|lease| lease.holder.account == *account && lease.id == *id)
        };
        let true_on_disk = match (command, outcome) {
            (LockCommand::Get { name }, LockOutcome::Status(lease)) => {
                rows.locks.get(name) == lease.as_ref()
            }
            (LockCommand::List { account, selection }, LockOutcome::Leases(leases)) => {
                page(&rows, *account, selection) == *leases
            }
            (
                LockCommand::Release { name, account, lease }
                | LockCommand::Renew { name, account, lease, .. },
                LockOutcome::NotOwned,
            ) => !owned(name, account, lease),
            (LockCommand::Acquire { holder, .. }, LockOutcome::OverQuota(quota)) => {
                let all = Selection::default();
                page(&rows, holder.account, &all).total >= quota.get() as usize
            }
            _ => true,
        };
        assert!(
            true_on_disk || depends_on > seq(self.durable),
            "durability: {outcome:?} would be told before it is on disk"
        );
    }

    /// Whoever was promised a lease has it, for as long as promised.
    fn check_promises(&mut self) {
        let promises: Vec<_> = self.in_force().cloned().collect();
        for promise in promises {
            let get = LockCommand::Get { name: promise.lease.name.clone() };
            let (LockOutcome::Status(Some(lease)), _) = self.ask(get, Room::Available) else {
                panic!("time: ended before it was promised to: {promise:?}");
            };
            assert_eq!(lease.id, promise.lease.id, "exclusion");
            assert_eq!(lease.token, promise.lease.token, "fencing");
            assert!(lease.expires >= promise.until, "time: {promise:?}");
        }
    }

    fn restart(&mut self, how: Restart, now: Instant) {
        if how == Restart::Stop {
            self.machine.close(&mut self.effects);
            self.records();
            self.write(self.last);
        }
        self.lose();
        if how == Restart::Reboot {
            for lease in self.locks.values_mut() {
                lease.expires = now + lease.ttl.as_duration();
            }
            let before = self.now;
            self.promises.retain(|promise| promise.until > before);
            for promise in &mut self.promises {
                promise.until = now + promise.until.since(before);
            }
        }
        self.now = now;
        let last = self.mark;
        self.mark = last.saturating_add(BLOCK);
        self.machine =
            LockMachine::new(self.locks.values().cloned(), Tokens::new(last, self.mark, BLOCK));
        self.effects = Effects::default();
        (self.last, self.durable) = (0, 0);
        for place in self.ended.values_mut() {
            *place = 0;
        }
        self.highest_decided = self.highest_told;
    }
}

impl StateMachineTest for Subject {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(_: &Reference) -> Self {
        Self::new()
    }

    fn apply(mut state: Self, reference: &Reference, _: Transition) -> Self {
        let step = reference.step.clone();
        if let Action::Restart(how) = step.action {
            state.restart(how, reference.now);
            state.check_promises();
            return state;
        }
        state.now = reference.now;
        match step.action {
            Action::Nothing => {}
            Action::Ask { command, room, outcome: expected, depends_on: expected_depends_on } => {
                let (outcome, depends_on) = state.ask(command.clone(), room);
                assert_eq!(outcome, expected);
                if let Depends::On(place) = expected_depends_on {
                    assert_eq!(depends_on, seq(place), "{command:?}");
                }
                assert!(depends_on <= state.effects.last());
                state.check_answer(&command, &outcome, depends_on);
                state.check_decision(&outcome, depends_on);
                assert_eq!(state.records(), step.records);
                if let LockCommand::Release { lease, .. } = command
                    && outcome == LockOutcome::Released
                {
                    state.ended.insert(lease, state.last);
                }
                if depends_on <= seq(state.durable) {
                    state.tell(&outcome);
                } else {
                    state.held.push((outcome, depends_on));
                }
            }
            Action::Deadline => {
                state.machine.on_deadline(state.now, &mut state.effects);
                assert_eq!(state.records(), step.records);
                let next = state.machine.next_deadline();
                assert!(next.is_none_or(|next| next > state.now));
            }
            Action::Undelivered(outcome) => {
                let (LockOutcome::Granted(lease) | LockOutcome::Confirmed(lease)) = &outcome else {
                    unreachable!("no other answer is kept");
                };
                let id = lease.id;
                state.machine.undelivered(outcome, &mut state.effects);
                let records = state.records();
                assert_eq!(records, step.records);
                if !records.is_empty() {
                    state.ended.insert(id, state.last);
                }
            }
            Action::Commit => state.write(reference.durable),
            Action::Settle => state.machine.settle(seq(state.durable)),
            Action::Refuse => {
                state.machine.settle(seq(state.durable));
                state.machine.rewind(seq(state.durable));
                state.lose();
            }
            Action::Restart(_) => unreachable!("above"),
        }
        assert_eq!(state.durable, reference.durable);
        state.check_promises();
        state
    }

    fn check_invariants(state: &Self, reference: &Reference) {
        let next = reference.rows().locks.values().map(|lease| lease.expires);
        assert_eq!(state.machine.next_deadline(), next.min());
        let on_disk = reference.on_disk();
        assert_eq!(state.locks, on_disk.locks);
        assert_eq!(state.mark.get(), on_disk.mark);
    }

    /// At the end, everything in the machine is looked at.
    fn teardown(mut state: Self, reference: Reference) {
        for number in 0..ACCOUNTS {
            let all =
                LockCommand::List { account: account(number), selection: Selection::default() };
            let expected = page(reference.rows(), account(number), &Selection::default());
            assert_eq!(state.ask(all, Room::Available).0, LockOutcome::Leases(expected));
        }
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x00c7_0570_4e00),
        ..ProptestConfig::default()
    })]

    #[test]
    fn exclusion_fencing_durability_and_time_hold_whatever_happens(
        sequential 1..200 => Subject
    );
}

/// The walks of the reference must come by the places it is there for.
#[test]
fn the_reference_comes_by_every_kind_of_step() {
    let mut runner = TestRunner::new_with_rng(
        ProptestConfig::default(),
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let mut seen = BTreeMap::<&str, u32>::new();
    for _ in 0..100 {
        let walk = Reference::sequential_strategy(100..200).new_tree(&mut runner);
        let (mut state, transitions, _) = walk.unwrap().current();
        for transition in transitions {
            let undone = state.last() - state.durable;
            state = Reference::apply(state, &transition);
            let step = match &state.step.action {
                Action::Nothing | Action::Settle | Action::Commit => continue,
                Action::Deadline if step_is_empty(&state) => continue,
                Action::Deadline => "expired",
                Action::Undelivered(_) if step_is_empty(&state) => "undelivered, kept",
                Action::Undelivered(_) => "undelivered, ended",
                Action::Refuse if undone == 0 => continue,
                Action::Refuse => "refused",
                Action::Restart(_) if state.rows().locks.is_empty() => continue,
                Action::Restart(Restart::Crash) => "crash",
                Action::Restart(Restart::Reboot) => "reboot",
                Action::Restart(Restart::Stop) => "stop",
                Action::Ask { outcome, .. } => match outcome {
                    LockOutcome::Granted(_) => "granted",
                    LockOutcome::Confirmed(_) if step_is_empty(&state) => "confirmed",
                    LockOutcome::Confirmed(_) => "extended",
                    LockOutcome::Held(_) => "held",
                    LockOutcome::OverQuota(_) => "over quota",
                    LockOutcome::NoRoom => "no room",
                    LockOutcome::NoToken => "no token",
                    LockOutcome::Released => "released",
                    LockOutcome::NotOwned => "not owned",
                    LockOutcome::Status(_) => "status",
                    LockOutcome::Leases(_) => "leases",
                },
            };
            *seen.entry(step).or_default() += 1;
        }
    }
    let often = seen.iter().filter(|(_, times)| **times >= 20).count();
    assert_eq!(often, 18, "{seen:?}");
}

fn step_is_empty(state: &Reference) -> bool {
    state.step.records.is_empty()
}
