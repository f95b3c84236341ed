//! Which DNS answers count for which endpoints.
//!
//! Cilium has one cache of names for the whole node, so an endpoint that may ask any server decides what a name means
//! for all endpoints (pkg/fqdn/namemanager). Here an answer counts for the endpoints whose own DNS rules name the
//! server that gave it.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use super::{class::CompiledClass, grants::Grant, identities::Addresses};
use crate::{
    request::{FieldValue, Request},
    schema::{FieldForm, FieldIndex, Schema},
    table::who,
    world::{EndpointId, LearnedFrom, Transport},
};

/// Number of a [`Trust`] within one compilation.
pub(crate) type TrustId = u32;

/// Kinds of questions whose answers have addresses.
const ADDRESSES: [&str; 3] = ["A", "AAAA", "HTTPS"];

/// The servers that endpoints with the same DNS rules may ask, each about which names.
#[derive(Debug)]
pub(crate) struct Trust {
    /// The classes of egress in which names are asked for, with their ports.
    classes: Vec<(Transport, u16, u16, Arc<CompiledClass>)>,
    /// Some of their rules name no server, so that only what the endpoint was told itself counts: of one alone.
    pub(crate) own: Option<EndpointId>,
    /// Those whose rules they are.
    members: BTreeSet<EndpointId>,
}

impl Trust {
    fn counts(&self, name: &str, origin: &LearnedFrom, addresses: &Addresses) -> bool {
        let LearnedFrom { endpoint, server, port, transport, known } = *origin;
        let member = self.members.contains(&endpoint);
        // The endpoint that answered is gone: its answers stay valid for those that asked it.
        if member && known && !addresses.contains_key(&server) {
            return true;
        }
        let place = |(which, first, last, _): &&(Transport, u16, u16, _)| {
            *which == transport && (*first..=*last).contains(&port)
        };
        let Some((.., class)) = self.classes.iter().find(place) else { return false };
        let who = who(addresses, server);
        let Some(rules) = &class.by_address(who).plan.requests else { return false };
        let schema = rules.schema();
        let asked = |kind| rules.check(&NameQuestion { schema, name, kind }).outcome.passes();
        schema.nature.resolves
            && (class.names(who) || (member && self.own.is_some()))
            && ADDRESSES.into_iter().any(asked)
    }
}

/// All of them; equal ones are one.
#[derive(Debug, Default)]
pub(crate) struct Trusts(Vec<Trust>);

impl Trusts {
    /// The number of one.
    pub(crate) fn number(
        &mut self,
        classes: Vec<(Transport, u16, u16, Arc<CompiledClass>)>,
        own: Option<EndpointId>,
    ) -> TrustId {
        let same = |known: &Trust| {
            let alike = |a: &(Transport, u16, u16, Arc<CompiledClass>),
                         b: &(Transport, u16, u16, Arc<CompiledClass>)| {
                (a.0, a.1, a.2) == (b.0, b.1, b.2) && Arc::ptr_eq(&a.3, &b.3)
            };
            known.own.is_none()
                && known.classes.len() == classes.len()
                && known.classes.iter().zip(&classes).all(|(a, b)| alike(a, b))
        };
        // Nobody else has one that is somebody's own.
        let place = self.0.iter().position(|known| own.is_none() && same(known)).unwrap_or_else(|| {
            self.0.push(Trust { classes, own, members: BTreeSet::new() });
            self.0.len() - 1
        });
        TrustId::try_from(place).unwrap_or(TrustId::MAX)
    }

    /// An endpoint has these rules.
    pub(crate) fn join(&mut self, id: TrustId, member: EndpointId) {
        if let Some(trust) = self.0.get_mut(id as usize) {
            trust.members.insert(member);
        }
    }

    /// Whether an answer about a name counts for those of a number. What nobody was told but us counts for all, and so does
    /// everything where nobody asks from whom it is.
    pub(crate) fn counts(
        &self,
        id: Option<TrustId>,
        name: &str,
        origins: &[LearnedFrom],
        addresses: &Addresses,
    ) -> bool {
        let Some(id) = id.filter(|_| !origins.is_empty()) else { return true };
        let Some(trust) = self.0.get(id as usize) else { return false };
        origins.iter().any(|origin| trust.counts(name, origin, addresses))
    }
}

/// Whether a grant has rules for questions about names.
pub(crate) fn asks(grant: &Grant) -> bool {
    !grant.deny && grant.protocols().any(|schema| schema.nature.resolves)
}

/// Whether peers are so wide that they name nobody: everybody, or all addresses there are.
pub(crate) fn names_nobody_in_particular(grant: &Grant) -> bool {
    grant.peers.any || grant.peers.ranges.iter().any(|range| range.cidr.prefix_len() == 0)
}

/// A question about a name.
struct NameQuestion<'a> {
    schema: &'static Schema,
    name: &'a str,
    kind: &'static str,
}

impl Request for NameQuestion<'_> {
    fn schema(&self) -> &'static Schema {
        self.schema
    }

    fn field(&self, field: FieldIndex, _: &str) -> FieldValue<'_> {
        let kind = self.schema.fields.get(usize::from(field.0)).is_some_and(|spec| spec.form == FieldForm::AnyOf);
        FieldValue::Value(Cow::Borrowed(if kind { self.kind.as_bytes() } else { self.name.as_bytes() }))
    }
}
