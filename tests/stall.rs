//! Expiry, and a server that was stopped where it stood.

use crate::common::{Answer, Server, Setup, at_once, until};
use std::time::{Duration, Instant};

/// Checks what every answer about a lease must be: as it was, or that it is gone.
fn is_alive(answer: &Answer, lease: &str) -> bool {
    if answer.status == 404 {
        answer.refused(404, "lock_not_owned");
        return false;
    }
    assert_eq!(answer.lease(), lease);
    true
}

#[test]
fn a_lease_of_one_second_ends_by_itself() {
    let server = Setup::new().start();
    let first = server.alice().acquire("a", 1);
    let mut bob = server.bob();
    let next = until("the lease ends", || {
        let answer = bob.acquire("a", 60);
        (answer.status == 200).then_some(answer)
    });
    assert!(next.token() > first.token());
    server.alice().renew("a", &first.lease(), 60).refused(404, "lock_not_owned");
    assert_eq!(server.alice().list("").ok()["total"], 0);
}

#[test]
fn no_lease_ends_before_its_time() {
    let server = Setup::new().start();
    at_once(4, |index| {
        let (mut alice, mut bob) = (server.alice(), server.bob());
        let name = format!("l{index}");
        for ttl in 1..=2_u64 {
            let asked = Instant::now();
            let lease = alice.acquire(&name, ttl);
            until("the lease ends", || {
                let answer = bob.acquire(&name, 60);
                (answer.status == 200).then(|| bob.release(&name, &answer.lease()).ok())
            });
            // Granted after it was asked for, and free after it was granted for that long.
            assert!(asked.elapsed() >= Duration::from_secs(ttl));
            lease.ok();
        }
    });
}

#[test]
fn around_the_end_of_a_lease_answers_agree() {
    let server = Setup::new().start();
    at_once(6, |index| {
        let mut alice = server.alice();
        let name = format!("l{index}");
        for round in 0..2 {
            let lease = alice.acquire(&name, 1).lease();
            until("the lease is over", || {
                let now = alice.get(&name).ok();
                if now["status"] == "held" {
                    assert_eq!(now["lease_id"], *lease);
                    return None;
                }
                Some(())
            });
            // Once it is over it stays over, whatever is asked.
            for _ in 0..20 {
                assert!(!is_alive(&alice.renew(&name, &lease, 60), &lease));
                assert!(!is_alive(&alice.release(&name, &lease), &lease));
                assert_eq!(alice.get(&name).ok()["status"], "available");
            }
            assert_ne!(alice.acquire(&name, 60).lease(), lease, "round {round}");
            let own = alice.get(&name).lease();
            alice.release(&name, &own).ok();
        }
    });
}

#[test]
fn a_renewal_at_the_last_moment_counts_or_does_not() {
    let server = Setup::new().start();
    at_once(6, |index| {
        let (mut alice, mut bob) = (server.alice(), server.bob());
        let name = format!("l{index}");
        let granted = alice.acquire(&name, 1);
        let lease = granted.lease();
        // Closer and closer to the end of the lease, by the printed time.
        let wait = Duration::from_millis(940 + 20 * index as u64);
        std::thread::sleep(wait);
        if is_alive(&alice.renew(&name, &lease, 3600), &lease) {
            assert_eq!(bob.acquire(&name, 60).status, 409);
            assert!(is_alive(&alice.renew(&name, &lease, 3600), &lease));
        } else {
            assert!(bob.acquire(&name, 60).token() > granted.token());
            assert!(!is_alive(&alice.renew(&name, &lease, 3600), &lease));
        }
    });
}

/// Acquires `name` for two seconds and stops the server in time.
fn stopped_in_time(server: &Server, name: &str) -> (String, Instant) {
    for _ in 0..20 {
        let asked = Instant::now();
        let lease = server.alice().acquire(name, 2).lease();
        server.pause();
        if asked.elapsed() < Duration::from_millis(1_500) {
            return (lease, asked);
        }
        server.resume();
        until("the lease is over", || {
            (server.bob().get(name).ok()["status"] == "available").then_some(())
        });
    }
    panic!("this machine is too slow to stop a process within a second");
}

#[test]
fn a_renewal_sent_during_a_stall_counts_although_the_lease_ran_out_in_it() {
    let server = Setup::new().start();
    for round in 0..2 {
        let name = format!("l{round}");
        let mut alice = server.connect();
        alice.send(&server.alice().bytes("GET", "/health", b""));
        alice.read();
        let (lease, asked) = stopped_in_time(&server, &name);
        let body = format!("{{\"lease_id\": \"{lease}\", \"ttl_seconds\": 3600}}");
        let path = format!("/locks/{name}/renew");
        alice.send(&server.alice().bytes("POST", &path, body.as_bytes()));
        until("the lease has run out", || (asked.elapsed() > Duration::from_secs(3)).then_some(()));
        server.resume();
        assert_eq!(alice.read().lease(), lease);
        assert_eq!(server.bob().acquire(&name, 60).status, 409);
    }
}

#[test]
fn a_lease_that_nobody_renewed_in_a_stall_ends_after_it() {
    let server = Setup::new().start();
    let (_, asked) = stopped_in_time(&server, "a");
    until("the lease has run out", || (asked.elapsed() > Duration::from_secs(3)).then_some(()));
    server.resume();
    until("the lease ends", || (server.bob().acquire("a", 60).status == 200).then_some(()));
}

#[test]
fn a_lease_that_ran_out_while_nothing_ran_is_over() {
    let server = Setup::new().start();
    let setup = server.setup.clone();
    let mut alice = server.alice();
    let kept = alice.acquire("kept", 3600).lease();
    let short = alice.acquire("short", 1);
    server.kill();
    let asked = Instant::now();
    until("the lease has run out", || (asked.elapsed() > Duration::from_secs(2)).then_some(()));
    let server = setup.start();
    let next = until("it is over", || {
        let answer = server.bob().acquire("short", 60);
        (answer.status == 200).then_some(answer)
    });
    assert!(next.token() > short.token());
    server.alice().renew("kept", &kept, 60).ok();
}
