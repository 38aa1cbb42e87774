//! Whatever anybody sends is read or refused, and brings nothing down.
//!
//! `cargo test` runs these over the kept corpus (in `__fuzz__`) and some random input. To search on
//! for longer: `cargo bolero test http::fuzz::request_line`, with `cargo install cargo-bolero`.

use super::{body, caller, config, flags, limits, locks, query, router::Resource};
use crate::auth::BearerToken;
use bolero::check;
use hyper::{HeaderMap, header::AUTHORIZATION, http::HeaderValue};
use octostore_actors::domain::values::LockName;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

#[test]
fn lock_name() {
    check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(name) = LockName::new(&text) else { return };
        assert!((1..=128).contains(&name.as_str().len()) && name.as_str() == text);
        assert!(!text.starts_with('/') && !text.ends_with('/') && !text.contains("//"));
        // It is found again in a path, however it is written there.
        let path = format!("/locks/{}/acquire", utf8_percent_encode(&text, NON_ALPHANUMERIC));
        let Some(Resource::LockAction(raw, _)) = Resource::of(&path) else { panic!("{path}") };
        assert_eq!(raw.decode().unwrap(), text);
    });
}

#[test]
fn auth_header() {
    check!().for_each(|bytes: &[u8]| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, value.clone());
        let Some(token) = caller::bearer(&headers) else { return };
        assert!((1..=BearerToken::MAX_LENGTH).contains(&token.len()));
        assert!(bytes[..7].eq_ignore_ascii_case(b"Bearer "));
        assert_eq!(token, token.trim_ascii());
        headers.append(AUTHORIZATION, value);
        assert!(caller::bearer(&headers).is_none(), "two are none");
    });
}

#[test]
fn json_body() {
    check!().for_each(|bytes: &[u8]| {
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        let read = [
            body::parse::<locks::AcquireBody>(bytes).is_ok(),
            body::parse::<locks::RenewBody>(bytes).is_ok(),
            body::parse::<locks::ReleaseBody>(bytes).is_ok(),
            body::parse::<limits::CheckBody>(bytes).is_ok(),
            body::parse::<flags::SetBody>(bytes).is_ok(),
            body::parse::<config::PutBody<'_>>(bytes).is_ok(),
        ];
        if read.contains(&true) {
            assert_eq!(first, Some(&b'{'), "only an object is read");
            assert!(serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok());
        }
        if let Ok(text) = std::str::from_utf8(bytes) {
            assert!(config::depth(text) <= text.len());
        }
    });
}

#[test]
fn request_line() {
    check!().for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let (method, target) = text.split_once(' ').unwrap_or(("GET", text));
        let Ok(uri) = target.parse::<hyper::Uri>() else { return };
        let selection = query::selection(uri.query());
        assert!(selection.is_err() || selection.is_ok_and(|some| some.limit.get() >= 1));
        let Some(resource) = Resource::of(uri.path()) else { return };
        let allowed = resource.methods().contains(&method);
        assert_eq!(resource.verb(method).is_some(), allowed);
        assert!(uri.path().split('/').count() <= 6, "no path of ours is deeper");
        if let Resource::Lock(name) | Resource::LockAction(name, _) = resource {
            // Decoded once, or refused.
            let _either = name.decode();
        }
    });
}
