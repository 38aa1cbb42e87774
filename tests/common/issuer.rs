//! An issuer of tokens for workloads: a discovery document and keys over real HTTP, as much as
//! Kubernetes has and no more.

use super::jwt::Signer;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{SystemTime, UNIX_EPOCH},
};

/// A running issuer. Dropping it stops it.
pub struct Issuer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    /// `None` is an issuer in trouble.
    keys: Option<Vec<Value>>,
    asked: usize,
    stopped: bool,
}

impl Issuer {
    /// One with these keys.
    pub fn start(signers: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if shared.lock().unwrap().stopped {
                    return;
                }
                answer(&connection.unwrap(), address, &shared);
            }
        });
        let issuer = Self { address, state, thread: Some(thread) };
        issuer.rotate(signers);
        issuer
    }

    /// What it is called.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it has these keys.
    pub fn rotate(&self, signers: &[&Signer]) {
        let keys = signers.iter().map(|signer| signer.jwk()).collect();
        self.state.lock().unwrap().keys = Some(keys);
    }

    /// From now on it is in trouble.
    pub fn fail(&self) {
        self.state.lock().unwrap().keys = None;
    }

    /// How often it was asked for its keys.
    pub fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    /// What its tokens say: for `octostore`, begun now, good for five minutes, and this.
    pub fn claims(&self, more: &Value) -> Value {
        let mut claims = json!({ "iss": self.url(), "aud": "octostore" });
        for (at, seconds) in [("iat", 0), ("nbf", 0), ("exp", 300)] {
            claims[at] = json!(now() + seconds);
        }
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.state.lock().unwrap().stopped = true;
        // Wakes it up.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

fn answer(connection: &TcpStream, address: SocketAddr, state: &Mutex<State>) {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    // The rest of the head.
    lines.find(String::is_empty);
    let mut state = state.lock().unwrap();
    let issuer = format!("http://{address}");
    let body = match (request.split(' ').nth(1).unwrap(), &state.keys) {
        ("/.well-known/openid-configuration", Some(_)) => Some(json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/openid/v1/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })),
        ("/openid/v1/jwks", Some(keys)) => {
            let keys = json!({ "keys": keys });
            state.asked += 1;
            Some(keys)
        }
        _ => None,
    };
    let (status, body) = match body {
        Some(body) => ("200 OK", body.to_string()),
        None => ("503 Service Unavailable", String::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}", body.len());
    // Whoever asked may be gone.
    let _ = { connection }.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
}
