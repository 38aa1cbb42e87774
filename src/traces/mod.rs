//! Traces for OpenTelemetry, in a server that is built with the feature `otel`: of each request that
//! is sampled a span, with a `hop` to an actor and back in it, the `commit`s that it waited for, and
//! the `reply`.
//!
//! Without the feature all of this is nothing, and costs nothing.

#[cfg(feature = "otel")]
mod export;
#[cfg(not(feature = "otel"))]
mod none;
#[cfg(feature = "otel")]
mod otel;

#[cfg(not(feature = "otel"))]
pub use none::{Commits, Hop, Traces, hop};
#[cfg(feature = "otel")]
pub use otel::{Commits, Hop, Traces, hop};

/// What a trace says of a request.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The template of its path.
    pub route: &'static str,
    /// Its method, if it is a known one.
    pub method: &'static str,
    /// What its answer carries as `x-request-id`.
    pub request_id: &'a str,
}

/// Why a server that was told to send traces cannot.
#[derive(Debug, thiserror::Error)]
#[error("the variables OTEL_… cannot be used: {0}")]
pub struct TracesError(pub String);
