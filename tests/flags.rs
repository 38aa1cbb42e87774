//! Feature flags: the documents' bodies, and rollouts that never change their mind.

use crate::{
    caller::{Caller, but_for_the_request, names},
    common::{Server, Setup, is_stamp, until},
};
use serde_json::{Value, json};

/// Sets a flag and checks that what is answered is what was sent.
fn set(alice: &mut Caller, name: &str, body: &Value) -> Value {
    let flag = alice.put(&format!("/flags/{name}"), body).ok();
    assert_eq!(flag["name"], name);
    assert_eq!(flag["enabled"], body["enabled"]);
    let percentage = body.get("percentage").filter(|sent| !sent.is_null());
    assert_eq!(flag.get("percentage"), percentage, "{flag}");
    assert!(is_stamp(&flag["created_at"]) && is_stamp(&flag["updated_at"]), "{flag}");
    flag
}

/// Whether a flag is on for a key, which may need no encoding.
fn is_on(alice: &mut Caller, name: &str, key: &str) -> bool {
    let body = alice.get(&format!("/flags/{name}?key={key}")).ok();
    let enabled = body["enabled"].as_bool().unwrap();
    assert_eq!(body, json!({"name": name, "enabled": enabled}));
    enabled
}

#[test]
fn a_set_answers_the_stored_flag() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let flag = set(&mut alice, "dark-mode", &json!({"enabled": true}));
    assert_eq!(flag["created_at"], flag["updated_at"]);
    set(&mut alice, "dark-mode", &json!({"enabled": false, "percentage": 0}));
    set(&mut alice, "dark-mode", &json!({"enabled": true, "percentage": 100, "unknown": []}));
    set(&mut alice, "dark-mode", &json!({"enabled": true, "percentage": null}));
    set(&mut alice, &"Z-_9a".repeat(20), &json!({"enabled": false}));
    let whole = alice.put("/flags/whole", &json!({"enabled": true, "percentage": 25.0})).ok();
    assert_eq!(whole["percentage"], 25);
}

#[test]
fn a_get_answers_the_evaluation_alone() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    set(&mut alice, "on", &json!({"enabled": true}));
    set(&mut alice, "off", &json!({"enabled": false, "percentage": 100}));
    set(&mut alice, "all", &json!({"enabled": true, "percentage": 100}));
    set(&mut alice, "none", &json!({"enabled": true, "percentage": 0}));
    for (name, enabled) in
        [("on", true), ("off", false), ("all", true), ("none", false), ("unknown", false)]
    {
        let expected = json!({"name": name, "enabled": enabled});
        assert_eq!(alice.get(&format!("/flags/{name}")).ok(), expected);
        for key in ["", "k", "%F0%9F%90%99", "a%20b%26c"] {
            assert_eq!(alice.get(&format!("/flags/{name}?key={key}")).ok(), expected);
        }
    }
}

#[test]
fn a_flag_that_is_not_is_off_and_cannot_be_deleted() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    assert_eq!(alice.get("/flags/f").ok(), json!({"name": "f", "enabled": false}));
    alice.delete("/flags/f").refused(404, "flag_not_found");
    set(&mut alice, "f", &json!({"enabled": true}));
    assert_eq!(alice.delete("/flags/f").ok(), json!({"deleted": true}));
    assert_eq!(alice.get("/flags/f").ok(), json!({"name": "f", "enabled": false}));
    alice.delete("/flags/f").refused(404, "flag_not_found");
    assert_eq!(alice.get("/flags").ok(), json!({"flags": []}));
}

#[test]
fn a_name_that_cannot_be_is_read_like_one_that_is_not() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let unknown = alice.delete("/flags/unknown");
    let long = "f".repeat(101);
    for (path, name) in [
        ("a.b", "a.b"),
        ("a%20b", "a b"),
        ("a%2Fb", "a/b"),
        ("%C3%BC", "\u{fc}"),
        ("%00", "\0"),
        ("", ""),
        (&*long, &*long),
    ] {
        let path = format!("/flags/{path}");
        alice.put(&path, &json!({"enabled": true})).refused(422, "invalid_flag_name");
        assert_eq!(alice.get(&path).ok(), json!({"name": name, "enabled": false}));
        assert_eq!(but_for_the_request(&alice.delete(&path)), but_for_the_request(&unknown));
    }
    alice.put("/flags/%ff", &json!({"enabled": true})).refused(422, "invalid_flag_name");
    assert_eq!(alice.get("/flags/%ff").ok()["enabled"], false);
}

#[test]
fn what_is_out_of_bounds_is_refused_and_changes_nothing() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    set(&mut alice, "f", &json!({"enabled": true, "percentage": 7}));
    let before = alice.get("/flags").ok();
    for (body, code) in [
        (json!({"enabled": true, "percentage": 101}), "invalid_percentage"),
        (json!({"enabled": true, "percentage": -1}), "invalid_percentage"),
        (json!({"enabled": true, "percentage": 0.5}), "invalid_percentage"),
        (json!({"enabled": true, "percentage": "50"}), "invalid_body"),
        (json!({"enabled": "true"}), "invalid_body"),
        (json!({"enabled": 1}), "invalid_body"),
        (json!({"percentage": 50}), "missing_field"),
        (json!({"enabled": null}), "missing_field"),
        (json!([true]), "invalid_body"),
    ] {
        alice.put("/flags/f", &body).refused(422, code);
    }
    for body in ["", "{", "{\"enabled\":true,}"] {
        alice.call(("PUT", "/flags/f"), &[], body).refused(422, "invalid_body");
    }
    assert_eq!(alice.get("/flags").ok(), before);
}

