//! Configuration: values that come back as they were sent, and every version of them.

use crate::{
    caller::{Caller, but_for_the_request, names},
    common::{Answer, Setup, is_stamp, request, until},
};
use serde_json::{Value, json};

/// Checks the fields of one version of a key, and that it carries an entity tag.
fn assert_entry(answer: &Answer, key: &str, version: u64) -> Value {
    let body = answer.ok();
    assert_eq!(body["key"], key, "{body}");
    assert_eq!(body["version"], version, "{body}");
    assert!(is_stamp(&body["created_at"]) && is_stamp(&body["updated_at"]), "{body}");
    let etag = answer.header("etag").unwrap();
    assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "strong: {etag}");
    body
}

/// Checks that an answer holds this JSON text, byte for byte, `count` times as a value.
fn assert_holds(answer: &Answer, json: &str, count: usize) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let found = [",", "}"].map(|end| text.matches(&format!("\"value\":{json}{end}")).count());
    assert_eq!(found.iter().sum::<usize>(), count, "{json} in {text}");
}

fn versions(history: &Value) -> Vec<u64> {
    let versions = history["versions"].as_array().unwrap().iter();
    versions.map(|version| version["version"].as_u64().unwrap()).collect()
}

#[test]
fn a_write_answers_what_is_stored_and_a_read_the_same() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let body = json!({"value": {"a": [1, "x"]}, "description": "what for", "unknown": 1});
    let written = alice.put("/config/payments.limits_v-1", &body);
    let first = assert_entry(&written, "payments.limits_v-1", 1);
    assert_eq!(first["value"], body["value"]);
    assert_eq!(first["description"], "what for");
    assert_eq!(first["created_at"], first["updated_at"]);
    let read = alice.get("/config/payments.limits_v-1");
    assert_eq!(read.ok(), first);
    assert_eq!(read.header("etag"), written.header("etag"));
    assert_eq!(alice.get("/config/payments.limits_v-1?version=1").ok(), first);
    let later = until("the clock moves on", || {
        let later = alice.put_value("payments.limits_v-1", "2").ok();
        (later["updated_at"] != first["updated_at"]).then_some(later)
    });
    assert_eq!(later["created_at"], first["created_at"]);
    assert!(later["updated_at"].as_str() > first["updated_at"].as_str());
    assert!(later.get("description").is_none(), "each version has its own: {later}");
    let first_again = alice.get("/config/payments.limits_v-1?version=1").ok();
    assert_eq!(first_again, first, "an earlier version stays as it was");
}

#[test]
fn values_come_back_byte_for_byte_and_stay_so_over_restarts() {
    let digits = "1234567890".repeat(5);
    let decimal = format!("-0.{digits}");
    let deep = format!("{}1{}", "[{\"k\":".repeat(20), "}]".repeat(20));
    let values = [
        "null",
        "true",
        "\"\"",
        "{}",
        "[]",
        "0",
        "-0",
        "250.00",
        "18446744073709551617",
        "-9223372036854775809",
        &digits,
        &decimal,
        "1E+400",
        "1e-400",
        "0.1e00",
        "{\"z\":1,\"a\":{\"y\":2,\"b\":3},\"m\":[]}",
        "{\"a\":1,\"a\":2}",
        "{ \"a\" : [ 1 ,\t2 ],\n \"b\":{ } }",
        "\"\\u00e4\\/\\ud83d\\udc19\\u0000\\n\"",
        "\"\\ud800\"",
        "\"\u{e4}\u{1f419}\u{7f}\u{2028}\"",
        "\"\\\"value\\\":\"",
        &deep,
    ];
    let setup = Setup::new();
    let mut server = setup.start();
    let mut alice = Caller::alice(&server);
    for (index, json) in values.iter().enumerate() {
        let key = format!("k{index}");
        assert_holds(&alice.put_value(&key, json), json, 1);
        assert_holds(&alice.put_value(&key, "\"later\""), "\"later\"", 1);
        let path = format!("/config/{key}/rollback");
        assert_holds(&alice.post(&path, &json!({"version": 1})), json, 1);
    }
    for restart in 0..3 {
        let mut alice = Caller::alice(&server);
        for (index, json) in values.iter().enumerate() {
            let key = format!("k{index}");
            assert_holds(&alice.get(&format!("/config/{key}")), json, 1);
            assert_holds(&alice.get(&format!("/config/{key}?version=1")), json, 1);
            assert_holds(&alice.get(&format!("/config/{key}/history")), json, 2);
        }
        match restart {
            0 => server.kill(),
            _ => drop(server.stop()),
        }
        server = setup.start();
    }
}

