//! Who sent a request, and what it may do.

use crate::settings::Quotas;
use octostore_actors::{
    domain::{
        account::{
            Account, Role, Token,
            scope::{Access, Area, Sight},
        },
        audit::Who,
        page::Selection,
        values::{AccountId, Quota, TokenHash, WallTime},
    },
    time::Instant,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

/// Who sent a request: an account, by one of its tokens. What it may do with which names is asked
/// of it, and the answer is the account to do it for.
#[derive(Clone, Debug)]
pub struct Identity(Arc<Pass>);

/// What a live token opens, as it was when it was last changed.
#[derive(Debug)]
pub(super) struct Pass {
    pub account: Arc<Account>,
    pub token: Token,
    quotas: Quotas,
    pace: Arc<Pace>,
    /// Whether the token was ended, or its account disabled, since. What took its place shares it.
    ended: Arc<AtomicBool>,
    /// The wall-clock minute of the last use; zero is never.
    used_minute: AtomicI64,
}

const MINUTE_MILLIS: i64 = 60_000;

/// How old the last use on disk may be before a new one is written there, in minutes.
const NOTE_USE_AFTER_MINUTES: i64 = 60;

impl Pass {
    pub fn new(account: Arc<Account>, token: Token, pace: Arc<Pace>, everybody: &Quotas) -> Self {
        let used = token.last_used_at.map_or(0, |at| at.as_millis() / MINUTE_MILLIS);
        Self {
            quotas: everybody.with(&account.allowance),
            account,
            token,
            pace,
            ended: Arc::default(),
            used_minute: AtomicI64::new(used),
        }
    }

    /// The same, in place of `before`: what ends the one ends the other, for requests that are
    /// under way with either.
    #[must_use]
    pub fn in_place_of(self, before: &Self) -> Self {
        self.was_used(before.last_used());
        Self { ended: Arc::clone(&before.ended), ..self }
    }

    /// Nothing that is under way may go on with it.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// When it was last used, to a minute.
    pub fn last_used(&self) -> Option<WallTime> {
        let minute = self.used_minute.load(Ordering::Relaxed);
        (minute != 0).then(|| WallTime::from_millis(minute * MINUTE_MILLIS))
    }

    /// It was used as late as that.
    pub fn was_used(&self, at: Option<WallTime>) {
        let minute = at.map_or(0, |at| at.as_millis() / MINUTE_MILLIS);
        self.used_minute.fetch_max(minute, Ordering::Relaxed);
    }
}

/// Why a request is not allowed, and what would allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The token lacks this scope.
    #[error("This token lacks the scope {}:{} for this", .0.as_str(), .1.as_str())]
    Scope(Area, Access),
    /// The token may see several prefixes, and the request names none of them.
    #[error("This token may see several prefixes: name one of them with ?prefix=")]
    SeveralPrefixes,
    /// The account is no administrator.
    #[error("Only administrators may do this")]
    NotAdmin,
}

impl Identity {
    pub(super) fn new(pass: Arc<Pass>) -> Self {
        Self(pass)
    }

    /// The account to do this for, if the token may.
    ///
    /// # Errors
    /// [`Denied::Scope`].
    pub fn may(&self, area: Area, access: Access, name: &str) -> Result<AccountId, Denied> {
        let allowed = self.0.token.scope.allows(area, access, name);
        if allowed { Ok(self.0.account.id) } else { Err(Denied::Scope(area, access)) }
    }

    /// The account whose names are listed, and as much of the selection as the token may see.
    ///
    /// # Errors
    /// [`Denied::Scope`], [`Denied::SeveralPrefixes`].
    pub fn may_list(
        &self,
        area: Area,
        selection: Selection,
    ) -> Result<(AccountId, Selection), Denied> {
        match self.0.token.scope.sight(area, &selection.prefix) {
            Sight::Prefix(prefix) => Ok((self.0.account.id, Selection { prefix, ..selection })),
            Sight::Several => Err(Denied::SeveralPrefixes),
            Sight::Nothing => Err(Denied::Scope(area, Access::Read)),
        }
    }

    /// Whether it may do this to `name` as an administrator. Where there is no name, that is empty:
    /// a scope that is narrowed to some names opens nothing there.
    ///
    /// # Errors
    /// [`Denied::NotAdmin`], [`Denied::Scope`].
    pub fn may_administer(&self, area: Area, access: Access, name: &str) -> Result<(), Denied> {
        match self.0.account.role {
            Role::Member => Err(Denied::NotAdmin),
            Role::Admin if self.0.token.scope.allows(area, access, name) => Ok(()),
            Role::Admin => Err(Denied::Scope(area, access)),
        }
    }

    /// Whether the token still opens at `now` what it did when it was shown: a request that took its
    /// time must not outlive it.
    pub fn is_current(&self, now: WallTime) -> bool {
        !self.0.ended.load(Ordering::Acquire) && self.0.token.is_live(now)
    }

    /// The account.
    pub fn account(&self) -> &Account {
        &self.0.account
    }

