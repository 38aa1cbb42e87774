//! The only maker of random values.
#![expect(clippy::disallowed_methods, reason = "this file owns the randomness")]

use octostore_actors::domain::{
    config::Incarnation,
    values::{AccountId, LeaseId, TokenId},
};
use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};
use uuid::Uuid;

/// A new lease id: 122 random bits, so that nobody guesses another's.
pub fn lease_id() -> LeaseId {
    LeaseId::from_bytes(Uuid::new_v4().into_bytes())
}

/// A new incarnation of a config key.
pub fn incarnation() -> Incarnation {
    Incarnation(Uuid::new_v4().into_bytes())
}

/// A new account id.
pub fn account_id() -> AccountId {
    AccountId::from_bytes(Uuid::new_v4().into_bytes())
}

/// A new token id.
pub fn token_id() -> TokenId {
    TokenId::from_bytes(Uuid::new_v4().into_bytes())
}

/// A new request id, for requests that bring none: unlike any other of this process, and as good
/// as unlike any of another.
pub fn request_id() -> RequestIdText {
    /// What all of this process begin with.
    static PROCESS: LazyLock<[u8; 33]> = LazyLock::new(|| {
        let mut text = [b'-'; 33];
        put_hex(&mut text[..16], Uuid::new_v4().as_u64_pair().1);
        text
    });
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut text = *PROCESS;
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    // Eight digits are enough for the first four thousand million.
    let digits = if next >> 32 == 0 { 8 } else { 16 };
    put_hex(&mut text[17..17 + digits], next);
    RequestIdText { text, length: 17 + digits }
}

/// A request id: hexadecimal digits and a hyphen.
#[derive(Clone, Copy, Debug)]
pub struct RequestIdText {
    text: [u8; 33],
    length: usize,
}

impl RequestIdText {
    /// Its characters.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

/// The last digits of `number`, as many as there are places.
fn put_hex(places: &mut [u8], number: u64) {
    let mut left = number;
    for place in places.iter_mut().rev() {
        *place = b"0123456789abcdef"[(left & 15) as usize];
        left >>= 4;
    }
}

/// 256 random bits from the operating system.
///
/// # Panics
/// If the operating system has no randomness to give: there is nothing sensible to do then.
pub fn secret() -> [u8; 32] {
    let mut bytes = [0; 32];
    #[expect(clippy::expect_used, reason = "a secret that is not random must never be handed out")]
    getrandom::fill(&mut bytes).expect("the operating system gives no randomness");
    bytes
}

/// 96 random bits from the operating system, for one message under one key.
///
/// # Panics
/// As [`secret`].
pub fn nonce() -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes.copy_from_slice(&secret()[..12]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_hexadecimal_and_differ() {
        let mut places = [0; 8];
        put_hex(&mut places, 0x1_89ab_cdef);
        assert_eq!(&places, b"89abcdef", "the last digits");
        let (first, second) = (request_id(), request_id());
        assert_ne!(first.as_bytes(), second.as_bytes());
        assert_eq!((first.as_bytes().len(), first.as_bytes()[16]), (25, b'-'));
    }
}
