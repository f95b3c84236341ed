//! Numeric ids of local endpoints. An endpoint keeps its id while it exists, also after a restart.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use portcullis_rules::world::EndpointId;

use super::key::StoreKey;

/// Largest number: the kernel's keys have 14 bits for it.
pub(crate) const LARGEST: u32 = 16_383;

/// Which endpoint has which number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndpointNumbers {
    by_name: BTreeMap<(String, String), u32>,
    used: BTreeSet<u32>,
    /// Where the search for a free one goes on. A number that was given back is met again only after all others, so
    /// that what the kernel or a reader of records still holds of it has gone.
    next: u32,
}

impl Default for EndpointNumbers {
    fn default() -> Self {
        Self { by_name: BTreeMap::new(), used: BTreeSet::new(), next: 1 }
    }
}

impl EndpointNumbers {
    /// The number of an endpoint, a new one if it has none. `None` when all are given out.
    pub(crate) fn take(&mut self, key: &StoreKey) -> Option<EndpointId> {
        let name = (key.namespace.clone(), key.name.clone());
        if let Some(number) = self.by_name.get(&name) {
            return Some(EndpointId(*number));
        }
        let number = (self.next..=LARGEST).chain(1..self.next).find(|number| !self.used.contains(number))?;
        self.next = if number == LARGEST { 1 } else { number + 1 };
        self.used.insert(number);
        self.by_name.insert(name, number);
        Some(EndpointId(number))
    }

    /// Gives back the numbers of all others than these.
    pub(crate) fn retain<'a>(&mut self, keys: impl Iterator<Item = &'a StoreKey>) {
        let kept: BTreeSet<_> = keys.map(|key| (key.namespace.as_str(), key.name.as_str())).collect();
        self.by_name.retain(|(namespace, name), _| kept.contains(&(namespace.as_str(), name.as_str())));
        self.used = self.by_name.values().copied().collect();
    }

    /// As text: where the search goes on, then one endpoint a line.
    pub(crate) fn write(&self) -> String {
        let mut text = format!("{}\n", self.next);
        for ((namespace, name), number) in &self.by_name {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{number} {namespace} {name}");
        }
        text
    }

    /// Reads what [`Self::write`] wrote; `None` if it is something else.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let in_range = |number: &u32| (1..=LARGEST).contains(number);
        let next = lines.next()?.parse().ok().filter(in_range)?;
        let mut numbers = Self { next, ..Self::default() };
        for line in lines {
            let mut words = line.splitn(3, ' ');
            let number = words.next()?.parse().ok().filter(in_range)?;
            let name = (words.next()?.to_owned(), words.next()?.to_owned());
            if !numbers.used.insert(number) || numbers.by_name.insert(name, number).is_some() {
                return None;
            }
        }
        Some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::{EndpointNumbers, LARGEST, StoreKey};
    use crate::store::ResourceKind;

    fn key(name: &str) -> StoreKey {
        StoreKey { kind: ResourceKind::Endpoint, namespace: "shop".into(), name: name.into() }
    }

    #[test]
    fn an_endpoint_keeps_its_number_and_a_freed_one_is_used_last() {
        let mut numbers = EndpointNumbers::default();
        assert_eq!(numbers.take(&key("a")).unwrap().0, 1);
        assert_eq!(numbers.take(&key("b")).unwrap().0, 2);
        assert_eq!(numbers.take(&key("a")).unwrap().0, 1);
        numbers.retain([key("b")].iter());
        assert_eq!(numbers.take(&key("c")).unwrap().0, 3, "1 is free, but was used a moment ago");
        let mut numbers = EndpointNumbers::read(&numbers.write()).unwrap();
        assert_eq!(numbers.take(&key("b")).unwrap().0, 2);
        for index in 4..=LARGEST {
            assert_eq!(numbers.take(&key(&format!("e{index}"))).unwrap().0, index);
        }
        assert_eq!(numbers.take(&key("last")).unwrap().0, 1);
        assert_eq!(numbers.take(&key("one-too-many")), None);
    }

    #[test]
    fn what_is_no_list_of_numbers_is_not_read() {
        for text in ["", "0\n", "1\n1\n", "1\n1 a b\n1 a c\n", "1\n1 a b\n2 a b\n", "1\n99999 a b\n", "x\n"] {
            assert_eq!(EndpointNumbers::read(text), None, "{text:?}");
        }
    }
}