    /// The token that was shown.
    pub fn token(&self) -> &Token {
        &self.0.token
    }

    /// What the account may have.
    pub fn quotas(&self) -> &Quotas {
        &self.0.quotas
    }

    /// For the audit log.
    pub fn who(&self) -> Who {
        Who::Token(self.0.account.id, self.0.token.id)
    }

    /// Takes note of a use at `now`. Returns the token if that should be written down.
    pub fn used(&self, now: WallTime) -> Option<TokenHash> {
        let minute = now.as_millis() / MINUTE_MILLIS;
        let pass = &self.0;
        // Most requests find their minute noted already, and write nothing.
        if pass.used_minute.load(Ordering::Relaxed) >= minute
            || pass.used_minute.swap(minute, Ordering::Relaxed) >= minute
        {
            return None;
        }
        let written = pass.token.last_used_at.map_or(0, |at| at.as_millis() / MINUTE_MILLIS);
        let due = minute - written >= NOTE_USE_AFTER_MINUTES;
        due.then_some(pass.token.hash)
    }

    /// Counts a request at `now` against what the account may ask a second.
    ///
    /// # Errors
    /// It asks too fast: how long it should wait.
    pub fn keep_pace(&self, now: impl FnOnce() -> Instant) -> Result<(), Duration> {
        match self.0.quotas.requests_per_second {
            Some(quota) => self.0.pace.step(now(), quota),
            None => Ok(()),
        }
    }
}

/// How fast an account asks: the generic cell rate algorithm of ITU-T I.371, with a burst of one
/// second's worth.
#[derive(Debug, Default)]
pub struct Pace {
    /// When the next request would come if all came evenly, in nanoseconds of the lease clock.
    next: AtomicU64,
}

impl Pace {
    fn step(&self, now: Instant, quota: Quota) -> Result<(), Duration> {
        const SECOND: u64 = 1_000_000_000;
        let apart = SECOND / u64::from(quota.get()).max(1);
        let now = now.as_nanos();
        let step = |next: u64| {
            let next = next.max(now) + apart;
            (next - now <= SECOND).then_some(next)
        };
        let stepped = self.next.try_update(Ordering::Relaxed, Ordering::Relaxed, step);
        stepped.map(drop).map_err(|next| Duration::from_nanos(next + apart - now - SECOND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use octostore_actors::domain::{
        account::{
            Allowance, Origin, Standing, Subject, TokenName, TokenSource, TokenState, scope::Scope,
        },
        values::{AccountName, TokenId},
    };

    #[test]
    fn pace_lets_through_a_second_s_worth_and_then_one_at_a_time() {
        let pace = Pace::default();
        let at = |millis: u64| Instant::from_nanos(1_000_000_000_000 + millis * 1_000_000);
        let quota = Quota::new(10);
        for _ in 0..10 {
            assert_eq!(pace.step(at(0), quota), Ok(()));
        }
        assert_eq!(pace.step(at(0), quota), Err(Duration::from_millis(100)));
        assert!(pace.step(at(99), quota).is_err());
        assert_eq!(pace.step(at(100), quota), Ok(()));
        assert!(pace.step(at(100), quota).is_err());
        for _ in 0..10 {
            assert_eq!(pace.step(at(5000), quota), Ok(()), "rest is not saved up beyond a burst");
        }
        assert!(pace.step(at(5000), quota).is_err());
    }
    #[test]
    fn a_use_is_written_down_when_the_last_one_on_disk_is_an_hour_old() {
        let at = |minutes: i64| WallTime::from_millis(1_700_000_000_000 + minutes * MINUTE_MILLIS);
        let account = Account {
            id: AccountId::from_bytes([1; 16]),
            origin: Origin::Static,
            subject: Subject::new("ci").unwrap(),
            name: AccountName::new("ci").unwrap(),
            role: Role::Member,
            standing: Standing::Enabled,
            allowance: Allowance::default(),
            created_at: at(0),
        };
        let token = Token {
            hash: TokenHash::from_bytes([3; 32]),
            id: TokenId::from_bytes([2; 16]),
            account: account.id,
            name: TokenName::new("a token").unwrap(),
            source: TokenSource::Issued,
            scope: Scope::Everything,
            created_at: at(0),
            expires_at: None,
            last_used_at: None,
            state: TokenState::Live,
        };
        let quotas = crate::settings::Settings::from_args(["octostore"]).unwrap().quotas();
        let identity = |last_used_at| {
            let token = Token { last_used_at, ..token.clone() };
            Identity::new(Arc::new(Pass::new(
                account.clone().into(),
                token,
                Arc::default(),
                &quotas,
            )))
        };
        let never_used = identity(None);
        assert_eq!(never_used.used(at(0)), Some(token.hash));
        assert_eq!(never_used.used(at(0)), None, "the same minute");
        let used = identity(Some(at(0)));
        for minutes in [0, 1, 2, 30, 59] {
            assert_eq!(used.used(at(minutes)), None, "{minutes} minutes later");
        }
        assert_eq!(used.used(at(60)), Some(token.hash));
    }
}
