//! GitHub: OAuth 2, and its API to say who somebody is.
//!
//! What is not as one would think: GitHub answers a code it does not take with 200 and an `error`
//! in the body; a login is renamed at will and given to others, so accounts go by the numeric id;
//! and nobody without a `User-Agent` is answered.

use super::{
    Callback, Person, PersonKey, ProvidersError, Secrets, SignInError, not_exchanged, picture,
    settings::{GitHubSettings, allowed, protected_url, redirect_url},
};
use crate::{
    auth::outbound::{Exchange, Outbound, OutboundError},
    settings::Secret,
};
use hyper::{
    StatusCode,
    header::{ACCEPT, AUTHORIZATION},
};
use oauth2::{
    AccessToken, AsyncHttpClient, AuthUrl, AuthorizationCode, ClientId, ClientSecret,
    EndpointNotSet, EndpointSet, HttpRequest, TokenResponse, TokenUrl,
    basic::{BasicClient, BasicTokenResponse},
};
use octostore_actors::domain::values::AccountName;
use openidconnect::url::Url;
use serde::Deserialize;

/// GitHub, or an Enterprise host of it.
#[derive(Debug)]
pub struct GitHub {
    client: BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>,
    /// `GET` this, and GitHub says who the token is of.
    user: Url,
    /// Whose numbers its people go by; `None` is github.com.
    host: Option<String>,
    allowed: Option<Vec<u64>>,
    outbound: Outbound,
}

impl GitHub {
    /// GitHub as the settings have it; `None` if they do not.
    ///
    /// # Errors
    /// See [`ProvidersError`].
    pub fn new(
        settings: &GitHubSettings<'_>,
        outbound: &Outbound,
    ) -> Result<Option<Self>, ProvidersError> {
        const ID: &str = "GITHUB_CLIENT_ID";
        const SECRET: &str = "GITHUB_CLIENT_SECRET";
        let set = |text: Option<&'_ str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let id = set(settings.client_id);
        let (id, secret) = match (id, set(settings.client_secret.map(Secret::reveal))) {
            (Some(id), Some(secret)) => (id, secret),
            (None, None) => return check_urls(settings).map(|()| None),
            (Some(_), None) => {
                return Err(ProvidersError::Incomplete { there: ID, missing: SECRET });
            }
            (None, Some(_)) => {
                return Err(ProvidersError::Incomplete { there: SECRET, missing: ID });
            }
        };
        let (oauth, api) = hosts(set(settings.oauth_url), set(settings.api_url))?;
        let mut client = BasicClient::new(ClientId::new(id))
            .set_client_secret(ClientSecret::new(secret))
            .set_auth_type(oauth2::AuthType::RequestBody)
            .set_auth_uri(AuthUrl::from_url(below(&oauth, "authorize")))
            .set_token_uri(TokenUrl::from_url(below(&oauth, "access_token")));
        if let Some(uri) = set(settings.redirect_uri) {
            client = client.set_redirect_uri(redirect_url(REDIRECT, &uri)?);
        }
        let section = settings.section.and_then(|section| section.allowed_user_ids.as_deref());
        Ok(Some(Self {
            client,
            user: below(&api, "user"),
            host: oauth.host_str().filter(|&host| host != "github.com").map(str::to_owned),
            allowed: allowed("github: allowed_user_ids", section)?,
            outbound: outbound.clone(),
        }))
    }

    /// Where the browser is to go. No scope is asked for: who somebody is, is public.
    pub fn location(&self, secrets: &Secrets) -> Url {
        let request = self.client.authorize_url(|| secrets.state());
        request.set_pkce_challenge(secrets.challenge()).url().0
    }

    /// Learns who comes back with this code.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn finish(
        &self,
        callback: Callback<'_>,
        secrets: &Secrets,
    ) -> Result<Person, SignInError> {
        let token = self.exchange(callback.code, secrets).await?;
        let user = self.user(token.access_token()).await?;
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(&user.id)) {
            return Err(SignInError::NotAllowed("allowed_user_ids"));
        }
        let name = AccountName::new(&user.login);
        Ok(Person {
            key: PersonKey::GitHub { host: self.host.clone(), id: user.id },
            name: name.map_err(|_| SignInError::NoName("login".to_owned()))?,
            avatar_url: user.avatar_url.as_deref().and_then(picture),
        })
    }

    /// Where browsers come back to, as far as the settings say.
    pub fn returns_to(&self) -> Option<&Url> {
        self.client.redirect_uri().map(|uri| uri.url())
    }

    async fn exchange(
        &self,
        code: &str,
        secrets: &Secrets,
    ) -> Result<BasicTokenResponse, SignInError> {
        self.client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(secrets.verifier())
            .request_async(&TokenEndpoint(&self.outbound))
            .await
            .map_err(not_exchanged)
    }

    async fn user(&self, token: &AccessToken) -> Result<User, SignInError> {
        const UNCLEAR: SignInError = SignInError::Misunderstood("what GitHub says of the user");
        let request = hyper::Request::get(self.user.as_str())
            .header(ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .header(AUTHORIZATION, format!("Bearer {}", token.secret()))
            .body(Vec::new())
            .map_err(|_| UNCLEAR)?;
        let answer = self.outbound.ask(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(UNCLEAR);
        }
        serde_json::from_slice(answer.body()).map_err(|_| UNCLEAR)
    }
}

/// GitHub's token endpoint, where an answer with an error in it is no success.
struct TokenEndpoint<'a>(&'a Outbound);

