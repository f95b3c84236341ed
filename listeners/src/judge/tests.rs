//! Requests with several values that must each be allowed.

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use portcullis_codecs::relay::{Checker, Decision, ResponseSummary};
use portcullis_rules::{
    policy::{L7Rule, Matcher, Predicate},
    request::{FieldValue, Request},
    schema::{FieldForm, FieldIndex, FieldSpec, ProtocolTraits, Schema},
    settings::DenyWith,
    snapshot::{Plan, RuleSet},
    verdict::RuleInfo,
    world::EndpointId,
};

use super::{AuthorizationContext, FlowAuthorizer, RequestChecker};
use crate::{
    telemetry::{Telemetry, TelemetryOptions, TelemetrySink},
    tests::records::RecordFile,
};

static SHELF: Schema = Schema {
    protocol: "shelf",
    fields: &[FieldSpec { name: "item", form: FieldForm::Each, checked: true }],
    nature: &ProtocolTraits::STREAM,
};

/// Items, whether they have parts, and which of the connection's requests it is.
struct Items(&'static [&'static str], bool, u32);

impl Request for Items {
    fn schema(&self) -> &'static Schema {
        &SHELF
    }

    fn field(&self, _: FieldIndex, _: &str) -> FieldValue<'_> {
        FieldValue::Value(Cow::Borrowed(self.0.first().unwrap_or(&"").as_bytes()))
    }

    fn count(&self, _: FieldIndex) -> Option<usize> {
        Some(self.0.len())
    }

    fn nth(&self, _: FieldIndex, number: usize) -> &[u8] {
        self.0[number].as_bytes()
    }

    fn has_parts(&self) -> bool {
        self.1
    }

    fn exchange(&self) -> u32 {
        self.2
    }
}

/// Items `a` and `c` are allowed.
fn judge(deny_with: DenyWith) -> FlowAuthorizer {
    let item =
        |value: &str| Predicate { field: FieldIndex(0), key: String::new(), matcher: Matcher::Exact(value.to_owned()) };
    let rules = ["a", "c"].map(|value| L7Rule { predicates: vec![item(value)], ..L7Rule::default() });
    let info = |number: usize| Arc::new(RuleInfo { policy: "shelf/p".into(), rule: format!("rule[{number}]").into() });
    let rules = RuleSet::new(&SHELF, rules.iter().enumerate().map(|(number, rule)| (rule, info(number))), deny_with);
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let mut judge = FlowAuthorizer::new(EndpointId(1), address(1), address(2));
    judge.plan = Plan::of(Arc::new(rules));
    judge
}

#[test]
fn only_a_request_with_parts_is_denied_in_part_and_only_where_denials_are_answered() {
    use DenyWith::{Hide, Reset, Respond};
    let some: &[&str] = &["a", "b", "c", "d"];
    let telemetry = Arc::new(Telemetry::new(&TelemetryOptions::default()).unwrap());
    let mut exit = TelemetrySink::new(&telemetry);
    for (deny_with, items, parts, decision, refused) in [
        (Respond, some, true, Decision::Partial { hide: false }, &[1, 3][..]),
        (Hide, some, true, Decision::Partial { hide: true }, &[1, 3]),
        (Reset, some, true, Decision::Reset, &[]),
        (Respond, some, false, Decision::Respond, &[1, 3]),
        (Hide, some, false, Decision::Hide, &[1, 3]),
        (Respond, &["b", "d"], true, Decision::Respond, &[0, 1]),
        (Reset, &["b", "d"], true, Decision::Reset, &[]),
        (Respond, &[], true, Decision::Respond, &[]),
        (Respond, &["a", "c"], true, Decision::Allow, &[]),
    ] {
        let mut judge = judge(deny_with);
        let mut checker =
            RequestChecker::new(&mut judge, AuthorizationContext { snapshot: None, exit: &mut exit, now: 0 });
        assert_eq!(checker.check(&Items(items, parts, 0)), decision, "{deny_with:?} {items:?} {parts}");
        assert_eq!(checker.refused().iter().collect::<Vec<_>>(), refused, "{deny_with:?} {items:?} {parts}");
        // The next request has nothing of it.
        assert_eq!(checker.check(&Items(&["a"], true, 1)), Decision::Allow);
        assert!(checker.refused().is_empty());
    }
}

#[test]
fn a_request_that_goes_on_in_part_is_recorded_with_its_answer_and_with_what_was_refused() {
    let file = RecordFile::new();
    let telemetry = Arc::new(Telemetry::new(&file.options()).unwrap());
    let mut exit = TelemetrySink::new(&telemetry);
    let mut judge = judge(DenyWith::Respond);
    let mut checker = RequestChecker::new(&mut judge, AuthorizationContext { snapshot: None, exit: &mut exit, now: 0 });
    assert_eq!(checker.check(&Items(&["a"], true, 0)), Decision::Allow);
    assert_eq!(checker.check(&Items(&["a", "b"], true, 1)), Decision::Partial { hide: false });
    assert_eq!(checker.check(&Items(&["b"], true, 2)), Decision::Respond);
    checker.answered(ResponseSummary { exchange: 0, ..ResponseSummary::next(7) });
    checker.answered(ResponseSummary { exchange: 1, ..ResponseSummary::next(8) });
    judge.end(&exit);
    drop((exit, telemetry));
    let (text, records) = file.read();
    let told = records.iter().map(|record| (record["verdict"].as_str().unwrap(), record["status"].as_u64()));
    assert_eq!(told.collect::<Vec<_>>(), [("deny", None), ("allow", Some(7)), ("deny", Some(8))], "{text}");
    let refused = serde_json::json!({"count": 1, "misses": [
        {"predicate": "item", "pattern": "a", "value": "b", "policy": "shelf/p", "rule": "rule[0]"},
    ]});
    assert_eq!((&records[2]["refused"], &records[2]["miss"]["value"]), (&refused, &"b".into()), "{text}");
    assert_eq!(records[1]["refused"], serde_json::Value::Null);
}
