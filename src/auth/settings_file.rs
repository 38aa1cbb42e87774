//! The settings file: what does not fit a command line.

use super::sign_in::{GitHubSection, OpenIdSection};
use serde::Deserialize;
use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The settings file, in TOML. A key that is not known is an error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsFile {
    /// `[github]`: who may sign in with GitHub.
    pub github: GitHubSection,
    /// `[[oidc]]`: the OpenID Connect providers.
    pub oidc: Vec<OpenIdSection>,
}

/// Why a settings file cannot be used. No message shows what is in it, other than the names of
/// keys.
#[derive(Debug, thiserror::Error)]
pub enum SettingsFileError {
    /// It cannot be read.
    #[error("{path} cannot be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not TOML, or not as documented.
    #[error("{path}, line {line}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from one.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// It holds a secret, and others may read it.
    #[error(
        "{path} holds a client_secret and can be read by others (mode {mode:03o}): run `chmod 600 {path}`"
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

impl SettingsFile {
    /// Reads `path`. Other files that it names are beside it, unless their paths are absolute.
    ///
    /// # Errors
    /// See [`SettingsFileError`].
    pub fn read(path: &Path) -> Result<Self, SettingsFileError> {
        let io = |source| SettingsFileError::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(io)?;
        let settings: Self = toml::from_str(&text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            SettingsFileError::Syntax {
                path: path.to_owned(),
                line: text[..at].matches('\n').count() + 1,
                message: error.message().to_owned(),
            }
        })?;
        if mode & 0o044 != 0 && settings.oidc.iter().any(|section| section.client_secret.is_some())
        {
            return Err(SettingsFileError::Readable { path: path.to_owned(), mode });
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let oidc = settings.oidc.into_iter().map(|section| section.beside(folder)).collect();
        Ok(Self { oidc, ..settings })
    }
}
