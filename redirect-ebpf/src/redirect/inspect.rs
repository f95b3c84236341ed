//! Verifies that everything is still attached: others may remove pins, detach links, or swap their programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::fd::AsFd,
};

use super::{Attached, Redirect, attach_above_all};
use crate::{claim::Claim, error::RedirectError, links::Link, packets::PacketInspection, places, sys};

/// What was found other than it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedirectInspection {
    /// What was put back at once.
    pub repaired: Vec<String>,
    /// What is wrong for every endpoint and could not be put back.
    pub broken: Vec<String>,
    /// Endpoints whose programs are not what was attached. Attaching them again mends it.
    pub detached: BTreeMap<u32, String>,
    /// Endpoints for which something is wrong that attaching again does not repair.
    pub overruled: BTreeMap<u32, String>,
}

impl Redirect {
    /// Looks at every link and every pin, and puts back what can be. Links are held, so a pin that goes takes nothing away: it
    /// is for the process after this one. A few microseconds for an endpoint.
    pub fn inspect(&mut self) -> RedirectInspection {
        let mut found = RedirectInspection::default();
        if let Err(error) = self.restore_pins(&mut found) {
            found.broken.push(format!("pins cannot be put back, so a crash would let everything pass: {error}"));
        }
        if let Err(error) = self.restore_above_all(&mut found) {
            found.broken.push(format!("the programs above all pods are not attached: {error}"));
        }
        let ours: BTreeSet<u32> = self.attached.values().flat_map(|at| at.links.iter().map(Link::program)).collect();
        for (id, attached) in &mut self.attached {
            look_at(*id, attached, &ours, &mut found);
        }
        for (id, finding) in self.packets.inspect() {
            let (places, what) = match finding {
                PacketInspection::Mendable(what) => (&mut found.detached, what),
                PacketInspection::Overruled(what) => (&mut found.overruled, what),
            };
            places.entry(id).or_insert(what);
        }
        found
    }

    fn restore_pins(&mut self, found: &mut RedirectInspection) -> Result<(), RedirectError> {
        if !self.claim.is_in_place() {
            places::make_directory(&self.options.bpffs, self.options.pin)?;
            self.claim = Claim::take(&self.options.bpffs, &self.options.owner)?;
        }
        let failed = |source| RedirectError::Bpffs { path: self.directory.clone(), source };
        fs::create_dir_all(&self.directory).map_err(failed)?;
        let mut restored = self.loader.restore_maps()?;
        let links = self.attached.values_mut().flat_map(|attached| &mut attached.links);
        for link in self.node.iter_mut().chain(self.echo.link()).chain(links) {
            restored += usize::from(link.restore_pin().map_err(failed)?);
        }
        for post in self.packets.posts() {
            restored += usize::from(post.restore_pin().map_err(failed)?);
        }
        if restored > 0 {
            let path = self.directory.display();
            found.repaired.push(format!("{restored} pins below {path} were gone; they are back"));
        }
        Ok(())
    }

    fn restore_above_all(&mut self, found: &mut RedirectInspection) -> Result<(), RedirectError> {
        if self.echo.link().is_some_and(|link| !link.is_intact()) {
            // Whoever asks next to have echo requests judged attaches it.
            drop(self.echo.take());
            found.repaired.push("the judge of echo requests was detached; it is attached again".into());
        }
        if self.node.iter().all(Link::is_intact) {
            return Ok(());
        }
        self.node = attach_above_all(&mut self.loader, &self.directory, &self.cgroup)?;
        found.repaired.push("programs above all pods were detached or swapped; they are attached again".into());
        Ok(())
    }
}

fn look_at(id: u32, attached: &mut Attached, ours: &BTreeSet<u32>, found: &mut RedirectInspection) {
    if attached.links.is_empty() {
        return;
    }
    if !attached.links.iter().all(Link::is_intact) {
        attached.broken = true;
        found.detached.insert(id, "its programs were detached or swapped by somebody else".into());
        return;
    }
    let Ok(programs) = sys::lookup_programs(attached.netns.as_fd()) else { return };
    let others: Vec<String> = programs.iter().filter(|id| !ours.contains(*id)).map(u32::to_string).collect();
    if others.is_empty() {
        return;
    }
    let what = format!(
        "another sk_lookup program is attached to its network namespace and may take what policy refuses: program {}; \
         detach it (bpftool net; bpftool link detach)",
        others.join(", ")
    );
    found.overruled.insert(id, what);
    // Of several programs that choose a socket the last one decides (Documentation/bpf/prog_sk_lookup.rst).
    if programs.last().is_some_and(|last| !ours.contains(last)) {
        let links = std::mem::take(&mut attached.links).into_iter().map(Link::give_up_pin);
        attached.links = links.flatten().collect();
        attached.broken = true;
        found.detached.insert(id, "another sk_lookup program came behind its own".into());
    }
}
