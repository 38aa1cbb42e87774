//! A full disk: what would need room is refused, and nothing acknowledged is lost.
//!
//! A small file system is mounted for each test, which only root may do; without it the tests
//! say so and do nothing.

use crate::common::{Answer, Client, Setup, until};
use serde_json::json;
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A file system of two MiB. Dropping it unmounts it.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    pub fn mount() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "none"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(folder));
        }
        eprintln!("SKIPPED: a file system cannot be mounted here, so a full disk is NOT TESTED");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes it twice as large.
    fn grow(&self) {
        let grown = Command::new("mount").args(["-o", "remount,size=4m"]).arg(self.path()).status();
        assert!(grown.unwrap().success());
    }

    /// Takes all the room that is left.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = File::options().append(true).create(true).open(&path).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// A server whose database is there.
pub fn on(disk: &SmallDisk) -> Setup {
    Setup::new()
        .flag("--locks-per-account", "100000")
        .database_at(&disk.path().join("octostore.db"))
}

fn acquire(client: &mut Client, name: &str) -> Answer {
    let body = json!({"ttl_seconds": 3600, "metadata": "m".repeat(1024)});
    client.acquire_with(name, &body)
}

fn assert_full(answer: &Answer) {
    answer.refused(503, "storage_full");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

pub struct Held {
    name: String,
    lease: String,
    token: u64,
}

/// Acquires until the disk is full, and checks the first refusal.
pub fn acquire_until_full(alice: &mut Client) -> Vec<Held> {
    let mut held = Vec::new();
    loop {
        let name = format!("lock-{}", held.len());
        let answer = acquire(alice, &name);
        if answer.status != 200 {
            assert_full(&answer);
            let now = alice.get(&name).ok();
            assert_eq!(now["status"], "available", "{name} was not executed");
            return held;
        }
        assert!(held.len() < 2_000, "two MiB are full before that");
        held.push(Held { lease: answer.lease(), token: answer.token(), name });
    }
}

fn all_are_held(alice: &mut Client, held: &[Held]) {
    for one in held {
        let now = alice.get(&one.name);
        assert_eq!(now.lease(), one.lease, "{}", one.name);
        assert_eq!(now.token(), one.token);
    }
}

#[test]
fn a_full_disk_refuses_new_locks_and_loses_none() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let setup = on(&disk);
    let server = setup.start();
    let mut alice = server.alice();
    let others = disk.path().join("others");
    std::fs::write(&others, vec![0; 1 << 20]).unwrap();
    let mut held = acquire_until_full(&mut alice);
    disk.fill();
    assert!(held.len() > 10, "there was room for some: {}", held.len());
    all_are_held(&mut alice, &held);

    // What needs no new row is tried; it may be refused, but then it was not executed.
    let released = held.pop().unwrap();
    let answer = alice.release(&released.name, &released.lease);
    let now = alice.get(&released.name).ok();
    if answer.status == 200 {
        assert_eq!(now["status"], "available");
    } else {
        assert_full(&answer);
        assert_eq!(now["lease_id"], *released.lease);
        held.push(released);
    }
    let answer = alice.renew(&held[0].name, &held[0].lease, 3600);
    if answer.status == 200 {
        assert_eq!(answer.token(), held[0].token);
    } else {
        assert_full(&answer);
    }
    for n in 0..20 {
        let answer = acquire(&mut alice, &format!("refused-{n}"));
        if answer.status == 200 {
            held.push(Held {
                name: format!("refused-{n}"),
                lease: answer.lease(),
                token: answer.token(),
            });
        } else {
            assert_full(&answer);
        }
    }
    all_are_held(&mut alice, &held);

    std::fs::remove_file(others).unwrap();
    let more = until("there is room again", || {
        let answer = acquire(&mut alice, "more");
        (answer.status == 200).then_some(answer)
    });
    let highest = held.iter().map(|one| one.token).max().unwrap();
    assert!(more.token() > highest);
    held.push(Held { name: "more".to_owned(), lease: more.lease(), token: more.token() });
    server.kill();

    let server = setup.start();
    let mut alice = server.alice();
    all_are_held(&mut alice, &held);
    assert_eq!(alice.list("").ok()["total"], held.len());
    for one in &held {
        alice.release(&one.name, &one.lease).ok();
    }
    assert!(acquire(&mut alice, "next").token() > more.token());
}

