//! Clients that break off, break in, or break the rules.

use super::Visitor;
use crate::{findings::Promise, honest::kept_lock, plan::HONEST, wire::Ask};
use std::time::Duration;

/// How long between two attempts, so that ports are not what runs out.
const PAUSE: Duration = Duration::from_millis(50);

/// Tries to get the locks that others hold.
pub async fn thief(mut visitor: Visitor) {
    loop {
        let mut connection = visitor.connect().await;
        loop {
            let name = kept_lock(visitor.dice.usize(0..HONEST.len()));
            let body = "{\"ttl_seconds\":1}".to_owned();
            let ask = Ask::post(&visitor.token(), format!("/locks/{name}/acquire"), body);
            visitor.sent(1);
            if connection.send(&ask.bytes("")).await.is_err() {
                visitor.closed();
                break;
            }
            let Some(answer) = visitor.read(&mut connection).await else { break };
            visitor.findings.check(Promise::Exclusion, answer.status != 200, || {
                format!("a thief was granted {name}, which is held")
            });
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Sends an acquire and is gone, more or less at once.
pub async fn disconnector(mut visitor: Visitor) {
    let mut asked = 0_u64;
    loop {
        let mut connection = visitor.connect().await;
        asked += 1;
        let name = format!("gone-{}-{}", visitor.number, asked % 20);
        let body = "{\"ttl_seconds\":2}".to_owned();
        let ask = Ask::post(&visitor.token(), format!("/locks/{name}/acquire"), body);
        visitor.sent(1);
        if connection.send(&ask.bytes("")).await.is_err() {
            visitor.closed();
        }
        if visitor.dice.bool() {
            tokio::task::yield_now().await;
        }
        drop(connection);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sends what is too large, or no HTTP at all.
pub async fn rude(mut visitor: Visitor) {
    let token = visitor.token();
    let acquire = || Ask::post(&token, "/locks/rude/acquire".to_owned(), String::new());
    let too_long = Ask { body: "x".repeat(100_000), ..acquire() }.bytes("");
    let says_too_long = acquire().with_header("content-length", "1000000000").bytes("");
    let chunks = acquire().with_header("transfer-encoding", "chunked").bytes("");
    let chunks =
        [chunks, "4000\r\n".into(), vec![b'x'; 0x4000], "\r\n4000\r\n".into(), vec![b'x'; 0x4000]];
    let head = acquire().with_header("x-large", &"x".repeat(100_000)).bytes("");
    let many = acquire().with_header("x-many", "x\r\nx-many: x").bytes("");
    let path = Ask::get(&token, format!("/locks/{}", "x".repeat(10_000))).bytes("");
    let rude = [
        too_long,
        says_too_long,
        chunks.concat(),
        head,
        many,
        path,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"\0\0\0\0\r\n\r\n".to_vec(),
    ];
    loop {
        let mut connection = visitor.connect().await;
        visitor.sent(1);
        let bytes = &rude[visitor.dice.usize(0..rude.len())];
        // It may well be cut off before it has said all, and still be told why.
        let _cut_off = connection.send(bytes).await;
        if tokio::time::timeout(Duration::from_secs(20), visitor.read(&mut connection))
            .await
            .is_err()
        {
            visitor.closed();
        }
        tokio::time::sleep(PAUSE).await;
    }
}
