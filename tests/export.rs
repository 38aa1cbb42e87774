//! Exports: that everything comes back, and that nothing that is not whole is taken.

use crate::{
    admin::{act, keeper, setup},
    caller::Caller,
    common::Setup,
    operation::octostore,
};
use serde_json::{Value, json};

/// A database with something of everything, which no server has open.
fn filled() -> Setup {
    let setup = setup();
    let server = setup.start();
    let body = json!({ "ttl_seconds": 3600, "metadata": "build \"812\"\n", "owner": "pod-7" });
    server.alice().acquire_with("deploy%2Feu", &body).ok();
    server.bob().acquire("a", 60).ok();
    let mut alice = Caller::alice(&server);
    alice.put("/flags/f", &json!({ "enabled": true, "percentage": 25 })).ok();
    alice.put_value("k", "{\"max\":  250.00, \"text\": \"a\\nb\"}").ok();
    alice.put_value("k", "[1.50]").ok();
    // No line is longer: 256 KiB, all of it to be escaped.
    alice.put_value("large", &format!("\"{}\"", "\\\"".repeat((128 << 10) - 1))).ok();
    alice.check("l\u{fc}", 5, 3600).ok();
    alice.delete("/flags/f").ok();
    alice.put("/flags/g", &json!({ "enabled": false })).ok();
    act(&server, "bob", "disable");
    let quotas = json!({ "locks": 7, "requests_per_second": 0 });
    keeper(&server).put(&format!("{}/quotas", crate::admin::path(&server, "bob")), &quotas).ok();
    server.stop();
    setup
}

