//! One machine, its disk, and all that a test asks of it.

use crate::common::{account, at};
use octostore_actors::{
    domain::{
        Effects, Machine, Moment, Record, RecordKey, Room, Ticket,
        account::{
            Account, AccountCommand, AccountMachine, AccountOutcome, AccountRecord, Allowance,
            Change, NewToken, Origin, Role, Standing, Subject, Token, TokenName, TokenSource,
            TokenState, scope::Scope,
        },
        audit::{Action, AuditEntry, AuditText, Provenance, Who},
        page::Selection,
        values::{AccountName, Quota, TokenHash, TokenId, WallTime},
    },
    progress::Seq,
};
use std::collections::HashMap;

pub fn hash(number: u8) -> TokenHash {
    TokenHash::from_bytes([number; 32])
}

pub fn id(number: u8) -> TokenId {
    TokenId::from_bytes([number; 16])
}

pub fn wall(seconds: i64) -> WallTime {
    WallTime::from_millis(seconds * 1000)
}

pub fn scope(text: &str) -> Scope {
    if text == "*" { Scope::Everything } else { text.parse().unwrap() }
}

/// By token `number`, at `seconds`.
pub fn by(seconds: i64) -> Provenance {
    Provenance {
        who: Who::Token(account(1), id(1)),
        from: AuditText::truncated("192.0.2.1"),
        request: AuditText::truncated("r-1"),
        at: wall(seconds),
    }
}

pub fn person(number: u8) -> Account {
    let name = AccountName::new(&format!("person-{number}")).unwrap();
    Account {
        id: account(number),
        origin: Origin::Static,
        subject: Subject::from(&name),
        name,
        role: Role::Member,
        standing: Standing::Enabled,
        allowance: Allowance::default(),
        created_at: wall(0),
    }
}

/// The live token `number` of account `of`.
pub fn token(number: u8, of: u8, source: TokenSource, scope: Scope) -> Token {
    Token {
        hash: hash(number),
        id: id(number),
        account: account(of),
        name: TokenName::new("a token").unwrap(),
        source,
        scope,
        created_at: wall(0),
        expires_at: None,
        last_used_at: None,
        state: TokenState::Live,
    }
}

/// The token `number`, to be made.
pub fn asked(number: u8, scope: Option<&str>, expires: Option<i64>) -> NewToken {
    NewToken {
        hash: hash(number),
        id: id(number),
        name: TokenName::new("a new token").unwrap(),
        source: TokenSource::Issued,
        scope: scope.map(self::scope),
        expires_at: expires.map(wall),
    }
}

pub fn issue(presented: u8, token: NewToken, seconds: i64) -> AccountCommand {
    let quota = Quota::new(3);
    AccountCommand::Issue { presented: hash(presented), token, quota, by: by(seconds) }
}

pub fn rotate(presented: u8, fresh: u8, seconds: i64) -> AccountCommand {
    AccountCommand::Rotate {
        presented: hash(presented),
        fresh: hash(fresh),
        id: id(fresh),
        by: by(seconds),
    }
}

pub fn revoke(of: u8, scope: Scope, number: u8) -> AccountCommand {
    AccountCommand::Revoke { account: account(of), scope, token: id(number), by: by(1) }
}

/// Signing in as what `subject` of GitHub is, called `name` now.
pub fn sign_in(subject: &str, name: &str, fresh: u8, number: u8, seconds: i64) -> AccountCommand {
    AccountCommand::Admit {
        origin: Origin::GitHub,
        subject: Subject::new(subject).unwrap(),
        name: AccountName::new(name).unwrap(),
        account: account(fresh),
        token: NewToken { source: TokenSource::SignIn, ..asked(number, None, None) },
        quota: Quota::new(2),
        action: Action::SignIn,
        by: by(seconds),
    }
}

/// Whoever has the key changes account `number`.
pub fn change(number: u8, change: Change) -> AccountCommand {
    let by = Provenance { who: Who::AdminKey, ..by(1) };
    AccountCommand::Change { account: account(number), change, by }
}

/// Account `asker` changes account `number`.
pub fn change_by(asker: u8, number: u8, change: Change) -> AccountCommand {
    let by = Provenance { who: Who::Token(account(asker), id(asker)), ..by(1) };
    AccountCommand::Change { account: account(number), change, by }
}

pub struct World {
    pub machine: AccountMachine,
    pub effects: Effects<AccountOutcome>,
    pub room: Room,
    /// What the audit log says, in order.
    pub audit: Vec<AuditEntry>,
    tickets: u64,
    disk: HashMap<RecordKey, AccountRecord>,
    durable: Seq,
}

impl World {
    /// Account 1 with the configured token 1, which may do everything.
    pub fn new() -> Self {
        let mut disk = HashMap::new();
        for record in [
            AccountRecord::Account(person(1)),
            AccountRecord::Token(token(1, 1, TokenSource::Static, Scope::Everything)),
        ] {
            disk.insert(record.key(), record);
        }
        Self::of(disk)
    }

