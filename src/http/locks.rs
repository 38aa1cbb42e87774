//! Locks over HTTP: acquire, release, renew, get, list.

use super::{
    Context, Reply,
    body::{self, BODY_LIMIT, Whole},
    delivery::Fragile,
    error::ApiError,
    json,
    router::{LockAction, RawName},
    wire::{NIL, Stamp},
};
use crate::{auth::Identity, ids, settings::HeldStatus};
use hyper::{StatusCode, body::Incoming};
use octostore_actors::domain::{
    account::scope::{Access, Area},
    lock::{Holder, Lease, LockCommand, LockOutcome},
    values::{AccountId, LeaseId, LockName, Metadata, Owner, Ttl},
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, time::Duration};
use uuid::Uuid;

/// `POST /locks/{name}/{action}`
pub async fn act(
    context: &Context<'_>,
    identity: &Identity,
    name: RawName<'_>,
    action: LockAction,
    body: Incoming,
) -> Result<Reply, ApiError> {
    let name = lock_name(name)?;
    let account = identity.may(Area::Locks, Access::Write, name.as_str())?;
    let bytes = context.read(identity, body, BODY_LIMIT).await?;
    let (command, ttl) = match action {
        LockAction::Acquire => acquire(identity, account, name.clone(), &bytes)?,
        LockAction::Release => (release(account, name.clone(), &bytes)?, None),
        LockAction::Renew => renew(account, name.clone(), &bytes)?,
    };
    let answer = context.service.locks.ask(command).await;
    context.service.counts.locks.count(&answer);
    let outcome = answer?;
    let reply = respond(context, identity, &name, ttl, &outcome);
    // If nobody can read of this lease, it must come back.
    if matches!(outcome, LockOutcome::Granted(_) | LockOutcome::Confirmed(_)) {
        context.delivery.holds(Fragile::Lock(outcome));
    }
    reply
}

/// `GET /locks/{name}`
pub async fn get(
    context: &Context<'_>,
    identity: &Identity,
    name: RawName<'_>,
) -> Result<Reply, ApiError> {
    let name = lock_name(name)?;
    identity.may(Area::Locks, Access::Read, name.as_str())?;
    let command = LockCommand::Get { name: name.clone() };
    let outcome = context.service.locks.look(command).await?;
    respond(context, identity, &name, None, &outcome)
}

/// `GET /locks`
pub async fn list(context: &Context<'_>, identity: &Identity) -> Result<Reply, ApiError> {
    let (account, selection) = context.visible(identity, Area::Locks)?;
    let command = LockCommand::List { account, selection };
    let outcome = context.service.locks.look(command).await?;
    let LockOutcome::Leases(page) = outcome else {
        unreachable!("a list is answered by a list");
    };
    let locks: Vec<_> = page.items.iter().map(|lease| LeaseBody::item(context, lease)).collect();
    let next = if page.more { page.items.last().map(|lease| lease.name.as_str()) } else { None };
    Ok(json(StatusCode::OK, &ListBody { locks, total: page.total, next }))
}

#[derive(Deserialize)]
pub(super) struct AcquireBody {
    ttl_seconds: Option<Whole>,
    metadata: Option<String>,
    owner: Option<String>,
}

fn acquire(
    identity: &Identity,
    account: AccountId,
    name: LockName,
    bytes: &[u8],
) -> Result<(LockCommand, Option<Ttl>), ApiError> {
    let asked: AcquireBody = body::parse(bytes)?;
    let ttl = ttl(asked.ttl_seconds)?;
    let command = LockCommand::Acquire {
        name,
        holder: Holder { account, owner: asked.owner.as_deref().map(Owner::new).transpose()? },
        ttl,
        lease: ids::lease_id(),
        metadata: asked.metadata.as_deref().map(Metadata::new).transpose()?,
        quota: identity.quotas().locks,
    };
    Ok((command, Some(ttl)))
}

#[derive(Deserialize)]
pub(super) struct ReleaseBody {
    lease_id: Option<String>,
}

fn release(account: AccountId, name: LockName, bytes: &[u8]) -> Result<LockCommand, ApiError> {
    let asked: ReleaseBody = body::parse(bytes)?;
    let lease = lease_id(asked.lease_id.as_deref())?;
    Ok(LockCommand::Release { name, account, lease })
}

#[derive(Deserialize)]
pub(super) struct RenewBody {
    lease_id: Option<String>,
    ttl_seconds: Option<Whole>,
}

fn renew(
    account: AccountId,
    name: LockName,
    bytes: &[u8],
) -> Result<(LockCommand, Option<Ttl>), ApiError> {
    let asked: RenewBody = body::parse(bytes)?;
    let lease = lease_id(asked.lease_id.as_deref())?;
    let ttl = ttl(asked.ttl_seconds)?;
    Ok((LockCommand::Renew { name, account, lease, ttl }, Some(ttl)))
}

