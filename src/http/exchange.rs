//! Token exchange (RFC 8693): a workload trades the token of its issuer for one of ours.

use super::{
    Context, Reply,
    accounts::ask_to_admit,
    caller::{IS_DISABLED, failed_to_sign_in, may_try_to_sign_in, provenance, refused},
    delivery::Fragile,
    error::ApiError,
    json,
    oauth::{OAuthError, Parameters},
};
use crate::{
    auth::{
        BearerToken,
        workload::{Admission, AdmitError},
    },
    ids,
};
use hyper::StatusCode;
use octostore_actors::domain::{
    account::{
        AccountCommand, NewToken, Origin, Subject, Token, TokenName, TokenSource, scope::Scope,
    },
    audit::{Action, Who},
    values::Quota,
};
use serde::Serialize;
use std::time::Duration;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// How many tokens of this kind an account may have at once. Many more than others: a build may
/// have hundreds of jobs, and none of their tokens outlives the hour.
const TOKENS_AT_ONCE: Quota = Quota::new(10_000);

/// `POST /auth/token` with the grant of RFC 8693. Beyond it there is `expires_in`: how many
/// seconds the token shall live, which is never more than its trust rule says. `audience` and
/// `resource` are not looked at: what is given out is for this server alone.
pub async fn exchange(context: &Context<'_>, asked: &Parameters) -> Result<Reply, OAuthError> {
    let asked = Asked::read(asked)?;
    let (workload, calendar) = (&context.service.workload, &context.service.calendar);
    let admitted = workload.admit(asked.subject_token, calendar.wall(), calendar.now()).await;
    let admission = match admitted {
        Ok(admission) => admission,
        Err(error) => return Err(not_admitted(context, error).await),
    };
    let scope = match asked.scope_within(&admission.scope) {
        Ok(scope) => scope,
        Err(error) => {
            let why = format!("rule {}: asks for more than it gives", admission.rule);
            refused(context, Who::Stranger, Action::TokenExchange, &why).await;
            return Err(error);
        }
    };
    let life = asked.expires_in.map_or(admission.longest, |life| life.min(admission.longest));
    let once = match workload.use_up(&admission, calendar.wall()) {
        Ok(once) => once,
        Err(error) => return Err(not_admitted(context, error).await),
    };
    match issue(context, &admission, scope, life).await {
        Ok(reply) => {
            // It is used for good when our token has reached whoever asked.
            context.delivery.holds(Fragile::Exchange(once));
            Ok(reply)
        }
        Err(error) => {
            if !has_bought_nothing(&error) {
                once.spend();
            }
            Err(error.into())
        }
    }
}

/// Whether it is certain that no token of ours was issued: then one that is accepted once may be
/// shown again.
fn has_bought_nothing(error: &ApiError) -> bool {
    !matches!(error, ApiError::OutcomeUnknown)
}

/// What is asked for.
struct Asked<'a> {
    subject_token: &'a str,
    scope: Option<Scope>,
    expires_in: Option<Duration>,
}

impl<'a> Asked<'a> {
    fn read(parameters: &'a Parameters) -> Result<Self, OAuthError> {
        if !matches!(parameters.required("subject_token_type")?, JWT | ID_TOKEN) {
            return Err(OAuthError::Parameter(
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:jwt or urn:ietf:params:oauth:token-type:id_token",
            ));
        }
        if parameters.get("requested_token_type").is_some_and(|wanted| wanted != ACCESS_TOKEN) {
            return Err(OAuthError::Parameter("requested_token_type", ACCESS_TOKEN));
        }
        for delegation in ["actor_token", "actor_token_type"] {
            if parameters.get(delegation).is_some() {
                return Err(OAuthError::Parameter(delegation, "left out: nobody acts for others"));
            }
        }
        let seconds = |text: &str| text.parse().ok().filter(|&seconds: &u64| seconds > 0);
        let whole = OAuthError::Parameter("expires_in", "a whole number of seconds from 1");
        Ok(Self {
            subject_token: parameters.required("subject_token")?,
            scope: parameters.get("scope").map(str::parse).transpose()?,
            expires_in: match parameters.get("expires_in") {
                Some(text) => Some(Duration::from_secs(seconds(text).ok_or(whole)?)),
                None => None,
            },
        })
    }

