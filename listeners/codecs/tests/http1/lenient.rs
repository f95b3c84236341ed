//! Whatever a client sends, no server executes a request that was not judged, however it reads the bytes: requests
//! hidden in every place, under every spelling of the framing fields. `PROPTEST_CASES` makes the search longer;
//! `fuzz_targets/lenient.rs` runs without end.

use portcullis_codecs::relay::Decision;
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::playbook::lenient::{Quirk, Server, check};

const HIDDEN: &str = "GET /deny HTTP/1.1\r\nHost: h\r\n\r\n";
/// The same as a trailer: with its name, or without two bytes of it.
const TRAILER: &str = "X:GET /deny HTTP/1.1\r\n\r\n";
const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Lines that frame a message for whoever takes them so.
const ODD_LINES: &[&str] = &[
    "Transfer-Encoding : chunked",
    "Transfer-Encoding:\tchunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked, identity",
    "X: y\r\n Transfer-Encoding: chunked",
    "X: y\nTransfer-Encoding: chunked",
    "X: y\rTransfer-Encoding: chunked",
    "Content-Length : 3",
    "Content-Length: +3",
    "Content-Length: 3, 5",
    "Connection: close, transfer-encoding",
];

/// The name of a field in some spelling: as it is, or with other signs, more of them, or some at its ends.
fn any_spelling(name: &'static str) -> impl Strategy<Value = String> {
    let sign = "[!#$%&'*+.^_`|~-]{1,3}";
    let odd = (option::of(sign), sign, option::of(sign)).prop_map(move |(before, between, behind)| {
        let name = name.replace('-', &between);
        format!("{}{name}{}", before.unwrap_or_default(), behind.unwrap_or_default())
    });
    prop_oneof![3 => Just(name.to_owned()), 1 => Just(name.to_uppercase()), 2 => odd, 1 => Just(name.replace('-', "_"))]
}

/// What a body is: something, a hidden request, an end of chunks in front of one, or HTTP/2.
fn any_content() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just(HIDDEN.to_owned()),
        1 => Just(format!("0\r\n\r\n{HIDDEN}")),
        1 => Just(format!("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\n{HIDDEN}")),
        1 => Just(PREFACE.to_owned()),
        1 => "[a-z\r\n]{0,9}",
    ]
}

/// A chunk's size as text, right or more by whole multiples of 2^32, with zeros in front.
fn any_size(size: usize) -> impl Strategy<Value = String> {
    let high = prop_oneof![3 => Just(0_u64), 1 => select(&[1_u64, 2, 0x4000_0000, 0x7fff_ffff][..])];
    (high, 0_usize..9).prop_map(move |(high, zeros)| format!("{}{:x}", "0".repeat(zeros), (high << 32) + size as u64))
}

/// Content in chunks, with what stands behind the last one.
fn any_chunks() -> impl Strategy<Value = String> {
    let end = prop_oneof![
        3 => Just("0\r\n\r\n".to_owned()),
        1 => Just(format!("0\r\n{TRAILER}")),
        1 => Just(format!("0\r\nX: {HIDDEN}")),
        1 => Just("0\r\nGET: /\r\nHost: h\r\n\r\n".to_owned()),
        1 => Just(format!("000;x\r\n\r\n{HIDDEN}")),
    ];
    let cut = option::of(Just(3_usize));
    (any_content(), cut, end).prop_flat_map(|(content, cut, end)| {
        let size = cut.unwrap_or(content.len()).min(content.len());
        any_size(size).prop_map(move |text| {
            let (in_chunk, behind) = content.split_at(size);
            let chunk = if size == 0 { String::new() } else { format!("{text}\r\n{in_chunk}\r\n") };
            format!("{chunk}{end}{behind}")
        })
    })
}

