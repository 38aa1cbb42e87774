//! A small blocking HTTP/1.1 client that can do what a well-behaved one cannot: send any bytes,
//! stop in the middle, leave answers unread, and go away at will.

use super::{Answer, PATIENCE, asked::Asked, document};
use serde_json::{Value, json};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

trait Socket: Read + Write + Send {
    fn wait_at_most(&self, patience: Duration) -> io::Result<()>;
    fn say_goodbye(&self) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn wait_at_most(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))?;
        self.set_write_timeout(Some(patience))
    }

    fn say_goodbye(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Socket for UnixStream {
    fn wait_at_most(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))?;
        self.set_write_timeout(Some(patience))
    }

    fn say_goodbye(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// One connection. Dropping it closes it. Every answer is held against the OpenAPI document.
pub struct Connection {
    socket: Box<dyn Socket>,
    unread: Vec<u8>,
    /// `None` if the other side is no server of ours.
    asked: Option<Asked>,
}

impl Connection {
    /// Connects.
    pub fn try_open(address: &Address) -> io::Result<Self> {
        let socket: Box<dyn Socket> = match address {
            Address::Tcp(address) => {
                let socket = TcpStream::connect(address)?;
                socket.set_nodelay(true)?;
                Box::new(socket)
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path)?),
        };
        socket.wait_at_most(PATIENCE)?;
        Ok(Self { socket, unread: Vec::new(), asked: Some(Asked::default()) })
    }

    /// Connects to somebody else, whose answers nobody documents here.
    pub fn open_elsewhere(address: &Address) -> Self {
        Self { asked: None, ..Self::open(address) }
    }

    /// Connects to a server that must be there.
    pub fn open(address: &Address) -> Self {
        Self::try_open(address).unwrap()
    }

    /// Sends these bytes, whatever they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// Sends these bytes, to a server that may be gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(asked) = &mut self.asked {
            asked.sent(bytes);
        }
        self.socket.write_all(bytes)?;
        self.socket.flush()
    }

    /// Says that nothing follows, as closing does, but stays to hear what still comes.
    pub fn say_goodbye(&mut self) {
        self.socket.say_goodbye().unwrap();
    }

    /// Reads one answer to anything but `HEAD`.
    pub fn read(&mut self) -> Answer {
        self.try_read().unwrap()
    }

    /// Reads one answer, which must come sooner than usual.
    pub fn read_within(&mut self, patience: Duration) -> Answer {
        self.socket.wait_at_most(patience).unwrap();
        let answer = self.read();
        self.socket.wait_at_most(PATIENCE).unwrap();
        answer
    }

    /// Reads one answer, which may not come.
    pub fn try_read(&mut self) -> io::Result<Answer> {
        let answer = self.read_whole()?;
        self.check(&answer, true);
        Ok(answer)
    }

    fn check(&mut self, answer: &Answer, has_body: bool) {
        if let Some(asked) = self.asked.as_mut().filter(|_| answer.status >= 200) {
            document::check(asked.answered().as_ref(), answer, has_body);
        }
    }

    fn read_whole(&mut self) -> io::Result<Answer> {
        let mut answer = self.read_bare_head()?;
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.read_chunk()? {
                answer.body.extend(chunk);
            }
            return Ok(answer);
        }
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length {
            self.fill()?;
        }
        answer.body = self.unread.drain(..length).collect();
        Ok(answer)
    }

    /// Reads the next piece of a body whose length nobody knew; `None` if it is complete.
    pub fn read_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let size = self.read_up_to(b"\r\n")?;
        let size = String::from_utf8(size).unwrap();
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        while self.unread.len() < size + 2 {
            self.fill()?;
        }
        let mut chunk: Vec<u8> = self.unread.drain(..size + 2).collect();
        assert!(chunk.ends_with(b"\r\n"), "no chunk: {chunk:?}");
        chunk.truncate(size);
        Ok((size > 0).then_some(chunk))
    }

    fn read_up_to(&mut self, mark: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.windows(mark.len()).position(|part| part == mark) {
                return Ok(self.unread.drain(..at + mark.len()).collect());
            }
            self.fill()?;
        }
    }

    /// Reads the head of an answer, and no body: the whole answer to `HEAD`, or an interim one.
    pub fn read_head(&mut self) -> io::Result<Answer> {
        let answer = self.read_bare_head()?;
        self.check(&answer, false);
        Ok(answer)
    }

    fn read_bare_head(&mut self) -> io::Result<Answer> {
        let head = String::from_utf8(self.read_up_to(b"\r\n\r\n")?).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap();
        assert!(status.starts_with("HTTP/1."), "no answer: {head}");
        Ok(Answer {
            status: status[9..12].parse().unwrap(),
            headers: lines
                .map(|line| line.split_once(": ").unwrap())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: Vec::new(),
        })
    }

    /// Whether the server has closed the connection and sent nothing more before.
    pub fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && self.fill().is_err()
    }

    /// Reads whatever comes until the server closes, and returns it.
    pub fn drain(&mut self) -> Vec<u8> {
        while self.fill().is_ok() {}
        std::mem::take(&mut self.unread)
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 8192];
        let length = loop {
            match self.socket.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Nothing came, and nobody closed: that is never what a test waits for.
                Err(error) if is_late(&error) => panic!("waited in vain for the server: {error}"),
                read => break read?,
            }
        };
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.unread.extend_from_slice(&chunk[..length]);
        Ok(())
    }
}

