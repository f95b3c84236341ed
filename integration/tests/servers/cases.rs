//! Raw inputs that some server reads differently than they are meant, written by us. `@` stands for the number of the
//! case, so that each request is identified by its target. A target that no rule allows contains a `~`.

/// One input.
#[derive(Debug)]
pub(crate) struct Case {
    /// What it is about.
    pub(crate) name: String,
    segments: Vec<Vec<u8>>,
}

impl Case {
    /// Its segments, each sent when the server has been quiet, with the number in its targets. It has the length of the
    /// place that it takes, so that no length changes.
    pub(crate) fn numbered(&self, number: &str) -> Vec<Vec<u8>> {
        let number = format!("{:0>4}", number);
        let put = |segment: &Vec<u8>| {
            let mut segment = segment.clone();
            while let Some(at) = segment.windows(4).position(|four| four == b"@@@@") {
                segment[at..at + 4].copy_from_slice(number.as_bytes());
            }
            segment
        };
        self.segments.iter().map(put).collect()
    }
}

/// What must never arrive.
pub(crate) const HIDDEN: &str = "GET /~enied-@@@@ HTTP/1.1\r\nHost: app.shop\r\n\r\n";
/// What may.
const NEXT: &str = "GET /next-@@@@ HTTP/1.1\r\nHost: app.shop\r\n\r\n";

/// A request of a method with lines of headers and a body.
fn request(method: &str, lines: &str, body: &str) -> String {
    format!("{method} /case-@@@@ HTTP/1.1\r\nHost: app.shop\r\n{lines}\r\n{body}")
}

fn post(lines: &str, body: &str) -> String {
    request("POST", lines, body)
}

/// A body as one chunk.
fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

/// Cases in the making.
#[derive(Default)]
struct Catalog(Vec<Case>);

impl Catalog {
    fn add(&mut self, name: impl Into<String>, segments: &[&str]) {
        let segments = segments.iter().map(|segment| segment.as_bytes().to_vec()).collect();
        self.0.push(Case { name: name.into(), segments });
    }

