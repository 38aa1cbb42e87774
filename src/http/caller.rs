//! Who is asking: the account of a bearer token, or an administrator; and from where.

use super::{Context, error::ApiError, session};
use crate::{
    app::Service,
    auth::{BearerToken, Denied, Identity, NotAuthenticated, address, throttle::Open},
};
use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HeaderName},
};
use octostore_actors::{
    domain::{
        account::{
            AccountCommand, AccountOutcome,
            scope::{Access, Area},
        },
        audit::{Action, AuditEntry, AuditOutcome, AuditText, Provenance, Who},
        values::AccountId,
    },
    reply::Lost,
};

/// The other way to show the key of the administrator.
const X_ADMIN_KEY: HeaderName = HeaderName::from_static("x-admin-key");

/// A secret that is shorter can be guessed by trying, and is refused while its address is
/// throttled. Longer ones get through, so that nobody is locked out by a neighbour's mistakes.
const GUESSABLE_BELOW: usize = 20;

/// What the audit log says of somebody who is not let in because an administrator has said so.
pub(super) const IS_DISABLED: &str = "the account is disabled";

/// The account that sends this, by exactly one `Authorization: Bearer TOKEN`, or by the session of
/// the dashboard. An unknown token and a malformed header are refused in the same words.
///
/// # Errors
/// No token, or one that opens nothing; the account is disabled, or asks too fast; the address
/// has shown too many wrong tokens.
pub fn authenticate(context: &Context<'_>) -> Result<Identity, ApiError> {
    match bearer(&context.head.headers) {
        Some(token) => authenticate_with(context, token),
        None => match session::token(context) {
            Some(token) => authenticate_with(context, &token),
            // What is no token at all is as good as a wrong one.
            None if context.head.headers.contains_key(AUTHORIZATION) => Err(wrong_token(context)),
            None => Err(ApiError::Unauthorized),
        },
    }
}

/// The account of this token, which the request has shown in one way or another.
///
/// # Errors
/// As [`authenticate`].
pub fn authenticate_with(context: &Context<'_>, token: &[u8]) -> Result<Identity, ApiError> {
    let service = context.service;
    let now = service.calendar.wall();
    match service.directory.authenticate(token, now) {
        Ok(identity) => {
            may_show(context, token)?;
            identity.keep_pace(|| service.calendar.now()).map_err(ApiError::TooFast)?;
            if let Some(token) = identity.used(now) {
                // Nobody waits for it.
                drop(service.accounts.ask(AccountCommand::Used { token, at: now }));
            }
            Ok(identity)
        }
        Err(NotAuthenticated::Unknown) => Err(wrong_token(context)),
        Err(NotAuthenticated::Disabled) => {
            may_show(context, token)?;
            Err(ApiError::AccountDisabled)
        }
    }
}

/// Whether it may be said that this token is a right one: one that could be guessed is not told from
/// others while its address is throttled.
fn may_show(context: &Context<'_>, token: &[u8]) -> Result<(), ApiError> {
    if is_guessable(token) { may_try_tokens(context) } else { Ok(()) }
}

/// Whether a secret is so short that somebody might guess it.
pub(super) fn is_guessable(secret: &[u8]) -> bool {
    secret.len() < GUESSABLE_BELOW
}

/// Counts a wrong token, and says what its address is told.
pub(super) fn wrong_token(context: &Context<'_>) -> ApiError {
    match may_try_tokens(context) {
        Ok(()) => {
            let now = context.service.calendar.now();
            context.service.gate.wrong_tokens.failed(&context.address(), now);
            ApiError::Unauthorized
        }
        Err(too_many) => too_many,
    }
}

fn may_try_tokens(context: &Context<'_>) -> Result<(), ApiError> {
    let now = context.service.calendar.now();
    let checked = context.service.gate.wrong_tokens.check(&context.address(), now);
    checked.map_err(ApiError::TooManyFailures)
}

/// An administrator, who was let in.
pub struct Administrator {
    /// For the audit log.
    pub by: Provenance,
    /// Its account; whoever has the key has none.
    identity: Option<Identity>,
}

