//! The command line, the environment, and what is logged.

use crate::common::{ALICE, BOB, Client, Connection, Setup, request};
use serde_json::Value;
use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, process::Command};

fn help() -> String {
    let done =
        Command::new(env!("CARGO_BIN_EXE_octostore")).env_clear().arg("--help").output().unwrap();
    assert!(done.status.success());
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn help_lists_every_setting_with_its_variable() {
    let help = help();
    for (flag, variable) in [
        ("--bind", "BIND_ADDR"),
        ("--database", "DATABASE_URL"),
        ("--static-tokens", "STATIC_TOKENS"),
        ("--static-tokens-file", "STATIC_TOKENS_FILE"),
        ("--admin-key", "ADMIN_KEY"),
        ("--settings", "OCTOSTORE_SETTINGS"),
        ("--github-client-id", "GITHUB_CLIENT_ID"),
        ("--github-client-secret", "GITHUB_CLIENT_SECRET"),
        ("--github-redirect-uri", "GITHUB_REDIRECT_URI"),
        ("--github-api-url", "GITHUB_API_URL"),
        ("--github-oauth-url", "GITHUB_OAUTH_URL"),
        ("--locks-per-account", "OCTOSTORE_LOCKS_PER_ACCOUNT"),
        ("--held-status", "OCTOSTORE_HELD_STATUS"),
        ("--max-connections", "OCTOSTORE_MAX_CONNECTIONS"),
        ("--mailbox-capacity", "OCTOSTORE_MAILBOX_CAPACITY"),
        ("--header-timeout", "OCTOSTORE_HEADER_TIMEOUT"),
        ("--body-timeout", "OCTOSTORE_BODY_TIMEOUT"),
        ("--write-timeout", "OCTOSTORE_WRITE_TIMEOUT"),
        ("--http-threads", "OCTOSTORE_HTTP_THREADS"),
        ("--log-format", "OCTOSTORE_LOG_FORMAT"),
    ] {
        assert!(help.contains(&format!("{flag} <")), "{flag}");
        let shown = ["=", "]"].map(|end| format!("[env: {variable}{end}"));
        assert!(shown.iter().any(|env| help.contains(env)), "{variable}");
    }
    // Nor is there any other without one.
    for paragraph in help.split("\n      --").skip(1) {
        assert!(paragraph.contains("[env: "), "--{paragraph}");
    }
    for default in ["127.0.0.1:3000", "octostore.db", "100", "409"] {
        assert!(help.contains(&format!("[default: {default}]")), "{default}");
    }
}

#[test]
fn help_shows_no_secret_of_the_environment() {
    let done = Command::new(env!("CARGO_BIN_EXE_octostore"))
        .env_clear()
        .env("STATIC_TOKENS", "alice:hunter2")
        .env("ADMIN_KEY", "hunter2")
        .env("GITHUB_CLIENT_SECRET", "hunter2")
        .arg("--help")
        .output()
        .unwrap();
    assert!(!String::from_utf8(done.stdout).unwrap().contains("hunter2"));
}

#[test]
fn a_bad_setting_is_one_line_that_names_it() {
    for (flag, variable, value) in [
        ("--bind", "BIND_ADDR", "nonsense"),
        ("--bind", "BIND_ADDR", "unix:"),
        ("--database", "DATABASE_URL", "postgres://x"),
        ("--held-status", "OCTOSTORE_HELD_STATUS", "418"),
        ("--locks-per-account", "OCTOSTORE_LOCKS_PER_ACCOUNT", "0"),
        ("--locks-per-account", "OCTOSTORE_LOCKS_PER_ACCOUNT", "many"),
        ("--max-connections", "OCTOSTORE_MAX_CONNECTIONS", "0"),
        ("--mailbox-capacity", "OCTOSTORE_MAILBOX_CAPACITY", "-1"),
        ("--header-timeout", "OCTOSTORE_HEADER_TIMEOUT", "0"),
        ("--body-timeout", "OCTOSTORE_BODY_TIMEOUT", "1.5"),
        ("--write-timeout", "OCTOSTORE_WRITE_TIMEOUT", "4000"),
        ("--http-threads", "OCTOSTORE_HTTP_THREADS", "x"),
        ("--log-format", "OCTOSTORE_LOG_FORMAT", "xml"),
    ] {
        let mut by_flag = Command::new(env!("CARGO_BIN_EXE_octostore"));
        by_flag.env_clear().arg(format!("{flag}={value}"));
        let mut by_variable = Command::new(env!("CARGO_BIN_EXE_octostore"));
        by_variable.env_clear().env(variable, value);
        for mut command in [by_flag, by_variable] {
            let done = command.output().unwrap();
            let said = String::from_utf8(done.stderr).unwrap();
            assert_eq!(done.status.code(), Some(64), "{flag} {value}: {said}");
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(said.contains(flag) && said.contains(variable), "{said}");
            assert!(done.stdout.is_empty());
        }
    }
    let done = Command::new(env!("CARGO_BIN_EXE_octostore"))
        .env_clear()
        .arg("--no-such-flag")
        .output()
        .unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(64));
    assert!(said.lines().count() == 1 && said.contains("--no-such-flag"));
}

