//! Tokens and requests that are refused: whatever is wrong with them, and in the same words.

use crate::{
    admin::{act, setup},
    common::{
        Answer, Client, Issuer, Server, Setup,
        jwt::{Signer, encode},
        now, request,
    },
    exchange::{GRANT, JWT, github, job, post_form, rule, serve, trade},
};
use serde_json::{Value, json};
use std::{collections::HashSet, fs, time::Instant};

/// A server that does not mind failures.
fn patient() -> Setup {
    Setup::new().flag("--failed-sign-ins", "100000")
}

/// What an answer says, but for the id of the request.
fn said(answer: &Answer) -> String {
    let mut body = answer.refused(400, "invalid_request");
    body["request_id"] = Value::Null;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    body.to_string()
}

#[test]
fn a_token_is_refused_in_the_same_words_whatever_is_wrong_with_it() {
    let signer = Signer::new("RS256", "k");
    let issuer = Issuer::start(&[&signer]);
    let server = serve(patient(), &github(&issuer));
    let good = issuer.claims(&job(&json!({})));
    trade(&server, &signer.token(&good), &[]).ok();
    let mut words = HashSet::new();
    let mut refuse = |what: &str, token: &str| {
        words.insert(said(&trade(&server, token, &[])));
        assert_eq!(words.len(), 1, "{what}: {words:?}");
    };
    for (claim, wrong) in [
        ("iss", json!("https://evil.example")),
        ("iss", json!(format!("{}/", issuer.url()))),
        ("iss", json!(null)),
        ("aud", json!("other")),
        ("aud", json!(["other", "another"])),
        ("aud", json!(null)),
        ("exp", json!(now() - 61)),
        ("exp", json!(null)),
        ("exp", json!((now() + 300).to_string())),
        ("nbf", json!(now() + 120)),
        ("iat", json!(now() + 120)),
        ("repository_id", json!("75")),
        ("repository_id", json!(null)),
        ("environment", json!("test")),
    ] {
        let mut claims = good.clone();
        claims[claim] = wrong.clone();
        refuse(&format!("{claim} {wrong}"), &signer.token(&claims));
        claims.as_object_mut().unwrap().remove(claim);
        if claim != "nbf" && claim != "iat" {
            refuse(&format!("no {claim}"), &signer.token(&claims));
        }
    }
    for (what, header) in [
        ("another algorithm", json!({ "alg": "PS256", "kid": "k" })),
        ("a key that is not there", json!({ "alg": "RS256", "kid": "other" })),
        ("a path for a key", json!({ "alg": "RS256", "kid": "../../../../etc/passwd" })),
        ("critical headers", json!({ "alg": "RS256", "kid": "k", "crit": ["exp"] })),
        ("another type", json!({ "alg": "RS256", "kid": "k", "typ": "logout+jwt" })),
    ] {
        refuse(what, &signer.token_with(&header, &good));
    }
    let thief = Signer::new("ES256", "k");
    refuse("another's key", &thief.token(&good));
    let brought = json!({ "alg": "ES256", "jwk": thief.jwk() });
    refuse("a key of its own", &thief.token_with(&brought, &good));

    for none in ["none", "None", "NONE", "nOnE", "nonE"] {
        let unsigned = encode(&json!({ "alg": none, "typ": "JWT" }), &good);
        refuse(none, &format!("{unsigned}."));
        refuse(none, &unsigned);
    }
    for secret in [signer.jwk()["n"].as_str().unwrap(), "", "secret"] {
        let confused = encode(&json!({ "alg": "HS256", "kid": "k" }), &good);
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        let algorithm = jsonwebtoken::Algorithm::HS256;
        let signature = jsonwebtoken::crypto::sign(confused.as_bytes(), &key, algorithm).unwrap();
        refuse("HMAC", &format!("{confused}.{signature}"));
    }

    let token = signer.token(&good);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let mut other = good.clone();
    other["sub"] = json!("somebody else");
    let other = encode(&json!({}), &other);
    let other = other.split_once('.').unwrap().1;
    refuse("other claims", &format!("{header}.{other}.{signature}"));
    for (what, text) in [
        ("no signature", format!("{signed}.")),
        ("half a signature", format!("{signed}.{}", &signature[..signature.len() / 2])),
        ("two parts", signed.to_owned()),
        ("four parts", format!("{token}.{signature}")),
        ("five parts", format!("{header}.{claims}.{signature}.{claims}.{signature}")),
        ("padding", format!("{token}=")),
        ("no JSON", "bm9wZQ.bm9wZQ.bm9wZQ".to_owned()),
        ("no base64", "a b.c d.e f".to_owned()),
        ("nothing but dots", "..".to_owned()),
        ("control characters", "\0\r\n.\u{7f}.\u{1f980}".to_owned()),
        ("too long a token", format!("{header}.{}.{signature}", "A".repeat(17_000))),
    ] {
        refuse(what, &text);
    }
    trade(&server, &token, &[]).ok();
}

