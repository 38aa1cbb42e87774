//! The values of settings, as people write them.

use clap::ValueEnum;
use octostore_actors::domain::{account::Allowance, config::ConfigQuota, values::Quota};
use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

/// How much of each domain an account may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Locks held at once.
    pub locks: Quota,
    /// Rate limiters at once.
    pub limits: Quota,
    /// Feature flags.
    pub flags: Quota,
    /// Configuration.
    pub config: ConfigQuota,
    /// Tokens made on request.
    pub tokens: Quota,
    /// Requests a second; `None` is as many as it likes.
    pub requests_per_second: Option<Quota>,
}

impl Quotas {
    /// The same, where nothing else is said of an account.
    #[must_use]
    pub fn with(&self, allowance: &Allowance) -> Self {
        Self {
            locks: allowance.locks.unwrap_or(self.locks),
            limits: allowance.limits.unwrap_or(self.limits),
            flags: allowance.flags.unwrap_or(self.flags),
            config: ConfigQuota {
                keys: allowance.configs.unwrap_or(self.config.keys),
                ..self.config
            },
            tokens: self.tokens,
            requests_per_second: match allowance.requests_per_second {
                // As in the setting: zero is as many as it likes.
                Some(own) => (own.get() > 0).then_some(own),
                None => self.requests_per_second,
            },
        }
    }
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// On a TCP address.
    Tcp(SocketAddr),
    /// On a Unix socket.
    Unix(PathBuf),
}

impl FromStr for Bind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        match text.strip_prefix("unix:") {
            Some("") => Err("unix: wants the path of a socket, as in unix:/run/octostore.sock"),
            Some(path) => Ok(Self::Unix(path.into())),
            None => {
                // As a start prints it.
                let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
                address.replace("localhost:", "127.0.0.1:").parse().map(Self::Tcp).map_err(
                    |_| "wanted ADDRESS:PORT, as in 127.0.0.1:3000 or [::1]:3000, or unix:PATH",
                )
            }
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The path of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabasePath(pub PathBuf);

impl FromStr for DatabasePath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let of_url = ["sqlite://", "sqlite:", "file:"]
            .into_iter()
            .find_map(|begin| text.strip_prefix(begin));
        let path = match of_url.map(|url| url.split_once('?').unwrap_or((url, "mode=rwc"))) {
            // To make it, if there is none, is what is done anyway.
            Some((path, "mode=rwc")) => path,
            Some(_) => return Err("nothing but ?mode=rwc may follow the path: leave it out"),
            None => text,
        };
        if path.is_empty() || path.contains("://") || path == ":memory:" {
            return Err(
                "wanted the path of a SQLite file, as in octostore.db or sqlite:octostore.db",
            );
        }
        if path.ends_with('/') || path.ends_with("/.") {
            return Err("that is a folder: give a file in it, as in data/octostore.db");
        }
        Ok(Self(path.into()))
    }
}

/// Whole seconds, 1 to 3,600.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(u16);

impl FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = text.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
        seconds.map(Self).ok_or("wanted whole seconds, 1 to 3600")
    }
}

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Self {
        Self::from_secs(seconds.0.into())
    }
}

/// The status of the answer to an acquire of a lock that somebody else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HeldStatus {
    /// 409 Conflict.
    #[value(name = "409")]
    Conflict,
    /// 200 OK.
    #[value(name = "200")]
    Ok,
}

/// Who may read the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MetricsAccess {
    /// Whoever is on this machine and does not come through a proxy; all others with a token.
    Local,
    /// Whoever has a token with the scope admin.metrics:read, or the key of the administrator.
    Token,
    /// Everybody.
    Open,
    /// Nobody: there are none.
    Off,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A setting that prints nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret in clear, for whoever has to compare or send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
