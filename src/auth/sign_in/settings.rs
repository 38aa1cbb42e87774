//! What the settings say of providers, and what can be wrong with it.

use crate::{
    auth::{
        outbound::is_protected,
        secret_file::{self, SecretFile},
    },
    settings::Secret,
};
use openidconnect::{ClientSecret, RedirectUrl, url::Url};
use serde::Deserialize;
use std::{
    io,
    path::{Path, PathBuf},
};

/// What the variables and the section `[github]` say of GitHub. An empty text counts as absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct GitHubSettings<'a> {
    /// `GITHUB_CLIENT_ID`: without it nobody signs in with GitHub.
    pub client_id: Option<&'a str>,
    /// `GITHUB_CLIENT_SECRET`
    pub client_secret: Option<&'a Secret>,
    /// `GITHUB_REDIRECT_URI`: without it GitHub sends browsers to where its own page of the
    /// application says.
    pub redirect_uri: Option<&'a str>,
    /// `GITHUB_OAUTH_URL`: `https://github.com` without it.
    pub oauth_url: Option<&'a str>,
    /// `GITHUB_API_URL`: `https://api.github.com` without both, and `/api/v3` of an Enterprise
    /// host where only the other is set.
    pub api_url: Option<&'a str>,
    /// `[github]`
    pub section: Option<&'a GitHubSection>,
}

/// The section `[github]` of the settings file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitHubSection {
    /// The numeric ids of those who may enter; everybody with an account on GitHub where this
    /// is left out.
    pub allowed_user_ids: Option<Vec<u64>>,
}

/// A section `[[oidc]]` of the settings file: one OpenID Connect provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenIdSection {
    /// The segment in `/auth/oidc/{name}`: lower-case letters, digits and hyphens.
    pub name: String,
    /// The URL of the provider, to the letter as it says itself: most differ in the slash at the
    /// end alone.
    pub issuer: String,
    /// As what this server is known there.
    pub client_id: String,
    /// Its secret, if it has one; a public client has none.
    pub client_secret: Option<ClientSecret>,
    /// A file with the secret, in place of the secret itself; only its owner may be able to read
    /// it.
    pub client_secret_file: Option<PathBuf>,
    /// Where the provider sends browsers back to: this server's
    /// `/auth/oidc/{name}/callback`, as browsers see it.
    pub redirect_uri: String,
    /// What is asked for; `openid` is asked for in any case.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    /// The claim that names the account, which must be there then. Where this is left out it is
    /// `preferred_username`, or else `email`, or else `sub`.
    pub name_claim: Option<String>,
    /// The claim that lists the groups.
    #[serde(default = "default_groups_claim")]
    pub groups_claim: String,
    /// The groups whose members may enter; everybody where this is left out.
    pub allowed_groups: Option<Vec<String>>,
    /// The domains of the verified e-mail addresses of those who may enter; everybody where this
    /// is left out. Whoever has both this and `allowed_groups` lets in who is in both.
    pub allowed_domains: Option<Vec<String>>,
}

impl OpenIdSection {
    /// The same, with files where they are as seen from `folder`.
    #[must_use]
    pub fn beside(mut self, folder: &Path) -> Self {
        self.client_secret_file = self.client_secret_file.map(|path| folder.join(path));
        self
    }
}

fn default_scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).into()
}

fn default_groups_claim() -> String {
    "groups".to_owned()
}

/// Why the providers of the settings cannot be used. No message shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum ProvidersError {
    /// One variable of two is there.
    #[error("{there} is set and {missing} is not: set both, or none of them")]
    Incomplete {
        /// The one that is.
        there: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// An API without its host.
    #[error(
        "GITHUB_API_URL is set and GITHUB_OAUTH_URL is not: set that too, or leave GITHUB_API_URL out"
    )]
    ApiAlone,
    /// A URL is none.
    #[error("{setting}: wanted an absolute http or https URL without a fragment")]
    Url {
        /// Which setting.
        setting: String,
    },
    /// A URL that secrets are sent to, in clear.
    #[error("{setting}: wanted https; http only to this very machine (localhost, 127.0.0.1, ::1)")]
    InClear {
        /// Which setting.
        setting: String,
    },
    /// A name that is no segment of a path.
    #[error("oidc: the name {0:?} is not made of a-z, 0-9 and '-'")]
    Name(String),
    /// Two providers of one name.
    #[error("oidc: two providers are named {0:?}")]
    SameName(String),
    /// An empty text.
    #[error("{setting}: wanted something that is not empty")]
    Empty {
        /// Which setting.
        setting: String,
    },
    /// A list of those who may enter, with nobody in it.
    #[error("{setting} is empty, so nobody could enter: leave it out to let everybody in")]
    Nobody {
        /// Which setting.
        setting: String,
    },
    /// A secret twice.
    #[error("oidc {0:?}: client_secret and client_secret_file are one too many")]
    TwoSecrets(String),
    /// Others may read or write the file.
    #[error(
        "client_secret_file {path} is not its owner's alone (mode {mode:03o}): run `chmod 600 {path}`"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file cannot be read.
    #[error("client_secret_file {path} cannot be read: {source}: put the client's secret there")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The URL in `text`, which secrets can be sent to.
