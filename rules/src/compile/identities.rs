//! Identities: endpoints with the same labels are one identity (cilium pkg/identity).

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use super::set::{Bits, IdentitySet};
use crate::{
    labels::{LabelSet, Operator, Requirement, Selector},
    world::{Endpoint, Transport},
};

/// Number of an identity within one snapshot.
pub(crate) type IdentityNumber = u32;

/// An endpoint and its identity.
#[derive(Clone, Debug)]
pub(crate) struct EndpointIdentity {
    pub(crate) identity: IdentityNumber,
    pub(crate) endpoint: Arc<Endpoint>,
}

/// The known addresses. The first endpoint that has an address owns it.
pub(crate) type Addresses = HashMap<IpAddr, EndpointIdentity, foldhash::fast::RandomState>;

/// The known addresses by identity.
#[derive(Debug, Default)]
pub(crate) struct IdentityAddresses(Vec<Vec<IpAddr>>);

impl IdentityAddresses {
    pub(crate) fn new(addresses: &Addresses) -> Self {
        let mut places = Self::default();
        for (address, known) in addresses {
            let identity = known.identity as usize;
            if places.0.len() <= identity {
                places.0.resize_with(identity + 1, Vec::new);
            }
            places.0[identity].push(*address);
        }
        places
    }

    /// How many addresses there are.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    pub(crate) fn of(&self, identity: IdentityNumber) -> &[IpAddr] {
        self.0.get(identity as usize).map_or(&[], Vec::as_slice)
    }
}

/// What makes an identity: labels, and for what is outside the cluster the addresses.
type IdentityKey<'w> = (&'w LabelSet, &'w [IpAddr]);

fn key(endpoint: &Endpoint) -> IdentityKey<'_> {
    (&endpoint.labels, if endpoint.labels.has_world() { &endpoint.addresses } else { &[] })
}

/// All identities, and what is needed to select among them.
#[derive(Debug, Default)]
pub(crate) struct Identities<'w> {
    labels: Vec<&'w LabelSet>,
    numbers: HashMap<IdentityKey<'w>, IdentityNumber>,
    /// Those of addresses outside the cluster that carry labels of their own, with the address. Each such address is an
    /// identity by itself, because ranges select it too.
    outside: Vec<(IdentityNumber, IpAddr)>,
    /// Named ports. `None` where pods of one identity disagree on the number: then the name resolves to nothing.
    ports: Vec<HashMap<(&'w str, Transport), Option<u16>>>,
    /// Identities by one of their labels, whatever its source.
    by_label: HashMap<(&'w str, &'w str), Vec<IdentityNumber>>,
    /// Identities by the key of one of their labels, whatever its source.
    by_key: HashMap<&'w str, Vec<IdentityNumber>>,
}

/// Identities by what a requirement asserts of them, as far as somebody asked.
#[derive(Debug, Default)]
pub(crate) struct Requirements(HashMap<Requirement, Bits>);

/// Most bits of requirements that are kept.
const MOST_KNOWN: usize = 64 << 20;
/// One identity in so many is few: then each is looked at.
const FEW_OF: usize = 64;

impl<'w> Identities<'w> {
    pub(crate) fn new(endpoints: &'w [Arc<Endpoint>]) -> Self {
        let mut all = Self::default();
        for endpoint in endpoints {
            let number = all.number(key(endpoint));
            for port in endpoint.ports.iter().filter(|port| !port.name.is_empty()) {
                all.ports[number as usize]
                    .entry((port.name.as_str(), port.transport))
                    .and_modify(|known| *known = known.filter(|known| *known == port.port))
                    .or_insert(Some(port.port));
            }
        }
        all
    }

    /// Knows somebody by labels who is no endpoint.
    pub(crate) fn note(&mut self, labels: &'w LabelSet) {
        self.number((labels, &[]));
    }

    fn number(&mut self, key: IdentityKey<'w>) -> IdentityNumber {
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let number = IdentityNumber::try_from(self.labels.len()).unwrap_or(IdentityNumber::MAX);
        let (labels, addresses) = key;
        self.labels.push(labels);
        self.numbers.insert(key, number);
        self.outside.extend(addresses.iter().map(|address| (number, *address)));
        self.ports.push(HashMap::new());
        for label in labels.iter() {
            let same = self.by_label.entry((&label.key, &label.value)).or_default();
            if same.last() != Some(&number) {
                same.push(number);
            }
            let same = self.by_key.entry(&label.key).or_default();
            if same.last() != Some(&number) {
                same.push(number);
            }
        }
        number
    }

