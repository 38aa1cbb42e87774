//! Administration: who may, and that what an administrator does holds from its answer on.

use crate::{
    caller::{Caller, limit, names},
    common::{ALICE, Answer, BOB, Client, Server, Setup, is_stamp, is_uuid, request},
};
use serde_json::{Value, json};

/// The key of the administrator, where there is one.
pub const KEY: &str = "the-key-of-the-administrator-4f1c";

/// A server with the accounts `alice` and `bob`, and the key.
pub fn setup() -> Setup {
    Setup::new().variable("ADMIN_KEY", KEY)
}

/// Whoever has the key.
pub fn keeper(server: &Server) -> Caller {
    Caller::new(&server.address, Some(KEY))
}

/// What is said of the account of this name.
pub fn account(server: &Server, name: &str) -> Value {
    let listed = keeper(server).get(&format!("/admin/accounts?prefix={name}%20")).ok();
    assert_eq!(listed["accounts"].as_array().unwrap().len(), 1, "{listed}");
    listed["accounts"][0].clone()
}

/// Where things are done with the account of this name.
pub fn path(server: &Server, name: &str) -> String {
    format!("/admin/accounts/{}", account(server, name)["id"].as_str().unwrap())
}

/// Does that with the account of this name.
pub fn act(server: &Server, name: &str, action: &str) -> Value {
    keeper(server).post(&format!("{}/{action}", path(server, name)), &json!({})).ok()
}

/// A new token of the one that asks, with this scope alone.
pub fn scoped(server: &Server, token: &str, scope: &str) -> String {
    let asked = json!({ "name": scope, "scopes": [scope] });
    let made = Client::new(&server.address, token).post("/auth/tokens", &asked);
    assert_eq!(made.status, 201, "{made:?}");
    made.json()["token"].as_str().unwrap().to_owned()
}

/// Asks as whoever knows `secret`, and shows it in this header.
fn show(
    server: &Server,
    (header, secret): (&str, Option<&str>),
    (method, path, body): (&str, &str, &str),
) -> Answer {
    let value = match header {
        "authorization" => secret.map(|secret| format!("Bearer {secret}")),
        _ => secret.map(str::to_owned),
    };
    let headers: Vec<_> = value.as_deref().map(|value| (header, value)).into_iter().collect();
    Caller::new(&server.address, None).call((method, path), &headers, body)
}

const SCOPES: [&str; 6] = [
    "admin.accounts:read",
    "admin.access:write",
    "admin.roles:write",
    "admin.quotas:write",
    "admin.locks:write",
    "admin.audit:read",
];

