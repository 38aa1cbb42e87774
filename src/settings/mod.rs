//! Settings: command-line flags, each with an environment variable, each with a default that
//! works.

mod command_line;
mod values;

pub use command_line::parse;
pub use values::{
    Bind, DatabasePath, HeldStatus, LogFormat, MetricsAccess, Quotas, Seconds, Secret,
};

use crate::{
    auth::{
        Configured, TokensError,
        address::TrustedProxy,
        outbound::Outbound,
        settings_file::{SettingsFile, SettingsFileError},
        sign_in::{GitHubSettings, Providers, ProvidersError},
        web_origin::WebOrigin,
    },
    store::Retention,
};
use clap::Parser;
use octostore_actors::domain::{config::ConfigQuota, values::Quota};
use std::{path::PathBuf, time::Duration};

/// What else there is.
const COMMANDS: &str = "\
Commands: serve (this, also without a command), backup, restore, check, export, import, token, health.
See octostore help, and octostore COMMAND --help.";

/// Distributed locks with fencing tokens over plain HTTP: one binary, SQLite inside, every
/// acknowledged change on disk.
#[derive(Clone, Debug, Parser)]
#[command(name = "octostore", version, max_term_width = 100, allow_negative_numbers = true,
          after_help = COMMANDS)]
pub struct Settings {
    /// Where to listen: ADDRESS:PORT or unix:PATH; several with commas between them.
    #[arg(
        long,
        env = "BIND_ADDR",
        value_name = "ADDR",
        value_delimiter = ',',
        default_value = "127.0.0.1:3000"
    )]
    pub bind: Vec<Bind>,

    /// The database file. It is made if there is none.
    #[arg(long, env = "DATABASE_URL", value_name = "FILE", default_value = "octostore.db")]
    pub database: DatabasePath,

    /// Accounts and their bearer tokens: name:token,name:token. Other users of this machine see
    /// command lines: prefer the variable, or the file.
    #[arg(long, env = "STATIC_TOKENS", value_name = "LIST", hide_env_values = true)]
    pub static_tokens: Option<Secret>,

    /// A file of accounts and bearer tokens, one name:token a line. Only its owner may be able
    /// to read it.
    #[arg(long, env = "STATIC_TOKENS_FILE", value_name = "FILE")]
    pub static_tokens_file: Option<PathBuf>,

    /// A file in TOML, for what does not fit a line: sign-in providers, and workloads to trust.
    /// If it holds a secret, only its owner may be able to read it.
    #[arg(long, env = "OCTOSTORE_SETTINGS", value_name = "FILE")]
    pub settings: Option<PathBuf>,

    /// The key of the administrator, for everything under /admin: as a bearer token, or in the
    /// header X-Admin-Key.
    #[arg(long, env = "ADMIN_KEY", value_name = "KEY", hide_env_values = true)]
    pub admin_key: Option<Secret>,

    /// The OAuth application for signing in with GitHub, by its client id.
    #[arg(long, env = "GITHUB_CLIENT_ID", value_name = "ID")]
    pub github_client_id: Option<String>,

    /// Its client secret.
    #[arg(long, env = "GITHUB_CLIENT_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub github_client_secret: Option<Secret>,

    /// Where GitHub sends the browser back to: this server's /auth/github/callback, as browsers
    /// see it. Without it GitHub goes by the callback URL of the application.
    #[arg(long, env = "GITHUB_REDIRECT_URI", value_name = "URL")]
    pub github_redirect_uri: Option<String>,

    /// The API of a GitHub Enterprise host; /api/v3 of --github-oauth-url if this is left out, and
    /// api.github.com if both are.
    #[arg(long, env = "GITHUB_API_URL", value_name = "URL")]
    pub github_api_url: Option<String>,

    /// A GitHub Enterprise host, with its OAuth pages under /login/oauth; github.com if left out.
    #[arg(long, env = "GITHUB_OAUTH_URL", value_name = "URL")]
    pub github_oauth_url: Option<String>,

    /// How many locks an account may hold at once.
    #[arg(long, env = "OCTOSTORE_LOCKS_PER_ACCOUNT", value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub locks_per_account: u32,

    /// How many rate limiters an account may have at once.
    #[arg(long, env = "OCTOSTORE_LIMITS_PER_ACCOUNT", value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub limits_per_account: u32,

    /// How many feature flags an account may have.
    #[arg(long, env = "OCTOSTORE_FLAGS_PER_ACCOUNT", value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub flags_per_account: u32,

    /// How many config keys an account may have.
    #[arg(long, env = "OCTOSTORE_CONFIGS_PER_ACCOUNT", value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub configs_per_account: u32,

    /// How many tokens made on request an account may have, besides its sign-ins.
    #[arg(long, env = "OCTOSTORE_TOKENS_PER_ACCOUNT", value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub tokens_per_account: u32,

    /// How many requests an account may send a second; further ones are answered 429. 0 is as
    /// many as it likes.
    #[arg(long, env = "OCTOSTORE_REQUESTS_PER_SECOND", value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub requests_per_second: u32,

    /// How many days the token of a sign-in lasts. 0 is until it is revoked.
    #[arg(long, env = "OCTOSTORE_SIGN_IN_DAYS", value_name = "N", default_value_t = 90,
          value_parser = clap::value_parser!(u32).range(0..=3650))]
    pub sign_in_days: u32,

    /// How often sign-ins from one address may fail in a minute; further ones are answered 429.
    #[arg(long, env = "OCTOSTORE_FAILED_SIGN_INS", value_name = "N", default_value_t = 60,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub failed_sign_ins: u32,

    /// How long a terminal waits for somebody to let it in.
    #[arg(long, env = "OCTOSTORE_DEVICE_CODE_SECONDS", value_name = "N", default_value_t = 600,
          value_parser = clap::value_parser!(u16).range(60..=1800))]
    pub device_code_seconds: u16,

    /// Where browsers find this server, as in `https://octostore.example`: what terminals print for
    /// whoever signs in. Without it that is where the redirect URI of the first provider is; and
    /// where there is none, http:// and the Host header of the terminal's own request.
    #[arg(long, env = "OCTOSTORE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<WebOrigin>,

    /// How many days entries of the audit log are kept. 0 is for ever.
    #[arg(long, env = "OCTOSTORE_AUDIT_DAYS", value_name = "N", default_value_t = 365,
          value_parser = clap::value_parser!(u32).range(0..=36_500))]
    pub audit_days: u32,

    /// How many entries the audit log keeps; the oldest make room for the newest.
    #[arg(long, env = "OCTOSTORE_AUDIT_ENTRIES", value_name = "N", default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    pub audit_entries: u32,

    /// Proxies whose X-Forwarded-For is believed: addresses, networks, or unix for whoever comes
    /// over a Unix socket; several with commas between them.
    #[arg(long, env = "OCTOSTORE_TRUSTED_PROXIES", value_name = "LIST", value_delimiter = ',')]
    pub trusted_proxies: Vec<TrustedProxy>,

    /// How many bytes the config values of an account may have together, history included.
    #[arg(long, env = "OCTOSTORE_CONFIG_BYTES_PER_ACCOUNT", value_name = "BYTES",
          default_value_t = 64 * 1024 * 1024)]
    pub config_bytes_per_account: u64,

    /// How many versions of a config key are kept.
    #[arg(long, env = "OCTOSTORE_CONFIG_HISTORY", value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub config_history: u32,

    /// The status of the answer to an acquire of a lock that somebody else holds. 200 is for
    /// clients written for servers that answered so.
    #[arg(long, env = "OCTOSTORE_HELD_STATUS", value_name = "STATUS", default_value = "409")]
    pub held_status: HeldStatus,

    /// How many connections may be open at once; further ones are answered 503 and closed.
    #[arg(long, env = "OCTOSTORE_MAX_CONNECTIONS", value_name = "N", default_value_t = 16_384,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,

    /// How many messages may wait for one actor, each with one look or several changes; further
    /// ones are answered 503. For the journal at most 64: then the actors wait.
    #[arg(long, env = "OCTOSTORE_MAILBOX_CAPACITY", value_name = "N", default_value_t = 4096,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub mailbox_capacity: u32,

    /// How long a client may take to send the head of a request, and a connection may be idle
    /// between two.
    #[arg(long, env = "OCTOSTORE_HEADER_TIMEOUT", value_name = "SECONDS", default_value = "75")]
    pub header_timeout: Seconds,

    /// How long a client may take to send the body of a request.
    #[arg(long, env = "OCTOSTORE_BODY_TIMEOUT", value_name = "SECONDS", default_value = "10")]
    pub body_timeout: Seconds,

    /// How long a client may leave an answer unread before its connection is closed.
    #[arg(long, env = "OCTOSTORE_WRITE_TIMEOUT", value_name = "SECONDS", default_value = "30")]
    pub write_timeout: Seconds,

    /// How many threads serve connections. One is enough for two cores: the actors have their
    /// own. 0 is one thread for every two cores.
    #[arg(long, env = "OCTOSTORE_HTTP_THREADS", value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u16).range(0..=256))]
    pub http_threads: u16,

    /// Who may read /metrics.
    #[arg(long, env = "OCTOSTORE_METRICS", value_name = "WHO", default_value = "local")]
    pub metrics: MetricsAccess,

    /// How log lines look. What is logged is said by RUST_LOG (default: info).
    #[arg(long, env = "OCTOSTORE_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// `--help` or `--version` was asked for: print this and be done.
    #[error("{0}")]
    Help(String),
    /// A flag or variable is wrong; one line that names it.
    #[error("{0}")]
    Invalid(String),
    /// The configured tokens are wrong.
    #[error("{setting}: {source}")]
    Tokens {
        /// Which setting.
        setting: &'static str,
        /// What is wrong with it.
        source: TokensError,
    },
    /// The settings file is wrong.
    #[error("OCTOSTORE_SETTINGS: {0}")]
    File(#[from] SettingsFileError),
    /// The providers that people sign in with are wrong.
    #[error(transparent)]
    Providers(#[from] ProvidersError),
}

impl Settings {
    /// The key of the administrator, if it is one that a header can carry. As tokens from files, one from a
    /// file may end in a line break.
    pub fn usable_admin_key(&self) -> Option<&str> {
        let key = self.admin_key.as_ref()?.reveal().trim();
        let can_be_sent = |c: char| !c.is_control() || c == '\t';
        (!key.is_empty() && key.chars().all(can_be_sent)).then_some(key)
    }

    /// The tokens of `STATIC_TOKENS` and `STATIC_TOKENS_FILE` together.
    ///
    /// # Errors
    /// [`SettingsError::Tokens`].
    pub fn configured_tokens(&self) -> Result<Configured, SettingsError> {
        let wrong = |setting| move |source| SettingsError::Tokens { setting, source };
        let list = self.static_tokens.as_ref().map_or("", Secret::reveal);
        let listed = Configured::parse_list(list).map_err(wrong("STATIC_TOKENS"))?;
        let filed = match &self.static_tokens_file {
            Some(path) => Configured::read_file(path).map_err(wrong("STATIC_TOKENS_FILE"))?,
            None => Configured::default(),
        };
        listed.and(filed).map_err(wrong("STATIC_TOKENS, STATIC_TOKENS_FILE"))
    }

    /// The settings file; an empty one if none is named.
    ///
    /// # Errors
    /// [`SettingsError::File`].
    pub fn file(&self) -> Result<SettingsFile, SettingsError> {
        match &self.settings {
            Some(path) => Ok(SettingsFile::read(path)?),
            None => Ok(SettingsFile::default()),
        }
    }

    /// The providers that these settings and `file` name, to be asked over `outbound`.
    ///
    /// # Errors
    /// [`SettingsError::Providers`].
    pub fn providers(
        &self,
        file: &SettingsFile,
        outbound: &Outbound,
    ) -> Result<Providers, SettingsError> {
        let github = GitHubSettings {
            client_id: self.github_client_id.as_deref(),
            client_secret: self.github_client_secret.as_ref(),
            redirect_uri: self.github_redirect_uri.as_deref(),
            oauth_url: self.github_oauth_url.as_deref(),
            api_url: self.github_api_url.as_deref(),
            section: Some(&file.github),
        };
        Ok(Providers::new(&github, &file.oidc, outbound)?)
    }

    /// How long entries of the audit log are kept.
    pub fn audit_retention(&self) -> Retention {
        let days = |days: u32| Duration::from_secs(u64::from(days) * 86_400);
        Retention {
            entries: Some(self.audit_entries.into()),
            life: (self.audit_days > 0).then(|| days(self.audit_days)),
        }
    }

    /// How much an account may have.
    pub fn quotas(&self) -> Quotas {
        Quotas {
            locks: Quota::new(self.locks_per_account),
            limits: Quota::new(self.limits_per_account),
            flags: Quota::new(self.flags_per_account),
            config: ConfigQuota {
                keys: Quota::new(self.configs_per_account),
                bytes: self.config_bytes_per_account,
                history: Quota::new(self.config_history),
            },
            tokens: Quota::new(self.tokens_per_account),
            requests_per_second: (self.requests_per_second > 0)
                .then(|| Quota::new(self.requests_per_second)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn read(args: &[&str]) -> Result<Settings, SettingsError> {
        Settings::from_args(std::iter::once("octostore").chain(args.iter().copied()))
    }

    #[test]
    fn every_setting_has_a_default_and_a_variable() {
        Settings::command().debug_assert();
        for argument in Settings::command().get_arguments() {
            if !matches!(argument.get_id().as_str(), "help" | "version") {
                assert!(argument.get_env().is_some(), "{} has no variable", argument.get_id());
                assert!(argument.get_help().is_some(), "{} has no help", argument.get_id());
            }
        }
    }

    #[test]
    fn a_bad_setting_is_named_in_one_line() {
        for (args, names) in [
            (["--bind", "nonsense"], ["--bind", "BIND_ADDR"]),
            (["--database", "postgres://x"], ["--database", "DATABASE_URL"]),
            (["--held-status", "418"], ["--held-status", "OCTOSTORE_HELD_STATUS"]),
            (["--locks-per-account", "0"], ["--locks-per-account", "OCTOSTORE_LOCKS_PER_ACCOUNT"]),
            (["--body-timeout", "0"], ["--body-timeout", "OCTOSTORE_BODY_TIMEOUT"]),
            (["--public-url", "https://a/b"], ["--public-url", "OCTOSTORE_PUBLIC_URL"]),
            (
                ["--device-code-seconds", "59"],
                ["--device-code-seconds", "OCTOSTORE_DEVICE_CODE_SECONDS"],
            ),
        ] {
            let message = read(&args).unwrap_err().to_string();
            assert_eq!(message.lines().count(), 1, "{message}");
            for name in names {
                assert!(message.contains(name), "{message}");
            }
        }
    }

    #[test]
    fn addresses_and_paths_are_read_as_people_write_them() {
        let wanted = ["http://[::1]:80", "unix:/run/o.sock", "http://127.0.0.1:1"];
        // As they are printed, too.
        for given in ["[::1]:80,unix:/run/o.sock,localhost:1", &wanted.join(",")] {
            let settings = read(&["--bind", given]).unwrap();
            let text: Vec<_> = settings.bind.iter().map(Bind::to_string).collect();
            assert_eq!(text, wanted);
        }
        for path in ["a.db", "sqlite:a.db", "sqlite://a.db", "sqlite:a.db?mode=rwc"] {
            assert_eq!(read(&["--database", path]).unwrap().database.0, PathBuf::from("a.db"));
        }
        // What would ask for something else of SQLite is not passed over, and is no part of a name.
        for url in ["sqlite:a.db?mode=ro", "file:a.db?mode=rwc&cache=shared", "sqlite:a.db?"] {
            let said = read(&["--database", url]).unwrap_err().to_string();
            assert!(said.contains("mode=rwc"), "{said}");
        }
        assert_eq!(read(&["--database", "a?b"]).unwrap().database.0, PathBuf::from("a?b"));
    }

    #[test]
    fn secrets_do_not_print_themselves() {
        let settings = read(&["--static-tokens", "a:hunter2", "--admin-key", "hunter2"]).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
        let wrong = read(&["--static-tokens", "hunter2"]).unwrap().configured_tokens();
        assert!(!wrong.unwrap_err().to_string().contains("hunter2"));
    }
}
