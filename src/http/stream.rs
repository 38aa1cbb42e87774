//! A connection's socket, TCP or Unix, that gives up on a peer which does not read, and knows
//! which answers the kernel has.

use super::delivery::{Delivery, in_our_words};
use bytes::{Bytes, BytesMut};
use rustix::event::{PollFd, PollFlags, poll};
use std::{
    io,
    os::fd::AsFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::{Sleep, sleep},
};

/// How much is read at once after a rest: most requests.
const FIRST_BYTES: usize = 1024;

/// A socket of either kind.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// Unix.
    Unix(UnixStream),
}

impl Socket {
    /// Whether the peer has closed its side: then it does not wait for an answer.
    fn is_left(&self) -> bool {
        let fd = match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        };
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::RDHUP)];
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        poll(&mut fds, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok()
            && fds[0].revents().intersects(gone)
    }
}

/// A socket whose writes must make progress.
pub struct Stream {
    socket: Socket,
    /// What was read of it already, and is to be read again.
    again: Bytes,
    patience: Duration,
    delivery: Arc<Delivery>,
    /// Whether the last write took only a part of what there was.
    midway: bool,
    /// What is left of our own words for an answer of hyper's.
    instead: Option<Vec<u8>>,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    /// Ends in an error when the peer takes nothing for as long as `patience`.
    pub fn new(socket: Socket, patience: Duration, delivery: Arc<Delivery>) -> Self {
        let again = Bytes::new();
        Self { socket, again, patience, delivery, midway: false, instead: None, stalled: None }
    }

