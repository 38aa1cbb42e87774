//! The first minute: what a start says, and that whatever a person can get wrong about it is one
//! sentence that names it and the way out, with an exit code after sysexits.

use crate::{
    common::{Setup, until},
    operation::octostore,
};
use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
};

/// Starts it, and wants it to end with `code` and a line in which all of `words` are.
fn refused(setup: &Setup, code: i32, words: &[&str]) {
    let exit = setup.run();
    assert_eq!(exit.code, Some(code), "{exit:?}");
    let line = exit.one_line();
    assert!(line.starts_with("octostore: "), "{line}");
    for word in words {
        assert!(line.contains(word), "no {word:?} in {line}");
    }
    assert!(exit.out.is_empty(), "{exit:?}");
}

fn at(path: &Path) -> Setup {
    Setup::new().database_at(path)
}

#[test]
fn an_address_that_cannot_be_listened_on() {
    let server = Setup::new().start();
    let taken = server.url().replace("http://", "");
    refused(&Setup::new().bind(&taken), 69, &[&taken, "in use", "--bind"]);
    // Reserved for documentation: no machine has it.
    refused(
        &Setup::new().bind("192.0.2.1:3000"),
        69,
        &["192.0.2.1:3000", "no address of this machine", "--bind"],
    );
    refused(&Setup::new().bind("nonsense"), 64, &["nonsense", "--bind", "BIND_ADDR"]);
    refused(&Setup::new().bind("127.0.0.1:99999"), 64, &["99999", "--bind"]);
    refused(
        &Setup::new().bind("unix:/no/such/folder/o.sock"),
        73,
        &["/no/such/folder/o.sock", "folder", "make"],
    );
    let long = format!("unix:/tmp/{}", "x".repeat(120));
    refused(&Setup::new().bind(&long), 64, &["too long", "107"]);
    refused(&Setup::new().bind("unix:/sys/o.sock"), 77, &["/sys/o.sock", "may not be written"]);
}

#[test]
fn a_port_that_is_not_for_everybody() {
    // Without the capability, as whoever is not root has none.
    let setup = Setup::new().bind("127.0.0.1:1");
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-net_bind_service", "--inh-caps", "-net_bind_service"]);
    let program = setup.command();
    command.arg(program.get_program()).args(program.get_args()).env_clear();
    let by_root = rustix::process::geteuid().is_root();
    let done = if by_root { command.output() } else { setup.command().output() };
    let done = done.unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(77), "{said}");
    assert!(said.contains("from 1024") && said.contains("CAP_NET_BIND_SERVICE"), "{said}");
    assert_eq!(said.lines().count(), 1);
}

#[test]
fn a_database_that_cannot_be_used() {
    refused(
        &at(Path::new("/no/such/folder/o.db")),
        73,
        &["/no/such/folder/o.db", "folder", "mkdir -p"],
    );
    refused(&at(Path::new("/tmp")), 73, &["/tmp is a folder", "--database"]);
    refused(&at(Path::new("newdir/")), 64, &["newdir/", "is a folder", "--database"]);
    // Nobody may make files there, not even root.
    refused(&at(Path::new("/sys/o.db")), 77, &["/sys/o.db", "may not be", "--database"]);
    refused(
        &Setup::new().database_at(Path::new("postgres://db")),
        64,
        &["--database", "DATABASE_URL", "sqlite:"],
    );

    let setup = Setup::new();
    let made = Command::new("mkfifo").arg(setup.database()).status().unwrap();
    assert!(made.success());
    // Nobody writes into it: whoever opened it would wait for ever.
    refused(&setup, 73, &["octostore.db is no regular file", "--database"]);
    assert!(!setup.beside("-lock").exists());
    for command in [&["check"][..], &["backup", "made"], &["export", "made"], &["token", "list"]] {
        octostore(&setup, command).refused(73);
    }

    let setup = Setup::new();
    std::fs::write(setup.database(), "dear diary").unwrap();
    refused(&setup, 65, &["not an octostore database", "untouched", "--database"]);

    let setup = Setup::new();
    setup.start().stop();
    let sqlite = rusqlite::Connection::open(setup.database()).unwrap();
    sqlite.pragma_update(None, "user_version", 99).unwrap();
    drop(sqlite);
    refused(&setup, 65, &["schema version 99", "newer octostore"]);

    let setup = Setup::new();
    setup.start().stop();
    let mut bytes = std::fs::read(setup.database()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xa5);
    std::fs::write(setup.database(), bytes).unwrap();
    refused(&setup, 65, &["damaged", "restore a backup"]);

    let setup = Setup::new();
    setup.start().stop();
    octostore(&setup, &["backup", "b"]).ok();
    refused(
        &setup.clone().database_at(&setup.folder().join("b")),
        65,
        &["is a backup", "octostore restore"],
    );
}

#[test]
fn a_database_that_another_server_has() {
    let setup = Setup::new();
    let server = setup.start();
    let pid = format!("pid {}", server.pid());
    refused(&setup, 75, &[&pid, "in use by another octostore", "--database"]);
    assert_eq!(server.alice().acquire("a", 60).status, 200);
}

