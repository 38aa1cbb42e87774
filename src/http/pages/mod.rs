//! Pages for people.
//!
//! - here: plain HTML that is made for one request, with no script;
//! - [`files`]: pages that are made of files, and those files.
//!
//! What always holds: whatever comes from outside stands in a page as text and as nothing else
//! ([`Text`]), and a page loads nothing from elsewhere, is framed by nobody, and sends forms to this
//! server alone.

mod files;

pub use files::{Page, asset, show};

use super::{Reply, empty, reply};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use hyper::{
    HeaderMap, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, LOCATION, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use sha2::{Digest, Sha256};
use std::{
    fmt::{self, Display, Write},
    sync::LazyLock,
};

/// An answer with a page of this title. `main` is HTML.
pub fn page(status: StatusCode, title: &str, main: &str) -> Reply {
    let title = Text(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"robots\" content=\"noindex\">\n\
         <title>{title} – OctoStore</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <main>\n<p class=\"name\">OctoStore</p>\n<h1>{title}</h1>\n{main}</main>\n</body>\n</html>\n"
    );
    let mut reply =
        reply(status, HeaderValue::from_static("text/html; charset=utf-8"), Bytes::from(html));
    let headers = reply.headers_mut();
    confine(headers, POLICY.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// `GET /`: whoever opens the address that the server says it listens on gets the page for people.
pub fn to_the_dashboard() -> Reply {
    let mut reply = empty(StatusCode::SEE_OTHER);
    reply.headers_mut().insert(LOCATION, HeaderValue::from_static("/dashboard"));
    reply
}

/// Puts a page in its bounds: this policy, no frames, no guessing of types, no referrer.
pub fn confine(headers: &mut HeaderMap, policy: HeaderValue) {
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// Text, in an element or in a quoted attribute: nothing in it is markup.
pub struct Text<T>(pub T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c {
            '&' => self.0.write_str("&amp;"),
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            c => self.0.write_char(c),
        })
    }
}

/// What a browser may do with a page. Our own style is allowed by its hash.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'"
    );
    #[expect(clippy::expect_used, reason = "visible ASCII, whatever the style is")]
    HeaderValue::try_from(policy).expect("a policy is a header")
});

const STYLE: &str = "
:root {
  color-scheme: light dark;
  --paper: #f3f5f7; --card: #ffffff; --line: #8b949e; --edge: #d5dbe1;
  --ink: #1b2026; --faint: #525c66; --go: #1a6b40; --on-go: #ffffff; --focus: #0b57d0;
  --warn: #fdf3d7; --warn-ink: #4a3800;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0e1217; --card: #171c23; --line: #7d8793; --edge: #2c343d;
    --ink: #e8edf2; --faint: #a5b0bb; --go: #7ad9a4; --on-go: #06210f; --focus: #8ab4f8;
    --warn: #3a2f0d; --warn-ink: #f6e2a8;
  }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
main { max-width: 32rem; margin: 4vh auto; padding: 1.5rem; background: var(--card);
  border: 1px solid var(--edge); border-radius: .75rem; }
.name { margin: 0; color: var(--faint); }
h1 { margin: .25rem 0 1rem; font-size: 1.5rem; line-height: 1.25; }
p, ul { margin: 0 0 1rem; }
ul { padding-left: 1.25rem; }
code, .code { font-family: ui-monospace, monospace; }
.code { margin: 0 0 1rem; padding: .75rem; border: 1px solid var(--edge); border-radius: .5rem;
  font-size: 1.75rem; letter-spacing: .1em; text-align: center; }
dl { margin: 0 0 1rem; }
dt { color: var(--faint); font-size: .875rem; }
dd { margin: 0 0 .75rem; }
dd ul { margin: 0; }
.warn { padding: .75rem; border-radius: .5rem; background: var(--warn); color: var(--warn-ink); }
label { display: block; margin-bottom: .25rem; font-weight: 600; }
input { width: 100%; margin-bottom: 1rem; padding: .75rem; font: 1.25rem ui-monospace, monospace;
  text-transform: uppercase; letter-spacing: .1em; color: inherit; background: transparent;
  border: 1px solid var(--line); border-radius: .5rem; }
::placeholder { color: var(--faint); opacity: 1; }
.do { display: flex; flex-wrap: wrap; gap: .75rem; }
button, a.button { flex: 1 1 8rem; min-height: 3rem; padding: .75rem 1rem; font: inherit;
  font-weight: 600; text-align: center; text-decoration: none; cursor: pointer;
  color: var(--ink); background: transparent; border: 1px solid var(--line); border-radius: .5rem; }
button.go, a.go { color: var(--on-go); background: var(--go); border-color: var(--go); }
a { color: inherit; }
a:focus-visible, button:focus-visible, input:focus-visible {
  outline: 3px solid var(--focus); outline-offset: 2px; }
@media (max-width: 30rem) { main { margin: 0 auto; padding: 1rem; } }
";

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn nothing_in_a_text_is_markup() {
        let hostile = "<b class=\"x\" id='y'>&amp;";
        let expected = "&lt;b class=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;";
        assert_eq!(Text(hostile).to_string(), expected);
        assert_eq!(Text("Zoë – ünï").to_string(), "Zoë – ünï");
    }

    #[tokio::test]
    async fn a_page_carries_its_style_and_the_headers_that_confine_it() {
        let reply = page(StatusCode::NOT_FOUND, "A & B", "<p>main</p>\n");
        assert_eq!(reply.status(), StatusCode::NOT_FOUND);
        let policy = reply.headers()["content-security-policy"].to_str().unwrap().to_owned();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        let body = std::str::from_utf8(&body).unwrap();
        assert!(
            body.contains("<title>A &amp; B – OctoStore</title>") && body.contains("<p>main</p>")
        );
        let style = body.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let hash = BASE64_STANDARD.encode(Sha256::digest(style));
        assert!(policy.contains(&format!("style-src 'sha256-{hash}'")), "{policy}");
        assert!(!policy.contains("unsafe") && !body.contains("<script"));
    }
}
