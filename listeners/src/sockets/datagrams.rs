//! Datagram sockets: for steered queries, for upstream flows, and for answers from the server's address.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd,
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage, recvmsg, setsockopt, sockopt,
    },
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{NOBODY_V4, NOBODY_V6, packet, set_transparent};

/// Largest datagram of UDP in bytes (RFC 768, RFC 8200 §4.5: the length field).
pub(crate) const LARGEST: usize = u16::MAX as usize;

fn datagrams(v6: bool) -> io::Result<Socket> {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if v6 {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// A transparent socket in the namespace of the calling thread that steered datagrams come to, each with its original
/// destination. It has a port of its own, which nobody else can bind.
///
/// # Errors
/// No `CAP_NET_ADMIN`, no file descriptor left, or the namespace does not have this family.
pub(crate) fn listener(v6: bool) -> io::Result<Socket> {
    let socket = datagrams(v6)?;
    set_transparent(&socket, v6)?;
    if v6 {
        setsockopt(&socket, sockopt::Ipv6OrigDstAddr, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv4OrigDstAddr, &true)?;
    }
    let nobody = if v6 { IpAddr::V6(NOBODY_V6) } else { IpAddr::V4(NOBODY_V4) };
    socket.bind(&SocketAddr::new(nobody, 0).into())?;
    Ok(socket)
}

/// A socket in the namespace of the calling thread that whole packets leave from, with any source ([`packet`]). It takes
/// no port from anybody, and nothing comes in.
///
/// # Errors
/// No `CAP_NET_RAW`, no file descriptor left, or the namespace does not have this family.
pub(crate) fn raw(v6: bool) -> io::Result<Socket> {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::from(libc::IPPROTO_RAW)))
}

/// The socket of an upstream connection in the namespace of the calling thread: it has to be adopted before it connects.
///
/// # Errors
/// No file descriptor left, or no `CAP_NET_ADMIN`.
pub(crate) fn upstream(v6: bool, mark: u32) -> io::Result<Socket> {
    let socket = datagrams(v6)?;
    socket.set_mark(mark)?;
    Ok(socket)
}

/// One datagram that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    pub(crate) bytes: usize,
    pub(crate) client: SocketAddr,
    /// Where the client sent it; `None` where the kernel does not say.
    pub(crate) to: Option<SocketAddr>,
}

/// Receives one datagram of the server that an upstream connection is connected to, without waiting. `None` for one of somebody else: it
/// was sent between bind and connect.
///
/// # Errors
/// As of recv(2): `WouldBlock` when there is no more, `ConnectionRefused` when the server does not hear.
pub(crate) fn receive_from(upstream: &Socket, server: SocketAddr, into: &mut [u8]) -> io::Result<Option<usize>> {
    let storage = loop {
        match nix::sys::socket::recvfrom::<SockaddrStorage>(upstream.as_raw_fd(), into) {
            Ok(received) => break received,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let (bytes, from) = storage;
    let from = from.as_ref().and_then(address);
    Ok(from.is_some_and(|from| (from.ip(), from.port()) == (server.ip(), server.port())).then_some(bytes))
}

/// Receives one datagram with its original destination; `None` when there is no more. `control` is scratch space that is
/// kept between calls.
pub(crate) fn receive(socket: &Socket, into: &mut [u8], control: &mut Vec<u8>) -> io::Result<Option<Arrived>> {
    if control.capacity() == 0 {
        *control = cmsg_space!(libc::sockaddr_in6);
    }
    let mut slices = [IoSliceMut::new(into)];
    let message = loop {
        match recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, Some(control), MsgFlags::empty()) {
            Ok(message) => break message,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    };
    let client = message.address.as_ref().and_then(address).ok_or(io::ErrorKind::Unsupported)?;
    let to = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4OrigDstAddr(to) => Some(SocketAddrV4::from(SockaddrIn::from(to)).into()),
        ControlMessageOwned::Ipv6OrigDstAddr(to) => Some(SocketAddrV6::from(SockaddrIn6::from(to)).into()),
        _ => None,
    });
    Ok(Some(Arrived { bytes: message.bytes, client, to }))
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|address| SocketAddr::from(SocketAddrV4::from(*address)));
    v4.or_else(|| storage.as_sockaddr_in6().map(|address| SocketAddr::from(SocketAddrV6::from(*address))))
}

/// Sends a datagram to a client as a server's, through a socket of [`raw`].
///
/// # Errors
/// The kernel takes it not; `WouldBlock` when its buffer is full.
pub(crate) fn answer(raw: &Socket, datagram: &[u8], server: SocketAddr, mut client: SocketAddr) -> io::Result<()> {
    let header = packet::header(server, client, datagram).ok_or(io::ErrorKind::InvalidInput)?;
    // The packet says the port; here it would be that of a protocol (raw(7)).
    client.set_port(0);
    let slices = [io::IoSlice::new(&header), io::IoSlice::new(datagram)];
    loop {
        match raw.send_to_vectored(&slices, &client.into()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map(drop),
        }
    }
}
