//! A `[[trust]]` section of the settings file, and what must hold of one.

use super::{
    jwk::{Algorithm, KeySet, NotAKeySet},
    rules::{ClaimPath, KeySource, Pattern, RequiredClaim, RuleName, TrustRule, scope},
};
use octostore_actors::domain::{account::scope::Scope, values::AccountName};
use serde::{Deserialize, Deserializer, de};
use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// A rule as it is written. A key that is not known is an error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustSection {
    /// What logs and the audit log call it.
    name: String,
    /// Who signs, to the letter of `iss`.
    issuer: String,
    /// Whom the token must be for: one text, or a list of which one is enough.
    audience: OneOrMore,
    /// A file with the issuer's keys, as seen from the folder of the settings file; without one,
    /// the issuer is asked.
    jwks_file: Option<PathBuf>,
    /// How the token may be signed; RS256 or ES256 where this is left out.
    algorithms: Option<Vec<String>>,
    /// What it must say: each claim one text, or one of a list. A text that ends in `*` stands
    /// for all that begin so. Numbers and booleans in the token compare as their text, and of an
    /// array one element is enough. A claim that begins with `/` is a JSON Pointer to one inside
    /// another, as in `"/kubernetes.io/namespace"`.
    #[serde(default)]
    claims: BTreeMap<String, OneOrMore>,
    /// The account that it opens: the same as that of a configured token of this name.
    account: String,
    /// What our token may do there, at most.
    scopes: Vec<String>,
    /// How long our token lives at most: 1 to 3,600 seconds, or 900 where this is left out.
    max_ttl_seconds: Option<i64>,
    /// Whether a token is accepted once only. What was used is forgotten when the server stops.
    #[serde(default)]
    single_use: bool,
}

/// Why a rule makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// No name that can be.
    #[error("a name has 1 to 64 characters, none of them a control character")]
    Name,
    /// Another rule has the name.
    #[error("another rule has this name: give each its own")]
    NameTaken,
    /// The issuer cannot be asked for its keys.
    #[error(
        "issuer must be a URL with https, without query or fragment (plain http is for loopback \
         hosts), or jwks_file must say where its keys are"
    )]
    Issuer,
    /// Two rules look for the keys of one issuer in different places.
    #[error("rule '{other}' has another jwks_file for this issuer: both need the same, or none")]
    OtherKeys {
        /// The other rule.
        other: RuleName,
    },
    /// No audience.
    #[error("audience must be what the issuer writes into aud for this server, and not empty")]
    Audience,
    /// An algorithm that is not accepted.
    #[error("algorithm {name:?} is not accepted: use some of {}", known_algorithms())]
    Algorithm {
        /// What was written.
        name: String,
    },
    /// No algorithm.
    #[error("algorithms is empty: leave it out for {}", names(&Algorithm::DEFAULT))]
    NoAlgorithm,
    /// Everybody that the issuer knows would be let in.
    #[error(
        "claims must ask for something besides issuer and audience, such as repository_id or sub: \
         without, every customer of the issuer would be let in"
    )]
    EverybodyMatches,
    /// A claim that is looked at anyway.
    #[error("claim '{claim}' is looked at for every token: take it out of claims")]
    LookedAtAnyway {
        /// Where.
        claim: ClaimPath,
    },
    /// Nothing would match.
    #[error("claim '{claim}' has no value that could match: give it one")]
    NoValue {
        /// Where.
        claim: ClaimPath,
    },
    /// A pattern that would not mean what it looks like.
    #[error("claim '{claim}': a * stands for any rest, and only at the end of a value")]
    Star {
        /// Where.
        claim: ClaimPath,
    },
    /// An account that cannot be.
    #[error("account: an account name has 1 to 128 characters, none of them a control character")]
    Account,
    /// A scope that is none.
    #[error(
        "scope {scope:?} is none: write AREA:ACCESS or AREA:ACCESS:PREFIX, as in locks:write:ci/"
    )]
    Scope {
        /// What was written.
        scope: String,
    },
    /// No scopes, or too many.
    #[error("scopes must say what the token may do: 1 to {} of them", Scope::MAX_GRANTS)]
    Scopes,
    /// A life that is none, or too long.
    #[error("max_ttl_seconds must be 1 to 3600")]
    Ttl,
    /// The file with the keys cannot be read.
    #[error("jwks_file {path} cannot be read: {source}")]
    KeysFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There are no keys in it.
    #[error("jwks_file {path}: {source}")]
    NotKeys {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: NotAKeySet,
    },
    /// There are no keys of use in it.
    #[error("jwks_file {path} has no key for signatures: RSA, EC (P-256, P-384) or Ed25519")]
    NoKeys {
        /// The file.
        path: PathBuf,
    },
}

fn known_algorithms() -> String {
    names(&Algorithm::ALL)
}

fn names(algorithms: &[Algorithm]) -> String {
    algorithms.iter().map(Algorithm::to_string).collect::<Vec<_>>().join(", ")
}

