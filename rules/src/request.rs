//! One request as the rules see it.

use std::{borrow::Cow, ops::Range};

use crate::{
    schema::{FieldIndex, Schema},
    tunnel::Tunnel,
};

/// The value of one field of a request, in the normal form that its codec defines.
#[derive(Debug, PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// The request does not carry it.
    Absent,
    /// Its value. Several lines of one name are joined by `,` in order of arrival (RFC 9110 §5.3), which is what Envoy
    /// compares.
    Value(Cow<'a, [u8]>),
    /// Two conforming readers could see different values; the word names the kind. No rule that looks at this field
    /// matches.
    Ambiguous(&'static str),
}

/// What a codec shows of a request. It borrows from the read buffer; nothing is copied unless a value has to be
/// brought into its normal form.
pub trait Request {
    /// The protocol.
    fn schema(&self) -> &'static Schema;
    /// The value of a field. `key` names the header for fields of the form [`crate::schema::Form::Headers`], in lower
    /// case; it is empty for all others.
    fn field(&self, field: FieldIndex, key: &str) -> FieldValue<'_>;
    /// The value of a field without key as it stands in the request, for records and the monitor.
    fn shown(&self, field: FieldIndex) -> Option<Cow<'_, [u8]>> {
        match self.field(field, "") {
            FieldValue::Value(value) => Some(value),
            FieldValue::Absent | FieldValue::Ambiguous(_) => None,
        }
    }
    /// How many values a field of the form [`crate::schema::Form::Each`] or [`crate::schema::Form::All`] has; `None` where
    /// rules about the field do not concern this request. One that is about all values, whatever they are, has 0.
    fn count(&self, field: FieldIndex) -> Option<usize> {
        let _ = field;
        None
    }
    /// One of these values, by its number.
    fn nth(&self, field: FieldIndex, number: usize) -> &[u8] {
        let _ = (field, number);
        b""
    }
    /// The request behind this one, where this one only has other values of some fields. What is no field is said as that one
    /// says it.
    fn inner(&self) -> Option<&dyn Request> {
        None
    }
    /// The field whose values are judged one by one in this request, where it is not the one of the form
    /// [`crate::schema::Form::Each`]: a request that asks about several groups, for example.
    fn each(&self) -> Option<FieldIndex> {
        self.inner().and_then(Request::each)
    }
    /// Which values of another field belong to one of these, by its number; `None` if all do.
    fn beside(&self, number: usize, field: FieldIndex) -> Option<Range<usize>> {
        let _ = (number, field);
        None
    }
    /// Whether the request can be forwarded without some of these values, each of which then has an answer of its own. Only
    /// then is it denied in part.
    fn has_parts(&self) -> bool {
        self.inner().is_some_and(Request::has_parts)
    }
    /// The field of which a request without values asks for all that there are, and its answer can be cut down to those that
    /// are allowed. Only then is it allowed by rules about single values.
    fn lists(&self) -> Option<FieldIndex> {
        self.inner().and_then(Request::lists)
    }
    /// The tunnel that the request asks for, if it does: no rule allows it that does not mean that.
    fn tunnel(&self) -> Option<Tunnel> {
        self.inner()?.tunnel()
    }
    /// Which of the kinds it is that its protocol has counted, by its number among their words.
    fn kind(&self) -> Option<usize> {
        self.inner()?.kind()
    }
    /// Tells requests of one connection apart that are answered in any order (HTTP/2: the stream). 0 for all of them
    /// where answers come in the order of the requests.
    fn exchange(&self) -> u32 {
        self.inner().map_or(0, Request::exchange)
    }
    /// The protocol version as people write it, for records; empty when there is none.
    fn version(&self) -> &'static str {
        self.inner().map_or("", Request::version)
    }
}
