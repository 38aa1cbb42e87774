//! Metrics: the numbers are right after known traffic, nobody makes the page grow, and who may
//! not read it does not.

use crate::{
    admin::{KEY, act, scoped, setup},
    caller::Caller,
    common::{ALICE, Address, Answer, Server, Setup, request, until},
    time::{Hands, Inside},
};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;
use tempfile::TempDir;

/// A page that was scraped, in the older format of Prometheus.
pub struct Page(String);

impl Page {
    /// Scrapes, as whoever runs on this machine.
    pub fn of(address: &Address) -> Self {
        let answer = Caller::new(address, None).get("/metrics");
        assert_eq!(answer.status, 200, "{answer:?}");
        Self(answer.text())
    }

    /// The samples: everything that is no metadata.
    pub fn samples(&self) -> impl Iterator<Item = (&str, f64)> {
        let samples = self.0.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name, value.parse().unwrap())
        })
    }

    /// The one sample that is written so, with its labels in their order; zero if there is none.
    pub fn get(&self, sample: &str) -> f64 {
        self.samples().find(|(name, _)| *name == sample).map_or(0.0, |(_, value)| value)
    }

    /// How many requests to a route were answered so.
    fn requests(&self, method: &str, route: &str, status: &str) -> f64 {
        let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{status}\"");
        self.get(&format!("octostore_http_requests_total{{{labels}}}"))
    }

    /// The names of all families, as their metadata has them.
    pub fn families(&self) -> Vec<String> {
        let types = self.0.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }
}

fn page(server: &Server) -> Page {
    Page::of(&server.address)
}

/// Asks for the metrics with these headers.
fn ask(server: &Server, headers: &[(&str, &str)]) -> Answer {
    Caller::new(&server.address, None).call(("GET", "/metrics"), headers, "")
}

#[test]
fn a_page_for_which_there_is_no_thread_is_refused_and_the_next_is_written() {
    let server = Setup::new().start();
    let pid = Pid::from_raw(server.pid().try_into().unwrap());
    let before = getrlimit(Resource::As);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmSize:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    // Room for everything but the stack of another thread.
    let full = Rlimit { current: Some((kib + 1024) << 10), ..before };
    prlimit(pid, Resource::As, full).unwrap();
    for _ in 0..2 {
        ask(&server, &[]).refused(503, "overloaded");
    }
    prlimit(pid, Resource::As, before).unwrap();
    page(&server);
    server.stop();
}

#[test]
fn grants_and_refusals_are_counted_by_their_cause() {
    let server = Setup::new().flag("--locks-per-account", "2").start();
    let (mut alice, mut bob) = (server.alice(), server.bob());
    let lease = alice.acquire("a", 60).lease();
    alice.acquire("a", 90).ok();
    alice.renew("a", &lease, 120).ok();
    alice.acquire("b", 60).ok();
    alice.acquire("c", 60).refused(403, "lock_limit_exceeded");
    for _ in 0..3 {
        assert_eq!(bob.acquire("a", 60).status, 409);
    }
    bob.renew("a", &lease, 60).refused(404, "lock_not_owned");
    alice.release("a", &lease).ok();
    alice.release("a", &lease).refused(404, "lock_not_owned");

    let page = page(&server);
    let refused =
        |cause: &str| page.get(&format!("octostore_lock_refusals_total{{cause=\"{cause}\"}}"));
    assert_eq!(page.get("octostore_lock_grants_total"), 2.0);
    assert_eq!(page.get("octostore_lock_confirmations_total"), 2.0);
    assert_eq!(page.get("octostore_lock_releases_total{by=\"holder\"}"), 1.0);
    assert_eq!(page.get("octostore_locks_held"), 1.0);
    assert_eq!((refused("held"), refused("quota"), refused("not_owned")), (3.0, 1.0, 2.0));
    assert_eq!((refused("storage_full"), refused("overloaded")), (0.0, 0.0));
    assert_eq!(page.requests("POST", "/locks/{name}/acquire", "409"), 3.0);
    assert_eq!(page.requests("POST", "/locks/{name}/acquire", "200"), 3.0);
    assert_eq!(page.requests("POST", "/locks/{name}/acquire", "403"), 1.0);
    let took = "octostore_http_request_duration_seconds";
    let route = "route=\"/locks/{name}/acquire\",method=\"POST\"";
    assert_eq!(page.get(&format!("{took}_count{{{route}}}")), 7.0);
    assert_eq!(page.get(&format!("{took}_bucket{{le=\"+Inf\",{route}}}")), 7.0);
    assert!(page.get(&format!("{took}_sum{{{route}}}")) > 0.0);
}

