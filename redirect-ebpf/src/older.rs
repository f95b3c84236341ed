//! UDP sockets that are older than the programs.
//!
//! What a connected socket sends meets no hook, and one that was born before the programs has no mark that a routing rule
//! could see. The kernel is asked to abort such sockets (sock_diag(7), `SOCK_DESTROY`, as `ss -K` does): who waits
//! for an answer gets `ECONNABORTED`, who sends `EDESTADDRREQ`, and both have to connect again.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::Path,
};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use portcullis_redirect_common::{MARK_OUT, MARK_UDP, UDP};

/// Message types (linux/sock_diag.h, linux/netlink.h).
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
/// Attributes of a socket (linux/inet_diag.h).
const INET_DIAG_MARK: u16 = 15;
const INET_DIAG_CGROUP_ID: u16 = 21;
/// The state of a connected socket, as a bit.
const ESTABLISHED: u32 = 1 << 1;
/// Lengths in bytes: a netlink header, `inet_diag_sockid`, `inet_diag_msg`.
const HEADER: usize = 16;
const ID: usize = 48;
const MESSAGE: usize = 72;
/// Where the identity is in `inet_diag_msg`.
const ID_AT: usize = 4;

/// Which sockets are cut: connected to one of these ports of somebody else, without a mark of ours.
#[derive(Debug)]
pub(crate) struct Older<'a> {
    /// Ranges (first, last).
    pub(crate) ports: &'a [(u16, u16)],
    /// Addresses of the endpoint itself: what it sends there is never judged.
    pub(crate) own: &'a [IpAddr],
    /// Only those of this cgroup and the ones below it.
    pub(crate) cgroup: Option<&'a Path>,
}

/// A connected socket as the kernel shows it.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    family: u8,
    /// `inet_diag_sockid`, with a cookie that no other socket has.
    id: Vec<u8>,
    mark: u32,
    cgroup: u64,
}

impl Shown {
    fn peer(&self) -> (IpAddr, u16) {
        let address: [u8; 16] = self.id[20..36].try_into().unwrap_or_default();
        let port = u16::from_be_bytes([self.id[2], self.id[3]]);
        if i32::from(self.family) == libc::AF_INET {
            return (Ipv4Addr::new(address[0], address[1], address[2], address[3]).into(), port);
        }
        (IpAddr::V6(Ipv6Addr::from(address)).to_canonical(), port)
    }
}

impl Older<'_> {
    /// Cuts them, in the calling thread's namespace; gives their number.
    pub(crate) fn cut(&self) -> io::Result<usize> {
        let cgroups = self.cgroup.map(cgroups);
        let netlink =
            socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
        let mut cut = 0;
        for family in [libc::AF_INET, libc::AF_INET6] {
            let family = u8::try_from(family).map_err(io::Error::other)?;
            for shown in connected(&netlink, family)?.into_iter().filter(|shown| self.is_meant(shown, cgroups.as_ref()))
            {
                send(netlink.as_raw_fd(), &request(SOCK_DESTROY, NLM_F_ACK, family, &shown.id), MsgFlags::empty())?;
                match read(&netlink, &mut |_| {}) {
                    Ok(()) => cut += 1,
                    // It is gone by itself.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(cut)
    }

    fn is_meant(&self, shown: &Shown, cgroups: Option<&BTreeSet<u64>>) -> bool {
        let (peer, port) = shown.peer();
        ![MARK_UDP, MARK_OUT].contains(&shown.mark)
            && self.ports.iter().any(|(first, last)| (*first..=*last).contains(&port))
            && !(peer.is_loopback() || self.own.contains(&peer))
            && cgroups.is_none_or(|cgroups| cgroups.contains(&shown.cgroup))
    }
}

/// The number of a cgroup and of all below it. One that goes meanwhile has no sockets any more.
fn cgroups(path: &Path) -> BTreeSet<u64> {
    let mut numbers: BTreeSet<u64> = fs::metadata(path).map(|found| found.ino()).into_iter().collect();
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    for below in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        numbers.extend(cgroups(&below.path()));
    }
    numbers
}

fn connected(netlink: &OwnedFd, family: u8) -> io::Result<Vec<Shown>> {
    send(netlink.as_raw_fd(), &request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family, &[0; ID]), MsgFlags::empty())?;
    let mut all = Vec::new();
    read(netlink, &mut |message| all.extend(shown(message)))?;
    Ok(all)
}

