//! What clients ask, and what they remember of the answers.

mod accounts;

use super::plan::{ACCOUNTS, CONFIGURED, Plan, first};
use crate::{
    dice::Dice,
    oracle::Request,
    server::{Answer, Ask, Domain},
};
use octostore_actors::domain::{
    account::{AccountCommand, AccountOutcome, AccountRecord, scope::Scope},
    audit::{AuditText, Provenance, Who},
    config::{
        ConfigCommand, ConfigOutcome, Description, Etag, Expected, Incarnation, Value, Version,
    },
    flag::{FlagCommand, Percentage},
    limiter::LimitCommand,
    lock::{Holder, Lease, LockCommand, LockOutcome},
    page::Selection,
    values::{AccountId, LeaseId, LockName, Metadata, Quota, TokenHash, TokenId, Ttl, WallTime},
};
use std::collections::BTreeMap;

/// Who looks at everything after a start.
pub const PEEK: usize = 1_000;

/// All clients of a scenario.
pub struct Clients {
    /// The tokens that somebody knows.
    pub wallet: Vec<Bearer>,
    /// The accounts that somebody knows.
    pub accounts: Vec<AccountId>,
    /// What each client was told it holds.
    leases: BTreeMap<(usize, LockName), Lease>,
    /// The state of a config key that somebody was told of last.
    etags: BTreeMap<octostore_actors::domain::config::ConfigKey, Etag>,
    /// The tokens to be, until their requests are answered.
    unborn: BTreeMap<TokenHash, String>,
    fresh: u64,
}

/// A bearer token in clear.
#[derive(Debug)]
pub struct Bearer {
    /// What is presented.
    pub secret: String,
    /// What it is kept as.
    pub hash: TokenHash,
    /// What it is called by.
    pub id: TokenId,
    /// Whose it is.
    pub account: AccountId,
}

impl Clients {
    /// Clients who know the configured token and nothing else.
    pub fn new() -> Self {
        let mut wallet = Vec::new();
        for record in first() {
            if let AccountRecord::Token(token) = record {
                wallet.push(Bearer {
                    secret: CONFIGURED.to_owned(),
                    hash: token.hash,
                    id: token.id,
                    account: token.account,
                });
            }
        }
        Self {
            wallet,
            accounts: ACCOUNTS.to_vec(),
            leases: BTreeMap::new(),
            etags: BTreeMap::new(),
            unborn: BTreeMap::new(),
            fresh: 0,
        }
    }

    /// Something that one client may ask.
    pub fn think(&mut self, plan: &Plan, dice: &mut Dice, at: WallTime) -> Option<(usize, Ask)> {
        let client = dice.below(plan.holders.len());
        let domain = plan.domain(dice);
        self.of(domain, client, plan, dice, at).map(|ask| (client, ask))
    }

    /// Several things for one actor, from several clients.
    pub fn think_together(
        &mut self,
        domain: Domain,
        plan: &Plan,
        dice: &mut Dice,
        at: WallTime,
    ) -> Vec<(usize, Ask)> {
        let count = dice.within(2..=4);
        let ask = |_| {
            let client = dice.below(plan.holders.len());
            self.of(domain, client, plan, dice, at).map(|ask| (client, ask))
        };
        (0..count).filter_map(ask).collect()
    }

    fn of(
        &mut self,
        domain: Domain,
        client: usize,
        plan: &Plan,
        dice: &mut Dice,
        at: WallTime,
    ) -> Option<Ask> {
        match domain {
            Domain::Locks => self.lock(client, plan, dice, at).map(Ask::Lock),
            Domain::Limits => limit(client, plan, dice).map(Ask::Limit),
            Domain::Flags => self.flag(client, plan, dice, at).map(Ask::Flag),
            Domain::Config => self.config(client, plan, dice, at).map(Ask::Config),
            Domain::Accounts => self.account(plan, dice, at).map(Ask::Account),
        }
    }

