//! The toy protocol: a complete protocol in one file, registered only in tests.
//!
//! The toy speaks in lines. A request is `verb item`, optionally followed by `tag,tag`. Its answer is one line, in
//! order, and `gone` is a failure. All connections share one count of requests.
#![allow(dead_code, reason = "each test looks at some of it")]

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use portcullis_codecs::{
    Kinds, Live, Protocol, ProtocolContext, ProtocolShared, Registry, Statuses,
    fact::Facts,
    question::{QuestionSchema, QuestionValues, QuestionWord, Sample},
    relay::{Checker, Close, Decision, ProtocolViolation, Relay, RelayOutput, RelayStep, ResponseSummary, Side},
};
use portcullis_rules::{
    limits::{LimitSpec, Unit},
    policy::Matcher,
    request::{FieldValue, Request},
    schema::{FieldForm, FieldIndex, FieldSpec, ProtocolTraits, Schema},
};

pub(crate) static SCHEMA: Schema = Schema {
    protocol: "toy",
    fields: &[
        FieldSpec { name: "verb", form: FieldForm::Exact, checked: true },
        FieldSpec { name: "item", form: FieldForm::Regex, checked: true },
        FieldSpec { name: "tag", form: FieldForm::Each, checked: true },
    ],
    nature: &ProtocolTraits { read: |_, text| Ok(Some(Matcher::Exact(text.to_owned()))), ..ProtocolTraits::STREAM },
};

/// Longest line, its end included.
pub(crate) const LONGEST: LimitSpec = LimitSpec {
    key: "toy.longestLine",
    unit: Unit::Bytes,
    default: 128 << 10,
    least: 16,
    most: 1 << 20,
    meaning: "a line of the toy",
};

/// The protocol.
pub(crate) static TOY: Protocol = Protocol {
    limits: &[&[LONGEST]],
    live: Some(Live {
        share: || Arc::new(AtomicU64::new(0)),
        relay: |context| Box::new(Toy::new(context)),
        session: None,
        held: |limits| usize::try_from(limits.of(&LONGEST)).unwrap_or(usize::MAX),
    }),
    statuses: Some(Statuses {
        name: "state",
        help: "Answers of toys, by what became of the item",
        common: 1,
        word: |status| match status {
            0 => Some("here"),
            -1 => Some("gone"),
            _ => None,
        },
        prefix: "state ",
        failure: -1,
    }),
    kinds: Some(Kinds { name: "act", help: "Requests of toys, by verb and verdict", words: &["put", "get"] }),
    question: Some(QuestionSchema {
        words: &[
            QuestionWord {
                key: "line",
                flag: "toy",
                value: "'VERB ITEM'",
                help: "A request of the toy",
                case: "toy",
                ..QuestionWord::NOWHERE
            },
            QuestionWord { key: "verb", case: "toy.verb", ..QuestionWord::NOWHERE },
            QuestionWord { key: "item", case: "toy.item", ..QuestionWord::NOWHERE },
            QuestionWord {
                key: "tag",
                flag: "tag",
                value: "TAG",
                help: "One of its tags; may be repeated",
                many: true,
                case: "toy.tags",
                ..QuestionWord::NOWHERE
            },
        ],
        usual_port: "7070",
        read: ask,
    }),
    ..Protocol::new(&SCHEMA)
};

/// The list with one line more, as it would be were the toy in earnest.
pub(crate) static WITH_TOY: Registry = Registry::new(&[
    &portcullis_codecs::http::PROTOCOL,
    &portcullis_codecs::dns::PROTOCOL,
    &portcullis_codecs::tls::PROTOCOL,
    &portcullis_codecs::kafka::PROTOCOL,
    &TOY,
]);

/// A request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub(crate) verb: String,
    pub(crate) item: String,
    pub(crate) tags: Vec<String>,
}

impl Line {
    /// Reads one without its end.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ').map(str::to_owned);
        let (verb, item) = (words.next()?, words.next()?);
        let tags = words.next().map_or_else(Vec::new, |tags| tags.split(',').map(str::to_owned).collect());
        Some(Self { verb, item, tags })
    }
}

impl Request for Line {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn field(&self, field: FieldIndex, _key: &str) -> FieldValue<'_> {
        let value = match field.0 {
            0 => Some(&self.verb),
            1 => Some(&self.item),
            _ => self.tags.first(),
        };
        value.map_or(FieldValue::Absent, |value| FieldValue::Value(Cow::Borrowed(value.as_bytes())))
    }

    fn count(&self, _: FieldIndex) -> Option<usize> {
        (!self.tags.is_empty()).then_some(self.tags.len())
    }

    fn kind(&self) -> Option<usize> {
        ["put", "get"].iter().position(|verb| self.verb == *verb)
    }

    fn nth(&self, _: FieldIndex, number: usize) -> &[u8] {
        self.tags.get(number).map_or(b"", |tag| tag.as_bytes())
    }
}

