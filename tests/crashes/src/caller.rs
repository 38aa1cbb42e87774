//! A client that notes everything it asks and is told.

use crate::{
    client::{Account, Answer, Connection, Request},
    history::{
        Event, Moment, config, flag, limit,
        lock::{self, Holder, Shown},
    },
    log::{Log, NEVER, Sighting},
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use uuid::Uuid;

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It waits for the answer.
    Waits,
    /// It sends the request and goes away.
    HangsUp,
    /// It sends a part of the request and goes away.
    StopsMidway,
}

/// What came of a request.
#[derive(Debug)]
enum Reply {
    /// It was not executed.
    Not,
    /// It may have been executed.
    Unknown,
    /// It was answered.
    Answer(Answer),
}

/// One client of one server.
#[derive(Debug)]
pub struct Caller {
    /// Which client it is.
    pub client: u32,
    /// In whose name it asks.
    pub holder: Holder,
    /// What it has asked and was told.
    pub log: Log,
    /// Nobody listens any more.
    pub is_alone: bool,
    /// The metadata of the locks that it acquires.
    pub metadata: String,
    address: SocketAddr,
    connection: Option<Connection>,
}

impl Caller {
    /// The client of that number, of the server that listens there.
    pub fn new(client: u32, holder: Holder, address: SocketAddr) -> Self {
        Self {
            client,
            holder,
            log: Log::default(),
            is_alone: false,
            metadata: String::new(),
            address,
            connection: None,
        }
    }

    /// Acquires a lock for `ttl` seconds; returns the id of the lease if it has it.
    pub fn acquire(&mut self, name: &str, ttl: u32, manner: Manner) -> Option<u128> {
        let owner = format!("w{}", self.holder.owner);
        let mut body = json!({"ttl_seconds": ttl, "owner": owner});
        if !self.metadata.is_empty() {
            body["metadata"] = self.metadata.clone().into();
        }
        let ask = lock::Ask::Acquire(self.holder, i64::from(ttl) * 1_000);
        self.about_lock(name, ask, &post(format!("/locks/{name}/acquire"), body), manner)
    }

    /// Renews a lease for `ttl` seconds; returns its id if it still has it.
    pub fn renew(&mut self, name: &str, lease: u128, ttl: u32, manner: Manner) -> Option<u128> {
        let body = json!({"ttl_seconds": ttl, "lease_id": uuid(lease)});
        let ask = lock::Ask::Renew(self.holder.account, lease, i64::from(ttl) * 1_000);
        self.about_lock(name, ask, &post(format!("/locks/{name}/renew"), body), manner)
    }

    /// Releases a lease.
    pub fn release(&mut self, name: &str, lease: u128, manner: Manner) {
        let body = json!({"lease_id": uuid(lease)});
        let ask = lock::Ask::Release(self.holder.account, lease);
        self.about_lock(name, ask, &post(format!("/locks/{name}/release"), body), manner);
    }

    /// Looks at a lock; returns the id of its lease if the account has it.
    pub fn look(&mut self, name: &str) -> Option<u128> {
        let request = Request::new("GET", format!("/locks/{name}"), None);
        self.about_lock(name, lock::Ask::Look, &request, Manner::Waits)
    }

    fn about_lock(
        &mut self,
        name: &str,
        ask: lock::Ask,
        request: &Request,
        manner: Manner,
    ) -> Option<u128> {
        let (from, reply) = self.exchange(request, manner);
        let told = match &reply {
            Reply::Not => return None,
            Reply::Unknown => lock::Told::Nothing,
            Reply::Answer(answer) => match lock_told(answer) {
                Some(told) => told,
                None => return self.cannot_be(request, answer),
            },
        };
        let event = self.event(from, lock::Operation { ask, told }, &reply);
        if matches!(told, lock::Told::Released) {
            self.log.counts.released += 1;
        }
        let lease = shown_to_owner(told).map(|shown| {
            self.log.sightings.push(Sighting {
                at: event.to,
                acquired: matches!(ask, lock::Ask::Acquire(..)).then_some(from),
                name: name.to_owned(),
                holder: self.holder,
                lease: shown.lease,
                token: shown.token,
            });
            shown.lease
        });
        self.log.locks.entry(name.to_owned()).or_default().push(event);
        lease
    }

