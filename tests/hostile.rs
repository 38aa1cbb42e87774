//! Clients that mean no good: everybody else is served all the same.

use crate::common::{ALICE, Client, Connection, Server, Setup, is_late, request, until};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use std::time::Duration;

/// Somebody who behaves gets everything done meanwhile.
fn others_are_served(server: &Server) {
    let mut alice = server.alice();
    for n in 0..5 {
        let name = format!("others-{n}");
        let lease = alice.acquire(&name, 60).lease();
        alice.renew(&name, &lease, 60).ok();
        alice.release(&name, &lease).ok();
    }
    server.bob().list("").ok();
}

#[test]
fn too_large_a_body_is_answered_to_whoever_sends_all_of_it_first() {
    let server = Setup::new().start();
    let authorization = format!("Bearer {ALICE}");
    let headers = [("authorization", &*authorization)];
    for _ in 0..5 {
        let mut connection = server.connect();
        connection.send(&request("PUT", "/config/k", &headers, &vec![b'x'; 900_000]));
        connection.read().refused(413, "body_too_large");
    }
    // Nobody is listened to for ever.
    let mut connection = server.connect();
    connection.send(b"PUT /config/k HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n");
    connection.send(format!("authorization: {authorization}\r\n\r\n").as_bytes());
    let refused = connection.read();
    assert_eq!(refused.header("connection"), Some("close"));
    refused.refused(413, "body_too_large");
    assert!(connection.is_closed());
}

#[test]
fn whoever_is_refused_before_all_of_the_body_has_come_is_told_why() {
    let server = Setup::new().start();
    let good = format!("Bearer {ALICE}");
    for (method, path, authorization, status, code) in [
        ("PUT", "/config/k", "Bearer nobody", 401, "unauthorized"),
        ("PUT", "/config/a%20b", &*good, 422, "invalid_config_key"),
        ("POST", "/config/k", &*good, 405, "method_not_allowed"),
        ("POST", "/nowhere", &*good, 404, "not_found"),
    ] {
        let headers = [("authorization", authorization)];
        let mut connection = server.connect();
        for piece in request(method, path, &headers, &vec![b'x'; 900_000]).chunks(30_000) {
            connection.send(piece);
        }
        connection.read().refused(status, code);
        connection.send(&request("GET", "/health", &[], b""));
        assert_eq!(connection.read().text(), "OK");
    }
}

#[test]
fn of_whoever_asks_first_whether_to_send_a_body_none_is_waited_for_after_a_refusal() {
    let server = Setup::new().flag("--body-timeout", "3600").start();
    let good = format!("Bearer {ALICE}");
    for (authorization, length, status) in [("Bearer nobody", "20", 401), (&*good, "999999", 413)] {
        let headers = [
            ("authorization", authorization),
            ("expect", "100-continue"),
            ("content-length", length),
        ];
        let mut connection = server.connect();
        connection.send(&request("PUT", "/config/k", &headers, b""));
        let refused = connection.read();
        assert_eq!((refused.status, refused.header("connection")), (status, Some("close")));
        assert!(connection.is_closed(), "what comes next may be a body or a request");
    }
}

#[test]
fn many_slow_senders_hold_nobody_up() {
    let server = Setup::new().start();
    let bytes = server.alice().bytes("POST", "/locks/slow/acquire", b"{\"ttl_seconds\": 60}");
    let mut slow: Vec<Connection> = (0..50).map(|_| server.connect()).collect();
    for (step, byte) in bytes.iter().enumerate() {
        for connection in &mut slow {
            connection.send(&[*byte]);
        }
        if step % 20 == 0 {
            others_are_served(&server);
        }
    }
    for mut connection in slow {
        connection.read().ok();
    }
}

#[test]
fn who_is_too_slow_is_cut_off() {
    let server = Setup::new().flag("--header-timeout", "1").flag("--body-timeout", "1").start();
    let mut says_nothing = server.connect();
    let mut says_no_more = server.connect();
    says_no_more.send(&request("GET", "/health", &[], b""));
    says_no_more.read();
    let mut half_a_head = server.connect();
    half_a_head.send(b"GET /health HTTP/1.1\r\nhost:");
    let mut half_a_body = server.connect();
    let bytes = server.alice().bytes("POST", "/locks/slow/acquire", b"{\"ttl_seconds\": 60}");
    half_a_body.send(&bytes[..bytes.len() - 1]);
    half_a_body.read().refused(408, "body_timeout");
    half_a_head.drain();
    assert!(says_nothing.is_closed() && says_no_more.is_closed());
    others_are_served(&server);
    assert_eq!(server.bob().get("slow").ok()["status"], "available");
}

