//! The streams of one connection (RFC 9113 §5.1), as far as a relay must know them. It keeps the open streams, the ids
//! that the client skipped, and a bounded number of streams that ended a short time ago. All other streams are closed
//! and forgotten.
//!
//! What [`Streams::place`] says of a client's id:
//!
//! ```text
//!              a higher id is used
//!    New ─────────────────────────────► Idle
//!     │
//!     │ the client's HEADERS
//!     ├── denied, refused or malformed ─────────────────────────┐
//!     ├── above the last id of the server's GOAWAY ─────────────┤
//!     │                                                         │
//!     │ allowed                                                 │
//!     ▼            END_STREAM from both sides                   │
//!    Open ─────────────────────────────► Ended ─────────────────┤ forgotten: only
//!     │    RST_STREAM from the client                           │ PAST are kept
//!     ├────────────────────────────────► Reset ─────────────────┤
//!     │    RST_STREAM from the server                           │
//!     ├─────────────────────────────────────────────────────────┤
//!     │    a malformed message: both sides get RST_STREAM       ▼
//!     └─────────────────────────────────────────────────────► Over
//!          GOAWAY from the server with a lower last id
//! ```
//!
//! An id that the client skipped is `Idle`: it can never be opened. Only [`GAPS`] ranges of skipped ids are kept; an
//! id of an older one counts as `Over`. Even ids are `Idle` too, as clients never use them.
//!
//! The place decides what becomes of a frame. On `Idle`, and on `New` unless it opens the stream, it ends the
//! connection. On `Ended`, DATA and HEADERS do so too. On `Reset`, DATA and HEADERS of the client get another
//! RST_STREAM. Everything else on `Ended`, `Reset` and `Over` is dropped, because its sender may not know yet that the
//! stream is closed. Only header blocks of the server are relayed on `Reset` and `Over`, because the client's
//! compression table must follow them.
//!
//! Each half of an open stream goes through these states. The client's half begins behind the head, which has been
//! judged:
//!
//! ```text
//!    Head ── head ──► Body(bytes left, if known) ── END_STREAM ──► Ended
//!     │  ▲                 │         ▲                               ▲
//!     │  └ interim head    └─ DATA ──┘                               │
//!     └────────────── head with END_STREAM ──────────────────────────┘
//! ```

use super::violation::Violation;

/// Ids that were passed over are remembered in so many ranges.
const GAPS: usize = 32;
/// So many streams that were ended in order, or reset by the client, are remembered.
const PAST: usize = 32;

/// How far one side's message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// Its head has not come.
    Head,
    /// DATA may come: so many bytes, if it is known how many.
    Body(Option<u64>),
    /// END_STREAM has come.
    Ended,
}

impl Half {
    /// Behind a head, which may end the stream.
    pub(super) fn behind_head(length: Option<u64>, end_stream: bool) -> Self {
        if end_stream { Self::Ended } else { Self::Body(length) }
    }

    /// Takes DATA with so much content.
    pub(super) fn data(&mut self, content: u32, end_stream: bool) -> Result<(), Violation> {
        let left = match *self {
            Self::Head => return Err(Violation::NoHead),
            Self::Ended => return Err(Violation::StreamClosed),
            Self::Body(None) => None,
            Self::Body(Some(left)) => Some(left.checked_sub(content.into()).ok_or(Violation::LengthMismatch)?),
        };
        if end_stream {
            self.end(left)
        } else {
            *self = Self::Body(left);
            Ok(())
        }
    }

    /// Takes trailers.
    pub(super) fn trailers(&mut self, end_stream: bool) -> Result<(), Violation> {
        match *self {
            Self::Head | Self::Ended => Err(Violation::StreamClosed),
            Self::Body(_) if !end_stream => Err(Violation::TrailersEnd),
            Self::Body(left) => self.end(left),
        }
    }

    fn end(&mut self, left: Option<u64>) -> Result<(), Violation> {
        *self = Self::Ended;
        if left.is_some_and(|left| left > 0) { Err(Violation::LengthMismatch) } else { Ok(()) }
    }
}

