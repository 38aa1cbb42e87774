//! The history of a config key on its way out, a piece at a time.

use super::{
    config::version_body,
    error::ApiError,
    reply::{Pieces, ReplyBody},
};
use bytes::Bytes;
use octostore_actors::domain::config::{Entry, Incarnation, Version};

/// The versions of a key on their way out: a history may be a hundred times as large as a value, and
/// whoever does not read it shall cost no more than whoever does not read a value. So none is kept
/// between two pieces. The actor lets the oldest go when new ones come, and what was kept here would
/// count in nobody's quota: each piece takes what the actor still has, and a version that has gone
/// meanwhile is not shown.
struct Versions<Again> {
    /// Asks for what is kept, newest first; nothing when the key is gone.
    again: Again,
    of: Incarnation,
    /// The last that was shown.
    last: Option<Version>,
}

/// `{"versions":[…]}` of what is kept, newest first, in one piece if it is small. `again` asks for it
/// once more.
pub fn body<Again, Kept>(entries: &[Entry], again: Again) -> ReplyBody
where
    Again: Fn() -> Kept + Send + 'static,
    Kept: Future<Output = Result<Vec<Entry>, ApiError>> + Send,
{
    let Some(of) = entries.first().map(|present| present.incarnation) else {
        unreachable!("a key that exists has a version");
    };
    let mut versions = Versions { again, of, last: None };
    let (first, is_all) = versions.piece(entries);
    if is_all {
        return Bytes::from(first).into();
    }
    ReplyBody::Pieces(Pieces::new(async move { Some(Ok((first.into(), versions.pieces()))) }))
}

impl<Again, Kept> Versions<Again>
where
    Again: Fn() -> Kept + Send + 'static,
    Kept: Future<Output = Result<Vec<Entry>, ApiError>> + Send,
{
    fn pieces(mut self) -> Pieces {
        Pieces::new(async move { Some(self.next().await.map(|piece| self.and(piece))) })
    }

    fn and(self, (piece, is_last): (Vec<u8>, bool)) -> (Bytes, Pieces) {
        (piece.into(), if is_last { Pieces::none() } else { self.pieces() })
    }

    async fn next(&mut self) -> Result<(Vec<u8>, bool), ApiError> {
        let entries = (self.again)().await?;
        match entries.first() {
            Some(present) if present.incarnation == self.of => Ok(self.piece(&entries)),
            // Deleted, or made again: the rest will never come.
            Some(_) | None => Err(ApiError::ConfigNotFound),
        }
    }

    /// The next piece of `entries`, and whether it is the last.
    fn piece(&mut self, entries: &[Entry]) -> (Vec<u8>, bool) {
        let mut piece = Vec::new();
        if self.last.is_none() {
            piece.extend(b"{\"versions\":[");
        }
        let last = self.last;
        for entry in entries.iter().filter(|entry| last.is_none_or(|last| entry.version < last)) {
            if piece.len() >= Pieces::SIZE {
                return (piece, false);
            }
            if self.last.replace(entry.version).is_some() {
                piece.push(b',');
            }
            piece.extend(version_body(entry).into_json());
        }
        piece.extend(b"]}");
        (piece, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use octostore_actors::domain::{
        config::{ConfigKey, Value},
        values::{AccountId, WallTime},
    };
    use std::{
        future::ready,
        sync::{Arc, Mutex},
    };

    /// Versions `from` down to `to` of a key, each with a value of so many bytes.
    fn versions(from: u64, to: u64, bytes: usize) -> Vec<Entry> {
        let value = format!("\"{}\"", "v".repeat(bytes - 2));
        let entry = |version| Entry {
            account: AccountId::from_bytes([1; 16]),
            key: ConfigKey::new("a").unwrap(),
            incarnation: Incarnation([2; 16]),
            version: Version::new(version).unwrap(),
            value: Value::from_json(&value).unwrap(),
            description: None,
            created_at: WallTime::from_millis(0),
            updated_at: WallTime::from_millis(0),
        };
        (to..=from).rev().map(entry).collect()
    }

    /// What is kept, for as long as nobody changes it.
    fn kept(entries: Vec<Entry>) -> (Arc<Mutex<Vec<Entry>>>, ReplyBody) {
        let kept = Arc::new(Mutex::new(entries.clone()));
        let again = Arc::clone(&kept);
        (kept, body(&entries, move || ready(Ok(again.lock().unwrap().clone()))))
    }

    async fn piece(body: &mut ReplyBody) -> Option<Vec<u8>> {
        Some(body.frame().await?.unwrap().into_data().unwrap().to_vec())
    }

    fn shown(whole: &[u8]) -> Vec<u64> {
        let whole: serde_json::Value = serde_json::from_slice(whole).unwrap();
        let found = whole["versions"].as_array().unwrap().iter();
        found.map(|version| version["version"].as_u64().unwrap()).collect()
    }

    #[tokio::test]
    async fn bounded_a_history_is_whole_and_never_more_of_it_in_memory_than_a_version_and_a_piece()
    {
        for (count, bytes) in
            [(1, 2), (100, 2), (3, Pieces::SIZE), (100, 1_000), (7, Value::MAX_BYTES)]
        {
            let (_, mut body) = kept(versions(count, 1, bytes));
            assert_eq!(body.is_in_pieces(), count as usize * bytes >= Pieces::SIZE);
            let mut whole = Vec::new();
            while let Some(piece) = piece(&mut body).await {
                assert!(piece.len() < Pieces::SIZE + Value::MAX_BYTES + 200, "{}", piece.len());
                whole.extend(piece);
            }
            assert_eq!(shown(&whole), (1..=count).rev().collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn bounded_whoever_does_not_read_a_history_keeps_nothing_of_it_that_has_gone() {
        let (kept, mut body) = kept(versions(100, 1, Pieces::SIZE));
        let mut whole = piece(&mut body).await.unwrap();
        *kept.lock().unwrap() = versions(149, 50, Pieces::SIZE);
        while let Some(piece) = piece(&mut body).await {
            whole.extend(piece);
        }
        assert_eq!(shown(&whole), (50..=100).rev().collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_history_whose_key_is_deleted_breaks_off() {
        let made_again = Entry { incarnation: Incarnation([3; 16]), ..versions(1, 1, 2).remove(0) };
        for left in [vec![], vec![made_again]] {
            let (kept, mut body) = kept(versions(9, 1, Pieces::SIZE));
            piece(&mut body).await.unwrap();
            *kept.lock().unwrap() = left;
            assert!(body.frame().await.unwrap().is_err());
        }
    }
}
