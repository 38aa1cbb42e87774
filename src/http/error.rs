//! What can be wrong with a request, and the only place that says which status that is.

use super::{Reply, json_bytes, request_id::RequestId, to_json};
use crate::{auth::Denied, metrics::outcomes::Unavailable};
use hyper::{
    StatusCode,
    header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use octostore_actors::{
    commit::Unreadable,
    domain::{
        account::{
            InvalidTokenName,
            scope::{InvalidNamePrefix, InvalidScope},
        },
        config::{ConfigQuota, InvalidConfigKey, InvalidDescription},
        flag::{InvalidFlagName, InvalidPercentage},
        limiter::{InvalidLimitName, InvalidPolicy},
        values::{InvalidLockName, InvalidMetadata, InvalidOwner, InvalidTtl, Quota},
    },
    reply::Lost,
};
use serde::Serialize;
use std::time::Duration;

/// Why a request is refused. One cause each; the message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No token, or one that opens nothing: the same words for both.
    #[error("Invalid or missing authorization header")]
    Unauthorized,
    /// The account may do nothing.
    #[error("This account is disabled: ask an administrator of this server")]
    AccountDisabled,
    /// The token or the account may not do this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The account asks faster than it may.
    #[error("This account sends more requests a second than it may: wait, and send fewer")]
    TooFast(Duration),
    /// Too many attempts to get in have failed.
    #[error("Too many attempts from this address have failed: wait, and check what it sends")]
    TooManyFailures(Duration),
    /// A token name that cannot be.
    #[error("Invalid token name")]
    TokenName(#[from] InvalidTokenName),
    /// A scope that cannot be.
    #[error("Invalid scope")]
    Scope(#[from] InvalidScope),
    /// A name prefix that cannot be.
    #[error("Invalid name prefix")]
    Prefix(#[from] InvalidNamePrefix),
    /// An end that cannot be.
    #[error("A token ends between one second and ten years from now")]
    Expiry,
    /// The new token would be more than the one that asks.
    #[error("A token cannot make one that may do more, or lasts longer, than itself")]
    ExceedsToken,
    /// No such token.
    #[error("Token not found")]
    TokenNotFound,
    /// No such account.
    #[error("Account not found")]
    AccountNotFound,
    /// An administrator would lock itself out.
    #[error("An administrator cannot disable or demote its own account: ask another one")]
    OwnAccount,
    /// A quota that cannot be.
    #[error("{0} is a whole number in the bounds of its setting, or null")]
    Quota(&'static str),
    /// A reason that is none, or too long.
    #[error("reason must say something, in at most 500 characters")]
    Reason,
    /// Nobody holds the lock.
    #[error("Lock not held")]
    LockNotHeld,
    /// The request is none, or too large a one.
    #[error("The request is not well-formed HTTP/1.1, or its head is too large")]
    Malformed(StatusCode),
    /// It would be answered piece by piece, which HTTP/1.0 cannot tell from a part of it.
    #[error(
        "This is sent as it is read, and over HTTP/1.0 one that breaks off looks whole: ask with HTTP/1.1 \
         (nginx: proxy_http_version 1.1)"
    )]
    NeedsHttp11,
    /// An entry of the audit log cannot be read.
    #[error(
        "An entry of the audit log is damaged, or of a later octostore: the server's log says which; what \
         came before it is shown with ?before="
    )]
    AuditUnreadable(#[from] Unreadable),
    /// As many connections are open as may be.
    #[error("Too many connections; nothing was executed: try again later")]
    TooManyConnections,
    /// No such path.
    #[error("No such path")]
    UnknownPath,
    /// A known path, asked in a way it does not answer to.
    #[error("This path only answers to {allow}")]
    MethodNotAllowed {
        /// As in the `Allow` header.
        allow: String,
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
    Body(String),
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
    LockLimit(Quota),
    /// A full mailbox. Nothing was executed.
    #[error("The server is overloaded; nothing was executed: try again later")]
    Overloaded,
    /// The disk is full. Nothing was executed.
    #[error("The server's disk is full; nothing was executed: try again later")]
    StoreFull,
    /// 2^53 − 1 grants were made.
    #[error("No fencing token is left")]
    NoToken,
    /// One backup at a time.
    #[error("Another backup is being made or fetched: try again when it is done")]
    BackupBusy,
    /// The server cannot read or write its disk.
    #[error("The backup could not be made: the server's log says why")]
    BackupFailed,
    /// Nobody can say whether it was executed.
    #[error("The server is going down; whether this was executed is unknown")]
    OutcomeUnknown,
    /// A name that no limiter can have.
    #[error("Invalid rate limit name")]
    LimitName(#[from] InvalidLimitName),
    /// A policy out of bounds.
    #[error(transparent)]
    Policy(#[from] InvalidPolicy),
    /// No such limiter.
    #[error("Rate limit not found")]
    LimitNotFound,
    /// A name that no flag can have.
    #[error("Invalid flag name")]
    FlagName(#[from] InvalidFlagName),
    /// A percentage out of bounds.
    #[error(transparent)]
    Percentage(#[from] InvalidPercentage),
    /// No such flag.
    #[error("Feature flag not found")]
    FlagNotFound,
    /// A key that cannot be.
    #[error("Invalid config key")]
    ConfigKey(#[from] InvalidConfigKey),
    /// Too long a description.
    #[error("Invalid description")]
    Description(#[from] InvalidDescription),
    /// A version that cannot be.
    #[error("version must be a whole number from 1")]
    Version,
    /// Too large a value.
    #[error("The value may have at most {limit} bytes of JSON")]
    ValueTooLarge {
        /// In bytes.
        limit: usize,
    },
    /// Too deeply nested a value.
    #[error("The value may be nested at most {limit} deep")]
    TooDeep {
        /// Arrays and objects within each other.
        limit: usize,
    },
    /// No such key or version.
    #[error("Config not found")]
    ConfigNotFound,
    /// No such version of a config.
    #[error("Config not found")]
    VersionNotFound,
    /// Something else is there than the caller expected.
    #[error("The config is not in the state that If-Match or If-None-Match expects: read it again")]
    Unexpected,
    /// The account has as much configuration as it may.
    #[error(
        "This account may have {} config keys and {} bytes of values, history included: delete some first",
        .0.keys.get(), .0.bytes
    )]
    TooMuchConfig(ConfigQuota),
    /// The account has as many as it may.
    #[error("This account has {} {what}, as many as it may: delete some first", .quota.get())]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        quota: Quota,
    },
    /// The browser that comes back is not the one that went, or comes too late or again.
    #[error(
        "The state is not that of a sign-in that this browser has begun and not ended: sign in \
         again"
    )]
    InvalidState,
    /// The person, or the provider, did not want to.
    #[error("The provider did not let you sign in: sign in again if you did not mean to refuse")]
    SignInDenied,
    /// It does not come from a page of this server.
    #[error("This is for the page of the dashboard alone: load that again, and try once more")]
    NotFromHere,
    /// The provider did not say who it is.
    #[error("The sign-in failed: sign in again; if it fails again, the server's log says why")]
    SignInFailed,
    /// The provider does not answer.
    #[error("The sign-in provider does not answer as it should: try again later")]
    ProviderUnavailable,
    /// The person is known, and may not enter.
    #[error("You may not sign in here: ask the operator of this server to let you in")]
    SignInNotAllowed,
    /// Signing in needs a provider.
    #[error("Sign-in is not configured on this server: use a token it was configured with")]
    SignInNotConfigured,
}

impl From<Lost> for ApiError {
    fn from(error: Lost) -> Self {
        match error {
            Lost::StoreFull => Self::StoreFull,
            Lost::Overloaded => Self::Overloaded,
            Lost::OutcomeUnknown => Self::OutcomeUnknown,
        }
    }
}

/// How long whoever is turned away should wait, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

impl ApiError {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status_and_code().0
    }

    /// The status, and the stable word for programs.
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::AccountDisabled => (StatusCode::FORBIDDEN, "account_disabled"),
            Self::Denied(Denied::NotAdmin) => (StatusCode::FORBIDDEN, "not_an_administrator"),
            Self::Denied(_) => (StatusCode::FORBIDDEN, "insufficient_scope"),
            Self::TooFast(_) => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::TooManyFailures(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_failures"),
            Self::TokenName(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_token_name"),
            Self::Scope(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_scope"),
            Self::Prefix(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_prefix"),
            Self::Expiry => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_expiry"),
            Self::ExceedsToken => (StatusCode::FORBIDDEN, "exceeds_token"),
            Self::TokenNotFound => (StatusCode::NOT_FOUND, "token_not_found"),
            Self::AccountNotFound => (StatusCode::NOT_FOUND, "account_not_found"),
            Self::OwnAccount => (StatusCode::CONFLICT, "own_account"),
            Self::Quota(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_quota"),
            Self::Reason => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_reason"),
            Self::LockNotHeld => (StatusCode::NOT_FOUND, "lock_not_held"),
            Self::Malformed(status) => (*status, "malformed_request"),
            Self::NeedsHttp11 => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "http_version_too_old"),
            Self::TooManyConnections => (StatusCode::SERVICE_UNAVAILABLE, "too_many_connections"),
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
            Self::ValueTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "body_broken"),
            Self::LockNotOwned => (StatusCode::NOT_FOUND, "lock_not_owned"),
            Self::LockLimit(_) => (StatusCode::FORBIDDEN, "lock_limit_exceeded"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Self::StoreFull => (StatusCode::SERVICE_UNAVAILABLE, "storage_full"),
            Self::NoToken => (StatusCode::SERVICE_UNAVAILABLE, "tokens_exhausted"),
            Self::BackupBusy => (StatusCode::SERVICE_UNAVAILABLE, "backup_busy"),
            Self::BackupFailed => (StatusCode::INTERNAL_SERVER_ERROR, "backup_failed"),
            Self::AuditUnreadable(_) => (StatusCode::INTERNAL_SERVER_ERROR, "audit_unreadable"),
            Self::OutcomeUnknown => (StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown"),
            Self::LimitName(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_limit_name"),
            Self::Policy(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_policy"),
            Self::LimitNotFound => (StatusCode::NOT_FOUND, "limit_not_found"),
            Self::FlagName(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_flag_name"),
            Self::Percentage(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_percentage"),
            Self::FlagNotFound => (StatusCode::NOT_FOUND, "flag_not_found"),
            Self::ConfigKey(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_config_key"),
            Self::Description(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_description"),
            Self::Version => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_version"),
            Self::TooDeep { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "value_too_deep"),
            Self::ConfigNotFound | Self::VersionNotFound => {
                (StatusCode::NOT_FOUND, "config_not_found")
            }
            Self::Unexpected => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            Self::TooMuchConfig(_) | Self::TooMany { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "quota_exceeded")
            }
            Self::InvalidState => (StatusCode::UNAUTHORIZED, "invalid_state"),
            Self::SignInDenied => (StatusCode::UNAUTHORIZED, "sign_in_denied"),
            Self::NotFromHere => (StatusCode::FORBIDDEN, "csrf_token_required"),
            Self::SignInFailed => (StatusCode::UNAUTHORIZED, "sign_in_failed"),
            Self::ProviderUnavailable => (StatusCode::BAD_GATEWAY, "provider_unavailable"),
            Self::SignInNotAllowed => (StatusCode::FORBIDDEN, "sign_in_not_allowed"),
            Self::SignInNotConfigured => (StatusCode::NOT_FOUND, "sign_in_not_configured"),
        }
    }

    /// The stable word for programs.
    pub fn code(&self) -> &'static str {
        self.status_and_code().1
    }

    /// Counts why a request could not be served now.
    pub fn count(&self, unavailable: &Unavailable) {
        if let Self::Overloaded = self {
            unavailable.overloaded.add_one();
        } else if let Self::StoreFull = self {
            unavailable.storage_full.add_one();
        } else if let Self::OutcomeUnknown = self {
            unavailable.outcome_unknown.add_one();
        } else if let Self::NoToken = self {
            unavailable.tokens_exhausted.add_one();
        }
    }

    /// What more there is to say.
    fn details(&self) -> Option<String> {
        match self {
            Self::LockName(why) => Some(why.to_string()),
            Self::Metadata(why) => Some(why.to_string()),
            Self::Owner(why) => Some(why.to_string()),
            Self::LimitName(why) => Some(why.to_string()),
            Self::FlagName(why) => Some(why.to_string()),
            Self::ConfigKey(why) => Some(why.to_string()),
            Self::Description(why) => Some(why.to_string()),
            Self::TokenName(why) => Some(why.to_string()),
            Self::Scope(why) => Some(why.to_string()),
            Self::Prefix(why) => Some(why.to_string()),
            Self::Body(why) => Some(why.clone()),
            Self::LeaseId => Some("a lease_id is a UUID, as the acquire answered it".to_owned()),
            Self::Query(name) => Some(wanted(name).to_owned()),
            Self::VersionNotFound => Some(
                "this version is not kept, or there is no such key: its history lists what is"
                    .to_owned(),
            ),
            Self::UnknownPath => {
                Some("a '/' in a name is sent as %2F; /docs has every path".to_owned())
            }
            Self::Unauthorized
            | Self::AccountDisabled
            | Self::AccountNotFound
            | Self::OwnAccount
            | Self::Quota(_)
            | Self::Reason
            | Self::LockNotHeld
            | Self::Denied(_)
            | Self::TooFast(_)
            | Self::TooManyFailures(_)
            | Self::Expiry
            | Self::ExceedsToken
            | Self::TokenNotFound
            | Self::Malformed(_)
            | Self::NeedsHttp11
            | Self::TooManyConnections
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
            | Self::BackupBusy
            | Self::BackupFailed
            | Self::AuditUnreadable(_)
            | Self::OutcomeUnknown
            | Self::Policy(_)
            | Self::LimitNotFound
            | Self::Percentage(_)
            | Self::FlagNotFound
            | Self::Version
            | Self::ValueTooLarge { .. }
            | Self::TooDeep { .. }
            | Self::ConfigNotFound
            | Self::Unexpected
            | Self::TooMuchConfig(_)
            | Self::TooMany { .. }
            | Self::InvalidState
            | Self::SignInDenied
            | Self::NotFromHere
            | Self::SignInFailed
            | Self::ProviderUnavailable
            | Self::SignInNotAllowed
            | Self::SignInNotConfigured => None,
        }
    }

    /// The body that says so.
    pub fn body(&self, request_id: &RequestId) -> Vec<u8> {
        let (_, code) = self.status_and_code();
        let body = ErrorBody {
            error: self.to_string(),
            details: self.details(),
            code,
            request_id: request_id.as_str(),
        };
        to_json(&body)
    }

    /// The answer that says so.
    pub fn respond(&self, request_id: &RequestId) -> Reply {
        let (status, _) = self.status_and_code();
        let mut reply = json_bytes(status, self.body(request_id));
        let headers = reply.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::MethodNotAllowed { allow } = self
            && let Ok(allow) = HeaderValue::try_from(allow)
        {
            headers.insert(ALLOW, allow);
        }
        if let Self::Denied(Denied::Scope(area, access)) = self {
            // RFC 6750, section 3.1.
            let challenge = format!(
                "Bearer error=\"insufficient_scope\", scope=\"{}:{}\"",
                area.as_str(),
                access.as_str()
            );
            if let Ok(challenge) = HeaderValue::try_from(challenge) {
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
        }
        if let Self::TooFast(wait) | Self::TooManyFailures(wait) = self {
            headers.insert(RETRY_AFTER, (wait.as_secs() + 1).into());
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        reply
    }
}

/// What a query parameter may be.
fn wanted(parameter: &str) -> &'static str {
    match parameter {
        "before" => "before is the id of an entry",
        "account" => "account is the id of an account",
        "action" => "action is a word of the log, as in flag.set",
        "since" => "since is a time, as in 2026-11-23T01:15:56Z",
        _ => "limit is a whole number from 1 to 1000",
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
