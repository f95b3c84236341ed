//! Changes of request headers by rules (`headerMatches`; cilium/proxy cilium/network_policy.cc, `HeaderMatch`).

use std::{borrow::Cow, fmt, sync::Arc};

use crate::{
    policy::{HeaderAction, HeaderValueSource, Matcher, Mismatch, Predicate},
    request::{FieldValue, Request},
    schema::{FieldForm, FieldIndex, Schema},
    world::Secret,
};

/// What is shown in place of values of secrets.
const REDACTED: &str = "[redacted]";
/// Longest value that is shown, in bytes.
const TOLD: usize = 256;

/// Headers that frame or route a message, or belong to one hop only (RFC 9110 §7.2, §7.6.1, §10.1.1; RFC 9112 §6;
/// RFC 9113 §8.2.2). A relay that changed one of them would forward another message than the one that was judged.
const FIXED: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether rules may add, remove or replace a header, by its name in any case: a token (RFC 9110 §5.6.2) that does not
/// frame or route the message.
#[must_use]
pub fn may_change(name: impl AsRef<[u8]>) -> bool {
    let name = name.as_ref();
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty()
        && name.iter().all(is_token)
        && !FIXED.iter().any(|fixed| name.eq_ignore_ascii_case(fixed.as_bytes()))
}

/// Whether a text can be written as the value of a header and is read again as it is: no control byte but HTAB, no
/// white space around it (RFC 9110 §5.5).
#[must_use]
pub fn is_value(text: &str) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = text.as_bytes();
    !blank(bytes.first()) && !blank(bytes.last()) && bytes.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control())
}

/// What rules did to a request. Nothing, for nearly all: then nothing was allocated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Headers that do not go to the server as the client sent them; each name once.
    pub changed: Vec<HeaderChange>,
    /// Headers that were missing, each with the wanted value; those of secrets are told as `[redacted]`.
    pub missing: Vec<(String, String)>,
    /// Headers that were rejected, each with the value that was there, cut to 256 bytes.
    pub rejected: Vec<(String, String)>,
    /// Secrets that are not known and on whose value it depended what became of the request; each as often as it was asked
    /// for.
    pub unknown: Vec<UnknownSecret>,
}

/// A secret that is not known, so that its rule did not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownSecret {
    /// `namespace/name`.
    pub name: Arc<str>,
    /// The rule would change the request, and with it what other rules see.
    pub changes: bool,
}

/// What becomes of one header. How it is carried out in a protocol with header lines: where `kept` is `None`, every line
/// of the name goes; then a line for each value of `added` stands behind all others.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderChange {
    /// Its name, in lower case; never one that frames or routes the message ([`may_change`]).
    pub name: String,
    /// The value of the lines that stay as they are. `None`: there are none, or they go.
    pub kept: Option<Vec<u8>>,
    /// Values of new lines, in this order.
    pub added: Vec<AddedValue>,
}

impl HeaderChange {
    /// The values that go to the server, for people: what comes from a secret reads `[redacted]`.
    #[must_use]
    pub fn shown(&self) -> Vec<String> {
        let kept = self.kept.iter().map(|value| String::from_utf8_lossy(value).into_owned());
        kept.chain(self.added.iter().map(|value| value.shown().to_owned())).collect()
    }

    /// All values as one, or nothing if the header goes.
    fn joined(&self) -> Option<Vec<u8>> {
        let added = self.added.iter().map(|value| value.text.as_bytes());
        let values: Vec<&[u8]> = self.kept.iter().map(Vec::as_slice).chain(added).collect();
        (!values.is_empty()).then(|| values.join(&b','))
    }
}

/// The value of a header line that a rule adds. It can be written as it is ([`is_value`]).
#[derive(Clone, PartialEq, Eq)]
pub struct AddedValue {
    text: String,
    secret: bool,
}

impl AddedValue {
    /// For the server. May be a secret.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// For people.
    #[must_use]
    pub fn shown(&self) -> &str {
        if self.secret { REDACTED } else { &self.text }
    }
}

