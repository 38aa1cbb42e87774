//! The documents' bodies, word for word.

use crate::common::{Answer, Setup, is_stamp, is_uuid, request};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// What both documents require of a success, and what the contract adds.
fn assert_lease(body: &Value, status: &str, name: &str, holder: &str) {
    assert_eq!(body["status"], status, "{body}");
    assert_eq!(body["name"], name);
    assert_eq!(body["holder"], holder);
    assert!(is_uuid(&body["lease_id"]), "{body}");
    assert!(is_uuid(&body["holder_id"]), "{body}");
    assert!(is_stamp(&body["expires_at"]), "{body}");
    let token = body["fencing_token"].as_u64().unwrap();
    assert!((1..1 << 53).contains(&token));
}

fn expires(body: &Value) -> SystemTime {
    let text = body["expires_at"].as_str().unwrap();
    text.parse::<jiff::Timestamp>().unwrap().into()
}

#[test]
fn an_acquire_answers_all_that_both_documents_require() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let before = SystemTime::now();
    let body = json!({"ttl_seconds": 60, "metadata": "build \"7\"\n", "unknown": [1, {"x": null}]});
    let body = alice.acquire_with("my-resource", &body).ok();
    let after = SystemTime::now();
    assert_lease(&body, "acquired", "my-resource", "alice");
    assert_ne!(body["lease_id"], NIL);
    assert_eq!(body["metadata"], "build \"7\"\n");
    assert_eq!(body["renew_after_ms"], 20_000, "a third of the TTL");
    let slack = Duration::from_secs(2);
    let ttl = Duration::from_secs(60);
    assert!((before + ttl - slack..=after + ttl + slack).contains(&expires(&body)));

    let plain = alice.acquire("plain", 1).ok();
    assert_lease(&plain, "acquired", "plain", "alice");
    assert!(plain.get("metadata").is_none(), "{plain}");
    assert_eq!(plain["renew_after_ms"], 333);
}

#[test]
fn a_renewal_keeps_lease_and_token_and_answers_like_an_acquire() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let acquired = alice.acquire_with("a", &json!({"ttl_seconds": 30, "metadata": "m"})).ok();
    let lease = acquired["lease_id"].as_str().unwrap();
    let renewed = alice.renew("a", lease, 300).ok();
    assert_lease(&renewed, "acquired", "a", "alice");
    for same in ["lease_id", "fencing_token", "holder", "holder_id", "metadata"] {
        assert_eq!(renewed[same], acquired[same], "{same}");
    }
    assert!(expires(&renewed) > expires(&acquired));
    assert_eq!(renewed["renew_after_ms"], 100_000);
}

#[test]
fn a_release_answers_released() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let lease = alice.acquire("a", 60).lease();
    let released = alice.release("a", &lease).ok();
    assert_eq!(released, json!({"status": "released", "message": "Lock released"}));
}

#[test]
fn a_free_lock_is_available() {
    let server = Setup::new().start();
    assert_eq!(
        server.alice().get("nobody.has_it-1").ok(),
        json!({"status": "available", "name": "nobody.has_it-1", "message": "Lock not currently held"})
    );
}

#[test]
fn a_held_lock_shows_its_lease_to_its_holder_and_the_nil_uuid_to_others() {
    let server = Setup::new().start();
    let acquired = server.alice().acquire("a", 60).ok();
    let own = server.alice().get("a").ok();
    assert_lease(&own, "held", "a", "alice");
    let theirs = server.bob().get("a").ok();
    assert_lease(&theirs, "held", "a", "alice");
    for body in [&own, &theirs] {
        for same in ["fencing_token", "expires_at", "holder_id"] {
            assert_eq!(body[same], acquired[same], "{same}");
        }
    }
    assert_eq!(own["lease_id"], acquired["lease_id"]);
    assert_eq!(theirs["lease_id"], NIL);
}

