//! Trust rules: which tokens of which issuer stand for which account, and how far.

use super::{
    jwk::{Algorithm, KeySet},
    jwt::Claims,
};
use crate::auth::outbound::is_protected;
use octostore_actors::domain::{
    account::scope::{Grant, Scope},
    values::AccountName,
};
use openidconnect::url::Url;
use serde_json::Value;
use std::{fmt, path::PathBuf, time::Duration};

/// One rule, checked: whoever brings a token that matches it gets a token of ours.
#[derive(Clone, Debug)]
pub struct TrustRule {
    /// What logs and the audit log call it.
    pub name: RuleName,
    /// Who signs, to the letter of `iss`.
    pub issuer: String,
    /// Where the issuer's keys are.
    pub keys: KeySource,
    /// Whom the token must be for: one of these.
    pub audiences: Vec<String>,
    /// How it may be signed.
    pub algorithms: Vec<Algorithm>,
    /// What it must say: all of this.
    pub claims: Vec<RequiredClaim>,
    /// The account that it opens.
    pub account: AccountName,
    /// What our token may do there at most.
    pub scope: Scope,
    /// How long our token lives at most: 1 second to 1 hour.
    pub longest: Duration,
    /// Whether a token is accepted once only.
    pub single_use: bool,
}

/// The name of a rule: 1 to 64 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleName(String);

impl RuleName {
    /// Checks the bounds.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.chars().count());
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Where its discovery document says (OpenID Connect Discovery 1.0, section 4).
    Discovery(Url),
    /// In a file, whatever the issuer is called.
    File {
        /// The file, by a path that does not depend on the folder of the process.
        path: PathBuf,
        /// What was in it when the settings were read.
        first: KeySet,
    },
}

impl KeySource {
    /// By discovery at `issuer`; `None` if that is no URL to ask in safety.
    pub fn discovery(issuer: &str) -> Option<Self> {
        let url = Url::parse(issuer).ok()?;
        let plain = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        (plain && is_protected(&url)).then_some(Self::Discovery(url))
    }
}

/// What a token must say in one place: one of these.
#[derive(Clone, Debug)]
pub struct RequiredClaim {
    /// Where.
    pub path: ClaimPath,
    /// What.
    pub patterns: Vec<Pattern>,
}

impl RequiredClaim {
    fn matches(&self, claims: &Claims) -> bool {
        let Some(value) = claims.get(&self.path) else { return false };
        match value.as_array() {
            Some(elements) => elements.iter().any(|element| self.is_met_by(element)),
            None => self.is_met_by(value),
        }
    }

    fn is_met_by(&self, value: &Value) -> bool {
        let is_met_by = |text: &str| self.patterns.iter().any(|pattern| pattern.matches(text));
        match value {
            Value::String(text) => is_met_by(text),
            Value::Number(number) => is_met_by(&number.to_string()),
            Value::Bool(truth) => is_met_by(if *truth { "true" } else { "false" }),
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        }
    }
}

/// The place of a claim: its name, or a JSON Pointer (RFC 6901) to one inside another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath {
    text: String,
    segments: Vec<String>,
}

impl ClaimPath {
    /// Reads a place: a pointer if it begins with a slash, else a name.
    pub fn new(text: &str) -> Self {
        let segments = match text.strip_prefix('/') {
            Some(pointer) => pointer
                .split('/')
                .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
                .collect(),
            None => vec![text.to_owned()],
        };
        Self { text: text.to_owned(), segments }
    }

    /// From the outermost claim to the innermost; at least one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().map(String::as_str)
    }

    /// Whether it is the claim `name` itself.
    fn is(&self, name: &str) -> bool {
        self.segments == [name]
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text.escape_debug())
    }
}

/// What a claim must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This.
    Exactly(String),
    /// Anything that begins so.
    Prefix(String),
}

impl Pattern {
    /// Reads a pattern: a `*` at its end stands for any rest. `None` if there is a `*` elsewhere,
    /// which whoever wrote it would expect to mean something.
    pub fn new(text: &str) -> Option<Self> {
        match text.split_once('*') {
            None => Some(Self::Exactly(text.to_owned())),
            Some((prefix, "")) => Some(Self::Prefix(prefix.to_owned())),
            Some(_) => None,
        }
    }