impl fmt::Debug for AddedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AddedValue").field(&self.shown()).finish()
    }
}

/// A header action that is ready to run.
pub(crate) struct CompiledHeaderAction {
    field: FieldIndex,
    name: String,
    /// `None`: the secret is not known, or what the action does cannot be done. Then the rule does not match.
    wanted: Option<String>,
    secret: bool,
    /// The name of the secret that is not known.
    unknown: Option<Arc<str>>,
    mismatch: Mismatch,
}

impl fmt::Debug for CompiledHeaderAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Action").field("name", &self.name).field("mismatch", &self.mismatch).finish_non_exhaustive()
    }
}

impl CompiledHeaderAction {
    pub(crate) fn new(action: &HeaderAction, secrets: &[Secret]) -> Self {
        let (wanted, secret) = match &action.wanted {
            HeaderValueSource::Value(value) => (Some(value), false),
            // An empty secret would be any value.
            HeaderValueSource::Secret(name) => {
                let known = secrets.iter().find(|known| known.name == *name && !known.value.is_empty());
                (known.map(|known| &known.value), true)
            }
        };
        let unknown = match &action.wanted {
            HeaderValueSource::Secret(name) if wanted.is_none() => Some(name.as_str().into()),
            _ => None,
        };
        let can_be_done = |value: &str| match action.mismatch {
            Mismatch::Fail | Mismatch::Log => true,
            Mismatch::Delete => may_change(&action.name),
            Mismatch::Add | Mismatch::Replace => may_change(&action.name) && is_value(value),
        };
        let wanted = wanted.filter(|value| can_be_done(value)).cloned();
        Self { field: action.field, name: action.name.clone(), wanted, secret, unknown, mismatch: action.mismatch }
    }

    /// Whether a value is the wanted one. How long that takes tells nothing of a secret but its length.
    fn is_satisfied_by(&self, value: &[u8], wanted: &str) -> bool {
        let wanted = wanted.as_bytes();
        let differences =
            value.iter().zip(wanted).fold(0, |sum, (one, other)| std::hint::black_box(sum | (one ^ other)));
        wanted.is_empty() || (value.len() == wanted.len() && differences == 0)
    }

    /// Whether this makes its rule fail for a request that nothing has changed yet; with the kind, if the header is
    /// ambiguous.
    pub(crate) fn fails(&self, request: &dyn Request) -> Option<Option<&'static str>> {
        match (request.field(self.field, &self.name), &self.wanted) {
            (_, None) => Some(None),
            (FieldValue::Ambiguous(kind), _) => (self.mismatch != Mismatch::Log).then_some(Some(kind)),
            (FieldValue::Value(value), Some(wanted)) if self.is_satisfied_by(&value, wanted) => None,
            _ => (self.mismatch == Mismatch::Fail).then_some(None),
        }
    }

    /// What it wants, as a predicate without the value.
    pub(crate) fn predicate(&self) -> Predicate {
        Predicate { field: self.field, key: self.name.clone(), matcher: Matcher::Exact(String::new()) }
    }

    fn told(&self, value: &[u8]) -> (String, String) {
        let text = if self.secret {
            REDACTED.to_owned()
        } else {
            String::from_utf8_lossy(&value[..value.len().min(TOLD)]).into_owned()
        };
        (self.name.clone(), text)
    }
}

/// A request whose headers rules have changed.
pub(crate) struct ChangedRequest<'a> {
    request: &'a dyn Request,
    effects: Effects,
}

impl<'a> ChangedRequest<'a> {
    pub(crate) fn new(request: &'a dyn Request) -> Self {
        Self { request, effects: Effects::default() }
    }

    pub(crate) fn into_effects(self) -> Effects {
        self.effects
    }

    /// Runs all actions, also after one has failed. Returns whether none has.
    pub(crate) fn act(&mut self, actions: &[CompiledHeaderAction]) -> bool {
        let failed = actions.iter().filter(|action| !self.run(action)).count();
        failed == 0
    }

