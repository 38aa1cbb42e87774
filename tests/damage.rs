//! Files that are not as they should be: a clear refusal, and not a byte of them touched.

use crate::common::{Server, Setup};
use rusqlite::Connection;
use serde_json::Value;
use std::{fs, path::Path};

const TRY_LATER: Option<i32> = Some(75);
const DATA: Option<i32> = Some(65);

/// Starts on the file as it is: it must refuse in one line with these words, with `code`, and
/// leave the file and what lies beside it alone.
#[track_caller]
pub fn refuses(setup: &Setup, code: Option<i32>, words: &[&str]) {
    // An empty journal is none.
    let read = |suffix| fs::read(setup.beside(suffix)).ok().filter(|bytes| !bytes.is_empty());
    let before = ["", "-wal", "-journal"].map(read);
    for _ in 0..2 {
        let refused = setup.run();
        assert_eq!(refused.code, code, "{refused:?}");
        let line = refused.one_line();
        let path = setup.database().display().to_string();
        for word in words.iter().copied().chain([&*path]) {
            assert!(line.contains(word), "no {word:?} in {line:?}");
        }
        assert!(!refused.out.contains("listening"));
        assert_eq!(["", "-wal", "-journal"].map(read), before, "{line}");
        assert!(!setup.beside(".admin-token").exists());
    }
}

/// A database with some locks in it, after a clean stop.
fn filled() -> Setup {
    let server = Setup::new().start();
    let mut alice = server.alice();
    for n in 0..60 {
        let body = serde_json::json!({"ttl_seconds": 3600, "metadata": "m".repeat(500)});
        alice.acquire_with(&format!("lock-{n}"), &body).ok();
    }
    let setup = server.setup.clone();
    server.stop();
    setup
}

#[test]
fn a_file_that_is_no_database_is_refused_and_untouched() {
    let long = "this is a letter, and no database at all\n".repeat(200);
    for text in ["x", "hello\n", &long] {
        let setup = Setup::new();
        fs::write(setup.database(), text).unwrap();
        refuses(&setup, DATA, &[]);
    }
    // With nothing configured, no account is made for it either.
    let setup = Setup::bare();
    fs::write(setup.database(), &long).unwrap();
    refuses(&setup, DATA, &[]);
}

#[test]
fn somebody_elses_database_is_refused_and_untouched() {
    for journal in ["delete", "wal"] {
        let setup = Setup::new();
        let theirs = Connection::open(setup.database()).unwrap();
        theirs.pragma_update(None, "journal_mode", journal).unwrap();
        theirs
            .execute_batch("CREATE TABLE locks (name TEXT); INSERT INTO locks VALUES ('a');")
            .unwrap();
        theirs.close().unwrap();
        refuses(&setup, DATA, &[]);
    }
}

#[test]
fn a_newer_database_is_refused_and_untouched() {
    let setup = filled();
    let file = Connection::open(setup.database()).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    file.close().unwrap();
    refuses(&setup, DATA, &["99", "newer"]);
}

#[test]
fn a_newer_database_is_refused_even_if_only_its_journal_says_so() {
    let setup = filled();
    let file = Connection::open(setup.database()).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    // As a program that was killed leaves it.
    let kept = ["", "-wal"].map(|suffix| fs::read(setup.beside(suffix)).unwrap());
    file.close().unwrap();
    for (suffix, bytes) in ["", "-wal"].into_iter().zip(kept) {
        fs::write(setup.beside(suffix), bytes).unwrap();
    }
    refuses(&setup, DATA, &["99", "newer"]);
}

#[test]
fn a_damaged_database_is_refused_and_untouched() {
    let setup = filled();
    let whole = fs::read(setup.database()).unwrap();
    let pages = whole.len() / 4096;
    assert!(pages > 8, "pages to damage: {pages}");
    for page in 0..pages {
        let mut bytes = whole.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0xa5);
        fs::write(setup.database(), &bytes).unwrap();
        refuses(&setup, DATA, &[]);
    }
    // Not the whole page but its head, and a pointer in it.
    for page in 1..pages {
        let mut bytes = whole.clone();
        bytes[page * 4096..page * 4096 + 12].fill(0xff);
        fs::write(setup.database(), &bytes).unwrap();
        refuses(&setup, DATA, &["damaged"]);
    }
    fs::write(setup.database(), &whole).unwrap();
    setup.start().alice().acquire("lock-1", 60).ok();
}

