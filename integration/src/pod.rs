//! Pods.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::Deref,
};

use crate::{namespace::Namespace, process::run, site::Site};

/// A pod: a [`Site`] with addresses. Its namespace and its link go when it is dropped.
#[derive(Debug)]
pub struct Pod {
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
    site: Site,
    _namespace: Namespace,
    node: Site,
    link: String,
}

impl Pod {
    pub(crate) fn new(v4: Ipv4Addr, v6: Ipv6Addr, site: Site, namespace: Namespace, node: Site, link: String) -> Self {
        Self { v4, v6, site, _namespace: namespace, node, link }
    }

    /// Both addresses.
    #[must_use]
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// Its address in a family, with a port.
    #[must_use]
    pub fn address(&self, v6: bool, port: u16) -> SocketAddr {
        let ip: IpAddr = if v6 { self.v6.into() } else { self.v4.into() };
        SocketAddr::new(ip, port)
    }
}

impl Deref for Pod {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // At once, as a CNI does: the namespace itself may live on in somebody's descriptor.
        let node = self.node.netns.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let _ = run(&["ip", "-n", &node, "link", "delete", &self.link], "");
    }
}
