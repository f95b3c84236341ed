//! What is allowed passes: requests and responses, their bodies and trailers, and the control frames around them.

use portcullis_codecs::{
    fact::Facts,
    http::Limits,
    http2::{
        ErrorCode,
        hpack::{Decoder, Encoder, FieldList, HeaderField, HpackLimits as BlockLimits, Representation},
    },
    relay::{Close, Decision, ResponseSummary, Side},
};

use crate::{
    frames::*,
    playbook::{
        pair::{Pair, deny_with},
        script::play,
    },
};

#[test]
fn a_client_need_not_wait_for_the_server() {
    play("all at once")
        .client(cat(&[client_begins(), last_headers(1, &GET)]))
        .server_sees(server_sees_the_begin())
        .judged(&[])
        .server(settings(&[]))
        .client_sees(client_sees_the_begin())
        .server_sees(last_headers(1, &GET))
        .judged(&["GET /a h"])
        .reaches_client(cat(&[settings_ack(), headers(1, &OK), data(1, END_STREAM, "ok")]))
        .answers(&[answer(1, 200)])
        .reaches_server(settings_ack())
        .run();
}

#[test]
fn the_server_is_called_at_the_preface_because_a_client_may_wait_for_its_settings() {
    play("a strict client")
        .reaches_server(PREFACE)
        .client(settings(&[]))
        .server_sees(settings(&[(0x2, 0)]))
        .server(settings(&[]))
        .client_sees(client_sees_the_begin())
        .reaches_server(cat(&[settings_ack(), last_headers(1, &GET)]))
        .run();
}

/// A server of HTTP/1 takes the preface for a request, and what stands behind it for more.
#[test]
fn until_the_server_has_said_settings_it_gets_the_preface_and_settings_alone() {
    for more in [
        frame(0x7, 0, 0, b"\0\0\0\0\0\0\0\0\r\n\r\nGET /deny HTTP/1.1\r\nHost: h\r\n\r\n"),
        settings(&[(0x4, 1)]),
        window_update(0, 5),
        frame(0x6, 0, 0, b"GET / HT"),
        cat(&[headers(1, &POST), data(1, 0, "GET /deny HTTP/1.1\r\n\r\n")]),
    ] {
        play("HTTP/1 behind it")
            .client(cat(&[client_begins(), more.clone()]))
            .server_sees(server_sees_the_begin())
            .server("HTTP/1.1 400 Bad Request\r\n\r\n")
            .server_violates("frame_size")
            .client_sees(cat(&[settings(&[]), go_away(0, ErrorCode::InternalError)]))
            .closes(Close::Graceful)
            .judged(&[])
            .run();
    }
}

/// "A field value MUST NOT start or end with an ASCII whitespace character" (RFC 9113 §8.2.1), but clients, servers and
/// proxies take it. What was judged is what the server gets: the value without.
#[test]
fn white_space_around_a_value_is_taken_away_from_requests_and_left_to_answers() {
    let [method, scheme, path, authority] = GET;
    begun("a blank at the end, at the start, and nothing else")
        .client(last_headers(1, &[method, scheme, path, authority, ("x-a", "b "), ("x-b", " \tc"), ("x-c", "  ")]))
        .server_sees(last_headers(1, &[method, scheme, path, authority, ("x-a", "b"), ("x-b", "c"), ("x-c", "")]))
        .reaches_client(last_headers(1, &[(":status", "200"), ("x-a", "b "), ("content-length", " 0")]))
        .answers(&[answer(1, 200)])
        .run();
    begun("in trailers")
        .reaches_server(headers(1, &POST))
        .client(last_headers(1, &[("x-sum", "1 ")]))
        .server_sees(last_headers(1, &[("x-sum", "1")]))
        .run();
}

#[test]
fn answers_come_in_any_order_and_are_told_by_their_stream() {
    begun("three streams")
        .reaches_server(cat(&[last_headers(1, &GET), headers(3, &POST), last_headers(9, &GET)]))
        .judged(&["GET /a h", "POST /a h", "GET /a h"])
        .reaches_client(last_headers(9, &[(":status", "404")]))
        .answers(&[answer(9, 404)])
        .reaches_server(data(3, 0, "some"))
        .reaches_client(cat(&[headers(1, &OK), data(1, 0, "a"), headers(3, &OK), data(1, END_STREAM, "b")]))
        .reaches_server(data(3, END_STREAM, "more"))
        .reaches_client(data(3, END_STREAM, ""))
        .answers(&[answer(9, 404), answer(1, 200), answer(3, 200)])
        .run();
}

