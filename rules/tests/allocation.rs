//! The data path allocates nothing, neither for an allowed request nor for a flow.
#![allow(unsafe_code, reason = "a global allocator that counts")]

mod kit;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::Arc,
};

use kit::protocols::exact;
use kit::{
    HEADERS, Http, Ports, allow, anybody, builder, egress, fqdns, ingress, ip, key, peers, policy, request, with_header,
};
use portcullis_rules::{
    policy::{HeaderAction, HeaderValueSource, L7Rule, Mismatch},
    request::{FieldValue, Request},
    schema::{FieldForm, FieldIndex, FieldSpec, ProtocolTraits, Schema},
    settings::DenyWith,
    snapshot::{RuleSet, Snapshot},
    verdict::RuleInfo,
    world::Direction,
};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(run: impl FnOnce()) -> usize {
    let before = COUNT.with(Cell::get);
    run();
    COUNT.with(Cell::get) - before
}

#[test]
fn an_allowed_request_and_a_flow_allocate_nothing() {
    let mut rules =
        vec![allow("GET", "/exact"), allow("GET", "/prefix/.*"), with_header(allow("", "/h"), "x-a", Some("1"))];
    rules.extend((0..600).map(|n| allow("POST", &format!("/many/{n}/[a-z]+"))));
    let entries = vec![anybody().http("80", rules), peers(&["app=client"]).port("22")];
    let snapshot = Snapshot::compile(&builder(vec![policy("default/p", vec![ingress("app=server", entries)])]), 1);
    let requests = [
        request("GET", "/exact"),
        request("GET", "/prefix/x"),
        Http { headers: vec![("x-a", "1")], ..request("PUT", "/h") },
        request("POST", "/many/599/abc"),
    ];
    let Some(set) = snapshot.flow(&key(1, Direction::Ingress, "10.0.0.2", "80")).plan.requests else {
        panic!("not judged");
    };
    // The automata make their working memory at first use.
    let ask = || requests.iter().for_each(|request| assert!(set.check(request).outcome.passes()));
    ask();
    assert_eq!(allocations(ask), 0);
    let flows = [("10.0.0.2", "80"), ("10.0.0.2", "22"), ("192.0.2.1", "22"), ("2001:db8::1", "80"), ("10.0.0.3", "9")];
    let flows = flows.map(|(peer, port)| key(1, Direction::Ingress, peer, port));
    assert_eq!(allocations(|| flows.iter().for_each(|key| drop(snapshot.flow(key)))), 0);
    let named =
        Snapshot::compile(&builder(vec![policy("default/p", vec![egress("app=server", vec![fqdns(&["*"])])])]), 1);
    named.learn(ip("192.0.2.1"), &["a.test"]);
    let flows = ["192.0.2.1", "192.0.2.2", "10.0.0.2"].map(|peer| key(1, Direction::Egress, peer, "80"));
    // A thread's first look at what may be swapped makes room for it.
    let ask = || flows.iter().for_each(|key| drop(named.flow(key)));
    ask();
    assert_eq!(allocations(ask), 0);
    assert!(allocations(|| drop(vec![1_u8])) > 0, "the counter counts");
}

/// Several groups of one request, all of which one rule allows.
#[test]
fn a_request_whose_values_are_allowed_by_one_rule_allocates_nothing() {
    static DEPOT: Schema = Schema {
        protocol: "depot",
        fields: &[
            FieldSpec { name: "client", form: FieldForm::Exact, checked: true },
            FieldSpec { name: "group", form: FieldForm::All, checked: true },
        ],
        nature: &ProtocolTraits::STREAM,
    };
    struct Groups(Option<Vec<String>>);
    impl Request for Groups {
        fn schema(&self) -> &'static Schema {
            &DEPOT
        }
        fn field(&self, _: FieldIndex, _: &str) -> FieldValue<'_> {
            FieldValue::Absent
        }
        fn count(&self, field: FieldIndex) -> Option<usize> {
            self.0.as_ref().filter(|_| field.0 == 1).map(Vec::len)
        }
        fn nth(&self, _: FieldIndex, number: usize) -> &[u8] {
            self.0.as_ref().map_or(b"", |groups| groups[number].as_bytes())
        }
    }
    let rule = |group: String| L7Rule { predicates: vec![exact(1, &group)], ..L7Rule::default() };
    let info = Arc::new(RuleInfo { policy: "p".into(), rule: "r".into() });
    let rules: Vec<L7Rule> = (0..100).map(|number| rule(format!("g{number}"))).collect();
    let set = RuleSet::new(&DEPOT, rules.iter().map(|rule| (rule, Arc::clone(&info))), DenyWith::Reset);
    let asked = [Some(vec!["g7".to_owned(); 9]), Some(vec!["g99".to_owned()]), None].map(Groups);
    assert_eq!(allocations(|| asked.iter().for_each(|groups| assert!(set.check(groups).outcome.passes()))), 0);
}

/// Whoever relays a request asks what becomes of its headers: that must cost nothing as long as nothing does.
#[test]
fn headers_that_stay_as_they_are_allocate_nothing() {
    let act = |mismatch| HeaderAction {
        field: HEADERS,
        name: "x-a".to_owned(),
        wanted: HeaderValueSource::Value("1".to_owned()),
        mismatch,
    };
    let actions = [Mismatch::Log, Mismatch::Add, Mismatch::Delete, Mismatch::Replace].map(act).to_vec();
    for (rule, changes) in [(allow("GET", "/.*"), 0), (L7Rule { actions, ..allow("GET", "/.*") }, 1)] {
        let entries = vec![anybody().http("80", vec![rule])];
        let snapshot = Snapshot::compile(&builder(vec![policy("default/p", vec![ingress("app=server", entries)])]), 1);
        let Some(set) = snapshot.flow(&key(1, Direction::Ingress, "10.0.0.2", "80")).plan.requests else {
            panic!("not judged");
        };
        let (right, wrong) = (
            Http { headers: vec![("x-a", "1")], ..request("GET", "/") },
            Http { headers: vec![("x-a", "2")], ..request("GET", "/") },
        );
        let ask = || {
            assert!(
                matches!(set.evaluate(&right), (verdict, effects) if verdict.outcome.passes() && effects.changed.is_empty())
            )
        };
        ask();
        assert_eq!(allocations(ask), 0);
        assert_eq!(set.evaluate(&wrong).1.changed.len(), changes);
    }
}
