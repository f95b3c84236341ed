//! The HTTP/1 server behind all proxies: answers from memory, as fast as one thread can.

use std::{io, net::SocketAddr, net::TcpStream};

use super::events::{self, Moved, read, write};

/// The largest request head that is taken.
const HEAD: usize = 4096;

/// The answers, whole, by the size of their bodies.
struct Answers {
    small: Vec<u8>,
    medium: Vec<u8>,
    large: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// Bytes of a request head that is not whole yet.
    head: Vec<u8>,
    answer: Option<(Body, usize)>,
    close: bool,
}

#[derive(Clone, Copy)]
enum Body {
    Small,
    Medium,
    Large,
}

impl Answers {
    fn new() -> Self {
        Self { small: answer(128), medium: answer(64 << 10), large: answer(1 << 20) }
    }

    fn get(&self, body: Body) -> &[u8] {
        match body {
            Body::Small => &self.small,
            Body::Medium => &self.medium,
            Body::Large => &self.large,
        }
    }
}

fn answer(length: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n");
    let mut whole = head.into_bytes();
    whole.resize(whole.len() + length, b'x');
    whole
}

/// Serves on `address` until killed: `/64k` and `/1m` have bodies of that size, every other path has 128 bytes.
/// `ready` is called once the socket listens.
///
/// # Errors
/// The address cannot be used, or the system is out of descriptors.
pub fn serve(address: SocketAddr, ready: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let answers = Answers::new();
    let mut buffer = vec![0; 64 << 10];
    let new = |stream| Connection { stream, head: Vec::new(), answer: None, close: false };
    events::serve(address, ready, new, |connection| connection.turn(&answers, &mut buffer))
}

impl Connection {
    /// Does what can be done now. False: the connection is over.
    fn turn(&mut self, answers: &Answers, buffer: &mut [u8]) -> bool {
        loop {
            while let Some((body, from)) = self.answer {
                let whole = answers.get(body);
                match write(&self.stream, &whole[from..]) {
                    Moved::Bytes(count) if from + count == whole.len() => self.answer = None,
                    Moved::Bytes(count) => self.answer = Some((body, from + count)),
                    Moved::NotNow => return true,
                    Moved::Over => return false,
                }
                if self.answer.is_none() && self.close {
                    return false;
                }
            }
            if self.next_head() {
                continue;
            }
            match read(&self.stream, buffer) {
                Moved::Bytes(count) if self.head.len() + count <= HEAD => self.head.extend_from_slice(&buffer[..count]),
                Moved::NotNow => return true,
                Moved::Bytes(_) | Moved::Over => return false,
            }
        }
    }

    /// Takes one whole head, if there is one, and sets the answer.
    fn next_head(&mut self) -> bool {
        let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
        let head = &self.head[..end];
        let path = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let body = match path {
            b"/64k" => Body::Medium,
            b"/1m" => Body::Large,
            _ => Body::Small,
        };
        self.close = head.windows(17).any(|part| part.eq_ignore_ascii_case(b"connection: close"));
        self.answer = Some((body, 0));
        self.head.drain(..end + 4);
        true
    }
}
