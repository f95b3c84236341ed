//! HTTP/1.0 and HTTP/1.1 (RFC 9112): each request head is read, judged and forwarded as it came; bodies and answers are
//! read only as far as it takes to know where they end.

mod answers;
mod chunked;
mod framing;
mod head;
mod outstanding;
mod request;
mod response;
mod target;
mod violation;

use portcullis_rules::request::Request;
pub use request::SCHEMA;
pub use violation::{Offended, Violation};

use self::{
    chunked::Chunked,
    head::{Bounds, Scan},
    outstanding::{Asked, Due, Outstanding},
    response::Next,
};
use crate::relay::{Checker, Close, Decision, Limits, Output, Relay, Side, Step};

/// Makes the relay of one connection pair.
#[must_use]
pub fn relay(limits: &Limits) -> Box<dyn Relay> {
    Box::new(Http1::new(limits))
}

/// Where in the client's stream we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Requests {
    /// In front of or in a head.
    Head(Scan),
    /// In a body; of a denied request, if `swallow`.
    Body { body: Body, swallow: bool },
    /// Behind a request that may switch protocols: what comes now belongs to whatever the answer says.
    Switching,
    /// Nothing more is read.
    Over,
}

/// Where in the server's stream we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Responses {
    Head(Scan),
    Body(Body),
    UntilClose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Length(u64),
    Chunked(Chunked),
}

/// The state of one connection pair.
#[derive(Debug)]
pub struct Http1 {
    limits: Limits,
    requests: Requests,
    responses: Responses,
    outstanding: Outstanding,
    /// Both directions are bytes.
    tunnel: bool,
}

/// A step, and whether the other side has to move first.
enum Progress {
    /// More of this side may follow at once.
    Go(Step),
    /// Not before more bytes or the other side.
    Stop(Step),
}