#[test]
fn interim_answers_trailers_padding_and_credit_go_on() {
    let padded = |text: &str| [&[2][..], text.as_bytes(), b"\0\0"].concat();
    begun("an upload")
        .reaches_server(headers(1, &[POST[0], POST[1], POST[2], POST[3], ("te", "trailers"), ("content-length", "6")]))
        .reaches_client(headers(1, &[(":status", "103"), ("link", "x")]))
        .reaches_client(cat(&[window_update(0, 100), window_update(1, 7), ping(0, b"12345678")]))
        .reaches_server(cat(&[ping(ACK, b"12345678"), data(1, PADDED, padded("abc")), data(1, 0, "def")]))
        .reaches_server(last_headers(1, &[("x-sum", "6")]))
        .reaches_client(cat(&[headers(1, &OK), data(1, PADDED, padded("xyz"))]))
        .reaches_server(cat(&[window_update(0, 6), window_update(1, 6)]))
        .reaches_client(last_headers(1, &[("x-sum", "3")]))
        .answers(&[answer(1, 200)])
        .reaches_server(cat(&[ping(0, b"abcdefgh"), last_headers(3, &GET)]))
        .reaches_client(ping(ACK, b"abcdefgh"))
        .run();
}

#[test]
fn a_call_of_grpc_is_told_with_its_own_status_when_it_ends() {
    let call = [
        POST[0],
        POST[1],
        (":path", "/shop.Cart/Add"),
        POST[3],
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let grpc = [(":status", "200"), ("content-type", "application/grpc+proto")];
    let told = |exchange, grpc_status: Option<i64>| {
        let facts = grpc_status.map_or(Facts::NONE, |status| Facts::NONE.with("grpc_status", status));
        ResponseSummary { exchange, status: Some(200), facts }
    };
    begun("unary, streaming and trailers only")
        .reaches_server(cat(&[headers(1, &call), data(1, END_STREAM, "in"), headers(3, &call), headers(5, &call)]))
        .judged(&["POST /shop.Cart/Add h"; 3])
        .reaches_client(cat(&[headers(1, &grpc), data(1, 0, "out")]))
        .answers(&[])
        .reaches_client(last_headers(1, &[("grpc-status", "0")]))
        .answers(&[told(1, Some(0))])
        .reaches_client(cat(&[headers(3, &grpc), last_headers(5, &[grpc[0], grpc[1], ("grpc-status", "12")])]))
        .answers(&[told(1, Some(0)), told(5, Some(12))])
        .reaches_server(cat(&[data(3, 0, "a"), reset(3, ErrorCode::Cancel)]))
        .answers(&[told(1, Some(0)), told(5, Some(12)), told(3, None)])
        .run();
}

#[test]
fn answers_without_content_need_none() {
    let head = [(":method", "HEAD"), GET[1], GET[2], GET[3]];
    begun("HEAD, 204, 304")
        .reaches_server(cat(&[
            last_headers(1, &head),
            last_headers(3, &GET),
            last_headers(5, &GET),
            last_headers(7, &head),
        ]))
        .reaches_client(last_headers(1, &[(":status", "200"), ("content-length", "77")]))
        .reaches_client(cat(&[headers(3, &[(":status", "204")]), data(3, END_STREAM, "")]))
        .reaches_client(last_headers(5, &[(":status", "304"), ("content-length", "77")]))
        .reaches_client(cat(&[headers(7, &[(":status", "200"), ("content-length", "77")]), data(7, END_STREAM, "")]))
        .run();
}

#[test]
fn connect_is_judged_by_its_authority_and_carries_bytes() {
    let connect = [(":method", "CONNECT"), (":authority", "db:5432")];
    begun("granted")
        .reaches_server(headers(1, &connect))
        .judged(&["CONNECT db:5432"])
        .reaches_server(data(1, 0, "raw"))
        .reaches_client(cat(&[headers(1, &[(":status", "200")]), data(1, 0, "raw")]))
        .reaches_server(data(1, END_STREAM, "end"))
        .reaches_client(data(1, END_STREAM, "end"))
        .run();
    begun("denied")
        .client(headers(1, &[(":method", "CONNECT"), (":authority", "deny:1")]))
        .client_sees(reset(1, ErrorCode::Cancel))
        .judged(&["CONNECT deny:1 -> Reset"])
        .run();
}

#[test]
fn extended_connect_is_possible_only_where_it_is_allowed_and_offered() {
    let websocket = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/chat"),
        (":authority", "h"),
    ];
    let mut limits = Limits::default();
    limits.http2.extended_connect = true;
    play("allowed and offered")
        .limits(limits)
        .client(client_begins())
        .server_sees(server_sees_the_begin())
        .server(cat(&[settings(&[(0x8, 1)]), settings_ack()]))
        .client_sees(cat(&[settings(&[(0x8, 1), (0x3, 1024), (0x6, 128 << 10)]), settings_ack()]))
        .reaches_server(cat(&[settings_ack(), headers(1, &websocket)]))
        .judged(&["CONNECT /chat h"])
        .reaches_client(cat(&[headers(1, &[(":status", "200")]), data(1, 0, "frames")]))
        .run();
    begun("not allowed")
        .client(headers(1, &websocket))
        .client_sees(reset(1, ErrorCode::ProtocolError))
        .client_violates("extended_connect")
        .run();
}

