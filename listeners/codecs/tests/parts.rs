//! Requests that are forwarded in part, tested with a small protocol: each line puts several items on a shelf, and
//! each item must be allowed. Answers come in order, with the refusals in front of the server's answer about the rest.

mod playbook;

use std::{borrow::Cow, sync::Arc};

use memchr::memchr;
use playbook::{pair::Judge, script::Play};
use portcullis_codecs::{
    order::{AnswerQueue, Answerer},
    relay::{Checker, Close, Decision, Relay, RelayOutput, RelayStep, ResponseSummary, Side},
};
use portcullis_rules::{
    policy::{L7Rule, Matcher, Predicate},
    request::{FieldValue, Request},
    schema::{FieldForm, FieldIndex, FieldSpec, ProtocolTraits, Schema},
    settings::DenyWith,
    snapshot::RuleSet,
    values::ValueSet,
    verdict::RuleInfo,
};

static SHELF: Schema = Schema {
    protocol: "shelf",
    fields: &[FieldSpec { name: "item", form: FieldForm::Each, checked: true }],
    nature: &ProtocolTraits::STREAM,
};

/// The items of one line.
struct Items<'a> {
    items: Vec<&'a [u8]>,
    exchange: u32,
}

impl Request for Items<'_> {
    fn schema(&self) -> &'static Schema {
        &SHELF
    }

    fn field(&self, _: FieldIndex, _: &str) -> FieldValue<'_> {
        FieldValue::Value(Cow::Owned(self.items.join(&b',')))
    }

    fn count(&self, _: FieldIndex) -> Option<usize> {
        Some(self.items.len())
    }

    fn nth(&self, _: FieldIndex, number: usize) -> &[u8] {
        self.items[number]
    }

    fn has_parts(&self) -> bool {
        true
    }

    fn exchange(&self) -> u32 {
        self.exchange
    }
}

struct Shelf {
    due: AnswerQueue<u32, Vec<u8>>,
    exchange: u32,
}

impl Shelf {
    fn relay() -> Box<dyn Relay> {
        Box::new(Self { due: AnswerQueue::new(2), exchange: 0 })
    }

    fn request(&mut self, line: &[u8], checker: &mut dyn Checker, out: &mut RelayOutput) -> RelayStep {
        let (forward, discard) =
            (RelayStep { forward: line.len(), discard: 0 }, RelayStep { forward: 0, discard: line.len() });
        let items: Vec<&[u8]> = line[..line.len() - 1].split(|byte| *byte == b',').collect();
        let exchange = self.exchange;
        self.exchange += 1;
        let request = Items { items, exchange };
        let refuse = |items: &mut dyn Iterator<Item = &&[u8]>| {
            items.flat_map(|item| [&b"no "[..], item, b"; "].concat()).collect::<Vec<u8>>()
        };
        let (answerer, step) = match checker.check(&request) {
            Decision::Allow => (Answerer::Server(exchange), forward),
            Decision::Partial { hide } => {
                let refused = checker.refused();
                let split = |wanted: bool| {
                    let items = request.items.iter().enumerate();
                    items.filter(move |(number, _)| refused.contains(*number) == wanted).map(|(_, item)| item)
                };
                let rest = [split(false).copied().collect::<Vec<_>>().join(&b','), b"\n".to_vec()].concat();
                out.relayed = rest.len();
                out.upstream = rest;
                let ours = if hide { Vec::new() } else { refuse(&mut split(true)) };
                (Answerer::Both(exchange, ours), discard)
            }
            Decision::Respond => {
                let mut ours = refuse(&mut request.items.iter());
                ours.push(b'\n');
                (Answerer::Ours(ours), discard)
            }
            _ => {
                out.close = Some(Close::Reset);
                return RelayStep::HOLD;
            }
        };
        self.due.push(answerer).expect("no line is read while there is no room");
        self.settle(out);
        step
    }

