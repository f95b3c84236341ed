//! The arguments of the command line. The comments here are its help.

use std::{num::NonZeroU64, path::PathBuf, time::Duration};

use clap::{
    Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use portcullis_codecs::Registry;
use portcullis_config::settings::{
    AdminAddresses, OnProxyDownSetting, parse_time,
    words::{self, SettingWords},
};
use portcullis_rules::settings::{DenyWith, Enforcement};

use crate::{
    cli::{
        explain::{
            arguments::{EXPLAIN_HELP, ExplainArguments},
            flags,
        },
        kinds::{KindArg, ShownKind},
        lint, test,
    },
    render::Format,
};

/// Version of the package, the commit it was built from, and the compiler.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("PORTCULLIS_BUILD_REVISION"),
    ", ",
    env!("PORTCULLIS_BUILD_RUSTC"),
    ")"
);

/// Where the node listens unless told otherwise.
pub const DEFAULT_SERVER: &str = "unix:/run/portcullis/api.sock";

/// Network policy that understands applications, on any node, beside any CNI.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version = VERSION, propagate_version = true, after_long_help = EXIT_CODES)]
#[command(max_term_width = 100, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: CliCommand,
    /// The API socket of the node to talk to
    #[arg(long, global = true, display_order = 990, env = "PORTCULLIS_SERVER", value_name = "unix:PATH", default_value = DEFAULT_SERVER)]
    pub server: String,
    /// Output format
    #[arg(
        short = 'o',
        long = "output",
        global = true,
        display_order = 991,
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub format: Format,
}

/// The command line, with the words of these protocols.
#[must_use]
pub fn command(protocols: Registry) -> clap::Command {
    Arguments::command().mut_subcommand("explain", |explain| flags::add(explain, protocols))
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused by the node, or failed
  2  the command line is wrong
  3  a document or a settings file is wrong

Environment:
  NO_COLOR            set and not empty: no colours (there are none outside a terminal)
  PORTCULLIS_SERVER   the same as --server

Examples:
  portcullis run --config /etc/portcullis/portcullis.yaml
  portcullis apply -f endpoints.yaml -f policies/
  portcullis monitor --denied
  portcullis status -o json";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Run the node: steer, judge and relay until it is stopped
    #[command(after_long_help = RUN_HELP)]
    Run(Box<RunArguments>),
    /// Remove the programs, rules and routes of a stopped node, so that all traffic passes
    #[command(after_long_help = RELEASE_HELP)]
    Release(ReleaseArguments),
    /// Apply policies, endpoints, services, CIDR groups and secrets from files, directories or standard input
    #[command(after_long_help = APPLY_HELP)]
    Apply(ApplyArguments),
    /// Remove resources by name, or those in files
    #[command(after_long_help = DELETE_HELP)]
    Delete(DeleteArguments),
    /// Show resources: what is in force, where it came from, what was refused; and learned names
    #[command(after_long_help = GET_HELP)]
    Get(GetArguments),
    /// Show the state of the node
    #[command(after_long_help = STATUS_HELP)]
    Status,
    /// Show verdicts live, one line each
    #[command(after_long_help = MONITOR_HELP)]
    Monitor(MonitorArguments),
    /// Explain what policies decide about a flow or a request: those of files, or those of the running node
    #[command(after_long_help = EXPLAIN_HELP)]
    Explain(Box<ExplainArguments>),
    /// Check policies for what their author probably did not mean
    #[command(after_long_help = lint::arguments::HELP)]
    Lint(lint::arguments::LintArguments),
    /// Run policy tests: questions with expected answers
    #[command(after_long_help = test::arguments::HELP)]
    Test(test::arguments::TestArguments),
    /// Print a completion script for a shell
    #[command(after_long_help = COMPLETION_HELP)]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory, or the main one to standard output
    #[command(after_long_help = MAN_HELP)]
    Man {
        /// The directory; it must exist
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        directory: Option<PathBuf>,
    },
}

const RUN_HELP: &str = "\
A flag overrides its environment variable, which overrides the settings file, which overrides the default.
Needs root with the capabilities NET_ADMIN, NET_RAW, BPF, PERFMON and SYS_ADMIN (to enter network namespaces).

Signals:
  TERM, INT   stop: accept no new connections, let open ones end. Steered flows are refused until the next start, as
              after a crash; portcullis release (or --release-on-stop) lets them pass
  TERM again  stop at once
  HUP         read the files again

Examples:
  portcullis run
  portcullis run --check --config /etc/portcullis/portcullis.yaml && systemctl restart portcullis
  portcullis run --resources ./policies --enforcement always --release-on-stop";

