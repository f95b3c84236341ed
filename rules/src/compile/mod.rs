//! Compiles a world into the form that answers questions. Runs off the data path and never fails.

pub(crate) mod answer;
mod blocks;
pub(crate) mod class;
mod entities;
mod grant;
pub(crate) mod grants;
pub(crate) mod identities;
pub(crate) mod peers;
mod ranges;
pub(crate) mod selectors;
mod set;
pub(crate) mod trust;
mod weight;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use ipnet::IpNet;

use self::{
    answer::Decider,
    class::{ClassKey, Classes, CompiledClass},
    grants::{Grant, GrantId, Lister, SelectedRule, extended},
    identities::{Addresses, Identities, IdentityAddresses, IdentityNumber},
    peers::{PeerSet, Resolver, Who},
    ranges::{cut, set_apart},
    selectors::SelectorId,
    trust::{TrustId, Trusts, asks, names_nobody_in_particular},
};
use crate::{
    bounds::{CompileBounds, Meter, Overrun},
    labels::LabelSet,
    learning::AddressLearner,
    pattern::Automaton,
    settings::{Enforcement, OpenConnections, PolicySettings},
    steering::SteeringAction,
    table::SubjectTable,
    world::{Direction, Endpoint, EndpointId, NamedPort, Transport, World},
};

/// Where names are asked for (RFC 1035 §4.2).
const NAMES_PORT: u16 = 53;
/// About what a range of ports takes in bytes, beside its list of grants and what the kernel is told of addresses.
const PORT_CLASS: usize = 256;

/// What binds endpoints that the same rules select.
#[derive(Debug)]
pub(crate) struct PolicySubject {
    /// By direction; `None` where nothing is enforced.
    sides: [Option<EnforcedDirection>; 2],
    /// The kernel's tables, computed on first use.
    pub(crate) steering: SubjectTable,
}

impl PolicySubject {
    pub(crate) fn side(&self, direction: Direction) -> Option<&EnforcedDirection> {
        self.sides[direction as usize].as_ref()
    }

    /// Whether addresses can be learnt for it.
    pub(crate) fn learns(&self) -> bool {
        let classes = self.sides.iter().flatten().flat_map(|side| side.classes.iter().flatten());
        classes.into_iter().any(|(_, class)| class.learns())
    }
}

/// One enforced direction.
#[derive(Debug)]
pub(crate) struct EnforcedDirection {
    /// By transport: the first port of each class, in order, from 0.
    classes: [Vec<(u16, Arc<CompiledClass>)>; Transport::ALL.len()],
    /// Whom rules of this direction allow on some port.
    allowed: Vec<Arc<PeerSet>>,
    /// Some rule of this direction has `icmps`.
    pub(crate) speaks_of_icmp: bool,
    /// Open connections go on although they are denied or unjudged.
    pub(crate) keeps_open: bool,
    /// Whose answers about names count here; `None`: anybody's.
    pub(crate) trust: Option<TrustId>,
}

impl EnforcedDirection {
    /// The class of a port.
    pub(crate) fn class(&self, transport: Transport, port: u16) -> &CompiledClass {
        let classes = &self.classes[transport as usize];
        let after = classes.partition_point(|(first, _)| *first <= port);
        &classes[after.saturating_sub(1)].1
    }

    /// All classes of a transport with their ports, in order.
    pub(crate) fn classes(&self, transport: Transport) -> impl Iterator<Item = (u16, u16, &Arc<CompiledClass>)> {
        let classes = &self.classes[transport as usize];
        let lasts = classes.iter().skip(1).map(|(next, _)| next - 1).chain([u16::MAX]);
        classes.iter().zip(lasts).map(|((first, class), last)| (*first, last, class))
    }

    /// Whether some rule allows the peer on some port. `selectors` are those that select one of its names.
    pub(crate) fn names(&self, who: Who, selectors: &[SelectorId]) -> bool {
        self.allowed.iter().any(|peers| peers.contains(who) || peers.names_any(selectors))
    }
}

/// The local endpoints, each with what binds it.
pub(crate) type Locals = HashMap<EndpointId, (Arc<Endpoint>, Arc<PolicySubject>), foldhash::fast::RandomState>;

