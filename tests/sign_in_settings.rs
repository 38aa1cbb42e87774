//! Settings of sign-in that cannot be meant are refused at the start, in one line that names them.

use crate::common::{
    Setup,
    browser::Browser,
    github::GitHub,
    github::{ANN, CLIENT_ID, CLIENT_SECRET},
    until,
};
use std::{fs, os::unix::fs::PermissionsExt};

const SECTION: &str = "\
[[oidc]]
name = 'test'
issuer = 'https://issuer.example'
client_id = 'octostore'
client_secret = 'hunter2'
redirect_uri = 'https://octostore.example/auth/oidc/test/callback'
";

fn with_file(setup: Setup, text: &str, mode: u32) -> Setup {
    let file = setup.folder().join("octostore.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    setup.variable("OCTOSTORE_SETTINGS", file.to_str().unwrap())
}

fn refused(setup: &Setup, names: &[&str]) {
    let exit = setup.run();
    assert_eq!(exit.code, Some(78), "{exit:?}");
    let line = exit.one_line();
    for name in names {
        assert!(line.contains(name), "{name}: {line}");
    }
    assert!(!line.contains("hunter2") && !line.contains(CLIENT_SECRET), "{line}");
}

#[test]
fn half_of_githubs_settings_is_refused() {
    let id = Setup::new().variable("GITHUB_CLIENT_ID", CLIENT_ID);
    refused(&id, &["GITHUB_CLIENT_ID is set", "GITHUB_CLIENT_SECRET is not"]);
    let secret = Setup::new().variable("GITHUB_CLIENT_SECRET", CLIENT_SECRET);
    refused(&secret, &["GITHUB_CLIENT_SECRET is set", "GITHUB_CLIENT_ID is not"]);
    let both = id.variable("GITHUB_CLIENT_SECRET", CLIENT_SECRET);
    refused(
        &both.clone().variable("GITHUB_OAUTH_URL", "http://g.example"),
        &["GITHUB_OAUTH_URL", "https"],
    );
    refused(
        &both.clone().variable("GITHUB_API_URL", "https://g.example"),
        &["GITHUB_OAUTH_URL is not", "or leave GITHUB_API_URL out"],
    );
    refused(&both.variable("GITHUB_REDIRECT_URI", "octostore.example"), &["GITHUB_REDIRECT_URI"]);
}

#[test]
fn an_url_for_github_that_is_none_is_refused_although_nobody_signs_in_there() {
    for (variable, wrong) in [
        ("GITHUB_REDIRECT_URI", "x"),
        ("GITHUB_API_URL", "x"),
        ("GITHUB_API_URL", "http://g.example"),
        ("GITHUB_OAUTH_URL", "x"),
    ] {
        refused(&Setup::new().variable(variable, wrong), &[variable]);
    }
    let alone = Setup::new().variable("GITHUB_API_URL", "https://g.example/api/v3");
    alone.variable("GITHUB_REDIRECT_URI", "http://o.example/auth/github/callback").start().stop();
}

#[test]
fn a_section_that_cannot_be_meant_is_refused() {
    for (from, to, names) in [
        ("https://issuer.example", "http://issuer.example", ["issuer", "https"]),
        ("https://issuer.example", "issuer.example", ["issuer", "URL"]),
        ("https://issuer.example", "https://issuer.example/#a", ["issuer", "URL"]),
        ("'test'", "'Test'", ["name", "Test"]),
        ("'test'", "'a/b'", ["name", "a/b"]),
        ("'test'", "''", ["name", "oidc"]),
        ("'octostore'", "''", ["client_id", "empty"]),
        ("'hunter2'", "''", ["client_secret", "empty"]),
        ("https://octostore.example", "octostore.example", ["redirect_uri", "URL"]),
        ("client_id", "client_idd", ["client_idd", "octostore.toml"]),
        ("name =", "allowed_groups = []\nname =", ["allowed_groups", "leave it out"]),
        ("name =", "allowed_domains = []\nname =", ["allowed_domains", "leave it out"]),
        ("name =", "client_secret_file = 'a'\nname =", ["client_secret_file", "one too many"]),
        (
            "client_secret = 'hunter2'",
            "client_secret_file = 'no-such'",
            ["no-such", "client_secret_file"],
        ),
        ("client_secret = 'hunter2'", "client_secret = ['hunter2", ["octostore.toml", "line 6"]),
    ] {
        assert!(SECTION.contains(from));
        refused(&with_file(Setup::new(), &SECTION.replace(from, to), 0o600), &names);
    }
    let twice = format!("{SECTION}{SECTION}");
    refused(&with_file(Setup::new(), &twice, 0o600), &["two providers", "test"]);
    let nobody = "[github]\nallowed_user_ids = []\n";
    let github = Setup::new()
        .variable("GITHUB_CLIENT_ID", CLIENT_ID)
        .variable("GITHUB_CLIENT_SECRET", CLIENT_SECRET);
    refused(&with_file(github, nobody, 0o644), &["allowed_user_ids", "leave it out"]);
    let missing = Setup::new().variable("OCTOSTORE_SETTINGS", "/no/such/file");
    refused(&missing, &["/no/such/file", "cannot be read"]);
}

#[test]
fn the_start_says_where_to_sign_in_and_warns_if_nobody_could_come_back() {
    let server = with_file(Setup::new(), SECTION, 0o600).start();
    let page = "sign in at   https://octostore.example/auth/oidc/test\n";
    until("it says where", || server.out().contains(page).then_some(()));
    let warned = server.stop().err;
    assert!(!warned.contains("callback"), "{warned}");
    let astray = SECTION.replace("/auth/oidc/test/callback", "/callback");
    let server = with_file(Setup::new(), &astray, 0o600).start();
    until("it says where", || {
        server.out().contains("sign in at   /auth/oidc/test\n").then_some(())
    });
    let warned = server.stop().err;
    assert!(warned.contains("WARN") && warned.contains("/auth/oidc/test/callback"), "{warned}");
}

#[test]
fn a_settings_file_with_a_secret_must_be_its_owners_alone() {
    for readable in [0o644, 0o640, 0o604] {
        refused(&with_file(Setup::new(), SECTION, readable), &["chmod 600", "octostore.toml"]);
    }
    with_file(Setup::new(), SECTION, 0o600).start().stop();
    let public = SECTION.replace("client_secret = 'hunter2'\n", "");
    with_file(Setup::new(), &public, 0o644).start().stop();
}

#[test]
fn of_githubs_people_only_those_enter_whom_the_settings_name() {
    let github = GitHub::start();
    let setup = Setup::bare()
        .variable("GITHUB_CLIENT_ID", CLIENT_ID)
        .variable("GITHUB_CLIENT_SECRET", CLIENT_SECRET)
        .variable("GITHUB_OAUTH_URL", &github.url());
    let section = format!("[github]\nallowed_user_ids = [1, {}]\n", ANN.id);
    let server = with_file(setup, &section, 0o644).start();
    Browser::default().sign_in(&server, "/auth/github").ok();
    // The name alone opens nothing.
    github.mood(|mood| mood.user.id = 2);
    let stranger = Browser::default().sign_in(&server, "/auth/github");
    stranger.refused(403, "sign_in_not_allowed");
}
