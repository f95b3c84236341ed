//! Passes the commit and the compiler to the binary.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=PORTCULLIS_REVISION");
    println!("cargo::rustc-env=PORTCULLIS_BUILD_REVISION={}", revision());
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = output(&rustc, &["--version"]).unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=PORTCULLIS_BUILD_RUSTC={version}");
}

/// `PORTCULLIS_REVISION` where the packager sets it (a source archive has no `.git`), else what git says.
fn revision() -> String {
    if let Some(revision) = env::var("PORTCULLIS_REVISION").ok().filter(|revision| !revision.is_empty()) {
        return revision;
    }
    // The reflog's file changes with every commit and every switch of branches.
    let log = "../.git/logs/HEAD";
    if Path::new(log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    output("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".into())
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
