//! Time: leases run on the lease clock, and the wall clock says only how times print. The server
//! runs within the test here, on clocks that the test sets.

use crate::common::{ALICE, Address, BOB, Client, until};
use octostore::{
    app::App,
    clock::TimeSource,
    http::Listener,
    settings::{Bind, Settings},
};
use octostore_actors::time::{Clock, Instant};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};
use tempfile::TempDir;
use tokio::sync::oneshot;

const SECOND: u64 = 1_000_000_000;
const HOUR: i64 = 3_600;

/// Clocks that move when they are told to, and not before.
pub struct Hands {
    lease: AtomicU64,
    wall: AtomicI64,
}

impl Hands {
    /// `up` seconds after the boot, in November 2023.
    pub fn new(up: u64) -> Arc<Self> {
        Arc::new(Self { lease: AtomicU64::new(up * SECOND), wall: AtomicI64::new(1_700_000_000) })
    }

    pub fn advance(&self, seconds: f64) {
        let nanos = (seconds * SECOND as f64) as u64;
        self.lease.fetch_add(nanos, Ordering::SeqCst);
    }

    /// Sets the wall clock alone.
    fn jump(&self, seconds: i64) {
        self.wall.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.lease.load(Ordering::SeqCst))
    }
}

impl TimeSource for Hands {
    fn wall_nanos(&self) -> i64 {
        self.wall.load(Ordering::SeqCst).saturating_mul(SECOND.cast_signed())
    }
}

