//! Computes the smallest change from one set of tables to the next.
//!
//! Port classes with the same content are one class in the kernel, whichever endpoint uses them. A change writes new
//! classes in full, then points ports to them, then removes unused ones: at every moment a port has its old or its new
//! verdicts, never none.
//!
//! A class with learned addresses belongs to one endpoint and its ports. Its single addresses are changed in place:
//! each has its old or its new verdict. A change of wider prefixes creates a new class, because there may be no order
//! of single changes that opens nothing in between.
//!
//! If a change cannot be carried out, ports that the endpoint's old table did not mention are closed
//! ([`Tables::shut`]): they point to a class without entries, for which there is always room.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use portcullis_redirect_common::{ICMP, ICMP_V6, PeerKey, PortKey, UDP};

use crate::table::{
    Action, ClassContent, ClassOwner, FlowDirection, KernelPortClass, LearnedAddressChange, PeerPrefix, PortPrefix,
    SHUT, all_ports, content, covers, owner, ports, single,
};

/// Entries of `PORTS` that tables may take, five eighths of them. The others are for the self-check of endpoints and for those
/// that have to be shut: two and four for each of the most endpoints that there can be.
pub(crate) const ROOM_FOR_PORTS: usize = 5 << 15;

/// A step of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TableStep {
    /// Enter a class in full.
    AddClass(u32, Arc<ClassContent>),
    /// Set one entry of a class.
    Set(u32, PeerPrefix, Action),
    /// Remove one entry of a class.
    Unset(u32, PeerPrefix),
    /// Point ports at a class.
    Point(PortPrefix, u32),
    /// From now on resolutions for these ports are for this class. Nothing for the kernel.
    Own(u32, ClassOwner),
    /// Take ports out.
    Unpoint(PortPrefix),
    /// Remove a class nobody points at.
    RemoveClass(u32, Arc<ClassContent>),
}

/// What the kernel's tables hold, as far as it is ours.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    ports: BTreeMap<PortPrefix, u32>,
    classes: HashMap<u32, Held>,
    /// Classes that endpoints may share.
    numbers: HashMap<Arc<ClassContent>, u32>,
    /// Classes that learn.
    owned: BTreeMap<ClassOwner, u32>,
    next: u32,
}

/// A class that the kernel holds. A resolution asks and changes it, however much is in it, without going through it.
#[derive(Debug)]
struct Held {
    content: Arc<ClassContent>,
    /// How many of its entries are steered.
    steered: usize,
    /// Whether [`Tables::numbers`] has it.
    shared: bool,
}

impl Held {
    fn new(content: Arc<ClassContent>, shared: bool) -> Self {
        let steered = content.values().filter(|action| **action == Action::Steer).count();
        Self { content, steered, shared }
    }

    /// Sets or removes one entry.
    fn edit(&mut self, peer: &PeerPrefix, action: Option<Action>) {
        let content = Arc::make_mut(&mut self.content);
        let before = match action {
            Some(action) => content.insert(*peer, action),
            None => content.remove(peer),
        };
        let steered = |action| usize::from(action == Some(Action::Steer));
        self.steered = self.steered + steered(action) - steered(before);
    }
}

/// A change in the making.
#[derive(Default)]
struct TableDraft {
    add: Vec<TableStep>,
    edit: Vec<TableStep>,
    own: Vec<TableStep>,
    points: BTreeMap<PortPrefix, u32>,
    fresh: HashMap<Arc<ClassContent>, u32>,
    next: u32,
}

impl TableDraft {
    fn add(&mut self, content: &Arc<ClassContent>) -> u32 {
        let number = self.next;
        self.next += 1;
        self.add.push(TableStep::AddClass(number, Arc::clone(content)));
        number
    }
}

impl Tables {
    /// What an earlier process left.
    pub(crate) fn taken_over(ports: BTreeMap<PortPrefix, u32>, classes: HashMap<u32, ClassContent>) -> Self {
        let numbers = classes.keys().chain(ports.values()).filter(|number| **number != SHUT);
        let next = numbers.max().map_or(0, |last| last + 1);
        let mut tables = Self { ports, next, ..Self::default() };
        classes.into_iter().for_each(|(number, content)| tables.hold(number, Arc::new(content)));
        tables
    }

    /// Notes a class. Endpoints may share it until somebody owns it.
    fn hold(&mut self, number: u32, content: Arc<ClassContent>) {
        let shared = *self.numbers.entry(Arc::clone(&content)).or_insert(number) == number;
        self.classes.insert(number, Held::new(content, shared));
    }

    /// The endpoints that have ports.
    pub(crate) fn endpoints(&self) -> BTreeSet<u32> {
        self.ports.keys().map(|(_, key)| key.endpoint).collect()
    }

    /// The endpoints with classes that learn.
    pub(crate) fn learning(&self) -> BTreeSet<u32> {
        self.owned.keys().map(|(endpoint, ..)| *endpoint).collect()
    }

    /// Whether an endpoint has ports.
    pub(crate) fn speaks_of(&self, endpoint: u32) -> bool {
        self.ports.keys().any(|(_, key)| key.endpoint == endpoint)
    }

