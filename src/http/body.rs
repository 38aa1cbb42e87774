//! Request bodies: bounded in size and in time, read as JSON whatever their content type.

use super::{error::ApiError, timer::within};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use serde::{Deserialize, Deserializer};
use std::time::Duration;

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
    if first.is_some_and(|&byte| byte != b'{') {
        let expected = serde::de::Error::custom("expected a JSON object");
        return Err(ApiError::Body(expected));
    }
    let text = std::str::from_utf8(bytes).map_err(serde::de::Error::custom);
    text.and_then(serde_json::from_str).map_err(ApiError::Body)
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
        f64::deserialize(deserializer).map(Self)
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
