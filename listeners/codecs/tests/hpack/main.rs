//! Compares our header compression with that of `h2`: each reads what the other writes, over whole connections with
//! tables of many sizes. `h2` exports no header compression, so the tests drive it as a client or server.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod client;
mod server;
mod wire;

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_codecs::http2::hpack::{FieldList, HeaderField, HpackLimits, Representation};
use proptest::{collection::vec, prelude::*, sample::select};

const LIMITS: HpackLimits = HpackLimits { list_size: 1 << 20, fields: 4096, work: 1 << 22 };

/// One header line. The pseudo-fields stand apart, since `h2` makes them itself.
#[derive(Clone, Debug)]
struct Line {
    name: String,
    value: Vec<u8>,
    representation: Representation,
}

/// The header lines of one message.
type Message = Vec<Line>;

/// All values of each name, in order, and whether they are secret.
type Grouped = BTreeMap<String, Vec<(Vec<u8>, bool)>>;

fn representation() -> impl Strategy<Value = Representation> {
    select(vec![
        Representation::Incremental,
        Representation::Incremental,
        Representation::Indexed,
        Representation::WithoutIndexing,
        Representation::NeverIndexed,
    ])
}

fn line() -> impl Strategy<Value = Line> {
    let known = ["accept", "accept-encoding", "authorization", "cookie", "user-agent", "x-one", "x-two", "x-three"];
    let name = prop_oneof![5 => select(known.map(str::to_owned).to_vec()), 1 => "x-[a-z0-9]{0,40}"];
    let often = ["", "1", "gzip, deflate", "the same each time"].map(|value| value.as_bytes().to_vec());
    let byte = prop_oneof![6 => b' '..=b'~', 1 => 0x80..=0xff_u8];
    let value = prop_oneof![3 => select(often.to_vec()), 2 => vec(byte, 0..200)];
    (name, value, representation()).prop_map(|(name, value, representation)| {
        // What either table holds is no secret to `h2`, which makes an index of it.
        let secret = representation == Representation::NeverIndexed;
        let value = if secret { [b"secret ", &value[..]].concat() } else { value };
        Line { name, value, representation }
    })
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    vec(vec(line(), 0..10), 1..25)
}

/// Sizes of a table: none, smaller than an entry, small enough to evict, usual, and more than we keep.
fn table_size() -> impl Strategy<Value = usize> {
    select(vec![0, 20, 64, 300, 4096, 65_536, 1_000_000])
}

fn fields(message: &[Line]) -> impl Iterator<Item = HeaderField<'_>> {
    message.iter().map(|line| HeaderField {
        name: line.name.as_bytes(),
        value: &line.value,
        representation: line.representation,
    })
}

/// As `h2` wants it.
fn header_map(message: &[Line]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in message {
        let mut value = HeaderValue::from_bytes(&line.value).unwrap();
        value.set_sensitive(line.representation == Representation::NeverIndexed);
        map.append(HeaderName::from_bytes(line.name.as_bytes()).unwrap(), value);
    }
    map
}

fn of_message(message: &[Line]) -> Grouped {
    let mut grouped = Grouped::new();
    for field in fields(message) {
        add(&mut grouped, &field);
    }
    grouped
}

/// Without the pseudo-fields.
fn of_list(list: &FieldList) -> Grouped {
    let mut grouped = Grouped::new();
    for field in list.iter().filter(|field| !field.name.starts_with(b":")) {
        add(&mut grouped, &field);
    }
    grouped
}

fn add(grouped: &mut Grouped, field: &HeaderField<'_>) {
    let name = String::from_utf8(field.name.to_vec()).unwrap();
    grouped.entry(name).or_default().push((field.value.to_vec(), field.never_indexed()));
}

/// `h2` forgets which values are secret.
fn of_map(map: &HeaderMap) -> BTreeMap<String, Vec<Vec<u8>>> {
    let values = |name| map.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect();
    map.keys().map(|name| (name.to_string(), values(name))).collect()
}

fn without_secrecy(grouped: Grouped) -> BTreeMap<String, Vec<Vec<u8>>> {
    grouped.into_iter().map(|(name, values)| (name, values.into_iter().map(|(value, _)| value).collect())).collect()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn h2s_server_reads_what_we_write_and_we_read_its_answers(
        requests in messages(),
        theirs in table_size(),
        ours in table_size(),
    ) {
        run(server::exchange(&requests, theirs, ours));
    }

    #[test]
    fn we_read_what_h2s_client_writes_while_its_table_changes_and_it_reads_our_answers(
        requests in messages(),
        sizes in vec((0..20_usize, table_size()), 0..8),
        theirs in table_size(),
    ) {
        run(client::exchange(&requests, &sizes, theirs));
    }
}
