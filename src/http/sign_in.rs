//! Signing in over HTTP: `/auth/github`, `/auth/oidc/{provider}`, and the way back to each.
//!
//! Where a browser is sent is decided by the settings alone; no parameter of a request has a say
//! in it.

use super::{
    Context, Reply,
    accounts::{ask_to_admit, uncached},
    caller::{IS_DISABLED, Try, may_try_to_sign_in, provenance, refused},
    cookie::Cookie,
    device, empty,
    error::ApiError,
    json, query,
    router::ProviderPath,
    session,
    wire::Stamp,
};
use crate::{
    app::Service,
    auth::{
        BearerToken,
        sign_in::{
            Callback, Person, PersonKey, Provider, ProviderId, SignInError, Unavailable,
            attempt::{Attempt, Attempts, NotTaken, Purpose},
        },
    },
    ids,
};
use hyper::{
    StatusCode,
    header::{HeaderValue, LOCATION, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS},
};
use octostore_actors::domain::{
    account::{
        Account, AccountCommand, InvalidSubject, NewToken, Origin, Subject, Token, TokenName,
        TokenSource, scope::Scope,
    },
    audit::{Action, Who},
    values::Quota,
};
use serde::Serialize;
use std::borrow::Cow;

/// How many sign-ins of one account are good at once: one more ends the oldest.
const SIGN_INS: u32 = 100;

/// What the browser keeps meanwhile. It comes back with a request from the provider's site.
const COOKIE: Cookie = Cookie {
    name: "octostore-sign-in",
    name_over_tls: "__Host-octostore-sign-in",
    life: Attempts::LIFE,
    same_site: "Lax",
};

/// `GET /auth/github`, `GET /auth/oidc/{provider}`: sends the browser to the provider, for a
/// token; with a `user_code`, for the terminal that shows it.
pub async fn begin(context: &Context<'_>, path: ProviderPath<'_>) -> Result<Reply, ApiError> {
    let id = provider_id(path)?;
    if context.service.providers.get(&id).is_none() {
        return Err(ApiError::SignInNotConfigured);
    }
    let purpose = match query::parameter(context.head, "user_code") {
        None => Purpose::Token,
        Some(typed) => match device::find(context, &typed).await {
            Ok(waiting) => Purpose::Device(waiting.id),
            Err(again) => return Ok(device::unknown(again)),
        },
    };
    send_away(context, &id, purpose).await
}

/// Sends the browser to a provider, for `purpose`.
pub async fn send_away(
    context: &Context<'_>,
    id: &ProviderId,
    purpose: Purpose,
) -> Result<Reply, ApiError> {
    let service = context.service;
    let provider = service.providers.get(id).ok_or(ApiError::SignInNotConfigured)?;
    may_try_to_sign_in(context)?;
    let begun = match provider.begin(&service.calendar).await {
        Ok(begun) => begun,
        Err(error) => {
            refused(context, Who::Stranger, Action::SignIn, &error.to_string()).await;
            return Err(refusal(id, &error));
        }
    };
    let now = service.calendar.now();
    let attempt = Attempt::new(id.clone(), purpose, begun.secrets, now);
    let mut reply = discreet(empty(StatusCode::FOUND));
    let headers = reply.headers_mut();
    headers.insert(LOCATION, header(begun.location.as_str()));
    let kept = service.attempts.seal(&attempt);
    headers.insert(SET_COOKIE, COOKIE.set(returns_over_tls(context, id), &kept));
    Ok(reply)
}

/// `GET /auth/github/callback`, `GET /auth/oidc/{provider}/callback`: the browser is back. A
/// sign-in comes back once, however it ends.
pub async fn callback(context: &Context<'_>, path: ProviderPath<'_>) -> Result<Reply, ApiError> {
    let id = provider_id(path)?;
    let provider = context.service.providers.get(&id).ok_or(ApiError::SignInNotConfigured)?;
    let trying = Try::begin(context)?;
    let query = Parameters::of(context.head.uri.query());
    let attempt = match take_back(context, &id, &query) {
        Ok(attempt) => attempt,
        Err(NotTaken::InvalidState) => {
            trying.failed(&NotTaken::InvalidState.to_string()).await;
            return Ok(discreet(ApiError::InvalidState.respond(context.request_id)));
        }
        Err(NotTaken::TooMany) => {
            trying.forgive();
            return Err(ApiError::Overloaded);
        }
    };
    let purpose = attempt.purpose.clone();
    let ended = end(context, provider, attempt, &query, trying).await;
    if let Err(error) = &ended {
        error.count(&context.service.counts.unavailable);
    }
    let mut reply = match (ended, purpose) {
        (Ok(reply), _) => reply,
        (Err(error), Purpose::Token) => error.respond(context.request_id),
        (Err(error), Purpose::Dashboard) => session::fail(&error),
        (Err(error), Purpose::Device(_)) => device::fail(&error),
    };
    // What the browser has kept is of no use any more.
    reply.headers_mut().append(SET_COOKIE, COOKIE.set(returns_over_tls(context, &id), ""));
    Ok(discreet(reply))
}

