//! Clients that open a connection for every request.

use super::{Heard, Part, Unexpected};
use crate::{oracle::Oracle, wire::Ask};

/// Asks who it is.
pub struct Newcomer {
    token: String,
}

impl Newcomer {
    /// With this token.
    pub fn new(token: &str) -> Self {
        Self { token: token.to_owned() }
    }
}

impl Part for Newcomer {
    fn ask(&mut self, _: &Oracle) -> Ask {
        Ask::get(&self.token, "/locks?limit=3".to_owned())
    }

    fn hear(&mut self, heard: &Heard, _: &Oracle) -> Result<(), Unexpected> {
        if heard.status == 200 && heard.body["locks"].is_array() { Ok(()) } else { Err(Unexpected) }
    }
}
