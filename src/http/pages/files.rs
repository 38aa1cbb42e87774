//! Pages without a framework, and the files that they are made of: nothing in them comes from
//! elsewhere, and their scripts make no markup out of text, which the policy forbids.

use super::confine;
use crate::http::{
    Context, Reply,
    error::ApiError,
    router::RawName,
    static_file::{StaticFile, answer},
};
use hyper::{
    StatusCode,
    header::{HeaderName, HeaderValue},
};
use std::sync::LazyLock;

/// What a page that is made of files may do: run and show those, and ask this server.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'none'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'",
);

const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A page that is made of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The interface for people: reads `/openapi.json`.
    Docs,
    /// What an account has, and what an administrator does.
    Dashboard,
}

/// `GET /docs`, `GET /dashboard`
pub fn show(context: &Context<'_>, page: Page) -> Reply {
    let mut reply = answer(context, &PAGES[page as usize]);
    if reply.status() == StatusCode::OK {
        confine(reply.headers_mut(), POLICY);
        reply.headers_mut().insert(OPENER_POLICY, SAME_ORIGIN);
        reply.headers_mut().insert(RESOURCE_POLICY, SAME_ORIGIN);
    }
    reply
}

/// `GET /assets/{file}`
pub fn asset(context: &Context<'_>, file: RawName<'_>) -> Result<Reply, ApiError> {
    let wanted = file.text();
    let known = ASSETS.iter().find(|(name, _)| *name == wanted);
    let (_, file) = known.ok_or(ApiError::UnknownPath)?;
    let mut reply = answer(context, file);
    if reply.status() == StatusCode::OK {
        reply.headers_mut().insert(RESOURCE_POLICY, SAME_ORIGIN);
    }
    Ok(reply)
}

/// In the order of [`Page`].
static PAGES: LazyLock<[StaticFile; 2]> = LazyLock::new(|| {
    [include_str!("docs.html"), include_str!("dashboard.html")]
        .map(|content| StaticFile::new("text/html; charset=utf-8", content))
});

/// By the name under `/assets`. `base.css` and `dom.js` are for all pages of this kind.
static ASSETS: LazyLock<[(&str, StaticFile); 13]> = LazyLock::new(|| {
    let css = |content| StaticFile::new("text/css; charset=utf-8", content);
    let js = |content| StaticFile::new("text/javascript; charset=utf-8", content);
    [
        ("base.css", css(include_str!("base.css"))),
        ("dom.js", js(include_str!("dom.js"))),
        ("docs.css", css(include_str!("docs.css"))),
        ("docs.js", js(include_str!("docs.js"))),
        ("docs-schema.js", js(include_str!("docs-schema.js"))),
        ("docs-try.js", js(include_str!("docs-try.js"))),
        ("dashboard.css", css(include_str!("dashboard.css"))),
        ("dashboard.js", js(include_str!("dashboard.js"))),
        ("dashboard-lib.js", js(include_str!("dashboard-lib.js"))),
        ("dashboard-views.js", js(include_str!("dashboard-views.js"))),
        ("dashboard-config.js", js(include_str!("dashboard-config.js"))),
        ("dashboard-admin.js", js(include_str!("dashboard-admin.js"))),
        ("icon.svg", StaticFile::new("image/svg+xml", include_str!("icon.svg"))),
    ]
});