impl Http1 {
    fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            requests: Requests::Head(Scan::default()),
            responses: Responses::Head(Scan::default()),
            outstanding: Outstanding::default(),
            tunnel: false,
        }
    }

    fn request(&mut self, input: &[u8], checker: &mut dyn Checker, out: &mut Output) -> Result<Progress, Violation> {
        match self.requests {
            Requests::Over | Requests::Switching => Ok(Progress::Stop(Step::HOLD)),
            Requests::Head(_) if self.outstanding.len() >= self.limits.pipelined => Ok(Progress::Stop(Step::HOLD)),
            Requests::Head(scan) => self.request_head(scan, input, checker, out),
            Requests::Body { mut body, swallow } => {
                let (taken, done) = body.take(input, &self.limits)?;
                self.requests = if done { self.behind_body() } else { Requests::Body { body, swallow } };
                let step = if swallow { Step { forward: 0, discard: taken } } else { forward(taken) };
                Ok(if done { Progress::Go(step) } else { Progress::Stop(step) })
            }
        }
    }

    /// Behind a request that offered to switch, what follows waits for the answer.
    fn behind_body(&self) -> Requests {
        let switching = matches!(self.outstanding.last(), Some(Due::Answer(asked)) if asked.upgrade || asked.connect);
        if switching { Requests::Switching } else { Requests::Head(Scan::default()) }
    }

    fn request_head(
        &mut self,
        mut scan: Scan,
        input: &[u8],
        checker: &mut dyn Checker,
        out: &mut Output,
    ) -> Result<Progress, Violation> {
        // An empty line before a request line is ignored (RFC 9112 §2.2).
        if !scan.has_begun() && input.starts_with(b"\r\n") {
            return Ok(Progress::Go(Step { forward: 0, discard: 2 }));
        }
        let bounds = Bounds {
            bytes: self.limits.request_head,
            lines: self.limits.request_headers,
            offences: [Violation::LongTarget, Violation::LongHead, Violation::ManyHeaders],
        };
        let end = scan.end(input, &bounds)?;
        self.requests = Requests::Head(scan);
        let Some(end) = end else { return Ok(Progress::Stop(Step::HOLD)) };
        let head = request::Head::parse(&input[..end])?;
        match checker.check(&head as &dyn Request) {
            Decision::Allow => {
                self.allow(&head);
                Ok(Progress::Go(forward(end)))
            }
            Decision::Reset => {
                self.last_word(Due::Reset, out);
                Ok(Progress::Stop(Step::HOLD))
            }
            Decision::Respond => Ok(self.deny(&head, end, out)),
        }
    }

    fn allow(&mut self, head: &request::Head<'_>) {
        let asked = Asked { head: head.method == b"HEAD", connect: head.is_connect(), upgrade: head.upgrade };
        self.outstanding.push(Due::Answer(asked));
        self.requests = match Body::of(head) {
            Some(body) => Requests::Body { body, swallow: false },
            None => self.behind_body(),
        };
    }

    /// Answers in the protocol's own words, in order. A client that waits for 100 may send its body or not, so the
    /// connection ends.
    fn deny(&mut self, head: &request::Head<'_>, end: usize, out: &mut Output) -> Progress {
        let body = Body::of(head);
        let close = head.close || head.is_connect() || (head.expect && body.is_some());
        let due = Due::Refusal { head: head.method == b"HEAD", close };
        self.requests = match body {
            _ if close => Requests::Over,
            Some(body) => Requests::Body { body, swallow: true },
            None => Requests::Head(Scan::default()),
        };
        let step = Step { forward: 0, discard: end };
        self.outstanding.push(due);
        self.settle(out);
        if close { Progress::Stop(step) } else { Progress::Go(step) }
    }

    /// The last thing on this connection, behind the answers that are due.
    fn last_word(&mut self, due: Due, out: &mut Output) {
        self.requests = Requests::Over;
        self.outstanding.push(due);
        self.settle(out);
    }

    /// Says what is ours to say, until an answer of the server is due.
    fn settle(&mut self, out: &mut Output) {
        while let Some(due) = self.outstanding.front() {
            match due {
                Due::Answer(_) => return,
                Due::Refusal { head, close } => {
                    answers::denied(head, close, &mut out.downstream);
                    if close {
                        out.close = Some(Close::Graceful);
                    }
                }
                Due::Reset => out.close = Some(Close::Reset),
                Due::Error { status } => {
                    answers::refused(status, &mut out.downstream);
                    out.close = Some(Close::Graceful);
                }
            }
            self.outstanding.pop();
        }
    }

    fn response(&mut self, input: &[u8], checker: &mut dyn Checker) -> Result<Progress, Violation> {
        match self.responses {
            Responses::UntilClose => Ok(Progress::Stop(forward(input.len()))),
            Responses::Head(scan) => self.response_head(scan, input, checker),
            Responses::Body(mut body) => {
                let (taken, done) = body.take(input, &self.limits)?;
                if done {
                    self.answered();
                    return Ok(Progress::Go(forward(taken)));
                }
                self.responses = Responses::Body(body);
                Ok(Progress::Stop(forward(taken)))
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
        let bounds = Bounds {
            bytes: self.limits.response_head,
            lines: usize::MAX - 1,
            offences: [Violation::StatusLine, Violation::LongResponseHead, Violation::LongResponseHead],
        };
        let end = scan.end(input, &bounds)?;
        self.responses = Responses::Head(scan);
        let Some(end) = end else { return Ok(Progress::Stop(Step::HOLD)) };
        let head = response::Head::parse(&input[..end])?;
        let next = head.next(asked)?;
        if next != Next::Interim {
            checker.answered(head.status);
        }
        match next {
            Next::Interim => {}
            Next::Nothing => self.answered(),
            Next::Length(length) => self.responses = Responses::Body(Body::Length(length)),
            Next::Chunked => self.responses = Responses::Body(Body::Chunked(Chunked::new())),
            Next::UntilClose => self.responses = Responses::UntilClose,
            Next::Tunnel => self.tunnel = true,
        }
        Ok(Progress::Go(forward(end)))
    }

    /// The oldest answer is complete.
    fn answered(&mut self) {
        self.outstanding.pop();
        self.responses = Responses::Head(Scan::default());
        // The server did not switch: what the client sent behind its offer is the next request.
        if self.requests == Requests::Switching {
            self.requests = Requests::Head(Scan::default());
        }
    }

    fn offend(&mut self, side: Side, violation: Violation, checker: &mut dyn Checker, out: &mut Output) {
        checker.offended(&Offended { violation, side });
        match side {
            Side::Downstream => self.last_word(Due::Error { status: violation.status() }, out),
            Side::Upstream => out.close = Some(Close::Reset),
        }
    }
}

impl Body {
    fn of(head: &request::Head<'_>) -> Option<Self> {
        if head.framing.chunked {
            return Some(Self::Chunked(Chunked::new()));
        }
        head.framing.length.filter(|length| *length > 0).map(Self::Length)
    }

    /// How many leading bytes are the body's, and whether it ends there.
    fn take(&mut self, input: &[u8], limits: &Limits) -> Result<(usize, bool), Violation> {
        match self {
            Self::Chunked(chunked) => chunked.take(input, limits),
            Self::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= taken as u64;
                Ok((taken, *left == 0))
            }
        }
    }
}

