//! Locks: exclusion, fencing, time, ghosts; each answer against all that were told before.

use super::{
    End, Ended, Life, Promise, Request, RequestId, Stamp, Violation,
    lease::{asked_for, is_as_asked},
    require,
};
use crate::{server::Ask, time::Truth};
use octostore_actors::{
    domain::{
        lock::{Lease, LockCommand, LockOutcome},
        values::{AccountId, FencingToken, LeaseId, LockName},
    },
    time::Instant,
};
use std::collections::BTreeMap;

/// Everything that was told of locks.
#[derive(Debug, Default)]
pub struct LockBook {
    leases: BTreeMap<LeaseId, Seen>,
    /// Of each lock: the leases that their holders were told of.
    granted: BTreeMap<LockName, Vec<LeaseId>>,
    floors: BTreeMap<LockName, Floor>,
    /// Of each lock: the requests to end whatever lease there is.
    forced: BTreeMap<LockName, Vec<RequestId>>,
    tokens: BTreeMap<FencingToken, LeaseId>,
    highest: FencingToken,
}

/// What anybody was told of a lock before a request was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// The highest token of all locks.
    pub highest: FencingToken,
    /// The highest token of this lock.
    pub newest: FencingToken,
    /// Leases of this lock up to this token have ended.
    pub ended: FencingToken,
}

/// What else the oracle knows.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Every request.
    pub requests: &'a [Request],
    /// Every server.
    pub lives: &'a [Life],
}

/// What is known of a lease.
#[derive(Clone, Debug)]
struct Seen {
    account: AccountId,
    token: FencingToken,
    /// When its holder was first told of it, if it was.
    told: Option<Stamp>,
    /// When it was granted.
    from: Truth,
    /// The latest end that anybody was told of.
    until: Truth,
    /// When its release was first asked for.
    released: Option<Stamp>,
    /// When whatever lease there was was ended.
    forced: Option<Truth>,
}

impl LockBook {
    /// Notes what is asked, and what is known by then.
    pub fn asked(&mut self, id: RequestId, ask: &Ask, now: Stamp) -> Floor {
        let Ask::Lock(command) = ask else { return Floor::default() };
        let name = match command {
            LockCommand::Release { name, lease, .. } => {
                if let Some(known) = self.leases.get_mut(lease) {
                    known.released.get_or_insert(now);
                }
                name
            }
            LockCommand::ForceRelease { name, .. } => {
                self.forced.entry(name.clone()).or_default().push(id);
                name
            }
            LockCommand::Acquire { name, .. }
            | LockCommand::Renew { name, .. }
            | LockCommand::Get { name } => name,
            LockCommand::List { .. } | LockCommand::Use { .. } => {
                return Floor { highest: self.highest, ..Floor::default() };
            }
        };
        let floor = self.floors.get(name).copied().unwrap_or_default();
        Floor { highest: self.highest, ..floor }
    }

