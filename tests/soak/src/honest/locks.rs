//! Clients that take locks.

use super::{Heard, Kept, Part, Unexpected};
use crate::{oracle::Oracle, wire::Ask};
use std::time::Duration;

/// How long a lease is asked for: no client here holds one that long without renewing it.
const TTL: Duration = Duration::from_secs(600);

/// How many locks of its own a worker takes in turn.
const NAMES: u32 = 50;

/// A grant, as its holder knows it.
#[derive(Clone, Debug)]
struct Lease {
    id: String,
    token: u64,
}

impl Lease {
    /// In an answer that must be a success.
    fn in_answer(heard: &Heard) -> Result<Self, Unexpected> {
        let id = heard.body["lease_id"].as_str().filter(|id| id.len() == 36);
        match (heard.status, id, heard.body["fencing_token"].as_u64()) {
            (200, Some(id), Some(token)) => Ok(Self { id: id.to_owned(), token }),
            _ => Err(Unexpected),
        }
    }

    /// An answer that must show this very lease.
    fn is_in(&self, heard: &Heard) -> Result<(), Unexpected> {
        let seen = Self::in_answer(heard)?;
        if seen.id == self.id && seen.token == self.token { Ok(()) } else { Err(Unexpected) }
    }
}

/// Requests about one lock.
#[derive(Debug)]
struct Lock {
    bearer: String,
    name: String,
    owner: Option<&'static str>,
    /// What anybody had been granted when the acquire was sent.
    floor: u64,
}

impl Lock {
    fn acquire(&mut self, oracle: &Oracle) -> Ask {
        self.floor = oracle.highest_token();
        let owner = self.owner.map(|owner| format!(",\"owner\":\"{owner}\"")).unwrap_or_default();
        self.post("acquire", &format!("{{\"ttl_seconds\":{}{owner}}}", TTL.as_secs()))
    }

    fn renew(&self, lease: &Lease) -> Ask {
        let (id, ttl) = (&lease.id, TTL.as_secs());
        self.post("renew", &format!("{{\"lease_id\":\"{id}\",\"ttl_seconds\":{ttl}}}"))
    }

    fn release(&self, lease: &Lease, oracle: &Oracle) -> Ask {
        oracle.leaves(&self.name);
        self.post("release", &format!("{{\"lease_id\":\"{}\"}}", lease.id))
    }

    fn look(&self) -> Ask {
        Ask::get(&self.bearer, format!("/locks/{}", self.name))
    }

    fn granted(&self, heard: &Heard, oracle: &Oracle) -> Result<Lease, Unexpected> {
        let lease = Lease::in_answer(heard)?;
        let holder = format!("{} {}", self.bearer, self.owner.unwrap_or("-"));
        oracle.granted(&self.name, &holder, lease.token, self.floor, (heard.span, TTL));
        Ok(lease)
    }

    fn post(&self, action: &str, body: &str) -> Ask {
        Ask::post(&self.bearer, format!("/locks/{}/{action}", self.name), body.to_owned())
    }
}

fn says(heard: &Heard, status: u16, word: &str) -> Result<(), Unexpected> {
    if heard.status == status && heard.body["status"] == word { Ok(()) } else { Err(Unexpected) }
}

/// Takes a lock of its own, looks at it, renews it, releases it, and sees it free.
pub struct Worker {
    prefix: String,
    lock: Lock,
    rounds: u32,
    lease: Option<Lease>,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Acquire,
    Look,
    Renew,
    Release,
    LookAgain,
}

impl Worker {
    /// With the token `bearer`, at locks whose names begin with `prefix`.
    pub fn new(bearer: &str, prefix: &str) -> Self {
        let lock =
            Lock { bearer: bearer.to_owned(), name: format!("{prefix}-0"), owner: None, floor: 0 };
        Self { prefix: prefix.to_owned(), lock, rounds: 0, lease: None, step: Step::Acquire }
    }
}

impl Part for Worker {
    fn ask(&mut self, oracle: &Oracle) -> Ask {
        match (self.step, &self.lease) {
            (Step::Renew, Some(lease)) => self.lock.renew(lease),
            (Step::Release, Some(lease)) => self.lock.release(lease, oracle),
            (Step::Acquire, _) => self.lock.acquire(oracle),
            (Step::Look | Step::LookAgain, _) | (_, None) => self.lock.look(),
        }
    }

