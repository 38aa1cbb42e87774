//! Connections at rest: the last request was answered, and nothing has come since.
//!
//! hyper keeps two buffers and room for a handler, some 25 KiB, for as long as it has a connection.
//! One at rest is taken from it, and given back when something comes: what waits meanwhile is a
//! socket. So that nothing is lost, a connection only counts as at rest when hyper can hold nothing
//! of it: no request that is not read to its end or is still being handled, and no part of an answer.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// What is known of one connection: shared by its handlers and its socket, which one task polls.
#[derive(Debug, Default)]
pub struct Rest {
    /// How many requests have begun.
    begun: AtomicU32,
    /// How far the last of them has come: one of [`Stage`].
    stage: AtomicU8,
}

/// How far a request has come. One that is answered while it is `Partial` or `Reading` stays
/// so: its connection does not come to rest.
#[repr(u8)]
enum Stage {
    /// Some of it, or of its answer, may still be to come; or there was no request yet.
    Partial,
    /// Its handler waits for its body.
    Reading,
    /// It was read to its end. What is written is not its answer: `100 Continue`, or left of one before.
    Whole,
    /// It was answered in one piece: what is written is that.
    Answered,
    /// Its answer was written, and nothing has come since.
    Resting,
}

impl Rest {
    /// A request begins; `whole` if it has no body.
    pub fn begin(&self, whole: bool) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.enter(if whole { Stage::Whole } else { Stage::Partial });
    }

    /// Its handler waits for its body.
    pub fn awaits_body(&self) {
        self.enter(Stage::Reading);
    }

    /// Whether it does.
    pub fn is_awaiting_body(&self) -> bool {
        self.is_at(Stage::Reading)
    }

    /// Its body was read to the end.
    pub fn body_came(&self) {
        self.enter(Stage::Whole);
    }

    /// Whether some of its body may still be to come; asked before it is answered.
    pub fn is_unread(&self) -> bool {
        !self.is_at(Stage::Whole)
    }

    /// Its answer, which is about to be given, is made piece by piece.
    pub fn comes_in_pieces(&self) {
        self.enter(Stage::Partial);
    }

    /// It was answered.
    pub fn answered(&self) {
        self.pass(Stage::Whole, Stage::Answered);
    }

    /// All that there was to write is in the kernel's hands.
    pub fn written(&self) {
        self.pass(Stage::Answered, Stage::Resting);
    }

    /// Something came.
    pub fn heard(&self) {
        self.pass(Stage::Resting, Stage::Answered);
    }

    /// Which rest this is, if it is one: after how many requests.
    pub fn which(&self) -> Option<u32> {
        self.is_at(Stage::Resting).then(|| self.begun.load(Ordering::Relaxed))
    }

    fn is_at(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Relaxed) == stage as u8
    }

    fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    fn pass(&self, from: Stage, to: Stage) {
        if self.is_at(from) {
            self.enter(to);
        }
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
        rest.body_came();
        rest.written();
        assert_eq!(rest.which(), None, "nobody has answered");
        rest.answered();
        rest.written();
        assert_eq!(rest.which(), Some(1));

        rest.begin(true);
        rest.comes_in_pieces();
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
