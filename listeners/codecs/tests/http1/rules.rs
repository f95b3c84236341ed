//! The codec and the rule engine together: what a policy allows.

use std::sync::Arc;

use portcullis_codecs::{
    http1,
    relay::{Close, Decision},
};
use portcullis_rules::{
    policy::{L7Rule, Matcher, Predicate},
    settings::DenyWith,
    snapshot::RuleSet,
    verdict::RuleInfo,
};

use crate::playbook::{
    pair::Judge,
    script::{Play, play},
};

/// Predicates by name: `headers` stand as `headers:name`; an exact value for these, `None` for mere presence.
type Rule = &'static [(&'static str, Option<&'static str>)];

fn rule(predicates: Rule) -> L7Rule {
    let predicates = predicates.iter().map(|(name, value)| {
        let (field, key) = name.split_once(':').unwrap_or((name, ""));
        let matcher = match value {
            None => Matcher::Present,
            Some(value) if key.is_empty() => Matcher::Regex((*value).to_owned()),
            Some(value) => Matcher::Exact((*value).to_owned()),
        };
        Predicate { field: http1::SCHEMA.field(field).expect("a field of HTTP"), key: key.to_owned(), matcher }
    });
    L7Rule { predicates: predicates.collect(), ..L7Rule::default() }
}

fn under(rules: &'static [Rule]) -> Play {
    play("under rules").judged_by(move || -> Judge {
        let rules: Vec<L7Rule> = rules.iter().map(|predicates| rule(predicates)).collect();
        let info = Arc::new(RuleInfo { policy: "default/p".into(), rule: "ingress[0]".into() });
        let set = RuleSet::new(&http1::SCHEMA, rules.iter().map(|rule| (rule, Arc::clone(&info))), DenyWith::Reset);
        Box::new(move |request| if set.check(request).outcome.passes() { Decision::Allow } else { Decision::Reset })
    })
}

const PUBLIC: Rule = &[("method", Some("GET")), ("path", Some("/public"))];
const HOST: Rule = &[("host", Some("foo\\.bar\\.com(:[0-9]+)?"))];
const TOKEN: Rule = &[("headers:x-token", Some("a,b")), ("headers:x-there", None)];
const DATABASE: Rule = &[("method", Some("CONNECT")), ("host", Some("db:5432"))];
const DATABASE_BY_HOST: Rule = &[("host", Some("db:5432"))];
const DOCKER: Rule = &[("path", Some("/attach")), ("headers:upgrade", Some("tcp"))];
const ALL: Rule = &[];

/// The meaning is Cilium's (cilium pkg/policy/api/http.go): whole values, case-sensitive, the query is part of the path.
#[test]
fn what_matches_goes_on_and_nothing_else() {
    for (rules, request, allowed) in [
        (&[PUBLIC][..], "GET /public HTTP/1.1\r\nHost: h\r\n\r\n", true),
        (&[PUBLIC], "GET http://h/public HTTP/1.1\r\nHost: h\r\n\r\n", true),
        (&[PUBLIC], "GET /%70ublic HTTP/1.1\r\nHost: h\r\n\r\n", true),
        (&[PUBLIC], "POST /public HTTP/1.1\r\nHost: h\r\n\r\n", false),
        (&[PUBLIC], "GET /public?x=1 HTTP/1.1\r\nHost: h\r\n\r\n", false),
        (&[PUBLIC], "GET /Public HTTP/1.1\r\nHost: h\r\n\r\n", false),
        (&[PUBLIC], "GET /x/../public HTTP/1.1\r\nHost: h\r\n\r\n", false),
        (&[PUBLIC], "GET //public HTTP/1.1\r\nHost: h\r\n\r\n", false),
        (&[PUBLIC], "GET /public;v=1 HTTP/1.1\r\nHost: h\r\n\r\n", false),
        (&[HOST], "GET /any/../thing HTTP/1.1\r\nHost: foo.bar.com:8080\r\n\r\n", true),
        (&[HOST], "GET / HTTP/1.1\r\nHost: foo-bar.com\r\n\r\n", false),
        (&[HOST], "GET / HTTP/1.1\r\nHost: FOO.bar.com\r\n\r\n", false),
        (&[HOST], "GET / HTTP/1.0\r\n\r\n", false),
        (&[TOKEN], "GET / HTTP/1.1\r\nHost: h\r\nX-Token: a\r\nx-there:\r\nX-TOKEN: b\r\n\r\n", true),
        (&[TOKEN], "GET / HTTP/1.1\r\nHost: h\r\nX-Token: a\r\nx-there:\r\n\r\n", false),
        (&[TOKEN], "GET / HTTP/1.1\r\nHost: h\r\nX-Token: a,b\r\n\r\n", false),
        (&[PUBLIC, HOST], "GET /x HTTP/1.1\r\nHost: foo.bar.com\r\n\r\n", true),
        (&[DATABASE], "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n", true),
        (&[DATABASE], "CONNECT db:22 HTTP/1.1\r\nHost: db:22\r\n\r\n", false),
        (&[DATABASE_BY_HOST], "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n", false),
        (&[ALL], "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n", false),
        (&[ALL], "CONNECT db:5432 HTTP/1.0\r\n\r\n", false),
        (&[ALL], "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n", true),
        (&[PUBLIC], "GET /public HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", true),
        (&[PUBLIC], "GET /secret HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", false),
        (&[ALL], "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", true),
        (&[ALL], "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc", false),
        (&[ALL], "GET /chat HTTP/1.0\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", false),
        (&[ALL], "POST /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", false),
        (&[ALL], "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nUpgrade: tcp\r\n\r\n", false),
        (&[ALL], "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: tcp\r\n\r\n", false),
        (&[ALL], "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c, tcp\r\n\r\n", false),
        (&[ALL], "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n\r\n", true),
        (&[ALL], "GET / HTTP/1.1\r\nHost: h\r\nUpgrade-Insecure-Requests: 1\r\n\r\n", true),
        (&[DOCKER], "POST /attach HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n", true),
        (&[DOCKER], "POST /attach HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: TLS/1.2\r\n\r\n", false),
        (&[DOCKER, ALL], "POST /attach HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: TLS/1.2\r\n\r\n", false),
        (&[PUBLIC], "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n", false),
        (&[&[]], "DELETE /a//b HTTP/1.1\r\nHost: h\r\n\r\n", true),
        (&[], "GET / HTTP/1.1\r\nHost: h\r\n\r\n", false),
    ] {
        let play = under(rules);
        if allowed { play.reaches_server(request).run() } else { play.client(request).closes(Close::Reset).run() }
    }
}
