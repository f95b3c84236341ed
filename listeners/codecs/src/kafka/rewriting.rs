//! Responses that do not pass as they came: what they tell is cut down to what the client may know, or was asked for by the
//! relay itself.

use std::sync::Arc;

use portcullis_rules::{request::Request, values::MOST_VALUES};

use super::{
    Violation,
    denial::{self, Listing, ListingFacts, PartialTopic},
    event::{WalkEvent, WalkProgress},
    ids::KnownTopics,
    layout::{Layout, response},
    lookup::TopicLearner,
    outstanding::{OutstandingRequest, OwnAnswer, ResponseHandling},
    relay::Connection,
    responses::ResponseErrors,
    versions,
    walk::Walk,
};
use crate::{
    order::Answerer,
    relay::{Checker, RelayOutput},
};

impl Connection {
    /// Says a whole response in other words; its error code.
    pub(super) fn rewrite(
        &mut self,
        due: OutstandingRequest,
        frame: &[u8],
        checker: &mut dyn Checker,
        out: &mut RelayOutput,
    ) -> Result<i16, Violation> {
        match due.then {
            ResponseHandling::Versions => {
                versions::rewrite(frame, due.version, self.limits.learns(), &mut out.downstream)?;
                Ok(versions::error(frame).unwrap_or_default())
            }
            ResponseHandling::Filter => self.filter(due, frame, checker, out),
            _ => {
                self.learn(due, frame)?;
                Ok(0)
            }
        }
    }

    pub(super) fn known(&self) -> KnownTopics<'_> {
        KnownTopics { ids: &self.ids, server: self.server, most: self.limits.learnt_ids }
    }

    /// Learns from the answer to a question of ours.
    fn learn(&self, due: OutstandingRequest, frame: &[u8]) -> Result<(), Violation> {
        let layout = response(due.key).ok_or(Violation::UnknownResponse)?;
        let (mut learner, known) = (TopicLearner::default(), self.known());
        let see = &mut |event: WalkEvent<'_>| learner.see(&event, known);
        match Walk::response(layout, due.version, frame.len()).walk(frame, 0, see)? {
            WalkProgress::Complete => Ok(()),
            WalkProgress::More => Err(Violation::CutFrame),
        }
    }

    /// Passes on what the rules let the client see of all topics, groups or transactional ids. The first error code in that.
    fn filter(
        &mut self,
        due: OutstandingRequest,
        frame: &[u8],
        checker: &mut dyn Checker,
        out: &mut RelayOutput,
    ) -> Result<i16, Violation> {
        let layout = response(due.key).ok_or(Violation::UnknownResponse)?;
        let asker = self.askers.pop_front().ok_or(Violation::UnknownResponse)?;
        let (mut learner, known) = (TopicLearner::default(), self.known());
        let see = &mut |event: &WalkEvent<'_>| learner.see(event, known);
        let listing = Listing::read_with(due.key, due.version, frame, see)?.ok_or(Violation::UnknownResponse)?;
        let told: Vec<ListingFacts<'_>> = listing.told().collect();
        let mut kept = Vec::with_capacity(told.len());
        for of_group in told.chunk_by(|one, next| one.group == next.group) {
            for told in of_group.chunks(MOST_VALUES) {
                let names: Vec<Arc<str>> = told.iter().map(|told| name(told, known)).collect();
                let group = told.first().and_then(|told| told.group);
                let refused = checker.preview(&asker.asking(group, &names) as &dyn Request);
                let keep = |number| refused.as_ref().is_some_and(|set| !set.contains(number));
                kept.extend((0..names.len()).map(keep));
            }
        }
        let before = out.downstream.len();
        listing.write(&|number| kept.get(number).copied().unwrap_or(false), &mut out.downstream);
        let error = error_of(layout, due.version, out.downstream.get(before..).unwrap_or_default(), known);
        if let Some(Answerer::Both(_, OwnAnswer::Entries(entries, refused, list))) = self.outstanding.front() {
            let cut = out.downstream.split_off(before);
            let entries = (&**entries, *refused, *list);
            denial::merge_whole(layout, due.version, &cut, entries, &mut out.downstream)?;
        }
        Ok(error)
    }
}

/// The name of what is told. What has none that is known is nothing that a rule names.
fn name(told: &ListingFacts<'_>, known: KnownTopics<'_>) -> Arc<str> {
    match told.name {
        Some(PartialTopic::Name(name)) => std::str::from_utf8(name).unwrap_or_default().into(),
        Some(PartialTopic::Id(id)) => known.ids.find(known.server, &id).unwrap_or_else(|| "".into()),
        None => "".into(),
    }
}

/// The first error code of a whole response.
fn error_of(layout: &'static Layout, version: i16, frame: &[u8], known: KnownTopics<'_>) -> i16 {
    let mut seen = ResponseErrors::default();
    let walked = Walk::response(layout, version, frame.len()).walk(frame, 0, &mut |event| seen.see(&event, known));
    walked.map_or(0, |_| seen.error)
}
