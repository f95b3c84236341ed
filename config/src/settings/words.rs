//! Values of the settings and annotations, as they are written: in documents, on the command line and in the API.

use portcullis_rules::settings::{DenyScope, DenyWith, Deviations, Enforcement, OpenConnections, Upgrades};

use super::OnProxyDownSetting;

/// The words of a setting, each with the value that it stands for.
#[derive(Clone, Copy, Debug)]
pub struct SettingWords<T: 'static>(pub(crate) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> SettingWords<T> {
    /// All words, in the order in which they are told to people.
    pub fn each(self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(word, _)| *word)
    }

    /// The word for a value; empty for one that cannot be written.
    #[must_use]
    pub fn name(self, value: T) -> &'static str {
        self.0.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| *word)
    }

    /// What a word stands for.
    #[must_use]
    pub fn value(self, word: &str) -> Option<T> {
        self.0.iter().find(|(known, _)| *known == word).map(|(_, value)| *value)
    }
}

/// `enforcement`.
pub const ENFORCEMENT: SettingWords<Enforcement> =
    SettingWords(&[("default", Enforcement::Default), ("always", Enforcement::Always), ("never", Enforcement::Never)]);

/// `denyWith`, and the annotation `deny-with`.
pub const DENY_WITH: SettingWords<DenyWith> =
    SettingWords(&[("reset", DenyWith::Reset), ("respond", DenyWith::Respond)]);

/// `dnsDenyWith`, and the annotation `dns-deny-with`.
pub const DNS_DENY_WITH: SettingWords<DenyWith> =
    SettingWords(&[("refused", DenyWith::Respond), ("nxdomain", DenyWith::Hide), ("drop", DenyWith::Reset)]);

/// `denyScope`, and the annotation `deny-scope`.
pub const DENY_SCOPE: SettingWords<DenyScope> =
    SettingWords(&[("stream", DenyScope::Stream), ("connection", DenyScope::Connection)]);

/// `http.upgrades`.
pub const UPGRADES: SettingWords<Upgrades> =
    SettingWords(&[("none", Upgrades::None), ("websocket", Upgrades::WebSocket), ("any", Upgrades::Any)]);

/// `openConnections`, and the annotation `open-connections`.
pub const OPEN_CONNECTIONS: SettingWords<OpenConnections> =
    SettingWords(&[("cut", OpenConnections::Cut), ("keep", OpenConnections::Keep)]);

/// `onProxyDown`.
pub const ON_PROXY_DOWN: SettingWords<OnProxyDownSetting> =
    SettingWords(&[("refuse", OnProxyDownSetting::Refuse), ("pass", OnProxyDownSetting::Pass)]);

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
