//! Accounts and their bearer tokens.
//!
//! What always holds: a live token belongs to one account; a token that was rotated away stays
//! on record as dead, so that no configuration brings it back.
//!
//! Looking a token up is not asked here: handlers read a view of what was committed. This
//! machine decides changes, one at a time, so that of two rotations of one token one wins.

use super::{
    Effects, Machine, Moment, RecordKey, Room, Table, Ticket, Unsettled,
    values::{AccountId, AccountName, TokenHash},
};
use crate::{progress::Seq, time::Instant};

/// What the account domain can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountCommand {
    /// Replace a token by a fresh one of the same account.
    Rotate {
        /// The token that asks, which will be dead.
        presented: TokenHash,
        /// The one that takes its place: new, and unlike any other.
        fresh: TokenHash,
    },
}

/// What the account domain answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountOutcome {
    /// The old token is dead, the fresh one lives.
    Rotated {
        /// The old one.
        presented: TokenHash,
        /// The fresh one.
        fresh: TokenHash,
    },
    /// The presented token is not alive (any more).
    UnknownToken,
    /// The store has no room for another token.
    NoRoom,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its identity.
    pub id: AccountId,
    /// Where it comes from; with `name`, what makes it one and the same over restarts.
    pub origin: Origin,
    /// How people call it: the `holder` of its locks.
    pub name: AccountName,
}

/// Where an account comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Named in the configuration.
    Static,
    /// Made by the server itself at its first start.
    Local,
}

/// A bearer token, known by its hash alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is known by.
    pub hash: TokenHash,
    /// Whose it is.
    pub account: AccountId,
    /// Where it comes from.
    pub source: TokenSource,
    /// Whether it opens anything.
    pub state: TokenState,
}

/// Where a token comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// The configuration: it lives while it is configured.
    Static,
    /// The server made it.
    Issued,
}

/// Whether a token opens anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// It does.
    Live,
    /// It was rotated away, and stays dead.
    Dead,
}

/// A row of the account domain as it must be on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountRecord {
    /// The account is so.
    Account(Account),
    /// The token is so.
    Token(Token),
    /// There is no such token.
    NoToken(TokenHash),
}

impl AccountRecord {
    /// What the record is the state of.
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Account(account) => RecordKey::Account(account.id),
            Self::Token(token) => RecordKey::Token(token.hash),
            Self::NoToken(hash) => RecordKey::Token(*hash),
        }
    }
}

/// The account domain.
#[derive(Debug, Default)]
pub struct AccountMachine {
    tokens: Table<TokenHash, Token>,
    unsettled: Unsettled<TokenHash, Token>,
}

impl AccountMachine {
    /// The machine as it was when `tokens` were what is on disk.
    pub fn new(tokens: impl IntoIterator<Item = Token>) -> Self {
        let tokens = tokens.into_iter().map(|token| (token.hash, token)).collect();
        Self { tokens, unsettled: Unsettled::default() }
    }

    fn rotate(
        &mut self,
        moment: Moment,
        presented: TokenHash,
        fresh: TokenHash,
        effects: &mut Effects<AccountOutcome>,
    ) -> (AccountOutcome, Seq) {
        let old = match self.tokens.get(&presented) {
            Some(old) if old.state == TokenState::Live => old.clone(),
            Some(_) | None => {
                return (AccountOutcome::UnknownToken, self.unsettled.depends_on(&presented));
            }
        };
        match moment.room {
            Room::Available => {}
            Room::Exhausted => return (AccountOutcome::NoRoom, Seq::NONE),
        }
        assert!(!self.tokens.contains_key(&fresh), "a fresh token is unlike any other");
        self.set(Token { state: TokenState::Dead, ..old.clone() }, effects);
        let issued = Token { hash: fresh, source: TokenSource::Issued, ..old };
        (AccountOutcome::Rotated { presented, fresh }, self.set(issued, effects))
    }

