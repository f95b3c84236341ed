//! Installs learned addresses of names one by one.
//!
//! A policy change compiles everything anew. A DNS answer changes only the verdicts for one address, in the classes
//! whose grants select its names. Readers never wait. Names only add to what is allowed, because no rule denies by
//! name.

mod ports;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    ops::RangeInclusive,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use self::ports::{seen, without};
use crate::{
    compile::{
        Locals,
        answer::{Decider, Matching},
        class::CompiledClass,
        selectors::{SelectorId, Selectors},
        trust::{TrustId, Trusts},
    },
    names,
    overlay::Overlay,
    resolved::{KnownName, Resolved, SelectedName},
    snapshot::{Flow, FlowKey, Snapshot},
    steering::{SteeredAddressChange, SteeringAction},
    table::{may_be_learnt, who},
    verdict::{Layer, Outcome, Reason},
    world::{Direction, EndpointId, LearnedFrom, ResolvedName, Transport},
};

/// Answers that are kept before those that nobody has any more are looked for.
const FEW: usize = 256;

/// Ports of an endpoint that a class is for.
#[derive(Debug)]
struct ClassPorts {
    endpoint: EndpointId,
    direction: Direction,
    transport: Transport,
    ports: RangeInclusive<u16>,
}

/// A class that learns, and what the kernel is told of it.
#[derive(Debug)]
struct LearningClass {
    class: Arc<CompiledClass>,
    /// In order of the endpoints.
    places: Vec<ClassPorts>,
}

/// What makes answers. Whoever tells holds it.
#[derive(Debug)]
struct ActionResolver {
    decider: Decider,
    /// By class and grants.
    flows: HashMap<(usize, Matching), Arc<Flow>>,
    /// How many of those are looked through next.
    most: usize,
    /// Answers that deny because there is no memory for the rules, by the endpoint that learnt.
    missed: BTreeMap<EndpointId, u64>,
}

/// What a snapshot needs to learn addresses.
#[derive(Debug)]
pub(crate) struct AddressLearner {
    pub(crate) selectors: Selectors,
    installers: Vec<LearningClass>,
    /// By selector, the classes that have it.
    interested: Vec<Vec<usize>>,
    pub(crate) trusts: Trusts,
    resolved: Overlay<Arc<Resolved>>,
    resolutions: AtomicU64,
    /// Whether any answer was missed since they were taken.
    misses: AtomicBool,
    queue: Mutex<ActionResolver>,
}

impl AddressLearner {
    pub(crate) fn new(selectors: Selectors, mut decider: Decider, trusts: Trusts, locals: &Locals) -> Self {
        decider.begin_to_learn();
        let mut numbers: HashMap<*const CompiledClass, usize> = HashMap::new();
        let mut installers: Vec<LearningClass> = Vec::new();
        let ordered: BTreeMap<_, _> = locals.iter().map(|(id, (_, subject))| (*id, subject)).collect();
        for (endpoint, subject) in ordered {
            for direction in [Direction::Ingress, Direction::Egress] {
                for transport in Transport::ALL {
                    let classes = subject.side(direction).into_iter().flat_map(|side| side.classes(transport));
                    for (first, last, class) in classes.filter(|(.., class)| class.learns()) {
                        let number = *numbers.entry(Arc::as_ptr(class)).or_insert(installers.len());
                        if number == installers.len() {
                            installers.push(LearningClass { class: Arc::clone(class), places: Vec::new() });
                        }
                        let ports = seen(subject, direction, transport, first..=last);
                        let place = |ports| ClassPorts { endpoint, direction, transport, ports };
                        installers[number].places.extend(ports.into_iter().map(place));
                    }
                }
            }
        }
        let mut interested = vec![Vec::new(); selectors.len()];
        for (number, installer) in installers.iter().enumerate() {
            for selector in installer.class.selectors().collect::<BTreeSet<_>>() {
                interested[selector as usize].push(number);
            }
        }
        let queue = Mutex::new(ActionResolver { decider, flows: HashMap::new(), most: FEW, missed: BTreeMap::new() });
        let (resolved, resolutions, misses) = (Overlay::default(), AtomicU64::new(0), AtomicBool::new(false));
        Self { selectors, installers, interested, trusts, resolved, resolutions, misses, queue }
    }

