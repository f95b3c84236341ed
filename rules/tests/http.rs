//! HTTP rules: matching requests, the reason of a denial, and large sets of rules.

mod kit;

use std::sync::Arc;

use kit::{
    HTTP, Http, Ports, allow, anybody, builder, enters, ingress, passes, peers, policy, request, with_header, word,
};
use portcullis_rules::{
    policy::{L7Rule, Matcher, Policy, Predicate},
    settings::{DenyScope, DenyWith},
    snapshot::{Flow, RuleSet},
    verdict::{Reason, RuleInfo},
};

fn judged(rules: Vec<L7Rule>) -> Flow {
    enters(&builder(vec![web("default/p", rules)]), "client", "80")
}

fn web(name: &str, rules: Vec<L7Rule>) -> Policy {
    policy(name, vec![ingress("app=server", vec![anybody().http("80", rules)])])
}

fn set(flow: &Flow) -> &Arc<RuleSet> {
    let Some(set) = &flow.plan.requests else { panic!("not judged: {flow:?}") };
    set
}

#[test]
fn a_rule_matches_whole_values_and_all_its_fields() {
    for (rule, request, passes_it) in [
        (allow("GET", "/public"), request("GET", "/public"), true),
        (allow("GET", "/public"), request("GET", "/private"), false),
        (allow("GET", "/public"), request("POST", "/public"), false),
        (allow("GET", "/public"), request("get", "/public"), false),
        (allow("GET", "/public"), request("GET", "/public?x=1"), false),
        (allow("GET", "/public"), request("GET", "/public/"), false),
        (allow("GET", "/public"), request("GET", "/x/public"), false),
        (allow("", "/public.*"), request("GET", "/public?x=1"), true),
        (allow("GET|HEAD", ""), request("HEAD", "/any"), true),
        (allow("", ""), request("BREW", "/pot"), true),
        (with_header(allow("GET", ""), "x-token", None), request("GET", "/"), false),
        (
            with_header(allow("GET", ""), "x-token", None),
            Http { headers: vec![("x-token", "7")], ..request("GET", "/") },
            true,
        ),
        (
            with_header(allow("GET", ""), "x-token", Some("7")),
            Http { headers: vec![("x-token", "77")], ..request("GET", "/") },
            false,
        ),
    ] {
        let flow = judged(vec![rule.clone()]);
        assert_eq!(passes(&flow, &request), passes_it, "{rule:?} on {request:?}");
    }
}

#[test]
fn a_host_is_compared_as_it_was_sent() {
    let host = |pattern: &str| {
        let matcher = Matcher::Regex(pattern.to_owned());
        judged(vec![L7Rule {
            predicates: vec![Predicate { field: kit::HOST, key: String::new(), matcher }],
            ..L7Rule::default()
        }])
    };
    let sent = |host| Http { host: Some(host), ..request("GET", "/") };
    assert!(passes(&host("foo.bar"), &sent("fooXbar")));
    assert!(!passes(&host("foo.bar"), &sent("foo.bar:8080")));
    assert!(!passes(&host(".*"), &Http { host: None, ..request("GET", "/") }), "absent is not empty");
    // Cilium does not check it, so it is accepted, and fails closed.
    assert!(!passes(&host("*"), &sent("*")));
}

#[test]
fn the_rules_of_all_policies_are_united() {
    let world = builder(vec![web("default/p", vec![allow("GET", "/a")]), web("default/q", vec![allow("PUT", "/b")])]);
    let flow = enters(&world, "client", "80");
    assert!(passes(&flow, &request("GET", "/a")) && passes(&flow, &request("PUT", "/b")));
    assert!(!passes(&flow, &request("GET", "/b")));
    assert_eq!(set(&flow).schema().protocol, "http");
}

