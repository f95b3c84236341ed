//! CONNECT and Upgrade: raw bytes pass only behind the response that accepts the switch.

use portcullis_codecs::relay::Close;

use crate::playbook::script::{play, wide};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const WEBSOCKET: &str = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const JAVA: &str = "GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 0\r\nHost: h\r\n\
    HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\nUser-Agent: Java-http-client/17\r\n\r\n";

/// "A client cannot begin using an upgraded protocol on the connection until ... it has received 101"
/// (RFC 9110 §7.8, in short).
#[test]
fn what_follows_an_offer_waits_for_101_and_is_raw_from_there() {
    play("a client that cannot wait")
        .client(format!("{WEBSOCKET}GET /deny \n\0 raw"))
        .server_sees(WEBSOCKET)
        .server(format!("{SWITCHING}raw\0\n"))
        .client_sees(format!("{SWITCHING}raw\0\n"))
        .server_sees("GET /deny \n\0 raw")
        .judged(&["GET /chat h"])
        .answered(&[101])
        .reaches_server(GET)
        .reaches_client("\0\x01HTTP/9")
        .client_ends()
        .reaches_client("still open this way")
        .server_ends()
        .run();
}

#[test]
fn what_follows_an_offer_that_is_declined_is_the_next_request() {
    play("200 instead")
        .client(format!("{WEBSOCKET}{GET}"))
        .server_sees(WEBSOCKET)
        .server(OK)
        .client_sees(OK)
        .server_sees(GET)
        .reaches_client(OK)
        .judged(&["GET /chat h", "GET /a h"])
        .run();
    play("and is judged")
        .client(format!("{WEBSOCKET}GET /deny HTTP/1.1\r\nHost: h\r\n\r\n"))
        .server_sees(WEBSOCKET)
        .server(OK)
        .client_sees(OK)
        .closes(Close::Reset)
        .run();
}

/// A bug once: the answer to an earlier request let go what waited behind the offer.
#[test]
fn an_earlier_answer_does_not_let_go_what_waits_behind_an_offer() {
    wide("an offer behind another request")
        .client(format!("{GET}{WEBSOCKET}{GET}"))
        .server_sees(format!("{GET}{WEBSOCKET}"))
        .reaches_client(OK)
        .judged(&["GET /a h", "GET /chat h"])
        .server(SWITCHING)
        .client_sees(SWITCHING)
        .server_sees(GET)
        .judged(&["GET /a h", "GET /chat h"])
        .run();
}

#[test]
fn an_offer_with_a_body_switches_behind_it() {
    let post = "POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: TLS/1.2\r\nContent-Length: 4\r\n\r\nbody";
    play("body, 100, 101")
        .reaches_server(post)
        .client("held")
        .reaches_client("HTTP/1.1 100 Continue\r\n\r\n")
        .server("HTTP/1.1 101 Switching Protocols\r\nUpgrade: TLS/1.2\r\n\r\n")
        .client_sees("HTTP/1.1 101 Switching Protocols\r\nUpgrade: TLS/1.2\r\n\r\n")
        .server_sees("held")
        .run();
    play("a final answer before the body has ended")
        .reaches_server(post.strip_suffix("dy").unwrap())
        .reaches_client(OK)
        .closes(Close::Graceful)
        .run();
}

/// HTTP/2 over cleartext by Upgrade is obsolete (RFC 9113 §3.1). Java offers it with every first request: the offer goes
/// on as it came, and most servers ignore it. One that switches to what nobody judges is refused.
#[test]
fn javas_offer_of_h2c_goes_on_and_only_what_cannot_be_followed_is_refused() {
    play("ignored by the server")
        .reaches_server(JAVA)
        .reaches_client(OK)
        .reaches_server(GET)
        .reaches_client(OK)
        .answered(&[200, 200])
        .run();
    for protocol in ["h2", "h2c, foo", "foo, H2C", "h2c\r\nUpgrade: h2c", "HTTP/2.0", "h2c-14"] {
        play("accepted by the server")
            .reaches_server(JAVA)
            .server(format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: {protocol}\r\n\r\nPRI"))
            .server_violates("bad_switch")
            .client_reads("HTTP/1.1 502 Bad Gateway\r\n")
            .closes(Close::Graceful)
            .run();
    }
}

/// "The server MUST NOT switch to a protocol that was not indicated by the client" and "MUST generate an Upgrade
/// header field" in its 101 (RFC 9110 §7.8, §15.2.2).
#[test]
fn a_switch_that_nobody_asked_for_is_refused() {
    for (name, request, answer) in [
        ("without an offer", GET, SWITCHING),
        ("without a protocol", WEBSOCKET, "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        ("to another protocol", WEBSOCKET, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\n\r\n"),
        ("to HTTP/2 without an offer", WEBSOCKET, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"),
        ("to WebSocket from HTTP/2", JAVA, SWITCHING),
        ("in HTTP/1.0", "GET / HTTP/1.0\r\nConnection: keep-alive\r\nUpgrade: websocket\r\n\r\n", SWITCHING),
    ] {
        play(name)
            .reaches_server(request)
            .server(answer)
            .server_violates("bad_switch")
            .client_reads("HTTP/1.1 502 ")
            .closes(Close::Graceful)
            .run();
    }
}

/// "A client MUST ignore any Content-Length or Transfer-Encoding header fields received in a successful response to
/// CONNECT" (RFC 9110 §9.3.6).
#[test]
fn connect_is_judged_by_its_authority_and_raw_behind_2xx() {
    for (name, connect) in [
        ("with Host", "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n"),
        ("with a length", "CONNECT db:5432 HTTP/1.1\r\nHost: db\r\nContent-Length: 0\r\n\r\n"),
        ("in HTTP/1.0", "CONNECT db:5432 HTTP/1.0\r\n\r\n"),
    ] {
        for answer in [
            "HTTP/1.1 200 Connection established\r\n\r\n",
            "HTTP/1.0 201 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 299 OK\r\nContent-Length: x\r\nContent-Length: y\r\n\r\n",
        ] {
            play(name)
                .client(format!("{connect}\0raw"))
                .server_sees(connect)
                .judged(&["CONNECT db:5432"])
                .server(answer)
                .client_sees(answer)
                .server_sees("\0raw")
                .reaches_client("HTTP/")
                .run();
        }
    }
}

#[test]
fn connect_that_fails_leaves_http_behind_it() {
    play("403, then the next request")
        .client(format!("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n{GET}"))
        .server_sees("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n")
        .server("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        .client_sees("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        .server_sees(GET)
        .run();
    play("denied").client("CONNECT deny:1 HTTP/1.1\r\nHost: deny:1\r\n\r\nraw").closes(Close::Reset).run();
}
