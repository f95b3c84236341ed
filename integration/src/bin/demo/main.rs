//! The demo: the walkthrough with real curl, httpbin and PostgreSQL in network namespaces, and a chapter about Kafka
//! with a broker and kcat.
//!
//! It prints each step, the expected result and the actual result. The exit code is not 0 if anything differs. It
//! cleans up, also when it is interrupted.

mod kafka;
mod report;
mod story;

use std::{env, process::ExitCode};

use portcullis_integration::{Error, Need, kafka as broker, lacking, require, wait};
use report::Report;

const HELP: &str = "\
Runs the walkthrough for real: a client, httpbin, PostgreSQL and unbound as pods, services, and CiliumNetworkPolicies; then
a broker of Kafka with a producer and a consumer.
Needs root, and the program portcullis beside this one (or named in PORTCULLIS_BINARY).

  demo           both families of addresses, one after the other
  demo --ipv4    IPv4 only
  demo --ipv6    IPv6 only

Exit codes: 0 everything was as expected, 1 something differed or failed, 2 the command line is wrong.";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut report = Report::new();
    let families: &[bool] = match words[..] {
        [] => &[false, true],
        ["--ipv4"] => &[false],
        ["--ipv6"] => &[true],
        ["--help" | "-h"] => {
            report.line(HELP);
            return ExitCode::SUCCESS;
        }
        _ => {
            report.line(HELP);
            return ExitCode::from(2);
        }
    };
    let needs = ["ip", "nft", "curl", "gunicorn", "initdb", "unbound"].map(Need::Program);
    if !require(
        &[&[Need::Root, Need::Bpf, Need::Ipv6, Need::PythonModule("httpbin"), Need::Portcullis], &needs[..]].concat(),
    ) {
        return ExitCode::FAILURE;
    }
    let complete = broker::complete().display().to_string();
    let lacking = lacking(&broker::needs(&complete));
    told(&mut report, families, lacking.as_deref())
}

/// Tells the story on a thread of its own, while this one listens for signals.
fn told(report: &mut Report, families: &[bool], lacking: Option<&str>) -> ExitCode {
    let told = std::thread::scope(|scope| {
        let story = scope.spawn(|| families.iter().try_for_each(|v6| story::tell(report, *v6, lacking)));
        let listening = listen(|| story.is_finished());
        let told = story.join().unwrap_or_else(|_| Err(Error::Unexpected("the story broke off".into())));
        listening.and(told)
    });
    match told {
        Ok(()) => report.end(),
        Err(error) => {
            report.failure(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Until the story ends, a signal interrupts it: it stops where it is, and its destructors clean up.
fn listen(ended: impl Fn() -> bool) -> Result<(), Error> {
    let failed = |source| Error::Io { what: "listen for signals".into(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate()).map_err(failed)?;
        let mut look = tokio::time::interval(std::time::Duration::from_millis(50));
        while !ended() {
            tokio::select! {
                _ = look.tick() => {}
                _ = terminated.recv() => wait::interrupt(),
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted.map_err(failed)?;
                    wait::interrupt();
                }
            }
        }
        Ok(())
    })
}
