//! The audit log: what is in it, and that it is there exactly if what it speaks of is.

use crate::{
    admin::{KEY, account, act, keeper, path, scoped, setup},
    caller::Caller,
    common::{ALICE, BOB, Client, Server, Setup, at_once, is_stamp, is_uuid, request},
};
use rusqlite::Connection as Sqlite;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The entries that `query` wants, the latest first.
pub fn entries(server: &Server, query: &str) -> Vec<Value> {
    let page = keeper(server).get(&format!("/admin/audit?{query}")).ok();
    assert_eq!(page.get("next"), None, "there are more");
    page["entries"].as_array().unwrap().clone()
}

/// Asks as alice, from behind a proxy, as request `id`.
fn ask(server: &Server, (method, path): (&str, &str), id: &str, body: &Value) -> Value {
    let headers = [("x-request-id", id), ("x-forwarded-for", "198.51.100.7")];
    let answer = Caller::alice(server).call((method, path), &headers, &body.to_string());
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    answer.json()
}

/// What an entry says, but for its number and time.
fn said(entry: &Value) -> Value {
    assert!(entry["id"].is_u64() && is_stamp(&entry["at"]), "{entry}");
    let mut said = entry.clone();
    for field in ["id", "at"] {
        said.as_object_mut().unwrap().remove(field);
    }
    said
}

#[test]
fn every_change_says_who_what_on_which_name_from_where_and_how_it_ended() {
    let server = setup().flag("--trusted-proxies", "127.0.0.1").start();
    let me = Caller::alice(&server).get("/auth/me").ok();
    let flag = json!({ "enabled": true, "percentage": 25 });
    ask(&server, ("PUT", "/flags/new-checkout"), "r-1", &flag);
    ask(&server, ("DELETE", "/flags/new-checkout"), "r-2", &json!({}));
    ask(&server, ("PUT", "/config/payments"), "r-3", &json!({ "value": "hunter2" }));
    ask(&server, ("PUT", "/config/payments"), "r-4", &json!({ "value": 2 }));
    ask(&server, ("POST", "/config/payments/rollback"), "r-5", &json!({ "version": 1 }));
    ask(&server, ("DELETE", "/config/payments"), "r-6", &json!({}));
    let made = ask(&server, ("POST", "/auth/tokens"), "r-7", &json!({ "name": "ci" }));
    let made = made["id"].as_str().unwrap().to_owned();
    ask(&server, ("DELETE", &format!("/auth/tokens/{made}")), "r-8", &json!({}));
    let rotated = ask(&server, ("POST", "/auth/token/rotate"), "r-9", &json!({}));
    let rotated = rotated["id"].as_str().unwrap();

    let own = me["token"]["id"].as_str().unwrap();
    let account = me["id"].as_str().unwrap();
    let expected = [
        ("flag.set", "new-checkout", Some("enabled, 25 %".to_owned())),
        ("flag.delete", "new-checkout", None),
        ("config.set", "payments", Some("version 1".to_owned())),
        ("config.set", "payments", Some("version 2".to_owned())),
        ("config.rollback", "payments", Some("version 3, as version 1".to_owned())),
        ("config.delete", "payments", Some("version 3 was the last".to_owned())),
        ("token.create", account, Some(format!("{made} of alice, named ci"))),
        ("token.revoke", &made, Some("ci".to_owned())),
        ("token.rotate", own, Some(format!("replaced by {rotated}"))),
    ];
    let found = entries(&server, "");
    assert_eq!(found.len(), expected.len());
    for ((n, (action, target, detail)), entry) in (1..).zip(expected).zip(found.iter().rev()) {
        let mut expected = json!({
            "who": "token", "account_id": account, "account": "alice", "token_id": own,
            "from": "198.51.100.7", "request_id": format!("r-{n}"),
            "action": action, "target": target, "result": "ok",
        });
        if let Some(detail) = detail {
            expected["detail"] = detail.into();
        }
        assert_eq!(said(entry), expected);
    }
    assert!(!json!(found).to_string().contains("hunter2"), "no value is in it");
}

