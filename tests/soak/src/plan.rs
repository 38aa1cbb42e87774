//! How long, how many of each, and how the server is set.

use std::time::Duration;

/// The numbers of one run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is drawn from.
    pub seed: u64,
    /// Whether clocks and growth are judged: a short run is too short for that.
    pub judges: bool,
    /// How long the honest clients are alone at first.
    pub calm: Duration,
    /// How long the hostile clients stay.
    pub attack: Duration,
    /// How long the honest clients go on when they have left.
    pub recovery: Duration,
    /// How long files and threads may take to be given back: a timeout of the server, and a while.
    pub patience: Duration,
    /// How many idle connections.
    pub idle: usize,
    /// How many clients of each other hostile kind, as a multiple.
    pub crowd: usize,
    /// Timeouts of the server, in seconds: head, body, write.
    pub timeouts: [u32; 3],
}

/// What an account may send a second. The honest ones stay below half of it.
pub const REQUESTS_PER_SECOND: u32 = 100;

/// How many entries the audit log keeps, so that the database has a bound that is reached.
const AUDIT_ENTRIES: u32 = 20_000;

impl Plan {
    /// Ten minutes, or as many as are asked for, at the server's own timeouts.
    pub fn long(seed: u64, minutes: u64) -> Self {
        Self {
            seed,
            judges: true,
            calm: Duration::from_secs(30),
            attack: Duration::from_secs(60 * minutes),
            recovery: Duration::from_secs(10),
            patience: Duration::from_secs(120),
            idle: 10_000,
            crowd: 2,
            timeouts: [75, 10, 30],
        }
    }

    /// About twenty seconds, for every change: timeouts short enough to be reached.
    pub fn short(seed: u64) -> Self {
        Self {
            seed,
            judges: false,
            calm: Duration::from_secs(2),
            attack: Duration::from_secs(12),
            recovery: Duration::from_secs(1),
            patience: Duration::from_secs(60),
            idle: 2_000,
            crowd: 1,
            timeouts: [4, 2, 3],
        }
    }

    /// The flags of the server.
    pub fn arguments(&self) -> Vec<String> {
        let [header, body, write] = self.timeouts;
        [
            ("--requests-per-second", REQUESTS_PER_SECOND),
            ("--audit-entries", AUDIT_ENTRIES),
            ("--header-timeout", header),
            ("--body-timeout", body),
            ("--write-timeout", write),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value.to_string()])
        .collect()
    }

    /// The accounts of the server and their tokens, as `STATIC_TOKENS` takes them.
    pub fn tokens() -> String {
        let honest = HONEST.iter().map(|&name| name.to_owned());
        let accounts = honest.chain((0..HOSTILE).map(hostile));
        let tokens: Vec<String> = accounts.map(|name| format!("{name}:{}", token(&name))).collect();
        tokens.join(",")
    }
}

/// The accounts of the honest clients.
pub const HONEST: &[&str] = &["ada", "bea", "cyd", "dov", "eva", "fay", "gil", "hal"];

/// How many accounts the hostile ones have, one a kind.
const HOSTILE: usize = 16;

/// The account of a hostile kind.
pub fn hostile(kind: usize) -> String {
    format!("hostile-{kind}")
}

/// The token of an account, as long as one the server makes.
pub fn token(account: &str) -> String {
    format!("octo_{account:0>72}")
}
