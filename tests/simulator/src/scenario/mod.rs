//! One scenario, from one seed: clients, a server, a disk and a calendar of mishaps.
//!
//! [`plan`] says what a seed makes of it, [`walk`] takes the steps, [`clients`] thinks of what to
//! ask, [`crash`] ends servers and starts them again, [`finale`] brings all to rest. Here is what
//! they share, and how an answer reaches its client.

mod clients;
mod crash;
mod finale;
mod lost;
mod panics;
pub mod plan;
mod tally;
mod template;
mod walk;

pub use tally::Tally;

use crate::{
    breaks::Break,
    dice::Dice,
    disk::{Disk, Mounted, SharedDisk, SimulatedFiles},
    oracle::{End, Oracle, Promise, RequestId, Stamp, Violation, history},
    server::{Answer, Ask, Domain, Server, Turned, Wait, Way},
    time::Time,
    trace::Trace,
};
use clients::Clients;
use octostore::{clock::TimeSource, store::NotRefused};
use octostore_actors::{commit::StoreFailure, domain::values::WallTime, reply::Lost};
use plan::Plan;

/// What came of a scenario.
#[derive(Debug)]
pub struct Report {
    /// What stands for all that happened.
    pub hash: u64,
    /// What happened, if it was asked for.
    pub trace: Option<String>,
    /// How often what happened.
    pub tally: Tally,
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
}

/// Runs the scenario of `seed`. Keeps what happened as text if it is to be `readable`.
pub fn run(seed: u64, broken: Option<Break>, readable: bool) -> Report {
    let mut world = World::new(seed, broken, readable);
    let violation = match panics::catch(|| world.live()) {
        Ok(Ok(()) | Err(Ending::Refused)) => None,
        Ok(Err(Ending::Broken(violation))) => Some(violation),
        Err(panic) => Some(Violation::new(Promise::NoPanic, panic)),
    };
    if let Some(violation) = &violation {
        world.trace.note(format_args!("{violation}"));
    }
    world.count();
    Report {
        hash: world.trace.hash(),
        trace: world.trace.text().map(str::to_owned),
        tally: world.tally,
        violation,
    }
}

/// A scenario under way.
struct World {
    dice: Dice,
    plan: Plan,
    broken: Option<Break>,
    time: Time,
    mounted: Mounted,
    files: SimulatedFiles,
    server: Option<Server>,
    pending: Vec<Pending>,
    /// Answers that were picked up, and have not arrived.
    under_way: Vec<(RequestId, Answer)>,
    clients: Clients,
    oracle: Oracle,
    trace: Trace,
    tally: Tally,
    events: u64,
    /// When starts were tried since the last reboot, if no server has run since.
    tried: Vec<crate::time::Truth>,
    new_boot: bool,
}

/// A client that waits.
struct Pending {
    request: RequestId,
    wait: Wait,
}

type Step<T = ()> = Result<T, Ending>;

/// Why a scenario ends before its time.
#[derive(Debug)]
enum Ending {
    /// A promise was broken.
    Broken(Violation),
    /// What a failed write or sync left looks like damage, and no server starts on it any more.
    Refused,
}

impl From<Violation> for Ending {
    fn from(violation: Violation) -> Self {
        Self::Broken(violation)
    }
}

impl World {
    fn new(seed: u64, broken: Option<Break>, readable: bool) -> Self {
        let mut dice = Dice::new(seed, 0);
        let plan = Plan::roll(&mut dice, broken);
        let time = Time::new(plan.uptime, broken == Some(Break::WallClock));
        let image = template::image(plan.beginning);
        let disk = Disk::new(image, Dice::new(seed, 1), Break::syncs(broken));
        let mounted = Mounted::new(SharedDisk::new(disk));
        let files = SimulatedFiles { disk: mounted.disk().clone(), size: plan.journal };
        let mut trace = Trace::new(readable);
        trace.note(format_args!("seed {seed}: {plan:?}"));
        Self {
            clients: Clients::new(),
            oracle: Oracle::new(&plan.setup),
            dice,
            plan,
            broken,
            time,
            mounted,
            files,
            server: None,
            pending: Vec::new(),
            under_way: Vec::new(),
            trace,
            tally: Tally { scenarios: 1, ..Tally::default() },
            events: 0,
            tried: Vec::new(),
            new_boot: true,
        }
    }