/// What a world is compiled to, but for the names that were resolved.
#[derive(Debug, Default)]
pub(crate) struct CompiledWorld {
    pub(crate) addresses: Addresses,
    pub(crate) places: IdentityAddresses,
    pub(crate) locals: Locals,
    pub(crate) learner: Option<AddressLearner>,
    /// The regular expressions of all policies, also of those that select nobody now: they are not compiled again when
    /// somebody comes.
    pub(crate) automata: Vec<Arc<Automaton>>,
}

/// Compiles the policies of a world, without the names that were resolved.
///
/// # Errors
/// It takes more than its bounds.
pub(crate) fn compile(world: &World, bounds: CompileBounds) -> Result<CompiledWorld, Overrun> {
    let meter = Arc::new(Meter::new(bounds, world.policies.len()));
    let within = |meter: &Meter| meter.overrun().map_or(Ok(()), Err);
    let automata = weight::weigh(world, &meter);
    within(&meter)?;
    let itself = LabelSet::of_pod("", "", [("reserved:host".to_owned(), String::new())]);
    let mut identities = Identities::new(&world.endpoints);
    if !world.node_addresses.is_empty() {
        identities.note(&itself);
    }
    let addresses = identities.addresses(&world.endpoints);
    let places = IdentityAddresses::new(&addresses);
    let resolver = Resolver::new(&identities, &addresses, world, &meter);
    let mut lister = Lister::new(resolver, &identities, world, &meter);
    let rules: Vec<SelectedRule> = lister.all(&world.policies);
    within(&meter)?;
    let hosts = identities.filter(|labels| labels.has_reserved("host"));
    let local = world.endpoints.iter().filter(|endpoint| endpoint.local.is_some());
    let local: BTreeSet<IdentityNumber> = local.filter_map(|endpoint| identities.of(endpoint)).collect();
    let mut selecting: HashMap<IdentityNumber, Vec<usize>> = HashMap::new();
    for (number, rule) in rules.iter().enumerate() {
        let subjects: Vec<IdentityNumber> = if rule.subjects.len() < local.len() {
            rule.subjects.iter().filter(|subject| local.contains(subject)).collect()
        } else {
            local.iter().copied().filter(|subject| rule.subjects.contains(*subject)).collect()
        };
        let looked_at = local.len().min(rule.subjects.len()) + 1;
        meter.take_for(rule.policy, 4 * size_of::<usize>() * subjects.len(), looked_at);
        for subject in subjects.into_iter().filter(|subject| rule.node == hosts.contains(*subject)) {
            selecting.entry(subject).or_default().push(number);
        }
        within(&meter)?;
    }
    let grants: Arc<[Grant]> = std::mem::take(&mut lister.grants).into();
    let decider = Decider::new(world, Arc::clone(&grants), Arc::clone(&meter));
    let hosts = hosts.iter().collect();
    let unknown = world.node_addresses.iter().filter(|address| !addresses.contains_key(*address));
    let node: Vec<IpNet> = unknown.map(|address| IpNet::from(*address)).collect();
    let mut binder = Binder {
        settings: &world.settings,
        rules: &rules,
        extended: extended(&grants),
        grants: Arc::clone(&grants),
        classes: Classes::new(grants, decider, (hosts, node), identities.len(), Arc::clone(&meter)),
        subjects: HashMap::new(),
        places: &places,
        meter: &meter,
        trusts: Trusts::default(),
    };
    let mut locals = Locals::default();
    for endpoint in &world.endpoints {
        let Some(id) = endpoint.local else { continue };
        let selecting = identities.of(endpoint).and_then(|identity| selecting.get(&identity));
        let subject = binder.subject(endpoint, id, selecting.map_or(&[], Vec::as_slice));
        if let Some(trust) = subject.side(Direction::Egress).and_then(|side| side.trust) {
            binder.trusts.join(trust, id);
        }
        locals.insert(id, (Arc::clone(endpoint), subject));
        within(&meter)?;
    }
    let selectors = lister.resolver.selectors;
    let learner =
        (!selectors.is_empty()).then(|| AddressLearner::new(selectors, binder.classes.decider, binder.trusts, &locals));
    Ok(CompiledWorld { addresses, places, locals, learner, automata })
}

/// What makes two endpoints be bound alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SubjectKey {
    /// The rules that select them.
    selecting: Vec<usize>,
    /// The ports that rules know by name.
    ports: Vec<NamedPort>,
    /// They are the node itself.
    host: bool,
    /// They are without labels yet.
    init: bool,
    /// Only what this one was told itself counts for it, so nobody is bound as it is.
    own: Option<EndpointId>,
}

