//! The state that all workers share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize},
    },
    time::Instant,
};

use arc_swap::ArcSwapOption;
use portcullis_rules::snapshot::Snapshot;

use crate::{learning::NameInstaller, options::DataPlaneOptions, protocols::LiveProtocols, telemetry::Telemetry};

/// What one data plane has once.
pub(crate) struct WorkersShared {
    pub(crate) options: DataPlaneOptions,
    pub(crate) protocols: LiveProtocols,
    /// Where the time of all workers begins.
    pub(crate) began: Instant,
    pub(crate) telemetry: Arc<Telemetry>,
    /// Who brings what answers tell into force; without, nothing is learnt.
    pub(crate) names: Option<Arc<dyn NameInstaller>>,
    pub(crate) snapshot: ArcSwapOption<Snapshot>,
    /// How many snapshots were published.
    pub(crate) published: AtomicU64,
    /// Client connections of all workers.
    pub(crate) connections: Arc<AtomicUsize>,
    /// File descriptors of connections and flows of all workers.
    pub(crate) files: Arc<AtomicUsize>,
    /// Bytes that are held beyond read buffers.
    pub(crate) buffered: Arc<AtomicUsize>,
    /// Bytes of memory that the pair took that was advanced last, and most that one ever took.
    #[cfg(test)]
    pub(crate) footprint: [AtomicUsize; 2],
    /// How often deadlines of pairs that are gone were looked for.
    #[cfg(test)]
    pub(crate) sweeps: AtomicUsize,
}
