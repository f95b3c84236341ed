//! The compiled form: what the data path asks.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

pub use crate::ruleset::RuleSet;
use crate::{
    settings::Settings,
    steering::SteeringTable,
    verdict::{Layer, Reason, RuleInfo},
    world::{Direction, Endpoint, EndpointId, Transport, World},
};

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
}

/// Everything in force, compiled. Immutable; swapped as a whole.
#[derive(Debug, Default)]
pub struct Snapshot {}

impl Snapshot {
    /// Compiles a world. Never fails: policies are validated before. A regular expression over its budget makes its
    /// own rule match nothing.
    #[must_use]
    pub fn compile(_world: &World, _generation: u64) -> Self {
        unreachable!("contract only")
    }

    /// Number of this snapshot; grows.
    #[must_use]
    pub fn generation(&self) -> u64 {
        0
    }

    /// The settings it was compiled with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        unreachable!("contract only")
    }

    /// Judges a flow at L3 and L4 and selects the L7 rules that bind it.
    #[must_use]
    pub fn flow(&self, _key: &FlowKey) -> Flow {
        unreachable!("contract only")
    }

    /// The backends of a service's VIP and port; `None` if it is no VIP of a known service.
    #[must_use]
    pub fn backends(&self, _transport: Transport, _address: IpAddr, _port: u16) -> Option<&[SocketAddr]> {
        None
    }

    /// The endpoint that has an address.
    #[must_use]
    pub fn endpoint_at(&self, _address: IpAddr) -> Option<&Arc<Endpoint>> {
        None
    }

    /// A local endpoint by its number.
    #[must_use]
    pub fn endpoint(&self, _id: EndpointId) -> Option<&Arc<Endpoint>> {
        None
    }

    /// What the kernel is told of a local endpoint.
    #[must_use]
    pub fn steering(&self, _id: EndpointId) -> SteeringTable {
        SteeringTable::default()
    }
}
