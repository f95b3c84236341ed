//! Builds the DNS answers that refuse a query.

use super::{
    query::WireQuery,
    rcode::{NX_DOMAIN, REFUSED, SERV_FAIL},
    wire::{COOKIE, DnsHeader, HEADER, Opt, WireQuestion},
};

/// The largest answer that we say we take over UDP (RFC 6891 §6.2.5, as agreed on the "DNS flag day 2020").
const PAYLOAD: u16 = 1232;
/// Number of the option that carries an extended error (RFC 8914 §2).
const EXTENDED_ERROR: u16 = 15;

/// Why a query has no better answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueryRefusal {
    /// Policy denies it.
    Refused,
    /// Policy denies it, and the name is not to be seen.
    Hidden,
    /// There are too many queries, or the answer is of no use.
    Failed,
}

impl QueryRefusal {
    fn rcode(self) -> u16 {
        match self {
            Self::Refused => REFUSED,
            Self::Hidden => NX_DOMAIN,
            Self::Failed => SERV_FAIL,
        }
    }

    /// The extended error (RFC 8914 §4): Prohibited, Blocked.
    fn extended(self) -> Option<u16> {
        match self {
            Self::Refused => Some(18),
            Self::Hidden => Some(15),
            Self::Failed => None,
        }
    }

    /// Answers a query: its id, its question as it came, and an OPT if it has one (RFC 6891 §6.1.1).
    pub(super) fn answer(self, datagram: &[u8], query: &WireQuery<'_>) -> Vec<u8> {
        let mut answer = header(datagram, self.rcode());
        answer[5] = 1;
        answer.extend_from_slice(query.question.raw);
        if let Some(opt) = &query.opt {
            answer[11] = 1;
            self.push_opt(opt, &mut answer);
        }
        answer
    }

    fn push_opt(self, opt: &Opt<'_>, answer: &mut Vec<u8>) {
        // The root, type OPT, then no extension of the response code, version 0, and the flags.
        answer.extend_from_slice(&[0, 0, 41]);
        answer.extend_from_slice(&PAYLOAD.to_be_bytes());
        answer.extend_from_slice(&[0, 0, if opt.wants_dnssec { 0x80 } else { 0 }, 0]);
        let length_at = answer.len();
        answer.extend_from_slice(&[0, 0]);
        if let Some(code) = self.extended() {
            push_option(EXTENDED_ERROR, &code.to_be_bytes(), answer);
        }
        // A client that sent a cookie believes only who knows it (RFC 7873 §5.3).
        if let Some(cookie) = opt.cookie {
            push_option(COOKIE, cookie, answer);
        }
        let length = answer.len() - length_at - 2;
        answer[length_at..length_at + 2].copy_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    }
}

fn push_option(code: u16, value: &[u8], answer: &mut Vec<u8>) {
    answer.extend_from_slice(&code.to_be_bytes());
    answer.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    answer.extend_from_slice(value);
}

/// Answers a message of which not more than its header and maybe its question can be read.
pub(super) fn bare(message: &[u8], rcode: u16) -> Vec<u8> {
    let mut answer = header(message, rcode);
    let one = DnsHeader::read(message).is_ok_and(|header| header.questions == 1);
    if let (true, Ok(question)) = (one, WireQuestion::read(message)) {
        answer[5] = 1;
        answer.extend_from_slice(question.raw);
    }
    answer
}

/// The header of an answer without any section: id, operation, RD and CD of the message that is answered. Whoever is
/// asked to recurse says that it would.
fn header(message: &[u8], rcode: u16) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER + 64);
    let byte = |at: usize| message.get(at).copied().unwrap_or_default();
    let recursion = byte(2) & 0x01;
    header.extend_from_slice(&[byte(0), byte(1), 0x80 | (byte(2) & 0x78) | recursion]);
    header.push(recursion << 7 | (byte(3) & 0x10) | (rcode & 0xf) as u8);
    header.resize(HEADER, 0);
    header
}