#[test]
fn tokens_of_one_algorithm_are_not_taken_for_those_of_another() {
    let (rsa, ec) = (Signer::new("RS256", "rsa"), Signer::new("ES256", "ec"));
    let issuer = Issuer::start(&[&rsa, &ec]);
    let claims = issuer.claims(&job(&json!({})));
    let server = serve(patient(), &github(&issuer));
    trade(&server, &rsa.token(&claims), &[]).ok();
    trade(&server, &ec.token(&claims), &[]).ok();
    for (header, signer) in [
        (json!({ "alg": "RS256", "kid": "ec" }), &rsa),
        (json!({ "alg": "ES256", "kid": "rsa" }), &ec),
    ] {
        said(&trade(&server, &signer.token_with(&header, &claims), &[]));
    }
    let server = serve(patient(), &format!("{}algorithms = [\"ES256\"]\n", github(&issuer)));
    said(&trade(&server, &rsa.token(&claims), &[]));
    trade(&server, &ec.token(&claims), &[]).ok();
}

#[test]
fn keys_that_nobody_has_do_not_make_us_a_nuisance_to_the_issuer() {
    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    let server = serve(patient(), &github(&issuer));
    let claims = issuer.claims(&job(&json!({})));
    let begun = Instant::now();
    for number in 0..200 {
        let header = json!({ "alg": "ES256", "kid": format!("kid-{number}") });
        said(&trade(&server, &signer.token_with(&header, &claims), &[]));
    }
    // Five at once, and one every ten seconds.
    let most = 6 + usize::try_from(begun.elapsed().as_secs() / 10).unwrap();
    assert!((1..=most).contains(&issuer.asked()), "{}", issuer.asked());
    trade(&server, &signer.token(&claims), &[]).ok();
}

#[test]
fn who_fails_too_often_is_told_so_and_who_has_a_token_is_not() {
    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    let server = serve(Setup::new().flag("--failed-sign-ins", "3"), &github(&issuer));
    for _ in 0..3 {
        said(&trade(&server, "no.token.atall", &[]));
    }
    let answer = trade(&server, "no.token.atall", &[]);
    answer.refused(429, "temporarily_unavailable");
    assert!(answer.header("retry-after").is_some());
    trade(&server, &signer.token(&issuer.claims(&job(&json!({})))), &[]).ok();
}

#[test]
fn a_token_that_is_accepted_once_and_bought_nothing_may_be_shown_again() {
    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    let server = serve(setup(), &format!("{}single_use = true\n", github(&issuer)));
    let token = |id: &str| signer.token(&issuer.claims(&job(&json!({ "jti": id }))));
    trade(&server, &token("one"), &[]).ok();
    act(&server, "ci", "disable");
    let refused = token("two");
    trade(&server, &refused, &[]).refused(400, "invalid_request");
    act(&server, "ci", "enable");
    trade(&server, &refused, &[]).ok();
    trade(&server, &refused, &[]).refused(400, "invalid_request");
}

