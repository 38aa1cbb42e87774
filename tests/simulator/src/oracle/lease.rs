//! One lease as it is shown: it must be what somebody asked for, and end when somebody was promised.

use super::{Life, Promise, Request, Violation, require};
use crate::{server::Ask, time::Truth};
use octostore_actors::domain::{
    lock::{Lease, LockCommand},
    values::{LockName, Ttl},
};

/// The request that a lease was granted to.
pub fn asked_for<'a>(lease: &Lease, requests: &'a [Request]) -> Option<&'a Request> {
    requests.iter().find(|request| {
        matches!(&request.ask, Ask::Lock(LockCommand::Acquire { lease: id, .. }) if *id == lease.id)
    })
}

/// Whether a lease that is shown, and ends at `until`, is one that was asked for.
///
/// # Errors
/// It is not.
pub fn is_as_asked(
    lease: &Lease,
    until: Truth,
    requests: &[Request],
    lives: &[Life],
) -> Result<(), Violation> {
    let asked = asked_for(lease, requests).is_some_and(|request| match &request.ask {
        Ask::Lock(LockCommand::Acquire { name, holder, metadata, .. }) => {
            *name == lease.name && *holder == lease.holder && *metadata == lease.metadata
        }
        Ask::Lock(_) | Ask::Limit(_) | Ask::Flag(_) | Ask::Config(_) | Ask::Account(_) => false,
    });
    require(asked, Promise::Durability, || format!("nobody has asked for {lease:?}"))?;
    let promised = spans(&lease.name, requests).any(|(server, at, ttl)| {
        let end = |from: Truth| from.plus(ttl.as_duration()) == until;
        // After a reboot it has all of its time again.
        let again = lives.iter().skip(server as usize).filter_map(|life| life.recovered.as_ref());
        ttl == lease.ttl && (end(at) || again.flatten().any(|&from| end(from)))
    });
    require(promised, Promise::Time, || {
        format!("{} is shown to end at {until:?}, which nobody was promised", lease.name)
    })
}

/// What a lease on `name` may have been asked for: of which server, when, and for how long.
fn spans(name: &LockName, requests: &[Request]) -> impl Iterator<Item = (u32, Truth, Ttl)> {
    requests.iter().filter_map(move |request| match &request.ask {
        Ask::Lock(
            LockCommand::Acquire { name: of, ttl, .. } | LockCommand::Renew { name: of, ttl, .. },
        ) if of == name => Some((request.server, request.handled?, *ttl)),
        Ask::Lock(_) | Ask::Limit(_) | Ask::Flag(_) | Ask::Config(_) | Ask::Account(_) => None,
    })
}