/// Whether the browser comes back from this provider over TLS.
pub(super) fn returns_over_tls(context: &Context<'_>, id: &ProviderId) -> bool {
    let Service { providers, web_origin, .. } = &**context.service;
    providers.get(id).is_some_and(|provider| provider.returns_over_tls(web_origin.as_ref()))
}

/// The attempt that this browser has begun, which from now on has come back.
fn take_back(
    context: &Context<'_>,
    id: &ProviderId,
    query: &Parameters<'_>,
) -> Result<Attempt, NotTaken> {
    let kept = COOKIE.get(returns_over_tls(context, id), &context.head.headers);
    let kept = kept.ok_or(NotTaken::InvalidState)?;
    let state = query.only("state").ok_or(NotTaken::InvalidState)?;
    let now = context.service.calendar.now();
    context.service.attempts.take_back(id, kept, state, &context.address(), now)
}

async fn end(
    context: &Context<'_>,
    provider: &Provider,
    attempt: Attempt,
    query: &Parameters<'_>,
    trying: Try<'_>,
) -> Result<Reply, ApiError> {
    // What the provider says in it is not repeated.
    if query.has("error") {
        trying.failed("the provider did not let them sign in").await;
        return Err(ApiError::SignInDenied);
    }
    let Some(code) = query.only("code").filter(|_| query.at_most_once("iss")) else {
        trying.failed("there is no code, or more than one").await;
        return Err(ApiError::SignInFailed);
    };
    let back = Callback { code, issuer: query.only("iss") };
    match provider.finish(back, &attempt.secrets, &context.service.calendar).await {
        Ok(person) => {
            trying.forgive();
            finished(context, &attempt, person).await
        }
        Err(error) => {
            // A provider that is down is nobody's failure to sign in.
            if matches!(error, SignInError::Unavailable(_)) {
                trying.forgive();
                refused(context, Who::Stranger, Action::SignIn, &error.to_string()).await;
            } else {
                trying.failed(&error.to_string()).await;
            }
            Err(refusal(&attempt.provider, &error))
        }
    }
}

/// Somebody has signed in: gives them what they signed in for.
async fn finished(
    context: &Context<'_>,
    attempt: &Attempt,
    person: Person,
) -> Result<Reply, ApiError> {
    match attempt.purpose {
        Purpose::Token => token(context, &attempt.provider, person).await,
        Purpose::Dashboard => dashboard(context, &attempt.provider, person).await,
        Purpose::Device(device) => Ok(device::ask(context, &attempt.provider, device, person)),
    }
}

/// Answers with a token of the person's account.
async fn token(
    context: &Context<'_>,
    provider: &ProviderId,
    person: Person,
) -> Result<Reply, ApiError> {
    let avatar_url = person.avatar_url.clone();
    let (bearer, account, token) = admit(context, provider, person).await?;
    let body = SignedInBody {
        token: bearer.reveal(),
        user: UserBody {
            login: account.name.as_str(),
            avatar_url: avatar_url.as_deref().unwrap_or_default(),
        },
        expires_at: token.expires_at.map(Stamp),
    };
    Ok(json(StatusCode::OK, &body))
}

/// Has the browser keep a token of the person's account, and shows it the dashboard.
async fn dashboard(
    context: &Context<'_>,
    provider: &ProviderId,
    person: Person,
) -> Result<Reply, ApiError> {
    let (bearer, ..) = admit(context, provider, person).await?;
    let mut reply = empty(StatusCode::SEE_OTHER);
    reply.headers_mut().insert(LOCATION, HeaderValue::from_static("/dashboard"));
    session::keep(&mut reply, returns_over_tls(context, provider), &bearer);
    Ok(reply)
}

/// Makes a token of the account of a person who has signed in with this provider.
async fn admit(
    context: &Context<'_>,
    provider: &ProviderId,
    person: Person,
) -> Result<(BearerToken, Account, Token), ApiError> {
    let name = TokenName::new(&format!("signed in with {provider}"))?;
    let_in(context, person, (name, Scope::Everything), Action::SignIn).await
}

