//! sock_diag(7): lists the sockets of a network namespace, and ends one of them, as `ss -K` does.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use portcullis_redirect_common::TCP;

use super::origin::{ConnectionOrigin, Info, origin};

/// Message types (linux/sock_diag.h, linux/netlink.h).
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
/// Attributes of a request, and of a socket (linux/inet_diag.h, linux/sock_diag.h).
const INET_DIAG_REQ_SK_BPF_STORAGES: u16 = 2;
const SK_DIAG_BPF_STORAGE_REQ_MAP_FD: u16 = 1;
const SK_DIAG_BPF_STORAGE: u16 = 1;
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_MARK: u16 = 15;
const INET_DIAG_SK_BPF_STORAGES: u16 = 20;
const INET_DIAG_CGROUP_ID: u16 = 21;
/// An attribute holds attributes, as a flag of its type; and all such flags.
const NLA_F_NESTED: u16 = 0x8000;
const NLA_FLAGS: u16 = 0xc000;
/// Lengths in bytes: a netlink header, `inet_diag_sockid`, `inet_diag_msg`.
const HEADER: usize = 16;
const ID: usize = 48;
const MESSAGE: usize = 72;
/// Where `inet_diag_msg` has the identity, what is not acknowledged yet, and the inode.
const ID_AT: usize = 4;
const WAITING_AT: usize = 60;
const INODE_AT: usize = 68;

/// States of sockets (net/tcp_states.h); a connected UDP socket is established.
pub(super) const ESTABLISHED: u8 = 1;
pub(super) const SYN_SENT: u8 = 2;
pub(super) const SYN_RECV: u8 = 3;
pub(super) const FIN_WAIT2: u8 = 5;
pub(super) const CLOSE_WAIT: u8 = 8;
pub(super) const LISTEN: u8 = 10;
/// A connection that is half open, which the kernel keeps apart.
pub(super) const NEW_SYN_RECV: u8 = 12;
/// All states but TIME_WAIT and CLOSE: what has a peer, and what listens.
const WITH_PEER: u32 = 0xf3e | 1 << NEW_SYN_RECV;

/// A socket as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DiagSocket {
    family: u8,
    pub(super) protocol: u8,
    pub(super) state: u8,
    /// `inet_diag_sockid`, with a cookie that no other socket has.
    id: [u8; ID],
    /// Its own address; never IPv4-mapped.
    pub(super) local: SocketAddr,
    /// The other side; never IPv4-mapped.
    pub(super) peer: SocketAddr,
    pub(super) mark: u32,
    pub(super) cgroup: u64,
    /// 0 while nobody has accepted it, and when nobody has it any more.
    pub(super) inode: u32,
    /// Whether it is one of ours, or accepted by one.
    pub(super) ours: bool,
    /// Who opened the connection, where the kernel's counters tell.
    pub(super) origin: Option<ConnectionOrigin>,
}

/// A socket of sock_diag, in the namespace of the thread that made it.
pub(super) struct Diag {
    netlink: OwnedFd,
    /// The attribute that asks for what is noted of sockets of ours.
    storages: Vec<u8>,
}

impl Diag {
    /// `own_sockets` is the map of sockets of ours.
    pub(super) fn open(own_sockets: BorrowedFd<'_>) -> io::Result<Self> {
        let netlink =
            socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
        let map = attribute(SK_DIAG_BPF_STORAGE_REQ_MAP_FD, &own_sockets.as_raw_fd().to_ne_bytes());
        Ok(Self { netlink, storages: attribute(INET_DIAG_REQ_SK_BPF_STORAGES | NLA_F_NESTED, &map) })
    }

