//! The lock machine, promise by promise.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test that wants one outcome fails on every other"
)]

mod common;

use common::{
    QUOTA, account, acquire, at, get, holder, lease_id, list, metadata, name, owner, release,
    renew, seq, token, ttl,
};
use octostore_actors::{
    domain::{
        Effects, Machine, Moment, Record, Room, Ticket,
        lock::{Holder, Lease, LockCommand, LockMachine, LockOutcome, LockRecord, Tokens},
        page::{PageLimit, Selection},
        values::{FencingToken, LockQuota},
    },
    progress::Seq,
    time::Instant,
};

/// A machine, the time, and everything it wanted written.
struct World {
    machine: LockMachine,
    effects: Effects<LockOutcome>,
    now: Instant,
    room: Room,
    tickets: u64,
    leases: u64,
}

impl World {
    /// An empty one with more tokens than anybody needs.
    fn new() -> Self {
        Self::with([], Tokens::new(FencingToken::ZERO, token(1_000_000), 1_000_000))
    }

    fn with(leases: impl IntoIterator<Item = Lease>, tokens: Tokens) -> Self {
        Self {
            machine: LockMachine::new(leases, tokens),
            effects: Effects::default(),
            now: at(0),
            room: Room::Available,
            tickets: 0,
            leases: 0,
        }
    }

    /// Asks, and sees to it that there is one answer, with the ticket of the question.
    fn ask(&mut self, command: LockCommand) -> (LockOutcome, Seq) {
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
        (answer.outcome, answer.depends_on)
    }

    fn outcome(&mut self, command: LockCommand) -> LockOutcome {
        self.ask(command).0
    }

    fn depends_on(&mut self, command: LockCommand) -> Seq {
        self.ask(command).1
    }

    /// Acquires with a lease id of its own.
    fn acquire(&mut self, lock: &str, holder: Holder, seconds: u64) -> LockOutcome {
        self.leases += 1;
        self.outcome(acquire(lock, holder, seconds, self.leases))
    }

    fn grant(&mut self, lock: &str, holder: Holder, seconds: u64) -> Lease {
        match self.acquire(lock, holder, seconds) {
            LockOutcome::Granted(lease) => lease,
            other => panic!("{lock} was not granted: {other:?}"),
        }
    }

    fn confirm(&mut self, lock: &str, holder: Holder, seconds: u64) -> Lease {
        match self.acquire(lock, holder, seconds) {
            LockOutcome::Confirmed(lease) => lease,
            other => panic!("{lock} was not confirmed: {other:?}"),
        }
    }

    fn renew(&mut self, lease: &Lease, seconds: u64) -> LockOutcome {
        self.outcome(renew(lease.name.as_str(), lease.holder.account, lease.id, seconds))
    }

    fn release(&mut self, lease: &Lease) -> LockOutcome {
        self.outcome(release(lease.name.as_str(), lease.holder.account, lease.id))
    }

    fn get(&mut self, lock: &str) -> Option<Lease> {
        match self.outcome(get(lock)) {
            LockOutcome::Status(lease) => lease,
            other => panic!("{lock} has no status: {other:?}"),
        }
    }

    /// The names on one page, how many there are in all, and whether more follow.
    fn list(&mut self, number: u8, selection: Selection) -> (Vec<String>, usize, bool) {
        match self.outcome(list(account(number), selection)) {
            LockOutcome::Leases(page) => (
                page.items.iter().map(|lease| lease.name.to_string()).collect(),
                page.total,
                page.more,
            ),
            other => panic!("no list: {other:?}"),
        }
    }

    fn expire(&mut self) {
        self.machine.on_deadline(self.now, &mut self.effects);
    }

    fn undelivered(&mut self, outcome: LockOutcome) {
        self.machine.undelivered(outcome, &mut self.effects);
    }

    /// The store has taken everything so far.
    fn settle(&mut self) {
        self.effects.take_records();
        self.machine.settle(self.effects.last());
    }

    /// What is wanted on disk since the last look.
    fn records(&mut self) -> Vec<LockRecord> {
        let lock = |record| match record {
            Record::Lock(record) => record,
            Record::Account(record) => panic!("not of this domain: {record:?}"),
        };
        self.effects.take_records().into_iter().map(lock).collect()
    }