impl Administrator {
    /// Whether this is the administrator's own account.
    pub fn is(&self, account: AccountId) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.account().id == account)
    }

    /// Whether it is still an administrator, and its token still good: what takes its time must
    /// not outlive either.
    ///
    /// # Errors
    /// It is not, or has none.
    pub fn may_go_on(&self, service: &Service) -> Result<(), ApiError> {
        let Some(identity) = &self.identity else { return Ok(()) };
        if !identity.is_current(service.calendar.wall()) {
            return Err(no_longer(service, identity));
        }
        if service.directory.is_admin(identity.account().id) {
            Ok(())
        } else {
            Err(ApiError::Denied(Denied::NotAdmin))
        }
    }
}

/// Why a token that was good when it was shown is good no more.
pub fn no_longer(service: &Service, identity: &Identity) -> ApiError {
    if service.directory.is_disabled(identity.account().id) {
        ApiError::AccountDisabled
    } else {
        ApiError::Unauthorized
    }
}

/// Whoever may do this as an administrator: by the key of the administrator, as a bearer token or
/// in `X-Admin-Key`, or by a token of an account that is one. `name` is what it is done to, and
/// empty where that has none. Wrong keys and tokens count as failed sign-ins, and to show none does
/// not; whoever shows a wrong key is not let in by a token beside it, or any token would be good for
/// guessing the key.
///
/// # Errors
/// As [`authenticate`]; the account is no administrator; its token lacks the scope.
pub async fn administrator(
    context: &Context<'_>,
    (area, access): (Area, Access),
    name: &str,
) -> Result<Administrator, ApiError> {
    let headers = &context.head.headers;
    let key = headers.get(X_ADMIN_KEY).map(|key| key.as_bytes());
    let shown = key.or_else(|| bearer(headers));
    let session = if shown.is_none() { session::token(context) } else { None };
    let secret = shown.or(session.as_deref());
    // What is malformed counts as a guess; whoever shows nothing has made none.
    let is_guess = secret.is_some() || headers.contains_key(AUTHORIZATION);
    if is_guess && secret.is_none_or(is_guessable) {
        may_try_to_sign_in(context)?;
    }
    if shown.is_some_and(|shown| context.service.gate.is_admin_key(shown)) {
        return Ok(Administrator { by: provenance(context, Who::AdminKey), identity: None });
    }
    let known = if key.is_some() { Err(ApiError::Unauthorized) } else { authenticate(context) };
    let identity = match known {
        Ok(identity) => identity,
        Err(ApiError::Unauthorized) => {
            let why = "no such key or token";
            if is_guess {
                may_try_to_sign_in(context)?;
                failed_to_sign_in(context, Who::Stranger, Action::AdminAccess, why).await;
            } else {
                refused(context, Who::Stranger, Action::AdminAccess, why).await;
            }
            return Err(ApiError::Unauthorized);
        }
        Err(error) => {
            if let (ApiError::AccountDisabled, Some(token)) = (&error, secret) {
                refused_as_disabled(context, token, Action::AdminAccess).await;
            }
            // It is known who asks, or nobody looked.
            return Err(error);
        }
    };
    match identity.may_administer(area, access, name) {
        Ok(()) => {
            Ok(Administrator { by: provenance(context, identity.who()), identity: Some(identity) })
        }
        Err(denied) => {
            refused(context, identity.who(), Action::AdminAccess, area.as_str()).await;
            Err(ApiError::Denied(denied))
        }
    }
}

/// Who, from where, when: for the audit log.
pub fn provenance(context: &Context<'_>, who: Who) -> Provenance {
    Provenance {
        who,
        from: AuditText::truncated(&context.address().to_string()),
        request: AuditText::truncated(context.request_id.as_str()),
        at: context.service.calendar.wall(),
    }
}

/// Whether this address may try to sign in.
///
/// # Errors
/// It has failed too often.
pub fn may_try_to_sign_in(context: &Context<'_>) -> Result<(), ApiError> {
    let now = context.service.calendar.now();
    let checked = context.service.gate.sign_ins.check(&context.address(), now);
    checked.map_err(ApiError::TooManyFailures)
}

/// An attempt to get in has failed: it counts against the address, and is put into the audit log.
pub async fn failed_to_sign_in(context: &Context<'_>, who: Who, action: Action, why: &str) {
    let now = context.service.calendar.now();
    context.service.gate.sign_ins.failed(&context.address(), now);
    refused(context, who, action, why).await;
}

