//! The dashboard's session: who it lets in, and whom it keeps out.

use crate::{
    admin,
    common::{
        ALICE, Answer, BOB, Client, Server, Setup, browser::Browser, github::GitHub, request,
    },
    failed_disk, sign_in_github,
};
use serde_json::{Value, json};

const SESSION: &str = "/dashboard/session";
const AT_GITHUB: &str = "/dashboard/sign-in/github";

/// A request with these headers.
fn send(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut connection = server.connect();
    connection.send(&request(method, path, headers, body.as_bytes()));
    connection.read()
}

/// What a browser keeps, and what the page knows.
struct Page {
    cookie: String,
    csrf_token: String,
}

impl Page {
    fn of(signed_in: &Answer) -> Self {
        let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        Self { cookie, csrf_token: csrf_token(&signed_in.ok()) }
    }

    /// Of whoever signs in with GitHub.
    fn at_github(server: &Server) -> Self {
        let mut browser = Browser::default();
        let back = browser.sign_in(server, AT_GITHUB);
        assert_eq!((back.status, back.header("location")), (303, Some("/dashboard")));
        assert_eq!(back.text(), "", "the token is in the cookie alone");
        let cookie = browser.kept().unwrap();
        assert!(cookie.starts_with("octostore-session="), "{cookie}");
        let session = send(server, "GET", SESSION, &[("cookie", &cookie)], "").ok();
        Self { cookie, csrf_token: csrf_token(&session) }
    }

    fn send(&self, server: &Server, method: &str, path: &str, body: &str) -> Answer {
        let headers = [("cookie", &*self.cookie), ("x-csrf-token", &*self.csrf_token)];
        send(server, method, path, &headers, body)
    }
}

fn csrf_token(body: &Value) -> String {
    body["csrf_token"].as_str().unwrap().to_owned()
}

fn sign_in(server: &Server, token: &str, headers: &[(&str, &str)]) -> Answer {
    let headers = [&[("x-csrf-token", "sign-in")], headers].concat();
    send(server, "POST", SESSION, &headers, &json!({"token": token}).to_string())
}