/// `inet_diag_req_v2` about connected UDP sockets, with its netlink header.
fn request(kind: u16, flags: u16, family: u8, id: &[u8]) -> Vec<u8> {
    let mut body = vec![family, UDP, 0, 0];
    body.extend_from_slice(&ESTABLISHED.to_ne_bytes());
    body.extend_from_slice(id);
    let length = u32::try_from(HEADER + body.len()).unwrap_or_default();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.append(&mut body);
    message
}

/// Reads until the kernel says that it is done, or what went wrong.
fn read(netlink: &OwnedFd, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = recv(netlink.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((kind, body, after)) = split(rest) {
            match kind {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => {
                    return match word(body, 0).map(u32::cast_signed) {
                        Some(0) => Ok(()),
                        Some(error) => Err(io::Error::from_raw_os_error(-error)),
                        None => Err(io::ErrorKind::InvalidData.into()),
                    };
                }
                _ => take(body),
            }
            rest = after;
        }
    }
}

/// The first message of several: its type, what it holds, and what follows.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(word(bytes, 0)?).ok()?;
    let body = bytes.get(HEADER..length)?;
    let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn shown(message: &[u8]) -> Option<Shown> {
    let mut shown =
        Shown { family: *message.first()?, id: message.get(ID_AT..ID_AT + ID)?.to_vec(), mark: 0, cgroup: 0 };
    let mut rest = message.get(MESSAGE..)?;
    while let Some(header) = rest.get(..4) {
        let (length, kind) =
            (usize::from(u16::from_ne_bytes([header[0], header[1]])), u16::from_ne_bytes([header[2], header[3]]));
        let Some(value) = rest.get(4..length) else { break };
        match kind {
            INET_DIAG_MARK => shown.mark = word(value, 0)?,
            INET_DIAG_CGROUP_ID => shown.cgroup = u64::from_ne_bytes(value.get(..8)?.try_into().ok()?),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(shown)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket_to(peer: IpAddr, port: u16, mark: u32, cgroup: u64) -> Shown {
        let mut message = vec![0; MESSAGE];
        message[0] = if peer.is_ipv4() { 2 } else { 10 };
        message[ID_AT + 2..ID_AT + 4].copy_from_slice(&port.to_be_bytes());
        match peer {
            IpAddr::V4(v4) => message[ID_AT + 20..ID_AT + 24].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => message[ID_AT + 20..ID_AT + 36].copy_from_slice(&v6.octets()),
        }
        // One that is of no interest, with padding; then the two that are.
        message.extend([5, 0, 8, 0, 1, 0, 0, 0]);
        message.extend([8, 0, 15, 0].into_iter().chain(mark.to_ne_bytes()));
        message.extend([12, 0, 21, 0].into_iter().chain(cgroup.to_ne_bytes()));
        shown(&message).unwrap()
    }

    #[test]
    fn only_unmarked_sockets_to_steered_ports_of_others_are_cut() {
        let own: [IpAddr; 1] = ["10.0.0.1".parse().unwrap()];
        let older = Older { ports: &[(53, 53), (1053, 1054)], own: &own, cgroup: None };
        let cgroups = BTreeSet::from([7]);
        for (peer, port, mark, cgroup, meant) in [
            ("10.0.0.2", 53, 0, 7, true),
            ("10.0.0.2", 1054, 0x77, 7, true),
            ("fd00::2", 53, 0, 7, true),
            ("::ffff:10.0.0.2", 53, 0, 7, true),
            ("10.0.0.2", 54, 0, 7, false),
            ("10.0.0.2", 53, MARK_UDP, 7, false),
            ("10.0.0.2", 53, MARK_OUT, 7, false),
            ("10.0.0.1", 53, 0, 7, false),
            ("::ffff:10.0.0.1", 53, 0, 7, false),
            ("127.0.0.53", 53, 0, 7, false),
            ("10.0.0.2", 53, 0, 8, false),
        ] {
            let shown = socket_to(peer.parse().unwrap(), port, mark, cgroup);
            assert_eq!(older.is_meant(&shown, Some(&cgroups)), meant, "{peer} {port} {mark:x} {cgroup}");
        }
        assert!(older.is_meant(&socket_to("10.0.0.2".parse().unwrap(), 53, 0, 8), None), "of every cgroup");
    }

    #[test]
    fn messages_that_are_cut_short_are_not_read() {
        assert!(split(&[]).is_none() && split(&[20, 0, 0, 0, 3, 0]).is_none());
        assert!(shown(&[2; MESSAGE - 1]).is_none());
        let mut bare = vec![0; MESSAGE];
        bare.extend([200, 0, 15, 0, 1]);
        assert_eq!(shown(&bare).map(|shown| shown.mark), Some(0));
    }
}
