//! What an OpenID Connect provider says of itself (OpenID Connect Discovery 1.0), and the keys it
//! signs with: asked for when first needed, kept for an hour at most.
//!
//! Whoever waits for a turn to ask, and finds that somebody else has asked meanwhile, takes what
//! that one was told. So a crowd asks once, and a provider that is down is not asked by everybody
//! in turn.

use crate::{
    auth::{
        bucket::Bucket,
        outbound::{Outbound, OutboundError},
    },
    clock::Calendar,
};
use octostore_actors::time::Instant;
use openidconnect::{
    AdditionalProviderMetadata, DiscoveryError, IssuerUrl, ProviderMetadata,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
        CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
        CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
    },
};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Mutex;

/// How long what a provider said is believed.
const KEPT: Duration = Duration::from_secs(3600);

/// What a provider says of itself; its keys are in it.
pub type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What is not in OpenID Connect Discovery.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct More {
    /// Whether it says who sends a browser back (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for More {}

/// An issuer, and what is known of it. It is asked by a task of its own, so that whoever asks and
/// hangs up before the answer has not used up an attempt for nothing.
#[derive(Debug)]
pub struct Issuer(Arc<Asked>);

#[derive(Debug)]
struct Asked {
    url: IssuerUrl,
    outbound: Outbound,
    known: RwLock<Option<Known>>,
    /// The number of the last ask that has begun.
    begun: AtomicU64,
    /// The number of the last ask that came to its end; changed by whoever has the turn.
    ended: AtomicU64,
    turn: Mutex<Bucket>,
}

#[derive(Clone, Debug)]
struct Known {
    metadata: Arc<Metadata>,
    since: Instant,
}

/// What whoever asks is told.
#[derive(Debug)]
pub struct Found {
    /// What the provider says of itself.
    pub metadata: Arc<Metadata>,
    /// Whether it was asked after whoever wants to know came. If not, it may have changed between
    /// the two.
    pub is_latest: bool,
}

/// Why a provider cannot be asked. No message repeats what it said.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// It does not answer.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// It did not answer somebody else a moment ago, or was asked too often.
    #[error("it was asked a moment ago, and is not asked again so soon")]
    AskedJustNow,
    /// It is another than the settings say.
    #[error(
        "it says of itself that it is another issuer: the issuer in the settings must be equal \
         to the letter"
    )]
    OtherIssuer,
    /// What it says of itself cannot be read.
    #[error("its discovery document or its keys are not as OpenID Connect has them")]
    Unreadable,
    /// It wants secrets sent in clear.
    #[error("its discovery document has an address that is not https")]
    InClear,
    /// It has no token endpoint.
    #[error("its discovery document has no token endpoint: it has no sign-in with a code")]
    NoTokenEndpoint,
}

/// What is asked for.
enum Want {
    /// Anything that is not too old.
    Recent,
    /// Other keys than these.
    OtherThan(Arc<Metadata>),
}

impl Issuer {
    /// An issuer of which nothing is known yet.
    pub fn new(url: IssuerUrl, outbound: Outbound) -> Self {
        Self(Arc::new(Asked {
            url,
            outbound,
            known: RwLock::new(None),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            turn: Mutex::new(Bucket::full()),
        }))
    }

    /// What it calls itself.
    pub fn url(&self) -> &IssuerUrl {
        &self.0.url
    }

    /// What it says of itself: at most an hour old.
    ///
    /// # Errors
    /// See [`Unavailable`].
    pub async fn metadata(&self, calendar: &Calendar) -> Result<Arc<Metadata>, Unavailable> {
        match self.0.recent(calendar.now()) {
            Some(known) => Ok(known.metadata),
            None => Ok(self.ask(Want::Recent, calendar).await?.metadata),
        }
    }