    fn hear(&mut self, heard: &Heard, oracle: &Oracle) -> Result<(), Unexpected> {
        let lease = self.lease.as_ref().ok_or(Unexpected);
        self.step = match self.step {
            Step::Acquire => {
                self.lease = Some(self.lock.granted(heard, oracle)?);
                Step::Look
            }
            Step::Look => {
                lease?.is_in(heard)?;
                says(heard, 200, "held")?;
                Step::Renew
            }
            Step::Renew => {
                lease?.is_in(heard)?;
                Step::Release
            }
            Step::Release => {
                says(heard, 200, "released")?;
                self.lease = None;
                Step::LookAgain
            }
            Step::LookAgain => {
                says(heard, 200, "available")?;
                self.rounds += 1;
                self.lock.name = format!("{}-{}", self.prefix, self.rounds % NAMES);
                Step::Acquire
            }
        };
        Ok(())
    }

    fn kept(&self) -> Vec<Kept> {
        self.lease.iter().map(|lease| kept(&self.lock, lease)).collect()
    }
}

fn kept(lock: &Lock, lease: &Lease) -> Kept {
    let fields = vec![
        ("status", "held".into()),
        ("lease_id", lease.id.as_str().into()),
        ("fencing_token", lease.token.into()),
    ];
    Kept { ask: lock.look(), fields }
}

/// Competes for a lock; holds it for one renewal.
pub struct Contender {
    lock: Lock,
    lease: Option<Lease>,
    renewed: bool,
}

impl Contender {
    /// With the token `bearer`, as `owner`, at the lock `name`.
    pub fn new(bearer: &str, name: &str, owner: &'static str) -> Self {
        let lock =
            Lock { bearer: bearer.to_owned(), name: name.to_owned(), owner: Some(owner), floor: 0 };
        Self { lock, lease: None, renewed: false }
    }
}

impl Part for Contender {
    fn ask(&mut self, oracle: &Oracle) -> Ask {
        match &self.lease {
            None => self.lock.acquire(oracle),
            Some(lease) if self.renewed => self.lock.release(lease, oracle),
            Some(lease) => self.lock.renew(lease),
        }
    }

    fn hear(&mut self, heard: &Heard, oracle: &Oracle) -> Result<(), Unexpected> {
        match &self.lease {
            None if heard.status == 409 => return says(heard, 409, "held"),
            None => self.lease = Some(self.lock.granted(heard, oracle)?),
            Some(_) if self.renewed => {
                says(heard, 200, "released")?;
                (self.lease, self.renewed) = (None, false);
            }
            Some(lease) => {
                lease.is_in(heard)?;
                self.renewed = true;
            }
        }
        Ok(())
    }

    fn kept(&self) -> Vec<Kept> {
        self.lease.iter().map(|lease| kept(&self.lock, lease)).collect()
    }
}

/// Takes one lock and renews it to the end, while others try to get it.
pub struct Keeper {
    lock: Lock,
    lease: Option<Lease>,
}

impl Keeper {
    /// With the token `bearer`, at the lock `name`.
    pub fn new(bearer: &str, name: &str) -> Self {
        let lock = Lock { bearer: bearer.to_owned(), name: name.to_owned(), owner: None, floor: 0 };
        Self { lock, lease: None }
    }
}

impl Part for Keeper {
    fn ask(&mut self, oracle: &Oracle) -> Ask {
        match &self.lease {
            None => self.lock.acquire(oracle),
            Some(lease) => self.lock.renew(lease),
        }
    }

    fn hear(&mut self, heard: &Heard, oracle: &Oracle) -> Result<(), Unexpected> {
        match &self.lease {
            None => self.lease = Some(self.lock.granted(heard, oracle)?),
            Some(lease) => lease.is_in(heard)?,
        }
        Ok(())
    }

    fn kept(&self) -> Vec<Kept> {
        self.lease.iter().map(|lease| kept(&self.lock, lease)).collect()
    }
}
