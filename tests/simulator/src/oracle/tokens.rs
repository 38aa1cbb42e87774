//! Bearer tokens: what opens something, and what never does again.

use super::{End, Promise, Request, RequestId, Stamp, Violation, is_refusal, require};
use crate::server::{Answer, Ask};
use octostore::auth::NotAuthenticated;
use octostore_actors::domain::{
    account::{Account, AccountCommand, AccountOutcome, Change, Standing, Token},
    values::{AccountId, TokenHash, TokenId, WallTime},
};
use std::collections::BTreeMap;

/// Everything that was told of tokens.
#[derive(Debug, Default)]
pub struct TokenBook {
    tokens: BTreeMap<TokenHash, Known>,
    by_id: BTreeMap<TokenId, TokenHash>,
    accounts: BTreeMap<AccountId, KnownAccount>,
    /// The latest that the wall clock has ever shown.
    latest: Option<WallTime>,
}

/// What is known of a token that somebody knows.
#[derive(Debug)]
struct Known {
    id: TokenId,
    account: AccountId,
    expires_at: Option<WallTime>,
    told: Stamp,
    /// Since when it is known to open nothing any more.
    dead: Option<Stamp>,
    /// The requests that may have ended it.
    enders: Vec<RequestId>,
}

#[derive(Debug, Default)]
struct KnownAccount {
    /// What was last told, if nothing is under way.
    standing: Option<Standing>,
    /// The changes that may have happened since.
    changes: Vec<RequestId>,
}

impl TokenBook {
    /// A token that is there from the beginning.
    pub fn given(&mut self, account: &Account, token: &Token, now: Stamp) {
        self.knows_account(account.id);
        self.knows(token, now);
    }

    /// The wall clock shows this.
    pub fn wall(&mut self, now: WallTime) {
        self.latest = self.latest.max(Some(now));
    }

    /// Notes what is asked.
    pub fn asked(&mut self, id: RequestId, ask: &Ask) {
        let Ask::Account(command) = ask else { return };
        let hash = match command {
            AccountCommand::Rotate { presented, .. } => Some(*presented),
            AccountCommand::Revoke { token, .. } => self.by_id.get(token).copied(),
            AccountCommand::Change { account, change: Change::Standing(_), .. } => {
                self.accounts.entry(*account).or_default().changes.push(id);
                None
            }
            AccountCommand::Issue { .. }
            | AccountCommand::Admit { .. }
            | AccountCommand::Used { .. }
            | AccountCommand::Tokens { .. }
            | AccountCommand::Accounts(_)
            | AccountCommand::Account(_)
            | AccountCommand::Change { .. }
            | AccountCommand::Note(_) => None,
        };
        if let Some(known) = hash.and_then(|hash| self.tokens.get_mut(&hash)) {
            known.enders.push(id);
        }
    }

    /// A request has come to its end: what changed nothing no longer matters.
    pub fn ends(&mut self, id: RequestId, requests: &[Request]) {
        let Ask::Account(command) = &requests[id].ask else { return };
        let nothing = match &requests[id].end {
            End::Nothing => true,
            End::Told(Answer::Account(outcome), _) => is_refusal(command, outcome),
            End::Told(..) | End::Waits | End::Unknown | End::HungUp | End::Lost => false,
        };
        if nothing {
            self.tokens.values_mut().for_each(|known| known.enders.retain(|&ender| ender != id));
            self.accounts.values_mut().for_each(|account| account.changes.retain(|&c| c != id));
        }
    }

    /// Judges an answer.
    pub fn told(
        &mut self,
        id: RequestId,
        requests: &[Request],
        outcome: &AccountOutcome,
        now: Stamp,
    ) -> Result<(), Violation> {
        let request = &requests[id];
        let Ask::Account(command) = &request.ask else { return Ok(()) };
        match (command, outcome) {
            (
                AccountCommand::Rotate { presented, fresh, .. },
                AccountOutcome::Rotated { replaced, fresh: token },
            ) => {
                require(
                    replaced.hash == *presented && token.hash == *fresh,
                    Promise::OneOutcome,
                    || format!("{} was rotated in place of another", replaced.id),
                )?;
                self.not_dead_before(presented, request)?;
                self.dies(presented, now);
                self.knows(token, now);
            }
            (AccountCommand::Issue { presented, .. }, AccountOutcome::Issued(account, token)) => {
                self.not_dead_before(presented, request)?;
                self.knows_account(account.id);
                self.knows(token, now);
            }
            (AccountCommand::Admit { .. }, AccountOutcome::Issued(account, token)) => {
                self.knows_account(account.id);
                self.knows(token, now);
            }
            (AccountCommand::Revoke { .. }, AccountOutcome::Revoked(token)) => {
                self.not_dead_before(&token.hash, request)?;
                self.dies(&token.hash, now);
            }
            (
                AccountCommand::Rotate { presented, .. } | AccountCommand::Issue { presented, .. },
                AccountOutcome::UnknownToken,
            ) => self.is_gone(presented, id, requests)?,
            (AccountCommand::Revoke { token, .. }, AccountOutcome::NotFound) => {
                if let Some(hash) = self.by_id.get(token).copied() {
                    self.is_gone(&hash, id, requests)?;
                }
            }
            (AccountCommand::Tokens { account, .. }, AccountOutcome::Tokens(tokens)) => {
                self.listed(*account, tokens, request)?;
            }
            (AccountCommand::Change { account, change, .. }, AccountOutcome::Account(_)) => {
                if let (Change::Standing(standing), Some(known)) =
                    (change, self.accounts.get_mut(account))
                {
                    // What was asked before it happened before it.
                    known.changes.retain(|&change| change > id);
                    known.standing = Some(*standing);
                }
            }
            (AccountCommand::Account(account), AccountOutcome::NotFound) => {
                require(!self.accounts.contains_key(account), Promise::Durability, || {
                    format!("account {account} is gone")
                })?;
            }
            (AccountCommand::Account(_), AccountOutcome::Account(account)) => {
                let known = self.accounts.get(&account.id);
                let known = known.filter(|known| known.changes.is_empty());
                let standing = known.and_then(|known| known.standing);
                let kept = standing.is_none_or(|standing| standing == account.standing);
                require(kept, Promise::Durability, || {
                    format!("account {} is {:?}, not {standing:?}", account.id, account.standing)
                })?;
            }
            _ => {}
        }
        self.ends(id, requests);
        Ok(())
    }

