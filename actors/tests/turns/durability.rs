//! What leaves, and when.

use crate::{
    bench::{Bench, FREE, RELEASED, TENDED, free, granted, told},
    by_hand::{persistence, turn_of},
    common::{account, get, holder, lease_id, list, release, seq},
};
use octostore_actors::{
    actor::Flow,
    domain::{
        lock::{Holder, LockOutcome, LockRecord},
        values::AccountId,
    },
    progress::Progress,
    reply::Waiting,
    sync::{Arc, Mutex, lock},
};
use std::{
    pin::Pin,
    task::{Context, Poll, Wake, Waker},
};

#[test]
fn durability_a_reply_is_held_until_its_commit() {
    let mut bench = Bench::new();
    let mut acquire = bench.acquire("a", holder(1), 10);
    assert_eq!(told(&mut acquire), Poll::Pending);
    assert_eq!(bench.turn(), Flow::Continue);
    assert_eq!(told(&mut acquire), Poll::Pending, "decided is not durable");
    assert_eq!(bench.disk.lease("a"), None);
    bench.commit();
    let lease = granted(&mut acquire);
    assert_eq!(bench.disk.lease("a"), Some(lease.clone()));

    let mut release = bench.release(&lease);
    bench.turn();
    assert_eq!(told(&mut release), Poll::Pending);
    bench.commit();
    assert_eq!(told(&mut release), RELEASED);
    assert_eq!(bench.disk.lease("a"), None);
}

#[test]
fn durability_a_read_of_what_is_on_disk_is_answered_at_once() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 10);
    // Another lock's change on its way is none of its business.
    let mut other = bench.acquire("b", holder(1), 10);
    let (mut read, mut free) = (bench.ask(get("a")), bench.ask(get("free")));
    let mut refused = bench.acquire("a", holder(2), 10);
    let mut not_owned = bench.ask(release("a", account(2), lease.id));
    let mut confirmed = bench.renew(&lease, 1);
    bench.turn();
    let held = LockOutcome::Held(lease.clone());
    assert_eq!(told(&mut read), Poll::Ready(Ok(LockOutcome::Status(Some(lease.clone())))));
    assert_eq!(told(&mut free), FREE);
    assert_eq!(told(&mut refused), Poll::Ready(Ok(held)));
    assert_eq!(told(&mut not_owned), Poll::Ready(Ok(LockOutcome::NotOwned)));
    assert_eq!(told(&mut confirmed), Poll::Ready(Ok(LockOutcome::Confirmed(lease))));
    assert_eq!(told(&mut other), Poll::Pending);
    assert_eq!(bench.disk.commits(), 1);
}

#[test]
fn durability_reads_and_refusals_that_saw_a_change_wait_for_it() {
    let mut bench = Bench::new();
    let mut first = bench.acquire("a", holder(1), 10);
    bench.turn();
    let mut refused = bench.acquire("a", holder(2), 10);
    let mut read = bench.ask(get("a"));
    let mut not_owned = bench.ask(release("a", account(2), lease_id(77)));
    bench.turn();
    assert_eq!(told(&mut refused), Poll::Pending);
    assert_eq!(told(&mut read), Poll::Pending);
    assert_eq!(told(&mut not_owned), Poll::Pending);
    bench.commit();
    let lease = granted(&mut first);
    assert_eq!(told(&mut refused), Poll::Ready(Ok(LockOutcome::Held(lease.clone()))));
    assert_eq!(told(&mut read), Poll::Ready(Ok(LockOutcome::Status(Some(lease)))));
    assert_eq!(told(&mut not_owned), Poll::Ready(Ok(LockOutcome::NotOwned)));
}

#[test]
fn durability_a_read_that_saw_a_release_waits_for_it() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 10);
    let _release = bench.release(&lease);
    let mut read = bench.ask(get("a"));
    bench.turn();
    assert_eq!(told(&mut read), Poll::Pending);
    bench.commit();
    assert_eq!(told(&mut read), FREE);
}

/// Writes down that it was woken.
struct Bell(usize, Arc<Mutex<Vec<usize>>>);

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        lock(&self.1).push(self.0);
    }
}

/// Has a bell rung when the answer comes.
fn ring(bench: &Bench, number: usize, waiting: &mut Waiting<LockOutcome>) {
    let order = Arc::clone(&lock(&bench.disk.0).order);
    let waker = Waker::from(Arc::new(Bell(number, order)));
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(waiting).poll(&mut cx).is_pending());
}

