//! The monitor's output as a table: a verdict, and its text and JSON forms.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use portcullis_codecs::PROTOCOLS;
use portcullis_config::proto::{DnsAnswer, DnsQuery, Field, HttpRequest, MissingHeader, Party, Verdict};
use portcullis_proxy::{output::Paint, render::verdict};

const TIME: u64 = 1_795_470_000_123_456_789;

fn client() -> Party {
    Party {
        address: "10.0.1.11".into(),
        port: 40122,
        endpoint: "shop/client-0".into(),
        labels: vec!["k8s:app=client".into(), "k8s:io.kubernetes.pod.namespace=shop".into()],
    }
}

fn app() -> Party {
    Party { address: "10.0.1.12".into(), port: 80, endpoint: "shop/app-0".into(), labels: vec!["k8s:app=app".into()] }
}

fn http(path: &str) -> HttpRequest {
    HttpRequest { method: "GET".into(), host: "app.shop".into(), path: path.into(), version: "HTTP/1.1".into() }
}

fn field(name: &str, value: &str, more: u32) -> Field {
    Field { name: name.into(), value: value.into(), more }
}

fn missing(name: &str, wanted: &str) -> MissingHeader {
    MissingHeader { name: name.into(), wanted: wanted.into() }
}

fn allowed() -> Verdict {
    Verdict {
        time: TIME,
        verdict: "allow".into(),
        layer: "L7".into(),
        direction: "ingress".into(),
        protocol: "http".into(),
        source: Some(client()),
        destination: Some(app()),
        policy: "shop/app-http".into(),
        rule: "ingress[0].toPorts[0].rules.http[0]".into(),
        reason: "rule_allows".into(),
        http: Some(http("/status/200")),
        revision: 7,
        ..Verdict::default()
    }
}

fn denied() -> Verdict {
    Verdict {
        verdict: "deny".into(),
        reason: "no_match".into(),
        predicate: "path".into(),
        pattern: "/status/200".into(),
        value: "/anything-else".into(),
        http: Some(http("/anything-else")),
        ..allowed()
    }
}

