//! DNS over UDP through several proxies: a server and a relay of our own, the client, and the settings of dnsdist and
//! Portcullis.
//!
//! All proxies run on the client's side, where Portcullis judges egress.

pub mod load;
pub mod message;
pub mod names;
pub mod peers;
pub mod relay;
pub mod upstream;

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

/// A name that is not answered in this time is asked again by whoever waits for the proxy to be ready.
const PATIENCE: Duration = Duration::from_millis(300);
/// Largest message that is asked or answered here, in bytes.
const LARGEST: usize = 512;

/// A socket that does not block, of `source` and a port that the kernel draws, connected to `target`.
///
/// # Errors
/// The address is not here, or no port is left.
fn socket(source: IpAddr, target: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((source, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(target)?;
    Ok(socket)
}

/// Receives once; `None` when there is nothing.
///
/// # Errors
/// As of recv(2).
fn receive<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<Option<T>> {
    loop {
        return match call() {
            Ok(received) => Ok(Some(received)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        };
    }
}

/// Asks once for a name, from the client's first address.
///
/// # Errors
/// There is no answer in time, or it is not an address.
pub fn answered(target: SocketAddr, name: &str) -> io::Result<()> {
    let socket = UdpSocket::bind((super::laboratory::FIRST_CLIENT, 0))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(&message::query(1, name))?;
    let mut buffer = [0; LARGEST];
    let bytes = socket.recv(&mut buffer)?;
    match message::outcome(&buffer[..bytes]) {
        Some((1, true)) => Ok(()),
        other => Err(io::Error::other(format!("{name} is answered with {other:?}"))),
    }
}