fn respond(
    context: &Context<'_>,
    viewer: &Identity,
    name: &LockName,
    ttl: Option<Ttl>,
    outcome: &LockOutcome,
) -> Result<Reply, ApiError> {
    match outcome {
        LockOutcome::Granted(lease) | LockOutcome::Confirmed(lease) => {
            let renew_after = ttl.map(|ttl| ttl.as_duration() / 3);
            let body = LeaseBody::of(context, "acquired", lease, viewer, renew_after);
            Ok(json(StatusCode::OK, &body))
        }
        LockOutcome::Held(lease) => Ok(held(context, lease)),
        LockOutcome::Released => {
            Ok(json(StatusCode::OK, &ReleasedBody { status: "released", message: "Lock released" }))
        }
        LockOutcome::Status(Some(lease)) => {
            let body = LeaseBody::of(context, "held", lease, viewer, None);
            Ok(json(StatusCode::OK, &body))
        }
        LockOutcome::Status(None) => Ok(json(
            StatusCode::OK,
            &AvailableBody {
                status: "available",
                name: name.as_str(),
                message: "Lock not currently held",
            },
        )),
        LockOutcome::NotOwned => Err(ApiError::LockNotOwned),
        LockOutcome::OverQuota(quota) => Err(ApiError::LockLimit(*quota)),
        LockOutcome::NoRoom => Err(ApiError::StoreFull),
        LockOutcome::NoToken => Err(ApiError::NoToken),
        LockOutcome::Leases(_)
        | LockOutcome::ForceReleased(_)
        | LockOutcome::NotHeld
        | LockOutcome::Use(_) => unreachable!("nobody asks for that here"),
    }
}

/// Somebody else holds the lock: one body for readers of either document.
fn held(context: &Context<'_>, lease: &Lease) -> Reply {
    let holder = context.service.account_name(lease.holder.account);
    let expires_at = Stamp(context.service.calendar.print(lease.expires));
    let left = lease.expires.since(context.service.calendar.now());
    let body = HeldBody {
        status: "held",
        error: "Lock already held",
        code: "lock_held",
        holder_id: Uuid::from_bytes(*lease.holder.account.as_bytes()),
        expires_at,
        lock: HeldLock { name: lease.name.as_str(), holder: &holder, expires_at },
        metadata: lease.metadata.as_ref().map(Metadata::as_str),
        retry_after_ms: whole_millis(left).max(1),
        request_id: context.request_id.as_str(),
    };
    let status = match context.service.limits.held_status {
        HeldStatus::Conflict => StatusCode::CONFLICT,
        HeldStatus::Ok => StatusCode::OK,
    };
    json(status, &body)
}

#[derive(Serialize)]
struct HeldBody<'a> {
    status: &'static str,
    error: &'static str,
    code: &'static str,
    holder_id: Uuid,
    expires_at: Stamp,
    lock: HeldLock<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    retry_after_ms: u64,
    request_id: &'a str,
}

#[derive(Serialize)]
struct HeldLock<'a> {
    name: &'a str,
    holder: &'a str,
    expires_at: Stamp,
}

#[derive(Serialize)]
struct LeaseBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    name: &'a str,
    lease_id: Uuid,
    fencing_token: u64,
    expires_at: Stamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renew_after_ms: Option<u64>,
}

impl<'a> LeaseBody<'a> {
    /// The lease as `viewer` may see it: its id is a capability, and stays in the account.
    fn of(
        context: &Context<'_>,
        status: &'static str,
        lease: &'a Lease,
        viewer: &'a Identity,
        renew_after: Option<Duration>,
    ) -> Self {
        let holder = lease.holder.account;
        let (lease_id, name) = if viewer.account().id == holder {
            (*lease.id.as_bytes(), viewer.account().name.as_str().into())
        } else {
            (NIL, context.service.account_name(holder).into())
        };
        Self {
            status: Some(status),
            lease_id: Uuid::from_bytes(lease_id),
            holder: Some(name),
            holder_id: Some(Uuid::from_bytes(*holder.as_bytes())),
            renew_after_ms: renew_after.map(whole_millis),
            ..Self::item(context, lease)
        }
    }

    /// The lease in a list of the account's own.
    fn item(context: &Context<'_>, lease: &'a Lease) -> Self {
        Self {
            status: None,
            name: lease.name.as_str(),
            lease_id: Uuid::from_bytes(*lease.id.as_bytes()),
            fencing_token: lease.token.get(),
            expires_at: Stamp(context.service.calendar.print(lease.expires)),
            holder: None,
            holder_id: None,
            owner: lease.holder.owner.as_ref().map(Owner::as_str),
            metadata: lease.metadata.as_ref().map(Metadata::as_str),
            renew_after_ms: None,
        }
    }
}

#[derive(Serialize)]
struct ReleasedBody {
    status: &'static str,
    message: &'static str,
}

#[derive(Serialize)]
struct AvailableBody<'a> {
    status: &'static str,
    name: &'a str,
    message: &'static str,
}

#[derive(Serialize)]
struct ListBody<'a> {
    locks: Vec<LeaseBody<'a>>,
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

fn lock_name(raw: RawName<'_>) -> Result<LockName, ApiError> {
    // What is no UTF-8 is no name either.
    Ok(LockName::new(&raw.decode().unwrap_or_default())?)
}

fn ttl(seconds: Option<Whole>) -> Result<Ttl, ApiError> {
    let seconds = seconds.ok_or(ApiError::MissingField("ttl_seconds"))?;
    // Zero is as far out of bounds as what is no whole number.
    Ok(Ttl::from_seconds(seconds.as_u64().unwrap_or(0))?)
}

fn lease_id(text: Option<&str>) -> Result<LeaseId, ApiError> {
    let text = text.ok_or(ApiError::MissingField("lease_id"))?;
    // The one form that is documented, of the several the library reads.
    let uuid = if text.len() == 36 { Uuid::parse_str(text).ok() } else { None };
    uuid.map(|uuid| LeaseId::from_bytes(uuid.into_bytes())).ok_or(ApiError::LeaseId)
}

fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
