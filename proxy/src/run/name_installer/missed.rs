//! What was not learned although a policy selects its name: counted by endpoint and reason, and logged periodically.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use portcullis_rules::world::{Endpoint, EndpointId};

use crate::admin::metrics::{NameMetrics, RefusedLabels};

/// How long the same is not said again of an endpoint.
const AGAIN: Duration = Duration::from_secs(60);

/// Why something is not learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum MissReason {
    /// The endpoint has its share of what waits.
    Share,
    /// There is no memory for the rules of an address.
    Memory,
}

impl MissReason {
    fn word(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Memory => "memory",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Share => {
                "answers are not learnt, and whoever asked is told SERVFAIL: so many of this endpoint wait to be learnt that \
                 it has its share"
            }
            Self::Memory => {
                "addresses that names allow are denied: policies leave no memory for their rules; raise \
                 limits.compilation.memory, or use fewer and smaller regular expressions beside toFQDNs"
            }
        }
    }
}

/// When what was said.
#[derive(Debug, Default)]
pub(super) struct LastLogged(HashMap<(EndpointId, MissReason), Instant>);

impl LastLogged {
    /// Counts what some endpoints missed, and says it if it was not said lately. Tells of how many it was said.
    pub(super) fn tell(
        &mut self,
        why: MissReason,
        missed: BTreeMap<EndpointId, u64>,
        metrics: &NameMetrics,
        who: impl Fn(EndpointId) -> Option<std::sync::Arc<Endpoint>>,
    ) -> usize {
        if missed.is_empty() {
            return 0;
        }
        self.0.retain(|_, said| said.elapsed() < AGAIN);
        let mut told = 0;
        for (id, count) in missed {
            // An endpoint that has gone has no series any more.
            let Some(endpoint) = who(id) else { continue };
            let name = format!("{}/{}", endpoint.namespace, endpoint.name);
            let labels = RefusedLabels { endpoint: name.clone(), reason: why.word() };
            metrics.refused.get_or_create_owned(&labels).inc_by(count);
            if self.0.insert((id, why), Instant::now()).is_none() {
                tracing::warn!(endpoint = name, count, "{}", why.sentence());
                told += 1;
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_and_said_once_for_an_endpoint_and_a_reason() {
        let (metrics, mut said) = (NameMetrics::default(), LastLogged::default());
        let endpoint = |id: EndpointId| {
            let (namespace, name) = ("shop".into(), format!("e{}", id.0).into());
            let (labels, addresses, ports) = (Default::default(), Vec::new(), Vec::new());
            (id.0 < 9).then(|| Endpoint { local: Some(id), name, namespace, labels, addresses, ports }.into())
        };
        let of = |numbers: &[u32]| numbers.iter().map(|number| (EndpointId(*number), 2)).collect();
        assert_eq!(said.tell(MissReason::Share, of(&[1, 2, 9]), &metrics, endpoint), 2);
        assert_eq!(said.tell(MissReason::Share, of(&[1]), &metrics, endpoint), 0);
        assert_eq!(said.tell(MissReason::Memory, of(&[1]), &metrics, endpoint), 1);
        let count = |endpoint: &str, reason| {
            metrics.refused.get_or_create_owned(&RefusedLabels { endpoint: endpoint.to_owned(), reason }).get()
        };
        assert_eq!((count("shop/e1", "share"), count("shop/e2", "share"), count("shop/e1", "memory")), (4, 2, 2));
    }
}
