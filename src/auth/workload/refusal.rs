//! Why a token is not accepted.

use super::jwk::Algorithm;

/// Why a token is not accepted. This is for the operator, in the log: whoever sent the token is
/// told nothing but that it was not, or he could feel his way through the rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is larger than any that is looked at.
    #[error("the token has more than {limit} bytes")]
    TooLong {
        /// In bytes.
        limit: usize,
    },
    /// It is not three parts of base64url with dots between them, the first two JSON objects.
    #[error("it is no signed JSON Web Token")]
    Malformed,
    /// It is signed in no way that is ever accepted, or not at all.
    #[error("its algorithm is none that is ever accepted")]
    UnknownAlgorithm,
    /// It is signed in a way that no rule of its issuer accepts.
    #[error("no rule for its issuer accepts {0}")]
    Algorithm(Algorithm),
    /// It asks that a header be understood (RFC 7515, section 4.1.11).
    #[error("it has critical headers, and none is understood here")]
    Critical,
    /// It says of itself that it is made for something else (RFC 8725, section 3.11).
    #[error("its typ says that it is for something else")]
    Type,
    /// It has no `iss`.
    #[error("it names no issuer")]
    NoIssuer,
    /// No rule is about its issuer.
    #[error("no rule is about its issuer")]
    UnknownIssuer,
    /// Its issuer has no such key.
    #[error("its issuer has no key of that kid")]
    UnknownKey,
    /// The key it names is for something else.
    #[error("the key it names is not for its algorithm")]
    UnfitKey,
    /// It does not say which key it was signed with, and there are several.
    #[error("it has no kid, and its issuer has several keys for its algorithm")]
    AmbiguousKey,
    /// Its issuer has not signed this.
    #[error("its signature is wrong")]
    Forged,
    /// A time in it is missing that must be there, or is no time.
    #[error("its {0} is missing, or no time")]
    NoTime(&'static str),
    /// It has ended.
    #[error("it has expired")]
    Expired,
    /// It is of the future.
    #[error("its {0} is in the future")]
    Future(&'static str),
    /// No rule asks for what it says.
    #[error("no rule matches it")]
    NoRule,
    /// It was traded before.
    #[error("it was used before, and its rule accepts a token once")]
    Used,
}