/// The longest life of a token of ours, in seconds, if its rule does not say.
const DEFAULT_TTL_SECONDS: i64 = 900;

impl TrustSection {
    /// Checks all rules of a file in `folder`, each by itself and with the others.
    ///
    /// # Errors
    /// What a rule is called, and why it makes no sense.
    pub fn check_all(
        sections: Vec<Self>,
        folder: &Path,
    ) -> Result<Vec<TrustRule>, (String, RuleError)> {
        let mut rules: Vec<TrustRule> = Vec::new();
        for section in sections {
            let name = section.name.clone();
            let checked = section.check(folder).and_then(|rule| {
                match rules.iter().find(|other| !other.goes_with(&rule)) {
                    Some(other) if other.name == rule.name => Err(RuleError::NameTaken),
                    Some(other) => Err(RuleError::OtherKeys { other: other.name.clone() }),
                    None => Ok(rule),
                }
            });
            rules.push(checked.map_err(|why| (name, why))?);
        }
        Ok(rules)
    }

    /// Checks the rule, and reads its keys if they are in a file. A relative path of one begins
    /// in `folder`.
    ///
    /// # Errors
    /// See [`RuleError`].
    fn check(self, folder: &Path) -> Result<TrustRule, RuleError> {
        let name = RuleName::new(&self.name).ok_or(RuleError::Name)?;
        if self.issuer.is_empty() {
            return Err(RuleError::Issuer);
        }
        let keys = match self.jwks_file {
            Some(path) => read_keys(folder.join(path))?,
            None => KeySource::discovery(&self.issuer).ok_or(RuleError::Issuer)?,
        };
        let audiences = self.audience.0;
        if audiences.is_empty() || audiences.iter().any(String::is_empty) {
            return Err(RuleError::Audience);
        }
        let scope = scope(&self.scopes).map_err(|wrong| match wrong {
            Some(scope) => RuleError::Scope { scope: scope.to_owned() },
            None => RuleError::Scopes,
        })?;
        let longest = self.max_ttl_seconds.unwrap_or(DEFAULT_TTL_SECONDS);
        let longest = u64::try_from(longest).ok().filter(|seconds| (1..=3600).contains(seconds));
        Ok(TrustRule {
            name,
            keys,
            audiences,
            algorithms: check_algorithms(self.algorithms)?,
            claims: check_claims(self.claims)?,
            account: AccountName::new(&self.account).map_err(|_| RuleError::Account)?,
            scope,
            longest: longest.map(Duration::from_secs).ok_or(RuleError::Ttl)?,
            single_use: self.single_use,
            issuer: self.issuer,
        })
    }
}

fn check_algorithms(names: Option<Vec<String>>) -> Result<Vec<Algorithm>, RuleError> {
    let Some(names) = names else { return Ok(Algorithm::DEFAULT.to_vec()) };
    if names.is_empty() {
        return Err(RuleError::NoAlgorithm);
    }
    let known = |name: String| Algorithm::named(&name).ok_or(RuleError::Algorithm { name });
    names.into_iter().map(known).collect()
}

fn check_claims(written: BTreeMap<String, OneOrMore>) -> Result<Vec<RequiredClaim>, RuleError> {
    let mut claims = Vec::new();
    for (path, values) in written {
        let path = ClaimPath::new(&path);
        let patterns: Option<Vec<Pattern>> =
            values.0.iter().map(|text| Pattern::new(text)).collect();
        let Some(patterns) = patterns else { return Err(RuleError::Star { claim: path }) };
        if patterns.is_empty() || values.0.iter().any(String::is_empty) {
            return Err(RuleError::NoValue { claim: path });
        }
        let claim = RequiredClaim { path, patterns };
        if claim.is_looked_at_anyway() {
            return Err(RuleError::LookedAtAnyway { claim: claim.path });
        }
        claims.push(claim);
    }
    if !claims.iter().any(RequiredClaim::tells_apart) {
        return Err(RuleError::EverybodyMatches);
    }
    Ok(claims)
}

fn read_keys(path: PathBuf) -> Result<KeySource, RuleError> {
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(source) => return Err(RuleError::KeysFile { path, source }),
    };
    let document = serde_json::from_slice(&text).map_err(|_| NotAKeySet);
    match document.and_then(|document| KeySet::read(&document)) {
        Ok(first) if first.is_empty() => Err(RuleError::NoKeys { path }),
        // It is read again later, when the process may be in another folder.
        Ok(first) => {
            Ok(KeySource::File { path: std::path::absolute(&path).unwrap_or(path), first })
        }
        Err(source) => Err(RuleError::NotKeys { path, source }),
    }
}

/// One text, or a list of them.
#[derive(Clone, Debug)]
struct OneOrMore(Vec<String>);

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = OneOrMore;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes, or a list of them")
            }

            fn visit_str<E>(self, text: &str) -> Result<OneOrMore, E> {
                Ok(OneOrMore(vec![text.to_owned()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<OneOrMore, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(OneOrMore)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
