//! Resolves the peers of an `ingress` or `egress` element (cilium pkg/policy/utils/parserules.go,
//! pkg/policy/api/entity.go).

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;

use super::{
    entities::{expand, is, selector_of},
    identities::{Addresses, Identities, IdentityNumber, Requirements},
    selectors::{SelectorId, Selectors},
    set::{Bits, IdentitySet},
};
use crate::{
    bounds::Meter,
    labels::{Label, LabelSet, Selector},
    lpm::everything,
    policy::{
        CidrGroupSelector, CidrGroupUse, CidrSet, Entity, FqdnSelector, PolicyEntry, ServiceName, ServiceSelector,
    },
    world::{CidrGroup, Service, World},
};

/// The other side of a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    /// A known endpoint.
    Known(IdentityNumber),
    /// An address that belongs to no known endpoint.
    Unknown(IpAddr),
}

/// A set of peers.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PeerSet {
    /// Everybody.
    pub(crate) any: bool,
    /// Known endpoints.
    pub(crate) identities: IdentitySet,
    /// Addresses that belong to no known endpoint.
    pub(crate) ranges: Vec<CidrSet>,
    /// Selectors of names, sorted: whoever is outside the cluster and has an address that such a name was resolved to.
    pub(crate) fqdns: Vec<SelectorId>,
}

impl PeerSet {
    pub(crate) fn contains(&self, who: Who) -> bool {
        self.any
            || match who {
                Who::Known(identity) => self.identities.contains(identity),
                Who::Unknown(address) => self.ranges.iter().any(|range| {
                    range.cidr.contains(&address) && !range.except.iter().any(|except| except.contains(&address))
                }),
            }
    }

    /// Whether it has selectors of names.
    pub(crate) fn have_names(&self) -> bool {
        !self.fqdns.is_empty()
    }

    /// Whether it has one of some selectors of names.
    pub(crate) fn names_any(&self, selectors: &[SelectorId]) -> bool {
        selectors.iter().any(|selector| self.fqdns.binary_search(selector).is_ok())
    }

    /// About its size in bytes.
    fn size(&self) -> usize {
        let excepts: usize = self.ranges.iter().map(|range| size_of_val(&*range.except)).sum();
        size_of::<Self>() + self.identities.size() + size_of_val(&*self.ranges) + excepts + size_of_val(&*self.fqdns)
    }

    fn is_empty(&self) -> bool {
        !self.any && self.identities.is_empty() && self.ranges.is_empty() && self.fqdns.is_empty()
    }
}

/// Resolves peers; equal sets are one.
#[derive(Debug)]
pub(crate) struct Resolver<'w> {
    identities: &'w Identities<'w>,
    addresses: &'w Addresses,
    world: &'w World,
    meter: &'w Meter,
    /// The labels of unknown addresses, by family (dual stack: never `reserved:world`).
    outside: [LabelSet; 2],
    selected: HashMap<Selector, Arc<IdentitySet>>,
    entities: HashMap<Entity, IdentitySet>,
    requirements: Requirements,
    interned: HashSet<Arc<PeerSet>>,
    /// The selectors of names that were met so far.
    pub(crate) selectors: Selectors,
}

/// One selector of an element, as Cilium tells selectors apart, and whom it selects.
pub(crate) type PeerSelector = (String, PeerSet);

impl<'w> Resolver<'w> {
    pub(crate) fn new(
        identities: &'w Identities<'w>,
        addresses: &'w Addresses,
        world: &'w World,
        meter: &'w Meter,
    ) -> Self {
        let outside = ["world-ipv4", "world-ipv6"].map(|key| {
            LabelSet::new([Label { source: "reserved".to_owned(), key: key.to_owned(), value: String::new() }])
        });
        Self {
            identities,
            addresses,
            world,
            meter,
            outside,
            selected: HashMap::new(),
            entities: HashMap::new(),
            requirements: Requirements::default(),
            interned: HashSet::new(),
            selectors: Selectors::new(world.patterns.clone()),
        }
    }

    /// The peers of an element, or `None` if it selects nobody.
    ///
    /// Without any list of peers everybody is meant, unless there are no ports either: `- {}` selects nobody. A list
    /// that is there but empty selects nobody, whatever else is written.
    pub(crate) fn resolve(&mut self, entry: &PolicyEntry, namespace: Option<&str>, deny: bool) -> Option<Arc<PeerSet>> {
        let mut all = PeerSet::default();
        let parts = self.parts(entry, namespace, deny);
        if let [(_, only)] = &parts[..] {
            all.identities.clone_from(&only.identities);
        } else {
            let mut identities = Bits::none(self.identities.len());
            parts.iter().for_each(|(_, peers)| identities.add(&peers.identities));
            self.meter.take(0, identities.words() + parts.len());
            all.identities = identities.into_set();
        }
        for (_, mut peers) in parts {
            all.any |= peers.any;
            all.ranges.append(&mut peers.ranges);
            all.fqdns.append(&mut peers.fqdns);
        }
        self.whole(all)
    }