    fn lock(
        &mut self,
        client: usize,
        plan: &Plan,
        dice: &mut Dice,
        at: WallTime,
    ) -> Option<LockCommand> {
        let holder = plan.holders[client].clone();
        let name = dice.pick(&plan.locks).clone();
        let ttl = Ttl::from_seconds(*dice.pick(&[1, 1, 2, 3, 5, 10, 30])).ok()?;
        // Now and then it is somebody else's lease.
        let whose = if dice.one_in(12) { dice.below(plan.holders.len()) } else { client };
        let lease = self.leases.get(&(whose, name.clone())).map(|lease| lease.id);
        let account = holder.account;
        Some(match (dice.below(10), lease) {
            (0..=2, Some(lease)) => LockCommand::Release { name, account, lease },
            (3..=5, Some(lease)) => LockCommand::Renew { name, account, lease, ttl },
            (6, _) if dice.one_in(6) => LockCommand::ForceRelease {
                name,
                reason: AuditText::truncated("in the way"),
                by: self.by(at),
            },
            (6, _) => LockCommand::Get { name },
            (7, _) if dice.one_in(2) => {
                LockCommand::List { account, selection: Selection::default() }
            }
            _ => LockCommand::Acquire {
                name,
                holder,
                ttl,
                lease: LeaseId::from_bytes(self.id(0x1e)),
                metadata: dice
                    .one_in(4)
                    .then(|| Metadata::new("told by its holder").ok())
                    .flatten(),
                quota: plan.setup.quotas.locks,
            },
        })
    }

    /// A lock is taken, and released again.
    pub fn take_and_release(&mut self, plan: &Plan) -> Option<[LockCommand; 2]> {
        let name = plan.locks.first()?.clone();
        let lease = LeaseId::from_bytes(self.id(0x1e));
        let released = LockCommand::Release { name: name.clone(), account: ACCOUNTS[0], lease };
        Some([take(name, lease)?, released])
    }

    /// A lock is taken of which nobody has heard.
    pub fn take_another(&mut self) -> Option<LockCommand> {
        take(LockName::new("another").ok()?, LeaseId::from_bytes(self.id(0x1e)))
    }

    fn flag(
        &mut self,
        client: usize,
        plan: &Plan,
        dice: &mut Dice,
        at: WallTime,
    ) -> Option<FlagCommand> {
        let account = plan.holders[client].account;
        let name = dice.pick(&plan.flags).clone();
        Some(match dice.below(8) {
            0 | 1 => FlagCommand::Get { account, name },
            2 => FlagCommand::Delete { account, name, by: self.by(at) },
            3 if dice.one_in(2) => FlagCommand::List { account, selection: Selection::default() },
            _ => FlagCommand::Set {
                account,
                name,
                enabled: dice.one_in(2),
                percentage: Percentage::new(dice.within(0..=101)).ok(),
                quota: plan.setup.quotas.flags,
                by: self.by(at),
            },
        })
    }

    fn config(
        &mut self,
        client: usize,
        plan: &Plan,
        dice: &mut Dice,
        at: WallTime,
    ) -> Option<ConfigCommand> {
        let account = plan.holders[client].account;
        let key = dice.pick(&plan.keys).clone();
        let quota = plan.setup.quotas.config;
        let etag = self.etags.get(&key).copied();
        let expected = match (dice.below(6), etag) {
            (0 | 1, Some(etag)) => Expected::OneOf(vec![etag]),
            (2, Some(etag)) => Expected::NoneOf(vec![etag]),
            (3, _) => Expected::Nothing,
            (4, _) => Expected::Something,
            _ => Expected::Anything,
        };
        let version = Version::new(dice.within(1..=6))?;
        Some(match dice.below(10) {
            0 => ConfigCommand::Delete { account, key, expected, by: self.by(at) },
            1 => {
                let by = self.by(at);
                ConfigCommand::Rollback { account, key, version, expected, quota, by }
            }
            2 => ConfigCommand::Get { account, key, version: None },
            3 => ConfigCommand::Get { account, key, version: Some(version) },
            4 => ConfigCommand::History { account, key },
            5 if dice.one_in(2) => ConfigCommand::List { account, selection: Selection::default() },
            _ => {
                self.fresh += 1;
                // Some are larger than a page: their rows overflow.
                let padding = if dice.one_in(12) { " ".repeat(5000) } else { String::new() };
                ConfigCommand::Put {
                    account,
                    key,
                    value: Value::from_json(&format!("{padding}{}", self.fresh))?,
                    description: dice
                        .one_in(4)
                        .then(|| Description::new("told by its writer").ok())
                        .flatten(),
                    expected,
                    incarnation: Incarnation(self.id(0xc0)),
                    quota,
                    by: self.by(at),
                }
            }
        })
    }

    /// Who asks: a request with a number of its own, by which the audit log can be searched.
    fn by(&mut self, at: WallTime) -> Provenance {
        self.fresh += 1;
        Provenance {
            who: Who::AdminKey,
            from: AuditText::truncated("the simulator"),
            request: AuditText::truncated(&self.fresh.to_string()),
            at,
        }
    }

