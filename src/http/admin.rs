//! Administration: accounts, what they may have, and locks that hang. Every path has a scope of
//! its own.

use super::{
    Context, Reply,
    accounts::{QuotasBody, origin, uncached},
    audit, backup,
    body::{self, BODY_LIMIT, Whole},
    caller::{Administrator, administrator, refused},
    error::ApiError,
    json,
    router::{AccountAction, Admin, RawName},
    wire::Stamp,
};
use crate::auth::Denied;
use bytes::Bytes;
use hyper::{StatusCode, body::Incoming};
use octostore_actors::domain::{
    account::{
        Account, AccountCommand, AccountOutcome, Allowance, Change, Role, Standing,
        scope::{Access, Area},
    },
    audit::{Action, AuditText},
    config::{ConfigCommand, ConfigOutcome},
    flag::{FlagCommand, FlagOutcome},
    limiter::{LimitCommand, LimitOutcome},
    lock::{LockCommand, LockOutcome},
    values::{AccountId, LockName, Quota},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest reason for ending somebody's lease, in characters.
const MAX_REASON: usize = 500;

/// The largest quota that can be given.
const MAX_QUOTA: u64 = 1_000_000;

/// Answers what is asked under `/admin`.
pub async fn answer(
    context: &Context<'_>,
    admin: Admin<'_>,
    body: &mut Incoming,
) -> Result<Reply, ApiError> {
    let reply = match admin {
        Admin::Accounts => accounts(context).await,
        Admin::Account(id) => account(context, id).await,
        Admin::AccountAction(id, action) => act(context, id, action).await,
        Admin::Quotas(id) => quotas(context, id, body).await,
        Admin::LockRelease(name) => release(context, name, body).await,
        Admin::Audit => audit::list(context).await,
        Admin::AuditExport => audit::export(context).await,
        Admin::Backup => backup::get(context).await,
    };
    reply.map(uncached)
}

/// `GET /admin/accounts`
async fn accounts(context: &Context<'_>) -> Result<Reply, ApiError> {
    administrator(context, (Area::AdminAccounts, Access::Read), "").await?;
    let command = AccountCommand::Accounts(context.selection()?);
    let outcome = context.service.accounts.look(command).await?;
    let AccountOutcome::Accounts(page) = outcome else {
        unreachable!("a list is answered by a list");
    };
    let next = page.last_if_more().map(Account::list_key);
    let accounts = AccountBody::of_all(context, &page.items).await?;
    Ok(json(StatusCode::OK, &ListBody { accounts, total: page.total, next }))
}

/// `GET /admin/accounts/{id}`
async fn account(context: &Context<'_>, id: RawName<'_>) -> Result<Reply, ApiError> {
    administrator(context, (Area::AdminAccounts, Access::Read), "").await?;
    let command = AccountCommand::Account(account_id(id)?);
    respond(context, context.service.accounts.look(command).await?).await
}

/// `POST /admin/accounts/{id}/{action}`
async fn act(
    context: &Context<'_>,
    id: RawName<'_>,
    action: AccountAction,
) -> Result<Reply, ApiError> {
    let (area, change) = match action {
        AccountAction::Disable => (Area::AdminAccess, Change::Standing(Standing::Disabled)),
        AccountAction::Enable => (Area::AdminAccess, Change::Standing(Standing::Enabled)),
        AccountAction::Promote => (Area::AdminRoles, Change::Role(Role::Admin)),
        AccountAction::Demote => (Area::AdminRoles, Change::Role(Role::Member)),
    };
    let admin = administrator(context, (area, Access::Write), "").await?;
    let account = account_id(id)?;
    match action {
        // So that there is always an administrator left.
        AccountAction::Disable | AccountAction::Demote if admin.is(account) => {
            refused(context, admin.by.who, Action::AdminAccess, "its own account").await;
            return Err(ApiError::OwnAccount);
        }
        AccountAction::Disable
        | AccountAction::Demote
        | AccountAction::Enable
        | AccountAction::Promote => {}
    }
    change_account(context, admin, account, change).await
}

/// Changes an account, if `admin` still administers when it is done.
async fn change_account(
    context: &Context<'_>,
    admin: Administrator,
    account: AccountId,
    change: Change,
) -> Result<Reply, ApiError> {
    let who = admin.by.who;
    let command = AccountCommand::Change { account, change, by: admin.by };
    let outcome = context.service.accounts.ask(command).await?;
    if outcome == AccountOutcome::NotAdmin {
        refused(context, who, Action::AdminAccess, "no longer an administrator").await;
        return Err(ApiError::Denied(Denied::NotAdmin));
    }
    respond(context, outcome).await
}

/// Quotas of an account's own; what is not said is what everybody has.
#[derive(Deserialize)]
struct AllowanceBody {
    locks: Option<Whole>,
    limits: Option<Whole>,
    flags: Option<Whole>,
    configs: Option<Whole>,
    requests_per_second: Option<Whole>,
}

impl AllowanceBody {
    fn allowance(&self) -> Result<Allowance, ApiError> {
        let own = |name, number: Option<Whole>, least| {
            let Some(number) = number else { return Ok(None) };
            let number = number.as_u64().filter(|most| (least..=MAX_QUOTA).contains(most));
            let most = number.and_then(|most| u32::try_from(most).ok());
            most.map(|most| Some(Quota::new(most))).ok_or(ApiError::Quota(name))
        };
        Ok(Allowance {
            locks: own("locks", self.locks, 1)?,
            limits: own("limits", self.limits, 1)?,
            flags: own("flags", self.flags, 1)?,
            configs: own("configs", self.configs, 1)?,
            // Zero is as many as it likes.
            requests_per_second: own("requests_per_second", self.requests_per_second, 0)?,
        })
    }
}

/// `PUT /admin/accounts/{id}/quotas`
async fn quotas(
    context: &Context<'_>,
    id: RawName<'_>,
    body: &mut Incoming,
) -> Result<Reply, ApiError> {
    let admin = administrator(context, (Area::AdminQuotas, Access::Write), "").await?;
    let account = account_id(id)?;
    let asked: AllowanceBody = body::parse(&read(context, &admin, body).await?)?;
    change_account(context, admin, account, Change::Quotas(asked.allowance()?)).await
}

#[derive(Deserialize)]
struct ReasonBody {
    reason: Option<String>,
}

/// `POST /admin/locks/{name}/release`
async fn release(
    context: &Context<'_>,
    name: RawName<'_>,
    body: &mut Incoming,
) -> Result<Reply, ApiError> {
    let name = name.text();
    let admin = administrator(context, (Area::AdminLocks, Access::Write), &name).await?;
    let name = LockName::new(&name)?;
    let asked: ReasonBody = body::parse(&read(context, &admin, body).await?)?;
    let reason = asked.reason.ok_or(ApiError::MissingField("reason"))?;
    if reason.trim().is_empty() || reason.chars().count() > MAX_REASON {
        return Err(ApiError::Reason);
    }
    let reason = AuditText::truncated(&reason);
    let command = LockCommand::ForceRelease { name, reason, by: admin.by };
    let answer = context.service.locks.ask(command).await;
    context.service.counts.locks.count(&answer);
    match answer? {
        LockOutcome::ForceReleased(lease) => {
            let lock = ReleasedLock {
                name: lease.name.as_str(),
                holder: context.service.account_name(lease.holder.account),
                holder_id: Uuid::from_bytes(*lease.holder.account.as_bytes()),
                fencing_token: lease.token.get(),
            };
            let body = ReleasedBody { status: "released", message: "Lock released", lock };
            Ok(json(StatusCode::OK, &body))
        }
        LockOutcome::NotHeld => Err(ApiError::LockNotHeld),
        LockOutcome::Granted(_)
        | LockOutcome::Confirmed(_)
        | LockOutcome::Held(_)
        | LockOutcome::OverQuota(_)
        | LockOutcome::NoRoom
        | LockOutcome::NoToken
        | LockOutcome::Released
        | LockOutcome::NotOwned
        | LockOutcome::Status(_)
        | LockOutcome::Leases(_)
        | LockOutcome::Use(_) => unreachable!("a lock is force-released, or was not held"),
    }
}

/// Reads the body of a request of `admin`, who must still be one when it has come.
async fn read(
    context: &Context<'_>,
    admin: &Administrator,
    body: &mut Incoming,
) -> Result<Bytes, ApiError> {
    let bytes = context.read_anonymous(body, BODY_LIMIT).await?;
    admin.may_go_on(context.service)?;
    Ok(bytes)
}

/// What is no id is of no account.
fn account_id(id: RawName<'_>) -> Result<AccountId, ApiError> {
    let id = id.decode().and_then(|id| Uuid::parse_str(&id).ok());
    id.map(|id| AccountId::from_bytes(id.into_bytes())).ok_or(ApiError::AccountNotFound)
}

async fn respond(context: &Context<'_>, outcome: AccountOutcome) -> Result<Reply, ApiError> {
    let AccountOutcome::Account(account) = outcome else {
        return Err(ApiError::AccountNotFound);
    };
    let bodies = AccountBody::of_all(context, std::slice::from_ref(&account)).await?;
    Ok(json(StatusCode::OK, &bodies[0]))
}

#[derive(Serialize)]
struct AccountBody<'a> {
    id: Uuid,
    name: &'a str,
    origin: &'static str,
    admin: bool,
    disabled: bool,
    created_at: Stamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Stamp>,
    quotas: QuotasBody,
    own_quotas: OwnQuotasBody,
    #[serde(rename = "use")]
    used: UseBody,
}

