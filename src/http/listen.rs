//! Listening sockets, TCP and Unix.

use super::stream::Socket;
use crate::{auth::address::Address, settings::Bind};
use std::{
    io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// A socket that takes connections.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix { listener: UnixListener, path: PathBuf },
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody listens there already.
    #[error("{0} is in use: stop what listens there, or give another --bind")]
    InUse(Bind),
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
            Bind::Tcp(address) => TcpListener::bind(address).await.map(Kind::Tcp),
            Bind::Unix(path) => {
                remove_stale(bind, path).await?;
                bind_unix(path)
            }
        };
        listening.map(Self).map_err(|source| {
            if source.kind() == io::ErrorKind::AddrInUse {
                ListenError::InUse(bind.clone())
            } else {
                ListenError::Io { bind: bind.clone(), source }
            }
        })
    }

    /// Where it listens: with the port that was given, if any port was asked for.
    pub fn address(&self) -> Bind {
        match &self.0 {
            Kind::Tcp(listener) => match listener.local_addr() {
                Ok(address) => Bind::Tcp(address),
                Err(_) => unreachable!("a bound socket has an address"),
            },
            Kind::Unix { path, .. } => Bind::Unix(path.clone()),
        }
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
        if let Kind::Unix { path, .. } = &self.0 {
            // A socket file left behind is removed at the next start.
            let _left_behind = std::fs::remove_file(path);
        }
    }
}

fn bind_unix(path: &Path) -> io::Result<Kind> {
    let listener = UnixListener::bind(path)?;
    // For the owner and the group, in which a reverse proxy can be.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(Kind::Unix { listener, path: path.to_owned() })
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
            std::fs::remove_file(path)
                .map_err(|source| ListenError::Io { bind: bind.clone(), source })
        }
        Ok(_) | Err(_) => Err(ListenError::InUse(bind.clone())),
    }
}
