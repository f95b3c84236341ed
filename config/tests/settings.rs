//! The settings file.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use portcullis_config::{
    DocumentProblem,
    settings::{self, InvalidSettings, NodeSettings, OnProxyDownSetting, RecordsTo},
};
use portcullis_rules::{
    limits::{LimitSpec, Unit},
    settings::{DenyScope, DenyWith, Deviations, Enforcement, OpenConnections, Upgrades},
    verdict::OutcomeSet,
};

const fn limit(key: &'static str, unit: Unit, default: u64, least: u64, most: u64) -> LimitSpec {
    LimitSpec { key, unit, default, least, most, meaning: "" }
}

/// As protocols publish them.
static LIMITS: [LimitSpec; 6] = [
    limit("requestHead", Unit::Bytes, 128 << 10, 1 << 10, 8 << 20),
    limit("pipelined", Unit::Count, 1, 1, 10_000_000),
    limit("chunkExtensions", Unit::Bytes, 0, 0, 64 << 20),
    limit("http2.streams", Unit::Count, 1024, 1, 10_000_000),
    limit("http2.extendedConnect", Unit::Switch, 0, 0, 1),
    limit("kafka.topicIds", Unit::Words(&["learn", "cap"]), 0, 0, 1),
];

fn parse(text: &str) -> Result<NodeSettings, Vec<DocumentProblem>> {
    settings::parse(text, &LIMITS.each_ref())
}

fn load(path: &Path) -> Result<NodeSettings, InvalidSettings> {
    settings::load(path, &LIMITS.each_ref())
}

#[test]
fn an_empty_file_is_all_defaults() {
    for text in ["", "# nothing\n", "---\n", "{}\n", "limits:\nresources:\n"] {
        assert_eq!(parse(text).unwrap(), NodeSettings::default(), "{text:?}");
    }
    let defaults = NodeSettings::default();
    assert_eq!(defaults.api.socket, Path::new("/run/portcullis/api.sock"));
    let admin: Vec<_> = defaults.admin.addresses.0.iter().map(ToString::to_string).collect();
    assert_eq!(admin, ["127.0.0.1:9902", "unix:/run/portcullis/admin.sock"]);
    assert_eq!((defaults.admin.mode, defaults.admin.everything_by_tcp), (0o600, false));
    assert_eq!(defaults.state_directory, Path::new("/var/lib/portcullis"));
    assert!(defaults.rules.allow_localhost);
}

