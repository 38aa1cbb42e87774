//! `octostore token …`: bearer tokens, by whoever may write the database, while no server runs.

use super::{CommandError, Database, this_boot, wall_clock};
use crate::{
    auth::BearerToken,
    clock::SystemClock,
    ids,
    store::{self, OpenError, Recovered, SqliteStore},
};
use clap::Subcommand;
use jiff::Timestamp;
use octostore_actors::{
    commit::{Store, StoreFailure, Verdict},
    domain::{
        Record,
        account::{
            Account, AccountRecord, Token, TokenName, TokenSource, TokenState, scope::Scope,
        },
        audit::{Action, AuditEntry, AuditOutcome, AuditText, Provenance, Who},
        lock::LockRecord,
        values::WallTime,
    },
    time::Clock,
};

#[derive(Debug, clap::Args)]
pub struct TokenArguments {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token, and print it, once
    Create(CreateArguments),
    /// List tokens
    List(Database),
    /// End a token for good
    Revoke(RevokeArguments),
}

#[derive(Debug, clap::Args)]
struct CreateArguments {
    #[command(flatten)]
    database: Database,

    /// Of which account: its name or its id.
    #[arg(long, value_name = "ACCOUNT", default_value = "admin")]
    account: String,

    /// What it is for.
    #[arg(long, value_name = "TEXT", default_value = "by hand")]
    name: String,

    /// What it may do, as in locks:write:deploy/; several times for several. Without this, whatever
    /// its account may.
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,

    /// After how many days it ends. Without this it lasts until it is revoked.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: Option<u32>,
}

#[derive(Debug, clap::Args)]
struct RevokeArguments {
    /// Its id, as the list shows it.
    id: String,

    #[command(flatten)]
    database: Database,
}

pub fn run(arguments: &TokenArguments) -> Result<String, CommandError> {
    match &arguments.command {
        TokenCommand::Create(arguments) => create(arguments),
        TokenCommand::List(database) => list(database),
        TokenCommand::Revoke(arguments) => revoke(arguments),
    }
}

fn create(arguments: &CreateArguments) -> Result<String, CommandError> {
    let wrong = |argument, why: String| CommandError::Argument { argument, why };
    let name = TokenName::new(&arguments.name).map_err(|why| wrong("--name", why.to_string()))?;
    let scope = match &arguments.scope[..] {
        [] => Scope::Everything,
        scopes => scopes.join(" ").parse().map_err(
            |why: octostore_actors::domain::account::scope::InvalidScope| {
                wrong("--scope", why.to_string())
            },
        )?,
    };
    let open = Open::database(&arguments.database, "POST /auth/tokens")?;
    let account = match open.account(&arguments.account) {
        Ok(account) => account.id,
        Err(error) => {
            open.write(Vec::new())?;
            return Err(error);
        }
    };
    let now = wall_clock();
    let secret = BearerToken::generate();
    let token = Token {
        hash: secret.hash(),
        id: ids::token_id(),
        account,
        name,
        source: TokenSource::Issued,
        scope,
        created_at: now,
        expires_at: arguments.days.map(|days| now.plus_seconds(u64::from(days) * 86_400)),
        last_used_at: None,
        state: TokenState::Live,
    };
    let note = note(Action::TokenCreate, &token, now);
    open.write(vec![AccountRecord::Token(token).into(), note.into()])?;
    Ok(format!("{}\n", secret.reveal()))
}

fn list(database: &Database) -> Result<String, CommandError> {
    let open = Open::database(database, "GET /auth/tokens")?;
    let now = wall_clock();
    let mut tokens: Vec<&Token> =
        open.recovered.bearers.iter().filter(|token| token.is_live(now)).collect();
    tokens.sort_by_key(|token| (token.account, token.created_at));
    let mut text = format!("{:36}  {:20}  {:20}  {:20}  SCOPE\n", "ID", "ACCOUNT", "NAME", "ENDS");
    for token in tokens {
        let account = open.recovered.accounts.iter().find(|account| account.id == token.account);
        let end = token.expires_at.map_or("never".to_owned(), print);
        text += &format!(
            "{:36}  {:20}  {:20}  {end:20}  {}\n",
            token.id.to_string(),
            account.map_or("", |account| account.name.as_str()),
            token.name.as_str(),
            token.scope
        );
    }
    open.write(Vec::new())?;
    Ok(text)
}

