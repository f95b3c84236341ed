//! The arguments of `explain`, except the words of protocols ([`super::flags`]). The comments here are its help.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use portcullis_rules::settings::Enforcement;

use crate::cli::arguments::enforcement;

/// Behind the list of arguments.
pub(crate) const EXPLAIN_HELP: &str = "\
Labels are KEY=VALUE, separated by commas; a key may have its source before it (k8s:app=web). A peer is labels, an address,
entity:NAME (world, host, remote-node, kube-apiserver, health, init, ingress, unmanaged) or fqdn:NAME. The exit code is 0
for yes, 1 for no, 2 for a question that is none or has no answer, 3 for a document that is refused.

Without --policy the running node is asked what it has in force (--server), and the answer is given from that. It tells no
values of secrets: where the answer depends on one, that is said, and by name.

Examples:
  portcullis explain --direction ingress --endpoint app=web --peer app=client --port 80/TCP --http 'GET /api/v1'
  portcullis explain --policy app-http.yaml --direction ingress --endpoint app=web --peer app=client --port 80/TCP \\
    --http 'GET /api/v1' --host shop.example --header 'X-Token: abc'
  portcullis explain --policy policies/ --direction egress --endpoint app=web --peer fqdn:api.example.com --port 443/TCP \\
    --sni api.example.com -o json
  portcullis explain --policy kafka.yaml --direction ingress --endpoint app=kafka --peer app=client --port 9092/TCP \\
    --kafka offsetcommit --topic orders --group shop --client-id app";

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// Policies and other resources: files, directories, or - for standard input; may be repeated. Without it, those of
    /// the running node
    #[arg(long, value_name = "PATH", num_args = 1.., value_hint = ValueHint::AnyPath)]
    pub policy: Vec<PathBuf>,
    /// Endpoints, services, namespaces, CIDR groups, secrets: paths as above
    #[arg(long, value_name = "PATH", requires = "policy", value_hint = ValueHint::AnyPath)]
    pub endpoints: Vec<PathBuf>,
    /// For which endpoints policy is enforced [default: that of the node, or default]
    #[arg(long, value_name = "MODE", value_parser = enforcement())]
    pub enforcement: Option<Enforcement>,
    /// Accept policies that name protocols without ports, such as VRRP
    #[arg(long)]
    pub enable_extended_ip_protocols: bool,
    /// Direction of the flow, seen from the endpoint
    #[arg(long, value_name = "DIRECTION")]
    pub direction: DirectionArg,
    /// Labels of the endpoint whose policy is checked
    #[arg(long, value_name = "LABELS")]
    pub endpoint: String,
    /// The other side: labels, an address, entity:NAME or fqdn:NAME
    #[arg(long, value_name = "PEER")]
    pub peer: String,
    /// Destination port with its protocol
    #[arg(long, value_name = "PORT/PROTOCOL")]
    pub port: String,
    /// Namespace of endpoint and peer, unless their labels name one [default: default]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
}

/// Directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DirectionArg {
    /// The peer opens the flow
    Ingress,
    /// The endpoint opens it
    Egress,
}

impl DirectionArg {
    /// Whether the peer opens the flow.
    #[must_use]
    pub fn is_ingress(self) -> bool {
        self == Self::Ingress
    }
}