/// Whether patience ended, and not the connection.
pub fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("content-length: {}\r\n", body.len());
    }
    let mut bytes = (text + "\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// An account at work, over one connection for as long as it lives.
pub struct Client {
    address: Address,
    authorization: Option<String>,
    connection: Option<Connection>,
}

impl Client {
    /// Whoever shows `token`.
    pub fn new(address: &Address, token: &str) -> Self {
        Self {
            address: address.clone(),
            authorization: Some(format!("Bearer {token}")),
            connection: None,
        }
    }

    /// Nobody in particular.
    pub fn anonymous(address: &Address) -> Self {
        Self { address: address.clone(), authorization: None, connection: None }
    }

    /// The bytes that would be sent.
    pub fn bytes(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let authorization = self.authorization.as_deref();
        let headers: Vec<_> =
            authorization.map(|value| ("authorization", value)).into_iter().collect();
        request(method, path, &headers, body)
    }

    /// Sends a request and reads its answer; either may fail.
    pub fn try_send(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::try_open(&self.address)?,
        };
        connection.try_send(&self.bytes(method, path, body))?;
        let answer = connection.try_read()?;
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    /// Sends a request and reads its answer.
    pub fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.try_send(method, path, body).unwrap()
    }

    /// `POST` with a body in JSON.
    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body.to_string().as_bytes())
    }

    /// Acquires a lock with nothing but a time to live.
    pub fn acquire(&mut self, name: &str, ttl: u64) -> Answer {
        self.acquire_with(name, &json!({ "ttl_seconds": ttl }))
    }

    /// Acquires a lock with this body.
    pub fn acquire_with(&mut self, name: &str, body: &Value) -> Answer {
        self.post(&format!("/locks/{name}/acquire"), body)
    }

    /// Releases a lease.
    pub fn release(&mut self, name: &str, lease: &str) -> Answer {
        self.post(&format!("/locks/{name}/release"), &json!({ "lease_id": lease }))
    }

    /// Renews a lease.
    pub fn renew(&mut self, name: &str, lease: &str, ttl: u64) -> Answer {
        let body = json!({ "lease_id": lease, "ttl_seconds": ttl });
        self.post(&format!("/locks/{name}/renew"), &body)
    }

    /// How a lock stands.
    pub fn get(&mut self, name: &str) -> Answer {
        self.send("GET", &format!("/locks/{name}"), b"")
    }

    /// The account's locks; `query` begins with a question mark or is empty.
    pub fn list(&mut self, query: &str) -> Answer {
        self.send("GET", &format!("/locks{query}"), b"")
    }
}
