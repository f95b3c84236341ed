//! The arguments of `test`. The comments here are its help.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// More help, with examples.
pub const HELP: &str = "\
Needs no node. Tests are documents of kind PolicyTest (apiVersion portcullis.io/v1) in YAML files next to the policies.
In a directory, all of them are run. The engine is that of the node. docs/policy-testing.md describes the documents.

Exit codes:
  0  all tests passed
  1  a test failed
  2  the command line is wrong
  3  a test or one of its policies cannot be read or is refused, or there is no test

Examples:
  portcullis test policies/
  portcullis test --filter 'client' policies/shop_test.yaml
  portcullis test -o junit policies/ > report.xml
  portcullis test -o tap policies/ | prove -e cat -";

/// Arguments of `test`.
#[derive(Debug, Args)]
pub struct TestArguments {
    /// Files with tests, or directories, which are searched recursively
    #[arg(value_name = "PATH", required = true, value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// Only tests whose name contains this text
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Show failures only
    #[arg(short, long)]
    pub quiet: bool,
}
