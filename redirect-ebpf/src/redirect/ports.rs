//! Keeps the ports whose datagrams are steered in step with the table.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::AsFd,
    sync::Arc,
};

use portcullis_redirect_common::slot;

use super::Redirect;
use crate::{
    attachment::Listeners,
    connections::{Keep, NamespaceConnections},
    datagrams,
    error::RedirectError,
    namespace, routes,
    site::AttachSite,
    table::{KernelPortClass, LearnedAddressChange},
};

impl Redirect {
    /// Replaces the kernel's table of an endpoint, by difference, and never more open in between. Of datagrams only
    /// what the endpoint sends is steered, and a port as a whole: where a peer is steered, those that would pass are too.
    ///
    /// # Errors
    /// A map is full, or routing rules cannot be made; what was taken so far stays. Ports that the table speaks of, and none
    /// before it did, are refused until it is set.
    pub fn set_table(&mut self, id: u32, classes: &[KernelPortClass]) -> Result<(), RedirectError> {
        // No program uses port 0, so the self-check has it.
        let spoken = classes.iter().filter(|class| *class.ports.end() > 0);
        let classes: Vec<KernelPortClass> = spoken.map(datagrams::feasible).collect();
        let Err(cause) = self.replace_table(id, &classes) else { return self.judge_packets(id) };
        self.changed.insert(id);
        match self.maps.shut(id, &classes) {
            Ok(()) => Err(cause),
            Err(source) => Err(RedirectError::Open { cause: Box::new(cause), source: Box::new(source) }),
        }
    }

    fn replace_table(&mut self, id: u32, classes: &[KernelPortClass]) -> Result<(), RedirectError> {
        let ports = datagrams::ports(classes);
        let before = self.udp_ports.get(&id).cloned().unwrap_or_default();
        let lost_before = self.lost_ports.get(&id).cloned().unwrap_or_default();
        let lost = datagrams::lost(&[before.clone(), lost_before.clone()].concat(), classes);
        let changed = before != ports || lost_before != lost;
        if changed {
            // A datagram that the table wants steered needs its rule, so rules come first and go last.
            self.udp_ports.insert(id, [before, ports.clone()].concat());
            self.make_port_rules(id)?;
        }
        self.mark_creations(id)?;
        if self.maps.set_table(id, classes)? {
            self.changed.insert(id);
        }
        self.maps.set_stubs(id, &datagrams::stubs(id, classes))?;
        if changed {
            // What is connected meets no hook: it would go on by a route of its own once its rule is gone.
            self.cut_judged_datagrams(id);
            self.udp_ports.insert(id, ports);
            self.lost_ports.insert(id, lost);
            self.make_port_rules(id)?;
        }
        Ok(())
    }

    /// Changes what is done with single addresses in classes of an endpoint that learn, each at one moment, and remembers
    /// it: a table that has the same is no change afterwards. Returns whether that was all it takes; if not, the whole
    /// table has to be set, and what was changed so far is part of it.
    ///
    /// # Errors
    /// A map is full. Addresses before the failed one have changed, that and the rest have not.
    pub fn learn(&mut self, id: u32, resolutions: &[LearnedAddressChange]) -> Result<bool, RedirectError> {
        self.maps.learn(id, resolutions)
    }

    /// Refuses from now on the datagrams that policy wants steered, so that no new one comes to a listener. Those that have
    /// come stay in its queue. The next [`Redirect::attach`] undoes it.
    ///
    /// # Errors
    /// Some listener still gets datagrams.
    pub fn refuse_datagrams(&mut self) -> Result<(), RedirectError> {
        for (id, attached) in &self.attached {
            // A connected socket meets no hook. Without a listener it would get no error, because IPv4 sends no ICMP for an
            // address that is not local. Without a route it gets one at once.
            let failed =
                |source| RedirectError::Namespace { endpoint: *id, step: "remove rules for UDP ports", source };
            namespace::inside(attached.netns.as_fd(), routes::lose_ports).map_err(failed)?;
        }
        let udp = Listeners::default().each().into_iter().filter(|(_, udp, _)| *udp);
        let mut slots = udp.flat_map(|(v6, udp, _)| self.attached.keys().map(move |id| slot(*id, v6, udp)));
        slots.try_for_each(|slot| self.maps.set_listeners(slot, self.workers, &[]))
    }

