//! The demonstration, as `make demo` runs it.

use std::process::Command;

use nix::sys::signal::Signal;
use portcullis_integration::{Need, Process, kafka, require, sweep};

use crate::scene::able;

fn start(log: &std::path::Path, arguments: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.args(arguments);
    Process::start(command, "demo", log).unwrap()
}

#[test]
fn it_comes_out_well_and_leaves_nothing_behind() {
    if !able() || !require(&["initdb", "unbound"].map(Need::Program)) {
        return;
    }
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut demo = start(log.path(), &["--ipv6"]);
    assert_eq!(demo.wait().unwrap().code(), Some(0), "{}", demo.log());
    assert!(demo.log().contains("0 different") && !demo.log().contains("FAIL"), "{}", demo.log());
    assert!(!demo.log().contains('\x1b'), "no colours outside a terminal");
    let kafka = require(&kafka::needs(&kafka::complete().display().to_string()));
    assert_eq!(
        (demo.log().contains("step 8: kafka-"), demo.log().contains("SKIPPED")),
        (kafka, !kafka),
        "{}",
        demo.log()
    );
    assert_eq!(sweep::remains(&format!("pclab-{}-", demo.pid())), [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn it_cleans_up_when_it_is_interrupted() {
    if !able() || !require(&["initdb", "unbound"].map(Need::Program)) {
        return;
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut demo = start(log.path(), &[]);
        demo.wait_for_line("step 3").unwrap();
        demo.signal(signal).unwrap();
        assert_eq!(demo.wait().unwrap().code(), Some(1), "{}", demo.log());
        assert_eq!(sweep::remains(&format!("pclab-{}-", demo.pid())), [""; 0].map(std::path::PathBuf::from));
    }
}
