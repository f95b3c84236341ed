//! What rules do to the headers of a request (`headerMatches`; cilium/proxy cilium/network_policy.cc, `HeaderMatch`).

use std::borrow::Cow;

use crate::{
    policy::{HeaderAction, Mismatch, Wanted},
    request::{FieldValue, Request},
    schema::{FieldIndex, Form, Schema},
    world::Secret,
};

/// What is told of values that come from secrets.
const REDACTED: &str = "[redacted]";

/// What rules did to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Headers that are not what the client sent: the name in lower case and the values that go to the server. Without
    /// any the header is removed.
    pub changed: Vec<(String, Vec<String>)>,
    /// Headers that were missing, each with the wanted value.
    pub missing: Vec<(String, String)>,
    /// Headers that were rejected, each with the value that was there.
    pub rejected: Vec<(String, String)>,
}

/// A header action that is ready to run.
#[derive(Debug)]
pub(crate) struct Action {
    field: FieldIndex,
    name: String,
    /// `None`: the secret is not known.
    wanted: Option<String>,
    secret: bool,
    mismatch: Mismatch,
}

impl Action {
    pub(crate) fn new(action: &HeaderAction, secrets: &[Secret]) -> Self {
        let (wanted, secret) = match &action.wanted {
            Wanted::Value(value) => (Some(value.clone()), false),
            Wanted::Secret(name) => {
                (secrets.iter().find(|known| known.name == *name).map(|known| known.value.clone()), true)
            }
        };
        Self { field: action.field, name: action.name.clone(), wanted, secret, mismatch: action.mismatch }
    }

    fn shown(&self, value: &str) -> String {
        if self.secret { REDACTED.to_owned() } else { value.to_owned() }
    }
}

/// A request whose headers rules have changed.
pub(crate) struct Changed<'a> {
    request: &'a dyn Request,
    effects: Effects,
}

impl<'a> Changed<'a> {
    pub(crate) fn new(request: &'a dyn Request) -> Self {
        Self { request, effects: Effects::default() }
    }

    pub(crate) fn into_effects(self) -> Effects {
        self.effects
    }

    /// Runs all actions, also after one has failed. Tells whether none has.
    pub(crate) fn act(&mut self, actions: &[Action]) -> bool {
        let failed = actions.iter().filter(|action| !self.run(action)).count();
        failed == 0
    }

    fn run(&mut self, action: &Action) -> bool {
        let Some(wanted) = &action.wanted else { return false };
        let value = match self.field(action.field, &action.name) {
            FieldValue::Value(value) => Some(String::from_utf8_lossy(&value).into_owned()),
            FieldValue::Absent => None,
            FieldValue::Ambiguous(_) => return false,
        };
        if value.as_ref().is_some_and(|value| wanted.is_empty() || value == wanted) {
            return true;
        }
        let missing = (action.name.clone(), action.shown(wanted));
        let rejected = value.as_ref().map(|value| (action.name.clone(), action.shown(value)));
        match action.mismatch {
            Mismatch::Fail => {
                self.effects.missing.push(missing);
                return false;
            }
            Mismatch::Log => self.effects.missing.push(missing),
            Mismatch::Add => {
                // Lines that were added before stay lines of their own.
                let lines = self.lines(&action.name).map_or_else(|| value.into_iter().collect(), <[String]>::to_vec);
                self.set(action, [lines, vec![wanted.clone()]].concat());
                self.effects.missing.push(missing);
            }
            // Nothing is wrong with a header that only has to be there.
            Mismatch::Delete if wanted.is_empty() => {}
            Mismatch::Delete => {
                if let Some(rejected) = rejected {
                    self.effects.rejected.push(rejected);
                    self.set(action, Vec::new());
                }
            }
            Mismatch::Replace => {
                self.effects.rejected.extend(rejected);
                self.set(action, vec![wanted.clone()]);
                self.effects.missing.push(missing);
            }
        }
        true
    }

    /// The lines of a header that was changed.
    fn lines(&self, header: &str) -> Option<&[String]> {
        self.effects.changed.iter().find(|(name, _)| name == header).map(|(_, lines)| lines.as_slice())
    }

    fn set(&mut self, action: &Action, values: Vec<String>) {
        self.effects.changed.retain(|(name, _)| *name != action.name);
        self.effects.changed.push((action.name.clone(), values));
    }
}

impl Request for Changed<'_> {
    fn schema(&self) -> &'static Schema {
        self.request.schema()
    }

    fn field(&self, field: FieldIndex, key: &str) -> FieldValue<'_> {
        let header = self.schema().fields.get(usize::from(field.0)).is_some_and(|spec| spec.form == Form::Headers);
        match self.lines(key).filter(|_| header) {
            Some([]) => FieldValue::Absent,
            Some(lines) => FieldValue::Value(Cow::Owned(lines.join(",").into_bytes())),
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

    fn version(&self) -> &'static str {
        self.request.version()
    }
}
