//! Limits, size updates and memory of the decoder.

use super::{
    Decoder, Encoder, FieldList, HeaderField, HpackError, HpackLimits, Representation, WIDE, incremental, read, shown,
    written,
};
use crate::http2::hpack::{Malformed, Stateless};

type Outcome = Result<usize, Malformed>;

fn bounded(list_size: usize, fields: usize, work: usize) -> HpackLimits {
    HpackLimits { list_size, fields, work }
}

#[test]
fn a_list_may_be_as_large_as_its_limit_and_not_one_byte_larger() {
    // ":method GET" is 10 + 32 bytes, twice.
    let cases = [(84, 2, Ok(2)), (83, 2, Err(HpackError::ListTooLarge)), (84, 1, Err(HpackError::TooManyFields))];
    for (list_size, fields, expected) in cases {
        let mut list = FieldList::default();
        let outcome = Decoder::new().decode(b"\x82\x82", &bounded(list_size, fields, 1000), &mut list);
        assert_eq!(outcome.map(|()| list.len()), expected);
        assert_eq!(list.len(), if outcome.is_ok() { 2 } else { 1 }, "what fits is still there");
        assert_eq!(list.size(), 42 * list.len());
    }
}

#[test]
fn a_list_that_is_too_large_keeps_the_table_right() {
    let (mut encoder, mut decoder, mut list) = (Encoder::new(4096), Decoder::new(), FieldList::default());
    let large = "x".repeat(500);
    let first =
        written(&mut encoder, &[incremental("one", "1"), incremental("large", &large), incremental("two", "2")]);
    let outcome = decoder.decode(&first, &bounded(100, 10, 1000), &mut list);
    assert_eq!(outcome, Err(HpackError::ListTooLarge));
    assert_eq!(shown(&list), [("one".to_owned(), "1".to_owned(), Representation::Incremental)]);
    assert_eq!(list.bytes, b"one1", "nothing is kept of what is left out");
    let second =
        written(&mut encoder, &[incremental("two", "2"), incremental("large", &large), incremental("one", "1")]);
    assert_eq!(second.len(), 3, "all of them are in the table");
    let all = read(&mut decoder, &second).unwrap();
    assert_eq!(all.iter().map(|field| field.name.to_vec()).collect::<Vec<_>>(), [&b"two"[..], b"large", b"one"]);
}

#[test]
fn what_follows_a_list_that_is_too_large_has_to_be_right_as_well() {
    let mut list = FieldList::default();
    for rest in [&b"\x80"[..], b"\x00\x01a\x84\xff\xff\xff\xff", b"\x00\x01a\x05b", b"\x20"] {
        let block = [b"\x82\x82", rest].concat();
        let outcome = Decoder::new().decode(&block, &bounded(50, 10, 1000), &mut list);
        assert!(matches!(outcome, Err(HpackError::Compression(_))), "{rest:x?}: {outcome:?}");
    }
}

#[test]
fn bombs_stop_early_and_take_no_more_memory_than_the_limit() {
    let limits = bounded(8 * 1024, 100, 64 * 1024);
    let mut huge = Encoder::new(4096);
    let entry = "b".repeat(4000);
    let planted = written(&mut huge, &[incremental("a", &entry)]);
    let huffman = [&b"\x00\x01a\xff\x81\xfe\x03"[..], &[0x18; 0x10000]].concat();
    let bombs = [
        ("one entry again and again", vec![0xbe; 100_000]),
        ("one name again and again, each time a new entry", b"\x7e\x00".repeat(100_000)),
        ("one name again and again, never indexed", b"\x1f\x2f\x00".repeat(100_000)),
        ("a long string", [&b"\x00\x01a\x7f\x81\xff\x07"[..], &[b'x'; 0x20000]].concat()),
        ("a long string that Huffman makes longer", huffman),
        ("empty fields", b"\x00\x00\x00".repeat(100_000)),
    ];
    for (what, bomb) in bombs {
        let (mut decoder, mut list) = (Decoder::new(), FieldList::default());
        decoder.decode(&planted, &limits, &mut list).unwrap();
        assert_eq!(decoder.decode(&bomb, &limits, &mut list), Err(HpackError::Bomb), "{what}");
        assert!(list.size() <= limits.list_size && list.bytes.len() <= limits.work, "{what}");
        assert!(list.bytes.capacity() <= 3 * limits.work, "{what}: {}", list.bytes.capacity());
    }
}