    /// An id unlike any other; `kind` says of what.
    fn id(&mut self, kind: u8) -> [u8; 16] {
        self.fresh += 1;
        let mut id = [kind; 16];
        id[8..].copy_from_slice(&self.fresh.to_be_bytes());
        id
    }

    /// Remembers what an answer says.
    pub fn told(&mut self, request: &Request, answer: &Answer) {
        match answer {
            Answer::Lock(LockOutcome::Granted(lease) | LockOutcome::Confirmed(lease)) => {
                self.leases.insert((request.client, lease.name.clone()), lease.clone());
            }
            Answer::Lock(LockOutcome::Released) => {
                if let Ask::Lock(LockCommand::Release { name, .. }) = &request.ask
                    && !request.client.is_multiple_of(2)
                {
                    // The others may ask for what they have released once more.
                    self.leases.remove(&(request.client, name.clone()));
                }
            }
            Answer::Config(ConfigOutcome::Written(entry) | ConfigOutcome::Found(entry)) => {
                self.etags.insert(entry.key.clone(), entry.etag());
            }
            Answer::Account(
                AccountOutcome::Issued(_, token) | AccountOutcome::Rotated { fresh: token, .. },
            ) => {
                if !self.accounts.contains(&token.account) {
                    self.accounts.push(token.account);
                }
                if let Some(secret) = self.unborn.remove(&token.hash) {
                    let (hash, id, account) = (token.hash, token.id, token.account);
                    self.wallet.push(Bearer { secret, hash, id, account });
                }
            }
            Answer::Lock(_)
            | Answer::Limit(_)
            | Answer::Flag(_)
            | Answer::Config(_)
            | Answer::Account(_) => {}
        }
    }

    /// Everything there is to look at.
    pub fn look(&self, plan: &Plan, at: WallTime) -> Vec<(usize, Ask)> {
        let mut asks = Vec::new();
        let locks = plan.locks.iter().map(|name| LockCommand::Get { name: name.clone() });
        asks.extend(locks.map(Ask::Lock));
        for account in ACCOUNTS {
            let selection = Selection::default();
            asks.push(Ask::Lock(LockCommand::List { account, selection: selection.clone() }));
            asks.push(Ask::Limit(LimitCommand::List { account, selection: selection.clone() }));
            asks.push(Ask::Flag(FlagCommand::List { account, selection: selection.clone() }));
            asks.push(Ask::Config(ConfigCommand::List { account, selection }));
            let limits = plan
                .limits
                .iter()
                .map(|(name, _)| LimitCommand::Get { account, name: name.clone() });
            asks.extend(limits.map(Ask::Limit));
            let flags =
                plan.flags.iter().map(|name| FlagCommand::Get { account, name: name.clone() });
            asks.extend(flags.map(Ask::Flag));
            let keys =
                plan.keys.iter().map(|key| ConfigCommand::History { account, key: key.clone() });
            asks.extend(keys.map(Ask::Config));
        }
        for &account in &self.accounts {
            asks.push(Ask::Account(AccountCommand::Account(account)));
            let scope = Scope::Everything;
            asks.push(Ask::Account(AccountCommand::Tokens { account, scope, at }));
        }
        asks.into_iter().map(|ask| (PEEK, ask)).collect()
    }
}

fn take(name: LockName, lease: LeaseId) -> Option<LockCommand> {
    Some(LockCommand::Acquire {
        name,
        holder: Holder { account: ACCOUNTS[0], owner: None },
        ttl: Ttl::from_seconds(1).ok()?,
        lease,
        metadata: None,
        quota: Quota::new(1_000),
    })
}

fn limit(client: usize, plan: &Plan, dice: &mut Dice) -> Option<LimitCommand> {
    let account = plan.holders[client].account;
    let (name, policies) = dice.pick(&plan.limits).clone();
    let policy = *dice.pick(&policies);
    Some(match dice.below(16) {
        0 => LimitCommand::Get { account, name },
        1 => LimitCommand::List { account, selection: Selection::default() },
        2 if dice.one_in(3) => LimitCommand::Delete { account, name },
        _ => {
            let most = u64::from(policy.max_requests.get()).min(3);
            let cost = policy.cost(dice.within(1..=most)).ok()?;
            LimitCommand::Check { account, name, policy, cost, quota: plan.setup.quotas.limits }
        }
    })
}
