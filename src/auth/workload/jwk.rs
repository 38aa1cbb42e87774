//! The keys of an issuer, as JSON Web Keys (RFC 7517) say them, and what was signed with them.
//!
//! There is no symmetric key and no unsigned algorithm among these types: that HMAC and `none` are
//! never accepted is no check that could be forgotten or configured away.
//!
//! Signatures are checked by ring, which does our TLS as well. It takes a key, a message and a
//! signature, reads no clock, and refuses RSA keys of less than 2,048 bits. The libraries that
//! read whole tokens would be of little use beside it: they judge the times of a token by a clock
//! of their own, and know nothing of what a trust rule asks.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;

/// How a token may be signed (RFC 7518, section 3.1, and RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA (PKCS #1 v1.5), SHA-256.
    Rs256,
    /// RSA (PKCS #1 v1.5), SHA-384.
    Rs384,
    /// RSA (PKCS #1 v1.5), SHA-512.
    Rs512,
    /// RSA (PSS), SHA-256.
    Ps256,
    /// RSA (PSS), SHA-384.
    Ps384,
    /// RSA (PSS), SHA-512.
    Ps512,
    /// ECDSA on P-256, SHA-256.
    Es256,
    /// ECDSA on P-384, SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// What a rule accepts that does not say.
    pub const DEFAULT: [Self; 2] = [Self::Rs256, Self::Es256];

    /// As headers, keys and settings write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The one that is written so, to the letter.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The keys that an issuer signs with at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

/// Not a JSON Web Key Set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no JSON Web Key Set: an object with an array `keys` is wanted")]
pub struct NotAKeySet;

/// What a key set says of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was made by a key of the set, over this message.
    Genuine,
    /// It was not.
    Forged,
    /// The set has no such key: perhaps it is older than the key.
    UnknownKey,
    /// The key of this name is not for this algorithm.
    UnfitKey,
    /// The token does not say which of several keys it was signed with.
    Ambiguous,
}

impl KeySet {
    /// Reads a key set (RFC 7517, section 5). Keys that are not for signatures, or of a kind that
    /// is not known here, are left out: an issuer may have them for others.
    ///
    /// # Errors
    /// [`NotAKeySet`].
    pub fn read(document: &Value) -> Result<Self, NotAKeySet> {
        let keys = document.get("keys").and_then(Value::as_array).ok_or(NotAKeySet)?;
        Ok(Self(keys.iter().filter_map(Key::read).collect()))
    }

    /// Whether there is no key in it that anything could be signed with.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Judges a signature. `id` is the `kid` of the token; a token without one is only judged if
    /// exactly one key is for its algorithm.
    pub fn judge(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Verdict {
        let named = || self.0.iter().filter(|key| id.is_none() || key.id.as_deref() == id);
        let mut fit = named().filter(|key| key.is_for(algorithm)).peekable();
        if fit.peek().is_none() {
            let misnamed = id.is_some() && named().next().is_some();
            return if misnamed { Verdict::UnfitKey } else { Verdict::UnknownKey };
        }
        if id.is_none() && fit.clone().count() > 1 {
            return Verdict::Ambiguous;
        }
        // Several keys of one name are the issuer's doing; any of them speaks for it.
        let genuine = fit.any(|key| key.verifies(algorithm, message, signature));
        if genuine { Verdict::Genuine } else { Verdict::Forged }
    }
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    /// The only algorithm it is for, if it says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

/// Numbers big-endian, points as RFC 8032 and SEC 1 (uncompressed) encode them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A JSON Web Key, as far as it is looked at.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Key {
    /// Reads one key; `None` if nothing that is accepted here could be signed with it.
    fn read(jwk: &Value) -> Option<Self> {
        let jwk = Jwk::deserialize(jwk).ok()?;
        let is_for_signatures = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !is_for_signatures {
            return None;
        }
        let algorithm = match &jwk.alg {
            Some(name) => Some(Algorithm::named(name)?),
            None => None,
        };
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", None) => Material::Rsa { n: number(&jwk.n)?, e: number(&jwk.e)? },
            ("EC", Some("P-256")) => Material::P256(point(&jwk, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(&jwk, 48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(&jwk.x)?),
            _ => return None,
        };
        Some(Self { id: jwk.kid, algorithm, material })
    }

    /// Whether `algorithm` is one of its kind, and the one it says itself that it is for.
    fn is_for(&self, algorithm: Algorithm) -> bool {
        let of_its_kind = match algorithm {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => matches!(self.material, Material::Rsa { .. }),
            Algorithm::Es256 => matches!(self.material, Material::P256(_)),
            Algorithm::Es384 => matches!(self.material, Material::P384(_)),
            Algorithm::EdDsa => matches!(self.material, Material::Ed25519(_)),
        };
        of_its_kind && self.algorithm.is_none_or(|own| own == algorithm)
    }

    /// Whether `signature` was made with it. Only to be asked if it [is for](Self::is_for)
    /// `algorithm`.
    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.material {
            Material::Rsa { n, e } => match rsa_parameters(algorithm) {
                Some(parameters) => {
                    RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
                }
                None => return false,
            },
            Material::P256(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signature)
            }
            Material::P384(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point)
                    .verify(message, signature)
            }
            Material::Ed25519(point) => {
                UnparsedPublicKey::new(&signature::ED25519, point).verify(message, signature)
            }
        };
        verified.is_ok()
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => None,
    }
}

