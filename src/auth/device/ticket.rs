//! Between the page that asks somebody whether a terminal may act as him, and his answer.

use super::DeviceId;
use crate::auth::{
    seal::Seal,
    sign_in::{Person, PersonKey, ProviderId},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use octostore_actors::{domain::values::AccountName, time::Instant};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, time::Duration};

/// What a seal over a ticket is for.
const SEALED_FOR: &str = "device confirmation";

/// Seals what a confirmation is about into the page that asks for it. It is good for five minutes,
/// in the browser that has signed in, and for one decision: a terminal is only decided about once.
#[derive(Debug, Default)]
pub struct Tickets(Seal);

/// What a confirmation is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Which terminal.
    pub device: DeviceId,
    /// With whom the person has signed in.
    pub provider: ProviderId,
    /// As whom the terminal would act.
    pub person: Person,
}

/// A sealed ticket. Neither half prints itself.
pub struct Issued {
    /// For the page: base64url.
    pub ticket: String,
    /// For the browser to keep, 256 random bits as base64url: the ticket is nothing without.
    pub kept: String,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issued(…)")
    }
}

#[derive(Serialize, Deserialize)]
struct Plain {
    device: DeviceId,
    provider: ProviderId,
    key: PersonKey,
    name: String,
    /// The hash of what the browser keeps: compared, it says nothing about that.
    kept: [u8; 32],
    /// In nanoseconds of the lease clock.
    good_until: u64,
}

impl Tickets {
    /// How long somebody may think about it.
    pub const LIFE: Duration = Duration::from_secs(300);

    /// Seals a ticket at `now`.
    pub fn issue(&self, ticket: &Ticket, now: Instant, random: [u8; 32]) -> Issued {
        let kept = BASE64_URL_SAFE_NO_PAD.encode(random);
        let plain = Plain {
            device: ticket.device,
            provider: ticket.provider.clone(),
            key: ticket.person.key.clone(),
            name: ticket.person.name.to_string(),
            kept: Sha256::digest(&kept).into(),
            good_until: (now + Self::LIFE).as_nanos(),
        };
        #[expect(clippy::expect_used, reason = "texts and numbers can be written as JSON")]
        let plain = serde_json::to_vec(&plain).expect("a ticket can be written");
        Issued { ticket: self.0.seal(SEALED_FOR, &plain), kept }
    }

    /// The ticket, if it is ours, in time, and of the browser that sends it: `kept` gives what a
    /// browser keeps that has signed in with a provider.
    pub fn open<'a>(
        &self,
        ticket: &str,
        kept: impl FnOnce(&ProviderId) -> Option<&'a str>,
        now: Instant,
    ) -> Option<Ticket> {
        let plain = self.0.open(SEALED_FOR, ticket)?;
        let plain: Plain = serde_json::from_slice(&plain).ok()?;
        let same = Sha256::digest(kept(&plain.provider)?)[..] == plain.kept;
        let in_time = now < Instant::from_nanos(plain.good_until);
        (same && in_time).then_some(())?;
        let name = AccountName::new(&plain.name).ok()?;
        let person = Person { key: plain.key, name, avatar_url: None };
        Some(Ticket { device: plain.device, provider: plain.provider, person })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_in_time_and_with_what_its_browser_keeps() {
        let now = Instant::from_nanos(1_000_000_000_000);
        let ticket = Ticket {
            device: DeviceId::of("a"),
            provider: ProviderId::OpenId("corp".to_owned()),
            person: Person {
                key: PersonKey::OpenId { issuer: "https://i".to_owned(), subject: "s".to_owned() },
                name: AccountName::new("Zoë").unwrap(),
                avatar_url: None,
            },
        };
        let tickets = Tickets::default();
        let issued = tickets.issue(&ticket, now, [7; 32]);
        let other = tickets.issue(&ticket, now, [8; 32]);
        let open = |text: &str, kept: Option<&str>, now| tickets.open(text, |_| kept, now);
        let last = (now + Tickets::LIFE).minus(Duration::from_nanos(1));
        assert_eq!(open(&issued.ticket, Some(&issued.kept), last), Some(ticket.clone()));
        assert_eq!(open(&issued.ticket, Some(&issued.kept), now + Tickets::LIFE), None);
        for kept in [None, Some(""), Some(other.kept.as_str()), Some(&issued.kept[1..])] {
            assert_eq!(open(&issued.ticket, kept, now), None, "{kept:?}");
        }
        assert_eq!(open(&issued.ticket[1..], Some(&issued.kept), now), None);
        assert_eq!(open("", Some(&issued.kept), now), None);
        let foreign = Tickets::default().open(&issued.ticket, |_| Some(&issued.kept), now);
        assert_eq!(foreign, None, "of another process");
        let asked = |provider: &ProviderId| (*provider == ticket.provider).then_some(&*issued.kept);
        assert!(tickets.open(&issued.ticket, asked, now).is_some(), "told which provider");
        assert!(!issued.ticket.contains(&issued.kept));
        assert_eq!(format!("{issued:?}"), "Issued(…)");
    }
}
