//! What the clients of an octostore say, and what they insist on hearing.

use crate::{
    client::Script,
    http::{Answer, after, number_after},
    workload::Workload,
};
use std::io::Write;

/// How many locks one connection takes in turn.
const LOCKS: u32 = 64;

/// As long as a token that the server makes.
pub fn token(account: u32) -> String {
    format!("octo_{account:072}")
}

/// Who answers, and so what may be insisted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The octostore.
    Ours,
    /// The earlier one, which says `null` of a lock that it released.
    Earlier,
    /// One that gives the same answers again and again, so that a token comes twice.
    Recorded,
}

/// One connection's part.
#[derive(Debug)]
pub struct Dialogue {
    workload: Workload,
    manner: Manner,
    /// What the names of its locks begin with.
    prefix: String,
    own: String,
    other: String,
    ttl_seconds: u32,
    /// How many locks it has asked for, not counting refusals.
    rounds: u32,
    /// How many of them before a name comes again.
    names: u32,
    /// What it holds, or has seen held.
    lease: Option<String>,
    expected: Expected,
    last_token: u64,
}

/// The answer that has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Granted,
    Renewed,
    Released,
    Status,
    Refused,
    Alive,
    /// An answer of another domain, by what must stand in it.
    Contains(&'static str),
}

impl Dialogue {
    /// Of `account`, with locks whose names begin with `prefix`. There is an account beside it
    /// that can get in the way.
    pub fn new(workload: Workload, manner: Manner, prefix: String, account: u32) -> Self {
        Self {
            workload,
            manner,
            prefix,
            own: token(account),
            other: token(if account == 0 { 1 } else { account - 1 }),
            ttl_seconds: 60,
            rounds: 0,
            names: LOCKS,
            lease: None,
            expected: Expected::Alive,
            last_token: 0,
        }
    }

    fn next(&self) -> Expected {
        match (self.workload, &self.lease) {
            (Workload::Probe, _) => Expected::Alive,
            (Workload::Check, _) => Expected::Contains("\"allowed\":"),
            (Workload::Evaluate, _) => Expected::Contains("\"enabled\":true"),
            (Workload::ConfigGet | Workload::ConfigPut, _) => {
                Expected::Contains("\"currency\": \"EUR\"")
            }
            (_, None) => Expected::Granted,
            (Workload::AcquireRelease, Some(_)) => Expected::Released,
            (Workload::Renew, Some(_)) => Expected::Renewed,
            (Workload::Get, Some(_)) => Expected::Status,
            (Workload::Contended, Some(_)) => Expected::Refused,
        }
    }

    /// Checks what an answer says, and learns from it what to say next.
    fn learn(&mut self, status: u16, body: &str) -> Result<(), String> {
        let wanted = if self.expected == Expected::Refused { 409 } else { 200 };
        if status != wanted {
            return Err(format!("{:?}: {status}, not {wanted}: {body}", self.expected));
        }
        match self.expected {
            Expected::Granted => {
                let token = fencing_token(body)?;
                let again = self.manner == Manner::Recorded && token == self.last_token;
                if token <= self.last_token && !again {
                    return Err(format!("token {token} after {}", self.last_token));
                }
                self.last_token = token;
                self.lease = Some(lease_id(body)?.to_owned());
            }
            Expected::Renewed | Expected::Status => {
                let same = Some(lease_id(body)?) == self.lease.as_deref()
                    && fencing_token(body)? == self.last_token;
                if !same {
                    return Err(format!("another lease: {body}"));
                }
            }
            Expected::Released => {
                let earlier = self.manner == Manner::Earlier;
                after(body, if earlier { "null" } else { "\"status\":\"released\"" })?;
                self.lease = None;
                self.rounds += 1;
            }
            Expected::Refused => drop(after(body, "\"code\":\"lock_held\"")?),
            Expected::Alive => {}
            Expected::Contains(mark) => {
                after(body, mark)?;
                self.rounds += 1;
            }
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let (prefix, number) = (&self.prefix, self.rounds % self.names);
        let lease = self.lease.as_deref().unwrap_or_default();
        let ttl = self.ttl_seconds;
        let mut post = |token: &str, action: &str, body: std::fmt::Arguments<'_>, length: usize| {
            write!(
                out,
                "POST /locks/{prefix}-{number}/{action} HTTP/1.1\r\nhost: localhost\r\n\
                 authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
                 content-length: {length}\r\n\r\n{body}"
            )
        };
        match self.expected {
            Expected::Granted => {
                post(&self.own, "acquire", format_args!("{{\"ttl_seconds\":{ttl:4}}}"), 20)
            }
            Expected::Refused => {
                post(&self.other, "acquire", format_args!("{{\"ttl_seconds\":{ttl:4}}}"), 20)
            }
            Expected::Released => {
                post(&self.own, "release", format_args!("{{\"lease_id\":\"{lease}\"}}"), 51)
            }
            Expected::Renewed => post(
                &self.own,
                "renew",
                format_args!("{{\"lease_id\":\"{lease}\",\"ttl_seconds\":{ttl:4}}}"),
                70,
            ),
            Expected::Status => write!(
                out,
                "GET /locks/{prefix}-{number} HTTP/1.1\r\nhost: localhost\r\n\
                 authorization: Bearer {}\r\n\r\n",
                self.own
            ),
            Expected::Alive => write!(out, "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"),
            Expected::Contains(_) => self.write_other(out),
        }
    }

