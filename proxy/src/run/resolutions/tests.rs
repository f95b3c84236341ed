//! Answers and policy changes in every order: none of them is lost.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use ipnet::IpNet;
use portcullis_config::names::NameLimits;
use portcullis_rules::{
    labels::{LabelSet, Selector},
    policy::{FqdnSelector, Policy, PolicyEntry, PortRef, PortRule, PortSpec, Position, Rule},
    settings::PolicySettings,
    snapshot::FlowKey,
    steering::SteeringAction,
    world::{Direction, Endpoint, Transport, World},
};

use super::*;
use crate::run::backends::EndpointAttachment;

const POD: EndpointId = EndpointId(1);

/// What the kernel holds, and what it was asked.
#[derive(Default)]
struct Tables {
    tables: BTreeMap<EndpointId, SteeringTable>,
    journal: Vec<String>,
    full: bool,
}

#[derive(Clone, Default)]
pub(in crate::run) struct Fake(Arc<Mutex<Tables>>);

impl Fake {
    fn journal(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().journal)
    }

    /// What the kernel does with a connection to port 443.
    fn action(&self, address: IpAddr) -> SteeringAction {
        let held = self.0.lock().unwrap();
        let classes = held.tables.get(&POD).into_iter().flat_map(|table| &table.classes);
        let mut classes = classes.filter(|class| class.transport == Transport::Tcp && class.ports.contains(&443));
        let Some(class) = classes.next() else { return SteeringAction::Pass };
        let fitting = class.prefixes.iter().filter(|(net, _)| net.contains(&address));
        fitting.max_by_key(|(net, _)| net.prefix_len()).unwrap().1
    }
}

impl KernelHandle for Fake {
    fn set_table(&mut self, id: EndpointId, table: &SteeringTable) -> Result<(), String> {
        let mut held = self.0.lock().unwrap();
        held.journal.push(format!("table {}", id.0));
        if held.full {
            return Err("full".into());
        }
        held.tables.insert(id, table.clone());
        Ok(())
    }

    fn learn(&mut self, id: EndpointId, changes: &[SteeredAddressChange]) -> Result<bool, String> {
        let mut held = self.0.lock().unwrap();
        let told = changes.iter().filter(|change| change.transport == Transport::Tcp);
        let told: Vec<_> = told.map(|change| format!("{} {:?}", change.address, change.action)).collect();
        held.journal.push(format!("learn {} {}", id.0, told.join(", ")));
        if held.full {
            return Err("full".into());
        }
        let table = held.tables.get_mut(&id).unwrap();
        for change in changes {
            let at = |class: &&mut portcullis_rules::steering::PortClass| {
                class.transport == change.transport && change.ports.contains(class.ports.start())
            };
            let Some(class) = table.classes.iter_mut().find(at).filter(|class| class.learns) else { return Ok(false) };
            let net = IpNet::from(change.address);
            class.prefixes.retain(|(known, _)| *known != net);
            class.prefixes.extend(change.action.map(|action| (net, action)));
            class.prefixes.sort_unstable_by_key(|(net, _)| *net);
        }
        Ok(true)
    }

    fn judge_echo(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn attach(&mut self, _: &EndpointAttachment<'_>) -> Result<(), String> {
        Ok(())
    }

    fn detach(&mut self, id: EndpointId) -> Result<(), String> {
        self.0.lock().unwrap().tables.remove(&id);
        Ok(())
    }

    fn retain(&mut self, _: &[EndpointId]) -> Result<(), String> {
        Ok(())
    }
}

pub(in crate::run) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The pod may open connections to port 443 of these names.
fn world(patterns: &[&str], names: Vec<ResolvedName>) -> World {
    let pod = Endpoint {
        local: Some(POD),
        name: "pod".into(),
        namespace: "shop".into(),
        labels: LabelSet::of_pod("shop", "", []),
        addresses: vec![ip("10.0.0.1")],
        ports: Vec::new(),
    };
    let ports = vec![PortSpec { port: PortRef::Range(443, 443), transport: Some(Transport::Tcp) }];
    let entry = PolicyEntry {
        fqdns: Some(patterns.iter().map(|pattern| FqdnSelector::Pattern((*pattern).to_owned())).collect()),
        ports: Some(vec![PortRule { ports, ..PortRule::default() }]),
        ..PolicyEntry::default()
    };
    let rule = Rule {
        path: "spec".into(),
        subject: Selector::default(),
        node: false,
        ingress: None,
        egress: Some(vec![entry]),
        ingress_deny: None,
        egress_deny: None,
        default_deny_ingress: None,
        default_deny_egress: None,
        position: Position::default(),
    };
    let policy = Policy {
        kind: portcullis_rules::policy::PolicyKind::Cilium,
        namespace: Some("shop".into()),
        name: "names".into(),
        rules: vec![rule],
        deny_with: None,
        deny_names_with: None,
        deny_scope: None,
        open_connections: None,
        origin: "test".into(),
    };
    // Whose answers count is the rules' to test.
    let settings = PolicySettings { server_must_agree: false, ..PolicySettings::default() };
    World { endpoints: vec![Arc::new(pod)], policies: vec![Arc::new(policy)], names, settings, ..World::default() }
}

pub(in crate::run) fn compile(patterns: &[&str], names: Vec<ResolvedName>) -> Arc<Snapshot> {
    Arc::new(Snapshot::compile(&world(patterns, names), 1))
}

pub(in crate::run) fn room() -> (Fake, LearnedState<Fake>) {
    let kernel = Fake::default();
    let cache = NameCache::new(NameLimits { grace: 0, ..NameLimits::default() });
    (kernel.clone(), LearnedState::new(kernel, cache))
}

pub(in crate::run) const ORIGIN: LearnedFrom = LearnedFrom {
    endpoint: POD,
    server: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 53)),
    port: 53,
    transport: Transport::Udp,
    known: false,
};

