//! The threads of the actors, and the order in which they stop.
#![expect(clippy::disallowed_methods, reason = "this file owns the threads")]

use crate::{
    alone::Alone,
    app::{Failure, StartError},
    auth::PublishingStore,
    batching::{Outbox, RuntimeAlarm},
    metrics::actors::{Board, WatchedActor},
    store::SqliteStore,
};
use octostore_actors::{
    actor::{Actor, Station},
    commit::{Desk, JournalMessage, Persistence},
    domain::Machine,
    mailbox::{Address, mailbox},
    reply::Alarm,
    time::Clock,
    watch::Watch,
};
use std::{
    any::Any,
    io,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, mpsc::channel},
    thread::JoinHandle,
};
use tokio::sync::{mpsc, oneshot};

/// How many turns may wait for the persistence actor before the actors wait for it, at most.
/// Unwrapped by the compiler.
const JOURNAL_CAPACITY: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// The persistence actor, which has started.
pub struct Journal {
    /// How to reach it.
    pub address: Address<JournalMessage>,
    /// Where its work is done.
    pub desk: Arc<Desk<PublishingStore<SqliteStore>>>,
    /// For whoever watches.
    pub watched: WatchedActor,
}

/// Starts actors that share a journal.
pub struct Actors<'a> {
    /// Where their threads go.
    pub threads: &'a mut Threads,
    /// The journal.
    pub journal: Address<JournalMessage>,
    /// How many messages each has room for.
    pub capacity: NonZeroUsize,
    /// The lease clock.
    pub clock: Arc<dyn Clock>,
    /// Who commits what a client changes that is alone.
    pub alone: Arc<Alone>,
    /// Those that have started, for whoever watches.
    pub watched: Vec<WatchedActor>,
}

impl Actors<'_> {
    /// Starts the actor of one machine on a thread of its own.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start<M: Machine>(
        &mut self,
        name: &'static str,
        machine: M,
    ) -> Result<Outbox<M>, StartError> {
        let (journal, clock) = (self.journal.clone(), Arc::clone(&self.clock));
        let (actor, handle) = Actor::new(machine, self.capacity, journal, clock);
        let board = Arc::new(Board::default());
        let actor = actor
            .with_alarm(Arc::clone(&self.threads.alarm) as Arc<dyn Alarm>)
            .with_watch(Arc::clone(&board) as Arc<dyn Watch>)
            .with_standstill(Arc::clone(self.alone.standstill()));
        let (stop, watched) = (handle.clone(), handle.clone());
        let station = Arc::new(Station::new(actor, handle));
        let running = Arc::clone(&station);
        let thread = self.threads.spawn(name, move || {
            running.run();
            Ok(())
        })?;
        self.watched.push(WatchedActor {
            name,
            board: Some(board),
            capacity: self.capacity.get(),
            queued: Box::new(move || watched.queued()),
        });
        self.threads.actors.push(RunningActor { stop: Box::new(move || stop.stop()), thread });
        Ok(Outbox::new(name, station, &self.threads.alarm, Arc::clone(&self.alone)))
    }
}

/// A thread that works off messages, and how it is told to stop.
struct RunningActor {
    stop: Box<dyn FnOnce() + Send>,
    thread: JoinHandle<()>,
}

/// The threads of the actors, in the order in which they stop. Dropped, they are told to, and nobody
/// waits for it.
pub struct Threads {
    actors: Vec<RunningActor>,
    journal: Option<RunningActor>,
    /// Wakes those whom they answer.
    alarm: Arc<RuntimeAlarm>,
    failures: mpsc::UnboundedSender<Failure>,
}

impl Threads {
    /// None has started yet. Those whom they answer are woken by `alarm`; if one fails or panics,
    /// `failures` is told.
    pub fn new(alarm: Arc<RuntimeAlarm>, failures: mpsc::UnboundedSender<Failure>) -> Self {
        Self { actors: Vec::new(), journal: None, alarm, failures }
    }

