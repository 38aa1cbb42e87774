//! Who gets a lock, and who does not.

use crate::common::{Setup, at_once};
use serde_json::{Value, json};
use std::collections::HashSet;

fn owned(owner: &str) -> Value {
    json!({"ttl_seconds": 60, "owner": owner})
}

#[test]
fn a_lock_is_one_accounts_at_a_time() {
    let server = Setup::new().start();
    let (mut alice, mut bob) = (server.alice(), server.bob());
    let lease = alice.acquire("a", 60).lease();
    assert_eq!(bob.acquire("a", 60).status, 409);
    alice.release("a", &lease).ok();
    bob.acquire("a", 60).ok();
    assert_eq!(alice.acquire("a", 60).status, 409);
}

#[test]
fn of_many_who_want_a_lock_at_once_one_gets_it() {
    let server = Setup::new().start();
    for round in 0..5 {
        let name = format!("wanted-{round}");
        let statuses = at_once(12, |index| {
            server.alice().acquire_with(&name, &owned(&format!("owner-{index}"))).status
        });
        assert_eq!(statuses.iter().filter(|&&s| s == 200).count(), 1);
        assert_eq!(statuses.iter().filter(|&&s| s == 409).count(), 11);
    }
}

#[test]
fn two_owners_of_one_account_exclude_each_other() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let first = alice.acquire_with("a", &owned("pod-1")).ok();
    assert_eq!(first["owner"], "pod-1");
    assert_eq!(alice.acquire_with("a", &owned("pod-2")).status, 409);
    assert_eq!(alice.acquire("a", 60).status, 409, "no owner is an owner of its own");
    let again = alice.acquire_with("a", &owned("pod-1")).ok();
    assert_eq!(again["lease_id"], first["lease_id"]);

    alice.acquire("b", 60).ok();
    assert_eq!(alice.acquire_with("b", &owned("pod-1")).status, 409);
    assert_eq!(server.bob().acquire_with("a", &owned("pod-1")).status, 409);
    for owner in ["user@host:42", "ns/pod", &"x".repeat(128)] {
        let name = format!("owned-{}", owner.len());
        assert_eq!(alice.acquire_with(&name, &owned(owner)).ok()["owner"], owner);
    }
}

#[test]
fn a_second_acquire_by_the_holder_confirms_the_first() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let first = alice.acquire("a", 600).ok();
    let shorter = alice.acquire("a", 60).ok();
    assert_eq!(shorter["status"], "acquired");
    for same in ["lease_id", "fencing_token", "expires_at"] {
        assert_eq!(shorter[same], first[same], "{same}");
    }
    let longer = alice.acquire("a", 3600).ok();
    for same in ["lease_id", "fencing_token"] {
        assert_eq!(longer[same], first[same], "{same}");
    }
    assert!(longer["expires_at"].as_str() > first["expires_at"].as_str());
    let shorter = alice.renew("a", first["lease_id"].as_str().unwrap(), 1);
    assert_eq!(shorter.ok()["expires_at"], longer["expires_at"], "a promise is never taken back");
}

#[test]
fn tokens_rise_over_all_locks_and_accounts() {
    let server = Setup::new().start();
    let mut last = 0;
    for round in 0..10 {
        for mut client in [server.alice(), server.bob()] {
            for name in ["a", "b"] {
                let answer = client.acquire(name, 60);
                assert!(answer.token() > last, "round {round}");
                last = answer.token();
                client.release(name, &answer.lease()).ok();
            }
        }
    }
    assert!(last < 1 << 53);
}

#[test]
fn a_token_is_never_granted_twice_under_load() {
    let server = Setup::new().start();
    let tokens = at_once(8, |index| {
        let mut client = server.alice();
        let name = format!("own-{index}");
        let mut tokens = Vec::new();
        for _ in 0..25 {
            let answer = client.acquire(&name, 60);
            tokens.push(answer.token());
            client.release(&name, &answer.lease()).ok();
        }
        assert!(tokens.is_sorted_by(|one, two| one < two), "{tokens:?}");
        tokens
    });
    let all: HashSet<u64> = tokens.iter().flatten().copied().collect();
    assert_eq!(all.len(), 8 * 25);
}

