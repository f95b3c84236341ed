//! The DNS server behind all proxies: gives every name one address, as fast as one thread can.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use super::{LARGEST, message};

/// Answers on `address` until killed. `ready` is called once the socket is bound.
///
/// # Errors
/// The address cannot be used.
pub fn serve(address: SocketAddr, ready: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    ready()?;
    let mut buffer = [0; LARGEST];
    loop {
        // An error tells of an answer that a client did not wait for.
        let Ok((bytes, client)) = socket.recv_from(&mut buffer) else { continue };
        if let Some(length) = message::answer(&mut buffer, bytes) {
            let _ = socket.send_to(&buffer[..length], client);
        }
    }
}
