//! One flag, one operation at a time.

use super::{Event, Rules};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// `PUT` with this percentage.
    Set(u8),
    /// How it is stored.
    Look,
    /// `DELETE`
    Delete,
}

/// What is told.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    /// Nothing, or that the outcome is unknown.
    Nothing,
    /// The percentage, if there is such a flag.
    Stored(Option<u8>),
    /// It is gone.
    Deleted,
    /// 404
    NotFound,
}

/// What was asked and what was told.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// What was asked.
    pub ask: Ask,
    /// What was told.
    pub told: Told,
}

/// The rules of a flag: its percentage, if there is one.
#[derive(Clone, Debug)]
pub struct Flag;

impl Rules for Flag {
    type State = Option<u8>;
    type Operation = Operation;

    fn beginning() -> Option<u8> {
        None
    }

    fn apply(state: &Option<u8>, event: &Event<Operation>) -> Vec<Option<u8>> {
        let Operation { ask, told } = event.what;
        let after = match ask {
            Ask::Set(percentage) => Some(percentage),
            Ask::Look => *state,
            Ask::Delete => None,
        };
        let fits = match told {
            Told::Nothing => return vec![*state, after],
            Told::Stored(stored) => !matches!(ask, Ask::Delete) && stored == after,
            Told::Deleted => matches!(ask, Ask::Delete) && state.is_some(),
            Told::NotFound => matches!(ask, Ask::Delete) && state.is_none(),
        };
        fits.then_some(after).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::is_explained, *};

    #[test]
    fn a_write_that_was_acknowledged_is_read() {
        let set = |to, told| Operation { ask: Ask::Set(to), told };
        let history = |unknown, last| {
            is_explained::<Flag>(&[
                (1, 2, set(10, Told::Stored(Some(10)))),
                (3, 6, set(20, unknown)),
                (7, 8, Operation { ask: Ask::Look, told: Told::Stored(last) }),
            ])
        };
        assert!(history(Told::Nothing, Some(10)));
        assert!(history(Told::Nothing, Some(20)));
        assert!(!history(Told::Nothing, None));
        assert!(!history(Told::Stored(Some(20)), Some(10)));
    }

    #[test]
    fn a_flag_is_deleted_once() {
        let delete = |told| Operation { ask: Ask::Delete, told };
        let set = Operation { ask: Ask::Set(10), told: Told::Stored(Some(10)) };
        let history = |told| {
            is_explained::<Flag>(&[
                (1, 2, set),
                (3, 4, delete(Told::Deleted)),
                (5, 6, delete(told)),
            ])
        };
        assert!(history(Told::NotFound));
        assert!(!history(Told::Deleted));
    }
}
