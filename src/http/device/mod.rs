//! Signing in from a terminal: the device flow (RFC 8628).
//!
//! - here: what the terminal asks, `POST /auth/device/code` and then `POST /auth/token`;
//! - [`browser`]: what its user does in a browser meanwhile;
//! - [`pages`]: what that looks like.

mod browser;
mod pages;

pub use browser::{ask, confirm, fail, find, page, unknown};

use super::{
    Context, Reply,
    body::BODY_LIMIT,
    caller::{failed_to_sign_in, may_try_to_sign_in},
    delivery::Fragile,
    error::ApiError,
    json,
    oauth::{self, OAuthError, Parameters},
    sign_in::let_in,
};
use crate::{
    auth::{
        device::{Asked, Claim, INTERVAL, NotIn},
        web_origin::WebOrigin,
    },
    ids,
};
use hyper::{StatusCode, body::Incoming, header::HOST};
use octostore_actors::domain::{
    account::{TokenName, scope::Scope},
    audit::{Action, Who},
};
use serde::Serialize;

/// How a token is named if its terminal does not say what it is.
const NAMELESS: &str = "terminal";

/// What a `client_id` is here.
const LABEL: &str = "what this terminal is called, in at most 100 characters";

/// What a `Host` header must be where nothing else says where browsers go.
const HOST_ALONE: &str = "host or host:port, or else set OCTOSTORE_PUBLIC_URL on the server";

/// `POST /auth/device/code`: has a terminal wait for somebody to let it in.
pub async fn begin(context: &Context<'_>, body: &mut Incoming) -> Result<Reply, ApiError> {
    is_configured(context)?;
    Ok(oauth::answered(context, wait(context, body).await))
}

async fn wait(context: &Context<'_>, body: &mut Incoming) -> Result<Reply, OAuthError> {
    let service = context.service;
    let parameters = Parameters::read(&context.read_anonymous(body, BODY_LIMIT).await?)?;
    let label = parameters.get("client_id").map(TokenName::new).transpose();
    let asked = Asked {
        label: label.map_err(|_| OAuthError::Parameter("client_id", LABEL))?,
        scope: parameters.get("scope").map(str::parse).transpose()?,
        from: context.address(),
    };
    let here = here(context).ok_or(OAuthError::Parameter("Host", HOST_ALONE))?;
    let now = service.calendar.now();
    let (device_code, user_code) = service.devices.begin(asked, now, ids::secret)?;
    let user_code = user_code.to_string();
    let body = BegunBody {
        device_code: device_code.reveal(),
        verification_uri: format!("{here}/auth/device"),
        verification_uri_complete: format!("{here}/auth/device?user_code={user_code}"),
        user_code,
        expires_in: service.devices.life().as_secs(),
        interval: INTERVAL.as_secs(),
    };
    Ok(json(StatusCode::OK, &body))
}

/// `POST /auth/token` with a device code: whether the terminal was let in, and its token if so.
pub async fn token(context: &Context<'_>, asked: &Parameters) -> Result<Reply, OAuthError> {
    let service = context.service;
    let code = asked.required("device_code")?;
    let claim = match service.devices.poll(code, service.calendar.now()) {
        Ok(claim) => claim,
        Err(NotIn::Unknown) => {
            // A right one is never refused for what others have tried from the same address.
            may_try_to_sign_in(context)?;
            failed(context, "no terminal waits with this device_code").await;
            return Err(NotIn::Unknown.into());
        }
        Err(not_in) => return Err(not_in.into()),
    };
    let Claim { person, asked: Asked { label, scope, .. }, .. } = &claim;
    let name = match label {
        Some(label) => label.clone(),
        None => TokenName::new(NAMELESS).map_err(ApiError::from)?,
    };
    let wanted = (name, scope.clone().unwrap_or(Scope::Everything));
    match let_in(context, person.clone(), wanted, Action::DeviceSignIn).await {
        Ok((bearer, _, token)) => {
            context.delivery.holds(Fragile::Device(Box::new(claim)));
            let body = TokenBody {
                access_token: bearer.reveal(),
                token_type: "Bearer",
                expires_in: service.limits.sign_in_life.map(|life| life.as_secs()),
                scope: token.scope.to_string(),
            };
            Ok(json(StatusCode::OK, &body))
        }
        Err(ApiError::AccountDisabled) => {
            claim.spend();
            Err(NotIn::Denied.into())
        }
        // The terminal may ask again: nobody has got a token.
        Err(error) => Err(error.into()),
    }
}

/// Whether there is anybody to sign in with.
fn is_configured(context: &Context<'_>) -> Result<(), ApiError> {
    if context.service.providers.is_empty() { Err(ApiError::SignInNotConfigured) } else { Ok(()) }
}

/// An attempt to get in by a code has failed.
async fn failed(context: &Context<'_>, why: &str) {
    failed_to_sign_in(context, Who::Stranger, Action::DeviceSignIn, why).await;
}

/// Where browsers find this server: what the settings say, or else the client. It hears its own
/// words then, and nobody else does: the answer is kept by no cache.
fn here(context: &Context<'_>) -> Option<WebOrigin> {
    let said = || {
        let mut hosts = context.head.headers.get_all(HOST).iter();
        let only = hosts.next().filter(|_| hosts.next().is_none())?;
        WebOrigin::of_host(only.to_str().ok()?)
    };
    context.service.web_origin.clone().or_else(said)
}

/// RFC 8628, section 3.2.
#[derive(Serialize)]
struct BegunBody<'a> {
    device_code: &'a str,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: u64,
    interval: u64,
}

/// RFC 6749, section 5.1.
#[derive(Serialize)]
struct TokenBody<'a> {
    access_token: &'a str,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    /// `*` is whatever the account may.
    scope: String,
}
