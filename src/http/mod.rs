//! HTTP/1.1 on raw hyper: wire types live below here and nowhere else.
//!
//! The way of every request:
//!
//! - [`listen`]: where it comes in; [`server`]: its connection, and the order of stopping;
//! - [`stream`]: the socket, which gives up on who reads nothing, and knows what was written; [`rest`],
//!   [`timer`], [`rarely`]: so that who says nothing costs little, and a deadline next to nothing;
//! - here: one request, from its head to its answer; [`request_id`]: what it is called;
//! - [`router`]: which paths there are; [`route`]: what metrics call them;
//! - [`caller`]: who is asking; [`body`]: what was sent;
//! - [`locks`], [`limits`], [`flags`], [`config`], [`accounts`]: one file a domain; [`turn`]: how many of one
//!   client go on at a time;
//! - [`listing`]: what they list; [`wire`]: values in JSON; [`object`]: bodies of answers, where it matters what they cost; [`mod@reply`]: how
//!   they are sent; [`delivery`]: whether an answer has reached its client;
//! - [`error`]: what can be wrong, and the only place that maps it to a status.
//!
//! What is not asked for a thousand times a second:
//!
//! - [`sign_in`]: from a browser to a provider and back;
//! - [`oauth`]: tokens for whoever can show a grant, which is [`exchange`] for workloads, and
//!   [`device`] for terminals, whose users come over [`pages`];
//! - [`admin`], [`audit`], [`backup`]: what administrators do; [`metrics`]: what scrapers read;
//! - [`openapi`]: what this server says of itself, which [`pages`] show to people;
//! - [`session`]: whom the dashboard serves.

mod accounts;
mod admin;
mod audit;
mod backup;
mod body;
mod caller;
mod config;
mod cookie;
mod delivery;
mod device;
mod error;
mod etag;
mod exchange;
mod flags;
#[cfg(test)]
mod fuzz;
mod limits;
mod listen;
mod listing;
mod locks;
mod metrics;
mod oauth;
mod object;
mod openapi;
mod pages;
mod query;
mod rarely;
mod reply;
mod request_id;
mod rest;
mod route;
mod router;
mod server;
mod session;
mod sign_in;
mod static_file;
mod stream;
mod timer;
mod turn;
mod versions;
mod wire;

pub(crate) use config::{MAX_DEPTH, depth};
pub use listen::{ListenError, Listener};
pub use route::Route;
pub use server::Server;

use crate::{
    app::Service,
    auth::{Identity, address::Address},
    metrics::requests::Method,
    traces::About,
};
use bytes::Bytes;
use delivery::Delivery;
use error::ApiError;
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, CONTENT_TYPE, EXPECT, HeaderValue, RETRY_AFTER},
    http::request::Parts,
};
use listing::list;
use object::Object;
use octostore_actors::domain::{account::scope::Area, page::Selection, values::AccountId};
use reply::ReplyBody;
use request_id::{RequestId, X_REQUEST_ID};
use router::{Probe, Resource};
use serde::Serialize;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::time::sleep;

/// An answer.
type Reply = Response<ReplyBody>;

/// What a handler knows besides the request.
struct Context<'a> {
    service: &'a Arc<Service>,
    delivery: &'a Delivery,
    request_id: &'a RequestId,
    head: &'a Parts,
    peer: Address,
}

impl Context<'_> {
    /// Reads the body of a request of `identity`, whose token must still be good when the body has
    /// come: it may have taken its time.
    async fn read(
        &self,
        identity: &Identity,
        body: &mut Incoming,
        limit: usize,
    ) -> Result<Bytes, ApiError> {
        let bytes = self.read_anonymous(body, limit).await?;
        if identity.is_current(self.service.calendar.wall()) {
            Ok(bytes)
        } else {
            Err(caller::no_longer(self.service, identity))
        }
    }

    /// Reads the body of a request that shows no token.
    async fn read_anonymous(&self, body: &mut Incoming, limit: usize) -> Result<Bytes, ApiError> {
        self.delivery.rest.awaits_body();
        let bytes = body::read(body, limit, self.service.limits.body_timeout).await?;
        self.delivery.rest.body_came();
        Ok(bytes)
    }

    /// Which names of a list are wanted.
    fn selection(&self) -> Result<Selection, ApiError> {
        query::selection(self.head.uri.query())
    }

    /// Which names of a list are wanted, as far as `identity` may see them, and of which account.
    fn visible(&self, identity: &Identity, area: Area) -> Result<(AccountId, Selection), ApiError> {
        Ok(identity.may_list(area, self.selection()?)?)
    }
}

