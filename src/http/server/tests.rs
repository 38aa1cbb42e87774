//! One connection has one request answered a turn, and a server that has stopped does nothing more.

use super::*;
use crate::{app::tests::Inside, settings::Bind};
use std::task::Poll;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    task::yield_now,
};

const REQUESTS: u64 = 100;

#[tokio::test]
async fn a_connection_with_many_requests_at_once_has_one_answered_a_turn() {
    let inside = Inside::start();
    let (mut client, socket) = UnixStream::pair().unwrap();
    let requests = b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n".repeat(REQUESTS as usize);
    client.write_all(&requests).await.unwrap();

    let (_serving, phase) = watch::channel(Phase::Serving);
    let room = Arc::new(Semaphore::new(1));
    let permit = Arc::clone(&room).try_acquire_owned().unwrap();
    let service = Arc::clone(&inside.service);
    let builder = builder(&service.limits);
    let connections = Connections { service, builder, room, phase };
    let mut served = pin!(connections.serve(Socket::Unix(socket), Address::Local, permit));
    // For whom the journal's thread may need the core that this one has.
    let _waits = inside.service.waiters.wait(());
    let answered = || inside.service.counts.requests.answered().map(|(.., count)| count).sum();
    poll_fn(|cx| {
        let before: u64 = answered();
        let polled = served.as_mut().poll(cx);
        let all: u64 = answered();
        // A look at its deadlines in between is a turn more; hyper alone would answer sixteen.
        assert!(all - before <= 4, "{} requests were answered in one turn", all - before);
        if all == REQUESTS {
            return Poll::Ready(());
        }
        assert!(polled.is_pending(), "the connection ended");
        Poll::Pending
    })
    .await;
    assert_eq!(inside.service.waiters.counted(), (1, REQUESTS as u32), "each counts");
}

#[tokio::test]
async fn after_a_stop_no_request_is_being_handled() {
    let inside = Inside::start();
    let path = inside.folder().join("socket");
    let listener = Listener::bind(&Bind::Unix(path.clone())).await.unwrap();
    let server = Server::start(&inside.service, vec![listener]);
    let mut client = UnixStream::connect(&path).await.unwrap();
    // Its handler reads the body, and waits for the rest of it.
    let half = b"POST /auth/token HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\
                 content-length: 5\r\n\r\nhalf";
    client.write_all(half).await.unwrap();
    client.read_exact(&mut [0; 12]).await.unwrap();

    let connections = &inside.service.counts.connections;
    assert_eq!((connections.accepted.get(), connections.closed.get()), (1, 0));
    server.stop(Duration::ZERO).await;
    assert_eq!(connections.closed.get(), 1, "it was waited for");
    // And nobody is let in.
    assert!(UnixStream::connect(&path).await.is_err());
    yield_now().await;
    assert_eq!(connections.accepted.get(), 1);
}
