//! The audit log over HTTP: a page of it, or all of it as JSON lines.
//!
//! The log is read by way of the actor that owns the store, a bounded number of entries at a
//! time. What is sought may be rare, so one answer can take many such reads; between any two of
//! them commits go on.

use super::{
    Context, Reply,
    caller::{Administrator, administrator},
    error::ApiError,
    json, query,
    reply::{Pieces, ReplyBody},
    wire::Stamp,
};
use crate::app::Service;
use bytes::Bytes;
use hyper::{
    Response, StatusCode, Version,
    header::{CONTENT_TYPE, HeaderValue},
    http::request::Parts,
};
use jiff::Timestamp;
use octostore_actors::{
    domain::{
        account::scope::{Access, Area},
        audit::{AuditEntry, AuditId, AuditPage, AuditQuery, AuditText},
        page::PageLimit,
        values::{AccountId, WallTime},
    },
    reply::Lost,
};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// How many entries an export renders at a time. Unwrapped by the compiler.
const LINES_AT_ONCE: PageLimit = PageLimit::new(250).unwrap();

/// How long an export rests when the store is too busy for it.
const PAUSE: Duration = Duration::from_millis(20);

/// `GET /admin/audit`
pub async fn list(context: &Context<'_>) -> Result<Reply, ApiError> {
    let admin = administrator(context, (Area::AdminAudit, Access::Read), "").await?;
    let service = context.service;
    let mut query = wanted(service, context.head)?;
    // One more than asked for says whether there is more.
    let limit = usize::from(query.limit.get());
    let mut found = Vec::new();
    loop {
        let left = u16::try_from(limit + 1 - found.len()).ok().and_then(PageLimit::new);
        query.limit = left.unwrap_or(PageLimit::MAX);
        let page = service.audit.read(query.clone()).await??;
        admin.may_go_on(service)?;
        found.extend(page.entries);
        query.before = page.next;
        if found.len() > limit || page.next.is_none() {
            break;
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(id, _)| id.0);
    let entries = found.iter().map(|found| EntryBody::of(service, found)).collect();
    Ok(json(StatusCode::OK, &ListBody { entries, next }))
}

/// `GET /admin/audit/export`
pub async fn export(context: &Context<'_>) -> Result<Reply, ApiError> {
    let admin = administrator(context, (Area::AdminAudit, Access::Read), "").await?;
    let query = wanted(context.service, context.head)?;
    if context.head.version < Version::HTTP_11 {
        return Err(ApiError::NeedsHttp11);
    }
    let first = AuditQuery { limit: LINES_AT_ONCE, ..query };
    // What cannot begin is refused like everything else.
    let page = context.service.audit.read(first.clone()).await??;
    let mut export = Export { service: Arc::clone(context.service), admin, left: None };
    let lines = export.render(first, &page);
    let pieces = Pieces::new(async move { Some(Ok((lines, export.pieces()))) });
    let mut reply = Response::new(ReplyBody::Pieces(pieces));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(reply)
}

/// An export under way. It ends when the client is gone, because then nobody asks for its next
/// piece.
struct Export {
    service: Arc<Service>,
    admin: Administrator,
    /// Where to go on; `None` when all is said.
    left: Option<AuditQuery>,
}

impl Export {
    /// What is left, piece by piece.
    fn pieces(mut self) -> Pieces {
        Pieces::new(async move {
            let lines = self.lines().await.transpose()?;
            Some(lines.map(|lines| (lines, self.pieces())))
        })
    }

    /// The next lines; `None` when there are no more.
    async fn lines(&mut self) -> Result<Option<Bytes>, ApiError> {
        while let Some(query) = self.left.take() {
            let page = self.read(&query).await?;
            let lines = self.render(query, &page);
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
        }
        Ok(None)
    }

    /// Reads on, and waits for the store if it is busy, for as long as the administrator is one
    /// and the server goes on.
    async fn read(&self, query: &AuditQuery) -> Result<AuditPage, ApiError> {
        loop {
            self.admin.may_go_on(&self.service)?;
            if !self.service.is_ready() {
                return Err(ApiError::OutcomeUnknown);
            }
            match self.service.audit.read(query.clone()).await {
                Err(Lost::Overloaded) => tokio::time::sleep(PAUSE).await,
                read => {
                    self.admin.may_go_on(&self.service)?;
                    return Ok(read??);
                }
            }
        }
    }

    /// The lines of a page that was read for `query`.
    fn render(&mut self, query: AuditQuery, page: &AuditPage) -> Bytes {
        let mut lines = Vec::new();
        for found in &page.entries {
            lines.extend(super::to_json(&EntryBody::of(&self.service, found)));
            lines.push(b'\n');
        }
        self.left = page.next.map(|next| AuditQuery { before: Some(next), ..query });
        lines.into()
    }
}

/// Which entries the request wants. What is over by time is not shown.
fn wanted(service: &Service, head: &Parts) -> Result<AuditQuery, ApiError> {
    let oldest = service.limits.audit_life.map(|life| {
        let life = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
        WallTime::from_millis(service.calendar.wall().as_millis().saturating_sub(life))
    });
    let since = parameter(head, "since", |text| {
        let since: Timestamp = text.parse().ok()?;
        Some(WallTime::from_millis(since.as_millisecond()))
    })?;
    let limit = parameter(head, "limit", |text| text.parse().ok().and_then(PageLimit::new))?;
    Ok(AuditQuery {
        before: parameter(head, "before", |text| text.parse().ok().map(AuditId))?,
        account: parameter(head, "account", |text| {
            Some(AccountId::from_bytes(Uuid::parse_str(text).ok()?.into_bytes()))
        })?,
        action: parameter(head, "action", |text| text.parse().ok())?,
        since: since.max(oldest),
        limit: limit.unwrap_or_default(),
    })
}

fn parameter<T>(
    head: &Parts,
    name: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let text = query::parameter(head, name);
    text.map(|text| read(&text).ok_or(ApiError::Query(name))).transpose()
}

#[derive(Serialize)]
struct ListBody<'a> {
    entries: Vec<EntryBody<'a>>,
    /// What to pass as `before` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

#[derive(Serialize)]
struct EntryBody<'a> {
    id: u64,
    at: Stamp,
    who: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<Uuid>,
    /// As it is called now.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<Uuid>,
    from: &'a str,
    request_id: &'a str,
    action: &'static str,
    target: &'a str,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

impl<'a> EntryBody<'a> {
    fn of(service: &Service, (id, entry): &'a (AuditId, AuditEntry)) -> Self {
        let (account, token) = entry.by.who.parts();
        let name = account.and_then(|account| service.directory.name(account));
        Self {
            id: id.0,
            at: Stamp(entry.by.at),
            who: entry.by.who.as_str(),
            account_id: account.map(|account| Uuid::from_bytes(*account.as_bytes())),
            account: name.map(|name| name.to_string()),
            token_id: token.map(|token| Uuid::from_bytes(*token.as_bytes())),
            from: entry.by.from.as_str(),
            request_id: entry.by.request.as_str(),
            action: entry.action.as_str(),
            target: entry.target.as_str(),
            result: entry.outcome.as_str(),
            detail: entry.detail.as_ref().map(AuditText::as_str),
        }
    }
}
