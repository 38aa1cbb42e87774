//! Signing in with a browser: somebody goes to a provider that knows them, comes back with a code,
//! and the provider says who they are.
//!
//! - here: the providers of this server, and what all of them have in common;
//! - [`settings`]: what is said of them before the start;
//! - [`github`]: GitHub, which is OAuth 2 (RFC 6749) and an API;
//! - [`openid`]: OpenID Connect Core 1.0, with [`issuer`], what a provider says of itself, and
//!   [`claims`], what it says of a person;
//! - [`attempt`]: what the browser keeps meanwhile.
//!
//! What always holds: a code is only exchanged by whoever began (PKCE, RFC 7636, and `state`);
//! nothing that a provider or a browser says is repeated to anybody as it came.

pub mod attempt;
mod claims;
mod github;
mod issuer;
mod openid;
mod settings;

pub use issuer::Unavailable;
pub use openid::IdTokenFault;
pub use settings::{GitHubSection, GitHubSettings, OpenIdSection, ProvidersError};

use super::{
    outbound::{Outbound, OutboundError},
    web_origin::WebOrigin,
};
use crate::{clock::Calendar, ids};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use github::GitHub;
use oauth2::{
    CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RequestTokenError, StandardErrorResponse,
    basic::BasicErrorResponseType,
};
use octostore_actors::domain::values::AccountName;
use openid::OpenId;
use openidconnect::{Nonce, url::Url};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// The providers that people sign in with.
#[derive(Debug, Default)]
pub struct Providers(BTreeMap<ProviderId, Provider>);

/// How this server calls a provider: what follows `/auth/` in its paths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ProviderId {
    /// `github`
    GitHub,
    /// `oidc/{name}`
    OpenId(String),
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GitHub => f.write_str("github"),
            Self::OpenId(name) => write!(f, "oidc/{name}"),
        }
    }
}

impl ProviderId {
    /// The path that browsers come back to.
    fn callback(&self) -> String {
        format!("/auth/{self}/callback")
    }
}

/// One of them.
#[derive(Debug)]
pub enum Provider {
    /// GitHub, or an Enterprise host of it.
    GitHub(Box<GitHub>),
    /// An OpenID Connect provider.
    OpenId(Box<OpenId>),
}

/// A sign-in that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser is to go.
    pub location: Url,
    /// What must be known again when it comes back.
    pub secrets: Secrets,
}

/// What binds the end of a sign-in to its beginning: 256 random bits each, as base64url.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// Comes back with the browser (RFC 6749, section 10.12).
    state: String,
    /// Goes to the provider with the code; its hash went before (RFC 7636).
    verifier: String,
    /// Comes back in the ID token (OpenID Connect Core, section 15.5.2).
    nonce: String,
}

/// What a browser brings back.
#[derive(Clone, Copy)]
pub struct Callback<'a> {
    /// The code.
    pub code: &'a str,
    /// Who sent it back, where the provider says so (RFC 9207).
    pub issuer: Option<&'a str>,
}

/// Somebody who has shown who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// What makes them one and the same for ever.
    pub key: PersonKey,
    /// How they are called now.
    pub name: AccountName,
    /// A picture of them: an http or https URL of at most 2,048 bytes.
    pub avatar_url: Option<String>,
}

/// What makes a person one and the same, whatever he calls himself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PersonKey {
    /// Logins are renamed, and given to others.
    GitHub {
        /// The Enterprise host, which has numbers of its own; `None` is github.com.
        host: Option<String>,
        /// The numeric id.
        id: u64,
    },
    /// An issuer, and what it calls this person: unique there, and never given to another.
    OpenId {
        /// Its URL, as in the settings.
        issuer: String,
        /// The claim `sub`: 1 to 255 characters.
        subject: String,
    },
}

