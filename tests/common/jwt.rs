//! Issuers' keys, and tokens signed with them, right ones and wrong ones. The signing is another
//! implementation's than the verifying.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair,
    },
};
use rsa::{RsaPrivateKey, pkcs1::EncodeRsaPrivateKey, traits::PublicKeyParts};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// A key pair of an issuer.
pub struct Signer {
    alg: String,
    kid: String,
    private: EncodingKey,
    /// The public key, as a JSON Web Key.
    jwk: Value,
}

impl Signer {
    /// A new one for this algorithm. RSA keys take long to find: there are two of them, for even
    /// and odd lengths of `kid`.
    pub fn new(alg: &str, kid: &str) -> Self {
        let random = SystemRandom::new();
        let (private, mut jwk) = match alg {
            "ES256" => {
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
                let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
                let jwk = ec("P-256", pair.public_key().as_ref());
                (EncodingKey::from_ec_der(pkcs8.as_ref()), jwk)
            }
            "ES384" => {
                let algorithm = &ECDSA_P384_SHA384_FIXED_SIGNING;
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
                let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
                let jwk = ec("P-384", pair.public_key().as_ref());
                (EncodingKey::from_ec_der(pkcs8.as_ref()), jwk)
            }
            "EdDSA" => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
                let x = base64url(pair.public_key().as_ref());
                let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
                (EncodingKey::from_ed_der(pkcs8.as_ref()), jwk)
            }
            _ => {
                let pair = &RSA[kid.len() % 2];
                let der = pair.to_pkcs1_der().unwrap();
                let n = base64url(&pair.n().to_bytes_be());
                let e = base64url(&pair.e().to_bytes_be());
                let jwk = json!({ "kty": "RSA", "n": n, "e": e });
                (EncodingKey::from_rsa_der(der.as_bytes()), jwk)
            }
        };
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(alg);
        jwk["kid"] = json!(kid);
        Self { alg: alg.to_owned(), kid: kid.to_owned(), private, jwk }
    }

    /// The public key, as a JSON Web Key.
    pub fn jwk(&self) -> Value {
        self.jwk.clone()
    }

    /// A token that says this.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({ "alg": self.alg, "kid": self.kid, "typ": "JWT" }), claims)
    }

    /// A token with this header. It is signed as `alg` says, or else as the key is meant for.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let signed = encode(header, claims);
        let alg = header["alg"].as_str().unwrap_or_default();
        let alg = if alg.parse::<jsonwebtoken::Algorithm>().is_ok() { alg } else { &self.alg };
        let signature = self.sign(alg, signed.as_bytes());
        format!("{signed}.{}", base64url(&signature))
    }

    /// A signature.
    pub fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let signature =
            jsonwebtoken::crypto::sign(message, &self.private, alg.parse().unwrap()).unwrap();
        URL_SAFE_NO_PAD.decode(signature).unwrap()
    }
}

/// What is signed of a token.
pub fn encode(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

fn ec(curve: &str, point: &[u8]) -> Value {
    let (x, y) = point[1..].split_at(point.len() / 2);
    json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

static RSA: LazyLock<[RsaPrivateKey; 2]> =
    LazyLock::new(|| [0, 1].map(|_| RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap()));