    fn live(&mut self) -> Step {
        self.bring_up()?;
        for _ in 0..self.plan.steps {
            self.step()?;
        }
        self.finish()?;
        let checked = history::check(&self.oracle)?;
        self.tally.histories += checked.explained;
        self.tally.undecided += checked.undecided;
        if self.dice.one_in(2) { self.lose_journal() } else { Ok(()) }
    }

    fn count(&mut self) {
        let counts = self.mounted.disk().get().counts();
        self.tally.disk(counts);
        self.tally.requests += self.oracle.requests.len() as u64;
        self.tally.checks += self.oracle.checks;
    }

    /// The next event, now.
    fn stamp(&mut self) -> Stamp {
        self.events += 1;
        Stamp { event: self.events, at: self.time.now() }
    }

    fn wall(&self) -> WallTime {
        WallTime::from_millis(self.time.clocks().wall_nanos().div_euclid(1_000_000))
    }

    /// A client asks.
    fn ask(&mut self, client: usize, ask: Ask) -> Step {
        if self.server.as_ref().is_some_and(Server::is_pressed) {
            self.commit()?;
        }
        let heard = self.heard(ask.clone());
        let Some(server) = &mut self.server else { return Ok(()) };
        self.events += 1;
        let sent = Stamp { event: self.events, at: self.time.now() };
        let request = self.oracle.asked(client, ask.clone(), sent);
        self.trace.note(format_args!("{:?} #{request} client {client} asks {ask:?}", sent.at));
        let domain = ask.domain();
        match server.ask(heard) {
            Ok((way, wait)) => {
                self.pending.push(Pending { request, wait });
                match way {
                    Way::Mailbox => self.oracle.bounds.taken(domain)?,
                    Way::AtOnce => self.oracle.turned(domain, self.time.now()),
                }
            }
            Err(why) => {
                self.tally.bounded += 1;
                self.trace.note(format_args!("  #{request} is not taken: {why}"));
                self.oracle.ends(request, End::Nothing);
            }
        }
        Ok(())
    }

    /// What the server makes of a request.
    fn heard(&self, ask: Ask) -> Ask {
        match self.broken {
            Some(broken) => broken.hears(ask),
            None => ask,
        }
    }

    /// Several things are asked in one message to each actor.
    fn ask_together(&mut self, asks: Vec<(usize, Ask)>) -> Vec<RequestId> {
        let Some(server) = &self.server else { return Vec::new() };
        let mut requests = Vec::new();
        for (client, ask) in &asks {
            self.events += 1;
            let sent = Stamp { event: self.events, at: self.time.now() };
            let request = self.oracle.asked(*client, ask.clone(), sent);
            self.trace
                .note(format_args!("{:?} #{request} client {client} asks {ask:?}, too", sent.at));
            requests.push(request);
        }
        let asks = asks.into_iter().map(|(_, ask)| self.heard(ask)).collect();
        for (index, wait) in server.actors.ask_all(asks) {
            self.pending.push(Pending { request: requests[index], wait });
        }
        requests
    }

    /// An actor takes a turn.
    fn turn(&mut self, domain: Domain) -> Step {
        if self.server.as_ref().is_some_and(Server::is_pressed) {
            self.commit()?;
        }
        let Some(server) = &mut self.server else { return Ok(()) };
        let turned = server.turn(domain);
        self.turned(domain, turned);
        Ok(())
    }

    /// An actor has taken a turn.
    fn turned(&mut self, domain: Domain, Turned { flow, handled }: Turned) {
        let now = self.time.now();
        if handled {
            self.oracle.turned(domain, now);
            self.trace.note(format_args!("{now:?} turn of {domain:?}: {flow:?}"));
        } else {
            self.trace
                .note(format_args!("{now:?} turn of {domain:?}, which does nothing: {flow:?}"));
        }
    }

    /// What is queued is committed.
    fn commit(&mut self) -> Step {
        let Some(server) = &mut self.server else { return Ok(()) };
        let before = self.mounted.disk().get().counts().journal_syncs;
        let stepped = server.step();
        let synced = self.mounted.disk().get().counts().journal_syncs > before;
        self.tally.commits += u64::from(stepped.is_ok() && synced);
        self.trace.note(format_args!("{:?} commit: {synced}", self.time.now()));
        self.survive(stepped)
    }