#[test]
fn a_variable_that_is_not_utf_8_is_named() {
    for variable in [
        "BIND_ADDR",
        "DATABASE_URL",
        "STATIC_TOKENS",
        "ADMIN_KEY",
        "GITHUB_CLIENT_ID",
        "OCTOSTORE_LOCKS_PER_ACCOUNT",
        "OCTOSTORE_HELD_STATUS",
    ] {
        let done = Command::new(env!("CARGO_BIN_EXE_octostore"))
            .env_clear()
            .env(variable, OsStr::from_bytes(b"\xff"))
            .output()
            .unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(64), "{said}");
        assert!(said.lines().count() == 1 && said.contains(variable), "{variable}: {said}");
    }
    // Neither is blamed for the other: any bytes are a path.
    let done = Command::new(env!("CARGO_BIN_EXE_octostore"))
        .env_clear()
        .env("STATIC_TOKENS_FILE", OsStr::from_bytes(b"\xff"))
        .env("ADMIN_KEY", OsStr::from_bytes(b"\xff"))
        .output()
        .unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.contains("ADMIN_KEY") && !said.contains("STATIC_TOKENS_FILE"), "{said}");
}

#[test]
fn a_negative_number_is_a_bad_setting_like_any_other() {
    let done = Command::new(env!("CARGO_BIN_EXE_octostore"))
        .env_clear()
        .args(["--mailbox-capacity", "-1"])
        .output()
        .unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(64));
    assert!(said.contains("--mailbox-capacity"), "{said}");
}

#[test]
fn bad_tokens_are_one_line_that_names_the_setting_and_shows_no_token() {
    for list in ["hunter2", "alice:", ":hunter2", "a:hunter2 b", "a\u{7}:hunter2"] {
        let refused = Setup::bare().variable("STATIC_TOKENS", list).run();
        assert!(matches!(refused.code, Some(64 | 78)), "{refused:?}");
        let line = refused.one_line();
        assert!(line.contains("STATIC_TOKENS"), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
    for misspelt in ["warning", "inffo", "info,inffo", "octostore=debug,hyper"] {
        let refused = Setup::new().variable("RUST_LOG", misspelt).run();
        assert!(refused.one_line().contains("is no level"), "{refused:?}");
    }
    for fine in ["3", "INFO", "octostore", "hyper::proto,warn", "info,a[b{c=1}]=debug"] {
        Setup::new().variable("RUST_LOG", fine).start().stop();
    }
    let refused = Setup::new().variable("RUST_LOG", "=[=").run();
    assert!(matches!(refused.code, Some(64 | 78)), "{refused:?}");
    assert!(refused.one_line().contains("RUST_LOG"));
}

#[test]
fn a_log_filter_that_is_not_utf_8_is_refused_as_any_other_that_is_none() {
    let setup = Setup::new();
    // So that it ends in any case.
    std::fs::write(setup.database(), "dear diary").unwrap();
    let done = setup.command().env("RUST_LOG", OsStr::from_bytes(b"info\xff")).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(78), "{said}");
    assert!(said.lines().count() == 1 && said.contains("RUST_LOG: not UTF-8"), "{said}");
}

#[test]
fn settings_come_from_the_environment_too_and_flags_win() {
    let setup = Setup::new().variable("OCTOSTORE_LOCKS_PER_ACCOUNT", "1");
    let server = setup.start();
    let mut alice = server.alice();
    alice.acquire("a", 60).ok();
    alice.acquire("b", 60).refused(403, "lock_limit_exceeded");
    server.stop();
    let server = setup.flag("--locks-per-account", "2").start();
    let mut alice = server.alice();
    alice.acquire("b", 60).ok();
    alice.acquire("c", 60).refused(403, "lock_limit_exceeded");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let help = help();
    let variables: Vec<&str> = help
        .split("[env: ")
        .skip(1)
        .filter_map(|rest| rest.split_once(['=', ']']).map(|(variable, _)| variable))
        // The test says where the server listens and where its database is.
        .filter(|variable| !matches!(*variable, "BIND_ADDR" | "DATABASE_URL"))
        .collect();
    assert!(variables.len() > 30, "{variables:?}");
    let setup =
        variables.iter().fold(Setup::bare(), |setup, variable| setup.variable(variable, ""));
    let server = setup.variable("RUST_LOG", "").start();
    assert!(server.out().contains("account      admin"), "{}", server.out());
    server.stop();
    // So it is with the commands, and the help speaks of all variables nevertheless.
    let octostore = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_octostore"));
        command.env_clear().envs(variables.iter().map(|variable| (variable, "")));
        command.env("DATABASE_URL", "").env("BIND_ADDR", "").args(arguments);
        command.current_dir(std::env::temp_dir()).output().unwrap()
    };
    assert_eq!(octostore(&["check", "no-such.db"]).status.code(), Some(66));
    let shown = String::from_utf8(octostore(&["--help"]).stdout).unwrap();
    assert!(variables.iter().all(|variable| shown.contains(&format!("[env: {variable}"))));
}

