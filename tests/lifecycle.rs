//! Stopping: what was taken is answered, what was acknowledged is on disk, and nobody who dawdles
//! keeps the process alive.

use crate::{
    common::{ALICE, Connection, Server, Setup, at_once, jwt::Signer, request, until},
    exchange::{GRANT, JWT, pod, serve},
    metrics::Page,
};
use rustix::process::Signal;
use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader},
    os::unix::fs::OpenOptionsExt,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

const BODY: &[u8] = b"{\"ttl_seconds\": 3600}";

/// Longer than a stop may take, and much shorter than any other timeout of [`patient`].
const STOPPED: Duration = Duration::from_secs(20);

/// A server that of itself would wait an hour for anything.
fn patient() -> Setup {
    Setup::new()
        .flag("--header-timeout", "3600")
        .flag("--body-timeout", "3600")
        .flag("--write-timeout", "3600")
}

/// A connection whose acquire of `name` is being handled and lacks nothing but its body.
fn in_flight(server: &Server, name: &str) -> Connection {
    let authorization = format!("Bearer {ALICE}");
    let headers = [("authorization", &*authorization), ("expect", "100-continue")];
    let bytes = request("POST", &format!("/locks/{name}/acquire"), &headers, BODY);
    let mut connection = server.connect();
    connection.send(&bytes[..bytes.len() - BODY.len()]);
    assert_eq!(connection.read_head().unwrap().status, 100);
    connection
}

fn until_nobody_is_let_in(server: &Server) {
    until("the listening socket is closed", || Connection::try_open(&server.address).err());
}

#[test]
fn what_is_in_flight_at_a_signal_is_answered_and_kept() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = patient().start();
        let setup = server.setup.clone();
        let mut connections = [in_flight(&server, "a"), in_flight(&server, "b")];
        server.signal(signal);
        until_nobody_is_let_in(&server);
        let mut leases = Vec::new();
        for connection in &mut connections {
            connection.send(BODY);
            let answer = connection.read();
            leases.push(answer.lease());
            assert_eq!(answer.header("connection"), Some("close"));
        }
        let exit = server.exit();
        assert_eq!(exit.code, Some(0), "{exit:?}");

        let server = setup.start();
        let mut alice = server.alice();
        for (name, lease) in ["a", "b"].into_iter().zip(leases) {
            alice.renew(name, &lease, 3600).ok();
        }
    }
}

#[test]
fn whoever_asks_while_it_stops_is_told_that_it_is_not_ready() {
    let probe = request("GET", "/readyz", &[], b"");
    let (most, end) = probe.split_at(probe.len() - 2);
    // A machine that does nothing else for seconds may come too late to ask.
    let was_told = (0..5).any(|_| {
        let server = patient().start();
        let mut asks = server.connect();
        asks.send(most);
        until("it has begun to be read, and the scraper alone is there besides", || {
            let page = Page::of(&server.address);
            let count = |what: &str| page.get(&format!("octostore_http_connections_{what}"));
            (count("open") == 2.0 && count("resting") == 0.0).then_some(())
        });
        server.signal(Signal::TERM);
        until_nobody_is_let_in(&server);
        let Ok(answer) = asks.try_send(end).and_then(|()| asks.try_read()) else { return false };
        assert_eq!((answer.status, &*answer.text()), (503, "going down"));
        true
    });
    assert!(was_told);
}

#[test]
fn nobody_who_dawdles_keeps_the_process_alive() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = patient().start();
        let mut idle = server.connect();
        idle.send(&request("GET", "/health", &[], b""));
        idle.read();
        let _untouched = server.connect();
        let mut half_a_head = server.connect();
        half_a_head.send(b"GET /health HT");
        let _half_a_request = in_flight(&server, "a");
        let mut does_not_read = server.connect();
        let bytes = server.alice().bytes("GET", "/locks", b"").repeat(2_000);
        does_not_read.send(&bytes[..100_000]);

        let begun = Instant::now();
        server.signal(signal);
        let exit = server.exit();
        assert_eq!(exit.code, Some(0), "{exit:?}");
        assert!(begun.elapsed() < STOPPED, "{:?}", begun.elapsed());
        assert!(idle.is_closed());
    }
}

#[test]
fn what_hangs_in_the_system_does_not_keep_the_process_alive() {
    // As a name server that does not answer: a pipe, in place of a file of keys, to which nobody writes.
    let setup = patient().flag("--failed-sign-ins", "100000");
    let (rules, claims) = pod(&setup, &Signer::new("RS256", "k"));
    let server = serve(setup, &rules);
    let keys = server.setup.folder().join("jwks.json");
    std::fs::remove_file(&keys).unwrap();
    assert!(Command::new("mkfifo").arg(&keys).status().unwrap().success());
    let token = Signer::new("RS256", "of another time").token(&claims);
    let form = format!("grant_type={GRANT}&subject_token_type={JWT}&subject_token={token}");
    let trade = request("POST", "/auth/token", &[], form.as_bytes());
    let _nobody_writes = until("the server waits for what the pipe says", || {
        server.connect().send(&trade);
        // Without waiting, that works once somebody reads.
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
        OpenOptions::new().write(true).custom_flags(nonblocking).open(&keys).ok()
    });
    let begun = Instant::now();
    server.signal(Signal::TERM);
    let exit = server.exit();
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert!(begun.elapsed() < STOPPED, "{:?}", begun.elapsed());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    // With a request in flight that never ends, the first signal takes its time.
    let ended_by_the_second = (0..3).any(|_| ends_by_the_second_signal(&patient()));
    assert!(ended_by_the_second);
}

