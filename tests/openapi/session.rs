//! What is answered to the dashboard: that it is signed in, or why not.

use super::{operation, raw};
use crate::{
    admin::{act, setup},
    common::{ALICE, Answer, BOB, Server, Setup, until},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

pub fn provoke() {
    let server = setup().start();
    assert_eq!(raw(&server, &operation("getSession"), &[], b"").read().status, 200);
    let signed_in = begin(&server, ALICE);
    let csrf_token = signed_in.ok()["csrf_token"].as_str().unwrap().to_owned();
    begin(&server, "wrong").refused(401, "unauthorized");
    let session = operation("beginSession");
    for (body, code) in [("", "invalid_body"), ("{}", "missing_field")] {
        raw(&server, &session, &[], body.as_bytes()).read().refused(422, code);
    }
    let elsewhere = [("x-csrf-token", "x")];
    raw(&server, &session, &elsewhere, b"{}").read().refused(403, "csrf_token_required");

    let end = operation("endSession");
    raw(&server, &end, &[], b"").read().refused(403, "csrf_token_required");
    let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let ended = [("cookie", &*cookie), ("x-csrf-token", &*csrf_token)];
    assert_eq!(raw(&server, &end, &ended, b"").read().status, 200);

    act(&server, "bob", "disable");
    begin(&server, BOB).refused(403, "account_disabled");
    too_often();
}

fn begin(server: &Server, token: &str) -> Answer {
    let body = json!({ "token": token }).to_string();
    raw(server, &operation("beginSession"), &[], body.as_bytes()).read()
}

fn look(server: &Server, token: &str) -> Answer {
    let cookie = format!("octostore-session={}", BASE64_URL_SAFE_NO_PAD.encode(token));
    raw(server, &operation("getSession"), &[("cookie", &*cookie)], b"").read()
}

fn too_often() {
    let server = Setup::new().flag("--requests-per-second", "1").start();
    until("it asks too fast", || refused(&begin(&server, ALICE), "rate_limited"));
    until("it asks too fast", || refused(&look(&server, ALICE), "rate_limited"));
    until("it has failed too often", || refused(&begin(&server, "guess"), "too_many_failures"));
    until("it has failed too often", || refused(&look(&server, "guess"), "too_many_failures"));
}

fn refused(answer: &Answer, code: &str) -> Option<()> {
    (answer.status == 429 && answer.json()["code"] == code).then_some(())
}
