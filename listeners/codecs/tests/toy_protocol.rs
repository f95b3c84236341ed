//! A new protocol needs its own folder and one line in the list of protocols: here it is this file and [`TOY`].
//!
//! The toy speaks in lines: a request is `verb item`, its answer one line, in order.

mod playbook;

use std::{borrow::Cow, sync::Arc};

use memchr::memchr;
use playbook::{pair::Judge, script::Play};
use portcullis_codecs::{
    Context, Live, PROTOCOLS, Protocol,
    relay::{Answer, Checker, Close, Decision, Offence, Output, Relay, Side, Step},
};
use portcullis_rules::{
    limits::LimitValues,
    policy::{L7Rule, Matcher, Predicate},
    request::{FieldValue, Request},
    schema::{FieldIndex, FieldSpec, Form, Nature, Schema},
    settings::DenyWith,
    snapshot::RuleSet,
    verdict::RuleInfo,
};

static SCHEMA: Schema = Schema {
    protocol: "toy",
    fields: &[
        FieldSpec { name: "verb", form: Form::Exact, checked: true },
        FieldSpec { name: "item", form: Form::Regex, checked: true },
    ],
    nature: &Nature::STREAM,
};

/// The line of the list.
static TOY: Protocol =
    Protocol { live: Some(Live { relay, session: None, held: |_| LONGEST }), ..Protocol::new(&SCHEMA) };

/// Longest line in bytes.
const LONGEST: usize = 128 * 1024;

fn relay(_: &Context<'_>) -> Box<dyn Relay> {
    Box::new(Toy { longest: LONGEST, due: 0 })
}

struct Toy {
    longest: usize,
    /// Answers.
    due: usize,
}

struct Line<'a> {
    verb: &'a [u8],
    item: &'a [u8],
}

impl Request for Line<'_> {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn field(&self, field: FieldIndex, _key: &str) -> FieldValue<'_> {
        FieldValue::Value(Cow::Borrowed(if field.0 == 0 { self.verb } else { self.item }))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{kind} by {side:?}")]
struct Bad {
    kind: &'static str,
    side: Side,
}

impl Offence for Bad {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn side(&self) -> Side {
        self.side
    }
}

impl Toy {
    fn refuse(kind: &'static str, side: Side, checker: &mut dyn Checker, out: &mut Output) -> Step {
        checker.offended(&Bad { kind, side });
        out.close = Some(Close::Reset);
        Step::HOLD
    }
}

impl Relay for Toy {
    fn receive(&mut self, from: Side, input: &[u8], checker: &mut dyn Checker, out: &mut Output) -> Step {
        let end = memchr(b'\n', input).map_or(input.len(), |lf| lf + 1);
        if end > self.longest {
            return Self::refuse("long_line", from, checker, out);
        }
        let Some(line) = input[..end].strip_suffix(b"\n") else { return Step::HOLD };
        let step = Step { forward: end, discard: 0 };
        if from == Side::Upstream {
            let Some(due) = self.due.checked_sub(1) else { return Self::refuse("unasked", from, checker, out) };
            self.due = due;
            checker.answered(Answer::next(0));
            return step;
        }
        let Some(space) = memchr(b' ', line) else { return Self::refuse("no_item", from, checker, out) };
        match checker.check(&Line { verb: &line[..space], item: &line[space + 1..] }) {
            Decision::Allow => {
                self.due += 1;
                step
            }
            Decision::Respond if self.due == 0 => {
                out.downstream.extend_from_slice(b"no\n");
                Step { forward: 0, discard: end }
            }
            Decision::Reset | Decision::Disconnect | Decision::Respond | Decision::Hide | Decision::Rewrite => {
                out.close = Some(Close::Reset);
                Step::HOLD
            }
        }
    }

    fn receive_eof(&mut self, _from: Side, held: usize, _checker: &mut dyn Checker, out: &mut Output) {
        out.close = Some(if held > 0 { Close::Reset } else { Close::Graceful });
    }

    fn wants(&self, _side: Side) -> bool {
        true
    }

    fn head_pending(&self) -> bool {
        false
    }

    fn head_timeout(&mut self, _checker: &mut dyn Checker, _out: &mut Output) {}
}

/// `get` any item, `put` only those below `/tmp`.
fn rules(refusal: Decision) -> Judge {
    let predicate = |name: &str, matcher| Predicate {
        field: SCHEMA.field(name).expect("a field of the toy"),
        key: String::new(),
        matcher,
    };
    let verb = |verb: &str| predicate("verb", Matcher::Exact(verb.to_owned()));
    let rules = [vec![verb("get")], vec![verb("put"), predicate("item", Matcher::Regex("/tmp/.*".to_owned()))]]
        .map(|predicates| L7Rule { predicates, ..L7Rule::default() });
    let info = Arc::new(RuleInfo { policy: "toys/p".into(), rule: "ingress[0]".into() });
    let set = RuleSet::new(&SCHEMA, rules.iter().map(|rule| (rule, Arc::clone(&info))), DenyWith::Reset);
    Box::new(move |request| if set.check(request).allowed { Decision::Allow } else { refusal })
}

fn play(name: &'static str) -> Play {
    Play::new(name, || (TOY.live.as_ref().expect("it is relayed").relay)(&Context { limits: &LimitValues::default() }))
        .judged_by(|| rules(Decision::Reset))
}

#[test]
fn the_rules_judge_a_protocol_by_its_schema() {
    play("allowed, allowed, denied")
        .reaches_server("get /a\nput /tmp/b\n")
        .judged(&["get /a", "put /tmp/b"])
        .reaches_client("here\nthere\n")
        .client("put /etc/c\n")
        .closes(Close::Reset)
        .run();
    play("denied in its own words")
        .judged_by(|| rules(Decision::Respond))
        .client("del /a\nget /a\n")
        .server_sees("get /a\n")
        .client_sees("no\n")
        .run();
}

#[test]
fn the_playbook_holds_for_any_protocol() {
    play("no request").client("get\n").client_offends("no_item").closes(Close::Reset).run();
    play("nobody asked").server("here\n").server_offends("unasked").closes(Close::Reset).run();
    play("cut short").client("get /a").client_ends().closes(Close::Reset).run();
}

#[test]
fn protocols_are_found_by_the_name_of_their_schema() {
    let http = PROTOCOLS.find("http").expect("HTTP is registered");
    assert_eq!(http.schema.protocol, "http");
    assert!(PROTOCOLS.find("toy").is_none());
}
