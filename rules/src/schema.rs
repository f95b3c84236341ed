//! The schema of a protocol: the names of its fields and how each is written in a policy.
//!
//! A protocol is one `static` [`Schema`] in its codec's folder. The policy parser reads `toPorts[].rules.<protocol>`
//! by it, and the engine matches requests by it, so a new protocol changes neither.

use crate::{
    policy::{L7Rule, Matcher},
    settings::DenyWith,
};

/// Index of a field in [`Schema::fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldIndex(pub u8);

/// How a field is written in a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldForm {
    /// One regular expression that has to match the whole value, case-sensitively. Empty means any.
    Regex,
    /// A list of `Name` (present) or `Name value` / `Name: value` (the whole value equals). Names ignore case.
    Headers,
    /// One exact value. Empty means any.
    Exact,
    /// A text in the protocol's own words, which [`ProtocolTraits::read`] turns into a matcher.
    Words,
    /// The same for a field of which a request may have several values. Each of them has to be allowed by a rule, not
    /// all by the same one (cilium/proxy proxylib/kafka/kafkalib/policy.go).
    Each,
    /// The same, but all its values have to be allowed by one and the same rule. A request that has none although its kind
    /// could is about all of them: only a rule without the field allows it.
    All,
    /// A list of texts for [`ProtocolTraits::read`], each of which is one value: the field has one of them. It narrows a rule also
    /// where the other fields are ORed.
    AnyOf,
}

/// One field of a protocol.
#[derive(Debug)]
pub struct FieldSpec {
    /// Its key in the policy, for example `path`.
    pub name: &'static str,
    /// How it is written.
    pub form: FieldForm,
    /// Whether a broken regular expression refuses the policy. Where false, the rule alone fails closed.
    /// Cilium checks `method` and `path` with Go's regexp, `host` not at all (pkg/policy/api/http.go).
    pub checked: bool,
}

/// A key of a rule that stands for several fields, so that none of these can stand beside it: a mapping of texts.
#[derive(Debug)]
pub struct Shorthand {
    /// Its key in the policy, for example `grpc`.
    pub name: &'static str,
    /// The fields that it stands for.
    pub fields: &'static [FieldIndex],
    /// Its own keys.
    pub entries: &'static [ShorthandEntry],
    /// Reads the texts of its own keys, in their order.
    pub read: fn(&[Option<&str>]) -> ShorthandMeaning,
}

/// What a [`Shorthand`] means: for each of its fields what has to match, and that in a text for people. An error is the
/// number of an entry, and what is wrong with it.
pub type ShorthandMeaning = Result<Vec<(Matcher, String)>, (usize, String)>;

/// A key of a [`Shorthand`].
#[derive(Debug)]
pub struct ShorthandEntry {
    /// The key.
    pub name: &'static str,
    /// Whether it has to be there.
    pub required: bool,
    /// What to write where it is missing or wrong.
    pub remedy: &'static str,
}

/// Something that lint says of one rule of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The code of the check ([`crate::lint::CHECKS`]).
    pub code: &'static str,
    /// The number of the rule in its list.
    pub rule: usize,
    /// The key of the rule that it is about.
    pub key: &'static str,
    /// Whether it is said once for a policy, however often it holds.
    pub once: bool,
    /// What is wrong here.
    pub message: String,
}

/// A protocol as policies see it.
#[derive(Debug)]
pub struct Schema {
    /// Its key below `toPorts[].rules`, also its name in metrics, records and the monitor.
    pub protocol: &'static str,
    /// Its fields, in the order in which they are compared and reported.
    pub fields: &'static [FieldSpec],
    /// What sets it apart from other protocols.
    pub nature: &'static ProtocolTraits,
}

