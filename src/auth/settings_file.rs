//! The settings file: what does not fit on a command line, in TOML.
//!
//! ```toml
//! [[trust]]                       # a workload that may trade its issuer's token for one of ours
//! name = "deploy"
//! issuer = "https://token.actions.githubusercontent.com"
//! audience = "octostore"
//! claims = { repository_id = "74", environment = "production" }
//! account = "ci"
//! scopes = ["locks:write:deploy/"]
//! ```

use super::{
    secret_file::{self, SecretFile},
    sign_in::{GitHubSection, OpenIdSection},
    workload::{RuleError, TrustSection, rules::TrustRule},
};
use serde::Deserialize;
use std::{
    io,
    path::{Path, PathBuf},
};

/// What the settings file says, checked.
#[derive(Debug, Default)]
pub struct SettingsFile {
    /// `[github]`: who may sign in with GitHub.
    pub github: GitHubSection,
    /// `[[oidc]]`: the OpenID Connect providers.
    pub oidc: Vec<OpenIdSection>,
    /// `[[trust]]`: which workloads are trusted, in the order in which they are tried.
    pub trust: Vec<TrustRule>,
}

/// The same as it is written. A key that is not known is an error.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Sections {
    github: GitHubSection,
    oidc: Vec<OpenIdSection>,
    trust: Vec<TrustSection>,
}

/// Why the settings file cannot be used. No message shows a value of it.
#[derive(Debug, thiserror::Error)]
pub enum SettingsFileError {
    /// It cannot be read.
    #[error("{path} cannot be read: {source}: give a file in TOML, or leave it out")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{path}, line {line}, column {column}: {problem}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from one.
        line: usize,
        /// Counted from one.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// Others may read or write it.
    #[error(
        "{path} holds a client_secret and is not its owner's alone (mode {mode:03o}): run `chmod 600 {path}`"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A rule makes no sense.
    #[error("{path}, trust rule {rule:?}: {source}")]
    Rule {
        /// The file.
        path: PathBuf,
        /// What it is called.
        rule: String,
        /// What is wrong with it.
        source: RuleError,
    },
}

impl SettingsFile {
    /// Reads the file, and the key files that its rules name. It must be its owner's alone if it
    /// holds a secret. Other files that it names are beside it, unless their paths are absolute.
    ///
    /// # Errors
    /// See [`SettingsFileError`].
    pub fn read(path: &Path) -> Result<Self, SettingsFileError> {
        let io = |source| SettingsFileError::Io { path: path.to_owned(), source };
        let SecretFile { text, exposed } = secret_file::read(path).map_err(io)?;
        let sections: Sections =
            toml::from_str(&text).map_err(|error| syntax(path, &text, &error))?;
        let secret = sections.oidc.iter().any(|section| section.client_secret.is_some());
        if let Some(mode) = exposed.filter(|_| secret) {
            return Err(SettingsFileError::Exposed { path: path.to_owned(), mode });
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let trust = TrustSection::check_all(sections.trust, folder).map_err(|(rule, source)| {
            SettingsFileError::Rule { path: path.to_owned(), rule, source }
        })?;
        let oidc = sections.oidc.into_iter().map(|section| section.beside(folder)).collect();
        Ok(Self { github: sections.github, oidc, trust })
    }
}

/// What the reader found wrong, without the line itself, which could be one with a secret.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> SettingsFileError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or(text);
    let line_begin = before.rfind('\n').map_or(0, |at| at + 1);
    SettingsFileError::Syntax {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_begin..].chars().count() + 1,
        problem: without_values(error.message()).replace('\n', ", "),
    }
}

