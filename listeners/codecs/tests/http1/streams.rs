//! Random streams: valid input is forwarded byte by byte and counted correctly; invalid input is never forwarded.

use portcullis_codecs::{
    http,
    http::Limits,
    relay::{Decision, Relay, ResponseSummary, Side},
};
use portcullis_rules::{
    request::{FieldValue, Request},
    schema::FieldIndex,
};
use proptest::{collection::vec, option, prelude::*, sample::select, string::string_regex};

use crate::playbook::{
    outcome::{Drive, check, send_in_pieces},
    pair::Pair,
};

fn new() -> Box<dyn Relay> {
    http::relay(&Limits::default())
}

/// Where requests may be pipelined, and have trailers and chunk extensions.
fn wide() -> Box<dyn Relay> {
    http::relay(&Limits { pipelined: 1024, chunk_extensions: 1024, trailers: 16 * 1024, ..Limits::default() })
}

/// A body with its framing fields: as text, `(fields, bytes)`.
fn any_body() -> impl Strategy<Value = (String, Vec<u8>)> {
    let data = || vec(any::<u8>(), 0..40);
    let extension = select(&["", ";a", ";a=\"b\"", "; c = d"][..]);
    let trailers = select(&["", "X-Sum: 1\r\n", "A:\r\nB: \t2 \r\n"][..]);
    let chunked = (vec((vec(any::<u8>(), 1..40), extension), 0..4), trailers).prop_map(|(chunks, trailers)| {
        let mut bytes = Vec::new();
        for (data, extension) in chunks {
            bytes.extend_from_slice(format!("{:X}{extension}\r\n", data.len()).as_bytes());
            bytes.extend_from_slice(&data);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("000\r\n{trailers}\r\n").as_bytes());
        ("Transfer-Encoding: chunked\r\n".to_owned(), bytes)
    });
    prop_oneof![data().prop_map(|data| (format!("Content-Length: {}\r\n", data.len()), data)), chunked,]
}

/// Header lines without a meaning for framing.
fn any_fields() -> impl Strategy<Value = String> {
    let line = (
        "X-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}",
        "[ \t]{0,2}",
        "([!-~\u{a0}-\u{ff}]([ \t!-~]{0,20}[!-~])?)?",
        "[ \t]{0,2}",
    );
    let line = line.prop_map(|(name, before, value, after)| format!("{name}:{before}{value}{after}\r\n"));
    vec(line, 0..6).prop_map(|lines| lines.concat())
}

#[derive(Clone, Debug)]
struct Exchange {
    request: Vec<u8>,
    answer: Vec<u8>,
    status: u16,
}

fn any_exchange() -> impl Strategy<Value = Exchange> {
    let methods = select(&["GET", "POST", "HEAD", "DELETE", "x-odd"][..]);
    let target = prop_oneof!["/[a-z0-9/?=%&;._~{}|\"-]{0,20}", "http://h(/[a-z]{0,5})?(\\?[a-z]{0,3})?"];
    let statuses = select(&[200_u16, 204, 304, 404, 500][..]);
    let request = (methods, target, any_fields(), option::of(any_body()));
    let answer = (statuses, any_fields(), any_body(), vec(select(&[100_u16, 103][..]), 0..2));
    (request, answer).prop_map(|((method, target, fields, body), (status, answer_fields, answer_body, interim))| {
        let (framing, body) = body.unwrap_or_default();
        let mut request = format!("{method} {target} HTTP/1.1\r\n{fields}Host: h\r\n{framing}\r\n").into_bytes();
        request.extend_from_slice(&body);
        let mut answer = Vec::new();
        for interim in interim {
            answer.extend_from_slice(format!("HTTP/1.1 {interim} Wait\r\nX: y\r\n\r\n").as_bytes());
        }
        let (framing, mut body) = answer_body;
        let framing = if status == 204 { String::new() } else { framing };
        if method == "HEAD" || status == 204 || status == 304 {
            body.clear();
        }
        answer.extend_from_slice(format!("HTTP/1.1 {status} Some Reason\r\n{answer_fields}{framing}\r\n").as_bytes());
        answer.extend_from_slice(&body);
        Exchange { request, answer, status }
    })
}

fn any_lengths() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![3 => 1_usize..8, 1 => 1_usize..200], 1..8)
}