    /// Has UDP sockets marked from birth. In a pod every one is, so that those older than a policy are steered as well; in the
    /// host's namespace, where rules of others may look at marks, only while datagrams are steered.
    pub(super) fn mark_creations(&mut self, id: u32) -> Result<(), RedirectError> {
        let Some(attached) = self.attached.get(&id) else { return Ok(()) };
        let steered = self.udp_ports.get(&id).is_some_and(|ports| !ports.is_empty());
        self.maps.set_creation_mark(id, attached.site == AttachSite::Pod || steered)
    }

    /// Makes the rules for steered ports in the namespace of an endpoint, and removes those that are not wanted any more.
    fn make_port_rules(&self, id: u32) -> Result<(), RedirectError> {
        let Some(attached) = self.attached.get(&id) else { return Ok(()) };
        let (ports, lost) = self.ports_inside(attached.inode);
        let failed = |source| RedirectError::Namespace { endpoint: id, step: "make rules for UDP ports", source };
        namespace::inside(attached.netns.as_fd(), || routes::set_ports(&ports, &lost)).map_err(failed)
    }

    /// The UDP ports of a namespace that are steered, and those that were once and are refused now. An endpoint that changes
    /// its number is there twice for a moment.
    pub(super) fn ports_inside(&self, inode: u64) -> (datagrams::Ranges, datagrams::Ranges) {
        let ids = || self.attached.iter().filter(|(_, attached)| attached.inode == inode).map(|(id, _)| id);
        let all = |ports: &BTreeMap<u32, datagrams::Ranges>| {
            datagrams::join(ids().filter_map(|id| ports.get(id)).flatten().copied().collect())
        };
        (all(&self.udp_ports), all(&self.lost_ports))
    }

    /// Ends connected sockets whose datagrams were judged and are refused now, as long as their rule still stands. All others
    /// are looked through when the whole of the policy is in force.
    fn cut_judged_datagrams(&self, id: u32) {
        let cut = self.connections(id).and_then(|connections| {
            connections.map_or(Ok(()), |connections| connections.cut_datagrams(Keep::ALL).map(drop))
        });
        if let Err(error) = cut {
            tracing::warn!(endpoint = id, %error, "datagrams of sockets that were judged may go on unjudged");
        }
    }

    /// What is open in the namespace of an endpoint; `None` for one that is not attached.
    ///
    /// # Errors
    /// There is no file descriptor left.
    pub fn connections(&self, id: u32) -> Result<Option<NamespaceConnections>, RedirectError> {
        let Some(attached) = self.attached.get(&id) else { return Ok(None) };
        let failed = |source| RedirectError::Namespace { endpoint: id, step: "keep", source };
        Ok(Some(NamespaceConnections {
            endpoint: id,
            netns: attached.netns.try_clone().map_err(failed)?,
            site: attached.site,
            cgroup: attached.cgroup.clone(),
            owned: attached.owned.clone(),
            addresses: attached.addresses.clone(),
            judge: Arc::clone(&self.judge),
        }))
    }

    /// The endpoints whose open connections may fare otherwise than when this was asked last: their tables changed, or they were
    /// attached.
    pub fn take_changed(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.changed)
    }

    /// What is open in the namespaces of endpoints that are allowed addresses by name.
    ///
    /// # Errors
    /// There is no file descriptor left.
    pub fn learning(&self) -> Result<Vec<NamespaceConnections>, RedirectError> {
        self.maps.learning().into_iter().filter_map(|id| self.connections(id).transpose()).collect()
    }
}