/// Answers to requests with a good token and something else wrong.
fn asked(
    change: impl Fn(&mut Vec<(&'static str, String)>),
    server: &Server,
    token: &str,
) -> Answer {
    let mut parameters = vec![
        ("grant_type", GRANT.to_owned()),
        ("subject_token", token.to_owned()),
        ("subject_token_type", JWT.to_owned()),
    ];
    change(&mut parameters);
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| (*name, &**value)).collect();
    post_form(server, &parameters)
}

#[test]
fn a_request_is_refused_as_the_rfcs_say() {
    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    let server = serve(Setup::new(), &github(&issuer));
    let token = signer.token(&issuer.claims(&job(&json!({}))));
    for missing in ["grant_type", "subject_token", "subject_token_type"] {
        let gone = asked(|all| all.retain(|(name, _)| *name != missing), &server, &token);
        let empty = asked(
            |all| all.iter_mut().filter(|(name, _)| *name == missing).for_each(|(_, v)| v.clear()),
            &server,
            &token,
        );
        for answer in [gone, empty] {
            let body = answer.refused(400, "invalid_request");
            assert!(body["error_description"].as_str().unwrap().contains(missing), "{body}");
            assert_eq!(body["error"], "invalid_request");
        }
    }
    for (name, value, word) in [
        ("subject_token_type", "urn:ietf:params:oauth:token-type:saml2", "invalid_request"),
        (
            "requested_token_type",
            "urn:ietf:params:oauth:token-type:refresh_token",
            "invalid_request",
        ),
        ("actor_token", "x", "invalid_request"),
        ("actor_token_type", JWT, "invalid_request"),
        ("expires_in", "0", "invalid_request"),
        ("expires_in", "-1", "invalid_request"),
        ("expires_in", "1.5", "invalid_request"),
        ("expires_in", "soon", "invalid_request"),
        ("scope", "nonsense", "invalid_scope"),
        ("scope", "*", "invalid_scope"),
        ("scope", "flags:write", "invalid_scope"),
        ("scope", "locks:write", "invalid_scope"),
        ("scope", "locks:write:deploy", "invalid_scope"),
        ("scope", "flags:read admin.roles:write", "invalid_scope"),
        ("grant_type", "client_credentials", "unsupported_grant_type"),
        ("grant_type", "password", "unsupported_grant_type"),
    ] {
        let set = |all: &mut Vec<(&'static str, String)>| {
            all.retain(|(known, _)| *known != name);
            all.push((name, value.to_owned()));
        };
        let body = asked(set, &server, &token).refused(400, word);
        assert_eq!(body["error"], word, "{name} {value}");
        assert!(body["error_description"].as_str().unwrap().len() > 10);
    }
    let twice = asked(|all| all.push(("scope", "flags:read".to_owned())), &server, &token);
    twice.ok();
    let twice = asked(
        |all| all.extend([("scope", String::new()), ("scope", String::new())]),
        &server,
        &token,
    );
    twice.refused(400, "invalid_request");

    let mut anybody = Client::anonymous(&server.address);
    anybody.send("POST", "/auth/token", b"{").refused(400, "invalid_request");
    anybody.send("POST", "/auth/token", b"").refused(400, "invalid_request");
    let large = vec![b'x'; 40_000];
    anybody.send("POST", "/auth/token", &large).refused(413, "invalid_request");
    let get = Client::anonymous(&server.address).send("GET", "/auth/token", b"");
    get.refused(405, "method_not_allowed");
    // Nobody is looked for in its headers.
    let mut connection = server.connect();
    let form = format!("grant_type={GRANT}&subject_token_type={JWT}&subject_token={token}");
    let headers = [("authorization", "Basic bm9ib2R5OnNlY3JldA==")];
    connection.send(&request("POST", "/auth/token", &headers, form.as_bytes()));
    connection.read().ok();
}

#[test]
fn without_a_trust_rule_there_is_nothing_to_trade() {
    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    let token = signer.token(&issuer.claims(&job(&json!({}))));
    for server in [Setup::new().start(), serve(Setup::new(), "# no rules\n")] {
        trade(&server, &token, &[]).refused(400, "unsupported_grant_type");
    }
    assert_eq!(issuer.asked(), 0);
}

#[test]
fn settings_that_make_no_sense_end_the_start_with_one_line() {
    let claims = "claims = { repository_id = \"74\" }\nscopes = [\"locks:write\"]";
    let issuer = "https://ci.example";
    for (rules, says) in [
        (rule(issuer, "scopes = [\"locks:write\"]"), "rule \"rule\""),
        (rule("http://ci.example", claims), "https"),
        (rule(issuer, &format!("{claims}\nalgorithms = [\"HS256\"]")), "HS256"),
        (rule(issuer, &format!("{claims}\nalgorithms = [\"none\"]")), "none"),
        (rule(issuer, &format!("{claims}\nmax_ttl_seconds = 3601")), "3600"),
        (rule(issuer, &format!("{claims}\njwks_file = \"gone.json\"")), "gone.json"),
        (rule(issuer, &format!("{claims}\nissuers = \"x\"")), "line 8"),
        ("[[trust]\n".to_owned(), "line 1"),
    ] {
        let setup = Setup::new();
        let file = setup.folder().join("octostore.toml");
        fs::write(&file, rules).unwrap();
        let file = file.to_str().unwrap();
        for setup in [
            setup.clone().flag("--settings", file),
            setup.clone().variable("OCTOSTORE_SETTINGS", file),
        ] {
            let refused = setup.run();
            assert_eq!(refused.code, Some(78), "{refused:?}");
            let line = refused.one_line();
            assert!(line.contains(says) && line.contains("OCTOSTORE_SETTINGS"), "{line}");
            assert!(line.contains(file), "{line}");
        }
    }
    let refused = Setup::new().flag("--settings", "/no/such/file").run();
    assert_eq!(refused.code, Some(78));
    assert!(refused.one_line().contains("/no/such/file"));
}
