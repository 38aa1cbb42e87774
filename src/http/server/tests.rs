//! One connection has one request answered a turn, and a server that has stopped does nothing more.

use super::*;
use crate::{
    app::tests::Inside,
    http::{error::ApiError, request_id::RequestId},
    settings::Bind,
};
use http_body_util::BodyExt;
use hyper::{HeaderMap, Response};
use std::{future::pending, str};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::Notify,
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

/// A connection's task and its client, on a socket of their own.
struct Pair {
    client: UnixStream,
    stream: Stream,
    talk: Talk,
    delivery: Arc<Delivery>,
    serving: watch::Sender<Phase>,
}

fn pair(inside: &Inside) -> Pair {
    let (client, socket) = UnixStream::pair().unwrap();
    let delivery = Delivery::new(Arc::clone(&inside.service));
    let patience = inside.service.limits.write_timeout;
    let stream = Stream::new(Socket::Unix(socket), patience, Arc::clone(&delivery));
    let (serving, phase) = watch::channel(Phase::Serving);
    let builder = builder(&inside.service.limits);
    let talk = Talk { builder, delivery: Arc::clone(&delivery), phase };
    Pair { client, stream, talk, delivery, serving }
}

#[tokio::test(start_paused = true)]
async fn one_answer_who_does_not_wait_to_be_told_to_continue_is_answered_however_long_it_takes() {
    let inside = Inside::start();
    let Pair { mut client, stream, mut talk, delivery, serving: _serving } = pair(&inside);
    // hyper reads all of it, and says `100 Continue` only then.
    let request =
        b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\nbody";
    client.write_all(request).await.unwrap();
    let done = Notify::new();
    let service = service_fn(async |request: Request<Incoming>| {
        delivery.rest.begin(false);
        request.into_body().collect().await.unwrap();
        delivery.rest.body_came();
        done.notified().await;
        delivery.answered();
        Ok::<_, Infallible>(Response::new(ReplyBody::default()))
    });
    let mut talking = pin!(talk.go_on(stream, service));
    let long = inside.service.limits.header_timeout * 10;
    tokio::select! {
        _ = &mut talking => panic!("it rests, or has ended, while it is handled"),
        () = sleep(long) => done.notify_one(),
    }
    assert!(talking.await.is_some(), "it rests after that");
    let mut said = [0; 1024];
    let length = client.read(&mut said).await.unwrap();
    let said = str::from_utf8(&said[..length]).unwrap();
    let (first, rest) = said.split_once("\r\n\r\n").unwrap();
    assert_eq!((first, &rest[..15]), ("HTTP/1.1 100 Continue", "HTTP/1.1 200 OK"));
}

/// What a client has heard in the end that sends this `request`, which is never decided, by a handler
/// that `reads` its body or does not.
async fn heard_at_the_end(request: &[u8], reads: bool) -> String {
    let inside = Inside::start();
    let Pair { mut client, stream, mut talk, delivery, serving } = pair(&inside);
    client.write_all(request).await.unwrap();
    let service = service_fn(async |request: Request<Incoming>| {
        delivery.rest.begin(request.body().is_end_stream());
        let answer = pin!(async {
            if reads {
                delivery.rest.awaits_body();
                request.into_body().collect().await.map_err(|_| ApiError::BodyBroken)?;
                delivery.rest.body_came();
            }
            pending().await
        });
        let answer = delivery.or_unknown(answer).await;
        delivery.answered();
        Ok::<_, Infallible>(
            answer.unwrap_or_else(|error| error.respond(&RequestId::of(&HeaderMap::new()))),
        )
    });
    {
        let mut talking = pin!(talk.go_on(stream, service));
        for phase in [Phase::Draining, Phase::Closing] {
            tokio::select! {
                _ = &mut talking => panic!("it does not wait for its answer"),
                () = sleep(Duration::from_secs(1)) => serving.send_replace(phase),
            };
        }
        assert!(talking.await.is_none(), "it has ended");
    }
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    said
}

#[tokio::test(start_paused = true)]
async fn one_outcome_who_still_waits_when_the_server_ends_is_told_that_nobody_knows() {
    let bare = &b"DELETE /locks/a HTTP/1.1\r\nhost: a\r\n\r\n"[..];
    let whole = &b"DELETE /locks/a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}"[..];
    for (request, reads) in [(bare, true), (bare, false), (whole, true), (whole, false)] {
        let said = heard_at_the_end(request, reads).await;
        assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("outcome_unknown"), "{said}");
    }
    let half = &whole[..whole.len() - 1];
    assert_eq!(heard_at_the_end(half, true).await, "", "it has asked for nothing");
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
