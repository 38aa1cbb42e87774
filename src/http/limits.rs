//! Rate limits over HTTP: check, get, reset, list.

use super::{
    Context, Reply,
    body::{self, BODY_LIMIT, Whole},
    error::ApiError,
    json_object,
    listing::Listed,
    object::Object,
    router::{RawName, Verb},
    wire::Stamp,
};
use crate::{app::Service, auth::Identity};
use hyper::{
    StatusCode,
    body::Incoming,
    header::{HeaderName, HeaderValue, RETRY_AFTER},
};
use octostore_actors::domain::{
    account::scope::{Access, Area},
    limiter::{
        InvalidPolicy, LimitCommand, LimitName, LimitOutcome, MaxRequests, Policy, RetryAfter,
        Standing, Window,
    },
    page::{Page, Selection},
    values::AccountId,
};
use serde::Deserialize;
use std::time::Duration;

/// IETF draft-ietf-httpapi-ratelimit-headers-10, section 4: how much is left, until when.
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The same, section 3: the quota and its window.
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// `POST /limits/{name}/check`
pub async fn check(
    context: &Context<'_>,
    identity: &Identity,
    name: RawName<'_>,
    body: &mut Incoming,
) -> Result<Reply, ApiError> {
    let name = LimitName::new(&name.text())?;
    let account = identity.may(Area::Limits, Access::Write, name.as_str())?;
    let asked: CheckBody = body::parse(&context.read(identity, body, BODY_LIMIT).await?)?;
    let policy = Policy {
        max_requests: MaxRequests::new(body::whole(asked.max_requests, "max_requests")?)?,
        window: Window::from_seconds(body::whole(asked.window_seconds, "window_seconds")?)?,
    };
    let cost = asked.cost.map_or(Some(1), Whole::as_u64).ok_or(InvalidPolicy::Cost)?;
    let command = LimitCommand::Check {
        account,
        name,
        policy,
        cost: policy.cost(cost)?,
        quota: identity.quotas().limits,
    };
    let answer = context.service.limiters.ask_at_once(command).await;
    context.service.counts.limits.count(&answer);
    respond(context, answer?)
}

/// `GET /limits/{name}`, `DELETE /limits/{name}`
pub async fn one(
    context: &Context<'_>,
    identity: &Identity,
    name: RawName<'_>,
    verb: Verb,
) -> Result<Reply, ApiError> {
    // A name that cannot be is of no limiter.
    let text = name.text();
    let account = identity.may(Area::Limits, verb.access(), &text)?;
    let name = LimitName::new(&text).map_err(|_| ApiError::LimitNotFound)?;
    let limiters = &context.service.limiters;
    let outcome = match verb {
        Verb::Delete => limiters.ask(LimitCommand::Delete { account, name }).await?,
        Verb::Get | Verb::Put | Verb::Post => {
            limiters.look(LimitCommand::Get { account, name }).await?
        }
    };
    respond(context, outcome)
}

/// The limiters of an account.
pub struct Limits;

impl Listed for Limits {
    type Item = Standing;
    const AREA: Area = Area::Limits;
    const KEY: &'static str = "limits";
    const TELLS_TOTAL: bool = false;

    async fn page(
        service: &Service,
        account: AccountId,
        selection: Selection,
    ) -> Result<Page<Standing>, ApiError> {
        let outcome = service.limiters.look(LimitCommand::List { account, selection }).await?;
        let LimitOutcome::Limits(page) = outcome else {
            unreachable!("a list is answered by a list");
        };
        Ok(page)
    }

    fn name(standing: &Standing) -> &str {
        standing.name.as_str()
    }

    fn object(service: &Service, standing: &Standing) -> Object {
        with_status(service, Object::new().with("name", standing.name.as_str()), standing)
    }
}

#[derive(Deserialize)]
pub(super) struct CheckBody {
    max_requests: Option<Whole>,
    window_seconds: Option<Whole>,
    cost: Option<Whole>,
}