    /// How many resolutions there were.
    pub(crate) fn resolutions(&self) -> u64 {
        self.resolutions.load(Ordering::Acquire)
    }

    /// The names of an address that are selected somewhere.
    pub(crate) fn resolved(&self, address: IpAddr) -> Option<Arc<Resolved>> {
        self.resolved.get(address)
    }

    /// For whom names count in the classes that have some selectors.
    pub(crate) fn trusts_of(&self, selectors: &[SelectorId]) -> BTreeSet<TrustId> {
        let interested = selectors.iter().flat_map(|selector| &self.interested[*selector as usize]);
        interested.filter_map(|installer| self.installers[*installer].class.trust()).collect()
    }

    fn queue(&self) -> MutexGuard<'_, ActionResolver> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_misses(&self, queue: &ActionResolver) {
        if !queue.missed.is_empty() {
            self.misses.store(true, Ordering::Release);
        }
    }

    /// The classes that have any of some selectors.
    fn interested(&self, resolved: [Option<&Arc<Resolved>>; 2]) -> BTreeSet<usize> {
        let selectors = resolved.into_iter().flatten().flat_map(|resolved| &resolved.selectors);
        selectors.flat_map(|selector| &self.interested[*selector as usize]).copied().collect()
    }
}

impl ActionResolver {
    /// The answer of a class for an address whose names these selectors select.
    fn answer(
        &mut self,
        number: usize,
        installer: &LearningClass,
        who: crate::compile::peers::Who,
        selectors: &[SelectorId],
    ) -> Option<Arc<Flow>> {
        let (matching, key) = installer.class.matching(who, selectors)?;
        let entry = (number, matching);
        if let Some(flow) = self.flows.get(&entry) {
            return Some(Arc::clone(flow));
        }
        let flow = Arc::new(self.decider.answer(&entry.1, key));
        if flow.reason == Reason::NoMemory {
            for endpoint in installer.places.iter().map(|place| place.endpoint).collect::<BTreeSet<_>>() {
                *self.missed.entry(endpoint).or_default() += 1;
            }
            // It is tried again with the next address.
            return Some(flow);
        }
        if self.flows.len() >= self.most {
            self.flows.retain(|_, flow| Arc::strong_count(flow) > 1);
            self.decider.forget_unused();
            self.most = FEW.max(2 * self.flows.len());
        }
        self.flows.insert(entry, Arc::clone(&flow));
        Some(flow)
    }
}

impl Snapshot {
    /// Whether some policy in force selects a name.
    #[must_use]
    pub fn selects(&self, name: &str) -> bool {
        let name = names::normal(name);
        self.learner.as_ref().is_some_and(|learner| learner.selectors.matching(&name).next().is_some())
    }

    /// How many resolutions changed an answer. Whoever keeps answers asks again when it has grown.
    #[must_use]
    pub fn resolutions(&self) -> u64 {
        self.learner.as_ref().map_or(0, AddressLearner::resolutions)
    }

    /// How many answers for learnt addresses deny because the bounds leave no memory for their rules
    /// ([`Reason::NoMemory`]), by the endpoint that they are for, since this was asked last. A look where there are none.
    pub fn take_missed(&self) -> BTreeMap<EndpointId, u64> {
        let Some(learner) = self.learner.as_ref().filter(|learner| learner.misses.swap(false, Ordering::Acquire))
        else {
            return BTreeMap::new();
        };
        std::mem::take(&mut learner.queue().missed)
    }

    /// Whether some policy in force selects a name of an address.
    #[must_use]
    pub fn has_names(&self, address: IpAddr) -> bool {
        self.learner.as_ref().is_some_and(|learner| learner.resolved(address).is_some())
    }

    /// The names of an address that some policy in force selects, in normal form and in order. Allocates.
    #[must_use]
    pub fn names_of(&self, address: IpAddr) -> Vec<Arc<str>> {
        let resolved = self.learner.as_ref().and_then(|learner| learner.resolved(address));
        let names = resolved.iter().flat_map(|resolved| &resolved.names).map(|known| Arc::clone(&known.name));
        let mut names: Vec<_> = names.collect();
        names.dedup();
        names
    }