    /// Everything anybody can learn of the machine, up to the end of its last lease.
    fn life(mut self, locks: &[&str]) -> Vec<String> {
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

// What a grant is.

#[test]
fn a_free_lock_is_granted_as_it_was_asked_for() {
    let mut world = World::new();
    world.now = at(7);
    let asked = LockCommand::Acquire {
        name: name("jobs/nightly"),
        holder: owner(1, "pod-1"),
        ttl: ttl(30),
        lease: lease_id(42),
        metadata: Some(metadata("eu-1")),
        quota: QUOTA,
    };
    let (outcome, depends_on) = world.ask(asked);
    let lease = Lease {
        name: name("jobs/nightly"),
        holder: owner(1, "pod-1"),
        id: lease_id(42),
        token: token(1),
        ttl: ttl(30),
        expires: at(37),
        metadata: Some(metadata("eu-1")),
    };
    assert_eq!(outcome, LockOutcome::Granted(lease.clone()));
    assert_eq!(depends_on, seq(1), "a grant waits for its own record");
    assert_eq!(world.records(), [LockRecord::Held(lease.clone())]);
    assert_eq!(world.machine.next_deadline(), Some(at(37)));
    assert_eq!(world.get("jobs/nightly"), Some(lease));
}

#[test]
fn a_free_lock_says_so() {
    let mut world = World::new();
    assert_eq!(world.get("free"), None);
    assert_eq!(world.machine.next_deadline(), None);
    assert!(world.records().is_empty());
}

#[test]
fn exclusion_a_held_lock_is_refused_to_everybody_else() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    world.settle();
    assert_eq!(
        world.acquire("a", holder(2), 10),
        LockOutcome::Held(lease.clone()),
        "the refusal names the lease in the way"
    );
    assert_eq!(world.get("a"), Some(lease));
    assert!(world.records().is_empty(), "a refusal changes nothing");
    world.grant("b", holder(2), 10);
}

#[test]
fn exclusion_owners_of_one_account_exclude_each_other() {
    for (first, second) in
        [(owner(1, "x"), owner(1, "y")), (owner(1, "x"), holder(1)), (holder(1), owner(1, "x"))]
    {
        let mut world = World::new();
        let lease = world.grant("a", first.clone(), 10);
        assert_eq!(world.acquire("a", second, 10), LockOutcome::Held(lease.clone()));
        assert_eq!(world.confirm("a", first, 10), lease);
    }
}

#[test]
fn a_reacquire_keeps_lease_token_and_metadata() {
    let mut world = World::new();
    let asked = |lease, text: Option<&str>, seconds| LockCommand::Acquire {
        name: name("a"),
        holder: owner(1, "x"),
        ttl: ttl(seconds),
        lease: lease_id(lease),
        metadata: text.map(metadata),
        quota: QUOTA,
    };
    let LockOutcome::Granted(first) = world.outcome(asked(1, Some("mine"), 10)) else {
        panic!("not granted");
    };
    for (lease, text) in [(2, Some("other")), (3, None)] {
        assert_eq!(world.outcome(asked(lease, text, 10)), LockOutcome::Confirmed(first.clone()));
    }
    world.now = at(4);
    assert_eq!(
        world.outcome(asked(4, None, 20)),
        LockOutcome::Confirmed(Lease { ttl: ttl(20), expires: at(24), ..first })
    );
}

#[test]
fn time_a_reacquire_ends_at_the_later_of_both_ends() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    world.settle();
    world.now = at(3);
    for seconds in [1, 6, 7] {
        assert_eq!(
            world.confirm("a", holder(1), seconds),
            lease,
            "the promise of ten seconds stands, and so does the TTL it came with"
        );
    }
    assert!(world.records().is_empty(), "nothing changed");
    assert_eq!(world.machine.next_deadline(), Some(at(10)));
    let longer = world.confirm("a", holder(1), 8);
    assert_eq!((longer.expires, longer.ttl), (at(11), ttl(8)));
    assert_eq!(world.records(), [LockRecord::Held(longer)]);
    assert_eq!(world.machine.next_deadline(), Some(at(11)));
}

#[test]
fn time_a_renewal_only_extends() {
    let mut world = World::new();
    let lease = world.grant("a", owner(1, "x"), 10);
    world.settle();
    world.now = at(5);
    for seconds in [1, 5] {
        assert_eq!(world.renew(&lease, seconds), LockOutcome::Confirmed(lease.clone()));
    }
    assert!(world.records().is_empty());
    let longer = Lease { ttl: ttl(6), expires: at(11), ..lease.clone() };
    assert_eq!(world.renew(&lease, 6), LockOutcome::Confirmed(longer.clone()));
    assert_eq!(world.records(), [LockRecord::Held(longer.clone())]);
    assert_eq!(world.get("a"), Some(longer));
    assert_eq!(world.machine.next_deadline(), Some(at(11)));
    world.now = at(10);
    world.expire();
    assert!(world.get("a").is_some(), "the old end is forgotten");
    world.now = at(11);
    world.expire();
    assert_eq!(world.get("a"), None);
}