#[test]
fn a_plain_allow_shadows_http_rules_but_not_one_that_shows_every_request() {
    let plain = || policy("default/plain", vec![ingress("app=server", vec![peers(&["app=client"])])]);
    let shadowed = builder(vec![web("default/p", vec![allow("GET", "/a")]), plain()]);
    assert_eq!(word(&enters(&shadowed, "client", "80")), "allow");
    assert_eq!(word(&enters(&shadowed, "other", "80")), "judge");
    let shown = builder(vec![web("default/p", vec![allow("", "")]), plain()]);
    let flow = enters(&shown, "client", "80");
    assert_eq!(word(&flow), "judge");
    assert!(passes(&flow, &request("PUT", "/x")));
}

#[test]
fn an_allowed_request_names_its_rule() {
    let flow = judged(vec![allow("GET", "/a"), allow("GET", "/b.*")]);
    let request = request("GET", "/bc");
    let verdict = set(&flow).check(&request);
    let rule = verdict.rule.unwrap();
    assert_eq!((&*rule.policy, &*rule.rule), ("default/p", "ingress[0].toPorts[0].rules.http[1]"));
    assert_eq!((verdict.outcome.passes(), verdict.reason, verdict.misses), (true, Reason::RuleAllows, vec![]));
}

#[test]
fn a_denied_request_names_the_rule_that_came_nearest_and_what_failed() {
    let flow = judged(vec![allow("PUT", "/a"), allow("GET", "/b"), allow("GET", "/c")]);
    let long: &'static str = Box::leak(format!("/{}", "x".repeat(400)).into_boxed_str());
    let verdict = set(&flow).check(&request("GET", long)).misses.remove(0);
    assert_eq!((verdict.predicate.as_str(), verdict.pattern.as_str(), verdict.value.len()), ("path", "/b", 256));
    let request = request("DELETE", "/a");
    let verdict = set(&flow).check(&request);
    assert_eq!(
        (verdict.reason, &*verdict.rule.unwrap().rule),
        (Reason::NoMatch, "ingress[0].toPorts[0].rules.http[0]")
    );
    assert_eq!(verdict.misses.first().unwrap().predicate, "method");
}

#[test]
fn of_rules_that_came_equally_near_the_first_is_named() {
    for (first, second) in [(".*", "/a/.*"), ("/a/.*", ".*"), ("/a/.*", "/a/b")] {
        let wanting = |path| with_header(allow("", path), "x-token", None);
        let set = numbered(&[wanting(first), wanting(second)]);
        let verdict = set.check(&request("GET", "/a/b"));
        assert_eq!(verdict.rule.map(|rule| &*rule.rule), Some("0"), "{first} {second}");
    }
}

#[test]
fn values_of_headers_are_never_shown() {
    let flow = judged(vec![with_header(allow("GET", ""), "x-token", Some("secret"))]);
    let request = Http { headers: vec![("x-token", "guess")], ..request("GET", "/") };
    let miss = set(&flow).check(&request).misses.remove(0);
    assert_eq!(
        (miss.predicate.as_str(), miss.pattern.as_str(), miss.value.as_str()),
        ("headers[x-token]", "[redacted]", "[redacted]")
    );
}

#[test]
fn what_has_two_readings_matches_no_rule_that_looks_at_it() {
    let flow = judged(vec![allow("GET", ".*")]);
    let request = Http { ambiguous: true, ..request("GET", "/a/../b") };
    let verdict = set(&flow).check(&request);
    assert_eq!((verdict.outcome.passes(), verdict.reason), (false, Reason::Ambiguous));
    let miss = verdict.misses.first().unwrap();
    assert_eq!((miss.predicate.as_str(), miss.value.as_str()), ("path (dot segment)", "/a/../b"));
    // A rule that does not look at it is not concerned.
    assert!(passes(&judged(vec![allow("GET", "")]), &request));
}