    /// Whether some endpoint's echo requests are judged.
    pub(crate) fn judges_echo(&self) -> bool {
        self.ports.keys().any(|(_, key)| matches!(key.protocol, ICMP | ICMP_V6))
    }

    /// The steps from what is held to the classes of an endpoint. [`Tables::apply`] each one after the kernel has
    /// taken it.
    pub(crate) fn change(&self, endpoint: u32, wanted: &[KernelPortClass]) -> Vec<TableStep> {
        let mut draft = TableDraft { next: self.next, ..TableDraft::default() };
        let (learning, shared): (Vec<&KernelPortClass>, Vec<&KernelPortClass>) =
            wanted.iter().partition(|class| class.learns);
        for class in learning {
            self.draft_own(endpoint, class, &mut draft);
        }
        let claimed: BTreeSet<u32> = draft.points.values().copied().collect();
        for class in shared {
            let content = Arc::new(content(class));
            let known = self.numbers.get(&content).filter(|number| !claimed.contains(number)).copied();
            let number = known.or_else(|| draft.fresh.get(&content).copied()).unwrap_or_else(|| {
                let number = draft.add(&content);
                draft.fresh.insert(content, number);
                number
            });
            draft.points.extend(ports(endpoint, class).map(|port| (port, number)));
        }
        let TableDraft { add, edit, own, points, .. } = draft;
        let mut steps = [add, edit].concat();
        let changed = points.iter().filter(|(port, number)| self.ports.get(port) != Some(number));
        steps.extend(changed.map(|(port, number)| TableStep::Point(*port, *number)));
        steps.extend(own);
        let gone = self.ports.keys().filter(|(_, key)| key.endpoint == endpoint).filter(|p| !points.contains_key(*p));
        steps.extend(gone.map(|port| TableStep::Unpoint(*port)));
        steps.extend(self.unused_after(endpoint, &points));
        steps
    }

    /// The steps that have refused what these classes speak of and the kernel was never told: by port, or with `whole` all ports
    /// of their directions and protocols.
    pub(crate) fn shut(&self, endpoint: u32, wanted: &[KernelPortClass], whole: bool) -> Vec<TableStep> {
        let wanted = wanted.iter().flat_map(|class| -> Vec<PortPrefix> {
            if whole { vec![all_ports(endpoint, class)] } else { ports(endpoint, class).collect() }
        });
        let held: Vec<&PortPrefix> = self.ports.keys().filter(|(_, key)| key.endpoint == endpoint).collect();
        let open: BTreeSet<PortPrefix> = wanted.filter(|port| !held.iter().any(|held| covers(held, port))).collect();
        open.into_iter().map(|port| TableStep::Point(port, SHUT)).collect()
    }

    /// Whether a table may still take an entry of `PORTS`.
    pub(crate) fn has_room_for(&self, port: &PortPrefix) -> bool {
        self.ports.len() < ROOM_FOR_PORTS || self.ports.contains_key(port) || port.0 == PortKey::EXACT
    }

    /// A class that learns: the one that is there, if no more than single addresses differ, else a new one.
    fn draft_own(&self, endpoint: u32, class: &KernelPortClass, draft: &mut TableDraft) {
        let (owner, content) = (owner(endpoint, class), Arc::new(content(class)));
        let points: BTreeSet<PortPrefix> = ports(endpoint, class).collect();
        let held = self.owned.get(&owner).copied().or_else(|| self.pointed_at_by(&points));
        let edits =
            held.and_then(|number| Some((number, edits(number, &self.classes.get(&number)?.content, &content)?)));
        let number = match edits {
            Some((number, edits)) => {
                draft.edit.extend(edits);
                number
            }
            None => draft.add(&content),
        };
        if self.owned.get(&owner) != Some(&number) {
            draft.own.push(TableStep::Own(number, owner));
        }
        draft.points.extend(points.into_iter().map(|port| (port, number)));
    }

    /// The class that these ports point at and no others, if it is one.
    fn pointed_at_by(&self, points: &BTreeSet<PortPrefix>) -> Option<u32> {
        let number = *self.ports.get(points.first()?)?;
        let pointing: BTreeSet<PortPrefix> =
            self.ports.iter().filter(|(_, other)| **other == number).map(|(port, _)| *port).collect();
        (pointing == *points).then_some(number)
    }

