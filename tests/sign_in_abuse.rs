//! What somebody could try between a browser and its token: to come back as another, or again, to
//! be sent elsewhere, to guess, and to read the log.

use crate::{
    admin::KEY,
    audit::entries,
    common::{
        Connection, Server,
        browser::{Browser, parameter, with},
        github::{CLIENT_SECRET, GitHub},
        request, until,
    },
    sign_in_github::{BACK_HERE, THERE, setup, start},
};
use std::sync::{Arc, Barrier};

/// A browser comes back, and waits for its answer.
fn come_back(server: &Server, browser: &Browser, back: &str) -> Connection {
    let mut connection = server.connect();
    connection.send(&request("GET", back, &[("cookie", &browser.kept().unwrap())], b""));
    connection
}

#[test]
fn nobody_comes_back_twice() {
    let (github, server) = start();
    let mut browser = Browser::default();
    let there = browser.get(&server, THERE);
    let back = browser.follow(there.header("location").unwrap());
    let mut again = browser.clone();
    browser.get(&server, &back).ok();
    again.get(&server, &back).refused(401, "invalid_state");
    browser.get(&server, &back).refused(401, "invalid_state");
    assert_eq!(github.asked("POST /login/oauth/access_token"), 1, "nor is the code sent twice");

    // The same code, by somebody who has begun too.
    let mut thief = Browser::default();
    let own = thief.go(&server, THERE);
    let code = parameter(&back, "code").unwrap();
    thief.get(&server, &with(&own, "code", Some(&code))).refused(401, "sign_in_failed");
}

#[test]
fn a_failed_sign_in_cannot_be_tried_again_either() {
    let (github, server) = start();
    let mut browser = Browser::default();
    let back = browser.go(&server, THERE);
    let mut again = browser.clone();
    let bad = with(&back, "code", Some("guessed"));
    browser.get(&server, &bad).refused(401, "sign_in_failed");
    assert_eq!(browser.kept(), None);
    again.get(&server, &back).refused(401, "invalid_state");
    assert_eq!(github.asked("POST /login/oauth/access_token"), 1);
}

