//! Signing in from a terminal: a code on its screen, a browser elsewhere, a token in the end.

use crate::common::{
    Answer, Client, Server,
    browser::{BACK, BACK_OVER_TLS, Browser},
    github::GitHub,
    provider::Provider,
    request,
    terminal::{GRANT, Terminal, is_oauth_error, post},
    until,
};
use crate::{sign_in_github, sign_in_openid};
use serde_json::{Value, json};

const THERE: &str = sign_in_github::THERE;

/// What is in the audit log of a server that has stopped about terminals: outcome and detail.
fn audited(server: Server) -> Vec<(String, String)> {
    let setup = server.setup.clone();
    server.stop();
    let database = rusqlite::Connection::open(setup.database()).unwrap();
    let query = "SELECT outcome, coalesce(detail, '') FROM audit \
                 WHERE action = 'sign_in.device' ORDER BY id";
    let mut statement = database.prepare(query).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The names of the tokens of whoever shows `token`.
fn names(server: &Server, token: &str) -> Vec<String> {
    let body = Client::new(&server.address, token).send("GET", "/auth/tokens", b"").ok();
    let tokens = body["tokens"].as_array().unwrap().iter();
    tokens.map(|token| token["name"].as_str().unwrap().to_owned()).collect()
}

fn token(answer: &Answer) -> String {
    answer.ok()["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn a_terminal_that_somebody_lets_in_gets_a_token_once() {
    let (_github, server) = sign_in_github::start();
    let asked = [("client_id", "ann's laptop"), ("scope", "locks:write:deploy/ flags:read")];
    let begun = post(&server, "/auth/device/code", &asked);
    assert_eq!(begun.header("cache-control"), Some("no-store"));
    assert_eq!(begun.header("pragma"), Some("no-cache"));
    let terminal = Terminal::begin(&server, &asked);
    let body = &terminal.body;
    assert_eq!((&body["expires_in"], &body["interval"]), (&json!(600), &json!(5)));
    assert!(terminal.device_code.len() >= 43, "256 bits");
    terminal.is_told(&server, "authorization_pending");

    let mut browser = Browser::default();
    let complete = body["verification_uri_complete"].as_str().unwrap();
    let page = browser.get(&server, complete.strip_prefix(BACK).unwrap());
    assert_eq!(page.status, 200);
    let there = format!("{THERE}?user_code={}", terminal.user_code);
    assert!(page.text().contains(&format!("href=\"{there}\"")), "{}", page.text());
    let asked = terminal.signed_in(&server, &mut browser, THERE);
    for said in ["ann&#39;s laptop", "127.0.0.1", "<bdi>ann</bdi>", "GitHub", "deploy/", "flags"] {
        assert!(asked.page.text().contains(said), "{said}");
    }
    let allowed = asked.answer(&server, &mut browser, "allow");
    assert_eq!(allowed.status, 200, "{}", allowed.text());
    assert_eq!(browser.kept(), None, "what it kept is removed");

    let answer = terminal.poll(&server);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    let body = answer.ok();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(90 * 86_400)));
    assert_eq!(body["scope"], "locks:write:deploy/ flags:read");
    terminal.is_told(&server, "invalid_grant");

    let mut ann = Client::new(&server.address, &token(&answer));
    let me = ann.send("GET", "/auth/me", b"").ok();
    assert_eq!((&me["name"], &me["origin"]), (&json!("ann"), &json!("github")));
    assert_eq!(
        (&me["token"]["name"], &me["token"]["source"]),
        (&json!("ann's laptop"), &json!("sign_in"))
    );
    assert_eq!(ann.acquire("deploy%2Feu", 60).ok()["holder"], "ann");
    ann.acquire("other", 60).refused(403, "insufficient_scope");

    let log = audited(server);
    assert_eq!(log.len(), 2, "the token, and the replay: {log:?}");
    assert!(log[0].0 == "ok" && log[0].1.contains("of ann, named ann's laptop"), "{log:?}");
    assert_eq!(log[1].0, "refused");
}

