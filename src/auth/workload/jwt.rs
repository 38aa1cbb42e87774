//! JSON Web Tokens (RFC 7519) as issuers sign them (RFC 7515, compact serialization), read with
//! the care of RFC 8725.
//!
//! Reading one gives an [`Unverified`] token, which tells nothing but whose keys it should be
//! shown. [`Claims`] are only had from a genuine signature.

use super::{
    jwk::{Algorithm, KeySet, Verdict},
    refusal::Refusal,
    rules::ClaimPath,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use octostore_actors::domain::values::WallTime;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::{fmt, sync::Arc};

/// The largest token that is looked at, in bytes.
pub const MAX_LENGTH: usize = 16 * 1024;

/// How far an issuer's clock may be from ours, in milliseconds.
pub const SKEW_MILLIS: i64 = 60_000;

/// A token of which nothing is believed yet.
pub struct Unverified<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    claims: Arc<Map<String, Value>>,
    /// What the signature is over.
    signed: &'a str,
    signature: Vec<u8>,
}

impl fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unverified(…)")
    }
}

/// The header, as far as it is looked at. What would bring a key along (`jwk`, `jku`, `x5u`,
/// `x5c`) is not: keys come from the issuer alone.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    /// Present, whatever it says.
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl<'a> Unverified<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// It is too long, no signed token, signed in a way that is never accepted, or asks for what
    /// is not understood.
    pub fn read(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > MAX_LENGTH {
            return Err(Refusal::TooLong { limit: MAX_LENGTH });
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        // A fourth part, as encrypted tokens have it, would be in `claims`: no base64.
        let decode = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed);
        let header: Header = object(&decode(header)?)?;
        let algorithm = Algorithm::named(&header.alg).ok_or(Refusal::UnknownAlgorithm)?;
        if header.crit {
            return Err(Refusal::Critical);
        }
        if !header.typ.as_deref().is_none_or(is_plain_type) {
            return Err(Refusal::Type);
        }
        Ok(Self {
            algorithm,
            key_id: header.kid,
            claims: Arc::new(object(&decode(claims)?)?),
            signed,
            signature: decode(signature)?,
        })
    }

    /// Whom it says to be from: all it is good for is to find the keys.
    ///
    /// # Errors
    /// It does not say.
    pub fn issuer(&self) -> Result<&str, Refusal> {
        self.claims.get("iss").and_then(Value::as_str).ok_or(Refusal::NoIssuer)
    }

    /// How it says to be signed.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What it says, if one of `keys` has signed it.
    ///
    /// # Errors
    /// None has, or it cannot be told.
    pub fn verify(&self, keys: &KeySet) -> Result<Claims, Refusal> {
        let (message, signature) = (self.signed.as_bytes(), &self.signature);
        match keys.judge(self.key_id.as_deref(), self.algorithm, message, signature) {
            Verdict::Genuine => {
                Ok(Claims { all: Arc::clone(&self.claims), digest: Sha256::digest(message).into() })
            }
            Verdict::Forged => Err(Refusal::Forged),
            Verdict::UnknownKey => Err(Refusal::UnknownKey),
            Verdict::UnfitKey => Err(Refusal::UnfitKey),
            Verdict::Ambiguous => Err(Refusal::AmbiguousKey),
        }
    }
}

/// Reads a JSON object: serde would take an array for a struct as well.
fn object<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, Refusal> {
    if bytes.first() != Some(&b'{') {
        return Err(Refusal::Malformed);
    }
    serde_json::from_slice(bytes).map_err(|_| Refusal::Malformed)
}

/// Whether `typ` is one of tokens that say who somebody is. Others (logout tokens, event tokens,
/// proofs of possession) are signed with the same keys, for other ends.
fn is_plain_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "jose" | "at+jwt")
}

/// What a token says that its issuer has signed.
#[derive(Clone)]
pub struct Claims {
    all: Arc<Map<String, Value>>,
    /// Of what was signed. Not of the token: of a signature there can be several forms.
    digest: [u8; 32],
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(…)")
    }
}

impl Claims {
    /// Checks that it has begun and not ended at `now`, give or take a minute, and returns the
    /// time from which it is refused as expired: `exp` must be there, `nbf` and `iat` count if
    /// they are.
    ///
    /// # Errors
    /// It has not, or does not say when it ends.
    pub fn check_times(&self, now: WallTime) -> Result<WallTime, Refusal> {
        let end = self.time("exp")?.ok_or(Refusal::NoTime("exp"))?;
        let refused_from = end.saturating_add(SKEW_MILLIS);
        if now.as_millis() >= refused_from {
            return Err(Refusal::Expired);
        }
        for begin in ["nbf", "iat"] {
            if self.time(begin)?.is_some_and(|at| at > now.as_millis().saturating_add(SKEW_MILLIS))
            {
                return Err(Refusal::Future(begin));
            }
        }
        Ok(WallTime::from_millis(refused_from))
    }