    /// Judges what a presented token opened.
    pub fn presented(
        &mut self,
        hash: &TokenHash,
        opened: Result<AccountId, NotAuthenticated>,
        (wall, now): (WallTime, Stamp),
        requests: &[Request],
    ) -> Result<(), Violation> {
        let Some(known) = self.tokens.get_mut(hash) else { return Ok(()) };
        let expired = known.expires_at.is_some_and(|end| wall >= end);
        let alive = opened != Err(NotAuthenticated::Unknown);
        require(!(alive && (expired || known.dead.is_some())), Promise::Durability, || {
            format!("token {} opens something, but it ended at {:?}", known.id, known.dead)
        })?;
        if !alive {
            require(!known.must_live(self.latest), Promise::Durability, || {
                format!("token {} opens nothing, and nobody has ended it", known.id)
            })?;
            known.found_dead(expired, requests, now);
        }
        if alive
            && let Some(account) = self.accounts.get(&known.account)
            && account.changes.is_empty()
            && let Some(standing) = account.standing
        {
            require(
                (standing == Standing::Enabled) == opened.is_ok(),
                Promise::Durability,
                || {
                    format!(
                        "account {} is {standing:?} and its token gives {opened:?}",
                        known.account
                    )
                },
            )?;
        }
        Ok(())
    }

    fn knows(&mut self, token: &Token, now: Stamp) {
        self.by_id.insert(token.id, token.hash);
        self.tokens.entry(token.hash).or_insert_with(|| Known {
            id: token.id,
            account: token.account,
            expires_at: token.expires_at,
            told: now,
            dead: None,
            enders: Vec::new(),
        });
    }

    fn knows_account(&mut self, account: AccountId) {
        self.accounts.entry(account).or_insert_with(|| KnownAccount {
            standing: Some(Standing::Enabled),
            changes: Vec::new(),
        });
    }

    fn dies(&mut self, hash: &TokenHash, now: Stamp) {
        if let Some(known) = self.tokens.get_mut(hash) {
            known.dead.get_or_insert(now);
        }
    }

    /// A token that had ended before it was presented has done something.
    fn not_dead_before(&self, hash: &TokenHash, request: &Request) -> Result<(), Violation> {
        let dead = self.tokens.get(hash).and_then(|known| known.dead);
        let before = dead.is_some_and(|dead| dead.event < request.sent.event);
        require(!before, Promise::Durability, || format!("{hash:?} ended at {dead:?} and is used"))
    }

    /// A token was said to be gone.
    fn is_gone(
        &self,
        hash: &TokenHash,
        asked: RequestId,
        requests: &[Request],
    ) -> Result<(), Violation> {
        let Some(known) = self.tokens.get(hash) else { return Ok(()) };
        let told_before = known.told.event < requests[asked].sent.event;
        let by_others = known.enders.iter().any(|&ender| ender != asked);
        let alive = known.dead.is_none() && !by_others && !known.has_expired(self.latest);
        require(!(told_before && alive), Promise::Durability, || {
            format!("token {} is said to be unknown, and nobody has ended it", known.id)
        })
    }

    fn listed(
        &self,
        account: AccountId,
        tokens: &[Token],
        request: &Request,
    ) -> Result<(), Violation> {
        for token in tokens {
            self.not_dead_before(&token.hash, request)?;
        }
        let mine = self
            .tokens
            .iter()
            .filter(|(_, known)| known.account == account && known.told.event < request.sent.event);
        for (hash, known) in mine {
            let shown = tokens.iter().any(|token| token.hash == *hash);
            require(shown || !known.must_live(self.latest), Promise::Durability, || {
                format!("token {} is not listed, and nobody has ended it", known.id)
            })?;
        }
        Ok(())
    }
}

impl Known {
    /// Whether it must open something: nobody may have ended it, and the wall clock never showed
    /// its end.
    fn must_live(&self, latest: Option<WallTime>) -> bool {
        self.dead.is_none() && self.enders.is_empty() && !self.has_expired(latest)
    }

    fn has_expired(&self, latest: Option<WallTime>) -> bool {
        self.expires_at.is_some_and(|end| latest >= Some(end))
    }

    /// It opened nothing. If nothing can bring it back, that is for ever.
    fn found_dead(&mut self, expired: bool, requests: &[Request], now: Stamp) {
        // An answer that reaches nobody undoes a rotation; one that nobody waits for any more
        // because its server is gone does not.
        let may_be_undone = self
            .enders
            .iter()
            .any(|&ender| matches!(requests[ender].end, End::Waits | End::HungUp));
        if !expired && !may_be_undone {
            self.dead.get_or_insert(now);
        }
    }
}