#[test]
fn settings_that_cannot_be_used() {
    let file = |setup: &Setup, name: &str, text: &str, mode: u32| {
        let path = setup.folder().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let setup = Setup::bare();
    let open = file(&setup, "open", "ci:token-of-ci-77", 0o644);
    let bad = file(&setup, "bad", "ci", 0o600);
    let toml = file(&setup, "bad.toml", "[[oidc]\n", 0o600);
    let unknown = file(&setup, "unknown.toml", "[[oidd]]\n", 0o600);
    let secret = file(
        &setup,
        "open.toml",
        "[[oidc]]\nname = \"a\"\nissuer = \"https://a.example\"\nclient_id = \"a\"\nclient_secret = \"hunter2\"\nredirect_uri = \"https://b.example/auth/oidc/a/callback\"\n",
        0o644,
    );
    let tokens = |value: &str| setup.clone().flag("--static-tokens-file", value);
    let settings = |value: &str| setup.clone().flag("--settings", value);
    refused(
        &tokens("/no/such/file"),
        78,
        &["STATIC_TOKENS_FILE", "/no/such/file", "cannot be read", "name:token"],
    );
    refused(&tokens("/tmp"), 78, &["STATIC_TOKENS_FILE", "/tmp", "directory", "give a file"]);
    refused(&tokens(&open), 78, &["STATIC_TOKENS_FILE", "chmod 600"]);
    refused(&tokens(&bad), 78, &["STATIC_TOKENS_FILE", "entry 1", "name:token"]);
    refused(&settings("/no/such/file"), 78, &["OCTOSTORE_SETTINGS", "/no/such/file", "give"]);
    refused(&settings(&toml), 78, &["OCTOSTORE_SETTINGS", "bad.toml"]);
    refused(&settings(&unknown), 78, &["OCTOSTORE_SETTINGS", "oidd"]);
    refused(&settings(&secret), 78, &["chmod 600"]);
    refused(&setup.clone().variable("RUST_LOG", "=[="), 78, &["RUST_LOG"]);
    refused(&setup.clone().flag("--held-status", "418"), 64, &["--held-status", "409"]);
    refused(&setup.clone().flag("--no-such-flag", "1"), 64, &["--no-such-flag", "--help"]);
    refused(&setup.clone().argument("server"), 64, &["server", "octostore help"]);
    // None of that has made anything.
    assert!(!setup.database().exists());
}

#[test]
fn a_token_file_that_cannot_be_written_is_named() {
    let setup = Setup::bare();
    std::fs::create_dir(setup.beside(".admin-token")).unwrap();
    refused(&setup, 73, &["octostore.db.admin-token", "admin", "--database"]);
}

#[test]
fn a_start_says_in_five_lines_what_it_is_and_the_last_of_them_works() {
    let setup = Setup::bare();
    let server = setup.start();
    let out = server.out();
    let lines: Vec<&str> = out.lines().collect();
    let words = ["octostore", "listening on", "data in", "account", "first lock"];
    assert_eq!(lines.len(), words.len(), "{out}");
    for (line, word) in lines.iter().zip(words) {
        assert!(line.trim_start().starts_with(word), "{line}");
    }
    assert!(lines[0].contains("locks, rate limits, flags and configuration"));
    assert!(paste(lines[4]).contains("\"status\":\"acquired\""));
    server.stop();

    // The line is there as long as the token opens something, and another one after that.
    let server = setup.start();
    let out = server.out();
    assert_eq!(out.lines().count(), 4, "{out}");
    assert!(paste(out.lines().last().unwrap()).contains("\"status\":\"acquired\""));
    server.client(&server.first_token()).send("POST", "/auth/token/rotate", b"").ok();
    server.stop();
    let server = setup.start();
    let out = server.out();
    assert_eq!(out.lines().count(), 4, "{out}");
    assert_eq!(paste(out.lines().last().unwrap()), "OK");
}

#[test]
fn the_line_to_paste_works_in_a_folder_with_any_name() {
    let setup = Setup::bare();
    let folder = setup.folder().join("Anna's $HOME `x` \"y\"");
    fs::create_dir(&folder).unwrap();
    let setup = setup.database_at(&folder.join("octostore.db"));
    let socket = format!("unix:{}", folder.join("o.sock").display());
    for setup in [setup.clone(), setup.bind(&socket)] {
        let server = setup.start();
        let out = server.out();
        assert!(paste(out.lines().last().unwrap()).contains("\"status\":\"acquired\""), "{out}");
    }
}

/// What comes of the command in a line of the greeting.
fn paste(line: &str) -> String {
    let command = &line[line.find("curl ").unwrap()..];
    let done = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_server_that_was_killed_in_the_middle_of_its_start_can_be_started_again() {
    // Wherever it had come to: this is the time of day that people press Ctrl-C.
    let setup = Setup::bare();
    for _ in 0..5 {
        let mut child = setup.command().process_group(0).spawn().unwrap();
        until("it has begun", || setup.beside("-lock").exists().then_some(()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(setup.start().out().contains("ready"));
}
