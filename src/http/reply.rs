//! Bodies of answers: there in full, as nearly all are, or made piece by piece as the client takes
//! them.

use super::error::ApiError;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// The body of an answer.
#[derive(Debug)]
pub enum ReplyBody {
    /// All of it.
    Full(Full<Bytes>),
    /// What is still to be made of it. The next piece is made when the client has taken the one
    /// before, and none when the client is gone.
    Pieces(Pieces),
}

impl ReplyBody {
    /// Whether it is made as the client takes it.
    pub fn is_in_pieces(&self) -> bool {
        matches!(self, Self::Pieces(_))
    }
}

impl Default for ReplyBody {
    fn default() -> Self {
        Self::Full(Full::default())
    }
}

impl From<Bytes> for ReplyBody {
    fn from(bytes: Bytes) -> Self {
        Self::Full(Full::new(bytes))
    }
}

/// The pieces of a body that are still to be made.
pub struct Pieces {
    next: Option<Next>,
    /// Whether others come first: a client that takes each piece at once would keep its thread from them for
    /// as long as there are any.
    makes_way: bool,
}

/// The next piece, and those after it; `None` when the body is complete. After an error it never
/// will be: the connection breaks off, so that the client sees that something is missing.
type Next = Pin<Box<dyn Future<Output = Option<Result<(Bytes, Pieces), ApiError>>> + Send>>;

impl Pieces {
    /// So much is made at once, or an item more.
    pub const SIZE: usize = 64 * 1024;

    /// The pieces that begin with what comes of `next`.
    pub fn new(
        next: impl Future<Output = Option<Result<(Bytes, Self), ApiError>>> + Send + 'static,
    ) -> Self {
        Self { next: Some(Box::pin(next)), makes_way: false }
    }

    /// No more.
    pub fn none() -> Self {
        Self { next: None, makes_way: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ApiError>>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        if mem::take(&mut self.makes_way) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let made = ready!(next.as_mut().poll(cx));
        self.next = None;
        Poll::Ready(made.map(|made| {
            let (piece, rest) = made?;
            *self = Self { makes_way: true, ..rest };
            Ok(piece)
        }))
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pieces")
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = ApiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ApiError>>> {
        match &mut *self {
            Self::Full(full) => {
                let frame = ready!(Pin::new(full).poll_frame(cx));
                // Bytes that are there cannot fail.
                Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})))
            }
            Self::Pieces(pieces) => {
                pieces.poll(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(full) => full.is_end_stream(),
            Self::Pieces(pieces) => pieces.next.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(full) => full.size_hint(),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::task::Waker;

    /// The pieces `from`, `from` - 1, … and `last` when none is left.
    fn count_down(from: u8, last: Option<ApiError>) -> Pieces {
        Pieces::new(async move {
            match (from, last) {
                (0, last) => last.map(Err),
                (n, last) => Some(Ok((vec![n].into(), count_down(n - 1, last)))),
            }
        })
    }

    #[tokio::test]
    async fn a_body_in_pieces_is_all_of_them_in_order() {
        let body = ReplyBody::Pieces(count_down(3, None));
        assert!(!body.is_end_stream() && body.size_hint().exact().is_none());
        assert_eq!(body.collect().await.unwrap().to_bytes(), &[3, 2, 1][..]);
    }

    #[test]
    fn others_come_between_two_pieces_although_both_could_be_had_at_once() {
        let mut body = ReplyBody::Pieces(count_down(2, None));
        let mut has_come =
            || Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())).is_ready();
        assert_eq!([has_come(), has_come(), has_come()], [true, false, true]);
    }

    #[tokio::test]
    async fn an_error_ends_it_and_shows() {
        let mut body = ReplyBody::Pieces(count_down(1, Some(ApiError::Unauthorized)));
        assert!(body.frame().await.unwrap().unwrap().is_data());
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.is_end_stream() && body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_full_body_says_how_long_it_is() {
        let body = ReplyBody::from(Bytes::from_static(b"OK"));
        assert_eq!(body.size_hint().exact(), Some(2));
        assert!(ReplyBody::default().is_end_stream());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "OK");
    }
}
