//! What was acknowledged survives: restarts, `kill -9` in the middle of load, and a lost journal.

use crate::common::{ALICE, BOB, Client, Server, Setup, at_once, until};
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a worker knows of one lock.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The last acknowledged lease and its token, if it was not released.
    lease: Option<(String, u64)>,
    /// A request about it was never answered.
    unsure: bool,
}

/// What a worker knows when its server is gone.
#[derive(Debug, Default)]
struct Log {
    locks: Vec<Known>,
    tokens: Vec<u64>,
}

const WORKERS: usize = 6;
const LOCKS: usize = 5;

fn token_of(worker: usize) -> &'static str {
    if worker.is_multiple_of(2) { ALICE } else { BOB }
}

fn name(round: usize, worker: usize, lock: usize) -> String {
    format!("r{round}-w{worker}-l{lock}")
}

/// Acquires, renews and releases locks of its own until the server is gone.
fn work(server: &Server, round: usize, worker: usize, done: &AtomicUsize) -> Log {
    let mut client = Client::new(&server.address, token_of(worker));
    let mut log = Log { locks: vec![Known::default(); LOCKS], tokens: Vec::new() };
    for step in 0.. {
        let lock = step % LOCKS;
        let path = format!("/locks/{}", name(round, worker, lock));
        let known = &mut log.locks[lock];
        let (action, body) = match &known.lease {
            None => ("acquire", json!({"ttl_seconds": 3600})),
            Some((lease, _)) if step % 3 == 0 => {
                ("renew", json!({"lease_id": lease, "ttl_seconds": 3600}))
            }
            Some((lease, _)) => ("release", json!({"lease_id": lease})),
        };
        let sent =
            client.try_send("POST", &format!("{path}/{action}"), body.to_string().as_bytes());
        let Ok(answer) = sent else {
            known.unsure = true;
            break;
        };
        answer.ok();
        known.lease = (action != "release").then(|| (answer.lease(), answer.token()));
        if action == "acquire" {
            log.tokens.push(answer.token());
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    log
}

/// Checks everything that `log` is sure of against a server that was started again.
fn check(server: &Server, round: usize, worker: usize, log: &Log, highest: u64) {
    let mut own = Client::new(&server.address, token_of(worker));
    let mut other = Client::new(&server.address, token_of(worker + 1));
    for (lock, known) in log.locks.iter().enumerate() {
        let name = name(round, worker, lock);
        match (&known.lease, known.unsure) {
            (Some((lease, token)), false) => {
                assert_eq!(other.acquire(&name, 60).status, 409, "{name} is held");
                let renewed = own.renew(&name, lease, 3600);
                assert_eq!(renewed.token(), *token);
                own.release(&name, lease).ok();
            }
            (None, false) => {
                let granted = other.acquire(&name, 60);
                assert!(granted.token() > highest, "{name} was released");
                other.release(&name, &granted.lease()).ok();
            }
            // Renewed or released: either is possible, but no third thing.
            (Some((lease, token)), true) => {
                let now = own.get(&name).ok();
                if now["status"] == "held" {
                    assert_eq!(now["lease_id"], **lease);
                    assert_eq!(now["fencing_token"], *token);
                    own.release(&name, lease).ok();
                }
            }
            (None, true) => {
                let now = own.get(&name).ok();
                if now["status"] == "held" {
                    own.release(&name, now["lease_id"].as_str().unwrap()).ok();
                }
            }
        }
    }
}

#[test]
fn kill_9_in_the_middle_of_load_takes_back_nothing_acknowledged() {
    let mut highest = 0;
    let setup = Setup::new();
    for round in 0..4 {
        let server = setup.start();
        let done = AtomicUsize::new(0);
        let wanted = 150 + 170 * round;
        let mut logs = at_once(WORKERS + 1, |worker| {
            if worker == WORKERS {
                until("enough was done", || (done.load(Ordering::Relaxed) > wanted).then_some(()));
                server.signal(rustix::process::Signal::KILL);
                return Log::default();
            }
            work(&server, round, worker, &done)
        });
        assert_eq!(server.exit().code, None, "killed");
        logs.pop();
        for log in &logs {
            assert!(log.tokens.is_sorted_by(|one, two| one < two));
            assert!(log.tokens.first().is_none_or(|&first| first > highest));
        }
        let tokens = logs.iter().flat_map(|log| &log.tokens).copied();
        highest = highest.max(tokens.max().unwrap());

        let server = setup.start();
        for (worker, log) in logs.iter().enumerate() {
            check(&server, round, worker, log, highest);
        }
        let last = server.alice().acquire("last", 3600);
        assert!(last.token() > highest);
        highest = last.token();
        server.alice().release("last", &last.lease()).ok();
        server.kill();
    }
}

#[test]
fn a_lock_everybody_wants_stays_one_owners_over_kill_9() {
    let setup = Setup::new();
    for _ in 0..3 {
        let server = setup.start();
        let inside = AtomicBool::new(false);
        let grants = AtomicUsize::new(0);
        let holders = at_once(5, |worker| {
            if worker == 4 {
                until("enough was granted", || (grants.load(Ordering::Relaxed) > 40).then_some(()));
                server.signal(rustix::process::Signal::KILL);
                return None;
            }
            let mut client = Client::new(&server.address, token_of(worker));
            let body = json!({"ttl_seconds": 3600, "owner": format!("worker-{worker}")});
            let body = body.to_string();
            loop {
                let path = "/locks/wanted/acquire";
                let Ok(answer) = client.try_send("POST", path, body.as_bytes()) else {
                    return None;
                };
                if answer.status != 200 {
                    assert_eq!(answer.status, 409);
                    continue;
                }
                assert!(!inside.swap(true, Ordering::SeqCst), "two hold it");
                grants.fetch_add(1, Ordering::Relaxed);
                let lease = answer.lease();
                let body = json!({"lease_id": lease}).to_string();
                // It goes down while somebody holds it for sure.
                if grants.load(Ordering::Relaxed) > 40 {
                    return Some((worker, lease, answer.token()));
                }
                inside.store(false, Ordering::SeqCst);
                let path = "/locks/wanted/release";
                if client.try_send("POST", path, body.as_bytes()).is_err() {
                    return None;
                }
            }
        });
        server.exit();
        let (worker, lease, token) = holders.into_iter().flatten().next().unwrap();
        let server = setup.start();
        for mut client in [server.alice(), server.bob()] {
            assert_eq!(client.acquire("wanted", 60).status, 409);
        }
        let mut holder = Client::new(&server.address, token_of(worker));
        assert_eq!(holder.renew("wanted", &lease, 3600).token(), token);
        holder.release("wanted", &lease).ok();
        server.stop();
    }
}

#[test]
fn a_clean_stop_leaves_no_gap_in_the_tokens() {
    let setup = Setup::new();
    for token in 1..=4 {
        let server = setup.start();
        let answer = server.alice().acquire(&format!("l{token}"), 60);
        assert_eq!(answer.token(), token);
        server.stop();
    }
}

#[test]
fn everything_about_a_lease_survives_a_restart() {
    let setup = Setup::new();
    let server = setup.start();
    let body = json!({"ttl_seconds": 3600, "owner": "pod-1", "metadata": "\u{1f419} \"m\""});
    let before = server.alice().acquire_with("a%2Fb", &body).ok();
    let list = server.alice().list("").ok();
    server.stop();
    for _ in 0..2 {
        let server = setup.start();
        let now = server.alice().get("a%2Fb").ok();
        for same in
            ["name", "lease_id", "fencing_token", "holder", "holder_id", "owner", "metadata"]
        {
            assert_eq!(now[same], before[same], "{same}");
        }
        assert_eq!(
            server.alice().list("").ok()["locks"][0]["lease_id"],
            list["locks"][0]["lease_id"]
        );
        server.kill();
    }
}

#[test]
fn tokens_rise_even_when_the_end_of_the_journal_is_lost() {
    for keep in [0.0, 0.3, 0.7] {
        let setup = Setup::new();
        let server = setup.start();
        let mut alice = server.alice();
        let mut highest = 0;
        for n in 0..40 {
            let answer = alice.acquire(&format!("l{}", n % 7), 3600);
            highest = highest.max(answer.token());
            alice.release(&format!("l{}", n % 7), &answer.lease()).ok();
        }
        server.kill();
        let journal = setup.beside("-wal");
        let length = std::fs::metadata(&journal).unwrap().len();
        assert!(length > 0, "there is a journal to lose");
        let kept = (length as f64 * keep) as u64;
        let file = std::fs::OpenOptions::new().write(true).open(&journal).unwrap();
        file.set_len(kept).unwrap();
        let server = setup.start();
        assert!(server.alice().acquire("next", 60).token() > highest);
    }
}

#[test]
fn a_garbled_journal_is_no_reason_to_grant_a_token_twice() {
    let setup = Setup::new();
    let server = setup.start();
    let mut alice = server.alice();
    let mut highest = 0;
    for n in 0..40 {
        highest = alice.acquire(&format!("l{n}"), 3600).token();
    }
    server.kill();
    let journal = setup.beside("-wal");
    let mut bytes = std::fs::read(&journal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xa5);
    std::fs::write(&journal, bytes).unwrap();
    let server = setup.start();
    assert!(server.alice().acquire("next", 60).token() > highest);
    server.stop();
    assert!(setup.start().alice().acquire("again", 60).token() > highest);
}