#[test]
fn a_schema_that_is_no_text_any_more_is_refused_as_damage() {
    let setup = filled();
    let whole = fs::read(setup.database()).unwrap();
    let starts = |at: &usize| whole[*at..].starts_with(b"CREATE");
    let statements: Vec<_> = (0..whole.len()).filter(starts).collect();
    assert!(statements.len() > 5, "{statements:?}");
    for at in statements {
        for into in [20, 35, 50, 65, 80] {
            let mut bytes = whole.clone();
            // In a word of SQL or in a name: what SQLite reads there is no UTF-8.
            bytes[at + into] ^= 0x80;
            fs::write(setup.database(), &bytes).unwrap();
            refuses(&setup, DATA, &["damaged"]);
        }
    }
}

#[test]
fn a_database_that_ends_too_early_is_refused_and_untouched() {
    let setup = filled();
    let whole = fs::read(setup.database()).unwrap();
    for length in [50, 100, 4096, whole.len() / 2, whole.len() - 4096] {
        fs::write(setup.database(), &whole[..length]).unwrap();
        refuses(&setup, DATA, &[]);
    }
}

/// Has the rows look as if no checksum had ever been written, so that only what they say counts.
fn forget_sums(file: &Connection) {
    for table in ["boot", "locks", "token_mark", "accounts", "tokens"] {
        // The table may be gone.
        let _ = file.execute(&format!("UPDATE {table} SET sum = NULL"), []);
    }
}