    /// A head with what follows it: at once, later, and later with one more request, whose answer would hide the other's.
    fn every_way(&mut self, name: &str, head: &str, body: &str) {
        self.add(name, &[&format!("{head}{body}")]);
        self.add(format!("{name}, late"), &[head, body]);
        self.add(format!("{name}, and one more"), &[&format!("{head}{body}{NEXT}")]);
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    let mut cache = Catalog::default();
    sizes(&mut cache);
    expectations(&mut cache);
    twins(&mut cache);
    trailers(&mut cache);
    bodies(&mut cache);
    pipelines(&mut cache);
    switches(&mut cache);
    http2(&mut cache);
    classics(&mut cache);
    cache.0
}

/// Sizes that wrap in 31, 32, 63 or 64 bits, or that are read with another base.
fn sizes(cache: &mut Catalog) {
    let chunks = [
        "100000003",
        "200000003",
        "4000000000000003",
        "0000000100000003",
        "8000000000000003",
        "10000000000000003",
        "ffffffff00000003",
        "80000003",
        "7fffffff",
        "fffffffffffffffd",
        "2bffffffff",
        "1000000000000000000000003",
        "0x3",
        "+3",
        "3 ",
        " 3",
        "3_0",
        "3;",
        "3\t",
        "-3",
        "03",
        "3h",
        "0003",
    ];
    for size in chunks {
        let body = format!("{size}\r\nabc\r\n0\r\n\r\n{HIDDEN}");
        cache.every_way(&format!("chunk size {size:?}"), &post("Transfer-Encoding: chunked\r\n", ""), &body);
    }
    for length in [
        "4294967299",
        "8589934595",
        "18446744073709551619",
        "9223372036854775807",
        "9223372036854775811",
        "2147483651",
        "+3",
        "3 3",
        "3, 3",
        "3,45",
        "0x3",
        "3\r\nContent-Length: 3",
        "0\r\nContent-Length: 3",
        "3.0",
        "3e0",
        "\t3",
        "",
        "-1",
    ] {
        let lines = format!("Content-Length: {length}\r\n");
        cache.every_way(&format!("length {length:?}"), &post(&lines, ""), &format!("abc{HIDDEN}"));
    }
    // What it says is right, but not every reader counts so.
    for zeros in ["0", "000", "00000000000"] {
        let lines = format!("Content-Length: {zeros}{}\r\n", HIDDEN.len());
        cache.every_way(&format!("a length behind {zeros}"), &post(&lines, ""), HIDDEN);
        let body = format!("{zeros}{:X}\r\n{HIDDEN}\r\n{zeros}0\r\n\r\n", HIDDEN.len());
        cache.every_way(&format!("a chunk size behind {zeros}"), &post("Transfer-Encoding: chunked\r\n", ""), &body);
    }
}

/// RFC 9110 §10.1.1: servers that refuse an expectation read what follows as the next request, others as the body.
fn expectations(cache: &mut Catalog) {
    let length = HIDDEN.len();
    for value in [
        "foo",
        "100-continue",
        "100-Continue",
        "100-continue, foo",
        "foo, 100-continue",
        "100-continue\r\nExpect: foo",
        "100",
        "",
        "100-continue;x=1",
        "x=y",
        "200-ok",
        "100 -continue",
        "\t100-continue",
    ] {
        let expect = format!("Expect: {value}\r\n");
        cache.every_way(
            &format!("expect {value:?}"),
            &post(&format!("{expect}Content-Length: {length}\r\n"), ""),
            HIDDEN,
        );
        let large = post(&format!("{expect}Content-Length: 200000000\r\n"), "");
        cache.every_way(&format!("expect {value:?}, too large"), &large, HIDDEN);
        let coded = post(&format!("{expect}Transfer-Encoding: chunked\r\n"), "");
        cache.every_way(&format!("expect {value:?}, chunked"), &coded, &chunked(HIDDEN));
        let get = request("GET", &format!("{expect}Content-Length: {length}\r\n"), "");
        cache.every_way(&format!("expect {value:?}, with GET"), &get, HIDDEN);
        cache.every_way(&format!("expect {value:?}, behind another"), &format!("{NEXT}{}", get), HIDDEN);
    }
}

/// Names of framing fields that some server takes for the field itself.
fn twins(cache: &mut Catalog) {
    let signs =
        ["_", "!", "#", "$", "%", "&", "'", "*", "+", ".", "^", "`", "|", "~", "--", "---", "-_", "", " -", "- "];
    for sign in signs {
        let (coding, length) = (format!("Transfer{sign}Encoding"), format!("Content{sign}Length"));
        let body = format!("0\r\n\r\n{HIDDEN}");
        let lines = format!("{coding}: chunked\r\nContent-Length: {}\r\n", body.len());
        cache.every_way(&format!("{coding} beside a length"), &post(&lines, ""), &body);
        let inner = post(&format!("Content-Length: {}\r\n", HIDDEN.len()), "");
        let lines = format!("{length}: {}\r\n", inner.len());
        cache.add(format!("{length} of the next head"), &[&request("GET", &lines, &format!("{inner}{HIDDEN}"))]);
        let lines = format!("{length}: 0\r\nContent-Length: {}\r\n", HIDDEN.len());
        cache.every_way(&format!("{length} of nothing"), &post(&lines, ""), HIDDEN);
        let lines = format!("{coding}: identity\r\nTransfer-Encoding: chunked\r\n");
        cache.every_way(&format!("{coding} beside the coding"), &post(&lines, ""), &chunked(HIDDEN));
    }
    for name in [
        "transfer-encoding ",
        "TRANSFER_ENCODING",
        "transfer_encoding",
        "HTTP_TRANSFER_ENCODING",
        "Proxy-Transfer-Encoding",
    ] {
        let body = format!("0\r\n\r\n{HIDDEN}");
        let lines = format!("{name}: chunked\r\nContent-Length: {}\r\n", body.len());
        cache.every_way(&format!("{name:?} beside a length"), &post(&lines, ""), &body);
    }
}

/// Trailers, which some server takes for the next request.
fn trailers(cache: &mut Catalog) {
    let head = post("Transfer-Encoding: chunked\r\n", "");
    for trailer in [
        "X:GET /~enied-@@@@ HTTP/1.1\r\n",
        "X:GET /~enied-@@@@ HTTP/1.1\r\nHost: app.shop\r\n",
        "GET:/~enied-@@@@ HTTP/1.1\r\n",
        "A: b\r\nGET:/~enied-@@@@ HTTP/1.1\r\n",
        "A: b\r\nX:GET /~enied-@@@@ HTTP/1.1\r\nHost: x\r\n",
        "A: GET /~enied-@@@@ HTTP/1.1\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer_Encoding: chunked\r\n",
        "A:\r\n",
    ] {
        cache.every_way(&format!("trailer {trailer:?}"), &head, &format!("3\r\nabc\r\n0\r\n{trailer}\r\n"));
        cache.add(format!("trailer {trailer:?} and more"), &[&format!("{head}3\r\nabc\r\n0\r\n{trailer}\r\n{HIDDEN}")]);
    }
    cache.every_way("last chunk with an extension", &head, &format!("3;a={HIDDEN}\r\nabc\r\n0;b=\"{HIDDEN}\"\r\n\r\n"));
    let size = HIDDEN.len();
    let chunk = format!("{HIDDEN}\r\n0\r\n\r\n");
    cache.add("a chunk with an extension, its data late", &[&format!("{head}{size:x};a=b\r\n"), &chunk]);
    cache.add("a chunk with an extension, its data in pieces", &[&format!("{head}{:x};a=b\r\nab", size + 2), &chunk]);
    cache.every_way("chunk extension with a line end", &head, &format!("3;a=\n{HIDDEN}\r\nabc\r\n0\r\n\r\n"));
}

/// Bodies where few expect one, and bodies that come when the answer is there already.
fn bodies(cache: &mut Catalog) {
    let length = format!("Content-Length: {}\r\n", HIDDEN.len());
    for method in ["GET", "DELETE", "OPTIONS", "PUT", "PATCH", "POST"] {
        let (whole, coded) = (request(method, &length, ""), request(method, "Transfer-Encoding: chunked\r\n", ""));
        cache.every_way(&format!("{method} with a body"), &whole, HIDDEN);
        cache.every_way(&format!("{method} with chunks"), &coded, &chunked(HIDDEN));
        let closing = request(method, &format!("{length}Connection: close\r\n"), "");
        cache.every_way(&format!("{method} with a body, closing"), &closing, HIDDEN);
        let old = whole.replace("HTTP/1.1", "HTTP/1.0").replacen("Host", "Connection: keep-alive\r\nHost", 1);
        cache.every_way(&format!("{method} with a body in HTTP/1.0"), &old, HIDDEN);
    }
    for method in ["HEAD", "TRACE", "BREW"] {
        // Sent late only: what a server does not read of what it is sent, no relay can know.
        cache.add(format!("{method} with a late body"), &[&request(method, &length, ""), HIDDEN]);
    }
}

/// Several requests on their way at a time.
fn pipelines(cache: &mut Catalog) {
    let late = post(&format!("Content-Length: {}\r\n", HIDDEN.len()), "");
    cache.add("a body behind a pipelined head", &[&format!("{NEXT}{late}"), HIDDEN]);
    cache.add("a body in pieces behind a pipelined head", &[&format!("{NEXT}{late}"), &HIDDEN[..4], &HIDDEN[4..]]);
    let coded = post("Transfer-Encoding: chunked\r\n", "");
    cache.add("chunks behind a pipelined head", &[&format!("{NEXT}{coded}"), &chunked(HIDDEN)]);
    cache.add("a hundred, then a denied one", &[&format!("{}{HIDDEN}", NEXT.repeat(100))]);
    cache.add("a denied one between", &[&format!("{NEXT}{HIDDEN}{NEXT}")]);
}

/// Switches of protocol that nobody judges.
fn switches(cache: &mut Catalog) {
    let connect = "CONNECT app.shop:80 HTTP/1.1\r\nHost: app.shop:80\r\n\r\n";
    cache.every_way("CONNECT", connect, HIDDEN);
    cache.every_way("CONNECT in HTTP/1.0", "CONNECT app.shop:80 HTTP/1.0\r\n\r\n", HIDDEN);
    for protocol in ["websocket", "tcp", "TLS/1.2", "h2c", "HTTP/2.0", "foo, websocket", "h2c, foo", ""] {
        let lines = format!("Connection: upgrade\r\nUpgrade: {protocol}\r\n");
        cache.every_way(&format!("upgrade to {protocol:?}"), &request("GET", &lines, ""), HIDDEN);
        let lines = format!("{lines}Content-Length: {}\r\n", HIDDEN.len());
        cache.every_way(&format!("upgrade to {protocol:?} with a body"), &post(&lines, ""), HIDDEN);
    }
}

const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of HTTP/2 on the connection (RFC 9113 §4.1).
fn frame(kind: u8, payload: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, 0, 0, 0, 0, 0]);
    bytes.extend(payload.as_bytes());
    bytes
}

