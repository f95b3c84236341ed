//! Requests that are denied.

use portcullis_codecs::http::Limits;
use portcullis_codecs::relay::Close;

use crate::playbook::script::{play, wide};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const DENIED: &str = "GET /deny HTTP/1.1\r\nHost: h\r\n\r\n";
const FORBIDDEN: &str =
    "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 15\r\n\r\nAccess denied\r\n";

#[test]
fn a_denied_request_is_reset_at_once_and_nothing_of_it_goes_on() {
    play("the first").client(DENIED).judged(&["GET /deny h -> Reset"]).closes(Close::Reset).run();
    play("with a body")
        .client("POST /deny HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody")
        .closes(Close::Reset)
        .run();
    play("after a complete exchange").reaches_server(GET).reaches_client(OK).client(DENIED).closes(Close::Reset).run();
    play("with an ambiguous path").client("GET /a/%2e%2e/deny HTTP/1.1\r\nHost: h\r\n\r\n").closes(Close::Reset).run();
}

#[test]
fn the_reset_comes_behind_the_answers_that_are_due() {
    wide("denied behind two allowed")
        .client(format!("{GET}{GET}{DENIED}{GET}"))
        .server_sees(format!("{GET}{GET}"))
        .judged(&["GET /a h", "GET /a h", "GET /deny h -> Reset"])
        .reaches_client(OK)
        .server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlast!")
        .client_sees("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlast!")
        .closes(Close::Reset)
        .run();
}

#[test]
fn the_end_of_an_answer_without_length_is_not_turned_into_a_reset() {
    play("the answer due has no length")
        .client(format!("{GET}{DENIED}"))
        .server_sees(GET)
        .reaches_client("HTTP/1.1 200 OK\r\n\r\nuntil the end")
        .server_ends()
        .closes(Close::Graceful)
        .run();
    play("nor is a refusal of ours put behind it")
        .responding()
        .client(format!("{GET}{DENIED}"))
        .server_sees(GET)
        .reaches_client("HTTP/1.1 200 OK\r\n\r\nuntil the end")
        .server_ends()
        .closes(Close::Graceful)
        .run();
}

#[test]
fn a_refusal_stands_in_its_place_and_the_connection_goes_on() {
    wide("403 in order")
        .responding()
        .client(format!("{GET}{DENIED}{DENIED}{GET}"))
        .server_sees(format!("{GET}{GET}"))
        .server(OK)
        .client_sees(format!("{OK}{FORBIDDEN}{FORBIDDEN}"))
        .reaches_client(OK)
        .answered(&[200, 200])
        .client(DENIED)
        .client_sees(FORBIDDEN)
        .run();
}

#[test]
fn a_call_of_grpc_web_is_refused_by_its_status() {
    let call = |content_type: &str| {
        format!("POST /deny HTTP/1.1\r\nHost: h\r\nContent-Type: {content_type}\r\nContent-Length: 4\r\n\r\nbody")
    };
    let refused = |content_type: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: 0\r\ngrpc-status: 7\r\n\
             grpc-message: denied by network policy\r\n\r\n"
        )
    };
    play("binary and as text, in order, and the connection goes on")
        .responding()
        .reaches_server(GET)
        .client(call("application/grpc-web+proto"))
        .client(call("application/grpc-web-text"))
        .server(OK)
        .client_sees(format!("{OK}{}{}", refused("application/grpc-web"), refused("application/grpc-web-text")))
        .reaches_server(GET)
        .run();
    play("a content type of HTTP/2 is none here")
        .responding()
        .client(call("application/grpc"))
        .client_sees(FORBIDDEN)
        .run();
    play("a reset is a reset").client(call("application/grpc-web")).closes(Close::Reset).run();
}

#[test]
fn the_body_of_a_refused_request_is_dropped() {
    let chunks = "POST /deny HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    play("length and chunks")
        .responding()
        .client("POST /deny HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody")
        .client_sees(FORBIDDEN)
        .client(chunks)
        .client_sees(FORBIDDEN)
        .reaches_server(GET)
        .run();
    play("HEAD is answered by a head")
        .responding()
        .client("HEAD /deny HTTP/1.1\r\nHost: h\r\n\r\n")
        .client_sees(FORBIDDEN.strip_suffix("Access denied\r\n").unwrap())
        .run();
}

#[test]
fn the_connection_ends_behind_a_refusal_where_it_cannot_go_on() {
    for (name, request) in [
        (
            "the client waits for 100",
            "POST /deny HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
        ),
        ("the client says close", "GET /deny HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
        ("the client speaks HTTP/1.0", "GET /deny HTTP/1.0\r\n\r\n"),
        ("the client wants a tunnel", "CONNECT deny:443 HTTP/1.1\r\nHost: deny:443\r\n\r\n"),
        ("the body is long", "PUT /deny HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n"),
    ] {
        play(name)
            .responding()
            .client(request)
            .client_reads("HTTP/1.1 403 Forbidden\r\n")
            .closes(Close::Graceful)
            .run();
        play(name)
            .responding()
            .reaches_server(GET)
            .client(request)
            .client(GET)
            .server(OK)
            .client_reads("Connection: close\r\n")
            .closes(Close::Graceful)
            .run();
    }
}

#[test]
fn a_refused_body_without_end_is_not_read_for_ever() {
    let limits = Limits { swallowed: 20, pipelined: 2, ..Limits::default() };
    let head = "PUT /deny HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    play("the refusal was said")
        .limits(limits)
        .responding()
        .client(head)
        .client_sees(FORBIDDEN)
        .client("A\r\n0123456789\r\nA\r\n0123456789\r\n")
        .closes(Close::Graceful)
        .run();
    play("the refusal is due")
        .limits(limits)
        .responding()
        .reaches_server(GET)
        .client(format!("{head}A\r\n0123456789\r\nA\r\n0123456789\r\n"))
        .server(OK)
        .client_reads("Connection: close\r\n\r\nAccess denied")
        .closes(Close::Graceful)
        .run();
    play("the refused body is malformed")
        .responding()
        .client(head)
        .client_sees(FORBIDDEN)
        .client("x\r\n")
        .client_violates("chunk_size")
        .closes(Close::Graceful)
        .run();
}