#[test]
fn a_name_that_a_table_repeats_counts_each_time_it_is_copied() {
    let limits = bounded(8 * 1024, 100, 64 * 1024);
    let name = "n".repeat(4000);
    let planted = written(&mut Encoder::new(4096), &[incremental(&name, "")]);
    // Sixteen names of 4,032 bytes with their overhead are within the limit, and seventeen are not.
    for (what, field) in [("new entries", &b"\x7e\x00"[..]), ("never indexed", b"\x1f\x2f\x00")] {
        for (times, expected) in [(16, HpackError::ListTooLarge), (17, HpackError::Bomb)] {
            let (mut decoder, mut list) = (Decoder::new(), FieldList::default());
            decoder.decode(&planted, &limits, &mut list).unwrap();
            assert_eq!(decoder.decode(&field.repeat(times), &limits, &mut list), Err(expected), "{what}, {times}");
        }
    }
}

#[test]
fn a_table_that_must_shrink_has_to_be_lowered_first() {
    // The sizes allowed one after the other, the block, and the number of its fields.
    let cases: &[(&[usize], &[u8], Outcome)] = &[
        (&[100], b"\x82", Err(Malformed::MissingSizeUpdate)),
        (&[100], b"", Err(Malformed::MissingSizeUpdate)),
        (&[100], b"\x3f\x45\x82", Ok(1)),
        (&[100], b"\x3f\x46\x82", Err(Malformed::LargeSizeUpdate)),
        (&[100], b"\x20\x82", Ok(1)),
        // Smaller for a moment: the moment has to be told (RFC 7541 §4.2).
        (&[0, 4096], b"\x82", Err(Malformed::MissingSizeUpdate)),
        (&[0, 4096], b"\x3f\xe1\x1f\x82", Err(Malformed::MissingSizeUpdate)),
        (&[0, 4096], b"\x20\x3f\xe1\x1f\x82", Ok(1)),
        (&[0, 4096], b"\x20\x82", Ok(1)),
        (&[100, 50, 200], b"\x3f\x45\x82", Err(Malformed::MissingSizeUpdate)),
        (&[100, 50, 200], b"\x3f\x13\x3f\xa9\x01\x82", Ok(1)),
        // Larger, or larger and back, needs nothing.
        (&[8192], b"\x82", Ok(1)),
        (&[8192, 4096], b"\x82", Ok(1)),
        (&[8192], b"\x3f\xe1\x3f\x82", Ok(1)),
        (&[1 << 30], b"\x3f\xe2\xff\x03\x82", Err(Malformed::LargeSizeUpdate)),
        (&[1 << 30], b"\x3f\xe1\xff\x03\x82", Ok(1)),
    ];
    for (allowed, block, expected) in cases {
        let mut decoder = Decoder::new();
        allowed.iter().for_each(|size| decoder.allow_table_size(*size));
        let outcome = read(&mut decoder, block).map(|list| list.len());
        assert_eq!(outcome, expected.map_err(HpackError::Compression), "{allowed:?} {block:x?}");
        assert!(outcome.is_err() || decoder.due_size_update().is_none(), "{allowed:?} {block:x?}");
    }
}

#[test]
fn a_table_that_its_encoder_keeps_small_need_not_be_lowered() {
    let mut decoder = Decoder::new();
    read(&mut decoder, b"\x3f\x45").unwrap();
    decoder.allow_table_size(100);
    assert_eq!(decoder.due_size_update(), None);
    read(&mut decoder, b"\x82").unwrap();
    decoder.allow_table_size(99);
    assert_eq!(decoder.due_size_update(), Some(99));
}

#[test]
fn entries_that_a_size_update_evicts_are_gone() {
    let mut decoder = Decoder::new();
    read(&mut decoder, b"\x40\x01a\x01b\x40\x01c\x01d").unwrap();
    assert_eq!(shown(&read(&mut decoder, b"\x3f\x03\xbe").unwrap())[0].0, "c");
    assert_eq!(read(&mut decoder, b"\xbf").map(|list| list.len()), Err(Malformed::Index.into()));
    assert_eq!(read(&mut decoder, b"\x21\xbe").map(|list| list.len()), Err(Malformed::Index.into()));
}

