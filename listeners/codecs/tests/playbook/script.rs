//! Scripts that read as a sequence diagram.

use portcullis_codecs::{
    http,
    http::Limits,
    relay::{Close, Decision, Relay, ResponseSummary, Side},
};
use proptest::{
    collection::vec,
    prelude::any,
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

use super::pair::{Judge, Pair, Refusals, Rewriter, deny_with, without_changes};

/// Random ways of cutting all input that each script is played with, besides the systematic ones.
const RANDOM_CUTS: usize = 24;

enum Step {
    Sends(Side, Vec<u8>),
    Sees(Side, Vec<u8>),
    /// Sees bytes that hold this text.
    Reads(Side, String),
    Ends(Side),
    TimesOut,
    Waited,
    Judged(Vec<String>),
    Answered(Vec<ResponseSummary>),
    Violates(Side, String),
    Closes(Close),
    Resolves(String),
    Commits(bool),
}

/// How the input of a play is cut into pieces.
enum Cut {
    /// Each step as one piece.
    Whole,
    /// Each byte alone.
    Bytes,
    /// One step in two, at one place.
    Once { step: usize, at: usize },
    /// Pieces of these lengths, over and over.
    Pieces(Vec<usize>),
}

/// A script: what is sent, and all that has to come of it before the next is sent.
pub(crate) struct Play {
    name: &'static str,
    relay: Box<dyn Fn() -> Box<dyn Relay>>,
    judge: Box<dyn Fn() -> Rewriter>,
    refusals: Option<Box<dyn Fn() -> Refusals>>,
    steps: Vec<Step>,
    learns: bool,
}

/// A play of HTTP with the default limits; denied requests are reset.
pub(crate) fn play(name: &'static str) -> Play {
    Play::new(name, || http::relay(&Limits::default()))
}

/// The same where requests may be pipelined, and have trailers and chunk extensions.
pub(crate) fn wide(name: &'static str) -> Play {
    play(name).limits(Limits { pipelined: 1024, chunk_extensions: 1024, trailers: 16 * 1024, ..Limits::default() })
}

impl Play {
    pub(crate) fn new(name: &'static str, relay: impl Fn() -> Box<dyn Relay> + 'static) -> Self {
        let judge = Box::new(|| without_changes(deny_with(Decision::Reset)));
        Self { name, relay: Box::new(relay), judge, refusals: None, steps: Vec::new(), learns: false }
    }

    pub(crate) fn limits(mut self, limits: Limits) -> Self {
        self.relay = Box::new(move || http::relay(&limits));
        self
    }

    pub(crate) fn judged_by(self, judge: impl Fn() -> Judge + 'static) -> Self {
        self.rewritten_by(move || without_changes(judge()))
    }

    /// Some requests are changed.
    pub(crate) fn rewritten_by(mut self, judge: impl Fn() -> Rewriter + 'static) -> Self {
        self.judge = Box::new(judge);
        self
    }

    /// Where a request is decided in part, these of its values are refused.
    pub(crate) fn refusing(self, refusals: impl Fn() -> Refusals + 'static) -> Self {
        Self { refusals: Some(Box::new(refusals)), ..self }
    }

    /// Names are learnt.
    pub(crate) fn learning(self) -> Self {
        Self { learns: true, ..self }
    }

    /// An answer waits until these addresses are known.
    pub(crate) fn resolves(self, resolution: &str) -> Self {
        self.step(Step::Resolves(resolution.to_owned()))
    }

    /// They are, or will not be.
    pub(crate) fn commits(self, known: bool) -> Self {
        self.step(Step::Commits(known))
    }

    /// Denied requests are answered.
    pub(crate) fn responding(self) -> Self {
        self.judged_by(|| deny_with(Decision::Respond))
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(crate) fn client(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Sends(Side::Downstream, bytes.as_ref().to_vec()))
    }

    pub(crate) fn server(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Sends(Side::Upstream, bytes.as_ref().to_vec()))
    }

    pub(crate) fn server_sees(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Sees(Side::Upstream, bytes.as_ref().to_vec()))
    }

    pub(crate) fn client_sees(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Sees(Side::Downstream, bytes.as_ref().to_vec()))
    }

    /// The client gets words of ours that hold this text.
    pub(crate) fn client_reads(self, text: &str) -> Self {
        self.step(Step::Reads(Side::Downstream, text.to_owned()))
    }

    /// What the client sends reaches the server as it is.
    pub(crate) fn reaches_server(self, bytes: impl AsRef<[u8]>) -> Self {
        self.client(bytes.as_ref()).server_sees(bytes)
    }

    /// What the server sends reaches the client as it is.
    pub(crate) fn reaches_client(self, bytes: impl AsRef<[u8]>) -> Self {
        self.server(bytes.as_ref()).client_sees(bytes)
    }

    pub(crate) fn client_ends(self) -> Self {
        self.step(Step::Ends(Side::Downstream))
    }

    pub(crate) fn server_ends(self) -> Self {
        self.step(Step::Ends(Side::Upstream))
    }

    pub(crate) fn time_passes(self) -> Self {
        self.step(Step::TimesOut)
    }

    /// The time that a body waits for the server's word passes.
    pub(crate) fn word_is_late(self) -> Self {
        self.step(Step::Waited)
    }

    /// All that has been judged so far.
    pub(crate) fn judged(self, requests: &[&str]) -> Self {
        self.step(Step::Judged(requests.iter().map(ToString::to_string).collect()))
    }

    /// All final answers so far, which come in order.
    pub(crate) fn answered(self, statuses: &[u16]) -> Self {
        let answers: Vec<_> = statuses.iter().map(|status| ResponseSummary::next(*status)).collect();
        self.answers(&answers)
    }

    /// All final answers so far.
    pub(crate) fn answers(self, answers: &[ResponseSummary]) -> Self {
        self.step(Step::Answered(answers.to_vec()))
    }

    pub(crate) fn client_violates(self, kind: &str) -> Self {
        self.step(Step::Violates(Side::Downstream, kind.to_owned()))
    }

    pub(crate) fn server_violates(self, kind: &str) -> Self {
        self.step(Step::Violates(Side::Upstream, kind.to_owned()))
    }

    pub(crate) fn closes(self, close: Close) -> Self {
        self.step(Step::Closes(close))
    }

    /// Plays it with the input cut in every way: whole, each byte alone, at each place, and at random.
    pub(crate) fn run(self) {
        self.run_cut(&Cut::Whole);
        self.run_cut(&Cut::Bytes);
        for (step, sent) in self.steps.iter().enumerate() {
            let Step::Sends(_, bytes) = sent else { continue };
            for at in 1..bytes.len() {
                self.run_cut(&Cut::Once { step, at });
            }
        }
        let mut runner = TestRunner::deterministic();
        let lengths = vec(any::<u8>().prop_map(|length| usize::from(length % 40) + 1), 1..12);
        for _ in 0..RANDOM_CUTS {
            let cut = Cut::Pieces(lengths.new_tree(&mut runner).expect("a strategy without filters").current());
            self.run_cut(&cut);
        }
    }

    fn run_cut(&self, cut: &Cut) {
        for unseen in [false, true] {
            let mut pair = Pair::rewriting((self.relay)(), (self.judge)());
            pair.recorder.refusals = self.refusals.as_ref().map(|refusals| refusals());
            pair.unseen = unseen;
            if self.learns {
                pair.learn();
            }
            self.act(&mut pair, cut);
        }
    }

    fn act(&self, pair: &mut Pair, cut: &Cut) {
        let (mut violation, mut closed) = (None, None);
        for (number, step) in self.steps.iter().enumerate() {
            let place = || format!("{}, step {number}, {}", self.name, cut.describe());
            if matches!(step, Step::Sends(..) | Step::Ends(_) | Step::TimesOut | Step::Waited | Step::Commits(_)) {
                nothing_unclaimed(pair, violation, closed, &place());
            }
            match step {
                Step::Sends(side, bytes) => cut.pieces(number, bytes, |piece| pair.send(*side, piece)),
                Step::Ends(side) => pair.end(*side),
                Step::TimesOut => pair.time_out(),
                Step::Waited => pair.body_time_out(),
                Step::Commits(known) => pair.commit(*known),
                Step::Resolves(wanted) => {
                    let resolution = pair.resolution.as_ref().map(super::pair::told);
                    assert_eq!(resolution.as_ref(), Some(wanted), "{}", place());
                }
                Step::Sees(side, bytes) => {
                    let seen = take_seen(pair, *side);
                    assert_eq!(show(&seen), show(bytes), "{}: the bytes that {side:?} sees", place());
                }
                Step::Reads(side, text) => {
                    let seen = show(&take_seen(pair, *side));
                    assert!(seen.contains(&show(text.as_bytes())), "{}: {side:?} reads {seen:?}", place());
                }
                Step::Judged(requests) => assert_eq!(&pair.recorder.judged, requests, "{}", place()),
                Step::Answered(answers) => assert_eq!(&pair.recorder.answered, answers, "{}", place()),
                Step::Violates(side, kind) => {
                    assert_eq!(pair.recorder.violations, [(*side, kind.as_str())], "{}", place());
                    violation = Some(());
                }
                Step::Closes(close) => {
                    assert_eq!(pair.close, Some(*close), "{}", place());
                    closed = Some(());
                }
            }
        }
        nothing_unclaimed(pair, violation, closed, &format!("{}, the end, {}", self.name, cut.describe()));
    }
}

