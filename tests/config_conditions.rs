//! Entity tags and conditions: who writes what it has not seen is told so, and nothing is lost.

use crate::{
    caller::Caller,
    common::{ALICE, Address, Answer, Setup, at_once, until},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

fn etag(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("etag").unwrap().to_owned()
}

#[test]
fn every_read_and_write_carries_the_tag_of_its_version() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let first = etag(&alice.put_value("a", "1"));
    assert_eq!(etag(&alice.get("/config/a")), first);
    assert_eq!(etag(&alice.head("/config/a")), first);
    let second = etag(&alice.put_value("a", "1"));
    assert_ne!(second, first, "the same value in another version");
    assert_eq!(etag(&alice.get("/config/a?version=1")), first);
    assert_eq!(etag(&alice.get("/config/a?version=2")), second);
    assert_eq!(etag(&alice.get("/config/a/history")), second);
    let third = etag(&alice.post("/config/a/rollback", &json!({"version": 1})));
    assert_eq!(etag(&alice.get("/config/a")), third);
    assert!(third != first && third != second);
}

#[test]
fn a_tag_is_never_used_again() {
    let setup = Setup::new();
    let mut seen = BTreeSet::new();
    let mut server = setup.start();
    for round in 0..6 {
        let mut alice = Caller::alice(&server);
        for key in ["a", "b"] {
            for _ in 0..3 {
                assert!(seen.insert(etag(&alice.put_value(key, "1"))), "round {round}");
            }
            let kept = etag(&alice.get(&format!("/config/{key}")));
            alice.delete(&format!("/config/{key}")).ok();
            let stale = alice.put_value_if(key, "1", &[("if-match", &kept)]);
            stale.refused(412, "precondition_failed");
        }
        assert!(seen.insert(etag(&Caller::bob(&server).put_value("a", "1"))));
        if round % 2 == 1 {
            server.kill();
            server = setup.start();
        }
    }
}

#[test]
fn a_reader_that_has_it_already_is_told_so_without_a_body() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let first = etag(&alice.put_value("a", "1"));
    let mut read = |path: &str, condition: &str| {
        let answer = alice.call(("GET", path), &[("if-none-match", condition)], "");
        assert_eq!(answer.body.is_empty(), answer.status == 304, "{answer:?}");
        (answer.status, answer.header("etag").map(str::to_owned))
    };
    let unchanged = (304, Some(first.clone()));
    for known in
        [first.clone(), format!("W/{first}"), format!("\"x\", {first} , W/\"y\""), "*".to_owned()]
    {
        assert_eq!(read("/config/a", &known), unchanged, "{known}");
    }
    for other in ["\"\"", "\"x\"", "nonsense", first.trim_matches('"')] {
        assert_eq!(read("/config/a", other).0, 200, "{other}");
    }
    for path in ["/config/b", "/config/a?version=7"] {
        assert_eq!(read(path, "*"), (404, None));
    }
    assert_eq!(read("/config/a?version=1", &first), unchanged);
    let mut writer = Caller::alice(&server);
    let second = etag(&writer.put_value("a", "2"));
    assert_eq!(read("/config/a", &first), (200, Some(second.clone())));
    assert_eq!(read("/config/a", &second), (304, Some(second.clone())));
    assert_eq!(read("/config/a?version=1", &first), unchanged);
    assert_eq!(read("/config/a?version=1", &second).0, 200);
    let head = writer.call(("HEAD", "/config/a"), &[("if-none-match", &second)], "");
    assert_eq!(head.status, 304);
}

#[test]
fn a_history_that_has_not_changed_need_not_be_read_again() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    alice.put_value("a", "1").ok();
    let seen = etag(&alice.get("/config/a/history"));
    let again = alice.call(("GET", "/config/a/history"), &[("if-none-match", &seen)], "");
    assert_eq!(again.status, 304, "{}", again.text());
}