#[test]
fn a_release_makes_the_lock_free_for_anybody() {
    let mut world = World::new();
    let lease = world.grant("a", owner(1, "x"), 10);
    world.settle();
    assert_eq!(world.release(&lease), LockOutcome::Released);
    assert_eq!(world.records(), [LockRecord::Free(name("a"))]);
    assert_eq!(world.get("a"), None);
    assert_eq!(world.machine.next_deadline(), None);
    let next = world.grant("a", holder(2), 10);
    assert!(next.token > lease.token);
    assert_eq!(world.release(&lease), LockOutcome::NotOwned, "a lease is released once");
    assert_eq!(world.get("a"), Some(next));
}

#[test]
fn who_does_not_own_the_lease_can_neither_release_nor_renew() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    let ended = world.grant("released", holder(1), 10);
    world.release(&ended);
    let expired = world.grant("expired", holder(1), 1);
    world.now = at(1);
    world.expire();
    world.settle();
    for (what, lock, number, id) in [
        ("a wrong lease", "a", 1, lease_id(999)),
        ("another account", "a", 2, lease.id),
        ("another account with a wrong lease", "a", 2, lease_id(999)),
        ("another lock's lease", "a", 1, ended.id),
        ("a lock that was never held", "never", 1, lease.id),
        ("a released lock", "released", 1, ended.id),
        ("an expired lock", "expired", 1, expired.id),
    ] {
        let not_owned = (LockOutcome::NotOwned, Seq::NONE);
        assert_eq!(world.ask(release(lock, account(number), id)), not_owned, "{what}");
        assert_eq!(world.ask(renew(lock, account(number), id, 3600)), not_owned, "{what}");
    }
    assert!(world.records().is_empty());
    assert_eq!(world.get("a"), Some(lease));
}

// Expiry is an event.

#[test]
fn time_in_the_instant_of_its_expiry_a_lock_is_held_until_the_expiry_is_handled() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    world.settle();
    world.now = lease.expires;
    assert_eq!(world.get("a"), Some(lease.clone()));
    assert_eq!(world.acquire("a", holder(2), 10), LockOutcome::Held(lease.clone()));
    assert_eq!(world.list(1, Selection::default()), (vec!["a".into()], 1, false));
    let LockOutcome::Confirmed(renewed) = world.renew(&lease, 10) else {
        panic!("the renewal came before the expiry");
    };
    assert_eq!(renewed.expires, at(20));
    world.expire();
    assert_eq!(world.get("a"), Some(renewed), "it was renewed in time");
}

#[test]
fn time_in_the_instant_of_its_expiry_a_lock_is_free_once_the_expiry_is_handled() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    world.settle();
    world.now = lease.expires;
    world.expire();
    assert_eq!(world.records(), [LockRecord::Free(name("a"))]);
    assert_eq!(world.get("a"), None);
    assert_eq!(world.renew(&lease, 10), LockOutcome::NotOwned);
    assert_eq!(world.release(&lease), LockOutcome::NotOwned);
    assert_eq!(world.list(1, Selection::default()), (vec![], 0, false));
    assert_eq!(world.machine.next_deadline(), None);
    world.grant("a", holder(2), 10);
}

#[test]
fn time_a_release_in_the_instant_of_the_expiry_is_a_release() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    world.now = lease.expires;
    assert_eq!(world.release(&lease), LockOutcome::Released);
    world.records();
    world.expire();
    assert!(world.records().is_empty(), "it has ended already");
}

#[test]
fn time_nothing_ends_a_nanosecond_early() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    world.now = Instant::from_nanos(lease.expires.as_nanos() - 1);
    world.expire();
    assert_eq!(world.get("a"), Some(lease));
}

#[test]
fn time_leases_end_in_order_and_only_those_that_are_due() {
    let mut world = World::new();
    world.grant("late", holder(1), 30);
    world.grant("first", holder(1), 10);
    world.grant("second", holder(2), 10);
    world.grant("third", holder(1), 20);
    world.records();
    assert_eq!(world.machine.next_deadline(), Some(at(10)));
    world.now = at(29);
    world.expire();
    let ended = ["first", "second", "third"].map(|lock| LockRecord::Free(name(lock)));
    assert_eq!(world.records(), ended);
    assert_eq!(world.machine.next_deadline(), Some(at(30)));
    assert!(world.get("late").is_some());
}

