//! Files that are part of the program: answered with an entity tag of their content, so that
//! browsers ask whether they have changed and get them again only if so.

use super::{Context, Reply, empty, reply};
use bytes::Bytes;
use hyper::{
    HeaderMap, StatusCode,
    header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS},
};
use sha2::{Digest, Sha256};

/// A file and what it is.
#[derive(Debug)]
pub struct StaticFile {
    content_type: &'static str,
    content: &'static str,
    etag: HeaderValue,
}

impl StaticFile {
    /// This content, of this type.
    pub fn new(content_type: &'static str, content: &'static str) -> Self {
        let hash: String =
            Sha256::digest(content).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        #[expect(clippy::expect_used, reason = "hexadecimal digits and quotes")]
        let etag = HeaderValue::try_from(format!("\"{hash}\"")).expect("a possible header");
        Self { content_type, content, etag }
    }

    /// Whether the client has it already (RFC 9110, section 13.1.2).
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let known = |tag: &[u8]| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.etag.as_bytes()
        };
        let mut values = headers.get_all(IF_NONE_MATCH).iter();
        values.any(|value| value.as_bytes().split(|&byte| byte == b',').any(known))
    }
}

/// The file, or that it is still the same.
pub fn answer(context: &Context<'_>, file: &StaticFile) -> Reply {
    let mut reply = if file.is_known(&context.head.headers) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        let content = Bytes::from_static(file.content.as_bytes());
        let mut reply = reply(StatusCode::OK, HeaderValue::from_static(file.content_type), content);
        let nosniff = HeaderValue::from_static("nosniff");
        reply.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, nosniff);
        reply
    };
    let headers = reply.headers_mut();
    headers.insert(ETAG, file.etag.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_it_is_known_by_any_way_to_say_so() {
        let file = StaticFile::new("text/plain", "a");
        let other = StaticFile::new("text/plain", "b");
        assert_ne!(file.etag, other.etag);
        let etag = file.etag.to_str().unwrap();
        for (sent, known) in [
            (etag.to_owned(), true),
            (format!("W/{etag}"), true),
            (format!("\"x\", {etag}"), true),
            ("*".to_owned(), true),
            ("\"x\"".to_owned(), false),
            (etag.trim_matches('"').to_owned(), false),
        ] {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, sent.parse().unwrap())]);
            assert_eq!(file.is_known(&headers), known, "{sent}");
        }
        assert!(!file.is_known(&HeaderMap::new()));
    }
}
