//! Locks over HTTP: acquire, release, renew, get, list.

use super::{
    Context, Reply,
    body::{self, BODY_LIMIT, Whole},
    delivery::Fragile,
    error::ApiError,
    json_object,
    listing::Listed,
    object::Object,
    router::{LockAction, RawName},
    wire::{NIL, Stamp},
};
use crate::{app::Service, auth::Identity, ids, settings::HeldStatus};
use hyper::{StatusCode, body::Incoming};
use octostore_actors::domain::{
    account::scope::{Access, Area},
    lock::{Holder, Lease, LockCommand, LockOutcome},
    page::{Page, Selection},
    values::{AccountId, LeaseId, LockName, Metadata, Owner, Ttl},
};
use serde::Deserialize;
use std::time::Duration;
use uuid::Uuid;

/// `POST /locks/{name}/{action}`
pub async fn act(
    context: &Context<'_>,
    identity: &Identity,
    name: RawName<'_>,
    action: LockAction,
    body: &mut Incoming,
) -> Result<Reply, ApiError> {
    let name = lock_name(name)?;
    let account = identity.may(Area::Locks, Access::Write, name.as_str())?;
    let bytes = context.read(identity, body, BODY_LIMIT).await?;
    let (command, ttl) = match action {
        LockAction::Acquire => acquire(identity, account, name, &bytes)?,
        LockAction::Release => (release(account, name, &bytes)?, None),
        LockAction::Renew => renew(account, name, &bytes)?,
    };
    let answer = context.service.locks.ask(command).await;
    context.service.counts.locks.count(&answer);
    let outcome = answer?;
    let reply = respond(context, identity, ttl, &outcome);
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
    let LockOutcome::Status(lease) = context.service.locks.look(command).await? else {
        unreachable!("a look is answered by what is there");
    };
    let body = match lease {
        Some(lease) => lease_body(context, "held", &lease, identity, None),
        None => Object::new()
            .with("status", "available")
            .with("name", name.as_str())
            .with("message", "Lock not currently held"),
    };
    Ok(json_object(StatusCode::OK, body))
}

/// The locks of an account.
pub struct Locks;

impl Listed for Locks {
    type Item = Lease;
    const AREA: Area = Area::Locks;
    const KEY: &'static str = "locks";
    const TELLS_TOTAL: bool = true;

    async fn page(
        service: &Service,
        account: AccountId,
        selection: Selection,
    ) -> Result<Page<Lease>, ApiError> {
        let outcome = service.locks.look(LockCommand::List { account, selection }).await?;
        let LockOutcome::Leases(page) = outcome else {
            unreachable!("a list is answered by a list");
        };
        Ok(page)
    }

    fn name(lease: &Lease) -> &str {
        lease.name.as_str()
    }

    fn object(service: &Service, lease: &Lease) -> Object {
        with_notes(with_lease(service, Object::new(), lease, lease.id), lease)
    }
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
    ttl: Option<Ttl>,
    outcome: &LockOutcome,
) -> Result<Reply, ApiError> {
    match outcome {
        LockOutcome::Granted(lease) | LockOutcome::Confirmed(lease) => {
            let renew_after = ttl.map(|ttl| ttl.as_duration() / 3);
            Ok(json_object(
                StatusCode::OK,
                lease_body(context, "acquired", lease, viewer, renew_after),
            ))
        }
        LockOutcome::Held(lease) => Ok(held(context, lease)),
        LockOutcome::Released => {
            let body = Object::new().with("status", "released").with("message", "Lock released");
            Ok(json_object(StatusCode::OK, body))
        }
        LockOutcome::NotOwned => Err(ApiError::LockNotOwned),
        LockOutcome::OverQuota(quota) => Err(ApiError::LockLimit(*quota)),
        LockOutcome::NoRoom => Err(ApiError::StoreFull),
        LockOutcome::NoToken => Err(ApiError::NoToken),
        LockOutcome::Status(_)
        | LockOutcome::Leases(_)
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
    let body = Object::new()
        .with("status", "held")
        .with("error", "Lock already held")
        .with("code", "lock_held")
        .with("holder_id", Uuid::from_bytes(*lease.holder.account.as_bytes()))
        .with("expires_at", expires_at)
        .with(
            "lock",
            Object::new()
                .with("name", lease.name.as_str())
                .with("holder", &*holder)
                .with("expires_at", expires_at),
        )
        .with_some("metadata", lease.metadata.as_ref().map(Metadata::as_str))
        .with("retry_after_ms", millis_at_least(left).max(1))
        .with("request_id", context.request_id.as_str());
    let status = match context.service.limits.held_status {
        HeldStatus::Conflict => StatusCode::CONFLICT,
        HeldStatus::Ok => StatusCode::OK,
    };
    json_object(status, body)
}

/// The lease as `viewer` may see it: its id is a capability, and stays in the account.
fn lease_body(
    context: &Context<'_>,
    status: &'static str,
    lease: &Lease,
    viewer: &Identity,
    renew_after: Option<Duration>,
) -> Object {
    let holder = lease.holder.account;
    let fields = |id: LeaseId, name: &str| {
        with_lease(context.service, Object::new().with("status", status), lease, id)
            .with("holder", name)
            .with("holder_id", Uuid::from_bytes(*holder.as_bytes()))
    };
    let object = if viewer.account().id == holder {
        fields(lease.id, viewer.account().name.as_str())
    } else {
        fields(LeaseId::from_bytes(NIL), &context.service.account_name(holder))
    };
    with_notes(object, lease).with_some("renew_after_ms", renew_after.map(whole_millis))
}

fn with_lease(service: &Service, object: Object, lease: &Lease, id: LeaseId) -> Object {
    object
        .with("name", lease.name.as_str())
        .with("lease_id", Uuid::from_bytes(*id.as_bytes()))
        .with("fencing_token", lease.token.get())
        .with("expires_at", Stamp(service.calendar.print(lease.expires)))
}

/// What the holder wants others to know.
fn with_notes(object: Object, lease: &Lease) -> Object {
    object
        .with_some("owner", lease.holder.owner.as_ref().map(Owner::as_str))
        .with_some("metadata", lease.metadata.as_ref().map(Metadata::as_str))
}

fn lock_name(raw: RawName<'_>) -> Result<LockName, ApiError> {
    Ok(LockName::new(&raw.text())?)
}

fn ttl(seconds: Option<Whole>) -> Result<Ttl, ApiError> {
    Ok(Ttl::from_seconds(body::whole(seconds, "ttl_seconds")?)?)
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

/// Rounded up: whoever waits for so long has waited long enough.
fn millis_at_least(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_as_long_as_it_is_told_has_waited_long_enough() {
        for (nanos, millis) in [(0, 0), (1, 1), (1_000_000, 1), (1_000_001, 2)] {
            assert_eq!(millis_at_least(Duration::from_nanos(nanos)), millis);
        }
    }
}
