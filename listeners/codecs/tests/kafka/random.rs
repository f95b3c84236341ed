//! Random messages with the layout that the table describes.

use portcullis_codecs::kafka::layout::{FieldKind, FieldMeaning, Layout, LayoutField};

/// Numbers that look random, the same ones each time.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below")
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

/// A body, and the texts that mean something in it.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) texts: Vec<(FieldMeaning, String)>,
}

/// Makes the body of one message.
pub(crate) struct Maker<'r> {
    random: &'r mut Random,
    version: i16,
    flexible: bool,
    body: Body,
}

pub(crate) fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).expect("seven bits"));
    bytes
}

impl<'r> Maker<'r> {
    pub(crate) fn body(layout: &Layout, version: i16, random: &'r mut Random) -> Body {
        let flexible = layout.flexible.contains(version);
        let mut maker = Self { random, version, flexible, body: Body::default() };
        maker.fields(layout.fields);
        maker.body
    }

    fn put(&mut self, bytes: &[u8]) {
        self.body.bytes.extend_from_slice(bytes);
    }

    fn fields(&mut self, fields: &[LayoutField]) {
        let version = self.version;
        let present = || fields.iter().filter(move |field| field.versions.contains(version));
        for field in present().filter(|field| field.tag.is_none()) {
            self.field(field);
        }
        if !self.flexible {
            return;
        }
        let mut tagged = Vec::new();
        for field in present().filter(|field| field.tag.is_some()) {
            if self.random.one_in(2) {
                let before = std::mem::take(&mut self.body.bytes);
                self.field(field);
                tagged.push((field.tag.expect("a tag").into(), std::mem::replace(&mut self.body.bytes, before)));
            }
        }
        if self.random.one_in(8) {
            // One that nobody knows.
            tagged.push((1000 + self.random.below(1000), vec![0xff; self.random.below(4)]));
        }
        self.put(&varint(tagged.len()));
        for (tag, bytes) in tagged {
            self.put(&varint(tag));
            self.put(&varint(bytes.len()));
            self.put(&bytes);
        }
    }

    fn field(&mut self, field: &LayoutField) {
        let null = field.nullable.contains(self.version) && self.random.one_in(4);
        if !field.list {
            return self.value(field, null);
        }
        let many = if matches!(field.kind, FieldKind::Int32) && self.random.one_in(10) { 200 } else { 4 };
        let count = (!null).then(|| self.random.below(many));
        self.length(count, 4);
        for _ in 0..count.unwrap_or(0) {
            self.value(field, false);
        }
    }

    /// A length or a count, in so many bytes where it is not flexible.
    fn length(&mut self, length: Option<usize>, bytes: usize) {
        if self.flexible {
            return self.put(&varint(length.map_or(0, |length| length + 1)));
        }
        let length = length.map_or(-1, |length| i32::try_from(length).expect("a length"));
        self.put(&length.to_be_bytes()[4 - bytes..]);
    }

    fn value(&mut self, field: &LayoutField, null: bool) {
        let random = self.random.next().to_be_bytes();
        match field.kind {
            FieldKind::Bool => self.put(&[random[0] & 1]),
            FieldKind::Int8 => self.put(&random[..1]),
            FieldKind::Int16 | FieldKind::Uint16 => self.put(&random[..2]),
            FieldKind::Int32 => self.put(&random[..4]),
            FieldKind::Int64 | FieldKind::Float64 => self.put(&random),
            FieldKind::Uuid => self.put(&[random, random].concat()),
            FieldKind::ShortString => unreachable!("no body has one"),
            FieldKind::String => {
                let text = (!null).then(|| self.text(field.meaning));
                self.length(text.as_ref().map(String::len), 2);
                self.put(text.unwrap_or_default().as_bytes());
            }
            FieldKind::Bytes => {
                let bytes = (!null).then(|| vec![random[0]; self.random.below(300)]);
                self.length(bytes.as_ref().map(Vec::len), 4);
                self.put(&bytes.unwrap_or_default());
            }
            FieldKind::Struct(fields) => {
                if !field.list && field.nullable.contains(self.version) {
                    self.put(&[if null { 0xff } else { 1 }]);
                }
                if !null {
                    self.fields(fields);
                }
            }
        }
    }

    fn text(&mut self, meaning: FieldMeaning) -> String {
        let long = if self.random.one_in(10) { 130 } else { 8 };
        let text = format!("t{}-{}", self.body.texts.len(), "é".repeat(self.random.below(long)));
        if meaning != FieldMeaning::Plain {
            self.body.texts.push((meaning, text.clone()));
        }
        text
    }
}