    /// Judges an answer.
    pub fn told(
        &mut self,
        request: &Request,
        known: Known<'_>,
        outcome: &LockOutcome,
        now: Stamp,
    ) -> Result<(), Violation> {
        let Ask::Lock(command) = &request.ask else { return Ok(()) };
        let requests = known.requests;
        self.note_forced(requests);
        let booted = known.lives[request.server as usize - 1].booted;
        let truth = |instant: Instant| Truth(booted.0.saturating_add(instant.as_nanos()));
        match (command, outcome) {
            (LockCommand::Acquire { name, ttl, .. }, LockOutcome::Granted(lease)) => {
                require(lease.token > request.floor.highest, Promise::Fencing, || {
                    format!(
                        "{name} was granted with token {} after {} had been told",
                        lease.token.get(),
                        request.floor.highest.get()
                    )
                })?;
                let from = request.handled.unwrap_or_default();
                let until = truth(lease.expires);
                require(until == from.plus(ttl.as_duration()), Promise::Time, || {
                    format!("{name} was granted at {from:?} for {ttl:?} and ends at {until:?}")
                })?;
                self.still_held(request, name, Some(lease))?;
                self.seen(request, known, lease, until)?;
                self.granted(name, lease, now, requests)
            }
            (
                LockCommand::Acquire { name, ttl, .. } | LockCommand::Renew { name, ttl, .. },
                LockOutcome::Confirmed(lease),
            ) => {
                let until = truth(lease.expires);
                let asked = request.handled.unwrap_or_default().plus(ttl.as_duration());
                require(until >= asked, Promise::Time, || {
                    format!(
                        "{name} was confirmed for {ttl:?} and ends at {until:?}, before {asked:?}"
                    )
                })?;
                self.still_held(request, name, Some(lease))?;
                self.seen(request, known, lease, until)?;
                self.granted(name, lease, now, requests)
            }
            (LockCommand::Acquire { name, .. }, LockOutcome::Held(lease))
            | (LockCommand::Get { name }, LockOutcome::Status(Some(lease))) => {
                self.still_held(request, name, Some(lease))?;
                self.seen(request, known, lease, truth(lease.expires))
            }
            (LockCommand::Get { name }, LockOutcome::Status(None))
            | (LockCommand::Acquire { name, .. }, LockOutcome::OverQuota(_)) => {
                self.still_held(request, name, None)?;
                // What was known when it was asked has ended since.
                self.ended(name, request.floor.newest);
                Ok(())
            }
            (LockCommand::Release { name, lease, .. }, LockOutcome::Released) => {
                if let Some(token) = self.leases.get(lease).map(|known| known.token) {
                    self.ended(name, token);
                }
                Ok(())
            }
            (
                LockCommand::Release { account, lease, name }
                | LockCommand::Renew { account, lease, name, .. },
                LockOutcome::NotOwned,
            ) => {
                let mine = self.granted.get(name).is_some_and(|of_name| of_name.contains(lease));
                let known =
                    self.leases.get(lease).filter(|known| mine && known.account == *account);
                let Some(known) = known.filter(|known| known.must_be_there(request)) else {
                    return Ok(());
                };
                Err(Violation::new(
                    known.gone_too_soon(request),
                    format!("{account} was told that {lease} of {name} is not its own"),
                ))
            }
            (LockCommand::List { .. }, LockOutcome::Leases(page)) => {
                for lease in &page.items {
                    self.seen(request, known, lease, truth(lease.expires))?;
                }
                Ok(())
            }
            (LockCommand::ForceRelease { name, .. }, LockOutcome::ForceReleased(lease)) => {
                self.still_held(request, name, Some(lease))?;
                self.seen(request, known, lease, truth(lease.expires))?;
                self.ended(name, lease.token);
                Ok(())
            }
            (LockCommand::ForceRelease { name, .. }, LockOutcome::NotHeld) => {
                self.still_held(request, name, None)?;
                self.ended(name, request.floor.newest);
                Ok(())
            }
            (_, LockOutcome::NoRoom | LockOutcome::NoToken) => Ok(()),
            (
                _,
                LockOutcome::Granted(_)
                | LockOutcome::Confirmed(_)
                | LockOutcome::Held(_)
                | LockOutcome::OverQuota(_)
                | LockOutcome::Released
                | LockOutcome::NotOwned
                | LockOutcome::ForceReleased(_)
                | LockOutcome::NotHeld
                | LockOutcome::Status(_)
                | LockOutcome::Leases(_)
                | LockOutcome::Use(_),
            ) => Err(Violation::new(
                Promise::OneOutcome,
                format!("{command:?} was answered {outcome:?}"),
            )),
        }
    }

    /// Notes which leases an administrator may have ended by now.
    fn note_forced(&mut self, requests: &[Request]) {
        for (name, forced) in &self.forced {
            let may_have = |id: &&RequestId| requests[**id].end != End::Nothing;
            for at in forced.iter().filter(may_have).filter_map(|&id| requests[id].handled) {
                for lease in self.granted.get(name).into_iter().flatten() {
                    if let Some(known) = self.leases.get_mut(lease).filter(|known| at >= known.from)
                    {
                        known.forced = Some(known.forced.map_or(at, |before| before.min(at)));
                    }
                }
            }
        }
    }

    /// What was told of a lease before must still be true of it.
    fn seen(
        &mut self,
        request: &Request,
        known: Known<'_>,
        lease: &Lease,
        until: Truth,
    ) -> Result<(), Violation> {
        is_as_asked(lease, until, known.requests, known.lives)?;
        let other = *self.tokens.entry(lease.token).or_insert(lease.id);
        require(other == lease.id, Promise::Fencing, || {
            format!("token {} was granted to {other} and to {}", lease.token.get(), lease.id)
        })?;
        self.highest = self.highest.max(lease.token);
        let Floor { newest, ended, .. } = request.floor;
        require(lease.token > ended && lease.token >= newest, Promise::Durability, || {
            format!(
                "{} is held with token {} although {} has ended and {} was seen",
                lease.name,
                lease.token.get(),
                ended.get(),
                newest.get()
            )
        })?;
        let floor = self.floors.entry(lease.name.clone()).or_default();
        floor.newest = floor.newest.max(lease.token);
        let known = self.leases.entry(lease.id).or_insert_with(|| Seen {
            account: lease.holder.account,
            token: lease.token,
            told: None,
            from: asked_for(lease, known.requests).and_then(|asked| asked.handled).unwrap_or(until),
            until,
            released: None,
            forced: None,
        });
        known.until = known.until.max(until);
        Ok(())
    }

