//! What is wrong with a request, and the words in which it is told.

use crate::common::{ALICE, Answer, Client, Setup, request};
use serde_json::{Value, json};

const SOME_UUID: &str = "550e8400-e29b-41d4-a716-446655440000";

#[test]
fn a_name_out_of_the_alphabet_is_422_on_every_method() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let long = "x".repeat(129);
    let bad = [
        "a%20b", "%00", "a%2F%2Fb", "%2Fa", "a%2F", "%C3%A4", "a%252Fb", "a:b", "a*b", "%ff",
        "a@b", "a~b", "%0A", "%", "%zz", &long,
    ];
    let body =
        json!({"ttl_seconds": 60, "lease_id": SOME_UUID, "owner": "a", "metadata": ""}).to_string();
    for name in bad {
        alice.get(name).refused(422, "invalid_lock_name");
        for action in ["acquire", "release", "renew"] {
            let path = format!("/locks/{name}/{action}");
            alice.send("POST", &path, body.as_bytes()).refused(422, "invalid_lock_name");
        }
    }
    assert_eq!(alice.list("").ok()["total"], 0);
}

#[test]
fn a_bad_acquire_is_422_and_nothing_is_locked() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let metadata = |length| json!({"ttl_seconds": 60, "metadata": "x".repeat(length)}).to_string();
    let owner = |owner: &str| json!({"ttl_seconds": 60, "owner": owner}).to_string();
    let bad: [(&[u8], &str); 30] = [
        (b"", "invalid_body"),
        (b"   ", "invalid_body"),
        (b"null", "invalid_body"),
        (b"[]", "invalid_body"),
        (b"[60]", "invalid_body"),
        (b"60", "invalid_body"),
        (b"\"ttl_seconds\"", "invalid_body"),
        (b"ttl_seconds=60", "invalid_body"),
        (b"{", "invalid_body"),
        (b"{\"ttl_seconds\": 60", "invalid_body"),
        (b"{\"ttl_seconds\": 60}}", "invalid_body"),
        (b"{\"ttl_seconds\": 60}{}", "invalid_body"),
        (b"{\"ttl_seconds\": \"60\"}", "invalid_body"),
        (b"{\"ttl_seconds\": true}", "invalid_body"),
        (b"{\"ttl_seconds\": [60]}", "invalid_body"),
        (b"{\"ttl_seconds\": {}}", "invalid_body"),
        (b"{\"ttl_seconds\": 60, \"metadata\": 5}", "invalid_body"),
        (b"{\"ttl_seconds\": 60, \"metadata\": {}}", "invalid_body"),
        (b"{\"ttl_seconds\": 60, \"owner\": 5}", "invalid_body"),
        (b"{}", "missing_field"),
        (b"{\"ttl_seconds\": null}", "missing_field"),
        (b"{\"ttl_seconds\": 0}", "invalid_ttl"),
        (b"{\"ttl_seconds\": 3601}", "invalid_ttl"),
        (b"{\"ttl_seconds\": -1}", "invalid_ttl"),
        (b"{\"ttl_seconds\": 1.5}", "invalid_ttl"),
        (b"{\"ttl_seconds\": 1e300}", "invalid_ttl"),
        (metadata(1025).leak().as_bytes(), "invalid_metadata"),
        (owner("").leak().as_bytes(), "invalid_owner"),
        (owner("a b").leak().as_bytes(), "invalid_owner"),
        (owner(&"x".repeat(129)).leak().as_bytes(), "invalid_owner"),
    ];
    for (body, code) in bad {
        let answer = alice.send("POST", "/locks/a/acquire", body);
        let shown = String::from_utf8_lossy(body);
        assert_eq!(answer.status, 422, "{shown}: {}", answer.text());
        let said = answer.refused(422, code);
        if code == "invalid_ttl" {
            assert_eq!(said["error"], "TTL must be between 1 and 3600 seconds");
        }
    }
    assert_eq!(alice.get("a").ok()["status"], "available");
    let most = metadata(1024);
    assert_eq!(alice.send("POST", "/locks/a/acquire", most.as_bytes()).status, 200);
}

