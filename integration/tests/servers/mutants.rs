//! Pairs of requests, the second hidden in the body of the first or behind it, mutated at random. A case can be
//! reproduced from its seed, its server and its number, which its targets contain.

use crate::cases::HIDDEN;

/// Random numbers (splitmix64): the same from the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap_or(0)
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Lines of headers that a first request may have. `#` stands for the length of its body.
const LINES: &[&str] = &[
    "Content-Length: #",
    "Transfer-Encoding: chunked",
    "Expect: 100-continue",
    "Connection: keep-alive",
    "Connection: close",
    "Upgrade: websocket",
    "Connection: upgrade",
    "Content-Type: text/plain",
    "TE: trailers",
    "Trailer: X",
    "X-A: b",
    "Content-Length: 0",
    "Expect: x",
    "Upgrade: h2c",
    "Transfer_Encoding: chunked",
    "Content_Length: #",
    "Accept: */*",
];

/// What is put in, or in the place of something.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\0",
    b";",
    b":",
    b",",
    b"0",
    b"1",
    b"a",
    b"f",
    b"-",
    b"_",
    b"+",
    b"x",
    b"\"",
    b"\\",
    b"%",
    b"0\r\n\r\n",
    b"\r\n\r\n",
    b"chunked",
    b"100-continue",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"100000000",
    b"80",
    b"\x0b",
    b"\x0c",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xc2\xa0",
    b"GET ",
    b"HEAD",
    b"POST",
    b"OPTIONS",
    b"Host: app.shop\r\n",
    b";a=b",
    b"X: y\r\n",
    b"\r\n ",
    b"identity",
    b"gzip",
    b"4294967296",
    b"FFFFFFFF",
];

/// The segments of a case: half of them are sound, and odd in what few send, so that they go on.
pub(crate) fn segments(seed: u64, server: usize, number: u64) -> Vec<Vec<u8>> {
    if number.is_multiple_of(2) { broken(seed, server, number) } else { sound(seed, server, number) }
}

const METHODS: &[&str] =
    &["POST", "GET", "PUT", "HEAD", "OPTIONS", "DELETE", "TRACE", "PATCH", "QUERY", "M-SEARCH", "post"];

/// Lines that are right, and mean little or something else to somebody.
const ODD_LINES: &[&str] = &[
    "Connection: keep-alive",
    "Connection: x-a",
    "Keep-Alive: timeout=1, max=1",
    "TE: chunked",
    "TE: trailers",
    "Trailer: X-A",
    "Content-Encoding: chunked",
    "Content-Encoding: gzip",
    "Content-Type: multipart/form-data; boundary=a",
    "Range: bytes=0-0",
    "Content-Type: application/x-www-form-urlencoded",
    "X-HTTP-Method-Override: GET",
    "Max-Forwards: 0",
    "X-A:",
    "X-A: \t",
    "A: b\tc",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "Connection: upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Via: 1.0 a",
    "Sec-WebSocket-Version: 13",
    "Transfer-Coding: chunked",
    "Content-MD5: 0",
    "Proxy-Authorization: a",
    "Accept: */*",
    "X.A: b",
    "Cookie: a=b; c",
    "Expect: 100-continue",
    "X-Forwarded-Proto: https",
    "Cache-Control: no-transform",
    "If-None-Match: *",
    "Content-Range: bytes 0-3/4",
    "X-Original-URL: /~",
    "Date: x",
    "!: x",
    "X-Length: 0",
    "Connection: close",
    "Pragma: no-cache",
];

