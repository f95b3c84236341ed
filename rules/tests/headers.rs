//! Changes by rules to request headers that do not match.

mod kit;

use kit::{HEADERS, Http, Ports, allow, anybody, builder, enters, ingress, peers, policy, request};
use portcullis_rules::{
    effects::{is_value, may_change},
    policy::{HeaderAction, HeaderValueSource, L7Rule, Mismatch},
    snapshot::RuleSet,
    verdict::Reason,
    world::{Secret, World},
};

fn value(text: &str) -> HeaderValueSource {
    HeaderValueSource::Value(text.to_owned())
}

fn secret(name: &str) -> HeaderValueSource {
    HeaderValueSource::Secret(format!("ns/{name}"))
}

/// What is done with headers of these names.
type Actions<'a> = Vec<(&'a str, HeaderValueSource, Mismatch)>;

/// A rule of a path (empty means any) that acts on headers.
fn acts<'a>(path: &str, actions: impl IntoIterator<Item = (&'a str, HeaderValueSource, Mismatch)>) -> L7Rule {
    let action = |(name, wanted, mismatch): (&str, HeaderValueSource, Mismatch)| HeaderAction {
        field: HEADERS,
        name: name.to_owned(),
        wanted,
        mismatch,
    };
    L7Rule { actions: actions.into_iter().map(action).collect(), ..allow("", path) }
}

fn world(rules: Vec<L7Rule>) -> World {
    let mut world = builder(vec![policy("default/p", vec![ingress("app=server", vec![anybody().http("80", rules)])])]);
    let known = [("s", "hush"), ("broken", "hush\n"), ("empty", "")];
    world.secrets = known.map(|(name, value)| Secret { name: format!("ns/{name}"), value: value.to_owned() }).to_vec();
    world
}

fn with_set<T>(world: &World, ask: impl FnOnce(&RuleSet) -> T) -> T {
    let flow = enters(world, "client", "80");
    let Some(set) = &flow.plan.requests else { panic!("not judged: {flow:?}") };
    ask(set)
}

/// What came of a request, in words: the verdict, `name: values` for each header that is changed, `-name wanted` for one
/// that was missing, `!name value` for one that was rejected.
fn outcome(world: &World, request: &Http) -> String {
    with_set(world, |set| {
        let (verdict, effects) = set.evaluate(request);
        let mut words = vec![if verdict.outcome.passes() { "allow".to_owned() } else { "deny".to_owned() }];
        words.extend(effects.changed.iter().map(|change| format!("{}: {}", change.name, change.shown().join(" | "))));
        words.extend(effects.missing.iter().map(|(name, value)| format!("-{name} {value}")));
        words.extend(effects.rejected.iter().map(|(name, value)| format!("!{name} {value}")));
        words.join("; ")
    })
}

fn sends(headers: &[(&'static str, &'static str)]) -> Http {
    Http { headers: headers.to_vec(), ..request("GET", "/") }
}

#[test]
fn each_action_does_its_own_to_a_header_that_does_not_match() {
    let old = [("x", "old")];
    for (wanted, mismatch, sent, told) in [
        (value("new"), Mismatch::Log, &old[..], "allow; -x new"),
        (value("new"), Mismatch::Log, &[], "allow; -x new"),
        (value("old"), Mismatch::Log, &old, "allow"),
        (value(""), Mismatch::Log, &old, "allow"),
        (value(""), Mismatch::Log, &[], "allow; -x "),
        (value("new"), Mismatch::Add, &old, "allow; x: old | new; -x new"),
        (value("new"), Mismatch::Add, &[], "allow; x: new; -x new"),
        (value("old"), Mismatch::Add, &old, "allow"),
        (value("new"), Mismatch::Delete, &old, "allow; x: ; !x old"),
        (value("new"), Mismatch::Delete, &[], "allow"),
        (value("old"), Mismatch::Delete, &old, "allow"),
        (value(""), Mismatch::Delete, &old, "allow"),
        (value(""), Mismatch::Delete, &[], "allow"),
        (value("new"), Mismatch::Replace, &old, "allow; x: new; -x new; !x old"),
        (value("new"), Mismatch::Replace, &[], "allow; x: new; -x new"),
        (value("old"), Mismatch::Replace, &old, "allow"),
        (value("new"), Mismatch::Fail, &old, "deny; -x new"),
        (value("old"), Mismatch::Fail, &old, "allow"),
    ] {
        let told_of = outcome(&world(vec![acts("", [("x", wanted.clone(), mismatch)])]), &sends(sent));
        assert_eq!(told_of, told, "{wanted:?} {mismatch:?} {sent:?}");
    }
}

