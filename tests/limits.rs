//! Rate limits: the documents' bodies, the headers, and never one admitted too many.

use crate::{
    caller::{Caller, but_for_the_request, limit, names},
    common::{Answer, PATIENCE, Setup, at_once, is_stamp, until},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How a limiter must stand, and that its headers say the same as its body.
fn assert_standing(answer: &Answer, allowed: bool, remaining: u64) -> Value {
    let body = answer.ok();
    assert_eq!(body["allowed"], allowed, "{body}");
    assert_eq!(body["remaining"], remaining, "{body}");
    assert!(is_stamp(&body["reset_at"]), "{body}");
    let (max, window) = (body["max_requests"].clone(), body["window_seconds"].clone());
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some(&*format!("\"default\";q={max};w={window}"))
    );
    let left = answer.header("ratelimit").unwrap();
    let until = left.strip_prefix(&format!("\"default\";r={remaining};t=")).unwrap();
    let until: u64 = until.parse().unwrap();
    assert!((0..=window.as_u64().unwrap()).contains(&until), "{left}");
    assert_eq!(body.get("retry_after_seconds").is_some(), !allowed, "only of a refusal: {body}");
    body
}

#[test]
fn a_check_answers_all_that_the_document_requires() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let first = alice.check("api", 5, 60);
    let body = assert_standing(&first, true, 4);
    assert_eq!(body["max_requests"], 5);
    assert_eq!(body["window_seconds"], 60);
    assert_eq!(body["current_count"], 1);
    assert_eq!(first.header("retry-after"), None);
    let reset: jiff::Timestamp = body["reset_at"].as_str().unwrap().parse().unwrap();
    let ahead = reset.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((25..=61).contains(&ahead), "free again a window after the last request: {ahead}");
    for remaining in (0..4).rev() {
        assert_standing(&alice.check("api", 5, 60), true, remaining);
    }
}

#[test]
fn a_refusal_is_200_and_says_how_long_to_wait() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    assert_standing(&alice.check("a", 1, 3600), true, 0);
    for _ in 0..3 {
        let refused = alice.check("a", 1, 3600);
        let body = assert_standing(&refused, false, 0);
        let seconds = body["retry_after_seconds"].as_u64().unwrap();
        assert!((3570..=3600).contains(&seconds), "{body}");
        assert_eq!(refused.header("retry-after"), Some(&*seconds.to_string()));
        assert_eq!(body["current_count"], 1, "a refusal takes nothing");
    }
    let seen = assert_standing(&alice.get("/limits/a"), false, 0);
    assert!((3570..=3600).contains(&seen["retry_after_seconds"].as_u64().unwrap()));
}

#[test]
fn looking_takes_nothing() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    alice.get("/limits/a").refused(404, "limit_not_found");
    alice.get("/limits/a").refused(404, "limit_not_found");
    alice.check("a", 3, 3600).ok();
    for _ in 0..5 {
        let body = assert_standing(&alice.get("/limits/a"), true, 2);
        assert_eq!(body["current_count"], 1);
        assert_eq!(alice.head("/limits/a").status, 200);
        let list = alice.get("/limits").ok();
        assert_eq!(list["limits"][0]["remaining"], 2);
    }
    assert_standing(&alice.check("a", 3, 3600), true, 1);
}

#[test]
fn a_reset_begins_anew() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    alice.delete("/limits/a").refused(404, "limit_not_found");
    assert_standing(&alice.check("a", 1, 3600), true, 0);
    assert_standing(&alice.check("a", 1, 3600), false, 0);
    assert_eq!(alice.delete("/limits/a").ok(), json!({"reset": true}));
    alice.get("/limits/a").refused(404, "limit_not_found");
    assert_eq!(alice.get("/limits").ok(), json!({"limits": []}));
    alice.delete("/limits/a").refused(404, "limit_not_found");
    assert_standing(&alice.check("a", 1, 3600), true, 0);
}

