//! The changes that are applied in memory and not yet on disk.

use super::Table;
use crate::progress::Seq;
use std::{collections::VecDeque, hash::Hash};

/// Remembers, for every change not yet durable, what was there before it. It answers the two
/// questions a machine has about its own future: what must be on disk before this entry may be
/// spoken of, and what does the world look like if those changes never get there.
#[derive(Debug)]
pub struct Unsettled<K, V> {
    /// Oldest first.
    changes: VecDeque<Change<K, V>>,
    /// The latest change of each key in `changes`.
    latest: Table<K, Seq>,
}

#[derive(Debug)]
struct Change<K, V> {
    seq: Seq,
    key: K,
    before: Option<V>,
}

impl<K, V> Default for Unsettled<K, V> {
    fn default() -> Self {
        Self { changes: VecDeque::new(), latest: Table::default() }
    }
}

impl<K: Clone + Eq + Hash, V> Unsettled<K, V> {
    /// `key` was changed by the change at `seq`; `before` stood there.
    pub fn changed(&mut self, seq: Seq, key: K, before: Option<V>) {
        debug_assert!(self.changes.back().is_none_or(|change| change.seq <= seq));
        self.latest.insert(key.clone(), seq);
        self.changes.push_back(Change { seq, key, before });
    }

    /// What must be on disk before anybody may be told how `key` stands.
    pub fn depends_on(&self, key: &K) -> Seq {
        self.latest.get(key).copied().unwrap_or(Seq::NONE)
    }

    /// What stood at `key` before each of its changes that are not on disk.
    pub fn before_mut<'a>(&'a mut self, key: &'a K) -> impl Iterator<Item = &'a mut V> {
        let of_key = self.changes.iter_mut().filter(move |change| change.key == *key);
        of_key.filter_map(|change| change.before.as_mut())
    }

    /// Forgets the changes up to `durable`: they are on disk.
    pub fn settle(&mut self, durable: Seq) {
        while let Some(change) = self.changes.pop_front_if(|change| change.seq <= durable) {
            if self.latest.get(&change.key) == Some(&change.seq) {
                self.latest.remove(&change.key);
            }
        }
    }

    /// Takes back the newest change if it came after `durable`: the key and what to put there.
    pub fn pop_after(&mut self, durable: Seq) -> Option<(K, Option<V>)> {
        let change = self.changes.pop_back_if(|change| change.seq > durable)?;
        self.latest.remove(&change.key);
        Some((change.key, change.before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(n: u64) -> Seq {
        (0..n).fold(Seq::NONE, |seq, _| seq.next())
    }

    #[test]
    fn an_entry_depends_on_its_own_latest_change_until_that_is_durable() {
        let mut unsettled = Unsettled::default();
        unsettled.changed(seq(1), 'a', None::<u8>);
        unsettled.changed(seq(2), 'b', None);
        unsettled.changed(seq(3), 'a', Some(1));
        assert_eq!(unsettled.depends_on(&'a'), seq(3));
        unsettled.settle(seq(2));
        assert_eq!(unsettled.depends_on(&'a'), seq(3));
        assert_eq!(unsettled.depends_on(&'b'), Seq::NONE);
        unsettled.settle(seq(3));
        assert_eq!(unsettled.depends_on(&'a'), Seq::NONE);
        assert!(unsettled.changes.is_empty() && unsettled.latest.is_empty());
    }

    #[test]
    fn undoing_goes_back_from_the_newest_to_the_last_durable() {
        let mut unsettled = Unsettled::default();
        unsettled.changed(seq(1), 'a', None);
        unsettled.changed(seq(2), 'a', Some(1));
        unsettled.changed(seq(3), 'a', Some(2));
        assert_eq!(unsettled.pop_after(seq(1)), Some(('a', Some(2))));
        assert_eq!(unsettled.pop_after(seq(1)), Some(('a', Some(1))));
        assert_eq!(unsettled.pop_after(seq(1)), None);
    }
}
