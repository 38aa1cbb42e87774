//! The process: what it is made of, and the order in which that stops.
//!
//! Stopping goes the way a request goes: first nobody is let in any more, then every connection
//! answers what it has taken, then each actor handles what is queued, then the persistence actor
//! commits the last of it, then the file is closed.
mod first_accounts;
mod limits;
#[cfg(test)]
pub(crate) mod tests;

pub use crate::traces::TracesError;
pub use first_accounts::token_path;
pub use limits::Limits;

use crate::{
    alone::Alone,
    auth::{
        Directory, Gate, OnDisk, PublishingStore,
        device::{Devices, Tickets},
        outbound::Outbound,
        provision,
        sign_in::{Providers, attempt::Attempts},
        web_origin::WebOrigin,
        workload::Workload,
    },
    backups::Backups,
    batching::{Outbox, RuntimeAlarm, Waiters},
    clock::{BootId, Calendar, TimeSource},
    http::{Listener, Route, Server},
    metrics::{
        Counts,
        exposition::{Exposition, Sources},
        store::StoreWatch,
    },
    settings::{Settings, SettingsError},
    store::{self, OpenError, SqliteStore},
    threads::{Actors, Journal, Threads},
    traces::Traces,
};
use first_accounts::{warn_if_nobody_can_get_in, write_down};
use octostore_actors::{
    commit::{AuditLog, StoreFailure},
    domain::{
        account::AccountMachine, config::ConfigMachine, flag::FlagMachine, limiter::LimitMachine,
        lock::LockMachine, values::AccountId,
    },
    snapshot::Snapshots,
    time::Clock,
};
use std::{
    io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;

/// How long connections may take to answer what they have taken when the server stops.
const DRAIN: Duration = Duration::from_secs(3);

/// The same when the store has failed: only refusals are left to be sent.
const DRAIN_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// What a request handler can reach.
pub struct Service {
    /// The lock actor.
    pub locks: Outbox<LockMachine>,
    /// The limiter actor.
    pub limiters: Outbox<LimitMachine>,
    /// The flag actor.
    pub flags: Outbox<FlagMachine>,
    /// The config actor.
    pub config: Outbox<ConfigMachine>,
    /// The account actor.
    pub accounts: Outbox<AccountMachine>,
    /// The audit log.
    pub audit: AuditLog,
    /// Copies of everything.
    pub backups: Backups,
    /// Who a token stands for.
    pub directory: Arc<Directory>,
    /// What everybody who wants in has to pass.
    pub gate: Gate,
    /// The providers that people sign in with.
    pub providers: Providers,
    /// The sign-ins that have begun and not ended.
    pub attempts: Attempts,
    /// The terminals that wait to be let in.
    pub devices: Devices,
    /// What whoever is asked about one of them answers with.
    pub tickets: Tickets,
    /// Where browsers find this server, as far as the settings say.
    pub web_origin: Option<WebOrigin>,
    /// Which tokens of others are traded for ours.
    pub workload: Workload<Outbound>,
    /// How instants print.
    pub calendar: Calendar,
    /// The bounds of requests.
    pub limits: Limits,
    /// What is counted.
    pub counts: Arc<Counts>,
    /// How that is shown.
    pub exposition: Exposition,
    /// Where traces go.
    pub traces: Traces,
    /// Those who wait for the disk.
    pub waiters: Arc<Waiters>,
    ready: AtomicBool,
}

impl Service {
    /// Whether requests are welcome.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// How an account is called.
    pub fn account_name(&self, account: AccountId) -> String {
        let name = self.directory.name(account);
        debug_assert!(name.is_some(), "a lock is held by an account that is not");
        name.map_or_else(String::new, |name| name.to_string())
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The database cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The first commit failed.
    #[error("the database cannot be written: {0}")]
    Write(String),
    /// The token of the first account cannot be put down.
    #[error(
        "the token of the account admin cannot be written to {path}: {source}: make room for a file there, or give another --database"
    )]
    AdminToken {
        /// Where to.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The kernel does not say which boot this is.
    #[error("/proc cannot be read, and leases cannot be timed without it: {0}")]
    Boot(io::Error),
    /// Traces cannot be sent to where they should.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The system has no thread to give.
    #[error("a thread cannot be started: {0}")]
    Thread(io::Error),
}

/// Why a server ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An actor came upon what cannot be.
    #[error(
        "the {actor} thread panicked: {message}; the process ends, so that nothing half-dead goes on"
    )]
    Panicked {
        /// Its name.
        actor: &'static str,
        /// What it said.
        message: String,
    },
    /// A commit failed.
    #[error("{0}; what was acknowledged is on disk, the rest was answered outcome_unknown")]
    Store(#[from] StoreFailure),
}

