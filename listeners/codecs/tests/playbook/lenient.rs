//! Models of servers that read a message in another way than the standard says, each as some real server does. For all
//! of them: whatever a client sends, they execute only what was judged and allowed.

use portcullis_codecs::{
    http,
    http::Limits,
    relay::{Decision, Side},
};

use super::pair::{Pair, deny_with};

/// How a server differs. Beside that, all of them take a bare LF for a line end, and go on behind whatever they answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quirk {
    /// In nothing else.
    None,
    /// It counts chunk sizes in 32 bits (Netty 4.1, the JDK's).
    NarrowSizes,
    /// All signs in a name are one to it, also repeated (HTTP::Daemon, uWSGI).
    AnySign,
    /// It reads no trailers: a chunked body ends with the line of the last chunk (cheroot).
    NoTrailers,
    /// It takes any two bytes behind that line for its end (Puma, CVE-2023-40175).
    TwoBytes,
    /// It refuses whoever expects something, and then no body comes (Netty).
    NoExpectations,
    /// It reads no body (http.server, evhttp).
    NoBody,
    /// It reads a body only if that comes with the head (cpp-httplib, uWSGI's router).
    NoLateBody,
    /// It takes a request that comes with another one to have no body (thin).
    OneAtATime,
    /// It takes an offer of HTTP/2 up before it reads the body (golang.org/x/net before 2022).
    SwitchesFirst,
}

impl Quirk {
    pub(crate) const ALL: [Self; 10] = [
        Self::None,
        Self::NarrowSizes,
        Self::AnySign,
        Self::NoTrailers,
        Self::TwoBytes,
        Self::NoExpectations,
        Self::NoBody,
        Self::NoLateBody,
        Self::OneAtATime,
        Self::SwitchesFirst,
    ];

    /// Whether no relay can help where the body comes together with its head: a request may have a body that its server
    /// does not read.
    fn needs_late_body(self) -> bool {
        matches!(self, Self::NoBody | Self::NoLateBody)
    }
}

/// A server: what it has not read yet, what it has executed, and what it says.
#[derive(Debug)]
pub(crate) struct Server {
    quirk: Quirk,
    input: Vec<u8>,
    /// What comes next began in the segment of another request.
    with_another: bool,
    /// It listens no more.
    over: bool,
    /// The request whose body is being waited for was told to go on.
    continued: bool,
    /// Requests: method, path, host.
    pub(crate) executed: Vec<String>,
    pub(crate) answers: Vec<u8>,
}

/// One request head, as far as it matters.
struct Head {
    line: String,
    bytes: usize,
    length: Option<usize>,
    chunked: bool,
    expects: bool,
    offers: bool,
    no_body_answer: bool,
}

