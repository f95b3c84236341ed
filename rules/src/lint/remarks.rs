//! Runs the lint checks that a protocol brings for its own rules.

use std::collections::HashSet;

use crate::{
    labels::Selector,
    lint::{
        LintReport, cover,
        element::{Element, LintPeer, LintPeers},
    },
    policy::{Entity, L7Rule, L7Rules},
    schema::Schema,
    world::{Direction, Transport, World},
};

/// Looks at the L7 rules of all elements.
pub(super) fn elements(elements: &[Element<'_>], world: &World, report: &mut LintReport<'_>) {
    let mut said = HashSet::new();
    for element in elements {
        for (path, _, l7) in element.l7() {
            for remark in (l7.schema.nature.remarks)(&l7.rules) {
                if remark.once && !said.insert((element.policy, remark.code)) {
                    continue;
                }
                let item = l7.rules.get(remark.rule).and_then(|rule| rule.item).unwrap_or(remark.rule);
                report.add(remark.code, element.policy, format!("{path}[{item}].{}", remark.key), remark.message);
            }
        }
    }
    locked_out(elements, world, report);
}

/// Looks for servers that may not talk to each other any more because their policy admits their clients.
fn locked_out(elements: &[Element<'_>], world: &World, report: &mut LintReport<'_>) {
    let mut said = HashSet::new();
    for element in elements.iter().filter(|element| element.direction == Direction::Ingress && !element.deny) {
        let off = element.default_deny() == Some(false) || element.rule.node;
        let among = |(path, _, l7): (String, _, &'_ L7Rules)| l7.schema.nature.among.map(|_| (path, l7.schema));
        let Some((path, schema)) = element.l7().find_map(among) else { continue };
        let alone = world.endpoints.iter().filter(|endpoint| element.subject.matches(&endpoint.labels)).count() == 1;
        let admitted = || elements.iter().any(|other| admits(other, &element.subject, schema));
        if !off && !alone && !admitted() && said.insert((element.policy, &*element.rule.path)) {
            let message = "no rule lets these endpoints copy records from each other";
            report.add("PL404", element.policy, path, message);
        }
    }
}

/// Whether an element may let endpoints that a selector selects be asked by each other, on whatever port.
fn admits(element: &Element<'_>, subject: &Selector, schema: &Schema) -> bool {
    let themselves = match &element.peers {
        LintPeers::Nobody => false,
        LintPeers::Anybody => true,
        LintPeers::Listed(peers) => peers.iter().any(|peer| match peer {
            LintPeer::Endpoints(selector) => cover::may_meet(selector, subject),
            LintPeer::Entity(entity) => matches!(entity, Entity::All | Entity::Cluster | Entity::ClusterMesh),
            // Endpoints, perhaps.
            LintPeer::Service(_) => true,
            // Addresses of endpoints are none of these.
            LintPeer::Cidr(..) | LintPeer::Nodes(_) | LintPeer::Group(_) | LintPeer::Name(_) => false,
        }),
    };
    let tcp = |transport: Option<Transport>| transport.is_none_or(|transport| transport == Transport::Tcp);
    let among = |rule: &L7Rule| schema.nature.among.is_none_or(|among| among(rule));
    element.direction == Direction::Ingress
        && !element.deny
        && themselves
        && cover::may_meet(&element.subject, subject)
        && (element.every_port()
            || element.plain().any(|spec| tcp(spec.transport))
            || element.ports().any(|(_, ports)| ports.server_names.is_some())
            || element.l7().any(|(_, _, l7)| l7.schema.protocol == schema.protocol && l7.rules.iter().any(among)))
}
