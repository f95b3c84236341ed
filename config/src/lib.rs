//! Input from outside: the settings file, policy files, and the gRPC API.

mod api;
mod base64;
mod cidr_group;
mod digest;
pub mod documents;
mod endpoint;
mod metadata;
pub mod names;
mod node;
mod policy;
mod problem;
mod secret;
mod service;
pub mod settings;
mod store;
mod yaml;

pub use api::{ApiLimits, ServeError, serve};
pub use node::{EndpointLocation, LocalEndpoint, NamesUpdates, NodeSink, NodeStatus, SteeringFault, VerdictStream};
pub use problem::DocumentProblem;
pub use store::{Applied, OpenError, Store, StoreError, StoreOptions};

/// The generated gRPC code.
pub mod proto {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    tonic::include_proto!("portcullis.v1");
    /// The descriptors, for reflection.
    pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("portcullis");
}