    /// Asks whether an answer is there, and lets it set out.
    fn deliver(&mut self, index: usize, at_once: bool) -> Step {
        let Some(pending) = self.pending.get_mut(index) else { return Ok(()) };
        let Some(answer) = pending.wait.poll() else { return Ok(()) };
        let Pending { request, .. } = self.pending.remove(index);
        match answer {
            Ok(answer) if at_once || !self.dice.one_in(4) => self.arrives(request, answer),
            Ok(answer) => {
                self.trace.note(format_args!("  #{request} is under way"));
                self.under_way.push((request, answer));
                Ok(())
            }
            Err(lost) => {
                self.trace.note(format_args!("  #{request}: {lost}"));
                self.oracle.ends(
                    request,
                    match lost {
                        Lost::StoreFull | Lost::Overloaded => End::Nothing,
                        Lost::OutcomeUnknown => End::Unknown,
                    },
                );
                Ok(())
            }
        }
    }

    /// Every answer that is there arrives.
    fn deliver_all(&mut self) -> Step {
        for index in (0..self.pending.len()).rev() {
            self.deliver(index, true)?;
        }
        while let Some((request, answer)) = self.under_way.pop() {
            self.arrives(request, answer)?;
        }
        Ok(())
    }

    /// An answer reaches its client.
    fn arrives(&mut self, request: RequestId, answer: Answer) -> Step {
        let now = self.stamp();
        self.tally.answers += 1;
        self.trace.note(format_args!("{:?} #{request} is told {answer:?}", now.at));
        self.clients.told(&self.oracle.requests[request], &answer);
        self.tally.answer(&answer);
        Ok(self.oracle.told(request, answer, now)?)
    }

    /// A client hangs up.
    fn hang_up(&mut self, index: usize) {
        let Pending { request, wait } = self.pending.remove(index);
        self.trace.note(format_args!("  #{request} hangs up"));
        self.tally.hang_ups += 1;
        if self.broken == Some(Break::NotGivenBack) {
            std::mem::forget(wait);
        } else {
            drop(wait);
        }
        self.oracle.ends(request, End::HungUp);
    }

    /// An answer that was under way does not arrive.
    fn lose(&mut self, index: usize) {
        let (request, answer) = self.under_way.remove(index);
        self.trace.note(format_args!("  #{request} is lost on the way"));
        self.tally.hang_ups += 1;
        if let Some(server) = &self.server
            && self.broken != Some(Break::NotGivenBack)
        {
            server.actors.give_back(answer);
        }
        self.oracle.ends(request, End::HungUp);
    }

    /// Somebody presents a bearer token.
    fn present(&mut self, index: usize) -> Step {
        let Some(server) = &self.server else { return Ok(()) };
        let Some(bearer) = self.clients.wallet.get(index) else { return Ok(()) };
        let wall = server.calendar.wall();
        let opened = server.directory.authenticate(bearer.secret.as_bytes(), wall);
        let opened = opened.map(|identity| identity.account().id);
        let hash = bearer.hash;
        self.trace.note(format_args!("  {} is presented: {opened:?}", bearer.secret));
        let now = self.stamp();
        self.oracle.checks += 1;
        self.tally.presented += 1;
        if opened.is_ok() {
            self.oracle.audit.shows_token(&hash);
        }
        let requests = &self.oracle.requests;
        Ok(self.oracle.tokens.presented(&hash, opened, (wall, now), requests)?)
    }

    /// The wall clock has moved.
    fn time_moved(&mut self) {
        self.oracle.tokens.wall(self.wall());
        self.trace.note(format_args!("{:?}, {:?}", self.time.now(), self.wall()));
    }

    /// Goes on after the disk was used: the process may have died in it, or the store failed.
    fn survive(&mut self, done: Result<(), StoreFailure>) -> Step {
        if !self.mounted.disk().get().is_alive() {
            self.tally.inside += 1;
            return self.crash();
        }
        match done {
            Ok(()) => Ok(()),
            Err(why) => {
                self.trace.note(format_args!("{why}"));
                let disk = self.mounted.disk().get().counts();
                // A full disk is no reason to fail, but for a commit that cannot be taken back.
                let full =
                    disk.full > 0 && matches!(why.0.downcast_ref(), Some(NotRefused::IsWhole));
                crate::oracle::require(disk.faults > 0 || full, Promise::Durability, || {
                    format!("nothing was wrong, and {why}")
                })?;
                self.tally.failures += 1;
                self.fail()
            }
        }
    }
}