/// Bytes of HTTP/2 for servers that do not speak it.
fn http2(cache: &mut Catalog) {
    let (settings, data) = (frame(4, ""), frame(0, HIDDEN));
    let away = frame(7, &format!("\0\0\0\0\0\0\0\0\r\n\r\n{HIDDEN}"));
    for (name, frames) in [("nothing", vec![]), ("debug data", away), ("data", data.clone())] {
        let bytes = [PREFACE.as_bytes(), &settings, &frames].concat();
        cache.0.push(Case { name: format!("HTTP/2 with {name}"), segments: vec![bytes.clone()] });
        let segments = vec![bytes[..PREFACE.len()].to_vec(), bytes[PREFACE.len()..].to_vec()];
        cache.0.push(Case { name: format!("HTTP/2 with {name}, late"), segments });
        let offer = post(
            &format!(
                "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: {}\r\n",
                bytes.len()
            ),
            "",
        );
        let segments = vec![[offer.as_bytes(), &bytes].concat()];
        cache.0.push(Case { name: format!("an offer of HTTP/2, its body a preface with {name}"), segments });
    }
    cache.add("the preface behind a request", &[&format!("{NEXT}{PREFACE}{HIDDEN}")]);
}

/// What every relay is tried with.
fn classics(cache: &mut Catalog) {
    let both = format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", HIDDEN.len() + 5);
    cache.every_way("length and chunks", &post(&both, ""), &format!("0\r\n\r\n{HIDDEN}"));
    for coding in [
        "chunked, identity",
        "identity, chunked",
        "xchunked",
        "chunked\r\nTransfer-Encoding: x",
        "\x0bchunked",
        "chunked;q=1",
        "CHUNKED",
        "\"chunked\"",
        "chunk\x00ed",
        "gzip, chunked",
        "\r\n chunked",
        "chunked\t",
    ] {
        let lines = format!("Transfer-Encoding: {coding}\r\nContent-Length: {}\r\n", HIDDEN.len() + 5);
        cache.every_way(&format!("coding {coding:?} and a length"), &post(&lines, ""), &format!("0\r\n\r\n{HIDDEN}"));
        let lines = format!("Transfer-Encoding: {coding}\r\n");
        cache.every_way(&format!("coding {coding:?}"), &post(&lines, ""), &format!("0\r\n\r\n{HIDDEN}"));
    }
    for end in ["\n", "\r", "\r\r\n", "\n\n", "\0\r\n", "\x0b\r\n"] {
        let head = format!("POST /case-@@@@ HTTP/1.1\r\nHost: app.shop{end}Content-Length: {}\r\n\r\n", HIDDEN.len());
        cache.every_way(&format!("line end {end:?}"), &head, HIDDEN);
        cache.every_way(&format!("line end {end:?} in a value"), &post(&format!("X: a{end}{HIDDEN}\r\n"), ""), "");
    }
    for version in ["HTTP/1.0", "HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.01", "HTTP/01.1", "HTTP/1.1 "] {
        cache.add(
            format!("version {version}"),
            &[&format!("GET /case-@@@@ {version}\r\nHost: app.shop\r\n\r\n{HIDDEN}")],
        );
    }
    for line in [
        "GET /case-@@@@\r\n",
        "GET  /case-@@@@ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /case-@@@@\tHTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        cache.add(format!("line {line:?}"), &[&format!("{line}{HIDDEN}")]);
    }
    for target in
        ["//x/~enied-@@@@", "http://app.shop/~enied-@@@@", "/%7eenied-@@@@", "/a?/~enied-@@@@", "/a#/~enied-@@@@", "*"]
    {
        cache.add(format!("target {target}"), &[&format!("GET {target} HTTP/1.1\r\nHost: app.shop\r\n\r\n")]);
    }
}

