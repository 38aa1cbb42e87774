//! The journal beside the main file, and the names of both: what was acknowledged is in them together, and
//! nobody goes on with one half of it.

use crate::{
    common::{Client, Setup},
    damage::refuses,
    operation::octostore,
};
use std::{fs, path::Path};

const DATA: Option<i32> = Some(65);

/// A database with a lock and a flag in it that are in the journal alone, as `kill -9` leaves it; and the
/// lease.
fn killed() -> (Setup, String) {
    let server = Setup::new().start();
    let mut alice = server.alice();
    let lease = alice.acquire("a", 3600).lease();
    alice.send("PUT", "/flags/f", br#"{"enabled":true}"#).ok();
    let setup = server.setup.clone();
    server.kill();
    (setup, lease)
}

/// Whether both of that are there.
fn has_everything(alice: &mut Client, lease: &str) -> bool {
    alice.get("a").lease() == lease && alice.send("GET", "/flags/f", b"").ok()["enabled"] == true
}

/// Wants `command` to be refused with these words, and to make nothing.
fn command_refuses(setup: &Setup, command: &[&str], words: &[&str]) {
    let said = octostore(setup, command).refused(65);
    for word in words {
        assert!(said.contains(word), "{command:?}: no {word:?} in {said}");
    }
    assert!(!setup.folder().join("made").exists(), "{command:?}");
}

#[test]
fn durability_a_journal_whose_database_is_gone_is_not_passed_over() {
    let (setup, lease) = killed();
    let main = fs::read(setup.database()).unwrap();
    let words = ["octostore.db-wal", "put it back", "restore a backup", "move"];
    for is_there in [true, false] {
        if is_there {
            fs::write(setup.database(), "").unwrap();
        } else {
            fs::remove_file(setup.database()).unwrap();
        }
        refuses(&setup, DATA, &words);
        assert_eq!(setup.database().exists(), is_there);
        for command in [&["check"][..], &["backup", "made"], &["export", "made"]] {
            command_refuses(&setup, command, &words);
        }
    }
    fs::write(setup.database(), "").unwrap();
    command_refuses(&setup, &["token", "create"], &words);
    // It is as the message says.
    fs::write(setup.database(), main).unwrap();
    let server = setup.start();
    assert!(has_everything(&mut server.alice(), &lease));
    server.kill();
    fs::remove_file(setup.database()).unwrap();
    fs::rename(setup.beside("-wal"), setup.folder().join("moved")).unwrap();
    assert_eq!(setup.start().alice().acquire("a", 60).token(), 1);
}

#[test]
fn a_journal_that_would_take_back_pages_is_not_one_of_a_first_start() {
    let setup = Setup::new();
    let mut journal = vec![0; 512];
    journal[..8].copy_from_slice(&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]);
    journal[20..24].copy_from_slice(&512_u32.to_be_bytes());
    journal[24..28].copy_from_slice(&4096_u32.to_be_bytes());
    for main in [&b""[..], &[0; 4096]] {
        fs::write(setup.database(), main).unwrap();
        // So many pages there were before.
        journal[19] = 7;
        fs::write(setup.beside("-journal"), &journal).unwrap();
        refuses(&setup, DATA, &["octostore.db-journal", "put it back"]);
        journal[19] = 0;
        fs::write(setup.beside("-journal"), &journal).unwrap();
        let server = setup.start();
        assert_eq!(server.alice().acquire("a", 60).token(), 1);
        server.stop();
    }
}

/// Flips one bit of the last transaction such that a server says it cannot know which bit is wrong.
fn damage_last_transaction(setup: &Setup) {
    let whole = fs::read(setup.beside("-wal")).unwrap();
    let end = whole.iter().rposition(|&byte| byte != 0).unwrap();
    // The sums do not tell the high bits of some words apart.
    let high_bits = (0..=end).rev().filter(|at| at % 4 == 3).take(60);
    for at in high_bits {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x80;
        fs::write(setup.beside("-wal"), &damaged).unwrap();
        match setup.try_start() {
            Ok(server) => server.kill(),
            Err(exit) if exit.err.contains("has a wrong bit") => return,
            Err(exit) => panic!("byte {at}: {exit:?}"),
        }
        fs::write(setup.beside("-wal"), &whole).unwrap();
    }
    panic!("every bit was put right");
}

#[test]
fn durability_a_journal_that_no_server_takes_is_copied_by_nobody() {
    let (setup, _) = killed();
    let main = fs::read(setup.database()).unwrap();
    damage_last_transaction(&setup);
    fs::write(setup.database(), main).unwrap();
    let words = ["of its journal (-wal) has a wrong bit"];
    refuses(&setup, DATA, &words);
    for command in [&["check"][..], &["backup", "made"], &["export", "made"]] {
        command_refuses(&setup, command, &words);
    }
    refuses(&setup, DATA, &words);
}