    /// A set of peers, shared with its equals, or `None` if it is empty.
    pub(crate) fn whole(&mut self, peers: PeerSet) -> Option<Arc<PeerSet>> {
        (!peers.is_empty()).then(|| self.intern(peers))
    }

    /// The peers of an element selector by selector, without those that there is no more room for (cilium pkg/policy/utils/parserules.go, `mergeEndpointSelectors`).
    pub(crate) fn parts(&mut self, entry: &PolicyEntry, namespace: Option<&str>, deny: bool) -> Vec<PeerSelector> {
        if is_some_and_empty(entry) {
            return Vec::new();
        }
        let mut parts = Vec::new();
        if names_nobody(entry) {
            let portless = entry.ports.as_ref().is_none_or(Vec::is_empty) && entry.icmps.is_none();
            let any = !portless || (self.world.settings.deviations.empty_rule_allows && !deny);
            parts.push(("*".to_owned(), PeerSet { any, ..PeerSet::default() }));
        }
        let meter = self.meter;
        let fits = |part: &PeerSelector| meter.take(part.1.size() + part.0.len(), 1);
        for selector in entry.endpoints.iter().flatten() {
            parts.extend(Some(self.endpoints(selector.for_peer(namespace))).filter(fits));
        }
        for selector in entry.nodes.iter().flatten() {
            parts.extend(Some(self.endpoints(selector.for_nodes())).filter(fits));
        }
        // Beside `all` every other entity is lost, and so is what its selector would be told apart by (cilium
        // pkg/policy/selectorcache.go, `AddSelectorsTxn`: a wildcard among the selectors becomes the only one).
        let entities = entry.entities.as_deref().unwrap_or_default();
        let entities = if entities.contains(&Entity::All) { &[Entity::All] } else { entities };
        for entity in entities {
            parts.extend(expand(*entity).iter().map(|entity| self.entity(*entity)).filter(fits));
        }
        let plain = entry.cidrs.iter().flatten().map(|cidr| CidrSet { cidr: *cidr, except: Vec::new() });
        let sets = plain.chain(entry.cidr_sets.iter().flatten().cloned());
        parts.extend(sets.map(|set| self.ranges(&[set])).take_while(fits));
        parts.extend(entry.cidr_groups.iter().map(|group| self.groups(group)).take_while(fits));
        parts.extend(entry.fqdns.iter().flatten().map(|name| self.names(name)).take_while(fits));
        let services = entry.services.iter().flatten();
        parts.extend(services.map(|service| self.services(service)).take_while(fits));
        parts
    }

    /// The part of some peers that is among certain known endpoints, or `None` if nobody is. Names select no endpoint
    /// that has ports of its own.
    pub(crate) fn narrow(&mut self, peers: &PeerSet, among: &[IdentityNumber]) -> Option<Arc<PeerSet>> {
        self.meter.take(0, among.len());
        let kept = among.iter().copied().filter(|identity| peers.contains(Who::Known(*identity))).collect();
        let peers = PeerSet { identities: IdentitySet::of(kept, self.identities.len()), ..PeerSet::default() };
        (!peers.is_empty() && self.meter.take(peers.size(), 1)).then(|| self.intern(peers))
    }

    /// The identities that a selector selects.
    pub(crate) fn select(&mut self, selector: Selector) -> Arc<IdentitySet> {
        if let Some(known) = self.selected.get(&selector) {
            return Arc::clone(known);
        }
        let (selected, steps) = self.identities.select(&selector, &mut self.requirements);
        self.meter.take(selected.size() + size_of_val(&*selector.requirements), steps);
        let selected = Arc::new(selected);
        self.selected.insert(selector, Arc::clone(&selected));
        selected
    }

    fn endpoints(&mut self, bound: Selector) -> PeerSelector {
        let mut peers = PeerSet::default();
        for (labels, range) in self.outside.iter().zip(everything()) {
            if bound.matches(labels) {
                peers.ranges.push(CidrSet { cidr: range, except: Vec::new() });
            }
        }
        let key = bound.to_string();
        if !self.meter.is_over() {
            peers.identities = IdentitySet::clone(&*self.select(bound));
        }
        (key, peers)
    }

    fn entity(&mut self, entity: Entity) -> PeerSelector {
        let mut peers = PeerSet::default();
        let [ipv4, ipv6] = everything().map(|cidr| CidrSet { cidr, except: Vec::new() });
        match entity {
            Entity::All => peers.any = true,
            Entity::WorldIpv4 => peers.ranges.push(ipv4),
            Entity::WorldIpv6 => peers.ranges.push(ipv6),
            _ => {}
        }
        let kube_dns = self.world.settings.deviations.kube_dns_entity;
        let (identities, meter) = (self.identities, self.meter);
        let selected = self.entities.entry(entity).or_insert_with(|| {
            meter.take(0, identities.len());
            identities.filter(|labels| is(entity, labels, kube_dns))
        });
        peers.identities.clone_from(selected);
        (selector_of(entity).to_owned(), peers)
    }

