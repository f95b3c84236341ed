//! The order in which a configuration comes into force, verified by a journal of all calls to the kernel, the data
//! plane and the namespaces.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    net::IpAddr,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex},
};

use portcullis_config::{EndpointLocation, LocalEndpoint};
use portcullis_listeners::ListenerSockets;
use portcullis_proxy::run::{
    backends::{DataPlaneHandle, EndpointAttachment, EndpointSite, KernelHandle, PlaceFinder},
    place::PlaceIdentity,
    reconcile::Reconciler,
};
use portcullis_rules::{
    labels::{Label, LabelSet},
    settings::PolicySettings,
    snapshot::Snapshot,
    steering::{SteeredAddressChange, SteeringTable},
    world::{Endpoint, EndpointId, World},
};

/// What was asked, in order, and what has to fail.
#[derive(Default)]
struct Node {
    journal: Vec<String>,
    failing: BTreeSet<String>,
    namespaces: BTreeMap<String, u64>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Node>>);

impl Shared {
    fn ask(&self, what: String) -> Result<(), String> {
        let mut node = self.0.lock().unwrap();
        let fails = node.failing.contains(&what);
        node.journal.push(if fails { format!("{what} FAILED") } else { what });
        if fails { Err("no".into()) } else { Ok(()) }
    }

    fn journal(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().journal)
    }

    fn fail(&self, what: &str) {
        self.0.lock().unwrap().failing.insert(what.into());
    }

    fn repair(&self, what: &str) {
        self.0.lock().unwrap().failing.remove(what);
    }

    fn namespace(&self, path: &str, inode: Option<u64>) {
        let namespaces = &mut self.0.lock().unwrap().namespaces;
        match inode {
            Some(inode) => namespaces.insert(path.into(), inode),
            None => namespaces.remove(path),
        };
    }
}

impl KernelHandle for Shared {
    fn set_table(&mut self, id: EndpointId, _: &SteeringTable) -> Result<(), String> {
        self.ask(format!("table {}", id.0))
    }

    fn learn(&mut self, id: EndpointId, changes: &[SteeredAddressChange]) -> Result<bool, String> {
        let addresses: Vec<_> = changes.iter().map(|change| change.address.to_string()).collect();
        self.ask(format!("learn {} {}", id.0, addresses.join(" "))).map(|()| true)
    }

    /// Asked at every step, so not in the journal.
    fn judge_echo(&mut self) -> Result<(), String> {
        if self.0.lock().unwrap().failing.contains("echo") { Err("no".to_owned()) } else { Ok(()) }
    }

    fn attach(&mut self, attachment: &EndpointAttachment<'_>) -> Result<(), String> {
        let site = match attachment.site {
            EndpointSite::Pod => String::new(),
            EndpointSite::Cgroup(path) => format!(" {}", path.display()),
        };
        self.ask(format!("attach {}{site}", attachment.id.0))
    }

    fn detach(&mut self, id: EndpointId) -> Result<(), String> {
        self.ask(format!("detach {}", id.0))
    }

    fn retain(&mut self, ids: &[EndpointId]) -> Result<(), String> {
        self.ask(format!("retain {:?}", ids.iter().map(|id| id.0).collect::<Vec<_>>()))
    }
}

impl DataPlaneHandle for Shared {
    fn open(&mut self, id: EndpointId, _: OwnedFd) -> io::Result<ListenerSockets> {
        self.ask(format!("open {}", id.0)).map_err(io::Error::other)?;
        Ok(ListenerSockets::default())
    }

    fn close(&mut self, id: EndpointId) {
        let _ = self.ask(format!("close {}", id.0));
    }

    fn publish(&mut self, snapshot: Arc<Snapshot>) {
        let _ = self.ask(format!("publish {}", snapshot.generation()));
    }
}

impl PlaceFinder for Shared {
    fn open(&self, path: &Path) -> io::Result<(OwnedFd, PlaceIdentity)> {
        let identity = self.identity(path)?;
        Ok((File::open("/dev/null")?.into(), identity))
    }

    fn identity(&self, path: &Path) -> io::Result<PlaceIdentity> {
        let namespaces = &self.0.lock().unwrap().namespaces;
        let inode = namespaces.get(path.to_str().unwrap()).ok_or(io::ErrorKind::NotFound)?;
        Ok((0, *inode))
    }
}

