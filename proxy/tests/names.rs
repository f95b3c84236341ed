//! The output of learned names, for people and for scripts.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use portcullis_config::proto::{AnswerOrigin, LearntAddress, LearntName};
use portcullis_proxy::render::names;

/// 2026-11-23T21:40:00Z.
const NOW: u64 = 1_795_470_000;

fn learnt() -> Vec<LearntName> {
    let origin = |endpoint: &str, server: &str| AnswerOrigin {
        endpoint: endpoint.into(),
        server: server.into(),
        port: 53,
        transport: "UDP".into(),
        known: true,
    };
    let origins = || vec![origin("shop/b", "10.0.0.4"), origin("", "10.0.0.4"), origin("shop/a", "fd00::4")];
    let address = |address: &str, expires| LearntAddress { address: address.into(), expires, origins: origins() };
    vec![
        LearntName {
            name: "example.com.".into(),
            addresses: vec![address("192.0.2.10", NOW + 250), address("2001:db8::10", NOW - 5)],
            selected: true,
        },
        LearntName {
            name: "\\027[2Jx\u{9b}.test.".into(),
            addresses: vec![address("192.0.2.20", NOW)],
            selected: false,
        },
    ]
}

#[test]
fn people_see_a_line_for_each_address_with_the_time_that_its_answer_still_holds() {
    let wanted = "\
NAME                  ADDRESS       HOLDS   SELECTED  SERVERS
example.com.          192.0.2.10    4m 10s  yes       10.0.0.4, fd00::4
example.com.          2001:db8::10  over    yes       10.0.0.4, fd00::4
\\027[2Jx\\u{9b}.test.  192.0.2.20    over    no        10.0.0.4, fd00::4
";
    assert_eq!(names::text(&learnt(), NOW), wanted);
}

#[test]
fn scripts_get_names_with_addresses_and_points_in_time() {
    let shown = serde_json::to_value(names::listed(&learnt()[..1])).unwrap();
    let origin = |server, endpoint| serde_json::json!({ "server": server, "port": 53, "transport": "UDP", "endpoint": endpoint });
    let origins = [origin("10.0.0.4", "shop/b"), origin("10.0.0.4", ""), origin("fd00::4", "shop/a")];
    let wanted = serde_json::json!([{
        "name": "example.com.",
        "selected": true,
        "addresses": [
            { "address": "192.0.2.10", "expires": "2026-11-23T21:44:10.000000Z", "origins": origins },
            { "address": "2001:db8::10", "expires": "2026-11-23T21:39:55.000000Z", "origins": origins },
        ],
    }]);
    assert_eq!(shown, wanted);
}
