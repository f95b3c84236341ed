//! Applies the rules to a request. It is forwarded unchanged, forwarded without some of its topics, or answered as a
//! broker answers what its own authorizer denies.

use std::cell::Cell;

use portcullis_rules::{request::Request, schema::FieldIndex, values::ValueSet};

use super::{
    Violation, api,
    asked::{self, Asker, RequestFacts},
    denial::{self, EntryRefusal, KafkaDenial},
    frame::{Frame, FrameOutcome},
    lookup,
    names::{RequestNames, TopicName},
    outstanding::{OutstandingRequest, OwnAnswer, ResponseHandling},
    relay::Connection,
    requests::ShownBytes,
    session::CLOSES,
    sessions::SessionUse,
    swallow::DroppedRequest,
    walk::Walk,
};
use crate::{
    order::Answerer,
    relay::{Checker, Close, Decision, RelayOutput},
};

/// Topics of a request, by their numbers.
enum RefusedTopics {
    None,
    All,
    Some(ValueSet),
}

impl RefusedTopics {
    fn contains(&self, number: usize) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(set) => set.contains(number),
        }
    }

    /// Tells of one topic after the other, in the order of the request.
    fn in_order(&self) -> impl Fn(denial::PartialTopic<'_>) -> bool {
        let counted = Cell::new(0);
        move |_| self.contains(counted.replace(counted.get() + 1))
    }
}

/// The driver: who is asked about a request, and what is said to it.
pub(super) struct Driver<'a> {
    pub(super) checker: &'a mut dyn Checker,
    pub(super) out: &'a mut RelayOutput,
}

impl Connection {
    /// Judges what is known of the request.
    pub(super) fn judge(
        &mut self,
        input: &[u8],
        whole: bool,
        driver: &mut Driver<'_>,
    ) -> Result<ShownBytes, Violation> {
        if !self.resolve() && self.may_look_up() && !self.needs_no_names(input, driver) {
            self.look_up(driver.out)?;
            return Ok(ShownBytes::Waits);
        }
        let Some(frame) = &self.requests.frame else { return Ok(ShownBytes::Waits) };
        let within = self.within(frame);
        let kept = match within {
            SessionUse::Unknown => return self.no_session(input, driver),
            SessionUse::None => &[],
            SessionUse::Session(topics) => topics,
        };
        let asked = RequestFacts::new(frame, &self.requests.names, kept, input);
        let decision = driver.checker.check(&asked as &dyn Request);
        let lists = whole && asked.lists().is_some();
        let (incremental, goes_on) = (matches!(within, SessionUse::Session(_)), frame.outcome == FrameOutcome::GoesOn);
        match decision {
            Decision::Allow if incremental && self.has_more_to_share(input, driver) => self.no_session(input, driver),
            Decision::Allow => self.allow(input, ResponseHandling::Pass, driver),
            Decision::Filter if lists => self.allow(input, ResponseHandling::Filter, driver),
            // The new session that follows reports what is denied.
            Decision::Partial { .. } | Decision::Respond | Decision::Hide if incremental => {
                self.no_session(input, driver)
            }
            Decision::Partial { .. } if whole => {
                let refused = RefusedTopics::Some(driver.checker.refused().clone());
                self.divide(input, &refused, true, driver)
            }
            Decision::Respond | Decision::Hide if whole && !goes_on => {
                let refused = driver.checker.refused().clone();
                self.refuse(input, &refused, driver)
            }
            Decision::Respond | Decision::Hide => Ok(self.refuse_later(driver)),
            // Rules about headers there are none.
            Decision::Reset
            | Decision::Disconnect
            | Decision::Rewrite
            | Decision::Filter
            | Decision::Partial { .. } => Ok(self.cut(Close::Reset, driver)),
        }
    }

    /// Whether a request is allowed whatever the names of its topics are.
    fn needs_no_names(&self, input: &[u8], driver: &mut Driver<'_>) -> bool {
        self.requests.frame.as_ref().is_some_and(|frame| {
            let asked = RequestFacts::new(frame, &self.requests.names, &[], input);
            driver.checker.preview(&asked as &dyn Request).is_some_and(|refused| refused.is_empty())
        })
    }