#[test]
fn the_database_may_be_given_as_an_url() {
    let setup = Setup::new();
    let folder = setup.folder().join("nested");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("x.db");
    let url = format!("sqlite://{}", file.display());
    let server = setup.database_at(url.as_ref()).start();
    assert!(file.exists());
    assert!(server.out().contains(&file.display().to_string()));
}

#[test]
fn version_is_printed() {
    let done = Command::new(env!("CARGO_BIN_EXE_octostore"))
        .env_clear()
        .arg("--version")
        .output()
        .unwrap();
    assert!(done.status.success());
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(said.contains(env!("CARGO_PKG_VERSION")), "{said}");
}

/// Everything that a token is sent with, right and wrong, and then the logs.
fn logs_of_a_busy_server(setup: &Setup) -> (String, Vec<String>) {
    let server = setup.start();
    let mut alice = server.alice();
    let lease = alice.acquire("a", 60).lease();
    server.bob().acquire("a", 60).json();
    alice.renew("a", &lease, 60).ok();
    alice.release("a", &lease).ok();
    let fresh = alice.send("POST", "/auth/token/rotate", b"").ok();
    let fresh = fresh["token"].as_str().unwrap().to_owned();
    alice.list("").refused(401, "unauthorized");
    Client::new(&server.address, "almost-a-token-77").list("").refused(401, "unauthorized");
    Client::new(&server.address, &fresh).get("a%20b").json();
    let mut broken: Connection = server.connect();
    let authorization = format!("Bearer {BOB}");
    broken.send(&request("GET", "/x\0", &[("authorization", &authorization)], b""));
    broken.drain();
    let mut gone = server.connect();
    gone.send(format!("GET /locks HTTP/1.1\r\nauthorization: Bearer {BOB}").as_bytes());
    drop(gone);
    let exit = server.stop();
    assert!(!exit.out.contains(&fresh));
    let tokens = [ALICE, BOB, &fresh, "almost-a-token-77"];
    (exit.err, tokens.map(str::to_owned).into())
}

#[test]
fn not_even_a_trace_log_contains_a_token() {
    for format in ["text", "json"] {
        let setup = Setup::new().variable("RUST_LOG", "trace").flag("--log-format", format);
        let (log, tokens) = logs_of_a_busy_server(&setup);
        assert!(log.lines().count() > 3, "it logs: {log}");
        for token in tokens {
            assert!(!log.contains(&token), "{token} is in {log}");
        }
    }
}

#[test]
fn json_logs_are_one_object_a_line() {
    let setup = Setup::new().variable("RUST_LOG", "debug").flag("--log-format", "json");
    let (log, _) = logs_of_a_busy_server(&setup);
    for line in log.lines() {
        let parsed: Value = serde_json::from_str(line).unwrap();
        assert!(parsed["timestamp"].is_string() && parsed["level"].is_string());
    }
    let refusal = log.lines().find(|line| line.contains("\"refused\""));
    assert!(refusal.unwrap().contains("request_id"));
}

#[test]
fn json_logs_say_that_it_is_ready_and_where() {
    for setup in [Setup::new(), Setup::bare()] {
        let server = setup.flag("--log-format", "json").start();
        let url = server.url();
        let exit = server.stop();
        let first: Value = serde_json::from_str(exit.err.lines().next().unwrap()).unwrap();
        assert_eq!(first["level"], "INFO");
        assert_eq!(first["fields"]["message"], "ready");
        assert_eq!(first["fields"]["addresses"], url.as_str());
        assert!(exit.out.contains("is ready"), "people read on: {}", exit.out);
    }
}
