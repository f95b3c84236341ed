//! Exchanges that are forwarded unchanged.

use portcullis_codecs::relay::Close;

use crate::playbook::script::{play, wide};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_request_and_its_answer_go_on_as_they_came() {
    play("one exchange, spelled oddly")
        .reaches_server("GET /status/200?x=1 HTTP/1.1\r\nhOsT:h \r\nX-One:   1\r\nx-one: \t2 \r\nEmpty:\r\n\r\n")
        .reaches_client("HTTP/1.1 200 \r\ncontent-LENGTH: 2\r\nX: é\r\n\r\nok")
        .judged(&["GET /status/200?x=1 h"])
        .answered(&[200])
        .run();
}

/// "A client that supports persistent connections MAY 'pipeline' its requests" and "a server MUST send its responses
/// in the same order" (RFC 9112 §9.3.2).
#[test]
fn pipelined_requests_are_judged_one_by_one_and_answered_in_order() {
    let third = "HEAD /c HTTP/1.1\r\nHost: h\r\n\r\n";
    wide("three in one go")
        .reaches_server(format!("{GET}POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc{third}"))
        .judged(&["GET /a h", "POST /b h", "HEAD /c h"])
        .reaches_client(format!("{OK}HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"))
        .reaches_client("HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n")
        .reaches_server(GET)
        .reaches_client(OK)
        .answered(&[200, 201, 200, 200])
        .run();
}

/// "ignore at least one empty line (CRLF) received prior to the request-line" (RFC 9112 §2.2).
#[test]
fn a_few_empty_lines_in_front_of_a_request_are_dropped() {
    wide("an empty line behind a body, as old clients send it")
        .client(format!("\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx\r\n\r\n{GET}"))
        .server_sees(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx{GET}"))
        .run();
    wide("but not for ever")
        .client("\r\n\r\n\r\n\r\n\r\n")
        .client_violates("request_line")
        .client_reads("HTTP/1.1 400 Bad Request\r\n")
        .closes(Close::Graceful)
        .run();
}

/// "The chunked coding wraps content in order to transfer it as a series of chunks" with extensions and a trailer
/// section (RFC 9112 §7.1).
#[test]
fn chunks_extensions_and_trailers_go_on_as_they_came() {
    let chunks = "005;a=\"b;c\"\r\nhello\r\nA\r\n0123456789\r\n00;last\r\nX-Sum: 1\r\nX-More:2\r\n\r\n";
    wide("chunks both ways, then the next exchange")
        .reaches_server(format!(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\nTE: trailers\r\n\r\n{chunks}{GET}"
        ))
        .reaches_client(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"))
        .reaches_client(OK)
        .answered(&[200, 200])
        .run();
}

/// "A response to a HEAD request, and any 1xx, 204 or 304 response, is always terminated by the first empty line after
/// the header fields, regardless of the header fields present" (RFC 9112 §6.3).
#[test]
fn answers_without_a_body_end_with_their_head() {
    let head = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
    wide("HEAD with a length, HEAD with chunks, 204, 304 with a length")
        .reaches_server(format!("{head}{head}{GET}{GET}{GET}"))
        .reaches_client("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        .reaches_client("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .reaches_client("HTTP/1.1 204 No Content\r\n\r\n")
        .reaches_client("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n")
        .reaches_client(OK)
        .answered(&[200, 200, 204, 304, 200])
        .run();
}

/// "A client MUST be able to parse one or more 1xx responses received prior to a final response" (RFC 9110 §15.2).
#[test]
fn interim_answers_precede_the_final_one_and_count_for_nothing() {
    wide("early hints among pipelined requests")
        .reaches_server(format!("{GET}{GET}"))
        .reaches_client("HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
        .answered(&[])
        .reaches_client(OK)
        .reaches_client("HTTP/1.1 103 Early Hints\r\n\r\n")
        .answered(&[200])
        .reaches_client(OK)
        .answered(&[200, 200])
        .run();
}

/// "If a message is received without Transfer-Encoding and Content-Length ... this is a response message without a
/// declared message body length, so the message body length is determined by the number of octets received prior to
/// the server closing the connection" (RFC 9112 §6.3).
#[test]
fn an_answer_without_length_goes_on_until_the_server_ends() {
    play("HTTP/1.0 to HTTP/1.1")
        .reaches_server(GET)
        .reaches_client("HTTP/1.0 200 OK\r\n\r\neverything\r\n\r\nHTTP/1.1 200 OK\r\n")
        .reaches_client("and more")
        .answered(&[200])
        .server_ends()
        .closes(Close::Graceful)
        .run();
}

#[test]
fn http_1_0_needs_no_host_and_ends_with_its_answer() {
    wide("a health check of 1996").reaches_server("GET / HTTP/1.0\r\n\r\n").judged(&["GET /"]).reaches_client(OK).run();
    wide("what comes behind the last request goes nowhere")
        .client(format!("GET / HTTP/1.0\r\n\r\n{GET}"))
        .server_sees("GET / HTTP/1.0\r\n\r\n")
        .reaches_client(OK)
        .judged(&["GET /"])
        .run();
    wide("unless both keep it alive")
        .reaches_server(format!("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n{GET}"))
        .reaches_client(format!("{OK}{OK}"))
        .run();
}

/// "A server that receives a 'close' connection option ... MUST NOT process any further requests received on that
/// connection" (RFC 9112 §9.6).
#[test]
fn no_request_goes_on_behind_connection_close() {
    let last = "POST / HTTP/1.1\r\nHost: h\r\nConnection: foo\r\nConnection: bar ,CLOSE\r\nContent-Length: 1\r\n\r\nx";
    wide("close by the client")
        .client(format!("{last}{GET}"))
        .server_sees(last)
        .judged(&["POST / h"])
        .reaches_client(OK)
        .run();
    wide("close by the server, with requests behind it")
        .reaches_server(format!("{GET}{GET}"))
        .reaches_client("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        .server_ends()
        .closes(Close::Graceful)
        .run();
}

/// "A client SHOULD treat a response in the 6xx range and above as 5xx" (RFC 9110 §15, in short).
#[test]
fn status_codes_of_ones_own_are_final() {
    play("999")
        .reaches_server(GET)
        .reaches_client("HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n")
        .answered(&[999])
        .run();
}
