//! Sealed text: what the server gives a browser to keep, and takes back only as it was.
//!
//! A seal both hides and authenticates (ChaCha20-Poly1305, RFC 8439), under a key that lives as
//! long as the process: what was sealed before a restart opens nothing after it.

use crate::ids;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::fmt;

/// Seals and opens. Its key is random and shown to nobody.
pub struct Seal(LessSafeKey);

impl Seal {
    /// A seal with a key of its own.
    ///
    /// # Panics
    /// See [`ids::secret`].
    pub fn new() -> Self {
        #[expect(clippy::expect_used, reason = "the key has the length that the algorithm wants")]
        let key = UnboundKey::new(&CHACHA20_POLY1305, &ids::secret()).expect("a key of 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Seals `plain` for one purpose: opened for another it is nothing. The text is base64url
    /// without padding, and 38 characters longer than that of `plain` alone, rounded up.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> String {
        // Random nonces of 96 bits repeat once in 2^48 seals of one key; a process that makes a
        // thousand a second gets there after nine thousand years.
        let nonce = ids::nonce();
        let mut text = plain.to_vec();
        let aad = Aad::from(purpose.as_bytes());
        #[expect(clippy::expect_used, reason = "only texts of 256 GiB are too long")]
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)
            .expect("short enough to be sealed");
        BASE64_URL_SAFE_NO_PAD.encode([&nonce[..], &text].concat())
    }

    /// What was sealed for `purpose`; `None` if this was not sealed by us, not for it, or was
    /// changed.
    pub fn open(&self, purpose: &str, text: &str) -> Option<Vec<u8>> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let aad = Aad::from(purpose.as_bytes());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.0.open_in_place(nonce, aad, &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

impl Default for Seal {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_purpose_alone() {
        let seal = Seal::new();
        for plain in [&b""[..], b"a secret", &[0; 4096]] {
            let text = seal.seal("sign-in", plain);
            assert_eq!(seal.open("sign-in", &text).as_deref(), Some(plain));
            assert_eq!(seal.open("device", &text), None);
            assert_eq!(Seal::new().open("sign-in", &text), None, "another process");
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        }
        assert!(!seal.seal("p", b"hunter2").contains("hunter2"));
        assert_ne!(seal.seal("p", b"a"), seal.seal("p", b"a"), "each has its own nonce");
    }

    #[test]
    fn what_was_changed_does_not_open() {
        let seal = Seal::new();
        let text = seal.seal("p", b"a secret");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open("p", &BASE64_URL_SAFE_NO_PAD.encode(changed)), None, "{at}");
            let cut = BASE64_URL_SAFE_NO_PAD.encode(&bytes[..at]);
            assert_eq!(seal.open("p", &cut), None, "{at}");
        }
        for bad in ["", "ä", "a b", &format!("{text}="), &format!(" {text}")] {
            assert_eq!(seal.open("p", bad), None, "{bad:?}");
        }
    }
}