/// A try to sign in of which somebody else has to say how it ends. Until then it counts as failed, so
/// that of many at once no more go on than may fail; and if it is dropped, because whoever tries has hung
/// up, it has failed.
pub struct Try<'a> {
    context: &'a Context<'a>,
    open: Option<Open>,
}

impl<'a> Try<'a> {
    /// One that begins now.
    ///
    /// # Errors
    /// As [`may_try_to_sign_in`].
    pub fn begin(context: &'a Context<'a>) -> Result<Self, ApiError> {
        let service = context.service;
        let begun = service.gate.sign_ins.begin(&context.address(), service.calendar.now());
        Ok(Self { context, open: Some(begun.map_err(ApiError::TooManyFailures)?) })
    }

    /// It has failed: that counts, and is put into the audit log.
    pub async fn failed(mut self, why: &str) {
        self.end(true);
        refused(self.context, Who::Stranger, Action::SignIn, why).await;
    }

    /// It counts no more.
    pub fn forgive(mut self) {
        self.end(false);
    }

    fn end(&mut self, has_failed: bool) {
        let service = self.context.service;
        if let Some(open) = self.open.take() {
            let at = has_failed.then(|| service.calendar.now());
            service.gate.sign_ins.end(&open, at);
        }
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        if self.open.is_some() {
            self.end(true);
            let why = "it broke off before the provider had answered";
            // Nobody is left to wait for it.
            drop(note_refusal(self.context, Who::Stranger, Action::SignIn, why));
        }
    }
}

/// Puts into the audit log that something was refused, and why. So many in a minute, from everywhere
/// together: nobody may wash out of the log what was done.
pub async fn refused(context: &Context<'_>, who: Who, action: Action, why: &str) {
    if let Some(noted) = note_refusal(context, who, action, why)
        && let Err(error) = noted.await
    {
        tracing::warn!(%error, action = action.as_str(), "a refusal is not in the audit log");
    }
}

/// The same of an account that is disabled, whose token was shown.
pub async fn refused_as_disabled(context: &Context<'_>, token: &[u8], action: Action) {
    let owner = context.service.directory.owner(token, context.service.calendar.wall());
    let who = owner.map_or(Who::Stranger, |owner| owner.who());
    refused(context, who, action, IS_DISABLED).await;
}

/// As [`refused`], but leaves it to the caller to wait for it; `None` if the log takes no more.
fn note_refusal(
    context: &Context<'_>,
    who: Who,
    action: Action,
    why: &str,
) -> Option<impl Future<Output = Result<AccountOutcome, Lost>> + use<>> {
    let may_note = context.service.gate.may_note_refusal(who, context.service.calendar.now());
    may_note.then(|| {
        let entry = AuditEntry {
            by: provenance(context, who),
            action,
            target: AuditText::truncated(context.head.uri.path()),
            outcome: AuditOutcome::Refused,
            detail: Some(AuditText::truncated(why)),
        };
        context.service.accounts.ask(AccountCommand::Note(entry))
    })
}

/// The one bearer token of a request, if there is exactly one (RFC 6750, section 2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => bearer_in(value.as_bytes()),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

/// The token in the value of an `Authorization` header.
fn bearer_in(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked("Bearer ".len())?;
    let token = rest.trim_ascii();
    let known = scheme.eq_ignore_ascii_case(b"Bearer ");
    let bounded = (1..=BearerToken::MAX_LENGTH).contains(&token.len());
    (known && bounded).then_some(token)
}

impl Context<'_> {
    /// Where the request comes from.
    pub(super) fn address(&self) -> address::Address {
        address::client(self.peer, &self.head.headers, &self.service.gate.trusted_proxies)
    }
}

#[cfg(test)]
mod tests {
    use super::bearer_in;

    #[test]
    fn a_bearer_token_is_found_and_nothing_else_is() {
        assert_eq!(bearer_in(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer_in(b"bearer  abc "), Some(&b"abc"[..]));
        let long = [b"Bearer ".as_slice(), &[b'x'; 513]].concat();
        for bad in [&b""[..], b"Bearer", b"Bearer ", b"Basic abc", b"Bearerabc", b"abc", &long] {
            assert_eq!(bearer_in(bad), None, "{bad:?}");
        }
    }
}
