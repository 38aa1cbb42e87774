//! The words of the domains as types. Each can only be made from what its bounds allow, so a
//! machine never meets a name, a time to live or a token that could not be.

use std::{borrow::Borrow, fmt, num::NonZeroU16, sync::Arc, time::Duration};

/// Who pays for a lock: one account, by its UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId([u8; 16]);

/// One grant of one lock, by its UUID: whoever knows it in the account may release and renew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId([u8; 16]);

/// One bearer token, by its UUID: a name for it that opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId([u8; 16]);

/// The SHA-256 of a bearer token. The token itself is kept nowhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash([u8; 32]);

macro_rules! bytes {
    ($type:ident, $len:literal) => {
        impl $type {
            /// From its bytes.
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }
    };
}
bytes!(AccountId, 16);
bytes!(LeaseId, 16);
bytes!(TokenId, 16);
bytes!(TokenHash, 32);

/// Prints ids as UUIDs: lower case, hyphenated.
macro_rules! uuid_text {
    ($($type:ident),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for (index, byte) in self.0.iter().enumerate() {
                    let hyphen = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
                    write!(f, "{hyphen}{byte:02x}")?;
                }
                Ok(())
            }
        }
    )*};
}
uuid_text!(AccountId, LeaseId, TokenId);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// The name of a lock: 1 to 128 characters of `[A-Za-z0-9._-]` in one or more segments with
/// `/` between them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockName(Arc<str>);

/// Who in an account holds a lock: 1 to 128 characters of `[A-Za-z0-9._/:@-]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(Arc<str>);

/// What a holder wants others to know: at most 1,024 bytes of text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Metadata(Arc<str>);

/// The name of an account, as people read it: 1 to 128 characters, none of them a control
/// character.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(Arc<str>);

/// A newtype over `Arc<str>` that can only be made of what its bounds allow.
macro_rules! text {
    ($type:ident, $error:ident, $valid:expr, $message:literal) => {
        #[doc = concat!("Not a possible [`", stringify!($type), "`].")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[error($message)]
        pub struct $error;

        impl $type {
            /// Checks the bounds of the type.
            pub fn new(text: &str) -> Result<Self, $error> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.into())) } else { Err($error) }
            }

            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

/// Letters, digits, `_` and `-`.
pub(super) const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// The same and `.`.
pub(super) const fn is_name_byte(byte: u8) -> bool {
    is_word_byte(byte) || byte == b'.'
}

/// Segments of those, none of them empty, with `/` between them.
fn has_name_segments(text: &str) -> bool {
    let mut is_empty = true;
    for byte in text.bytes() {
        let ends = byte == b'/';
        if !(is_name_byte(byte) || ends && !is_empty) {
            return false;
        }
        is_empty = ends;
    }
    !is_empty
}

pub(super) use text;

text!(
    LockName,
    InvalidLockName,
    |text| (1..=128).contains(&text.len()) && has_name_segments(text),
    "a lock name has 1 to 128 characters of A-Z, a-z, 0-9, '.', '_' and '-', in segments with \
     '/' (sent as %2F) between them"
);
text!(
    Owner,
    InvalidOwner,
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|byte| is_name_byte(byte) || matches!(byte, b'/' | b':' | b'@')),
    "an owner has 1 to 128 characters of A-Z, a-z, 0-9, '.', '_', '-', '/', ':' and '@'"
);
text!(
    Metadata,
    InvalidMetadata,
    |text| text.len() <= 1024,
    "metadata is at most 1,024 bytes of UTF-8"
);
text!(
    AccountName,
    InvalidAccountName,
    |text| (1..=128).contains(&text.chars().count()) && !text.chars().any(char::is_control),
    "an account name has 1 to 128 characters, none of them a control character"
);

/// How long a lease lasts: 1 to 3,600 whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(NonZeroU16);

/// Not a possible [`Ttl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("TTL must be between 1 and 3600 seconds")]
pub struct InvalidTtl;

impl Ttl {
    /// The longest: one hour.
    pub const MAX_SECONDS: u16 = 3600;

