//! HTTP/1.0 and HTTP/1.1 (RFC 9112). Each request head is read, judged and forwarded unchanged, except for header
//! lines that a rule changes. Bodies and responses are read only as far as needed to find where they end.

mod answers;
mod body;
mod chunked;
mod field;
mod framing;
mod head;
mod odd;
mod offer;
mod outstanding;
mod request;
mod requests;
mod response;
mod responses;
mod rewrite;
mod upgrade;
mod violation;

pub use violation::{Violated, Violation};

use portcullis_rules::request::Request;

use self::{
    head::Scan,
    odd::UnusualAnswer,
    outstanding::Http1Outstanding,
    requests::{RequestStream, forward},
    responses::Http1Responses,
};
pub use crate::http::SCHEMA;
use crate::{
    http::Limits,
    http2::UpgradeOffer,
    order::Answerer,
    relay::{Checker, Close, Relay, RelayOutput, RelayStep, Side},
};

/// Shows the head of a request to the rules, as the relay does: for questions about requests that nobody sent.
///
/// # Errors
/// What is wrong with it. Bytes that hold no whole head are a truncated one.
pub fn with_head<T>(head: &[u8], show: impl FnOnce(&dyn Request) -> T) -> Result<T, Violation> {
    let limits = Limits::default();
    let violations = [Violation::LongTarget, Violation::LongHead, Violation::ManyHeaders];
    let bounds = head::HeadBounds { bytes: limits.request_head, lines: limits.request_headers, violations };
    let read = head::read::<request::RequestHead<'_>>(&mut Scan::default(), head, &bounds)?;
    read.map(|(head, _)| show(&head)).ok_or(Violation::TruncatedHead)
}

/// The state of one connection pair.
#[derive(Debug)]
pub(crate) struct Http1 {
    limits: Limits,
    requests: RequestStream,
    responses: Http1Responses,
    outstanding: Http1Outstanding,
    /// Both directions are bytes.
    tunnel: bool,
    /// The newest request's offer to go on in HTTP/2.
    offer: Option<Box<UpgradeOffer>>,
    /// The server has taken the offer up: nothing of HTTP/1 comes any more.
    switched: bool,
    /// Bytes of the client are held.
    holds: bool,
    /// The connection ends behind the answers that are due.
    ends: bool,
}

// A relay lives as long as its connection, so what it keeps is bounded.
const _: () = assert!(size_of::<Http1>() <= 256);

/// What came of one look at the input.
struct LookProgress {
    step: RelayStep,
    /// Whether more of this side may follow at once, and not only after more bytes or the other side.
    next: Result<bool, Violation>,
}

impl LookProgress {
    fn go_on(step: RelayStep) -> Self {
        Self { step, next: Ok(true) }
    }

    fn stop(step: RelayStep) -> Self {
        Self { step, next: Ok(false) }
    }

    /// An violation behind what is right.
    fn violation(step: RelayStep, violation: Violation) -> Self {
        Self { step, next: Err(violation) }
    }
}

impl Http1 {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            requests: RequestStream::NEXT,
            responses: Http1Responses::Head(Scan::default()),
            outstanding: Http1Outstanding::new(limits.pipelined),
            tunnel: false,
            offer: None,
            switched: false,
            holds: false,
            ends: false,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The offer to go on in HTTP/2, once the server has taken it up.
    pub(crate) fn taken_up(&mut self) -> Option<Box<UpgradeOffer>> {
        if self.switched { self.offer.take() } else { None }
    }

    /// The client took too long for its first bytes, which say nothing yet.
    pub(crate) fn head_late(&mut self, checker: &mut dyn Checker, out: &mut RelayOutput) {
        self.client_violates(Violation::HeadTimeout, checker, out);
    }

    fn violate(&mut self, side: Side, violation: Violation, checker: &mut dyn Checker, out: &mut RelayOutput) {
        match side {
            Side::Downstream => self.client_violates(violation, checker, out),
            Side::Upstream => self.server_violates(violation, checker, out),
        }
    }

