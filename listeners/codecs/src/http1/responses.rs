//! The server's stream: answers to what was asked, in order, and nothing else.

use super::{
    Http1, Progress,
    body::Body,
    chunked::{Chunked, Rooms},
    head::{self, Bounds, Scan},
    outstanding::Due,
    requests::{Requests, forward},
    response::{self, Next},
    violation::Violation,
};
use crate::relay::{Answer, Checker, Step};

/// Where in the server's stream we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Responses {
    Head(Scan),
    Body(Body),
    UntilClose,
}

impl Http1 {
    pub(super) fn response(&mut self, input: &[u8], checker: &mut dyn Checker) -> Progress {
        match self.responses {
            Responses::UntilClose => Progress::stop(forward(input.len())),
            Responses::Head(scan) => self
                .response_head(scan, input, checker)
                .unwrap_or_else(|violation| Progress::offence(Step::HOLD, violation)),
            Responses::Body(mut body) => {
                // A trailer section is as long as a head may be.
                let rooms = Rooms { extensions: self.limits.chunk_extensions, trailers: self.limits.response_head };
                let (taken, end) = body.take(input, rooms);
                match end {
                    Ok(true) => self.answered(),
                    Ok(false) => self.responses = Responses::Body(body),
                    Err(violation) => return Progress::offence(forward(taken), violation),
                }
                Progress::go_on(forward(taken))
            }
        }
    }

    fn response_head(
        &mut self,
        mut scan: Scan,
        input: &[u8],
        checker: &mut dyn Checker,
    ) -> Result<Progress, Violation> {
        let Some(Due::Answer(asked)) = self.outstanding.front() else { return Err(Violation::UnaskedResponse) };
        let bounds =
            Bounds { bytes: self.limits.response_head, lines: usize::MAX, offences: [Violation::LongResponseHead; 3] };
        let Some((head, end)) = head::read::<response::Head>(&mut scan, input, &bounds)? else {
            self.responses = Responses::Head(scan);
            return Ok(Progress::stop(Step::HOLD));
        };
        self.responses = Responses::Head(scan);
        let next = head.next(asked)?;
        // What is asked by an offer of HTTP/2 is answered there.
        if !matches!(next, Next::Interim | Next::Http2) {
            checker.answered(Answer::next(head.status));
        }
        match next {
            Next::Interim => {}
            Next::Nothing => self.answered(),
            Next::Length(length) => self.responses = Responses::Body(Body::Length(length)),
            Next::Chunked => self.responses = Responses::Body(Body::Chunked(Chunked::new())),
            Next::UntilClose => self.responses = Responses::UntilClose,
            Next::Tunnel => self.tunnel = true,
            Next::Http2 => self.switch()?,
        }
        Ok(Progress::go_on(forward(end)))
    }

    /// The server goes on in HTTP/2, in which it will answer. It can do so if the client has offered it and sent its whole
    /// request (RFC 7540 §3.2).
    fn switch(&mut self) -> Result<(), Violation> {
        if self.requests != Requests::Switching || self.offer.is_none() {
            return Err(Violation::BadSwitch);
        }
        self.switched = true;
        Ok(())
    }

    /// The oldest answer is complete.
    pub(super) fn answered(&mut self) {
        let oldest = self.outstanding.front();
        self.outstanding.pop();
        self.responses = Responses::Head(Scan::default());
        // The server did not switch: what the client sent behind its offer is the next request. Earlier answers may
        // come while an offer waits for its own.
        if self.requests == Requests::Switching
            && let Some(Due::Answer(asked)) = oldest
            && asked.may_switch()
        {
            self.requests = Requests::behind(asked);
        }
    }
}