#[test]
fn a_slash_in_a_name_is_sent_encoded() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let body = alice.acquire("jobs%2Fnightly%2feu-1", 60).ok();
    assert_eq!(body["name"], "jobs/nightly/eu-1");
    let lease = body["lease_id"].as_str().unwrap();
    assert_eq!(alice.get("jobs%2Fnightly%2Feu-1").ok()["name"], "jobs/nightly/eu-1");
    assert_eq!(alice.get("jobs%2Fnightly").ok()["status"], "available", "a prefix is another lock");
    alice.renew("jobs%2Fnightly%2Feu-1", lease, 60).ok();
    alice.release("jobs%2Fnightly%2Feu-1", lease).ok();
    for name in ["%61", "a", "..", ".", "-._", &"x".repeat(128)] {
        alice.acquire(name, 60).ok();
    }
    let total = alice.list("").ok()["total"].clone();
    assert_eq!(total, 5, "%61 is a");
}

#[test]
fn an_account_holds_100_locks_and_not_one_more() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let leases: Vec<_> = (0..100).map(|n| alice.acquire(&format!("l{n}"), 600).lease()).collect();
    let refused = alice.acquire("one-more", 60);
    refused.refused(403, "lock_limit_exceeded");
    assert_eq!(alice.get("one-more").ok()["status"], "available");
    alice.acquire("l7", 600).ok();
    alice.renew("l8", &leases[8], 600).ok();
    server.bob().acquire("one-more", 60).ok();
    alice.acquire_with("other", &owned("somebody-else")).refused(403, "lock_limit_exceeded");
    alice.release("l7", &leases[7]).ok();
    alice.acquire("other", 60).ok();
    assert_eq!(alice.list("").ok()["total"], 100);
}

#[test]
fn of_50_acquires_at_99_held_locks_exactly_one_gets_in() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    for n in 0..99 {
        alice.acquire(&format!("l{n}"), 600).ok();
    }
    let answers = at_once(50, |index| server.alice().acquire(&format!("more-{index}"), 600));
    let (granted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
    assert_eq!(granted.len(), 1);
    for answer in refused {
        answer.refused(403, "lock_limit_exceeded");
    }
    assert_eq!(alice.list("").ok()["total"], 100);
}

#[test]
fn the_quota_is_a_setting() {
    let server = Setup::new().flag("--locks-per-account", "2").start();
    let mut alice = server.alice();
    alice.acquire("a", 60).ok();
    alice.acquire("b", 60).ok();
    alice.acquire("c", 60).refused(403, "lock_limit_exceeded");
}

fn names(body: &Value) -> Vec<&str> {
    let locks = body["locks"].as_array().unwrap();
    locks.iter().map(|lock| lock["name"].as_str().unwrap()).collect()
}

#[test]
fn lists_are_sorted_and_come_in_pages() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    for name in ["b", "a", "jobs%2Fb", "jobs%2Fa", "jobs-x", "c", "B"] {
        alice.acquire(name, 60).ok();
    }
    let sorted = ["B", "a", "b", "c", "jobs-x", "jobs/a", "jobs/b"];
    let whole = alice.list("").ok();
    assert_eq!(names(&whole), sorted);
    assert!(whole.get("next").is_none());

    let mut seen: Vec<String> = Vec::new();
    let mut query = "?limit=3".to_owned();
    loop {
        let page = alice.list(&query).ok();
        assert!(names(&page).len() <= 3);
        seen.extend(names(&page).into_iter().map(str::to_owned));
        let Some(next) = page.get("next") else { break };
        assert_eq!(Some(next.as_str().unwrap()), names(&page).last().copied());
        let next = next.as_str().unwrap().replace('/', "%2F");
        query = format!("?limit=3&after={next}");
    }
    assert_eq!(seen, sorted);

    assert_eq!(names(&alice.list("?prefix=jobs%2F").ok()), ["jobs/a", "jobs/b"]);
    assert_eq!(names(&alice.list("?prefix=jobs&after=jobs-x&limit=1").ok()), ["jobs/a"]);
    assert_eq!(names(&alice.list("?prefix=zz").ok()), [""; 0]);
    let exact = alice.list("?limit=7").ok();
    assert!(exact.get("next").is_none(), "there is no more: {exact}");
    for bad in ["?limit=0", "?limit=1001", "?limit=x", "?limit=-1"] {
        alice.list(bad).refused(422, "invalid_query");
    }
}

#[test]
fn a_list_shows_the_accounts_own_locks_alone() {
    let server = Setup::new().start();
    server.alice().acquire("a", 60).ok();
    let mut bob = server.bob();
    assert_eq!(bob.list("").ok()["total"], 0);
    let lease = bob.acquire("b", 60).lease();
    assert_eq!(names(&bob.list("").ok()), ["b"]);
    bob.release("b", &lease).ok();
    assert_eq!(bob.list("").ok()["total"], 0);
}
