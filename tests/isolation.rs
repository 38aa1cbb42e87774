//! Nobody sees, counts, changes or learns of what is another account's; nobody gets in without a
//! token; and every path says what it answers to.

use crate::{
    caller::{Caller, but_for_the_request},
    common::{ALICE, Answer, Server, Setup},
};
use serde_json::{Value, json};

/// Every path of the three domains, with a name in it, and what it answers to.
const PATHS: [(&str, &str); 9] = [
    ("/limits", "GET, HEAD"),
    ("/limits/mine", "GET, HEAD, DELETE"),
    ("/limits/mine/check", "POST"),
    ("/flags", "GET, HEAD"),
    ("/flags/mine", "GET, HEAD, PUT, DELETE"),
    ("/config", "GET, HEAD"),
    ("/config/mine", "GET, HEAD, PUT, DELETE"),
    ("/config/mine/history", "GET, HEAD"),
    ("/config/mine/rollback", "POST"),
];

const METHODS: [&str; 7] = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"];

/// A body that is right for every path that takes one.
fn body() -> Value {
    json!({
        "max_requests": 3, "window_seconds": 3600,
        "enabled": true, "percentage": 50,
        "value": "of whoever writes it", "description": "mine", "version": 1,
    })
}

/// Gives the account one of everything, called `mine`, and returns the tag of its config.
fn settle(caller: &mut Caller) -> String {
    let body = body();
    caller.post("/limits/mine/check", &body).ok();
    caller.put("/flags/mine", &body).ok();
    let written = caller.put("/config/mine", &body);
    written.ok();
    written.header("etag").unwrap().to_owned()
}

/// Everything the account can see.
fn all(caller: &mut Caller) -> Vec<Value> {
    let paths = [
        "/limits",
        "/limits/mine",
        "/flags",
        "/flags/mine",
        "/config",
        "/config/mine",
        "/config/mine/history",
    ];
    paths.map(|path| caller.get(path).ok()).to_vec()
}

fn body_of(method: &str) -> String {
    let writes = method == "PUT" || method == "POST";
    if writes { body().to_string() } else { String::new() }
}

/// Every way to ask for something by name.
fn requests() -> impl Iterator<Item = (&'static str, &'static str)> {
    let named = PATHS.iter().filter(|(path, _)| path.contains("mine"));
    named.flat_map(|&(path, allow)| allow.split(", ").map(move |method| (method, path)))
}

#[test]
fn what_is_anothers_answers_like_what_nobody_ever_had() {
    let server = Setup::new().start();
    let (mut alice, mut bob) = (Caller::alice(&server), Caller::bob(&server));
    let tag = settle(&mut alice);
    let before = all(&mut alice);
    let conditions: [&[(&str, &str)]; 5] = [
        &[],
        &[("if-match", &tag)],
        &[("if-match", "*")],
        &[("if-none-match", &tag)],
        &[("if-none-match", "*")],
    ];
    for (method, path) in requests() {
        for query in ["", "?version=1", "?key=k"] {
            for headers in conditions {
                // A write that succeeds makes it theirs: compared in the next test.
                if method == "PUT" || path.ends_with("/check") {
                    continue;
                }
                let theirs = format!("{path}{query}");
                let nobodys = theirs.replace("mine", "nope");
                let theirs = bob.call((method, &theirs), headers, &body_of(method));
                let nobodys = bob.call((method, &nobodys), headers, &body_of(method));
                assert_eq!(seen(&theirs), seen(&nobodys), "{method} {path} {headers:?}");
            }
        }
    }
    for list in ["limits", "flags", "config"] {
        let field = if list == "config" { "configs" } else { list };
        for query in ["", "?prefix=m", "?after=l", "?limit=1"] {
            let list = bob.get(&format!("/{list}{query}")).ok();
            assert_eq!(list, json!({field: []}));
        }
    }
    assert_eq!(all(&mut alice), before, "nothing has changed");
}

/// What an answer says, whatever the name it was asked for.
fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    if answer.body.is_empty() {
        let mut headers = answer.headers.clone();
        headers.retain(|(name, _)| name != "x-request-id" && name != "date");
        headers.sort_unstable();
        return (answer.status, headers, Value::Null);
    }
    let (status, headers, mut body) = but_for_the_request(answer);
    if let Some(name) = body.get_mut("name") {
        *name = Value::Null;
    }
    (status, headers, body)
}