impl Server {
    pub(crate) fn new(quirk: Quirk) -> Self {
        Self {
            quirk,
            input: Vec::new(),
            with_another: false,
            over: false,
            continued: false,
            executed: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// A segment comes.
    pub(crate) fn feed(&mut self, segment: &[u8]) {
        self.input.extend_from_slice(segment);
        while !self.over && self.request() {
            self.with_another = !self.input.is_empty();
        }
    }

    /// Reads and answers one request, if it is there.
    fn request(&mut self) -> bool {
        while let [b'\r' | b'\n', ..] = self.input[..] {
            self.input.remove(0);
        }
        let Some(head) = self.head() else { return false };
        let behind = &self.input[head.bytes..];
        let empty = head.length.is_none_or(|length| length == 0) && !head.chunked;
        let unread = match self.quirk {
            _ if empty => false,
            Quirk::NoBody => true,
            Quirk::NoExpectations => head.expects,
            Quirk::OneAtATime => self.with_another,
            Quirk::NoLateBody => self.body(&head, behind).is_none(),
            _ => false,
        };
        if self.quirk == Quirk::SwitchesFirst && head.offers && !empty {
            let beginning = b"PRI * ";
            if behind.len() < beginning.len() {
                return false;
            }
            self.executed.push(head.line);
            if behind.starts_with(beginning) {
                self.executed.push("HTTP/2 that nobody has judged".to_owned());
            }
            self.over = true;
            return false;
        }
        let body = if unread { Some(0) } else { self.body(&head, behind) };
        let Some(body) = body else {
            if head.expects && !std::mem::replace(&mut self.continued, true) {
                self.answers.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            return false;
        };
        self.input.drain(..head.bytes + body);
        self.continued = false;
        self.over = head.line.starts_with("CONNECT ");
        self.executed.push(head.line);
        let content: &[u8] = if head.no_body_answer { b"" } else { b"ok" };
        self.answers.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        self.answers.extend_from_slice(content);
        true
    }

    fn head(&mut self) -> Option<Head> {
        let bytes = end_of_head(&self.input)?;
        let text = String::from_utf8_lossy(&self.input[..bytes]).into_owned();
        let mut lines = text.lines();
        let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let (Some(method), Some(target)) = (words.first(), words.get(1)) else {
            self.over = true;
            return None;
        };
        let (mut host, target) =
            match target.split_once("://").and_then(|(_, rest)| rest.find(['/', '?']).map(|at| rest.split_at(at))) {
                Some((authority, path)) => (Some(authority.to_owned()), path),
                None => (None, *target),
            };
        let mut head = Head {
            line: String::new(),
            bytes,
            length: None,
            chunked: false,
            expects: false,
            offers: false,
            no_body_answer: *method == "HEAD",
        };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let (name, value) = (self.name(name), value.trim());
            match name.as_str() {
                "host" => host = host.or(Some(value.to_owned())),
                "content-length" => head.length = head.length.or(value.parse().ok()),
                "transfer-encoding" => head.chunked |= value.to_lowercase().contains("chunked"),
                "expect" => head.expects = true,
                "upgrade" => head.offers |= value.to_lowercase().contains("h2c"),
                _ => {}
            }
        }
        head.line = [Some((*method).to_owned()), Some(target.to_owned()), host]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ");
        Some(head)
    }

    fn name(&self, name: &str) -> String {
        let name = name.trim().to_lowercase();
        if self.quirk != Quirk::AnySign {
            return name;
        }
        let words = name.split(|sign: char| !sign.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("-")
    }

    /// How long the body is, once it is there.
    fn body(&self, head: &Head, input: &[u8]) -> Option<usize> {
        if !head.chunked {
            return head.length.or(Some(0)).filter(|length| *length <= input.len());
        }
        let mut at = 0;
        loop {
            let line = input[at..].iter().position(|byte| *byte == b'\n').map(|lf| &input[at..=at + lf])?;
            let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            let size = u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
            let size = if self.quirk == Quirk::NarrowSizes { size & 0xffff_ffff } else { size };
            at += line.len();
            if size == 0 {
                return match self.quirk {
                    Quirk::NoTrailers => Some(at),
                    Quirk::TwoBytes => (at + 2 <= input.len()).then_some(at + 2),
                    _ if input[at..].starts_with(b"\r\n") => Some(at + 2),
                    _ => end_of_head(&input[at..]).map(|end| at + end),
                };
            }
            at = at.checked_add(usize::try_from(size).ok()?)?.checked_add(2)?;
            input.get(at..)?;
        }
    }
}

/// Behind the first empty line that is not the first of all.
fn end_of_head(input: &[u8]) -> Option<usize> {
    let mut at = 0;
    for (lf, _) in input.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        if at > 0 && matches!(input[at..lf], [] | [b'\r']) {
            return Some(lf + 1);
        }
        at = lf + 1;
    }
    None
}

/// Cuts what a client sends behind each head, or what looks like one.
fn cut_behind_heads(bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while let Some(end) = end_of_head(rest) {
        let (piece, behind) = rest.split_at(end);
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

/// Plays what a client sends, in these pieces, to each server behind the relay.
pub(crate) fn check(pieces: &[&[u8]], decision: Decision) {
    for quirk in Quirk::ALL {
        let whole = pieces.concat();
        let late = cut_behind_heads(&whole);
        let pieces = if quirk.needs_late_body() { &late[..] } else { pieces };
        let mut pair = Pair::new(http::relay(&Limits::default()), deny_with(decision));
        let mut server = Server::new(quirk);
        for piece in pieces {
            pair.send(Side::Downstream, piece);
            while !pair.to_server.is_empty() {
                server.feed(&std::mem::take(&mut pair.to_server));
                let answers = std::mem::take(&mut server.answers);
                if !answers.is_empty() {
                    pair.send(Side::Upstream, &answers);
                }
            }
        }
        let allowed: Vec<&String> = pair.recorder.judged.iter().filter(|line| !line.contains(" -> ")).collect();
        let executed: Vec<&String> = server.executed.iter().collect();
        let few = executed.len().min(allowed.len());
        assert_eq!(
            executed,
            allowed[..few],
            "{quirk:?} executes what nobody allowed, of {:?}",
            pieces.iter().map(|piece| piece.escape_ascii().to_string()).collect::<Vec<_>>(),
        );
    }
}