#[test]
fn a_size_update_behind_a_field_is_taken_where_somebody_else_judges_it() {
    for (block, expected) in [
        (&b"\x40\x01a\x01b\x3f\xe1\x1f\x88"[..], Ok(2)),
        // The field before it is evicted.
        (b"\x40\x01a\x01b\x20\xbe", Err(Malformed::Index)),
        (b"\x88\x3f\xe2\x1f", Err(Malformed::LargeSizeUpdate)),
        (b"\x88\x3f", Err(Malformed::Truncated)),
    ] {
        let outcome = read(&mut Decoder::with_late_updates(), block).map(|list| list.len());
        assert_eq!(outcome, expected.map_err(HpackError::from), "{block:x?}");
    }
    let mut decoder = Decoder::with_late_updates();
    decoder.allow_table_size(100);
    // What has to be told at the beginning still has to.
    assert_eq!(read(&mut decoder, b"\x82\x3f\x45").map(|list| list.len()), Err(Malformed::MissingSizeUpdate.into()));
}

#[test]
fn what_we_say_ourselves_leaves_the_readers_table_alone() {
    let (mut server, mut client) = (Encoder::new(4096), Decoder::new());
    read(&mut client, &written(&mut server, &[incremental("x-server", "one")])).unwrap();
    let mut block = Vec::new();
    let message = "Access denied by policy";
    Stateless::new(client.due_size_update(), &mut block)
        .field(b":status", b"200")
        .field(b"content-type", b"application/grpc")
        .field(b"grpc-status", b"7")
        .field(b"grpc-message", message.as_bytes());
    let list = read(&mut client, &block).unwrap();
    let kinds: Vec<_> = list.iter().map(|field| field.representation).collect();
    let without = Representation::WithoutIndexing;
    assert_eq!(kinds, [Representation::Indexed, without, without, without]);
    assert_eq!(list.get(3).map(|field| field.value), Some(message.as_bytes()));
    assert_eq!(client.table().len(), 1);
    let again = written(&mut server, &[incremental("x-server", "one")]);
    assert_eq!(shown(&read(&mut client, &again).unwrap())[0].1, "one");
}

#[test]
fn what_we_say_ourselves_makes_the_size_update_that_the_reader_waits_for() {
    // What the client reads and what we read are the same blocks, except for ours.
    let (mut server, mut client, mut ours) = (Encoder::new(4096), Decoder::new(), Decoder::new());
    let first = written(&mut server, &[incremental("x-old", "1"), incremental("x-new", "2")]);
    for decoder in [&mut client, &mut ours] {
        read(decoder, &first).unwrap();
        decoder.allow_table_size(64);
        decoder.allow_table_size(4096);
    }
    server.allow_table_size(64);
    server.allow_table_size(4096);
    for _ in 0..2 {
        let mut block = Vec::new();
        Stateless::new(ours.due_size_update(), &mut block).field(b":status", b"403");
        assert_eq!(shown(&read(&mut client, &block).unwrap())[0].1, "403");
    }
    let next = written(&mut server, &[incremental("x-new", "2"), incremental("x-old", "1")]);
    assert_eq!(shown(&read(&mut client, &next).unwrap()), shown(&read(&mut ours, &next).unwrap()));
}

#[test]
fn nothing_is_allocated_once_the_buffers_are_warm() {
    let (mut encoder, mut decoder, mut list) = (Encoder::new(4096), Decoder::new(), FieldList::default());
    let mut block = Vec::with_capacity(4096);
    let mut warm = (0, 0, 0);
    for round in 0..2000 {
        let value = format!("{round:0>60}");
        let fields = [incremental(":path", &value), incremental("x-fixed", "1"), incremental("x-other", &value)];
        block.clear();
        encoder.encode(fields.iter().map(|field| HeaderField { ..*field }), &mut block);
        decoder.decode(&block, &WIDE, &mut list).unwrap();
        assert!(list.iter().map(|field| field.value).eq(fields.iter().map(|field| field.value)));
        let rooms = (list.bytes.capacity(), decoder.table().room(), encoder.table().room());
        if round == 200 {
            warm = rooms;
        }
        assert!(round < 200 || rooms == warm, "{round}: {rooms:?}, not {warm:?}");
    }
    assert!(warm.1 <= 3 * 4096);
}

#[test]
fn a_large_block_leaves_no_large_buffer_behind() {
    let mut list = FieldList::default();
    let value = "v".repeat(100_000);
    let block = written(&mut Encoder::new(0), &[incremental("a", &value)]);
    Decoder::new().decode(&block, &WIDE, &mut list).unwrap();
    assert!(list.bytes.capacity() >= 100_000);
    list.clear();
    assert!(list.bytes.capacity() <= 2 * FieldList::KEPT && list.is_empty() && list.size() == 0);
}
