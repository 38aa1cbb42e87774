//! Workload identity: a CI job or a pod shows the token that its issuer gave it, and the trust
//! rules of the settings file say which account that opens, and how far.
//!
//! - [`section`]: a rule as it is written, and what must hold of one;
//! - [`rules`]: a rule, and what it takes to match it;
//! - [`jwt`]: tokens as issuers sign them;
//! - [`jwk`]: the keys of an issuer, and what was signed with them;
//! - [`keys`]: how keys are come by, how often, and how old they may get;
//! - [`once`]: which tokens were used, of those that are accepted once;
//! - [`refusal`]: why a token is not accepted.

mod jwk;
mod jwt;
pub mod keys;
mod once;
mod refusal;
pub mod rules;
mod section;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use jwk::Algorithm;
pub use once::OneUse;
pub use refusal::Refusal;
pub use section::{RuleError, TrustSection};

use jwt::{Claims, Unverified};
use keys::{Fetch, IssuerKeys, Unavailable};
use octostore_actors::{
    domain::{account::scope::Scope, values::AccountName, values::WallTime},
    time::Instant,
};
use once::{CannotUse, Mark, Used};
use rules::{RuleName, TrustRule};
use std::{sync::Arc, time::Duration};

/// How many used tokens are remembered: about 10 MiB.
const USED_CAPACITY: usize = 100_000;

/// The trust rules at work.
pub struct Workload<F> {
    issuers: Vec<Issuer<F>>,
    used: Arc<Used>,
}

/// An issuer, and the rules about it in the order of the file.
struct Issuer<F> {
    name: String,
    keys: Arc<IssuerKeys<F>>,
    rules: Vec<TrustRule>,
}

/// Whom a token stands for.
#[derive(Debug)]
pub struct Admission {
    /// The rule that says so.
    pub rule: RuleName,
    /// The account.
    pub account: AccountName,
    /// What a token of ours may do at most.
    pub scope: Scope,
    /// How long it may live at most.
    pub longest: Duration,
    /// Whom the issuer says it is about, for the audit log.
    pub subject: String,
    /// What must be marked before it is traded, if its rule accepts a token once.
    once: Option<(Mark, WallTime)>,
}

/// Why a token is not traded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// It never will be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nothing can be said about it at present.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// It is accepted once, and no more such tokens can be remembered at present.
    #[error("as many tokens as can be remembered were used and have not expired")]
    TooManyUsed,
}

impl<F: Fetch> Workload<F> {
    /// Sets these rules to work; keys are asked for with `fetch`.
    pub fn new(rules: Vec<TrustRule>, fetch: F, now: Instant) -> Self {
        let fetch = Arc::new(fetch);
        let mut issuers: Vec<Issuer<F>> = Vec::new();
        for rule in rules {
            if let Some(claim) = rule.renamable() {
                tracing::warn!(
                    rule = %rule.name, %claim,
                    "this rule trusts a name that can be renamed, and taken over by a stranger: \
                     ask for repository_id or repository_owner_id, too"
                );
            }
            match issuers.iter_mut().find(|issuer| issuer.name == rule.issuer) {
                Some(issuer) => issuer.rules.push(rule),
                None => issuers.push(Issuer {
                    name: rule.issuer.clone(),
                    keys: IssuerKeys::new(&rule.issuer, rule.keys.clone(), Arc::clone(&fetch), now),
                    rules: vec![rule],
                }),
            }
        }
        Self { issuers, used: Arc::new(Used::new(USED_CAPACITY)) }
    }

    /// Whether there is no rule, and so nothing to trade.
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Whom `token` stands for at the time `wall`, which is `now` on the lease clock: what the
    /// first rule says that matches. Of its claims none but `iss` is looked at before its
    /// signature has been verified.
    ///
    /// # Errors
    /// See [`AdmitError`].
    pub async fn admit(
        &self,
        token: &str,
        wall: WallTime,
        now: Instant,
    ) -> Result<Admission, AdmitError> {
        let token = Unverified::read(token)?;
        let name = token.issuer()?;
        let issuer = self.issuers.iter().find(|issuer| issuer.name == name);
        let issuer = issuer.ok_or(Refusal::UnknownIssuer)?;
        let algorithm = token.algorithm();
        if !issuer.rules.iter().any(|rule| rule.algorithms.contains(&algorithm)) {
            return Err(Refusal::Algorithm(algorithm).into());
        }
        let claims = issuer.verify(&token, now).await?;
        let end = claims.check_times(wall)?;
        let rule = issuer.rule_for(algorithm, &claims)?;
        Ok(Admission {
            rule: rule.name.clone(),
            account: rule.account.clone(),
            scope: rule.scope.clone(),
            longest: rule.longest,
            subject: claims.subject().unwrap_or("(no sub)").to_owned(),
            once: rule.single_use.then(|| (claims.mark(name), end)),
        })
    }

    /// Uses a token that is accepted once; does nothing for any other. To be called last, when
    /// nothing else stands against the trade.
    ///
    /// # Errors
    /// It was used, or nobody could remember that it was.
    pub fn use_up(&self, admission: &Admission, now: WallTime) -> Result<OneUse, AdmitError> {
        OneUse::begin(&self.used, admission.once, now).map_err(|why| match why {
            CannotUse::Again => Refusal::Used.into(),
            CannotUse::Full => AdmitError::TooManyUsed,
        })
    }
}

impl<F: Fetch> Issuer<F> {
    /// What the token says, if this issuer has signed it.
    async fn verify(&self, token: &Unverified<'_>, now: Instant) -> Result<Claims, AdmitError> {
        let keys = self.keys.current(now).await?;
        match token.verify(&keys) {
            Err(Refusal::UnknownKey) => Ok(token.verify(&*self.keys.again(now).await?)?),
            verified => Ok(verified?),
        }
    }

    /// The first rule that matches.
    fn rule_for(&self, algorithm: Algorithm, claims: &Claims) -> Result<&TrustRule, Refusal> {
        for rule in &self.rules {
            match rule.check(algorithm, claims) {
                Ok(()) => return Ok(rule),
                Err(mismatch) => {
                    tracing::debug!(rule = %rule.name, %mismatch, "the rule does not match");
                }
            }
        }
        Err(Refusal::NoRule)
    }
}