#[test]
fn what_comes_from_a_secret_is_sent_and_never_told() {
    for (mismatch, told) in [
        (Mismatch::Fail, "deny; -x [redacted]"),
        (Mismatch::Log, "allow; -x [redacted]"),
        (Mismatch::Add, "allow; x: old | [redacted]; -x [redacted]"),
        (Mismatch::Delete, "allow; x: ; !x [redacted]"),
        (Mismatch::Replace, "allow; x: [redacted]; -x [redacted]; !x [redacted]"),
    ] {
        let world = world(vec![acts("", [("x", secret("s"), mismatch)])]);
        assert_eq!(outcome(&world, &sends(&[("x", "old")])), told, "{mismatch:?}");
        assert_eq!(outcome(&world, &sends(&[("x", "hush")])), "allow", "{mismatch:?}");
        with_set(&world, |set| {
            let (_, effects) = set.evaluate(&sends(&[("x", "old")]));
            let added = effects.changed.iter().flat_map(|change| &change.added).map(|value| value.text());
            let wanted: &[&str] = if matches!(mismatch, Mismatch::Add | Mismatch::Replace) { &["hush"] } else { &[] };
            assert_eq!(added.collect::<Vec<_>>(), wanted, "{mismatch:?}");
            assert!(!format!("{effects:?}{set:?}").contains("hush"), "{mismatch:?}");
        });
    }
}

#[test]
fn a_denial_names_the_rule_and_the_header_that_failed() {
    let table = [
        (vec![("x", secret("s"), Mismatch::Fail)], sends(&[("x", "guess")]), "headers[x]", "[redacted]"),
        (vec![("x", secret("s"), Mismatch::Fail)], sends(&[]), "headers[x]", ""),
        (vec![("x", secret("gone"), Mismatch::Log)], sends(&[("x", "a")]), "headers[x]", "[redacted]"),
        (vec![("y", value("a"), Mismatch::Log), ("x", secret("s"), Mismatch::Fail)], sends(&[]), "headers[x]", ""),
        (
            vec![("x", value("a"), Mismatch::Replace)],
            Http { ambiguous_header: Some("x"), ..sends(&[]) },
            "headers[x] (nominated)",
            "[redacted]",
        ),
    ];
    for (actions, asked, predicate, shown) in table {
        with_set(&world(vec![allow("", "/never"), acts("/", actions.clone())]), |set| {
            let (verdict, _) = set.evaluate(&asked);
            let miss = verdict.misses.first().expect("a miss");
            let told = (&*miss.predicate, &*miss.pattern, &*miss.value);
            assert_eq!(told, (predicate, "[redacted]", shown), "{actions:?}");
            assert_eq!(&*verdict.rule.expect("a rule").rule, "ingress[0].toPorts[0].rules.http[1]", "{actions:?}");
            let ambiguous = verdict.reason == Reason::Ambiguous;
            assert_eq!(ambiguous, asked.ambiguous_header.is_some(), "{actions:?}");
        });
    }
}