    /// The scope that the token gets: what is asked for, or all there is.
    fn scope_within(&self, given: &Scope) -> Result<Scope, OAuthError> {
        match &self.scope {
            None => Ok(given.clone()),
            Some(scope) if scope.is_within(given) => Ok(scope.clone()),
            Some(_) => Err(OAuthError::ScopeExceeds),
        }
    }
}

/// Says that a token is not accepted, and keeps the reason here. Only failures are throttled:
/// nobody guesses a signature, and runners share addresses with strangers.
async fn not_admitted(context: &Context<'_>, error: AdmitError) -> OAuthError {
    let request_id = context.request_id.as_str();
    match error {
        AdmitError::Refused(why) => {
            if let Err(too_many) = may_try_to_sign_in(context) {
                return too_many.into();
            }
            tracing::debug!(request_id, %why, "a token of an issuer is not accepted");
            let why = why.to_string();
            failed_to_sign_in(context, Who::Stranger, Action::TokenExchange, &why).await;
            OAuthError::SubjectToken
        }
        AdmitError::Unavailable(_) => {
            OAuthError::Unavailable("The keys of the issuer cannot be had at present")
        }
        AdmitError::TooManyUsed => {
            tracing::warn!(request_id, %error, "a token that is accepted once is turned away");
            OAuthError::Unavailable("Too many tokens that are accepted once were used")
        }
    }
}

async fn issue(
    context: &Context<'_>,
    admission: &Admission,
    scope: Scope,
    life: Duration,
) -> Result<Reply, ApiError> {
    let bearer = BearerToken::generate();
    let now = context.service.calendar.wall();
    let command = AccountCommand::Admit {
        origin: Origin::Static,
        subject: Subject::from(&admission.account),
        name: admission.account.clone(),
        account: ids::account_id(),
        token: NewToken {
            hash: bearer.hash(),
            id: ids::token_id(),
            name: token_name(admission)?,
            source: TokenSource::Workload,
            scope: Some(scope),
            expires_at: Some(now.plus_seconds(life.as_secs())),
        },
        quota: TOKENS_AT_ONCE,
        action: Action::TokenExchange,
        by: provenance(context, Who::Stranger),
    };
    let disabled = format!("rule {}: {IS_DISABLED}", admission.rule);
    let (_, token) = ask_to_admit(context, command, Action::TokenExchange, &disabled).await?;
    Ok(json(StatusCode::OK, &TokenBody::of(&bearer, &token, life)))
}

/// What our token is called, also in the audit log: the rule that gave it, and whom the issuer
/// says it is about, as far as there is room.
fn token_name(admission: &Admission) -> Result<TokenName, ApiError> {
    let text = format!("{}: {}", admission.rule, admission.subject);
    let name: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
    Ok(TokenName::new(&name)?)
}

/// RFC 8693, section 2.2.1.
#[derive(Serialize)]
struct TokenBody<'a> {
    access_token: &'a str,
    issued_token_type: &'static str,
    token_type: &'static str,
    expires_in: u64,
    scope: String,
}

impl<'a> TokenBody<'a> {
    fn of(bearer: &'a BearerToken, token: &Token, life: Duration) -> Self {
        Self {
            access_token: bearer.reveal(),
            issued_token_type: ACCESS_TOKEN,
            token_type: "Bearer",
            expires_in: life.as_secs(),
            scope: token.scope.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_bought_a_token_is_not_accepted_again() {
        assert!(!has_bought_nothing(&ApiError::OutcomeUnknown));
        for certain in [ApiError::AccountDisabled, ApiError::StoreFull, ApiError::Overloaded] {
            assert!(has_bought_nothing(&certain), "{certain}");
        }
    }
}