fn bytes(member: &Option<String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(member.as_ref()?).ok()
}

/// A number without the leading zeros that some issuers send against RFC 7518, section 6.3.1.1.
fn number(member: &Option<String>) -> Option<Vec<u8>> {
    let bytes = bytes(member)?;
    let first = bytes.iter().position(|&byte| byte != 0)?;
    Some(bytes[first..].to_vec())
}

/// A point of a curve whose coordinates have `length` bytes.
fn point(jwk: &Jwk, length: usize) -> Option<Vec<u8>> {
    const UNCOMPRESSED: u8 = 4;
    let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
    (x.len() == length && y.len() == length).then(|| [&[UNCOMPRESSED][..], &x, &y].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::workload::testing::Signer;
    use serde_json::json;

    fn set(keys: &[Value]) -> KeySet {
        KeySet::read(&json!({ "keys": keys })).unwrap()
    }

    #[test]
    fn every_algorithm_verifies_what_was_signed_with_it_and_nothing_else() {
        for algorithm in Algorithm::ALL {
            let signer = Signer::new(algorithm.as_str(), "k");
            let keys = set(&[signer.jwk()]);
            let signature = signer.sign(algorithm.as_str(), b"message");
            let judge = |message: &[u8], signature: &[u8]| {
                keys.judge(Some("k"), algorithm, message, signature)
            };
            assert_eq!(judge(b"message", &signature), Verdict::Genuine, "{algorithm}");
            assert_eq!(judge(b"massage", &signature), Verdict::Forged, "{algorithm}");
            assert_eq!(judge(b"message", b""), Verdict::Forged, "{algorithm}");
            let mut bent = signature.clone();
            bent[7] ^= 1;
            assert_eq!(judge(b"message", &bent), Verdict::Forged, "{algorithm}");
            for other in Algorithm::ALL.into_iter().filter(|&other| other != algorithm) {
                let verdict = keys.judge(Some("k"), other, b"message", &signature);
                assert_eq!(verdict, Verdict::UnfitKey, "{algorithm} as {other}");
            }
        }
    }

    #[test]
    fn a_key_without_an_algorithm_of_its_own_still_has_its_kind() {
        let mut jwk = Signer::new("RS256", "k").jwk();
        jwk.as_object_mut().unwrap().remove("alg");
        let keys = set(&[jwk]);
        let forged = |algorithm| keys.judge(Some("k"), algorithm, b"m", b"s");
        assert_eq!(forged(Algorithm::Rs256), Verdict::Forged);
        assert_eq!(forged(Algorithm::Ps512), Verdict::Forged);
        assert_eq!(forged(Algorithm::Es256), Verdict::UnfitKey);
        assert_eq!(forged(Algorithm::EdDsa), Verdict::UnfitKey);
    }

    #[test]
    fn a_token_without_a_kid_needs_a_key_that_leaves_no_choice() {
        let (one, two) = (Signer::new("ES256", "one"), Signer::new("ES256", "two"));
        let rsa = Signer::new("RS256", "three");
        let signature = one.sign("ES256", b"m");
        let judge = |keys: &[Value]| set(keys).judge(None, Algorithm::Es256, b"m", &signature);
        assert_eq!(judge(&[one.jwk(), rsa.jwk()]), Verdict::Genuine);
        assert_eq!(judge(&[one.jwk(), two.jwk()]), Verdict::Ambiguous);
        assert_eq!(judge(&[rsa.jwk()]), Verdict::UnknownKey);
        let named = set(&[one.jwk()]).judge(Some("two"), Algorithm::Es256, b"m", &signature);
        assert_eq!(named, Verdict::UnknownKey, "a kid is never just a hint");
    }

    #[test]
    fn keys_for_something_else_are_left_out_and_harm_nobody() {
        let good = Signer::new("ES256", "good").jwk();
        let with = |name: &str, value: Value| {
            let mut jwk = good.clone();
            jwk[name] = value;
            jwk
        };
        for unfit in [
            json!({ "kty": "oct", "k": "c2VjcmV0", "alg": "HS256" }),
            json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA" }),
            json!({ "kty": "OKP", "crv": "X25519", "x": "AA" }),
            json!("a key"),
            with("use", json!("enc")),
            with("key_ops", json!(["encrypt"])),
            with("alg", json!("none")),
            with("alg", json!("ECDH-ES")),
            with("x", json!("AA")),
            with("x", json!(5)),
            with("crv", json!("P-521")),
        ] {
            assert!(set(std::slice::from_ref(&unfit)).is_empty(), "{unfit}");
            assert_eq!(set(&[unfit, good.clone()]), set(std::slice::from_ref(&good)));
        }
        for no_set in [json!([]), json!({}), json!({ "keys": {} }), json!(null)] {
            assert_eq!(KeySet::read(&no_set), Err(NotAKeySet));
        }
    }
}
