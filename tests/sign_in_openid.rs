//! Signing in with an OpenID Connect provider, a certified one: the way there and back, who is
//! let in, and under which name.

use crate::common::{
    Answer, Client, Server, Setup,
    browser::{BACK, BACK_OVER_TLS, Browser, parameter, with},
    provider::Provider,
};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt};

pub const THERE: &str = "/auth/oidc/test";
const BACK_HERE: &str = "/auth/oidc/test/callback";
pub const CLIENT_SECRET: &str = "client-secret: 4711 & more";

/// A server whose settings file has the provider as `test`, with these further lines.
pub fn setup(provider: &Provider, more: &str) -> Setup {
    let back = format!("{BACK}{BACK_HERE}");
    setup_of(&section("test", &provider.issuer, &back, &format!("{SECRET_LINE}\n{more}")))
}

const SECRET_LINE: &str = "client_id = 'octostore'\nclient_secret = 'client-secret: 4711 & more'";

fn section(name: &str, issuer: &str, back: &str, more: &str) -> String {
    format!("[[oidc]]\nname = '{name}'\nissuer = '{issuer}'\nredirect_uri = '{back}'\n{more}\n")
}

fn setup_of(settings: &str) -> Setup {
    let setup = Setup::bare();
    let file = setup.folder().join("octostore.toml");
    fs::write(&file, settings).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    setup.flag("--settings", file.to_str().unwrap()).variable("OCTOSTORE_FAILED_SIGN_INS", "1000")
}

pub fn sign_in(server: &Server) -> Answer {
    Browser::default().sign_in(server, THERE)
}

fn me(server: &Server, signed_in: &Answer) -> Value {
    let token = signed_in.ok()["token"].as_str().unwrap().to_owned();
    Client::new(&server.address, &token).send("GET", "/auth/me", b"").ok()
}

#[test]
fn somebody_who_signs_in_gets_a_token_that_works() {
    let Some(provider) = Provider::start() else { return };
    let server = setup(&provider, "").start();
    provider.order(&json!({ "person": {
        "sub": "subject-1", "preferred_username": "ann", "picture": "https://a.example/ann.png",
    }}));
    let mut browser = Browser::default();
    let there = browser.get(&server, THERE);
    assert_eq!(there.status, 302);
    let location = there.header("location").unwrap();
    assert!(location.starts_with(&format!("{}/auth?", provider.issuer)), "{location}");
    assert_eq!(parameter(location, "scope").as_deref(), Some("openid profile email"));
    assert_eq!(parameter(location, "code_challenge_method").as_deref(), Some("S256"));
    for secret in ["state", "nonce"] {
        assert!(parameter(location, secret).unwrap().len() >= 43, "256 bits of {secret}");
    }
    let back = browser.follow(location);
    let signed_in = browser.get(&server, &back);
    let body = signed_in.ok();
    assert_eq!(body["user"], json!({ "login": "ann", "avatar_url": "https://a.example/ann.png" }));
    let me = me(&server, &signed_in);
    assert_eq!((&me["name"], &me["origin"]), (&"ann".into(), &"openid".into()));
    assert_eq!(me["token"]["name"], "signed in with oidc/test");
    assert_eq!(browser.kept(), None);
    browser.get(&server, &back).refused(401, "invalid_state");
}

#[test]
fn an_account_goes_by_issuer_and_subject() {
    let Some(provider) = Provider::start() else { return };
    let Some(other) = Provider::start() else { return };
    let back = format!("{BACK}{BACK_HERE}");
    let second = section("second", &other.issuer, &back, SECRET_LINE);
    let first = section("test", &provider.issuer, &back, SECRET_LINE);
    let server = setup_of(&format!("{first}{second}")).start();
    let ann = me(&server, &sign_in(&server));
    provider.order(&json!({ "person": { "sub": "subject-1", "preferred_username": "ann-2" }}));
    let renamed = me(&server, &sign_in(&server));
    assert_eq!((&renamed["id"], &renamed["name"]), (&ann["id"], &"ann-2".into()));
    provider.order(&json!({ "person": { "sub": "subject-2", "preferred_username": "ann" }}));
    let namesake = me(&server, &sign_in(&server));
    assert_ne!(namesake["id"], ann["id"]);
    let elsewhere = me(&server, &cross(&server, "/auth/oidc/second"));
    assert_ne!(elsewhere["id"], ann["id"], "the same subject of another issuer");
}

/// Signs in at a provider that sends everybody back to the path of another.
fn cross(server: &Server, there: &str) -> Answer {
    let mut browser = Browser::default();
    let back = browser.go(server, there);
    let (_, query) = back.split_once('?').unwrap();
    browser.get(server, &format!("{there}/callback?{query}"))
}

