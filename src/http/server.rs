//! Sockets and connections: taking them, bounding them, and the order of stopping.

use super::{
    delivery::{Delivery, too_many_connections},
    handle,
    listen::Listener,
    stream::{Socket, Stream},
    timer::{CoarseTimer, poll_every},
    turn::Turns,
};
use crate::{app::Service, auth::address::Address};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, future::poll_fn, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{interval, sleep, timeout},
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
        // An answer is small: one buffer costs less than a list of two.
        .writev(false)
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
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => match Arc::clone(&self.room).try_acquire_owned() {
                    Ok(permit) => drop(tokio::spawn(self.serve(socket, peer, permit))),
                    Err(_) => {
                        self.service.counts.connections.refused.add_one();
                        turn_away(&socket);
                    }
                },
                // The connection went away before it was taken, or the system has no file
                // descriptors left: the next one may do.
                Err(error) => {
                    self.service.counts.connections.failed.add_one();
                    tracing::warn!(%error, "a connection could not be taken");
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
        let turns = Arc::new(Turns::default());
        let its_turns = Arc::clone(&turns);
        let service = service_fn(move |request| {
            let (service, delivery) = (Arc::clone(&service), Arc::clone(&delivery));
            let turns = Arc::clone(&its_turns);
            async move {
                turns.take().await;
                Ok::<_, Infallible>(handle(&service, &delivery, peer, request).await)
            }
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        let mut phase = self.phase.clone();
        let mut look = interval(poll_every(self.service.limits.header_timeout));
        async move {
            // Given back last: when all are back, no request is being handled any more, and what
            // was let go for one that broke off has come home.
            let _permit = permit;
            let _open = open;
            let mut connection = pin!(connection);
            loop {
                tokio::select! {
                    // An answer that is there is written before anything is closed.
                    biased;
                    ended = poll_fn(|cx| turns.poll(connection.as_mut(), cx)) => {
                        if let Err(error) = ended {
                            tracing::debug!(%error, "a connection broke off");
                        }
                        break;
                    }
                    // The connection is polled, and looks at its deadlines.
                    _ = look.tick() => {}
                    changed = phase.changed() => {
                        // The server is gone, or says how to end.
                        let closing = changed.is_err() || *phase.borrow_and_update() == Phase::Closing;
                        if closing {
                            break;
                        }
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }
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

fn turn_away(socket: &Socket) {
    let answer = too_many_connections();
    // A fresh socket has room for this; if it has not, closing it says enough.
    let _said = match socket {
        Socket::Tcp(socket) => socket.try_write(&answer),
        Socket::Unix(socket) => socket.try_write(&answer),
    };
}
