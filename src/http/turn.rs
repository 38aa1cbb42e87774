//! Turns: a connection with many requests at once answers one, and then lets the others come.
//!
//! hyper takes up to sixteen requests that a client has sent at once before it looks at anybody
//! else. A few clients that do so all the time make everybody wait that much longer.

use std::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
};
use tokio::task::yield_now;

/// Whose turn it is on one connection: shared by what polls it and what handles its requests.
#[derive(Debug, Default)]
pub struct Turns {
    taken: AtomicBool,
}

impl Turns {
    /// Waits for a turn. The first request of each has it at once, and pays nothing.
    pub async fn take(&self) {
        while self.taken.swap(true, Ordering::Relaxed) {
            yield_now().await;
        }
    }

    /// Polls `connection`, which is a turn of its own.
    pub fn poll<F: Future>(
        &self,
        connection: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        self.taken.store(false, Ordering::Relaxed);
        connection.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::{Response, server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use std::{convert::Infallible, future::poll_fn, pin::pin, sync::atomic::AtomicUsize};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const REQUESTS: usize = 100;

    #[tokio::test]
    async fn who_sends_many_requests_at_once_has_one_answered_a_turn() {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        client.write_all(&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(REQUESTS)).await.unwrap();
        client.shutdown().await.unwrap();

        let (turns, handled) = (Turns::default(), AtomicUsize::new(0));
        let service = service_fn(async |_| {
            turns.take().await;
            handled.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        });
        let mut builder = http1::Builder::new();
        // What is sent before the client closes its side is answered.
        let connection = builder.half_close(true).serve_connection(TokioIo::new(server), service);
        let mut connection = pin!(connection);
        let served = poll_fn(|cx| {
            let before = handled.load(Ordering::Relaxed);
            let polled = turns.poll(connection.as_mut(), cx);
            let in_this_turn = handled.load(Ordering::Relaxed) - before;
            assert!(in_this_turn <= 1, "{in_this_turn} requests were handled in one turn");
            polled
        });
        served.await.unwrap();
        assert_eq!(handled.load(Ordering::Relaxed), REQUESTS);
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), REQUESTS);
    }
}