/// An open stream: its request was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenStream {
    pub(super) id: u32,
    /// Number of the exchange, for reports of the answer.
    pub(super) exchange: u32,
    /// What came from the client and from the server, by [`crate::relay::Side`].
    pub(super) halves: [Half; 2],
    /// HEAD: the answer has no content.
    pub(super) head: bool,
    /// CONNECT: an answer that grants it has no length.
    pub(super) connect: bool,
    /// The status of the final answer, once its head has come.
    pub(super) status: Option<u16>,
    /// Whether the answer has been told of.
    pub(super) told: bool,
}

/// What a stream is to somebody who names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamState {
    /// It may be opened.
    New,
    /// It was passed over, or its id is not one of a client: nobody can ever open it.
    Idle,
    /// It is open, at this index.
    Open(usize),
    /// Both sides ended it in order.
    Ended,
    /// The client has reset it, and may send nothing more on it.
    Reset,
    /// It is over. Something may still be on its way that was sent before its sender knew.
    Over,
}

/// All streams of a connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Open ones, by id.
    open: Vec<OpenStream>,
    /// The highest id that the client has used.
    last: u32,
    /// Ranges of ids that were passed over.
    gaps: Vec<(u32, u32)>,
    /// Streams of a short while ago, and whether the client has reset them.
    past: Vec<(u32, bool)>,
    oldest: usize,
}

