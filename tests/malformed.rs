//! What is no HTTP, or not quite: it is refused, and nobody else notices.

use crate::common::{ALICE, Connection, Setup, request};
use std::time::Duration;

/// Long enough for any answer, and shorter than a connection may be idle.
const ANSWERED: Duration = Duration::from_secs(15);

/// Sends `bytes` on a connection of its own and returns the status of what comes back, if
/// anything does before the server closes or the client has seen enough.
fn status_of(connection: &mut Connection, bytes: &[u8]) -> Option<u16> {
    // The server may close while we still send.
    let _ = connection.try_send(bytes);
    connection.read_head().ok().map(|answer| answer.status)
}

#[test]
fn what_is_no_request_is_refused_and_the_server_goes_on() {
    let mut server = Setup::new().start();
    let long_line = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(70_000));
    let long_header = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(70_000));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(5_000));
    let bad: &[&[u8]] = &[
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"GET  /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1 extra\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET /he\0alth HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nx\0y: z\r\n\r\n",
        b"GET /health HTTP/1.1\r\nx: y\0z\r\n\r\n",
        b"GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /health HTTP/1.1\r\nx : space before the colon\r\n\r\n",
        b"GET /health HTTP/1.1\r\n: no name\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /locks/a/acquire HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}",
        b"POST /locks/a/acquire HTTP/1.1\r\ncontent-length: -1\r\n\r\n{}",
        b"POST /locks/a/acquire HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n{}",
        b"POST /locks/a/acquire HTTP/1.1\r\ncontent-length: 1x\r\n\r\n{}",
        b"POST /locks/a/acquire HTTP/1.1\r\ntransfer-encoding: nonsense\r\n\r\n{}",
        long_line.as_bytes(),
        long_header.as_bytes(),
        many_headers.as_bytes(),
    ];
    for bytes in bad {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        if bytes.starts_with(b"\x16") {
            // The beginning of TLS waits for more; going away is all that is left.
            server.connect().send(bytes);
        } else {
            let status = status_of(&mut server.connect(), bytes);
            assert!(
                status.is_none_or(|status| (400..=431).contains(&status) || status == 505),
                "{status:?} to {shown:?}"
            );
        }
        assert!(server.is_well(), "after {shown:?}");
    }
    assert_eq!(server.alice().get("a").ok()["status"], "available");
}

#[test]
fn a_broken_chunk_is_refused_and_locks_nothing() {
    let mut server = Setup::new().start();
    let head = format!(
        "POST /locks/a/acquire HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALICE}\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    for chunks in [
        "zz\r\n{\"ttl_seconds\": 60}\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n{\"ttl_seconds\": 60}\r\n0\r\n\r\n",
        "-1\r\n\r\n",
        "13\r\n{\"ttl_seconds\": 60}xx0\r\n\r\n",
    ] {
        let bytes = format!("{head}{chunks}");
        let status = status_of(&mut server.connect(), bytes.as_bytes());
        assert!(status.is_none_or(|s| (400..500).contains(&s)), "{status:?} to {chunks:?}");
        assert!(server.is_well());
    }
    assert_eq!(server.alice().get("a").ok()["status"], "available");
}

#[test]
fn a_length_beside_chunks_smuggles_nothing() {
    let mut server = Setup::new().start();
    // Whoever goes by the length sees a second request; whoever goes by the chunks sees a body.
    let smuggled = format!(
        "POST /locks/smuggled/acquire HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALICE}\r\n\
         content-length: 19\r\n\r\n{{\"ttl_seconds\": 60}}"
    );
    let outer = format!(
        "POST /locks/outer/acquire HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALICE}\r\n\
         content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n",
        smuggled.len()
    );
    let status = status_of(&mut server.connect(), outer.as_bytes());
    assert!(matches!(status, Some(400 | 422)), "{status:?}");
    let mut alice = server.alice();
    assert_eq!(alice.get("smuggled").ok()["status"], "available");
    assert_eq!(alice.get("outer").ok()["status"], "available");
    assert!(server.is_well());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Setup::new().start();
    let alice = server.alice();
    let mut bytes = Vec::new();
    for n in 0..20 {
        let path = format!("/locks/l{n}/acquire");
        bytes.extend(alice.bytes("POST", &path, b"{\"ttl_seconds\": 60}"));
        bytes.extend(alice.bytes("GET", &format!("/locks/l{n}"), b""));
        bytes.extend(alice.bytes("GET", "/nowhere", b""));
    }
    let mut connection = server.connect();
    connection.send(&bytes);
    let mut last = 0;
    for n in 0..20 {
        let acquired = connection.read();
        assert_eq!(acquired.ok()["name"], format!("l{n}"));
        assert!(acquired.token() > last);
        last = acquired.token();
        assert_eq!(connection.read().lease(), acquired.lease());
        connection.read().refused(404, "not_found");
    }
}