    /// A time (RFC 7519, section 2: seconds since 1970, not always whole), in milliseconds.
    fn time(&self, claim: &'static str) -> Result<Option<i64>, Refusal> {
        /// The end of the year 9999.
        const LAST: f64 = 253_402_300_799.0;
        let Some(value) = self.all.get(claim) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| (0.0..=LAST).contains(seconds));
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the end of the year 9999")]
        let millis = seconds.map(|seconds| (seconds * 1000.0) as i64);
        millis.map(Some).ok_or(Refusal::NoTime(claim))
    }

    /// Whether it is meant for one of `audiences` (RFC 7519, section 4.1.3: `aud` is one text, or
    /// several).
    pub fn is_for(&self, audiences: &[String]) -> bool {
        let is_one = |value: &Value| audiences.iter().any(|one| value.as_str() == Some(one));
        match self.all.get("aud") {
            Some(Value::Array(several)) => several.iter().any(is_one),
            Some(value) => is_one(value),
            None => false,
        }
    }

    /// What it says there.
    pub fn get(&self, path: &ClaimPath) -> Option<&Value> {
        let mut segments = path.segments();
        let mut value = self.all.get(segments.next()?)?;
        for segment in segments {
            value = value.get(segment)?;
        }
        Some(value)
    }

    /// Whom it is about, if it says so.
    pub fn subject(&self) -> Option<&str> {
        self.all.get("sub").and_then(Value::as_str)
    }

    /// By what it is known for having been used: its `jti`, which is the issuer's to make unique,
    /// or else all of what was signed.
    pub fn mark(&self, issuer: &str) -> [u8; 32] {
        match self.all.get("jti").and_then(Value::as_str) {
            Some(id) => {
                let mut hash = Sha256::new();
                hash.update(Sha256::digest(issuer));
                hash.update(id);
                hash.finalize().into()
            }
            None => self.digest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::workload::testing::{self, Signer, encode};
    use proptest::prelude::*;
    use serde_json::json;

    const NOW: WallTime = WallTime::from_millis(1_800_000_000_000);
    const SECONDS: i64 = 1_800_000_000;

    fn claims(claims: Value) -> Claims {
        let signer = Signer::new("ES256", "k");
        let token = signer.token(&claims);
        let keys = KeySet::read(&json!({ "keys": [signer.jwk()] })).unwrap();
        Unverified::read(&token).unwrap().verify(&keys).unwrap()
    }

    fn times(claims_: Value) -> Result<(), Refusal> {
        claims(claims_).check_times(NOW).map(|_| ())
    }

    #[test]
    fn a_token_lives_from_its_beginning_to_its_end_give_or_take_a_minute() {
        let exp = SECONDS + 300;
        assert_eq!(times(json!({ "exp": exp })), Ok(()));
        assert_eq!(times(json!({ "exp": SECONDS - 59 })), Ok(()));
        assert_eq!(times(json!({ "exp": SECONDS - 60 })), Err(Refusal::Expired));
        assert_eq!(times(json!({ "exp": 0 })), Err(Refusal::Expired));
        for begin in ["nbf", "iat"] {
            assert_eq!(times(json!({ "exp": exp, begin: SECONDS + 60 })), Ok(()));
            let early = times(json!({ "exp": exp, begin: SECONDS + 61 }));
            assert_eq!(early, Err(Refusal::Future(begin)));
            let no_time = times(json!({ "exp": exp, begin: "yesterday" }));
            assert_eq!(no_time, Err(Refusal::NoTime(begin)));
        }
        assert_eq!(times(json!({ "exp": exp as f64 + 0.5 })), Ok(()));
        for no_end in [json!({}), json!({ "exp": null }), json!({ "exp": exp.to_string() })] {
            assert_eq!(times(no_end), Err(Refusal::NoTime("exp")));
        }
        for no_end in [json!({ "exp": -1 }), json!({ "exp": 1e300 }), json!({ "exp": [exp] })] {
            assert_eq!(times(no_end), Err(Refusal::NoTime("exp")));
        }
    }

    #[test]
    fn an_audience_is_one_of_those_it_names_to_the_letter() {
        let ours = ["octostore".to_owned(), "https://octostore.example".to_owned()];
        for (audience, is_ours) in [
            (json!("octostore"), true),
            (json!("https://octostore.example"), true),
            (json!(["other", "octostore"]), true),
            (json!("other"), false),
            (json!("Octostore"), false),
            (json!("octostore "), false),
            (json!("https://octostore.example/"), false),
            (json!([]), false),
            (json!([["octostore"]]), false),
            (json!({ "octostore": true }), false),
            (json!(null), false),
        ] {
            assert_eq!(claims(json!({ "aud": audience })).is_for(&ours), is_ours, "{audience}");
        }
        assert!(!claims(json!({})).is_for(&ours));
    }

    #[test]
    fn what_is_no_signed_token_is_not_read() {
        let good = Signer::new("ES256", "k").token(&json!({ "iss": "i" }));
        let (header, rest) = good.split_once('.').unwrap();
        let (claims, signature) = rest.split_once('.').unwrap();
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for bad in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            format!("{header}.{claims}"),
            format!("{good}.{signature}"),
            format!("{header}.{claims}.{signature}="),
            format!("{header}.{claims}.{signature} "),
            format!(" {good}"),
            format!("{header}.{claims}=.{signature}"),
            format!("{header}..{signature}"),
            format!("{header}.{}.{signature}", encoded("[]")),
            format!("{header}.{}.{signature}", encoded("no json")),
            format!("{header}.{}.{signature}", encoded("{}x")),
            format!("{header}.{}.{signature}", encoded(&"[".repeat(9000))),
            format!("{}.{claims}.{signature}", encoded("[\"ES256\"]")),
            format!("{}.{claims}.{signature}", encoded("{}")),
            format!("{}.{claims}.{signature}", encoded(r#"{"alg":"ES256","alg":"ES256"}"#)),
            format!("{}.{claims}.{signature}", encoded(r#"{"alg":["ES256"]}"#)),
            format!("{}.{claims}.{signature}", encoded(r#"{"alg":"ES256","kid":7}"#)),
        ] {
            assert_eq!(Unverified::read(&bad).unwrap_err(), Refusal::Malformed, "{bad}");
        }
        let long = format!("{good}{}", "A".repeat(MAX_LENGTH));
        assert_eq!(Unverified::read(&long).unwrap_err(), Refusal::TooLong { limit: MAX_LENGTH });
    }

    #[test]
    fn what_is_not_signed_with_a_private_key_is_not_read() {
        let read = |header: Value| {
            let token = format!("{}.c2ln", encode(&header, &json!({ "iss": "i" })));
            Unverified::read(&token).map(|_| ())
        };
        for alg in ["none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "hs256", "es256"]
        {
            let unsigned = format!("{}.", encode(&json!({ "alg": alg }), &json!({ "iss": "i" })));
            let refused = Unverified::read(&unsigned).unwrap_err();
            assert_eq!(refused, Refusal::UnknownAlgorithm, "{alg}");
            assert_eq!(read(json!({ "alg": alg })), Err(Refusal::UnknownAlgorithm), "{alg}");
        }
        for crit in [json!(["b64"]), json!([]), json!(null), json!("exp")] {
            let refused = read(json!({ "alg": "ES256", "crit": crit, "b64": false }));
            assert_eq!(refused, Err(Refusal::Critical));
        }
        for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", "JWE", ""] {
            assert_eq!(read(json!({ "alg": "ES256", "typ": typ })), Err(Refusal::Type), "{typ}");
        }
        for typ in ["JWT", "jwt", "application/jwt", "at+jwt", "JOSE"] {
            assert_eq!(read(json!({ "alg": "ES256", "typ": typ })), Ok(()), "{typ}");
        }
    }

    #[test]
    fn a_key_that_a_token_brings_along_is_not_used() {
        let (issuer, thief) = (Signer::new("ES256", "k"), Signer::new("ES256", "k"));
        let keys = KeySet::read(&json!({ "keys": [issuer.jwk()] })).unwrap();
        for header in [
            json!({ "alg": "ES256", "kid": "k", "jwk": thief.jwk() }),
            json!({ "alg": "ES256", "kid": "k", "jku": "https://thief.example/jwks" }),
            json!({ "alg": "ES256", "kid": "k", "x5u": "https://thief.example/cert" }),
            json!({ "alg": "ES256", "kid": "k", "x5c": ["AA"] }),
        ] {
            let token = thief.token_with(&header, &json!({ "iss": "i" }));
            let refused = Unverified::read(&token).unwrap().verify(&keys).unwrap_err();
            assert_eq!(refused, Refusal::Forged);
        }
    }

    #[test]
    fn one_token_has_one_mark_and_one_id_has_one_for_each_issuer() {
        let (one, other) = (json!({ "jti": "1", "n": 1 }), json!({ "jti": "1", "n": 2 }));
        assert_eq!(claims(one.clone()).mark("i"), claims(other).mark("i"));
        assert_ne!(claims(one.clone()).mark("i"), claims(one).mark("j"));
        assert_ne!(claims(json!({ "n": 1 })).mark("i"), claims(json!({ "n": 2 })).mark("i"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_stumble(text in ".{0,200}", parts in prop::collection::vec("[A-Za-z0-9_.=-]{0,40}", 0..5)) {
            prop_assert!(Unverified::read(&text).is_err());
            // Nor does what looks more like a token.
            prop_assert!(Unverified::read(&parts.join(".")).is_err());
        }

        #[test]
        fn whatever_is_changed_in_a_token_it_is_not_accepted(at in 0_usize..1000, to in "[A-Za-z0-9_-]") {
            let signer = testing::signer();
            let keys = KeySet::read(&json!({ "keys": [signer.jwk()] })).unwrap();
            let token = signer.token(&json!({ "iss": "i", "sub": "s", "exp": SECONDS }));
            let at = at % token.len();
            prop_assume!(token.as_bytes()[at] != b'.' && token[at..=at] != to);
            let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
            let accepted = Unverified::read(&changed).and_then(|token| token.verify(&keys));
            prop_assert!(accepted.is_err());
        }
    }
}