#[test]
fn who_never_reads_holds_nobody_up_and_is_cut_off() {
    let server = Setup::new().flag("--write-timeout", "1").start();
    let mut alice = server.alice();
    for n in 0..60 {
        let body = serde_json::json!({"ttl_seconds": 600, "metadata": "x".repeat(1024)});
        alice.acquire_with(&format!("l{n}"), &body).ok();
    }
    // Each answer has 80 KiB: soon the socket is full, and then nothing more may be taken in.
    let list = alice.bytes("GET", "/locks", b"").repeat(100);
    let mut deaf: Vec<_> = (0..4)
        .map(|_| {
            let address = server.address.clone();
            let list = list.clone();
            std::thread::spawn(move || {
                let mut connection = Connection::open(&address);
                let error = loop {
                    if let Err(error) = connection.try_send(&list) {
                        break error;
                    }
                };
                assert!(!is_late(&error), "the server has not given up: {error}");
            })
        })
        .collect();
    until("the server gives up on who does not read", || {
        others_are_served(&server);
        let memory = server.memory();
        assert!(memory < 150 << 20, "{memory} bytes are taken for answers nobody reads");
        deaf.iter().all(std::thread::JoinHandle::is_finished).then_some(())
    });
    deaf.drain(..).for_each(|thread| thread.join().unwrap());
}

#[test]
fn when_the_system_has_no_more_to_give_those_who_come_later_are_served_all_the_same() {
    let server = Setup::new().start();
    server.alice().list("").ok();
    let pid = Pid::from_raw(server.pid().cast_signed());
    let limit = |current| {
        let maximum = getrlimit(Resource::Nofile).maximum;
        prlimit(pid, Resource::Nofile, Rlimit { current, maximum }).unwrap()
    };
    let before = limit(Some(3));
    let mut early = server.connect();
    until("the server cannot take it", || {
        server.err().contains("a connection could not be taken").then_some(())
    });
    limit(before.current);
    early.send(&request("GET", "/health", &[], b""));
    assert_eq!(early.read().text(), "OK");
    others_are_served(&server);
}

#[test]
fn two_thousand_idle_connections_cost_others_nothing() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).unwrap();
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    assert!(allowed > 4_000, "this test needs more open files: {allowed}");

    let server = Setup::new().start();
    let health = request("GET", "/health", &[], b"");
    let mut idle: Vec<Connection> = (0..2_000).map(|_| server.connect()).collect();
    for connection in idle.iter_mut().step_by(2) {
        connection.send(&health);
    }
    for connection in idle.iter_mut().step_by(2) {
        assert_eq!(connection.read().text(), "OK");
    }
    others_are_served(&server);
    // And each of them is still welcome.
    for connection in idle.iter_mut().skip(1).step_by(100) {
        connection.send(&health);
        assert_eq!(connection.read().text(), "OK");
    }
}

/// A server with room for four, and the four that are in.
fn crowded() -> (Server, Vec<Connection>) {
    let server = Setup::new().flag("--max-connections", "4").start();
    let health = request("GET", "/health", &[], b"");
    let inside = (0..4)
        .map(|_| {
            let mut connection = server.connect();
            connection.send(&health);
            assert_eq!(connection.read().text(), "OK");
            connection
        })
        .collect();
    (server, inside)
}

#[test]
fn a_connection_too_many_is_told_so_and_closed() {
    let (server, mut inside) = crowded();
    for _ in 0..20 {
        let mut outside = server.connect();
        let answer = outside.read_within(Duration::from_secs(30));
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["code"], "too_many_connections");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(outside.is_closed());
    }
    let health = request("GET", "/health", &[], b"");
    for connection in &mut inside {
        connection.send(&health);
        assert_eq!(connection.read().text(), "OK");
    }
    inside.pop();
    until("there is room again", || {
        let answer = Client::anonymous(&server.address).try_send("GET", "/health", b"");
        answer.is_ok_and(|answer| answer.status == 200).then_some(())
    });
}

#[test]
fn even_a_connection_too_many_is_answered_with_an_id() {
    let (server, _inside) = crowded();
    server.connect().read().refused(503, "too_many_connections");
}

#[test]
fn a_request_sent_to_a_full_house_is_told_so_too() {
    let (server, _inside) = crowded();
    for n in 0..20 {
        // The refusal must not be lost to the request that comes in the same instant.
        let bytes = server.alice().bytes("POST", "/locks/a/acquire", b"{\"ttl_seconds\": 60}");
        let mut outside = server.connect();
        outside.send(&bytes);
        let answer = outside.try_read();
        let answer = answer.unwrap_or_else(|error| panic!("no answer to number {n}: {error}"));
        assert_eq!(answer.status, 503);
    }
}
