//! The audit log: that what is easily forgotten is in it, and what never was is not.

use crate::{
    admin::{KEY, account, act, scoped, setup},
    audit::entries,
    caller::Caller,
    common::{ALICE, BOB, Issuer, browser::Browser, jwt::Signer, request, terminal::Terminal},
    exchange, sign_in_github,
};
use serde_json::{Value, json};

/// Who did what, how it ended, and why, of each entry that `query` wants; the latest comes last.
fn said(server: &crate::common::Server, query: &str) -> Vec<String> {
    let of = |entry: &Value| {
        let said = |field: &str| entry[field].as_str().unwrap_or("-").to_owned();
        ["who", "account", "action", "result", "detail"].map(said).join(" ")
    };
    entries(server, query).iter().rev().map(of).collect()
}

#[test]
fn a_token_that_wants_more_by_a_prefix_is_noticed_too() {
    let server = setup().start();
    let narrow = scoped(&server, ALICE, "flags:read:b/");
    let more = json!({ "name": "x", "prefix": "a/" });
    let mut narrow = Caller::new(&server.address, Some(&narrow));
    narrow.post("/auth/tokens", &more).refused(403, "exceeds_token");
    let found = said(&server, "action=token.create");
    let last = found.last().unwrap();
    assert_eq!(last, "token alice token.create refused more than the token that asks");
}

#[test]
fn an_administrator_who_was_disabled_is_noticed_at_the_door() {
    let server = setup().start();
    act(&server, "alice", "promote");
    act(&server, "alice", "disable");
    Caller::alice(&server).get("/admin/accounts").refused(403, "account_disabled");
    let found = said(&server, "action=admin.access");
    assert_eq!(found, ["token alice admin.access refused the account is disabled"]);
}

#[test]
fn a_sign_in_that_fails_because_the_provider_is_down_is_in_it() {
    let github = crate::common::github::GitHub::start();
    let server = sign_in_github::setup(&github).variable("ADMIN_KEY", KEY).start();
    github.mood(|mood| mood.user_answer = Some(("502 Bad Gateway", String::new())));
    Browser::default().sign_in(&server, sign_in_github::THERE).refused(502, "provider_unavailable");
    let found = said(&server, "action=sign_in");
    let [entry] = &found[..] else { panic!("{found:?}") };
    assert!(entry.starts_with("stranger - sign_in refused "), "{entry}");
}

#[test]
fn a_wrong_token_that_somebody_pastes_into_the_dashboard_is_in_it() {
    let server = setup().start();
    act(&server, "bob", "disable");
    for token in ["wrong", "ünï", BOB] {
        let mut connection = server.connect();
        let body = json!({ "token": token }).to_string();
        let headers = [("x-csrf-token", "sign-in")];
        connection.send(&request("POST", "/dashboard/session", &headers, body.as_bytes()));
        assert!(matches!(connection.read().status, 401 | 403));
    }
    let unknown = "stranger - sign_in refused no such token";
    let disabled = "token bob sign_in refused the account is disabled";
    assert_eq!(said(&server, "action=sign_in"), [unknown, unknown, disabled]);
}

#[test]
fn a_token_that_somebody_pastes_into_the_dashboard_is_in_it() {
    let server = setup().start();
    let mut connection = server.connect();
    let body = json!({ "token": BOB }).to_string();
    let headers = [("x-csrf-token", "sign-in")];
    connection.send(&request("POST", "/dashboard/session", &headers, body.as_bytes()));
    connection.read().ok();
    let found = said(&server, "action=sign_in");
    assert_eq!(found, ["token bob sign_in ok with this token, into the dashboard"]);
    let entry = &entries(&server, "action=sign_in")[0];
    assert_eq!(entry["target"], account(&server, "bob")["id"]);
}

#[test]
fn whose_account_is_disabled_is_in_it_when_he_is_not_let_in() {
    let github = crate::common::github::GitHub::start();
    let server = sign_in_github::setup(&github).variable("ADMIN_KEY", KEY).start();
    Browser::default().sign_in(&server, sign_in_github::THERE).ok();
    act(&server, "ann", "disable");
    Browser::default().sign_in(&server, sign_in_github::THERE).refused(403, "account_disabled");
    let found = said(&server, "action=sign_in");
    assert_eq!(found.last().unwrap(), "account ann sign_in refused the account is disabled");

    act(&server, "ann", "enable");
    let terminal = Terminal::begin(&server, &[]);
    let mut browser = Browser::default();
    let asked = terminal.signed_in(&server, &mut browser, sign_in_github::THERE);
    assert_eq!(asked.answer(&server, &mut browser, "allow").status, 200);
    act(&server, "ann", "disable");
    terminal.is_told(&server, "access_denied");
    let found = said(&server, "action=sign_in.device");
    let last = "account ann sign_in.device refused the account is disabled";
    assert_eq!(found.last().unwrap(), last);

    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    let server = exchange::serve(setup(), &exchange::github(&issuer));
    let token = signer.token(&issuer.claims(&exchange::job(&json!({}))));
    exchange::trade(&server, &token, &[]).ok();
    act(&server, "ci", "disable");
    exchange::trade(&server, &token, &[]).refused(400, "invalid_request");
    let found = said(&server, "action=token.exchange");
    let last = "account ci token.exchange refused rule rule: the account is disabled";
    assert_eq!(found.last().unwrap(), last);
}

#[test]
fn a_workload_that_asks_for_more_than_its_rule_gives_is_in_it() {
    let signer = Signer::new("ES256", "k");
    let issuer = Issuer::start(&[&signer]);
    let server = exchange::serve(setup(), &exchange::github(&issuer));
    let token = signer.token(&issuer.claims(&exchange::job(&json!({}))));
    exchange::trade(&server, &token, &[("scope", "flags:write")]).refused(400, "invalid_scope");
    let found = said(&server, "action=token.exchange");
    let last = "stranger - token.exchange refused rule rule: asks for more than it gives";
    assert_eq!(found, [last]);
}

#[test]
fn a_token_that_newer_sign_ins_end_is_in_it() {
    let github = crate::common::github::GitHub::start();
    let server = sign_in_github::setup(&github).variable("ADMIN_KEY", KEY).start();
    for _ in 0..101 {
        Browser::default().sign_in(&server, sign_in_github::THERE).ok();
    }
    let ended = said(&server, "action=token.revoke");
    assert_eq!(ended, ["account ann token.revoke ok a newer sign-in took its place"]);
    let signed_in = entries(&server, "action=sign_in&limit=1000");
    let first = signed_in.last().unwrap()["detail"].as_str().unwrap().to_owned();
    let ended = entries(&server, "action=token.revoke")[0]["target"].as_str().unwrap().to_owned();
    assert!(first.starts_with(&ended), "the oldest one: {first}, {ended}");
}

#[test]
fn strangers_do_not_wash_out_of_it_what_is_said_of_those_who_are_known() {
    let server = setup().start();
    let mut stranger = server.connect();
    for _ in 0..700 {
        stranger.send(&request("GET", "/admin/audit", &[], b""));
        stranger.read().refused(401, "unauthorized");
    }
    Caller::alice(&server).get("/admin/audit").refused(403, "not_an_administrator");
    let last = said(&server, "action=admin.access").pop().unwrap();
    assert!(last.starts_with("token alice admin.access refused"), "{last}");
}