#[test]
fn a_value_may_have_256_kib_and_no_byte_more() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let most = format!("\"{}\"", "x".repeat(256 * 1024 - 2));
    let body = format!("{{\"description\":\"{}\",\"value\":{most}}}", "\\ud83d\\udc19".repeat(500));
    let written = alice.call(("PUT", "/config/a"), &[], &body);
    assert_holds(&written, &most, 1);
    assert_eq!(alice.get("/config/a").body, written.body);
    for size in [256 * 1024 - 1, 300 * 1024, 1024 * 1024] {
        let json = format!("\"{}\"", "x".repeat(size));
        let refused = Caller::alice(&server).put_value("a", &json);
        refused.refused(413, "body_too_large");
    }
    assert_eq!(alice.get("/config/a").ok()["version"], 1);
}

#[test]
fn a_value_may_be_nested_128_deep_and_no_deeper() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let arrays = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    for json in [arrays(128), objects(128), format!("\"{}\"", "[".repeat(5000))] {
        assert_holds(&alice.put_value("a", &json), &json, 1);
        assert_holds(&alice.get("/config/a"), &json, 1);
    }
    assert_eq!(alice.get("/config/a/history").status, 200);
    for json in [arrays(129), objects(129), arrays(100_000)] {
        alice.put_value("a", &json).refused(422, "value_too_deep");
    }
    alice.put_value("a", &"[".repeat(100_000)).refused(422, "invalid_body");
    assert_eq!(alice.get("/config/a").ok()["version"], 3);
}

#[test]
fn a_description_has_at_most_500_characters() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    for (version, character) in [(1, "d"), (2, "\u{e4}"), (3, "\u{1f419}")] {
        let body = json!({"value": 1, "description": character.repeat(500)});
        let entry = assert_entry(&alice.put("/config/a", &body), "a", version);
        assert_eq!(entry["description"], body["description"]);
        assert_eq!(alice.get("/config").ok()["configs"][0]["description"], body["description"]);
        let body = json!({"value": 1, "description": character.repeat(501)});
        alice.put("/config/a", &body).refused(422, "invalid_description");
    }
    let none = alice.put("/config/a", &json!({"value": 1, "description": null})).ok();
    assert!(none.get("description").is_none(), "null counts as absent: {none}");
    alice.put("/config/a", &json!({"value": 1, "description": 7})).refused(422, "invalid_body");
}

#[test]
fn a_value_must_be_there_and_null_is_one() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    alice.put("/config/a", &json!({})).refused(422, "missing_field");
    alice.put("/config/a", &json!({"description": "d"})).refused(422, "missing_field");
    for body in ["", "null", "[1]", "1", "{\"value\":}", "{\"value\":01}", "{\"value\":nul}"] {
        alice.call(("PUT", "/config/a"), &[], body).refused(422, "invalid_body");
    }
    for json in ["NaN", "1.", "'a'", "\"\\x\"", "\"\n\"", "[1,]", "{a:1}", "1}", "{\"a\":1"] {
        alice.put_value("a", json).refused(422, "invalid_body");
    }
    alice.get("/config/a").refused(404, "config_not_found");
    let null = assert_entry(&alice.put("/config/a", &json!({"value": null})), "a", 1);
    assert_eq!(null.get("value"), Some(&Value::Null));
}

#[test]
fn a_history_is_newest_first_and_lets_the_oldest_go() {
    let server = Setup::new().flag("--config-history", "5").start();
    let mut alice = Caller::alice(&server);
    alice.get("/config/a/history").refused(404, "config_not_found");
    for version in 1_u64..=7 {
        let body = json!({"value": version * 10, "description": format!("d{version}")});
        let written = alice.put("/config/a", &body).ok();
        let history = alice.get("/config/a/history").ok();
        let kept: Vec<u64> = (1..=version).rev().take(5).collect();
        assert_eq!(versions(&history), kept);
        let newest = &history["versions"][0];
        assert_eq!(newest["value"], written["value"]);
        assert_eq!(newest["description"], written["description"]);
        assert_eq!(newest["created_at"], written["updated_at"], "of the version");
    }
    for version in 3..=7 {
        let entry = alice.get(&format!("/config/a?version={version}"));
        assert_eq!(assert_entry(&entry, "a", version)["value"], version * 10);
    }
    for gone in ["1", "2", "8", "0", "-1", "x", "", "1.0", "9007199254740993", "1e0"] {
        let path = format!("/config/a?version={gone}");
        let said = alice.get(&path).refused(404, "config_not_found");
        assert_eq!(said["error"], "Config not found");
        assert!(said["details"].as_str().unwrap().contains("this version is not kept"), "{said}");
    }
    alice.get("/config/b?version=1").refused(404, "config_not_found");
    let said = alice.get("/config/b").refused(404, "config_not_found");
    assert!(said.get("details").is_none(), "{said}");
}

