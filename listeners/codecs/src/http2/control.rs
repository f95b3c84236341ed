//! Frames that carry no message (SETTINGS, PING, GOAWAY, WINDOW_UPDATE and so on). They are forwarded unchanged,
//! except what the relay cannot support and what concerns no open stream.

use super::{
    Http2,
    faults::give_up,
    frame::{self, ACK, FrameHeader, FrameKind},
    streams::StreamState,
    turn::RelayCall,
    violation::{ErrorCode, Violation},
    way::{FrameRemainder, FrameStage},
};
use crate::relay::Side;

impl Http2 {
    /// Takes a whole frame.
    pub(super) fn control(
        &mut self,
        header: &FrameHeader,
        whole: &[u8],
        payload: &[u8],
        turn: &mut RelayCall<'_>,
    ) -> Result<(), Violation> {
        let passes = match header.kind {
            FrameKind::Settings => return self.settings(header, whole, payload, turn),
            FrameKind::Ping => self.ping(header, turn)?,
            FrameKind::Reset => self.reset(header.stream, frame::word(payload), turn)?,
            FrameKind::WindowUpdate => return self.window_update(header.stream, frame::number(payload), whole, turn),
            _ => {
                header.check_dependency(payload)?;
                self.ignore(turn)?
            }
        };
        if passes {
            turn.pass(whole);
        } else {
            turn.skip(whole.len());
        }
        Ok(())
    }

    /// A frame has no effect: it does not go on.
    fn ignore(&mut self, turn: &RelayCall<'_>) -> Result<bool, Violation> {
        self.budgets[turn.from as usize].ignored.spend().map(|()| false)
    }

    fn settings(
        &mut self,
        header: &FrameHeader,
        whole: &[u8],
        payload: &[u8],
        turn: &mut RelayCall<'_>,
    ) -> Result<(), Violation> {
        let (from, peer) = (turn.from, turn.from.peer());
        if header.has(ACK) {
            let said = &mut self.ways[peer as usize].settings;
            if !said.acknowledge() {
                return Err(Violation::SettingsAck);
            }
            let size = said.in_force.table_size as usize;
            self.ways[from as usize].decoder.allow_table_size(size);
            if from == Side::Downstream {
                // The server's word is in force for the client, and so for us who speak in its place.
                self.encoder.allow_table_size(size);
            }
            turn.pass(whole);
            return Ok(());
        }
        let way = &mut self.ways[from as usize];
        way.stage = FrameStage::Frames;
        let relayed = way.settings.take(from, payload, &self.limits)?;
        if relayed == payload {
            turn.pass(whole);
        } else {
            turn.replace(whole.len(), |out| frame::settings(&relayed, out));
        }
        Ok(())
    }

    /// Pings are the business of the two ends, as long as they are answered.
    fn ping(&mut self, header: &FrameHeader, turn: &RelayCall<'_>) -> Result<bool, Violation> {
        if !header.has(ACK) {
            return self.budgets[turn.from as usize].pings.spend().map(|()| true);
        }
        let asked = &mut self.budgets[turn.from.peer() as usize].pings;
        if asked.is_full() {
            return self.ignore(turn);
        }
        asked.refill(1);
        Ok(true)
    }

    fn reset(&mut self, id: u32, code: u32, turn: &mut RelayCall<'_>) -> Result<bool, Violation> {
        let index = match self.streams.place(id) {
            StreamState::New | StreamState::Idle => return Err(Violation::IdleStream),
            StreamState::Ended | StreamState::Reset | StreamState::Over => return self.ignore(turn),
            StreamState::Open(index) => index,
        };
        let stream = match turn.from {
            Side::Downstream => self.streams.close_by_client(index),
            Side::Upstream => self.streams.close(index),
        };
        let budgets = &mut self.budgets[Side::Downstream as usize];
        match turn.from {
            Side::Downstream if stream.status.is_none() => budgets.rapid_resets.spend()?,
            Side::Upstream if is_provoked(code) => {
                if let Err(violation) = budgets.provoked_resets.spend() {
                    self.end(Side::Downstream, violation, turn);
                    return Ok(false);
                }
            }
            _ => {}
        }
        give_up(&stream, turn);
        Ok(true)
    }

    fn window_update(
        &mut self,
        id: u32,
        increment: u32,
        whole: &[u8],
        turn: &mut RelayCall<'_>,
    ) -> Result<(), Violation> {
        self.budgets[turn.from as usize].window_updates.spend()?;
        let place = if id == 0 { None } else { Some(self.streams.place(id)) };
        match place {
            Some(StreamState::New | StreamState::Idle) => return Err(Violation::IdleStream),
            Some(StreamState::Ended | StreamState::Reset | StreamState::Over) => {}
            None if increment == 0 => return Err(Violation::WindowIncrement),
            Some(StreamState::Open(index)) if increment == 0 => self.cut(index, Violation::WindowIncrement, turn)?,
            None | Some(StreamState::Open(_)) => {
                turn.pass(whole);
                return Ok(());
            }
        }
        turn.skip(whole.len());
        Ok(())
    }

    /// GOAWAY: behind the server's last stream nothing is dealt with any more.
    pub(super) fn go_away(
        &mut self,
        header: &FrameHeader,
        input: &[u8],
        turn: &mut RelayCall<'_>,
    ) -> Result<bool, Violation> {
        let Some(last) = input.get(frame::HEADER..frame::HEADER + 4).map(frame::number) else { return Ok(false) };
        if turn.from == Side::Upstream {
            self.last = self.last.min(last);
            self.streams.close_above(self.last).iter().for_each(|stream| give_up(stream, turn));
        }
        // What its sender has to tell is for the other end.
        self.ways[turn.from as usize].payload = FrameRemainder { left: header.whole(), passes: true, credit: 0 };
        Ok(true)
    }
}

/// Whether a server resets a stream with this code because of what the client did wrong on it.
fn is_provoked(code: u32) -> bool {
    [ErrorCode::ProtocolError, ErrorCode::FlowControlError, ErrorCode::StreamClosed, ErrorCode::FrameSizeError]
        .into_iter()
        .any(|provoked| provoked as u32 == code)
}
