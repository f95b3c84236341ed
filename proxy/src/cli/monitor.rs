//! `portcullis monitor`.

use std::{future::pending, io};

use portcullis_codecs::PROTOCOLS;
use portcullis_config::proto::{Verdict, WatchRequest};
use tokio::time::{Instant, sleep_until};

use crate::{
    cli::{
        arguments::MonitorArguments,
        client::NodeClient,
        exit::{ExitStatus, Failure},
    },
    output::CommandOutput,
    render::{Format, structured, verdict},
};

/// Prints verdicts until the node, the count, the timeout or the reader ends it.
///
/// # Errors
/// The node cannot be reached or went away; or fewer verdicts than `--count` came within `--timeout`.
pub async fn run(
    node: NodeClient<'_>,
    arguments: &MonitorArguments,
    format: Format,
    output: &mut CommandOutput,
) -> Result<(), Failure> {
    let deadline = arguments.timeout.map(|timeout| Instant::now() + timeout);
    let request = WatchRequest {
        denied_only: arguments.denied,
        protocol: arguments.protocol.clone().unwrap_or_default(),
        namespace: arguments.namespace.clone().unwrap_or_default(),
    };
    let mut verdicts = node.verdicts().await?.watch(request).await?.into_inner();
    output.say("watching; end with Ctrl-C");
    let mut seen = 0;
    while arguments.count.is_none_or(|count| seen < count.get()) {
        let next = tokio::select! {
            next = verdicts.message() => next?,
            () = until(deadline) => return timed_out(arguments, seen),
        };
        let Some(next) = next else {
            return Err(Failure::new(
                ExitStatus::Failed,
                "the node ended the stream",
                "is it stopping? look at its log",
            ));
        };
        print(&next, arguments.verbose, format, output)?;
        seen += 1;
    }
    Ok(())
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

fn timed_out(arguments: &MonitorArguments, seen: u64) -> Result<(), Failure> {
    match arguments.count {
        None => Ok(()),
        Some(count) => {
            let message = format!("{seen} of {count} verdicts came in time");
            Err(Failure::new(
                ExitStatus::Failed,
                message,
                "`portcullis status` counts verdicts; are the endpoints steered?",
            ))
        }
    }
}

fn print(verdict: &Verdict, labels: bool, format: Format, output: &mut CommandOutput) -> Result<(), Failure> {
    let written: io::Result<()> = match format {
        Format::Text => {
            if let Some(lost) = verdict::lost(verdict, output.paint) {
                output.line(lost)?;
            }
            output.line(verdict::line(PROTOCOLS, verdict, labels, output.paint))
        }
        Format::Json => {
            output.line(serde_json::to_string(&verdict::VerdictJson::from(verdict)).map_err(Failure::internal)?)
        }
        Format::Yaml => {
            let document = structured(format, &verdict::VerdictJson::from(verdict))?.unwrap_or_default();
            output.text(&format!("---\n{document}"))
        }
        other => return Err(other.unknown_here()),
    };
    // Whoever reads a pipe wants each verdict as it falls.
    Ok(written.and_then(|()| output.flush())?)
}