    /// Waits for the first bytes, which are read again. Without them the peer is gone.
    ///
    /// # Errors
    /// The connection broke off.
    pub async fn first(&mut self) -> io::Result<()> {
        while self.again.is_empty() {
            match &self.socket {
                Socket::Tcp(socket) => socket.readable().await?,
                Socket::Unix(socket) => socket.readable().await?,
            }
            // Not before: this is where connections wait that shall cost little.
            let mut buffer = BytesMut::with_capacity(FIRST_BYTES);
            let read = match &self.socket {
                Socket::Tcp(socket) => socket.try_read_buf(&mut buffer),
                Socket::Unix(socket) => socket.try_read_buf(&mut buffer),
            };
            match read {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => self.again = buffer.freeze(),
                // It was said in vain.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Has this be read once more, before anything else.
    pub fn read_again(&mut self, bytes: &[u8]) {
        debug_assert!(self.again.is_empty(), "all of it was read before anything came after it");
        // Not the buffer that they are in.
        self.again = Bytes::copy_from_slice(bytes);
    }

    /// Writes our own words, and says that all `length` bytes of hyper's were written.
    fn write_instead(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        while let Some(mut left) = self.instead.take().filter(|left| !left.is_empty()) {
            let written = self.bounded(cx, |socket, cx| socket.poll_write(cx, &left));
            if let Poll::Ready(Ok(written)) = written {
                left.drain(..written);
            }
            self.instead = Some(left);
            ready!(written)?;
        }
        Poll::Ready(Ok(length))
    }

    fn bounded<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut Socket>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let written = write(Pin::new(&mut self.socket), cx);
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.again.is_empty() {
            let length = self.again.len().min(buffer.remaining());
            buffer.put_slice(&self.again.split_to(length));
            self.delivery.rest.heard();
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if read.is_ready() {
            self.delivery.rest.heard();
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.midway && !self.delivery.is_answering() {
            if self.instead.is_none() {
                self.instead = in_our_words(data, self.delivery.counts());
            }
            if self.instead.is_some() {
                return self.write_instead(cx, data.len());
            }
        }
        if self.delivery.is_fragile() && self.socket.is_left() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = self.bounded(cx, |socket, cx| socket.poll_write(cx, data));
        if let Poll::Ready(Ok(written)) = written {
            self.midway = written < data.len();
            if !self.midway {
                self.delivery.written();
            }
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(cx, |socket, cx| socket.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buffer),
        }
    }
}

/// Not vectored: an answer is small, and one buffer costs less than a list of two.
impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, data),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{app::tests::Inside, http::delivery::Fragile};
    use octostore_actors::domain::lock::LockOutcome;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        join,
        time::timeout,
    };

    /// More than a kernel holds of what nobody reads.
    const MUCH: usize = 4 << 20;

    /// Only what is broken takes longer than this.
    const FOR_EVER: Duration = Duration::from_secs(60);

    const FROM_HYPER: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";

    /// A stream, what its answers are known by, and the peer.
    fn stream(inside: &Inside, patience: Duration) -> (Stream, Arc<Delivery>, UnixStream) {
        let (socket, peer) = UnixStream::pair().unwrap();
        let delivery = Delivery::new(Arc::clone(&inside.service));
        (Stream::new(Socket::Unix(socket), patience, Arc::clone(&delivery)), delivery, peer)
    }

    async fn read(peer: &mut UnixStream, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        peer.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn our_own_words_come_whole_to_who_reads_them_in_parts() {
        let inside = Inside::start();
        let (mut stream, _, peer) = stream(&inside, FOR_EVER);
        let ours: Vec<u8> = (0..MUCH).map(|at| (at % 251) as u8).collect();
        stream.instead = Some(ours.clone());
        let write = async {
            let written = stream.write(FROM_HYPER).await;
            drop(stream);
            written
        };
        let mut came = Vec::new();
        // What never ends must not take all memory with it.
        let mut peer = peer.take(2 * MUCH as u64);
        let (written, _) = join!(timeout(FOR_EVER, write), peer.read_to_end(&mut came));
        let written = written.expect("the end of our words");
        assert_eq!(written.unwrap(), FROM_HYPER.len());
        assert!(came == ours, "{} of {MUCH} bytes came", came.len());
    }

    #[tokio::test]
    async fn an_answer_is_delivered_when_the_kernel_has_all_of_it() {
        let inside = Inside::start();
        let (mut stream, delivery, mut peer) = stream(&inside, FOR_EVER);
        delivery.answered();
        delivery.holds(Fragile::Lock(LockOutcome::Released));
        let written = stream.write(&vec![b'x'; MUCH]).await.unwrap();
        assert!(written < MUCH && delivery.is_fragile() && delivery.is_answering());
        read(&mut peer, written).await;
        stream.write_all(b"the rest").await.unwrap();
        assert_eq!(read(&mut peer, 8).await, b"the rest");
        assert!(!delivery.is_fragile() && !delivery.is_answering());
    }

    #[tokio::test]
    async fn what_reads_like_hypers_own_in_the_middle_of_an_answer_is_left_alone() {
        let inside = Inside::start();
        let (mut stream, delivery, mut peer) = stream(&inside, FOR_EVER);
        delivery.answered();
        stream.write_all(b"the first piece").await.unwrap();
        read(&mut peer, 15).await;
        let written = stream.write(&vec![b'x'; MUCH]).await.unwrap();
        assert!(written < MUCH);
        read(&mut peer, written).await;
        stream.write_all(FROM_HYPER).await.unwrap();
        assert_eq!(read(&mut peer, FROM_HYPER.len()).await, FROM_HYPER);
        // Behind the answer it is hyper's own.
        stream.write_all(FROM_HYPER).await.unwrap();
        drop(stream);
        let mut ours = String::new();
        peer.read_to_string(&mut ours).await.unwrap();
        assert!(ours.contains("malformed_request"), "{ours}");
    }

    #[tokio::test]
    async fn who_takes_nothing_is_given_up_whoever_s_words_it_does_not_take() {
        let inside = Inside::start();
        for own in [None, Some(vec![0; MUCH])] {
            let (mut stream, _, _peer) = stream(&inside, Duration::from_millis(1));
            stream.instead = own;
            let much = vec![0; MUCH];
            let written = timeout(FOR_EVER, stream.write_all(&much)).await.unwrap();
            assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
    }

    #[tokio::test]
    async fn who_takes_something_is_waited_for_anew() {
        let inside = Inside::start();
        let (mut stream, _, mut peer) = stream(&inside, FOR_EVER);
        let much = vec![0; MUCH];
        let (written, _) = join!(stream.write_all(&much), read(&mut peer, MUCH));
        written.unwrap();
        assert!(stream.stalled.is_none());
    }
}
