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

    /// Writes what `write` writes, of `length` bytes, that begin with `first`.
    fn deliver(
        &mut self,
        cx: &mut Context<'_>,
        (first, length): (&[u8], usize),
        write: impl FnOnce(&mut Socket, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if !self.midway && !self.delivery.is_answering() {
            if self.instead.is_none() {
                self.instead = in_our_words(first, self.delivery.counts());
            }
            if self.instead.is_some() {
                return self.write_instead(cx, length);
            }
        }
        if self.delivery.is_fragile() && self.socket.is_left() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = self.bounded(cx, write);
        if let Poll::Ready(Ok(written)) = written {
            self.midway = written < length;
            if !self.midway {
                self.delivery.written();
            }
        }
        written
    }

    /// Writes our own words, and says that all `length` bytes of hyper's were written.
    fn write_instead(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        while let Some(mut left) = self.instead.take().filter(|left| !left.is_empty()) {
            let written = self.bounded(cx, |socket, cx| match socket {
                Socket::Tcp(socket) => Pin::new(socket).poll_write(cx, &left),
                Socket::Unix(socket) => Pin::new(socket).poll_write(cx, &left),
            });
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
        write: impl FnOnce(&mut Socket, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let written = write(&mut self.socket, cx);
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
        let read = match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
            Socket::Unix(socket) => Pin::new(socket).poll_read(cx, buffer),
        };
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
        self.deliver(cx, (data, data.len()), |socket, cx| match socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write(cx, data),
            Socket::Unix(socket) => Pin::new(socket).poll_write(cx, data),
        })
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = data.first().map_or(&[][..], |part| part);
        let length = data.iter().map(|part| part.len()).sum();
        self.deliver(cx, (first, length), |socket, cx| match socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, data),
            Socket::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, data),
        })
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Tcp(socket) => socket.is_write_vectored(),
            Socket::Unix(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(cx, |socket, cx| match socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Unix(socket) => Pin::new(socket).poll_flush(cx),
        })
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