fn asked(name: &str) -> Verdict {
    Verdict {
        direction: "egress".into(),
        protocol: "dns".into(),
        rule: "egress[0].toPorts[0].rules.dns[0]".into(),
        http: None,
        dns: Some(DnsQuery { name: name.into(), r#type: "AAAA".into(), answer: None }),
        ..allowed()
    }
}

fn answered(answer: DnsAnswer) -> Verdict {
    let addresses = vec!["2001:db8::10".into(), "2001:db8::11".into()];
    let answer = DnsAnswer { rcode: "NOERROR".into(), addresses, ..answer };
    let dns = DnsQuery { name: "example.com.".into(), r#type: "AAAA".into(), answer: Some(answer) };
    Verdict { dns: Some(dns), ..asked("example.com.") }
}

fn refused(layer: &str) -> Verdict {
    Verdict {
        verdict: "deny".into(),
        layer: layer.into(),
        direction: "egress".into(),
        protocol: "tcp".into(),
        policy: String::new(),
        rule: String::new(),
        reason: "no_rule".into(),
        http: None,
        ..allowed()
    }
}

#[test]
fn each_verdict_is_one_line_that_says_who_what_and_why() {
    let parties = "from shop/client-0 (10.0.1.11:40122) to shop/app-0 (10.0.1.12:80)";
    let table = [
        (
            "an allowed request: method, path and rule",
            allowed(),
            format!(
                "<- http {parties}, ingress: allowed GET http://app.shop/status/200, policy shop/app-http rule \
                 ingress[0].toPorts[0].rules.http[0]"
            ),
        ),
        (
            "at egress the arrow points away",
            Verdict { direction: "egress".into(), ..allowed() },
            format!(
                "-> http {parties}, egress: allowed GET http://app.shop/status/200, policy shop/app-http rule \
                 ingress[0].toPorts[0].rules.http[0]"
            ),
        ),
        (
            "without a policy the reason stands for it",
            Verdict { policy: String::new(), rule: String::new(), reason: "not_enforced".into(), ..allowed() },
            format!("<- http {parties}, ingress: allowed GET http://app.shop/status/200, not_enforced"),
        ),
        (
            "a denied request: the predicate that failed and the value seen",
            denied(),
            format!(
                "xx http {parties}, ingress: Policy denied (L7) GET http://app.shop/anything-else, no_match: path is \
                 \"/anything-else\", wanted \"/status/200\", policy shop/app-http rule \
                 ingress[0].toPorts[0].rules.http[0]"
            ),
        ),
        (
            "a header that is not there",
            Verdict {
                predicate: "headers[x-token]".into(),
                pattern: "[redacted]".into(),
                value: String::new(),
                ..denied()
            },
            format!(
                "xx http {parties}, ingress: Policy denied (L7) GET http://app.shop/anything-else, no_match: \
                 headers[x-token] is absent, wanted \"[redacted]\", policy shop/app-http rule \
                 ingress[0].toPorts[0].rules.http[0]"
            ),
        ),
        (
            "a name that is asked for, and as what",
            asked("example.com."),
            format!(
                "-> dns {parties}, egress: allowed AAAA example.com., policy shop/app-http rule \
                 egress[0].toPorts[0].rules.dns[0]"
            ),
        ),
        (
            "the answer, which learned nothing new",
            answered(DnsAnswer::default()),
            format!("-> dns {parties}, egress: answered AAAA example.com. NOERROR 2001:db8::10 2001:db8::11"),
        ),
        (
            "an answer with many addresses, which was held until they were in force",
            answered(DnsAnswer { more: 498, held_us: Some(42), ..DnsAnswer::default() }),
            format!(
                "-> dns {parties}, egress: answered AAAA example.com. NOERROR 2001:db8::10 2001:db8::11 and 498 more, \
                 held 0.042 ms"
            ),
        ),
        (
            "an answer that was held for too long",
            answered(DnsAnswer { held_us: Some(1_000_042), replaced: true, ..DnsAnswer::default() }),
            format!(
                "-> dns {parties}, egress: answered AAAA example.com. NOERROR 2001:db8::10 2001:db8::11, held \
                 1000.042 ms, replaced by SERVFAIL: its addresses were not installed in time"
            ),
        ),
        (
            "a refused connection: who is not let in",
            refused("L3"),
            format!("xx tcp {parties}, egress: Policy denied (L3), no_rule"),
        ),
        ("which port is not open", refused("L4"), format!("xx tcp {parties}, egress: Policy denied (L4), no_rule")),
        (
            "strangers have an address only, IPv6 in brackets, and a refused client may not have had a port yet",
            Verdict {
                source: Some(Party { address: "fd00:1::b".into(), ..Party::default() }),
                destination: Some(Party { address: "fd00:1::c".into(), port: 5432, ..Party::default() }),
                ..refused("L4")
            },
            "xx tcp from fd00:1::b to [fd00:1::c]:5432, egress: Policy denied (L4), no_rule".into(),
        ),
        (
            "headers that a rule missed and changed",
            Verdict {
                missing_headers: vec![missing("x-trace", "on"), missing("x-token", "[redacted]")],
                rejected_headers: vec!["x-user".into()],
                ..allowed()
            },
            format!(
                "<- http {parties}, ingress: allowed GET http://app.shop/status/200, policy shop/app-http rule \
                 ingress[0].toPorts[0].rules.http[0], header x-trace missing, wanted \"on\", header x-token missing, \
                 wanted \"[redacted]\", header x-user rejected"
            ),
        ),
        (
            "CONNECT and OPTIONS * have no path",
            Verdict {
                http: Some(HttpRequest { method: "CONNECT".into(), path: "db:5432".into(), ..http("") }),
                ..allowed()
            },
            format!(
                "<- http {parties}, ingress: allowed CONNECT db:5432, policy shop/app-http rule \
                 ingress[0].toPorts[0].rules.http[0]"
            ),
        ),
        (
            "a request of Kafka: its kind by name, what it is about, and what of it is not shown",
            Verdict {
                protocol: "kafka".into(),
                http: None,
                fields: vec![
                    field("apiKey", "offsetcommit", 0),
                    field("apiVersion", "9", 0),
                    field("clientID", "a topic=b", 0),
                    field("topic", "orders", 0),
                    field("topic", "bills", 3),
                    field("group", "shop", 0),
                ],
                ..allowed()
            },
            format!(
                "<- kafka {parties}, ingress: allowed offsetcommit v9 topic=orders,bills client=\"a topic=b\" group=shop \
                 and 3 more, policy shop/app-http rule ingress[0].toPorts[0].rules.http[0]"
            ),
        ),
    ];
    for (what, verdict, expected) in table {
        let line = verdict::line(PROTOCOLS, &verdict, false, Paint(false));
        assert_eq!(line, format!("2026-11-23T21:40:00.123456Z {expected}"), "{what}");
    }
}

#[test]
fn what_policy_is_only_tried_out_on_goes_on_and_says_what_it_misses() {
    for (verdict, word, wanted) in [("audit", "audited", "<-"), ("deny", "denied", "xx"), ("else", "denied", "xx")] {
        let line = verdict::line(PROTOCOLS, &Verdict { verdict: verdict.into(), ..denied() }, false, Paint(false));
        let (arrow, said) = (line.split(' ').nth(1), format!("ingress: Policy {word} (L7) GET"));
        assert!(arrow == Some(wanted) && line.contains(&said) && line.contains("wanted \"/status/200\""), "{line}");
    }
}

#[test]
fn labels_are_shown_when_asked_for() {
    let line = verdict::line(PROTOCOLS, &allowed(), true, Paint(false));
    assert!(
        line.contains("(10.0.1.11:40122) [k8s:app=client k8s:io.kubernetes.pod.namespace=shop] to shop/app-0"),
        "{line}"
    );
}

#[test]
fn what_a_client_sends_cannot_forge_a_line() {
    let evil = "/\x1b[2K\r<- http allowed\nxx";
    let verdict = Verdict { http: Some(http(evil)), value: evil.into(), ..denied() };
    let line = verdict::line(PROTOCOLS, &verdict, false, Paint(true));
    assert!(!line.contains('\n') && !line.contains('\r'), "{line}");
    assert!(!line.replace("\x1b[31m", "").replace("\x1b[2m", "").replace("\x1b[0m", "").contains('\x1b'), "{line}");
}

#[test]
fn lost_verdicts_are_told() {
    assert_eq!(verdict::lost(&allowed(), Paint(false)), None);
    let line = verdict::lost(&Verdict { lost: 12, ..allowed() }, Paint(false)).unwrap();
    assert_eq!(line, "!! 12 verdicts lost: this reader was too slow");
}

#[test]
fn scripts_get_one_object_with_the_same_facts() {
    let object = serde_json::to_value(verdict::VerdictJson::from(&denied())).unwrap();
    let expected = serde_json::json!({
        "time": "2026-11-23T21:40:00.123456Z",
        "verdict": "deny",
        "layer": "L7",
        "direction": "ingress",
        "protocol": "http",
        "source": {
            "address": "10.0.1.11",
            "port": 40122,
            "endpoint": "shop/client-0",
            "labels": ["k8s:app=client", "k8s:io.kubernetes.pod.namespace=shop"],
        },
        "destination": {"address": "10.0.1.12", "port": 80, "endpoint": "shop/app-0", "labels": ["k8s:app=app"]},
        "reason": "no_match",
        "policy": "shop/app-http",
        "rule": "ingress[0].toPorts[0].rules.http[0]",
        "miss": {"predicate": "path", "pattern": "/status/200", "value": "/anything-else"},
        "http": {"method": "GET", "host": "app.shop", "path": "/anything-else", "version": "HTTP/1.1"},
        "revision": 7,
    });
    assert_eq!(object, expected);
    assert!(!serde_json::to_string(&verdict::VerdictJson::from(&denied())).unwrap().contains('\n'));
    let changed = Verdict {
        missing_headers: vec![missing("x-trace", "on")],
        rejected_headers: vec!["x-user".into()],
        ..allowed()
    };
    let object = serde_json::to_value(verdict::VerdictJson::from(&changed)).unwrap();
    assert_eq!(object["missing_headers"], serde_json::json!([{"name": "x-trace", "wanted": "on"}]));
    assert_eq!(object["rejected_headers"], serde_json::json!(["x-user"]));
    let object = serde_json::to_value(verdict::VerdictJson::from(&asked("example.com."))).unwrap();
    assert_eq!(object["dns"], serde_json::json!({"name": "example.com.", "type": "AAAA"}));
    let addresses = ["2001:db8::10", "2001:db8::11"];
    for (answer, wanted) in [
        (DnsAnswer::default(), serde_json::json!({"rcode": "NOERROR", "addresses": addresses})),
        (
            DnsAnswer { more: 3, held_us: Some(42), replaced: true, ..DnsAnswer::default() },
            serde_json::json!({"rcode": "NOERROR", "addresses": addresses, "more": 3, "held_us": 42, "replaced": true}),
        ),
    ] {
        let object = serde_json::to_value(verdict::VerdictJson::from(&answered(answer))).unwrap();
        assert_eq!(object["dns"]["answer"], wanted);
    }
}
