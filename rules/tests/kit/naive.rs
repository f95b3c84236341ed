//! The naive evaluator: the meaning of policies, read directly from the documents for one flow at a time, without
//! indexes, merging or sharing.

use std::net::IpAddr;

use portcullis_rules::{
    labels::{Label, LabelSet},
    names,
    pattern::compile,
    policy::{Entity, FqdnSelector, L7Rule, PolicyEntry, PortRef, PortSpec, Rule},
    settings::Enforcement,
    snapshot::FlowKey,
    steering::SteeringAction,
    verdict::{Layer, Reason},
    world::{Direction, Endpoint, Transport, World},
};

/// An answer: what `Flow` says, with the rules that judge.
#[derive(Debug)]
pub enum Answer<'w> {
    Allow(Layer, Reason),
    Deny(Layer, Reason),
    /// With whether something wider lets everything else pass.
    Judge(Vec<&'w L7Rule>, bool),
}

pub fn answer<'w>(world: &'w World, key: &FlowKey) -> Answer<'w> {
    let settings = &world.settings;
    let Some(me) = world.endpoints.iter().find(|endpoint| endpoint.local == Some(key.endpoint)) else {
        return Answer::Deny(Layer::L3, Reason::UnknownEndpoint);
    };
    let free = Answer::Allow(Layer::L3, Reason::NotEnforced);
    if me.addresses.contains(&key.peer) || settings.enforcement == Enforcement::Never || me.labels.has_reserved("host")
    {
        return free;
    }
    let rules: Vec<(Option<&str>, &Rule)> = world
        .policies
        .iter()
        .flat_map(|policy| policy.rules.iter().map(|rule| (policy.namespace.as_deref(), rule)))
        .filter(|(namespace, rule)| rule.subject.for_subject(*namespace).matches(&me.labels))
        .filter(|(_, rule)| lists(rule, key.direction).iter().any(|list| !list.is_empty()))
        .collect();
    let always = settings.enforcement == Enforcement::Always || me.labels.has_reserved("init");
    if rules.is_empty() && !always {
        return free;
    }
    let default_deny = always || rules.iter().any(|(_, rule)| switches_on(rule, key.direction));
    let peer = Peer::of(world, key.peer);
    let host = peer.known.is_some_and(|endpoint| endpoint.labels.has_reserved("host"));
    let host = host && key.direction == Direction::Ingress && settings.allow_localhost && !rules.is_empty();

    let mut deny = None;
    let (mut plain, mut named, mut judging): (Option<Layer>, bool, Vec<&L7Rule>) = (None, false, vec![]);
    for (namespace, rule) in &rules {
        let [allows, denies] = lists(rule, key.direction);
        for entry in denies {
            if selects(world, entry, *namespace, &peer, true) {
                for (ports, _) in port_rules(entry) {
                    let layer = if ports.is_some() { Layer::L4 } else { Layer::L3 };
                    if covers(ports, key, me, &peer, world) {
                        deny = deny.or(Some(layer));
                    }
                }
            }
        }
        for entry in allows.iter().filter(|entry| selects(world, entry, *namespace, &peer, false)) {
            for (ports, l7) in port_rules(entry) {
                named |= ports.is_none_or(|ports| reachable(ports, key, &peer, world));
                match l7 {
                    _ if !covers(ports, key, me, &peer, world) => {}
                    Some(rules) => judging.extend(rules),
                    None => plain = plain.or(Some(if ports.is_some() { Layer::L4 } else { Layer::L3 })),
                }
            }
        }
    }
    if let Some(layer) = deny {
        return Answer::Deny(layer, Reason::RuleDenies);
    }
    let shows = judging.iter().any(|rule| rule.predicates.is_empty());
    let host_enters = host && default_deny;
    let shadowed = host_enters || (plain.is_some() && !settings.deviations.l7_binds_beside_l4);
    if !judging.is_empty() && (shows || !shadowed) {
        return Answer::Judge(judging, !default_deny || shadowed);
    }
    match plain {
        Some(layer) => Answer::Allow(layer, Reason::RuleAllows),
        None if !default_deny => free,
        None if host_enters => Answer::Allow(Layer::L3, Reason::LocalHost),
        None => Answer::Deny(if named { Layer::L4 } else { Layer::L3 }, Reason::NoRule),
    }
}