impl<'a> AsyncHttpClient<'a> for TokenEndpoint<'_> {
    type Error = OutboundError;
    type Future = Exchange<'a>;

    fn call(&'a self, request: HttpRequest) -> Exchange<'a> {
        #[derive(Deserialize)]
        struct Failure {
            #[serde(rename = "error")]
            _error: String,
        }
        Box::pin(async {
            let mut answer = self.0.ask(request).await?;
            if serde_json::from_slice::<Failure>(answer.body()).is_ok() {
                *answer.status_mut() = StatusCode::BAD_REQUEST;
            }
            Ok(answer)
        })
    }
}

/// What `GET /user` says, as far as it is wanted.
#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
    avatar_url: Option<String>,
}

const REDIRECT: &str = "GITHUB_REDIRECT_URI";
const OAUTH: &str = "GITHUB_OAUTH_URL";
const API: &str = "GITHUB_API_URL";

/// Looks at the URLs although nobody signs in with GitHub: whoever sets one means it.
fn check_urls(settings: &GitHubSettings<'_>) -> Result<(), ProvidersError> {
    let set = |text: &&str| !text.is_empty();
    if let Some(uri) = settings.redirect_uri.filter(set) {
        redirect_url(REDIRECT, uri)?;
    }
    for (setting, url) in [(OAUTH, settings.oauth_url), (API, settings.api_url)] {
        if let Some(url) = url.filter(set) {
            protected_url(setting, url)?;
        }
    }
    Ok(())
}

/// Where the pages and the API are.
fn hosts(oauth: Option<String>, api: Option<String>) -> Result<(Url, Url), ProvidersError> {
    let oauth_url = protected_url(OAUTH, oauth.as_deref().unwrap_or("https://github.com"))?;
    let api_url = match (&oauth, api) {
        // The token of one host is never shown to another.
        (None, Some(_)) => return Err(ProvidersError::ApiAlone),
        (Some(_), Some(api)) => protected_url(API, &api)?,
        (Some(_), None) => below(&oauth_url, "api/v3"),
        (None, None) => protected_url(API, "https://api.github.com")?,
    };
    let given_whole = oauth_url.path().trim_end_matches('/').ends_with("/login/oauth");
    let oauth_url = if given_whole { oauth_url } else { below(&oauth_url, "login/oauth") };
    Ok((oauth_url, api_url))
}

/// `path` below `base`, whether or not that ends in a slash.
fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::sign_in::GitHubSection;
    use std::sync::LazyLock;

    static SECRET: LazyLock<Secret> = LazyLock::new(|| "hunter2".parse().unwrap());

    fn settings<'a>() -> GitHubSettings<'a> {
        GitHubSettings {
            client_id: Some("id"),
            client_secret: Some(&SECRET),
            ..GitHubSettings::default()
        }
    }

    fn github(settings: &GitHubSettings<'_>) -> GitHub {
        GitHub::new(settings, &Outbound::new()).unwrap().unwrap()
    }

    #[test]
    fn the_browser_is_sent_to_github_with_state_and_challenge_alone() {
        let github = github(&settings());
        let secrets = Secrets::generate();
        let location = github.location(&secrets);
        assert!(location.as_str().starts_with("https://github.com/login/oauth/authorize?"));
        let query: Vec<_> = location.query_pairs().map(|(name, _)| name.into_owned()).collect();
        let sent =
            ["response_type", "client_id", "state", "code_challenge", "code_challenge_method"];
        assert_eq!(query, sent);
        assert!(!location.as_str().contains(&secrets.verifier) && github.returns_to().is_none());
        assert_eq!(github.user.as_str(), "https://api.github.com/user");
        assert!(!format!("{github:?}").contains("hunter2"));
    }

    #[test]
    fn an_enterprise_host_may_be_given_with_or_without_its_paths() {
        let host = |oauth, api| {
            let github =
                github(&GitHubSettings { oauth_url: Some(oauth), api_url: api, ..settings() });
            (github.client.token_uri().to_string(), github.user.to_string())
        };
        for oauth in ["https://g.example", "https://g.example/", "https://g.example/login/oauth/"] {
            let (token, _) = host(oauth, Some("https://g.example/api/v3/"));
            assert_eq!(token, "https://g.example/login/oauth/access_token");
        }
        let (_, user) = host("https://g.example", Some("https://api.g.example/"));
        assert_eq!(user, "https://api.g.example/user");
        let (_, user) = host("https://g.example", None);
        assert_eq!(user, "https://g.example/api/v3/user", "never a token to another host");
    }

    #[test]
    fn half_of_the_settings_is_an_error_that_names_the_other_half() {
        let none = GitHub::new(&GitHubSettings::default(), &Outbound::new());
        assert!(none.unwrap().is_none());
        let empty = GitHubSettings { client_id: Some(""), ..GitHubSettings::default() };
        assert!(GitHub::new(&empty, &Outbound::new()).unwrap().is_none());
        let nobody = GitHubSection { allowed_user_ids: Some(vec![]) };
        for (wrong, named) in [
            (GitHubSettings { client_secret: None, ..settings() }, "GITHUB_CLIENT_SECRET is not"),
            (GitHubSettings { client_id: None, ..settings() }, "GITHUB_CLIENT_ID is not"),
            (
                GitHubSettings { api_url: Some("https://a"), ..settings() },
                "GITHUB_OAUTH_URL is not",
            ),
            (GitHubSettings { oauth_url: Some("http://a.b"), ..settings() }, "GITHUB_OAUTH_URL"),
            (GitHubSettings { redirect_uri: Some("/cb"), ..settings() }, "GITHUB_REDIRECT_URI"),
            (GitHubSettings { section: Some(&nobody), ..settings() }, "allowed_user_ids"),
        ] {
            let error = GitHub::new(&wrong, &Outbound::new()).unwrap_err().to_string();
            assert!(error.contains(named) && !error.contains("hunter2"), "{error}");
        }
    }
}
