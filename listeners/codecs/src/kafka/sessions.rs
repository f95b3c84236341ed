//! Judges requests within sessions: which topics they concern, and how a request with the session of another
//! connection is answered.

use std::sync::Arc;

use portcullis_rules::request::Request;

use super::{
    Violation, api,
    asked::RequestFacts,
    denial::{KafkaDenial, deny_with},
    frame::{Frame, SessionSaid},
    judging::Driver,
    names::{RequestNames, TopicName},
    relay::Connection,
    requests::ShownBytes,
    session::{self, CLOSES, FetchSession, OPENS},
    wire::{begin_frame, set_length, write_count},
};

/// The session that a request goes on with.
#[derive(Clone, Copy, Debug)]
pub(super) enum SessionUse<'a> {
    /// None: it names all that it is about.
    None,
    /// One with these topics beside those that it names.
    Session(&'a [Arc<str>]),
    /// One that this connection does not have.
    Unknown,
}

impl SessionSaid {
    /// Whether it goes on with a session, and does not open or close one.
    fn goes_on(self) -> bool {
        self.epoch != OPENS && self.epoch != CLOSES
    }
}

impl Connection {
    /// The session that a request goes on with.
    pub(super) fn within(&self, frame: &Frame) -> SessionUse<'_> {
        let Some(said) = frame.session else { return SessionUse::None };
        let (session, named) = if frame.layout.key == api::FETCH {
            (self.session.as_ref().filter(|session| session.is(said.id)), said.id != 0 || said.goes_on())
        } else {
            let owner = self.requests.names.owner();
            (self.share.as_ref().filter(|session| session.is_of(owner)), said.epoch != OPENS)
        };
        match session {
            None if named => SessionUse::Unknown,
            Some(session) if said.goes_on() => SessionUse::Session(session.topics()),
            _ => SessionUse::None,
        }
    }

    /// Keeps the topics of an allowed request that opens a session or goes on with one. Whether the broker will tell the number
    /// of a new one.
    pub(super) fn keep(&mut self, input: &[u8]) -> Result<bool, Violation> {
        let Some(frame) = &self.requests.frame else { return Ok(false) };
        let Some(said) = frame.session else { return Ok(false) };
        let fetch = frame.layout.key == api::FETCH;
        let owner: (&[u8], &[u8]) = if fetch { (b"", b"") } else { self.requests.names.owner() };
        let topics = &self.requests.names.topics;
        let names: Vec<_> = topics.iter().map(|topic| name(topic, &self.requests.names.known, input)).collect();
        let (session, most) = (if fetch { &mut self.session } else { &mut self.share }, self.limits.topics);
        let fits = match said.epoch {
            OPENS => {
                // The broker may yet say the number of another one, for what that has.
                let other = session.take().filter(|other| fetch && other.is_opening());
                let opened = session.insert(FetchSession::opening(owner, names.into_iter()).into());
                other.is_none_or(|other| opened.take_in(other.topics().iter().cloned(), most))
            }
            CLOSES => {
                *session = session.take().filter(|_| fetch && said.id == 0);
                true
            }
            _ => session.as_mut().is_none_or(|session| session.take_in(names.into_iter(), most)),
        };
        if fits { Ok(fetch && said.epoch == OPENS) } else { Err(Violation::ManyTopics) }
    }

    /// Keeps the topics of a request that opens a share session without the refused ones.
    pub(super) fn keep_share(&mut self, refused: &dyn Fn(usize) -> bool) {
        let topics = self.requests.names.topics.iter().enumerate();
        let names = |wanted: bool| {
            let those = topics.clone().filter(move |(number, _)| refused(*number) == wanted);
            those.map(|(_, topic)| name(topic, &self.requests.names.known, &[]))
        };
        let session = FetchSession::opening(self.requests.names.owner(), names(false)).without(names(true));
        self.share = Some(session.into());
    }

    /// Whether a topic that was refused when the share session began is allowed now.
    pub(super) fn has_more_to_share(&self, input: &[u8], driver: &mut Driver<'_>) -> bool {
        let (Some(frame), Some(session)) = (&self.requests.frame, &self.share) else { return false };
        let refused = session.refused();
        if frame.layout.key != api::SHARE_FETCH || refused.is_empty() {
            return false;
        }
        // They stand behind those that the request names itself.
        let (asked, own) =
            (RequestFacts::new(frame, &self.requests.names, refused, input), self.requests.names.topics.len());
        let still = driver.checker.preview(&asked as &dyn Request);
        still.is_some_and(|still| (0..refused.len()).any(|number| !still.contains(own + number)))
    }

    /// The fetch session of this number is closed.
    pub(super) fn forget_session(&mut self, id: i32) {
        self.session = self.session.take().filter(|session| !session.is(id));
    }

    /// Says that there is no such session. Clients begin anew, and what is denied of it is told then.
    pub(super) fn no_session(&mut self, input: &[u8], driver: &mut Driver<'_>) -> Result<ShownBytes, Violation> {
        let Some(frame) = &self.requests.frame else { return Ok(ShownBytes::Waits) };
        let Frame { layout, version, number, length, .. } = *frame;
        let whole = input.get(..length).ok_or(Violation::CutFrame)?;
        if layout.key == api::FETCH {
            self.session = None;
            let flexible = layout.flexible.contains(version);
            return self.say(&|out| Ok(not_found(number, flexible, out)), driver);
        }
        self.share = None;
        self.say(&|out| deny_with(layout, version, whole, Some(session::SHARE_NOT_FOUND), out), driver)
    }
}

impl RequestNames {
    /// Whose share session it is: that of a member of a group.
    fn owner(&self) -> (&[u8], &[u8]) {
        (self.group(), &self.member)
    }
}

/// The name of a topic as a session keeps it. What has none is allowed only where all topics are, so it is kept as the
/// empty one, which no rule about topics takes.
fn name(topic: &TopicName, known: &[Arc<str>], frame: &[u8]) -> Arc<str> {
    match topic {
        TopicName::Known(number) => known.get(*number as usize).map_or_else(|| Arc::from(""), Arc::clone),
        TopicName::Name { at, length } => {
            let bytes = frame.get(*at as usize..*at as usize + usize::from(*length)).unwrap_or_default();
            std::str::from_utf8(bytes).unwrap_or_default().into()
        }
        TopicName::Id(_) | TopicName::Unnamed => Arc::from(""),
    }
}

/// What a broker says of a fetch session that it does not know.
fn not_found(number: i32, flexible: bool, out: &mut Vec<u8>) -> KafkaDenial {
    let tags: &[u8] = if flexible { &[0] } else { &[] };
    let begin = begin_frame(number.to_be_bytes(), out);
    out.extend_from_slice(tags);
    // No throttle time, the error, no session.
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&session::NOT_FOUND.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    write_count(Some(0), flexible, out);
    out.extend_from_slice(tags);
    set_length(begin, out);
    KafkaDenial::Answered
}
