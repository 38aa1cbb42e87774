//! What can be wrong with a request, and the only place that says which status that is.

use super::{Reply, json, request_id::RequestId};
use hyper::{
    StatusCode,
    header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use octostore_actors::{
    actor::NotTaken,
    domain::values::{InvalidLockName, InvalidMetadata, InvalidOwner, InvalidTtl, LockQuota},
    reply::Lost,
};
use serde::Serialize;

/// Why a request is refused. One cause each; the message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No token, or one that opens nothing: the same words for both.
    #[error("Invalid or missing authorization header")]
    Unauthorized,
    /// No such path.
    #[error("No such path")]
    UnknownPath,
    /// A known path, asked in a way it does not answer to.
    #[error("This path only answers to {allow}")]
    MethodNotAllowed {
        /// As in the `Allow` header.
        allow: &'static str,
    },
    /// A name that no lock can have.
    #[error("Invalid lock name")]
    LockName(#[from] InvalidLockName),
    /// A time to live out of bounds.
    #[error(transparent)]
    Ttl(#[from] InvalidTtl),
    /// No UUID.
    #[error("Invalid lease_id format")]
    LeaseId,
    /// Too much metadata.
    #[error("Invalid metadata")]
    Metadata(#[from] InvalidMetadata),
    /// An owner that cannot be.
    #[error("Invalid owner")]
    Owner(#[from] InvalidOwner),
    /// A field that must be there is not.
    #[error("{0} is required")]
    MissingField(&'static str),
    /// The body is not what was expected.
    #[error("The body must be a JSON object with the documented fields")]
    Body(#[source] serde_json::Error),
    /// A query parameter is not what was expected.
    #[error("Invalid query parameter {0}")]
    Query(&'static str),
    /// The body is larger than any this path takes.
    #[error("The body may have at most {limit} bytes")]
    BodyTooLarge {
        /// In bytes.
        limit: usize,
    },
    /// The body did not come in time.
    #[error("The body did not arrive in time")]
    BodyTimeout,
    /// The body broke off.
    #[error("The body broke off")]
    BodyBroken,
    /// No such lease of the caller's.
    #[error("Lock not found or not owned by caller")]
    LockNotOwned,
    /// The account holds as many locks as it may.
    #[error("This account holds {} locks, as many as it may: release some first", .0.get())]
    LockLimit(LockQuota),
    /// A full mailbox. Nothing was executed.
    #[error("The server is overloaded; nothing was executed: try again later")]
    Overloaded,
    /// The disk is full. Nothing was executed.
    #[error("The server's disk is full; nothing was executed: try again later")]
    StoreFull,
    /// 2^53 − 1 grants were made.
    #[error("No fencing token is left")]
    NoToken,
    /// Nobody can say whether it was executed.
    #[error("The server is going down; whether this was executed is unknown")]
    OutcomeUnknown,
    /// The server is going down. Nothing was executed.
    #[error("The server is going down; nothing was executed: try again later")]
    ShuttingDown,
    /// Signing in needs a provider.
    #[error("Sign-in is not configured on this server: use a token it was configured with")]
    SignInNotConfigured,
}

impl From<NotTaken> for ApiError {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::Overloaded => Self::Overloaded,
            NotTaken::Stopped => Self::ShuttingDown,
        }
    }
}

impl From<Lost> for ApiError {
    fn from(error: Lost) -> Self {
        match error {
            Lost::StoreFull => Self::StoreFull,
            Lost::OutcomeUnknown => Self::OutcomeUnknown,
        }
    }
}

/// How long whoever is turned away should wait, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

impl ApiError {
    /// The status, and the stable word for programs.
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::UnknownPath => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::LockName(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_lock_name"),
            Self::Ttl(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_ttl"),
            Self::LeaseId => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_lease_id"),
            Self::Metadata(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_metadata"),
            Self::Owner(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_owner"),
            Self::MissingField(_) => (StatusCode::UNPROCESSABLE_ENTITY, "missing_field"),
            Self::Body(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_body"),
            Self::Query(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_query"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "body_broken"),
            Self::LockNotOwned => (StatusCode::NOT_FOUND, "lock_not_owned"),
            Self::LockLimit(_) => (StatusCode::FORBIDDEN, "lock_limit_exceeded"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Self::StoreFull => (StatusCode::SERVICE_UNAVAILABLE, "storage_full"),
            Self::NoToken => (StatusCode::SERVICE_UNAVAILABLE, "tokens_exhausted"),
            Self::OutcomeUnknown => (StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown"),
            Self::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
            Self::SignInNotConfigured => (StatusCode::NOT_FOUND, "sign_in_not_configured"),
        }
    }

    /// What more there is to say.
    fn details(&self) -> Option<String> {
        match self {
            Self::LockName(why) => Some(why.to_string()),
            Self::Metadata(why) => Some(why.to_string()),
            Self::Owner(why) => Some(why.to_string()),
            Self::Body(why) => Some(why.to_string()),
            Self::LeaseId => Some("a lease_id is a UUID, as the acquire answered it".to_owned()),
            Self::Query(_) => {
                Some("prefix and after are text, limit is a whole number from 1 to 1000".to_owned())
            }
            Self::Unauthorized
            | Self::UnknownPath
            | Self::MethodNotAllowed { .. }
            | Self::Ttl(_)
            | Self::MissingField(_)
            | Self::BodyTooLarge { .. }
            | Self::BodyTimeout
            | Self::BodyBroken
            | Self::LockNotOwned
            | Self::LockLimit(_)
            | Self::Overloaded
            | Self::StoreFull
            | Self::NoToken
            | Self::OutcomeUnknown
            | Self::ShuttingDown
            | Self::SignInNotConfigured => None,
        }
    }

    /// The answer that says so.
    pub fn respond(&self, request_id: &RequestId) -> Reply {
        let (status, code) = self.status_and_code();
        let body = ErrorBody {
            error: self.to_string(),
            details: self.details(),
            code,
            request_id: request_id.as_str(),
        };
        let mut reply = json(status, &body);
        let headers = reply.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::MethodNotAllowed { allow } = self {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        reply
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<String>,
    code: &'static str,
    request_id: &'a str,
}
