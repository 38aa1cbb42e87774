//! Sending spans to a collector, over the same client as every other request of the server's own.

use super::TracesError;
use crate::auth::outbound::Outbound;
use openidconnect::url::Url;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use std::{fmt, pin::Pin};
use tokio::runtime::Handle;

/// Any of these says where to.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// What sends spans in batches, if the environment says where to. Must be called on a runtime, which
/// sends them.
///
/// # Errors
/// The environment says something that cannot be used.
pub fn provider(outbound: &Outbound) -> Result<Option<SdkTracerProvider>, TracesError> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let endpoints: Vec<String> = ENDPOINTS.into_iter().filter_map(set).collect();
    if endpoints.is_empty() {
        return Ok(None);
    }
    for endpoint in endpoints {
        if !Url::parse(&endpoint).is_ok_and(|url| outbound.may_ask(&url)) {
            return Err(TracesError(format!(
                "{endpoint} is neither https nor on this machine, as in http://127.0.0.1:4318"
            )));
        }
    }
    let client = Client { outbound: outbound.clone(), runtime: Handle::current() };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .build()
        .map_err(|error| TracesError(error.to_string()))?;
    let resource = Resource::builder();
    let resource = match set("OTEL_SERVICE_NAME") {
        Some(_) => resource,
        None => resource.with_service_name("octostore"),
    };
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build();
    Ok(Some(provider))
}

/// The client, for a thread that has no runtime of its own.
struct Client {
    outbound: Outbound,
    runtime: Handle,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let outbound = self.outbound.clone();
        let request = request.map(|body| body.to_vec());
        let sending = self.runtime.spawn(async move { outbound.send(request).await });
        Box::pin(async move { Ok(sending.await??.map(Bytes::from)) })
    }
}
