//! Accounts over HTTP: who one is, and one's tokens.

use super::{
    Context, Reply,
    body::{self, BODY_LIMIT, Whole},
    caller::{failed_to_sign_in, provenance, refused},
    delivery::Fragile,
    error::ApiError,
    json,
    router::{RawName, Verb},
    wire::Stamp,
};
use crate::{
    auth::{BearerToken, Identity},
    ids,
    settings::Quotas,
};
use hyper::{
    StatusCode,
    body::Incoming,
    header::{CACHE_CONTROL, HeaderValue},
};
use jiff::Timestamp;
use octostore_actors::domain::{
    account::{
        Account, AccountCommand, AccountOutcome, NewToken, Origin, Role, Token, TokenName,
        TokenSource,
        scope::{Access, Area, Grant, NamePrefix, Scope},
    },
    audit::{Action, Who},
    values::{TokenId, WallTime},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The longest life that can be asked for: ten years, in seconds.
const MAX_LIFE_SECONDS: u64 = 10 * 366 * 86_400;

/// `GET /auth/me`
pub fn me(context: &Context<'_>, identity: &Identity) -> Reply {
    let account = identity.account();
    // What is on disk may be an hour old.
    let used = context.service.directory.last_used(&identity.token().hash);
    let body = MeBody {
        id: Uuid::from_bytes(*account.id.as_bytes()),
        name: account.name.as_str(),
        origin: origin(account.origin),
        admin: account.role == Role::Admin,
        token: TokenBody::of(identity.token(), identity, used),
        quotas: QuotasBody::of(identity.quotas()),
    };
    json(StatusCode::OK, &body)
}

/// `GET /auth/tokens`, `POST /auth/tokens`
pub async fn tokens(
    context: &Context<'_>,
    identity: &Identity,
    verb: Verb,
    body: &mut Incoming,
) -> Result<Reply, ApiError> {
    match verb {
        Verb::Post => issue(context, identity, body).await,
        Verb::Get | Verb::Put | Verb::Delete => list(context, identity).await,
    }
}

async fn list(context: &Context<'_>, identity: &Identity) -> Result<Reply, ApiError> {
    let command = AccountCommand::Tokens {
        account: identity.account().id,
        scope: identity.token().scope.clone(),
        at: context.service.calendar.wall(),
    };
    let outcome = context.service.accounts.look(command).await?;
    let AccountOutcome::Tokens(tokens) = outcome else {
        unreachable!("a list is answered by a list");
    };
    let directory = &context.service.directory;
    let body = |token| TokenBody::of(token, identity, directory.last_used(&token.hash));
    // Names repeat: what comes after one goes by its id too.
    let keyed = tokens.iter().map(|token| (format!("{} {}", token.name, token.id), token));
    let keyed: BTreeMap<String, &Token> = keyed.collect();
    let page = context.selection()?.of(Some(&keyed));
    let next = page.last_if_more().map(|(key, _)| key.as_str());
    let tokens = page.items.iter().map(|(_, token)| body(token)).collect();
    Ok(json(StatusCode::OK, &ListBody { total: page.total, tokens, next }))
}

#[derive(Deserialize)]
struct IssueBody {
    name: Option<String>,
    #[serde(alias = "scope")]
    scopes: Option<ScopesBody>,
    prefix: Option<String>,
    #[serde(alias = "expires_in", alias = "ttl_seconds")]
    expires_in_seconds: Option<Whole>,
    expires_at: Option<String>,
}

/// `["locks:read", "flags:read"]`, or as OAuth 2 writes it: `"locks:read flags:read"`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a string or an array of strings is wanted")]
enum ScopesBody {
    List(Vec<String>),
    Text(String),
}

impl IssueBody {
    /// The scope that is asked for; `None` is as much as the token that asks. A prefix narrows
    /// every grant, and leaves out those that have nothing in common with it.
    fn scope(&self, own: &Scope) -> Result<Option<Scope>, ApiError> {
        let asked: Option<Scope> = match &self.scopes {
            None => None,
            Some(ScopesBody::List(list)) => Some(list.join(" ").parse()?),
            Some(ScopesBody::Text(text)) => Some(text.parse()?),
        };
        let Some(prefix) = self.prefix.as_deref().filter(|prefix| !prefix.is_empty()) else {
            return Ok(asked);
        };
        let prefix = NamePrefix::new(prefix)?;
        let narrow = |grant: &Grant| {
            let narrower = prefix.as_str().starts_with(grant.prefix.as_str());
            let narrowed = || Grant { prefix: prefix.clone(), ..grant.clone() };
            let is_narrow = grant.prefix.as_str().starts_with(prefix.as_str());
            if narrower { Some(narrowed()) } else { is_narrow.then(|| grant.clone()) }
        };
        let grants = match asked.as_ref().unwrap_or(own) {
            Scope::Only(grants) => grants.iter().filter_map(narrow).collect(),
            // Of everything, only what has names can be narrowed.
            Scope::Everything => Area::ALL
                .into_iter()
                .filter(|area| area.is_domain())
                .map(|area| Grant { area, access: Access::Write, prefix: prefix.clone() })
                .collect(),
        };
        // No grant at all must not become as much as the token that asks.
        Scope::only(grants).map(Some).ok_or(ApiError::ExceedsToken)
    }

    /// When it shall end; `None` is when the token that asks does. Of two ends the earlier counts.
    fn expires_at(&self, now: WallTime) -> Result<Option<WallTime>, ApiError> {
        let in_seconds = match self.expires_in_seconds {
            Some(seconds) => Some(seconds.as_u64().ok_or(ApiError::Expiry)?),
            None => None,
        };
        let at = match &self.expires_at {
            Some(at) => Some(at.parse().map_err(|_| ApiError::Expiry)?),
            None => None,
        };
        let furthest = now.plus_seconds(MAX_LIFE_SECONDS);
        let after = |seconds: u64| now.plus_seconds(seconds.min(MAX_LIFE_SECONDS + 1));
        let at = at.map(|at: Timestamp| WallTime::from_millis(at.as_millisecond()));
        let ends = in_seconds.map(after).into_iter().chain(at);
        let Some(end) = ends.min() else { return Ok(None) };
        if end > now && end <= furthest { Ok(Some(end)) } else { Err(ApiError::Expiry) }
    }
}

async fn issue(
    context: &Context<'_>,
    identity: &Identity,
    body: &mut Incoming,
) -> Result<Reply, ApiError> {
    let asked: IssueBody = body::parse(&context.read(identity, body, BODY_LIMIT).await?)?;
    let made = make(context, identity, &asked).await;
    if matches!(made, Err(ApiError::ExceedsToken)) {
        let why = "more than the token that asks";
        refused(context, identity.who(), Action::TokenCreate, why).await;
    }
    let (bearer, token) = made?;
    let body = IssuedBody { token: bearer.reveal(), about: TokenBody::of(&token, identity, None) };
    Ok(uncached(json(StatusCode::CREATED, &body)))
}

/// Makes the token that is asked for.
async fn make(
    context: &Context<'_>,
    identity: &Identity,
    asked: &IssueBody,
) -> Result<(BearerToken, Token), ApiError> {
    let name = asked.name.as_deref().ok_or(ApiError::MissingField("name"))?;
    let bearer = BearerToken::generate();
    let command = AccountCommand::Issue {
        presented: identity.token().hash,
        token: NewToken {
            hash: bearer.hash(),
            id: ids::token_id(),
            name: TokenName::new(name)?,
            source: TokenSource::Issued,
            scope: asked.scope(&identity.token().scope)?,
            expires_at: asked.expires_at(context.service.calendar.wall())?,
        },
        quota: identity.quotas().tokens,
        by: provenance(context, identity.who()),
    };
    let (_, token) = handed_over(context, context.service.accounts.ask(command).await?)?;
    Ok((bearer, token))
}

/// Asks for a token for somebody who has shown who he is, and sees to it that it comes back if nobody
/// can read it. If his account is disabled, he has failed to do `action`, for `why`.
pub(super) async fn ask_to_admit(
    context: &Context<'_>,
    command: AccountCommand,
    action: Action,
    why: &str,
) -> Result<(Account, Token), ApiError> {
    let outcome = context.service.accounts.ask(command).await?;
    if let AccountOutcome::Disabled(account) = outcome {
        failed_to_sign_in(context, Who::Account(account), action, why).await;
    }
    handed_over(context, outcome)
}

/// The token that was asked for, which comes back if nobody can read it.
fn handed_over(
    context: &Context<'_>,
    outcome: AccountOutcome,
) -> Result<(Account, Token), ApiError> {
    context.delivery.holds(Fragile::Account(Box::new(outcome.clone())));
    match outcome {
        AccountOutcome::Issued(account, token) => Ok((account, token)),
        AccountOutcome::UnknownToken => Err(ApiError::Unauthorized),
        AccountOutcome::Exceeds => Err(ApiError::ExceedsToken),
        AccountOutcome::OverQuota(quota) => Err(ApiError::TooMany { what: "tokens", quota }),
        AccountOutcome::Disabled(_) => Err(ApiError::AccountDisabled),
        AccountOutcome::NoRoom => Err(ApiError::StoreFull),
        AccountOutcome::Rotated { .. }
        | AccountOutcome::Revoked(_)
        | AccountOutcome::Tokens(_)
        | AccountOutcome::Accounts(_)
        | AccountOutcome::Account(_)
        | AccountOutcome::NotFound
        | AccountOutcome::NotAdmin
        | AccountOutcome::Noted => unreachable!("whoever asks for a token gets one or a reason"),
    }
}

/// `DELETE /auth/tokens/{id}`
pub async fn revoke(
    context: &Context<'_>,
    identity: &Identity,
    id: RawName<'_>,
) -> Result<Reply, ApiError> {
    // What is no id is of no token.
    let id = id.decode().and_then(|id| Uuid::parse_str(&id).ok());
    let command = AccountCommand::Revoke {
        account: identity.account().id,
        scope: identity.token().scope.clone(),
        token: TokenId::from_bytes(id.ok_or(ApiError::TokenNotFound)?.into_bytes()),
        by: provenance(context, identity.who()),
    };
    let outcome = context.service.accounts.ask(command).await?;
    if matches!(outcome, AccountOutcome::Revoked(_)) {
        Ok(json(StatusCode::OK, &DeletedBody { deleted: true }))
    } else {
        Err(ApiError::TokenNotFound)
    }
}

/// `POST /auth/token/rotate`
pub async fn rotate(context: &Context<'_>, identity: &Identity) -> Result<Reply, ApiError> {
    let fresh = BearerToken::generate();
    let command = AccountCommand::Rotate {
        presented: identity.token().hash,
        fresh: fresh.hash(),
        id: ids::token_id(),
        by: provenance(context, identity.who()),
    };
    let outcome = context.service.accounts.ask(command).await?;
    // If nobody can read the fresh token, the old one must live on.
    context.delivery.holds(Fragile::Account(Box::new(outcome.clone())));
    if let AccountOutcome::Rotated { fresh: token, .. } = outcome {
        let about = TokenBody::of(&token, identity, None);
        let body = IssuedBody { token: fresh.reveal(), about };
        Ok(uncached(json(StatusCode::OK, &body)))
    } else if matches!(outcome, AccountOutcome::NoRoom) {
        Err(ApiError::StoreFull)
    } else {
        Err(ApiError::Unauthorized)
    }
}

/// No cache keeps what has a secret in it.
pub(super) fn uncached(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// Where an account comes from, as it is written.
pub(super) fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Static => "static",
        Origin::Local => "local",
        Origin::GitHub => "github",
        Origin::OpenId => "openid",
    }
}

