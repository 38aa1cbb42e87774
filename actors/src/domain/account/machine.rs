//! The account machine.

use super::{
    Account, AccountCommand, AccountOutcome, Allowance, Change, NewToken, Origin, Role, Standing,
    Subject, Token, TokenSource, TokenState, rows::Rows, scope::Scope,
};
use crate::{
    domain::{
        Effects, Machine, Moment, Room, Ticket,
        audit::{Action, AuditText, Provenance, Who},
        values::{AccountId, AccountName, Quota, TokenHash, TokenId, WallTime},
    },
    progress::Seq,
    time::Instant,
};

/// The account domain.
#[derive(Debug, Default)]
pub struct AccountMachine {
    rows: Rows,
}

impl AccountMachine {
    /// The machine as it was when `accounts` and `tokens` were what is on disk.
    pub fn new(
        accounts: impl IntoIterator<Item = Account>,
        tokens: impl IntoIterator<Item = Token>,
    ) -> Self {
        Self { rows: Rows::new(accounts, tokens) }
    }

    fn rotate(
        &mut self,
        moment: Moment,
        presented: TokenHash,
        (fresh, id): (TokenHash, TokenId),
        by: Provenance,
        effects: &mut Effects<AccountOutcome>,
    ) -> (AccountOutcome, Seq) {
        let Some(replaced) = self.rows.live(&presented, by.at).cloned() else {
            return (AccountOutcome::UnknownToken, self.rows.token_depends_on(presented));
        };
        match moment.room {
            Room::Available => {}
            Room::Exhausted => return (AccountOutcome::NoRoom, Seq::NONE),
        }
        assert!(self.rows.token(&fresh).is_none(), "a fresh token is unlike any other");
        let fresh = Token {
            hash: fresh,
            id,
            source: match replaced.source {
                TokenSource::Static | TokenSource::Issued => TokenSource::Issued,
                TokenSource::SignIn => TokenSource::SignIn,
                TokenSource::Workload => TokenSource::Workload,
            },
            created_at: by.at,
            last_used_at: None,
            ..replaced.clone()
        };
        self.end(&replaced, effects);
        self.rows.set_token(fresh.clone(), effects);
        let detail = format!("replaced by {id}");
        let seq = effects.note(by, Action::TokenRotate, &replaced.id.to_string(), &detail);
        (AccountOutcome::Rotated { replaced, fresh }, seq)
    }

    fn issue(
        &mut self,
        moment: Moment,
        presented: TokenHash,
        asked: NewToken,
        quota: Quota,
        by: Provenance,
        effects: &mut Effects<AccountOutcome>,
    ) -> (AccountOutcome, Seq) {
        let asker = self.rows.live(&presented, by.at).cloned();
        let account = asker.as_ref().and_then(|asker| self.rows.account(asker.account)).cloned();
        let (Some(asker), Some(account)) = (asker, account) else {
            return (AccountOutcome::UnknownToken, self.rows.token_depends_on(presented));
        };
        let scope = asked.scope.clone().unwrap_or_else(|| asker.scope.clone());
        let outlives = match (asked.expires_at, asker.expires_at) {
            (Some(asked), Some(own)) => asked > own,
            (Some(_) | None, None) | (None, Some(_)) => false,
        };
        if outlives || !scope.is_within(&asker.scope) {
            return (AccountOutcome::Exceeds, self.rows.token_depends_on(presented));
        }
        let asked = NewToken {
            scope: Some(scope),
            expires_at: asked.expires_at.or(asker.expires_at),
            ..asked
        };
        self.hand_out(moment, account, asked, quota, (Action::TokenCreate, by), effects)
    }

    fn admit(
        &mut self,
        moment: Moment,
        account: Account,
        asked: NewToken,
        quota: Quota,
        (action, mut by): (Action, Provenance),
        effects: &mut Effects<AccountOutcome>,
    ) -> (AccountOutcome, Seq) {
        let account = match self.rows.account_of(account.origin, &account.subject) {
            Some(known) => Account { name: account.name, ..known.clone() },
            None => account,
        };
        by.who = Who::Account(account.id);
        match account.standing {
            Standing::Enabled => {}
            Standing::Disabled => {
                return (
                    AccountOutcome::Disabled(account.id),
                    self.rows.account_depends_on(account.id),
                );
            }
        }
        self.hand_out(moment, account, asked, quota, (action, by), effects)
    }

    /// Makes a token of `account`, which is made or renamed if need be.
    fn hand_out(
        &mut self,
        moment: Moment,
        account: Account,
        asked: NewToken,
        quota: Quota,
        (action, by): (Action, Provenance),
        effects: &mut Effects<AccountOutcome>,
    ) -> (AccountOutcome, Seq) {
        match moment.room {
            Room::Available => {}
            Room::Exhausted => return (AccountOutcome::NoRoom, Seq::NONE),
        }
        self.drop_expired(account.id, by.at, effects);
        if !self.make_room(account.id, asked.source, quota, &by, effects) {
            return (AccountOutcome::OverQuota(quota), effects.last());
        }
        if self.rows.account(account.id) != Some(&account) {
            self.rows.set_account(account.clone(), effects);
        }
        assert!(self.rows.token(&asked.hash).is_none(), "a fresh token is unlike any other");
        let token = Token {
            hash: asked.hash,
            id: asked.id,
            account: account.id,
            name: asked.name,
            source: asked.source,
            scope: asked.scope.unwrap_or(Scope::Everything),
            created_at: by.at,
            expires_at: asked.expires_at,
            last_used_at: None,
            state: TokenState::Live,
        };
        self.rows.set_token(token.clone(), effects);
        let detail = format!("{} of {}, named {}", token.id, account.name, token.name);
        let target = account.id.to_string();
        let seq = effects.note(by, action, &target, &detail);
        (AccountOutcome::Issued(account, token), seq)
    }

