//! The id by which one request is found again in logs and answers.

use crate::ids;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries it, both ways.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken over from a caller.
const MAX_LENGTH: usize = 128;

/// The caller's own id if it sent a sane one, or a new one.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id of the request with these headers.
    pub fn of(headers: &HeaderMap) -> Self {
        if let Some(own) = headers.get(X_REQUEST_ID).filter(|value| is_sane(value.as_bytes())) {
            return Self(own.clone());
        }
        let new = HeaderValue::from_bytes(ids::request_id().as_bytes());
        // Hexadecimal digits are a possible header value.
        Self(new.unwrap_or(HeaderValue::from_static("none")))
    }

    /// As text, which is looked through for this: not for every request.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As a header.
    pub fn into_header(self) -> HeaderValue {
        self.0
    }
}

/// Nothing that could be mistaken for anything in a header, a log line or a JSON string.
fn is_sane(id: &[u8]) -> bool {
    let sane = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'.' | b'_' | b'-' | b':' | b'/' | b'+' | b'=' | b'@' | b'|')
    };
    (1..=MAX_LENGTH).contains(&id.len()) && id.iter().all(sane)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(sent: Option<&'static str>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(sent) = sent {
            headers.insert(X_REQUEST_ID, HeaderValue::from_static(sent));
        }
        RequestId::of(&headers).as_str().to_owned()
    }

    #[test]
    fn a_sane_id_is_kept_and_others_are_replaced() {
        assert_eq!(id_of(Some("trace-7:a/b")), "trace-7:a/b");
        for sent in [None, Some(""), Some("a b"), Some("\"x\"")] {
            assert_eq!(id_of(sent).len(), 25, "{sent:?}");
        }
    }
}