fn local(id: u32, place: EndpointLocation) -> LocalEndpoint {
    let endpoint = Endpoint {
        local: Some(EndpointId(id)),
        name: format!("pod-{id}").into(),
        namespace: "shop".into(),
        labels: LabelSet::default(),
        addresses: vec![IpAddr::from([10, 0, 0, u8::try_from(id).unwrap()])],
        ports: Vec::new(),
    };
    LocalEndpoint { id: EndpointId(id), endpoint: Arc::new(endpoint), place }
}

fn pod(id: u32) -> LocalEndpoint {
    local(id, EndpointLocation::Netns(format!("/run/netns/{id}").into()))
}

fn snapshot(locals: &[LocalEndpoint], generation: u64) -> Arc<Snapshot> {
    let endpoints = locals.iter().map(|local| Arc::clone(&local.endpoint)).collect();
    Arc::new(Snapshot::compile(&World { endpoints, ..World::default() }, generation))
}

/// A node with the host's namespace and those of pods 1 and 2.
fn node() -> (Shared, Reconciler<Shared, Shared, Shared>) {
    let shared = Shared::default();
    for (path, inode) in [("/proc/self/ns/net", 1), ("/run/netns/1", 101), ("/run/netns/2", 102)] {
        shared.namespace(path, Some(inode));
    }
    let reconciler = Reconciler::new(shared.clone(), shared.clone(), shared.clone());
    (shared, reconciler)
}

#[test]
fn listeners_then_snapshot_then_tables_then_steering() {
    let (node, mut reconciler) = node();
    let locals = [pod(1), pod(2)];
    assert!(reconciler.apply(snapshot(&locals, 1), &locals).is_empty());
    assert_eq!(
        node.journal(),
        ["open 1", "open 2", "publish 1", "table 1", "attach 1", "table 2", "attach 2", "retain [1, 2]"]
    );
}

#[test]
fn an_endpoint_that_stays_is_not_touched_but_for_its_judgement() {
    let (node, mut reconciler) = node();
    let locals = [pod(1)];
    reconciler.apply(snapshot(&locals, 1), &locals);
    node.journal();
    reconciler.apply(snapshot(&locals, 2), &locals);
    assert_eq!(node.journal(), ["publish 2"], "its table is the same, and so is its attachment");
}

#[test]
fn what_goes_is_detached_before_its_listeners_close() {
    let (node, mut reconciler) = node();
    let both = [pod(1), pod(2)];
    reconciler.apply(snapshot(&both, 1), &both);
    node.journal();
    reconciler.apply(snapshot(&both[..1], 2), &both[..1]);
    assert_eq!(node.journal(), ["publish 2", "detach 2", "close 2"]);
}

#[test]
fn new_addresses_attach_again_without_new_listeners() {
    let (node, mut reconciler) = node();
    let locals = [pod(1)];
    reconciler.apply(snapshot(&locals, 1), &locals);
    node.journal();
    let mut moved = pod(1);
    Arc::make_mut(&mut moved.endpoint).addresses.push("fd00::1".parse().unwrap());
    let moved = [moved];
    reconciler.apply(snapshot(&moved, 2), &moved);
    let journal = node.journal();
    assert_eq!(journal.first().map(String::as_str), Some("publish 2"));
    assert_eq!(journal.last().map(String::as_str), Some("attach 1"));
    assert!(!journal.contains(&"open 1".into()), "{journal:?}");
}

#[test]
fn processes_of_the_host_are_met_in_the_hosts_namespace() {
    let (node, mut reconciler) = node();
    node.namespace("/system.slice/web.service", Some(7));
    let locals = [local(3, EndpointLocation::Cgroup("/system.slice/web.service".into()))];
    assert!(reconciler.apply(snapshot(&locals, 1), &locals).is_empty());
    assert_eq!(node.journal(), ["open 3", "publish 1", "table 3", "attach 3 /system.slice/web.service", "retain [3]"]);
}

