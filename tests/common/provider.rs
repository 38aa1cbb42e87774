//! The OpenID Connect provider of `tests/provider`, as a process. It needs Node.js and npm; where
//! they are not, whoever wants it is told so aloud, and goes without.

use super::{Address, Connection, request};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

/// Set to 1 where going without is a failure.
const REQUIRED: &str = "OCTOSTORE_REQUIRE_NODE";

/// A provider that runs. Dropping it ends it.
pub struct Provider {
    child: Child,
    /// `http://address:port`.
    pub issuer: String,
}

impl Provider {
    /// Starts one; `None` where it cannot run.
    pub fn start() -> Option<Self> {
        static READY: OnceLock<Result<(), String>> = OnceLock::new();
        if let Err(why) = READY.get_or_init(make_ready) {
            let required = std::env::var(REQUIRED).is_ok_and(|value| value == "1");
            assert!(!required, "{REQUIRED} is set, but {why}");
            eprintln!("\n*** NOT TESTED: signing in with OpenID Connect, because {why} ***\n");
            return None;
        }
        let mut child = Command::new("node")
            .arg("provider.mjs")
            .current_dir(folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let issuer = line.trim().strip_prefix("issuer ").expect("the provider did not start");
        Some(Self { child, issuer: issuer.to_owned() })
    }

    /// Tells it what to do; see `orders` in its source.
    pub fn order(&self, order: &Value) {
        self.control("POST", order.to_string().as_bytes());
    }

    /// How often it was asked for this path.
    pub fn asked(&self, path: &str) -> usize {
        let said = self.control("GET", b"");
        said["asked"].as_array().unwrap().iter().filter(|asked| *asked == path).count()
    }

    /// Everything that nobody else may know, so far.
    pub fn secrets(&self) -> Vec<String> {
        let said = self.control("GET", b"");
        let secrets = said["secrets"].as_array().unwrap().iter();
        secrets.filter_map(|secret| secret.as_str().map(str::to_owned)).collect()
    }

    fn control(&self, method: &str, body: &[u8]) -> Value {
        let address = self.issuer.strip_prefix("http://").unwrap().parse().unwrap();
        let mut connection = Connection::open_elsewhere(&Address::Tcp(address));
        connection.send(&request(method, "/control", &[], body));
        connection.read().ok()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // Either may fail: it may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider")
}

/// Sees to it that the provider's packages are there.
fn make_ready() -> Result<(), String> {
    let runs = |program| {
        let version = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    if !runs("node") {
        return Err("node is not installed".to_owned());
    }
    if folder().join("node_modules/.package-lock.json").exists() {
        return Ok(());
    }
    if !runs("npm") {
        return Err("npm is not installed".to_owned());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(folder());
    // However long that takes where the packages come from.
    let status = npm.stdout(Stdio::null()).status().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err("npm could not install its packages".to_owned()) }
}
