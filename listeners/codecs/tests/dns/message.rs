//! Builds DNS messages byte by byte.

use std::net::IpAddr;

pub(crate) const A: u16 = 1;
pub(crate) const CNAME: u16 = 5;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;
pub(crate) const OPT: u16 = 41;
pub(crate) const HTTPS: u16 = 65;
pub(crate) const TSIG: u16 = 250;

/// A name as on the wire; a dot ends each label.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split_terminator('.') {
        wire.push(u8::try_from(label.len()).expect("a short label"));
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// A record with any owner.
pub(crate) fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("a length of 16 bits");
    [owner, &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length.to_be_bytes(), data].concat()
}

/// An OPT for 1232 bytes with these flags and options.
pub(crate) fn opt(flags: u16, options: &[u8]) -> Vec<u8> {
    let length = u16::try_from(options.len()).expect("a length of 16 bits");
    [&[0, 0, 41, 4, 208, 0, 0][..], &flags.to_be_bytes(), &length.to_be_bytes(), options].concat()
}

pub(crate) fn option(code: u16, value: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], &u16::try_from(value.len()).expect("a length of 16 bits").to_be_bytes(), value].concat()
}

/// A message in the making.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    /// As the header counts them: questions, answers, authorities, additional records.
    pub(crate) counts: [u16; 4],
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// A query that asks for recursion.
    pub(crate) fn query(id: u16, asked: &str, kind: u16) -> Self {
        let body = [&name(asked)[..], &kind.to_be_bytes(), &[0, 1]].concat();
        Self { id, flags: 0x0100, counts: [1, 0, 0, 0], body }
    }

    /// The answer to that query, without any records.
    pub(crate) fn answer(id: u16, asked: &str, kind: u16) -> Self {
        Self { flags: 0x8180, ..Self::query(id, asked, kind) }
    }

    pub(crate) fn flags(mut self, flags: u16) -> Self {
        self.flags = flags;
        self
    }

    pub(crate) fn counts(mut self, counts: [u16; 4]) -> Self {
        self.counts = counts;
        self
    }

    /// Puts a record behind all others, into a section.
    pub(crate) fn with(mut self, section: usize, record: &[u8]) -> Self {
        self.counts[section] += 1;
        self.body.extend_from_slice(record);
        self
    }

    /// An address of a name, by its own text.
    pub(crate) fn address(self, owner: &str, ttl: u32, address: &str) -> Self {
        let (kind, data) = match address.parse().expect("an address") {
            IpAddr::V4(v4) => (A, v4.octets().to_vec()),
            IpAddr::V6(v6) => (AAAA, v6.octets().to_vec()),
        };
        self.with(1, &record(&name(owner), kind, ttl, &data))
    }

    /// An alias of a name.
    pub(crate) fn alias(self, owner: &str, ttl: u32, target: &str) -> Self {
        self.with(1, &record(&name(owner), CNAME, ttl, &name(target)))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.id.to_be_bytes(), self.flags.to_be_bytes()].concat();
        bytes.extend(self.counts.iter().flat_map(|count| count.to_be_bytes()));
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// With its length in front.
    pub(crate) fn frame(&self) -> Vec<u8> {
        frame(&self.bytes())
    }
}

pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).expect("a length of 16 bits").to_be_bytes()[..], message].concat()
}