/// Whether the second signal has ended it, which may also have ended by itself just before.
fn ends_by_the_second_signal(setup: &Setup) -> bool {
    let server = setup.start();
    let _never_ends = in_flight(&server, "a");
    server.signal(Signal::TERM);
    until_nobody_is_let_in(&server);
    server.signal(Signal::INT);
    let code = server.exit().code;
    assert!(matches!(code, Some(0 | 130)), "{code:?}");
    code == Some(130)
}

#[test]
fn a_stop_under_load_loses_nothing_acknowledged() {
    let server = Setup::new().flag("--locks-per-account", "100000").start();
    let setup = server.setup.clone();
    let granted = AtomicUsize::new(0);
    let workers = 6;
    let leases = at_once(workers + 1, |index| {
        let mut held = Vec::new();
        if index == workers {
            until("the server is busy", || (granted.load(Ordering::Relaxed) > 200).then_some(()));
            server.signal(Signal::TERM);
            return held;
        }
        let mut alice = server.alice();
        for n in 0.. {
            let name = format!("w{index}-{n}");
            let path = format!("/locks/{name}/acquire");
            // A refusal or a closed connection is the end; half an answer is none.
            match alice.try_send("POST", &path, BODY) {
                Ok(answer) if answer.status == 200 => {
                    granted.fetch_add(1, Ordering::Relaxed);
                    held.push((name, answer.lease(), answer.token()));
                }
                Ok(answer) => {
                    answer.refused(503, "shutting_down");
                    break;
                }
                Err(_) => break,
            }
        }
        held
    });
    let exit = server.exit();
    assert_eq!(exit.code, Some(0), "{exit:?}");

    let server = setup.start();
    let mut alice = server.alice();
    let mut highest = 0;
    for (name, lease, token) in leases.iter().flatten() {
        alice.renew(name, lease, 3600).ok();
        highest = highest.max(*token);
    }
    assert!(alice.acquire("new", 60).token() > highest);
}

#[test]
fn a_clean_stop_leaves_one_file_with_everything_in_it() {
    let server = Setup::new().start();
    let setup = server.setup.clone();
    let lease = server.alice().acquire("a", 3600).lease();
    let exit = server.stop();
    assert!(!exit.err.contains("WARN") && !exit.err.contains("ERROR"));
    assert!(!setup.beside("-wal").exists() && !setup.beside("-shm").exists());
    let copy = Setup::new();
    std::fs::copy(setup.database(), copy.database()).unwrap();
    copy.start().alice().renew("a", &lease, 60).ok();
}

#[test]
fn it_stops_in_good_order_before_anybody_came() {
    let server = Setup::new().start();
    let out = server.stop().out;
    assert!(out.contains("listening on http://127.0.0.1:"), "{out}");
}

#[test]
fn it_serves_and_stops_in_good_order_although_nobody_can_hear_what_it_logs() {
    let unheard = ["/bin/sh", "-c", "exec \"$@\" 2>/dev/full", "sh"];
    for format in ["text", "json"] {
        let setup = Setup::new().through(&unheard).flag("--log-format", format);
        let server = setup.variable("RUST_LOG", "debug").start();
        server.alice().send("POST", "/locks/a/acquire", b"none").refused(422, "invalid_body");
        server.alice().acquire("a", 60).ok();
        server.stop();
    }
}

/// Its log goes to a pipe that is full and that nobody reads, as where whoever ships logs hangs.
pub const STUCK: [&str; 4] = [
    "/bin/sh",
    "-c",
    "mkfifo log; exec 3<>log; dd if=/dev/zero of=log bs=4096 oflag=nonblock 2>/dev/null; \
     exec \"$@\" 2>log",
    "sh",
];

/// Has more lines of debugging logged than are kept for whoever does not read them.
fn say_much(server: &Server) {
    let wrong = server.alice().bytes("POST", "/locks/a/acquire", b"none").repeat(100);
    let mut connection = server.connect();
    for _ in 0..110 {
        connection.send(&wrong);
        for _ in 0..100 {
            assert_eq!(connection.read().status, 422);
        }
    }
}

#[test]
fn it_serves_and_stops_in_good_order_although_its_log_hangs() {
    for (format, much) in [("text", true), ("json", false)] {
        let setup = patient().through(&STUCK).flag("--log-format", format);
        let server = setup.variable("RUST_LOG", "debug").start();
        server.alice().send("POST", "/locks/a/acquire", b"none").refused(422, "invalid_body");
        if much {
            say_much(&server);
        }
        server.alice().acquire("a", 60).ok();
        let begun = Instant::now();
        let out = server.stop().out;
        assert!(out.lines().last().is_some_and(|line| line.contains("to try it")), "{out}");
        assert!(begun.elapsed() < STOPPED, "{:?}", begun.elapsed());
    }
}

#[test]
fn a_second_signal_ends_it_although_its_log_hangs() {
    // It is enough that it ends.
    ends_by_the_second_signal(&patient().through(&STUCK));
}

#[test]
fn how_much_of_a_log_that_hung_is_lost_is_told_once_it_is_read() {
    let server = Setup::new().through(&STUCK).variable("RUST_LOG", "debug").start();
    say_much(&server);
    let mut log = BufReader::new(File::open(server.setup.folder().join("log")).unwrap());
    let mut line = Vec::new();
    while !String::from_utf8_lossy(&line).contains("of this log are lost") {
        line.clear();
        assert_ne!(log.read_until(b'\n', &mut line).unwrap(), 0);
    }
    server.stop();
}
