//! Reading the audit log: by the page, with what is sought, and all of it at once.

use crate::{
    admin::{KEY, act, keeper, scoped, setup},
    audit::seed,
    caller::Caller,
    common::{ALICE, Connection, Server, until},
};
use serde_json::{Value, json};

/// All that `query` wants, from an export.
pub fn all(server: &Server, query: &str) -> Vec<Value> {
    let answer = keeper(server).get(&format!("/admin/audit/export?{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let text = answer.text();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// All that `query` wants, page by page.
fn paged(server: &Server, query: &str, limit: u32) -> Vec<Value> {
    let mut found = Vec::new();
    let mut before = String::new();
    loop {
        let page = format!("/admin/audit?{query}&limit={limit}{before}");
        let page = keeper(server).get(&page).ok();
        let entries = page["entries"].as_array().unwrap();
        found.extend(entries.iter().cloned());
        let Some(next) = page.get("next") else { return found };
        assert_eq!(entries.len(), limit as usize, "a page is full if there is another");
        assert_eq!(*next, entries.last().unwrap()["id"]);
        before = format!("&before={next}");
    }
}

fn ids(entries: &[Value]) -> Vec<u64> {
    entries.iter().map(|entry| entry["id"].as_u64().unwrap()).collect()
}

#[test]
fn pages_follow_each_other_without_gap_or_overlap_while_more_is_written() {
    let setup = setup();
    setup.start().stop();
    seed(&setup, 2_500, 60);
    let server = setup.start();
    let mut alice = Caller::alice(&server);
    let mut found = Vec::new();
    let mut before = String::new();
    for n in 0.. {
        let page = keeper(&server).get(&format!("/admin/audit?limit=400{before}")).ok();
        found.extend(ids(page["entries"].as_array().unwrap()));
        let Some(next) = page.get("next") else { break };
        before = format!("&before={next}");
        alice.put(&format!("/flags/f-{n}"), &json!({ "enabled": true })).ok();
    }
    assert_eq!(found, Vec::from_iter((1..=2_500).rev()));
    for (limit, pages) in [(2_500 / 5, 500), (1_000, 1_000), (1, 1)] {
        let page = keeper(&server).get(&format!("/admin/audit?limit={limit}&before=2501")).ok();
        assert_eq!(page["entries"].as_array().unwrap().len(), pages);
        assert_eq!(page["next"], 2_501 - pages);
    }
    let page = keeper(&server).get("/admin/audit?before=1001&limit=1000").ok();
    assert_eq!(page.get("next"), None, "there is nothing before the first");
}

#[test]
fn an_export_is_all_the_pages_the_latest_first() {
    let setup = setup();
    setup.start().stop();
    seed(&setup, 2_500, 60);
    let server = setup.start();
    for caller in [&mut Caller::alice(&server), &mut Caller::bob(&server)] {
        for n in 0..3 {
            caller.put(&format!("/flags/f-{n}"), &json!({ "enabled": true })).ok();
            caller.delete(&format!("/flags/f-{n}")).ok();
        }
    }
    act(&server, "bob", "disable");
    let bob = crate::admin::account(&server, "bob")["id"].as_str().unwrap().to_owned();
    let since = all(&server, "")[20]["at"].as_str().unwrap().to_owned();
    for (query, count) in [
        (String::new(), 2_513),
        ("action=flag.set".to_owned(), 2_506),
        ("action=flag.delete".to_owned(), 6),
        ("action=account.disable".to_owned(), 1),
        ("action=sign_in".to_owned(), 0),
        (format!("account={bob}"), 6),
        (format!("account={bob}&action=flag.delete"), 3),
        ("account=00000000-0000-0000-0000-000000000000".to_owned(), 0),
        ("since=2999-01-01T00:00:00Z".to_owned(), 0),
        (format!("since={since}"), 21),
        ("before=11".to_owned(), 10),
    ] {
        let exported = all(&server, &query);
        assert_eq!(exported.len(), count, "{query}");
        assert!(exported.is_sorted_by(|one, next| one["id"].as_u64() > next["id"].as_u64()));
        if !query.contains("before") {
            for limit in [7, 1_000] {
                assert_eq!(paged(&server, &query, limit), exported, "{query}");
            }
        }
    }
}

#[test]
fn what_cannot_be_sought_is_refused() {
    let server = setup().start();
    for path in ["/admin/audit", "/admin/audit/export"] {
        for (query, parameter) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=x", "limit"),
            ("before=", "before"),
            ("before=-1", "before"),
            ("before=1.5", "before"),
            ("account=alice", "account"),
            ("action=flag", "action"),
            ("since=yesterday", "since"),
            ("since=2026-11-23", "since"),
        ] {
            let refused = keeper(&server).get(&format!("{path}?{query}"));
            let body = refused.refused(422, "invalid_query");
            assert!(body["error"].as_str().unwrap().contains(parameter), "{body}");
        }
        assert_eq!(keeper(&server).get(&format!("{path}?unknown=1")).status, 200);
    }
}

#[test]
fn who_could_not_tell_a_part_from_the_whole_gets_none() {
    let server = setup().start();
    let mut old = server.connect();
    old.send(
        format!("GET /admin/audit/export HTTP/1.0\r\nauthorization: Bearer {KEY}\r\n\r\n")
            .as_bytes(),
    );
    let said = String::from_utf8(old.drain()).unwrap();
    assert!(said.starts_with("HTTP/1.0 505 ") && said.contains("http_version_too_old"), "{said}");
    assert!(said.contains("proxy_http_version 1.1"), "{said}");
}

#[test]
fn an_empty_log_is_empty() {
    let server = setup().start();
    assert_eq!(keeper(&server).get("/admin/audit").ok(), json!({ "entries": [] }));
    assert!(all(&server, "").is_empty());
}

/// More than a socket and its buffers hold.
const LONG: u32 = 150_000;

/// A server with a log that takes its time to be read.
fn with_a_long_log() -> Server {
    let setup = setup();
    setup.start().stop();
    seed(&setup, LONG, 60);
    setup.start()
}

/// An export that has begun.
fn begun(server: &Server, token: &str) -> Connection {
    let mut connection = server.connect();
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", &*authorization)];
    connection.send(&crate::common::request("GET", "/admin/audit/export", &headers, b""));
    assert_eq!(connection.read_head().unwrap().status, 200);
    assert!(connection.read_chunk().unwrap().is_some());
    connection
}

/// Reads to the end of an export; says how much came, and whether it was complete.
fn rest(connection: &mut Connection) -> (usize, bool) {
    let mut length = 0;
    loop {
        match connection.read_chunk() {
            Ok(Some(chunk)) => length += chunk.len(),
            Ok(None) => return (length, true),
            Err(_) => return (length, false),
        }
    }
}

#[test]
fn an_export_takes_no_more_memory_because_the_log_is_long() {
    let server = with_a_long_log();
    let before = server.memory();
    let mut connections: Vec<_> = (0..10).map(|_| begun(&server, KEY)).collect();
    let (length, complete) = rest(&mut connections[0]);
    assert!(complete && length > 20 << 20, "{length}");
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes for ten exports of {length}");
    // Whoever does not read is in nobody's way.
    server.alice().acquire("a", 60).ok();
    assert_eq!(ids(&all(&server, "before=10")), Vec::from_iter((1..10).rev()));
}

#[test]
fn an_export_ends_when_its_client_goes() {
    let mut server = with_a_long_log();
    for _ in 0..20 {
        drop(begun(&server, KEY));
    }
    assert!(server.is_well());
    // A stop need not wait for any of them.
    server.stop();
}

#[test]
fn an_export_ends_when_its_token_does() {
    let server = with_a_long_log();
    act(&server, "alice", "promote");
    let token = scoped(&server, ALICE, "admin.audit:read");
    let mut revoked = begun(&server, &token);
    let id = Caller::new(&server.address, Some(&token)).get("/auth/me").ok()["token"]["id"].clone();
    let id = id.as_str().unwrap();
    let mut demoted = begun(&server, ALICE);
    Caller::alice(&server).delete(&format!("/auth/tokens/{id}")).ok();
    assert!(!rest(&mut revoked).1, "what is missing shows");
    act(&server, "alice", "demote");
    assert!(!rest(&mut demoted).1);

    act(&server, "alice", "promote");
    let mut disabled = begun(&server, ALICE);
    act(&server, "alice", "disable");
    assert!(!rest(&mut disabled).1);
}

#[test]
fn a_stop_ends_an_export() {
    let server = with_a_long_log();
    let mut reading = begun(&server, KEY);
    let not_reading = begun(&server, KEY);
    server.signal(rustix::process::Signal::TERM);
    assert!(!rest(&mut reading).1, "what is missing shows");
    let exit = server.exit();
    assert_eq!(exit.code, Some(0), "{exit:?}");
    drop(not_reading);
}

#[test]
fn changes_go_on_while_the_log_is_read() {
    let server = with_a_long_log();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            // Nothing of this is there: all of it is looked at.
            let rare = "/admin/audit?action=sign_in";
            (0..5)
                .for_each(|_| assert_eq!(keeper(&server).get(rare).ok(), json!({ "entries": [] })));
        });
        let mut changes = 0;
        until("it has been read", || {
            server.alice().acquire(&format!("lock-{}", changes % 90), 60).ok();
            changes += 1;
            reader.is_finished().then_some(())
        });
        assert!(changes > 5, "only {changes} changes while all was read five times");
    });
}
