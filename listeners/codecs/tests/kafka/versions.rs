//! The versions that a broker offers, and what clients see of them.

use portcullis_codecs::relay::{Close, Decision, ResponseSummary};

use crate::{
    exchanges::{deny_with, narrow, play},
    message::{api_versions, metadata, offers, produce, request, response},
};

/// What the broker of a newer Kafka takes: more versions, and more requests.
const THEIRS: &[(i16, i16, i16)] =
    &[(0, 0, 14), (1, 4, 18), (3, 0, 12), (17, 0, 1), (18, 0, 6), (22, 0, 6), (52, 0, 2), (95, 0, 0), (10_000, 0, 1)];
/// What is left of it.
const OURS: &[(i16, i16, i16)] = &[(0, 0, 13), (1, 4, 18), (3, 0, 12), (17, 1, 1), (18, 0, 5), (22, 0, 5)];

#[test]
fn clients_are_told_of_what_can_be_judged() {
    for version in 0..=5 {
        play("asked")
            .reaches_server(api_versions(1, version))
            .server(offers(1, version, 0, THEIRS))
            .client_sees(offers(1, version, 0, OURS))
            .reaches_server(metadata(2, 12, None))
            .reaches_client(response(2, b"go on"))
            .answered(&[0, 0])
            .run();
    }
    play("between others")
        .reaches_server([metadata(1, 5, None), api_versions(2, 3), metadata(3, 5, None)].concat())
        .server([response(1, b"before"), offers(2, 3, 0, THEIRS), response(3, b"behind")].concat())
        .client_sees([response(1, b"before"), offers(2, 3, 0, OURS), response(3, b"behind")].concat())
        .run();
}

#[test]
fn more_requests_than_a_byte_counts_are_told_of() {
    let many: Vec<_> = (0..400).map(|key| (key, 0, 1)).collect();
    let known = |key: i16| portcullis_codecs::kafka::layout::request(key).map(|message| message.versions);
    let ours: Vec<_> = many
        .iter()
        .filter_map(|(key, first, last)| {
            let last = known(*key)
                .map(|versions| versions.last.min(*last))
                .filter(|last| *last >= known(*key).map_or(0, |v| v.first));
            Some((*key, if *key == 17 { 1 } else { *first }, last?))
        })
        .collect();
    assert!((60..79).contains(&ours.len()), "{}", ours.len());
    for version in [2, 4] {
        play("many")
            .reaches_server(api_versions(1, version))
            .server(offers(1, version, 0, &many))
            .client_sees(offers(1, version, 0, &ours))
            .run();
    }
}

#[test]
fn an_older_broker_answers_in_the_first_layout() {
    play("a version that it does not know")
        .reaches_server(api_versions(1, 5))
        .server(offers(1, 0, 35, &[(18, 0, 3)]))
        .client_sees(offers(1, 0, 35, &[(18, 0, 3)]))
        .answered(&[35])
        .run();
    play("it is brought down all the same")
        .reaches_server(api_versions(1, 4))
        .server(offers(1, 0, 35, &[(18, 0, 9)]))
        .client_sees(offers(1, 0, 35, &[(18, 0, 5)]))
        .run();
    play("without any")
        .reaches_server(api_versions(1, 3))
        .server(offers(1, 0, 35, &[]))
        .client_sees(offers(1, 0, 35, &[]))
        .run();
}

#[test]
fn a_version_that_nobody_knows_is_answered_as_a_broker_does() {
    let unknown = offers(2, 0, 35, &[(18, 0, 5)]);
    for version in [6, 9, -1, i16::MAX] {
        play("answered").client(api_versions(2, version)).client_sees(&unknown).answered(&[35]).run();
    }
    play("in its turn")
        .client([metadata(1, 5, None), api_versions(2, 6), metadata(3, 5, None)].concat())
        .server_sees([metadata(1, 5, None), metadata(3, 5, None)].concat())
        .server(response(1, b"first"))
        .client_sees([response(1, b"first"), unknown.clone()].concat())
        .reaches_client(response(3, b"third"))
        .answers(&[ResponseSummary::next(0), ResponseSummary::next(35), ResponseSummary::next(0)])
        .run();
    play("behind a response that is on its way")
        .reaches_server(metadata(1, 5, None))
        .reaches_client(&response(1, b"first")[..10])
        .client(api_versions(2, 6))
        .server(&response(1, b"first")[10..])
        .client_sees([&response(1, b"first")[10..], &unknown].concat())
        .run();
    play("judged before")
        .judged_by(|| Box::new(|_| Decision::Reset))
        .client(api_versions(2, 6))
        .judged(&["apiversions 6 app -> Reset"])
        .closes(Close::Reset)
        .run();
    let long = request(1, 18, 3, &[0; 200]);
    let long = [&long[..6], &[0, 9], &long[8..]].concat();
    narrow("too long to be answered").client(&long).client_violates("long_frame").closes(Close::Reset).run();
}

#[test]
fn what_is_not_known_closes_the_connection_as_at_a_broker() {
    for (key, version) in [(95, 0), (10_000, 0), (-1, 0), (4, 0), (7, 0), (52, 0), (62, 0)] {
        let mut frame = metadata(1, 5, None);
        frame[4..6].copy_from_slice(&i16::to_be_bytes(key));
        frame[6..8].copy_from_slice(&i16::to_be_bytes(version));
        play("a request").client(&frame).client_violates("unknown_request").closes(Close::Graceful).run();
    }
    for version in [-1, 14, i16::MAX] {
        let mut frame = metadata(1, 5, None);
        frame[6..8].copy_from_slice(&i16::to_be_bytes(version));
        play("a version").client(&frame).client_violates("unknown_version").closes(Close::Graceful).run();
    }
    let mut old = produce(1, 3, -1, &["a"], 1);
    old[7] = 2;
    play("an old version").client(&old).client_violates("unknown_version").closes(Close::Graceful).run();
}

#[test]
fn a_response_that_has_to_be_read_is_one() {
    let asked = || narrow("asked").judged_by(|| deny_with(Decision::Reset)).reaches_server(api_versions(1, 3));
    let broken = |bytes: &[u8]| response(1, bytes);
    // Error, one entry that is cut.
    asked().server(broken(&[0, 0, 2, 0, 1])).server_violates("cut_body").closes(Close::Reset).run();
    asked().server(broken(&[0, 0, 1, 0, 0, 0, 0, 0, 0])).server_violates("trailing").closes(Close::Reset).run();
    asked().server(broken(&[0, 0, 0, 0, 0, 0, 0, 0])).server_violates("null").closes(Close::Reset).run();
    asked().server(broken(&[0])).server_violates("cut_body").closes(Close::Reset).run();
    asked().server(broken(&[0; 200])).server_violates("long_response").closes(Close::Reset).run();
}
