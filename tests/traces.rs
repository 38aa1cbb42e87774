//! Traces, in a server that is built with them: what a collector gets to hear of one request.

use crate::{
    caller::Caller,
    common::{ALICE, Server, Setup, until},
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

/// A collector: it takes what is sent to it, and keeps the spans.
struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Span>>>,
}

/// A span, as far as it matters here.
#[derive(Clone, Debug, Default)]
struct Span {
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    name: String,
    start: u64,
    end: u64,
    service: String,
}

impl Collector {
    fn start() -> Self {
        Self::after(0)
    }

    /// One that takes nothing at first, so many times.
    fn after(mut refusals: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spans = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&spans);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let (mut length, mut first, mut line) = (0, String::new(), String::new());
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    if first.is_empty() {
                        first.clone_from(&line);
                    }
                    let lower = line.to_ascii_lowercase();
                    if let Some(value) = lower.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                assert!(first.starts_with("POST /v1/traces "), "{first}");
                let status = if refusals > 0 {
                    refusals -= 1;
                    "503 Service Unavailable"
                } else {
                    kept.lock().unwrap().extend(spans_in(&body));
                    "200 OK"
                };
                let rest = "connection: close\r\ncontent-length: 0";
                write!(reader.get_mut(), "HTTP/1.1 {status}\r\n{rest}\r\n\r\n").unwrap();
            }
        });
        Self { url, spans }
    }

    /// A server that sends to it, soon.
    fn server(&self) -> Server {
        self.setup().start()
    }

    fn setup(&self) -> Setup {
        Setup::new()
            .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url)
            .variable("OTEL_BSP_SCHEDULE_DELAY", "50")
    }

    /// The spans of a trace, once its request has ended, which is told last.
    fn trace(&self, id: [u8; 16]) -> Vec<Span> {
        until("the collector hears of the request", || {
            let spans = self.spans.lock().unwrap();
            let spans: Vec<Span> = spans.iter().filter(|span| span.trace == id).cloned().collect();
            spans.iter().any(|span| span.name.contains(' ')).then_some(spans)
        })
    }
}

/// The fields of a message in the wire format of Protocol Buffers: number and content. Numbers are
/// told as eight bytes.
fn fields(mut from: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut fields = Vec::new();
    while !from.is_empty() {
        let key = number(&mut from);
        let content = match key & 7 {
            0 => number(&mut from).to_le_bytes().to_vec(),
            1 => from.split_off(..8).unwrap().to_vec(),
            2 => {
                let length = usize::try_from(number(&mut from)).unwrap();
                from.split_off(..length).unwrap().to_vec()
            }
            5 => from.split_off(..4).unwrap().to_vec(),
            kind => panic!("no field is of kind {kind}"),
        };
        fields.push((key >> 3, content));
    }
    fields
}

fn number(from: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = *from.split_off_first().unwrap();
        number |= u64::from(byte & 127) << shift;
        shift += 7;
        if byte < 128 {
            return number;
        }
    }
}

/// Those fields of a message that have this number.
fn within(message: &[u8], field: u64) -> Vec<Vec<u8>> {
    let all = fields(message).into_iter().filter(|(number, _)| *number == field);
    all.map(|(_, content)| content).collect()
}

/// The spans of an `ExportTraceServiceRequest` (OTLP 1.x, trace.proto).
fn spans_in(request: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_service in within(request, 1) {
        let service = service(&within(&of_service, 1)[0]);
        for span in within(&of_service, 2).iter().flat_map(|of_scope| within(of_scope, 2)) {
            spans.push(Span { service: service.clone(), ..read(&span) });
        }
    }
    spans
}

/// The `service.name` of a `Resource`.
fn service(resource: &[u8]) -> String {
    let named = within(resource, 1).into_iter().find(|pair| within(pair, 1) == [b"service.name"]);
    let value = &within(&named.unwrap(), 2)[0];
    String::from_utf8(within(value, 1)[0].clone()).unwrap()
}

