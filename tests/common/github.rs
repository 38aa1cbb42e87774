//! A stand-in for GitHub, with what is odd about the real one: errors come with 200, whoever does
//! not introduce themselves is forbidden, logins change hands, and scopes have commas between them.

use super::browser::{BACK, parameter};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Barrier, Mutex, MutexGuard},
};

pub const CLIENT_ID: &str = "Iv1.octostore";
pub const CLIENT_SECRET: &str = "github-client-secret-4f1e";

/// Somebody with an account on GitHub.
#[derive(Clone, Debug)]
pub struct User {
    pub id: u64,
    pub login: &'static str,
    pub avatar_url: Option<&'static str>,
}

/// Ann, who signs in unless the test says otherwise.
pub const ANN: User = User { id: 583_231, login: "ann", avatar_url: Some("https://a.example/1") };

/// How it behaves.
#[derive(Clone, Debug)]
pub struct Mood {
    /// Who signs in next.
    pub user: User,
    /// Whether they refuse.
    pub refuses: bool,
    /// A code challenge in place of the one that comes.
    pub challenge: Option<&'static str>,
    /// The scope that a token is said to have.
    pub scope: &'static str,
    /// What the token endpoint answers instead: a status, further headers, and a body.
    pub token_answer: Option<(&'static str, String)>,
    /// What the API answers instead.
    pub user_answer: Option<(&'static str, String)>,
    /// Where the API waits twice before it answers: once when it is asked, and once more.
    pub gate: Option<Arc<Barrier>>,
}

/// The stand-in. It runs until the tests end.
pub struct GitHub {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    mood: Mood,
    /// Each with whose it is, and the challenge that it goes with.
    codes: HashMap<String, (User, String)>,
    tokens: HashMap<String, User>,
    /// Everything that nobody else may know.
    secrets: Vec<String>,
    /// The method and path of every request.
    asked: Vec<String>,
    made: u64,
}

impl GitHub {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mood = Mood {
            user: ANN,
            refuses: false,
            challenge: None,
            scope: "",
            token_answer: None,
            user_answer: None,
            gate: None,
        };
        let state = Arc::new(Mutex::new(State {
            mood,
            codes: HashMap::new(),
            tokens: HashMap::new(),
            secrets: Vec::new(),
            asked: Vec::new(),
            made: 0,
        }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer(&shared, &socket.unwrap()));
            }
        });
        Self { address, state }
    }

    /// `http://address:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes how it behaves.
    pub fn mood(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut self.lock().mood);
    }

    /// Everything that nobody else may know, so far.
    pub fn secrets(&self) -> Vec<String> {
        self.lock().secrets.clone()
    }

    /// How often it was asked for this method and path.
    pub fn asked(&self, what: &str) -> usize {
        self.lock().asked.iter().filter(|asked| *asked == what).count()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// A request, as far as it matters.
struct Asked {
    method: String,
    target: String,
    headers: HashMap<String, String>,
    form: HashMap<String, String>,
}

fn read(socket: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let form = form_urlencoded::parse(&body).into_owned().collect();
    Some(Asked { method, target, headers, form })
}

fn answer(state: &Mutex<State>, mut socket: &TcpStream) {
    let Some(asked) = read(socket) else { return };
    let gate = state.lock().unwrap().mood.gate.clone();
    if let ("/api/v3/user", Some(gate)) = (asked.target.as_str(), gate) {
        gate.wait();
        gate.wait();
    }
    let mut state = state.lock().unwrap();
    let path = asked.target.split('?').next().unwrap().to_owned();
    let what = format!("{} {path}", asked.method);
    state.asked.push(what.clone());
    let (head, body) = match what.as_str() {
        "GET /login/oauth/authorize" => state.authorize(&asked),
        "POST /login/oauth/access_token" => {
            state.mood.token_answer.clone().unwrap_or_else(|| state.token(&asked))
        }
        "GET /api/v3/user" => state.mood.user_answer.clone().unwrap_or_else(|| state.user(&asked)),
        _ => ("404 Not Found", String::new()),
    };
    let length = body.len();
    let answer = match body.strip_prefix("location: ") {
        Some(location) => format!("{head}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"),
        None => format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}"),
    };
    // Whoever has heard enough goes away.
    let _ = socket.write_all(format!("HTTP/1.1 {answer}").as_bytes());
}

