//! One connection, one request, one answer, and nothing taken on trust.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// A request that a client means to send.
#[derive(Clone, Debug)]
pub struct Ask {
    /// As in `GET`.
    pub method: &'static str,
    /// With its query.
    pub path: String,
    /// The bearer token; empty for none.
    pub token: String,
    /// One more header, with its line end; empty for none.
    pub header: String,
    /// Empty for none.
    pub body: String,
}

impl Ask {
    /// A request without a body.
    pub fn get(token: &str, path: String) -> Self {
        Self {
            method: "GET",
            path,
            token: token.to_owned(),
            header: String::new(),
            body: String::new(),
        }
    }

    /// A `POST`.
    pub fn post(token: &str, path: String, body: String) -> Self {
        Self { method: "POST", body, ..Self::get(token, path) }
    }

    /// A `PUT`.
    pub fn put(token: &str, path: String, body: String) -> Self {
        Self { method: "PUT", body, ..Self::get(token, path) }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(self, name: &str, value: &str) -> Self {
        Self { header: format!("{name}: {value}\r\n"), ..self }
    }

    /// Its bytes, under the name `id`, which the answer must repeat.
    pub fn bytes(&self, id: &str) -> Vec<u8> {
        let Self { method, path, token, header, body } = self;
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{header}");
        if !token.is_empty() {
            text += &format!("authorization: Bearer {token}\r\n");
        }
        if !id.is_empty() {
            text += &format!("x-request-id: {id}\r\n");
        }
        if !body.is_empty() {
            text += &format!("content-length: {}\r\n", body.len());
        }
        (text + "\r\n" + body).into_bytes()
    }
}

/// An answer, as far as anybody here looks at it.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `x-request-id`.
    pub request_id: String,
    /// `etag`.
    pub etag: Option<String>,
    /// `retry-after`, in seconds.
    pub retry_after: Option<u32>,
    /// Whether the server closes the connection behind it.
    pub closes: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The server closed the connection before the first byte of it.
    #[error("the connection was closed without an answer")]
    Closed,
    /// It broke off.
    #[error("the answer broke off after {0} bytes")]
    BrokeOff(usize),
    /// It is none.
    #[error("not an answer: {0}")]
    Malformed(String),
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// One connection. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// How many headers an answer may have.
const HEADERS: usize = 32;

impl Connection {
    /// Connects from 127.0.0.`from`, so that every kind of client has an address of its own.
    ///
    /// # Errors
    /// The server does not listen, or there is no port left.
    pub async fn open(server: SocketAddr, from: u8) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, from)), 0))?;
        let stream = socket.connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Sends these bytes, whatever they are.
    ///
    /// # Errors
    /// The connection is closed.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads one answer. What comes behind it stays.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn read(&mut self) -> Result<Answer, NoAnswer> {
        loop {
            if let Some((answer, length)) = parse(&self.unread)? {
                self.unread.drain(..length);
                return Ok(answer);
            }
            if self.fill().await? == 0 {
                return Err(match self.unread.len() {
                    0 => NoAnswer::Closed,
                    some => NoAnswer::BrokeOff(some),
                });
            }
        }
    }

    /// Whether more has come than was asked for.
    pub fn has_surplus(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Reads at most `most` bytes and forgets them; 0 is the end.
    ///
    /// # Errors
    /// The connection broke off.
    pub async fn sip(&mut self, most: usize) -> io::Result<usize> {
        let mut sip = vec![0; most];
        self.stream.read(&mut sip).await
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.unread.reserve(4096);
        self.stream.read_buf(&mut self.unread).await
    }
}

/// The answer at the beginning of `bytes` and how long it is, if it is all there.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>, NoAnswer> {
    let malformed = |why: String| NoAnswer::Malformed(why);
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let begins = match head.parse(bytes).map_err(|error| malformed(error.to_string()))? {
        httparse::Status::Complete(begins) => begins,
        httparse::Status::Partial => return Ok(None),
    };
    let mut answer = Answer { status: head.code.unwrap_or_default(), ..Answer::default() };
    let mut length = None;
    for header in head.headers.iter() {
        let value = std::str::from_utf8(header.value).map_err(|why| malformed(why.to_string()))?;
        let number = || value.parse().map_err(|_| malformed(format!("{}: {value}", header.name)));
        match header.name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(number()? as usize),
            "x-request-id" => value.clone_into(&mut answer.request_id),
            "etag" => answer.etag = Some(value.to_owned()),
            "retry-after" => answer.retry_after = Some(number()?),
            "connection" => answer.closes = value.eq_ignore_ascii_case("close"),
            "transfer-encoding" => return Err(malformed("a body of unknown length".to_owned())),
            _ => {}
        }
    }
    let length = match length {
        Some(length) => length,
        None if answer.status == 304 => 0,
        None => return Err(malformed(format!("{} without a length", answer.status))),
    };
    let ends = begins + length;
    Ok(bytes.get(begins..ends).map(|body| {
        answer.body = body.to_vec();
        (answer, ends)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_it_is_all_there_and_no_further() {
        let text = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nx-request-id: a\r\n\
                     content-length: 2\r\n\r\n{}HTTP/1.1";
        for short in 0..text.len() - 8 {
            assert!(parse(&text[..short]).unwrap().is_none(), "{short}");
        }
        let (answer, length) = parse(text).unwrap().unwrap();
        assert_eq!(
            (answer.status, answer.retry_after, &answer.body[..]),
            (503, Some(1), &b"{}"[..])
        );
        assert_eq!(&text[length..], b"HTTP/1.1");
    }

    #[test]
    fn what_is_no_answer_is_not_taken_for_one() {
        for text in
            ["{}", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"]
        {
            assert!(matches!(parse(text.as_bytes()), Err(NoAnswer::Malformed(_))), "{text}");
        }
    }
}