    /// Writes a value; returns the `ETag` of what it has written.
    pub fn put(
        &mut self,
        key: &str,
        condition: config::If,
        value: u64,
        manner: Manner,
    ) -> Option<String> {
        let body = json!({ "value": value });
        let mut request = Request::new("PUT", format!("/config/{key}"), Some(body));
        request.condition = match &condition {
            config::If::Always => None,
            config::If::Matches(etag) => Some(("if-match", etag.clone())),
            config::If::New => Some(("if-none-match", "*".to_owned())),
        };
        self.about_config(key, config::Ask::Put(condition, value), &request, manner)
    }

    /// Reads a value; returns its `ETag`.
    pub fn get(&mut self, key: &str) -> Option<String> {
        let request = Request::new("GET", format!("/config/{key}"), None);
        self.about_config(key, config::Ask::Get, &request, Manner::Waits)
    }

    /// Deletes a key.
    pub fn delete(&mut self, key: &str, manner: Manner) {
        let request = Request::new("DELETE", format!("/config/{key}"), None);
        self.about_config(key, config::Ask::Delete, &request, manner);
    }

    fn about_config(
        &mut self,
        key: &str,
        ask: config::Ask,
        request: &Request,
        manner: Manner,
    ) -> Option<String> {
        let (from, reply) = self.exchange(request, manner);
        let told = match &reply {
            Reply::Not => return None,
            Reply::Unknown => config::Told::Nothing,
            Reply::Answer(answer) => match config_told(answer, &ask) {
                Some(told) => told,
                None => return self.cannot_be(request, answer),
            },
        };
        let etag =
            if let config::Told::Version { etag, .. } = &told { Some(etag.clone()) } else { None };
        let event = self.event(from, config::Operation { ask, told }, &reply);
        self.log.configs.entry((self.holder.account, key.to_owned())).or_default().push(event);
        etag
    }

    /// Writes, reads or deletes a flag.
    pub fn flag(&mut self, name: &str, ask: flag::Ask, manner: Manner) {
        let path = format!("/flags/{name}");
        let request = match ask {
            flag::Ask::Set(percentage) => {
                Request::new("PUT", path, Some(json!({"enabled": true, "percentage": percentage})))
            }
            flag::Ask::Look => Request::new("GET", format!("/flags?prefix={name}&limit=1"), None),
            flag::Ask::Delete => Request::new("DELETE", path, None),
        };
        let (from, reply) = self.exchange(&request, manner);
        let told = match &reply {
            Reply::Not => return,
            Reply::Unknown => flag::Told::Nothing,
            Reply::Answer(answer) => match (answer.status, ask) {
                (200, flag::Ask::Set(_)) => flag::Told::Stored(percentage(&answer.body)),
                (200, flag::Ask::Look) => flag::Told::Stored(percentage(&answer.body["flags"][0])),
                (200, flag::Ask::Delete) => flag::Told::Deleted,
                (404, flag::Ask::Delete) => flag::Told::NotFound,
                _ => {
                    self.cannot_be::<()>(&request, answer);
                    return;
                }
            },
        };
        let event = self.event(from, flag::Operation { ask, told }, &reply);
        self.log.flags.entry((self.holder.account, name.to_owned())).or_default().push(event);
    }

    /// Checks a limit of so many a day.
    pub fn check(&mut self, name: &str, most: u64, manner: Manner) {
        let body = json!({"max_requests": most, "window_seconds": 86_400});
        let request = post(format!("/limits/{name}/check"), body);
        let (from, reply) = self.exchange(&request, manner);
        let told = match &reply {
            Reply::Not => return,
            Reply::Unknown => limit::Told::Nothing,
            Reply::Answer(Answer { status: 200, body, .. }) => match body["allowed"].as_bool() {
                Some(true) => limit::Told::Admitted(body["current_count"].as_u64().unwrap_or(0)),
                Some(false) | None => limit::Told::Refused,
            },
            Reply::Answer(answer) => {
                self.cannot_be::<()>(&request, answer);
                return;
            }
        };
        let event = self.event(from, told, &reply);
        let key = (self.holder.account, name.to_owned(), most);
        self.log.limits.entry(key).or_default().push(event);
    }

