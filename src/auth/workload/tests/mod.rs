//! Trust rules at work, on a web and clocks of their own.

mod keys;
mod rules;

use super::{
    Admission, AdmitError, Workload,
    rules::TrustRule,
    section::TrustSection,
    testing::{Signer, Web},
};
use octostore_actors::{domain::values::WallTime, time::Instant};
use serde_json::{Value, json};
use std::path::Path;

const ISSUER: &str = "https://ci.example";

/// When the tests play, in seconds since 1970.
const NOW: i64 = 1_800_000_000;

/// Some seconds after that, on the wall clock.
fn wall(seconds: i64) -> WallTime {
    WallTime::from_millis((NOW + seconds) * 1000)
}

/// Some seconds after that, on the lease clock.
fn lease(seconds: u64) -> Instant {
    Instant::from_nanos((10_000 + seconds) * 1_000_000_000)
}

/// The rules that are written so.
fn workload(written: &str, web: &Web) -> Workload<Web> {
    Workload::new(rules(written), web.clone(), lease(0))
}

fn rules(written: &str) -> Vec<TrustRule> {
    #[derive(serde::Deserialize)]
    struct File {
        trust: Vec<TrustSection>,
    }
    let file: File = toml::from_str(written).unwrap();
    TrustSection::check_all(file.trust, Path::new("")).unwrap()
}

/// One rule of [`ISSUER`], with this besides.
fn rule(name: &str, more: &str) -> String {
    format!(
        "[[trust]]\nname = \"{name}\"\nissuer = \"{ISSUER}\"\naudience = \"octostore\"\n\
         account = \"ci\"\nscopes = [\"locks:write\"]\n{more}\n"
    )
}

/// What a token says that the rules here let in.
fn claims(more: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER,
        "aud": "octostore",
        "sub": "repo:octo-org/octo-repo:environment:prod",
        "repository_id": "74",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 300,
    });
    let more = more.as_object().unwrap().clone();
    claims.as_object_mut().unwrap().extend(more);
    claims
}

/// The name of the rule that lets it in.
fn let_in(admitted: Result<Admission, AdmitError>) -> Result<String, AdmitError> {
    admitted.map(|admission| admission.rule.to_string())
}

/// A signer, the web of an issuer that has its key, and one rule for `repository_id` 74.
fn world() -> (Signer, Web, Workload<Web>) {
    let signer = Signer::new("ES256", "one");
    let web = Web::of(ISSUER, &[signer.jwk()]);
    let workload = workload(&rule("deploy", "claims = { repository_id = \"74\" }"), &web);
    (signer, web, workload)
}
