//! Clients that check a limit which is often reached.

use super::{Heard, Part, Unexpected};
use crate::{oracle::Oracle, wire::Ask};
use std::time::Duration;

/// How many requests are admitted within [`WINDOW`]; two clients ask for about 16 a second.
const MAX: usize = 20;

const WINDOW: Duration = Duration::from_secs(2);

/// Checks a limiter that it shares with the other clients of its account.
pub struct Limited {
    token: String,
    /// Tells the limiters of two accounts apart.
    name: String,
}

impl Limited {
    /// With this token.
    pub fn new(token: &str) -> Self {
        Self { token: token.to_owned(), name: format!("shared of {token}") }
    }
}

impl Part for Limited {
    fn ask(&mut self, _: &Oracle) -> Ask {
        let window = WINDOW.as_secs();
        let body = format!("{{\"max_requests\":{MAX},\"window_seconds\":{window}}}");
        Ask::post(&self.token, "/limits/shared/check".to_owned(), body)
    }

    fn hear(&mut self, heard: &Heard, oracle: &Oracle) -> Result<(), Unexpected> {
        let allowed = heard.body["allowed"].as_bool().ok_or(Unexpected)?;
        let says_when =
            heard.body["retry_after_seconds"].as_u64() == heard.retry_after.map(u64::from);
        if heard.status != 200 || !says_when || allowed == heard.retry_after.is_some() {
            return Err(Unexpected);
        }
        oracle.checked(&self.name, allowed, heard.span, (MAX, WINDOW));
        Ok(())
    }
}
