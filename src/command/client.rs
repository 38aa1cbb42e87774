//! Asking a server on this machine.
//!
//! What is shown to it opens everything, and there is no TLS here: so nobody elsewhere is asked.

use crate::settings::Bind;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

/// How long a server may take to begin to answer, and to send anything more. It begins a backup when
/// it has copied itself.
const PATIENCE: Duration = Duration::from_secs(120);

/// How much of an error is read.
const LARGEST_ERROR: usize = 64 << 10;

/// Why a server gave no answer that can be used. No message shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Neither a Unix socket nor an address of this machine.
    #[error(
        "{0} is not on this machine, and the way there is not protected: fetch \
         https://…/admin/backup with curl, as the README says"
    )]
    NotHere(SocketAddr),
    /// Nobody says where it is.
    #[error("a server has the database and does not say where it listens: give --server")]
    NoAddress,
    /// There is nothing to show.
    #[error(
        "the server wants to know who asks: set ADMIN_KEY, or OCTOSTORE_TOKEN to a token of an \
         administrator ({0} is not there, or not the file of a first start)"
    )]
    NoSecret(String),
    /// No connection.
    #[error("no server answers at {at}: {source}; give its --server, or start it")]
    Unreachable {
        /// Where.
        at: Bind,
        /// What the system says.
        source: io::Error,
    },
    /// The answer broke off.
    #[error("the answer of {at} broke off: {why}; ask again")]
    BrokeOff {
        /// Who.
        at: Bind,
        /// What happened.
        why: String,
    },
    /// It does not know who asks, or does not let it.
    #[error("{at} refuses: {why}; ADMIN_KEY, OCTOSTORE_TOKEN or the token file is not right")]
    Refused {
        /// Who.
        at: Bind,
        /// What it says.
        why: String,
    },
    /// Later it may.
    #[error("{at} cannot now: {why}")]
    Busy {
        /// Who.
        at: Bind,
        /// What it says.
        why: String,
    },
    /// Something else.
    #[error("{at} answered {status}: {why}")]
    Status {
        /// Who.
        at: Bind,
        /// What.
        status: StatusCode,
        /// What it says.
        why: String,
    },
    /// It is not what the server sent.
    #[error("what came is not what the server sent: ask again")]
    Changed,
    /// The file cannot be written.
    #[error("what came cannot be written: {0}")]
    Cut(io::Error),
}

/// A server on this machine, and what is shown to it.
pub struct LocalServer {
    at: Bind,
    authorization: Option<HeaderValue>,
}

impl LocalServer {
    /// The server at `at`, which must be on this machine.
    ///
    /// # Errors
    /// It is elsewhere.
    pub fn at(at: Bind) -> Result<Self, ClientError> {
        match at {
            Bind::Tcp(address) if !here(address).ip().is_loopback() => {
                Err(ClientError::NotHere(address))
            }
            Bind::Tcp(_) | Bind::Unix(_) => Ok(Self::announced(at)),
        }
    }

    /// The server that has said in its lock file where it listens: on this machine, whatever the
    /// address.
    pub fn announced(at: Bind) -> Self {
        Self { at, authorization: None }
    }

    /// Shows `secret` from now on: a bearer token, or the key of the administrator. One that no
    /// header can have is not shown.
    ///
    /// # Errors
    /// The address is none of this machine: whoever may write the lock file can say what he likes in it.
    pub fn with_secret(self, secret: &str) -> Result<Self, ClientError> {
        match self.at {
            Bind::Tcp(address) if !is_here(here(address).ip()) => {
                return Err(ClientError::NotHere(address));
            }
            Bind::Tcp(_) | Bind::Unix(_) => {}
        }
        let value = HeaderValue::try_from(format!("Bearer {}", secret.trim()));
        let authorization = value.ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        Ok(Self { authorization, ..self })
    }