    /// The same with other keys than `stale` has: a token came that none of those fits. Everything
    /// is asked for again: whoever changes keys may have moved them.
    ///
    /// # Errors
    /// See [`Unavailable`]; an issuer is asked five times at once, and then every ten seconds.
    pub async fn with_fresh_keys(
        &self,
        stale: &Arc<Metadata>,
        calendar: &Calendar,
    ) -> Result<Found, Unavailable> {
        self.ask(Want::OtherThan(Arc::clone(stale)), calendar).await
    }

    async fn ask(&self, want: Want, calendar: &Calendar) -> Result<Found, Unavailable> {
        let (asked, now) = (Arc::clone(&self.0), calendar.now());
        match tokio::spawn(async move { asked.ask(want, now).await }).await {
            Ok(found) => found,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_going_down) => Err(Unavailable::AskedJustNow),
            },
        }
    }
}

impl Asked {
    async fn ask(&self, want: Want, now: Instant) -> Result<Found, Unavailable> {
        let (begun, ended) =
            (self.begun.load(Ordering::Acquire), self.ended.load(Ordering::Acquire));
        let mut turn = self.turn.lock().await;
        let known = self.recent(now);
        let last = self.ended.load(Ordering::Acquire);
        let other = known.as_ref().filter(|known| match &want {
            Want::Recent => true,
            Want::OtherThan(stale) => !Arc::ptr_eq(&known.metadata, stale),
        });
        if let Some(other) = other {
            let metadata = Arc::clone(&other.metadata);
            return Ok(Found { metadata, is_latest: last > begun });
        }
        if last > ended || !turn.take(now) {
            return Err(Unavailable::AskedJustNow);
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let brought = self.discover(now).await;
        self.ended.store(number, Ordering::Release);
        let brought = brought?;
        let metadata = Arc::clone(&brought.metadata);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(brought);
        Ok(Found { metadata, is_latest: true })
    }

    fn recent(&self, now: Instant) -> Option<Known> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.clone().filter(|known| now.since(known.since) < KEPT)
    }

    async fn discover(&self, since: Instant) -> Result<Known, Unavailable> {
        let metadata = Metadata::discover_async(self.url.clone(), &self.outbound).await;
        let metadata = metadata.map_err(not_discovered)?;
        let token = metadata.token_endpoint().ok_or(Unavailable::NoTokenEndpoint)?;
        let user_info = metadata.userinfo_endpoint().map(|endpoint| endpoint.url());
        let addresses = [metadata.authorization_endpoint().url(), token.url()];
        if addresses.into_iter().chain(user_info).all(|url| self.outbound.may_ask(url)) {
            Ok(Known { metadata: Arc::new(metadata), since })
        } else {
            Err(Unavailable::InClear)
        }
    }
}