fn ask(said: &QuestionValues) -> Result<Sample, String> {
    let line = said.one("line").map(|line| Line::read(line).ok_or_else(|| format!("{line:?} is no VERB ITEM")));
    let mut request = line.transpose()?.unwrap_or_default();
    let set = |key: &str, place: &mut String| {
        if let Some(value) = said.one(key) {
            value.clone_into(place);
        }
    };
    set("verb", &mut request.verb);
    set("item", &mut request.item);
    request.tags.extend(said.all("tag").map(ToOwned::to_owned));
    Ok(Sample::new(format!("toy {} {}", request.verb, request.item), request))
}

/// The relay of one connection.
pub(crate) struct Toy {
    longest: usize,
    /// What all connections have asked.
    asked: Arc<AtomicU64>,
    /// Numbers of the requests that have no answer.
    due: std::collections::VecDeque<u64>,
    began: u64,
}

impl Toy {
    fn new(context: &ProtocolContext<'_>) -> Self {
        let asked = context.shared().expect("what the toy shares");
        let longest = usize::try_from(context.limits.of(&LONGEST)).unwrap_or(usize::MAX);
        Self { longest, asked, due: std::collections::VecDeque::new(), began: context.now }
    }

    fn refuse(kind: &'static str, side: Side, checker: &mut dyn Checker, out: &mut RelayOutput) -> RelayStep {
        checker.violated(&Bad { kind, side });
        out.close = Some(Close::Reset);
        RelayStep::HOLD
    }
}

impl Relay for Toy {
    fn receive(&mut self, from: Side, input: &[u8], checker: &mut dyn Checker, out: &mut RelayOutput) -> RelayStep {
        let end = input.iter().position(|byte| *byte == b'\n').map_or(input.len(), |lf| lf + 1);
        if end > self.longest {
            return Self::refuse("long_line", from, checker, out);
        }
        let Some(line) = input[..end].strip_suffix(b"\n") else { return RelayStep::HOLD };
        let step = RelayStep { forward: end, discard: 0 };
        let line = String::from_utf8_lossy(line);
        if from == Side::Upstream {
            let Some(number) = self.due.pop_front() else { return Self::refuse("unasked", from, checker, out) };
            let after = checker.now().saturating_sub(self.began);
            let facts = Facts::NONE.with("asked", number.cast_signed()).with("after_ms", after.cast_signed());
            let status = if line == "gone" { -1 } else { 0 };
            checker.answered(ResponseSummary { facts, ..ResponseSummary::next(status) });
            return step;
        }
        let Some(request) = Line::read(&line) else { return Self::refuse("no_item", from, checker, out) };
        match checker.check(&request) {
            Decision::Allow => {
                self.due.push_back(self.asked.fetch_add(1, Ordering::Relaxed) + 1);
                step
            }
            Decision::Respond if self.due.is_empty() => {
                out.downstream.extend_from_slice(b"no\n");
                RelayStep { forward: 0, discard: end }
            }
            // A line has no parts.
            Decision::Reset
            | Decision::Disconnect
            | Decision::Respond
            | Decision::Hide
            | Decision::Rewrite
            | Decision::Filter
            | Decision::Partial { .. } => {
                out.close = Some(Close::Reset);
                RelayStep::HOLD
            }
        }
    }

    fn receive_eof(&mut self, _from: Side, held: usize, _checker: &mut dyn Checker, out: &mut RelayOutput) {
        out.close = Some(if held > 0 { Close::Reset } else { Close::Graceful });
    }

    fn wants(&self, _side: Side) -> bool {
        true
    }

    fn head_pending(&self) -> bool {
        false
    }

    fn head_timeout(&mut self, _checker: &mut dyn Checker, _out: &mut RelayOutput) {}

    fn client_first(&self) -> bool {
        true
    }
}

/// What cannot be relayed.
#[derive(Debug)]
struct Bad {
    kind: &'static str,
    side: Side,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {:?}", self.kind, self.side)
    }
}

impl std::error::Error for Bad {}

impl ProtocolViolation for Bad {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn side(&self) -> Side {
        self.side
    }
}

/// A relay for a test without a driver.
pub(crate) fn relay(shared: &ProtocolShared) -> Box<dyn Relay> {
    let context =
        ProtocolContext { limits: &Default::default(), shared, server: ([127, 0, 0, 1], 7070).into(), now: 0 };
    (TOY.live.as_ref().expect("it is relayed").relay)(&context)
}
