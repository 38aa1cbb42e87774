//! OAuth 2 as it is spoken here: parameters, refusals, and the endpoint that hands out tokens
//! (RFC 6749, sections 3.2 and 5).

use super::{
    Context, Reply, accounts, device, error::ApiError, exchange, json_bytes, request_id::RequestId,
    to_json,
};
use crate::auth::device::{NoRoom, NotIn};
use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    body::Incoming,
    header::{CONTENT_LENGTH, HeaderValue, PRAGMA, RETRY_AFTER},
};
use octostore_actors::domain::account::scope::InvalidScope;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::Value;
use std::{collections::HashSet, fmt};

/// The largest body: an issuer's token of 16 KiB, and room to spare.
const BODY_LIMIT: usize = 32 * 1024;

/// The grant of RFC 8628.
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The grant of RFC 8693.
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// `POST /auth/token`: a token for whoever can show one of the grants.
pub async fn token(context: &Context<'_>, body: &mut Incoming) -> Reply {
    answered(context, grant(context, body).await)
}

/// What was asked for, or why not, as an answer that no cache keeps.
pub fn answered(context: &Context<'_>, result: Result<Reply, OAuthError>) -> Reply {
    match result {
        Ok(reply) => uncached(reply),
        Err(error) => {
            tracing::debug!(request_id = context.request_id.as_str(), %error, "refused");
            if let OAuthError::Api(error) = &error {
                error.count(&context.service.counts.unavailable);
            }
            error.respond(context.request_id)
        }
    }
}

async fn grant(context: &Context<'_>, body: &mut Incoming) -> Result<Reply, OAuthError> {
    let asked = Parameters::read(&context.read_anonymous(body, BODY_LIMIT).await?)?;
    match asked.required("grant_type")? {
        DEVICE_CODE if !context.service.providers.is_empty() => {
            device::token(context, &asked).await
        }
        TOKEN_EXCHANGE if !context.service.workload.is_empty() => {
            exchange::exchange(context, &asked).await
        }
        _ => Err(OAuthError::GrantType),
    }
}

/// The parameters of a request: a form (RFC 6749, appendix B) or a JSON object, whichever the
/// body looks like. One without a value counts as absent.
#[derive(Default)]
pub struct Parameters(Vec<(String, String)>);

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parameters(…)")
    }
}

impl Parameters {
    /// Reads the parameters of a body.
    ///
    /// # Errors
    /// It is no form and no JSON object of texts and numbers, or names a parameter twice.
    pub fn read(body: &[u8]) -> Result<Self, OAuthError> {
        // Forms with files have another form, in which none of ours would be found.
        if body.starts_with(b"--") {
            return Err(OAuthError::Body);
        }
        let looks_like_json = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        let all = if looks_like_json {
            let Object(all) = serde_json::from_slice(body).map_err(|_| OAuthError::Body)?;
            all
        } else {
            let text = std::str::from_utf8(body).map_err(|_| OAuthError::Body)?;
            form_urlencoded::parse(text.trim_ascii_end().as_bytes()).into_owned().collect()
        };
        let mut seen = HashSet::new();
        for (name, _) in &all {
            // Of these two there may be several (RFC 8693, section 2.1).
            if !matches!(name.as_str(), "audience" | "resource") && !seen.insert(name) {
                return Err(OAuthError::Twice);
            }
        }
        Ok(Self(all))
    }

    /// The value of a parameter, if it has one.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        (!value.is_empty()).then_some(value)
    }

    /// The value of a parameter that must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn required(&self, name: &'static str) -> Result<&str, OAuthError> {
        self.get(name).ok_or(OAuthError::Missing(name))
    }
}

