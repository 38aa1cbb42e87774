//! Terminals that want in: the device flow of RFC 8628, as far as it is to be remembered.
//!
//! A terminal asks for two codes, shows one of them, and asks again and again what has become of
//! it. Meanwhile a person types that code into a browser, shows who he is, and decides. Nothing of
//! it is on disk: after a restart a terminal asks anew.
//!
//! What always holds: a terminal that was let in is told one token, and asks again if the answer was
//! lost; nobody decides twice, or after the time; no more is remembered than the bounds below say.

mod codes;
mod ticket;

pub use codes::{DeviceCode, DeviceId, InvalidUserCode, UserCode};
pub use ticket::{Issued, Ticket, Tickets};

use super::{
    address::{Address, PerNetwork},
    sign_in::Person,
};
use octostore_actors::{
    domain::account::{TokenName, scope::Scope},
    time::Instant,
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long a terminal waits between two polls, to begin with.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// How much longer from each poll on that came too early (RFC 8628, section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// A poll may come so much too early: one request is faster on its way than the one before.
const LENIENCE: Duration = Duration::from_secs(1);

/// How long it is remembered that a code has run out, so that its terminal hears of it.
const LINGER: Duration = Duration::from_secs(60);

/// How many terminals may wait at once.
const MOST: usize = 10_000;

/// How many of them may have one address.
const MOST_OF_ONE: usize = 50;

/// How many of them may have addresses of one site, so that none keeps everybody else out.
const MOST_OF_SITE: usize = 500;

/// Terminals that wait to be let in.
#[derive(Debug)]
pub struct Devices {
    life: Duration,
    table: Arc<Mutex<Table>>,
}

/// What a terminal asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What it calls itself; nobody has checked that.
    pub label: Option<TokenName>,
    /// What it wants to do; `None` is whatever the account may.
    pub scope: Option<Scope>,
    /// Where it asked from.
    pub from: Address,
}

/// A terminal that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What it is known by here.
    pub id: DeviceId,
    /// What it shows.
    pub user_code: UserCode,
    /// What it asks for.
    pub asked: Asked,
}

/// What a person says to a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may act as this one.
    Allow(Person),
    /// It may not.
    Deny,
}

/// Why a terminal cannot even wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// Too many wait, from everywhere.
    #[error("Too many terminals wait to be let in: try again in a minute")]
    Everywhere,
    /// Too many wait with this address.
    #[error("Too many terminals of this address wait to be let in: let them in, or try later")]
    ThisAddress,
}

/// Nobody waits for this decision: it was made already, or the time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this was decided already, or took too long")]
pub struct Over;

/// Why a terminal is not let in, or not yet (RFC 8628, section 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotIn {
    /// Nobody has decided yet.
    #[error("Nobody has let this terminal in yet: ask again")]
    Pending,
    /// The same, and it asks too often: it is to wait five seconds longer from now on.
    #[error("This terminal asks too often: wait five seconds longer each time from now on")]
    SlowDown,
    /// Nobody has decided in time.
    #[error("Nobody has let this terminal in in time: start again")]
    Expired,
    /// Somebody has decided that it may not.
    #[error("Somebody has refused to let this terminal in")]
    Denied,
    /// No terminal waits with this code, or it has got its token already.
    #[error("No terminal waits with this device_code: it is wrong, or was used: start again")]
    Unknown,
}

impl Devices {
    /// Nobody waits yet. A terminal may wait as long as `life`.
    pub fn new(life: Duration) -> Self {
        Self { life, table: Arc::default() }
    }

    /// How long a terminal may wait.
    pub fn life(&self) -> Duration {
        self.life
    }

    /// Has a terminal wait from `now` on. `random` gives other 256 bits each time.
    ///
    /// # Errors
    /// See [`NoRoom`].
    pub fn begin(
        &self,
        asked: Asked,
        now: Instant,
        mut random: impl FnMut() -> [u8; 32],
    ) -> Result<(DeviceCode, UserCode), NoRoom> {
        let mut table = self.lock(now);
        if table.devices.len() >= MOST {
            return Err(NoRoom::Everywhere);
        }
        let of_one = table.of_one.of(asked.from.network());
        if of_one >= MOST_OF_ONE || table.of_site.of(asked.from.site()) >= MOST_OF_SITE {
            return Err(NoRoom::ThisAddress);
        }
        let device_code = DeviceCode::of(random());
        let mut user_code = UserCode::of(random());
        // One in two million is taken, if ten thousand wait.
        while table.by_user_code.contains_key(&user_code) {
            user_code = UserCode::of(random());
        }
        let waiting = Waiting { id: device_code.id(), user_code, asked };
        table.insert(waiting, now + self.life);
        Ok((device_code, user_code))
    }

    /// The terminal that shows this code and waits for a decision.
    pub fn find(&self, user_code: &UserCode, now: Instant) -> Option<Waiting> {
        let table = self.lock(now);
        let id = table.by_user_code.get(user_code)?;
        table.undecided(id, now).cloned()
    }