/// What the pod is told.
pub(in crate::run) fn install(
    resolutions: &LearnedState<Fake>,
    name: &str,
    answer: &[(IpAddr, u32)],
    now: u64,
) -> Result<bool, NotInstalled> {
    resolutions.install(name, answer, ORIGIN, now)
}

/// In force as the reconciler does it.
pub(in crate::run) fn apply(resolutions: &LearnedState<Fake>, snapshot: &Arc<Snapshot>) {
    resolutions.replace(Arc::clone(snapshot), |_| {});
    resolutions.tell_table(POD).unwrap();
}

fn judged(snapshot: &Snapshot, address: &str) -> bool {
    let key = FlowKey {
        endpoint: POD,
        direction: Direction::Egress,
        transport: Transport::Tcp,
        peer: ip(address),
        port: 443,
    };
    let flow = snapshot.flow(&key);
    flow.outcome.passes() && flow.plan.is_empty()
}

#[test]
fn a_resolution_is_in_force_everywhere_when_teaching_returns_and_goes_when_its_time_is_over() {
    let (kernel, resolutions) = room();
    let snapshot = compile(&["*.test"], resolutions.names());
    apply(&resolutions, &snapshot);
    assert_eq!(kernel.journal(), ["table 1"]);
    install(&resolutions, "a.test", &[(ip("192.0.2.1"), 30)], 0).unwrap();
    assert_eq!(kernel.journal(), ["learn 1 192.0.2.1 Some(Pass)"]);
    assert!(judged(&snapshot, "192.0.2.1") && kernel.action(ip("192.0.2.1")) == SteeringAction::Pass);
    install(&resolutions, "a.test", &[(ip("192.0.2.1"), 30)], 10).unwrap();
    install(&resolutions, "elsewhere.example", &[(ip("192.0.2.7"), 30)], 10).unwrap();
    assert_eq!(kernel.journal(), [""; 0], "nothing that anybody selects is new");
    assert_eq!(resolutions.expire(39, &|_| false), Ok(0));
    assert_eq!(resolutions.expire(40, &|_| false), Ok(2));
    assert_eq!(kernel.journal(), ["learn 1 192.0.2.1 None"]);
    assert!(!judged(&snapshot, "192.0.2.1") && kernel.action(ip("192.0.2.1")) == SteeringAction::Refuse);
}

#[test]
fn the_same_policy_again_sets_the_table_that_was_installed_once_more_and_then_leaves_it() {
    let (kernel, resolutions) = room();
    apply(&resolutions, &compile(&["*.test"], resolutions.names()));
    install(&resolutions, "a.test", &[(ip("192.0.2.1"), 30)], 0).unwrap();
    kernel.journal();
    apply(&resolutions, &compile(&["*.test"], resolutions.names()));
    assert_eq!(kernel.journal(), ["table 1"]);
    apply(&resolutions, &compile(&["*.test"], resolutions.names()));
    assert_eq!(kernel.journal(), [""; 0]);
    // The table of this policy is the one before the resolution: it has to be told all the same.
    apply(&resolutions, &compile(&["*.example"], resolutions.names()));
    assert_eq!(kernel.action(ip("192.0.2.1")), SteeringAction::Refuse);
    install(&resolutions, "b.example", &[(ip("192.0.2.2"), 30)], 0).unwrap();
    apply(&resolutions, &compile(&["*.other"], resolutions.names()));
    assert_eq!(kernel.action(ip("192.0.2.2")), SteeringAction::Refuse);
}