#[test]
fn priorities_and_unknown_frames_are_dropped() {
    begun("around a request")
        .client(cat(&[
            priority(1, 0),
            priority(7, 3),
            frame(0xbe, 0xff, 0, b"unknown"),
            frame(0x10, 0, 0, b"\0\0\0\x01u=1"),
        ]))
        .client(frame(
            0x1,
            END_HEADERS | END_STREAM | PRIORITY | PADDED,
            1,
            &[&[1, 0x80, 0, 0, 0, 9][..], &block(&GET), b"\0"].concat(),
        ))
        .server_sees(last_headers(1, &GET))
        .server(frame(0xa, 0, 0, b"\0\0an alternative service"))
        .reaches_client(frame(0x1, END_HEADERS | END_STREAM | PADDED, 1, &[&[1][..], &block(&OK), b"\0"].concat()))
        .run();
}

#[test]
fn a_head_may_come_in_pieces_and_reaches_the_server_in_as_few_as_it_takes() {
    let long = "x".repeat(300);
    let fields = [GET[0], GET[1], GET[2], GET[3], ("x-long", &long)];
    let whole = block(&fields);
    let (first, rest) = whole.split_at(7);
    let (second, third) = rest.split_at(100);
    begun("three pieces, one of them empty")
        .client(cat(&[
            frame(0x1, END_STREAM, 1, first),
            continuation(1, 0, second),
            continuation(1, 0, b""),
            continuation(1, END_HEADERS, third),
        ]))
        .server_sees(last_headers(1, &fields))
        .reaches_client(cat(&[frame(0x1, END_STREAM, 1, b""), continuation(1, END_HEADERS, &block(&OK))]))
        .answers(&[answer(1, 200)])
        .run();
}

#[test]
fn a_stream_that_is_given_up_takes_what_is_still_on_its_way_along() {
    begun("by the client")
        .reaches_server(cat(&[headers(1, &POST), headers(3, &POST)]))
        .reaches_server(reset(1, ErrorCode::Cancel))
        .answers(&[ResponseSummary { exchange: 1, status: None, facts: Facts::NONE }])
        .server(cat(&[window_update(1, 10), reset(1, ErrorCode::Cancel)]))
        .reaches_client(headers(1, &OK))
        .server(data(1, 0, vec![b'x'; 5000]))
        .server_sees(window_update(0, 5000))
        .reaches_client(last_headers(3, &OK))
        .run();
    begun("by the server")
        .reaches_server(cat(&[headers(1, &POST), headers(3, &POST)]))
        .reaches_client(reset(1, ErrorCode::RefusedStream))
        .answers(&[ResponseSummary { exchange: 1, status: None, facts: Facts::NONE }])
        .client(cat(&[window_update(1, 10), last_headers(1, &[("x", "y")]), reset(1, ErrorCode::Cancel)]))
        .client(data(1, END_STREAM, vec![b'x'; 5000]))
        .client_sees(window_update(0, 5000))
        .run();
}

