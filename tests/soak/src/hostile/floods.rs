//! Clients that ask as fast as they are answered.

use super::Visitor;
use crate::wire::Ask;
use std::time::Duration;

/// How many requests a pipeliner sends at once.
const PIPELINE: usize = 64;

/// Acquires one new lock after the other.
pub async fn locks(visitor: Visitor) {
    let token = visitor.token();
    let body = "{\"ttl_seconds\":3600}";
    flood(visitor, |name| Ask::post(&token, format!("/locks/{name}/acquire"), body.to_owned()))
        .await;
}

/// Checks one new limit after the other.
pub async fn limits(visitor: Visitor) {
    let token = visitor.token();
    let body = "{\"max_requests\":10000,\"window_seconds\":86400}";
    flood(visitor, |name| Ask::post(&token, format!("/limits/{name}/check"), body.to_owned()))
        .await;
}

/// Sets one new flag after the other.
pub async fn flags(visitor: Visitor) {
    let token = visitor.token();
    flood(visitor, |name| {
        Ask::put(&token, format!("/flags/{name}"), "{\"enabled\":true}".to_owned())
    })
    .await;
}

/// Puts one new config key after the other, with a value that is worth storing.
pub async fn config(visitor: Visitor) {
    let token = visitor.token();
    let body = format!("{{\"value\":\"{}\"}}", "x".repeat(4000));
    flood(visitor, |name| Ask::put(&token, format!("/config/{name}"), body.clone())).await;
}

/// Shows one wrong token after the other.
pub async fn wrong_tokens(visitor: Visitor) {
    flood(visitor, |name| Ask::get(&format!("octo_{name:0>72}"), "/locks".to_owned())).await;
}

/// Asks what needs no token.
pub async fn anonymous(visitor: Visitor) {
    flood(visitor, |_| Ask::get("", "/health".to_owned())).await;
}

/// Makes a token and revokes it, or makes many until there is no room.
pub async fn tokens(mut visitor: Visitor) {
    let token = visitor.token();
    let keeps = visitor.number.is_multiple_of(2);
    loop {
        let mut connection = visitor.connect().await;
        let mut made: Option<String> = None;
        loop {
            let ask = match made.take().filter(|_| !keeps) {
                None => {
                    Ask::post(&token, "/auth/tokens".to_owned(), "{\"name\":\"more\"}".to_owned())
                }
                Some(id) => {
                    Ask { method: "DELETE", ..Ask::get(&token, format!("/auth/tokens/{id}")) }
                }
            };
            visitor.sent(1);
            if connection.send(&ask.bytes("")).await.is_err() {
                visitor.closed();
                break;
            }
            let Some(answer) = visitor.read(&mut connection).await else { break };
            if answer.status == 201 {
                let body: serde_json::Value =
                    serde_json::from_slice(&answer.body).unwrap_or_default();
                made = body["id"].as_str().map(str::to_owned);
            }
        }
    }
}

/// Sends many requests at once and reads all the answers.
pub async fn pipelined(mut visitor: Visitor) {
    let bytes = Ask::get(&visitor.token(), "/locks".to_owned()).bytes("").repeat(PIPELINE);
    loop {
        let mut connection = visitor.connect().await;
        'over: while connection.send(&bytes).await.is_ok() {
            visitor.sent(PIPELINE as u64);
            for _ in 0..PIPELINE {
                if visitor.read(&mut connection).await.is_none() {
                    break 'over;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn flood(mut visitor: Visitor, ask: impl Fn(&str) -> Ask) {
    let mut asked = 0_u64;
    loop {
        let mut connection = visitor.connect().await;
        loop {
            asked += 1;
            visitor.sent(1);
            let name = format!("f{}-{asked}", visitor.number);
            if connection.send(&ask(&name).bytes("")).await.is_err() {
                visitor.closed();
                break;
            }
            if visitor.read(&mut connection).await.is_none() {
                break;
            }
        }
    }
}
