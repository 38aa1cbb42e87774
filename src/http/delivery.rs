//! Between a handler's answer and the bytes in the kernel: what must come back if nobody can read
//! it, and what hyper answers by itself.

use super::{error::ApiError, request_id::RequestId, rest::Rest, route::Route, turn::Turns};
use crate::{
    app::Service,
    auth::{device::Claim, workload::OneUse},
    metrics::requests::Requests,
};
use hyper::{HeaderMap, StatusCode};
use octostore_actors::domain::{account::AccountOutcome, lock::LockOutcome};
use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

/// One connection's answers on their way out. The handler and the socket share it; what is in it
/// when both are gone reached nobody.
pub struct Delivery {
    service: Arc<Service>,
    /// Whether a handler has answered since everything was last written.
    answering: AtomicBool,
    /// Whether there is anything in `fragile`: most answers are not fragile, and need not look there.
    /// Only changed while that is locked.
    holding: AtomicBool,
    fragile: Mutex<Vec<Fragile>>,
    /// Whether the connection ends now, whatever is still to be answered.
    ending: AtomicBool,
    /// Whose turn it is.
    pub turns: Turns,
    /// Whether the connection is at rest.
    pub rest: Rest,
}

/// What must come back to where it is from if its answer reaches nobody.
#[derive(Debug)]
pub enum Fragile {
    /// A lease.
    Lock(LockOutcome),
    /// A token.
    Account(Box<AccountOutcome>),
    /// That a terminal was let in: it has that until it has its token.
    Device(Box<Claim>),
    /// The one use of an issuer's token: it is used when ours is delivered.
    Exchange(OneUse),
}

impl Delivery {
    /// Nothing is on its way.
    pub fn new(service: Arc<Service>) -> Arc<Self> {
        Arc::new(Self {
            service,
            answering: AtomicBool::new(false),
            holding: AtomicBool::new(false),
            fragile: Mutex::new(Vec::new()),
            ending: AtomicBool::new(false),
            turns: Turns::default(),
            rest: Rest::default(),
        })
    }

    /// The next answer holds this.
    pub fn holds(&self, answer: Fragile) {
        let mut fragile = self.fragile.lock().unwrap_or_else(PoisonError::into_inner);
        fragile.push(answer);
        self.holding.store(true, Ordering::Release);
    }

    /// What serves the connection.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Where answers are counted.
    pub fn counts(&self) -> &Requests {
        &self.service.counts.requests
    }

    /// The connection ends now: whoever polls it once more has its last words written.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// What comes of `answer`, or, if the connection ends before that, that nobody knows what becomes of
    /// the request. One whose body has not come has asked for nothing, and goes without an answer.
    pub async fn or_unknown<T>(
        &self,
        mut answer: Pin<&mut impl Future<Output = Result<T, ApiError>>>,
    ) -> Result<T, ApiError> {
        poll_fn(|cx| {
            let polled = answer.as_mut().poll(cx);
            // Nobody is woken for it: the one task that ends the connection is the one that polls this.
            let is_over = self.ending.load(Ordering::Relaxed) && !self.rest.is_awaiting_body();
            if polled.is_pending() && is_over {
                Poll::Ready(Err(ApiError::OutcomeUnknown))
            } else {
                polled
            }
        })
        .await
    }

    /// A handler has answered: what is written next is ours.
    pub fn answered(&self) {
        self.rest.answered();
        self.answering.store(true, Ordering::Relaxed);
    }

    /// Whether what is written next is a handler's answer.
    pub fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed)
    }

    /// Whether it would be a loss if the peer were gone.
    pub fn is_fragile(&self) -> bool {
        self.holding.load(Ordering::Acquire)
    }

    /// Every answer so far is in the hands of the kernel.
    pub fn written(&self) {
        self.answering.store(false, Ordering::Relaxed);
        self.rest.written();
        if self.is_fragile() {
            let mut fragile = self.fragile.lock().unwrap_or_else(PoisonError::into_inner);
            for delivered in fragile.drain(..) {
                match delivered {
                    Fragile::Lock(_) | Fragile::Account(_) => {}
                    Fragile::Device(claim) => claim.spend(),
                    Fragile::Exchange(once) => once.spend(),
                }
            }
            self.holding.store(false, Ordering::Release);
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let fragile = self.fragile.get_mut().unwrap_or_else(PoisonError::into_inner);
        for answer in fragile.drain(..) {
            match answer {
                Fragile::Lock(outcome) => self.service.locks.give_back(outcome),
                Fragile::Account(outcome) => self.service.accounts.give_back(*outcome),
                // The token of this answer stands before it, and is given back first: one claim never has
                // two tokens.
                Fragile::Device(claim) => drop(claim),
                Fragile::Exchange(once) => drop(once),
            }
        }
    }
}

/// Our own words for what hyper answers by itself to a request it could not read, which is counted.
/// `None` if these bytes are no such answer.
pub fn in_our_words(from_hyper: &[u8], counts: &Requests) -> Option<Vec<u8>> {
    let status = from_hyper.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let status = StatusCode::from_bytes(status).ok().filter(StatusCode::is_client_error)?;
    counts.answered_unread(Route::Malformed.place(), status.as_u16());
    Some(last_answer(status, "", &ApiError::Malformed(status)))
}

/// What connections above the bound are told.
pub fn too_many_connections() -> Vec<u8> {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    last_answer(status, "retry-after: 1\r\n", &ApiError::TooManyConnections)
}

/// An answer without a handler, after which the connection is closed.
fn last_answer(status: StatusCode, headers: &str, error: &ApiError) -> Vec<u8> {
    let request_id = RequestId::of(&HeaderMap::new());
    let body = error.body(&request_id);
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-request-id: {}\r\n{headers}\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        request_id.as_str(),
        body.len()
    );
    [head.into_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_well_formed(answer: &[u8], code: &str) {
        let text = std::str::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["code"], code);
        assert!(head.contains(&format!("x-request-id: {}", body["request_id"].as_str().unwrap())));
    }

    #[test]
    fn answers_without_a_handler_are_well_formed_too() {
        let counts = Requests::new(Route::TEMPLATES);
        let answer =
            in_our_words(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", &counts)
                .unwrap();
        assert_eq!(counts.answered().next().unwrap().1, "400");
        assert!(answer.starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
        is_well_formed(&answer, "malformed_request");
        is_well_formed(&too_many_connections(), "too_many_connections");
    }

    #[test]
    fn what_is_no_refusal_is_left_alone() {
        for bytes in [&b"HTTP/1.1 100 Continue\r\n\r\n"[..], b"HTTP/1.1 200 OK", b"", b"{}"] {
            assert_eq!(in_our_words(bytes, &Requests::new(Route::TEMPLATES)), None);
        }
    }
}
