//! What the clients of one epoch ask about, and what they are told of it.

use crate::{
    Outcome,
    client::{Account, Request, ask},
    server::Server,
};
use serde_json::Value;
use std::{collections::BTreeMap, net::SocketAddr};

/// What the clients of one epoch ask about.
#[derive(Clone, Debug)]
pub struct Names {
    epoch: String,
}

impl Names {
    const LOCKS: u32 = 4;
    const EACH: u32 = 2;
    /// One that fills up, and one that does not.
    const LIMITS: [u64; 2] = [60, 10_000];

    /// Names that no other epoch has.
    pub fn new(epoch: &str) -> Self {
        Self { epoch: epoch.to_owned() }
    }

    /// All locks.
    pub fn locks(&self) -> Vec<String> {
        (0..Self::LOCKS).map(|n| format!("{}-lock-{n}", self.epoch)).collect()
    }

    /// All config keys of an account.
    pub fn keys(&self) -> Vec<String> {
        (0..Self::EACH).map(|n| format!("{}-key-{n}", self.epoch)).collect()
    }

    /// All flags of an account.
    pub fn flags(&self) -> Vec<String> {
        (0..Self::EACH).map(|n| format!("{}-flag-{n}", self.epoch)).collect()
    }

    /// All limiters of an account, and how many each admits.
    pub fn limits(&self) -> Vec<(String, u64)> {
        Self::LIMITS.iter().map(|&most| (format!("{}-limit-{most}", self.epoch), most)).collect()
    }

    /// What a server says of everything. Looking changes nothing.
    ///
    /// # Errors
    /// It does not answer.
    pub fn told_by(&self, server: &Server) -> Outcome<BTreeMap<(Account, String), Standing>> {
        let locks = self.locks().into_iter().map(|name| format!("/locks/{name}"));
        let keys = self.keys().into_iter().map(|key| format!("/config/{key}"));
        let flags = self.flags().into_iter().map(|name| format!("/flags?prefix={name}"));
        let paths: Vec<_> = locks.chain(keys).chain(flags).collect();
        let mut told = BTreeMap::new();
        for account in Account::ALL {
            for path in &paths {
                let body = look(server.address, account, path)?;
                told.insert((account, path.clone()), body);
            }
        }
        Ok(told)
    }
}

/// How a thing stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// What is told of it, but for when its lease ends: that may print a little differently after a
    /// restart.
    pub body: Value,
    /// When its lease ends, in milliseconds of the wall clock.
    pub ends: Option<i64>,
}

/// What `account` is told of `path`.
///
/// # Errors
/// Nobody answers.
pub fn look(address: SocketAddr, account: Account, path: &str) -> Outcome<Standing> {
    let answer = ask(address, account, &Request::new("GET", path, None))?;
    let mut body = if answer.status == 200 { answer.body } else { answer.status.into() };
    let ends = body.as_object_mut().and_then(|fields| fields.remove("expires_at"));
    let ends = ends.and_then(|ends| ends.as_str()?.parse::<jiff::Timestamp>().ok());
    Ok(Standing { body, ends: ends.map(jiff::Timestamp::as_millisecond) })
}
