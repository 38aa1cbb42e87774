//! Connections at rest: the last request was answered, and nothing has come since.
//!
//! hyper keeps two buffers and room for a handler, some 25 KiB, for as long as it has a connection.
//! One at rest is taken from it, and given back when something comes: what waits meanwhile is a
//! socket. So that nothing is lost, a connection only counts as at rest when hyper can hold nothing
//! of it: no request that is not read to its end or is still being handled, and no part of an answer.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What is known of one connection: shared by its handlers and its socket, which one task polls.
#[derive(Debug, Default)]
pub struct Rest {
    /// How many requests have begun.
    begun: AtomicU32,
    /// Whether the last one was read to its end, and its answer was made in one piece.
    whole: AtomicBool,
    /// Whether its handler waits for the rest of it.
    reading: AtomicBool,
    /// Whether its handler is done.
    answered: AtomicBool,
    /// Whether nothing has come since its answer was written.
    resting: AtomicBool,
}

impl Rest {
    /// A request begins; `whole` if it has no body.
    pub fn begin(&self, whole: bool) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.whole.store(whole, Ordering::Relaxed);
        self.reading.store(false, Ordering::Relaxed);
        self.answered.store(false, Ordering::Relaxed);
        self.resting.store(false, Ordering::Relaxed);
    }

    /// Its handler waits for its body.
    pub fn reads(&self) {
        self.reading.store(true, Ordering::Relaxed);
    }

    /// Whether it does.
    pub fn is_reading(&self) -> bool {
        self.reading.load(Ordering::Relaxed)
    }

    /// Its body was read to the end.
    pub fn read(&self) {
        self.reading.store(false, Ordering::Relaxed);
        self.whole.store(true, Ordering::Relaxed);
    }

    /// Whether some of its body may still be to come.
    pub fn is_unread(&self) -> bool {
        !self.whole.load(Ordering::Relaxed)
    }

    /// It was answered: what is written from now on is that. Before it was `100 Continue`.
    pub fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Its answer is made piece by piece.
    pub fn goes_on(&self) {
        self.whole.store(false, Ordering::Relaxed);
    }

    /// Something came.
    pub fn heard(&self) {
        self.resting.store(false, Ordering::Relaxed);
    }

    /// All that there was to write is in the kernel's hands.
    pub fn written(&self) {
        let is_over = self.whole.load(Ordering::Relaxed) && self.answered.load(Ordering::Relaxed);
        self.resting.store(is_over, Ordering::Relaxed);
    }

    /// Which rest this is, if it is one: after how many requests.
    pub fn which(&self) -> Option<u32> {
        self.resting.load(Ordering::Relaxed).then(|| self.begun.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_rests_between_an_answer_and_the_next_request() {
        let rest = Rest::default();
        assert_eq!(rest.which(), None, "nobody has asked yet");
        rest.heard();
        rest.begin(true);
        assert_eq!(rest.which(), None);
        rest.answered();
        rest.written();
        assert_eq!(rest.which(), Some(1));
        rest.heard();
        assert_eq!(rest.which(), None, "a part of the next request");
    }

    #[test]
    fn it_does_not_rest_while_something_of_a_request_or_an_answer_is_still_to_come() {
        let rest = Rest::default();
        rest.begin(false);
        // As `100 Continue` is: before the body has come, and after it.
        rest.written();
        assert_eq!(rest.which(), None);
        rest.read();
        rest.written();
        assert_eq!(rest.which(), None, "nobody has answered");
        rest.answered();
        rest.written();
        assert_eq!(rest.which(), Some(1));

        rest.begin(true);
        rest.goes_on();
        rest.answered();
        rest.written();
        assert_eq!(rest.which(), None, "a piece of the answer");
        rest.begin(true);
        rest.written();
        assert_eq!(rest.which(), None, "what was left of the answer before");
        rest.answered();
        rest.written();
        assert_eq!(rest.which(), Some(3));
    }
}
