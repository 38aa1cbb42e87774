//! Signing in from a terminal: everything that somebody could try on the way.

use crate::common::{
    Answer, Server, Setup,
    browser::Browser,
    github::{ANN, GitHub, User},
    request,
    terminal::{Asked, GRANT, Terminal, is_oauth_error, post},
};
use crate::sign_in_github::{self, THERE};

/// Checks that a page can do nothing but be read, and answered to this server.
fn is_confined(page: &Answer) {
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{page:?}");
    let policy = page.header("content-security-policy").unwrap();
    let (before, rest) = policy.split_once("'sha256-").unwrap();
    let (_, after) = rest.split_once('\'').unwrap();
    assert_eq!(before, "default-src 'none'; style-src ");
    assert_eq!(after, "; form-action 'self'; frame-ancestors 'none'; base-uri 'none'");
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        let all: Vec<_> = page.headers.iter().filter(|(known, _)| known == name).collect();
        assert!(matches!(&all[..], [(_, only)] if only == value), "{name}: {page:?}");
    }
    let text = page.text();
    assert!(!text.contains("<script") && !text.contains("src="), "{text}");
    assert!(text.contains("<html lang=\"en\">") && text.contains("<title>"), "{text}");
}

/// A terminal whose user has signed in and was not asked to decide yet.
fn asked(server: &Server, browser: &mut Browser) -> (Terminal, Asked) {
    let terminal = Terminal::begin(server, &[]);
    let asked = terminal.signed_in(server, browser, THERE);
    (terminal, asked)
}

#[test]
fn signing_in_alone_allows_nothing() {
    let (_github, server) = sign_in_github::start();
    let mut browser = Browser::default();
    let (terminal, asked) = asked(&server, &mut browser);
    let is_pending = || {
        let answer = terminal.poll(&server);
        let word = answer.json()["error"].clone();
        assert!(word == "authorization_pending" || word == "slow_down", "{word}");
    };
    is_pending();
    let ticket = ("ticket", &*asked.ticket);
    assert_eq!(browser.get(&server, "/auth/device/confirm").status, 405);
    for form in [&[ticket][..], &[ticket, ("decision", "")], &[ticket, ("decision", "yes")]] {
        let page = browser.post(&server, "/auth/device/confirm", form);
        assert_eq!(page.status, 400, "{form:?}");
        is_confined(&page);
        is_pending();
    }
    let twice = [ticket, ("decision", "deny"), ("decision", "allow")];
    assert_eq!(browser.post(&server, "/auth/device/confirm", &twice).status, 403);
    is_pending();
    assert_eq!(asked.answer(&server, &mut browser, "allow").status, 200, "it is still good");
    terminal.poll(&server).ok();
}

#[test]
fn only_the_browser_that_was_asked_answers() {
    let (_github, server) = sign_in_github::start();
    let mut browser = Browser::default();
    let (terminal, asked_here) = asked(&server, &mut browser);
    let mut other = Browser::default();
    let (others, asked_there) = asked(&server, &mut other);

    // A form on another site comes without the cookie, which is SameSite=Strict.
    for decision in ["allow", "deny"] {
        let page = asked_here.answer(&server, &mut Browser::default(), decision);
        assert_eq!(page.status, 403);
        is_confined(&page);
        assert_eq!(
            asked_here.answer(&server, &mut other, decision).status,
            403,
            "a foreign ticket"
        );
        assert_eq!(asked_there.answer(&server, &mut browser, decision).status, 403);
    }
    let mut changed = asked_here.ticket.clone();
    changed.replace_range(30..31, if &changed[30..31] == "A" { "B" } else { "A" });
    let kept = browser.kept().unwrap().split_once('=').unwrap().1.to_owned();
    for bad in ["", "x", "\u{0}", &changed, &asked_here.ticket[1..], &kept] {
        let forged = Asked { ticket: bad.to_owned(), ..asked_here.clone() };
        assert_eq!(forged.answer(&server, &mut browser, "allow").status, 403, "{bad}");
    }
    for bad in ["x", &kept[1..], &asked_here.ticket] {
        let mut forger = browser.clone();
        forger.keep(bad);
        assert_eq!(asked_here.answer(&server, &mut forger, "allow").status, 403, "{bad}");
    }
    terminal.is_told(&server, "authorization_pending");
    others.is_told(&server, "authorization_pending");
    assert_eq!(asked_here.answer(&server, &mut browser, "allow").status, 200);
    terminal.poll(&server).ok();
    assert_eq!(others.poll(&server).status, 400, "one answer is about one terminal");
}

