//! How keys are come by, how often, and how old they get.

use super::{
    super::{AdmitError, Refusal, keys::Unavailable, rules::KeySource},
    *,
};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::task::JoinSet;

const UNKNOWN: AdmitError = AdmitError::Refused(Refusal::UnknownKey);
const UNAVAILABLE: AdmitError = AdmitError::Unavailable(Unavailable);

/// Shows a token of `signer` so many seconds later.
async fn show(workload: &Workload<Web>, signer: &Signer, at: u64) -> Result<String, AdmitError> {
    let token = signer.token(&claims(json!({ "exp": NOW + 100_000 })));
    let_in(workload.admit(&token, wall(0), lease(at)).await)
}

fn jwks(keys: &[&Signer]) -> Value {
    json!({ "keys": keys.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() })
}

const JWKS: &str = "https://ci.example/jwks";

#[tokio::test]
async fn keys_are_asked_for_once_and_kept() {
    let (signer, web, workload) = world();
    assert_eq!(web.asked_for_keys(), 0, "nobody is asked before the first token");
    for at in [0, 1, 299] {
        show(&workload, &signer, at).await.unwrap();
        assert_eq!(web.asked_for_keys(), 1);
    }
    show(&workload, &signer, 300).await.unwrap();
    assert_eq!(web.asked_for_keys(), 2, "after five minutes they are asked for again");
}

#[tokio::test]
async fn a_new_key_is_known_at_once_and_a_withdrawn_one_is_not_for_long() {
    let (old, web, workload) = world();
    let new = Signer::new("ES256", "two");
    show(&workload, &old, 0).await.unwrap();
    web.put(JWKS, jwks(&[&new]));
    show(&workload, &new, 1).await.unwrap();
    assert_eq!(show(&workload, &old, 2).await.unwrap_err(), UNKNOWN);

    let (old, web, workload) = world();
    show(&workload, &old, 0).await.unwrap();
    web.put(JWKS, jwks(&[]));
    show(&workload, &old, 299).await.unwrap();
    assert_eq!(show(&workload, &old, 300).await.unwrap_err(), UNKNOWN);
}

#[tokio::test]
async fn keys_serve_an_hour_when_the_issuer_falls_silent() {
    let (signer, web, workload) = world();
    show(&workload, &signer, 0).await.unwrap();
    web.fall_silent();
    for at in [300, 2000, 3599] {
        show(&workload, &signer, at).await.unwrap();
    }
    assert_eq!(show(&workload, &signer, 3600).await.unwrap_err(), UNAVAILABLE);
    let stranger = Signer::new("ES256", "two");
    assert_eq!(show(&workload, &stranger, 3700).await.unwrap_err(), UNAVAILABLE);
    web.put(
        "https://ci.example/.well-known/openid-configuration",
        json!({ "issuer": ISSUER, "jwks_uri": JWKS }),
    );
    web.put(JWKS, jwks(&[&signer]));
    show(&workload, &signer, 3800).await.unwrap();
}

#[tokio::test]
async fn an_issuer_that_is_silent_is_asked_once_a_minute_for_keys_that_are_known() {
    let (signer, web, workload) = world();
    show(&workload, &signer, 0).await.unwrap();
    web.put(JWKS, json!("no keys"));
    for at in 300..360 {
        show(&workload, &signer, at).await.unwrap();
    }
    assert_eq!(web.asked_for_keys(), 2);
    show(&workload, &signer, 360).await.unwrap();
    assert_eq!(web.asked_for_keys(), 3);
}

#[tokio::test]
async fn unknown_keys_do_not_make_us_a_nuisance() {
    let (signer, web, workload) = world();
    show(&workload, &signer, 0).await.unwrap();
    for number in 0..100 {
        let stranger = Signer::new("ES256", &format!("kid-{number}"));
        assert_eq!(show(&workload, &stranger, 0).await.unwrap_err(), UNKNOWN);
    }
    assert_eq!(web.asked_for_keys(), 5);
    show(&workload, &signer, 0).await.unwrap();
    let new = Signer::new("ES256", "two");
    web.put(JWKS, jwks(&[&signer, &new]));
    assert_eq!(show(&workload, &new, 9).await.unwrap_err(), UNKNOWN);
    show(&workload, &new, 10).await.unwrap();
    assert_eq!(web.asked_for_keys(), 6);
    let stranger = Signer::new("ES256", "three");
    for _ in 0..100 {
        assert_eq!(show(&workload, &stranger, 1000).await.unwrap_err(), UNKNOWN);
    }
    assert_eq!(web.asked_for_keys(), 11, "five at once, after a rest");
}

