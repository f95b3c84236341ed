//! `Expect: 100-continue` (RFC 9110 §10.1.1). A server that answers without a 100 need not read the body, and some
//! servers then read it as the next request.

use portcullis_codecs::relay::Close;

use crate::playbook::script::{play, wide};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 4\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

#[test]
fn a_body_waits_for_100() {
    play("as the client does")
        .reaches_server(POST)
        .reaches_client(CONTINUE)
        .reaches_server("body")
        .reaches_client(OK)
        .reaches_server(GET)
        .reaches_client(OK)
        .answered(&[200, 200])
        .run();
    play("in the place of a client that does not")
        .client(format!("{POST}body{GET}"))
        .server_sees(POST)
        .reaches_client("HTTP/1.1 103 Early Hints\r\n\r\n")
        .server(CONTINUE)
        .client_sees(CONTINUE)
        .server_sees("body")
        .server(OK)
        .client_sees(OK)
        .server_sees(GET)
        .run();
    let chunked = POST.replace("Content-Length: 4", "Transfer-Encoding: chunked");
    play("in chunks")
        .client(format!("{chunked}4\r\nbody\r\n0\r\n\r\n"))
        .server_sees(&chunked)
        .server(CONTINUE)
        .client_sees(CONTINUE)
        .server_sees("4\r\nbody\r\n0\r\n\r\n")
        .reaches_client(OK)
        .run();
}

#[test]
fn a_final_answer_instead_ends_the_connection_and_nothing_of_the_body_goes_on() {
    for answer in [
        "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!",
        "HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        OK,
    ] {
        play("the client waits").reaches_server(POST).reaches_client(answer).closes(Close::Graceful).run();
        play("the client does not")
            .client(format!("{POST}body{GET}"))
            .server_sees(POST)
            .reaches_client(answer)
            .closes(Close::Graceful)
            .judged(&["POST / h"])
            .run();
    }
    play("from the first byte of its head on")
        .reaches_server(POST)
        .reaches_client("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\n")
        .client("body")
        .reaches_client("no!")
        .closes(Close::Graceful)
        .run();
    play("without a length")
        .client(format!("{POST}body"))
        .server_sees(POST)
        .reaches_client("HTTP/1.1 413 Content Too Large\r\n\r\nno!")
        .server_ends()
        .closes(Close::Graceful)
        .run();
}

/// Servers of HTTP/1.0 never say it, and clients must not wait for ever for it either.
#[test]
fn a_body_does_not_wait_for_ever() {
    play("the server says nothing")
        .client(format!("{POST}bo"))
        .server_sees(POST)
        .word_is_late()
        .server_sees("bo")
        .reaches_server("dy")
        .reaches_client(OK)
        .reaches_server(GET)
        .run();
    play("nor does the client")
        .reaches_server(POST)
        .word_is_late()
        .reaches_client(CONTINUE)
        .reaches_server("body")
        .reaches_client(OK)
        .run();
}

#[test]
fn the_word_is_that_about_the_request_itself() {
    play("a 100 to an earlier request lets nothing go")
        .client(format!("{GET}{POST}body"))
        .limits(portcullis_codecs::http::Limits { pipelined: 8, ..Default::default() })
        .server_sees(format!("{GET}{POST}"))
        .reaches_client(CONTINUE)
        .reaches_client(OK)
        .server(CONTINUE)
        .client_sees(CONTINUE)
        .server_sees("body")
        .run();
    wide("nor does its answer end the connection")
        .client(format!("{GET}{POST}body"))
        .server_sees(format!("{GET}{POST}"))
        .reaches_client(OK)
        .server(CONTINUE)
        .client_sees(CONTINUE)
        .server_sees("body")
        .reaches_client(OK)
        .answered(&[200, 200])
        .run();
}

/// "A server that receives an Expect field value containing a member other than 100-continue MAY respond with a 417"
/// (RFC 9110 §10.1.1).
#[test]
fn no_other_expectation_goes_on() {
    for lines in [
        "Expect: foo",
        "Expect:",
        "Expect: 100-continue, 100-continue",
        "Expect: 100-continue\r\nExpect: 100-continue",
        "Expect: 100-continue; a=b",
        "Expect: 100 continue",
        "Expect: x100-continue",
    ] {
        play("refused")
            .client(format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n{GET}"))
            .client_violates("expectation")
            .client_reads("HTTP/1.1 417 Expectation Failed\r\n")
            .closes(Close::Graceful)
            .judged(&[])
            .run();
    }
    play("nothing waits where there is no body")
        .reaches_server("GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n")
        .reaches_client(OK)
        .reaches_server(GET)
        .run();
}

#[test]
fn a_client_that_ends_while_its_body_waits_is_seen() {
    play("nothing of the body has come").reaches_server(POST).client_ends().reaches_client(OK).run();
}