/// Every operation, and the scope it wants. `ID` is bob's.
const OPERATIONS: [(&str, &str, &str, &str); 10] = [
    ("GET", "/admin/accounts", "", "admin.accounts:read"),
    ("GET", "/admin/accounts/ID", "", "admin.accounts:read"),
    ("POST", "/admin/accounts/ID/enable", "", "admin.access:write"),
    ("POST", "/admin/accounts/ID/disable", "", "admin.access:write"),
    ("POST", "/admin/accounts/ID/promote", "", "admin.roles:write"),
    ("POST", "/admin/accounts/ID/demote", "", "admin.roles:write"),
    ("PUT", "/admin/accounts/ID/quotas", "{}", "admin.quotas:write"),
    ("POST", "/admin/locks/held/release", r#"{"reason":"it hangs"}"#, "admin.locks:write"),
    ("GET", "/admin/audit", "", "admin.audit:read"),
    ("GET", "/admin/audit/export", "", "admin.audit:read"),
];

#[test]
fn every_operation_wants_its_own_scope_and_an_administrator() {
    let server = setup().flag("--failed-sign-ins", "10000").start();
    let id = account(&server, "bob")["id"].as_str().unwrap().to_owned();
    act(&server, "alice", "promote");
    act(&server, "bob", "enable");
    let scoped_tokens = SCOPES.map(|scope| (scope, scoped(&server, ALICE, scope)));
    for (method, path, body, scope) in OPERATIONS {
        let path = path.replace("ID", &id);
        let ask_by = |header: &str, secret: Option<&str>| {
            server.alice().acquire("held", 3600).ok();
            show(&server, (header, secret), (method, &path, body))
        };
        let ask = |secret| ask_by("authorization", secret);
        for allowed in [ask(Some(KEY)), ask_by("x-admin-key", Some(KEY)), ask(Some(ALICE))] {
            assert_eq!(allowed.status, 200, "{method} {path}: {allowed:?}");
            assert_eq!(allowed.header("cache-control"), Some("no-store"));
        }
        for (known, token) in &scoped_tokens {
            let answer = ask(Some(token));
            if *known == scope {
                assert_eq!(answer.status, 200, "{known}: {method} {path}");
            } else {
                answer.refused(403, "insufficient_scope");
                let challenge = answer.header("www-authenticate").unwrap();
                assert!(challenge.contains(&format!("scope=\"{scope}\"")), "{challenge}");
            }
        }
        let (area, access) = scope.split_once(':').unwrap();
        let other = if access == "read" { "write" } else { "read" };
        let other = scoped(&server, ALICE, &format!("{area}:{other}"));
        let status = ask(Some(&other)).status;
        assert_eq!(status == 200, access == "read", "write is read and more: {method} {path}");

        // Whatever bob may be after this operation, a member is what he is for the next.
        act(&server, "bob", "enable");
        act(&server, "bob", "demote");
        ask(Some(BOB)).refused(403, "not_an_administrator");
        let longer = format!("{KEY}x");
        for wrong in [None, Some(&*longer), Some(&KEY[..20]), Some("alice")] {
            for refused in [ask(wrong), ask_by("x-admin-key", wrong)] {
                refused.refused(401, "unauthorized");
                assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
            }
        }
        ask_by("x-admin-key", Some(ALICE)).refused(401, "unauthorized");
    }
}

#[test]
fn without_a_key_there_is_none() {
    for setup in [Setup::new(), Setup::new().variable("ADMIN_KEY", "")] {
        let server = setup.start();
        for headers in [
            vec![("x-admin-key", "")],
            vec![("x-admin-key", "undefined")],
            vec![("authorization", "Bearer ")],
            vec![],
        ] {
            let mut nobody = Caller::new(&server.address, None);
            let refused = nobody.call(("GET", "/admin/accounts"), &headers, "");
            refused.refused(401, "unauthorized");
        }
    }
}

#[test]
fn the_key_opens_administration_and_nothing_else() {
    let server = setup().start();
    keeper(&server).get("/locks").refused(401, "unauthorized");
    keeper(&server).get("/auth/me").refused(401, "unauthorized");
}

#[test]
fn accounts_are_listed_with_what_they_may_and_what_they_have() {
    let server = setup().flag("--flags-per-account", "7").start();
    let mut alice = Caller::alice(&server);
    for name in ["a", "b"] {
        server.alice().acquire(name, 3600).ok();
    }
    alice.check("a", 5, 60).ok();
    for name in ["a", "b", "c"] {
        alice.put(&format!("/flags/{name}"), &json!({"enabled": true})).ok();
    }
    alice.put_value("a", "\"12345\"").ok();
    alice.put_value("a", "1").ok();
    scoped(&server, ALICE, "locks:read");

    let found = account(&server, "alice");
    assert!(is_uuid(&found["id"]) && is_stamp(&found["created_at"]));
    assert!(is_stamp(&found["last_used_at"]), "{found}");
    assert_eq!(
        (&found["name"], &found["origin"], &found["admin"], &found["disabled"]),
        (&json!("alice"), &json!("static"), &json!(false), &json!(false))
    );
    let used = json!({
        "locks": 2, "limits": 1, "flags": 3, "configs": 1, "config_bytes": 8, "tokens": 2
    });
    assert_eq!(found["use"], used);
    assert_eq!(found["quotas"]["flags"], 7);
    assert_eq!(found["quotas"]["locks"], 100);
    assert_eq!(keeper(&server).get(&path(&server, "alice")).ok(), found, "alone as in the list");
    assert!(!found.to_string().contains("subject"));

    let bob = account(&server, "bob");
    assert_eq!(bob.get("last_used_at"), None);
    let nothing = json!({
        "locks": 0, "limits": 0, "flags": 0, "configs": 0, "config_bytes": 0, "tokens": 1
    });
    assert_eq!(bob["use"], nothing);
}

#[test]
fn a_list_of_accounts_comes_in_pages() {
    let tokens: Vec<_> = (0..7).map(|n| format!("n-{n}:token-{n},twin:twin-{n}")).collect();
    let server = Setup::bare()
        .variable("STATIC_TOKENS", &tokens.join(","))
        .variable("ADMIN_KEY", KEY)
        .start();
    let mut keeper = keeper(&server);
    let all = keeper.get("/admin/accounts").ok();
    let expected: Vec<_> = (0..7).map(|n| format!("n-{n}")).chain(["twin".to_owned()]).collect();
    assert_eq!(names(&all, "accounts", "name"), expected);
    assert_eq!((&all["total"], all.get("next")), (&json!(8), None));
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page = keeper.get(&format!("/admin/accounts?limit=3&after={after}")).ok();
        found.extend(names(&page, "accounts", "name"));
        let Some(next) = page.get("next") else { break };
        after = next.as_str().unwrap().replace(' ', "%20");
    }
    assert_eq!(found, expected);
    let some = keeper.get("/admin/accounts?prefix=t").ok();
    assert_eq!(names(&some, "accounts", "name"), ["twin"]);
    assert_eq!(some["accounts"][0]["use"]["tokens"], 7);
    keeper.get("/admin/accounts?limit=0").refused(422, "invalid_query");
}