#[test]
fn a_policy_chooses_how_to_say_no_and_reset_wins() {
    let with = |name: &str, path: &str, deny_with| Policy { deny_with, ..web(name, vec![allow("GET", path)]) };
    let (reset, respond) = (Some(DenyWith::Reset), Some(DenyWith::Respond));
    for (one, two, setting, wanted) in [
        (None, None, DenyWith::Reset, DenyWith::Reset),
        (None, None, DenyWith::Respond, DenyWith::Respond),
        (respond, None, DenyWith::Reset, DenyWith::Respond),
        (respond, reset, DenyWith::Respond, DenyWith::Reset),
        (reset, None, DenyWith::Respond, DenyWith::Reset),
    ] {
        let mut world = builder(vec![with("default/p", "/a", one), with("default/q", "/b", two)]);
        world.settings.deny_with = setting;
        let flow = enters(&world, "client", "80");
        assert_eq!(set(&flow).check(&request("PUT", "/")).deny_with, wanted, "{one:?} {two:?} {setting:?}");
    }
}

#[test]
fn a_policy_chooses_what_a_reset_takes_along_and_the_connection_wins() {
    let with = |name: &str, path: &str, deny_scope| Policy { deny_scope, ..web(name, vec![allow("GET", path)]) };
    let (stream, connection) = (Some(DenyScope::Stream), Some(DenyScope::Connection));
    for (one, two, setting, wanted) in [
        (None, None, DenyScope::Stream, DenyScope::Stream),
        (None, None, DenyScope::Connection, DenyScope::Connection),
        (stream, None, DenyScope::Connection, DenyScope::Stream),
        (stream, connection, DenyScope::Stream, DenyScope::Connection),
        (connection, None, DenyScope::Stream, DenyScope::Connection),
    ] {
        let mut world = builder(vec![with("default/p", "/a", one), with("default/q", "/b", two)]);
        world.settings.deny_scope = setting;
        let flow = enters(&world, "client", "80");
        assert_eq!(set(&flow).check(&request("PUT", "/")).deny_scope, wanted, "{one:?} {two:?} {setting:?}");
    }
}

#[test]
fn open_connections_are_kept_where_every_policy_that_speaks_of_the_direction_says_so() {
    use portcullis_rules::{
        settings::OpenConnections::{self, Cut, Keep},
        snapshot::Snapshot,
        world::{Direction, EndpointId},
    };
    let with = |name: &str, open_connections: Option<OpenConnections>| Policy {
        open_connections,
        ..web(name, vec![allow("GET", "/a")])
    };
    for (one, two, setting, kept) in [
        (None, None, Cut, false),
        (None, None, Keep, true),
        (Some(Keep), Some(Keep), Cut, true),
        (Some(Keep), None, Cut, false),
        (Some(Cut), None, Keep, false),
        (Some(Keep), Some(Cut), Keep, false),
    ] {
        let mut world = builder(vec![with("default/p", one), with("default/q", two)]);
        world.settings.open_connections = setting;
        let snapshot = Snapshot::compile(&world, 1);
        let keeps = |direction| snapshot.keeps_open(EndpointId(1), direction);
        assert_eq!(keeps(Direction::Ingress), kept, "{one:?} {two:?} {setting:?}");
        assert!(!keeps(Direction::Egress), "nothing is enforced there");
    }
}

#[test]
fn flows_with_the_same_rules_share_them() {
    let world = builder(vec![web("default/p", vec![allow("GET", "/a")])]);
    let snapshot = portcullis_rules::snapshot::Snapshot::compile(&world, 1);
    let flow = |peer| snapshot.flow(&kit::key(1, portcullis_rules::world::Direction::Ingress, peer, "80"));
    assert!(Arc::ptr_eq(set(&flow("10.0.0.2")), set(&flow("192.0.2.1"))));
}

/// Rules as a set, each named by its number.
fn numbered(rules: &[L7Rule]) -> RuleSet {
    let info = |number: usize| Arc::new(RuleInfo { policy: "p".into(), rule: number.to_string().into() });
    RuleSet::new(&HTTP, rules.iter().enumerate().map(|(number, rule)| (rule, info(number))), DenyWith::Reset)
}