impl Streams {
    pub(super) fn place(&self, id: u32) -> StreamState {
        if id.is_multiple_of(2) {
            return StreamState::Idle;
        }
        if id > self.last {
            return StreamState::New;
        }
        match self.open.binary_search_by_key(&id, |stream| stream.id) {
            Ok(index) => StreamState::Open(index),
            Err(_) if self.gaps.iter().any(|(first, last)| (*first..=*last).contains(&id)) => StreamState::Idle,
            Err(_) => match self.past.iter().find(|(past, _)| *past == id) {
                Some((_, true)) => StreamState::Reset,
                Some((_, false)) => StreamState::Ended,
                None => StreamState::Over,
            },
        }
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The highest id that the client has used.
    pub(super) fn last(&self) -> u32 {
        self.last
    }

    /// Notes that the client has used a new id; all below it are closed (RFC 9113 §5.1.1).
    pub(super) fn use_id(&mut self, id: u32) {
        // The first id is 1.
        let next = if self.last == 0 { 1 } else { self.last + 2 };
        if id > next {
            if self.gaps.len() == GAPS {
                self.gaps.remove(0);
            }
            self.gaps.push((next, id - 2));
        }
        self.last = id;
    }

    /// Opens a stream whose id was used last.
    pub(super) fn open(&mut self, stream: OpenStream) {
        self.open.push(stream);
    }

    /// An open stream, by its index.
    pub(super) fn get(&mut self, index: usize) -> &mut OpenStream {
        &mut self.open[index]
    }

    /// Forgets an open stream that both sides have ended, or that was reset.
    pub(super) fn close(&mut self, index: usize) -> OpenStream {
        let stream = self.open.remove(index);
        if self.open.is_empty() && self.open.capacity() > 64 {
            self.open = Vec::new();
        }
        if stream.halves == [Half::Ended; 2] {
            self.remember(stream.id, false);
        }
        stream
    }

    /// Forgets an open stream that the client has reset.
    pub(super) fn close_by_client(&mut self, index: usize) -> OpenStream {
        let stream = self.close(index);
        self.remember(stream.id, true);
        stream
    }

    fn remember(&mut self, id: u32, reset: bool) {
        if self.past.len() < PAST {
            self.past.push((id, reset));
        } else {
            self.past[self.oldest] = (id, reset);
            self.oldest = (self.oldest + 1) % PAST;
        }
    }

    /// Forgets all open streams above an id.
    pub(super) fn close_above(&mut self, id: u32) -> Vec<OpenStream> {
        let index = self.open.partition_point(|stream| stream.id <= id);
        self.open.split_off(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(id: u32) -> OpenStream {
        OpenStream {
            id,
            exchange: id,
            halves: [Half::Body(None), Half::Head],
            head: false,
            connect: false,
            status: None,
            told: false,
        }
    }

    fn with(ids: &[u32]) -> Streams {
        let mut streams = Streams::default();
        for id in ids {
            streams.use_id(*id);
            streams.open(stream(*id));
        }
        streams
    }

    #[test]
    fn ids_only_grow_and_those_passed_over_stay_idle() {
        let streams = with(&[3, 5, 11]);
        for (id, place) in [
            (0, StreamState::Idle),
            (1, StreamState::Idle),
            (2, StreamState::Idle),
            (3, StreamState::Open(0)),
            (5, StreamState::Open(1)),
            (7, StreamState::Idle),
            (9, StreamState::Idle),
            (11, StreamState::Open(2)),
            (12, StreamState::Idle),
            (13, StreamState::New),
            (0x7fff_ffff, StreamState::New),
        ] {
            assert_eq!(streams.place(id), place, "{id}");
        }
    }

    #[test]
    fn what_was_ended_in_order_is_told_from_what_was_reset() {
        let mut streams = with(&[1, 3, 5, 7]);
        streams.get(0).halves = [Half::Ended; 2];
        streams.close(0);
        streams.close(0);
        streams.close_by_client(1);
        let places = [1, 3, 5, 7].map(|id| streams.place(id));
        assert_eq!(places, [StreamState::Ended, StreamState::Over, StreamState::Open(0), StreamState::Reset]);
        assert_eq!((streams.len(), streams.last()), (1, 7));
        assert_eq!(streams.close_above(3).len(), 1);
        assert_eq!(streams.place(5), StreamState::Over);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut streams = Streams::default();
        for number in 0..10_000_u32 {
            let id = number * 4 + 3;
            streams.use_id(id);
            streams.open(OpenStream { halves: [Half::Ended; 2], ..stream(id) });
            streams.close(0);
        }
        assert_eq!((streams.gaps.len(), streams.past.len(), streams.len()), (GAPS, PAST, 0));
        assert_eq!(streams.place(39_999), StreamState::Ended);
        assert_eq!(streams.place(39_997), StreamState::Idle);
        // Long ago: nobody knows any more.
        assert_eq!((streams.place(3), streams.place(5)), (StreamState::Over, StreamState::Over));
    }

    #[test]
    fn data_has_to_come_to_the_length_that_was_said() {
        let run = |start: Half, pieces: &[(u32, bool)]| {
            let mut half = start;
            pieces.iter().try_for_each(|(content, end)| half.data(*content, *end)).map(|()| half)
        };
        let body = |length| Half::Body(Some(length));
        for (start, pieces, wanted) in [
            (Half::Body(None), vec![(5, false), (0, false)], Ok(Half::Body(None))),
            (Half::Body(None), vec![(5, true)], Ok(Half::Ended)),
            (body(7), vec![(5, false)], Ok(body(2))),
            (body(7), vec![(5, false), (2, true)], Ok(Half::Ended)),
            (body(7), vec![(7, false), (0, true)], Ok(Half::Ended)),
            (body(7), vec![(5, false), (3, false)], Err(Violation::LengthMismatch)),
            (body(7), vec![(5, true)], Err(Violation::LengthMismatch)),
            (Half::Head, vec![(1, false)], Err(Violation::NoHead)),
            (Half::Ended, vec![(0, true)], Err(Violation::StreamClosed)),
        ] {
            assert_eq!(run(start, &pieces), wanted, "{start:?} {pieces:?}");
        }
        let trailers = |mut half: Half, end| half.trailers(end).map(|()| half);
        assert_eq!(trailers(Half::Body(None), true), Ok(Half::Ended));
        assert_eq!(trailers(body(0), true), Ok(Half::Ended));
        assert_eq!(trailers(body(1), true), Err(Violation::LengthMismatch));
        assert_eq!(trailers(Half::Body(None), false), Err(Violation::TrailersEnd));
        assert_eq!(trailers(Half::Ended, true), Err(Violation::StreamClosed));
    }
}
