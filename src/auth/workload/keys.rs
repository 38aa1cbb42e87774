//! The keys of one issuer as they are now: asked for when they are needed, kept for a while.
//!
//! How old keys may be: they are asked for again with the first token after five minutes, and with
//! a token that names a key which is not among them. If the issuer does not answer, the known ones
//! serve until they are an hour old, and then none. So a key that an issuer withdraws opens
//! nothing after five minutes, or an hour if somebody keeps us from asking. A file is read again
//! after five seconds instead of five minutes.
//!
//! How often an issuer is asked, whatever comes in: five times at once, and once every ten
//! seconds; whoever needs an answer while one is on its way waits for that one.

use super::{
    jwk::{KeySet, NotAKeySet},
    rules::KeySource,
};
use crate::auth::{
    bucket::Bucket,
    outbound::{Outbound, OutboundError, is_protected},
};
use octostore_actors::time::Instant;
use openidconnect::url::Url;
use serde::Deserialize;
use serde_json::Value;
use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// Known keys of this age are asked for again, from a server.
const REFRESH_SERVER: Duration = Duration::from_secs(300);

/// Known keys of this age are read again, from a file.
const REFRESH_FILE: Duration = Duration::from_secs(5);

/// Known keys of this age are not used.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// After it failed, known keys are not asked for again for so long: nobody need wait meanwhile.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(60);

/// Gets a document from a server.
pub trait Fetch: Send + Sync + 'static {
    /// Why it could not.
    type Error: fmt::Display + Send;

    /// The JSON document at `url`, from an answer that is a success.
    fn get_json(&self, url: &Url) -> impl Future<Output = Result<Value, Self::Error>> + Send;
}

impl Fetch for Outbound {
    type Error = OutboundError;

    async fn get_json(&self, url: &Url) -> Result<Value, OutboundError> {
        Self::get_json(self, url).await
    }
}

/// The issuer's keys cannot be had, and so nothing be said about its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the issuer's keys cannot be had at present")]
pub struct Unavailable;

/// The keys of one issuer.
pub struct IssuerKeys<F> {
    issuer: String,
    source: Source,
    fetch: Arc<F>,
    state: Mutex<State>,
}

enum Source {
    Server(Url),
    File(PathBuf),
}

struct State {
    known: Option<Known>,
    /// When the last attempt began, if it failed.
    failed: Option<Instant>,
    attempts: Bucket,
    /// Closed when the attempt that is on its way has come to its end.
    on_its_way: Option<watch::Receiver<()>>,
}

struct Known {
    keys: Arc<KeySet>,
    /// When they were asked for.
    at: Instant,
}

impl<F: Fetch> IssuerKeys<F> {
    /// The keys of `issuer`, none of which is known yet, or those in its file.
    pub fn new(issuer: &str, source: KeySource, fetch: Arc<F>, now: Instant) -> Arc<Self> {
        let (source, known) = match source {
            KeySource::Discovery(url) => (Source::Server(url), None),
            KeySource::File { path, first } => {
                (Source::File(path), Some(Known { keys: Arc::new(first), at: now }))
            }
        };
        let attempts = Bucket::full();
        let state = State { known, failed: None, attempts, on_its_way: None };
        Arc::new(Self { issuer: issuer.to_owned(), source, fetch, state: Mutex::new(state) })
    }