#[test]
fn durability_answers_go_in_the_order_of_their_questions() {
    let mut bench = Bench::new();
    let mut waiting = Vec::new();
    // Over turns as well as within one.
    for number in 0..6 {
        waiting.push(bench.acquire(&format!("lock-{}", number % 2), holder(1), 10));
        ring(&bench, number, &mut waiting[number]);
        if number % 2 == 1 {
            bench.turn();
        }
    }
    bench.commit();
    let mut order = lock(&lock(&bench.disk.0).order).clone();
    order.retain(|&number| number != TENDED);
    assert_eq!(order, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn one_outcome_whoever_is_answered_without_the_disk_is_woken_too() {
    let bench = Bench::new();
    let mut reads = [bench.ask(get("a")), bench.ask(get("b"))];
    for (number, waiting) in reads.iter_mut().enumerate() {
        ring(&bench, number, waiting);
    }
    bench.turn();
    assert_eq!(*lock(&lock(&bench.disk.0).order), [0, 1], "each once");
    assert!(reads.iter_mut().all(|waiting| told(waiting) == FREE));
}

#[test]
fn the_store_is_tended_after_the_answers_of_a_batch_were_let_go() {
    let mut bench = Bench::new();
    let mut waiting = bench.acquire("a", holder(1), 10);
    ring(&bench, 1, &mut waiting);
    bench.settle();
    granted(&mut waiting);
    assert_eq!(*lock(&lock(&bench.disk.0).order), [1, TENDED]);
}

#[test]
fn durability_what_was_committed_counts_as_durable_before_its_answers_go() {
    let (journal, mut persistence, disk) = persistence();
    let progress = Arc::new(Progress::default());
    let (first, second) = (seq(1), seq(3));
    let (one, saw_one) = turn_of(&progress, first, vec![free("a")]);
    let (two, saw_two) = turn_of(&progress, second, vec![free("b"), free("c")]);
    assert!(journal.try_send(one.into()).is_ok() && journal.try_send(two.into()).is_ok());
    persistence.step().unwrap();
    assert_eq!(disk.commits(), 1, "what is queued is one transaction");
    assert_eq!(progress.durable(), second);
    assert!(*lock(&saw_one.1) >= vec![first]);
    assert_eq!(*lock(&saw_two.1), [second]);
}

#[test]
fn durability_a_turn_without_records_does_not_trouble_the_store() {
    let mut bench = Bench::new();
    bench.persistence.step().unwrap();
    let mut list = bench.ask(list(account(1), Default::default()));
    bench.settle();
    assert!(told(&mut list).is_ready());
    assert_eq!(bench.disk.commits(), 0);
}

#[test]
fn a_batch_writes_one_row_a_key_and_the_last_one_wins() {
    let mut bench = Bench::new();
    let mut first = bench.acquire("a", holder(1), 10);
    let mut gone = bench.ask(release("a", account(1), lease_id(1)));
    let mut second = bench.acquire("a", holder(2), 10);
    let mut b = bench.acquire("b", holder(1), 10);
    bench.turn();
    // Over turns as well as within one.
    let mut b_gone = bench.ask(release("b", account(1), lease_id(3)));
    bench.turn();
    bench.commit();
    let (first, second) = (granted(&mut first), granted(&mut second));
    granted(&mut b);
    assert!(first.token < second.token);
    assert_eq!(told(&mut gone), RELEASED);
    assert_eq!(told(&mut b_gone), RELEASED);
    assert_eq!(bench.disk.commits(), 1);
    assert_eq!(bench.disk.latest(), [LockRecord::Held(second).into(), free("b")]);
}

#[test]
fn bounded_a_batch_ends_but_no_turn_is_split() {
    let mut bench = Bench::new();
    let mut all: Vec<_> = (0..5_000u32)
        .map(|number| {
            let [.., high, low] = number.to_be_bytes();
            let mut id = [high; 16];
            id[0] = low;
            let owner = Holder { account: AccountId::from_bytes(id), owner: None };
            bench.acquire(&format!("lock-{number}"), owner, 10)
        })
        .collect();
    bench.turn();
    bench.commit();
    assert!(told(&mut all[0]).is_ready());
    assert_eq!(told(&mut all[4_999]), Poll::Pending);
    assert!((4_096..4_096 + 512).contains(&bench.disk.latest().len()));
    bench.commit();
    assert!(all[1..].iter_mut().all(|waiting| told(waiting).is_ready()));
    let rows: usize = lock(&bench.disk.0).commits.iter().map(Vec::len).sum();
    assert_eq!(rows, 5_000);
}
