//! Judges the flow itself: when it begins, and again under each new snapshot.

use std::sync::Arc;

use portcullis_rules::{
    snapshot::{Access, Flow, Snapshot},
    verdict::{Layer, Reason},
    world::Direction,
};

use super::{Court, Judge};

/// What has become of a flow under a new snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It goes on.
    Stays,
    /// It is denied now.
    Denied,
    /// It has to be relayed in another way than it was.
    Changed,
}

impl Judge {
    /// Judges the flow for the first time. `draw` is a random number that picks the backend of a service.
    pub(crate) fn admit(&mut self, court: &mut Court<'_>, draw: usize) -> Access {
        let flow = match court.snapshot {
            None => denied(Layer::L3, Reason::UnknownEndpoint),
            Some(snapshot) => self.ask(snapshot, draw),
        };
        match &flow.access {
            Access::Deny | Access::Allow => self.tell_flow(&flow, court),
            // Each request has a verdict of its own.
            Access::Judge(rules) => {
                self.protocol = rules.schema().protocol;
                self.codec = court.exit.protocol(self.protocol);
                self.rules = Some(Arc::clone(rules));
            }
        }
        flow.access
    }

    fn ask(&mut self, snapshot: &Snapshot, draw: usize) -> Flow {
        let own = snapshot.endpoint(self.key.endpoint);
        if own.is_some_and(|endpoint| endpoint.addresses.contains(&self.destination.ip())) {
            self.key.direction = Direction::Ingress;
            self.key.peer = self.client.ip();
        } else if let Some(backends) = snapshot.backends(self.key.transport, self.key.peer, self.key.port) {
            if backends.is_empty() {
                return denied(Layer::L4, Reason::NoBackend);
            }
            self.destination = backends[draw % backends.len()];
            self.key.peer = self.destination.ip();
            self.key.port = self.destination.port();
        }
        snapshot.flow(&self.key)
    }

    /// Judges the flow again, by a new snapshot.
    pub(crate) fn refresh(&mut self, court: &mut Court<'_>) -> Turn {
        let flow = match court.snapshot {
            None => denied(Layer::L3, Reason::UnknownEndpoint),
            Some(snapshot) => snapshot.flow(&self.key),
        };
        match (&flow.access, &self.rules) {
            (Access::Deny, _) => {
                self.tell_flow(&flow, court);
                Turn::Denied
            }
            (Access::Allow, None) => Turn::Stays,
            (Access::Judge(new), Some(old)) if std::ptr::eq(new.schema(), old.schema()) => {
                self.rules = Some(Arc::clone(new));
                Turn::Stays
            }
            (Access::Allow | Access::Judge(_), _) => Turn::Changed,
        }
    }
}

fn denied(layer: Layer, reason: Reason) -> Flow {
    Flow { access: Access::Deny, layer, reason, rule: None, redirect: None }
}
