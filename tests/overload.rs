//! A full mailbox: what is refused was not executed.

use crate::common::{Answer, Client, Setup, at_once, until};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Asks again until it is not refused.
fn patiently(mut ask: impl FnMut() -> Answer) -> Answer {
    until("the server has time", || {
        let answer = ask();
        (answer.status != 503).then_some(answer)
    })
}

fn assert_overloaded(answer: &Answer) {
    answer.refused(503, "overloaded");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[test]
fn a_full_mailbox_refuses_and_executes_nothing_of_it() {
    let server = Setup::new()
        .flag("--mailbox-capacity", "1")
        .flag("--http-threads", "4")
        .flag("--locks-per-account", "1000000")
        .start();
    let refused = AtomicUsize::new(0);
    let workers = 16;
    at_once(workers, |worker| {
        let mut alice = server.alice();
        let mut bob = server.bob();
        for n in 0..40 {
            let name = format!("w{worker}-{n}");
            let answer = alice.acquire(&name, 3600);
            let lease = if answer.status == 200 {
                answer.lease()
            } else {
                assert_overloaded(&answer);
                refused.fetch_add(1, Ordering::Relaxed);
                let now = patiently(|| bob.get(&name)).ok();
                assert_eq!(now["status"], "available", "{name}");
                patiently(|| alice.acquire(&name, 3600)).lease()
            };
            let contested = bob.acquire(&name, 60);
            if contested.status != 409 {
                assert_overloaded(&contested);
            }
            let released = alice.release(&name, &lease);
            if released.status == 200 {
                let now = patiently(|| bob.get(&name)).ok();
                assert_eq!(now["status"], "available", "{name}");
            } else {
                assert_overloaded(&released);
                let now = patiently(|| alice.get(&name));
                assert_eq!(now.lease(), lease, "{name} was not released");
            }
        }
    });
    assert!(refused.load(Ordering::Relaxed) > 0, "the mailbox was never full: this tested nothing");
}

#[test]
fn a_refused_rotation_leaves_the_token_as_it_was() {
    let server = Setup::new().flag("--mailbox-capacity", "1").flag("--http-threads", "4").start();
    let tokens = at_once(8, |worker| {
        let mut token: Option<String> = None;
        for _ in 0..20 {
            let mut client = match &token {
                None if worker == 0 => server.alice(),
                None if worker == 1 => server.bob(),
                None => return None,
                Some(token) => Client::new(&server.address, token),
            };
            let answer = client.send("POST", "/auth/token/rotate", b"");
            if answer.status == 200 {
                token = answer.ok()["token"].as_str().map(str::to_owned);
            } else {
                assert_overloaded(&answer);
                patiently(|| client.list("")).ok();
            }
        }
        token
    });
    for token in tokens.into_iter().flatten() {
        patiently(|| Client::new(&server.address, &token).list("")).ok();
    }
}
