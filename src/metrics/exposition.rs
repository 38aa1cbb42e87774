//! The page that a scraper reads: every family there is, in both text formats.
//!
//! OpenMetrics is what the library writes. The older format of Prometheus differs in a few lines
//! alone, and is made of it.

use super::{
    Counts,
    actors::{Board, WatchedActor},
    families::Families,
    process::{ProcessCollector, processor_use},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    registry::{Registry, Unit},
};
use std::{fmt, path::PathBuf, sync::Arc};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// How the page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format of Prometheus, 0.0.4.
    Prometheus,
}

impl Format {
    /// The media type that says so.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Everything that can be scraped.
#[derive(Debug)]
pub struct Exposition {
    registry: Registry,
    /// Held by whoever writes a page: one at a time, so that many scrapers take no more threads
    /// than one.
    turn: Arc<Mutex<()>>,
}

/// Where the numbers are.
#[derive(Debug)]
pub struct Sources {
    /// What is counted.
    pub counts: Arc<Counts>,
    /// The actors.
    pub actors: Arc<[WatchedActor]>,
    /// The files of the store: what each is called, and where it is.
    pub files: Vec<(&'static str, PathBuf)>,
}

impl Exposition {
    /// Shows `sources`, and the process itself.
    pub fn new(sources: Sources) -> Self {
        let mut registry = Registry::default();
        registry.sub_registry_with_prefix("octostore").register_collector(Box::new(sources));
        registry.register_collector(Box::new(ProcessCollector));
        Self { registry, turn: Arc::default() }
    }

    /// Waits until nobody else writes a page.
    pub async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// The page. It reads files: not for a thread that serves connections.
    ///
    /// # Errors
    /// A number cannot be written.
    pub fn page(&self, format: Format) -> Result<String, fmt::Error> {
        let mut page = String::with_capacity(32 * 1024);
        text::encode(&mut page, &self.registry)?;
        Ok(match format {
            Format::OpenMetrics => page,
            Format::Prometheus => in_prometheus_text(&page),
        })
    }
}

impl Collector for Sources {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let mut families = Families::new(encoder);
        let facts = [("version", env!("CARGO_PKG_VERSION")), ("sqlite", rusqlite::version())];
        families.info(("build", None, "What is running."), facts)?;
        self.requests(&mut families)?;
        self.connections(&mut families)?;
        self.locks(&mut families)?;
        self.limits(&mut families)?;
        self.actors(&mut families)?;
        self.store(&mut families)
    }
}

impl Sources {
    fn requests(&self, families: &mut Families<'_>) -> Result<(), fmt::Error> {
        let requests = &self.counts.requests;
        families.counters(
            ("http_requests", None, "Requests that were answered."),
            requests.answered().map(|(line, status, count)| {
                ([("route", line.route), ("method", line.method), ("status", status)], count)
            }),
        )?;
        families.histograms(
            (
                "http_request_duration",
                Some(&Unit::Seconds),
                "From the head of a request to its answer.",
            ),
            requests
                .took()
                .map(|(line, took)| ([("route", line.route), ("method", line.method)], took)),
        )?;
        families.counter(
            ("http_requests_abandoned", None, "Requests whose client went away before the answer."),
            requests.abandoned(),
        )?;
        let why = &self.counts.unavailable;
        let causes = [
            ("overloaded", &why.overloaded),
            ("storage_full", &why.storage_full),
            ("outcome_unknown", &why.outcome_unknown),
            ("tokens_exhausted", &why.tokens_exhausted),
        ];
        families.counters(
            ("http_unavailable", None, "Requests that could not be served."),
            causes.map(|(cause, count)| ([("cause", cause)], count.get())),
        )
    }

    fn connections(&self, families: &mut Families<'_>) -> Result<(), fmt::Error> {
        let connections = &self.counts.connections;
        families.gauge(
            ("http_connections_open", None, "Connections that are open."),
            connections.open(),
        )?;
        let woken = connections.woken.get();
        families.gauge(
            ("http_connections_resting", None, "Of these, those on which nothing happens."),
            connections.rested.get().saturating_sub(woken),
        )?;
        families.counter(
            ("http_connections_accepted", None, "Connections that were taken."),
            connections.accepted.get(),
        )?;
        families.counter(
            ("http_connections_refused", None, "Connections that were one too many."),
            connections.refused.get(),
        )?;
        families.counter(
            ("http_connections_failed", None, "Connections that the system could not give."),
            connections.failed.get(),
        )
    }

    fn locks(&self, families: &mut Families<'_>) -> Result<(), fmt::Error> {
        let (locks, board) = (&self.counts.locks, self.board("locks"));
        families.gauge(
            ("locks_held", None, "Locks that are held."),
            board.map_or(0, |board| board.entries.get()),
        )?;
        families.counter(("lock_grants", None, "New leases."), locks.granted.get())?;
        families.counter(
            ("lock_confirmations", None, "Leases that their holder asked for again or renewed."),
            locks.confirmed.get(),
        )?;
        families.counters(
            ("lock_releases", None, "Leases that were ended."),
            [("holder", &locks.released), ("administrator", &locks.force_released)]
                .map(|(by, count)| ([("by", by)], count.get())),
        )?;
        families.counter(
            ("lock_expiries", None, "Leases whose time was over."),
            board.map_or(0, |board| board.expired.get()),
        )?;
        families.counters(
            ("lock_refusals", None, "Acquires, renewals and releases that were refused."),
            locks.refusals().map(|(cause, count)| ([("cause", cause)], count)),
        )
    }

