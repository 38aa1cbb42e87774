//! The server in one thread: the shipped machines in the shipped actors, the shipped persistence
//! actor over the shipped store, each stepped by hand. What is missing of `octostore` is what lies
//! in front of the mailboxes: sockets, HTTP and the runtime.

mod ask;

pub use ask::{Actors, Answer, Ask, Domain, Turned, Wait, Way};

use crate::{
    breaks::{Break, BrokenStore},
    disk::SimulatedFiles,
    time::Clocks,
};
use ask::Running;
use octostore::{
    auth::{Configured, Directory, OnDisk, Provisioned, PublishingStore, provision},
    clock::{BootId, Calendar, TimeSource},
    settings::Quotas,
    store::{OpenError, Retention, SqliteStore, open_on},
};
use octostore_actors::{
    actor::{Actor, Flow, NotTaken},
    commit::{AuditLog, JournalMessage, Persistence, Store, StoreFailure, Verdict},
    domain::{
        Machine, Record,
        account::{AccountMachine, AccountRecord},
        config::ConfigMachine,
        flag::FlagMachine,
        limiter::LimitMachine,
        lock::{LockMachine, LockRecord, Tokens},
    },
    mailbox::{Address, Mailbox, mailbox},
    time::Clock,
};
use std::{num::NonZeroUsize, path::Path, sync::Arc};

/// How many turns may wait for the persistence actor: so few that actors find no place there now and
/// then, and keep what they have decided until there is one.
const JOURNAL_CAPACITY: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// After so many turns the journal must be stepped.
const MOST_TURNS: usize = 24;

/// After so many turns a server that was told to stop has hung.
const MOST_LAST_TURNS: usize = 200;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How many messages a mailbox holds.
    pub mailbox: NonZeroUsize,
    /// How many fencing tokens are reserved at a time, once the server runs; `None` is what the
    /// shipped server reserves, which no scenario uses up.
    pub token_block: Option<u64>,
    /// What everybody may have.
    pub quotas: Quotas,
    /// How long the audit log keeps its entries.
    pub retention: Retention,
    /// What is in the configuration: `name:token,…`.
    pub tokens: String,
    /// The accounts and tokens that are there from the beginning: they are written if they are not
    /// on disk.
    pub first: Vec<AccountRecord>,
    /// What is broken on purpose.
    pub broken: Option<Break>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The store does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The first commit failed.
    #[error("the first commit failed: {0}")]
    Write(String),
}

/// A server that runs.
pub struct Server {
    /// Its actors.
    pub actors: Actors,
    /// What requests are authenticated against.
    pub directory: Arc<Directory>,
    /// How the audit log is read.
    pub audit: AuditLog,
    /// What tells handlers the wall clock.
    pub calendar: Calendar,
    journal: Box<dyn Journal>,
    turns: usize,
}

/// The persistence actor, over whichever store.
trait Journal {
    fn step(&mut self) -> Result<(), StoreFailure>;
    fn rest(&mut self) -> Result<(), StoreFailure>;
    fn close(self: Box<Self>) -> Result<(), StoreFailure>;
}

/// A store that can be closed.
pub trait Close: Store {
    /// As [`SqliteStore::close`].
    fn close(self) -> Result<(), StoreFailure>;
}

impl Close for SqliteStore {
    fn close(self) -> Result<(), StoreFailure> {
        Self::close(self)
    }
}

impl<S: Close> Journal for Persistence<PublishingStore<S>> {
    fn step(&mut self) -> Result<(), StoreFailure> {
        Self::step(self)
    }

    fn rest(&mut self) -> Result<(), StoreFailure> {
        Self::rest(self)
    }

    fn close(self: Box<Self>) -> Result<(), StoreFailure> {
        self.into_store().into_inner().close()
    }
}

impl Server {
    /// Starts a server on the database at `path`, as the shipped one starts.
    ///
    /// # Errors
    /// See [`NotStarted`].
    pub fn start(
        setup: &Setup,
        files: &SimulatedFiles,
        path: &Path,
        boot: &BootId,
        clocks: &Arc<Clocks>,
    ) -> Result<Self, NotStarted> {
        let (mut store, recovered) = open_on(files, path, boot, clocks.now())?;
        let calendar = Calendar::new(Arc::clone(clocks) as Arc<dyn TimeSource>);
        let on_disk = OnDisk { accounts: recovered.accounts, tokens: recovered.bearers };
        let accounts = provisioned(setup, &mut store, on_disk, &calendar)?;
        let tokens = reserved(setup, &mut store, recovered.tokens)?;
        let store = store.with_retention(setup.retention);
        let directory =
            Arc::new(Directory::new(setup.quotas, &accounts.accounts, &accounts.tokens));

        let (journal, turns) = mailbox(JOURNAL_CAPACITY);
        let audit = AuditLog::new(journal.clone());
        let actors = ActorsToBe {
            journal,
            capacity: setup.mailbox,
            clock: Arc::clone(clocks) as Arc<dyn Clock>,
        };
        let actors = Actors {
            locks: actors.make(LockMachine::new(recovered.leases, tokens)),
            limits: actors.make(LimitMachine::new(recovered.limits, clocks.now())),
            flags: actors.make(FlagMachine::new(recovered.flags)),
            config: actors.make(ConfigMachine::new(recovered.config)),
            accounts: actors.make(AccountMachine::new(accounts.accounts, accounts.tokens)),
        };
        let journal = journal_over(store, setup.broken, &directory, turns);
        Ok(Self { actors, directory, audit, calendar, journal, turns: 0 })
    }

