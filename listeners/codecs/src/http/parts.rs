//! The parts of a request that rules match, without its header lines.

use std::{borrow::Cow, cell::OnceCell};

use portcullis_rules::{request::FieldValue, schema::FieldIndex};

use super::{HOST, METHOD, PATH, target::Target};

/// Method, path and host of one request.
#[derive(Debug)]
pub(crate) struct RequestParts<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) target: Target<'a>,
    /// Value of Host.
    pub(crate) host: Option<&'a [u8]>,
    /// Made when a rule first looks at the path.
    normal_path: OnceCell<FieldValue<'a>>,
}

impl<'a> RequestParts<'a> {
    pub(crate) fn new(method: &'a [u8], target: Target<'a>) -> Self {
        Self { method, target, host: None, normal_path: OnceCell::new() }
    }

    /// A field of the schema, or nothing if it is the headers.
    pub(crate) fn field(&self, field: FieldIndex) -> Option<FieldValue<'_>> {
        match field.0 {
            METHOD => Some(FieldValue::Value(Cow::Borrowed(self.method))),
            PATH => Some(self.path()),
            HOST => Some(self.authority()),
            _ => None,
        }
    }

    /// The same by the header name that stands for it, in lower case.
    pub(crate) fn named(&self, name: &[u8]) -> Option<FieldValue<'_>> {
        match name {
            b":method" => self.field(FieldIndex(METHOD)),
            b":path" => self.field(FieldIndex(PATH)),
            b":authority" | b"host" => self.field(FieldIndex(HOST)),
            _ => None,
        }
    }

    /// A field as it stands in the request.
    pub(crate) fn shown(&self, field: FieldIndex) -> Option<Cow<'_, [u8]>> {
        match field.0 {
            METHOD => Some(Cow::Borrowed(self.method)),
            PATH => self.target.path(),
            HOST => self.target.authority().or(self.host).map(Cow::Borrowed),
            _ => None,
        }
    }

    fn authority(&self) -> FieldValue<'a> {
        let authority = self.target.authority().or(self.host);
        authority.map_or(FieldValue::Absent, |value| FieldValue::Value(Cow::Borrowed(value)))
    }

    fn path(&self) -> FieldValue<'_> {
        match self.normal_path.get_or_init(|| self.target.normal_path()) {
            FieldValue::Absent => FieldValue::Absent,
            FieldValue::Value(value) => FieldValue::Value(Cow::Borrowed(value)),
            FieldValue::Ambiguous(kind) => FieldValue::Ambiguous(kind),
        }
    }
}
