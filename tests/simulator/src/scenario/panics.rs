//! Panics of the code under test: caught, with what they said and where.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::Once,
};

thread_local! {
    /// What the last panic said; `None` where nobody catches it.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What `run` comes to.
///
/// # Errors
/// It panicked: what it said.
pub fn catch<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static LISTEN: Once = Once::new();
    LISTEN.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            let heard = SAID.with_borrow_mut(|said| {
                said.as_mut().map(|said| *said = panic.to_string().replace('\n', " "))
            });
            if heard.is_none() {
                others(panic);
            }
        }));
    });
    SAID.set(Some(String::new()));
    let ran = catch_unwind(AssertUnwindSafe(run));
    let said = SAID.take().unwrap_or_default();
    ran.map_err(|_| said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_words_and_its_place() {
        assert_eq!(catch(|| 7), Ok(7));
        let said = catch(|| panic!("two holders")).unwrap_err();
        assert!(said.contains("two holders") && said.contains(file!()), "{said}");
    }
}
