//! The compiled form of the policies: what the data path queries. It is replaced as a whole; only learned addresses
//! change in place.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::{
    bounds::{Bounds, Overrun},
    compile::{
        Compiled, Locals, compile,
        identities::{Addresses, Places},
    },
    learning::Learner,
    pattern::Automaton,
    services::Vips,
    settings::Settings,
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

/// What is to be done with a flow.
#[derive(Clone, Debug)]
pub enum Access {
    /// It passes as it is.
    Allow,
    /// It is refused.
    Deny,
    /// Each request is judged.
    Judge(Arc<RuleSet>),
}

impl Access {
    /// What becomes of a flow as a whole; each request of one that is judged has an outcome of its own.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Allow | Self::Judge(_) => Outcome::Allow,
            Self::Deny => Outcome::Deny,
        }
    }
}

/// The answer about one flow.
#[derive(Clone, Debug)]
pub struct Flow {
    /// What is to be done.
    pub access: Access,
    /// The layer that decided.
    pub layer: Layer,
    /// Why.
    pub reason: Reason,
    /// The decisive rule, if one is.
    pub rule: Option<Arc<RuleInfo>>,
    /// The protocol whose proxy Cilium's datapath sends the flow to, also where a wider rule lets every request pass
    /// there, so that here it is not judged.
    pub redirect: Option<&'static str>,
}

/// Everything in force, compiled. Swapped as a whole; only the addresses of names are [learnt](Snapshot::learn) in place.
#[derive(Debug, Default)]
pub struct Snapshot {
    generation: u64,
    settings: Settings,
    pub(crate) addresses: Addresses,
    places: Places,
    pub(crate) locals: Locals,
    pub(crate) vips: Vips,
    /// Set where some policy selects names.
    pub(crate) learner: Option<Learner>,
    /// What is compiled and not bound to an endpoint yet is kept.
    _automata: Vec<Arc<Automaton>>,
}

impl Snapshot {
    /// Compiles a world without bounds. Policies are validated before. A regular expression over its budget makes its
    /// own rule match nothing.
    #[must_use]
    pub fn compile(world: &World, generation: u64) -> Self {
        // Without bounds none is overrun.
        Self::within(world, generation, Bounds::NONE).unwrap_or_default()
    }

    /// Compiles a world within the bounds of its settings.
    ///
    /// # Errors
    /// It would take more. What it took until then is given back.
    pub fn compile_within_bounds(world: &World, generation: u64) -> Result<Self, Overrun> {
        Self::within(world, generation, world.settings.bounds)
    }

    fn within(world: &World, generation: u64, bounds: Bounds) -> Result<Self, Overrun> {
        let Compiled { addresses, places, locals, learner, automata } = compile(world, bounds)?;
        let vips = Vips::new(world.services.iter().map(|service| &**service));
        let settings = world.settings;
        let snapshot = Self { generation, settings, addresses, places, locals, vips, learner, _automata: automata };
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
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Judges a flow at L3 and L4 and selects the L7 rules that bind it. Does not allocate.
    ///
    /// The peer is taken as it is: for a service ask with a backend of [`Snapshot::backends`]. An endpoint may always
    /// reach itself (cilium bpf/bpf_lxc.c: hairpin flows skip policy).
    #[must_use]
    pub fn flow(&self, key: &FlowKey) -> Flow {
        let flow = |access, reason| Flow { access, layer: Layer::L3, reason, rule: None, redirect: None };
        let Some((endpoint, subject)) = self.locals.get(&key.endpoint) else {
            return flow(Access::Deny, Reason::UnknownEndpoint);
        };
        let Some(side) = subject.side(key.direction).filter(|_| !endpoint.addresses.contains(&key.peer)) else {
            return flow(Access::Allow, Reason::NotEnforced);
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
        let lessons = self.learner.as_ref().map_or(0, Learner::lessons);
        Sources { lessons, addresses: &self.addresses, places: &self.places, vips: &self.vips }
    }
}
