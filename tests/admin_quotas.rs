//! Quotas of an account's own: they hold from the answer on.

use crate::{
    admin::{account, act, keeper, path, setup},
    caller::{Caller, limit},
};
use serde_json::json;

#[test]
fn quotas_hold_from_their_answer_on() {
    let server = setup().start();
    let mut keeper = keeper(&server);
    let quotas = format!("{}/quotas", path(&server, "alice"));
    let mut alice = Caller::alice(&server);
    server.alice().acquire("a", 3600).ok();
    let one = json!({ "locks": 1, "limits": 1, "flags": 1, "configs": 1 });
    let answered = keeper.put(&quotas, &one).ok();
    assert_eq!(answered["quotas"]["locks"], 1);
    assert_eq!(answered["use"]["locks"], 1, "as in the list");
    server.alice().acquire("b", 60).refused(403, "lock_limit_exceeded");
    for (name, status) in [("a", 200), ("b", 429)] {
        let answers = [
            alice.check_with(name, &limit(5, 60)),
            alice.put(&format!("/flags/{name}"), &json!({ "enabled": true })),
            alice.put_value(name, "1"),
        ];
        for answer in answers {
            assert_eq!(answer.status, status, "{answer:?}");
            if status == 429 {
                answer.refused(429, "quota_exceeded");
            }
        }
    }
    assert_eq!(alice.get("/auth/me").ok()["quotas"]["flags"], 1);
    server.bob().acquire("b", 60).ok();

    // All of them are given at once: what is not said, or null, is what everybody has.
    let answered = keeper.put(&quotas, &json!({ "flags": 2, "locks": null })).ok();
    assert_eq!(answered["quotas"]["flags"], 2);
    assert_eq!(answered["quotas"]["locks"], 100);
    server.alice().acquire("c", 60).ok();
    alice.put("/flags/b", &json!({ "enabled": true })).ok();
    alice.put("/flags/c", &json!({ "enabled": true })).refused(429, "quota_exceeded");
}

#[test]
fn what_is_an_account_s_own_is_told_from_what_everybody_has() {
    let server = setup().flag("--requests-per-second", "1000").start();
    let quotas = format!("{}/quotas", path(&server, "alice"));
    assert_eq!(account(&server, "alice")["own_quotas"], json!({}));
    let own = json!({ "flags": 7, "requests_per_second": 0 });
    let answered = keeper(&server).put(&quotas, &own).ok();
    assert_eq!(answered["own_quotas"], own);
    assert_eq!(answered["quotas"].get("requests_per_second"), None, "as many as it likes");
    // Whoever changes one sends the others back as they are.
    let more = json!({ "locks": 500, "flags": 7, "requests_per_second": 0 });
    keeper(&server).put(&quotas, &more).ok();
    assert_eq!(account(&server, "alice")["own_quotas"], more);
    keeper(&server).put(&quotas, &json!({})).ok();
    assert_eq!(account(&server, "alice")["own_quotas"], json!({}));
}

#[test]
fn requests_a_second_are_a_quota_like_the_others() {
    let server = setup().start();
    let mut keeper = keeper(&server);
    let quotas = format!("{}/quotas", path(&server, "alice"));
    keeper.put(&quotas, &json!({ "requests_per_second": 1 })).ok();
    let mut alice = server.alice();
    let refused = std::iter::repeat_with(|| alice.list("")).find(|answer| answer.status != 200);
    let refused = refused.unwrap();
    refused.refused(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("1"));
    server.bob().list("").ok();
    keeper.put(&quotas, &json!({})).ok();
    alice.list("").ok();
}

#[test]
fn zero_requests_a_second_is_as_many_as_it_likes() {
    let server = setup().flag("--requests-per-second", "1").start();
    let quotas = format!("{}/quotas", path(&server, "alice"));
    let answered = keeper(&server).put(&quotas, &json!({ "requests_per_second": 0 })).ok();
    assert_eq!(answered["quotas"].get("requests_per_second"), None);
    let mut alice = server.alice();
    (0..100).for_each(|_| drop(alice.list("").ok()));
}

#[test]
fn quotas_are_numbers_within_bounds() {
    let server = setup().start();
    let quotas = format!("{}/quotas", path(&server, "alice"));
    let before = account(&server, "alice");
    for (field, bad) in [
        ("locks", json!(0)),
        ("limits", json!(1_000_001)),
        ("flags", json!(-1)),
        ("configs", json!(1.5)),
        ("requests_per_second", json!(1_000_001)),
        ("requests_per_second", json!(-1)),
    ] {
        let refused = keeper(&server).put(&quotas, &json!({ field: bad }));
        let body = refused.refused(422, "invalid_quota");
        assert!(body["error"].as_str().unwrap().starts_with(field), "{body}");
    }
    for body in ["", "[]", "3", r#"{"locks":"3"}"#] {
        keeper(&server).call(("PUT", &quotas), &[], body).refused(422, "invalid_body");
    }
    assert_eq!(account(&server, "alice")["quotas"], before["quotas"]);
}

#[test]
fn an_administrator_that_asks_too_fast_has_not_failed_to_sign_in() {
    let server = setup().flag("--failed-sign-ins", "3").start();
    act(&server, "alice", "promote");
    let quotas = format!("{}/quotas", path(&server, "alice"));
    keeper(&server).put(&quotas, &json!({ "requests_per_second": 1 })).ok();
    let mut alice = Caller::alice(&server);
    for _ in 0..10 {
        let answer = alice.get("/admin/accounts");
        assert!(matches!(answer.status, 200 | 429), "{answer:?}");
        if answer.status == 429 {
            answer.refused(429, "rate_limited");
        }
    }
    let log = keeper(&server).get("/admin/audit?action=admin.access").ok();
    assert_eq!(log, json!({ "entries": [] }));
}
