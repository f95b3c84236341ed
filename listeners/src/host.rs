//! Checks that the host in a request is one of the names that allow its address.
//!
//! One address may serve many sites. Where only a name allows it (`toFQDNs`), a request for another site on the same
//! address must not pass.

use std::sync::Arc;

use portcullis_rules::{
    names::normal,
    request::{FieldValue, Request},
    snapshot::{FlowKey, Snapshot},
    verdict::{Miss, Outcome},
};

/// The field that names the host, where a protocol has one.
const HOST: &str = "host";

/// The names by which rules allow a flow's peer, as of some resolution.
#[derive(Debug, Default)]
pub(crate) struct PeerNames {
    /// Snapshot and resolution.
    as_of: Option<(u64, u64)>,
    names: Vec<Arc<str>>,
}

impl PeerNames {
    /// Looks again if something was learnt since.
    fn renew(&mut self, snapshot: &Snapshot, key: &FlowKey) {
        let now = Some((snapshot.generation(), snapshot.resolutions()));
        if self.as_of != now {
            self.as_of = now;
            self.names = snapshot.names_for(key);
        }
    }

    /// What is wrong with an allowed request, if its host is none of the names and its address is not allowed without one.
    pub(crate) fn disagree(&mut self, request: &dyn Request, snapshot: &Snapshot, key: &FlowKey) -> Option<Miss> {
        if !snapshot.settings().host_must_agree {
            return None;
        }
        let field = request.schema().field(HOST)?;
        self.renew(snapshot, key);
        if self.names.is_empty() {
            return None;
        }
        let host = request.field(field, "");
        let host = match &host {
            FieldValue::Value(host) => String::from_utf8_lossy(host),
            FieldValue::Absent | FieldValue::Ambiguous(_) => "".into(),
        };
        let name = normal(without_port(&host));
        if self.names.iter().any(|known| **known == *name || is_completed(known, &name)) {
            return None;
        }
        let by_address = snapshot.flow_by_address(key).outcome_of(request);
        (by_address != Outcome::Allow).then(|| Miss {
            rule: None,
            predicate: HOST.to_owned(),
            pattern: format!("{} (fqdn.hostMustAgree)", self.names.join(" or ")),
            value: host.chars().take(256).collect(),
        })
    }
}

/// Whether a name is what a resolver makes of a short one, which clients send as they were told it: one label with a search
/// domain behind it, or more of them where a cluster's own domain follows (`db.shop` for `db.shop.svc.cluster.local`, and the
/// names that CoreDNS's autopath answers). With any other domain behind it, several labels may be the name of another site.
fn is_completed(name: &str, short: &str) -> bool {
    let Some(rest) = name.strip_prefix(short) else { return false };
    let labels = short.trim_end_matches('.');
    // No site of the Internet is below `svc`, so a name that ends there is one of a cluster whose domain follows.
    let of_cluster = short.ends_with(".svc.") || rest.split('.').take(2).any(|label| label == "svc");
    !labels.is_empty() && !rest.is_empty() && (!labels.contains('.') || of_cluster)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_completed, without_port};

    #[test]
    fn short_names_are_those_that_a_resolver_completes() {
        for (name, short) in [
            ("wiki.corp.example.", "wiki."),
            ("db.shop.svc.cluster.local.", "db."),
            ("db.shop.svc.cluster.local.", "db.shop."),
            ("db.shop.svc.cluster.local.", "db.shop.svc."),
            ("api.example.com.shop.svc.cluster.local.", "api.example.com."),
            ("api.example.com.svc.cluster.local.", "api.example.com."),
        ] {
            assert!(is_completed(name, short), "{short} for {name}");
        }
        for (name, short) in [
            // Another site, which a wildcard of somebody's zone resolves.
            ("evil.example.corp.example.", "evil.example."),
            ("wiki.corp.example.", "wik."),
            ("wiki.corp.example.", "wiki.corp."),
            ("wiki.corp.example.", "corp.example."),
            ("wiki.corp.example.", "."),
            ("wiki.", "wiki."),
        ] {
            assert!(!is_completed(name, short), "{short} for {name}");
        }
    }

    #[test]
    fn a_port_is_no_part_of_a_name() {
        for (host, name) in
            [("a.test", "a.test"), ("a.test:80", "a.test"), ("a.test:", "a.test"), ("[fd00::1]", "[fd00::1]"), ("", "")]
        {
            assert_eq!(without_port(host), name);
        }
    }
}
