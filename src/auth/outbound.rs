//! Requests that the server itself sends: to the providers that people sign in with, and to the
//! issuers that workloads come from.
//!
//! What always holds: a secret travels over TLS, or does not leave this machine; nobody is
//! followed elsewhere; nobody makes the server wait, or keep more, than the bounds below say.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode, Uri,
    header::{ACCEPT, HeaderValue, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use openidconnect::{
    AsyncHttpClient,
    url::{Host, Url},
};
use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{Arc, LazyLock},
    time::Duration,
};

/// How long a whole exchange may take: to connect, to ask and to hear the end of the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest body of an answer, in bytes.
const LARGEST_BODY: usize = 1024 * 1024;

/// As whom the server introduces itself. GitHub answers nobody who does not.
const PRODUCT: HeaderValue =
    HeaderValue::from_static(concat!("octostore/", env!("CARGO_PKG_VERSION")));

/// An HTTP client, cheap to clone. It follows no redirect, keeps no connection, and gives up
/// after ten seconds or a mebibyte.
#[derive(Clone)]
pub struct Outbound {
    client: Arc<LazyLock<HttpClient>>,
    patience: Duration,
    /// Whether nothing but https is asked, not even on this machine.
    tls_alone: bool,
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Why there is no answer, or none that can be used. No message shows a header or a body.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// Neither TLS nor this very machine.
    #[error("{0} is neither https nor on this machine, and is not asked")]
    Unprotected(Authority),
    /// No connection, or it broke off.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(Authority, String),
    /// The answer broke off.
    #[error("the answer of {0} broke off")]
    BrokeOff(Authority),
    /// It took longer than ten seconds.
    #[error("{0} did not answer in time")]
    Late(Authority),
    /// The body is larger than a mebibyte.
    #[error("the answer of {0} is too large")]
    TooLarge(Authority),
    /// Another status than was asked for.
    #[error("{0} answered {1}")]
    Status(Authority, StatusCode),
    /// The body is no JSON.
    #[error("{0} answered something that is no JSON")]
    NoJson(Authority),
}

/// Whom a request went to: host and port, and nothing that could be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority(String);

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Authority {
    fn of(uri: &Uri) -> Self {
        let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        Self(format!("{}{port}", uri.host().unwrap_or("a URL without a host")))
    }
}

impl Outbound {
    /// A client that believes the certificate authorities of this system, or Mozilla's where the
    /// system has none. They are read from disk with the first request.
    pub fn new() -> Self {
        Self { client: Arc::new(LazyLock::new(http_client)), patience: PATIENCE, tls_alone: false }
    }

    /// The same for whoever is found over TLS: what it says has nobody on this machine asked who
    /// is reached without.
    #[must_use]
    pub fn over_tls_alone(&self) -> Self {
        Self { tls_alone: true, ..self.clone() }
    }

    /// Whether this would be asked at all.
    pub fn may_ask(&self, url: &Url) -> bool {
        is_protected(url) && (url.scheme() == "https" || !self.tls_alone)
    }

    /// Sends one request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// See [`OutboundError`].
    pub async fn send(
        &self,
        mut request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, OutboundError> {
        let to = Authority::of(request.uri());
        let url = Url::parse(&request.uri().to_string());
        if !url.is_ok_and(|url| self.may_ask(&url)) {
            return Err(OutboundError::Unprotected(to));
        }
        request.headers_mut().insert(USER_AGENT, PRODUCT);
        let exchange = self.exchange(&to, request.map(|body| Full::new(body.into())));
        match tokio::time::timeout(self.patience, exchange).await {
            Ok(done) => done,
            Err(_) => Err(OutboundError::Late(to)),
        }
    }

    /// As [`Outbound::send`], for whoever has no use for the answer of a server in trouble.
    ///
    /// # Errors
    /// See [`OutboundError`]; a status from 500 on, and 429, are one.
    pub async fn ask(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, OutboundError> {
        let to = Authority::of(request.uri());
        let answer = self.send(request).await?;
        let status = answer.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(OutboundError::Status(to, status));
        }
        Ok(answer)
    }

    /// Reads the JSON at `url`, which must be answered with success.
    ///
    /// # Errors
    /// See [`OutboundError`].
    pub async fn get_json(&self, url: &Url) -> Result<serde_json::Value, OutboundError> {
        let mut request = Request::new(Vec::new());
        // Every URL that http cannot read is one that is not asked.
        *request.uri_mut() = url.as_str().parse().unwrap_or_default();
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let to = Authority::of(request.uri());
        let answer = self.send(request).await?;
        if !answer.status().is_success() {
            return Err(OutboundError::Status(to, answer.status()));
        }
        serde_json::from_slice(answer.body()).map_err(|_| OutboundError::NoJson(to))
    }

    async fn exchange(
        &self,
        to: &Authority,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Vec<u8>>, OutboundError> {
        let answer = self.client.request(request).await;
        let answer =
            answer.map_err(|error| OutboundError::Unreachable(to.clone(), innermost(&error)))?;
        let (head, body) = answer.into_parts();
        match Limited::new(body, LARGEST_BODY).collect().await {
            Ok(body) => Ok(Response::from_parts(head, body.to_bytes().into())),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(OutboundError::TooLarge(to.clone()))
            }
            Err(_) => Err(OutboundError::BrokeOff(to.clone())),
        }
    }
}

/// An exchange that is under way.
pub type Exchange<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, OutboundError>> + Send + 'a>>;

/// The client that OAuth 2 and OpenID Connect are spoken over.
impl<'a> AsyncHttpClient<'a> for Outbound {
    type Error = OutboundError;
    type Future = Exchange<'a>;