fn revoke(arguments: &RevokeArguments) -> Result<String, CommandError> {
    let open = Open::database(&arguments.database, "DELETE /auth/tokens/ID")?;
    let found = open.recovered.bearers.iter().find(|token| token.id.to_string() == arguments.id);
    let Some(token) = found.filter(|token| token.state == TokenState::Live).cloned() else {
        open.write(Vec::new())?;
        return Err(CommandError::NoToken(arguments.id.clone()));
    };
    let note = note(Action::TokenRevoke, &token, wall_clock());
    let record = match token.source {
        // It stays on record, so that no configuration brings it back.
        TokenSource::Static => AccountRecord::Token(Token { state: TokenState::Dead, ..token }),
        TokenSource::Issued | TokenSource::SignIn | TokenSource::Workload => {
            AccountRecord::NoToken(token.hash)
        }
    };
    open.write(vec![record.into(), note.into()])?;
    Ok(format!("{} is revoked\n", arguments.id))
}

/// A database that no server has.
struct Open {
    store: SqliteStore,
    recovered: Recovered,
}

impl Open {
    fn database(database: &Database, by_http: &str) -> Result<Self, CommandError> {
        let path = &database.database.0;
        if !path.exists() {
            return Err(CommandError::NoDatabase(path.clone()));
        }
        match store::open(path, &this_boot()?, SystemClock.now()) {
            Ok((store, recovered)) => Ok(Self { store, recovered }),
            Err(OpenError::InUse { path, holder }) => {
                let at = holder.addresses.first().map_or("http://…", String::as_str);
                let pid = holder.in_brackets();
                Err(CommandError::ServerRuns(format!(
                    "{} is in use by another octostore{pid}: ask that one, with {by_http} at {at}, or \
                     stop it first",
                    path.display()
                )))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The account of this id, or of this name. Others may choose what they are called, but not their id.
    fn account(&self, wanted: &str) -> Result<&Account, CommandError> {
        let accounts = &self.recovered.accounts;
        if let Some(account) = accounts.iter().find(|account| account.id.to_string() == wanted) {
            return Ok(account);
        }
        let mut found = accounts.iter().filter(|account| account.name.as_str() == wanted);
        match (found.next(), found.next()) {
            (Some(account), None) => Ok(account),
            (Some(one), Some(other)) => Err(CommandError::Account(format!(
                "several accounts are called {wanted}, as {} and {}: give --account ID",
                one.id, other.id
            ))),
            (None, _) => {
                let names: Vec<&str> =
                    accounts.iter().map(|account| account.name.as_str()).take(10).collect();
                Err(CommandError::Account(format!(
                    "no account is called {wanted}; there are: {}",
                    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
                )))
            }
        }
    }

    /// Writes `records` in one transaction, and leaves the database as a clean stop does.
    fn write(mut self, mut records: Vec<Record>) -> Result<(), CommandError> {
        // The tokens that the start has reserved are not lost.
        records.push(LockRecord::TokenMark(self.recovered.tokens.last()).into());
        let failed = |failure: StoreFailure| CommandError::Store(failure.to_string());
        match self.store.commit(&records) {
            Verdict::Committed => self.store.close().map_err(failed),
            Verdict::NoRoom => Err(CommandError::Store("the disk is full".to_owned())),
            Verdict::Unknown(failure) => Err(failed(failure)),
        }
    }
}

fn note(action: Action, token: &Token, now: WallTime) -> AuditEntry {
    AuditEntry {
        by: Provenance {
            who: Who::Server,
            from: AuditText::truncated("this machine"),
            request: AuditText::truncated("octostore-token"),
            at: now,
        },
        action,
        target: AuditText::truncated(&token.id.to_string()),
        outcome: AuditOutcome::Done,
        detail: Some(AuditText::truncated(&format!("{}, {}", token.name.as_str(), token.scope))),
    }
}

fn print(time: WallTime) -> String {
    Timestamp::from_millisecond(time.as_millis())
        .map_or_else(|_| String::new(), |time| format!("{time:.0}"))
}