#[test]
fn a_token_begins_a_session_that_may_what_the_token_may() {
    let server = Setup::new().start();
    let before = send(&server, "GET", SESSION, &[], "").ok();
    assert_eq!(before, json!({"signed_in": false}));

    let signed_in = sign_in(&server, ALICE, &[]);
    assert_eq!(signed_in.header("cache-control"), Some("no-store"));
    let cookie = signed_in.header("set-cookie").unwrap();
    assert!(cookie.starts_with("octostore-session="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict"), "{cookie}");

    let page = Page::of(&signed_in);
    assert_eq!(page.send(&server, "GET", "/auth/me", "").ok()["name"], "alice");
    let grant = page.send(&server, "POST", "/locks/a/acquire", r#"{"ttl_seconds": 60}"#);
    assert_eq!(grant.ok()["holder"], "alice");
    assert_eq!(page.send(&server, "GET", "/locks", "").ok()["total"], 1);

    let after = send(&server, "GET", SESSION, &[("cookie", &page.cookie)], "").ok();
    assert_eq!((&after["signed_in"], csrf_token(&after)), (&json!(true), page.csrf_token));
}

#[test]
fn a_cookie_alone_opens_nothing() {
    let server = Setup::new().start();
    let page = Page::of(&sign_in(&server, ALICE, &[]));
    let other = Page::of(&sign_in(&server, BOB, &[]));
    for headers in [
        vec![("cookie", &*page.cookie)],
        vec![("cookie", &*page.cookie), ("x-csrf-token", "")],
        vec![("cookie", &*page.cookie), ("x-csrf-token", "sign-in")],
        vec![("cookie", &*page.cookie), ("x-csrf-token", &*other.csrf_token)],
        vec![("x-csrf-token", &*page.csrf_token)],
    ] {
        for (method, path) in [("GET", "/locks"), ("POST", "/locks/a/acquire")] {
            let answer = send(&server, method, path, &headers, r#"{"ttl_seconds": 60}"#);
            answer.refused(401, "unauthorized");
        }
        let ended = send(&server, "DELETE", SESSION, &headers, "");
        ended.refused(403, "csrf_token_required");
    }
    page.send(&server, "GET", "/locks", "").ok();
}

#[test]
fn no_other_site_can_begin_a_session() {
    let server = Setup::new().start();
    let body = json!({"token": ALICE}).to_string();
    for headers in [vec![], vec![("content-type", "text/plain")], vec![("x-csrf-token", "x")]] {
        let answer = send(&server, "POST", SESSION, &headers, &body);
        answer.refused(403, "csrf_token_required");
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[test]
fn what_is_no_token_begins_no_session() {
    let server = Setup::new().start();
    for token in ["", "wrong", "ünï", &"x".repeat(513)] {
        let answer = sign_in(&server, token, &[]);
        answer.refused(401, "unauthorized");
        assert_eq!(answer.header("set-cookie"), None);
    }
    let answer = send(&server, "POST", SESSION, &[("x-csrf-token", "sign-in")], "{}");
    answer.refused(422, "missing_field");
}

#[test]
fn a_session_that_nobody_guesses_works_on_whatever_fails_at_its_address() {
    let server = admin::setup().flag("--failed-sign-ins", "1").start();
    admin::act(&server, "alice", "promote");
    let made = server.alice().post("/auth/tokens", &json!({"name": "dashboard"})).json();
    let page = Page::of(&sign_in(&server, made["token"].as_str().unwrap(), &[]));
    let short = Page::of(&sign_in(&server, ALICE, &[]));
    let guess = [("x-admin-key", "guess")];
    send(&server, "GET", "/admin/accounts", &guess, "").refused(401, "unauthorized");
    page.send(&server, "GET", "/admin/accounts", "").ok();
    // One that could be guessed waits, as it does in a header.
    short.send(&server, "GET", "/admin/accounts", "").refused(429, "too_many_failures");
}

#[test]
fn revoking_the_token_ends_the_session() {
    let server = Setup::new().start();
    let made = server.alice().post("/auth/tokens", &json!({"name": "dashboard"}));
    let made = serde_json::from_slice::<Value>(&made.body).unwrap();
    let page = Page::of(&sign_in(&server, made["token"].as_str().unwrap(), &[]));
    page.send(&server, "GET", "/locks", "").ok();
    let path = format!("/auth/tokens/{}", made["id"].as_str().unwrap());
    server.alice().send("DELETE", &path, b"").ok();
    page.send(&server, "GET", "/locks", "").refused(401, "unauthorized");
    let after = send(&server, "GET", SESSION, &[("cookie", &page.cookie)], "").ok();
    assert_eq!(after["signed_in"], false);
}

#[test]
fn a_session_ends_when_somebody_signs_out_and_a_pasted_token_lives_on() {
    let server = Setup::new().start();
    let page = Page::of(&sign_in(&server, ALICE, &[]));
    let ended = page.send(&server, "DELETE", SESSION, "");
    assert_eq!(ended.ok(), json!({"signed_in": false}));
    assert!(ended.header("set-cookie").unwrap().contains("=; Path=/; Max-Age=0;"));
    server.alice().list("").ok();
}

#[test]
fn a_pasted_token_lives_on_even_if_signing_in_has_made_it() {
    let (_github, server) = sign_in_github::start();
    let signed_in = Browser::default().sign_in(&server, sign_in_github::THERE).ok();
    let token = signed_in["token"].as_str().unwrap();
    let page = Page::of(&sign_in(&server, token, &[]));
    page.send(&server, "DELETE", SESSION, "").ok();
    let me = Client::new(&server.address, token).send("GET", "/auth/me", b"").ok();
    assert_eq!(me["token"]["source"], "sign_in");
}

#[test]
fn signing_out_ends_no_token_that_signing_in_has_not_made_whatever_the_cookie_says() {
    let server = Setup::new().start();
    let page = Page::of(&sign_in(&server, ALICE, &[]));
    // As if this session had begun at a provider.
    let cookie = page.cookie.strip_suffix(".pasted").unwrap().to_owned();
    let page = Page { cookie, ..page };
    page.send(&server, "GET", "/locks", "").ok();
    page.send(&server, "DELETE", SESSION, "").ok();
    server.alice().list("").ok();
}

#[test]
fn who_signs_out_keeps_no_cookie_whether_it_came_over_tls_or_not() {
    let server = Setup::new().start();
    for origin in ["http://octostore.example", "https://octostore.example"] {
        let page = Page::of(&sign_in(&server, ALICE, &[("origin", origin)]));
        let ended = page.send(&server, "DELETE", SESSION, "");
        let set = ended.headers.iter().filter(|(name, _)| name == "set-cookie");
        let mut gone: Vec<_> = set.map(|(_, cookie)| cookie.split(';').next().unwrap()).collect();
        gone.sort_unstable();
        assert_eq!(gone, ["__Host-octostore-session=", "octostore-session="], "{origin}");
    }
}

#[test]
fn who_asks_too_fast_is_told_to_wait_and_not_that_nobody_is_signed_in() {
    let server = Setup::new().flag("--requests-per-second", "1").start();
    let page = Page::of(&sign_in(&server, ALICE, &[]));
    let look = || send(&server, "GET", SESSION, &[("cookie", &page.cookie)], "");
    let mut answers = std::iter::repeat_with(look);
    let hasty = answers.find(|one| one.status != 200 || one.json()["signed_in"] != true).unwrap();
    hasty.refused(429, "rate_limited");
    assert_eq!(hasty.header("retry-after"), Some("1"));
}

#[test]
fn over_tls_the_session_is_this_hosts_alone() {
    let server = Setup::new().start();
    let signed_in = sign_in(&server, ALICE, &[("origin", "https://octostore.example")]);
    let cookie = signed_in.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-octostore-session="), "{cookie}");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
    Page::of(&signed_in).send(&server, "GET", "/locks", "").ok();

    // Where the server knows that browsers come over TLS, a cookie that anybody on the way could
    // have set is none.
    let server = Setup::new().flag("--public-url", "https://octostore.example").start();
    let over_tls = Page::of(&sign_in(&server, ALICE, &[]));
    over_tls.send(&server, "GET", "/locks", "").ok();
    let cookie = over_tls.cookie.replace("__Host-", "");
    let page = Page { cookie, ..over_tls };
    page.send(&server, "GET", "/locks", "").refused(401, "unauthorized");
}

#[test]
fn a_token_in_a_header_comes_before_a_session() {
    let server = Setup::new().start();
    let page = Page::of(&sign_in(&server, ALICE, &[]));
    let bob = format!("Bearer {}", BOB);
    let headers =
        [("cookie", &*page.cookie), ("x-csrf-token", &*page.csrf_token), ("authorization", &bob)];
    assert_eq!(send(&server, "GET", "/auth/me", &headers, "").ok()["name"], "bob");
    let wrong = ("authorization", "Bearer wrong");
    let headers = [headers[0], headers[1], wrong];
    send(&server, "GET", "/auth/me", &headers, "").refused(401, "unauthorized");
}

#[test]
fn who_signs_in_with_github_comes_back_to_the_dashboard() {
    let (_github, server) = sign_in_github::start();
    let offered = send(&server, "GET", SESSION, &[], "").ok();
    assert_eq!(offered["providers"], json!([{ "name": "github", "sign_in": AT_GITHUB }]));

    let page = Page::at_github(&server);
    let me = page.send(&server, "GET", "/auth/me", "").ok();
    assert_eq!((&me["name"], &me["token"]["source"]), (&json!("ann"), &json!("sign_in")));

    page.send(&server, "DELETE", SESSION, "").ok();
    page.send(&server, "GET", "/auth/me", "").refused(401, "unauthorized");
}

#[test]
fn who_signs_out_is_signed_out_however_fast_the_account_asks() {
    let github = GitHub::start();
    let server = sign_in_github::setup(&github).flag("--requests-per-second", "1").start();
    let page = Page::at_github(&server);
    while page.send(&server, "GET", "/auth/me", "").status != 429 {}
    page.send(&server, "DELETE", SESSION, "").ok();
    page.send(&server, "GET", "/auth/me", "").refused(401, "unauthorized");
}

#[test]
fn who_signs_out_of_a_disabled_account_is_signed_out_when_it_is_enabled_again() {
    let github = GitHub::start();
    let server = sign_in_github::setup(&github).variable("ADMIN_KEY", admin::KEY).start();
    let page = Page::at_github(&server);
    admin::act(&server, "ann", "disable");
    page.send(&server, "DELETE", SESSION, "").ok();
    admin::act(&server, "ann", "enable");
    page.send(&server, "GET", "/auth/me", "").refused(401, "unauthorized");
}

#[test]
fn who_cannot_be_signed_out_is_told_so_and_keeps_the_session() {
    let github = GitHub::start();
    let server = sign_in_github::setup(&github).start();
    let page = Page::at_github(&server);
    page.send(&server, "GET", "/auth/me", "").ok();
    failed_disk::break_disk(&server);
    let refused = page.send(&server, "DELETE", SESSION, "");
    refused.refused(503, "outcome_unknown");
    assert_eq!(refused.header("set-cookie"), None);
}

#[test]
fn who_is_not_signed_in_is_told_so_on_a_page() {
    let (github, server) = sign_in_github::start();
    github.mood(|mood| mood.refuses = true);
    let mut browser = Browser::default();
    let back = browser.sign_in(&server, AT_GITHUB);
    assert_eq!(back.status, 401);
    assert_eq!(back.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(back.text().contains("href=\"/dashboard\""), "{}", back.text());
    Client::anonymous(&server.address)
        .send("GET", "/dashboard/sign-in/oidc/none", b"")
        .refused(404, "sign_in_not_configured");
}

#[test]
fn whoever_opens_the_address_of_the_server_gets_to_the_page() {
    let server = Setup::new().start();
    for method in ["GET", "HEAD"] {
        let answer = send(&server, method, "/", &[], "");
        assert_eq!((answer.status, answer.header("location")), (303, Some("/dashboard")));
    }
    send(&server, "POST", "/", &[], "").refused(405, "method_not_allowed");
}

#[test]
fn the_page_is_confined_and_loads_nothing_from_elsewhere() {
    let server = Setup::new().start();
    let get = |path: &str| send(&server, "GET", path, &[], "");
    let page = get("/dashboard");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
    assert!(!policy.contains("unsafe"), "{policy}");
    for (header, value) in [
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(page.header(header), Some(value), "{header}");
    }

    let page = page.text();
    let mut files = vec!["/dashboard"];
    files.extend(page.split('"').filter(|text| text.starts_with("/assets/")));
    assert!(files.len() > 3, "{files:?}");
    files.extend([
        "/assets/dashboard-lib.js",
        "/assets/dashboard-views.js",
        "/assets/dashboard-config.js",
        "/assets/dashboard-admin.js",
    ]);
    for path in files {
        let file = get(path);
        let text = file.text();
        for foreign in ["http://", "https://", "//cdn", "innerHTML", "eval(", "<style", "style="] {
            let namespace = path.ends_with(".svg") && foreign == "http://";
            assert!(namespace || !text.contains(foreign), "{path} has {foreign}");
        }
        let etag = file.header("etag").unwrap();
        assert_eq!(send(&server, "GET", path, &[("if-none-match", etag)], "").status, 304);
    }
}