#[test]
fn a_refused_acquire_serves_both_documents() {
    let server = Setup::new().start();
    let acquired =
        server.alice().acquire_with("a", &json!({"ttl_seconds": 60, "metadata": "m"})).ok();
    let refused = server.bob().acquire("a", 60);
    assert_eq!(refused.status, 409);
    let body = refused.json();
    assert_eq!(body["status"], "held");
    assert_eq!(body["error"], "Lock already held");
    assert_eq!(body["holder_id"], acquired["holder_id"]);
    assert_eq!(body["expires_at"], acquired["expires_at"]);
    assert_eq!(
        body["lock"],
        json!({"name": "a", "holder": "alice", "expires_at": acquired["expires_at"]})
    );
    assert_eq!(body["metadata"], "m");
    assert!((1..=60_000).contains(&body["retry_after_ms"].as_u64().unwrap()));
    assert!(
        !refused.text().contains(&acquired["lease_id"].to_string()),
        "a lease id is its holder's alone"
    );
}

#[test]
fn a_held_lock_can_be_answered_with_200_for_those_who_want_it() {
    for setup in [
        Setup::new().flag("--held-status", "200"),
        Setup::new().variable("OCTOSTORE_HELD_STATUS", "200"),
    ] {
        let server = setup.start();
        server.alice().acquire("a", 60).ok();
        let body = server.bob().acquire("a", 60).ok();
        assert_eq!(
            (&body["status"], &body["error"]),
            (&"held".into(), &"Lock already held".into())
        );
    }
}

#[test]
fn the_list_has_the_documents_shape() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    assert_eq!(alice.list("").ok(), json!({"locks": [], "total": 0}));
    let second = alice.acquire_with("b", &json!({"ttl_seconds": 60, "metadata": "m"})).ok();
    let first = alice.acquire("a", 60).ok();
    server.bob().acquire("c", 60).ok();
    let list = alice.list("").ok();
    let item = |lease: &Value| {
        let mut item = json!({});
        for field in ["name", "lease_id", "fencing_token", "expires_at", "metadata"] {
            if let Some(value) = lease.get(field) {
                item[field] = value.clone();
            }
        }
        item
    };
    assert_eq!(list, json!({"locks": [item(&first), item(&second)], "total": 2}));
}

#[test]
fn health_is_ok_in_plain_text_for_anybody() {
    let server = Setup::new().start();
    let mut connection = server.connect();
    for path in ["/health", "/livez", "/readyz"] {
        connection.send(&request("GET", path, &[], b""));
        let answer = connection.read();
        assert_eq!((answer.status, &*answer.text()), (200, "OK"), "{path}");
        assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    }
}

#[test]
fn a_head_is_a_get_without_its_body() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    alice.acquire("a", 60).ok();
    let mut connection = server.connect();
    for path in ["/health", "/locks", "/locks/a", "/locks/free", "/nowhere"] {
        let get = alice.send("GET", path, b"");
        connection.send(&alice.bytes("HEAD", path, b""));
        let head: Answer = connection.read_head().unwrap();
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
    }
    // Had a body come, it would stand in the way of this answer.
    connection.send(&request("GET", "/health", &[], b""));
    assert_eq!(connection.read().text(), "OK");
}

#[test]
fn every_answer_names_its_request() {
    let server = Setup::new().start();
    let mut connection = server.connect();
    let mut ask = |path: &str, id: Option<&str>| {
        let mut headers = vec![("x-request-id", id.unwrap_or_default())];
        headers.retain(|_| id.is_some());
        connection.send(&request("GET", path, &headers, b""));
        let answer = connection.read();
        answer.header("x-request-id").unwrap().to_owned()
    };
    for path in ["/health", "/locks", "/nowhere"] {
        assert_eq!(ask(path, Some("trace-1:a/b")), "trace-1:a/b", "{path}");
        let (one, two) = (ask(path, None), ask(path, None));
        assert_ne!(one, two);
        assert_eq!(one.len(), 25, "{path}: {one}");
        let long = "x".repeat(2000);
        for insane in ["", "a b", "a\"b", "<x>", &long] {
            assert_eq!(ask(path, Some(insane)).len(), 25, "{path} {insane:?}");
        }
    }
}
