//! Clocks: the wall clock jumps back and forth, the machine reboots, and the server stands still.

use crate::{
    Outcome,
    client::{Account, Answer, Connection, PATIENCE, Request, ask},
    lab::{self, Lab},
    report::Report,
    server::{Host, Server},
};
use serde_json::json;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const PROMISES: &str = "Time, Exclusion";

/// How long the leases are, in seconds.
const TTL: u64 = 3_000;

/// What `retry_after_ms` may be off by: how long starts and answers take.
const ABOUT: u64 = 20_000;

/// How often a server is asked until its answer shows that the wall clock has jumped: it does not
/// believe a reading of the clocks that was interrupted, and takes the next one.
const MOST_LOOKS: u32 = 10;

/// Has clocks jump so many times, in each way.
///
/// # Errors
/// It cannot be tried.
pub fn run(lab: &Lab, times: u64, shifted: Option<&Path>) -> Outcome<Vec<Report>> {
    Ok(vec![reboots(lab, times)?, stalls(lab, times)?, jumps(lab, times, shifted)?])
}

/// What the kernel says of a boot, as a server finds it.
struct Boot {
    /// Its id.
    id: &'static str,
    /// By how many seconds `CLOCK_BOOTTIME` is ahead.
    ahead: i64,
    /// Whether the server is told that the clock is not.
    hidden: bool,
}

/// Starts servers in boots that are made up: in the same one a lease has exactly what was left; in
/// another one its full time.
fn reboots(lab: &Lab, times: u64) -> Outcome<Report> {
    const ATTACK: &str = "restarts in other boots";
    if !lab::may_mount() {
        return Ok(Report::skipped(PROMISES, ATTACK, "this user may make no time name space"));
    }
    let folder = lab.folder("reboots")?;
    let mut dice = fastrand::Rng::with_seed(lab.seed);
    let mut failures = Vec::new();
    for number in 0..times {
        let host = Host::new(&lab.server, &subfolder(&folder, number)?);
        let first = Boot { id: "first", ahead: 0, hidden: true };
        let server = host.wrapped(boot(&folder, &first)?).start()?;
        acquire(server.address, "lock")?;
        end(server)?;
        let passed = dice.u64(30..TTL - 30);
        // The clock has run on in the same boot, whatever else may have happened; another boot has
        // begun before or after, by its clock; and a name space with a clock of its own is a boot
        // of its own.
        let later = Boot { id: "first", ahead: i64::try_from(passed)?, hidden: true };
        let rebooted = Boot { id: "second", ahead: dice.i64(-1_000..100_000), hidden: true };
        let elsewhere = Boot { id: "second", ahead: dice.i64(1..100_000), hidden: false };
        for (boot_of, left) in [(later, TTL - passed), (rebooted, TTL), (elsewhere, TTL)] {
            let server = host.wrapped(boot(&folder, &boot_of)?).start()?;
            let answer = contend(server.address, "lock")?;
            let told = answer.body["retry_after_ms"].as_u64();
            let least = (left * 1_000).saturating_sub(ABOUT);
            if !told.is_some_and(|told| (least..=left * 1_000).contains(&told)) {
                failures.push(format!("{left} s are left, and it says {answer:?}"));
            }
            end(server)?;
        }
    }
    Ok(Report::new(PROMISES, ATTACK, format!("{} restarts", times * 3), failures))
}

/// What starts a program in such a boot.
fn boot(folder: &Path, boot: &Boot) -> Outcome<Vec<String>> {
    let (id, offsets) = (folder.join("boot_id"), folder.join("offsets"));
    fs::write(&id, boot.id)?;
    fs::write(&offsets, "monotonic           0         0\nboottime            0         0\n")?;
    let mut script = format!("mount --bind {} /proc/sys/kernel/random/boot_id", id.display());
    if boot.hidden {
        script += &format!(" && mount --bind {} /proc/$$/timens_offsets", offsets.display());
    }
    script += " && exec \"$@\"";
    let ahead = boot.ahead.to_string();
    let words = ["unshare", "--mount", "--time", "--boottime", &ahead, "sh", "-c", &script, "sh"];
    Ok(words.map(str::to_owned).to_vec())
}

/// Stops a server where it stands, until leases have run out, with renewals of half of them on their
/// way: those count, whatever the clock says; the others end.
fn stalls(lab: &Lab, times: u64) -> Outcome<Report> {
    const LOCKS: usize = 20;
    let folder = lab.folder("stalls")?;
    let mut failures = Vec::new();
    for number in 0..times {
        let host = Host::new(&lab.server, &subfolder(&folder, number)?);
        let server = host.start()?;
        let mut renewals = Vec::new();
        for _ in 0..LOCKS {
            let mut connection = Connection::open(server.address)?;
            // It must be known to the server before it stands still.
            connection.send(&Request::new("GET", "/health", None).bytes(Account::Alice))?;
            connection.read()?;
            renewals.push(connection);
        }
        let begun = Instant::now();
        let mut leases = Vec::new();
        for name in 0..LOCKS * 2 {
            leases.push(acquire_for(server.address, &format!("lock-{name}"), 3)?);
        }
        server.pause()?;
        let in_time = begun.elapsed() < Duration::from_millis(2_500);
        for (name, connection) in renewals.iter_mut().enumerate() {
            let body = json!({"lease_id": leases[name], "ttl_seconds": TTL});
            let path = format!("/locks/lock-{name}/renew");
            connection.send(&Request::new("POST", path, Some(body)).bytes(Account::Alice))?;
        }
        std::thread::sleep(Duration::from_millis(4_000).saturating_sub(begun.elapsed()));
        server.resume()?;
        for (name, connection) in renewals.iter_mut().enumerate() {
            let answer = connection.read()?;
            if in_time && (answer.status != 200 || answer.text("lease_id") != leases[name]) {
                failures.push(format!("a renewal sent in a stall was answered {answer:?}"));
            }
        }
        for name in LOCKS..LOCKS * 2 {
            ends(server.address, &format!("lock-{name}"))?;
        }
        end(server)?;
    }
    let renewed = times * LOCKS as u64;
    let attack = "SIGSTOP while leases run out";
    Ok(Report::new(PROMISES, attack, format!("{times} stalls"), failures)
        .tell(format!("{renewed} renewals were sent in them")))
}

