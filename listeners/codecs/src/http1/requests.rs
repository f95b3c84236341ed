//! The client's byte stream: a sequence of requests. Each is judged before any of its bytes is forwarded.

use portcullis_rules::request::Request;

use super::{
    Http1, LookProgress, answers,
    body::BodyState,
    chunked::ChunkLimits,
    head::{self, HeadBounds, Scan},
    odd::UnusualAnswer,
    outstanding::{OwnResponse, RequestShape},
    request,
    responses::Http1Responses,
    rewrite,
    violation::{Violated, Violation},
};
use crate::{
    http::text::is_token_byte,
    order::Answerer,
    relay::{Checker, Close, Decision, RelayOutput, RelayStep, Side},
};

/// Most empty lines in front of a request. One has to be ignored (RFC 9112 §2.2).
const EMPTY_LINES: u8 = 4;

/// Where in the client's stream we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestStream {
    /// In front of or in a head, behind so many empty lines.
    Head { scan: Scan, empty_lines: u8 },
    /// In front of the body of an allowed request that has to wait.
    Held { body: BodyState, asked: RequestShape, wait: Wait },
    /// In the body of an allowed request that has been asked so.
    Body { body: BodyState, asked: RequestShape },
    /// In the body of a denied request that was answered; so many bytes more are read of it.
    Swallow { body: BodyState, room: u64 },
    /// Behind a request that may switch protocols: what comes now belongs to whatever the answer says.
    Switching,
    /// No request comes any more: what does come is dropped.
    Over,
    /// Behind a whole request to which an odd answer comes: the next one cannot be taken.
    Shut,
}

/// What a body waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// The server's word, for a time (`Expect: 100-continue`): one that answers without may take the body for requests.
    word: bool,
    /// Its first bytes: with an offer to switch, they may not be those of HTTP/2. A server that switches before it reads
    /// the body takes them for that.
    beginning: bool,
}

/// What no body that comes with an offer to switch may begin with: so begins the preface of HTTP/2 (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * ";

impl RequestStream {
    /// In front of a request.
    pub(super) const NEXT: Self = Self::Head { scan: Scan::NONE, empty_lines: 0 };

    /// Behind a request to which nothing is due any more. No request may follow one with `Connection: close`, and none
    /// is processed (RFC 9112 §9.6).
    pub(super) fn behind(asked: RequestShape) -> Self {
        if asked.close { Self::Over } else { Self::NEXT }
    }
}

impl Http1 {
    pub(super) fn request(&mut self, input: &[u8], checker: &mut dyn Checker, out: &mut RelayOutput) -> LookProgress {
        match self.requests {
            RequestStream::Switching => LookProgress::stop(RelayStep::HOLD),
            RequestStream::Over => LookProgress::stop(discard(input.len())),
            RequestStream::Shut => {
                // The client takes the answer for complete, and we cannot tell.
                if self.responses == Http1Responses::Odd(UnusualAnswer::UntilClose) {
                    out.close = Some(Close::Reset);
                }
                LookProgress::stop(RelayStep::HOLD)
            }
            RequestStream::Held { body, asked, wait } => match begins(body, wait, input) {
                None => LookProgress::stop(RelayStep::HOLD),
                Some(Err(violation)) => LookProgress::violation(RelayStep::HOLD, violation),
                Some(Ok(())) => {
                    self.requests = RequestStream::Body { body, asked };
                    self.request(input, checker, out)
                }
            },
            RequestStream::Head { .. } if self.is_full() => LookProgress::stop(RelayStep::HOLD),
            RequestStream::Head { scan, empty_lines } => self
                .request_head(scan, empty_lines, input, checker, out)
                .unwrap_or_else(|violation| LookProgress::violation(RelayStep::HOLD, violation)),
            RequestStream::Body { mut body, asked } => {
                let (taken, end) = body.take(input, self.request_rooms());
                match end {
                    Ok(true) => self.behind_body(asked),
                    Ok(false) => self.requests = RequestStream::Body { body, asked },
                    Err(violation) => return LookProgress::violation(forward(taken), violation),
                }
                LookProgress::go_on(forward(taken))
            }
            RequestStream::Swallow { mut body, room } => {
                let (taken, end) = body.take(input, self.request_rooms());
                let left = room.checked_sub(taken as u64);
                match (end, left) {
                    (Err(violation), _) => return LookProgress::violation(discard(taken), violation),
                    (Ok(true), _) => self.requests = RequestStream::NEXT,
                    (Ok(false), Some(room)) => self.requests = RequestStream::Swallow { body, room },
                    (Ok(false), None) => self.stop_swallowing(out),
                }
                LookProgress::go_on(discard(taken))
            }
        }
    }

