//! A server that is built with traces. Times of spans come from the server's own clocks.

use super::{About, TracesError, export};
use crate::{auth::outbound::Outbound, clock::TimeSource};
use hyper::HeaderMap;
use octostore_actors::{sync::lock, time::Instant};
use opentelemetry::{
    Context as Parents, KeyValue,
    propagation::TextMapPropagator,
    trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider},
};
use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

/// How many of the last commits are remembered for those who may have waited for them.
const COMMITS: usize = 256;

/// How long the last spans may take to be sent.
const LAST_WORDS: Duration = Duration::from_secs(2);

tokio::task_local! {
    /// The request that is being answered.
    static CURRENT: Option<Arc<Open>>;
}

/// Where spans go, if anywhere.
pub struct Traces(Option<Arc<Running>>);

struct Running {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
    time: Arc<dyn TimeSource>,
    commits: Commits,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traces")
    }
}

impl Traces {
    /// Sends spans to where `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`
    /// says, or nowhere. Must be called on a runtime.
    ///
    /// # Errors
    /// The environment says something that cannot be used.
    pub fn from_environment(
        outbound: &Outbound,
        time: &Arc<dyn TimeSource>,
    ) -> Result<Self, TracesError> {
        let running = export::provider(outbound)?.map(|provider| Running {
            tracer: provider.tracer("octostore"),
            provider,
            propagator: TraceContextPropagator::new(),
            time: Arc::clone(time),
            commits: Commits::default(),
        });
        Ok(Self(running.map(Arc::new)))
    }

    /// Who is told of commits.
    pub fn commits(&self) -> Commits {
        self.0.as_ref().map(|running| running.commits.clone()).unwrap_or_default()
    }

    /// A request begins. If its `traceparent` names a trace it belongs to that (W3C Trace Context,
    /// section 3.2); what is malformed is not looked at.
    pub fn begin<'a>(&self, headers: &HeaderMap, about: impl FnOnce() -> About<'a>) -> Trace {
        let Some(running) = &self.0 else { return Trace(None) };
        let about = about();
        let outside = Parents::new();
        let parents = running.propagator.extract_with_context(&outside, &HeaderExtractor(headers));
        let builder = running
            .tracer
            .span_builder(format!("{} {}", about.method, about.route))
            .with_kind(SpanKind::Server)
            .with_start_time(running.wall())
            .with_attributes([
                KeyValue::new("http.request.method", about.method),
                KeyValue::new("http.route", about.route),
                KeyValue::new("octostore.request_id", about.request_id.to_owned()),
            ]);
        let span = parents.with_span(builder.start_with_context(&running.tracer, &parents));
        if !span.span().is_recording() {
            return Trace(None);
        }
        let changes = !matches!(about.method, "GET" | "HEAD");
        let open =
            Open { running: Arc::clone(running), span, changes, heard: Mutex::new(running.wall()) };
        Trace(Some(Arc::new(open)))
    }

    /// Sends what is left. Waits for that, but not for long.
    pub fn stop(&self) {
        let Some(running) = &self.0 else { return };
        if let Err(error) = running.provider.shutdown_with_timeout(LAST_WORDS) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

impl Running {
    fn wall(&self) -> SystemTime {
        self.wall_at(self.time.now())
    }

    /// A span within another one.
    fn span(
        &self,
        name: &'static str,
        within: &Parents,
        (begun, fact): (SystemTime, KeyValue),
    ) -> Parents {
        let builder = self.tracer.span_builder(name).with_start_time(begun);
        let span = builder.with_attributes([fact]).start_with_context(&self.tracer, within);
        within.with_span(span)
    }

    /// What the wall clock said at an instant that has just been.
    fn wall_at(&self, instant: Instant) -> SystemTime {
        let since_1970 = u64::try_from(self.time.wall_nanos()).unwrap_or(0);
        let ago = self.time.now().since(instant);
        SystemTime::UNIX_EPOCH + Duration::from_nanos(since_1970).saturating_sub(ago)
    }
}

/// A request that is sampled, while it is being answered.
struct Open {
    running: Arc<Running>,
    span: Parents,
    /// Whether it may have to wait for a commit of its own.
    changes: bool,
    /// When the last answer of an actor came.
    heard: Mutex<SystemTime>,
}

/// The trace of one request.
pub struct Trace(Option<Arc<Open>>);

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace")
    }
}

