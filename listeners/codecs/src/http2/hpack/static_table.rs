//! The static table (RFC 7541 appendix A).

/// Names and values, from index 1 on. Those of one name stand together.
#[rustfmt::skip]
const ENTRIES: [(&str, &str); LEN] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The number of entries, and so the largest static index.
pub(super) const LEN: usize = 61;

/// More than twice as many as there are names, and a power of two.
const SLOTS: usize = 128;

/// Finds the first index of a name: a hash table with linear probing, 0 where nothing is.
static FIRST: [u8; SLOTS] = first();

const fn first() -> [u8; SLOTS] {
    let mut slots = [0; SLOTS];
    let mut index = LEN;
    while index > 0 {
        let mut slot = slot(ENTRIES[index - 1].0.as_bytes());
        // From the last on, so that the first of a name takes its slot from the others.
        while slots[slot] != 0 && !same(ENTRIES[slots[slot] as usize - 1].0, ENTRIES[index - 1].0) {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = index as u8;
        index -= 1;
    }
    slots
}

/// By the first index of a name, how many entries have it.
static OF_ONE_NAME: [u8; LEN + 1] = of_one_name();

const fn of_one_name() -> [u8; LEN + 1] {
    let mut numbers = [0; LEN + 1];
    let (mut first, mut index) = (1, 1);
    while index <= LEN {
        if !same(ENTRIES[first - 1].0, ENTRIES[index - 1].0) {
            first = index;
        }
        numbers[first] += 1;
        index += 1;
    }
    numbers
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// Where to look for a name first. Length and three of its bytes tell most names apart.
const fn slot(name: &[u8]) -> usize {
    let length = name.len();
    if length == 0 {
        return 0;
    }
    let (first, middle, last) = (name[0] as usize, name[length / 2] as usize, name[length - 1] as usize);
    (length * 7 + first * 3 + middle * 5 + last * 11) % SLOTS
}

/// The entry of an index, from 1 on.
pub(super) fn get(index: usize) -> Option<(&'static [u8], &'static [u8])> {
    let (name, value) = ENTRIES.get(index.checked_sub(1)?)?;
    Some((name.as_bytes(), value.as_bytes()))
}

/// The first index of a name.
pub(super) fn name(name: &[u8]) -> Option<usize> {
    let mut slot = slot(name);
    loop {
        let index = usize::from(FIRST[slot]);
        if get(index)?.0 == name {
            return Some(index);
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// The index of a field whose name has the first index `first`.
pub(super) fn field(first: usize, value: &[u8]) -> Option<usize> {
    let end = first + usize::from(*OF_ONE_NAME.get(first)?);
    (first..end).find(|index| get(*index).is_some_and(|entry| entry.1 == value))
}

/// Tells at a glance that most fields are not here as a whole.
pub(super) fn may_have(name: &[u8], value: &[u8]) -> bool {
    // The lengths of the names that have values here.
    value.is_empty() || matches!(name.len(), 5 | 7 | 15)
}