    /// Whether it is in force that an address has a name, in normal form, by an answer that came from there.
    #[must_use]
    pub fn knows(&self, address: IpAddr, name: &str, origin: &LearnedFrom) -> bool {
        let resolved = self.learner.as_ref().and_then(|learner| learner.resolved(address));
        let gave = |known: &SelectedName| *known.name == *name && known.origins.binary_search(origin).is_ok();
        resolved.is_some_and(|resolved| resolved.names.iter().any(gave))
    }

    /// The names by which rules that bind this flow select its peer, in normal form and in order. Allocates.
    #[must_use]
    pub fn names_for(&self, key: &FlowKey) -> Vec<Arc<str>> {
        let named = || {
            let learner = self.learner.as_ref()?;
            let (_, subject) = self.locals.get(&key.endpoint)?;
            let class = subject.side(key.direction)?.class(key.transport, key.port);
            let resolved = learner.resolved(key.peer)?;
            let who = who(&self.addresses, key.peer);
            let binds = |known: &&SelectedName| {
                class.matching(who, &known.selectors).is_some()
                    && learner.trusts.counts(class.trust(), &known.name, &known.origins, &self.addresses)
            };
            let mut names: Vec<_> = resolved.names.iter().filter(binds).map(|known| Arc::clone(&known.name)).collect();
            names.dedup();
            Some(names)
        };
        named().unwrap_or_default()
    }

    /// Judges a flow as [`Snapshot::flow`] does, by the address of its peer alone, as if it had no name. Of an endpoint that
    /// has no policy everything is denied: who asks knows one.
    #[must_use]
    pub fn flow_by_address(&self, key: &FlowKey) -> Flow {
        let denied = Flow::whole(Outcome::Deny, Layer::L3, Reason::NoRule, Arc::clone(self.params()));
        let Some((_, subject)) = self.locals.get(&key.endpoint) else { return denied };
        let Some(side) = subject.side(key.direction) else { return denied };
        side.class(key.transport, key.port).by_address(who(&self.addresses, key.peer)).clone()
    }

    /// Brings an address into force for exactly these names, in place of those it had; for none, it is forgotten. Gives
    /// what the kernel has to be told for that.
    ///
    /// From then on flows are answered as by a snapshot that was compiled with these names; until then as before. An
    /// address of a known endpoint of the cluster is never meant by a name. Resolutions wait for each other, nobody else
    /// waits for them.
    pub fn learn(&self, address: IpAddr, names: &[&str]) -> Vec<SteeredAddressChange> {
        let names: Vec<KnownName<'_>> = names.iter().map(|name| KnownName { name, origins: &[] }).collect();
        self.learn_from(address, &names)
    }