    fn set(&mut self, token: Token, effects: &mut Effects<AccountOutcome>) -> Seq {
        let seq = effects.record(AccountRecord::Token(token.clone()));
        let hash = token.hash;
        let before = self.tokens.insert(hash, token);
        self.unsettled.changed(seq, hash, before);
        seq
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
            AccountCommand::Rotate { presented, fresh } => {
                self.rotate(moment, presented, fresh, effects)
            }
        };
        effects.answer(ticket, outcome, depends_on);
    }

    /// Nobody knows the fresh token, so the account would be locked out: the rotation is undone.
    fn undelivered(&mut self, outcome: AccountOutcome, effects: &mut Effects<AccountOutcome>) {
        let (presented, fresh) = match outcome {
            AccountOutcome::Rotated { presented, fresh } => (presented, fresh),
            AccountOutcome::UnknownToken | AccountOutcome::NoRoom => return,
        };
        // Undone already, if it was the store that refused it.
        if !self.tokens.contains_key(&fresh) {
            return;
        }
        for (hash, state) in [(fresh, TokenState::Dead), (presented, TokenState::Live)] {
            if let Some(token) = self.tokens.get(&hash).cloned() {
                self.set(Token { state, ..token }, effects);
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn on_deadline(&mut self, _: Instant, _: &mut Effects<AccountOutcome>) {}

    fn settle(&mut self, durable: Seq) {
        self.unsettled.settle(durable);
    }

    fn rewind(&mut self, durable: Seq) {
        while let Some((hash, before)) = self.unsettled.pop_after(durable) {
            match before {
                Some(token) => self.tokens.insert(hash, token),
                None => self.tokens.remove(&hash),
            };
        }
    }

    fn close(&mut self, _: &mut Effects<AccountOutcome>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: TokenHash = TokenHash::from_bytes([1; 32]);
    const FRESH: TokenHash = TokenHash::from_bytes([2; 32]);
    const OTHER: TokenHash = TokenHash::from_bytes([3; 32]);

    fn machine() -> AccountMachine {
        AccountMachine::new([Token {
            hash: OLD,
            account: AccountId::from_bytes([9; 16]),
            source: TokenSource::Static,
            state: TokenState::Live,
        }])
    }

    fn rotate(
        machine: &mut AccountMachine,
        effects: &mut Effects<AccountOutcome>,
        presented: TokenHash,
        fresh: TokenHash,
    ) -> (AccountOutcome, Seq) {
        let moment = Moment { now: Instant::from_nanos(0), room: Room::Available };
        let command = AccountCommand::Rotate { presented, fresh };
        machine.apply(moment, Ticket::new(0), command, effects);
        let answer = effects.take_answers().next().unwrap();
        (answer.outcome, answer.depends_on)
    }

    fn is_live(machine: &AccountMachine, hash: TokenHash) -> bool {
        machine.tokens.get(&hash).is_some_and(|token| token.state == TokenState::Live)
    }

    #[test]
    fn of_two_rotations_of_one_token_one_wins() {
        let (mut machine, mut effects) = (machine(), Effects::default());
        let (first, rotated) = rotate(&mut machine, &mut effects, OLD, FRESH);
        assert_eq!(first, AccountOutcome::Rotated { presented: OLD, fresh: FRESH });
        let (second, seen) = rotate(&mut machine, &mut effects, OLD, OTHER);
        assert_eq!(second, AccountOutcome::UnknownToken);
        assert!(seen > Seq::NONE && seen <= rotated, "the refusal waits for what it saw");
        assert!(!is_live(&machine, OLD) && is_live(&machine, FRESH));
    }

    #[test]
    fn a_rotation_nobody_heard_of_is_undone() {
        let (mut machine, mut effects) = (machine(), Effects::default());
        let (outcome, _) = rotate(&mut machine, &mut effects, OLD, FRESH);
        machine.undelivered(outcome, &mut effects);
        assert!(is_live(&machine, OLD) && !is_live(&machine, FRESH));
    }

    #[test]
    fn a_rotation_the_store_refused_never_was() {
        let (mut machine, mut effects) = (machine(), Effects::default());
        rotate(&mut machine, &mut effects, OLD, FRESH);
        machine.rewind(Seq::NONE);
        assert!(is_live(&machine, OLD));
        assert!(!machine.tokens.contains_key(&FRESH));
    }
}
