//! One OpenID Connect provider: the code flow (OpenID Connect Core 1.0, section 3.1) with PKCE,
//! and the ID token, which is believed when everything in it fits.

use super::{
    Callback, Person, PersonKey, ProvidersError, Secrets, SignInError,
    claims::{Claims, Wanted},
    issuer::{Found, Issuer, Metadata, Unavailable},
    not_exchanged,
    settings::{OpenIdSection, allowed, protected_url, redirect_url, secret_file},
};
use crate::{auth::outbound::Outbound, clock::Calendar};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hyper::{
    StatusCode,
    header::{ACCEPT, AUTHORIZATION},
};
use octostore_actors::domain::values::WallTime;
use openidconnect::{
    AuthType, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError as Error, Client,
    ClientId, ClientSecret, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    IdToken, IdTokenClaims, IdTokenFields, IdTokenVerifier, IssuerUrl, OAuth2TokenResponse,
    RedirectUrl, Scope, SignatureVerificationError as Fault, StandardErrorResponse,
    StandardTokenResponse, TokenResponse, UserInfoUrl,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType,
        CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm, CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse,
        CoreTokenIntrospectionResponse, CoreTokenType,
    },
    url::Url,
};
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// How far the clocks of the provider and of this server may be apart.
const SKEW: Duration = Duration::from_secs(60);

/// How an ID token may be signed. `none` is no signature; with HMAC whoever knows the client's
/// secret could sign for anybody.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// The longest `sub` (OpenID Connect Core, section 2).
const LONGEST_SUBJECT: usize = 255;

type Token =
    IdToken<Claims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;
type Fields = IdTokenFields<
    Claims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Answer = StandardTokenResponse<Fields, CoreTokenType>;
type RelyingParty = Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Answer,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// One OpenID Connect provider.
#[derive(Debug)]
pub struct OpenId {
    issuer: Issuer,
    client_id: ClientId,
    client_secret: Option<ClientSecret>,
    redirect_uri: RedirectUrl,
    scopes: Vec<Scope>,
    wanted: Wanted,
    outbound: Outbound,
}

/// What is wrong with an ID token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenFault {
    /// There is none.
    #[error("there is none")]
    Missing,
    /// None of the provider's keys has signed it, or in a way that counts.
    #[error("none of the provider's keys has signed it with an algorithm that counts")]
    Signature,
    /// It is of another issuer.
    #[error("it is of another issuer")]
    Issuer,
    /// It is for another client.
    #[error("it is for another client")]
    Audience,
    /// It was made for another sign-in.
    #[error("it was made for another sign-in")]
    Nonce,
    /// It is too old, or from the future.
    #[error("it is too old, or from the future: are the clocks right?")]
    Time,
    /// The subject is empty, or too long.
    #[error("its subject is empty, or longer than 255 characters")]
    Subject,
    /// It is something that this server does not know.
    #[error("it is of a kind that this server does not know")]
    Unknown,
}