#[test]
fn a_namespace_that_is_not_there_holds_up_nobody_and_is_taken_when_it_comes() {
    let (node, mut reconciler) = node();
    node.namespace("/run/netns/2", None);
    let locals = [pod(1), pod(2)];
    let faults = reconciler.apply(snapshot(&locals, 1), &locals);
    assert_eq!(faults.keys().map(|id| id.0).collect::<Vec<_>>(), [2]);
    let fault = &faults[&EndpointId(2)];
    assert_eq!(fault.field, "spec.networkNamespace");
    assert!(fault.message.contains("/run/netns/2 is not there"), "{}", fault.message);
    assert_eq!(node.journal(), ["open 1", "publish 1", "table 1", "attach 1", "retain [1, 2]"]);

    assert!(reconciler.maintain(), "it is tried again");
    assert_eq!(node.journal(), [""; 0]);
    node.namespace("/run/netns/2", Some(102));
    assert!(reconciler.maintain());
    assert_eq!(node.journal(), ["open 2", "table 2", "attach 2"]);
    assert!(reconciler.faults().is_empty());
    assert!(!reconciler.maintain(), "all is well: nothing is done");
    assert!(node.journal().is_empty());
}

#[test]
fn a_namespace_made_anew_under_its_old_name_is_another_one() {
    let (node, mut reconciler) = node();
    let locals = [pod(1)];
    reconciler.apply(snapshot(&locals, 1), &locals);
    node.journal();
    node.namespace("/run/netns/1", Some(999));
    assert!(reconciler.maintain());
    assert_eq!(node.journal(), ["detach 1", "close 1", "open 1", "table 1", "attach 1"]);
}

#[test]
fn a_namespace_that_is_gone_is_let_go() {
    let (node, mut reconciler) = node();
    let locals = [pod(1)];
    reconciler.apply(snapshot(&locals, 1), &locals);
    node.journal();
    node.namespace("/run/netns/1", None);
    assert!(reconciler.maintain());
    assert_eq!(node.journal(), ["detach 1", "close 1"], "our sockets would keep it alive");
    assert_eq!(reconciler.faults().len(), 1);
}

#[test]
fn an_endpoint_whose_table_cannot_be_set_is_attached_all_the_same_reported_and_tried_again() {
    let (node, mut reconciler) = node();
    node.fail("table 1");
    let locals = [pod(1)];
    let faults = reconciler.apply(snapshot(&locals, 1), &locals);
    assert_eq!(faults[&EndpointId(1)].message, "the kernel's table was not set: no");
    assert_eq!(node.journal(), ["open 1", "publish 1", "table 1 FAILED", "attach 1", "retain [1]"]);
    assert!(reconciler.maintain());
    assert_eq!((node.journal(), reconciler.faults().len()), (vec!["table 1 FAILED".into()], 1));
    node.repair("table 1");
    assert!(reconciler.maintain());
    assert_eq!((node.journal(), reconciler.faults().len()), (vec!["table 1".into()], 0));
    node.fail("table 1");
    node.fail("attach 2");
    let locals = [pod(1), pod(2)];
    let faults = reconciler.apply(snapshot(&locals, 2), &locals);
    assert_eq!(faults.keys().map(|id| id.0).collect::<Vec<_>>(), [2], "the table of 1 is the same");
}

#[test]
fn what_could_not_be_detached_is_tried_again() {
    let (node, mut reconciler) = node();
    let locals = [pod(1)];
    reconciler.apply(snapshot(&locals, 1), &locals);
    node.journal();
    node.fail("detach 1");
    reconciler.apply(snapshot(&[], 2), &[]);
    let journal = node.journal();
    assert!(journal.contains(&"detach 1 FAILED".into()) && journal.contains(&"close 1".into()), "{journal:?}");
    node.repair("detach 1");
    assert!(reconciler.maintain());
    assert_eq!(node.journal(), ["detach 1"]);
    assert!(!reconciler.maintain());
}

#[test]
fn the_remains_of_an_earlier_process_are_removed_once_and_only_after_the_wanted_is_steered() {
    let (node, mut reconciler) = node();
    node.fail("retain [1]");
    let locals = [pod(1)];
    reconciler.apply(snapshot(&locals, 1), &locals);
    assert_eq!(node.journal().last().map(String::as_str), Some("retain [1] FAILED"));
    node.repair("retain [1]");
    reconciler.apply(snapshot(&locals, 2), &locals);
    assert_eq!(node.journal(), ["publish 2", "retain [1]"]);
    reconciler.apply(snapshot(&locals, 3), &locals);
    assert_eq!(node.journal(), ["publish 3"]);
}