    /// A lease whose holder was told of it, and whose time has not run out, is in the way of
    /// whatever else is said of its lock.
    fn still_held(
        &self,
        request: &Request,
        name: &LockName,
        shown: Option<&Lease>,
    ) -> Result<(), Violation> {
        let leases = self.granted.get(name).into_iter().flatten();
        for id in leases.filter(|id| shown.is_none_or(|shown| shown.id != **id)) {
            let known = self.leases.get(id).filter(|known| known.must_be_there(request));
            if let Some(known) = known {
                let shown = shown.map(|lease| lease.id.to_string());
                return Err(Violation::new(
                    known.gone_too_soon(request),
                    format!("{name} is said to be held by {shown:?}, but {id} has not ended"),
                ));
            }
        }
        Ok(())
    }

    /// Nobody was granted a lock while another held it.
    fn granted(
        &mut self,
        name: &LockName,
        lease: &Lease,
        now: Stamp,
        requests: &[Request],
    ) -> Result<(), Violation> {
        if let Some(known) = self.leases.get_mut(&lease.id) {
            known.told.get_or_insert(now);
        }
        let of_name = self.granted.entry(name.clone()).or_default();
        if !of_name.contains(&lease.id) {
            of_name.push(lease.id);
        }
        self.note_forced(requests);
        let of_name = self.granted.get(name).into_iter().flatten();
        let known = of_name.filter_map(|id| self.leases.get(id));
        let (mine, others): (Vec<_>, Vec<_>) = known.partition(|known| known.token == lease.token);
        for mine in mine {
            for other in &others {
                let apart = other.end() <= mine.from || mine.end() <= other.from;
                require(apart, Promise::Exclusion, || {
                    let span = |known: &Seen| {
                        format!("{} from {:?} to {:?}", known.token.get(), known.from, known.end())
                    };
                    format!("{name} was granted twice: token {}, token {}", span(mine), span(other))
                })?;
            }
        }
        Ok(())
    }

    fn ended(&mut self, name: &LockName, token: FencingToken) {
        let floor = self.floors.entry(name.clone()).or_default();
        floor.ended = floor.ended.max(token);
    }

    /// Somebody knows of a lease that is held when all has come to rest: its holder, or somebody
    /// who was told that nobody knows, or whose server died, or could not write any more.
    pub fn known(
        &self,
        name: &str,
        lease: &Lease,
        Known { requests, lives }: Known<'_>,
    ) -> Result<(), Violation> {
        let Some(asked) = asked_for(lease, requests) else {
            return Err(Violation::new(
                Promise::NoGhosts,
                format!("{name} is held by {} for which nobody asked", lease.id),
            ));
        };
        let told = self.leases.get(&lease.id).is_some_and(|known| known.told.is_some());
        let ended = lives[asked.server as usize - 1].ended;
        let crashed = matches!(ended, Ended::Crashed | Ended::StoppedShort);
        match &asked.end {
            End::Nothing => Err(Violation::new(
                Promise::OneOutcome,
                format!("{name} is held by {} whose asker was told: not executed", lease.id),
            )),
            End::HungUp | End::Waits => require(told || crashed, Promise::NoGhosts, || {
                format!("{name} is held by {} of which nobody knows", lease.id)
            }),
            End::Told(..) | End::Unknown | End::Lost => Ok(()),
        }
    }
}

impl Seen {
    /// Until when nobody else may be granted the lock: a release may happen as soon as it is asked
    /// for.
    fn end(&self) -> Truth {
        let released = self.released.map_or(self.until, |released| released.at);
        self.until.min(released).min(self.forced.unwrap_or(self.until))
    }

    /// Whether a request must find the lease: its holder knew of it before, nobody has asked for
    /// its release, and no turn had come in which it could expire.
    fn must_be_there(&self, request: &Request) -> bool {
        self.told.is_some_and(|told| told.event < request.sent.event)
            && self.released.is_none()
            && self.forced.is_none()
            && self.until > request.expired
    }

    /// The promise that is broken if a lease that must be there for a request is not. One whose time
    /// was up when it was asked for in time has expired before what was queued was handled.
    fn gone_too_soon(&self, request: &Request) -> Promise {
        if request.handled.is_some_and(|handled| handled >= self.until) {
            Promise::Time
        } else {
            Promise::Durability
        }
    }
}
