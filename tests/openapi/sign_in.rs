//! What is answered on the ways to a token: in a browser, from a terminal, and for workloads.

use crate::{
    admin::KEY,
    caller::Caller,
    common::{
        Answer, Client, Issuer, PATIENCE, Server, Setup,
        browser::Browser,
        github::GitHub,
        jwt::Signer,
        request,
        terminal::{GRANT, Terminal, is_oauth_error, post},
        until,
    },
    exchange, sign_in_github, sign_in_openid,
};
use serde_json::{Value, json};
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// A way to sign in, and a provider that does as it is told.
struct Way<'a> {
    there: &'static str,
    server: Server,
    tell: Box<dyn Fn(Mood) + 'a>,
}

/// How a provider behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Refuses,
    /// It lets in somebody whom the settings do not.
    Stranger,
    /// It knows nothing of the code.
    Forgetful,
    Down,
}

/// Returns whether there was a provider of OpenID Connect.
pub fn provoke() -> bool {
    let github = GitHub::start();
    way(&with_github(&github));
    terminals(&github);
    nowhere();
    workloads();
    let Some(provider) = super::openid() else { return false };
    provider
        .order(&json!({ "person": {"sub": "s", "preferred_username": "ann", "groups": ["ops"]} }));
    let tell = |mood| {
        let groups = if mood == Mood::Stranger { json!([]) } else { json!(["ops"]) };
        let challenge =
            (mood == Mood::Forgetful).then_some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        provider.order(&json!({
            "person": {"sub": "s", "preferred_username": "ann", "groups": groups},
            "refuse": mood == Mood::Refuses,
            "challenge": challenge,
            "down": mood == Mood::Down,
        }));
    };
    let setup = sign_in_openid::setup(&provider, "allowed_groups = ['ops']");
    let server = setup.clone().variable("ADMIN_KEY", KEY).start();
    way(&Way { there: sign_in_openid::THERE, server, tell: Box::new(tell) });
    tell(Mood::Down);
    let server = setup.start();
    for there in [sign_in_openid::THERE, "/dashboard/sign-in/oidc/test"] {
        Browser::default().get(&server, there).refused(502, "provider_unavailable");
    }
    drop(server);
    tell(Mood::Well);
    too_many_failures(&setup, sign_in_openid::THERE);
    true
}