    /// Asks for `path`.
    ///
    /// # Errors
    /// No answer, or none with status 200.
    pub async fn get(&self, path: &str) -> Result<Response<Incoming>, ClientError> {
        let unreachable = |source| ClientError::Unreachable { at: self.at.clone(), source };
        match &self.at {
            Bind::Tcp(address) => {
                let socket = TcpStream::connect(here(*address)).await.map_err(unreachable)?;
                self.ask(socket, path).await
            }
            Bind::Unix(socket) => {
                let socket = UnixStream::connect(socket).await.map_err(unreachable)?;
                self.ask(socket, path).await
            }
        }
    }

    /// Writes what is at `path` into `to`, and looks whether it is what the server sent. Returns how
    /// many bytes that were.
    ///
    /// # Errors
    /// See [`ClientError`]; what is in `to` is of no use then.
    pub async fn fetch(&self, path: &str, to: &mut impl Write) -> Result<u64, ClientError> {
        let answer = self.get(path).await?;
        let digest = answer.headers().get("repr-digest").cloned();
        let mut body = answer.into_body();
        let (mut length, mut sum) = (0, Sha256::new());
        while let Some(frame) = self.in_time(body.frame()).await? {
            let frame = frame.map_err(|error| self.broke_off(&error))?;
            if let Some(data) = frame.data_ref() {
                to.write_all(data).map_err(ClientError::Cut)?;
                sum.update(data);
                length += data.len() as u64;
            }
        }
        let expected = format!("sha-256=:{}:", BASE64_STANDARD.encode(sum.finalize()));
        let whole = digest.is_some_and(|digest| digest.as_bytes() == expected.as_bytes());
        if whole { Ok(length) } else { Err(ClientError::Changed) }
    }

    async fn ask<S>(&self, socket: S, path: &str) -> Result<Response<Incoming>, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.map_err(|error| self.broke_off(&error))?;
        // It ends with the answer; what goes wrong is said there too.
        drop(tokio::spawn(connection));
        let mut request = Request::get(path).header(HOST, "localhost");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request =
            request.body(Empty::<Bytes>::new()).map_err(|error| self.broke_off(&error))?;
        let answer = self.in_time(sender.send_request(request)).await?;
        let answer = answer.map_err(|error| self.broke_off(&error))?;
        if answer.status() == StatusCode::OK {
            return Ok(answer);
        }
        Err(self.refusal(answer).await)
    }

    async fn refusal(&self, answer: Response<Incoming>) -> ClientError {
        let (at, status) = (self.at.clone(), answer.status());
        let content_type = answer.headers().get(CONTENT_TYPE);
        let is_text = content_type.is_some_and(|it| it.as_bytes().starts_with(b"text/plain"));
        let body = Limited::new(answer.into_body(), LARGEST_ERROR).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let said: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let said = said.and_then(|said| Some(said.get("error")?.as_str()?.to_owned()));
        let said = said.or_else(|| is_text.then(|| String::from_utf8_lossy(&body).into_owned()));
        let why = said.unwrap_or_else(|| "it does not say why".to_owned());
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            ClientError::Refused { at, why }
        } else if status == StatusCode::SERVICE_UNAVAILABLE {
            ClientError::Busy { at, why }
        } else {
            ClientError::Status { at, status, why }
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, ClientError> {
        let late =
            |_| ClientError::BrokeOff { at: self.at.clone(), why: "it takes too long".into() };
        timeout(PATIENCE, work).await.map_err(late)
    }

    fn broke_off(&self, error: &dyn std::error::Error) -> ClientError {
        ClientError::BrokeOff { at: self.at.clone(), why: error.to_string() }
    }
}

/// Where a server is reached that listens at `address`.
fn here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Whether this machine has the address: then what it sends there it sends from there. Nothing is sent.
fn is_here(ip: IpAddr) -> bool {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let from = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((ip, DISCARD))?;
        socket.local_addr()
    };
    ip.is_loopback() || from().is_ok_and(|from| from.ip() == ip)
}

/// The port of a service that takes everything and says nothing (RFC 863).
const DISCARD: u16 = 9;

/// Runs what asks a server.
///
/// # Errors
/// The runtime does not start.
pub fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}
