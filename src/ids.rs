//! The only maker of random values.
#![expect(clippy::disallowed_methods, reason = "this file owns the randomness")]

use octostore_actors::domain::{
    config::Incarnation,
    values::{AccountId, LeaseId},
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

/// A new request id, for requests that bring none.
pub fn request_id() -> Uuid {
    Uuid::new_v4()
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
