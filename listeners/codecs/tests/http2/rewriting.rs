//! Requests whose headers rules change: the server gets the list that was judged, with exactly these changes.

use std::sync::Arc;

use portcullis_codecs::{
    http::Limits,
    http::SCHEMA,
    http2::hpack::{Decoder, FieldList, HpackLimits as BlockLimits},
    relay::{Decision, Side},
};
use portcullis_rules::{
    policy::{HeaderAction, HeaderValueSource, L7Rule, Mismatch},
    settings::DenyWith,
    snapshot::RuleSet,
    verdict::RuleInfo,
};

use crate::{
    frames::*,
    playbook::pair::{Pair, Rewriter},
};

fn rules(actions: &[(&str, &str, Mismatch)]) -> Rewriter {
    let field = SCHEMA.field("headers").expect("a field of HTTP");
    let action = |(name, value, mismatch): &(&str, &str, Mismatch)| HeaderAction {
        field,
        name: (*name).to_owned(),
        wanted: HeaderValueSource::Value((*value).to_owned()),
        mismatch: *mismatch,
    };
    let rule = L7Rule { actions: actions.iter().map(action).collect(), ..L7Rule::default() };
    let info = Arc::new(RuleInfo { policy: "default/p".into(), rule: "ingress[0]".into() });
    let set = RuleSet::new(&SCHEMA, [(&rule, info)], DenyWith::Reset);
    Box::new(move |request| {
        let (verdict, effects) = set.evaluate(request);
        let decision = match verdict.outcome.passes() {
            true if effects.changed.is_empty() => Decision::Allow,
            true => Decision::Rewrite,
            false => Decision::Reset,
        };
        (decision, effects.changed)
    })
}

/// The fields behind the first four that reach the server, with a star where no hop may put them into a table.
fn arrive(actions: &[(&str, &str, Mismatch)], fields: &[(&str, &str)]) -> Vec<String> {
    let mut pair = Pair::rewriting(portcullis_codecs::http::relay(&Limits::default()), rules(actions));
    pair.send(Side::Downstream, &client_begins());
    pair.send(Side::Upstream, &settings(&[]));
    pair.to_server.clear();
    pair.send(Side::Downstream, &last_headers(1, &[&GET[..], fields].concat()));
    let mut list = FieldList::default();
    let limits = BlockLimits { list_size: 4096, fields: 100, work: 4096 };
    Decoder::new().decode(&pair.to_server[9..], &limits, &mut list).expect("a block");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let star = |never| if never { "*" } else { "" };
    let shown =
        list.iter().map(|field| format!("{}: {}{}", text(field.name), text(field.value), star(field.never_indexed())));
    assert!(shown.clone().take(4).eq(GET.iter().map(|(name, value)| format!("{name}: {value}"))));
    shown.skip(4).collect()
}

#[test]
fn headers_are_added_removed_and_replaced() {
    let sent = [("x-a", "1"), ("x-b", "2"), ("x-a", "3")];
    for (actions, wanted) in [
        (&[("x-a", "1,3", Mismatch::Replace)][..], &["x-a: 1", "x-b: 2", "x-a: 3"][..]),
        (&[("x-a", "9", Mismatch::Replace)], &["x-b: 2", "x-a: 9*"]),
        (&[("x-a", "9", Mismatch::Delete)], &["x-b: 2"]),
        (&[("x-a", "9", Mismatch::Add)], &["x-a: 1", "x-b: 2", "x-a: 3", "x-a: 9*"]),
        (&[("x-c", "9", Mismatch::Add), ("x-b", "8", Mismatch::Delete)], &["x-a: 1", "x-a: 3", "x-c: 9*"]),
        (&[("x-c", "9", Mismatch::Log)], &["x-a: 1", "x-b: 2", "x-a: 3"]),
    ] {
        assert_eq!(arrive(actions, &sent), wanted, "{actions:?}");
    }
}
