//! Creates every socket of this crate, and sets every socket option.

pub(crate) mod datagrams;
mod packet;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsFd,
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, SockAddr, SockFilter, Socket, Type};

/// Addresses that nobody has (RFC 5737, RFC 4193). A listener bound to them takes no port from an application; only
/// `sk_lookup` reaches it.
const NOBODY_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 67);
const NOBODY_V6: Ipv6Addr = Ipv6Addr::new(0xfd50, 0x4354, 0, 0, 0, 0, 0, 1);
/// Connections that wait for `accept`. The kernel takes `net.core.somaxconn` where that is less.
const BACKLOG: i32 = 4096;
/// Where the flags of a TCP header are, and the one that asks for a connection (RFC 9293 §3.1).
const TCP_FLAGS: u32 = 13;
const TCP_SYN: u32 = 2;

/// A transparent listener in the namespace of the calling thread. It has a port of its own, which nobody else can bind while it
/// listens, and shares the ports of what it accepts, which are the applications'.
///
/// # Errors
/// No `CAP_NET_ADMIN`, no file descriptor left, or the namespace does not have this family.
pub(crate) fn listener(v6: bool) -> io::Result<Socket> {
    let nobody = if v6 { IpAddr::V6(NOBODY_V6) } else { IpAddr::V4(NOBODY_V4) };
    let address = SocketAddr::new(nobody, 0);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if v6 {
        socket.set_only_v6(true)?;
    }
    set_transparent(&socket, v6)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Whether an error says that the namespace has no such family at all.
pub(crate) fn lacks_family(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

fn set_transparent(socket: &Socket, v6: bool) -> io::Result<()> {
    if v6 { socket.set_ip_transparent_v6(true) } else { socket.set_ip_transparent_v4(true) }
}

/// A socket of an upstream connection, in the namespace of the calling thread. It may share its port with other upstream connections: what has
/// to be unique is the pair of both addresses.
pub(crate) fn upstream(v6: bool) -> io::Result<Socket> {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

/// Lets an upstream connection have an address that is not ours, and has its packets delivered locally.
pub(crate) fn disguise(upstream: &Socket, v6: bool, mark: u32) -> io::Result<()> {
    set_transparent(upstream, v6)?;
    upstream.set_mark(mark)
}

/// Has an upstream connection come by the loopback device, by which no client can come: so nobody who guesses its port is taken for it.
pub(crate) fn bind_to_loopback(upstream: &Socket) -> io::Result<()> {
    upstream.bind_device(Some(b"lo"))
}

/// Begins to connect. `Ok` when it is under way or done.
pub(crate) fn connect(socket: &Socket, to: SocketAddr) -> io::Result<()> {
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
        other => other,
    }
}

/// Accepts one connection and makes it non-blocking: the socket and the client's address.
pub(crate) fn accept(listener: &Socket) -> io::Result<(Socket, SocketAddr)> {
    let (socket, client) = listener.accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)?;
    socket.set_tcp_nodelay(true)?;
    Ok((socket, normal(&client)?))
}

/// Drops each SYN that comes to a TCP listener from now on: its sender tries again. Handshakes that are under way are completed,
/// so what waits for `accept` is all that there will be, but for those.
///
/// # Errors
/// The kernel does not take the filter (`net.core.optmem_max`).
pub(crate) fn refuse_new(listener: &Socket) -> io::Result<()> {
    // Classic BPF (socket(7), `SO_ATTACH_FILTER`): it sees a segment from its TCP header on.
    let code = |parts: &[u32]| parts.iter().fold(0, |code, part| code | u16::try_from(*part).unwrap_or(0));
    listener.attach_filter(&[
        SockFilter::new(code(&[libc::BPF_LD, libc::BPF_B, libc::BPF_ABS]), 0, 0, TCP_FLAGS),
        SockFilter::new(code(&[libc::BPF_JMP, libc::BPF_JSET, libc::BPF_K]), 0, 1, TCP_SYN),
        SockFilter::new(code(&[libc::BPF_RET, libc::BPF_K]), 0, 0, 0),
        SockFilter::new(code(&[libc::BPF_RET, libc::BPF_K]), 0, 0, u32::MAX),
    ])
}

/// The local address of an accepted connection: where the client wanted to go.
pub(crate) fn original_destination(socket: &Socket) -> io::Result<SocketAddr> {
    normal(&socket.local_addr()?)
}

/// An address without IPv4-mapped forms.
fn normal(address: &SockAddr) -> io::Result<SocketAddr> {
    let mut address = address.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    if let IpAddr::V6(v6) = address.ip()
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        address = SocketAddr::new(v4.into(), address.port());
    }
    Ok(address)
}

/// Sends without raising a signal when the other side is gone.
pub(crate) fn send(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match socket.send_with_flags(bytes, libc::MSG_NOSIGNAL) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Receives; 0 is the end of the stream.
pub(crate) fn receive(mut socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match io::Read::read(&mut socket, into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Closes with a reset: what the kernel has not sent is dropped.
pub(crate) fn reset(socket: Socket) {
    // Where this fails the connection is gone already, and closing is all that is left.
    let _ = socket.set_linger(Some(Duration::ZERO));
    drop(socket);
}

/// Whether the kernel has sent everything that it was given at least once. If not, the socket becomes writable again
/// when it has.
pub(crate) fn all_sent(socket: &Socket) -> bool {
    // With this the kernel calls a socket writable only while nothing of it is unsent.
    let Ok(()) = socket.set_tcp_notsent_lowat(1) else { return true };
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(0) => false,
        Ok(_) | Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, TcpStream},
        time::Duration,
    };

    use super::*;

    #[test]
    fn a_listener_that_refuses_new_connections_still_gives_those_that_wait() {
        let listener = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(8).unwrap();
        let address = original_destination(&listener).unwrap();
        let first = TcpStream::connect(address).unwrap();
        refuse_new(&listener).unwrap();
        let second = TcpStream::connect_timeout(&address, Duration::from_millis(100));
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(accept(&listener).unwrap().1, first.local_addr().unwrap());
        assert_eq!(accept(&listener).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