#[tokio::test]
async fn who_asks_at_the_same_time_waits_for_one_answer() {
    let (signer, web, workload) = world();
    let workload = Arc::new(workload);
    web.hold_back();
    let mut asking = JoinSet::new();
    for _ in 0..50 {
        asking.spawn(ask(&workload, &signer));
    }
    // Everything runs on one thread: now each has come as far as it can.
    tokio::task::yield_now().await;
    web.answer_again();
    assert!(asking.join_all().await.into_iter().all(|let_in| let_in));
    assert_eq!(web.asked_for_keys(), 1);
}

#[tokio::test]
async fn who_goes_away_while_keys_are_fetched_does_not_spoil_it() {
    let (signer, web, workload) = world();
    let workload = Arc::new(workload);
    web.hold_back();
    for _ in 0..20 {
        let asking = tokio::spawn(ask(&workload, &signer));
        tokio::task::yield_now().await;
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
    }
    web.answer_again();
    show(&workload, &signer, 0).await.unwrap();
    assert_eq!(web.asked_for_keys(), 1);
}

/// Whether a token of `signer` is let in, once that is known.
fn ask(
    workload: &Arc<Workload<Web>>,
    signer: &Signer,
) -> impl Future<Output = bool> + Send + use<> {
    let (workload, token) = (Arc::clone(workload), signer.token(&claims(json!({}))));
    async move { workload.admit(&token, wall(0), lease(0)).await.is_ok() }
}

#[tokio::test]
async fn a_discovery_document_that_is_not_the_issuers_own_is_not_believed() {
    let discovery = "https://ci.example/.well-known/openid-configuration";
    for wrong in [
        json!({ "issuer": "https://ci.example/", "jwks_uri": JWKS }),
        json!({ "issuer": "https://other.example", "jwks_uri": JWKS }),
        json!({ "jwks_uri": JWKS }),
        json!({ "issuer": ISSUER }),
        json!({ "issuer": ISSUER, "jwks_uri": "http://ci.example/jwks" }),
        json!({ "issuer": ISSUER, "jwks_uri": "http://127.0.0.1/jwks" }),
        json!({ "issuer": ISSUER, "jwks_uri": "file:///etc/passwd" }),
        json!({ "issuer": ISSUER, "jwks_uri": "no url" }),
        json!([]),
    ] {
        let (signer, web, workload) = world();
        web.put("http://ci.example/jwks", jwks(&[&signer]));
        web.put("http://127.0.0.1/jwks", jwks(&[&signer]));
        web.put(discovery, wrong.clone());
        assert_eq!(show(&workload, &signer, 0).await.unwrap_err(), UNAVAILABLE, "{wrong}");
    }
}

#[tokio::test]
async fn keys_in_a_file_are_read_again_when_it_has_changed() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("jwks.json");
    let (old, new) = (Signer::new("ES256", "one"), Signer::new("ES256", "two"));
    let write = |keys: &[&Signer]| std::fs::write(&file, jwks(keys).to_string()).unwrap();
    write(&[&old]);
    let more = format!("jwks_file = {file:?}\nclaims = {{ repository_id = \"74\" }}");
    let web = Web::of("https://elsewhere.example", &[]);
    let workload = workload(&rule("filed", &more), &web);
    show(&workload, &old, 0).await.unwrap();
    assert_eq!(show(&workload, &new, 0).await.unwrap_err(), UNKNOWN);
    write(&[&old, &new]);
    show(&workload, &new, 1).await.unwrap();
    write(&[&new]);
    show(&workload, &old, 5).await.unwrap();
    assert_eq!(show(&workload, &old, 6).await.unwrap_err(), UNKNOWN, "after five seconds");
    // While it is being written anew, what was in it counts.
    std::fs::write(&file, "{\"keys\":").unwrap();
    show(&workload, &new, 20).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    show(&workload, &new, 90).await.unwrap();
    assert_eq!(show(&workload, &new, 3700).await.unwrap_err(), UNAVAILABLE);
    assert_eq!(web.asked_for_keys(), 0);
}

#[test]
fn keys_in_a_file_with_a_relative_path_are_found_wherever_the_program_is_by_then() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, jwks(&[&Signer::new("ES256", "one")]).to_string()).unwrap();
    // Up to the root, and down again.
    let up = "../".repeat(std::env::current_dir().unwrap().components().count() - 1);
    let more = format!("jwks_file = \"{up}.{}\"\nclaims = {{ x = \"y\" }}", file.display());
    let [rule] = rules(&rule("filed", &more)).try_into().unwrap();
    let KeySource::File { path, .. } = rule.keys else { panic!("they are in a file") };
    assert!(path.is_absolute(), "{}", path.display());
}
