//! A hundred thousand locks whose time is over at one instant: whether anybody else has to wait.
//! That happens three times, with a quiet while in between that is measured too: the longest of
//! many requests says as much of the machine as of the server.

use super::script;
use crate::{
    Outcome,
    client::{self, Load},
    http::{self, number_after},
    measurement::{Measurement, Spread},
    options::Options,
    peers::Place,
    process::Server,
    targets::Target,
    workload::Workload,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
    time::Duration,
};
use uuid::Uuid;

/// How many end, of a million.
const SHARE: u32 = 10;

/// Of which half get, and half acquire and release.
const CONNECTIONS: u32 = 64;

/// How often it happens.
const TIMES: u32 = 3;

/// What is measured around such an instant, and as long again before that.
const WINDOW: Duration = Duration::from_secs(3);

/// From one such instant to the next.
const APART: Duration = Duration::from_secs(10);

/// The longest that anybody may wait, in milliseconds.
const MOST: f64 = 20.0;

/// Of the leases that are added.
const IDS: u128 = 0x6f63_746f_0000_4000_8000_0000_0000_0000;

/// Takes what is at `full`, adds locks that all end at the same nanosecond, and drives a server on
/// that when they do. No client could have granted them so: their database is made of an export.
pub fn measure(full: &Place, held: u32, options: &Options, folder: &Path) -> Outcome<Target> {
    let ending = held / SHARE;
    // To make the database, to start, and to see how long requests take otherwise.
    let (ahead, times) = if options.quick { (15, 1) } else { (60, TIMES) };
    let ahead = Duration::from_secs(ahead);
    let instants: Vec<_> = (0..times).map(|time| now() + ahead + time * APART).collect();
    let (export, import) = (folder.join("export"), folder.join("import"));
    full.command("export", &export)?;
    add(&export, &import, ending, &instants)?;
    let place = Place::new(&options.server, folder, 1)?;
    place.command("import", &import)?;
    let server = place.start()?;
    let Load { warm_up, .. } = options.load();
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for (time, instant) in instants.into_iter().enumerate() {
        // The locks end in the middle of the second window.
        let from = |at: Option<Duration>, run| {
            let begin = at.and_then(|at| at.checked_sub(now() + warm_up));
            let begin = begin.ok_or("this machine is too slow to be ready before locks end")?;
            std::thread::sleep(begin);
            longest(&server, &format!("{run}{time}"), &Load { warm_up, measured: WINDOW })
        };
        without.push(from(instant.checked_sub(WINDOW * 2), "quiet")?);
        let before = expired(&server)?;
        with.push(from(instant.checked_sub(WINDOW / 2), "ending")?);
        let ended = expired(&server)? - before;
        if ended < u64::from(ending) {
            return Err(format!("{ended} of {ending} locks have ended").into());
        }
    }
    let [with, without] = [with, without].map(|longest| Spread::of(longest.into_iter()).median);
    let met = with <= MOST;
    Ok(Target {
        workload: format!("{ending} of {held} held locks end at once: others wait"),
        target: format!("≤ {MOST} ms"),
        measured: format!("{with:.1} ms at most ({without:.1} ms when none ends)"),
        // A machine that has everybody wait so long anyway shows nothing.
        met: (met || without <= MOST).then_some(met),
    })
}

/// The lease clock, which goes on while the machine sleeps.
fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let part = |part| u64::try_from(part).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}

/// Copies an export, with locks added: `count` that end at each of `instants`.
fn add(export: &Path, import: &Path, count: u32, instants: &[Duration]) -> Outcome<()> {
    let mut from = BufReader::new(File::open(export)?).lines();
    let mut to = BufWriter::new(File::create(import)?);
    let mut header: Value = serde_json::from_str(&from.next().ok_or("the export is empty")??)?;
    let mark = header["octostore_export"]["fencing_mark"].as_u64().ok_or("no fencing mark")?;
    let added = u64::from(count) * u64::try_from(instants.len())?;
    header["octostore_export"]["fencing_mark"] = json!(mark + added);
    writeln!(to, "{header}")?;
    let (mut account, mut lines) = (Value::Null, 1_u64);
    for line in from {
        let line = line?;
        if line.starts_with(r#"{"end""#) {
            break;
        }
        if line.starts_with(r#"{"account""#) && account.is_null() {
            account = serde_json::from_str::<Value>(&line)?["account"]["id"].take();
        }
        writeln!(to, "{line}")?;
        lines += 1;
    }
    for (time, instant) in (0..).zip(instants) {
        for one in time * count..(time + 1) * count {
            let lock = json!({"lock": {
                "name": format!("ending-{one}"), "account": account, "owner": null,
                "lease_id": Uuid::from_u128(IDS + u128::from(one)),
                "fencing_token": mark + u64::from(one) + 1, "ttl_seconds": 3600,
                "expires": u64::try_from(instant.as_nanos())?, "metadata": null,
            }});
            writeln!(to, "{lock}")?;
            lines += 1;
        }
    }
    writeln!(to, "{}", json!({"end": {"lines": lines}}))?;
    Ok(to.flush()?)
}

/// How long one request of many had to wait, in milliseconds.
fn longest(server: &Server, run: &str, load: &Load) -> Outcome<f64> {
    let workload =
        |one: u32| if one.is_multiple_of(2) { Workload::Get } else { Workload::AcquireRelease };
    let scripts = (0..CONNECTIONS).map(|one| script(workload(one), run, one, 0)).collect();
    Ok(Measurement::of(client::run(server, load, scripts)?, load).longest / 1000.0)
}

/// How many leases have ended because their time was over.
fn expired(server: &Server) -> Outcome<u64> {
    let (_, metrics) = http::get(server.address, "/metrics")?;
    Ok(number_after(&metrics, "\noctostore_lock_expiries_total ")?)
}