fn lines(setup: &Setup, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(setup.folder().join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What may differ after the way there and back: where tokens and versions go on.
fn but_for_what_goes_on(mut lines: Vec<Value>) -> Vec<Value> {
    for line in &mut lines {
        if let Some(header) = line.get_mut("octostore_export") {
            header["fencing_mark"] = Value::Null;
        }
        if let Some(config) = line.get_mut("config") {
            config["incarnation"] = Value::Null;
        }
    }
    lines
}

#[test]
fn everything_comes_back_from_an_export() {
    let setup = filled();
    octostore(&setup, &["export", "one"]).ok();
    let said = octostore(&setup, &["import", "one", "--database", "made.db"]).ok();
    assert!(said.contains("fencing tokens"), "{said}");
    octostore(&setup, &["export", "two", "--database", "made.db"]).ok();
    let (one, two) = (lines(&setup, "one"), lines(&setup, "two"));
    assert!(one.len() > 12, "{one:?}");
    for kind in ["account", "token", "lock", "limit", "flag", "config", "audit", "end"] {
        assert!(one.iter().any(|line| line.get(kind).is_some()), "no {kind}");
    }
    assert_ne!(one, two);
    assert!(
        two[0]["octostore_export"]["fencing_mark"].as_u64()
            > one[0]["octostore_export"]["fencing_mark"].as_u64()
    );
    assert_eq!(but_for_what_goes_on(one), but_for_what_goes_on(two));
    assert!(octostore(&setup, &["check", "made.db"]).ok().contains("and whole"));

    let server = setup.clone().database_at(&setup.folder().join("made.db")).start();
    let lock = server.alice().get("deploy%2Feu").ok();
    assert_eq!(lock["metadata"], "build \"812\"\n");
    let value = Caller::alice(&server).get("/config/k?version=1");
    assert!(value.text().contains("{\"max\":  250.00, \"text\": \"a\\nb\"}"), "{value:?}");
    server.bob().get("a").refused(403, "account_disabled");
    // The audit log goes on where it was.
    let last = keeper(&server).get("/admin/audit?limit=1").ok()["entries"][0]["id"].clone();
    act(&server, "bob", "enable");
    let next = keeper(&server).get("/admin/audit?limit=1").ok()["entries"][0]["id"].clone();
    assert_eq!(next.as_u64().unwrap(), last.as_u64().unwrap() + 1);
}

#[test]
fn an_export_holds_no_secret() {
    let setup = filled();
    octostore(&setup, &["export", "e"]).ok();
    let text = std::fs::read_to_string(setup.folder().join("e")).unwrap();
    for secret in [crate::common::ALICE, crate::common::BOB, crate::admin::KEY] {
        assert!(!text.contains(secret));
    }
}

#[test]
fn a_backup_is_exported_like_a_database() {
    let setup = filled();
    octostore(&setup, &["backup", "b"]).ok();
    octostore(&setup, &["export", "one"]).ok();
    octostore(&setup, &["export", "two", "--database", "b"]).ok();
    assert_eq!(lines(&setup, "one"), lines(&setup, "two"));
    let server = setup.start();
    assert!(octostore(&setup, &["export", "three"]).refused(75).contains("octostore backup"));
    server.stop();
}

#[test]
fn an_export_that_is_not_whole_is_refused_and_nothing_is_made() {
    let setup = filled();
    octostore(&setup, &["export", "whole"]).ok();
    let whole = std::fs::read_to_string(setup.folder().join("whole")).unwrap();
    let all: Vec<&str> = whole.lines().collect();
    let without = |at: usize| {
        let mut lines = all.clone();
        lines.remove(at);
        lines.join("\n") + "\n"
    };
    let replaced = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        whole.replacen(from, to, 1)
    };
    let account = all.iter().position(|line| line.starts_with("{\"account\"")).unwrap();
    let mut broken = vec![
        (String::new(), "empty"),
        (whole[..whole.len() / 2].to_owned(), "no line of an export"),
        (" ".repeat(3 << 20), "longer than any line"),
        (without(0), "header"),
        (without(all.len() - 1), "cut off"),
        (without(3), "missing"),
        (without(account), "missing"),
        (whole.clone() + all[1] + "\n", "after the end"),
        (replaced("\"format\":1", "\"format\":2"), "format 2"),
        (replaced("\"ttl_seconds\":3600", "\"ttl_seconds\":3601"), "ttl_seconds"),
        (replaced("\"percentage\":null", "\"percentage\":101"), "percentage"),
        (replaced("\"version\":2", "\"version\":3"), "gap"),
        (replaced("\"version\":2", "\"version\":9007199254740991"), "at most 2^52"),
        (replaced("\"last_audit_id\":", "\"last_audit_id\":922337203685477"), "at most 2^52"),
        (replaced("\"metadata\":null", "\"metadata\":null,\"color\":1"), "color"),
        (replaced("\"result\":\"ok\"", "\"result\":\"fine\""), "result"),
    ];
    for (field, line) in [
        ("scope", "\"scope\":null,"),
        ("expires_at", "\"expires_at\":null,"),
        ("percentage", "\"percentage\":null,"),
        ("owner", "\"owner\":\"pod-7\","),
    ] {
        broken.push((replaced(line, ""), field));
    }
    let deep = format!("\"value\":\"{}{}\"", "[".repeat(129), "]".repeat(129));
    broken.push((replaced("\"value\":\"[1.50]\"", &deep), "at most 128 deep"));
    let flag = all.iter().find(|line| line.starts_with("{\"flag\"")).unwrap();
    let whose = flag.find("\"account\":\"").unwrap() + "\"account\":\"".len();
    let nobody = uuid::Uuid::nil().to_string();
    let of_nobody = format!("{}{nobody}{}", &flag[..whose], &flag[whose + nobody.len()..]);
    broken.push((replaced(flag, &of_nobody), "of an account that is not"));
    for kind in ["account", "token", "lock", "limit", "flag"] {
        let one = all.iter().position(|line| line.starts_with(&format!("{{\"{kind}\""))).unwrap();
        let mut twice = all.clone();
        twice.insert(one, twice[one]);
        let end = format!("\"lines\":{}", all.len() - 1);
        let more = format!("\"lines\":{}", all.len());
        broken.push((twice.join("\n").replacen(&end, &more, 1) + "\n", "twice"));
    }
    broken.push((replaced("\"fencing_mark\"", "\"color\":1,\"fencing_mark\""), "color"));
    let mark = all[0].split("\"fencing_mark\":").nth(1).unwrap().split(',').next().unwrap();
    broken.push((
        replaced(&format!("\"fencing_mark\":{mark}"), "\"fencing_mark\":0"),
        "above the mark",
    ));
    let names = || {
        let listed = std::fs::read_dir(setup.folder()).unwrap();
        listed.map(|entry| entry.unwrap().file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    std::fs::write(setup.folder().join("broken"), "").unwrap();
    std::fs::write(setup.folder().join("made.db-lock"), "").unwrap();
    let before = names();
    for (text, why) in broken {
        std::fs::write(setup.folder().join("broken"), text).unwrap();
        let said = octostore(&setup, &["import", "broken", "--database", "made.db"]).refused(65);
        assert!(said.contains(why), "{why}: {said}");
        assert_eq!(names(), before, "{why}");
    }
}