/// The quotas of an account's own, as they were set.
#[derive(Serialize)]
struct OwnQuotasBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    locks: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    configs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_second: Option<u32>,
}

impl OwnQuotasBody {
    fn of(allowance: &Allowance) -> Self {
        let own = |quota: Option<Quota>| quota.map(Quota::get);
        Self {
            locks: own(allowance.locks),
            limits: own(allowance.limits),
            flags: own(allowance.flags),
            configs: own(allowance.configs),
            requests_per_second: own(allowance.requests_per_second),
        }
    }
}

/// How much of its quotas an account has used up.
#[derive(Serialize)]
struct UseBody {
    locks: usize,
    limits: usize,
    flags: usize,
    configs: usize,
    config_bytes: u64,
    tokens: usize,
}

impl<'a> AccountBody<'a> {
    /// Each with what it has in every domain.
    async fn of_all(context: &Context<'_>, all: &'a [Account]) -> Result<Vec<Self>, ApiError> {
        let service = context.service;
        let accounts: Vec<AccountId> = all.iter().map(|account| account.id).collect();
        let locks = service.locks.look(LockCommand::Use { accounts: accounts.clone() });
        let limits = service.limiters.look(LimitCommand::Use { accounts: accounts.clone() });
        let flags = service.flags.look(FlagCommand::Use { accounts: accounts.clone() });
        let config = service.config.look(ConfigCommand::Use { accounts });
        let (
            LockOutcome::Use(locks),
            LimitOutcome::Use(limits),
            FlagOutcome::Use(flags),
            ConfigOutcome::Use(config),
        ) = (locks.await?, limits.await?, flags.await?, config.await?)
        else {
            unreachable!("who asks how much is told how much");
        };
        let now = service.calendar.wall();
        let used = locks.into_iter().zip(limits).zip(flags).zip(config);
        let bodies = all.iter().zip(used).map(|(account, (((locks, limits), flags), config))| {
            let (last_used, tokens) = service.directory.use_of(account.id, now);
            Self {
                id: Uuid::from_bytes(*account.id.as_bytes()),
                name: account.name.as_str(),
                origin: origin(account.origin),
                admin: account.role == Role::Admin,
                disabled: account.standing == Standing::Disabled,
                created_at: Stamp(account.created_at),
                last_used_at: last_used.map(Stamp),
                quotas: QuotasBody::of(&service.directory.quotas(&account.allowance)),
                own_quotas: OwnQuotasBody::of(&account.allowance),
                used: UseBody {
                    locks,
                    limits,
                    flags,
                    configs: config.keys,
                    config_bytes: config.bytes,
                    tokens,
                },
            }
        });
        Ok(bodies.collect())
    }
}

#[derive(Serialize)]
struct ListBody<'a> {
    accounts: Vec<AccountBody<'a>>,
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct ReleasedBody<'a> {
    status: &'static str,
    message: &'static str,
    lock: ReleasedLock<'a>,
}

#[derive(Serialize)]
struct ReleasedLock<'a> {
    name: &'a str,
    holder: String,
    holder_id: Uuid,
    fencing_token: u64,
}
