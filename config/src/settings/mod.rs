//! The settings file.

mod admin;
mod compilation;
mod never_open;
mod read;
mod told;
mod values;
pub mod words;

use std::{
    fmt,
    num::NonZeroU16,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use portcullis_rules::{
    limits::{Capacity, LimitSpec, LimitValues, UPSTREAM_PORTS},
    params::{FlowParams, Timeouts},
    settings::PolicySettings as RuleSettings,
    verdict::{OutcomeSet, PolicyMode},
};

pub(crate) use self::told::rules_to_proto;
use self::words::deviations_by_name;
pub use self::{
    admin::{AdminAddress, AdminAddresses, AdminSettings},
    compilation::Compilation,
    never_open::NeverOpen,
    told::rules_from_proto,
    values::parse_time,
    words::deviation_names,
};
use crate::{names, problem::DocumentProblem, yaml};

/// Largest settings file, in bytes.
const LARGEST: u64 = 1 << 20;

/// Everything the settings file says, or its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// `api`.
    pub api: Api,
    /// `admin`: metrics, health, the dump, the log's level.
    pub admin: AdminSettings,
    /// `resources`: files and directories of resources. Relative paths are from the working directory.
    pub resources: Vec<PathBuf>,
    /// `stateDirectory`: pushed resources and the numbers of endpoints.
    pub state_directory: PathBuf,
    /// `enforcement`, `denyWith`, `denyScope`, `dnsDenyWith`, `http`, `openConnections`, `allowLocalhost`,
    /// `enableExtendedIPProtocols`, `deviations`.
    pub rules: RuleSettings,
    /// `onProxyDown`.
    pub on_proxy_down: OnProxyDownSetting,
    /// `workers`; `None` is as many as the processor quota allows.
    pub workers: Option<NonZeroU16>,
    /// `limits`.
    pub limits: LimitSettings,
    /// `timeouts`; `None` is `off`, which only those take that may be so.
    pub timeouts: Timeouts,
    /// `steering`.
    pub steering: SteeringSettings,
    /// `records`.
    pub records: RecordSettings,
    /// `fqdn`: names that are learnt.
    pub fqdn: names::NameLimits,
    /// `fqdn.neverOpen`: addresses that no name opens.
    pub never_open: NeverOpen,
    /// What is read, but should be written otherwise.
    pub warnings: Vec<DocumentProblem>,
}

/// `api`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// `api.socket`.
    pub socket: PathBuf,
    /// `api.mode`: permission bits of the socket.
    pub mode: u32,
    /// `api.group`: its group; `None` is the process's own.
    pub group: Option<String>,
    /// `api.message`: largest message of a client, in bytes.
    pub message: usize,
    /// `api.connections`: clients at the same time.
    pub connections: NonZeroU16,
}

/// `onProxyDown`: what becomes of steered flows while the proxy is not running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnProxyDownSetting {
    /// Refused at once.
    #[default]
    Refuse,
    /// Passed without judgement.
    Pass,
}

/// `limits`. Sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Those of protocols, by the keys that they publish.
    pub protocols: LimitValues,
    /// What a node holds at a time.
    pub capacity: Capacity,
    /// `policyLabels`: different values of the label `policy` in metrics; further ones count as `other`.
    pub policy_labels: usize,
    /// `compilation`: what policies may take.
    pub compilation: Compilation,
}

/// `steering`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SteeringSettings {
    /// `bpffs`: directory of pinned links and maps, on a BPF file system.
    pub bpffs: PathBuf,
    /// `cgroup`: mount point of cgroup2; `None` finds it.
    pub cgroup: Option<PathBuf>,
    /// `upstreamPorts`: source ports of connections to servers, in the endpoint's namespace.
    pub upstream_ports: RangeInclusive<u16>,
    /// `packets`: whether the packets of endpoints that have a policy are judged as well, whatever made them.
    pub packets: bool,
}

/// `records`: one JSON object for each judged request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordSettings {
    /// `to`.
    pub to: RecordsTo,
    /// `only`: the verdicts that are recorded.
    pub only: OutcomeSet,
}

/// `records.to`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RecordsTo {
    /// `none`.
    #[default]
    None,
    /// `stdout`.
    Stdout,
    /// An absolute path.
    File(PathBuf),
}

impl NodeSettings {
    /// What flows are relayed with.
    #[must_use]
    pub fn flow_params(&self) -> FlowParams {
        FlowParams {
            mode: PolicyMode::Enforce,
            timeouts: self.timeouts.clone(),
            limits: self.limits.protocols.clone(),
            records: self.records.only,
        }
    }
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            api: Api::default(),
            admin: AdminSettings::default(),
            resources: Vec::new(),
            state_directory: PathBuf::from("/var/lib/portcullis"),
            rules: RuleSettings::default(),
            on_proxy_down: OnProxyDownSetting::default(),
            workers: None,
            limits: LimitSettings::default(),
            timeouts: Timeouts::default(),
            steering: SteeringSettings::default(),
            records: RecordSettings::default(),
            fqdn: names::NameLimits::default(),
            never_open: NeverOpen::default(),
            warnings: Vec::new(),
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/run/portcullis/api.sock"),
            mode: 0o600,
            group: None,
            message: 64 << 20,
            connections: NonZeroU16::MIN.saturating_add(63),
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            protocols: LimitValues::default(),
            capacity: Capacity::default(),
            policy_labels: 1_000,
            compilation: Compilation::default(),
        }
    }
}

impl Default for SteeringSettings {
    fn default() -> Self {
        Self {
            bpffs: PathBuf::from("/sys/fs/bpf/portcullis"),
            cgroup: None,
            upstream_ports: UPSTREAM_PORTS,
            packets: true,
        }
    }
}

/// What is wrong with a settings file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidSettings {
    /// The file.
    pub path: PathBuf,
    /// What is wrong; never empty.
    pub problems: Vec<DocumentProblem>,
}

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{}:{problem}", self.path.display())?;
        }
        Ok(())
    }
}

/// Reads a settings file. What it does not say has its default. `limits` are those that protocols publish.
///
/// # Errors
/// It cannot be read, or says something unknown or impossible; nothing of it counts then.
pub fn load(path: &Path, limits: &[&'static LimitSpec]) -> Result<NodeSettings, InvalidSettings> {
    let invalid = |problems| InvalidSettings { path: path.to_owned(), problems };
    let text = read_file(path).map_err(|problem| invalid(vec![problem]))?;
    parse(&text, limits).map_err(invalid)
}

fn read_file(path: &Path) -> Result<String, DocumentProblem> {
    let failed = |error: std::io::Error| {
        DocumentProblem::new(
            "",
            format!("cannot be read: {error}"),
            "name a file that is there, with --config or without any",
        )
    };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > LARGEST {
        return Err(DocumentProblem::new(
            "",
            format!("{length} bytes are too many"),
            "a settings file has at most 1 MiB",
        ));
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// Reads the text of a settings file. `limits` are those that protocols publish.
///
/// # Errors
/// It says something unknown or impossible.
pub fn parse(text: &str, limits: &[&'static LimitSpec]) -> Result<NodeSettings, Vec<DocumentProblem>> {
    let tree = yaml::parse(text).map_err(|problem| vec![problem])?;
    read::settings(&tree, limits)
}
