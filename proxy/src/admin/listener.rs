//! The listeners of the admin endpoints: TCP, or a Unix socket.

use std::{io, net::SocketAddr, pin::Pin};

use portcullis_config::settings::AdminAddress;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};

use crate::{
    cli::exit::{ExitStatus, Failure},
    run::system::OwnSocket,
};

/// One address that is listened on.
#[derive(Debug)]
pub enum Listener {
    /// Whoever can reach the address may ask.
    Tcp(TcpListener),
    /// Whoever may open the socket may ask. It is removed when dropped.
    Unix(UnixListener, OwnSocket),
}

/// How a client came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminPeer {
    /// To this address of ours.
    Tcp(SocketAddr),
    /// By a Unix socket.
    Unix,
}

/// The connection of a client.
pub trait AdminStream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> AdminStream for T {}

impl Listener {
    /// Listens on an address; `mode` and `group` are those of a Unix socket.
    ///
    /// # Errors
    /// The address is not to be had; it says what to do.
    pub async fn bind(address: &AdminAddress, mode: u32, group: Option<&str>) -> Result<Self, Failure> {
        match address {
            AdminAddress::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp).map_err(|error| {
                Failure::new(
                    ExitStatus::Failed,
                    format!("metrics and health cannot be served on {address}: {error}"),
                    "name another with --admin-address (admin.address in the settings), or `off`",
                )
            }),
            AdminAddress::Unix(path) => {
                let (socket, listener) = OwnSocket::bind(path, mode, group)?;
                Ok(Self::Unix(UnixListener::from_std(listener).map_err(Failure::internal)?, socket))
            }
        }
    }

    /// The next client.
    ///
    /// # Errors
    /// It was not accepted.
    pub async fn accept(&self) -> io::Result<(Pin<Box<dyn AdminStream>>, AdminPeer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                let way = AdminPeer::Tcp(stream.local_addr()?);
                Ok((Box::pin(stream), way))
            }
            Self::Unix(listener, _) => Ok((Box::pin(listener.accept().await?.0), AdminPeer::Unix)),
        }
    }
}
