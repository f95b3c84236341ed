//! Steering: loads the eBPF programs, attaches them, and writes the policy into their maps.
//!
//! There is one [`Redirect`] per process. Everything it creates can be recognised as ours: pins below one directory of
//! bpffs, rules by their preference, mark and table, routes by their table, sysctls by the old values remembered
//! beside the pins. It takes over what an earlier process left without a gap.

mod attachment;
mod claim;
mod connections;
mod datagrams;
mod devices;
mod echo;
mod error;
mod filters;
mod links;
mod maps;
mod namespace;
mod netlink;
mod packets;
mod persist;
mod pinned;
mod places;
mod posts;
mod preflight;
mod probe;
mod redirect;
mod refusals;
mod routes;
mod site;
mod sys;
mod sysctl;
mod table;
mod tables;
mod upstreams;
mod watch;

pub use attachment::{KernelAttachment, Listeners, RedirectOptions};
pub use claim::Claim;
pub use connections::{CutConnections, Keep, NamespaceConnections};
pub use error::RedirectError;
pub use packets::PacketJudge;
pub use places::cgroup_path;
pub use portcullis_redirect_common::{MARK, MARK_OUT, TABLE};
pub use probe::{PROBE_V4, PROBE_V6, try_hooks};
pub use redirect::{Redirect, RedirectInspection};
pub use refusals::{RefusalKind, Refusals, RefusedFlow};
pub use site::AttachPoint;
pub use table::{Action, FlowDirection, KernelPortClass, LearnedAddressChange};
pub use upstreams::UpstreamHandle;
