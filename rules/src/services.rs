//! Services: which backends stand behind a VIP.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use crate::world::{Service, Transport};

/// The VIPs of all services with their backends. Where two services claim one VIP and port, the first has it.
#[derive(Debug, Default)]
pub(crate) struct Vips {
    backends: HashMap<(Transport, IpAddr, u16), Vec<SocketAddr>, foldhash::fast::RandomState>,
}

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
        vips
    }

    pub(crate) fn get(&self, transport: Transport, address: IpAddr, port: u16) -> Option<&[SocketAddr]> {
        self.backends.get(&(transport, address, port)).map(Vec::as_slice)
    }

    /// The VIPs of a transport: port, VIP, backends.
    pub(crate) fn of(&self, transport: Transport) -> impl Iterator<Item = (u16, IpAddr, &[SocketAddr])> {
        let all = self.backends.iter().filter(move |((of, ..), _)| *of == transport);
        all.map(|((_, address, port), backends)| (*port, *address, backends.as_slice()))
    }
}
