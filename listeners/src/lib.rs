//! The data plane: sockets, the one relay driver, upstream connections, the connection table, metrics and access
//! records.
//!
//! Each worker is a thread with its own epoll loop. Connections never migrate, and workers share no lock on the path
//! of a request.

mod datagrams;
mod dial;
mod host;
mod judge;
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
mod ticket;
mod transport;
mod worker;

pub use options::{Legs, Names, Options, Probe};
pub use plane::{DataPlane, Sockets};
pub use ticket::Ticket;
