//! Metrics: the page is what parsers of both formats expect, and what the README says.

use crate::{
    caller::Caller,
    common::{Server, Setup},
    metrics::Page,
};
use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A server that has done a little of everything.
fn busy() -> Server {
    let server = Setup::new().start();
    let lease = server.alice().acquire("a", 60).lease();
    server.bob().acquire("a", 60);
    server.alice().release("a", &lease).ok();
    server.bob().send("GET", "/nothing", b"");
    server
}

fn scrape(server: &Server, accept: &str) -> (String, String) {
    let answer =
        Caller::new(&server.address, None).call(("GET", "/metrics"), &[("accept", accept)], "");
    assert_eq!(answer.status, 200);
    (answer.header("content-type").unwrap().to_owned(), answer.text())
}

#[test]
fn scrapers_get_the_format_that_they_ask_for() {
    let server = busy();
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5";
    let (kind, page) = scrape(&server, prometheus);
    assert_eq!(kind, OPEN_METRICS);
    assert!(page.ends_with("\n# EOF\n") && page.contains("\n# UNIT "), "{page}");
    let (kind, page) = scrape(&server, "*/*");
    assert_eq!(kind, PROMETHEUS);
    assert!(!page.contains("# EOF") && !page.contains("# UNIT"), "{page}");
}

/// Reads the page from its input with the parser of Prometheus' own Python client, strictly, and
/// says which families there are.
const PARSE: &str = r"
import sys
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics
parse = {'openmetrics': openmetrics, 'prometheus': parser}[sys.argv[1]].text_string_to_metric_families
for family in parse(sys.stdin.read()):
    assert family.documentation, family.name
    assert family.type != 'unknown', family.name
    print(family.name, family.type, family.unit, len(family.samples))
";

/// Set to 1 where going without the parser is a failure.
const REQUIRED: &str = "OCTOSTORE_REQUIRE_PYTHON";

/// What the parser says; `None` where it is not installed.
fn parsed(format: &str, page: &str) -> Option<String> {
    let python = std::env::var("OCTOSTORE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import prometheus_client"]).output();
    if !found.is_ok_and(|done| done.status.success()) {
        let why = format!("{python} has no prometheus_client (pip install prometheus-client)");
        let required = std::env::var(REQUIRED).is_ok_and(|value| value == "1");
        assert!(!required, "{REQUIRED} is set, but {why}");
        eprintln!("\n*** NOT TESTED: whether Prometheus can read the metrics, because {why} ***\n");
        return None;
    }
    let mut parser = Command::new(&python)
        .args(["-c", PARSE, format])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    parser.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let done = parser.wait_with_output().unwrap();
    assert!(done.status.success(), "no {format}:\n{page}");
    Some(String::from_utf8(done.stdout).unwrap())
}

#[test]
fn both_formats_are_read_by_the_parsers_of_prometheus() {
    let server = busy();
    let (_, open_metrics) = scrape(&server, "application/openmetrics-text");
    let (_, prometheus) = scrape(&server, "text/plain");
    let Some(said) = parsed("openmetrics", &open_metrics) else { return };
    for family in [
        "octostore_build info",
        "octostore_http_requests counter",
        "octostore_http_request_duration_seconds histogram seconds",
        "octostore_locks_held gauge",
        "octostore_mailbox_messages gauge messages 6",
        "process_cpu_seconds counter seconds 1",
    ] {
        assert!(said.lines().any(|line| line.starts_with(family)), "no {family}:\n{said}");
    }
    assert!(!said.lines().any(|line| line.ends_with(" 0")), "an empty family:\n{said}");
    let older = parsed("prometheus", &prometheus).unwrap();
    assert_eq!(older.lines().count(), said.lines().count(), "{older}\n{said}");
    let samples = |page: &str| page.lines().filter(|line| !line.starts_with('#')).count();
    // The second page has the scrape of the first, which is a line of requests and a histogram.
    assert!(samples(&prometheus) >= samples(&open_metrics));
}

#[test]
fn every_name_follows_the_conventions_and_has_a_sentence_for_help() {
    let server = busy();
    let (_, page) = scrape(&server, "application/openmetrics-text");
    let mut seen = BTreeSet::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            assert!(seen.insert(name.to_owned()), "{name} is there twice");
            assert!(name.starts_with("octostore_") || name.starts_with("process_"), "{name}");
            assert!(help.ends_with('.') && help.len() > 5, "{name}: {help}");
            assert!(!name.ends_with("_total") && !name.contains("__"), "{name}");
        }
        if let Some((name, unit)) = line.strip_prefix("# UNIT ").and_then(|l| l.split_once(' ')) {
            assert!(name.ends_with(&format!("_{unit}")), "{name} in {unit}");
        }
    }
    for name in seen.iter().filter(|name| name.ends_with("_seconds") || name.ends_with("_bytes")) {
        assert!(page.contains(&format!("# UNIT {name} ")), "{name} has no unit");
    }
}

#[test]
fn the_readme_has_every_metric_and_no_other() {
    let readme = include_str!("../README.md");
    let section = readme.split_once("\n## Watching it\n").unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let documented: BTreeSet<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|line| line.split(['`', '{']).next().unwrap().to_owned())
        .collect();
    let there: BTreeSet<String> = Page::of(&busy().address).families().into_iter().collect();
    assert_eq!(documented, there);
    // What its alerts speak of is there, too.
    let alerts =
        section.split_once("# octostore.rules.yml\n").unwrap().1.split("```").next().unwrap();
    let words = alerts.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for word in words.filter(|word| word.starts_with("octostore_") || word.starts_with("process_"))
    {
        let family = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|end| word.strip_suffix(end))
            .unwrap_or(word);
        assert!(there.contains(family), "an alert speaks of {word}");
    }
}