/// Classes to be, each with its first port.
type Keys = Vec<(u16, ClassKey)>;

/// Brings rules and endpoints together.
struct Binder<'w> {
    settings: &'w PolicySettings,
    rules: &'w [SelectedRule],
    grants: Arc<[Grant]>,
    classes: Classes,
    subjects: HashMap<SubjectKey, Arc<PolicySubject>>,
    trusts: Trusts,
    /// Protocols without ports that some policy names.
    extended: Vec<Transport>,
    places: &'w IdentityAddresses,
    meter: &'w Meter,
}

impl Binder<'_> {
    fn subject(&mut self, endpoint: &Endpoint, id: EndpointId, selecting: &[usize]) -> Arc<PolicySubject> {
        let (host, init) = (endpoint.labels.has_reserved("host"), endpoint.labels.has_reserved("init"));
        let named = self.grants_of(selecting, Direction::Ingress).iter().any(|id| self.grant(*id).names_own_ports());
        let ports = if named { endpoint.ports.clone() } else { Vec::new() };
        let own = self.asks_nobody_in_particular(selecting).then_some(id);
        let key = SubjectKey { selecting: selecting.to_vec(), ports, host, init, own };
        if let Some(subject) = self.subjects.get(&key) {
            return Arc::clone(subject);
        }
        let sides = [Direction::Ingress, Direction::Egress].map(|direction| self.side(&key, direction));
        sides.iter().flatten().for_each(|side| self.weigh(side));
        let subject = Arc::new(PolicySubject { sides, steering: SubjectTable::default() });
        self.subjects.insert(key, Arc::clone(&subject));
        subject
    }

    /// Takes what the kernel is told of a direction.
    fn weigh(&self, side: &EnforcedDirection) {
        let mut weights: HashMap<*const CompiledClass, usize> = HashMap::new();
        for (_, _, class) in [Transport::Tcp, Transport::Udp].into_iter().flat_map(|transport| side.classes(transport))
        {
            let weight = *weights.entry(Arc::as_ptr(class)).or_insert_with(|| class.weight(self.places));
            let policy = class.widest(&self.grants);
            if !self.meter.take_for(policy, PORT_CLASS + weight * size_of::<(IpNet, SteeringAction)>(), 1 + weight) {
                return;
            }
        }
    }

    /// One direction (cilium pkg/policy/repository.go, `computePolicyEnforcementAndRules`).
    fn side(&mut self, key: &SubjectKey, direction: Direction) -> Option<EnforcedDirection> {
        let SubjectKey { selecting, ports, host, init, .. } = key;
        let sides = || selecting.iter().map(|rule| &self.rules[*rule].sides[direction as usize]);
        let spoken = sides().any(|side| side.speaks);
        let always = *init || self.settings.enforcement == Enforcement::Always;
        // Only rules for nodes bind the node itself.
        let never = (*host && !spoken) || self.settings.enforcement == Enforcement::Never;
        if never || !(spoken || always) {
            return None;
        }
        let open = !always && !sides().any(|side| side.default_deny);
        let ingress = direction == Direction::Ingress;
        // Cilium adds its rule for the host to the rules that there are; without any it adds none.
        let let_in = ingress && spoken && !open && self.settings.allow_localhost;
        let grants = self.grants_of(selecting, direction);
        let own = |name: &str, transport: Transport| {
            let named = ports.iter().filter(|_| ingress);
            named.clone().find(|port| port.name == name && port.transport == transport).map(|port| port.port)
        };
        let by_name = grants.iter().any(|id| self.grant(*id).peers.have_names());
        let overhears = !ingress && self.settings.deviations.names_without_dns_rule && by_name;
        let keys_of = |transport: Transport| -> Keys {
            let ranges = grants.iter().flat_map(|id| {
                let ports = self.grants[*id as usize].ports(transport, own);
                ports.into_iter().map(move |range| (*range.start(), *range.end(), *id))
            });
            // A list of grants is kept with the ports, with their class and with what it learns.
            let ranges = cut(ranges, |id, covering| {
                let policy = self.grants[id as usize].policy;
                self.meter.take_for(policy, PORT_CLASS + 4 * size_of::<GrantId>() * covering, covering)
            });
            let snooped = overhears && matches!(transport, Transport::Tcp | Transport::Udp);
            let ranges = if snooped { set_apart(ranges, NAMES_PORT) } else { ranges };
            let key = |(first, grants): (u16, Vec<GrantId>)| {
                let exact = self.exactly(&grants, transport, first);
                let snooped = snooped && first == NAMES_PORT;
                (first, ClassKey { grants, exact, open, host: let_in, snooped, trust: None })
            };
            ranges.into_iter().map(key).collect()
        };
        // Protocols without ports that no policy names fare alike.
        let mut unnamed: Option<Keys> = None;
        let keys =
            Transport::ALL.map(|transport| match transport.is_extended() && !self.extended.contains(&transport) {
                true => unnamed.get_or_insert_with(|| keys_of(transport)).clone(),
                false => keys_of(transport),
            });
        let trust = (!ingress && by_name && self.settings.server_must_agree).then(|| self.trust(&keys, key.own));
        let classes = keys.map(|keys| {
            let class = |(first, key): (u16, ClassKey)| {
                let named = key.grants.iter().any(|id| self.grant(*id).peers.have_names());
                (first, self.classes.get(ClassKey { trust: trust.filter(|_| named), ..key }))
            };
            keys.into_iter().map(class).collect()
        });
        let mut allowed: Vec<Arc<PeerSet>> = Vec::new();
        let mut seen = BTreeSet::new();
        for peers in grants.iter().map(|id| self.grant(*id)).filter(|grant| !grant.deny).map(|grant| &grant.peers) {
            if seen.insert(Arc::as_ptr(peers)) {
                allowed.push(Arc::clone(peers));
            }
        }
        let speaks_of_icmp = grants.iter().any(|id| self.grant(*id).is_about_icmp());
        let keeps_open = self.keeps_open(selecting, direction);
        Some(EnforcedDirection { classes, allowed, speaks_of_icmp, keeps_open, trust })
    }

    /// Whether all policies that speak of a direction keep what is open: together they deny, and none of them weakens another.
    fn keeps_open(&self, selecting: &[usize], direction: Direction) -> bool {
        let node = self.settings.open_connections;
        let speaking =
            selecting.iter().map(|rule| &self.rules[*rule]).filter(|rule| rule.sides[direction as usize].speaks);
        let mut words = speaking.map(|rule| rule.open_connections.unwrap_or(node)).peekable();
        match words.peek() {
            Some(_) => words.all(|word| word == OpenConnections::Keep),
            None => node == OpenConnections::Keep,
        }
    }

    /// Whose answers count for those that have these classes.
    fn trust(&mut self, keys: &[Keys; Transport::ALL.len()], own: Option<EndpointId>) -> TrustId {
        let mut classes = Vec::new();
        for transport in [Transport::Tcp, Transport::Udp] {
            let keys = &keys[transport as usize];
            let lasts = keys.iter().skip(1).map(|(next, _)| next - 1).chain([u16::MAX]);
            for ((first, key), last) in keys.iter().zip(lasts) {
                if key.snooped || key.grants.iter().any(|id| asks(self.grant(*id))) {
                    classes.push((transport, *first, last, self.classes.get(key.clone())));
                }
            }
        }
        self.trusts.number(classes, own)
    }

    /// Whether somebody may be asked about names who is not named, so that it could be anybody.
    fn asks_nobody_in_particular(&self, selecting: &[usize]) -> bool {
        let grants = self.grants_of(selecting, Direction::Egress);
        let of = || grants.iter().map(|id| self.grant(*id)).filter(|grant| !grant.deny);
        let heard = self.settings.deviations.names_without_dns_rule;
        self.settings.server_must_agree
            && of().any(|grant| grant.peers.have_names())
            && (heard || of().any(|grant| asks(grant) && names_nobody_in_particular(grant)))
    }

    fn grant(&self, id: GrantId) -> &Grant {
        &self.grants[id as usize]
    }

    /// Those of some grants that name a port and nothing around it; none where no protocol asks for that.
    fn exactly(&self, grants: &[GrantId], transport: Transport, port: u16) -> Vec<GrantId> {
        let asks = |id: &GrantId| self.grant(*id).l7().is_some_and(|l7| l7.schema.nature.exact_port);
        if !grants.iter().any(asks) {
            return Vec::new();
        }
        grants.iter().copied().filter(|id| self.grant(*id).names_exactly(transport, port)).collect()
    }

    fn grants_of(&self, selecting: &[usize], direction: Direction) -> Vec<GrantId> {
        selecting.iter().flat_map(|rule| &self.rules[*rule].sides[direction as usize].grants).copied().collect()
    }
}