    /// The keys, which were the issuer's at most an hour before `now`.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn current(self: &Arc<Self>, now: Instant) -> Result<Arc<KeySet>, Unavailable> {
        let fresh = {
            let state = self.state();
            let paused = state.failed.is_some_and(|at| now.since(at) < PAUSE_AFTER_FAILURE);
            let bound = if paused { MAX_AGE } else { self.refresh_after() };
            state.younger_than(bound, now)
        };
        if let Some(keys) = fresh {
            return Ok(keys);
        }
        self.attempt(now).await;
        self.state().younger_than(MAX_AGE, now).ok_or(Unavailable)
    }

    /// The keys, asked for again because one was missing among the [current](Self::current) ones;
    /// the same again if the issuer was asked too often.
    ///
    /// # Errors
    /// [`Unavailable`]: whether the issuer has such a key cannot be told.
    pub async fn again(self: &Arc<Self>, now: Instant) -> Result<Arc<KeySet>, Unavailable> {
        self.attempt(now).await;
        let state = self.state();
        if state.failed.is_some() {
            return Err(Unavailable);
        }
        state.younger_than(MAX_AGE, now).ok_or(Unavailable)
    }

    /// Waits for the end of an attempt to have the keys: of the one that is on its way, or of a
    /// new one, or of none if there were too many.
    async fn attempt(self: &Arc<Self>, now: Instant) {
        let mut end = {
            let mut state = self.state();
            let under_way = state.on_its_way.clone().filter(|end| end.has_changed().is_ok());
            match under_way {
                Some(end) => end,
                None if state.attempts.take(now) => {
                    let (working, end) = watch::channel(());
                    state.on_its_way = Some(end.clone());
                    // On its own, so that it goes on when whoever asked goes away: or strangers
                    // could use up all attempts, and let none come to its end.
                    tokio::spawn(Arc::clone(self).read(now, working));
                    end
                }
                None => return,
            }
        };
        // Nothing is ever sent: the end is that the sender is gone.
        let _gone = end.changed().await;
    }

    async fn read(self: Arc<Self>, now: Instant, working: watch::Sender<()>) {
        let read = match &self.source {
            Source::Server(issuer) => self.ask(issuer).await,
            Source::File(path) => read_file(path.clone()).await,
        };
        let mut state = self.state();
        match read {
            Ok(keys) => {
                state.known = Some(Known { keys: Arc::new(keys), at: now });
                state.failed = None;
            }
            Err(error) => {
                tracing::warn!(issuer = self.issuer, %error, "the issuer's keys cannot be read");
                state.failed = Some(now);
            }
        }
        state.on_its_way = None;
        drop(state);
        drop(working);
    }

    /// Asks the issuer where its keys are, and then for its keys.
    async fn ask(&self, issuer: &Url) -> Result<KeySet, ReadError> {
        let document = self.get(&discovery_url(issuer)?).await?;
        let discovery = Discovery::deserialize(document).map_err(|_| ReadError::Discovery)?;
        if discovery.issuer != self.issuer {
            return Err(ReadError::OtherIssuer);
        }
        let at = discovery.jwks_uri;
        // Only an issuer on this machine may send us on to this machine without TLS.
        if at.scheme() != "https" && !(is_protected(&at) && issuer.scheme() != "https") {
            return Err(ReadError::Insecure { url: at });
        }
        Ok(KeySet::read(&self.get(&at).await?)?)
    }

    async fn get(&self, url: &Url) -> Result<Value, ReadError> {
        let fetched = self.fetch.get_json(url).await;
        fetched.map_err(|error| ReadError::Get { url: url.clone(), error: error.to_string() })
    }

    fn refresh_after(&self) -> Duration {
        match self.source {
            Source::Server(_) => REFRESH_SERVER,
            Source::File(_) => REFRESH_FILE,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn younger_than(&self, bound: Duration, now: Instant) -> Option<Arc<KeySet>> {
        let known = self.known.as_ref().filter(|known| now.since(known.at) < bound)?;
        Some(Arc::clone(&known.keys))
    }
}

/// Why keys could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("{url}: {error}")]
    Get { url: Url, error: String },
    #[error("its discovery document has no issuer, or no jwks_uri")]
    Discovery,
    #[error("its discovery document is of another issuer: it must be the same to the letter")]
    OtherIssuer,
    #[error("it has its keys at {url}, which is not https")]
    Insecure { url: Url },
    #[error(transparent)]
    NotAKeySet(#[from] NotAKeySet),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
}

/// A discovery document (OpenID Connect Discovery 1.0, section 3), as far as it is needed here:
/// issuers that only speak for workloads, such as Kubernetes, have none of the rest.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: Url,
}

/// Where an issuer has its discovery document (section 4 of the same).
fn discovery_url(issuer: &Url) -> Result<Url, ReadError> {
    let issuer = issuer.as_str();
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    Url::parse(&format!("{base}/.well-known/openid-configuration"))
        .map_err(|_| ReadError::Discovery)
}

async fn read_file(path: PathBuf) -> Result<KeySet, ReadError> {
    let reading = {
        let path = path.clone();
        tokio::task::spawn_blocking(move || std::fs::read(path))
    };
    let read = reading.await.unwrap_or_else(|ended| Err(io::Error::other(ended)));
    let text = read.map_err(|source| ReadError::File { path, source })?;
    let document: Value = serde_json::from_slice(&text).map_err(|_| NotAKeySet)?;
    Ok(KeySet::read(&document)?)
}
