//! Under systemd: sockets that it hands over, and telling it how things stand.

use rustix::net::sockopt::socket_acceptconn;
use std::{
    io,
    net::TcpListener,
    os::{
        fd::AsFd,
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram, UnixListener},
        },
    },
};

/// A listening socket that was handed over.
#[derive(Debug)]
pub enum Given {
    /// A TCP one.
    Tcp(TcpListener),
    /// A Unix one. Its file is not ours to remove.
    Unix(UnixListener),
}

/// The sockets that `LISTEN_FDS` speaks of; none if nobody handed any over. Must be called before
/// there is any thread: it takes the variables out of the environment, so that no child believes
/// they were meant for it.
///
/// # Errors
/// One is no listening socket of a kind that is served.
pub fn given_sockets() -> io::Result<Vec<Given>> {
    let mut given = listenfd::ListenFd::from_env();
    let count = given.len();
    let socket = |index| {
        if let Ok(Some(socket)) = given.take_tcp_listener(index) {
            return listening(socket).map(Given::Tcp);
        }
        let unix = given.take_unix_listener(index)?;
        listening(unix.ok_or(io::ErrorKind::InvalidInput)?).map(Given::Unix)
    };
    (0..count).map(socket).collect()
}

/// `socket`, if anybody can connect to it.
fn listening<S: AsFd>(socket: S) -> io::Result<S> {
    if socket_acceptconn(&socket)? {
        return Ok(socket);
    }
    Err(io::Error::other("nobody listens on it: give one on which listen(2) was called"))
}

/// Says that requests are welcome, and what `systemctl status` is to show.
pub fn ready(status: &str) {
    tell(&format!("READY=1\nSTATUS={status}\n"));
}

/// Says that the end has begun.
pub fn stopping() {
    tell("STOPPING=1\n");
}

/// Tells whoever started this process, if that wants to know (sd_notify(3)).
fn tell(state: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let send = || {
        let address = match socket.as_bytes().split_first() {
            Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
            Some(_) | None => SocketAddr::from_pathname(&socket)?,
        };
        UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)
    };
    if let Err(error) = send() {
        tracing::warn!(%error, "systemd was not told {state:?}");
    }
}
