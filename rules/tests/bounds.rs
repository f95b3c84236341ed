//! The cost of policies: expensive ones are named, and take nothing from the others.
#![allow(unsafe_code, reason = "a global allocator that counts")]

mod kit;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use kit::{
    Ports, allow, anybody, builder, cidrs, egress, endpoint, fqdns, ingress, key, named, peers, policy, request,
};
use portcullis_rules::{
    bounds::{BoundedResource, CompileBounds},
    labels::{Operator, Requirement, Selector},
    policy::{CidrSet, Policy, PolicyEntry, Rule},
    snapshot::Snapshot,
    verdict::Reason,
    world::{Direction, EndpointId, World},
};

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// One test at a time is measured.
static TURN: Mutex<()> = Mutex::new(());

struct Counting;

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the pointer came from `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory that something takes while it runs, in MiB, and what it gives.
fn peak<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let given = run();
    ((PEAK.load(Relaxed) - before) >> 20, given)
}

const BOUNDS: CompileBounds = CompileBounds { memory: 48 << 20, policy_memory: 24 << 20, work: 30_000_000 };

/// Endpoints of one namespace, each with a label of its own; the first is local.
fn crowd(count: u32, policies: Vec<Policy>) -> World {
    let one = |number: u32| {
        let [_, high, middle, low] = number.to_be_bytes();
        let address = format!("10.{high}.{middle}.{low}");
        let name = format!("default/pod-{number}");
        let one = endpoint(u32::from(number == 0), &name, &format!("app=a,pod=p{number}"), &[&address]);
        Arc::new(named("web", u16::try_from(number % 50_000).expect("a port") + 1, one))
    };
    let mut world = builder(policies);
    world.endpoints = (0..count).map(one).collect();
    world.settings.bounds = BOUNDS;
    world
}

fn all_but(pod: u32) -> PolicyEntry {
    let values = vec![format!("p{pod}")];
    let requirement = Requirement { key: "pod".to_owned(), operator: Operator::NotIn, values };
    PolicyEntry { endpoints: Some(vec![Selector { requirements: vec![requirement] }]), ..PolicyEntry::default() }
}

/// One rule that comes to nearly a MiB when it is compiled.
fn large(number: usize) -> String {
    format!("/{number}[^a]{{1000}}[^b]{{900}}x")
}

fn regexes(count: usize) -> Vec<Rule> {
    let rules = (0..count).map(|number| allow("", &large(number))).collect();
    vec![ingress("app=a", vec![anybody().http("80", rules)])]
}

/// Selectors of which each leaves out one endpoint took 49 s and half a GiB where there were 20,000 endpoints.
#[test]
fn selectors_that_leave_out_one_endpoint_each_cost_as_little_as_those_that_select_one() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let entries = (0..2_000).map(|pod| all_but(pod).port("80")).collect();
    let world = crowd(20_000, vec![policy("default/p", vec![ingress("app=a", entries)])]);
    let (took, snapshot) = peak(|| Snapshot::compile_within_bounds(&world, 1));
    let snapshot = snapshot.expect("within bounds");
    assert!(took <= 48, "{took} MiB");
    let enters = |peer: &str| snapshot.flow(&key(1, Direction::Ingress, peer, "80"));
    assert_eq!(kit::word(&enters("10.0.0.5")), "allow");
    assert_eq!(kit::word(&enters("10.0.78.5")), "allow");
    assert_eq!(kit::word(&enters("10.9.9.9")), "deny");

    let only = |entry: PolicyEntry| {
        let world = crowd(3_000, vec![policy("default/p", vec![ingress("app=a", vec![entry.port("80")])])]);
        let snapshot = Snapshot::compile_within_bounds(&world, 1).unwrap();
        ["10.0.0.7", "10.0.0.8"].map(|peer| kit::word(&snapshot.flow(&key(1, Direction::Ingress, peer, "80"))))
    };
    assert_eq!(only(all_but(7)), ["deny", "allow"]);
    assert_eq!(only(peers(&["pod=p7"])), ["allow", "deny"]);
}

#[test]
fn equal_regular_expressions_are_one_however_many_policies_have_them() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let policies = || (0..200).map(|number| policy(&format!("default/p{number}"), regexes(1))).collect();
    let world = crowd(2, policies());
    let (took, snapshot) = peak(|| Snapshot::compile_within_bounds(&world, 1).unwrap());
    assert!(took < 8, "{took} MiB");
    // What was compiled is not compiled again for the next snapshot.
    let (again, _next) = peak(|| Snapshot::compile_within_bounds(&world, 2).unwrap());
    assert!(again <= took, "{again} MiB");
    let value = format!("/0{}x", "c".repeat(1900));
    let Some(set) = snapshot.flow(&key(1, Direction::Ingress, "10.0.0.1", "80")).plan.requests else { panic!() };
    assert!(set.check(&request("GET", String::leak(value))).outcome.passes());
}

/// Each of these is short to write, and took hundreds of MiB or minutes.
#[test]
fn a_policy_that_takes_too_much_is_named_before_it_has_taken_it() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let ports = |entry: PolicyEntry, count: u16| (1..=count).fold(entry, |entry, port| entry.port(&port.to_string()));
    let bind = |entries: Vec<PolicyEntry>| vec![ingress("app=a", entries)];
    let nested = |count: u32| (0..count).map(|n| cidrs(&[&format!("10.0.0.0/{}", 1 + n % 8)]).port("80")).collect();
    let ranges = |count: u16| (0..count).map(|n| anybody().port(&format!("{}-{}", 1 + n, 65_000 - n))).collect();
    let excepts: Vec<_> = (0..200_u32).map(|n| format!("10.{n}.0.0/16").parse().unwrap()).collect();
    let set = CidrSet { cidr: "10.0.0.0/8".parse().unwrap(), except: excepts };
    let sets = PolicyEntry { cidr_sets: Some(vec![set; 4_000]), ..PolicyEntry::default() };
    let halves = |count: u32| {
        let half = |n: u32| {
            let values = (0..4_000).filter(|pod| (2_654_435_761_u32.wrapping_mul(n + 1).wrapping_mul(*pod)) >> 31 == 0);
            let values = values.map(|pod| format!("p{pod}")).collect();
            let requirement = Requirement { key: "pod".to_owned(), operator: Operator::In, values };
            let selector = Selector { requirements: vec![requirement] };
            PolicyEntry { endpoints: Some(vec![selector]), ..PolicyEntry::default() }.port("80")
        };
        (0..count).map(half).collect::<Vec<_>>()
    };
    let by_name = (0..400).map(|_| ports(peers(&["app=a"]), 40)).collect::<Vec<_>>();
    let dns = |entries: Vec<PolicyEntry>| {
        let apart = fqdns(&["a.test"]);
        vec![egress("app=a", entries.into_iter().chain([apart]).collect())]
    };
    let many_names = |count: usize| PolicyEntry {
        endpoints: Some((0..count).map(|n| kit::select(&format!("pod=p{n}"))).collect()),
        ..PolicyEntry::default()
    };
    for (what, rules) in [
        ("large regular expressions", regexes(200)),
        ("regular expressions that are over their own budget", {
            let rules = (0..500).map(|n| allow("", &format!("/{n}(([^a]{{100}}){{100}}){{100}}"))).collect();
            vec![ingress("app=a", vec![anybody().http("80", rules)])]
        }),
        ("ranges of ports within each other", bind(ranges(8_000))),
        ("ranges of addresses within each other", bind(nested(20_000))),
        ("exceptions of ranges", bind(vec![sets])),
        ("selectors of half of all, each of another half", bind(halves(600))),
        ("many ports of many peers", dns(by_name.clone())),
        ("many elements", bind(vec![many_names(3_900).port("80"); 40])),
        ("one rule for each element", {
            let rules = |n: u32| (0..200).map(|m| allow("", &format!("/{n}/{m}/[a-z]+"))).collect();
            bind((0..300).map(|n| cidrs(&[&format!("10.0.0.0/{}", 1 + n % 24)]).http("80", rules(n))).collect())
        }),
    ] {
        let innocent = policy("default/a", vec![ingress("app=a", vec![peers(&["pod=p1"]).port("22")])]);
        let world = crowd(4_000, vec![innocent, policy("default/b", rules)]);
        let (took, compiled) = peak(|| Snapshot::compile_within_bounds(&world, 1));
        match compiled {
            Err(overrun) => {
                eprintln!("{what}: {:?}, {took} MiB", overrun.resource);
                assert_eq!(overrun.policies[0].0, 1, "{what}: {overrun:?}");
            }
            Ok(_) => eprintln!("{what}: compiled, {took} MiB"),
        }
        assert!(took <= 96, "{what}: {took} MiB");
    }
}

#[test]
fn bounds_are_counted_alike_each_time() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let world = |count| crowd(50, vec![policy("default/p", regexes(count))]);
    let overruns: Vec<_> = (0..3).map(|_| Snapshot::compile_within_bounds(&world(60), 1).unwrap_err()).collect();
    assert!(overruns.windows(2).all(|pair| pair[0] == pair[1]), "{overruns:?}");
    assert_eq!(overruns[0].resource, BoundedResource::PolicyMemory);
    assert!(Snapshot::compile_within_bounds(&world(10), 1).is_ok());
}

/// What is compiled fits to the last byte, and what is learnt later has no room: it is denied, and both is told.
#[test]
fn an_address_for_whose_rules_there_is_no_memory_is_denied_for_that_reason_and_counted() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let rules = |name: &str| (0..20).map(|number| allow("", &format!("/{name}/{number}/[a-z]{{20}}x"))).collect();
    let entries = ["a.test", "b.test"].map(|name| fqdns(&[name]).http("80", rules(name)));
    let mut world = crowd(2, vec![policy("default/p", vec![egress("app=a", entries.into())])]);
    let compile = |world: &mut World, memory: usize| {
        world.settings.bounds = CompileBounds { memory, policy_memory: memory, ..BOUNDS };
        Snapshot::compile_within_bounds(world, 1)
    };
    let (mut too_little, mut enough) = (0_usize, 16 << 20);
    while enough - too_little > 1 {
        let middle = too_little.midpoint(enough);
        match compile(&mut world, middle) {
            Ok(_) => enough = middle,
            Err(_) => too_little = middle,
        }
    }
    let answer = |snapshot: &Snapshot, address: &str| snapshot.flow(&key(1, Direction::Egress, address, "80"));
    let tight = compile(&mut world, enough).unwrap();
    assert!(tight.take_missed().is_empty());
    tight.learn(kit::ip("192.0.2.1"), &["a.test"]);
    tight.learn(kit::ip("192.0.2.2"), &["b.test"]);
    for address in ["192.0.2.1", "192.0.2.2"] {
        let flow = answer(&tight, address);
        assert_eq!(kit::word(&flow), "deny", "{flow:?}");
        assert_eq!((flow.reason, &*flow.rule.unwrap().policy), (Reason::NoMemory, "default/p"));
    }
    assert_eq!(tight.take_missed().into_iter().collect::<Vec<_>>(), [(EndpointId(1), 2)]);
    assert!(tight.take_missed().is_empty(), "told once");
    let wide = compile(&mut world, 16 << 20).unwrap();
    wide.learn(kit::ip("192.0.2.1"), &["a.test"]);
    assert!(!answer(&wide, "192.0.2.1").plan.is_empty() && wide.take_missed().is_empty());
}
