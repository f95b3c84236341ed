//! Requests for tunnels are allowed only if a rule means one, or if nothing is judged.

mod kit;

use kit::{
    HEADERS, HOST, Http, Ports, allow, anybody, builder, enters, ingress, passes, peers, policy, request, with_header,
};
use portcullis_rules::{
    policy::{HeaderAction, HeaderValueSource, L7Rule, Matcher, Mismatch, Predicate, Rule},
    settings::Upgrades,
    snapshot::Flow,
    verdict::Reason,
};

fn judged(rules: Vec<L7Rule>, upgrades: Upgrades) -> Flow {
    let mut world = builder(vec![policy("default/p", vec![ingress("app=server", vec![anybody().http("80", rules)])])]);
    world.settings.upgrades = upgrades;
    enters(&world, "client", "80")
}

fn connect() -> Http {
    // CONNECT has no path; what stands here only must not be what keeps it out.
    request("CONNECT", "/")
}

fn upgrade(protocol: &'static str) -> Http {
    Http { headers: vec![("upgrade", protocol)], ..request("GET", "/") }
}

fn host(pattern: &str) -> L7Rule {
    let matcher = Matcher::Regex(pattern.to_owned());
    L7Rule { predicates: vec![Predicate { field: HOST, key: String::new(), matcher }], ..L7Rule::default() }
}

/// A rule means CONNECT if its method is a list of methods that has it, and not because it matches anything.
#[test]
fn connect_takes_a_rule_that_lists_it() {
    for (rule, passes_it) in [
        (allow("CONNECT", ""), true),
        (allow("^CONNECT$", ""), true),
        (allow("(?i)connect", ""), true),
        (allow("GET|CONNECT", ""), true),
        (allow("(GET|POST|CONNECT)", ""), true),
        (allow("GET|CON(NECT|CAT)", ""), true),
        (allow("CONNECTS?", ""), true),
        (allow("CONNECT", "/"), true),
        (allow("CONNECT", "/other"), false),
        (allow("", ""), false),
        (allow("", "/"), false),
        (allow("", ".*"), false),
        (allow(".*", ""), false),
        (allow(".+", ""), false),
        (allow("(?s:.*)", ""), false),
        (allow("[A-Z]+", ""), false),
        (allow("[A-Z]{7}", ""), false),
        (allow("C.*", ""), false),
        (allow("CONNECT.*", ""), false),
        (allow("GET|.*", ""), false),
        (allow("GET|CONNECT|.*", ""), false),
        (allow("[^G].*", ""), false),
        (allow("GET", ""), false),
        (host("server"), false),
        (host(".*"), false),
        (with_header(allow("", ""), ":method", Some("CONNECT")), false),
        (with_header(allow("", ""), "x-token", None), false),
    ] {
        let asked = Http { headers: vec![("x-token", "7"), (":method", "CONNECT")], ..connect() };
        for upgrades in [Upgrades::None, Upgrades::WebSocket, Upgrades::Any] {
            let flow = judged(vec![rule.clone()], upgrades);
            assert_eq!(passes(&flow, &asked), passes_it, "{rule:?} with {upgrades:?}");
        }
    }
}

#[test]
fn one_rule_that_means_it_is_enough_and_no_other_stands_in_for_it() {
    let (database, web) = (
        L7Rule {
            predicates: [allow("CONNECT", ""), host("db:5432")].map(|rule| rule.predicates).concat(),
            ..L7Rule::default()
        },
        host("server"),
    );
    let to = |host| Http { host: Some(host), ..connect() };
    let flow = judged(vec![web, database], Upgrades::default());
    assert!(passes(&flow, &to("db:5432")));
    assert!(!passes(&flow, &to("server")), "the rule that means tunnels is for another host");
    // Many rules are found by an index.
    let many: Vec<L7Rule> =
        (0..100).map(|number| allow("", &format!("/{number}/.*"))).chain([allow("", "/.*")]).collect();
    assert!(!passes(&judged(many.clone(), Upgrades::default()), &connect()));
    let listed: Vec<L7Rule> = many.into_iter().chain([allow("CONNECT", "")]).collect();
    assert!(passes(&judged(listed, Upgrades::default()), &connect()));
}

