//! The settings that decide what policies mean, as the API tells them.

use portcullis_rules::{
    bounds::Bounds,
    settings::{DenyScope, DenyWith, Deviations, Enforcement, OpenConnections, Settings, Upgrades},
};

use super::{deny_scope_name, deny_with_name, deviation_names, deviations_by_name, enforcement_name, upgrades_name};
use crate::{policy::DNS_DENY_WITH, proto};

/// What becomes of open connections, as the settings file has it.
pub(crate) fn open_connections_name(fate: OpenConnections) -> &'static str {
    match fate {
        OpenConnections::Cut => "cut",
        OpenConnections::Keep => "keep",
    }
}

/// As the API has them.
pub(crate) fn rules_to_proto(settings: &Settings) -> proto::RuleSettings {
    let Settings {
        enforcement,
        deny_with,
        deny_names_with,
        deny_scope,
        upgrades,
        open_connections,
        deviations,
        allow_localhost,
        host_must_agree,
        server_must_agree,
        extended_ip_protocols,
        bounds: _,
    } = *settings;
    let names = DNS_DENY_WITH.iter().find(|(_, answer)| *answer == deny_names_with);
    proto::RuleSettings {
        enforcement: enforcement_name(enforcement).to_owned(),
        deny_with: deny_with_name(deny_with).to_owned(),
        allow_localhost,
        deviations: deviation_names(deviations).into_iter().map(str::to_owned).collect(),
        extended_ip_protocols,
        host_must_agree,
        server_must_agree,
        deny_scope: deny_scope_name(deny_scope).to_owned(),
        http_upgrades: upgrades_name(upgrades).to_owned(),
        open_connections: open_connections_name(open_connections).to_owned(),
        dns_deny_with: names.map_or("", |(word, _)| word).to_owned(),
        never_open: Vec::new(),
        node_addresses: Vec::new(),
    }
}

/// The other way round.
///
/// # Errors
/// A word that this version does not know: the node is of another one.
pub fn rules_from_proto(told: &proto::RuleSettings) -> Result<Settings, String> {
    let unknown = |what: &str, word: &str| format!("unknown {what} {word:?}");
    let enforcement = [Enforcement::Default, Enforcement::Always, Enforcement::Never]
        .into_iter()
        .find(|mode| enforcement_name(*mode) == told.enforcement)
        .ok_or_else(|| unknown("enforcement", &told.enforcement))?;
    let deny_with = [DenyWith::Reset, DenyWith::Respond]
        .into_iter()
        .find(|answer| deny_with_name(*answer) == told.deny_with)
        .ok_or_else(|| unknown("answer to denied requests", &told.deny_with))?;
    let deny_names_with = DNS_DENY_WITH
        .iter()
        .find(|(word, _)| *word == told.dns_deny_with)
        .map(|(_, answer)| *answer)
        .ok_or_else(|| unknown("answer to denied queries", &told.dns_deny_with))?;
    let deny_scope = [DenyScope::Stream, DenyScope::Connection]
        .into_iter()
        .find(|scope| deny_scope_name(*scope) == told.deny_scope)
        .ok_or_else(|| unknown("scope of a reset", &told.deny_scope))?;
    let upgrades = [Upgrades::None, Upgrades::WebSocket, Upgrades::Any]
        .into_iter()
        .find(|upgrades| upgrades_name(*upgrades) == told.http_upgrades)
        .ok_or_else(|| unknown("protocol to switch to", &told.http_upgrades))?;
    let open_connections = [OpenConnections::Cut, OpenConnections::Keep]
        .into_iter()
        .find(|fate| open_connections_name(*fate) == told.open_connections)
        .ok_or_else(|| unknown("fate of open connections", &told.open_connections))?;
    let mut deviations = Deviations::default();
    for name in &told.deviations {
        let mut known = deviations_by_name(&mut deviations).into_iter();
        *known.find(|(word, _)| word == name).ok_or_else(|| unknown("deviation", name))?.1 = true;
    }
    let proto::RuleSettings { allow_localhost, extended_ip_protocols, host_must_agree, server_must_agree, .. } = *told;
    Ok(Settings {
        enforcement,
        deny_with,
        deny_names_with,
        deny_scope,
        upgrades,
        open_connections,
        deviations,
        host_must_agree,
        server_must_agree,
        allow_localhost,
        extended_ip_protocols,
        // They say what is accepted, not what it means.
        bounds: Bounds::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_as_they_went() {
        let others = Settings {
            enforcement: Enforcement::Always,
            deny_with: DenyWith::Respond,
            deny_names_with: DenyWith::Hide,
            deny_scope: DenyScope::Connection,
            upgrades: Upgrades::Any,
            open_connections: OpenConnections::Keep,
            deviations: Deviations::ALL,
            allow_localhost: false,
            host_must_agree: false,
            server_must_agree: false,
            extended_ip_protocols: true,
            bounds: Bounds::default(),
        };
        for settings in [Settings::default(), others] {
            assert_eq!(rules_from_proto(&rules_to_proto(&settings)), Ok(settings));
        }
        let mut newer = rules_to_proto(&others);
        newer.deviations.push("somethingElse".into());
        assert_eq!(rules_from_proto(&newer), Err("unknown deviation \"somethingElse\"".into()));
    }
}