/// Nothing is done by halves: the rule does not match, so nothing passes by it.
#[test]
fn a_secret_that_is_not_known_is_named_where_the_answer_may_depend_on_it() {
    let rules = |mismatch| {
        let other = acts("/other", [("x-a", secret("elsewhere"), Mismatch::Fail)]);
        world(vec![acts("/a", [("x-a", secret("lost"), mismatch)]), other, allow("", "/open")])
    };
    let named = |mismatch, path: &'static str, headers: &[(&'static str, &'static str)]| {
        let request = Http { path, ..sends(headers) };
        with_set(&rules(mismatch), |set| {
            let (verdict, effects) = set.evaluate(&request);
            let unknown =
                effects.unknown.iter().map(|secret| (secret.name.to_string(), secret.changes)).collect::<Vec<_>>();
            (verdict.outcome.passes(), unknown)
        })
    };
    let lost = |changes| vec![("ns/lost".to_owned(), changes)];
    let sent = [("x-a", "1")];
    for (mismatch, path, headers, wanted) in [
        (Mismatch::Fail, "/a", &sent[..], (false, lost(false))),
        (Mismatch::Fail, "/a", &[], (false, vec![])),
        (Mismatch::Log, "/a", &[], (false, lost(false))),
        (Mismatch::Add, "/a", &[], (false, lost(true))),
        (Mismatch::Replace, "/a", &sent[..], (false, lost(true))),
        (Mismatch::Fail, "/open", &sent[..], (true, vec![])),
    ] {
        assert_eq!(named(mismatch, path, headers), wanted, "{mismatch:?} {path} {headers:?}");
    }
}

#[test]
fn what_cannot_be_done_is_refused() {
    for (name, wanted, mismatch, told) in [
        ("x", secret("gone"), Mismatch::Fail, "deny"),
        ("x", secret("gone"), Mismatch::Log, "deny"),
        ("x", secret("gone"), Mismatch::Add, "deny"),
        ("x", secret("gone"), Mismatch::Delete, "deny"),
        ("x", secret("broken"), Mismatch::Add, "deny"),
        ("x", secret("broken"), Mismatch::Replace, "deny"),
        ("x", secret("broken"), Mismatch::Fail, "deny; -x [redacted]"),
        ("x", secret("broken"), Mismatch::Delete, "allow; x: ; !x [redacted]"),
        ("x", secret("empty"), Mismatch::Replace, "deny"),
        ("x", secret("empty"), Mismatch::Fail, "deny"),
        ("x", value("a\r\nHost: b"), Mismatch::Add, "deny"),
        ("x", value(" a"), Mismatch::Replace, "deny"),
        ("x y", value("a"), Mismatch::Add, "deny"),
        ("host", value("a"), Mismatch::Replace, "deny"),
        ("content-length", value("0"), Mismatch::Add, "deny"),
        ("transfer-encoding", value("a"), Mismatch::Delete, "deny"),
        ("host", value("a"), Mismatch::Log, "allow; -host a"),
    ] {
        let told_of = outcome(&world(vec![acts("", [(name, wanted.clone(), mismatch)])]), &sends(&[("x", "old")]));
        assert_eq!(told_of, told, "{name} {wanted:?} {mismatch:?}");
    }
}

#[test]
fn a_header_that_two_servers_could_read_differently_is_only_told_of() {
    for (mismatch, told) in [
        (Mismatch::Fail, "deny"),
        (Mismatch::Log, "allow; -x new"),
        (Mismatch::Add, "deny"),
        (Mismatch::Delete, "deny"),
        (Mismatch::Replace, "deny"),
    ] {
        let asked = Http { ambiguous_header: Some("x"), ..sends(&[("x", "new")]) };
        assert_eq!(outcome(&world(vec![acts("", [("x", value("new"), mismatch)])]), &asked), told, "{mismatch:?}");
    }
}

