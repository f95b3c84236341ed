//! Reads the tree of a settings file into values.

use std::{num::NonZeroU16, path::PathBuf};

use portcullis_rules::{
    limits::{LimitSpec, LimitValues, Unit},
    params::Timeouts,
    settings::Deviations,
    verdict::OutcomeSet,
};

use super::{
    AdminAddress, AdminAddresses, AdminSettings, Compilation, LimitSettings, NeverOpen, NodeSettings, RecordSettings,
    RecordsTo, SteeringSettings, deviations_by_name, values, words,
};
use crate::{
    names,
    problem::DocumentProblem,
    yaml::{Fields, Tree, YamlField, YamlValue},
};

/// Most memory of one worker for requests that are held as a whole.
const LARGEST_BUDGET: usize = 1 << 40;
/// Largest message of the API.
const LARGEST_MESSAGE: usize = 1 << 30;
/// Most memory that policies may be given.
const LARGEST_COMPILATION: usize = 64 << 30;
/// Most steps that a compilation may be given.
const MOST_WORK: u64 = 1_000_000_000_000;
/// Most of what is counted in pieces.
const MOST: u64 = 10_000_000;
/// Most threads of the data plane.
const MOST_WORKERS: u64 = 256;

/// Reads all settings; an empty file is all defaults.
pub(super) fn settings(tree: &Tree, specs: &[&'static LimitSpec]) -> Result<NodeSettings, Vec<DocumentProblem>> {
    let mut settings = NodeSettings::default();
    let mut problems = Vec::new();
    if tree.value != YamlValue::Null {
        let mut fields = YamlField::root(tree).fields(&mut problems);
        places(&mut fields, &mut settings, &mut problems);
        policy(&mut fields, &mut settings, &mut problems);
        section(&mut fields, "limits", &mut problems, |fields, problems| {
            limits(fields, specs, &mut settings.limits, problems)
        });
        section(&mut fields, "timeouts", &mut problems, |fields, problems| {
            timeouts(fields, &mut settings.timeouts, problems);
        });
        section(&mut fields, "steering", &mut problems, |fields, problems| {
            steering(fields, &mut settings.steering, problems);
        });
        section(&mut fields, "records", &mut problems, |fields, problems| {
            records(fields, &mut settings.records, problems);
        });
        section(&mut fields, "fqdn", &mut problems, |fields, problems| {
            fqdn(fields, &mut settings.fqdn, problems);
            set(fields, "hostMustAgree", &mut settings.rules.host_must_agree, problems, truth);
            set(fields, "serverMustAgree", &mut settings.rules.server_must_agree, problems, truth);
            set(fields, "neverOpen", &mut settings.never_open, problems, never_open);
        });
        fields.finish(&[], &mut problems);
    }
    problems.sort_by_key(|problem| (problem.position.line, problem.position.column));
    if problems.iter().any(|problem| !problem.warning) {
        return Err(problems);
    }
    settings.warnings = problems;
    Ok(settings)
}

/// A mapping below a key that may be absent.
fn section(
    fields: &mut Fields<'_>,
    name: &'static str,
    problems: &mut Vec<DocumentProblem>,
    read: impl FnOnce(&mut Fields<'_>, &mut Vec<DocumentProblem>),
) {
    if let Some(field) = fields.optional(name) {
        let mut fields = field.fields(problems);
        read(&mut fields, problems);
        fields.finish(&[], problems);
    }
}

/// Sets a value if its field is there and sound.
fn set<T>(
    fields: &mut Fields<'_>,
    name: &'static str,
    target: &mut T,
    problems: &mut Vec<DocumentProblem>,
    read: impl FnOnce(&YamlField<'_>, &mut Vec<DocumentProblem>) -> Option<T>,
) {
    if let Some(value) = fields.optional(name).and_then(|field| read(&field, problems)) {
        *target = value;
    }
}

fn places(fields: &mut Fields<'_>, settings: &mut NodeSettings, problems: &mut Vec<DocumentProblem>) {
    let absolute = |field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>| values::path(field, true, problems);
    section(fields, "api", problems, |fields, problems| {
        set(fields, "socket", &mut settings.api.socket, problems, absolute);
        set(fields, "mode", &mut settings.api.mode, problems, values::mode);
        set(fields, "group", &mut settings.api.group, problems, group);
        set(fields, "message", &mut settings.api.message, problems, |field, problems| {
            values::size(field, 64 << 10, LARGEST_MESSAGE, problems)
        });
        set(fields, "connections", &mut settings.api.connections, problems, connections);
    });
    section(fields, "admin", problems, |fields, problems| admin(fields, &mut settings.admin, problems));
    set(fields, "resources", &mut settings.resources, problems, |field, problems| {
        let items = field.items(problems);
        let paths: Vec<PathBuf> = items.iter().filter_map(|item| values::path(item, false, problems)).collect();
        Some(paths)
    });
    set(fields, "stateDirectory", &mut settings.state_directory, problems, absolute);
}

fn admin(fields: &mut Fields<'_>, admin: &mut AdminSettings, problems: &mut Vec<DocumentProblem>) {
    const BY_TCP: &[(&str, bool)] = &[("metrics", false), ("everything", true)];
    set(fields, "address", &mut admin.addresses, problems, |field, problems| {
        if matches!(&field.tree.value, YamlValue::Boolean(false)) {
            return Some(AdminAddresses::default());
        }
        let listed = matches!(field.tree.value, YamlValue::List(_)).then(|| field.items(problems));
        let Some(items) = listed else {
            if field.text(problems)? == "off" {
                return Some(AdminAddresses::default());
            }
            return Some(AdminAddresses(vec![admin_address(field, problems)?]));
        };
        let addresses: Vec<_> = items.iter().filter_map(|item| admin_address(item, problems)).collect();
        Some(AdminAddresses(addresses))
    });
    set(fields, "mode", &mut admin.mode, problems, values::mode);
    set(fields, "group", &mut admin.group, problems, group);
    set(fields, "tcp", &mut admin.everything_by_tcp, problems, |field, problems| field.word(BY_TCP, problems));
    set(fields, "connections", &mut admin.connections, problems, connections);
    set(fields, "timeout", &mut admin.timeout, problems, values::time);
}

fn admin_address(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<AdminAddress> {
    match field.text(problems)?.parse() {
        Ok(address) => Some(address),
        Err(message) => {
            let remedy = "write off, ADDRESS:PORT, unix:PATH, or a list of these: 127.0.0.1:9902";
            problems.push(field.problem(message, remedy));
            None
        }
    }
}

fn group(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<Option<String>> {
    field.text(problems).map(|name| Some(name.to_owned()))
}

fn connections(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<NonZeroU16> {
    let number = field.number(1, u16::MAX.into(), problems)?;
    u16::try_from(number).ok().and_then(NonZeroU16::new)
}

fn policy(fields: &mut Fields<'_>, settings: &mut NodeSettings, problems: &mut Vec<DocumentProblem>) {
    let rules = &mut settings.rules;
    set(fields, "enforcement", &mut rules.enforcement, problems, |field, problems| {
        field.word(words::ENFORCEMENT.0, problems)
    });
    set(fields, "denyWith", &mut rules.deny_with, problems, |field, problems| field.word(words::DENY_WITH.0, problems));
    set(fields, "dnsDenyWith", &mut rules.deny_names_with, problems, |field, problems| {
        field.word(words::DNS_DENY_WITH.0, problems)
    });
    set(fields, "denyScope", &mut rules.deny_scope, problems, |field, problems| {
        field.word(words::DENY_SCOPE.0, problems)
    });
    section(fields, "http", problems, |fields, problems| {
        set(fields, "upgrades", &mut rules.upgrades, problems, |field, problems| {
            field.word(words::UPGRADES.0, problems)
        });
    });
    set(fields, "openConnections", &mut rules.open_connections, problems, |field, problems| {
        field.word(words::OPEN_CONNECTIONS.0, problems)
    });
    set(fields, "allowLocalhost", &mut rules.allow_localhost, problems, truth);
    set(fields, "enableExtendedIPProtocols", &mut rules.extended_ip_protocols, problems, truth);
    set(fields, "onProxyDown", &mut settings.on_proxy_down, problems, |field, problems| {
        field.word(words::ON_PROXY_DOWN.0, problems)
    });
    set(fields, "workers", &mut settings.workers, problems, |field, problems| {
        let number = field.number(1, MOST_WORKERS, problems)?;
        Some(u16::try_from(number).ok().and_then(NonZeroU16::new))
    });
    section(fields, "deviations", problems, |fields, problems| deviations(fields, &mut rules.deviations, problems));
}

fn deviations(fields: &mut Fields<'_>, deviations: &mut Deviations, problems: &mut Vec<DocumentProblem>) {
    for (name, deviation) in deviations_by_name(deviations) {
        set(fields, name, deviation, problems, truth);
    }
}

fn limits(
    fields: &mut Fields<'_>,
    specs: &[&'static LimitSpec],
    limits: &mut LimitSettings,
    problems: &mut Vec<DocumentProblem>,
) {
    let count = |field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>| {
        field.number(1, MOST, problems).and_then(|number| usize::try_from(number).ok())
    };
    of_protocols(fields, specs, &mut limits.protocols, problems);
    let capacity = &mut limits.capacity;
    set(fields, "connections", &mut capacity.connections, problems, count);
    set(fields, "connectionsPerEndpoint", &mut capacity.connections_per_endpoint, problems, share);
    set(fields, "flows", &mut capacity.flows, problems, count);
    set(fields, "flowsPerEndpoint", &mut capacity.flows_per_endpoint, problems, share);
    set(fields, "openFiles", &mut capacity.open_files, problems, share);
    set(fields, "openFilesPerEndpoint", &mut capacity.open_files_per_endpoint, problems, share);
    set(fields, "bufferedBytes", &mut capacity.buffered_bytes, problems, |field, problems| {
        values::size(field, 0, LARGEST_BUDGET, problems)
    });
    set(fields, "bufferedBytesPerEndpoint", &mut capacity.buffered_bytes_per_endpoint, problems, |field, problems| {
        if is_auto(field) { Some(None) } else { values::size(field, 0, LARGEST_BUDGET, problems).map(Some) }
    });
    set(fields, "policyLabels", &mut limits.policy_labels, problems, count);
    section(fields, "compilation", problems, |fields, problems| {
        compilation(fields, &mut limits.compilation, problems);
    });
}

fn is_auto(field: &YamlField<'_>) -> bool {
    matches!(&field.tree.value, YamlValue::Text(text) if text == "auto")
}

fn compilation(fields: &mut Fields<'_>, compilation: &mut Compilation, problems: &mut Vec<DocumentProblem>) {
    let memory = |field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>| {
        if is_auto(field) { Some(None) } else { values::size(field, 1 << 20, LARGEST_COMPILATION, problems).map(Some) }
    };
    set(fields, "memory", &mut compilation.memory, problems, memory);
    set(fields, "policyMemory", &mut compilation.policy_memory, problems, memory);
    set(fields, "work", &mut compilation.work, problems, |field, problems| {
        field.number(1_000_000, MOST_WORK, problems)
    });
}

/// The limits that protocols publish. A dot in a key leads one mapping deeper.
fn of_protocols(
    fields: &mut Fields<'_>,
    specs: &[&'static LimitSpec],
    values: &mut LimitValues,
    problems: &mut Vec<DocumentProblem>,
) {
    let parts: Vec<_> = specs.iter().map(|spec| (spec.key.split_once('.'), *spec)).collect();
    for (parted, spec) in &parts {
        if parted.is_none() {
            of_protocol(fields, spec.key, spec, values, problems);
        }
    }
    let mut inner: Vec<&'static str> = parts.iter().filter_map(|(parted, _)| parted.map(|(outer, _)| outer)).collect();
    inner.sort_unstable();
    inner.dedup();
    for outer in inner {
        section(fields, outer, problems, |fields, problems| {
            for (parted, spec) in &parts {
                if let Some((_, key)) = parted.filter(|(of, _)| *of == outer) {
                    of_protocol(fields, key, spec, values, problems);
                }
            }
        });
    }
}

fn of_protocol(
    fields: &mut Fields<'_>,
    key: &'static str,
    spec: &LimitSpec,
    values: &mut LimitValues,
    problems: &mut Vec<DocumentProblem>,
) {
    let Some(field) = fields.optional(key) else { return };
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let value = match spec.unit {
        Unit::Bytes => values::size(&field, size(spec.least), size(spec.most), problems).map(|size| size as u64),
        Unit::Count => field.number(spec.least, spec.most, problems),
        Unit::Switch => field.boolean(problems).map(u64::from),
        Unit::Words(words) => field.word(&words.iter().copied().zip(0..).collect::<Vec<_>>(), problems),
    };
    if let Some(value) = value {
        values.set(spec, value);
    }
}

fn timeouts(fields: &mut Fields<'_>, timeouts: &mut Timeouts, problems: &mut Vec<DocumentProblem>) {
    set(fields, "firstByte", &mut timeouts.first_byte, problems, values::time_or_off);
    set(fields, "head", &mut timeouts.head, problems, values::time);
    set(fields, "expect", &mut timeouts.expect, problems, values::time_or_off);
    set(fields, "connect", &mut timeouts.connect, problems, values::time);
    set(fields, "idle", &mut timeouts.idle, problems, values::time_or_off);
    set(fields, "total", &mut timeouts.total, problems, values::time_or_off);
    set(fields, "halfClosed", &mut timeouts.half_closed, problems, values::time_or_off);
    set(fields, "clientGone", &mut timeouts.client_gone, problems, values::time_or_off);
    set(fields, "answer", &mut timeouts.answer, problems, values::time);
    set(fields, "commit", &mut timeouts.commit, problems, values::time);
}

fn steering(fields: &mut Fields<'_>, steering: &mut SteeringSettings, problems: &mut Vec<DocumentProblem>) {
    let absolute = |field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>| values::path(field, true, problems);
    set(fields, "bpffs", &mut steering.bpffs, problems, absolute);
    set(fields, "cgroup", &mut steering.cgroup, problems, |field, problems| absolute(field, problems).map(Some));
    let ports = fields.renamed("legPorts", "upstreamPorts", problems);
    if let Some(ports) = ports.and_then(|field| values::ports(&field, problems)) {
        steering.upstream_ports = ports;
    }
    set(fields, "packets", &mut steering.packets, problems, truth);
}

fn fqdn(fields: &mut Fields<'_>, limits: &mut names::NameLimits, problems: &mut Vec<DocumentProblem>) {
    let count = |field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>| {
        field.number(1, MOST, problems).and_then(|number| usize::try_from(number).ok())
    };
    set(fields, "minTtl", &mut limits.min_ttl, problems, values::seconds);
    set(fields, "unselectedTtl", &mut limits.unselected_ttl, problems, values::seconds);
    set(fields, "grace", &mut limits.grace, problems, values::seconds);
    set(fields, "addressesPerName", &mut limits.addresses_per_name, problems, count);
    set(fields, "namesPerAddress", &mut limits.names_per_address, problems, count);
    set(fields, "addressesPerEndpoint", &mut limits.addresses_per_endpoint, problems, share);
    set(fields, "addresses", &mut limits.addresses, problems, count);
}

/// A number for one endpoint, or `auto`: as many as are still free.
fn share(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<Option<usize>> {
    if matches!(&field.tree.value, YamlValue::Text(text) if text == "auto") {
        return Some(None);
    }
    if !matches!(&field.tree.value, YamlValue::Integer(_)) {
        problems.push(field.problem("is neither a number nor auto", "write auto, or a whole number without quotes"));
        return None;
    }
    field.number(1, MOST, problems).and_then(|number| usize::try_from(number).ok()).map(Some)
}

/// Ranges, and `node`.
fn never_open(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<NeverOpen> {
    let mut never = NeverOpen { ranges: Vec::new(), node: false };
    let before = problems.len();
    for item in field.items(problems) {
        match item.text(problems) {
            Some("node") => never.node = true,
            Some(text) => never.ranges.extend(values::range(&item, text, problems)),
            None => {}
        }
    }
    (problems.len() == before).then_some(never)
}

fn records(fields: &mut Fields<'_>, records: &mut RecordSettings, problems: &mut Vec<DocumentProblem>) {
    set(fields, "to", &mut records.to, problems, |field, problems| match field.text(problems)? {
        "none" => Some(RecordsTo::None),
        "stdout" => Some(RecordsTo::Stdout),
        path if path.starts_with('/') => values::path(field, true, problems).map(RecordsTo::File),
        other => {
            problems.push(field.problem(format!("unknown value {other:?}"), "write none, stdout or an absolute path"));
            None
        }
    });
    set(fields, "only", &mut records.only, problems, |field, problems| {
        field.word(&[("all", OutcomeSet::ALL), ("denied", OutcomeSet::VIOLATIONS)], problems)
    });
}

fn truth(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<bool> {
    field.boolean(problems)
}