#[test]
fn what_administrators_do_is_in_it_and_what_they_are_refused_too() {
    let server = setup().start();
    let (alice, bob) = (account(&server, "alice"), account(&server, "bob"));
    let before = entries(&server, "").len();
    assert_eq!(before, 0, "looking leaves no entry");
    act(&server, "alice", "promote");
    let (alices, bobs) = (path(&server, "alice"), path(&server, "bob"));
    let mut admin = Caller::alice(&server);
    admin.put(&format!("{bobs}/quotas"), &json!({ "locks": 3, "flags": 5 })).ok();
    admin.put(&format!("{bobs}/quotas"), &json!({})).ok();
    admin.post(&format!("{bobs}/disable"), &json!({})).ok();
    admin.post(&format!("{bobs}/enable"), &json!({})).ok();
    admin.post(&format!("{alices}/disable"), &json!({})).refused(409, "own_account");
    Caller::bob(&server)
        .post(&format!("{bobs}/promote"), &json!({}))
        .refused(403, "not_an_administrator");
    Caller::new(&server.address, None).get("/admin/audit").refused(401, "unauthorized");
    Caller::new(&server.address, Some("wrong")).get("/admin/audit").refused(401, "unauthorized");

    let of = |entry: &Value| {
        let said = |field: &str| entry[field].as_str().unwrap_or("-").to_owned();
        ["who", "account", "action", "target", "result", "detail"].map(said).join(" ")
    };
    let found: Vec<_> = entries(&server, "").iter().rev().map(of).collect();
    let (alice, bob) = (alice["id"].as_str().unwrap(), bob["id"].as_str().unwrap());
    let expected = [
        format!("admin_key - account.role {alice} ok admin"),
        format!("token alice account.quotas {bob} ok locks 3, flags 5"),
        format!("token alice account.quotas {bob} ok as everybody"),
        format!("token alice account.disable {bob} ok -"),
        format!("token alice account.enable {bob} ok -"),
        format!("token alice admin.access {alices}/disable refused its own account"),
        format!("token bob admin.access {bobs}/promote refused admin.roles"),
        "stranger - admin.access /admin/audit refused no such key or token".to_owned(),
        "stranger - admin.access /admin/audit refused no such key or token".to_owned(),
    ];
    assert_eq!(found, expected);
    for entry in entries(&server, "") {
        assert_eq!(entry["from"], "127.0.0.1");
        assert_eq!(entry["who"] == "token", is_uuid(&entry["token_id"]), "{entry}");
    }
}

#[test]
fn a_token_that_wants_more_than_it_has_is_noticed() {
    let server = setup().start();
    let narrow = scoped(&server, ALICE, "flags:read");
    let more = json!({ "name": "x", "scopes": ["flags:write"] });
    let mut narrow = Caller::new(&server.address, Some(&narrow));
    narrow.post("/auth/tokens", &more).refused(403, "exceeds_token");
    let own = narrow.get("/auth/me").ok()["token"]["id"].clone();
    let found = &entries(&server, "action=token.create")[0];
    assert_eq!((&found["result"], &found["token_id"]), (&json!("refused"), &own), "{found}");
}

#[test]
fn what_changes_nothing_leaves_no_entry() {
    let server = setup().flag("--flags-per-account", "1").start();
    let mut alice = Caller::alice(&server);
    alice.put("/flags/a", &json!({ "enabled": true })).ok();
    alice.put("/flags/b", &json!({ "enabled": true })).refused(429, "quota_exceeded");
    alice.put("/flags/a", &json!({ "enabled": 3 })).refused(422, "invalid_body");
    alice.delete("/flags/b").refused(404, "flag_not_found");
    alice.put_value_if("a", "1", &[("if-match", "*")]).refused(412, "precondition_failed");
    alice.post("/config/a/rollback", &json!({ "version": 1 })).refused(404, "config_not_found");
    alice.get("/flags/a").ok();
    server.alice().acquire("a", 60).ok();
    assert_eq!(entries(&server, "").len(), 1);
}

#[test]
fn what_was_acknowledged_is_seen_at_once() {
    let server = setup().start();
    let mut alice = Caller::alice(&server);
    for n in 0..50 {
        alice.put(&format!("/flags/f-{n}"), &json!({ "enabled": true })).ok();
        assert_eq!(entries(&server, "limit=1000")[0]["target"], format!("f-{n}"));
    }
}

