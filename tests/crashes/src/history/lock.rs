//! One lock, one operation at a time.

use super::{Event, Rules};
use crate::client::Account;

/// By how much a printed time may be off: the server's two clocks are read one after the other, and
/// it may have to wait in between.
const ABOUT: i64 = 500;

/// Who holds a lock: an account, and who in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// The account.
    pub account: Account,
    /// `owner`, by its number.
    pub owner: u8,
}

/// A lease as it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its id; the nil UUID for whoever may not see it.
    pub lease: u128,
    /// Its fencing token.
    pub token: u64,
    /// When it ends, in milliseconds of the wall clock.
    pub ends: i64,
}

/// What is asked. Times to live are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// A server starts, in another boot or not.
    Start {
        /// Whether leases have their whole time again.
        rebooted: bool,
    },
    /// `acquire`
    Acquire(Holder, i64),
    /// `renew`
    Renew(Account, u128, i64),
    /// `release`
    Release(Account, u128),
    /// `GET`
    Look,
}

/// What is told.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    /// Nothing, or that the outcome is unknown.
    Nothing,
    /// The lease.
    Lease(Account, Shown),
    /// 409: the account that holds it, and until when.
    Held(Account, i64),
    /// It is released.
    Released,
    /// 404
    NotOwned,
    /// Nobody holds it.
    Free,
}

/// What was asked and what was told.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// What was asked.
    pub ask: Ask,
    /// What was told.
    pub told: Told,
}

/// A lease, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Held {
    holder: Holder,
    /// `None` as long as nobody was told.
    told: Option<(u128, u64)>,
    /// When it ends, at the earliest and at the latest.
    ends: (i64, i64),
    /// Its whole time, at the shortest and at the longest.
    ttl: (i64, i64),
    /// Nobody was told of it, so that the server may take it back until it is gone.
    ghost: bool,
}

/// The rules of a lock whose leases may run out.
#[derive(Clone, Debug)]
pub struct Lock;

impl Rules for Lock {
    type State = Option<Held>;
    type Operation = Operation;

    fn beginning() -> Option<Held> {
        None
    }

    fn apply(state: &Option<Held>, event: &Event<Operation>) -> Vec<Option<Held>> {
        let held = *state;
        let Operation { ask, told } = event.what;
        match ask {
            Ask::Start { rebooted } => started(held.map(|held| held.over(event, rebooted))),
            Ask::Acquire(holder, ttl) => acquired(held, event, holder, ttl),
            Ask::Renew(account, lease, ttl) => {
                let renewed = owned(held, account, lease).map(|held| held.extended(event, ttl));
                match told {
                    Told::Nothing => [held].into_iter().chain(renewed.map(Some)).collect(),
                    Told::Lease(_, shown) => {
                        renewed.and_then(|held| held.seen(&shown)).map(Some).into_iter().collect()
                    }
                    Told::NotOwned => not_owned(held, event, (account, lease)),
                    Told::Held(..) | Told::Released | Told::Free => Vec::new(),
                }
            }
            Ask::Release(account, lease) => {
                let released = owned(held, account, lease).map(|_| None);
                match told {
                    Told::Nothing => [held].into_iter().chain(released).collect(),
                    Told::Released => released.into_iter().collect(),
                    Told::NotOwned => not_owned(held, event, (account, lease)),
                    Told::Lease(..) | Told::Held(..) | Told::Free => Vec::new(),
                }
            }
            Ask::Look => match told {
                Told::Nothing => vec![held],
                Told::Lease(account, shown) => held
                    .filter(|held| held.holder.account == account)
                    .and_then(|held| held.seen(&shown))
                    .map(Some)
                    .into_iter()
                    .collect(),
                Told::Free => may_be_free(held, event).then_some(None).into_iter().collect(),
                Told::Held(..) | Told::Released | Told::NotOwned => Vec::new(),
            },
        }
    }
}

impl Held {
    /// As it is if `shown` is what it is.
    fn seen(&self, shown: &Shown) -> Option<Self> {
        const NIL: u128 = 0;
        let same = self.told.is_none_or(|(lease, token)| {
            (shown.lease == NIL || lease == shown.lease) && token == shown.token
        });
        let told = match self.told {
            None if shown.lease != NIL => Some((shown.lease, shown.token)),
            known => known,
        };
        let seen = self.until(shown.ends)?;
        same.then_some(Self { told, ..seen })
    }

