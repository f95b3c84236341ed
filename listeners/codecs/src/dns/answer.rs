//! Reads DNS answers: which query an answer belongs to, and which addresses it gives for the name in the question.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    Violation, kind,
    name::{Name, Pointers, Text},
    rcode,
    wire::{DnsHeader, HEADER, IN, Opt, ResourceRecord, WireQuestion},
};
use crate::resolution::{LearnedAddress, LearnedAddresses};

/// Most names that aliases lead to from the one that was asked for.
const LONGEST_CHAIN: usize = 32;
/// What stands for the name of the question wherever a server compresses.
const POINTER_TO_QUESTION: [u8; 2] = [0xc0, HEADER as u8];
/// Parameters of a service binding (RFC 9460 §14.3.2).
const IPV4_HINT: u16 = 4;
const IPV6_HINT: u16 = 6;

/// What tells which query an answer is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerHead<'m> {
    pub(super) header: DnsHeader,
    /// A server that could not read the query may leave it out, with all records.
    pub(super) question: Option<WireQuestion<'m>>,
}

impl<'m> AnswerHead<'m> {
    pub(super) fn read(message: &'m [u8]) -> Result<Self, Violation> {
        let header = DnsHeader::read(message)?;
        if !header.is_answer() {
            return Err(Violation::NotAnAnswer);
        }
        if header.opcode() != 0 {
            return Err(Violation::Opcode);
        }
        let question = match header.questions {
            1 => Some(WireQuestion::read(message)?),
            0 if header.rcode() != rcode::NO_ERROR && header.answers == 0 && header.authorities == 0 => None,
            _ => return Err(Violation::QuestionCount),
        };
        Ok(Self { header, question })
    }
}

/// Reads which addresses an answer gives for the name of its question: A and AAAA records and the hints of service
/// bindings (RFC 9460 §7.3). Clients take them whichever name they are of, and who answers for a name may give it any
/// address, so their owners are not compared (as in cilium pkg/fqdn/dnsproxy, `ExtractResponseMsgDetails`). An answer that is an error gives none.
///
/// # Errors
/// The message is no answer with exactly one question, or cannot be read safely.
pub fn resolution(message: &[u8]) -> Result<Option<LearnedAddresses>, Violation> {
    Ok(install(message, &AnswerHead::read(message)?)?.1)
}

/// The response code with its extension (RFC 6891 §6.1.3); that of the header where the records cannot be read.
pub(super) fn code(message: &[u8], head: &AnswerHead<'_>) -> u16 {
    Sections::of(message, head).rcode().unwrap_or(head.header.rcode())
}

/// The response code, and the resolution.
pub(super) fn install(message: &[u8], head: &AnswerHead<'_>) -> Result<(u16, Option<LearnedAddresses>), Violation> {
    let sections = Sections::of(message, head);
    let rcode = sections.rcode()?;
    let resolution = match &head.question {
        Some(question) if rcode == rcode::NO_ERROR && question.class == IN => learn(&sections, question)?,
        _ => None,
    };
    Ok((rcode, resolution))
}

fn learn(sections: &Sections<'_>, question: &WireQuestion<'_>) -> Result<Option<LearnedAddresses>, Violation> {
    let message = sections.message;
    let chain = Chain::read(sections, question.name)?;
    let mut addresses = Vec::new();
    sections.each_answer(|record| {
        if matches!(record.kind, kind::A | kind::AAAA | kind::SVCB | kind::HTTPS) {
            let way = chain.ttl(message, record)?.unwrap_or(u32::MAX);
            let ttl = way.min(lifetime(record.ttl));
            give(record, &mut |address: IpAddr| {
                addresses.push(LearnedAddress { address: address.to_canonical(), ttl });
            })?;
        }
        Ok(())
    })?;
    if addresses.is_empty() {
        return Ok(None);
    }
    Ok(Some(LearnedAddresses { name: question.name.text(&mut Text::default()).to_owned(), addresses }))
}

/// Seconds that a TTL stands for: one with the highest bit set is 0 (RFC 2181 §8).
fn lifetime(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

/// The records of an answer.
struct Sections<'m> {
    message: &'m [u8],
    /// Place of the first one.
    at: usize,
    header: DnsHeader,
}

impl<'m> Sections<'m> {
    fn of(message: &'m [u8], head: &AnswerHead<'m>) -> Self {
        let at = head.question.as_ref().map_or(HEADER, WireQuestion::end);
        Self { message, at, header: head.header }
    }

    /// The response code with its extension (RFC 6891 §6.1.3). Reads every record, so that a message that ends inside one
    /// is refused as a whole.
    fn rcode(&self) -> Result<u16, Violation> {
        let mut extended = 0;
        let DnsHeader { answers, authorities, additionals, .. } = self.header;
        let total = u32::from(answers) + u32::from(authorities) + u32::from(additionals);
        self.each(total, |record| {
            if record.kind == kind::OPT {
                extended |= Opt::read(record)?.rcode;
            }
            Ok(())
        })?;
        Ok(extended | self.header.rcode())
    }