/// GitHub, where everybody but one may enter.
fn with_github(github: &GitHub) -> Way<'_> {
    const OK: &str = "200 OK\r\ncontent-type: application/json";
    let tell = |mood| {
        github.mood(|it| {
            it.user.id = if mood == Mood::Stranger { 666 } else { 583_231 };
            it.refuses = mood == Mood::Refuses;
            it.token_answer = match mood {
                Mood::Forgetful => Some((OK, r#"{"error":"bad_verification_code"}"#.to_owned())),
                Mood::Down => Some(("503 Service Unavailable", String::new())),
                Mood::Well | Mood::Refuses | Mood::Stranger => None,
            };
        });
    };
    let setup = sign_in_github::setup(github);
    let settings = setup.folder().join("octostore.toml");
    std::fs::write(&settings, "[github]\nallowed_user_ids = [583231]\n").unwrap();
    let setup = setup.flag("--settings", settings.to_str().unwrap()).variable("ADMIN_KEY", KEY);
    too_many_failures(&setup, sign_in_github::THERE);
    Way { there: sign_in_github::THERE, server: setup.start(), tell: Box::new(tell) }
}

/// Everything that can come of signing in this way, for a token and for a terminal.
fn way(way: &Way<'_>) {
    let Way { there, server, tell } = way;
    // A provider goes down only when the person was there.
    let come_back = |path: &str, mood: Mood| {
        tell(if mood == Mood::Down { Mood::Well } else { mood });
        let mut browser = Browser::default();
        let back = browser.go(server, path);
        tell(mood);
        browser.get(server, &back)
    };
    let sign_in = |mood| come_back(there, mood);
    let for_terminal = |mood| {
        let terminal = Terminal::begin(server, &[]);
        come_back(&format!("{there}?user_code={}", terminal.user_code), mood).status
    };
    let signed_in = sign_in(Mood::Well).ok();
    let dashboard = there.replace("/auth", "/dashboard/sign-in");
    assert_eq!(come_back(&dashboard, Mood::Well).header("location"), Some("/dashboard"));
    assert_eq!(for_terminal(Mood::Well), 200);
    for (mood, status, code) in [
        (Mood::Refuses, 401, "sign_in_denied"),
        (Mood::Forgetful, 401, "sign_in_failed"),
        (Mood::Stranger, 403, "sign_in_not_allowed"),
        (Mood::Down, 502, "provider_unavailable"),
    ] {
        sign_in(mood).refused(status, code);
        assert_eq!(for_terminal(mood), status, "{mood:?}");
        assert_eq!(come_back(&dashboard, mood).status, status, "{mood:?}");
    }
    tell(Mood::Well);
    let back = format!("{there}/callback?code=c&state=s");
    let mut stranger = Browser::default();
    stranger.get(server, &back).refused(401, "invalid_state");
    assert_eq!(stranger.get(server, &format!("{there}?user_code=BBBB-BBBB")).status, 404);
    too_late(server, there);
    disabled(server, &signed_in, || sign_in(Mood::Well));
}

/// The terminal is decided about while somebody else signs in for it.
fn too_late(server: &Server, there: &str) {
    let terminal = Terminal::begin(server, &[]);
    let (mut first, mut second) = (Browser::default(), Browser::default());
    let path = format!("{there}?user_code={}", terminal.user_code);
    let back = second.go(server, &path);
    let asked = terminal.signed_in(server, &mut first, there);
    assert_eq!(asked.answer(server, &mut first, "deny").status, 200);
    assert_eq!(second.get(server, &back).status, 410);
}

fn disabled(server: &Server, signed_in: &Value, sign_in: impl Fn() -> Answer) {
    let token = signed_in["token"].as_str().unwrap();
    let me = Client::new(&server.address, token).send("GET", "/auth/me", b"").ok();
    let mut keeper = Caller::new(&server.address, Some(KEY));
    let account = format!("/admin/accounts/{}", me["id"].as_str().unwrap());
    keeper.call(("POST", &format!("{account}/disable")), &[], "").ok();
    sign_in().refused(403, "account_disabled");
    keeper.call(("POST", &format!("{account}/enable")), &[], "").ok();
}

/// An address that has failed too often, for a token and for a terminal.
fn too_many_failures(setup: &Setup, there: &str) {
    let server = setup.clone().variable("OCTOSTORE_FAILED_SIGN_INS", "1").start();
    let mut browser = Browser::default();
    let back = format!("{there}/callback?code=c&state=s");
    until("it has failed too often", || (browser.get(&server, &back).status == 429).then_some(()));
    for there in [there, &there.replace("/auth", "/dashboard/sign-in")] {
        browser.get(&server, there).refused(429, "too_many_failures");
    }
    for page in [format!("{there}?user_code=BBBB-BBBB"), "/auth/device?user_code=BBBB".to_owned()] {
        assert_eq!(browser.get(&server, &page).status, 429);
    }
    assert_eq!(browser.post(&server, "/auth/device/confirm", &[("ticket", "x")]).status, 429);
    let guess = [("grant_type", GRANT), ("device_code", "x")];
    is_oauth_error(&post(&server, "/auth/token", &guess), 429, "temporarily_unavailable");
}

fn terminals(github: &GitHub) {
    let server = sign_in_github::setup(github).flag("--trusted-proxies", "127.0.0.1").start();
    let there = sign_in_github::THERE;
    let mut browser = Browser::default();
    assert_eq!(browser.get(&server, "/auth/device").status, 200);
    assert_eq!(browser.get(&server, "/auth/device?user_code=BBBB-BBBB").status, 404);
    assert_eq!(browser.post(&server, "/auth/device/confirm", &[("ticket", "x")]).status, 403);
    for (parameters, word) in
        [(("client_id", "a\nb"), "invalid_request"), (("scope", "x"), "invalid_scope")]
    {
        is_oauth_error(&post(&server, "/auth/device/code", &[parameters]), 400, word);
    }
    let terminal = Terminal::begin(&server, &[]);
    terminal.is_told(&server, "authorization_pending");
    terminal.is_told(&server, "slow_down");
    let asked = terminal.signed_in(&server, &mut browser, there);
    let mut again = browser.clone();
    assert_eq!(asked.answer(&server, &mut browser, "perhaps").status, 400);
    assert_eq!(asked.answer(&server, &mut browser, "allow").status, 200);
    assert_eq!(asked.answer(&server, &mut again, "allow").status, 410);
    terminal.poll(&server).ok();
    terminal.is_told(&server, "invalid_grant");
    let denied = Terminal::begin(&server, &[]);
    let mut browser = Browser::default();
    denied.signed_in(&server, &mut browser, there).answer(&server, &mut browser, "deny");
    denied.is_told(&server, "access_denied");
    no_more_room(&server);
}

/// As many terminals as may wait, of one address and of all together.
fn no_more_room(server: &Server) {
    let begin =
        |from: &str| request("POST", "/auth/device/code", &[("x-forwarded-for", from)], b"");
    // A batch goes out at once, because there are many.
    let all = |batch: Vec<Vec<u8>>| {
        let mut connection = server.connect();
        connection.send(&batch.concat());
        batch.iter().map(|_| connection.read()).collect::<Vec<Answer>>()
    };
    let answers = all(vec![begin("198.51.100.1"); 51]);
    is_oauth_error(answers.last().unwrap(), 429, "temporarily_unavailable");
    let mut batches = (0..=255).map(|batch| {
        let addresses = (0..200).map(|host| format!("10.0.{batch}.{host}"));
        all(addresses.map(|from| begin(&from)).collect())
    });
    let refused = batches.find_map(|answers| answers.into_iter().find(|one| one.status != 200));
    is_oauth_error(&refused.unwrap(), 503, "temporarily_unavailable");
}

/// No provider is configured.
fn nowhere() {
    let server = Setup::new().start();
    let mut browser = Browser::default();
    for there in [
        "/auth/github",
        "/auth/oidc/test",
        "/auth/device",
        "/dashboard/sign-in/github",
        "/dashboard/sign-in/oidc/test",
    ] {
        browser.get(&server, there).refused(404, "sign_in_not_configured");
    }
    for back in ["/auth/github/callback", "/auth/oidc/test/callback"] {
        browser.get(&server, back).refused(404, "sign_in_not_configured");
    }
    for path in ["/auth/device/code", "/auth/device/confirm"] {
        browser.post(&server, path, &[]).refused(404, "sign_in_not_configured");
    }
}

fn workloads() {
    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    issuer.fail();
    let server = exchange::serve(Setup::new(), &exchange::github(&issuer));
    let token = signer.token(&issuer.claims(&exchange::job(&json!({}))));
    exchange::trade(&server, &token, &[]).refused(503, "temporarily_unavailable");
    issuer.rotate(&[&signer]);
    exchange::trade(&server, &token, &[]).ok();
    exchange::trade(&server, &token, &[("scope", "config:read")]).refused(400, "invalid_scope");
    let other = exchange::post_form(&server, &[("grant_type", "password")]);
    other.refused(400, "unsupported_grant_type");
    exchange::post_form(&server, &[]).refused(400, "invalid_request");
}

/// A terminal that nobody lets in.
pub struct Forgotten(Server, Terminal);

impl Forgotten {
    /// Begins to wait, for the least that a terminal may.
    pub fn begin() -> Self {
        let github = GitHub::start();
        let server = sign_in_github::setup(&github).flag("--device-code-seconds", "60").start();
        let terminal = Terminal::begin(&server, &[]);
        Self(server, terminal)
    }

    /// Waits until it is told that it took too long: a minute after it began.
    pub fn is_told(&self) {
        let Self(server, terminal) = self;
        let begun = Instant::now();
        while terminal.poll(server).json()["error"] != "expired_token" {
            assert!(begun.elapsed() < 3 * PATIENCE, "waited in vain for the end of a code");
            sleep(Duration::from_millis(500));
        }
    }
}