/// The message of a reader without the text that it found where it wanted something else.
fn without_values(message: &str) -> String {
    let quoted = message.find(r#"string ""#).zip(message.rfind(r#"", expected"#));
    match quoted {
        Some((begin, end)) => format!("{}text{}", &message[..begin], &message[end + 1..]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};
    use tempfile::TempDir;

    const RULE: &str = r#"
        [[trust]]
        name = "deploy"
        issuer = "https://ci.example"
        audience = "octostore"
        claims = { repository_id = "74" }
        account = "ci"
        scopes = ["locks:write:deploy/", "flags:read"]
    "#;

    fn read(text: &str) -> Result<SettingsFile, SettingsFileError> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("octostore.toml");
        fs::write(&path, text).unwrap();
        SettingsFile::read(&path)
    }

    fn refused(text: &str) -> String {
        let message = read(text).unwrap_err().to_string();
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(message.contains("octostore.toml"), "{message}");
        message
    }

    #[test]
    fn a_rule_that_says_no_more_than_it_must_has_careful_defaults() {
        let file = read(RULE).unwrap();
        let rule = &file.trust[0];
        let algorithms: Vec<&str> = rule.algorithms.iter().map(|a| a.as_str()).collect();
        assert_eq!(algorithms, ["RS256", "ES256"]);
        assert_eq!(rule.longest.as_secs(), 900);
        assert!(!rule.single_use);
        assert!(read("").unwrap().trust.is_empty());
    }

    #[test]
    fn what_is_no_settings_is_refused_where_it_stands() {
        let unknown = refused(&format!("{RULE}\n        algorithm = \"RS256\""));
        assert!(
            unknown.contains("line 10, column 9") && unknown.contains("algorithm"),
            "{unknown}"
        );
        let section = refused("[[trusts]]\nname = \"x\"");
        assert!(section.contains("line 1") && section.contains("trusts"), "{section}");
        let broken = refused("[[trust]]\nname = \"unfinished");
        assert!(broken.contains("line 2"), "{broken}");
        let missing = refused("[[trust]]\nname = \"x\"");
        assert!(missing.contains("line 1") && missing.contains("issuer"), "{missing}");
        let number = refused(&RULE.replace("\"74\"", "74"));
        assert!(number.contains("line 6") && number.contains("text in quotes"), "{number}");
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_printed() {
        for text in ["github = \"hunter2\"", "[github]\nx = \"hunter2\n", "trust = \"hunter2\\\"\""]
        {
            assert!(!refused(text).contains("hunter2"), "{}", refused(text));
        }
    }

    #[test]
    fn a_file_with_a_secret_must_be_its_owners_alone() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("octostore.toml");
        let chmod = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let provider = "[[oidc]]\nname = 'a'\nissuer = 'https://a'\nclient_id = 'a'\n\
                        redirect_uri = 'https://b'\n";
        fs::write(&path, format!("{provider}client_secret = 'hunter2'\n")).unwrap();
        for exposed in [0o644, 0o604, 0o622, 0o602] {
            chmod(exposed);
            let message = SettingsFile::read(&path).unwrap_err().to_string();
            assert!(message.contains("chmod 600") && !message.contains("hunter2"), "{message}");
        }
        chmod(0o600);
        SettingsFile::read(&path).unwrap();
        fs::write(&path, RULE).unwrap();
        chmod(0o644);
        SettingsFile::read(&path).unwrap();
    }

    #[test]
    fn a_rule_that_makes_no_sense_is_named() {
        for (from, to, says) in [
            ("\"deploy\"", "\"\"", "name has 1 to 64"),
            ("flags:read", "flags\\n", "\"flags\\n\""),
            ("{ repository_id", "{ \"a\\nb\" = \"*x\", repository_id", "'a\\nb'"),
            ("https://ci.example", "", "issuer must be a URL"),
            ("https://ci.example", "ci.example", "issuer must be a URL"),
            ("https://ci.example", "http://ci.example", "issuer must be a URL"),
            ("https://ci.example", "https://ci.example?tenant=1", "issuer must be a URL"),
            ("https://ci.example", "https://me:you@ci.example", "issuer must be a URL"),
            ("\"octostore\"", "[]", "audience must be"),
            ("\"octostore\"", "\"\"", "audience must be"),
            ("{ repository_id = \"74\" }", "{}", "every customer"),
            ("repository_id = \"74\"", "sub = \"*\"", "every customer"),
            ("repository_id = \"74\"", "sub = [\"x\", \"*\"]", "every customer"),
            ("repository_id = \"74\"", "iss = \"https://ci.example\"", "take it out"),
            ("repository_id = \"74\"", "\"/aud\" = \"octostore\"", "take it out"),
            ("\"74\"", "[]", "no value that could match"),
            ("\"74\"", "\"\"", "no value that could match"),
            ("\"74\"", "\"7*4\"", "only at the end"),
            ("\"74\"", "\"7**\"", "only at the end"),
            ("\"ci\"", "\"\"", "account name"),
            ("flags:read", "flag:read", "\"flag:read\""),
            ("[\"locks:write:deploy/\", \"flags:read\"]", "[]", "scopes must say"),
            ("account =", "max_ttl_seconds = 0\naccount =", "1 to 3600"),
            ("account =", "max_ttl_seconds = 3601\naccount =", "1 to 3600"),
            ("account =", "max_ttl_seconds = -1\naccount =", "1 to 3600"),
            ("account =", "algorithms = []\naccount =", "leave it out"),
            ("account =", "algorithms = [\"none\"]\naccount =", "\"none\" is not accepted"),
            ("account =", "algorithms = [\"HS256\"]\naccount =", "\"HS256\" is not accepted"),
            ("account =", "algorithms = [\"rs256\"]\naccount =", "\"rs256\" is not accepted"),
            ("account =", "jwks_file = \"no-such-file\"\naccount =", "cannot be read"),
        ] {
            assert!(RULE.contains(from));
            let message = refused(&RULE.replace(from, to));
            assert!(message.contains(says), "{message}");
            let name = if from == "\"deploy\"" { "\"\"" } else { "\"deploy\"" };
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn rules_have_names_of_their_own_and_agree_about_an_issuers_keys() {
        assert!(refused(&format!("{RULE}{RULE}")).contains("another rule has this name"));
        let second = RULE.replace("\"deploy\"", "\"second\"");
        assert_eq!(read(&format!("{RULE}{second}")).unwrap().trust.len(), 2);

        let folder = TempDir::new().unwrap();
        let path = folder.path().join("octostore.toml");
        let keys = folder.path().join("keys.json");
        let jwk = crate::auth::workload::testing::signer().jwk();
        let filed = second.replace("account", "jwks_file = \"keys.json\"\n        account");
        fs::write(&path, format!("{RULE}{filed}")).unwrap();
        for (text, says) in [
            ("no keys".to_owned(), "no JSON Web Key Set"),
            ("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"}]}".to_owned(), "no key for signatures"),
            (format!("{{\"keys\":[{jwk}]}}"), "rule 'deploy' has another jwks_file"),
        ] {
            fs::write(&keys, text).unwrap();
            let message = SettingsFile::read(&path).unwrap_err().to_string();
            assert!(message.contains(says) && message.contains("\"second\""), "{message}");
        }
        // With a file the issuer need not be anything that could be asked.
        fs::write(&path, filed.replace("https://ci.example", "kubernetes/serviceaccount")).unwrap();
        SettingsFile::read(&path).unwrap();
    }

    #[test]
    fn a_rule_that_trusts_a_name_is_known() {
        for (claims, renamable) in [
            ("repository = \"a/b\"", Some("repository")),
            ("sub = \"repo:a/b:ref:refs/heads/main\"", Some("sub")),
            ("actor = \"a\", ref = \"refs/heads/main\"", Some("actor")),
            ("repository = \"a/b\", repository_id = \"1*\"", Some("repository")),
            ("repository = \"a/b\", repository_id = \"74\"", None),
            ("actor = \"a\", repository_owner_id = \"7\"", None),
            ("sub = \"system:serviceaccount:ci:deployer\"", None),
        ] {
            let file = read(&RULE.replace("repository_id = \"74\"", claims)).unwrap();
            let found = file.trust[0].renamable().map(ToString::to_string);
            assert_eq!(found.as_deref(), renamable, "{claims}");
        }
    }
}