    /// Each record of the answer section in class IN.
    fn each_answer(&self, mut look: impl FnMut(&ResourceRecord<'m>) -> Result<(), Violation>) -> Result<(), Violation> {
        self.each(u32::from(self.header.answers), |record| if record.class == IN { look(record) } else { Ok(()) })
    }

    fn each(
        &self,
        count: u32,
        mut look: impl FnMut(&ResourceRecord<'m>) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let mut at = self.at;
        for _ in 0..count {
            let (record, end) = ResourceRecord::read(self.message, at)?;
            look(&record)?;
            at = end;
        }
        Ok(())
    }
}

/// The name that was asked for and those that its aliases lead to, each with the least TTL on the way.
struct Chain(Vec<(Name, u32)>);

impl Chain {
    fn read(sections: &Sections<'_>, asked: Name) -> Result<Self, Violation> {
        let mut chain = Self(vec![(asked, u32::MAX)]);
        // Aliases mostly stand in order; where they do not, each round finds at least one more.
        loop {
            let before = chain.0.len();
            sections.each_answer(|record| {
                if record.kind == kind::CNAME
                    && let Some(ttl) = chain.ttl(sections.message, record)?
                {
                    chain.extend(alias(sections.message, record)?, ttl.min(lifetime(record.ttl)))?;
                }
                Ok(())
            })?;
            if chain.0.len() == before {
                return Ok(chain);
            }
        }
    }

    /// A name that leads nowhere new, such as in a loop, adds nothing.
    fn extend(&mut self, name: Name, ttl: u32) -> Result<(), Violation> {
        if self.0.iter().any(|(known, _)| *known == name) {
            return Ok(());
        }
        if self.0.len() > LONGEST_CHAIN {
            return Err(Violation::LongChain);
        }
        self.0.push((name, ttl));
        Ok(())
    }

    /// The TTL of the way to the owner of a record, if it is one of these.
    fn ttl(&self, message: &[u8], record: &ResourceRecord<'_>) -> Result<Option<u32>, Violation> {
        if message[record.owner..].starts_with(&POINTER_TO_QUESTION) {
            return Ok(self.0.first().map(|(_, ttl)| *ttl));
        }
        let (owner, _) = Name::read(message, record.owner, Pointers::Follow)?;
        Ok(self.0.iter().find(|(name, _)| *name == owner).map(|(_, ttl)| *ttl))
    }
}

fn alias(message: &[u8], record: &ResourceRecord<'_>) -> Result<Name, Violation> {
    let (name, end) = Name::read(message, record.data_at, Pointers::Follow)?;
    if end == record.data_at + record.data.len() { Ok(name) } else { Err(Violation::Alias) }
}

/// Gives the addresses of a record.
fn give(record: &ResourceRecord<'_>, to: &mut impl FnMut(IpAddr)) -> Result<(), Violation> {
    match record.kind {
        kind::A => to(Ipv4Addr::from(<[u8; 4]>::try_from(record.data).map_err(|_| Violation::Address)?).into()),
        kind::AAAA => to(Ipv6Addr::from(<[u8; 16]>::try_from(record.data).map_err(|_| Violation::Address)?).into()),
        _ => give_hints(record.data, to)?,
    }
    Ok(())
}

/// Gives the hints of a service binding: priority, target, parameters in order (RFC 9460 §2.2).
fn give_hints(data: &[u8], to: &mut impl FnMut(IpAddr)) -> Result<(), Violation> {
    let priority = data.get(..2).ok_or(Violation::Service)?;
    let (_, end) = Name::read(data, 2, Pointers::Refuse).map_err(|_| Violation::Service)?;
    // One that is an alias has no parameters that count (RFC 9460 §2.4.2).
    let is_alias = priority == [0, 0];
    let mut rest = &data[end..];
    let mut last = None;
    while !rest.is_empty() {
        let ([key_high, key_low, high, low], behind) = rest.split_first_chunk::<4>().ok_or(Violation::Service)?;
        let key = u16::from_be_bytes([*key_high, *key_low]);
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, behind) = behind.split_at_checked(length).ok_or(Violation::Service)?;
        if last.is_some_and(|last| last >= key) {
            return Err(Violation::Service);
        }
        match key {
            _ if is_alias => {}
            IPV4_HINT => addresses::<4>(value)?.iter().for_each(|bytes| to(Ipv4Addr::from(*bytes).into())),
            IPV6_HINT => addresses::<16>(value)?.iter().for_each(|bytes| to(Ipv6Addr::from(*bytes).into())),
            _ => {}
        }
        last = Some(key);
        rest = behind;
    }
    Ok(())
}

/// The addresses of a hint: at least one, and nothing behind.
fn addresses<const LENGTH: usize>(value: &[u8]) -> Result<&[[u8; LENGTH]], Violation> {
    match value.as_chunks::<LENGTH>() {
        ([], _) => Err(Violation::Service),
        (addresses, []) => Ok(addresses),
        _ => Err(Violation::Service),
    }
}
