//! What runs out, and when.

use crate::{
    bench::{Bench, confirmed, free, granted, lease_of, told},
    common::{acquire, at, at_ms, holder},
};
use octostore_actors::{
    actor::{GRACE, STALL},
    domain::lock::LockOutcome,
    sync::{Arc, lock},
    time::{Clock, Instant},
};
use std::{sync::mpsc::channel, task::Poll, time::Duration};

/// How long whoever looks whether something may expire waits until it looks again.
const EXPIRY_PAUSE: Duration = Duration::from_millis(1);

#[test]
fn time_what_was_queued_before_the_expiry_is_handled_before_it() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 10);
    bench.stay_awake_until(at(10));
    let mut other = bench.acquire("a", holder(2), 10);
    bench.turn();
    assert_eq!(
        told(&mut other),
        Poll::Ready(Ok(LockOutcome::Held(lease))),
        "it came while the lock was held"
    );
    bench.commit();
    let mut again = bench.acquire("a", holder(2), 10);
    bench.settle();
    granted(&mut again);
}

#[test]
fn time_a_renewal_queued_during_a_stall_is_in_time() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 10);
    let mut renewal = bench.renew(&lease, 10);
    let mut rival = bench.acquire("a", holder(2), 10);
    bench.clock.set(at(3_000));
    bench.settle();
    let renewed = confirmed(&mut renewal);
    assert_eq!(renewed.expires, at(3_010));
    assert_eq!(told(&mut rival), Poll::Ready(Ok(LockOutcome::Held(renewed.clone()))));
    assert_eq!(bench.status("a"), Some(renewed));
}

#[test]
fn time_a_lease_lasts_from_when_it_was_asked_for_wherever_a_turn_was_then() {
    let mut bench = Bench::new();
    let (sent, asked) = channel();
    let (clock, handle) = (Arc::clone(&bench.clock), bench.handle.clone());
    *lock(&bench.clock.meanwhile) = Some(Box::new(move || {
        clock.set(at_ms(40));
        sent.send(handle.ask(acquire("a", holder(1), 10, 1)).unwrap()).unwrap();
    }));
    bench.settle();
    assert_eq!(granted(&mut asked.recv().unwrap()).expires, at_ms(10_040));
}

#[test]
fn time_nothing_expires_while_whoever_brings_renewals_waits_for_the_disk() {
    let mut bench = Bench::new();
    let a = bench.hold("a", holder(1), 3);
    let (standstill, clock) = (Arc::clone(&bench.standstill), Arc::clone(&bench.clock));
    standstill.during(&*clock, || look_often_until(&mut bench, at(5)));
    let mut renewal = bench.renew(&a, 10);
    bench.settle();
    assert_eq!(confirmed(&mut renewal).expires, at(15), "it may have been sent in time");
}

#[test]
fn time_a_renewal_that_came_during_a_short_standstill_is_in_time_too() {
    let mut bench = Bench::new();
    let a = bench.hold("a", holder(1), 3);
    look_often_until(&mut bench, at_ms(2_850));
    let (standstill, clock) = (Arc::clone(&bench.standstill), Arc::clone(&bench.clock));
    standstill.during(&*clock, || clock.set(a.expires));
    // The actor's thread is the first that has a core again.
    bench.settle();
    let mut renewal = bench.renew(&a, 10);
    bench.settle();
    assert_eq!(confirmed(&mut renewal).expires, at(13));
}

/// Time goes on, and the actor's thread does whatever is due.
fn look_often_until(bench: &mut Bench, end: Instant) {
    while bench.clock.now() < end {
        bench.clock.set(end.min(bench.clock.now() + Duration::from_millis(50)));
        bench.settle();
    }
}

