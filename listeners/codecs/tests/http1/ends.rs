//! The end of each byte stream in every state.

use portcullis_codecs::relay::Close;

use crate::playbook::script::{play, wide};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn the_client_may_end_between_requests_and_still_gets_its_answers() {
    wide("before any request").client_ends().closes(Close::Graceful).run();
    wide("after an exchange").reaches_server(GET).reaches_client(OK).client_ends().closes(Close::Graceful).run();
    wide("before its answers")
        .reaches_server(format!("{GET}{GET}"))
        .client_ends()
        .reaches_client(format!("{OK}{OK}"))
        .run();
    wide("behind an offer")
        .reaches_server("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n\r\n")
        .client_ends()
        .reaches_client("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw")
        .run();
}

/// "A server that receives an incomplete request message ... MAY send an error response prior to closing the
/// connection" (RFC 9112 §8).
#[test]
fn the_client_that_ends_inside_a_head_is_told() {
    wide("alone")
        .client("GET / HTTP/1.1\r\nHost: h\r\n")
        .client_ends()
        .client_violates("truncated_head")
        .client_reads("HTTP/1.1 400 Bad Request\r\n")
        .closes(Close::Graceful)
        .run();
    wide("behind a request")
        .reaches_server(GET)
        .client("GET")
        .client_ends()
        .client_violates("truncated_head")
        .server(OK)
        .client_reads("okHTTP/1.1 400 Bad Request\r\n")
        .closes(Close::Graceful)
        .run();
}

#[test]
fn a_body_that_ends_early_is_left_to_the_server() {
    let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123";
    play("it may answer").reaches_server(post).client_ends().reaches_client(OK).run();
    play("it has answered").reaches_server(post).reaches_client(OK).closes(Close::Graceful).run();
    let denied = "POST /deny HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123";
    play("we have answered")
        .responding()
        .client(denied)
        .client_reads("403")
        .client_ends()
        .closes(Close::Graceful)
        .run();
}

#[test]
fn the_server_may_end_between_answers() {
    wide("before any request").server_ends().closes(Close::Graceful).run();
    wide("without an answer").reaches_server(GET).server_ends().closes(Close::Graceful).run();
    wide("after an interim answer")
        .reaches_server(GET)
        .reaches_client("HTTP/1.1 100 Continue\r\n\r\n")
        .server_ends()
        .closes(Close::Graceful)
        .run();
    wide("with answers due")
        .reaches_server(format!("{GET}{GET}"))
        .reaches_client(OK)
        .server_ends()
        .closes(Close::Graceful)
        .run();
}

/// "A client that receives an incomplete response message ... MUST record the message as incomplete" (RFC 9112 §8), so
/// it has to see that it was cut.
#[test]
fn an_answer_that_is_cut_ends_in_a_reset() {
    play("in its head, of which nothing has been sent yet")
        .reaches_server(GET)
        .server("HTTP/1.1 200 OK\r\nContent-")
        .server_ends()
        .server_violates("truncated_response_head")
        .client_reads("HTTP/1.1 502 Bad Gateway\r\n")
        .closes(Close::Graceful)
        .run();
    play("in its body")
        .reaches_server(GET)
        .reaches_client("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut")
        .server_ends()
        .closes(Close::Reset)
        .run();
    play("in its chunks")
        .reaches_server(GET)
        .reaches_client("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ncut\r\n")
        .server_ends()
        .closes(Close::Reset)
        .run();
}

#[test]
fn the_time_for_a_head_runs_only_while_one_has_begun() {
    wide("idle").time_passes().reaches_server(GET).time_passes().reaches_client(OK).time_passes().run();
    wide("in a body").reaches_server("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n").time_passes().run();
    wide("in a head")
        .client("GET / HTTP/1.1\r\nHo")
        .time_passes()
        .client_violates("head_timeout")
        .client_reads("HTTP/1.1 408 Request Timeout\r\n")
        .closes(Close::Graceful)
        .run();
    wide("in a head, with an answer due")
        .reaches_server(GET)
        .client("G")
        .time_passes()
        .client_violates("head_timeout")
        .server(OK)
        .client_reads("okHTTP/1.1 408 Request Timeout\r\n")
        .closes(Close::Graceful)
        .run();
}