#[test]
fn a_cost_is_taken_whole_or_not_at_all() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let mut spend = |cost: u32| {
        let body = json!({"max_requests": 10, "window_seconds": 3600, "cost": cost});
        alice.check_with("a", &body)
    };
    assert_standing(&spend(7), true, 3);
    let refused = spend(4);
    let body = assert_standing(&refused, false, 3);
    assert_eq!(refused.header("retry-after"), Some(&*body["retry_after_seconds"].to_string()));
    assert_standing(&spend(3), true, 0);
    assert_standing(&spend(1), false, 0);
    // The whole quota at once, and `null` for the default.
    let whole = json!({"max_requests": 10000, "window_seconds": 86400, "cost": 10000});
    assert_standing(&alice.check_with("whole", &whole), true, 0);
    let one = json!({"max_requests": 2, "window_seconds": 60, "cost": null, "unknown": {}});
    assert_standing(&alice.check_with("null", &one), true, 1);
}

#[test]
fn what_is_out_of_bounds_is_refused_and_takes_nothing() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    for (body, code) in [
        (json!({"max_requests": 0, "window_seconds": 60}), "invalid_policy"),
        (json!({"max_requests": 10001, "window_seconds": 60}), "invalid_policy"),
        (json!({"max_requests": -1, "window_seconds": 60}), "invalid_policy"),
        (json!({"max_requests": 1.5, "window_seconds": 60}), "invalid_policy"),
        (json!({"max_requests": 1e300, "window_seconds": 60}), "invalid_policy"),
        (json!({"max_requests": 1, "window_seconds": 0}), "invalid_policy"),
        (json!({"max_requests": 1, "window_seconds": 86401}), "invalid_policy"),
        (json!({"max_requests": 5, "window_seconds": 60, "cost": 0}), "invalid_policy"),
        (json!({"max_requests": 5, "window_seconds": 60, "cost": 6}), "invalid_policy"),
        (json!({"max_requests": 5, "window_seconds": 60, "cost": -1}), "invalid_policy"),
        (json!({"max_requests": 5, "window_seconds": 60, "cost": 0.5}), "invalid_policy"),
        (json!({"max_requests": "5", "window_seconds": 60}), "invalid_body"),
        (json!({"max_requests": 5, "window_seconds": [60]}), "invalid_body"),
        (json!({"max_requests": 5, "window_seconds": 60, "cost": true}), "invalid_body"),
        (json!({"window_seconds": 60}), "missing_field"),
        (json!({"max_requests": 5}), "missing_field"),
        (json!({"max_requests": null, "window_seconds": 60}), "missing_field"),
        (json!([5, 60]), "invalid_body"),
    ] {
        alice.check_with("a", &body).refused(422, code);
    }
    for body in ["", "{", "null", "max_requests=5&window_seconds=60"] {
        alice.call(("POST", "/limits/a/check"), &[], body).refused(422, "invalid_body");
    }
    alice.get("/limits/a").refused(404, "limit_not_found");
    let whole = json!({"max_requests": 5.0, "window_seconds": 6e1});
    assert_standing(&alice.check_with("a", &whole), true, 4);
    assert_standing(&alice.check("most", 10000, 86400), true, 9999);
    assert_standing(&alice.check("least", 1, 1), true, 0);
}

#[test]
fn a_name_is_any_text_of_1_to_100_characters() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    let octopus = "\u{1f419}".repeat(100);
    let long = "n".repeat(100);
    let mut all = vec![long.clone(), octopus.clone()];
    let encoded_octopus = "%F0%9F%90%99".repeat(100);
    for (path, name) in [
        (&*long, &*long),
        (&*encoded_octopus, &*octopus),
        ("a%2Fb%2F", "a/b/"),
        ("a%252Fb", "a%2Fb"),
        ("a%20b%09c", "a b\tc"),
        ("a+b", "a+b"),
        ("%00", "\0"),
        ("check", "check"),
        ("%22%5C%C3%BC%7F", "\"\\\u{fc}\u{7f}"),
        ("..%2F..", "../.."),
        ("%3Fkey%3D1%23", "?key=1#"),
    ] {
        assert_standing(&alice.check(path, 3, 3600), true, 2);
        assert_standing(&alice.get(&format!("/limits/{path}")), true, 2);
        if !all.iter().any(|known| known == name) {
            all.push(name.to_owned());
        }
    }
    all.sort_unstable();
    assert_eq!(names(&alice.get("/limits").ok(), "limits", "name"), all);
    let eights = alice.get("/limits?prefix=%F0%9F%90%99%F0%9F&limit=1").ok();
    assert_eq!(eights["limits"], json!([]), "a prefix is text too");
    let eights = alice.get("/limits?prefix=%F0%9F%90%99").ok();
    assert_eq!(names(&eights, "limits", "name"), [octopus]);
    alice.delete("/limits/a%2Fb%2F").ok();
    alice.get("/limits/a%252Fb").ok();
}

