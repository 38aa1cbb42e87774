//! The dashboard: one page, its scripts and its style, all inside the binary.
//!
//! The page knows no more than any client does: it asks the same paths, with the token of its
//! [`session`] in place of one in a header. It loads nothing from elsewhere, is framed by nobody,
//! and its scripts make no markup out of text: the policy forbids it.

pub mod session;

use super::{
    Context, Reply,
    error::ApiError,
    pages,
    router::{DashboardFile, ProviderPath},
    sign_in,
    static_file::{self, StaticFile},
};
use crate::auth::sign_in::attempt::Purpose;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_FRAME_OPTIONS};
use std::sync::LazyLock;

/// What a browser may do with the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; form-action 'none'; frame-ancestors 'none'; \
                      base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// `GET /dashboard` and what the page is made of.
pub fn file(context: &Context<'_>, file: DashboardFile) -> Reply {
    let mut reply = static_file::answer(context, content(file));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    reply
}

/// `GET /dashboard/sign-in/…`: sends the browser to a provider, and back to the dashboard.
pub async fn sign_in(context: &Context<'_>, path: ProviderPath<'_>) -> Result<Reply, ApiError> {
    sign_in::send_away(context, &sign_in::provider_id(path)?, Purpose::Dashboard).await
}

/// The page for whoever came back from a provider and was not signed in.
pub fn fail(error: &ApiError) -> Reply {
    let main = format!(
        "<p class=\"warn\" role=\"alert\">{}.</p>\n<div class=\"do\">\
         <a class=\"button go\" href=\"/dashboard\">Back to the dashboard</a></div>\n",
        pages::Text(error)
    );
    pages::page(error.status(), "You are not signed in", &main)
}

fn content(file: DashboardFile) -> &'static StaticFile {
    macro_rules! inside {
        ($content_type:literal, $name:literal) => {{
            static FILE: LazyLock<StaticFile> = LazyLock::new(|| {
                let kind = concat!($content_type, "; charset=utf-8");
                StaticFile::new(kind, include_str!(concat!("files/", $name)))
            });
            &FILE
        }};
    }
    match file {
        DashboardFile::Page => inside!("text/html", "page.html"),
        DashboardFile::Style => inside!("text/css", "style.css"),
        DashboardFile::App => inside!("text/javascript", "app.js"),
        DashboardFile::Lib => inside!("text/javascript", "lib.js"),
        DashboardFile::Views => inside!("text/javascript", "views.js"),
        DashboardFile::ConfigView => inside!("text/javascript", "config.js"),
        DashboardFile::AdminViews => inside!("text/javascript", "admin.js"),
    }
}