    fn call(&'a self, request: Request<Vec<u8>>) -> Exchange<'a> {
        Box::pin(self.ask(request))
    }
}

impl Default for Outbound {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// What an error comes down to: the system's words, or those of TLS.
fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn http_client() -> HttpClient {
    let connector = match HttpsConnectorBuilder::new().with_native_roots() {
        Ok(connector) => connector,
        Err(error) => {
            tracing::info!(%error, "this system has no certificates; Mozilla's are used");
            HttpsConnectorBuilder::new().with_webpki_roots()
        }
    };
    let connector = connector.https_or_http().enable_http1().build();
    // A kept connection that the other side has closed meanwhile would fail the exchange of a
    // code, which can only be sent once.
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)
}

/// Whether what is sent to `url` can be read on the way: it cannot over TLS, and there is no way
/// to an address of this machine (127.0.0.0/8, ::1, localhost).
pub fn is_protected(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.has_host(),
        "http" => match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// Answers the first connection with `answer`, and returns the URL and what was asked.
    async fn once(answer: Vec<u8>) -> (Url, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a?b=c", listener.local_addr().unwrap()).parse().unwrap();
        let asked = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.windows(4).any(|four| four == b"\r\n\r\n") {
                assert_ne!(socket.read_buf(&mut asked).await.unwrap(), 0);
            }
            // Whoever has had enough hangs up before the end.
            let _ = socket.write_all(&answer).await;
            String::from_utf8(asked).unwrap()
        });
        (url, asked)
    }

    fn answer(head: &str, body: &[u8]) -> Vec<u8> {
        let length = body.len();
        let head = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn json_is_read_and_the_server_introduces_itself() {
        let (url, asked) = once(answer("200 OK", b"{\"a\":1}")).await;
        assert_eq!(Outbound::new().get_json(&url).await.unwrap()["a"], 1);
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("user-agent: octostore/"), "{asked}");
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_like_any_other() {
        let elsewhere = answer("302 Found\r\nlocation: http://127.0.0.1:1/", b"");
        let (url, _asked) = once(elsewhere).await;
        let error = Outbound::new().get_json(&url).await.unwrap_err();
        assert!(matches!(error, OutboundError::Status(_, StatusCode::FOUND)), "{error}");
        assert!(!error.to_string().contains("b=c"), "{error}");
    }

    #[tokio::test]
    async fn an_answer_has_bounds_in_size_and_time() {
        let (url, _asked) = once(answer("200 OK", &vec![b' '; LARGEST_BODY + 1])).await;
        let error = Outbound::new().get_json(&url).await.unwrap_err();
        assert!(matches!(error, OutboundError::TooLarge(_)), "{error}");

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let hasty = Outbound { patience: Duration::from_millis(20), ..Outbound::new() };
        let error = hasty.get_json(&url).await.unwrap_err();
        assert!(matches!(error, OutboundError::Late(_)), "{error}");

        drop(listener);
        let error = Outbound::new().get_json(&url).await.unwrap_err();
        assert!(matches!(error, OutboundError::Unreachable(..)), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }

    #[tokio::test]
    async fn nothing_is_sent_in_clear_to_another_machine() {
        for url in ["http://example.com/", "http://127.0.0.1.example.com/", "ftp://localhost/"] {
            let error = Outbound::new().get_json(&url.parse().unwrap()).await.unwrap_err();
            assert!(matches!(error, OutboundError::Unprotected(_)), "{url}: {error}");
        }
        for url in ["https://example.com", "http://127.8.0.1:1", "http://[::1]", "http://localhost"]
        {
            assert!(is_protected(&url.parse().unwrap()), "{url}");
        }
    }

    #[tokio::test]
    async fn who_is_found_over_tls_has_nobody_here_asked_without() {
        let (url, asked) = once(answer("200 OK", b"{}")).await;
        let error = Outbound::new().over_tls_alone().get_json(&url).await.unwrap_err();
        assert!(matches!(error, OutboundError::Unprotected(_)), "{error}");
        Outbound::new().get_json(&url).await.unwrap();
        asked.await.unwrap();
        assert!(Outbound::new().over_tls_alone().may_ask(&"https://a.example".parse().unwrap()));
    }
}