#[test]
fn a_write_that_names_what_it_replaces_fails_when_that_has_moved() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let first = etag(&alice.put_value("a", "1"));
    let other = etag(&alice.put_value("b", "1"));
    let second = etag(&alice.put_value_if("a", "2", &[("if-match", &first)]));
    let weak = format!("W/{second}");
    let stale: Vec<&str> = vec![&first, &other, &weak, "\"x\"", "nonsense", "\"\""];
    for condition in stale {
        let headers = [("if-match", condition)];
        for (method, path, body) in [
            ("PUT", "/config/a", "{\"value\":3}"),
            ("DELETE", "/config/a", ""),
            ("POST", "/config/a/rollback", "{\"version\":1}"),
        ] {
            let refused = alice.call((method, path), &headers, body);
            refused.refused(412, "precondition_failed");
        }
    }
    assert_eq!(alice.get("/config/a").ok()["version"], 2, "nothing was written");
    let list = format!("\"x\", {first}, {second}");
    let third = etag(&alice.put_value_if("a", "3", &[("if-match", &list)]));
    let rollback = ("POST", "/config/a/rollback");
    let fourth = etag(&alice.call(rollback, &[("if-match", &third)], "{\"version\":1}"));
    alice
        .call(rollback, &[("if-match", &third)], "{\"version\":1}")
        .refused(412, "precondition_failed");
    let fifth = etag(&alice.put_value_if("a", "5", &[("if-match", "*")]));
    let delete = ("DELETE", "/config/a");
    alice.call(delete, &[("if-match", &fourth)], "").refused(412, "precondition_failed");
    assert_eq!(alice.call(delete, &[("if-match", &fifth)], "").ok(), json!({"deleted": true}));
    // What is not there is not what was expected.
    for condition in ["*", &fifth] {
        let headers = [("if-match", condition)];
        alice.put_value_if("a", "6", &headers).refused(412, "precondition_failed");
        alice.call(delete, &headers, "").refused(412, "precondition_failed");
    }
    alice.get("/config/a").refused(404, "config_not_found");
}

#[test]
fn a_tag_is_compared_character_by_character() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let tag = etag(&alice.put_value("a", "1"));
    let (making, version) = tag.trim_matches('"').rsplit_once('-').unwrap();
    for other in [
        format!("\"{}-{version}\"", making.to_uppercase()),
        format!("\"{making}-0{version}\""),
        format!("\"{making}-+{version}\""),
    ] {
        // Once in a million a making is all digits.
        if other != tag {
            let refused = alice.put_value_if("a", "2", &[("if-match", &other)]);
            assert_eq!(refused.status, 412, "{other} is not {tag}");
        }
    }
}

#[test]
fn a_write_of_something_new_alone_happens_once() {
    let server = Setup::new().start();
    let only_new = [("if-none-match", "*")];
    let answers = at_once(16, |thread| {
        Caller::alice(&server).put_value_if("a", &thread.to_string(), &only_new)
    });
    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(made.len(), 1);
    for answer in refused {
        answer.refused(412, "precondition_failed");
    }
    let mut alice = Caller::alice(&server);
    assert_eq!(alice.get("/config/a").ok(), made[0].ok());
    alice.delete("/config/a").ok();
    assert_eq!(alice.put_value_if("a", "1", &only_new).ok()["version"], 1);
}

#[test]
fn a_key_that_cannot_be_is_deleted_like_one_that_is_not_on_conditions_too() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    for headers in [[("if-match", "*")], [("if-match", "\"x\"")], [("if-none-match", "*")]] {
        let unknown = alice.call(("DELETE", "/config/unknown"), &headers, "");
        let never = alice.call(("DELETE", "/config/a%20b"), &headers, "");
        assert_eq!(never.status, unknown.status, "{headers:?}");
    }
}

