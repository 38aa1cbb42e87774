//! What the user of a terminal does in a browser: types its code, signs in, and says whether it may
//! act as him. Nothing is allowed without that last word (RFC 8628, section 5.4).

use super::{
    failed, is_configured,
    pages::{self, Again},
};
use crate::{
    auth::{
        device::{Decision, DeviceId, Issued, Over, Ticket, Tickets, Waiting},
        sign_in::{Person, ProviderId},
    },
    http::{
        Context, Reply,
        body::BODY_LIMIT,
        caller::{may_try_to_sign_in, refused},
        cookie::Cookie,
        error::ApiError,
        oauth::Parameters,
        query,
        sign_in::returns_over_tls,
    },
    ids,
};
use hyper::{StatusCode, body::Incoming, header::SET_COOKIE};
use octostore_actors::domain::audit::{Action, Who};

/// What the browser keeps between the page that asks and the answer. No other site has a part in
/// it: the page is ours, and its form comes back to us.
const COOKIE: Cookie = Cookie {
    name: "octostore-device",
    name_over_tls: "__Host-octostore-device",
    life: Tickets::LIFE,
    same_site: "Strict",
};

/// What a browser is told whose ticket is no good.
const NO_TICKET: &str = "This page is too old, or is not of this browser: nothing was decided. Type \
                         the code of your terminal again.";

/// `GET /auth/device`: where a code is typed, and what waits with one.
pub async fn page(context: &Context<'_>) -> Result<Reply, ApiError> {
    is_configured(context)?;
    let Some(typed) = query::parameter(context.head, "user_code").filter(|code| !code.is_empty())
    else {
        return Ok(pages::enter(None));
    };
    Ok(match find(context, &typed).await {
        Ok(waiting) => pages::review(&waiting, context.service.providers.ids()),
        Err(again) => unknown(again),
    })
}

/// The terminal that waits with the code that somebody has typed. Wrong codes count against the
/// address: whoever guesses one could have another's terminal act as himself.
///
/// # Errors
/// There is none, or the address has tried too often.
pub async fn find(context: &Context<'_>, typed: &str) -> Result<Waiting, Again> {
    if let Err(ApiError::TooManyFailures(wait)) = may_try_to_sign_in(context) {
        return Err(Again::TooMany(wait));
    }
    let service = context.service;
    let code = typed.parse().ok();
    match code.and_then(|code| service.devices.find(&code, service.calendar.now())) {
        Some(waiting) => Ok(waiting),
        None => {
            failed(context, "no terminal waits with this user_code").await;
            Err(Again::Unknown)
        }
    }
}

/// The page for whoever is to type a code again.
pub fn unknown(again: Again) -> Reply {
    pages::enter(Some(again))
}

/// The page for whoever could not be signed in for a terminal.
pub fn fail(error: &ApiError) -> Reply {
    pages::failed(error.status(), &error.to_string())
}

/// Somebody has signed in for a terminal: asks whether it may act as him.
pub fn ask(context: &Context<'_>, id: &ProviderId, device: DeviceId, person: Person) -> Reply {
    let service = context.service;
    let now = service.calendar.now();
    let Some(waiting) = service.devices.get(&device, now) else {
        return pages::failed(StatusCode::GONE, &sentence(Over));
    };
    let ticket = Ticket { device, provider: id.clone(), person };
    let Issued { ticket: sealed, kept } = service.tickets.issue(&ticket, now, ids::secret());
    let mut reply = pages::confirm(&waiting, &ticket.person, id, &sealed);
    reply.headers_mut().append(SET_COOKIE, COOKIE.set(returns_over_tls(context, id), &kept));
    reply
}

/// `POST /auth/device/confirm`: the answer to that.
pub async fn confirm(context: &Context<'_>, body: &mut Incoming) -> Result<Reply, ApiError> {
    is_configured(context)?;
    if let Err(ApiError::TooManyFailures(wait)) = may_try_to_sign_in(context) {
        return Ok(unknown(Again::TooMany(wait)));
    }
    // What is no form has no ticket in it.
    let body = context.read_anonymous(body, BODY_LIMIT).await?;
    let form = Parameters::read(&body).unwrap_or_default();
    let service = context.service;
    let now = service.calendar.now();
    let headers = &context.head.headers;
    let kept = |id: &ProviderId| COOKIE.get(returns_over_tls(context, id), headers);
    let ticket = form.get("ticket").and_then(|ticket| service.tickets.open(ticket, kept, now));
    let Some(ticket) = ticket else {
        failed(context, "the answer is not to a page that this browser was shown").await;
        return Ok(pages::failed(StatusCode::FORBIDDEN, NO_TICKET));
    };
    let mut reply = match form.get("decision") {
        Some("allow") => allow(context, &ticket),
        Some("deny") => deny(context, &ticket).await,
        Some(_) | None => {
            return Ok(pages::failed(StatusCode::BAD_REQUEST, "Choose Allow or Deny."));
        }
    };
    // What the browser has kept is of no use any more.
    reply
        .headers_mut()
        .append(SET_COOKIE, COOKIE.set(returns_over_tls(context, &ticket.provider), ""));
    Ok(reply)
}

fn allow(context: &Context<'_>, ticket: &Ticket) -> Reply {
    match decide(context, ticket, Decision::Allow(ticket.person.clone())) {
        Ok(waiting) => pages::allowed(&waiting),
        Err(over) => pages::failed(StatusCode::GONE, &sentence(over)),
    }
}

async fn deny(context: &Context<'_>, ticket: &Ticket) -> Reply {
    match decide(context, ticket, Decision::Deny) {
        Ok(waiting) => {
            let why = format!("denied by {}", ticket.person.name);
            refused(context, Who::Stranger, Action::DeviceSignIn, &why).await;
            pages::denied(&waiting)
        }
        Err(over) => pages::failed(StatusCode::GONE, &sentence(over)),
    }
}

fn decide(context: &Context<'_>, ticket: &Ticket, said: Decision) -> Result<Waiting, Over> {
    let service = context.service;
    service.devices.decide(&ticket.device, said, service.calendar.now())
}

fn sentence(Over: Over) -> String {
    "That terminal does not wait any more: it was decided about already, or took too long.".into()
}