/// What sets a protocol apart from others, beyond its fields.
#[derive(Debug)]
pub struct ProtocolTraits {
    /// Where rules of two protocols meet on one flow, those with the smaller number judge it (cilium pkg/policy/l4.go,
    /// the default listener priorities).
    pub priority: u8,
    /// Key of the list below `toPorts[]` that holds the texts of its only field. `None`: `rules.<protocol>`.
    pub list: Option<&'static str>,
    /// Whether its rules may stand on UDP, and so on ANY.
    pub datagrams: bool,
    /// Whether its rules may stand in `ingress`.
    pub ingress: bool,
    /// Whether only a rule without L7 rules that names exactly this port lets every request pass. Otherwise every rule
    /// that covers the port does.
    pub exact_port: bool,
    /// Whether its answers tell the addresses of names.
    pub resolves: bool,
    /// Whether the fields of one rule are ORed instead of ANDed, those of the form [`FieldForm::AnyOf`] excepted.
    pub alternatives: bool,
    /// The field that tells a request for a tunnel, and the value by which it does ([`crate::tunnel`]).
    pub tunnel: Option<(FieldIndex, &'static str)>,
    /// Whether its `method`, `path` and `host` are those of HTTP, in the clear: then lint knows what no request can have.
    pub web: bool,
    /// What lint says of its rules, if the Cilium that we are compared with does not know them any more.
    pub retired: Option<&'static str>,
    /// How its requests are denied unless a policy says otherwise. `None`: as the settings say.
    pub deny_with: Option<DenyWith>,
    /// Keys of a rule that stand for several of its fields. Only where the fields are ANDed.
    pub shorthands: &'static [Shorthand],
    /// Fields that look at one thing, each in words of its own: one rule has one of them at most. What a request has there is
    /// shown as the first of them has it, and only by that one in records.
    pub synonyms: &'static [FieldIndex],
    /// What lint says of the rules of one list, beyond what it says of those of every protocol.
    pub remarks: fn(&[L7Rule]) -> Vec<Remark>,
    /// Whether a rule lets servers talk to each other, where they do so on the port of their clients.
    pub among: Option<fn(&L7Rule) -> bool>,
    /// Reads the text of a field of the form [`FieldForm::Words`], [`FieldForm::Each`], [`FieldForm::All`] or [`FieldForm::AnyOf`]: what has to
    /// match, or nothing if any value will do. An error says what is wrong.
    pub read: fn(FieldIndex, &str) -> Result<Option<Matcher>, String>,
}

impl ProtocolTraits {
    /// Of a protocol on TCP whose fields need no words of their own, such as HTTP.
    pub const STREAM: Self = Self {
        priority: 101,
        list: None,
        datagrams: false,
        ingress: true,
        exact_port: false,
        resolves: false,
        alternatives: false,
        tunnel: None,
        web: false,
        retired: None,
        deny_with: None,
        shorthands: &[],
        synonyms: &[],
        remarks: |_| Vec::new(),
        among: None,
        read: |_, text| Ok(Some(Matcher::Exact(text.to_owned()))),
    };
}

impl Schema {
    /// Whether it carries another protocol: its rules are about how a connection begins, and say nothing of the requests on it.
    #[must_use]
    pub fn is_carrier(&self) -> bool {
        self.nature.list.is_some()
    }

    /// Finds a field by its key in a policy.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<FieldIndex> {
        let index = self.fields.iter().position(|field| field.name == name)?;
        u8::try_from(index).ok().map(FieldIndex)
    }

    /// How a field is written; none where there is no such field.
    #[must_use]
    pub fn form(&self, field: FieldIndex) -> Option<FieldForm> {
        self.fields.get(usize::from(field.0)).map(|spec| spec.form)
    }

    /// The field by which a field is shown: itself, but for [`ProtocolTraits::synonyms`].
    #[must_use]
    pub fn shown_by(&self, field: FieldIndex) -> FieldIndex {
        let synonyms = self.nature.synonyms;
        synonyms.first().copied().filter(|_| synonyms.contains(&field)).unwrap_or(field)
    }
}
