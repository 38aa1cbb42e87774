//! Tokens: several to an account, each with a name, a scope and an end.

use crate::common::{ALICE, Answer, Client, Server, Setup, is_stamp, is_uuid, request, until};
use serde_json::{Value, json};

/// A new token of alice's, and what is said of it.
fn make(client: &mut Client, asked: &Value) -> (String, Value) {
    let answer = client.post("/auth/tokens", asked);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    (body["token"].as_str().unwrap().to_owned(), body)
}

fn with(server: &Server, scopes: &Value) -> Client {
    let asked = json!({ "name": "scoped", "scopes": scopes });
    Client::new(&server.address, &make(&mut server.alice(), &asked).0)
}

fn names(answer: &Answer) -> Vec<String> {
    let body = answer.ok();
    let tokens = body["tokens"].as_array().unwrap();
    assert_eq!(body["total"], tokens.len());
    tokens.iter().map(|token| token["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_account_has_several_tokens_and_sees_them() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let asked =
        json!({ "name": "ci", "scopes": ["locks:write:deploy/"], "expires_in_seconds": 600 });
    let (token, about) = make(&mut alice, &asked);
    assert!(token.starts_with("octo_") && token.len() == 77, "{token}");
    assert!(
        is_uuid(&about["id"]) && is_stamp(&about["created_at"]) && is_stamp(&about["expires_at"])
    );
    assert_eq!((&about["name"], &about["scopes"]), (&json!("ci"), &json!(["locks:write:deploy/"])));

    let listed = alice.send("GET", "/auth/tokens", b"");
    assert_eq!(names(&listed), ["ci", "configured"]);
    assert!(!listed.text().contains("octo_") && !listed.text().contains(ALICE));
    let listed = listed.ok();
    assert_eq!(listed["tokens"][1]["current"], true);
    assert!(is_stamp(&listed["tokens"][1]["last_used_at"]), "it asks just now");
    assert_eq!(listed["tokens"][0].get("last_used_at"), None);

    let mut ci = Client::new(&server.address, &token);
    let me = ci.send("GET", "/auth/me", b"").ok();
    assert!(is_stamp(&me["token"]["last_used_at"]), "it asks just now: {me}");
    assert_eq!((&me["name"], &me["admin"]), (&json!("alice"), &json!(false)));
    assert_eq!(me["token"]["id"], about["id"]);
    assert_eq!(me["quotas"]["locks"], 100);
    assert_eq!(names(&ci.send("GET", "/auth/tokens", b"")), ["ci"], "none that may more");
    assert_eq!(names(&server.bob().send("GET", "/auth/tokens", b"")), ["configured"]);
}

#[test]
fn when_a_token_was_last_used_is_known_after_a_restart() {
    let server = Setup::new().start();
    let setup = server.setup.clone();
    let (token, _) = make(&mut server.alice(), &json!({ "name": "ci" }));
    Client::new(&server.address, &token).send("GET", "/auth/me", b"").ok();
    server.stop();
    let server = setup.start();
    let listed = server.alice().send("GET", "/auth/tokens", b"").ok();
    let ci = listed["tokens"].as_array().unwrap().iter().find(|token| token["name"] == "ci");
    assert!(is_stamp(&ci.unwrap()["last_used_at"]), "{listed}");
}

#[test]
fn tokens_are_listed_by_name_a_page_at_a_time() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    for name in ["job 2", "job 1", "job 1", "other"] {
        make(&mut alice, &json!({ "name": name }));
    }
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let query = format!("/auth/tokens?prefix=job&limit=2&after={}", after.replace(' ', "%20"));
        let page = alice.send("GET", &query, b"").ok();
        assert_eq!(page["total"], 3);
        let tokens = page["tokens"].as_array().unwrap();
        seen.extend(tokens.iter().map(|token| token["name"].as_str().unwrap().to_owned()));
        match page.get("next") {
            Some(next) => next.as_str().unwrap().clone_into(&mut after),
            None => break,
        }
    }
    assert_eq!(seen, ["job 1", "job 1", "job 2"]);
    alice.send("GET", "/auth/tokens?limit=0", b"").refused(422, "invalid_query");
}

