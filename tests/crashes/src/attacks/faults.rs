//! A disk that fails once: at the first write, the second, the third, … of a start, of a restart and
//! of a scenario, until one runs through without; likewise every sync, every change of length, and
//! every file that is opened.

use super::leftovers::Leftovers;
use crate::{
    Outcome,
    arena::Arena,
    client::{Account, Answer, Connection, PATIENCE, Request},
    lab::{self, Lab},
    report::Report,
    server::{Exit, Host, Server},
    worker::Work,
};
use serde_json::json;
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The promises that it attacks.
const PROMISES: &str = "Fencing, Durability, One outcome";

const ATTACK: &str = "every k-th write, sync and open fails";

/// What fails, and whether only for the files of the database: everybody opens files.
const CALLS: [(&str, bool); 6] = [
    ("pwrite64", false),
    ("fsync", false),
    ("fdatasync", false),
    ("ftruncate", false),
    ("unlink", false),
    ("openat", true),
];

/// The exit codes of a server whose disk fails, after `sysexits.h`: it cannot read or write, it
/// cannot make the file, or what it was making is not there yet.
const CODES: [i32; 2] = [74, 73];

/// How much is tried.
#[derive(Clone, Debug)]
pub struct Extent {
    /// How long the scenario is.
    pub requests: u64,
    /// The errors.
    pub errors: Vec<String>,
    /// Every how many calls one fails: 1 is every one.
    pub step: u64,
}

impl Extent {
    fn work(&self) -> Work {
        Work { requests: self.requests, ..Work::SCENARIO }
    }
}

/// Lets everything fail once.
///
/// # Errors
/// It cannot be tried.
pub fn run(lab: &Lab, extent: &Extent) -> Outcome<Report> {
    if let Err(why) = can_inject(lab) {
        return Ok(Report::skipped(PROMISES, ATTACK, why.to_string()));
    }
    let mut attack = Faults { lab, extent, faults: 0, failures: Vec::new() };
    let leftovers = Box::new(Leftovers::make(lab, extent.work())?);
    let scenes = [Scene::FirstStart, Scene::Restart(leftovers), Scene::Serving];
    let mut told = Vec::new();
    for scene in &scenes {
        for (call, ours_alone) in CALLS {
            for error in &extent.errors {
                let before = attack.faults;
                attack.every(scene, &Fault { call, ours_alone, error, number: 0 })?;
                told.push(format!("{} {call} {error}", attack.faults - before));
            }
        }
    }
    for (call, ours_alone) in [("pwrite64", false), ("fsync", false)] {
        let fault = Fault { call, ours_alone, error: "EIO", number: 1 };
        let folder = lab.folder(call)?;
        let wrong = answers(&Host::new(&lab.server, &folder), &fault, &folder.join("strace"))?;
        attack.faults += 1;
        attack.failures.extend(wrong);
    }
    let times = format!("{} faults", attack.faults);
    let report = Report::new(PROMISES, ATTACK, times, attack.failures);
    Ok(report.tell(format!("first start, restart, scenario: {}", told.join(", "))))
}

fn can_inject(lab: &Lab) -> Outcome<()> {
    if !lab::has("strace") {
        return Err("strace is missing".into());
    }
    let folder = lab.folder("inject")?;
    // A sync that fails without a disk that does.
    let inject = ["-qq", "-o", "/dev/null", "-e", "inject=fsync:error=EIO", "sync"];
    let failed = Command::new("strace").args(inject).arg(&folder).stderr(Stdio::null()).status()?;
    if failed.success() { Err("strace injects no errors here".into()) } else { Ok(()) }
}

/// When it fails.
enum Scene {
    /// While a new file is made.
    FirstStart,
    /// While what a killed server has left is opened.
    Restart(Box<Leftovers>),
    /// While the server works, and while it stops.
    Serving,
}

/// What fails.
#[derive(Clone, Copy)]
struct Fault<'a> {
    call: &'static str,
    ours_alone: bool,
    error: &'a str,
    /// The how-manieth call of a thread.
    number: u64,
}

struct Faults<'a> {
    lab: &'a Lab,
    extent: &'a Extent,
    faults: u64,
    failures: Vec<String>,
}

impl Faults<'_> {
    /// The first, the second, … until there are no more.
    fn every(&mut self, scene: &Scene, fault: &Fault<'_>) -> Outcome<()> {
        for round in 0.. {
            let fault = Fault { number: 1 + round * self.extent.step, ..*fault };
            let folder = self.lab.folder("fault")?;
            let hit = self.one(scene, &fault, &folder);
            fs::remove_dir_all(&folder)?;
            if !hit? {
                break;
            }
            self.faults += 1;
        }
        Ok(())
    }

    /// Whether it came to that.
    fn one(&mut self, scene: &Scene, fault: &Fault<'_>, folder: &Path) -> Outcome<bool> {
        let host = Host::new(&self.lab.server, folder);
        let log = folder.join("strace");
        let wrong = match scene {
            Scene::FirstStart => starts(&host, None, fault, &log)?,
            Scene::Restart(leftovers) => {
                leftovers.put(&host)?;
                starts(&host, Some(leftovers), fault, &log)?
            }
            Scene::Serving => serves(self.lab.seed, self.extent.work(), &host, fault, &log)?,
        };
        let place = match scene {
            Scene::FirstStart => "first start",
            Scene::Restart(_) => "restart",
            Scene::Serving => "scenario",
        };
        let Fault { call, error, number, .. } = fault;
        let name = |what| format!("{place}, {call} number {number} fails with {error}: {what}");
        self.failures.extend(wrong.into_iter().map(name));
        Ok(fs::read_to_string(&log)?.contains("(INJECTED)"))
    }
}