#[test]
fn only_the_browser_that_began_comes_back() {
    let (github, server) = start();
    let mut browser = Browser::default();
    let back = browser.go(&server, THERE);
    let state = parameter(&back, "state").unwrap();
    let mut other = Browser::default();
    let others = parameter(&other.go(&server, THERE), "state").unwrap();

    Browser::default().get(&server, &back).refused(401, "invalid_state");
    other.get(&server, &back).refused(401, "invalid_state");
    for bad in [
        with(&back, "state", None),
        with(&back, "state", Some("")),
        with(&back, "state", Some(&others)),
        with(&back, "state", Some(&state[1..])),
        with(&back, "state", Some(&format!("{state}a"))),
        with(&back, "state", Some(&state.to_uppercase())),
        with(&back, "state", Some("\u{0}\r\n")),
        with(&back, "state", Some(&"x".repeat(4000))),
        format!("{back}&state={state}"),
        format!("{back}&state={others}"),
        BACK_HERE.to_owned(),
        format!("{BACK_HERE}?"),
    ] {
        let answer = browser.get(&server, &bad);
        answer.refused(401, "invalid_state");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let kept = browser.kept().unwrap();
    let (_, value) = kept.split_once('=').unwrap();
    let mut changed = value.to_owned();
    changed.replace_range(30..31, if &value[30..31] == "A" { "B" } else { "A" });
    for bad in [changed.as_str(), "x", "\"\"", &value[1..], &others] {
        let mut forger = browser.clone();
        forger.keep(bad);
        forger.get(&server, &back).refused(401, "invalid_state");
    }
    assert_eq!(github.asked("POST /login/oauth/access_token"), 0, "no code was spent on that");
    browser.get(&server, &back).ok();
}

#[test]
fn no_parameter_decides_where_a_browser_is_sent_or_what_it_is_told() {
    let (github, server) = start();
    let evil = "https://evil.example/%0d%0aset-cookie:%20evil=1";
    let names = ["redirect_uri", "redirect", "return_to", "next", "url", "state", "client_id"];
    for name in names {
        let there = Browser::default().get(&server, &format!("{THERE}?{name}={evil}"));
        let location = there.header("location").unwrap();
        assert!(location.starts_with(&github.url()), "{location}");
        assert!(!location.contains("evil"), "{location}");
        assert!(!there.headers.iter().any(|(_, value)| value.contains("evil")), "{there:?}");
    }
    for name in names.into_iter().chain(["code", "error", "error_description", "iss"]) {
        let mut browser = Browser::default();
        let back = browser.go(&server, THERE);
        let answer = browser.get(&server, &format!("{}&{name}={evil}", with(&back, name, None)));
        assert_eq!(answer.header("location"), None, "{name}");
        assert!(!format!("{answer:?}").contains("evil"), "{name}: {answer:?}");
        assert!(!answer.text().contains("evil"), "{name}");
    }
    for path in ["/auth/github/", "//auth/github", "/auth/github//evil.example", "/auth/github/x"] {
        assert_eq!(Browser::default().get(&server, path).status, 404, "{path}");
    }
}

#[test]
fn asking_for_the_head_alone_uses_nothing_up() {
    let (github, server) = start();
    let mut browser = Browser::default();
    let there = browser.send("HEAD", &server, THERE);
    assert_eq!(there.status, 302);
    let back = browser.follow(there.header("location").unwrap());
    let head = browser.send("HEAD", &server, &back);
    assert_eq!((head.status, head.header("allow")), (405, Some("GET")));
    assert_eq!(github.asked("POST /login/oauth/access_token"), 0);
    assert_eq!(browser.send("POST", &server, &back).status, 405);
    browser.get(&server, &back).ok();
}

#[test]
fn an_address_that_fails_too_often_has_to_wait() {
    let github = GitHub::start();
    let server = setup(&github).variable("OCTOSTORE_FAILED_SIGN_INS", "3").start();
    let mut browser = Browser::default();
    let back = browser.go(&server, THERE);
    for _ in 0..3 {
        Browser::default().get(&server, &back).refused(401, "invalid_state");
    }
    let waits = browser.get(&server, &back);
    waits.refused(429, "too_many_failures");
    assert!(waits.header("retry-after").is_some());
    Browser::default().get(&server, THERE).refused(429, "too_many_failures");
    let setup = server.setup.clone();
    server.stop();
    let database = rusqlite::Connection::open(setup.database()).unwrap();
    let count = "SELECT count(*) FROM audit WHERE action = 'sign_in' AND outcome = 'refused'";
    let noted: i64 = database.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(noted, 3, "each is in the audit log");
}

#[test]
fn sign_ins_at_once_count_as_failed_until_the_provider_has_said_who_it_is() {
    let github = GitHub::start();
    let server = setup(&github).variable("OCTOSTORE_FAILED_SIGN_INS", "3").start();
    let mut office: Vec<_> = (0..4)
        .map(|_| {
            let mut browser = Browser::default();
            let back = browser.go(&server, THERE);
            (browser, back)
        })
        .collect();
    let (mut late, back) = office.pop().unwrap();
    let gate = Arc::new(Barrier::new(4));
    github.mood(|mood| mood.gate = Some(Arc::clone(&gate)));
    let asking: Vec<_> =
        office.iter().map(|(browser, back)| come_back(&server, browser, back)).collect();
    gate.wait();
    github.mood(|mood| mood.gate = None);
    late.get(&server, &back).refused(429, "too_many_failures");
    assert_eq!(github.asked("POST /login/oauth/access_token"), 3, "nobody asked for the fourth");
    gate.wait();
    for mut connection in asking {
        connection.read().ok();
    }
    // Who was let in has not failed, and who was too many has used nothing up.
    late.get(&server, &back).ok();
    for _ in 0..4 {
        Browser::default().sign_in(&server, THERE).ok();
    }
}

#[test]
fn whoever_hangs_up_before_the_provider_has_answered_has_failed() {
    let github = GitHub::start();
    let setup = setup(&github).variable("ADMIN_KEY", KEY);
    let server = setup.variable("OCTOSTORE_FAILED_SIGN_INS", "3").start();
    for failed in 1..=3 {
        let mut browser = Browser::default();
        let back = browser.go(&server, THERE);
        let gate = Arc::new(Barrier::new(2));
        github.mood(|mood| mood.gate = Some(Arc::clone(&gate)));
        let connection = come_back(&server, &browser, &back);
        gate.wait();
        drop(connection);
        until("it is in the audit log", || {
            let noted = entries(&server, "action=sign_in");
            assert!(noted.iter().all(|entry| entry["result"] == "refused"), "{noted:?}");
            (noted.len() == failed).then_some(())
        });
        github.mood(|mood| mood.gate = None);
        gate.wait();
    }
    Browser::default().get(&server, THERE).refused(429, "too_many_failures");
}

#[test]
fn a_provider_that_is_down_is_nobody_s_failure() {
    let github = GitHub::start();
    let server = setup(&github).variable("OCTOSTORE_FAILED_SIGN_INS", "1").start();
    github.mood(|mood| mood.user_answer = Some(("502 Bad Gateway", String::new())));
    for _ in 0..3 {
        Browser::default().sign_in(&server, THERE).refused(502, "provider_unavailable");
    }
    github.mood(|mood| mood.user_answer = None);
    Browser::default().sign_in(&server, THERE).ok();
}

#[test]
fn nothing_secret_is_in_the_log() {
    let github = GitHub::start();
    let server = setup(&github).variable("RUST_LOG", "trace").start();
    let mut secrets = vec![CLIENT_SECRET.to_owned()];
    let mut sign_in = || {
        let mut browser = Browser::default();
        let back = browser.go(&server, THERE);
        secrets.extend(browser.kept().map(|kept| kept.split_once('=').unwrap().1.to_owned()));
        secrets.extend(parameter(&back, "state"));
        let mut thief = browser.clone();
        let answer = browser.get(&server, &back);
        thief.get(&server, &back).refused(401, "invalid_state");
        if answer.status == 200 {
            secrets.push(answer.ok()["token"].as_str().unwrap().to_owned());
        }
        answer.status
    };
    assert_eq!(sign_in(), 200);
    github.mood(|mood| mood.challenge = Some("x"));
    assert_eq!(sign_in(), 401);
    github.mood(|mood| mood.challenge = None);
    github.mood(|mood| mood.user_answer = Some(("502 Bad Gateway", String::new())));
    assert_eq!(sign_in(), 502);
    github.mood(|mood| mood.user_answer = Some(("200 OK", "{\"login\":7}".to_owned())));
    assert_eq!(sign_in(), 401);
    secrets.extend(github.secrets());
    assert!(secrets.len() >= 4 * 4, "{}", secrets.len());
    let said = server.stop();
    assert!(said.err.contains("TRACE") || said.err.contains("DEBUG"), "it does log");
    for secret in secrets {
        assert!(!said.err.contains(&secret) && !said.out.contains(&secret), "{secret}");
    }
}