#[test]
fn bounded_a_mass_expiry_is_handled_a_part_at_a_time_and_completes() {
    const LEASES: usize = 2_000;
    const AT_ONCE: usize = 512;
    let mut world = World::new();
    let unlimited = LockQuota::new(u32::MAX);
    for number in 0..LEASES as u64 {
        let asked = LockCommand::Acquire {
            name: name(&format!("lock-{number}")),
            holder: holder(1),
            ttl: ttl(1),
            lease: lease_id(number),
            metadata: None,
            quota: unlimited,
        };
        assert!(matches!(world.outcome(asked), LockOutcome::Granted(_)));
    }
    world.settle();
    world.now = at(5);
    let mut ended = 0;
    while world.machine.next_deadline().is_some_and(|due| due <= world.now) {
        world.expire();
        let records = world.records();
        assert!((1..=AT_ONCE).contains(&records.len()), "{} at once", records.len());
        ended += records.len();
    }
    assert_eq!(ended, LEASES);
    assert_eq!(world.list(1, Selection::default()).1, 0);
    assert_eq!(world.machine.next_deadline(), None);
}

// Quotas and lists.

#[test]
fn bounded_an_account_holds_as_many_locks_as_its_quota_and_no_more() {
    let mut world = World::new();
    let over = LockOutcome::OverQuota(QUOTA);
    let foreign = world.grant("foreign", holder(2), 60);
    for number in 0..99 {
        // Owners share the quota of their account.
        let holder = if number % 2 == 0 { holder(1) } else { owner(1, "x") };
        world.grant(&format!("lock-{number}"), holder, 60);
    }
    let hundredth = world.grant("lock-99", holder(1), 60);
    world.settle();
    assert_eq!(world.acquire("one-more", holder(1), 60), over);
    assert_eq!(world.acquire("one-more", owner(1, "y"), 60), over);
    assert!(world.records().is_empty());
    assert_eq!(world.get("one-more"), None);
    assert_eq!(world.confirm("lock-99", holder(1), 60), hundredth, "a re-acquire needs no room");
    assert_eq!(
        world.acquire("foreign", holder(1), 60),
        LockOutcome::Held(foreign),
        "somebody else's lock is held, whatever the quota"
    );
    world.grant("one-more", holder(2), 60);

    world.release(&hundredth);
    world.grant("instead", holder(1), 60);
    assert_eq!(world.acquire("two-more", holder(1), 60), over);
}

#[test]
fn bounded_an_expired_lease_makes_room_in_the_quota() {
    let mut world = World::new();
    let one = |lock: &str, lease| LockCommand::Acquire {
        name: name(lock),
        holder: holder(1),
        ttl: ttl(10),
        lease: lease_id(lease),
        metadata: None,
        quota: LockQuota::new(1),
    };
    world.outcome(one("a", 1));
    assert_eq!(world.outcome(one("b", 2)), LockOutcome::OverQuota(LockQuota::new(1)));
    world.now = at(10);
    world.expire();
    assert!(matches!(world.outcome(one("b", 3)), LockOutcome::Granted(_)));
}

#[test]
fn bounded_a_quota_of_nothing_grants_nothing() {
    let mut world = World::new();
    let asked = LockCommand::Acquire {
        name: name("a"),
        holder: holder(1),
        ttl: ttl(10),
        lease: lease_id(1),
        metadata: None,
        quota: LockQuota::new(0),
    };
    assert_eq!(world.outcome(asked), LockOutcome::OverQuota(LockQuota::new(0)));
}

#[test]
fn a_list_is_sorted_and_shows_only_the_accounts_own_leases() {
    let mut world = World::new();
    for lock in ["b", "a/z", "a", "c", "a.b"] {
        world.grant(lock, holder(1), 60);
    }
    let mine = world.grant("a-b", owner(1, "x"), 60);
    world.grant("a-foreign", holder(2), 60);
    let all = ["a", "a-b", "a.b", "a/z", "b", "c"].map(String::from);
    assert_eq!(world.list(1, Selection::default()), (all.to_vec(), 6, false));
    assert_eq!(world.list(2, Selection::default()), (vec!["a-foreign".into()], 1, false));
    assert_eq!(world.list(3, Selection::default()), (vec![], 0, false));

    let LockOutcome::Leases(page) = world.outcome(list(account(1), Selection::default())) else {
        panic!("no list");
    };
    assert_eq!(page.items[1], mine, "with all there is to know");
}

#[test]
fn a_list_can_be_read_page_by_page() {
    let mut world = World::new();
    for lock in ["a", "b/1", "b/2", "b/3", "c"] {
        world.grant(lock, holder(1), 60);
    }
    let mut page = |prefix: &str, after: Option<&str>, limit| {
        let selection = Selection {
            prefix: prefix.into(),
            after: after.map(Into::into),
            limit: PageLimit::new(limit).unwrap(),
        };
        let (names, total, more) = world.list(1, selection);
        (names.join(" "), total, more)
    };
    assert_eq!(page("", None, 2), ("a b/1".into(), 5, true));
    assert_eq!(page("", Some("b/1"), 2), ("b/2 b/3".into(), 5, true));
    assert_eq!(page("", Some("b/3"), 2), ("c".into(), 5, false));
    assert_eq!(page("b/", None, 2), ("b/1 b/2".into(), 3, true));
    assert_eq!(page("b/", Some("b/2"), 2), ("b/3".into(), 3, false));
    assert_eq!(page("b/", Some("a"), 3), ("b/1 b/2 b/3".into(), 3, false));
    assert_eq!(page("b/", Some("c"), 3), (String::new(), 3, false));
    assert_eq!(page("x", None, 3), (String::new(), 0, false));
}

