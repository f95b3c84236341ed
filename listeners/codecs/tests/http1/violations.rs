//! Every violation occurs in some test.

use std::collections::BTreeSet;

use portcullis_codecs::{
    http,
    http::Limits,
    http1::{Violated, Violation},
    relay::{Decision, ProtocolViolation, Side},
};

use crate::playbook::pair::{Pair, deny_with};

/// What the client sends, and what the server, to bring a violation about.
fn example(violation: Violation) -> (String, &'static str) {
    let field = |lines: &str| format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n");
    let chunk = |chunks: &str| format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    let line = |line: &str| format!("{line}\r\nHost: h\r\n\r\n");
    let get = || "GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned();
    let client = match violation {
        Violation::BareLf => line("GET / HTTP/1.1\r\nA: b\n"),
        Violation::BareCr => field("A: b\rc"),
        Violation::RequestLine => line("GET /"),
        Violation::Method => line("(GET) / HTTP/1.1"),
        Violation::TargetByte => line("GET /# HTTP/1.1"),
        Violation::TargetForm => line("GET a HTTP/1.1"),
        Violation::UserInfo => line("GET http://u@h/ HTTP/1.1"),
        Violation::Version => line("GET / HTTP/3.0"),
        Violation::Http2Preface => "PRI * HTTP/2.0\r\n\r\n_".to_owned(),
        Violation::FieldName => field("A(: b"),
        Violation::SpaceBeforeColon => field("A : b"),
        Violation::FieldVariant => field("Transfer_Encoding: chunked"),
        Violation::Expectation => field("Expect: 200-ok"),
        Violation::OfferedPreface => field("Upgrade: x\r\nContent-Length: 9") + "PRI * HTT",
        Violation::ObsFold => field("A: b\r\n c"),
        Violation::FieldValue => field("A: \0"),
        Violation::NoHost => "GET / HTTP/1.1\r\n\r\n".to_owned(),
        Violation::TwoHosts => field("Host: h"),
        Violation::HostValue => "GET / HTTP/1.1\r\nHost: /\r\n\r\n".to_owned(),
        Violation::HostMismatch => line("GET http://g/ HTTP/1.1"),
        Violation::LengthAndEncoding => field("Content-Length: 0\r\nTransfer-Encoding: chunked"),
        Violation::ContentLength => field("Content-Length: x"),
        Violation::TwoLengths => field("Content-Length: 0\r\nContent-Length: 0"),
        Violation::TransferEncoding => field("Transfer-Encoding: br"),
        Violation::EncodingInHttp10 => line("POST / HTTP/1.0\r\nTransfer-Encoding: chunked"),
        Violation::ConnectionNominates => field("Connection: host"),
        Violation::ConnectBody => line("CONNECT h:1 HTTP/1.1\r\nContent-Length: 1").replace("Host: h", "Host: h:1"),
        Violation::ChunkSize => chunk("x"),
        Violation::ChunkExtension => chunk("0;\0\r\n"),
        Violation::ChunkExtensions => chunk(&format!("0;{}\r\n", "x".repeat(2000))),
        Violation::ChunkEnd => chunk("1\r\nxx"),
        Violation::TrailerField => chunk("0\r\nHost: h\r\n\r\n"),
        Violation::Trailers => chunk(&format!("0\r\nA: {}\r\n\r\n", "x".repeat(20_000))),
        Violation::LongTarget => "x".repeat(200_000),
        Violation::LongHead => field(&format!("A: {}", "x".repeat(200_000))),
        Violation::ManyHeaders => field(&"A:\r\n".repeat(600)),
        Violation::HeadTimeout | Violation::TruncatedHead => "GET /".to_owned(),
        Violation::StatusLine
        | Violation::LongResponseHead
        | Violation::TruncatedResponseHead
        | Violation::UnaskedResponse
        | Violation::UnexpectedBody
        | Violation::BadSwitch => get(),
    };
    let server = match violation {
        Violation::StatusLine => "HTTP/1.1\r\n\r\n",
        Violation::LongResponseHead => "HTTP/1.1 200 OK\r\nA: longer than 40 bytes in all\r\n\r\n",
        Violation::TruncatedResponseHead => "HTTP/1.1 200",
        Violation::UnaskedResponse => "HTTP/1.1 204 OK\r\n\r\nHTTP/1.1 204 OK\r\n\r\n",
        Violation::UnexpectedBody => "HTTP/1.1 204 OK\r\nContent-Length: 1\r\n\r\n",
        Violation::BadSwitch => "HTTP/1.1 101 OK\r\nUpgrade: x\r\n\r\n",
        _ => "",
    };
    (client, server)
}

#[test]
fn every_violation_can_happen_and_has_a_word_and_a_status_of_its_kind() {
    for violation in Violation::ALL {
        let (client, server) = example(*violation);
        let limits = Limits {
            response_head: if *violation == Violation::LongResponseHead { 40 } else { 1000 },
            trailers: if *violation == Violation::TrailerField { 1000 } else { 0 },
            ..Limits::default()
        };
        let mut pair = Pair::new(http::relay(&limits), deny_with(Decision::Reset));
        pair.send(Side::Downstream, client.as_bytes());
        let side = if server.is_empty() { Side::Downstream } else { Side::Upstream };
        if side == Side::Upstream {
            pair.send(side, server.as_bytes());
        }
        match violation {
            Violation::HeadTimeout => pair.time_out(),
            Violation::TruncatedHead => pair.end(Side::Downstream),
            // An odd answer goes on until it ends.
            _ if side == Side::Upstream => pair.end(side),
            _ => {}
        }
        assert_eq!(pair.recorder.violations, [(side, violation.word())], "{violation:?}");
        assert!(pair.close.is_some(), "{violation:?}");
        if side == Side::Downstream {
            let status = format!("HTTP/1.1 {} ", violation.status());
            assert!(pair.to_client.starts_with(status.as_bytes()), "{violation:?}");
        } else {
            assert_eq!(violation.status(), 502, "{violation:?}");
        }
    }
}

#[test]
fn the_words_differ_and_limits_name_what_was_hit() {
    let words: BTreeSet<_> = Violation::ALL.iter().map(|violation| violation.word()).collect();
    assert_eq!(words.len(), Violation::ALL.len());
    let limit = |violation, side| Violated { violation, side }.limit();
    assert_eq!(limit(Violation::LongHead, Side::Downstream), Some("request_head"));
    assert_eq!(limit(Violation::LongTarget, Side::Downstream), Some("request_head"));
    assert_eq!(limit(Violation::ManyHeaders, Side::Downstream), Some("request_headers"));
    assert_eq!(limit(Violation::LongResponseHead, Side::Upstream), Some("response_head"));
    assert_eq!(limit(Violation::Trailers, Side::Downstream), Some("trailers"));
    assert_eq!(limit(Violation::Trailers, Side::Upstream), Some("response_head"));
    assert_eq!(limit(Violation::ChunkExtensions, Side::Downstream), Some("chunk_extensions"));
    assert_eq!(limit(Violation::HeadTimeout, Side::Downstream), Some("head_timeout"));
    assert_eq!(limit(Violation::BareLf, Side::Downstream), None);
}