/// The members of a JSON object in their order, those with the same name, too.
struct Object(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut all = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    let value = match value {
                        Value::String(text) => text,
                        Value::Null => String::new(),
                        // What is no parameter of ours is not looked at, whatever it is. One of
                        // ours must not be as good as absent: a scope that nobody can read would
                        // be the widest then.
                        Value::Number(_) | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                            value.to_string()
                        }
                    };
                    all.push((name, value));
                }
                Ok(Object(all))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Why there is no token (RFC 6749, section 5.2; RFC 8628, section 3.5; RFC 8693,
/// section 2.2.2). The messages keep to
/// the characters that `error_description` may have.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// The body is not what was expected.
    #[error("The body must be a form, or a JSON object, with the documented parameters")]
    Body,
    /// A parameter is there twice.
    #[error("A parameter is there twice: send each once")]
    Twice,
    /// A parameter is not there.
    #[error("{0} is required")]
    Missing(&'static str),
    /// A parameter is not as it must be.
    #[error("{0} must be {1}")]
    Parameter(&'static str, &'static str),
    /// A grant that is not known, or not configured.
    #[error("This server has no such grant_type, or is not configured for it")]
    GrantType,
    /// The token of the issuer is not accepted. Why is in the server's log alone.
    #[error("The subject_token is not accepted: the log of this server says why, at level debug")]
    SubjectToken,
    /// A terminal is not let in, or not yet.
    #[error(transparent)]
    NotIn(#[from] NotIn),
    /// No more terminals may wait.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// A scope that cannot be.
    #[error("{0}")]
    Scope(#[from] InvalidScope),
    /// More scope than there is to be had.
    #[error("The scope asks for more than the trust rule gives")]
    ScopeExceeds,
    /// The account may do nothing.
    #[error("The account is disabled: ask an administrator of this server")]
    Disabled,
    /// It cannot be said at present.
    #[error("{0}: nothing was executed, try again later")]
    Unavailable(&'static str),
    /// What any request can be refused for.
    #[error(transparent)]
    Api(ApiError),
}

impl From<ApiError> for OAuthError {
    fn from(error: ApiError) -> Self {
        if matches!(error, ApiError::AccountDisabled) { Self::Disabled } else { Self::Api(error) }
    }
}

impl OAuthError {
    /// The word for programs that know OAuth.
    fn word(&self) -> &'static str {
        match self {
            Self::Body
            | Self::Twice
            | Self::Missing(_)
            | Self::Parameter(..)
            | Self::SubjectToken
            | Self::Disabled => "invalid_request",
            Self::GrantType => "unsupported_grant_type",
            Self::Scope(_) | Self::ScopeExceeds => "invalid_scope",
            // RFC 8628, section 3.5.
            Self::NotIn(NotIn::Pending) => "authorization_pending",
            Self::NotIn(NotIn::SlowDown) => "slow_down",
            Self::NotIn(NotIn::Expired) => "expired_token",
            Self::NotIn(NotIn::Denied) => "access_denied",
            Self::NotIn(NotIn::Unknown) => "invalid_grant",
            Self::NoRoom(_) | Self::Unavailable(_) => "temporarily_unavailable",
            Self::Api(error) => match error.status() {
                StatusCode::TOO_MANY_REQUESTS => "temporarily_unavailable",
                status if status.is_server_error() => "temporarily_unavailable",
                _ => "invalid_request",
            },
        }
    }

    /// The word for programs that know this API: of what the server cannot do now it tells more.
    fn code(&self) -> &'static str {
        if let Self::Api(error) = self
            && error.status().is_server_error()
        {
            error.code()
        } else {
            self.word()
        }
    }

    /// The answer that says so.
    pub fn respond(&self, request_id: &RequestId) -> Reply {
        let body = to_json(&ErrorBody {
            error: self.word(),
            error_description: self.to_string(),
            code: self.code(),
            request_id: request_id.as_str(),
        });
        let reply = match self {
            // With its headers, of which some say when to try again.
            Self::Api(error) => {
                let (mut head, _) = error.respond(request_id).into_parts();
                head.headers.remove(CONTENT_LENGTH);
                Response::from_parts(head, Bytes::from(body).into())
            }
            Self::NoRoom(NoRoom::ThisAddress) => later(StatusCode::TOO_MANY_REQUESTS, "60", body),
            Self::NoRoom(NoRoom::Everywhere) => later(StatusCode::SERVICE_UNAVAILABLE, "60", body),
            Self::Unavailable(_) => later(StatusCode::SERVICE_UNAVAILABLE, "10", body),
            Self::Body
            | Self::Twice
            | Self::Missing(_)
            | Self::Parameter(..)
            | Self::GrantType
            | Self::SubjectToken
            | Self::Scope(_)
            | Self::ScopeExceeds
            | Self::NotIn(_)
            | Self::Disabled => json_bytes(StatusCode::BAD_REQUEST, body),
        };
        uncached(reply)
    }
}

/// No cache keeps it, not even one that knows HTTP/1.0 alone (RFC 6749, section 5.1).
fn uncached(reply: Reply) -> Reply {
    let mut reply = accounts::uncached(reply);
    reply.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    reply
}

/// An answer to whoever is to come back after so many seconds.
fn later(status: StatusCode, seconds: &'static str, body: Vec<u8>) -> Reply {
    let mut reply = json_bytes(status, body);
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(seconds));
    reply
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'static str,
    error_description: String,
    code: &'static str,
    request_id: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(body: &str, name: &str) -> Option<String> {
        Parameters::read(body.as_bytes()).unwrap().get(name).map(str::to_owned)
    }

    #[test]
    fn a_form_and_an_object_say_the_same() {
        for body in [
            "grant_type=a%3Ab&scope=x+y&empty=&n=5&audience=1&audience=2\r\n",
            r#" {"grant_type":"a:b","scope":"x y","empty":"","n":5,"audience":["1","2"],"u":{}}"#,
        ] {
            assert_eq!(get(body, "grant_type").as_deref(), Some("a:b"));
            assert_eq!(get(body, "scope").as_deref(), Some("x y"));
            assert_eq!(get(body, "n").as_deref(), Some("5"));
            assert_eq!(get(body, "empty"), None, "without a value it is not there");
            assert_eq!(get(body, "none"), None);
        }
        assert_eq!(get(r#"{"scope":null}"#, "scope"), None);
        let list = get(r#"{"scope":["locks:read"]}"#, "scope");
        assert_eq!(list.as_deref(), Some(r#"["locks:read"]"#), "there, and no scope");
    }

    #[test]
    fn a_parameter_is_there_once() {
        for body in [
            "scope=a&scope=b",
            "scope=&scope=b",
            r#"{"scope":"a","scope":"a"}"#,
            r#"{"scope":null,"scope":"a"}"#,
            "unknown=1&unknown=1",
        ] {
            let refused = Parameters::read(body.as_bytes()).unwrap_err();
            assert!(matches!(refused, OAuthError::Twice), "{body}");
        }
    }

    #[test]
    fn what_is_neither_form_nor_object_is_refused() {
        for body in [&b"{"[..], b"{}x", b"{\"a\":}", b"\xff\xfe", b"--x\r\nname=\"scope\""] {
            let refused = Parameters::read(body).unwrap_err();
            assert!(matches!(refused, OAuthError::Body), "{body:?}");
        }
        assert_eq!(get("", "grant_type"), None);
        assert_eq!(get("[1]", "grant_type"), None);
    }

    #[test]
    fn parameters_do_not_print_themselves() {
        let parameters = Parameters::read(b"subject_token=hunter2").unwrap();
        assert!(!format!("{parameters:?}").contains("hunter2"));
    }
}