#[test]
fn the_certified_provider_signs_in_for_terminals_too() {
    let Some(provider) = Provider::start() else { return };
    provider.order(&json!({ "person": { "sub": "s-1", "preferred_username": "zoë" } }));
    let server = sign_in_openid::setup(&provider, "").start();
    let terminal = Terminal::begin(&server, &[]);
    let mut browser = Browser::default();
    let asked = terminal.signed_in(&server, &mut browser, sign_in_openid::THERE);
    let text = asked.page.text();
    assert!(
        text.contains("<bdi>zoë</bdi>") && text.contains("Everything that your account may do")
    );
    asked.answer(&server, &mut browser, "allow");
    let answer = terminal.poll(&server);
    assert_eq!(answer.ok()["scope"], "*");
    assert_eq!(names(&server, &token(&answer)), ["terminal"]);
    let web = sign_in_openid::sign_in(&server).ok();
    let both = names(&server, web["token"].as_str().unwrap());
    assert_eq!(both, ["signed in with oidc/test", "terminal"], "the same account");
}

#[test]
fn a_terminal_that_is_refused_gets_nothing() {
    let (_github, server) = sign_in_github::start();
    let terminal = Terminal::begin(&server, &[]);
    let mut browser = Browser::default();
    let asked = terminal.signed_in(&server, &mut browser, THERE);
    assert_eq!(asked.answer(&server, &mut browser, "deny").status, 200);
    terminal.is_told(&server, "access_denied");
    terminal.is_told(&server, "invalid_grant");
    let log = audited(server);
    assert_eq!(log[0], ("refused".to_owned(), "denied by ann".to_owned()));
}

#[test]
fn a_terminal_that_asks_too_often_is_to_slow_down() {
    let (_github, server) = sign_in_github::start();
    let terminal = Terminal::begin(&server, &[]);
    terminal.is_told(&server, "authorization_pending");
    // Whatever this machine does meanwhile, one of these comes within the longer wait.
    until("it is told to slow down", || {
        let word = terminal.poll(&server).json()["error"].clone();
        (word == "slow_down").then_some(())
    });
    let mut browser = Browser::default();
    let asked = terminal.signed_in(&server, &mut browser, THERE);
    asked.answer(&server, &mut browser, "allow");
    terminal.poll(&server).ok();
}

#[test]
fn a_code_is_typed_as_people_type() {
    let (_github, server) = sign_in_github::start();
    let terminal = Terminal::begin(&server, &[("client_id", "laptop")]);
    let mut browser = Browser::default();
    let empty = browser.get(&server, "/auth/device");
    assert_eq!(empty.status, 200);
    let text = empty.text();
    assert!(text.contains("<form method=\"get\" action=\"/auth/device\">"), "{text}");
    assert!(text.contains("<label for=\"user_code\">") && text.contains("id=\"user_code\""));
    let bare = terminal.user_code.replace('-', "").to_lowercase();
    for typed in [bare.clone(), format!("+{bare}+"), bare.replace("", "-"), bare.replace("", "%20")]
    {
        let page = browser.get(&server, &format!("/auth/device?user_code={typed}"));
        assert_eq!(page.status, 200, "{typed}");
        assert!(page.text().contains(&terminal.user_code) && page.text().contains("laptop"));
    }
    assert_eq!(browser.get(&server, "/auth/device?user_code=").status, 200, "nothing was typed");
}