    /// As it is if this is when it ends.
    fn until(&self, ends: i64) -> Option<Self> {
        let fits = (self.ends.0 - ABOUT..=self.ends.1 + ABOUT).contains(&ends);
        fits.then_some(Self { ends: (ends, ends), ..*self })
    }

    /// As it is once it was extended. That never shortens it.
    fn extended(&self, event: &Event<Operation>, ttl: i64) -> Self {
        let (from, to) = (event.from.millis + ttl, event.to.millis + ttl);
        let whole = if from > self.ends.1 + ABOUT {
            (ttl, ttl)
        } else if to < self.ends.0 - ABOUT {
            self.ttl
        } else {
            (self.ttl.0.min(ttl), self.ttl.1.max(ttl))
        };
        Self { ends: (self.ends.0.max(from), self.ends.1.max(to)), ttl: whole, ..*self }
    }

    /// As it is after a server has started.
    fn over(&self, event: &Event<Operation>, rebooted: bool) -> Self {
        if !rebooted {
            return *self;
        }
        let ends = (event.from.millis + self.ttl.0, event.to.millis + self.ttl.1);
        Self { ends, ..*self }
    }
}

/// A server takes nothing back that another one has granted; but it may have before it went.
fn started(held: Option<Held>) -> Vec<Option<Held>> {
    match held {
        Some(ghost) if ghost.ghost => vec![Some(Held { ghost: false, ..ghost }), None],
        known => vec![known],
    }
}

fn acquired(
    held: Option<Held>,
    event: &Event<Operation>,
    holder: Holder,
    ttl: i64,
) -> Vec<Option<Held>> {
    let granted = may_be_free(held, event).then(|| Held {
        holder,
        told: None,
        ends: (event.from.millis + ttl, event.to.millis + ttl),
        ttl: (ttl, ttl),
        ghost: true,
    });
    let confirmed = held.filter(|held| held.holder == holder).map(|held| held.extended(event, ttl));
    let possible = granted.into_iter().chain(confirmed);
    match event.what.told {
        Told::Nothing => [held].into_iter().chain(possible.map(Some)).collect(),
        Told::Lease(_, shown) => possible
            .filter_map(|held| held.seen(&shown))
            .map(|held| Some(Held { ghost: false, ..held }))
            .collect(),
        Told::Held(account, ends) => held
            .filter(|held| held.holder != holder && held.holder.account == account)
            .and_then(|held| held.until(ends))
            .map(Some)
            .into_iter()
            .collect(),
        Told::Released | Told::NotOwned | Told::Free => Vec::new(),
    }
}

/// The lease, if the account has it and this is its id.
fn owned(held: Option<Held>, account: Account, lease: u128) -> Option<Held> {
    held.filter(|held| {
        held.holder.account == account && held.told.is_some_and(|(known, _)| known == lease)
    })
}

fn not_owned(
    held: Option<Held>,
    event: &Event<Operation>,
    (account, lease): (Account, u128),
) -> Vec<Option<Held>> {
    match owned(held, account, lease) {
        Some(_) if may_be_free(held, event) => vec![None],
        Some(_) => Vec::new(),
        None => vec![held],
    }
}

/// Whether nobody may hold it: it is released, was taken back, or its time is over.
fn may_be_free(held: Option<Held>, event: &Event<Operation>) -> bool {
    held.is_none_or(|held| held.ghost || held.ends.0 <= event.to.millis + ABOUT)
}

#[cfg(test)]
mod tests {
    use super::{super::is_explained, *};

    const ALICE: Holder = Holder { account: Account::Alice, owner: 1 };
    const BOB: Holder = Holder { account: Account::Bob, owner: 1 };
    const HOUR: i64 = 3_600_000;

    fn granted(holder: Holder, at: i64, lease: u128) -> Operation {
        acquired_until(holder, at, lease, HOUR)
    }

    fn acquired_until(holder: Holder, at: i64, lease: u128, ttl: i64) -> Operation {
        let shown = Shown { lease, token: lease as u64, ends: at * 1_000 + ttl };
        Operation { ask: Ask::Acquire(holder, ttl), told: Told::Lease(holder.account, shown) }
    }

    fn lost(ask: Ask) -> Operation {
        Operation { ask, told: Told::Nothing }
    }

    fn start() -> Operation {
        Operation { ask: Ask::Start { rebooted: false }, told: Told::Nothing }
    }

    fn look(told: Told) -> Operation {
        Operation { ask: Ask::Look, told }
    }