/// A server within this process.
pub struct Inside {
    pub address: Address,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Inside {
    pub fn start(database: &Path, hands: &Arc<Hands>) -> Self {
        let tokens = format!("alice:{ALICE},bob:{BOB}");
        let settings = Settings::from_args([
            "octostore",
            "--bind",
            "127.0.0.1:0",
            "--database",
            database.to_str().unwrap(),
            "--static-tokens",
            &tokens,
        ])
        .unwrap();
        let time = Arc::clone(hands) as Arc<dyn TimeSource>;
        let (listening, address) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = Listener::bind(&settings.bind[0]).await.unwrap();
                let Bind::Tcp(address) = listener.address() else {
                    panic!("it was told to listen on TCP");
                };
                let app = App::start(&settings, vec![listener], &time).unwrap();
                listening.send(Address::Tcp(address)).unwrap();
                let shutdown = async {
                    let _dropped_says_the_same = stopped.await;
                };
                app.run_until(shutdown).await.unwrap();
            });
        });
        Self { address: address.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    pub fn alice(&self) -> Client {
        Client::new(&self.address, ALICE)
    }

    pub fn bob(&self) -> Client {
        Client::new(&self.address, BOB)
    }

    /// Stops it in good order.
    pub fn stop(mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

struct World {
    folder: TempDir,
    hands: Arc<Hands>,
}

impl World {
    fn new(up: u64) -> Self {
        Self { folder: TempDir::new().unwrap(), hands: Hands::new(up) }
    }

    fn database(&self) -> std::path::PathBuf {
        self.folder.path().join("octostore.db")
    }

    fn start(&self) -> Inside {
        Inside::start(&self.database(), &self.hands)
    }

    /// Whether the lock is held, as it stays when it is asked about again.
    fn is_held(&self, server: &Inside, name: &str) -> bool {
        let mut alice = server.alice();
        let held: Vec<bool> = (0..4).map(|_| alice.get(name).ok()["status"] == "held").collect();
        assert!(held.iter().all(|&now| now == held[0]), "{held:?}");
        held[0]
    }

    /// Lets the lease clock run on in small steps until the lock is free. What expires after a
    /// jump of the clock may do so a little later.
    fn until_free(&self, server: &Inside, name: &str) {
        let mut alice = server.alice();
        until("the lease ends", || {
            self.hands.advance(0.05);
            (alice.get(name).ok()["status"] == "available").then_some(())
        });
    }
}

fn expires(body: &Value) -> i64 {
    let text = body["expires_at"].as_str().unwrap();
    text.parse::<jiff::Timestamp>().unwrap().as_second()
}

#[test]
fn a_wall_clock_that_jumps_ends_no_lease_and_lengthens_none() {
    for jump in [HOUR, -HOUR, 24 * HOUR, -24 * HOUR] {
        let world = World::new(1_000);
        let server = world.start();
        let mut alice = server.alice();
        let before = alice.acquire("a", 60).ok();
        assert_eq!(expires(&before), 1_700_000_060);

        world.hands.jump(jump);
        let after = alice.get("a").ok();
        assert_eq!(after["lease_id"], before["lease_id"]);
        assert_eq!(expires(&after), 1_700_000_060 + jump, "it prints anew");
        let refused = server.bob().acquire("a", 60);
        assert_eq!(refused.status, 409);
        assert_eq!(refused.json()["retry_after_ms"], 60_000);

        world.hands.advance(59.9);
        assert!(world.is_held(&server, "a"), "not yet");
        world.until_free(&server, "a");
        let lease = before["lease_id"].as_str().unwrap();
        alice.renew("a", lease, 60).refused(404, "lock_not_owned");
        server.stop();
    }
}

#[test]
fn a_renewal_after_a_jump_lasts_as_long_as_it_says() {
    for jump in [HOUR, -HOUR] {
        let world = World::new(1_000);
        let server = world.start();
        let mut alice = server.alice();
        let lease = alice.acquire("a", 60).lease();
        world.hands.advance(30.0);
        world.hands.jump(30 + jump);
        let renewed = alice.renew("a", &lease, 100).ok();
        assert_eq!(expires(&renewed), 1_700_000_000 + 30 + jump + 100);
        world.hands.advance(99.9);
        assert!(world.is_held(&server, "a"));
        world.until_free(&server, "a");
        server.stop();
    }
}

#[test]
fn one_instant_prints_alike_while_the_wall_clock_stands_by_the_lease_clock() {
    let world = World::new(1_000);
    let server = world.start();
    let mut alice = server.alice();
    let before = alice.acquire("a", 3600).ok();
    for _ in 0..10 {
        world.hands.advance(7.0);
        world.hands.jump(7);
        assert_eq!(alice.get("a").ok()["expires_at"], before["expires_at"]);
    }
    server.stop();
}

#[test]
fn a_restart_in_the_same_boot_leaves_exactly_what_was_left() {
    for jump in [0, HOUR, -HOUR] {
        let world = World::new(1_000);
        let server = world.start();
        let lease = server.alice().acquire("a", 60).lease();
        world.hands.advance(20.0);
        server.stop();
        world.hands.advance(20.0);
        world.hands.jump(40 + jump);
        let server = world.start();
        let body = server.alice().get("a").ok();
        assert_eq!(body["lease_id"], *lease);
        assert_eq!(expires(&body), 1_700_000_060 + jump);
        world.hands.advance(19.9);
        assert!(world.is_held(&server, "a"));
        world.until_free(&server, "a");
        server.stop();
    }
}

#[test]
fn after_a_reboot_a_lease_has_its_full_time_again() {
    for up in [5, 900_000] {
        let world = World::new(50_000);
        let server = world.start();
        let lease = server.alice().acquire("a", 60).lease();
        let renewed = server.alice().acquire("b", 60).lease();
        server.alice().renew("b", &renewed, 90).ok();
        world.hands.advance(50.0);
        server.stop();

        let file = rusqlite::Connection::open(world.database()).unwrap();
        file.execute("UPDATE boot SET id = 'an earlier boot', sum = NULL", []).unwrap();
        file.close().unwrap();
        let world = World { hands: Hands::new(up), ..world };
        let server = world.start();
        assert_eq!(server.alice().get("a").lease(), lease);
        world.hands.advance(59.9);
        assert!(world.is_held(&server, "a"), "its full time");
        world.until_free(&server, "a");
        world.hands.advance(25.0);
        assert!(world.is_held(&server, "b"), "the time of its renewal");
        world.until_free(&server, "b");
        server.stop();
    }
}

#[test]
fn what_was_sent_in_a_suspend_comes_before_what_expired_in_it() {
    let world = World::new(1_000);
    let server = world.start();
    let lease = server.alice().acquire("a", 60).lease();
    let others: Vec<String> = (0..20).map(|n| format!("other-{n}")).collect();
    for name in &others {
        server.alice().acquire(name, 60).ok();
    }
    // The lease clock runs on in a suspend; nothing of ours does.
    world.hands.advance(3_600.0);
    server.alice().renew("a", &lease, 60).ok();
    assert!(world.is_held(&server, "a"));
    for name in &others {
        world.until_free(&server, name);
    }
    server.stop();
}

#[test]
fn a_re_acquire_moves_the_end_only_outwards() {
    let world = World::new(1_000);
    let server = world.start();
    let mut alice = server.alice();
    alice.acquire("a", 600).ok();
    world.hands.advance(100.0);
    let shorter = alice.acquire("a", 60).ok();
    assert_eq!(expires(&shorter), 1_700_000_000 + 600 - 100);
    let longer = alice.acquire_with("a", &json!({"ttl_seconds": 3600})).ok();
    assert_eq!(expires(&longer), 1_700_000_000 + 3600);
    server.stop();
}
