//! How long an explanation is looked for. The checker cannot be stopped from outside, but it asks the
//! model at every step.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

/// How many steps are taken. Most histories need as many as they have operations.
const STEPS: u64 = 200_000;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(STEPS) };
}

/// What is thrown when the steps are spent.
struct Spent;

/// One step of a model. Ends the search when there are too many.
pub fn spend() {
    let left = LEFT.get();
    if left == 0 {
        resume_unwind(Box::new(Spent));
    }
    LEFT.set(left - 1);
}

/// What `search` comes to; `None` if it takes too long.
pub fn within<T>(search: impl FnOnce() -> T) -> Option<T> {
    LEFT.set(STEPS);
    match catch_unwind(AssertUnwindSafe(search)) {
        Ok(found) => Some(found),
        Err(thrown) if thrown.is::<Spent>() => None,
        Err(thrown) => resume_unwind(thrown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_ends_when_its_steps_are_spent_and_the_next_one_has_its_own() {
        assert_eq!(within(|| (0..STEPS).for_each(|_| spend())), Some(()));
        assert_eq!(within(|| (0..=STEPS).for_each(|_| spend())), None);
        assert_eq!(within(|| 7), Some(7));
    }
}