#[test]
fn where_to_go_is_said_by_the_settings_or_else_by_the_host_alone() {
    let github = GitHub::start();
    let setup = || sign_in_github::setup(&github);
    let said = |server: &Server, headers: &[(&str, &str)]| {
        let mut connection = server.connect();
        let mut head = String::from("POST /auth/device/code HTTP/1.1\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        connection.send(format!("{head}\r\n").as_bytes());
        connection.read()
    };
    let uri = |answer: &Answer| answer.ok()["verification_uri"].as_str().unwrap().to_owned();
    let lies = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.example"),
    ];
    let by_redirect = setup().start();
    assert_eq!(uri(&said(&by_redirect, &lies)), format!("{BACK}/auth/device"));
    let public = setup().variable("OCTOSTORE_PUBLIC_URL", "https://octo.example/").start();
    let answer = said(&public, &lies);
    assert_eq!(uri(&answer), "https://octo.example/auth/device");
    let (body, code) = (answer.ok(), answer.ok()["user_code"].clone());
    let complete = format!("https://octo.example/auth/device?user_code={}", code.as_str().unwrap());
    assert_eq!(body["verification_uri_complete"], complete);

    let by_host = setup().variable("GITHUB_REDIRECT_URI", "").start();
    assert_eq!(
        uri(&said(&by_host, &[("host", "a.example:81")])),
        "http://a.example:81/auth/device"
    );
    assert_eq!(uri(&said(&by_host, &[("host", "a"), lies[1], lies[2]])), "http://a/auth/device");
    for host in ["a/b", "a@b", "a?b", "a#b", "\"><script>", "a:b", "a, b", ":80"] {
        is_oauth_error(&said(&by_host, &[("host", host)]), 400, "invalid_request");
    }
}

#[test]
fn what_cannot_be_is_refused_in_the_words_of_oauth() {
    let (_github, server) = sign_in_github::start();
    let begin = |form: &[(&str, &str)]| post(&server, "/auth/device/code", form);
    for bad in ["locks", "lock:read", "*", "locks:read openid", "locks:read:\"", "\u{0}"] {
        let answer = begin(&[("scope", bad)]);
        match bad {
            "locks" => assert_eq!(answer.status, 200, "an area alone is all of it"),
            _ => is_oauth_error(&answer, 400, "invalid_scope"),
        }
    }
    for bad in [&"x".repeat(101), "a\nb", "\u{0}"] {
        is_oauth_error(&begin(&[("client_id", bad)]), 400, "invalid_request");
    }
    is_oauth_error(&begin(&[("scope", "locks"), ("scope", "flags")]), 400, "invalid_request");
    let mut nobody = Client::anonymous(&server.address);
    let list = nobody.post("/auth/device/code", &json!({ "scope": ["locks:read"] }));
    is_oauth_error(&list, 400, "invalid_scope");
    let json =
        nobody.post("/auth/device/code", &json!({ "scope": "locks:read", "client_id": null }));
    assert!(json.ok()["device_code"].is_string());
    assert_eq!(nobody.send("GET", "/auth/device/code", b"").status, 405);
    assert_eq!(nobody.send("POST", "/auth/device", b"").header("allow"), Some("GET, HEAD"));

    let code = Terminal::begin(&server, &[]).device_code;
    let poll = |form: &[(&str, &str)]| post(&server, "/auth/token", form);
    is_oauth_error(&poll(&[("grant_type", GRANT)]), 400, "invalid_request");
    is_oauth_error(&poll(&[("grant_type", GRANT), ("device_code", "")]), 400, "invalid_request");
    is_oauth_error(&poll(&[("device_code", &code)]), 400, "invalid_request");
    let other = [("grant_type", "password"), ("device_code", &*code)];
    is_oauth_error(&poll(&other), 400, "unsupported_grant_type");
    for wrong in ["x", &code[1..], &code.to_lowercase()] {
        let form = [("grant_type", GRANT), ("device_code", wrong)];
        is_oauth_error(&poll(&form), 400, "invalid_grant");
    }
    let form = json!({ "grant_type": GRANT, "device_code": code, "client_id": "whatever" });
    is_oauth_error(&nobody.post("/auth/token", &form), 400, "authorization_pending");
}

