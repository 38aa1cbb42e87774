//! One config key, one operation at a time.

use super::{Event, Rules};

/// Under which condition something is written.
#[derive(Clone, Debug)]
pub enum If {
    /// None.
    Always,
    /// `If-Match`
    Matches(String),
    /// `If-None-Match: *`
    New,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Ask {
    /// `PUT` of a value unlike any other.
    Put(If, u64),
    /// `GET`
    Get,
    /// `DELETE`
    Delete,
}

/// What is told.
#[derive(Clone, Debug)]
pub enum Told {
    /// Nothing, or that the outcome is unknown.
    Nothing,
    /// The version that is there now.
    Version {
        /// Its number.
        version: u64,
        /// Its value.
        value: u64,
        /// Its `ETag`.
        etag: String,
    },
    /// 412
    Moved,
    /// 404
    NotFound,
    /// It is gone.
    Deleted,
}

/// What was asked and what was told.
#[derive(Clone, Debug)]
pub struct Operation {
    /// What was asked.
    pub ask: Ask,
    /// What was told.
    pub told: Told,
}

/// The newest version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    version: u64,
    value: u64,
    /// `None` as long as nobody was told.
    etag: Option<String>,
}

/// The rules of a config key.
#[derive(Clone, Debug)]
pub struct Config;

impl Rules for Config {
    type State = Option<Entry>;
    type Operation = Operation;

    fn beginning() -> Option<Entry> {
        None
    }

    fn apply(state: &Option<Entry>, event: &Event<Operation>) -> Vec<Option<Entry>> {
        let Operation { ask, told } = &event.what;
        match ask {
            Ask::Put(condition, value) => put(state, condition, *value, told),
            Ask::Get => match (state, told) {
                (_, Told::Nothing) => vec![state.clone()],
                (Some(entry), told) => entry.seen(told).map(Some).into_iter().collect(),
                (None, Told::NotFound) => vec![None],
                (None, _) => Vec::new(),
            },
            Ask::Delete => match (state, told) {
                (_, Told::Nothing) => vec![state.clone(), None],
                (Some(_), Told::Deleted) | (None, Told::NotFound) => vec![None],
                (Some(_) | None, _) => Vec::new(),
            },
        }
    }
}

impl Entry {
    /// As it is if what was told is what it is.
    fn seen(&self, told: &Told) -> Option<Self> {
        let Told::Version { version, value, etag } = told else { return None };
        let same = self.version == *version
            && self.value == *value
            && self.etag.as_ref().is_none_or(|known| known == etag);
        same.then(|| Self { etag: Some(etag.clone()), ..self.clone() })
    }
}

fn put(state: &Option<Entry>, condition: &If, value: u64, told: &Told) -> Vec<Option<Entry>> {
    let holds = match condition {
        If::Always => true,
        // Whoever knows an etag was told, and so was everybody.
        If::Matches(etag) => state.as_ref().is_some_and(|entry| entry.etag.as_ref() == Some(etag)),
        If::New => state.is_none(),
    };
    let version = state.as_ref().map_or(0, |entry| entry.version) + 1;
    let written = Entry { version, value, etag: None };
    match told {
        Told::Nothing if holds => vec![state.clone(), Some(written)],
        Told::Nothing => vec![state.clone()],
        Told::Moved if !holds => vec![state.clone()],
        Told::Version { etag, .. } if holds => {
            // An etag is never used again.
            let new = state.as_ref().is_none_or(|entry| entry.etag.as_ref() != Some(etag));
            written.seen(told).filter(|_| new).map(Some).into_iter().collect()
        }
        Told::Moved | Told::Version { .. } | Told::NotFound | Told::Deleted => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::is_explained, *};

    fn version(version: u64, value: u64) -> Told {
        Told::Version { version, value, etag: format!("\"{value}\"") }
    }

    fn put(condition: If, value: u64, told: Told) -> Operation {
        Operation { ask: Ask::Put(condition, value), told }
    }

    fn get(told: Told) -> Operation {
        Operation { ask: Ask::Get, told }
    }

    fn matches(value: u64) -> If {
        If::Matches(format!("\"{value}\""))
    }

    #[test]
    fn of_two_that_compare_and_set_at_once_one_wins() {
        let first = (1, 2, put(If::New, 1, version(1, 1)));
        let race = |one, other| {
            is_explained::<Config>(&[
                first.clone(),
                (3, 6, put(matches(1), 2, one)),
                (4, 5, put(matches(1), 3, other)),
            ])
        };
        assert!(race(version(2, 2), Told::Moved));
        assert!(race(Told::Moved, version(2, 3)));
        assert!(!race(version(2, 2), version(3, 3)));
        assert!(!race(Told::Moved, Told::Moved));
    }

    #[test]
    fn an_acknowledged_write_is_not_forgotten() {
        let history = |last| {
            is_explained::<Config>(&[
                (1, 2, put(If::Always, 1, version(1, 1))),
                (3, 4, put(If::Always, 2, version(2, 2))),
                (5, 6, get(last)),
            ])
        };
        assert!(history(version(2, 2)));
        assert!(!history(version(1, 1)));
        assert!(!history(Told::NotFound));
        assert!(!history(version(3, 2)), "versions have no gaps");
    }

    #[test]
    fn what_nobody_was_told_happened_once_or_never() {
        let history = |last| {
            is_explained::<Config>(&[
                (1, 2, put(If::Always, 1, version(1, 1))),
                (3, 9, put(If::Always, 2, Told::Nothing)),
                (4, 5, get(version(1, 1))),
                (10, 11, get(last)),
            ])
        };
        assert!(history(version(1, 1)) && history(version(2, 2)));
        assert!(!history(version(3, 2)));
        assert!(!history(Told::NotFound));
    }

    #[test]
    fn a_key_that_is_deleted_stays_so_and_begins_anew() {
        let history = |last| {
            is_explained::<Config>(&[
                (1, 2, put(If::Always, 1, version(1, 1))),
                (3, 4, Operation { ask: Ask::Delete, told: Told::Deleted }),
                (5, 6, last),
            ])
        };
        assert!(history(get(Told::NotFound)));
        assert!(history(put(If::New, 2, version(1, 2))));
        assert!(!history(get(version(1, 1))));
        assert!(!history(put(If::New, 2, Told::Moved)));
    }
}
