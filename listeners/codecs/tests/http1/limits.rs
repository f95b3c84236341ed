//! Each limit holds to the byte, and input exactly at the limit passes.

use portcullis_codecs::http::Limits;
use portcullis_codecs::relay::Close;

use crate::playbook::script::play;

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

fn limits() -> Limits {
    Limits {
        request_head: 64,
        request_headers: 3,
        response_head: 64,
        pipelined: 2,
        chunk_extensions: 8,
        trailers: 16,
        swallowed: 64,
        ..Limits::default()
    }
}

#[test]
fn a_head_at_the_limit_passes_and_one_byte_more_does_not() {
    let head = |length: usize| {
        let rest = "GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(length - rest))
    };
    play("64 bytes").limits(limits()).reaches_server(head(64)).run();
    play("65 bytes")
        .limits(limits())
        .client(head(65))
        .client_violates("long_head")
        .client_reads("HTTP/1.1 431 ")
        .closes(Close::Graceful)
        .run();
    play("a long target")
        .limits(limits())
        .client(format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(60)))
        .client_violates("long_target")
        .client_reads("HTTP/1.1 414 ")
        .closes(Close::Graceful)
        .run();
}

#[test]
fn header_lines_are_counted() {
    play("three").limits(limits()).reaches_server("GET / HTTP/1.1\r\nHost: h\r\nA:\r\nB:\r\n\r\n").run();
    play("four")
        .limits(limits())
        .client("GET / HTTP/1.1\r\nHost: h\r\nA:\r\nB:\r\nC:\r\n\r\n")
        .client_violates("many_headers")
        .client_reads("HTTP/1.1 431 ")
        .closes(Close::Graceful)
        .run();
}

#[test]
fn at_most_so_many_answers_are_due() {
    play("two of four")
        .limits(limits())
        .client(GET.repeat(4))
        .server_sees(GET.repeat(2))
        .server(OK)
        .client_sees(OK)
        .server_sees(GET)
        .server(OK.repeat(2))
        .client_sees(OK.repeat(2))
        .server_sees(GET)
        .run();
}

#[test]
fn chunk_extensions_and_trailers_have_room_for_so_much() {
    play("eight bytes in two chunks")
        .limits(limits())
        .reaches_server(format!("{POST}1;ab\r\nx\r\n0;abcd\r\nT: 1\r\nU: 2\r\n\r\n"))
        .run();
    for (name, body, right, kind, status) in [
        ("extensions", "1;ab\r\nx\r\n0;abcde\r\n\r\n", "1;ab\r\nx\r\n", "chunk_extensions", "400"),
        ("one long extension", "1;abcdefghijk", "", "chunk_extensions", "400"),
        ("trailers", "0\r\nT: 1\r\nUvwxyz: 22\r\n\r\n", "0\r\n", "trailers", "431"),
    ] {
        play(name)
            .limits(limits())
            .client(format!("{POST}{body}"))
            .server_sees(format!("{POST}{right}"))
            .client_violates(kind)
            .client_reads(&format!("HTTP/1.1 {status} "))
            .closes(Close::Graceful)
            .run();
    }
}

#[test]
fn the_head_and_the_trailers_of_an_answer_share_one_limit() {
    let long = format!("X: {}\r\n\r\n", "x".repeat(60));
    play("head")
        .limits(limits())
        .reaches_server(GET)
        .server(format!("HTTP/1.1 200 OK\r\n{long}"))
        .server_violates("long_response_head")
        .client_reads("HTTP/1.1 502 ")
        .closes(Close::Graceful)
        .run();
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    play("trailers longer than a request's")
        .limits(limits())
        .reaches_server(GET)
        .reaches_client(format!("{head}0\r\nX: {}\r\n\r\n", "x".repeat(40)))
        .run();
    play("trailers")
        .limits(limits())
        .reaches_server(GET)
        .reaches_client(format!("{head}0\r\n{long}"))
        .server_violates("trailers")
        .server_ends()
        .closes(Close::Graceful)
        .run();
}

#[test]
fn the_default_limits_take_what_users_send() {
    let limits = Limits::default();
    assert!(limits.request_head >= 128 * 1024 && limits.response_head >= 8 * 1024 * 1024);
}