#[test]
fn an_answer_counts_once() {
    let (github, server) = sign_in_github::start();
    let mut browser = Browser::default();
    let (terminal, asked) = asked(&server, &mut browser);
    let mut again = browser.clone();
    // Somebody else has typed the same code, and was asked, too.
    github.mood(|mood| mood.user = User { id: 2, login: "eve", ..ANN });
    let mut eve = Browser::default();
    let asked_eve = terminal.signed_in(&server, &mut eve, THERE);

    assert_eq!(asked.answer(&server, &mut browser, "deny").status, 200);
    for decision in ["allow", "deny"] {
        let page = asked.answer(&server, &mut again.clone(), decision);
        assert_eq!(page.status, 410, "replayed");
        is_confined(&page);
        assert_eq!(asked_eve.answer(&server, &mut eve.clone(), decision).status, 410, "too late");
    }
    terminal.is_told(&server, "access_denied");
    assert_eq!(asked.answer(&server, &mut again, "allow").status, 410);
    terminal.is_told(&server, "invalid_grant");
    let gone = format!("/auth/device?user_code={}", terminal.user_code);
    assert_eq!(eve.get(&server, &gone).status, 404);
}

#[test]
fn a_code_that_was_decided_while_somebody_signs_in_asks_nobody() {
    let (_github, server) = sign_in_github::start();
    let mut browser = Browser::default();
    let (terminal, asked) = asked(&server, &mut browser);
    let mut late = Browser::default();
    let back = late.go(&server, &format!("{THERE}?user_code={}", terminal.user_code));
    asked.answer(&server, &mut browser, "allow");
    let page = late.get(&server, &back);
    assert_eq!(page.status, 410);
    is_confined(&page);
    assert_eq!(late.kept(), None);
    terminal.poll(&server).ok();
}

#[test]
fn guessing_codes_is_throttled_and_who_knows_his_is_not() {
    let github = GitHub::start();
    let server = sign_in_github::setup(&github).variable("OCTOSTORE_FAILED_SIGN_INS", "4").start();
    let terminal = Terminal::begin(&server, &[]);
    let mut browser = Browser::default();
    let asked = terminal.signed_in(&server, &mut browser, THERE);
    assert_eq!(asked.answer(&server, &mut browser, "allow").status, 200);

    let mut guesser = Browser::default();
    for path in ["/auth/device?user_code=BBBB-BBBB", "/auth/device?user_code=%3Cb%3E"] {
        let page = guesser.get(&server, path);
        assert_eq!(page.status, 404);
        is_confined(&page);
    }
    let page = guesser.get(&server, &format!("{THERE}?user_code=BBBB-BBBB"));
    assert_eq!((page.status, page.header("location")), (404, None));
    is_oauth_error(
        &post(&server, "/auth/token", &[("grant_type", GRANT), ("device_code", "guessed")]),
        400,
        "invalid_grant",
    );
    // Even a right one says nothing now.
    let waiting = Terminal::begin(&server, &[]);
    for path in ["/auth/device?user_code=", THERE].map(|path| path.trim_end_matches("?user_code="))
    {
        let page = guesser.get(&server, &format!("{path}?user_code={}", waiting.user_code));
        assert_eq!(page.status, 429, "{path}");
        assert!(page.header("retry-after").is_some() && !page.text().contains(&waiting.user_code));
        is_confined(&page);
    }
    assert_eq!(guesser.post(&server, "/auth/device/confirm", &[("ticket", "x")]).status, 429);
    let guess = [("grant_type", GRANT), ("device_code", "guessed")];
    is_oauth_error(&post(&server, "/auth/token", &guess), 429, "temporarily_unavailable");
    waiting.is_told(&server, "authorization_pending");
    terminal.poll(&server).ok();
}

