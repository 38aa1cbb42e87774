//! Sending spans to a collector, over the same client as every other request of the server's own.

use super::TracesError;
use crate::auth::outbound::{Outbound, OutboundError};
use hyper::Uri;
use openidconnect::url::{Origin, Url};
use opentelemetry::{Key, Value};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, ResourceDetector},
    trace::SdkTracerProvider,
};
use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::runtime::Handle;

/// Any of these says where to.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The samplers there are, and whether OTEL_TRACES_SAMPLER_ARG is their ratio.
const SAMPLERS: [(&str, bool); 6] = [
    ("always_on", false),
    ("always_off", false),
    ("traceidratio", true),
    ("parentbased_always_on", false),
    ("parentbased_always_off", false),
    ("parentbased_traceidratio", true),
];

/// What sends spans in batches, if the environment says where to. Must be called on a runtime, which
/// sends them.
///
/// # Errors
/// The environment says something that cannot be used.
pub fn provider(outbound: &Outbound) -> Result<Option<SdkTracerProvider>, TracesError> {
    let endpoints = ENDPOINTS.map(|name| variable(name).map(|endpoint| (name, endpoint)));
    if endpoints.iter().all(Option::is_none) || is_off()? {
        return Ok(None);
    }
    for (name, endpoint) in endpoints.into_iter().flatten() {
        check_endpoint(outbound, name, &endpoint)?;
    }
    check_sampler()?;
    let (outbound, runtime) = (outbound.clone(), Handle::current());
    let client = Client { outbound, runtime, fails: Arc::default() };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .build()
        .map_err(|error| TracesError(error.to_string()))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource())
        .build();
    Ok(Some(provider))
}

/// Whether the environment wants no traces, wherever it says they go.
fn is_off() -> Result<bool, TracesError> {
    let disabled = variable("OTEL_SDK_DISABLED");
    if disabled.is_some_and(|disabled| disabled.eq_ignore_ascii_case("true")) {
        return Ok(true);
    }
    match variable("OTEL_TRACES_EXPORTER").as_deref() {
        Some("none") => Ok(true),
        Some("otlp") | None => Ok(false),
        Some(exporter) => Err(TracesError(format!(
            "OTEL_TRACES_EXPORTER is {exporter}: give otlp, or none for no traces"
        ))),
    }
}

/// Whether spans may go there. There may be a password in it, or a key: no more of it is told than host
/// and port.
fn check_endpoint(outbound: &Outbound, name: &str, endpoint: &str) -> Result<(), TracesError> {
    let url = Url::parse(endpoint).ok();
    if url.as_ref().is_some_and(|url| outbound.may_ask(url)) && endpoint.parse::<Uri>().is_ok() {
        return Ok(());
    }
    let origin = url.map(|url| url.origin()).filter(Origin::is_tuple);
    let origin = origin.map(|origin| format!(", {},", origin.ascii_serialization()));
    Err(TracesError(format!(
        "{name}{} is no URL, or neither https nor on this machine, as in http://127.0.0.1:4318",
        origin.unwrap_or_default()
    )))
}

/// What the environment says of this server; its name, if that does not.
fn resource() -> Resource {
    let said = EnvResourceDetector::new().detect();
    let name = variable("OTEL_SERVICE_NAME").map(Value::from);
    let name = name.or_else(|| said.get(&Key::from_static_str("service.name")));
    Resource::builder().with_service_name(name.unwrap_or_else(|| "octostore".into())).build()
}

/// Whether the SDK knows that sampler. One that it does not it takes for one of everything, and says
/// nothing.
fn check_sampler() -> Result<(), TracesError> {
    let Some(sampler) = variable("OTEL_TRACES_SAMPLER") else { return Ok(()) };
    let Some((_, has_ratio)) = SAMPLERS.iter().find(|(name, _)| *name == sampler) else {
        let known = SAMPLERS.map(|(name, _)| name).join(", ");
        return Err(TracesError(format!("no sampler is called {sampler}: give one of {known}")));
    };
    let ratio = variable("OTEL_TRACES_SAMPLER_ARG");
    let is_one = |ratio: &str| ratio.parse().is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio));
    match ratio.filter(|_| *has_ratio) {
        Some(ratio) if !is_one(&ratio) => Err(TracesError(format!(
            "OTEL_TRACES_SAMPLER_ARG is {ratio}: give a number between 0 and 1, as in 0.01"
        ))),
        Some(_) | None => Ok(()),
    }
}

/// A variable that says something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The client, for a thread that has no runtime of its own.
struct Client {
    outbound: Outbound,
    runtime: Handle,
    /// Whether the last batch was not taken.
    fails: Arc<AtomicBool>,
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
        let (outbound, fails) = (self.outbound.clone(), Arc::clone(&self.fails));
        let request = request.map(|body| body.to_vec());
        let sending = self.runtime.spawn(async move {
            let answer = outbound.send(request).await;
            tell(&fails, &answer);
            answer
        });
        Box::pin(async move { Ok(sending.await??.map(Bytes::from)) })
    }
}

/// Says when a collector begins to take nothing, and when it takes something again: the SDK does not.
fn tell<T>(fails: &AtomicBool, answer: &Result<Response<T>, OutboundError>) {
    let error = match answer {
        Ok(answer) if answer.status().is_success() => None,
        Ok(answer) => Some(format!("it answered {}", answer.status())),
        Err(error) => Some(error.to_string()),
    };
    match (fails.swap(error.is_some(), Ordering::Relaxed), error) {
        (false, Some(error)) => tracing::warn!(
            error,
            "the collector does not take traces, and some may be lost: see whether it runs, and OTEL_…"
        ),
        (true, None) => tracing::info!("the collector takes traces again"),
        (true, Some(_)) | (false, None) => {}
    }
}