const RELEASE_HELP: &str = "\
A stopped or crashed node leaves its steering in place: flows that policy wants judged are refused until it runs again.
This command removes all of it. It fails while a node runs.

Examples:
  systemctl stop portcullis && portcullis release
  portcullis release --config /etc/portcullis/portcullis.yaml";

const APPLY_HELP: &str = "\
Files contain one or more YAML documents: CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy, CiliumCIDRGroup,
NetworkPolicy of networking.k8s.io/v1, Secret of v1, and NetworkPolicy, ClusterwideNetworkPolicy, Endpoint and Service of
portcullis.io/v1. In a directory, every *.yaml,
*.yml and *.json is read. A refused resource does not block others: its last good version stays in force, the exit code
is 3, and each problem is shown with file, line and field.

Examples:
  portcullis apply -f policy.yaml
  portcullis apply -f endpoints.yaml -f policies/
  kubectl get cnp -A -o yaml | portcullis apply -f -
  portcullis apply --dry-run -f policy.yaml";

const DELETE_HELP: &str = "\
Examples:
  portcullis delete policy app-http -n shop
  portcullis delete endpoint app-0 client-0 -n shop
  portcullis delete -f policies/";

const GET_HELP: &str = "\
Names are shown with each address, how long its DNS answer is still valid (an address that connections use is kept
longer), and whether some policy selects the name. A NAME may be a pattern with stars, as in matchPattern.

Examples:
  portcullis get policy
  portcullis get endpoint -n shop
  portcullis get policy app-http -n shop -o yaml
  portcullis get endpoint -o json | jq -r '.[] | select(.state != \"steered\") | .name'
  portcullis get fqdn '*.example.com'
  portcullis get fqdn -o json | jq -r '.[] | select(.selected) | .addresses[].address'";

const STATUS_HELP: &str = "\
Examples:
  portcullis status
  portcullis status -o json | jq .faults";

const MONITOR_HELP: &str = "\
Each line has the time, an arrow (-> egress, <- ingress, xx denied), the protocol, both parties, the verdict and why.
The node never waits for a monitor. The output of a slow monitor says how many verdicts it missed.

Examples:
  portcullis monitor
  portcullis monitor --denied -n shop
  portcullis monitor --protocol http -o json | jq -r '.http.path'
  portcullis monitor --count 1 --timeout 30s       # 1 if nothing came in 30 seconds";

const COMPLETION_HELP: &str = "\
Examples:
  portcullis completion bash > /etc/bash_completion.d/portcullis
  portcullis completion zsh > ~/.zfunc/_portcullis";

const MAN_HELP: &str = "\
Examples:
  portcullis man | man -l -
  portcullis man /usr/local/share/man/man1";