#[test]
fn a_name_that_cannot_be_is_of_nothing_and_takes_nothing() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    for name in ["", "%ff", "a%C3", &"n".repeat(101), &"%F0%9F%90%99".repeat(101)] {
        alice.check(name, 3, 60).refused(422, "invalid_limit_name");
        for method in ["GET", "DELETE"] {
            let never = alice.call((method, &format!("/limits/{name}")), &[], "");
            let unknown = alice.call((method, "/limits/nobody"), &[], "");
            assert_eq!(but_for_the_request(&never), but_for_the_request(&unknown));
            never.refused(404, "limit_not_found");
        }
    }
    alice.get("/limits/a/b").refused(404, "not_found");
    assert_eq!(alice.get("/limits").ok(), json!({"limits": []}));
}

#[test]
fn a_list_is_sorted_and_comes_in_pages() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    assert_eq!(alice.get("/limits").ok(), json!({"limits": []}));
    for name in ["b%2F2", "a", "b%2F1", "b%2F3", "c"] {
        alice.check(name, 2, 3600).ok();
    }
    alice.check("c", 2, 3600).ok();
    let all = alice.get("/limits").ok();
    assert_eq!(names(&all, "limits", "name"), ["a", "b/1", "b/2", "b/3", "c"]);
    assert!(all.get("next").is_none(), "{all}");
    let last = &all["limits"][4];
    assert!(is_stamp(&last["reset_at"]), "{last}");
    for (field, value) in [
        ("max_requests", json!(2)),
        ("window_seconds", json!(3600)),
        ("current_count", json!(2)),
        ("remaining", json!(0)),
        ("allowed", json!(false)),
    ] {
        assert_eq!(last[field], value, "{field}");
    }
    let page = alice.get("/limits?prefix=b%2F&limit=2").ok();
    assert_eq!(names(&page, "limits", "name"), ["b/1", "b/2"]);
    assert_eq!(page["next"], "b/2");
    let page = alice.get("/limits?prefix=b%2F&limit=2&after=b%2F2").ok();
    assert_eq!(names(&page, "limits", "name"), ["b/3"]);
    assert!(page.get("next").is_none(), "{page}");
    for bad in ["limit=0", "limit=1001", "limit=x"] {
        alice.get(&format!("/limits?{bad}")).refused(422, "invalid_query");
    }
}

#[test]
fn another_policy_judges_the_same_history_anew() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    for remaining in [4, 3, 2] {
        assert_standing(&alice.check("a", 5, 3600), true, remaining);
    }
    let tighter = assert_standing(&alice.check("a", 2, 3600), false, 0);
    assert_eq!(tighter["current_count"], 3);
    let seen = assert_standing(&alice.get("/limits/a"), false, 0);
    assert_eq!(seen["max_requests"], 2, "the policy of the latest call");
    assert_standing(&alice.check("a", 10, 3600), true, 6);
    assert_standing(&alice.check("a", 10, 7200), true, 5);
    // Nothing is forgotten while a longer window was asked for.
    assert_standing(&alice.check("a", 10, 60), true, 4);
    assert_standing(&alice.check("a", 10, 7200), true, 3);
}

