//! Properties over random field lists, table sizes and bytes.

use std::collections::VecDeque;

use proptest::{collection::vec, prelude::*};

use super::{Decoder, Encoder, FieldList, HeaderField, HpackError, HpackLimits, Representation, WIDE};
use crate::http2::hpack::{FIELD_OVERHEAD, table::DynamicTable};

type Owned = (Vec<u8>, Vec<u8>, Representation);

/// One turn of a connection: new sizes of the table, then a block.
type Turn = (Vec<usize>, Vec<Owned>);

const COMMON: &[&str] = &[":path", ":method", "GET", "/", "cookie", "x-one", "x-two"];

fn representation() -> impl Strategy<Value = Representation> {
    prop_oneof![
        1 => Just(Representation::Indexed),
        3 => Just(Representation::Incremental),
        1 => Just(Representation::WithoutIndexing),
        1 => Just(Representation::NeverIndexed),
    ]
}

/// Names and values that come again, so that the tables are used, and some of any bytes.
fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(COMMON).prop_map(|word| word.as_bytes().to_vec()),
        2 => "[a-d]{1,3}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..60),
    ]
}

fn fields() -> impl Strategy<Value = Vec<Owned>> {
    vec((word(), word(), representation()), 0..12)
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![4 => Just(vec![]), 1 => vec(prop_oneof![0..300_usize, Just(4096), 0..200_000_usize], 1..4)]
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    vec((sizes(), fields()), 1..20)
}

fn as_fields(list: &[Owned]) -> impl Iterator<Item = HeaderField<'_>> {
    list.iter().map(|(name, value, representation)| HeaderField { name, value, representation: *representation })
}

/// The table as RFC 7541 tells of it.
#[derive(Default)]
struct Model {
    entries: VecDeque<(Vec<u8>, Vec<u8>)>,
    size: usize,
}

impl Model {
    fn evict(&mut self, most: usize) {
        while self.size > most
            && let Some((name, value)) = self.entries.pop_back()
        {
            self.size -= name.len() + value.len() + FIELD_OVERHEAD;
        }
    }

    fn insert(&mut self, name: Vec<u8>, value: Vec<u8>, most: usize) {
        let size = name.len() + value.len() + FIELD_OVERHEAD;
        self.evict(most.saturating_sub(size));
        if size <= most {
            self.entries.push_front((name, value));
            self.size += size;
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_with_tables_of_any_size(cap in 0..70_000_usize, turns in turns()) {
        let (mut encoder, mut decoder) = (Encoder::new(cap), Decoder::new());
        let (mut list, mut block) = (FieldList::default(), Vec::new());
        for (sizes, fields) in turns {
            for size in sizes {
                encoder.allow_table_size(size);
                decoder.allow_table_size(size);
            }
            block.clear();
            encoder.encode(as_fields(&fields), &mut block);
            prop_assert_eq!(decoder.decode(&block, &WIDE, &mut list), Ok(()));
            prop_assert_eq!(list.len(), fields.len());
            for (read, written) in list.iter().zip(as_fields(&fields)) {
                prop_assert_eq!((read.name, read.value), (written.name, written.value));
                prop_assert_eq!(read.never_indexed(), written.never_indexed());
                if written.representation == Representation::WithoutIndexing {
                    prop_assert_eq!(read.representation, Representation::WithoutIndexing);
                }
            }
            prop_assert_eq!(decoder.table().size(), encoder.table().size());
        }
    }

    #[test]
    fn a_table_is_as_the_rfc_tells_of_it(turns in turns()) {
        let (mut table, mut model) = (DynamicTable::new(), Model::default());
        for (sizes, fields) in turns {
            for size in sizes {
                table.set_max_size(size);
                model.evict(table.max_size());
            }
            for (name, value, _) in fields {
                table.insert(&name, &value);
                model.insert(name, value, table.max_size());
                prop_assert_eq!(table.size(), model.size);
                prop_assert_eq!(table.age(table.next_number()), None);
                prop_assert_eq!(table.len(), model.entries.len());
                for (age, (name, value)) in model.entries.iter().enumerate() {
                    prop_assert_eq!(table.get(age), Some((&name[..], &value[..])));
                    let number = table.next_number().wrapping_sub(1 + u32::try_from(age).unwrap());
                    prop_assert_eq!(table.age(number), Some(age));
                }
                prop_assert_eq!(table.get(table.len()), None);
                prop_assert!(table.size() <= table.max_size());
            }
        }
    }

    #[test]
    fn smaller_limits_change_no_table(turns in turns(), list_size in 0..400_usize, most in 0..6_usize) {
        let mut encoder = Encoder::new(4096);
        let (mut wide, mut narrow) = (Decoder::new(), Decoder::new());
        let (mut all, mut some, mut block) = (FieldList::default(), FieldList::default(), Vec::new());
        let limits = HpackLimits { list_size, fields: most, ..WIDE };
        for (_, fields) in turns {
            block.clear();
            encoder.encode(as_fields(&fields), &mut block);
            prop_assert_eq!(wide.decode(&block, &WIDE, &mut all), Ok(()));
            let outcome = narrow.decode(&block, &limits, &mut some);
            let fits = all.size() <= list_size && all.len() <= most;
            prop_assert_eq!(outcome.is_ok(), fits);
            prop_assert!(fits || matches!(outcome, Err(HpackError::ListTooLarge | HpackError::TooManyFields)));
            prop_assert!(some.iter().eq(all.iter().take(some.len())));
            prop_assert!(some.size() <= list_size && some.len() <= most);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_within_the_bounds(blocks in vec(vec(any::<u8>(), 0..80), 1..6)) {
        let limits = HpackLimits { list_size: 500, fields: 20, work: 2000 };
        let (mut decoder, mut list) = (Decoder::new(), FieldList::default());
        for block in blocks {
            let outcome = decoder.decode(&block, &limits, &mut list);
            prop_assert!(list.size() <= limits.list_size && list.len() <= limits.fields);
            prop_assert!(list.iter().count() == list.len());
            if matches!(outcome, Err(HpackError::Compression(_) | HpackError::Bomb)) {
                break;
            }
        }
    }
}
