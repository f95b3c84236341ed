//! The compiled form of the policies: what the data path queries. It is replaced as a whole; only learned addresses
//! change in place.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::{
    bounds::{CompileBounds, Overrun},
    compile::{
        CompiledWorld, Locals, compile,
        identities::{Addresses, IdentityAddresses},
    },
    learning::AddressLearner,
    params::FlowParams,
    pattern::Automaton,
    request::Request,
    services::Vips,
    settings::PolicySettings,
    steering::SteeringTable,
    table::{Sources, who},
    verdict::{Layer, Outcome, Reason, RuleInfo},
    world::{Direction, Endpoint, EndpointId, Transport, World},
};
pub use crate::{resolved::KnownName, ruleset::RuleSet};

/// Names one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The local endpoint whose policy is asked.
    pub endpoint: EndpointId,
    /// Direction, seen from it.
    pub direction: Direction,
    /// Transport.
    pub transport: Transport,
    /// The other side; never IPv4-mapped. For a service, the backend.
    pub peer: IpAddr,
    /// Port of the side that was connected to. For a service, the backend's.
    pub port: u16,
}

/// How a flow that passes is looked at, from the outside in. Without any rules it passes as it is.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The rules for the name of the server in the client's TLS handshake (SNI).
    pub server_names: Option<Arc<RuleSet>>,
    /// TLS ends at the proxy, so that the requests are those inside of it.
    pub terminates_tls: bool,
    /// The rules for its requests.
    pub requests: Option<Arc<RuleSet>>,
}

impl Plan {
    /// The plan of one rule set.
    #[must_use]
    pub fn of(rules: Arc<RuleSet>) -> Self {
        match rules.schema().is_carrier() {
            true => Self { server_names: Some(rules), ..Self::default() },
            false => Self { requests: Some(rules), ..Self::default() },
        }
    }

    /// The rules, in the order in which they judge.
    pub fn layers(&self) -> impl Iterator<Item = &Arc<RuleSet>> {
        self.server_names.iter().chain(&self.requests)
    }

    /// The rules whose protocol is read first.
    #[must_use]
    pub fn outermost(&self) -> Option<&Arc<RuleSet>> {
        self.layers().next()
    }

    /// The rules whose protocol is read last.
    #[must_use]
    pub fn innermost(&self) -> Option<&Arc<RuleSet>> {
        self.requests.as_ref().or(self.server_names.as_ref())
    }

    /// Whether nothing of the flow is judged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outermost().is_none()
    }

    /// Whether a flow that is relayed by one plan can go on by the other: only what the rules say differs.
    #[must_use]
    pub fn relays_like(&self, other: &Self) -> bool {
        let alike = |one: &Option<Arc<RuleSet>>, other: &Option<Arc<RuleSet>>| match (one, other) {
            (None, None) => true,
            (Some(one), Some(other)) => std::ptr::eq(one.schema(), other.schema()),
            _ => false,
        };
        self.terminates_tls == other.terminates_tls
            && alike(&self.server_names, &other.server_names)
            && alike(&self.requests, &other.requests)
    }
}

/// The answer about one flow.
#[derive(Clone, Debug)]
pub struct Flow {
    /// What becomes of the flow as a whole; each request of one that is judged has an outcome of its own.
    pub outcome: Outcome,
    /// The layer that decided.
    pub layer: Layer,
    /// Why.
    pub reason: Reason,
    /// The decisive rule, if one is.
    pub rule: Option<Arc<RuleInfo>>,
    /// The protocol whose proxy Cilium's datapath sends the flow to, also where a wider rule lets every request pass
    /// there, so that here it is not judged.
    pub redirect: Option<&'static str>,
    /// What is judged on it. Empty where it does not pass, and where it passes whatever the rules say.
    pub plan: Plan,
    /// What it is relayed with.
    pub params: Arc<FlowParams>,
}

impl Flow {
    /// Of a flow that is decided as a whole, by no rule.
    #[must_use]
    pub fn whole(outcome: Outcome, layer: Layer, reason: Reason, params: Arc<FlowParams>) -> Self {
        Self { outcome, layer, reason, rule: None, redirect: None, plan: Plan::default(), params }
    }

    /// What becomes of a request on it, or of the name of its server. One of a protocol that it does not judge does not pass on
    /// a flow that is judged.
    #[must_use]
    pub fn outcome_of(&self, request: &dyn Request) -> Outcome {
        if self.plan.is_empty() {
            return self.outcome;
        }
        let rules = self.plan.layers().find(|rules| std::ptr::eq(rules.schema(), request.schema()));
        rules.map_or(Outcome::Deny, |rules| rules.check(request).outcome).under(self.params.mode)
    }
}

/// Everything in force, compiled. Swapped as a whole; only the addresses of names are [learnt](Snapshot::learn) in place.
#[derive(Debug, Default)]
pub struct Snapshot {
    generation: u64,
    settings: PolicySettings,
    params: Arc<FlowParams>,
    pub(crate) addresses: Addresses,
    places: IdentityAddresses,
    pub(crate) locals: Locals,
    pub(crate) vips: Vips,
    /// Set where some policy selects names.
    pub(crate) learner: Option<AddressLearner>,
    /// What is compiled and not bound to an endpoint yet is kept.
    _automata: Vec<Arc<Automaton>>,
}