#[test]
fn sixteen_at_once_are_admitted_exactly_as_often_as_allowed() {
    const MAX: usize = 500;
    let server = Setup::new().start();
    let admitted = at_once(16, |_| {
        let mut alice = Caller::alice(&server);
        let answers = (0..50).map(|_| alice.check("a", 500, 3600).ok());
        let admitted = answers.filter(|body| body["allowed"] == true);
        admitted.map(|body| body["remaining"].as_u64().unwrap()).collect::<Vec<_>>()
    });
    let mut remaining = admitted.concat();
    remaining.sort_unstable();
    assert_eq!(remaining.len(), MAX);
    assert!(remaining.iter().copied().eq(0..500), "each admission takes one");

    let costs = at_once(16, |thread| {
        let mut alice = Caller::alice(&server);
        let cost = thread % 3 + 1;
        let body = json!({"max_requests": 100, "window_seconds": 3600, "cost": cost});
        let answers = (0..10).map(|_| alice.check_with("costs", &body).ok());
        answers.filter(|body| body["allowed"] == true).count() * cost
    });
    // Whoever wants one alone would have taken the last.
    assert_eq!(costs.iter().sum::<usize>(), 100);
}

#[test]
fn no_second_ever_holds_more_than_its_quota() {
    const MAX: usize = 5;
    let server = Setup::new().start();
    let begun = Instant::now();
    let admitted = at_once(4, |_| {
        let mut alice = Caller::alice(&server);
        let mut admitted = Vec::new();
        while admitted.len() < 4 && begun.elapsed() < PATIENCE {
            let sent = Instant::now();
            let body = alice.check("a", 5, 1).ok();
            if body["allowed"] == true {
                admitted.push((sent, Instant::now()));
            }
        }
        admitted
    });
    let admitted = admitted.concat();
    assert_eq!(admitted.len(), 16, "a window slides on");
    assert_no_window_holds_more(MAX, Duration::from_secs(1), &admitted);
}

#[test]
fn no_moving_window_holds_more_than_its_quota_over_kill_9() {
    let setup = Setup::new();
    let mut admitted = Vec::new();
    for _ in 0..4 {
        let server = setup.start();
        let round = at_once(4, |_| {
            let mut alice = Caller::alice(&server);
            let mut one = || {
                let sent = Instant::now();
                let allowed = alice.check("a", 20, 2).ok()["allowed"] == true;
                allowed.then(|| (sent, Instant::now()))
            };
            [(); 5].map(|()| until("there is room again", &mut one))
        });
        admitted.extend(round.concat());
        server.kill();
    }
    assert_no_window_holds_more(20, Duration::from_secs(2), &admitted);
}

/// Checks that of requests that were admitted at some time between the two, no window holds more
/// than `max` for certain.
fn assert_no_window_holds_more(max: usize, window: Duration, admitted: &[(Instant, Instant)]) {
    for &(start, _) in admitted {
        let end = start + window;
        let within = admitted.iter().filter(|&&(sent, received)| sent >= start && received < end);
        let within = within.count();
        assert!(within <= max, "{within} of {max}");
    }
}

#[test]
fn whoever_waits_as_long_as_told_and_is_alone_is_admitted() {
    let server = Setup::new().start();
    let mut alice = Caller::alice(&server);
    for _ in 0..2 {
        let told = until("the quota is spent", || {
            let answer = alice.check("a", 3, 1);
            answer.header("retry-after").map(|seconds| seconds.parse().unwrap())
        });
        assert_eq!(told, 1, "no longer than the window");
        std::thread::sleep(Duration::from_secs(told));
        assert_eq!(alice.check("a", 3, 1).ok()["allowed"], true);
    }
    // It is forgotten when its window has passed since the last request.
    until("an idle limiter goes", || (alice.get("/limits/a").status == 404).then_some(()));
    assert_eq!(alice.get("/limits").ok(), json!({"limits": []}));
}

#[test]
fn an_account_has_as_many_limiters_as_it_may() {
    let server = Setup::new().flag("--limits-per-account", "2").start();
    let mut alice = Caller::alice(&server);
    alice.check("a", 3, 3600).ok();
    alice.check("b", 3, 3600).ok();
    let refused = alice.check("c", 3, 3600);
    refused.refused(429, "quota_exceeded");
    assert_eq!(refused.header("ratelimit"), None, "this says nothing about a limiter");
    alice.get("/limits/c").refused(404, "limit_not_found");
    assert_standing(&alice.check("b", 3, 3600), true, 1);
    assert_standing(&Caller::bob(&server).check("c", 3, 3600), true, 2);
    alice.delete("/limits/a").ok();
    assert_standing(&alice.check_with("c", &limit(3, 3600)), true, 2);
}
