//! Locks that an administrator releases.

use crate::{
    admin::{act, keeper, scoped, setup},
    caller::Caller,
    common::{ALICE, Server},
};
use serde_json::{Value, json};

#[test]
fn a_lock_that_hangs_is_released_for_whoever_waits() {
    let server = setup().start();
    let (mut alice, mut bob, mut keeper) = (server.alice(), server.bob(), keeper(&server));
    let held = alice.acquire("deploy%2Feu-1", 3600).ok();
    let path = "/admin/locks/deploy%2Feu-1/release";
    let released = keeper.post(path, &json!({ "reason": "the runner is gone" })).ok();
    let lock = json!({
        "name": "deploy/eu-1", "holder": "alice", "holder_id": held["holder_id"],
        "fencing_token": held["fencing_token"],
    });
    let expected = json!({ "status": "released", "message": "Lock released", "lock": lock });
    assert_eq!(released, expected);
    let lease = held["lease_id"].as_str().unwrap();
    alice.renew("deploy%2Feu-1", lease, 60).refused(404, "lock_not_owned");
    alice.release("deploy%2Feu-1", lease).refused(404, "lock_not_owned");
    assert_eq!(alice.list("").ok()["total"], 0);
    let next = bob.acquire("deploy%2Feu-1", 3600);
    assert!(next.token() > held["fencing_token"].as_u64().unwrap());
    let setup = server.setup.clone();
    server.kill();
    let server = setup.start();
    assert_eq!(server.alice().get("deploy%2Feu-1").ok()["holder"], "bob");
    let log = log_of(&server, "lock.force_release");
    assert_eq!(log["entries"].as_array().unwrap().len(), 1);
    let entry = &log["entries"][0];
    assert_eq!((&entry["target"], &entry["who"]), (&json!("deploy/eu-1"), &json!("admin_key")));
    let detail = entry["detail"].as_str().unwrap();
    assert!(detail.ends_with(": the runner is gone"), "{detail}");
    assert!(detail.contains(held["holder_id"].as_str().unwrap()), "{detail}");
}

fn log_of(server: &Server, action: &str) -> Value {
    keeper(server).get(&format!("/admin/audit?action={action}")).ok()
}

#[test]
fn a_lock_is_released_for_a_reason() {
    let server = setup().start();
    let mut keeper = keeper(&server);
    server.alice().acquire("held", 3600).ok();
    let mut release = |body: &str| keeper.call(("POST", "/admin/locks/held/release"), &[], body);
    let long = json!({ "reason": "ä".repeat(501) }).to_string();
    for (body, code) in [
        ("{}", "missing_field"),
        (r#"{"reason":null}"#, "missing_field"),
        (r#"{"reason":""}"#, "invalid_reason"),
        (r#"{"reason":" \n"}"#, "invalid_reason"),
        (&long, "invalid_reason"),
        (r#"{"reason":1}"#, "invalid_body"),
        ("", "invalid_body"),
    ] {
        release(body).refused(422, code);
    }
    assert_eq!(server.bob().get("held").ok()["holder"], "alice");
    release(&json!({ "reason": "ä".repeat(500) }).to_string()).ok();
    release(r#"{"reason":"again"}"#).refused(404, "lock_not_held");
    let why = json!({ "reason": "x" });
    let mut keeper = crate::admin::keeper(&server);
    keeper.post("/admin/locks/a%20b/release", &why).refused(422, "invalid_lock_name");
    let log = log_of(&server, "lock.force_release");
    assert_eq!(log["entries"].as_array().unwrap().len(), 1, "what was refused is not in it");
    let detail = log["entries"][0]["detail"].as_str().unwrap();
    assert!(detail.ends_with(&"ä".repeat(500)), "the whole reason is: {detail}");
}

#[test]
fn a_scope_that_is_narrowed_to_some_locks_releases_those_alone() {
    let server = setup().start();
    act(&server, "alice", "promote");
    let token = scoped(&server, ALICE, "admin.locks:write:deploy/");
    let mut narrow = Caller::new(&server.address, Some(&token));
    let why = json!({ "reason": "it hangs" });
    for name in ["deploy%2Feu-1", "deploy", "backup"] {
        server.bob().acquire(name, 3600).ok();
    }
    narrow.post("/admin/locks/deploy%2Feu-1/release", &why).ok();
    for name in ["deploy", "backup", "a%20b"] {
        let refused = narrow.post(&format!("/admin/locks/{name}/release"), &why);
        refused.refused(403, "insufficient_scope");
    }
    assert_eq!(server.bob().list("").ok()["total"], 2);
    // Where nothing has a name, a narrowed scope opens nothing.
    let token = scoped(&server, ALICE, "admin.audit:read:flag");
    let mut narrow = Caller::new(&server.address, Some(&token));
    narrow.get("/admin/audit").refused(403, "insufficient_scope");
}
