//! What the domains answer: locks, limits, flags, config, tokens, administration.

use crate::{
    admin::{KEY, act, keeper, path, setup},
    audit::{seed, spoil_an_entry},
    caller::{Caller, limit},
    common::{ALICE, Client, Server, Setup, request, until},
};
use serde_json::{Value, json};

const NO_ID: &str = "99ea3535-231f-4346-8824-18114cfc351e";

pub fn provoke() {
    let server = setup()
        .flag("--locks-per-account", "1")
        .flag("--limits-per-account", "1")
        .flag("--flags-per-account", "1")
        .flag("--configs-per-account", "2")
        .flag("--config-bytes-per-account", "600000")
        .flag("--tokens-per-account", "2")
        .start();
    locks(&server);
    limits(&server);
    flags(&server);
    config(&server);
    administration(&server);
    tokens(&server);
    backups();
    unreadable_entries();
    held_is_200();
    no_token_is_left();
}

/// Sends each body, and checks its refusal.
fn wrong(caller: &mut Caller, (method, path): (&str, &str), cases: &[(&str, &str)]) {
    for (body, code) in cases {
        caller.call((method, path), &[], body).refused(422, code);
    }
}

fn locks(server: &Server) {
    let (mut alice, mut bob) = (Caller::alice(server), Caller::bob(server));
    let ttl = r#"{"ttl_seconds":60}"#;
    let lease = server.alice().acquire("a", 60).lease();
    server.bob().acquire("a", 60).refused(409, "lock_held");
    server.alice().acquire("b", 60).refused(403, "lock_limit_exceeded");
    alice.get("/locks").ok();
    for path in ["/locks/a", "/locks/free"] {
        bob.get(path).ok();
    }
    alice.get("/locks/a%20b").refused(422, "invalid_lock_name");
    let of_all = [("", "invalid_body"), ("{}", "missing_field")];
    let bad_ttl =
        (r#"{"ttl_seconds":0,"lease_id":"99ea3535-231f-4346-8824-18114cfc351e"}"#, "invalid_ttl");
    let bad_lease = (r#"{"ttl_seconds":60,"lease_id":"x"}"#, "invalid_lease_id");
    let metadata = json!({"ttl_seconds": 60, "metadata": "x".repeat(1025)}).to_string();
    wrong(&mut alice, ("POST", "/locks/a/acquire"), &of_all);
    let owner = r#"{"ttl_seconds":60,"owner":"a b"}"#;
    let more = [bad_ttl, (&*metadata, "invalid_metadata"), (owner, "invalid_owner")];
    wrong(&mut alice, ("POST", "/locks/a/acquire"), &more);
    for action in ["renew", "release"] {
        let path = format!("/locks/a/{action}");
        wrong(&mut alice, ("POST", &path), &of_all);
        wrong(&mut alice, ("POST", &path), &[bad_lease]);
    }
    wrong(&mut alice, ("POST", "/locks/a/renew"), &[bad_ttl]);
    for action in ["acquire", "renew", "release"] {
        let path = format!("/locks/a%20b/{action}");
        alice.call(("POST", &path), &[], ttl).refused(422, "invalid_lock_name");
    }
    server.bob().renew("a", &lease, 60).refused(404, "lock_not_owned");
    server.bob().release("a", &lease).refused(404, "lock_not_owned");
    server.alice().renew("a", &lease, 60).ok();
    server.alice().release("a", &lease).ok();
}

fn limits(server: &Server) {
    let mut alice = Caller::alice(server);
    alice.check("l", 1, 60).ok();
    assert_eq!(alice.check("l", 1, 60).ok()["allowed"], false);
    alice.check("m", 1, 60).refused(429, "quota_exceeded");
    alice.get("/limits").ok();
    alice.get("/limits/l").ok();
    alice.get("/limits/none").refused(404, "limit_not_found");
    let cases = [("", "invalid_body"), ("{}", "missing_field")];
    wrong(&mut alice, ("POST", "/limits/l/check"), &cases);
    alice.check("l", 0, 60).refused(422, "invalid_policy");
    let long = "x".repeat(101);
    alice.check_with(&long, &limit(1, 60)).refused(422, "invalid_limit_name");
    alice.delete("/limits/l").ok();
    alice.delete("/limits/l").refused(404, "limit_not_found");
}

fn flags(server: &Server) {
    let mut alice = Caller::alice(server);
    let on = json!({"enabled": true, "percentage": 25});
    alice.put("/flags/f", &on).ok();
    alice.put("/flags/g", &on).refused(429, "quota_exceeded");
    alice.get("/flags").ok();
    alice.get("/flags/f?key=k").ok();
    let percentage = r#"{"enabled":true,"percentage":101}"#;
    let cases = [("", "invalid_body"), ("{}", "missing_field"), (percentage, "invalid_percentage")];
    wrong(&mut alice, ("PUT", "/flags/f"), &cases);
    alice.put("/flags/a.b", &on).refused(422, "invalid_flag_name");
    alice.delete("/flags/f").ok();
    alice.delete("/flags/f").refused(404, "flag_not_found");
}

fn config(server: &Server) {
    let mut alice = Caller::alice(server);
    let written = alice.put_value("k", "[1]");
    let etag = written.header("etag").unwrap();
    let known = [("if-none-match", etag)];
    alice.get("/config").ok();
    alice.get("/config/k?version=1").ok();
    alice.get("/config/k/history").ok();
    for path in ["/config/k", "/config/k/history"] {
        assert_eq!(alice.call(("GET", path), &known, "").status, 304);
    }
    for path in ["/config/none", "/config/none/history"] {
        alice.get(path).refused(404, "config_not_found");
    }
    let stale = [("if-match", "\"x\"")];
    alice.put_value_if("k", "2", &stale).refused(412, "precondition_failed");
    alice.call(("DELETE", "/config/k"), &stale, "").refused(412, "precondition_failed");
    let back = r#"{"version":1}"#;
    let rollback = ("POST", "/config/k/rollback");
    alice.call(rollback, &stale, back).refused(412, "precondition_failed");
    alice.call(rollback, &[], back).ok();
    let cases =
        [("", "invalid_body"), ("{}", "missing_field"), (r#"{"version":0}"#, "invalid_version")];
    wrong(&mut alice, rollback, &cases);
    alice.call(("POST", "/config/none/rollback"), &[], back).refused(404, "config_not_found");
    let deep = format!("{{\"value\":{}{}}}", "[".repeat(129), "]".repeat(129));
    let long = json!({"value": 1, "description": "x".repeat(501)}).to_string();
    let cases = [
        ("", "invalid_body"),
        ("{}", "missing_field"),
        (&*deep, "value_too_deep"),
        (&*long, "invalid_description"),
    ];
    wrong(&mut alice, ("PUT", "/config/k"), &cases);
    alice.put_value("a%20b", "1").refused(422, "invalid_config_key");
    // Two versions of this are more than the account may have.
    let big = format!("\"{}\"", "x".repeat(200_000));
    alice.put_value("big", &big).ok();
    alice.put_value("big", &big).ok();
    alice.put_value("big", &big).refused(429, "quota_exceeded");
    alice.call(("POST", "/config/big/rollback"), &[], back).refused(429, "quota_exceeded");
    alice.delete("/config/k").ok();
    alice.delete("/config/k").refused(404, "config_not_found");
}

fn administration(server: &Server) {
    let mut keeper = keeper(server);
    let bob = path(server, "bob");
    keeper.get(&bob).ok();
    let nobody = format!("/admin/accounts/{NO_ID}");
    keeper.get(&nobody).refused(404, "account_not_found");
    for action in ["disable", "enable", "promote", "demote"] {
        let none = format!("{nobody}/{action}");
        keeper.call(("POST", &none), &[], "").refused(404, "account_not_found");
        act(server, "bob", action);
    }
    act(server, "alice", "promote");
    let alice = path(server, "alice");
    for action in ["disable", "demote"] {
        let own = format!("{alice}/{action}");
        Caller::alice(server).call(("POST", &own), &[], "").refused(409, "own_account");
    }
    act(server, "alice", "demote");
    let quotas = format!("{bob}/quotas");
    keeper.put(&quotas, &json!({"locks": 500, "requests_per_second": 0})).ok();
    keeper.put(&format!("{nobody}/quotas"), &json!({})).refused(404, "account_not_found");
    wrong(
        &mut keeper,
        ("PUT", &quotas),
        &[("", "invalid_body"), (r#"{"locks":0}"#, "invalid_quota")],
    );

    let release = ("POST", "/admin/locks/a/release");
    server.alice().acquire("a", 60).ok();
    let reason = r#"{"reason":"it hangs"}"#;
    let cases =
        [("", "invalid_body"), ("{}", "missing_field"), (r#"{"reason":" "}"#, "invalid_reason")];
    wrong(&mut keeper, release, &cases);
    keeper.call(release, &[], reason).ok();
    keeper.call(release, &[], reason).refused(404, "lock_not_held");
    let named = ("POST", "/admin/locks/a%20b/release");
    keeper.call(named, &[], reason).refused(422, "invalid_lock_name");
    keeper.get("/admin/audit").ok();
    assert_eq!(keeper.get("/admin/audit/export").status, 200);
    let authorization = format!("Bearer {KEY}");
    let request = request("GET", "/admin/audit/export", &[("authorization", &authorization)], b"");
    let mut old = server.connect();
    old.send(&String::from_utf8(request).unwrap().replace("HTTP/1.1", "HTTP/1.0").into_bytes());
    old.read().refused(505, "http_version_too_old");
    keeper.get("/admin/accounts").ok();
}

fn unreadable_entries() {
    let setup = setup();
    setup.start().stop();
    spoil_an_entry(&setup);
    let server = setup.start();
    for path in ["/admin/audit", "/admin/audit/export"] {
        keeper(&server).get(path).refused(500, "audit_unreadable");
    }
}

/// One that is made, one too many, and one that cannot be made.
fn backups() {
    let setup = setup();
    setup.start().stop();
    seed(&setup, 100_000, 60);
    let server = setup.start();
    let key = format!("Bearer {KEY}");
    let mut slow = server.connect();
    slow.send(&request("GET", "/admin/backup", &[("authorization", &key)], b""));
    assert_eq!(slow.read_head().unwrap().status, 200);
    keeper(&server).get("/admin/backup").refused(503, "backup_busy");
    drop(slow);
    until("the turn is free", || {
        (keeper(&server).get("/admin/backup").status == 200).then_some(())
    });
    // Copies are put beside the data.
    let elsewhere = setup.folder().with_extension("elsewhere");
    std::fs::rename(setup.folder(), &elsewhere).unwrap();
    keeper(&server).get("/admin/backup").refused(500, "backup_failed");
    std::fs::rename(elsewhere, setup.folder()).unwrap();
}

fn tokens(server: &Server) {
    let mut alice = Caller::alice(server);
    alice.get("/auth/me").ok();
    alice.get("/auth/tokens").ok();
    let make = |body: &Value| Client::new(&server.address, ALICE).post("/auth/tokens", body);
    let cases = [
        ("", "invalid_body"),
        ("{}", "missing_field"),
        (r#"{"name":""}"#, "invalid_token_name"),
        (r#"{"name":"n","scopes":["x"]}"#, "invalid_scope"),
        (r#"{"name":"n","prefix":"a b"}"#, "invalid_prefix"),
        (r#"{"name":"n","expires_in_seconds":0}"#, "invalid_expiry"),
    ];
    wrong(&mut alice, ("POST", "/auth/tokens"), &cases);
    let made = make(&json!({"name": "narrow", "scopes": ["flags:read"]})).json();
    let mut narrow = Caller::new(&server.address, made["token"].as_str());
    let wider = json!({"name": "wide", "scopes": ["flags:write"]});
    narrow.post("/auth/tokens", &wider).refused(403, "exceeds_token");
    make(&json!({"name": "second"}));
    make(&json!({"name": "third"})).refused(429, "quota_exceeded");
    let id = made["id"].as_str().unwrap();
    alice.delete(&format!("/auth/tokens/{id}")).ok();
    alice.delete(&format!("/auth/tokens/{id}")).refused(404, "token_not_found");
    alice.post("/auth/token/rotate", &json!({})).ok();
}

/// The same refusal for clients that were written for 200.
fn held_is_200() {
    let server = Setup::new().flag("--held-status", "200").start();
    server.alice().acquire("a", 60).ok();
    assert_eq!(server.bob().acquire("a", 60).ok()["status"], "held");
}

/// As after 2^53 - 1 grants.
fn no_token_is_left() {
    let setup = Setup::new().variable("ADMIN_KEY", KEY);
    setup.start().stop();
    let database = rusqlite::Connection::open(setup.database()).unwrap();
    let last = (1_i64 << 53) - 1;
    let mark = "INSERT OR REPLACE INTO token_mark (one, mark, sum) VALUES (1, ?1, NULL)";
    database.execute(mark, [last]).unwrap();
    drop(database);
    setup.start().alice().acquire("a", 60).refused(503, "tokens_exhausted");
}