    /// The sockets of a protocol that have a peer or listen, of both families.
    ///
    /// # Errors
    /// The kernel cannot list them: of kind `NotFound` where it has no such part (`udp_diag`, `tcp_diag`).
    pub(super) fn list(&self, protocol: u8) -> io::Result<Vec<DiagSocket>> {
        let mut all = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let family = u8::try_from(family).map_err(io::Error::other)?;
            let mut message = request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family, protocol, &[0; ID]);
            append(&mut message, &self.storages);
            send(self.netlink.as_raw_fd(), &message, MsgFlags::empty())?;
            self.read(&mut |message| all.extend(shown(protocol, message)))?;
        }
        Ok(all)
    }

    /// Looks at one socket again; `None` when it is gone.
    pub(super) fn look(&self, socket: &DiagSocket) -> io::Result<Option<DiagSocket>> {
        let message = request(SOCK_DIAG_BY_FAMILY, NLM_F_ACK, socket.family, socket.protocol, &socket.id);
        send(self.netlink.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut found = None;
        let read = self.read(&mut |message| found = shown(socket.protocol, message));
        Ok(gone(read)?.and(found))
    }

    /// Ends a socket: its owner is told `ECONNABORTED`, the other side of a TCP connection gets a reset. False: it was gone.
    ///
    /// # Errors
    /// The kernel cannot do it (CONFIG_INET_DIAG_DESTROY).
    pub(super) fn destroy(&self, socket: &DiagSocket) -> io::Result<bool> {
        let message = request(SOCK_DESTROY, NLM_F_ACK, socket.family, socket.protocol, &socket.id);
        send(self.netlink.as_raw_fd(), &message, MsgFlags::empty())?;
        Ok(gone(self.read(&mut |_| {}))?.is_some())
    }

    /// Reads until the kernel says that it is done, or what went wrong. The end of a list tells that, too.
    fn read(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = recv(self.netlink.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            let mut rest = &buffer[..length];
            while let Some((kind, body, after)) = split(rest) {
                match kind {
                    NLMSG_DONE | NLMSG_ERROR => return outcome(body),
                    _ => take(body),
                }
                rest = after;
            }
        }
    }
}

