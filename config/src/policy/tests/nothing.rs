//! Absent, empty, and a list with an empty item have three different meanings.

use super::{accepted, ingress, refused, with_ingress, with_spec};

#[test]
fn absent_and_empty_peers_stay_apart() {
    let table = [
        ("toPorts: [{ports: [{port: \"80\"}]}]", None),
        ("fromEndpoints: []", Some(0)),
        ("fromEndpoints: [{}]", Some(1)),
        ("fromEndpoints: [{matchLabels: {}}]", Some(1)),
    ];
    for (written, endpoints) in table {
        assert_eq!(ingress(written).endpoints.map(|list| list.len()), endpoints, "{written}");
    }
    assert_eq!(ingress("fromCIDR: []").cidrs.map(|list| list.len()), Some(0));
    assert_eq!(ingress("fromCIDRSet: []").cidr_sets.map(|list| list.len()), Some(0));
    assert_eq!(ingress("fromEntities: []").entities.map(|list| list.len()), Some(0));
    let entry = ingress("{}");
    assert!(entry.endpoints.is_none() && entry.cidrs.is_none() && entry.cidr_sets.is_none());
    assert!(entry.entities.is_none() && entry.fqdns.is_none() && entry.ports.is_none());
}

#[test]
fn absent_and_empty_ports_and_rules_stay_apart() {
    assert!(ingress("fromEntities: [all]").ports.is_none());
    assert_eq!(ingress("toPorts: []").ports.map(|list| list.len()), Some(0));
    assert!(ingress("toPorts: [{ports: []}]").ports.unwrap()[0].ports.is_empty());
    let rules = |rules: &str| {
        let entry = ingress(&format!("toPorts: [{{ports: [{{port: \"80\", protocol: TCP}}]{rules}}}]"));
        entry.ports.unwrap()[0]
            .l7
            .clone()
            .map(|l7| l7.rules.iter().map(|rule| rule.predicates.len()).collect::<Vec<_>>())
    };
    assert_eq!(rules(""), None);
    assert_eq!(rules(", rules: {http: []}"), None, "a plain L4 allow");
    assert_eq!(rules(", rules: {http: [{}]}"), Some(vec![0]), "every request, judged");
}

#[test]
fn absent_and_empty_directions_stay_apart() {
    let policy = accepted(&with_spec("endpointSelector: {}\ningress: []\negress: [{}]"));
    let rule = &policy.rules[0];
    assert_eq!(rule.ingress.as_ref().map(Vec::len), Some(0));
    assert_eq!(rule.egress.as_ref().map(Vec::len), Some(1));
    assert!(rule.ingress_deny.is_none() && rule.egress_deny.is_none());
    assert_eq!((rule.default_deny_ingress, rule.default_deny_egress), (None, None));
}

/// A key whose items somebody commented out: taken for absent, it would mean "any peer".
#[test]
fn a_field_that_says_nothing_is_refused() {
    for (written, place) in [
        ("fromEndpoints:\ntoPorts: [{ports: [{port: \"80\"}]}]", "7:7 spec.ingress[0].fromEndpoints"),
        ("fromEntities: [all]\ntoPorts:", "8:7 spec.ingress[0].toPorts"),
        ("toPorts: [{ports: [{port: \"80\"}], rules: {http: }}]", "7:7 spec.ingress[0].toPorts[0].rules.http"),
        ("fromEndpoints:\n-", "8:8 spec.ingress[0].fromEndpoints[0]"),
    ] {
        let errors = refused(&with_ingress(written));
        let field = place.rsplit(' ').next().unwrap();
        assert!(errors.iter().any(|error| error.contains(field) || error.starts_with(place)), "{written}: {errors:?}");
    }
    assert_eq!(refused(&with_spec("endpointSelector:\ningress: [{}]")).len(), 1);
}
