//! Accounts as an administrator sees and changes them: it holds from the answer on.

use crate::{
    admin::{KEY, account, act, keeper, path, scoped, setup},
    caller::{Caller, names},
    common::{ALICE, Client, Setup, is_stamp, is_uuid},
};
use serde_json::json;

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
    slow.read().refused(403, "account_disabled");
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
fn the_account_of_the_first_start_administers() {
    let server = Setup::bare().start();
    let token = std::fs::read_to_string(server.setup.beside(".admin-token")).unwrap();
    let mut admin = Caller::new(&server.address, Some(token.trim()));
    let listed = admin.get("/admin/accounts").ok();
    assert_eq!(names(&listed, "accounts", "name"), ["admin"]);
    assert_eq!(listed["accounts"][0]["origin"], "local");
}
