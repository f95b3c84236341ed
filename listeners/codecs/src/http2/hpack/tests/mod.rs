mod appendix_c;
mod decoding;
mod encoding;
mod malformed;
mod properties;
mod strings;

use super::{Decoder, Encoder, FieldList, HeaderField, HpackError, HpackLimits, Representation};

/// More than any test needs.
const WIDE: HpackLimits = HpackLimits { list_size: 1 << 20, fields: 4096, work: 1 << 22 };

fn field<'a>(name: &'a str, value: &'a str, representation: Representation) -> HeaderField<'a> {
    HeaderField { name: name.as_bytes(), value: value.as_bytes(), representation }
}

fn incremental<'a>(name: &'a str, value: &'a str) -> HeaderField<'a> {
    field(name, value, Representation::Incremental)
}

fn read(decoder: &mut Decoder, block: &[u8]) -> Result<FieldList, HpackError> {
    let mut list = FieldList::default();
    decoder.decode(block, &WIDE, &mut list).map(|()| list)
}

fn written(encoder: &mut Encoder, fields: &[HeaderField<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.encode(fields.iter().copied(), &mut out);
    out
}

/// Each field as text, with its representation.
fn shown(list: &FieldList) -> Vec<(String, String, Representation)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    list.iter().map(|field| (text(field.name), text(field.value), field.representation)).collect()
}