    fn limits(&self, families: &mut Families<'_>) -> Result<(), fmt::Error> {
        let limits = &self.counts.limits;
        families.gauge(
            ("limiters", None, "Rate limiters that count something."),
            self.board("limits").map_or(0, |board| board.entries.get()),
        )?;
        families.counters(
            ("limit_decisions", None, "Checks of rate limits."),
            [("admitted", &limits.admitted), ("refused", &limits.refused)]
                .map(|(decision, count)| ([("decision", decision)], count.get())),
        )
    }

    fn actors(&self, families: &mut Families<'_>) -> Result<(), fmt::Error> {
        let actors = || self.actors.iter().map(|actor| ([("actor", actor.name)], actor));
        let messages = Unit::Other("messages".to_owned());
        families.gauges(
            ("mailbox", Some(&messages), "Messages that wait, each with commands of one turn."),
            actors().map(|(label, actor)| (label, (actor.queued)())),
        )?;
        families.gauges(
            ("mailbox_capacity", Some(&messages), "How many may wait."),
            actors().map(|(label, actor)| (label, actor.capacity)),
        )?;
        families.counters(
            ("actor_commands", None, "Commands that were handled."),
            actors()
                .filter_map(|(label, actor)| Some((label, actor.board.as_ref()?.commands.get()))),
        )?;
        families.counters(
            ("actor_cpu", Some(&Unit::Seconds), "What its thread has used of a processor."),
            processor_use(&self.actors).into_iter().map(|(actor, used)| ([("actor", actor)], used)),
        )
    }

    fn store(&self, families: &mut Families<'_>) -> Result<(), fmt::Error> {
        let (store, seconds) = (&self.counts.store, Some(&Unit::Seconds));
        let records = Unit::Other("records".to_owned());
        families.histogram(
            ("commit_batch", Some(&records), "Records that one commit wrote."),
            store.records.read(1.0),
        )?;
        families.histogram(
            ("commit_duration", seconds, "Commits, all in all."),
            store.commits.read(1e9),
        )?;
        families.histogram(
            ("commit_sync_duration", seconds, "Writing and syncing the journal, at their end."),
            store.syncs.read(1e9),
        )?;
        families.counters(
            ("commit_failures", None, "Commits that were not kept."),
            [("storage_full", &store.no_room), ("outcome_unknown", &store.unknown)]
                .map(|(cause, count)| ([("cause", cause)], count.get())),
        )?;
        families.histogram(
            ("checkpoint_duration", seconds, "Moving pages from the journal to the main file."),
            store.checkpoints.read(1e9),
        )?;
        families.counter(
            ("checkpoint_pages", None, "Pages that were moved."),
            store.checkpointed.get(),
        )?;
        let pages = Unit::Other("pages".to_owned());
        families.gauge(
            ("journal", Some(&pages), "Pages that are in the journal alone."),
            store.journal_pages.get(),
        )?;
        let sizes = self.files.iter().filter_map(|(file, path)| {
            Some(([("file", *file)], std::fs::metadata(path).ok()?.len()))
        });
        families.gauges(("storage", Some(&Unit::Bytes), "How large the files are."), sizes)
    }

    fn board(&self, actor: &str) -> Option<&Board> {
        self.actors.iter().find(|known| known.name == actor)?.board.as_deref()
    }
}

/// The same in the older format: there the metadata of a counter carries its suffix, facts are a
/// gauge, and units and the end are not marked.
fn in_prometheus_text(open_metrics: &str) -> String {
    let mut page = String::with_capacity(open_metrics.len() + 1024);
    let mut help = "";
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            // Its family is called after the type, which comes next.
            help = rest.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            page += &format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n");
        } else if !line.starts_with('#') {
            page.push_str(line);
            page.push('\n');
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::in_prometheus_text;

    #[test]
    fn the_older_format_has_other_metadata_and_the_same_samples() {
        let open_metrics = "# HELP a_seconds Time.\n# TYPE a_seconds counter\n\
            # UNIT a_seconds seconds\na_seconds_total{x=\"# HELP\"} 1\n# HELP b What.\n\
            # TYPE b info\nb_info{v=\"1\"} 1\n# HELP c Now.\n# TYPE c gauge\nc 2\n# EOF\n";
        let prometheus = "# HELP a_seconds_total Time.\n# TYPE a_seconds_total counter\n\
            a_seconds_total{x=\"# HELP\"} 1\n# HELP b_info What.\n# TYPE b_info gauge\n\
            b_info{v=\"1\"} 1\n# HELP c Now.\n# TYPE c gauge\nc 2\n";
        assert_eq!(in_prometheus_text(open_metrics), prometheus);
    }
}
