//! HTTP/2 (RFC 9113): a relay of frames. One connection of a client goes with one connection to the server, with the
//! same streams. The header blocks of requests are decoded, judged, and written anew for the server, so that what was
//! judged is what is sent; those of responses are read on the way, and written anew only behind a malformed one.
//! Everything else goes on as it came: DATA and the credit for it, PING, GOAWAY, RST_STREAM, and SETTINGS but for what we
//! could not keep up.

mod block;
mod budget;
mod control;
mod data;
mod faults;
mod field;
mod frame;
pub mod hpack;
mod limits;
mod refusal;
mod request;
mod requests;
mod response;
mod responses;
mod settings;
mod streams;
mod turn;
mod violation;
mod way;

pub(crate) use frame::PREFACE;
pub use limits::Http2Limits;
pub use violation::{ErrorCode, Violated, Violation};

use self::{
    budget::Budgets,
    frame::{FrameHeader, FrameKind},
    hpack::{Decoder, Encoder, FieldList},
    settings::Http2Settings,
    streams::{Half, OpenStream, Streams},
    turn::RelayCall,
    way::{DirectionState, FrameRemainder, FrameStage},
};
use crate::http::Limits;
use crate::relay::{Checker, Close, Relay, RelayOutput, RelayStep, Side};

/// Words for one side that wait for the end of a frame; with more, what they come from is not read.
const WAITING: usize = 16 * 1024;

/// The state of one connection pair.
#[derive(Debug)]
pub(crate) struct Http2 {
    limits: Limits,
    /// What comes from the client and from the server, by [`Side`].
    ways: [DirectionState; 2],
    budgets: [Budgets; 2],
    streams: Streams,
    /// Writes the header blocks for the server.
    encoder: Encoder,
    /// Writes the header blocks for the client, once one of the server's did not go on.
    for_client: Option<Box<Encoder>>,
    /// The fields of the block that is being looked at.
    fields: FieldList,
    /// The last stream that the server will deal with, by its GOAWAY.
    last: u32,
    /// Bytes of the client are held.
    holds: bool,
}

/// What a client has offered with a request of HTTP/1 that may become the first stream (RFC 7540 §3.2).
#[derive(Debug)]
pub(crate) struct UpgradeOffer {
    settings: Http2Settings,
    /// The request is HEAD.
    head: bool,
}

impl UpgradeOffer {
    /// Reads the settings of an offer.
    pub(crate) fn new(settings: &[u8], head: bool, limits: &Limits) -> Result<Self, Violation> {
        Ok(Self { settings: Http2Settings::of_upgrade(settings, limits)?, head })
    }
}