#[test]
fn disabling_holds_from_its_answer_on_wherever_a_token_is_in_use() {
    let server = setup().start();
    let open = &mut server.alice();
    open.acquire("held", 3600).ok();
    // Half of a body, on a connection of its own.
    let mut slow = server.connect();
    let body = br#"{"ttl_seconds":60}"#;
    let whole = server.alice().bytes("POST", "/locks/slow/acquire", body);
    let (first, rest) = whole.split_at(whole.len() - 5);
    slow.send(first);

    assert_eq!(act(&server, "alice", "disable")["disabled"], true);
    open.get("held").refused(403, "account_disabled");
    server.alice().get("held").refused(403, "account_disabled");
    server.alice().send("POST", "/auth/token/rotate", b"").refused(403, "account_disabled");
    slow.send(rest);
    assert_ne!(slow.read().status, 200);
    let mut bob = server.bob();
    assert_eq!(bob.get("slow").ok()["status"], "available", "it was not carried out");
    assert_eq!(bob.get("held").ok()["holder"], "alice", "what is held stays until it ends");
    bob.acquire("held", 60).refused(409, "lock_held");

    assert_eq!(act(&server, "alice", "enable")["disabled"], false);
    open.get("held").ok();
}

#[test]
fn what_was_answered_outlives_the_process() {
    let server = setup().start();
    act(&server, "bob", "disable");
    act(&server, "alice", "promote");
    let mut keeper = keeper(&server);
    let quotas = json!({ "locks": 3, "requests_per_second": 1000 });
    keeper.put(&format!("{}/quotas", path(&server, "alice")), &quotas).ok();
    let before = ["alice", "bob"].map(|name| account(&server, name)["quotas"].clone());
    let setup = server.setup.clone();
    server.kill();
    let server = setup.start();
    server.bob().list("").refused(403, "account_disabled");
    Caller::alice(&server).get("/admin/accounts").ok();
    assert_eq!(["alice", "bob"].map(|name| account(&server, name)["quotas"].clone()), before);
}

#[test]
fn an_administrator_cannot_lock_itself_out() {
    let server = setup().start();
    act(&server, "alice", "promote");
    let own = path(&server, "alice");
    let mut alice = Caller::alice(&server);
    for action in ["disable", "demote"] {
        let refused = alice.post(&format!("{own}/{action}"), &json!({}));
        let body = refused.refused(409, "own_account");
        assert!(body["error"].as_str().unwrap().contains("its own account"), "{body}");
    }
    for action in ["enable", "promote"] {
        alice.post(&format!("{own}/{action}"), &json!({})).ok();
    }
    let found = alice.get(&own).ok();
    assert_eq!((&found["admin"], &found["disabled"]), (&json!(true), &json!(false)));
    // Another one can, and the key can.
    act(&server, "bob", "promote");
    Caller::bob(&server).post(&format!("{own}/demote"), &json!({})).ok();
    alice.get(&own).refused(403, "not_an_administrator");
    act(&server, "bob", "disable");
}