/// A start whose disk fails: it serves all the same, or ends and says why; and another one serves, and
/// tells what was there before.
fn starts(
    host: &Host,
    before: Option<&Leftovers>,
    fault: &Fault<'_>,
    log: &Path,
) -> Outcome<Vec<String>> {
    let mut strace = vec!["strace".to_owned(), "-D".to_owned(), "--seccomp-bpf".to_owned()];
    strace.extend(words(fault, host, log));
    let mut wrong = Vec::new();
    match host.wrapped(strace).spawn()?.serving()? {
        Ok(server) => {
            server.kill()?;
            server.exit()?;
        }
        Err(exit) => wrong.extend(ends_badly(&exit)),
    }
    match host.spawn()?.serving()? {
        Ok(server) => {
            if let Some(before) = before {
                wrong.extend(before.judge(&server)?);
            }
            server.kill()?;
            server.exit()?;
        }
        Err(exit) => wrong.push(format!("it does not start again: {exit:?}")),
    }
    Ok(wrong)
}

/// A scenario in which the disk fails: the server goes on, or ends; and what was acknowledged is there
/// afterwards.
fn serves(
    seed: u64,
    work: Work,
    host: &Host,
    fault: &Fault<'_>,
    log: &Path,
) -> Outcome<Vec<String>> {
    let mut arena = Arena::new(host.clone(), seed);
    let server = arena.start()?;
    let mut strace = attach(&server, fault, host, log)?;
    let lived = arena.live(
        server,
        work,
        |server, _| {
            if server.has_ended()? { Ok(()) } else { server.stop() }
        },
    );
    strace.wait()?;
    let mut wrong = Vec::new();
    match lived {
        Ok(exit) if exit.code == Some(0) => {}
        Ok(exit) => wrong.extend(ends_badly(&exit)),
        Err(error) => wrong.push(error.to_string()),
    }
    wrong.extend(arena.finish());
    Ok(wrong)
}

/// Somebody waits for the commit that fails: it hears that the outcome is unknown.
///
/// Only here is that sure. Who asks a server that has just failed may find it gone.
fn answers(host: &Host, fault: &Fault<'_>, log: &Path) -> Outcome<Option<String>> {
    let server = host.start()?;
    let mut connection = Connection::open(server.address)?;
    let mut acquire = |name: &str| -> Outcome<Answer> {
        let body = Some(json!({"ttl_seconds": 3_600}));
        let request = Request::new("POST", format!("/locks/{name}/acquire"), body);
        connection.send(&request.bytes(Account::Alice))?;
        Ok(connection.read()?)
    };
    let before = acquire("before")?;
    let mut strace = attach(&server, fault, host, log)?;
    let answer = acquire("during");
    let exit = server.exit()?;
    strace.wait()?;
    let heard = answer.as_ref().is_ok_and(|answer| answer.code() == "outcome_unknown");
    let rightly = before.status == 200 && heard && ends_badly(&exit).is_none();
    Ok((!rightly).then(|| format!("whoever waits hears {answer:?}, and it ends: {exit:?}")))
}

fn attach(server: &Server, fault: &Fault<'_>, host: &Host, log: &Path) -> Outcome<Child> {
    let pid = server.pid();
    let strace = Command::new("strace")
        .args(words(fault, host, log))
        .args(["-p", &pid.to_string()])
        .stderr(Stdio::null())
        .spawn()?;
    let tasks = format!("/proc/{pid}/task");
    let begun = Instant::now();
    let is_traced = |status: &str| {
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    };
    loop {
        let all = fs::read_dir(&tasks)?.flatten().all(|task| {
            fs::read_to_string(task.path().join("status")).is_ok_and(|status| is_traced(&status))
        });
        if all {
            return Ok(strace);
        }
        if begun.elapsed() > PATIENCE {
            return Err("strace does not attach itself".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn words(fault: &Fault<'_>, host: &Host, log: &Path) -> Vec<String> {
    let Fault { call, ours_alone, error, number } = fault;
    let inject = format!("inject={call}:error={error}:when={number}");
    let trace = format!("trace={call}");
    let mut words = vec!["-f".to_owned(), "-qq".to_owned()];
    words.extend(["-e".to_owned(), trace, "-e".to_owned(), inject]);
    words.extend(["-o".to_owned(), log.display().to_string()]);
    if *ours_alone {
        for suffix in ["", "-wal", "-journal", "-lock"] {
            words.extend(["-P".to_owned(), host.beside(suffix).display().to_string()]);
        }
    }
    words
}

/// What is wrong with the end of a server whose disk has failed.
fn ends_badly(exit: &Exit) -> Option<String> {
    let rightly = exit.code.is_some_and(|code| CODES.contains(&code));
    (!rightly || exit.said.contains("panicked")).then(|| format!("it ends like this: {exit:?}"))
}
