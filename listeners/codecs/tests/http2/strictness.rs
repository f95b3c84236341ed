//! A malformed message ends only its stream where the standard permits that. The other streams and the connection
//! continue.

use portcullis_codecs::{
    fact::Facts,
    http2::ErrorCode,
    relay::{Close, ResponseSummary},
};

use crate::{frames::*, playbook::script::play};

const MALFORMED: [(&str, &str); 2] = [(":status", "200"), ("connection", "close")];

/// Behind a malformed response, the first block for the client begins by emptying its table.
fn anew(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(0x1, END_HEADERS | flags, stream, &[&[0x20][..], &block(fields)].concat())
}

#[test]
fn a_malformed_response_ends_its_stream_alone() {
    let ends = || cat(&[reset(1, ErrorCode::InternalError)]);
    let two = |name| begun(name).reaches_server(cat(&[last_headers(1, &GET), headers(3, &POST)]));
    two("its head")
        .server(headers(1, &MALFORMED))
        .server_violates("connection_field")
        .client_sees(ends())
        .server_sees(reset(1, ErrorCode::ProtocolError))
        .server(data(1, END_STREAM, "dropped"))
        .server(headers(3, &OK))
        .client_sees(anew(3, 0, &OK))
        .reaches_server(data(3, END_STREAM, "on"))
        .reaches_client(data(3, 0, "body"))
        .reaches_client(last_headers(3, &[("x-sum", "1")]))
        .answers(&[ResponseSummary { exchange: 1, status: None, facts: Facts::NONE }, answer(3, 200)])
        .run();
    two("its trailers")
        .reaches_client(headers(1, &OK))
        .reaches_client(data(1, 0, "body"))
        .server(last_headers(1, &[(":status", "200")]))
        .server_violates("trailer_field")
        .client_sees(ends())
        .server_sees(reset(1, ErrorCode::ProtocolError))
        .server(last_headers(3, &OK))
        .client_sees(anew(3, END_STREAM, &OK))
        .run();
    two("a head behind its end")
        .reaches_client(headers(3, &OK))
        .reaches_client(data(3, END_STREAM, "all"))
        .server(last_headers(3, &OK))
        .server_violates("stream_closed")
        .client_sees(reset(3, ErrorCode::InternalError))
        .server_sees(reset(3, ErrorCode::StreamClosed))
        .server(last_headers(1, &OK))
        .client_sees(anew(1, END_STREAM, &OK))
        .run();
}

#[test]
fn a_refusal_behind_a_malformed_response_is_read_all_the_same() {
    let forbidden = [(":status", "403"), ("content-length", "0")];
    begun("a client that waits for a smaller table")
        .responding()
        .reaches_server(last_headers(1, &GET))
        .server(headers(1, &MALFORMED))
        .server_violates("connection_field")
        .client_sees(reset(1, ErrorCode::InternalError))
        .server_sees(reset(1, ErrorCode::ProtocolError))
        .reaches_server(settings(&[(0x1, 0)]))
        .reaches_client(settings_ack())
        .client(last_headers(3, &DENIED))
        .client_sees(anew(3, END_STREAM, &forbidden))
        .run();
}

/// RFC 9113 §5.1, half-closed (remote) and closed.
#[test]
fn a_client_that_goes_on_behind_its_own_end_is_told_that_the_stream_is_closed() {
    begun("a head behind the end of the request")
        .reaches_server(last_headers(1, &GET))
        .client(last_headers(1, &GET))
        .client_violates("stream_closed")
        .client_sees(reset(1, ErrorCode::StreamClosed))
        .server_sees(reset(1, ErrorCode::Cancel))
        .run();
    let given_up = |name| {
        begun(name)
            .reaches_server(headers(1, &POST))
            .reaches_server(reset(1, ErrorCode::Cancel))
            .client(window_update(1, 5))
    };
    given_up("DATA behind a reset")
        .client(data(1, 0, vec![b'x'; 4096]))
        .client_violates("stream_closed")
        .client_sees(cat(&[reset(1, ErrorCode::StreamClosed), window_update(0, 4096)]))
        .reaches_server(last_headers(3, &GET))
        .run();
    given_up("a head behind a reset")
        .client(last_headers(1, &GET))
        .client_violates("stream_closed")
        .client_sees(reset(1, ErrorCode::StreamClosed))
        .reaches_server(last_headers(3, &GET))
        .run();
    given_up("what the server has sent before it knew")
        .reaches_client(headers(1, &OK))
        .server(data(1, END_STREAM, "late"))
        .reaches_server(last_headers(3, &GET))
        .run();
}

/// RFC 9113 §3.4: who sends another preface does not speak HTTP/2. It is answered in HTTP/1 (RFC 9112 §3).
#[test]
fn bytes_that_are_no_preface_are_a_bad_request_of_http1() {
    play("another preface")
        .client("INVALID CONNECTION PREFACE\r\n\r\n")
        .client_violates("request_line")
        .client_reads("HTTP/1.1 400 Bad Request\r\n")
        .closes(Close::Graceful)
        .run();
}
