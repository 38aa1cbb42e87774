//! A disk that is full for a while, again and again, under load.

use crate::{
    Outcome,
    arena::{Arena, Tally},
    client::{Account, PATIENCE, Request, ask},
    disk::Disk,
    lab::{self, Lab},
    report::Report,
    server::{Host, Server},
    worker::Work,
};
use serde_json::json;
use std::{
    net::SocketAddr,
    ops::Range,
    time::{Duration, Instant},
};

const PROMISES: &str = "Durability, One outcome, Bounded";
const ATTACK: &str = "a disk that is full for a while";

/// How many MiB the disk has.
const SIZE: u64 = 12;

/// What is held for an hour stays on the disk, and there is more of it each time: after so many a disk
/// is full of that, and no room can be made.
const TIMES_A_DISK: usize = 5;

/// How long it is watched while it is full.
const WATCHED: Duration = Duration::from_secs(3);

const WORK: Work = Work { metadata: 900, ..Work::ENDLESS };

/// Fills the disk so many times.
///
/// # Errors
/// It cannot be tried.
pub fn run(lab: &Lab, times: u64) -> Outcome<Report> {
    if !lab::may_mount() {
        let why = "this user may not mount; run it as root";
        return Ok(Report::skipped(PROMISES, ATTACK, why));
    }
    let mut found = Found::default();
    for first in (0..times).step_by(TIMES_A_DISK) {
        let disk = match Disk::new(&lab.folder(&format!("full-{first}"))?, SIZE) {
            Ok(disk) => disk,
            Err(why) => return Ok(Report::skipped(PROMISES, ATTACK, why.to_string())),
        };
        let fills = first..times.min(first + TIMES_A_DISK as u64);
        let mut arena = Arena::new(Host::new(&lab.server, disk.path()), lab.seed + first);
        one_disk(&disk, &mut arena, fills, &mut found);
        found.failures.extend(arena.finish());
        if found.failures.is_empty() && arena.tally.counts.full == 0 {
            found.failures.push("the disk was never full".to_owned());
        }
        found.told.push(arena.tally);
    }
    let Found { failures, ran_out, told } = found;
    let report = Report::new(PROMISES, ATTACK, format!("{times} full disks"), failures)
        .tell(format!("a lease ran out on {ran_out} of them while they were full"));
    Ok(told.iter().fold(report, Report::tell_tally))
}

/// What came of it.
#[derive(Default)]
struct Found {
    failures: Vec<String>,
    /// On how many disks a lease ran out while they were full.
    ran_out: u64,
    /// One a disk.
    told: Vec<Tally>,
}

fn one_disk(disk: &Disk, arena: &mut Arena, fills: Range<u64>, found: &mut Found) {
    for number in fills {
        let ended = arena.life(WORK, |server, dice| {
            std::thread::sleep(Duration::from_millis(dice.u64(1..100)));
            found.ran_out += u64::from(full(disk, server, number, dice.u64(0..16_384))?);
            std::thread::sleep(Duration::from_millis(dice.u64(1..100)));
            server.kill()
        });
        match ended {
            Ok(exit) if exit.code.is_some() => {
                found.failures.push(format!("the server ended by itself: {exit:?}"));
            }
            Ok(_) => {}
            Err(error) => {
                found.failures.push(error.to_string());
                return;
            }
        }
    }
}

/// Fills the disk, sees what still goes on, and makes room again. Returns whether a lease ran out on
/// the full disk.
fn full(disk: &Disk, server: &Server, number: u64, left: u64) -> Outcome<bool> {
    let address = server.address;
    let ends = format!("ends-{number}");
    acquired(address, &ends, 1)?;
    disk.fill(left)?;
    let seen = on_a_full_disk(address, &ends, number);
    disk.empty()?;
    let after = format!("after-{number}");
    until("a lock is granted once there is room again", || acquired(address, &after, 3_600))?;
    until("a lease runs out once there is room again", || is_free(address, &ends))?;
    seen
}

/// What does not have to write goes on: it is answered, whatever it says. Whether a lease can run out
/// is a matter of the room that is left in what the database has already.
fn on_a_full_disk(address: SocketAddr, ends: &str, number: u64) -> Outcome<bool> {
    grow_until_full(address, number)?;
    let begun = Instant::now();
    while begun.elapsed() < WATCHED {
        if is_free(address, ends)? {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(false)
}

fn is_free(address: SocketAddr, name: &str) -> Outcome<bool> {
    let look = Request::new("GET", format!("/locks/{name}"), None);
    let answer = ask(address, Account::Bob, &look)?;
    if answer.status != 200 {
        return Err(format!("reading a lock: {answer:?}").into());
    }
    Ok(answer.text("status") == "available")
}

/// New locks take the room that is left.
fn grow_until_full(address: SocketAddr, number: u64) -> Outcome<()> {
    let mut count = 0;
    until("a lock is refused on a full disk", || {
        for _ in 0..50 {
            count += 1;
            if !acquired(address, &format!("grows-{number}-{count}"), 3_600)? {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

fn acquired(address: SocketAddr, name: &str, ttl: u32) -> Outcome<bool> {
    let body = Some(json!({ "ttl_seconds": ttl, "metadata": "m".repeat(1_024) }));
    let request = Request::new("POST", format!("/locks/{name}/acquire"), body);
    let answer = ask(address, Account::Alice, &request)?;
    match answer.status {
        200 => Ok(true),
        503 if answer.code() == "storage_full" => Ok(false),
        _ => Err(format!("{name}: {answer:?}").into()),
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let begun = Instant::now();
    while !is_so()? {
        if begun.elapsed() > PATIENCE {
            return Err(format!("waited in vain: {what}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