#[test]
fn a_hundred_versions_are_kept_unless_told_otherwise() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    for version in 1..=103 {
        assert_entry(&alice.put_value("a", &version.to_string()), "a", version);
    }
    let history = alice.get("/config/a/history").ok();
    assert!(versions(&history).into_iter().eq((4..=103).rev()));
}

#[test]
fn a_rollback_writes_an_earlier_version_once_more_as_the_next() {
    let server = Setup::new().flag("--config-history", "3").start();
    let mut alice = Caller::alice(&server);
    let rollback = |alice: &mut Caller, body: Value| alice.post("/config/a/rollback", &body);
    rollback(&mut alice, json!({"version": 1})).refused(404, "config_not_found");
    alice.put("/config/a", &json!({"value": "one", "description": "first"})).ok();
    alice.put_value("a", "\"two\"").ok();
    let third = assert_entry(&rollback(&mut alice, json!({"version": 1})), "a", 3);
    assert_eq!(third["value"], "one");
    assert_eq!(third["description"], "first");
    assert_eq!(alice.get("/config/a").ok(), third);
    // The present one too, and the oldest of a full history, which goes by this.
    assert_entry(&rollback(&mut alice, json!({"version": 3.0})), "a", 4);
    let fifth = assert_entry(&rollback(&mut alice, json!({"version": 2})), "a", 5);
    assert_eq!(fifth["value"], "two");
    for never in [1, 2, 6, 1_u64 << 52] {
        let said = rollback(&mut alice, json!({"version": never}));
        let said = said.refused(404, "config_not_found");
        assert_eq!(said["error"], "Config not found");
        assert!(said["details"].as_str().unwrap().contains("this version is not kept"), "{said}");
    }
    for (body, code) in [
        (json!({}), "missing_field"),
        (json!({"version": null}), "missing_field"),
        (json!({"version": 0}), "invalid_version"),
        (json!({"version": -1}), "invalid_version"),
        (json!({"version": 1.5}), "invalid_version"),
        (json!({"version": "4"}), "invalid_body"),
        (json!([4]), "invalid_body"),
    ] {
        rollback(&mut alice, body).refused(422, code);
    }
    assert_eq!(versions(&alice.get("/config/a/history").ok()), [5, 4, 3]);
}

#[test]
fn a_deletion_takes_all_versions_and_the_next_is_the_first_again() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    alice.delete("/config/a").refused(404, "config_not_found");
    for json in ["1", "2", "3"] {
        alice.put_value("a", json).ok();
    }
    assert_eq!(alice.delete("/config/a").ok(), json!({"deleted": true}));
    for path in ["/config/a", "/config/a?version=1", "/config/a/history"] {
        alice.get(path).refused(404, "config_not_found");
    }
    alice.delete("/config/a").refused(404, "config_not_found");
    assert_eq!(alice.get("/config").ok(), json!({"configs": []}));
    assert_entry(&alice.put_value("a", "4"), "a", 1);
    assert_eq!(versions(&alice.get("/config/a/history").ok()), [1]);
}

#[test]
fn a_list_has_the_present_versions_without_their_values() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    assert_eq!(alice.get("/config").ok(), json!({"configs": []}));
    let mut expected = Vec::new();
    for key in ["B", "a.1", "a.2", "a.3", "b"] {
        alice.put_value(key, "1").ok();
        let body = json!({"value": [2], "description": format!("of {key}")});
        let mut entry = alice.put(&format!("/config/{key}"), &body).ok();
        entry.as_object_mut().unwrap().remove("value");
        expected.push(entry);
    }
    assert_eq!(alice.get("/config").ok(), json!({"configs": expected}));
    let page = alice.get("/config?prefix=a.&limit=2").ok();
    assert_eq!(names(&page, "configs", "key"), ["a.1", "a.2"]);
    assert_eq!(page["next"], "a.2");
    let page = alice.get("/config?prefix=a.&limit=2&after=a.2").ok();
    assert_eq!(page, json!({"configs": [expected[3]]}));
    alice.get("/config?limit=1001").refused(422, "invalid_query");
}