#[test]
fn a_body_that_is_refused_is_told_which_field_and_what_is_wanted() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    for (path, body, details) in [
        ("/locks/a/acquire", "", "the body is empty"),
        ("/locks/a/acquire", " ", "the body is empty"),
        ("/locks/a/acquire", "{\"ttl_seconds\":", "the body ends too early"),
        ("/locks/a/acquire", "[60]", "an array, where a JSON object is wanted"),
        (
            "/locks/a/acquire",
            "{\"ttl_seconds\":\"hunter2, expected f64\"}",
            "ttl_seconds: a string, where a whole number is wanted",
        ),
        (
            "/locks/a/acquire",
            "{\"ttl_seconds\":[60]}",
            "ttl_seconds: an array, where a whole number is wanted",
        ),
        (
            "/locks/a/acquire",
            "{\"x\":{\"y\":1},\"ttl_seconds\":60,\"owner\":7.5}",
            "owner: a number, where a string is wanted",
        ),
        (
            "/locks/a/acquire",
            "{\"ttl_seconds\":60,\"metadata\":{}}",
            "metadata: an object, where a string is wanted",
        ),
        (
            "/limits/a/check",
            "{\"max_requests\":true}",
            "max_requests: a boolean, where a whole number is wanted",
        ),
        (
            "/auth/tokens",
            "{\"name\":\"x\",\"scopes\":[7]}",
            "scopes: a string or an array of strings is wanted",
        ),
    ] {
        let said = alice.send("POST", path, body.as_bytes()).refused(422, "invalid_body");
        assert_eq!(said["details"], details, "{body}");
    }
    let said = alice.send("PUT", "/flags/a", b"{\"enabled\":3}").refused(422, "invalid_body");
    assert_eq!(said["details"], "enabled: a number, where a boolean is wanted");
    let body = b"{\"value\":[1],\"description\":5}";
    let said = alice.send("PUT", "/config/a", body).refused(422, "invalid_body");
    assert_eq!(said["details"], "description: a number, where a string is wanted");
}

#[test]
fn what_is_no_utf_8_is_no_json() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    for body in [
        &b"{\"ttl_seconds\": 60, \"metadata\": \"\xff\"}"[..],
        b"{\"ttl_seconds\": 60, \"unknown\": \"\xff\"}",
        b"{\"ttl_seconds\": 60, \"\xff\": 1}",
    ] {
        let answer = alice.send("POST", "/locks/a/acquire", body);
        let shown = String::from_utf8_lossy(body);
        assert_eq!(answer.status, 422, "{shown}: {}", answer.text());
    }
}

#[test]
fn null_counts_as_absent() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let body = json!({"ttl_seconds": 60, "metadata": null, "owner": null});
    let with_nulls = alice.acquire_with("a", &body).ok();
    assert!(with_nulls.get("metadata").is_none() && with_nulls.get("owner").is_none());
    let without = alice.acquire("a", 60).ok();
    assert_eq!(with_nulls["lease_id"], without["lease_id"], "the same owner");
}

#[test]
fn a_bad_release_or_renewal_is_422_and_the_lease_stays() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let lease = alice.acquire("a", 60).lease();
    let simple = lease.replace('-', "");
    let mut bad: Vec<(Value, &str)> = vec![
        (json!([lease]), "invalid_body"),
        (json!({"lease_id": 5, "ttl_seconds": 60}), "invalid_body"),
        (json!({"ttl_seconds": 60}), "missing_field"),
        (json!({"lease_id": null, "ttl_seconds": 60}), "missing_field"),
    ];
    for text in ["", "x", "not-a-uuid", &simple, &format!("{{{lease}}}")] {
        bad.push((json!({"lease_id": text, "ttl_seconds": 60}), "invalid_lease_id"));
    }
    for (body, code) in &bad {
        for action in ["release", "renew"] {
            let said = alice.post(&format!("/locks/a/{action}"), body).refused(422, code);
            if *code == "invalid_lease_id" {
                assert_eq!(said["error"], "Invalid lease_id format");
            }
        }
    }
    for (ttl, code) in [
        (json!(0), "invalid_ttl"),
        (json!(3601), "invalid_ttl"),
        (json!(null), "missing_field"),
        (json!("60"), "invalid_body"),
    ] {
        let body = json!({"lease_id": lease, "ttl_seconds": ttl});
        alice.post("/locks/a/renew", &body).refused(422, code);
    }
    alice.renew("a", &lease, 60).ok();
}

#[test]
fn a_wrong_lease_or_a_foreign_or_free_lock_is_404_in_the_same_words() {
    let server = Setup::new().start();
    let (mut alice, mut bob) = (server.alice(), server.bob());
    let lease = alice.acquire("a", 60).lease();
    let gone = alice.acquire("gone", 60).lease();
    alice.release("gone", &gone).ok();
    let refusals = [
        alice.release("a", SOME_UUID),
        alice.renew("a", SOME_UUID, 60),
        bob.release("a", &lease),
        bob.renew("a", &lease, 60),
        alice.release("free", &lease),
        alice.renew("free", &lease, 60),
        alice.release("gone", &gone),
        alice.renew("gone", &gone, 60),
    ];
    for answer in refusals {
        let said = answer.refused(404, "lock_not_owned");
        assert_eq!(said["error"], "Lock not found or not owned by caller");
    }
    assert_eq!(alice.get("a").lease(), lease);
}