    /// Whether the server can be asked for the names of topics: once for each request of which nothing has gone on.
    fn may_look_up(&self) -> bool {
        let new = |frame: &Frame| !frame.looked_up && frame.outcome != FrameOutcome::GoesOn;
        self.limits.learns() && self.requests.frame.as_ref().is_some_and(new)
    }

    /// Asks the server for the names of topics.
    fn look_up(&mut self, out: &mut RelayOutput) -> Result<(), Violation> {
        let Some(frame) = &mut self.requests.frame else { return Ok(()) };
        let RequestNames { client, topics, .. } = &self.requests.names;
        let own = topics.iter().filter_map(|topic| if let TopicName::Id(id) = topic { Some(*id) } else { None });
        let mut ids: Vec<_> = own.collect();
        ids.sort_unstable();
        ids.dedup();
        frame.looked_up = true;
        lookup::ask(client, &ids, &mut out.upstream);
        self.requests.asking = true;
        let (key, version) = (api::METADATA, lookup::VERSION);
        self.expect(Answerer::Server(OutstandingRequest {
            number: lookup::NUMBER,
            key,
            version,
            then: ResponseHandling::Question,
        }))
    }

    /// It goes on as it came.
    fn allow(
        &mut self,
        input: &[u8],
        then: ResponseHandling,
        driver: &mut Driver<'_>,
    ) -> Result<ShownBytes, Violation> {
        let clears = self.must_not_create(input, &RefusedTopics::None, driver);
        let opens = self.keep(input)?;
        let Some(frame) = &mut self.requests.frame else { return Ok(ShownBytes::Waits) };
        let (key, unknown, length) = (frame.layout.key, frame.unknown, frame.length);
        self.requests.handshaken |= key == api::SASL_HANDSHAKE;
        let begins = frame.outcome == FrameOutcome::Open;
        frame.outcome = FrameOutcome::GoesOn;
        if begins {
            let then = match then {
                ResponseHandling::Filter => {
                    self.askers.push_back(Asker::of(frame, &mut self.requests.names));
                    ResponseHandling::Filter
                }
                _ if key == api::API_VERSIONS => ResponseHandling::Versions,
                _ if opens => ResponseHandling::Session,
                _ => self.learning(key),
            };
            let answerer = self.requests.frame.as_ref().map(|frame| frame.answerer(then));
            answerer.map_or(Ok(()), |answerer| self.expect(answerer))?;
            self.settle(driver.checker, driver.out);
        }
        self.requests.names.judged();
        if let Some(place) = clears {
            let before = driver.out.upstream.len();
            driver.out.upstream.extend_from_slice(input.get(..length).unwrap_or_default());
            set_byte(&mut driver.out.upstream, before + place);
            driver.out.relayed += length;
            return Ok(ShownBytes::Drops);
        }
        // The version of ApiVersions is not known: its body is not either.
        Ok(if unknown { ShownBytes::Drops } else { ShownBytes::GoesOn })
    }

    fn learning(&self, key: i16) -> ResponseHandling {
        if api::tells_ids(key) && self.limits.learns() { ResponseHandling::Learn } else { ResponseHandling::Pass }
    }

    /// Where a request says that topics may be created by asking, if the rules would not let the client create them. A refused one
    /// does not matter.
    fn must_not_create(&self, input: &[u8], refused: &RefusedTopics, driver: &mut Driver<'_>) -> Option<usize> {
        let frame = self.requests.frame.as_ref()?;
        let place = frame.creates.filter(|_| !self.requests.names.topics.is_empty())?;
        let creating = RequestFacts::new(frame, &self.requests.names, &[], input).creating();
        let may = driver.checker.preview(&creating as &dyn Request);
        let may = may.is_some_and(|denied| denied.iter().all(|number| refused.contains(number)));
        (!may).then_some(place as usize)
    }