#[test]
fn a_resolution_while_a_policy_is_compiled_is_in_force_by_the_old_one_and_by_the_new() {
    let (kernel, resolutions) = room();
    let old = compile(&["*.test"], resolutions.names());
    apply(&resolutions, &old);
    install(&resolutions, "gone.test", &[(ip("192.0.2.9"), 5)], 0).unwrap();
    let new = compile(&["*.test", "*.example"], resolutions.names());
    install(&resolutions, "a.test", &[(ip("192.0.2.1"), 30)], 0).unwrap();
    install(&resolutions, "b.example", &[(ip("192.0.2.2"), 30)], 0).unwrap();
    resolutions.expire(5, &|_| false).unwrap();
    assert!(judged(&old, "192.0.2.1") && kernel.action(ip("192.0.2.1")) == SteeringAction::Pass);
    assert!(judged(&new, "192.0.2.9"), "it is not in force yet");
    let mut published = false;
    resolutions.replace(Arc::clone(&new), |snapshot| {
        published = true;
        assert_eq!(
            ["192.0.2.1", "192.0.2.2", "192.0.2.9"].map(|address| judged(&snapshot, address)),
            [true, true, false],
            "what is published knows every resolution"
        );
    });
    assert!(published);
    resolutions.tell_table(POD).unwrap();
    assert_eq!(
        ["192.0.2.1", "192.0.2.2", "192.0.2.9"].map(|address| kernel.action(ip(address))),
        [SteeringAction::Pass, SteeringAction::Pass, SteeringAction::Refuse]
    );
}

#[test]
fn a_resolution_before_the_kernel_was_told_of_a_new_policy_brings_its_table() {
    let (kernel, resolutions) = room();
    apply(&resolutions, &compile(&["*.test"], resolutions.names()));
    kernel.journal();
    resolutions.replace(compile(&["*.example"], resolutions.names()), |_| {});
    install(&resolutions, "b.example", &[(ip("192.0.2.2"), 30)], 0).unwrap();
    assert_eq!(kernel.journal(), ["table 1"]);
    assert_eq!(kernel.action(ip("192.0.2.2")), SteeringAction::Pass);
    resolutions.tell_table(POD).unwrap();
    assert_eq!(kernel.journal(), [""; 0], "it was told just that");
}

#[test]
fn a_snapshot_that_was_compiled_without_names_is_installed_all_of_them() {
    let (_, resolutions) = room();
    install(&resolutions, "a.test", &[(ip("192.0.2.1"), 30)], 0).unwrap();
    let snapshot = compile(&["*.test"], Vec::new());
    apply(&resolutions, &snapshot);
    assert!(judged(&snapshot, "192.0.2.1"));
}

#[test]
fn an_endpoint_that_the_kernel_does_not_know_yet_is_told_with_its_first_table() {
    let (kernel, resolutions) = room();
    resolutions.replace(compile(&["*.test"], resolutions.names()), |_| {});
    install(&resolutions, "a.test", &[(ip("192.0.2.1"), 30)], 0).unwrap();
    assert_eq!(kernel.journal(), [""; 0]);
    resolutions.tell_table(POD).unwrap();
    assert_eq!(kernel.action(ip("192.0.2.1")), SteeringAction::Pass);
    resolutions.detach(POD).unwrap();
    install(&resolutions, "b.test", &[(ip("192.0.2.2"), 30)], 0).unwrap();
    assert_eq!(kernel.journal(), ["table 1"], "nor one that is detached");
}

#[test]
fn what_the_kernel_has_no_room_for_is_told_and_due() {
    let (kernel, resolutions) = room();
    let snapshot = compile(&["*.test"], resolutions.names());
    apply(&resolutions, &snapshot);
    kernel.0.lock().unwrap().full = true;
    let failed = install(&resolutions, "a.test", &[(ip("192.0.2.1"), 30)], 0).unwrap_err();
    assert_eq!(failed.to_string(), "a.test is not in force for endpoint 1: full");
    assert_eq!(kernel.action(ip("192.0.2.1")), SteeringAction::Refuse);
    assert!(resolutions.are_due() && resolutions.tell_table(POD).is_err());
    assert!(install(&resolutions, "b.test", &[(ip("192.0.2.2"), 30)], 0).is_err());
    kernel.0.lock().unwrap().full = false;
    resolutions.tell_table(POD).unwrap();
    assert!(!resolutions.are_due());
    assert_eq!(kernel.action(ip("192.0.2.1")), SteeringAction::Pass);
    assert_eq!(kernel.0.lock().unwrap().tables[&POD], snapshot.steering(POD));
}