#[test]
fn each_endpoint_in_turn_is_attached_again_so_that_what_was_taken_away_comes_back() {
    let (node, mut reconciler) = node();
    assert!(!reconciler.repair_next(), "there is none");
    let locals = [pod(1), pod(2)];
    reconciler.apply(snapshot(&locals, 1), &locals);
    node.journal();
    for _ in 0..3 {
        assert!(!reconciler.repair_next());
    }
    assert_eq!(node.journal(), ["attach 1", "attach 2", "attach 1"]);
    node.fail("attach 2");
    assert!(reconciler.repair_next());
    assert_eq!(reconciler.faults().keys().map(|id| id.0).collect::<Vec<_>>(), [2]);
    node.repair("attach 2");
    assert!(reconciler.maintain());
    assert!(reconciler.faults().is_empty());
}

#[test]
fn where_the_kernel_cannot_judge_echo_requests_endpoints_whose_rules_speak_of_them_say_so() {
    let (node, mut reconciler) = node();
    node.fail("echo");
    let mut pinging = pod(2);
    let label = Label { source: "k8s".into(), key: "app".into(), value: "pinging".into() };
    Arc::make_mut(&mut pinging.endpoint).labels = LabelSet::new([label]);
    let locals = [pod(1), pinging];
    let document = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p}\n\
                    spec: {endpointSelector: {matchLabels: {app: pinging}}, egress: [{icmps: [{fields: [{type: 8}]}]}]}";
    let (policy, _) = portcullis_config::documents::read_policy(document, "test", &[], &PolicySettings::default());
    let endpoints = locals.iter().map(|local| Arc::clone(&local.endpoint)).collect();
    let world = World { endpoints, policies: vec![Arc::new(policy.unwrap())], ..World::default() };
    reconciler.apply(Arc::new(Snapshot::compile(&world, 1)), &locals);
    let faults = |reconciler: &Reconciler<_, _, _>| -> Vec<(u32, String)> {
        reconciler.faults().iter().map(|(id, fault)| (id.0, fault.message.clone())).collect()
    };
    let told = [(2, "its echo requests (ICMP) are not judged: no".to_owned())];
    assert_eq!(faults(&reconciler), told);
    assert!(node.journal().contains(&"attach 2".into()), "all else is in force");
    for _ in 0..2 {
        assert!(!reconciler.repair_next(), "nothing new");
    }
    assert_eq!(faults(&reconciler), told);
    node.repair("echo");
    assert!(reconciler.maintain());
    assert_eq!(faults(&reconciler), []);
}

#[test]
fn an_endpoint_whose_listeners_cannot_be_opened_is_attached_without_them_so_that_it_is_refused() {
    let (node, mut reconciler) = node();
    node.fail("open 1");
    let locals = [pod(1)];
    let faults = reconciler.apply(snapshot(&locals, 1), &locals);
    assert!(faults[&EndpointId(1)].message.contains("so what policy wants steered is refused"), "{faults:?}");
    assert!(!faults[&EndpointId(1)].absent);
    assert_eq!(node.journal(), ["open 1 FAILED", "publish 1", "table 1", "attach 1", "retain [1]"]);
    assert!(reconciler.report().gap().unwrap().contains("shop/pod-1: listeners could not be opened"));
    node.repair("open 1");
    assert!(reconciler.maintain());
    assert_eq!((node.journal(), reconciler.faults().len()), (vec!["open 1".into(), "attach 1".into()], 0));
    assert_eq!(reconciler.report().gap(), None);
}

#[test]
fn one_namespace_is_one_endpoints_and_the_hosts_is_nobodys() {
    let (node, mut reconciler) = node();
    node.namespace("/run/netns/2", Some(101));
    let locals = [pod(1), pod(2), local(3, EndpointLocation::Netns("/proc/self/ns/net".into()))];
    let faults = reconciler.apply(snapshot(&locals, 1), &locals);
    assert!(faults[&EndpointId(2)].message.contains("is the network namespace of endpoint shop/pod-1 already"));
    assert!(faults[&EndpointId(3)].message.contains("is the host's network namespace"));
    assert_eq!(node.journal(), ["open 1", "publish 1", "table 1", "attach 1", "retain [1, 2, 3]"]);
    // The other one has it as soon as the first one goes.
    reconciler.apply(snapshot(&locals[1..2], 2), &locals[1..2]);
    assert_eq!(node.journal(), ["open 2", "publish 2", "table 2", "attach 2", "detach 1", "close 1"]);
    assert!(reconciler.faults().is_empty());
}
