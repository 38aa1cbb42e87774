//! Where browsers find this server.

use openidconnect::url::Url;
use std::{fmt, str::FromStr};

/// Scheme, host and port of this server, as browsers see it: `https://octostore.example`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin(String);

/// Not a [`WebOrigin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wanted http:// or https:// and a host, with nothing behind it, as in https://a.example")]
pub struct InvalidWebOrigin;

impl WebOrigin {
    /// Where a URL of this server is.
    pub fn of(url: &Url) -> Option<Self> {
        let of_the_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        of_the_web.then(|| Self(url.origin().ascii_serialization()))
    }

    /// What a `Host` header says, if that is a host, or a host and a port, and nothing else. There
    /// is no TLS on this server's own sockets.
    pub fn of_host(header: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        (header.len() <= 255 && header.bytes().all(plain)).then_some(())?;
        format!("http://{header}").parse().ok()
    }

    /// Whether browsers come over TLS.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }
}

impl FromStr for WebOrigin {
    type Err = InvalidWebOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidWebOrigin> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").ok_or(InvalidWebOrigin)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        // What Url would make something of: paths, users, and what stands for either.
        let strange = |c: char| !c.is_ascii_graphic() || "/\\?#@%".contains(c);
        if !["http", "https"].contains(&&*scheme.to_ascii_lowercase())
            || authority.contains(strange)
        {
            return Err(InvalidWebOrigin);
        }
        Url::parse(text).ok().as_ref().and_then(Self::of).ok_or(InvalidWebOrigin)
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_alone() {
        for (text, origin) in [
            ("https://octostore.example", "https://octostore.example"),
            (" HTTPS://OctoStore.example/ ", "https://octostore.example"),
            ("http://10.0.0.1:3000", "http://10.0.0.1:3000"),
            ("http://[::1]:3000/", "http://[::1]:3000"),
            ("https://octostore.example:443", "https://octostore.example"),
        ] {
            assert_eq!(text.parse::<WebOrigin>().map(|origin| origin.to_string()).unwrap(), origin);
        }
        for bad in [
            "",
            "octostore.example",
            "//octostore.example",
            "https:octostore.example",
            "https://",
            "https:///a",
            "https://a/b",
            "https://a/..",
            "https://a//",
            "https://a?b",
            "https://a#b",
            "https://user@a",
            "https://a\\b",
            "https://a%2fb",
            "https://a b",
            "https://a:99999",
            "ftp://a",
            "javascript://a",
        ] {
            assert_eq!(bad.parse::<WebOrigin>(), Err(InvalidWebOrigin), "{bad:?}");
        }
    }

    #[test]
    fn of_a_host_header_nothing_but_a_host_is_believed() {
        for (header, origin) in [
            ("localhost:3000", "http://localhost:3000"),
            ("octo_store.internal", "http://octo_store.internal"),
            ("[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(WebOrigin::of_host(header).unwrap().to_string(), origin);
        }
        let long = "a".repeat(256);
        for bad in
            ["", ":80", "a/b", "a@b", "a?b", "a b", "a,b", "[::1", "a:b", "a\"", "<b>", &long]
        {
            assert_eq!(WebOrigin::of_host(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_url_of_this_server_says_where_it_is() {
        let url = "https://a.example:8443/auth/github/callback?x=y".parse().unwrap();
        let origin = WebOrigin::of(&url).unwrap();
        assert_eq!(
            (origin.to_string().as_str(), origin.is_https()),
            ("https://a.example:8443", true)
        );
        assert!(!WebOrigin::of_host("a").unwrap().is_https());
        assert_eq!(WebOrigin::of(&"data:text/plain,a".parse().unwrap()), None);
    }
}