/// Answers one request.
async fn handle(delivery: &Delivery, peer: Address, request: Request<Incoming>) -> Reply {
    let service = delivery.service();
    let (head, mut body) = request.into_parts();
    let request_id = RequestId::of(&head.headers);
    let context = Context { service, delivery, request_id: &request_id, head: &head, peer };
    let resource = Resource::of(head.uri.path());
    let route = Route::of(resource.as_ref());
    let method = Method::named(head.method.as_str());
    let begun = service.counts.requests.begin(&service.calendar, route.place(), method);
    let trace = service.traces.begin(&head.headers, || About {
        route: route.template(),
        method: method.as_str(),
        request_id: request_id.as_str(),
    });
    let answered = {
        let answer = pin!(trace.follow(answer(&context, resource, &mut body)));
        delivery.or_unknown(answer).await
    };
    let mut reply = match answered {
        Ok(reply) => reply,
        Err(error) => {
            tracing::debug!(request_id = request_id.as_str(), %error, "refused");
            error.count(&service.counts.unavailable);
            error.respond(&request_id)
        }
    };
    reply.headers_mut().insert(X_REQUEST_ID, request_id.into_header());
    begun.answered(reply.status().as_u16());
    trace.answered(reply.status().as_u16());
    if delivery.rest.is_unread() {
        if is_still_coming(&head.headers, reply.status()) && body::is_short(&body) {
            body::linger(body, service.limits.body_timeout);
        } else {
            reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
    if was_too_hasty(&reply) {
        sleep(PAUSE_OF_THE_HASTY).await;
    }
    if reply.body().is_in_pieces() {
        delivery.rest.comes_in_pieces();
    }
    delivery.answered();
    service.waiters.let_the_journal_go_on();
    reply
}

/// Whether the rest of a body comes although the answer, of this status, did not wait for it. A client that
/// sent `Expect: 100-continue` may leave the body out, and send the next request in its place; one whose body
/// came too late has stopped sending.
fn is_still_coming(headers: &HeaderMap, status: StatusCode) -> bool {
    status != StatusCode::REQUEST_TIMEOUT && !headers.contains_key(EXPECT)
}

/// How long whoever asks too fast waits for the answer that says so. All of them know when to come
/// again; those who do not care cost the others no more than 50 requests a second a connection.
const PAUSE_OF_THE_HASTY: Duration = Duration::from_millis(20);

fn was_too_hasty(reply: &Reply) -> bool {
    reply.status() == StatusCode::TOO_MANY_REQUESTS && reply.headers().contains_key(RETRY_AFTER)
}

async fn answer(
    context: &Context<'_>,
    resource: Option<Resource<'_>>,
    body: &mut Incoming,
) -> Result<Reply, ApiError> {
    let resource = resource.ok_or(ApiError::UnknownPath)?;
    let verb = resource
        .verb(context.head.method.as_str())
        .ok_or_else(|| ApiError::MethodNotAllowed { allow: resource.methods().join(", ") })?;
    let caller = || caller::authenticate(context);
    // What is asked for rarely and is large goes into a box: the place for all of it would be moved, and
    // kept, for each request.
    match resource {
        Resource::Probe(probe) => Ok(answer_probe(context.service, probe)),
        Resource::OpenApi(form) => Ok(openapi::document(context, form)),
        Resource::Page(page) => Ok(pages::show(context, page)),
        Resource::Root => Ok(pages::to_the_dashboard()),
        Resource::Asset(file) => pages::asset(context, file),
        Resource::Metrics => metrics::page(context).await,
        Resource::SignIn(provider) => sign_in::begin(context, provider).await,
        Resource::SignInCallback(provider) => Box::pin(sign_in::callback(context, provider)).await,
        Resource::TokenEndpoint => Ok(Box::pin(oauth::token(context, body)).await),
        Resource::DeviceCode => device::begin(context, body).await,
        Resource::Device => device::page(context).await,
        Resource::DeviceConfirm => device::confirm(context, body).await,
        Resource::Admin(admin) => Box::pin(admin::answer(context, admin, body)).await,
        Resource::Session => session::answer(context, verb, body).await,
        Resource::DashboardSignIn(provider) => session::sign_in(context, provider).await,
        Resource::Locks => list::<locks::Locks>(context, &caller()?).await,
        Resource::Lock(name) => locks::get(context, &caller()?, name).await,
        Resource::LockAction(name, action) => {
            locks::act(context, &caller()?, name, action, body).await
        }
        Resource::Limits => list::<limits::Limits>(context, &caller()?).await,
        Resource::Limit(name) => limits::one(context, &caller()?, name, verb).await,
        Resource::LimitCheck(name) => limits::check(context, &caller()?, name, body).await,
        Resource::Flags => list::<flags::Flags>(context, &caller()?).await,
        Resource::Flag(name) => flags::one(context, &caller()?, name, verb, body).await,
        Resource::ConfigKeys => list::<config::Keys>(context, &caller()?).await,
        Resource::Config(key) => config::one(context, &caller()?, key, verb, body).await,
        Resource::ConfigHistory(key) => config::history(context, &caller()?, key).await,
        Resource::ConfigRollback(key) => config::rollback(context, &caller()?, key, body).await,
        Resource::Me => Ok(accounts::me(context, &caller()?)),
        Resource::Tokens => Box::pin(accounts::tokens(context, &caller()?, verb, body)).await,
        Resource::Token(id) => accounts::revoke(context, &caller()?, id).await,
        Resource::RotateToken => accounts::rotate(context, &caller()?).await,
    }
}

fn answer_probe(service: &Service, probe: Probe) -> Reply {
    match probe {
        Probe::Health | Probe::Live => text(StatusCode::OK, "OK"),
        Probe::Ready if service.is_ready() => text(StatusCode::OK, "OK"),
        Probe::Ready => text(StatusCode::SERVICE_UNAVAILABLE, "going down"),
    }
}

fn text(status: StatusCode, body: &'static str) -> Reply {
    reply(
        status,
        HeaderValue::from_static("text/plain; charset=utf-8"),
        Bytes::from_static(body.as_bytes()),
    )
}

/// An answer that is this object.
fn json_object(status: StatusCode, body: Object) -> Reply {
    json_bytes(status, body.into_json())
}

/// An answer in JSON.
fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    json_bytes(status, to_json(body))
}

fn json_bytes(status: StatusCode, body: Vec<u8>) -> Reply {
    json_body(status, Bytes::from(body))
}

fn json_body(status: StatusCode, body: impl Into<ReplyBody>) -> Reply {
    reply(status, HeaderValue::from_static("application/json"), body)
}

fn to_json(body: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(object::USUAL_LENGTH);
    // Our own bodies have text for keys and finite numbers: they can be written.
    let written = serde_json::to_writer(&mut bytes, body);
    debug_assert!(written.is_ok(), "a body of ours could not be written");
    bytes
}

/// An answer without a body.
fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(ReplyBody::default());
    *reply.status_mut() = status;
    reply
}

fn reply(status: StatusCode, content_type: HeaderValue, body: impl Into<ReplyBody>) -> Reply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F>(_: impl FnOnce(&'static Delivery, Address, Request<Incoming>) -> F) -> usize {
        size_of::<F>()
    }

    /// Thousands may be under way at once, and each place is written anew for each request.
    #[test]
    fn a_request_takes_little_memory_whatever_else_could_be_asked() {
        let bytes = size(handle);
        assert!(bytes <= 3 * 1024, "{bytes} bytes: what is large and rare belongs into a box");
    }
}
