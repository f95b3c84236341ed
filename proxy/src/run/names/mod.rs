//! Learned names for API clients: as a list, and as a stream of changes.
//!
//! The locked name cache is copied in small parts; everything else happens outside the lock.

mod follow;

use std::sync::Arc;

use portcullis_config::{
    NamesUpdates,
    names::{CachedName, KnownAddress},
    proto,
};
use portcullis_rules::{
    names::{NamePattern, is_everything, normal},
    snapshot::Snapshot,
    world::LearnedFrom,
};

use crate::run::{backends::KernelHandle, names::follow::Reader, resolutions::LearnedState};

/// Addresses that are read from the name cache at a time, but for those of one name that has more.
const PAGE: usize = 256;

/// The names that are known.
pub struct NameService<K>(pub LearnedState<K>);

impl<K: KernelHandle + 'static> NameService<K> {
    /// The names that a request asks for, in order. Blocks.
    #[must_use]
    pub fn list(&self, request: &proto::ListNamesRequest) -> Vec<proto::LearntName> {
        let asked = NameQuery::new(&request.pattern, request.selected_only);
        let mut names = Vec::new();
        let mut after: Option<Arc<str>> = None;
        loop {
            let (page, snapshot) = self.0.page(after.as_deref(), PAGE);
            let Some(last) = page.last() else { return names };
            after = Some(Arc::clone(&last.name));
            names.extend(page.iter().filter_map(|known| asked.show(known, &snapshot)));
        }
    }

    /// What is known, then what changes.
    #[must_use]
    pub fn follow(&self, request: &proto::WatchNamesRequest) -> NamesUpdates {
        let asked = NameQuery::new(&request.pattern, request.selected_only);
        Box::pin(futures_util::stream::unfold(Reader::new(self.0.clone(), asked), Reader::next))
    }
}

/// Which names are asked for.
struct NameQuery {
    /// `None`: all.
    pattern: Option<NamePattern>,
    selected_only: bool,
}

impl NameQuery {
    fn new(pattern: &str, selected_only: bool) -> Self {
        let pattern = pattern.trim();
        let all = pattern.is_empty() || is_everything(pattern);
        Self { pattern: (!all).then(|| NamePattern::new(&normal(pattern))), selected_only }
    }

    /// Whether a name in normal form may be one of them.
    fn takes(&self, name: &str) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.takes(name.as_bytes()))
    }

    /// A name in the words of the API, if it is asked for.
    fn show(&self, known: &CachedName, snapshot: &Snapshot) -> Option<proto::LearntName> {
        if !self.takes(&known.name) {
            return None;
        }
        let selected = snapshot.selects(&known.name);
        let origin = |origin: &LearnedFrom| {
            let endpoint = snapshot.endpoint(origin.endpoint);
            proto::AnswerOrigin {
                endpoint: endpoint.map(|known| format!("{}/{}", known.namespace, known.name)).unwrap_or_default(),
                server: origin.server.to_string(),
                port: origin.port.into(),
                transport: origin.transport.as_str().to_owned(),
                known: origin.known,
            }
        };
        let address = |known: &KnownAddress| proto::LearntAddress {
            address: known.address.to_string(),
            expires: known.expires,
            origins: known.origins.iter().map(origin).collect(),
        };
        (selected || !self.selected_only).then(|| proto::LearntName {
            name: known.name.to_string(),
            addresses: known.addresses.iter().map(address).collect(),
            selected,
        })
    }
}

#[cfg(test)]
mod tests;