#[test]
fn who_is_demoted_is_no_administrator_any_more_not_even_in_the_middle() {
    let server = setup().start();
    let open = &mut Caller::alice(&server);
    open.get("/admin/audit").refused(403, "not_an_administrator");
    act(&server, "alice", "promote");
    open.get("/admin/audit").ok();
    assert_eq!(open.get("/auth/me").ok()["admin"], true);
    server.bob().acquire("held", 3600).ok();

    let halfway = |token: &str| {
        let mut connection = server.connect();
        let body = br#"{"reason":"it hangs"}"#;
        let whole =
            Client::new(&server.address, token).bytes("POST", "/admin/locks/held/release", body);
        connection.send(&whole[..whole.len() - 5]);
        (connection, whole[whole.len() - 5..].to_owned())
    };
    let token = scoped(&server, ALICE, "admin.locks:write");
    let (mut demoted, rest) = halfway(&token);
    act(&server, "alice", "demote");
    open.get("/admin/audit").refused(403, "not_an_administrator");
    demoted.send(&rest);
    demoted.read().refused(403, "not_an_administrator");

    act(&server, "alice", "promote");
    let (mut revoked, rest) = halfway(&token);
    let me = Client::new(&server.address, &token).send("GET", "/auth/me", b"").ok();
    let id = me["token"]["id"].as_str().unwrap();
    Caller::alice(&server).delete(&format!("/auth/tokens/{id}")).ok();
    revoked.send(&rest);
    revoked.read().refused(401, "unauthorized");
    assert_eq!(server.bob().get("held").ok()["holder"], "bob", "nothing of it was done");
}

#[test]
fn quotas_hold_from_their_answer_on() {
    let server = setup().start();
    let mut keeper = keeper(&server);
    let quotas = format!("{}/quotas", path(&server, "alice"));
    let mut alice = Caller::alice(&server);
    server.alice().acquire("a", 3600).ok();
    let one = json!({ "locks": 1, "limits": 1, "flags": 1, "configs": 1 });
    let answered = keeper.put(&quotas, &one).ok();
    assert_eq!(answered["quotas"]["locks"], 1);
    assert_eq!(answered["use"]["locks"], 1, "as in the list");
    server.alice().acquire("b", 60).refused(403, "lock_limit_exceeded");
    for (name, status) in [("a", 200), ("b", 429)] {
        let answers = [
            alice.check_with(name, &limit(5, 60)),
            alice.put(&format!("/flags/{name}"), &json!({ "enabled": true })),
            alice.put_value(name, "1"),
        ];
        for answer in answers {
            assert_eq!(answer.status, status, "{answer:?}");
            if status == 429 {
                answer.refused(429, "quota_exceeded");
            }
        }
    }
    assert_eq!(alice.get("/auth/me").ok()["quotas"]["flags"], 1);
    server.bob().acquire("b", 60).ok();

    // All of them are given at once: what is not said, or null, is what everybody has.
    let answered = keeper.put(&quotas, &json!({ "flags": 2, "locks": null })).ok();
    assert_eq!(answered["quotas"]["flags"], 2);
    assert_eq!(answered["quotas"]["locks"], 100);
    server.alice().acquire("c", 60).ok();
    alice.put("/flags/b", &json!({ "enabled": true })).ok();
    alice.put("/flags/c", &json!({ "enabled": true })).refused(429, "quota_exceeded");
}

#[test]
fn requests_a_second_are_a_quota_like_the_others() {
    let server = setup().start();
    let mut keeper = keeper(&server);
    let quotas = format!("{}/quotas", path(&server, "alice"));
    keeper.put(&quotas, &json!({ "requests_per_second": 1 })).ok();
    let mut alice = server.alice();
    let refused = std::iter::repeat_with(|| alice.list("")).find(|answer| answer.status != 200);
    let refused = refused.unwrap();
    refused.refused(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("1"));
    server.bob().list("").ok();
    keeper.put(&quotas, &json!({})).ok();
    alice.list("").ok();
}

