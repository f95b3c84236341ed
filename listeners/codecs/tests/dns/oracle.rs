//! What hickory-proto reads from the same bytes. Tests and fuzz targets share it.

#![allow(dead_code, reason = "each target of fuzzing uses its part of it")]

use std::net::IpAddr;

use hickory_proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType, rdata::svcb::SVCB, rdata::svcb::SvcParamValue},
};
use portcullis_codecs::dns::{resolution, with_query};

/// What their reader shows of a name, in our normal form.
fn text(name: &Name) -> String {
    let mut text = String::new();
    for label in name.iter() {
        for byte in label.iter().map(u8::to_ascii_lowercase) {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(char::from(byte)),
                _ => text.push_str(&format!("\\{byte:03}")),
            }
        }
        text.push('.');
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

/// Whether we take a query. Then they read the same name and type.
pub(crate) fn query(message: &[u8]) -> bool {
    let Ok((name, kind)) = with_query(message, |query| (query.name().to_owned(), query.kind())) else { return false };
    let theirs = match Message::from_vec(message) {
        Ok(theirs) => theirs,
        Err(error) => {
            assert!(has_data_of_the_server(message), "they do not read what we take: {error}: {message:02x?}");
            Message::from_vec(&until_question(message)).expect("the header and the question that we read")
        }
    };
    assert_eq!((theirs.metadata.message_type, theirs.metadata.op_code), (MessageType::Query, OpCode::Query));
    assert_eq!((theirs.answers.len(), theirs.authorities.len()), (0, 0));
    let [asked] = &*theirs.queries else { panic!("not one question: {message:02x?}") };
    assert_eq!((text(&asked.name), asked.query_class), (name, DNSClass::IN));
    assert_eq!(u16::from(asked.query_type), kind);
    true
}

/// Whether the type of a signature (TSIG, SIG) or the number of the option for client subnets may stand somewhere: they
/// read the data of these, which is the server's affair.
fn has_data_of_the_server(message: &[u8]) -> bool {
    message.windows(2).any(|pair| matches!(pair, [0, 250 | 24 | 8]))
}

/// The message without its additional section.
fn until_question(message: &[u8]) -> Vec<u8> {
    let mut end = 12;
    while message[end] > 0 {
        end += 1 + usize::from(message[end]);
    }
    let mut cut = message[..end + 5].to_vec();
    cut[10..12].fill(0);
    cut
}

/// Whether both of us read an answer. Then they find the addresses that we learn, and no others.
pub(crate) fn answer(message: &[u8]) -> bool {
    let (Ok(ours), Ok(theirs)) = (resolution(message), Message::from_vec(message)) else { return false };
    let mut addresses: Vec<(IpAddr, u32)> = Vec::new();
    if let Some(resolution) = &ours {
        assert_eq!(text(&theirs.queries[0].name), resolution.name);
        addresses.extend(resolution.addresses.iter().map(|learnt| (learnt.address, learnt.ttl)));
    }
    addresses.sort_unstable();
    assert_eq!(addresses, theirs_of(&theirs), "{message:02x?}");
    true
}

/// The addresses of the answers, sorted. The TTL of one on the chain from the question is also that of the aliases before it.
fn theirs_of(message: &Message) -> Vec<(IpAddr, u32)> {
    let asked = message.queries.first().filter(|asked| asked.query_class == DNSClass::IN);
    let (Some(asked), ResponseCode::NoError) = (asked, message.metadata.response_code) else { return Vec::new() };
    let life = |record: &Record| if record.ttl > i32::MAX as u32 { 0 } else { record.ttl };
    let records = || message.answers.iter().filter(|record| record.dns_class == DNSClass::IN);
    let mut chain = vec![(text(&asked.name), u32::MAX)];
    for _ in 0..=message.answers.len() {
        for record in records() {
            let RData::CNAME(target) = &record.data else { continue };
            let Some(ttl) = on(&chain, record) else { continue };
            if !chain.iter().any(|(name, _)| *name == text(&target.0)) {
                chain.push((text(&target.0), ttl.min(life(record))));
            }
        }
    }
    let mut addresses = Vec::new();
    for record in records() {
        let ttl = on(&chain, record).unwrap_or(u32::MAX);
        addresses.extend(of(record).into_iter().map(|address| (address.to_canonical(), ttl.min(life(record)))));
    }
    addresses.sort_unstable();
    addresses
}

fn on(chain: &[(String, u32)], record: &Record) -> Option<u32> {
    chain.iter().find(|(name, _)| *name == text(&record.name)).map(|(_, ttl)| *ttl)
}

fn of(record: &Record) -> Vec<IpAddr> {
    match (&record.data, record.record_type()) {
        (RData::A(address), _) => vec![address.0.into()],
        (RData::AAAA(address), _) => vec![address.0.into()],
        (RData::HTTPS(service), _) => hints(&service.0),
        (RData::SVCB(service), RecordType::SVCB) => hints(service),
        _ => Vec::new(),
    }
}

fn hints(service: &SVCB) -> Vec<IpAddr> {
    let hints = |value: &SvcParamValue| -> Vec<IpAddr> {
        match value {
            SvcParamValue::Ipv4Hint(hint) => hint.0.iter().map(|address| address.0.into()).collect(),
            SvcParamValue::Ipv6Hint(hint) => hint.0.iter().map(|address| address.0.into()).collect(),
            _ => Vec::new(),
        }
    };
    // One of priority 0 is an alias.
    let parameters = service.svc_params.iter().filter(|_| service.svc_priority > 0);
    parameters.flat_map(|(_, value)| hints(value)).collect()
}