    fn client_ends(&mut self, held: usize, checker: &mut dyn Checker, out: &mut RelayOutput) {
        if held > 0 && matches!(self.requests, RequestStream::Head { .. }) && !self.is_full() {
            return self.client_violates(Violation::TruncatedHead, checker, out);
        }
        self.requests = RequestStream::Over;
        if self.outstanding.is_empty() {
            out.close = Some(Close::Graceful);
        }
    }
}

impl Relay for Http1 {
    fn receive(&mut self, from: Side, input: &[u8], checker: &mut dyn Checker, out: &mut RelayOutput) -> RelayStep {
        let mut step = RelayStep::HOLD;
        while step.forward < input.len() && out.close.is_none() && !self.switched {
            if self.tunnel {
                return forward(input.len());
            }
            let rest = &input[step.forward..];
            let progress = match from {
                Side::Downstream => self.request(rest, checker, out),
                Side::Upstream => self.response(rest, checker, out),
            };
            step.forward += progress.step.forward;
            step.discard = progress.step.discard;
            let go = match progress.next {
                Ok(go) => go && progress.step.taken() > 0,
                Err(violation) => {
                    self.violate(from, violation, checker, out);
                    // An odd answer goes on as it is.
                    from == Side::Upstream
                }
            };
            // What we say ourselves goes behind what this step forwards, so the step ends there.
            let ours = from == Side::Upstream && matches!(self.outstanding.front(), Some(Answerer::Ours(_)));
            if ours {
                self.settle(out);
            }
            if self.ends && self.outstanding.is_empty() {
                out.close = out.close.or(Some(Close::Graceful));
            }
            if !go || step.discard > 0 || ours {
                break;
            }
        }
        if from == Side::Downstream {
            self.holds = step.taken() < input.len();
        }
        step
    }

    fn receive_eof(&mut self, from: Side, held: usize, checker: &mut dyn Checker, out: &mut RelayOutput) {
        match from {
            _ if self.tunnel => {}
            Side::Downstream => self.client_ends(held, checker, out),
            Side::Upstream => self.server_ends(held, checker, out),
        }
    }

    fn wants(&self, side: Side) -> bool {
        match (side, self.requests) {
            _ if self.tunnel => true,
            // What has to wait is held, and no more is read then. Until something has to, a client that goes is seen.
            (Side::Downstream, RequestStream::Switching | RequestStream::Shut) => !self.holds,
            (Side::Downstream, RequestStream::Head { .. }) => !(self.is_full() && self.holds),
            (Side::Downstream, RequestStream::Held { .. }) => !(self.waits_for_word() && self.holds),
            _ => true,
        }
    }

    fn head_pending(&self) -> bool {
        !self.tunnel && matches!(self.requests, RequestStream::Head { scan, .. } if scan.has_begun())
    }

    fn head_timeout(&mut self, checker: &mut dyn Checker, out: &mut RelayOutput) {
        if self.head_pending() {
            self.client_violates(Violation::HeadTimeout, checker, out);
        }
    }

    fn body_waits(&self) -> bool {
        self.waits_for_word()
    }

    fn body_timeout(&mut self) {
        self.has_word();
    }

    fn client_first(&self) -> bool {
        true
    }

    fn passthrough(&self, from: Side) -> u64 {
        match (from, self.requests, self.responses) {
            _ if self.tunnel => u64::MAX,
            (Side::Downstream, RequestStream::Body { body, .. }, _)
            | (Side::Upstream, _, Http1Responses::Body(body) | Http1Responses::Odd(UnusualAnswer::Body(body))) => {
                body.passthrough()
            }
            (Side::Upstream, _, Http1Responses::UntilClose | Http1Responses::Odd(UnusualAnswer::UntilClose)) => {
                u64::MAX
            }
            _ => 0,
        }
    }

    fn passed(&mut self, from: Side, bytes: u64) {
        match (from, &mut self.requests, &mut self.responses) {
            (Side::Downstream, RequestStream::Body { body, .. }, _)
            | (Side::Upstream, _, Http1Responses::Body(body) | Http1Responses::Odd(UnusualAnswer::Body(body))) => {
                body.passed(bytes)
            }
            _ => {}
        }
    }
}