    fn unused_after<'a>(
        &'a self,
        endpoint: u32,
        points: &BTreeMap<PortPrefix, u32>,
    ) -> impl Iterator<Item = TableStep> + use<'a> {
        let others = self.ports.iter().filter(|((_, key), _)| key.endpoint != endpoint).map(|(_, number)| *number);
        let used: BTreeSet<u32> = others.chain(points.values().copied()).collect();
        self.classes
            .iter()
            .filter(move |(number, _)| !used.contains(number))
            .map(|(number, held)| TableStep::RemoveClass(*number, Arc::clone(&held.content)))
    }

    /// The steps of a resolution; `None` where it takes more than single entries, so that the whole table has to be set.
    pub(crate) fn learn(&self, endpoint: u32, resolution: &LearnedAddressChange) -> Option<Vec<TableStep>> {
        // Resolvers of the machine itself are steered by name, beside the tables.
        if resolution.address.is_loopback() {
            return None;
        }
        let (first, last) = (*resolution.ports.start(), *resolution.ports.end());
        let side = (endpoint, resolution.direction.number(), resolution.protocol);
        let owned = self.owned.range((side.0, side.1, side.2, first, 0)..=(side.0, side.1, side.2, last, u16::MAX));
        let (mut steps, mut covered) = (Vec::new(), 0);
        for ((.., from, to), number) in owned {
            if *to > last {
                return None;
            }
            covered += (*from..=*to).len();
            steps.extend(learnt(*number, self.classes.get(number)?, resolution)?);
        }
        (covered == resolution.ports.len()).then_some(steps)
    }

    /// Notes a step that the kernel has taken.
    pub(crate) fn apply(&mut self, step: &TableStep) {
        match step {
            TableStep::AddClass(number, content) => {
                self.skip(*number);
                self.hold(*number, Arc::clone(content));
            }
            TableStep::Set(number, peer, action) => self.edit(*number, peer, Some(*action)),
            TableStep::Unset(number, peer) => self.edit(*number, peer, None),
            TableStep::Point(port, number) => {
                self.ports.insert(*port, *number);
            }
            TableStep::Own(number, owner) => {
                self.unshare(*number);
                self.owned.insert(*owner, *number);
            }
            TableStep::Unpoint(port) => {
                self.ports.remove(port);
            }
            TableStep::RemoveClass(number, _) => {
                self.unshare(*number);
                self.classes.remove(number);
                self.owned.retain(|_, owned| owned != number);
            }
        }
    }

    /// A class of this number could not be entered: something of it may be left, so nobody gets the number again.
    pub(crate) fn skip(&mut self, number: u32) {
        self.next = self.next.max(number + 1);
    }

    fn edit(&mut self, number: u32, peer: &PeerPrefix, action: Option<Action>) {
        // A class that is edited is shared with no other.
        self.unshare(number);
        if let Some(held) = self.classes.get_mut(&number) {
            held.edit(peer, action);
        }
    }

    fn unshare(&mut self, number: u32) {
        if let Some(held) = self.classes.get_mut(&number)
            && std::mem::take(&mut held.shared)
        {
            self.numbers.remove(&held.content);
        }
    }
}

/// The steps from one content of a class to another, if no more than single addresses differ.
fn edits(number: u32, held: &ClassContent, wanted: &ClassContent) -> Option<Vec<TableStep>> {
    if held == wanted {
        return Some(Vec::new());
    }
    let gone = held.keys().filter(|peer| !wanted.contains_key(*peer)).map(|peer| TableStep::Unset(number, *peer));
    let set = wanted.iter().filter(|(peer, action)| held.get(*peer) != Some(*action));
    let steps: Vec<TableStep> = set.map(|(peer, action)| TableStep::Set(number, *peer, *action)).chain(gone).collect();
    let is_single = |step: &TableStep| {
        matches!(step, TableStep::Set(_, (PeerKey::BITS, _), _) | TableStep::Unset(_, (PeerKey::BITS, _)))
    };
    steps.iter().all(is_single).then_some(steps)
}

/// The steps of a resolution for one class.
fn learnt(number: u32, held: &Held, resolution: &LearnedAddressChange) -> Option<Option<TableStep>> {
    let peer = single(resolution.address);
    let before = held.content.get(&peer).copied();
    let action = match resolution.action {
        wanted if resolution.protocol != UDP || resolution.direction == FlowDirection::Ingress => wanted,
        wanted => datagrams(held.steered, before, wanted)?,
    };
    let step = match action {
        Some(action) => TableStep::Set(number, peer, action),
        None => TableStep::Unset(number, peer),
    };
    Some((before != action).then_some(step))
}

/// What becomes of an address in a class of datagrams, a port of which is steered as a whole: `None` where that would be
/// another thing afterwards. So many of its entries are `steered`, and the address is told `before`.
fn datagrams(steered: usize, before: Option<Action>, wanted: Option<Action>) -> Option<Option<Action>> {
    let others = steered - usize::from(before == Some(Action::Steer));
    match wanted {
        Some(Action::Steer) if steered == 0 => None,
        Some(Action::Pass | Action::PassAndReport | Action::Steer) if steered > 0 => Some(Some(Action::Steer)),
        _ if steered > 0 && others == 0 => None,
        wanted => Some(wanted),
    }
}

/// Enters a class; of one that does not fit nothing stays. `write` sets an entry, or removes it.
pub(crate) fn enter<E>(
    content: &ClassContent,
    mut write: impl FnMut(&PeerPrefix, Option<Action>) -> Result<(), E>,
) -> Result<(), E> {
    for (entered, (peer, action)) in content.iter().enumerate() {
        if let Err(error) = write(peer, Some(*action)) {
            for peer in content.keys().take(entered) {
                // What cannot be taken out either is under a number that nobody gets any more.
                let _ = write(peer, None);
            }
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
