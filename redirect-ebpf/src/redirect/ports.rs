//! The ports whose datagrams are steered, in step with the table.

use std::os::fd::AsFd;

use portcullis_redirect_common::slot;

use super::Redirect;
use crate::{
    attachment::Listeners,
    datagrams,
    error::Error,
    namespace,
    older::Older,
    routes,
    table::{AddressChange, Class},
};

impl Redirect {
    /// Replaces what the kernel is told of an endpoint, by difference, and never more open in between. Of datagrams only
    /// what the endpoint sends is steered, and a port as a whole: where a peer is steered, those that would pass are too.
    ///
    /// # Errors
    /// A map is full, or routing rules cannot be made; what was taken so far stays. Ports that the table speaks of, and none
    /// before it did, are refused until it is set.
    pub fn set_table(&mut self, id: u32, classes: &[Class]) -> Result<(), Error> {
        // Port 0 is nobody's; the self-check has it.
        let spoken = classes.iter().filter(|class| *class.ports.end() > 0);
        let classes: Vec<Class> = spoken.map(datagrams::feasible).collect();
        let Err(cause) = self.replace_table(id, &classes) else { return Ok(()) };
        match self.maps.shut(id, &classes) {
            Ok(()) => Err(cause),
            Err(source) => Err(Error::Open { cause: Box::new(cause), source: Box::new(source) }),
        }
    }

    fn replace_table(&mut self, id: u32, classes: &[Class]) -> Result<(), Error> {
        let ports = datagrams::ports(classes);
        let before = self.udp_ports.get(&id).cloned().unwrap_or_default();
        let changed = before != ports;
        if changed {
            // A datagram that the table wants steered needs its rule, so rules come first and go last.
            self.udp_ports.insert(id, [before, ports.clone()].concat());
            self.make_port_rules(id)?;
        }
        self.mark_births(id)?;
        self.maps.set_table(id, classes)?;
        self.maps.set_stubs(id, &datagrams::stubs(id, classes))?;
        self.udp_ports.insert(id, ports);
        if changed {
            self.make_port_rules(id)?;
            self.cut_older(id);
        }
        Ok(())
    }

    /// Changes what is done with single addresses in classes of an endpoint that learn, each at one moment, and remembers
    /// it: a table that has the same is no change afterwards. Tells whether that was all it takes; if not, the whole
    /// table has to be set, and what was changed so far is part of it.
    ///
    /// # Errors
    /// A map is full. Addresses before the failed one have changed, that and the rest have not.
    pub fn learn(&mut self, id: u32, lessons: &[AddressChange]) -> Result<bool, Error> {
        self.maps.learn(id, lessons)
    }

    /// Refuses from now on the datagrams that policy wants steered, so that no new one comes to a listener. Those that have
    /// come stay in its queue. The next [`Redirect::attach`] undoes it.
    ///
    /// # Errors
    /// Some listener still gets datagrams.
    pub fn refuse_datagrams(&mut self) -> Result<(), Error> {
        for (id, attached) in &self.attached {
            // A socket that is connected meets no hook. That nobody listens it would not be told: of an address that is not
            // local, IPv4 makes no ICMP. That there is no route it is told at once.
            let failed = |source| Error::Namespace { endpoint: *id, step: "remove rules for UDP ports", source };
            namespace::inside(attached.netns.as_fd(), routes::lose_ports).map_err(failed)?;
        }
        let udp = Listeners::default().each().into_iter().filter(|(_, udp, _)| *udp);
        let mut slots = udp.flat_map(|(v6, udp, _)| self.attached.keys().map(move |id| slot(*id, v6, udp)));
        slots.try_for_each(|slot| self.maps.clear_listener(slot))
    }

    /// Has UDP sockets marked from birth. In a pod every one is, so that those older than a policy are steered as well; in the
    /// host's namespace, where rules of others may look at marks, only while datagrams are steered.
    pub(super) fn mark_births(&mut self, id: u32) -> Result<(), Error> {
        let Some(attached) = self.attached.get(&id) else { return Ok(()) };
        let steered = self.udp_ports.get(&id).is_some_and(|ports| !ports.is_empty());
        self.maps.set_birth_mark(id, !attached.host || steered)
    }

    /// Makes the rules for steered ports in the namespace of an endpoint, and removes those that are not wanted any more.
    fn make_port_rules(&self, id: u32) -> Result<(), Error> {
        let Some(attached) = self.attached.get(&id) else { return Ok(()) };
        let ports = self.ports_inside(attached.inode);
        let failed = |source| Error::Namespace { endpoint: id, step: "make rules for UDP ports", source };
        namespace::inside(attached.netns.as_fd(), || routes::set_ports(&ports)).map_err(failed)
    }

    /// The steered UDP ports of a namespace: an endpoint that changes its number is there twice for a moment.
    pub(super) fn ports_inside(&self, inode: u64) -> Vec<(u16, u16)> {
        let there = self.attached.iter().filter(|(_, attached)| attached.inode == inode);
        datagrams::join(there.filter_map(|(id, _)| self.udp_ports.get(id)).flatten().copied().collect())
    }

    /// Cuts sockets that were connected to a steered port before the programs were there: no hook sees what they send.
    /// Their programs are told by an error and connect again. A kernel that cannot do it goes on unharmed, with a warning.
    pub(super) fn cut_older(&mut self, id: u32) {
        self.unlisted.remove(&id);
        let Some(attached) = self.attached.get(&id) else { return };
        let ports = self.udp_ports.get(&id).cloned().unwrap_or_default();
        if ports.is_empty() {
            return;
        }
        let older = Older { ports: &ports, own: &attached.addresses, cgroup: attached.cgroup.as_deref() };
        match namespace::inside(attached.netns.as_fd(), || older.cut()) {
            Ok(0) => {}
            Ok(cut) => tracing::info!(endpoint = id, cut, "connected UDP sockets older than their policy were cut"),
            Err(error) => {
                let what = format!(
                    "connected UDP sockets that are older than this endpoint's steering are not judged until they \
                     close, because they could not be listed and cut: {error}; restart its programs, or use a kernel \
                     with CONFIG_INET_UDP_DIAG and CONFIG_INET_DIAG_DESTROY"
                );
                self.unlisted.insert(id, what);
            }
        }
    }
}
