//! The query of a list: `prefix`, `limit`, `after`. Every domain lists this way.

use super::error::ApiError;
use hyper::http::request::Parts;
use octostore_actors::domain::page::{PageLimit, Selection};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// Reads which names of a list are wanted. Unknown parameters do not count, and an empty one is as good as
/// none, except for a limit.
///
/// # Errors
/// A limit that is none.
pub fn selection(query: Option<&str>) -> Result<Selection, ApiError> {
    let text = |wanted| first(query, wanted).filter(|value| !value.is_empty()).map(Into::into);
    let limit = match first(query, "limit") {
        Some(value) => {
            let limit = value.parse().ok().and_then(PageLimit::new);
            limit.ok_or(ApiError::Query("limit"))?
        }
        None => PageLimit::default(),
    };
    Ok(Selection { prefix: text("prefix").unwrap_or_default(), after: text("after"), limit })
}

/// The value of a query parameter, if it is there.
pub fn parameter<'a>(head: &'a Parts, wanted: &str) -> Option<Cow<'a, str>> {
    first(head.uri.query(), wanted)
}

/// The same, byte by byte: it need not be text.
pub fn bytes(head: &Parts, wanted: &str) -> Option<Vec<u8>> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).collect::<Vec<u8>>();
    let mut pairs =
        head.uri.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(name, _)| decoded(name) == wanted.as_bytes()).map(|(_, value)| decoded(value))
}

/// The value of a parameter. Of several with one name the first counts, in every query.
fn first<'a>(query: Option<&'a str>, wanted: &str) -> Option<Cow<'a, str>> {
    let mut parameters = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    parameters.find(|(name, _)| name == wanted).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_without_parameters_is_the_whole_list() {
        assert_eq!(selection(None).unwrap(), Selection::default());
        assert_eq!(selection(Some("unknown=1&after=")).unwrap(), Selection::default());
    }

    #[test]
    fn what_is_no_text_is_told_apart_byte_by_byte_and_text_is_what_it_always_was() {
        let read = |query: &str| {
            let request = hyper::Request::get(format!("/flags/f?{query}")).body(()).unwrap();
            let head = request.into_parts().0;
            (bytes(&head, "key"), parameter(&head, "key").map(Cow::into_owned))
        };
        assert_ne!(read("key=user%e0").0, read("key=user%e1").0);
        assert_eq!(read("key=%ff%00").0.unwrap(), [255, 0]);
        let same =
            ["", "a", "key", "key=", "key=a", "a=b&key=c&key=d", "k%65y=a+b%2Bc%26&x", "key=%zz"];
        for query in same.into_iter().chain(["key=%c3%bc", "key==", "&&key=a=b", "keys=a", "Key=a"])
        {
            let (bytes, text) = read(query);
            assert_eq!(bytes.map(|bytes| String::from_utf8(bytes).unwrap()), text, "{query}");
        }
    }

    #[test]
    fn parameters_are_decoded_and_bounded() {
        let wanted = selection(Some("prefix=jobs%2F&limit=2&after=jobs%2Fa")).unwrap();
        assert_eq!((&*wanted.prefix, wanted.after.as_deref()), ("jobs/", Some("jobs/a")));
        let wanted = selection(Some("limit=2&prefix=a&limit=x&prefix=b&after=&after=a")).unwrap();
        assert_eq!((&*wanted.prefix, wanted.after, wanted.limit.get()), ("a", None, 2));
        for bad in ["limit=0", "limit=1001", "limit=x", "limit=", "limit=-1"] {
            assert!(matches!(selection(Some(bad)), Err(ApiError::Query("limit"))), "{bad}");
        }
    }
}
