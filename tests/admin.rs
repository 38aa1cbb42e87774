//! Administration: who may, and that what an administrator does holds from its answer on.

use crate::{
    caller::Caller,
    common::{ALICE, Answer, BOB, Client, Server, Setup, request},
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

const SCOPES: [&str; 7] = [
    "admin.accounts:read",
    "admin.access:write",
    "admin.roles:write",
    "admin.quotas:write",
    "admin.locks:write",
    "admin.audit:read",
    "admin.metrics:read",
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
    let log = keeper(&server).get("/admin/audit?action=admin.access").ok();
    let entries = log["entries"].as_array().unwrap();
    assert_eq!(entries.len(), guesses, "what is throttled is not in it: {log}");
    assert!(entries.iter().all(|e| e["who"] == "stranger" && e["result"] == "refused"));
    assert!(!log.to_string().contains("guess-"));
}

#[test]
fn a_token_beside_a_wrong_key_does_not_help_to_guess_it() {
    let server = setup().flag("--failed-sign-ins", "5").start();
    act(&server, "alice", "promote");
    for token in [ALICE, BOB] {
        let wrong = format!("{KEY}x");
        let mut caller = Caller::new(&server.address, Some(token));
        let refused = caller.call(("GET", "/admin/accounts"), &[("x-admin-key", &wrong)], "");
        refused.refused(401, "unauthorized");
    }
    let mut bob = Caller::bob(&server);
    let throttled = (0..500).find(|guess| {
        let guess = format!("guess-{guess}");
        bob.call(("GET", "/admin/accounts"), &[("x-admin-key", &guess)], "").status == 429
    });
    assert!(throttled.is_some(), "he may guess for ever");
    bob.get("/auth/me").ok();
    keeper(&server).get("/admin/accounts").ok();
}
