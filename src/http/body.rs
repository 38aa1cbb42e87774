//! Request bodies: bounded in size and in time, read as JSON whatever their content type.

use super::{error::ApiError, timer::within};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use serde::{Deserialize, Deserializer, de::Visitor};
use serde_json::error::Category;
use std::{fmt, time::Duration};

/// The largest body of a request, unless its domain says otherwise: metadata of 1,024 bytes,
/// however it is escaped, and room to spare.
pub const BODY_LIMIT: usize = 16 * 1024;

/// How much of a body that nobody wants is read, and thrown away, while the answer is on its way.
/// Whoever sends all of it before it looks for an answer, as proxies and most libraries do, would
/// find the connection broken otherwise, and no answer.
const LINGER: usize = 1024 * 1024;

/// Reads the whole body.
///
/// # Errors
/// It is larger than `limit`, slower than `deadline`, or breaks off.
pub async fn read(
    body: &mut Incoming,
    limit: usize,
    deadline: Duration,
) -> Result<Bytes, ApiError> {
    // What says of itself that it is too large is not kept at all.
    if body.size_hint().lower() > limit as u64 {
        return Err(ApiError::BodyTooLarge { limit });
    }
    match within(deadline, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::BodyTooLarge { limit }),
        Ok(Err(_)) => Err(ApiError::BodyBroken),
        Err(_) => Err(ApiError::BodyTimeout),
    }
}

/// Whether `body` does not say of itself that it is longer than what [`linger`] reads.
pub fn is_short(body: &Incoming) -> bool {
    body.size_hint().lower() <= LINGER as u64
}

/// Throws away what still comes of `body`, a bounded part of it, until `deadline` at the latest.
pub fn linger(mut body: Incoming, deadline: Duration) {
    let rest = async move {
        let mut left = LINGER;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(less) = left.checked_sub(length) else { return };
            left = less;
        }
    };
    drop(tokio::spawn(tokio::time::timeout(deadline, rest)));
}

/// Reads a JSON object.
///
/// # Errors
/// It is none, or a field has another type than documented.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ApiError> {
    // serde would take an array for a struct as well.
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        Some(b'{') => {}
        Some(b'[') => {
            return Err(ApiError::Body("an array, where a JSON object is wanted".to_owned()));
        }
        Some(_) => return Err(ApiError::Body("expected a JSON object".to_owned())),
        None => return Err(ApiError::Body("the body is empty".to_owned())),
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| ApiError::Body(format!("the body is not UTF-8: {error}")))?;
    serde_json::from_str(text).map_err(|error| ApiError::Body(what_is_wrong::<T>(text, &error)))
}

/// What is wrong with `text`, which was refused with `error`. It is read once more for that, to find
/// the field: no body that is taken pays for it.
fn what_is_wrong<'a, T: Deserialize<'a>>(text: &'a str, error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Eof => "the body ends too early".to_owned(),
        Category::Syntax | Category::Io => error.to_string(),
        Category::Data => {
            let mut reader = serde_json::Deserializer::from_str(text);
            match serde_path_to_error::deserialize::<_, T>(&mut reader) {
                Err(found) => wrong_type(&found.path().to_string(), &found.inner().to_string()),
                Ok(_) => error.to_string(),
            }
        }
    }
}

/// What serde says of the field at `path`, in the words of JSON, and without the value.
fn wrong_type(path: &str, said: &str) -> String {
    let message = said.rsplit_once(" at line ").map_or(said, |(message, _)| message);
    let Some((found, wanted)) =
        message.strip_prefix("invalid type: ").and_then(|types| types.rsplit_once(", expected "))
    else {
        // Of the whole, such as a field that is there twice, serde names the field itself.
        return if path == "." { message.to_owned() } else { format!("{path}: {message}") };
    };
    let found = match found.split_whitespace().next() {
        Some("string") => "a string",
        Some("integer" | "floating") => "a number",
        Some("boolean") => "a boolean",
        Some("sequence") => "an array",
        Some("map") => "an object",
        Some(_) | None => "something else",
    };
    format!("{path}: {found}, where {wanted} is wanted")
}

/// A whole number as JSON writes it: `60` and `60.0` are the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Whole(f64);

impl Whole {
    /// The number, if it is one from zero up.
    pub fn as_u64(self) -> Option<u64> {
        let whole = self.0.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&self.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and in the bounds of what an f64 holds exactly"
        )]
        whole.then_some(self.0 as u64)
    }
}

/// The number that must be in `field`. What is no whole number is as far out of bounds as zero, so
/// that is what it becomes.
///
/// # Errors
/// It is not there.
pub fn whole(number: Option<Whole>, field: &'static str) -> Result<u64, ApiError> {
    Ok(number.ok_or(ApiError::MissingField(field))?.as_u64().unwrap_or(0))
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(WholeVisitor)
    }
}

/// Takes every number, as `f64` does, and says of anything else what is wanted.
struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Whole, E> {
        Ok(Whole(number))
    }

    #[expect(clippy::cast_precision_loss, reason = "what is not exact is out of all bounds")]
    fn visit_u64<E>(self, number: u64) -> Result<Whole, E> {
        Ok(Whole(number as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "what is not exact is out of all bounds")]
    fn visit_i64<E>(self, number: i64) -> Result<Whole, E> {
        Ok(Whole(number as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Example {
        n: Option<Whole>,
    }

    fn n(text: &str) -> Result<Option<Whole>, ApiError> {
        parse::<Example>(text.as_bytes()).map(|example| example.n)
    }

    #[test]
    fn whole_numbers_are_read_as_json_means_them() {
        for (text, expected) in [
            ("60", Some(60)),
            ("60.0", Some(60)),
            ("6e1", Some(60)),
            ("-1", None),
            ("0.5", None),
            ("1e300", None),
            ("99999999999999999999", None),
        ] {
            let whole = n(&format!("{{\"n\":{text},\"unknown\":[1]}}")).unwrap().unwrap();
            assert_eq!(whole.as_u64(), expected, "{text}");
        }
        assert!(n("{\"n\":null}").unwrap().is_none(), "null counts as absent");
        assert!(n("{}").unwrap().is_none());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in
            ["", " ", "[60]", "60", "null", "{", "{\"n\":\"60\"}", "{\"n\":1,\"n\":2}", "{}x"]
        {
            assert!(matches!(n(text), Err(ApiError::Body(_))), "{text:?}");
        }
    }
}
