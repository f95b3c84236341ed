//! What a protocol publishes about itself: the names of its fields and how each is written in a policy.
//!
//! A protocol is one `static` [`Schema`] in its codec's folder. The policy parser reads `toPorts[].rules.<protocol>`
//! by it, and the engine matches requests by it, so a new protocol touches neither.

/// Index of a field in [`Schema::fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldIndex(pub u8);

/// How a field is written in a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One regular expression that has to match the whole value, case-sensitively. Empty means any.
    Regex,
    /// A list of `Name` (present) or `Name value` / `Name: value` (the whole value equals). Names ignore case.
    Headers,
    /// One exact value. Empty means any.
    Exact,
}

/// One field of a protocol.
#[derive(Debug)]
pub struct FieldSpec {
    /// Its key in the policy, for example `path`.
    pub name: &'static str,
    /// How it is written.
    pub form: Form,
    /// Whether a broken regular expression refuses the policy. Where false, the rule alone fails closed.
    /// Cilium checks `method` and `path` with Go's regexp, `host` not at all (pkg/policy/api/http.go).
    pub checked: bool,
}

/// A protocol as policies see it.
#[derive(Debug)]
pub struct Schema {
    /// Its key below `toPorts[].rules`, also its name in metrics, records and the monitor.
    pub protocol: &'static str,
    /// Its fields, in the order in which they are compared and reported.
    pub fields: &'static [FieldSpec],
}

impl Schema {
    /// Finds a field by its key in a policy.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<FieldIndex> {
        let index = self.fields.iter().position(|field| field.name == name)?;
        u8::try_from(index).ok().map(FieldIndex)
    }
}
