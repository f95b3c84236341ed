//! Requests built from words instead of bytes: what `explain` and `test` ask, in the words of each protocol.

use std::fmt;

use portcullis_rules::request::Request;

/// How requests of a protocol are asked about.
#[derive(Debug)]
pub struct QuestionSchema {
    /// What can be said of one. The first that has a flag asks for the protocol; other flags need it.
    pub words: &'static [QuestionWord],
    /// The port where such requests are usually sent, with its transport where that is not TCP: `80`, `53/UDP`.
    pub usual_port: &'static str,
    /// Makes a request of what was said. An error says what is wrong, and what to write.
    pub read: fn(&QuestionValues) -> Result<Sample, String>,
}

/// One thing that can be said of a request, and where. What stands nowhere is empty.
#[derive(Clone, Copy, Debug)]
pub struct QuestionWord {
    /// What [`QuestionSchema::read`] calls it.
    pub key: &'static str,
    /// The flag of `explain`, without its dashes.
    pub flag: &'static str,
    /// What stands for its value in the help, for example `NAME`.
    pub value: &'static str,
    /// What it is, for the help.
    pub help: &'static str,
    /// What the flag is where it is not given, if that is shown.
    pub default: Option<&'static str>,
    /// Whether it may be said several times.
    pub many: bool,
    /// Where it stands in a case of a test: `http`, or `http.method`. What stands below that is one `name: value` each.
    pub case: &'static str,
}

impl QuestionWord {
    /// One that stands nowhere.
    pub const NOWHERE: Self = Self { key: "", flag: "", value: "", help: "", default: None, many: false, case: "" };
}

/// What was said of a request: values by the keys of its words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuestionValues(Vec<(&'static str, String)>);

impl QuestionValues {
    /// Says one thing more.
    pub fn push(&mut self, word: &QuestionWord, value: impl Into<String>) {
        self.0.push((word.key, value.into()));
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something was said by a key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.one(key).is_some()
    }

    /// The first value of a key.
    #[must_use]
    pub fn one(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// All values of a key, in order.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| *known == key).map(|(_, value)| value.as_str())
    }
}

/// A request that nobody sent.
pub struct Sample {
    /// The request in a few words.
    pub shown: String,
    request: Box<dyn Show>,
}

impl Sample {
    /// One that is shown to the rules.
    pub fn new(shown: impl Into<String>, request: impl Show + 'static) -> Self {
        Self { shown: shown.into(), request: Box::new(request) }
    }

    /// Shows it to the rules.
    ///
    /// # Errors
    /// No relay lets it pass, whatever the rules say, and why.
    pub fn show(&self, to: &mut dyn FnMut(&dyn Request)) -> Result<(), String> {
        self.request.show(to)
    }
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sample").field(&self.shown).finish()
    }
}

/// Something that can be shown to the rules as a request.
pub trait Show {
    /// Shows it, once.
    ///
    /// # Errors
    /// No relay lets it pass, and why.
    fn show(&self, to: &mut dyn FnMut(&dyn Request)) -> Result<(), String>;
}

impl<R: Request> Show for R {
    fn show(&self, to: &mut dyn FnMut(&dyn Request)) -> Result<(), String> {
        to(self);
        Ok(())
    }
}
