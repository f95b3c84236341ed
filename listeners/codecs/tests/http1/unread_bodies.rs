//! Bodies that a server does not read to their end. After its complete response the server may read the rest as the
//! next request.

use portcullis_codecs::http::Limits;
use portcullis_codecs::relay::Close;

use crate::playbook::script::{play, wide};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const DENIED: &str = "GET /deny HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn behind_a_complete_answer_nothing_more_of_its_request_goes_on() {
    for head in [
        "GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n",
        "HEAD /a HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        play("the answer comes first").reaches_server(head).reaches_client(empty).closes(Close::Graceful).run();
    }
    play("the answer comes in between")
        .reaches_server("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n01234")
        .reaches_client("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        .answered(&[413])
        .closes(Close::Graceful)
        .run();
}

/// Servers may answer while they read.
#[test]
fn an_answer_that_has_only_begun_lets_the_body_go_on() {
    play("echo")
        .reaches_server("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        .reaches_client("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .reaches_server("1\r\na\r\n")
        .reaches_client("1\r\na\r\n")
        .reaches_server("1\r\nb\r\n0\r\n\r\n")
        .reaches_client("1\r\nb\r\n0\r\n\r\n")
        .reaches_server(GET)
        .reaches_client(OK)
        .run();
}

#[test]
fn with_more_on_its_way_only_the_answer_to_the_last_ends_the_connection() {
    let put = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n";
    wide("the body of the second is under way")
        .reaches_server(format!("{GET}{put}bo"))
        .reaches_client(OK)
        .reaches_server("d")
        .reaches_client(OK)
        .closes(Close::Graceful)
        .run();
}

/// Some servers lose their place when a second request comes with the first (thin, cpp-httplib).
#[test]
fn one_request_is_on_its_way_at_a_time() {
    let put = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";
    play("two at once")
        .client(format!("{GET}{put}{GET}"))
        .server_sees(GET)
        .server(OK)
        .client_sees(OK)
        .server_sees(put)
        .server(OK)
        .client_sees(OK)
        .server_sees(GET)
        .reaches_client(OK)
        .answered(&[200, 200, 200])
        .run();
    play("a denied one behind it")
        .client(format!("{GET}{DENIED}"))
        .server_sees(GET)
        .server(OK)
        .client_sees(OK)
        .closes(Close::Reset)
        .run();
    play("refusals of ours between them")
        .responding()
        .client(format!("{GET}{DENIED}{DENIED}{GET}"))
        .server_sees(GET)
        .server(OK)
        .client_reads("okHTTP/1.1 403")
        .server_sees(GET)
        .reaches_client(OK)
        .answered(&[200, 200])
        .run();
    play("the client ends before its answer").reaches_server(GET).client_ends().reaches_client(OK).run();
    play("and with a second one held")
        .client(format!("{GET}{GET}"))
        .server_sees(GET)
        .client_ends()
        .server(OK)
        .client_sees(OK)
        .server_sees(GET)
        .reaches_client(OK)
        .run();
}

/// A server that reads no trailers takes them for the next request (cheroot).
#[test]
fn requests_have_no_trailers_unless_a_setting_allows_them() {
    let post = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    play("a chunked body ends").reaches_server(format!("{post}1\r\nx\r\n0\r\n\r\n")).reaches_client(OK).run();
    for trailers in ["X:GET /deny HTTP/1.1\r\n\r\n", "A: b\r\n\r\n", "GET"] {
        play("and nothing more")
            .client(format!("{post}1\r\nx\r\n0\r\n{trailers}"))
            .server_sees(format!("{post}1\r\nx\r\n0\r\n"))
            .client_violates("trailers")
            .client_reads("HTTP/1.1 431 ")
            .closes(Close::Graceful)
            .run();
    }
    let some = Limits { trailers: 6, ..Limits::default() };
    play("six bytes").limits(some).reaches_server(format!("{post}0\r\nA: b\r\n\r\n")).reaches_client(OK).run();
    play("seven bytes")
        .limits(some)
        .client(format!("{post}0\r\nA: bc\r\n\r\n"))
        .server_sees(format!("{post}0\r\n"))
        .client_violates("trailers")
        .client_reads("HTTP/1.1 431 ")
        .closes(Close::Graceful)
        .run();
}

/// A server that switches to HTTP/2 before it reads the body takes it for requests (golang.org/x/net before 2022).
#[test]
fn no_offer_has_a_body_that_begins_like_http2() {
    let offer = |framing: &str| {
        format!(
            "POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n{framing}\r\n\r\n"
        )
    };
    let (long, chunked) = (offer("Content-Length: 105"), offer("Transfer-Encoding: chunked"));
    for head in [&long, &chunked] {
        play("the preface")
            .client(format!("{head}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
            .server_sees(head)
            .client_violates("offered_preface")
            .client_reads("HTTP/1.1 400 ")
            .closes(Close::Graceful)
            .run();
    }
    play("the beginning of it waits for more").client(format!("{long}PRI *")).server_sees(&long).run();
    for body in ["x", "PRICES", "PRI *", "PRI", "P"] {
        let head = offer(&format!("Content-Length: {}", body.len()));
        play("any other body").reaches_server(format!("{head}{body}")).reaches_client(OK).run();
    }
    play("other offers too")
        .client("POST / HTTP/1.1\r\nHost: h\r\nUpgrade: foo\r\nContent-Length: 6\r\n\r\nPRI * ")
        .server_sees("POST / HTTP/1.1\r\nHost: h\r\nUpgrade: foo\r\nContent-Length: 6\r\n\r\n")
        .client_violates("offered_preface")
        .client_reads("HTTP/1.1 400 ")
        .closes(Close::Graceful)
        .run();
    play("without an offer it is a body like any other")
        .reaches_server("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 16\r\n\r\nPRI * HTTP/2.0\r\n")
        .reaches_client(OK)
        .run();
}
