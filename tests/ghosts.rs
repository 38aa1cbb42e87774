//! A client that goes away in the instant of its grant leaves no lock that nobody holds.

use crate::{
    common::{Connection, Server, Setup, at_once, until},
    metrics::Page,
};
use serde_json::json;

const FOREVER: &[u8] = b"{\"ttl_seconds\": 3600}";

/// Connections that the server has taken and waits on.
fn taken(server: &Server, count: usize) -> Vec<Connection> {
    let health = server.alice().bytes("GET", "/health", b"");
    (0..count)
        .map(|_| {
            let mut connection = server.connect();
            connection.send(&health);
            connection.read();
            connection
        })
        .collect()
}

fn acquire(server: &Server, name: &str) -> Vec<u8> {
    let path = format!("/locks/{name}/acquire");
    server.alice().bytes("POST", &path, FOREVER)
}

/// Waits until bob gets the lock, long before any lease of alice's would end by itself. Returns
/// his token, and gives the lock back.
fn until_bob_gets(server: &Server, name: &str) -> u64 {
    let mut bob = server.bob();
    until("bob gets the lock that nobody holds", || {
        let answer = bob.acquire(name, 3600);
        assert!(matches!(answer.status, 200 | 409), "{}", answer.text());
        (answer.status == 200).then(|| {
            bob.release(name, &answer.lease()).ok();
            answer.token()
        })
    })
}

#[test]
fn a_client_gone_before_its_grant_leaves_no_lock() {
    let server = Setup::new().start();
    let mut highest = 0;
    for round in 0..6 {
        let connections = taken(&server, 12);
        // While the server stands still, requests and goodbyes pile up before it.
        server.pause();
        for (index, mut connection) in connections.into_iter().enumerate() {
            connection.send(&acquire(&server, &format!("r{round}-{index}")));
        }
        server.resume();
        for index in 0..12 {
            let token = until_bob_gets(&server, &format!("r{round}-{index}"));
            assert!(token > highest);
            highest = token;
        }
    }
    assert_eq!(server.alice().list("").ok()["total"], 0);
}

#[test]
fn a_new_client_gone_before_it_was_let_in_leaves_no_lock() {
    let server = Setup::new().start();
    for round in 0..6 {
        server.pause();
        for index in 0..12 {
            let mut connection = server.connect();
            connection.send(&acquire(&server, &format!("r{round}-{index}")));
        }
        server.resume();
        for index in 0..12 {
            until_bob_gets(&server, &format!("r{round}-{index}"));
        }
    }
}

#[test]
fn a_client_gone_with_more_requests_on_the_way_leaves_no_lock() {
    let server = Setup::new().start();
    for round in 0..4 {
        let connections = taken(&server, 6);
        server.pause();
        for (index, mut connection) in connections.into_iter().enumerate() {
            let mut bytes = acquire(&server, &format!("r{round}-{index}-first"));
            bytes.extend(acquire(&server, &format!("r{round}-{index}-second")));
            bytes.extend(server.alice().bytes("GET", "/locks", b""));
            connection.send(&bytes);
        }
        server.resume();
        for index in 0..6 {
            until_bob_gets(&server, &format!("r{round}-{index}-first"));
            until_bob_gets(&server, &format!("r{round}-{index}-second"));
        }
    }
}

#[test]
fn a_client_gone_and_its_retry_gone_too_leave_no_lock() {
    let server = Setup::new().start();
    for round in 0..4 {
        let connections = taken(&server, 12);
        server.pause();
        for (index, mut connection) in connections.into_iter().enumerate() {
            // With more to read, that nobody waits shows only when the answer is written.
            let mut bytes = acquire(&server, &format!("r{round}-{}", index / 2));
            bytes.extend(server.alice().bytes("GET", "/locks", b""));
            connection.send(&bytes);
        }
        server.resume();
        for index in 0..6 {
            until_bob_gets(&server, &format!("r{round}-{index}"));
        }
    }
}

#[test]
fn a_client_gone_with_an_answer_unread_leaves_no_lock() {
    let server = Setup::new().start();
    for round in 0..4 {
        // Answers that it never reads make the kernel say a harder goodbye.
        let mut connections = taken(&server, 6);
        let health = server.alice().bytes("GET", "/health", b"");
        for connection in &mut connections {
            connection.send(&health);
        }
        server.bob().get("x").ok();
        server.pause();
        for (index, mut connection) in connections.into_iter().enumerate() {
            connection.send(&acquire(&server, &format!("r{round}-{index}")));
        }
        server.resume();
        for index in 0..6 {
            until_bob_gets(&server, &format!("r{round}-{index}"));
        }
    }
}

#[test]
fn a_client_that_goes_away_at_any_moment_was_told_or_leaves_no_lock() {
    let server = Setup::new().flag("--locks-per-account", "10000").start();
    at_once(4, |thread| {
        for round in 0..40 {
            let name = format!("t{thread}-{round}");
            let mut connection = taken(&server, 1).remove(0);
            connection.send(&acquire(&server, &name));
            // A little later each time: before, at and after the grant.
            for _ in 0..round * 300 {
                std::hint::spin_loop();
            }
            connection.say_goodbye();
            match connection.try_read() {
                Ok(answer) => {
                    let lease = answer.lease();
                    assert_eq!(server.bob().acquire(&name, 60).status, 409);
                    server.alice().renew(&name, &lease, 60).ok();
                }
                Err(_) => {
                    until_bob_gets(&server, &name);
                }
            }
        }
    });
}

#[test]
fn what_was_delivered_outlives_its_connection() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let lease = alice.acquire("a", 3600).lease();
    let rotated = alice.send("POST", "/auth/token/rotate", b"").ok();
    let rotated = rotated["token"].as_str().unwrap();
    drop(alice);
    until("the scraper alone is connected", || {
        (Page::of(&server.address).get("octostore_http_connections_open") == 1.0).then_some(())
    });
    assert_eq!(server.bob().acquire("a", 60).status, 409);
    server.client(rotated).renew("a", &lease, 60).ok();
}

#[test]
fn half_an_acquire_locks_nothing() {
    let server = Setup::new().start();
    let bytes = acquire(&server, "a");
    for length in (1..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
        let mut connection = server.connect();
        connection.send(&bytes[..length]);
    }
    assert!(until_bob_gets(&server, "a") == 1, "nothing was granted before");
}

#[test]
fn a_retry_beside_the_disconnect_never_loses_the_lease_it_was_told_of() {
    let server = Setup::new().start();
    let body = json!({"ttl_seconds": 3600, "owner": "retrying"}).to_string();
    let bytes = server.alice().bytes("POST", "/locks/a/acquire", body.as_bytes());
    for round in 0..40 {
        let mut connections = taken(&server, 3);
        let mut retry = connections.remove(0);
        let paused = round % 2 == 0;
        if paused {
            server.pause();
        }
        for (index, mut gone) in connections.into_iter().enumerate() {
            gone.send(&bytes);
            if index == round % 2 {
                retry.send(&bytes);
            }
        }
        if paused {
            server.resume();
        }
        let told = retry.read().lease();
        let mut alice = server.alice();
        for _ in 0..5 {
            assert_eq!(server.bob().acquire("a", 60).status, 409, "round {round}");
            assert_eq!(alice.renew("a", &told, 3600).lease(), told);
        }
        alice.release("a", &told).ok();
        until_bob_gets(&server, "a");
    }
}
