//! What limits, flags and configuration promise over clean stops and `kill -9`.

use crate::{
    caller::{Caller, limit},
    common::{ALICE, BOB, Server, Setup, at_once, until},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const WORKERS: usize = 6;

fn caller_of(server: &Server, worker: usize) -> Caller {
    let token = if worker.is_multiple_of(2) { ALICE } else { BOB };
    Caller::new(&server.address, Some(token))
}

/// Lets all workers work on `server` until `wanted` things are done, and kills it then.
fn until_killed<T: Send>(
    server: Server,
    wanted: usize,
    workers: usize,
    work: impl Fn(&Server, usize, &AtomicUsize) -> T + Sync,
) -> Vec<T> {
    let done = AtomicUsize::new(0);
    let logs = at_once(workers + 1, |worker| {
        if worker < workers {
            return Some(work(&server, worker, &done));
        }
        until("enough is done", || (done.load(Ordering::Relaxed) >= wanted).then_some(()));
        server.signal(Signal::KILL);
        None
    });
    assert_eq!(server.exit().code, None, "killed");
    logs.into_iter().flatten().collect()
}

const THREADS: usize = 16;
const MAX: u32 = 1600;
/// How many requests a crash may cost: an eighth of the quota.
const AHEAD: usize = 200;

/// Asks until the server is gone or says no; returns how often it said yes.
fn spend(server: &Server, done: &AtomicUsize) -> usize {
    let mut alice = Caller::alice(server);
    let body = json!({"max_requests": MAX, "window_seconds": 86400}).to_string();
    let mut admitted = 0;
    while let Ok(answer) = alice.try_call(("POST", "/limits/a/check"), &[], &body) {
        if answer.ok()["allowed"] == false {
            break;
        }
        admitted += 1;
        done.fetch_add(1, Ordering::Relaxed);
    }
    admitted
}

#[test]
fn no_window_admits_more_than_its_quota_over_kill_9() {
    let setup = Setup::new();
    let mut admitted = 0;
    for wanted in [1, 250, 333] {
        let round =
            until_killed(setup.start(), wanted, THREADS, |server, _, done| spend(server, done));
        admitted += round.iter().sum::<usize>();
    }
    let server = setup.start();
    let last = at_once(THREADS, |_| spend(&server, &AtomicUsize::new(0)));
    admitted += last.iter().sum::<usize>();
    let max = MAX as usize;
    assert!(admitted <= max, "{admitted}");
    // What a crash may cost, and what was admitted when nobody could be told any more.
    assert!(admitted >= max - 3 * (AHEAD + THREADS), "{admitted}");
    server.kill();
    let server = setup.start();
    let now = Caller::alice(&server).check("a", MAX, 86400).ok();
    assert_eq!(now["allowed"], false, "{now}");
}

#[test]
fn a_clean_stop_in_the_middle_of_load_counts_what_was_answered_and_nothing_else() {
    let setup = Setup::new();
    let mut counted = 0;
    for round in 1..=3 {
        let server = setup.start();
        let done = AtomicUsize::new(0);
        let answered = at_once(WORKERS + 1, |worker| {
            if worker == WORKERS {
                let enough = || (done.load(Ordering::Relaxed) > 100 * round).then_some(());
                until("enough is done", enough);
                server.signal(Signal::TERM);
                return (0, 0);
            }
            let mut alice = Caller::alice(&server);
            let policy = limit(10_000, 86_400).to_string();
            let (mut checks, mut writes) = (0, 0);
            loop {
                let line = ("POST", "/limits/a/check");
                match alice.try_call(line, &[], &policy) {
                    Ok(answer) if answer.status == 200 => checks += 1,
                    Ok(answer) => break drop(answer.refused(503, "shutting_down")),
                    Err(_) => break,
                }
                match alice.try_call(("PUT", "/config/a"), &[], "{\"value\":1}") {
                    Ok(answer) if answer.status == 200 => writes += 1,
                    Ok(answer) => break drop(answer.refused(503, "shutting_down")),
                    Err(_) => break,
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
            (checks, writes)
        });
        let exit = server.exit();
        assert_eq!(exit.code, Some(0), "{exit:?}");
        let checks: u64 = answered.iter().map(|(checks, _)| checks).sum();
        let writes: u64 = answered.iter().map(|(_, writes)| writes).sum();
        counted += checks;
        let server = setup.start();
        let mut alice = Caller::alice(&server);
        assert_eq!(alice.get("/limits/a").ok()["current_count"], counted);
        assert_eq!(alice.get("/config/a").ok()["version"], writes);
        alice.delete("/config/a").ok();
        server.stop();
    }
}

#[test]
fn a_small_limit_admits_no_more_than_its_quota_over_kill_9() {
    let setup = Setup::new();
    let mut admitted = [0; 8];
    for round in 0..4 {
        let server = setup.start();
        let mut alice = Caller::alice(&server);
        for (index, admitted) in admitted.iter_mut().enumerate() {
            let max = u32::try_from(index).unwrap() * 3 + 1;
            for _ in 0..round + 1 {
                let body = alice.check(&format!("l{index}"), max, 3600).ok();
                *admitted += u32::from(body["allowed"] == true);
            }
            assert!(*admitted <= max, "round {round}: {admitted} of {max}");
        }
        server.kill();
    }
    assert!(admitted.iter().all(|&admitted| admitted > 0));
}

#[test]
fn after_a_clean_stop_a_limit_is_exactly_where_it_was() {
    const NAMES: [&str; 4] = ["a", "a%2Fb", "%F0%9F%90%99%20", "%00"];
    let setup = Setup::new();
    let server = setup.start();
    let mut alice = Caller::alice(&server);
    for (index, name) in NAMES.iter().enumerate() {
        for _ in 0..=index * 5 {
            alice.check(name, 100, 3600).ok();
        }
    }
    let before: Vec<Value> =
        NAMES.iter().map(|name| alice.get(&format!("/limits/{name}")).ok()).collect();
    assert_eq!(before[3]["remaining"], 84);
    let list = alice.get("/limits").ok();
    server.stop();
    for kills in [false, true, false] {
        let server = setup.start();
        let mut alice = Caller::alice(&server);
        for (name, before) in NAMES.iter().zip(&before) {
            let now = alice.get(&format!("/limits/{name}")).ok();
            for same in ["allowed", "remaining", "max_requests", "window_seconds", "current_count"]
            {
                assert_eq!(now[same], before[same], "{name} {same}");
            }
        }
        let listed = alice.get("/limits").ok();
        assert_eq!(listed["limits"].as_array().unwrap().len(), NAMES.len());
        assert_eq!(listed["limits"][0]["name"], list["limits"][0]["name"]);
        // Nothing was reserved since: a crash costs nothing either.
        if kills { server.kill() } else { drop(server.stop()) }
    }
    let server = setup.start();
    let mut alice = Caller::alice(&server);
    for (name, before) in NAMES.iter().zip(&before) {
        let now = alice.check(name, 100, 3600).ok();
        assert_eq!(now["remaining"], before["remaining"].as_u64().unwrap() - 1);
    }
}

#[test]
fn a_reset_stays_over_kill_9() {
    let setup = Setup::new();
    for _ in 0..3 {
        let server = setup.start();
        let mut alice = Caller::alice(&server);
        alice.get("/limits/a").refused(404, "limit_not_found");
        while alice.check("a", 20, 3600).ok()["allowed"] == true {}
        alice.delete("/limits/a").ok();
        server.kill();
    }
}

/// What a worker knows of one flag or key: how it is for sure, or how it may be as well.
#[derive(Clone, Debug, Default)]
struct Known<T> {
    now: T,
    perhaps: Option<T>,
}

impl<T: Clone> Known<T> {
    /// Records that `request` was sent, which makes it `next`; `None` when nobody answered.
    fn sent(&mut self, next: T, answer: std::io::Result<crate::common::Answer>) -> Option<Value> {
        self.perhaps = Some(next);
        let answer = answer.ok()?.ok();
        self.now = self.perhaps.take()?;
        Some(answer)
    }
}

/// `None` if there is none, else its percentage.
type Flag = Option<usize>;

/// Sets and deletes flags of its own until the server is gone.
fn switch(server: &Server, worker: usize, done: &AtomicUsize) -> Vec<Known<Flag>> {
    let mut caller = caller_of(server, worker);
    let mut flags = vec![Known::<Flag>::default(); 7];
    for step in 0.. {
        let flag = &mut flags[step % 7];
        let path = format!("/flags/w{worker}-{}", step % 7);
        let deletes = flag.now.is_some() && step % 5 == 0;
        let next = (!deletes).then_some(step % 101);
        let body = json!({"enabled": true, "percentage": next}).to_string();
        let line = if deletes { ("DELETE", &*path) } else { ("PUT", &*path) };
        let body = if deletes { "" } else { &body };
        if flag.sent(next, caller.try_call(line, &[], body)).is_none() {
            break;
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    flags
}

#[test]
fn kill_9_takes_back_no_flag_and_brings_none_back() {
    let setup = Setup::new();
    for round in 0..3 {
        let logs = until_killed(setup.start(), 200 + 150 * round, WORKERS, switch);
        let server = setup.start();
        for (worker, flags) in logs.iter().enumerate() {
            let mut caller = caller_of(&server, worker);
            let list = caller.get(&format!("/flags?prefix=w{worker}-")).ok();
            for (index, known) in flags.iter().enumerate() {
                let name = format!("w{worker}-{index}");
                let mut stored = list["flags"].as_array().unwrap().iter();
                let stored = stored.find(|flag| flag["name"] == *name);
                let percent = stored.map(|flag| flag["percentage"].as_u64().unwrap() as usize);
                let possible = percent == known.now || known.perhaps == Some(percent);
                assert!(possible, "{name} is {percent:?}, not {known:?}");
                if stored.is_some() {
                    caller.delete(&format!("/flags/{name}")).ok();
                }
            }
        }
        server.kill();
    }
}

/// The values of the versions of a key, the first first; none if there is no such key.
type Versions = Vec<usize>;

/// Writes, rolls back and deletes keys of its own until the server is gone.
fn write(server: &Server, worker: usize, done: &AtomicUsize) -> Vec<Known<Versions>> {
    let mut caller = caller_of(server, worker);
    let mut keys = vec![Known::<Versions>::default(); 5];
    for step in 0.. {
        let known = &mut keys[step % 5];
        let path = format!("/config/w{worker}-{}", step % 5);
        let mut next = known.now.clone();
        let answer = match step % 11 {
            3 if !next.is_empty() => {
                next.clear();
                caller.try_call(("DELETE", &path), &[], "")
            }
            4 | 8 if !next.is_empty() => {
                // The oldest that is still kept.
                let version = next.len().saturating_sub(KEPT) + 1;
                next.push(next[version - 1]);
                let body = json!({"version": version}).to_string();
                caller.try_call(("POST", &format!("{path}/rollback")), &[], &body)
            }
            _ => {
                next.push(step);
                caller.try_call(("PUT", &path), &[], &json!({"value": step}).to_string())
            }
        };
        let version = next.len();
        let Some(answer) = known.sent(next, answer) else { break };
        assert!(version == 0 || answer["version"] == version, "no gap: {answer}");
        done.fetch_add(1, Ordering::Relaxed);
    }
    keys
}

/// How many versions are kept.
const KEPT: usize = 3;

/// The history as it must be when these were written.
fn history(versions: &Versions) -> Vec<(usize, usize)> {
    let numbered = versions.iter().copied().enumerate();
    numbered.map(|(index, value)| (index + 1, value)).rev().take(KEPT).collect()
}

#[test]
fn kill_9_takes_back_no_version_and_brings_no_key_back() {
    let setup = Setup::new().flag("--config-history", &KEPT.to_string());
    for round in 0..3 {
        let logs = until_killed(setup.start(), 200 + 150 * round, WORKERS, write);
        let server = setup.start();
        for (worker, keys) in logs.iter().enumerate() {
            let mut caller = caller_of(&server, worker);
            for (index, known) in keys.iter().enumerate() {
                let path = format!("/config/w{worker}-{index}");
                let stored = caller.get(&format!("{path}/history"));
                let stored: Vec<(usize, usize)> = if stored.status == 404 {
                    Vec::new()
                } else {
                    let body = stored.ok();
                    let number = |value: &Value| value.as_u64().unwrap() as usize;
                    let versions = body["versions"].as_array().unwrap().iter();
                    versions.map(|one| (number(&one["version"]), number(&one["value"]))).collect()
                };
                let perhaps = known.perhaps.as_ref().map(history);
                let possible = stored == history(&known.now) || perhaps == Some(stored.clone());
                assert!(possible, "{path} is {stored:?}, not {known:?}");
                if !stored.is_empty() {
                    caller.delete(&path).ok();
                }
            }
        }
        server.kill();
    }
}

#[test]
fn flags_and_configuration_are_the_same_after_a_restart() {
    let setup = Setup::new();
    let mut server = setup.start();
    let mut alice = Caller::alice(&server);
    for (name, percentage) in [("a", json!(0)), ("b", json!(50)), ("c", Value::Null)] {
        alice
            .put(&format!("/flags/{name}"), &json!({"enabled": true, "percentage": percentage}))
            .ok();
        for value in 0..3 {
            let body = json!({"value": value, "description": "\u{1f419} \"d\"\n\u{0}"});
            alice.put(&format!("/config/{name}"), &body).ok();
        }
    }
    alice.put("/flags/off", &json!({"enabled": false})).ok();
    let all = |alice: &mut Caller| {
        let paths = [
            "/flags",
            "/flags/b",
            "/config",
            "/config/a",
            "/config/b?version=2",
            "/config/c/history",
        ];
        paths.map(|path| {
            let answer = alice.get(path);
            (answer.ok(), answer.header("etag").map(str::to_owned))
        })
    };
    let before = all(&mut alice);
    for kills in [true, false, true] {
        if kills {
            server.kill()
        } else {
            drop(server.stop())
        }
        server = setup.start();
        assert_eq!(all(&mut Caller::alice(&server)), before);
    }
}