impl State {
    fn secret(&mut self, prefix: &str) -> String {
        self.made += 1;
        let hash = Sha256::digest(format!("{prefix}{}{:p}", self.made, self));
        let secret = format!("{prefix}{}", BASE64_URL_SAFE_NO_PAD.encode(&hash[..15]));
        self.secrets.push(secret.clone());
        secret
    }

    /// The page where people say that they want to sign in. They say so at once.
    fn authorize(&mut self, asked: &Asked) -> (&'static str, String) {
        let value = |name| parameter(&asked.target, name);
        assert_eq!(value("client_id").as_deref(), Some(CLIENT_ID));
        assert_eq!(value("code_challenge_method").as_deref(), Some("S256"));
        let challenge = self
            .mood
            .challenge
            .map_or_else(|| value("code_challenge"), |challenge| Some(challenge.to_owned()));
        let registered = || format!("{BACK}/auth/github/callback");
        let back = value("redirect_uri").unwrap_or_else(registered);
        let state = value("state").unwrap();
        let mut form = form_urlencoded::Serializer::new(String::new());
        if self.mood.refuses {
            form.append_pair("error", "access_denied");
            form.append_pair("error_description", "The user has denied your application <access>");
        } else {
            let code = self.secret("");
            self.codes.insert(code.clone(), (self.mood.user.clone(), challenge.unwrap()));
            form.append_pair("code", &code);
        }
        form.append_pair("state", &state);
        ("302 Found", format!("location: {back}?{}", form.finish()))
    }

    /// Exchanges a code, once.
    fn token(&mut self, asked: &Asked) -> (&'static str, String) {
        const OK: &str = "200 OK\r\ncontent-type: application/json; charset=utf-8";
        let error = |word: &str| {
            let body = json!({
                "error": word,
                "error_description": "<script>The code passed is incorrect</script>",
                "error_uri": "https://docs.example/troubleshooting",
            });
            (OK, body.to_string())
        };
        let value = |name| asked.form.get(name).map(String::as_str);
        if !asked.headers.contains_key("user-agent") {
            return ("403 Forbidden", "Request forbidden by administrative rules.".to_owned());
        }
        if (value("client_id"), value("client_secret")) != (Some(CLIENT_ID), Some(CLIENT_SECRET)) {
            return error("incorrect_client_credentials");
        }
        self.secrets.extend(value("code_verifier").map(str::to_owned));
        let code = value("code").and_then(|code| self.codes.remove(code));
        let proof =
            BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(value("code_verifier").unwrap_or("")));
        let user = match code {
            Some((user, challenge)) if challenge == proof => user,
            Some(_) | None => return error("bad_verification_code"),
        };
        let token = self.secret("gho_");
        self.tokens.insert(token.clone(), user);
        let body =
            json!({ "access_token": token, "scope": self.mood.scope, "token_type": "bearer" });
        if asked.headers.get("accept").is_some_and(|accept| accept.contains("application/json")) {
            (OK, body.to_string())
        } else {
            (
                "200 OK\r\ncontent-type: application/x-www-form-urlencoded",
                format!("access_token={token}"),
            )
        }
    }

    fn user(&self, asked: &Asked) -> (&'static str, String) {
        let header = |name| asked.headers.get(name).map(String::as_str);
        if header("user-agent").is_none() {
            return ("403 Forbidden", "Request forbidden by administrative rules.".to_owned());
        }
        let token = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let Some(user) = token.and_then(|token| self.tokens.get(token)) else {
            let body = json!({ "message": "Bad credentials", "status": "401" }).to_string();
            return ("401 Unauthorized", body);
        };
        let body = json!({
            "login": user.login, "id": user.id, "node_id": "MDQ6VXNlcjE=",
            "avatar_url": user.avatar_url, "type": "User", "site_admin": false,
        });
        ("200 OK\r\ncontent-type: application/json; charset=utf-8", body.to_string())
    }
}
