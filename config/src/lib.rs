//! What the outside says: settings, policy files, the gRPC API.

mod node;

pub use node::{Fault, LocalEndpoint, Node, Place, Sink, Verdicts};

/// The generated gRPC code.
pub mod proto {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    tonic::include_proto!("portcullis.v1");
    /// The descriptors, for reflection.
    pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("portcullis");
}
