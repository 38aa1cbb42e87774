//! Sockets and connections: taking them, bounding them, and the order of stopping.

#[cfg(test)]
mod tests;

use super::{
    delivery::{Delivery, too_many_connections},
    handle,
    listen::Listener,
    rarely::Rarely,
    reply::ReplyBody,
    stream::{Socket, Stream},
    timer::{CoarseTimer, FIRST_POLL, next_poll},
};
use crate::{app::Service, auth::address::Address, metrics};
use hyper::{
    Request,
    body::{Body, Incoming},
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

/// The largest head of a request, and the room to read it in. Bodies stream past it.
const BUFFER_SIZE: usize = 16 * 1024;

/// How long taking connections rests when the system has no more to give.
const ACCEPT_REST: Duration = Duration::from_millis(20);

/// What every connection is told in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Answer what has come, then close.
    Draining,
    /// Close now.
    Closing,
}

/// The running server.
pub struct Server {
    phase: watch::Sender<Phase>,
    accepting: JoinSet<()>,
    room: Arc<Semaphore>,
    capacity: u32,
}

impl Server {
    /// Begins to take connections from `listeners`. Must be called on a tokio runtime.
    pub fn start(service: &Arc<Service>, listeners: Vec<Listener>) -> Self {
        let (phase, _) = watch::channel(Phase::Serving);
        let capacity = service.limits.max_connections;
        let room = Arc::new(Semaphore::new(capacity as usize));
        let mut accepting = JoinSet::new();
        for listener in listeners {
            let connections = Connections {
                service: Arc::clone(service),
                builder: builder(&service.limits),
                room: Arc::clone(&room),
                phase: phase.subscribe(),
            };
            accepting.spawn(connections.accept_from(listener));
        }
        Self { phase, accepting, room, capacity }
    }

    /// Stops taking connections, lets those that are open answer what has come, and closes what
    /// is still open after `patience`. Afterwards no request is being handled.
    pub async fn stop(mut self, patience: Duration) {
        self.phase.send_replace(Phase::Draining);
        // Closes the listening sockets.
        self.accepting.shutdown().await;
        let all = || Arc::clone(&self.room).acquire_many_owned(self.capacity);
        if timeout(patience, all()).await.is_err() {
            self.phase.send_replace(Phase::Closing);
            // The room is never closed, so this waits for the last connection.
            let _everybody_left = all().await;
        }
    }
}

fn builder(limits: &crate::app::Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(CoarseTimer)
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(BUFFER_SIZE)
        .half_close(false);
    builder
}

/// What one listening socket's connections share.
struct Connections {
    service: Arc<Service>,
    builder: http1::Builder,
    room: Arc<Semaphore>,
    phase: watch::Receiver<Phase>,
}