/// Pieces of HTTP, to reach deep into the states.
fn any_noise() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: &[&str] = &[
        "GET / HTTP/1.1\r\n",
        "GET http://h/ HTTP/1.0\r\n",
        "CONNECT h:1 HTTP/1.1\r\n",
        "Host: h\r\n",
        "Host: h:1\r\n",
        "\r\n",
        "\r",
        "\n",
        " ",
        "\t",
        ":",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Expect: 100-continue\r\n",
        "Upgrade: x\r\n",
        "Connection: close\r\n",
        "0\r\n\r\n",
        "3\r\nabc\r\n",
        "abc",
        ";x",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 A\r\n",
        "HTTP/1.1 101 S\r\n",
        "HTTP/1.1 204\r\n",
        "HTTP/1.1 200 OK\n",
        "Content-Length: 3, 3\r\n",
        "3 \r\nabc\r\n",
        "HTTP2-Settings: \r\n",
        "PRI * ",
        "PRI * HTTP/2.0\r\n",
        "GET /deny HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "\0",
        "\u{ff}",
    ];
    let piece = prop_oneof![
        8 => select(WORDS).prop_map(|word| word.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..8),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn valid_streams_go_on_byte_by_byte_and_are_counted(
        exchanges in vec(any_exchange(), 0..5), lengths in any_lengths(), pipelined in any::<bool>(), unseen in any::<bool>(),
    ) {
        let mut pair = Pair::new(wide(), Box::new(|_| Decision::Allow));
        pair.unseen = unseen;
        let requests: Vec<u8> = exchanges.iter().flat_map(|exchange| exchange.request.clone()).collect();
        let answers: Vec<u8> = exchanges.iter().flat_map(|exchange| exchange.answer.clone()).collect();
        if pipelined {
            send_in_pieces(&mut pair, Side::Downstream, &requests, &lengths);
            send_in_pieces(&mut pair, Side::Upstream, &answers, &lengths);
        } else {
            for exchange in &exchanges {
                send_in_pieces(&mut pair, Side::Downstream, &exchange.request, &lengths);
                send_in_pieces(&mut pair, Side::Upstream, &exchange.answer, &lengths);
            }
        }
        prop_assert_eq!(&pair.recorder.violations, &[]);
        prop_assert_eq!(pair.close, None);
        prop_assert_eq!(pair.to_server.escape_ascii().to_string(), requests.escape_ascii().to_string());
        prop_assert_eq!(pair.to_client.escape_ascii().to_string(), answers.escape_ascii().to_string());
        prop_assert_eq!(pair.recorder.judged.len(), exchanges.len());
        prop_assert_eq!(pair.recorder.answered, exchanges.iter().map(|exchange| ResponseSummary::next(exchange.status)).collect::<Vec<_>>());
    }

    #[test]
    fn noise_comes_to_the_same_however_it_is_cut(
        turns in vec((any::<bool>(), any_noise()), 1..5),
        lengths in any_lengths(), respond in any::<bool>(), unseen in any::<bool>(),
    ) {
        let side = |client| if client { Side::Downstream } else { Side::Upstream };
        let parts: Vec<(Side, &[u8])> = turns.iter().map(|(client, bytes)| (side(*client), &bytes[..])).collect();
        let decision = if respond { Decision::Respond } else { Decision::Reset };
        check(&parts, Drive { lengths: &lengths, decision, unseen });
    }

    /// `httparse` is a reader of its own: whatever we let pass, it reads alike.
    #[test]
    fn a_head_that_is_accepted_is_read_alike_by_another_parser(
        line in "(GET|POST|x!)( |  |\t)(/[!-~]{0,8}|\\*|http://h/)( )HTTP/1[.][01]",
        fields in vec((string_regex("[A-Za-z!-]{1,6}[ :(]?").unwrap(), string_regex("[ -~\t\u{80}-\u{ff}]{0,10}[\0\r\n\x7f]?").unwrap()), 0..4),
    ) {
        let fields: String = fields.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
        compare(&format!("{line}\r\nHost: h\r\n{fields}\r\n"));
    }
}

/// The name of a header where it is handed to programs (RFC 3875 §4.1.18), by a server that makes one `_` of all that is neither
/// letter nor digit and none at the ends.
fn variable(name: &str) -> String {
    let words = name.split(|byte: char| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_").to_uppercase()
}

/// What the head has for rules about a header by this name, as `httparse` has its fields: nothing certain where another name
/// is the same variable to some servers.
fn value(request: &httparse::Request<'_, '_>, name: &str) -> FieldValue<'static> {
    let headers = || request.headers.iter();
    if headers().any(|other| !other.name.eq_ignore_ascii_case(name) && variable(other.name) == variable(name)) {
        return FieldValue::Ambiguous("variant");
    }
    let of = headers().filter(|header| header.name.eq_ignore_ascii_case(name));
    FieldValue::Value(of.map(|header| header.value).collect::<Vec<_>>().join(&b',').into())
}

/// Holds that a head that is accepted is read by `httparse` as the rules were asked about it; whether it is accepted.
fn compare(head: &str) -> bool {
    let mut pair = Pair::new(new(), Box::new(|_| Decision::Allow));
    pair.send(Side::Downstream, head.as_bytes());
    if pair.recorder.judged.is_empty() {
        assert!(pair.to_server.is_empty(), "{head:?}");
        return false;
    }
    let mut space = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut space);
    let parsed = request.parse(head.as_bytes());
    let Ok(httparse::Status::Complete(length)) = parsed else { panic!("{parsed:?} of {head:?}") };
    assert!(pair.to_server.starts_with(&head.as_bytes()[..length]), "{head:?}");
    let (method, target) = (request.method.expect("one").to_owned(), request.path.expect("one").to_owned());
    let names = request.headers.iter().map(|header| header.name.to_lowercase());
    let expected: Vec<_> = names.map(|name| (value(&request, &name), name)).collect();
    let judged = move |request: &dyn Request| {
        assert_eq!(request.field(FieldIndex(0), ""), FieldValue::Value(method.as_bytes().into()));
        let path = target.strip_prefix("http://h").unwrap_or(&target);
        assert_eq!(request.shown(FieldIndex(1)).as_deref(), Some(path.as_bytes()));
        for (value, name) in &expected {
            assert_eq!(request.field(FieldIndex(3), name), *value, "{name}");
        }
        Decision::Allow
    };
    let mut again = Pair::new(new(), Box::new(judged));
    again.send(Side::Downstream, head.as_bytes());
    assert_eq!(again.recorder.judged.len(), pair.recorder.judged.len());
    true
}

#[test]
fn another_parser_reads_names_that_are_one_variable_as_several_and_the_rules_read_none() {
    for (one, other) in [("-", "!"), ("-", "--"), ("a-b", "A!b"), ("a", "a!")] {
        assert!(
            compare(&format!("GET / HTTP/1.1\r\nHost: h\r\n{one}: 1\r\nx: 2\r\n{other}: 3\r\n\r\n")),
            "{one} {other}"
        );
    }
}
