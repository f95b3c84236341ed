//! The self-check: the node tries its own hooks from within the namespaces of its endpoints, soon after each is
//! attached and then periodically. Other modules verify what is attached and what the tables contain; this one
//! verifies that they work together.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use portcullis_listeners::Probe;
use portcullis_redirect::{PROBE_V4, PROBE_V6, try_hooks};
use portcullis_rules::world::EndpointId;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    admin::metrics::ResultLabel,
    run::{force::ActiveConfig, node::Running},
};

/// How often endpoints are tried.
const TICK: Duration = Duration::from_secs(1);
/// Ticks in which each endpoint is tried once.
pub(crate) const ROUND: usize = 60;
/// Endpoints that were attached a moment ago and are tried in one tick, beside those whose turn it is.
pub(crate) const NEW_AT_ONCE: usize = 64;

/// One endpoint to be tried.
#[derive(Debug)]
pub struct SelfCheckTarget {
    /// Its number.
    pub id: EndpointId,
    /// Its namespace.
    pub namespace: OwnedFd,
    /// Whether it has addresses of IPv4, and of IPv6.
    pub families: [bool; 2],
}

/// What a listener of ours says to a try. Another one does not know it.
///
/// # Errors
/// The kernel gives no random numbers.
pub fn probe() -> std::io::Result<Probe> {
    let mut answer = [0; 16];
    getrandom::fill(&mut answer)?;
    Ok(Probe { addresses: [PROBE_V4.into(), PROBE_V6.into()], answer })
}

/// Tries endpoints as long as the node runs.
pub async fn run(force: ActiveConfig, running: std::sync::Arc<Running>, answer: [u8; 16]) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (force, running) = (force.clone(), std::sync::Arc::clone(&running));
        let tried = tokio::task::spawn_blocking(move || {
            for due in force.due_tries() {
                let count = |result| running.metrics().intact.checks.get_or_create(&ResultLabel { result }).inc();
                let Some(due) = due else {
                    count("skipped");
                    continue;
                };
                let result = attempt(&due, &answer);
                count(if result.is_ok() { "passed" } else { "failed" });
                force.tried(due.id, result);
            }
        });
        if tried.await.is_err() {
            tracing::error!("a self-check ended unexpectedly");
        }
    }
}

fn attempt(due: &SelfCheckTarget, answer: &[u8]) -> Result<(), String> {
    let families = [false, true].into_iter().zip(due.families).filter(|(_, has)| *has);
    families.map(|(v6, _)| v6).try_for_each(|v6| {
        let family = if v6 { "IPv6" } else { "IPv4" };
        try_hooks(due.namespace.as_fd(), v6, answer).map_err(|what| format!("{what} ({family})"))
    })
}