// Fencing.

#[test]
fn fencing_tokens_rise_with_every_grant_of_every_lock() {
    let mut world = World::new();
    let mut highest = FencingToken::ZERO;
    let mut lease = world.grant("b", holder(2), 1);
    for round in 0..50 {
        assert!(lease.token > highest);
        highest = lease.token;
        match round % 3 {
            0 => {
                world.release(&lease);
            }
            1 => {
                world.now = lease.expires;
                world.expire();
            }
            _ => world.undelivered(LockOutcome::Granted(lease.clone())),
        }
        let before = highest;
        let other = world.grant(&format!("lock-{round}"), holder(1), 3600);
        assert!(other.token > before);
        highest = other.token;
        lease = world.grant("b", holder(2), 1);
    }
}

#[test]
fn fencing_a_confirmation_spends_no_token() {
    let mut world = World::new();
    let first = world.grant("a", holder(1), 10);
    world.confirm("a", holder(1), 20);
    world.renew(&first, 30);
    world.acquire("a", holder(2), 10);
    let second = world.grant("b", holder(1), 10);
    assert_eq!(second.token.get(), first.token.get() + 1);
}

#[test]
fn fencing_the_mark_is_raised_a_block_ahead_and_no_token_is_above_it() {
    let mut world = World::with([], Tokens::new(token(100), token(104), 4));
    let mut on_disk = token(104);
    let mut raised = Vec::new();
    for number in 0..20 {
        let lease = world.grant(&format!("lock-{number}"), holder(1), 60);
        assert_eq!(lease.token, token(101 + number));
        assert!(lease.token <= on_disk, "{:?} above the mark", lease.token);
        for record in world.records() {
            if let LockRecord::TokenMark(mark) = record {
                on_disk = mark;
                raised.push(mark.get());
            }
        }
        world.machine.settle(world.effects.last());
    }
    assert_eq!(raised, [108, 112, 116, 120, 124]);
}

#[test]
fn fencing_a_mark_on_its_way_to_the_disk_counts_for_nothing() {
    let mut world = World::with([], Tokens::new(FencingToken::ZERO, token(2), 4));
    world.grant("a", holder(1), 60);
    world.grant("b", holder(1), 60);
    let raised = LockRecord::TokenMark(token(6));
    assert_eq!(world.records()[0], raised, "raised with the first, ahead of need");
    let refused = (LockOutcome::NoToken, Seq::NONE);
    assert_eq!(world.ask(acquire("c", holder(1), 60, 3)), refused);
    assert_eq!(world.ask(acquire("d", holder(2), 60, 4)), refused);
    assert!(world.records().is_empty(), "it is raised once");
    assert_eq!(world.get("c"), None);
    world.machine.settle(seq(1));
    assert_eq!(world.grant("c", holder(1), 60).token, token(3));
}

#[test]
fn fencing_a_refused_mark_is_raised_again() {
    let mut world = World::with([], Tokens::new(FencingToken::ZERO, token(1), 4));
    assert_eq!(world.grant("a", holder(1), 60).token, token(1));
    world.records();
    world.machine.rewind(Seq::NONE);
    assert_eq!(world.acquire("a", holder(1), 60), LockOutcome::NoToken);
    assert_eq!(world.records(), [LockRecord::TokenMark(token(5))]);
    world.machine.settle(world.effects.last());
    assert_eq!(world.grant("a", holder(1), 60).token, token(2));
}

#[test]
fn fencing_no_token_is_granted_twice_not_even_one_that_reached_nobody() {
    let mut world = World::new();
    let undone = world.grant("a", holder(1), 60);
    world.machine.rewind(Seq::NONE);
    assert_eq!(world.get("a"), None);
    assert!(world.grant("a", holder(2), 60).token > undone.token);
}