    /// It goes on without the refused topics, and what is to be said of these comes in front of what the server says of the
    /// others. `told`: it counts as allowed.
    fn divide(
        &mut self,
        input: &[u8],
        refused: &RefusedTopics,
        told: bool,
        driver: &mut Driver<'_>,
    ) -> Result<ShownBytes, Violation> {
        let clears = self.must_not_create(input, refused, driver);
        let causes = self.causes(input, refused, driver);
        let Some(frame) = &self.requests.frame else { return Ok(ShownBytes::Waits) };
        let Frame { layout, version, number, length, session, all, .. } = *frame;
        let silent = frame.silent;
        let whole = input.get(..length).ok_or(Violation::CutFrame)?;
        let names = asked::each(frame, &self.requests.names).is_some();
        let partial = if names {
            denial::divide_names(layout, version, whole, &|number| causes.get(number).copied().flatten())?
        } else {
            denial::divide(layout, version, whole, &refused.in_order())?
        };
        let Some(mut partial) = partial else {
            return self.say(&|out| denial::deny_topics(layout, version, whole, out), driver);
        };
        if partial.entries.len() > self.limits.held {
            return Err(Violation::LongRequest);
        }
        if let Some(place) = clears {
            // Behind the topics all is as it was.
            let place = partial.request.len().checked_sub(length - place);
            set_byte(&mut partial.request, place.unwrap_or(usize::MAX));
        }
        if layout.key == api::SHARE_FETCH {
            self.keep_share(&|number| refused.contains(number));
        } else if let Some(said) = session {
            // Each request is judged in full as long as a part of it is refused.
            self.forget_session(said.id);
            set_number(&mut partial.request, said.at as usize, CLOSES);
        }
        driver.out.relayed += partial.request.len();
        driver.out.upstream.append(&mut partial.request);
        if silent {
            // As a broker does, so that the client learns that something was refused.
            self.end_behind(Close::Graceful, driver);
            return Ok(ShownBytes::Drops);
        }
        let key = layout.key;
        let then = match self.requests.frame.as_ref().filter(|_| names && all) {
            Some(frame) => {
                self.askers.push_back(Asker::of(frame, &mut self.requests.names));
                ResponseHandling::Filter
            }
            None if told => self.learning(key),
            None => ResponseHandling::Untold,
        };
        let entries = OwnAnswer::Entries(partial.entries.into(), partial.refused, partial.list);
        self.expect(Answerer::Both(OutstandingRequest { number, key, version, then }, entries))?;
        Ok(ShownBytes::Drops)
    }

    /// Why each group or transactional id is refused that a request asks about, by its number, if it asks about several.
    fn causes(&self, input: &[u8], refused: &RefusedTopics, driver: &mut Driver<'_>) -> Vec<Option<EntryRefusal>> {
        let Some(frame) = &self.requests.frame else { return Vec::new() };
        let names = &self.requests.names;
        let Some(field) = asked::each(frame, names) else { return Vec::new() };
        let asked = || RequestFacts::new(frame, names, &[], input);
        let mut cause = |number: usize| {
            if !refused.contains(number) {
                return None;
            }
            let group = api::has_topics_of_groups(frame.layout.key).then(|| asked().of_group(number));
            let may = group.and_then(|group| driver.checker.preview(&group as &dyn Request));
            Some(if may.is_some_and(|refused| refused.is_empty()) { EntryRefusal::Topics } else { EntryRefusal::Name })
        };
        let count = asked().count(FieldIndex(field)).unwrap_or(0);
        (0..count).map(&mut cause).collect()
    }

    /// Answers a request that is there as a whole. `refused`: the topics, groups or transactional ids, if these are why.
    pub(super) fn refuse(
        &mut self,
        input: &[u8],
        refused: &ValueSet,
        driver: &mut Driver<'_>,
    ) -> Result<ShownBytes, Violation> {
        let Some(frame) = &self.requests.frame else { return Ok(ShownBytes::Waits) };
        let Frame { layout, version, length, .. } = *frame;
        let whole = input.get(..length).ok_or(Violation::CutFrame)?;
        if layout.key == api::METADATA && version > 0 {
            return self.tell_brokers_only(input, driver);
        }
        if refused.is_empty() {
            return self.say(&|out| denial::deny(layout, version, whole, out), driver);
        }
        let refused = RefusedTopics::Some(refused.clone());
        let causes = self.causes(input, &refused, driver);
        if causes.contains(&Some(EntryRefusal::Name)) {
            return self.say(&|out| denial::deny(layout, version, whole, out), driver);
        }
        let Some(frame) = &self.requests.frame else { return Ok(ShownBytes::Waits) };
        if matches!(layout.key, api::OFFSET_FETCH | api::SHARE_FETCH) && frame.lists == 1 {
            // Of the group only the server knows, which also has to open a session of its own.
            return self.divide(input, &refused, false, driver);
        }
        let answer = |out: &mut Vec<u8>| {
            let answered = denial::deny_whole(layout, version, whole, &refused.in_order(), out)?;
            if answered { Ok(KafkaDenial::Answered) } else { denial::deny_topics(layout, version, whole, out) }
        };
        self.say(&answer, driver)
    }

