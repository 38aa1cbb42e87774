//! A disk that fails: nothing is acknowledged any more, whoever waits is told that the outcome is
//! unknown, and the process ends.
//!
//! The system is told to refuse every further write to a file of the server. That is not the error
//! of a full disk: what a failed write or sync has left behind, nobody can say.

use crate::{
    common::{Server, Setup, at_once},
    lifecycle::STUCK,
};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;

const IO: Option<i32> = Some(74);

fn setup() -> Setup {
    Setup::new()
}

/// From now on every write to a file fails.
pub fn break_disk(server: &Server) {
    let pid = Pid::from_raw(server.pid().try_into().unwrap());
    let nothing = Rlimit { current: Some(0), ..getrlimit(Resource::Fsize) };
    prlimit(pid, Resource::Fsize, nothing).unwrap();
}

#[test]
fn one_outcome_after_a_failed_commit_nobody_hears_of_a_success_and_the_process_ends() {
    // What fails first may be a row that nobody waits for, such as when a token was last used: then
    // there is nobody to be told.
    let told = (0..10).any(|_| a_disk_fails_under_load());
    assert!(told, "somebody was in the commit that failed, and was not told");
}

/// Whether somebody was told that the outcome is unknown.
fn a_disk_fails_under_load() -> bool {
    let setup = setup();
    let server = setup.start();
    let kept = server.alice().acquire("kept", 3600);
    break_disk(&server);
    let unknown = at_once(8, |worker| {
        let body = json!({"ttl_seconds": 3600}).to_string();
        let path = format!("/locks/lost-{worker}/acquire");
        // Whoever comes too late finds nobody.
        let answer = server.alice().try_send("POST", &path, body.as_bytes()).ok()?;
        let code = answer.json()["code"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 503, "{code}");
        assert!(["outcome_unknown", "shutting_down"].contains(&&*code), "{code}");
        Some(code == "outcome_unknown")
    });
    let exit = server.exit();
    assert_eq!(exit.code, IO, "{exit:?}");
    assert!(exit.err.contains("the store failed"), "{exit:?}");

    let server = setup.start();
    let mut alice = server.alice();
    assert_eq!(alice.get("kept").lease(), kept.lease());
    for worker in 0..8 {
        assert_eq!(alice.get(&format!("lost-{worker}")).ok()["status"], "available");
    }
    assert!(alice.acquire("next", 60).token() > kept.token());
    server.stop();
    unknown.contains(&Some(true))
}

#[test]
fn one_outcome_a_stop_that_cannot_write_says_so_and_loses_nothing() {
    let setup = setup();
    let server = setup.start();
    let kept = server.alice().acquire("kept", 3600);
    break_disk(&server);
    server.signal(rustix::process::Signal::TERM);
    let exit = server.exit();
    assert_eq!(exit.code, IO, "{exit:?}");
    assert!(exit.err.contains("the store failed"), "{exit:?}");

    let server = setup.start();
    let mut alice = server.alice();
    assert_eq!(alice.get("kept").lease(), kept.lease());
    assert!(alice.acquire("next", 60).token() > kept.token());
    server.stop();
}

#[test]
fn one_outcome_a_failed_commit_ends_the_process_although_its_log_cannot_be_written() {
    // As where the log is on the disk that fails, or is full, or whoever read it is gone; or hangs.
    let unheard = ["/bin/sh", "-c", "trap '' XFSZ; exec \"$@\" 2>/dev/full", "sh"];
    for log in [unheard, STUCK] {
        let server = Setup::new().through(&log).start();
        break_disk(&server);
        // Whoever comes too late finds nobody.
        let lost = br#"{"ttl_seconds": 60}"#;
        let _lost = server.alice().try_send("POST", "/locks/lost/acquire", lost);
        assert_eq!(server.exit().code, IO);
    }
}
