//! Responses that break the standard but that clients accept. They are forwarded unchanged, no further byte of the
//! client reaches the server, and the connection closes behind them. A response that cannot be forwarded is replaced
//! by one of ours: never by a bare reset.

use portcullis_codecs::relay::Close;

use crate::playbook::script::{play, wide};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const HEAD: &str = "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n";
const CONNECT: &str = "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers whose end can be told all the same.
const ENDING: &[(&str, &str, &str)] = &[
    (GET, "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "bare_lf"),
    (GET, "HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok", "bare_lf"),
    (GET, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok", "bare_lf"),
    (GET, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "two_lengths"),
    (GET, "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", "content_length"),
    (
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "length_and_encoding",
    ),
    (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok", "transfer_encoding"),
    (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "transfer_encoding"),
    (GET, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "encoding_in_http10"),
    (GET, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nok", "obs_fold"),
    (GET, "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", "space_before_colon"),
    (GET, "HTTP/1.1 200 OK\r\nA (b): c\r\nContent-Length: 2\r\n\r\nok", "field_name"),
    (GET, "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\nok", "field_name"),
    (GET, "HTTP/1.1 200 OK\r\nA: \x01\r\nContent-Length: 2\r\n\r\nok", "field_value"),
    (GET, "HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nok", "status_line"),
    (GET, "HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n\r\nok", "connection_nominates"),
    (GET, "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", "unexpected_body"),
    (GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n", "two_lengths"),
    (HEAD, "HTTP/1.1 200 OK\nContent-Length: 2\n\n", "bare_lf"),
    (GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", "two_lengths"),
    (
        GET,
        "HTTP/1.1 103 Hints\r\nContent-Length: 2\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "unexpected_body",
    ),
    (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nok\r\n0  \r\n\r\n", "chunk_size"),
    (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 ;a=\x01\r\nok\r\n0\r\n\r\n", "chunk_size"),
    (
        GET,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nExpect: x\r\nContent-Length: 1\r\n\r\n",
        "trailer_field",
    ),
];

/// Answers that end with the server's stream.
const ENDLESS: &[(&str, &str, &str)] = &[
    (GET, "HTTP/1.1 200 OK\n\nok", "bare_lf"),
    (GET, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\nok", "two_lengths"),
    (GET, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok", "content_length"),
    (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok", "transfer_encoding"),
    (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", "transfer_encoding"),
    (GET, "HTTP/1.1  200 OK\r\n\r\nok", "status_line"),
    (GET, "HTTP/2 200 OK\r\n\r\nok", "status_line"),
    (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n", "bare_lf"),
    (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "chunk_size"),
    (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100000003\r\nabc", "chunk_size"),
    (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz", "chunk_end"),
];

#[test]
fn an_odd_answer_goes_on_and_the_connection_ends_behind_it() {
    for (request, answer, kind) in ENDING {
        play("the end can be told")
            .reaches_server(request)
            .reaches_client(answer)
            .server_violates(kind)
            .closes(Close::Graceful)
            .run();
        play("what stands behind it does not go on")
            .reaches_server(request)
            .server(format!("{answer}{OK}"))
            .client_sees(answer)
            .server_violates(kind)
            .closes(Close::Graceful)
            .run();
    }
    for (request, answer, kind) in ENDLESS {
        play("the server ends it")
            .reaches_server(request)
            .reaches_client(answer)
            .server_violates(kind)
            .reaches_client("and more\r\n\r\n")
            .server_ends()
            .closes(Close::Graceful)
            .run();
    }
}

#[test]
fn its_status_is_told_where_there_is_one() {
    play("200").reaches_server(GET).reaches_client(ENDLESS[0].1).server_violates("bare_lf").answered(&[200]).run();
}

#[test]
fn nothing_more_of_the_client_goes_on() {
    let put = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n";
    play("the rest of its request")
        .reaches_server(put)
        .reaches_client("HTTP/1.1 200 OK\n\nok")
        .server_violates("bare_lf")
        .client("body")
        .reaches_client("still")
        .server_ends()
        .closes(Close::Graceful)
        .run();
    play("the next request, where only the client knows that it may come")
        .reaches_server(GET)
        .reaches_client("HTTP/1.1 200 OK\n\nok")
        .server_violates("bare_lf")
        .client(GET)
        .closes(Close::Reset)
        .run();
    wide("the next request, while the answer comes")
        .reaches_server(GET)
        .reaches_client("HTTP/1.1 200 OK\nContent-Length: 2\n\no")
        .server_violates("bare_lf")
        .client(GET)
        .reaches_client("k")
        .closes(Close::Graceful)
        .run();
}

#[test]
fn what_cannot_go_on_is_answered_by_us() {
    for (request, answer, kind) in [
        (GET, "SSH-2.0-OpenSSH_9.6\r\n\r\n", "status_line"),
        (GET, "hello\n", "bare_lf"),
        (GET, "HTTP/1.1 OK\r\n\r\n", "status_line"),
        (GET, "HTTP/1.1 099 OK\r\n\r\n", "status_line"),
        (GET, "HTTP/1.1 101 Switching\n\n", "bare_lf"),
        (CONNECT, "HTTP/1.1 200 OK\n\n", "bare_lf"),
    ] {
        play("in the place of the answer")
            .reaches_server(request)
            .server(answer)
            .server_violates(kind)
            .client_reads("HTTP/1.1 502 Bad Gateway\r\n")
            .closes(Close::Graceful)
            .answered(&[])
            .run();
    }
    play("a head without an end")
        .reaches_server(GET)
        .server("HTTP/1.1 200 OK\nA: b\n")
        .server_violates("bare_lf")
        .server_ends()
        .client_reads("HTTP/1.1 502 ")
        .closes(Close::Graceful)
        .run();
    play("a head to HEAD")
        .reaches_server(HEAD)
        .server("hello\n")
        .server_violates("bare_lf")
        .client_sees(
            "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: 39\r\nConnection: close\r\n\r\n",
        )
        .closes(Close::Graceful)
        .run();
}
