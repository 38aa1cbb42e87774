//! One lock, one operation at a time: what may be answered in which state.

mod told;

pub use told::partitions;

use super::{Partitioned, budget};
use crate::time::Truth;
use octostore_actors::domain::{
    lock::{Holder, Lease},
    values::{AccountId, FencingToken, LeaseId, Ttl},
};
use std::{collections::BTreeSet, sync::Arc};
use todc_utils::specifications::Specification;

/// See [`super`].
pub struct Model;

/// How the lock stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// Which server runs.
    server: u32,
    held: Option<Held>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held {
    lease: LeaseId,
    holder: Holder,
    /// `None` as long as nobody was told.
    token: Option<FencingToken>,
    /// When it ends, and what it was asked for: one of these.
    ends: BTreeSet<(Truth, Ttl)>,
    /// The server that may have ended it without telling anybody: because nobody was told of it, or
    /// because its time had run out.
    doubt: Option<u32>,
}

/// What was asked and what was told, if anything was.
#[derive(Clone, Debug)]
pub enum LockOperation {
    /// A server starts; if the boot is new, at one of these times. Leases that end no later may
    /// have ended before.
    Start { server: u32, recovered: Option<Vec<Truth>>, expired: Truth },
    /// A free lock was granted.
    Granted { at: Truth, shown: Shown, ttl: Ttl, expired: Truth },
    /// It may have been, to a client who has heard nothing.
    MayBeGranted {
        at: Truth,
        asked: Asked,
        ttl: Ttl,
        server: u32,
        undelivered: bool,
        expired: Truth,
    },
    /// A lease was confirmed, by its holder or by its id.
    Confirmed { at: Truth, shown: Shown, ttl: Ttl },
    /// It may have been.
    MayBeConfirmed { at: Truth, whose: Whose, ttl: Ttl, server: u32 },
    /// A lease was ended.
    Released { lease: LeaseId, account: AccountId },
    /// It may have been.
    MayBeReleased { lease: LeaseId, account: AccountId, server: u32 },
    /// A lease was ended by force.
    ForceReleased { shown: Shown },
    /// Whatever lease there was may have been.
    MayBeForceReleased { server: u32 },
    /// Somebody was told that this lease is there.
    Seen { shown: Shown },
    /// Somebody was told that the lock is free.
    Free { expired: Truth },
    /// Somebody was told that the lease is not the account's.
    NotOwned { lease: LeaseId, account: AccountId, expired: Truth },
    /// Somebody was told that the account does not hold the lock.
    NotHeldBy { account: AccountId, expired: Truth },
}

impl LockOperation {
    /// The lease that somebody was told of.
    fn shown(&self) -> Option<&Shown> {
        match self {
            Self::Granted { shown, .. }
            | Self::Confirmed { shown, .. }
            | Self::ForceReleased { shown }
            | Self::Seen { shown } => Some(shown),
            Self::Start { .. }
            | Self::MayBeGranted { .. }
            | Self::MayBeConfirmed { .. }
            | Self::Released { .. }
            | Self::MayBeReleased { .. }
            | Self::MayBeForceReleased { .. }
            | Self::Free { .. }
            | Self::NotOwned { .. }
            | Self::NotHeldBy { .. } => None,
        }
    }

    /// Whether anything that was told may come of an operation of this server that nobody was told
    /// of. A lease that nobody ever saw explains nothing, nor does an end that nobody ever saw,
    /// unless a later server has made another one of it.
    fn may_matter(&self, of: u32, shown: &[(u32, Shown)]) -> bool {
        let mut shown = shown.iter();
        match self {
            Self::MayBeGranted { asked, .. } => shown.any(|(_, s)| s.lease.id == asked.lease),
            Self::MayBeConfirmed { at, whose, ttl, .. } => shown.any(|(server, shown)| {
                let lease = &shown.lease;
                let theirs = match whose {
                    Whose::Holder(holder) => lease.holder == *holder,
                    Whose::Id(_, id) => lease.id == *id,
                };
                let until = at.plus(ttl.as_duration());
                theirs && lease.ttl == *ttl && (shown.until == until || *server > of)
            }),
            Self::Start { .. }
            | Self::Granted { .. }
            | Self::Confirmed { .. }
            | Self::Released { .. }
            | Self::MayBeReleased { .. }
            | Self::ForceReleased { .. }
            | Self::MayBeForceReleased { .. }
            | Self::Seen { .. }
            | Self::Free { .. }
            | Self::NotOwned { .. }
            | Self::NotHeldBy { .. } => true,
        }
    }
}

/// A lease as it was told.
#[derive(Clone, Debug)]
pub struct Shown {
    lease: Lease,
    until: Truth,
}

/// A lease as it was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    lease: LeaseId,
    holder: Holder,
}

/// Who asks for a lease to be confirmed.
#[derive(Clone, Debug)]
pub enum Whose {
    /// Its holder.
    Holder(Holder),
    /// Whoever in its account knows its id.
    Id(AccountId, LeaseId),
}

impl Held {
    fn new(shown: &Shown) -> Self {
        Self {
            lease: shown.lease.id,
            holder: shown.lease.holder.clone(),
            token: Some(shown.lease.token),
            ends: BTreeSet::from([(shown.until, shown.lease.ttl)]),
            doubt: None,
        }
    }