impl Cut {
    fn pieces(&self, number: usize, bytes: &[u8], mut send: impl FnMut(&[u8])) {
        match self {
            Self::Bytes => bytes.iter().for_each(|byte| send(&[*byte])),
            Self::Once { step, at } if *step == number => {
                send(&bytes[..*at]);
                send(&bytes[*at..]);
            }
            Self::Whole | Self::Once { .. } => send(bytes),
            Self::Pieces(lengths) => {
                let mut rest = bytes;
                for length in lengths.iter().cycle() {
                    if rest.is_empty() {
                        break;
                    }
                    let (piece, behind) = rest.split_at((*length).min(rest.len()));
                    send(piece);
                    rest = behind;
                }
            }
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Whole => "whole".to_owned(),
            Self::Bytes => "byte by byte".to_owned(),
            Self::Once { step, at } => format!("step {step} cut at {at}"),
            Self::Pieces(lengths) => format!("cut in {lengths:?}"),
        }
    }
}

/// What happened has to be in the script.
fn nothing_unclaimed(pair: &Pair, violation: Option<()>, closed: Option<()>, place: &str) {
    assert_eq!(show(&pair.to_client), "", "{place}: the client sees more than the script says");
    assert_eq!(show(&pair.to_server), "", "{place}: the server sees more than the script says");
    assert!(violation.is_some() || pair.recorder.violations.is_empty(), "{place}: {:?}", pair.recorder.violations);
    assert!(closed.is_some() || pair.close.is_none(), "{place}: {:?}", pair.close);
}

fn take_seen(pair: &mut Pair, side: Side) -> Vec<u8> {
    std::mem::take(match side {
        Side::Downstream => &mut pair.to_client,
        Side::Upstream => &mut pair.to_server,
    })
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