    /// A request of another domain than locks. What is read must first be written.
    fn write_other(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let (prefix, first) = (&self.prefix, self.rounds == 0);
        let (method, path, body) = match self.workload {
            Workload::Check => (
                "POST",
                format!("/limits/{prefix}-{}/check", self.rounds / 5_000),
                r#"{"max_requests":10000,"window_seconds":3600}"#,
            ),
            Workload::Evaluate if first => {
                ("PUT", format!("/flags/{prefix}"), r#"{"enabled":true}"#)
            }
            Workload::Evaluate => ("GET", format!("/flags/{prefix}?key=customer-42"), ""),
            Workload::ConfigGet if !first => ("GET", format!("/config/{prefix}"), ""),
            Workload::ConfigGet
            | Workload::ConfigPut
            | Workload::AcquireRelease
            | Workload::Renew
            | Workload::Get
            | Workload::Contended
            | Workload::Probe => (
                "PUT",
                format!("/config/{prefix}"),
                r#"{"value": {"max": 250.00, "currency": "EUR"}}"#,
            ),
        };
        write!(
            out,
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
             content-length: {}\r\n\r\n{body}",
            self.own,
            body.len()
        )
    }
}

impl Script for Dialogue {
    fn request(&mut self, out: &mut Vec<u8>) {
        self.expected = self.next();
        // Nothing refuses to be written into a vector.
        let _written = self.write(out);
    }

    fn response(&mut self, received: &[u8]) -> Result<Option<usize>, String> {
        let Some(Answer { status, body, length, .. }) = Answer::read(received)? else {
            return Ok(None);
        };
        self.learn(status, body)?;
        Ok(Some(length))
    }

    fn at_rest(&self) -> bool {
        self.workload != Workload::AcquireRelease || self.lease.is_none()
    }
}

/// Takes one lock after the other and keeps them, each for the next account.
#[derive(Debug)]
pub struct Holding {
    dialogue: Dialogue,
    account: u32,
    accounts: u32,
    left: u32,
}

impl Holding {
    /// Takes `count` of them, for an hour each, beginning with `account` of so many.
    pub fn new(connection: u32, count: u32, account: u32, accounts: u32) -> Self {
        let prefix = format!("held-{connection}");
        let mut dialogue = Dialogue::new(Workload::AcquireRelease, Manner::Ours, prefix, account);
        dialogue.names = u32::MAX;
        dialogue.ttl_seconds = 3600;
        Self { dialogue, account, accounts, left: count }
    }
}

impl Script for Holding {
    fn request(&mut self, out: &mut Vec<u8>) {
        self.dialogue.request(out);
    }

    fn response(&mut self, received: &[u8]) -> Result<Option<usize>, String> {
        let length = self.dialogue.response(received)?;
        if length.is_some() {
            self.dialogue.lease = None;
            self.dialogue.rounds += 1;
            self.account = (self.account + 1) % self.accounts;
            self.dialogue.own = token(self.account);
            self.left = self.left.saturating_sub(1);
        }
        Ok(length)
    }

    fn at_rest(&self) -> bool {
        self.left == 0
    }
}

fn lease_id(body: &str) -> Result<&str, String> {
    let id = after(body, "\"lease_id\":\"")?.get(..36);
    id.ok_or_else(|| format!("no lease_id in {body}"))
}

fn fencing_token(body: &str) -> Result<u64, String> {
    number_after(body, "\"fencing_token\":")
}
