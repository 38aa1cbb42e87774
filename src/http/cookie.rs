//! What a browser keeps for us.

use super::sign_in::header;
use hyper::{
    HeaderMap,
    header::{COOKIE, HeaderValue},
};
use std::time::Duration;

/// A cookie for this server alone, which no script reads.
pub struct Cookie {
    /// Its name without TLS.
    pub name: &'static str,
    /// Its name over TLS: with `__Host-`, which browsers take from this very host alone.
    pub name_over_tls: &'static str,
    /// How long it is kept.
    pub life: Duration,
    /// Whether it comes with a request that another site sends here: `Strict` or `Lax`.
    pub same_site: &'static str,
}

impl Cookie {
    /// The value of `Set-Cookie` that has the browser keep `value`: base64url and dots. An empty one
    /// removes it.
    pub fn set(&self, over_tls: bool, value: &str) -> HeaderValue {
        let Self { life, same_site, .. } = self;
        let name = self.name(over_tls);
        let age = if value.is_empty() { 0 } else { life.as_secs() };
        let secure = if over_tls { "; Secure" } else { "" };
        header(&format!(
            "{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite={same_site}{secure}"
        ))
    }

    /// What the browser has kept (RFC 6265, section 5.4).
    pub fn get<'a>(&self, over_tls: bool, headers: &'a HeaderMap) -> Option<&'a str> {
        let name = self.name(over_tls);
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        lines
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(known, value)| (known == name).then_some(value))
    }

    fn name(&self, over_tls: bool) -> &'static str {
        if over_tls { self.name_over_tls } else { self.name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: Cookie = Cookie {
        name: "test",
        name_over_tls: "__Host-test",
        life: Duration::from_secs(60),
        same_site: "Strict",
    };

    #[test]
    fn over_tls_a_cookie_is_of_this_host_alone() {
        let set = |over_tls, value| TEST.set(over_tls, value).to_str().unwrap().to_owned();
        assert_eq!(set(false, "a"), "test=a; Path=/; Max-Age=60; HttpOnly; SameSite=Strict");
        let over_tls = "__Host-test=a; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure";
        assert_eq!(set(true, "a"), over_tls);
        assert!(set(false, "").contains("Max-Age=0;"));
    }

    #[test]
    fn a_cookie_is_found_among_others_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        for line in ["a=1; test=2;b=3", "__Host-test=4; xtest=5"] {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        assert_eq!(TEST.get(false, &headers), Some("2"));
        assert_eq!(TEST.get(true, &headers), Some("4"));
        assert_eq!(TEST.get(false, &HeaderMap::new()), None);
    }
}
