//! What a start makes of the accounts on disk and the tokens in the configuration.

use super::{
    BearerToken,
    secret_file::{self, SecretFile},
};
use crate::ids;
use octostore_actors::domain::{
    account::{
        Account, AccountRecord, Allowance, Origin, Role, Standing, Subject, Token, TokenName,
        TokenSource, TokenState, scope::Scope,
    },
    values::{AccountId, AccountName, TokenHash, WallTime},
};
use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
};

/// The tokens that the configuration gives.
#[derive(Clone, Debug, Default)]
pub struct Configured(Vec<ConfiguredToken>);

/// One of them.
#[derive(Clone, Debug)]
pub struct ConfiguredToken {
    /// Whose.
    pub name: AccountName,
    /// The token.
    pub token: BearerToken,
}

/// Why configured tokens cannot be used. No message shows one.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// An entry is not `name:token`.
    #[error(
        "entry {number} is not name:token (a name of 1 to 128 characters; a token of 1 to 512 \
         visible ASCII characters)"
    )]
    Entry {
        /// Counted from one.
        number: usize,
    },
    /// One token stands for two accounts.
    #[error("entries {first} and {second} give one token to two accounts")]
    Shared {
        /// Counted from one.
        first: usize,
        /// Counted from one.
        second: usize,
    },
    /// Others may read or write the file.
    #[error("{path} is not its owner's alone (mode {mode:03o}): run `chmod 600 {path}`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}: give a file of name:token lines")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Configured {
    /// Reads `name:token,name:token,…`.
    ///
    /// # Errors
    /// See [`TokensError`].
    pub fn parse_list(text: &str) -> Result<Self, TokensError> {
        Self::parse(text.split(','))
    }

    /// Reads a file of `name:token` lines; empty lines, lines that begin with `#`, and the mark
    /// that some editors put before the first do not count. The file must be its owner's alone.
    ///
    /// # Errors
    /// See [`TokensError`].
    pub fn read_file(path: &Path) -> Result<Self, TokensError> {
        let io = |source| TokensError::Io { path: path.to_owned(), source };
        let SecretFile { text, exposed } = secret_file::read(path).map_err(io)?;
        if let Some(mode) = exposed {
            return Err(TokensError::Exposed { path: path.to_owned(), mode });
        }
        // Left in, it would be an unseen letter of the first name, and so another account.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Self::parse(text.lines().map(
            |line| {
                if line.trim_start().starts_with('#') { "" } else { line }
            },
        ))
    }

    fn parse<'a>(entries: impl Iterator<Item = &'a str>) -> Result<Self, TokensError> {
        let mut tokens = Vec::new();
        for (index, entry) in entries.enumerate() {
            if entry.trim().is_empty() {
                continue;
            }
            let parsed = entry.split_once(':').and_then(|(name, token)| {
                Some(ConfiguredToken {
                    name: AccountName::new(name.trim()).ok()?,
                    token: BearerToken::from_configuration(token.trim())?,
                })
            });
            tokens.push(parsed.ok_or(TokensError::Entry { number: index + 1 })?);
        }
        Ok(Self(tokens))
    }

    /// These and those.
    ///
    /// # Errors
    /// [`TokensError::Shared`].
    pub fn and(mut self, other: Self) -> Result<Self, TokensError> {
        self.0.extend(other.0);
        let mut seen: HashMap<TokenHash, usize> = HashMap::new();
        for (index, entry) in self.0.iter().enumerate() {
            let first = *seen.entry(entry.token.hash()).or_insert(index);
            if self.0[first].name != entry.name {
                return Err(TokensError::Shared { first: first + 1, second: index + 1 });
            }
        }
        Ok(self)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The accounts and tokens that a start finds.
#[derive(Debug, Default)]
pub struct OnDisk {
    /// All accounts.
    pub accounts: Vec<Account>,
    /// All tokens.
    pub tokens: Vec<Token>,
}

/// What a start changes.
#[derive(Debug)]
pub struct Provisioned {
    /// All accounts.
    pub accounts: Vec<Account>,
    /// All tokens.
    pub tokens: Vec<Token>,
    /// What of it must be written.
    pub records: Vec<AccountRecord>,
    /// The token of the account `admin`, if this start made it.
    pub admin: Option<BearerToken>,
    /// The accounts whose configured token was rotated away, and so opens nothing.
    pub rotated: Vec<AccountName>,
}

impl Provisioned {
    /// Whether a token opens something at `now`: it is live, and so is its account.
    pub fn lets_somebody_in(&self, now: WallTime) -> bool {
        let enabled: HashSet<AccountId> = self
            .accounts
            .iter()
            .filter(|account| account.standing == Standing::Enabled)
            .map(|account| account.id)
            .collect();
        self.tokens.iter().any(|token| token.is_live(now) && enabled.contains(&token.account))
    }
}

/// Brings what is on disk and what is configured together:
/// - a configured token opens the account of its name, which is made if there is none, unless
///   it was rotated away: a dead token stays dead;
/// - a token that was configured and no longer is opens nothing;
/// - where no account is on disk, and none can come of the configuration or by signing in
///   (`lets_others_in`), there is `admin`;
/// - what has run out at `now` is forgotten.
pub fn provision(
    OnDisk { accounts, tokens }: OnDisk,
    configured: &Configured,
    lets_others_in: bool,
    now: WallTime,
) -> Provisioned {
    let mut state = State {
        now,
        by_hash: tokens.iter().enumerate().map(|(index, token)| (token.hash, index)).collect(),
        done: Provisioned {
            accounts,
            tokens,
            records: Vec::new(),
            admin: None,
            rotated: Vec::new(),
        },
    };
    state.drop_what_is_over(configured);
    for entry in &configured.0 {
        let account = state.account(Origin::Static, &entry.name);
        let hash = entry.token.hash();
        match state.by_hash.get(&hash).map(|&index| &state.done.tokens[index]) {
            Some(Token { state: TokenState::Dead, .. }) => {
                state.done.rotated.push(entry.name.clone())
            }
            Some(token) if token.account == account && token.source == TokenSource::Static => {}
            // It was issued, and is configured now; or the name before it was changed: it follows.
            Some(_) | None => state.token(hash, account, TokenSource::Static),
        }
    }
    if configured.is_empty() && !lets_others_in && state.done.accounts.is_empty() {
        let token = BearerToken::generate();
        #[expect(clippy::expect_used, reason = "a literal within the bounds")]
        let name = AccountName::new("admin").expect("`admin` is a possible name");
        let account = state.account(Origin::Local, &name);
        state.token(token.hash(), account, TokenSource::Issued);
        state.done.admin = Some(token);
    }
    state.done
}

struct State {
    now: WallTime,
    done: Provisioned,
    by_hash: HashMap<TokenHash, usize>,
}

impl State {
    /// Forgets what is configured no longer, and what has run out.
    fn drop_what_is_over(&mut self, configured: &Configured) {
        let wanted: Vec<TokenHash> = configured.0.iter().map(|entry| entry.token.hash()).collect();
        let now = self.now;
        let gone = |token: &Token| {
            token.state == TokenState::Live
                && match token.source {
                    TokenSource::Static => !wanted.contains(&token.hash),
                    TokenSource::Issued | TokenSource::SignIn | TokenSource::Workload => {
                        !token.is_live(now)
                    }
                }
        };
        let records = &mut self.done.records;
        self.done.tokens.retain(|token| {
            let gone = gone(token);
            if gone {
                records.push(AccountRecord::NoToken(token.hash));
            }
            !gone
        });
        self.by_hash =
            self.done.tokens.iter().enumerate().map(|(index, token)| (token.hash, index)).collect();
    }

    fn account(&mut self, origin: Origin, name: &AccountName) -> AccountId {
        let known = self.done.accounts.iter().find(|a| a.origin == origin && a.name == *name);
        if let Some(known) = known {
            return known.id;
        }
        let account = Account {
            id: ids::account_id(),
            origin,
            subject: Subject::from(name),
            name: name.clone(),
            role: match origin {
                Origin::Local => Role::Admin,
                Origin::Static | Origin::GitHub | Origin::OpenId => Role::Member,
            },
            standing: Standing::Enabled,
            allowance: Allowance::default(),
            created_at: self.now,
        };
        self.done.records.push(AccountRecord::Account(account.clone()));
        let id = account.id;
        self.done.accounts.push(account);
        id
    }

    fn token(&mut self, hash: TokenHash, account: AccountId, source: TokenSource) {
        #[expect(clippy::expect_used, reason = "a literal within the bounds")]
        let name = TokenName::new(match source {
            TokenSource::Static => "configured",
            TokenSource::Issued | TokenSource::SignIn | TokenSource::Workload => "first start",
        })
        .expect("both are possible names");
        let token = Token {
            hash,
            id: ids::token_id(),
            account,
            name,
            source,
            scope: Scope::Everything,
            created_at: self.now,
            expires_at: None,
            last_used_at: None,
            state: TokenState::Live,
        };
        self.done.records.push(AccountRecord::Token(token.clone()));
        match self.by_hash.get(&hash) {
            Some(&index) => self.done.tokens[index] = token,
            None => {
                self.by_hash.insert(hash, self.done.tokens.len());
                self.done.tokens.push(token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_millis(1_700_000_000_000);

    fn first_start(configured: &Configured) -> Provisioned {
        provision(OnDisk::default(), configured, false, NOW)
    }

    fn configured(list: &str) -> Configured {
        Configured::parse_list(list).unwrap().and(Configured::default()).unwrap()
    }

    fn live(done: &Provisioned, token: &str) -> Option<AccountName> {
        let hash = BearerToken::hash_of(token.as_bytes());
        let token = done.tokens.iter().find(|t| t.hash == hash && t.state == TokenState::Live)?;
        done.accounts.iter().find(|a| a.id == token.account).map(|a| a.name.clone())
    }

    fn restart(done: Provisioned, list: &str) -> Provisioned {
        let found = OnDisk { accounts: done.accounts, tokens: done.tokens };
        provision(found, &configured(list), false, NOW)
    }

    #[test]
    fn a_first_start_with_nothing_configured_makes_admin_once() {
        let first = first_start(&Configured::default());
        let token = first.admin.clone().unwrap();
        assert_eq!(live(&first, token.reveal()).unwrap().as_str(), "admin");
        let second = restart(first, "");
        assert!(second.admin.is_none() && second.records.is_empty());
        assert!(live(&second, token.reveal()).is_some());
    }

    #[test]
    fn configured_tokens_open_accounts_that_stay_the_same() {
        let first = first_start(&configured("ci:one,dev:two"));
        assert!(first.admin.is_none());
        let ci = first.accounts[0].id;
        assert_eq!(live(&first, "two").unwrap().as_str(), "dev");
        let second = restart(first, "ci:three,dev:two");
        assert_eq!(live(&second, "one"), None, "no longer configured");
        assert_eq!(live(&second, "three").unwrap().as_str(), "ci");
        assert_eq!(second.accounts[0].id, ci);
    }

    #[test]
    fn a_rotated_token_stays_dead_whatever_is_configured() {
        let mut first = first_start(&configured("ci:one"));
        first.tokens[0].state = TokenState::Dead;
        let second = restart(first, "ci:one");
        assert_eq!(live(&second, "one"), None);
        assert_eq!(second.rotated[0].as_str(), "ci");
        assert!(second.admin.is_none());
        let third = restart(restart(second, ""), "ci:one");
        assert_eq!(live(&third, "one"), None, "not even after it was taken out and put back");
    }

    #[test]
    fn an_issued_token_that_was_configured_ends_with_that() {
        let mut first = first_start(&configured("ci:one"));
        // As rotating makes it.
        first.tokens[0].source = TokenSource::Issued;
        let second = restart(first, "ci:one");
        assert_eq!(live(&second, "one").unwrap().as_str(), "ci");
        let third = restart(second, "ci:two");
        assert_eq!(live(&third, "one"), None, "no longer configured");
    }

    #[test]
    fn entries_are_name_and_token() {
        assert_eq!(configured(" a : t:with:colons , b:u ,").0.len(), 2);
        for bad in ["a", "a:", ":t", "a:b c"] {
            assert!(
                matches!(Configured::parse_list(bad), Err(TokensError::Entry { number: 1 })),
                "{bad}"
            );
        }
        let shared = Configured::parse_list("a:t,b:t").unwrap().and(Configured::default());
        assert!(matches!(shared, Err(TokensError::Shared { first: 1, second: 2 })));
        let text = format!("{:?}", Configured::parse_list("a:hunter2").unwrap());
        assert!(!text.contains("hunter2"));
    }
}