#[test]
fn after_kill_9_an_entry_is_there_exactly_if_its_change_is() {
    let mut server = setup().start();
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..3 {
        let told_now = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let mut client = if writer % 2 == 0 { server.alice() } else { server.bob() };
                    scope.spawn(move || {
                        let key = format!("key-{round}-{writer}");
                        let path = format!("/config/{key}");
                        let mut last = 0;
                        let body = br#"{"value":1}"#;
                        while let Ok(answer) = client.try_send("PUT", &path, body) {
                            if answer.status != 200 {
                                break;
                            }
                            last = answer.ok()["version"].as_u64().unwrap();
                        }
                        (key, last)
                    })
                })
                .collect();
            // It is in the middle of it when so much has been told.
            crate::common::until("some are written", || {
                let page = keeper(&server).get("/admin/audit?limit=1000").ok();
                let prefix = format!("key-{round}-");
                let of_round = page["entries"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|entry| entry["target"].as_str().unwrap().starts_with(&prefix));
                (of_round.count() > 100).then_some(())
            });
            server.signal(rustix::process::Signal::KILL);
            writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
        });
        told.extend(told_now);
        let setup = server.setup.clone();
        drop(server);
        server = setup.start();
        let log = crate::audit_export::all(&server, "action=config.set");
        for (key, last) in &told {
            let alices = key.ends_with(['0', '2']);
            let mut owner = if alices { Caller::alice(&server) } else { Caller::bob(&server) };
            let stored = owner.get(&format!("/config/{key}"));
            let stored =
                if stored.status == 404 { 0 } else { stored.ok()["version"].as_u64().unwrap() };
            assert!(stored >= *last, "{key} was told and is not there");
            let of_key = log.iter().filter(|entry| entry["target"] == **key);
            let mut details: Vec<_> =
                of_key.map(|entry| entry["detail"].as_str().unwrap().to_owned()).collect();
            details.reverse();
            let expected: Vec<_> = (1..=stored).map(|n| format!("version {n}")).collect();
            assert_eq!(details, expected, "{key}");
        }
    }
}