    /// Whether the account may have one more token of this kind. The oldest sign-in makes room
    /// for the newest: nobody is locked out by having signed in too often.
    fn make_room(
        &mut self,
        account: AccountId,
        source: TokenSource,
        quota: Quota,
        by: &Provenance,
        effects: &mut Effects<AccountOutcome>,
    ) -> bool {
        let mut alike: Vec<_> = self
            .rows
            .tokens_of(account)
            .filter(|token| token.source == source)
            .map(|token| (token.created_at, token.hash, token.id))
            .collect();
        let most = quota.get() as usize;
        match source {
            TokenSource::Static | TokenSource::Issued | TokenSource::Workload => alike.len() < most,
            TokenSource::SignIn => {
                alike.sort_unstable();
                let surplus = (alike.len() + 1).saturating_sub(most);
                for (_, hash, id) in alike.into_iter().take(surplus) {
                    self.rows.drop_token(hash, effects);
                    let detail = "a newer sign-in took its place";
                    effects.note(by.clone(), Action::TokenRevoke, &id.to_string(), detail);
                }
                most > 0
            }
        }
    }

    /// Removes the tokens of an account that have run out.
    fn drop_expired(
        &mut self,
        account: AccountId,
        at: WallTime,
        effects: &mut Effects<AccountOutcome>,
    ) {
        let tokens = self.rows.tokens_of(account);
        let expired: Vec<_> =
            tokens.filter(|token| !token.is_live(at)).map(|token| token.hash).collect();
        for hash in expired {
            self.rows.drop_token(hash, effects);
        }
    }

    fn revoke(
        &mut self,
        account: AccountId,
        scope: &Scope,
        id: TokenId,
        by: Provenance,
        effects: &mut Effects<AccountOutcome>,
    ) -> (AccountOutcome, Seq) {
        let found = self.rows.token_of(account, id).filter(|token| token.scope.is_within(scope));
        let Some(token) = found.cloned() else {
            return (AccountOutcome::NotFound, effects.last());
        };
        self.end(&token, effects);
        let seq = effects.note(by, Action::TokenRevoke, &id.to_string(), token.name.as_str());
        (AccountOutcome::Revoked(token), seq)
    }

    /// Ends a token. What is configured is remembered as dead.
    fn end(&mut self, token: &Token, effects: &mut Effects<AccountOutcome>) {
        match token.source {
            TokenSource::Static => {
                self.rows.set_token(Token { state: TokenState::Dead, ..token.clone() }, effects)
            }
            TokenSource::Issued | TokenSource::SignIn | TokenSource::Workload => {
                self.rows.drop_token(token.hash, effects)
            }
        };
    }

    fn used(
        &mut self,
        moment: Moment,
        hash: TokenHash,
        at: WallTime,
        effects: &mut Effects<AccountOutcome>,
    ) -> (AccountOutcome, Seq) {
        let newer = self.rows.live(&hash, at).filter(|token| token.last_used_at < Some(at));
        if let (Some(token), Room::Available) = (newer.cloned(), moment.room) {
            self.rows.set_token(Token { last_used_at: Some(at), ..token }, effects);
        }
        // Nobody waits for this to be on disk.
        (AccountOutcome::Noted, Seq::NONE)
    }

    fn tokens(
        &self,
        account: AccountId,
        scope: &Scope,
        at: WallTime,
        effects: &Effects<AccountOutcome>,
    ) -> (AccountOutcome, Seq) {
        let tokens = self.rows.tokens_of(account);
        let mut tokens: Vec<_> =
            tokens.filter(|t| t.is_live(at) && t.scope.is_within(scope)).cloned().collect();
        tokens.sort_by_key(|token| (token.created_at, token.id));
        (AccountOutcome::Tokens(tokens), effects.last())
    }

    fn change(
        &mut self,
        id: AccountId,
        change: Change,
        by: Provenance,
        effects: &mut Effects<AccountOutcome>,
    ) -> (AccountOutcome, Seq) {
        if !self.administers(by.who) {
            return (AccountOutcome::NotAdmin, effects.last());
        }
        let Some(account) = self.rows.account(id).cloned() else {
            return (AccountOutcome::NotFound, effects.last());
        };
        let (account, action, detail) = match change {
            Change::Standing(standing) => {
                let action = match standing {
                    Standing::Enabled => Action::AccountEnable,
                    Standing::Disabled => Action::AccountDisable,
                };
                (Account { standing, ..account }, action, String::new())
            }
            Change::Role(role) => {
                let detail = match role {
                    Role::Member => "member",
                    Role::Admin => "admin",
                };
                (Account { role, ..account }, Action::AccountRole, detail.to_owned())
            }
            Change::Quotas(allowance) => {
                let detail = allowance.to_string();
                (Account { allowance, ..account }, Action::AccountQuotas, detail)
            }
        };
        self.rows.set_account(account.clone(), effects);
        let seq = effects.note(by, action, &id.to_string(), &detail);
        (AccountOutcome::Account(account), seq)
    }