/// A server that runs.
pub struct App {
    service: Arc<Service>,
    server: Server,
    threads: Threads,
    failures: mpsc::UnboundedReceiver<Failure>,
    first_token: Option<PathBuf>,
}

impl App {
    /// Opens the store and begins to serve `listeners`, on the lease and wall clocks of `time`.
    /// Must be called on a tokio runtime with time and I/O.
    ///
    /// It reads the whole database, and waits for the disk: a runtime that has others to look after
    /// calls it with [`spawn_blocking`](tokio::task::spawn_blocking).
    ///
    /// # Errors
    /// See [`StartError`].
    ///
    /// # Panics
    /// If this is no tokio runtime, or one without time (`enable_time`, `enable_all`). Nothing has been
    /// opened then.
    pub fn start(
        settings: &Settings,
        listeners: Vec<Listener>,
        time: &Arc<dyn TimeSource>,
    ) -> Result<Self, StartError> {
        // Without time every connection would panic.
        drop(tokio::time::sleep(Duration::ZERO));
        let configured = settings.configured_tokens()?;
        let (file, outbound) = (settings.file()?, Outbound::new());
        let providers = settings.providers(&file, &outbound)?;
        let traces = Traces::from_environment(&outbound, time)?;
        let workload = Workload::new(file.trust, outbound, time.now());
        let boot = BootId::read().map_err(StartError::Boot)?;
        // Before anything is awaited: the process may be in another folder later.
        let database = std::path::absolute(&settings.database.0)
            .unwrap_or_else(|_| settings.database.0.clone());
        let (mut store, recovered) = store::open(&settings.database.0, &boot, time.now())?;
        let calendar = Calendar::new(Arc::clone(time));
        let lets_others_in = !providers.is_empty() || !workload.is_empty();
        let on_disk = OnDisk { accounts: recovered.accounts, tokens: recovered.bearers };
        let accounts = provision(on_disk, &configured, lets_others_in, calendar.wall());
        if !lets_others_in && settings.usable_admin_key().is_none() {
            warn_if_nobody_can_get_in(&accounts, calendar.wall());
        }
        let first_token = write_down(&database, &mut store, &accounts)?;
        announce(&mut store, &listeners);
        let main_file = store.main_file();
        let (counts, clock) =
            (Arc::new(Counts::new(Route::TEMPLATES)), Arc::clone(time) as Arc<dyn Clock>);
        let watch =
            StoreWatch::new(Arc::clone(&counts.store), traces.commits(), Arc::clone(&clock));
        let store = store.with_retention(settings.audit_retention()).watched_by(watch);

        let directory =
            Arc::new(Directory::new(settings.quotas(), &accounts.accounts, &accounts.tokens));
        let (sender, failures) = mpsc::unbounded_channel();
        let alarm = Arc::new(RuntimeAlarm::new());
        let waiters = Arc::clone(alarm.waiters());
        let mut threads = Threads::new(alarm, sender);
        let capacity =
            NonZeroUsize::new(settings.mailbox_capacity as usize).unwrap_or(NonZeroUsize::MIN);
        let publishing = PublishingStore::new(store, Arc::clone(&directory));
        let Journal { address: journal, desk, watched } =
            threads.start_journal(publishing, capacity)?;
        let alone = Arc::new(Alone::new(desk, Arc::clone(&counts), Arc::clone(&clock)));
        let audit = AuditLog::new(journal.clone());
        let watched = vec![watched];
        let backups = Backups::new(
            Snapshots::new(journal.clone()),
            main_file,
            store::folder_of(&database).to_owned(),
        );
        let mut actors = Actors { threads: &mut threads, journal, capacity, clock, alone, watched };
        let locks = actors.start("locks", LockMachine::new(recovered.leases, recovered.tokens))?;
        let limiters = actors.start("limits", LimitMachine::new(recovered.limits, time.now()))?;
        let flags = actors.start("flags", FlagMachine::new(recovered.flags))?;
        let config = actors.start("config", ConfigMachine::new(recovered.config))?;
        let accounts =
            actors.start("accounts", AccountMachine::new(accounts.accounts, accounts.tokens))?;
        let sources = Sources {
            counts: Arc::clone(&counts),
            actors: actors.watched.into(),
            files: store::files_of(&database),
        };
        let service = Arc::new(Service {
            locks,
            limiters,
            flags,
            config,
            accounts,
            audit,
            backups,
            directory,
            gate: Gate::new(settings),
            web_origin: settings.public_url.clone().or_else(|| providers.web_origin()),
            providers,
            attempts: Attempts::default(),
            devices: Devices::new(Duration::from_secs(settings.device_code_seconds.into())),
            tickets: Tickets::default(),
            workload,
            calendar,
            limits: Limits::of(settings),
            counts,
            exposition: Exposition::new(sources),
            traces,
            waiters,
            ready: AtomicBool::new(true),
        });
        let server = Server::start(&service, listeners);
        Ok(Self { service, server, threads, failures, first_token })
    }

