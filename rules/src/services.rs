//! Services: the backends of a VIP.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use crate::world::{Service, Transport};

/// The VIPs of all services with their backends. Where two services claim one VIP and port, the first has it.
#[derive(Debug, Default)]
pub(crate) struct Vips {
    backends: HashMap<VipKey, Vec<SocketAddr>, foldhash::fast::RandomState>,
    /// By address: where it is a VIP.
    ports: HashMap<IpAddr, Vec<(Transport, u16)>, foldhash::fast::RandomState>,
    /// By backend.
    fronts: HashMap<IpAddr, Vec<VipKey>, foldhash::fast::RandomState>,
}

/// A VIP at a port.
type VipKey = (Transport, IpAddr, u16);

impl Vips {
    pub(crate) fn new<'a>(services: impl IntoIterator<Item = &'a Service>) -> Self {
        let mut vips = Self::default();
        for service in services {
            for port in &service.ports {
                for vip in &service.vips {
                    let same_family = || service.backends.iter().filter(|address| address.is_ipv4() == vip.is_ipv4());
                    vips.backends.entry((port.transport, *vip, port.port)).or_insert_with(|| {
                        same_family().map(|address| SocketAddr::new(*address, port.target_port)).collect()
                    });
                }
            }
        }
        for (key, backends) in &vips.backends {
            let (transport, vip, port) = *key;
            vips.ports.entry(vip).or_default().push((transport, port));
            for backend in backends {
                vips.fronts.entry(backend.ip()).or_default().push(*key);
            }
        }
        vips
    }

    pub(crate) fn get(&self, transport: Transport, address: IpAddr, port: u16) -> Option<&[SocketAddr]> {
        self.backends.get(&(transport, address, port)).map(Vec::as_slice)
    }

    /// The transports and ports at which an address is a VIP.
    pub(crate) fn at(&self, address: IpAddr) -> impl Iterator<Item = (Transport, u16)> {
        self.ports.get(&address).into_iter().flatten().copied()
    }

    /// The VIPs that an address is a backend of: transport, port, VIP, all backends.
    pub(crate) fn behind(&self, address: IpAddr) -> impl Iterator<Item = (Transport, u16, IpAddr, &[SocketAddr])> {
        let keys = self.fronts.get(&address).into_iter().flatten();
        keys.filter_map(|(transport, vip, port)| Some((*transport, *port, *vip, self.get(*transport, *vip, *port)?)))
    }

    /// The VIPs of a transport: port, VIP, backends.
    pub(crate) fn of(&self, transport: Transport) -> impl Iterator<Item = (u16, IpAddr, &[SocketAddr])> {
        let all = self.backends.iter().filter(move |((of, ..), _)| *of == transport);
        all.map(|((_, address, port), backends)| (*port, *address, backends.as_slice()))
    }
}