    /// Checks the bounds.
    pub fn from_seconds(seconds: u64) -> Result<Self, InvalidTtl> {
        u16::try_from(seconds)
            .ok()
            .filter(|&seconds| seconds <= Self::MAX_SECONDS)
            .and_then(NonZeroU16::new)
            .map(Self)
            .ok_or(InvalidTtl)
    }

    /// Whole seconds.
    pub const fn as_seconds(self) -> u16 {
        self.0.get()
    }

    /// As a span of time.
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0.get()))
    }
}

/// A number that rises with every grant of every lock, so that what the lock guards can refuse
/// whoever comes with a lower one than it has seen. At most 2^53 − 1: any JSON reader keeps it
/// exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FencingToken(u64);

impl FencingToken {
    /// Before the first.
    pub const ZERO: Self = Self(0);
    /// The last there can be.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// `None` above [`FencingToken::MAX`].
    pub fn new(number: u64) -> Option<Self> {
        (number <= Self::MAX.0).then_some(Self(number))
    }

    /// As a number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The token `count` further on, or the last there can be.
    #[must_use]
    pub fn saturating_add(self, count: u64) -> Self {
        Self(self.0.saturating_add(count)).min(Self::MAX)
    }
}

/// How many of something an account may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quota(u32);

impl Quota {
    /// At most `most` of them.
    pub const fn new(most: u32) -> Self {
        Self(most)
    }

    /// As a number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A time of the wall clock, in milliseconds since 1970: what people read in `created_at`. Nothing
/// is decided by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(i64);

impl WallTime {
    /// From milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// In milliseconds since 1970.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// So many seconds later, or the end of time.
    #[must_use]
    pub const fn plus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_add_unsigned(seconds.saturating_mul(1000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_names_have_an_alphabet_segments_and_a_length() {
        let long = "x".repeat(128);
        for good in ["a", "A-b_c.9", "a/b", "jobs/nightly/eu-1", "..", &long] {
            assert_eq!(LockName::new(good).unwrap().as_str(), good);
        }
        let too_long = "x".repeat(129);
        for bad in ["", "/", "a/", "/a", "a//b", "a b", "a\0", "ä", "a%2Fb", "a:b", &too_long] {
            assert_eq!(LockName::new(bad), Err(InvalidLockName), "{bad:?}");
        }
    }

    #[test]
    fn owners_may_name_a_host_and_a_user() {
        for good in ["pod-1", "user@host:42", "ns/pod"] {
            assert_eq!(Owner::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "ö", "a,b"] {
            assert_eq!(Owner::new(bad), Err(InvalidOwner), "{bad:?}");
        }
    }

    #[test]
    fn metadata_is_bounded_in_bytes() {
        assert!(Metadata::new("").is_ok());
        assert!(Metadata::new(&"ä".repeat(512)).is_ok());
        assert_eq!(Metadata::new(&"ä".repeat(513)), Err(InvalidMetadata));
    }

    #[test]
    fn a_ttl_is_one_second_to_one_hour() {
        assert_eq!(Ttl::from_seconds(0), Err(InvalidTtl));
        assert_eq!(Ttl::from_seconds(3601), Err(InvalidTtl));
        assert_eq!(Ttl::from_seconds(65_537), Err(InvalidTtl));
        let longest = Ttl::from_seconds(3600).unwrap();
        assert_eq!(
            (longest.as_seconds(), longest.as_duration()),
            (3600, Duration::from_secs(3600))
        );
    }

    #[test]
    fn a_fencing_token_is_exact_in_any_json_reader() {
        assert_eq!(FencingToken::new(1 << 53), None);
        assert_eq!(FencingToken::MAX.saturating_add(1), FencingToken::MAX);
        assert_eq!(FencingToken::ZERO.saturating_add(5).get(), 5);
    }

    #[test]
    fn a_wall_time_ends_with_the_end_of_time() {
        let (early, end) = (WallTime::from_millis(-5), WallTime::from_millis(i64::MAX));
        assert_eq!(early.plus_seconds(2), WallTime::from_millis(1_995));
        assert_eq!(early.plus_seconds(u64::MAX), end);
        assert_eq!(end.plus_seconds(1), end);
    }

    #[test]
    fn a_token_hash_does_not_print_itself() {
        assert_eq!(format!("{:?}", TokenHash::from_bytes([7; 32])), "TokenHash(…)");
    }
}