    pub(crate) fn of(&self, endpoint: &Endpoint) -> Option<IdentityNumber> {
        self.numbers.get(&key(endpoint)).copied()
    }

    /// Addresses outside the cluster that carry labels of their own.
    pub(crate) fn outside(&self) -> &[(IdentityNumber, IpAddr)] {
        &self.outside
    }

    pub(crate) fn addresses(&self, endpoints: &[Arc<Endpoint>]) -> Addresses {
        let mut addresses = Addresses::default();
        for endpoint in endpoints {
            let Some(identity) = self.of(endpoint) else { continue };
            for address in &endpoint.addresses {
                addresses
                    .entry(*address)
                    .or_insert_with(|| EndpointIdentity { identity, endpoint: Arc::clone(endpoint) });
            }
        }
        addresses
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The identities whose labels satisfy a condition.
    pub(crate) fn filter(&self, wanted: impl Fn(&LabelSet) -> bool) -> IdentitySet {
        let some = (0..).zip(&self.labels).filter(|(_, labels)| wanted(labels)).map(|(number, _)| number).collect();
        IdentitySet::of(some, self.len())
    }

    /// The identities that a selector selects, and how many steps it took. Where few have one of the labels that it asks
    /// for, only those are looked at; else each requirement is a set, which `known` keeps, and the sets are intersected.
    pub(crate) fn select(&self, selector: &Selector, known: &mut Requirements) -> (IdentitySet, usize) {
        let candidates = selector
            .requirements
            .iter()
            .filter(|requirement| requirement.operator == Operator::In)
            .map(|requirement| self.with_one_of(requirement.key(), &requirement.values))
            .min_by_key(|candidates| candidates.iter().map(|some| some.len()).sum::<usize>());
        let count = candidates.as_ref().map_or(usize::MAX, |lists| lists.iter().map(|some| some.len()).sum());
        if let Some(lists) = candidates.filter(|_| count <= self.len() / FEW_OF) {
            let candidates = lists.into_iter().flatten().copied();
            let some = candidates.filter(|number| selector.matches(self.labels[*number as usize])).collect();
            return (IdentitySet::of(some, self.len()), count + 1);
        }
        if known.0.len() * self.len() > MOST_KNOWN {
            known.0.clear();
        }
        let mut selected = Bits::every(self.len());
        let mut steps = 1 + self.len() / FEW_OF;
        for requirement in &selector.requirements {
            let positive = requirement.asserted();
            let bits = known.0.entry(positive).or_insert_with_key(|positive| {
                let (bits, looked_at) = self.with(positive);
                steps += looked_at;
                bits
            });
            selected.keep(bits, requirement.is_negative());
            steps += self.len() / FEW_OF;
        }
        (selected.into_set(), steps)
    }

    /// The identities that have what a requirement asserts, and how many were looked at.
    fn with(&self, asserted: &Requirement) -> (Bits, usize) {
        let mut bits = Bits::none(self.len());
        let candidates: Vec<&[IdentityNumber]> = match asserted.operator {
            Operator::In => self.with_one_of(asserted.key(), &asserted.values),
            _ => self.by_key.get(asserted.key()).map(Vec::as_slice).into_iter().collect(),
        };
        let mut steps = 0;
        for number in candidates.into_iter().flatten() {
            steps += 1;
            if asserted.matches(self.labels[*number as usize]) {
                bits.set(*number);
            }
        }
        (bits, steps)
    }

    fn with_one_of<'a>(&'a self, key: &'a str, values: &'a [String]) -> Vec<&'a [IdentityNumber]> {
        values.iter().filter_map(|value| self.by_label.get(&(key, value.as_str())).map(Vec::as_slice)).collect()
    }

    /// The identities that have a port of a name, by its number.
    pub(crate) fn with_port(&self, name: &str, transport: Transport) -> BTreeMap<u16, Vec<IdentityNumber>> {
        let mut found: BTreeMap<u16, Vec<IdentityNumber>> = BTreeMap::new();
        for (number, ports) in (0..).zip(&self.ports) {
            if let Some(Some(port)) = ports.get(&(name, transport)) {
                found.entry(*port).or_default().push(number);
            }
        }
        found
    }
}
