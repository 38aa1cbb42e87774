//! Backups: that they are whole, that whoever may not have one gets none, and that nothing which was
//! granted after one was made comes twice when it is restored.

use crate::{
    admin::{KEY, keeper, scoped, setup},
    caller::Caller,
    common::{ALICE, Connection, Setup, until},
    operation::{command, octostore, restored},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::{
    collections::BTreeSet,
    net::TcpListener,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

#[test]
fn a_backup_of_a_running_server_has_everything_that_was_acknowledged_before() {
    let setup = setup();
    let server = setup.start();
    let lease = server.alice().acquire("a", 3600).lease();
    let mut alice = Caller::alice(&server);
    alice.put("/flags/f", &json!({ "enabled": true })).ok();
    alice.put_value("k", "{\"max\": 250.00}").ok();
    alice.check("l", 5, 3600).ok();
    let said = octostore(&setup, &["backup", "b"]).ok();
    assert!(said.contains("and whole") && said.contains("1 lock,"), "{said}");
    // What comes later is not in it, and disturbs nothing.
    server.alice().acquire("later", 3600).ok();
    server.stop();

    let server = restored(&setup, "b");
    assert_eq!(server.alice().get("a").lease(), lease);
    assert_eq!(server.alice().get("later").ok()["status"], "available");
    let mut alice = Caller::alice(&server);
    assert_eq!(alice.get("/flags/f").ok()["enabled"], true);
    assert!(alice.get("/config/k").text().contains("250.00"));
    assert_eq!(alice.get("/limits/l").ok()["remaining"], 0, "what was reserved counts as spent");
    let log = keeper(&server).get("/admin/audit?action=backup").ok();
    assert_eq!(log["entries"][0]["result"], "ok", "{log}");
}

#[test]
fn a_backup_of_a_server_that_was_killed_has_everything_too() {
    let setup = Setup::new();
    let server = setup.start();
    let lease = server.alice().acquire("a", 3600).lease();
    server.kill();
    let before = std::fs::read(setup.database()).unwrap();
    octostore(&setup, &["backup", "b"]).ok();
    assert_eq!(std::fs::read(setup.database()).unwrap(), before, "it stays as it is");
    assert_eq!(restored(&setup, "b").alice().get("a").lease(), lease);
    assert_eq!(setup.start().alice().get("a").lease(), lease);
}

#[test]
fn fencing_no_token_comes_twice_whichever_backup_is_restored_and_however_often() {
    let setup = setup();
    let server = setup.start();
    server.alice().acquire("a", 60).ok();
    octostore(&setup, &["backup", "old"]).ok();
    let mut highest = 0;
    for n in 0..50 {
        highest = server.alice().acquire(&format!("lock-{n}"), 60).token();
    }
    octostore(&setup, &["backup", "young"]).ok();
    highest = highest.max(server.alice().acquire("b", 60).token());
    server.kill();
    // The older one first, then the younger, then the older once more, and a backup of a restored.
    for (round, backup) in ["old", "young", "old"].into_iter().enumerate() {
        let name = format!("{backup}-{round}");
        std::fs::copy(setup.folder().join(backup), setup.folder().join(&name)).unwrap();
        let server = restored(&setup, &name);
        let token = server.alice().acquire("after", 60).token();
        assert!(token > highest, "{token} after {highest}");
        highest = server.alice().acquire("after-that", 60).token();
        assert_eq!(highest, token + 1);
        server.stop();
    }
}

#[test]
fn an_etag_of_what_was_written_after_the_backup_matches_nothing() {
    let setup = setup();
    let server = setup.start();
    let mut alice = Caller::alice(&server);
    alice.put_value("k", "1").ok();
    octostore(&setup, &["backup", "b"]).ok();
    let lost = alice.put_value("k", "2");
    let lost = lost.header("etag").unwrap().to_owned();
    server.kill();
    let server = restored(&setup, "b");
    let mut alice = Caller::alice(&server);
    alice.put_value("k", "3").ok();
    let written = alice.put_value_if("k", "4", &[("if-match", &lost)]);
    assert_eq!(written.status, 412, "{written:?}");
}

#[test]
fn a_backup_is_not_served_as_it_is() {
    let setup = Setup::new();
    setup.start().stop();
    octostore(&setup, &["backup", "b"]).ok();
    let before = std::fs::read(setup.folder().join("b")).unwrap();
    let refused = setup.clone().database_at(&setup.folder().join("b")).run();
    assert_eq!(refused.code, Some(65));
    assert!(refused.one_line().contains("octostore restore"), "{refused:?}");
    assert_eq!(std::fs::read(setup.folder().join("b")).unwrap(), before);
    let said =
        octostore(&setup, &["restore", setup.database().to_str().unwrap(), "--database", "x.db"]);
    assert!(said.refused(65).contains("not a backup"));
}

#[test]
fn durability_a_copy_never_takes_the_place_of_the_database() {
    let setup = Setup::new().variable("ADMIN_KEY", KEY);
    let server = setup.start();
    let database = setup.database();
    let name = |end: &str| format!("{}{end}", database.display());
    std::os::unix::fs::symlink(setup.database(), setup.folder().join("link")).unwrap();
    let names = ["", "-wal", "-shm", "-journal", "-lock"].map(name);
    for name in names.iter().map(String::as_str).chain(["link"]) {
        for command in [&["backup", name, "--force"][..], &["export", name, "--force"]] {
            let said = octostore(&setup, command).refused(73);
            assert!(said.contains("belongs to one"), "{said}");
        }
    }
    let lease = server.alice().acquire("a", 60).lease();
    server.stop();
    assert_eq!(setup.start().alice().get("a").ok()["status"], "held", "{lease}");
}

#[test]
fn a_command_that_is_stopped_leaves_nothing_half_done() {
    let setup = Setup::new().variable("ADMIN_KEY", KEY);
    setup.start().stop();
    let names = || {
        let folder = std::fs::read_dir(setup.folder()).unwrap();
        folder.map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>()
    };
    let before = names();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let backup = command(&setup, &["backup", "b", "--server", &address]);
    // What it does with a hangup is not what whoever runs the tests has it do.
    let with_hangup = |what: &str| {
        let mut child = std::process::Command::new("/usr/bin/env");
        child.args([&format!("--{what}-signal=HUP"), backup.get_program().to_str().unwrap()]);
        child.args(backup.get_args()).current_dir(setup.folder()).env_clear();
        child.envs(setup.variables()).env("DATABASE_URL", setup.database()).spawn().unwrap()
    };
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut child = with_hangup("default");
        // It asks when it has somewhere to write to, and would wait for two minutes.
        let _asked = silent.accept().unwrap();
        assert_eq!(names().len(), before.len() + 1);
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(128 + signal.as_raw()));
        assert_eq!(names(), before);
    }

    // `nohup` has it go on when whoever began it has gone.
    let mut child = with_hangup("ignore");
    let _asked = silent.accept().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 1, 1, "{ignored}");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + Signal::TERM.as_raw()));
    assert_eq!(names(), before);
}

