//! Clients that are only there.

use super::Visitor;
use crate::wire::{Ask, Connection};
use std::time::Duration;

/// How often those that say anything do. Less than the server's patience in a long run.
const NOW_AND_THEN: Duration = Duration::from_secs(60);

/// Stays; comes again when sent away. Every second one says something now and then.
pub async fn stay(mut visitor: Visitor) {
    let talks = visitor.number.is_multiple_of(2);
    let health = Ask::get("", "/health".to_owned()).bytes("");
    loop {
        let mut connection = visitor.connect().await;
        // Not all in one instant.
        tokio::time::sleep(Duration::from_secs(1).mul_f64(visitor.dice.f64())).await;
        if talks {
            while says(&visitor, &mut connection, &health).await {}
        } else {
            // Whatever comes, and if it is the end.
            let _end = connection.sip(1024).await;
            visitor.closed();
        }
    }
}

/// Says something and waits; whether it may stay.
async fn says(visitor: &Visitor, connection: &mut Connection, health: &[u8]) -> bool {
    visitor.sent(1);
    if connection.send(health).await.is_err() {
        visitor.closed();
        return false;
    }
    if visitor.read(connection).await.is_none() {
        return false;
    }
    let sent_away = tokio::time::timeout(NOW_AND_THEN, connection.sip(1)).await.is_ok();
    if sent_away {
        visitor.closed();
    }
    !sent_away
}