    fn run(&mut self, action: &CompiledHeaderAction) -> bool {
        let Some(wanted) = &action.wanted else {
            self.miss_secret(action);
            return false;
        };
        let there = match self.field(action.field, &action.name) {
            FieldValue::Value(value) if action.is_satisfied_by(&value, wanted) => return true,
            FieldValue::Value(value) => Some(value.into_owned()),
            // To tell of it changes nothing.
            FieldValue::Ambiguous(_) if action.mismatch == Mismatch::Log => None,
            FieldValue::Ambiguous(_) => return false,
            FieldValue::Absent => None,
        };
        let missing = || action.told(wanted.as_bytes());
        match action.mismatch {
            Mismatch::Fail => {
                self.effects.missing.push(missing());
                return false;
            }
            Mismatch::Log => self.effects.missing.push(missing()),
            Mismatch::Add => {
                self.effects.missing.push(missing());
                self.add(action, there, wanted);
            }
            // Nothing is wrong with a header that only has to be there.
            Mismatch::Delete if wanted.is_empty() => {}
            Mismatch::Delete => {
                if let Some(there) = there {
                    self.effects.rejected.push(action.told(&there));
                    self.remove(action);
                }
            }
            Mismatch::Replace => {
                self.effects.rejected.extend(there.map(|value| action.told(&value)));
                self.effects.missing.push(missing());
                self.remove(action);
                self.add(action, None, wanted);
            }
        }
        true
    }

    /// Notes a secret that is not known. A header that is not there equals none.
    fn miss_secret(&mut self, action: &CompiledHeaderAction) {
        let Some(name) = &action.unknown else { return };
        let changes = !matches!(action.mismatch, Mismatch::Fail | Mismatch::Log);
        let absent = self.field(action.field, &action.name) == FieldValue::Absent;
        if action.mismatch != Mismatch::Fail || !absent {
            self.effects.unknown.push(UnknownSecret { name: Arc::clone(name), changes });
        }
    }

    /// What was changed of a header.
    fn change(&self, header: &str) -> Option<&HeaderChange> {
        self.effects.changed.iter().find(|change| change.name == header)
    }

    fn remove(&mut self, action: &CompiledHeaderAction) {
        self.effects.changed.retain(|change| change.name != action.name);
        self.effects.changed.push(HeaderChange { name: action.name.clone(), kept: None, added: Vec::new() });
    }

    /// Adds a line. Lines that were added before stay lines of their own.
    fn add(&mut self, action: &CompiledHeaderAction, kept: Option<Vec<u8>>, wanted: &str) {
        let added = AddedValue { text: wanted.to_owned(), secret: action.secret };
        match self.effects.changed.iter_mut().find(|change| change.name == action.name) {
            Some(change) => change.added.push(added),
            None => self.effects.changed.push(HeaderChange { name: action.name.clone(), kept, added: vec![added] }),
        }
    }
}

impl Request for ChangedRequest<'_> {
    fn schema(&self) -> &'static Schema {
        self.request.schema()
    }

    fn field(&self, field: FieldIndex, key: &str) -> FieldValue<'_> {
        let header = self.schema().fields.get(usize::from(field.0)).is_some_and(|spec| spec.form == FieldForm::Headers);
        match self.change(key).filter(|_| header) {
            Some(change) => change.joined().map_or(FieldValue::Absent, |value| FieldValue::Value(Cow::Owned(value))),
            None => self.request.field(field, key),
        }
    }

    fn count(&self, field: FieldIndex) -> Option<usize> {
        self.request.count(field)
    }

    fn nth(&self, field: FieldIndex, number: usize) -> &[u8] {
        self.request.nth(field, number)
    }

    fn shown(&self, field: FieldIndex) -> Option<Cow<'_, [u8]>> {
        self.request.shown(field)
    }

    fn inner(&self) -> Option<&dyn Request> {
        Some(self.request)
    }
}
