//! The parts that queries and answers share: header, question and records (RFC 1035 §4).

use super::{
    Violation, kind,
    name::{Name, Pointers},
};

/// Bytes of a header.
pub(super) const HEADER: usize = 12;
/// The class of the Internet.
pub(super) const IN: u16 = 1;
/// Bytes of type and class of a question.
const ASKED: usize = 4;
/// Bytes of type, class, TTL and length of a record.
const FIXED: usize = 10;

/// The header of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct DnsHeader {
    pub(super) id: u16,
    flags: u16,
    pub(super) questions: u16,
    pub(super) answers: u16,
    pub(super) authorities: u16,
    pub(super) additionals: u16,
}

impl DnsHeader {
    pub(super) fn read(message: &[u8]) -> Result<Self, Violation> {
        let header = message.get(..HEADER).ok_or(Violation::Short)?;
        let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        Ok(Self {
            id: field(0),
            flags: field(2),
            questions: field(4),
            answers: field(6),
            authorities: field(8),
            additionals: field(10),
        })
    }

    pub(super) fn is_answer(self) -> bool {
        self.flags & 0x8000 != 0
    }

    pub(super) fn opcode(self) -> u16 {
        self.flags >> 11 & 0xf
    }

    pub(super) fn is_truncated(self) -> bool {
        self.flags & 0x0200 != 0
    }

    pub(super) fn has_reserved_bit(self) -> bool {
        self.flags & 0x0040 != 0
    }

    /// The response code without its extension.
    pub(super) fn rcode(self) -> u16 {
        self.flags & 0xf
    }
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub(super) struct WireQuestion<'m> {
    /// As it came: name, type, class.
    pub(super) raw: &'m [u8],
    pub(super) name: Name,
    pub(super) kind: u16,
    pub(super) class: u16,
}

impl<'m> WireQuestion<'m> {
    /// Reads the question that follows the header.
    pub(super) fn read(message: &'m [u8]) -> Result<Self, Violation> {
        let (name, end) = Name::read(message, HEADER, Pointers::Refuse)?;
        let asked: [u8; ASKED] =
            message.get(end..end + ASKED).and_then(|asked| asked.try_into().ok()).ok_or(Violation::CutQuestion)?;
        let [kind_high, kind_low, class_high, class_low] = asked;
        Ok(Self {
            raw: &message[HEADER..end + ASKED],
            name,
            kind: u16::from_be_bytes([kind_high, kind_low]),
            class: u16::from_be_bytes([class_high, class_low]),
        })
    }

    /// The place behind it.
    pub(super) fn end(&self) -> usize {
        HEADER + self.raw.len()
    }
}

/// A record. Its owner is read only where it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResourceRecord<'m> {
    /// Place of its owner's name.
    pub(super) owner: usize,
    pub(super) kind: u16,
    pub(super) class: u16,
    /// Of an OPT: response code, version and flags.
    pub(super) ttl: u32,
    /// Place of its data.
    pub(super) data_at: usize,
    pub(super) data: &'m [u8],
}

impl<'m> ResourceRecord<'m> {
    /// Reads the record at a place. Also gives the place behind it.
    pub(super) fn read(message: &'m [u8], at: usize) -> Result<(Self, usize), Violation> {
        let fixed_at = skip_name(message, at)?;
        let fixed: [u8; FIXED] = message
            .get(fixed_at..fixed_at + FIXED)
            .and_then(|fixed| fixed.try_into().ok())
            .ok_or(Violation::CutRecord)?;
        let [kind_high, kind_low, class_high, class_low, t0, t1, t2, t3, length_high, length_low] = fixed;
        let data_at = fixed_at + FIXED;
        let end = data_at + usize::from(u16::from_be_bytes([length_high, length_low]));
        let record = Self {
            owner: at,
            kind: u16::from_be_bytes([kind_high, kind_low]),
            class: u16::from_be_bytes([class_high, class_low]),
            ttl: u32::from_be_bytes([t0, t1, t2, t3]),
            data_at,
            data: message.get(data_at..end).ok_or(Violation::CutRecord)?,
        };
        Ok((record, end))
    }

    /// Whether its owner is the root, without a pointer.
    pub(super) fn is_of_root(&self, message: &[u8]) -> bool {
        message.get(self.owner) == Some(&0)
    }
}

/// The place behind a name.
fn skip_name(message: &[u8], mut at: usize) -> Result<usize, Violation> {
    loop {
        let length = *message.get(at).ok_or(Violation::CutRecord)?;
        match length {
            0 => return Ok(at + 1),
            1..=63 => at += 1 + usize::from(length),
            0xc0.. => return Ok(at + 2),
            _ => return Err(Violation::LabelType),
        }
    }
}

/// What an OPT says that an answer of ours has to take up (RFC 6891 §6.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Opt<'m> {
    /// The client wants DNSSEC (RFC 3225).
    pub(super) wants_dnssec: bool,
    /// The higher bits of the response code.
    pub(super) rcode: u16,
    /// The cookie (RFC 7873 §4).
    pub(super) cookie: Option<&'m [u8]>,
}

/// Number of the option that carries a cookie.
pub(super) const COOKIE: u16 = 10;

impl<'m> Opt<'m> {
    /// Reads an OPT record.
    pub(super) fn read(record: &ResourceRecord<'m>) -> Result<Self, Violation> {
        debug_assert_eq!(record.kind, kind::OPT);
        let mut cookie = None;
        let mut rest = record.data;
        while !rest.is_empty() {
            let ([code_high, code_low, high, low], behind) = rest.split_first_chunk::<4>().ok_or(Violation::Options)?;
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let (value, behind) = behind.split_at_checked(length).ok_or(Violation::Options)?;
            if u16::from_be_bytes([*code_high, *code_low]) == COOKIE {
                cookie = Some(value);
            }
            rest = behind;
        }
        let [rcode, _, flags, _] = record.ttl.to_be_bytes();
        Ok(Self { wants_dnssec: flags & 0x80 != 0, rcode: u16::from(rcode) << 4, cookie })
    }
}