#[test]
fn a_flag_keeps_its_beginning_and_moves_its_update() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let first = set(&mut alice, "f", &json!({"enabled": true, "percentage": 1}));
    let later = until("the clock moves on", || {
        let later = set(&mut alice, "f", &json!({"enabled": true, "percentage": 2}));
        assert_eq!(later["created_at"], first["created_at"]);
        (later["updated_at"] != first["updated_at"]).then_some(later)
    });
    assert!(later["updated_at"].as_str() > first["updated_at"].as_str());
    assert_eq!(alice.get("/flags").ok(), json!({"flags": [later]}));
}

#[test]
fn a_list_is_sorted_and_comes_in_pages() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    assert_eq!(alice.get("/flags").ok(), json!({"flags": []}));
    let mut flags = Vec::new();
    for name in ["B", "a-1", "a-2", "a_3", "b"] {
        flags.push(set(&mut alice, name, &json!({"enabled": true, "percentage": 50})));
    }
    assert_eq!(alice.get("/flags").ok(), json!({"flags": flags}));
    let page = alice.get("/flags?prefix=a&limit=2").ok();
    assert_eq!(names(&page, "flags", "name"), ["a-1", "a-2"]);
    assert_eq!(page["next"], "a-2");
    let page = alice.get("/flags?prefix=a&limit=2&after=a-2").ok();
    assert_eq!(page, json!({"flags": [flags[3]]}));
    alice.get("/flags?limit=0").refused(422, "invalid_query");
}

#[test]
fn who_a_rollout_reaches_is_fixed_for_ever() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let long = "x".repeat(100);
    // The ten-thousandth of all keys that a key is under a flag.
    for (name, key, place) in [
        ("new-checkout", "customer-42", 7812),
        ("dark_mode", "customer-42", 3510),
        ("A", "user-1", 6617),
        ("A", "", 8988),
        ("rollout-2", "%F0%9F%90%99%20%C3%A9", 8377),
        (&*long, "a+b%26c%3Dd%2F%25", 2968),
    ] {
        let last_off = place / 100;
        for (percentage, expected) in [(last_off, false), (last_off + 1, true)] {
            set(&mut alice, name, &json!({"enabled": true, "percentage": percentage}));
            let answer = alice.get(&format!("/flags/{name}?key={key}")).ok();
            assert_eq!(answer["enabled"], expected, "{name} {key} {percentage}");
        }
    }
}

#[test]
fn raising_the_percentage_only_ever_adds_keys() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let mut on = [false; 300];
    for percentage in [0, 1, 10, 50, 51, 90, 100] {
        set(&mut alice, "f", &json!({"enabled": true, "percentage": percentage}));
        for (key, was_on) in on.iter_mut().enumerate() {
            let is_on = is_on(&mut alice, "f", &format!("user-{key}"));
            assert!(is_on || !*was_on, "user-{key} loses the flag at {percentage}");
            *was_on = is_on;
        }
        let share = on.iter().filter(|&&on| on).count() as f64 / 3.0;
        assert!((share - f64::from(percentage)).abs() < 10.0, "{percentage}: {share}");
    }
}

#[test]
fn two_flags_choose_their_keys_independently() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    for name in ["one", "two"] {
        set(&mut alice, name, &json!({"enabled": true, "percentage": 50}));
    }
    let keys: Vec<String> = (0..200).map(|key| format!("user-{key}")).collect();
    let mut both = |key: &str| is_on(&mut alice, "one", key) && is_on(&mut alice, "two", key);
    let both = keys.iter().filter(|key| both(key)).count();
    assert!((25..=75).contains(&both), "about a quarter of 200: {both}");
}

#[test]
fn without_a_key_the_account_is_the_key() {
    fn assert_own_key(server: &Server, mut caller: Caller, name: &str) -> Vec<bool> {
        let held = caller.post(&format!("/locks/{name}/acquire"), &json!({"ttl_seconds": 60}));
        let id = held.ok()["holder_id"].as_str().unwrap().to_owned();
        assert_eq!(server.alice().get(name).ok()["holder_id"], *id);
        let one = |index: usize| {
            let flag = format!("f-{index}");
            set(&mut caller, &flag, &json!({"enabled": true, "percentage": 50}));
            let plain = caller.get(&format!("/flags/{flag}")).ok()["enabled"] == true;
            assert_eq!(plain, is_on(&mut caller, &flag, &id), "{flag}");
            plain
        };
        (0..40).map(one).collect()
    }
    let server = Setup::new().start();
    let alices = assert_own_key(&server, Caller::alice(&server), "a");
    let bobs = assert_own_key(&server, Caller::bob(&server), "b");
    // One in 2^40 that an account's forty are all alike, or two accounts' forty.
    assert!(alices.contains(&true) && alices.contains(&false));
    assert_ne!(alices, bobs);
}

#[test]
fn an_account_has_as_many_flags_as_it_may() {
    let setup = Setup::new().flag("--flags-per-account", "3");
    let server = setup.start();
    let mut alice = Caller::alice(&server);
    for name in ["a", "b", "c"] {
        set(&mut alice, name, &json!({"enabled": true}));
    }
    alice.put("/flags/d", &json!({"enabled": true})).refused(429, "quota_exceeded");
    assert_eq!(alice.get("/flags/d").ok()["enabled"], false);
    set(&mut alice, "c", &json!({"enabled": false}));
    set(&mut Caller::bob(&server), "d", &json!({"enabled": true}));
    server.kill();
    let server = setup.start();
    let mut alice = Caller::alice(&server);
    alice.put("/flags/d", &json!({"enabled": true})).refused(429, "quota_exceeded");
    alice.delete("/flags/a").ok();
    set(&mut alice, "d", &json!({"enabled": true}));
    assert_eq!(names(&alice.get("/flags").ok(), "flags", "name"), ["b", "c", "d"]);
}