#[test]
fn zero_requests_a_second_is_as_many_as_it_likes() {
    let server = setup().flag("--requests-per-second", "1").start();
    let quotas = format!("{}/quotas", path(&server, "alice"));
    let answered = keeper(&server).put(&quotas, &json!({ "requests_per_second": 0 })).ok();
    assert_eq!(answered["quotas"].get("requests_per_second"), None);
    let mut alice = server.alice();
    (0..100).for_each(|_| drop(alice.list("").ok()));
}

#[test]
fn quotas_are_numbers_within_bounds() {
    let server = setup().start();
    let quotas = format!("{}/quotas", path(&server, "alice"));
    let before = account(&server, "alice");
    for (field, bad) in [
        ("locks", json!(0)),
        ("limits", json!(1_000_001)),
        ("flags", json!(-1)),
        ("configs", json!(1.5)),
        ("requests_per_second", json!(1_000_001)),
        ("requests_per_second", json!(-1)),
    ] {
        let refused = keeper(&server).put(&quotas, &json!({ field: bad }));
        let body = refused.refused(422, "invalid_quota");
        assert!(body["error"].as_str().unwrap().starts_with(field), "{body}");
    }
    for body in ["", "[]", "3", r#"{"locks":"3"}"#] {
        keeper(&server).call(("PUT", &quotas), &[], body).refused(422, "invalid_body");
    }
    assert_eq!(account(&server, "alice")["quotas"], before["quotas"]);
}

#[test]
fn a_lock_that_hangs_is_released_for_whoever_waits() {
    let server = setup().start();
    let (mut alice, mut bob, mut keeper) = (server.alice(), server.bob(), keeper(&server));
    let held = alice.acquire("deploy%2Feu-1", 3600).ok();
    let path = "/admin/locks/deploy%2Feu-1/release";
    let released = keeper.post(path, &json!({ "reason": "the runner is gone" })).ok();
    let lock = json!({
        "name": "deploy/eu-1", "holder": "alice", "holder_id": held["holder_id"],
        "fencing_token": held["fencing_token"],
    });
    let expected = json!({ "status": "released", "message": "Lock released", "lock": lock });
    assert_eq!(released, expected);
    let lease = held["lease_id"].as_str().unwrap();
    alice.renew("deploy%2Feu-1", lease, 60).refused(404, "lock_not_owned");
    alice.release("deploy%2Feu-1", lease).refused(404, "lock_not_owned");
    assert_eq!(alice.list("").ok()["total"], 0);
    let next = bob.acquire("deploy%2Feu-1", 3600);
    assert!(next.token() > held["fencing_token"].as_u64().unwrap());
    let setup = server.setup.clone();
    server.kill();
    let server = setup.start();
    assert_eq!(server.alice().get("deploy%2Feu-1").ok()["holder"], "bob");
    let log = keeper_log(&server, "lock.force_release");
    assert_eq!(log["entries"].as_array().unwrap().len(), 1);
    let entry = &log["entries"][0];
    assert_eq!((&entry["target"], &entry["who"]), (&json!("deploy/eu-1"), &json!("admin_key")));
    let detail = entry["detail"].as_str().unwrap();
    assert!(detail.ends_with(": the runner is gone"), "{detail}");
    assert!(detail.contains(held["holder_id"].as_str().unwrap()), "{detail}");
}

fn keeper_log(server: &Server, action: &str) -> Value {
    keeper(server).get(&format!("/admin/audit?action={action}")).ok()
}