    fn of(disk: HashMap<RecordKey, AccountRecord>) -> Self {
        let (mut accounts, mut tokens) = (Vec::new(), Vec::new());
        for record in disk.values() {
            match record {
                AccountRecord::Account(account) => accounts.push(account.clone()),
                AccountRecord::Token(token) => tokens.push(token.clone()),
                AccountRecord::NoToken(_) => {}
            }
        }
        Self {
            machine: AccountMachine::new(accounts, tokens),
            effects: Effects::default(),
            room: Room::Available,
            audit: Vec::new(),
            tickets: 0,
            disk,
            durable: Seq::NONE,
        }
    }

    /// Another token on disk.
    pub fn with(mut self, token: Token) -> Self {
        self.disk.insert(RecordKey::Token(token.hash), AccountRecord::Token(token));
        Self::of(self.disk)
    }

    /// Asks, and sees to it that there is one answer, with the ticket of the question.
    pub fn ask(&mut self, command: AccountCommand) -> (AccountOutcome, Seq) {
        let ticket = Ticket::new(self.tickets);
        self.tickets += 1;
        let moment = Moment { now: at(0), room: self.room };
        self.machine.apply(moment, ticket, command, &mut self.effects);
        let mut answers: Vec<_> = self.effects.take_answers().collect();
        assert_eq!(answers.len(), 1, "every command has one answer");
        let answer = answers.remove(0);
        assert_eq!(answer.ticket, ticket);
        assert!(answer.depends_on <= self.effects.last(), "it waits for what will never come");
        assert_eq!(self.machine.next_deadline(), None);
        (answer.outcome, answer.depends_on)
    }

    pub fn outcome(&mut self, command: AccountCommand) -> AccountOutcome {
        self.ask(command).0
    }

    pub fn depends_on(&mut self, command: AccountCommand) -> Seq {
        self.ask(command).1
    }

    /// Account `number` as it is now.
    pub fn account(&mut self, number: u8) -> Account {
        match self.outcome(AccountCommand::Account(account(number))) {
            AccountOutcome::Account(account) => account,
            other => panic!("{other:?}"),
        }
    }

    /// All accounts, in the order of their names.
    pub fn accounts(&mut self) -> Vec<Account> {
        match self.outcome(AccountCommand::Accounts(Selection::default())) {
            AccountOutcome::Accounts(page) => page.items,
            other => panic!("{other:?}"),
        }
    }

    /// The token that is made.
    pub fn issued(&mut self, command: AccountCommand) -> Token {
        match self.outcome(command) {
            AccountOutcome::Issued(_, token) => token,
            other => panic!("{other:?}"),
        }
    }

    /// Whether token `number` may make another at `seconds`: then it lives.
    pub fn is_live(&mut self, number: u8, seconds: i64) -> bool {
        let command = rotate(number, 250, seconds);
        let (outcome, _) = self.ask(command);
        if let AccountOutcome::Rotated { .. } = outcome {
            self.machine.undelivered(outcome, &mut self.effects);
            return true;
        }
        assert_eq!(outcome, AccountOutcome::UnknownToken);
        false
    }

    /// The numbers of the tokens of account `of` that live at `seconds`.
    pub fn listed(&mut self, of: u8, seconds: i64) -> Vec<u8> {
        let command = AccountCommand::Tokens {
            account: account(of),
            scope: Scope::Everything,
            at: wall(seconds),
        };
        match self.outcome(command) {
            AccountOutcome::Tokens(tokens) => {
                tokens.iter().map(|token| token.hash.as_bytes()[0]).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Whether there is a row on disk for token `number`.
    pub fn remembers(&self, number: u8) -> bool {
        self.disk.contains_key(&RecordKey::Token(hash(number)))
    }

    /// Everything so far is on disk.
    pub fn settle(&mut self) {
        for record in self.effects.take_records() {
            match record {
                Record::Account(AccountRecord::NoToken(hash)) => {
                    self.disk.remove(&RecordKey::Token(hash));
                }
                Record::Account(record) => drop(self.disk.insert(record.key(), record)),
                Record::Audit(entry) => self.audit.push(entry),
                other => panic!("no row of this domain: {other:?}"),
            }
        }
        self.durable = self.effects.last();
        self.machine.settle(self.durable);
    }

    /// The disk was full: nothing since the last [`World::settle`] ever was.
    pub fn refuse(&mut self) {
        self.effects.take_records();
        self.machine.rewind(self.durable);
    }

    /// The process is gone; another starts from the disk.
    pub fn crash(&mut self) {
        let (disk, audit) = (std::mem::take(&mut self.disk), std::mem::take(&mut self.audit));
        *self = Self { audit, ..Self::of(disk) };
    }
}
