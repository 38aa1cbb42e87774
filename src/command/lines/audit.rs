//! The audit log.

use super::{account_id, said};
use octostore_actors::domain::{
    audit::{AuditEntry, AuditId, AuditOutcome, AuditText, Provenance, Who},
    values::{TokenId, WallTime},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditLine {
    id: u64,
    at: i64,
    who: String,
    account: Option<Uuid>,
    token: Option<Uuid>,
    from: String,
    request_id: String,
    action: String,
    target: String,
    result: String,
    detail: Option<String>,
}

impl AuditLine {
    pub fn of(id: AuditId, entry: &AuditEntry) -> Self {
        let (account, token) = entry.by.who.parts();
        Self {
            id: id.0,
            at: entry.by.at.as_millis(),
            who: entry.by.who.as_str().into(),
            account: account.map(|account| Uuid::from_bytes(*account.as_bytes())),
            token: token.map(|token| Uuid::from_bytes(*token.as_bytes())),
            from: entry.by.from.as_str().into(),
            request_id: entry.by.request.as_str().into(),
            action: entry.action.as_str().into(),
            target: entry.target.as_str().into(),
            result: entry.outcome.as_str().into(),
            detail: entry.detail.as_ref().map(|detail| detail.as_str().into()),
        }
    }

    pub(super) fn read(self) -> Result<(AuditId, AuditEntry), String> {
        let who = match (self.account, self.token) {
            (Some(account), Some(token)) => {
                Some(Who::Token(account_id(account), TokenId::from_bytes(token.into_bytes())))
            }
            (Some(account), None) => Some(Who::Account(account_id(account))),
            (None, _) => [Who::AdminKey, Who::Stranger, Who::Server]
                .into_iter()
                .find(|who| who.as_str() == self.who),
        };
        let outcomes = [AuditOutcome::Done, AuditOutcome::Refused];
        let outcome = outcomes.into_iter().find(|outcome| outcome.as_str() == self.result);
        let entry = AuditEntry {
            by: Provenance {
                who: said("who", who.filter(|who| who.as_str() == self.who).ok_or("nobody known"))?,
                from: said("from", AuditText::new(&self.from))?,
                request: said("request_id", AuditText::new(&self.request_id))?,
                at: WallTime::from_millis(self.at),
            },
            action: said("action", self.action.parse())?,
            target: said("target", AuditText::new(&self.target))?,
            outcome: said("result", outcome.ok_or("neither ok nor refused"))?,
            detail: said("detail", self.detail.as_deref().map(AuditText::new).transpose())?,
        };
        Ok((AuditId(self.id), entry))
    }
}
