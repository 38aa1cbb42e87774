//! Listening sockets, TCP and Unix.

use super::stream::Socket;
use crate::{auth::address::Address, settings::Bind, systemd::Given};
use rustix::net::sockopt::set_socket_send_buffer_size;
use std::{
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// A socket that takes connections.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// From the root on: the process may be in another folder later. `None` if it has no path,
        /// but a name that is abstract, or none at all.
        path: Option<PathBuf>,
        /// Which file it is, if it was made here, and is removed with this.
        own: Option<FileId>,
    },
}

/// Tells files apart, whatever their names: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    /// The file that is at `path` now.
    fn at(path: &Path) -> io::Result<Self> {
        std::fs::symlink_metadata(path).map(|file| Self(file.dev(), file.ino()))
    }
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody listens there already.
    #[error("{0} is in use: stop what listens there, or give another --bind")]
    InUse(Bind),
    /// Ports below 1024 are not everybody's.
    #[error(
        "{0} is not allowed to this user: give a --bind with a port from 1024, or let the process \
         have CAP_NET_BIND_SERVICE, as AmbientCapabilities= of systemd does"
    )]
    NotAllowed(Bind),
    /// The folder of a Unix socket may not be written.
    #[error("{0} cannot be made: its folder may not be written by this user")]
    FolderNotAllowed(Bind),
    /// It is another machine's address.
    #[error(
        "{0} is no address of this machine: give a --bind with one that is, or 0.0.0.0 for all of \
         them"
    )]
    NotOurs(Bind),
    /// The folder of a Unix socket does not exist.
    #[error("{0} cannot be made: its folder does not exist; make that first")]
    NoFolder(Bind),
    /// The path of a Unix socket is longer than the system takes.
    #[error("{0} is too long: a socket has a path of at most 107 bytes")]
    TooLong(Bind),
    /// What was handed over is no socket that can be served.
    #[error("a socket that LISTEN_FDS speaks of cannot be served: {0}")]
    Given(io::Error),
    /// The path of a Unix socket is taken by something else.
    #[error("{0} is not a socket: remove it, or give another --bind")]
    NotASocket(Bind),
    /// Anything else.
    #[error("cannot listen on {bind}: {source}")]
    Io {
        /// Where.
        bind: Bind,
        /// What the system says.
        source: io::Error,
    },
}

impl Listener {
    /// Listens at `bind`.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn bind(bind: &Bind) -> Result<Self, ListenError> {
        let listening = match bind {
            Bind::Tcp(address) => TcpListener::bind(address).await.and_then(tcp),
            Bind::Unix(path) => {
                remove_stale(bind, path).await?;
                bind_unix(path)
            }
        };
        listening.map(Self).map_err(|source| refusal(bind.clone(), source))
    }

    /// Listens on a socket that somebody else has bound.
    ///
    /// # Errors
    /// The system refuses.
    pub fn given(socket: Given) -> Result<Self, ListenError> {
        let listening = match socket {
            Given::Tcp(socket) => socket
                .set_nonblocking(true)
                .and_then(|()| TcpListener::from_std(socket))
                .and_then(tcp),
            Given::Unix(socket) => (|| {
                socket.set_nonblocking(true)?;
                let address = socket.local_addr()?;
                let path = address.as_pathname().map(std::path::absolute).transpose()?;
                Ok(Kind::Unix { listener: UnixListener::from_std(socket)?, path, own: None })
            })(),
        };
        listening.map(Self).map_err(ListenError::Given)
    }

    /// Where it listens: with the port that was given, if any port was asked for, and with the path
    /// of a Unix socket from the root on; `unix:?` if that has none.
    pub fn address(&self) -> Bind {
        match &self.0 {
            Kind::Tcp(listener) => match listener.local_addr() {
                Ok(address) => Bind::Tcp(address),
                Err(_) => unreachable!("a bound socket has an address"),
            },
            Kind::Unix { path, .. } => Bind::Unix(path.clone().unwrap_or_else(|| "?".into())),
        }
    }

    /// The same, if others can connect there by it.
    pub(crate) fn announced(&self) -> Option<Bind> {
        let is_nameless = matches!(self.0, Kind::Unix { path: None, .. });
        (!is_nameless).then(|| self.address())
    }

    /// Waits for the next connection, and says whose it is.
    pub(super) async fn accept(&self) -> io::Result<(Socket, Address)> {
        match &self.0 {
            Kind::Tcp(listener) => {
                let (socket, peer) = listener.accept().await?;
                // Answers are small and must not wait for one another.
                socket.set_nodelay(true)?;
                Ok((Socket::Tcp(socket), Address::Ip(peer.ip())))
            }
            Kind::Unix { listener, .. } => {
                Ok((Socket::Unix(listener.accept().await?.0), Address::Local))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Its socket has this inode until it is closed, which is after this. What somebody else has put
        // there meanwhile is not ours.
        if let Kind::Unix { path: Some(path), own: Some(own), .. } = &self.0
            && FileId::at(path).is_ok_and(|there| there == *own)
        {
            // A socket file left behind is removed at the next start.
            let _left_behind = std::fs::remove_file(path);
        }
    }
}

/// So many bytes of an answer the system keeps for a client that has not taken them, at most. Left to
/// itself that may be megabytes; and as it says that there is room again only when a third is free,
/// a client that reads slowly would look like one that reads nothing.
const SEND_BUFFER: usize = 256 * 1024;

/// Connections have what the socket has that takes them.
fn tcp(listener: TcpListener) -> io::Result<Kind> {
    set_socket_send_buffer_size(&listener, SEND_BUFFER)?;
    Ok(Kind::Tcp(listener))
}

fn bind_unix(path: &Path) -> io::Result<Kind> {
    let absolute = std::path::absolute(path)?;
    // By the path as it was given, which may be the only one that is short enough.
    let listener = UnixListener::bind(path)?;
    // For the owner and the group, in which a reverse proxy can be.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    let own = Some(FileId::at(path)?);
    Ok(Kind::Unix { listener, path: Some(absolute), own })
}

/// Why the system refuses, as far as it says.
fn refusal(bind: Bind, source: io::Error) -> ListenError {
    let kind = source.kind();
    let on_unix = matches!(bind, Bind::Unix(_));
    if kind == io::ErrorKind::AddrInUse {
        ListenError::InUse(bind)
    } else if matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) {
        if on_unix { ListenError::FolderNotAllowed(bind) } else { ListenError::NotAllowed(bind) }
    } else if kind == io::ErrorKind::AddrNotAvailable {
        ListenError::NotOurs(bind)
    } else if kind == io::ErrorKind::NotFound {
        ListenError::NoFolder(bind)
    } else if kind == io::ErrorKind::InvalidInput && on_unix {
        ListenError::TooLong(bind)
    } else {
        ListenError::Io { bind, source }
    }
}

/// Removes a socket that a server which is gone has left behind.
async fn remove_stale(bind: &Bind, path: &Path) -> Result<(), ListenError> {
    match std::fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(ListenError::NotASocket(bind.clone()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|source| refusal(bind.clone(), source))
        }
        Ok(_) | Err(_) => Err(ListenError::InUse(bind.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_somebody_else_has_put_there_meanwhile_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let ours = Listener::bind(&Bind::Unix(path.clone())).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        let _theirs = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(ours);
        assert!(path.exists());
    }
}
