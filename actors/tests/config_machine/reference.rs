//! Configuration that is too simple to be wrong: a copy of everything at every change.

use octostore_actors::domain::config::{Etag, Expected, Incarnation, Version};
use std::collections::BTreeMap;

pub type Key = (u8, &'static str);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub incarnation: Incarnation,
    pub version: u64,
    pub json: String,
    pub created: i64,
    pub updated: i64,
}

#[derive(Clone, Copy, Debug)]
pub struct Quotas {
    pub keys: usize,
    pub bytes: usize,
    pub history: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Written(Row),
    Deleted,
    NotFound,
    Unexpected,
    OverQuota,
}

/// All rows there are, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reference {
    pub keys: BTreeMap<Key, Vec<Row>>,
}

impl Row {
    pub fn etag(&self) -> Etag {
        let version = Version::new(self.version).unwrap();
        Etag { incarnation: self.incarnation, version }
    }
}

pub fn holds(expected: &Expected, present: Option<Etag>) -> bool {
    match (expected, present) {
        (Expected::Anything, _)
        | (Expected::Nothing | Expected::NoneOf(_), None)
        | (Expected::Something, Some(_)) => true,
        (Expected::Nothing, Some(_)) | (Expected::Something | Expected::OneOf(_), None) => false,
        (Expected::OneOf(etags), Some(present)) => etags.contains(&present),
        (Expected::NoneOf(etags), Some(present)) => !etags.contains(&present),
    }
}

impl Reference {
    pub fn last(&self, key: Key) -> Option<&Row> {
        self.keys.get(&key).and_then(|rows| rows.last())
    }

    pub fn names(&self, account: u8) -> Vec<&'static str> {
        self.keys.keys().filter(|(of, _)| *of == account).map(|(_, name)| *name).collect()
    }

    pub fn bytes(&self, account: u8) -> usize {
        let rows = self.keys.iter().filter(|((of, _), _)| *of == account);
        rows.flat_map(|(_, rows)| rows).map(|row| row.json.len()).sum()
    }

    pub fn put(
        &mut self,
        key: Key,
        json: &str,
        expected: &Expected,
        (incarnation, at): (Incarnation, i64),
        quotas: Quotas,
    ) -> Answer {
        if !holds(expected, self.last(key).map(Row::etag)) {
            return Answer::Unexpected;
        }
        let mut after = self.clone();
        let rows = after.keys.entry(key).or_default();
        let row = rows.last().map_or_else(
            || Row { incarnation, version: 1, json: json.into(), created: at, updated: at },
            |last| Row {
                version: last.version + 1,
                json: json.into(),
                updated: at.max(last.updated),
                ..last.clone()
            },
        );
        rows.push(row.clone());
        let surplus = rows.len().saturating_sub(quotas.history);
        rows.drain(..surplus);
        let made = !self.keys.contains_key(&key);
        if (made && after.names(key.0).len() > quotas.keys) || after.bytes(key.0) > quotas.bytes {
            return Answer::OverQuota;
        }
        *self = after;
        Answer::Written(row)
    }

    pub fn rollback(
        &mut self,
        key: Key,
        version: u64,
        expected: &Expected,
        at: i64,
        quotas: Quotas,
    ) -> Answer {
        let Some(rows) = self.keys.get(&key) else { return Answer::NotFound };
        let Some(row) = rows.iter().find(|row| row.version == version) else {
            return Answer::NotFound;
        };
        let json = row.json.clone();
        self.put(key, &json, expected, (row.incarnation, at), quotas)
    }

    pub fn delete(&mut self, key: Key, expected: &Expected) -> Answer {
        if !holds(expected, self.last(key).map(Row::etag)) {
            return Answer::Unexpected;
        }
        self.keys.remove(&key).map_or(Answer::NotFound, |_| Answer::Deleted)
    }
}
