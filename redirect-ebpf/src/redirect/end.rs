//! Clean-up: of an endpoint, of what an earlier process left, of everything.

use std::{
    collections::BTreeSet,
    fs,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

use portcullis_redirect_common::slot;

use super::{Attached, Redirect};
use crate::{
    attachment::{Listeners, RedirectOptions},
    claim::Claim,
    error::RedirectError,
    links::{ABOVE_ALL, Link, remove_link, remove_links, remove_pin},
    maps, namespace, packets,
    pinned::Pin,
    places, routes, sysctl,
};

impl Redirect {
    /// Steers an endpoint no more: everything of it is gone, sysctls have their old values. Not steered: fine.
    ///
    /// # Errors
    /// Something of it is left. A namespace that is gone is no error.
    pub fn detach(&mut self, id: u32) -> Result<(), RedirectError> {
        self.let_go(id)?;
        self.set_table(id, &[])?;
        self.maps.clear_probe(id)?;
        self.udp_ports.remove(&id);
        self.lost_ports.remove(&id);
        self.changed.remove(&id);
        self.maps.set_creation_mark(id, false)
    }

    /// Steers an endpoint no more, but keeps its table.
    pub(super) fn let_go(&mut self, id: u32) -> Result<(), RedirectError> {
        self.packets.forget(id)?;
        if let Some(watch) = &self.watch {
            watch.remove(id);
        }
        let cookies = self.maps.leave_pod(id)?;
        let inode = self.attached.get(&id).map(|attached| attached.inode);
        match self.attached.iter().find(|(other, at)| **other != id && Some(at.inode) == inode) {
            // The same namespace under another number: it stays steered.
            Some((other, _)) => {
                let other = *other;
                cookies.iter().try_for_each(|cookie| self.maps.enter_pod(*cookie, other))?;
            }
            None => {
                if let Some(attached) = self.attached.get(&id) {
                    let failed = |source| RedirectError::Namespace { endpoint: id, step: "keep", source };
                    let netns = attached.netns.try_clone().map_err(failed)?;
                    self.clean_namespace(id, netns.as_fd())?;
                }
                for cookie in cookies {
                    self.maps.forget_sysctls(cookie);
                }
            }
        }
        self.unlink(id)?;
        for (v6, udp, _) in Listeners::default().each() {
            self.maps.set_listeners(slot(id, v6, udp), self.workers, &[])?;
        }
        self.maps.set_owned(id, &[])?;
        self.maps.set_service(id, None, 0)?;
        self.maps.set_broadcasts(id, &[])?;
        self.maps.set_hosts(id, None)?;
        self.judge.keep(id, false)?;
        self.judge.forget_older(id)?;
        self.maps.set_shared(id, false)?;
        self.maps.set_locals(id, &[])
    }

    /// Removes the links of an endpoint, also those that an attachment made which failed half-way.
    fn unlink(&mut self, id: u32) -> Result<(), RedirectError> {
        let failed = |source| RedirectError::Bpffs { path: self.directory.clone(), source };
        let mut links = self.attached.remove(&id).into_iter().flat_map(|attached| attached.links);
        links.try_for_each(Link::remove).map_err(failed)?;
        let mut pins = Pin::all(&self.directory)?.into_iter().filter(|pin| pin.id == id);
        pins.try_for_each(|pin| remove_link(&pin.path)).map_err(failed)
    }

    fn clean_namespace(&mut self, id: u32, netns: BorrowedFd<'_>) -> Result<(), RedirectError> {
        let failed = |step| move |source| RedirectError::Namespace { endpoint: id, step, source };
        let cookie = namespace::inside(netns, namespace::cookie).map_err(failed("look at"))?;
        namespace::inside(netns, routes::tear_down).map_err(failed("remove rules and routes of"))?;
        if let Some(old) = self.maps.forget_sysctls(cookie) {
            namespace::inside(netns, || sysctl::restore(old)).map_err(failed("restore sysctls"))?;
        }
        Ok(())
    }

    /// Removes what an earlier process left for endpoints other than these, and what one of another version left.
    ///
    /// # Errors
    /// Something of it is left.
    pub fn retain(&mut self, ids: &[u32]) -> Result<(), RedirectError> {
        self.packets.retain(ids)?;
        for pin in Pin::all(&self.directory)? {
            // One that could not be attached yet keeps what it has: its steered flows are refused, not passed.
            let current = self.attached.get(&pin.id).is_none_or(|attached| attached.inode == pin.inode);
            if current && ids.contains(&pin.id) {
                continue;
            }
            if let Some(netns) = namespace::find(pin.inode) {
                let shared = self.attached.values().any(|attached| attached.inode == pin.inode);
                if !shared {
                    self.clean_namespace(pin.id, netns.as_fd())?;
                }
            }
            remove_link(&pin.path).map_err(|source| RedirectError::Bpffs { path: pin.path, source })?;
        }
        for id in self.maps.endpoints()? {
            if !ids.contains(&id) {
                self.detach(id)?;
            }
        }
        let cookie = |attached: &Attached| namespace::inside(attached.netns.as_fd(), namespace::cookie).ok();
        let cookies: BTreeSet<u64> = self.attached.values().filter_map(cookie).collect();
        self.maps.keep_pods(&self.attached.keys().copied().collect(), &cookies)?;
        // Of another layout of the maps, so of another version: it cannot run as long as this one has the claim, and its links
        // would refuse for ever.
        for other in places::other_layouts(&self.options.bpffs)? {
            packets::clear(&other, |_| true)?;
            remove_links(&other, |_| true)?;
            fs::remove_dir(&other).map_err(|source| RedirectError::Bpffs { path: other, source })?;
        }
        Ok(())
    }

    /// Takes away what an earlier process left. Returns whether there was anything.
    ///
    /// # Errors
    /// A process has the directory, or something is left.
    pub fn release(options: RedirectOptions) -> Result<bool, RedirectError> {
        if !options.bpffs.exists() {
            return Ok(false);
        }
        Self::open(options)?.close(false).map(|_| true)
    }

    /// Ends. With `keep` links that are pinned stay, so that steered flows are refused until the next process comes; else
    /// everything that is ours is gone. Returns whether links stay.
    ///
    /// # Errors
    /// Something is left; the rest is removed nevertheless.
    pub fn close(mut self, keep: bool) -> Result<bool, RedirectError> {
        self.fresh = false;
        if keep && self.options.pin {
            return Ok(true);
        }
        let ids: Vec<u32> = self.attached.keys().copied().collect();
        let mut results: Vec<Result<(), RedirectError>> = ids.into_iter().map(|id| self.detach(id)).collect();
        results.push(self.retain(&[]));
        for link in std::mem::take(&mut self.node).into_iter().chain(self.echo.take()) {
            results.push(link.remove().map_err(|source| RedirectError::Bpffs { path: self.directory.clone(), source }));
        }
        results.push(unpin_all(&self.directory, &self.claim));
        results.into_iter().find(Result::is_err).unwrap_or(Ok(())).map(|()| false)
    }
}

/// Removes the pins of everything, and the directory.
pub(super) fn unpin_all(directory: &Path, claim: &Claim) -> Result<(), RedirectError> {
    let failed = |source| RedirectError::Bpffs { path: directory.to_owned(), source };
    remove_links(directory, |pin| pin.starts_with(ABOVE_ALL))?;
    for name in maps::NAMES {
        remove_pin(&directory.join(name)).map_err(failed)?;
    }
    fs::remove_dir(directory).map_err(failed)?;
    claim.unsign().map_err(failed)?;
    // The directory above may hold what another version pinned; then it stays.
    if let Some(above) = directory.parent() {
        let _ = fs::remove_dir(above);
    }
    Ok(())
}
