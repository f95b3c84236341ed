//! Determines who opened a TCP connection.
//!
//! No field of a socket states it. Its counters show it: the acknowledged bytes of a socket include its SYN if it sent
//! one, and only data if it answered one. The kernel maintains both counters since Linux 4.19 (net/ipv4/tcp_input.c,
//! `tcp_snd_una_update`; tcp_output.c, `tcp_transmit_skb`), and a process cannot change them.

use super::diag::{CLOSE_WAIT, ESTABLISHED, FIN_WAIT2, word};

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionOrigin {
    /// This side: egress.
    Here,
    /// The other side: ingress.
    There,
}

/// What is read of `struct tcp_info` (linux/tcp.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Info {
    /// `tcpi_unacked`: segments on their way.
    unacked: u32,
    /// `tcpi_bytes_acked`, with SYN and FIN.
    acked: u64,
    /// `tcpi_notsent_bytes`: data that waits.
    unsent: u32,
    /// `tcpi_bytes_sent`: data, again when it is sent again.
    sent: u64,
    /// `tcpi_bytes_retrans`.
    again: u64,
}

impl Info {
    /// `None` where the kernel gives less.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let long = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let (unacked, unsent) = (word(bytes, 24)?, word(bytes, 144)?);
        Some(Self { unacked, acked: long(120)?, unsent, sent: long(200)?, again: long(208)? })
    }
}

/// Who opened a connection in this state of which so many bytes wait to be acknowledged or sent; `None` where the numbers
/// are of different moments, or a FIN is on its way.
pub(super) fn origin(state: u8, waiting: u32, info: &Info) -> Option<ConnectionOrigin> {
    let fin = match state {
        ESTABLISHED | CLOSE_WAIT => 0,
        FIN_WAIT2 => 1,
        _ => return None,
    };
    // Where nothing is on its way, all numbers are of one moment.
    let flying = if info.unacked == 0 { 0 } else { u64::from(waiting).checked_sub(info.unsent.into())? };
    let data = info.sent.checked_sub(info.again)?.checked_sub(flying)?;
    match info.acked.checked_sub(data)?.checked_sub(fin)? {
        0 => Some(ConnectionOrigin::There),
        1 => Some(ConnectionOrigin::Here),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syn_that_was_acknowledged_tells_who_opened() {
        let info = |acked, sent, again, unacked, unsent| Info { unacked, acked, unsent, sent, again };
        for (state, waiting, info, found) in [
            (ESTABLISHED, 0, info(1, 0, 0, 0, 0), Some(ConnectionOrigin::Here)),
            (ESTABLISHED, 0, info(0, 0, 0, 0, 0), Some(ConnectionOrigin::There)),
            (CLOSE_WAIT, 0, info(101, 100, 0, 0, 0), Some(ConnectionOrigin::Here)),
            (ESTABLISHED, 0, info(100, 130, 30, 0, 0), Some(ConnectionOrigin::There)),
            // 50 on their way, 20 wait.
            (ESTABLISHED, 70, info(51, 100, 0, 1, 20), Some(ConnectionOrigin::Here)),
            (ESTABLISHED, 70, info(50, 100, 0, 1, 20), Some(ConnectionOrigin::There)),
            // Some were acknowledged between two looks.
            (ESTABLISHED, 70, info(60, 100, 0, 1, 20), None),
            (ESTABLISHED, 70, info(30, 100, 0, 1, 20), None),
            (FIN_WAIT2, 0, info(102, 100, 0, 0, 0), Some(ConnectionOrigin::Here)),
            (FIN_WAIT2, 0, info(101, 100, 0, 0, 0), Some(ConnectionOrigin::There)),
            (4, 1, info(101, 100, 0, 1, 0), None),
        ] {
            assert_eq!(origin(state, waiting, &info), found, "{state} {waiting} {info:?}");
        }
        assert_eq!(Info::read(&[0; 215]), None, "an older kernel");
        assert_eq!(Info::read(&[0; 216]), Some(Info::default()));
    }
}