impl Connections {
    async fn accept_from(self, listener: Listener) {
        let mut said = None;
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => {
                    said = None;
                    match Arc::clone(&self.room).try_acquire_owned() {
                        Ok(permit) => drop(tokio::spawn(self.serve(socket, peer, permit))),
                        Err(_) => {
                            self.service.counts.connections.refused.add_one();
                            turn_away(&socket);
                        }
                    }
                }
                // The connection went away before it was taken, or the system has no file
                // descriptors left: the next one may do.
                Err(error) => {
                    self.service.counts.connections.failed.add_one();
                    // Until one is taken: those who wait are tried for again and again.
                    let is_new = said.replace(error.raw_os_error()) != Some(error.raw_os_error());
                    if is_new {
                        tracing::warn!(%error, "a connection could not be taken");
                    }
                    sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    fn serve(
        &self,
        socket: Socket,
        peer: Address,
        permit: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + use<> {
        let service = Arc::clone(&self.service);
        let open = Open::begin(&service);
        let delivery = Delivery::new(Arc::clone(&service));
        let stream = Stream::new(socket, service.limits.write_timeout, Arc::clone(&delivery));
        let talk = Talk {
            builder: self.builder.clone(),
            delivery: Arc::clone(&delivery),
            phase: self.phase.clone(),
        };
        let service = service_fn(move |request: Request<Incoming>| {
            let delivery = Arc::clone(&delivery);
            delivery.rest.begin(request.body().is_end_stream());
            async move {
                delivery.turns.take().await;
                Ok::<_, Infallible>(handle(&delivery, peer, request).await)
            }
        });
        async move {
            // Given back last: when all are back, no request is being handled any more, and what
            // was let go for one that broke off has come home.
            let _permit = permit;
            let _open = open;
            let (mut talk, mut stream, mut service) = (talk, stream, service);
            while talk.wait(&mut stream).await {
                // In a box, of which nothing is left at rest.
                match Box::pin(talk.go_on(stream, service)).await {
                    Some(at_rest) => (stream, service) = at_rest,
                    None => break,
                }
            }
        }
    }
}

/// What a connection's task needs besides the connection.
struct Talk {
    builder: http1::Builder,
    delivery: Arc<Delivery>,
    phase: watch::Receiver<Phase>,
}

impl Talk {
    /// Waits at rest. Says whether there is something to read; if not, the connection is done with.
    async fn wait(&mut self, stream: &mut Stream) -> bool {
        let service = self.delivery.service();
        let _resting = Resting::begin(&service.counts.connections);
        tokio::select! {
            biased;
            came = stream.first() => came.is_ok(),
            _ = self.phase.changed() => false,
            () = sleep(service.limits.header_timeout) => false,
        }
    }

    /// Answers what comes, until the connection ends or comes to rest.
    async fn go_on<S>(&mut self, stream: Stream, service: S) -> Option<(Stream, S)>
    where
        S: HttpService<Incoming, ResBody = ReplyBody, Error = Infallible>,
    {
        let Self { builder, delivery, phase } = self;
        let mut connection = builder.serve_connection(TokioIo::new(stream), service);
        let mut every = FIRST_POLL;
        let mut rest = None;
        loop {
            let chore = {
                let mut chore = pin!(async {
                    tokio::select! {
                        () = sleep(every) => Chore::Look,
                        changed = phase.changed() => Chore::Phase { gone: changed.is_err() },
                    }
                });
                tokio::select! {
                    // An answer that is there is written before anything is closed.
                    biased;
                    ended = poll_fn(|cx| delivery.turns.poll(Pin::new(&mut connection), cx)) => {
                        if let Err(error) = ended {
                            tracing::debug!(%error, "a connection broke off");
                        }
                        return None;
                    }
                    chore = Rarely::new(chore.as_mut()) => chore,
                }
            };
            match chore {
                // The connection is polled, and looks at its deadlines.
                Chore::Look => {
                    every = next_poll(every, delivery.service().limits.header_timeout);
                    let before = std::mem::replace(&mut rest, delivery.rest.which());
                    if rest.is_some() && rest == before {
                        let parts = connection.into_parts();
                        let mut stream = parts.io.into_inner();
                        stream.read_again(&parts.read_buf);
                        return Some((stream, parts.service));
                    }
                }
                // The server is gone, or says how to end.
                Chore::Phase { gone } => {
                    if gone {
                        return None;
                    }
                    Pin::new(&mut connection).graceful_shutdown();
                    if *phase.borrow_and_update() == Phase::Closing {
                        delivery.end();
                        // What there is to say is said if the socket takes it at once.
                        let last = |cx: &mut Context<'_>| {
                            Poll::Ready(delivery.turns.poll(Pin::new(&mut connection), cx))
                        };
                        let _ended = poll_fn(last).await;
                        return None;
                    }
                }
            }
        }
    }
}

/// What a connection has to do besides answering.
enum Chore {
    /// See whether it is at rest, or late.
    Look,
    /// End as the server says, or at once if that is gone.
    Phase { gone: bool },
}

/// A connection that is open, until this is dropped.
struct Open(Arc<Service>);

impl Open {
    fn begin(service: &Arc<Service>) -> Self {
        service.counts.connections.accepted.add_one();
        Self(Arc::clone(service))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counts.connections.closed.add_one();
    }
}

/// A connection at rest, until this is dropped.
struct Resting<'a>(&'a metrics::Connections);

impl<'a> Resting<'a> {
    fn begin(counts: &'a metrics::Connections) -> Self {
        counts.rested.add_one();
        Self(counts)
    }
}

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        self.0.woken.add_one();
    }
}

fn turn_away(socket: &Socket) {
    let answer = too_many_connections();
    // A fresh socket has room for this; if it has not, closing it says enough.
    let _said = match socket {
        Socket::Tcp(socket) => socket.try_write(&answer),
        Socket::Unix(socket) => socket.try_write(&answer),
    };
}