    /// Whether it may have ended by itself when nothing was expired after `expired`.
    fn may_be_gone(&self, expired: Truth) -> bool {
        self.doubt.is_some() || self.ends.iter().any(|&(end, _)| end <= expired)
    }

    fn is_owned(&self, account: AccountId, lease: LeaseId) -> bool {
        self.lease == lease && self.holder.account == account
    }

    /// As it is once it was extended at `at`.
    fn extended(&self, at: Truth, ttl: Ttl) -> Self {
        let later = (at.plus(ttl.as_duration()), ttl);
        let ends = self.ends.iter().map(|&end| if later.0 > end.0 { later } else { end }).collect();
        Self { ends, ..self.clone() }
    }

    /// As it is if `shown` is what it is.
    fn matched(&self, shown: &Shown, server: u32) -> Option<Self> {
        let end = (shown.until, shown.lease.ttl);
        let same = self.lease == shown.lease.id
            && self.holder == shown.lease.holder
            && self.token.is_none_or(|token| token == shown.lease.token)
            && self.ends.contains(&end);
        // What is there after its server died was not ended by it.
        let doubt = self.doubt.filter(|&doubted| doubted == server);
        same.then(|| Self { doubt, ..Self::new(shown) })
    }
}

impl Partitioned for Model {
    type Kept = LockOperation;
}

impl Specification for Model {
    type State = State;
    type Operation = Arc<LockOperation>;

    fn init() -> State {
        State { server: 1, held: None }
    }

    fn apply(operation: &Arc<LockOperation>, state: &State) -> (bool, State) {
        budget::spend();
        match apply(operation, state) {
            Some(held) => {
                let mut server = state.server;
                if let LockOperation::Start { server: started, .. } = **operation {
                    server = started;
                }
                (true, State { server, held })
            }
            None => (false, state.clone()),
        }
    }
}

/// The lease that is there afterwards; `None` if the operation is not possible.
fn apply(operation: &LockOperation, state: &State) -> Option<Option<Held>> {
    let held = state.held.as_ref();
    let unchanged = || Some(state.held.clone());
    let may_be_free = |expired: Truth| held.is_none_or(|held| held.may_be_gone(expired));
    match operation {
        LockOperation::Start { recovered, expired, .. } => {
            Some(held.map(|held| restarted(held, state.server, recovered.as_deref(), *expired)))
        }
        LockOperation::Granted { at, shown, ttl, expired } => {
            let exact = shown.until == at.plus(ttl.as_duration());
            (may_be_free(*expired) && exact).then(|| Some(Held::new(shown)))
        }
        LockOperation::MayBeGranted { at, asked, ttl, server, undelivered, expired } => {
            if *server != state.server || !may_be_free(*expired) {
                return unchanged();
            }
            Some(Some(Held {
                lease: asked.lease,
                holder: asked.holder.clone(),
                token: None,
                ends: BTreeSet::from([(at.plus(ttl.as_duration()), *ttl)]),
                doubt: undelivered.then_some(*server),
            }))
        }
        LockOperation::Confirmed { at, shown, ttl } => {
            let confirmed = held?.extended(*at, *ttl).matched(shown, state.server)?;
            // Somebody knows of it now.
            Some(Some(Held { doubt: None, ..confirmed }))
        }
        LockOperation::MayBeConfirmed { at, whose, ttl, server } => {
            let theirs = held.filter(|held| match whose {
                Whose::Holder(holder) => held.holder == *holder,
                Whose::Id(account, lease) => held.is_owned(*account, *lease),
            });
            match theirs {
                Some(held) if *server == state.server => Some(Some(held.extended(*at, *ttl))),
                Some(_) | None => unchanged(),
            }
        }
        LockOperation::Released { lease, account } => {
            held.filter(|held| held.is_owned(*account, *lease)).map(|_| None)
        }
        LockOperation::MayBeReleased { lease, account, server } => {
            let mine = held.is_some_and(|held| held.is_owned(*account, *lease));
            if mine && *server == state.server { Some(None) } else { unchanged() }
        }
        LockOperation::ForceReleased { shown } => {
            held?.matched(shown, state.server)?;
            Some(None)
        }
        LockOperation::MayBeForceReleased { server } => {
            if *server == state.server {
                Some(None)
            } else {
                unchanged()
            }
        }
        LockOperation::Seen { shown } => Some(Some(held?.matched(shown, state.server)?)),
        LockOperation::Free { expired } => may_be_free(*expired).then_some(None),
        LockOperation::NotOwned { lease, account, expired } => {
            match held.filter(|held| held.is_owned(*account, *lease)) {
                Some(held) => held.may_be_gone(*expired).then_some(None),
                None => unchanged(),
            }
        }
        LockOperation::NotHeldBy { account, expired } => {
            match held.filter(|held| held.holder.account == *account) {
                Some(held) => held.may_be_gone(*expired).then_some(None),
                None => unchanged(),
            }
        }
    }
}

fn restarted(held: &Held, server: u32, recovered: Option<&[Truth]>, expired: Truth) -> Held {
    let doubt = held.doubt.or_else(|| held.may_be_gone(expired).then_some(server));
    let ends = match recovered {
        None => held.ends.clone(),
        Some(times) => {
            let ttls = held.ends.iter().map(|&(_, ttl)| ttl);
            ttls.flat_map(|ttl| times.iter().map(move |at| (at.plus(ttl.as_duration()), ttl)))
                .collect()
        }
    };
    Held { ends, doubt, ..held.clone() }
}