/// A body in chunks of any lengths, some with extensions.
fn in_chunks(body: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(1 + random.below(rest.len()));
        let extension = random.of(&["", "", "", ";a", ";a=b", ";a=\"b;c\"", "; a = b"]);
        let zeros = "0".repeat(random.below(4));
        let size = if random.below(2) == 0 { format!("{:x}", chunk.len()) } else { format!("{:X}", chunk.len()) };
        bytes.extend(format!("{zeros}{size}{extension}\r\n").bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend(b"\r\n");
        rest = after;
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// One to three requests, the first with a body that hides another one.
fn sound(seed: u64, server: usize, number: u64) -> Vec<Vec<u8>> {
    let mut random = Random(!seed ^ (server as u64) << 48 ^ number.wrapping_mul(0x9e37_79b9));
    let (id, method) = (format!("{server}x{number}"), random.of(METHODS));
    let target = match random.below(6) {
        0 => format!("http://app.shop/first-{id}"),
        1 => format!("http://APP.shop:80/first-{id}"),
        2 => format!("/a%20b/first-{id}"),
        3 => format!("/?a=\\d&b=%7e/first-{id}"),
        _ => format!("/first-{id}"),
    };
    let hidden = HIDDEN.replace("@@@@", &id);
    let body = match random.below(4) {
        0 => format!("0\r\n\r\n{hidden}"),
        1 => format!("\r\n{hidden}"),
        2 => format!("a=b&{hidden}"),
        _ => hidden,
    };
    let chunks = in_chunks(body.as_bytes(), &mut random);
    let (framing, body) = match random.below(3) {
        0 => ("Transfer-Encoding: chunked\r\n".to_owned(), chunks),
        1 => (format!("Content-Length: {}{}\r\n", "0".repeat(random.below(3)), body.len()), body.into_bytes()),
        _ => (format!("Content-Length: {}\r\n", body.len()), body.into_bytes()),
    };
    let mut lines: String = (0..random.below(4)).map(|_| format!("{}\r\n", random.of(ODD_LINES))).collect();
    if random.below(2) == 0 {
        lines = framing + &lines;
    } else {
        lines += &framing;
    }
    let version = random.of(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0\r\nConnection: keep-alive"]);
    let mut head = format!("{method} {target} {version}\r\nHost: app.shop\r\n{lines}\r\n").into_bytes();
    if random.below(3) == 0 {
        head.splice(0..0, format!("GET /front-{id} HTTP/1.1\r\nHost: app.shop\r\n\r\n").into_bytes());
    }
    let behind = format!("GET /behind-{id} HTTP/1.1\r\nHost: app.shop\r\n\r\n").into_bytes();
    match random.below(4) {
        // The body comes when the head has been read.
        0 => vec![head, body],
        1 => vec![head, body, behind],
        2 => vec![[head, body, behind].concat()],
        _ => cut(&[head, body, behind].concat(), &mut random),
    }
}

fn broken(seed: u64, server: usize, number: u64) -> Vec<Vec<u8>> {
    let mut random = Random(seed ^ (server as u64) << 48 ^ number.wrapping_mul(0x9e37_79b9));
    let (id, method) =
        (format!("{server}x{number}"), random.of(&["POST", "GET", "PUT", "HEAD", "OPTIONS", "DELETE", "POST", "POST"]));
    let hidden = HIDDEN.replace("@@@@", &id);
    let body = match random.below(5) {
        0 => format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()),
        1 => format!("0\r\n\r\n{hidden}"),
        2 => format!("3\r\nabc\r\n0\r\nX:{hidden}\r\n"),
        _ => hidden.clone(),
    };
    let length = if random.below(3) == 0 { body.len() - hidden.len().min(body.len()) } else { body.len() };
    let count = 1 + random.below(3);
    let lines: String =
        (0..count).map(|_| format!("{}\r\n", random.of(LINES).replace('#', &length.to_string()))).collect();
    let mut bytes = format!("{method} /first-{id} HTTP/1.1\r\nHost: app.shop\r\n{lines}\r\n{body}").into_bytes();
    if random.below(2) == 0 {
        bytes.splice(0..0, format!("GET /front-{id} HTTP/1.1\r\nHost: app.shop\r\n\r\n").into_bytes());
    }
    if random.below(2) == 0 {
        bytes.extend(format!("GET /behind-{id} HTTP/1.1\r\nHost: app.shop\r\n\r\n").into_bytes());
    }
    for _ in 0..random.below(4) {
        change(&mut bytes, &mut random);
    }
    cut(&bytes, &mut random)
}

fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    match random.below(5) {
        0 => drop(bytes.splice(at..at, random.of(PIECES).iter().copied())),
        1 => drop(bytes.splice(at..=at, random.of(PIECES).iter().copied())),
        2 => drop(bytes.drain(at..(at + 1 + random.below(8)).min(bytes.len()))),
        3 => {
            let copied = bytes[at..(at + 1 + random.below(40)).min(bytes.len())].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, copied);
        }
        // A digit, where there is one: lengths are what it is about.
        _ => {
            if let Some(digit) = bytes[at..].iter_mut().find(|byte| byte.is_ascii_digit()) {
                *digit = random.of(b"0123456789abcdef");
            }
        }
    }
    if bytes.is_empty() {
        bytes.push(b'\n');
    }
}

/// Into one to three segments.
fn cut(bytes: &[u8], random: &mut Random) -> Vec<Vec<u8>> {
    let mut places: Vec<usize> = (0..random.below(3)).map(|_| random.below(bytes.len())).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| bytes[ends[0]..ends[1]].to_vec()).filter(|segment| !segment.is_empty()).collect()
}

/// The server and the number that stand in a target.
pub(crate) fn origin(line: &str) -> Option<(usize, u64)> {
    let id = line.rsplit('-').next()?;
    let (server, rest) = id.split_once('x')?;
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    Some((server.parse().ok()?, rest[..digits].parse().ok()?))
}

#[test]
fn a_case_is_made_again_from_its_name() {
    for number in 0..2000 {
        let one = segments(7, 3, number);
        assert_eq!(one, segments(7, 3, number));
        assert!((1..=4).contains(&one.len()));
    }
    assert_ne!(segments(7, 3, 1), segments(8, 3, 1));
    assert_eq!(origin("GET /~enied-3x42"), Some((3, 42)));
    assert_eq!(origin("PRI *"), None);
}
