//! Clients that count together in one config value.

use super::{Heard, Kept, Part, Unexpected};
use crate::{
    oracle::Oracle,
    plan::{HONEST, token},
    wire::Ask,
};

/// Whose counter it is.
pub const ACCOUNT: &str = HONEST[2];

/// Makes the counter. Its version is one more than it has counted, from here on.
pub fn make() -> Ask {
    Ask::put(&token(ACCOUNT), "/config/counter".to_owned(), "{\"value\":0}".to_owned())
}

/// How far the counter is: it has counted every update that was acknowledged, and no other.
pub fn counted(oracle: &Oracle) -> Kept {
    let writes = oracle.writes();
    Kept {
        ask: Ask::get(&token(ACCOUNT), "/config/counter".to_owned()),
        fields: vec![("value", writes.into()), ("version", (writes + 1).into())],
    }
}

/// Reads the counter and writes the next number, unless somebody else has meanwhile.
pub struct Counter {
    token: String,
    /// What it has read, and under which tag.
    read: Option<(u64, String)>,
}

impl Counter {
    /// Has read nothing yet.
    pub fn new() -> Self {
        Self { token: token(ACCOUNT), read: None }
    }
}

impl Part for Counter {
    fn ask(&mut self, _: &Oracle) -> Ask {
        match &self.read {
            None => Ask::get(&self.token, "/config/counter".to_owned()),
            Some((value, etag)) => {
                let body = format!("{{\"value\":{}}}", value + 1);
                Ask::put(&self.token, "/config/counter".to_owned(), body)
                    .with_header("if-match", etag)
            }
        }
    }

    fn hear(&mut self, heard: &Heard, oracle: &Oracle) -> Result<(), Unexpected> {
        let read = self.read.take();
        if read.is_some() && heard.status == 412 {
            return Ok(());
        }
        let (value, version) = (heard.body["value"].as_u64(), heard.body["version"].as_u64());
        let (Some(value), Some(version), 200) = (value, version, heard.status) else {
            return Err(Unexpected);
        };
        match read {
            _ if version != value + 1 => Err(Unexpected),
            Some((before, _)) if value != before + 1 => Err(Unexpected),
            Some(_) => {
                oracle.wrote(version);
                Ok(())
            }
            None => {
                self.read = Some((value, heard.etag.clone().ok_or(Unexpected)?));
                Ok(())
            }
        }
    }
}
