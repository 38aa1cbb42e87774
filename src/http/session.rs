//! The session of the dashboard: a token in a cookie that no script reads. The page itself is one of
//! [`pages`]; it knows no more than any client does.
//!
//! A cookie comes with requests that other sites make the browser send. So it counts for nothing
//! unless the request also carries `X-CSRF-Token`, which only a page of this server can know: it is
//! derived from the token, and told to whoever asks for the session from here. Revoking the token
//! ends the session; a restart does not. A session that began at a provider has a token of its own,
//! which ends with it; a token that was pasted has other uses.

use super::{
    Context, Reply,
    accounts::uncached,
    body::{self, BODY_LIMIT},
    caller::{
        authenticate_with, is_guessable, provenance, refused, refused_as_disabled, wrong_token,
    },
    cookie::Cookie,
    error::ApiError,
    json, pages,
    router::{ProviderPath, Verb},
    sign_in as providers,
};
use crate::auth::{
    BearerToken, Identity,
    sign_in::{ProviderId, attempt::Purpose},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hyper::{
    HeaderMap, StatusCode,
    body::Incoming,
    header::{HeaderName, ORIGIN, SET_COOKIE},
};
use octostore_actors::domain::{
    account::{AccountCommand, TokenSource, scope::Scope},
    audit::{Action, AuditEntry, AuditOutcome, AuditText, Who},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Shows that a request comes from a page of this server.
const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// What is in it before there is a session: a form of another site cannot send the header at all.
const SIGNING_IN: &[u8] = b"sign-in";

/// What the audit log says of a token that opens nothing.
const NO_SUCH_TOKEN: &str = "no such token";

/// What it says of one that was pasted and opens something.
const BY_PASTING: &str = "with this token, into the dashboard";

const COOKIE: Cookie = Cookie {
    name: "octostore-session",
    name_over_tls: "__Host-octostore-session",
    life: Duration::from_secs(7 * 86_400),
    same_site: "Strict",
};

/// What a cookie ends with whose token was pasted. It is not sealed: whoever can write a cookie with
/// this token, with it or without, has the token, and could as well revoke it or let it live.
const PASTED: &str = ".pasted";

/// How a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    /// At a provider, which made its token.
    BySigningIn,
    /// With a token that was there before.
    ByPasting,
}

/// What a browser keeps of a session.
struct Kept {
    token: Vec<u8>,
    begun: Begun,
}

/// The token of the session that sends this, if it is one of ours that sends it.
pub fn token(context: &Context<'_>) -> Option<Vec<u8>> {
    session(context).map(|session| session.token)
}

fn session(context: &Context<'_>) -> Option<Kept> {
    let headers = &context.head.headers;
    let shown = headers.get(X_CSRF_TOKEN)?;
    let session = kept(context)?;
    // Hashes are compared, so that how long it takes says nothing about what is right.
    let same = Sha256::digest(shown) == Sha256::digest(csrf_token(&session.token));
    same.then_some(session)
}

/// `GET`, `POST` and `DELETE /dashboard/session`: is there one, and how to begin one; begins one
/// with a token; ends it.
pub async fn answer(
    context: &Context<'_>,
    verb: Verb,
    body: &mut Incoming,
) -> Result<Reply, ApiError> {
    match verb {
        Verb::Post => begin(context, body).await,
        Verb::Delete => end(context).await,
        Verb::Get | Verb::Put => look(context),
    }
}

/// `GET /dashboard/sign-in/…`: sends the browser to a provider, and back to the dashboard.
pub async fn sign_in(context: &Context<'_>, path: ProviderPath<'_>) -> Result<Reply, ApiError> {
    providers::send_away(context, &providers::provider_id(path)?, Purpose::Dashboard).await
}

/// The page for whoever came back from a provider and was not signed in.
pub fn fail(error: &ApiError) -> Reply {
    let main = format!(
        "<p class=\"warn\" role=\"alert\">{}.</p>\n<div class=\"do\">\
         <a class=\"button go\" href=\"/dashboard\">Back to the dashboard</a></div>\n",
        pages::Text(error)
    );
    pages::page(error.status(), "You are not signed in", &main)
}

/// The cookie of a session with this token, which signing in has made. Browsers that come over TLS
/// send it over nothing else.
pub fn keep(reply: &mut Reply, over_tls: bool, token: &BearerToken) {
    keep_as(Begun::BySigningIn, reply, over_tls, token);
}

fn keep_as(begun: Begun, reply: &mut Reply, over_tls: bool, token: &BearerToken) {
    let mut value = BASE64_URL_SAFE_NO_PAD.encode(token.reveal());
    match begun {
        Begun::BySigningIn => {}
        Begun::ByPasting => value.push_str(PASTED),
    }
    reply.headers_mut().append(SET_COOKIE, COOKIE.set(over_tls, &value));
}

fn look(context: &Context<'_>) -> Result<Reply, ApiError> {
    let token = match kept(context) {
        None => None,
        Some(Kept { token, .. }) => match authenticate_with(context, &token) {
            Ok(_) => Some(token),
            Err(ApiError::Unauthorized | ApiError::AccountDisabled) => None,
            // It is a wrong one, whatever else its address has shown.
            Err(ApiError::TooManyFailures(_)) if !is_guessable(&token) => None,
            // Who has to wait is not told that nobody is signed in: the page would ask for a token.
            Err(error) => return Err(error),
        },
    };
    let providers = context.service.providers.ids().map(ProviderBody::of).collect();
    let body = SessionBody {
        signed_in: token.is_some(),
        csrf_token: token.map(|token| csrf_token(&token)),
        providers,
    };
    Ok(uncached(json(StatusCode::OK, &body)))
}

async fn begin(context: &Context<'_>, body: &mut Incoming) -> Result<Reply, ApiError> {
    if context.head.headers.get(X_CSRF_TOKEN).is_none_or(|shown| shown != SIGNING_IN) {
        return Err(ApiError::NotFromHere);
    }
    let bytes = context.read_anonymous(body, BODY_LIMIT).await?;
    let BeginBody { token } = body::parse(&bytes)?;
    let token = token.as_deref().map(str::trim).ok_or(ApiError::MissingField("token"))?;
    let token = match BearerToken::from_configuration(token) {
        Some(token) => entered(context, token).await?,
        None => {
            let refusal = wrong_token(context);
            note_wrong_token(context, &refusal).await;
            return Err(refusal);
        }
    };
    let csrf_token = Some(csrf_token(token.reveal().as_bytes()));
    let providers = Vec::new();
    let mut reply =
        uncached(json(StatusCode::OK, &SessionBody { signed_in: true, csrf_token, providers }));
    keep_as(Begun::ByPasting, &mut reply, is_over_tls(context), &token);
    Ok(reply)
}

/// The token that was entered, if it opens anything.
async fn entered(context: &Context<'_>, token: BearerToken) -> Result<BearerToken, ApiError> {
    let shown = token.reveal().as_bytes();
    let refusal = match authenticate_with(context, shown) {
        Ok(identity) => {
            note_sign_in(context, &identity).await;
            return Ok(token);
        }
        Err(refusal) => refusal,
    };
    note_wrong_token(context, &refusal).await;
    if matches!(refusal, ApiError::AccountDisabled) {
        refused_as_disabled(context, shown, Action::SignIn).await;
    }
    Err(refusal)
}

/// Puts into the audit log that somebody has signed in with a token. A log that cannot be written
/// keeps nobody out: whoever has the token may do as much without the page.
async fn note_sign_in(context: &Context<'_>, identity: &Identity) {
    if !context.service.gate.may_note_sign_in(context.service.calendar.now()) {
        return;
    }
    let entry = AuditEntry {
        by: provenance(context, identity.who()),
        action: Action::SignIn,
        target: AuditText::truncated(&identity.account().id.to_string()),
        outcome: AuditOutcome::Done,
        detail: Some(AuditText::truncated(BY_PASTING)),
    };
    if let Err(error) = context.service.accounts.ask(AccountCommand::Note(entry)).await {
        tracing::warn!(%error, "a sign-in to the dashboard is not in the audit log");
    }
}

/// Puts a wrong token into the audit log, unless nobody looked whether it is one.
async fn note_wrong_token(context: &Context<'_>, refusal: &ApiError) {
    if matches!(refusal, ApiError::Unauthorized) {
        refused(context, Who::Stranger, Action::SignIn, NO_SUCH_TOKEN).await;
    }
}

/// The cookie goes, and with it the token, if signing in here has made it.
async fn end(context: &Context<'_>) -> Result<Reply, ApiError> {
    let session = session(context).ok_or(ApiError::NotFromHere)?;
    match session.begun {
        Begun::BySigningIn => revoke(context, &session.token).await?,
        Begun::ByPasting => {}
    }
    let body = SessionBody { signed_in: false, csrf_token: None, providers: Vec::new() };
    let mut reply = uncached(json(StatusCode::OK, &body));
    for over_tls in [false, true] {
        reply.headers_mut().append(SET_COOKIE, COOKIE.set(over_tls, ""));
    }
    Ok(reply)
}

/// Ends a token that signing in has made. It opens nothing for that, so neither how fast its account
/// asks matters nor whether that is disabled: enabled again, it would open everything.
async fn revoke(context: &Context<'_>, token: &[u8]) -> Result<(), ApiError> {
    let service = context.service;
    let owner = service.directory.owner(token, service.calendar.wall());
    let made = owner.filter(|identity| identity.token().source == TokenSource::SignIn);
    let Some(identity) = made else { return Ok(()) };
    let command = AccountCommand::Revoke {
        account: identity.account().id,
        scope: Scope::Everything,
        token: identity.token().id,
        by: provenance(context, identity.who()),
    };
    service.accounts.ask(command).await?;
    Ok(())
}

/// What the browser has kept. Where it comes over TLS, a cookie that could have been set without is
/// none.
fn kept(context: &Context<'_>) -> Option<Kept> {
    let headers = &context.head.headers;
    let plain = || COOKIE.get(false, headers).filter(|_| !is_over_tls(context));
    let value = COOKIE.get(true, headers).or_else(plain)?;
    let (value, begun) = match value.strip_suffix(PASTED) {
        Some(value) => (value, Begun::ByPasting),
        None => (value, Begun::BySigningIn),
    };
    let token = BASE64_URL_SAFE_NO_PAD.decode(value).ok()?;
    let bounded = (1..=BearerToken::MAX_LENGTH).contains(&token.len());
    bounded.then_some(Kept { token, begun })
}

/// Whether the browser comes over TLS: the settings say so, or the page that asks does.
fn is_over_tls(context: &Context<'_>) -> bool {
    let settled = context.service.web_origin.as_ref();
    settled.map_or_else(|| asked_over_tls(&context.head.headers), |origin| origin.is_https())
}

fn asked_over_tls(headers: &HeaderMap) -> bool {
    headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

fn csrf_token(token: &[u8]) -> String {
    let hash = Sha256::new().chain_update("octostore dashboard session\0").chain_update(token);
    BASE64_URL_SAFE_NO_PAD.encode(hash.finalize())
}

#[derive(Deserialize)]
struct BeginBody {
    token: Option<String>,
}

#[derive(Serialize)]
struct SessionBody {
    signed_in: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    providers: Vec<ProviderBody>,
}

#[derive(Serialize)]
struct ProviderBody {
    name: String,
    sign_in: String,
}

impl ProviderBody {
    fn of(id: &ProviderId) -> Self {
        Self { name: id.to_string(), sign_in: format!("/dashboard/sign-in/{id}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_must_know_differs_from_token_to_token_and_is_not_the_token() {
        let (one, other) = (csrf_token(b"one"), csrf_token(b"other"));
        assert!(one != other && one == csrf_token(b"one"));
        assert_eq!(one.len(), 43, "all of the hash");
    }
}
