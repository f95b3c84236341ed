//! The laboratory: one node with its pods and services.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    error::{Error, Result, trying},
    namespace::Namespace,
    pod::Pod,
    process::run,
    services,
    site::Site,
    sweep,
};

/// A node with its pods. Everything goes when it is dropped; drop it last.
#[derive(Debug)]
pub struct Lab {
    name: String,
    node: Site,
    pods: u8,
    services: u8,
    _namespace: Namespace,
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Lab {
    /// Makes a node without pods, after sweeping up behind laboratories whose process is gone.
    ///
    /// # Errors
    /// Root, cgroup2 or `ip` is missing.
    pub fn new() -> Result<Self> {
        sweep::leftovers();
        let name = sweep::name(NUMBER.fetch_add(1, Ordering::Relaxed));
        let made = Self::make(&name);
        if made.is_err() {
            sweep::remove(&name);
        }
        made
    }

    fn make(name: &str) -> Result<Self> {
        sweep::mount_bpffs()?;
        let root = sweep::cgroup_root().ok_or_else(|| Error::Unexpected("no cgroup2 is mounted".into()))?;
        let (cgroup, directory) = (root.join(name), sweep::files(name));
        make_directory(&directory)?;
        let hosts = directory.join("hosts");
        trying("write the hosts file", fs::write(&hosts, "127.0.0.1 localhost\n::1 localhost\n"))?;
        let resolvers = directory.join("resolv.conf");
        trying("write the list of resolvers", fs::write(&resolvers, "nameserver 127.0.0.1\n"))?;
        let namespace = Namespace::create(&format!("{name}-node"))?;
        let node = Site {
            name: "node".to_owned(),
            netns: namespace.path(),
            cgroup: cgroup.join("node"),
            hosts,
            resolvers,
            directory: directory.join("node"),
        };
        make_directory(&node.cgroup)?;
        make_directory(&node.directory)?;
        let forwarding = node.inside(|| {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
            fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
        });
        trying("switch on forwarding", forwarding)?;
        services::prepare(&node)?;
        Ok(Self { name: name.to_owned(), node, pods: 0, services: 0, _namespace: namespace })
    }

    /// Its name; everything of it begins so.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node: where the program under test runs, and host processes.
    #[must_use]
    pub fn node(&self) -> &Site {
        &self.node
    }

    /// The directory for pins.
    #[must_use]
    pub fn bpffs(&self) -> PathBuf {
        sweep::bpffs(&self.name)
    }

    /// The cgroup above all programs of this laboratory.
    #[must_use]
    pub fn cgroup(&self) -> &Path {
        self.node.cgroup.parent().unwrap_or(&self.node.cgroup)
    }

    /// Makes a cgroup below the laboratory's.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make_cgroup(&self, name: &str) -> Result<PathBuf> {
        let path = self.cgroup().join(name);
        make_directory(&path)?;
        Ok(path)
    }

    /// Makes a pod: a namespace with an address of each family, routed by the node. It lives as long as the value.
    ///
    /// # Errors
    /// There is one of this name, or `ip` fails.
    pub fn pod(&mut self, name: &str) -> Result<Pod> {
        self.pods += 1;
        let number = self.pods;
        let namespace = Namespace::create(&format!("{}-{name}", self.name))?;
        let site = Site {
            name: name.to_owned(),
            netns: namespace.path(),
            cgroup: self.make_cgroup(&format!("pod-{number}-{name}"))?,
            hosts: self.node.hosts.clone(),
            resolvers: self.node.resolvers.clone(),
            directory: sweep::files(&self.name).join(format!("pod-{number}-{name}")),
        };
        make_directory(&site.directory)?;
        let v4 = Ipv4Addr::new(10, 77, number, 2);
        let v6 = Ipv6Addr::new(0xfd77, number.into(), 0, 0, 0, 0, 0, 2);
        let link = format!("v{number}");
        let node = self.node.netns.file_name().unwrap_or_default().to_string_lossy().into_owned();
        run(
            &[
                "ip",
                "link",
                "add",
                "eth0",
                "netns",
                namespace.name(),
                "type",
                "veth",
                "peer",
                "name",
                &link,
                "netns",
                &node,
            ],
            "",
        )?;
        self.node.ip(&format!(
            "address add 10.77.{number}.1/24 dev {link}\naddress add fd77:{number:x}::1/64 dev {link} nodad\nlink set {link} up\n"
        ))?;
        site.ip(&format!(
            "address add {v4}/24 dev eth0\naddress add {v6}/64 dev eth0 nodad\nlink set eth0 up\n\
             route add default via 10.77.{number}.1\nroute add default via fd77:{number:x}::1\n"
        ))?;
        Ok(Pod::new(v4, v6, site, namespace, self.node.clone(), link))
    }

    /// Has every program of the laboratory ask these servers for names, those that run included.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn resolve_by(&self, servers: &[IpAddr]) -> Result<()> {
        let lines: Vec<String> = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
        // In place: it is mounted.
        trying("write the list of resolvers", fs::write(&self.node.resolvers, lines.concat()))
    }

    /// Gives a pod further addresses, as hosts of the world have; the node routes them there.
    ///
    /// # Errors
    /// `ip` fails.
    pub fn more_addresses(&self, pod: &Pod, addresses: &[IpAddr]) -> Result<()> {
        for address in addresses {
            let (length, gateway): (u8, IpAddr) =
                if address.is_ipv4() { (32, pod.v4.into()) } else { (128, pod.v6.into()) };
            pod.ip(&format!("address add {address}/{length} dev eth0\n"))?;
            self.node.ip(&format!("route add {address}/{length} via {gateway}\n"))?;
        }
        Ok(())
    }

    /// Makes a service: a name with a virtual address of each family, which the node translates to the backends.
    ///
    /// # Errors
    /// `nft` fails.
    pub fn service(&mut self, name: &str, port: u16, backends: &[&Pod]) -> Result<services::Service> {
        self.services += 1;
        services::make(&self.node, self.services, name, port, backends)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        sweep::remove(&self.name);
    }
}

fn make_directory(path: &Path) -> Result<()> {
    trying(format!("make {}", path.display()), fs::create_dir_all(path))
}
