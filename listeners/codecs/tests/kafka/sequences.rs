//! Random requests and their responses, split in any way.

use portcullis_codecs::{kafka::layout, relay::Side};
use proptest::{collection::vec, prelude::*};

use crate::{
    message::{request, response},
    outcome::{check, check_answers},
    random::{Maker, Random},
    walking::requests,
};

/// A request, and a response that belongs to it.
fn exchange(number: i32, key: i16, version: i16, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let asked = Maker::body(layout::request(key).expect("a request"), version, &mut Random::new(seed));
    let mut answer = match layout::response(key).filter(|_| key == 18) {
        Some(message) => Maker::body(message, version, &mut Random::new(seed)).bytes,
        None => vec![0xaa; Random::new(seed).below(80)],
    };
    if key == 18 {
        // No error, or it would have another layout.
        answer[..2].copy_from_slice(&[0, 0]);
    }
    (request(number, key, version, &asked.bytes), response(number, &answer))
}

/// The same with a response that can be read, as a broker gives it where all goes well.
fn answered_exchange(number: i32, key: i16, version: i16, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let asked = Maker::body(layout::request(key).expect("a request"), version, &mut Random::new(seed));
    let message = layout::response(key).expect("a response");
    let mut body = Maker::body(message, version, &mut Random::new(seed / 2)).bytes;
    if key == 18 {
        body[..2].copy_from_slice(&[0, 0]);
    }
    let header: &[u8] = if message.flexible.contains(version) && key != 18 { &[0] } else { &[] };
    (request(number, key, version, &asked.bytes), response(number, &[header, &body].concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_refused_never_reaches_the_server_however_it_is_cut(
        kinds in vec((prop::sample::select(requests().collect::<Vec<_>>()), any::<u64>()), 1..5),
        lengths in vec(1..90_usize, 1..6),
        unseen in any::<bool>(),
    ) {
        let exchanges: Vec<_> = kinds
            .iter()
            .zip(0..)
            .map(|(((key, version), seed), number)| answered_exchange(number, *key, *version, *seed))
            .collect();
        let parts = exchanges.iter().flat_map(|(asked, answer)| [(Side::Downstream, &asked[..]), (Side::Upstream, &answer[..])]);
        check_answers(&parts.collect::<Vec<_>>(), &lengths, unseen);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_outcome_does_not_depend_on_how_requests_and_responses_are_cut(
        kinds in vec((prop::sample::select(requests().collect::<Vec<_>>()), any::<u64>()), 1..5),
        lengths in vec(1..90_usize, 1..6),
        unseen in any::<bool>(),
        pipelined in any::<bool>(),
        spoiled in prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut exchanges: Vec<_> =
            kinds.iter().zip(0..).map(|(((key, version), seed), number)| exchange(number, *key, *version, *seed)).collect();
        if let Some((place, byte)) = spoiled {
            let (asked, _) = &mut exchanges[0];
            let place = place.index(asked.len());
            asked[place] ^= byte;
        }
        let requests = exchanges.iter().map(|(asked, _)| (Side::Downstream, &asked[..]));
        let responses = exchanges.iter().map(|(_, answer)| (Side::Upstream, &answer[..]));
        let parts: Vec<_> = if pipelined {
            requests.chain(responses).collect()
        } else {
            requests.zip(responses).flat_map(|(asked, answer)| [asked, answer]).collect()
        };
        check(&parts, &lengths, unseen);
    }
}