#[test]
fn a_key_that_cannot_be_is_read_like_one_that_is_not() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let long = "k".repeat(101);
    for key in ["", "a%2Fb", "a%20b", "%C3%BC", "%ff", "%00", "a%253A", &long] {
        let path = format!("/config/{key}");
        alice.put(&path, &json!({"value": 1})).refused(422, "invalid_config_key");
        for (method, rest) in
            [("GET", ""), ("GET", "?version=1"), ("DELETE", ""), ("GET", "/history")]
        {
            let never = alice.call((method, &format!("{path}{rest}")), &[], "");
            let unknown = alice.call((method, &format!("/config/unknown{rest}")), &[], "");
            assert_eq!(but_for_the_request(&never), but_for_the_request(&unknown));
            never.refused(404, "config_not_found");
        }
    }
    for key in ["history", "rollback", "..", &"Z_.-0".repeat(20)] {
        assert_entry(&alice.put_value(key, "1"), key, 1);
        assert_eq!(versions(&alice.get(&format!("/config/{key}/history")).ok()), [1]);
    }
}

#[test]
fn an_account_has_as_many_keys_and_bytes_as_it_may() {
    let setup = Setup::new().flag("--configs-per-account", "3");
    let setup = setup.flag("--config-bytes-per-account", "1000").flag("--config-history", "2");
    let server = setup.start();
    let mut alice = Caller::alice(&server);
    let bytes = |count: usize| format!("\"{}\"", "x".repeat(count - 2));
    for key in ["a", "b", "c"] {
        alice.put_value(key, "1").ok();
    }
    alice.put_value("d", "1").refused(429, "quota_exceeded");
    alice.get("/config/d").refused(404, "config_not_found");
    Caller::bob(&server).put_value("d", &bytes(1000)).ok();
    // 3 bytes so far; 997 are left, history included.
    alice.put_value("a", &bytes(998)).refused(429, "quota_exceeded");
    alice.put_value("a", &bytes(997)).ok();
    alice.put_value("b", "2").refused(429, "quota_exceeded");
    let rollback = ("POST", "/config/b/rollback");
    alice.call(rollback, &[], "{\"version\":1}").refused(429, "quota_exceeded");
    // What the history lets go of makes room.
    alice.put_value("a", "12").refused(429, "quota_exceeded");
    assert_entry(&alice.put_value("a", "1"), "a", 3);
    server.kill();
    let server = setup.start();
    let mut alice = Caller::alice(&server);
    alice.put_value("d", "1").refused(429, "quota_exceeded");
    alice.put_value("b", "2").refused(429, "quota_exceeded");
    alice.delete("/config/a").ok();
    alice.put_value("d", &bytes(998)).ok();
    alice.put_value("b", "2").refused(429, "quota_exceeded");
}

#[test]
fn an_account_may_have_no_bytes_at_all() {
    let server = Setup::new().flag("--config-bytes-per-account", "0").start();
    let mut alice = Caller::alice(&server);
    assert_eq!(alice.get("/auth/me").ok()["quotas"]["config_bytes"], 0);
    alice.put_value("a", "1").refused(429, "quota_exceeded");
}

#[test]
fn no_more_of_a_history_comes_to_a_token_that_was_revoked() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    for _ in 0..100 {
        alice.put_value("a", &format!("\"{}\"", "v".repeat(250_000))).ok();
    }
    for revoked in [false, true] {
        let issued = alice.post("/auth/tokens", &json!({ "name": "reader" })).json();
        let shown = format!("Bearer {}", issued["token"].as_str().unwrap());
        let headers = [("authorization", shown.as_str()), ("connection", "close")];
        let mut slow = server.connect();
        slow.send(&request("GET", "/config/a/history", &headers, b""));
        slow.read_head().unwrap();
        if revoked {
            alice.delete(&format!("/auth/tokens/{}", issued["id"].as_str().unwrap())).ok();
        }
        assert_eq!(slow.drain().ends_with(b"]}\r\n0\r\n\r\n"), !revoked);
    }
}
