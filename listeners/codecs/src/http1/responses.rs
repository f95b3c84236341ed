//! The server's byte stream: only the responses to forwarded requests, in order.

use super::{
    Http1, LookProgress, answers,
    body::BodyState,
    chunked::{ChunkLimits, Chunked},
    head::{self, HeadBounds, Scan},
    odd::{self, UnusualAnswer, is_http},
    requests::{RequestStream, forward},
    response::{self, AfterResponse},
    violation::{Violated, Violation},
};
use crate::{
    order::Answerer,
    relay::{Checker, Close, RelayOutput, RelayStep, ResponseSummary, Side},
};

/// Where in the server's stream we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Http1Responses {
    Head(Scan),
    Body(BodyState),
    UntilClose,
    /// In an answer that goes on although it is not right.
    Odd(UnusualAnswer),
}

impl Http1 {
    pub(super) fn response(&mut self, input: &[u8], checker: &mut dyn Checker, out: &mut RelayOutput) -> LookProgress {
        match self.responses {
            Http1Responses::UntilClose | Http1Responses::Odd(UnusualAnswer::UntilClose) => {
                LookProgress::stop(forward(input.len()))
            }
            Http1Responses::Head(scan) => self
                .response_head(scan, input, checker)
                .unwrap_or_else(|violation| LookProgress::violation(RelayStep::HOLD, violation)),
            Http1Responses::Body(mut body) => {
                let (taken, end) = body.take(input, self.response_rooms(false));
                match end {
                    Ok(true) => self.answered(),
                    Ok(false) => self.responses = Http1Responses::Body(body),
                    Err(violation) => {
                        self.responses = Http1Responses::Body(body);
                        return LookProgress::violation(forward(taken), violation);
                    }
                }
                LookProgress::go_on(forward(taken))
            }
            Http1Responses::Odd(UnusualAnswer::Head { seen, lines }) => self.odd_head(seen, lines, input, checker, out),
            Http1Responses::Odd(UnusualAnswer::Body(mut body)) => {
                let (taken, end) = body.take(input, self.response_rooms(true));
                match end {
                    Ok(true) => self.answered(),
                    Ok(false) => self.responses = Http1Responses::Odd(UnusualAnswer::Body(body)),
                    Err(_) => {
                        self.until_close();
                        return LookProgress::stop(forward(input.len()));
                    }
                }
                LookProgress::go_on(forward(taken))
            }
        }
    }

    fn response_rooms(&self, lenient: bool) -> ChunkLimits {
        // A trailer section is as long as a head may be.
        ChunkLimits { extensions: self.limits.response_head, trailers: self.limits.response_head, lenient }
    }

    /// The server sent what is not right. If its answer has begun, or clients can read it all the same, it goes on as it
    /// is; otherwise the client is told.
    pub(super) fn server_violates(&mut self, violation: Violation, checker: &mut dyn Checker, out: &mut RelayOutput) {
        checker.violated(&Violated { violation, side: Side::Upstream });
        // What a client sends that has not waited for its answer is dropped.
        let sending =
            matches!(self.requests, RequestStream::Body { .. } | RequestStream::Held { .. } | RequestStream::Over);
        self.requests = if sending || self.holds { RequestStream::Over } else { RequestStream::Shut };
        self.ends = true;
        match self.responses {
            Http1Responses::Body(body) => self.responses = Http1Responses::Odd(UnusualAnswer::Body(body)),
            // All requests have been answered, so further bytes belong to no response.
            _ if violation == Violation::UnaskedResponse => out.close = Some(Close::Graceful),
            _ if matches!(violation, Violation::BadSwitch | Violation::LongResponseHead) => self.no_answer(out),
            _ => self.responses = Http1Responses::Odd(UnusualAnswer::Head { seen: 0, lines: 0 }),
        }
    }

    fn odd_head(
        &mut self,
        mut seen: usize,
        mut lines: usize,
        input: &[u8],
        checker: &mut dyn Checker,
        out: &mut RelayOutput,
    ) -> LookProgress {
        let Some(&Answerer::Server(asked)) = self.outstanding.front() else {
            return LookProgress::stop(RelayStep::HOLD);
        };
        let end = if is_http(input) { odd::end(&mut seen, &mut lines, input) } else { Some(0) };
        let Some(end) = end else {
            self.responses = Http1Responses::Odd(UnusualAnswer::Head { seen, lines });
            if input.len() > self.limits.response_head {
                self.no_answer(out);
            }
            return LookProgress::stop(RelayStep::HOLD);
        };
        let (status, next) = odd::read(&input[..end], asked);
        if !matches!(next, odd::AfterUnusual::Interim | odd::AfterUnusual::Refuse) {
            checker.answered(ResponseSummary::next(status));
        }
        match next {
            odd::AfterUnusual::Interim => {
                self.responses = Http1Responses::Odd(UnusualAnswer::Head { seen: 0, lines: 0 })
            }
            odd::AfterUnusual::Nothing => self.answered(),
            odd::AfterUnusual::Body(body) => self.responses = Http1Responses::Odd(UnusualAnswer::Body(body)),
            odd::AfterUnusual::UntilClose => self.until_close(),
            odd::AfterUnusual::Refuse => {
                self.no_answer(out);
                return LookProgress::stop(RelayStep::HOLD);
            }
        }
        LookProgress::go_on(forward(end))
    }