#[test]
fn each_of_very_many_rules_is_found_and_nothing_between_them() {
    let shapes: [fn(usize) -> String; 4] = [
        |n| format!("/item/{n}"),
        |n| format!("/item/{n}/.*"),
        |n| format!(".*/item/{n}"),
        |n| format!("/item/{n}/[a-z]+(/x)?"),
    ];
    let paths: [fn(usize) -> String; 4] = [
        |n| format!("/item/{n}"),
        |n| format!("/item/{n}/more"),
        |n| format!("/shop/item/{n}"),
        |n| format!("/item/{n}/abc/x"),
    ];
    for (shape, path) in shapes.into_iter().zip(paths) {
        let rules: Vec<L7Rule> = (0..1200).map(|n| allow(if n % 3 == 0 { "PUT" } else { "GET" }, &shape(n))).collect();
        let set = numbered(&rules);
        for n in [0, 1, 7, 511, 512, 513, 1199] {
            let leaked: &'static str = Box::leak(path(n).into_boxed_str());
            let (right, wrong) = if n % 3 == 0 { ("PUT", "GET") } else { ("GET", "PUT") };
            let asked = request(right, leaked);
            let verdict = set.check(&asked);
            assert_eq!(verdict.rule.map(|rule| &*rule.rule), Some(n.to_string().as_str()), "{leaked}");
            assert!(verdict.outcome.passes(), "{leaked}");
            assert!(!set.check(&request(wrong, leaked)).outcome.passes(), "{leaked}");
        }
        let beyond: &'static str = Box::leak(path(1200).into_boxed_str());
        assert!(!set.check(&request("GET", beyond)).outcome.passes());
    }
}

#[test]
fn rules_that_are_together_too_large_for_one_automaton_are_found_all_the_same() {
    // Each some hundred kilobytes.
    let shape = |n: usize| allow("GET", &format!("/v[0-9]/(abc|de|f){{0,1000}}/{n}"));
    let rules: Vec<L7Rule> = (0..64).map(shape).collect();
    let set = numbered(&rules);
    for (path, rule) in
        [("/v1/abcdef/0", Some("0")), ("/v1/f/23", Some("23")), ("/v2//63", Some("63")), ("/v1/f/64", None)]
    {
        let verdict = set.check(&request("GET", path));
        assert_eq!(verdict.rule.filter(|_| verdict.outcome.passes()).map(|rule| &*rule.rule), rule, "{path}");
    }
}

/// Paths whose beginnings are shared by few, by many, by none.
const PATHS: [&str; 12] = [
    "/a.*",
    "/a/.*",
    "/a/b[cd]/.*",
    "/a/b/(x|y)",
    "/[ab]/b.*",
    "(/a|/b)/c?",
    "/b+",
    "/b/\\d+",
    ".*/c",
    "/a",
    "/c/.*/d",
    "",
];

const ASKED: [&str; 16] = [
    "/", "/a", "/ab", "/a/", "/a/b", "/a/bc/", "/a/bd/x", "/a/be/x", "/a/b/x", "/b/b/y", "/a/c", "/b/", "/bbb",
    "/b/17", "/c/x/d", "/x/c",
];

proptest::proptest! {
    #[test]
    fn rules_that_are_found_are_those_that_match(
        rules in proptest::collection::vec((0_usize..3, 0..PATHS.len()), 1..60),
        path in proptest::sample::select(&ASKED[..]),
    ) {
        let rules: Vec<L7Rule> =
            rules.into_iter().map(|(method, path)| allow(["", "GET", "GET|PUT"][method], PATHS[path])).collect();
        let all = numbered(&rules);
        for method in ["GET", "PUT", "POST"] {
            let asked = request(method, path);
            let one_does = rules.iter().any(|rule| numbered(std::slice::from_ref(rule)).check(&asked).outcome.passes());
            proptest::prop_assert_eq!(all.check(&asked).outcome.passes(), one_does, "{} {}", method, path);
        }
    }
}

#[test]
fn a_set_without_rules_denies() {
    let set = numbered(&[]);
    let request = request("GET", "/");
    let verdict = set.check(&request);
    assert!(set.is_empty() && !verdict.outcome.passes() && verdict.rule.is_none() && verdict.misses.is_empty());
}