impl OpenId {
    /// The provider of a section of the settings file.
    ///
    /// # Errors
    /// See [`ProvidersError`].
    pub fn new(section: &OpenIdSection, outbound: &Outbound) -> Result<Self, ProvidersError> {
        let name = &section.name;
        let sane = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=64).contains(&name.len()) || !name.bytes().all(sane) {
            return Err(ProvidersError::Name(name.clone()));
        }
        let setting = |key: &str| format!("oidc {name:?}: {key}");
        if section.client_id.is_empty() {
            return Err(ProvidersError::Empty { setting: setting("client_id") });
        }
        let issuer = setting("issuer");
        let outbound = match protected_url(&issuer, &section.issuer)?.scheme() {
            "https" => outbound.over_tls_alone(),
            _ => outbound.clone(),
        };
        let issuer = IssuerUrl::new(section.issuer.clone())
            .map_err(|_| ProvidersError::Url { setting: issuer })?;
        let scopes = section.scopes.iter().filter(|scope| *scope != "openid");
        Ok(Self {
            issuer: Issuer::new(issuer, outbound.clone()),
            client_id: ClientId::new(section.client_id.clone()),
            client_secret: secret(section)?,
            redirect_uri: redirect_url(&setting("redirect_uri"), &section.redirect_uri)?,
            scopes: scopes.cloned().map(Scope::new).collect(),
            wanted: Wanted {
                name: section.name_claim.clone(),
                groups: section.groups_claim.clone(),
                allowed_groups: allowed(
                    &setting("allowed_groups"),
                    section.allowed_groups.as_deref(),
                )?,
                allowed_domains: allowed(
                    &setting("allowed_domains"),
                    section.allowed_domains.as_deref(),
                )?,
            },
            outbound,
        })
    }

    /// Where the browser is to go.
    ///
    /// # Errors
    /// [`SignInError::Unavailable`].
    pub async fn location(
        &self,
        secrets: &Secrets,
        calendar: &Calendar,
    ) -> Result<Url, SignInError> {
        let metadata = self.issuer.metadata(calendar).await?;
        let client = self.client(&metadata);
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let (state, nonce) = (secrets.state(), secrets.nonce());
        let request = client.authorize_url(flow, || state, || nonce);
        let request = request.add_scopes(self.scopes.iter().cloned());
        Ok(request.set_pkce_challenge(secrets.challenge()).url().0)
    }

    /// Learns who comes back with this code.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn finish(
        &self,
        callback: Callback<'_>,
        secrets: &Secrets,
        calendar: &Calendar,
    ) -> Result<Person, SignInError> {
        let metadata = self.issuer.metadata(calendar).await?;
        let says_who =
            metadata.additional_metadata().authorization_response_iss_parameter_supported;
        let by_whom = callback.issuer.is_none_or(|issuer| issuer == self.issuer.url().as_str());
        if !by_whom || says_who && callback.issuer.is_none() {
            return Err(SignInError::OtherIssuer);
        }
        let answer = self.exchange(&metadata, callback.code, secrets).await?;
        let token = answer.id_token().ok_or(SignInError::IdToken(IdTokenFault::Missing))?;
        let verified = self.verify(token, &metadata, secrets, calendar).await?;
        let subject = verified.subject().to_string();
        if !(1..=LONGEST_SUBJECT).contains(&subject.chars().count()) {
            return Err(SignInError::IdToken(IdTokenFault::Subject));
        }
        let claims = serde_json::to_value(&verified).ok().and_then(Claims::of);
        let mut claims = claims.ok_or(SignInError::IdToken(IdTokenFault::Unknown))?;
        if let (Some(endpoint), true) =
            (metadata.userinfo_endpoint(), self.wanted.is_lacking(&claims))
        {
            let more = self.user_info(endpoint, answer.access_token().secret(), &subject).await?;
            claims.complete(more);
        }
        self.wanted.admit(&claims)?;
        Ok(Person {
            name: self.wanted.account_name(&claims)?,
            avatar_url: claims.picture(),
            key: PersonKey::OpenId { issuer: self.issuer.url().to_string(), subject },
        })
    }

    /// Where browsers come back to.
    pub fn returns_to(&self) -> &Url {
        self.redirect_uri.url()
    }

    fn client(&self, metadata: &Metadata) -> RelyingParty {
        let secret = self.client_secret.clone();
        let client =
            Client::from_provider_metadata(metadata.clone(), self.client_id.clone(), secret)
                .set_redirect_uri(self.redirect_uri.clone());
        // Where a provider does not say what it takes, it takes `client_secret_basic`.
        let basic = metadata
            .token_endpoint_auth_methods_supported()
            .is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        client.set_auth_type(if basic { AuthType::BasicAuth } else { AuthType::RequestBody })
    }

    async fn exchange(
        &self,
        metadata: &Metadata,
        code: &str,
        secrets: &Secrets,
    ) -> Result<Answer, SignInError> {
        let client = self.client(metadata);
        let request = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|_| Unavailable::NoTokenEndpoint)?;
        let request = request.set_pkce_verifier(secrets.verifier());
        request.request_async(&self.outbound).await.map_err(not_exchanged)
    }

    /// Verifies an ID token (OpenID Connect Core, section 3.1.3.7). If it is signed with a key
    /// that is not known, or does not say with which, the provider may have a new one.
    async fn verify(
        &self,
        token: &Token,
        metadata: &Arc<Metadata>,
        secrets: &Secrets,
        calendar: &Calendar,
    ) -> Result<IdTokenClaims<Claims, CoreGenderClaim>, SignInError> {
        let now = calendar.wall();
        let mut metadata = Arc::clone(metadata);
        let mut is_latest = false;
        loop {
            match self.verify_with(token, &metadata, secrets, now) {
                Ok(claims) => return Ok(claims),
                Err(Error::SignatureVerification(fault))
                    if !is_latest && may_be_by_a_new_key(&fault, token) => {}
                Err(error) => return Err(SignInError::IdToken(fault(&error))),
            }
            match self.issuer.with_fresh_keys(&metadata, calendar).await {
                Ok(found) => Found { metadata, is_latest } = found,
                // It had no such key a moment ago.
                Err(Unavailable::AskedJustNow) => {
                    return Err(SignInError::IdToken(IdTokenFault::Signature));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn verify_with(
        &self,
        token: &Token,
        metadata: &Metadata,
        secrets: &Secrets,
        now: WallTime,
    ) -> Result<IdTokenClaims<Claims, CoreGenderClaim>, Error> {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        let now = Duration::from_millis(millis);
        let latest_issue = i64::try_from((now + SKEW).as_millis()).unwrap_or(i64::MAX);
        let keys = metadata.jwks().clone();
        let (client_id, issuer) = (self.client_id.clone(), self.issuer.url().clone());
        // That of a public client takes no HMAC, whatever the token says.
        let verifier = IdTokenVerifier::new_public_client(client_id, issuer, keys)
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(|| (SystemTime::UNIX_EPOCH + now.saturating_sub(SKEW)).into())
            .set_issue_time_verifier_fn(|issued| {
                let past = issued.timestamp_millis() <= latest_issue;
                if past { Ok(()) } else { Err(String::new()) }
            });
        let claims = token.claims(&verifier, &secrets.nonce())?;
        let party = claims.authorized_party();
        if party.is_some_and(|party| *party != self.client_id) {
            return Err(Error::InvalidAudience(String::new()));
        }
        // OpenID Connect says nothing of it, so the library does not look; RFC 7519 does.
        if claims.additional_claims().begins_after((now + SKEW).as_secs_f64()) {
            return Err(Error::Expired(String::new()));
        }
        Ok(claims.clone())
    }

    /// What the provider says besides (OpenID Connect Core, section 5.3).
    async fn user_info(
        &self,
        endpoint: &UserInfoUrl,
        token: &str,
        subject: &str,
    ) -> Result<Claims, SignInError> {
        const UNCLEAR: SignInError = SignInError::Misunderstood("the answer of its UserInfo");
        let request = hyper::Request::get(endpoint.as_str())
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(Vec::new())
            .map_err(|_| UNCLEAR)?;
        let answer = self.outbound.ask(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(UNCLEAR);
        }
        let claims = serde_json::from_slice(answer.body()).ok().and_then(Claims::of);
        let claims = claims.ok_or(UNCLEAR)?;
        // It must be of the person that the ID token is of.
        if claims.text("sub") == Some(subject) { Ok(claims) } else { Err(UNCLEAR) }
    }
}

fn secret(section: &OpenIdSection) -> Result<Option<ClientSecret>, ProvidersError> {
    match (&section.client_secret, &section.client_secret_file) {
        (Some(_), Some(_)) => Err(ProvidersError::TwoSecrets(section.name.clone())),
        (Some(secret), None) if secret.secret().is_empty() => Err(ProvidersError::Empty {
            setting: format!("oidc {:?}: client_secret", section.name),
        }),
        (secret, None) => Ok(secret.clone()),
        (None, Some(path)) => secret_file(path).map(Some),
    }
}

/// Whether a signature that none of the known keys has made could be made by one that is newer. A
/// bad one under the name of a known key is not; but a provider with a single key need not name it
/// (section 10.1), nor the next one.
fn may_be_by_a_new_key(fault: &Fault, token: &Token) -> bool {
    matches!(fault, Fault::NoMatchingKey)
        || matches!(fault, Fault::CryptoError(_) | Fault::AmbiguousKeyId(_)) && names_no_key(token)
}

/// Whether the header of a token has no `kid`.
fn names_no_key(token: &Token) -> bool {
    let token = token.to_string();
    let header =
        token.split('.').next().and_then(|header| BASE64_URL_SAFE_NO_PAD.decode(header).ok());
    let header = header.and_then(|header| serde_json::from_slice::<Value>(&header).ok());
    header.is_some_and(|header| header.get("kid").is_none_or(Value::is_null))
}

/// What is wrong, without what the token says.
fn fault(error: &Error) -> IdTokenFault {
    if matches!(error, Error::SignatureVerification(_)) {
        IdTokenFault::Signature
    } else if matches!(error, Error::InvalidIssuer(_)) {
        IdTokenFault::Issuer
    } else if matches!(error, Error::InvalidAudience(_)) {
        IdTokenFault::Audience
    } else if matches!(error, Error::InvalidNonce(_)) {
        IdTokenFault::Nonce
    } else if matches!(error, Error::Expired(_)) {
        IdTokenFault::Time
    } else {
        IdTokenFault::Unknown
    }
}
