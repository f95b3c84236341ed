//! The client's header table, where answers are relayed, dropped because they are malformed, and given by us, in any
//! order: what the client reads is what was said.

use std::collections::VecDeque;

use portcullis_codecs::{
    http,
    http::Limits,
    http2::hpack::{Decoder, Encoder, Field, FieldList, Limits as BlockLimits, Representation},
    relay::{Decision, Side},
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    frames::*,
    playbook::pair::{Pair, deny_with},
};

type Fields = &'static [(&'static str, &'static str)];

#[derive(Clone, Copy, Debug)]
enum Deed {
    /// The server answers a request.
    Answers(Fields),
    /// A request is denied.
    Denied,
    /// The client says how large its table is, and the server acknowledges it.
    Resizes(u16),
}

const ANSWERS: [Fields; 5] = [
    &[(":status", "200"), ("x-a", "1")],
    &[(":status", "200"), ("Upper", "x"), ("x-b", "2")],
    &[(":status", "200"), ("x-a", "1"), ("x-b", "2"), ("x-key", "secret")],
    &[(":status", "404"), ("x-b", "2"), ("x-a", "1"), ("server", "s")],
    &[(":status", "200"), ("connection", "close"), ("x-a", "1")],
];
const REFUSAL: Fields = &[(":status", "403"), ("content-length", "0")];

fn is_malformed(fields: Fields) -> bool {
    fields.iter().any(|(name, _)| ["Upper", "connection"].contains(name))
}

/// Every field enters the table, but for those that no hop may put into one.
fn field((name, value): &(&'static str, &'static str)) -> Field<'static> {
    let representation = if *name == "x-key" { Representation::NeverIndexed } else { Representation::Incremental };
    Field { name: name.as_bytes(), value: value.as_bytes(), representation }
}

/// What the client reads, by the stream.
fn read(mut bytes: &[u8], mut sizes: VecDeque<u16>) -> Vec<(u8, Vec<(String, String)>)> {
    let (mut client, mut list) = (Decoder::new(), FieldList::default());
    let limits = BlockLimits { list_size: 4096, fields: 100, work: 4096 };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut seen = Vec::new();
    while let [_, high, low, kind, _, _, _, _, stream, behind @ ..] = bytes {
        let (payload, next) = behind.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        match kind {
            0x4 => client.allow_table_size(sizes.pop_front().expect("an acknowledgement").into()),
            0x1 => {
                client.decode(payload, &limits, &mut list).expect("the client can read it");
                assert!(list.iter().all(|field| field.never_indexed() == (field.name == b"x-key")), "{list:?}");
                let fields = list.iter().map(|field| (text(field.name), text(field.value)));
                seen.push((*stream, fields.collect()));
            }
            _ => {}
        }
        bytes = next;
    }
    seen
}

fn check(deeds: &[Deed]) {
    let mut pair = Pair::new(http::relay(&Limits::default()), deny_with(Decision::Respond));
    pair.send(Side::Downstream, &client_begins());
    pair.send(Side::Upstream, &[settings(&[]), settings_ack()].concat());
    pair.to_client.clear();
    let (mut server, mut sizes, mut said) = (Encoder::new(4096), VecDeque::new(), Vec::new());
    for (stream, deed) in (1_u8..).step_by(2).zip(deeds) {
        let id = u32::from(stream);
        match deed {
            Deed::Answers(fields) => {
                let mut block = Vec::new();
                server.encode(fields.iter().map(field), &mut block);
                pair.send(Side::Downstream, &last_headers(id, &GET));
                pair.send(Side::Upstream, &frame(0x1, END_HEADERS | END_STREAM, id, &block));
                said.extend((!is_malformed(fields)).then_some((stream, *fields)));
            }
            Deed::Denied => {
                pair.send(Side::Downstream, &last_headers(id, &DENIED));
                said.push((stream, REFUSAL));
            }
            Deed::Resizes(size) => {
                pair.send(Side::Downstream, &settings(&[(0x1, (*size).into())]));
                sizes.push_back(*size);
                pair.send(Side::Upstream, &settings_ack());
                server.allow_table_size((*size).into());
            }
        }
    }
    assert!(pair.recorder.offences.iter().all(|(side, _)| *side == Side::Upstream), "{:?}", pair.recorder.offences);
    assert_eq!(pair.close, None);
    let owned = |fields: Fields| fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let wanted: Vec<_> = said.into_iter().map(|(stream, fields)| (stream, owned(fields))).collect();
    assert_eq!(read(&pair.to_client, sizes), wanted, "{deeds:?}");
}

#[test]
fn no_malformed_response_makes_the_client_read_others_wrongly() {
    check(&[ANSWERS[0], ANSWERS[1], ANSWERS[2], ANSWERS[3]].map(Deed::Answers));
}

/// The size that the client waits to be told was in the answer that did not go on.
#[test]
fn a_refusal_behind_a_malformed_response_says_what_that_would_have_said_of_the_table() {
    check(&[Deed::Answers(ANSWERS[0]), Deed::Resizes(100), Deed::Answers(ANSWERS[1]), Deed::Denied]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_client_reads_what_was_said_whatever_was_dropped(
        deeds in vec(prop_oneof![
            5 => select(&ANSWERS[..]).prop_map(Deed::Answers),
            1 => Just(Deed::Denied),
            2 => select(&[0_u16, 40, 100, 4096, 9000][..]).prop_map(Deed::Resizes),
        ], 1..24),
    ) {
        check(&deeds);
    }
}
