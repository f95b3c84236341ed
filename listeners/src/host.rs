//! Checks that the host in a request is one of the names that allow its address.
//!
//! One address may serve many sites. Where only a name allows it (`toFQDNs`), a request for another site on the same
//! address must not pass.

use std::sync::Arc;

use portcullis_rules::{
    names::normal,
    request::{FieldValue, Request},
    snapshot::{Access, FlowKey, Snapshot},
    verdict::Miss,
};

/// The field that names the host, where a protocol has one.
const HOST: &str = "host";

/// The names by which rules allow a flow's peer, as of some lesson.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Snapshot and lesson.
    as_of: Option<(u64, u64)>,
    names: Vec<Arc<str>>,
}

impl Names {
    /// Looks again if something was learnt since.
    fn renew(&mut self, snapshot: &Snapshot, key: &FlowKey) {
        let now = Some((snapshot.generation(), snapshot.lessons()));
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
        if self.names.iter().any(|known| **known == *name) {
            return None;
        }
        let by_address = match snapshot.flow_by_address(key).access {
            Access::Allow => true,
            Access::Deny => false,
            Access::Judge(rules) => rules.check(request).outcome.passes(),
        };
        (!by_address).then(|| Miss {
            rule: None,
            predicate: HOST.to_owned(),
            pattern: self.names.join(" or "),
            value: host.chars().take(256).collect(),
        })
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::without_port;

    #[test]
    fn a_port_is_no_part_of_a_name() {
        for (host, name) in
            [("a.test", "a.test"), ("a.test:80", "a.test"), ("a.test:", "a.test"), ("[fd00::1]", "[fd00::1]"), ("", "")]
        {
            assert_eq!(without_port(host), name);
        }
    }
}