#[test]
fn an_endpoint_whose_first_table_could_not_be_set_keeps_nobody_from_learning_and_has_it_all_at_last() {
    let (kernel, resolutions) = room();
    resolutions.replace(compile(&["*.test"], resolutions.names()), |_| {});
    kernel.0.lock().unwrap().full = true;
    assert!(resolutions.tell_table(POD).is_err());
    kernel.journal();
    install(&resolutions, "a.test", &[(ip("192.0.2.1"), 30)], 0).unwrap();
    assert_eq!(kernel.journal(), [""; 0]);
    kernel.0.lock().unwrap().full = false;
    resolutions.tell_table(POD).unwrap();
    assert_eq!(kernel.action(ip("192.0.2.1")), SteeringAction::Pass);
}

#[test]
fn an_answer_is_not_let_go_to_an_endpoint_whose_kernel_table_lacks_an_address_however_often_it_is_installed() {
    let (kernel, resolutions) = room();
    let lags = resolutions.lags();
    let installed = |name: &str, address: &str| drop(install(&resolutions, name, &[(ip(address), 30)], 0));
    let settled = |address: &str| resolutions.settle(POD, &[(ip(address), 30)]).is_ok();
    apply(&resolutions, &compile(&["*.test"], resolutions.names()));
    installed("a.test", "192.0.2.1");
    assert!(settled("192.0.2.1") && !lags.load(Ordering::SeqCst));
    kernel.0.lock().unwrap().full = true;
    for _ in 0..2 {
        installed("b.test", "192.0.2.2");
        assert!(!settled("192.0.2.2") && lags.load(Ordering::SeqCst));
        assert!(settled("192.0.2.1"), "what was told before is there");
    }
    kernel.0.lock().unwrap().full = false;
    resolutions.tell_table(POD).unwrap();
    assert!(settled("192.0.2.2") && !lags.load(Ordering::SeqCst));
    assert!(resolutions.settle(EndpointId(7), &[(ip("192.0.2.1"), 30)]).is_err(), "nothing was told of that one");
}

#[test]
fn an_answer_that_a_new_policy_allows_is_let_go_when_the_kernel_has_its_table() {
    let (kernel, resolutions) = room();
    let lags = resolutions.lags();
    apply(&resolutions, &compile(&["*.test"], resolutions.names()));
    install(&resolutions, "a.example", &[(ip("192.0.2.1"), 30)], 0).unwrap();
    resolutions.replace(compile(&["*.example"], resolutions.names()), |_| assert!(lags.load(Ordering::SeqCst)));
    assert_eq!(kernel.action(ip("192.0.2.1")), SteeringAction::Refuse);
    install(&resolutions, "a.example", &[(ip("192.0.2.1"), 30)], 1).unwrap();
    resolutions.settle(POD, &[(ip("192.0.2.1"), 30)]).unwrap();
    assert_eq!(kernel.action(ip("192.0.2.1")), SteeringAction::Pass);
    assert!(!lags.load(Ordering::SeqCst));
}

#[test]
fn after_the_end_resolutions_are_noted_and_nobody_is_told() {
    let (kernel, resolutions) = room();
    apply(&resolutions, &compile(&["*.test"], resolutions.names()));
    assert!(resolutions.end().is_some() && resolutions.end().is_none());
    kernel.journal();
    install(&resolutions, "a.test", &[(ip("192.0.2.1"), 30)], 0).unwrap();
    assert_eq!((kernel.journal().len(), resolutions.read(NameCache::names)), (0, 1));
}

#[test]
fn a_installed_address_is_never_refused_whatever_else_is_installed_and_whichever_policy_comes() {
    let (kernel, resolutions) = room();
    let snapshot: Arc<arc_swap::ArcSwap<Snapshot>> = Arc::default();
    resolutions.replace(compile(&["*.test"], resolutions.names()), |new| snapshot.store(new));
    resolutions.tell_table(POD).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..100 {
                let patterns: &[&str] = if round % 2 == 0 { &["*.test", "*.example"] } else { &["*.test"] };
                let names = resolutions.names();
                let new = compile(patterns, names);
                resolutions.replace(new, |new| snapshot.store(new));
                resolutions.tell_table(POD).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut number = 0_u16;
        while !done.load(Ordering::Relaxed) || number == 0 {
            number += 1;
            let [high, low] = number.to_be_bytes();
            let address = IpAddr::from([198, 51, high, low]);
            install(&resolutions, &format!("n{}.test", number % 50), &[(address, 1_000)], number.into()).unwrap();
            assert!(judged(&snapshot.load(), &address.to_string()), "{address}");
            assert_eq!(kernel.action(address), SteeringAction::Pass, "{address}");
        }
    });
    resolutions.tell_table(POD).unwrap();
    let wanted = compile(&["*.test"], resolutions.names());
    assert_eq!(kernel.0.lock().unwrap().tables[&POD], wanted.steering(POD));
}