fn read(message: &[u8]) -> Span {
    let mut span = Span::default();
    for (number, content) in fields(message) {
        let nanos = || u64::from_le_bytes(content.clone().try_into().unwrap());
        match number {
            1 => span.trace = content,
            2 => span.id = content,
            4 => span.parent = content,
            5 => span.name = String::from_utf8(content).unwrap(),
            7 => span.start = nanos(),
            8 => span.end = nanos(),
            _ => {}
        }
    }
    span
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn trace_id() -> [u8; 16] {
    u128::from_str_radix(TRACE, 16).unwrap().to_be_bytes()
}

fn acquire(server: &Server, traceparent: &str) {
    let mut alice = Caller::new(&server.address, Some(ALICE));
    let line = ("POST", "/locks/traced/acquire");
    let answer = alice.call(line, &[("traceparent", traceparent)], r#"{"ttl_seconds": 60}"#);
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn a_request_is_told_with_its_hop_its_commit_and_its_reply() {
    let collector = Collector::start();
    let server = collector.server();
    acquire(&server, &format!("00-{TRACE}-{PARENT}-01"));
    let spans = collector.trace(trace_id());
    let all = |name: &str| -> Vec<_> { spans.iter().filter(|span| span.name == name).collect() };
    let named = |name: &str| {
        let found = all(name);
        assert_eq!(found.len(), 1, "{name}: {spans:?}");
        found[0]
    };
    let request = named("POST /locks/{name}/acquire");
    let (hop, reply) = (named("hop"), named("reply"));
    assert_eq!(request.parent, u64::from_str_radix(PARENT, 16).unwrap().to_be_bytes());
    assert_eq!((&hop.parent, &reply.parent), (&request.id, &request.id));
    // Its own, and whichever was on its way to the disk before it: that the token is used, say.
    let commits = all("commit");
    assert!(!commits.is_empty(), "{spans:?}");
    assert!(commits.iter().all(|commit| commit.parent == hop.id), "{spans:?}");
    let within_hop = commits.into_iter().map(|commit| (hop, commit));
    for (outer, inner) in within_hop.chain([(request, hop), (request, reply)]) {
        assert!(inner.start <= inner.end && inner.end <= outer.end, "{spans:?}");
    }
    assert!(reply.start >= hop.end.min(request.end), "{spans:?}");
    assert!(!format!("{spans:?}").contains("traced"), "the name of a lock is nobody's business");
}

#[test]
fn who_does_not_want_to_be_sampled_is_not_and_what_is_malformed_is_not_looked_at() {
    let collector = Collector::start();
    let server = collector.server();
    for malformed in
        ["", "x", "00-0-0-01", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]
    {
        acquire(&server, malformed);
    }
    acquire(&server, &format!("00-{TRACE}-{PARENT}-00"));
    // The last words of a server that stops are all there is left to say.
    server.stop();
    let spans = collector.spans.lock().unwrap().clone();
    let requests = spans.iter().filter(|span| span.name.contains(' ')).count();
    assert_eq!(requests, 4, "the malformed ones have traces of their own: {spans:?}");
    assert!(spans.iter().all(|span| span.trace != trace_id()), "{spans:?}");
}

#[test]
fn spans_do_not_go_over_the_network_in_clear() {
    let setup = Setup::new().variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://192.0.2.1:4318");
    let exit = setup.run();
    assert_eq!(exit.code, Some(78), "{exit:?}");
    assert!(exit.one_line().contains("neither https nor on this machine"), "{exit:?}");
}

#[test]
fn a_password_in_the_address_of_a_collector_is_not_told() {
    for (endpoint, told) in [
        ("http://user:hidden@192.0.2.1:4318/?key=hidden", ", http://192.0.2.1:4318, "),
        ("user:hidden@192.0.2.1:4318", "OTEL_EXPORTER_OTLP_ENDPOINT "),
        ("http://user:hidden@127.0.0.1:4318/ v1", ", http://127.0.0.1:4318, "),
        ("http://user:hidden@", "OTEL_EXPORTER_OTLP_ENDPOINT "),
    ] {
        let exit = Setup::new().variable("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).run();
        assert_eq!(exit.code, Some(78), "{exit:?}");
        let line = exit.one_line();
        assert!(line.contains(told) && !line.contains("hidden"), "{exit:?}");
    }
}

#[test]
fn whoever_switches_traces_off_gets_none() {
    for (variable, value) in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_SDK_DISABLED", "TRUE"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ] {
        let collector = Collector::start();
        let server = collector.setup().variable(variable, value).start();
        acquire(&server, &format!("00-{TRACE}-{PARENT}-01"));
        // What is left is sent before it has stopped.
        server.stop();
        assert!(collector.spans.lock().unwrap().is_empty(), "{variable}={value}");
    }
    let collector = Collector::start();
    let setup = collector.setup().variable("OTEL_SDK_DISABLED", "false");
    let server = setup.variable("OTEL_TRACES_EXPORTER", "otlp").start();
    acquire(&server, &format!("00-{TRACE}-{PARENT}-01"));
    collector.trace(trace_id());
    server.stop();

    let exit = collector.setup().variable("OTEL_TRACES_EXPORTER", "zipkin").run();
    assert_eq!(exit.code, Some(78), "{exit:?}");
    assert!(exit.one_line().contains("OTEL_TRACES_EXPORTER is zipkin"), "{exit:?}");
}

#[test]
fn a_collector_that_is_not_there_is_no_reason_to_stop() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setup = Setup::new().variable("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{gone}"));
    let server = setup.start();
    acquire(&server, "");
    let log = server.stop().err;
    assert!(log.contains("WARN") && log.contains("the collector does not take traces"), "{log}");
}

#[test]
fn a_collector_in_trouble_is_told_of_once_and_so_is_that_it_is_well_again() {
    let collector = Collector::after(2);
    let server = collector.server();
    acquire(&server, &format!("00-{TRACE}-{PARENT}-01"));
    collector.trace(trace_id());
    let log = server.stop().err;
    for line in ["it answered 503", "the collector takes traces again"] {
        assert_eq!(log.matches(line).count(), 1, "{log}");
    }
}

#[test]
fn a_sampler_that_there_is_not_is_not_taken_for_one_of_everything() {
    let collector = Collector::start();
    for (sampler, ratio, wrong) in [
        ("sometimes", "", "give one of always_on, "),
        ("parentbased_traceidratio", "0,01", "as in 0.01"),
        ("traceidratio", "1%", "as in 0.01"),
        ("traceidratio", "2", "as in 0.01"),
        ("traceidratio", "NaN", "as in 0.01"),
    ] {
        let setup = collector.setup().variable("OTEL_TRACES_SAMPLER", sampler);
        let exit = setup.variable("OTEL_TRACES_SAMPLER_ARG", ratio).run();
        assert_eq!(exit.code, Some(78), "{exit:?}");
        assert!(exit.one_line().contains(wrong), "{exit:?}");
    }
    for (sampler, ratio) in [("traceidratio", "1e-2"), ("traceidratio", ""), ("always_off", "x")] {
        let setup = collector.setup().variable("OTEL_TRACES_SAMPLER", sampler);
        setup.variable("OTEL_TRACES_SAMPLER_ARG", ratio).start().stop();
    }
}

#[test]
fn a_server_is_called_what_the_environment_calls_it() {
    for (variables, name) in [
        (&[][..], "octostore"),
        (&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=eu-1,a=b")], "eu-1"),
        (&[("OTEL_RESOURCE_ATTRIBUTES", "a=b")], "octostore"),
        (&[("OTEL_SERVICE_NAME", "eu-2"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=x")], "eu-2"),
    ] {
        let collector = Collector::start();
        let setup = variables
            .iter()
            .fold(collector.setup(), |setup, (variable, value)| setup.variable(variable, value));
        let server = setup.start();
        acquire(&server, &format!("00-{TRACE}-{PARENT}-01"));
        assert_eq!(collector.trace(trace_id())[0].service, name, "{variables:?}");
        server.stop();
    }
}