    /// Whether anything at all matches.
    pub fn is_anything(&self) -> bool {
        *self == Self::Prefix(String::new())
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exactly(wanted) => text == wanted,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
        }
    }
}

/// Why a rule does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch<'a> {
    /// The token is signed in another way.
    Algorithm,
    /// It is for somebody else.
    Audience,
    /// It does not say what it must there.
    Claim(&'a ClaimPath),
}

impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Algorithm => f.write_str("alg"),
            Self::Audience => f.write_str("aud"),
            Self::Claim(path) => write!(f, "{path}"),
        }
    }
}

impl TrustRule {
    /// Compares the rule with what a token of its issuer says, which was signed with `algorithm`.
    ///
    /// # Errors
    /// The first thing that does not match.
    pub fn check(&self, algorithm: Algorithm, claims: &Claims) -> Result<(), Mismatch<'_>> {
        if !self.algorithms.contains(&algorithm) {
            return Err(Mismatch::Algorithm);
        }
        if !claims.is_for(&self.audiences) {
            return Err(Mismatch::Audience);
        }
        let missing = self.claims.iter().find(|claim| !claim.matches(claims));
        missing.map_or(Ok(()), |claim| Err(Mismatch::Claim(&claim.path)))
    }

    /// Whether both can be in one file: they have names of their own, and look for the keys of one
    /// issuer in one place.
    pub fn goes_with(&self, other: &Self) -> bool {
        self.name != other.name && (self.issuer != other.issuer || self.keys == other.keys)
    }

    /// The claim by which a stranger could come in under a name that was somebody else's before:
    /// repositories, their owners and users are renamed, and their old names are free to be taken.
    /// `None` if there is none, or the rule asks for a number that stays, too.
    pub fn renamable(&self) -> Option<&ClaimPath> {
        /// Numbers that stay, at GitHub and GitLab.
        const STAY: [&str; 4] =
            ["repository_id", "repository_owner_id", "project_id", "namespace_id"];
        let stays = |claim: &RequiredClaim| {
            let exact = claim.patterns.iter().all(|p| matches!(p, Pattern::Exactly(_)));
            exact && STAY.iter().any(|name| claim.path.is(name))
        };
        if self.claims.iter().any(stays) {
            return None;
        }
        self.claims.iter().find(|claim| claim.is_a_name()).map(|claim| &claim.path)
    }
}

impl RequiredClaim {
    /// Whether it is a name that can be changed, as GitHub and GitLab have them.
    fn is_a_name(&self) -> bool {
        const NAMES: [&str; 8] = [
            "repository",
            "repository_owner",
            "actor",
            "workflow_ref",
            "job_workflow_ref",
            "project_path",
            "namespace_path",
            "user_login",
        ];
        let begins = |pattern: &Pattern| match pattern {
            Pattern::Exactly(text) | Pattern::Prefix(text) => {
                text.starts_with("repo:") || text.starts_with("project_path:")
            }
        };
        NAMES.iter().any(|name| self.path.is(name))
            || self.path.is("sub") && self.patterns.iter().any(begins)
    }

    /// Whether it is of the claims that every rule looks at anyway, and that tell nobody of an
    /// issuer from anybody else.
    pub fn is_looked_at_anyway(&self) -> bool {
        ["iss", "aud", "exp", "nbf", "iat", "jti"].iter().any(|name| self.path.is(name))
    }

    /// Whether there is a value that it does not match.
    pub fn tells_apart(&self) -> bool {
        !self.patterns.iter().any(Pattern::is_anything)
    }
}

/// The scope of these grants.
///
/// # Errors
/// The first that is none; `None` if they are none at all, or too many.
pub fn scope(grants: &[String]) -> Result<Scope, Option<&str>> {
    let mut read = Vec::new();
    for grant in grants {
        read.push(grant.parse::<Grant>().map_err(|_| Some(grant.as_str()))?);
    }
    Scope::only(read).ok_or(None)
}
