//! The settings that decide what policies mean, as the API reports them.

use portcullis_rules::{
    bounds::CompileBounds,
    settings::{Deviations, PolicySettings},
};

use super::{
    deviation_names, deviations_by_name,
    words::{self, SettingWords},
};
use crate::proto;

/// As the API has them.
pub(crate) fn rules_to_proto(settings: &PolicySettings) -> proto::RuleSettings {
    let PolicySettings {
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
    proto::RuleSettings {
        enforcement: words::ENFORCEMENT.name(enforcement).to_owned(),
        deny_with: words::DENY_WITH.name(deny_with).to_owned(),
        allow_localhost,
        deviations: deviation_names(deviations).into_iter().map(str::to_owned).collect(),
        extended_ip_protocols,
        host_must_agree,
        server_must_agree,
        deny_scope: words::DENY_SCOPE.name(deny_scope).to_owned(),
        http_upgrades: words::UPGRADES.name(upgrades).to_owned(),
        open_connections: words::OPEN_CONNECTIONS.name(open_connections).to_owned(),
        dns_deny_with: words::DNS_DENY_WITH.name(deny_names_with).to_owned(),
        never_open: Vec::new(),
        node_addresses: Vec::new(),
    }
}

fn unknown(what: &str, word: &str) -> String {
    format!("unknown {what} {word:?}")
}

fn known<T: Copy + PartialEq>(words: SettingWords<T>, word: &str, what: &str) -> Result<T, String> {
    words.value(word).ok_or_else(|| unknown(what, word))
}

/// The other way round.
///
/// # Errors
/// A word that this version does not know: the node is of another one.
pub fn rules_from_proto(told: &proto::RuleSettings) -> Result<PolicySettings, String> {
    let enforcement = known(words::ENFORCEMENT, &told.enforcement, "enforcement")?;
    let deny_with = known(words::DENY_WITH, &told.deny_with, "answer to denied requests")?;
    let deny_names_with = known(words::DNS_DENY_WITH, &told.dns_deny_with, "answer to denied queries")?;
    let deny_scope = known(words::DENY_SCOPE, &told.deny_scope, "scope of a reset")?;
    let upgrades = known(words::UPGRADES, &told.http_upgrades, "protocol to switch to")?;
    let open_connections = known(words::OPEN_CONNECTIONS, &told.open_connections, "outcome of open connections")?;
    let mut deviations = Deviations::default();
    for name in &told.deviations {
        let mut known = deviations_by_name(&mut deviations).into_iter();
        *known.find(|(word, _)| word == name).ok_or_else(|| unknown("deviation", name))?.1 = true;
    }
    let proto::RuleSettings { allow_localhost, extended_ip_protocols, host_must_agree, server_must_agree, .. } = *told;
    Ok(PolicySettings {
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
        bounds: CompileBounds::default(),
    })
}

#[cfg(test)]
mod tests {
    use portcullis_rules::settings::{DenyScope, DenyWith, Enforcement, OpenConnections, Upgrades};

    use super::*;

    #[test]
    fn settings_come_back_as_they_went() {
        let others = PolicySettings {
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
            bounds: CompileBounds::default(),
        };
        for settings in [PolicySettings::default(), others] {
            assert_eq!(rules_from_proto(&rules_to_proto(&settings)), Ok(settings));
        }
        let mut newer = rules_to_proto(&others);
        newer.deviations.push("somethingElse".into());
        assert_eq!(rules_from_proto(&newer), Err("unknown deviation \"somethingElse\"".into()));
    }
}
