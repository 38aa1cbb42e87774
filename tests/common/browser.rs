//! A browser as far as signing in needs one: it follows redirects, keeps cookies, and believes
//! everybody.

use super::{Address, Answer, Connection, Server};
use std::{collections::BTreeMap, net::ToSocketAddrs};

/// Where providers in tests are told to send browsers back to. Nobody listens there: the browser
/// goes to the server that the test is about instead.
pub const BACK: &str = "http://127.0.0.1:1";

/// The same over TLS, which somebody in front of the server would end.
pub const BACK_OVER_TLS: &str = "https://octostore.example";

/// What the server that the test is about is called.
const OURS: &str = "octostore";

/// One browser. Its cookies go back to whoever set them.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// By host and port, then by name.
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

impl Browser {
    /// Asks `server` for `path`.
    pub fn get(&mut self, server: &Server, path: &str) -> Answer {
        self.send("GET", server, path)
    }

    /// Sends `server` any method without a body.
    pub fn send(&mut self, method: &str, server: &Server, path: &str) -> Answer {
        self.ask(method, OURS, &server.address, path, "")
    }

    /// Sends `server` a form.
    pub fn post(&mut self, server: &Server, path: &str, form: &[(&str, &str)]) -> Answer {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.ask("POST", OURS, &server.address, path, &form)
    }

    /// Signs in: goes where `path` of the server sends it, until it is back, and returns what the
    /// server says then.
    pub fn sign_in(&mut self, server: &Server, path: &str) -> Answer {
        let back = self.go(server, path);
        self.get(server, &back)
    }

    /// Goes where `path` of the server sends it, until it is to come back. Returns the path to
    /// come back to, with its query.
    pub fn go(&mut self, server: &Server, path: &str) -> String {
        let answer = self.get(server, path);
        assert_eq!(answer.status, 302, "{}", answer.text());
        self.follow(answer.header("location").unwrap())
    }

    /// Follows redirects from `url`, until it is to come back.
    pub fn follow(&mut self, url: &str) -> String {
        let mut url = url.to_owned();
        for _ in 0..10 {
            for back in [BACK, BACK_OVER_TLS] {
                if let Some(path) = url.strip_prefix(back) {
                    return path.to_owned();
                }
            }
            let (host, path) = split(&url);
            let address = host.to_socket_addrs().unwrap().next().unwrap();
            let answer = self.ask("GET", host, &Address::Tcp(address), path, "");
            assert!(matches!(answer.status, 302 | 303), "{url}: {}", answer.text());
            let location = answer.header("location").unwrap();
            url = match location.starts_with('/') {
                true => format!("http://{host}{location}"),
                false => location.to_owned(),
            };
        }
        panic!("sent around for ever; now to {url}");
    }

    /// What the server has it keep, as `name=value`.
    pub fn kept(&self) -> Option<String> {
        let cookies = self.cookies.get(OURS)?;
        cookies.iter().next().map(|(name, value)| format!("{name}={value}"))
    }

    /// Has it keep another value under the same name.
    pub fn keep(&mut self, value: &str) {
        let cookies = self.cookies.get_mut(OURS).unwrap();
        value.clone_into(cookies.values_mut().next().unwrap());
    }

    fn ask(
        &mut self,
        method: &str,
        host: &str,
        address: &Address,
        path: &str,
        body: &str,
    ) -> Answer {
        let cookies = self.cookies.entry(host.to_owned()).or_default();
        let line: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let line = match line.is_empty() {
            true => String::new(),
            false => format!("cookie: other=1; {}\r\n", line.join("; ")),
        };
        let mut connection = match host {
            OURS => Connection::open(address),
            _ => Connection::open_elsewhere(address),
        };
        let length = match body.is_empty() {
            true => String::new(),
            false => format!("content-length: {}\r\n", body.len()),
        };
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{line}{length}\r\n");
        connection.send(format!("{head}{body}").as_bytes());
        let answer = match method {
            "HEAD" => connection.read_head().unwrap(),
            _ => connection.read(),
        };
        let set = |name: &str| name.eq_ignore_ascii_case("set-cookie");
        for (_, cookie) in answer.headers.iter().filter(|(name, _)| set(name)) {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") || value.is_empty() {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}

/// Host and port, and what comes after them.
fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("sent astray: {url}"));
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

/// The value of a parameter of a URL or path, decoded.
pub fn parameter(url: &str, wanted: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    parameters.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
}

/// The same URL or path with another value of a parameter; without it, if the value is none.
pub fn with(url: &str, changed: &str, value: Option<&str>) -> String {
    let (path, query) = url.split_once('?').unwrap();
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != changed {
            form.append_pair(&name, &value);
        }
    }
    if let Some(value) = value {
        form.append_pair(changed, value);
    }
    format!("{path}?{}", form.finish())
}
