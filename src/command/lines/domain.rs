//! Locks, rate limits, flags and configuration.

use super::{account_id, counted, said, there};
use crate::http::{MAX_DEPTH, depth};
use octostore_actors::{
    domain::{
        config::{ConfigKey, Description, Entry, Incarnation, Value, Version},
        flag::{Flag, FlagName, Percentage},
        limiter::{Admitted, LimitName, MaxRequests, Policy, Reservation, Window},
        lock::{Holder, Lease},
        values::{FencingToken, LeaseId, LockName, Metadata, Owner, Ttl, WallTime},
    },
    time::Instant,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use uuid::Uuid;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockLine {
    name: String,
    account: Uuid,
    #[serde(deserialize_with = "there")]
    owner: Option<String>,
    lease_id: Uuid,
    fencing_token: u64,
    ttl_seconds: u16,
    expires: u64,
    #[serde(deserialize_with = "there")]
    metadata: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitLine {
    account: Uuid,
    name: String,
    max_requests: u32,
    window_seconds: u32,
    horizon_seconds: u32,
    /// When, and how many.
    admitted: Vec<(u64, u32)>,
    credit: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagLine {
    account: Uuid,
    name: String,
    enabled: bool,
    #[serde(deserialize_with = "there")]
    percentage: Option<u64>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigLine {
    account: Uuid,
    key: String,
    version: u64,
    incarnation: Uuid,
    value: String,
    #[serde(deserialize_with = "there")]
    description: Option<String>,
    created_at: i64,
    updated_at: i64,
}

impl LockLine {
    pub fn of(lease: &Lease) -> Self {
        Self {
            name: lease.name.as_str().into(),
            account: Uuid::from_bytes(*lease.holder.account.as_bytes()),
            owner: lease.holder.owner.as_ref().map(|owner| owner.as_str().into()),
            lease_id: Uuid::from_bytes(*lease.id.as_bytes()),
            fencing_token: lease.token.get(),
            ttl_seconds: lease.ttl.as_seconds(),
            expires: lease.expires.as_nanos(),
            metadata: lease.metadata.as_ref().map(|metadata| metadata.as_str().into()),
        }
    }

    pub(super) fn read(self) -> Result<Lease, String> {
        let Self { name, owner, metadata, .. } = &self;
        Ok(Lease {
            name: said("name", LockName::new(name))?,
            holder: Holder {
                account: account_id(self.account),
                owner: said("owner", owner.as_deref().map(Owner::new).transpose())?,
            },
            id: LeaseId::from_bytes(self.lease_id.into_bytes()),
            token: said("fencing_token", FencingToken::new(self.fencing_token).ok_or("too high"))?,
            ttl: said("ttl_seconds", Ttl::from_seconds(self.ttl_seconds.into()))?,
            expires: Instant::from_nanos(self.expires),
            metadata: said("metadata", metadata.as_deref().map(Metadata::new).transpose())?,
        })
    }
}

impl LimitLine {
    pub fn of(row: &Reservation) -> Self {
        Self {
            account: Uuid::from_bytes(*row.account.as_bytes()),
            name: row.name.as_str().into(),
            max_requests: row.policy.max_requests.get(),
            window_seconds: row.policy.window.as_seconds(),
            horizon_seconds: row.horizon.as_seconds(),
            admitted: row.admitted.iter().map(|one| (one.at.as_nanos(), one.count)).collect(),
            credit: row.credit,
        }
    }

    pub(super) fn read(self) -> Result<Reservation, String> {
        let admitted: Vec<Admitted> = self
            .admitted
            .iter()
            .map(|&(at, count)| Admitted { at: Instant::from_nanos(at), count })
            .collect();
        let in_order = admitted.is_sorted_by_key(|admitted| admitted.at);
        Ok(Reservation {
            account: account_id(self.account),
            name: said("name", LimitName::new(&self.name))?,
            policy: Policy {
                max_requests: said("max_requests", MaxRequests::new(self.max_requests.into()))?,
                window: said("window_seconds", Window::from_seconds(self.window_seconds.into()))?,
            },
            horizon: said("horizon_seconds", Window::from_seconds(self.horizon_seconds.into()))?,
            admitted: said("admitted", in_order.then_some(admitted).ok_or("not in order"))?,
            credit: self.credit,
        })
    }
}

impl FlagLine {
    pub fn of(flag: &Flag) -> Self {
        Self {
            account: Uuid::from_bytes(*flag.account.as_bytes()),
            name: flag.name.as_str().into(),
            enabled: flag.enabled,
            percentage: flag.percentage.map(|percentage| percentage.get().into()),
            created_at: flag.created_at.as_millis(),
            updated_at: flag.updated_at.as_millis(),
        }
    }

    pub(super) fn read(self) -> Result<Flag, String> {
        Ok(Flag {
            account: account_id(self.account),
            name: said("name", FlagName::new(&self.name))?,
            enabled: self.enabled,
            percentage: said("percentage", self.percentage.map(Percentage::new).transpose())?,
            created_at: WallTime::from_millis(self.created_at),
            updated_at: WallTime::from_millis(self.updated_at),
        })
    }
}

impl ConfigLine {
    pub fn of(entry: &Entry) -> Self {
        Self {
            account: Uuid::from_bytes(*entry.account.as_bytes()),
            key: entry.key.as_str().into(),
            version: entry.version.get(),
            incarnation: Uuid::from_bytes(entry.incarnation.0),
            value: entry.value.as_json().into(),
            description: entry.description.as_ref().map(|text| text.as_str().into()),
            created_at: entry.created_at.as_millis(),
            updated_at: entry.updated_at.as_millis(),
        }
    }

    pub(super) fn read(self) -> Result<Entry, String> {
        let description = self.description.as_deref().map(Description::new).transpose();
        Ok(Entry {
            account: account_id(self.account),
            key: said("key", ConfigKey::new(&self.key))?,
            incarnation: Incarnation(self.incarnation.into_bytes()),
            version: said(
                "version",
                counted(self.version).and_then(|version| Version::new(version).ok_or("from 1")),
            )?,
            value: value(&self.value)?,
            description: said("description", description)?,
            created_at: WallTime::from_millis(self.created_at),
            updated_at: WallTime::from_millis(self.updated_at),
        })
    }
}

/// A value of the configuration: answers hold it as it stands, so it must be JSON.
fn value(text: &str) -> Result<Value, String> {
    said("value", serde_json::from_str::<IgnoredAny>(text))?;
    if depth(text) > MAX_DEPTH {
        return Err(format!("value: nested at most {MAX_DEPTH} deep"));
    }
    let value = Value::from_json(text).ok_or_else(|| format!("at most {} bytes", Value::MAX_BYTES));
    said("value", value)
}