#[test]
fn durability_a_database_that_has_two_names_is_used_by_none() {
    let server = Setup::new().start();
    let setup = server.setup.clone();
    let other = setup.folder().join("other.db");
    fs::hard_link(setup.database(), &other).unwrap();
    let by_other = setup.clone().database_at(&other);
    let words = ["hard link", "-samefile"];
    let commands = [&["check"][..], &["backup", "made"], &["export", "made"], &["token", "create"]];
    // Its journal is not found by that name.
    let lease = server.alice().acquire("a", 3600).lease();
    server.alice().send("PUT", "/flags/f", br#"{"enabled":true}"#).ok();
    for command in commands {
        command_refuses(&by_other, command, &words);
    }
    refuses(&by_other, DATA, &words);
    server.kill();
    for setup in [&by_other, &setup] {
        refuses(setup, DATA, &words);
        for command in commands {
            command_refuses(setup, command, &words);
        }
    }
    fs::remove_file(other).unwrap();
    assert!(has_everything(&mut setup.start().alice(), &lease));
}

#[test]
fn a_backup_may_have_as_many_names_as_it_likes() {
    let setup = Setup::new();
    setup.start().stop();
    octostore(&setup, &["backup", "b"]).ok();
    fs::hard_link(setup.folder().join("b"), setup.folder().join("c")).unwrap();
    for command in [
        &["check", "c"][..],
        &["export", "e", "--database", "c"],
        &["restore", "c", "--database", "d"],
    ] {
        octostore(&setup, command).ok();
    }
}

/// A database beside which a server may be at work, and commands that do not know of it.
#[test]
fn durability_a_copy_of_another_database_takes_the_place_of_none() {
    let key = crate::admin::KEY;
    let setup = Setup::new().variable("ADMIN_KEY", key);
    let server = setup.start();
    let at = server.url().replace("http://", "");
    let elsewhere = Setup::new().variable("ADMIN_KEY", key);
    elsewhere.start().stop();
    let lease = server.alice().acquire("a", 3600).lease();
    server.alice().send("PUT", "/flags/f", br#"{"enabled":true}"#).ok();
    let link = elsewhere.folder().join("link.db");
    std::os::unix::fs::symlink(setup.database(), &link).unwrap();
    let link = link.to_str().unwrap();
    let before = names(setup.folder());
    for end in ["", "-wal", "-shm", "-journal", "-lock"] {
        let file = format!("{}{end}", setup.database().display());
        for command in [
            &["backup", &file, "--force", "--server", &at][..],
            &["backup", &file, "--force", "--database", link],
            &["backup", &file, "--force"],
            &["export", &file, "--force", "--database", link],
            &["export", &file, "--force"],
        ] {
            let said = octostore(&elsewhere, command).refused(73);
            assert!(said.contains("belongs to one"), "{said}");
        }
        let beside = format!("{link}{end}");
        octostore(&elsewhere, &["backup", &beside, "--force", "--server", &at]).refused(73);
    }
    // One that is just being made is known by what lies beside it.
    fs::write(elsewhere.folder().join("young.db"), "").unwrap();
    fs::write(elsewhere.folder().join("young.db-lock"), "").unwrap();
    octostore(&elsewhere, &["backup", "young.db", "--force"]).refused(73);
    // And one that was lost by what is left of it.
    fs::write(elsewhere.folder().join("lost.db-wal"), "commits").unwrap();
    octostore(&elsewhere, &["backup", "lost.db"]).refused(73);
    octostore(&elsewhere, &["backup", "lost.db-wal", "--force"]).refused(73);
    assert_eq!(names(setup.folder()), before);
    server.kill();
    assert!(has_everything(&mut setup.start().alice(), &lease));
}

#[test]
fn a_copy_takes_the_place_of_an_earlier_one_if_it_is_told_to() {
    let setup = Setup::new();
    setup.start().stop();
    fs::write(setup.folder().join("b"), "").unwrap();
    for command in [&["backup", "b"][..], &["export", "b"]] {
        for _ in 0..2 {
            octostore(&setup, command).refused(73);
            octostore(&setup, &[command, &["--force"]].concat()).ok();
        }
    }
    // But none of what it is made of.
    octostore(&setup, &["backup", "b", "--force"]).ok();
    octostore(&setup, &["export", "b", "--force", "--database", "b"]).refused(73);
}

fn names(folder: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}