    /// The same, for names that answers gave: each counts for the endpoints whose DNS rules name a server that gave it
    /// ([`Settings::server_must_agree`](crate::settings::Settings::server_must_agree)), and for whoever may ask anybody,
    /// where it asked itself.
    pub fn learn_from(&self, address: IpAddr, names: &[KnownName<'_>]) -> Vec<SteeredAddressChange> {
        let Some(learner) = self.learner.as_ref().filter(|_| may_be_learnt(&self.addresses, address)) else {
            return Vec::new();
        };
        let after = learner.resolve(names, &self.addresses);
        let mut queue = learner.queue();
        let before = learner.resolved(address);
        if before == after {
            return Vec::new();
        }
        let interested = learner.interested([before.as_ref(), after.as_ref()]);
        let told = self.told(learner, &interested, address);
        learner.resolved.set(address, after.clone());
        let who = who(&self.addresses, address);
        for number in &interested {
            let installer = &learner.installers[*number];
            let selectors = after.as_ref().map_or(&[][..], |resolved| resolved.selectors(installer.class.trust()));
            installer.class.learn(address, queue.answer(*number, installer, who, selectors));
        }
        learner.note_misses(&queue);
        learner.resolutions.fetch_add(1, Ordering::Release);
        let news = self.told(learner, &interested, address);
        news.into_iter().zip(told).filter(|(new, old)| new != old).map(|(new, _)| new).collect()
    }

    /// Brings all names into force that were known before.
    pub(crate) fn learn_all(&self, names: &[ResolvedName]) {
        let Some(learner) = &self.learner else { return };
        let mut addresses: HashMap<IpAddr, Vec<KnownName<'_>>> = HashMap::new();
        for known in
            names.iter().filter(|known| learner.selectors.matching(&names::normal(&known.name)).next().is_some())
        {
            let given = known.addresses.iter().map(|address| (address, &[][..]));
            let learnt = known.learnt.iter().map(|(address, origins)| (address, &origins[..]));
            let all = given.chain(learnt).filter(|(address, _)| may_be_learnt(&self.addresses, **address));
            for (address, origins) in all {
                addresses.entry(*address).or_default().push(KnownName { name: &known.name, origins });
            }
        }
        let mut queue = learner.queue();
        let mut resolved: Vec<(IpAddr, Arc<Resolved>)> = Vec::new();
        let mut flows: Vec<Vec<(IpAddr, Arc<Flow>)>> = learner.installers.iter().map(|_| Vec::new()).collect();
        for (address, names) in addresses {
            let Some(known) = learner.resolve(&names, &self.addresses) else { continue };
            let who = who(&self.addresses, address);
            for number in learner.interested([Some(&known), None]) {
                let installer = &learner.installers[number];
                let flow = queue.answer(number, installer, who, known.selectors(installer.class.trust()));
                flows[number].extend(flow.map(|flow| (address, flow)));
            }
            resolved.push((address, known));
        }
        learner.note_misses(&queue);
        learner.resolved.fill(resolved);
        for (installer, flows) in learner.installers.iter().zip(flows) {
            installer.class.fill(flows);
        }
        learner.resolutions.fetch_add(1, Ordering::Release);
    }

    /// What the kernel is told of an address, and of the VIPs that it is a backend of, by the endpoints that some classes
    /// are for. In the same order each time.
    fn told(
        &self,
        learner: &AddressLearner,
        interested: &BTreeSet<usize>,
        address: IpAddr,
    ) -> Vec<SteeredAddressChange> {
        let vips: Vec<(Transport, u16)> = self.vips.at(address).collect();
        let mut told = Vec::new();
        let mut endpoints = BTreeSet::new();
        for installer in interested.iter().map(|number| &learner.installers[*number]) {
            let now = installer.class.answer(who(&self.addresses, address), address);
            let action = entry(SteeringAction::from(&now), &installer.class, address);
            for place in &installer.places {
                let ClassPorts { endpoint, direction, transport, ref ports } = *place;
                let at = |port: &(Transport, u16)| direction == Direction::Egress && port.0 == transport;
                let taken = vips.iter().filter(|port| at(port)).map(|(_, port)| *port).collect();
                let learnt = |ports| SteeredAddressChange { endpoint, direction, transport, ports, address, action };
                told.extend(without(ports.clone(), taken).into_iter().map(learnt));
                endpoints.insert(endpoint);
            }
        }
        let fronts: Vec<_> = self.vips.behind(address).collect();
        for endpoint in endpoints.into_iter().filter(|_| !fronts.is_empty()) {
            let Some((local, subject)) = self.locals.get(&endpoint) else { continue };
            let Some(side) = subject.side(Direction::Egress) else { continue };
            for (transport, port, vip, backends) in fronts.iter().copied() {
                let action = self.sources().vip(subject, &local.addresses, transport, backends);
                let action = entry(action, side.class(transport, port), vip);
                let direction = Direction::Egress;
                told.push(SteeredAddressChange {
                    endpoint,
                    direction,
                    transport,
                    ports: port..=port,
                    address: vip,
                    action,
                });
            }
        }
        told
    }
}

/// The entry that an address needs in the kernel: none where those around it fare alike. What goes to the machine itself
/// is judged only where it is named.
fn entry(action: SteeringAction, class: &CompiledClass, address: IpAddr) -> Option<SteeringAction> {
    let named = address.is_loopback() && class.learnt(address).is_some();
    (named || action != SteeringAction::from(class.around(address))).then_some(action)
}