    fn event<O>(&self, from: Moment, what: O, reply: &Reply) -> Event<O> {
        let to = if matches!(reply, Reply::Answer(_)) { Moment::now() } else { NEVER };
        Event { client: self.client, from, to, what }
    }

    fn cannot_be<T>(&mut self, request: &Request, answer: &Answer) -> Option<T> {
        self.log.broken.push(format!("{request:?} was answered {answer:?}"));
        None
    }

    /// Sends a request, and hears what comes.
    fn exchange(&mut self, request: &Request, manner: Manner) -> (Moment, Reply) {
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(self.address),
        };
        let from = Moment::now();
        let Ok(mut connection) = connection else {
            self.is_alone = true;
            return (from, Reply::Not);
        };
        let bytes = request.bytes(self.holder.account);
        if manner == Manner::StopsMidway {
            // Whatever comes of it: it is no request.
            let _gone = connection.send(&bytes[..bytes.len() - 1]);
            connection.hang_up();
            return (from, Reply::Not);
        }
        let sent = connection.send(&bytes);
        if manner == Manner::HangsUp || sent.is_err() {
            connection.hang_up();
            self.log.counts.unknown += 1;
            return (from, Reply::Unknown);
        }
        let Ok(answer) = connection.read() else {
            self.log.counts.unknown += 1;
            return (from, Reply::Unknown);
        };
        self.connection = Some(connection);
        if answer.status == 503 {
            self.connection = None;
            match answer.code() {
                "outcome_unknown" => {
                    self.log.counts.unknown += 1;
                    return (from, Reply::Unknown);
                }
                "storage_full" => self.log.counts.full += 1,
                "overloaded" | "tokens_exhausted" => {}
                _ => self.log.broken.push(format!("{request:?} was answered {answer:?}")),
            }
            return (from, Reply::Not);
        }
        self.log.counts.answered += 1;
        (from, Reply::Answer(answer))
    }
}

/// The lease, if it was shown with its id.
fn shown_to_owner(told: lock::Told) -> Option<Shown> {
    if let lock::Told::Lease(_, shown) = told { Some(shown) } else { None }
        .filter(|shown| shown.lease != 0)
}

fn post(path: String, body: Value) -> Request {
    Request::new("POST", path, Some(body))
}

fn lock_told(answer: &Answer) -> Option<lock::Told> {
    let body = &answer.body;
    let ends =
        || Some(body["expires_at"].as_str()?.parse::<jiff::Timestamp>().ok()?.as_millisecond());
    match (answer.status, answer.text("status")) {
        (200, "released") => Some(lock::Told::Released),
        (200, "available") => Some(lock::Told::Free),
        (200, "acquired" | "held") => {
            let lease = Uuid::parse_str(answer.text("lease_id")).ok()?.as_u128();
            let shown = Shown { lease, token: body["fencing_token"].as_u64()?, ends: ends()? };
            Some(lock::Told::Lease(Account::named(answer.text("holder"))?, shown))
        }
        (409, "held") => {
            let holder = Account::named(body["lock"]["holder"].as_str()?)?;
            Some(lock::Told::Held(holder, ends()?))
        }
        (404, _) if answer.code() == "lock_not_owned" => Some(lock::Told::NotOwned),
        _ => None,
    }
}

fn config_told(answer: &Answer, ask: &config::Ask) -> Option<config::Told> {
    match (answer.status, ask) {
        (200, config::Ask::Delete) => Some(config::Told::Deleted),
        (200 | 201, config::Ask::Put(..) | config::Ask::Get) => {
            let value = match ask {
                // The answer to a write does not repeat what was written.
                config::Ask::Put(_, value) => *value,
                config::Ask::Get | config::Ask::Delete => answer.body["value"].as_u64()?,
            };
            let etag = answer.etag.clone()?;
            Some(config::Told::Version { version: answer.body["version"].as_u64()?, value, etag })
        }
        (404, _) => Some(config::Told::NotFound),
        (412, config::Ask::Put(..)) => Some(config::Told::Moved),
        _ => None,
    }
}

fn percentage(flag: &Value) -> Option<u8> {
    flag["percentage"].as_u64().and_then(|percentage| percentage.try_into().ok())
}

fn uuid(lease: u128) -> String {
    Uuid::from_u128(lease).to_string()
}