///
/// # Errors
/// It is none, or not protected.
pub fn protected_url(setting: &str, text: &str) -> Result<Url, ProvidersError> {
    let url = web_url(setting, text)?;
    if is_protected(&url) {
        Ok(url)
    } else {
        Err(ProvidersError::InClear { setting: setting.to_owned() })
    }
}

/// Where browsers are sent back to. It may be http anywhere: that is how this server itself is
/// served.
///
/// # Errors
/// It is no URL of the web.
pub fn redirect_url(setting: &str, text: &str) -> Result<RedirectUrl, ProvidersError> {
    web_url(setting, text)?;
    RedirectUrl::new(text.to_owned())
        .map_err(|_| ProvidersError::Url { setting: setting.to_owned() })
}

fn web_url(setting: &str, text: &str) -> Result<Url, ProvidersError> {
    let sane = text.bytes().all(|byte| byte.is_ascii_graphic());
    Url::parse(text)
        .ok()
        .filter(|url| sane && matches!(url.scheme(), "http" | "https"))
        .filter(|url| url.has_host() && url.fragment().is_none())
        .ok_or_else(|| ProvidersError::Url { setting: setting.to_owned() })
}

/// The list of those who may enter, if there is one.
///
/// # Errors
/// There is one, and nobody is in it.
pub fn allowed<T: Clone>(
    setting: &str,
    list: Option<&[T]>,
) -> Result<Option<Vec<T>>, ProvidersError> {
    match list {
        Some([]) => Err(ProvidersError::Nobody { setting: setting.to_owned() }),
        list => Ok(list.map(<[T]>::to_vec)),
    }
}

/// Reads a secret from a file that must be its owner's alone. The end of its line is not part of
/// it.
///
/// # Errors
/// It cannot be read, others may read it, or there is nothing in it.
pub fn secret_file(path: &Path) -> Result<ClientSecret, ProvidersError> {
    let io = |source| ProvidersError::Io { path: path.to_owned(), source };
    let SecretFile { text, exposed } = secret_file::read(path).map_err(io)?;
    if let Some(mode) = exposed {
        return Err(ProvidersError::Exposed { path: path.to_owned(), mode });
    }
    match text.trim() {
        "" => Err(ProvidersError::Empty { setting: path.display().to_string() }),
        secret => Ok(ClientSecret::new(secret.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn secrets_go_over_tls_or_stay_on_this_machine() {
        for good in ["https://example.com", "https://example.com:8443/a", "http://127.0.0.1:9/"] {
            assert!(protected_url("x", good).is_ok(), "{good}");
        }
        for bad in ["http://example.com", "http://10.0.0.1/"] {
            let error = protected_url("GITHUB_OAUTH_URL", bad).unwrap_err().to_string();
            assert!(error.contains("GITHUB_OAUTH_URL") && error.contains("https"), "{error}");
        }
        for bad in
            ["", "example.com", "ftp://example.com", "https://", "https://a#b", "https://a b"]
        {
            assert!(matches!(protected_url("x", bad), Err(ProvidersError::Url { .. })), "{bad}");
        }
        assert!(redirect_url("x", "http://octostore.internal/auth/github/callback").is_ok());
        assert!(redirect_url("x", "/auth/github/callback").is_err());
    }

    #[test]
    fn a_file_with_a_secret_must_be_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "hunter2\n").unwrap();
        let mode = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        for exposed in [0o644, 0o622] {
            mode(exposed);
            let error = secret_file(&path).unwrap_err().to_string();
            assert!(error.contains("chmod 600") && !error.contains("hunter2"), "{error}");
        }
        mode(0o600);
        assert_eq!(secret_file(&path).unwrap().secret(), "hunter2");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(secret_file(&path), Err(ProvidersError::Empty { .. })));
        assert!(matches!(secret_file(&folder.path().join("none")), Err(ProvidersError::Io { .. })));
    }

    #[test]
    fn a_section_has_defaults_and_no_unknown_keys() {
        let section =
            "name = 'a'\nissuer = 'https://i'\nclient_id = 'c'\nredirect_uri = 'https://r'";
        let read: OpenIdSection = toml::from_str(section).unwrap();
        assert_eq!(read.scopes, ["openid", "profile", "email"]);
        assert_eq!((read.groups_claim.as_str(), read.name_claim), ("groups", None));
        let secret = format!("{section}\nclient_secret = 'hunter2'");
        let read: OpenIdSection = toml::from_str(&secret).unwrap();
        assert!(!format!("{read:?}").contains("hunter2"));
        let error = toml::from_str::<OpenIdSection>(&format!("{section}\nissuers = 1"));
        assert!(error.unwrap_err().to_string().contains("issuers"));
    }
}