#[test]
fn fencing_the_last_token_there_can_be_is_granted_and_none_after_it() {
    let last = FencingToken::MAX.get();
    let mut world = World::with([], Tokens::new(token(last - 2), token(last - 1), 4));
    assert_eq!(world.grant("a", holder(1), 60).token, token(last - 1));
    assert_eq!(
        world.records()[0],
        LockRecord::TokenMark(FencingToken::MAX),
        "the mark stops at the last"
    );
    world.settle();
    let highest = world.grant("b", holder(1), 60);
    assert_eq!(highest.token, FencingToken::MAX);
    world.settle();
    for number in 0..3 {
        assert_eq!(
            world.ask(acquire("c", holder(1), 60, 90 + number)),
            (LockOutcome::NoToken, Seq::NONE)
        );
    }
    assert!(world.records().is_empty(), "there is nothing to raise");
    assert_eq!(world.confirm("b", holder(1), 60), highest);
    assert_eq!(world.release(&highest), LockOutcome::Released);
}

#[test]
fn fencing_a_clean_stop_records_the_last_token() {
    let mut world = World::with([], Tokens::new(token(5), token(50), 10));
    world.grant("a", holder(1), 60);
    let last = world.grant("b", holder(1), 60);
    world.release(&last);
    world.records();
    world.machine.close(&mut world.effects);
    assert_eq!(world.records(), [LockRecord::TokenMark(token(7))]);
}

#[test]
fn fencing_a_stop_without_a_grant_spends_nothing() {
    let mut world = World::with([], Tokens::new(token(5), token(50), 10));
    world.machine.close(&mut world.effects);
    assert_eq!(world.records(), [LockRecord::TokenMark(token(5))]);
}

#[test]
#[should_panic(expected = "above the mark")]
fn fencing_a_file_with_a_token_above_its_mark_is_not_believed() {
    let _tokens = Tokens::new(token(6), token(5), 10);
}

#[test]
#[should_panic(expected = "not granted yet")]
fn fencing_a_file_with_a_lease_above_the_last_token_is_not_believed() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    World::with([lease], Tokens::new(FencingToken::ZERO, token(9), 10));
}

// No ghosts.

#[test]
fn no_ghosts_a_grant_nobody_heard_of_ends() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    world.settle();
    world.undelivered(LockOutcome::Granted(lease));
    assert_eq!(world.records(), [LockRecord::Free(name("a"))]);
    assert_eq!(world.get("a"), None);
    assert_eq!(world.machine.next_deadline(), None);
    assert_eq!(world.list(1, Selection::default()), (vec![], 0, false));
    world.grant("a", holder(2), 60);
}

#[test]
fn no_ghosts_a_confirmed_retry_keeps_the_lease() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    let longer = world.confirm("a", holder(1), 90);
    world.settle();
    world.undelivered(LockOutcome::Granted(lease));
    assert!(world.records().is_empty());
    assert_eq!(world.get("a"), Some(longer));
}

#[test]
fn no_ghosts_a_confirmation_that_changed_nothing_keeps_the_lease_too() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    world.confirm("a", holder(1), 1);
    world.settle();
    world.undelivered(LockOutcome::Granted(lease.clone()));
    assert_eq!(world.get("a"), Some(lease));
}

#[test]
fn no_ghosts_an_undelivered_renewal_does_not_end_a_lease_somebody_knows_of() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    let renewed = world.renew(&lease, 90);
    world.settle();
    world.undelivered(renewed);
    assert_eq!(world.get("a").unwrap().expires, at(90));
}

#[test]
fn no_ghosts_two_answers_that_both_reached_nobody_end_the_lease() {
    for first_is_grant in [true, false] {
        let mut world = World::new();
        let granted = LockOutcome::Granted(world.grant("a", holder(1), 60));
        let confirmed = LockOutcome::Confirmed(world.confirm("a", holder(1), 90));
        world.settle();
        let (first, second) =
            if first_is_grant { (granted, confirmed) } else { (confirmed, granted) };
        world.undelivered(first);
        assert!(world.get("a").is_some());
        world.undelivered(second);
        assert_eq!(world.get("a"), None);
        assert_eq!(world.records(), [LockRecord::Free(name("a"))]);
    }
}

#[test]
fn no_ghosts_a_lease_from_before_a_restart_never_ends_by_an_undelivered_answer() {
    let mut before = World::new();
    let lease = before.grant("a", holder(1), 60);
    let mut world = World::with([lease.clone()], Tokens::new(token(1), token(9), 10));
    for _ in 0..5 {
        let confirmed = world.acquire("a", holder(1), 60);
        assert_eq!(confirmed, LockOutcome::Confirmed(lease.clone()));
        world.undelivered(confirmed.clone());
        world.undelivered(confirmed);
    }
    assert_eq!(world.get("a"), Some(lease));
    assert!(world.records().is_empty());
}

