//! The arguments of `test`. The comments here are its help.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// More help, with examples.
pub const HELP: &str = "\
Needs no node. Tests are documents of kind PolicyTest (apiVersion portcullis.io/v1) in YAML files beside the policies; of
a directory, all of them are run. The engine that answers is that of the node. docs/policy-testing.md tells the form.

Exit codes:
  0  all tests passed
  1  a test failed
  2  the command line is wrong
  3  a test or a policy that it names cannot be read or is refused, or there is no test

Examples:
  portcullis test policies/
  portcullis test --filter 'client' policies/shop_test.yaml
  portcullis test -o junit policies/ > report.xml
  portcullis test -o tap policies/ | prove -e cat -";

/// Arguments of `test`.
#[derive(Debug, Args)]
pub struct TestArguments {
    /// Files with tests, or directories, which are looked through to the bottom
    #[arg(value_name = "PATH", required = true, value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// Only tests whose name has this text
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Show failures only
    #[arg(short, long)]
    pub quiet: bool,
}