impl Http2 {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            ways: [
                DirectionState::new(FrameStage::Preface, Decoder::new()),
                DirectionState::new(FrameStage::Settings, Decoder::with_late_updates()),
            ],
            budgets: [Budgets::new(&limits.http2), Budgets::new(&limits.http2)],
            streams: Streams::default(),
            encoder: Encoder::new(hpack::MAX_TABLE_SIZE),
            for_client: None,
            fields: FieldList::default(),
            last: u32::MAX,
            holds: false,
        }
    }

    /// Goes on behind the 101 of a server that has taken up an offer: the request is stream 1, and the client has ended
    /// it.
    pub(crate) fn upgraded(limits: &Limits, offer: UpgradeOffer) -> Self {
        let mut relay = Self::new(limits);
        relay.ways[Side::Upstream as usize].decoder.allow_table_size(offer.settings.in_force.table_size as usize);
        relay.ways[Side::Downstream as usize].settings = offer.settings;
        relay.streams.use_id(1);
        relay.streams.open(OpenStream {
            id: 1,
            // It was judged as a request of HTTP/1, whose answers come in order.
            exchange: 0,
            halves: [Half::Ended, Half::Head],
            head: offer.head,
            connect: false,
            status: None,
            told: false,
        });
        relay
    }

    /// Takes what the input begins with. Returns whether more may be taken at once.
    fn advance(&mut self, input: &[u8], turn: &mut RelayCall<'_>) -> Result<bool, Violation> {
        let (from, peer) = (turn.from as usize, turn.from.peer() as usize);
        if self.ways[from].payload.left > 0 {
            return Ok(self.payload(input, turn));
        }
        if self.ways[from].stage == FrameStage::Preface {
            return self.preface(input, turn);
        }
        let Some(header) = FrameHeader::read(input) else { return Ok(false) };
        header.check(self.ways[peer].settings.in_force.frame_size)?;
        if self.ways[from].stage == FrameStage::Settings
            && (header.kind != FrameKind::Settings || header.has(frame::ACK))
        {
            return Err(Violation::NoSettings);
        }
        match header.kind {
            FrameKind::Data => self.data(&header, input, turn),
            FrameKind::Headers => self.block(&header, input, turn),
            FrameKind::Continuation => Err(Violation::Continuation),
            FrameKind::PushPromise => Err(Violation::PushPromise),
            FrameKind::Unknown => {
                self.budgets[from].ignored.spend()?;
                self.ways[from].payload = FrameRemainder { left: header.whole(), ..FrameRemainder::default() };
                Ok(true)
            }
            FrameKind::GoAway => self.go_away(&header, input, turn),
            FrameKind::Priority
            | FrameKind::Reset
            | FrameKind::Settings
            | FrameKind::Ping
            | FrameKind::WindowUpdate => {
                let Some(payload) = header.payload(input) else { return Ok(false) };
                self.control(&header, &input[..header.whole()], payload, turn).map(|()| true)
            }
        }
    }

    /// The preface goes on at once, so that the server is called and says its SETTINGS, for which some clients wait.
    fn preface(&mut self, input: &[u8], turn: &mut RelayCall<'_>) -> Result<bool, Violation> {
        let length = input.len().min(PREFACE.len());
        if input[..length] != PREFACE[..length] {
            return Err(Violation::Preface);
        }
        if length < PREFACE.len() {
            return Ok(false);
        }
        turn.pass(PREFACE);
        self.ways[turn.from as usize].stage = FrameStage::Settings;
        Ok(true)
    }

    /// Whether the client has to wait: until the server has said SETTINGS it may be one of HTTP/1, to which all but the
    /// preface and SETTINGS could mean something else.
    fn is_unsure(&self) -> bool {
        let [client, server] = [Side::Downstream, Side::Upstream].map(|side| self.ways[side as usize].stage);
        client == FrameStage::Frames && server == FrameStage::Settings
    }

    /// Where words for a side are put: at once, or behind what has to go there first.
    fn words<'t>(&'t mut self, to: Side, turn: &'t mut RelayCall<'_>) -> &'t mut Vec<u8> {
        let way = &mut self.ways[to.peer() as usize];
        if way.may_be_spoken_into() { turn.words(to) } else { &mut way.words }
    }

    /// Says what has waited.
    fn say_what_waits(&mut self, turn: &mut RelayCall<'_>) {
        let way = &mut self.ways[turn.from as usize];
        if !way.words.is_empty() && way.may_be_spoken_into() {
            turn.words(turn.from.peer()).append(&mut way.words);
            way.words = Vec::new();
        }
    }

    /// Says to the client why its connection ends, as far as something can be said: not within a frame, and behind SETTINGS
    /// (RFC 9113 §3.4), which are ours if the server has said none.
    fn say_last(&mut self, last: u32, code: ErrorCode, turn: &mut RelayCall<'_>) -> Close {
        let way = &mut self.ways[Side::Upstream as usize];
        if way.is_within_frame() {
            return Close::Reset;
        }
        let out = turn.words(Side::Downstream);
        if way.stage != FrameStage::Frames {
            frame::settings(&[], out);
            way.stage = FrameStage::Frames;
        }
        out.append(&mut way.words);
        frame::go_away(last, code, out);
        Close::Graceful
    }
}

impl Relay for Http2 {
    fn receive(&mut self, from: Side, input: &[u8], checker: &mut dyn Checker, out: &mut RelayOutput) -> RelayStep {
        let mut turn = RelayCall::new(from, checker, out);
        loop {
            self.say_what_waits(&mut turn);
            let rest = &input[turn.step().taken()..];
            if rest.is_empty() || turn.is_over() || (from == Side::Downstream && self.is_unsure()) {
                break;
            }
            match self.advance(rest, &mut turn) {
                Ok(true) => {}
                Ok(false) => break,
                Err(violation) => {
                    self.end(from, violation, &mut turn);
                    break;
                }
            }
        }
        if from == Side::Downstream {
            self.holds = turn.step().taken() < input.len();
        }
        turn.step()
    }

    fn receive_eof(&mut self, from: Side, _held: usize, _checker: &mut dyn Checker, out: &mut RelayOutput) {
        // A client that has ended may still be answered. Without a server nothing more will come; open streams were
        // not ended, so the client sees that they were cut.
        if from == Side::Upstream {
            let cut = self.ways[Side::Upstream as usize].is_within_frame();
            out.close = Some(if cut { Close::Reset } else { Close::Graceful });
        }
    }

    fn wants(&self, side: Side) -> bool {
        let waits = side == Side::Downstream && self.is_unsure() && self.holds;
        !waits && self.ways[side.peer() as usize].words.len() < WAITING
    }

    fn head_pending(&self) -> bool {
        let client = &self.ways[Side::Downstream as usize];
        client.stage != FrameStage::Frames || client.block_begun()
    }

    fn head_timeout(&mut self, checker: &mut dyn Checker, out: &mut RelayOutput) {
        if self.head_pending() {
            let mut turn = RelayCall::new(Side::Downstream, checker, out);
            self.end(Side::Downstream, Violation::HeadTimeout, &mut turn);
        }
    }

    fn client_first(&self) -> bool {
        true
    }

    fn passthrough(&self, from: Side) -> u64 {
        // Not the last byte: behind it something may have to be said.
        let payload = &self.ways[from as usize].payload;
        if payload.passes { payload.left.saturating_sub(1) as u64 } else { 0 }
    }

    fn passed(&mut self, from: Side, bytes: u64) {
        let payload = &mut self.ways[from as usize].payload;
        payload.left = payload.left.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX)).max(1);
    }
}
