//! The data plane: sockets, the one relay driver, upstream connections, the connection table, metrics and access
//! records.
//!
//! Each worker is a thread with its own epoll loop. Connections never migrate, and workers share no lock on the path
//! of a request.

mod datagrams;
mod dial;
mod event;
mod host;
mod judge;
mod kernel;
mod learning;
mod namespace;
mod options;
mod pair;
mod plane;
mod protocols;
pub mod share;
mod sockets;
pub mod telemetry;
#[cfg(test)]
mod tests;
mod transport;
mod worker;

pub use event::mailbox::PendingRelease;
pub use kernel::UpstreamRegistry;
pub use learning::NameInstaller;
pub use options::{DataPlaneOptions, Probe};
pub use plane::{DataPlane, ListenerSockets};