#[test]
fn one_provider_cannot_answer_for_another() {
    let Some(provider) = Provider::start() else { return };
    let Some(other) = Provider::start() else { return };
    let back = format!("{BACK}{BACK_HERE}");
    let second = section("second", &other.issuer, &back, SECRET_LINE);
    let first = section("test", &provider.issuer, &back, SECRET_LINE);
    let server = setup_of(&format!("{first}{second}")).start();
    // Begun at the second, which sends the browser to where the first would.
    let mut browser = Browser::default();
    let back = browser.go(&server, "/auth/oidc/second");
    browser.get(&server, &back).refused(401, "invalid_state");
    assert_eq!(provider.asked("/token"), 0, "the code of one is not shown to the other");

    // RFC 9207: the provider says who it is, and has said that it does.
    for wrong in [Some(other.issuer.as_str()), Some("x"), Some(""), None] {
        let mut browser = Browser::default();
        let back = browser.go(&server, THERE);
        assert_eq!(parameter(&back, "iss").as_ref(), Some(&provider.issuer));
        browser.get(&server, &with(&back, "iss", wrong)).refused(401, "sign_in_failed");
    }
    let mut browser = Browser::default();
    let twice = format!("{}&iss=x", browser.go(&server, THERE));
    browser.get(&server, &twice).refused(401, "sign_in_failed");
    assert_eq!(provider.asked("/token"), 0);
    sign_in(&server).ok();
}

#[test]
fn a_code_is_worth_nothing_without_its_verifier() {
    let Some(provider) = Provider::start() else { return };
    let server = setup(&provider, "").start();
    provider.order(&json!({ "challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" }));
    sign_in(&server).refused(401, "sign_in_failed");
    provider.order(&json!({ "challenge": null }));
    sign_in(&server).ok();
}

#[test]
fn a_code_is_worth_nothing_twice() {
    let Some(provider) = Provider::start() else { return };
    let server = setup(&provider, "").start();
    let mut browser = Browser::default();
    let back = browser.go(&server, THERE);
    browser.get(&server, &back).ok();
    let code = parameter(&back, "code").unwrap();
    let mut thief = Browser::default();
    let own = thief.go(&server, THERE);
    thief.get(&server, &with(&own, "code", Some(&code))).refused(401, "sign_in_failed");
}

#[test]
fn whoever_refuses_is_not_signed_in() {
    let Some(provider) = Provider::start() else { return };
    let server = setup(&provider, "").start();
    provider.order(&json!({ "refuse": true }));
    let answer = sign_in(&server);
    answer.refused(401, "sign_in_denied");
    assert!(!answer.text().contains("would"), "{}", answer.text());
    assert_eq!(provider.asked("/token"), 0);
}

#[test]
fn what_the_id_token_lacks_is_asked_for() {
    let Some(provider) = Provider::start() else { return };
    let server = setup(&provider, "allowed_groups = ['ops']").start();
    let person = json!({ "sub": "subject-1", "preferred_username": "ann", "groups": ["ops"] });
    provider.order(&json!({ "person": person, "thin": true }));
    assert_eq!(sign_in(&server).ok()["user"]["login"], "ann");
    assert_eq!(provider.asked("/me"), 1);
    // It must be about the same person.
    let other = json!({ "sub": "subject-2", "preferred_username": "root", "groups": ["ops"] });
    provider.order(&json!({ "userinfo": other }));
    sign_in(&server).refused(401, "sign_in_failed");
    // With everything in the ID token, nobody asks.
    provider.order(&json!({ "thin": false }));
    sign_in(&server).ok();
    assert_eq!(provider.asked("/me"), 2);
}

#[test]
fn the_account_is_called_as_the_settings_say() {
    let Some(provider) = Provider::start() else { return };
    let login = |server: &Server, person: Value| {
        provider.order(&json!({ "person": person }));
        sign_in(server)
    };
    let server = setup(&provider, "").start();
    let person = json!({ "sub": "s", "email": "ann@example.com" });
    assert_eq!(login(&server, person).ok()["user"]["login"], "ann@example.com");
    assert_eq!(login(&server, json!({ "sub": "s" })).ok()["user"]["login"], "s");
    let odd = json!({ "sub": "s", "preferred_username": "a\r\nx-evil: 1" });
    assert_eq!(login(&server, odd).ok()["user"]["login"], "s");

    let server = setup(&provider, "name_claim = 'name'").start();
    let person = json!({ "sub": "s", "preferred_username": "ann", "name": "Ann O’Nym" });
    assert_eq!(login(&server, person).ok()["user"]["login"], "Ann O’Nym");
    let nameless = json!({ "sub": "s", "preferred_username": "ann" });
    login(&server, nameless).refused(401, "sign_in_failed");
}

