//! Fuzzes header blocks, with changes of the table size between them. A low limit must not change the table, and a
//! block that was decoded, encoded and decoded again must give the same fields.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_codecs::http2::hpack::{Decoder, Encoder, FieldList, HeaderField, HpackError, HpackLimits};

const WIDE: HpackLimits = HpackLimits { list_size: 1 << 20, fields: 1 << 14, work: 1 << 20 };
const NARROW: HpackLimits = HpackLimits { list_size: 300, fields: 6, work: 1 << 20 };

fuzz_target!(|turns: Vec<(Option<u32>, Vec<u8>)>| {
    let (mut wide, mut narrow, mut behind) = (Decoder::new(), Decoder::new(), Decoder::new());
    let (mut all, mut some, mut again) = (FieldList::default(), FieldList::default(), FieldList::default());
    let (mut encoder, mut written) = (Encoder::new(1 << 14), Vec::new());
    for (size, block) in turns {
        if let Some(size) = size.map(|size| size as usize) {
            for decoder in [&mut wide, &mut narrow, &mut behind] {
                decoder.allow_table_size(size);
            }
            encoder.allow_table_size(size);
        }
        let outcome = wide.decode(&block, &WIDE, &mut all);
        let less = narrow.decode(&block, &NARROW, &mut some);
        if matches!(outcome, Err(HpackError::Compression(_) | HpackError::Bomb)) {
            assert_eq!(less, outcome);
            return;
        }
        assert!(some.iter().eq(all.iter().take(some.len())));
        assert!(some.size() <= NARROW.list_size && some.len() <= NARROW.fields);
        if outcome.is_err() {
            continue;
        }
        assert_eq!(less.is_ok(), all.size() <= NARROW.list_size && all.len() <= NARROW.fields);
        written.clear();
        encoder.encode(all.iter(), &mut written);
        behind.decode(&written, &WIDE, &mut again).expect("what we write can be read");
        let meaning = |field: HeaderField<'_>| (field.name.to_vec(), field.value.to_vec(), field.never_indexed());
        assert!(again.iter().map(meaning).eq(all.iter().map(meaning)));
    }
});