/// Arguments of `run`.
#[derive(Debug, Default, Args)]
pub struct RunArguments {
    /// The settings file [default: /etc/portcullis/portcullis.yaml, if it exists]
    #[arg(long, env = "PORTCULLIS_CONFIG", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// The API socket (api.socket)
    #[arg(long, env = "PORTCULLIS_SOCKET", value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub socket: Option<PathBuf>,
    /// Addresses of metrics and health: ADDRESS:PORT or unix:PATH, separated by commas, or off (admin.address)
    #[arg(long, env = "PORTCULLIS_ADMIN_ADDRESS", value_name = "ADDRESS")]
    pub admin_address: Option<AdminAddresses>,
    /// A file or directory of resources, instead of those of the settings file (resources); may be repeated
    #[arg(long, env = "PORTCULLIS_RESOURCES", value_name = "PATH", value_delimiter = ':')]
    pub resources: Vec<PathBuf>,
    /// Directory for pushed resources and the ids of endpoints (stateDirectory)
    #[arg(long, env = "PORTCULLIS_STATE_DIRECTORY", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state_directory: Option<PathBuf>,
    /// For which endpoints policy is enforced (enforcement)
    #[arg(long, env = "PORTCULLIS_ENFORCEMENT", value_name = "MODE", value_parser = enforcement())]
    pub enforcement: Option<Enforcement>,
    /// How denied requests are answered unless a policy says otherwise (denyWith)
    #[arg(long, env = "PORTCULLIS_DENY_WITH", value_name = "ANSWER", value_parser = one_of(words::DENY_WITH, &DENY_WITH_HELP))]
    pub deny_with: Option<DenyWith>,
    /// What happens to steered flows while the proxy does not run (onProxyDown)
    #[arg(long, env = "PORTCULLIS_ON_PROXY_DOWN", value_name = "OUTCOME", value_parser = one_of(words::ON_PROXY_DOWN, &ON_PROXY_DOWN_HELP))]
    pub on_proxy_down: Option<OnProxyDownSetting>,
    /// Threads of the data plane (workers) [default: as many as the processor quota allows, at most 4]
    #[arg(long, env = "PORTCULLIS_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
    /// How long open connections may continue after the signal to stop
    #[arg(long, env = "PORTCULLIS_DRAIN", value_name = "TIME", default_value = "5s", value_parser = parse_time)]
    pub drain: Duration,
    /// Let everything pass after an orderly stop; without it, steered flows are refused until the next start
    #[arg(long, env = "PORTCULLIS_RELEASE_ON_STOP")]
    pub release_on_stop: bool,
    /// Without effect, as this is the default; for command lines of earlier versions
    #[arg(long, env = "PORTCULLIS_KEEP_STEERING", hide = true, conflicts_with = "release_on_stop")]
    pub keep_steering: bool,
    /// Only check the settings
    #[arg(long)]
    pub check: bool,
    /// What to log: a level, or directives such as info,portcullis_config=debug
    #[arg(long, env = "PORTCULLIS_LOG", value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
    /// Format of the log on standard error
    #[arg(long, env = "PORTCULLIS_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// Arguments of `release`.
#[derive(Debug, Args)]
pub struct ReleaseArguments {
    /// The settings file of the node [default: /etc/portcullis/portcullis.yaml, if it exists]
    #[arg(long, env = "PORTCULLIS_CONFIG", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

/// Help for each enforcement mode, in their order.
const ENFORCEMENT_HELP: [&str; 3] =
    ["A direction of an endpoint that some rule selects there", "Both directions of every endpoint", "None"];
/// Help for each answer to denied requests.
const DENY_WITH_HELP: [&str; 2] = ["The connection is reset", "The protocol's own refusal (HTTP: 403)"];
/// Help for each outcome of steered flows without a proxy.
const ON_PROXY_DOWN_HELP: [&str; 2] = ["Refused at once", "Passed without judgement"];

/// Reads an enforcement mode.
pub(crate) fn enforcement() -> impl TypedValueParser<Value = Enforcement> {
    one_of(words::ENFORCEMENT, &ENFORCEMENT_HELP)
}

/// Reads one of the words of a setting; `help` is shown with each.
fn one_of<T>(words: SettingWords<T>, help: &[&'static str]) -> impl TypedValueParser<Value = T>
where
    T: Copy + PartialEq + Send + Sync + 'static,
{
    let each = words.each().zip(help).map(|(word, help)| PossibleValue::new(word).help(*help));
    PossibleValuesParser::new(each).try_map(move |word| words.value(&word).ok_or("no word of this setting"))
}

/// Forms of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub struct ApplyArguments {
    /// A file, a directory, or - for standard input; may be repeated
    #[arg(short = 'f', long = "file", required = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// Only show what would happen
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `delete`.
#[derive(Debug, Args)]
pub struct DeleteArguments {
    /// Type of the resources
    #[arg(value_name = "TYPE", required_unless_present = "files", requires = "names")]
    pub kind: Option<KindArg>,
    /// Their names
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Their namespace; without it, policies are cluster-wide and all else is in `default`; CIDR groups have none
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "files")]
    pub namespace: Option<String>,
    /// Remove the resources in this file or directory, or - for standard input; may be repeated
    #[arg(short = 'f', long = "file", value_name = "PATH", conflicts_with = "kind", value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
}

/// Arguments of `get`.
#[derive(Debug, Args)]
pub struct GetArguments {
    /// Type of the resources, or fqdn for the names learned from DNS answers
    #[arg(value_name = "TYPE")]
    pub kind: ShownKind,
    /// Only the one of this name
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Only those of this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
}

/// Arguments of `monitor`.
#[derive(Debug, Args)]
pub struct MonitorArguments {
    /// Only denied flows and requests
    #[arg(long)]
    pub denied: bool,
    /// Only this protocol: http, dns, or tcp and udp for verdicts about flows as a whole
    #[arg(long, value_name = "PROTOCOL")]
    pub protocol: Option<String>,
    /// Only verdicts with a source or destination in this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Show the labels of both parties
    #[arg(short, long)]
    pub verbose: bool,
    /// End after this number of verdicts
    #[arg(long, value_name = "N")]
    pub count: Option<NonZeroU64>,
    /// End after this time: 500ms, 30s, 5m; with --count and fewer verdicts the exit code is 1
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub timeout: Option<Duration>,
}