#[derive(Serialize)]
struct MeBody<'a> {
    id: Uuid,
    name: &'a str,
    origin: &'static str,
    admin: bool,
    token: TokenBody<'a>,
    quotas: QuotasBody,
}

/// What an account may have.
#[derive(Serialize)]
pub(super) struct QuotasBody {
    locks: u32,
    limits: u32,
    flags: u32,
    configs: u32,
    config_bytes: u64,
    tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_second: Option<u32>,
}

impl QuotasBody {
    pub(super) fn of(quotas: &Quotas) -> Self {
        Self {
            locks: quotas.locks.get(),
            limits: quotas.limits.get(),
            flags: quotas.flags.get(),
            configs: quotas.config.keys.get(),
            config_bytes: quotas.config.bytes,
            tokens: quotas.tokens.get(),
            requests_per_second: quotas.requests_per_second.map(|quota| quota.get()),
        }
    }
}

#[derive(Serialize)]
struct IssuedBody<'a> {
    token: &'a str,
    #[serde(flatten)]
    about: TokenBody<'a>,
}

#[derive(Serialize)]
struct TokenBody<'a> {
    id: Uuid,
    name: &'a str,
    source: &'static str,
    /// `*` is whatever the account may.
    scopes: Vec<String>,
    created_at: Stamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Stamp>,
    /// Whether it is the one that asks.
    current: bool,
}

impl<'a> TokenBody<'a> {
    fn of(token: &'a Token, asking: &Identity, used: Option<WallTime>) -> Self {
        Self {
            id: Uuid::from_bytes(*token.id.as_bytes()),
            name: token.name.as_str(),
            source: match token.source {
                TokenSource::Static => "static",
                TokenSource::Issued => "issued",
                TokenSource::SignIn => "sign_in",
                TokenSource::Workload => "workload",
            },
            scopes: token.scope.to_string().split(' ').map(str::to_owned).collect(),
            created_at: Stamp(token.created_at),
            expires_at: token.expires_at.map(Stamp),
            last_used_at: used.max(token.last_used_at).map(Stamp),
            current: token.hash == asking.token().hash,
        }
    }
}

#[derive(Serialize)]
struct ListBody<'a> {
    tokens: Vec<TokenBody<'a>>,
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

#[derive(Serialize)]
struct DeletedBody {
    deleted: bool,
}