/// What the kernel has to do with a flow, services included.
pub fn action(world: &World, key: &FlowKey) -> SteeringAction {
    let service = world.services.iter().find_map(|service| {
        let port = service.ports.iter().find(|port| port.port == key.port && port.transport == key.transport)?;
        service.vips.contains(&key.peer).then_some((service, port))
    });
    let of = |key: &FlowKey| match answer(world, key) {
        Answer::Allow(..) => SteeringAction::Pass,
        Answer::Deny(..) => SteeringAction::Refuse,
        Answer::Judge(..) => SteeringAction::Steer,
    };
    let own = |address| world.endpoints.iter().any(|e| e.local == Some(key.endpoint) && e.addresses.contains(&address));
    let Some((service, port)) = service.filter(|_| key.direction == Direction::Egress && !own(key.peer)) else {
        return of(key);
    };
    let actions: Vec<SteeringAction> = service
        .backends
        .iter()
        .filter(|backend| backend.is_ipv4() == key.peer.is_ipv4())
        .map(|backend| of(&FlowKey { peer: *backend, port: port.target_port, ..*key }))
        .collect();
    match actions.as_slice() {
        [] if enforced(world, key) => SteeringAction::Refuse,
        [] => SteeringAction::Pass,
        [first, rest @ ..] if rest.iter().all(|action| action == first) => *first,
        all if key.transport == Transport::Udp && !all.contains(&SteeringAction::Steer) => SteeringAction::Refuse,
        _ => SteeringAction::Steer,
    }
}

/// Whether any rule, or the mode, concerns this endpoint and direction.
fn enforced(world: &World, key: &FlowKey) -> bool {
    let Some(me) = world.endpoints.iter().find(|endpoint| endpoint.local == Some(key.endpoint)) else { return false };
    if me.labels.has_reserved("host") || world.settings.enforcement == Enforcement::Never {
        return false;
    }
    world.settings.enforcement == Enforcement::Always
        || me.labels.has_reserved("init")
        || world.policies.iter().any(|policy| {
            policy.rules.iter().any(|rule| {
                rule.subject.for_subject(policy.namespace.as_deref()).matches(&me.labels)
                    && lists(rule, key.direction).iter().any(|list| !list.is_empty())
            })
        })
}

/// Allows, then denies.
fn lists(rule: &Rule, direction: Direction) -> [&[PolicyEntry]; 2] {
    match direction {
        Direction::Ingress => [&rule.ingress, &rule.ingress_deny],
        Direction::Egress => [&rule.egress, &rule.egress_deny],
    }
    .map(|list| list.as_deref().unwrap_or_default())
}

fn switches_on(rule: &Rule, direction: Direction) -> bool {
    match direction {
        Direction::Ingress => rule.default_deny_ingress,
        Direction::Egress => rule.default_deny_egress,
    }
    .unwrap_or(true)
}

struct Peer<'w> {
    known: Option<&'w Endpoint>,
    labels: LabelSet,
    address: IpAddr,
}

impl<'w> Peer<'w> {
    fn of(world: &'w World, address: IpAddr) -> Self {
        let known = world.endpoints.iter().find(|endpoint| endpoint.addresses.contains(&address)).map(|e| &**e);
        let family = if address.is_ipv4() { "world-ipv4" } else { "world-ipv6" };
        let world = Label { source: "reserved".to_owned(), key: family.to_owned(), value: String::new() };
        Peer { known, labels: known.map_or_else(|| LabelSet::new([world]), |known| known.labels.clone()), address }
    }
}

fn selects(world: &World, entry: &PolicyEntry, namespace: Option<&str>, peer: &Peer<'_>, deny: bool) -> bool {
    let empty = |length: Option<usize>| length == Some(0);
    let lengths = [
        entry.endpoints.as_ref().map(Vec::len),
        entry.cidrs.as_ref().map(Vec::len),
        entry.cidr_sets.as_ref().map(Vec::len),
        entry.entities.as_ref().map(Vec::len),
    ];
    if lengths.into_iter().any(empty) {
        return false;
    }
    let names = entry.fqdns.as_ref().is_some_and(|names| !names.is_empty());
    if lengths.iter().all(Option::is_none) && !names {
        let ports = entry.ports.as_ref().is_some_and(|ports| !ports.is_empty());
        return ports || (world.settings.deviations.empty_rule_allows && !deny);
    }
    let endpoints = entry.endpoints.iter().flatten().any(|s| s.for_peer(namespace).matches(&peer.labels));
    let entities = entry.entities.iter().flatten().any(|entity| is(world, *entity, &peer.labels));
    let cidrs = entry.cidrs.iter().flatten().any(|cidr| cidr.contains(&peer.address));
    let sets =
        entry.cidr_sets.iter().flatten().any(|set| {
            set.cidr.contains(&peer.address) && !set.except.iter().any(|except| except.contains(&peer.address))
        });
    let outside = peer.known.is_none_or(|known| known.labels.has_world());
    let fqdns = entry.fqdns.iter().flatten().any(|selector| resolved(world, selector).contains(&peer.address));
    endpoints || entities || (peer.known.is_none() && (cidrs || sets)) || (outside && fqdns)
}

