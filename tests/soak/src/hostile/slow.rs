//! Clients that take their time: to say what they want, or to hear it.

use super::Visitor;
use crate::{
    honest::kept_lock,
    wire::{Ask, Connection},
};
use std::time::Duration;

/// How long after one byte the next comes.
const BYTE: Duration = Duration::from_secs(1);

/// How much there is to ask for.
const LARGE: usize = 200 * 1024;

/// How many of them are asked for at once: more than the kernel has room for.
const LARGE_ONES: usize = 16;

/// How many requests are sent at once.
const PIPELINE: usize = 64;

/// Puts something large there to ask for.
pub fn make_large(bearer: &str) -> Ask {
    let body = format!("{{\"value\":\"{}\"}}", "x".repeat(LARGE));
    Ask::put(bearer, "/config/large".to_owned(), body)
}

/// Sends a head byte by byte, until it is cut off, or has an answer.
pub async fn head(mut visitor: Visitor) {
    let name = format!("slow-{}", visitor.number);
    let bytes = Ask::get(&visitor.token(), format!("/locks/{name}")).bytes("");
    loop {
        let connection = visitor.connect().await;
        dribble(&visitor, connection, &bytes).await;
    }
}

/// Sends a head, and a body byte by byte.
pub async fn body(mut visitor: Visitor) {
    let path = format!("/locks/slow-{}/acquire", visitor.number);
    let body = format!("{{\"ttl_seconds\":1,\"metadata\":\"{}\"}}", "x".repeat(900));
    let bytes = Ask::post(&visitor.token(), path, body).bytes("");
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(0) + 4;
    loop {
        let mut connection = visitor.connect().await;
        if connection.send(&bytes[..head]).await.is_ok() {
            dribble(&visitor, connection, &bytes[head..]).await;
        }
    }
}

async fn dribble(visitor: &Visitor, mut connection: Connection, bytes: &[u8]) {
    visitor.sent(1);
    for byte in bytes.chunks(1) {
        if connection.send(byte).await.is_err() {
            return visitor.closed();
        }
        if let Ok(answer) = tokio::time::timeout(BYTE, connection.read()).await {
            return match answer {
                Ok(answer) => {
                    visitor.hears(&answer);
                }
                Err(_) => visitor.closed(),
            };
        }
    }
    visitor.read(&mut connection).await;
}

/// Asks for much, and reads it in sips.
pub async fn reader(mut visitor: Visitor) {
    let ask = Ask::get(&visitor.token(), "/config/large".to_owned());
    let bytes = ask.bytes("").repeat(LARGE_ONES);
    // One after the other: their account may not ask for all of it in one second.
    tokio::time::sleep(BYTE / 4 * u32::try_from(visitor.number).unwrap_or(u32::MAX)).await;
    loop {
        let mut connection = visitor.connect().await;
        visitor.sent(LARGE_ONES as u64);
        if connection.send(&bytes).await.is_err() {
            visitor.closed();
            continue;
        }
        while let Ok(1..) = connection.sip(2048).await {
            tokio::time::sleep(BYTE / 10).await;
        }
        visitor.closed();
    }
}

/// Asks and asks, and reads nothing.
pub async fn deaf(mut visitor: Visitor) {
    let mine = Ask::get(&visitor.token(), "/config/large".to_owned());
    let small = Ask::get("", "/health".to_owned());
    let held = Ask::get(&visitor.token(), format!("/locks/{}", kept_lock(0)));
    let ask = [mine, small, held][visitor.number % 3].bytes("").repeat(PIPELINE);
    loop {
        let mut connection = visitor.connect().await;
        // Until the server gives up on us.
        while connection.send(&ask).await.is_ok() {
            visitor.sent(PIPELINE as u64);
        }
        visitor.closed();
    }
}
