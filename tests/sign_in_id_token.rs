//! ID tokens: a forged, stale or borrowed one signs nobody in, and a provider may change its keys.

use crate::{
    common::{
        Server, at_once,
        browser::{Browser, parameter},
        provider::Provider,
        until,
    },
    sign_in_openid::{CLIENT_SECRET, THERE, setup, sign_in},
};
use serde_json::{Value, json};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Seconds since 1970, so many of them off.
fn seconds(off: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now).unwrap() + off
}

fn start(provider: &Provider) -> Server {
    setup(provider, "").start()
}

/// Signs in with an ID token that was tampered with in this way, and checks that nobody is let in,
/// and for which reason.
fn refused(provider: &Provider, server: &Server, what: &str, tampered: &Value, why: &str) {
    let before = server.err().len();
    provider.order(&json!({ "id_token": tampered }));
    let answer = sign_in(server);
    assert_eq!(answer.status, 401, "{what}: {}", answer.text());
    answer.refused(401, "sign_in_failed");
    until("the log says why", || server.err()[before..].contains('\n').then_some(()));
    let said = server.err().split_off(before);
    assert!(said.contains(why), "{what}: {said}");
}

#[test]
fn a_token_that_does_not_fit_signs_nobody_in() {
    const TIME: &str = "it is too old, or from the future";
    const NONCE: &str = "it was made for another sign-in";
    const AUDIENCE: &str = "it is for another client";
    const ISSUER: &str = "it is of another issuer";
    const SUBJECT: &str = "its subject is empty, or longer";
    const UNREADABLE: &str = "the answer of the token endpoint";
    let Some(provider) = Provider::start() else { return };
    let server = start(&provider);
    let slash = format!("{}/", provider.issuer);
    for (what, claims, why) in [
        ("expired", json!({ "iat": seconds(-600), "exp": seconds(-90) }), TIME),
        ("expired at the beginning of time", json!({ "exp": 0 }), TIME),
        ("without an end", json!({ "exp": null }), UNREADABLE),
        ("from the future", json!({ "iat": seconds(120), "exp": seconds(3600) }), TIME),
        ("not yet", json!({ "nbf": seconds(120) }), TIME),
        ("some day", json!({ "nbf": "tomorrow" }), TIME),
        ("without a beginning", json!({ "iat": null }), UNREADABLE),
        ("for another sign-in", json!({ "nonce": "another" }), NONCE),
        ("for any sign-in", json!({ "nonce": null }), NONCE),
        ("for another client", json!({ "aud": "another" }), AUDIENCE),
        ("for others too", json!({ "aud": ["octostore", "another"] }), AUDIENCE),
        ("for nobody", json!({ "aud": [] }), AUDIENCE),
        ("for anybody", json!({ "aud": null }), AUDIENCE),
        ("asked for by another client", json!({ "azp": "another" }), AUDIENCE),
        ("of another issuer", json!({ "iss": "https://another.example" }), ISSUER),
        ("of an issuer that differs in a slash", json!({ "iss": slash }), ISSUER),
        ("of no issuer", json!({ "iss": null }), UNREADABLE),
        ("about nobody", json!({ "sub": null }), UNREADABLE),
        ("about an empty subject", json!({ "sub": "" }), SUBJECT),
        ("about a subject without end", json!({ "sub": "x".repeat(256) }), SUBJECT),
        ("about a number", json!({ "sub": 7 }), UNREADABLE),
    ] {
        refused(&provider, &server, what, &json!({ "claims": claims }), why);
    }
    provider.order(&json!({ "id_token": { "claims": { "sub": "x".repeat(255) } } }));
    sign_in(&server).ok();
}

#[test]
fn a_token_that_the_provider_has_not_signed_signs_nobody_in() {
    const UNSIGNED: &str = "none of the provider's keys has signed it";
    let Some(provider) = Provider::start() else { return };
    let server = start(&provider);
    sign_in(&server).ok();
    let hmac = |alg: &str, key: &str| json!({ "header": { "alg": alg }, "key": key });
    for (what, forged, why) in [
        ("by a stranger, under the name of a key", json!({ "key": "stranger" }), UNSIGNED),
        ("by a stranger", json!({ "key": "stranger", "header": { "kid": "x" } }), UNSIGNED),
        ("by nobody", json!({ "key": "none" }), UNSIGNED),
        ("by None", json!({ "key": "none", "header": { "alg": "None" } }), "token endpoint"),
        ("by nobody, as RS256", json!({ "key": "none", "header": { "alg": "RS256" } }), UNSIGNED),
        ("with the secret of the client", hmac("HS256", CLIENT_SECRET), UNSIGNED),
        ("with the longest HMAC", hmac("HS512", &CLIENT_SECRET.repeat(4)), UNSIGNED),
        ("with what everybody knows", hmac("HS256", &"octostore".repeat(4)), UNSIGNED),
        ("as an access token", json!({ "header": { "typ": "at+jwt" } }), "of a kind"),
    ] {
        refused(&provider, &server, what, &forged, why);
    }
    provider.order(&json!({ "id_token": null }));
    sign_in(&server).ok();
}