#[test]
fn what_the_server_does_not_deal_with_any_more_is_dropped() {
    begun("going away")
        .reaches_server(cat(&[last_headers(1, &GET), last_headers(3, &GET)]))
        .reaches_client(go_away(0x7fff_ffff, ErrorCode::NoError))
        .reaches_server(last_headers(5, &GET))
        .reaches_client(frame(0x7, 0, 0, b"\0\0\0\x01\0\0\0\0because of a restart"))
        .client(cat(&[last_headers(7, &GET), headers(9, &DENIED), window_update(9, 1)]))
        .judged(&["GET /a h"; 3])
        .reaches_client(last_headers(1, &OK))
        .run();
    begun("streams above it are over")
        .reaches_server(headers(3, &POST))
        .reaches_client(go_away(1, ErrorCode::NoError))
        .answers(&[ResponseSummary { exchange: 3, status: None, facts: Facts::NONE }])
        .client(cat(&[data(3, 0, "x"), headers(5, &DENIED), data(5, END_STREAM, "x")]))
        .judged(&["POST /a h"])
        .server_ends()
        .closes(Close::Graceful)
        .run();
}

#[test]
fn a_client_that_has_ended_is_still_answered() {
    begun("half closed")
        .reaches_server(last_headers(1, &GET))
        .client_ends()
        .reaches_client(cat(&[headers(1, &OK), data(1, END_STREAM, "still")]))
        .server_ends()
        .closes(Close::Graceful)
        .run();
    begun("cut within a frame")
        .reaches_server(last_headers(1, &GET))
        .server(cat(&[headers(1, &OK), data(1, 0, "four")[..11].to_vec()]))
        .client_sees(cat(&[headers(1, &OK), data(1, 0, "four")[..11].to_vec()]))
        .server_ends()
        .closes(Close::Reset)
        .run();
}

/// Fields that a sender keeps out of tables never enter ours (RFC 7541 §7.1.3), and what it compresses stays small.
#[test]
fn the_server_reads_the_same_fields_with_the_same_care() {
    let mut client = Encoder::new(4096);
    let mut server = Decoder::new();
    let mut pair = Pair::new(portcullis_codecs::http::relay(&Limits::default()), deny_with(Decision::Reset));
    pair.send(Side::Downstream, &client_begins());
    pair.send(Side::Upstream, &settings(&[]));
    pair.to_server.clear();
    for stream in [1, 3, 5, 7] {
        let mut list = FieldList::default();
        let plain = [(":method", "GET"), (":scheme", "http"), (":path", "/a"), (":authority", "h"), ("x-trace", "on")];
        for (name, value) in plain {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            list.push(HeaderField { name, value, representation: Representation::Incremental });
        }
        list.push(HeaderField {
            name: b"authorization",
            value: b"secret",
            representation: Representation::NeverIndexed,
        });
        list.push(HeaderField { name: b"x-once", value: b"1", representation: Representation::WithoutIndexing });
        let mut block = Vec::new();
        client.encode(list.iter(), &mut block);
        // A denied request in between enters the client's table and not the server's.
        pair.send(Side::Downstream, &frame(0x1, END_HEADERS | END_STREAM, stream, &block));
        let out = std::mem::take(&mut pair.to_server);
        assert!(stream == 1 || out.len() < 40, "{}", out.len());
        let mut read = FieldList::default();
        let limits = BlockLimits { list_size: 4096, fields: 100, work: 4096 };
        server.decode(&out[9..], &limits, &mut read).unwrap();
        let fields = |list: &FieldList| {
            list.iter().map(|f| (f.name.to_vec(), f.value.to_vec(), f.never_indexed())).collect::<Vec<_>>()
        };
        assert_eq!(fields(&read), fields(&list));
    }
}
