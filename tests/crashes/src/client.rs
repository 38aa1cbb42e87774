//! A small blocking HTTP/1.1 client that can also stop in the middle of a request and go away.

use crate::Outcome;
use serde_json::Value;
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

/// Only a broken server takes longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Who asks. Both exist in every server that [`crate::server::Host`] starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// The one.
    Alice,
    /// The other.
    Bob,
}

impl Account {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Alice, Self::Bob];

    /// The name of the account.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alice => "alice",
            Self::Bob => "bob",
        }
    }

    /// The token that opens it.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Alice => "alice-token-5f0c",
            Self::Bob => "bob-token-91ad",
        }
    }

    /// The account of that name, if it is one of them.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|account| account.name() == name)
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// With its query.
    pub path: String,
    /// `If-Match` or `If-None-Match`, and its value.
    pub condition: Option<(&'static str, String)>,
    /// JSON, or nothing.
    pub body: Option<Value>,
}

impl Request {
    /// A request without a condition.
    pub fn new(method: &'static str, path: impl Into<String>, body: Option<Value>) -> Self {
        Self { method, path: path.into(), condition: None, body }
    }

    /// As it is sent.
    pub fn bytes(&self, account: Account) -> Vec<u8> {
        let Self { method, path, .. } = self;
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n",
            account.token()
        );
        if let Some((name, value)) = &self.condition {
            text += &format!("{name}: {value}\r\n");
        }
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        text += &format!("content-length: {}\r\n\r\n{body}", body.len());
        text.into_bytes()
    }
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 200, 404, …
    pub status: u16,
    /// The `ETag`, if there is one.
    pub etag: Option<String>,
    /// The body, `null` if it is no JSON.
    pub body: Value,
}

impl Answer {
    /// A field of the body as text; empty if there is none.
    pub fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }

    /// The stable word of an error; empty if this is none.
    pub fn code(&self) -> &str {
        self.text("code")
    }
}

/// One connection. Dropping it closes it.
#[derive(Debug)]
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends these bytes, whatever they are.
    ///
    /// # Errors
    /// The server is gone; some of them may have arrived.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Reads one answer.
    ///
    /// # Errors
    /// None came.
    pub fn read(&mut self) -> io::Result<Answer> {
        let status = self.line()?;
        let status = status.get(9..12).and_then(|code| code.parse().ok()).ok_or_else(no_http)?;
        let (mut length, mut etag) = (0, None);
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else { break };
            match &*name.to_ascii_lowercase() {
                "content-length" => length = value.parse().map_err(|_| no_http())?,
                "etag" => etag = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Answer { status, etag, body: serde_json::from_slice(&body).unwrap_or_default() })
    }

    /// Goes away at once, without waiting for anything that may still come.
    pub fn hang_up(self) {
        // The server may have gone first.
        let _gone = self.0.get_ref().shutdown(Shutdown::Both);
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 || !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

fn no_http() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP")
}

/// Asks once, over a connection of its own.
///
/// # Errors
/// No answer came.
pub fn ask(address: SocketAddr, account: Account, request: &Request) -> Outcome<Answer> {
    let mut connection = Connection::open(address)?;
    connection.send(&request.bytes(account))?;
    Ok(connection.read()?)
}