/// The addresses that names of a selector were resolved to.
fn resolved(world: &World, selector: &FqdnSelector) -> Vec<IpAddr> {
    let text = match selector {
        FqdnSelector::Name(text) | FqdnSelector::Pattern(text) => text,
    };
    let regex = compile(&names::selector_regex(text)).unwrap();
    let names = world.names.iter().filter(|known| regex.is_match(names::normal(&known.name).as_bytes()));
    names.flat_map(|known| known.addresses.clone()).collect()
}

fn is(world: &World, entity: Entity, labels: &LabelSet) -> bool {
    let has = |key: &str| labels.has_reserved(key);
    match entity {
        Entity::All => true,
        Entity::World => has("world") || has("world-ipv4") || has("world-ipv6"),
        Entity::WorldIpv4 => has("world-ipv4"),
        Entity::WorldIpv6 => has("world-ipv6"),
        Entity::Cluster | Entity::ClusterMesh => {
            let cluster = labels.get("io.cilium.k8s.policy.cluster");
            let member = if entity == Entity::Cluster { cluster == Some("default") } else { cluster.is_some() };
            member
                || ["host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver"]
                    .into_iter()
                    .any(has)
        }
        Entity::Host => has("host"),
        Entity::RemoteNode => has("remote-node"),
        Entity::KubeApiServer => has("kube-apiserver"),
        Entity::Ingress => has("ingress"),
        Entity::Init => has("init"),
        Entity::Health => has("health"),
        Entity::Unmanaged => has("unmanaged"),
        Entity::None => false,
        Entity::KubeDns => {
            world.settings.deviations.kube_dns_entity
                && labels.get("io.kubernetes.pod.namespace") == Some("kube-system")
                && labels.get("k8s-app") == Some("kube-dns")
        }
    }
}

type PortRules<'w> = Vec<(Option<&'w [PortSpec]>, Option<&'w [L7Rule]>)>;

/// The `toPorts` of an element; one without ports for none.
fn port_rules(entry: &PolicyEntry) -> PortRules<'_> {
    match entry.ports.as_deref() {
        None | Some([]) => vec![(None, None)],
        Some(rules) => rules.iter().map(|rule| (Some(&*rule.ports), rule.l7.as_ref().map(|l7| &*l7.rules))).collect(),
    }
}

fn covers(ports: Option<&[PortSpec]>, key: &FlowKey, me: &Endpoint, peer: &Peer<'_>, world: &World) -> bool {
    let Some(ports) = ports else { return true };
    ports.iter().filter(|spec| spec.transport.is_none_or(|transport| transport == key.transport)).any(
        |spec| match &spec.port {
            PortRef::Range(0, 0) => true,
            PortRef::Range(first, last) => (*first..=*last).contains(&key.port),
            PortRef::Named(name) => match key.direction {
                Direction::Ingress => number(me, name, key.transport) == Some(key.port),
                Direction::Egress => agreed(world, peer, name, key.transport) == Some(key.port),
            },
        },
    )
}

/// Whether a list of ports names any port of this peer at all.
fn reachable(ports: &[PortSpec], key: &FlowKey, peer: &Peer<'_>, world: &World) -> bool {
    ports.iter().any(|spec| match &spec.port {
        PortRef::Range(..) => true,
        PortRef::Named(_) if key.direction == Direction::Ingress => true,
        PortRef::Named(name) => [Transport::Tcp, Transport::Udp, Transport::Sctp]
            .into_iter()
            .filter(|some| spec.transport.is_none_or(|transport| transport == *some))
            .any(|transport| agreed(world, peer, name, transport).is_some()),
    })
}

fn number(endpoint: &Endpoint, name: &str, transport: Transport) -> Option<u16> {
    endpoint.ports.iter().find(|port| port.name == name && port.transport == transport).map(|port| port.port)
}

/// The number that all pods with the peer's labels which have the name agree on.
fn agreed(world: &World, peer: &Peer<'_>, name: &str, transport: Transport) -> Option<u16> {
    let alike =
        world.endpoints.iter().filter(|endpoint| peer.known.is_some_and(|known| known.labels == endpoint.labels));
    let mut numbers: Vec<u16> = alike.filter_map(|endpoint| number(endpoint, name, transport)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    match numbers.as_slice() {
        [number] => Some(*number),
        _ => None,
    }
}
