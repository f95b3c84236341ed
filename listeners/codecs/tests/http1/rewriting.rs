//! Heads whose header lines rules change. All other bytes stay the same.

use std::sync::Arc;

use portcullis_codecs::{
    http::Limits,
    http1,
    relay::{Close, Decision},
};
use portcullis_rules::{
    policy::{HeaderAction, HeaderValueSource, L7Rule, Matcher, Mismatch, Predicate},
    settings::DenyWith,
    snapshot::RuleSet,
    verdict::RuleInfo,
};

use crate::playbook::{
    pair::Rewriter,
    script::{Play, play, wide},
};

use Mismatch::{Add, Delete, Fail, Log, Replace};

type Action = (&'static str, &'static str, Mismatch);

/// Under one rule for all but what lies below `/deny`.
fn under(name: &'static str, actions: &'static [Action]) -> Play {
    under_with(name, actions, Decision::Reset)
}

fn under_with(name: &'static str, actions: &'static [Action], refusal: Decision) -> Play {
    wide(name).rewritten_by(move || -> Rewriter {
        let field = http1::SCHEMA.field("headers").expect("a field of HTTP");
        let path = http1::SCHEMA.field("path").expect("a field of HTTP");
        let matcher = Matcher::Regex("/([^d].*)?|x:1|\\*".to_owned());
        let action = |(name, value, mismatch): &Action| HeaderAction {
            field,
            name: (*name).to_owned(),
            wanted: HeaderValueSource::Value((*value).to_owned()),
            mismatch: *mismatch,
        };
        let rule = L7Rule {
            predicates: vec![Predicate { field: path, key: String::new(), matcher }],
            actions: actions.iter().map(action).collect(),
            ..L7Rule::default()
        };
        let info = Arc::new(RuleInfo { policy: "default/p".into(), rule: "ingress[0]".into() });
        let set = RuleSet::new(&http1::SCHEMA, [(&rule, info)], DenyWith::Reset);
        Box::new(move |request| {
            let (verdict, effects) = set.evaluate(request);
            let decision = match verdict.outcome.passes() {
                true if effects.changed.is_empty() => Decision::Allow,
                true => Decision::Rewrite,
                false => refusal,
            };
            (decision, effects.changed)
        })
    })
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// What only has to survive: odd case, order, space, a repeated name, empty values, bytes above ASCII.
const ODD: &str = "GET /a?b=%7E HTTP/1.1\r\nhOST:   h  \r\nX-User:root\r\nCookie: a=1\r\nx-EMPTY:\r\nx-user: \tadmin \r\n\
    Cookie: b=\u{fc}\r\nAccept:*/*\r\n\r\n";

#[test]
fn lines_that_no_rule_changes_stay_byte_for_byte() {
    let without = ODD.replace("X-User:root\r\n", "").replace("x-user: \tadmin \r\n", "");
    let with = |head: &str, lines: &str| format!("{}{lines}\r\n", head.strip_suffix("\r\n").unwrap());
    let table: [(&'static [Action], String); 10] = [
        (&[], ODD.to_owned()),
        (&[("x-trace", "on", Log)], ODD.to_owned()),
        (&[("x-user", "root,admin", Replace)], ODD.to_owned()),
        (&[("x-user", "root,admin", Delete)], ODD.to_owned()),
        (&[("x-missing", "v", Delete)], ODD.to_owned()),
        (&[("x-trace", "on", Add)], with(ODD, "x-trace: on\r\n")),
        (&[("x-user", "guest", Add)], with(ODD, "x-user: guest\r\n")),
        (&[("x-user", "guest", Delete)], without.clone()),
        (&[("x-user", "guest", Replace), ("x-trace", "", Add)], with(&without, "x-user: guest\r\nx-trace: \r\n")),
        (&[("x-user", "guest", Replace), ("x-user", "two", Add)], with(&without, "x-user: guest\r\nx-user: two\r\n")),
    ];
    for (actions, arrives) in table {
        under("odd lines", actions).client(ODD).server_sees(arrives).reaches_client(OK).answered(&[200]).run();
    }
}

#[test]
fn every_form_of_request_can_be_changed() {
    for (name, request) in [
        ("absolute form", "GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("asterisk form", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("HTTP/1.0 without header lines", "GET / HTTP/1.0\r\n\r\n"),
        ("HTTP/1.0 that stays open", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    ] {
        let arrives = format!("{}x-trace: on\r\n\r\n", request.strip_suffix("\r\n").unwrap());
        under(name, &[("x-trace", "on", Add)]).client(request).server_sees(arrives).run();
    }
    under("behind empty lines", &[("x-a", "1", Replace)])
        .client("\r\n\r\nGET / HTTP/1.1\r\nX-A: 2\r\nHost: h\r\n\r\n")
        .server_sees("GET / HTTP/1.1\r\nHost: h\r\nx-a: 1\r\n\r\n")
        .run();
}

#[test]
fn bodies_go_on_behind_a_changed_head() {
    let length = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18\r\nX-A: 2\r\n\r\n";
    let chunked = "POST / HTTP/1.1\r\nHost: h\r\nX-A: 2\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (head, body) in [(length, "X-A: 2\r\n\r\nX-A: 2\r\n"), (chunked, "8\r\nX-A: 2\r\n\r\n0\r\nX-B: 2\r\n\r\n")] {
        let arrives = format!("{}x-a: 1\r\n\r\n{body}", head.replace("X-A: 2\r\n", "").strip_suffix("\r\n").unwrap());
        under("a body that looks like a head", &[("x-a", "1", Replace)])
            .client(format!("{head}{body}"))
            .server_sees(arrives)
            .reaches_client(OK)
            .reaches_server("GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n")
            .run();
    }
}

#[test]
fn a_client_may_wait_for_100_behind_a_changed_head() {
    under("Expect", &[("x-a", "1", Add)])
        .client("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        .server_sees("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\nx-a: 1\r\n\r\n")
        .reaches_client("HTTP/1.1 100 Continue\r\n\r\n")
        .reaches_server("body")
        .reaches_client(OK)
        .answered(&[200])
        .run();
}

#[test]
fn pipelined_requests_are_changed_each_by_itself_and_in_order() {
    let right = "GET /1 HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n";
    let wrong = "POST /2 HTTP/1.1\r\nX-A: 2\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    under("right, wrong, wrong, right", &[("x-a", "1", Replace)])
        .client([right, wrong, wrong, right].concat())
        .server_sees(
            [
                right,
                "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nx-a: 1\r\n\r\nabc",
                "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nx-a: 1\r\n\r\nabc",
                right,
            ]
            .concat(),
        )
        .reaches_client([OK, OK, OK, OK].concat())
        .answered(&[200, 200, 200, 200])
        .run();
    under("a denied one behind it", &[("x-a", "1", Replace)])
        .client(format!("{wrong}GET /deny HTTP/1.1\r\nHost: h\r\n\r\n"))
        .server_sees("POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nx-a: 1\r\n\r\nabc")
        .reaches_client(OK)
        .closes(Close::Reset)
        .run();
    under_with("a refused one between two", &[("x-a", "1", Replace)], Decision::Respond)
        .client(format!("{wrong}GET /deny HTTP/1.1\r\nHost: h\r\n\r\n{wrong}"))
        .server_sees("POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nx-a: 1\r\n\r\nabc".repeat(2))
        .server(OK)
        .client_reads("HTTP/1.1 403 Forbidden")
        .reaches_client(OK)
        .run();
}

#[test]
fn what_follows_a_changed_offer_still_waits_for_the_answer() {
    let offer = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    under("Upgrade", &[("x-a", "1", Add)])
        .client(format!("{offer}\r\nraw\r\n"))
        .server_sees(format!("{offer}x-a: 1\r\n\r\n"))
        .server(switching)
        .client_sees(switching)
        .server_sees("raw\r\n")
        .run();
    let connect = "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n";
    play("CONNECT")
        .rewritten_by(|| {
            let field = http1::SCHEMA.field("headers").expect("a field of HTTP");
            let wanted = HeaderValueSource::Value("1".to_owned());
            let actions = vec![HeaderAction { field, name: "x-a".to_owned(), wanted, mismatch: Add }];
            let rule = L7Rule { actions, ..L7Rule::default() };
            let info = Arc::new(RuleInfo { policy: "default/p".into(), rule: "egress[0]".into() });
            let set = RuleSet::new(&http1::SCHEMA, [(&rule, info)], DenyWith::Reset);
            Box::new(move |request| (Decision::Rewrite, set.evaluate(request).1.changed))
        })
        .client(format!("{connect}\r\nraw"))
        .server_sees(format!("{connect}x-a: 1\r\n\r\n"))
        .server("HTTP/1.1 200 OK\r\n\r\n")
        .client_sees("HTTP/1.1 200 OK\r\n\r\n")
        .server_sees("raw")
        .run();
}

/// The limit is for what the client sends, not for what a rule adds.
#[test]
fn a_head_at_the_limit_may_grow() {
    let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    under("at the limit", &[("x-a", "1", Add)])
        .limits(Limits { request_head: request.len(), request_headers: 1, ..Limits::default() })
        .client(request)
        .server_sees("GET / HTTP/1.1\r\nHost: h\r\nx-a: 1\r\n\r\n")
        .run();
}

/// What a rule promises the server must arrive there: not be taken out by a proxy in front of it because the client
/// nominated it (RFC 9110 §7.6.1), nor stand beside another header that programs take for it (RFC 3875 §4.1.18).
#[test]
fn a_header_that_the_server_may_see_differently_is_refused_where_a_rule_looks_at_it() {
    for head in [
        "Connection: X-User\r\n",
        "Connection: close, x-user\r\n",
        "Connection: keep-alive\r\nX-User: guest\r\nConnection: te ,\tX-USER\r\n",
        "X_User: root\r\n",
        "X-User: guest\r\nx_uSER: root\r\n",
        "x_user: root\r\nX-User: guest\r\n",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{head}\r\n");
        for actions in [
            &[("x-user", "guest", Replace)][..],
            &[("x-user", "guest", Add)],
            &[("x-user", "guest", Delete)],
            &[("x-user", "guest", Fail)],
        ] {
            under("two readings", actions).client(&request).closes(Close::Reset).run();
        }
        under("told only", &[("x-user", "guest", Log)]).reaches_server(&request).run();
        under("another header", &[("x-other", "v", Log)]).reaches_server(&request).run();
    }
    under("fields of the hop are its own", &[("upgrade", "websocket", Fail), ("te", "trailers", Fail)])
        .reaches_server(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade, te\r\nTE: trailers\r\nUpgrade: websocket\r\n\r\n",
        )
        .run();
}