    /// Metadata of which all is denied: only the server knows its brokers, and clients take an answer without any for none. It
    /// is asked for no topic.
    fn tell_brokers_only(&mut self, input: &[u8], driver: &mut Driver<'_>) -> Result<ShownBytes, Violation> {
        let Some(frame) = &self.requests.frame else { return Ok(ShownBytes::Waits) };
        if !frame.all {
            return self.divide(input, &RefusedTopics::All, false, driver);
        }
        let Frame { layout, version, number, length, .. } = *frame;
        let whole = input.get(..length).ok_or(Violation::CutFrame)?;
        let before = driver.out.upstream.len();
        denial::ask_for_none(layout, version, whole, &mut driver.out.upstream)?;
        driver.out.relayed += driver.out.upstream.len() - before;
        self.expect(Answerer::Server(OutstandingRequest {
            number,
            key: layout.key,
            version,
            then: ResponseHandling::Untold,
        }))?;
        Ok(ShownBytes::Drops)
    }

    /// Says what a broker says of a denied request, when its turn comes.
    pub(super) fn say(
        &mut self,
        answer: &dyn Fn(&mut Vec<u8>) -> Result<KafkaDenial, Violation>,
        driver: &mut Driver<'_>,
    ) -> Result<ShownBytes, Violation> {
        let mut bytes = Vec::new();
        match answer(&mut bytes)? {
            KafkaDenial::Answered if bytes.len() > self.limits.held => return Err(Violation::LongRequest),
            KafkaDenial::Answered => {}
            KafkaDenial::Silent | KafkaDenial::Wordless => return Ok(self.cut(Close::Graceful, driver)),
        }
        self.expect(Answerer::Ours(OwnAnswer::Response(bytes.into())))?;
        self.settle(driver.checker, driver.out);
        Ok(ShownBytes::Drops)
    }

    /// A denied request with records of which not all is there is answered when it is. Others are cut short.
    fn refuse_later(&mut self, driver: &mut Driver<'_>) -> ShownBytes {
        let refused = driver.checker.refused().clone();
        match &mut self.requests.frame {
            Some(frame) if frame.outcome == FrameOutcome::Open && frame.single => {
                let Frame { layout, version, full, .. } = *frame;
                // From its start on, which is there.
                frame.walk = Walk::request(layout, version, full);
                frame.outcome = FrameOutcome::Refused(DroppedRequest::new(layout, version, refused).into());
                ShownBytes::Again
            }
            _ => self.cut(Close::Graceful, driver),
        }
    }

    /// The request goes no further, and the connection ends behind what is due.
    fn cut(&mut self, close: Close, driver: &mut Driver<'_>) -> ShownBytes {
        let begun = self.requests.frame.as_ref().is_some_and(|frame| frame.outcome == FrameOutcome::GoesOn);
        self.requests.end_frame();
        if begun {
            // The server never has all of it.
            self.requests.over = true;
            self.outstanding.end_instead(close);
            self.settle(driver.checker, driver.out);
        } else {
            self.end_behind(close, driver);
        }
        ShownBytes::Waits
    }

    fn end_behind(&mut self, close: Close, driver: &mut Driver<'_>) {
        self.requests.over = true;
        self.outstanding.push_last(OwnAnswer::End(close));
        self.settle(driver.checker, driver.out);
    }
}

fn set_byte(bytes: &mut [u8], place: usize) {
    if let Some(byte) = bytes.get_mut(place) {
        *byte = 0;
    }
}

fn set_number(bytes: &mut [u8], place: usize, number: i32) {
    if let Some(field) = bytes.get_mut(place..place.saturating_add(size_of::<i32>())) {
        field.copy_from_slice(&number.to_be_bytes());
    }
}
