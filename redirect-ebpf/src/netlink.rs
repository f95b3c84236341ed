//! Parses rtnetlink(7) messages by hand, because messages of other programs may contain anything.

use std::{io, os::fd::AsRawFd};

use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket},
};
use rtnetlink::{
    packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage},
    packet_route::RouteNetlinkMessage,
};

/// Length of a header.
pub(crate) const HEADER: usize = 16;
/// Bytes that a dump's message has at most (net/netlink/af_netlink.c: `NLMSG_GOODSIZE` and more).
const MOST: usize = 64 * 1024;
/// Message types (linux/netlink.h).
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// What tells a nested attribute, and one in network order.
const FLAGS: u16 = 3 << 14;

/// Asks the kernel for the calling thread's namespace; gives what it answers: types, and what is behind the headers.
///
/// # Errors
/// The kernel's.
pub(crate) fn ask(question: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<(u16, Vec<u8>)>> {
    let flag = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flag, SockProtocol::NetlinkRoute)?;
    let mut message = NetlinkMessage::from(question);
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    sendto(socket.as_raw_fd(), &bytes, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let (mut answers, mut buffer) = (Vec::new(), vec![0; MOST]);
    loop {
        let length = match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Err(Errno::EINTR) => continue,
            other => other?,
        };
        for (kind, body) in messages(&buffer[..length]) {
            match kind {
                ERROR | DONE => {
                    let code = word(body, 0).unwrap_or_default().cast_signed();
                    return if code == 0 {
                        Ok(answers)
                    } else {
                        Err(io::Error::from_raw_os_error(code.saturating_neg()))
                    };
                }
                _ => answers.push((kind, body.to_vec())),
            }
        }
    }
}

/// The messages of a datagram: type, and what is behind the header.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::try_from(word(bytes, 0)?).ok()?;
        let message = bytes.get(..length).filter(|message| message.len() >= HEADER)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([message[4], message[5]]), &message[HEADER..]))
    })
}

/// The attributes of a message, or those within another one: type, value.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header = word(bytes, 0)?.to_ne_bytes();
        let (length, kind) = (u16::from_ne_bytes([header[0], header[1]]), u16::from_ne_bytes([header[2], header[3]]));
        let value = bytes.get(4..usize::from(length))?;
        bytes = bytes.get(usize::from(length).next_multiple_of(4)..).unwrap_or_default();
        Some((kind & !FLAGS, value))
    })
}

/// Four bytes as a number.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_is_not_read() {
        assert_eq!(messages(&[1, 0, 0, 0]).count() + messages(&[]).count(), 0);
        assert_eq!(attributes(&[3, 0, 1, 0]).count() + attributes(&[9, 0, 1, 0, 7]).count(), 0);
        let two: Vec<(u16, &[u8])> = attributes(&[5, 0, 1, 0x80, 7, 0, 0, 0, 4, 0, 2, 0]).collect();
        assert_eq!(two, [(1, &[7][..]), (2, &[][..])]);
    }
}
