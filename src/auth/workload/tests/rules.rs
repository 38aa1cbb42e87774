//! Which tokens are let in, and as what.

use super::{
    super::{
        AdmitError, Refusal,
        jwk::Algorithm,
        testing::{self, encode},
    },
    *,
};

async fn refused(workload: &Workload<Web>, token: &str) -> Refusal {
    match workload.admit(token, wall(0), lease(0)).await {
        Err(AdmitError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Whether a rule that asks for `asked` lets in a token that says `said` besides.
async fn matches(asked: &str, said: Value) -> bool {
    let signer = testing::signer();
    let web = Web::of(ISSUER, &[signer.jwk()]);
    let workload = workload(&rule("r", &format!("claims = {{ {asked} }}")), &web);
    let token = signer.token(&claims(said));
    workload.admit(&token, wall(0), lease(0)).await.is_ok()
}

#[tokio::test]
async fn a_token_that_matches_is_let_in_as_its_rule_says() {
    let (signer, _, workload) = world();
    let token = signer.token(&claims(json!({})));
    let admission = workload.admit(&token, wall(0), lease(0)).await.unwrap();
    assert_eq!(admission.account.as_str(), "ci");
    assert_eq!(admission.scope.to_string(), "locks:write");
    assert_eq!(admission.longest.as_secs(), 900);
    assert_eq!(admission.subject, "repo:octo-org/octo-repo:environment:prod");
    assert!(!format!("{admission:?}").contains(&token));
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_it_is_refused() {
    let (signer, _, workload) = world();
    for (wrong, why) in [
        (json!({ "iss": "https://ci.example/" }), Refusal::UnknownIssuer),
        (json!({ "iss": "https://evil.example" }), Refusal::UnknownIssuer),
        (json!({ "iss": null }), Refusal::NoIssuer),
        (json!({ "iss": [ISSUER] }), Refusal::NoIssuer),
        (json!({ "aud": "other" }), Refusal::NoRule),
        (json!({ "aud": null }), Refusal::NoRule),
        (json!({ "repository_id": "75" }), Refusal::NoRule),
        (json!({ "repository_id": null }), Refusal::NoRule),
        (json!({ "exp": NOW - 60 }), Refusal::Expired),
        (json!({ "exp": null }), Refusal::NoTime("exp")),
        (json!({ "nbf": NOW + 61 }), Refusal::Future("nbf")),
        (json!({ "iat": NOW + 61 }), Refusal::Future("iat")),
    ] {
        assert_eq!(refused(&workload, &signer.token(&claims(wrong.clone()))).await, why, "{wrong}");
    }
    let thief = Signer::new("ES256", "one").token(&claims(json!({})));
    assert_eq!(refused(&workload, &thief).await, Refusal::Forged);
    let header = json!({ "alg": "ES256", "kid": "../../../dev/null" });
    let elsewhere = signer.token_with(&header, &claims(json!({})));
    assert_eq!(refused(&workload, &elsewhere).await, Refusal::UnknownKey);
}

#[tokio::test]
async fn no_algorithm_but_those_of_the_rule_is_accepted() {
    let rsa = Signer::new("RS256", "rsa");
    let ec = Signer::new("ES256", "ec");
    let jwk = {
        let mut jwk = rsa.jwk();
        jwk.as_object_mut().unwrap().remove("alg");
        jwk
    };
    let web = Web::of(ISSUER, &[jwk, ec.jwk()]);
    let asks = "claims = { repository_id = \"74\" }";
    let workload = workload(&rule("rs", &format!("algorithms = [\"RS256\"]\n{asks}")), &web);
    let claims = claims(json!({}));
    assert!(workload.admit(&rsa.token(&claims), wall(0), lease(0)).await.is_ok());
    let es = refused(&workload, &ec.token(&claims)).await;
    assert_eq!(es, Refusal::Algorithm(Algorithm::Es256));
    for alg in ["RS384", "RS512", "PS256"] {
        let token = rsa.token_with(&json!({ "alg": alg, "kid": "rsa" }), &claims);
        let named = Algorithm::named(alg).unwrap();
        assert_eq!(refused(&workload, &token).await, Refusal::Algorithm(named));
    }
    let rules = [
        rule("es", &format!("algorithms = [\"ES256\"]\n{asks}")),
        rule("rs", &format!("algorithms = [\"RS256\"]\n{asks}")),
    ];
    let each = super::workload(&rules.concat(), &web);
    for (signer, name) in [(&rsa, "rs"), (&ec, "es")] {
        let admitted = each.admit(&signer.token(&claims), wall(0), lease(0)).await;
        assert_eq!(let_in(admitted).unwrap(), name, "each rule has its own algorithms");
    }
    // The public key of the issuer as the secret of an HMAC: the classic.
    for secret in [rsa.jwk()["n"].as_str().unwrap().to_owned(), rsa.jwk().to_string()] {
        let signed = encode(&json!({ "alg": "HS256", "kid": "rsa" }), &claims);
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        let algorithm = jsonwebtoken::Algorithm::HS256;
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, algorithm).unwrap();
        let token = format!("{signed}.{signature}");
        assert_eq!(refused(&workload, &token).await, Refusal::UnknownAlgorithm);
    }
    // A key of one kind for an algorithm of another.
    let crossed = ec.token_with(&json!({ "alg": "ES256", "kid": "rsa" }), &claims);
    let both = super::workload(&rule("both", asks), &web);
    assert_eq!(refused(&both, &crossed).await, Refusal::UnfitKey);
}

#[tokio::test]
async fn the_first_rule_that_matches_wins() {
    let signer = testing::signer();
    let web = Web::of(ISSUER, &[signer.jwk()]);
    let rules = [
        rule("production", "claims = { repository_id = \"74\", environment = \"prod\" }"),
        rule("main", "claims = { repository_id = \"74\", ref = \"refs/heads/main\" }"),
        rule("other", "claims = { repository_id = [\"74\", \"75\"] }"),
    ];
    let workload = workload(&rules.concat(), &web);
    for (said, name) in [
        (json!({ "environment": "prod", "ref": "refs/heads/main" }), "production"),
        (json!({ "environment": "test", "ref": "refs/heads/main" }), "main"),
        (json!({ "ref": "refs/heads/other" }), "other"),
        (json!({ "repository_id": "75", "environment": "prod" }), "other"),
    ] {
        let admitted = workload.admit(&signer.token(&claims(said)), wall(0), lease(0)).await;
        assert_eq!(let_in(admitted).unwrap(), name);
    }
}

#[tokio::test]
async fn claims_match_as_they_are_written() {
    for (asked, said, expected) in [
        ("ref = \"refs/heads/main\"", json!({ "ref": "refs/heads/main" }), true),
        ("ref = \"refs/heads/main\"", json!({ "ref": "refs/heads/main2" }), false),
        ("ref = \"refs/heads/main\"", json!({ "ref": "REFS/HEADS/MAIN" }), false),
        ("ref = \"refs/heads/*\"", json!({ "ref": "refs/heads/main" }), true),
        ("ref = \"refs/heads/*\"", json!({ "ref": "refs/tags/v1" }), false),
        ("ref = \"refs/heads/*\"", json!({ "ref": "refs/heads/" }), true),
        ("ref = [\"a\", \"b*\"]", json!({ "ref": "bc" }), true),
        ("ref = [\"a\", \"b*\"]", json!({ "ref": "ab" }), false),
        ("id = \"74\"", json!({ "id": 74 }), true),
        ("id = \"74\"", json!({ "id": 740 }), false),
        ("id = \"74\"", json!({ "id": "074" }), false),
        ("id = \"true\"", json!({ "id": true }), true),
        ("id = \"null\"", json!({ "id": null }), false),
        ("groups = \"ops\"", json!({ "groups": ["dev", "ops"] }), true),
        ("groups = \"ops\"", json!({ "groups": [["ops"]] }), false),
        ("groups = \"ops\"", json!({ "groups": { "ops": "ops" } }), false),
        ("groups = \"*\", id = \"1\"", json!({ "groups": "x", "id": "1" }), true),
        ("groups = \"*\", id = \"1\"", json!({ "id": "1" }), false),
        (
            "\"/kubernetes.io/namespace\" = \"ci\"",
            json!({ "kubernetes.io": { "namespace": "ci" } }),
            true,
        ),
        (
            "\"/kubernetes.io/namespace\" = \"ci\"",
            json!({ "kubernetes.io": { "namespace": "ce" }, "namespace": "ci" }),
            false,
        ),
        ("\"/a~1b/m~0n\" = \"x\"", json!({ "a/b": { "m~n": "x" } }), true),
        ("\"/list/0\" = \"x\"", json!({ "list": ["x"] }), false),
        ("\"https://x/y\" = \"x\"", json!({ "https://x/y": "x" }), true),
    ] {
        assert_eq!(matches(asked, said.clone()).await, expected, "{asked} and {said}");
    }
}

#[tokio::test]
async fn a_token_that_is_accepted_once_is_accepted_once() {
    let signer = testing::signer();
    let web = Web::of(ISSUER, &[signer.jwk()]);
    let asks = "claims = { repository_id = \"74\" }";
    let workload = workload(&rule("once", &format!("single_use = true\n{asks}")), &web);
    let trade = async |said: Value| {
        let token = signer.token(&claims(said));
        let admission = workload.admit(&token, wall(0), lease(0)).await.unwrap();
        workload.use_up(&admission, wall(0))
    };
    let used = AdmitError::Refused(Refusal::Used);
    let first = trade(json!({ "jti": "a" })).await.unwrap();
    assert_eq!(trade(json!({ "jti": "a", "n": 1 })).await.unwrap_err(), used);
    trade(json!({ "jti": "b" })).await.unwrap().spend();
    trade(json!({})).await.unwrap().spend();
    assert_eq!(trade(json!({})).await.unwrap_err(), used, "signed anew, and still the same");
    drop(first);
    trade(json!({ "jti": "a" })).await.unwrap().spend();
    assert_eq!(trade(json!({ "jti": "a" })).await.unwrap_err(), used, "it has bought something");

    let (signer, _, many) = world();
    let token = signer.token(&claims(json!({ "jti": "a" })));
    for _ in 0..3 {
        let admission = many.admit(&token, wall(0), lease(0)).await.unwrap();
        many.use_up(&admission, wall(0)).unwrap().spend();
    }
}