#[test]
fn time_what_nobody_renews_after_a_standstill_expires() {
    for (stood, grace) in [(STALL, Duration::ZERO), (2 * STALL, GRACE)] {
        let mut bench = Bench::new();
        let a = bench.hold("a", holder(1), 3);
        look_often_until(&mut bench, a.expires.minus(Duration::from_millis(1)));
        let (standstill, clock) = (Arc::clone(&bench.standstill), Arc::clone(&bench.clock));
        let over = clock.now() + stood;
        standstill.during(&*clock, || look_often_until(&mut bench, over));
        assert!(bench.disk.lease("a").is_some(), "nothing has expired meanwhile");
        let last = over + grace.max(EXPIRY_PAUSE);
        bench.clock.set(last.minus(Duration::from_nanos(1)));
        bench.settle();
        assert!(bench.disk.lease("a").is_some(), "nor before the time of grace is over");
        bench.clock.set(last);
        bench.settle();
        assert_eq!(bench.disk.lease("a"), None, "after {stood:?}");
    }
}

#[test]
fn time_nothing_expires_for_a_moment_after_a_stall() {
    let mut bench = Bench::new();
    let a = bench.hold("a", holder(1), 10);
    bench.hold("b", holder(1), 10);
    let woken = at(20);
    bench.clock.set(woken);
    bench.turn();
    bench.clock.set(at_ms(20_099));
    assert!(GRACE > Duration::from_millis(99));
    let mut renewal = bench.renew(&a, 10);
    bench.settle();
    assert_eq!(confirmed(&mut renewal).expires, at_ms(30_099), "it arrived in the moment of grace");
    assert!(bench.status("b").is_some());
    bench.clock.set(woken + GRACE);
    bench.settle();
    assert_eq!(bench.status("b"), None, "the grace is over");
    assert!(bench.status("a").is_some());
}

#[test]
fn time_an_expiry_noticed_soon_enough_is_not_put_off() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 10);
    bench.stay_awake_until(lease.expires + STALL);
    bench.settle();
    assert_eq!(bench.disk.lease("a"), None);
}

#[test]
fn time_what_lapsed_before_the_start_gets_no_grace() {
    let lapsed = lease_of("a", 1, at(50), 1);
    let mut bench = Bench::with([lapsed], at(100), 10);
    bench.settle();
    assert_eq!(bench.disk.latest(), [free("a")], "expired in the first turn");
}

#[test]
fn time_a_lease_that_goes_on_after_a_restart_ends_when_it_should() {
    let going_on = lease_of("a", 1, at(110), 1);
    let mut bench = Bench::with([going_on.clone()], at(100), 10);
    bench.settle();
    assert_eq!(bench.status("a"), Some(going_on.clone()));
    bench.stay_awake_until(going_on.expires);
    bench.settle();
    assert_eq!(bench.status("a"), None);
}

#[test]
fn time_a_second_stall_has_its_grace_too() {
    let mut bench = Bench::new();
    bench.hold("a", holder(1), 10);
    let b = bench.hold("b", holder(1), 20);
    bench.clock.set(at(11));
    bench.turn();
    // Before the grace of the first is over, another one.
    bench.clock.set(at(21));
    bench.settle();
    let mut renewal = bench.renew(&b, 10);
    bench.settle();
    assert_eq!(
        confirmed(&mut renewal).expires,
        at(31),
        "its end was slept through, and it was not granted the moment after"
    );
}

#[test]
fn time_a_stall_right_after_the_start_has_its_grace() {
    let lapsed = lease_of("lapsed", 1, at(50), 1);
    let live = lease_of("live", 1, at(110), 2);
    let mut bench = Bench::with([lapsed, live.clone()], at(100), 10);
    bench.clock.set(at(120));
    bench.settle();
    let mut renewal = bench.renew(&live, 10);
    bench.settle();
    assert_eq!(
        confirmed(&mut renewal).expires,
        at(130),
        "its end was slept through, and it was not granted the moment after"
    );
}

#[test]
fn bounded_a_mass_expiry_completes_turn_by_turn() {
    let leases = (1..=100).map(|number| lease_of(&format!("lock-{number}"), 1, at(5), number));
    let many = leases.collect::<Vec<_>>();
    let mut bench = Bench::with(many, at(10), 10);
    for _ in 0..3 {
        bench.settle();
    }
    assert_eq!(lock(&bench.disk.0).rows.len(), 100);
    assert_eq!(bench.status("lock-1"), None);
}
