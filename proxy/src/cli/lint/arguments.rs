//! The arguments of `lint`. The comments here are its help.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use portcullis_rules::lint::{Severity, check};

/// More help, with examples.
pub const HELP: &str = "\
Needs no node. All policies are checked together, because rules of one may make those of another ineffective. Endpoint
documents among them are used to find selectors that select nobody. Other manifests, other YAML,
patches of kustomize and, in directories, templates are skipped and counted. A file that is named itself must be readable.

A comment on the line, or alone on the line before it, suppresses a finding: # lint: ignore PL304

Exit codes:
  0  nothing found, or hints only
  1  an error or a warning; with --allow-warnings, an error
  2  the command line is wrong
  3  a document cannot be read, or its policy is refused

Examples:
  portcullis lint policies/
  kustomize build overlays/prod | portcullis lint -
  portcullis lint --settings /etc/portcullis/portcullis.yaml policies/ endpoints.yaml
  portcullis lint -o sarif policies/ > portcullis.sarif
  portcullis lint --checks";

/// Arguments of `lint`.
#[derive(Debug, Args)]
pub struct LintArguments {
    /// Files with policies, directories, which are searched recursively, or - for standard input
    #[arg(value_name = "PATH", required_unless_present = "checks", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// The settings file of the node: deviations that are on there suppress the findings that they resolve
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub settings: Option<PathBuf>,
    /// Accept policies that name protocols without ports, such as VRRP
    #[arg(long)]
    pub enable_extended_ip_protocols: bool,
    /// Warnings alone leave the exit code 0
    #[arg(long)]
    pub allow_warnings: bool,
    /// Leave out findings of these codes; may be repeated
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = check_code)]
    pub ignore: Vec<String>,
    /// The lowest severity that is shown
    #[arg(long, value_name = "LEVEL", default_value = "hint")]
    pub level: LintLevelArg,
    /// Print all checks with their codes and meanings
    #[arg(long, conflicts_with = "paths")]
    pub checks: bool,
}

/// Weights of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LintLevelArg {
    /// Everything
    Hint,
    /// Warnings and errors
    Warning,
    /// Errors
    Error,
}

impl From<LintLevelArg> for Severity {
    fn from(level: LintLevelArg) -> Self {
        match level {
            LintLevelArg::Hint => Self::Info,
            LintLevelArg::Warning => Self::Warning,
            LintLevelArg::Error => Self::Error,
        }
    }
}

/// The code of a check.
fn check_code(text: &str) -> Result<String, String> {
    let known = check(&text.to_ascii_uppercase());
    known.map(|check| check.code.to_owned()).ok_or_else(|| "no such check: see portcullis lint --checks".into())
}