fn not_discovered(error: DiscoveryError<OutboundError>) -> Unavailable {
    if let DiscoveryError::Request(error) = error {
        Unavailable::Outbound(error)
    } else if let DiscoveryError::Validation(_) = error {
        Unavailable::OtherIssuer
    } else {
        // What is in it is what the provider said.
        Unavailable::Unreadable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use std::sync::atomic::AtomicUsize;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// An issuer on loopback that is down until it is said to be up, and counts who asks.
    #[derive(Default)]
    struct Counting {
        up: std::sync::atomic::AtomicBool,
        /// Whether its keys are elsewhere from now on, and no more where they were.
        moved: std::sync::atomic::AtomicBool,
        discovery: AtomicUsize,
        keys: AtomicUsize,
    }

    async fn start() -> (Arc<Counting>, Issuer) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let counting = Arc::new(Counting::default());
        let (counted, itself) = (Arc::clone(&counting), url.clone());
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut asked = Vec::new();
                while !asked.windows(4).any(|four| four == b"\r\n\r\n") {
                    socket.read_buf(&mut asked).await.unwrap();
                }
                let moved = counted.moved.load(Ordering::Relaxed);
                let keys = if moved { "elsewhere" } else { "keys" };
                let gone = moved && asked.starts_with(b"GET /keys ");
                let body = if asked.starts_with(b"GET /.well-known/openid-configuration ") {
                    counted.discovery.fetch_add(1, Ordering::Relaxed);
                    serde_json::json!({
                        "issuer": itself,
                        "authorization_endpoint": format!("{itself}/auth"),
                        "token_endpoint": format!("{itself}/token"),
                        "jwks_uri": format!("{itself}/{keys}"),
                        "response_types_supported": ["code"],
                        "subject_types_supported": ["public"],
                        "id_token_signing_alg_values_supported": ["RS256"],
                    })
                } else {
                    counted.keys.fetch_add(1, Ordering::Relaxed);
                    serde_json::json!({ "keys": [] })
                };
                let up = counted.up.load(Ordering::Relaxed) && !gone;
                let status = if up { "200 OK" } else { "503 Service Unavailable" };
                let (kind, body) = ("content-type: application/json", body.to_string());
                let length = body.len();
                let answer = format!("HTTP/1.1 {status}\r\n{kind}\r\ncontent-length: {length}");
                let answer = format!("{answer}\r\n\r\n{body}");
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (counting, Issuer::new(IssuerUrl::new(url).unwrap(), Outbound::new()))
    }

    fn calendar() -> Calendar {
        Calendar::new(Arc::new(SystemClock))
    }

    async fn crowd<F: Future>(one: impl Fn() -> F) -> Vec<F::Output> {
        let mut crowd: Vec<_> = (0..8).map(|_| Box::pin(one())).collect();
        // All of them come before the first is done.
        for one in &mut crowd {
            let waiting = std::future::poll_fn(|context| {
                assert!(one.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            });
            waiting.await;
        }
        let mut done = Vec::new();
        for one in crowd {
            done.push(one.await);
        }
        done
    }

    #[tokio::test]
    async fn a_crowd_asks_once() {
        let ((counting, issuer), calendar) = (start().await, calendar());
        let failed = crowd(|| issuer.metadata(&calendar)).await;
        assert!(failed.iter().all(Result::is_err));
        assert_eq!(counting.discovery.load(Ordering::Relaxed), 1, "one that is down");

        counting.up.store(true, Ordering::Relaxed);
        let found = crowd(|| issuer.metadata(&calendar)).await;
        assert!(found.iter().all(Result::is_ok));
        assert_eq!(counting.discovery.load(Ordering::Relaxed), 2);
        assert_eq!(counting.keys.load(Ordering::Relaxed), 1);

        let stale = found[0].as_ref().unwrap();
        let found = crowd(|| issuer.with_fresh_keys(stale, &calendar)).await;
        assert!(found[0].as_ref().unwrap().is_latest);
        assert!(found[1..].iter().all(Result::is_ok));
        assert_eq!(counting.keys.load(Ordering::Relaxed), 2);
        assert_eq!(counting.discovery.load(Ordering::Relaxed), 3);

        let stale = &found[0].as_ref().unwrap().metadata;
        counting.moved.store(true, Ordering::Relaxed);
        issuer.with_fresh_keys(stale, &calendar).await.unwrap();
    }

    #[tokio::test]
    async fn who_hangs_up_uses_nothing_up() {
        let ((counting, issuer), calendar) = (start().await, calendar());
        counting.up.store(true, Ordering::Relaxed);
        for _ in 0..9 {
            tokio::select! {
                biased;
                _ = issuer.metadata(&calendar) => panic!("it was told before anybody was asked"),
                () = std::future::ready(()) => {}
            }
        }
        issuer.metadata(&calendar).await.unwrap();
        assert_eq!(counting.discovery.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_is_known_stays_known_when_there_is_nothing_new() {
        let ((counting, issuer), calendar) = (start().await, calendar());
        counting.up.store(true, Ordering::Relaxed);
        let stale = issuer.metadata(&calendar).await.unwrap();
        counting.up.store(false, Ordering::Relaxed);
        for _ in 0..9 {
            assert!(issuer.with_fresh_keys(&stale, &calendar).await.is_err());
        }
        let asked = counting.discovery.load(Ordering::Relaxed);
        assert_eq!(asked, 5, "five asks at once, with the first");
        issuer.metadata(&calendar).await.unwrap();
    }
}
