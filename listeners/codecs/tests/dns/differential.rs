//! Compares our DNS parsing with hickory-proto over generated messages and mutations of them.

use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    message::{A, AAAA, CNAME, HTTPS, Message, TXT, name, opt, option, record},
    oracle,
};

const NAMES: &[&str] = &["a.test", "A.Test", "b.test", "www.a.test", "", "x_y-z.test", "a\\b.t*st"];
const KINDS: &[u16] = &[A, AAAA, CNAME, TXT, HTTPS, 255, 65280];

fn any_query() -> impl Strategy<Value = Vec<u8>> {
    let options = vec((select(&[10_u16, 12, 3][..]), vec(any::<u8>(), 0..12)), 0..3);
    (select(NAMES), select(KINDS), any::<u16>(), proptest::option::of(options)).prop_map(|(name, kind, id, options)| {
        let query = Message::query(id, name, kind);
        let options = options.map(|options| options.iter().flat_map(|(code, value)| option(*code, value)).collect());
        options.map_or(query.clone(), |options: Vec<u8>| query.with(3, &opt(0x8000, &options))).bytes()
    })
}

fn any_answer() -> impl Strategy<Value = Vec<u8>> {
    let owner = prop_oneof![select(NAMES).prop_map(name), Just(vec![0xc0, 12])];
    let data = prop_oneof![
        (Just(A), vec(any::<u8>(), 4)),
        (Just(AAAA), vec(any::<u8>(), 16)),
        (Just(CNAME), select(NAMES).prop_map(name)),
        (Just(TXT), Just(b"\x02hi".to_vec())),
        (Just(HTTPS), Just([&[0, 1, 0][..], &option(1, b"\x02h2"), &option(4, &[192, 0, 2, 1])].concat())),
    ];
    let records = vec((owner, data, 0..1000_u32), 0..6);
    (select(NAMES), select(&[A, AAAA, HTTPS][..]), records).prop_map(|(asked, kind, records)| {
        let answer = Message::answer(7, asked, kind);
        let with = |answer: Message, (owner, (kind, data), ttl): &(Vec<u8>, (u16, Vec<u8>), u32)| {
            answer.with(1, &record(owner, *kind, *ttl, data))
        };
        records.iter().fold(answer, with).bytes()
    })
}

/// The same with some bytes changed, or an end cut off.
fn mutated(message: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (message, changes, proptest::option::weighted(0.2, any::<prop::sample::Index>())).prop_map(
        |(mut message, changes, cut)| {
            for (place, byte) in changes {
                let place = place.index(message.len());
                message[place] = byte;
            }
            if let Some(cut) = cut {
                message.truncate(cut.index(message.len()));
            }
            message
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn queries_that_we_take_are_theirs_too(query in any_query()) {
        prop_assert!(oracle::query(&query), "{query:02x?}");
    }

    #[test]
    fn mutated_queries_that_we_take_are_theirs_too(query in mutated(any_query())) {
        oracle::query(&query);
    }

    #[test]
    fn answers_install_what_they_read(answer in any_answer()) {
        prop_assert!(oracle::answer(&answer), "{answer:02x?}");
    }

    #[test]
    fn mutated_answers_install_what_they_read(answer in mutated(any_answer())) {
        oracle::answer(&answer);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        oracle::query(&bytes);
        oracle::answer(&bytes);
    }
}