#[test]
fn only_those_enter_whom_the_settings_name() {
    let Some(provider) = Provider::start() else { return };
    let enters = |server: &Server, more: Value| {
        let mut person = json!({ "sub": "s", "preferred_username": "ann" });
        person.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        provider.order(&json!({ "person": person }));
        let answer = sign_in(server);
        if answer.status != 200 {
            answer.refused(403, "sign_in_not_allowed");
        }
        answer.status == 200
    };
    let server = setup(&provider, "allowed_groups = ['ops', 'dev']").start();
    assert!(enters(&server, json!({ "groups": ["x", "dev"] })));
    assert!(!enters(&server, json!({ "groups": ["x"] })) && !enters(&server, json!({})));

    let server = setup(&provider, "allowed_domains = ['example.com']").start();
    let address = |email, verified| json!({ "email": email, "email_verified": verified });
    assert!(enters(&server, address("a@example.com", true)));
    assert!(!enters(&server, address("a@example.com", false)));
    assert!(!enters(&server, address("a@example.com.evil.example", true)));
    assert!(!enters(&server, json!({ "email": "a@example.com" })));
}

#[test]
fn clients_of_every_kind_are_known_to_the_provider() {
    let Some(provider) = Provider::start() else { return };
    let back = format!("{BACK_OVER_TLS}{BACK_HERE}");
    let public = "client_id = 'public'";
    let server = setup_of(&section("test", &provider.issuer, &back, public)).start();
    let mut browser = Browser::default();
    let there = browser.go(&server, THERE);
    assert!(browser.kept().unwrap().starts_with("__Host-octostore-sign-in="));
    browser.get(&server, &there).ok();

    // The secret in a file beside the settings, and in the body of the request.
    let posting = "client_id = 'posting'\nclient_secret_file = 'secret'";
    let setup = setup_of(&section("test", &provider.issuer, &back, posting));
    let file = setup.folder().join("secret");
    fs::write(&file, "posted-secret-4712\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let methods = json!({ "token_endpoint_auth_methods_supported": ["client_secret_post"] });
    provider.order(&json!({ "metadata": methods }));
    sign_in(&setup.start()).ok();

    let wrong = "client_id = 'octostore'\nclient_secret = 'wrong'";
    provider.order(&json!({ "metadata": {} }));
    let server = setup_of(&section("test", &provider.issuer, &back, wrong)).start();
    sign_in(&server).refused(401, "sign_in_failed");
}

#[test]
fn a_provider_that_is_not_there_or_not_itself_is_unavailable() {
    let Some(provider) = Provider::start() else { return };
    let begin = |server: &Server| {
        Browser::default().get(server, THERE).refused(502, "provider_unavailable");
    };
    for (metadata, says) in [
        (json!({ "issuer": format!("{}/", provider.issuer) }), "another issuer"),
        (json!({ "authorization_endpoint": "http://evil.example/" }), "not https"),
        (json!({ "token_endpoint": "http://evil.example/" }), "not https"),
        (json!({ "jwks_uri": "http://evil.example/" }), "not asked"),
        (json!({ "jwks_uri": 7 }), "not as OpenID Connect has them"),
        (json!({ "token_endpoint": null }), "no token endpoint"),
    ] {
        provider.order(&json!({ "metadata": metadata }));
        let server = setup(&provider, "").start();
        begin(&server);
        let said = server.stop().err;
        assert!(said.contains(says), "{metadata}: {said}");
    }
    provider.order(&json!({ "metadata": {}, "down": true }));
    let server = setup(&provider, "").start();
    for _ in 0..10 {
        begin(&server);
    }
    let asked = provider.asked("/.well-known/openid-configuration");
    assert_eq!(asked, 6 + 5, "it is asked five times at once, and no more");

    // One that goes down while somebody is there.
    provider.order(&json!({ "down": false }));
    let server = setup(&provider, "").start();
    let mut browser = Browser::default();
    let back = browser.go(&server, THERE);
    provider.order(&json!({ "down": true }));
    browser.get(&server, &back).refused(502, "provider_unavailable");
    provider.order(&json!({ "down": false }));
    sign_in(&server).ok();
}

#[test]
fn a_provider_without_a_name_here_is_not_configured() {
    let Some(provider) = Provider::start() else { return };
    let server = setup(&provider, "").start();
    let mut browser = Browser::default();
    for path in [
        "/auth/github",
        "/auth/github/callback?code=a&state=b",
        "/auth/oidc/other",
        "/auth/oidc/other/callback?code=a&state=b",
        "/auth/oidc/TEST",
        "/auth/oidc/%ff",
        "/auth/oidc/test%2Fcallback",
        "/auth/oidc/..%2f..%2fetc",
    ] {
        browser.get(&server, path).refused(404, "sign_in_not_configured");
    }
    assert_eq!(browser.get(&server, "/auth/oidc/%74est").status, 302, "decoded once");
}