impl Trace {
    /// Whom `work` asks is put into this trace.
    pub async fn follow<F: Future>(&self, work: F) -> F::Output {
        match &self.0 {
            Some(open) => CURRENT.scope(Some(Arc::clone(open)), work).await,
            None => work.await,
        }
    }

    /// It is answered with this status.
    pub fn answered(&self, status: u16) {
        let Some(open) = &self.0 else { return };
        let (running, now) = (&open.running, open.running.wall());
        let code = KeyValue::new("http.response.status_code", i64::from(status));
        let reply = running.span("reply", &open.span, (*lock(&open.heard), code.clone()));
        reply.span().end_with_timestamp(now);
        let span = open.span.span();
        span.set_attribute(code);
        if status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(now);
    }
}

/// The last commits, for those who may have waited for them.
#[derive(Clone, Debug, Default)]
pub struct Commits(Arc<Noted>);

#[derive(Debug, Default)]
struct Noted {
    /// How many hops of sampled requests are under way.
    waiting: AtomicUsize,
    last: Mutex<VecDeque<Commit>>,
}

#[derive(Clone, Copy, Debug)]
struct Commit {
    begun: Instant,
    ended: Instant,
    records: usize,
}

impl Commits {
    /// So many records were committed. Answers that waited for it go after this.
    pub fn note(&self, begun: Instant, ended: Instant, records: usize) {
        if self.0.waiting.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut last = lock(&self.0.last);
        if last.len() == COMMITS {
            last.pop_front();
        }
        last.push_back(Commit { begun, ended, records });
    }

    /// Those that took place from `begun` on.
    fn since(&self, begun: Instant) -> Vec<Commit> {
        let last = lock(&self.0.last);
        last.iter().filter(|commit| commit.begun >= begun).copied().collect()
    }
}

/// The answer of an actor, on its way.
pub struct Hop<F> {
    answer: F,
    leg: Option<Leg>,
}

/// What a trace says of it, when it has come. One that nobody waits for is not told.
struct Leg {
    open: Arc<Open>,
    actor: &'static str,
    begun: Instant,
}

/// `answer`, which the actor of that name is about to be asked for, in the trace of the request that
/// asks.
pub fn hop<F>(actor: &'static str, answer: F) -> Hop<F> {
    let open = CURRENT.try_with(Clone::clone).ok().flatten();
    let leg = open.map(|open| {
        open.running.commits.0.waiting.fetch_add(1, Ordering::AcqRel);
        Leg { actor, begun: open.running.time.now(), open }
    });
    Hop { answer, leg }
}

impl<F: Future + Unpin> Future for Hop<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        if let Some(leg) = self.leg.take() {
            leg.arrived();
        }
        Poll::Ready(answer)
    }
}

impl Leg {
    /// The answer has come. A change has waited for the commits that took place meanwhile.
    fn arrived(&self) {
        let Open { running, span, changes, heard } = &*self.open;
        let now = running.wall();
        let actor = KeyValue::new("octostore.actor", self.actor);
        let begun = running.wall_at(self.begun).min(now);
        let hop = running.span("hop", span, (begun, actor));
        let commits = if *changes { running.commits.since(self.begun) } else { Vec::new() };
        for Commit { begun, ended, records } in commits {
            let records = i64::try_from(records).unwrap_or(i64::MAX);
            let records = KeyValue::new("octostore.records", records);
            let commit = running.span("commit", &hop, (running.wall_at(begun), records));
            commit.span().end_with_timestamp(running.wall_at(ended).min(now));
        }
        hop.span().end_with_timestamp(now);
        *lock(heard) = now;
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.open.running.commits.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