#[test]
fn clocks_may_be_a_minute_apart() {
    let Some(provider) = Provider::start() else { return };
    let server = start(&provider);
    for claims in [
        json!({ "iat": seconds(-600), "exp": seconds(-20) }),
        json!({ "iat": seconds(45), "nbf": seconds(45), "exp": seconds(600) }),
    ] {
        provider.order(&json!({ "id_token": { "claims": claims } }));
        sign_in(&server).ok();
    }
}

#[test]
fn a_provider_may_change_its_keys() {
    let Some(provider) = Provider::start() else { return };
    let server = start(&provider);
    sign_in(&server).ok();
    sign_in(&server).ok();
    assert_eq!(provider.asked("/.well-known/openid-configuration"), 1);
    assert_eq!(provider.asked("/jwks"), 1, "what is known is not asked for");
    provider.order(&json!({ "rotate": "RS256" }));
    sign_in(&server).ok();
    assert_eq!(provider.asked("/jwks"), 2);
    // Whoever has the old key is a stranger now.
    provider.order(&json!({ "id_token": { "key": "stranger" } }));
    sign_in(&server).refused(401, "sign_in_failed");
    assert_eq!(provider.asked("/jwks"), 2, "a bad signature under a known name asks nobody");
}

#[test]
fn a_provider_that_does_not_name_its_key_may_change_it_too() {
    let Some(provider) = Provider::start() else { return };
    let server = start(&provider);
    let nameless = json!({ "header": { "kid": null } });
    provider.order(&json!({ "id_token": nameless }));
    sign_in(&server).ok();
    provider.order(&json!({ "rotate": "RS256" }));
    sign_in(&server).ok();
    assert_eq!(provider.asked("/jwks"), 2);
    // A stranger has no better luck for that, nor asks without end: five times, and then every ten seconds.
    let begun = Instant::now();
    provider.order(&json!({ "id_token": { "header": { "kid": null }, "key": "stranger" } }));
    for _ in 0..9 {
        sign_in(&server).refused(401, "sign_in_failed");
    }
    let (asked, later) = (provider.asked("/jwks"), begun.elapsed().as_secs() as usize / 10);
    assert!((2..=5 + later).contains(&asked), "asked {asked} times");
}

#[test]
fn a_crowd_asks_once_for_a_new_key() {
    let Some(provider) = Provider::start() else { return };
    let server = start(&provider);
    sign_in(&server).ok();
    provider.order(&json!({ "rotate": "RS256" }));
    at_once(8, |_| sign_in(&server).ok());
    assert_eq!(provider.asked("/jwks"), 2);
}

#[test]
fn a_provider_may_sign_in_any_way_that_counts() {
    let Some(provider) = Provider::start() else { return };
    for algorithm in ["PS256", "ES256", "ES384", "EdDSA"] {
        provider.order(&json!({ "rotate": algorithm }));
        let answer = sign_in(&start(&provider));
        assert_eq!(answer.status, 200, "{algorithm}: {}", answer.text());
    }
}

#[test]
fn unknown_keys_are_not_asked_for_without_end() {
    let Some(provider) = Provider::start() else { return };
    let server = start(&provider);
    sign_in(&server).ok();
    let unknown = json!({ "key": "stranger", "header": { "kid": "unknown" } });
    provider.order(&json!({ "id_token": unknown }));
    for _ in 0..3 {
        at_once(4, |_| sign_in(&server).refused(401, "sign_in_failed"));
    }
    let asked = provider.asked("/jwks");
    assert!((2..=5).contains(&asked), "asked {asked} times");
    // Known keys go on being good.
    provider.order(&json!({ "id_token": null }));
    sign_in(&server).ok();
}

#[test]
fn nothing_secret_is_in_the_log() {
    let Some(provider) = Provider::start() else { return };
    let server = setup(&provider, "").variable("RUST_LOG", "trace").start();
    let mut secrets = vec![CLIENT_SECRET.to_owned(), "4711".to_owned()];
    let mut sign_in = |order: Value| {
        provider.order(&order);
        let mut browser = Browser::default();
        let there = browser.get(&server, THERE);
        let location = there.header("location").unwrap();
        secrets.extend(["state", "nonce"].map(|name| parameter(location, name).unwrap()));
        secrets.extend(browser.kept().map(|kept| kept.split_once('=').unwrap().1.to_owned()));
        let back = browser.follow(location);
        secrets.extend(parameter(&back, "code"));
        let answer = browser.get(&server, &back);
        if answer.status == 200 {
            secrets.push(answer.ok()["token"].as_str().unwrap().to_owned());
        }
        answer.status
    };
    assert_eq!(sign_in(json!({ "thin": true })), 200);
    assert_eq!(sign_in(json!({ "id_token": { "key": "stranger" } })), 401);
    assert_eq!(sign_in(json!({ "id_token": { "claims": { "nonce": "x" } } })), 401);
    assert_eq!(sign_in(json!({ "id_token": null, "userinfo": { "sub": "x" } })), 401);
    assert_eq!(sign_in(json!({ "userinfo": null, "challenge": "x" })), 401);
    secrets.extend(provider.secrets());
    let said = server.stop();
    assert!(said.err.contains("TRACE") || said.err.contains("DEBUG"), "it does log");
    for secret in secrets {
        assert!(!said.err.contains(&secret) && !said.out.contains(&secret), "{secret}");
    }
}
