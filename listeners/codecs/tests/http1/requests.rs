//! What the rules see of a request.

use portcullis_codecs::relay::Decision;
use portcullis_rules::{request::FieldValue, schema::FieldIndex};

use crate::playbook::{pair::Judge, script::play};

/// The four fields, the header being `x-token`, as text.
fn seen(head: &'static str, expected: [&'static str; 4]) {
    let judge = move || -> Judge {
        Box::new(move |request| {
            for (field, expected) in (0..).zip(expected) {
                let key = if field == 3 { "x-token" } else { "" };
                let value = match request.field(FieldIndex(field), key) {
                    FieldValue::Absent => "(absent)".to_owned(),
                    FieldValue::Ambiguous(kind) => format!("({kind})"),
                    FieldValue::Value(value) => String::from_utf8_lossy(&value).into_owned(),
                };
                assert_eq!(value, expected, "field {field} of {head:?}");
            }
            Decision::Allow
        })
    };
    play("seen by the rules").judged_by(judge).reaches_server(head).run();
}

/// Cilium compares `:method`, `:path` with the query, `:authority`, and header lines joined by a comma
/// (cilium pkg/policy/api/http.go; RFC 9110 §5.3 for the comma).
#[test]
fn the_rules_see_the_fields_of_the_request() {
    for (head, expected) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", ["GET", "/", "h", "(absent)"]),
        ("get /%61 HTTP/1.1\r\nHost: h\r\nX-Token: t\r\n\r\n", ["get", "/a", "h", "t"]),
        ("GET /?%61 HTTP/1.1\r\nHost: h\r\nX-Token:\r\n\r\n", ["GET", "/?%61", "h", ""]),
        ("GET / HTTP/1.1\r\nHost: h\r\nX-Token: a\r\nX-TOKEN:  b \r\n\r\n", ["GET", "/", "h", "a,b"]),
        ("GET /a/../b HTTP/1.1\r\nHost: h\r\n\r\n", ["GET", "(dot_segment)", "h", "(absent)"]),
        ("GET / HTTP/1.0\r\n\r\n", ["GET", "/", "(absent)", "(absent)"]),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", ["GET", "/", "", "(absent)"]),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", ["OPTIONS", "*", "h", "(absent)"]),
        ("OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n", ["OPTIONS", "(options_without_path)", "h", "(absent)"]),
        ("GET http://h/a?b HTTP/1.1\r\nHost: h\r\n\r\n", ["GET", "/a?b", "h", "(absent)"]),
        ("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", ["GET", "/", "h", "(absent)"]),
        ("GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n", ["GET", "/?q", "h", "(absent)"]),
        ("GET http://h/ HTTP/1.0\r\n\r\n", ["GET", "/", "h", "(absent)"]),
        ("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", ["CONNECT", "(absent)", "h:443", "(absent)"]),
    ] {
        seen(head, expected);
    }
}

/// The regular expression of `host` meets what the client sent: the case and the port stay (cilium
/// pkg/envoy/policy/envoy_l7_rules_translator.go matches `:authority`, which Envoy does not change).
#[test]
fn host_stays_as_the_client_sent_it() {
    seen("GET / HTTP/1.1\r\nHost: App.Example:80\r\n\r\n", ["GET", "/", "App.Example:80", "(absent)"]);
    seen("GET http://H:80/ HTTP/1.1\r\nHost: h\r\n\r\n", ["GET", "/", "H:80", "(absent)"]);
}

#[test]
fn pseudo_headers_and_host_name_the_fields_as_in_envoy() {
    let judge = || -> Judge {
        Box::new(|request| {
            for (key, expected) in [(":method", "GET"), (":path", "/a?b"), (":authority", "h:1"), ("host", "h:1")] {
                let FieldValue::Value(value) = request.field(FieldIndex(3), key) else { panic!("{key}") };
                assert_eq!(value, expected.as_bytes(), "{key}");
            }
            Decision::Allow
        })
    };
    play("pseudo headers").judged_by(judge).reaches_server("GET /a?b HTTP/1.1\r\nHost: h:1\r\n\r\n").run();
}