#[test]
fn a_token_does_what_its_scope_says_and_nothing_else() {
    let server = Setup::new().start();
    let acquire = br#"{"ttl_seconds":60}"#.as_slice();
    let check = br#"{"max_requests":5,"window_seconds":60}"#.as_slice();
    let (flag, value) = (br#"{"enabled":true}"#.as_slice(), br#"{"value":1}"#.as_slice());
    // What, in which area, and whether it changes anything.
    let requests = [
        ("POST", "/locks/a%2Fx/acquire", acquire, "locks", true),
        ("GET", "/locks/a%2Fx", b"".as_slice(), "locks", false),
        ("GET", "/locks?prefix=a%2F", b"", "locks", false),
        ("POST", "/limits/a%2Fx/check", check, "limits", true),
        ("GET", "/limits/a%2Fx", b"", "limits", false),
        ("GET", "/limits?prefix=a%2F", b"", "limits", false),
        ("DELETE", "/limits/a%2Fx", b"", "limits", true),
        ("PUT", "/flags/a-x", flag, "flags", true),
        ("GET", "/flags/a-x", b"", "flags", false),
        ("GET", "/flags?prefix=a-", b"", "flags", false),
        ("DELETE", "/flags/a-x", b"", "flags", true),
        ("PUT", "/config/a-x", value, "config", true),
        ("GET", "/config/a-x", b"", "config", false),
        ("GET", "/config/a-x/history", b"", "config", false),
        ("POST", "/config/a-x/rollback", br#"{"version":1}"#, "config", true),
        ("GET", "/config?prefix=a-", b"", "config", false),
        ("DELETE", "/config/a-x", b"", "config", true),
    ];
    for area in ["locks", "limits", "flags", "config"] {
        for (access, prefix) in
            [("read", ""), ("write", ""), ("write", ":a"), ("read", ":a"), ("write", ":b")]
        {
            let scope = format!("{area}:{access}{prefix}");
            let mut client = with(&server, &json!([scope]));
            for (method, path, body, of, writes) in requests {
                let answer = client.send(method, path, body);
                let allowed = of == area && (access == "write" || !writes) && prefix != ":b";
                if allowed {
                    assert_ne!(answer.status, 403, "{scope}: {method} {path}");
                } else {
                    answer.refused(403, "insufficient_scope");
                    let wanted =
                        format!("scope=\"{of}:{}\"", if writes { "write" } else { "read" });
                    let challenge = answer.header("www-authenticate").unwrap();
                    assert!(challenge.contains(&wanted), "{challenge}");
                }
            }
            // Everybody may see who it is, and nobody administers.
            client.send("GET", "/auth/me", b"").ok();
        }
    }
}

#[test]
fn a_list_shows_what_the_token_may_see() {
    let server = Setup::new().start();
    for name in ["a%2Fone", "b%2Fone", "c"] {
        server.alice().acquire(name, 60).ok();
    }
    let listed = |client: &mut Client, query: &str| -> Vec<String> {
        let body = client.list(query).ok();
        let locks = body["locks"].as_array().unwrap();
        assert_eq!(body["total"], locks.len());
        locks.iter().map(|lock| lock["name"].as_str().unwrap().to_owned()).collect()
    };
    let mut one = with(&server, &json!(["locks:read:a/"]));
    assert_eq!(listed(&mut one, ""), ["a/one"]);
    assert_eq!(listed(&mut one, "?prefix=a"), ["a/one"]);
    one.list("?prefix=b").refused(403, "insufficient_scope");
    let mut two = with(&server, &json!(["locks:read:a/", "locks:read:b/"]));
    assert_eq!(listed(&mut two, "?prefix=b%2F"), ["b/one"]);
    let answer = two.list("");
    answer.refused(403, "insufficient_scope");
    assert!(answer.text().contains("?prefix="), "{answer:?}");
}

#[test]
fn no_token_makes_one_that_may_more_or_lasts_longer() {
    let server = Setup::new().start();
    let asked = json!({ "name": "ci", "scopes": ["locks:write:a/"], "expires_in_seconds": 600 });
    let (token, about) = make(&mut server.alice(), &asked);
    let mut ci = Client::new(&server.address, &token);
    for more in [
        json!({ "name": "x", "scopes": ["locks:write"] }),
        json!({ "name": "x", "scopes": ["locks:write:a"] }),
        json!({ "name": "x", "scopes": ["locks:read:a/", "flags:read"] }),
        json!({ "name": "x", "scope": "config:read" }),
        json!({ "name": "x", "expires_in_seconds": 601 }),
        json!({ "name": "x", "expires_at": "2036-01-01T00:00:00Z" }),
    ] {
        ci.post("/auth/tokens", &more).refused(403, "exceeds_token");
    }
    let (_, same) = make(&mut ci, &json!({ "name": "same" }));
    assert_eq!((&same["scopes"], &same["expires_at"]), (&about["scopes"], &about["expires_at"]));
    let less = json!({ "name": "less", "scope": "locks:read", "prefix": "a/b", "expires_in": 60 });
    let (_, less) = make(&mut ci, &less);
    assert_eq!(less["scopes"], json!(["locks:read:a/b"]));
    assert!(less["expires_at"].as_str() < about["expires_at"].as_str());
    // It narrows what is narrow already, and leaves out what has nothing in common with it.
    let (_, narrower) = make(&mut ci, &json!({ "name": "x", "prefix": "a/b/" }));
    assert_eq!(narrower["scopes"], json!(["locks:write:a/b/"]));
    let (_, as_narrow) = make(&mut ci, &json!({ "name": "x", "prefix": "a" }));
    assert_eq!(as_narrow["scopes"], json!(["locks:write:a/"]));
    let some =
        json!({ "name": "x", "scopes": ["locks:read:a/", "flags:read:b/"], "prefix": "b/c" });
    let (_, some) = make(&mut server.alice(), &some);
    assert_eq!(some["scopes"], json!(["flags:read:b/c"]));
    for nothing in [
        json!({ "name": "x", "prefix": "b/" }),
        json!({ "name": "x", "scopes": ["locks:read:a/"], "prefix": "b/" }),
    ] {
        ci.post("/auth/tokens", &nothing).refused(403, "exceeds_token");
    }
    // A prefix alone narrows what has names, and gives away nothing else.
    let (_, narrow) = make(&mut server.alice(), &json!({ "name": "narrow", "prefix": "p" }));
    let scopes = json!(["locks:write:p", "limits:write:p", "flags:write:p", "config:write:p"]);
    assert_eq!(narrow["scopes"], scopes);
}

#[test]
fn what_cannot_be_a_token_is_refused() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    for (wrong, code) in [
        (json!({}), "missing_field"),
        (json!({ "name": "" }), "invalid_token_name"),
        (json!({ "name": "a\nb" }), "invalid_token_name"),
        (json!({ "name": "x".repeat(101) }), "invalid_token_name"),
        (json!({ "name": 7 }), "invalid_body"),
        (json!({ "name": "x", "scopes": [] }), "invalid_scope"),
        (json!({ "name": "x", "scopes": ["locks:own"] }), "invalid_scope"),
        (json!({ "name": "x", "scopes": ["lock:read"] }), "invalid_scope"),
        (json!({ "name": "x", "scopes": vec!["locks:read"; 51] }), "invalid_scope"),
        (json!({ "name": "x", "scopes": 7 }), "invalid_body"),
        (json!({ "name": "x", "scopes": ["locks"], "prefix": "a b" }), "invalid_prefix"),
        (json!({ "name": "x", "expires_in_seconds": 0 }), "invalid_expiry"),
        (json!({ "name": "x", "expires_in_seconds": -1 }), "invalid_expiry"),
        (json!({ "name": "x", "expires_in_seconds": 1e12 }), "invalid_expiry"),
        (json!({ "name": "x", "expires_at": "tomorrow" }), "invalid_expiry"),
        (json!({ "name": "x", "expires_at": "2001-01-01T00:00:00Z" }), "invalid_expiry"),
        (
            json!({ "name": "x", "expires_in_seconds": 60, "expires_at": "2001-01-01T00:00:00Z" }),
            "invalid_expiry",
        ),
        (json!({ "name": "x", "expires_in_seconds": 60, "expires_at": "soon" }), "invalid_expiry"),
    ] {
        alice.post("/auth/tokens", &wrong).refused(422, code);
    }
    for id in ["nonsense", "00000000-0000-0000-0000-000000000000", "%ff"] {
        alice.send("DELETE", &format!("/auth/tokens/{id}"), b"").refused(404, "token_not_found");
    }
    assert_eq!(names(&alice.send("GET", "/auth/tokens", b"")), ["configured"]);
}

#[test]
fn an_account_has_so_many_tokens_and_no_more() {
    let server = Setup::new().flag("--tokens-per-account", "2").start();
    let mut alice = server.alice();
    let (_, first) = make(&mut alice, &json!({ "name": "1" }));
    make(&mut alice, &json!({ "name": "2" }));
    alice.post("/auth/tokens", &json!({ "name": "3" })).refused(429, "quota_exceeded");
    let path = format!("/auth/tokens/{}", first["id"].as_str().unwrap());
    alice.send("DELETE", &path, b"").ok();
    make(&mut alice, &json!({ "name": "3" }));
    make(&mut server.bob(), &json!({ "name": "1" }));
}

#[test]
fn a_revoked_token_is_dead_at_once_on_open_connections_and_for_ever() {
    let server = Setup::new().start();
    let setup = server.setup.clone();
    let (token, about) = make(&mut server.alice(), &json!({ "name": "ci" }));
    let mut ci = Client::new(&server.address, &token);
    ci.acquire("a", 60).ok();
    // Shown in time, but the body comes after the end.
    let late = ci.bytes("POST", "/locks/b/acquire", br#"{"ttl_seconds":60}"#);
    let (head, body) = late.split_at(late.len() - 5);
    let mut slow = server.connect();
    slow.send(head);
    let mut unaware = server.connect();
    unaware.send(&ci.bytes("GET", "/health", b""));
    assert_eq!(unaware.read().status, 200);

    let path = format!("/auth/tokens/{}", about["id"].as_str().unwrap());
    assert_eq!(server.bob().send("DELETE", &path, b"").status, 404, "not bob's to revoke");
    ci.list("").ok();
    assert_eq!(server.alice().send("DELETE", &path, b"").ok()["deleted"], true);
    ci.list("").refused(401, "unauthorized");
    slow.send(body);
    slow.read().refused(401, "unauthorized");
    unaware.send(&ci.bytes("GET", "/locks", b""));
    unaware.read().refused(401, "unauthorized");
    assert_eq!(server.alice().get("b").ok()["status"], "available");
    server.alice().send("DELETE", &path, b"").refused(404, "token_not_found");

    server.kill();
    let server = setup.start();
    Client::new(&server.address, &token).list("").refused(401, "unauthorized");
}

#[test]
fn a_token_can_revoke_itself() {
    let server = Setup::new().start();
    let mut ci = with(&server, &json!(["flags:read"]));
    let id = ci.send("GET", "/auth/me", b"").ok()["token"]["id"].clone();
    ci.send("DELETE", &format!("/auth/tokens/{}", id.as_str().unwrap()), b"").ok();
    ci.send("GET", "/auth/me", b"").refused(401, "unauthorized");
}

#[test]
fn a_revoked_configured_token_stays_dead_whatever_is_configured() {
    let server = Setup::new().start();
    let setup = server.setup.clone();
    let mut alice = server.alice();
    let (other, _) = make(&mut alice, &json!({ "name": "other" }));
    let id = alice.send("GET", "/auth/me", b"").ok()["token"]["id"].clone();
    alice.send("DELETE", &format!("/auth/tokens/{}", id.as_str().unwrap()), b"").ok();
    server.stop();
    let server = setup.start();
    server.alice().list("").refused(401, "unauthorized");
    Client::new(&server.address, &other).list("").ok();
}

#[test]
fn a_token_ends_by_itself_in_the_words_of_one_that_never_was() {
    let server = Setup::new().start();
    let (token, _) = make(&mut server.alice(), &json!({ "name": "x", "expires_in_seconds": 1 }));
    let mut client = Client::new(&server.address, &token);
    let ended = until("the token has ended", || {
        let answer = client.list("");
        (answer.status != 200).then_some(answer)
    });
    let never = Client::new(&server.address, "octo_never").list("");
    let words = |answer: &Answer| {
        let mut body = answer.json();
        body["request_id"] = Value::Null;
        (answer.status, body)
    };
    assert_eq!(words(&ended), words(&never));
    assert_eq!(names(&server.alice().send("GET", "/auth/tokens", b"")), ["configured"]);
}

#[test]
fn scopes_and_ends_survive_a_restart_and_a_rotation() {
    let server = Setup::new().start();
    let setup = server.setup.clone();
    let asked = json!({ "name": "ci", "scopes": ["locks:read"], "expires_in_seconds": 600 });
    let (token, about) = make(&mut server.alice(), &asked);
    server.kill();
    let server = setup.start();
    let mut ci = Client::new(&server.address, &token);
    ci.acquire("a", 60).refused(403, "insufficient_scope");
    let rotated = ci.send("POST", "/auth/token/rotate", b"").ok();
    ci.list("").refused(401, "unauthorized");
    let mut ci = Client::new(&server.address, rotated["token"].as_str().unwrap());
    ci.acquire("a", 60).refused(403, "insufficient_scope");
    let now = ci.send("GET", "/auth/me", b"").ok()["token"].clone();
    for kept in ["name", "scopes", "expires_at"] {
        assert_eq!(now[kept], about[kept], "{kept}");
    }
}

#[test]
fn a_new_token_that_nobody_heard_of_is_none() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let connections: Vec<_> = (0..4).map(|_| server.connect()).collect();
    server.pause();
    let bytes = alice.bytes("POST", "/auth/tokens", br#"{"name":"ghost"}"#);
    // With more to read, that nobody waits shows only when the answer is written.
    let more = alice.bytes("GET", "/locks", b"");
    for (index, mut connection) in connections.into_iter().enumerate() {
        connection.send(&[&*bytes, if index < 2 { &more } else { b"" }].concat());
    }
    server.resume();
    until("only the configured token is left", || {
        (names(&alice.send("GET", "/auth/tokens", b"")) == ["configured"]).then_some(())
    });
}

#[test]
fn two_tokens_in_one_request_are_none() {
    let server = Setup::new().start();
    let value = format!("Bearer {ALICE}");
    let twice = [("authorization", &*value), ("authorization", &*value)];
    let mut connection = server.connect();
    connection.send(&request("GET", "/auth/me", &twice, b""));
    connection.read().refused(401, "unauthorized");
}
