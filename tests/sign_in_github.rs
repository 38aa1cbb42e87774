//! Signing in with GitHub: the way there and back, and what is odd about GitHub.

use crate::common::{
    Answer, Client, Server, Setup,
    browser::{BACK, BACK_OVER_TLS, Browser, parameter},
    github::{ANN, CLIENT_ID, CLIENT_SECRET, GitHub, User},
    is_stamp, request, until,
};
use serde_json::Value;
use std::sync::{Arc, Barrier};

pub const THERE: &str = "/auth/github";
pub const BACK_HERE: &str = "/auth/github/callback";

/// A server that signs in with this GitHub.
pub fn setup(github: &GitHub) -> Setup {
    Setup::bare()
        .variable("GITHUB_CLIENT_ID", CLIENT_ID)
        .variable("GITHUB_CLIENT_SECRET", CLIENT_SECRET)
        .variable("GITHUB_OAUTH_URL", &github.url())
        .variable("GITHUB_API_URL", &format!("{}/api/v3", github.url()))
        .variable("GITHUB_REDIRECT_URI", &format!("{BACK}{BACK_HERE}"))
        .variable("OCTOSTORE_FAILED_SIGN_INS", "1000")
}

pub fn start() -> (GitHub, Server) {
    let github = GitHub::start();
    let server = setup(&github).start();
    (github, server)
}

/// What `/auth/me` says to whoever has just signed in.
fn me(server: &Server, signed_in: &Answer) -> Value {
    let token = signed_in.ok()["token"].as_str().unwrap().to_owned();
    Client::new(&server.address, &token).send("GET", "/auth/me", b"").ok()
}