#[test]
fn a_request_may_come_a_byte_at_a_time() {
    let server = Setup::new().start();
    let bytes = server.alice().bytes("POST", "/locks/a/acquire", b"{\"ttl_seconds\": 60}");
    let mut connection = server.connect();
    for byte in bytes {
        connection.send(&[byte]);
    }
    connection.read().ok();
}

#[test]
fn http_1_0_and_connection_close_are_honoured() {
    let server = Setup::new().start();
    let mut old = server.connect();
    old.send(b"GET /health HTTP/1.0\r\n\r\n");
    assert!(old.drain().ends_with(b"OK"));
    let mut closing = server.connect();
    closing.send(&request("GET", "/health", &[("connection", "close")], b""));
    assert_eq!(closing.read().text(), "OK");
    assert!(closing.is_closed());
}

#[test]
fn an_expectation_is_met_before_the_body_is_asked_for() {
    let server = Setup::new().start();
    let authorization = format!("Bearer {ALICE}");
    let headers = [("authorization", &*authorization), ("expect", "100-continue")];
    let body = b"{\"ttl_seconds\": 60}";
    let bytes = request("POST", "/locks/a/acquire", &headers, body);
    let mut connection = server.connect();
    connection.send(&bytes[..bytes.len() - body.len()]);
    assert_eq!(connection.read_head().unwrap().status, 100);
    connection.send(body);
    connection.read().ok();

    let mut stranger = server.connect();
    let bytes = request("POST", "/locks/a/acquire", &headers[1..], body);
    stranger.send(&bytes[..bytes.len() - body.len()]);
    stranger.read().refused(401, "unauthorized");
}

#[test]
fn an_answer_does_not_wait_for_what_comes_after_its_request() {
    let server = Setup::new().start();
    let alice = server.alice();
    let acquire = alice.bytes("POST", "/locks/a/acquire", b"{\"ttl_seconds\": 60}");
    // Stray line ends after a body are what old clients send; half a request is what a segment
    // of a pipelining client ends in.
    for rest in ["\r\n", "GET /hea", "GET /health HTTP/1.1\r\nhost: x\r\n"] {
        let mut connection = server.connect();
        connection.send(&[&acquire, rest.as_bytes()].concat());
        connection.read_within(ANSWERED).ok();
    }
}

#[test]
fn a_malformed_request_is_told_so() {
    let server = Setup::new().start();
    for bytes in [
        &b"nonsense\r\n\r\n"[..],
        b"GET /he\0alth HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /locks/a b HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let status = status_of(&mut server.connect(), bytes);
        assert_eq!(status, Some(400), "{:?}", String::from_utf8_lossy(bytes));
    }
    let large = format!("GET /health HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(20_000));
    assert_eq!(status_of(&mut server.connect(), large.as_bytes()), Some(431));
}

#[test]
fn even_a_malformed_request_is_answered_with_an_id_and_a_code() {
    let server = Setup::new().start();
    let mut connection = server.connect();
    connection.send(b"nonsense\r\n\r\n");
    let answer = connection.read();
    assert_eq!(answer.status, 400);
    assert!(answer.header("x-request-id").is_some(), "{answer:?}");
    assert!(answer.json()["code"].is_string());
}

#[test]
fn a_malformed_request_after_a_good_one_is_answered_with_a_code_too() {
    let server = Setup::new().start();
    let mut connection = server.connect();
    connection.send(&server.alice().bytes("GET", "/locks", b""));
    connection.read().ok();
    connection.send(b"nonsense\r\n\r\n");
    connection.read().refused(400, "malformed_request");
}