impl Snapshot {
    /// Compiles a world without bounds. Policies are validated before. A regular expression over its budget makes its
    /// own rule match nothing.
    #[must_use]
    pub fn compile(world: &World, generation: u64) -> Self {
        // Without bounds none is overrun.
        Self::within(world, generation, CompileBounds::NONE).unwrap_or_default()
    }

    /// Compiles a world within the bounds of its settings.
    ///
    /// # Errors
    /// It would take more. What it took until then is given back.
    pub fn compile_within_bounds(world: &World, generation: u64) -> Result<Self, Overrun> {
        Self::within(world, generation, world.settings.bounds)
    }

    fn within(world: &World, generation: u64, bounds: CompileBounds) -> Result<Self, Overrun> {
        let CompiledWorld { addresses, places, locals, learner, automata } = compile(world, bounds)?;
        let vips = Vips::new(world.services.iter().map(|service| &**service));
        let settings = world.settings;
        let params = Arc::clone(&world.params);
        let snapshot =
            Self { generation, settings, params, addresses, places, locals, vips, learner, _automata: automata };
        snapshot.learn_all(&world.names);
        Ok(snapshot)
    }

    /// Number of this snapshot; grows.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The settings it was compiled with.
    #[must_use]
    pub fn settings(&self) -> &PolicySettings {
        &self.settings
    }

    /// What flows are relayed with about which no policy says anything else.
    #[must_use]
    pub fn params(&self) -> &Arc<FlowParams> {
        &self.params
    }

    /// Judges a flow at L3 and L4 and selects the L7 rules that bind it. Does not allocate.
    ///
    /// The peer is taken as it is: for a service ask with a backend of [`Snapshot::backends`]. An endpoint may always
    /// reach itself (cilium bpf/bpf_lxc.c: hairpin flows skip policy).
    #[must_use]
    pub fn flow(&self, key: &FlowKey) -> Flow {
        let flow = |outcome, reason| Flow::whole(outcome, Layer::L3, reason, Arc::clone(&self.params));
        let Some((endpoint, subject)) = self.locals.get(&key.endpoint) else {
            return flow(Outcome::Deny, Reason::UnknownEndpoint);
        };
        let Some(side) = subject.side(key.direction).filter(|_| !endpoint.addresses.contains(&key.peer)) else {
            return flow(Outcome::Allow, Reason::NotEnforced);
        };
        let who = who(&self.addresses, key.peer);
        let mut answer = side.class(key.transport, key.port).answer(who, key.peer);
        // A peer that is allowed on some other port is refused for its port.
        if answer.reason == Reason::NoRule {
            let resolved = self.learner.as_ref().and_then(|learner| learner.resolved(key.peer));
            let selectors = resolved.as_ref().map_or(&[][..], |resolved| resolved.selectors(side.trust));
            if side.names(who, selectors) {
                answer.layer = Layer::L4;
            }
        }
        answer
    }

    /// The backends of a service's VIP and port, those of the VIP's family; `None` if it is no VIP of a known service.
    ///
    /// A known VIP with a port that its service does not have is no VIP either: nobody translates it, so it is judged
    /// like any address.
    #[must_use]
    pub fn backends(&self, transport: Transport, address: IpAddr, port: u16) -> Option<&[SocketAddr]> {
        self.vips.get(transport, address, port)
    }

    /// The endpoint that has an address; where several have it, the first.
    #[must_use]
    pub fn endpoint_at(&self, address: IpAddr) -> Option<&Arc<Endpoint>> {
        self.addresses.get(&address).map(|known| &known.endpoint)
    }

    /// A local endpoint by its number.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> Option<&Arc<Endpoint>> {
        self.locals.get(&id).map(|(endpoint, _)| endpoint)
    }

    /// Whether connections of a local endpoint that are open go on, although policy denies them now or wants them judged.
    #[must_use]
    pub fn keeps_open(&self, id: EndpointId, direction: Direction) -> bool {
        let side = self.locals.get(&id).and_then(|(_, subject)| subject.side(direction));
        side.is_some_and(|side| side.keeps_open)
    }

    /// What the kernel is told of a local endpoint, with what was learnt so far; nothing for one that is not known.
    #[must_use]
    pub fn steering(&self, id: EndpointId) -> SteeringTable {
        let Some((endpoint, subject)) = self.locals.get(&id) else { return SteeringTable::default() };
        SteeringTable { classes: self.sources().classes(subject, endpoint), addresses: endpoint.addresses.clone() }
    }

    pub(crate) fn sources(&self) -> Sources<'_> {
        let resolutions = self.learner.as_ref().map_or(0, AddressLearner::resolutions);
        Sources { resolutions, addresses: &self.addresses, places: &self.places, vips: &self.vips }
    }
}