    /// One turn of an actor.
    pub fn turn(&mut self, domain: Domain) -> Turned {
        self.turns += 1;
        self.actors.turn(domain)
    }

    /// Asks one of the actors.
    ///
    /// # Errors
    /// It has no room for it, or has stopped.
    pub fn ask(&mut self, ask: Ask) -> Result<(Way, Wait), NotTaken> {
        let asked = self.actors.ask(ask);
        if let Ok((Way::AtOnce, _)) = asked {
            self.turns += 1;
        }
        asked
    }

    /// Whether the journal must be stepped before another turn.
    pub fn is_pressed(&self) -> bool {
        self.turns >= MOST_TURNS
    }

    /// Commits what is queued.
    ///
    /// # Errors
    /// The store failed: the server is to end.
    pub fn step(&mut self) -> Result<(), StoreFailure> {
        self.turns = 0;
        self.journal.step()
    }

    /// Lets the store tidy up, as when nothing comes for a while.
    ///
    /// # Errors
    /// The store failed: the server is to end.
    pub fn rest(&mut self) -> Result<(), StoreFailure> {
        self.journal.rest()
    }

    /// The persistence actor ends after a failure. The actors live on for a moment.
    pub fn without_journal(self) -> Actors {
        drop(self.journal);
        self.actors
    }

    /// Stops in good order: each actor, then the journal, then the file is closed. Nobody must
    /// wait for an answer any more.
    ///
    /// # Errors
    /// See [`NotStopped`].
    pub fn stop(mut self) -> Result<(), NotStopped> {
        for domain in Domain::ALL {
            // There is room in a mailbox that was emptied.
            self.turn(domain);
            self.step()?;
            let mut flow = self.turn(domain).flow;
            self.actors.stop(domain);
            let mut left = MOST_LAST_TURNS;
            while flow == Flow::Continue {
                flow = self.turn(domain).flow;
                self.step()?;
                left = left.checked_sub(1).ok_or(NotStopped::Hangs(domain))?;
            }
        }
        drop(self.actors);
        // As `Desk::run` does until the last actor is gone and nothing is queued.
        for _ in Domain::ALL {
            self.journal.step()?;
        }
        Ok(self.journal.close()?)
    }
}

/// Why a server did not stop in good order.
#[derive(Debug, thiserror::Error)]
pub enum NotStopped {
    /// The store failed.
    #[error(transparent)]
    Failed(#[from] StoreFailure),
    /// An actor did not end.
    #[error("the actor of {0:?} does not end")]
    Hangs(Domain),
}

/// What all actors are made with.
struct ActorsToBe {
    journal: Address<JournalMessage>,
    capacity: NonZeroUsize,
    clock: Arc<dyn Clock>,
}

impl ActorsToBe {
    fn make<M: Machine>(&self, machine: M) -> Running<M> {
        let (journal, clock) = (self.journal.clone(), Arc::clone(&self.clock));
        Running::new(Actor::new(machine, self.capacity, journal, clock))
    }
}

/// What a start makes of accounts and configuration, written down before anything is served.
fn provisioned(
    setup: &Setup,
    store: &mut SqliteStore,
    mut on_disk: OnDisk,
    calendar: &Calendar,
) -> Result<Provisioned, NotStarted> {
    let mut missing = Vec::new();
    if on_disk.accounts.is_empty() {
        missing.clone_from(&setup.first);
        for record in &setup.first {
            match record {
                AccountRecord::Account(account) => on_disk.accounts.push(account.clone()),
                AccountRecord::Token(token) => on_disk.tokens.push(token.clone()),
                AccountRecord::NoToken(_) => {}
            }
        }
    }
    let configured = Configured::parse_list(&setup.tokens)
        .map_err(|error| NotStarted::Write(error.to_string()))?;
    let done = provision(on_disk, &configured, false, calendar.wall());
    missing.extend(done.records.iter().cloned());
    let records: Vec<Record> = missing.into_iter().map(Record::from).collect();
    if !records.is_empty() {
        write(store, &records)?;
    }
    Ok(done)
}

/// The fencing tokens that may be granted: those that the start has reserved, or a block of another
/// size.
fn reserved(
    setup: &Setup,
    store: &mut SqliteStore,
    reserved: Tokens,
) -> Result<Tokens, NotStarted> {
    let Some(block) = setup.token_block else { return Ok(reserved) };
    let last = reserved.last();
    let mark = last.saturating_add(block);
    write(store, &[Record::Lock(LockRecord::TokenMark(mark))])?;
    Ok(Tokens::new(last, mark, block))
}

fn write(store: &mut SqliteStore, records: &[Record]) -> Result<(), NotStarted> {
    match store.commit(records) {
        Verdict::Committed => Ok(()),
        Verdict::NoRoom => Err(NotStarted::Write("the disk is full".to_owned())),
        Verdict::Unknown(failure) => Err(NotStarted::Write(failure.to_string())),
    }
}

fn journal_over(
    store: SqliteStore,
    broken: Option<Break>,
    directory: &Arc<Directory>,
    turns: Mailbox<JournalMessage>,
) -> Box<dyn Journal> {
    let directory = Arc::clone(directory);
    match broken {
        Some(broken) => {
            let store = BrokenStore::new(store, broken);
            Box::new(Persistence::new(PublishingStore::new(store, directory), turns))
        }
        None => Box::new(Persistence::new(PublishingStore::new(store, directory), turns)),
    }
}