    fn seen(holder: Holder, lease: u128, ends: i64) -> Operation {
        look(Told::Lease(holder.account, Shown { lease, token: lease as u64, ends }))
    }

    #[test]
    fn two_cannot_hold_it_at_once() {
        assert!(!is_explained::<Lock>(&[(1, 2, granted(ALICE, 1, 7)), (3, 4, granted(BOB, 3, 8))]));
        let release = Operation { ask: Ask::Release(Account::Alice, 7), told: Told::Released };
        let between = [(1, 2, granted(ALICE, 1, 7)), (3, 6, release), (4, 5, granted(BOB, 4, 8))];
        assert!(is_explained::<Lock>(&between));
    }

    #[test]
    fn an_acknowledged_grant_is_there_after_a_crash() {
        let before = (1, 2, granted(ALICE, 1, 7));
        let ends = 1_000 + HOUR;
        for (after, holds) in [
            (seen(ALICE, 7, ends), true),
            (look(Told::Free), false),
            (seen(ALICE, 9, ends), false),
            (seen(ALICE, 7, ends + 60_000), false),
        ] {
            assert_eq!(is_explained::<Lock>(&[before, (3, 4, start()), (5, 6, after)]), holds);
        }
    }

    #[test]
    fn an_acknowledged_renewal_is_there_after_a_crash() {
        let shown = Shown { lease: 7, token: 7, ends: 3_000 + HOUR };
        let ask = Ask::Renew(Account::Alice, 7, HOUR);
        let renewal = Operation { ask, told: Told::Lease(Account::Alice, shown) };
        let history = |renewal, ends| {
            [
                (1, 2, acquired_until(ALICE, 1, 7, 1_800_000)),
                (3, 4, renewal),
                (5, 6, start()),
                (7, 8, seen(ALICE, 7, ends)),
            ]
        };
        assert!(is_explained::<Lock>(&history(renewal, 3_000 + HOUR)));
        assert!(!is_explained::<Lock>(&history(renewal, 1_000 + 1_800_000)));
        assert!(is_explained::<Lock>(&history(lost(ask), 1_000 + 1_800_000)), "or it is unknown");
    }

    #[test]
    fn an_acknowledged_release_stays() {
        let release = Operation { ask: Ask::Release(Account::Alice, 7), told: Told::Released };
        let mut history = vec![
            (1, 2, granted(ALICE, 1, 7)),
            (3, 4, release),
            (5, 6, start()),
            (7, 8, seen(ALICE, 7, 1_000 + HOUR)),
        ];
        assert!(!is_explained::<Lock>(&history));
        history[1].2 = lost(release.ask);
        assert!(is_explained::<Lock>(&history));
    }

    #[test]
    fn what_nobody_was_told_may_have_happened_and_may_have_been_taken_back() {
        let unknown = (1, 4, lost(Ask::Acquire(ALICE, HOUR)));
        for after in [look(Told::Free), seen(ALICE, 7, 2_000 + HOUR)] {
            assert!(is_explained::<Lock>(&[unknown, (5, 6, start()), (7, 8, after)]));
        }
        // But not by a server that knows nothing of it, nor after somebody was told.
        let late = [
            unknown,
            (5, 6, start()),
            (7, 8, seen(ALICE, 7, 2_000 + HOUR)),
            (9, 10, look(Told::Free)),
        ];
        assert!(!is_explained::<Lock>(&late));
        assert!(!is_explained::<Lock>(&[(1, 2, granted(ALICE, 1, 7)), (3, 4, look(Told::Free))]));
    }

    #[test]
    fn a_lease_ends_when_its_time_is_over_and_not_before() {
        let first = (1, 2, acquired_until(ALICE, 1, 7, 10_000));
        assert!(!is_explained::<Lock>(&[first, (3, 4, granted(BOB, 3, 8))]));
        assert!(is_explained::<Lock>(&[first, (13, 14, granted(BOB, 13, 8))]));
    }

    #[test]
    fn after_a_reboot_a_lease_has_its_whole_time_again() {
        let history = |rebooted, ends| {
            let ask = Ask::Start { rebooted };
            is_explained::<Lock>(&[
                (1, 2, granted(ALICE, 1, 7)),
                (100, 101, lost(ask)),
                (102, 103, seen(ALICE, 7, ends)),
            ])
        };
        assert!(history(false, 1_000 + HOUR) && history(true, 100_000 + HOUR));
        assert!(!history(true, 1_000 + HOUR) && !history(false, 100_000 + HOUR));
    }
}