#[test]
fn room_that_comes_back_is_used_without_a_restart() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let setup = on(&disk);
    let server = setup.start();
    let mut alice = server.alice();
    let first = acquire(&mut alice, "first");
    let mut last = first.token();
    for round in 0..3 {
        let filler = disk.fill();
        let mut attempt = 0;
        let (refused, name) = until("the disk is full", || {
            attempt += 1;
            let name = format!("round-{round}-{attempt}");
            let answer = acquire(&mut alice, &name);
            (answer.status != 200).then_some((answer, name))
        });
        assert_full(&refused);
        assert_eq!(server.bob().get(&name).ok()["status"], "available");
        std::fs::remove_file(filler).unwrap();
        let granted = until("there is room again", || {
            let answer = acquire(&mut alice, &name);
            (answer.status == 200).then_some(answer)
        });
        assert!(granted.token() > last);
        last = granted.token();
    }
    assert_eq!(alice.get("first").lease(), first.lease());
    server.stop();
    let server = setup.start();
    assert_eq!(server.alice().get("first").lease(), first.lease());
    assert_eq!(
        acquire(&mut server.alice(), "next").token(),
        last + 1,
        "a clean stop leaves no gap"
    );
}

#[test]
fn locks_can_be_released_when_a_disk_that_they_filled_themselves_grows() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let server = on(&disk).start();
    let mut alice = server.alice();
    let mut held = acquire_until_full(&mut alice);
    // A journal that cannot go into the main file cannot be written anew either, until there is
    // a little room.
    disk.grow();
    until("a lock is released", || {
        let one = held.pop().unwrap();
        let answer = alice.release(&one.name, &one.lease);
        if answer.status == 200 {
            return Some(());
        }
        assert_full(&answer);
        held.insert(0, one);
        None
    });
}

#[test]
fn a_rotation_on_a_full_disk_happens_or_does_not() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let setup = on(&disk);
    let server = setup.start();
    let mut alice = server.alice();
    let _filler = disk.fill();
    acquire_until_full(&mut alice);
    let answer = alice.send("POST", "/auth/token/rotate", b"");
    if answer.status == 200 {
        alice.list("").refused(401, "unauthorized");
    } else {
        assert_full(&answer);
        alice.list("").ok();
    }
}

#[test]
fn a_stop_on_a_full_disk_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let setup = on(&disk);
    let server = setup.start();
    let held = acquire_until_full(&mut server.alice());
    let filler = disk.fill();
    server.signal(rustix::process::Signal::TERM);
    let exit = server.exit();
    assert!(matches!(exit.code, Some(0 | 74)), "{exit:?}");
    std::fs::remove_file(filler).unwrap();
    let elsewhere = Setup::new().flag("--locks-per-account", "100000");
    for suffix in ["", "-wal"] {
        if setup.beside(suffix).exists() {
            std::fs::copy(setup.beside(suffix), elsewhere.beside(suffix)).unwrap();
        }
    }
    let server = elsewhere.start();
    all_are_held(&mut server.alice(), &held);
    let highest = held.iter().map(|one| one.token).max().unwrap();
    assert!(acquire(&mut server.alice(), "next").token() > highest);
}

#[test]
fn a_start_on_a_full_disk_is_one_line() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let filler = disk.fill();
    let setup = on(&disk);
    let refused = setup.run();
    // What may pass is tried again by whoever starts it.
    assert_eq!(refused.code, Some(74), "{refused:?}");
    let line = refused.one_line();
    assert!(line.contains("no room") && line.contains("free some space"), "{line}");
    std::fs::remove_file(filler).unwrap();
    setup.start().alice().acquire("a", 60).ok();
}