#[test]
fn somebody_who_signs_in_gets_a_token_that_works() {
    let (github, server) = start();
    let mut browser = Browser::default();
    let there = browser.get(&server, THERE);
    assert_eq!(there.status, 302);
    let location = there.header("location").unwrap();
    assert!(location.starts_with(&format!("{}/login/oauth/authorize?", github.url())));
    assert_eq!(parameter(location, "code_challenge_method").as_deref(), Some("S256"));
    assert!(parameter(location, "state").unwrap().len() >= 43, "256 bits");
    let cookie = there.header("set-cookie").unwrap();
    assert!(cookie.starts_with("octostore-sign-in="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax"), "{cookie}");
    assert!(!cookie.contains(&parameter(location, "state").unwrap()), "it is sealed");

    let back = browser.follow(location);
    let signed_in = browser.get(&server, &back);
    let body = signed_in.ok();
    assert_eq!(body["user"]["login"], "ann");
    assert_eq!(body["user"]["avatar_url"], "https://a.example/1");
    assert!(body["token"].as_str().unwrap().starts_with("octo_"));
    assert!(is_stamp(&body["expires_at"]), "{body}");
    for answer in [&there, &signed_in] {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    assert_eq!(browser.kept(), None, "what it kept is removed");

    let me = me(&server, &signed_in);
    assert_eq!((&me["name"], &me["origin"]), (&"ann".into(), &"github".into()));
    assert_eq!(me["token"]["name"], "signed in with github");
    let mut ann = Client::new(&server.address, body["token"].as_str().unwrap());
    assert_eq!(ann.acquire("a", 60).ok()["holder"], "ann");
    assert!(!server.setup.beside(".admin-token").exists(), "others are let in");
}

#[test]
fn over_tls_the_cookie_is_this_hosts_alone() {
    let github = GitHub::start();
    let server = setup(&github)
        .variable("GITHUB_REDIRECT_URI", &format!("{BACK_OVER_TLS}{BACK_HERE}"))
        .start();
    let mut browser = Browser::default();
    let there = browser.get(&server, THERE);
    let cookie = there.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-octostore-sign-in="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
    let back = browser.follow(there.header("location").unwrap());
    browser.get(&server, &back).ok();
}

#[test]
fn without_a_redirect_uri_github_goes_by_its_own() {
    let github = GitHub::start();
    let server = setup(&github).variable("GITHUB_REDIRECT_URI", "").start();
    let mut browser = Browser::default();
    let there = browser.get(&server, THERE);
    assert_eq!(parameter(there.header("location").unwrap(), "redirect_uri"), None);
    let back = browser.follow(there.header("location").unwrap());
    browser.get(&server, &back).ok();
    server.stop();

    // Whether it comes back over TLS is said by where browsers find this server.
    let server = setup(&github)
        .variable("GITHUB_REDIRECT_URI", "")
        .variable("OCTOSTORE_PUBLIC_URL", BACK_OVER_TLS)
        .start();
    let there = browser.get(&server, THERE);
    let cookie = there.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-octostore-sign-in=") && cookie.ends_with("; Secure"));
    let back = browser.follow(there.header("location").unwrap());
    browser.get(&server, &back).ok();
}

#[test]
fn a_number_of_another_host_is_of_somebody_else() {
    let (github, server) = start();
    let ann = me(&server, &Browser::default().sign_in(&server, THERE));
    let setup = server.setup.clone();
    server.stop();
    let elsewhere = github.url().replace("127.0.0.1", "localhost");
    let moved = setup.clone().variable("GITHUB_OAUTH_URL", &elsewhere).start();
    let mut browser = Browser::default();
    let there = browser.get(&moved, THERE);
    let location = there.header("location").unwrap().replace("localhost", "127.0.0.1");
    let back = browser.follow(&location);
    let other = me(&moved, &browser.get(&moved, &back));
    assert_eq!(other["name"], ann["name"]);
    assert_ne!(other["id"], ann["id"], "both hosts count from one");
    moved.stop();
    let server = setup.start();
    let again = me(&server, &Browser::default().sign_in(&server, THERE));
    assert_eq!(again["id"], ann["id"]);
}

#[test]
fn a_code_is_worth_nothing_without_its_verifier() {
    let (github, server) = start();
    // As if somebody had begun with another challenge.
    github.mood(|mood| mood.challenge = Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
    let answer = Browser::default().sign_in(&server, THERE);
    answer.refused(401, "sign_in_failed");
    github.mood(|mood| mood.challenge = None);
    Browser::default().sign_in(&server, THERE).ok();
}

#[test]
fn a_restart_ends_what_has_begun() {
    let (_github, server) = start();
    let mut browser = Browser::default();
    let back = browser.go(&server, THERE);
    let setup = server.setup.clone();
    server.stop();
    let server = setup.start();
    browser.get(&server, &back).refused(401, "invalid_state");
    browser.sign_in(&server, THERE).ok();
}

#[test]
fn a_renamed_login_keeps_its_account_and_a_recycled_one_gets_none_of_it() {
    let (github, server) = start();
    let ann = me(&server, &Browser::default().sign_in(&server, THERE));
    github.mood(|mood| mood.user.login = "ann-married");
    let married = me(&server, &Browser::default().sign_in(&server, THERE));
    assert_eq!((&married["id"], &married["name"]), (&ann["id"], &"ann-married".into()));

    github.mood(|mood| mood.user = User { id: 9_000_001, ..ANN });
    let recycled = me(&server, &Browser::default().sign_in(&server, THERE));
    assert_eq!(recycled["name"], "ann");
    assert_ne!(recycled["id"], ann["id"]);

    let setup = server.setup.clone();
    server.stop();
    let server = setup.start();
    github.mood(|mood| mood.user = ANN);
    let back = me(&server, &Browser::default().sign_in(&server, THERE));
    assert_eq!((&back["id"], &back["name"]), (&ann["id"], &"ann".into()), "after a restart too");
}

#[test]
fn errors_with_200_are_errors_and_are_not_repeated() {
    const OK: &str = "200 OK\r\ncontent-type: application/json; charset=utf-8";
    let (github, server) = start();
    let description = "<script>alert(1)</script>";
    for word in ["bad_verification_code", "redirect_uri_mismatch", "unverified_user_email"] {
        let body = serde_json::json!({ "error": word, "error_description": description });
        github.mood(|mood| mood.token_answer = Some((OK, body.to_string())));
        let answer = Browser::default().sign_in(&server, THERE);
        answer.refused(401, "sign_in_failed");
        assert!(!answer.text().contains("script") && !answer.text().contains(word));
        until("the log says why", || server.err().contains(word).then_some(()));
    }
    // Even next to a token.
    let both = r#"{"access_token":"gho_x","token_type":"bearer","scope":"","error":"odd"}"#;
    github.mood(|mood| mood.token_answer = Some((OK, both.to_owned())));
    Browser::default().sign_in(&server, THERE).refused(401, "sign_in_failed");
    assert_eq!(github.asked("GET /api/v3/user"), 0);
    assert!(!server.err().contains("script"));
}

#[test]
fn whoever_refuses_is_not_signed_in() {
    let (github, server) = start();
    github.mood(|mood| mood.refuses = true);
    let answer = Browser::default().sign_in(&server, THERE);
    answer.refused(401, "sign_in_denied");
    assert!(!answer.text().contains("access"), "{}", answer.text());
    assert_eq!(github.asked("POST /login/oauth/access_token"), 0);
}

#[test]
fn scopes_and_pictures_are_as_github_has_them() {
    let (github, server) = start();
    for scope in ["", "repo,gist", "user:email"] {
        github.mood(|mood| mood.scope = scope);
        Browser::default().sign_in(&server, THERE).ok();
    }
    for none in [None, Some(""), Some("javascript:alert(1)"), Some("/relative.png")] {
        github.mood(|mood| mood.user.avatar_url = none);
        let body = Browser::default().sign_in(&server, THERE).ok();
        assert_eq!(body["user"]["avatar_url"], "", "{none:?}");
    }
}

#[test]
fn a_github_in_trouble_is_not_the_persons_fault() {
    let (github, server) = start();
    let sign_in = || Browser::default().sign_in(&server, THERE);
    let huge = "x".repeat(1024 * 1024 + 1);
    for (head, body) in [
        ("503 Service Unavailable", ""),
        ("500 Internal Server Error\r\ncontent-type: application/json", "{\"error\":\"x\"}"),
        ("429 Too Many Requests", ""),
        ("200 OK\r\ncontent-type: application/json", huge.as_str()),
    ] {
        github.mood(|mood| mood.token_answer = Some((head, body.to_owned())));
        sign_in().refused(502, "provider_unavailable");
        github.mood(|mood| mood.token_answer = None);
        github.mood(|mood| mood.user_answer = Some((head, body.to_owned())));
        sign_in().refused(502, "provider_unavailable");
        github.mood(|mood| mood.user_answer = None);
    }
    for (head, body) in [
        ("200 OK\r\ncontent-type: text/html", "<html>"),
        ("200 OK\r\ncontent-type: application/json", "{}"),
        ("200 OK\r\ncontent-type: application/json", "{\"login\":\"ann\",\"id\":\"583231\"}"),
        ("401 Unauthorized", "{\"message\":\"Bad credentials\"}"),
        ("302 Found", "location: /stolen"),
    ] {
        github.mood(|mood| mood.token_answer = Some((head, body.to_owned())));
        sign_in().refused(401, "sign_in_failed");
        github.mood(|mood| mood.token_answer = None);
        github.mood(|mood| mood.user_answer = Some((head, body.to_owned())));
        sign_in().refused(401, "sign_in_failed");
        github.mood(|mood| mood.user_answer = None);
    }
    for method in ["GET", "POST"] {
        assert_eq!(github.asked(&format!("{method} /stolen")), 0, "nobody is followed");
    }
    sign_in().ok();

    let nobody = setup(&github).variable("GITHUB_API_URL", "http://127.0.0.1:1").start();
    Browser::default().sign_in(&nobody, THERE).refused(502, "provider_unavailable");
}

#[test]
fn a_token_that_nobody_heard_of_is_none() {
    let (github, server) = start();
    for round in 1..=6 {
        let mut browser = Browser::default();
        let back = browser.go(&server, THERE);
        let gate = Arc::new(Barrier::new(2));
        github.mood(|mood| mood.gate = Some(Arc::clone(&gate)));
        let mut connection = server.connect();
        connection.send(&request("GET", &back, &[("cookie", &browser.kept().unwrap())], b""));
        if round % 2 == 0 {
            // With more on the way, the server does not see that nobody is there until it answers.
            connection.send(&request("GET", "/health", &[], b""));
        }
        gate.wait();
        // While the server stands still, what makes the token comes in, and the goodbye.
        server.pause();
        github.mood(|mood| mood.gate = None);
        gate.wait();
        drop(connection);
        server.resume();

        let signed_in = Browser::default().sign_in(&server, THERE).ok();
        let mut ann = Client::new(&server.address, signed_in["token"].as_str().unwrap());
        until("only those that were heard of are left", || {
            let tokens = ann.send("GET", "/auth/tokens", b"").ok();
            (tokens["total"] == round).then_some(())
        });
    }
}
