//! What an OpenID Connect provider says of itself (OpenID Connect Discovery 1.0), and the keys it
//! signs with: asked for when first needed, kept for an hour at most.
//!
//! Whoever needs what an ask that begins now would bring, and finds one that began after he came,
//! takes what that one brought. So a crowd asks once, and a provider that is down is not asked by
//! everybody in turn.

use super::bucket::Bucket;
use crate::{
    auth::outbound::{Outbound, OutboundError, is_protected},
    clock::Calendar,
};
use octostore_actors::time::Instant;
use openidconnect::{
    AdditionalProviderMetadata, DiscoveryError, IssuerUrl, JsonWebKeySet, ProviderMetadata,
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

/// An issuer, and what is known of it.
#[derive(Debug)]
pub struct Issuer {
    url: IssuerUrl,
    outbound: Outbound,
    known: RwLock<Option<Known>>,
    /// The number of the last ask that has begun.
    begun: AtomicU64,
    turn: Mutex<Turn>,
}

#[derive(Clone, Debug)]
struct Known {
    metadata: Arc<Metadata>,
    since: Instant,
}

/// What whoever asks has to himself.
#[derive(Debug)]
struct Turn {
    bucket: Bucket,
    /// The number of the last ask that came to its end.
    ended: u64,
    /// What it brought, if anything.
    brought: Option<Arc<Metadata>>,
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
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    /// Anything that is not too old.
    Recent,
    /// Its keys, as they are now.
    FreshKeys,
}

impl Issuer {
    /// An issuer of which nothing is known yet.
    pub fn new(url: IssuerUrl, outbound: Outbound) -> Self {
        Self {
            url,
            outbound,
            known: RwLock::new(None),
            begun: AtomicU64::new(0),
            turn: Mutex::new(Turn { bucket: Bucket::full(), ended: 0, brought: None }),
        }
    }

    /// What it calls itself.
    pub fn url(&self) -> &IssuerUrl {
        &self.url
    }

    /// What it says of itself: at most an hour old.
    ///
    /// # Errors
    /// See [`Unavailable`].
    pub async fn metadata(&self, calendar: &Calendar) -> Result<Arc<Metadata>, Unavailable> {
        match self.recent(calendar.now()) {
            Some(known) => Ok(known.metadata),
            None => self.ask(Want::Recent, calendar).await,
        }
    }

    /// The same with the keys that it has now: a token came that none of the known ones fits.
    ///
    /// # Errors
    /// See [`Unavailable`]; an issuer is asked five times at once, and then every ten seconds.
    pub async fn with_fresh_keys(&self, calendar: &Calendar) -> Result<Arc<Metadata>, Unavailable> {
        self.ask(Want::FreshKeys, calendar).await
    }

    async fn ask(&self, want: Want, calendar: &Calendar) -> Result<Arc<Metadata>, Unavailable> {
        let came = self.begun.load(Ordering::Acquire);
        let mut turn = self.turn.lock().await;
        if turn.ended > came {
            return turn.brought.clone().ok_or(Unavailable::AskedJustNow);
        }
        let now = calendar.now();
        let known = self.recent(now);
        if let (Want::Recent, Some(known)) = (want, &known) {
            return Ok(Arc::clone(&known.metadata));
        }
        if !turn.bucket.take(now) {
            return Err(Unavailable::AskedJustNow);
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let brought = match known {
            Some(known) => self.fetch_keys(known).await,
            None => self.discover(now).await,
        };
        turn.ended = number;
        turn.brought = brought.as_ref().ok().map(|known| Arc::clone(&known.metadata));
        let brought = brought?;
        let metadata = Arc::clone(&brought.metadata);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(brought);
        Ok(metadata)
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
        if addresses.into_iter().chain(user_info).all(is_protected) {
            Ok(Known { metadata: Arc::new(metadata), since })
        } else {
            Err(Unavailable::InClear)
        }
    }

    async fn fetch_keys(&self, known: Known) -> Result<Known, Unavailable> {
        let keys = JsonWebKeySet::fetch_async(known.metadata.jwks_uri(), &self.outbound).await;
        let metadata = known.metadata.as_ref().clone().set_jwks(keys.map_err(not_discovered)?);
        Ok(Known { metadata: Arc::new(metadata), since: known.since })
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
