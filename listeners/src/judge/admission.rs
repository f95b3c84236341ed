//! Judges the flow itself: when it begins, and again under each new snapshot.

use std::sync::Arc;

use portcullis_rules::{
    params::FlowParams,
    snapshot::{Flow, Snapshot},
    verdict::{Layer, Outcome, Reason},
    world::Direction,
};

use super::{AuthorizationContext, FlowAuthorizer};

/// What has become of a flow under a new snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefreshOutcome {
    /// It goes on.
    Stays,
    /// It is denied now.
    Denied,
    /// It has to be relayed in another way than it was.
    Changed,
}

impl FlowAuthorizer {
    /// Judges the flow for the first time. `draw` is a random number that picks the backend of a service.
    pub(crate) fn admit(&mut self, context: &mut AuthorizationContext<'_>, draw: usize) -> Outcome {
        let flow = match context.snapshot {
            None => unknown(),
            Some(snapshot) => self.ask(snapshot, draw),
        };
        self.params = Arc::clone(&flow.params);
        match flow.plan.innermost() {
            None => self.tell_flow(&flow, context),
            // Each request has a verdict of its own.
            Some(rules) => {
                self.protocol = rules.schema().protocol;
                self.codec = context.exit.protocol(self.protocol);
            }
        }
        self.plan = flow.plan;
        flow.outcome
    }

    fn ask(&mut self, snapshot: &Snapshot, draw: usize) -> Flow {
        let own = snapshot.endpoint(self.key.endpoint);
        if own.is_some_and(|endpoint| endpoint.addresses.contains(&self.destination.ip())) {
            self.key.direction = Direction::Ingress;
            self.key.peer = self.client.ip();
        } else if let Some(backends) = snapshot.backends(self.key.transport, self.key.peer, self.key.port) {
            if backends.is_empty() {
                return Flow::whole(Outcome::Deny, Layer::L4, Reason::NoBackend, Arc::clone(snapshot.params()));
            }
            self.destination = backends[draw % backends.len()];
            self.key.peer = self.destination.ip();
            self.key.port = self.destination.port();
        }
        snapshot.flow(&self.key)
    }

    /// Judges the flow again, by a new snapshot.
    pub(crate) fn refresh(&mut self, context: &mut AuthorizationContext<'_>) -> RefreshOutcome {
        let flow = match context.snapshot {
            None => unknown(),
            Some(snapshot) => snapshot.flow(&self.key),
        };
        if !flow.outcome.passes() {
            self.params = Arc::clone(&flow.params);
            self.tell_flow(&flow, context);
            return RefreshOutcome::Denied;
        }
        if !flow.plan.relays_like(&self.plan) {
            return RefreshOutcome::Changed;
        }
        (self.plan, self.params) = (flow.plan, flow.params);
        RefreshOutcome::Stays
    }
}

/// Before there is a snapshot no endpoint is known.
fn unknown() -> Flow {
    Flow::whole(Outcome::Deny, Layer::L3, Reason::UnknownEndpoint, FlowParams::defaults())
}