#[test]
fn no_ghosts_an_undelivered_answer_of_an_earlier_lease_does_not_end_a_later_one() {
    let mut world = World::new();
    let first = world.grant("a", holder(1), 60);
    let stale = LockOutcome::Granted(first.clone());
    world.release(&first);
    world.undelivered(stale.clone());
    assert_eq!(world.get("a"), None);
    let second = world.grant("a", holder(1), 60);
    world.settle();
    world.undelivered(stale);
    assert_eq!(world.get("a"), Some(second));
    assert!(world.records().is_empty());
}

#[test]
fn no_ghosts_any_other_answer_may_get_lost_without_consequence() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    world.settle();
    for outcome in [
        LockOutcome::Held(lease.clone()),
        LockOutcome::OverQuota(QUOTA),
        LockOutcome::NoRoom,
        LockOutcome::NoToken,
        LockOutcome::Released,
        LockOutcome::NotOwned,
        LockOutcome::Status(Some(lease.clone())),
        world.outcome(list(account(1), Selection::default())),
    ] {
        world.undelivered(outcome);
    }
    assert_eq!(world.get("a"), Some(lease));
    assert!(world.records().is_empty());
}

// A full store.

#[test]
fn without_room_nothing_is_granted_but_what_is_held_goes_on() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    let other = world.grant("b", holder(1), 10);
    world.settle();
    world.room = Room::Exhausted;
    assert_eq!(world.ask(acquire("c", holder(1), 60, 9)), (LockOutcome::NoRoom, Seq::NONE));
    assert!(world.records().is_empty());
    assert_eq!(world.get("c"), None);
    assert_eq!(world.acquire("a", holder(2), 60), LockOutcome::Held(lease.clone()));
    world.now = at(5);
    assert!(matches!(
        world.renew(&lease, 60),
        LockOutcome::Confirmed(lease) if lease.expires == at(65)
    ));
    assert_eq!(world.confirm("a", holder(1), 70).expires, at(75));
    assert_eq!(world.release(&lease), LockOutcome::Released);
    world.now = other.expires;
    world.expire();
    assert_eq!(world.get("b"), None);
    world.room = Room::Available;
    world.grant("c", holder(1), 60);
}

#[test]
fn fencing_a_grant_refused_for_want_of_room_spends_no_token() {
    let mut world = World::new();
    world.room = Room::Exhausted;
    assert_eq!(world.acquire("a", holder(1), 60), LockOutcome::NoRoom);
    world.room = Room::Available;
    assert_eq!(world.grant("a", holder(1), 60).token, token(1));
}

// What an answer waits for.

#[test]
fn durability_what_is_on_disk_may_be_told_at_once() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    let ended = world.grant("ended", holder(1), 60);
    world.release(&ended);
    world.settle();
    // Something else is on its way; it is none of their business.
    world.grant("other", holder(3), 60);
    for command in [
        get("a"),
        get("ended"),
        get("never"),
        acquire("a", holder(2), 60, 90),
        acquire("a", holder(1), 1, 91),
        renew("a", account(1), lease.id, 1),
        renew("ended", account(1), ended.id, 1),
        release("ended", account(1), ended.id),
        release("a", account(2), lease.id),
    ] {
        assert_eq!(world.depends_on(command.clone()), Seq::NONE, "{command:?}");
    }
}

#[test]
fn durability_whatever_saw_a_change_waits_for_it() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    let ended = world.grant("ended", holder(1), 60);
    world.release(&ended);
    let brief = world.grant("expired", holder(1), 1);
    world.now = brief.expires;
    world.expire();
    let (changed, removed, expired) = (seq(1), seq(3), seq(5));
    world.grant("other", holder(3), 60);
    for (command, seen) in [
        (get("a"), changed),
        (acquire("a", holder(2), 60, 90), changed),
        (acquire("a", holder(1), 1, 91), changed),
        (renew("a", account(1), lease.id, 1), changed),
        (release("a", account(2), lease.id), changed),
        (renew("a", account(1), lease_id(99), 1), changed),
        (get("ended"), removed),
        (release("ended", account(1), ended.id), removed),
        (renew("ended", account(1), ended.id, 1), removed),
        (get("expired"), expired),
        (release("expired", account(1), brief.id), expired),
    ] {
        assert_eq!(world.depends_on(command.clone()), seen, "{command:?}");
    }
    world.machine.settle(seq(4));
    assert_eq!(world.depends_on(get("a")), Seq::NONE);
    assert_eq!(world.depends_on(get("ended")), Seq::NONE);
    assert_eq!(world.depends_on(get("expired")), expired);
}

#[test]
fn durability_an_answer_waits_for_the_latest_of_several_changes() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    assert_eq!(world.depends_on(renew("a", account(1), lease.id, 20)), seq(2));
    assert_eq!(world.depends_on(get("a")), seq(2));
    world.machine.settle(seq(1));
    assert_eq!(world.depends_on(get("a")), seq(2));
    assert_eq!(world.depends_on(release("a", account(1), lease.id)), seq(3));
    let (granted, depends_on) = world.ask(acquire("a", holder(2), 10, 8));
    assert_eq!(depends_on, seq(4));
    world.undelivered(granted);
    assert_eq!(world.depends_on(get("a")), seq(5));
}