/// Makes a token of the person's account, and the account if it is new.
pub(super) async fn let_in(
    context: &Context<'_>,
    person: Person,
    (name, scope): (TokenName, Scope),
    action: Action,
) -> Result<(BearerToken, Account, Token), ApiError> {
    let bearer = BearerToken::generate();
    let (origin, subject) = account_of(&person.key).map_err(|_| ApiError::SignInFailed)?;
    let now = context.service.calendar.wall();
    let life = context.service.limits.sign_in_life;
    let command = AccountCommand::Admit {
        origin,
        subject,
        name: person.name,
        account: ids::account_id(),
        token: NewToken {
            hash: bearer.hash(),
            id: ids::token_id(),
            name,
            source: TokenSource::SignIn,
            scope: Some(scope),
            expires_at: life.map(|life| now.plus_seconds(life.as_secs())),
        },
        quota: Quota::new(SIGN_INS),
        action,
        by: provenance(context, Who::Stranger),
    };
    let (account, token) = ask_to_admit(context, command, action, IS_DISABLED).await?;
    Ok((bearer, account, token))
}

/// What makes the account of a person one and the same.
fn account_of(key: &PersonKey) -> Result<(Origin, Subject), InvalidSubject> {
    Ok(match key {
        PersonKey::GitHub { host: None, id } => (Origin::GitHub, Subject::new(&id.to_string())?),
        PersonKey::GitHub { host: Some(host), id } => {
            (Origin::GitHub, Subject::new(&format!("{host} {id}"))?)
        }
        PersonKey::OpenId { issuer, subject } => {
            (Origin::OpenId, Subject::new(&format!("{issuer} {subject}"))?)
        }
    })
}

/// What the browser is told; the log is told more.
fn refusal(provider: &ProviderId, error: &SignInError) -> ApiError {
    if matches!(error, SignInError::Unavailable(Unavailable::AskedJustNow)) {
        // The one who was asked for has been told of. Anybody may ask for this as often as he likes.
        tracing::debug!(%provider, %error, "nobody was signed in");
    } else {
        tracing::warn!(%provider, %error, "nobody was signed in");
    }
    match error {
        SignInError::Unavailable(_) => ApiError::ProviderUnavailable,
        SignInError::NotAllowed(_) => ApiError::SignInNotAllowed,
        SignInError::Refused(_)
        | SignInError::Misunderstood(_)
        | SignInError::OtherIssuer
        | SignInError::IdToken(_)
        | SignInError::NoName(_) => ApiError::SignInFailed,
    }
}

pub(super) fn provider_id(path: ProviderPath<'_>) -> Result<ProviderId, ApiError> {
    match path {
        ProviderPath::GitHub => Ok(ProviderId::GitHub),
        ProviderPath::OpenId(name) => {
            let name = name.decode().ok_or(ApiError::SignInNotConfigured)?;
            Ok(ProviderId::OpenId(name.into_owned()))
        }
    }
}

/// No cache keeps it, nobody hears of its URL, and nobody takes it for a page.
fn discreet(reply: Reply) -> Reply {
    const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
    const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
    let mut reply = uncached(reply);
    let headers = reply.headers_mut();
    headers.insert(REFERRER_POLICY, NO_REFERRER);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    reply
}

pub(super) fn header(text: &str) -> HeaderValue {
    #[expect(clippy::expect_used, reason = "URLs, base64url and our own words are visible ASCII")]
    HeaderValue::from_str(text).expect("a header that can be sent")
}

/// The parameters of a callback, decoded.
struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    fn of(query: Option<&'a str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect())
    }

    fn all(&self, wanted: &'static str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| &**value)
    }

    fn has(&self, name: &'static str) -> bool {
        self.all(name).next().is_some()
    }

    /// RFC 6749, section 3.1: no parameter comes twice.
    fn at_most_once(&self, name: &'static str) -> bool {
        self.all(name).count() <= 1
    }

    /// The parameter, if it comes once and is not empty.
    fn only(&self, name: &'static str) -> Option<&str> {
        let mut all = self.all(name).fuse();
        match (all.next(), all.next()) {
            (Some(value), None) if !value.is_empty() => Some(value),
            (Some(_) | None, _) => None,
        }
    }
}

#[derive(Serialize)]
struct SignedInBody<'a> {
    token: &'a str,
    user: UserBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Stamp>,
}

#[derive(Serialize)]
struct UserBody<'a> {
    login: &'a str,
    /// Empty where the provider knows none.
    avatar_url: &'a str,
}