/// Why somebody is not signed in. No message repeats what a provider or a browser said.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The provider cannot be asked, or is not well.
    #[error("the provider is unavailable: {0}")]
    Unavailable(#[from] Unavailable),
    /// The provider does not take the code: it was used, is too old, or was never its own, or
    /// the provider does not take this server for its client.
    #[error("the provider refused the code: {0}")]
    Refused(ErrorWord),
    /// The provider's answer is not what it should be.
    #[error("the provider's answer cannot be used: {0}")]
    Misunderstood(&'static str),
    /// The browser was sent back by another provider (RFC 9207).
    #[error("the browser was sent back by another provider than it went to")]
    OtherIssuer,
    /// The ID token proves nothing.
    #[error("the ID token is not valid: {0}")]
    IdToken(IdTokenFault),
    /// The claim that names the account is not there, or is no possible name.
    #[error("the claim {0:?} is not there or is no possible account name; see name_claim")]
    NoName(String),
    /// The person is known, and may not enter.
    #[error("the person is not among those who may enter: see {0}")]
    NotAllowed(&'static str),
}

impl From<OutboundError> for SignInError {
    fn from(error: OutboundError) -> Self {
        Self::Unavailable(error.into())
    }
}

/// The `error` of an OAuth answer (RFC 6749, section 5.2): at most 64 lower-case letters and
/// underscores. What else comes in its place is not repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorWord(String);

impl ErrorWord {
    /// As much of `text` as may be repeated.
    pub fn of(text: &str) -> Self {
        let sane = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        Self(if sane { text } else { "an error without a name" }.to_owned())
    }
}

impl fmt::Display for ErrorWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Providers {
    /// The providers that the settings name. Nobody is asked yet: a provider that is down when
    /// the server starts is found when somebody signs in.
    ///
    /// # Errors
    /// See [`ProvidersError`].
    pub fn new(
        github: &GitHubSettings<'_>,
        sections: &[OpenIdSection],
        outbound: &Outbound,
    ) -> Result<Self, ProvidersError> {
        let mut providers = BTreeMap::new();
        if let Some(github) = GitHub::new(github, outbound)? {
            providers.insert(ProviderId::GitHub, Provider::GitHub(Box::new(github)));
        }
        for section in sections {
            let openid = Provider::OpenId(Box::new(OpenId::new(section, outbound)?));
            if providers.insert(ProviderId::OpenId(section.name.clone()), openid).is_some() {
                return Err(ProvidersError::SameName(section.name.clone()));
            }
        }
        for (id, provider) in &providers {
            let callback = id.callback();
            if provider.returns_to().is_some_and(|url| !url.path().ends_with(&callback)) {
                tracing::warn!(
                    provider = %id, %callback,
                    "its redirect URI does not end in this server's callback: unless a proxy sees to \
                     it, nobody who signs in comes back"
                );
            }
        }
        Ok(Self(providers))
    }

    /// Whether nobody can sign in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The provider of this name, if there is one.
    pub fn get(&self, id: &ProviderId) -> Option<&Provider> {
        self.0.get(id)
    }

    /// Where browsers find this server, as far as the settings of a provider say.
    pub fn web_origin(&self) -> Option<WebOrigin> {
        self.0.values().filter_map(Provider::returns_to).find_map(WebOrigin::of)
    }

    /// Where people go to sign in, as far as the settings say: the page of this server that sends
    /// browsers to each provider, or else its path.
    pub fn pages(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(id, provider)| {
            let page = format!("/auth/{id}");
            let Some(url) = provider.returns_to() else { return page };
            let Some(before) = url.path().strip_suffix(&id.callback()) else { return page };
            let mut whole = url.clone();
            whole.set_path(&format!("{before}{page}"));
            whole.set_query(None);
            whole.into()
        })
    }

    /// How they are called, in order.
    pub fn ids(&self) -> impl Iterator<Item = &ProviderId> {
        self.0.keys()
    }
}

impl Provider {
    /// Begins a sign-in. Nothing is remembered here: the secrets are for the browser to keep,
    /// sealed.
    ///
    /// # Errors
    /// [`SignInError::Unavailable`], where a provider must be asked for its pages first.
    pub async fn begin(&self, calendar: &Calendar) -> Result<Begun, SignInError> {
        let secrets = Secrets::generate();
        let location = match self {
            Self::GitHub(github) => github.location(&secrets),
            Self::OpenId(openid) => openid.location(&secrets, calendar).await?,
        };
        Ok(Begun { location, secrets })
    }

    /// Ends it: exchanges the code, and learns who it is. The caller has seen to it that the
    /// browser is the one that began, and that it comes only once.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn finish(
        &self,
        callback: Callback<'_>,
        secrets: &Secrets,
        calendar: &Calendar,
    ) -> Result<Person, SignInError> {
        match self {
            Self::GitHub(github) => github.finish(callback, secrets).await,
            Self::OpenId(openid) => openid.finish(callback, secrets, calendar).await,
        }
    }

    /// Whether browsers come back to this server over TLS, so that cookies need not travel
    /// without it. Where its own settings do not say, it is `here` that browsers find it.
    pub fn returns_over_tls(&self, here: Option<&WebOrigin>) -> bool {
        match self.returns_to() {
            Some(url) => url.scheme() == "https",
            None => here.is_some_and(WebOrigin::is_https),
        }
    }

    /// Where browsers come back to, as far as the settings say.
    fn returns_to(&self) -> Option<&Url> {
        match self {
            Self::GitHub(github) => github.returns_to(),
            Self::OpenId(openid) => Some(openid.returns_to()),
        }
    }
}