    /// The same by its id.
    pub fn get(&self, id: &DeviceId, now: Instant) -> Option<Waiting> {
        self.lock(now).undecided(id, now).cloned()
    }

    /// Decides about a terminal, once and for all. Returns whom about.
    ///
    /// # Errors
    /// See [`Over`].
    pub fn decide(&self, id: &DeviceId, said: Decision, now: Instant) -> Result<Waiting, Over> {
        let mut table = self.lock(now);
        let waiting = table.undecided(id, now).cloned().ok_or(Over)?;
        let device = table.devices.get_mut(id).ok_or(Over)?;
        device.state = match said {
            Decision::Allow(person) => State::Allowed(person),
            Decision::Deny => State::Denied,
        };
        Ok(waiting)
    }

    /// A terminal asks what has become of it. If it was let in, it is for the caller to give it
    /// its token, and to say so when that has reached it ([`Claim::spend`]).
    ///
    /// # Errors
    /// See [`NotIn`].
    pub fn poll(&self, presented: &str, now: Instant) -> Result<Claim, NotIn> {
        let id = DeviceId::of(presented);
        let mut table = self.lock(now);
        let device = table.devices.get_mut(&id).ok_or(NotIn::Unknown)?;
        if now >= device.expires_at {
            return Err(NotIn::Expired);
        }
        match &device.state {
            State::Undecided => Err(device.wait(now)),
            State::Claimed => Err(NotIn::Pending),
            State::Denied => {
                table.remove(&id);
                Err(NotIn::Denied)
            }
            State::Allowed(person) => {
                let (person, asked) = (person.clone(), device.waiting.asked.clone());
                device.state = State::Claimed;
                Ok(Claim { table: Arc::clone(&self.table), id, person, asked })
            }
        }
    }

    /// Forgets what is over, and looks.
    fn lock(&self, now: Instant) -> MutexGuard<'_, Table> {
        let mut table = locked(&self.table);
        table.sweep(now);
        table
    }
}

/// A terminal that was let in and gets its token in this moment. Whoever drops this unspent could
/// not give it one: the terminal may ask again (RFC 8628, section 3.5).
#[derive(Debug)]
pub struct Claim {
    table: Arc<Mutex<Table>>,
    id: DeviceId,
    /// As whom it was let in.
    pub person: Person,
    /// What it asked for.
    pub asked: Asked,
}

impl Claim {
    /// It has got its token, or never will: its code is good for nothing any more.
    pub fn spend(self) {
        locked(&self.table).remove(&self.id);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(device) = locked(&self.table).devices.get_mut(&self.id) {
            device.state = State::Allowed(self.person.clone());
        }
    }
}

fn locked(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct Table {
    devices: HashMap<DeviceId, Device>,
    by_user_code: HashMap<UserCode, DeviceId>,
    /// How many have an address of this network.
    of_one: PerNetwork,
    /// How many have an address of this site.
    of_site: PerNetwork,
    /// In the order in which they are over.
    ends: BTreeSet<(Instant, DeviceId)>,
}

#[derive(Debug)]
struct Device {
    waiting: Waiting,
    expires_at: Instant,
    /// How long it is to wait between two polls.
    interval: Duration,
    polled_at: Option<Instant>,
    state: State,
}

#[derive(Debug)]
enum State {
    Undecided,
    Allowed(Person),
    /// As allowed, and its token is being made, or on its way.
    Claimed,
    Denied,
}

impl Device {
    /// What a poll is told while nothing is decided.
    fn wait(&mut self, now: Instant) -> NotIn {
        let before = self.polled_at.replace(now);
        if before.is_some_and(|before| now.since(before) + LENIENCE < self.interval) {
            self.interval += SLOWER;
            NotIn::SlowDown
        } else {
            NotIn::Pending
        }
    }
}

impl Table {
    fn undecided(&self, id: &DeviceId, now: Instant) -> Option<&Waiting> {
        let device = self.devices.get(id).filter(|device| now < device.expires_at)?;
        matches!(device.state, State::Undecided).then_some(&device.waiting)
    }

    fn insert(&mut self, waiting: Waiting, expires_at: Instant) {
        let id = waiting.id;
        self.by_user_code.insert(waiting.user_code, id);
        self.of_one.one_more(waiting.asked.from.network());
        self.of_site.one_more(waiting.asked.from.site());
        self.ends.insert((expires_at, id));
        let state = State::Undecided;
        let device = Device { waiting, expires_at, interval: INTERVAL, polled_at: None, state };
        self.devices.insert(id, device);
    }

    fn remove(&mut self, id: &DeviceId) {
        let Some(device) = self.devices.remove(id) else { return };
        self.by_user_code.remove(&device.waiting.user_code);
        self.ends.remove(&(device.expires_at, *id));
        let from = &device.waiting.asked.from;
        self.of_one.one_less(from.network());
        self.of_site.one_less(from.site());
    }

    fn sweep(&mut self, now: Instant) {
        while let Some(&(expires_at, id)) = self.ends.first()
            && expires_at + LINGER <= now
        {
            self.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
