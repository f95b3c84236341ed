//! The kernel's table of an endpoint: which flows pass, which are steered to a listener, which are refused.

use std::{net::IpAddr, ops::RangeInclusive};

use ipnet::IpNet;

pub use crate::table::requests;
use crate::world::{Direction, EndpointId, Transport};

/// What the kernel does with a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SteeringAction {
    /// Untouched.
    Pass,
    /// Untouched, and reported: policy that is only tried out denies it.
    PassAndReport,
    /// To our listener.
    Steer,
    /// Refused at once.
    Refuse,
}

/// The decisions for a range of ports, by the peer's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortClass {
    /// Direction.
    pub direction: Direction,
    /// Transport.
    pub transport: Transport,
    /// Ports. Classes of one direction and transport never overlap.
    pub ports: RangeInclusive<u16>,
    /// Longest prefix wins. Always contains 0.0.0.0/0 and ::/0.
    pub prefixes: Vec<(IpNet, SteeringAction)>,
    /// Single addresses of it may come, change and go by an [`SteeredAddressChange`].
    pub learns: bool,
}

/// One address whose entry in the classes of an endpoint changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SteeredAddressChange {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Direction.
    pub direction: Direction,
    /// Transport.
    pub transport: Transport,
    /// The ports: those of one or several classes that [learn](PortClass::learns), none of which has other ports, too.
    pub ports: RangeInclusive<u16>,
    /// The address; never IPv4-mapped.
    pub address: IpAddr,
    /// What is done with it from now on; `None` where it has no entry of its own any more, so that the prefixes decide.
    pub action: Option<SteeringAction>,
}

/// The kernel's table of one endpoint. Flows that no class covers pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SteeringTable {
    /// The classes, sorted by direction, transport and port.
    pub classes: Vec<PortClass>,
    /// The endpoint's own addresses: flows between them are never judged.
    pub addresses: Vec<IpAddr>,
}

impl SteeringTable {
    /// Whether some datagrams that the endpoint sends do not simply pass.
    #[must_use]
    pub fn judges_datagrams(&self) -> bool {
        let sent = self
            .classes
            .iter()
            .filter(|class| (class.direction, class.transport) == (Direction::Egress, Transport::Udp));
        sent.flat_map(|class| &class.prefixes).any(|(_, action)| *action != SteeringAction::Pass)
    }

    /// Whether some class is about ICMP.
    #[must_use]
    pub fn speaks_of_icmp(&self) -> bool {
        self.classes.iter().any(|class| matches!(class.transport, Transport::Icmp | Transport::IcmpV6))
    }
}
