//! The power goes: what was not on the disk never comes there.

use crate::{
    Outcome,
    arena::Arena,
    disk::Disk,
    lab::{self, Lab},
    report::Report,
    server::Host,
    worker::Work,
};
use std::{path::PathBuf, process::Command, time::Duration};

const ATTACK: &str = "power cut on ext4";

/// How many MiB the disk has.
const SIZE: u64 = 48;

/// Cuts the power so many times.
///
/// # Errors
/// It cannot be tried.
pub fn run(lab: &Lab, times: u64) -> Outcome<Report> {
    run_with(lab, times, |host| host)
}

/// The same, with servers that are started in another way.
///
/// # Errors
/// It cannot be tried.
pub fn run_with(lab: &Lab, times: u64, how: impl Fn(Host) -> Host) -> Outcome<Report> {
    const PROMISES: &str = super::kill::PROMISES;
    let disk = match disk(lab, "power") {
        Ok(disk) => disk,
        Err(why) => return Ok(Report::skipped(PROMISES, ATTACK, why.to_string())),
    };
    let boot = Boots::new(lab)?;
    let host = how(Host::new(&lab.server, disk.path()));
    let mut arena = Arena::new(host, lab.seed);
    let mut failures = Vec::new();
    let mut young = 0;
    let mut cuts = 0;
    while cuts < times && !arena.is_broken() {
        cuts += 1;
        boot.next(cuts)?;
        arena.rebooted = true;
        // One in eight goes while it makes its file.
        let ended = if arena.dice.u32(0..8) == 0 {
            young += 1;
            in_infancy(&mut arena, &disk, cuts)
        } else {
            let work = Work::endless(&mut arena.dice);
            let life = arena.life(work, |server, dice| {
                disk.cut_after(Duration::from_micros(dice.u64(1_000..150_000)))?;
                // It may still say what it does not know.
                std::thread::sleep(Duration::from_micros(dice.u64(0..20_000)));
                server.kill()
            });
            life.and_then(|_exit| disk.restore())
        };
        if let Err(error) = ended {
            failures.push(error.to_string());
            break;
        }
    }
    if failures.is_empty() {
        failures.extend(arena.finish());
    }
    Ok(Report::new(PROMISES, ATTACK, format!("{cuts} power cuts"), failures)
        .tell(format!("{young} of the cuts came while a new file was made"))
        .tell_tally(&arena.tally))
}

/// The kernel's word for a boot, as everybody in this name space of mounts finds it.
struct Boots(PathBuf);

impl Boots {
    const KERNEL: &str = "/proc/sys/kernel/random/boot_id";

    fn new(lab: &Lab) -> Outcome<Self> {
        let path = lab.folder("boot")?.join("id");
        std::fs::write(&path, std::fs::read(Self::KERNEL)?)?;
        lab::run(Command::new("mount").arg("--bind").arg(&path).arg(Self::KERNEL))?;
        Ok(Self(path))
    }

    /// Another boot: power does not come back without one.
    fn next(&self, number: u64) -> Outcome<()> {
        Ok(std::fs::write(&self.0, format!("boot {number}\n"))?)
    }
}

impl Drop for Boots {
    fn drop(&mut self) {
        // What cannot be unmounted goes with the name space.
        let _unmounted = lab::run(Command::new("umount").arg(Self::KERNEL));
    }
}

/// A disk whose power can be cut, in a folder of that name.
pub(super) fn disk(lab: &Lab, name: &str) -> Outcome<Disk> {
    if !lab::may_mount() {
        return Err("this user may not mount; run it as root".into());
    }
    if !lab::has("python3") {
        return Err("python3 is missing".into());
    }
    let disk = Disk::new(&lab.folder(name)?, SIZE)?;
    disk.prove()?;
    Ok(disk)
}

/// A server that nobody has asked anything yet starts anew whatever became of its file.
fn in_infancy(arena: &mut Arena, disk: &Disk, number: u64) -> Outcome<()> {
    let folder = disk.path().join(format!("young-{number}"));
    std::fs::create_dir(&folder)?;
    let host = arena.host.in_folder(&folder);
    let starting = host.spawn()?;
    disk.cut_after(Duration::from_micros(arena.dice.u64(0..30_000)))?;
    starting.kill()?;
    disk.restore()?;
    std::fs::create_dir_all(&folder)?;
    let server = host.start()?;
    server.kill()?;
    server.exit()?;
    Ok(std::fs::remove_dir_all(folder)?)
}
