//! What one account or one address can do to the others: nothing.

use crate::{
    admin::{act, setup},
    caller::Caller,
    common::{Address, Client, Connection, Server, Setup, request},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Asks `path` as whoever `X-Forwarded-For` says.
fn forwarded(connection: &mut Connection, path: &str, from: &str, secret: &str) -> (u16, Value) {
    let authorization = format!("Bearer {secret}");
    let headers = [("authorization", &*authorization), ("x-forwarded-for", from)];
    connection.send(&request("GET", path, &headers, b""));
    let answer = connection.read();
    (answer.status, answer.json())
}

/// Shows wrong tokens until that is not looked at any more; says how many were.
fn exhaust(server: &Server, from: &str) -> usize {
    let mut connection = server.connect();
    for count in 0..5_000 {
        let (status, body) = forwarded(&mut connection, "/locks", from, &format!("wrong-{count}"));
        if status == 429 {
            assert_eq!(body["code"], "too_many_failures");
            return count;
        }
        assert_eq!((status, &body["code"]), (401, &Value::from("unauthorized")));
    }
    panic!("it may guess for ever");
}

/// Whether wrong tokens from there are not looked at any more. An attempt comes back every 60
/// milliseconds, which a slow machine takes for one.
fn is_throttled(connection: &mut Connection, from: &str) -> bool {
    (0..100).any(|_| forwarded(connection, "/locks", from, "wrong").0 == 429)
}

#[test]
fn an_account_that_asks_too_fast_is_told_so_and_others_are_not() {
    let server = Setup::new().flag("--requests-per-second", "20").start();
    let mut alice = server.alice();
    let refused = std::iter::repeat_with(|| alice.list("")).find(|answer| answer.status != 200);
    let refused = refused.unwrap();
    refused.refused(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("1"));
    server.bob().list("").ok();
    // The account is what is counted, not the connection or the path.
    let again = std::iter::repeat_with(|| server.alice().send("GET", "/flags", b""))
        .find(|answer| answer.status != 200);
    again.unwrap().refused(429, "rate_limited");
}

#[test]
fn who_asks_too_fast_waits_for_the_answer_that_says_so() {
    let server = Setup::new().flag("--requests-per-second", "1").start();
    let mut alice = server.alice();
    let mut answers = std::iter::repeat_with(|| {
        let asked = Instant::now();
        (alice.list("").status, asked.elapsed())
    });
    let (_, took) = answers.find(|(status, _)| *status == 429).unwrap();
    assert!(took >= Duration::from_millis(20), "{took:?}");
}

#[test]
fn nobody_washes_out_of_the_audit_log_what_was_done_by_being_refused() {
    let server = setup().flag("--failed-sign-ins", "100000").start();
    let mut stranger = Caller::new(&server.address, None);
    let begun = Instant::now();
    for _ in 0..1_500 {
        let wrong = [("x-admin-key", "wrong")];
        stranger.call(("GET", "/admin/audit"), &wrong, "").refused(401, "unauthorized");
    }
    // So many at once, and then one every tenth of a second.
    let most = 600 + 10 * (begun.elapsed().as_secs() + 1);
    let setup = server.setup.clone();
    server.stop();
    let database = rusqlite::Connection::open(setup.database()).unwrap();
    let count = "SELECT count(*) FROM audit WHERE outcome = 'refused'";
    let noted: u64 =
        database.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned();
    assert!((600..=most).contains(&noted), "{noted}");
}

#[test]
fn guessing_is_throttled_and_who_cannot_be_guessed_is_not() {
    let long = "a-long-enough-static-token";
    let server =
        Setup::bare().variable("STATIC_TOKENS", &format!("short:secret,long:{long}")).start();
    let counted = exhaust(&server, "-");
    assert!(counted >= 1000, "{counted}");
    let mut short = Client::new(&server.address, "secret");
    // An attempt may come back between the two.
    let mut answers = std::iter::repeat_with(|| {
        exhaust(&server, "-");
        short.list("")
    });
    let refused = answers.by_ref().take(100).find(|answer| answer.status != 200).unwrap();
    refused.refused(429, "too_many_failures");
    assert!(refused.header("retry-after").is_some());
    Client::new(&server.address, long).list("").ok();
    let made = Client::new(&server.address, long).send("POST", "/auth/token/rotate", b"").ok();
    Client::new(&server.address, made["token"].as_str().unwrap()).list("").ok();
}

#[test]
fn a_token_of_a_disabled_account_is_not_guessed_past_the_throttle_either() {
    let server = setup().start();
    act(&server, "alice", "disable");
    let mut alice = server.alice();
    alice.list("").refused(403, "account_disabled");
    let mut answers = std::iter::repeat_with(|| {
        exhaust(&server, "-");
        alice.list("")
    });
    let refused = answers.by_ref().take(100).find(|answer| answer.status != 403).unwrap();
    refused.refused(429, "too_many_failures");
}

#[test]
fn what_is_no_token_at_all_is_counted_and_throttled_like_a_wrong_one() {
    let server = Setup::new().start();
    let mut connection = server.connect();
    let mut malformed = || {
        connection.send(&request("GET", "/locks", &[("authorization", "Basic YTpi")], b""));
        connection.read()
    };
    let refused = (0..5_000).map(|_| malformed()).find(|answer| answer.status != 401).unwrap();
    refused.refused(429, "too_many_failures");
    // Pasted into the dashboard it is not looked at either. An attempt comes back every 60 milliseconds.
    let mut paste = || {
        let headers = [("x-csrf-token", "sign-in")];
        let body = br#"{"token": "a b"}"#;
        connection.send(&request("POST", "/dashboard/session", &headers, body));
        connection.read().status
    };
    assert!((0..100).any(|_| paste() == 429));
    // Whoever shows nothing guesses nothing.
    Client::anonymous(&server.address).list("").refused(401, "unauthorized");
}

#[test]
fn a_session_that_has_ended_is_none_whatever_else_its_address_shows() {
    let server = Setup::new().start();
    let made = server.alice().post("/auth/tokens", &json!({"name": "dashboard"})).json();
    let mut connection = server.connect();
    let body = json!({ "token": made["token"] }).to_string();
    let headers = [("x-csrf-token", "sign-in")];
    connection.send(&request("POST", "/dashboard/session", &headers, body.as_bytes()));
    let cookie = connection.read().header("set-cookie").unwrap().to_owned();
    let id = made["id"].as_str().unwrap();
    server.alice().send("DELETE", &format!("/auth/tokens/{id}"), b"").ok();
    exhaust(&server, "198.51.100.7");
    let cookie = [("cookie", cookie.split(';').next().unwrap())];
    connection.send(&request("GET", "/dashboard/session", &cookie, b""));
    assert_eq!(connection.read().ok()["signed_in"], false, "or nobody could sign in again");
}

#[test]
fn forwarded_addresses_are_believed_from_configured_proxies_only() {
    let stranger = Setup::new().start();
    exhaust(&stranger, "198.51.100.7");
    let mut connection = stranger.connect();
    assert!(is_throttled(&mut connection, "203.0.113.9"), "whatever it says, it is the same peer");

    let server = Setup::new().flag("--trusted-proxies", "127.0.0.1,10.0.0.0/8").start();
    exhaust(&server, "198.51.100.7");
    let mut connection = server.connect();
    let mut throttled = |from| is_throttled(&mut connection, from);
    assert!(throttled("198.51.100.7"));
    assert!(!throttled("198.51.100.8"));
    assert!(throttled("198.51.100.8, 198.51.100.7"), "the last one counts");
    assert!(throttled("198.51.100.7, 10.1.2.3"), "past our own proxies");
    assert!(!throttled("198.51.100.7, 192.0.2.1"), "and no further");
}

#[test]
fn a_unix_socket_is_a_proxy_only_if_that_is_configured() {
    let setup = Setup::new();
    let path = setup.folder().join("socket");
    let bind = format!("unix:{}", path.display());
    for (trusted, throttled) in [("unix", false), ("127.0.0.1", true)] {
        let server = setup.clone().bind(&bind).flag("--trusted-proxies", trusted).start();
        assert!(matches!(server.address, Address::Unix(_)));
        exhaust(&server, "198.51.100.7");
        let mut connection = server.connect();
        assert_eq!(is_throttled(&mut connection, "203.0.113.9"), throttled);
    }
}

#[test]
fn an_unknown_a_wrong_and_a_malformed_token_are_refused_in_the_same_words() {
    let server = Setup::new().start();
    let mut connection = server.connect();
    let mut seen = std::collections::HashSet::new();
    let good = "alice-token-5f0c";
    let octo = format!("octo_{}", "0".repeat(72));
    for value in [
        format!("Bearer {}", &good[..good.len() - 1]),
        format!("Bearer {good}x"),
        format!("Bearer {octo}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Basic {good}"),
        good.to_owned(),
        format!("Bearer {}", "x".repeat(4000)),
    ] {
        connection.send(&request("GET", "/locks", &[("authorization", &value)], b""));
        let answer = connection.read();
        let mut body = answer.json();
        body["request_id"] = Value::Null;
        seen.insert((answer.status, body.to_string()));
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}