#[test]
fn every_key_is_read() {
    let text = "\
api: {socket: /tmp/s, mode: \"0660\", group: ops, message: 1MiB, connections: 8}
admin: {address: ['[::1]:1', 'unix:/tmp/a'], mode: \"0640\", group: ops, tcp: everything, connections: 9, timeout: 3s}
resources: [/etc/a, b]
stateDirectory: /tmp/state
enforcement: always
denyWith: respond
denyScope: connection
http: {upgrades: any}
openConnections: keep
onProxyDown: pass
workers: 3
dnsDenyWith: nxdomain
allowLocalhost: false
enableExtendedIPProtocols: true
deviations: {emptyRuleAllows: true, l7BindsBesideL4: true, kubeDnsEntity: true, namesWithoutDnsRule: true, l7OnNodes: true}
limits: {requestHead: 8MiB, pipelined: 2, chunkExtensions: 3B,
  connections: 4, connectionsPerEndpoint: 21, flows: 22, flowsPerEndpoint: 23, openFiles: 24, openFilesPerEndpoint: 25, policyLabels: 5,
  bufferedBytes: 32MiB, bufferedBytesPerEndpoint: 8MiB,
  compilation: {memory: 96MiB, policyMemory: auto, work: 5000000},
  http2: {streams: 10, extendedConnect: true}, kafka: {topicIds: cap}}
timeouts: {firstByte: off, head: 500ms, expect: off, connect: 2m, idle: 1h, total: 24h, halfClosed: off, clientGone: 7s, answer: 3s,
  commit: 200ms}
steering: {bpffs: /sys/fs/bpf/p, cgroup: /sys/fs/cgroup, upstreamPorts: 1-65535, packets: false}
fqdn: {hostMustAgree: false, serverMustAgree: false, minTtl: 1h, unselectedTtl: 2h, grace: off, addressesPerName: 7,
  namesPerAddress: 8, addressesPerEndpoint: 10, addresses: 9, neverOpen: [10.0.0.0/8, 'fd00::1']}
records: {to: /var/log/r.json, only: denied}
";
    let settings = parse(text).unwrap();
    assert_eq!((settings.api.socket, settings.api.mode), (PathBuf::from("/tmp/s"), 0o660));
    assert_eq!((settings.api.group.as_deref(), settings.api.message), (Some("ops"), 1 << 20));
    assert_eq!(settings.api.connections.get(), 8);
    let admin = &settings.admin;
    let addresses: Vec<_> = admin.addresses.0.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["[::1]:1", "unix:/tmp/a"]);
    assert_eq!((admin.mode, admin.group.as_deref(), admin.everything_by_tcp), (0o640, Some("ops"), true));
    assert_eq!((admin.connections.get(), admin.timeout.as_secs()), (9, 3));
    for off in ["admin: {address: off}", "admin: {address: 'off'}", "admin: {address: []}"] {
        assert_eq!(parse(off).unwrap().admin.addresses.0, [], "{off}");
    }
    let compilation = settings.limits.compilation;
    assert_eq!((compilation.memory, compilation.policy_memory, compilation.work), (Some(96 << 20), None, 5_000_000));
    let bounds = compilation.bounds(1 << 40);
    assert_eq!((bounds.memory, bounds.policy_memory, bounds.work), (96 << 20, 24 << 20, 5_000_000));
    let automatic = parse("").unwrap().limits.compilation;
    for (available, memory) in [(512 << 20, 128 << 20), (1 << 20, 16 << 20), (1 << 40, 1 << 30)] {
        assert_eq!(
            (automatic.bounds(available).memory, automatic.bounds(available).policy_memory),
            (memory, memory / 4)
        );
    }
    assert_eq!(settings.resources, [PathBuf::from("/etc/a"), PathBuf::from("b")]);
    assert_eq!(settings.state_directory, Path::new("/tmp/state"));
    assert_eq!(settings.rules.enforcement, Enforcement::Always);
    assert_eq!(settings.rules.deny_with, DenyWith::Respond);
    assert_eq!(settings.rules.deny_names_with, DenyWith::Hide);
    assert_eq!(settings.rules.deny_scope, DenyScope::Connection);
    assert_eq!(settings.rules.upgrades, Upgrades::Any);
    assert_eq!(settings.rules.open_connections, OpenConnections::Keep);
    assert!(!settings.rules.allow_localhost && settings.rules.extended_ip_protocols);
    let Deviations { empty_rule_allows, l7_binds_beside_l4, kube_dns_entity, names_without_dns_rule, l7_on_nodes } =
        settings.rules.deviations;
    assert!(empty_rule_allows && l7_binds_beside_l4 && kube_dns_entity && names_without_dns_rule && l7_on_nodes);
    assert_eq!(settings.on_proxy_down, OnProxyDownSetting::Pass);
    assert_eq!(settings.workers.unwrap().get(), 3);
    let limits = settings.limits;
    assert_eq!(LIMITS.each_ref().map(|spec| limits.protocols.of(spec)), [8 << 20, 2, 3, 10, 1, 1]);
    assert_eq!((limits.capacity.connections, limits.policy_labels), (4, 5));
    let timeouts = settings.timeouts;
    assert_eq!((timeouts.head, timeouts.connect), (Duration::from_millis(500), Duration::from_secs(120)));
    assert_eq!(timeouts.expect, None);
    assert_eq!(timeouts.idle, Some(Duration::from_secs(3600)));
    assert_eq!((timeouts.total, timeouts.half_closed), (Some(Duration::from_secs(86_400)), None));
    assert_eq!(timeouts.client_gone, Some(Duration::from_secs(7)));
    assert_eq!((timeouts.answer, timeouts.commit), (Duration::from_secs(3), Duration::from_millis(200)));
    assert_eq!(settings.steering.bpffs, Path::new("/sys/fs/bpf/p"));
    assert_eq!(settings.steering.cgroup.as_deref(), Some(Path::new("/sys/fs/cgroup")));
    assert_eq!(settings.steering.upstream_ports, 1..=65535);
    assert!(!settings.steering.packets);
    let fqdn = settings.fqdn;
    assert!(!settings.rules.host_must_agree && !settings.rules.server_must_agree);
    assert_eq!(
        (limits.capacity.connections_per_endpoint, limits.capacity.flows, limits.capacity.flows_per_endpoint),
        (Some(21), 22, Some(23))
    );
    assert_eq!((limits.capacity.open_files, limits.capacity.open_files_per_endpoint), (Some(24), Some(25)));
    assert_eq!(
        (limits.capacity.buffered_bytes, limits.capacity.buffered_bytes_per_endpoint),
        (32 << 20, Some(8 << 20))
    );
    assert_eq!((timeouts.first_byte, fqdn.unselected_ttl, fqdn.addresses_per_endpoint), (None, 7200, Some(10)));
    let never: Vec<String> = settings.never_open.ranges.iter().map(ToString::to_string).collect();
    assert_eq!((never, settings.never_open.node), (vec!["10.0.0.0/8".to_owned(), "fd00::1/128".to_owned()], false));
    assert_eq!((fqdn.min_ttl, fqdn.grace, fqdn.addresses_per_name), (3600, 0, 7));
    assert_eq!((fqdn.names_per_address, fqdn.addresses), (8, 9));
    assert_eq!(settings.records.to, RecordsTo::File("/var/log/r.json".into()));
    assert_eq!(settings.records.only, OutcomeSet::VIOLATIONS);
}

