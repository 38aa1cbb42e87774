//! One server after another on the same file, clients that ask all the time, and a bookkeeper that
//! forgets nothing.

use crate::{
    Outcome,
    caller::Caller,
    client::Account,
    history::{Moment, Verdict, token::Tokens},
    log::{Counts, Log},
    names::{Names, Standing, look},
    server::{Exit, Host, Server},
    worker::{Work, audit, holder, work},
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};

/// A file, and everything that anybody was ever told of what is in it.
#[derive(Debug)]
pub struct Arena {
    /// How servers are started.
    pub host: Host,
    /// What chance decides next.
    pub dice: fastrand::Rng,
    /// What has happened altogether.
    pub tally: Tally,
    /// All tokens that anybody was ever told of.
    pub tokens: Tokens,
    /// The machine has rebooted since the last server.
    pub rebooted: bool,
    epoch: u64,
    /// How many servers this epoch has had.
    lives: u64,
    names: Names,
    log: Log,
    /// What earlier epochs ended with.
    kept: BTreeMap<(Account, String), Standing>,
}

/// What has happened altogether.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many servers there were.
    pub servers: u64,
    /// Requests, by how they were answered.
    pub counts: Counts,
    /// What came of the histories.
    pub verdict: Verdict,
    /// What earlier epochs ended with, and was looked at again.
    pub kept: u64,
}

/// An epoch keeps histories short enough to be explained.
const LIVES_OF_AN_EPOCH: u64 = 6;

impl Arena {
    /// A new file.
    pub fn new(host: Host, seed: u64) -> Self {
        Self {
            host,
            dice: fastrand::Rng::with_seed(seed),
            tally: Tally::default(),
            tokens: Tokens::default(),
            rebooted: false,
            epoch: 0,
            lives: 0,
            names: Names::new("e0"),
            log: Log::default(),
            kept: BTreeMap::new(),
        }
    }

    /// One server: it starts, is looked at, works, and comes to its `end`, which returns when nothing
    /// more may be answered.
    ///
    /// # Errors
    /// The server does not start, does not end, or `end` fails.
    pub fn life(
        &mut self,
        amount: Work,
        end: impl FnOnce(&mut Server, &mut fastrand::Rng) -> Outcome<()>,
    ) -> Outcome<Exit> {
        if self.lives >= LIVES_OF_AN_EPOCH {
            self.end_epoch()?;
        }
        let server = self.start()?;
        self.live(server, amount, end)
    }

    /// Starts a server, to [`Arena::live`].
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&mut self) -> Outcome<Server> {
        let from = Moment::now();
        let server = self.host.start()?;
        self.log.start(from, std::mem::take(&mut self.rebooted));
        Ok(server)
    }

    /// The same with a server that has started already.
    ///
    /// # Errors
    /// See [`Arena::life`].
    pub fn live(
        &mut self,
        mut server: Server,
        amount: Work,
        end: impl FnOnce(&mut Server, &mut fastrand::Rng) -> Outcome<()>,
    ) -> Outcome<Exit> {
        self.lives += 1;
        self.tally.servers += 1;
        self.look_around(server.address);
        let address = server.address;
        let over = AtomicBool::new(false);
        let seed = self.dice.u64(..);
        let (logs, ended) = std::thread::scope(|scope| {
            let clients: Vec<_> = (1..=amount.clients)
                .map(|client| {
                    let (names, over) = (&self.names, &over);
                    scope.spawn(move || {
                        let mut caller = Caller::new(client, holder(client), address);
                        work(&mut caller, names, amount, seed + u64::from(client), over);
                        caller.log
                    })
                })
                .collect();
            let ended = if amount.requests == u64::MAX {
                end(&mut server, &mut self.dice).map(|()| None)
            } else {
                Ok(Some(end))
            };
            over.store(amount.requests == u64::MAX, Ordering::Relaxed);
            let logs: Vec<_> =
                clients.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            (logs, ended)
        });
        // Where the work has an end, it comes first.
        if let Some(end) = ended? {
            end(&mut server, &mut self.dice)?;
        }
        let exit = server.exit()?;
        for log in logs {
            self.log.add(log.map_err(|_| "a client panicked")?);
        }
        self.log.close(Moment::now(), &mut self.tokens);
        Ok(exit)
    }

    /// Has a server look at everything once more, and checks everything that was told.
    ///
    /// # Errors
    /// The server does not start.
    pub fn end_epoch(&mut self) -> Outcome<()> {
        let server = self.start()?;
        self.look_around(server.address);
        self.kept.extend(self.names.told_by(&server)?);
        server.kill()?;
        server.exit()?;
        self.log.close(Moment::now(), &mut self.tokens);
        let log = std::mem::take(&mut self.log);
        self.tally.counts.add(log.counts);
        self.tally.verdict.add(log.check(self.lives + 1));
        self.epoch += 1;
        self.lives = 0;
        self.names = Names::new(&format!("e{}", self.epoch));
        Ok(())
    }

    /// Checks what is left, and that every epoch is as it ended; returns what is wrong. A server that
    /// does not start any more is wrong too.
    pub fn finish(&mut self) -> Vec<String> {
        let ended = self.end_epoch().and_then(|()| {
            // Nothing has happened since to the epoch that has just ended.
            if self.epoch > 1 { self.look_back() } else { Ok(()) }
        });
        let Verdict { broken, undecided, .. } = &self.tally.verdict;
        let error = ended.err().map(|error| error.to_string());
        broken.iter().chain(undecided).cloned().chain(error).collect()
    }

    fn look_back(&mut self) -> Outcome<()> {
        let server = self.start()?;
        for ((account, path), before) in &self.kept {
            let now = look(server.address, *account, path)?;
            if before.ends.is_some_and(|ends| ends <= Moment::now().millis + 1_000) {
                continue;
            }
            self.tally.kept += 1;
            if now.body != before.body {
                let broken = format!("{path} of {account:?} was {before:?}, and is {now:?}");
                self.tally.verdict.broken.push(broken);
            }
        }
        server.kill()?;
        server.exit()?;
        Ok(())
    }

    /// Whether anything that was told cannot be. Nothing that follows says any more then.
    pub fn is_broken(&self) -> bool {
        let Verdict { broken, undecided, .. } = &self.tally.verdict;
        !self.log.broken.is_empty() || !broken.is_empty() || !undecided.is_empty()
    }

    /// What the present epoch is about.
    pub fn names(&self) -> &Names {
        &self.names
    }

    fn look_around(&mut self, address: SocketAddr) {
        for client in [100, 101] {
            let mut caller = Caller::new(client, holder(client), address);
            audit(&mut caller, &self.names);
            self.log.add(caller.log);
        }
    }
}
