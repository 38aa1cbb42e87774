//! What everybody who wants in has to pass: the bounds on failing, the administrator's key, and
//! whose word counts for where somebody comes from.

use super::{
    address::{Address, TrustedProxy},
    throttle::Throttle,
};
use crate::settings::Settings;
use octostore_actors::{domain::audit::Who, time::Instant};
use sha2::{Digest, Sha256};

/// How many wrong bearer tokens one address may show in a minute. Generous: a client that was
/// forgotten when its token was revoked goes on showing it.
const WRONG_TOKENS_A_MINUTE: u32 = 1000;

/// How many refusals the audit log takes in a minute of whoever is known, from all addresses together;
/// as many of strangers, who must not wash out what is said of the others; and as many sign-ins that
/// whoever has any token can repeat as often as he likes.
const NOTES_A_MINUTE: u32 = 600;

/// The bounds on failing, the administrator's key, and the proxies that are believed.
#[derive(Debug)]
pub struct Gate {
    /// Failed sign-ins.
    pub sign_ins: Throttle,
    /// Wrong bearer tokens.
    pub wrong_tokens: Throttle,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Box<[TrustedProxy]>,
    notes: Throttle,
    notes_of_strangers: Throttle,
    notes_of_sign_ins: Throttle,
    /// Compared by its hash, so that how long that takes says nothing about it.
    admin_key: Option<KeyHash>,
}

#[derive(PartialEq, Eq)]
struct KeyHash([u8; 32]);

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

impl Gate {
    /// The gate that the settings describe.
    pub fn new(settings: &Settings) -> Self {
        let key = settings.usable_admin_key();
        Self {
            sign_ins: Throttle::new(settings.failed_sign_ins),
            wrong_tokens: Throttle::new(WRONG_TOKENS_A_MINUTE),
            trusted_proxies: settings.trusted_proxies.clone().into(),
            notes: Throttle::new(NOTES_A_MINUTE),
            notes_of_strangers: Throttle::new(NOTES_A_MINUTE),
            notes_of_sign_ins: Throttle::new(NOTES_A_MINUTE),
            admin_key: key.map(|key| KeyHash(Sha256::digest(key.as_bytes()).into())),
        }
    }

    /// Whether this is the key of the administrator. Nothing is where none is set.
    pub fn is_admin_key(&self, shown: &[u8]) -> bool {
        self.admin_key.as_ref().is_some_and(|key| *key == KeyHash(Sha256::digest(shown).into()))
    }

    /// Whether the audit log takes another refusal, of `who`, at `now`.
    pub fn may_note_refusal(&self, who: Who, now: Instant) -> bool {
        let notes = match who {
            Who::Stranger => &self.notes_of_strangers,
            Who::Token(..) | Who::Account(_) | Who::AdminKey | Who::Server => &self.notes,
        };
        is_taken(notes, now)
    }

    /// Whether the audit log takes another sign-in with a token that there was before, at `now`.
    pub fn may_note_sign_in(&self, now: Instant) -> bool {
        is_taken(&self.notes_of_sign_ins, now)
    }
}

/// Whether there is room for one more, which is taken then.
fn is_taken(notes: &Throttle, now: Instant) -> bool {
    let taken = notes.check(&Address::Local, now).is_ok();
    if taken {
        notes.failed(&Address::Local, now);
    }
    taken
}