    /// The answer ends with the server's stream, so the client may take it for complete before.
    fn until_close(&mut self) {
        self.responses = Http1Responses::Odd(UnusualAnswer::UntilClose);
    }

    /// The client gets our word in the place of the answer.
    fn no_answer(&mut self, out: &mut RelayOutput) {
        let head = matches!(self.outstanding.front(), Some(Answerer::Server(asked)) if asked.head);
        answers::refused(502, head, &mut out.downstream);
        out.close = Some(Close::Graceful);
    }

    pub(super) fn server_ends(&mut self, held: usize, checker: &mut dyn Checker, out: &mut RelayOutput) {
        match self.responses {
            Http1Responses::Head(_) if held > 0 && !self.outstanding.is_empty() => {
                let violation = Violation::TruncatedResponseHead;
                checker.violated(&Violated { violation, side: Side::Upstream });
                self.no_answer(out);
            }
            Http1Responses::Odd(UnusualAnswer::Head { .. }) => self.no_answer(out),
            // Inside an answer the client has to see that it was cut.
            Http1Responses::Body(_) | Http1Responses::Odd(UnusualAnswer::Body(_)) => out.close = Some(Close::Reset),
            // Where the end of the stream ends the answer, nothing of ours can follow it and no reset may cut it. Between
            // answers nothing more will come.
            Http1Responses::Head(_) | Http1Responses::UntilClose | Http1Responses::Odd(UnusualAnswer::UntilClose) => {
                out.close = Some(Close::Graceful);
            }
        }
    }

    fn response_head(
        &mut self,
        mut scan: Scan,
        input: &[u8],
        checker: &mut dyn Checker,
    ) -> Result<LookProgress, Violation> {
        let Some(&Answerer::Server(asked)) = self.outstanding.front() else { return Err(Violation::UnaskedResponse) };
        let bounds = HeadBounds {
            bytes: self.limits.response_head,
            lines: usize::MAX,
            violations: [Violation::LongResponseHead; 3],
        };
        let Some((head, end)) = head::read::<response::ResponseHead>(&mut scan, input, &bounds)? else {
            self.responses = Http1Responses::Head(scan);
            return Ok(LookProgress::stop(RelayStep::HOLD));
        };
        let next = head.next(asked)?;
        self.responses = Http1Responses::Head(scan);
        // What is asked by an offer of HTTP/2 is answered there.
        if !matches!(next, AfterResponse::Interim | AfterResponse::Http2) {
            checker.answered(ResponseSummary::next(head.status));
        }
        let last = self.outstanding.len() == 1;
        match next {
            AfterResponse::Interim if head.status == 100 && last => self.has_word(),
            AfterResponse::Interim => {}
            AfterResponse::Nothing => self.answered(),
            AfterResponse::Length(length) => self.responses = Http1Responses::Body(BodyState::Length(length)),
            AfterResponse::Chunked => self.responses = Http1Responses::Body(BodyState::Chunked(Chunked::new())),
            AfterResponse::UntilClose => self.responses = Http1Responses::UntilClose,
            AfterResponse::Tunnel => self.tunnel = true,
            AfterResponse::Http2 => self.switch()?,
        }
        // A server that answers without its word need not read the body, and what came of it would be its next request.
        if last
            && self.waits_for_word()
            && matches!(self.responses, Http1Responses::Body(_) | Http1Responses::UntilClose)
        {
            self.requests = RequestStream::Over;
            self.ends = true;
        }
        Ok(LookProgress::go_on(forward(end)))
    }

    /// The server goes on in HTTP/2, in which it will answer. It can do so if the client has offered it and sent its whole
    /// request (RFC 7540 §3.2).
    fn switch(&mut self) -> Result<(), Violation> {
        if self.requests != RequestStream::Switching || self.offer.is_none() {
            return Err(Violation::BadSwitch);
        }
        self.switched = true;
        Ok(())
    }

    /// The oldest answer is complete.
    pub(super) fn answered(&mut self) {
        let oldest = self.outstanding.pop();
        self.responses = Http1Responses::Head(Scan::default());
        match self.requests {
            // The server did not switch: what the client sent behind its offer is the next request. Earlier answers may
            // come while an offer waits for its own.
            RequestStream::Switching => {
                if let Some(Answerer::Server(asked)) = oldest
                    && asked.may_switch()
                {
                    self.requests = RequestStream::behind(asked);
                }
            }
            // The server has said all it has to say about a request that has not come as a whole. What is still to come
            // it may read or not, and could take for its next request: nothing more goes on.
            RequestStream::Body { .. } | RequestStream::Held { .. } if self.outstanding.is_empty() => {
                self.requests = RequestStream::Over;
                self.ends = true;
            }
            _ => {}
        }
    }
}