#[test]
fn durability_a_list_and_a_full_quota_wait_for_every_change_they_saw() {
    let mut world = World::new();
    world.grant("a", holder(1), 60);
    let b = world.grant("b", holder(1), 60);
    let over = LockCommand::Acquire {
        name: name("c"),
        holder: holder(1),
        ttl: ttl(1),
        lease: lease_id(9),
        metadata: None,
        quota: LockQuota::new(1),
    };
    assert!(world.depends_on(list(account(1), Selection::default())) >= seq(2));
    assert!(world.depends_on(over.clone()) >= seq(2));
    world.settle();
    let durable = world.effects.last();
    assert!(world.depends_on(list(account(1), Selection::default())) <= durable);
    assert!(world.depends_on(over) <= durable);
    world.release(&b);
    assert!(
        world.depends_on(list(account(1), Selection::default())) > durable,
        "what is missing was seen too"
    );
}

// A refused commit.

const LOCKS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Four leases, all on disk.
fn settled() -> (World, [Lease; 4]) {
    let mut world = World::new();
    let a = world.grant("a", holder(1), 10);
    let b = world.grant("b", owner(1, "x"), 20);
    let c = world.grant("c", holder(2), 30);
    let d = world.grant("d", holder(3), 40);
    world.settle();
    (world, [a, b, c, d])
}

#[test]
fn a_refused_commit_leaves_exactly_what_was_before() {
    let (mut world, [a, b, c, _]) = settled();
    let durable = world.effects.last();
    world.now = at(5);
    world.release(&a);
    world.grant("a", holder(2), 100);
    world.renew(&b, 200);
    world.confirm("b", owner(1, "x"), 300);
    world.release(&c);
    world.grant("c", holder(2), 7);
    world.grant("e", holder(1), 3);
    let f = world.grant("f", holder(3), 4);
    world.undelivered(LockOutcome::Granted(f));
    world.now = at(40);
    world.expire();
    world.grant("d", holder(0), 50);
    world.machine.rewind(durable);

    for lock in LOCKS {
        assert_eq!(world.depends_on(get(lock)), Seq::NONE, "{lock} is as it is on disk");
    }
    world.now = at(5);
    let twin = settled().0;
    assert_eq!(world.life(&LOCKS), twin.life(&LOCKS));
}

#[test]
fn a_commit_refused_in_part_leaves_the_part_that_is_on_disk() {
    let (mut world, [a, b, ..]) = settled();
    world.release(&a);
    world.renew(&b, 200);
    let durable = world.effects.last();
    world.release(&b);
    world.grant("a", holder(2), 100);
    world.machine.rewind(durable);

    let (mut twin, [a, b, ..]) = settled();
    twin.release(&a);
    twin.renew(&b, 200);
    assert_eq!(world.life(&LOCKS), twin.life(&LOCKS));
}

#[test]
fn a_refused_commit_gives_the_quota_back_and_takes_it_again() {
    let two = |lock: &str, lease| LockCommand::Acquire {
        name: name(lock),
        holder: holder(1),
        ttl: ttl(10),
        lease: lease_id(lease),
        metadata: None,
        quota: LockQuota::new(2),
    };
    let mut world = World::new();
    world.outcome(two("a", 1));
    world.settle();
    let durable = world.effects.last();
    world.outcome(two("b", 2));
    world.machine.rewind(durable);
    assert!(matches!(world.outcome(two("c", 3)), LockOutcome::Granted(_)));
    world.settle();
    let durable = world.effects.last();
    world.outcome(release("a", account(1), lease_id(1)));
    world.machine.rewind(durable);
    assert_eq!(world.outcome(two("d", 4)), LockOutcome::OverQuota(LockQuota::new(2)));
}

#[test]
fn no_ghosts_a_refused_confirmation_does_not_count_as_told() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    world.settle();
    let durable = world.effects.last();
    world.confirm("a", holder(1), 20);
    world.machine.rewind(durable);
    assert_eq!(world.get("a"), Some(lease.clone()));
    world.undelivered(LockOutcome::Granted(lease));
    assert_eq!(world.get("a"), None, "the only answer reached nobody");
}

#[test]
fn time_a_machine_continues_with_what_is_on_disk() {
    let (before, leases) = settled();
    let world = World::with(leases, Tokens::new(token(4), token(9), 10));
    assert_eq!(world.life(&LOCKS), before.life(&LOCKS));
}
