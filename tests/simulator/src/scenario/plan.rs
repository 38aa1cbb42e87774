//! What a seed makes of a scenario before it begins: who is there, what there is to be had, how
//! often what happens.

use crate::{
    breaks::Break,
    dice::Dice,
    server::{Domain, Setup},
};
use octostore::{
    auth::BearerToken,
    settings::Quotas,
    store::{JournalSize, Retention},
};
use octostore_actors::domain::{
    account::{
        Account, AccountRecord, Allowance, Origin, Role, Standing, Subject, Token, TokenName,
        TokenSource, TokenState, scope::Scope,
    },
    config::{ConfigKey, ConfigQuota},
    flag::FlagName,
    limiter::{LimitName, MaxRequests, Policy, Window},
    lock::Holder,
    values::{AccountId, AccountName, LockName, Owner, Quota, TokenId, WallTime},
};
use std::{num::NonZeroUsize, time::Duration};

/// One scenario.
#[derive(Debug)]
pub struct Plan {
    /// How many steps before it comes to its end.
    pub steps: u64,
    /// Who asks for locks.
    pub holders: Vec<Holder>,
    /// The locks there are.
    pub locks: Vec<LockName>,
    /// The limits, each with the rules it is asked by.
    pub limits: Vec<(LimitName, Vec<Policy>)>,
    /// The flags.
    pub flags: Vec<FlagName>,
    /// The config keys.
    pub keys: Vec<ConfigKey>,
    /// How often each step comes, in the order of [`Step::ALL`].
    pub weights: Vec<u64>,
    /// How often each domain is asked, in the order of [`Domain::ALL`].
    pub domains: Vec<u64>,
    /// How large the journal may grow.
    pub journal: JournalSize,
    /// How the server is started.
    pub setup: Setup,
    /// What lies on the disk.
    pub beginning: Beginning,
    /// How long the machine has been up.
    pub uptime: Duration,
    /// One start in so many is interrupted or disturbed.
    pub hard_starts: u64,
}

/// What lies on the disk when the first server starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Nothing.
    Empty,
    /// A database without locks.
    Fresh,
    /// The same, with the fencing tokens nearly used up.
    LastTokens,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A client asks for something.
    Ask,
    /// Several things come in one message.
    AskTogether,
    /// An actor takes a turn.
    Turn,
    /// What is queued is committed.
    Commit,
    /// The store tidies up.
    Rest,
    /// Every actor takes a turn, what they want is committed, and every answer arrives.
    Flow,
    /// An answer arrives, or is under way.
    Deliver,
    /// A client hangs up.
    HangUp,
    /// An answer that was under way does not arrive.
    LoseOnTheWay,
    /// Milliseconds pass.
    PassLittle,
    /// Seconds pass.
    PassSome,
    /// Time passes, and nothing happens.
    PassLong,
    /// The wall clock is set.
    SetWall,
    /// Somebody presents a bearer token.
    Present,
    /// An administrator reads the audit log.
    ReadAudit,
    /// The disk will fail.
    Trap,
    /// The disk is nearly full.
    Fill,
    /// Several ask, and what they want finds no room.
    NoRoom,
    /// Several ask for changes, others look at the same; whoever is answered before anything is
    /// committed hears of it, and then the process dies.
    LookAhead,
    /// There is room again, and nothing fails.
    Mend,
    /// The process dies, or the power goes.
    Crash,
    /// The same, in the middle of something.
    CrashSoon,
    /// The server is stopped in good order.
    Stop,
}

impl Step {
    /// All of them, each with how often it comes.
    pub const ALL: [(Self, u64); 23] = [
        (Self::Ask, 60),
        (Self::AskTogether, 4),
        (Self::Turn, 24),
        (Self::Commit, 14),
        (Self::Rest, 3),
        (Self::Flow, 12),
        (Self::Deliver, 24),
        (Self::HangUp, 4),
        (Self::LoseOnTheWay, 3),
        (Self::PassLittle, 12),
        (Self::PassSome, 5),
        (Self::PassLong, 1),
        (Self::SetWall, 1),
        (Self::Present, 4),
        (Self::ReadAudit, 2),
        (Self::Trap, 1),
        (Self::Fill, 1),
        (Self::NoRoom, 1),
        (Self::LookAhead, 1),
        (Self::Mend, 2),
        (Self::Crash, 2),
        (Self::CrashSoon, 2),
        (Self::Stop, 1),
    ];
}

/// The accounts that are there from the beginning.
pub const ACCOUNTS: [AccountId; 2] =
    [AccountId::from_bytes([0xa1; 16]), AccountId::from_bytes([0xa2; 16])];

/// The bearer token in the configuration, of the first account.
pub const CONFIGURED: &str = "from-the-configuration";

