//! Flows that the kernel refused: counted, shown and recorded like every other verdict.

use std::sync::Arc;

use portcullis_listeners::telemetry::{KernelRefusal, Telemetry};
use portcullis_redirect::{FlowDirection, RefusalKind, Refusals, RefusedFlow};
use portcullis_rules::{
    verdict::Outcome,
    world::{self, EndpointId},
};

use crate::run::{force::ActiveConfig, steering::transport};

/// Reads refused flows as long as the kernel tells them.
pub async fn follow(mut refusals: Refusals, telemetry: Arc<Telemetry>, force: ActiveConfig) {
    loop {
        match refusals.next().await {
            Ok(refused) => {
                if let Some(refusal) = refusal(&refused) {
                    telemetry.refused(&refusal, &force.snapshot());
                }
            }
            Err(error) => {
                tracing::error!(%error, "refused flows cannot be read any more; they are refused, but not counted");
                return;
            }
        }
    }
}

/// In the words of the rules; `None` for a transport that policies do not know.
fn refusal(refused: &RefusedFlow) -> Option<KernelRefusal> {
    Some(KernelRefusal {
        endpoint: EndpointId(refused.endpoint),
        direction: match refused.direction {
            FlowDirection::Ingress => world::Direction::Ingress,
            FlowDirection::Egress => world::Direction::Egress,
        },
        transport: transport(refused.protocol)?,
        peer: refused.peer,
        port: refused.port,
        source_port: refused.source_port,
        outcome: match refused.kind {
            RefusalKind::Refused | RefusalKind::NoListener => Outcome::Deny,
            RefusalKind::Passed => Outcome::Audit,
        },
        no_listener: refused.kind == RefusalKind::NoListener,
    })
}
