//! The two codes of a terminal that wants in (RFC 8628, section 3.2): one that it keeps to itself,
//! and one that a person types.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// What a terminal keeps to itself, in clear: 256 random bits as base64url. It prints nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceCode(String);

impl DeviceCode {
    /// The code of these random bits.
    pub fn of(random: [u8; 32]) -> Self {
        Self(BASE64_URL_SAFE_NO_PAD.encode(random))
    }

    /// What it is kept as.
    pub fn id(&self) -> DeviceId {
        DeviceId::of(&self.0)
    }

    /// The code in clear, for the terminal.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DeviceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceCode(…)")
    }
}

/// The hash of a [`DeviceCode`], which is all that the server keeps of it. Looked up by it, a
/// wrong code takes as long as a right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceId([u8; 32]);

impl DeviceId {
    /// What a presented code would be kept as.
    pub fn of(presented: &str) -> Self {
        Self(Sha256::digest(presented.as_bytes()).into())
    }
}

/// What a person types: eight letters, none of them a vowel, so that they spell nothing. Written
/// `XXXX-XXXX`. Whoever knows it can let the terminal in as himself: `Debug` hides it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserCode([u8; Self::LENGTH]);

impl UserCode {
    const LENGTH: usize = 8;

    /// As RFC 8628, section 6.1, proposes: 20 letters, so 34.5 bits in eight of them.
    const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

    /// A code of these random bits. Of two codes none is likelier: 20^8 is so far below 2^128
    /// that what does not divide evenly makes no difference.
    pub fn of(random: [u8; 32]) -> Self {
        let (half, _) = random.split_at(16);
        let mut number = half.iter().fold(0_u128, |number, &byte| number << 8 | u128::from(byte));
        Self(std::array::from_fn(|_| {
            let letter = Self::LETTERS[(number % 20) as usize];
            number /= 20;
            letter
        }))
    }
}

/// Not a [`UserCode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a code has eight letters, as in WDJB-MJHT")]
pub struct InvalidUserCode;

/// In any case, and with anything between the letters that is no letter or digit.
impl FromStr for UserCode {
    type Err = InvalidUserCode;

    fn from_str(text: &str) -> Result<Self, InvalidUserCode> {
        let mut letters = text.chars().filter(|c| c.is_alphanumeric());
        let mut code = [0; Self::LENGTH];
        for place in &mut code {
            let letter = letters.next().ok_or(InvalidUserCode)?.to_ascii_uppercase();
            *place = u8::try_from(letter)
                .ok()
                .filter(|letter| Self::LETTERS.contains(letter))
                .ok_or(InvalidUserCode)?;
        }
        if letters.next().is_none() { Ok(Self(code)) } else { Err(InvalidUserCode) }
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at(Self::LENGTH / 2);
        write!(f, "{}-{}", first.escape_ascii(), second.escape_ascii())
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(first: u8) -> [u8; 32] {
        std::array::from_fn(|at| first.wrapping_mul(31).wrapping_add(at as u8 * 7))
    }

    #[test]
    fn a_user_code_is_read_however_it_is_typed() {
        let code: UserCode = "WDJB-MJHT".parse().unwrap();
        for typed in ["wdjbmjht", " WDJB MJHT\n", "wDjB–mJhT", "W.D.J.B.M.J.H.T", "WDJB--MJHT-"] {
            assert_eq!(typed.parse(), Ok(code), "{typed:?}");
        }
        assert_eq!(code.to_string(), "WDJB-MJHT");
        for bad in
            ["", "WDJB-MJH", "WDJB-MJHTT", "WDJB-MJHA", "WDJB-MJH1", "WDJB-MJHŤ", "ｗDJB-MJHT"]
        {
            assert_eq!(bad.parse::<UserCode>(), Err(InvalidUserCode), "{bad:?}");
        }
    }

    #[test]
    fn a_user_code_reads_as_it_is_written_and_has_letters_of_the_alphabet_alone() {
        let mut seen = std::collections::HashSet::new();
        for first in 0..=255 {
            let code = UserCode::of(random(first));
            assert_eq!(code.to_string().parse(), Ok(code));
            assert!(code.0.iter().all(|letter| UserCode::LETTERS.contains(letter)));
            assert!(seen.insert(code));
        }
        let every_letter: std::collections::HashSet<u8> = seen.iter().flat_map(|c| c.0).collect();
        assert_eq!(every_letter.len(), 20);
    }

    #[test]
    fn a_device_code_has_256_bits_and_is_known_by_its_hash() {
        let (one, two) = (DeviceCode::of(random(1)), DeviceCode::of(random(2)));
        assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(one.reveal()).unwrap(), random(1));
        assert_eq!(DeviceId::of(one.reveal()), one.id());
        assert_ne!(one.id(), two.id());
    }

    #[test]
    fn codes_do_not_print_themselves() {
        let code = DeviceCode::of(random(1));
        assert!(!format!("{code:?}").contains(code.reveal()));
        let code = UserCode::of(random(1));
        assert!(!format!("{code:?}").contains(&code.to_string()));
    }
}
