//! Connections that nobody uses for a while: the server keeps little of them, and loses nothing.

use crate::{
    common::{ALICE, Connection, Server, Setup, request, until},
    metrics::Page,
};
use serde_json::json;

/// Waits until so many connections are at rest; the one that asks is not.
fn wait_for(server: &Server, resting: u32) {
    until("connections come to rest", || {
        let page = Page::of(&server.address);
        (page.get("octostore_http_connections_resting") >= f64::from(resting)).then_some(())
    });
}

fn health() -> Vec<u8> {
    request("GET", "/health", &[], b"")
}

#[test]
fn a_connection_goes_on_after_a_rest_as_if_there_was_none() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let mut lease = alice.acquire("a", 60).lease();
    for _ in 0..2 {
        wait_for(&server, 1);
        lease = alice.renew("a", &lease, 60).lease();
    }
    alice.release("a", &lease).ok();
    let page = Page::of(&server.address);
    assert!(page.get("octostore_http_connections_open") >= 2.0, "it is still the same");
}

#[test]
fn a_connection_that_has_said_nothing_yet_is_at_rest() {
    let server = Setup::new().start();
    let mut connections: Vec<Connection> = (0..10).map(|_| server.connect()).collect();
    wait_for(&server, 10);
    for connection in &mut connections {
        connection.send(&health());
        assert_eq!(connection.read().status, 200);
    }
}

/// A connection that has asked once: when it is at rest, so would be one that asked with it.
fn witness(server: &Server) -> Connection {
    let mut witness = server.connect();
    witness.send(&health());
    assert_eq!(witness.read().status, 200);
    witness
}

#[test]
fn the_beginning_of_a_request_is_not_lost() {
    let server = Setup::new().start();
    let mut connection = server.connect();
    let next = request("GET", "/auth/me", &[], b"");
    let (begin, rest) = next.split_at(9);
    connection.send(&[&health(), begin].concat());
    assert_eq!(connection.read().status, 200);
    let _witness = witness(&server);
    wait_for(&server, 1);
    connection.send(rest);
    connection.read().refused(401, "unauthorized");
}

#[test]
fn a_body_that_still_comes_is_no_request() {
    let server = Setup::new().start();
    let mut connection = server.connect();
    let authorization = format!("Bearer {ALICE}");
    let size = 500_000;
    let headers = [("authorization", &*authorization), ("content-length", &*size.to_string())];
    connection.send(&request("POST", "/locks/a/acquire", &headers, b""));
    assert_eq!(connection.read().status, 413);
    let _witness = witness(&server);
    wait_for(&server, 1);
    // What it says instead of a body must not be done.
    let hidden = request(
        "POST",
        "/locks/a/acquire",
        &headers[..1],
        &json!({"ttl_seconds": 60}).to_string().into_bytes(),
    );
    let mut body = hidden.repeat(size / hidden.len() + 1);
    body.truncate(size);
    connection.send(&body);
    connection.send(&health());
    assert_eq!(connection.read().text(), "OK");
    assert_eq!(server.alice().get("a").ok()["status"], "available");
}

#[test]
fn bounded_half_a_request_after_a_rest_is_not_waited_for_for_ever() {
    let server = Setup::new().flag("--header-timeout", "2").start();
    let mut connection = witness(&server);
    wait_for(&server, 1);
    connection.send(b"GET /health HTTP/1.1\r\nhost:");
    connection.drain();
}

#[test]
fn a_rest_has_an_end() {
    let server = Setup::new().flag("--header-timeout", "1").start();
    let silent = server.connect();
    for mut connection in [silent, witness(&server)] {
        assert!(connection.read_head().is_err(), "it is closed");
    }
}
