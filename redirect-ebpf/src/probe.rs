//! The self-check: tries the hooks from within a namespace, on a port that nobody uses.
//!
//! Every attached endpoint has two entries of its own for port 0. All datagrams to it are refused; connections to it
//! are steered if they go to one unused address, and refused otherwise. Neither check leaves the namespace, whatever
//! is broken: connecting a UDP socket sends nothing, and the TCP socket is bound to the loopback device.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, connect, getsockopt, recvmsg, setsockopt,
        socket,
        sockopt::{BindToDevice, SocketError},
    },
};

use crate::{namespace, routes};

/// The address of tries over IPv4 (RFC 5737): nobody has it.
pub const PROBE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 66);
/// The address of tries over IPv6 (RFC 4193).
pub const PROBE_V6: Ipv6Addr = Ipv6Addr::new(0xfd50, 0x4354, 0, 0, 0, 0, 0, 2);

/// How long a step of a try may take. On a machine that is overloaded it takes longer than one that finds nobody.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tries both hooks of an endpoint in one family: a connect that has to be refused, and one that has to come to a listener
/// of ours, which says `answer`; and asks whether the routing rules deliver what is steered. Takes a fraction of a millisecond where all is well, seconds where it is not.
///
/// # Errors
/// What was other than it has to be.
pub fn try_hooks(netns: BorrowedFd<'_>, v6: bool, answer: &[u8]) -> Result<(), String> {
    let address: IpAddr = if v6 { PROBE_V6.into() } else { PROBE_V4.into() };
    let to = SocketAddr::new(address, 0);
    let all = || {
        refused(to).map_err(|what| format!("a connect that has to be refused {what}"))?;
        steered(to, answer).map_err(|what| format!("a connect that has to be steered {what}"))?;
        match routes::are_delivered(address) {
            Ok(true) => Ok(()),
            Ok(false) => Err("what is steered would leave: another routing rule comes before ours".to_owned()),
            Err(error) => Err(format!("what is steered has no route: {error}")),
        }
    };
    namespace::inside(netns, || all().map_err(io::Error::other)).map_err(|error| error.to_string())
}

fn open(to: SocketAddr, kind: SockType, flags: SockFlag) -> Result<OwnedFd, String> {
    let family = if to.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    socket(family, kind, flags | SockFlag::SOCK_CLOEXEC, None).map_err(|error| format!("could not be tried: {error}"))
}

fn refused(to: SocketAddr) -> Result<(), String> {
    let socket = open(to, SockType::Datagram, SockFlag::empty())?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
        Err(Errno::ECONNREFUSED) => Ok(()),
        Err(error) => Err(format!("ended with {error}")),
        Ok(()) => Err("was let through".into()),
    }
}

fn steered(to: SocketAddr, answer: &[u8]) -> Result<(), String> {
    let socket = open(to, SockType::Stream, SockFlag::SOCK_NONBLOCK)?;
    let loopback: IpAddr = if to.is_ipv6() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    let from = SockaddrStorage::from(SocketAddr::new(loopback, 0));
    // From one of its own addresses the answer would come by the device that has it.
    setsockopt(&socket, BindToDevice, &"lo".into())
        .and_then(|()| bind(socket.as_raw_fd(), &from))
        .map_err(|error| format!("could not be tried: {error}"))?;
    let ended = |error: Errno| format!("ended with {error}");
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => {}
        Err(error) => return Err(ended(error)),
    }
    wait(&socket, PollFlags::POLLOUT)?;
    match getsockopt(&socket, SocketError) {
        Ok(0) => {}
        Ok(error) => return Err(ended(Errno::from_raw(error))),
        Err(error) => return Err(ended(error)),
    }
    wait(&socket, PollFlags::POLLIN)?;
    let mut said = [0; 64];
    let mut buffers = [IoSliceMut::new(&mut said)];
    let read = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, None, MsgFlags::empty()).map(|got| got.bytes);
    match read {
        Ok(length) if said[..length] == *answer => Ok(()),
        Ok(_) => Err("came to a listener of somebody else".into()),
        Err(error) => Err(ended(error)),
    }
}

fn wait(socket: &OwnedFd, events: PollFlags) -> Result<(), String> {
    let mut polled = [PollFd::new(socket.as_fd(), events)];
    let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::ZERO);
    match poll(&mut polled, patience) {
        Ok(0) => Err(format!("came to nobody for {PATIENCE:?}")),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("could not be waited for: {error}")),
    }
}

/// Whether a refused flow is a try of ours.
pub(crate) fn is_try(port: u16, peer: IpAddr) -> bool {
    port == 0 && (peer == IpAddr::V4(PROBE_V4) || peer == IpAddr::V6(PROBE_V6))
}
