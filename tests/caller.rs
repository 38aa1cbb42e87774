//! An account at work that says more than a method, a path and a body.

use crate::common::{ALICE, Address, Answer, BOB, Connection, Server, request};
use serde_json::Value;
use std::io;

/// Keeps its connection for as long as the server does.
pub struct Caller {
    address: Address,
    authorization: Option<String>,
    connection: Option<Connection>,
}

impl Caller {
    /// Whoever shows `token`, or nobody in particular.
    pub fn new(address: &Address, token: Option<&str>) -> Self {
        let authorization = token.map(|token| format!("Bearer {token}"));
        Self { address: address.clone(), authorization, connection: None }
    }

    pub fn alice(server: &Server) -> Self {
        Self::new(&server.address, Some(ALICE))
    }

    pub fn bob(server: &Server) -> Self {
        Self::new(&server.address, Some(BOB))
    }

    /// Sends a request and reads its answer; either may fail.
    pub fn try_call(
        &mut self,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<Answer> {
        let own = self.authorization.as_deref().map(|value| ("authorization", value));
        let headers: Vec<_> = own.into_iter().chain(headers.iter().copied()).collect();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::try_open(&self.address)?,
        };
        connection.try_send(&request(method, path, &headers, body.as_bytes()))?;
        // A body after an answer to HEAD would be read as the head of the next answer, and fail.
        let head_alone = method == "HEAD";
        let answer = if head_alone { connection.read_head()? } else { connection.try_read()? };
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    /// Sends a request with these headers and reads its answer.
    pub fn call(&mut self, line: (&str, &str), headers: &[(&str, &str)], body: &str) -> Answer {
        self.try_call(line, headers, body).unwrap()
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.call(("GET", path), &[], "")
    }

    pub fn head(&mut self, path: &str) -> Answer {
        self.call(("HEAD", path), &[], "")
    }

    pub fn delete(&mut self, path: &str) -> Answer {
        self.call(("DELETE", path), &[], "")
    }

    pub fn put(&mut self, path: &str, body: &Value) -> Answer {
        self.call(("PUT", path), &[], &body.to_string())
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.call(("POST", path), &[], &body.to_string())
    }

    /// Asks a limiter for one request.
    pub fn check(&mut self, name: &str, max_requests: u32, window_seconds: u32) -> Answer {
        self.check_with(name, &limit(max_requests, window_seconds))
    }

    /// Asks a limiter with this body.
    pub fn check_with(&mut self, name: &str, body: &Value) -> Answer {
        self.post(&format!("/limits/{name}/check"), body)
    }

    /// Writes a config value, given as JSON text.
    pub fn put_value(&mut self, key: &str, json: &str) -> Answer {
        self.put_value_if(key, json, &[])
    }

    /// The same on conditions.
    pub fn put_value_if(&mut self, key: &str, json: &str, headers: &[(&str, &str)]) -> Answer {
        let body = format!("{{\"value\":{json}}}");
        self.call(("PUT", &format!("/config/{key}")), headers, &body)
    }
}

/// The policy of a check.
pub fn limit(max_requests: u32, window_seconds: u32) -> Value {
    serde_json::json!({"max_requests": max_requests, "window_seconds": window_seconds})
}

/// What is the same in two refusals that say nothing about what they were asked for.
pub fn but_for_the_request(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| name != "x-request-id" && name != "date");
    headers.sort_unstable();
    let mut body = answer.json();
    if let Some(body) = body.as_object_mut() {
        body.remove("request_id");
    }
    (answer.status, headers, body)
}

/// The names in a list, under `field` of each item of `list`.
pub fn names(page: &Value, list: &str, field: &str) -> Vec<String> {
    let items = page[list].as_array().unwrap().iter();
    items.map(|item| item[field].as_str().unwrap().to_owned()).collect()
}