#[test]
fn two_accounts_may_call_theirs_the_same() {
    let server = Setup::new().start();
    let (mut alice, mut bob) = (Caller::alice(&server), Caller::bob(&server));
    let alices = settle(&mut alice);
    alice.put("/flags/mine", &json!({"enabled": false})).ok();
    alice.put_value("mine", "\"alice's\"").ok();
    for _ in 0..3 {
        alice.check("mine", 3, 3600).ok();
    }
    let before = all(&mut alice);

    let bobs = settle(&mut bob);
    assert_ne!(alices, bobs);
    let stale = bob.put_value_if("mine", "1", &[("if-match", &alices)]);
    stale.refused(412, "precondition_failed");
    assert_eq!(bob.put_value_if("mine", "1", &[("if-match", &bobs)]).ok()["version"], 2);
    let checked = bob.check("mine", 3, 3600).ok();
    assert_eq!(checked["remaining"], 1, "another's requests do not count: {checked}");
    bob.put("/flags/mine", &json!({"enabled": true})).ok();
    assert_eq!(bob.get("/flags/mine").ok()["enabled"], true);
    assert_eq!(all(&mut alice), before);

    for path in ["/limits/mine", "/flags/mine", "/config/mine"] {
        bob.delete(path).ok();
    }
    assert_eq!(all(&mut alice), before);
    // And the other way round.
    settle(&mut bob);
    let before = all(&mut bob);
    for path in ["/limits/mine", "/flags/mine", "/config/mine"] {
        alice.delete(path).ok();
    }
    assert_eq!(all(&mut bob), before);
    alice.get("/limits/mine").refused(404, "limit_not_found");
}

#[test]
fn one_accounts_quota_is_no_others() {
    let setup = Setup::new().flag("--limits-per-account", "1").flag("--flags-per-account", "1");
    let server = setup.flag("--configs-per-account", "1").start();
    let (mut alice, mut bob) = (Caller::alice(&server), Caller::bob(&server));
    settle(&mut alice);
    alice.check("more", 3, 3600).refused(429, "quota_exceeded");
    alice.put("/flags/more", &json!({"enabled": true})).refused(429, "quota_exceeded");
    alice.put_value("more", "1").refused(429, "quota_exceeded");
    settle(&mut bob);
}

#[test]
fn nobody_gets_in_without_a_token() {
    let server = Setup::new().start();
    settle(&mut Caller::alice(&server));
    let before = all(&mut Caller::alice(&server));
    let wrong = [None, Some("x"), Some(""), Some("alice"), Some("alice-token-5f0"), Some("a b")];
    let longer = format!("{ALICE}x");
    for token in wrong.into_iter().chain([Some(&*longer)]) {
        let mut nobody = Caller::new(&server.address, token);
        for (path, allow) in PATHS {
            for method in allow.split(", ") {
                for path in [path.to_owned(), path.replace("mine", "n%20o%ff")] {
                    let refused = nobody.call((method, &path), &[], &body_of(method));
                    assert_eq!(refused.status, 401, "{method} {path}");
                    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
                    assert_eq!(refused.header("etag"), None);
                    if method != "HEAD" {
                        let body = refused.refused(401, "unauthorized");
                        assert_eq!(body["error"], "Invalid or missing authorization header");
                    }
                }
            }
        }
    }
    assert_eq!(all(&mut Caller::alice(&server)), before);
}

#[test]
fn every_path_says_what_it_answers_to() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    settle(&mut alice);
    for (path, allow) in PATHS {
        for method in METHODS {
            let answer = alice.call((method, path), &[], &body_of(method));
            let taken = allow.split(", ").any(|allowed| allowed == method);
            assert_eq!(answer.status != 405, taken, "{method} {path}");
            if !taken {
                assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
                if method != "HEAD" {
                    answer.refused(405, "method_not_allowed");
                }
            }
        }
    }
    for unknown in
        ["/limits/", "/limits/a/reset", "/limits/a/check/", "/flags/a/b", "/config/a/versions"]
    {
        let refused = alice.get(unknown);
        assert_eq!(refused.status, 404, "{unknown}");
    }
}

#[test]
fn head_answers_as_get_does_without_the_body() {
    fn seen_twice(server: &Server, path: &str) {
        let mut alice = Caller::alice(server);
        let head = alice.head(path);
        let get = alice.get(path);
        assert!(head.body.is_empty() && !get.body.is_empty());
        assert_eq!(head.status, get.status, "{path}");
        let length = get.body.len().to_string();
        for answer in [&head, &get] {
            assert_eq!(answer.header("content-length"), Some(&*length), "{path}");
        }
        for same in ["content-type", "etag", "ratelimit-policy"] {
            assert_eq!(head.header(same), get.header(same), "{path}");
        }
    }
    let server = Setup::new().start();
    settle(&mut Caller::alice(&server));
    for (path, allow) in PATHS.into_iter().filter(|(_, allow)| allow.contains("HEAD")) {
        assert!(allow.contains("GET"));
        seen_twice(&server, path);
        seen_twice(&server, &path.replace("mine", "unknown"));
        seen_twice(&server, &path.replace("mine", "can%20not%20be"));
    }
}