impl Secrets {
    fn generate() -> Self {
        let random = || BASE64_URL_SAFE_NO_PAD.encode(ids::secret());
        Self { state: random(), verifier: random(), nonce: random() }
    }

    fn state(&self) -> CsrfToken {
        CsrfToken::new(self.state.clone())
    }

    fn challenge(&self) -> PkceCodeChallenge {
        PkceCodeChallenge::from_code_verifier_sha256(&self.verifier())
    }

    fn verifier(&self) -> PkceCodeVerifier {
        PkceCodeVerifier::new(self.verifier.clone())
    }

    fn nonce(&self) -> Nonce {
        Nonce::new(self.nonce.clone())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// Why a code was not exchanged.
fn not_exchanged(
    error: RequestTokenError<OutboundError, StandardErrorResponse<BasicErrorResponseType>>,
) -> SignInError {
    match error {
        RequestTokenError::Request(error) => error.into(),
        RequestTokenError::ServerResponse(answer) => {
            SignInError::Refused(ErrorWord::of(answer.error().as_ref()))
        }
        // Both have in them what was answered: it may be a token.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            SignInError::Misunderstood("the answer of the token endpoint")
        }
    }
}

/// `text`, if it can be shown as a picture: an http or https URL of at most 2,048 bytes.
fn picture(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|_| text.len() <= 2048)?;
    matches!(url.scheme(), "http" | "https").then(|| url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_random_and_do_not_print_themselves() {
        let (one, two) = (Secrets::generate(), Secrets::generate());
        for (a, b) in [(&one.state, &two.state), (&one.verifier, &two.verifier)] {
            assert_ne!(a, b);
            assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(a).unwrap().len(), 32);
        }
        assert_eq!(format!("{one:?}"), "Secrets(…)");
    }

    #[test]
    fn only_words_of_an_error_are_repeated() {
        assert_eq!(ErrorWord::of("invalid_grant").to_string(), "invalid_grant");
        for bad in ["", "a b", "<b>", "a\r\nset-cookie: x", "Ä", &"x".repeat(65)] {
            assert_eq!(ErrorWord::of(bad).to_string(), "an error without a name", "{bad:?}");
        }
    }

    #[test]
    fn a_picture_is_a_link_to_the_web() {
        assert!(picture("https://example.com/a.png").is_some());
        for bad in ["", "a.png", "javascript:alert(1)", "data:image/png;base64,AA"] {
            assert_eq!(picture(bad), None, "{bad}");
        }
    }
}
