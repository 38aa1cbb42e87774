//! Clients that evaluate a flag.

use super::{Heard, Kept, Part, Unexpected};
use crate::{oracle::Oracle, wire::Ask};

/// How many keys are asked about in turn.
const KEYS: u32 = 200;

/// Makes the flag that [`Evaluator`] asks about.
pub fn make(token: &str) -> Ask {
    let body = "{\"enabled\":true,\"percentage\":40}".to_owned();
    Ask::put(token, "/flags/rollout".to_owned(), body)
}

/// Evaluates one flag for one key after the other. The answers never change.
pub struct Evaluator {
    token: String,
    rounds: u32,
    last: Option<(String, bool)>,
}

impl Evaluator {
    /// With this token.
    pub fn new(token: &str) -> Self {
        Self { token: token.to_owned(), rounds: 0, last: None }
    }

    fn key(&self) -> String {
        format!("customer-{}", self.rounds % KEYS)
    }

    fn about(&self, key: &str) -> Ask {
        Ask::get(&self.token, format!("/flags/rollout?key={key}"))
    }
}

impl Part for Evaluator {
    fn ask(&mut self, _: &Oracle) -> Ask {
        self.about(&self.key())
    }

    fn hear(&mut self, heard: &Heard, oracle: &Oracle) -> Result<(), Unexpected> {
        let enabled = heard.body["enabled"].as_bool().filter(|_| heard.status == 200);
        let enabled = enabled.ok_or(Unexpected)?;
        oracle.evaluated("rollout", &self.key(), enabled);
        self.last = Some((self.key(), enabled));
        self.rounds += 1;
        Ok(())
    }

    fn kept(&self) -> Vec<Kept> {
        let kept = |(key, enabled): &(String, bool)| Kept {
            ask: self.about(key),
            fields: vec![("enabled", (*enabled).into())],
        };
        self.last.iter().map(kept).collect()
    }
}