/// Has the wall clock jump, while a lease runs and over a restart: what is left of it stays.
///
/// `shifted` is a server that reads the clocks by way of the C library. The shipped one asks the
/// kernel itself, where nobody can tell it another time.
pub fn jumps(lab: &Lab, times: u64, shifted: Option<&Path>) -> Outcome<Report> {
    const ATTACK: &str = "a wall clock that jumps";
    let Some(shifted) = shifted else {
        let why = "no server was given or built whose clocks can be told another time";
        return Ok(Report::skipped(PROMISES, ATTACK, why));
    };
    if !lab::has("faketime") {
        return Ok(Report::skipped(PROMISES, ATTACK, "faketime is missing"));
    }
    let folder = lab.folder("jumps")?;
    let library = lab::preloaded_by("faketime", &["-f", "+0"])?;
    let mut dice = fastrand::Rng::with_seed(lab.seed);
    let mut failures = Vec::new();
    for number in 0..times {
        let own = subfolder(&folder, number)?;
        let hands = own.join("hands");
        let set = |seconds: i64| fs::write(&hands, format!("{seconds:+}\n"));
        set(0)?;
        let host = Host::new(shifted, &own)
            .variable("LD_PRELOAD", library.clone())
            .variable("FAKETIME_TIMESTAMP_FILE", hands.as_os_str())
            .variable("FAKETIME_NO_CACHE", "1")
            .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let mut server = host.start()?;
        acquire(server.address, "lock")?;
        acquire_for(server.address, "short", 2)?;
        let begun = Instant::now();
        let printed = contend(server.address, "lock")?;
        for jump in 0..6_u64 {
            let ahead = dice.i64(1..400_000);
            let seconds = if dice.bool() { ahead } else { -ahead };
            set(seconds)?;
            if jump % 3 == 2 {
                server.kill()?;
                server.exit()?;
                server = host.start()?;
            }
            let mut seen = false;
            for _ in 0..MOST_LOOKS {
                let answer = contend(server.address, "lock")?;
                let left = answer.body["retry_after_ms"].as_u64();
                let most = TTL * 1_000;
                if !left.is_some_and(|left| (most.saturating_sub(ABOUT)..=most).contains(&left)) {
                    failures.push(format!("the wall clock is {seconds} s ahead: {answer:?}"));
                }
                seen = answer.text("expires_at") != printed.text("expires_at");
                if seen {
                    break;
                }
            }
            if !seen {
                failures.push(format!("nobody sees that the wall clock is {seconds} s ahead"));
            }
        }
        let early = contend(server.address, "short")?;
        if early.status == 200 && begun.elapsed() < Duration::from_millis(1_800) {
            failures.push(format!("a lease of two seconds ended after {:?}", begun.elapsed()));
        } else if early.status != 200 {
            failures.extend(ends(server.address, "short").err().map(|error| error.to_string()));
        }
        end(server)?;
    }
    Ok(Report::new(PROMISES, ATTACK, format!("{} jumps", times * 6), failures))
}

fn subfolder(folder: &Path, number: u64) -> Outcome<PathBuf> {
    let own = folder.join(number.to_string());
    fs::create_dir(&own)?;
    Ok(own)
}

fn acquire(address: SocketAddr, name: &str) -> Outcome<String> {
    acquire_for(address, name, TTL)
}

fn acquire_for(address: SocketAddr, name: &str, ttl: u64) -> Outcome<String> {
    let answer = asks(address, Account::Alice, name, ttl)?;
    match answer.status {
        200 => Ok(answer.text("lease_id").to_owned()),
        _ => Err(format!("{name}: {answer:?}").into()),
    }
}

/// Somebody else wants it.
fn contend(address: SocketAddr, name: &str) -> Outcome<Answer> {
    asks(address, Account::Bob, name, TTL)
}

fn asks(address: SocketAddr, account: Account, name: &str, ttl: u64) -> Outcome<Answer> {
    let body = Some(json!({ "ttl_seconds": ttl }));
    ask(address, account, &Request::new("POST", format!("/locks/{name}/acquire"), body))
}

/// Waits until somebody else is granted it.
fn ends(address: SocketAddr, name: &str) -> Outcome<()> {
    let begun = Instant::now();
    while contend(address, name)?.status != 200 {
        if begun.elapsed() > PATIENCE {
            return Err(format!("the lease of {name} does not end").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn end(server: Server) -> Outcome<()> {
    server.kill()?;
    server.exit()?;
    Ok(())
}
