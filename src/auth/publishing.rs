//! From the store to the directory: what is committed is shown there.

use super::Directory;
use octostore_actors::{
    commit::{Pressure, Store, StoreFailure, Unreadable, Verdict},
    domain::{
        Record,
        audit::{AuditPage, AuditQuery},
    },
    snapshot::Snapshot,
};
use std::{sync::Arc, time::Duration};

/// A store that shows the directory what it has committed, before the answer is let go: a
/// rotated token is dead for every request that follows the answer.
pub struct PublishingStore<S> {
    store: S,
    directory: Arc<Directory>,
}

impl<S> PublishingStore<S> {
    /// Shows `directory` what `store` commits.
    pub fn new(store: S, directory: Arc<Directory>) -> Self {
        Self { store, directory }
    }

    /// The store itself.
    pub fn into_inner(self) -> S {
        self.store
    }
}

impl<S: Store> Store for PublishingStore<S> {
    fn commit(&mut self, records: &[Record]) -> Verdict {
        let verdict = self.store.commit(records);
        match verdict {
            Verdict::Committed => {
                let mut published = Vec::new();
                for record in records {
                    match record {
                        Record::Account(record) => published.push(record.clone()),
                        Record::Lock(_)
                        | Record::Limit(_)
                        | Record::Flag(_)
                        | Record::Config(_)
                        | Record::Audit(_) => {}
                    }
                }
                if !published.is_empty() {
                    self.directory.publish(&published);
                }
            }
            Verdict::NoRoom | Verdict::Unknown(_) => {}
        }
        verdict
    }

    fn audit(&mut self, query: &AuditQuery) -> Result<Result<AuditPage, Unreadable>, StoreFailure> {
        self.store.audit(query)
    }

    fn patience(&self) -> Option<Duration> {
        self.store.patience()
    }

    fn is_pressed(&self) -> bool {
        self.store.is_pressed()
    }

    fn snapshot(&mut self) -> Result<Option<Snapshot>, StoreFailure> {
        self.store.snapshot()
    }

    fn tend(&mut self, pressure: Pressure) -> Result<(), StoreFailure> {
        self.store.tend(pressure)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            BearerToken,
            directory::tests::{NOW, directory, token},
        },
        *,
    };
    use octostore_actors::domain::account::{AccountRecord, Token};

    /// A store that takes what it is given, or has no room for anything.
    struct Disk {
        has_room: bool,
    }

    impl Store for Disk {
        fn commit(&mut self, _: &[Record]) -> Verdict {
            if self.has_room { Verdict::Committed } else { Verdict::NoRoom }
        }

        fn patience(&self) -> Option<Duration> {
            None
        }

        fn is_pressed(&self) -> bool {
            !self.has_room
        }

        fn audit(&mut self, _: &AuditQuery) -> Result<Result<AuditPage, Unreadable>, StoreFailure> {
            Ok(Ok(AuditPage::default()))
        }

        fn snapshot(&mut self) -> Result<Option<Snapshot>, StoreFailure> {
            Ok(None)
        }

        fn tend(&mut self, _: Pressure) -> Result<(), StoreFailure> {
            Ok(())
        }
    }

    #[test]
    fn a_token_opens_something_once_it_is_on_disk_and_not_if_there_was_no_room_for_it() {
        for has_room in [false, true] {
            let directory = Arc::new(directory());
            let mut store = PublishingStore::new(Disk { has_room }, Arc::clone(&directory));
            assert_eq!(store.is_pressed(), !has_room);
            let fresh = Token { hash: BearerToken::hash_of(b"fresh"), ..token() };
            store.commit(&[AccountRecord::Token(fresh).into()]);
            assert_eq!(directory.authenticate(b"fresh", NOW).is_ok(), has_room);
        }
    }
}