    /// Whether it administers still: a change that came before may have seen to it that it does not. So
    /// of those who demote each other at once one is left.
    fn administers(&self, who: Who) -> bool {
        match who {
            Who::Token(account, _) | Who::Account(account) => {
                self.rows.account(account).is_some_and(|account| {
                    (account.role, account.standing) == (Role::Admin, Standing::Enabled)
                })
            }
            Who::AdminKey | Who::Server => true,
            Who::Stranger => false,
        }
    }
}

impl Machine for AccountMachine {
    type Command = AccountCommand;
    type Outcome = AccountOutcome;

    fn apply(
        &mut self,
        moment: Moment,
        ticket: Ticket,
        command: AccountCommand,
        effects: &mut Effects<AccountOutcome>,
    ) {
        let (outcome, depends_on) = match command {
            AccountCommand::Rotate { presented, fresh, id, by } => {
                self.rotate(moment, presented, (fresh, id), by, effects)
            }
            AccountCommand::Issue { presented, token, quota, by } => {
                self.issue(moment, presented, token, quota, by, effects)
            }
            AccountCommand::Admit { origin, subject, name, account, token, quota, action, by } => {
                let account = stranger((origin, subject), name, account, by.at);
                self.admit(moment, account, token, quota, (action, by), effects)
            }
            AccountCommand::Revoke { account, scope, token, by } => {
                self.revoke(account, &scope, token, by, effects)
            }
            AccountCommand::Used { token, at } => self.used(moment, token, at, effects),
            AccountCommand::Tokens { account, scope, at } => {
                self.tokens(account, &scope, at, effects)
            }
            AccountCommand::Accounts(selection) => {
                (AccountOutcome::Accounts(self.rows.accounts(&selection)), effects.last())
            }
            AccountCommand::Account(id) => {
                let found = self.rows.account(id).cloned();
                let outcome = found.map_or(AccountOutcome::NotFound, AccountOutcome::Account);
                (outcome, self.rows.account_depends_on(id))
            }
            AccountCommand::Change { account, change, by } => {
                self.change(account, change, by, effects)
            }
            AccountCommand::Note(entry) => (AccountOutcome::Noted, effects.record(entry)),
        };
        effects.answer(ticket, outcome, depends_on);
    }

    /// Nobody knows the fresh token. A rotation is undone, because the account would be locked
    /// out; any other new token ends.
    fn undelivered(&mut self, outcome: AccountOutcome, effects: &mut Effects<AccountOutcome>) {
        let (replaced, fresh) = match outcome {
            AccountOutcome::Rotated { replaced, fresh } => (Some(replaced), fresh),
            AccountOutcome::Issued(_, fresh) => (None, fresh),
            AccountOutcome::Revoked(_)
            | AccountOutcome::Tokens(_)
            | AccountOutcome::Accounts(_)
            | AccountOutcome::Account(_)
            | AccountOutcome::UnknownToken
            | AccountOutcome::NotFound
            | AccountOutcome::Exceeds
            | AccountOutcome::OverQuota(_)
            | AccountOutcome::Disabled(_)
            | AccountOutcome::NotAdmin
            | AccountOutcome::NoRoom
            | AccountOutcome::Noted => return,
        };
        // Undone already, if it was the store that refused it.
        if self.rows.token(&fresh.hash).is_none() {
            return;
        }
        self.rows.drop_token(fresh.hash, effects);
        if let Some(replaced) = replaced {
            self.rows.set_token(replaced, effects);
        }
        let by = Provenance {
            who: Who::Server,
            from: AuditText::truncated(""),
            request: AuditText::truncated(""),
            at: fresh.created_at,
        };
        let detail = "the answer with this token reached nobody";
        effects.note(by, Action::TokenRevoke, &fresh.id.to_string(), detail);
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn on_deadline(&mut self, _: Instant, _: &mut Effects<AccountOutcome>) {}

    fn settle(&mut self, durable: Seq) {
        self.rows.settle(durable);
    }

    fn rewind(&mut self, durable: Seq) {
        self.rows.rewind(durable);
    }

    fn close(&mut self, _: &mut Effects<AccountOutcome>) {}
}

/// The account of somebody who has never been here.
fn stranger(
    (origin, subject): (Origin, Subject),
    name: AccountName,
    id: AccountId,
    created_at: WallTime,
) -> Account {
    Account {
        id,
        origin,
        subject,
        name,
        role: Role::Member,
        standing: Standing::Enabled,
        allowance: Allowance::default(),
        created_at,
    }
}