/// Adds one to the counter with what `mark` says, if nobody did in between.
fn increment(alice: &mut Caller, mark: &Value) -> std::io::Result<bool> {
    let read = alice.try_call(("GET", "/config/n"), &[], "")?;
    let next = json!({"n": read.ok()["value"]["n"].as_u64().unwrap() + 1, "mark": mark});
    let headers = [("if-match", read.header("etag").unwrap())];
    let body = json!({"value": next}).to_string();
    let written = alice.try_call(("PUT", "/config/n"), &headers, &body)?;
    if written.status == 412 {
        return Ok(false);
    }
    assert_eq!(written.ok()["value"], next);
    Ok(true)
}

/// Checks that every one of `marks` was counted once, and nothing else, without a gap.
fn assert_counted(history: &Value, marks: &BTreeSet<String>) {
    let versions = history["versions"].as_array().unwrap();
    let mut seen = BTreeSet::new();
    for (index, version) in versions.iter().rev().enumerate() {
        assert_eq!(version["version"], index + 1, "no gap");
        assert_eq!(version["value"]["n"], index, "each saw the one before");
        if index > 0 {
            let new = seen.insert(version["value"]["mark"].to_string());
            assert!(new, "counted twice: {version}");
        }
    }
    assert_eq!(seen, *marks);
}

const THREADS: usize = 32;
const TIMES: usize = 4;

#[test]
fn thirty_two_who_count_at_once_lose_nothing() {
    let server = Setup::new().flag("--config-history", "1000").start();
    let mut alice = Caller::alice(&server);
    alice.put_value("n", "{\"n\":0}").ok();
    let marks = at_once(THREADS, |thread| {
        let mut alice = Caller::alice(&server);
        let count = |time| {
            let mark = json!([thread, time]);
            while !increment(&mut alice, &mark).unwrap() {}
            mark.to_string()
        };
        (0..TIMES).map(count).collect::<Vec<_>>()
    });
    let marks = marks.into_iter().flatten().collect();
    assert_counted(&alice.get("/config/n/history").ok(), &marks);
}

/// Increments over a server that goes away in the middle: until it is known to have happened.
fn increment_somehow(address: &Mutex<Address>, caller: &mut Option<Caller>, mark: &Value) {
    until("it is counted", || {
        let alice = caller.get_or_insert_with(|| {
            let address = address.lock().unwrap().clone();
            Caller::new(&address, Some(ALICE))
        });
        match increment(alice, mark) {
            Ok(true) => return Some(()),
            Ok(false) => return None,
            Err(_) => *caller = None,
        }
        // It may have been written or not: only the server that is started next can say.
        until("the server is back", || {
            let address = address.lock().unwrap().clone();
            let mut alice = Caller::new(&address, Some(ALICE));
            let history = alice.try_call(("GET", "/config/n/history"), &[], "").ok()?.ok();
            let mut versions = history["versions"].as_array().unwrap().iter();
            Some(versions.any(|version| version["value"]["mark"] == *mark))
        })
        .then_some(())
    });
}

#[test]
fn thirty_two_who_count_over_kill_9_lose_nothing() {
    let setup = Setup::new().flag("--config-history", "1000");
    let mut server = setup.start();
    server.alice().send("PUT", "/config/n", b"{\"value\":{\"n\":0}}").ok();
    let address = Mutex::new(server.address.clone());
    let done = AtomicUsize::new(0);
    let server = std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (address, done) = (&address, &done);
            scope.spawn(move || {
                let mut caller = None;
                for time in 0..TIMES {
                    increment_somehow(address, &mut caller, &json!([thread, time]));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for wanted in [20, 60] {
            until("enough is counted", || (done.load(Ordering::Relaxed) > wanted).then_some(()));
            // Nobody looks for the one that is gone.
            let mut address = address.lock().unwrap();
            server.signal(Signal::KILL);
            server.exit();
            server = setup.start();
            *address = server.address.clone();
        }
        server
    });
    let marks = (0..THREADS).flat_map(|thread| (0..TIMES).map(move |time| [thread, time]));
    let marks = marks.map(|mark| json!(mark).to_string()).collect();
    assert_counted(&Caller::alice(&server).get("/config/n/history").ok(), &marks);
}