/// A socket that went by itself is no error.
fn gone(result: io::Result<()>) -> io::Result<Option<()>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// What `NLMSG_ERROR` and `NLMSG_DONE` say: 0, or a negative errno.
fn outcome(body: &[u8]) -> io::Result<()> {
    match word(body, 0).map(u32::cast_signed) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// `inet_diag_req_v2` with its netlink header.
fn request(kind: u16, flags: u16, family: u8, protocol: u8, id: &[u8; ID]) -> Vec<u8> {
    let mut message = vec![0; 4];
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    let info = if protocol == TCP { 1 << (INET_DIAG_INFO - 1) } else { 0 };
    message.extend_from_slice(&[family, protocol, info, 0]);
    message.extend_from_slice(&WITH_PEER.to_ne_bytes());
    append(&mut message, id);
    message
}

/// Adds something to a message and sets its length.
fn append(message: &mut Vec<u8>, more: &[u8]) {
    message.extend_from_slice(more);
    let length = u32::try_from(message.len()).unwrap_or_default();
    message[..4].copy_from_slice(&length.to_ne_bytes());
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or_default();
    let mut attribute = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    attribute.extend_from_slice(value);
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute
}

/// The first message of several: its type, what it holds, and what follows.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(word(bytes, 0)?).ok()?;
    let body = bytes.get(HEADER..length)?;
    let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn shown(protocol: u8, message: &[u8]) -> Option<DiagSocket> {
    let (family, state) = (*message.first()?, *message.get(1)?);
    let id: [u8; ID] = message.get(ID_AT..ID_AT + ID)?.try_into().ok()?;
    let (waiting, inode) = (word(message, WAITING_AT)?, word(message, INODE_AT)?);
    let address = |at: usize, port: usize| {
        let (ip, port) = (id[at..at + 16].try_into().unwrap_or_default(), u16::from_be_bytes([id[port], id[port + 1]]));
        SocketAddr::new(ip_address(family, ip), port)
    };
    let (local, peer) = (address(4, 0), address(20, 2));
    let mut shown =
        DiagSocket { family, protocol, state, id, local, peer, mark: 0, cgroup: 0, inode, ours: false, origin: None };
    let mut rest = message.get(MESSAGE..)?;
    while let Some((kind, value, after)) = next_attribute(rest) {
        match kind & !NLA_FLAGS {
            INET_DIAG_MARK => shown.mark = word(value, 0)?,
            INET_DIAG_CGROUP_ID => shown.cgroup = u64::from_ne_bytes(value.get(..8)?.try_into().ok()?),
            INET_DIAG_INFO => shown.origin = Info::read(value).and_then(|info| origin(state, waiting, &info)),
            INET_DIAG_SK_BPF_STORAGES => {
                shown.ours = next_attribute(value).is_some_and(|(kind, ..)| kind & !NLA_FLAGS == SK_DIAG_BPF_STORAGE);
            }
            _ => {}
        }
        rest = after;
    }
    Some(shown)
}

/// The first attribute of several: its type, what it holds, and what follows.
fn next_attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let header = bytes.get(..4)?;
    let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
    let value = bytes.get(4..length)?;
    let kind = u16::from_ne_bytes([header[2], header[3]]);
    Some((kind, value, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn ip_address(family: u8, bytes: [u8; 16]) -> IpAddr {
    if i32::from(family) == libc::AF_INET {
        return Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into();
    }
    IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use portcullis_redirect_common::UDP;

    use super::*;

    /// A message about a connected UDP socket.
    fn message(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
        let mut message = vec![0; MESSAGE];
        message[..2].copy_from_slice(&[if peer.is_ipv4() { 2 } else { 10 }, ESTABLISHED]);
        for (port, at, address) in [(0, 4, local), (2, 20, peer)] {
            message[ID_AT + port..ID_AT + port + 2].copy_from_slice(&address.port().to_be_bytes());
            match address.ip() {
                IpAddr::V4(v4) => message[ID_AT + at..ID_AT + at + 4].copy_from_slice(&v4.octets()),
                IpAddr::V6(v6) => message[ID_AT + at..ID_AT + at + 16].copy_from_slice(&v6.octets()),
            }
        }
        message[INODE_AT..].copy_from_slice(&77_u32.to_ne_bytes());
        message
    }

    #[test]
    fn a_socket_is_read_as_the_kernel_shows_it() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (local, peer, shown_peer) in [
            ("10.0.0.1:40000", "10.0.0.2:53", "10.0.0.2:53"),
            ("[fd00::1]:40000", "[fd00::2]:53", "[fd00::2]:53"),
            ("[::ffff:10.0.0.1]:40000", "[::ffff:10.0.0.2]:53", "10.0.0.2:53"),
        ] {
            let mut bytes = message(address(local), address(peer));
            // One that is of no interest, with padding; then those that are.
            bytes.extend(attribute(8, &[1]));
            bytes.extend(attribute(INET_DIAG_MARK, &5_u32.to_ne_bytes()));
            bytes.extend(attribute(INET_DIAG_CGROUP_ID, &7_u64.to_ne_bytes()));
            let other = shown(UDP, &bytes).unwrap();
            assert_eq!(other.peer, address(shown_peer));
            assert_eq!((other.local.port(), other.state, other.mark, other.cgroup), (40000, ESTABLISHED, 5, 7));
            assert_eq!((other.inode, other.ours, other.origin), (77, false, None));
            bytes.extend(attribute(
                INET_DIAG_SK_BPF_STORAGES | NLA_F_NESTED,
                &attribute(SK_DIAG_BPF_STORAGE | NLA_F_NESTED, &attribute(2, &[0; 4])),
            ));
            assert!(shown(UDP, &bytes).unwrap().ours);
        }
    }

    #[test]
    fn messages_that_are_cut_short_are_not_read() {
        assert!(split(&[]).is_none() && split(&[20, 0, 0, 0, 3, 0]).is_none());
        assert!(shown(UDP, &[2; MESSAGE - 1]).is_none());
        let mut bare = vec![0; MESSAGE];
        bare.extend([200, 0, 15, 0, 1]);
        assert_eq!(shown(UDP, &bare).map(|shown| shown.mark), Some(0));
    }

    #[test]
    fn the_end_of_a_list_tells_what_went_wrong() {
        assert!(outcome(&0_i32.to_ne_bytes()).is_ok());
        let missing = outcome(&(-libc::ENOENT).to_ne_bytes()).unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(libc::ENOENT), "a kernel without udp_diag");
        assert!(outcome(&[]).is_err());
    }
}