#[test]
fn other_protocols_take_a_rule_that_names_them_or_a_setting() {
    let any = allow("", "");
    let naming = |protocol| with_header(any.clone(), "upgrade", Some(protocol));
    let present = with_header(any.clone(), "upgrade", None);
    for (rule, protocol, passing) in [
        // With none, with websocket, with any.
        (&any, "websocket", [false, true, true]),
        (&any, "tcp", [false, false, true]),
        (&present, "websocket", [false, true, true]),
        (&present, "tcp", [false, false, true]),
        (&naming("tcp"), "tcp", [true, true, true]),
        (&naming("tcp"), "TLS/1.2", [false, false, false]),
        (&naming("websocket"), "websocket", [true, true, true]),
        (&naming("websocket"), "tcp", [false, false, false]),
    ] {
        for (upgrades, passes_it) in [Upgrades::None, Upgrades::WebSocket, Upgrades::Any].into_iter().zip(passing) {
            let flow = judged(vec![rule.clone()], upgrades);
            assert_eq!(passes(&flow, &upgrade(protocol)), passes_it, "{rule:?} on {protocol} with {upgrades:?}");
        }
    }
}

#[test]
fn what_is_missing_is_told() {
    let flow = judged(vec![allow("GET|POST", "/.*"), host("server")], Upgrades::default());
    let Some(set) = &flow.plan.requests else { panic!("{flow:?}") };
    for (asked, predicate) in [(connect(), "method"), (upgrade("tcp"), "headers[upgrade]")] {
        let verdict = set.check(&asked);
        assert_eq!((verdict.outcome.passes(), verdict.reason), (false, Reason::Tunnel));
        assert_eq!(verdict.misses.first().map(|miss| &*miss.predicate), Some(predicate));
        assert!(verdict.rule.is_some());
    }
    // What no rule would allow anyway is denied as ever.
    assert_eq!(set.check(&Http { host: Some("other"), ..connect() }).reason, Reason::NoMatch);
}

/// Where the flow passes whatever is said on it, rules that only show it, or change headers, take nothing away.
#[test]
fn what_passes_unjudged_elsewhere_passes_with_its_tunnels() {
    let web =
        |name: &str, rules| policy(name, vec![ingress("app=server", vec![peers(&["app=client"]).http("80", rules)])]);
    let plain = policy("default/plain", vec![ingress("app=server", vec![peers(&["app=client"]).port("80")])]);
    let everything = || web("default/show", vec![L7Rule::default()]);
    let changing = || {
        let (name, wanted) = ("x-user".to_owned(), HeaderValueSource::Value("guest".into()));
        let action = HeaderAction { field: HEADERS, name, wanted, mismatch: Mismatch::Replace };
        web("default/change", vec![L7Rule { actions: vec![action], ..allow("GET", "") }])
    };
    for asked in [connect(), upgrade("tcp")] {
        for beside in [everything(), changing()] {
            let flow = |policies| enters(&builder(policies), "client", "80");
            assert!(!passes(&flow(vec![beside.clone()]), &asked), "{beside:?} alone on {asked:?}");
            let (before, behind) = (flow(vec![beside.clone(), plain.clone()]), flow(vec![plain.clone(), beside]));
            assert!(!before.plan.is_empty());
            assert!(passes(&before, &asked) && passes(&behind, &asked), "{asked:?}");
        }
        let rule = ingress("app=server", vec![anybody().http("80", vec![allow("GET", "/a")])]);
        let open = policy("default/open", vec![Rule { default_deny_ingress: Some(false), ..rule }]);
        assert!(passes(&enters(&builder(vec![open]), "client", "80"), &asked), "default deny is off");
    }
    // A rule acts on what another one lets pass, tunnel or not.
    let flow = enters(&builder(vec![changing(), plain]), "client", "80");
    let Some(set) = &flow.plan.requests else { panic!("{flow:?}") };
    let (verdict, effects) = set.evaluate(&upgrade("tcp"));
    assert!(verdict.outcome.passes() && effects.changed.len() == 1, "{verdict:?} {effects:?}");
}