    fn ranges(&self, sets: &[CidrSet]) -> PeerSelector {
        let trunc = |set: &CidrSet| CidrSet {
            cidr: set.cidr.trunc(),
            except: set.except.iter().map(|except| except.trunc()).collect(),
        };
        let ranges: Vec<CidrSet> = sets.iter().map(trunc).collect();
        let key = format!("{ranges:?}");
        let mut peers = PeerSet { ranges, ..PeerSet::default() };
        let outside = self.identities.outside();
        let excepts: usize = peers.ranges.iter().map(|range| range.except.len() + 1).sum();
        if self.meter.take(key.len(), outside.len() * excepts) {
            let within = outside.iter().filter(|(_, at)| peers.contains(Who::Unknown(*at))).map(|(id, _)| *id);
            peers.identities = IdentitySet::of(within.collect(), self.identities.len());
        }
        (key, peers)
    }

    fn groups(&self, group: &CidrGroupUse) -> PeerSelector {
        let named = |known: &CidrGroup| match &group.groups {
            CidrGroupSelector::Name(name) => **name == *known.name,
            CidrGroupSelector::Labels(selector) => selector.matches(&known.labels),
        };
        let each = size_of::<CidrSet>() + size_of_val(&*group.except);
        let groups = self.world.cidr_groups.iter().filter(|known| named(known));
        let sets: Vec<CidrSet> = groups
            .flat_map(|known| &known.cidrs)
            .take_while(|_| self.meter.take(3 * each, 1))
            .map(|cidr| CidrSet { cidr: *cidr, except: group.except.clone() })
            .collect();
        let (_, peers) = self.ranges(&sets);
        (format!("{group:?}"), peers)
    }

    fn names(&mut self, selector: &FqdnSelector) -> PeerSelector {
        let peers = PeerSet { fqdns: vec![self.selectors.number(selector)], ..PeerSet::default() };
        (format!("{selector:?}"), peers)
    }

    fn services(&self, selector: &ServiceSelector) -> PeerSelector {
        let place = selector.namespace.as_deref();
        let named = |service: &&Arc<Service>| {
            place.is_none_or(|place| place == &*service.namespace)
                && match &selector.services {
                    ServiceName::Name(name) => **name == *service.name,
                    ServiceName::Labels(labels) => labels.matches(&service.labels),
                }
        };
        self.meter.take(0, self.world.services.len());
        let backends = self.world.services.iter().filter(named).flat_map(|service| &service.backends);
        let (mut identities, mut unknown) = (Vec::new(), Vec::new());
        for address in backends.take_while(|_| self.meter.take(0, 1)) {
            match self.addresses.get(address) {
                Some(known) => identities.push(known.identity),
                None => unknown.push(*address),
            }
        }
        let sets: Vec<CidrSet> =
            unknown.into_iter().map(|address| CidrSet { cidr: IpNet::from(address), except: Vec::new() }).collect();
        let (_, mut peers) = self.ranges(&sets);
        let all = self.identities.len();
        peers.identities = peers.identities.or(&IdentitySet::of(identities, all), all);
        (format!("{selector:?}"), peers)
    }

    fn intern(&mut self, mut peers: PeerSet) -> Arc<PeerSet> {
        peers.fqdns.sort_unstable();
        peers.fqdns.dedup();
        if let Some(known) = self.interned.get(&peers) {
            return Arc::clone(known);
        }
        let peers = Arc::new(peers);
        self.interned.insert(Arc::clone(&peers));
        peers
    }
}

/// Whether an element has no list of peers at all.
pub(crate) fn names_nobody(entry: &PolicyEntry) -> bool {
    entry.endpoints.is_none()
        && entry.cidrs.is_none()
        && entry.cidr_sets.is_none()
        && entry.entities.is_none()
        && entry.nodes.is_none()
        && entry.fqdns.as_ref().is_none_or(Vec::is_empty)
        && entry.services.as_ref().is_none_or(Vec::is_empty)
}

/// Whether a list of peers is there but empty. `toFQDNs: []` counts as absent.
fn is_some_and_empty(entry: &PolicyEntry) -> bool {
    entry.endpoints.as_ref().is_some_and(Vec::is_empty)
        || entry.cidrs.as_ref().is_some_and(Vec::is_empty)
        || (entry.cidr_sets.as_ref().is_some_and(Vec::is_empty) && entry.cidr_groups.is_empty())
        || entry.nodes.as_ref().is_some_and(Vec::is_empty)
        || entry.entities.as_ref().is_some_and(Vec::is_empty)
}
