//! The commands besides serving, as processes: what they say, and how they end.

use crate::common::{Server, Setup, measured};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::Command,
};

/// What a command did.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Done {
    /// What it said, if it did what it should.
    pub fn ok(self) -> String {
        assert_eq!((self.code, &*self.err), (Some(0), ""), "{self:?}");
        self.out
    }

    /// The one line that it said, if it ended with `code`.
    pub fn refused(self, code: i32) -> String {
        assert_eq!((self.code, &*self.out), (Some(code), ""), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        self.err.trim_end().to_owned()
    }
}

/// Runs `octostore` with these arguments, in the folder of `setup` and in its environment, with its
/// database.
pub fn octostore(setup: &Setup, arguments: &[&str]) -> Done {
    let done = command(setup, arguments).output().unwrap();
    Done {
        code: done.status.code(),
        out: String::from_utf8(done.stdout).unwrap(),
        err: String::from_utf8(done.stderr).unwrap(),
    }
}

/// The command that [`octostore`] runs.
pub fn command(setup: &Setup, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_octostore"));
    command.env_clear().envs(setup.variables()).current_dir(setup.folder()).envs(measured());
    if !arguments.contains(&"--database") {
        command.env("DATABASE_URL", setup.database());
    }
    command.args(arguments);
    command
}

/// A server on the database that `restore` makes of `backup`.
pub fn restored(setup: &Setup, backup: &str) -> Server {
    let database = setup.folder().join(format!("{backup}.restored.db"));
    octostore(setup, &["restore", backup, "--database", database.to_str().unwrap()]).ok();
    setup.clone().database_at(&database).start()
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn serve_is_what_it_does_without_a_command() {
    let setup = Setup::new();
    let server = setup.clone().argument("serve").start();
    let lease = server.alice().acquire("a", 600).lease();
    server.stop();
    assert_eq!(setup.start().alice().get("a").lease(), lease);
}

#[test]
fn every_command_has_help_and_every_mistake_is_one_line() {
    let setup = Setup::new();
    let help = octostore(&setup, &["help"]).ok();
    assert!(help.starts_with("Distributed locks"), "{help}");
    for command in ["serve", "backup", "restore", "check", "export", "import", "token", "health"] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        assert!(octostore(&setup, &[command, "--help"]).ok().contains("Usage:"));
    }
    assert!(octostore(&setup, &["--help"]).ok().contains("Commands: serve"));
    for wrong in [
        &["bakcup"][..],
        &["backup"],
        &["backup", "a", "b"],
        &["restore"],
        &["token"],
        &["token", "make"],
        &["token", "create", "--days", "0"],
        &["token", "create", "--scope", "locks:own"],
        &["health", "--server", "nowhere"],
        &["serve", "--held-status", "418"],
    ] {
        octostore(&setup, wrong).refused(64);
    }
    let said = octostore(&setup, &["check", "--databse", "x"]).refused(64);
    assert!(said.contains("--databse"), "{said}");
}