#[test]
fn what_comes_from_outside_is_text_and_nothing_else() {
    let (github, server) = sign_in_github::start();
    let markup = "<script>alert(1)</script><img src=x onerror='alert(2)'>\" autofocus x=\"&lt;";
    let escaped = "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=&#39;alert(2)&#39;&gt;\
                   &quot; autofocus x=&quot;&amp;lt;";
    github.mood(|mood| mood.user = User { login: "<i>ann</i>&'\"", ..ANN });
    let scope = "locks:write:<b>bold</b>'";
    let terminal = Terminal::begin(&server, &[("client_id", markup), ("scope", scope)]);
    let mut browser = Browser::default();
    let review = browser.get(&server, &format!("/auth/device?user_code={}", terminal.user_code));
    let asked = terminal.signed_in(&server, &mut browser, THERE);
    for page in [&review, &asked.page] {
        // Other than in the text that is checked here there is no src.
        let text = page.text();
        assert!(text.contains(&format!("<bdi>{escaped}</bdi>")), "{text}");
        assert!(text.contains("<code>&lt;b&gt;bold&lt;/b&gt;&#39;</code>"), "{text}");
        let mut rest = page.clone();
        rest.body = text.replace(escaped, "").into_bytes();
        is_confined(&rest);
        assert!(!text.contains("<b>bold") && !text.contains("<img"), "{text}");
    }
    assert!(asked.page.text().contains("<bdi>&lt;i&gt;ann&lt;/i&gt;&amp;&#39;&quot;</bdi>"));
    is_confined(&asked.answer(&server, &mut browser, "allow"));

    for typed in
        ["%3Cscript%3Ealert(1)%3C/script%3E", "%22%3E%3Cimg%20src=x%3E", "evil%0d%0a", "%ff"]
    {
        for path in ["/auth/device", THERE] {
            let page = browser.get(&server, &format!("{path}?user_code={typed}"));
            assert_eq!(page.status, 404);
            is_confined(&page);
            assert!(
                !page.text().contains("evil")
                    && !page.text().contains("alert(")
                    && !page.text().contains("<img")
            );
        }
    }
    is_confined(&browser.get(&server, "/auth/device"));
}

#[test]
fn nobody_fills_the_room_of_everybody() {
    let github = GitHub::start();
    let server = sign_in_github::setup(&github).flag("--trusted-proxies", "127.0.0.1").start();
    let mut connection = server.connect();
    let mut begin = |from: &str| {
        connection.send(&request("POST", "/auth/device/code", &[("x-forwarded-for", from)], b""));
        connection.read()
    };
    for n in 0..50 {
        begin(&format!("2001:db8::{n:x}")).ok();
    }
    let refused = begin("2001:db8::ffff");
    is_oauth_error(&refused, 429, "temporarily_unavailable");
    assert_eq!(refused.header("retry-after"), Some("60"));
    begin("2001:db8:0:1::1").ok();
    begin("198.51.100.7").ok();
}

#[test]
fn nothing_secret_is_in_the_log() {
    let github = GitHub::start();
    let setup: Setup = sign_in_github::setup(&github).variable("RUST_LOG", "trace");
    let server = setup.start();
    let mut secrets = Vec::new();
    for decision in ["allow", "deny"] {
        let mut browser = Browser::default();
        let (terminal, asked) = asked(&server, &mut browser);
        secrets.extend(browser.kept().map(|kept| kept.split_once('=').unwrap().1.to_owned()));
        asked.answer(&server, &mut Browser::default(), decision);
        asked.answer(&server, &mut browser, decision);
        let answer = terminal.poll(&server).json();
        secrets.extend(answer["access_token"].as_str().map(str::to_owned));
        terminal.is_told(&server, "invalid_grant");
        let gone = format!("/auth/device?user_code={}", terminal.user_code);
        assert_eq!(browser.get(&server, &gone).status, 404);
        secrets.extend([asked.ticket, terminal.device_code, terminal.user_code]);
    }
    assert_eq!(secrets.len(), 2 * 4 + 1);
    secrets.extend(github.secrets());
    let said = server.stop();
    assert!(said.err.contains("TRACE") || said.err.contains("DEBUG"), "it does log");
    for secret in secrets {
        assert!(!said.err.contains(&secret) && !said.out.contains(&secret), "{secret}");
    }
}