    fn settle(&mut self, out: &mut RelayOutput) {
        while let Some(ours) = self.due.pop_ours() {
            out.downstream.extend_from_slice(&ours);
        }
    }
}

impl Relay for Shelf {
    fn receive(&mut self, from: Side, input: &[u8], checker: &mut dyn Checker, out: &mut RelayOutput) -> RelayStep {
        let Some(lf) = memchr(b'\n', input) else { return RelayStep::HOLD };
        let line = &input[..=lf];
        if from == Side::Downstream {
            return if self.due.is_full() { RelayStep::HOLD } else { self.request(line, checker, out) };
        }
        let (exchange, ours) = match self.due.pop() {
            Some(Answerer::Server(exchange)) => (exchange, Vec::new()),
            Some(Answerer::Both(exchange, ours)) => (exchange, ours),
            Some(Answerer::Ours(_)) | None => {
                out.close = Some(Close::Reset);
                return RelayStep::HOLD;
            }
        };
        checker.answered(ResponseSummary { exchange, ..ResponseSummary::next(0) });
        out.downstream = ours;
        out.downstream.extend_from_slice(line);
        out.relayed = line.len();
        self.settle(out);
        RelayStep { forward: 0, discard: line.len() }
    }

    fn receive_eof(&mut self, _: Side, _: usize, _: &mut dyn Checker, out: &mut RelayOutput) {
        out.close = Some(Close::Graceful);
    }

    fn wants(&self, side: Side) -> bool {
        side == Side::Upstream || !self.due.is_full()
    }

    fn head_pending(&self) -> bool {
        false
    }

    fn head_timeout(&mut self, _: &mut dyn Checker, _: &mut RelayOutput) {}
}

/// Items `a` and `c` are allowed.
fn rules() -> RuleSet {
    let item =
        |value: &str| Predicate { field: FieldIndex(0), key: String::new(), matcher: Matcher::Exact(value.to_owned()) };
    let rules = ["a", "c"].map(|value| L7Rule { predicates: vec![item(value)], ..L7Rule::default() });
    let info = Arc::new(RuleInfo { policy: "shelf/p".into(), rule: "ingress[0]".into() });
    RuleSet::new(&SHELF, rules.iter().map(|rule| (rule, Arc::clone(&info))), DenyWith::Respond)
}

fn refused(request: &dyn Request) -> Option<ValueSet> {
    Some(rules().check(request).refused)
}

fn play(name: &'static str, hide: bool) -> Play {
    let judge = move || -> Judge {
        Box::new(move |request| match rules().check(request) {
            verdict if verdict.outcome.passes() => Decision::Allow,
            verdict if verdict.in_part => Decision::Partial { hide },
            _ => Decision::Respond,
        })
    };
    Play::new(name, Shelf::relay).judged_by(judge).refusing(|| Box::new(refused))
}

#[test]
fn what_is_allowed_of_a_request_goes_on_and_the_rest_is_answered_in_its_place() {
    play("some of the items", false)
        .client("a,b,c,d\n")
        .server_sees("a,c\n")
        .server("ok\n")
        .client_sees("no b; no d; ok\n")
        .run();
    play("as if there were none", true).client("b,a\n").server_sees("a\n").server("ok\n").client_sees("ok\n").run();
    play("all of them, and none", false)
        .client("a,c\n")
        .server_sees("a,c\n")
        .server("ok\n")
        .client_sees("ok\n")
        .client("b,d\n")
        .client_sees("no b; no d; \n")
        .run();
}

#[test]
fn answers_keep_their_order_and_no_more_is_taken_than_there_is_room_for() {
    play("in order", false)
        .client("a\nb\nc,b\n")
        .server_sees("a\n")
        .server("first\n")
        .client_sees("first\nno b; \n")
        .server_sees("c\n")
        .server("third\n")
        .client_sees("no b; third\n")
        .answers(&[0, 2].map(|exchange| ResponseSummary { exchange, ..ResponseSummary::next(0) }))
        .run();
}