#[test]
fn rows_that_no_server_wrote_are_refused_as_damage() {
    let setup = filled();
    let whole = fs::read(setup.database()).unwrap();
    let mut wrong = Vec::new();
    for change in [
        "UPDATE locks SET account = x'00' WHERE name = 'lock-1'",
        "UPDATE locks SET lease = x'0011' WHERE name = 'lock-1'",
        "UPDATE locks SET token = -5 WHERE name = 'lock-1'",
        "UPDATE locks SET token = 1 << 60 WHERE name = 'lock-1'",
        "UPDATE locks SET token = 999 WHERE name = 'lock-1'",
        "UPDATE locks SET ttl_seconds = 0 WHERE name = 'lock-1'",
        "UPDATE locks SET expires = -1 WHERE name = 'lock-1'",
        "UPDATE locks SET name = 'a b' WHERE name = 'lock-1'",
        "UPDATE token_mark SET mark = -1",
        "DELETE FROM token_mark",
        "DELETE FROM boot",
        "UPDATE tokens SET hash = x'00' WHERE hash = (SELECT min(hash) FROM tokens)",
        "DROP TABLE locks",
        "ALTER TABLE locks DROP COLUMN metadata",
    ] {
        fs::write(setup.database(), &whole).unwrap();
        let file = Connection::open(setup.database()).unwrap();
        file.execute_batch(change).unwrap();
        forget_sums(&file);
        file.close().unwrap();
        let before = fs::read(setup.database()).unwrap();
        match setup.try_start() {
            Ok(_) => wrong.push(format!("{change}: it serves")),
            Err(exit) if exit.code != DATA || !exit.err.contains("damaged") => {
                wrong.push(format!("{change}: {:?} {}", exit.code, exit.err));
            }
            Err(_) => {}
        }
        if fs::read(setup.database()).unwrap() != before {
            wrong.push(format!("{change}: the file was changed"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn two_locks_with_one_token_are_refused_or_served_but_break_nothing() {
    let setup = filled();
    let file = Connection::open(setup.database()).unwrap();
    file.execute_batch("UPDATE locks SET token = 2 WHERE name = 'lock-0'").unwrap();
    forget_sums(&file);
    file.close().unwrap();
    match setup.try_start() {
        Ok(mut server) => assert!(server.is_well()),
        Err(exit) => assert_eq!(exit.code, DATA),
    }
}

#[test]
fn a_lock_of_an_account_that_is_not_there_is_refused_or_answered() {
    let setup = filled();
    let file = Connection::open(setup.database()).unwrap();
    file.execute_batch("UPDATE locks SET account = randomblob(16) WHERE name = 'lock-1'").unwrap();
    forget_sums(&file);
    file.close().unwrap();
    match setup.try_start() {
        Ok(server) => assert_eq!(server.alice().get("lock-1").status, 200),
        Err(exit) => assert_eq!(exit.code, DATA),
    }
}

#[test]
fn a_writer_that_holds_the_database_keeps_the_server_out() {
    let setup = filled();
    let other = Connection::open(setup.database()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let refused = setup.run();
    assert_eq!(refused.code, TRY_LATER, "{refused:?}");
    let path = setup.database().display().to_string();
    assert!(refused.one_line().contains(&path), "{refused:?}");
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    setup.start().alice().acquire("lock-1", 60).ok();
}

#[test]
fn while_the_server_runs_nobody_else_can_write_or_read() {
    let server = filled().start();
    let mut alice = server.alice();
    for _ in 0..3 {
        let other = Connection::open(server.setup.database()).unwrap();
        other.busy_timeout(std::time::Duration::ZERO).unwrap();
        for statement in ["BEGIN EXCLUSIVE", "DELETE FROM locks", "PRAGMA user_version=5"] {
            let error = other.execute_batch(statement).unwrap_err();
            assert!(error.to_string().contains("database is locked"), "{error}");
        }
        let lease = alice.acquire("meanwhile", 60).lease();
        alice.release("meanwhile", &lease).ok();
    }
    let setup = server.setup.clone();
    server.stop();
    assert_eq!(setup.start().alice().list("").ok()["total"], 60);
}

fn second_is_refused(server: &Server, second: &Setup) {
    let refused = second.run();
    assert_eq!(refused.code, TRY_LATER, "{refused:?}");
    let pid = server.pid().to_string();
    assert!(refused.one_line().contains(&pid), "{refused:?}");
}

#[test]
fn a_second_server_on_one_file_is_refused_with_the_others_pid() {
    let server = Setup::new().start();
    let lease = server.alice().acquire("a", 3600).lease();
    second_is_refused(&server, &server.setup);
    // By whatever name the file goes.
    let link = server.setup.folder().join("link.db");
    std::os::unix::fs::symlink(server.setup.database(), &link).unwrap();
    second_is_refused(&server, &server.setup.clone().database_at(&link));
    let roundabout = server.setup.folder().join("x/../octostore.db");
    fs::create_dir(server.setup.folder().join("x")).unwrap();
    second_is_refused(&server, &server.setup.clone().database_at(&roundabout));

    server.alice().renew("a", &lease, 3600).ok();
    let setup = server.setup.clone();
    server.kill();
    setup.start().alice().renew("a", &lease, 60).ok();
}

#[test]
fn a_file_that_cannot_be_is_one_line() {
    for path in ["no/such/folder/octostore.db", "."] {
        let setup = Setup::new().database_at(Path::new(path));
        let refused = setup.run();
        assert!(matches!(refused.code, Some(65..)), "{refused:?}");
        assert!(!refused.one_line().is_empty());
    }
}

#[test]
fn an_empty_file_is_a_new_database() {
    let setup = Setup::new();
    fs::write(setup.database(), "").unwrap();
    setup.start().alice().acquire("a", 60).ok();
}

#[test]
fn a_file_that_was_being_made_when_the_power_went_is_made_anew() {
    // Page 1 did not make it to the disk, page 2 did. The journal says: there was nothing before.
    let pages = [vec![0; 4096], vec![7; 4096]].concat();
    let mut journal = vec![0; 512];
    journal[..8].copy_from_slice(&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]);
    journal[20..24].copy_from_slice(&512_u32.to_be_bytes());
    journal[24..28].copy_from_slice(&4096_u32.to_be_bytes());
    let setup = Setup::new();
    fs::write(setup.database(), &pages).unwrap();
    // Without that it might be anybody's.
    refuses(&setup, DATA, &["not an octostore database"]);
    fs::write(setup.beside("-journal"), &journal).unwrap();
    let server = setup.start();
    server.alice().acquire("a", 60).ok();
    server.stop();
    // And with it, too, if there is anything of a database.
    let mut pages = fs::read(setup.database()).unwrap();
    pages[68] ^= 1;
    fs::write(setup.database(), pages).unwrap();
    fs::write(setup.beside("-journal"), &journal).unwrap();
    refuses(&setup, DATA, &["not an octostore database"]);
}

#[test]
fn a_wrong_bit_in_the_journal_loses_nothing_that_was_acknowledged() {
    let server = Setup::new().start();
    let setup = server.setup.clone();
    let mut alice = server.alice();
    let leases: Vec<_> =
        (0..8).map(|n| alice.acquire(&format!("lock-{n}"), 3600).lease()).collect();
    server.kill();
    let whole = ["", "-wal"].map(|suffix| fs::read(setup.beside(suffix)).unwrap());
    // As far as there is anything in it; what lies behind is zeros.
    let end = whole[1].iter().rposition(|&byte| byte != 0).unwrap();
    let mut put_right = 0;
    for place in 0..40 {
        let at = if place < 8 { place * 4 } else { end * (place - 7) / 33 };
        let mut damaged = whole.clone();
        damaged[1][at] ^= 1 << (place % 8);
        for (suffix, bytes) in ["", "-wal"].iter().zip(&damaged) {
            fs::write(setup.beside(suffix), bytes).unwrap();
        }
        match setup.try_start() {
            Ok(server) => {
                let mut alice = server.alice();
                for (n, lease) in leases.iter().enumerate() {
                    let lock = alice.get(&format!("lock-{n}")).ok();
                    assert_eq!(lock["lease_id"], **lease, "byte {at}");
                }
                put_right += 1;
                server.kill();
            }
            Err(exit) => {
                assert_eq!(exit.code, DATA, "byte {at}: {exit:?}");
                assert!(exit.one_line().contains("journal"), "{exit:?}");
            }
        }
    }
    assert!(put_right > 20, "{put_right}");
}

/// Whether two starts tell the same. Each reads anew how far the wall clock is from the lease clock, so
/// when a lease or a window ends may print as the next millisecond.
fn is_alike(now: &Value, before: &Value) -> bool {
    match (now, before) {
        (Value::Object(now), Value::Object(before)) => {
            now.len() == before.len()
                && now.iter().zip(before).all(|((key, now), (known, before))| {
                    let ends = ["expires_at", "reset_at"].contains(&&**key);
                    key == known
                        && if ends { is_same_end(now, before) } else { is_alike(now, before) }
                })
        }
        (Value::Array(now), Value::Array(before)) => {
            now.len() == before.len()
                && now.iter().zip(before).all(|(now, before)| is_alike(now, before))
        }
        _ => now == before,
    }
}

fn is_same_end(now: &Value, before: &Value) -> bool {
    let millis = |end: &Value| {
        end.as_str().and_then(|end| Some(end.parse::<jiff::Timestamp>().ok()?.as_millisecond()))
    };
    match (millis(now), millis(before)) {
        (Some(now), Some(before)) => now.abs_diff(before) <= 2,
        _ => now == before,
    }
}

#[test]
fn a_wrong_bit_in_the_file_changes_nothing_that_is_told() {
    let server = Setup::new().start();
    let setup = server.setup.clone();
    let mut alice = server.alice();
    for n in 0..5 {
        let asked =
            serde_json::json!({"ttl_seconds": 3600, "metadata": "m".repeat(300), "owner": "o"});
        alice.acquire_with(&format!("lock-{n}"), &asked).ok();
        let flag = format!(r#"{{"enabled":true,"percentage":{n}}}"#);
        alice.send("PUT", &format!("/flags/flag-{n}"), flag.as_bytes()).ok();
        let value = format!(r#"{{"value":"{}","description":"d"}}"#, "v".repeat(900));
        alice.send("PUT", &format!("/config/key-{n}"), value.as_bytes()).ok();
        alice.send("PUT", &format!("/config/key-{n}"), value.as_bytes()).ok();
        let check = br#"{"max_requests":9,"window_seconds":3600}"#;
        alice.send("POST", &format!("/limits/limit-{n}/check"), check).ok();
    }
    alice.send("POST", "/auth/tokens", br#"{"name":"n","scopes":["locks:read"]}"#);
    let told = |server: &Server| -> Vec<Value> {
        let mut alice = server.alice();
        let lists = ["/locks", "/flags", "/config", "/config/key-3/history", "/limits"];
        let mut all: Vec<_> = lists.iter().map(|path| alice.send("GET", path, b"").ok()).collect();
        // When a token was last used changes with every look.
        let mut tokens = alice.send("GET", "/auth/tokens", b"").ok();
        for token in tokens["tokens"].as_array_mut().unwrap() {
            token.as_object_mut().unwrap().remove("last_used_at");
        }
        all.push(tokens);
        all
    };
    let before = told(&server);
    server.stop();
    let whole = fs::read(setup.database()).unwrap();
    let mut refused = 0;
    let places: Vec<usize> = (0..104).step_by(4).chain((104..whole.len()).step_by(1009)).collect();
    for (count, &at) in places.iter().enumerate() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (count % 8);
        fs::write(setup.database(), &damaged).unwrap();
        match setup.try_start() {
            Ok(server) => {
                let now = told(&server);
                let alike = now.iter().zip(&before).all(|(now, before)| is_alike(now, before));
                assert!(alike, "byte {at}, bit {}: {now:?} after {before:?}", count % 8);
                server.kill();
                let _ = fs::remove_file(setup.beside("-wal"));
            }
            Err(exit) => {
                exit.one_line();
                assert!(matches!(exit.code, Some(65 | 74)), "byte {at}: {exit:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > places.len() / 10, "{refused} of {}", places.len());
}
