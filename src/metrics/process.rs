//! What the system knows of this process, under the names that every Prometheus client uses, and
//! how much of a processor each actor has used.

use super::{actors::WatchedActor, cells::approximately, families::Families};
use procfs::{
    ProcResult, boot_time_secs, page_size,
    process::{LimitValue, Process, Stat},
    ticks_per_second,
};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, registry::Unit};
use std::{fmt, sync::Arc};

/// Reads `/proc` each time. What cannot be read is left out.
#[derive(Debug)]
pub struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let mut families = Families::new(encoder);
        let Ok(process) = Process::myself() else { return Ok(()) };
        if let Ok(stat) = process.stat() {
            let title = ("process_cpu", Some(&Unit::Seconds), "User and system time spent.");
            families.counter(title, processor_seconds(&stat))?;
            let title = ("process_resident_memory", Some(&Unit::Bytes), "Memory in use.");
            families.gauge(title, stat.rss * page_size())?;
            let title = ("process_virtual_memory", Some(&Unit::Bytes), "Address space in use.");
            families.gauge(title, stat.vsize)?;
            families
                .gauge(("process_threads", None, "Threads of the system."), stat.num_threads)?;
            if let Ok(boot) = boot_time_secs() {
                let start = approximately(boot) + approximately(stat.starttime) / ticks();
                let title =
                    ("process_start_time", Some(&Unit::Seconds), "When it started, since 1970.");
                families.gauge(title, start)?;
            }
        }
        if let Ok(open) = process.fd_count() {
            families.gauge(("process_open_fds", None, "Open file descriptors."), open)?;
        }
        if let Ok(Some(most)) = most_files(&process) {
            families.gauge(("process_max_fds", None, "The most there may be of them."), most)?;
        }
        Ok(())
    }
}

/// How much of a processor the threads of `actors` have used, in seconds.
pub fn processor_use(actors: &Arc<[WatchedActor]>) -> Vec<(&'static str, f64)> {
    let Ok(tasks) = Process::myself().and_then(|process| process.tasks()) else {
        return Vec::new();
    };
    let threads = tasks.filter_map(|task| task.ok()?.stat().ok());
    threads
        .filter_map(|stat| {
            let actor = actors.iter().find(|actor| actor.name == stat.comm)?;
            Some((actor.name, processor_seconds(&stat)))
        })
        .collect()
}

fn processor_seconds(stat: &Stat) -> f64 {
    approximately(stat.utime + stat.stime) / ticks()
}

fn ticks() -> f64 {
    approximately(ticks_per_second())
}

/// How many files it may have open; `None` is as many as it likes.
fn most_files(process: &Process) -> ProcResult<Option<u64>> {
    Ok(match process.limits()?.max_open_files.soft_limit {
        LimitValue::Unlimited => None,
        LimitValue::Value(most) => Some(most),
    })
}
