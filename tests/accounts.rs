//! Accounts and tokens: made, configured, rotated, and written down nowhere in clear.

use crate::common::{ALICE, BOB, Client, Server, Setup, at_once, until};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Whether `needle` stands in any file of the folder, other than `except`.
fn is_in_a_file(folder: &Path, needle: &str, except: &Path) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        path != except
            && fs::read(&path)
                .unwrap()
                .windows(needle.len())
                .any(|window| window == needle.as_bytes())
    })
}

#[test]
fn a_first_start_with_nothing_configured_is_ready_to_use() {
    let server = Setup::bare().start();
    let file = server.setup.beside(".admin-token");
    assert_eq!(mode(&file), 0o600);
    let token = fs::read_to_string(&file).unwrap().trim().to_owned();
    assert!(token.len() > 30);
    let out = server.out();
    assert!(!out.contains(&token) && !server.err().contains(&token));
    let mut admin = Client::new(&server.address, &token);
    assert_eq!(admin.acquire("a", 60).ok()["holder"], "admin");

    // The line that it prints works as it stands, where there is a curl to try it.
    let line = &out[out.find("curl ").unwrap()..];
    let line = line.lines().next().unwrap();
    assert!(line.contains(&server.url()) && line.contains(&file.display().to_string()));
    if Command::new("curl").arg("--version").output().is_ok() {
        let done = Command::new("sh").args(["-c", line]).output().unwrap();
        let body: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(body["status"], "acquired");
    }

    let setup = server.setup.clone();
    assert!(!is_in_a_file(setup.folder(), &token, &file));
    fs::remove_file(&file).unwrap();
    let said = server.stop();
    assert!(!said.err.contains(&token));

    let server = setup.start();
    assert!(!file.exists(), "the second start makes none");
    assert!(!server.out().contains("acquire"), "{}", server.out());
    assert_eq!(Client::new(&server.address, &token).get("a").ok()["holder"], "admin");
}

#[test]
fn a_start_that_lets_nobody_in_says_so_and_what_to_do() {
    let says = |server: Server| server.stop().err.contains("nobody can get in");
    let server = Setup::new().start();
    // The same database, where somebody forgot the variable.
    let forgetful = Setup::bare().database_at(server.setup.database());
    let folder = server.setup.clone();
    assert!(!says(server));

    let said = forgetful.start().stop().err;
    assert!(
        said.contains("nobody can get in") && said.contains("octostore token create"),
        "{said}"
    );
    assert!(!says(forgetful.clone().variable("ADMIN_KEY", "0123456789abcdef0123").start()));
    assert!(!says(folder.start()), "configured again, they open again");
    assert!(!says(Setup::bare().start()), "admin can");
}

#[test]
fn a_database_is_its_owners_alone() {
    let server = Setup::new().start();
    server.alice().acquire("a", 60).ok();
    for suffix in ["", "-wal", "-lock"] {
        assert_eq!(mode(&server.setup.beside(suffix)), 0o600, "{suffix}");
    }
}

