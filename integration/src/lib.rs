//! The laboratory: network namespaces as pods, a node that routes between them, real servers and clients, and the node
//! under test.
//!
//! Everything that a [`Lab`] creates carries its name, which contains the process id: namespaces, the cgroup, the
//! directory of files and the one of bpffs. Dropping the value removes all of it, also after a panic. What a killed
//! process left is removed by the next one. Nothing outside is changed, and no packet leaves the machine.

pub mod curl;
pub mod dns;
pub mod documents;
pub mod error;
pub mod kafka;
pub mod lab;
pub mod namespace;
pub mod need;
pub mod node;
pub mod pod;
pub mod process;
pub mod servers;
pub mod services;
pub mod site;
pub mod sweep;
pub mod wait;
pub mod walkthrough;

pub use error::{Error, Result};
pub use lab::Lab;
pub use need::{Need, lacking, require};
pub use pod::Pod;
pub use process::{Finished, Process};
pub use site::Site;