#[test]
fn a_command_on_no_database_says_so_and_makes_none() {
    let setup = Setup::bare();
    for command in [
        &["backup", "b"][..],
        &["check"],
        &["check", "--database", "none.db"],
        &["export", "e"],
        &["token", "list"],
        &["restore", "none.backup", "--database", "new.db"],
        &["import", "none.jsonl"],
    ] {
        let said = octostore(&setup, command).refused(66);
        assert!(said.contains("there is no"), "{said}");
        assert!(said.contains("--database") || said.contains("give the path"), "{said}");
    }
    let left: Vec<_> = std::fs::read_dir(setup.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with("-lock"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn check_finds_what_is_damaged_and_changes_nothing() {
    let setup = Setup::new();
    let server = setup.start();
    server.alice().acquire("a", 600).ok();
    let said = octostore(&setup, &["check"]).refused(75);
    assert!(said.contains(&format!("pid {}", server.pid())), "{said}");
    server.kill();
    let before = std::fs::read(setup.database()).unwrap();
    let said = octostore(&setup, &["check"]).ok();
    assert!(said.contains("1 lock,") && said.contains("a journal of"), "{said}");
    assert_eq!(std::fs::read(setup.database()).unwrap(), before);
    setup.start().stop();
    let whole = std::fs::read(setup.database()).unwrap();
    assert!(octostore(&setup, &["check"]).ok().contains("and whole"));
    assert!(!setup.beside("-wal").exists(), "nothing is left behind");

    let needle = b"alice";
    let at = whole.windows(needle.len()).position(|part| part == needle).unwrap();
    let mut damaged = whole.clone();
    damaged[at] ^= 4;
    std::fs::write(setup.database(), &damaged).unwrap();
    let said = octostore(&setup, &["check"]).refused(65);
    assert!(said.contains("damaged"), "{said}");
    assert_eq!(std::fs::read(setup.database()).unwrap(), damaged);
    std::fs::write(setup.database(), b"something else entirely").unwrap();
    assert!(octostore(&setup, &["check"]).refused(65).contains("not an octostore database"));
    let said = octostore(&setup, &["check", setup.database().to_str().unwrap()]).refused(65);
    assert!(said.contains("not an octostore database") && said.contains("another FILE"), "{said}");
    assert!(!said.contains("--database"), "{said}");
}

#[test]
fn a_file_or_a_backup_without_a_schema_version_is_damaged_for_everybody() {
    let setup = Setup::new();
    let server = setup.start();
    server.alice().acquire("a", 3600).ok();
    server.stop();
    octostore(&setup, &["backup", "b"]).ok();
    // One bit makes 0 of it.
    for file in [setup.database().to_owned(), setup.folder().join("b")] {
        let mut bytes = fs::read(&file).unwrap();
        assert_eq!(bytes[60..64], [0, 0, 0, 2]);
        bytes[63] = 0;
        fs::write(&file, bytes).unwrap();
    }
    let damaged = |line: &str| assert!(line.contains("damaged (its header has no"), "{line}");
    damaged(setup.run().one_line());
    for arguments in [
        &["check"][..],
        &["check", "b"],
        &["backup", "c"],
        &["restore", "b", "--database", "d"],
        &["export", "e"],
        &["token", "list"],
    ] {
        damaged(&octostore(&setup, arguments).refused(65));
    }
    assert!(["c", "d", "e"].iter().all(|made| !setup.folder().join(made).exists()));
}

#[test]
fn health_says_whether_a_server_answers() {
    let setup = Setup::new();
    let server = setup.start();
    let at = server.url().replace("http://", "");
    assert_eq!(octostore(&setup, &["health", "--server", &at]).ok(), "ready\n");
    octostore(&setup, &["health", "--server", &server.url()]).ok();
    let by_variable = setup.clone().variable("BIND_ADDR", &at);
    octostore(&by_variable, &["health"]).ok();
    server.stop();
    assert!(octostore(&setup, &["health", "--server", &at]).refused(69).contains(&at));
}

#[test]
fn health_says_why_a_server_that_answers_is_not_ready() {
    const ANSWER: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\n\
        content-length: 10\r\n\r\ngoing down";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        client.write_all(ANSWER.as_bytes()).unwrap();
    });
    let said = octostore(&Setup::new(), &["health", "--server", &at]).refused(69);
    assert!(said.contains(&at) && said.ends_with("going down"), "{said}");
    server.join().unwrap();
}

#[test]
fn who_is_called_like_an_account_s_id_does_not_stand_in_its_way() {
    let setup = Setup::bare();
    let server = setup.start();
    let admin = server.client(&server.first_token()).acquire("a", 60).ok()["holder_id"].clone();
    let admin = admin.as_str().unwrap();
    server.stop();
    let others = format!("{admin}:a-token-of-somebody-else");
    setup.clone().variable("STATIC_TOKENS", &others).start().stop();

    let made = octostore(&setup, &["token", "create", "--account", admin]).ok();
    let server = setup.start();
    assert_eq!(server.client(made.trim()).acquire("b", 60).ok()["holder_id"], admin);
    server.stop();
}

#[test]
fn a_token_made_by_hand_opens_what_its_scope_says_until_it_is_revoked() {
    let setup = Setup::bare();
    let server = setup.start();
    let said = octostore(&setup, &["token", "create"]).refused(75);
    assert!(said.contains("POST /auth/tokens") && said.contains(&server.url()), "{said}");
    let grants = server.client(&server.first_token()).acquire("a", 600).token();
    server.stop();

    let made = octostore(&setup, &["token", "create", "--scope", "locks:read", "--days", "2"]).ok();
    let made = made.trim().to_owned();
    assert!(
        octostore(&setup, &["token", "create", "--account", "bob"]).refused(67).contains("admin")
    );
    let listed = octostore(&setup, &["token", "list"]).ok();
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(!listed.contains(&made) && listed.contains("locks:read"), "{listed}");
    let line = listed.lines().find(|line| line.contains("by hand")).unwrap();
    let id = line.split_whitespace().next().unwrap().to_owned();

    let server = setup.start();
    let mut holder = server.client(&made);
    holder.get("a").ok();
    holder.acquire("b", 60).refused(403, "insufficient_scope");
    let next = server.client(&server.first_token()).acquire("c", 60).token();
    assert_eq!(next, grants + 1, "no token of a clean stop is lost");
    let log =
        server.client(&server.first_token()).send("GET", "/admin/audit?action=token.create", b"");
    assert!(log.text().contains(&id) && log.text().contains("octostore-token"), "{log:?}");
    server.stop();

    octostore(&setup, &["token", "revoke", &id]).ok();
    octostore(&setup, &["token", "revoke", &id]).refused(67);
    let server = setup.start();
    server.client(&made).get("a").refused(401, "unauthorized");
}

#[test]
fn what_commands_write_is_their_owners_alone_and_replaces_nothing_unasked() {
    let setup = Setup::new();
    setup.start().stop();
    for command in ["backup", "export"] {
        let file = setup.folder().join(command);
        std::fs::write(&file, "precious").unwrap();
        octostore(&setup, &[command, command]).refused(73);
        assert_eq!(std::fs::read(&file).unwrap(), b"precious");
        octostore(&setup, &[command, command, "--force"]).ok();
        assert_eq!(mode(&file), 0o600);
        let said = octostore(&setup, &[command, "no/such/folder"]).refused(73);
        assert!(said.contains("no/such/folder cannot be written: its folder does not"), "{said}");
        assert!(!said.contains(".tmp"), "{said}");
    }
    octostore(&setup, &["restore", "backup"]).refused(73);
    octostore(&setup, &["import", "export"]).refused(73);
    octostore(&setup, &["restore", "backup", "--database", "made.db"]).ok();
    assert_eq!(mode(&setup.folder().join("made.db")), 0o600);
    // What a database left behind would be read as a journal of the new one.
    std::fs::write(setup.folder().join("other.db-wal"), "left").unwrap();
    let said = octostore(&setup, &["restore", "backup", "--database", "other.db"]).refused(73);
    assert!(said.contains("other.db-wal"), "{said}");
}