#[test]
fn without_a_good_token_there_is_401_in_the_same_words() {
    let server = Setup::new().start();
    let good = format!("Bearer {ALICE}");
    let long = format!("Bearer {}", "x".repeat(600));
    let headers: [&[(&str, &str)]; 10] = [
        &[],
        &[("authorization", "Bearer wrong")],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer ")],
        &[("authorization", ALICE)],
        &[("authorization", "Basic YWxpY2U6YWxpY2U=")],
        &[("authorization", &long)],
        &[("authorization", &good), ("authorization", &good)],
        &[("authorization", &good), ("authorization", "Bearer wrong")],
        &[("x-authorization", &good)],
    ];
    let paths = [
        ("GET", "/locks"),
        ("GET", "/locks/a"),
        ("POST", "/locks/a/acquire"),
        ("POST", "/locks/a/release"),
        ("POST", "/locks/a/renew"),
        ("POST", "/auth/token/rotate"),
    ];
    for headers in headers {
        for (method, path) in paths {
            let mut connection = server.connect();
            connection.send(&request(method, path, headers, b"{\"ttl_seconds\": 60}"));
            let answer = connection.read();
            let said = answer.refused(401, "unauthorized");
            assert_eq!(said["error"], "Invalid or missing authorization header");
            assert!(said.get("details").is_none(), "{said}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    assert_eq!(server.alice().list("").ok()["total"], 0);
}

#[test]
fn an_unknown_path_is_404_and_a_wrong_method_405_with_allow() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    for path in ["/lock", "/locks/a/steal", "/locks/a/b/acquire", "//"] {
        for method in ["GET", "POST", "DELETE"] {
            let said = alice.send(method, path, b"").refused(404, "not_found");
            // What is behind most of them.
            assert!(said["details"].as_str().is_some_and(|text| text.contains("%2F")), "{said}");
        }
    }
    let known = [
        ("/health", "GET"),
        ("/locks", "GET"),
        ("/locks/a", "GET"),
        ("/locks/a/acquire", "POST"),
        ("/locks/a/release", "POST"),
        ("/locks/a/renew", "POST"),
        ("/auth/token/rotate", "POST"),
    ];
    for (path, allowed) in known {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            if method == allowed {
                continue;
            }
            let answer = alice.send(method, path, b"");
            answer.refused(405, "method_not_allowed");
            let allow = answer.header("allow").unwrap();
            assert!(allow.split(", ").any(|one| one == allowed), "{path}: {allow}");
            assert!(!allow.split(", ").any(|one| one == method), "{path}: {allow}");
        }
    }
}

fn padded(length: usize) -> Vec<u8> {
    let mut body = b"{\"ttl_seconds\": 60".to_vec();
    body.resize(length - 1, b' ');
    body.push(b'}');
    body
}

fn chunked(client: &Client, body: &[u8]) -> Vec<u8> {
    let head = client.bytes("POST", "/locks/a/acquire", b"");
    let head = String::from_utf8(head).unwrap();
    let mut bytes = head.replace("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(1000) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

#[test]
fn a_body_over_16_kib_is_413_however_it_is_sent() {
    const LIMIT: usize = 16 * 1024;
    let server = Setup::new().start();
    let mut alice = server.alice();
    let ask = |bytes: &[u8]| -> Answer {
        let mut connection = server.connect();
        connection.send(bytes);
        connection.read()
    };
    let path = "/locks/a/acquire";
    for bytes in
        [alice.bytes("POST", path, &padded(LIMIT + 1)), chunked(&alice, &padded(LIMIT + 1))]
    {
        ask(&bytes).refused(413, "body_too_large");
    }
    // What says of itself that it is too large is refused before it comes.
    let mut announced = alice.bytes("POST", path, &padded(2_000_000));
    announced.truncate(announced.len() - 2_000_000);
    ask(&announced).refused(413, "body_too_large");
    assert_eq!(alice.get("a").ok()["status"], "available");

    let most = ask(&alice.bytes("POST", path, &padded(LIMIT))).lease();
    assert_eq!(ask(&chunked(&alice, &padded(LIMIT))).lease(), most);
}

#[test]
fn json_is_read_whatever_the_content_type_says() {
    let server = Setup::new().start();
    let authorization = format!("Bearer {ALICE}");
    for content_type in [
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/json; charset=utf-8",
        "nonsense",
    ] {
        let mut connection = server.connect();
        connection.send(&request(
            "POST",
            "/locks/a/acquire",
            &[("authorization", &authorization), ("content-type", content_type)],
            b"{\"ttl_seconds\": 60}",
        ));
        connection.read().ok();
    }
}