fn forward(bytes: usize) -> Step {
    Step { forward: bytes, discard: 0 }
}

impl Relay for Http1 {
    fn receive(&mut self, from: Side, input: &[u8], checker: &mut dyn Checker, out: &mut Output) -> Step {
        let mut step = Step::HOLD;
        while step.forward < input.len() && out.close.is_none() {
            if self.tunnel {
                return forward(input.len());
            }
            let rest = &input[step.forward..];
            let progress = match from {
                Side::Downstream => self.request(rest, checker, out),
                Side::Upstream => self.response(rest, checker),
            };
            let (more, go) = match progress {
                Ok(Progress::Go(more)) => (more, true),
                Ok(Progress::Stop(more)) => (more, false),
                Err(violation) => {
                    self.offend(from, violation, checker, out);
                    return step;
                }
            };
            step.forward += more.forward;
            step.discard = more.discard;
            // What we say ourselves goes behind what this step forwards, so the step ends there.
            let ours = from == Side::Upstream && !matches!(self.outstanding.front(), None | Some(Due::Answer(_)));
            if ours {
                self.settle(out);
            }
            if !go || step.discard > 0 || ours {
                break;
            }
        }
        step
    }

    fn receive_eof(&mut self, from: Side, held: usize, checker: &mut dyn Checker, out: &mut Output) {
        if self.tunnel {
            return;
        }
        match from {
            Side::Downstream => {
                if held > 0 && matches!(self.requests, Requests::Head(_)) {
                    checker.offended(&Offended { violation: Violation::TruncatedHead, side: from });
                }
                self.requests = Requests::Over;
                if self.outstanding.is_empty() {
                    out.close = Some(Close::Graceful);
                }
            }
            Side::Upstream => {
                if self.responses == Responses::UntilClose {
                    self.answered();
                    self.settle(out);
                }
                // Inside an answer the client has to see that it was cut; between answers nothing more will come.
                let cut = matches!(self.responses, Responses::Body(_)) || held > 0;
                let close = if cut { Close::Reset } else { Close::Graceful };
                out.close = out.close.or(Some(close));
            }
        }
    }

    fn wants(&self, side: Side) -> bool {
        match (side, self.requests) {
            _ if self.tunnel => true,
            (Side::Upstream, _) => true,
            (Side::Downstream, Requests::Over | Requests::Switching) => false,
            (Side::Downstream, Requests::Head(_)) => self.outstanding.len() < self.limits.pipelined,
            (Side::Downstream, Requests::Body { .. }) => true,
        }
    }

    fn head_pending(&self) -> bool {
        !self.tunnel && matches!(self.requests, Requests::Head(scan) if scan.has_begun())
    }

    fn head_timeout(&mut self, checker: &mut dyn Checker, out: &mut Output) {
        self.offend(Side::Downstream, Violation::HeadTimeout, checker, out);
    }

    fn client_first(&self) -> bool {
        true
    }
}