#[test]
fn no_grace_may_be_written_as_off_or_as_no_seconds() {
    for none in ["off", "false", "0s", "0m", "0ms"] {
        let fqdn = parse(&format!("fqdn: {{grace: {none}, minTtl: {none}}}\n")).unwrap().fqdn;
        assert_eq!((fqdn.grace, fqdn.min_ttl), (0, 0), "{none}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_a_remedy() {
    let table = [
        ("enforcment: always\n", "1:1: enforcment: unknown field (did you mean enforcement?)"),
        ("enforcement: Always\n", "1:14: enforcement: unknown value \"Always\" (write default or always or never)"),
        (
            "fqdn: {grace: 500ms}\n",
            "1:15: fqdn.grace: is no whole number of seconds (write off, or a number with a unit, such as 30s or 1h",
        ),
        ("fqdn: {grace: 0}\n", "1:15: fqdn.grace: is no time (write off, or a number with a unit"),
        ("fqdn: {minTtl: 721h}\n", "1:16: fqdn.minTtl: is no time (write off, or a number with a unit"),
        ("enforcement:\n  - always\n", "2:3: enforcement: has to be a string"),
        ("api:\n  port: 1\n", "2:3: api.port: unknown field"),
        ("api: {socket: run/s}\n", "1:15: api.socket: \"run/s\" is not an absolute path"),
        ("api: {mode: 600}\n", "1:13: api.mode: is no file mode"),
        ("api: {mode: \"0999\"}\n", "1:13: api.mode: is no file mode"),
        ("admin: {address: 9902}\n", "1:18: admin.address: has to be a string"),
        ("admin: {address: ['unix:x']}\n", "1:19: admin.address[0]: is no absolute path of a socket"),
        ("admin: {tcp: all}\n", "1:14: admin.tcp: "),
        ("limits: {compilation: {memory: 1KiB}}\n", "1:32: limits.compilation.memory: 1KiB is out of range"),
        ("admin: {address: localhost}\n", "1:18: admin.address: is no address with a port"),
        ("resources: /etc/a\n", "1:12: resources: has to be a list"),
        ("workers: 0\n", "1:10: workers: 0 is out of range (write a whole number from 1 to 256, without quotes)"),
        ("allowLocalhost: 1\n", "1:17: allowLocalhost: has to be true or false"),
        ("deviations: {all: true}\n", "1:14: deviations.all: unknown field"),
        (
            "limits: {requestHead: 9MiB}\n",
            "1:23: limits.requestHead: 9MiB is out of range (write a size from 1KiB to 8MiB)",
        ),
        ("limits: {requestHead: 8mb}\n", "1:23: limits.requestHead: is no size"),
        ("limits: {requestHead: -1}\n", "1:23: limits.requestHead: is no size"),
        ("limits: {pipelined: 0}\n", "1:21: limits.pipelined: 0 is out of range"),
        ("limits: {http2: {streams: 0}}\n", "1:27: limits.http2.streams: 0 is out of range"),
        ("limits: {http2: {extendedConnect: 1}}\n", "1:35: limits.http2.extendedConnect: has to be true or false"),
        (
            "limits: {kafka: {topicIds: 0}}\n",
            "1:28: limits.kafka.topicIds: has to be a string, but is a number (write learn or cap",
        ),
        (
            "limits: {kafka: {topicIds: Cap}}\n",
            "1:28: limits.kafka.topicIds: unknown value \"Cap\" (write learn or cap)",
        ),
        ("limits: {http2: {stream: 1}}\n", "1:18: limits.http2.stream: unknown field (did you mean streams?)"),
        (
            "limits: {flowsPerEndpoint: some}\n",
            "1:28: limits.flowsPerEndpoint: is neither a number nor auto (write auto, or",
        ),
        ("limits: {flowsPerEndpoint: 0}\n", "1:28: limits.flowsPerEndpoint: 0 is out of range"),
        ("fqdn: {neverOpen: nodes}\n", "1:19: fqdn.neverOpen: has to be a list"),
        ("fqdn: {neverOpen: [10.0.0.1/8]}\n", "1:20: fqdn.neverOpen[0]: \"10.0.0.1/8\" is no range of addresses"),
        (
            "fqdn: {neverOpen: [host]}\n",
            "1:20: fqdn.neverOpen[0]: \"host\" is no range of addresses (write node, an address",
        ),
        ("timeouts: {head: off}\n", "1:18: timeouts.head: is no time"),
        ("timeouts: {idle: 30}\n", "1:18: timeouts.idle: is no time"),
        ("timeouts: {idle: 0s}\n", "1:18: timeouts.idle: is no time (write off, or a number with a unit"),
        ("timeouts: {idle: 99999999999999999999s}\n", "1:18: timeouts.idle: is no time"),
        ("steering: {upstreamPorts: 2-1}\n", "1:27: steering.upstreamPorts: \"2-1\" is no range of ports"),
        ("records: {to: here}\n", "1:15: records.to: unknown value \"here\""),
        ("records: {only: some}\n", "1:17: records.only: unknown value \"some\""),
        ("workers: 1\nworkers: 2\n", "2:1: cannot be read: duplicate mapping key `workers`"),
        ("- a\n", "1:1: has to be a mapping"),
    ];
    for (text, expected) in table {
        let problems = parse(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let told = problems[0].to_string();
        assert!(told.starts_with(expected) && told.ends_with(')'), "{text}{told}");
    }
}

#[test]
fn every_fault_of_a_file_is_told_with_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.yaml");
    std::fs::write(&path, "workers: x\n\nlimits:\n  trailer: 1\n").unwrap();
    let told = load(&path).unwrap_err().to_string();
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].starts_with(&format!("{}:1:10: workers: ", path.display())), "{told}");
    assert!(lines[1].starts_with(&format!("{}:4:3: limits.trailer: unknown field", path.display())), "{told}");
    assert_eq!(lines.len(), 2);
    let told = load(&directory.path().join("none.yaml")).unwrap_err().to_string();
    assert!(told.contains("none.yaml:cannot be read: No such file"), "{told}");
}

#[test]
fn a_former_name_of_a_setting_is_read_with_a_warning_and_not_beside_the_new_one() {
    let settings = parse("steering: {legPorts: 7-9}\n").unwrap();
    assert_eq!(settings.steering.upstream_ports, 7..=9);
    let warnings: Vec<_> = settings.warnings.iter().map(ToString::to_string).collect();
    let expected = "1:12: steering.legPorts: has another name now (write upstreamPorts: the next release does not know the former name)";
    assert_eq!(warnings, [expected]);
    let problems = parse("steering: {legPorts: 7-9, upstreamPorts: 7-9}\n").unwrap_err();
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["1:12: steering.legPorts: is there under both its names (remove it: upstreamPorts is its name now)"]
    );
    let problems = parse("steering: {legPort: 7-9}\n").unwrap_err();
    assert!(!problems[0].remedy.contains("legPorts"), "nobody is led to the former name: {}", problems[0]);
}
