//! What should come out of the comparison, as ratios within one run.

use crate::{
    measurement::{Ratios, Spread},
    peers::{CEILING, EARLIER, ETCD, REDIS, STOCK},
    turns::Row,
    workload::Workload,
};
use serde::Serialize;

/// What should come out, and what did.
#[derive(Debug, Serialize)]
pub struct Target {
    /// What was done.
    pub workload: String,
    /// What should come out.
    pub target: String,
    /// What did.
    pub measured: String,
    /// Whether that is as it should be; `None` if it was not measured.
    pub met: Option<bool>,
}

/// Which number is compared, and how far ours may be from theirs.
#[derive(Clone, Copy, Debug)]
enum Bound {
    /// Operations a second, at least so many times theirs.
    Rate(f64),
    /// The latency in the middle, at most so many times theirs.
    P50(f64),
    /// Computing for an operation, at most so many times theirs.
    Cpu(f64),
}

/// What a workload over so many connections has to reach, against whom.
const TARGETS: &[(Workload, u32, &str, Bound)] = &[
    (Workload::AcquireRelease, 64, REDIS, Bound::Rate(1.2)),
    (Workload::AcquireRelease, 1, REDIS, Bound::Rate(1.0)),
    (Workload::AcquireRelease, 256, REDIS, Bound::Rate(1.0)),
    (Workload::AcquireRelease, 1, REDIS, Bound::P50(1.15)),
    (Workload::AcquireRelease, 64, EARLIER, Bound::Rate(25.0)),
    (Workload::AcquireRelease, 64, ETCD, Bound::Rate(8.0)),
    // 10 µs on a machine where the bare server needs 8.
    (Workload::AcquireRelease, 64, STOCK, Bound::Cpu(1.25)),
    (Workload::AcquireRelease, 64, CEILING, Bound::Cpu(1.25)),
    (Workload::Get, 64, STOCK, Bound::Rate(0.9)),
    (Workload::Get, 64, CEILING, Bound::Rate(0.9)),
    (Workload::Evaluate, 64, STOCK, Bound::Rate(0.9)),
    (Workload::Evaluate, 64, CEILING, Bound::Rate(0.9)),
    (Workload::ConfigGet, 64, STOCK, Bound::Rate(0.9)),
    (Workload::ConfigGet, 64, CEILING, Bound::Rate(0.9)),
    (Workload::Check, 64, STOCK, Bound::Rate(0.9)),
    (Workload::Check, 64, CEILING, Bound::Rate(0.9)),
];

/// How `workload` stands to its targets.
pub fn of(workload: Workload, rows: &[Row]) -> Vec<Target> {
    let its = TARGETS.iter().filter(|(of, ..)| *of == workload);
    its.map(|&(_, connections, server, bound)| {
        let row = |server: &str| {
            rows.iter().find(|row| {
                (row.workload, row.connections, row.server) == (workload, connections, server)
            })
        };
        let ratios = row(server).and_then(|row| row.octostore_over_it.as_ref());
        let (target, (measured, met)) = match bound {
            Bound::Rate(least) => (format!("≥ {least} × {server}"), at_least(least, ratios)),
            Bound::P50(most) => {
                let p50 = ratios.map(|ratios| ratios.p50);
                (format!("p50 ≤ {most} × {server}"), at_most(most, p50))
            }
            Bound::Cpu(most) => {
                let cpu = ratios.map(|ratios| ratios.cpu);
                (format!("server CPU an operation ≤ {most} × {server}"), at_most(most, cpu))
            }
        };
        let plural = if connections == 1 { "" } else { "s" };
        let workload = format!("{}, {connections} connection{plural}", workload.name());
        Target { workload, target, measured, met }
    })
    .collect()
}

fn at_least(least: f64, ratios: Option<&Ratios>) -> (String, Option<bool>) {
    let rate = ratios.map(|ratios| ratios.rate);
    (said(rate), rate.map(|ratio| ratio.median >= least))
}

fn at_most(most: f64, ratio: Option<Spread>) -> (String, Option<bool>) {
    (said(ratio), ratio.map(|ratio| ratio.median <= most))
}

fn said(ratio: Option<Spread>) -> String {
    ratio.map_or("not measured".to_owned(), |Spread { median, low, high }| {
        format!("{median:.2} × ({low:.2} to {high:.2})")
    })
}