impl Plan {
    /// What `dice` make of it.
    pub fn roll(dice: &mut Dice, broken: Option<Break>) -> Self {
        let swarm = |dice: &mut Dice, weight: u64| weight * *dice.pick(&[0, 1, 1, 2, 3]);
        let weights = Step::ALL
            .iter()
            .map(|&(step, weight)| {
                // Without these nothing would happen.
                let needed = matches!(step, Step::Ask | Step::Turn | Step::Commit | Step::Deliver);
                if needed { weight } else { swarm(dice, weight) }
            })
            .collect();
        let mut domains: Vec<u64> =
            [6, 3, 2, 3, 3].map(|weight| swarm(dice, weight)).into_iter().collect();
        if domains.iter().sum::<u64>() == 0 {
            domains[0] = 1;
        }
        let busy = dice.within(5..=14);
        Self {
            steps: dice.within(20..=110),
            holders: holders(dice),
            locks: (0..dice.within(1..=3)).filter_map(|n| name(n, LockName::new)).collect(),
            limits: (0..dice.within(1..=2)).filter_map(|n| limit(n, dice)).collect(),
            flags: (0..dice.within(1..=2)).filter_map(|n| name(n, FlagName::new)).collect(),
            keys: (0..dice.within(1..=2)).filter_map(|n| name(n, ConfigKey::new)).collect(),
            weights,
            domains,
            journal: JournalSize {
                idle: u32::try_from(dice.within(1..=5)).unwrap_or(1),
                busy: u32::try_from(busy).unwrap_or(5),
                slack: u32::try_from(dice.within(2..=8)).unwrap_or(2),
            },
            setup: setup(dice, broken),
            beginning: match dice.below(16) {
                0 => Beginning::Empty,
                1 => Beginning::LastTokens,
                _ => Beginning::Fresh,
            },
            uptime: Duration::from_millis({
                let longest = *dice.pick(&[2_000, 60_000, 10_000_000]);
                dice.within(1..=longest)
            }),
            hard_starts: *dice.pick(&[2, 4, 8]),
        }
    }

    /// A domain to ask.
    pub fn domain(&self, dice: &mut Dice) -> Domain {
        Domain::ALL[dice.weighted(self.domains.iter().copied())]
    }
}

/// How the server of every scenario is started, apart from chance.
pub fn plain_setup(broken: Option<Break>) -> Setup {
    let many = Quota::new(100);
    Setup {
        mailbox: NonZeroUsize::MIN.saturating_add(63),
        token_block: None,
        quotas: Quotas {
            locks: many,
            limits: many,
            flags: many,
            config: ConfigQuota { keys: many, bytes: u64::MAX, history: Quota::new(4) },
            tokens: many,
            requests_per_second: None,
        },
        retention: Retention::default(),
        tokens: format!("first:{CONFIGURED}"),
        first: first(),
        broken,
    }
}

fn setup(dice: &mut Dice, broken: Option<Break>) -> Setup {
    let mut setup = plain_setup(broken);
    setup.mailbox = NonZeroUsize::MIN.saturating_add(dice.below(24) + 1);
    setup.token_block = (!dice.one_in(4)).then(|| dice.within(4..=12));
    if dice.one_in(4) {
        setup.quotas.locks = Quota::new(u32::try_from(dice.within(1..=2)).unwrap_or(1));
    }
    if dice.one_in(4) {
        setup.quotas.tokens = Quota::new(3);
    }
    if dice.one_in(4) {
        setup.quotas.flags = Quota::new(1);
        setup.quotas.limits = Quota::new(1);
        setup.quotas.config.keys = Quota::new(1);
    }
    if dice.one_in(8) {
        setup.quotas.config.bytes = 6_000;
    }
    if dice.one_in(6) {
        setup.retention.entries = Some(dice.within(1..=20));
    }
    setup.quotas.config.history = Quota::new(u32::try_from(dice.within(1..=4)).unwrap_or(1));
    setup
}

fn holders(dice: &mut Dice) -> Vec<Holder> {
    let count = dice.within(2..=4);
    let owner = |n: u64, dice: &mut Dice| {
        if dice.one_in(3) { None } else { Owner::new(&format!("worker-{n}")).ok() }
    };
    (0..count).map(|n| Holder { account: *dice.pick(&ACCOUNTS), owner: owner(n, dice) }).collect()
}

fn name<T, E>(number: u64, new: impl Fn(&str) -> Result<T, E>) -> Option<T> {
    new(&format!("n{number}")).ok()
}

fn limit(number: u64, dice: &mut Dice) -> Option<(LimitName, Vec<Policy>)> {
    let rules = *dice.pick(&[1, 1, 2, 3]);
    let policies = (0..rules).filter_map(|_| {
        Some(Policy {
            max_requests: MaxRequests::new(*dice.pick(&[1, 2, 3, 5, 12, 30])).ok()?,
            window: Window::from_seconds(*dice.pick(&[1, 2, 5, 30])).ok()?,
        })
    });
    let policies = policies.collect();
    Some((name(number, LimitName::new)?, policies))
}

/// The accounts that are there from the beginning, and the configured token of the first.
pub fn first() -> Vec<AccountRecord> {
    let at = WallTime::from_millis(1_700_000_000_000);
    let account = |id: AccountId, name: &str| {
        let name = AccountName::new(name).ok()?;
        Some(Account {
            id,
            origin: Origin::Static,
            subject: Subject::from(&name),
            name,
            role: Role::Member,
            standing: Standing::Enabled,
            allowance: Allowance::default(),
            created_at: at,
        })
    };
    let token = Token {
        hash: BearerToken::hash_of(CONFIGURED.as_bytes()),
        id: TokenId::from_bytes([0x70; 16]),
        account: ACCOUNTS[0],
        name: match TokenName::new("configured") {
            Ok(name) => name,
            Err(_) => return Vec::new(),
        },
        source: TokenSource::Static,
        scope: Scope::Everything,
        created_at: at,
        expires_at: None,
        last_used_at: None,
        state: TokenState::Live,
    };
    let accounts = [account(ACCOUNTS[0], "first"), account(ACCOUNTS[1], "second")];
    let accounts = accounts.into_iter().flatten().map(AccountRecord::Account);
    accounts.chain([AccountRecord::Token(token)]).collect()
}
