//! `GET /metrics`: who may read them, and in which format.

use super::{Context, Reply, caller::administrator, error::ApiError, reply};
use crate::{
    app::Service, auth::address::Address, metrics::exposition::Format, settings::MetricsAccess,
    threads::aside,
};
use bytes::Bytes;
use hyper::{
    HeaderMap, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, FORWARDED, HeaderValue, VARY, VIA},
};
use octostore_actors::domain::account::scope::{Access, Area};
use std::sync::Arc;

/// `GET /metrics`
pub async fn page(context: &Context<'_>) -> Result<Reply, ApiError> {
    let open = match context.service.limits.metrics {
        MetricsAccess::Off => return Err(ApiError::UnknownPath),
        MetricsAccess::Open => true,
        MetricsAccess::Local => is_local(context.peer, &context.head.headers),
        MetricsAccess::Token => false,
    };
    if !open {
        administrator(context, (Area::AdminMetrics, Access::Read), "").await?;
    }
    let format = wanted(&context.head.headers);
    let page = written(context.service, format).await?;
    let content_type = HeaderValue::from_static(format.content_type());
    let mut reply = reply(StatusCode::OK, content_type, Bytes::from(page));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(reply)
}

/// The page, written where no connection waits for it.
async fn written(service: &Arc<Service>, format: Format) -> Result<String, ApiError> {
    let turn = service.exposition.turn().await;
    let service = Arc::clone(service);
    // Not one of the runtime's, which panics if there is none to be had, and keeps the turn.
    let writing = aside("metrics", move || {
        let page = service.exposition.page(format);
        // Also if the client is gone by now: the next page waits for this one.
        drop(turn);
        page
    });
    match writing.map_err(|_no_thread| ApiError::Overloaded)?.await {
        Ok(Ok(page)) => Ok(page),
        // It panicked, or there is a number that no format knows.
        Ok(Err(_)) | Err(_) => Err(ApiError::OutcomeUnknown),
    }
}

/// Whether whoever asks is on this machine, and asks for itself: a proxy says for whom it asks.
fn is_local(peer: Address, headers: &HeaderMap) -> bool {
    let here = match peer {
        Address::Ip(ip) => ip.to_canonical().is_loopback(),
        Address::Local => true,
    };
    let forwarded = headers.contains_key(FORWARDED)
        || headers.contains_key(VIA)
        || headers.keys().any(|name| name.as_str().starts_with("x-forwarded-"))
        || headers.contains_key("x-real-ip");
    here && !forwarded
}

/// The format that the client prefers; the older one if it does not say (RFC 9110, section 12.5.1).
fn wanted(headers: &HeaderMap) -> Format {
    let (mut open_metrics, mut plain) = (0.0, 0.0);
    for line in headers.get_all(ACCEPT) {
        for range in line.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1.0_f32, "");
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name.trim() {
                    "q" => quality = value.trim().parse().unwrap_or(0.0),
                    "version" => version = value.trim().trim_matches('"'),
                    _ => {}
                }
            }
            match (media_type.as_str(), version) {
                ("application/openmetrics-text", "" | "1.0.0") => {
                    open_metrics = quality.max(open_metrics);
                }
                ("text/plain", "" | "0.0.4") | ("text/*", _) => plain = quality.max(plain),
                _ => {}
            }
        }
    }
    if open_metrics > 0.0 && open_metrics >= plain {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn the_format_is_the_one_that_the_scraper_prefers() {
        let scraper = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                       application/openmetrics-text;version=0.0.1;q=0.4,\
                       text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, format) in [
            (scraper, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "text/plain;q=0.5, application/openmetrics-text; version=\"1.0.0\"; q=0.6",
                Format::OpenMetrics,
            ),
            ("text/plain, application/openmetrics-text;q=0.6", Format::Prometheus),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("application/openmetrics-text;version=2.0.0", Format::Prometheus),
            ("text/plain;version=0.0.4", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("q=;;,=,\u{7f}", Format::Prometheus),
        ] {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(accept) {
                headers.insert(ACCEPT, value);
            }
            assert_eq!(wanted(&headers), format, "{accept}");
        }
        assert_eq!(wanted(&HeaderMap::new()), Format::Prometheus);
    }

    #[test]
    fn whoever_comes_through_a_proxy_is_not_here() {
        let loopback = [Address::Local, Address::Ip([127, 0, 0, 1].into())];
        for peer in loopback {
            assert!(is_local(peer, &headers(&[("host", "x")])));
            for name in ["forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"] {
                assert!(!is_local(peer, &headers(&[(name, "")])), "{name}");
            }
        }
        assert!(!is_local(Address::Ip([10, 0, 0, 1].into()), &HeaderMap::new()));
        let mapped: std::net::IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        assert!(is_local(Address::Ip(mapped), &HeaderMap::new()));
    }
}
