//! Who is known: endpoints with the same labels are one identity (cilium pkg/identity).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use crate::{
    labels::{Labels, Operator, Selector},
    world::{Endpoint, Transport},
};

/// Number of an identity within one snapshot.
pub(crate) type Identity = u32;

/// An endpoint and its identity.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) identity: Identity,
    pub(crate) endpoint: Arc<Endpoint>,
}

/// The known addresses. The first endpoint that has an address owns it.
pub(crate) type Addresses = HashMap<IpAddr, Known, foldhash::fast::RandomState>;

/// The known addresses by identity.
#[derive(Debug, Default)]
pub(crate) struct Places(Vec<Vec<IpAddr>>);

impl Places {
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

    pub(crate) fn of(&self, identity: Identity) -> &[IpAddr] {
        self.0.get(identity as usize).map_or(&[], Vec::as_slice)
    }
}

/// What makes an identity: labels, and for what is outside the cluster the addresses.
type Key<'w> = (&'w Labels, &'w [IpAddr]);

fn key(endpoint: &Endpoint) -> Key<'_> {
    (&endpoint.labels, if endpoint.labels.has_world() { &endpoint.addresses } else { &[] })
}

/// All identities, and what is needed to select among them.
#[derive(Debug, Default)]
pub(crate) struct Identities<'w> {
    labels: Vec<&'w Labels>,
    numbers: HashMap<Key<'w>, Identity>,
    /// Those of addresses outside the cluster that carry labels of their own, with the address. Each such address is an
    /// identity by itself, because ranges select it too.
    outside: Vec<(Identity, IpAddr)>,
    /// Named ports. `None` where pods of one identity disagree on the number: then the name resolves to nothing.
    ports: Vec<HashMap<(&'w str, Transport), Option<u16>>>,
    /// Identities by one of their labels, whatever its source.
    by_label: HashMap<(&'w str, &'w str), Vec<Identity>>,
}

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

    fn number(&mut self, key: Key<'w>) -> Identity {
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let number = Identity::try_from(self.labels.len()).unwrap_or(Identity::MAX);
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
        }
        number
    }

    pub(crate) fn of(&self, endpoint: &Endpoint) -> Option<Identity> {
        self.numbers.get(&key(endpoint)).copied()
    }

    /// Addresses outside the cluster that carry labels of their own.
    pub(crate) fn outside(&self) -> &[(Identity, IpAddr)] {
        &self.outside
    }

    /// The identities that have some of these addresses, and the addresses that are of no known endpoint.
    pub(crate) fn at<'a>(
        &self,
        endpoints: &[Arc<Endpoint>],
        addresses: impl IntoIterator<Item = &'a IpAddr>,
    ) -> (Vec<Identity>, Vec<IpAddr>) {
        let (mut identities, mut unknown) = (Vec::new(), Vec::new());
        for address in addresses {
            match endpoints.iter().find(|endpoint| endpoint.addresses.contains(address)) {
                Some(endpoint) => identities.extend(self.of(endpoint)),
                None => unknown.push(*address),
            }
        }
        (identities, unknown)
    }

    pub(crate) fn addresses(&self, endpoints: &[Arc<Endpoint>]) -> Addresses {
        let mut addresses = Addresses::default();
        for endpoint in endpoints {
            let Some(identity) = self.of(endpoint) else { continue };
            for address in &endpoint.addresses {
                addresses.entry(*address).or_insert_with(|| Known { identity, endpoint: Arc::clone(endpoint) });
            }
        }
        addresses
    }

    /// The identities whose labels satisfy a condition, in order.
    pub(crate) fn filter(&self, wanted: impl Fn(&Labels) -> bool) -> Vec<Identity> {
        (0..).zip(&self.labels).filter(|(_, labels)| wanted(labels)).map(|(number, _)| number).collect()
    }

    /// The identities that a selector selects, in order. Only those are looked at that have a label it asks for.
    pub(crate) fn select(&self, selector: &Selector) -> Vec<Identity> {
        let candidates = selector
            .requirements
            .iter()
            .filter(|requirement| requirement.operator == Operator::In)
            .map(|requirement| self.with_one_of(requirement.key(), &requirement.values))
            .min_by_key(|candidates| candidates.iter().map(|some| some.len()).sum::<usize>());
        match candidates {
            Some(candidates) => {
                let candidates: BTreeSet<Identity> = candidates.into_iter().flatten().copied().collect();
                candidates.into_iter().filter(|number| selector.matches(self.labels[*number as usize])).collect()
            }
            None => self.filter(|labels| selector.matches(labels)),
        }
    }

    fn with_one_of<'a>(&'a self, key: &'a str, values: &'a [String]) -> Vec<&'a [Identity]> {
        values.iter().filter_map(|value| self.by_label.get(&(key, value.as_str())).map(Vec::as_slice)).collect()
    }

    /// The identities that have a port of a name, by its number.
    pub(crate) fn with_port(&self, name: &str, transport: Transport) -> BTreeMap<u16, Vec<Identity>> {
        let mut found: BTreeMap<u16, Vec<Identity>> = BTreeMap::new();
        for (number, ports) in (0..).zip(&self.ports) {
            if let Some(Some(port)) = ports.get(&(name, transport)) {
                found.entry(*port).or_default().push(number);
            }
        }
        found
    }
}
