//! Clients that are only there.

use super::Visitor;
use crate::wire::Ask;
use std::time::Duration;

/// How often those that say anything do. Less than the server's patience in a long run.
const NOW_AND_THEN: Duration = Duration::from_secs(60);

/// Stays; comes again when sent away. Every second one says something now and then.
pub async fn stay(mut visitor: Visitor) {
    let talks = visitor.number % 2 == 0;
    let health = Ask::get("", "/health".to_owned()).bytes("");
    loop {
        let mut connection = visitor.connect().await;
        // Not all in one instant.
        tokio::time::sleep(Duration::from_secs(1).mul_f64(visitor.dice.f64())).await;
        while talks {
            visitor.sent(1);
            if connection.send(&health).await.is_err() {
                visitor.closed();
                break;
            }
            if visitor.read(&mut connection).await.is_none() {
                break;
            }
            // Sleeps, or hears that it is sent away.
            if tokio::time::timeout(NOW_AND_THEN, connection.sip(1)).await.is_ok() {
                visitor.closed();
                break;
            }
        }
        if !talks {
            // Whatever comes, and if it is the end.
            let _end = connection.sip(1024).await;
            visitor.closed();
        }
    }
}
