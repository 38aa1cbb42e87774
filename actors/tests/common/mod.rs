//! Short words for the values the tests speak of.

#![allow(dead_code, reason = "every test file uses some of it")]
#![expect(clippy::unwrap_used, reason = "values written down in tests are within their bounds")]

use octostore_actors::{
    domain::{
        audit::{AuditText, Provenance, Who},
        lock::{Holder, LockCommand},
        page::Selection,
        values::{
            AccountId, FencingToken, LeaseId, LockName, Metadata, Owner, Quota, TokenId, Ttl,
            WallTime,
        },
    },
    progress::Seq,
    time::Instant,
};
use std::time::Duration;

/// So many seconds after boot.
pub fn at(seconds: u64) -> Instant {
    at_ms(seconds * 1_000)
}

/// So many milliseconds after boot.
pub fn at_ms(millis: u64) -> Instant {
    Instant::from_nanos(0) + Duration::from_millis(millis)
}

pub fn name(text: &str) -> LockName {
    LockName::new(text).unwrap()
}

pub const fn account(number: u8) -> AccountId {
    AccountId::from_bytes([number; 16])
}

/// An account's holder without an owner.
pub const fn holder(number: u8) -> Holder {
    Holder { account: account(number), owner: None }
}

/// One owner of an account.
pub fn owner(number: u8, owner: &str) -> Holder {
    Holder { account: account(number), owner: Some(Owner::new(owner).unwrap()) }
}

pub fn lease_id(number: u64) -> LeaseId {
    LeaseId::from_bytes(u128::from(number).to_be_bytes())
}

pub fn ttl(seconds: u64) -> Ttl {
    Ttl::from_seconds(seconds).unwrap()
}

pub fn token(number: u64) -> FencingToken {
    FencingToken::new(number).unwrap()
}

pub fn metadata(text: &str) -> Metadata {
    Metadata::new(text).unwrap()
}

/// The place of the `number`th change.
pub fn seq(number: u64) -> Seq {
    (0..number).fold(Seq::NONE, |seq, _| seq.next())
}

/// The quota where none matters.
pub const QUOTA: Quota = Quota::new(100);

pub fn text(text: &str) -> AuditText {
    AuditText::new(text).unwrap()
}

/// A token of an account asks, at this time of the wall clock.
pub fn by(number: u8, millis: i64) -> Provenance {
    Provenance {
        who: Who::Token(account(number), TokenId::from_bytes([number; 16])),
        from: text("192.0.2.1"),
        request: text("request-1"),
        at: WallTime::from_millis(millis),
    }
}

/// Whoever has the key of the administrator asks.
pub fn by_admin(millis: i64) -> Provenance {
    Provenance { who: Who::AdminKey, ..by(0, millis) }
}

pub fn acquire(lock: &str, holder: Holder, seconds: u64, lease: u64) -> LockCommand {
    LockCommand::Acquire {
        name: name(lock),
        holder,
        ttl: ttl(seconds),
        lease: lease_id(lease),
        metadata: None,
        quota: QUOTA,
    }
}

pub fn release(lock: &str, account: AccountId, lease: LeaseId) -> LockCommand {
    LockCommand::Release { name: name(lock), account, lease }
}

pub fn renew(lock: &str, account: AccountId, lease: LeaseId, seconds: u64) -> LockCommand {
    LockCommand::Renew { name: name(lock), account, lease, ttl: ttl(seconds) }
}

pub fn force_release(lock: &str, reason: &str) -> LockCommand {
    LockCommand::ForceRelease { name: name(lock), reason: text(reason), by: by_admin(0) }
}

pub fn get(lock: &str) -> LockCommand {
    LockCommand::Get { name: name(lock) }
}

pub fn list(account: AccountId, selection: Selection) -> LockCommand {
    LockCommand::List { account, selection }
}