#[test]
fn a_backup_is_had_from_any_folder_and_with_a_key_from_a_file() {
    let setup = Setup::bare().bind("unix:o.sock").variable("ADMIN_KEY", &format!("{KEY}\n"));
    let _server = setup.start();
    std::fs::create_dir(setup.folder().join("elsewhere")).unwrap();
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_octostore"))
        .args(["backup", "copy", "--database"])
        .arg(setup.database())
        .env("ADMIN_KEY", format!("{KEY}\n"))
        .current_dir(setup.folder().join("elsewhere"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn who_may_not_have_a_backup_gets_none() {
    let setup = setup();
    let server = setup.start();
    assert_eq!(Caller::new(&server.address, None).get("/admin/backup").status, 401);
    Caller::alice(&server).get("/admin/backup").refused(403, "not_an_administrator");
    crate::admin::act(&server, "alice", "promote");
    let shipper = scoped(&server, ALICE, "admin.audit:read");
    Caller::new(&server.address, Some(&shipper))
        .get("/admin/backup")
        .refused(403, "insufficient_scope");
    let keeper_of_backups = scoped(&server, ALICE, "admin.backup:read");
    let fetched = Caller::new(&server.address, Some(&keeper_of_backups)).get("/admin/backup");
    assert!(fetched.status == 200 && fetched.body.starts_with(b"SQLite format 3\0"));
    assert_eq!(fetched.header("content-length").unwrap(), fetched.body.len().to_string());

    let wrong = setup.clone().variable("ADMIN_KEY", "another-key-that-opens-nothing");
    octostore(&wrong, &["backup", "b"]).refused(77);
    let nothing = Setup::bare();
    let at = server.url().replace("http://", "");
    octostore(&nothing, &["backup", "b", "--server", &at]).refused(77);
    let elsewhere = octostore(&setup, &["backup", "b", "--server", "192.0.2.1:3000"]).refused(64);
    assert!(elsewhere.contains("not on this machine"), "{elsewhere}");
    assert!(!setup.folder().join("b").exists());
    assert!(!elsewhere.contains(KEY));
}

#[test]
fn no_other_secret_is_shown_to_a_server_in_place_of_the_first_token() {
    let setup = Setup::bare();
    let server = setup.start();
    let (beside, other) = (setup.beside(".admin-token"), setup.folder().join("other"));
    let refused = || {
        let said = octostore(&setup, &["backup", "b"]).refused(77);
        assert!(said.contains("not the file of a first start"), "{said}");
    };
    std::fs::rename(&beside, &other).unwrap();
    std::os::unix::fs::symlink(&other, &beside).unwrap();
    refused();
    std::fs::remove_file(&beside).unwrap();
    std::fs::write(&beside, "a-secret-of-another-program\n").unwrap();
    refused();
    std::fs::rename(&other, &beside).unwrap();
    octostore(&setup, &["backup", "b"]).ok();
    server.stop();
}

#[test]
fn a_command_that_fails_leaves_nothing_beside_what_it_did_not_make() {
    let setup = setup();
    setup.start().stop();
    octostore(&setup, &["backup", "whole"]).ok();
    let whole = std::fs::read(setup.folder().join("whole")).unwrap();
    let names = || {
        let listed = std::fs::read_dir(setup.folder()).unwrap();
        listed.map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>()
    };
    std::fs::write(setup.folder().join("made.db-lock"), "").unwrap();
    std::fs::write(setup.folder().join("cut"), "").unwrap();
    let before = names();
    for length in [5_000, whole.len() / 2] {
        std::fs::write(setup.folder().join("cut"), &whole[..length]).unwrap();
        let said = octostore(&setup, &["restore", "cut", "--database", "made.db"]).refused(65);
        assert!(said.contains("cut is damaged"), "{said}");
        assert_eq!(names(), before, "cut at {length}");
    }
    // It cannot be made as large as it must be.
    let octostore = env!("CARGO_BIN_EXE_octostore");
    let script = format!("ulimit -f 8; exec {octostore} restore whole --database made.db");
    let mut shell = std::process::Command::new("/bin/sh");
    let done = shell.args(["-c", &script]).current_dir(setup.folder()).output().unwrap();
    assert!(done.status.code().is_some_and(|code| code > 64), "{done:?}");
    assert_eq!(names(), before);
}

#[test]
fn no_link_nor_force_puts_anything_in_the_place_of_the_first_token() {
    let setup = Setup::bare();
    setup.start().stop();
    let token = std::fs::read(setup.beside(".admin-token")).unwrap();
    octostore(&setup, &["backup", "--force", "octostore.db.admin-token"]).refused(73);
    octostore(&setup, &["export", "--force", "octostore.db.admin-token"]).refused(73);
    assert_eq!(std::fs::read(setup.beside(".admin-token")).unwrap(), token);
}

#[test]
fn what_a_lock_file_says_sends_no_secret_to_another_machine() {
    let setup = setup();
    setup.start().stop();
    let lock = setup.beside("-lock");
    std::fs::write(&lock, "1\nhttp://192.0.2.1:3000\n").unwrap();
    let held = std::fs::File::open(&lock).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let said = octostore(&setup, &["backup", "b"]).refused(64);
    assert!(said.contains("192.0.2.1:3000 is not on this machine"), "{said}");
}

/// A backup that has begun to arrive and is not read.
fn begun(server: &crate::common::Server) -> Connection {
    begun_with(server, KEY).0
}

/// The same for whoever has this key or token, and how long it is.
fn begun_with(server: &crate::common::Server, token: &str) -> (Connection, usize) {
    let mut connection = server.connect();
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", &*authorization)];
    connection.send(&crate::common::request("GET", "/admin/backup", &headers, b""));
    let head = connection.read_head().unwrap();
    assert_eq!(head.status, 200);
    (connection, head.header("content-length").unwrap().parse().unwrap())
}

#[test]
fn who_is_no_administrator_any_more_gets_no_more_of_a_backup() {
    let setup = setup();
    setup.start().stop();
    crate::audit::seed(&setup, 100_000, 60);
    let server = setup.start();
    crate::admin::act(&server, "alice", "promote");
    let (mut demoted, length) = begun_with(&server, ALICE);
    crate::admin::act(&server, "alice", "demote");
    let came = demoted.drain().len();
    assert!(came < length, "all {length} bytes came");
}

#[test]
fn nothing_is_restored_beside_a_journal_of_another_database() {
    let setup = Setup::new();
    setup.start().stop();
    octostore(&setup, &["backup", "b"]).ok();
    for end in ["-wal", "-journal"] {
        let journal = setup.folder().join(format!("x.db{end}"));
        std::fs::write(&journal, "of another").unwrap();
        let said = octostore(&setup, &["restore", "b", "--database", "x.db"]).refused(73);
        assert!(said.contains(&format!("x.db{end} exists")), "{said}");
        assert!(!setup.folder().join("x.db").exists());
        assert_eq!(std::fs::read_to_string(&journal).unwrap(), "of another");
        std::fs::remove_file(&journal).unwrap();
    }
    octostore(&setup, &["restore", "b", "--database", "x.db"]).ok();
}

#[test]
fn bounded_one_backup_at_a_time_and_whoever_goes_away_frees_it() {
    let setup = setup();
    setup.start().stop();
    crate::audit::seed(&setup, 100_000, 60);
    let server = setup.start();
    let slow = begun(&server);
    let refused = keeper(&server).get("/admin/backup");
    refused.refused(503, "backup_busy");
    assert!(refused.header("retry-after").is_some());
    let noted = crate::audit::entries(&server, "action=backup");
    assert_eq!(noted.len(), 1, "of what was not made there is no entry");
    // Nobody else waits for whoever does not read.
    server.alice().acquire("a", 60).ok();
    drop(slow);
    let fetched = until("the turn is free", || {
        Some(keeper(&server).get("/admin/backup")).filter(|answer| answer.status == 200)
    });
    assert!(fetched.body.len() > 5 << 20);
    // Nor does a stop.
    let slow = begun(&server);
    server.stop();
    drop(slow);
}

#[test]
fn under_load_every_backup_is_one_moment() {
    let setup = setup();
    let server = setup.start();
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Both values of a pair are written one after the other: the second is never ahead.
            let mut alice = Caller::alice(&server);
            for n in 1.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                alice.put_value("first", &n.to_string()).ok();
                alice.put_value("second", &n.to_string()).ok();
                written.store(n, Ordering::SeqCst);
            }
        });
        // If it fails too: who writes would go on for ever, and the test with it.
        let _stops = Stops(&stop);
        for round in 0..3 {
            let before = until("more is written", || {
                Some(written.load(Ordering::SeqCst)).filter(|&n| n >= (round + 1) * 20)
            });
            octostore(&setup, &["backup", &format!("b{round}")]).ok();
            let server = restored(&setup, &format!("b{round}"));
            let mut alice = Caller::alice(&server);
            let mut value =
                |key| alice.get(&format!("/config/{key}")).ok()["value"].as_u64().unwrap();
            let (first, second) = (value("first"), value("second"));
            assert!(second >= before, "{second} after {before}");
            assert!(first == second || first == second + 1, "{first} and {second}");
        }
    });
}

/// Sets it when it goes out of scope.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
