//! Bearer tokens: made once, shown once, known by their hash ever after.

use crate::ids;
use octostore_actors::domain::values::TokenHash;
use sha2::{Digest, Sha256};
use std::fmt;

/// A bearer token in clear. It prints nowhere: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

impl BearerToken {
    /// The longest token that is looked at.
    pub const MAX_LENGTH: usize = 512;

    /// A new one: `octo_`, 256 random bits, and a checksum by which a scanner for leaked
    /// secrets knows it.
    pub fn generate() -> Self {
        let secret = hex(&ids::secret());
        let checksum = hex(&Sha256::digest(secret.as_bytes())[..4]);
        Self(format!("octo_{secret}{checksum}"))
    }

    /// One that the configuration gives: 1 to 512 visible ASCII characters, as they can be sent
    /// in a header.
    pub fn from_configuration(text: &str) -> Option<Self> {
        let sendable = text.bytes().all(|byte| byte.is_ascii_graphic());
        ((1..=Self::MAX_LENGTH).contains(&text.len()) && sendable).then(|| Self(text.to_owned()))
    }

    /// Whether `text` could be one that [`BearerToken::generate`] has made, and no other secret.
    pub fn is_generated(text: &str) -> bool {
        text.strip_prefix("octo_").and_then(|rest| rest.split_at_checked(64)).is_some_and(
            |(secret, checksum)| checksum == hex(&Sha256::digest(secret.as_bytes())[..4]),
        )
    }

    /// What it is kept as.
    pub fn hash(&self) -> TokenHash {
        Self::hash_of(self.0.as_bytes())
    }

    /// What a presented token would be kept as.
    pub fn hash_of(presented: &[u8]) -> TokenHash {
        TokenHash::from_bytes(Sha256::digest(presented).into())
    }

    /// The token in clear, for the one who is to have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_token_is_long_random_and_checkable() {
        let (one, two) = (BearerToken::generate(), BearerToken::generate());
        assert_ne!(one, two);
        let text = one.reveal();
        assert_eq!(text.len(), 5 + 64 + 8);
        assert!(BearerToken::is_generated(text));
        for other in
            ["", "octo_", &text[1..], &text[..76], &format!("{text}0"), &format!(" {text}")]
        {
            assert!(!BearerToken::is_generated(other), "{other}");
        }
        let wrong = if text.ends_with('0') { '1' } else { '0' };
        assert!(!BearerToken::is_generated(&format!("{}{wrong}", &text[..76])));
        assert_eq!(BearerToken::hash_of(text.as_bytes()), one.hash());
    }

    #[test]
    fn a_token_does_not_print_itself() {
        let token = BearerToken::from_configuration("hunter2").unwrap();
        assert!(!format!("{token:?}").contains("hunter2"));
    }

    #[test]
    fn a_configured_token_can_be_sent_in_a_header() {
        for bad in ["", "a b", "ä", "tab\t", &"x".repeat(513)] {
            assert!(BearerToken::from_configuration(bad).is_none(), "{bad:?}");
        }
    }
}