    /// Starts the persistence actor, which writes to `store`. It has room for as many messages as the actors
    /// have, `capacity`, or fewer.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start_journal(
        &mut self,
        store: PublishingStore<SqliteStore>,
        capacity: NonZeroUsize,
    ) -> Result<Journal, StartError> {
        let capacity = JOURNAL_CAPACITY.min(capacity);
        let (address, messages) = mailbox(capacity);
        let alarm = Arc::clone(&self.alarm) as Arc<dyn Alarm>;
        let desk = Arc::new(Desk::new(Persistence::with_alarm(store, messages, alarm)));
        let (running, stop, waiting) = (Arc::clone(&desk), address.clone(), address.clone());
        let thread = self.spawn("journal", move || Ok(running.run()?.into_inner().close()?))?;
        let stop = move || {
            // One that is gone has stopped.
            let _gone = stop.send(JournalMessage::Stop);
        };
        self.journal = Some(RunningActor { stop: Box::new(stop), thread });
        let watched = WatchedActor {
            name: "journal",
            board: None,
            capacity: capacity.get(),
            queued: Box::new(move || waiting.queued()),
        };
        Ok(Journal { address, desk, watched })
    }

    /// Runs `work` on a thread of its own. If it fails or panics, the process is told to end.
    fn spawn(
        &self,
        actor: &'static str,
        work: impl FnOnce() -> Result<(), Failure> + Send + 'static,
    ) -> Result<JoinHandle<()>, StartError> {
        let failures = self.failures.clone();
        let run = move || {
            let ended = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
                Err(Failure::Panicked { actor, message: panic_message(&*panic) })
            });
            if let Err(failure) = ended {
                tracing::error!(%failure, "the server ends");
                // If nobody listens, it ends already.
                let _ended = failures.send(failure);
            }
        };
        std::thread::Builder::new().name(actor.to_owned()).spawn(run).map_err(StartError::Thread)
    }

    /// Stops every actor, then the journal, and then does what comes last. A panic of that is passed on.
    ///
    /// On a thread of its own: the runtime's may all be taken, for as long as it likes, and what was
    /// decided must come to disk. If the system has none to give, it is done here.
    pub async fn stop(mut self, last: impl FnOnce() + Send + 'static) {
        type Work = Box<dyn FnOnce() + Send>;
        // Nothing depends on the runtime from here on: it may stand still meanwhile.
        self.alarm.retire();
        let left = self.take();
        let work: Work = Box::new(move || {
            stop(left);
            last();
        });
        // What a thread that cannot be started was to do is lost: so it is told only once it has.
        let (tell, told) = channel::<Work>();
        let run = move || told.recv().map(|work| catch_unwind(AssertUnwindSafe(work)));
        match aside("stop", run) {
            Ok(done) => {
                let _it_listens = tell.send(work);
                if let Ok(Ok(Err(panic))) = done.await {
                    resume_unwind(panic);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "no thread to stop on: the runtime stands still meanwhile");
                work();
            }
        }
    }

    fn take(&mut self) -> Vec<RunningActor> {
        self.actors.drain(..).chain(self.journal.take()).collect()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let left = self.take();
        if left.is_empty() {
            return;
        }
        // The actors wait for their last commit, and must hear of it although nobody may drive the
        // runtime any more.
        self.alarm.retire();
        // Whoever drops this may be a runtime, which has others to look after.
        let stopping = std::thread::Builder::new().name("stop".to_owned());
        if let Err(error) = stopping.spawn(move || stop(left)) {
            tracing::error!(%error, "the threads of the actors stay until the process ends");
        }
    }
}

/// Does `work` on a thread of its own, and tells what came of it.
///
/// # Errors
/// The system has no thread to give.
pub fn aside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (done, told) = oneshot::channel();
    let run = move || {
        let _nobody_waits = done.send(work());
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
    Ok(told)
}

fn stop(threads: Vec<RunningActor>) {
    for RunningActor { stop, thread } in threads {
        stop();
        // What a thread had to say it has sent.
        let _ended = thread.join();
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests;
