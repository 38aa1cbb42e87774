//! What is answered when the server cannot: too much to do, no room on the disk, a disk that fails,
//! and on the way down.

use crate::{
    common::{Client, Server, Setup, at_once, document, until},
    full_disk,
};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use std::sync::atomic::{AtomicBool, Ordering};

/// Returns whether there was a disk to fill.
pub fn provoke() -> bool {
    too_much_to_do();
    a_disk_that_fails();
    going_down();
    let Some(disk) = full_disk::SmallDisk::mount() else { return false };
    let server = full_disk::on(&disk).start();
    full_disk::acquire_until_full(&mut server.alice());
    true
}

fn too_much_to_do() {
    let server = Setup::new().flag("--mailbox-capacity", "1").flag("--http-threads", "4").start();
    let seen = AtomicBool::new(false);
    let kinds = at_once(16, |worker| {
        let mut alice = server.alice();
        until("a mailbox is full", || {
            let answer = alice.acquire(&format!("w{worker}"), 60);
            seen.fetch_or(answer.status == 503, Ordering::Relaxed);
            seen.load(Ordering::Relaxed).then_some(())
        });
        document::seen()
    });
    kinds.into_iter().for_each(document::keep_all);
}

/// A write fails after it was begun: whether it is on the disk nobody knows.
fn a_disk_that_fails() {
    let server = Setup::new().start();
    server.alice().acquire("a", 60).ok();
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
    server.alice().acquire("b", 60).refused(503, "outcome_unknown");
    assert_ne!(server.exit().code, Some(0));
}

/// Between the signal and the end, who asks is told not to.
fn going_down() {
    until("somebody is told that it is going down", || {
        let server = Setup::new().start();
        let asked = AtomicBool::new(false);
        let kinds = at_once(16, |index| {
            if index == 0 {
                until("they ask", || asked.load(Ordering::Relaxed).then_some(()));
                server.signal(Signal::TERM);
            }
            ask_until_it_is_gone(&server, &asked);
            document::seen()
        });
        kinds.into_iter().for_each(document::keep_all);
        let told = |kind: &document::Kind| kind.template == "/readyz" && kind.status == "503";
        document::seen().iter().any(told).then_some(())
    });
}

fn ask_until_it_is_gone(server: &Server, asked: &AtomicBool) {
    let mut anybody = Client::anonymous(&server.address);
    while anybody.try_send("GET", "/readyz", b"").is_ok() {
        asked.store(true, Ordering::Relaxed);
    }
}
