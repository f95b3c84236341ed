//! The state of the node.

use std::fmt::Write as _;

use portcullis_config::proto;
use serde::Serialize;

use crate::{
    output::{Paint, Style, plain},
    render::time::span,
};

/// What `status` prints as JSON or YAML.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    version: String,
    uptime_seconds: u64,
    workers: u32,
    revision: u64,
    enforcement: String,
    deny_with: String,
    on_proxy_down: String,
    deviations: Vec<String>,
    policies: u32,
    endpoints: u32,
    local_endpoints: u32,
    services: u32,
    cidr_groups: u32,
    secrets: u32,
    rejected: u64,
    active_connections: u64,
    allowed: u64,
    denied: u64,
    #[serde(skip_serializing_if = "super::is_zero")]
    audited: u64,
    /// Local endpoints by where their packets are judged.
    packets: PacketsJson,
    faults: Vec<String>,
    notes: Vec<String>,
}

/// Numbers of local endpoints.
#[derive(Debug, Serialize)]
struct PacketsJson {
    outside: u32,
    inside: u32,
    cgroup: u32,
    off: u32,
}

impl From<proto::StatusResponse> for Status {
    fn from(status: proto::StatusResponse) -> Self {
        Self {
            version: status.version,
            uptime_seconds: status.uptime_seconds,
            workers: status.workers,
            revision: status.revision,
            enforcement: status.enforcement,
            deny_with: status.deny_with,
            on_proxy_down: status.on_proxy_down,
            deviations: status.deviations,
            policies: status.policies,
            endpoints: status.endpoints,
            local_endpoints: status.local_endpoints,
            services: status.services,
            cidr_groups: status.cidr_groups,
            secrets: status.secrets,
            rejected: status.rejected,
            active_connections: status.active_connections,
            allowed: status.allowed,
            denied: status.denied,
            audited: status.audited,
            packets: PacketsJson {
                outside: status.packets_outside,
                inside: status.packets_inside,
                cgroup: status.packets_cgroup,
                off: status.packets_off,
            },
            faults: status.faults,
            notes: status.notes,
        }
    }
}

/// The lines for people.
#[must_use]
pub fn text(status: &Status, paint: Paint) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<13} {value}");
    };
    row("portcullis", format!("{}, up {}", plain(&status.version), span(status.uptime_seconds)));
    row("revision", status.revision.to_string());
    row(
        "policy",
        format!(
            "enforcement {}, deny with {}, on proxy down {}",
            plain(&status.enforcement),
            plain(&status.deny_with),
            plain(&status.on_proxy_down)
        ),
    );
    let deviations = if status.deviations.is_empty() { "none".into() } else { plain(&status.deviations.join(", ")) };
    row("deviations", deviations);
    row(
        "resources",
        format!(
            "{} policies, {} endpoints ({} local), {} services, {} CIDR groups, {} secrets, {} rejected",
            status.policies,
            status.endpoints,
            status.local_endpoints,
            status.services,
            status.cidr_groups,
            status.secrets,
            status.rejected
        ),
    );
    row("connections", format!("{} active, {} workers", status.active_connections, status.workers));
    let PacketsJson { outside, inside, cgroup, off } = status.packets;
    let judged =
        format!("{outside} endpoints judged outside, {inside} inside only, {cgroup} at their cgroup, {off} not");
    row("packets", judged);
    let audited = if status.audited > 0 { format!(", {} audited", status.audited) } else { String::new() };
    row("verdicts", format!("{} allowed, {} denied{audited}", status.allowed, status.denied));
    if status.faults.is_empty() {
        row("faults", paint.style(Style::Good, "none").to_string());
    }
    for fault in &status.faults {
        row("fault", paint.style(Style::Bad, &plain(fault)).to_string());
    }
    for note in &status.notes {
        row("note", plain(note));
    }
    text
}