#[test]
fn changes_at_once_have_one_entry_each() {
    let server = setup().start();
    at_once(8, |worker| {
        let mut alice = Caller::alice(&server);
        for n in 0..20 {
            alice.put(&format!("/flags/f-{worker}-{n}"), &json!({ "enabled": true })).ok();
        }
    });
    let found = entries(&server, "limit=1000");
    let ids: Vec<_> = found.iter().map(|entry| entry["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, Vec::from_iter((1..=160).rev()));
    let mut targets: Vec<_> = found.iter().map(|entry| entry["target"].to_string()).collect();
    targets.sort_unstable();
    targets.dedup();
    assert_eq!(targets.len(), 160);
}

/// Adds an entry as a later version might write it.
pub fn spoil_an_entry(setup: &Setup) {
    add_spoilt(setup, "''", "of.tomorrow");
}

fn add_spoilt(setup: &Setup, source: &str, action: &str) {
    let entry = format!(
        "INSERT INTO audit (at, who, source, request, action, target, outcome)
         VALUES (unixepoch() * 1000, 'server', {source}, '', '{action}', 'spoilt', 'ok')"
    );
    Sqlite::open(setup.database()).unwrap().execute(&entry, []).unwrap();
}

#[test]
fn an_entry_that_cannot_be_read_is_in_nobody_s_way_but_its_reader_s() {
    // Of a later version, and no text at all.
    for (source, action) in [("''", "of.tomorrow"), ("CAST(x'ff' AS TEXT)", "flag.set")] {
        let server = setup().start();
        let setup = server.setup.clone();
        Caller::alice(&server).put("/flags/a", &json!({ "enabled": true })).ok();
        server.stop();
        add_spoilt(&setup, source, action);
        let server = setup.start();
        Caller::alice(&server).put("/flags/b", &json!({ "enabled": true })).ok();
        for path in ["/admin/audit", "/admin/audit/export", "/admin/audit?before=3"] {
            keeper(&server).get(path).refused(500, "audit_unreadable");
        }
        assert_eq!(entries(&server, "before=2")[0]["target"], "a", "what came before it");
        assert_eq!(entries(&server, "limit=1&before=2").len(), 1);
        Caller::alice(&server).put("/flags/c", &json!({ "enabled": true })).ok();
        let exit = server.stop();
        assert!(exit.err.contains("cannot be read") && exit.err.contains("id=2"), "{}", exit.err);
    }
}

#[test]
fn nobody_changes_an_entry() {
    let server = setup().start();
    Caller::alice(&server).put("/flags/a", &json!({ "enabled": true })).ok();
    let setup = server.setup.clone();
    server.stop();
    let file = Sqlite::open(setup.database()).unwrap();
    for sql in ["UPDATE audit SET target = 'b'", "UPDATE audit SET id = 7 WHERE id = 1"] {
        let refused = file.execute(sql, []).unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
    drop(file);
    assert_eq!(entries(&setup.start(), "")[0]["target"], "a");
}

#[test]
fn nothing_secret_is_in_the_log_or_in_any_file() {
    let server = setup().start();
    let mut secrets = vec![KEY.to_owned(), ALICE.to_owned(), BOB.to_owned()];
    let token = |answer: &Value| answer["token"].as_str().unwrap().to_owned();
    let made = server.alice().post("/auth/tokens", &json!({ "name": "ci" })).json();
    secrets.push(token(&made));
    let rotated =
        Client::new(&server.address, &token(&made)).send("POST", "/auth/token/rotate", b"");
    secrets.push(token(&rotated.ok()));
    act(&server, "alice", "promote");
    // Wrong ones are often good ones for somebody else.
    for (name, wrong) in [("x-admin-key", "wrong-key-77"), ("authorization", "Bearer octo_77")] {
        let mut nobody = Caller::new(&server.address, None);
        nobody.call(("GET", "/admin/audit"), &[(name, wrong)], "").refused(401, "unauthorized");
        secrets.push(wrong.trim_start_matches("Bearer ").to_owned());
    }
    let mut connection = server.connect();
    connection.send(&request("GET", &format!("/admin/audit?key={KEY}"), &[], b""));
    connection.read().refused(401, "unauthorized");

    let log = entries(&server, "");
    assert!(log.len() >= 5);
    let setup = server.setup.clone();
    let said = server.stop();
    for secret in &secrets {
        assert!(!json!(log).to_string().contains(secret.as_str()), "{secret}");
        assert!(!said.err.contains(secret.as_str()) && !said.out.contains(secret.as_str()));
        for file in std::fs::read_dir(setup.folder()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret}");
        }
    }
}

/// Adds so many entries to the log of a server that does not run, a second apart, the last of them
/// `age` seconds ago: by nobody, on `seed-1`, `seed-2`, ….
pub fn seed(setup: &Setup, count: u32, age: u32) {
    let file = Sqlite::open(setup.database()).unwrap();
    let fill = "
        WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
        INSERT INTO audit (at, who, source, request, action, target, outcome)
        SELECT (unixepoch() - ?2 - ?1 + n) * 1000, 'server', '192.0.2.1', 'r-' || n, 'flag.set',
               'seed-' || n, 'ok' FROM n";
    file.execute(fill, rusqlite::params![count, age]).unwrap();
}

#[test]
fn so_many_entries_are_kept_and_no_more() {
    let setup = setup().variable("OCTOSTORE_AUDIT_ENTRIES", "5");
    let server = setup.start();
    let mut alice = Caller::alice(&server);
    for n in 1..=12 {
        alice.put(&format!("/flags/f-{n}"), &json!({ "enabled": true })).ok();
        let found = entries(&server, "");
        let ids: Vec<_> = found.iter().map(|entry| entry["id"].as_u64().unwrap()).collect();
        assert_eq!(ids, Vec::from_iter((n.max(5) - 4..=n).rev()), "the latest");
    }
    server.stop();
    let rows = |setup: &Setup| -> u32 {
        let file = Sqlite::open(setup.database()).unwrap();
        file.query_one("SELECT count(*) FROM audit", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(rows(&setup), 5, "nor on disk");
    // A number that was lowered is kept at once for whoever looks.
    let lower = setup.clone().variable("OCTOSTORE_AUDIT_ENTRIES", "2");
    let server = lower.start();
    assert_eq!(entries(&server, "").len(), 2);
    Caller::alice(&server).put("/flags/f-12", &json!({ "enabled": true })).ok();
    assert_eq!(entries(&server, "").len(), 2);
    server.stop();
    assert_eq!(rows(&setup), 2);
}

#[test]
fn entries_are_kept_for_so_many_days() {
    let setup = setup().flag("--audit-days", "2");
    setup.start().stop();
    seed(&setup, 3, 3 * 86_400);
    seed(&setup, 1, 86_400);
    let server = setup.start();
    let found = entries(&server, "");
    assert_eq!(found.len(), 1, "{found:?}");
    // Nor does anybody get at them by asking for them.
    assert_eq!(entries(&server, "since=2000-01-01T00:00:00Z").len(), 1);
    assert_eq!(crate::audit_export::all(&server, "").len(), 1);
    Caller::alice(&server).put("/flags/a", &json!({ "enabled": true })).ok();
    server.stop();
    let file = Sqlite::open(setup.database()).unwrap();
    let rows: u32 = file.query_one("SELECT count(*) FROM audit", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2, "and they go when others come");

    // Zero is for ever.
    let for_ever = self::setup().flag("--audit-days", "0");
    for_ever.start().stop();
    seed(&for_ever, 3, 20 * 366 * 86_400);
    let server = for_ever.start();
    Caller::alice(&server).put("/flags/a", &json!({ "enabled": true })).ok();
    assert_eq!(entries(&server, "").len(), 4);
}