#[test]
fn an_expired_lease_is_counted_once_and_held_no_more() {
    let folder = TempDir::new().unwrap();
    let (database, hands) = (folder.path().join("octostore.db"), Hands::new(1_000));
    let server = Inside::start(&database, &hands);
    server.alice().acquire("short", 5).ok();
    server.alice().acquire("long", 3_600).ok();
    assert_eq!(Page::of(&server.address).get("octostore_locks_held"), 2.0);
    assert_eq!(Page::of(&server.address).get("octostore_lock_expiries_total"), 0.0);
    hands.advance(6.0);
    until("the short lease has expired", || {
        hands.advance(0.01);
        (Page::of(&server.address).get("octostore_lock_expiries_total") == 1.0).then_some(())
    });
    assert_eq!(Page::of(&server.address).get("octostore_locks_held"), 1.0);
    server.stop();
    // Those that are held are seen before anybody asks for one.
    let server = Inside::start(&database, &hands);
    assert_eq!(Page::of(&server.address).get("octostore_locks_held"), 1.0);
    server.stop();
}

#[test]
fn decisions_of_limits_are_counted() {
    let server = Setup::new().start();
    let mut alice = server.alice();
    for n in 0..5 {
        let asked = json!({ "max_requests": 3, "window_seconds": 60 });
        assert_eq!(alice.post("/limits/l/check", &asked).ok()["allowed"], n < 3);
    }
    let page = page(&server);
    assert_eq!(page.get("octostore_limit_decisions_total{decision=\"admitted\"}"), 3.0);
    assert_eq!(page.get("octostore_limit_decisions_total{decision=\"refused\"}"), 2.0);
    assert_eq!(page.get("octostore_limiters"), 1.0);
    assert_eq!(page.requests("POST", "/limits/{name}/check", "200"), 5.0);
}

#[test]
fn commits_and_checkpoints_are_counted_with_what_they_wrote() {
    let server = Setup::new().start();
    let before = page(&server);
    let commits = |page: &Page| page.get("octostore_commit_duration_seconds_count");
    for n in 0..10 {
        server.alice().acquire(&format!("l{n}"), 60).ok();
    }
    let after = page(&server);
    let made = commits(&after) - commits(&before);
    assert!((1.0..=11.0).contains(&made), "{made} commits for ten locks, one after the other");
    assert_eq!(after.get("octostore_commit_sync_duration_seconds_count"), commits(&after));
    assert_eq!(after.get("octostore_commit_batch_records_count"), commits(&after));
    assert!(after.get("octostore_commit_batch_records_sum") >= 10.0);
    let (all, synced) =
        ("octostore_commit_duration_seconds_sum", "octostore_commit_sync_duration_seconds_sum");
    assert!(after.get(all) >= after.get(synced) && after.get(synced) > 0.0);
    assert!(after.get("octostore_journal_pages") > 0.0);
    assert!(after.get("octostore_storage_bytes{file=\"database\"}") >= 4096.0);
    assert!(after.get("octostore_storage_bytes{file=\"journal\"}") >= 4096.0);
    assert_eq!(after.get("octostore_commit_failures_total{cause=\"storage_full\"}"), 0.0);
    let handled = |page: &Page| page.get("octostore_actor_commands_total{actor=\"locks\"}");
    assert_eq!(handled(&after) - handled(&before), 10.0);
    assert_eq!(after.get("octostore_mailbox_capacity_messages{actor=\"locks\"}"), 4096.0);
    assert!(after.get("process_resident_memory_bytes") > 1e6);
    assert!(after.get("process_open_fds") > 3.0);
    assert!(after.get("process_start_time_seconds") > 1.6e9);
}

#[test]
fn connections_are_counted_in_out_and_turned_away() {
    let server = Setup::new().flag("--max-connections", "3").start();
    let health = request("GET", "/health", &[], b"");
    let mut inside: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut inside {
        connection.send(&health);
        assert_eq!(connection.read().status, 200);
    }
    assert_eq!(server.connect().read().status, 503);
    inside.truncate(1);
    let counted = |page: &Page, what: &str| page.get(&format!("octostore_http_connections_{what}"));
    let page = until("two have left, and the scraper alone has come", || {
        let answer = Caller::new(&server.address, None).try_call(("GET", "/metrics"), &[], "");
        let page = Page(answer.ok().filter(|answer| answer.status == 200)?.text());
        (counted(&page, "open") == 2.0).then_some(page)
    });
    assert!(counted(&page, "refused_total") >= 1.0);
    assert!(counted(&page, "accepted_total") >= 4.0);
    assert_eq!(counted(&page, "failed_total"), 0.0);
}