/// A request, its framing and what is sent behind it.
fn any_request() -> impl Strategy<Value = String> {
    let line = (select(&["GET", "POST", "HEAD", "OPTIONS"][..]), "/[a-c]");
    let body = prop_oneof![
        any_content().prop_map(|content| (format!(": {}", content.len()), content, false)),
        any_content().prop_map(|content| (": 0".to_owned(), content, false)),
        any_chunks().prop_map(|chunks| (String::new(), chunks, true)),
    ];
    let expect = option::weighted(0.3, select(&["100-continue", "100-Continue", "foo", "", "100-continue, a"][..]));
    let names = (
        any_spelling("Content-Length"),
        any_spelling("Transfer-Encoding"),
        any_spelling("Expect"),
        any_spelling("Upgrade"),
    );
    let other = option::weighted(0.2, (any_spelling("Content-Length"), 0_usize..40));
    let offers = proptest::bool::weighted(0.2);
    let odd = option::weighted(0.15, select(ODD_LINES));
    (line, body, names, expect, other, (offers, odd)).prop_map(
        |((method, path), (length, body, chunked), (cl, te, expect, upgrade), expected, other, (offers, odd))| {
            let mut lines = vec!["Host: h".to_owned()];
            lines.push(if chunked { format!("{te}: chunked") } else { format!("{cl}{length}") });
            lines.extend(other.map(|(name, length)| format!("{name}: {length}")));
            lines.extend(expected.map(|value| format!("{expect}: {value}")));
            lines.extend(odd.map(str::to_owned));
            if offers {
                lines.push(format!("{upgrade}: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: "));
            }
            format!("{method} {path} HTTP/1.1\r\n{}\r\n\r\n{body}", lines.join("\r\n"))
        },
    )
}

proptest! {
    #[test]
    fn no_lenient_server_executes_what_nobody_allowed(
        requests in vec(any_request(), 1..4), lengths in vec(1_usize..60, 1..4), respond in any::<bool>(),
        whole in any::<bool>(),
    ) {
        let bytes = requests.concat().into_bytes();
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for length in lengths.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at(if whole { rest.len() } else { (*length).min(rest.len()) });
            pieces.push(piece);
            rest = behind;
        }
        check(&pieces, if respond { Decision::Respond } else { Decision::Reset });
        // Each request with a segment of its own.
        let pieces: Vec<&[u8]> = requests.iter().map(String::as_bytes).collect();
        check(&pieces, Decision::Respond);
    }
}

/// The segments that bring a server to execute a hidden request where nobody is in front of it.
fn directly(quirk: Quirk) -> Vec<String> {
    let post = |lines: &str| format!("POST /a HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n");
    let with_length = || post(&format!("Content-Length: {}", HIDDEN.len()));
    match quirk {
        Quirk::None => vec![HIDDEN.to_owned()],
        Quirk::NarrowSizes => {
            vec![post("Transfer-Encoding: chunked"), format!("100000003\r\nabc\r\n0\r\n\r\n{HIDDEN}")]
        }
        Quirk::AnySign => {
            let body = format!("0\r\n\r\n{HIDDEN}");
            vec![post(&format!("Transfer..Encoding: chunked\r\nContent-Length: {}", body.len())), body]
        }
        Quirk::NoTrailers | Quirk::TwoBytes => vec![post("Transfer-Encoding: chunked"), format!("0\r\n{TRAILER}")],
        Quirk::NoExpectations => vec![post("Expect: 100-continue\r\nContent-Length: 99"), HIDDEN.to_owned()],
        Quirk::NoBody | Quirk::NoLateBody => vec![with_length(), HIDDEN.to_owned()],
        Quirk::OneAtATime => vec![with_length() + HIDDEN + &with_length(), HIDDEN.to_owned()],
        Quirk::SwitchesFirst => vec![post("Upgrade: h2c\r\nContent-Length: 99"), PREFACE.to_owned()],
    }
}

/// What the property above is worth: each server has its fault, and the relay keeps that from being used.
#[test]
fn each_server_executes_a_hidden_request_where_nobody_is_in_front_of_it() {
    for quirk in Quirk::ALL {
        let segments = directly(quirk);
        let mut server = Server::new(quirk);
        segments.iter().for_each(|segment| server.feed(segment.as_bytes()));
        let last = server.executed.last().expect("some request");
        assert!(last.contains("GET /deny") || last.contains("HTTP/2"), "{quirk:?}: {:?}", server.executed);
        let pieces: Vec<&[u8]> = segments.iter().map(String::as_bytes).collect();
        check(&pieces, Decision::Respond);
        check(&pieces, Decision::Reset);
    }
}
