//! What the relay must refuse: one test for each row of the table of strictness rules.

use portcullis_codecs::relay::Close;

use crate::playbook::script::{play, wide};

/// A name, the offending head or message, the word, the status.
type Row = (&'static str, &'static str, &'static str, u16);

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Requests of which nothing may go on. Each head ends in an empty line of its own, and more follows it.
const HEADS: &[Row] = &[
    // 1. RFC 9112 §2.2: lines end in CRLF; a bare CR is invalid.
    ("1 bare LF behind the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", "bare_lf", 400),
    ("1 bare LF behind a field", "GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", "bare_lf", 400),
    ("1 bare LF as the empty line", "GET / HTTP/1.1\r\nHost: h\r\n\n", "bare_lf", 400),
    ("1 bare LF in front", "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "bare_lf", 400),
    ("1 bare CR in the request line", "GET /\rx HTTP/1.1\r\nHost: h\r\n\r\n", "bare_cr", 400),
    ("1 bare CR in a value", "GET / HTTP/1.1\r\nHost: h\r\nA: b\rC: d\r\n\r\n", "bare_cr", 400),
    ("1 bare CR in a name", "GET / HTTP/1.1\r\nHost: h\r\nA\r: b\r\n\r\n", "bare_cr", 400),
    ("1 CR CR LF", "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", "bare_cr", 400),
    // 2. RFC 9112 §6.1: Transfer-Encoding beside Content-Length.
    (
        "2 length, then encoding",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "length_and_encoding",
        400,
    ),
    (
        "2 encoding, then length",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
        "length_and_encoding",
        400,
    ),
    // 3. RFC 9112 §6.1, §7.1: exactly one `chunked`.
    ("3 gzip", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer_encoding", 501),
    (
        "3 gzip, chunked",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "transfer_encoding",
        501,
    ),
    (
        "3 chunked with a parameter",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked;q=1\r\n\r\n",
        "transfer_encoding",
        501,
    ),
    (
        "3 chunked twice in a line",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        "transfer_encoding",
        501,
    ),
    (
        "3 chunked twice in two lines",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "transfer_encoding",
        501,
    ),
    ("3 empty", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n", "transfer_encoding", 501),
    (
        "3 with a control byte",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
        "field_value",
        400,
    ),
    // 4. RFC 9112 §6.1: an HTTP/1.0 message with Transfer-Encoding has faulty framing.
    (
        "4 encoding in HTTP/1.0",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "encoding_in_http10",
        400,
    ),
    // 5. RFC 9112 §6.2: Content-Length = 1*DIGIT.
    ("5 plus", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello", "content_length", 400),
    ("5 minus", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\nhello", "content_length", 400),
    ("5 hexadecimal", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\nhello", "content_length", 400),
    ("5 empty", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", "content_length", 400),
    (
        "5 over 63 bits",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775808\r\n\r\n",
        "content_length",
        400,
    ),
    (
        "5 over 64 bits",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551621\r\n\r\n",
        "content_length",
        400,
    ),
    ("5 a list", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\nhello", "content_length", 400),
    (
        "5 twice, equal",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "two_lengths",
        400,
    ),
    // 6. RFC 9112 §5.1: no white space before the colon; names are tokens.
    (
        "6 underscores",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer_Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "field_variant",
        400,
    ),
    ("6 a dot", "GET / HTTP/1.1\r\nHost: h\r\nContent.Length: 4\r\n\r\n", "field_variant", 400),
    ("6 a sign twice", "GET / HTTP/1.1\r\nHost: h\r\nTransfer---Encoding: chunked\r\n\r\n", "field_variant", 400),
    ("6 a sign in front", "GET / HTTP/1.1\r\nHost: h\r\n_content_length: 0\r\n\r\n", "field_variant", 400),
    ("6 Host with a sign", "GET / HTTP/1.1\r\nHost: h\r\nHost_: g\r\n\r\n", "field_variant", 400),
    (
        "6 a variant of a field of the hop",
        "GET / HTTP/1.1\r\nHost: h\r\nHTTP2_Settings: x\r\n\r\n",
        "field_variant",
        400,
    ),
    ("6 space before the colon", "GET / HTTP/1.1\r\nHost : h\r\n\r\n", "space_before_colon", 400),
    ("6 tab before the colon", "GET / HTTP/1.1\r\nHost: h\r\nA\t:b\r\n\r\n", "space_before_colon", 400),
    ("6 empty name", "GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", "field_name", 400),
    ("6 no colon", "GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n", "field_name", 400),
    ("6 space in a name", "GET / HTTP/1.1\r\nHost: h\r\nA b: c\r\n\r\n", "field_name", 400),
    ("6 NUL in a name", "GET / HTTP/1.1\r\nHost: h\r\nA\0: c\r\n\r\n", "field_name", 400),
    ("6 bracket in a name", "GET / HTTP/1.1\r\nHost: h\r\n[A]: c\r\n\r\n", "field_name", 400),
    // 7. RFC 9112 §5.2: obs-fold.
    ("7 folded by a space", "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", "obs_fold", 400),
    ("7 folded by a tab", "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\tc\r\n\r\n", "obs_fold", 400),
    ("7 white space behind the request line", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", "obs_fold", 400),
    // 8. RFC 9110 §5.5: CR, LF, NUL and other CTL in values.
    ("8 NUL in a value", "GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n", "field_value", 400),
    ("8 escape in a value", "GET / HTTP/1.1\r\nHost: h\r\nA: \x1b\r\n\r\n", "field_value", 400),
    ("8 delete in a value", "GET / HTTP/1.1\r\nHost: h\r\nA: \x7f\r\n\r\n", "field_value", 400),
    // 9. RFC 9112 §3.2: exactly one Host, and that of the target.
    ("9 no Host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", "no_host", 400),
    ("9 two Hosts", "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", "two_hosts", 400),
    ("9 Host is not the target's", "GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n", "host_mismatch", 400),
    ("9 Host is not CONNECT's", "CONNECT other:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", "host_mismatch", 400),
    ("9 Host is no authority", "GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", "host_value", 400),
    ("9 Host is two", "GET / HTTP/1.1\r\nHost: h, g\r\n\r\n", "host_value", 400),
    ("9 user information in Host", "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", "user_info", 400),
    ("9 user information in the target", "GET http://u:p@h/ HTTP/1.1\r\nHost: h\r\n\r\n", "user_info", 400),
    // 13. RFC 9110 §7.6.1: what Connection may nominate.
    (
        "13 nominates a variant",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: content_length\r\n\r\n",
        "connection_nominates",
        400,
    ),
    ("13 nominates Host", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, host\r\n\r\n", "connection_nominates", 400),
    (
        "13 nominates Content-Length",
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: Content-Length\r\nContent-Length: 1\r\n\r\nx",
        "connection_nominates",
        400,
    ),
    (
        "13 nominates Transfer-Encoding",
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: a\r\nConnection: transfer-encoding\r\n\r\n",
        "connection_nominates",
        400,
    ),
    // 14. RFC 9110 §9.3.6: CONNECT has no content.
    (
        "14 CONNECT with a body",
        "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\nContent-Length: 3\r\n\r\nraw",
        "connect_body",
        400,
    ),
    (
        "14 CONNECT with chunks",
        "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "connect_body",
        400,
    ),
    // 16. RFC 9113 §3.4: the preface of HTTP/2.
    ("16 nearly the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r_", "http2_preface", 505),
    ("16 another version", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", "version", 505),
    ("16 HTTP/0.9", "GET /\r\n\r\n", "request_line", 400),
    ("16 lower case", "GET / http/1.1\r\nHost: h\r\n\r\n", "request_line", 400),
    ("16 TLS", "\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03", "method", 400),
    // 17. RFC 9112 §3: method SP request-target SP HTTP-version.
    ("17 method is no token", "G(T / HTTP/1.1\r\nHost: h\r\n\r\n", "method", 400),
    ("17 no method", " / HTTP/1.1\r\nHost: h\r\n\r\n", "method", 400),
    ("17 two spaces", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "request_line", 400),
    ("17 space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "request_line", 400),
    ("17 tab in the target", "GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n", "target_byte", 400),
    ("17 NUL in the target", "GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", "target_byte", 400),
    ("17 fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", "target_byte", 400),
    ("17 no form of a target", "GET a HTTP/1.1\r\nHost: h\r\n\r\n", "target_form", 400),
    ("17 trailing space", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", "request_line", 400),
];

#[test]
fn nothing_of_a_head_that_two_may_read_differently_goes_on() {
    for (name, message, kind, status) in HEADS {
        play(name)
            .client(message)
            .client_violates(kind)
            .client_reads(&format!("HTTP/1.1 {status} "))
            .closes(Close::Graceful)
            .judged(&[])
            .run();
    }
}

#[test]
fn the_requests_in_front_of_it_are_answered_first() {
    for (name, message, kind, status) in HEADS {
        wide(name)
            .client(format!("{GET}{message}"))
            .server_sees(GET)
            .client_violates(kind)
            .server(OK)
            .client_reads(&format!("okHTTP/1.1 {status} "))
            .closes(Close::Graceful)
            .judged(&["GET /a h"])
            .run();
    }
}

/// Rows 10 to 12, in the chunks of a body: what is right in front of the violation, the violation, the word. (RFC 9112
/// §7.1, §7.1.1, §7.1.2; RFC 9110 §6.5.1.)
const CHUNKS: &[(&str, &str, &str, &str)] = &[
    ("10 empty size", "", "\r\n\r\n", "chunk_size"),
    ("10 empty size behind a chunk", "1\r\nx\r\n", "\r\n\r\n", "chunk_size"),
    ("10 sign", "", "+1\r\nx\r\n", "chunk_size"),
    ("10 0x", "", "0x1\r\nx\r\n", "chunk_size"),
    ("10 underscore", "", "1_0\r\n", "chunk_size"),
    ("10 17 digits", "", "00000000000000001\r\nx\r\n", "chunk_size"),
    ("10 over 63 bits", "", "8000000000000000\r\n", "chunk_size"),
    ("10 over 31 bits", "", "80000000\r\n", "chunk_size"),
    ("10 3, counted in 32 bits", "", "100000003\r\nabc\r\n0\r\n\r\n", "chunk_size"),
    ("10 the same with zeros in front", "", "0000000100000003\r\nabc\r\n0\r\n\r\n", "chunk_size"),
    ("10 space in front", "", " 1\r\nx\r\n", "chunk_size"),
    ("10 space behind", "", "1 \r\nx\r\n", "chunk_size"),
    ("10 space in front of an extension", "", "1 ;a\r\nx\r\n", "chunk_size"),
    ("11 bare LF behind the size", "", "1\nx\r\n", "bare_lf"),
    ("11 bare LF in an extension", "", "1;a\nx\r\n", "bare_lf"),
    ("11 bare CR in an extension", "", "1;a\rb\r\nx\r\n", "chunk_extension"),
    ("11 NUL in an extension", "", "1;\0\r\nx\r\n", "chunk_extension"),
    ("11 bare CR behind the size", "", "1\rx\r\n", "chunk_size"),
    ("12 data longer than its size", "1\r\nx", "y\r\n", "chunk_end"),
    ("12 bare LF behind data", "1\r\nx", "\n0\r\n\r\n", "chunk_end"),
    ("12 bare CR behind data", "1\r\nx", "\r0\r\n\r\n", "chunk_end"),
    ("12 Content-Length in trailers", "0\r\n", "Content-Length: 1\r\n\r\n", "trailer_field"),
    ("12 Transfer-Encoding in trailers", "0\r\n", "A: b\r\ntransfer-encoding: chunked\r\n\r\n", "trailer_field"),
    ("12 a variant in trailers", "0\r\n", "A: b\r\nTransfer.Encoding: chunked\r\n\r\n", "trailer_field"),
    ("12 Expect in trailers", "0\r\n", "Expect: 100-continue\r\n\r\n", "trailer_field"),
    ("12 Host in trailers", "0\r\n", "Host: g\r\n\r\n", "trailer_field"),
    ("12 bare LF in trailers", "0\r\n", "A: b\n\r\n", "bare_lf"),
    ("12 folded trailers", "0\r\n", "A: b\r\n c\r\n\r\n", "obs_fold"),
    ("12 a request for trailers", "0\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "field_name"),
];

/// A body goes on as it comes, so the right chunks in front of a violation have left; nothing of the violation has. The
/// server never sees the end of the request.
#[test]
fn nothing_of_a_bad_chunk_goes_on() {
    let post = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (name, right, wrong, kind) in CHUNKS {
        wide(name)
            .client(format!("{post}{right}{wrong}{GET}"))
            .server_sees(format!("{post}{right}"))
            .client_violates(kind)
            .client_reads("HTTP/1.1 400 ")
            .closes(Close::Graceful)
            .run();
        wide(name)
            .reaches_server(GET)
            .client(format!("{post}{right}{wrong}"))
            .server_sees(format!("{post}{right}"))
            .client_violates(kind)
            .server(format!("{OK}HTTP/1.1 200 too early"))
            .client_reads("okHTTP/1.1 400 ")
            .closes(Close::Graceful)
            .run();
    }
}

#[test]
fn a_bad_chunk_under_an_answer_that_has_begun_ends_in_a_reset() {
    let post = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    play("the client reads an answer")
        .reaches_server(post)
        .reaches_client("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun")
        .client("x")
        .client_violates("chunk_size")
        .closes(Close::Reset)
        .run();
}

/// "If a client receives data on a connection that doesn't have outstanding requests, the client SHOULD NOT consider
/// that data to be a valid response" (RFC 9112 §9.2).
#[test]
fn an_answer_that_nobody_asked_for_goes_nowhere() {
    play("18 before a request").server(OK).server_violates("unasked_response").closes(Close::Graceful).run();
    play("18 two final answers")
        .reaches_server(GET)
        .server(format!("{OK}{OK}"))
        .client_sees(OK)
        .server_violates("unasked_response")
        .closes(Close::Graceful)
        .run();
    play("18 a body behind HEAD")
        .reaches_server("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
        .server(OK)
        .client_sees("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        .server_violates("unasked_response")
        .closes(Close::Graceful)
        .run();
}
