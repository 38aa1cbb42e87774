//! What is on disk, as the reference and the subject both see it.

use crate::common::text;
use octostore_actors::domain::{
    audit::{Action, AuditEntry, AuditOutcome, AuditText, Provenance},
    lock::Lease,
    page::{Page, PageLimit, Selection},
    values::{AccountId, LockName},
};
use std::collections::BTreeMap;

/// What is on disk, or would be.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    pub locks: BTreeMap<LockName, Lease>,
    pub mark: u64,
    pub log: Vec<AuditEntry>,
}

/// What is said of the end of `lease` by the word of an administrator.
pub fn ended_by_force(lease: &Lease, reason: &AuditText, by: Provenance) -> AuditEntry {
    let (holder, token) = (lease.holder.account, lease.token.get());
    AuditEntry {
        by,
        action: Action::LockForceRelease,
        target: text(lease.name.as_str()),
        outcome: AuditOutcome::Done,
        detail: Some(text(&format!("of {holder}, token {token}: {reason}"))),
    }
}

/// How many locks an account holds.
pub fn holding(rows: &Rows, account: AccountId) -> usize {
    rows.locks.values().filter(|lease| lease.holder.account == account).count()
}

/// One page of an account's leases.
pub fn page(rows: &Rows, account: AccountId, selection: &Selection) -> Page<Lease> {
    let mut all: Vec<_> = rows
        .locks
        .values()
        .filter(|lease| lease.holder.account == account)
        .filter(|lease| lease.name.as_str().starts_with(&*selection.prefix))
        .cloned()
        .collect();
    all.sort_by_key(|lease| lease.name.to_string());
    let total = all.len();
    if let Some(after) = &selection.after {
        all.retain(|lease| lease.name.as_str() > &**after);
    }
    let limit = (1..=1_000).find(|&limit| PageLimit::new(limit) == Some(selection.limit));
    let limit = usize::from(limit.unwrap());
    Page { more: all.len() > limit, items: all.into_iter().take(limit).collect(), total }
}
