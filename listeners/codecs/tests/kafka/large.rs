//! Requests that are larger than the buffer that holds a request.

use portcullis_codecs::relay::{Close, Decision, Side};

use crate::{
    exchanges::{deny_with, narrow, small},
    message::{metadata, produce, request, response},
    playbook::{outcome::send_in_pieces, pair::Pair},
};

/// The client's end of a topic's name: records and what stands around them are behind.
fn behind_name(frame: &[u8], name: &str) -> usize {
    let place = frame.windows(name.len()).position(|bytes| bytes == name.as_bytes());
    place.expect("the name") + name.len()
}

#[test]
fn records_of_one_topic_go_on_as_soon_as_its_name_is_known() {
    let whole = produce(1, 7, -1, &["orders"], 600);
    let name = behind_name(&whole, "orders");
    narrow("one topic")
        .client(&whole[..name - 1])
        .client(&whole[name - 1..name])
        .server_sees(&whole[..name])
        .reaches_server(&whole[name..300])
        .reaches_server([&whole[300..], &metadata(2, 5, None)].concat())
        .reaches_client([response(1, b"stored"), response(2, b"")].concat())
        .run();
    let before = [metadata(2, 5, None), metadata(3, 5, None)].concat();
    narrow("as the last that may wait")
        .reaches_server([&before, &whole[..300]].concat())
        .reaches_server(&whole[300..])
        .client(&before)
        .reaches_client(response(2, b""))
        .server_sees(metadata(2, 5, None))
        .run();
    let whole = produce(1, 9, -1, &["deny"], 600);
    narrow("one that is denied").client(&whole[..behind_name(&whole, "deny")]).closes(Close::Reset).run();
}

#[test]
fn several_topics_go_on_when_all_are_known_or_more_would_be_held_than_may() {
    let whole = produce(1, 7, -1, &["a", "b"], 5);
    let but_one = whole.len() - 1;
    narrow("all are known")
        .client(&whole[..but_one])
        .client(&whole[but_one..])
        .server_sees(&whole)
        .judged(&["produce 7 app a"])
        .run();
    let whole = produce(1, 9, -1, &["a", "b", "c"], 300);
    narrow("more than may be held").reaches_server(&whole).reaches_client(response(1, b"stored")).run();
}

#[test]
fn a_forbidden_topic_further_on_cuts_the_frame_short() {
    for version in [3, 7, 9, 12] {
        let whole = produce(2, version, -1, &["a", "b", "deny", "c"], 200);
        let forbidden = behind_name(&whole, "deny");
        for lengths in [&[1][..], &[7], &[40, 3], &[99, 1], &[150], &[usize::MAX]] {
            for unseen in [false, true] {
                let mut pair = Pair::new(small(), deny_with(Decision::Respond));
                pair.unseen = unseen;
                pair.send(Side::Downstream, &metadata(1, 5, None));
                let before = std::mem::take(&mut pair.to_server);
                assert_eq!(before, metadata(1, 5, None));
                send_in_pieces(&mut pair, Side::Downstream, &[&whole[..], &metadata(3, 5, None)].concat(), lengths);
                assert!(whole.starts_with(&pair.to_server), "v{version} {lengths:?}");
                assert!(pair.to_server.len() < forbidden, "v{version} {lengths:?}: the forbidden name went on");
                assert_eq!(pair.close, None, "v{version} {lengths:?}: a response is due");
                pair.send(Side::Upstream, &response(1, b"one"));
                assert_eq!(pair.to_client, response(1, b"one"), "v{version} {lengths:?}");
                assert_eq!(pair.close, Some(Close::Graceful), "v{version} {lengths:?}");
                assert_eq!(pair.recorder.violations, []);
            }
        }
    }
}

#[test]
fn any_request_may_be_larger_than_what_is_held() {
    // SyncGroup: group, generation, member, one assignment of 500 bytes.
    let body = [&b"\0\x01g\0\0\0\x01\0\x01m\0\0\0\x01\0\x01m\0\0\x01\xf4"[..], &[7; 500]].concat();
    narrow("an assignment").reaches_server(request(1, 14, 0, &body)).judged(&["syncgroup 0 app g"]).run();
}

#[test]
fn a_large_frame_that_is_cut_is_no_request() {
    let whole = produce(1, 7, -1, &["orders"], 600);
    narrow("the client ends")
        .reaches_server(&whole[..300])
        .client_ends()
        .client_violates("cut_frame")
        .closes(Close::Reset)
        .run();
    narrow("it takes its time").reaches_server(&whole[..300]).time_passes().reaches_server(&whole[300..]).run();
}

#[test]
fn the_server_never_has_all_of_a_frame_that_is_broken_further_on() {
    // Behind the records of the only topic stands a byte too many; in the records' place a length too large.
    let whole = produce(1, 7, -1, &["orders"], 600);
    let mut long = [&whole[..], &[0]].concat();
    long[..4].copy_from_slice(&u32::try_from(whole.len() - 3).expect("a length").to_be_bytes());
    let mut wide = whole.clone();
    let records = behind_name(&whole, "orders") + 8;
    wide[records..records + 4].copy_from_slice(&601_u32.to_be_bytes());
    for (broken, word) in [(long, "trailing"), (wide, "length")] {
        for lengths in [&[1][..], &[7], &[40, 3], &[usize::MAX]] {
            for unseen in [false, true] {
                let mut pair = Pair::new(small(), deny_with(Decision::Reset));
                pair.unseen = unseen;
                send_in_pieces(&mut pair, Side::Downstream, &broken, lengths);
                assert!(broken.starts_with(&pair.to_server) && pair.to_server.len() < broken.len());
                assert_eq!(pair.recorder.violations, [(Side::Downstream, word)], "{lengths:?}");
                assert_eq!(pair.close, Some(Close::Reset));
            }
        }
    }
}