fn respond(context: &Context<'_>, outcome: LimitOutcome) -> Result<Reply, ApiError> {
    match outcome {
        LimitOutcome::Admitted(standing) => {
            let body = with_standing(context.service, Object::new(), true, &standing, None);
            Ok(with_headers(context, &standing, json_object(StatusCode::OK, body)))
        }
        LimitOutcome::Refused(standing, retry_after) => {
            let body =
                with_standing(context.service, Object::new(), false, &standing, Some(retry_after));
            let mut reply = with_headers(context, &standing, json_object(StatusCode::OK, body));
            reply.headers_mut().insert(RETRY_AFTER, retry_after.as_seconds().into());
            Ok(reply)
        }
        LimitOutcome::Status(standing) => {
            let body = with_status(context.service, Object::new(), &standing);
            Ok(with_headers(context, &standing, json_object(StatusCode::OK, body)))
        }
        LimitOutcome::Deleted => Ok(json_object(StatusCode::OK, Object::new().with("reset", true))),
        LimitOutcome::NotFound => Err(ApiError::LimitNotFound),
        LimitOutcome::OverQuota(quota) => Err(ApiError::TooMany { what: "rate limits", quota }),
        LimitOutcome::NoRoom => Err(ApiError::StoreFull),
        LimitOutcome::Limits(_) | LimitOutcome::Use(_) => unreachable!("nobody asks for that here"),
    }
}

fn with_headers(context: &Context<'_>, standing: &Standing, mut reply: Reply) -> Reply {
    let until = whole_seconds(standing.reset_at.since(context.service.calendar.now()));
    let left = parameters(("r", standing.remaining.into()), ("t", until));
    let Policy { max_requests, window } = standing.policy;
    let policy = parameters(("q", max_requests.get().into()), ("w", window.as_seconds().into()));
    let headers = reply.headers_mut();
    for (name, value) in [(RATELIMIT, left), (RATELIMIT_POLICY, policy)] {
        // Digits, quotes and letters are a possible value.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    reply
}

/// The one item of such a header, with these parameters (RFC 9651, section 3.1.2).
fn parameters(one: (&str, u64), other: (&str, u64)) -> Vec<u8> {
    // One pair of words that are ours and of numbers: `format!` takes four times as long.
    let mut text = Vec::with_capacity(64);
    text.extend_from_slice(b"\"default\"");
    for (name, number) in [one, other] {
        text.push(b';');
        text.extend_from_slice(name.as_bytes());
        text.push(b'=');
        text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
    text
}

fn with_standing(
    service: &Service,
    object: Object,
    allowed: bool,
    standing: &Standing,
    retry_after: Option<RetryAfter>,
) -> Object {
    object
        .with("allowed", allowed)
        .with("remaining", standing.remaining)
        .with("reset_at", Stamp(service.calendar.print(standing.reset_at)))
        .with_some("retry_after_seconds", retry_after.map(RetryAfter::as_seconds))
        .with("max_requests", standing.policy.max_requests.get())
        .with("window_seconds", standing.policy.window.as_seconds())
        .with("current_count", standing.count)
}

/// As far as anybody can tell who does not ask for a place.
fn with_status(service: &Service, object: Object, standing: &Standing) -> Object {
    with_standing(service, object, standing.remaining > 0, standing, standing.retry_after)
}

/// Rounded up, but for the part of a millisecond by which times of a limiter are rounded themselves:
/// a window of a minute is never told to take 61 seconds.
fn whole_seconds(span: Duration) -> u64 {
    let begun = span.subsec_nanos() >= 1_000_000;
    span.as_secs() + u64::from(begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_as_many_seconds_as_are_told_does_not_come_too_early() {
        for (millis, seconds) in [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds, "{millis} ms");
        }
        let tick = Duration::from_nanos(1 << 18);
        assert_eq!(whole_seconds(Duration::from_secs(60) + tick), 60);
    }
}
