//! The examples of RFC 7541 appendix C, with the dynamic table after each block.

use crate::http2::hpack::{Decoder, Encoder, FieldList, HeaderField, HpackLimits, Representation, table::DynamicTable};

const LIMITS: HpackLimits = HpackLimits { list_size: 4096, fields: 64, work: 8192 };

type Pairs = &'static [(&'static str, &'static str)];

/// A block, its fields, and the dynamic table behind it, the newest entry first, with its size.
struct Example {
    block: &'static str,
    fields: Pairs,
    table: Pairs,
    size: usize,
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    list.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

fn fields(list: &FieldList) -> Vec<(Vec<u8>, Vec<u8>)> {
    list.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

fn entries(table: &DynamicTable) -> Vec<(Vec<u8>, Vec<u8>)> {
    (0..table.len()).map(|age| table.get(age).unwrap()).map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

fn decode(decoder: &mut Decoder, example: &Example, list: &mut FieldList) {
    decoder.decode(&bytes(example.block), &LIMITS, list).unwrap();
    assert_eq!(fields(list), pairs(example.fields), "{}", example.block);
    assert_eq!(entries(decoder.table()), pairs(example.table), "{}", example.block);
    assert_eq!(decoder.table().size(), example.size, "{}", example.block);
}

#[test]
fn each_representation_alone_is_read_as_in_c_2() {
    let custom: Pairs = &[("custom-key", "custom-header")];
    let cases = [
        ("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", custom, custom, 55),
        ("040c 2f73 616d 706c 652f 7061 7468", &[(":path", "/sample/path")], &[], 0),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", &[("password", "secret")], &[], 0),
        ("82", &[(":method", "GET")], &[], 0),
    ];
    let kinds = [
        Representation::Incremental,
        Representation::WithoutIndexing,
        Representation::NeverIndexed,
        Representation::Indexed,
    ];
    for ((block, fields, table, size), kind) in cases.into_iter().zip(kinds) {
        let mut list = FieldList::default();
        decode(&mut Decoder::new(), &Example { block, fields, table, size }, &mut list);
        assert_eq!(list.get(0).unwrap().representation, kind, "{block}");
        let mut again = Vec::new();
        Encoder::new(4096).encode(list.iter(), &mut again);
        let mut second = FieldList::default();
        Decoder::new().decode(&again, &LIMITS, &mut second).unwrap();
        assert!(list.iter().eq(second.iter()), "{block}");
    }
}

const REQUESTS: [(Pairs, Pairs, usize); 3] = [
    (
        &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")],
        &[(":authority", "www.example.com")],
        57,
    ),
    (
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
            ("cache-control", "no-cache"),
        ],
        &[("cache-control", "no-cache"), (":authority", "www.example.com")],
        110,
    ),
    (
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ],
        &[("custom-key", "custom-value"), ("cache-control", "no-cache"), (":authority", "www.example.com")],
        164,
    ),
];

const PLAIN_REQUESTS: [&str; 3] = [
    "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    "8286 84be 5808 6e6f 2d63 6163 6865",
    "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
];

const HUFFMAN_REQUESTS: [&str; 3] = [
    "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
    "8286 84be 5886 a8eb 1064 9cbf",
    "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
];

const DATE_21: &str = "Mon, 21 Oct 2013 20:13:21 GMT";
const DATE_22: &str = "Mon, 21 Oct 2013 20:13:22 GMT";
const URL: &str = "https://www.example.com";
const COOKIE: &str = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";

const RESPONSES: [(Pairs, Pairs, usize); 3] = [
    (
        &[(":status", "302"), ("cache-control", "private"), ("date", DATE_21), ("location", URL)],
        &[("location", URL), ("date", DATE_21), ("cache-control", "private"), (":status", "302")],
        222,
    ),
    (
        &[(":status", "307"), ("cache-control", "private"), ("date", DATE_21), ("location", URL)],
        &[(":status", "307"), ("location", URL), ("date", DATE_21), ("cache-control", "private")],
        222,
    ),
    (
        &[
            (":status", "200"),
            ("cache-control", "private"),
            ("date", DATE_22),
            ("location", URL),
            ("content-encoding", "gzip"),
            ("set-cookie", COOKIE),
        ],
        &[("set-cookie", COOKIE), ("content-encoding", "gzip"), ("date", DATE_22)],
        215,
    ),
];

const PLAIN_RESPONSES: [&str; 3] = [
    "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 \
     3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    "4803 3330 37c1 c0bf",
    "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 \
     666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 \
     3630 303b 2076 6572 7369 6f6e 3d31",
];

const HUFFMAN_RESPONSES: [&str; 3] = [
    "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 \
     63c7 8f0b 97c8 e9ae 82ae 43d3",
    "4883 640e ffc1 c0bf",
    "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 \
     b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
];

fn read_all(blocks: [&'static str; 3], expected: [(Pairs, Pairs, usize); 3], table_size: usize) {
    let mut decoder = Decoder::new();
    let mut list = FieldList::default();
    decoder.allow_table_size(table_size);
    // The examples begin with that size; a connection has to agree on it first.
    let lowered = decoder.due_size_update().map(|_| decoder.decode(&[0x3f, 0xe1, 0x01], &LIMITS, &mut list));
    assert_eq!(lowered, (table_size == 256).then_some(Ok(())));
    for (block, (fields, table, size)) in blocks.into_iter().zip(expected) {
        decode(&mut decoder, &Example { block, fields, table, size }, &mut list);
    }
}

#[test]
fn requests_are_read_as_in_c_3_and_c_4() {
    read_all(PLAIN_REQUESTS, REQUESTS, 4096);
    read_all(HUFFMAN_REQUESTS, REQUESTS, 4096);
}

#[test]
fn responses_are_read_as_in_c_5_and_c_6_where_entries_are_evicted() {
    read_all(PLAIN_RESPONSES, RESPONSES, 256);
    read_all(HUFFMAN_RESPONSES, RESPONSES, 256);
}

#[test]
fn requests_and_responses_are_written_as_in_c_4_and_c_6() {
    for (blocks, lists, table_size) in [(HUFFMAN_REQUESTS, REQUESTS, 4096), (HUFFMAN_RESPONSES, RESPONSES, 256)] {
        let mut encoder = Encoder::new(4096);
        encoder.allow_table_size(table_size);
        let mut out = Vec::new();
        encoder.encode([], &mut out);
        assert_eq!(out, if table_size == 256 { vec![0x3f, 0xe1, 0x01] } else { vec![] });
        for (block, (list, table, size)) in blocks.into_iter().zip(lists) {
            out.clear();
            let fields = list.iter().map(|(name, value)| HeaderField {
                name: name.as_bytes(),
                value: value.as_bytes(),
                representation: Representation::Incremental,
            });
            encoder.encode(fields, &mut out);
            // The appendix encodes "307", which becomes no shorter by it.
            let expected = if block == HUFFMAN_RESPONSES[1] { bytes("4803 3330 37c1 c0bf") } else { bytes(block) };
            assert_eq!(out, expected, "{block}");
            assert_eq!(entries(encoder.table()), pairs(table), "{block}");
            assert_eq!(encoder.table().size(), size, "{block}");
        }
    }
}