    /// Where people go to sign in; a path alone where no setting says at which address.
    pub fn sign_in_pages(&self) -> Vec<String> {
        self.service.providers.pages().collect()
    }

    /// The file with a token that opens something, from the first start on the database at
    /// `database` or from an earlier one: for whoever wants to try it out.
    pub fn token_to_try(&self, database: &Path) -> Option<PathBuf> {
        let path = token_path(database);
        let token = std::fs::read_to_string(&path).ok()?;
        let now = self.service.calendar.wall();
        self.service.directory.authenticate(token.trim().as_bytes(), now).ok()?;
        Some(std::path::absolute(&path).unwrap_or(path))
    }

    /// The file with the token of the account `admin`, if this is a first start and has made that.
    pub fn first_token(&self) -> Option<&Path> {
        self.first_token.as_deref()
    }

    /// Serves until `shutdown` is done, then stops in good order: what was taken is answered,
    /// what was decided is on disk.
    ///
    /// # Errors
    /// The server ended by itself. Whoever waited was told that the outcome is unknown.
    pub async fn run_until(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
        let failure = tokio::select! {
            () = shutdown => None,
            failure = self.failures.recv() => failure,
        };
        self.service.ready.store(false, Ordering::Relaxed);
        self.server.stop(if failure.is_none() { DRAIN } else { DRAIN_AFTER_FAILURE }).await;
        // The handles go with the service; the threads end one after the other.
        let service = self.service;
        self.threads.stop(move || service.traces.stop()).await;
        failure.or_else(|| self.failures.try_recv().ok()).map_or(Ok(()), Err)
    }
}

/// Says where it listens, so that commands on this machine find the server.
fn announce(store: &mut SqliteStore, listeners: &[Listener]) {
    let announced = listeners.iter().filter_map(Listener::announced);
    let addresses: Vec<String> = announced.map(|address| address.to_string()).collect();
    if let Err(error) = store.announce(&addresses) {
        tracing::warn!(%error, "the lock file does not say where this server listens");
    }
}
