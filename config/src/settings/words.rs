//! Values of the settings, as the file has them.

use portcullis_rules::settings::{DenyScope, DenyWith, Deviations, Enforcement, Upgrades};

/// Each deviation by its name in the settings file.
pub(super) fn deviations_by_name(deviations: &mut Deviations) -> [(&'static str, &mut bool); 5] {
    let Deviations { empty_rule_allows, l7_binds_beside_l4, kube_dns_entity, names_without_dns_rule, l7_on_nodes } =
        deviations;
    [
        ("emptyRuleAllows", empty_rule_allows),
        ("l7BindsBesideL4", l7_binds_beside_l4),
        ("kubeDnsEntity", kube_dns_entity),
        ("namesWithoutDnsRule", names_without_dns_rule),
        ("l7OnNodes", l7_on_nodes),
    ]
}

/// The names of the deviations that are switched on, as the settings file has them.
#[must_use]
pub fn deviation_names(mut deviations: Deviations) -> Vec<&'static str> {
    deviations_by_name(&mut deviations).into_iter().filter(|(_, on)| **on).map(|(name, _)| name).collect()
}

/// An enforcement mode as the settings file has it.
#[must_use]
pub fn enforcement_name(enforcement: Enforcement) -> &'static str {
    match enforcement {
        Enforcement::Default => "default",
        Enforcement::Always => "always",
        Enforcement::Never => "never",
    }
}

/// What a reset takes along, as the settings file has it.
#[must_use]
pub fn deny_scope_name(deny_scope: DenyScope) -> &'static str {
    match deny_scope {
        DenyScope::Stream => "stream",
        DenyScope::Connection => "connection",
    }
}

/// What requests may switch to, as the settings file has it.
#[must_use]
pub fn upgrades_name(upgrades: Upgrades) -> &'static str {
    match upgrades {
        Upgrades::None => "none",
        Upgrades::WebSocket => "websocket",
        Upgrades::Any => "any",
    }
}

/// An answer to denied requests as the settings file has it.
#[must_use]
pub fn deny_with_name(deny_with: DenyWith) -> &'static str {
    match deny_with {
        DenyWith::Reset => "reset",
        DenyWith::Respond => "respond",
        DenyWith::Hide => "hide",
    }
}