#[test]
fn without_a_provider_there_is_nothing_of_it() {
    let server = crate::common::Setup::new().start();
    let mut nobody = Client::anonymous(&server.address);
    for (method, path) in [
        ("POST", "/auth/device/code"),
        ("GET", "/auth/device"),
        ("GET", "/auth/device?user_code=BBBB-BBBB"),
        ("POST", "/auth/device/confirm"),
        ("GET", "/auth/github?user_code=BBBB-BBBB"),
    ] {
        nobody.send(method, path, b"").refused(404, "sign_in_not_configured");
    }
    let form = [("grant_type", GRANT), ("device_code", "x")];
    is_oauth_error(&post(&server, "/auth/token", &form), 400, "unsupported_grant_type");
}

#[test]
fn a_restart_forgets_who_waits() {
    let (_github, server) = sign_in_github::start();
    let terminal = Terminal::begin(&server, &[]);
    let mut browser = Browser::default();
    let asked = terminal.signed_in(&server, &mut browser, THERE);
    let setup = server.setup.clone();
    server.stop();
    let server = setup.start();
    terminal.is_told(&server, "invalid_grant");
    assert_eq!(asked.answer(&server, &mut browser, "allow").status, 403);
}

#[test]
fn a_terminal_whose_answer_was_lost_asks_again_and_has_one_token() {
    let (_github, server) = sign_in_github::start();
    for round in 1..=6 {
        let terminal = Terminal::begin(&server, &[]);
        let mut browser = Browser::default();
        let asked = terminal.signed_in(&server, &mut browser, THERE);
        asked.answer(&server, &mut browser, "allow");
        let mut connection = server.connect();
        server.pause();
        let form = format!("grant_type={GRANT}&device_code={}", terminal.device_code);
        connection.send(&request("POST", "/auth/token", &[], form.as_bytes()));
        if round % 2 == 0 {
            // With more on the way, the server does not see that nobody is there until it answers.
            connection.send(&request("GET", "/health", &[], b""));
        }
        drop(connection);
        server.resume();
        let answer = until("the terminal is let in", || {
            let answer = terminal.poll(&server);
            if answer.status == 200 {
                return Some(answer);
            }
            is_oauth_error(&answer, 400, "authorization_pending");
            None
        });
        terminal.is_told(&server, "invalid_grant");
        until("only the tokens that were heard of are left", || {
            let names = names(&server, &token(&answer));
            (names.iter().filter(|name| *name == "terminal").count() == round).then_some(())
        });
    }
}

#[test]
fn over_tls_what_the_browser_keeps_is_this_hosts_alone() {
    let github = GitHub::start();
    let back = format!("{BACK_OVER_TLS}{}", sign_in_github::BACK_HERE);
    let server = sign_in_github::setup(&github).variable("GITHUB_REDIRECT_URI", &back).start();
    let kept = |browser: &mut Browser| {
        let terminal = Terminal::begin(&server, &[]);
        let page = terminal.signed_in(&server, browser, THERE).page;
        let set = |(name, value): &(String, String)| {
            (name == "set-cookie" && value.contains("device=")).then(|| value.clone())
        };
        page.headers.iter().find_map(set).unwrap()
    };
    let mut browser = Browser::default();
    let cookie = kept(&mut browser);
    assert!(cookie.starts_with("__Host-octostore-device="), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; Max-Age=300; HttpOnly; SameSite=Strict; Secure"),
        "{cookie}"
    );
}

#[test]
fn whoever_cannot_be_signed_in_is_told_so_on_a_page() {
    let (github, server) = sign_in_github::start();
    let terminal = Terminal::begin(&server, &[]);
    let there = format!("{THERE}?user_code={}", terminal.user_code);
    github.mood(|mood| mood.refuses = true);
    let page = Browser::default().sign_in(&server, &there);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.status >= 400 && page.text().contains("href=\"/auth/device\""), "{page:?}");
    github.mood(|mood| mood.refuses = false);
    terminal.is_told(&server, "authorization_pending");
    let mut browser = Browser::default();
    terminal.signed_in(&server, &mut browser, THERE).answer(&server, &mut browser, "allow");
    terminal.poll(&server).ok();
    let web: Value = Browser::default().sign_in(&server, THERE).ok();
    assert!(web["token"].is_string(), "and without a code it is a token, as ever");
}