#[test]
fn a_lock_is_released_for_a_reason() {
    let server = setup().start();
    let mut keeper = keeper(&server);
    server.alice().acquire("held", 3600).ok();
    let mut release = |body: &str| keeper.call(("POST", "/admin/locks/held/release"), &[], body);
    let long = json!({ "reason": "ä".repeat(501) }).to_string();
    for (body, code) in [
        ("{}", "missing_field"),
        (r#"{"reason":null}"#, "missing_field"),
        (r#"{"reason":""}"#, "invalid_reason"),
        (r#"{"reason":" \n"}"#, "invalid_reason"),
        (&long, "invalid_reason"),
        (r#"{"reason":1}"#, "invalid_body"),
        ("", "invalid_body"),
    ] {
        release(body).refused(422, code);
    }
    assert_eq!(server.bob().get("held").ok()["holder"], "alice");
    release(&json!({ "reason": "ä".repeat(500) }).to_string()).ok();
    release(r#"{"reason":"again"}"#).refused(404, "lock_not_held");
    let why = json!({ "reason": "x" });
    let mut keeper = self::keeper(&server);
    keeper.post("/admin/locks/a%20b/release", &why).refused(422, "invalid_lock_name");
    let log = keeper_log(&server, "lock.force_release");
    assert_eq!(log["entries"].as_array().unwrap().len(), 1, "what was refused is not in it");
    let detail = log["entries"][0]["detail"].as_str().unwrap();
    assert!(detail.ends_with(&"ä".repeat(500)), "the whole reason is: {detail}");
}

#[test]
fn an_account_that_is_not_there_is_not_found() {
    let server = setup().start();
    let mut keeper = keeper(&server);
    for id in ["00000000-0000-0000-0000-000000000000", "nobody", "%ff"] {
        let path = format!("/admin/accounts/{id}");
        keeper.get(&path).refused(404, "account_not_found");
        for action in ["disable", "enable", "promote", "demote"] {
            keeper.post(&format!("{path}/{action}"), &json!({})).refused(404, "account_not_found");
        }
        let quotas = keeper.put(&format!("{path}/quotas"), &json!({ "locks": 1 }));
        quotas.refused(404, "account_not_found");
    }
}

#[test]
fn every_path_says_what_it_answers_to() {
    let server = setup().start();
    let mut keeper = keeper(&server);
    for (path, allow) in [
        ("/admin/accounts", "GET, HEAD"),
        ("/admin/accounts/x", "GET, HEAD"),
        ("/admin/accounts/x/disable", "POST"),
        ("/admin/accounts/x/quotas", "PUT"),
        ("/admin/locks/x/release", "POST"),
        ("/admin/audit", "GET, HEAD"),
        ("/admin/audit/export", "GET, HEAD"),
    ] {
        let refused = keeper.delete(path);
        refused.refused(405, "method_not_allowed");
        assert_eq!(refused.header("allow"), Some(allow), "{path}");
    }
    for path in ["/admin", "/admin/", "/admin/locks", "/admin/accounts/x/delete", "/admin/audit/1"]
    {
        keeper.get(path).refused(404, "not_found");
    }
    for path in ["/admin/accounts", "/admin/audit", "/admin/audit/export"] {
        let head = keeper.head(path);
        assert_eq!(head.status, 200, "{path}");
    }
}

#[test]
fn the_account_of_the_first_start_administers() {
    let server = Setup::bare().start();
    let token = std::fs::read_to_string(server.setup.beside(".admin-token")).unwrap();
    let mut admin = Caller::new(&server.address, Some(token.trim()));
    let listed = admin.get("/admin/accounts").ok();
    assert_eq!(names(&listed, "accounts", "name"), ["admin"]);
    assert_eq!(listed["accounts"][0]["origin"], "local");
}

#[test]
fn failed_attempts_to_administer_are_throttled() {
    let server = setup().flag("--failed-sign-ins", "5").start();
    let mut connection = server.connect();
    let mut ask = |key: &str| {
        connection.send(&request("GET", "/admin/accounts", &[("x-admin-key", key)], b""));
        connection.read()
    };
    let mut guesses = 0;
    let refused = loop {
        let answer = ask(&format!("guess-{guesses}"));
        if answer.status == 429 {
            break answer;
        }
        answer.refused(401, "unauthorized");
        guesses += 1;
        assert!(guesses < 500, "it may guess for ever");
    };
    assert!(guesses >= 5);
    refused.refused(429, "too_many_failures");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(ask(KEY).status, 200, "who knows a key that cannot be guessed gets in");
    let log = keeper_log(&server, "admin.access");
    let entries = log["entries"].as_array().unwrap();
    assert_eq!(entries.len(), guesses, "what is throttled is not in it: {log}");
    assert!(entries.iter().all(|e| e["who"] == "stranger" && e["result"] == "refused"));
    assert!(!log.to_string().contains("guess-"));
}