    /// Whether a body waits for the server's word.
    pub(super) fn waits_for_word(&self) -> bool {
        matches!(self.requests, RequestStream::Held { wait: Wait { word: true, .. }, .. })
    }

    /// The server's word has come, or is waited for no longer.
    pub(super) fn has_word(&mut self) {
        if let RequestStream::Held { wait, .. } = &mut self.requests {
            wait.word = false;
        }
    }

    /// Whether too many answers are due.
    pub(super) fn is_full(&self) -> bool {
        self.outstanding.is_full()
    }

    fn request_rooms(&self) -> ChunkLimits {
        ChunkLimits { extensions: self.limits.chunk_extensions, trailers: self.limits.trailers, lenient: false }
    }

    /// Behind a request that offered to switch, what follows waits for the answer, if that has not come already.
    fn behind_body(&mut self, asked: RequestShape) {
        let waits = asked.may_switch() && matches!(self.outstanding.last_mut(), Some(Answerer::Server(_)));
        self.requests = if waits { RequestStream::Switching } else { RequestStream::behind(asked) };
    }

    fn request_head(
        &mut self,
        mut scan: Scan,
        empty_lines: u8,
        input: &[u8],
        checker: &mut dyn Checker,
        out: &mut RelayOutput,
    ) -> Result<LookProgress, Violation> {
        if !scan.has_begun() {
            match input {
                [b'\r', b'\n', ..] if empty_lines == EMPTY_LINES => return Err(Violation::RequestLine),
                [b'\r', b'\n', ..] => {
                    self.requests = RequestStream::Head { scan, empty_lines: empty_lines + 1 };
                    return Ok(LookProgress::go_on(discard(2)));
                }
                [b'\r'] => return Ok(LookProgress::stop(RelayStep::HOLD)),
                [b'\r' | b'\n', ..] => {}
                // No HTTP at all, for example TLS: said at once, and not when the head is too long or too late.
                [first, ..] if !is_token_byte(*first) => return Err(Violation::Method),
                _ => {}
            }
        }
        let bounds = HeadBounds {
            bytes: self.limits.request_head,
            lines: self.limits.request_headers,
            violations: [Violation::LongTarget, Violation::LongHead, Violation::ManyHeaders],
        };
        let Some((head, end)) = head::read::<request::RequestHead<'_>>(&mut scan, input, &bounds)? else {
            self.requests = RequestStream::Head { scan, empty_lines };
            return Ok(LookProgress::stop(RelayStep::HOLD));
        };
        match checker.check(&head as &dyn Request) {
            Decision::Allow => {
                self.allow(&head, out);
                Ok(LookProgress::go_on(forward(end)))
            }
            Decision::Rewrite => {
                let before = out.upstream.len();
                rewrite::head(&input[..end], checker.changes(), &mut out.upstream);
                out.relayed += out.upstream.len() - before;
                self.allow(&head, out);
                Ok(LookProgress::go_on(discard(end)))
            }
            Decision::Reset | Decision::Disconnect | Decision::Partial { .. } | Decision::Filter => {
                self.last_word(OwnResponse::Reset, out);
                Ok(LookProgress::stop(RelayStep::HOLD))
            }
            Decision::Respond | Decision::Hide => {
                self.refuse(&head, out);
                Ok(LookProgress::go_on(discard(end)))
            }
        }
    }

    fn allow(&mut self, head: &request::RequestHead<'_>, out: &mut RelayOutput) {
        let asked = head.asked();
        self.offer = if asked.upgrade { head.offered.read(asked.head, &self.limits) } else { None };
        self.owe(Answerer::Server(asked), out);
        let wait = Wait { word: head.expect, beginning: head.offers };
        match BodyState::of(head.framing) {
            Some(body) if wait.word || wait.beginning => self.requests = RequestStream::Held { body, asked, wait },
            Some(body) => self.requests = RequestStream::Body { body, asked },
            None => self.behind_body(asked),
        }
    }

    /// Puts an answer into the order. There is room for it: where there is none, no head is read.
    fn owe(&mut self, answerer: Answerer<RequestShape, OwnResponse>, out: &mut RelayOutput) {
        if self.outstanding.push(answerer).is_err() {
            out.close = Some(Close::Reset);
        }
    }

    /// Answers in the protocol's own words, in order. A client that waits for 100 may send its body or not, and a body
    /// larger than we care to read is not waited for, so the connection ends.
    fn refuse(&mut self, head: &request::RequestHead<'_>, out: &mut RelayOutput) {
        let RequestShape { head: is_head, connect, close, .. } = head.asked();
        let room = self.limits.swallowed as u64;
        let body = BodyState::of(head.framing);
        let unread = body.is_some() && head.expect || matches!(body, Some(BodyState::Length(length)) if length > room);
        let close = close || connect || unread;
        self.requests = match body {
            _ if close => RequestStream::Over,
            Some(body) => RequestStream::Swallow { body, room },
            None => RequestStream::NEXT,
        };
        self.owe(Answerer::Ours(OwnResponse::Refusal { head: is_head, call: head.call, close }), out);
        self.settle(out);
    }

    /// The connection ends behind the refusal of the request whose body we read no further.
    fn stop_swallowing(&mut self, out: &mut RelayOutput) {
        self.requests = RequestStream::Over;
        match self.outstanding.last_mut() {
            Some(Answerer::Ours(OwnResponse::Refusal { close, .. })) => *close = true,
            _ => out.close = Some(Close::Graceful),
        }
    }

    /// The last thing on this connection, behind the answers that are due.
    fn last_word(&mut self, ours: OwnResponse, out: &mut RelayOutput) {
        self.requests = RequestStream::Over;
        self.outstanding.push_last(ours);
        self.settle(out);
    }

    /// Says what is ours to say, until an answer of the server is due.
    pub(super) fn settle(&mut self, out: &mut RelayOutput) {
        while let Some(ours) = self.outstanding.pop_ours() {
            match ours {
                OwnResponse::Refusal { head, call, close } => {
                    answers::denied(head, call, close, &mut out.downstream);
                    if close {
                        out.close = Some(Close::Graceful);
                    }
                }
                OwnResponse::Reset => out.close = Some(Close::Reset),
                OwnResponse::Error { status, head } => {
                    answers::refused(status, head, &mut out.downstream);
                    out.close = Some(Close::Graceful);
                }
            }
        }
    }

    /// The client sent something that cannot be relayed. It gets an error response in order, if that is possible.
    pub(super) fn client_violates(&mut self, violation: Violation, checker: &mut dyn Checker, out: &mut RelayOutput) {
        checker.violated(&Violated { violation, side: Side::Downstream });
        let error = OwnResponse::Error { status: violation.status(), head: false };
        match self.requests {
            RequestStream::Body { .. } | RequestStream::Held { .. } => {
                self.requests = RequestStream::Over;
                let begun = self.outstanding.len() == 1 && !matches!(self.responses, Http1Responses::Head(_));
                // The server waits for the rest of the body, so its answer never comes: ours stands in its place.
                match self.outstanding.last_mut() {
                    Some(due @ Answerer::Server(_)) if !begun => *due = Answerer::Ours(error),
                    // The client reads an answer, or has read it: there is nothing to say.
                    _ => out.close = Some(Close::Reset),
                }
                self.settle(out);
            }
            RequestStream::Swallow { .. } => self.stop_swallowing(out),
            RequestStream::Head { .. } | RequestStream::Switching | RequestStream::Over | RequestStream::Shut => {
                self.last_word(error, out)
            }
        }
    }
}

/// Whether a body may go on, by its first bytes; nothing if that cannot be told yet.
fn begins(body: BodyState, wait: Wait, input: &[u8]) -> Option<Result<(), Violation>> {
    let there = input.len().min(PREFACE.len());
    let like = wait.beginning && input[..there] == PREFACE[..there];
    match (wait.word, like) {
        (true, _) => None,
        (false, true) if there == PREFACE.len() => Some(Err(Violation::OfferedPreface)),
        (false, true) if !body.ends_within(there) => None,
        _ => Some(Ok(())),
    }
}

pub(super) fn forward(bytes: usize) -> RelayStep {
    RelayStep { forward: bytes, discard: 0 }
}

fn discard(bytes: usize) -> RelayStep {
    RelayStep { forward: 0, discard: bytes }
}