#[test]
fn odd_paths_and_methods_do_not_make_the_page_grow() {
    let server = Setup::new().start();
    let mut stranger = Caller::new(&server.address, None);
    let methods = ["GET", "POST", "BREW", "get", "PROPFIND", "X"];
    let odd = |n: usize| match n % 4 {
        0 => format!("/{n}/%ff%00/{n}"),
        1 => format!("/locks/n{n}/steal"),
        2 => format!("/locks/name-{n}"),
        _ => format!("/health{n}?q={n}"),
    };
    // Once of each kind, the scrape itself among them.
    for n in 0..24 {
        stranger.call((methods[n % 6], &odd(n / 6)), &[], "");
    }
    page(&server);
    let before = page(&server);
    for n in 0..10_000 {
        let answer = stranger.call((methods[n % 6], &odd(n)), &[], "");
        assert!(matches!(answer.status, 401 | 404 | 405), "{answer:?}");
    }
    let after = page(&server);
    let lines = |page: &Page| page.samples().count();
    assert_eq!(lines(&after), lines(&before), "a caller has made the page grow");
    let unknown: f64 = after
        .samples()
        .filter(|(name, _)| name.starts_with("octostore_http_requests_total{route=\"unknown\""))
        .inspect(|(name, _)| assert!(name.contains("status=\"404\""), "{name}"))
        .map(|(_, count)| count)
        .sum();
    assert_eq!(unknown, 7_500.0 + 18.0, "all of them under one route");
}

#[test]
fn what_is_no_request_is_counted_too() {
    let server = Setup::new().start();
    let mut broken = server.connect();
    broken.send(b"NONSENSE\r\n\r\n");
    assert_eq!(broken.read().status, 400);
    assert_eq!(page(&server).requests("other", "malformed", "400"), 1.0);
}

#[test]
fn only_this_machine_reads_them_without_a_token() {
    let server = setup().start();
    assert_eq!(ask(&server, &[]).status, 200);
    let forwarded = ("x-forwarded-for", "192.0.2.1");
    ask(&server, &[forwarded]).refused(401, "unauthorized");
    ask(&server, &[forwarded, ("x-admin-key", "wrong")]).refused(401, "unauthorized");
    assert_eq!(ask(&server, &[forwarded, ("x-admin-key", KEY)]).status, 200);

    let bearer = |scope: &str| format!("Bearer {}", scoped(&server, ALICE, scope));
    let reads = bearer("admin.metrics:read");
    let not_yet = ask(&server, &[forwarded, ("authorization", &reads)]);
    not_yet.refused(403, "not_an_administrator");
    act(&server, "alice", "promote");
    assert_eq!(ask(&server, &[forwarded, ("authorization", &reads)]).status, 200);
    let other = bearer("admin.audit:read");
    let refused = ask(&server, &[forwarded, ("authorization", &other)]);
    refused.refused(403, "insufficient_scope");
    // And the token of a scraper opens nothing else.
    let audit = Caller::new(&server.address, None).call(
        ("GET", "/admin/audit"),
        &[("authorization", &reads)],
        "",
    );
    audit.refused(403, "insufficient_scope");
}

#[test]
fn the_setting_says_who_reads_them() {
    let forwarded = ("forwarded", "for=192.0.2.1");
    let server = setup().flag("--metrics", "token").start();
    ask(&server, &[]).refused(401, "unauthorized");
    assert_eq!(ask(&server, &[("x-admin-key", KEY)]).status, 200);
    let server = setup().flag("--metrics", "open").start();
    assert_eq!(ask(&server, &[forwarded]).status, 200);
    let server = setup().flag("--metrics", "off").start();
    ask(&server, &[("x-admin-key", KEY)]).refused(404, "not_found");
    let sockets = setup();
    let path = format!("unix:{}", sockets.folder().join("o.sock").display());
    let server = sockets.bind(&path).start();
    assert_eq!(ask(&server, &[]).status, 200);
    ask(&server, &[forwarded]).refused(401, "unauthorized");
}

#[test]
fn whoever_shows_no_token_has_guessed_none() {
    let setup = setup().flag("--metrics", "token").flag("--failed-sign-ins", "1");
    let server = setup.start();
    for _ in 0..3 {
        ask(&server, &[]).refused(401, "unauthorized");
    }
    let wrong = [("x-admin-key", "wrong")];
    ask(&server, &wrong).refused(401, "unauthorized");
    ask(&server, &wrong).refused(429, "too_many_failures");
    ask(&server, &[]).refused(401, "unauthorized");
}

#[test]
fn it_answers_to_get_and_head_alone_and_is_not_cached() {
    let server = Setup::new().start();
    let mut stranger = Caller::new(&server.address, None);
    let head = stranger.call(("HEAD", "/metrics"), &[], "");
    assert_eq!((head.status, head.header("cache-control")), (200, Some("no-store")));
    let posted = stranger.call(("POST", "/metrics"), &[], "");
    posted.refused(405, "method_not_allowed");
    assert_eq!(posted.header("allow"), Some("GET, HEAD"));
}
