//! Denials in the form a broker gives them. When a broker's own authorizer denies everything that a request asks for,
//! it answers with error codes in the layout of the response and repeats the names and numbers of the request. Clients
//! decide by these codes alone what to do next (`Errors.java`). Pure functions on whole frames.

mod asked;
mod listing;
mod merging;
mod partial;
mod table;
mod template;
mod writer;

use self::{asked::ParsedRequest, table::TEMPLATES, template::Template, writer::ResponseWriter};
pub use self::{
    listing::{Listing, ListingFacts},
    merging::merge,
    partial::{EntryRefusal, Partial, PartialTopic, deny_whole, divide, divide_names},
};
pub(super) use self::{
    merging::{KafkaResponseHead, merge_whole},
    partial::{ask_for_none, divides},
};
use super::{
    Violation,
    layout::{FieldMeaning, Layout},
    wire::set_length,
};

/// Most bytes of an answer for each byte of the request.
pub const GROWTH: usize = 32;
/// Most bytes of an answer beyond that.
pub const BASE: usize = 96;

/// What comes of a request that is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaDenial {
    /// An answer was written.
    Answered,
    /// The client wants none (Produce with acks 0): a broker closes the connection, so that the client learns of it.
    Silent,
    /// Kafka has no words for it: SASL and ApiVersions are never denied.
    Wordless,
}

/// Denies all of a request: appends to `out` the frame that a broker of Kafka 4.4 would answer, without throttle time.
/// It has at most [`GROWTH`] times as many bytes as the request, and [`BASE`] more.
///
/// Of Metadata this leaves out the brokers, of which only a broker knows; clients take an answer without any for none, so
/// it is better asked without topics.
///
/// # Errors
/// When the frame is no whole request of that layout and version. Then nothing is appended.
pub fn deny(layout: &'static Layout, version: i16, frame: &[u8], out: &mut Vec<u8>) -> Result<KafkaDenial, Violation> {
    deny_with(layout, version, frame, None, out)
}

/// The same where it is denied for its topics alone: all else would be allowed.
///
/// # Errors
/// As [`deny`].
pub fn deny_topics(
    layout: &'static Layout,
    version: i16,
    frame: &[u8],
    out: &mut Vec<u8>,
) -> Result<KafkaDenial, Violation> {
    deny_with(layout, version, frame, Some(writer::TOPIC), out)
}

/// The same with an error code and its text in place of those that a broker would choose.
///
/// # Errors
/// As [`deny`].
pub(super) fn deny_with(
    layout: &'static Layout,
    version: i16,
    frame: &[u8],
    instead: Option<(i16, &'static str)>,
    out: &mut Vec<u8>,
) -> Result<KafkaDenial, Violation> {
    let Some(fields) = template_of(layout.key) else { return Ok(KafkaDenial::Wordless) };
    let asked = ParsedRequest::read(layout, version, frame)?;
    if asked.scope().number(FieldMeaning::Acks) == Some(0) {
        return Ok(KafkaDenial::Silent);
    }
    let flexible = layout.flexible.contains(version);
    let mut writer = ResponseWriter::new(version, flexible, asked.scope(), out);
    writer.instead = instead;
    let begin = writer.head(asked.number());
    writer.fields(fields, asked.scope());
    set_length(begin, out);
    Ok(KafkaDenial::Answered)
}

/// What is said of a kind of request of which all is denied, if Kafka has words for it.
fn template_of(key: i16) -> Option<&'static [Template]> {
    let place = TEMPLATES.binary_search_by_key(&key, |(of, _)| *of).ok()?;
    TEMPLATES.get(place).map(|(_, fields)| *fields)
}