#[test]
fn a_file_of_tokens_must_be_its_owners_alone() {
    let setup = Setup::bare();
    let file = setup.folder().join("tokens");
    fs::write(&file, format!("# accounts\n\nalice:{ALICE}\n bob : {BOB} \n")).unwrap();
    let path = file.to_str().unwrap();
    for setup in [
        setup.clone().variable("STATIC_TOKENS_FILE", path),
        setup.clone().flag("--static-tokens-file", path),
    ] {
        for readable in [0o644, 0o640, 0o604] {
            fs::set_permissions(&file, fs::Permissions::from_mode(readable)).unwrap();
            let refused = setup.run();
            assert_ne!(refused.code, Some(0));
            let line = refused.one_line();
            assert!(line.contains(path) && line.contains("chmod 600"), "{line}");
            assert!(!line.contains(ALICE));
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let server = setup.start();
        server.alice().list("").ok();
        server.bob().list("").ok();
        assert!(!setup.beside(".admin-token").exists());
        server.stop();
    }
    let missing = setup.folder().join("no-such-file");
    let refused = setup.variable("STATIC_TOKENS_FILE", missing.to_str().unwrap()).run();
    assert!(refused.one_line().contains("STATIC_TOKENS_FILE"));
}

#[test]
fn a_byte_order_mark_is_no_letter_of_the_first_name() {
    let setup = Setup::bare();
    let file = setup.folder().join("tokens");
    fs::write(&file, format!("\u{feff}alice:{ALICE}\nbob:{BOB}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let server = setup.variable("STATIC_TOKENS_FILE", file.to_str().unwrap()).start();
    let granted = server.alice().acquire("a", 60).ok();
    assert_eq!(granted["holder"], "alice");
}

#[test]
fn configured_accounts_stay_themselves_over_restarts() {
    let server = Setup::new().start();
    let setup = server.setup.clone();
    let before = server.alice().acquire("a", 3600).ok();
    server.stop();
    let changed = setup.variable("STATIC_TOKENS", "alice:another,carol:third");
    let server = changed.start();
    let mut alice = Client::new(&server.address, "another");
    let after = alice.acquire("a", 60).ok();
    assert_eq!(after["holder_id"], before["holder_id"]);
    assert_eq!(after["lease_id"], before["lease_id"]);
    for gone in [ALICE, BOB] {
        Client::new(&server.address, gone).list("").refused(401, "unauthorized");
    }
}

#[test]
fn tokens_are_on_disk_as_hashes_alone() {
    let server = Setup::new().start();
    let setup = server.setup.clone();
    let fresh = server.alice().send("POST", "/auth/token/rotate", b"").ok();
    let fresh = fresh["token"].as_str().unwrap().to_owned();
    let nothing = Path::new("");
    let check = || {
        for token in [ALICE, BOB, &fresh] {
            assert!(!is_in_a_file(setup.folder(), token, nothing), "{token}");
        }
    };
    check();
    server.kill();
    check();
    let server = setup.start();
    check();
    server.stop();
    check();
    assert_eq!(mode(setup.database()), 0o600);
}

#[test]
fn a_rotated_token_is_dead_at_once_and_for_ever() {
    let server = Setup::new().start();
    let setup = server.setup.clone();
    let held = server.alice().acquire("a", 3600).ok();
    let rotate = |token: &str, server: &crate::common::Server| {
        let mut client = Client::new(&server.address, token);
        let body = client.send("POST", "/auth/token/rotate", b"").ok();
        client.list("").refused(401, "unauthorized");
        body["token"].as_str().unwrap().to_owned()
    };
    let second = rotate(ALICE, &server);
    let third = rotate(&second, &server);
    let check = |server: &crate::common::Server| {
        for dead in [ALICE, &second] {
            let mut client = Client::new(&server.address, dead);
            client.list("").refused(401, "unauthorized");
            client.send("POST", "/auth/token/rotate", b"").refused(401, "unauthorized");
        }
        let own = Client::new(&server.address, &third).get("a").ok();
        assert_eq!(own["lease_id"], held["lease_id"], "the same account");
        server.bob().list("").ok();
    };
    check(&server);
    // It starts although the old value is still configured, after whatever end.
    server.stop();
    let server = setup.start();
    check(&server);
    server.kill();
    let server = setup.start();
    check(&server);
    assert!(server.out().contains("listening"));
    server.stop();
    // Not even taking it out and putting it back brings it to life.
    let bob_alone = setup.clone().variable("STATIC_TOKENS", &format!("bob:{BOB}"));
    bob_alone.start().stop();
    check(&setup.start());
}

#[test]
fn of_rotations_of_one_token_at_once_exactly_one_wins() {
    let server = Setup::new().start();
    let mut token = ALICE.to_owned();
    for _ in 0..5 {
        let answers = at_once(8, |_| {
            Client::new(&server.address, &token).send("POST", "/auth/token/rotate", b"")
        });
        let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
        assert_eq!(won.len(), 1);
        for answer in lost {
            answer.refused(401, "unauthorized");
        }
        token = won[0].ok()["token"].as_str().unwrap().to_owned();
        Client::new(&server.address, &token).list("").ok();
    }
}

#[test]
fn a_rotation_that_nobody_heard_of_locks_nobody_out() {
    let server = Setup::new().start();
    let connections: Vec<_> = (0..4).map(|_| server.connect()).collect();
    server.pause();
    let bytes = server.alice().bytes("POST", "/auth/token/rotate", b"");
    for mut connection in connections {
        connection.send(&bytes);
    }
    server.resume();
    until("the old token opens the account again", || {
        (server.alice().list("").status == 200).then_some(())
    });
    let setup = server.setup.clone();
    server.stop();
    setup.start().alice().list("").ok();
}

#[test]
fn one_token_is_not_two_accounts() {
    let refused =
        Setup::bare().variable("STATIC_TOKENS", "alice:same-secret,bob:same-secret").run();
    let line = refused.one_line();
    assert!(line.contains("STATIC_TOKENS") && !line.contains("same-secret"));
}
