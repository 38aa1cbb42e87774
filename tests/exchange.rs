//! Workloads that trade their issuer's token for one of ours: what they get, and for how long.

use crate::common::{
    Answer, Client, Issuer, Server, Setup, is_stamp,
    jwt::{Signer, encode},
    now, request, until,
};
use serde_json::{Value, json};
use std::{fs, path::Path};

pub const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A server with these trust rules.
pub fn serve(setup: Setup, rules: &str) -> Server {
    let file = setup.folder().join("octostore.toml");
    fs::write(&file, rules).unwrap();
    setup.flag("--settings", file.to_str().unwrap()).start()
}

/// A rule about `issuer` with this besides.
pub fn rule(issuer: &str, more: &str) -> String {
    format!(
        "[[trust]]\nname = \"rule\"\nissuer = \"{issuer}\"\naudience = \"octostore\"\n\
         account = \"ci\"\n{more}\n"
    )
}

/// A rule about a repository at GitHub.
pub fn github(issuer: &Issuer) -> String {
    let more = "claims = { repository_id = \"74\", environment = \"prod\" }\n\
                scopes = [\"locks:write:deploy/\", \"flags:read\"]";
    rule(&issuer.url(), more)
}

/// What GitHub says of a job, and this besides.
pub fn job(more: &Value) -> Value {
    let mut claims = json!({
        "jti": "0b1d7c0e",
        "sub": "repo:octo-org/octo-repo:environment:prod",
        "ref": "refs/heads/main",
        "repository": "octo-org/octo-repo",
        "repository_id": "74",
        "repository_owner": "octo-org",
        "repository_owner_id": "65",
        "environment": "prod",
        "actor": "octocat",
        "event_name": "push",
        "runner_environment": "github-hosted",
    });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

/// Sends a form to the endpoint for tokens.
pub fn post_form(server: &Server, parameters: &[(&str, &str)]) -> Answer {
    let mut form = form_urlencoded::Serializer::new(String::new());
    let form = form.extend_pairs(parameters).finish();
    Client::anonymous(&server.address).send("POST", "/auth/token", form.as_bytes())
}

/// Trades a token, asking for this besides.
pub fn trade(server: &Server, token: &str, more: &[(&str, &str)]) -> Answer {
    let asked = [("grant_type", GRANT), ("subject_token", token), ("subject_token_type", JWT)];
    post_form(server, &[&asked, more].concat())
}

/// The token in the answer, which must be one with a token.
fn ours(answer: &Answer) -> String {
    let body = answer.ok();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    assert_eq!(body["issued_token_type"], ACCESS_TOKEN);
    assert_eq!(body["token_type"], "Bearer");
    body["access_token"].as_str().unwrap().to_owned()
}

/// Whoever has the token in the answer.
fn traded(server: &Server, answer: &Answer) -> Client {
    Client::new(&server.address, &ours(answer))
}

#[test]
fn a_job_trades_its_token_for_one_that_may_what_its_rule_says() {
    let signer = Signer::new("RS256", "k");
    let issuer = Issuer::start(&[&signer]);
    let setup = Setup::bare().variable("STATIC_TOKENS", "ci:static-token-of-ci");
    let server = serve(setup, &github(&issuer));
    let answer = trade(&server, &signer.token(&issuer.claims(&job(&json!({})))), &[]);
    assert_eq!(answer.ok()["expires_in"], 900);
    assert_eq!(answer.ok()["scope"], "locks:write:deploy/ flags:read");
    let mut job = traded(&server, &answer);
    assert_eq!(job.acquire("deploy%2Feu", 60).ok()["holder"], "ci");
    job.send("GET", "/flags", b"").ok();
    job.acquire("build%2Feu", 60).refused(403, "insufficient_scope");
    job.send("PUT", "/flags/a", b"{\"enabled\":true}").refused(403, "insufficient_scope");
    job.send("GET", "/config", b"").refused(403, "insufficient_scope");
    job.post("/auth/tokens", &json!({ "name": "more", "scopes": ["config:read"] }))
        .refused(403, "exceeds_token");
    job.post("/auth/tokens", &json!({ "name": "longer", "expires_in_seconds": 100_000 }))
        .refused(403, "exceeds_token");

    let me = job.send("GET", "/auth/me", b"").ok();
    assert_eq!((&me["name"], &me["admin"]), (&json!("ci"), &json!(false)));
    assert_eq!(me["token"]["source"], "workload");
    assert_eq!(me["token"]["name"], "rule: repo:octo-org/octo-repo:environment:prod");
    assert!(is_stamp(&me["token"]["expires_at"]));
    let mut same = Client::new(&server.address, "static-token-of-ci");
    assert_eq!(same.send("GET", "/auth/me", b"").ok()["id"], me["id"], "one account of one name");
}

#[test]
fn json_says_what_a_form_does() {
    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    let server = serve(Setup::new(), &github(&issuer));
    let body = json!({
        "grant_type": GRANT,
        "subject_token": signer.token(&issuer.claims(&job(&json!({})))),
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "requested_token_type": ACCESS_TOKEN,
        "audience": "https://octostore.example",
        "resource": ["https://a.example", "https://b.example"],
        "expires_in": 60,
        "scope": "flags:read",
        "client_id": "whoever",
    });
    let answer = Client::anonymous(&server.address).post("/auth/token", &body);
    assert_eq!(answer.ok()["expires_in"], 60);
    assert_eq!(answer.ok()["scope"], "flags:read");
    let mut job = traded(&server, &answer);
    job.send("GET", "/flags", b"").ok();
    job.acquire("deploy%2Feu", 60).refused(403, "insufficient_scope");
}

#[test]
fn a_repository_that_was_renamed_is_still_the_same() {
    let signer = Signer::new("RS256", "k");
    let issuer = Issuer::start(&[&signer]);
    let server = serve(Setup::new(), &github(&issuer));
    let renamed = json!({
        "sub": "repo:new-org/new-repo:environment:prod",
        "repository": "new-org/new-repo",
        "repository_owner": "new-org",
    });
    let token = signer.token(&issuer.claims(&job(&renamed)));
    traded(&server, &trade(&server, &token, &[])).send("GET", "/flags", b"").ok();
    // And whoever has taken its old name is somebody else.
    let taken = signer.token(&issuer.claims(&job(&json!({ "repository_id": "99" }))));
    trade(&server, &taken, &[]).refused(400, "invalid_request");
}

#[test]
fn a_rule_that_trusts_a_name_is_warned_of() {
    let issuer = "https://token.actions.githubusercontent.com";
    let rules = |claims: &str| {
        rule(issuer, &format!("claims = {{ {claims} }}\nscopes = [\"locks:write\"]"))
    };
    let warned = |claims: &str| serve(Setup::new(), &rules(claims)).stop().err;
    let log = warned("repository = \"octo-org/octo-repo\"");
    assert!(log.contains("WARN") && log.contains("repository_id"), "{log}");
    assert!(!warned("repository_id = \"74\"").contains("WARN"));
}

/// Keys in a file, as a cluster whose issuer nobody outside can ask.
pub fn pod(setup: &Setup, signer: &Signer) -> (String, Value) {
    write_keys(&setup.folder().join("jwks.json"), &[signer]);
    let issuer = "https://kubernetes.default.svc.cluster.local";
    let more = "jwks_file = \"jwks.json\"\nscopes = [\"config:read:app/\"]\n\
                claims = { \"/kubernetes.io/namespace\" = \"shop\", \
                \"/kubernetes.io/serviceaccount/name\" = [\"cart\", \"till\"] }";
    let claims = json!({
        "iss": issuer,
        "aud": ["https://kubernetes.default.svc.cluster.local", "octostore"],
        "sub": "system:serviceaccount:shop:cart",
        "iat": now(),
        "nbf": now(),
        "exp": now() + 3607,
        "kubernetes.io": {
            "namespace": "shop",
            "pod": { "name": "cart-6d4b75cb6d-hmn7w", "uid": "4a1ec6ad" },
            "serviceaccount": { "name": "cart", "uid": "14ee3fa4" },
            "warnafter": now() + 3600,
        },
    });
    (rule(issuer, more), claims)
}

fn write_keys(file: &Path, signers: &[&Signer]) {
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    fs::write(file, json!({ "keys": keys }).to_string()).unwrap();
}

#[test]
fn a_pod_trades_its_token_and_its_keys_may_be_in_a_file() {
    let setup = Setup::new();
    // Kubernetes writes no typ.
    let header = json!({ "alg": "RS256", "kid": "k" });
    let signer = Signer::new("RS256", "k");
    let (rules, claims) = pod(&setup, &signer);
    let server = serve(setup, &rules);
    let answer = trade(&server, &signer.token_with(&header, &claims), &[]);
    let mut pod = traded(&server, &answer);
    pod.send("GET", "/config/app%2Fcolour", b"").refused(404, "config_not_found");
    pod.send("GET", "/config/other", b"").refused(403, "insufficient_scope");
    for (pointer, other) in [("/kubernetes.io/namespace", "bank"), ("/aud/1", "other")] {
        let mut claims = claims.clone();
        *claims.pointer_mut(pointer).unwrap() = json!(other);
        let refused = trade(&server, &signer.token_with(&header, &claims), &[]);
        refused.refused(400, "invalid_request");
    }
    // The cluster rotates, and somebody writes the file anew.
    let new = Signer::new("RS256", "k2");
    let token = new.token(&claims);
    trade(&server, &token, &[]).refused(400, "invalid_request");
    write_keys(&server.setup.folder().join("jwks.json"), &[&new]);
    trade(&server, &token, &[]).ok();
}

#[test]
fn a_key_that_the_issuer_has_just_made_is_known() {
    let (old, new) = (Signer::new("RS256", "old"), Signer::new("RS256", "newer"));
    let issuer = Issuer::start(&[&old]);
    let server = serve(Setup::new(), &github(&issuer));
    let claims = issuer.claims(&job(&json!({})));
    trade(&server, &old.token(&claims), &[]).ok();
    trade(&server, &new.token(&claims), &[]).refused(400, "invalid_request");
    issuer.rotate(&[&new]);
    trade(&server, &new.token(&claims), &[]).ok();
    trade(&server, &old.token(&claims), &[]).refused(400, "invalid_request");
}

#[test]
fn an_issuer_in_trouble_is_no_refusal() {
    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    issuer.fail();
    let server = serve(Setup::new(), &github(&issuer));
    let token = signer.token(&issuer.claims(&job(&json!({}))));
    let answer = trade(&server, &token, &[]);
    answer.refused(503, "temporarily_unavailable");
    assert!(answer.header("retry-after").is_some());
    issuer.rotate(&[&signer]);
    trade(&server, &token, &[]).ok();
    // With keys that are known it may be in trouble.
    issuer.fail();
    trade(&server, &token, &[]).ok();
}

#[test]
fn a_token_dies_when_its_time_has_come() {
    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    let server = serve(Setup::new(), &github(&issuer));
    let token = signer.token(&issuer.claims(&job(&json!({}))));
    let short = trade(&server, &token, &[("expires_in", "1")]);
    assert_eq!(short.ok()["expires_in"], 1);
    let (short, long) = (ours(&short), ours(&trade(&server, &token, &[])));
    let flags = |server: &Server, token: &str| {
        Client::new(&server.address, token).send("GET", "/flags", b"")
    };
    until("it has expired", || (flags(&server, &short).status == 401).then_some(()));
    flags(&server, &long).ok();
    // A restart changes nothing about either.
    let setup = server.setup.clone();
    server.stop();
    let server = setup.start();
    flags(&server, &long).ok();
    flags(&server, &short).refused(401, "unauthorized");
}

#[test]
fn no_token_outlives_the_hour_or_its_rule() {
    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    let token = signer.token(&issuer.claims(&job(&json!({ "exp": now() + 1_000_000 }))));
    for (most, seconds) in [("", 900), ("max_ttl_seconds = 3600", 3600), ("max_ttl_seconds = 5", 5)]
    {
        let server = serve(Setup::new(), &format!("{}{most}\n", github(&issuer)));
        for asked in ["100000", "18446744073709551615"] {
            let answer = trade(&server, &token, &[("expires_in", asked)]);
            assert_eq!(answer.ok()["expires_in"], seconds);
            let me = traded(&server, &answer).send("GET", "/auth/me", b"").ok();
            let end = me["token"]["expires_at"].as_str().unwrap();
            let end: jiff::Timestamp = end.parse().unwrap();
            assert!(end.as_second() <= now() + seconds, "{end}");
        }
    }
}

#[test]
fn a_token_that_is_accepted_once_is_refused_the_second_time() {
    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    let rules = format!("{}single_use = true\n", github(&issuer));
    let server = serve(Setup::new(), &rules);
    let token = signer.token(&issuer.claims(&job(&json!({ "jti": "one" }))));
    // What is refused for another reason does not use it up.
    trade(&server, &token, &[("scope", "config:write")]).refused(400, "invalid_scope");
    trade(&server, &token, &[]).ok();
    trade(&server, &token, &[]).refused(400, "invalid_request");
    let same_id = signer.token(&issuer.claims(&job(&json!({ "jti": "one", "run_id": "7" }))));
    trade(&server, &same_id, &[]).refused(400, "invalid_request");
    trade(&server, &signer.token(&issuer.claims(&job(&json!({ "jti": "two" })))), &[]).ok();
}

#[test]
fn a_token_that_is_accepted_once_may_be_shown_again_if_the_answer_was_lost() {
    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    let setup = Setup::new().flag("--failed-sign-ins", "100000");
    let server = serve(setup, &format!("{}single_use = true\n", github(&issuer)));
    for round in 1..=6 {
        let token = signer.token(&issuer.claims(&job(&json!({ "jti": round.to_string() }))));
        let form = format!("grant_type={GRANT}&subject_token_type={JWT}&subject_token={token}");
        let mut connection = server.connect();
        server.pause();
        connection.send(&request("POST", "/auth/token", &[], form.as_bytes()));
        if round % 2 == 0 {
            // With more on the way, the server does not see that nobody is there until it answers.
            connection.send(&request("GET", "/health", &[], b""));
        }
        drop(connection);
        server.resume();
        let answer = until("it is accepted", || {
            let answer = trade(&server, &token, &[]);
            if answer.status == 200 {
                return Some(answer);
            }
            answer.refused(400, "invalid_request");
            None
        });
        trade(&server, &token, &[]).refused(400, "invalid_request");
        let mut job = traded(&server, &answer);
        until("only the tokens that were heard of are left", || {
            let tokens = job.send("GET", "/auth/tokens", b"").ok();
            (tokens["total"] == round).then_some(())
        });
    }
}

#[test]
fn what_was_traded_and_refused_is_in_the_audit_log() {
    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    let server = serve(Setup::new(), &github(&issuer));
    let me = {
        let token = signer.token(&issuer.claims(&job(&json!({}))));
        traded(&server, &trade(&server, &token, &[])).send("GET", "/auth/me", b"").ok()
    };
    let late = signer.token(&issuer.claims(&job(&json!({ "exp": now() - 600 }))));
    trade(&server, &late, &[]).refused(400, "invalid_request");
    let setup = server.setup.clone();
    server.stop();
    let database = rusqlite::Connection::open(setup.database()).unwrap();
    let query = "SELECT who, source, target, outcome, detail FROM audit
                 WHERE action = 'token.exchange' ORDER BY rowid";
    let mut statement = database.prepare(query).unwrap();
    let rows = statement.query_map([], |row| {
        Ok([0, 1, 2, 3, 4].map(|column| row.get::<_, String>(column).unwrap()))
    });
    let rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
    let [done, refused] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(done[..4], ["account", "127.0.0.1", me["id"].as_str().unwrap(), "ok"]);
    assert!(done[4].contains("rule: repo:octo-org/octo-repo:environment:prod"), "{done:?}");
    assert_eq!(refused[..4], ["stranger", "127.0.0.1", "/auth/token", "refused"]);
    assert!(refused[4].contains("expired"), "{refused:?}");
}

#[test]
fn not_even_a_trace_log_contains_a_token_of_either_side() {
    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    let server = serve(Setup::new().variable("RUST_LOG", "trace"), &github(&issuer));
    let good = signer.token(&issuer.claims(&job(&json!({}))));
    let bad = signer.token(&issuer.claims(&job(&json!({ "environment": "test" }))));
    let unsigned = encode(&json!({ "alg": "none" }), &issuer.claims(&job(&json!({}))));
    let ours = ours(&trade(&server, &good, &[]));
    trade(&server, &good, &[("scope", "x")]).refused(400, "invalid_scope");
    for token in [&bad, &format!("{unsigned}."), &format!("{good}x")] {
        trade(&server, token, &[]).refused(400, "invalid_request");
    }
    let exit = server.stop();
    for token in [&good, &bad, &unsigned, &ours] {
        for part in token.split('.') {
            assert!(!exit.err.contains(part) && !exit.out.contains(part), "{part}");
        }
    }
    // What the client is not told, the operator is.
    for reason in ["mismatch=environment", "no rule matches it", "none that is ever accepted"] {
        assert!(exit.err.contains(reason), "{reason}: {}", exit.err);
    }
}
