//! The README's own lines, run as they stand there.

use crate::common::{ALICE, BOB, Server, Setup, is_stamp, is_uuid, request};
use serde_json::Value;
use std::process::Command;

const ACQUIRE_QUICK: &str = r#"curl -X POST https://api.octostore.io/locks/my-service/acquire \
  -H "Authorization: Bearer YOUR_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{"ttl_seconds": 60}'"#;

const ACQUIRE: &str = r#"curl -X POST https://api.octostore.io/locks/leader/acquire \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{"ttl_seconds": 60}'"#;

const RELEASE: &str = r#"curl -X POST .../locks/leader/release \
  -H "Authorization: Bearer $TOKEN" \
  -d '{"lease_id": "your-lease-uuid"}'"#;

const RENEW: &str = r#"curl -X POST .../locks/leader/renew \
  -H "Authorization: Bearer $TOKEN" \
  -d '{"lease_id": "your-lease-uuid", "ttl_seconds": 60}'"#;

/// Runs a line of the README against `server`: with curl where it is installed, or with what curl
/// would send.
fn run(server: &Server, line: &str, token: &str, lease: &str) -> (u16, Value) {
    let line = line
        .replace("YOUR_TOKEN", token)
        .replace("$TOKEN", token)
        .replace("your-lease-uuid", lease)
        .replace("https://api.octostore.io", "...");
    let has_curl = Command::new("curl").arg("--version").output().is_ok();
    if has_curl {
        let url = server.url();
        let script = line.replace(".../", &format!("{url}/")) + r" -s -w '\n%{http_code}'";
        let done = Command::new("sh").args(["-c", &script]).output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        return (status.parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null));
    }
    let between = |begin: &str, end: &str| {
        let from = line.split_once(begin).unwrap().1;
        from.split_once(end).unwrap().0.to_owned()
    };
    let content_type = if line.contains("Content-Type") {
        "application/json"
    } else {
        "application/x-www-form-urlencoded"
    };
    let authorization = between("-H \"Authorization: ", "\"");
    let bytes = request(
        "POST",
        &between("...", " "),
        &[("authorization", &authorization), ("content-type", content_type)],
        between("-d '", "'").as_bytes(),
    );
    let mut connection = server.connect();
    connection.send(&bytes);
    let answer = connection.read();
    (answer.status, answer.json())
}

#[test]
fn the_quick_start_of_the_readme_acquires_a_lock() {
    let server = Setup::new().start();
    let (status, body) = run(&server, ACQUIRE_QUICK, ALICE, "");
    assert_eq!((status, &body["status"]), (200, &"acquired".into()));
    assert_eq!(body["fencing_token"], 1, "the first grant of all: {body}");
    assert!(is_uuid(&body["lease_id"]) && is_stamp(&body["expires_at"]));
}

#[test]
fn the_readme_acquires_renews_and_releases_with_its_own_curl_lines() {
    let server = Setup::new().start();
    let (status, acquired) = run(&server, ACQUIRE, ALICE, "");
    assert_eq!((status, &acquired["status"]), (200, &"acquired".into()));
    let lease = acquired["lease_id"].as_str().unwrap();

    let (_, held) = run(&server, ACQUIRE, BOB, "");
    assert_eq!(held["status"], "held");
    assert!(is_uuid(&held["holder_id"]) && is_stamp(&held["expires_at"]));
    assert_eq!(held["holder_id"], acquired["holder_id"]);

    let (status, renewed) = run(&server, RENEW, ALICE, lease);
    assert_eq!(status, 200, "{renewed}");
    assert_eq!(renewed["lease_id"], acquired["lease_id"]);

    let (status, released) = run(&server, RELEASE, ALICE, lease);
    assert_eq!(status, 200);
    assert_eq!(released["status"], "released");

    let (status, next) = run(&server, ACQUIRE, BOB, "");
    assert_eq!(status, 200);
    assert!(next["fencing_token"].as_u64() > acquired["fencing_token"].as_u64());
}

#[test]
fn the_table_of_the_readme_names_paths_that_answer() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    assert_eq!(alice.send("GET", "/locks/leader", b"").status, 200);
    assert_eq!(alice.send("GET", "/locks", b"").status, 200);
    assert_eq!(alice.send("GET", "/health", b"").text(), "OK");
    let rotated = alice.send("POST", "/auth/token/rotate", b"").ok();
    assert!(rotated["token"].is_string());
    for path in ["/auth/github", "/auth/github/callback?code=x&state=y"] {
        server.alice().send("GET", path, b"").refused(404, "sign_in_not_configured");
    }
}

/// The blocks of `text` that begin with this line, in order.
fn blocks(text: &str, fence: &str) -> Vec<String> {
    let blocks = text.split(fence).skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_readme_embeds_it_with_the_examples_that_the_compiler_has_seen() {
    let readme = include_str!("../README.md");
    let section = readme.split_once("\n## Embedding\n").unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    // Those of the library are compiled with the tests of its documentation.
    let lines = include_str!("../src/lib.rs").lines().filter_map(|line| line.strip_prefix("//!"));
    let library: Vec<_> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let examples = blocks(section, "```rust\n");
    assert_eq!(examples.len(), 2);
    assert_eq!(examples, blocks(&library.join("\n"), "```no_run\n"));
    // And SQLite is built as it is here.
    let here = include_str!("../.cargo/config.toml").split_once("[env]\n").unwrap().1;
    assert_eq!(blocks(section, "```toml\n")[1], format!("[env]\n{here}"));
}