/// Targets below `/public/` that some server takes for another place, and one that is plain.
pub(crate) fn spellings() -> Vec<String> {
    let mut targets = vec!["/public/plain".to_owned()];
    let up = [
        "..",
        "%2e%2e",
        ".%2e",
        "%2e.",
        "..;",
        "..%3b",
        "..%3B",
        "%2e%2e%3b",
        "..;a=b",
        "..%3ba=b",
        "..%3b/x/..%3b",
        "..%00",
        "..%0a",
        "..%09",
        "..%20",
        "..%5c",
        "..%2f",
        "..\\",
        "..%252f",
        "..%c0%af",
        "..%23",
        "..%3f",
        ".%00.",
        "..%3b%2f",
        "%252e%252e",
        "..;%2f",
        "%2e%2e;",
        "..%26",
        "..%2500",
        "..%ff",
        "..%e2%80%8b",
        "..%3b%3b",
        "..%3B;",
        "%2E%2E%3B%61",
    ];
    for step in up {
        targets.push(format!("/public/{step}/secret.txt"));
        targets.push(format!("/public/a/{step}/{step}/secret.txt"));
        targets.push(format!("/public/{step}//secret.txt"));
    }
    targets.extend(
        [
            "/public%3b/../secret.txt",
            "/public/%3b/../../secret.txt",
            "/public/;/../../secret.txt",
            "/public/..%3b%2fsecret.txt",
        ]
        .map(str::to_owned),
    );
    targets
}