#[test]
fn actions_see_what_was_changed_before_them() {
    use Mismatch::{Add, Delete, Fail, Log, Replace};
    let table: [(Actions<'_>, &str); 7] = [
        (vec![("x", value("a"), Replace), ("x", value("a"), Fail)], "allow; x: a; -x a; !x old"),
        (vec![("x", value("a"), Replace), ("x", value("b"), Add)], "allow; x: a | b; -x a; -x b; !x old"),
        (vec![("x", value("a"), Add), ("x", value("old,a"), Fail)], "allow; x: old | a; -x a"),
        (vec![("x", value("a"), Add), ("x", value("a"), Replace)], "allow; x: a; -x a; -x a; !x old,a"),
        (vec![("x", value("a"), Delete), ("x", value(""), Log)], "allow; x: ; -x ; !x old"),
        (vec![("x", value("a"), Delete), ("x", value("b"), Add)], "allow; x: b; -x b; !x old"),
        (vec![("y", value("a"), Add), ("x", value("b"), Add)], "allow; y: a; x: old | b; -y a; -x b"),
    ];
    for (actions, told) in table {
        assert_eq!(outcome(&world(vec![acts("", actions.clone())]), &sends(&[("x", "old")])), told, "{actions:?}");
    }
}

/// As in Cilium: the actions of a rule run once its conditions match, and what a rule did stays, although it fails.
#[test]
fn what_a_rule_did_before_it_failed_stays_if_another_rule_allows() {
    let fails = || acts("", [("x", value("a"), Mismatch::Replace), ("y", value("b"), Mismatch::Fail)]);
    assert_eq!(outcome(&world(vec![fails()]), &sends(&[])), "deny; x: a; -x a; -y b");
    assert_eq!(outcome(&world(vec![fails(), allow("GET", "")]), &sends(&[])), "allow; x: a; -x a; -y b");
    let elsewhere = acts("/never", [("x", value("a"), Mismatch::Replace)]);
    assert_eq!(outcome(&world(vec![elsewhere, allow("GET", "")]), &sends(&[])), "allow");
}

#[test]
fn rules_change_headers_once_for_each_selector_of_the_peer_and_judge_once() {
    for (selectors, told, rules) in [
        (&["app=client"][..], "allow; x: old | new; -x new", 2),
        (&["app=client", "app=client"], "allow; x: old | new; -x new", 2),
        (&["app=client", "app"], "allow; x: old | new | new; -x new; -x new", 3),
    ] {
        let acting = vec![acts("", [("x", value("new"), Mismatch::Add)]), allow("", "/never")];
        let world =
            builder(vec![policy("default/p", vec![ingress("app=server", vec![peers(selectors).http("80", acting)])])]);
        assert_eq!(outcome(&world, &sends(&[("x", "old")])), told, "{selectors:?}");
        assert_eq!(with_set(&world, RuleSet::len), rules, "{selectors:?}");
    }
}

#[test]
fn rules_change_headers_also_where_a_wider_rule_allows() {
    let entries =
        vec![anybody().http("80", vec![acts("/a", [("x", value("new"), Mismatch::Add)])]), peers(&["app=client"])];
    let world = builder(vec![policy("default/p", vec![ingress("app=server", entries)])]);
    assert_eq!(outcome(&world, &request("GET", "/a")), "allow; x: new; -x new");
    assert_eq!(outcome(&world, &request("GET", "/b")), "allow");
}

#[test]
fn the_values_of_long_headers_are_told_in_part() {
    let long: &'static str = "0123456789".repeat(100).leak();
    let world = world(vec![acts("", [("x", value("a"), Mismatch::Delete)])]);
    with_set(&world, |set| {
        let (_, effects) = set.evaluate(&sends(&[("x", long)]));
        assert_eq!(effects.rejected, [("x".to_owned(), long[..256].to_owned())]);
    });
}

#[test]
fn names_and_values_that_would_break_the_message_are_known() {
    for name in ["x-user", "cookie", "authorization", "x_y", "forwarded"] {
        assert!(may_change(name), "{name}");
    }
    for name in ["", "a b", "a:", ":authority", "a\r\n", "Host", "TE", "Content-Length", "Connection", "Expect", "é"] {
        assert!(!may_change(name), "{name}");
    }
    for text in ["", "a", "a b", "a\tb", "ü", "a, b;c=\"d\""] {
        assert!(is_value(text), "{text:?}");
    }
    for text in [" ", " a", "a\t", "a\rb", "a\nb", "a\0b", "a\x7f"] {
        assert!(!is_value(text), "{text:?}");
    }
}
